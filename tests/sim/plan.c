#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/sim.h"

#define SPEC_NONE UINT32_MAX

bool spec_is_supervisor(uint32_t spec)
{
	return sim.specs[spec].rules.is_supervisor;
}

/* Half of the lives do without a given kind of fault, so that the others get deeper. */
static uint32_t maybe(uint32_t most)
{
	return random_percent(50) ? 0 : random_below(most + 1);
}

void plan_swarm(void)
{
	struct swarm *s = &sim.swarm;

	*s = (struct swarm){
		.crash = 1 + random_below(20),
		.crash_many = maybe(8),
		.control_crash = maybe(4),
		.fail = maybe(4),
		.requests = maybe(20),
		.holds = maybe(20),
		.adds = maybe(10),
		.reloads = maybe(6),
		.deletes = maybe(6),
		.redefine = maybe(3),
		.jump = maybe(3),
		.stray = maybe(6),
		.root_restart = random_percent(90) ? 0 : 1,
		.probes = maybe(6),
		.words = maybe(6),
		.spawn_failures = maybe(20),
		.exec_failures = maybe(20),
		.skips = maybe(10),
		.hangs = maybe(10),
		.ignores = maybe(40),
		.slow_spawns = maybe(60),
		.command_failures = maybe(15),
		.early_exits = maybe(15),
		.lost_mains = maybe(20),
		.bad_probes = maybe(60),
		.stop_in_turn = random_percent(15),
		.short_limits = random_percent(50),
		.ends_in_chaos = random_percent(25),
		.strict = random_percent(20),
		.actions = random_percent(20),
		.pause_ns = random_span(MS / 10, 300 * MS),
		.steps = 200 + random_below(3000),
	};
	if (s->strict) {
		s->requests = s->holds = s->deletes = s->redefine = s->skips = s->adds = 0;
	}
}

static struct spec *spec_new(uint32_t parent, char letter, uint32_t *index)
{
	struct spec *spec = &sim.specs[sim.specs_count];

	if (sim.specs_count == SPECS_MAX) {
		sim_fail("too many specs");
	}
	memset(spec, 0, sizeof(*spec));
	snprintf(spec->name, sizeof(spec->name), "%c%u", letter, sim.specs_count);
	spec->parent = parent;
	spec->child_template = SPEC_NONE;
	*index = sim.specs_count++;
	return spec;
}

static uint8_t plan_restart(void)
{
	static const uint8_t words[] = {RESTART_PERMANENT, RESTART_PERMANENT, RESTART_PERMANENT,
		RESTART_PERMANENT, RESTART_TRANSIENT, RESTART_TRANSIENT, RESTART_TEMPORARY,
		RESTART_ON_SUCCESS, RESTART_ON_ABNORMAL, RESTART_ON_ABORT, RESTART_ON_WATCHDOG};

	return words[random_below(sizeof(words))];
}

static uint64_t plan_limit(void)
{
	switch (random_below(sim.swarm.short_limits ? 4 : 6)) {
	case 0: return 5 * MS;
	case 1: return random_span(MS, 100 * MS);
	case 2:
	case 3: return random_span(100 * MS, 2000 * MS);
	case 4: return random_span(NS_PER_SEC, 90 * NS_PER_SEC);
	default: return SPAN_INFINITY;
	}
}

static void plan_exit_rules(struct spec *spec)
{
	static const uint8_t actions[] = {EXIT_RESTART, EXIT_STOP, EXIT_ESCALATE, EXIT_ONE_FOR_ALL,
		EXIT_REST_FOR_ONE, EXIT_DEFAULT};

	if (!random_percent(15)) {
		return;
	}
	spec->rules.exit_rules = spec->exit_rules;
	spec->rules.exit_rules_count = 1 + random_below(2);
	for (uint32_t i = 0; i < spec->rules.exit_rules_count; i++) {
		struct tree_exit_rule *rule = &spec->exit_rules[i];
		rule->ends.statuses[0] = 1U << random_below(4);
		rule->ends.signals = random_percent(50) ? UINT64_C(1) << 11 : 0;
		rule->reasons = random_percent(30) ? 1U << REASON_WATCHDOG : 0;
		rule->action = actions[random_below(sizeof(actions))];
		rule->delay_ns = random_percent(20) ? random_span(MS, 500 * MS) : 0;
		if (rule->action == EXIT_STOP && sim.swarm.strict) {
			rule->action = EXIT_RESTART;
		}
	}
}

static void plan_child(struct spec *spec)
{
	struct tree_child_rules *rules = &spec->rules;
	const struct spec *parent = spec->parent == SPEC_NONE ? NULL : &sim.specs[spec->parent];

	rules->restart = plan_restart();
	if (parent != NULL && parent->supervisor.auto_shutdown != AUTO_NEVER &&
		rules->restart != RESTART_PERMANENT) {
		rules->significant = random_percent(50);
	}
	rules->on_demand = random_percent(12);
	rules->kept = random_percent(10);
	rules->optional = random_percent(10);
	if (random_percent(15)) {
		rules->restart_delay_ns = random_span(MS, 800 * MS);
		if (random_percent(60)) {
			rules->restart_steps = 1 + random_below(6);
			rules->restart_delay_max_ns = random_span(MS, 10 * NS_PER_SEC);
		}
	}
}

static uint8_t plan_commands(uint32_t percent)
{
	return random_percent(percent) ? (uint8_t)(1 + random_below(3)) : 0;
}

static void plan_commands_all(struct service_rules *rules)
{
	static const uint8_t percents[PHASE_COUNT] = {[PHASE_START_PRE] = 15,
		[PHASE_START_POST] = 15,
		[PHASE_RELOAD] = 20,
		[PHASE_STOP] = 20,
		[PHASE_STOP_POST] = 20,
		[PHASE_CONDITION] = 8};

	for (uint32_t phase = 0; phase < PHASE_COUNT; phase++) {
		rules->commands[phase] = plan_commands(percents[phase]);
		if (random_percent(20)) {
			rules->ignore_failure[phase] = random_below(8);
		}
	}
	if (sim.swarm.strict) {
		rules->commands[PHASE_CONDITION] = 0; /* it may leave the service down */
	}
	rules->commands[PHASE_START] = 1;
	if (rules->type == SERVICE_ONESHOT) {
		rules->commands[PHASE_START] = (uint8_t)(1 + random_below(3));
		if (random_percent(10)) {
			rules->commands[PHASE_START] = 0;
			rules->remain_after_exit = true;
		}
	}
}

/* What systemd's units say about ends and starts. */
static void plan_words(struct spec *spec)
{
	struct tree_child_rules *rules = &spec->rules;

	if (random_percent(10)) {
		rules->restart_force.statuses[0] = 1U << random_below(4);
	}
	if (sim.swarm.strict) {
		return;
	}
	if (random_percent(10)) {
		rules->restart_prevent.statuses[0] = 1U << random_below(4);
		rules->restart_prevent.signals = random_percent(50) ? UINT64_C(1) << 11 : 0;
	}
	if (random_percent(15)) {
		rules->start_limit_burst = 1 + random_below(6);
		rules->start_limit_ns = random_span(10 * MS, 10 * NS_PER_SEC);
	}
	if (sim.swarm.actions && random_percent(5)) {
		rules->failure_action = (uint8_t)random_below(ACTION_EXIT_FORCE + 1);
		rules->success_action = (uint8_t)random_below(ACTION_EXIT_FORCE + 1);
		rules->start_limit_action = (uint8_t)random_below(ACTION_EXIT_FORCE + 1);
		rules->failure_status = random_percent(50) ? -1 : (int16_t)random_below(256);
		rules->success_status = random_percent(50) ? -1 : (int16_t)random_below(256);
	}
}

static void plan_service(struct spec *spec)
{
	static const uint8_t types[] = {SERVICE_SIMPLE, SERVICE_EXEC, SERVICE_EXEC, SERVICE_EXEC,
		SERVICE_NOTIFY, SERVICE_NOTIFY, SERVICE_NOTIFY_RELOAD, SERVICE_ONESHOT,
		SERVICE_FORKING, SERVICE_IDLE};
	struct service_rules *rules = &spec->service;

	*rules = (struct service_rules){
		.type = types[random_below(sizeof(types))],
		.kill_mode = random_percent(70) ? KILL_CONTROL_GROUP : (uint8_t)random_below(4),
		.send_sigkill = random_percent(95),
		.send_sighup = random_percent(5),
		.kill_signal = 15,
		.final_kill_signal = 9,
		.reload_signal = 1,
		.start_timeout_ns = plan_limit(),
		.stop_timeout_ns = plan_limit(),
		.runtime_max_ns =
			random_percent(4) ? random_span(50 * MS, 20 * NS_PER_SEC) : SPAN_INFINITY,
	};
	if (random_percent(20)) {
		rules->watchdog_ns = random_span(MS, NS_PER_SEC);
		rules->watchdog_signal = random_percent(50) ? 0 : 12;
		rules->abort_timeout_ns = random_percent(50) ? 0 : random_span(MS, NS_PER_SEC);
	}
	rules->start_failure = random_percent(80) ? FAILURE_TERMINATE : (uint8_t)random_below(3);
	rules->stop_failure = random_percent(80) ? FAILURE_TERMINATE : (uint8_t)random_below(3);
	rules->restart_kill_signal = random_percent(90) ? 0 : 12;
	rules->exit_when_empty = random_percent(5);
	if (random_percent(20)) {
		rules->health = (struct service_health_rules){.on = true,
			.retries = random_below(4),
			.interval_ns = random_span(MS, NS_PER_SEC),
			.timeout_ns = random_span(MS, NS_PER_SEC),
			.start_period_ns = random_percent(50) ? 0 : random_span(0, NS_PER_SEC)};
	}
	rules->reload_by_signal = rules->type == SERVICE_NOTIFY_RELOAD;
	if (rules->type == SERVICE_ONESHOT) {
		rules->remain_after_exit = random_percent(50);
	}
	if (random_percent(15)) {
		rules->success.statuses[0] = 1U << random_below(8);
	}
	plan_commands_all(rules);
	plan_words(spec);
}

/* A oneshot that ends well and is started again because it ended, for ever: itself, or with the
 * supervisor that its end shuts down. */
static bool ends_and_returns(const struct spec *spec)
{
	return spec->service.type == SERVICE_ONESHOT && !spec->service.remain_after_exit &&
	       (spec->rules.significant || spec->rules.restart == RESTART_PERMANENT ||
		       spec->rules.restart == RESTART_ON_SUCCESS ||
		       spec->rules.exit_rules_count > 0);
}

static void plan_shutdown_limit(struct spec *spec)
{
	uint32_t die = random_below(10);

	if (die == 0) {
		spec->rules.shutdown_ns = SERVICE_STOP_BRUTAL;
	} else if (die < 4) {
		spec->rules.shutdown_ns = SERVICE_STOP_DEFAULT;
	} else {
		spec->rules.shutdown_ns = plan_limit();
	}
}

uint32_t plan_leaf(uint32_t parent)
{
	uint32_t index;
	struct spec *spec = spec_new(parent, 'c', &index);

	plan_child(spec);
	plan_service(spec);
	plan_shutdown_limit(spec);
	plan_exit_rules(spec);
	if (ends_and_returns(spec) && random_percent(80)) {
		spec->rules.restart = RESTART_TRANSIENT;
		spec->rules.exit_rules_count = 0;
	}
	spec->spins = ends_and_returns(spec);
	sim.spins = sim.spins || spec->spins;
	spec->rules.service = &spec->service;
	return index;
}

static void plan_supervisor_rules(struct spec *spec, bool is_root)
{
	struct tree_supervisor_rules *rules = &spec->supervisor;

	*rules = (struct tree_supervisor_rules){
		.strategy = (uint8_t)random_below(3),
		.auto_shutdown = random_percent(75) ? AUTO_NEVER : (uint8_t)random_below(3),
		.give_up = GIVE_UP_ESCALATE,
		.dynamic = random_percent(20),
		.retry_start = random_percent(30),
		.intensity = random_below(is_root ? 30 : 8),
		.period_ns = random_percent(50) ? random_span(10 * MS, 2 * NS_PER_SEC)
						: random_span(NS_PER_SEC, 100 * NS_PER_SEC),
		.children_max = UINT32_MAX,
	};
	if (random_percent(is_root ? 60 : 20)) {
		rules->give_up = GIVE_UP_COOLDOWN;
		rules->cooldown_ns = random_span(MS, 20 * NS_PER_SEC);
	} else if (random_percent(3)) {
		rules->give_up = GIVE_UP_EXIT;
	}
	if (rules->dynamic) {
		rules->strategy = ONE_FOR_ONE;
		rules->auto_shutdown = AUTO_NEVER;
		rules->children_max = random_percent(50) ? 1 + random_below(6) : UINT32_MAX;
	}
}

uint32_t plan_supervisor(uint32_t parent, uint32_t depth)
{
	uint32_t index, kids;
	struct spec *spec = spec_new(parent, 's', &index);

	spec->rules.is_supervisor = true;
	spec->rules.supervisor = &spec->supervisor;
	if (parent != SPEC_NONE) {
		plan_child(spec);
	}
	plan_supervisor_rules(spec, parent == SPEC_NONE);
	spec->rules.shutdown_ns =
		random_percent(85) ? SPAN_INFINITY : random_span(0, 3 * NS_PER_SEC);
	if (spec->supervisor.dynamic) {
		uint32_t child = plan_leaf(index);
		sim.specs[index].child_template = child;
		return index;
	}
	kids = random_below(6) + (parent == SPEC_NONE);
	for (uint32_t i = 0; i < kids; i++) {
		bool nested = depth > 0 && random_percent(40) && sim.specs_count < 50;
		uint32_t kid = nested ? plan_supervisor(index, depth - 1) : plan_leaf(index);
		sim.specs[kid].is_kid = true;
	}
	return index;
}

void plan_tree(void)
{
	sim.specs_count = 0;
	plan_supervisor(SPEC_NONE, 1 + random_below(4));
}

/* A changed unit file: other limits, other words, the same kind of unit; `same_shape` for a service
 * that is up, whose type may not change under it. */
uint32_t plan_again(uint32_t old, bool same_shape)
{
	uint32_t index;
	struct spec *spec = spec_new(sim.specs[old].parent, 'x', &index);

	memcpy(spec, &sim.specs[old], sizeof(*spec));
	plan_child(spec);
	if (spec->rules.is_supervisor) {
		spec->supervisor.intensity = random_below(8);
		spec->supervisor.period_ns = random_span(10 * MS, 20 * NS_PER_SEC);
		spec->rules.supervisor = &spec->supervisor;
	} else {
		const struct service_rules *before = &sim.specs[old].service;
		plan_service(spec);
		if (same_shape) {
			spec->service.type = before->type;
			spec->service.remain_after_exit = before->remain_after_exit;
			spec->service.reload_by_signal = before->reload_by_signal;
			spec->service.commands[PHASE_START] = before->commands[PHASE_START];
		}
		plan_shutdown_limit(spec);
		spec->rules.service = &spec->service;
		spec->spins = ends_and_returns(spec);
		sim.spins = sim.spins || spec->spins;
	}
	if (spec->rules.exit_rules_count > 0) {
		spec->rules.exit_rules = spec->exit_rules;
	}
	return index;
}

/* --- nodes --- */

uint32_t unit_add(uint32_t parent, uint32_t spec, bool at_run_time)
{
	const struct tree_child_rules *rules = &sim.specs[spec].rules;
	uint32_t node = at_run_time ? tree_add_dynamic(sim.tree, parent, rules)
				    : tree_add(sim.tree, parent, rules);
	uint32_t again = at_run_time ? tree_add_dynamic(sim.twin, parent, rules)
				     : tree_add(sim.twin, parent, rules);
	struct tree_view view;

	if (node >= UNITS_MAX || node != again) {
		sim_fail("node %u, and %u in the twin", node, again);
	}
	if (sim.units[node].used) {
		sim_fail("node %u was given out twice", node);
	}
	tree_look(sim.tree, node, sim.now, &view);
	free(sim.units[node].window);
	sim.units[node] = (struct unit){.used = true,
		.is_static = !at_run_time,
		.generation = view.generation,
		.spec = spec,
		.process = {PROCESS_NONE, PROCESS_NONE},
		.parent = parent};
	memcpy(sim.units[node].name, sim.specs[spec].name, NAME_SIZE);
	if (at_run_time) {
		size_t length = strlen(sim.units[node].name);
		snprintf(sim.units[node].name + length, NAME_SIZE - length, "@%u", node);
	}
	return node;
}

void plan_build(uint32_t node)
{
	uint32_t spec = sim.units[node].spec;

	for (uint32_t i = 0; i < sim.specs_count; i++) {
		if (sim.specs[i].is_kid && sim.specs[i].parent == spec) {
			uint32_t kid = unit_add(node, i, false);
			plan_build(kid);
		}
	}
}

void unit_forget(uint32_t node)
{
	for (uint32_t i = 1; i < UNITS_MAX; i++) {
		if (sim.units[i].used && sim.units[i].parent == node) {
			unit_forget(i);
		}
	}
	free(sim.units[node].window);
	sim.units[node] = (struct unit){0};
}
