#include "process/child.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/compat.h"

/* Sanitizers keep state about stacks and threads which a vforked child must not touch. */
#define CHILD_CODE __attribute__((no_sanitize("address", "undefined", "thread")))

/* On 32-bit machines the plain numbers of setuid(2) and its like are the 16-bit calls. */
static_assert(sizeof(long) == 8, "the raw calls here are those of 64-bit machines");
static_assert(PROCESS_LIMITS == RLIM_NLIMITS, "every resource limit has its place");

#define EXIT_FAILED     203 /* as systemd's EXIT_EXEC; the real news are exec_errno and exec_step */
#define CLOSE_BLIND_MAX 65536
#define DEFAULT_PATH    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* Every step returns 0 or a positive errno value. */
CHILD_CODE static int outcome(long value)
{
	return value < 0 ? errno : 0;
}

CHILD_CODE static int file_descriptor(const struct child_order *order, int place)
{
	return order->block + place;
}

CHILD_CODE static int cgroup_place(const struct child_order *order)
{
	return CHILD_STAGE_STREAMS + (int)order->spawn->pass_count;
}

/* --- descriptors --- */

struct child_dirent { /* linux_dirent64 of getdents64(2) */
	uint64_t inode;
	int64_t offset;
	unsigned short length;
	unsigned char type;
	char name[];
};

static _Alignas(8) char dirent_buffer[4096];

CHILD_CODE static int number_of(const char *name)
{
	int number = 0;

	for (; *name >= '0' && *name <= '9' && number < INT_MAX / 16; name++) {
		number = number * 10 + (*name - '0');
	}
	return *name == '\0' ? number : -1;
}

/* For kernels and containers without close_range(2). The table is the child's own. */
CHILD_CODE static void close_by_listing(int first, int kept)
{
	long dir = syscall(
		SYS_openat, AT_FDCWD, "/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	long size;

	if (dir < 0) {
		/* Without /proc: what the caller opened is close-on-exec by rule, so this is a
		 * second net, and its length is bounded. */
		for (int fd = first; fd < CLOSE_BLIND_MAX; fd++) {
			if (fd != kept) {
				syscall(SYS_close, fd);
			}
		}
		return;
	}
	while ((size = syscall(SYS_getdents64, dir, dirent_buffer, sizeof(dirent_buffer))) > 0) {
		for (long at = 0; at < size;) {
			const struct child_dirent *entry =
				(const struct child_dirent *)(const void *)(dirent_buffer + at);
			int fd = number_of(entry->name);

			if (fd >= first && fd != dir && fd != kept) {
				syscall(SYS_close, fd);
			}
			at += entry->length;
		}
	}
	syscall(SYS_close, dir);
}

/* The first call of a child that shares the caller's table: take a copy of what is staged and let
 * go of all above it. The kernel copies no more than that (close_range(2)). */
CHILD_CODE static int step_table(const struct child_order *order)
{
	bool notify = order->spawn->notify_number > 0;
	int above = file_descriptor(order, notify ? CHILD_STAGE_MAX : cgroup_place(order) + 1);

	if (!order->table_is_shared) {
		return 0;
	}
	return outcome(syscall(SYS_close_range, above, ~0U, CLOSE_RANGE_UNSHARE));
}

CHILD_CODE static int step_session(const struct child_order *order)
{
	return order->spawn->plan->new_session ? outcome(syscall(SYS_setsid)) : 0;
}

CHILD_CODE static int move_descriptor(long from, int to)
{
	return from == to ? 0 : outcome(syscall(SYS_dup3, from, to, 0));
}

/* O_NONBLOCK for the open alone: a FIFO without a peer must not stop the caller, who waits. */
CHILD_CODE static int open_stream(const char *path, int number, int flags)
{
	long fd = syscall(SYS_openat, AT_FDCWD, path, flags | O_NOCTTY | O_NONBLOCK, 0644);

	if (fd < 0) {
		return errno;
	}
	syscall(SYS_fcntl, fd, F_SETFL, flags & O_APPEND);
	return move_descriptor(fd, number); /* what is left above is closed by step_close_rest() */
}

CHILD_CODE static int stream_null(const struct child_order *order, int number)
{
	if (!order->null_is_staged) {
		return open_stream("/dev/null", number, number == 0 ? O_RDONLY : O_RDWR);
	}
	return move_descriptor(file_descriptor(order, number), number);
}

CHILD_CODE static int stream(
	const struct child_order *order, int number, const struct process_stdio *stdio)
{
	int writing = O_WRONLY | O_CREAT;

	switch ((enum process_stream)stdio->kind) {
	case STREAM_NULL: return stream_null(order, number);
	case STREAM_INHERIT:
		/* The caller's may be close-on-exec, or closed: a hole there would be filled by the
		 * first file that the program opens. */
		if (syscall(SYS_fcntl, number, F_SETFD, 0) < 0) {
			return stream_null(order, number);
		}
		return 0;
	case STREAM_FD: return move_descriptor(file_descriptor(order, number), number);
	case STREAM_FILE: return open_stream(stdio->path, number, number == 0 ? O_RDONLY : writing);
	case STREAM_APPEND: return open_stream(stdio->path, number, writing | O_APPEND);
	case STREAM_TRUNCATE: return open_stream(stdio->path, number, writing | O_TRUNC);
	case STREAM_SAME_AS_STDOUT: return outcome(syscall(SYS_dup3, 1, number, 0));
	}
	return EINVAL;
}

CHILD_CODE static int step_stdin(const struct child_order *order)
{
	return stream(order, 0, &order->spawn->plan->in);
}

CHILD_CODE static int step_stdout(const struct child_order *order)
{
	return stream(order, 1, &order->spawn->plan->out);
}

CHILD_CODE static int step_stderr(const struct child_order *order)
{
	return stream(order, 2, &order->spawn->plan->err);
}

CHILD_CODE static size_t format_number(char *out, int value)
{
	char digits[12];
	size_t count = 0, length = 0;
	unsigned rest = value < 0 ? 0U - (unsigned)value : (unsigned)value;

	do {
		digits[count++] = (char)('0' + rest % 10);
		rest /= 10;
	} while (rest);
	if (value < 0) {
		out[length++] = '-';
	}
	while (count) {
		out[length++] = digits[--count];
	}
	return length;
}

/* sd_listen_fds(3): whose descriptors they are; sd_watchdog_enabled(3): whose watchdog it is. */
CHILD_CODE static void write_pid(char *out)
{
	if (out) {
		out[format_number(out, (int)syscall(SYS_getpid))] = '\0';
	}
}

/* Upwards: the block lies above the lowest target, so a target overwrites only places that have
 * been moved already. */
CHILD_CODE static int step_pass(const struct child_order *order)
{
	for (uint32_t i = 0; i < order->spawn->pass_count; i++) {
		int place = CHILD_STAGE_STREAMS + (int)i;
		int failed = move_descriptor(file_descriptor(order, place), place);

		if (failed) {
			return failed;
		}
	}
	write_pid(order->spawn->listen_pid);
	write_pid(order->spawn->watchdog_pid);
	return 0;
}

CHILD_CODE static void close_from(int first, int kept)
{
	if (kept > first && syscall(SYS_close_range, first, kept - 1, 0) < 0) {
		close_by_listing(first, kept);
		return;
	}
	first = kept >= first ? kept + 1 : first;
	if (syscall(SYS_close_range, first, ~0U, 0) < 0) {
		close_by_listing(first, kept);
	}
}

/* Last, for NotifyFd= may name a number that was in use here until now. */
CHILD_CODE static int step_close_rest(const struct child_order *order)
{
	int first = CHILD_STAGE_STREAMS + (int)order->spawn->pass_count;
	int number = order->spawn->notify_number, failed = 0;

	if (number > 0 && number < first) {
		failed = EBUSY; /* LISTEN_FDS has it */
	} else if (number > 0) {
		failed = move_descriptor(file_descriptor(order, CHILD_STAGE_NOTIFY), number);
	}
	close_from(first, number);
	return failed;
}

/* --- what surrounds the process --- */

/* Where the kernel refuses it, as near to it as LimitNICE= of ours lets us: systemd does not let a
 * start fail for it. */
CHILD_CODE static int step_nice(const struct child_order *order)
{
	const struct process_plan *plan = order->spawn->plan;
	struct rlimit limit = {0};
	long now, best;
	int failed;

	failed =
		plan->set_nice ? outcome(syscall(SYS_setpriority, PRIO_PROCESS, 0, plan->nice)) : 0;
	if (failed != EPERM && failed != EACCES) {
		return failed;
	}
	now = 20 - syscall(SYS_getpriority, PRIO_PROCESS, 0); /* the raw call counts from 40 down */
	syscall(SYS_prlimit64, 0, RLIMIT_NICE, NULL, &limit);
	best = limit.rlim_cur < 40 ? 20 - (long)limit.rlim_cur : -20;
	if (best < now) {
		syscall(SYS_setpriority, PRIO_PROCESS, 0, best);
	}
	return 0;
}

CHILD_CODE static int write_all(long fd, const char *text, size_t length)
{
	int failed = outcome(syscall(SYS_write, fd, text, length));

	syscall(SYS_close, fd);
	return failed;
}

/* In a user namespace, or without privilege, the kernel refuses a lower score than the parent's.
 * systemd goes on then, and so do packaged units count on it. */
CHILD_CODE static int step_oom(const struct child_order *order)
{
	const struct process_plan *plan = order->spawn->plan;
	char text[16];
	long fd;
	int failed;

	if (!plan->set_oom_score) {
		return 0;
	}
	fd = syscall(SYS_openat, AT_FDCWD, "/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC, 0);
	failed = fd < 0 ? errno : write_all(fd, text, format_number(text, plan->oom_score));
	return failed == EPERM || failed == EACCES ? 0 : failed;
}

CHILD_CODE static int step_cgroup(const struct child_order *order)
{
	long fd;

	if (order->spawn->cgroup_fd < 0 || order->in_cgroup) {
		return 0;
	}
	fd = syscall(SYS_openat, file_descriptor(order, cgroup_place(order)), "cgroup.procs",
		O_WRONLY | O_CLOEXEC, 0);
	return fd < 0 ? errno : write_all(fd, "0", 1);
}

/* As systemd does: what may not be raised is raised as far as it goes. */
CHILD_CODE static int set_limit(int resource, const struct rlimit *wanted)
{
	struct rlimit now, next = *wanted;
	int failed = outcome(syscall(SYS_prlimit64, 0, resource, wanted, NULL));

	if (failed != EPERM) {
		return failed;
	}
	failed = outcome(syscall(SYS_prlimit64, 0, resource, NULL, &now));
	if (failed) {
		return failed;
	}
	if (next.rlim_max > now.rlim_max) {
		next.rlim_max = now.rlim_max;
	}
	if (next.rlim_cur > next.rlim_max) {
		next.rlim_cur = next.rlim_max;
	}
	return outcome(syscall(SYS_prlimit64, 0, resource, &next, NULL));
}

/* After the last descriptor has been opened, for a small LimitNOFILE= must not hinder us. */
CHILD_CODE static int step_limits(const struct child_order *order)
{
	const struct process_plan *plan = order->spawn->plan;

	for (int i = 0; i < PROCESS_LIMITS; i++) {
		int failed = plan->limit_set[i] ? set_limit(i, &plan->limits[i]) : 0;

		if (failed) {
			return failed;
		}
	}
	return 0;
}

/* --- who the process is --- */

/* A caller without privilege may name its own user: then there is nothing to drop. */
CHILD_CODE static bool is_self(const struct process_plan *plan)
{
	return plan->groups_count == 0 &&
	       (!plan->set_user || plan->uid == (uid_t)syscall(SYS_getuid)) &&
	       (!plan->set_group || plan->gid == (gid_t)syscall(SYS_getgid));
}

CHILD_CODE static int step_groups(const struct child_order *order)
{
	const struct process_plan *plan = order->spawn->plan;
	int failed;

	if (!plan->set_user && !plan->set_group) {
		return 0;
	}
	failed = outcome(syscall(SYS_setgroups, (size_t)plan->groups_count, plan->groups));
	return failed == EPERM && is_self(plan) ? 0 : failed;
}

CHILD_CODE static int step_group(const struct child_order *order)
{
	const struct process_plan *plan = order->spawn->plan;

	return plan->set_group ? outcome(syscall(SYS_setgid, plan->gid)) : 0;
}

CHILD_CODE static int step_user(const struct child_order *order)
{
	const struct process_plan *plan = order->spawn->plan;

	return plan->set_user ? outcome(syscall(SYS_setuid, plan->uid)) : 0;
}

CHILD_CODE static int step_directory(const struct child_order *order)
{
	const struct process_plan *plan = order->spawn->plan;
	int failed = outcome(syscall(SYS_chdir, plan->directory ? plan->directory : "/"));

	if (failed && plan->directory_optional) {
		return outcome(syscall(SYS_chdir, "/"));
	}
	return failed;
}

CHILD_CODE static int step_privileges(const struct child_order *order)
{
	const struct process_plan *plan = order->spawn->plan;

	if (plan->set_umask) {
		syscall(SYS_umask, plan->umask);
	}
	return plan->no_new_privileges
		       ? outcome(syscall(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1L, 0L, 0L, 0L))
		       : 0;
}

/* --- signals --- */

/* The dispositions are a copy of the caller's. exec resets handlers by itself, but not ignored
 * signals; and no handler may run here once the mask is open. */
CHILD_CODE static int step_dispositions(const struct child_order *order)
{
	static const struct child_sigaction by_default = {.handler = SIG_DFL};
	static const struct child_sigaction ignore = {.handler = SIG_IGN};

	for (int signo = 1; signo <= CHILD_SIGNALS_MAX; signo++) {
		if (order->dispositions >> (signo - 1) & 1) {
			syscall(SYS_rt_sigaction, signo, &by_default, NULL, CHILD_SIGSET_BYTES);
		}
	}
	if (!order->spawn->plan->ignore_sigpipe) {
		return 0;
	}
	return outcome(syscall(SYS_rt_sigaction, SIGPIPE, &ignore, NULL, CHILD_SIGSET_BYTES));
}

CHILD_CODE static int step_mask(const struct child_order *order)
{
	static const uint64_t none;

	(void)order;
	return outcome(syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, NULL, CHILD_SIGSET_BYTES));
}

/* --- exec --- */

static char exec_path[PATH_MAX];

CHILD_CODE static const char *path_variable(const char *const *envp)
{
	for (; envp && *envp; envp++) {
		const char *entry = *envp;

		if (entry[0] == 'P' && entry[1] == 'A' && entry[2] == 'T' && entry[3] == 'H' &&
			entry[4] == '=') {
			return entry + 5;
		}
	}
	return DEFAULT_PATH;
}

/* "directory/name" in exec_path; false when it does not fit. */
CHILD_CODE static bool join_path(const char *directory, size_t length, const char *name)
{
	size_t at = 0;

	if (length + 2 > sizeof(exec_path)) {
		return false;
	}
	for (; at < length; at++) {
		exec_path[at] = directory[at];
	}
	exec_path[at++] = '/';
	for (; *name && at < sizeof(exec_path) - 1; name++) {
		exec_path[at++] = *name;
	}
	exec_path[at] = '\0';
	return *name == '\0';
}

CHILD_CODE static int exec_at(const char *path, const char *const *argv, const char *const *envp)
{
	return outcome(syscall(SYS_execve, path, argv, envp));
}

CHILD_CODE int process_exec(const char *path, const char *const *argv, const char *const *envp)
{
	const char *search = path_variable(envp);
	int result = ENOENT;

	for (const char *at = path; *at; at++) {
		if (*at == '/') {
			return exec_at(path, argv, envp);
		}
	}
	while (*path && *search) {
		const char *end = search;
		int failed;

		while (*end && *end != ':') {
			end++;
		}
		if (end != search && join_path(search, (size_t)(end - search), path)) {
			failed = exec_at(exec_path, argv, envp);
			if (failed == EACCES) {
				result = EACCES;
			} else if (failed != ENOENT && failed != ENOTDIR) {
				return failed;
			}
		}
		search = *end ? end + 1 : end;
	}
	return result;
}

CHILD_CODE static int step_exec(const struct child_order *order)
{
	return process_exec(order->path, order->argv, order->envp);
}

/* The whole way. Whoever shares the new user's number could stop the child (SIGSTOP cannot be
 * blocked) and with it the caller who waits: so what can be done before the change of user is. */
struct child_step {
	enum process_step step;
	int (*run)(const struct child_order *order);
};

static const struct child_step child_steps[] = {
	{PROCESS_STEP_FILES, step_table},
	{PROCESS_STEP_SESSION, step_session},
	{PROCESS_STEP_STDIN, step_stdin},
	{PROCESS_STEP_STDOUT, step_stdout},
	{PROCESS_STEP_STDERR, step_stderr},
	{PROCESS_STEP_PASS, step_pass},
	{PROCESS_STEP_NICE, step_nice},
	{PROCESS_STEP_OOM, step_oom},
	{PROCESS_STEP_CGROUP, step_cgroup},
	{PROCESS_STEP_PASS, step_close_rest},
	{PROCESS_STEP_LIMITS, step_limits},
	{PROCESS_STEP_SIGNALS, step_dispositions},
	{PROCESS_STEP_GROUPS, step_groups},
	{PROCESS_STEP_GROUP, step_group},
	{PROCESS_STEP_USER, step_user},
	{PROCESS_STEP_DIRECTORY, step_directory},
	{PROCESS_STEP_USER, step_privileges},
	{PROCESS_STEP_SIGNALS, step_mask},
	{PROCESS_STEP_EXEC, step_exec},
};

CHILD_CODE int child_run(void *context)
{
	const struct child_order *order = context;
	const struct child_step *step = child_steps;
	int failed;

	while ((failed = step->run(order)) == 0) {
		step++;
	}
	atomic_store(order->spawn->exec_step,
		(int32_t)(step->step == PROCESS_STEP_EXEC ? order->exec_step : step->step));
	atomic_store(order->spawn->exec_errno, failed);
	for (;;) {
		syscall(SYS_exit_group, EXIT_FAILED);
	}
}
