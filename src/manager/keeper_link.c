#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/log.h"
#include "base/str.h"
#include "manager/manager.h"

/* --- what the keeper holds --- */

static int held_add(struct held *held, const char *name, int fd)
{
	if (held->count == held->room) {
		uint32_t room = held->room == 0 ? 32 : held->room * 2;
		struct held_fd *list = realloc(held->list, room * sizeof(*list));
		if (list == NULL) {
			close(fd);
			return -ENOMEM;
		}
		held->list = list;
		held->room = room;
	}
	str_copy(held->list[held->count].name, SHARE_NAME_SIZE, name);
	held->list[held->count++].fd = fd;
	return 0;
}

int keeper_receive_held(struct manager *m, struct held *held)
{
	for (;;) {
		struct share_message message;
		int fd;
		int got = share_receive(m->keeper_fd, &message, &fd);
		if (got <= 0) {
			return got == 0 ? -EPIPE : got;
		}
		if (message.kind == SHARE_MSG_GIVEN) {
			return 0;
		}
		if (message.kind == SHARE_MSG_GIVE && fd >= 0) {
			int failed = held_add(held, message.name, fd);
			if (failed != 0) {
				return failed;
			}
		} else if (fd >= 0) {
			close(fd);
		}
	}
}

int held_take(struct held *held, const char *name)
{
	for (uint32_t i = 0; i < held->count; i++) {
		if (held->list[i].fd >= 0 && strcmp(held->list[i].name, name) == 0) {
			int fd = held->list[i].fd;
			held->list[i].fd = -1;
			return fd;
		}
	}
	return -1;
}

/* Notify sockets find their nodes; what nobody knows is given up. */
void held_finish(struct manager *m, struct held *held)
{
	sockets_adopt(m, held);
	for (uint32_t i = 0; i < held->count; i++) {
		if (held->list[i].fd < 0) {
			continue;
		}
		if (str_starts(held->list[i].name, "notify:")) {
			notify_socket_adopt(m, held->list[i].name, held->list[i].fd);
		} else if (str_starts(held->list[i].name, "ready:")) {
			ready_pipe_adopt(m, held->list[i].name, held->list[i].fd);
		} else {
			close(held->list[i].fd);
			keeper_drop(m, held->list[i].name);
		}
	}
	free(held->list);
	*held = (struct held){0};
}

int keeper_hold(struct manager *m, const char *name, int fd)
{
	struct share_message message = {.kind = SHARE_MSG_HOLD};
	if (m->keeper_gone || !str_copy(message.name, sizeof(message.name), name)) {
		return m->keeper_gone ? 0 : -ENAMETOOLONG;
	}
	return share_send(m->keeper_fd, &message, fd);
}

void keeper_drop(struct manager *m, const char *name)
{
	struct share_message message = {.kind = SHARE_MSG_DROP};
	if (!m->keeper_gone && str_copy(message.name, sizeof(message.name), name)) {
		share_send(m->keeper_fd, &message, -1);
	}
}

void keeper_tell(struct manager *m, enum share_message_kind kind, int32_t value, uint32_t flag)
{
	struct share_message message = {.kind = kind, .value = value, .flag = flag};
	if (!m->keeper_gone) {
		share_send(m->keeper_fd, &message, -1);
	}
}

/* --- the texts of the units --- */

int units_hold(struct manager *m)
{
	void *data;
	size_t size;
	char name[SHARE_NAME_SIZE], old[SHARE_NAME_SIZE];
	int failed = unit_bundle_encode(m->bundle, &data, &size);
	if (failed != 0) {
		return failed;
	}
	int fd = memfd_create("coppice-units", MFD_CLOEXEC);
	failed = fd < 0 ? -errno : 0;
	for (size_t done = 0; failed == 0 && done < size;) {
		ssize_t n = write(fd, (char *)data + done, size - done);
		failed = n < 0 && errno != EINTR ? -errno : 0;
		done += n > 0 ? (size_t)n : 0;
	}
	free(data);
	snprintf(old, sizeof(old), "units:%" PRIu64, m->units_number);
	snprintf(name, sizeof(name), "units:%" PRIu64, m->units_number + 1);
	if (failed == 0) {
		failed = keeper_hold(m, name, fd);
	}
	if (fd >= 0) {
		close(fd);
	}
	if (failed != 0) {
		return failed;
	}
	/* The journal names the bundle it belongs to, so the old one goes after the snapshot; and
	 * that is of a moment between two events. */
	manager_run_all(m);
	m->units_number++;
	failed = snapshot_take(m);
	if (failed == 0 || m->journal.header == NULL) {
		keeper_drop(m, old);
		return 0;
	}
	m->units_number--;
	keeper_drop(m, name);
	return failed;
}

/* --- messages --- */

void keeper_dispatch(struct manager *m)
{
	struct share_message message;
	int fd;
	int got = share_receive(m->keeper_fd, &message, &fd);
	if (fd >= 0) {
		close(fd);
	}
	if (got == 0 || got == -ECONNRESET) {
		orphaned_begin(m);
		return;
	}
	if (got < 0) {
		return;
	}
	switch (message.kind) {
	case SHARE_MSG_SHUTDOWN: {
		struct tree_event event = {.kind = EV_SHUTDOWN, .flag = message.value >= 2};
		manager_post(m, &event, 0, 0);
		break;
	}
	case SHARE_MSG_RELOAD: m->reload_wanted = true; break;
	default: break;
	}
}
