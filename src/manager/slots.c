#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "manager/manager.h"

static void slot_push_free(struct manager *m, uint32_t slot)
{
	CHECK(m->slots_free_count < SHARE_SLOTS_MAX);
	m->slots_free[m->slots_free_count++] = slot;
}

/* A claim whose clone never happened has no pid: the intent alone. */
static void slot_clear_claim(struct share_slot *slot)
{
	if (atomic_load(&slot->state) == SLOT_CLAIMED && atomic_load(&slot->pid) <= 0) {
		atomic_store(&slot->state, SLOT_FREE);
	}
}

void slots_rebuild(struct manager *m)
{
	m->slots_free_count = 0;
	atomic_store(&m->share->spawning, SHARE_SLOT_NONE);
	uint32_t used = atomic_load(&m->share->slots_used_max);
	for (uint32_t i = 0; i < used; i++) {
		slot_clear_claim(slot_at(m, i));
		if (slot_at(m, i)->sequence > m->spawn_sequence) {
			m->spawn_sequence = slot_at(m, i)->sequence;
		}
	}
	/* The lowest ones are taken first, so that few pages of the shared memory are touched. The
	 * ones that were never used are not in the list. */
	for (uint32_t i = used; i-- > 0;) {
		if (atomic_load(&slot_at(m, i)->state) == SLOT_FREE) {
			slot_push_free(m, i);
		}
	}
	share_map_rebuild(m->share);
}

bool slots_any(struct manager *m)
{
	uint32_t used = atomic_load(&m->share->slots_used_max);
	for (uint32_t i = 0; i < used; i++) {
		if (atomic_load(&slot_at(m, i)->state) != SLOT_FREE) {
			return true;
		}
	}
	return false;
}

uint32_t slot_claim(struct manager *m)
{
	uint32_t index;
	if (m->slots_free_count > 0) {
		index = m->slots_free[--m->slots_free_count];
	} else {
		index = atomic_load_explicit(&m->share->slots_used_max, memory_order_relaxed);
		if (index >= SHARE_SLOTS_MAX) {
			return SHARE_SLOT_NONE;
		}
		atomic_store(&m->share->slots_used_max, index + 1);
	}
	struct share_slot *slot = slot_at(m, index);
	atomic_store_explicit(&slot->pid, 0, memory_order_relaxed);
	atomic_store_explicit(&slot->exec_errno, 0, memory_order_relaxed);
	atomic_store_explicit(&slot->exec_step, 0, memory_order_relaxed);
	atomic_store_explicit(&slot->dead, 0, memory_order_relaxed);
	slot->node = NODE_NONE;
	slot->order_id = 0;
	return index;
}

void slot_free(struct manager *m, uint32_t index)
{
	struct share_slot *slot = slot_at(m, index);
	share_map_remove(m->share, index);
	atomic_store(&slot->state, SLOT_FREE);
	atomic_store(&slot->pid, 0);
	slot->node = NODE_NONE;
	slot->order_id = 0;
	slot_push_free(m, index);
}

void slot_attach(struct manager *m, struct node *node, uint32_t role, uint32_t index)
{
	struct share_slot *slot = slot_at(m, index);
	slot->node = node->index;
	slot->node_generation = node->generation;
	slot->role = role;
	node->slots[role] = index;
}

void slot_detach(struct manager *m, struct node *node, uint32_t role)
{
	if (node->slots[role] != SHARE_SLOT_NONE) {
		slot_at(m, node->slots[role])->node = NODE_NONE;
		node->slots[role] = SHARE_SLOT_NONE;
	}
}

bool slot_is_dead(struct manager *m, uint32_t index)
{
	struct share *share = m->share;
	pid_t pid = atomic_load(&slot_at(m, index)->pid);
	if (atomic_load(&slot_at(m, index)->dead) != 0) {
		return true;
	}
	uint64_t head = atomic_load_explicit(&share->ring_head, memory_order_acquire);
	uint64_t tail = atomic_load_explicit(&share->ring_tail, memory_order_relaxed);
	for (; tail != head; tail++) {
		const struct share_death *death = &share->ring[tail % SHARE_RING_SIZE];
		if (death->pid == pid && death->time_ns >= slot_at(m, index)->spawned_at_ns) {
			return true;
		}
	}
	return false;
}

struct alive_question {
	struct manager *m;
	uint32_t slot;
};

static bool is_alive(void *context)
{
	struct alive_question *question = context;
	return !slot_is_dead(question->m, question->slot);
}

int slot_signal(struct manager *m, uint32_t index, int signo, bool group)
{
	struct share_slot *slot = slot_at(m, index);
	pid_t pid = atomic_load(&slot->pid);
	struct alive_question question = {m, index};
	if (pid <= 1) {
		return -ESRCH;
	}
	/* The main process of a forking service may be no leader: its group is then somebody
	 * else's, and its number no group at all. */
	if (group && atomic_load(&slot->state) == SLOT_ADOPTED && getpgid(pid) != pid) {
		group = false;
	}
	int failed = process_signal(pid, signo, group, is_alive, &question);
	if (failed == -ENOSYS || failed == -EPERM) {
		struct share_message message = {
			.kind = SHARE_MSG_SIGNAL, .value = signo, .flag = group, .slot = index};
		failed = m->keeper_gone ? -ESRCH : share_send(m->keeper_fd, &message, -1);
	}
	return failed;
}

pid_t node_pid(struct manager *m, const struct node *node, enum service_role role)
{
	uint32_t slot = node->slots[role];
	return slot == SHARE_SLOT_NONE ? 0 : (pid_t)atomic_load(&slot_at(m, slot)->pid);
}
