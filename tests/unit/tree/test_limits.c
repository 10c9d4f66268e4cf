/* What systemd's units say about starts and ends beside their supervisor, and health. */
#include "unit/tree/script.h"

static struct service_end_set status_set(int status)
{
	struct service_end_set set = {{0}};

	set.statuses[status / 32] = 1U << (status % 32);
	return set;
}

static struct tree_view look(const char *name)
{
	struct tree_view view;

	tree_look(tree, unit_named(name)->node, now, &view);
	return view;
}

/* --- the limit of starts --- */

static void test_limit_of_starts(void **state)
{
	struct unit *r = root(ONE_FOR_ONE);
	struct unit *a = leaf("a", r);

	(void)state;
	r->supervisor.intensity = 99;
	r->supervisor.period_ns = 99 * SEC;
	a->rules.start_limit_burst = 3;
	a->rules.start_limit_ns = 10 * SEC;
	leaf("b", r);
	build();
	play("boot > begin root, run a, run b\n"
	     "wait 4\n"
	     "die a 1 > run a\n"
	     "reload\n"
	     "wait 4\n"
	     "die a 1 > run a\n"
	     "wait 3\n" /* the first start is 11 s ago */
	     "die a 1 > run a\n"
	     "reload\n"
	     "die a 1 > failed a\n");
	assert_int_equal(look("a").last_end.reason, REASON_START_LIMIT);
	assert_int_equal(look("a").state, STATE_FAILED);
	assert_int_equal(look("root").window, 3); /* the last one is not counted there */
	/* By hand it begins anew. */
	play("start a > run a, reply start a: ok\n"
	     "die a 1 > run a\n"
	     "die a 1 > run a\n"
	     "die a 1 > failed a\n"
	     "die b 1 > run b\n");
}

/* Its supervisor's intensity is a limit of its own. */
static void test_limit_and_intensity(void **state)
{
	struct unit *r = root(ONE_FOR_ONE);
	struct unit *a = leaf("a", r);

	(void)state;
	a->rules.start_limit_burst = 5;
	a->rules.start_limit_ns = 10 * SEC;
	build();
	play("boot > begin root, run a\n"
	     "die a 1 > run a\n"
	     "die a 1 > escalated root, ended root intensity, END intensity\n");
}

static void test_limit_of_attempts(void **state)
{
	static const struct {
		enum tree_strategy strategy;
		const char *out;
	} cases[] = {
		{ONE_FOR_ONE, "die a 1 > run a, run a, failed a\n"},
		{ONE_FOR_ALL, "die a 1 > TERM b, run a, run a, failed a, run b\n"},
		{REST_FOR_ONE, "die a 1 > TERM b, run a, run a, failed a, run b\n"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct unit *r = root(cases[i].strategy);
		struct unit *a = leaf("a", r);
		r->supervisor.intensity = 99;
		a->rules.start_limit_burst = 3;
		a->rules.start_limit_ns = 10 * SEC;
		leaf("b", r);
		build();
		play("boot > begin root, run a, run b\n"
		     "failing a 9\n");
		play(cases[i].out);
		assert_int_equal(look("a").state, STATE_FAILED);
		play("willing a\n"
		     "start a > run a, reply start a: ok\n");
	}
}

static void test_limit_while_booting(void **state)
{
	struct unit *r = root(ONE_FOR_ONE);
	struct unit *a = leaf("a", r);

	(void)state;
	r->supervisor.intensity = 99;
	r->supervisor.retry_start = true;
	a->rules.start_limit_burst = 1;
	a->rules.start_limit_ns = 10 * SEC;
	leaf("b", r);
	build();
	play("failing a 9\n"
	     "boot > begin root, run a, failed a, run b\n");
}

/* --- RestartPreventExitStatus=, RestartForceExitStatus= --- */

static void test_prevent_and_force(void **state)
{
	struct unit *r = root(ONE_FOR_ONE);
	struct unit *a = leaf("a", r), *b = leaf("b", r), *c = leaf("c", r);

	(void)state;
	r->supervisor.intensity = 99;
	a->rules.restart_prevent = status_set(5);
	a->rules.restart_prevent.signals = UINT64_C(1) << 11;
	b->rules.restart = RESTART_TEMPORARY;
	b->rules.restart_force = status_set(0);
	c->rules.restart_prevent = c->rules.restart_force = status_set(3);
	build();
	play("boot > begin root, run a, run b, run c\n"
	     "die a 1 > run a\n"
	     "die a 5 > failed a\n"
	     "start a > run a, reply start a: ok\n"
	     "signal a 11 > failed a\n"
	     "die b 0 > run b\n"
	     "die c 3 > failed c\n"
	     "die b 1 > failed b\n");
	/* OnExit= comes first. */
	r = root(ONE_FOR_ONE);
	a = leaf("a", r);
	r->supervisor.intensity = 99;
	a->rules.restart_prevent = status_set(5);
	on_exit_status(a, 5, EXIT_RESTART);
	build();
	play("boot > begin root, run a\n"
	     "die a 5 > run a\n");
}

/* --- actions --- */

static void test_actions(void **state)
{
	struct unit *r = root(ONE_FOR_ONE);
	struct unit *a = leaf("a", r), *b = leaf("b", r);

	(void)state;
	a->rules.restart = b->rules.restart = RESTART_TRANSIENT;
	a->rules.failure_action = a->rules.success_action = ACTION_EXIT;
	a->rules.failure_status = 7;
	a->rules.success_status = -1;
	build();
	/* A restart is no failure. */
	play("boot > begin root, run a, run b\n"
	     "die a 1 > run a\n"
	     "die a 0 > done a, action a, TERM b, ended root ordered, END action, "
	     "action 7 of exit:0\n");
	r = root(ONE_FOR_ONE);
	a = leaf("a", r);
	a->rules.restart = RESTART_TEMPORARY;
	a->rules.failure_action = ACTION_REBOOT_FORCE;
	a->rules.failure_status = 7;
	leaf("b", r);
	build();
	play("boot > begin root, run a, run b\n"
	     "reload\n"
	     "die a 1 > failed a, action a, KILL b, ended root ordered, END action, "
	     "action 2 of exit:7\n");
}

static void test_action_over_a_save(void **state)
{
	struct unit *r = root(ONE_FOR_ONE);
	struct unit *a = leaf("a", r);

	(void)state;
	a->rules.restart = RESTART_TEMPORARY;
	a->rules.failure_action = ACTION_EXIT;
	a->rules.failure_status = -1;
	leaf("b", r);
	build();
	play("deaf b\n"
	     "boot > begin root, run a, run b\n"
	     "deaf b\n"
	     "die a 9 > failed a, action a, TERM b\n"
	     "reload\n"
	     "signal b 9 > ended root ordered, END action, action 7 of exit:9\n");
}

static void test_action_of_the_limit(void **state)
{
	struct unit *r = root(ONE_FOR_ONE);
	struct unit *a = leaf("a", r);

	(void)state;
	r->supervisor.intensity = 99;
	a->rules.start_limit_burst = 1;
	a->rules.start_limit_ns = 10 * SEC;
	a->rules.start_limit_action = ACTION_POWEROFF;
	build();
	play("boot > begin root, run a\n"
	     "die a 1 > failed a, action a, ended root ordered, END action, "
	     "action 4 of start-limit:0\n");
}

/* A start that was asked for by hand fails for good, too. */
static void test_action_of_a_failed_start(void **state)
{
	struct unit *r = root(ONE_FOR_ONE);
	struct unit *a = leaf("a", r);

	(void)state;
	a->rules.failure_action = ACTION_EXIT;
	a->rules.failure_status = 3;
	build();
	play("boot > begin root, run a\n"
	     "hold a > TERM a, reply hold a: ok\n"
	     "failing a 1\n"
	     "start a > run a, failed a, action a, reply start a: error failstart, "
	     "ended root ordered, END action, action 7 of exit:3\n");
}

/* --- health --- */

static struct unit *checked(const char *name, struct unit *parent)
{
	struct unit *unit = leaf(name, parent);

	unit->service.health = (struct service_health_rules){
		.on = true, .retries = 2, .interval_ns = SEC, .timeout_ns = SEC};
	return unit;
}

static void test_sibling_waits_for_health(void **state)
{
	struct unit *r = root(ONE_FOR_ONE);

	(void)state;
	checked("a", r);
	leaf("b", r);
	build();
	play("boot > begin root, run a, probe a on\n");
	assert_int_equal(look("a").state, STATE_RUNNING);
	assert_false(look("a").ready);
	play("reload\n"
	     "bad a > \n"
	     "good a > healthy a, run b\n");
	assert_true(look("a").ready);
	assert_true(look("root").ready);
	play("bad a > unhealthy a\n");
	assert_int_equal(look("a").state, STATE_RUNNING);
	assert_false(look("a").ready);
	assert_false(look("root").ready);
	play("reload\n"
	     "good a > healthy a\n"
	     "bad a > unhealthy a\n"
	     "bad a > TERM a, probe a off, run a, probe a on\n");
	assert_int_equal(look("a").last_end.reason, REASON_HEALTH);
	assert_int_equal(look("a").restarts, 1);
}

/* A start that does not become healthy is a failed start: at boot OTP's unwinding. */
static void test_never_healthy(void **state)
{
	struct unit *r = root(ONE_FOR_ONE);

	(void)state;
	leaf("a", r);
	checked("b", r);
	build();
	play("boot > begin root, run a, run b, probe b on\n"
	     "wait 1\n"
	     "bad b > \n"
	     "wait 1\n"
	     "bad b > TERM b, probe b off, TERM a, ended root startfail, END startfail\n");
}

static void test_stop_before_healthy(void **state)
{
	struct unit *r = root(ONE_FOR_ONE);

	(void)state;
	checked("a", r);
	leaf("b", r);
	build();
	play("boot > begin root, run a, probe a on\n"
	     "hold a > TERM a, probe a off, reply hold a: ok, run b\n"
	     "start a > run a, probe a on\n"
	     "shutdown > reply start a: error broken_off, TERM b, TERM a, probe a off, "
	     "ended root ordered, END ordered\n");
}

static void test_watchdog_order(void **state)
{
	struct unit *r = root(ONE_FOR_ONE);

	(void)state;
	leaf("a", r)->service.watchdog_ns = 5 * SEC;
	build();
	play("boot > begin root, run a, watch a 5\n");
	assert_int_equal(look("a").watchdog_ns, 5 * SEC);
	unit_named("a")->service.watchdog_signal = 15;
	play("fail a > TERM a, watch a 0, run a, watch a 5\n");
	assert_int_equal(look("a").last_end.reason, REASON_WATCHDOG);
}

/* RuntimeRandomizedExtraSec=: drawn anew at each start, and never more. */
static void test_random_runtime(void **state)
{
	struct unit *r = root(ONE_FOR_ONE);
	uint64_t first = 0;
	bool differs = false;

	(void)state;
	r->supervisor.intensity = 99;
	leaf("a", r)->service.runtime_max_ns = 100 * SEC;
	unit_named("a")->service.runtime_extra_ns = 10 * SEC;
	build();
	play("boot\n");
	for (int i = 0; i < 20; i++) {
		uint64_t span = look("a").deadline_ns - now;
		assert_in_range(span, 100 * SEC, 110 * SEC);
		first = i == 0 ? span : first;
		differs = differs || span != first;
		play("die a 1\n");
	}
	assert_true(differs);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_limit_of_starts),
		TEST(test_limit_and_intensity),
		TEST(test_limit_of_attempts),
		TEST(test_limit_while_booting),
		TEST(test_prevent_and_force),
		TEST(test_actions),
		TEST(test_action_over_a_save),
		TEST(test_action_of_the_limit),
		TEST(test_action_of_a_failed_start),
		TEST(test_sibling_waits_for_health),
		TEST(test_never_healthy),
		TEST(test_stop_before_healthy),
		TEST(test_watchdog_order),
		TEST(test_random_runtime),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
