#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/str.h"
#include "manager/cgroup.h"
#include "manager/manager.h"

/* --- names: a chained hash table --- */

static uint32_t name_hash(const char *name)
{
	uint32_t hash = UINT32_C(2166136261);
	for (; *name != '\0'; name++) {
		hash = (hash ^ (unsigned char)*name) * UINT32_C(16777619);
	}
	return hash;
}

const char *node_unit_name(const struct node *node)
{
	return node->definition->unit->name;
}

static int names_grow(struct manager *m)
{
	uint32_t size = m->names_size == 0 ? 256 : m->names_size * 2;
	struct node **names = calloc(size, sizeof(struct node *));
	if (names == NULL) {
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < m->names_size; i++) {
		for (struct node *n = m->names[i], *next; n != NULL; n = next) {
			next = n->name_next;
			struct node **place = &names[name_hash(node_unit_name(n)) & (size - 1)];
			n->name_next = *place;
			*place = n;
		}
	}
	free(m->names);
	m->names = names;
	m->names_size = size;
	return 0;
}

static void name_enter(struct manager *m, struct node *node)
{
	struct node **place = &m->names[name_hash(node_unit_name(node)) & (m->names_size - 1)];
	node->name_next = *place;
	*place = node;
}

static void name_leave(struct manager *m, struct node *node)
{
	struct node **place = &m->names[name_hash(node_unit_name(node)) & (m->names_size - 1)];
	while (*place != node) {
		CHECK(*place != NULL);
		place = &(*place)->name_next;
	}
	*place = node->name_next;
}

struct node *node_by_name(const struct manager *m, const char *name)
{
	char whole[UNIT_NAME_SIZE];
	if (m->names_size == 0 || unit_name_normalize(name, whole, sizeof(whole)) < 0) {
		return NULL;
	}
	const char *wanted = whole;
	for (;;) {
		struct node *n = m->names[name_hash(wanted) & (m->names_size - 1)];
		while (n != NULL && strcmp(node_unit_name(n), wanted) != 0) {
			n = n->name_next;
		}
		if (n != NULL || wanted != whole || m->generation == NULL) {
			return n;
		}
		/* Another name of a unit. */
		const struct unit *unit = unit_set_find(m->generation->set, whole);
		if (unit == NULL || strcmp(unit->name, whole) == 0) {
			return NULL;
		}
		wanted = unit->name;
	}
}

/* --- nodes --- */

struct node *node_at(const struct manager *m, uint32_t index)
{
	return index < m->nodes_room ? m->nodes[index] : NULL;
}

struct node *node_of_generation(const struct manager *m, uint32_t index, uint32_t generation)
{
	struct node *node = node_at(m, index);
	return node != NULL && node->generation == generation ? node : NULL;
}

const char *node_name(void *manager, uint32_t index)
{
	const struct node *node = node_at(manager, index);
	return node == NULL ? "?" : node_unit_name(node);
}

static int nodes_reserve(struct manager *m, uint32_t index)
{
	if (index >= m->nodes_room) {
		uint32_t room = index + index / 2 + 64;
		struct node **nodes = realloc(m->nodes, room * sizeof(struct node *));
		if (nodes == NULL) {
			return -ENOMEM;
		}
		memset(&nodes[m->nodes_room], 0, (room - m->nodes_room) * sizeof(struct node *));
		m->nodes = nodes;
		m->nodes_room = room;
	}
	return m->nodes_count >= m->names_size ? names_grow(m) : 0;
}

int node_enter(struct manager *m, uint32_t index, uint32_t parent, bool is_static,
	struct definition *definition)
{
	int failed = nodes_reserve(m, index);
	if (failed != 0) {
		return failed;
	}
	CHECK(m->nodes[index] == NULL);
	struct node *node = calloc(1, sizeof(*node));
	if (node == NULL || timers_reserve(&m->timers, 3) < 0) {
		free(node);
		return -ENOMEM;
	}
	struct tree_view view;
	tree_look(m->tree, index, m->now, &view);
	node->index = index;
	node->generation = view.generation;
	node->parent = parent;
	node->is_static = is_static;
	for (uint32_t role = 0; role < ROLES; role++) {
		node->slots[role] = SHARE_SLOT_NONE;
	}
	node->said_status = -1;
	node->notify_fd = node->ready_fd = -1;
	timer_init(&node->deadline, TIMER_DEADLINE);
	timer_init(&node->search, TIMER_SEARCH);
	timer_init(&node->watchdog, TIMER_WATCHDOG);
	node->definition = definition_hold(definition);
	m->nodes[index] = node;
	m->nodes_count++;
	name_enter(m, node);
	return sockets_enter(m, node);
}

void node_leave(struct manager *m, uint32_t index)
{
	struct node *node = node_at(m, index);
	if (node == NULL) {
		return;
	}
	sweep_leave(m, node);
	strays_leave(m, node);
	cgroup_leave(m, node);
	name_leave(m, node);
	find_main_end(m, node);
	timers_clear(&m->timers, &node->deadline);
	timers_clear(&m->timers, &node->watchdog);
	timers_reserve(&m->timers, -3);
	health_leave(m, node);
	slot_detach(m, node, ROLE_MAIN);
	slot_detach(m, node, ROLE_CONTROL);
	notify_socket_close(m, node);
	ready_pipe_close(m, node);
	sockets_leave(m, node);
	definition_release(node->definition);
	definition_release(node->definition_next);
	free(node->missed);
	free(node->status_text);
	free(node);
	m->nodes[index] = NULL;
	m->nodes_count--;
}

void node_set_definition(struct manager *m, struct node *node, struct definition *definition)
{
	struct definition *old = node->definition;
	/* The name stays: it is the same unit, but the text of the name lives in the definition. */
	name_leave(m, node);
	node->definition = definition_hold(definition);
	name_enter(m, node);
	tree_set_rules(m->tree, node->index, &definition->child);
	definition_release(old);
}

void node_set_status(struct manager *m, struct node *node, const char *text)
{
	(void)m;
	free(node->status_text);
	node->status_text = text[0] != '\0' ? strdup(text) : NULL;
}

void nodes_finish(struct manager *m)
{
	sockets_finish(m);
	for (uint32_t i = 0; i < m->nodes_room; i++) {
		struct node *node = m->nodes[i];
		if (node == NULL) {
			continue;
		}
		definition_release(node->definition);
		definition_release(node->definition_next);
		free(node->missed);
		free(node->status_text);
		free(node->probe);
		free(node->notify_path);
		free(node);
	}
	free(m->nodes);
	free(m->names);
	m->nodes = m->names = NULL;
	m->nodes_room = m->nodes_count = m->names_size = 0;
}

/* --- building the static tree --- */

static int build_one(struct manager *m, const struct unit *unit, struct err *err)
{
	struct definition *d = definition_create(m, m->generation, unit, NULL, err);
	if (d == NULL) {
		return -EINVAL;
	}
	uint32_t parent = NODE_NONE, index = 0;
	if (unit->index == 0) {
		struct tree_config config = {.seed = m->started_at_s * 2654435761u + 1};
		m->tree = tree_create(&config, &d->child);
		index = m->tree == NULL ? NODE_NONE : 0;
	} else {
		parent = node_by_name(m, unit->parent->name)->index;
		index = tree_add(m->tree, parent, &d->child);
	}
	int failed = index == NODE_NONE ? -ENOMEM : node_enter(m, index, parent, true, d);
	definition_release(d);
	if (failed != 0) {
		err_set(err, -failed, "%s: %s", unit->name, strerror(-failed));
	}
	return failed;
}

int nodes_build(struct manager *m, struct err *err)
{
	const struct unit_set *set = m->generation->set;
	for (uint32_t i = 0; i < set->count; i++) {
		const struct unit *unit = set->list[i];
		if (unit->is_template) {
			continue;
		}
		int failed = build_one(m, unit, err);
		if (failed != 0) {
			return failed;
		}
	}
	return 0;
}
