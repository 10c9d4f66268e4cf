/* The keeper with so many children that looking at all of them for a dead one takes too long: it
 * walks through the slots in pieces, and looks at all of them seldom. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "unit/keeper/reins.h"

#define MANY 2000

static pid_t pid_of(int slot)
{
	return atomic_load(&share->slots[slot].pid);
}

/* One death of many children, so that the keeper has seen how many there are. */
static void many_start(void)
{
	if (share == NULL) {
		skip();
	}
	for (int i = 0; i < MANY; i++) {
		order("spawn %d %d 0 wait %d", i, i, i);
	}
	order("echo started");
	expect("started");
	EVENTUALLY(share_find(share, pid_of(MANY - 1)) == MANY - 1);
	order("signal 0 9 0");
	EVENTUALLY(atomic_load(&share->deaths_seen) == 1);
}

/* One signal for all of them. */
static void kill_at_once(int first, int second)
{
	pid_t pids[] = {pid_of(first), pid_of(second)};
	kill(keeper_pid, SIGSTOP);
	EVENTUALLY(state_of(keeper_pid) == 'T');
	for (size_t i = 0; i < 2; i++) {
		kill(pids[i], SIGKILL);
		EVENTUALLY(state_of(pids[i]) == 'Z');
	}
	kill(keeper_pid, SIGCONT);
}

/* A death that no signal names is found by the walk, long before the next look at everything. */
static void test_merged(void **state)
{
	(void)state;
	enum { ROUNDS = 20 };
	int late = 0;
	many_start();
	for (int i = 0; i < ROUNDS; i++) {
		uint64_t head = atomic_load(&share->ring_head);
		kill_at_once(1 + i, MANY - 1 - i);
		EVENTUALLY(atomic_load(&share->ring_head) == head + 2);
		assert_int_equal(share->ring[head].slot, 1 + i);
		assert_int_equal(share->ring[head + 1].slot, MANY - 1 - i);
		uint64_t ns = share->ring[head + 1].time_ns - share->ring[head].time_ns;
		late += ns > 30000000 ? 1 : 0; /* on a busy machine, too */
	}
	print_message("# %d of %d were found late\n", late, ROUNDS);
	assert_in_range(late, 0, ROUNDS / 2);
}

/* Those that have no slot are found in the end; then it sleeps. */
static void test_orphans(void **state)
{
	(void)state;
	many_start();
	kill(keeper_pid, SIGSTOP); /* One signal for them, too. */
	EVENTUALLY(state_of(keeper_pid) == 'T');
	order("spawn 0 %d 0 orphans 500", MANY);
	pid_t parent = expect_pid("spawned 0 ");
	EVENTUALLY(state_of(parent) == 'Z');
	kill(keeper_pid, SIGCONT);
	EVENTUALLY(atomic_load(&share->orphans_reaped) == 500);
	expect_sleep();
}

/* The walk stops where the ring is full, and all of it follows when there is room. */
static void test_ring_full(void **state)
{
	(void)state;
	many_start();
	order("orphans 1");
	order("drain 0");
	order("spawn 0 %d 0 orphans %d", MANY, SHARE_RING_SIZE + 100);
	EVENTUALLY(atomic_load(&share->reaping_paused) == 1);
	EVENTUALLY(state_of(keeper_pid) == 'S'); /* and looks for nothing meanwhile */
	for (int i = 1; i < MANY; i++) {
		kill(pid_of(i), SIGKILL);
	}
	order("drain 1");
	for (int i = 1; i <= SHARE_RING_SIZE + 100 + MANY + 1; i++) {
		assert_int_equal(expect_death().sequence, i);
	}
	EVENTUALLY(is_gone(pid_of(MANY - 1)));
}

/* All of them end when they are asked: nothing waits for the time that they would have had. */
static void test_end(void **state)
{
	(void)state;
	many_start();
	order("end 7");
	uint64_t before = now_ms();
	assert_int_equal(keeper_ends(), 7);
	assert_true(now_ms() - before < 3000);
}

int main(int argc, char **argv)
{
	(void)argc;
	if (strcmp(argv[0], "puppet") == 0) {
		return puppet_main();
	}
	config.leftover_ns = UINT64_C(6000000000);
#define CASE(test)      cmocka_unit_test_setup_teardown(test, begin, finish)
#define CASE_PID1(test) cmocka_unit_test_setup_teardown(test, begin_pid1, finish)
	const struct CMUnitTest tests[] = {
		CASE(test_merged),
		CASE(test_orphans),
		CASE(test_ring_full),
		CASE(test_end),
		CASE_PID1(test_end),
	};
	reins_take();
	return reins_leave(cmocka_run_group_tests_name("keeper with many", tests, NULL, NULL));
}
