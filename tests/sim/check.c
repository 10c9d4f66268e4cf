#include <stdlib.h>
#include <string.h>

#include "sim/sim.h"

/* --- orders --- */

static const char *unit_name(uint32_t node)
{
	return sim.units[node].name;
}

/* Nothing is ever ordered for a node that was released. */
static struct unit *check_node(const struct tree_order *order)
{
	if (order->node >= UNITS_MAX || !sim.units[order->node].used) {
		sim_fail("an order for node %u, which was released", order->node);
	}
	if (sim.units[order->node].generation != order->generation) {
		sim_fail("an order for generation %u of node %u", order->generation, order->node);
	}
	return &sim.units[order->node];
}

/* Whether somebody has asked for a child on demand since its supervisor began. */
static void check_asked_for(uint32_t node)
{
	const struct unit *unit = &sim.units[node];

	if (sim.specs[unit->spec].rules.on_demand && !unit->asked && !unit->lenient) {
		sim_fail("%s is started, and nobody has asked for it", unit->name);
	}
}

static void check_new_incarnation(struct unit *unit, const struct tree_order *order)
{
	if (order->incarnation == unit->incarnation) {
		return;
	}
	/* A run without any command leaves no trace here. */
	if (order->incarnation < unit->incarnation) {
		sim_fail("%s: incarnation %u after %u", unit->name, order->incarnation,
			unit->incarnation);
	}
	if (node_alive(order->node)) {
		sim_fail("%s is started while a process of its last run lives", unit->name);
	}
	bool is_start = order->phase == PHASE_CONDITION || order->phase == PHASE_START_PRE ||
			order->phase == PHASE_START;
	if (is_start && sim.units[unit->parent].going_down && !sim.swarm.stop_in_turn) {
		sim_fail("%s is started while its supervisor goes down", unit->name);
	}
	if (unit->held) {
		sim_fail("%s is held, and is started", unit->name);
	}
	check_asked_for(order->node);
	unit->incarnation = order->incarnation;
	unit->killed = false;
}

static void check_spawn(const struct tree_order *order)
{
	struct unit *unit = check_node(order);
	const struct spec *spec = &sim.specs[unit->spec];

	if (spec->rules.is_supervisor) {
		sim_fail("a process for the supervisor %s", unit->name);
	}
	if ((order->role == ROLE_MAIN) != (order->phase == PHASE_START) ||
		order->index >= spec->service.commands[order->phase]) {
		sim_fail("%s: a command that it does not have", unit->name);
	}
	check_new_incarnation(unit, order);
	if (process_of(order->node, order->role) != NULL) {
		sim_fail("%s: a second process at the same time", unit->name);
	}
	/* Only a oneshot's commands stand in a row; START_POST and RELOAD and STOP run beside the
	 * main process, nothing else does. */
	if (process_of(order->node, ROLE_MAIN) != NULL && order->phase != PHASE_START_POST &&
		order->phase != PHASE_RELOAD && order->phase != PHASE_STOP) {
		sim_fail("%s: phase %u beside its main process", unit->name, order->phase);
	}
}

static void check_watch(const struct tree_order *order)
{
	const struct unit *unit = check_node(order);

	if (order->deadline_ns == unit->watch_ns) {
		sim_fail("%s: its watchdog is ordered twice", unit->name);
	}
	/* A process that is not there cannot keep it quiet. */
	if (order->deadline_ns != 0 && process_of(order->node, ROLE_MAIN) == NULL) {
		sim_fail("%s: a watchdog without a main process", unit->name);
	}
}

static void check_probe(const struct tree_order *order)
{
	const struct unit *unit = check_node(order);

	if (order->on == unit->probing) {
		sim_fail("%s: health checks are ordered twice", unit->name);
	}
	if (order->on && !sim.specs[unit->spec].service.health.on) {
		sim_fail("%s has no health checks", unit->name);
	}
}

static void check_timer(const struct tree_order *order)
{
	check_node(order);
	if (order->deadline_ns != 0 && order->deadline_ns < sim.now) {
		sim_fail("%s: a timer in the past", unit_name(order->node));
	}
}

static bool may_undo_hold(uint8_t kind)
{
	return kind == EV_START || kind == EV_RESTART || kind == EV_ADD || kind == EV_DELETE;
}

void check_request(const struct tree_event *event)
{
	struct unit *unit = &sim.units[event->node];

	unit->asked = unit->asked || event->kind == EV_START || event->kind == EV_RESTART ||
		      (event->kind == EV_ADD && !event->flag);
	if (may_undo_hold(event->kind)) {
		unit->held = false;
		/* Of one without a number nobody hears when it is done. */
		unit->undoing += event->request != 0 ? 1 : 1000;
	}
}

static void request_answered(const struct request *request, uint8_t result)
{
	struct unit *unit = &sim.units[request->node];

	if (request->stale) {
		if (result != RESULT_NOT_FOUND) {
			sim_fail("a request for a node that is gone is answered: %s",
				tree_result_names[result]);
		}
		return;
	}
	if (!unit->used || unit->generation != request->generation) {
		return;
	}
	if (may_undo_hold(request->kind) && unit->undoing > 0) {
		unit->undoing--;
	}
	if (request->kind == EV_STOP && request->hold && result == RESULT_OK &&
		unit->undoing == 0) {
		unit->held = true;
	}
}

static void check_reply(const struct tree_order *order)
{
	if (order->request == 0 || order->request > sim.requests_last) {
		sim_fail("a reply to a request that nobody made");
	}
	struct request *request = &sim.requests[order->request];
	if (request->answered) {
		sim_fail("request %llu is answered twice", (unsigned long long)order->request);
	}
	request->answered = true;
	request_answered(request, order->result);
	/* A stop that was asked for by hand goes on beside that of its supervisor. */
	sim.stop_overtaken = sim.stop_overtaken || order->result == RESULT_BROKEN_OFF;
	sim.results[order->result]++;
}

/* --- restarts within a window --- */

static uint32_t window_count(const struct unit *unit)
{
	uint64_t period = sim.specs[unit->spec].supervisor.period_ns;
	uint32_t count = 0;

	for (uint32_t i = 0; i < unit->window_count; i++) {
		uint64_t at = unit->window[(unit->window_first + i) % unit->window_room];
		count += sim.now - at <= period;
	}
	return count;
}

static void note_restarting(uint32_t child)
{
	struct unit *unit = &sim.units[sim.units[child].parent];
	uint32_t intensity = sim.specs[unit->spec].supervisor.intensity;

	if (unit->lenient) {
		return;
	}
	if (unit->window == NULL) {
		unit->window_room = intensity + 2;
		unit->window = calloc(unit->window_room, sizeof(uint64_t));
		if (unit->window == NULL) {
			sim_fail("no memory");
		}
	}
	if (unit->window_count == unit->window_room) {
		unit->window_first = (unit->window_first + 1) % unit->window_room;
		unit->window_count--;
	}
	unit->window[(unit->window_first + unit->window_count) % unit->window_room] = sim.now;
	unit->window_count++;
	if (window_count(unit) > intensity) {
		sim_fail("%s: more than %u restarts in its window", unit->name, intensity);
	}
}

static bool may_escalate(uint32_t supervisor)
{
	for (uint32_t i = 1; i < UNITS_MAX; i++) {
		if (!sim.units[i].used || sim.units[i].parent != supervisor) {
			continue;
		}
		const struct tree_child_rules *rules = &sim.specs[sim.units[i].spec].rules;
		for (uint32_t k = 0; k < rules->exit_rules_count; k++) {
			if (rules->exit_rules[k].action == EXIT_ESCALATE) {
				return true;
			}
		}
	}
	return false;
}

static void note_gave_up(uint32_t node)
{
	struct unit *unit = &sim.units[node];
	uint32_t intensity = sim.specs[unit->spec].supervisor.intensity;

	unit->going_down = true;
	if (!unit->lenient && !may_escalate(node) && window_count(unit) != intensity) {
		sim_fail("%s gave up after %u of %u restarts", unit->name, window_count(unit),
			intensity);
	}
}

/* --- notes --- */

static void note_begin(uint32_t node)
{
	struct unit *unit = &sim.units[node];
	uint32_t kept = 0;

	/* What was stopped in this step was stopped in its last life. */
	for (uint32_t i = 0; i < sim.stopping_count; i++) {
		if (sim.units[sim.stopping[i]].parent != node) {
			sim.stopping[kept++] = sim.stopping[i];
		}
	}
	sim.stopping_count = kept;
	for (uint32_t i = 1; i < UNITS_MAX; i++) {
		if (sim.units[i].used && sim.units[i].parent == node) {
			sim.units[i].asked = false;
		}
	}
	unit->going_down = false;
	unit->lenient = false;
	unit->window_count = unit->window_first = 0;
	/* New rules may have brought another intensity. */
	free(unit->window);
	unit->window = NULL;
}

static void check_note(const struct tree_order *order)
{
	struct unit *unit = check_node(order);

	sim.notes[order->note]++;
	switch ((enum tree_note)order->note) {
	case NOTE_RESTARTING: note_restarting(order->node); break;
	case NOTE_GAVE_UP: note_gave_up(order->node); break;
	case NOTE_BEGIN: note_begin(order->node); break;
	case NOTE_STOPPING:
		if (sim.specs[unit->spec].rules.is_supervisor) {
			unit->going_down = true;
		}
		if (order->node != 0 && sim.units[unit->parent].going_down &&
			sim.stopping_count < sizeof(sim.stopping) / sizeof(sim.stopping[0])) {
			sim.stopping[sim.stopping_count++] = order->node;
		}
		break;
	case NOTE_END:
	case NOTE_COOLING:
		unit->going_down = false;
		for (uint32_t i = 1; i < UNITS_MAX; i++) {
			if (sim.units[i].used && sim.units[i].parent == order->node &&
				node_alive(i)) {
				sim_fail("%s is down, and its child %s has a process", unit->name,
					unit_name(i));
			}
		}
		break;
	case NOTE_STARTING:
	case NOTE_RUNNING:
	case NOTE_EXITED:
	case NOTE_START_FAILED:
	case NOTE_SKIPPED:
	case NOTE_WAITING:
	case NOTE_STOPPED:
	case NOTE_DONE:
	case NOTE_FAILED:
	case NOTE_RELOADED:
	case NOTE_HEALTHY:
	case NOTE_UNHEALTHY:
	case NOTE_ACTION:
	case NOTE_STUCK:
	case NOTE_COUNT: break;
	}
}

static void check_release(const struct tree_order *order)
{
	struct unit *unit = check_node(order);

	if (unit->is_static) {
		sim_fail("%s is static, and was released", unit->name);
	}
	if (subtree_alive(order->node)) {
		sim_fail("%s was released alive", unit->name);
	}
}

static void check_the_end(const struct tree_order *order)
{
	if (sim.ended) {
		sim_fail("the root ends a second time");
	}
	if (processes_alive() > 0) {
		sim_fail("the root has ended, and %u processes live", processes_alive());
	}
	sim.ended = true;
	sim.end_cause = order->cause;
	/* Where a stop waits for its turn, there are restarts and requests before it. */
	if (sim.phase == PHASE_SHUTDOWN && !sim.swarm.stop_in_turn &&
		sim.now > sim.shutdown_limit_ns) {
		sim_fail("the shutdown took %.3f s; the limits add up to %.3f s",
			(double)(sim.now - sim.shutdown_at_ns) / 1e9,
			(double)(sim.shutdown_limit_ns - sim.shutdown_at_ns) / 1e9);
	}
}

void check_order(const struct tree_order *order)
{
	if (order->id != ++sim.orders_last) {
		sim_fail("order number %llu", (unsigned long long)order->id);
	}
	sim.figures[order->kind]++;
	if (sim.ended && order->kind != DO_REPLY && order->kind != DO_RELEASE) {
		sim_fail("an order after the end");
	}
	switch ((enum tree_order_kind)order->kind) {
	case DO_SPAWN: check_spawn(order); break;
	case DO_SIGNAL: check_node(order)->killed |= order->signo == 9; break;
	case DO_FIND_MAIN:
	case DO_FORGET: check_node(order); break;
	case DO_WATCH: check_watch(order); break;
	case DO_PROBE: check_probe(order); break;
	case DO_TIMER: check_timer(order); break;
	case DO_REPLY: check_reply(order); break;
	case DO_NOTE: check_note(order); break;
	case DO_RELEASE: check_release(order); break;
	case DO_END: check_the_end(order); break;
	case DO_COUNT: break;
	}
}

/* --- after each step --- */

/* What the tree says of a service is what the world has. */
static void check_unit(uint32_t node)
{
	const struct unit *unit = &sim.units[node];
	struct tree_view view;

	if (!unit->used || sim.specs[unit->spec].rules.is_supervisor) {
		return;
	}
	tree_look(sim.tree, node, sim.now, &view);
	if (!view.exists || view.generation != unit->generation) {
		sim_fail("%s is not in the tree any more, and was not released", unit->name);
	}
	if (view.service_state == SERVICE_STATE_KILL && !unit->killed) {
		sim_fail("%s waits for SIGKILL, which was not sent", unit->name);
	}
	bool is_down = view.service_state == SERVICE_STATE_DOWN;
	if (is_down && node_alive(node)) {
		sim_fail("%s is said to be down, and has a process", unit->name);
	}
	if (view.main_alive != (process_of(node, ROLE_MAIN) != NULL) ||
		view.control_alive != (process_of(node, ROLE_CONTROL) != NULL)) {
		sim_fail("%s: its processes are not those that the tree knows", unit->name);
	}
	if (view.watchdog_ns != unit->watch_ns || view.probing != unit->probing) {
		sim_fail("%s: its watchdog or its health checks are not those ordered", unit->name);
	}
	if (unit->watch_ns != 0 && process_of(node, ROLE_MAIN) == NULL) {
		sim_fail("%s: an armed watchdog, and no main process", unit->name);
	}
	if (unit->probing && view.ready != unit->healthy) {
		sim_fail("%s is %s, and its last health check was %s", unit->name,
			view.ready ? "ready" : "not ready", unit->healthy ? "good" : "bad");
	}
	if (view.service_state == SERVICE_STATE_UP && !view.main_alive && !view.finding &&
		!sim.specs[unit->spec].service.remain_after_exit) {
		sim_fail("%s is said to run, and has no process", unit->name);
	}
}

/* In an ordered stop, who comes later in the start order is gone before. */
static void check_stop_order(uint32_t child)
{
	uint32_t parent = sim.units[child].parent;

	/* It may have ended, and begun again, in this very step. */
	if (sim.swarm.stop_in_turn || !sim.units[child].used || !sim.units[parent].going_down ||
		sim.specs[sim.units[parent].spec].supervisor.dynamic) {
		return;
	}
	for (uint32_t i = tree_next_child(sim.tree, child); i != NODE_NONE;
		i = tree_next_child(sim.tree, i)) {
		if (subtree_alive(i)) {
			sim_fail("%s is stopped before %s, which started later", unit_name(child),
				unit_name(i));
		}
	}
}

void check_step(void)
{
	for (uint32_t i = 0; i < sim.stopping_count && !sim.stop_overtaken; i++) {
		check_stop_order(sim.stopping[i]);
	}
	sim.stopping_count = 0;
	sim.stop_overtaken = false;
	check_unit(random_below(tree_nodes_count(sim.tree)));
	if (sim.phase != PHASE_CHAOS) {
		for (uint32_t i = 0; i < tree_nodes_count(sim.tree); i++) {
			check_unit(i);
		}
	}
}

/* --- when nothing moves any more --- */

/* A group restart that has not come to its end yet holds back who stands behind. */
static bool is_held_back(uint32_t node)
{
	uint32_t parent = sim.units[node].parent;
	struct tree_view view;

	for (uint32_t i = tree_first_child(sim.tree, parent); i != NODE_NONE;
		i = tree_next_child(sim.tree, i)) {
		tree_look(sim.tree, i, sim.now, &view);
		if (view.state == STATE_WAITING) {
			return true;
		}
	}
	return false;
}

/* None is lost: whom nobody stopped, and who is to run for ever, runs. */
static void check_permanent(uint32_t node)
{
	struct tree_view view, parent;
	const struct unit *unit = &sim.units[node];

	tree_look(sim.tree, node, sim.now, &view);
	tree_look(sim.tree, unit->parent, sim.now, &parent);
	if (!view.present || parent.state != STATE_RUNNING ||
		sim.specs[unit->spec].rules.restart != RESTART_PERMANENT ||
		sim.specs[unit->spec].rules.on_demand || sim.specs[unit->spec].spins) {
		return;
	}
	if (view.state != STATE_RUNNING && !is_held_back(node)) {
		sim_fail("%s is permanent, and is %s for ever", unit->name,
			tree_state_names[view.state]);
	}
}

void check_quiet(void)
{
	for (uint32_t i = 1; i < tree_nodes_count(sim.tree); i++) {
		check_unit(i);
		if (sim.units[i].used && sim.swarm.strict) {
			check_permanent(i);
		}
	}
	for (uint64_t i = 1; i <= sim.requests_last; i++) {
		if (!sim.requests[i].answered) {
			sim_fail("request %llu (%s %s) is not answered", (unsigned long long)i,
				tree_event_names[sim.requests[i].kind],
				unit_name(sim.requests[i].node));
		}
	}
}

/* --- the shutdown --- */

/* The longest that the stop of a service may take, by its own rules and the kernel's. */
static uint64_t stop_limit(const struct spec *spec, bool kill)
{
	uint64_t limit = spec->rules.shutdown_ns == SERVICE_STOP_DEFAULT
				 ? spec->service.stop_timeout_ns
				 : spec->rules.shutdown_ns;
	uint64_t slowest = 10 * NS_PER_SEC; /* of processes that are waited for without a limit */
	uint64_t post = spec->service.stop_timeout_ns, abort = spec->service.abort_timeout_ns;

	/* A stop that it began by itself runs under its own limit. */
	if (spec->service.stop_timeout_ns > limit) {
		limit = spec->service.stop_timeout_ns;
	}
	limit = limit == SPAN_INFINITY ? slowest : limit;
	post = post == SPAN_INFINITY ? slowest : post;
	abort = abort == 0 ? post : abort;
	/* ExecStop, the signal, the watchdog's, SIGKILL (twice, should the first have been in
	 * vain), ExecStopPost; spawns and timers are late. */
	return (kill ? 0 : 2 * limit + abort) + post + 2 * kernel_limit() + NS_PER_SEC;
}

void check_shutdown_asked(bool kill)
{
	uint64_t sum = NS_PER_SEC;

	for (uint32_t i = 0; i < tree_nodes_count(sim.tree); i++) {
		if (!sim.units[i].used) {
			continue;
		}
		const struct spec *spec = &sim.specs[sim.units[i].spec];
		if (!spec->rules.is_supervisor) {
			sum += stop_limit(spec, kill);
		}
	}
	sim.shutdown_at_ns = sim.now;
	if (sim.now + sum < sim.shutdown_limit_ns) {
		sim.shutdown_limit_ns = sim.now + sum;
	}
}

void check_end(void)
{
	if (!sim.ended) {
		sim_fail("after a shutdown the root has not ended, and nothing will happen any "
			 "more");
	}
	check_quiet();
}
