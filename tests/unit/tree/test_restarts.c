/* What becomes of a child that ended: delays, OnExit=, giving up, cooling down, auto-shutdown. */
#include "unit/tree/script.h"

/* --- restart words --- */

static void test_restart_words(void **state)
{
	/* systemd.service(5), the table of Restart=, and OTP's three words. */
	static const struct {
		struct service_end end;
		const char *words; /* who restarts: permanent transient temporary on-success
				      on-aBnormal on-Abort on-Watchdog */
	} cases[] = {
		{{.reason = REASON_EXIT, .number = 0, .normal = true}, "ps"},
		{{.reason = REASON_EXIT, .number = 1}, "pt"},
		{{.reason = REASON_SIGNAL, .number = 15, .normal = true}, "ps"},
		{{.reason = REASON_SIGNAL, .number = 11}, "ptBA"},
		{{.reason = REASON_EXEC, .number = 2}, "pt"},
		{{.reason = REASON_START_TIMEOUT}, "ptB"},
		{{.reason = REASON_WATCHDOG}, "ptBW"},
		{{.reason = REASON_OOM}, "ptB"},
		{{.reason = REASON_HEALTH}, "ptB"},
		{{.reason = REASON_GAVE_UP, .normal = true}, "ps"},
		{{.reason = REASON_AUTO_SHUTDOWN, .normal = true}, "ps"},
		{{.reason = REASON_CHILD_FAILED}, "ptB"},
	};
	static const struct {
		char letter;
		enum tree_restart word;
	} words[] = {{'p', RESTART_PERMANENT}, {'t', RESTART_TRANSIENT}, {'y', RESTART_TEMPORARY},
		{'s', RESTART_ON_SUCCESS}, {'B', RESTART_ON_ABNORMAL}, {'A', RESTART_ON_ABORT},
		{'W', RESTART_ON_WATCHDOG}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		for (size_t k = 0; k < sizeof(words) / sizeof(words[0]); k++) {
			bool wanted = strchr(cases[i].words, words[k].letter) != NULL;
			if (tree_restarts(words[k].word, &cases[i].end) != wanted) {
				fail_msg("case %zu, word %c", i, words[k].letter);
			}
		}
	}
}

/* --- delays --- */

static void test_restart_delay(void **state)
{
	struct unit *r = root(ONE_FOR_ONE);

	(void)state;
	r->supervisor.intensity = 9;
	leaf("a", r)->rules.restart_delay_ns = 2 * SEC;
	leaf("b", r);
	build();
	play("boot > begin root, run a, run b\n"
	     "die a 1 > timer a 2, waiting a\n"
	     "reload\n"
	     "wait 1\n"
	     "die b 1 > run b\n" /* the supervisor is free meanwhile */
	     "timer a > run a\n"
	     "die a 1 > timer a 2, waiting a\n"
	     "start a > reply start a: ok, run a\n" /* by hand, at once */
	     "die a 1 > timer a 2, waiting a\n"
	     "stop a > reply stop a: ok\n"
	     "wait 5\n"
	     "start a > run a, reply start a: ok\n"
	     "die a 1 > timer a 2, waiting a\n"
	     "restart a > run a, reply restart a: ok\n"
	     "die a 1 > timer a 2, waiting a\n"
	     "shutdown > TERM b, ended root ordered, END ordered\n");
}

static void test_delay_of_a_failed_start(void **state)
{
	struct unit *r = root(ONE_FOR_ONE);

	(void)state;
	r->supervisor.intensity = 2;
	leaf("a", r)->rules.restart_delay_ns = SEC;
	build();
	play("boot > begin root, run a\n"
	     "failing a 9\n"
	     "die a 1 > timer a 1, waiting a\n"
	     "timer a > run a, timer a 1, waiting a\n"
	     "timer a > run a, timer a 1, waiting a\n"
	     "timer a > escalated root, ended root intensity, END intensity\n");
}

/* A group goes down and comes up when the delay is over. */
static void test_delay_in_a_group(void **state)
{
	struct unit *r = root(REST_FOR_ONE);

	(void)state;
	r->supervisor.intensity = 9;
	leaf("a", r);
	leaf("b", r)->rules.restart_delay_ns = SEC;
	leaf("c", r);
	build();
	play("boot > begin root, run a, run b, run c\n"
	     "die b 1 > timer b 1, waiting b\n"
	     "timer b > TERM c, run b, run c\n"
	     "die b 1 > timer b 1, waiting b\n"
	     "die a 1 > TERM c, run a, run b, run c\n"); /* takes the waiting one along */
}

static double delay_of(const char *name)
{
	const struct unit *unit = unit_named(name);

	return (double)(unit->timer_ns - now) / 1e9;
}

/* RestartSteps=: from 1 s to 16 s in 4 steps, each up to a tenth longer by chance. */
static void test_back_off(void **state)
{
	static const double wanted[] = {1, 2, 4, 8, 16, 16, 16};
	struct unit *r = root(ONE_FOR_ONE);
	struct unit *a = leaf("a", r);
	bool differs = false;

	(void)state;
	r->supervisor.intensity = 1000;
	a->rules.restart_delay_ns = SEC;
	a->rules.restart_delay_max_ns = 16 * SEC;
	a->rules.restart_steps = 4;
	build();
	play("boot\n");
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
		play("die a 1\n");
		assert_true(delay_of("a") >= wanted[i] * 0.999);
		assert_true(delay_of("a") <= wanted[i] * 1.101);
		differs = differs || delay_of("a") > wanted[i] * 1.001;
		play("reload\ntimer a > run a\n");
	}
	assert_true(differs);
	/* Forgotten once it was up for Period=, 5 s; not before. */
	play("wait 4.9\ndie a 1\n");
	assert_true(delay_of("a") >= 15.9);
	play("timer a > run a\nwait 5\ndie a 1\n");
	assert_true(delay_of("a") <= 1.101);
}

/* --- OnExit= --- */

static void test_exit_actions(void **state)
{
	struct unit *r = root(ONE_FOR_ONE);
	struct unit *b = leaf("b", r);

	(void)state;
	r->supervisor.intensity = 9;
	leaf("c", r);
	on_exit_status(b, 3, EXIT_STOP);
	on_exit_status(b, 4, EXIT_REST_FOR_ONE);
	on_exit_status(b, 0, EXIT_RESTART)->delay_ns = 7 * SEC;
	b->rules.restart = RESTART_TRANSIENT;
	build();
	play("boot > begin root, run b, run c\n"
	     "die b 1 > run b\n"
	     "die b 4 > TERM c, run b, run c\n"
	     "die b 0 > timer b 7, waiting b\n"
	     "timer b > run b\n"
	     "die b 3 > failed b\n"
	     "start b > run b, reply start b: ok\n");
}

static void test_exit_escalate(void **state)
{
	struct unit *r = root(ONE_FOR_ONE);
	struct unit *s = sup("s", r, ONE_FOR_ONE);

	(void)state;
	on_exit_status(leaf("a", s), 78, EXIT_ESCALATE);
	leaf("b", s);
	build();
	play("boot > begin root, begin s, run a, run b\n"
	     "die a 78 > escalated s, TERM b, ended s intensity, begin s, run a, run b\n");
}

static void test_exit_rules_first_match(void **state)
{
	struct unit *r = root(ONE_FOR_ONE);
	struct unit *a = leaf("a", r);
	struct tree_exit_rule *rule;

	(void)state;
	r->supervisor.intensity = 9;
	on_exit_status(a, 5, EXIT_STOP);
	on_exit_status(a, 5, EXIT_ESCALATE);
	rule = on_exit_status(a, 6, EXIT_STOP);
	rule->ends.signals = UINT64_C(1) << 11;
	rule->reasons = 1U << REASON_WATCHDOG;
	build();
	play("boot > begin root, run a\n"
	     "die a 5 > failed a\n"
	     "start a > run a, reply start a: ok\n"
	     "signal a 9 > run a\n"
	     "signal a 11 > failed a\n"
	     "start a > run a, reply start a: ok\n"
	     "fail a > TERM a, failed a\n");
}

/* The reach of one incident outlives a failed attempt and a delay. */
static void test_exit_group_is_tried_again_as_a_group(void **state)
{
	struct unit *r = root(ONE_FOR_ONE);
	struct unit *b = leaf("b", r);

	(void)state;
	r->supervisor.intensity = 9;
	leaf("c", r);
	on_exit_status(b, 4, EXIT_ONE_FOR_ALL);
	on_exit_status(b, 5, EXIT_ONE_FOR_ALL)->delay_ns = SEC;
	build();
	play("boot > begin root, run b, run c\n"
	     "failing b 1\n"
	     "die b 4 > TERM c, run b, run b, run c\n"
	     "die b 5 > timer b 1, waiting b\n"
	     "reload\n"
	     "timer b > TERM c, run b, run c\n"
	     "die b 1 > run b\n");
}

static void test_exit_group_of_a_temporary(void **state)
{
	struct unit *r = root(ONE_FOR_ONE);
	struct unit *b = leaf("b", r);

	(void)state;
	r->supervisor.intensity = 9;
	leaf("c", r)->rules.restart = RESTART_TEMPORARY;
	b->rules.restart = RESTART_TEMPORARY;
	on_exit_status(b, 4, EXIT_ONE_FOR_ALL);
	build();
	play("boot > begin root, run b, run c\n"
	     "die b 4 > TERM c, run b\n" /* the other temporary one is gone */
	     "die b 1 > failed b\n"
	     "start b > reply start b: error not_found\n");
}

/* --- OnStartFailure=retry --- */

static void test_retry_start(void **state)
{
	struct unit *r = root(ONE_FOR_ONE);

	(void)state;
	r->supervisor.retry_start = true;
	r->supervisor.intensity = 2;
	leaf("a", r);
	leaf("b", r);
	build();
	play("failing a 2\n"
	     "boot > begin root, run a, run b, run a, run a\n");
	build();
	play("failing a 9\n"
	     "boot > begin root, run a, run b, run a, run a, escalated root, TERM b, "
	     "ended root intensity, END intensity\n");
}

static void test_retry_start_in_a_group(void **state)
{
	struct unit *r = root(REST_FOR_ONE);

	(void)state;
	r->supervisor.retry_start = true;
	r->supervisor.intensity = 2;
	leaf("a", r);
	leaf("b", r)->rules.restart = RESTART_TEMPORARY;
	leaf("c", r);
	build();
	play("failing b 1\n"
	     "boot > begin root, run a, run b, run b, run c\n"
	     "die b 1 > failed b\n");
}

/* --- giving up --- */

static void test_cool_down_of_the_root(void **state)
{
	struct unit *r = root(ONE_FOR_ONE);

	(void)state;
	r->supervisor.give_up = GIVE_UP_COOLDOWN;
	r->supervisor.cooldown_ns = 30 * SEC;
	leaf("a", r);
	leaf("b", r);
	build();
	play("boot > begin root, run a, run b\n"
	     "die a 1 > run a\n"
	     "die a 1 > escalated root, TERM b, cooling root, timer root 30\n"
	     "start a > reply start a: no_such_supervisor\n"
	     "reload\n"
	     "timer root > begin root, run a, run b\n"
	     "die a 1 > run a\n" /* a new window */
	     "die a 1 > escalated root, TERM b, cooling root, timer root 30\n"
	     "shutdown > ended root ordered, END ordered\n");
}

/* A cooling supervisor is up in its parent's eyes, and its parent can stop it. */
static void test_cool_down_below(void **state)
{
	struct unit *r = root(ONE_FOR_ALL);
	struct unit *s = sup("s", r, ONE_FOR_ONE);

	(void)state;
	r->supervisor.intensity = 9;
	s->supervisor.give_up = GIVE_UP_COOLDOWN;
	s->supervisor.cooldown_ns = 30 * SEC;
	s->supervisor.intensity = 0;
	leaf("a", s);
	leaf("b", s);
	leaf("c", r);
	build();
	play("boot > begin root, begin s, run a, run b, run c\n"
	     "die a 1 > escalated s, TERM b, cooling s, timer s 30\n"
	     "die c 1 > ended s ordered, begin s, run a, run b, run c\n"
	     "deaf b\n"
	     "die a 1 > escalated s, TERM b\n"
	     "die c 1 > \n" /* the parent asks it to stop while it gives up */
	     "timer b > KILL b, ended s ordered, begin s, run a, run b, run c\n");
}

static void test_cool_down_after_a_failed_start(void **state)
{
	struct unit *r = root(ONE_FOR_ONE);

	(void)state;
	r->supervisor.give_up = GIVE_UP_COOLDOWN;
	r->supervisor.cooldown_ns = 30 * SEC;
	r->supervisor.intensity = 0;
	leaf("a", r);
	build();
	/* The very first start that fails ends the root, as in OTP; after a cooling it cools. */
	play("boot > begin root, run a\n"
	     "failing a 1\n"
	     "die a 1 > escalated root, cooling root, timer root 30\n"
	     "timer root > begin root, run a, cooling root, timer root 30\n"
	     "timer root > begin root, run a\n");
	build();
	play("failing a 1\n"
	     "boot > begin root, run a, ended root startfail, END startfail\n");
}

static void test_give_up_exit(void **state)
{
	struct unit *r = root(ONE_FOR_ONE);
	(void)leaf("a", r);
	struct unit *s = sup("s", r, ONE_FOR_ONE);

	(void)state;
	s->supervisor.give_up = GIVE_UP_EXIT;
	s->supervisor.intensity = 0;
	leaf("b", s);
	build();
	play("boot > begin root, run a, begin s, run b\n"
	     "die b 1 > escalated s, ended s intensity, TERM a, ended root ordered, "
	     "END intensity\n");
}

/* --- auto-shutdown --- */

static void test_auto_shutdown(void **state)
{
	struct unit *r = root(ONE_FOR_ONE);

	(void)state;
	r->supervisor.auto_shutdown = AUTO_ANY_SIGNIFICANT;
	leaf("a", r);
	leaf("b", r);
	leaf("c", r);
	for (uint32_t i = 1; i < 3; i++) {
		units[i].rules.significant = true;
		units[i].rules.restart = RESTART_TRANSIENT;
	}
	build();
	play("boot > begin root, run a, run b, run c\n"
	     "stop a > TERM a, reply stop a: ok\n"
	     "die b 1 > run b\n"
	     "die b 0 > done b, TERM c, ended root auto, END auto\n");
	r->supervisor.auto_shutdown = AUTO_ALL_SIGNIFICANT;
	build();
	play("boot > begin root, run a, run b, run c\n"
	     "die a 0 > done a\n"
	     "die b 0 > done b, TERM c, ended root auto, END auto\n");
}

/* The exit status of coppice is that of the significant child. */
static void test_auto_shutdown_says_whose_end(void **state)
{
	struct unit *r = root(ONE_FOR_ONE);
	struct unit *s = sup("s", r, ONE_FOR_ONE);
	struct unit *a = leaf("a", s);
	const struct tree_order *last;

	(void)state;
	r->supervisor.auto_shutdown = s->supervisor.auto_shutdown = AUTO_ANY_SIGNIFICANT;
	s->rules.significant = a->rules.significant = true;
	s->rules.restart = RESTART_TRANSIENT;
	a->rules.restart = RESTART_TEMPORARY;
	build();
	play("boot > begin root, begin s, run a\n"
	     "die a 42 > failed a, ended s auto, done s, ended root auto, END auto\n");
	last = &orders.list[orders.count - 1];
	assert_int_equal(last->kind, DO_END);
	assert_int_equal(last->end.reason, REASON_EXIT);
	assert_int_equal(last->end.number, 42);
}

/* --- time limits of supervisors --- */

static void test_finite_shutdown_of_a_supervisor(void **state)
{
	struct unit *r = root(ONE_FOR_ONE);
	struct unit *s = sup("s", r, ONE_FOR_ONE);

	(void)state;
	s->rules.shutdown_ns = 3 * SEC;
	leaf("a", s);
	leaf("b", s);
	leaf("c", r);
	build();
	play("boot > begin root, begin s, run a, run b, run c\n"
	     "deaf a; deaf b\n"
	     "stop s > timer s 3, TERM b\n"
	     "reload\n"
	     "timer s > KILL b, KILL a, ended s ordered, reply stop s: ok\n");
	s->rules.shutdown_ns = SERVICE_STOP_BRUTAL;
	build();
	play("boot > begin root, begin s, run a, run b, run c\n"
	     "stop s > KILL b, KILL a, ended s ordered, reply stop s: ok\n");
}

/* --- a window --- */

/* Restarts exactly Period= apart are in the same window. */
static void test_window(void **state)
{
	struct unit *r = root(ONE_FOR_ONE);

	(void)state;
	leaf("a", r);
	build();
	play("boot > begin root, run a\n"
	     "die a 1 > run a\n"
	     "wait 5.000000001\n"
	     "die a 1 > run a\n"
	     "reload\n"
	     "wait 5\n"
	     "die a 1 > escalated root, ended root intensity, END intensity\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_restart_words),
		TEST(test_restart_delay),
		TEST(test_delay_of_a_failed_start),
		TEST(test_delay_in_a_group),
		TEST(test_back_off),
		TEST(test_exit_actions),
		TEST(test_exit_escalate),
		TEST(test_exit_rules_first_match),
		TEST(test_exit_group_is_tried_again_as_a_group),
		TEST(test_exit_group_of_a_temporary),
		TEST(test_retry_start),
		TEST(test_retry_start_in_a_group),
		TEST(test_cool_down_of_the_root),
		TEST(test_cool_down_below),
		TEST(test_cool_down_after_a_failed_start),
		TEST(test_give_up_exit),
		TEST(test_auto_shutdown),
		TEST(test_auto_shutdown_says_whose_end),
		TEST(test_finite_shutdown_of_a_supervisor),
		TEST(test_window),
	};

	return cmocka_run_group_tests_name("tree restarts", tests, NULL, NULL);
}
