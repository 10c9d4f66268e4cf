#include <errno.h>
#include <signal.h>
#include <string.h>

#include "base/check.h"
#include "base/span.h"
#include "manager/cgroup.h"
#include "manager/manager.h"

/* A start through coppice-exec that fails in it ends by one of its statuses, and soon. */
#define HELPER_PATIENCE_NS (2 * NS_PER_SEC)

static bool helper_failed(
	struct manager *m, const struct share_slot *slot, int status, struct service_end *end)
{
	const struct node *node = node_of_generation(m, slot->node, slot->node_generation);
	enum process_step step;
	int error = 0;
	if (node == NULL || node->definition->plan.helper == NULL ||
		m->now - slot->spawned_at_ns > HELPER_PATIENCE_NS ||
		!process_helper_step(status, &step)) {
		return false;
	}
	bool said = misses_failure(m, atomic_load(&slot->pid), status, &error);
	if (!said && m->misses_fd >= 0 && slot->spawned_at_ns > m->misses_since_ns) {
		return false; /* it would have said so: the service itself ended like that */
	}
	if (error == 0) {
		error = step == PROCESS_STEP_USER || step == PROCESS_STEP_GROUP ? ESRCH : ENOENT;
	}
	end->reason = REASON_EXEC;
	end->step = (uint8_t)step;
	end->number = error;
	return true;
}

void death_end(struct manager *m, uint32_t index, int code, int status, struct service_end *end)
{
	struct share_slot *slot = slot_at(m, index);
	int exec_errno = atomic_load(&slot->exec_errno);
	*end = (struct service_end){0};
	if (exec_errno != 0) {
		end->reason = REASON_EXEC;
		end->step = (uint8_t)atomic_load(&slot->exec_step);
		end->number = exec_errno;
	} else if (code == CLD_EXITED) {
		if (!helper_failed(m, slot, status, end)) {
			end->reason = REASON_EXIT;
			end->number = status;
		}
	} else {
		end->reason = REASON_SIGNAL;
		end->number = status;
		end->dumped = code == CLD_DUMPED;
	}
}

/* The node whose process this is, or NULL when nobody asks about it any more. */
static struct node *slot_owner(struct manager *m, uint32_t index)
{
	const struct share_slot *slot = slot_at(m, index);
	struct node *node = node_of_generation(m, slot->node, slot->node_generation);
	if (node == NULL || slot->role > ROLE_CONTROL || node->slots[slot->role] != index) {
		return NULL;
	}
	return node;
}

static void post_exited(
	struct manager *m, struct node *node, uint32_t index, int code, int status, uint64_t death)
{
	struct share_slot *slot = slot_at(m, index);
	struct tree_event event = {.kind = EV_EXITED,
		.role = (uint8_t)slot->role,
		.node = node->index,
		.generation = node->generation,
		.incarnation = slot->incarnation};
	/* What it said before it died comes first: READY=1 makes it a death of a service that was
	 * up. */
	if (node->notify_fd >= 0) {
		notify_drain(m, node);
	}
	if (slot->role == ROLE_MAIN) {
		ready_pipe_read(m, node);
	}
	death_end(m, index, code, status, &event.end);
	if (event.end.reason == REASON_SIGNAL && event.end.number == SIGKILL &&
		cgroup_was_oom(m, node)) {
		event.end = (struct service_end){.reason = REASON_OOM};
	}
	if (slot->role == ROLE_MAIN) {
		node->last_pid = atomic_load(&slot->pid);
		node->parent_pid = node->last_pid;
	}
	manager_post(m, &event, 0, death);
	node->slots[slot->role] = SHARE_SLOT_NONE;
}

/* The slot of a record. The keeper may have had no map to look into when it wrote it. */
static uint32_t death_slot(struct manager *m, const struct share_death *death)
{
	uint32_t index = death->slot;
	if (index == SHARE_SLOT_NONE) {
		index = share_find(m->share, death->pid);
	}
	if (index >= SHARE_SLOTS_MAX || atomic_load(&slot_at(m, index)->pid) != death->pid ||
		atomic_load(&slot_at(m, index)->state) == SLOT_FREE ||
		slot_at(m, index)->spawned_at_ns > death->time_ns) {
		return SHARE_SLOT_NONE;
	}
	return index;
}

/* The end of a health check: true when it was one. Nobody else asks about it. */
static bool probe_ended(struct manager *m, uint32_t index, int code, int status)
{
	const struct share_slot *slot = slot_at(m, index);
	struct node *node = node_of_generation(m, slot->node, slot->node_generation);
	struct service_end end;
	if (slot->role != ROLE_PROBE) {
		return false;
	}
	if (node != NULL && node->slots[ROLE_PROBE] == index) {
		death_end(m, index, code, status, &end);
		node->slots[ROLE_PROBE] = SHARE_SLOT_NONE;
		health_process_ended(m, node, &end);
	}
	return true;
}

static void death_take(struct manager *m, const struct share_death *death)
{
	uint32_t index = death_slot(m, death);
	if (index == SHARE_SLOT_NONE) {
		return;
	}
	if (probe_ended(m, index, death->code, death->status)) {
		slot_free(m, index);
		return;
	}
	struct node *node = slot_owner(m, index);
	if (node != NULL && death->sequence > m->deaths_consumed) {
		post_exited(m, node, index, death->code, death->status, death->sequence);
	}
	m->deaths_consumed = death->sequence;
	slot_free(m, index);
}

bool deaths_wait(const struct manager *m)
{
	return !m->keeper_gone &&
	       atomic_load_explicit(&m->share->ring_head, memory_order_acquire) !=
		       atomic_load_explicit(&m->share->ring_tail, memory_order_relaxed);
}

void deaths_drain(struct manager *m)
{
	struct share *share = m->share;
	uint64_t tail = atomic_load_explicit(&share->ring_tail, memory_order_relaxed);
	/* Those that come meanwhile are for the next turn: a child that dies at each start must not
	 * keep everybody else waiting. */
	uint64_t head = atomic_load_explicit(&share->ring_head, memory_order_acquire);
	while (tail != head) {
		struct share_death death = share->ring[tail % SHARE_RING_SIZE];
		death_take(m, &death);
		atomic_store_explicit(&share->ring_tail, ++tail, memory_order_release);
		manager_run(m);
	}
	if (atomic_load_explicit(&share->reaping_paused, memory_order_acquire) != 0) {
		keeper_tell(m, SHARE_MSG_DRAINED, 0, 0);
	}
}

void deaths_clear_consumed(struct manager *m)
{
	struct share *share = m->share;
	uint64_t tail = atomic_load(&share->ring_tail);
	while (tail != atomic_load_explicit(&share->ring_head, memory_order_acquire)) {
		const struct share_death *death = &share->ring[tail % SHARE_RING_SIZE];
		if (death->sequence > m->deaths_consumed) {
			break;
		}
		uint32_t index = death_slot(m, death);
		if (index != SHARE_SLOT_NONE) {
			atomic_store(&slot_at(m, index)->state, SLOT_FREE);
			atomic_store(&slot_at(m, index)->pid, 0);
		}
		atomic_store(&share->ring_tail, ++tail);
	}
}

void deaths_post_marked(struct manager *m)
{
	uint32_t used = atomic_load(&m->share->slots_used_max);
	for (uint32_t i = 0; i < used; i++) {
		struct share_slot *slot = slot_at(m, i);
		if (atomic_load(&slot->state) == SLOT_FREE || atomic_load(&slot->dead) == 0) {
			continue;
		}
		struct node *node = slot_owner(m, i);
		int status = slot->dead_status;
		if (probe_ended(m, i, CLD_EXITED, 1)) {
			slot_free(m, i);
			continue;
		}
		if (node != NULL) {
			int code = (status & 0x7f) == 0   ? CLD_EXITED
				   : (status & 0x80) != 0 ? CLD_DUMPED
							  : CLD_KILLED;
			post_exited(m, node, i, code,
				code == CLD_EXITED ? (status >> 8) & 0xff : status & 0x7f, 0);
		}
		slot_free(m, i);
	}
}
