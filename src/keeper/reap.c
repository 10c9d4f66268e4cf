#include "keeper/state.h"

#include "base/compat.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <sys/wait.h>

/* Reaps of one sweep; more follow in the next turn, so that signals and messages are not starved.
 */
#define SWEEP_MAX 512

/* The kernel's search for any dead child looks at every living one (0.13 µs each), while asking for
 * the pid that a SIGCHLD names does not. Searches are needed, because one signal may stand for many
 * deaths; an expensive one is put off, so that searching takes a small share of the time and never
 * stands between a death and its restart. */
#define SWEEP_CHEAP_NS (20 * NS_PER_US)
#define SWEEP_SHARE    64
#define SWEEP_LATE_NS  (20 * NS_PER_MS)

#define REAP (WEXITED | WNOHANG | __WALL)
#define PEEK (REAP | WNOWAIT)

/* What tells one start in a slot from the next. Never 0. */
static uint64_t slot_print(const struct share_slot *slot)
{
	uint64_t print = slot->order_id * UINT64_C(0x9e3779b97f4a7c15) ^ slot->sequence;
	print = print * UINT64_C(0xbf58476d1ce4e5b9) ^ (uint64_t)atomic_load(&slot->pid);
	return (print ^ slot->incarnation) | UINT64_C(1) << 63;
}

bool reap_slot_alive(uint32_t index)
{
	const struct share_slot *slot = &keeper.share->slots[index];
	return atomic_load(&slot->state) != SLOT_FREE && atomic_load(&slot->pid) > 1 &&
	       atomic_load(&slot->dead) == 0 && keeper.reaped[index] != slot_print(slot);
}

/* The slot of a pid that is dead and not reaped. The slot whose clone is under way comes first: it
 * is in the map before `spawning` moves on, so looking in this order cannot miss it. A slot whose
 * death was taken before has a pid that came again: in another slot, or in an orphan. */
static uint32_t slot_find(pid_t pid)
{
	struct share *share = keeper.share;
	uint32_t index = atomic_load(&share->spawning);
	if (index >= SHARE_SLOTS_MAX || atomic_load(&share->slots[index].pid) != pid) {
		index = share_find(share, pid);
	}
	if (index == SHARE_SLOT_NONE || reap_slot_alive(index)) {
		return index;
	}
	uint32_t end = atomic_load(&share->slots_used_max);
	for (index = 0; index < end && index < SHARE_SLOTS_MAX; index++) {
		if (atomic_load(&share->slots[index].pid) == pid && reap_slot_alive(index)) {
			return index;
		}
	}
	return SHARE_SLOT_NONE;
}

/* Nobody will read the ring: deaths are marked in the slots. */
static bool ring_unused(void)
{
	return keeper.manager_pid == 0 && (keeper.caretaker || keeper.ending || keeper.stop_alone);
}

/* Room for a record, or reaping is paused. The manager moves the tail and then looks at the flag,
 * we set the flag and then look at the tail: one of us sees the other. */
static bool ring_room(void)
{
	if (share_ring_full(keeper.share)) {
		atomic_store(&keeper.share->reaping_paused, 1);
		if (share_ring_full(keeper.share)) {
			return false;
		}
	}
	atomic_store(&keeper.share->reaping_paused, 0);
	return true;
}

static void ring_wake(void)
{
	if (keeper.news) {
		keeper.news = false;
		eventfd_write(SHARE_FD_DEATH, 1);
	}
}

/* The death of a slot's process. What is left of its group is killed before anybody can read of the
 * death, while the zombie still guards the number. */
static void slot_end(uint32_t index, const siginfo_t *info, bool mark)
{
	struct share_slot *slot = &keeper.share->slots[index];
	if (slot->group == SHARE_GROUP_KILL) {
		kill(-info->si_pid, SIGKILL);
	}
	keeper.reaped[index] = slot_print(slot);
	if (mark) {
		int status = info->si_code == CLD_EXITED ? info->si_status << 8 : info->si_status;
		slot->dead_status = status | (info->si_code == CLD_DUMPED ? 0x80 : 0);
		atomic_store(&slot->dead, 1);
	}
}

/* A death that was peeked at. False: it has to wait. */
static bool reap_take(const siginfo_t *info, const struct rusage *usage)
{
	struct share *share = keeper.share;
	siginfo_t ignored;
	if (info->si_pid == keeper.manager_pid) {
		compat_waitid(P_PID, info->si_pid, &ignored, REAP, NULL);
		manager_died(info->si_code, info->si_status);
		return true;
	}
	uint32_t index = slot_find(info->si_pid);
	bool known = index != SHARE_SLOT_NONE;
	bool mark = ring_unused();
	bool publish = !mark && (known || atomic_load(&share->orphans_wanted) != 0);
	if (publish && !ring_room()) {
		return false;
	}
	if (known) {
		slot_end(index, info, mark);
	} else {
		share->orphans_reaped++;
	}
	if (publish) {
		share_ring_publish(share, index, info, usage, keeper_now());
		keeper.news = true;
	}
	share->deaths_seen++;
	compat_waitid(P_PID, info->si_pid, &ignored, REAP, NULL);
	return true;
}

/* Takes one pid, if it is dead. The commonest death of process 1, an orphan that nobody asked for,
 * costs one call. */
static void reap_pid(pid_t pid)
{
	siginfo_t info = {.si_pid = 0};
	struct rusage usage;
	bool orphan = pid != keeper.manager_pid &&
		      atomic_load(&keeper.share->orphans_wanted) == 0 &&
		      slot_find(pid) == SHARE_SLOT_NONE;
	int error = compat_waitid(P_PID, pid, &info, orphan ? REAP : PEEK, &usage);
	if (error < 0 || info.si_pid != pid) {
		return;
	}
	if (orphan) {
		keeper.share->orphans_reaped++;
		keeper.share->deaths_seen++;
	} else {
		reap_take(&info, &usage);
	}
}

void reap_sweep(void)
{
	siginfo_t info;
	struct rusage usage;
	bool more = true;
	keeper.sweep_at_ns = SPAN_INFINITY;
	for (int i = 0; i < SWEEP_MAX && more; i++) {
		uint64_t before = keeper_now();
		info.si_pid = 0;
		int error = compat_waitid(P_ALL, 0, &info, PEEK, &usage);
		if (error < 0 || info.si_pid == 0) {
			keeper.childless = error == -ECHILD;
			keeper.sweep_cost_ns = keeper_now() - before;
			more = false;
		} else if (!reap_take(&info, &usage)) {
			reap_pid(keeper.manager_pid); /* Its death alone must not wait. */
			more = false;
		}
	}
	keeper.sweep_at_ns = more ? 0 : keeper.sweep_at_ns;
	ring_wake();
}

void reap_signal(pid_t pid)
{
	if (atomic_load(&keeper.share->reaping_paused) != 0) {
		reap_pid(keeper.manager_pid); /* Zombies are the ring's overflow. */
		return;
	}
	if (pid > 1) {
		reap_pid(pid);
		ring_wake();
	}
	if (keeper.sweep_cost_ns < SWEEP_CHEAP_NS) {
		reap_sweep();
	} else if (keeper.sweep_at_ns == SPAN_INFINITY) {
		uint64_t delay = keeper.sweep_cost_ns * SWEEP_SHARE;
		keeper.sweep_at_ns = keeper_now() + (delay < SWEEP_LATE_NS ? delay : SWEEP_LATE_NS);
	}
}

void reap_resume(void)
{
	if (atomic_exchange(&keeper.share->reaping_paused, 0) != 0) {
		keeper.sweep_at_ns = 0;
	}
}
