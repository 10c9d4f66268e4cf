#include "spawn_report.h"

#include <stdatomic.h>
#include <sys/prctl.h>

static char *scratch_path(const char *name)
{
	static char paths[4][128];
	static unsigned next;
	char *path = paths[next++ % 4];

	snprintf(path, sizeof(paths[0]), "/tmp/test_spawn.%d.%s", getpid(), name);
	return path;
}

static void read_whole(const char *path, char *out, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got = read(fd, out, size - 1);

	assert_true(got >= 0);
	out[got] = '\0';
	close(fd);
}

static void write_whole(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static void test_argv_and_environment_are_exact(void **state)
{
	const char *const argv[] = {
		"my name", "--report", "1", "", " two  words ", "$HOME", "a;b=c'\"", NULL};
	const char *const envp[] = {"X=", "Y=a b=c", "PATH=/nowhere", NULL};
	struct run *run = run_create();

	(void)state;
	run->spawn.argv = argv;
	run->spawn.envp = envp;
	run_plan_well(run);
	for (int i = 0; argv[i]; i++) {
		char line[64];

		snprintf(line, sizeof(line), "arg:%s", argv[i]);
		assert_says(run, line);
	}
	assert_int_equal(run_count(run, "arg:"), 7);
	assert_says(run, "env:X=");
	assert_says(run, "env:Y=a b=c");
	assert_says(run, "env:PATH=/nowhere");
	assert_int_equal(run_count(run, "env:"), 3);
	run_destroy(run);
}

static void test_defaults(void **state)
{
	struct run *run = run_create();
	char line[64];

	(void)state;
	run->spawn.envp = NULL;
	run_plan_well(run);
	assert_int_equal(run_count(run, "env:"), 0);
	assert_says(run, "cwd:/");
	assert_says(run, "leader:no");
	assert_says(run, "fd:0:/dev/null");
	assert_says(run, "NoNewPrivs:\t0");
	snprintf(line, sizeof(line), "ppid:%d", getpid());
	assert_says(run, line);
	run_destroy(run);
}

/* --- descriptors --- */

/* Reports on descriptor 3, so that all three streams are free for the test. */
static struct run *run_create_on_3(int *pass)
{
	struct run *run = run_create();

	*pass = run->pipe[1];
	run->plan.out = run->plan.err = (struct process_stdio){.kind = STREAM_NULL};
	run->spawn.argv = report_argv_3;
	run->spawn.pass_count = 1;
	run->spawn.pass = pass;
	return run;
}

static void test_streams_null(void **state)
{
	int pass;
	struct run *run = run_create_on_3(&pass);

	(void)state;
	run_plan_well(run);
	assert_says(run, "fd:0:/dev/null");
	assert_says(run, "fd:1:/dev/null");
	assert_says(run, "fd:2:/dev/null");
	assert_int_equal(run_count(run, "fd:"), 4);
	run_destroy(run);
}

static void test_streams_inherited(void **state)
{
	int pass, saved = dup(0), fd = memfd_create("inherited", MFD_CLOEXEC);
	struct run *run = run_create_on_3(&pass);

	(void)state;
	run->plan.in.kind = STREAM_INHERIT;
	assert_int_equal(dup3(fd, 0, O_CLOEXEC), 0); /* close-on-exec: still inherited */
	run_plan_well(run);
	assert_says(run, "fd:0:/memfd:inherited (deleted)");
	run_destroy(run);

	run = run_create_on_3(&pass);
	run->plan.in.kind = STREAM_INHERIT;
	close(0);
	run_plan_well(run);
	dup2(saved, 0);
	assert_says(run, "fd:0:/dev/null"); /* never a hole */
	run_destroy(run);
	close(saved);
	close(fd);
}

static void test_streams_files(void **state)
{
	const char *in = scratch_path("in"), *out = scratch_path("out"), *err = scratch_path("err");
	int pass;
	struct run *run = run_create_on_3(&pass);
	char text[256];
	struct stat info;

	(void)state;
	write_whole(in, "from the file");
	write_whole(out, "12345678901234567890\n");
	unlink(err);
	umask(022);
	run->plan.in = (struct process_stdio){.kind = STREAM_FILE, .path = in};
	run->plan.out = (struct process_stdio){.kind = STREAM_FILE, .path = out};
	run->plan.err = (struct process_stdio){.kind = STREAM_APPEND, .path = err};
	run_plan_well(run);
	assert_says(run, "stdin:from the file");
	assert_says(run, "nonblock:no");
	read_whole(out, text, sizeof(text));
	assert_string_equal(text, "to stdout\n1234567890\n"); /* from the start, not truncated */
	read_whole(err, text, sizeof(text));
	assert_string_equal(text, "to stderr\n");
	assert_int_equal(stat(err, &info), 0);
	assert_int_equal(info.st_mode & 0777, 0644);
	run_destroy(run);

	run = run_create_on_3(&pass);
	run->plan.out = (struct process_stdio){.kind = STREAM_TRUNCATE, .path = out};
	run->plan.err = (struct process_stdio){.kind = STREAM_APPEND, .path = err};
	run_plan_well(run);
	read_whole(out, text, sizeof(text));
	assert_string_equal(text, "to stdout\n");
	read_whole(err, text, sizeof(text));
	assert_string_equal(text, "to stderr\nto stderr\n");
	run_destroy(run);

	run = run_create_on_3(&pass);
	run->plan.out = (struct process_stdio){.kind = STREAM_TRUNCATE, .path = out};
	run->plan.err = (struct process_stdio){.kind = STREAM_SAME_AS_STDOUT};
	run_plan_well(run);
	read_whole(out, text, sizeof(text));
	assert_string_equal(text, "to stdout\nto stderr\n");
	run_destroy(run);
	unlink(in);
	unlink(out);
	unlink(err);
}

static int count_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int count = 0;

	while (readdir(dir)) {
		count++;
	}
	closedir(dir);
	return count;
}

static void test_no_stray_descriptor(void **state)
{
	struct run *run = run_create();
	int stray[300], before;

	(void)state;
	for (int i = 0; i < 300; i++) {
		stray[i] = dup(2); /* not close-on-exec: low and high numbers */
		assert_true(stray[i] >= 0);
	}
	before = count_descriptors();
	run_plan_well(run);
	assert_int_equal(run_count(run, "fd:"), 3);
	assert_int_equal(count_descriptors(), before - 1); /* less the pipe's end: run_read() */
	for (int i = 0; i < 300; i++) {
		assert_int_equal(close(stray[i]), 0); /* all still there in the caller */
	}
	run_destroy(run);
}

/* A start's cost grows with what lies below the block, so that must be little. */
static void test_block_is_low(void **state)
{
	int open_count = 0;

	(void)state;
	assert_int_equal(process_spawn_init(), 0);
	for (int fd = 10; fd < 3 + PROCESS_PASS_MAX + 64; fd++) {
		open_count += fcntl(fd, F_GETFD) >= 0;
	}
	assert_true(open_count >= 3 + PROCESS_PASS_MAX + 1);
}

/* All of them, so that the targets reach into the block where they are staged. */
static void test_passed_descriptors(void **state)
{
	int pass[PROCESS_PASS_MAX];
	struct run *run = run_create();

	(void)state;
	for (int i = 0; i < PROCESS_PASS_MAX; i++) {
		char name[32];

		snprintf(name, sizeof(name), "pass-%d", i);
		pass[i] = memfd_create(name, MFD_CLOEXEC);
		assert_true(pass[i] >= 0);
	}
	run->spawn.pass = pass;
	run->spawn.pass_count = PROCESS_PASS_MAX;
	run_plan_well(run);
	assert_int_equal(run_count(run, "fd:"), 3 + PROCESS_PASS_MAX);
	for (int i = 0; i < PROCESS_PASS_MAX; i++) {
		char line[64];

		snprintf(line, sizeof(line), "fd:%d:/memfd:pass-%d (deleted)", 3 + i, i);
		assert_says(run, line);
		close(pass[i]);
	}
	run_destroy(run);
}

/* The child writes its own number where the environment has the place for it. */
static void test_listen_pid(void **state)
{
	static char variable[] = "LISTEN_PID=?\0__________";
	static const char *const envp[] = {variable, NULL};
	struct run *run = run_create();
	char line[64];

	(void)state;
	run->spawn.envp = envp;
	run->spawn.listen_pid = variable + strlen("LISTEN_PID=");
	run_plan_well(run);
	snprintf(line, sizeof(line), "env:LISTEN_PID=%d", (int)atomic_load(&shared->pid));
	assert_says(run, line);
	run_destroy(run);
}

/* Sources below the block, crosswise, one of them twice, and a stream passed as well. */
static void test_passed_descriptors_cross(void **state)
{
	int a = memfd_create("a", MFD_CLOEXEC), b = memfd_create("b", MFD_CLOEXEC);
	struct run *run = run_create();
	const int pass[] = {b, a, b, 2, run->pipe[1]};

	(void)state;
	run->spawn.pass = pass;
	run->spawn.pass_count = 5;
	run_plan_well(run);
	assert_says(run, "fd:3:/memfd:b (deleted)");
	assert_says(run, "fd:4:/memfd:a (deleted)");
	assert_says(run, "fd:5:/memfd:b (deleted)");
	assert_int_equal(run_count(run, "fd:"), 8);
	close(a);
	close(b);
	run_destroy(run);
}

static void test_many_descriptors(void **state)
{
	struct rlimit limit, before;
	int first, count = 0;
	struct run *run;

	(void)state;
	getrlimit(RLIMIT_NOFILE, &before);
	limit = before;
	limit.rlim_cur = limit.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	if (limit.rlim_max < 11000) {
		skip();
	}
	first = dup(2);
	while (count < 10000 && fcntl(first, F_DUPFD, first + 1) >= 0) {
		count++;
	}
	run = run_create(); /* its pipe has numbers above all of them */
	assert_int_equal(count, 10000);
	assert_true(run->pipe[0] > 10000);
	run_plan_well(run);
	assert_int_equal(run_count(run, "fd:"), 3);
	run_destroy(run);
	for (int fd = first; fd <= first + 10200; fd++) {
		struct stat a, b;

		if (fd != shared_fd && fstat(fd, &a) == 0 && fstat(2, &b) == 0 &&
			a.st_ino == b.st_ino && a.st_dev == b.st_dev) {
			close(fd);
		}
	}
	setrlimit(RLIMIT_NOFILE, &before);
}

/* --- the process --- */

static void test_session_and_umask(void **state)
{
	struct run *run = run_create();

	(void)state;
	run->plan.new_session = true;
	run->plan.set_umask = true;
	run->plan.umask = 0137;
	run_plan_well(run);
	assert_says(run, "leader:yes");
	assert_says(run, "umask:137");
	assert_int_equal(umask(022), 022); /* the caller's is its own */
	run_destroy(run);
}

static void test_limits(void **state)
{
	struct run *run = run_create();
	struct rlimit now;
	char line[64];

	(void)state;
	run->plan.limit_set[RLIMIT_NOFILE] = run->plan.limit_set[RLIMIT_CORE] = true;
	run->plan.limits[RLIMIT_NOFILE] = (struct rlimit){5, 123};
	run->plan.limits[RLIMIT_CORE] = (struct rlimit){0, 4096};
	run_plan_well(run);
	assert_says(run, "nofile:5 123");
	assert_says(run, "core:0 4096");
	run_destroy(run);

	/* Nobody may have infinitely many descriptors (fs.nr_open): as many as may be, then. */
	run = run_create();
	getrlimit(RLIMIT_NOFILE, &now);
	run->plan.limit_set[RLIMIT_NOFILE] = true;
	run->plan.limits[RLIMIT_NOFILE] = (struct rlimit){RLIM_INFINITY, RLIM_INFINITY};
	run_plan_well(run);
	snprintf(line, sizeof(line), "nofile:%lu %lu", (unsigned long)now.rlim_max,
		(unsigned long)now.rlim_max);
	assert_says(run, line);
	run_destroy(run);
}

static bool may_lower_oom_score(void)
{
	const uint64_t sys_resource = UINT64_C(1) << 24;
	char text[4096];
	const char *effective;

	read_whole("/proc/self/status", text, sizeof(text));
	effective = strstr(text, "CapEff:");
	return effective && strtoull(effective + 7, NULL, 16) & sys_resource;
}

static void test_nice_and_oom_score(void **state)
{
	struct run *run = run_create();

	(void)state;
	run->plan.set_nice = run->plan.set_oom_score = true;
	run->plan.nice = 7;
	run->plan.oom_score = 321;
	run_plan_well(run);
	assert_says(run, "nice:7");
	assert_says(run, "oom:321");
	assert_int_equal(getpriority(PRIO_PROCESS, 0), 0);
	run_destroy(run);

	/* Less than our own score takes CAP_SYS_RESOURCE; without it the start goes on. */
	run = run_create();
	run->plan.set_oom_score = true;
	run->plan.oom_score = -500;
	run_plan_well(run);
	assert_true(run_says(run, "oom:-500") || run_says(run, "oom:0"));
	assert_int_equal(run_says(run, "oom:-500"), may_lower_oom_score());
	run_destroy(run);
}

static void test_user_and_groups(void **state)
{
	struct run *run;

	(void)state;
	if (geteuid() != 0) {
		skip();
	}
	prctl(PR_SET_DUMPABLE, 1);
	run = run_create();
	run->plan.set_user = run->plan.set_group = true;
	run->plan.uid = 12345;
	run->plan.gid = 23456;
	run->plan.groups_count = 2;
	run->plan.groups[0] = 111;
	run->plan.groups[1] = 222;
	run->plan.no_new_privileges = true;
	run->spawn.path = "/proc/self/exe";
	run_plan_well(run);
	assert_says(run, "uid:12345 12345 12345");
	assert_says(run, "gid:23456 23456 23456");
	assert_says(run, "groups: 111 222");
	assert_says(run, "CapEff:\t0000000000000000");
	assert_says(run, "NoNewPrivs:\t1");
	/* The caller is as it was, and may still dump core. */
	assert_int_equal(geteuid(), 0);
	assert_int_equal(prctl(PR_GET_DUMPABLE), 1);
	assert_int_equal(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 0);
	run_destroy(run);

	run = run_create();
	run->plan.set_user = true;
	run->plan.uid = 12345;
	run_plan_well(run);
	assert_says(run, "groups:"); /* none are left, not those of the caller */
	run_destroy(run);
}

static void test_directory(void **state)
{
	char path[] = "/tmp/test_spawn.XXXXXX";
	struct run *run = run_create();
	char line[64];

	(void)state;
	assert_non_null(mkdtemp(path));
	run->plan.directory = path;
	run_plan_well(run);
	snprintf(line, sizeof(line), "cwd:%s", path);
	assert_says(run, line);
	run_destroy(run);

	rmdir(path);
	run = run_create();
	run->plan.directory = path;
	run->plan.directory_optional = true;
	run_plan_well(run);
	assert_says(run, "cwd:/");
	run_destroy(run);
}

/* The directory is entered by the new user: root's rights do not open it. */
static void test_directory_after_user(void **state)
{
	char path[] = "/tmp/test_spawn.XXXXXX";
	struct run *run;

	(void)state;
	if (geteuid() != 0) {
		skip();
	}
	assert_non_null(mkdtemp(path));
	run = run_create();
	run->plan.directory = path;
	run->plan.set_user = true;
	run->plan.uid = 12345;
	run_plan(run);
	assert_int_equal(atomic_load(&shared->exec_step), PROCESS_STEP_DIRECTORY);
	assert_int_equal(atomic_load(&shared->exec_errno), EACCES);
	run_destroy(run);
	rmdir(path);
}

/* --- signals --- */

static void on_signal(int signo)
{
	(void)signo;
}

static void test_signals_are_reset(void **state)
{
	struct run *run = run_create();
	sigset_t all, before, after;

	(void)state;
	signal(SIGINT, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGRTMAX, SIG_IGN);
	signal(SIGUSR1, on_signal);
	assert_int_equal(process_spawn_init(), 0);
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &before);
	run_plan_well(run);
	sigprocmask(SIG_SETMASK, &before, &after);
	assert_says(run, "SigBlk:\t0000000000000000");
	assert_says(run, "SigIgn:\t0000000000000000");
	assert_true(sigismember(&after, SIGTERM)); /* the caller's mask was given back */
	assert_false(sigismember(&before, SIGTERM));
	run_destroy(run);

	run = run_create();
	run->plan.ignore_sigpipe = true;
	run_plan_well(run);
	assert_says(run, "SigIgn:\t0000000000001000");
	run_destroy(run);

	signal(SIGPIPE, SIG_DFL);
	signal(SIGINT, SIG_DFL);
	signal(SIGRTMAX, SIG_DFL);
	signal(SIGUSR1, SIG_DFL);
	assert_int_equal(process_spawn_init(), 0);
	run = run_create();
	run->plan.ignore_sigpipe = true;
	run_plan_well(run);
	assert_says(run, "SigIgn:\t0000000000001000");
	run_destroy(run);
}

/* --- the pid, and whose child it is --- */

static void test_pid_is_known_to_the_child(void **state)
{
	struct run *run = run_create();
	int pass = -1;

	(void)state;
	run->spawn.pass = &pass;
	run->spawn.pass_count = 1;
	pass = memfd_create("empty", MFD_CLOEXEC);
	run_plan_well(run);
	assert_says(run, "told:other"); /* the check can fail */
	close(pass);
	run_destroy(run);

	run = run_create();
	pass = shared_fd;
	run->spawn.pass = &pass;
	run->spawn.pass_count = 1;
	atomic_store(&shared->pid, 4711); /* stale */
	run_plan_well(run);
	assert_says(run, "told:own");
	run_destroy(run);
}

/* A middle process spawns a sibling of its own and is gone. */
static void test_sibling_of_the_caller(void **state)
{
	struct run *run = run_create();
	char line[32];
	pid_t middle, child;

	(void)state;
	atomic_store(&shared->pid, 0);
	middle = fork();
	assert_true(middle >= 0);
	if (middle == 0) {
		run->spawn.parent_is_caller = false;
		_exit(process_spawn(&run->spawn) > 0 ? 0 : 1);
	}
	assert_int_equal(waitpid(middle, &run->status, 0), middle);
	assert_true(WIFEXITED(run->status) && WEXITSTATUS(run->status) == 0);
	child = atomic_load(&shared->pid); /* what the middle process left behind */
	assert_true(child > 0);
	run_read(run);
	snprintf(line, sizeof(line), "ppid:%d", getpid());
	assert_says(run, line);
	assert_int_equal(waitpid(child, &run->status, 0), child);
	assert_int_equal(WEXITSTATUS(run->status), REPORT_STATUS);
	run_destroy(run);
}

/* --- cgroup and helper --- */

static void test_cgroup(void **state)
{
	static const char *const roots[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"};
	char path[128];
	struct run *run;

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "%s/cgroup.procs", roots[i]);
		if (access(path, W_OK) == 0) {
			snprintf(path, sizeof(path), "%s/test_spawn.%d", roots[i], getpid());
			if (mkdir(path, 0755) == 0) {
				break;
			}
		}
		path[0] = '\0';
	}
	if (!path[0]) {
		skip();
	}
	run = run_create();
	run->spawn.cgroup_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	run_plan_well(run);
	close(run->spawn.cgroup_fd);
	assert_non_null(strstr(run->text, strrchr(path, '/')));
	assert_int_equal(run_count(run, "fd:"), 3);
	run_destroy(run);
	rmdir(path);
}

static void test_helper_comes_first(void **state)
{
	static const char *const options[] = {"--report", "1", "--user", "redis", NULL};
	static const char *const argv[] = {"argv0", "one", "", NULL};
	struct run *run = run_create();

	(void)state;
	run->plan.helper = "/proc/self/exe";
	run->plan.helper_argv = options;
	run->spawn.path = "some-program";
	run->spawn.argv = argv;
	run_plan_well(run);
	assert_non_null(strstr(run->text,
		"arg:/proc/self/exe\narg:--report\narg:1\narg:--user\narg:redis\narg:--\n"
		"arg:some-program\narg:argv0\narg:one\narg:\nenv:"));
	run_destroy(run);
}

/* More words than the place that is kept for them. */
static void test_helper_with_many_words(void **state)
{
	static const char *const options[] = {"--report", "1", NULL};
	static const char *argv[6001];
	struct run *run = run_create();

	(void)state;
	for (int i = 0; i < 6000; i++) {
		argv[i] = "x";
	}
	run->plan.helper = "/proc/self/exe";
	run->plan.helper_argv = options;
	run->spawn.argv = argv;
	run_plan_well(run);
	assert_int_equal(run_count(run, "arg:x"), 6000);
	run_destroy(run);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_argv_and_environment_are_exact),
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_streams_null),
		cmocka_unit_test(test_streams_inherited),
		cmocka_unit_test(test_streams_files),
		cmocka_unit_test(test_no_stray_descriptor),
		cmocka_unit_test(test_block_is_low),
		cmocka_unit_test(test_passed_descriptors),
		cmocka_unit_test(test_listen_pid),
		cmocka_unit_test(test_passed_descriptors_cross),
		cmocka_unit_test(test_many_descriptors),
		cmocka_unit_test(test_session_and_umask),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_nice_and_oom_score),
		cmocka_unit_test(test_user_and_groups),
		cmocka_unit_test(test_directory),
		cmocka_unit_test(test_directory_after_user),
		cmocka_unit_test(test_signals_are_reset),
		cmocka_unit_test(test_pid_is_known_to_the_child),
		cmocka_unit_test(test_sibling_of_the_caller),
		cmocka_unit_test(test_cgroup),
		cmocka_unit_test(test_helper_comes_first),
		cmocka_unit_test(test_helper_with_many_words),
	};

	report_if_child(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
