#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "tree/internal.h"

/* Retries kept in a mailbox for one supervisor; see retry_push() for what happens beyond. */
#define RETRIES_MAX 64

static bool work_reserve(struct tree *tree, uint32_t room)
{
	if (room <= tree->work_room) {
		return true;
	}
	/* Only called between steps, when the queue is empty. */
	CHECK(tree->work_count == 0);
	struct work *work = realloc(tree->work, room * sizeof(*work));
	if (work == NULL) {
		return false;
	}
	tree->work = work;
	tree->work_room = room;
	tree->work_first = 0;
	return true;
}

static bool mail_reserve(struct tree *tree, uint32_t room)
{
	if (room <= tree->mail_room) {
		return true;
	}
	struct mail *mail = realloc(tree->mail, room * sizeof(*mail));
	if (mail == NULL) {
		return false;
	}
	memset(&mail[tree->mail_room], 0, (room - tree->mail_room) * sizeof(*mail));
	for (uint32_t i = room; i-- > tree->mail_room;) {
		mail[i].next = tree->mail_free;
		tree->mail_free = i;
	}
	tree->mail = mail;
	tree->mail_room = room;
	return true;
}

static bool nodes_reserve(struct tree *tree, uint32_t room)
{
	if (room <= tree->nodes_room) {
		return true;
	}
	struct node *nodes = realloc(tree->nodes, room * sizeof(*nodes));
	if (nodes == NULL) {
		return false;
	}
	memset(&nodes[tree->nodes_room], 0, (room - tree->nodes_room) * sizeof(*nodes));
	tree->nodes = nodes;
	tree->nodes_room = room;
	return true;
}

static uint32_t grown(uint32_t room, uint32_t wanted)
{
	uint32_t half_more = room + room / 2;
	return half_more > wanted ? half_more : wanted;
}

/* Places in the mailbox: a death and a retry for each node, a stop and retries for supervisors. */
static uint32_t mail_places(const struct tree_child_rules *rules)
{
	if (!rules->is_supervisor) {
		return 2;
	}
	uint32_t intensity = rules->supervisor->intensity;
	return 4 + (intensity < RETRIES_MAX ? intensity : RETRIES_MAX);
}

static bool reserve_for(struct tree *tree, const struct tree_child_rules *rules)
{
	uint32_t nodes = tree->nodes_count + 1;
	uint32_t mail = tree->mail_wanted + mail_places(rules) + tree->config.requests_max;
	if (nodes > tree->nodes_room && !nodes_reserve(tree, grown(tree->nodes_room, nodes))) {
		return false;
	}
	if (nodes * 4 + 64 > tree->work_room &&
		!work_reserve(tree, grown(tree->work_room, nodes * 4 + 64))) {
		return false;
	}
	return mail <= tree->mail_room || mail_reserve(tree, grown(tree->mail_room, mail));
}

static uint32_t node_make(struct tree *tree, const struct tree_child_rules *rules)
{
	CHECK(rules->is_supervisor ? rules->supervisor != NULL : rules->service != NULL);
	uint64_t *history = NULL;
	CHECK(rules->start_limit_burst <= TREE_START_LIMIT_MAX);
	if (history_room(rules) > 0) {
		/* Untouched pages of a large one cost nothing. */
		history = calloc(history_room(rules), sizeof(*history));
		if (history == NULL) {
			return NODE_NONE;
		}
	}
	if (!reserve_for(tree, rules)) {
		free(history);
		return NODE_NONE;
	}
	uint32_t index = tree->free_first;
	uint32_t generation = 1;
	if (index != NODE_NONE) {
		tree->free_first = tree->nodes[index].next;
		generation = tree->nodes[index].generation + 1;
	} else {
		index = tree->nodes_count++;
	}
	tree->mail_wanted += mail_places(rules);
	struct node *n = &tree->nodes[index];
	free(n->history); /* of the node that had this place before */
	memset(n, 0, sizeof(*n));
	n->rules = rules;
	n->history = history;
	n->generation = generation;
	n->used = true;
	n->parent = n->next = n->prev = n->static_next = NODE_NONE;
	n->first = n->last = n->static_first = n->static_last = NODE_NONE;
	n->cursor = n->set_from = NODE_NONE;
	n->mail_first = n->mail_last = n->death_mail = MAIL_NONE;
	n->state_since_ns = tree->now;
	return index;
}

struct tree *tree_create(const struct tree_config *config, const struct tree_child_rules *root)
{
	CHECK(root->is_supervisor);
	struct tree *tree = calloc(1, sizeof(*tree));
	if (tree == NULL) {
		return NULL;
	}
	tree->config = *config;
	if (tree->config.requests_max == 0) {
		tree->config.requests_max = 1024;
	}
	tree->random = config->seed != 0 ? config->seed : UINT64_C(0x9e3779b97f4a7c15);
	tree->order_next = 1;
	tree->free_first = NODE_NONE;
	tree->mail_free = MAIL_NONE;
	if (node_make(tree, root) != 0) {
		tree_destroy(tree);
		return NULL;
	}
	tree->nodes[0].is_static = true;
	tree->nodes[0].present = true;
	tree->statics_count = 1;
	return tree;
}

void tree_destroy(struct tree *tree)
{
	if (tree == NULL) {
		return;
	}
	for (uint32_t i = 0; i < tree->nodes_count; i++) {
		free(tree->nodes[i].history);
	}
	free(tree->nodes);
	free(tree->mail);
	free(tree->work);
	free(tree);
}

static void static_append(struct tree *tree, uint32_t parent, uint32_t index)
{
	struct node *p = &tree->nodes[parent];
	if (p->static_last == NODE_NONE) {
		p->static_first = index;
	} else {
		tree->nodes[p->static_last].static_next = index;
	}
	p->static_last = index;
}

uint32_t tree_add(struct tree *tree, uint32_t parent, const struct tree_child_rules *rules)
{
	CHECK(parent < tree->nodes_count && tree->nodes[parent].used);
	CHECK(tree->nodes[parent].rules->is_supervisor);
	uint32_t index = node_make(tree, rules);
	if (index == NODE_NONE) {
		return NODE_NONE;
	}
	struct node *n = &tree->nodes[index];
	n->parent = parent;
	n->is_static = true;
	n->late = tree->nodes[parent].late || !tree->nodes[parent].is_static;
	tree->statics_count += !n->late;
	static_append(tree, parent, index);
	return index;
}

uint32_t tree_add_dynamic(struct tree *tree, uint32_t parent, const struct tree_child_rules *rules)
{
	CHECK(parent < tree->nodes_count && tree->nodes[parent].used);
	CHECK(tree->nodes[parent].rules->is_supervisor);
	uint32_t index = node_make(tree, rules);
	if (index == NODE_NONE) {
		return NODE_NONE;
	}
	tree->nodes[index].parent = parent;
	return index;
}

static void node_free_one(struct tree *tree, uint32_t index)
{
	struct node *n = &tree->nodes[index];
	CHECK(n->used && !n->present);
	CHECK(n->mail_first == MAIL_NONE && n->death_mail == MAIL_NONE);
	uint32_t generation = n->generation;
	tree->mail_wanted -= mail_places(n->rules);
	/* The history stays: freeing belongs to no step. node_make() takes a new one; the old one
	 * is given back there. */
	uint64_t *history = n->history;
	tree->statics_count -= n->is_static && !n->late;
	memset(n, 0, sizeof(*n));
	n->history = history;
	n->generation = generation;
	n->next = tree->free_first;
	tree->free_first = index;
}

void tree_node_free(struct tree *tree, uint32_t index)
{
	/* The deepest first, without recursion: go down the static list, free, come back. */
	uint32_t at = index;
	for (;;) {
		uint32_t below = tree->nodes[at].static_first;
		if (below != NODE_NONE) {
			tree->nodes[at].static_first = tree->nodes[below].static_next;
			at = below;
			continue;
		}
		uint32_t parent = tree->nodes[at].parent;
		node_free_one(tree, at);
		if (at == index) {
			return;
		}
		at = parent;
	}
}

void tree_set_rules(struct tree *tree, uint32_t node, const struct tree_child_rules *rules)
{
	struct node *n = &tree->nodes[node];
	CHECK(n->used && n->rules->is_supervisor == rules->is_supervisor);
	uint32_t room = history_room(rules), old_room = history_room(n->rules);
	if (room != old_room) {
		uint64_t *history = room > 0 ? calloc(room, sizeof(*history)) : NULL;
		if (room > 0 && history == NULL) {
			return;
		}
		uint32_t kept = n->history_count < room ? n->history_count
				: room > 0              ? room - 1
							: 0;
		uint32_t skip = n->history_count - kept;
		for (uint32_t i = 0; i < kept; i++) {
			history[i] = n->history[(n->history_first + skip + i) % old_room];
		}
		free(n->history);
		n->history = history;
		n->history_first = 0;
		n->history_count = kept;
	}
	tree->mail_wanted -= mail_places(n->rules);
	n->rules = rules;
	tree->mail_wanted += mail_places(rules);
	(void)mail_reserve(tree, tree->mail_wanted + tree->config.requests_max);
}

static void static_unlink(struct tree *tree, uint32_t node)
{
	struct node *p = &tree->nodes[tree->nodes[node].parent];
	uint32_t before = NODE_NONE;
	for (uint32_t i = p->static_first; i != node; i = tree->nodes[i].static_next) {
		CHECK(i != NODE_NONE);
		before = i;
	}
	uint32_t after = tree->nodes[node].static_next;
	if (before == NODE_NONE) {
		p->static_first = after;
	} else {
		tree->nodes[before].static_next = after;
	}
	if (p->static_last == node) {
		p->static_last = before;
	}
}

void tree_remove(struct tree *tree, uint32_t node)
{
	struct node *n = &tree->nodes[node];
	CHECK(node != 0 && n->used && n->is_static);
	if (n->death_mail != MAIL_NONE) {
		supervisor_calm(tree, node); /* it ended, and nobody has looked at it yet */
	}
	CHECK(n->view == VIEW_STOPPED);
	static_unlink(tree, node);
	/* A group restart under way may begin at this child. */
	struct node *p = &tree->nodes[n->parent];
	if (p->set_from == node) {
		p->set_from = n->next;
	}
	if (n->present) {
		child_list_remove(tree, node);
	}
	tree_node_free(tree, node);
}

void tree_reorder(struct tree *tree, uint32_t supervisor, const uint32_t *nodes, uint32_t count)
{
	struct node *p = &tree->nodes[supervisor];
	p->static_first = p->static_last = NODE_NONE;
	for (uint32_t i = 0; i < count; i++) {
		CHECK(tree->nodes[nodes[i]].parent == supervisor);
		tree->nodes[nodes[i]].static_next = NODE_NONE;
		static_append(tree, supervisor, nodes[i]);
	}
	/* A group that is being stopped or started is a stretch of the list: not now. */
	p->sort_later = p->action != ACT_IDLE;
	if (!p->sort_later) {
		child_list_sort(tree, supervisor);
	}
}
