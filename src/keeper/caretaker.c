#include "keeper/state.h"

#include "base/str.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define NOTIFY_PREFIX "notify:"
#define KILLED_NS     NS_PER_SEC /* what a process has to end after SIGKILL before we go on */

/* What to wait for, beside the number of a slot. */
#define ALL     SHARE_SLOT_NONE
#define MANAGER (SHARE_SLOT_NONE - 1)

/* --- without a manager --- */

void caretaker_enter(void)
{
	reap_resume(); /* The ring is not in use until the next manager. */
	keeper.stop_alone = keeper.stop_alone || atomic_load(&keeper.share->shutdown_wanted) != 0;
	keeper.notify_epoll = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event event = {.events = EPOLLIN, .data.fd = keeper.notify_epoll};
	epoll_ctl(KEEPER_FD_EPOLL, EPOLL_CTL_ADD, keeper.notify_epoll, &event);
	for (uint32_t i = 0; i < keeper.names.end; i++) {
		const struct share_name *place = &keeper.share->names[i];
		event.data.fd = place->fd;
		if (str_starts(place->name, NOTIFY_PREFIX)) {
			epoll_ctl(keeper.notify_epoll, EPOLL_CTL_ADD, place->fd, &event);
		}
	}
}

void caretaker_leave(void)
{
	if (keeper.notify_epoll >= 0) {
		close(keeper.notify_epoll);
		keeper.notify_epoll = -1;
	}
}

void caretaker_drain(void)
{
	struct epoll_event events[32];
	char ignored[16];
	int count = epoll_wait(keeper.notify_epoll, events, 32, 0);
	for (int i = 0; i < count; i++) {
		int fd = events[i].data.fd;
		ssize_t size = 0;
		/* Descriptors beside a message are closed by the kernel: we give no room for them.
		 */
		for (int n = 0; n < 64 && size >= 0; n++) {
			size = recv(fd, ignored, sizeof(ignored), MSG_DONTWAIT | MSG_TRUNC);
		}
		if (size < 0 && errno != EAGAIN && errno != EINTR) {
			epoll_ctl(keeper.notify_epoll, EPOLL_CTL_DEL, fd, NULL);
		}
	}
}

/* --- the end --- */

static bool stop_now(void)
{
	return atomic_load(&keeper.share->shutdown_wanted) >= 2;
}

/* Whether slot a was started before slot b; everything was before ALL. */
static bool slot_before(uint32_t a, uint32_t b)
{
	const struct share_slot *slots = keeper.share->slots;
	return b == ALL ||
	       (slots[a].sequence != slots[b].sequence ? slots[a].sequence < slots[b].sequence
						       : a < b);
}

/* The living slot that was started last of those before `last`, or ALL when there is none. */
static uint32_t slot_previous(uint32_t last)
{
	uint32_t found = ALL;
	for (uint32_t i = 0; i < reap_slots_end(); i++) {
		if (reap_slot_alive(i) && slot_before(i, last) &&
			(found == ALL || slot_before(found, i))) {
			found = i;
		}
	}
	return found;
}

static bool is_gone(uint32_t what)
{
	if (what == MANAGER) {
		return keeper.manager_pid == 0;
	}
	if (what == ALL) {
		return keeper.pid1 ? keeper.childless : slot_previous(ALL) == ALL;
	}
	return !reap_slot_alive(what);
}

/* Goes on with the loop until it is gone, or the time is over; `patient`: or there is no more time
 * for anything. */
static bool wait_gone(uint32_t what, uint64_t span_ns, bool patient)
{
	uint64_t until = span_add(keeper_now(), span_ns);
	while (!is_gone(what) && keeper_now() < until && !(patient && stop_now())) {
		keeper_turn(until);
	}
	return is_gone(what);
}

/* A signal, and one to wake what is stopped. The pid is not reaped, so the number is its own. */
static void slot_kill(uint32_t index, int signo)
{
	const struct share_slot *slot = &keeper.share->slots[index];
	pid_t pid = atomic_load(&slot->pid);
	kill(pid, signo);
	kill(pid, SIGCONT);
	if (signo == SIGKILL && slot->group == SHARE_GROUP_KILL) {
		kill(-pid, signo);
	}
}

static void slot_stop(uint32_t index)
{
	const struct share_slot *slot = &keeper.share->slots[index];
	slot_kill(index, slot->stop_signal > 0 ? slot->stop_signal : SIGTERM);
	if (!wait_gone(index, slot->stop_timeout_ns, true)) {
		slot_kill(index, SIGKILL);
		if (!wait_gone(index, KILLED_NS, false)) {
			log_error("%.63s does not end on SIGKILL; going on without it", slot->unit);
		}
	}
}

static void manager_stop(uint64_t patience_ns)
{
	keeper.start_at_ns = SPAN_INFINITY;
	if (!wait_gone(MANAGER, patience_ns, true)) {
		kill(keeper.manager_pid, SIGKILL);
		wait_gone(MANAGER, KILLED_NS, false);
	}
	reap_sweep();
}

void caretaker_stop(void)
{
	manager_stop(0);
	for (uint32_t slot = ALL; (slot = slot_previous(slot)) != ALL && !stop_now();) {
		slot_stop(slot);
	}
	keeper.ending = true;
	keeper.exit_status = 0;
}

static void kill_all(int signo)
{
	if (keeper.pid1) {
		kill(-1, signo);
		kill(-1, SIGCONT);
		return;
	}
	for (uint32_t slot = ALL; (slot = slot_previous(slot)) != ALL;) {
		slot_kill(slot, signo);
	}
}

void caretaker_finish(void)
{
	manager_stop(keeper.config.leftover_ns);
	if (!is_gone(ALL) && !stop_now()) {
		kill_all(SIGTERM);
		wait_gone(ALL, keeper.config.leftover_ns, true);
	}
	if (!is_gone(ALL)) {
		kill_all(SIGKILL);
		wait_gone(ALL, keeper.config.leftover_ns, false);
	}
}
