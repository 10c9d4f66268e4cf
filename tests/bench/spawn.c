/*
 * What process_spawn() costs beside a bare vfork and exec, with few and with many descriptors in
 * the caller.
 *
 *   spawn [ROUNDS]
 *
 * Prints p50 and p99 of the call alone (clone to exec) and of the whole life (clone to reaped), in
 * microseconds, and the ratio of each p50 to the bare loop with few descriptors. The loops take
 * turns where they can, so that all see the same machine. The program is its own child, and static,
 * so that exec itself is as little as it can be.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/span.h"
#include "process/spawn.h"

#define ROUNDS_MAX       20000
#define WARM_UP          50
#define MANY_DESCRIPTORS 10000

struct series {
	const char *name;
	uint64_t call_ns[ROUNDS_MAX], life_ns[ROUNDS_MAX];
};

struct outcome {
	_Atomic int32_t pid, exec_errno, exec_step;
};

static struct series bare, plain, full;
static const char *const child_argv[] = {"spawn", "--child", NULL};
static const char *const child_envp[] = {NULL};
static struct outcome *outcome;
static int out_pipe[2];

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NS_PER_SEC + (uint64_t)now.tv_nsec;
}

static pid_t start_bare(void)
{
	pid_t pid = vfork();

	if (pid == 0) {
		execve("/proc/self/exe", (char *const *)child_argv, (char *const *)child_envp);
		_exit(127);
	}
	return pid;
}

static pid_t start_plan(const struct process_plan *plan)
{
	struct process_spawn spawn = {
		.plan = plan,
		.path = "/proc/self/exe",
		.argv = child_argv,
		.envp = child_envp,
		.cgroup_fd = -1,
		.parent_is_caller = true,
		.pid = &outcome->pid,
		.exec_errno = &outcome->exec_errno,
		.exec_step = &outcome->exec_step,
	};

	return process_spawn(&spawn);
}

/* The least that a plan can be, and what a service has: a session, null and a log pipe. */
static pid_t start_plain(void)
{
	static const struct process_plan plan = {
		.in.kind = STREAM_INHERIT, .out.kind = STREAM_INHERIT, .err.kind = STREAM_INHERIT};

	return start_plan(&plan);
}

static pid_t start_full(void)
{
	struct process_plan plan = {.new_session = true,
		.in.kind = STREAM_NULL,
		.out = {.kind = STREAM_FD, .fd = out_pipe[1]},
		.err.kind = STREAM_SAME_AS_STDOUT,
		.set_umask = true,
		.umask = 022,
		.ignore_sigpipe = true};

	return start_plan(&plan);
}

static void measure_one(struct series *series, int round, pid_t (*start)(void))
{
	uint64_t begin = now_ns(), called;
	pid_t pid = start();
	int status;

	called = now_ns();
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status) ||
		WEXITSTATUS(status) != 0) {
		fprintf(stderr, "%s: the child failed (%d)\n", series->name, (int)pid);
		exit(1);
	}
	if (round >= 0) {
		series->call_ns[round] = called - begin;
		series->life_ns[round] = now_ns() - begin;
	}
}

static int compare(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static double percentile_us(uint64_t *samples, int count, int percent)
{
	qsort(samples, (size_t)count, sizeof(*samples), compare);
	return (double)samples[(long)count * percent / 100] / 1e3;
}

static void report(struct series *series, int rounds, int descriptors, double floor_us[2])
{
	double call = percentile_us(series->call_ns, rounds, 50);
	double life = percentile_us(series->life_ns, rounds, 50);

	if (floor_us[0] <= 0) {
		floor_us[0] = call;
		floor_us[1] = life;
	}
	printf("%-14s %6d descriptors  call p50 %7.1f p99 %7.1f us (%.2f)  life p50 %7.1f p99 "
	       "%7.1f us (%.2f)\n",
		series->name, descriptors, call, percentile_us(series->call_ns, rounds, 99),
		call / floor_us[0], life, percentile_us(series->life_ns, rounds, 99),
		life / floor_us[1]);
}

static void measure_all(int rounds, int descriptors, double floor_us[2])
{
	/* The bare loop copies the whole table: with many descriptors it must not take turns with
	 * the others, for they would run on the caches that it leaves behind. */
	bool turns = descriptors == 0;

	for (int i = -WARM_UP; i < rounds; i++) {
		if (turns) {
			measure_one(&bare, i, start_bare);
		}
		measure_one(&plain, i, start_plain);
		measure_one(&full, i, start_full);
	}
	for (int i = -WARM_UP; i < rounds && !turns; i++) {
		measure_one(&bare, i, start_bare);
	}
	report(&bare, rounds, descriptors, floor_us);
	report(&plain, rounds, descriptors, floor_us);
	report(&full, rounds, descriptors, floor_us);
}

static int open_many(int count)
{
	struct rlimit limit;

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	for (int i = 0; i < count; i++) {
		if (fcntl(out_pipe[0], F_DUPFD_CLOEXEC, 0) < 0) {
			return i;
		}
	}
	return count;
}

int main(int argc, char **argv)
{
	double floor_us[2] = {0, 0};
	int rounds = 2000, opened;

	if (argc > 1 && strcmp(argv[1], "--child") == 0) {
		_exit(0);
	}
	if (argc > 1) {
		rounds = atoi(argv[1]);
	}
	if (rounds < 1 || rounds > ROUNDS_MAX) {
		fprintf(stderr, "usage: spawn [ROUNDS]\n");
		return 2;
	}
	outcome = mmap(
		NULL, sizeof(*outcome), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (outcome == MAP_FAILED || process_spawn_init() < 0 || pipe2(out_pipe, O_CLOEXEC) < 0) {
		fprintf(stderr, "cannot begin: %s\n", strerror(errno));
		return 1;
	}
	bare.name = "vfork+exec";
	plain.name = "spawn, plain";
	full.name = "spawn, service";
	measure_all(rounds, 0, floor_us);
	opened = open_many(MANY_DESCRIPTORS);
	measure_all(rounds, opened, floor_us);
	return 0;
}
