/* Requests at run time: holds, starts that are broken off, instances, the root itself. */
#include "unit/tree/script.h"

/* --- holds --- */

static void test_hold_sticks(void **state)
{
	struct unit *r = root(ONE_FOR_ALL);

	(void)state;
	r->supervisor.intensity = 9;
	leaf("a", r);
	leaf("b", r);
	build();
	play("boot > begin root, run a, run b\n"
	     "hold a > TERM a, reply hold a: ok\n"
	     "die b 1 > run b\n"
	     "stop b > TERM b, reply stop b: ok\n"
	     "reload\n"
	     "restart root > ended root ordered, reply restart root: ok, begin root, run b\n"
	     "hold a > reply hold a: ok\n"
	     "start a > run a, reply start a: ok\n"
	     "die b 1 > TERM a, run a, run b\n"
	     "hold a > TERM a, reply hold a: ok\n"
	     "restart a > run a, reply restart a: ok\n"
	     "die b 1 > TERM a, run a, run b\n");
}

/* OTP's terminate_child does not stick. */
static void test_stop_once_does_not_stick(void **state)
{
	struct unit *r = root(REST_FOR_ONE);

	(void)state;
	leaf("a", r);
	leaf("b", r);
	build();
	play("boot > begin root, run a, run b\n"
	     "stop b > TERM b, reply stop b: ok\n"
	     "die a 1 > run a, run b\n");
}

static void test_hold_of_a_child_whose_supervisor_is_down(void **state)
{
	struct unit *r = root(ONE_FOR_ONE);
	struct unit *s = sup("s", r, ONE_FOR_ONE);

	(void)state;
	leaf("a", s);
	leaf("b", s);
	build();
	play("boot > begin root, begin s, run a, run b\n"
	     "stop s > TERM b, TERM a, ended s ordered, reply stop s: ok\n"
	     "hold a > reply hold a: no_such_supervisor\n"
	     "start s > begin s, run b, reply start s: ok\n"
	     "start a > run a, reply start a: ok\n");
}

static void test_hold_of_a_temporary(void **state)
{
	struct unit *r = root(ONE_FOR_ONE);

	(void)state;
	leaf("t", r)->rules.restart = RESTART_TEMPORARY;
	build();
	play("boot > begin root, run t\n"
	     "hold t > TERM t, reply hold t: ok\n"
	     "start t > reply start t: error not_found\n"
	     "add t > run t, reply add t: ok\n"
	     "add t > reply add t: error already_started\n");
}

/* --- starts that are broken off --- */

static void test_hold_breaks_off_a_start(void **state)
{
	struct unit *r = root(ONE_FOR_ONE);

	(void)state;
	leaf("a", r);
	leaf("b", r);
	leaf("c", r);
	build();
	play("slow b\n"
	     "boot > begin root, run a, run b\n"
	     "stop c > \n" /* waits for its turn */
	     "hold b > TERM b\n"
	     "up b > TERM b, reply hold b: ok, run c, TERM c, reply stop c: ok\n"
	     "start b > run b\n"
	     "hold b; up b > TERM b, TERM b, reply hold b: ok, reply start b: error broken_off\n");
}

static void test_hold_breaks_off_a_restart(void **state)
{
	struct unit *r = root(ONE_FOR_ALL);

	(void)state;
	leaf("a", r);
	leaf("b", r);
	leaf("c", r);
	build();
	play("boot > begin root, run a, run b, run c\n"
	     "slow b\n"
	     "die a 1 > TERM c, TERM b, run a, run b\n"
	     "hold b; up b > TERM b, TERM b, reply hold b: ok, run c\n");
}

static void test_shutdown_breaks_off_a_start(void **state)
{
	struct unit *r = root(ONE_FOR_ONE);
	struct unit *s = sup("s", r, ONE_FOR_ONE);

	(void)state;
	leaf("a", s);
	leaf("b", s);
	leaf("c", r);
	build();
	play("slow b\n"
	     "boot > begin root, begin s, run a, run b\n"
	     "shutdown > TERM b\n"
	     "up b > TERM b, TERM a, ended s ordered, ended root ordered, END ordered\n");
}

/* OTP's letter, for the comparison with it. */
static void test_stop_in_turn(void **state)
{
	struct unit *r = root(ONE_FOR_ONE);

	(void)state;
	leaf("a", r);
	leaf("b", r);
	config.stop_in_turn = true;
	build();
	play("slow a\n"
	     "boot > begin root, run a\n"
	     "hold a > \n"
	     "shutdown > \n"
	     "up a > run b, TERM a, reply hold a: ok, TERM b, ended root ordered, END ordered\n");
}

static void test_hold_overtaken_by_a_shutdown(void **state)
{
	struct unit *r = root(ONE_FOR_ONE);
	struct unit *s = sup("s", r, ONE_FOR_ONE);

	(void)state;
	s->supervisor.dynamic = true;
	leaf("t", s);
	build();
	play("boot > begin root, begin s\n"
	     "spawn s x > run x, reply add x: ok\n"
	     "deaf x\n"
	     "hold x > TERM x\n"
	     "shutdown > reply hold x: error broken_off\n"
	     "timer x > KILL x, release x, ended s ordered, ended root ordered, END ordered\n");
}

/* --- answers --- */

static void test_answers(void **state)
{
	struct unit *r = root(ONE_FOR_ONE);

	(void)state;
	r->supervisor.intensity = 9;
	leaf("a", r);
	leaf("b", r)->rules.restart_delay_ns = SEC;
	build();
	play("boot > begin root, run a, run b\n"
	     "start a > reply start a: error running\n"
	     "delete a > reply delete a: error running\n"
	     "add a > reply add a: error already_started\n"
	     "stop a > TERM a, reply stop a: ok\n"
	     "stop a > reply stop a: ok\n"
	     "add a > reply add a: error already_present\n"
	     "failing a 1\n"
	     "start a > run a, failed a, reply start a: error failstart\n"
	     "start a > run a, reply start a: ok\n"
	     "stop a; delete a > TERM a, reply stop a: ok, reply delete a: ok\n"
	     "delete a > reply delete a: error not_found\n"
	     "start a > reply start a: error not_found\n"
	     "restart a > reply restart a: error not_found\n"
	     "failing a 1\n"
	     "add a > run a, failed a, reply add a: error failstart\n"
	     "stop a > reply stop a: error not_found\n"
	     "die b 1 > timer b 1, waiting b\n"
	     "delete b > reply delete b: error restarting\n"
	     "add b > reply add b: error already_present\n"
	     "start root > reply start root: error running\n"
	     "delete root > reply delete root: error running\n");
}

static void test_request_with_a_stale_generation(void **state)
{
	struct unit *r = root(ONE_FOR_ONE);
	struct unit *a = leaf("a", r);

	(void)state;
	build();
	play("boot > begin root, run a\n");
	a->generation++;
	play("stop a > reply stop a: error not_found\n");
}

static void test_too_many_requests(void **state)
{
	struct unit *r = root(ONE_FOR_ONE);

	(void)state;
	leaf("a", r);
	config.requests_max = 2;
	build();
	play("slow a\n"
	     "boot > begin root, run a\n"
	     "stop a > \n"
	     "start a > \n"
	     "stop a > reply stop a: error failed\n"
	     "up a > TERM a, reply stop a: ok, run a\n");
}

/* --- instances --- */

static void test_instances(void **state)
{
	struct unit *r = root(ONE_FOR_ONE);
	struct unit *s = sup("s", r, ONE_FOR_ONE);

	(void)state;
	s->supervisor.dynamic = true;
	s->supervisor.children_max = 2;
	s->supervisor.intensity = 9;
	leaf("t", s);
	build();
	play("boot > begin root, begin s\n"
	     "spawn s x > run x, reply add x: ok\n"
	     "spawn s y > run y, reply add y: ok\n"
	     "spawn s z > reply add z: error max_children, release z\n"
	     "die x 1 > run x\n" /* an automatic restart is never refused */
	     "start x > reply start x: error simple_one_for_one\n"
	     "delete x > reply delete x: error simple_one_for_one\n"
	     "stop x > TERM x, release x, reply stop x: ok\n"
	     "spawn s u > run u, reply add u: ok\n"
	     "reload\n"
	     "deaf y\n"
	     "shutdown > TERM y, TERM u\n" /* all at once */
	     "timer y > KILL y, release u, release y, ended s ordered, ended root ordered, "
	     "END ordered\n");
}

static void test_instance_that_does_not_start(void **state)
{
	struct unit *r = root(ONE_FOR_ONE);
	struct unit *s = sup("s", r, ONE_FOR_ONE);

	(void)state;
	s->supervisor.dynamic = true;
	leaf("t", s)->service.type = SERVICE_NOTIFY;
	build();
	play("boot > begin root, begin s\n"
	     "spawn s x > run x\n"
	     "die x 1 > failed x, release x, reply add x: error failstart\n"
	     "stop s > ended s ordered, reply stop s: ok\n"
	     "spawn s y > reply add y: no_such_supervisor, release y\n");
}

/* --- the root --- */

static void test_root_restart(void **state)
{
	struct unit *r = root(ONE_FOR_ONE);

	(void)state;
	leaf("a", r);
	build();
	play("boot > begin root, run a\n"
	     "restart root > TERM a, ended root ordered, reply restart root: ok, begin root, run "
	     "a\n"
	     "deaf a\n"
	     "restart root > TERM a\n"
	     "restart root > reply restart root: error restarting\n"
	     "shutdown > reply restart root: error broken_off\n"
	     "timer a > KILL a, ended root ordered, END ordered\n"
	     "restart root > reply restart root: error supervisor_down\n"
	     "boot > \n");
}

static void test_root_stop(void **state)
{
	struct unit *r = root(ONE_FOR_ONE);

	(void)state;
	leaf("a", r);
	build();
	play("boot > begin root, run a\n"
	     "stop root > reply stop root: ok, TERM a, ended root ordered, END ordered\n");
}

static void test_shutdown_now(void **state)
{
	struct unit *r = root(ONE_FOR_ONE);

	(void)state;
	leaf("a", r);
	leaf("b", r);
	build();
	play("boot > begin root, run a, run b\n"
	     "deaf b\n"
	     "shutdown > TERM b\n"
	     "shutdown-now > KILL b, KILL a, ended root ordered, END ordered\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_hold_sticks),
		TEST(test_stop_once_does_not_stick),
		TEST(test_hold_of_a_child_whose_supervisor_is_down),
		TEST(test_hold_of_a_temporary),
		TEST(test_hold_breaks_off_a_start),
		TEST(test_hold_breaks_off_a_restart),
		TEST(test_shutdown_breaks_off_a_start),
		TEST(test_stop_in_turn),
		TEST(test_hold_overtaken_by_a_shutdown),
		TEST(test_answers),
		TEST(test_request_with_a_stale_generation),
		TEST(test_too_many_requests),
		TEST(test_instances),
		TEST(test_instance_that_does_not_start),
		TEST(test_root_restart),
		TEST(test_root_stop),
		TEST(test_shutdown_now),
	};

	return cmocka_run_group_tests_name("tree requests", tests, NULL, NULL);
}
