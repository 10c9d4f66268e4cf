/*
 * Restart latency: from a child's last instruction to its successor's first one, printed as a ratio
 * to a bare vfork+exec loop of the same run.
 *
 *   restart BUILD [RESTARTS [IDLE_CHILDREN...]]
 *
 * Both start with the same small environment, for an exec copies what it is given. Floor and
 * coppice take turns, so that a machine whose speed drifts slows both. With IDLE_CHILDREN the tree
 * has so many other children: the path of one death must not grow with them.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "samples.h"

#define ROUNDS 5

static char work_dir[] = "/tmp/coppice-bench-XXXXXX";
static char child_path[4096], samples_path[128];
static struct samples *samples;

static void die(const char *what)
{
	fprintf(stderr, "restart: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void write_file(const char *name, const char *text)
{
	char path[256];
	snprintf(path, sizeof(path), "%s/%s", work_dir, name);
	FILE *f = fopen(path, "w");
	if (f == NULL || fputs(text, f) < 0 || fclose(f) != 0) {
		die(path);
	}
}

static void samples_reset(uint64_t wanted)
{
	samples->died_at_ns = 0;
	samples->count = 0;
	samples->done = 0;
	samples->wanted = wanted;
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return x < y ? -1 : x > y;
}

struct figures {
	double p50_us, p99_us;
};

static struct figures figures_take(void)
{
	static uint64_t copy[SAMPLES_MAX];
	size_t count = (size_t)samples->count;
	for (size_t i = 0; i < count; i++) {
		copy[i] = samples->latency_ns[i];
	}
	qsort(copy, count, sizeof(copy[0]), compare);
	return (struct figures){
		(double)copy[count / 2] / 1e3, (double)copy[count * 99 / 100] / 1e3};
}

static void floor_run(uint64_t wanted)
{
	char *argv[] = {child_path, (char *)"crash", samples_path, (char *)"0", NULL};
	samples_reset(wanted);
	pid_t pid = 0;
	while (samples->done == 0) {
		pid = vfork();
		if (pid == 0) {
			execve(child_path, argv, environ);
			_exit(127);
		}
		if (samples->count + 1 >= wanted) {
			/* The next one stays; look for it by its mark, not by its end. */
			while (samples->done == 0 && waitpid(pid, NULL, WNOHANG) == 0) {
				usleep(1000);
			}
		} else if (waitpid(pid, NULL, 0) < 0) {
			die("waitpid");
		}
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static pid_t coppice_start(const char *build)
{
	char program[4096], socket_path[256];
	snprintf(program, sizeof(program), "%s/coppice", build);
	snprintf(socket_path, sizeof(socket_path), "%s/control", work_dir);
	pid_t pid = fork();
	if (pid == 0) {
		execl(program, program, "-r", "root.supervisor", "-u", work_dir, "-S", socket_path,
			"--log-level", "error", (char *)NULL);
		_exit(127);
	}
	return pid;
}

static void coppice_run(const char *build, uint64_t wanted)
{
	samples_reset(wanted);
	pid_t pid = coppice_start(build);
	for (int i = 0; samples->done == 0; i++) {
		if (i > 120000 || waitpid(pid, NULL, WNOHANG) != 0) {
			fprintf(stderr, "restart: coppice ended, or takes too long\n");
			exit(1);
		}
		usleep(1000);
	}
	kill(pid, SIGTERM);
	waitpid(pid, NULL, 0);
}

static void units_write(unsigned idle)
{
	char text[1024];
	snprintf(text, sizeof(text),
		"[Supervisor]\nStrategy=one-for-one\nIntensity=1000000\nPeriod=1s\n"
		"Children=crasher.service idle.supervisor\n");
	write_file("root.supervisor", text);
	snprintf(text, sizeof(text),
		"[Service]\nExecStart=%s crash %s 0\nRestart=permanent\nShutdown=brutal-kill\n",
		child_path, samples_path);
	write_file("crasher.service", text);
	snprintf(text, sizeof(text), "[Service]\nExecStart=%s idle\nShutdown=brutal-kill\n",
		child_path);
	write_file("idle@.service", text);
	char *big = malloc(256 + (size_t)idle * 16);
	char *at = big + sprintf(big, "[Supervisor]\nTemplate=idle@.service\nChildren=");
	for (unsigned i = 0; i < idle; i++) {
		at += sprintf(at, "idle@%u ", i);
	}
	strcpy(at, "\n");
	write_file("idle.supervisor", big);
	free(big);
}

static void compare_print(const char *build, uint64_t wanted, unsigned idle)
{
	double ratio50[ROUNDS], ratio99[ROUNDS];
	struct figures floor_last = {0}, ours_last = {0};
	units_write(idle);
	for (int i = 0; i < ROUNDS; i++) {
		floor_run(wanted);
		floor_last = figures_take();
		coppice_run(build, wanted);
		ours_last = figures_take();
		ratio50[i] = ours_last.p50_us / floor_last.p50_us;
		ratio99[i] = ours_last.p99_us / floor_last.p99_us;
	}
	for (int i = 0; i < ROUNDS; i++) {
		for (int k = i + 1; k < ROUNDS; k++) {
			if (ratio50[k] < ratio50[i]) {
				double t = ratio50[i];
				ratio50[i] = ratio50[k];
				ratio50[k] = t;
			}
			if (ratio99[k] < ratio99[i]) {
				double t = ratio99[i];
				ratio99[i] = ratio99[k];
				ratio99[k] = t;
			}
		}
	}
	printf("restart, %u other children: floor p50 %.0f us p99 %.0f us, coppice p50 %.0f us "
	       "p99 %.0f us (last round); ratio p50 %.2f (%.2f to %.2f), p99 %.2f\n",
		idle, floor_last.p50_us, floor_last.p99_us, ours_last.p50_us, ours_last.p99_us,
		ratio50[ROUNDS / 2], ratio50[0], ratio50[ROUNDS - 1], ratio99[ROUNDS / 2]);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		fprintf(stderr, "usage: restart BUILD [RESTARTS [IDLE_CHILDREN...]]\n");
		return 2;
	}
	char build[4096];
	if (realpath(argv[1], build) == NULL || mkdtemp(work_dir) == NULL) {
		die(argv[1]);
	}
	clearenv();
	setenv("PATH", "/usr/bin:/bin", 1);
	setenv("XDG_RUNTIME_DIR", work_dir, 1);
	snprintf(child_path, sizeof(child_path), "%.4000s/bench/child", build);
	snprintf(samples_path, sizeof(samples_path), "%s/samples", work_dir);
	int fd = open(samples_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || ftruncate(fd, sizeof(*samples)) < 0) {
		die(samples_path);
	}
	samples = mmap(NULL, sizeof(*samples), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (samples == MAP_FAILED) {
		die("mmap");
	}
	uint64_t wanted = argc > 2 ? strtoull(argv[2], NULL, 10) : 1000;
	if (argc <= 3) {
		compare_print(build, wanted, 0);
	}
	for (int i = 3; i < argc; i++) {
		compare_print(build, wanted, (unsigned)strtoul(argv[i], NULL, 10));
	}
	char command[256];
	snprintf(command, sizeof(command), "rm -rf %s", work_dir);
	return system(command) == 0 ? 0 : 1;
}
