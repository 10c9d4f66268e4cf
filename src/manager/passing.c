#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "manager/sockets.h"

/* The descriptors that a start is given beside its streams: those of its sockets, or the one
 * connection it is for, and behind them what it has stored (sd_listen_fds(3)). */

bool sockets_are_for(const struct node *socket, const struct node *service)
{
	const struct unit *unit = node_unit(socket);
	const char *const *more;
	char whole[UNIT_NAME_SIZE];
	if (unit->kind != UNIT_SOCKET || unit->socket->accept ||
		node_unit(service)->kind != UNIT_SERVICE) {
		return false;
	}
	if (strcmp(unit->socket->service, node_unit_name(service)) == 0) {
		return true;
	}
	more = node_unit(service)->service->sockets;
	for (uint32_t i = 0; more != NULL && more[i] != NULL; i++) {
		if (unit_name_normalize(more[i], whole, sizeof(whole)) == 0 &&
			strcmp(whole, unit->name) == 0) {
			return true;
		}
	}
	return false;
}

bool passing_add(struct passing *passing, int fd, const char *name)
{
	size_t length = strlen(passing->names);
	if (passing->count == PROCESS_PASS_MAX) {
		return false;
	}
	snprintf(passing->names + length, sizeof(passing->names) - length, "%s%.*s",
		passing->count > 0 ? ":" : "", FD_NAME_SIZE - 1, name);
	passing->fds[passing->count++] = fd;
	return true;
}

/* NonBlocking= is a property of what is shared, so it can be set here (systemd.service(5)). */
static void set_nonblocking(int fd, bool on)
{
	int flags = fcntl(fd, F_GETFL);
	int wanted = on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK;
	if (flags >= 0 && flags != wanted) {
		fcntl(fd, F_SETFL, wanted);
	}
}

static void pass_sockets(struct manager *m, const struct node *socket, const struct node *service)
{
	const struct node_fds *fds = socket->fds;
	for (uint32_t i = 0; fds != NULL && i < fds->sockets_count; i++) {
		set_nonblocking(fds->sockets[i].fd, node_unit(service)->service->non_blocking);
		passing_add(m->passing, fds->sockets[i].fd, node_unit(socket)->socket->fd_name);
	}
}

/* A start that a replay carries out comes before all nodes have got back what is theirs. */
static void sockets_prepare(struct manager *m, struct node *socket)
{
	struct tree_view view;
	struct err err = {{0}};
	if (m->held == NULL) {
		return;
	}
	tree_look(m->tree, socket->index, m->now, &view);
	if (view.state == STATE_RUNNING && socket->fds->sockets_count == 0) {
		sockets_open(m, socket, &err);
	}
}

/* The socket of the service's own name first, then in the order of the tree. */
static void pass_all_sockets(struct manager *m, const struct node *service)
{
	char own[UNIT_NAME_SIZE];
	const char *name = node_unit_name(service);
	snprintf(own, sizeof(own), "%.*s.socket", (int)(strrchr(name, '.') - name), name);
	for (int pass = 0; pass < 2; pass++) {
		for (uint32_t i = 0; i < m->keepers_count; i++) {
			struct node *node = m->keepers[i];
			bool is_own = strcmp(node_unit_name(node), own) == 0;
			if (is_own == (pass == 0) && sockets_are_for(node, service)) {
				sockets_prepare(m, node);
				pass_sockets(m, node, service);
			}
		}
	}
}

static int stream_fd(const struct passing *passing, const struct unit_stdio *stdio)
{
	const char *at = passing->names;
	if (stdio->kind == STDIO_SOCKET) {
		return passing->count > passing->stored ? passing->fds[0] : -1;
	}
	for (uint32_t i = 0; stdio->kind == STDIO_FD && i < passing->count; i++) {
		size_t length = strcspn(at, ":");
		if (stdio->path != NULL && strlen(stdio->path) == length &&
			memcmp(stdio->path, at, length) == 0) {
			return passing->fds[i];
		}
		at += length + 1;
	}
	return -1;
}

/* StandardInput=socket and fd:NAME. What StandardOutput= has by default is what input has
 * (systemd.exec(5)). */
static void pass_streams(
	const struct node *node, struct passing *passing, struct process_spawn *spawn)
{
	const struct unit_service *exec = node->definition->exec;
	int in = stream_fd(passing, &exec->standard_input);
	int out = stream_fd(passing, &exec->standard_output);
	int err = stream_fd(passing, &exec->standard_error);
	bool inherits = exec->standard_output.kind == STDIO_INHERIT ||
			exec->standard_output.kind == STDIO_DEFAULT;
	if (in < 0 && out < 0 && err < 0) {
		return;
	}
	out = out < 0 && inherits ? in : out;
	passing->plan = *spawn->plan;
	struct process_stdio *streams[] = {
		&passing->plan.in, &passing->plan.out, &passing->plan.err};
	int fds[] = {in, out, err};
	for (int i = 0; i < 3; i++) {
		if (fds[i] >= 0) {
			*streams[i] = (struct process_stdio){.kind = STREAM_FD, .fd = fds[i]};
		}
	}
	if (err < 0 && out >= 0 &&
		(exec->standard_error.kind == STDIO_INHERIT ||
			exec->standard_error.kind == STDIO_DEFAULT)) {
		passing->plan.err.kind = STREAM_SAME_AS_STDOUT;
	}
	spawn->plan = &passing->plan;
}

void sockets_pass(struct manager *m, struct node *node, const struct tree_order *order,
	struct process_spawn *spawn)
{
	struct passing *passing = m->passing;
	char name[SHARE_NAME_SIZE];
	passing->count = passing->stored = 0;
	passing->names[0] = '\0';
	if (order->phase != PHASE_START || order->role != ROLE_MAIN ||
		node_unit(node)->kind != UNIT_SERVICE) {
		return;
	}
	if (m->held != NULL && traffic_connection_name(m, node, name)) {
		traffic_connection_adopt(m, node, held_take(m->held, name));
	}
	if (node->fds != NULL && node->fds->connection >= 0) {
		set_nonblocking(node->fds->connection, node_unit(node)->service->non_blocking);
		passing_add(passing, node->fds->connection, "connection");
	} else if (m->sockets_count > 0) {
		pass_all_sockets(m, node);
	}
	fdstore_pass(m, node, passing);
	if (passing->count == 0) {
		return;
	}
	pass_streams(node, passing, spawn);
	spawn->pass = passing->fds;
	spawn->pass_count = passing->count;
	snprintf(passing->listen_pid, sizeof(passing->listen_pid), "LISTEN_PID=0");
	spawn->listen_pid = passing->listen_pid + strlen("LISTEN_PID=");
}
