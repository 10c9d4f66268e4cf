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
	return pid > 0 &&
	       (pid == node_pid(m, node, ROLE_MAIN) || pid == node_pid(m, node, ROLE_CONTROL));
}

/* A process in the session of one of the unit's processes, or a descendant of one. A sender that
 * has ended in the meantime (systemd-notify) cannot be looked at; it knew the socket's path, which
 * only the unit's processes are told. */
static bool is_of_unit(struct manager *m, const struct node *node, pid_t pid)
{
	struct proc_stat stat;
	for (int i = 0; i < PARENTS_MAX && pid > 1; i++) {
		if (is_process_of(m, node, pid)) {
			return true;
		}
		if (proc_read_stat(pid, &stat) < 0) {
			return i == 0;
		}
		if (is_process_of(m, node, stat.session)) {
			return true;
		}
		pid = stat.ppid;
	}
	return false;
}

static bool may_speak(struct manager *m, const struct node *node, pid_t pid)
{
	switch ((enum unit_notify_access)node->definition->exec->notify_access) {
	case NOTIFY_NONE: return false;
	case NOTIFY_MAIN: return pid == node_pid(m, node, ROLE_MAIN);
	case NOTIFY_EXEC: return is_process_of(m, node, pid);
	case NOTIFY_ALL: return is_of_unit(m, node, pid);
	}
	return false;
}

/* --- what is said --- */

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

/* The service says that another process is its main one from now on. */
static void change_main(struct manager *m, struct node *node, pid_t pid)
{
	struct proc_stat stat;
	struct tree_view view;
	if (pid == node_pid(m, node, ROLE_MAIN) || node->slots[ROLE_MAIN] == SHARE_SLOT_NONE ||
		proc_read_stat(pid, &stat) < 0 || !is_of_unit(m, node, pid)) {
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

static void remember_status(struct manager *m, struct node *node, const char *text)
{
	struct {
		uint32_t node;
		char text[sizeof(((struct notify_message *)0)->status)];
	} record = {.node = node->index};
	node_set_status(m, node, text);
	str_copy(record.text, sizeof(record.text), text);
	journal_append(&m->journal, JOURNAL_STATUS, &record,
		offsetof(__typeof__(record), text) + strlen(record.text) + 1);
}

static void take(struct manager *m, struct node *node, const struct notify_message *message)
{
	if (message->has_status) {
		remember_status(m, node, message->status);
	}
	if (message->has_main_pid) {
		change_main(m, node, message->main_pid);
	}
	if (message->has_extend) {
		uint64_t usec = message->extend_usec;
		post(m, node, EV_EXTEND,
			usec > SPAN_INFINITY / NS_PER_US ? SPAN_INFINITY : usec * NS_PER_US);
	}
	if (message->ready) {
		post(m, node, EV_READY, 0);
	}
}

void notify_drain(struct manager *m, struct node *node)
{
	struct notify_message message;
	for (int i = 0; i < MESSAGES_A_TURN; i++) {
		int got = notify_peek(node->notify_fd, &message);
		if (got == -EBADMSG) {
			notify_drop(node->notify_fd);
			continue;
		}
		if (got <= 0) {
			return;
		}
		if (may_speak(m, node, message.pid)) {
			take(m, node, &message);
			fdstore_message(m, node, &message);
		} else {
			log_debug("%s: a notify message of process %d is not accepted",
				node_unit_name(node), message.pid);
		}
		/* What it says is in the journal: now it may go. */
		notify_drop(node->notify_fd);
		for (uint32_t k = 0; k < message.fds_count; k++) {
			close(message.fds[k]);
		}
	}
}
