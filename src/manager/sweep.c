/* What units leave behind when they are down: runtime directories, private /tmp. The records that
 * say what there is are coppice-exec's (sandbox/volatile.h), so that a manager that is killed here
 * forgets nothing: the next one reads the list. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/span.h"
#include "base/str.h"
#include "manager/manager.h"
#include "sandbox/volatile.h"

/* Entries removed, and nodes looked at, in one turn. */
#define ENTRIES_A_TURN 64
#define NODES_A_TURN   256
/* How long the end of coppice may take for it; what is left is for the next start. */
#define LAST_SPAN_NS (2 * NS_PER_SEC)

/* A unit that is no node (any more). */
struct sweep_name {
	struct sweep_name *next;
	char name[UNIT_NAME_SIZE];
};

static bool leaves_files(const struct node *node)
{
	const struct unit_service *exec = node->definition->exec;
	if (exec == NULL) {
		return false;
	}
	if (exec->directories[UNIT_DIRECTORY_RUNTIME].names != NULL || exec->dynamic_user) {
		return true;
	}
	for (uint32_t i = 0; exec->confine != NULL && exec->confine[i] != NULL; i++) {
		if (str_starts(exec->confine[i], "PrivateTmp=")) {
			return true;
		}
	}
	return false;
}

void sweep_node(struct manager *m, struct node *node)
{
	if (!node->sweep && leaves_files(node)) {
		node->sweep = true;
		m->sweeps++;
	}
}

static void name_add(struct manager *m, const char *name)
{
	struct sweep_name *entry = malloc(sizeof(*entry));
	if (entry != NULL) { /* else the next start finds it */
		str_copy(entry->name, sizeof(entry->name), name);
		entry->next = m->sweep_names;
		m->sweep_names = entry;
	}
}

void sweep_leave(struct manager *m, struct node *node)
{
	if (node->sweep) {
		node->sweep = false;
		m->sweeps--;
		name_add(m, node_unit_name(node));
	}
}

/* True when there is nothing more to do. */
static bool sweep_one(struct manager *m, const char *name, bool stopped)
{
	int failed = volatile_sweep(m->run_dir, name, stopped, ENTRIES_A_TURN);
	if (failed != 0 && failed != -EAGAIN) {
		log_warning("%s: cannot remove all that it left: %s", name, strerror(-failed));
	}
	return failed != -EAGAIN;
}

/* Only what is down, and only now: a unit that starts again clears away by itself. */
static bool node_sweep(struct manager *m, const struct node *node)
{
	struct tree_view view;
	tree_look(m->tree, node->index, m->now, &view);
	switch ((enum tree_state)view.state) {
	case STATE_STOPPED:
	case STATE_FAILED:
	case STATE_DONE: return sweep_one(m, node_unit_name(node), true);
	case STATE_WAITING: return sweep_one(m, node_unit_name(node), false);
	case STATE_STARTING:
	case STATE_RUNNING:
	case STATE_STOPPING:
	case STATE_COUNT: break;
	}
	return true;
}

static void found(void *context, const char *unit)
{
	struct manager *m = context;
	struct node *node = node_by_name(m, unit);
	if (node == NULL) {
		name_add(m, unit);
	} else if (!node->sweep) {
		node->sweep = true;
		m->sweeps++;
	}
}

/* Once, when it is known which units live. */
static void list_records(struct manager *m)
{
	if (!m->sweep_listed && !m->adopting && !m->replaying) {
		m->sweep_listed = true;
		(void)volatile_list(m->run_dir, found, m);
	}
}

bool sweep_waits(const struct manager *m)
{
	return m->sweeps > 0 || m->sweep_names != NULL;
}

static void sweep_nodes(struct manager *m)
{
	for (uint32_t i = 0; m->sweeps > 0 && i < NODES_A_TURN; i++) {
		struct node *node = node_at(m, m->sweep_cursor);
		if (node == NULL || !node->sweep) {
			m->sweep_cursor = (m->sweep_cursor + 1) % m->nodes_room;
			continue;
		}
		if (node_sweep(m, node)) {
			node->sweep = false;
			m->sweeps--;
		}
		return;
	}
}

void sweep_go_on(struct manager *m)
{
	list_records(m);
	if (m->sweeps > 0 && m->nodes_room > 0) {
		m->sweep_cursor %= m->nodes_room;
		sweep_nodes(m);
	} else if (m->sweep_names != NULL) {
		struct sweep_name *first = m->sweep_names;
		struct node *node = node_by_name(m, first->name);
		if (node != NULL ? node_sweep(m, node) : sweep_one(m, first->name, true)) {
			m->sweep_names = first->next;
			free(first);
		}
	}
}

void sweep_finish(struct manager *m)
{
	uint64_t end = loop_clock() + LAST_SPAN_NS;
	char path[sizeof(m->run_dir) + 16];
	while (m->ended && m->tree != NULL && sweep_waits(m) && loop_clock() < end) {
		sweep_go_on(m);
	}
	for (uint32_t i = 0; m->sweeps > 0 && i < m->nodes_room; i++) {
		if (m->nodes[i] != NULL && m->nodes[i]->sweep) {
			m->nodes[i]->sweep = false;
			m->sweeps--;
		}
	}
	while (m->sweep_names != NULL) {
		struct sweep_name *first = m->sweep_names;
		m->sweep_names = first->next;
		free(first);
	}
	if (!m->ended) {
		return;
	}
	snprintf(path, sizeof(path), "%s/volatile", m->run_dir);
	rmdir(path);
	snprintf(path, sizeof(path), "%s/stage", m->run_dir);
	rmdir(path);
}
