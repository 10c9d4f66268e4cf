/*
 * The child of benchmarks and stress tests.
 *
 *   child crash FILE LIFE_US   take the time, note how long ago the one before died, live LIFE_US,
 *                              note the time, die by SIGKILL
 *   child log FILE NAME        append "NAME PID" to FILE, then wait for a signal
 *   child idle                 wait for a signal
 *
 * FILE of `crash` is a struct samples in shared memory, made by the benchmark.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "samples.h"

static uint64_t clock_ns(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * UINT64_C(1000000000) + (uint64_t)ts.tv_nsec;
}

static int crash(const char *path, const char *life_us)
{
	uint64_t now = clock_ns();
	int fd = open(path, O_RDWR | O_CLOEXEC);
	struct samples *s =
		fd < 0 ? MAP_FAILED
		       : mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (s == MAP_FAILED) {
		return 111;
	}
	if (s->died_at_ns != 0 && s->count < SAMPLES_MAX) {
		s->latency_ns[s->count++] = now - s->died_at_ns;
	}
	if (s->count >= s->wanted) {
		s->died_at_ns = 0;
		s->done = 1;
		pause();
		return 0;
	}
	useconds_t life = (useconds_t)strtoul(life_us, NULL, 10);
	if (life > 0) {
		usleep(life);
	}
	s->died_at_ns = clock_ns();
	kill(getpid(), SIGKILL);
	return 112;
}

static int log_start(const char *path, const char *name)
{
	char line[256];
	int length = snprintf(line, sizeof(line), "%s %d\n", name, (int)getpid());
	int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
	if (fd < 0 || write(fd, line, (size_t)length) != length) {
		return 111;
	}
	close(fd);
	pause();
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 4 && strcmp(argv[1], "crash") == 0) {
		return crash(argv[2], argv[3]);
	}
	if (argc == 4 && strcmp(argv[1], "log") == 0) {
		return log_start(argv[2], argv[3]);
	}
	if (argc == 2 && strcmp(argv[1], "idle") == 0) {
		pause();
		return 0;
	}
	fprintf(stderr, "child: wrong words\n");
	return 2;
}
