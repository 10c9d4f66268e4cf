#include "keeper/state.h"

#include "base/compat.h"
#include "base/names.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct keeper keeper;

uint64_t keeper_now(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NS_PER_SEC + (uint64_t)now.tv_nsec;
}

pid_t keeper_spawn(void (*exec)(const void *arg), const void *arg)
{
	static volatile int failed; /* The child writes it: it runs in our memory until its exec. */
	failed = 0;
	pid_t pid = vfork();
	if (pid == 0) {
		exec(arg);
		failed = errno;
		_exit(127);
	}
	failed = pid < 0 ? errno : failed;
	if (failed != 0 && pid > 0) {
		waitpid(pid, NULL, 0);
	}
	return failed != 0 ? -failed : pid;
}

/* --- start --- */

/* A container may start us with standard streams closed. What else we inherit is nobody's. */
static void keeper_start_descriptors(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
		if (fcntl(fd, F_GETFD) < 0) {
			(void)!open("/dev/null", O_RDWR);
		}
	}
	if (compat_close_range(3, ~0U, 0) < 0) {
		for (int fd = 3; fd < 1024; fd++) { /* An old profile of seccomp refuses it. */
			close(fd);
		}
	}
	/* Held descriptors are many. The manager gets the limit that we were given. */
	getrlimit(RLIMIT_NOFILE, &keeper.nofile);
	struct rlimit all = {keeper.nofile.rlim_max, keeper.nofile.rlim_max};
	setrlimit(RLIMIT_NOFILE, &all);
}

static bool keeper_start(void)
{
	struct epoll_event event = {.events = EPOLLIN, .data.fd = KEEPER_FD_SIGNALS};
	keeper.pid1 = getpid() == 1;
	keeper.manager_socket = -1;
	keeper.sweep_at_ns = keeper.start_at_ns = SPAN_INFINITY;
	keeper_start_descriptors();
	if (!keeper.pid1 && prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0) {
		log_warning("no child subreaper: orphans of services go to another process");
	}
	/* Each gets the lowest free number: the last has its own when all of them have theirs. */
	memfd_create("coppice-state", MFD_CLOEXEC);
	memfd_create("coppice-journal", MFD_CLOEXEC);
	epoll_create1(EPOLL_CLOEXEC);
	eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (signals_start() != KEEPER_FD_SIGNALS ||
		epoll_ctl(KEEPER_FD_EPOLL, EPOLL_CTL_ADD, KEEPER_FD_SIGNALS, &event) < 0 ||
		ftruncate(SHARE_FD_STATE, sizeof(struct share)) < 0) {
		return false;
	}
	keeper.share = mmap(
		NULL, sizeof(struct share), PROT_READ | PROT_WRITE, MAP_SHARED, SHARE_FD_STATE, 0);
	if (keeper.share == MAP_FAILED) {
		return false;
	}
	share_init(keeper.share, getpid());
	unsetenv(SHARE_ENV_NO_JOURNAL); /* what an outer keeper said */
	return true;
}

/* --- the loop --- */

void keeper_turn(uint64_t until_ns)
{
	struct epoll_event events[8];
	uint64_t due = span_earlier(until_ns, span_earlier(reap_due(), keeper.start_at_ns));
	uint64_t now = due == SPAN_INFINITY || due == 0 ? 0 : keeper_now();
	uint64_t ms = due <= now ? 0 : (due - now - 1) / NS_PER_MS + 1; /* rounded up */
	int timeout = due == SPAN_INFINITY ? -1 : (int)span_earlier(ms, INT_MAX);
	int count = epoll_wait(KEEPER_FD_EPOLL, events, 8, timeout);
	for (int i = 0; i < count; i++) {
		int fd = events[i].data.fd;
		if (fd == KEEPER_FD_SIGNALS) {
			signals_read();
		} else if (fd == keeper.manager_socket) {
			manager_listen();
			manager_tell(0);
		} else {
			caretaker_drop(fd);
		}
	}
	now = keeper_now();
	if (now >= reap_due()) {
		reap_search();
	}
	if (now >= keeper.start_at_ns) {
		manager_start();
	}
}

int keeper_run(const struct keeper_config *config)
{
	keeper.config = *config;
	log_never_block();
	if (!keeper_start()) {
		log_error("cannot start: %s", errno_name(errno));
		return 1;
	}
	manager_start();
	while (!keeper.ending && !keeper.stop_alone) {
		keeper_turn(SPAN_INFINITY);
	}
	caretaker_finish();
	/* A machine's process 1 would now unmount and call reboot(2) instead of ending. */
	return keeper.exit_status;
}
