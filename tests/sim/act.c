#include <string.h>

#include "sim/sim.h"

void act_request(uint8_t kind, uint32_t node, bool flag)
{
	struct tree_event event = {.kind = kind,
		.flag = flag,
		.node = node,
		.generation = sim.units[node].generation,
		.time_ns = sim.now};

	if (sim.requests_last + 1 >= REQUESTS_MAX) {
		return;
	}
	if (!random_percent(5)) {
		event.request = ++sim.requests_last;
		sim.requests[event.request] = (struct request){
			.kind = kind, .hold = flag, .node = node, .generation = event.generation};
	}
	check_request(&event);
	sim_step(&event);
}

/* A node of the tree, the root only with `root`. UINT32_MAX: none. */
static uint32_t random_unit(bool root)
{
	uint32_t count = 0, chosen = UINT32_MAX;

	for (uint32_t i = root ? 0 : 1; i < tree_nodes_count(sim.tree); i++) {
		if (sim.units[i].used && random_below(++count) == 0) {
			chosen = i;
		}
	}
	return chosen;
}

static struct process *random_process(uint8_t role)
{
	struct process *chosen = NULL;
	uint32_t count = 0;

	for (uint32_t i = 0; i < sim.processes_top; i++) {
		struct process *process = &sim.processes[i];
		if (process->used && process->exists && process->role == role &&
			random_below(++count) == 0) {
			chosen = process;
		}
	}
	return chosen;
}

static struct service_end random_end(void)
{
	static const int signals[] = {11, 9, 6, 15, 13};

	if (random_percent(50)) {
		return (struct service_end){
			.reason = REASON_EXIT, .number = (int32_t)random_below(5)};
	}
	return (struct service_end){.reason = REASON_SIGNAL,
		.number = signals[random_below(5)],
		.dumped = random_percent(20)};
}

static void act_crash(uint32_t count, uint8_t role)
{
	for (uint32_t i = 0; i < count; i++) {
		struct process *process = random_process(role);
		if (process != NULL) {
			process_end(process, random_end(), 0);
		}
	}
}

static struct tree_event event_for(uint32_t node, uint8_t kind)
{
	return (struct tree_event){.kind = kind,
		.node = node,
		.generation = sim.units[node].generation,
		.incarnation = sim.units[node].incarnation};
}

static void act_fail(void)
{
	static const uint8_t reasons[] = {REASON_WATCHDOG, REASON_HEALTH, REASON_OOM};
	uint32_t node = random_unit(false);

	if (node == UINT32_MAX || spec_is_supervisor(sim.units[node].spec)) {
		return;
	}
	struct tree_event event = event_for(node, EV_FAIL);
	event.end.reason = reasons[random_below(3)];
	event_in(&event, 0);
}

/* A health check of a service that is up fails, or succeeds once more. */
static void act_probe(void)
{
	uint32_t node = random_unit(false);

	if (node == UINT32_MAX || !sim.units[node].probing) {
		return;
	}
	struct tree_event event = event_for(node, EV_PROBED);
	event.incarnation = sim.units[node].probing_incarnation;
	event.flag = random_percent(40);
	event_in(&event, 0);
}

/* What a service says of itself. */
static void act_word(void)
{
	static const uint8_t kinds[] = {EV_RELOADING, EV_READY, EV_ENDING, EV_WATCHDOG, EV_EXTEND};
	uint32_t node = random_unit(false);

	if (node == UINT32_MAX || process_of(node, ROLE_MAIN) == NULL ||
		!process_of(node, ROLE_MAIN)->exists) {
		return;
	}
	struct tree_event event = event_for(node, kinds[random_below(5)]);
	event.span_ns = random_percent(20) ? 0 : random_span(0, NS_PER_SEC);
	if (event.kind == EV_RELOADING) {
		event.span_ns = random_percent(50) ? sim.now : 0;
	}
	event_in(&event, 0);
	if (event.kind == EV_ENDING) {
		process_end(process_of(node, ROLE_MAIN), random_end(), random_span(0, 100 * MS));
	}
	if (event.kind == EV_RELOADING && random_percent(80)) {
		event.kind = EV_READY;
		event_in(&event, random_span(0, 100 * MS));
	}
}

static void act_stale_request(uint32_t node)
{
	static const uint8_t kinds[] = {
		EV_STOP, EV_START, EV_RESTART, EV_DELETE, EV_PARK, EV_UNPARK};
	struct tree_event event = {.kind = kinds[random_below(6)],
		.node = node,
		.generation = sim.units[node].generation + 1};

	if (sim.requests_last + 1 >= REQUESTS_MAX) {
		return;
	}
	event.request = ++sim.requests_last;
	sim.requests[event.request] = (struct request){.stale = true, .kind = event.kind};
	sim_step(&event);
}

/* What must be ignored: old incarnations and generations, timers that were taken back, messages
 * out of season. */
static void act_stray(void)
{
	static const uint8_t kinds[] = {EV_READY, EV_EXTEND, EV_TIMER, EV_EXITED, EV_BOOT};
	uint32_t node = random_unit(false);

	if (node == UINT32_MAX) {
		return;
	}
	if (random_percent(20)) {
		act_stale_request(node);
		return;
	}
	struct tree_event event = event_for(node, kinds[random_below(5)]);
	event.span_ns = random_span(0, NS_PER_SEC);
	const struct process *process = process_of(node, ROLE_MAIN);
	if (event.kind == EV_READY && process != NULL && !process->exists) {
		return; /* nobody is there to say it */
	}
	if (event.kind == EV_EXITED) {
		event.end = random_end();
		event.incarnation += 1 + random_below(3);
	} else if (event.kind == EV_TIMER) {
		event.incarnation = 0;
	} else if (event.kind == EV_BOOT) {
		event.node = 0;
		event.generation = 0;
	}
	if (random_percent(20)) {
		event.generation += 1;
	}
	event_in(&event, 0);
}

static void act_simple_request(void)
{
	static const uint8_t kinds[] = {
		EV_START, EV_START, EV_STOP, EV_STOP, EV_RESTART, EV_RELOAD, EV_PARK, EV_UNPARK};
	uint32_t node = random_unit(random_percent(2));
	uint8_t kind = kinds[random_below(sizeof(kinds))];

	if (node != UINT32_MAX && !(node == 0 && (kind == EV_STOP || kind == EV_RESTART))) {
		act_request(kind, node, false);
	}
}

static void act_hold(void)
{
	uint32_t node = random_unit(false);

	if (node != UINT32_MAX) {
		act_request(random_percent(60) ? EV_STOP : EV_START, node, true);
	}
}

static void act_add(void)
{
	uint32_t node = random_unit(true);
	uint32_t spec;

	if (node == UINT32_MAX || sim.specs_count + 64 > SPECS_MAX) {
		return;
	}
	if (!spec_is_supervisor(sim.units[node].spec)) {
		if (node != 0) {
			act_request(EV_ADD, node, false); /* perhaps it was deleted */
		}
		return;
	}
	if (tree_nodes_count(sim.tree) + 64 > UNITS_MAX) {
		return;
	}
	uint32_t parent_spec = sim.units[node].spec;
	if (sim.specs[parent_spec].child_template != UINT32_MAX) {
		spec = sim.specs[parent_spec].child_template;
	} else if (random_percent(25)) {
		spec = plan_supervisor(parent_spec, 1);
	} else {
		spec = plan_leaf(parent_spec);
	}
	uint32_t made = unit_add(node, spec, true);
	plan_build(made);
	act_request(EV_ADD, made, random_percent(10));
}

static void act_delete(void)
{
	uint32_t node = random_unit(false);

	if (node != UINT32_MAX) {
		act_request(random_percent(70) ? EV_DELETE : EV_ADD, node, false);
	}
}

/* --- a reload: other rules, another order, nodes that come and go --- */

static void act_new_rules(void)
{
	uint32_t node = random_unit(true);
	struct tree_view view;

	if (node == UINT32_MAX || sim.specs_count + 8 > SPECS_MAX) {
		return;
	}
	tree_look(sim.tree, node, sim.now, &view);
	bool is_up = !view.is_supervisor && view.service_state == SERVICE_STATE_UP;
	if (!view.is_supervisor && !is_up && view.service_state != SERVICE_STATE_DOWN) {
		return; /* not in the middle of a phase: its rules are read at each step */
	}
	uint32_t spec = plan_again(sim.units[node].spec, is_up);
	sim.units[node].spec = spec;
	sim.units[node].lenient = true;
	tree_set_rules(sim.tree, node, &sim.specs[spec].rules);
	tree_set_rules(sim.twin, node, &sim.specs[spec].rules);
}

static void act_reorder(void)
{
	uint32_t supervisor = random_unit(true);
	uint32_t kids[UNITS_MAX], count = 0;

	for (uint32_t i = 1; i < tree_nodes_count(sim.tree); i++) {
		if (sim.units[i].used && sim.units[i].is_static &&
			sim.units[i].parent == supervisor) {
			kids[count++] = i;
		}
	}
	if (count < 2) {
		return;
	}
	for (uint32_t i = count - 1; i > 0; i--) {
		uint32_t other = random_below(i + 1), kept = kids[i];
		kids[i] = kids[other];
		kids[other] = kept;
	}
	tree_reorder(sim.tree, supervisor, kids, count);
	tree_reorder(sim.twin, supervisor, kids, count);
}

static void act_remove(void)
{
	uint32_t node = random_unit(false);
	struct tree_view view;

	if (node == UINT32_MAX || !sim.units[node].is_static) {
		return;
	}
	tree_look(sim.tree, node, sim.now, &view);
	if (view.state == STATE_STOPPED || view.state == STATE_DONE) {
		tree_remove(sim.tree, node);
		tree_remove(sim.twin, node);
		unit_forget(node);
	}
}

static void act_add_static(void)
{
	uint32_t node = random_unit(true);

	if (node == UINT32_MAX || !spec_is_supervisor(sim.units[node].spec) ||
		sim.specs[sim.units[node].spec].supervisor.dynamic ||
		sim.specs_count + 8 > SPECS_MAX || tree_nodes_count(sim.tree) + 8 > UNITS_MAX) {
		return;
	}
	uint32_t spec = plan_leaf(sim.units[node].spec);
	uint32_t made = unit_add(node, spec, false);
	if (random_percent(50)) {
		act_request(EV_ADD, made, random_percent(30));
	}
}

static void act_redefine(void)
{
	switch (random_below(4)) {
	case 0: act_new_rules(); break;
	case 1: act_reorder(); break;
	case 2: act_remove(); break;
	default: act_add_static(); break;
	}
}

/* The clock of a machine that was suspended, or too busy: everything is late at once. */
static void act_jump(void)
{
	sim.now += random_span(0, random_percent(80) ? 2 * NS_PER_SEC : 1000 * NS_PER_SEC);
}

void act_random(void)
{
	const struct swarm *s = &sim.swarm;
	const struct {
		uint32_t weight;
		uint8_t what;
	} table[] = {{s->crash, 0}, {s->crash_many, 1}, {s->control_crash, 2}, {s->fail, 3},
		{s->requests, 4}, {s->holds, 5}, {s->adds, 6}, {s->deletes, 7}, {s->redefine, 8},
		{s->jump, 9}, {s->stray, 10}, {s->reloads, 11}, {s->root_restart, 12},
		{s->probes, 13}, {s->words, 14}};
	uint32_t sum = 0, what = 0, node;

	for (uint32_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		sum += table[i].weight;
		if (table[i].weight > 0 && random_below(sum) < table[i].weight) {
			what = table[i].what;
		}
	}
	switch (what) {
	case 0: act_crash(1, ROLE_MAIN); break;
	case 1: act_crash(2 + random_below(5), ROLE_MAIN); break;
	case 2: act_crash(1, ROLE_CONTROL); break;
	case 3: act_fail(); break;
	case 4: act_simple_request(); break;
	case 5: act_hold(); break;
	case 6: act_add(); break;
	case 7: act_delete(); break;
	case 8: act_redefine(); break;
	case 9: act_jump(); break;
	case 10: act_stray(); break;
	case 11:
		node = random_unit(false);
		if (node != UINT32_MAX) {
			act_request(EV_RELOAD, node, false);
		}
		break;
	case 13: act_probe(); break;
	case 14: act_word(); break;
	default: act_request(EV_RESTART, 0, false); break;
	}
}
