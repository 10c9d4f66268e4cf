#include <stdlib.h>
#include <string.h>

#include "sim/sim.h"

#define KILL_LIMIT_NS (40 * NS_PER_SEC) /* a process in disk sleep */

/* --- what will happen: a heap --- */

static bool is_before(const struct future *a, const struct future *b)
{
	return a->time_ns != b->time_ns ? a->time_ns < b->time_ns : a->sequence < b->sequence;
}

static void heap_swap(uint32_t a, uint32_t b)
{
	struct future kept = sim.futures[a];

	sim.futures[a] = sim.futures[b];
	sim.futures[b] = kept;
}

void future_add(const struct future *future)
{
	uint32_t at = sim.futures_count++;

	if (sim.futures_count > sim.futures_room) {
		sim.futures_room = sim.futures_room * 2 + 256;
		sim.futures = realloc(sim.futures, sim.futures_room * sizeof(sim.futures[0]));
		if (sim.futures == NULL) {
			sim_fail("no memory");
		}
	}
	sim.futures[at] = *future;
	sim.futures[at].sequence = ++sim.sequence;
	for (; at > 0 && is_before(&sim.futures[at], &sim.futures[(at - 1) / 2]);
		at = (at - 1) / 2) {
		heap_swap(at, (at - 1) / 2);
	}
}

const struct future *future_first(void)
{
	return sim.futures_count > 0 ? &sim.futures[0] : NULL;
}

bool future_next(struct future *out)
{
	uint32_t at = 0;

	if (sim.futures_count == 0) {
		return false;
	}
	*out = sim.futures[0];
	sim.futures[0] = sim.futures[--sim.futures_count];
	for (;;) {
		uint32_t child = at * 2 + 1;
		if (child + 1 < sim.futures_count &&
			is_before(&sim.futures[child + 1], &sim.futures[child])) {
			child++;
		}
		if (child >= sim.futures_count ||
			is_before(&sim.futures[at], &sim.futures[child])) {
			return true;
		}
		heap_swap(at, child);
		at = child;
	}
}

void future_clear(void)
{
	sim.futures_count = 0;
}

void event_in(const struct tree_event *event, uint64_t delay_ns)
{
	future_add(&(struct future){
		.time_ns = sim.now + delay_ns, .kind = FUTURE_EVENT, .event = *event});
}

/* --- processes --- */

static struct process *process_new(const struct tree_order *order, uint8_t role)
{
	uint32_t index = 0;

	while (index < PROCESSES_MAX && sim.processes[index].used) {
		index++;
	}
	if (index == PROCESSES_MAX) {
		sim_fail("too many processes");
	}
	struct process *process = &sim.processes[index];
	*process = (struct process){.used = true,
		.role = role,
		.phase = order->phase,
		.pid = ++sim.pid_last,
		.node = order->node,
		.generation = order->generation,
		.incarnation = order->incarnation};
	if (index >= sim.processes_top) {
		sim.processes_top = index + 1;
	}
	sim.units[order->node].process[role] = index;
	return process;
}

static void process_free(struct process *process)
{
	struct unit *unit = &sim.units[process->node];
	uint32_t index = (uint32_t)(process - sim.processes);

	if (unit->used && unit->generation == process->generation &&
		unit->process[process->role] == index) {
		unit->process[process->role] = PROCESS_NONE;
	}
	process->used = false;
}

static struct process *process_find(uint32_t pid)
{
	for (uint32_t i = 0; i < sim.processes_top; i++) {
		if (sim.processes[i].used && sim.processes[i].pid == pid) {
			return &sim.processes[i];
		}
	}
	return NULL;
}

struct process *process_of(uint32_t node, enum service_role role)
{
	uint32_t index = sim.units[node].process[role];

	return index == PROCESS_NONE ? NULL : &sim.processes[index];
}

bool node_alive(uint32_t node)
{
	return process_of(node, ROLE_MAIN) != NULL || process_of(node, ROLE_CONTROL) != NULL;
}

bool subtree_alive(uint32_t node)
{
	if (node_alive(node)) {
		return true;
	}
	for (uint32_t i = 1; i < UNITS_MAX; i++) {
		if (sim.units[i].used && sim.units[i].parent == node && subtree_alive(i)) {
			return true;
		}
	}
	return false;
}

uint32_t processes_alive(void)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < sim.processes_top; i++) {
		count += sim.processes[i].used && !sim.processes[i].forgotten;
	}
	return count;
}

uint64_t kernel_limit(void)
{
	return KILL_LIMIT_NS;
}

static struct tree_event event_of(const struct process *process, enum tree_event_kind kind)
{
	return (struct tree_event){.kind = (uint8_t)kind,
		.role = process->role,
		.node = process->node,
		.generation = process->generation,
		.incarnation = process->incarnation};
}

void process_end(struct process *process, struct service_end end, uint64_t delay_ns)
{
	struct future future = {.time_ns = sim.now + delay_ns,
		.kind = FUTURE_EXIT,
		.pid = process->pid,
		.event = event_of(process, EV_EXITED)};

	future.event.end = end;
	future_add(&future);
}

static struct service_end end_exit(int status)
{
	return (struct service_end){.reason = REASON_EXIT, .number = status};
}

static struct service_end end_signal(int signo)
{
	return (struct service_end){.reason = REASON_SIGNAL, .number = signo};
}

/* --- how processes live --- */

static const struct spec *spec_of(uint32_t node)
{
	return &sim.specs[sim.units[node].spec];
}

static bool stop_is_limited(const struct spec *spec)
{
	return spec->service.stop_timeout_ns != SPAN_INFINITY &&
	       spec->rules.shutdown_ns != SPAN_INFINITY;
}

/* Whether somebody will end the process when it never ends by itself. */
static bool may_hang(const struct process *process)
{
	const struct spec *spec = spec_of(process->node);

	switch ((enum service_phase)process->phase) {
	case PHASE_CONDITION:
	case PHASE_START_PRE:
	case PHASE_START:
	case PHASE_START_POST:
	case PHASE_RELOAD: return spec->service.start_timeout_ns != SPAN_INFINITY;
	case PHASE_STOP: return stop_is_limited(spec);
	case PHASE_STOP_POST: return spec->service.stop_timeout_ns != SPAN_INFINITY;
	case PHASE_COUNT: break;
	}
	return false;
}

static uint64_t work_time(void)
{
	if (sim.phase == PHASE_QUIET) {
		return random_span(0, MS / 20);
	}
	return random_percent(70) ? random_span(0, 3 * MS) : random_span(0, 200 * MS);
}

static void live_as_command(struct process *process)
{
	bool quiet = sim.phase == PHASE_QUIET;

	if (!quiet && may_hang(process) && random_percent(sim.swarm.hangs)) {
		return;
	}
	bool fails = !quiet && random_percent(sim.swarm.command_failures);
	int status = random_percent(90) ? 1 + (int)random_below(3) : 255;
	struct service_end end =
		fails ? (random_percent(70) ? end_exit(status) : end_signal(11)) : end_exit(0);
	process_end(process, end, work_time());
}

static void live_as_main(struct process *process)
{
	const struct service_rules *rules = &spec_of(process->node)->service;
	bool quiet = sim.phase == PHASE_QUIET;
	struct tree_event event;

	if (rules->type == SERVICE_ONESHOT || rules->type == SERVICE_FORKING) {
		live_as_command(process);
		return;
	}
	if (!quiet && random_percent(sim.swarm.early_exits)) {
		process_end(process, end_exit((int)random_below(4)), work_time());
	}
	bool notifies = rules->type == SERVICE_NOTIFY || rules->type == SERVICE_NOTIFY_RELOAD;
	bool never = !quiet && may_hang(process) && random_percent(sim.swarm.hangs);
	if (notifies && !never) {
		event = event_of(process, EV_READY);
		event_in(&event, work_time());
	}
}

static void process_born(struct process *process)
{
	const struct spec *spec = spec_of(process->node);
	bool quiet = sim.phase != PHASE_CHAOS;

	process->exists = true;
	process->ignores_term =
		!quiet && stop_is_limited(spec) && random_percent(sim.swarm.ignores);
	process->term_latency_ns = random_percent(50) ? 0 : random_span(0, 50 * MS);
	if (!quiet && random_percent(sim.swarm.ignores / 4)) {
		process->term_latency_ns = random_span(0, 3 * NS_PER_SEC);
	}
	process->kill_latency_ns = random_percent(80) ? 0 : random_span(0, 5 * MS);
	if (!quiet && random_percent(sim.swarm.ignores / 10)) {
		process->kill_latency_ns = random_span(0, KILL_LIMIT_NS);
	}
}

/* --- orders --- */

static uint64_t spawn_time(void)
{
	bool slow = sim.phase == PHASE_CHAOS && random_percent(sim.swarm.slow_spawns);

	return slow ? random_span(0, 10 * MS) : 0;
}

static void order_spawn(const struct tree_order *order)
{
	const struct service_rules *rules = &spec_of(order->node)->service;
	bool quiet = sim.phase == PHASE_QUIET;
	enum service_phase first_phase = rules->commands[PHASE_CONDITION] > 0   ? PHASE_CONDITION
					 : rules->commands[PHASE_START_PRE] > 0 ? PHASE_START_PRE
										: PHASE_START;
	bool first = order->index == 0 && order->phase == first_phase;
	struct process *process = process_new(order, order->role);
	struct future future = {.time_ns = sim.now + spawn_time(),
		.kind = FUTURE_EVENT,
		.pid = process->pid,
		.event = event_of(process, EV_SPAWNED)};

	future.event.flag = true;
	if (!quiet && random_percent(sim.swarm.spawn_failures) && random_percent(50)) {
		future.event.kind = EV_SPAWN_FAILED;
		future.event.end = (struct service_end){.reason = REASON_RESOURCES, .number = 11};
	} else if (!quiet && random_percent(sim.swarm.exec_failures) && random_percent(50)) {
		future.event.flag = false;
	} else if (!quiet && first && random_percent(sim.swarm.skips)) {
		future.event.kind = EV_SKIPPED;
	}
	future_add(&future);
}

static bool is_reload_signal(const struct process *process, uint8_t signo)
{
	const struct service_rules *rules = &spec_of(process->node)->service;

	return rules->reload_by_signal && signo == rules->reload_signal &&
	       process->role == ROLE_MAIN;
}

static void signal_one(struct process *process, uint8_t signo)
{
	struct tree_event event;

	if (process == NULL || !process->exists) {
		return; /* nobody is there to take it */
	}
	if (signo == 9) {
		process_end(process, end_signal(9), process->kill_latency_ns);
	} else if (is_reload_signal(process, signo)) {
		uint64_t soon = work_time();
		event = event_of(process, EV_RELOADING);
		event.span_ns = random_percent(80) ? sim.now : 0;
		event_in(&event, soon);
		event = event_of(process, EV_READY);
		event_in(&event, soon + work_time());
	} else if ((signo == 15 || signo == 6 || signo == 12) &&
		   !(process->ignores_term && stop_is_limited(spec_of(process->node)))) {
		process_end(process, random_percent(80) ? end_signal(signo) : end_exit(0),
			process->term_latency_ns);
	}
}

/* Nobody waits for it any more; some day it ends. */
static void forgotten_end(struct process *process)
{
	process_end(process, end_exit(0), random_span(0, 5 * NS_PER_SEC));
}

static void order_forget(uint32_t node)
{
	for (uint8_t role = ROLE_MAIN; role <= ROLE_CONTROL; role++) {
		struct process *process = process_of(node, role);
		if (process != NULL) {
			process->forgotten = true;
			if (process->exists) {
				forgotten_end(process);
			}
			sim.units[node].process[role] = PROCESS_NONE;
		}
	}
}

static void order_timer(const struct tree_order *order)
{
	struct future future = {.time_ns = order->deadline_ns, .kind = FUTURE_TIMER};

	sim.units[order->node].timer_ns = order->deadline_ns;
	if (order->deadline_ns == 0) {
		return;
	}
	if (random_percent(30)) {
		future.time_ns = span_add(future.time_ns, random_span(0, 2 * MS));
	}
	future.event = (struct tree_event){.kind = EV_TIMER,
		.node = order->node,
		.generation = order->generation,
		.span_ns = order->deadline_ns};
	future_add(&future);
}

static void order_find_main(const struct tree_order *order)
{
	bool lost = sim.phase == PHASE_CHAOS && random_percent(sim.swarm.lost_mains);

	event_in(&(struct tree_event){.kind = EV_MAIN_FOUND,
			 .node = order->node,
			 .generation = order->generation,
			 .incarnation = order->incarnation,
			 .flag = !lost},
		sim.phase == PHASE_QUIET ? 0 : spawn_time());
}

/* One check; after a bad one there is another. */
static void probe_soon(uint32_t node)
{
	const struct spec *spec = spec_of(node);
	bool bad = sim.phase == PHASE_CHAOS && random_percent(sim.swarm.bad_probes);

	event_in(&(struct tree_event){.kind = EV_PROBED,
			 .node = node,
			 .generation = sim.units[node].generation,
			 .incarnation = sim.units[node].probing_incarnation,
			 .flag = !bad},
		bad ? spec->service.health.interval_ns : work_time());
}

static void order_probe(const struct tree_order *order)
{
	struct unit *unit = &sim.units[order->node];

	unit->probing = order->on;
	unit->probing_incarnation = order->incarnation;
	unit->healthy = false;
	if (order->on) {
		probe_soon(order->node);
	}
}

static void deliver_probe(struct future *future)
{
	const struct tree_event *event = &future->event;
	struct unit *unit = &sim.units[event->node];

	if (unit->used && unit->generation == event->generation && unit->probing &&
		unit->probing_incarnation == event->incarnation) {
		unit->healthy = event->flag;
		sim_step(&future->event);
		if (!event->flag && unit->used && unit->probing) {
			probe_soon(event->node);
		}
		return;
	}
	sim_step(&future->event); /* it comes too late, and says nothing */
}

void kernel_order(const struct tree_order *order)
{
	switch ((enum tree_order_kind)order->kind) {
	case DO_SPAWN: order_spawn(order); break;
	case DO_SIGNAL:
		signal_one(process_of(order->node,
				   order->target == TARGET_CONTROL ? ROLE_CONTROL : ROLE_MAIN),
			order->signo);
		break;
	case DO_TIMER: order_timer(order); break;
	case DO_FIND_MAIN: order_find_main(order); break;
	case DO_FORGET: order_forget(order->node); break;
	case DO_WATCH: sim.units[order->node].watch_ns = order->deadline_ns; break;
	case DO_PROBE: order_probe(order); break;
	case DO_RELEASE: unit_forget(order->node); break;
	case DO_REPLY:
	case DO_NOTE:
	case DO_END:
	case DO_COUNT: break;
	}
}

/* --- facts --- */

static void deliver_spawn_outcome(struct future *future)
{
	struct process *process = process_find(future->pid);
	struct service_end exec_failed = {.reason = REASON_EXEC, .number = 2};
	bool is_born = future->event.kind == EV_SPAWNED;
	bool forgotten = process != NULL && process->forgotten;

	if (process == NULL) {
		sim_fail("a process was lost before it was born");
	}
	const struct unit *unit = &sim.units[process->node];
	if (!unit->used || unit->generation != process->generation) {
		process_free(process); /* forgotten, and its node was released since */
		return;
	}
	if (is_born) {
		process_born(process);
	} else {
		process_free(process);
	}
	if (is_born && forgotten) {
		forgotten_end(process);
	}
	if (is_born && !future->event.flag) {
		process_end(process, exec_failed, 0);
	} else if (is_born && process->role == ROLE_MAIN) {
		live_as_main(process);
	} else if (is_born) {
		live_as_command(process);
	}
	if (!forgotten) {
		sim_step(&future->event);
	}
}

static void deliver_exit(struct future *future)
{
	struct process *process = process_find(future->pid);

	if (process == NULL) {
		return; /* it ended before, in another way */
	}
	/* A shell does not tell of forgotten processes; of a run that is over it may. */
	bool told =
		!process->forgotten || sim.units[process->node].incarnation != process->incarnation;
	process_free(process);
	if (told) {
		sim_step(&future->event);
	}
}

static void deliver_timer(struct future *future)
{
	struct unit *unit = &sim.units[future->event.node];
	bool current = unit->used && unit->generation == future->event.generation &&
		       unit->timer_ns == future->event.span_ns;

	if (!current && !random_percent(10)) {
		return;
	}
	if (current) {
		unit->timer_ns = 0;
	}
	future->event.span_ns = 0;
	sim_step(&future->event);
}

static void deliver_main_found(struct future *future)
{
	const struct tree_event *event = &future->event;
	struct tree_view view;

	tree_look(sim.tree, event->node, sim.now, &view);
	if (event->flag && view.exists && view.generation == event->generation && view.finding &&
		view.incarnation == event->incarnation) {
		struct tree_order order = {.node = event->node,
			.generation = event->generation,
			.incarnation = event->incarnation,
			.phase = PHASE_START};
		process_born(process_new(&order, ROLE_MAIN));
	}
	sim_step(&future->event);
}

void kernel_deliver(struct future *future)
{
	switch ((enum future_kind)future->kind) {
	case FUTURE_EXIT: deliver_exit(future); break;
	case FUTURE_TIMER: deliver_timer(future); break;
	case FUTURE_EVENT:
		if (future->pid != 0) {
			deliver_spawn_outcome(future);
		} else if (future->event.kind == EV_MAIN_FOUND) {
			deliver_main_found(future);
		} else if (future->event.kind == EV_PROBED) {
			deliver_probe(future);
		} else {
			sim_step(&future->event);
		}
		break;
	}
}
