#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/compat.h"
#include "base/log.h"
#include "base/str.h"
#include "manager/sockets.h"

/* FDSTORE=1 (sd_pid_notify_with_fds(3)): descriptors that a service leaves with us, and gets back
 * behind its sockets when it is started again. The keeper has them, under a name that says all that
 * is known of them: "store:UNIT:NUMBER:POLL:NAME". */

static uint64_t unit_hash(const struct node *node)
{
	return kept_hash(KEPT_HASH, node_unit_name(node));
}

static void stored_name(const struct node *node, struct stored_fd *stored)
{
	snprintf(stored->name, sizeof(stored->name), "store:%016" PRIx64 ":%" PRIu64 ":%d:%s",
		unit_hash(node), stored->number, stored->poll, stored->fd_name);
}

static struct stored_fd *store_place(struct manager *m, struct node *node)
{
	struct node_fds *fds = node_fds_need(m, node);
	if (fds == NULL) {
		return NULL;
	}
	if (fds->stored_count == fds->stored_room) {
		uint32_t room = fds->stored_room + fds->stored_room / 2 + 4;
		struct stored_fd *list = realloc(fds->stored, room * sizeof(*list));
		if (list == NULL) {
			return NULL;
		}
		fds->stored = list;
		fds->stored_room = room;
	}
	return &fds->stored[fds->stored_count];
}

/* Its other end going is seen as a hang-up. What cannot be watched, a file or a memfd, stays. */
static void store_watch(struct manager *m, const struct node *node, struct stored_fd *stored)
{
	stored->watched =
		stored->poll && loop_watch(m, stored->fd, WATCH_STORED, node->index, EPOLLET) == 0;
}

static void store_forget(struct manager *m, struct node *node, uint32_t index)
{
	struct node_fds *fds = node->fds;
	struct stored_fd *stored = &fds->stored[index];
	if (stored->watched) {
		loop_unwatch(m, stored->fd);
	}
	close(stored->fd);
	keeper_drop(m, stored->name);
	fds->stored_count--;
	memmove(stored, stored + 1, (fds->stored_count - index) * sizeof(*stored));
}

/* --- what the service says --- */

static bool is_same(int a, int b)
{
	pid_t self = getpid();
	return syscall(SYS_kcmp, self, self, COMPAT_KCMP_FILE, a, b) == 0;
}

static bool is_stored(const struct node *node, int fd)
{
	for (uint32_t i = 0; node->fds != NULL && i < node->fds->stored_count; i++) {
		if (is_same(node->fds->stored[i].fd, fd)) {
			return true;
		}
	}
	return false;
}

static uint32_t store_max(const struct node *node)
{
	uint32_t most = node_unit(node)->service->fd_store_max;
	/* All of them are passed at a start, behind the sockets. */
	return most < PROCESS_PASS_MAX - 16 ? most : PROCESS_PASS_MAX - 16;
}

/* Takes the descriptor. */
static void store_one(
	struct manager *m, struct node *node, const struct notify_message *message, int fd)
{
	uint32_t most = store_max(node);
	struct stored_fd *stored;
	if (is_stored(node, fd)) {
		close(fd);
		return;
	}
	if ((node->fds != NULL ? node->fds->stored_count : 0) >= most) {
		log_warning("%s: FDSTORE=1: no more than %u descriptors are stored "
			    "(FileDescriptorStoreMax=)",
			node_unit_name(node), most);
		close(fd);
		return;
	}
	stored = store_place(m, node);
	if (stored == NULL) {
		close(fd);
		return;
	}
	*stored = (struct stored_fd){
		.fd = fd, .poll = !message->fd_poll_off, .number = ++m->stored_last};
	str_copy(stored->fd_name, sizeof(stored->fd_name),
		message->fd_name[0] != '\0' ? message->fd_name : "stored");
	stored_name(node, stored);
	int failed = keeper_hold(m, stored->name, fd);
	if (failed != 0) {
		log_warning("%s: FDSTORE=1: %s", node_unit_name(node), strerror(-failed));
		close(fd);
		return;
	}
	node->fds->stored_count++;
	store_watch(m, node, stored);
}

void fdstore_message(struct manager *m, struct node *node, struct notify_message *message)
{
	if (message->fd_remove && node->fds != NULL) {
		for (uint32_t i = node->fds->stored_count; i-- > 0;) {
			if (strcmp(node->fds->stored[i].fd_name, message->fd_name) == 0) {
				store_forget(m, node, i);
			}
		}
	}
	if (message->fd_store) {
		for (uint32_t i = 0; i < message->fds_count; i++) {
			store_one(m, node, message, message->fds[i]);
		}
		message->fds_count = 0;
	}
}

void fdstore_look(struct manager *m, struct node *node)
{
	for (uint32_t i = node->fds == NULL ? 0 : node->fds->stored_count; i-- > 0;) {
		struct pollfd wait = {.fd = node->fds->stored[i].fd};
		if (node->fds->stored[i].watched && poll(&wait, 1, 0) == 1 &&
			(wait.revents & (POLLHUP | POLLERR)) != 0) {
			log_info("%s: the stored descriptor %s has hung up", node_unit_name(node),
				node->fds->stored[i].fd_name);
			store_forget(m, node, i);
		}
	}
}

/* --- back to the service, or away --- */

void fdstore_drop(struct manager *m, struct node *node)
{
	while (node->fds != NULL && node->fds->stored_count > 0) {
		store_forget(m, node, node->fds->stored_count - 1);
	}
}

void fdstore_pass(struct manager *m, struct node *node, struct passing *passing)
{
	if (m->held != NULL) {
		fdstore_adopt(m, node, m->held); /* a replay */
	}
	for (uint32_t i = 0; node->fds != NULL && i < node->fds->stored_count; i++) {
		if (passing_add(passing, node->fds->stored[i].fd, node->fds->stored[i].fd_name)) {
			passing->stored++;
		}
	}
}

static int by_number(const void *a, const void *b)
{
	const struct stored_fd *x = a, *y = b;
	return x->number < y->number ? -1 : x->number > y->number;
}

/* Those of a unit that has FileDescriptorStoreMax= no more are given up with all that nobody takes.
 */
void fdstore_adopt(struct manager *m, struct node *node, struct held *held)
{
	uint32_t taken = 0;
	if (node_unit(node)->service->fd_store_max == 0) {
		return;
	}
	for (uint32_t i = 0; i < held->count; i++) {
		uint64_t hash, number;
		int poll, at = 0;
		struct stored_fd *stored;
		if (held->list[i].fd < 0 ||
			sscanf(held->list[i].name, "store:%16" SCNx64 ":%" SCNu64 ":%d:%n", &hash,
				&number, &poll, &at) != 3 ||
			at == 0 || hash != unit_hash(node) ||
			(stored = store_place(m, node)) == NULL) {
			continue;
		}
		*stored = (struct stored_fd){
			.fd = held->list[i].fd, .poll = poll != 0, .number = number};
		str_copy(stored->fd_name, sizeof(stored->fd_name), held->list[i].name + at);
		str_copy(stored->name, sizeof(stored->name), held->list[i].name);
		held->list[i].fd = -1;
		m->stored_last = number > m->stored_last ? number : m->stored_last;
		node->fds->stored_count++;
		taken++;
	}
	if (taken > 0) {
		qsort(node->fds->stored, node->fds->stored_count, sizeof(*node->fds->stored),
			by_number);
		for (uint32_t i = 0; i < node->fds->stored_count; i++) {
			if (!node->fds->stored[i].watched) {
				store_watch(m, node, &node->fds->stored[i]);
			}
		}
		sockets_linger_if_down(m, node);
	}
}
