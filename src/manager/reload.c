#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "manager/manager.h"

/*
 * New definitions of units for a running tree. Nothing is changed before all of it is known to be
 * good: the new set is loaded and compared, what cannot be done is refused as a whole, units that
 * are gone are stopped first, and only when they are down is the new generation put in the place of
 * the old one, in one step and with a snapshot behind it. A manager that dies in between comes back
 * with the old generation.
 */

struct reload {
	struct unit_bundle *bundle;
	struct generation *generation;
	json_t *plan;
	struct control_call *call; /* NULL: SIGHUP, or the client has gone */
	bool removing;             /* it waits for units to be down */
};

#define ERROR(name) "org.coppice.Control." name

static void say(json_t *plan, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void say(json_t *plan, const char *format, ...)
{
	char text[2 * UNIT_NAME_SIZE + 128];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	json_array_append_new(plan, json_string(text));
}

static struct unit *unit_in(const struct reload *r, const char *name)
{
	struct unit *unit = unit_set_find(r->generation->set, name);
	return unit == NULL || unit->is_template ? NULL : unit;
}

static const char *parent_name(const struct unit *unit)
{
	return unit->parent == NULL ? "" : unit->parent->name;
}

/* --- what can be done --- */

static bool settings_equal(const struct unit *a, const struct unit *b)
{
	if (a->settings_count != b->settings_count) {
		return false;
	}
	for (uint32_t i = 0; i < a->settings_count; i++) {
		const struct unit_setting *x = &a->settings[i], *y = &b->settings[i];
		if (strcmp(x->section, y->section) != 0 || strcmp(x->key, y->key) != 0 ||
			strcmp(x->value, y->value) != 0) {
			return false;
		}
	}
	return true;
}

static int refuse(struct err *err, const char *unit, const char *what, const char *whom)
{
	return err_set(err, EBUSY, "%s: %s; this needs a restart of %s", unit, what, whom);
}

static int check_changed(
	struct manager *m, const struct node *node, const struct unit *unit, struct err *err)
{
	const struct unit *old = node_unit(node);
	const char *whom = node->parent == NODE_NONE ? "coppice" : node_name(m, node->parent);
	if (!node->is_static) {
		return err_set(
			err, EBUSY, "%s: it was started at run time; stop it first", unit->name);
	}
	if (old->kind != unit->kind) {
		return refuse(err, unit->name, "it is of another kind now", whom);
	}
	if (strcmp(parent_name(unit),
		    node->parent == NODE_NONE ? "" : node_name(m, node->parent)) != 0) {
		return refuse(err, unit->name, "it has another supervisor now", "coppice");
	}
	if (unit->kind == UNIT_SOCKET && unit->socket->accept != old->socket->accept) {
		return refuse(err, unit->name, "Accept= has changed", whom);
	}
	if (unit->supervisor != NULL && unit->kind != UNIT_SOCKET &&
		(unit->supervisor->template == NULL) != (old->supervisor->template == NULL)) {
		return refuse(err, unit->name, "Template= was added or removed", whom);
	}
	return 0;
}

static void plan_changed(const struct node *node, const struct unit *unit, json_t *plan)
{
	const struct unit *old = node_unit(node);
	if (settings_equal(old, unit)) {
		return;
	}
	if (unit->kind != UNIT_SERVICE) {
		say(plan, "change %s", unit->name);
	} else if (old->service->type != unit->service->type ||
		   old->service->remain_after_exit != unit->service->remain_after_exit) {
		say(plan, "change %s: after it has been stopped and started", unit->name);
	} else {
		say(plan, "change %s: from its next start on", unit->name);
	}
}

static bool is_going(const struct reload *r, const struct node *node)
{
	return node->is_static && unit_in(r, node_unit_name(node)) == NULL;
}

/* A static child of a supervisor that was made at run time belongs to that, not to the set. */
static bool is_below_dynamic(const struct manager *m, const struct node *node)
{
	while (node != NULL && node->is_static && node->parent != NODE_NONE) {
		node = node_at(m, node->parent);
	}
	return node != NULL && !node->is_static;
}

static int reload_plan(struct manager *m, struct reload *r, struct err *err)
{
	const struct unit_set *set = r->generation->set;
	for (uint32_t i = 0; i < set->count; i++) {
		const struct unit *unit = set->list[i];
		const struct node *node = unit->is_template ? NULL : node_by_name(m, unit->name);
		if (node != NULL) {
			int failed = check_changed(m, node, unit, err);
			if (failed != 0) {
				return failed;
			}
			plan_changed(node, unit, r->plan);
		} else if (!unit->is_template) {
			say(r->plan, "add %s to %s", unit->name, parent_name(unit));
		}
	}
	for (uint32_t i = 0; i < m->nodes_room; i++) {
		const struct node *node = m->nodes[i];
		if (node == NULL || is_below_dynamic(m, node) || !is_going(r, node)) {
			continue;
		}
		r->removing = true;
		say(r->plan, "stop and remove %s", node_unit_name(node));
	}
	return 0;
}

/* --- doing it --- */

static int apply_changed(
	struct manager *m, struct reload *r, struct node *node, const struct unit *unit)
{
	struct err err = {{0}};
	struct definition *d = definition_create(m, r->generation, unit, NULL, &err);
	if (d == NULL) {
		log_error("reload: %s", err.text);
		return -ENOMEM;
	}
	definition_release(node->definition_next);
	node->definition_next = d;
	reload_apply_waiting(m, node);
	return 0;
}

static int apply_added(struct manager *m, struct reload *r, const struct unit *unit)
{
	struct err err = {{0}};
	struct node *parent = node_by_name(m, unit->parent->name);
	struct definition *d = definition_create(m, r->generation, unit, NULL, &err);
	if (parent == NULL || d == NULL) {
		log_error("reload: %s: %s", unit->name, err.text);
		definition_release(d);
		return -ENOMEM;
	}
	uint32_t index = tree_add(m->tree, parent->index, &d->child);
	int failed = index == NODE_NONE ? -ENOMEM : node_enter(m, index, parent->index, true, d);
	definition_release(d);
	if (failed == 0) {
		node_at(m, index)->added = true;
		notify_socket_open(m, node_at(m, index));
	}
	return failed;
}

/* The order of the file is the order of starts from now on. */
static void apply_order(struct manager *m, const struct unit *unit)
{
	const struct unit_supervisor *supervisor = unit->supervisor;
	const struct node *node = node_by_name(m, unit->name);
	if (node == NULL) {
		return; /* it could not be added */
	}
	uint32_t *nodes = malloc((supervisor->children_count + 1) * sizeof(*nodes));
	uint32_t count = 0;
	for (uint32_t i = 0; nodes != NULL && i < supervisor->children_count; i++) {
		const struct node *child = node_by_name(m, supervisor->children[i]->name);
		if (child != NULL && child->parent == node->index) {
			nodes[count++] = child->index;
		}
	}
	if (nodes != NULL && count > 0) {
		tree_reorder(m->tree, node->index, nodes, count);
	}
	free(nodes);
}

static void apply_orders(struct manager *m)
{
	const struct unit_set *set = m->generation->set;
	for (uint32_t i = 0; i < set->count; i++) {
		if (set->list[i]->supervisor != NULL && !set->list[i]->is_template) {
			apply_order(m, set->list[i]);
		}
	}
}

/* The highest of those that go, with all that is below them. */
static void apply_removed(struct manager *m, struct reload *r)
{
	for (uint32_t i = 1; i < m->nodes_room; i++) {
		struct node *node = m->nodes[i];
		if (node == NULL || is_below_dynamic(m, node) || !is_going(r, node) ||
			is_going(r, node_at(m, node->parent))) {
			continue;
		}
		tree_remove(m->tree, i);
	}
	for (uint32_t i = 1; i < m->nodes_room; i++) {
		struct tree_view view;
		if (m->nodes[i] == NULL) {
			continue;
		}
		tree_look(m->tree, i, m->now, &view);
		if (!view.exists || view.generation != m->nodes[i]->generation) {
			node_leave(m, i);
		}
	}
}

static void start_added(struct manager *m)
{
	for (uint32_t i = 1; i < m->nodes_room; i++) {
		struct node *node = m->nodes[i];
		struct tree_view parent;
		if (node == NULL || !node->added) {
			continue;
		}
		node->added = false;
		tree_look(m->tree, node->parent, m->now, &parent);
		if (parent.state == STATE_RUNNING) {
			struct tree_event event = {.kind = EV_ADD,
				.flag = node->definition->child.on_demand,
				.node = i,
				.generation = node->generation};
			manager_post(m, &event, 0, 0);
		}
	}
}

/* Children that were made at run time take the new text of their template. */
static void apply_instances(struct manager *m)
{
	for (uint32_t i = 1; i < m->nodes_room; i++) {
		struct node *node = m->nodes[i];
		struct err err = {{0}};
		if (node == NULL || (node->is_static && !is_below_dynamic(m, node))) {
			continue;
		}
		struct definition *d = units_definition(m, node_unit_name(node), &err);
		if (d == NULL) {
			log_warning("reload: %s; its old definition stays", err.text);
			continue;
		}
		if (settings_equal(d->unit, node_unit(node))) {
			definition_release(d);
			continue;
		}
		definition_release(node->definition_next);
		node->definition_next = d;
		reload_apply_waiting(m, node);
	}
}

static int reload_apply(struct manager *m, struct reload *r)
{
	const struct unit_set *set = r->generation->set;
	int failed = 0;
	apply_removed(m, r);
	for (uint32_t i = 0; failed == 0 && i < set->count; i++) {
		const struct unit *unit = set->list[i];
		struct node *node = unit->is_template ? NULL : node_by_name(m, unit->name);
		if (node != NULL) {
			/* Also an unchanged one: the old generation can then be given back. */
			failed = apply_changed(m, r, node, unit);
		} else if (!unit->is_template) {
			failed = apply_added(m, r, unit);
		}
	}
	generation_release(m->generation);
	unit_bundle_destroy(m->bundle);
	m->generation = r->generation;
	m->bundle = r->bundle;
	r->generation = NULL;
	r->bundle = NULL;
	apply_orders(m);
	apply_instances(m);
	access_load(m);
	int kept = units_hold(m);
	if (kept != 0 && m->journal.header != NULL) {
		log_error("reload: the new units cannot be kept: %s", strerror(-kept));
	}
	start_added(m);
	return failed;
}

/* Rules may change while a service is down, or up and at rest: not in the middle of a phase. */
void reload_apply_waiting(struct manager *m, struct node *node)
{
	struct tree_view view;
	struct definition *next = node->definition_next;
	tree_look(m->tree, node->index, m->now, &view);
	bool same_shape =
		node->definition->service.type == next->service.type &&
		node->definition->service.remain_after_exit == next->service.remain_after_exit;
	bool at_rest = view.service_state == SERVICE_STATE_DOWN ||
		       (view.service_state == SERVICE_STATE_UP && same_shape);
	if (!view.is_supervisor && !at_rest) {
		return;
	}
	node->definition_next = NULL;
	node_set_definition(m, node, next);
	definition_release(next);
	sockets_changed(m, node);
	if (node_unit(node)->kind == UNIT_SERVICE) {
		notify_socket_open(m, node);
	}
}

/* --- the request --- */

static void reload_free(struct reload *r)
{
	unit_bundle_destroy(r->bundle);
	generation_release(r->generation);
	json_decref(r->plan);
	free(r);
}

static json_t *errors_of(const struct unit_messages *messages)
{
	json_t *errors = json_array();
	for (uint32_t i = 0; i < messages->count; i++) {
		json_array_append_new(errors, json_string(messages->list[i].text));
	}
	return errors;
}

static struct reload *reload_load(struct manager *m, json_t **errors, struct err *err)
{
	struct reload *r = calloc(1, sizeof(*r));
	struct unit_messages messages = {0};
	if (r != NULL) {
		r->bundle = unit_bundle_create(&unit_source_disk);
		r->plan = json_array();
	}
	if (r == NULL || r->bundle == NULL || r->plan == NULL) {
		err_set(err, ENOMEM, "no memory");
		goto free_reload;
	}
	struct unit_set *set = units_load(m, unit_bundle_source(r->bundle), &messages);
	if (set == NULL) {
		units_print(&messages);
		*errors = errors_of(&messages);
		goto free_messages;
	}
	unit_bundle_set_below(r->bundle, NULL);
	r->generation = generation_create(set);
	if (r->generation == NULL || reload_plan(m, r, err) != 0) {
		goto free_messages;
	}
	unit_messages_finish(&messages);
	return r;

free_messages:
	unit_messages_finish(&messages);
free_reload:
	if (r != NULL) {
		reload_free(r);
	}
	return NULL;
}

/* Everything that goes is down: no process, nothing under way. */
static bool all_down(struct manager *m, const struct reload *r)
{
	for (uint32_t i = 1; i < m->nodes_room; i++) {
		struct tree_view view;
		if (m->nodes[i] == NULL || is_below_dynamic(m, m->nodes[i]) ||
			!is_going(r, m->nodes[i])) {
			continue;
		}
		tree_look(m->tree, i, m->now, &view);
		if (view.state != STATE_STOPPED && view.state != STATE_FAILED &&
			view.state != STATE_DONE) {
			return false;
		}
	}
	return true;
}

static void stop_going(struct manager *m, const struct reload *r)
{
	for (uint32_t i = 1; i < m->nodes_room; i++) {
		struct node *node = m->nodes[i];
		if (node == NULL || is_below_dynamic(m, node) || !is_going(r, node) ||
			is_going(r, node_at(m, node->parent))) {
			continue;
		}
		struct tree_event event = {
			.kind = EV_STOP, .flag = true, .node = i, .generation = node->generation};
		manager_post(m, &event, 0, 0);
	}
}

static void reload_finish(struct manager *m, struct reload *r)
{
	int failed = reload_apply(m, r);
	struct control_call *call = r->call;
	m->reload = NULL;
	log_notice("reloaded: %zu changes", json_array_size(r->plan));
	if (call != NULL && failed == 0) {
		control_reply(call, json_pack("{s:O}", "plan", r->plan));
	} else if (call != NULL) {
		control_reply_error(call, ERROR("Failed"),
			json_pack("{s:n,s:s}", "unit", "reason", strerror(-failed)));
	}
	reload_free(r);
}

void reload_go_on(struct manager *m)
{
	struct reload *r = m->reload;
	if (r == NULL || m->queue_count > 0 || !all_down(m, r)) {
		return;
	}
	reload_finish(m, r);
	manager_run_all(m);
	/* What was added went to the end of its supervisor's list; its place is in the file. The
	 * core is not told of this by an event, so it has to be in a snapshot. */
	apply_orders(m);
	snapshot_take(m);
}

static void reply_cannot(struct control_call *call, json_t *errors, const struct err *err)
{
	if (call == NULL) {
		log_error("reload: %s",
			errors != NULL ? "the units are not valid; nothing is changed" : err->text);
		json_decref(errors);
	} else if (errors != NULL) {
		control_reply_error(
			call, ERROR("InvalidUnits"), json_pack("{s:o}", "messages", errors));
	} else {
		control_reply_error(
			call, ERROR("Failed"), json_pack("{s:n,s:s}", "unit", "reason", err->text));
	}
}

void reload_units(struct manager *m, bool dry, struct control_call *call)
{
	struct err err = {{0}};
	json_t *errors = NULL;
	struct reload *r = NULL;
	if (m->reload != NULL) {
		err_set(&err, EBUSY, "another reload is under way");
	} else {
		r = reload_load(m, &errors, &err);
	}
	if (r == NULL) {
		reply_cannot(call, errors, &err);
		return;
	}
	if (dry) {
		if (call != NULL) {
			control_reply(call, json_pack("{s:O}", "plan", r->plan));
		}
		reload_free(r);
		return;
	}
	r->call = call;
	m->reload = r;
	if (r->removing) {
		stop_going(m, r);
	}
}

void reload_gone(struct manager *m, const struct control_call *call)
{
	if (m->reload != NULL && m->reload->call == call) {
		m->reload->call = NULL;
	}
}
