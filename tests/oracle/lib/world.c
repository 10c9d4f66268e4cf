#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/span.h"
#include "oracle/lib/world.h"

struct world w;

double random_real(void)
{
	w.random_state ^= w.random_state << 13;
	w.random_state ^= w.random_state >> 7;
	w.random_state ^= w.random_state << 17;
	return (double)(w.random_state >> 11) / 9007199254740992.0;
}

void line_add(struct lines *lines, const char *format, ...)
{
	va_list args;

	if (lines->count == LINES_MAX) {
		die("%s: the trace of an event is too long", w.scn.name);
	}
	va_start(args, format);
	vsnprintf(lines->list[lines->count++], LINE_SIZE, format, args);
	va_end(args);
}

const char *name_of(void *context, uint32_t node)
{
	(void)context;
	return node < NODES_MAX && w.id_of_node[node] != ID_NONE
		       ? w.scn.ids[w.id_of_node[node]].name
		       : "?";
}

struct tree_event *fact_add(enum tree_event_kind kind, int id)
{
	struct fact *fact = &w.facts[(w.facts_first + w.facts_count) % FACTS_MAX];
	struct tree_event *event = &fact->event;

	if (++w.facts_count > FACTS_MAX) {
		die("%s: too many facts", w.scn.name);
	}
	memset(fact, 0, sizeof(*fact));
	fact->id = id;
	event->kind = (uint8_t)kind;
	if (id != ID_NONE) {
		event->node = w.scn.ids[id].node;
		event->generation = w.scn.ids[id].generation;
		event->incarnation = w.scn.ids[id].incarnation;
	}
	return event;
}

struct id *order_id(const struct tree_order *order)
{
	if (order->node >= NODES_MAX || w.id_of_node[order->node] == ID_NONE) {
		die("%s: order %s for a node that was released", w.scn.name,
			tree_order_names[order->kind]);
	}
	struct id *id = &w.scn.ids[w.id_of_node[order->node]];
	if (order->generation != id->generation) {
		die("%s: order %s with a stale generation", w.scn.name,
			tree_order_names[order->kind]);
	}
	return id;
}

/* --- nodes --- */

static void map_node(int index, uint32_t node)
{
	struct id *id = &w.scn.ids[index];
	struct tree_view view;

	if (node >= NODES_MAX) {
		die("%s: no memory, or too many nodes", w.scn.name);
	}
	tree_look(w.tree, node, w.now, &view);
	id->node = node;
	id->generation = view.generation;
	w.id_of_node[node] = index;
	w.rules_of_node[node] = &id->rules;
}

/* A child whose spec OTP refuses makes the start of its supervisor fail before anything happens in
 * it. The tree leaves this check to its loader, so a leaf that never w.starts stands in for it. */
bool has_bad_spec(int supervisor)
{
	for (uint32_t i = 0; i < w.scn.ids_count; i++) {
		if (w.scn.ids[i].is_kid && w.scn.ids[i].parent == supervisor &&
			scenario_bad_combination(&w.scn, (int)i)) {
			return true;
		}
	}
	return false;
}

/* In the order of the lines, which is the order of w.starts. */
static void prepare_child(int index)
{
	static const struct service_rules dummy = {.type = SERVICE_EXEC,
		.kill_signal = 15,
		.final_kill_signal = 9,
		.send_sigkill = true,
		.commands[PHASE_START] = 1,
		.start_timeout_ns = SPAN_INFINITY,
		.stop_timeout_ns = SPAN_INFINITY,
		.runtime_max_ns = SPAN_INFINITY};
	struct id *id = &w.scn.ids[index];

	if (id->is_supervisor && has_bad_spec(index)) {
		id->rules.is_supervisor = false;
		id->rules.supervisor = NULL;
		id->rules.service = &dummy;
	}
}

static bool stands_in(const struct id *id)
{
	return id->is_supervisor && !id->rules.is_supervisor;
}

static void add_kids(struct tree *to, int supervisor, bool map)
{
	if (w.scn.ids[supervisor].is_dynamic || stands_in(&w.scn.ids[supervisor])) {
		return;
	}
	for (uint32_t i = 0; i < w.scn.ids_count; i++) {
		struct id *kid = &w.scn.ids[i];
		if (!kid->is_kid || kid->parent != supervisor) {
			continue;
		}
		if (map) {
			prepare_child((int)i);
		}
		uint32_t node = tree_add(to, w.scn.ids[supervisor].node, &kid->rules);
		if (map) {
			map_node((int)i, node);
		} else if (node != kid->node) {
			die("%s: a tree built again has other nodes", w.scn.name);
		}
		add_kids(to, (int)i, map);
	}
}

void add_dynamic(int index)
{
	struct id *id = &w.scn.ids[index];

	prepare_child(index);
	map_node(index, tree_add_dynamic(w.tree, w.scn.ids[id->parent].node, &id->rules));
	add_kids(w.tree, index, true);
}

struct tree *build_tree(bool map)
{
	struct tree_config config = {.seed = 1, .stop_in_turn = true};
	struct tree *made = tree_create(&config, &w.scn.ids[0].rules);

	if (made == NULL) {
		die("no memory");
	}
	if (map) {
		w.tree = made;
		map_node(0, 0);
	}
	add_kids(made, 0, map);
	return made;
}

static const struct tree_child_rules *rules_of(
	void *context, uint32_t node, uint32_t parent, uint32_t generation)
{
	(void)context;
	(void)parent;
	(void)generation;
	return node < NODES_MAX ? w.rules_of_node[node] : NULL;
}

void reload_tree(void)
{
	static uint8_t buffer[1 << 20];
	size_t size = tree_save(w.tree, buffer, sizeof(buffer));
	struct tree *fresh = build_tree(false);

	if (size > sizeof(buffer)) {
		die("%s: a state of %zu bytes", w.scn.name, size);
	}
	int r = tree_load(fresh, buffer, size, rules_of, NULL);
	if (r != 0) {
		die("%s: tree_load: %d", w.scn.name, r);
	}
	tree_destroy(w.tree);
	w.tree = fresh;
}

/* --- the world of leaves --- */

static struct service_end end_make(enum service_reason reason, int number)
{
	return (struct service_end){.reason = (uint8_t)reason, .number = number};
}

static void leaf_gone(struct id *id, struct service_end end)
{
	struct tree_event *event = fact_add(EV_EXITED, (int)(id - w.scn.ids));

	event->role = ROLE_MAIN;
	event->end = end;
	id->alive = false;
	id->exit_at_ns = 0;
}

bool is_hurt(const char *word)
{
	return strcmp(word, "crash") == 0 || strcmp(word, "exit") == 0 ||
	       strcmp(word, "kill") == 0 || strcmp(word, "exitshut") == 0;
}

bool leaf_hurt(const char *how, const char *name)
{
	int index = scenario_find(&w.scn, name);
	struct id *id = &w.scn.ids[index == ID_NONE ? 0 : index];

	if (index == ID_NONE || id->is_supervisor || !id->alive) {
		return false;
	}
	line_add(&w.trace, "died %s %s", id->name, how);
	if (strcmp(how, "crash") == 0) {
		leaf_gone(id, end_make(REASON_EXIT, 1));
	} else if (strcmp(how, "exit") == 0) {
		leaf_gone(id, end_make(REASON_EXIT, 0));
	} else if (strcmp(how, "kill") == 0) {
		leaf_gone(id, end_make(REASON_SIGNAL, SIGKILL));
	} else {
		leaf_gone(id, end_make(REASON_SIGNAL, SIGTERM));
	}
	return true;
}

void leaf_signal(struct id *id, int signo)
{
	if (!id->alive) {
		return;
	}
	if (signo == SIGKILL) {
		line_add(&w.trace, "killed %s", id->name);
		leaf_gone(id, end_make(REASON_SIGNAL, SIGKILL));
	} else if (signo == SIGTERM && id->onstop == ONSTOP_CLEAN) {
		line_add(&w.trace, "stop %s", id->name);
		leaf_gone(id, end_make(REASON_SIGNAL, SIGTERM));
	} else if (signo == SIGTERM && id->onstop == ONSTOP_CRASH) {
		line_add(&w.trace, "stop %s abnormal", id->name);
		leaf_gone(id, end_make(REASON_EXIT, 1));
	} else if (signo == SIGTERM && id->onstop == ONSTOP_NORMAL) {
		line_add(&w.trace, "stop %s abnormal", id->name);
		leaf_gone(id, end_make(REASON_EXIT, 0));
	} else if (signo == SIGTERM && id->onstop == ONSTOP_SLOW && id->exit_at_ns == 0) {
		id->exit_at_ns = w.now + id->slow_ns;
	}
}

/* A failed start is told in both ways that the tree knows, in turn: no process could be made, or
 * its exec failed. */
static void leaf_fails(struct id *id)
{
	int index = (int)(id - w.scn.ids);
	static bool by_exec;
	struct tree_event *event;

	by_exec = !by_exec;
	if (by_exec) {
		event = fact_add(EV_SPAWNED, index);
		event->flag = false;
		event = fact_add(EV_EXITED, index);
		event->end = end_make(REASON_EXEC, 2);
	} else {
		event = fact_add(EV_SPAWN_FAILED, index);
		event->end = end_make(REASON_RESOURCES, 11);
	}
}

static bool countdown(uint32_t *armed)
{
	if (*armed == 0) {
		return false;
	}
	--*armed;
	return true;
}

void leaf_spawn(struct id *id, const struct tree_order *order)
{
	uint8_t gate = id->gate;

	if (id->alive || order->role != ROLE_MAIN || order->phase != PHASE_START) {
		die("%s: a second process of %s, or a wrong one", w.scn.name, id->name);
	}
	id->incarnation = order->incarnation;
	if (id->is_probe) {
		fact_add(EV_SKIPPED, (int)(id - w.scn.ids));
		return;
	}
	if (stands_in(id)) {
		line_add(&w.trace, "begin %s", id->name);
		line_add(&w.trace, "end %s badspec", id->name);
		leaf_fails(id);
		return;
	}
	id->gate = GATE_NONE;
	if (gate != GATE_NONE) {
		w.on_gate(id);
	}
	if (gate == GATE_DURING || countdown(&id->fail)) {
		line_add(&w.trace, "fail %s", id->name);
		leaf_fails(id);
	} else if (countdown(&id->ignore)) {
		line_add(&w.trace, "ignore %s", id->name);
		fact_add(EV_SKIPPED, (int)(id - w.scn.ids));
	} else {
		line_add(&w.trace, "start %s", id->name);
		id->alive = true;
		id->started_at = ++w.starts;
		fact_add(EV_SPAWNED, (int)(id - w.scn.ids))->flag = true;
	}
}

bool clock_jump(uint64_t limit)
{
	struct id *next = NULL;
	uint64_t when = UINT64_MAX;

	for (uint32_t i = 0; i < w.scn.ids_count; i++) {
		struct id *id = &w.scn.ids[i];
		if (id->exit_at_ns != 0 && id->exit_at_ns < when) {
			next = id;
			when = id->exit_at_ns;
		}
		if (id->timer_ns != 0 && id->timer_ns < when) {
			next = id;
			when = id->timer_ns;
		}
	}
	if (next == NULL || when > limit) {
		return false;
	}
	w.now = when > w.now ? when : w.now;
	if (next->exit_at_ns == when) {
		line_add(&w.trace, "stop %s", next->name);
		leaf_gone(next, end_make(REASON_SIGNAL, SIGTERM));
	} else {
		next->timer_ns = 0;
		fact_add(EV_TIMER, (int)(next - w.scn.ids))->incarnation = 0;
	}
	return true;
}
