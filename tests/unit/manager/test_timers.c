/* The heap of deadlines against a list that is searched. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>

#include "manager/timers.h"

#define TIMERS 300

static struct timers timers;
static struct timer list[TIMERS];

static int setup(void **state)
{
	(void)state;
	assert_int_equal(timers_reserve(&timers, TIMERS), 0);
	for (int i = 0; i < TIMERS; i++) {
		timer_init(&list[i], TIMER_DEADLINE);
	}
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	timers_finish(&timers);
	return 0;
}

static uint64_t earliest(void)
{
	uint64_t found = UINT64_MAX;
	for (int i = 0; i < TIMERS; i++) {
		if (list[i].place != TIMER_NOT_ARMED && list[i].deadline_ns < found) {
			found = list[i].deadline_ns;
		}
	}
	return found;
}

static void test_random_changes_keep_the_order(void **state)
{
	(void)state;
	srand(1);
	for (int i = 0; i < 20000; i++) {
		struct timer *timer = &list[rand() % TIMERS];
		if (rand() % 3 == 0) {
			timers_clear(&timers, timer);
			assert_int_equal(timer->place, TIMER_NOT_ARMED);
		} else {
			timers_set(&timers, timer, (uint64_t)(rand() % 1000));
		}
		const struct timer *first = timers_first(&timers);
		assert_true(first == NULL ? earliest() == UINT64_MAX
					  : first->deadline_ns == earliest());
	}
}

static void test_draining_gives_them_in_order(void **state)
{
	uint64_t last = 0;
	(void)state;
	for (int i = 0; i < TIMERS; i++) {
		timers_set(&timers, &list[i], (uint64_t)((i * 7919) % 1009));
	}
	for (int i = 0; i < TIMERS; i++) {
		struct timer *first = timers_first(&timers);
		assert_true(first->deadline_ns >= last);
		last = first->deadline_ns;
		timers_clear(&timers, first);
	}
	assert_null(timers_first(&timers));
}

static void test_one_that_is_not_armed_is_left_alone(void **state)
{
	(void)state;
	timers_clear(&timers, &list[0]);
	assert_null(timers_first(&timers));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			test_random_changes_keep_the_order, setup, teardown),
		cmocka_unit_test_setup_teardown(test_draining_gives_them_in_order, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_one_that_is_not_armed_is_left_alone, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
