#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/span.h"
#include "manager/cgroup.h"
#include "manager/manager.h"

/* A PIDFile= may appear after the parent has ended. It is looked for again and again, more and more
 * seldom, until the core's own deadline of the start is over. */
#define PAUSE_FIRST_NS NS_PER_MS
#define PAUSE_LAST_NS  (100 * NS_PER_MS)

void find_main_end(struct manager *m, struct node *node)
{
	timers_clear(&m->timers, &node->search);
	if (node->searching) {
		node->searching = false;
		if (m->searches > 0 && --m->searches == 0) {
			atomic_store(&m->share->orphans_wanted, 0);
		}
	}
}

static void post_found(struct manager *m, struct node *node, bool found)
{
	struct tree_event event = {.kind = EV_MAIN_FOUND,
		.flag = found,
		.node = node->index,
		.generation = node->generation,
		.incarnation = node->search_incarnation};
	find_main_end(m, node);
	manager_post(m, &event, 0, 0);
}

/* --- a process that we did not start --- */

static bool is_ours(struct manager *m, const struct node *node, pid_t pid)
{
	struct proc_stat stat;
	if (pid <= 1 || pid == getpid() || pid == m->share->keeper_pid ||
		proc_read_stat(pid, &stat) < 0 || stat.state == 'Z' || stat.state == 'X') {
		return false;
	}
	if (share_find(m->share, pid) != SHARE_SLOT_NONE) {
		return false;
	}
	return stat.ppid == m->share->keeper_pid || stat.session == node->parent_pid ||
	       stat.pgrp == node->parent_pid;
}

int main_adopt(struct manager *m, struct node *node, pid_t pid)
{
	uint32_t index = slot_claim(m);
	struct proc_stat stat;
	if (index == SHARE_SLOT_NONE) {
		return -EAGAIN;
	}
	struct share_slot *slot = slot_at(m, index);
	const struct definition *d = node->definition;
	slot_detach(m, node, ROLE_MAIN);
	slot_attach(m, node, ROLE_MAIN, index);
	slot->incarnation = node->search_incarnation;
	slot->sequence = ++m->spawn_sequence;
	slot->stop_signal = d->service.kill_signal;
	slot->stop_timeout_ns = d->service.stop_timeout_ns;
	/* Only a leader's number is that of its group. */
	bool kill = getpgid(pid) == pid && d->service.kill_mode <= KILL_MIXED &&
		    !d->service.exit_when_empty;
	slot->group = kill ? SHARE_GROUP_KILL : SHARE_GROUP_LEAVE;
	slot->spawned_at_ns = node->search_since_ns;
	snprintf(slot->unit, sizeof(slot->unit), "%.63s", node_unit_name(node));
	atomic_store(&slot->pid, pid);
	atomic_store(&slot->state, SLOT_ADOPTED);
	share_map_insert(m->share, index);
	/* From here on its death names the slot. Before, it may have been reaped as an orphan. */
	if (proc_read_stat(pid, &stat) < 0) {
		if (slot_is_dead(m, index)) {
			return 0; /* Its death is on the way, and finds the slot by its pid. */
		}
		slot_detach(m, node, ROLE_MAIN);
		slot_free(m, index);
		return -ESRCH;
	}
	node->last_pid = pid;
	return 0;
}

/* --- PIDFile= --- */

static pid_t pid_file_read(const char *path)
{
	char text[32];
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0) {
		return 0;
	}
	ssize_t length = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (length <= 0) {
		return 0;
	}
	text[length] = '\0';
	char *end;
	long number = strtol(text, &end, 10);
	return end == text || number <= 1 || number > INT32_MAX ? 0 : (pid_t)number;
}

static bool try_pid_file(struct manager *m, struct node *node)
{
	pid_t pid = pid_file_read(node_unit(node)->service->pid_file);
	return pid > 0 && is_ours(m, node, pid) && main_adopt(m, node, pid) == 0;
}

/* --- guessing --- */

static pid_t children[SHARE_SLOTS_MAX];

/* The mark that a process got from us, or inherited from one that did. */
static bool has_mark(const struct node *node, pid_t pid)
{
	char mark[UNIT_NAME_SIZE + 16];
	snprintf(mark, sizeof(mark), "COPPICE_UNIT=%s", node_unit_name(node));
	return proc_environ_has(pid, mark);
}

/* Those among whom the main process is: of the unit's cgroup, or all children of the keeper. */
static int candidates(struct manager *m, const struct node *node, bool *sure)
{
	int group = cgroup_of_node(m, node);
	*sure = group >= 0;
	if (group < 0) {
		return proc_children(m->share->keeper_pid, children, SHARE_SLOTS_MAX);
	}
	int count = cgroup_pids(group, children, SHARE_SLOTS_MAX);
	close(group);
	return count;
}

/* The one living child of the keeper that came from the process that has ended: of its cgroup, and
 * where there are none of its session or group, or (a daemon leaves both) with the mark of the unit
 * in its environment. */
static pid_t guess(struct manager *m, struct node *node, bool any)
{
	pid_t found = 0;
	bool sure;
	int count = candidates(m, node, &sure);
	for (int i = 0; i < count; i++) {
		struct proc_stat stat;
		if (!is_ours(m, node, children[i]) || proc_read_stat(children[i], &stat) < 0 ||
			(sure && stat.ppid != m->share->keeper_pid)) {
			continue;
		}
		if (!sure && stat.session != node->parent_pid && stat.pgrp != node->parent_pid &&
			!has_mark(node, children[i])) {
			continue;
		}
		if (found != 0) {
			return 0; /* Two are no guess. */
		}
		found = children[i];
		if (any) {
			return found;
		}
	}
	return found;
}

/* --- the search --- */

static void look_again_later(struct manager *m, struct node *node)
{
	uint64_t pause = node->search_pause_ns;
	node->search_pause_ns = pause * 2 < PAUSE_LAST_NS ? pause * 2 : PAUSE_LAST_NS;
	timers_set(&m->timers, &node->search, m->now + pause);
}

void find_main_again(struct manager *m, struct node *node)
{
	struct tree_view view;
	tree_look(m->tree, node->index, m->now, &view);
	if (!node->searching || !view.finding || view.incarnation != node->search_incarnation) {
		find_main_end(m, node);
		return;
	}
	if (view.service_state != SERVICE_STATE_START) {
		/* ExitType=cgroup: whoever is left of the unit is its main process now, for his end
		 * is seen. Processes whose parents have ended are the keeper's children. */
		pid_t next = guess(m, node, true);
		post_found(m, node, next > 0 && main_adopt(m, node, next) == 0);
		return;
	}
	if (node_unit(node)->service->pid_file != NULL) {
		if (try_pid_file(m, node)) {
			post_found(m, node, true);
		} else if (node->search_pause_ns >= PAUSE_LAST_NS && !strays_any(m, node)) {
			log_warning("%s: nobody is left to write %s", node_unit_name(node),
				node_unit(node)->service->pid_file);
			post_found(m, node, false);
		} else {
			look_again_later(m, node);
		}
		return;
	}
	pid_t pid = node_unit(node)->service->guess_main_pid ? guess(m, node, false) : 0;
	post_found(m, node, pid > 0 && main_adopt(m, node, pid) == 0);
}

void find_main_resume(struct manager *m, struct node *node)
{
	uint32_t slot = node->slots[ROLE_MAIN];
	uint64_t since = node->search_since_ns;
	find_main_begin(m, node);
	node->search_since_ns = since != 0 ? since : m->now;
	if (slot != SHARE_SLOT_NONE && atomic_load(&slot_at(m, slot)->state) == SLOT_ADOPTED) {
		post_found(m, node, true); /* it had been found, and not told */
	}
}

void find_main_begin(struct manager *m, struct node *node)
{
	struct tree_view view;
	tree_look(m->tree, node->index, m->now, &view);
	if (timers_first(&m->timers) == &node->search) {
		timers_clear(&m->timers, &node->search);
	}
	m->searches++;
	atomic_store(&m->share->orphans_wanted, 1);
	node->searching = true;
	node->search_incarnation = view.incarnation;
	node->search_since_ns = m->now;
	node->search_pause_ns = PAUSE_FIRST_NS;
	/* Looked for in a moment: in the middle of a step the core cannot be asked what it wants.
	 */
	timers_set(&m->timers, &node->search, m->now);
}
