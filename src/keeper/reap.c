#include "keeper/state.h"

#include "base/compat.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <sys/wait.h>

/* One SIGCHLD names one death and may stand for many: the others are searched for. A sweep asks the
 * kernel for any dead child, which looks at every living one (0.04 to 0.13 µs each); a cheap one
 * follows each signal. An expensive one would stand between a death and its restart. Then a walk
 * asks for the pids of the slots one by one (0.4 µs each), in pieces that no other death has to
 * wait for, and the sweep, which also finds those that have no slot, comes much later. */
#define CHEAP_NS         (20 * NS_PER_US)
#define PIECE_NS         (20 * NS_PER_US)
#define SWEEP_REST       1024 /* times what a sweep takes, but not longer than a second */
#define SWEEP_REST_SHORT 16   /* when orphans are waited for */
#define WALK_REST_NS     (4 * NS_PER_US) /* times the slots, from one walk to the next */
#define WALK_LATER_NS    NS_PER_MS       /* the restart of the one that was named comes first */

#define REAP (WEXITED | WNOHANG | __WALL)
#define PEEK (REAP | WNOWAIT)

/* What tells one start in a slot from the next. Never 0. */
static uint64_t slot_print(const struct share_slot *slot)
{
	uint64_t print = slot->order_id * UINT64_C(0x9e3779b97f4a7c15) ^ slot->sequence;
	print = print * UINT64_C(0xbf58476d1ce4e5b9) ^ (uint64_t)atomic_load(&slot->pid);
	return (print ^ slot->incarnation) | UINT64_C(1) << 63;
}

uint32_t reap_slots_end(void)
{
	uint32_t end = atomic_load(&keeper.share->slots_used_max);
	return end < SHARE_SLOTS_MAX ? end : SHARE_SLOTS_MAX;
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
	for (index = 0; index < reap_slots_end(); index++) {
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

/* Then zombies are the ring's overflow. */
static bool reaping_paused(void)
{
	return atomic_load(&keeper.share->reaping_paused) != 0;
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

/* Takes one pid, if it is dead. False: it has to wait. */
static bool reap_pid(pid_t pid)
{
	siginfo_t info = {.si_pid = 0};
	struct rusage usage;
	bool dead = pid > 1 && compat_waitid(P_PID, pid, &info, PEEK, &usage) == 0 &&
		    info.si_pid == pid;
	return !dead || reap_take(&info, &usage);
}

void reap_sweep(void)
{
	uint64_t until = keeper_now() + PIECE_NS, now = 0;
	for (bool more = true; more && now < until;) {
		siginfo_t info = {.si_pid = 0};
		struct rusage usage;
		now = keeper_now();
		int error = compat_waitid(P_ALL, 0, &info, PEEK, &usage);
		keeper.childless = error == -ECHILD;
		if (error < 0 || info.si_pid == 0) {
			keeper.sweep_cost_ns = keeper_now() - now;
			more = false;
		} else {
			more = reap_take(&info, &usage);
		}
		keeper.sweep_at_ns = more ? 0 : SPAN_INFINITY;
	}
	ring_wake();
}

static bool walk_under_way(void)
{
	return keeper.walk_slot > 0 || keeper.walk_wanted;
}

/* One piece of a walk. */
static void reap_walk(void)
{
	uint64_t now = keeper_now(), until = now + PIECE_NS;
	uint32_t end = reap_slots_end();
	bool room = true;
	keeper.walk_wanted = keeper.walk_wanted && keeper.walk_slot > 0;
	for (; room && keeper.walk_slot < end && now < until; now = keeper_now()) {
		uint32_t index = keeper.walk_slot++;
		room = !reap_slot_alive(index) ||
		       reap_pid(atomic_load(&keeper.share->slots[index].pid));
	}
	if (keeper.walk_slot >= end) {
		keeper.walk_slot = 0;
		keeper.walk_at_ns = now + end * WALK_REST_NS;
	}
	ring_wake();
}

uint64_t reap_due(void)
{
	if (reaping_paused()) {
		return SPAN_INFINITY;
	}
	return walk_under_way() ? span_earlier(keeper.walk_at_ns, keeper.sweep_at_ns)
				: keeper.sweep_at_ns;
}

void reap_search(void)
{
	if (walk_under_way() && keeper_now() >= keeper.walk_at_ns) {
		reap_walk();
	} else {
		reap_sweep();
	}
}

void reap_signal(pid_t pid)
{
	reap_pid(keeper.manager_pid); /* Its death alone never waits. */
	if (reaping_paused()) {
		return;
	}
	reap_pid(pid);
	ring_wake();
	uint64_t now = keeper_now(), rest = 0;
	if (keeper.sweep_cost_ns > CHEAP_NS) {
		bool soon = ring_unused() || atomic_load(&keeper.share->orphans_wanted) != 0;
		rest = keeper.sweep_cost_ns * (soon ? SWEEP_REST_SHORT : SWEEP_REST);
		if (!walk_under_way()) {
			keeper.walk_at_ns = span_later(keeper.walk_at_ns, now + WALK_LATER_NS);
		}
		keeper.walk_wanted = true;
	}
	keeper.sweep_at_ns = span_earlier(keeper.sweep_at_ns, now + span_earlier(rest, NS_PER_SEC));
}

void reap_resume(void)
{
	if (atomic_exchange(&keeper.share->reaping_paused, 0) != 0) {
		keeper.walk_wanted = true;
		keeper.walk_at_ns = keeper.sweep_at_ns = 0;
	}
}
