#include "keeper/state.h"

#include "base/names.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* The ladder, in deaths in a row that speak against the manager. */
#define BAD_AT_ONCE    1                 /* started again at once */
#define BAD_BACKOFF    (BAD_AT_ONCE + 7) /* 100 ms, 200 … 3.2 s, 5 s */
#define BAD_NO_JOURNAL (BAD_BACKOFF + 3) /* may be what kills it; then the caretaker */
#define EARLY_FREE     3                 /* kills in a row before READY without a delay */
#define MESSAGES_MAX   256               /* of one turn */

static void manager_again(const char *what, bool bad);

/* --- start --- */

/* In the vforked child: only system calls. A session of its own keeps the terminal's signals off.
 */
static void manager_exec(const void *arg)
{
	const int *socket = arg;
	char number[sizeof(SHARE_ENV_INCARNATION) + 16];
	size_t count = 0, first = 0;
	while (environ[count++] != NULL) {
	}
	char *envp[count + 2];
	if (keeper.bad > BAD_BACKOFF) {
		envp[first++] = SHARE_ENV_NO_JOURNAL "=1";
	}
	snprintf(number, sizeof(number), SHARE_ENV_INCARNATION "=%u",
		keeper.share->manager_incarnation);
	envp[first++] = number;
	memcpy(envp + first, environ, count * sizeof(char *));
	sigset_t none;
	sigemptyset(&none);
	setsid();
	dup2(*socket, SHARE_FD_KEEPER);
	fcntl(SHARE_FD_STATE, F_SETFD, 0);
	fcntl(SHARE_FD_JOURNAL, F_SETFD, 0);
	fcntl(SHARE_FD_DEATH, F_SETFD, 0);
	setrlimit(RLIMIT_NOFILE, &keeper.nofile);
	sigprocmask(SIG_SETMASK, &none, NULL);
	execve(keeper.config.manager, keeper.config.manager_argv, envp);
}

void manager_start(void)
{
	int pair[2] = {-1, -1};
	pid_t pid = -EMFILE;
	keeper.share->manager_incarnation++;
	keeper.start_at_ns = SPAN_INFINITY;
	if (keeper.caretaker) {
		caretaker_hear(false);
	}
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0) {
		fcntl(pair[0], F_SETFL, O_NONBLOCK);
		pid = keeper_spawn(manager_exec, &pair[1]);
		close(pair[1]);
	}
	if (pid < 0) {
		close(pair[0]);
		log_error("cannot start %s: %s", keeper.config.manager, errno_name(-pid));
		keeper.ending = keeper.share->manager_incarnation == 1;
		keeper.exit_status = 1;
		manager_again("the manager could not be started", true);
		return;
	}
	keeper.manager_pid = pid;
	keeper.manager_ready = false;
	keeper.manager_socket = pair[0];
	struct epoll_event event = {.events = EPOLLIN, .data.fd = pair[0]};
	epoll_ctl(KEEPER_FD_EPOLL, EPOLL_CTL_ADD, pair[0], &event);
	keeper.give_next = 0;
	keeper.crowded = false;
	keeper.tell[SHARE_MSG_SHUTDOWN - SHARE_MSG_GIVEN] =
		atomic_load(&keeper.share->shutdown_wanted) != 0;
	manager_tell(SHARE_MSG_GIVEN);
}

/* --- messages --- */

/* False when the socket has no room. Any other error is the death of the manager, of which we learn
 * by itself, or a descriptor that cannot be sent. */
static bool manager_send(unsigned kind, const struct share_name *place)
{
	struct share_message message = {.kind = kind};
	if (kind == SHARE_MSG_SHUTDOWN) {
		message.value = (int32_t)atomic_load(&keeper.share->shutdown_wanted);
		message.flag = (uint32_t)atomic_load(&keeper.share->shutdown_signal);
	} else if (place != NULL) {
		message.value = 1;
		memcpy(message.name, place->name, sizeof(message.name));
	}
	int error = share_send(keeper.manager_socket, &message, place != NULL ? place->fd : -1);
	if (error < 0 && error != -EAGAIN && error != -EPIPE) {
		log_warning("cannot send %s to the manager: %s", message.name, errno_name(-error));
	}
	return error != -EAGAIN;
}

void manager_tell(unsigned kind)
{
	bool room = true;
	if (kind != 0) {
		keeper.tell[kind - SHARE_MSG_GIVEN] = true;
	}
	if (keeper.manager_socket < 0) {
		return;
	}
	while (room && keeper.give_next < keeper.names.end) {
		const struct share_name *place = &keeper.share->names[keeper.give_next];
		room = place->name[0] == '\0' || manager_send(SHARE_MSG_GIVE, place);
		keeper.give_next += room ? 1 : 0;
	}
	keeper.give_next = room ? UINT32_MAX : keeper.give_next; /* It knows what comes later. */
	for (unsigned k = SHARE_MSG_GIVEN; room && k <= SHARE_MSG_RELOAD; k++) {
		bool *waits = &keeper.tell[k - SHARE_MSG_GIVEN];
		room = !*waits || manager_send(k, NULL);
		*waits = *waits && !room;
	}
	if (room == keeper.crowded) {
		struct epoll_event event = {.events = room ? EPOLLIN : EPOLLIN | EPOLLOUT,
			.data.fd = keeper.manager_socket};
		epoll_ctl(KEEPER_FD_EPOLL, EPOLL_CTL_MOD, keeper.manager_socket, &event);
		keeper.crowded = !room;
	}
}

static void manager_is_ready(void)
{
	keeper.manager_ready = keeper.ever_ready = true;
	keeper.ready_at_ns = keeper_now();
	keeper.early = 0;
	if (keeper.caretaker) {
		log_notice("a manager serves again");
	}
	keeper.caretaker = false;
	reap_resume(); /* The one before may have died between making room and saying so. */
}

/* Where the kernel refuses pidfds: we are the only reaper, so a pid that is not reaped is safe. */
static void manager_asks_signal(const struct share_message *message)
{
	if (message->slot < SHARE_SLOTS_MAX && reap_slot_alive(message->slot)) {
		pid_t pid = atomic_load(&keeper.share->slots[message->slot].pid);
		kill(message->flag != 0 ? -pid : pid, message->value);
	}
}

/* Returns the descriptor that is not needed any more, or -1. */
static int manager_says(const struct share_message *message, int fd)
{
	int error = 0, done = fd;
	switch (message->kind) {
	case SHARE_MSG_READY: manager_is_ready(); break;
	case SHARE_MSG_HOLD:
		error = share_name_put(keeper.share, &keeper.names, message->name, fd, &done);
		done = error < 0 ? fd : done;
		break;
	case SHARE_MSG_DROP:
		done = share_name_drop(keeper.share, &keeper.names, message->name);
		break;
	case SHARE_MSG_SIGNAL: manager_asks_signal(message); break;
	case SHARE_MSG_DRAINED: reap_resume(); break;
	case SHARE_MSG_FATAL:
		if (keeper.ever_ready || (keeper.share->manager_incarnation > 1 &&
						 atomic_load(&keeper.share->slots_used_max) > 0)) {
			break; /* Units that have turned bad under a living tree must not end it. */
		}
		/* fall through */
	case SHARE_MSG_END:
		keeper.ending = true;
		keeper.exit_status = message->value;
		break;
	default: error = -EPROTO; break;
	}
	if (error < 0) {
		log_warning("message %u of the manager (%s): %s", message->kind, message->name,
			errno_name(-error));
	}
	return done;
}

/* Without us it is of no use, if it is not dying already. */
static void manager_hang_up(void)
{
	if (keeper.manager_socket >= 0) {
		close(keeper.manager_socket);
		keeper.manager_socket = -1;
	}
	if (keeper.manager_pid != 0) {
		kill(keeper.manager_pid, SIGKILL);
	}
}

/* Takes one message. False when there is none. */
static bool manager_hear(void)
{
	struct share_message message;
	int fd;
	int result = share_receive(keeper.manager_socket, &message, &fd);
	if (result == 1) {
		fd = manager_says(&message, fd);
	} else if (result == 0) {
		manager_hang_up();
	}
	if (fd >= 0) {
		close(fd);
	}
	return result == 1 || result == -EPROTO;
}

void manager_listen(void)
{
	for (int i = 0; i < MESSAGES_MAX && manager_hear(); i++) {
	}
}

/* --- the ladder --- */

static uint64_t doubled(uint64_t first_ns, uint32_t times, uint64_t last_ns)
{
	return span_earlier(first_ns << span_earlier(times, 16), last_ns);
}

/* Takes the next step of the ladder and says what happened. */
static void manager_again(const char *what, bool bad)
{
	const struct keeper_config *times = &keeper.config;
	uint32_t row = bad ? ++keeper.bad : 0;
	uint64_t delay = 0;
	char span[SPAN_TEXT_SIZE];
	if (keeper.ending) {
		return;
	}
	if (row > BAD_NO_JOURNAL) {
		delay = doubled(times->caretaker_retry_ns, row - BAD_NO_JOURNAL - 1,
			10 * times->caretaker_retry_ns);
		keeper.caretaker = true;
	} else if (row > BAD_AT_ONCE) {
		delay = doubled(
			times->backoff_first_ns, row - BAD_AT_ONCE - 1, times->backoff_last_ns);
	} else if (!bad && keeper.early > EARLY_FREE) {
		delay = doubled(times->backoff_first_ns, keeper.early - EARLY_FREE - 1,
			times->backoff_last_ns / 5);
	}
	keeper.start_at_ns = keeper_now() + delay;
	log_line(delay == 0 ? LOG_LEVEL_WARNING : LOG_LEVEL_ERROR, "%s; starting it again %s%s%s%s",
		what, delay == 0 ? "at once" : "in ",
		delay == 0 ? "" : span_format(delay, span, sizeof(span)),
		row > BAD_BACKOFF ? ", without the journal" : "",
		row > BAD_NO_JOURNAL ? "; until then the keeper is caretaker" : "");
	if (keeper.caretaker) {
		caretaker_hear(true);
		reap_resume(); /* The ring is not in use until the next manager. */
		keeper.stop_alone |= atomic_load(&keeper.share->shutdown_wanted) != 0;
	}
}

void manager_died(int code, int status)
{
	char what[128];
	/* What speaks against the manager itself, and not against somebody who kills it. */
	bool bad = code == CLD_EXITED || signals_is_fault(status);
	keeper.manager_pid = 0;
	while (manager_hear()) { /* What it said last counts. */
	}
	manager_hang_up();
	if (keeper.ending || keeper.stop_alone) {
		reap_resume();
		return;
	}
	if (keeper.manager_ready && keeper_now() - keeper.ready_at_ns >= keeper.config.proven_ns) {
		keeper.bad = 0;
	}
	keeper.early += bad || keeper.manager_ready ? 0 : 1;
	snprintf(what, sizeof(what), "the manager died (%s %d)%s",
		code == CLD_EXITED ? "exit status" : "signal", status,
		keeper.manager_ready ? "" : " before it was ready");
	manager_again(what, bad);
}
