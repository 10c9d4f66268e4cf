#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/log.h"
#include "manager/manager.h"

/* NotifyFd=, as s6 has it: the service writes a newline to a descriptor when it is ready. A pipe a
 * start; the keeper holds our end meanwhile, so that what is written is read by whichever manager
 * there is. */

static void held_name(const struct node *node, char *out, size_t size)
{
	snprintf(out, size, "ready:%u:%.*s", node->index, SHARE_NAME_SIZE - 24,
		node_unit_name(node));
}

static bool is_wanted(const struct node *node)
{
	return node_unit(node)->kind == UNIT_SERVICE && node->definition->exec->notify_fd >= 0;
}

void ready_pipe_close(struct manager *m, struct node *node)
{
	char name[SHARE_NAME_SIZE];
	if (node->ready_fd >= 0) {
		held_name(node, name, sizeof(name));
		loop_unwatch(m, node->ready_fd);
		close(node->ready_fd);
		keeper_drop(m, name);
		node->ready_fd = -1;
	}
}

int ready_pipe_make(struct manager *m, struct node *node, const struct tree_order *order,
	struct process_spawn *spawn)
{
	char name[SHARE_NAME_SIZE];
	int ends[2];
	if (!is_wanted(node) || order->phase != PHASE_START) {
		return 0;
	}
	ready_pipe_close(m, node);
	if (pipe2(ends, O_CLOEXEC) < 0) {
		return -errno;
	}
	fcntl(ends[0], F_SETFL, O_NONBLOCK);
	held_name(node, name, sizeof(name));
	int failed = keeper_hold(m, name, ends[0]);
	if (failed == 0) {
		failed = loop_watch(m, ends[0], WATCH_READY, node->index, EPOLLIN);
	}
	if (failed != 0) {
		close(ends[0]);
		close(ends[1]);
		return failed;
	}
	node->ready_fd = ends[0];
	spawn->notify_fd = ends[1];
	spawn->notify_number = node->definition->exec->notify_fd;
	return 0;
}

void ready_pipe_done(struct process_spawn *spawn)
{
	if (spawn->notify_number > 0) {
		close(spawn->notify_fd);
	}
}

void ready_pipe_adopt(struct manager *m, const char *name, int fd)
{
	char expected[SHARE_NAME_SIZE] = "";
	unsigned index;
	struct node *node = sscanf(name, "ready:%u:", &index) == 1 ? node_at(m, index) : NULL;
	if (node != NULL) {
		held_name(node, expected, sizeof(expected));
	}
	if (node != NULL && strcmp(expected, name) == 0 && node->ready_fd >= 0) {
		close(fd); /* a start of the replay has put a new one in its place */
		return;
	}
	if (strcmp(expected, name) != 0 || !is_wanted(node) ||
		loop_watch(m, fd, WATCH_READY, node->index, EPOLLIN) < 0) {
		close(fd);
		keeper_drop(m, name);
		return;
	}
	node->ready_fd = fd;
}

void ready_pipe_read(struct manager *m, struct node *node)
{
	char text[512];
	struct tree_view view;
	if (node->ready_fd < 0) {
		return;
	}
	ssize_t got = read(node->ready_fd, text, sizeof(text));
	if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
		return;
	}
	if (got > 0 && memchr(text, '\n', (size_t)got) == NULL) {
		return; /* only a newline means anything */
	}
	if (got > 0) {
		tree_look(m->tree, node->index, m->now, &view);
		struct tree_event event = {.kind = EV_READY,
			.node = node->index,
			.generation = node->generation,
			.incarnation = view.incarnation};
		manager_post(m, &event, 0, 0);
	}
	ready_pipe_close(m, node);
}
