/*
 * What the tests of process_spawn() share: the test program is its own child. Started with
 * "--report N" it describes itself on descriptor N, a line a fact, and exits with 7.
 */
#ifndef TESTS_PROCESS_SPAWN_REPORT_H
#define TESTS_PROCESS_SPAWN_REPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "process/spawn.h"

#define REPORT_STATUS 7
#define REPORT_BYTES  65536

extern char **environ;

/* --- the child --- */

static void report_descriptors(FILE *out)
{
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *entry;

	while ((entry = readdir(dir))) {
		char target[256] = "", path[300];

		if (entry->d_name[0] == '.' || atoi(entry->d_name) == dirfd(dir)) {
			continue;
		}
		snprintf(path, sizeof(path), "/proc/self/fd/%s", entry->d_name);
		if (readlink(path, target, sizeof(target) - 1) >= 0) {
			fprintf(out, "fd:%s:%s\n", entry->d_name, target);
		}
	}
	closedir(dir);
}

static void report_file(FILE *out, const char *path)
{
	FILE *in = fopen(path, "re");
	char line[512];

	while (in && fgets(line, sizeof(line), in)) {
		fputs(line, out);
	}
	if (in) {
		fclose(in);
	}
}

static void report_identity(FILE *out)
{
	uid_t uid[3];
	gid_t gid[3], groups[64];
	int count = getgroups(64, groups);

	getresuid(&uid[0], &uid[1], &uid[2]);
	getresgid(&gid[0], &gid[1], &gid[2]);
	fprintf(out, "uid:%u %u %u\n", uid[0], uid[1], uid[2]);
	fprintf(out, "gid:%u %u %u\ngroups:", gid[0], gid[1], gid[2]);
	for (int i = 0; i < count; i++) {
		fprintf(out, " %u", groups[i]);
	}
	fprintf(out, "\n");
}

/* The pid in the memory that the caller shares with the kernel, when it was passed as 3. */
static int32_t read_own_pid(void)
{
	int32_t pid = -1;

	return pread(3, &pid, sizeof(pid), 0) == sizeof(pid) ? pid : -1;
}

static int report_main(int fd, int argc, char **argv)
{
	int32_t told = read_own_pid();
	char directory[4096], input[64] = "";
	struct rlimit limit;
	FILE *out;

	out = fdopen(fd, "w");
	report_descriptors(out);
	for (int i = 0; i < argc; i++) {
		fprintf(out, "arg:%s\n", argv[i]);
	}
	for (char **entry = environ; *entry; entry++) {
		fprintf(out, "env:%s\n", *entry);
	}
	report_identity(out);
	fprintf(out, "told:%s\n", told == getpid() ? "own" : "other");
	fprintf(out, "leader:%s\n", getsid(0) == getpid() ? "yes" : "no");
	fprintf(out, "ppid:%d\n", getppid());
	fprintf(out, "cwd:%s\n", getcwd(directory, sizeof(directory)));
	fprintf(out, "umask:%03o\n", umask(0));
	getrlimit(RLIMIT_NOFILE, &limit);
	fprintf(out, "nofile:%lu %lu\n", (unsigned long)limit.rlim_cur,
		(unsigned long)limit.rlim_max);
	getrlimit(RLIMIT_CORE, &limit);
	fprintf(out, "core:%lu %lu\n", (unsigned long)limit.rlim_cur,
		(unsigned long)limit.rlim_max);
	fprintf(out, "nice:%d\n", getpriority(PRIO_PROCESS, 0));
	fprintf(out, "oom:");
	report_file(out, "/proc/self/oom_score_adj");
	report_file(out, "/proc/self/status");
	report_file(out, "/proc/self/cgroup");
	if (fd != 0 && fcntl(0, F_GETFL) >= 0) {
		fprintf(out, "nonblock:%s\n", fcntl(0, F_GETFL) & O_NONBLOCK ? "yes" : "no");
		fprintf(out, "stdin:%s\n", read(0, input, sizeof(input) - 1) > 0 ? input : "");
	}
	fclose(out);
	if (fd != 1) {
		dprintf(1, "to stdout\n");
		dprintf(2, "to stderr\n");
	}
	return REPORT_STATUS;
}

/* To be called first in main. */
static void report_if_child(int argc, char **argv)
{
	for (int i = 1; i + 1 < argc; i++) {
		if (strcmp(argv[i], "--report") == 0) {
			exit(report_main(atoi(argv[i + 1]), argc, argv));
		}
	}
}

/* --- the caller --- */

/* Outcomes in shared memory, as in a slot; a memfd, so that a child can look. */
struct shared {
	_Atomic int32_t pid, exec_errno, exec_step;
};

static struct shared *shared;
static int shared_fd = -1;

/* One run of the test program by a plan. */
struct run {
	struct process_plan plan;
	struct process_spawn spawn;
	int pipe[2];
	pid_t pid;
	int status;
	char text[REPORT_BYTES];
};

static const char *const report_argv[] = {"report", "--report", "1", NULL};
static const char *const report_argv_3[] = {"report", "--report", "3", NULL};
static const char *const report_envp[] = {"A=1", NULL};

/* A plan that reports on standard output. */
static struct run *run_create(void)
{
	struct run *run = calloc(1, sizeof(*run));

	if (shared_fd < 0) {
		shared_fd = memfd_create("shared", MFD_CLOEXEC);
		assert_true(shared_fd >= 0);
		assert_int_equal(ftruncate(shared_fd, sizeof(*shared)), 0);
		shared = mmap(
			NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED, shared_fd, 0);
		assert_ptr_not_equal(shared, MAP_FAILED);
	}
	assert_non_null(run);
	assert_int_equal(pipe2(run->pipe, O_CLOEXEC), 0);
	run->plan.out = (struct process_stdio){.kind = STREAM_FD, .fd = run->pipe[1]};
	run->plan.err.kind = STREAM_SAME_AS_STDOUT;
	run->spawn = (struct process_spawn){
		.plan = &run->plan,
		.path = "/proc/self/exe",
		.argv = report_argv,
		.envp = report_envp,
		.cgroup_fd = -1,
		.parent_is_caller = true,
		.pid = &shared->pid,
		.exec_errno = &shared->exec_errno,
		.exec_step = &shared->exec_step,
	};
	return run;
}

static void run_destroy(struct run *run)
{
	close(run->pipe[0]);
	if (run->pipe[1] >= 0) {
		close(run->pipe[1]);
	}
	free(run);
}

static void run_read(struct run *run)
{
	size_t used = 0;
	ssize_t size;

	close(run->pipe[1]);
	run->pipe[1] = -1;
	/* Ends only when the last copy of the write end is closed: also the staged one. */
	while ((size = read(run->pipe[0], run->text + used, sizeof(run->text) - 1 - used)) > 0) {
		used += (size_t)size;
	}
	run->text[used] = '\0';
}

/* Spawns, reads the report, reaps. */
static void run_plan(struct run *run)
{
	run->pid = process_spawn(&run->spawn);
	run_read(run);
	if (run->pid > 0) {
		assert_int_equal(atomic_load(&shared->pid), run->pid);
		assert_int_equal(waitpid(run->pid, &run->status, 0), run->pid);
	}
}

static void run_plan_well(struct run *run)
{
	run_plan(run);
	assert_true(run->pid > 0);
	if (atomic_load(&shared->exec_errno)) {
		fail_msg("%s at %s", strerror(atomic_load(&shared->exec_errno)),
			process_step_names[atomic_load(&shared->exec_step)]);
	}
	assert_int_equal(atomic_load(&shared->exec_step), PROCESS_STEP_NONE);
	assert_true(WIFEXITED(run->status));
	assert_int_equal(WEXITSTATUS(run->status), REPORT_STATUS);
}

/* A whole line of the report. */
static bool run_says(const struct run *run, const char *line)
{
	size_t length = strlen(line);

	for (const char *at = run->text; (at = strstr(at, line)); at++) {
		if ((at == run->text || at[-1] == '\n') && (at[length] == '\n' || !at[length])) {
			return true;
		}
	}
	return false;
}

#define assert_says(run, line)                                          \
	do {                                                            \
		if (!run_says(run, line)) {                             \
			fail_msg("no '%s' in:\n%s", line, (run)->text); \
		}                                                       \
	} while (0)

/* How many lines begin so. */
static int run_count(const struct run *run, const char *prefix)
{
	int count = strncmp(run->text, prefix, strlen(prefix)) == 0;
	char needle[64];

	snprintf(needle, sizeof(needle), "\n%s", prefix);
	for (const char *at = run->text; (at = strstr(at, needle)); at++) {
		count++;
	}
	return count;
}

#endif
