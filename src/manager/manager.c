#include "manager/manager.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/str.h"
#include "manager/cgroup.h"
#include "manager/sockets.h"
#include "process/spawn.h"

#define STATUS_FAILED   1
#define STATUS_INVALID  2
#define CONTROL_BACKLOG 128

/* --- names --- */

static int make_parents(const char *path, mode_t mode)
{
	char part[sizeof(((struct manager *)0)->run_dir)];
	for (size_t i = 1; path[i] != '\0'; i++) {
		if (path[i] == '/' && i < sizeof(part)) {
			memcpy(part, path, i);
			part[i] = '\0';
			if (mkdir(part, mode) < 0 && errno != EEXIST) {
				return -errno;
			}
		}
	}
	return 0;
}

/* The control socket and what stands beside it: the lock, the notify sockets. The same rule as the
 * client library's, which looks for it. */
static int find_paths(struct manager *m, struct err *err)
{
	const char *given = m->options.control, *runtime = getenv("XDG_RUNTIME_DIR");
	char *path = m->control_path;
	size_t size = sizeof(m->control_path);
	int length;
	if (given == NULL || given[0] == '\0') {
		given = getenv("COPPICE_CONTROL");
	}
	if (given != NULL && given[0] != '\0') {
		length = snprintf(path, size, "%s", given);
	} else if (!m->user) {
		length = snprintf(path, size, "/run/coppice/control");
	} else if (runtime != NULL && runtime[0] == '/') {
		length = snprintf(path, size, "%s/coppice/control", runtime);
	} else {
		length = snprintf(path, size, "/tmp/coppice-%u/control", (unsigned)geteuid());
	}
	if (length >= (int)size) {
		return err_set(err, ENAMETOOLONG,
			"the control socket's path is longer than %zu bytes", size - 1);
	}
	if (path[0] != '/') {
		/* Services work elsewhere: what they are told must not depend on where they are. */
		char here[sizeof(m->control_path)], relative[sizeof(m->control_path)];
		str_copy(relative, sizeof(relative), path);
		if (getcwd(here, sizeof(here)) == NULL ||
			snprintf(path, size, "%.*s/%s", 50, here, relative) >= (int)size ||
			strlen(here) > 50) {
			return err_set(
				err, ENAMETOOLONG, "the control socket needs an absolute path");
		}
	}
	const char *slash = strrchr(path, '/');
	snprintf(m->run_dir, sizeof(m->run_dir), "%.*s", (int)(slash - path), path);
	if (strcmp(slash, "/control") == 0) {
		snprintf(m->notify_dir, sizeof(m->notify_dir), "%s/notify", m->run_dir);
	} else {
		snprintf(m->notify_dir, sizeof(m->notify_dir), "%s.notify", path);
	}
	snprintf(m->misses_path, sizeof(m->misses_path), "%s.misses", path);
	return 0;
}

static void find_helper(struct manager *m)
{
	char self[sizeof(m->program)];
	ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);
	self[length > 0 ? length : 0] = '\0';
	char *slash = strrchr(self, '/');
	if (slash != NULL) {
		*slash = '\0';
		snprintf(m->helper_path, sizeof(m->helper_path), "%.*s/coppice-exec", 4000, self);
	}
	if (slash == NULL || access(m->helper_path, X_OK) < 0) {
		snprintf(m->helper_path, sizeof(m->helper_path), "%s/coppice-exec",
			COPPICE_LIBEXECDIR);
	}
}

static int find_units(struct manager *m, struct err *err)
{
	const char *path = m->options.unit_path;
	const char *root = m->options.root != NULL ? m->options.root : "default.supervisor";
	if (path == NULL || path[0] == '\0') {
		path = getenv("COPPICE_UNIT_PATH");
	}
	if (unit_name_normalize(root, m->root_name, sizeof(m->root_name)) < 0) {
		return err_set(err, EINVAL, "'%s' cannot be the name of a unit", root);
	}
	if (!str_ends(m->root_name, ".supervisor") && !str_ends(m->root_name, ".target")) {
		return err_set(err, EINVAL, "%s: the root must be a supervisor or a target", root);
	}
	int failed = unit_search_default(&m->arena, m->user, path, &m->search);
	return failed < 0 ? err_set(err, -failed, "no search path for units: %s", strerror(-failed))
			  : 0;
}

/* --- the keeper's side --- */

static void keeper_has_died(int signo)
{
	(void)signo; /* it ends the wait; the loop looks at getppid(2) */
}

static int attach_signals(struct manager *m)
{
	struct sigaction action = {.sa_handler = keeper_has_died};
	sigaction(SIGUSR1, &action, NULL);
	signal(SIGPIPE, SIG_IGN);
	/* An outer supervisor that stops us asks all processes of our cgroup; it is the keeper who
	 * hears it. */
	signal(SIGTERM, SIG_IGN);
	prctl(PR_SET_PDEATHSIG, SIGUSR1, 0, 0, 0);
	return getppid() == m->share->keeper_pid ? 0 : -ESRCH;
}

static void raise_descriptors(struct manager *m)
{
	struct rlimit all;
	if (getrlimit(RLIMIT_NOFILE, &m->nofile) == 0 && m->nofile.rlim_cur < m->nofile.rlim_max) {
		all = (struct rlimit){m->nofile.rlim_max, m->nofile.rlim_max};
		m->nofile_raised = setrlimit(RLIMIT_NOFILE, &all) == 0;
	}
}

static int attach(struct manager *m, struct err *err)
{
	const char *incarnation = getenv(SHARE_ENV_INCARNATION);
	struct stat status;
	if (incarnation == NULL || fstat(SHARE_FD_STATE, &status) < 0 ||
		status.st_size < (off_t)sizeof(struct share)) {
		return err_set(err, ENOTCONN,
			"coppice-manager is started by coppice; to start a tree, run coppice");
	}
	m->incarnation = (uint32_t)strtoul(incarnation, NULL, 10);
	m->share = mmap(
		NULL, sizeof(struct share), PROT_READ | PROT_WRITE, MAP_SHARED, SHARE_FD_STATE, 0);
	if (m->share == MAP_FAILED) {
		return err_set(err, errno, "the shared state: %s", strerror(errno));
	}
	if (share_check(m->share) < 0) {
		return err_set(err, EPROTO, "the keeper is of another version");
	}
	m->keeper_fd = SHARE_FD_KEEPER;
	m->death_fd = SHARE_FD_DEATH;
	for (int fd = SHARE_FD_STATE; fd <= SHARE_FD_DEATH; fd++) {
		fcntl(fd, F_SETFD, FD_CLOEXEC);
	}
	if (attach_signals(m) < 0) {
		return err_set(err, ESRCH, "the keeper is gone");
	}
	raise_descriptors(m);
	int failed = process_spawn_init();
	if (failed != 0) {
		return err_set(err, -failed, "no descriptors to start processes with: %s",
			strerror(-failed));
	}
	return 0;
}

/* --- the control socket --- */

/* A place that anybody can make a directory in: is this one ours? */
static int run_dir_check(const struct manager *m, struct err *err)
{
	struct stat status;
	if (strncmp(m->run_dir, "/tmp/coppice-", strlen("/tmp/coppice-")) != 0 ||
		lstat(m->run_dir, &status) < 0) {
		return 0;
	}
	if (!S_ISDIR(status.st_mode) || status.st_uid != geteuid() || (status.st_mode & 022) != 0) {
		return err_set(err, EPERM, "%s belongs to somebody else, or others may write to it",
			m->run_dir);
	}
	return 0;
}

/* Held by the keeper, so that it is taken as long as coppice runs, whatever becomes of managers. */
static int lock_take(struct manager *m, struct held *held, struct err *err)
{
	char path[sizeof(m->control_path) + 8];
	m->lock_fd = held_take(held, "lock");
	if (m->lock_fd >= 0) {
		return 0;
	}
	int failed = make_parents(m->control_path, m->user ? 0700 : 0755);
	if (failed != 0) {
		return err_set(err, -failed, "%s: %s", m->run_dir, strerror(-failed));
	}
	failed = run_dir_check(m, err);
	if (failed != 0) {
		return failed;
	}
	snprintf(path, sizeof(path), "%s.lock", m->control_path);
	m->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (m->lock_fd < 0) {
		return err_set(err, errno, "%s: %s", path, strerror(errno));
	}
	if (flock(m->lock_fd, LOCK_EX | LOCK_NB) < 0) {
		return err_set(err, errno,
			errno == EWOULDBLOCK ? "another coppice runs with the control socket %s"
					     : "cannot lock %s",
			m->control_path);
	}
	return keeper_hold(m, "lock", m->lock_fd);
}

static int control_open(struct manager *m, struct held *held, struct err *err)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	m->control_fd = held_take(held, "control");
	if (m->control_fd >= 0) {
		return 0;
	}
	str_copy(address.sun_path, sizeof(address.sun_path), m->control_path);
	m->control_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (m->control_fd < 0) {
		return err_set(err, errno, "the control socket: %s", strerror(errno));
	}
	unlink(m->control_path); /* we have the lock: whoever made it is gone */
	if (bind(m->control_fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
		chmod(m->control_path, 0666) < 0 || listen(m->control_fd, CONTROL_BACKLOG) < 0) {
		return err_set(
			err, errno, "the control socket %s: %s", m->control_path, strerror(errno));
	}
	return keeper_hold(m, "control", m->control_fd);
}

/* --- start-up --- */

static int allocate(struct manager *m)
{
	m->slots_free = calloc(SHARE_SLOTS_MAX, sizeof(*m->slots_free));
	m->scratch = malloc(SCRATCH_SIZE);
	m->trace = calloc(TRACE_SIZE, sizeof(*m->trace));
	m->passing = calloc(1, sizeof(*m->passing));
	m->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	return m->slots_free != NULL && m->scratch != NULL && m->trace != NULL &&
			       m->passing != NULL && m->epoll_fd >= 0
		       ? 0
		       : -ENOMEM;
}

/* The first start of all, or one without the journal: units from disk, or from the bundle that the
 * tree runs on. */
static int load_fresh(struct manager *m, struct held *held, struct err *err)
{
	struct unit_messages messages = {0};
	if (m->incarnation > 1 && units_restore(m, held, 0, err) == 0) {
		return 0;
	}
	m->bundle = unit_bundle_create(&unit_source_disk);
	if (m->bundle == NULL) {
		return err_set(err, ENOMEM, "no memory");
	}
	struct unit_set *set = units_load(m, unit_bundle_source(m->bundle), &messages);
	units_print(&messages);
	unit_messages_finish(&messages);
	if (set == NULL) {
		return err_set(err, EINVAL, "the units are not valid; nothing was started");
	}
	unit_bundle_set_below(m->bundle, NULL);
	m->generation = generation_create(set);
	return m->generation == NULL ? err_set(err, ENOMEM, "no memory") : 0;
}

static int begin_fresh(struct manager *m, struct held *held, struct err *err)
{
	struct timespec real;
	clock_gettime(CLOCK_REALTIME, &real);
	m->started_at_s = (uint64_t)real.tv_sec;
	int failed = load_fresh(m, held, err);
	if (failed == 0) {
		failed = lock_take(m, held, err);
	}
	if (failed == 0) {
		failed = nodes_build(m, err);
	}
	if (failed != 0) {
		return failed;
	}
	return control_open(m, held, err);
}

/* Sockets for those that have none yet. */
static void open_notify_sockets(struct manager *m)
{
	for (uint32_t i = 0; i < m->nodes_room; i++) {
		if (m->nodes[i] != NULL) {
			notify_socket_open(m, m->nodes[i]);
		}
	}
}

static void boot(struct manager *m)
{
	bool adopt = m->incarnation > 1 && slots_any(m);
	if (adopt) {
		log_warning("starting without the journal: living services are taken over");
		adopt_begin(m);
	} else {
		slots_rebuild(m);
		prepare_system(m);
	}
	int failed = units_hold(m);
	if (failed != 0) {
		log_warning("the units cannot be kept for a next manager: %s", strerror(-failed));
	}
	struct tree_event event = {.kind = EV_BOOT};
	manager_post(m, &event, 0, 0);
	if (adopt) {
		manager_run(m);
		adopt_instances(m);
	}
}

static int watch_all(struct manager *m)
{
	int failed = loop_watch(m, m->keeper_fd, WATCH_KEEPER, 0, EPOLLIN);
	if (failed == 0) {
		failed = loop_watch(m, m->death_fd, WATCH_DEATH, 0, EPOLLIN | EPOLLET);
	}
	return failed;
}

/* Units that are wrong, or another coppice: said once, and the keeper ends with this status. */
static int fatal(struct manager *m, int failed, const struct err *err)
{
	int status = failed == -EINVAL ? STATUS_INVALID : STATUS_FAILED;
	log_error("%s", err->text);
	keeper_tell(m, SHARE_MSG_FATAL, status, 0);
	return status;
}

static int begin(struct manager *m, struct held *held, struct err *err)
{
	bool no_journal = getenv(SHARE_ENV_NO_JOURNAL) != NULL;
	int state = journal_open(&m->journal, SHARE_FD_JOURNAL, sizeof(struct tree_event));
	if (state < 0) {
		log_warning("no journal (%s): a new manager would begin anew", strerror(-state));
		state = 0;
	}
	if (no_journal) {
		journal_clear(&m->journal);
	}
	if (state == 1 && !no_journal) {
		uint64_t since = loop_clock();
		cgroups_begin(m, held);
		int failed = recover(m, held, err);
		if (failed == 0) {
			failed = lock_take(m, held, err);
		}
		if (failed == 0) {
			failed = control_open(m, held, err);
		}
		if (failed != 0) {
			log_error("cannot go on from the journal: %s", err->text);
			return failed;
		}
		held_finish(m, held);
		open_notify_sockets(m);
		recover_finish(m);
		snapshot_take(m);
		log_notice("manager %u goes on with %u units after %llu us", m->incarnation,
			m->nodes_count, (unsigned long long)(loop_clock() - since) / 1000);
		return 0;
	}
	int failed = begin_fresh(m, held, err);
	if (failed != 0) {
		return fatal(m, failed, err);
	}
	cgroups_begin(m, held);
	held_finish(m, held);
	open_notify_sockets(m);
	boot(m);
	return 0;
}

static int serve(struct manager *m)
{
	struct err err = {{0}};
	struct held held = {0};
	if (attach(m, &err) != 0 || find_paths(m, &err) != 0) {
		log_error("%s", err.text);
		return STATUS_FAILED;
	}
	if (allocate(m) != 0 || keeper_receive_held(m, &held) != 0) {
		log_error("cannot start: no memory, or no keeper");
		return STATUS_FAILED;
	}
	m->now = loop_clock();
	int failed = begin(m, &held, &err);
	if (failed != 0) {
		return failed > 0 ? failed : STATUS_FAILED;
	}
	access_load(m);
	failed = watch_all(m);
	if (failed == 0) {
		failed = requests_serve(m);
	}
	if (failed != 0) {
		log_error("cannot serve: %s", strerror(-failed));
		return STATUS_FAILED;
	}
	/* From here on nobody who does not read our log may stop the tree. */
	log_never_block();
	if (misses_open(m) < 0) {
		log_notice("%s: %s", m->misses_path, strerror(errno));
	}
	keeper_tell(m, SHARE_MSG_READY, 0, 0);
	manager_run(m);
	stream_flush(m);
	return loop_run(m);
}

static int check(struct manager *m)
{
	struct unit_messages messages = {0};
	struct unit_set *set = units_load(m, &unit_source_disk, &messages);
	units_print(&messages);
	unit_messages_finish(&messages);
	bool valid = set != NULL;
	unit_set_destroy(set);
	return valid ? 0 : STATUS_INVALID;
}

/* Nothing is left that would look like a coppice that runs. The lock stays: whoever waits for it
 * has it open. */
static void clear_run_dir(struct manager *m)
{
	for (uint32_t i = 0; i < m->nodes_room; i++) {
		if (m->nodes[i] != NULL && m->nodes[i]->notify_path != NULL) {
			unlink(m->nodes[i]->notify_path);
		}
	}
	rmdir(m->notify_dir);
	unlink(m->control_path);
}

static void finish(struct manager *m)
{
	sweep_finish(m);
	cgroups_end(m);
	if (m->ended) {
		clear_run_dir(m);
	}
	misses_close(m);
	control_server_destroy(m->server);
	tree_destroy(m->tree);
	nodes_finish(m);
	trace_finish(m);
	generation_release(m->generation);
	unit_bundle_destroy(m->bundle);
	journal_close(&m->journal);
	timers_finish(&m->timers);
	arena_finish(&m->spawn_arena);
	arena_finish(&m->arena);
	free(m->queue);
	free(m->slots_free);
	free(m->scratch);
	free(m->passing);
	cgroups_free(m);
	strays_free(m);
	free(m->envp);
	free(m->control_uids);
	free(m);
}

int manager_main(const struct manager_options *options)
{
	struct err err = {{0}};
	struct manager *m = calloc(1, sizeof(*m));
	if (m == NULL) {
		log_error("no memory");
		return STATUS_FAILED;
	}
	m->options = *options;
	m->user = geteuid() != 0;
	m->control_gid = UINT32_MAX;
	m->keeper_fd = m->death_fd = m->lock_fd = m->control_fd = m->epoll_fd = -1;
	m->misses_fd = -1;
	find_helper(m);
	int status;
	if (find_units(m, &err) != 0) {
		log_error("%s", err.text);
		if (!options->check && attach(m, &err) == 0) {
			keeper_tell(m, SHARE_MSG_FATAL, STATUS_INVALID, 0);
		}
		status = STATUS_INVALID;
	} else {
		status = options->check ? check(m) : serve(m);
	}
	finish(m);
	return status;
}
