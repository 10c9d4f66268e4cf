#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/span.h"
#include "manager/manager.h"

#define ERROR(name) "org.coppice.Control." name
/* What one unit takes in an answer, about. */
#define UNIT_SIZE 700

/* --- List --- */

/* The nodes that a client is told of, in the order of the tree when it asked. */
struct listing {
	struct listing *next;
	struct control_call *call;
	uint32_t count, at;
	struct {
		uint32_t index, generation;
	} nodes[];
};

static struct listing *listing_create(struct manager *m)
{
	struct listing *listing =
		calloc(1, sizeof(*listing) + (m->nodes_count + 1) * sizeof(listing->nodes[0]));
	return listing;
}

static void listing_put(struct manager *m, struct listing *listing, const struct node *node)
{
	if (listing->count <= m->nodes_count) {
		listing->nodes[listing->count].index = node->index;
		listing->nodes[listing->count++].generation = node->generation;
	}
}

/* First child and next sibling by node, with those that their supervisor has forgotten behind the
 * others. */
struct order {
	uint32_t *first, *next, *last;
};

static void order_append(struct order *order, uint32_t parent, uint32_t child)
{
	order->next[child] = NODE_NONE;
	if (order->last[parent] == NODE_NONE) {
		order->first[parent] = child;
	} else {
		order->next[order->last[parent]] = child;
	}
	order->last[parent] = child;
}

static void order_fill(struct manager *m, struct order *order)
{
	for (uint32_t i = 0; i < m->nodes_room; i++) {
		order->first[i] = order->next[i] = order->last[i] = NODE_NONE;
	}
	for (uint32_t i = 0; i < m->nodes_room; i++) {
		if (m->nodes[i] == NULL || node_unit(m->nodes[i])->supervisor == NULL) {
			continue;
		}
		for (uint32_t c = tree_first_child(m->tree, i); c != NODE_NONE;
			c = tree_next_child(m->tree, c)) {
			order_append(order, i, c);
		}
	}
	for (uint32_t i = 1; i < m->nodes_room; i++) {
		struct node *node = m->nodes[i];
		struct tree_view view;
		if (node == NULL) {
			continue;
		}
		tree_look(m->tree, i, m->now, &view);
		if (!view.present) {
			order_append(order, node->parent, i);
		}
	}
}

static struct listing *listing_all(struct manager *m)
{
	struct listing *listing = listing_create(m);
	uint32_t *memory = malloc(3 * (size_t)m->nodes_room * sizeof(*memory));
	if (listing == NULL || memory == NULL) {
		free(listing);
		free(memory);
		return NULL;
	}
	struct order order = {memory, memory + m->nodes_room, memory + 2 * (size_t)m->nodes_room};
	order_fill(m, &order);
	uint32_t at = 0;
	while (at != NODE_NONE && m->nodes[at] != NULL) {
		listing_put(m, listing, m->nodes[at]);
		if (order.first[at] != NODE_NONE) {
			at = order.first[at];
			continue;
		}
		while (at != NODE_NONE && order.next[at] == NODE_NONE) {
			at = m->nodes[at]->parent;
		}
		at = at == NODE_NONE ? NODE_NONE : order.next[at];
	}
	free(memory);
	return listing;
}

/* The named units; NULL when the call has been answered with an error. */
static struct listing *listing_named(
	struct manager *m, struct control_call *call, const json_t *units)
{
	size_t i;
	json_t *name;
	struct listing *listing =
		calloc(1, sizeof(*listing) + json_array_size(units) * sizeof(listing->nodes[0]));
	if (listing == NULL) {
		control_reply_error(call, ERROR("TooManyRequests"), NULL);
		return NULL;
	}
	json_array_foreach (units, i, name) {
		json_t *one = json_pack("{s:O}", "unit", name);
		struct node *node = request_node(m, call, one);
		json_decref(one);
		if (node == NULL) {
			free(listing);
			return NULL;
		}
		listing->nodes[listing->count].index = node->index;
		listing->nodes[listing->count++].generation = node->generation;
	}
	return listing;
}

static json_t *listing_next(struct manager *m, struct listing *listing)
{
	while (listing->at < listing->count) {
		const struct node *node = node_of_generation(m, listing->nodes[listing->at].index,
			listing->nodes[listing->at].generation);
		listing->at++;
		if (node != NULL) {
			return view_unit(m, node);
		}
	}
	return NULL;
}

static void listing_free(struct manager *m, struct listing *listing)
{
	for (struct listing **place = &m->listings; *place != NULL; place = &(*place)->next) {
		if (*place == listing) {
			*place = listing->next;
			break;
		}
	}
	free(listing);
}

static struct listing *listing_of(struct manager *m, const struct control_call *call)
{
	struct listing *listing = m->listings;
	while (listing != NULL && listing->call != call) {
		listing = listing->next;
	}
	return listing;
}

void listing_gone(struct manager *m, struct control_call *call)
{
	struct listing *listing = listing_of(m, call);
	if (listing != NULL) {
		listing_free(m, listing);
	}
}

void listing_go_on(void *manager, struct control_call *call)
{
	struct manager *m = manager;
	struct listing *listing = listing_of(m, call);
	if (listing == NULL) {
		return;
	}
	json_t *unit = listing_next(m, listing);
	while (unit != NULL) {
		json_t *after = listing_next(m, listing);
		json_t *reply = json_pack("{s:o}", "unit", unit);
		if (after == NULL) {
			listing_free(m, listing);
			control_reply(call, reply);
			return;
		}
		if (!control_reply_more(call, reply)) {
			json_decref(after);
			return; /* gone, and the listing with it */
		}
		unit = after;
		if (control_call_room(call) < UNIT_SIZE) {
			/* The one in hand is told when there is room again. */
			listing->at--;
			json_decref(unit);
			return;
		}
	}
	listing_free(m, listing);
	control_reply(call, NULL);
}

void method_list(void *manager, struct control_call *call, const json_t *parameters)
{
	struct manager *m = manager;
	json_t *units = json_object_get(parameters, "units");
	struct listing *listing =
		json_is_array(units) ? listing_named(m, call, units) : listing_all(m);
	if (listing == NULL) {
		if (!json_is_array(units)) {
			control_reply_error(call, ERROR("TooManyRequests"), NULL);
		}
		return;
	}
	listing->call = call;
	listing->next = m->listings;
	m->listings = listing;
	if (control_call_wants_more(call)) {
		listing_go_on(m, call);
		return;
	}
	json_t *all = json_array(), *unit;
	while ((unit = listing_next(m, listing)) != NULL) {
		json_array_append_new(all, unit);
	}
	listing_free(m, listing);
	control_reply(call, json_pack("{s:o}", "units", all));
}

/* --- the others --- */

void method_show(void *manager, struct control_call *call, const json_t *parameters)
{
	struct manager *m = manager;
	struct node *node = request_node(m, call, parameters);
	if (node != NULL) {
		control_reply(call, json_pack("{s:o}", "properties", view_properties(m, node)));
	}
}

void method_why(void *manager, struct control_call *call, const json_t *parameters)
{
	struct manager *m = manager;
	struct node *node = request_node(m, call, parameters);
	if (node != NULL) {
		control_reply(call, json_pack("{s:o}", "sentences", why_sentences(m, node)));
	}
}

/* The text that is in use, not what has become of the file since. */
static void put_file(struct manager *m, json_t *files, const char *path)
{
	struct unit_source *source = unit_bundle_source(m->bundle);
	char *text = NULL;
	size_t size = 0;
	if (path != NULL && source->read_file(source, path, &text, &size) == 0) {
		json_t *file = json_pack("{s:s,s:s%}", "path", path, "text", text, size);
		json_array_append_new(files,
			file != NULL ? file : json_pack("{s:s,s:s}", "path", path, "text", ""));
	}
	free(text);
}

void method_cat(void *manager, struct control_call *call, const json_t *parameters)
{
	struct manager *m = manager;
	struct node *node = request_node(m, call, parameters);
	if (node == NULL) {
		return;
	}
	const struct unit *unit = node_unit(node);
	json_t *files = json_array();
	put_file(m, files, unit->path);
	for (uint32_t i = 0; unit->dropins != NULL && unit->dropins[i] != NULL; i++) {
		put_file(m, files, unit->dropins[i]);
	}
	control_reply(call, json_pack("{s:o}", "files", files));
}

void method_count(void *manager, struct control_call *call, const json_t *parameters)
{
	struct manager *m = manager;
	const char *name = json_string_value(json_object_get(parameters, "supervisor"));
	struct node *node = node_at(m, 0);
	struct tree_count count;
	if (name != NULL) {
		json_t *one = json_pack("{s:s}", "unit", name);
		node = request_node(m, call, one);
		json_decref(one);
	}
	if (node == NULL) {
		return;
	}
	if (node_unit(node)->supervisor == NULL) {
		control_reply_error(call, ERROR("InvalidArgument"),
			json_pack("{s:s,s:s}", "argument", "supervisor", "reason",
				"it is not a supervisor"));
		return;
	}
	tree_count(m->tree, node->index, &count);
	control_reply(call, json_pack("{s:i,s:i,s:i,s:i}", "specs", (int)count.specs, "active",
				    (int)count.active, "supervisors", (int)count.supervisors,
				    "workers", (int)count.workers));
}

static void count_states(struct manager *m, int *running, int *failed)
{
	*running = *failed = 0;
	for (uint32_t i = 0; i < m->nodes_room; i++) {
		if (m->nodes[i] != NULL) {
			struct tree_view view;
			tree_look(m->tree, i, m->now, &view);
			*running += view.state == STATE_RUNNING;
			*failed += view.state == STATE_FAILED;
		}
	}
}

void method_status(void *manager, struct control_call *call, const json_t *parameters)
{
	struct manager *m = manager;
	struct tree_view root;
	char since[64];
	int running, failed;
	(void)parameters;
	tree_look(m->tree, 0, m->now, &root);
	count_states(m, &running, &failed);
	uint64_t up = ((uint64_t)time(NULL) - m->started_at_s) * NS_PER_SEC;
	up = up > m->now ? m->now : up;
	json_t *out = json_object();
	json_object_set_new(out, "version", json_string(COPPICE_VERSION));
	json_object_set_new(out, "root", json_string(node_name(m, 0)));
	json_object_set_new(out, "root_state", json_string(tree_state_names[root.state]));
	json_object_set_new(out, "root_ready", json_boolean(root.ready));
	json_object_set_new(out, "keeper_pid", json_integer(m->share->keeper_pid));
	json_object_set_new(out, "manager_pid", json_integer(getpid()));
	json_object_set_new(out, "manager_incarnation", json_integer(m->incarnation));
	json_object_set_new(
		out, "since", json_string(view_time(m->now - up, m->now, since, sizeof(since))));
	json_object_set_new(out, "uptime_ms", json_integer((json_int_t)(up / NS_PER_MS)));
	json_object_set_new(out, "units", json_integer(m->nodes_count));
	json_object_set_new(out, "running", json_integer(running));
	json_object_set_new(out, "failed", json_integer(failed));
	json_object_set_new(out, "orphans_reaped",
		json_integer((json_int_t)atomic_load(&m->share->orphans_reaped)));
	json_object_set_new(
		out, "deaths", json_integer((json_int_t)atomic_load(&m->share->deaths_seen)));
	control_reply(call, out);
}
