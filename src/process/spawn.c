#include "process/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/check.h"
#include "base/compat.h"
#include "base/log.h"
#include "process/child.h"

#define X(name, text) [PROCESS_STEP_##name] = text,
const char *const process_step_names[PROCESS_STEP_COUNT] = {PROCESS_STEPS(X)};
#undef X

/* Numbers below this are the caller's own to place things at. */
#define STAGE_FIRST_MIN 10
/* One more than can be staged: the stand-in that fills places which are not in use. */
#define STAGE_BLOCK      (CHILD_STAGE_MAX + 1)
#define STAND_IN         CHILD_STAGE_MAX
#define CHILD_STACK_SIZE 65536
#define HELPER_WORDS     4096

static struct {
	bool ready;
	bool share_table; /* CLONE_FILES, for close_range(2) can unshare */
	bool null;        /* the stand-in is /dev/null */
	bool no_clone3;   /* it, or its CLONE_INTO_CGROUP, is refused */
	int block;
} stage;

static uint64_t dispositions; /* see struct child_order */

static _Alignas(64) unsigned char child_stack[CHILD_STACK_SIZE];
static const char *helper_words[HELPER_WORDS];

/* --- the reserved block --- */

static int stage_open_stand_in(bool *null)
{
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC | O_NOCTTY);

	*null = fd >= 0;
	if (fd < 0) {
		fd = open("/", O_PATH | O_CLOEXEC); /* a container without /dev */
	}
	return fd < 0 ? -errno : fd;
}

static void close_numbers(int first, int count)
{
	for (int i = 0; i < count; i++) {
		close(first + i);
	}
}

/* Fills the lowest run of STAGE_BLOCK free numbers with the stand-in. */
static int stage_fill(int stand_in, int *block)
{
	int first = STAGE_FIRST_MIN, filled = 0;

	while (filled < STAGE_BLOCK) {
		int fd = fcntl(stand_in, F_DUPFD_CLOEXEC, first + filled);

		if (fd < 0) {
			int failed = -errno;

			close_numbers(first, filled);
			return failed == -EINVAL ? -EMFILE : failed;
		}
		if (fd == first + filled) {
			filled++;
			continue;
		}
		close_numbers(first, filled);
		first = fd; /* the first free number behind the one in the way */
		filled = 1;
	}
	*block = first;
	return 0;
}

/* Asked once and not in each child: sixty calls are a twentieth of a start. */
static void read_dispositions(void)
{
	struct child_sigaction now = {.handler = SIG_DFL};

	dispositions = 0;
	for (int signo = 1; signo <= CHILD_SIGNALS_MAX; signo++) {
		if (syscall(SYS_rt_sigaction, signo, NULL, &now, CHILD_SIGSET_BYTES) == 0 &&
			now.handler != SIG_DFL) {
			dispositions |= UINT64_C(1) << (signo - 1);
		}
	}
}

/* valgrind ends a program that clones with CLONE_FILES alone, so it cannot be tried there. */
static bool is_under_valgrind(void)
{
	const char *preload = getenv("LD_PRELOAD");

	return preload && strstr(preload, "vgpreload_");
}

int process_spawn_init(void)
{
	int stand_in, failed;

	read_dispositions();
	if (stage.ready) {
		return 0;
	}
	stand_in = stage_open_stand_in(&stage.null);
	if (stand_in < 0) {
		return stand_in;
	}
	failed = stage_fill(stand_in, &stage.block);
	close(stand_in);
	if (failed) {
		return failed;
	}
	/* An empty range: the answer is all that is wanted. */
	failed = compat_close_range(~0U, ~0U, CLOSE_RANGE_UNSHARE);
	stage.share_table = failed == 0 && !is_under_valgrind();
	if (failed) {
		log_notice("close_range(2) is refused (%s): each start copies the table of "
			   "descriptors",
			strerror(-failed));
	}
	stage.ready = true;
	return 0;
}

static int stage_put(int fd, int place)
{
	return dup3(fd, stage.block + place, O_CLOEXEC) < 0 ? -errno : 0;
}

/* Puts one descriptor into its place, and notes what could not be taken. */
static int stage_descriptor(
	const struct process_spawn *spawn, int fd, int place, enum process_step step)
{
	int failed = stage_put(fd, place);

	if (failed) {
		atomic_store(spawn->exec_step, (int32_t)step);
		atomic_store(spawn->exec_errno, -failed);
	}
	return failed;
}

static int stage_all(const struct process_spawn *spawn)
{
	const struct process_plan *plan = spawn->plan;
	const struct process_stdio *streams[] = {&plan->in, &plan->out, &plan->err};
	int failed = 0;

	for (int i = 0; i < CHILD_STAGE_STREAMS && !failed; i++) {
		if (streams[i]->kind == STREAM_FD) {
			failed = stage_descriptor(spawn, streams[i]->fd, i,
				(enum process_step)(PROCESS_STEP_STDIN + i));
		}
	}
	for (uint32_t i = 0; i < spawn->pass_count && !failed; i++) {
		failed = stage_descriptor(
			spawn, spawn->pass[i], CHILD_STAGE_STREAMS + (int)i, PROCESS_STEP_PASS);
	}
	if (spawn->notify_number > 0 && !failed) {
		failed = stage_descriptor(
			spawn, spawn->notify_fd, CHILD_STAGE_NOTIFY, PROCESS_STEP_PASS);
	}
	if (spawn->cgroup_fd >= 0 && !failed) {
		failed = stage_descriptor(spawn, spawn->cgroup_fd,
			CHILD_STAGE_STREAMS + (int)spawn->pass_count, PROCESS_STEP_CGROUP);
	}
	return failed;
}

/* Puts the stand-in back: a copy that stayed would keep a pipe's end open. dup3 onto a number in
 * use needs no memory and cannot fail. */
static void stage_clear(const struct process_spawn *spawn)
{
	const struct process_plan *plan = spawn->plan;
	int used = CHILD_STAGE_STREAMS + (int)spawn->pass_count + (spawn->cgroup_fd >= 0);
	if (spawn->notify_number > 0) {
		(void)stage_put(stage.block + STAND_IN, CHILD_STAGE_NOTIFY);
	}
	const bool streams[] = {plan->in.kind == STREAM_FD, plan->out.kind == STREAM_FD,
		plan->err.kind == STREAM_FD};

	for (int i = 0; i < used; i++) {
		if (i >= CHILD_STAGE_STREAMS || streams[i]) {
			(void)stage_put(stage.block + STAND_IN, i);
		}
	}
}

/* --- coppice-exec in front --- */

static size_t count_words(const char *const *words)
{
	size_t count = 0;

	while (words && words[count]) {
		count++;
	}
	return count;
}

static size_t copy_words(const char **to, const char *const *from)
{
	size_t count = count_words(from);

	if (count) {
		memcpy(to, from, count * sizeof(*to));
	}
	return count;
}

/* HELPER OPTIONS… -- PATH ARGV… in helper_words, or in *memory when it is uncommonly long. */
static int helper_compose(const struct process_spawn *spawn, const char ***words, void **memory)
{
	const struct process_plan *plan = spawn->plan;
	size_t count = count_words(plan->helper_argv) + count_words(spawn->argv) + 4, at = 0;
	const char **to = helper_words;

	*memory = NULL;
	if (count > HELPER_WORDS) {
		*memory = malloc(count * sizeof(*to));
		if (!*memory) {
			return -ENOMEM;
		}
		to = *memory;
	}
	to[at++] = plan->helper;
	at += copy_words(to + at, plan->helper_argv);
	to[at++] = "--";
	to[at++] = spawn->path;
	at += copy_words(to + at, spawn->argv);
	to[at++] = NULL;
	CHECK(at == count);
	*words = to;
	return 0;
}

bool process_helper_step(int exit_status, enum process_step *step)
{
	static const struct {
		uint8_t status, step;
	} known[] = {
		{PROCESS_HELPER_CHDIR, PROCESS_STEP_DIRECTORY},
		{PROCESS_HELPER_NICE, PROCESS_STEP_NICE},
		{PROCESS_HELPER_EXEC, PROCESS_STEP_EXEC},
		{PROCESS_HELPER_MEMORY, PROCESS_STEP_MEMORY},
		{PROCESS_HELPER_LIMITS, PROCESS_STEP_LIMITS},
		{PROCESS_HELPER_IOPRIO, PROCESS_STEP_IOPRIO},
		{PROCESS_HELPER_TIMERSLACK, PROCESS_STEP_TIMERSLACK},
		{PROCESS_HELPER_SECUREBITS, PROCESS_STEP_SECUREBITS},
		{PROCESS_HELPER_SETSCHEDULER, PROCESS_STEP_SCHEDULER},
		{PROCESS_HELPER_CPUAFFINITY, PROCESS_STEP_AFFINITY},
		{PROCESS_HELPER_GROUP, PROCESS_STEP_GROUP},
		{PROCESS_HELPER_USER, PROCESS_STEP_USER},
		{PROCESS_HELPER_CAPABILITIES, PROCESS_STEP_CAPABILITIES},
		{PROCESS_HELPER_NETWORK, PROCESS_STEP_NETWORK},
		{PROCESS_HELPER_NAMESPACE, PROCESS_STEP_NAMESPACE},
		{PROCESS_HELPER_NO_NEW_PRIVILEGES, PROCESS_STEP_PRIVILEGES},
		{PROCESS_HELPER_SECCOMP, PROCESS_STEP_SECCOMP},
		{PROCESS_HELPER_PERSONALITY, PROCESS_STEP_PERSONALITY},
		{PROCESS_HELPER_RUNTIME_DIRECTORY, PROCESS_STEP_RUNTIME_DIRECTORY},
		{PROCESS_HELPER_KEYRING, PROCESS_STEP_KEYRING},
		{PROCESS_HELPER_STATE_DIRECTORY, PROCESS_STEP_STATE_DIRECTORY},
		{PROCESS_HELPER_CACHE_DIRECTORY, PROCESS_STEP_CACHE_DIRECTORY},
		{PROCESS_HELPER_LOGS_DIRECTORY, PROCESS_STEP_LOGS_DIRECTORY},
		{PROCESS_HELPER_CONFIGURATION_DIRECTORY, PROCESS_STEP_CONFIGURATION_DIRECTORY},
		{PROCESS_HELPER_NUMA, PROCESS_STEP_NUMA},
		{PROCESS_HELPER_CREDENTIALS, PROCESS_STEP_CREDENTIALS},
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (known[i].status == exit_status) {
			*step = known[i].step;
			return true;
		}
	}
	return false;
}

/* --- the clone --- */

/* Right into its cgroup: a process that enters one later has to wait for all others that fork, a
 * millisecond and more. Where this is refused, it is a step of the child's. */
static pid_t clone_into_cgroup(struct child_order *order, int flags, int32_t *pid)
{
	const struct process_spawn *spawn = order->spawn;
	struct compat_clone clone = {
		/* The exit signal has a field of its own, and with CLONE_PARENT it is that of the
		 * caller. */
		.flags = (uint64_t)CLONE_INTO_CGROUP | (uint64_t)(flags & ~SIGCHLD),
		.parent_tid = (uint64_t)(uintptr_t)pid,
		.exit_signal = spawn->parent_is_caller ? SIGCHLD : 0,
		.stack = (uint64_t)(uintptr_t)child_stack,
		.stack_size = CHILD_STACK_SIZE,
		.cgroup = (uint64_t)spawn->cgroup_fd,
	};
	int result;

	if (spawn->cgroup_fd < 0 || spawn->cgroup_entered || stage.no_clone3) {
		return -ENOSYS;
	}
	order->in_cgroup = true;
	result = compat_clone3(&clone, child_run, order);
	if (result == -ENOSYS || result == -EPERM || result == -EINVAL || result == -E2BIG) {
		stage.no_clone3 = true;
	}
	order->in_cgroup = result > 0;
	return result;
}

static pid_t clone_once(struct child_order *order, bool share_table)
{
	const struct process_spawn *spawn = order->spawn;
	int flags = CLONE_VM | CLONE_VFORK | CLONE_PARENT_SETTID | SIGCHLD;
	int32_t unwanted;
	pid_t pid;

	if (share_table) {
		flags |= CLONE_FILES;
	}
	if (!spawn->parent_is_caller) {
		flags |= CLONE_PARENT; /* its exit signal is then that of the caller: SIGCHLD too */
	}
	int32_t *number = spawn->pid ? (int32_t *)(void *)spawn->pid : &unwanted;

	order->table_is_shared = share_table;
	pid = clone_into_cgroup(order, flags, number);
	if (pid > 0 || pid == -EAGAIN || pid == -ENOMEM) {
		return pid;
	}
	pid = clone(child_run, child_stack + CHILD_STACK_SIZE, flags, order, number);
	return pid < 0 ? -errno : pid;
}

static pid_t clone_child(struct child_order *order)
{
	pid_t pid = clone_once(order, stage.share_table);

	if (stage.share_table && (pid == -EINVAL || pid == -EPERM || pid == -ENOSYS)) {
		int refused = -pid;

		pid = clone_once(order, false);
		if (pid > 0) {
			stage.share_table = false;
			log_notice("CLONE_FILES is refused (%s): each start copies the table of "
				   "descriptors",
				strerror(refused));
		}
	}
	return pid;
}

/* A child that changes its user makes the memory that it shares with us undumpable for good
 * (commit_creds in the kernel), which protects us from that user meanwhile. Afterwards we want our
 * own core dumps back. */
static pid_t clone_guarded(struct child_order *order)
{
	const struct process_plan *plan = order->spawn->plan;
	bool changes = plan->set_user || plan->set_group;
	bool dumpable = changes && prctl(PR_GET_DUMPABLE) == 1;
	static const uint64_t all = UINT64_MAX;
	uint64_t before;
	pid_t pid;

	/* Raw, for the C library keeps its own two signals out of every mask. */
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, &before, sizeof(all));
	pid = clone_child(order);
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &before, NULL, sizeof(before));
	if (dumpable) {
		(void)prctl(PR_SET_DUMPABLE, 1);
	}
	return pid;
}

static pid_t spawn_order(struct child_order *order)
{
	const struct process_spawn *spawn = order->spawn;
	const char **words;
	void *memory = NULL;
	pid_t pid;
	int failed = 0;

	if (spawn->plan->helper) {
		failed = helper_compose(spawn, &words, &memory);
		if (failed) {
			return failed;
		}
		order->path = spawn->plan->helper;
		order->argv = words;
		order->exec_step = PROCESS_STEP_HELPER;
	}
	failed = stage_all(spawn);
	pid = failed ? failed : clone_guarded(order);
	stage_clear(spawn);
	free(memory);
	return pid;
}

pid_t process_spawn(const struct process_spawn *spawn)
{
	static const char *const no_environment[] = {NULL};
	struct child_order order = {
		.spawn = spawn,
		.path = spawn->path,
		.argv = spawn->argv,
		.envp = spawn->envp ? spawn->envp : no_environment,
		.exec_step = PROCESS_STEP_EXEC,
	};
	int failed;

	CHECK(spawn->exec_errno && spawn->exec_step);
	CHECK(spawn->pass_count <= PROCESS_PASS_MAX);
	CHECK(spawn->plan->groups_count <= PROCESS_GROUPS_MAX);
	failed = stage.ready ? 0 : process_spawn_init();
	if (failed) {
		return failed;
	}
	order.dispositions = dispositions;
	order.block = stage.block;
	order.null_is_staged = stage.null;
	if (spawn->pid) {
		atomic_store(spawn->pid, 0);
	}
	atomic_store(spawn->exec_errno, 0);
	atomic_store(spawn->exec_step, PROCESS_STEP_NONE);
	return spawn_order(&order);
}
