#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/str.h"
#include "manager/sockets.h"

/* What comes in on sockets that nobody else listens on: the first traffic of a service that is not
 * there, and connections that get a process each (Accept=yes). */

/* Connections taken of one socket in one turn. */
#define CONNECTIONS_A_TURN 64
/* Processes looked at before a connection is refused. */
#define ENDED_LOOKS 64

/* --- what is watched --- */

static bool is_down(enum tree_state state)
{
	return state == STATE_STOPPED || state == STATE_FAILED || state == STATE_DONE;
}

static struct node *service_of(const struct manager *m, const struct node *socket)
{
	return node_by_name(m, node_unit(socket)->socket->service);
}

/* The service is down, and would come if it were called: it is not held, and its supervisor is
 * there. */
static bool waits_for_traffic(struct manager *m, const struct node *socket)
{
	const struct node *service = service_of(m, socket);
	struct tree_view view, parent;
	if (service == NULL || service->parent == NODE_NONE || socket->fds->triggered) {
		return false;
	}
	tree_look(m->tree, service->index, m->now, &view);
	tree_look(m->tree, service->parent, m->now, &parent);
	return is_down(view.state) && !view.held && parent.state == STATE_RUNNING;
}

static bool is_wanted(struct manager *m, const struct node *socket)
{
	struct tree_view view;
	tree_look(m->tree, socket->index, m->now, &view);
	if (view.state != STATE_RUNNING || socket->fds->paused) {
		return false;
	}
	return node_unit(socket)->socket->accept || waits_for_traffic(m, socket);
}

static void watch_sockets(struct manager *m, struct node *node)
{
	struct node_fds *fds = node->fds;
	bool wanted = fds->sockets_count > 0 && is_wanted(m, node);
	for (uint32_t i = 0; i < fds->sockets_count; i++) {
		struct kept_socket *s = &fds->sockets[i];
		if (wanted && !s->watched) {
			/* A regular file (ListenSpecial=) cannot be watched: it is always ready. */
			s->watched = loop_watch(m, s->fd, WATCH_SOCKET, node->index, EPOLLIN) == 0;
		} else if (!wanted && s->watched) {
			loop_unwatch(m, s->fd);
			s->watched = false;
		}
	}
}

void traffic_watch(struct manager *m)
{
	for (uint32_t i = 0; i < m->keepers_count; i++) {
		if (node_unit(m->keepers[i])->kind == UNIT_SOCKET) {
			watch_sockets(m, m->keepers[i]);
		}
	}
}

static void flush(const struct node_fds *fds)
{
	for (uint32_t i = 0; i < fds->sockets_count; i++) {
		listen_flush(fds->sockets[i].fd);
	}
}

void traffic_note(struct manager *m, const struct node *node, const struct tree_order *order)
{
	bool is_service = node_unit(node)->kind == UNIT_SERVICE;
	bool is_end = order->note == NOTE_EXITED || order->note == NOTE_STOPPED ||
		      order->note == NOTE_START_FAILED;
	m->traffic_moved = true;
	for (uint32_t i = 0; i < m->keepers_count; i++) {
		struct node *socket = m->keepers[i];
		if (node_unit(socket)->kind != UNIT_SOCKET || node_unit(socket)->socket->accept) {
			continue;
		}
		bool is_its = is_service &&
			      strcmp(node_unit(socket)->socket->service, node_unit_name(node)) == 0;
		if (is_its && is_end && node_unit(socket)->socket->flush_pending) {
			flush(socket->fds);
		}
		/* A supervisor that came up again has dropped what was asked for before. */
		if (is_its || (!is_service && order->note == NOTE_RUNNING)) {
			socket->fds->triggered = false;
		}
	}
}

/* --- how often --- */

/* Counts one more; false when that is one too many. */
static bool count_trigger(struct manager *m, struct node *socket)
{
	const struct unit_socket *unit = node_unit(socket)->socket;
	struct node_fds *fds = socket->fds;
	if (unit->trigger_burst == 0 || unit->trigger_interval_ns == 0) {
		return true;
	}
	if (fds->triggers == 0 || m->now - fds->trigger_since_ns > unit->trigger_interval_ns) {
		fds->triggers = 0;
		fds->trigger_since_ns = m->now;
	}
	return ++fds->triggers <= unit->trigger_burst;
}

/* --- the first traffic --- */

static bool is_forgotten(const struct tree_view *view)
{
	return !view->present;
}

static void start_service(struct manager *m, const struct node *socket)
{
	const struct node *service = service_of(m, socket);
	struct tree_view view;
	tree_look(m->tree, service->index, m->now, &view);
	struct tree_event event = {.kind = is_forgotten(&view) ? EV_ADD : EV_START,
		.node = service->index,
		.generation = service->generation};
	manager_post(m, &event, 0, 0);
}

/* The service ends without taking what came, again and again. systemd.socket(5): the socket fails;
 * whether it is opened again is for its supervisor to say. */
static void fail(struct manager *m, const struct node *socket)
{
	struct tree_view view;
	log_error("%s: traffic has started %s more than %u times in a short while "
		  "(TriggerLimitBurst=), and it does not take it",
		node_unit_name(socket), node_unit(socket)->socket->service,
		node_unit(socket)->socket->trigger_burst);
	tree_look(m->tree, socket->index, m->now, &view);
	struct tree_event event = {.kind = EV_FAIL,
		.node = socket->index,
		.generation = socket->generation,
		.incarnation = view.incarnation,
		.end = {.reason = REASON_START_LIMIT}};
	manager_post(m, &event, 0, 0);
}

static void trigger(struct manager *m, struct node *socket)
{
	if (!waits_for_traffic(m, socket)) {
		return;
	}
	socket->fds->triggered = true;
	if (count_trigger(m, socket)) {
		start_service(m, socket);
	} else {
		socket->fds->triggers = 0;
		fail(m, socket);
	}
}

/* --- a process a connection --- */

bool traffic_connection_name(const struct manager *m, const struct node *node, char *out)
{
	const struct node *parent = node->is_static ? NULL : node_at(m, node->parent);
	return parent != NULL && node_unit(parent)->kind == UNIT_SOCKET &&
	       snprintf(out, SHARE_NAME_SIZE, "conn:%s", node_unit_name(node)) < SHARE_NAME_SIZE;
}

static void set_connection(struct manager *m, struct node *node, int fd)
{
	struct listen_peer peer;
	struct node_fds *fds = node_fds_need(m, node);
	if (fds == NULL) {
		close(fd);
		return;
	}
	fds->connection = fd;
	if (listen_look_at_peer(fd, 0, &peer) == 0) {
		str_copy(fds->remote_address, sizeof(fds->remote_address), peer.address);
		fds->remote_port = peer.port;
	}
}

void traffic_connection_adopt(struct manager *m, struct node *node, int fd)
{
	char name[SHARE_NAME_SIZE];
	struct tree_view view;
	if (fd < 0) {
		return;
	}
	tree_look(m->tree, node->index, m->now, &view);
	set_connection(m, node, fd);
	if (view.main_alive && traffic_connection_name(m, node, name)) {
		traffic_connection_close(m, node); /* its process has it */
	}
}

void traffic_connection_close(struct manager *m, struct node *node)
{
	char name[SHARE_NAME_SIZE];
	if (node->fds == NULL || node->fds->connection < 0) {
		return;
	}
	close(node->fds->connection);
	node->fds->connection = -1;
	if (traffic_connection_name(m, node, name)) {
		keeper_drop(m, name);
	}
}

void sockets_passed(struct manager *m, struct node *node)
{
	if (m->passing->count > 0) {
		/* Whoever is at the other end must see it closed when the process closes it. */
		traffic_connection_close(m, node);
	}
}

static bool is_from(const struct node *node, const char *source)
{
	const char *instance = node_unit(node)->instance;
	const char *remote = instance == NULL ? NULL : strrchr(instance, '-');
	const char *port = remote == NULL ? NULL : strrchr(remote, ':');
	size_t length = strlen(source);
	return port != NULL && (size_t)(port - remote) - 1 == length &&
	       memcmp(remote + 1, source, length) == 0;
}

static uint32_t count_connections(
	const struct manager *m, const struct node *socket, const char *source)
{
	uint32_t count = 0;
	for (uint32_t i = tree_first_child(m->tree, socket->index); i != NODE_NONE;
		i = tree_next_child(m->tree, i)) {
		const struct node *node = node_at(m, i);
		count += node != NULL && (source == NULL || is_from(node, source));
	}
	return count;
}

uint32_t traffic_connections(const struct manager *m, const struct node *socket)
{
	return count_connections(m, socket, NULL);
}

/* One of the oldest has ended, and we have not been told yet: with many short connections that is
 * not rare, and no reason to refuse another one. */
static bool has_ended_one(struct manager *m, const struct node *socket)
{
	uint32_t i = tree_first_child(m->tree, socket->index);
	for (int looked = 0; i != NODE_NONE && looked < ENDED_LOOKS; looked++) {
		const struct node *node = node_at(m, i);
		struct proc_stat stat;
		pid_t pid = node == NULL ? 0 : node_pid(m, node, ROLE_MAIN);
		if (pid > 0 && (proc_read_stat(pid, &stat) < 0 || stat.state == 'Z')) {
			return true;
		}
		i = tree_next_child(m->tree, i);
	}
	return false;
}

static bool is_crowded(struct manager *m, const struct node *socket, const struct listen_peer *peer)
{
	const struct unit_socket *unit = node_unit(socket)->socket;
	bool all = count_connections(m, socket, NULL) >= unit->connections_max;
	bool source = unit->connections_source_max > 0 && peer->source[0] != '\0' &&
		      count_connections(m, socket, peer->source) >= unit->connections_source_max;
	if ((!all && !source) || has_ended_one(m, socket)) {
		return false;
	}
	if (all) {
		log_warning("%s: more than %u connections (MaxConnections=): one is refused",
			node_unit_name(socket), unit->connections_max);
	} else {
		log_warning("%s: more than %u connections of %s (MaxConnectionsPerSource=): one "
			    "is refused",
			node_unit_name(socket), unit->connections_source_max, peer->source);
	}
	return true;
}

/* Makes the instance that a connection is for. The descriptor is taken. */
static void make_instance(struct manager *m, const char *name, int fd)
{
	struct err err = {{0}};
	int failed = request_add(m, name, NULL, &err);
	struct node *node = failed == 0 ? node_by_name(m, name) : NULL;
	if (node == NULL) {
		log_error("%s", err.text);
		close(fd);
		return;
	}
	set_connection(m, node, fd);
}

/* "echo@.service" and "7-…": the name of the instance. */
static bool instance_name(const struct node *socket, const char *instance, char *out)
{
	const char *template = node_unit(socket)->socket->service;
	size_t prefix = (size_t)(strchr(template, '@') - template) + 1;
	return snprintf(out, UNIT_NAME_SIZE, "%.*s%s%s", (int)prefix, template, instance,
		       template + prefix) < UNIT_NAME_SIZE;
}

static void take_connection(struct manager *m, struct node *socket, int fd)
{
	struct node_fds *fds = socket->fds;
	struct listen_peer peer;
	char name[UNIT_NAME_SIZE], held[SHARE_NAME_SIZE];
	do {
		if (listen_look_at_peer(fd, fds->accepted++, &peer) < 0) {
			close(fd); /* gone already */
			return;
		}
		if (!instance_name(socket, peer.instance, name)) {
			log_error("%s: the name of an instance would be too long",
				node_unit_name(socket));
			close(fd);
			return;
		}
	} while (node_by_name(m, name) != NULL);
	if (is_crowded(m, socket, &peer)) {
		fds->refused++;
		close(fd);
		return;
	}
	listen_set_up_connection(fd, socket->definition->listen);
	if (snprintf(held, sizeof(held), "conn:%s", name) < (int)sizeof(held)) {
		keeper_hold(m, held, fd);
	}
	make_instance(m, name, fd);
}

/* They wait in the backlog until the interval is over. */
static void pause_connections(struct manager *m, struct node *socket)
{
	const struct unit_socket *unit = node_unit(socket)->socket;
	struct node_fds *fds = socket->fds;
	uint64_t until = fds->trigger_since_ns + unit->trigger_interval_ns;
	log_warning("%s: more than %u connections in a short while (TriggerLimitBurst=); the next "
		    "ones wait",
		node_unit_name(socket), unit->trigger_burst);
	fds->paused = true;
	timers_set(&m->timers, &fds->pause, until > m->now ? until : m->now);
}

void sockets_resume(struct manager *m, struct timer *timer)
{
	struct node_fds *fds =
		(struct node_fds *)(void *)((char *)timer - offsetof(struct node_fds, pause));
	fds->paused = false;
	fds->triggers = 0;
	m->traffic_moved = true;
}

static void take_connections(struct manager *m, struct node *socket, int listening)
{
	for (int i = 0; i < CONNECTIONS_A_TURN && !socket->fds->paused; i++) {
		int fd = accept4(listening, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd < 0) {
			return;
		}
		if (!count_trigger(m, socket)) {
			pause_connections(m, socket);
		}
		take_connection(m, socket, fd);
	}
}

void sockets_came(struct manager *m, struct node *node)
{
	struct node_fds *fds = node->fds;
	if (fds == NULL || node_unit(node)->kind != UNIT_SOCKET) {
		return;
	}
	for (uint32_t i = 0; i < fds->sockets_count; i++) {
		if (fds->sockets[i].watched && node_unit(node)->socket->accept) {
			take_connections(m, node, fds->sockets[i].fd);
		}
	}
	if (!node_unit(node)->socket->accept) {
		trigger(m, node);
	}
	watch_sockets(m, node);
}

/* Accepted, and the manager died before it had an instance. */
void traffic_adopt(struct manager *m, struct held *held)
{
	for (uint32_t i = 0; i < held->count; i++) {
		const char *name = held->list[i].name;
		struct node *supervisor = NULL;
		if (held->list[i].fd < 0 || !str_starts(name, "conn:")) {
			continue;
		}
		name += strlen("conn:");
		if (node_by_name(m, name) != NULL ||
			units_template_of(m, name, &supervisor) == NULL || supervisor == NULL ||
			node_unit(supervisor)->kind != UNIT_SOCKET) {
			continue;
		}
		int fd = held->list[i].fd;
		held->list[i].fd = -1;
		make_instance(m, name, fd);
	}
}
