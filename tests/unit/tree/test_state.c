/* Looking, keeping and changing: views, the saved record, what a reload does to a tree. */
#include <errno.h>

#include "unit/tree/script.h"

static struct tree_view look(const char *name)
{
	struct tree_view view;

	tree_look(tree, unit_named(name)->node, now, &view);
	return view;
}

/* --- views --- */

static void test_states(void **state)
{
	struct unit *r = root(ONE_FOR_ONE);
	struct unit *a = leaf("a", r);

	(void)state;
	r->supervisor.intensity = 9;
	r->supervisor.period_ns = 60 * SEC;
	a->rules.restart = RESTART_TRANSIENT;
	leaf("b", r)->rules.restart_delay_ns = SEC;
	build();
	assert_int_equal(look("a").state, STATE_STOPPED);
	assert_false(look("a").present);
	play("slow a\nboot\n");
	assert_int_equal(look("a").state, STATE_STARTING);
	assert_int_equal(look("root").state, STATE_STARTING);
	play("up a\n");
	assert_int_equal(look("a").state, STATE_RUNNING);
	assert_true(look("root").ready);
	play("die b 1\n");
	assert_int_equal(look("b").state, STATE_WAITING);
	assert_int_equal(look("b").deadline_ns, now + SEC);
	assert_int_equal(look("b").last_end.number, 1);
	assert_false(look("root").ready);
	play("timer b\ndie a 0\n");
	assert_int_equal(look("a").state, STATE_DONE);
	assert_true(look("root").ready);
	play("deaf b\nhold b\n");
	assert_int_equal(look("b").state, STATE_STOPPING);
	play("timer b\n");
	assert_int_equal(look("b").state, STATE_STOPPED);
	assert_true(look("b").held);
	assert_int_equal(look("b").restarts, 1);
	assert_int_equal(look("b").incarnation, 2);
	play("failing a 1\nstart a\n");
	assert_int_equal(look("a").state, STATE_STARTING);
	play("up a\n");
	assert_int_equal(look("a").state, STATE_FAILED);
	assert_int_equal(look("root").window, 1);
	play("wait 61\n");
	assert_int_equal(look("root").window, 0);
}

/* Three of at most three restarts, each a second after the other; then the first is too old. */
static void test_window_times(void **state)
{
	struct unit *r = root(ONE_FOR_ONE);
	uint64_t times[4] = {0}, begin;

	(void)state;
	r->supervisor.intensity = 3;
	r->supervisor.period_ns = 5 * SEC;
	leaf("a", r);
	build();
	play("boot\n");
	begin = now;
	assert_int_equal(tree_window(tree, 0, now, times, 4), 0);
	play("die a 1\nwait 1\ndie a 1\nwait 1\ndie a 1\nreload\n");
	assert_int_equal(tree_window(tree, 0, now, times, 4), 3);
	assert_int_equal(times[0], begin);
	assert_int_equal(times[2], begin + 2 * SEC);
	assert_int_equal(tree_window(tree, 0, now, times, 2), 2);
	assert_int_equal(times[0], begin + 1 * SEC);
	play("wait 3\n"); /* exactly Period= later: it still counts */
	assert_int_equal(tree_window(tree, 0, now, times, 4), 3);
	play("wait 0.1\n");
	assert_int_equal(tree_window(tree, 0, now, times, 4), 2);
	assert_int_equal(times[0], begin + 1 * SEC);
	play("die a 1\ndie a 1 > escalated root, ended root intensity, END intensity\n");
}

/* The ring has gone round: the oldest entry is not the first of the memory. */
static void test_window_times_go_round(void **state)
{
	struct unit *r = root(ONE_FOR_ONE);
	uint64_t times[2];

	(void)state;
	r->supervisor.intensity = 2;
	r->supervisor.period_ns = 5 * SEC;
	leaf("a", r);
	build();
	play("boot\n");
	for (int i = 0; i < 7; i++) {
		play("wait 3\ndie a 1\nreload\n");
		assert_int_equal(tree_window(tree, 0, now, times, 2), i == 0 ? 1 : 2);
		assert_int_equal(times[i == 0 ? 0 : 1], now);
		assert_true(i == 0 || times[0] == now - 3 * SEC);
	}
}

static void test_counts(void **state)
{
	struct unit *r = root(ONE_FOR_ONE);
	struct unit *s = sup("s", r, ONE_FOR_ONE);
	struct tree_count count;

	(void)state;
	s->supervisor.dynamic = true;
	leaf("t", s);
	leaf("a", r);
	leaf("b", r)->rules.restart = RESTART_TRANSIENT;
	build();
	play("boot\nspawn s x\nspawn s y\ndie b 0\n");
	tree_count(tree, 0, &count);
	assert_int_equal(count.specs, 3);
	assert_int_equal(count.active, 2);
	assert_int_equal(count.supervisors, 1);
	assert_int_equal(count.workers, 2);
	tree_count(tree, s->node, &count);
	assert_int_equal(count.specs, 1);
	assert_int_equal(count.active, 2);
	assert_int_equal(count.workers, 2);
	assert_int_equal(tree_which(tree, unit_named("b")->node), WHICH_STOPPED);
	assert_true(tree_quiet(tree, false));
}

/* --- the record --- */

static void test_record_is_checked(void **state)
{
	struct unit *r = root(ONE_FOR_ONE);

	(void)state;
	leaf("a", r);
	config.requests_max = 4; /* a small record */
	build();
	play("slow a\nboot\nstop a\n");
	size_t size = tree_save(tree, NULL, 0);
	uint8_t *record = malloc(size);
	struct tree *fresh = tree_create(&config, &r->rules);

	assert_non_null(record);
	assert_int_equal(tree_save(tree, record, size - 1), size);
	assert_int_equal(tree_save(tree, record, size), size);
	for (size_t i = 0; i < size; i++) {
		record[i] ^= 0x40;
		assert_int_not_equal(tree_load(fresh, record, size, rules_of, NULL), 0);
		record[i] ^= 0x40;
	}
	for (size_t cut = 0; cut < size; cut += 7) {
		assert_int_equal(tree_load(fresh, record, cut, rules_of, NULL), -EPROTO);
	}
	tree_check(fresh); /* it is as it was */
	assert_int_equal(tree_nodes_count(fresh), 1);
	assert_int_equal(tree_load(fresh, record, size, rules_of, NULL), 0);
	tree_destroy(fresh);
	free(record);
}

static const struct tree_child_rules *rules_of_nobody(
	void *context, uint32_t node, uint32_t parent, uint32_t generation)
{
	(void)context;
	(void)node;
	(void)parent;
	(void)generation;
	return NULL;
}

static void test_record_without_rules(void **state)
{
	struct unit *r = root(ONE_FOR_ONE);

	(void)state;
	leaf("a", r);
	build();
	play("boot\n");
	size_t size = tree_save(tree, NULL, 0);
	uint8_t *record = malloc(size);
	struct tree *bare = tree_create(&config, &r->rules);

	assert_non_null(record);
	assert_int_equal(tree_save(tree, record, size), size);
	assert_int_equal(tree_load(bare, record, size, rules_of_nobody, NULL), -EINVAL);
	/* Those of the same static node will do. */
	assert_int_not_equal(tree_add(bare, 0, &units[1].rules), NODE_NONE);
	assert_int_equal(tree_load(bare, record, size, rules_of_nobody, NULL), 0);
	tree_destroy(bare);
	free(record);
}

/* --- reload --- */

static void reorder(const char *first, const char *second, const char *third)
{
	uint32_t nodes[3] = {
		unit_named(first)->node, unit_named(second)->node, unit_named(third)->node};

	tree_reorder(tree, 0, nodes, 3);
	tree_check(tree);
}

static void test_reorder(void **state)
{
	struct unit *r = root(ONE_FOR_ALL);

	(void)state;
	r->supervisor.intensity = 9;
	leaf("a", r);
	leaf("b", r);
	leaf("c", r);
	build();
	play("boot > begin root, run a, run b, run c\n");
	reorder("c", "a", "b");
	play("die a 1 > TERM b, TERM c, run c, run a, run b\n"
	     "restart root > TERM b, TERM a, TERM c, ended root ordered, reply restart root: ok, "
	     "begin root, run c, run a, run b\n");
}

/* In the middle of a group restart the old order holds to its end. */
static void test_reorder_in_a_group_restart(void **state)
{
	struct unit *r = root(REST_FOR_ONE);

	(void)state;
	r->supervisor.intensity = 9;
	leaf("a", r);
	leaf("b", r);
	leaf("c", r);
	build();
	play("boot > begin root, run a, run b, run c\n"
	     "deaf c\n"
	     "die b 1 > TERM c\n");
	reorder("c", "b", "a");
	play("reload\n"
	     "timer c > KILL c, run b, run c\n"
	     "hears c\n"
	     "die b 1 > TERM a, run b, run a\n");
}

static void test_remove(void **state)
{
	struct unit *r = root(REST_FOR_ONE);

	(void)state;
	r->supervisor.intensity = 9;
	leaf("a", r);
	leaf("b", r);
	leaf("c", r);
	build();
	play("boot > begin root, run a, run b, run c\n"
	     "stop b > TERM b, reply stop b: ok\n");
	tree_remove(tree, unit_named("b")->node);
	unit_named("b")->node = NODE_NONE;
	tree_check(tree);
	play("die a 1 > TERM c, run a, run c\n");
}

/* The child whose end made the group restart is taken out of it while the others stop. */
static void test_remove_in_a_group_restart(void **state)
{
	struct unit *r = root(REST_FOR_ONE);

	(void)state;
	leaf("a", r);
	leaf("b", r);
	leaf("c", r);
	build();
	play("boot > begin root, run a, run b, run c\n"
	     "deaf c\n"
	     "die b 1 > TERM c\n");
	tree_remove(tree, unit_named("b")->node);
	unit_named("b")->node = NODE_NONE;
	tree_check(tree);
	play("timer c > KILL c, run c\n");
}

static void test_new_rules(void **state)
{
	struct unit *r = root(ONE_FOR_ONE);
	struct tree_child_rules changed;
	struct tree_supervisor_rules wider;

	(void)state;
	r->supervisor.intensity = 2;
	leaf("a", r);
	build();
	play("boot > begin root, run a\n"
	     "die a 1 > run a\n"
	     "die a 1 > run a\n");
	wider = r->supervisor;
	wider.intensity = 3;
	changed = r->rules;
	changed.supervisor = &wider;
	tree_set_rules(tree, 0, &changed);
	play("die a 1 > run a\n");
	tree_set_rules(tree, 0, &r->rules);
	play("die a 1 > escalated root, ended root intensity, END intensity\n");
}

static void test_add_to_a_running_tree(void **state)
{
	struct unit *r = root(ONE_FOR_ALL);
	struct unit *b;

	(void)state;
	leaf("a", r);
	build();
	play("boot > begin root, run a\n");
	b = leaf("b", r);
	map(b, tree_add(tree, 0, &b->rules));
	play("add b > run b, reply add b: ok\n"
	     "die a 1 > TERM b, run a, run b\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_states),
		TEST(test_window_times),
		TEST(test_window_times_go_round),
		TEST(test_counts),
		TEST(test_record_is_checked),
		TEST(test_record_without_rules),
		TEST(test_reorder),
		TEST(test_reorder_in_a_group_restart),
		TEST(test_remove),
		TEST(test_remove_in_a_group_restart),
		TEST(test_new_rules),
		TEST(test_add_to_a_running_tree),
	};

	return cmocka_run_group_tests_name("tree state", tests, NULL, NULL);
}
