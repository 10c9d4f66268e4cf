/*
 * Children on demand, children that are kept, children that may fail to start.
 */
#include "unit/tree/script.h"

static struct unit *on_demand(const char *name, struct unit *parent)
{
	struct unit *unit = leaf(name, parent);

	unit->rules.on_demand = true;
	return unit;
}

static bool is_ready(const char *name)
{
	struct tree_view view;

	tree_look(tree, unit_named(name)->node, now, &view);
	return view.ready;
}

static void test_not_started_with_its_supervisor(void **state)
{
	struct unit *r = root(ONE_FOR_ONE);

	(void)state;
	leaf("a", r);
	on_demand("b", r);
	leaf("c", r);
	build();
	play("boot > begin root, run a, run c\n");
	assert_true(is_ready("root"));
	play("start b > run b, reply start b: ok\n"
	     "start b > reply start b: error running\n"
	     "reload\n"
	     "die b 1 > run b\n"
	     "stop b > TERM b, reply stop b: ok\n"
	     "start b > run b, reply start b: ok\n"
	     "shutdown > TERM c, TERM b, TERM a, ended root ordered, END ordered\n");
}

static void test_all_on_demand(void **state)
{
	struct unit *r = root(ONE_FOR_ALL);

	(void)state;
	on_demand("a", r);
	build();
	play("boot > begin root\n"
	     "reload\n"
	     "start a > run a, reply start a: ok\n");
}

static void test_group_restart(void **state)
{
	struct unit *r = root(ONE_FOR_ALL);

	(void)state;
	r->supervisor.intensity = 9;
	leaf("a", r);
	on_demand("b", r);
	on_demand("c", r);
	build();
	play("boot > begin root, run a\n"
	     "die a 1 > run a\n"
	     "start c > run c, reply start c: ok\n"
	     "reload\n"
	     "die a 1 > TERM c, run a, run c\n"
	     "die c 1 > TERM a, run a, run c\n"
	     "die a 1; die c 1 > TERM c, run a, run c\n"
	     "stop c > TERM c, reply stop c: ok\n"
	     "die a 1 > run a\n");
}

static void test_ended_is_not_wanted(void **state)
{
	struct unit *r = root(ONE_FOR_ALL);

	(void)state;
	r->supervisor.intensity = 9;
	leaf("a", r);
	on_demand("b", r)->rules.restart = RESTART_TRANSIENT;
	build();
	play("boot > begin root, run a\n"
	     "start b > run b, reply start b: ok\n"
	     "die b 0 > done b\n"
	     "die a 1 > run a\n" /* an ordinary transient child would come back */
	     "start b > run b, reply start b: ok\n"
	     "die b 1 > TERM a, run a, run b\n");
}

static void test_restarted_supervisor_forgets(void **state)
{
	struct unit *r = root(ONE_FOR_ONE);
	struct unit *s = sup("s", r, ONE_FOR_ONE);

	(void)state;
	s->supervisor.intensity = 0;
	r->supervisor.intensity = 9;
	leaf("a", s);
	on_demand("b", s);
	build();
	play("boot > begin root, begin s, run a\n"
	     "start b > run b, reply start b: ok\n"
	     "die a 1 > escalated s, TERM b, ended s intensity, begin s, run a\n"
	     "restart b > run b, reply restart b: ok\n"
	     "restart s > TERM b, TERM a, ended s ordered, begin s, run a, reply restart s: ok\n");
}

static void test_temporary_is_kept(void **state)
{
	struct unit *r = root(ONE_FOR_ONE);

	(void)state;
	on_demand("a", r)->rules.restart = RESTART_TEMPORARY;
	leaf("b", r)->rules.restart = RESTART_TEMPORARY;
	unit_named("b")->rules.kept = true;
	build();
	play("boot > begin root, run b\n"
	     "start a > run a, reply start a: ok\n"
	     "die a 0 > done a\n"
	     "start a > run a, reply start a: ok\n"
	     "stop a > TERM a, reply stop a: ok\n"
	     "start a > run a, reply start a: ok\n"
	     "die b 1 > failed b\n"
	     "start b > run b, reply start b: ok\n");
}

/* A group restart leaves temporary children behind, in OTP for good. */
static void test_temporary_in_a_group(void **state)
{
	struct unit *r = root(ONE_FOR_ALL);

	(void)state;
	r->supervisor.intensity = 9;
	leaf("a", r);
	on_demand("b", r)->rules.restart = RESTART_TEMPORARY;
	leaf("c", r)->rules.restart = RESTART_TEMPORARY;
	unit_named("c")->rules.kept = true;
	build();
	play("boot > begin root, run a, run c\n"
	     "start b > run b, reply start b: ok\n"
	     "die a 1 > TERM c, TERM b, run a\n"
	     "start b > run b, reply start b: ok\n"
	     "start c > run c, reply start c: ok\n");
}

static void test_failed_start(void **state)
{
	struct unit *r = root(ONE_FOR_ALL);

	(void)state;
	leaf("a", r);
	on_demand("b", r);
	build();
	play("boot > begin root, run a\n"
	     "failing b 1\n"
	     "start b > run b, failed b, reply start b: error failstart\n"
	     "die a 1 > run a\n");
	assert_false(is_ready("root"));
}

static void test_skipped(void **state)
{
	struct unit *r = root(ONE_FOR_ALL);

	(void)state;
	leaf("a", r);
	on_demand("b", r)->slow = true;
	build();
	unit_named("b")->slow = true;
	play("boot > begin root, run a\n"
	     "start b > run b\n"
	     "skip b > skipped b, reply start b: ok ignored\n"
	     "die a 1 > run a\n");
	assert_true(is_ready("root"));
}

static void test_stop_breaks_off_the_start(void **state)
{
	struct unit *r = root(ONE_FOR_ALL);

	(void)state;
	leaf("a", r);
	on_demand("b", r);
	build();
	unit_named("b")->slow = true;
	play("boot > begin root, run a\n"
	     "start b > run b\n"
	     "hold b > TERM b\n"
	     "up b; die b 0 > TERM b, reply hold b: ok, reply start b: error broken_off\n"
	     "reload\n"
	     "die a 1 > run a\n");
}

/* A unit that a reload has brought: there, and not started. */
static void test_added_only_present(void **state)
{
	struct unit *r = root(ONE_FOR_ONE);
	struct unit *b;

	(void)state;
	leaf("a", r);
	build();
	play("boot > begin root, run a\n");
	b = on_demand("b", r);
	map(b, tree_add(tree, r->node, &b->rules));
	play("start b > reply start b: error not_found\n");
	request(b, EV_ADD, true);
	said[0] = '\0';
	settle();
	assert_string_equal(said, "reply add b: ok");
	play("reload\n"
	     "start b > run b, reply start b: ok\n"
	     "shutdown > TERM b, TERM a, ended root ordered, END ordered\n");
}

static void test_optional(void **state)
{
	struct unit *r = root(ONE_FOR_ONE);
	struct unit *s = sup("s", r, ONE_FOR_ONE);

	(void)state;
	s->rules.optional = true;
	s->rules.restart = RESTART_TEMPORARY;
	s->rules.kept = true;
	leaf("a", r)->rules.optional = true;
	unit_named("a")->rules.restart = RESTART_TEMPORARY;
	unit_named("a")->rules.kept = true;
	leaf("b", s);
	leaf("c", r)->rules.optional = true;
	leaf("d", r);
	build();
	play("failing a 1\n"
	     "failing b 1\n"
	     "failing c 1\n"
	     "boot > begin root, begin s, run b, ended s startfail, failed s, run a, failed a, "
	     "run c, run d, run c\n");
	assert_false(is_ready("root"));
	play("start a > run a, reply start a: ok\n"
	     "start s > begin s, run b, reply start s: ok\n");
	assert_true(is_ready("root"));
}

/* Only the first start of its supervisor: a restart that fails is a failed attempt as ever. */
static void test_optional_gives_up_all_the_same(void **state)
{
	struct unit *r = root(ONE_FOR_ONE);

	(void)state;
	leaf("a", r)->rules.optional = true;
	leaf("b", r);
	build();
	play("failing a 9\n"
	     "boot > begin root, run a, run b, run a, escalated root, TERM b, "
	     "ended root intensity, END intensity\n");
}

/* --- stopped for another's sake --- */

static void test_park_and_unpark(void **state)
{
	struct unit *r = root(ONE_FOR_ONE);

	(void)state;
	leaf("a", r);
	leaf("b", r)->rules.restart = RESTART_TEMPORARY;
	build();
	play("boot > begin root, run a, run b\n"
	     "unpark a > reply unpark a: ok ignored\n"
	     "park a > TERM a, reply park a: ok\n"
	     "park a > reply park a: error not_running\n"
	     "reload\n"
	     "unpark a > run a, reply unpark a: ok\n"
	     "unpark a > reply unpark a: ok ignored\n"
	     "park b > TERM b, reply park b: ok\n" /* not forgotten */
	     "unpark b > run b, reply unpark b: ok\n"
	     "park b; unpark b > TERM b, reply park b: ok, run b, reply unpark b: ok\n");
}

/* What comes by hand in between holds. */
static void test_park_and_a_hand(void **state)
{
	struct unit *r = root(ONE_FOR_ONE);

	(void)state;
	leaf("a", r);
	build();
	play("boot > begin root, run a\n"
	     "park a > TERM a, reply park a: ok\n"
	     "hold a > reply hold a: ok\n"
	     "unpark a > reply unpark a: ok ignored\n"
	     "start a > run a, reply start a: ok\n"
	     "park a > TERM a, reply park a: ok\n"
	     "start a > run a, reply start a: ok\n"
	     "unpark a > reply unpark a: ok ignored\n"
	     "park a > TERM a, reply park a: ok\n"
	     "stop a > reply stop a: ok\n"
	     "unpark a > reply unpark a: ok ignored\n");
}

static void test_park_in_a_group(void **state)
{
	struct unit *r = root(ONE_FOR_ALL);

	(void)state;
	r->supervisor.intensity = 9;
	leaf("a", r);
	leaf("b", r);
	build();
	play("boot > begin root, run a, run b\n"
	     "park b > TERM b, reply park b: ok\n"
	     "die a 1 > run a, run b\n"
	     "unpark b > reply unpark b: ok ignored\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_not_started_with_its_supervisor),
		TEST(test_all_on_demand),
		TEST(test_group_restart),
		TEST(test_ended_is_not_wanted),
		TEST(test_restarted_supervisor_forgets),
		TEST(test_temporary_is_kept),
		TEST(test_temporary_in_a_group),
		TEST(test_failed_start),
		TEST(test_skipped),
		TEST(test_stop_breaks_off_the_start),
		TEST(test_added_only_present),
		TEST(test_optional),
		TEST(test_optional_gives_up_all_the_same),
		TEST(test_park_and_unpark),
		TEST(test_park_and_a_hand),
		TEST(test_park_in_a_group),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
