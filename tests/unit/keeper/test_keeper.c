/* The keeper with a manager on strings (puppet.h): deaths, descriptors, the ladder, the caretaker,
 * signals, the end; as a subreaper and as process 1 of a PID namespace. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "unit/keeper/reins.h"

/* --- deaths --- */

static void test_deaths(void **state)
{
	(void)state;
	enum { CHILDREN = 100 };
	pid_t pids[CHILDREN];
	for (int i = 0; i < CHILDREN; i++) {
		order("spawn %d %d 0 exit %d", i, i, i);
		pids[i] = 0;
	}
	int deaths = 0, spawned = 0;
	bool seen[CHILDREN] = {false};
	while (deaths < CHILDREN || spawned < CHILDREN) {
		const char *line = next_event();
		struct death death;
		int slot, pid;
		if (sscanf(line, "spawned %d %d", &slot, &pid) == 2) {
			pids[slot] = pid;
			spawned++;
		} else if (sscanf(line, "death %llu %d %d %d %d", &death.sequence, &death.pid,
				   &death.slot, &death.code, &death.status) == 5) {
			assert_int_equal(death.sequence, ++deaths);
			assert_in_range(death.slot, 0, CHILDREN - 1);
			assert_false(seen[death.slot]);
			seen[death.slot] = true;
			assert_int_equal(death.code, CLD_EXITED);
			assert_int_equal(death.status, death.slot);
			assert_true(pids[death.slot] == 0 || pids[death.slot] == death.pid);
		}
	}
	assert_int_equal(atomic_load(&share->deaths_seen), CHILDREN);
	assert_int_equal(atomic_load(&share->orphans_reaped), 0);
	for (int i = 0; i < CHILDREN; i++) {
		EVENTUALLY(is_gone(pids[i])); /* reaped, not only seen */
	}
	assert_true(share->ring[0].time_ns > 0);
	assert_true(share->ring[0].max_rss_kib > 0);
}

/* A child that dies while its start is still under way is nobody's orphan. */
static void test_death_before_map(void **state)
{
	(void)state;
	order("slow 1");
	order("spawn 4 1 0 exit 9");
	pid_t pid = expect_pid("spawned 4");
	assert_int_equal(atomic_load(&share->ring_head), 1);
	struct death death = expect_death();
	assert_int_equal(death.pid, pid);
	assert_int_equal(death.slot, 4);
	assert_int_equal(atomic_load(&share->orphans_reaped), 0);
}

static void test_death_by_signal(void **state)
{
	(void)state;
	order("spawn 3 1 0 wait 3");
	pid_t pid = expect_pid("waits 3");
	order("signal 3 9 0");
	struct death death = expect_death();
	assert_int_equal(death.pid, pid);
	assert_int_equal(death.slot, 3);
	assert_int_equal(death.code, CLD_KILLED);
	assert_int_equal(death.status, SIGKILL);
	order("signal 3 9 0"); /* the slot is dead: nothing may be hit */
	order("echo alive");
	expect("alive");
}

static void test_group(void **state)
{
	(void)state;
	order("orphans 1");
	order("spawn 0 1 1 family 7");
	pid_t grandchild = expect_pid("grandchild");
	struct death death = expect_death();
	assert_int_equal(death.slot, 0);
	assert_int_equal(death.status, 7);
	death = expect_death();
	assert_int_equal(death.pid, grandchild);
	assert_int_equal(death.slot, -1);
	assert_int_equal(death.status, SIGKILL);

	order("spawn 0 2 0 family 8"); /* SHARE_GROUP_LEAVE */
	grandchild = expect_pid("grandchild");
	assert_int_equal(expect_death().status, 8);
	order("echo settled");
	expect("settled");
	assert_false(is_gone(grandchild));
	kill(grandchild, SIGTERM);
	death = expect_death();
	assert_int_equal(death.pid, grandchild);
	assert_int_equal(death.status, SIGTERM);
}

static void test_orphans_unwanted(void **state)
{
	(void)state;
	order("spawn 0 1 0 orphans 500");
	assert_int_equal(expect_death().slot, 0);
	EVENTUALLY(atomic_load(&share->orphans_reaped) == 500);
	assert_int_equal(atomic_load(&share->ring_head), 1);
	assert_int_equal(atomic_load(&share->deaths_seen), 501);
}

static void test_ring_full(void **state)
{
	(void)state;
	enum { MORE = 600 };
	order("orphans 1");
	order("drain 0");
	order("spawn 0 1 0 orphans %d", SHARE_RING_SIZE + MORE);
	EVENTUALLY(atomic_load(&share->reaping_paused) == 1);
	assert_int_equal(atomic_load(&share->ring_head), SHARE_RING_SIZE);
	/* Meanwhile the manager dies: that must not wait, nor lose anything. */
	order("die 9");
	expect("start 2");
	/* The new one has drained what there was; the zombies follow. */
	for (int i = 1; i <= SHARE_RING_SIZE + MORE + 1; i++) {
		assert_int_equal(expect_death().sequence, i);
	}
	assert_int_equal(atomic_load(&share->reaping_paused), 0);
	assert_int_equal(atomic_load(&share->orphans_reaped), SHARE_RING_SIZE + MORE);
}

/* One signal for thousands of deaths, and the manager's is behind more than the ring takes. */
static void test_ring_full_at_once(void **state)
{
	(void)state;
	enum { HERD = SHARE_RING_SIZE + 10 };
	order("spawn 0 1 0 herd %d", HERD);
	pid_t herd = expect_pid("herd");
	assert_int_equal(expect_death().pid, herd);
	order("die 9"); /* The next manager is younger than they, also in the kernel's list. */
	pid_t manager = expect_pid("start 2");
	order("orphans 1");
	order("echo set");
	expect("set");
	kill(keeper_pid, SIGSTOP);
	kill(-herd, SIGKILL);
	kill(manager, SIGKILL);
	EVENTUALLY(state_of(manager) == 'Z');
	kill(keeper_pid, SIGCONT);
	expect("start 3");
	for (int i = 2; i <= HERD + 1; i++) {
		assert_int_equal(expect_death().sequence, i);
	}
}

/* The manager made room and died before it said so: the next one's READY will do. */
static void test_ring_room_unsaid(void **state)
{
	(void)state;
	finish(state);
	setenv(PUPPET_ENV_LAZY, "1", 1);
	begin(state);
	unsetenv(PUPPET_ENV_LAZY);
	order("orphans 1");
	order("drain 0");
	order("spawn 0 1 0 orphans %d", SHARE_RING_SIZE + 10);
	EVENTUALLY(atomic_load(&share->reaping_paused) == 1);
	order("die 9");
	expect("start 2");
	for (int i = 1; i <= SHARE_RING_SIZE + 10 + 1; i++) {
		assert_int_equal(expect_death().sequence, i);
	}
}

/* --- the manager --- */

static void test_descriptors(void **state)
{
	(void)state;
	enum { NAMES = 1000 };
	static unsigned long long inodes[NAMES];
	char name[64];
	unsigned long long inode;
	for (int i = 0; i < NAMES; i++) {
		order("hold log:%d", i);
		assert_int_equal(sscanf(expect("held"), "held %63s %llu", name, &inodes[i]), 2);
	}
	order("drop log:500");
	order("hold log:7"); /* replaces */
	assert_int_equal(sscanf(expect("held"), "held %63s %llu", name, &inodes[7]), 2);
	order("die 9");
	expect("start 2 journal");
	int given = 0;
	for (;;) {
		const char *line = next_event();
		if (strcmp(line, "given") == 0) {
			break;
		}
		int number;
		assert_int_equal(sscanf(line, "give log:%d %llu", &number, &inode), 2);
		assert_int_not_equal(number, 500);
		assert_int_equal(inode, inodes[number]);
		given++;
	}
	assert_int_equal(given, NAMES - 1);
	order("hold log:500"); /* must not come back to the one who gives it */
	order("hold another");
	expect_next("held log:500");
	expect_next("held another");
	kill(keeper_pid, SIGHUP);
	expect_next("reload");
}

/* Children live on, and what dies meanwhile is told to the next. */
static void test_manager_killed(void **state)
{
	(void)state;
	order("spawn 0 1 0 wait 0");
	pid_t first = expect_pid("waits 0");
	order("spawn 1 2 0 wait 1");
	pid_t second = expect_pid("waits 1");
	order("drain 0");
	order("echo deaf");
	expect("deaf");
	kill(first, SIGKILL);
	EVENTUALLY(atomic_load(&share->ring_head) == 1);
	order("die 9");
	expect("starting it again at once");
	expect("start 2 journal");
	struct death death = expect_death();
	assert_int_equal(death.sequence, 1);
	assert_int_equal(death.pid, first);
	expect("given");
	assert_false(is_gone(second));
	kill(second, SIGKILL);
	death = expect_death();
	assert_int_equal(death.sequence, 2);
	assert_int_equal(death.slot, 1);
}

/* Killed from outside again and again, ready or not: no step of the ladder is taken for it. */
static void test_kill_burst(void **state)
{
	(void)state;
	enum { KILLS = 300 };
	unsigned seed = 7;
	order("spawn 0 1 0 wait 0");
	pid_t child = expect_pid("waits 0");
	for (int kills = 0; kills < KILLS;) {
		char path[64], text[64] = "";
		snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)keeper_pid,
			(int)keeper_pid);
		int fd = open(path, O_RDONLY);
		ssize_t size = read(fd, text, sizeof(text) - 1);
		close(fd);
		text[size > 0 ? size : 0] = '\0';
		for (char *at = text; *at != '\0'; at += strspn(at, " ")) {
			pid_t pid = (pid_t)strtol(at, &at, 10);
			if (pid > 0 && pid != child && kill(pid, SIGKILL) == 0) {
				kills++;
			}
		}
		seed = seed * 1103515245 + 12345;
		struct timespec moment = {.tv_nsec = 1000 + (seed >> 8) % 6000000};
		nanosleep(&moment, NULL);
	}
	order("echo still-here");
	for (const char *line; strcmp(line = next_event(), "still-here") != 0;) {
		assert_null(strstr(line, "no-journal"));
		assert_null(strstr(line, "caretaker"));
	}
	assert_true(share->manager_incarnation > 50);
	assert_false(is_gone(child));
	print_message("# %d kills, %u managers\n", KILLS, share->manager_incarnation);
}

/* Killed before it is ready, for ever: a delay, but it keeps its journal. */
static void test_killed_early(void **state)
{
	(void)state;
	finish(state);
	setenv(PUPPET_ENV_SILENT, "1", 1);
	keeper_begin(0);
	for (int i = 1; i <= 20; i++) {
		char text[32];
		snprintf(text, sizeof(text), "start %d journal", i);
		expect_next(text);
		expect_next("given");
		order("die 9");
		expect_next(i <= 3  ? "again at once"
			    : i < 5 ? "again in 1ms"
				    : "again in 1ms 600us");
	}
	expect("given");
	order("ready"); /* forgets it all */
	order("die 9");
	expect_next("starting it again at once");
	expect("given");
	order("die 9");
	expect_next("before it was ready; starting it again at once");
	unsetenv(PUPPET_ENV_SILENT);
}

static void expect_ladder_to_caretaker(void)
{
	for (int i = 0; i < 12; i++) {
		order("die 11");
	}
	expect("starting it again at once");
	expect_next("start 2 journal");
	for (int i = 3; i <= 9; i++) {
		char text[32];
		expect("starting it again in ");
		snprintf(text, sizeof(text), "start %d journal", i);
		expect_next(text);
	}
	for (int i = 10; i <= 12; i++) {
		char text[32];
		expect("without the journal");
		snprintf(text, sizeof(text), "start %d no-journal", i);
		expect_next(text);
	}
	expect("the keeper is caretaker");
}

static void test_ladder(void **state)
{
	(void)state;
	config.caretaker_retry_ns = 20000000;
	finish(state);
	keeper_begin(0);
	expect("given");
	expect_ladder_to_caretaker();
	expect_next("start 13 no-journal");
	expect("a manager serves again");
	config.caretaker_retry_ns = UINT64_C(60000000000);
}

/* A manager that was ready for long enough has forgotten what was before. */
static void test_ladder_reset(void **state)
{
	(void)state;
	config.proven_ns = 1;
	finish(state);
	keeper_begin(0);
	for (int i = 1; i < 14; i++) {
		char text[32];
		snprintf(text, sizeof(text), "start %d journal", i);
		expect(text);
		expect("given");
		order("die 6");
		expect("at once");
	}
	config.proven_ns = UINT64_C(10000000000);
}

static void test_manager_missing(void **state)
{
	(void)state;
	finish(state);
	char kept[PATH_MAX];
	strcpy(kept, self);
	strcpy(self, "/nonexistent/manager");
	keeper_begin(0);
	strcpy(self, kept);
	expect("cannot start /nonexistent/manager: ENOENT");
	assert_int_equal(keeper_ends(), 1);
}

/* --- the caretaker --- */

static void test_caretaker(void **state)
{
	(void)state;
	char path[80];
	snprintf(path, sizeof(path), "%s/notify", directory);
	order("hold notify:%s", path);
	for (int i = 0; i < 5; i++) {
		order("spawn %d %d 0 %s %d", i, 100 - 10 * i, i == 1 ? "stubborn" : "wait", i);
		expect("waits");
	}
	expect_ladder_to_caretaker();
	/* Notify messages are read: more than a socket takes (11) do not block their sender. */
	int notify = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct {
		sa_family_t family;
		char path[108];
	} address = {.family = AF_UNIX};
	snprintf(address.path, sizeof(address.path), "%s", path);
	assert_int_equal(connect(notify, (struct sockaddr *)&address, sizeof(address)), 0);
	struct timeval limit = {.tv_sec = 5};
	setsockopt(notify, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	for (int i = 0; i < 200; i++) {
		assert_int_equal(send(notify, "WATCHDOG=1", 10, 0), 10);
	}
	close(notify);
	/* A death is marked in its slot. */
	uint64_t head = atomic_load(&share->ring_head);
	kill(atomic_load(&share->slots[2].pid), SIGKILL);
	EVENTUALLY(atomic_load(&share->slots[2].dead) == 1);
	assert_int_equal(share->slots[2].dead_status, SIGKILL);
	assert_int_equal(atomic_load(&share->ring_head), head);
	kill(atomic_load(&share->slots[3].pid), SIGSTOP); /* must be woken to hear */
	/* The stop goes backwards through the starts: 0 was started last. 1 does not listen. */
	uint64_t before = now_ms();
	pid_t stubborn = atomic_load(&share->slots[1].pid);
	kill(keeper_pid, SIGTERM);
	expect("SIGTERM: shutting down");
	expect_next("term 0");
	expect_next("term 1");
	expect_next("term 3");
	expect_next("term 4");
	assert_true(now_ms() - before >= 100); /* 1 had its time */
	assert_int_equal(keeper_ends(), 0);
	assert_true(is_gone(stubborn));
}

/* A full ring is no reason to leave zombies when nobody will read it. */
static void test_caretaker_ring_full(void **state)
{
	(void)state;
	finish(state);
	setenv(PUPPET_ENV_LAZY, "2", 1);
	begin(state);
	unsetenv(PUPPET_ENV_LAZY);
	order("orphans 1");
	order("spawn 0 1 0 orphans %d", SHARE_RING_SIZE + 10);
	EVENTUALLY(atomic_load(&share->reaping_paused) == 1);
	expect_ladder_to_caretaker();
	EVENTUALLY(atomic_load(&share->orphans_reaped) == SHARE_RING_SIZE + 10);
}

/* A second signal while the caretaker waits ends the waiting. */
static void test_caretaker_now(void **state)
{
	(void)state;
	order("spawn 0 1 0 stubborn 0");
	expect("waits 0");
	order("echo spawned");
	expect("spawned");
	share->slots[0].stop_timeout_ns = UINT64_MAX;
	expect_ladder_to_caretaker();
	kill(keeper_pid, SIGTERM);
	expect("term 0");
	kill(keeper_pid, SIGINT);
	assert_int_equal(keeper_ends(), 0);
}

/* --- signals and ends --- */

static void test_shutdown_signals(void **state)
{
	(void)state;
	kill(keeper_pid, SIGHUP);
	expect("reload");
	kill(keeper_pid, 37); /* podman's SIGRTMIN+3 */
	expect("shutdown 1 37");
	kill(keeper_pid, SIGPWR); /* says nothing new */
	order("die 9");
	expect("start 2 journal");
	expect_next("given");
	expect_next("shutdown 1 37"); /* the next one is told, too */
	kill(keeper_pid, SIGINT);
	expect("shutdown 2 2");
	order("end 0");
	assert_int_equal(keeper_ends(), 0);
}

/* A third one does it without a manager that does not listen. */
static void test_shutdown_deaf(void **state)
{
	(void)state;
	order("spawn 0 1 0 stubborn 0");
	pid_t child = expect_pid("waits 0");
	for (int i = 0; i < 3; i++) {
		kill(keeper_pid, SIGTERM);
		expect("keeper: notice: SIGTERM");
	}
	assert_int_equal(keeper_ends(), 0);
	assert_true(is_gone(child));
}

static void test_end_status(void **state)
{
	static const int statuses[] = {0, 1, 42, 255};
	for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
		order("end %d", statuses[i]);
		assert_int_equal(keeper_ends(), statuses[i]);
		finish(state);
		begin(state);
	}
}

static void test_fatal(void **state)
{
	order("fatal 2"); /* READY was said before: it is a death like any other */
	expect("starting it again");
	expect("given");
	finish(state);
	setenv(PUPPET_ENV_SILENT, "1", 1);
	keeper_begin(0);
	expect("given");
	order("fatal 2");
	assert_int_equal(keeper_ends(), 2);
	unsetenv(PUPPET_ENV_SILENT);
}

/* What the manager says with its last breath counts, also when it dies without having listened. */
static void test_last_words(void **state)
{
	(void)state;
	order("last words");
	expect("waits");
	kill(keeper_pid, SIGHUP);
	expect("held words");
	expect("start 2");
	expect_next("give words");
	expect_next("given");
	order("end 9");
	assert_int_equal(keeper_ends(), 9);
}

/* What is left at the end of a subreaper: the slots. */
static void test_end_leftovers(void **state)
{
	(void)state;
	order("spawn 0 1 0 wait 5");
	pid_t child = expect_pid("waits 5");
	order("end 3");
	expect("term 5");
	assert_int_equal(keeper_ends(), 3);
	assert_true(is_gone(child));
}

/* --- process 1 --- */

static void test_pid1(void **state)
{
	(void)state;
	if (geteuid() != 0) {
		skip();
	}
	assert_int_equal(share->keeper_pid, 1);
	order("spawn 0 1 0 orphans 2000");
	assert_int_equal(expect_death().slot, 0);
	EVENTUALLY(atomic_load(&share->orphans_reaped) == 2000);
	order("spawn 1 2 1 exit 5");
	assert_int_equal(expect_death().status, 5);
	kill(keeper_pid, SIGTERM);
	expect("shutdown 1 15");
	/* What nobody knows is asked to end before it is killed. */
	order("spawn 2 3 0 stray 6");
	expect("waits 6");
	order("end 0");
	expect("term 6");
	assert_int_equal(keeper_ends(), 0);
}

/* A pid that comes again before the manager has forgotten the first process with it. */
static void test_pid_twice(void **state)
{
	(void)state;
	if (geteuid() != 0) {
		skip();
	}
	order("drain 0");
	order("spawn 0 1 0 exit 4");
	pid_t pid = expect_pid("spawned 0");
	EVENTUALLY(atomic_load(&share->deaths_seen) == 1);
	order("spawn 1 2 0 again %d", (int)pid);
	assert_int_equal(expect_pid("again"), pid);
	EVENTUALLY(atomic_load(&share->deaths_seen) == 3);
	assert_int_equal(atomic_load(&share->ring_head), 2);
	assert_int_equal(atomic_load(&share->orphans_reaped), 1);
	/* Now in another slot: that one's death. */
	order("next-pid %d", (int)pid);
	order("spawn 5 3 0 exit 6");
	assert_int_equal(expect_pid("spawned 5"), pid);
	EVENTUALLY(atomic_load(&share->ring_head) == 3);
	assert_int_equal(share->ring[2].pid, pid);
	assert_int_equal(share->ring[2].slot, 5);
	assert_int_equal(share->ring[2].status, 6);
	/* A signal for the dead does not reach the living. */
	order("next-pid %d", (int)pid);
	order("spawn 6 4 0 wait 0");
	assert_int_equal(expect_pid("waits 0"), pid);
	order("signal 0 9 0");
	share_map_insert(share, 0); /* as a new manager's rebuild may have it */
	assert_int_equal(share_find(share, pid), 0);
	order("signal 6 15 0");
	expect("term 0");
	EVENTUALLY(atomic_load(&share->ring_head) == 4);
	assert_int_equal(share->ring[3].code, CLD_EXITED);
	assert_int_equal(share->ring[3].slot, 6);
}

static void test_pid1_now(void **state)
{
	(void)state;
	if (geteuid() != 0) {
		skip();
	}
	order("spawn 2 3 0 stubborn 6");
	expect("waits 6");
	kill(keeper_pid, SIGTERM);
	expect("shutdown 1 15");
	kill(keeper_pid, SIGTERM);
	expect("shutdown 2 15");
	order("end 0");
	uint64_t before = now_ms();
	assert_int_equal(keeper_ends(), 0);
	assert_true(now_ms() - before < 1500); /* "now": not the two seconds of patience */
}

/* --- idle --- */

/* No wake-up while nothing happens, also after it has worked. */
static void test_idle(void **state)
{
	(void)state;
	order("spawn 0 1 0 orphans 100");
	order("hold something");
	expect("held");
	EVENTUALLY(atomic_load(&share->orphans_reaped) == 100);
	expect_sleep();
}

int main(int argc, char **argv)
{
	(void)argc;
	if (strcmp(argv[0], "puppet") == 0) {
		return puppet_main();
	}
#define CASE(test) cmocka_unit_test_setup_teardown(test, begin, finish)
	const struct CMUnitTest tests[] = {
		CASE(test_deaths),
		CASE(test_death_before_map),
		CASE(test_death_by_signal),
		CASE(test_group),
		CASE(test_orphans_unwanted),
		CASE(test_ring_full),
		CASE(test_ring_full_at_once),
		CASE(test_ring_room_unsaid),
		CASE(test_descriptors),
		CASE(test_manager_killed),
		CASE(test_kill_burst),
		CASE(test_killed_early),
		CASE(test_ladder),
		CASE(test_ladder_reset),
		CASE(test_manager_missing),
		CASE(test_caretaker),
		CASE(test_caretaker_ring_full),
		CASE(test_caretaker_now),
		CASE(test_shutdown_signals),
		CASE(test_shutdown_deaf),
		CASE(test_end_status),
		CASE(test_fatal),
		CASE(test_last_words),
		CASE(test_end_leftovers),
		cmocka_unit_test_setup_teardown(test_pid1, begin_pid1, finish),
		cmocka_unit_test_setup_teardown(test_pid_twice, begin_pid1, finish),
		cmocka_unit_test_setup_teardown(test_pid1_now, begin_pid1, finish),
		CASE(test_idle),
	};
	reins_take();
	return reins_leave(cmocka_run_group_tests_name("keeper", tests, NULL, NULL));
}
