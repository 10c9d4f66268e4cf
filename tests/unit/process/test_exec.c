/* The chain loader coppice-exec, as a program. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <grp.h>
#include <libgen.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "process/spawn.h"

static char program[512];
static char output[8192]; /* both streams */

static int find_program(void **state)
{
	char self[400] = "";

	(void)state;
	if (readlink("/proc/self/exe", self, sizeof(self) - 1) < 0) {
		return 1;
	}
	/* BUILD/tests/process/test_exec */
	snprintf(program, sizeof(program), "%s/coppice-exec", dirname(dirname(dirname(self))));
	return access(program, X_OK);
}

/* Runs coppice-exec with the words and returns its wait status. */
static int run_by(uid_t uid, const char *const *words)
{
	static const char *const envp[] = {
		"PATH=/usr/bin:/bin", "HOME=/old", "USER=old", "KEPT=1", NULL};
	const char *argv[32] = {"coppice-exec"};
	int ends[2], status;
	size_t used = 0;
	ssize_t size;
	pid_t pid;

	for (int i = 0; words[i]; i++) {
		argv[i + 1] = words[i];
	}
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		dup2(ends[1], 1);
		dup2(ends[1], 2);
		/* By descriptor: the user may not be let into the directory of the build. */
		int fd = open(program, O_PATH);
		if (uid != geteuid() && (setgroups(0, NULL) || setgid(uid) || setuid(uid))) {
			_exit(254);
		}
		fexecve(fd, (char *const *)argv, (char *const *)envp);
		_exit(255);
	}
	close(ends[1]);
	while ((size = read(ends[0], output + used, sizeof(output) - 1 - used)) > 0) {
		used += (size_t)size;
	}
	output[used] = '\0';
	close(ends[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

#define run(...) run_by(geteuid(), (const char *const[]){__VA_ARGS__, NULL})

/* The exit status and the one line that is said. */
static void assert_refused(int status, int expected, const char *line)
{
	assert_string_equal(output, line);
	assert_int_equal(status, expected);
}

static void test_becomes_the_program(void **state)
{
	(void)state;
	assert_int_equal(run("--", "/bin/sh", "my name", "-c",
				 "echo \"$0|$1|$2\"; pwd; env | sort; "
				 "exit 42",
				 "", "--user", "a b"),
		42);
	assert_non_null(strstr(output, "|--user|a b\n/\n"));
	assert_non_null(strstr(output, "\nHOME=/old\nKEPT=1\n"));
	assert_int_equal(run("sh", "sh", "-c", "exit 3"), 3); /* searched in PATH; no "--" needed */
}

static void test_user_by_name(void **state)
{
	const struct passwd *entry = getpwnam("nobody");
	char expected[512];

	(void)state;
	if (geteuid() != 0 || !entry) {
		skip();
	}
	snprintf(expected, sizeof(expected), "%d %d %d\n%s nobody nobody %s 1\n",
		(int)entry->pw_uid, (int)entry->pw_gid, (int)entry->pw_gid, entry->pw_dir,
		entry->pw_shell);
	assert_int_equal(run("--user", "nobody", "--keep-env", "X,HOME2", "--", "sh", "sh", "-c",
				 "echo $(id -u) $(id -g) $(id -G); "
				 "echo $HOME $USER $LOGNAME $SHELL $KEPT"),
		0);
	assert_string_equal(output, expected);
	/* What the unit sets by itself stays. */
	assert_int_equal(run("--user", "nobody", "--keep-env", "USER,HOME", "sh", "sh", "-c",
				 "echo $HOME $USER $LOGNAME"),
		0);
	assert_string_equal(output, "/old old nobody\n");
}

static void test_numbers(void **state)
{
	(void)state;
	if (geteuid() != 0) {
		skip();
	}
	assert_int_equal(
		run("--user", "12345", "--group", "23456", "--supplementary-groups", "7,8,7", "sh",
			"sh", "-c", "echo $(id -u) $(id -g) $(id -G) $HOME $USER"),
		0);
	assert_string_equal(output, "12345 23456 23456 7 8 /old old\n");
	assert_refused(run("--user", "12345", "true", "true"), 216,
		"coppice-exec: user 12345 is not in the user database and has no group of its own: "
		"name one with Group=\n");
	/* root's number finds its entry. */
	assert_int_equal(run("--user", "0", "sh", "sh", "-c", "echo $USER $HOME"), 0);
	assert_string_equal(output, "root /root\n");
	/* (uid_t)-1 would change nothing, in silence. */
	assert_refused(run("--user", "4294967295", "true", "true"), 217,
		"coppice-exec: cannot become user '4294967295': there is no such user\n");
}

static void test_groups(void **state)
{
	const struct group *daemon_group = getgrnam("daemon");
	char expected[64];

	(void)state;
	if (geteuid() != 0 || !daemon_group) {
		skip();
	}
	snprintf(expected, sizeof(expected), "0 %d %d 9\n", (int)daemon_group->gr_gid,
		(int)daemon_group->gr_gid);
	assert_int_equal(run("--group", "daemon", "--supplementary-groups", "9", "sh", "sh", "-c",
				 "echo $(id -u) $(id -g) $(id -G)"),
		0);
	assert_string_equal(output, expected);
	assert_refused(run("--group", "no-such-group", "true", "true"), 216,
		"coppice-exec: cannot use group 'no-such-group': there is no such group\n");
	assert_refused(run("--supplementary-groups", "daemon,no-such-group", "true", "true"), 216,
		"coppice-exec: cannot use group 'no-such-group': there is no such group\n");
}

static void test_directory(void **state)
{
	char path[] = "/tmp/test_exec.XXXXXX";
	char expected[128];

	(void)state;
	assert_int_equal(run("--directory", "/usr", "pwd", "pwd"), 0);
	assert_string_equal(output, "/usr\n");
	assert_refused(run("--directory", "/nowhere", "pwd", "pwd"), 200,
		"coppice-exec: cannot change to directory '/nowhere': No such file or directory\n");
	assert_int_equal(run("--directory", "-/nowhere", "pwd", "pwd"), 0);
	assert_string_equal(output, "/\n");
	if (geteuid() != 0 || !getpwnam("daemon")) {
		skip();
	}
	assert_int_equal(run("--user", "daemon", "--directory", "~", "pwd", "pwd"), 0);
	snprintf(expected, sizeof(expected), "%s\n", getpwnam("daemon")->pw_dir);
	assert_string_equal(output, expected);
	assert_refused(run("--user", "12345", "--group", "1", "--directory", "~", "pwd", "pwd"),
		200, "coppice-exec: the user has no home directory to change to\n");
	/* Entered by the new user. */
	assert_non_null(mkdtemp(path));
	snprintf(expected, sizeof(expected),
		"coppice-exec: cannot change to directory '%s': Permission denied\n", path);
	assert_refused(run("--user", "daemon", "--directory", path, "pwd", "pwd"), 200, expected);
	rmdir(path);
}

static void test_no_such_user(void **state)
{
	(void)state;
	assert_refused(run("--user", "no-such-user", "true", "true"), 217,
		"coppice-exec: cannot become user 'no-such-user': there is no such user\n");
}

static void test_without_privilege(void **state)
{
	const char *const other[] = {"--user", "root", "true", "true", NULL};
	const char *const self[] = {
		"--user", "12345", "--group", "12345", "sh", "sh", "-c", "id -u", NULL};

	(void)state;
	if (geteuid() != 0) {
		skip();
	}
	assert_refused(run_by(12345, other), 216,
		"coppice-exec: cannot set the supplementary groups: Operation not permitted\n");
	assert_int_equal(run_by(12345, self), 0); /* one's own is no change */
	assert_string_equal(output, "12345\n");
}

static void test_exec_fails(void **state)
{
	char path[] = "/tmp/test_exec.XXXXXX";
	char expected[256];
	int fd = mkstemp(path);

	(void)state;
	assert_refused(run("/nowhere/x", "x"), 203,
		"coppice-exec: cannot execute '/nowhere/x': No such file or directory\n");
	assert_refused(run("no-such-command", "x"), 203,
		"coppice-exec: cannot execute 'no-such-command': No such file or directory\n");
	snprintf(expected, sizeof(expected),
		"coppice-exec: cannot execute '%s': Permission denied\n", path);
	assert_refused(run(path, "x"), 203, expected);
	assert_int_equal(write(fd, "#!/nowhere/interpreter\n", 23), 23);
	fchmod(fd, 0755);
	close(fd);
	snprintf(expected, sizeof(expected),
		"coppice-exec: cannot execute '%s': No such file or directory (the file is there: "
		"its interpreter is not)\n",
		path);
	assert_refused(run(path, "x"), 203, expected);
	unlink(path);
}

static void test_wrong_usage(void **state)
{
	(void)state;
	assert_refused(run("--nonsense", "true", "true"), 2,
		"coppice-exec: option '--nonsense' is unknown or lacks its value\n");
	assert_refused(
		run("--user"), 2, "coppice-exec: option '--user' is unknown or lacks its value\n");
	assert_int_equal(run("/bin/true"), 2); /* no ARGV0 */
	assert_memory_equal(output, "coppice-exec: usage: ", 21);
}

/* The whole way: a plan with the helper in front, and nothing is left open by look-ups. */
static void test_by_plan(void **state)
{
	static const char *const options[] = {"--user", "nobody", "--directory", "/usr", NULL};
	static const char *const argv[] = {
		"sh", "-c", "id -un; pwd; ls /proc/self/fd | wc -w", NULL};
	static const char *const envp[] = {"PATH=/usr/bin:/bin", NULL};
	struct process_plan plan = {.helper = program,
		.helper_argv = options,
		.new_session = true,
		.err.kind = STREAM_SAME_AS_STDOUT};
	struct process_spawn spawn = {.plan = &plan,
		.path = "sh",
		.argv = argv,
		.envp = envp,
		.cgroup_fd = -1,
		.parent_is_caller = true};
	_Atomic int32_t pid, exec_errno, exec_step;
	int ends[2], status;
	ssize_t size = 0, got;

	(void)state;
	if (geteuid() != 0) {
		skip();
	}
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	plan.out = (struct process_stdio){.kind = STREAM_FD, .fd = ends[1]};
	spawn.pid = &pid;
	spawn.exec_errno = &exec_errno;
	spawn.exec_step = &exec_step;
	assert_true(process_spawn(&spawn) > 0);
	close(ends[1]);
	while ((got = read(ends[0], output + size, sizeof(output) - 1 - (size_t)size)) > 0) {
		size += got;
	}
	output[size] = '\0';
	close(ends[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_string_equal(output, "nobody\n/usr\n4\n"); /* with that of ls itself */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_becomes_the_program),
		cmocka_unit_test(test_user_by_name),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_groups),
		cmocka_unit_test(test_directory),
		cmocka_unit_test(test_no_such_user),
		cmocka_unit_test(test_without_privilege),
		cmocka_unit_test(test_exec_fails),
		cmocka_unit_test(test_wrong_usage),
		cmocka_unit_test(test_by_plan),
	};

	return cmocka_run_group_tests(tests, find_program, NULL);
}
