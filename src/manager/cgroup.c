#include "manager/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/str.h"

/* Our own place in the subtree, where the kernel wants no processes beside groups. */
#define OWN_LEAF "coppice.own"
/* The group of the commands of a unit that has Delegate=, whose own group it may have filled. */
#define CONTROL_LEAF ".control"
/* How long a start waits for the end of what was killed in its group. */
#define EMPTY_WAIT_MS 50
#define HELD_NAME     "cgroup"

struct cgroups {
	int top;          /* our subtree; -1: none */
	int watch;        /* inotify; -1: none */
	int refused;      /* why there is none: an errno value */
	uint32_t enabled; /* controllers that the units' groups have */
	char path[CGROUP_PATH_SIZE];
	char shown[CGROUP_PATH_SIZE + CGROUP_NAME_SIZE];
};

/* --- our own subtree --- */

static int base_open(const struct cgroups *c)
{
	char base[CGROUP_PATH_SIZE];
	str_copy(base, sizeof(base), c->path);
	*strrchr(base, '/') = '\0';
	int fd = open(base, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return fd;
}

static bool is_movable(const struct manager *m, pid_t pid)
{
	struct proc_stat stat;
	/* As process 1 of a container everything there is ours to move. */
	return m->share->keeper_pid == 1 || pid == m->share->keeper_pid || pid == getpid() ||
	       (proc_read_stat(pid, &stat) == 0 && stat.ppid == m->share->keeper_pid);
}

/* A group that has processes of its own, the root aside, gives no controllers to those below it;
 * and asked for one that it can give to threads it gives that one and becomes a place where no
 * further processes may be. So they go first, into a leaf of ours. False: somebody else's are
 * there. */
static bool base_clear(struct manager *m, int base)
{
	static pid_t list[1024];
	int count = cgroup_is_root(base) ? 0 : cgroup_pids(base, list, 1024);
	for (int i = 0; i < count; i++) {
		if (!is_movable(m, list[i])) {
			return false;
		}
	}
	int leaf = count > 0 ? cgroup_make(m->cgroups->top, OWN_LEAF) : -1;
	for (int i = 0; leaf >= 0 && i < count; i++) {
		(void)cgroup_put(leaf, list[i]);
	}
	if (leaf >= 0) {
		close(leaf);
	}
	return count == 0 || cgroup_pids(base, list, 1024) == 0;
}

static void enable(struct manager *m, uint32_t wanted)
{
	struct cgroups *c = m->cgroups;
	int base = base_open(c);
	if (base < 0) {
		return;
	}
	wanted &= cgroup_available(base);
	uint32_t have = cgroup_enable(base, 0);
	if ((wanted & ~have) != 0 && base_clear(m, base)) {
		have = cgroup_enable(base, wanted);
	}
	close(base);
	c->enabled = cgroup_enable(c->top, wanted & have);
}

static int make_subtree(struct manager *m)
{
	char base[CGROUP_PATH_SIZE];
	const char *wish = getenv(CGROUPS_ENV);
	if (wish != NULL && str_bool(wish) == 0) {
		return -ECANCELED;
	}
	int failed = cgroup_find(0, base, sizeof(base));
	int top = failed != 0 ? failed : cgroup_subtree_open(base, m->share->keeper_pid);
	failed = top < 0 ? top : keeper_hold(m, HELD_NAME, top);
	if (failed != 0 && top >= 0) {
		close(top);
	}
	return failed != 0 ? failed : top;
}

static bool know_path(struct cgroups *c)
{
	char link[48];
	snprintf(link, sizeof(link), "/proc/self/fd/%d", c->top);
	ssize_t length = readlink(link, c->path, sizeof(c->path) - 1);
	c->path[length > 0 ? length : 0] = '\0';
	return length > 1 && c->path[0] == '/' && strrchr(c->path, '/') != c->path;
}

static void watch_open(struct manager *m)
{
	struct cgroups *c = m->cgroups;
	c->watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (c->watch >= 0 && loop_watch(m, c->watch, WATCH_CGROUPS, 0, EPOLLIN) < 0) {
		close(c->watch);
		c->watch = -1;
	}
}

void cgroups_begin(struct manager *m, struct held *held)
{
	struct cgroups *c = calloc(1, sizeof(*c));
	if (c == NULL) {
		return;
	}
	m->cgroups = c;
	c->watch = -1;
	c->top = held_take(held, HELD_NAME);
	bool taken = c->top >= 0;
	if (!taken) {
		c->top = make_subtree(m);
	}
	if (c->top < 0) {
		c->refused = -c->top;
		c->top = -1;
		return;
	}
	fcntl(c->top, F_SETFD, FD_CLOEXEC);
	if (!know_path(c)) {
		c->refused = ENOENT;
		close(c->top);
		c->top = -1;
		return;
	}
	watch_open(m);
	if (taken) {
		c->enabled = cgroup_enable(c->top, 0);
	} else {
		enable(m, CGROUP_USUAL);
	}
}

/* Where processes were moved out of the way, they go back: the place that we were started in is as
 * it was. */
static void move_back(struct manager *m)
{
	struct cgroups *c = m->cgroups;
	int base = base_open(c), leaf = cgroup_open(c->top, OWN_LEAF);
	static pid_t list[1024];
	if (base >= 0 && leaf >= 0) {
		cgroup_disable(c->top, c->enabled);
		cgroup_disable(base, c->enabled);
		int count = cgroup_pids(leaf, list, 1024);
		for (int i = 0; i < count; i++) {
			(void)cgroup_put(base, list[i]);
		}
	}
	if (base >= 0) {
		close(base);
	}
	if (leaf >= 0) {
		close(leaf);
		(void)cgroup_remove(c->top, OWN_LEAF);
	}
	(void)m;
}

void cgroups_end(struct manager *m)
{
	struct cgroups *c = m->cgroups;
	if (c == NULL || c->top < 0 || !m->ended) {
		return;
	}
	for (uint32_t i = 0; i < m->nodes_room; i++) {
		if (m->nodes[i] != NULL) {
			cgroup_leave(m, m->nodes[i]);
		}
	}
	move_back(m);
	/* By its name: what is not empty stays. */
	(void)rmdir(c->path);
	keeper_drop(m, HELD_NAME);
}

void cgroups_free(struct manager *m)
{
	struct cgroups *c = m->cgroups;
	if (c != NULL) {
		if (c->watch >= 0) {
			close(c->watch);
		}
		if (c->top >= 0) {
			close(c->top);
		}
		free(c);
		m->cgroups = NULL;
	}
}

/* --- one group --- */

static bool has_top(const struct manager *m)
{
	return m->cgroups != NULL && m->cgroups->top >= 0;
}

int cgroup_of_node(struct manager *m, const struct node *node)
{
	char name[CGROUP_NAME_SIZE];
	if (!has_top(m) || !cgroup_name(node_unit_name(node), name, sizeof(name))) {
		return -1;
	}
	int fd = cgroup_open(m->cgroups->top, name);
	return fd < 0 ? -1 : fd;
}

const char *cgroup_path_of(struct manager *m, const struct node *node)
{
	char name[CGROUP_NAME_SIZE];
	struct cgroups *c = m->cgroups;
	int fd = cgroup_of_node(m, node);
	if (fd < 0 || !cgroup_name(node_unit_name(node), name, sizeof(name))) {
		return NULL;
	}
	close(fd);
	snprintf(c->shown, sizeof(c->shown), "%s/%s", c->path, name);
	return c->shown;
}

static void watch_file(struct manager *m, struct node *node, const char *file)
{
	struct cgroups *c = m->cgroups;
	const char *path = cgroup_path_of(m, node);
	char whole[sizeof(c->shown) + 32];
	if (c->watch >= 0 && path != NULL) {
		snprintf(whole, sizeof(whole), "%s/%s", path, file);
		int got = inotify_add_watch(c->watch, whole, IN_MODIFY);
		node->cgroup_watch = got > 0 ? got : 0;
	}
}

static void forget_group(struct node *node)
{
	node->cgroup_hash = 0;
	node->cgroup_watch = 0;
	node->cgroup_killed = false;
	node->oom_kills = 0;
}

static void kill_group(struct node *node, int group)
{
	node->cgroup_killed = true;
	(void)cgroup_kill(group);
}

/* 0 or -errno (-EBUSY: somebody lives there). */
static int remove_group(struct manager *m, struct node *node)
{
	char name[CGROUP_NAME_SIZE];
	if (!cgroup_name(node_unit_name(node), name, sizeof(name))) {
		return 0;
	}
	int failed = cgroup_remove(m->cgroups->top, name);
	if (failed == 0) {
		forget_group(node);
	}
	return failed;
}

void cgroup_leave(struct manager *m, struct node *node)
{
	if (has_top(m)) {
		(void)remove_group(m, node);
	}
}

/* --- settings --- */

static const char *refusal(int error)
{
	switch (error) {
	case ECANCELED: return CGROUPS_ENV "=no";
	case ENOENT: return "no cgroup v2";
	default: return strerror(error);
	}
}

static void say_refused(
	struct manager *m, struct node *node, const struct unit_cgroup_setting *setting, int error)
{
	char why[160];
	enum cgroup_controller controller = cgroup_controller_of(setting->file);
	const char *key = cgroup_directive(setting->file, setting->value);
	if (!has_top(m)) {
		snprintf(why, sizeof(why), "there are no cgroups here (%s)",
			m->cgroups == NULL ? "no memory" : refusal(m->cgroups->refused));
	} else if (controller < CGROUP_CONTROLLER_COUNT &&
		   (m->cgroups->enabled >> controller & 1) == 0) {
		snprintf(why, sizeof(why), "there is no %s controller here",
			cgroup_controller_names[controller]);
	} else {
		snprintf(why, sizeof(why), "%s: %s", setting->file, strerror(error));
	}
	misses_say(node, key != NULL ? key : setting->file, why);
}

/* A controller that not everybody gets is enabled for the first unit that asks for it. */
static void need_controller(struct manager *m, const char *file)
{
	enum cgroup_controller controller = cgroup_controller_of(file);
	uint32_t bit = controller < CGROUP_CONTROLLER_COUNT ? UINT32_C(1) << controller : 0;
	if (bit != 0 && (bit & CGROUP_USUAL) == 0 && (m->cgroups->enabled & bit) == 0) {
		enable(m, m->cgroups->enabled | bit);
	}
}

static int apply_one(int group, const struct unit_cgroup_setting *setting)
{
	char value[CGROUP_PATH_SIZE];
	int failed = 0;
	if (setting->relative) {
		failed = cgroup_relative_value(
			setting->file, setting->percent_100, value, sizeof(value));
	} else if (setting->value[0] == '/') {
		failed = cgroup_device_value(setting->value, value, sizeof(value));
	} else if (!str_copy(value, sizeof(value), setting->value)) {
		failed = -ENAMETOOLONG;
	}
	return failed != 0 ? failed : cgroup_write(group, setting->file, value);
}

static void apply_settings(struct manager *m, struct node *node, int group)
{
	const struct unit_service *exec = node->definition->exec;
	for (uint32_t i = 0; i < exec->cgroup_count; i++) {
		const struct unit_cgroup_setting *setting = &exec->cgroup[i];
		int failed = -ENOENT;
		if (group >= 0) {
			need_controller(m, setting->file);
			failed = apply_one(group, setting);
		}
		if (failed != 0) {
			say_refused(m, node, setting, -failed);
		}
	}
	if (group >= 0 && exec->oom_policy == UNIT_OOM_KILL) {
		(void)cgroup_write(group, "memory.oom.group", "1");
	}
}

/* The files are read directly: a look-up through the network would hold up the tree. */
static bool find_user(const struct definition *d, uid_t *uid, gid_t *gid)
{
	uint64_t number;
	if (d->exec->user == NULL) {
		return false;
	}
	if (d->plan.set_user) {
		*uid = d->plan.uid;
		*gid = d->plan.set_group ? d->plan.gid : (gid_t)-1;
		return true;
	}
	FILE *file = fopen("/etc/passwd", "re");
	struct passwd *user = NULL;
	bool is_number = str_u64(d->exec->user, 0, UINT32_MAX, &number) == 0;
	while (file != NULL && (user = fgetpwent(file)) != NULL) {
		if (is_number ? user->pw_uid == number
			      : strcmp(user->pw_name, d->exec->user) == 0) {
			*uid = user->pw_uid;
			*gid = user->pw_gid;
			break;
		}
	}
	if (file != NULL) {
		(void)fclose(file);
	}
	return user != NULL;
}

/* Delegate=: the group belongs to the unit's user, who may make groups in it. */
static void delegate(struct manager *m, const struct node *node, int group)
{
	static const char *const files[] = {
		".", "cgroup.procs", "cgroup.subtree_control", "cgroup.threads"};
	uid_t uid;
	gid_t gid;
	bool user = find_user(node->definition, &uid, &gid);
	int control = cgroup_make(group, CONTROL_LEAF);
	if (control >= 0) {
		close(control);
	}
	for (size_t i = 0; user && i < sizeof(files) / sizeof(files[0]); i++) {
		if (fchownat(group, files[i], uid, gid, 0) < 0) {
			log_warning("%s: %s of its cgroup: %s", node_unit_name(node), files[i],
				strerror(errno));
		}
	}
	(void)m;
}

static int make_group(struct manager *m, struct node *node)
{
	char name[CGROUP_NAME_SIZE];
	int group = !cgroup_name(node_unit_name(node), name, sizeof(name))
			    ? -ENAMETOOLONG
			    : cgroup_make(m->cgroups->top, name);
	if (group < 0) {
		log_warning(
			"%s: cannot make its cgroup: %s", node_unit_name(node), strerror(-group));
		return -1;
	}
	node->cgroup_hash = node->definition->hash | 1;
	apply_settings(m, node, group);
	if (node->definition->exec->delegate) {
		delegate(m, node, group);
	}
	if ((m->cgroups->enabled & CGROUP_BIT(MEMORY)) != 0) {
		watch_file(m, node, "memory.events");
	}
	return group;
}

/* --- a start --- */

static bool kills_group(const struct node *node)
{
	return node->definition->service.kill_mode == KILL_CONTROL_GROUP ||
	       node->definition->service.kill_mode == KILL_MIXED;
}

/* What is left from the start before goes, and is waited for: it may hold a port. */
static void clear_group(struct node *node, int group)
{
	if (!kills_group(node) || !cgroup_populated(group)) {
		return;
	}
	kill_group(node, group);
	if (!cgroup_wait_empty(group, EMPTY_WAIT_MS)) {
		log_warning("%s: processes of the start before have not ended yet",
			node_unit_name(node));
	}
}

/* A group with other settings, or whose counters have counted, or in which all was killed (see
 * cgroup_kill()), is made anew. */
static int prepare_group(struct manager *m, struct node *node)
{
	int group = cgroup_of_node(m, node);
	bool stale = node->cgroup_hash != (node->definition->hash | 1) || node->oom_kills > 0 ||
		     node->cgroup_killed;
	if (group >= 0 && (stale || node->cgroup_left)) {
		clear_group(node, group);
		node->cgroup_left = false;
	}
	if (group >= 0 && stale) {
		(void)remove_group(m, node);
		close(group);
		group = -1;
	}
	return group >= 0 ? group : make_group(m, node);
}

static int group_for_spawn(
	struct manager *m, struct node *node, const struct tree_order *order, bool first)
{
	if (order->role == ROLE_PROBE) {
		return order->on ? cgroup_of_node(m, node) : -1;
	}
	if (!has_top(m)) {
		if (first && node->definition->exec->cgroup_count > 0) {
			apply_settings(m, node, -1);
		}
		return -1;
	}
	int group = first ? prepare_group(m, node) : cgroup_of_node(m, node);
	if (group < 0 && !first) {
		group = make_group(m, node);
	}
	if (group >= 0 && node->definition->exec->delegate && order->role != ROLE_MAIN) {
		int control = cgroup_make(group, CONTROL_LEAF);
		close(group);
		return control < 0 ? -1 : control;
	}
	return group;
}

void cgroup_for_spawn(struct manager *m, struct node *node, const struct tree_order *order,
	bool first, struct process_spawn *spawn)
{
	spawn->cgroup_fd = group_for_spawn(m, node, order, first);
	/* What was done to a group of the manager before is not known. */
	spawn->cgroup_entered = node->cgroup_killed || node->cgroup_hash == 0;
}

/* --- an end --- */

bool cgroup_signal_others(struct manager *m, struct node *node, int signo)
{
	int group = cgroup_of_node(m, node);
	if (group < 0) {
		return false;
	}
	if (signo == SIGKILL) {
		kill_group(node, group);
	} else {
		(void)cgroup_signal(group, signo, node_pid(m, node, ROLE_MAIN));
	}
	close(group);
	return true;
}

static bool stays_down(struct manager *m, const struct node *node)
{
	struct tree_view view;
	tree_look(m->tree, node->index, m->now, &view);
	return view.state == STATE_STOPPED || view.state == STATE_FAILED ||
	       view.state == STATE_DONE;
}

bool cgroup_ended(struct manager *m, struct node *node)
{
	int group = cgroup_of_node(m, node);
	if (group < 0) {
		return false;
	}
	node->cgroup_left = cgroup_populated(group);
	if (node->cgroup_left && kills_group(node)) {
		kill_group(node, group);
	}
	close(group);
	if (stays_down(m, node) && remove_group(m, node) == -EBUSY) {
		watch_file(m, node, "cgroup.events"); /* it goes when it is empty */
	}
	return true;
}

/* --- what the kernel says --- */

static uint64_t count_oom_kills(struct manager *m, const struct node *node)
{
	uint64_t count = 0;
	int group = cgroup_of_node(m, node);
	if (group >= 0) {
		(void)cgroup_read_key(group, "memory.events", "oom_kill", &count);
		close(group);
	}
	return count;
}

bool cgroup_was_oom(struct manager *m, struct node *node)
{
	if (!has_top(m) || (m->cgroups->enabled & CGROUP_BIT(MEMORY)) == 0) {
		return false;
	}
	uint64_t count = count_oom_kills(m, node);
	bool more = count > node->oom_kills;
	node->oom_kills = count;
	return more;
}

/* Something of the unit was killed for want of memory; that its main process was is known by its
 * death. */
static void oom_happened(struct manager *m, struct node *node)
{
	struct tree_view view;
	tree_look(m->tree, node->index, m->now, &view);
	bool goes_on = node->definition->exec->oom_policy == UNIT_OOM_CONTINUE;
	log_warning("%s: the kernel killed a process for want of memory%s", node_unit_name(node),
		goes_on ? "" : "; the unit ends (OOMPolicy=)");
	if (goes_on || !view.main_alive) {
		return;
	}
	struct tree_event event = {.kind = EV_FAIL,
		.node = node->index,
		.generation = node->generation,
		.incarnation = view.incarnation,
		.end = {.reason = REASON_OOM}};
	manager_post(m, &event, 0, 0);
}

static void group_changed(struct manager *m, struct node *node)
{
	if (stays_down(m, node)) {
		(void)remove_group(m, node);
	} else if (cgroup_was_oom(m, node)) {
		oom_happened(m, node);
	}
}

void cgroups_dispatch(struct manager *m)
{
	_Alignas(struct inotify_event) char buf[4096];
	ssize_t length = read(m->cgroups->watch, buf, sizeof(buf));
	for (ssize_t at = 0; at < length;) {
		const struct inotify_event *event = (const void *)(buf + at);
		at += (ssize_t)(sizeof(*event) + event->len);
		for (uint32_t i = 0; (event->mask & IN_MODIFY) != 0 && i < m->nodes_room; i++) {
			struct node *node = m->nodes[i];
			if (node != NULL && node->cgroup_watch == event->wd) {
				group_changed(m, node);
				break;
			}
		}
	}
}
