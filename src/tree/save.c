#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/checksum.h"
#include "tree/internal.h"

static uint32_t record_checksum(const struct save_head *head, const uint8_t *body)
{
	struct save_head copy;
	memcpy(&copy, head, sizeof(copy));
	copy.checksum = 0;
	return checksum_crc32c(
		checksum_crc32c(0, &copy, sizeof(copy)), body, (size_t)head->size - sizeof(copy));
}

static size_t histories_size(const struct tree *tree)
{
	size_t size = 0;
	for (uint32_t i = 0; i < tree->nodes_count; i++) {
		if (tree->nodes[i].used) {
			size += tree->nodes[i].history_count * sizeof(uint64_t);
		}
	}
	return size;
}

static uint8_t *put(uint8_t *at, const void *data, size_t size)
{
	memcpy(at, data, size);
	return at + size;
}

/* A node without its pointers, so that equal states give equal records. */
static uint8_t *put_node(uint8_t *at, const struct node *n)
{
	struct node copy;
	memcpy(&copy, n, sizeof(copy));
	copy.rules = NULL;
	copy.history = NULL;
	copy.history_first = 0;
	return put(at, &copy, sizeof(copy));
}

size_t tree_save(const struct tree *tree, void *buffer, size_t size)
{
	CHECK(tree->work_count == 0);
	size_t needed = sizeof(struct save_head) + tree->nodes_count * sizeof(struct node) +
			histories_size(tree) + tree->mail_room * sizeof(struct mail);
	if (size < needed) {
		return needed;
	}
	struct save_head head = {
		.magic = SAVE_MAGIC,
		.version = SAVE_VERSION,
		.node_size = sizeof(struct node),
		.mail_size = sizeof(struct mail),
		.nodes_count = tree->nodes_count,
		.statics_count = tree->statics_count,
		.free_first = tree->free_first,
		.mail_room = tree->mail_room,
		.mail_free = tree->mail_free,
		.requests_in_mail = tree->requests_in_mail,
		.mail_wanted = tree->mail_wanted,
		.size = needed,
		.order_next = tree->order_next,
		.now = tree->now,
		.random = tree->random,
		.root_again = tree->root_again,
		.exit_wanted = tree->exit_wanted,
		.ended = tree->ended,
		.action = tree->action,
		.action_end = tree->action_end,
	};
	uint8_t *at = (uint8_t *)buffer + sizeof(head);
	for (uint32_t i = 0; i < tree->nodes_count; i++) {
		at = put_node(at, &tree->nodes[i]);
	}
	for (uint32_t i = 0; i < tree->nodes_count; i++) {
		const struct node *n = &tree->nodes[i];
		for (uint32_t k = 0; n->used && k < n->history_count; k++) {
			uint32_t place = (n->history_first + k) % history_room(n->rules);
			at = put(at, &n->history[place], sizeof(uint64_t));
		}
	}
	if (tree->mail_room > 0) {
		at = put(at, tree->mail, tree->mail_room * sizeof(struct mail));
	}
	CHECK(at == (uint8_t *)buffer + needed);
	head.checksum = record_checksum(&head, (uint8_t *)buffer + sizeof(head));
	memcpy(buffer, &head, sizeof(head));
	return needed;
}

static int head_check(const struct save_head *head, const void *buffer, size_t size)
{
	if (head->magic != SAVE_MAGIC || head->version != SAVE_VERSION ||
		head->node_size != sizeof(struct node) || head->mail_size != sizeof(struct mail) ||
		head->size > size || head->size < sizeof(*head)) {
		return -EPROTO;
	}
	if (record_checksum(head, (const uint8_t *)buffer + sizeof(*head)) != head->checksum) {
		return -EPROTO;
	}
	return 0;
}

/* The rules of the same node in the tree that was built from the units. */
static const struct tree_child_rules *rules_at_home(
	const struct tree *tree, uint32_t index, const struct node *n)
{
	if (index >= tree->nodes_count || !n->is_static || n->late) {
		return NULL;
	}
	const struct node *own = &tree->nodes[index];
	bool same = own->used && own->is_static && own->generation == n->generation &&
		    own->parent == n->parent;
	return same ? own->rules : NULL;
}

/* Gives each saved node its rules and room for its history. */
static int nodes_equip(const struct tree *tree, struct node *nodes, const struct save_head *head,
	tree_rules_of *rules_of, void *context)
{
	for (uint32_t i = 0; i < head->nodes_count; i++) {
		nodes[i].rules = NULL;
		nodes[i].history = NULL;
	}
	for (uint32_t i = 0; i < head->nodes_count; i++) {
		struct node *n = &nodes[i];
		if (!n->used) {
			continue;
		}
		n->rules = rules_of(context, i, n->parent, n->generation);
		if (n->rules == NULL) {
			n->rules = rules_at_home(tree, i, n);
		}
		if (n->rules == NULL) {
			return -EINVAL;
		}
		if (history_room(n->rules) > 0) {
			n->history = calloc(history_room(n->rules), sizeof(uint64_t));
			if (n->history == NULL) {
				return -ENOMEM;
			}
		}
	}
	return 0;
}

static int histories_load(
	struct node *nodes, uint32_t count, const uint8_t **at, const uint8_t *end)
{
	for (uint32_t i = 0; i < count; i++) {
		struct node *n = &nodes[i];
		for (uint32_t k = 0; n->used && k < n->history_count; k++) {
			if (n->history == NULL || k >= history_room(n->rules) ||
				end - *at < (ptrdiff_t)sizeof(uint64_t)) {
				return -EINVAL;
			}
			memcpy(&n->history[k], *at, sizeof(uint64_t));
			*at += sizeof(uint64_t);
		}
	}
	return 0;
}

static void tree_take(struct tree *tree, const struct save_head *head, struct node *nodes,
	struct mail *mail, struct work *work, uint32_t work_room)
{
	for (uint32_t i = 0; i < tree->nodes_count; i++) {
		free(tree->nodes[i].history);
	}
	free(tree->nodes);
	free(tree->mail);
	free(tree->work);
	tree->nodes = nodes;
	tree->mail = mail;
	tree->work = work;
	tree->work_room = work_room;
	tree->work_first = 0;
	tree->nodes_count = head->nodes_count;
	tree->nodes_room = head->nodes_count;
	tree->statics_count = head->statics_count;
	tree->free_first = head->free_first;
	tree->mail_room = head->mail_room;
	tree->mail_free = head->mail_free;
	tree->requests_in_mail = head->requests_in_mail;
	tree->mail_wanted = head->mail_wanted;
	tree->order_next = head->order_next;
	tree->now = head->now;
	tree->random = head->random;
	tree->root_again = head->root_again;
	tree->exit_wanted = head->exit_wanted != 0;
	tree->ended = head->ended != 0;
	tree->action = (uint8_t)head->action;
	tree->action_end = head->action_end;
}

int tree_load(
	struct tree *tree, const void *buffer, size_t size, tree_rules_of *rules_of, void *context)
{
	struct save_head head;
	CHECK(tree->work_count == 0);
	if (size < sizeof(head)) {
		return -EPROTO;
	}
	memcpy(&head, buffer, sizeof(head));
	int r = head_check(&head, buffer, size);
	if (r < 0) {
		return r;
	}
	size_t nodes_size = head.nodes_count * sizeof(struct node);
	size_t mail_size = head.mail_room * sizeof(struct mail);
	if (nodes_size + mail_size > head.size - sizeof(head)) {
		return -EINVAL;
	}
	uint32_t work_room = head.nodes_count * 4 + 64;
	struct node *nodes = malloc(nodes_size);
	struct mail *mail = malloc(mail_size);
	struct work *work = malloc(work_room * sizeof(*work));
	if (nodes == NULL || mail == NULL || work == NULL) {
		free(nodes);
		free(mail);
		free(work);
		return -ENOMEM;
	}
	const uint8_t *at = (const uint8_t *)buffer + sizeof(head);
	const uint8_t *end = (const uint8_t *)buffer + head.size - mail_size;
	memcpy(nodes, at, nodes_size);
	at += nodes_size;
	memcpy(mail, end, mail_size);
	r = nodes_equip(tree, nodes, &head, rules_of, context);
	if (r == 0) {
		r = histories_load(nodes, head.nodes_count, &at, end);
	}
	if (r < 0) {
		for (uint32_t i = 0; i < head.nodes_count; i++) {
			free(nodes[i].history);
		}
		free(nodes);
		free(mail);
		free(work);
		return r;
	}
	tree_take(tree, &head, nodes, mail, work, work_room);
	return 0;
}
