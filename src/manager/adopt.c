#include <signal.h>
#include <string.h>

#include "base/log.h"
#include "base/span.h"
#include "manager/manager.h"

/* The journal is lost, or is what kills the managers. The living processes are known by their
 * slots: unit and role. A fresh tree starts, and an order to start what already lives is answered
 * with that process. Best effort: restarts counted before, and what was stopped by hand, are
 * forgotten. */

#define PATIENCE_NS (30 * NS_PER_SEC)

void adopt_begin(struct manager *m)
{
	uint32_t used = atomic_load(&m->share->slots_used_max);
	share_map_rebuild(m->share);
	for (uint32_t i = 0; i < used; i++) {
		slot_at(m, i)->node = NODE_NONE;
		slot_at(m, i)->order_id = 0;
	}
	slots_rebuild(m);
	deaths_post_marked(m);
	deaths_drain(m);
	m->adopting = true;
	timer_init(&m->adopt_timer, TIMER_ADOPT);
	timers_reserve(&m->timers, 1);
	timers_set(&m->timers, &m->adopt_timer, m->now + PATIENCE_NS);
}

static bool is_living_of(struct manager *m, uint32_t index, const struct node *node)
{
	const struct share_slot *slot = slot_at(m, index);
	return atomic_load(&slot->state) != SLOT_FREE && slot->node == NODE_NONE &&
	       slot->role == ROLE_MAIN &&
	       strncmp(slot->unit, node_unit_name(node), sizeof(slot->unit) - 1) == 0 &&
	       !slot_is_dead(m, index);
}

/* Slots were taken in the order of starts, and the starts come in the same order again: the search
 * goes on where the last one ended. */
static uint32_t living_slot(struct manager *m, const struct node *node)
{
	uint32_t used = atomic_load(&m->share->slots_used_max);
	for (uint32_t i = 0; i < used; i++) {
		uint32_t index = (m->adopt_cursor + i) % used;
		if (is_living_of(m, index, node)) {
			m->adopt_cursor = index;
			return index;
		}
	}
	return SHARE_SLOT_NONE;
}

static void answer(struct manager *m, const struct tree_order *order, enum tree_event_kind kind)
{
	struct tree_event event = {.kind = (uint8_t)kind,
		.role = order->role,
		.flag = true,
		.node = order->node,
		.generation = order->generation,
		.incarnation = order->incarnation,
		.end = {.reason = kind == EV_EXITED ? REASON_EXIT : REASON_NONE}};
	manager_post(m, &event, kind == EV_SPAWNED ? order->id : 0, 0);
}

/* As if it had run and ended well. */
static void answer_done(struct manager *m, const struct tree_order *order)
{
	answer(m, order, EV_SPAWNED);
	answer(m, order, EV_EXITED);
}

static void take_over(
	struct manager *m, struct node *node, const struct tree_order *order, uint32_t index)
{
	struct share_slot *slot = slot_at(m, index);
	if (atomic_load(&slot->state) == SLOT_ADOPTED) {
		/* The main process of a forking service: the parent "ends", and the search for the
		 * main process finds it, by its PIDFile= or as the one that is left. */
		node->parent_pid = atomic_load(&slot->pid);
		slot_free(m, index);
		answer_done(m, order);
		return;
	}
	slot_attach(m, node, ROLE_MAIN, index);
	slot->incarnation = order->incarnation;
	slot->order_id = order->id;
	atomic_store(&slot->state, SLOT_ALIVE);
	node->last_pid = atomic_load(&slot->pid);
	answer(m, order, EV_SPAWNED);
	uint8_t type = node->definition->service.type;
	if (type == SERVICE_NOTIFY || type == SERVICE_NOTIFY_RELOAD) {
		answer(m, order, EV_READY);
	}
}

bool adopt_spawn(struct manager *m, struct node *node, const struct tree_order *order)
{
	if (order->phase == PHASE_START && order->role == ROLE_MAIN && order->index == 0) {
		uint32_t slot = living_slot(m, node);
		node->adopted = slot != SHARE_SLOT_NONE;
		if (node->adopted) {
			take_over(m, node, order, slot);
		}
		return node->adopted;
	}
	if (order->phase == PHASE_START_PRE && living_slot(m, node) != SHARE_SLOT_NONE) {
		answer_done(m, order);
		return true;
	}
	if (order->phase == PHASE_START_POST && node->adopted) {
		answer_done(m, order);
		return true;
	}
	return false;
}

void adopt_instances(struct manager *m)
{
	uint32_t used = atomic_load(&m->share->slots_used_max);
	for (uint32_t i = 0; i < used; i++) {
		const struct share_slot *slot = slot_at(m, i);
		struct node *supervisor = NULL;
		struct err err = {{0}};
		if (atomic_load(&slot->state) == SLOT_FREE || slot->node != NODE_NONE ||
			slot->role != ROLE_MAIN || node_by_name(m, slot->unit) != NULL ||
			units_template_of(m, slot->unit, &supervisor) == NULL ||
			supervisor == NULL) {
			continue;
		}
		if (request_add(m, slot->unit, NULL, &err) != 0) {
			log_warning("%s", err.text);
		}
	}
	manager_run_all(m);
}

void adopt_finish(struct manager *m)
{
	uint32_t used = atomic_load(&m->share->slots_used_max);
	m->adopting = false;
	timers_clear(&m->timers, &m->adopt_timer);
	for (uint32_t i = 0; i < used; i++) {
		struct share_slot *slot = slot_at(m, i);
		if (atomic_load(&slot->state) != SLOT_FREE && slot->node == NODE_NONE) {
			log_warning("%.63s: process %d has no place in the tree; ending it",
				slot->unit, atomic_load(&slot->pid));
			slot_signal(m, i, slot->stop_signal > 0 ? slot->stop_signal : SIGTERM,
				slot->group == SHARE_GROUP_KILL);
		}
	}
}
