#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "process/spawn.h"

/* The test program alone keeps the write end: a test that fails leaves no process behind. */
static int lifeline[2];

static void __attribute__((noreturn)) wait_for_the_end(void)
{
	char nothing;

	close(lifeline[1]);
	while (read(lifeline[0], &nothing, 1) < 0 && errno == EINTR) {
	}
	_exit(0);
}

/* A process that leads a group, with a member beside it; both end with the pipe's last end. */
struct family {
	pid_t leader, member;
	int pipe[2]; /* hangs up when both are dead */
};

static void family_open(struct family *family)
{
	int told[2];

	assert_int_equal(pipe2(family->pipe, O_CLOEXEC), 0);
	assert_int_equal(pipe2(told, O_CLOEXEC), 0);
	family->leader = fork();
	assert_true(family->leader >= 0);
	if (family->leader == 0) {
		pid_t member;

		setpgid(0, 0);
		member = fork();
		if (member == 0) {
			wait_for_the_end();
		}
		if (write(told[1], &member, sizeof(member)) != sizeof(member)) {
			_exit(1);
		}
		wait_for_the_end();
	}
	assert_int_equal(read(told[0], &family->member, sizeof(pid_t)), sizeof(pid_t));
	close(told[0]);
	close(told[1]);
	close(family->pipe[1]);
}

static bool family_is_gone(const struct family *family, int timeout_ms)
{
	struct pollfd wait = {.fd = family->pipe[0]};

	return poll(&wait, 1, timeout_ms) == 1;
}

static void family_close(struct family *family)
{
	assert_true(family_is_gone(family, 10000));
	close(family->pipe[0]);
}

struct witness {
	bool alive;
	int asked;
};

static bool witness_says(void *context)
{
	struct witness *witness = context;

	witness->asked++;
	return witness->alive;
}

static void test_process_alone(void **state)
{
	struct witness witness = {.alive = true};
	struct family family;
	int status;

	(void)state;
	family_open(&family);
	assert_int_equal(process_signal(family.leader, SIGTERM, false, witness_says, &witness), 0);
	assert_int_equal(witness.asked, 1);
	assert_int_equal(waitpid(family.leader, &status, 0), family.leader);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGTERM);
	assert_int_equal(kill(family.member, 0), 0); /* the other was not meant */
	kill(family.member, SIGKILL);
	family_close(&family);
}

static void test_process_group(void **state)
{
	struct witness witness = {.alive = true};
	struct family family;
	int status;

	(void)state;
	family_open(&family);
	assert_int_equal(process_signal(family.leader, SIGKILL, true, witness_says, &witness), 0);
	family_close(&family); /* both */
	assert_int_equal(waitpid(family.leader, &status, 0), family.leader);
}

/* The group outlives its leader as long as that is not reaped. */
static void test_process_group_of_a_zombie(void **state)
{
	struct family family;
	siginfo_t info;

	(void)state;
	family_open(&family);
	kill(family.leader, SIGKILL);
	assert_int_equal(waitid(P_PID, (id_t)family.leader, &info, WEXITED | WNOWAIT), 0);
	assert_int_equal(process_signal(family.leader, SIGKILL, true, NULL, NULL), 0);
	family_close(&family);
	assert_int_equal(waitpid(family.leader, NULL, 0), family.leader);
}

/* What is known to be dead gets no signal, even though the number is somebody's. */
static void test_dead_by_the_ring(void **state)
{
	struct witness witness = {.alive = false};
	struct family family;

	(void)state;
	family_open(&family);
	assert_int_equal(
		process_signal(family.leader, SIGKILL, false, witness_says, &witness), -ESRCH);
	assert_int_equal(
		process_signal(family.leader, SIGKILL, true, witness_says, &witness), -ESRCH);
	assert_int_equal(witness.asked, 2);
	assert_int_equal(waitpid(family.leader, NULL, WNOHANG), 0); /* alive */
	kill(-family.leader, SIGKILL);
	family_close(&family);
	waitpid(family.leader, NULL, 0);
}

static void test_reaped_pid(void **state)
{
	struct witness witness = {.alive = true};
	pid_t pid = fork();

	(void)state;
	if (pid == 0) {
		_exit(0);
	}
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_int_equal(process_signal(pid, SIGKILL, false, witness_says, &witness), -ESRCH);
	assert_int_equal(process_signal(pid, SIGKILL, true, witness_says, &witness), -ESRCH);
	assert_int_equal(witness.asked, 0);
}

/* The race itself: the process dies and is reaped between the look at it and the signal, and the
 * number may be somebody else's by then. The pidfd was opened before the look, so nobody is hit. */
static bool reap_and_say_alive(void *context)
{
	pid_t *pid = context;

	kill(*pid, SIGKILL);
	assert_int_equal(waitpid(*pid, NULL, 0), *pid);
	return true;
}

static void test_reaped_while_looking(void **state)
{
	(void)state;
	for (int group = 0; group < 2; group++) {
		pid_t pid = fork();

		if (pid == 0) {
			wait_for_the_end();
		}
		assert_int_equal(
			process_signal(pid, SIGTERM, group, reap_and_say_alive, &pid), -ESRCH);
	}
}

/* These mean many processes, or init, to kill(2). Asked with signal 0, which hits nobody: were the
 * guard to break, this test must not be what ends the machine. */
static void test_numbers_that_are_no_child(void **state)
{
	struct witness witness = {.alive = true};

	(void)state;
	for (int group = 0; group < 2; group++) {
		assert_int_equal(process_signal(0, 0, group, witness_says, &witness), -ESRCH);
		assert_int_equal(process_signal(-1, 0, group, witness_says, &witness), -ESRCH);
		assert_int_equal(process_signal(1, 0, group, witness_says, &witness), -ESRCH);
		assert_int_equal(process_signal(-4711, 0, group, witness_says, &witness), -ESRCH);
	}
	assert_int_equal(witness.asked, 0);
}

/* --- kernels and containers that lack something --- */

/* One call fails with `code`, when its argument `index` is `value` (index -1: always). */
static int deny(int call, int index, unsigned value, int code)
{
	size_t argument = index < 0 ? offsetof(struct seccomp_data, nr)
				    : offsetof(struct seccomp_data, args) + 8 * (size_t)index;
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)call, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (unsigned)argument),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, index < 0 ? (unsigned)call : value, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)code),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {.len = sizeof(filter) / sizeof(filter[0]), .filter = filter};

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	       prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

/* The result of process_signal(), as an exit status, where a call is denied. */
static int signal_where_denied(struct family *family, int call, int index, unsigned value, int code)
{
	pid_t pid;
	int status;

	family_open(family);
	pid = fork();
	if (pid == 0) {
		if (deny(call, index, value, code)) {
			_exit(255);
		}
		_exit(-process_signal(family->leader, SIGKILL, true, NULL, NULL));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void test_older_kernel(void **state)
{
	struct family family;

	(void)state;
	/* Linux before 6.9 knows no flag of pidfd_send_signal(2). */
	assert_int_equal(signal_where_denied(&family, SYS_pidfd_send_signal, 3, 4, EINVAL), 0);
	family_close(&family);
	waitpid(family.leader, NULL, 0);
}

static void test_pidfds_refused(void **state)
{
	const int codes[] = {ENOSYS, EPERM};

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct family family;

		assert_int_equal(
			signal_where_denied(&family, SYS_pidfd_open, -1, 0, codes[i]), codes[i]);
		assert_int_equal(
			kill(family.member, 0), 0); /* the keeper's task, not done by number */
		kill(-family.leader, SIGKILL);
		family_close(&family);
		waitpid(family.leader, NULL, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_process_alone),
		cmocka_unit_test(test_process_group),
		cmocka_unit_test(test_process_group_of_a_zombie),
		cmocka_unit_test(test_dead_by_the_ring),
		cmocka_unit_test(test_reaped_pid),
		cmocka_unit_test(test_reaped_while_looking),
		cmocka_unit_test(test_numbers_that_are_no_child),
		cmocka_unit_test(test_older_kernel),
		cmocka_unit_test(test_pidfds_refused),
	};

	if (pipe2(lifeline, O_CLOEXEC) < 0) {
		return 1;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
