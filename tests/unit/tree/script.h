/*
 * Scripts for the tree: what happens, and what is ordered.
 *
 * A test declares units with root(), sup() and leaf(), changes their rules as it likes, build()s
 * the tree and play()s lines "input > output". Inputs:
 *
 *   boot | shutdown | shutdown-now | wait SECONDS | timer X (its deadline passes)
 *   die X STATUS | signal X NUMBER | fail X (watchdog) | skip X | refuse X (no process)
 *   good X | bad X (a health check)
 *   up X (the process of a slow one has started)
 *   park X | unpark X | start X | stop X (once) | hold X (a stop that sticks) | restart X | delete
 * X | add X | spawn S X slow X | quick X: whether its processes start at once       (no output)
 * deaf X | hears X: whether it ends at once on SIGTERM        (no output) failing X N | willing X:
 * how many starts fail               (no output) reload: the tree is saved and loaded into another
 * (no output)
 *
 * Outputs: "run X", "TERM X", "KILL X", "timer X SECONDS" (of supervisors and of delays), notes
 * ("begin X", "ended X CAUSE", "waiting X", …), "reply VERB X: RESULT", "release X", "END CAUSE".
 */
#ifndef UNIT_TREE_SCRIPT_H
#define UNIT_TREE_SCRIPT_H

#include <stdlib.h>
#include <string.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/span.h"
#include "tree/tree.h"

#define SEC       NS_PER_SEC
#define UNITS_MAX 32

struct unit {
	const char *name;
	uint32_t parent;
	bool is_template, is_instance;
	struct tree_child_rules rules;
	struct tree_supervisor_rules supervisor;
	struct service_rules service;
	struct tree_exit_rule exit_rules[3];

	uint32_t node, generation, incarnation;
	uint32_t failing;
	bool slow, deaf, alive, pending;
	uint64_t timer_ns;
};

static struct unit units[UNITS_MAX];
static uint32_t units_count;
static struct tree_config config;
static struct tree *tree;
static struct tree_orders orders;
static uint64_t now, requests_count;
static char requests[64][48];
static char said[2048];
static struct tree_event facts[64];
static uint32_t facts_first, facts_last;

/* --- declaring --- */

static struct unit *unit_new(const char *name, struct unit *parent)
{
	struct unit *unit = &units[units_count++];

	assert_true(units_count <= UNITS_MAX);
	*unit = (struct unit){.name = name, .node = NODE_NONE};
	unit->parent = parent != NULL ? (uint32_t)(parent - units) : NODE_NONE;
	return unit;
}

static struct unit *sup(const char *name, struct unit *parent, enum tree_strategy strategy)
{
	struct unit *unit = unit_new(name, parent);

	unit->supervisor = (struct tree_supervisor_rules){.strategy = (uint8_t)strategy,
		.intensity = 1,
		.period_ns = 5 * SEC,
		.children_max = UINT32_MAX};
	unit->rules = (struct tree_child_rules){.is_supervisor = true,
		.supervisor = &unit->supervisor,
		.shutdown_ns = SPAN_INFINITY};
	return unit;
}

static struct unit *leaf(const char *name, struct unit *parent)
{
	struct unit *unit = unit_new(name, parent);

	unit->service = (struct service_rules){.type = SERVICE_EXEC,
		.send_sigkill = true,
		.kill_signal = 15,
		.final_kill_signal = 9,
		.commands[PHASE_START] = 1,
		.start_timeout_ns = SPAN_INFINITY,
		.stop_timeout_ns = 90 * SEC,
		.runtime_max_ns = SPAN_INFINITY};
	unit->rules = (struct tree_child_rules){.service = &unit->service, .shutdown_ns = 5 * SEC};
	unit->is_template = parent->supervisor.dynamic;
	return unit;
}

/* A new world with its root. */
static struct unit *root(enum tree_strategy strategy)
{
	units_count = 0;
	config = (struct tree_config){.seed = 1};
	now = 1000 * SEC;
	requests_count = 0;
	facts_first = facts_last = 0;
	return sup("root", NULL, strategy);
}

/* The next OnExit= rule of a unit: this exit status, that action. */
static inline struct tree_exit_rule *on_exit_status(struct unit *unit, int status, uint8_t action)
{
	struct tree_exit_rule *rule = &unit->exit_rules[unit->rules.exit_rules_count++];

	rule->ends.statuses[status / 32] = 1U << (status % 32);
	rule->action = action;
	unit->rules.exit_rules = unit->exit_rules;
	return rule;
}

static void map(struct unit *unit, uint32_t node)
{
	struct tree_view view;

	assert_int_not_equal(node, NODE_NONE);
	tree_look(tree, node, now, &view);
	unit->node = node;
	unit->generation = view.generation;
	unit->incarnation = 0;
	unit->alive = unit->pending = unit->slow = unit->deaf = false;
	unit->failing = 0;
	unit->timer_ns = 0;
}

static void build(void)
{
	tree_destroy(tree);
	tree = tree_create(&config, &units[0].rules);
	assert_non_null(tree);
	map(&units[0], 0);
	for (uint32_t i = 1; i < units_count; i++) {
		if (!units[i].is_template) {
			map(&units[i],
				tree_add(tree, units[units[i].parent].node, &units[i].rules));
		}
	}
}

static struct unit *unit_named(const char *name)
{
	for (uint32_t i = 0; i < units_count; i++) {
		if (strcmp(units[i].name, name) == 0) {
			return &units[i];
		}
	}
	fail_msg("no unit %s", name);
	return NULL;
}

static struct unit *unit_of(uint32_t node)
{
	for (uint32_t i = 0; i < units_count; i++) {
		if (units[i].node == node) {
			return &units[i];
		}
	}
	fail_msg("no unit at node %u", node);
	return NULL;
}

/* --- saying what came out --- */

static void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void say(const char *format, ...)
{
	size_t used = strlen(said);
	va_list args;

	if (used > 0) {
		used += (size_t)snprintf(said + used, sizeof(said) - used, ", ");
	}
	va_start(args, format);
	vsnprintf(said + used, sizeof(said) - used, format, args);
	va_end(args);
}

static struct tree_event *fact(struct unit *unit, enum tree_event_kind kind)
{
	struct tree_event *event = &facts[facts_last++ % 64];

	*event = (struct tree_event){.kind = (uint8_t)kind};
	if (unit != NULL) {
		event->node = unit->node;
		event->generation = unit->generation;
		event->incarnation = unit->incarnation;
	}
	return event;
}

static void die(struct unit *unit, enum service_reason reason, int number)
{
	struct service_end end = {.reason = (uint8_t)reason, .number = number};

	assert_true(unit->alive);
	unit->alive = false;
	fact(unit, EV_EXITED)->end = end;
}

static void born(struct unit *unit)
{
	struct service_end end = {.reason = REASON_RESOURCES, .number = 11};

	assert_true(unit->pending);
	unit->pending = false;
	if (unit->failing > 0) {
		unit->failing--;
		fact(unit, EV_SPAWN_FAILED)->end = end;
	} else {
		unit->alive = true;
		fact(unit, EV_SPAWNED)->flag = true;
	}
}

static void take_spawn(struct unit *unit, const struct tree_order *order)
{
	assert_false(unit->alive || unit->pending);
	say("run %s", unit->name);
	unit->incarnation = order->incarnation;
	unit->pending = true;
	if (!unit->slow) {
		born(unit);
	}
}

static void take_signal(struct unit *unit, uint8_t signo)
{
	say("%s %s", signo == 9 ? "KILL" : "TERM", unit->name);
	if (unit->alive && (signo == 9 || !unit->deaf)) {
		die(unit, REASON_SIGNAL, signo);
	}
}

static void take_timer(struct unit *unit, uint64_t deadline_ns)
{
	struct tree_view view;

	unit->timer_ns = deadline_ns;
	tree_look(tree, unit->node, now, &view);
	if (deadline_ns != 0 && (view.is_supervisor || view.state == STATE_WAITING)) {
		say("timer %s %.9g", unit->name, (double)(deadline_ns - now) / 1e9);
	}
}

static void take_note(struct unit *unit, const struct tree_order *order)
{
	switch ((enum tree_note)order->note) {
	case NOTE_BEGIN:
	case NOTE_WAITING:
	case NOTE_COOLING:
	case NOTE_SKIPPED:
	case NOTE_FAILED:
	case NOTE_DONE:
	case NOTE_GAVE_UP:
	case NOTE_HEALTHY:
	case NOTE_UNHEALTHY:
	case NOTE_ACTION:
	case NOTE_STUCK: say("%s %s", tree_note_names[order->note], unit->name); break;
	case NOTE_END: say("ended %s %s", unit->name, tree_cause_names[order->cause]); break;
	case NOTE_STARTING:
	case NOTE_RUNNING:
	case NOTE_EXITED:
	case NOTE_START_FAILED:
	case NOTE_RESTARTING:
	case NOTE_STOPPING:
	case NOTE_STOPPED:
	case NOTE_RELOADED:
	case NOTE_COUNT: break;
	}
}

static void take(const struct tree_order *order)
{
	switch ((enum tree_order_kind)order->kind) {
	case DO_SPAWN: take_spawn(unit_of(order->node), order); break;
	case DO_SIGNAL: take_signal(unit_of(order->node), order->signo); break;
	case DO_TIMER: take_timer(unit_of(order->node), order->deadline_ns); break;
	case DO_REPLY:
		assert_true(order->request > 0 && order->request <= requests_count);
		say("reply %s: %s", requests[order->request], tree_result_names[order->result]);
		break;
	case DO_NOTE: take_note(unit_of(order->node), order); break;
	case DO_RELEASE:
		say("release %s", unit_of(order->node)->name);
		unit_of(order->node)->node = NODE_NONE;
		break;
	case DO_END:
		say("END %s", tree_cause_names[order->cause]);
		if (order->action != ACTION_NONE) {
			say("action %u of %s:%d", order->action,
				service_reason_names[order->end.reason], order->end.number);
		}
		break;
	case DO_FIND_MAIN:
	case DO_WATCH:
		say("watch %s %g", unit_of(order->node)->name, (double)order->deadline_ns / 1e9);
		break;
	case DO_PROBE:
		say("probe %s %s", unit_of(order->node)->name, order->on ? "on" : "off");
		break;
	case DO_FORGET:
	case DO_COUNT: break;
	}
}

/* --- doing --- */

/* Tells the tree all facts there are, and those that its orders bring at once. */
static void settle(void)
{
	while (facts_first != facts_last) {
		struct tree_event event = facts[facts_first++ % 64];
		event.time_ns = now;
		bool more = tree_step(tree, &event, &orders);
		for (;;) {
			for (uint32_t i = 0; i < orders.count; i++) {
				take(&orders.list[i]);
			}
			if (!more) {
				break;
			}
			more = tree_continue(tree, &orders);
		}
		tree_check(tree);
	}
}

static void request(struct unit *unit, enum tree_event_kind kind, bool flag)
{
	struct tree_event *event = fact(unit, kind);

	event->flag = flag;
	event->incarnation = 0;
	event->request = ++requests_count;
	assert_true(requests_count < 64);
	snprintf(requests[requests_count], sizeof(requests[0]), "%s %s",
		kind == EV_STOP && flag ? "hold" : tree_event_names[kind], unit->name);
}

static const struct tree_child_rules *rules_of(
	void *context, uint32_t node, uint32_t parent, uint32_t generation)
{
	struct unit *unit = unit_of(node);

	(void)context;
	assert_int_equal(unit->generation, generation);
	assert_true(node == 0 || units[unit->parent].node == parent);
	return &unit->rules;
}

static void save_and_load(void)
{
	size_t size = tree_save(tree, NULL, 0);
	void *record = malloc(size);
	struct tree *fresh = tree_create(&config, &units[0].rules);

	assert_non_null(record);
	assert_int_equal(tree_save(tree, record, size), size);
	assert_int_equal(tree_load(fresh, record, size, rules_of, NULL), 0);
	free(record);
	tree_destroy(tree);
	tree = fresh;
	tree_check(tree);
}

/* spawn S X: an instance X of the template of S. */
static void do_spawn(const char *supervisor, const char *name)
{
	static char names[UNITS_MAX][32];
	struct unit *parent = unit_named(supervisor);
	const struct unit *template = parent + 1;
	struct unit *unit = unit_new("", parent);

	assert_true(template->is_template);
	snprintf(names[unit - units], sizeof(names[0]), "%s", name);
	unit->name = names[unit - units];
	unit->rules = template->rules;
	unit->is_instance = true;
	map(unit, tree_add_dynamic(tree, parent->node, &unit->rules));
	request(unit, EV_ADD, false);
}

static void do_timer(struct unit *unit)
{
	assert_true(unit->timer_ns != 0);
	now = unit->timer_ns > now ? unit->timer_ns : now;
	unit->timer_ns = 0;
	fact(unit, EV_TIMER)->incarnation = 0;
}

static void do_setting(struct unit *unit, const char *verb, uint32_t number)
{
	if (strcmp(verb, "slow") == 0 || strcmp(verb, "quick") == 0) {
		unit->slow = verb[0] == 's';
	} else if (strcmp(verb, "deaf") == 0 || strcmp(verb, "hears") == 0) {
		unit->deaf = verb[0] == 'd';
	} else if (strcmp(verb, "failing") == 0) {
		unit->failing = number;
	} else if (strcmp(verb, "willing") == 0) {
		unit->failing = 0;
	} else {
		fail_msg("what is \"%s\"?", verb);
	}
}

static void do_unit(struct unit *unit, const char *verb, int number)
{
	struct service_end watchdog = {.reason = REASON_WATCHDOG};
	struct service_end refused = {.reason = REASON_RESOURCES, .number = 11};

	if (strcmp(verb, "die") == 0) {
		die(unit, REASON_EXIT, number);
	} else if (strcmp(verb, "signal") == 0) {
		die(unit, REASON_SIGNAL, number);
	} else if (strcmp(verb, "fail") == 0) {
		fact(unit, EV_FAIL)->end = watchdog;
	} else if (strcmp(verb, "good") == 0 || strcmp(verb, "bad") == 0) {
		fact(unit, EV_PROBED)->flag = verb[0] == 'g';
	} else if (strcmp(verb, "skip") == 0) {
		unit->pending = false;
		fact(unit, EV_SKIPPED);
	} else if (strcmp(verb, "refuse") == 0) {
		unit->pending = false;
		fact(unit, EV_SPAWN_FAILED)->end = refused;
	} else if (strcmp(verb, "up") == 0) {
		born(unit);
	} else if (strcmp(verb, "timer") == 0) {
		do_timer(unit);
	} else if (strcmp(verb, "start") == 0) {
		request(unit, EV_START, false);
	} else if (strcmp(verb, "stop") == 0) {
		request(unit, EV_STOP, false);
	} else if (strcmp(verb, "hold") == 0) {
		request(unit, EV_STOP, true);
	} else if (strcmp(verb, "restart") == 0) {
		request(unit, EV_RESTART, false);
	} else if (strcmp(verb, "delete") == 0) {
		request(unit, EV_DELETE, false);
	} else if (strcmp(verb, "add") == 0) {
		request(unit, EV_ADD, false);
	} else if (strcmp(verb, "park") == 0) {
		request(unit, EV_PARK, false);
	} else if (strcmp(verb, "unpark") == 0) {
		request(unit, EV_UNPARK, false);
	} else {
		do_setting(unit, verb, (uint32_t)number);
	}
}

/* One input; what came out is in `said`. Several inputs with ";" happen before the tree looks. */
static void feed(const char *input)
{
	char verb[32] = "", name[32] = "", last[32] = "";

	assert_true(sscanf(input, "%31s %31s %31s", verb, name, last) >= 1);
	if (strcmp(verb, "boot") == 0) {
		fact(NULL, EV_BOOT);
	} else if (strncmp(verb, "shutdown", 8) == 0) {
		fact(NULL, EV_SHUTDOWN)->flag = verb[8] != '\0';
	} else if (strcmp(verb, "wait") == 0) {
		now += (uint64_t)(strtod(name, NULL) * 1e9);
	} else if (strcmp(verb, "reload") == 0) {
		save_and_load();
	} else if (strcmp(verb, "spawn") == 0) {
		do_spawn(name, last);
	} else {
		do_unit(unit_named(name), verb, (int)strtol(last, NULL, 10));
	}
}

static void feed_all(char *inputs)
{
	char *rest = inputs, *input;

	said[0] = '\0';
	while ((input = strtok_r(rest, ";", &rest)) != NULL) {
		feed(input);
	}
	settle();
}

static void play(const char *script)
{
	char text[8192], *rest = text, *line;

	assert_true(strlen(script) < sizeof(text));
	strcpy(text, script);
	while ((line = strtok_r(rest, "\n", &rest)) != NULL) {
		char copy[512];
		char *output = strstr(line, " >");
		if (output != NULL) {
			*output = '\0';
			output += output[2] == ' ' ? 3 : 2;
		}
		snprintf(copy, sizeof(copy), "%s", line);
		feed_all(copy);
		if (output != NULL && strcmp(said, output) != 0) {
			print_error("after \"%s\"\n", line);
			assert_string_equal(said, output);
		}
	}
}

static int finish(void **state)
{
	(void)state;
	tree_destroy(tree);
	tree = NULL;
	return 0;
}

#define TEST(name) cmocka_unit_test_teardown(name, finish)

#endif
