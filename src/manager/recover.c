#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/log.h"
#include "base/str.h"
#include "manager/manager.h"

/* A record at which this many managers in a row have ended is left out. Being killed there from
 * outside is no proof against it. */
#define BROKEN_MAX 3

/* The nodes of the snapshot, until the tree is there. */
struct seed {
	struct definition *definition;
	struct journal_node node;
};

struct recovery {
	struct manager *m;
	struct held *held;
	struct err *err;
	struct seed *seeds; /* by index */
	uint32_t seeds_room;
};

/* --- before the replay --- */

/* Numbers that the log is ahead of the snapshot with. */
static int scan(struct manager *m)
{
	uint64_t at = 0;
	const struct journal_record *record;
	const void *payload;
	int got;
	m->orders_done_before = m->journal.header->order_done;
	while ((got = journal_read(&m->journal, &at, &record, &payload)) == 1) {
		if (record->kind == JOURNAL_META) {
			const struct journal_meta *meta = payload;
			m->deaths_consumed = meta->deaths_consumed;
			m->request_last = meta->request_last;
			m->spawn_sequence = meta->spawn_sequence;
			m->started_at_s = meta->started_at_s;
			m->ended = meta->ended != 0;
			m->end_status = meta->end_status;
		} else if (record->kind == JOURNAL_EVENT) {
			const struct journal_event *event = payload;
			if (event->order > m->orders_done_before) {
				m->orders_done_before = event->order;
			}
			if (event->death > m->deaths_consumed) {
				m->deaths_consumed = event->death;
			}
			if (event->event.request > m->request_last) {
				m->request_last = event->event.request;
			}
		}
	}
	return got;
}

static void note_broken(struct manager *m)
{
	struct journal_header *header = m->journal.header;
	uint64_t at = atomic_exchange(&header->stepping, 0);
	if (at == 0) {
		return;
	}
	header->broken_count = header->broken == at ? header->broken_count + 1 : 1;
	header->broken = at;
	if (header->broken_count >= BROKEN_MAX) {
		journal_drop(&m->journal, at);
	}
}

/* --- the snapshot --- */

static int take_node(struct recovery *r, const struct journal_node *record)
{
	struct manager *m = r->m;
	if (record->index >= r->seeds_room) {
		uint32_t room = record->index * 2 + 64;
		struct seed *seeds = realloc(r->seeds, room * sizeof(*seeds));
		if (seeds == NULL) {
			return err_set(r->err, ENOMEM, "no memory");
		}
		memset(&seeds[r->seeds_room], 0, (room - r->seeds_room) * sizeof(*seeds));
		r->seeds = seeds;
		r->seeds_room = room;
	}
	struct seed *seed = &r->seeds[record->index];
	seed->node = *record;
	seed->definition = units_definition(m, (const char *)(record + 1), r->err);
	return seed->definition == NULL ? -EINVAL : 0;
}

static const struct tree_child_rules *rules_of(
	void *context, uint32_t node, uint32_t parent, uint32_t generation)
{
	struct recovery *r = context;
	(void)parent;
	if (node >= r->seeds_room || r->seeds[node].definition == NULL ||
		r->seeds[node].node.generation != generation) {
		return NULL;
	}
	return &r->seeds[node].definition->child;
}

static void node_restore(struct manager *m, const struct journal_node *record)
{
	struct node *node = node_at(m, record->index);
	node->searching = record->searching;
	node->parent_pid = record->parent_pid;
	node->last_pid = record->last_pid;
	node->search_since_ns = record->search_since_ns;
}

static int enter_seeds(struct recovery *r)
{
	for (uint32_t i = 0; i < r->seeds_room; i++) {
		struct seed *seed = &r->seeds[i];
		if (seed->definition == NULL) {
			continue;
		}
		int failed = node_enter(
			r->m, i, seed->node.parent, seed->node.is_static, seed->definition);
		if (failed != 0) {
			return err_set(r->err, -failed, "no memory");
		}
		node_restore(r->m, &seed->node);
	}
	return 0;
}

static void arm_deadlines(struct manager *m)
{
	for (uint32_t i = 0; i < m->nodes_room; i++) {
		struct tree_view view;
		if (m->nodes[i] != NULL) {
			tree_look(m->tree, i, m->now, &view);
			if (view.deadline_ns != 0) {
				timers_set(&m->timers, &m->nodes[i]->deadline, view.deadline_ns);
			}
		}
	}
}

static int take_tree(struct recovery *r, const void *payload, size_t size)
{
	struct manager *m = r->m;
	struct tree_config config = {0};
	if (r->seeds_room == 0 || r->seeds[0].definition == NULL) {
		return err_set(r->err, EPROTO, "the journal has no root");
	}
	m->tree = tree_create(&config, &r->seeds[0].definition->child);
	if (m->tree == NULL) {
		return err_set(r->err, ENOMEM, "no memory");
	}
	int failed = tree_load(m->tree, payload, size, rules_of, r);
	if (failed != 0) {
		return err_set(r->err, -failed, "the state of the tree cannot be loaded: %s",
			strerror(-failed));
	}
	failed = enter_seeds(r);
	if (failed == 0) {
		arm_deadlines(m);
	}
	return failed;
}

/* --- the log --- */

/* A child that was made at run time: the same place in the tree must come of it. */
static int replay_node(struct recovery *r, const struct journal_node *record)
{
	struct manager *m = r->m;
	struct definition *d = units_definition(m, (const char *)(record + 1), r->err);
	if (d == NULL) {
		return -EINVAL;
	}
	uint32_t index = record->is_static ? tree_add(m->tree, record->parent, &d->child)
					   : tree_add_dynamic(m->tree, record->parent, &d->child);
	int failed = index == record->index ? 0 : -EPROTO;
	if (failed == 0) {
		failed = node_enter(m, index, record->parent, record->is_static, d);
	}
	definition_release(d);
	return failed == 0 ? 0 : err_set(r->err, -failed, "the journal does not fit the tree");
}

static void replay_event(struct recovery *r, const struct journal_event *event, uint64_t sequence)
{
	struct manager *m = r->m;
	if (journal_is_dropped(&m->journal, sequence)) {
		log_error("the core fails at event '%s' of %s: it is left out",
			event->event.kind < EV_COUNT ? tree_event_names[event->event.kind] : "?",
			node_name(m, event->event.node));
		if (event->event.request != 0) {
			request_reply(m, event->event.request, RESULT_FAILED);
		}
		return;
	}
	manager_replay(m, &event->event, sequence);
}

static int replay_record(
	struct recovery *r, const struct journal_record *record, const void *payload)
{
	struct manager *m = r->m;
	switch ((enum journal_kind)record->kind) {
	case JOURNAL_META:
		return units_restore(
			m, r->held, ((const struct journal_meta *)payload)->units_number, r->err);
	case JOURNAL_NODE: return m->tree == NULL ? take_node(r, payload) : replay_node(r, payload);
	case JOURNAL_TREE: return take_tree(r, payload, record->size);
	case JOURNAL_EVENT:
		CHECK(m->tree != NULL);
		replay_event(r, payload, record->sequence);
		return 0;
	case JOURNAL_STATUS: notify_restored(m, payload); return 0;
	case JOURNAL_REQUEST: request_restored(m, payload); return 0;
	}
	return err_set(r->err, EPROTO, "unknown record %u in the journal", record->kind);
}

static int replay(struct recovery *r)
{
	struct manager *m = r->m;
	/* What comes of it is written behind, and is not read here. */
	uint64_t end = m->journal.length, at = 0;
	const struct journal_record *record;
	const void *payload;
	while (at < end) {
		int got = journal_read(&m->journal, &at, &record, &payload);
		if (got != 1) {
			return err_set(r->err, EPROTO, "the journal is damaged");
		}
		int failed = replay_record(r, record, payload);
		if (failed != 0) {
			return failed;
		}
	}
	return m->tree == NULL ? err_set(r->err, ENODATA, "the journal is empty") : 0;
}

int recover(struct manager *m, struct held *held, struct err *err)
{
	struct recovery r = {.m = m, .held = held, .err = err};
	if (scan(m) < 0) {
		return err_set(err, EPROTO, "the journal is damaged");
	}
	note_broken(m);
	share_map_rebuild(m->share);
	deaths_clear_consumed(m);
	slots_rebuild(m);
	m->replaying = true;
	m->held = held;
	int failed = replay(&r);
	m->held = NULL;
	recover_attach_slots(m);
	m->replaying = false;
	m->orders_done_before = 0;
	for (uint32_t i = 0; i < r.seeds_room; i++) {
		definition_release(r.seeds[i].definition);
	}
	free(r.seeds);
	return failed;
}

void recover_attach_slots(struct manager *m)
{
	if (m->slots_attached) {
		return;
	}
	m->slots_attached = true;
	uint32_t used = atomic_load(&m->share->slots_used_max);
	for (uint32_t i = 0; i < used; i++) {
		struct share_slot *slot = slot_at(m, i);
		struct node *node = node_of_generation(m, slot->node, slot->node_generation);
		if (node != NULL && slot->role <= ROLE_CONTROL &&
			atomic_load(&slot->state) != SLOT_FREE) {
			node->slots[slot->role] = i;
			if (atomic_load(&slot->state) == SLOT_CLAIMED) {
				atomic_store(&slot->state, SLOT_ALIVE);
			}
		}
	}
}

/* --- afterwards: the tree and the slots are held against each other --- */

static bool tree_knows(struct manager *m, uint32_t index)
{
	const struct share_slot *slot = slot_at(m, index);
	struct tree_view view;
	if (node_of_generation(m, slot->node, slot->node_generation) == NULL) {
		return false;
	}
	tree_look(m->tree, slot->node, m->now, &view);
	bool main_alive =
		view.main_alive || (view.finding && atomic_load(&slot->state) == SLOT_ADOPTED);
	return view.incarnation == slot->incarnation && slot->role <= ROLE_CONTROL &&
	       (slot->role == ROLE_MAIN ? main_alive : view.control_alive);
}

static void kill_unknown(struct manager *m)
{
	uint32_t used = atomic_load(&m->share->slots_used_max);
	for (uint32_t i = 0; i < used; i++) {
		struct share_slot *slot = slot_at(m, i);
		if (atomic_load(&slot->state) == SLOT_FREE || slot->node == NODE_NONE ||
			tree_knows(m, i)) {
			continue;
		}
		if (slot->role <= ROLE_CONTROL) {
			log_warning("%.63s: process %d is not known to the tree; killing it",
				slot->unit, atomic_load(&slot->pid));
		}
		struct node *node = node_of_generation(m, slot->node, slot->node_generation);
		if (node != NULL && slot->role < ROLES && node->slots[slot->role] == i) {
			slot_detach(m, node, slot->role);
		}
		slot->node = NODE_NONE;
		slot_signal(m, i, SIGKILL, true);
		slot_signal(m, i, SIGKILL, false);
	}
}

static void post_lost(
	struct manager *m, struct node *node, enum service_role role, const struct tree_view *view)
{
	struct tree_event event = {.kind = EV_EXITED,
		.role = (uint8_t)role,
		.node = node->index,
		.generation = node->generation,
		.incarnation = view->incarnation,
		.end = {.reason = REASON_LOST}};
	log_warning("%s: its process is gone, and nobody saw how", node_unit_name(node));
	manager_post(m, &event, 0, 0);
}

static void node_reconcile(struct manager *m, struct node *node)
{
	struct tree_view view;
	tree_look(m->tree, node->index, m->now, &view);
	if (view.main_alive && node->slots[ROLE_MAIN] == SHARE_SLOT_NONE) {
		post_lost(m, node, ROLE_MAIN, &view);
	}
	if (view.control_alive && node->slots[ROLE_CONTROL] == SHARE_SLOT_NONE) {
		post_lost(m, node, ROLE_CONTROL, &view);
	}
	if (node->searching && node->search.place == TIMER_NOT_ARMED) {
		node->searching = false;
		if (view.finding) {
			find_main_resume(m, node);
		}
	}
}

/* A manager that died before it had begun: the snapshot is of a tree that was never started. The
 * core takes no notice of this event in a tree that has ended. */
static void boot_if_never(struct manager *m)
{
	struct tree_view root;
	tree_look(m->tree, 0, m->now, &root);
	if (!m->ended && root.state == STATE_STOPPED && root.cause == CAUSE_NONE) {
		struct tree_event event = {.kind = EV_BOOT};
		manager_post(m, &event, 0, 0);
	}
}

void recover_finish(struct manager *m)
{
	manager_run_all(m);
	boot_if_never(m);
	manager_run_all(m);
	deaths_post_marked(m);
	manager_run_all(m);
	deaths_drain(m);
	kill_unknown(m);
	for (uint32_t i = 0; i < m->nodes_room; i++) {
		if (m->nodes[i] != NULL && node_unit(m->nodes[i])->kind == UNIT_SERVICE) {
			node_reconcile(m, m->nodes[i]);
		}
	}
	manager_run_all(m);
	watchdogs_resume(m);
	health_resume(m);
	if (m->ended) {
		/* It is not known whether the keeper has heard it. */
		keeper_tell(m, SHARE_MSG_END, m->end_status, m->end_status != 0);
	}
}
