/* Health checks: the first good one ends the start, bad ones in a row end the service. */
#include "unit/service/script.h"

static void checked(uint32_t retries, uint64_t start_period_s)
{
	begin(SERVICE_EXEC);
	rules.health = (struct service_health_rules){.on = true,
		.retries = retries,
		.interval_ns = 10 * SEC,
		.start_period_ns = start_period_s * SEC};
}

static void test_first_success_ends_the_start(void **state)
{
	(void)state;
	checked(3, 0);
	rules.watchdog_ns = 5 * SEC;
	play("start > run ExecStart[0], timer 90 | start\n"
	     "good > | start\n"
	     "spawned main > watch 5, probe, warming | start-health\n"
	     "bad > | start-health\n"
	     "reload > refused | start-health\n"
	     "good > timer off, healthy, started | up\n");
	assert_int_equal(service.health, HEALTH_GOOD);
	play("good > | up\n"
	     "bad > unhealthy | up\n");
	assert_int_equal(service.health, HEALTH_FAILING);
	play("bad > | up\n"
	     "good > healthy | up\n"
	     "bad > unhealthy | up\n"
	     "bad > | up\n"
	     "bad > TERM group, watch off, probe off, timer 30 | stop-sigterm\n"
	     "good > | stop-sigterm\n"
	     "signal main 15 > timer off, gone health bad | down\n");
	assert_int_equal(service.health, HEALTH_NONE);
}

/* However often it is asked, a failure counts once an interval before the first success. */
static void test_failures_of_a_start(void **state)
{
	(void)state;
	checked(2, 0);
	play("start\n"
	     "spawned main\n"
	     "bad > | start-health\n"
	     "wait 9\n"
	     "bad > | start-health\n"
	     "wait 1\n"
	     "bad > | start-health\n");
	assert_int_equal(service.health_failures, 1);
	play("wait 9\n"
	     "bad > | start-health\n"
	     "wait 1\n"
	     "bad > TERM group, probe off, timer 30 | stop-sigterm\n"
	     "signal main 15 > timer off, failed health bad | down\n");
}

static void test_start_period(void **state)
{
	(void)state;
	checked(1, 30);
	play("start\n"
	     "spawned main\n"
	     "wait 39\n"
	     "bad > | start-health\n"
	     "wait 1\n"
	     "bad > TERM group, probe off, timer 30 | stop-sigterm\n");
	/* The limit of the start does not end before the start period, and ends it otherwise. */
	checked(1, 200);
	play("start\n"
	     "wait 80\n"
	     "spawned main > probe, timer 200, warming | start-health\n"
	     "timeout > TERM group, probe off, timer 30 | stop-sigterm\n"
	     "signal main 15 > timer off, failed start-timeout bad | down\n");
	checked(3, 20);
	play("start\n"
	     "wait 80\n"
	     "spawned main > probe, timer 20, warming | start-health\n"
	     "extend 100 > timer 100 | start-health\n");
	/* Over with the first success: from then on each failure counts. */
	checked(1, 30);
	play("start\n"
	     "spawned main\n"
	     "good\n"
	     "bad > TERM group, probe off, timer 30, unhealthy | stop-sigterm\n");
}

static void test_end_while_not_healthy(void **state)
{
	(void)state;
	checked(3, 0);
	rules.commands[PHASE_STOP] = 1;
	play("start\n"
	     "spawned main\n"
	     "exit main 0 > probe off, timer off, failed exit:0 | down\n"
	     "start\n"
	     "spawned main\n"
	     "stop > TERM group, probe off, timer 30 | stop-sigterm\n"
	     "signal main 15 > timer off, gone stopped | down\n"
	     "start\n"
	     "spawned main\n"
	     "fail watchdog > ABRT group, probe off, timer 30 | stop-watchdog\n"
	     "signal main 6 > timer off, failed watchdog bad | down\n");
}

static void test_reload_meanwhile(void **state)
{
	(void)state;
	checked(1, 0);
	rules.commands[PHASE_RELOAD] = 1;
	play("start\n"
	     "spawned main\n"
	     "good\n"
	     "reload\n"
	     "good > | reload\n"
	     "bad > TERM group, TERM control, probe off, timer 30, unhealthy, reload-failed | "
	     "stop-sigterm\n");
}

/* What has ended and counts as running is checked as well; what has ended and is done is not. */
static void test_oneshot(void **state)
{
	(void)state;
	checked(1, 0);
	rules.type = SERVICE_ONESHOT;
	play("start\n"
	     "spawned main\n"
	     "exit main 0 > timer off, started, gone exit:0 | down\n");
	rules.remain_after_exit = true;
	play("start\n"
	     "exit main 0 > probe, warming | start-health\n"
	     "good > timer off, healthy, started | up\n"
	     "bad > probe off, unhealthy, gone health bad | down\n");
}

static void test_pauses(void **state)
{
	const struct service_health_rules slow = {.interval_ns = 10 * SEC};
	const struct service_health_rules quick = {.interval_ns = 60 * NS_PER_MS};

	(void)state;
	assert_int_equal(service_health_pause(&slow, HEALTH_STARTING, 1), 50 * NS_PER_MS);
	assert_int_equal(service_health_pause(&slow, HEALTH_STARTING, 3), 200 * NS_PER_MS);
	assert_int_equal(service_health_pause(&slow, HEALTH_STARTING, 1000000), SEC);
	assert_int_equal(service_health_pause(&slow, HEALTH_GOOD, 1), 10 * SEC);
	assert_int_equal(service_health_pause(&slow, HEALTH_FAILING, 1), 10 * SEC);
	assert_int_equal(service_health_pause(&quick, HEALTH_STARTING, 2), 60 * NS_PER_MS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_first_success_ends_the_start),
		cmocka_unit_test(test_failures_of_a_start),
		cmocka_unit_test(test_start_period),
		cmocka_unit_test(test_end_while_not_healthy),
		cmocka_unit_test(test_reload_meanwhile),
		cmocka_unit_test(test_oneshot),
		cmocka_unit_test(test_pauses),
	};

	return cmocka_run_group_tests_name("service health", tests, NULL, NULL);
}
