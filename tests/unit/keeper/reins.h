/*
 * What the keeper's tests hold in their hands: a keeper to start, its orders and events, its
 * memory.
 */
#ifndef TESTS_UNIT_KEEPER_REINS_H
#define TESTS_UNIT_KEEPER_REINS_H

#include "base/log.h"
#include "keeper/keeper.h"
#include "unit/keeper/puppet.h"

#include <limits.h>
#include <sys/wait.h>
#include <time.h>

#define DEADLINE_MS 10000

static char directory[64], self[PATH_MAX];
static char orders_path[80], events_path[80];
static int orders, events;
static pid_t keeper_pid;
static struct share *share; /* the keeper's memory, through /proc */

/* Short times, so that the whole ladder takes less than a second. */
static struct keeper_config config = {
	.backoff_first_ns = 1000000,
	.backoff_last_ns = 8000000,
	.caretaker_retry_ns = UINT64_C(60000000000),
	.proven_ns = UINT64_C(10000000000),
	.leftover_ns = UINT64_C(2000000000),
};

/* --- reins --- */

static uint64_t now_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void order(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void order(const char *format, ...)
{
	char line[256];
	va_list args;
	va_start(args, format);
	int length = vsnprintf(line, sizeof(line) - 1, format, args);
	va_end(args);
	line[length++] = '\n';
	assert_int_equal(write(orders, line, (size_t)length), length);
}

/* The next line that anybody said. */
static const char *next_event(void)
{
	static char buffer[65536], line[1024];
	static size_t length;
	uint64_t until = now_ms() + DEADLINE_MS;
	if (events < 0) {
		length = 0; /* a new run */
		return NULL;
	}
	for (;;) {
		char *end = memchr(buffer, '\n', length);
		if (end != NULL) {
			size_t size = (size_t)(end - buffer);
			snprintf(line, sizeof(line), "%.*s", (int)size, buffer);
			length -= size + 1;
			memmove(buffer, end + 1, length);
			if (getenv("KEEPER_TEST_TALK") != NULL) {
				fprintf(stderr, "# %s\n", line);
			}
			return line;
		}
		struct pollfd polls = {.fd = events, .events = POLLIN};
		if (now_ms() > until || poll(&polls, 1, DEADLINE_MS) != 1) {
			fail_msg("nothing was said for too long");
		}
		ssize_t got = read(events, buffer + length, sizeof(buffer) - length);
		assert_true(got > 0);
		length += (size_t)got;
	}
}

/* Skips lines until one has this text in it; returns it. */
static const char *expect(const char *text)
{
	uint64_t until = now_ms() + DEADLINE_MS;
	for (;;) {
		const char *line = next_event();
		if (strstr(line, text) != NULL) {
			return line;
		}
		if (now_ms() > until) {
			fail_msg("never heard: %s", text);
		}
	}
}

/* The next line must have this text. */
static inline const char *expect_next(const char *text)
{
	const char *line = next_event();
	if (strstr(line, text) == NULL) {
		fail_msg("heard \"%s\" instead of \"%s\"", line, text);
	}
	return line;
}

struct death {
	unsigned long long sequence;
	int pid, slot, code, status;
};

static struct death expect_death(void)
{
	struct death death;
	const char *line = expect("death ");
	assert_int_equal(sscanf(line, "death %llu %d %d %d %d", &death.sequence, &death.pid,
				 &death.slot, &death.code, &death.status),
		5);
	return death;
}

static pid_t expect_pid(const char *text)
{
	return (pid_t)atoi(strrchr(expect(text), ' ') + 1);
}

/* Whether a condition becomes true in time; for what nobody says aloud. */
#define EVENTUALLY(condition)                                           \
	do {                                                            \
		uint64_t until_ = now_ms() + DEADLINE_MS;               \
		while (!(condition)) {                                  \
			if (now_ms() > until_) {                        \
				fail_msg("never true: %s", #condition); \
			}                                               \
			poll(NULL, 0, 1);                               \
		}                                                       \
	} while (0)

/* The first child of a process, alive or not; 0 when there is none. */
static pid_t first_child(pid_t parent)
{
	char path[64], text[16] = "";
	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)parent, (int)parent);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t size = read(fd, text, sizeof(text) - 1);
	close(fd);
	return size > 0 ? (pid_t)atoi(text) : 0;
}

static bool is_gone(pid_t pid)
{
	return kill(pid, 0) < 0 && errno == ESRCH;
}

/* The letter of a process in /proc, or 0 when it is gone. */
static char state_of(pid_t pid)
{
	char path[64], text[256] = "";
	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	(void)!read(fd, text, sizeof(text) - 1);
	close(fd);
	const char *at = strrchr(text, ')');
	return at == NULL ? '\0' : at[2];
}

/* How often a process went to sleep. */
static long switches(pid_t pid)
{
	char path[64], text[4096];
	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	int fd = open(path, O_RDONLY);
	ssize_t size = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[size > 0 ? size : 0] = '\0';
	const char *at = strstr(text, "\nvoluntary_ctxt_switches:");
	return at == NULL ? -1 : strtol(strchr(at, ':') + 1, NULL, 10);
}

/* It may look once more, up to a second later, for deaths that no signal has named. Then it sleeps.
 */
static void expect_sleep(void)
{
	uint64_t until = now_ms() + DEADLINE_MS;
	long before;
	do {
		assert_true(now_ms() < until);
		before = switches(keeper_pid);
		poll(NULL, 0, 1200);
	} while (switches(keeper_pid) != before);
}

/* Starts a keeper; `flags` for clone(2). */
static void keeper_begin(unsigned long flags)
{
	orders = open(orders_path, O_RDWR | O_CLOEXEC);
	events = open(events_path, O_RDWR | O_CLOEXEC);
	assert_true(orders >= 0 && events >= 0);
	fcntl(events, F_SETPIPE_SZ, 1 << 20);
	static char *argv[] = {"puppet", NULL};
	config.manager = self;
	config.manager_argv = argv;
	keeper_pid = puppet_fork(flags | SIGCHLD, NULL);
	if (keeper_pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL); /* not to outlive a test that is cut off */
		dup2(events, STDERR_FILENO);
		log_init("keeper", LOG_LEVEL_NOTICE);
		_exit(keeper_run(&config));
	}
	assert_true(keeper_pid > 0);
}

static void share_map(void)
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)keeper_pid, SHARE_FD_STATE);
	int fd = open(path, O_RDWR);
	assert_true(fd >= 0);
	share = mmap(NULL, sizeof(*share), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_true(share != MAP_FAILED);
	close(fd);
}

/* The keeper's exit status: -N for its death by signal N. */
static int keeper_ends(void)
{
	int status = 0;
	uint64_t until = now_ms() + DEADLINE_MS;
	pid_t pid;
	while ((pid = waitpid(keeper_pid, &status, WNOHANG)) == 0 && now_ms() < until) {
		poll(NULL, 0, 1);
	}
	assert_int_equal(pid, keeper_pid);
	keeper_pid = 0;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* --- around a test --- */

static int begin(void **state)
{
	(void)state;
	unsetenv(PUPPET_ENV_SILENT);
	keeper_begin(0);
	expect("given");
	share_map();
	return 0;
}

static int finish(void **state)
{
	(void)state;
	if (keeper_pid > 0) {
		kill(keeper_pid, SIGKILL);
		waitpid(keeper_pid, NULL, 0);
		keeper_pid = 0;
	}
	/* What it left behind is ours now. */
	for (pid_t pid; (pid = first_child(getpid())) > 0; waitpid(pid, NULL, 0)) {
		kill(pid, SIGKILL);
	}
	if (share != NULL) {
		munmap(share, sizeof(*share));
		share = NULL;
	}
	close(orders); /* the last reader of what nobody has read */
	close(events);
	events = -1;
	next_event();
	return 0;
}

static int begin_pid1(void **state)
{
	(void)state;
	unsetenv(PUPPET_ENV_SILENT);
	if (geteuid() != 0) {
		events = orders = -1;
		return 0;
	}
	keeper_begin(CLONE_NEWPID);
	expect("given");
	share_map();
	return 0;
}

/* --- around all tests --- */

static void reins_take(void)
{
	strcpy(directory, "/tmp/coppice-keeper-XXXXXX");
	assert_non_null(mkdtemp(directory));
	assert_true(readlink("/proc/self/exe", self, sizeof(self) - 1) > 0);
	snprintf(orders_path, sizeof(orders_path), "%s/orders", directory);
	snprintf(events_path, sizeof(events_path), "%s/events", directory);
	assert_int_equal(mkfifo(orders_path, 0600), 0);
	assert_int_equal(mkfifo(events_path, 0600), 0);
	setenv(PUPPET_ENV_ORDERS, orders_path, 1);
	setenv(PUPPET_ENV_EVENTS, events_path, 1);
	prctl(PR_SET_CHILD_SUBREAPER, 1); /* What a keeper leaves behind is ours. */
	cmocka_set_test_filter(getenv("KEEPER_TEST_ONLY"));
}

static int reins_leave(int failed)
{
	char command[128];
	snprintf(command, sizeof(command), "rm -rf %s", directory);
	return system(command) != 0 || failed != 0 ? 1 : 0;
}

#endif
