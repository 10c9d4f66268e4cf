#include "keeper/state.h"

#include "base/str.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define NOTIFY_PREFIX "notify:"

/* What to stop or to wait for, beside the number of a slot. */
#define ALL     SHARE_SLOT_NONE
#define MANAGER (SHARE_SLOT_NONE - 1)

/* --- without a manager --- */

void caretaker_hear(bool on)
{
	for (uint32_t i = 0; i < keeper.names.end; i++) {
		const struct share_name *place = &keeper.share->names[i];
		struct epoll_event event = {.events = EPOLLIN, .data.fd = place->fd};
		if (str_starts(place->name, NOTIFY_PREFIX)) {
			epoll_ctl(KEEPER_FD_EPOLL, on ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, place->fd,
				&event);
		}
	}
}

void caretaker_drop(int fd)
{
	char ignored[16];
	ssize_t size = 0;
	/* Descriptors beside a message are closed by the kernel: we give no room for them. */
	for (int n = 0; n < 64 && size >= 0; n++) {
		size = recv(fd, ignored, sizeof(ignored), MSG_DONTWAIT | MSG_TRUNC);
	}
	if (size < 0 && errno != EAGAIN && errno != EINTR) {
		epoll_ctl(KEEPER_FD_EPOLL, EPOLL_CTL_DEL, fd, NULL);
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

/* A signal, and one to wake what is stopped. What is not reaped has its number for itself. */
static void send_to(uint32_t what, int signo)
{
	if (what == ALL && !keeper.pid1) {
		for (uint32_t i = 0; i < reap_slots_end(); i++) {
			if (reap_slot_alive(i)) {
				send_to(i, signo);
			}
		}
		return;
	}
	pid_t pid = what == ALL ? -1 : keeper.manager_pid;
	if (what < SHARE_SLOTS_MAX) {
		const struct share_slot *slot = &keeper.share->slots[what];
		pid = atomic_load(&slot->pid);
		if (signo == SIGKILL && slot->group == SHARE_GROUP_KILL) {
			kill(-pid, signo);
		}
	}
	kill(pid, signo);
	kill(pid, SIGCONT);
}

/* Goes on with the loop until it is gone or the time is over; `patient`: or there is no more time
 * for anything. */
static bool wait_gone(uint32_t what, uint64_t span_ns, bool patient)
{
	uint64_t until = span_add(keeper_now(), span_ns);
	while (!is_gone(what) && keeper_now() < until && !(patient && stop_now())) {
		keeper_turn(until);
	}
	return is_gone(what);
}

/* Asks it to end by a signal, or 0, and ends what does not. */
static void stop(uint32_t what, int signo, uint64_t patience_ns)
{
	if (!is_gone(what)) {
		send_to(what, signo);
	}
	if (!wait_gone(what, patience_ns, true)) {
		send_to(what, SIGKILL);
		if (!wait_gone(what, keeper.config.leftover_ns, false)) {
			log_error("%.63s does not end on SIGKILL; going on without it",
				what == ALL       ? "what is left"
				: what == MANAGER ? "the manager"
						  : keeper.share->slots[what].unit);
		}
	}
}

void caretaker_finish(void)
{
	bool alone = !keeper.ending;
	uint32_t slot = ALL;
	keeper.start_at_ns = SPAN_INFINITY;
	stop(MANAGER, 0, alone ? 0 : keeper.config.leftover_ns);
	while (alone && !stop_now() && (slot = slot_previous(slot)) != ALL) {
		int signo = keeper.share->slots[slot].stop_signal;
		stop(slot, signo > 0 ? signo : SIGTERM, keeper.share->slots[slot].stop_timeout_ns);
	}
	reap_sweep();
	stop(ALL, SIGTERM, keeper.config.leftover_ns);
}
