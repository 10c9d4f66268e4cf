#include "spawn_report.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

static void assert_failed_at(struct run *run, enum process_step step, int code)
{
	run_plan(run);
	assert_true(run->pid > 0);
	if (atomic_load(&shared->exec_step) != (int)step) {
		fail_msg("%s instead of %s", process_step_names[atomic_load(&shared->exec_step)],
			process_step_names[step]);
	}
	assert_int_equal(atomic_load(&shared->exec_errno), code);
	assert_true(WIFEXITED(run->status));
	assert_int_equal(WEXITSTATUS(run->status), 203);
	assert_string_equal(run->text, "");
	run_destroy(run);
}

static void test_streams_fail(void **state)
{
	const struct process_stdio missing = {.kind = STREAM_FILE, .path = "/nowhere/at/all"};
	const struct process_stdio folder = {.kind = STREAM_APPEND, .path = "/tmp"};
	struct run *run = run_create();

	(void)state;
	run->plan.in = missing;
	assert_failed_at(run, PROCESS_STEP_STDIN, ENOENT);
	run = run_create();
	run->plan.out = missing;
	assert_failed_at(run, PROCESS_STEP_STDOUT, ENOENT);
	run = run_create();
	run->plan.err = folder;
	assert_failed_at(run, PROCESS_STEP_STDERR, EISDIR);
	run = run_create();
	run->plan.in.kind = 200;
	assert_failed_at(run, PROCESS_STEP_STDIN, EINVAL);
}

/* Opening it to write would wait for a reader, and the caller with the child. */
static void test_fifo_does_not_block(void **state)
{
	char path[64];
	struct run *run = run_create();

	(void)state;
	snprintf(path, sizeof(path), "/tmp/test_spawn_errors.%d.fifo", getpid());
	assert_int_equal(mkfifo(path, 0600), 0);
	alarm(10);
	run->plan.out = (struct process_stdio){.kind = STREAM_APPEND, .path = path};
	assert_failed_at(run, PROCESS_STEP_STDOUT, ENXIO);
	alarm(0);
	unlink(path);
}

/* What cannot even be staged: no process is made. */
static void test_descriptors_fail(void **state)
{
	const int pass[] = {0, 654321};
	struct run *run = run_create();

	(void)state;
	run->plan.err = (struct process_stdio){.kind = STREAM_FD, .fd = -1};
	run_plan(run);
	assert_int_equal(run->pid, -EBADF);
	assert_int_equal(atomic_load(&shared->exec_step), PROCESS_STEP_STDERR);
	assert_int_equal(atomic_load(&shared->exec_errno), EBADF);
	run_destroy(run);

	run = run_create();
	run->spawn.pass = pass;
	run->spawn.pass_count = 2;
	run_plan(run);
	assert_int_equal(run->pid, -EBADF);
	assert_int_equal(atomic_load(&shared->exec_step), PROCESS_STEP_PASS);
	assert_int_equal(atomic_load(&shared->pid), 0);
	run_destroy(run);

	run = run_create(); /* what was staged before the failure is not kept */
	run_plan_well(run);
	assert_int_equal(run_count(run, "fd:"), 3);
	run_destroy(run);
}

static void test_surroundings_fail(void **state)
{
	struct run *run = run_create();

	(void)state;
	run->plan.limit_set[RLIMIT_CORE] = true;
	run->plan.limits[RLIMIT_CORE] = (struct rlimit){2, 1};
	assert_failed_at(run, PROCESS_STEP_LIMITS, EINVAL);
	run = run_create();
	run->plan.set_oom_score = true;
	run->plan.oom_score = 5000;
	assert_failed_at(run, PROCESS_STEP_OOM, EINVAL);
	run = run_create();
	run->spawn.cgroup_fd = open("/tmp", O_PATH | O_CLOEXEC);
	assert_failed_at(run, PROCESS_STEP_CGROUP, ENOENT);
	run = run_create();
	run->plan.directory = "/nowhere";
	assert_failed_at(run, PROCESS_STEP_DIRECTORY, ENOENT);
}

/* Runs a test in a process of its own, which may give things up for good. */
static void in_a_fork(void (*test)(void))
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		test();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* cmocka's asserts cannot leave a forked process. */
#define FORK_CHECK(x)                                                      \
	do {                                                               \
		if (!(x)) {                                                \
			dprintf(2, "%s:%d: %s\n", __FILE__, __LINE__, #x); \
			_exit(1);                                          \
		}                                                          \
	} while (0)

static void check_failed_at(struct run *run, enum process_step step, int code)
{
	run->pid = process_spawn(&run->spawn);
	FORK_CHECK(run->pid > 0);
	FORK_CHECK(waitpid(run->pid, &run->status, 0) == run->pid);
	FORK_CHECK(atomic_load(&shared->exec_step) == (int)step);
	FORK_CHECK(atomic_load(&shared->exec_errno) == code);
	run_destroy(run);
}

static void drop_privileges(void)
{
	if (geteuid() == 0) {
		FORK_CHECK(setresgid(34567, 34567, 34567) == 0);
		FORK_CHECK(setresuid(34567, 34567, 34567) == 0);
	}
}

static void without_privilege(void)
{
	struct run *run;

	drop_privileges();
	run = run_create();
	run->plan.set_nice = true;
	run->plan.nice = -5;
	run_plan(run); /* as near as it may: no failure */
	FORK_CHECK(run_says(run, "nice:0"));
	run_destroy(run);
	run = run_create();
	run->plan.set_user = true;
	run->plan.uid = 0;
	check_failed_at(run, PROCESS_STEP_GROUPS, EPERM);
	run = run_create();
	run->plan.set_group = true;
	run->plan.gid = 0;
	check_failed_at(run, PROCESS_STEP_GROUPS, EPERM);

	/* One's own user is no change. */
	run = run_create();
	run->plan.set_user = run->plan.set_group = true;
	run->plan.uid = getuid();
	run->plan.gid = getgid();
	run->pid = process_spawn(&run->spawn);
	FORK_CHECK(waitpid(run->pid, &run->status, 0) == run->pid);
	FORK_CHECK(WIFEXITED(run->status) && WEXITSTATUS(run->status) == REPORT_STATUS);
	run_destroy(run);
}

static void test_without_privilege(void **state)
{
	(void)state;
	in_a_fork(without_privilege);
}

/* Makes some system calls fail, for this process and its children. */
static void deny(const int *calls, int count, int code)
{
	struct sock_filter filter[16];
	struct sock_fprog program = {.filter = filter};
	unsigned short at = 0;

	filter[at++] = (struct sock_filter)BPF_STMT(
		BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
	for (int i = 0; i < count; i++) {
		filter[at++] = (struct sock_filter)BPF_JUMP(
			BPF_JMP | BPF_JEQ | BPF_K, (unsigned)calls[i], 0, 1);
		filter[at++] = (struct sock_filter)BPF_STMT(
			BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)code);
	}
	filter[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	program.len = at;
	FORK_CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	FORK_CHECK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0);
}

static void with_setgid_denied(void)
{
	const int call = SYS_setgid;
	struct run *run = run_create();

	deny(&call, 1, EPERM);
	run->plan.set_group = true;
	run->plan.gid = 1;
	check_failed_at(run, PROCESS_STEP_GROUP, EPERM);
}

static void with_setuid_denied(void)
{
	const int calls[] = {SYS_setuid, SYS_setsid, SYS_rt_sigaction};
	struct run *run = run_create();

	FORK_CHECK(process_spawn_init() == 0);
	deny(calls, 3, EPERM);
	run->plan.set_user = true;
	run->plan.uid = 1;
	check_failed_at(run, PROCESS_STEP_USER, EPERM);
	run = run_create();
	run->plan.new_session = true;
	check_failed_at(run, PROCESS_STEP_SESSION, EPERM);
	run = run_create();
	run->plan.ignore_sigpipe = true;
	check_failed_at(run, PROCESS_STEP_SIGNALS, EPERM);
}

/* After the start is under way, so that it was not found out at init. */
static void with_close_range_denied_late(void)
{
	const int call = SYS_close_range;
	struct run *run = run_create();

	FORK_CHECK(process_spawn_init() == 0);
	deny(&call, 1, ENOSYS);
	check_failed_at(run, PROCESS_STEP_FILES, ENOSYS);
}

static void test_denied_calls(void **state)
{
	(void)state;
	if (geteuid() != 0) {
		skip();
	}
	in_a_fork(with_setgid_denied);
	in_a_fork(with_setuid_denied);
	in_a_fork(with_close_range_denied_late);
}

/* Must run before anything in this process has asked for the block: see main. */
static void with_close_range_denied(void)
{
	const int call = SYS_close_range;
	struct run *run = run_create();
	int stray[300], log[2], saved = fcntl(2, F_DUPFD_CLOEXEC, 500);
	char said[1024];
	ssize_t size;

	deny(&call, 1, EPERM);
	for (int i = 0; i < 300; i++) {
		stray[i] = dup(1);
	}
	FORK_CHECK(pipe2(log, O_CLOEXEC) == 0);
	FORK_CHECK(dup2(log[1], 2) == 2);
	for (int i = 0; i < 2; i++) {
		run->pid = process_spawn(&run->spawn);
		FORK_CHECK(run->pid > 0);
		FORK_CHECK(waitpid(run->pid, &run->status, 0) == run->pid);
	}
	dup2(saved, 2);
	close(log[1]);
	size = read(log[0], said, sizeof(said) - 1);
	FORK_CHECK(size > 0);
	said[size] = '\0';
	/* Said, and said once. */
	FORK_CHECK(strstr(said, "close_range(2) is refused (Operation not permitted)"));
	FORK_CHECK(strchr(said, '\n') == said + size - 1);
	FORK_CHECK(WIFEXITED(run->status) && WEXITSTATUS(run->status) == REPORT_STATUS);
	run_read(run);
	FORK_CHECK(run_count(run, "fd:0") == 2 && run_count(run, "fd:") == 6);
	FORK_CHECK(close(stray[0]) == 0 && close(stray[299]) == 0);
}

static void test_without_close_range(void **state)
{
	(void)state;
	in_a_fork(with_close_range_denied);
}

/* --- exec --- */

static void test_exec_fails(void **state)
{
	char path[] = "/tmp/test_spawn_errors.XXXXXX";
	struct run *run = run_create();
	int fd = mkstemp(path);

	(void)state;
	run->spawn.path = "/nowhere/program";
	assert_failed_at(run, PROCESS_STEP_EXEC, ENOENT);
	run = run_create();
	run->spawn.path = path;
	assert_failed_at(run, PROCESS_STEP_EXEC, EACCES);
	assert_int_equal(fchmod(fd, 0755), 0);
	assert_int_equal(write(fd, "no program\n", 11), 11);
	close(fd);
	run = run_create();
	run->spawn.path = path;
	assert_failed_at(run, PROCESS_STEP_EXEC, ENOEXEC); /* no shell comes to help */
	unlink(path);
	run = run_create();
	run->spawn.path = "";
	assert_failed_at(run, PROCESS_STEP_EXEC, ENOENT);
	run = run_create();
	run->plan.helper = "/nowhere/coppice-exec";
	assert_failed_at(run, PROCESS_STEP_HELPER, ENOENT);
}

/* A bare name is searched in the child's own PATH. */
static void test_search(void **state)
{
	char folder[] = "/tmp/test_spawn_errors.XXXXXX", path[128], variable[256];
	const char *envp[] = {"A=1", variable, NULL};
	const char *const nothing[] = {"PATHS=/x", NULL};
	struct run *run = run_create();
	char self[256] = "";

	(void)state;
	assert_non_null(mkdtemp(folder));
	assert_true(readlink("/proc/self/exe", self, sizeof(self) - 1) > 0);
	snprintf(path, sizeof(path), "%s/prog-ram", folder);
	assert_int_equal(symlink(self, path), 0);

	snprintf(variable, sizeof(variable), "PATH=/nowhere::/etc/passwd:%s", folder);
	run->spawn.path = "prog-ram";
	run->spawn.envp = envp;
	run_plan_well(run);
	assert_says(run, "arg:report");
	run_destroy(run);

	run = run_create();
	snprintf(variable, sizeof(variable), "PATH=%s", folder);
	run->spawn.path = "prog";
	run->spawn.envp = envp;
	assert_failed_at(run, PROCESS_STEP_EXEC, ENOENT);

	run = run_create();
	snprintf(variable, sizeof(variable), "PATH=");
	run->spawn.path = "prog-ram";
	run->spawn.envp = envp;
	assert_failed_at(run, PROCESS_STEP_EXEC, ENOENT);

	run = run_create(); /* nothing between two colons is no place: not "/" */
	snprintf(variable, sizeof(variable), "PATH=::/nowhere");
	run->spawn.path = "proc";
	run->spawn.envp = envp;
	assert_failed_at(run, PROCESS_STEP_EXEC, ENOENT);

	/* What may not be executed is passed over, and told when nothing else is found. */
	unlink(path);
	close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
	snprintf(variable, sizeof(variable), "PATH=%s:/nowhere", folder);
	run = run_create();
	run->spawn.path = "prog-ram";
	run->spawn.envp = envp;
	assert_failed_at(run, PROCESS_STEP_EXEC, EACCES);
	unlink(path);
	snprintf(path, sizeof(path), "%s/true", folder);
	close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
	snprintf(variable, sizeof(variable), "PATH=%s:/usr/bin:/bin", folder);
	run = run_create();
	run->spawn.path = "true";
	run->spawn.envp = envp;
	run_plan(run);
	assert_int_equal(atomic_load(&shared->exec_errno), 0);
	run_destroy(run);
	unlink(path);
	rmdir(folder);

	run = run_create(); /* without PATH: the usual places */
	run->spawn.path = "true";
	run->spawn.envp = nothing;
	run_plan(run);
	assert_int_equal(atomic_load(&shared->exec_errno), 0);
	assert_int_equal(WEXITSTATUS(run->status), 0);
	run_destroy(run);
}

static void test_helper_steps(void **state)
{
	enum process_step step = PROCESS_STEP_NONE;

	(void)state;
	assert_false(process_helper_step(0, &step));
	assert_false(process_helper_step(1, &step));
	assert_false(process_helper_step(2, &step)); /* a service's own, nearly always */
	assert_false(process_helper_step(219, &step));
	assert_int_equal(step, PROCESS_STEP_NONE);
	assert_true(process_helper_step(200, &step));
	assert_int_equal(step, PROCESS_STEP_DIRECTORY);
	assert_true(process_helper_step(203, &step));
	assert_int_equal(step, PROCESS_STEP_EXEC);
	assert_true(process_helper_step(216, &step));
	assert_int_equal(step, PROCESS_STEP_GROUP);
	assert_true(process_helper_step(217, &step));
	assert_int_equal(step, PROCESS_STEP_USER);
	assert_true(process_helper_step(243, &step));
	assert_int_equal(step, PROCESS_STEP_CREDENTIALS);
	for (int i = 0; i < PROCESS_STEP_COUNT; i++) {
		assert_non_null(process_step_names[i]);
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_without_close_range), /* first, see there */
		cmocka_unit_test(test_streams_fail),
		cmocka_unit_test(test_fifo_does_not_block),
		cmocka_unit_test(test_descriptors_fail),
		cmocka_unit_test(test_surroundings_fail),
		cmocka_unit_test(test_without_privilege),
		cmocka_unit_test(test_denied_calls),
		cmocka_unit_test(test_exec_fails),
		cmocka_unit_test(test_search),
		cmocka_unit_test(test_helper_steps),
	};

	report_if_child(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
