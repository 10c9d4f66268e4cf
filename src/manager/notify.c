#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "base/span.h"
#include "base/str.h"
#include "manager/manager.h"

#define PATH_SIZE (sizeof(((struct sockaddr_un *)0)->sun_path))
/* Datagrams taken of one unit in one turn. */
#define MESSAGES_A_TURN 64
/* How far up the parents of a sender are looked at. */
#define PARENTS_MAX 16

/* --- the sockets --- */

static bool wants_notify(const struct node *node)
{
	return node_unit(node)->kind == UNIT_SERVICE &&
	       node->definition->exec->notify_access != NOTIFY_NONE;
}

static void held_name(const struct node *node, char *out, size_t size)
{
	snprintf(out, size, "notify:%u:%.*s", node->index, SHARE_NAME_SIZE - 24,
		node_unit_name(node));
}

/* A short path when the unit's name is too long for an address. */
static char *socket_path(struct manager *m, const struct node *node)
{
	char path[PATH_SIZE + 1];
	int length = snprintf(path, sizeof(path), "%s/%s", m->notify_dir, node_unit_name(node));
	if (length >= (int)PATH_SIZE) {
		length = snprintf(path, sizeof(path), "%s/%u.%u", m->notify_dir, node->index,
			node->generation);
	}
	return length >= (int)PATH_SIZE ? NULL : strdup(path);
}

static int socket_watch(struct manager *m, struct node *node, int fd)
{
	int failed = loop_watch(m, fd, WATCH_NOTIFY, node->index, EPOLLIN);
	if (failed == 0) {
		node->notify_fd = fd;
	}
	return failed;
}

int notify_socket_open(struct manager *m, struct node *node)
{
	char name[SHARE_NAME_SIZE];
	if (!wants_notify(node) || node->notify_fd >= 0) {
		return 0;
	}
	free(node->notify_path);
	node->notify_path = socket_path(m, node);
	if (node->notify_path == NULL) {
		return -ENAMETOOLONG;
	}
	mkdir(m->notify_dir, 0755);
	int fd = notify_open(node->notify_path);
	if (fd < 0) {
		log_warning("%s: cannot open its notify socket %s: %s", node_unit_name(node),
			node->notify_path, strerror(-fd));
		free(node->notify_path);
		node->notify_path = NULL;
		return fd;
	}
	held_name(node, name, sizeof(name));
	int failed = keeper_hold(m, name, fd);
	if (failed == 0) {
		failed = socket_watch(m, node, fd);
	}
	if (failed != 0) {
		close(fd);
	}
	return failed;
}

void notify_socket_adopt(struct manager *m, const char *name, int fd)
{
	char expected[SHARE_NAME_SIZE];
	unsigned index;
	struct node *node = NULL;
	if (sscanf(name, "notify:%u:", &index) == 1) {
		node = node_at(m, index);
	}
	if (node != NULL) {
		held_name(node, expected, sizeof(expected));
	}
	if (node == NULL || strcmp(expected, name) != 0 || !wants_notify(node) ||
		node->notify_fd >= 0) {
		close(fd);
		keeper_drop(m, name);
		return;
	}
	node->notify_path = socket_path(m, node);
	if (node->notify_path == NULL || socket_watch(m, node, fd) < 0) {
		close(fd);
	}
}

void notify_socket_prepare(struct manager *m, struct node *node)
{
	char name[SHARE_NAME_SIZE];
	if (!wants_notify(node) || node->notify_fd >= 0) {
		return;
	}
	if (m->held != NULL) {
		held_name(node, name, sizeof(name));
		int fd = held_take(m->held, name);
		if (fd >= 0) {
			notify_socket_adopt(m, name, fd);
		}
	}
	notify_socket_open(m, node);
}

void notify_socket_close(struct manager *m, struct node *node)
{
	char name[SHARE_NAME_SIZE];
	if (node->notify_fd >= 0) {
		held_name(node, name, sizeof(name));
		loop_unwatch(m, node->notify_fd);
		close(node->notify_fd);
		keeper_drop(m, name);
		node->notify_fd = -1;
	}
	if (node->notify_path != NULL) {
		unlink(node->notify_path);
		free(node->notify_path);
		node->notify_path = NULL;
	}
}

/* --- who speaks --- */

static bool is_process_of(struct manager *m, const struct node *node, pid_t pid)
{
	for (uint32_t role = 0; role < ROLES; role++) {
		uint32_t slot = node->slots[role];
		if (pid > 0 && slot != SHARE_SLOT_NONE &&
			atomic_load(&slot_at(m, slot)->pid) == pid) {
			return true;
		}
	}
	return false;
}

/* A process in the session of one of the unit's processes, or a descendant of one. 1: it is, 0: it
 * is not, -ESRCH: it is not there any more. */
static int is_of_unit(struct manager *m, const struct node *node, pid_t pid)
{
	struct proc_stat stat;
	for (int i = 0; i < PARENTS_MAX && pid > 1; i++) {
		if (is_process_of(m, node, pid)) {
			return 1;
		}
		if (proc_read_stat(pid, &stat) < 0) {
			return i == 0 ? -ESRCH : 0;
		}
		if (is_process_of(m, node, stat.session)) {
			return 1;
		}
		pid = stat.ppid;
	}
	return 0;
}

/* A sender that has ended in the meantime cannot be looked at (an old systemd-notify; a newer one
 * waits with BARRIER=1). It is taken for one of the unit when it was of the same user as the unit's
 * main process, who could have made that one say anything, too. */
static bool was_of_unit(struct manager *m, const struct node *node, uid_t uid)
{
	char path[48];
	struct stat status;
	pid_t pid = node_pid(m, node, ROLE_MAIN);
	pid = pid > 0 ? pid : node_pid(m, node, ROLE_CONTROL);
	snprintf(path, sizeof(path), "/proc/%d", pid);
	return pid > 0 && stat(path, &status) == 0 && status.st_uid == uid;
}

static enum unit_notify_access access_now(const struct node *node)
{
	return node->notify_access_said ? node->notify_access
					: node->definition->exec->notify_access;
}

static const char *const access_names[] = {[NOTIFY_NONE] = "none",
	[NOTIFY_MAIN] = "main",
	[NOTIFY_EXEC] = "exec",
	[NOTIFY_ALL] = "all"};

static bool may_speak(
	struct manager *m, const struct node *node, const struct notify_message *message)
{
	switch (access_now(node)) {
	case NOTIFY_NONE: return false;
	case NOTIFY_MAIN: return message->pid == node_pid(m, node, ROLE_MAIN);
	case NOTIFY_EXEC: return is_process_of(m, node, message->pid);
	case NOTIFY_ALL: break;
	}
	int is = is_of_unit(m, node, message->pid);
	return is == 1 || (is < 0 && was_of_unit(m, node, message->uid));
}

/* Said once a unit and process. A stranger with many processes is said so often, and no more. */
static void say_stranger(struct manager *m, struct node *node, const struct notify_message *message)
{
	const uint32_t most = sizeof(m->strangers) / sizeof(m->strangers[0]);
	char text[UNIT_NAME_SIZE + 128];
	for (uint32_t i = 0; i < most; i++) {
		const struct stranger *s = &m->strangers[i];
		if (s->pid == message->pid && s->node == node->index &&
			s->generation == node->generation) {
			return;
		}
	}
	if (node->strangers_said > most) {
		return;
	}
	m->strangers[m->strangers_next++ % most] =
		(struct stranger){node->index, node->generation, message->pid};
	int is = is_of_unit(m, node, message->pid);
	snprintf(text, sizeof(text), "%s: a notify message of process %d is ignored: %s%s%s",
		node_unit_name(node), message->pid,
		is == 1  ? "NotifyAccess="
		: is < 0 ? "it is not there any more"
			 : "it is not of this unit",
		is == 1 ? access_names[access_now(node)] : "",
		node->strangers_said++ == most ? " (further ones are not said)" : "");
	stream_say(m, LOG_LEVEL_WARNING, text);
	m->notes_made = true; /* there is a line to be written at the end of the turn */
}

/* --- what is said of itself --- */

void notify_forget(struct manager *m, struct node *node)
{
	if (node->status_text != NULL) {
		node_set_status(m, node, "");
	}
	node->said_errno = 0;
	node->said_status = -1;
	node->notify_access_said = false;
	node->watchdog_least_ns = 0;
}

void notify_record(struct manager *m, const struct node *node)
{
	const char *text = node->status_text != NULL ? node->status_text : "";
	size_t size = sizeof(struct journal_said) + strlen(text) + 1;
	struct journal_said *record = journal_begin(&m->journal, JOURNAL_STATUS, size);
	if (record != NULL) {
		*record = (struct journal_said){.node = node->index,
			.error = node->said_errno,
			.status = node->said_status,
			.access = node->notify_access,
			.access_said = node->notify_access_said};
		memcpy(record + 1, text, size - sizeof(*record));
		journal_finish(&m->journal, size);
	}
}

void notify_restored(struct manager *m, const struct journal_said *record)
{
	struct node *node = node_at(m, record->node);
	if (node != NULL) {
		node_set_status(m, node, (const char *)(record + 1));
		node->said_errno = record->error;
		node->said_status = record->status;
		node->notify_access = record->access;
		node->notify_access_said = record->access_said != 0;
	}
}

static void remember(struct manager *m, struct node *node, const struct notify_message *message)
{
	if (message->has_status) {
		node_set_status(m, node, message->status);
	}
	if (message->has_errno) {
		node->said_errno = message->error;
	}
	if (message->has_exit_status) {
		node->said_status = message->exit_status;
	}
	for (uint8_t i = 0; message->has_access && i <= NOTIFY_ALL; i++) {
		if (strcmp(message->access, access_names[i]) == 0) {
			node->notify_access = i;
			node->notify_access_said = true;
		}
	}
	if (message->has_status || message->has_errno || message->has_exit_status ||
		message->has_access) {
		notify_record(m, node);
	}
}

/* --- what is said to the core --- */

static void post(struct manager *m, struct node *node, enum tree_event_kind kind, uint64_t span_ns)
{
	struct tree_view view;
	tree_look(m->tree, node->index, m->now, &view);
	struct tree_event event = {.kind = (uint8_t)kind,
		.node = node->index,
		.generation = node->generation,
		.incarnation = view.incarnation,
		.span_ns = span_ns};
	manager_post(m, &event, 0, 0);
}

static uint64_t from_usec(uint64_t usec)
{
	return usec > SPAN_INFINITY / NS_PER_US ? SPAN_INFINITY : usec * NS_PER_US;
}

/* The service says that another process is its main one from now on. */
static void change_main(struct manager *m, struct node *node, pid_t pid)
{
	struct proc_stat stat;
	struct tree_view view;
	if (pid == node_pid(m, node, ROLE_MAIN) || node->slots[ROLE_MAIN] == SHARE_SLOT_NONE ||
		share_find(m->share, pid) != SHARE_SLOT_NONE) {
		return;
	}
	if (proc_read_stat(pid, &stat) < 0 || is_of_unit(m, node, pid) != 1) {
		log_warning("%s: MAINPID=%d is ignored: it is not of this unit",
			node_unit_name(node), pid);
		return;
	}
	if (stat.ppid != m->share->keeper_pid) {
		log_warning("%s: MAINPID=%d is not a child of coppice: its end could not be seen",
			node_unit_name(node), pid);
		return;
	}
	tree_look(m->tree, node->index, m->now, &view);
	node->search_incarnation = view.incarnation;
	node->search_since_ns = m->now;
	main_adopt(m, node, pid);
}

static void take_watchdog(
	struct manager *m, struct node *node, const struct notify_message *message)
{
	if (message->has_watchdog_usec) {
		post(m, node, EV_WATCHDOG, from_usec(message->watchdog_usec));
	}
	if (message->watchdog) {
		watchdog_quiet(m, node);
	}
	if (message->watchdog_trigger) {
		watchdog_bite(m, node);
	}
}

static void take(struct manager *m, struct node *node, const struct notify_message *message)
{
	remember(m, node, message);
	if (message->has_main_pid) {
		change_main(m, node, message->main_pid);
	}
	if (message->has_extend) {
		uint64_t span = from_usec(message->extend_usec);
		post(m, node, EV_EXTEND, span);
		watchdog_extend(m, node, span);
	}
	take_watchdog(m, node, message);
	if (message->reloading) {
		post(m, node, EV_RELOADING,
			message->has_monotonic ? from_usec(message->monotonic_usec) : 0);
	}
	if (message->ready) {
		post(m, node, EV_READY, 0);
	}
	if (message->stopping) {
		post(m, node, EV_ENDING, 0);
	}
}

bool notify_drain(struct manager *m, struct node *node)
{
	struct notify_message message;
	for (int i = 0; i < MESSAGES_A_TURN; i++) {
		int got = notify_peek(node->notify_fd, &message);
		if (got == -EBADMSG) {
			notify_drop(node->notify_fd);
			continue;
		}
		if (got <= 0) {
			return false;
		}
		if (may_speak(m, node, &message)) {
			take(m, node, &message);
			fdstore_message(m, node, &message);
		} else {
			say_stranger(m, node, &message);
		}
		/* What it says is in the journal: now it may go. Descriptors are closed behind all
		 * that came before, which is what BARRIER=1 waits for. */
		notify_drop(node->notify_fd);
		for (uint32_t k = 0; k < message.fds_count; k++) {
			close(message.fds[k]);
		}
	}
	return true;
}
