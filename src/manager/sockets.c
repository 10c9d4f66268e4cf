#include "manager/sockets.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/log.h"
#include "base/span.h"
#include "base/str.h"

static_assert((int)LISTEN_STREAM == (int)UNIT_LISTEN_STREAM, "kinds");
static_assert((int)LISTEN_MQUEUE == (int)UNIT_LISTEN_MQUEUE, "kinds");
static_assert((int)LISTEN_IPV6_ONLY == (int)UNIT_IPV6_ONLY, "BindIPv6Only=");

/* --- definitions --- */

static struct listen_options compile_options(const struct unit_socket *unit)
{
	return (struct listen_options){
		.user = unit->user,
		.group = unit->group,
		.mode = unit->mode,
		.directory_mode = unit->directory_mode,
		.backlog = unit->backlog,
		.ipv6_only = unit->ipv6_only,
		.keep_alive = unit->keep_alive,
		.no_delay = unit->no_delay,
		.reuse_port = unit->reuse_port,
		.free_bind = unit->free_bind,
		.transparent = unit->transparent,
		.broadcast = unit->broadcast,
		.pass_credentials = unit->pass_credentials,
		.pass_security = unit->pass_security,
		.pass_packet_info = unit->pass_packet_info,
		.writable = unit->writable,
		.bind_device = unit->bind_device,
		.receive_buffer = unit->receive_buffer,
		.send_buffer = unit->send_buffer,
		.pipe_size = unit->pipe_size,
		.priority = unit->priority,
		.mark = unit->mark,
		.ip_ttl = unit->ip_ttl,
		.ip_tos = unit->ip_tos,
		.keep_alive_time_ns = unit->keep_alive_time_ns,
		.keep_alive_interval_ns = unit->keep_alive_interval_ns,
		.defer_accept_ns = unit->defer_accept_ns,
		.keep_alive_probes = unit->keep_alive_probes,
		.protocol = unit->protocol,
		.tcp_congestion = unit->tcp_congestion,
	};
}

/* To the core, opening is a command that ends well at once: a oneshot that remains. */
static void compile_exec(struct unit_service *exec, const struct unit_socket *unit)
{
	static struct unit_command opening = {.path = "listen", .no_expand = true};
	*exec = (struct unit_service){
		.type = SERVICE_ONESHOT,
		.remain_after_exit = true,
		.kill_mode = KILL_CONTROL_GROUP,
		.send_sigkill = true,
		.kill_signal = SIGTERM,
		.final_kill_signal = SIGKILL,
		.watchdog_signal = SIGABRT,
		.reload_signal = SIGHUP,
		.ignore_sigpipe = true,
		.notify_fd = -1,
		.start_timeout_ns = unit->timeout_ns,
		.stop_timeout_ns = unit->timeout_ns,
		.abort_timeout_ns = unit->timeout_ns,
		.runtime_max_ns = SPAN_INFINITY,
		.restart_max_delay_ns = SPAN_INFINITY,
	};
	memcpy(exec->commands, unit->commands, sizeof(exec->commands));
	exec->commands[UNIT_START] = (struct unit_commands){1, &opening};
}

int sockets_compile(struct definition *definition)
{
	const struct unit_socket *unit = definition->unit->socket;
	struct listen_options *options = arena_alloc(&definition->arena, sizeof(*options));
	struct unit_service *exec = arena_alloc(&definition->arena, sizeof(*exec));
	if (options == NULL || exec == NULL) {
		return -ENOMEM;
	}
	*options = compile_options(unit);
	definition->listen = options;
	if (!unit->accept) {
		compile_exec(exec, unit);
		definition->exec = exec;
	}
	return 0;
}

/* --- the record --- */

struct node_fds *node_fds_need(struct manager *m, struct node *node)
{
	if (node->fds != NULL) {
		return node->fds;
	}
	if (m->keepers_count == m->keepers_room) {
		uint32_t room = m->keepers_room + m->keepers_room / 2 + 16;
		struct node **list = realloc(m->keepers, room * sizeof(struct node *));
		if (list == NULL) {
			return NULL;
		}
		m->keepers = list;
		m->keepers_room = room;
	}
	node->fds = calloc(1, sizeof(*node->fds));
	if (node->fds != NULL) {
		node->fds->connection = -1;
		m->keepers[m->keepers_count++] = node;
	}
	return node->fds;
}

void node_fds_free(struct manager *m, struct node *node)
{
	uint32_t i = 0;
	if (node->fds == NULL) {
		return;
	}
	while (m->keepers[i] != node) {
		i++;
	}
	/* The order is that of the tree, and of what is passed. */
	m->keepers_count--;
	memmove(&m->keepers[i], &m->keepers[i + 1], (m->keepers_count - i) * sizeof(struct node *));
	for (i = 0; i < node->fds->sockets_count; i++) {
		free(node->fds->sockets[i].address);
	}
	free(node->fds->sockets);
	free(node->fds->stored);
	free(node->fds);
	node->fds = NULL;
}

/* --- names --- */

uint64_t kept_hash(uint64_t hash, const char *text)
{
	for (const unsigned char *p = (const unsigned char *)text; *p != '\0'; p++) {
		hash = (hash ^ *p) * UINT64_C(0x100000001b3);
	}
	return (hash ^ 0xff) * UINT64_C(0x100000001b3);
}

void kept_name(char *out, const char *kind, uint64_t hash, const char *text)
{
	/* The text is for people: what tells them apart is in the hash. */
	snprintf(out, SHARE_NAME_SIZE, "%s:%016" PRIx64 ":%.*s", kind, hash, 80, text);
}

/* Whatever needs a new binding is in the name: one of the same name can be kept. */
static void socket_name(const struct node *node, const struct unit_listen *listen, char *out)
{
	const struct listen_options *o = node->definition->listen;
	char text[128];
	uint64_t hash = kept_hash(KEPT_HASH, node_unit_name(node));
	snprintf(text, sizeof(text), "%u %u %d%d%d%d %d", listen->kind, o->ipv6_only, o->reuse_port,
		o->free_bind, o->transparent, o->writable, o->protocol);
	hash = kept_hash(hash, text);
	hash = kept_hash(hash, listen->address);
	hash = kept_hash(hash, o->bind_device != NULL ? o->bind_device : "");
	kept_name(out, "socket", hash, listen->address);
}

/* --- opening and closing --- */

static void socket_close(struct manager *m, struct kept_socket *s)
{
	if (s->fd >= 0) {
		if (s->watched) {
			loop_unwatch(m, s->fd);
		}
		close(s->fd);
		keeper_drop(m, s->name);
	}
	free(s->address);
	*s = (struct kept_socket){.fd = -1};
}

static int socket_take_over(
	struct manager *m, struct node *node, struct node_fds *fds, struct kept_socket *s)
{
	struct err err = {{0}};
	int fd = -1;
	for (uint32_t i = 0; i < fds->sockets_count && fd < 0; i++) {
		struct kept_socket *old = &fds->sockets[i];
		if (old->fd >= 0 && strcmp(old->name, s->name) == 0) {
			fd = old->fd;
			s->watched = old->watched;
			free(old->address);
			*old = (struct kept_socket){.fd = -1};
		}
	}
	if (fd < 0 && m->held != NULL) {
		fd = held_take(m->held, s->name);
	}
	if (fd >= 0 && listen_apply(fd, s->kind, s->address, node->definition->listen, &err) < 0) {
		log_warning("%s: %s", node_unit_name(node), err.text);
	}
	return fd;
}

/* The same place, to be bound in another way: the old one has to make room. */
static void make_room(struct manager *m, struct node_fds *fds, const struct kept_socket *s)
{
	for (uint32_t i = 0; i < fds->sockets_count; i++) {
		struct kept_socket *old = &fds->sockets[i];
		if (old->fd >= 0 && old->kind == s->kind && strcmp(old->address, s->address) == 0) {
			socket_close(m, old);
		}
	}
}

static int socket_open(struct manager *m, struct node *node, struct node_fds *fds,
	struct kept_socket *s, struct err *err)
{
	s->fd = socket_take_over(m, node, fds, s);
	if (s->fd >= 0) {
		return 0;
	}
	make_room(m, fds, s);
	int fd = listen_open(s->kind, s->address, node->definition->listen, err);
	for (uint32_t i = 0; fd == -EADDRINUSE && i < fds->sockets_count; i++) {
		/* "8080" and "127.0.0.1:8080" are in each other's way. */
		if (fds->sockets[i].fd >= 0) {
			socket_close(m, &fds->sockets[i]);
			fd = listen_open(s->kind, s->address, node->definition->listen, err);
		}
	}
	if (fd < 0) {
		return fd;
	}
	int failed = keeper_hold(m, s->name, fd);
	if (failed != 0) {
		close(fd);
		return err_set(err, -failed, "%s: the keeper cannot hold it: %s", s->address,
			strerror(-failed));
	}
	s->fd = fd;
	return 0;
}

static const char *file_of(const struct kept_socket *s)
{
	return listen_has_file(s->kind, s->address) && s->kind != LISTEN_MQUEUE ? s->address : NULL;
}

static void make_symlinks(const struct node *node, const struct node_fds *fds)
{
	const struct unit_socket *unit = node_unit(node)->socket;
	const char *target = NULL;
	for (uint32_t i = 0; i < fds->sockets_count && target == NULL; i++) {
		target = file_of(&fds->sockets[i]);
	}
	for (uint32_t i = 0; target != NULL && unit->symlinks != NULL && unit->symlinks[i] != NULL;
		i++) {
		int failed = listen_symlink(target, unit->symlinks[i], unit->directory_mode);
		if (failed != 0) {
			log_warning("%s: Symlinks=%s: %s", node_unit_name(node), unit->symlinks[i],
				strerror(-failed));
		}
	}
}

/* Puts `list` in the place of what was there, of which nothing is needed any more. */
static void sockets_replace(
	struct manager *m, struct node_fds *fds, struct kept_socket *list, uint32_t count)
{
	for (uint32_t i = 0; i < fds->sockets_count; i++) {
		struct kept_socket *old = &fds->sockets[i];
		if (old->fd >= 0) {
			listen_unlink(old->kind, old->address);
		}
		socket_close(m, old);
	}
	free(fds->sockets);
	fds->sockets = list;
	fds->sockets_count = count;
}

int sockets_open(struct manager *m, struct node *node, struct err *err)
{
	const struct unit_socket *unit = node_unit(node)->socket;
	struct node_fds *fds = node_fds_need(m, node);
	struct kept_socket *list = calloc(unit->listens_count + 1, sizeof(*list));
	int failed = fds == NULL || list == NULL ? err_set(err, ENOMEM, "no memory") : 0;
	uint32_t count = 0;
	while (failed == 0 && count < unit->listens_count) {
		struct kept_socket *s = &list[count];
		s->kind = unit->listens[count].kind;
		s->address = strdup(unit->listens[count].address);
		s->fd = -1;
		socket_name(node, &unit->listens[count], s->name);
		failed = s->address == NULL ? err_set(err, ENOMEM, "no memory")
					    : socket_open(m, node, fds, s, err);
		count++;
	}
	if (failed == 0) {
		sockets_replace(m, fds, list, count);
		make_symlinks(node, fds);
		return 0;
	}
	/* What is open stays open, and is closed when the unit is down for good. */
	for (uint32_t i = 0; i < count; i++) {
		if (list[i].fd < 0) {
			free(list[i].address);
			count = i;
		}
	}
	if (fds != NULL && count > 0 && fds->sockets_count == 0) {
		sockets_replace(m, fds, list, count);
		return failed;
	}
	for (uint32_t i = 0; i < count; i++) {
		socket_close(m, &list[i]);
	}
	free(list);
	return failed;
}

/* Its unit is down, or is not any more. */
static void linger(struct manager *m, struct node *node, bool on)
{
	if (node->fds->lingering != on) {
		node->fds->lingering = on;
		m->lingering += on ? 1 : UINT32_MAX;
	}
}

void sockets_linger_if_down(struct manager *m, struct node *node)
{
	struct tree_view view;
	tree_look(m->tree, node->index, m->now, &view);
	linger(m, node, view.state != STATE_RUNNING && view.state != STATE_STARTING);
}

static void remove_files(const struct node *node, const struct node_fds *fds)
{
	const struct unit_socket *unit = node_unit(node)->socket;
	char target[1];
	for (uint32_t i = 0; i < fds->sockets_count; i++) {
		listen_unlink(fds->sockets[i].kind, fds->sockets[i].address);
	}
	for (uint32_t i = 0; unit->symlinks != NULL && unit->symlinks[i] != NULL; i++) {
		if (readlink(unit->symlinks[i], target, sizeof(target)) >= 0) {
			unlink(unit->symlinks[i]);
		}
	}
}

void node_fds_close(struct manager *m, struct node *node)
{
	struct node_fds *fds = node->fds;
	if (fds == NULL) {
		return;
	}
	linger(m, node, false);
	if (fds->sockets_count > 0 && node_unit(node)->socket->remove_on_stop) {
		remove_files(node, fds);
	}
	for (uint32_t i = 0; i < fds->sockets_count; i++) {
		socket_close(m, &fds->sockets[i]);
	}
	fds->sockets_count = 0;
	traffic_connection_close(m, node);
	fdstore_drop(m, node);
}

/* --- nodes come and go --- */

int sockets_enter(struct manager *m, struct node *node)
{
	if (node_unit(node)->kind != UNIT_SOCKET) {
		return 0;
	}
	if (node_fds_need(m, node) == NULL || timers_reserve(&m->timers, 1) < 0) {
		return -ENOMEM;
	}
	timer_init(&node->fds->pause, TIMER_TRAFFIC);
	m->sockets_count++;
	return 0;
}

void sockets_leave(struct manager *m, struct node *node)
{
	if (node_unit(node)->kind == UNIT_SOCKET && node->fds != NULL) {
		timers_clear(&m->timers, &node->fds->pause);
		timers_reserve(&m->timers, -1);
		m->sockets_count--;
	}
	node_fds_close(m, node);
	node_fds_free(m, node);
}

void sockets_finish(struct manager *m)
{
	for (uint32_t i = 0; m->ended && i < m->keepers_count; i++) {
		const struct node *node = m->keepers[i];
		if (node->fds->sockets_count > 0 && node_unit(node)->socket->remove_on_stop) {
			remove_files(node, node->fds);
		}
	}
	while (m->keepers_count > 0) {
		node_fds_free(m, m->keepers[m->keepers_count - 1]);
	}
	free(m->keepers);
	m->keepers = NULL;
	m->keepers_room = 0;
}

/* The node is there with another definition. */
void sockets_changed(struct manager *m, struct node *node)
{
	struct err err = {{0}};
	if (node_unit(node)->kind == UNIT_SOCKET && node->fds != NULL &&
		node->fds->sockets_count > 0) {
		if (sockets_open(m, node, &err) != 0) {
			log_error("%s: %s; the old sockets stay", node_unit_name(node), err.text);
		}
		m->traffic_moved = true;
	}
}

/* --- the start of a socket unit --- */

static void post(struct manager *m, const struct node *node, const struct tree_order *order,
	enum tree_event_kind kind, struct service_end end)
{
	struct tree_event event = {.kind = (uint8_t)kind,
		.role = ROLE_MAIN,
		.flag = true,
		.node = node->index,
		.generation = node->generation,
		.incarnation = order->incarnation,
		.end = end};
	manager_post(m, &event, kind == EV_EXITED ? 0 : order->id, 0);
}

bool sockets_spawn(struct manager *m, struct node *node, const struct tree_order *order)
{
	struct err err = {{0}};
	if (node_unit(node)->kind != UNIT_SOCKET || order->phase != PHASE_START) {
		return false;
	}
	int failed = sockets_open(m, node, &err);
	if (failed != 0) {
		log_error("%s: cannot listen on %s", node_unit_name(node), err.text);
		post(m, node, order, EV_SPAWN_FAILED,
			(struct service_end){.reason = REASON_EXEC,
				.step = PROCESS_STEP_LISTEN,
				.number = -failed});
		return true;
	}
	/* One without the other would be a start whose process was lost. */
	journal_together(&m->journal);
	post(m, node, order, EV_SPAWNED, (struct service_end){0});
	post(m, node, order, EV_EXITED, (struct service_end){.reason = REASON_EXIT});
	return true;
}

/* --- letting go --- */

static bool is_down(enum tree_state state)
{
	return state == STATE_STOPPED || state == STATE_FAILED || state == STATE_DONE;
}

/* Something is under way among the children of a supervisor that is up: a group restart, perhaps,
 * whose turn it is to come to this node. */
static bool is_moving(struct manager *m, uint32_t supervisor)
{
	for (uint32_t i = tree_first_child(m->tree, supervisor); i != NODE_NONE;
		i = tree_next_child(m->tree, i)) {
		struct tree_view view;
		tree_look(m->tree, i, m->now, &view);
		if (!is_down(view.state) && view.state != STATE_RUNNING) {
			return true;
		}
	}
	return false;
}

enum future { FUTURE_UP, FUTURE_OPEN, FUTURE_DOWN };

/* Whether a unit that is down now will be started again by somebody above it. */
static enum future future_of(struct manager *m, const struct node *node)
{
	struct tree_view view, parent;
	for (uint32_t index = node->index;; index = view.parent) {
		tree_look(m->tree, index, m->now, &view);
		if (!view.exists || view.held) {
			return FUTURE_DOWN;
		}
		if (!is_down(view.state)) {
			return index == node->index && view.state != STATE_STOPPING ? FUTURE_UP
										    : FUTURE_OPEN;
		}
		if (view.parent == NODE_NONE) {
			return m->ended ? FUTURE_DOWN : FUTURE_OPEN;
		}
		tree_look(m->tree, view.parent, m->now, &parent);
		if (parent.state == STATE_RUNNING) {
			return is_moving(m, view.parent) ? FUTURE_OPEN : FUTURE_DOWN;
		}
	}
}

static void settle_one(struct manager *m, struct node *node)
{
	switch (future_of(m, node)) {
	case FUTURE_OPEN: break;
	case FUTURE_UP: linger(m, node, false); break;
	case FUTURE_DOWN:
		if (node_unit(node)->kind == UNIT_SERVICE &&
			node_unit(node)->service->fd_store_preserve == UNIT_PRESERVE_YES) {
			linger(m, node, false);
		} else {
			node_fds_close(m, node);
		}
		break;
	}
}

void sockets_settle(struct manager *m)
{
	if (m->queue_count > 0) {
		return;
	}
	if (m->traffic_moved) {
		m->traffic_moved = false;
		traffic_watch(m);
	}
	if (m->lingering == 0) {
		return;
	}
	for (uint32_t i = 0; i < m->keepers_count; i++) {
		if (m->keepers[i]->fds->lingering) {
			settle_one(m, m->keepers[i]);
		}
	}
}

/* --- what happens to nodes --- */

static bool is_end(uint8_t note)
{
	return note == NOTE_EXITED || note == NOTE_STOPPED || note == NOTE_START_FAILED ||
	       note == NOTE_FAILED || note == NOTE_DONE || note == NOTE_END || note == NOTE_SKIPPED;
}

/* With Accept=yes there is no start to answer: the supervisor of the connections gives up. */
static void open_for_connections(struct manager *m, struct node *node)
{
	struct err err = {{0}};
	int failed = sockets_open(m, node, &err);
	if (failed == 0) {
		return;
	}
	log_error("%s: cannot listen on %s", node_unit_name(node), err.text);
	struct tree_event event = {.kind = EV_FAIL,
		.node = node->index,
		.generation = node->generation,
		.end = {.reason = REASON_EXEC, .step = PROCESS_STEP_LISTEN, .number = -failed}};
	manager_post(m, &event, 0, 0);
}

void sockets_note(struct manager *m, struct node *node, const struct tree_order *order)
{
	bool is_socket = node_unit(node)->kind == UNIT_SOCKET;
	if (is_socket && order->note == NOTE_BEGIN) {
		open_for_connections(m, node);
	}
	if (node->fds != NULL && is_end(order->note)) {
		linger(m, node, true);
		if (!is_socket && node_unit(node)->kind == UNIT_SERVICE &&
			node_unit(node)->service->fd_store_preserve == UNIT_PRESERVE_NO) {
			fdstore_drop(m, node);
		}
	}
	if (m->sockets_count > 0) {
		traffic_note(m, node, order);
	}
}

/* --- a new manager --- */

static void socket_adopt(struct manager *m, struct node *node)
{
	const struct unit_socket *unit = node_unit(node)->socket;
	bool any = false;
	char name[SHARE_NAME_SIZE];
	struct tree_view view;
	struct err err = {{0}};
	tree_look(m->tree, node->index, m->now, &view);
	for (uint32_t i = 0; i < unit->listens_count; i++) {
		socket_name(node, &unit->listens[i], name);
		for (uint32_t k = 0; k < m->held->count && !any; k++) {
			any = m->held->list[k].fd >= 0 && strcmp(m->held->list[k].name, name) == 0;
		}
	}
	if ((any || view.state == STATE_RUNNING) && sockets_open(m, node, &err) != 0) {
		log_error("%s: %s", node_unit_name(node), err.text);
	}
	sockets_linger_if_down(m, node);
	/* The start was under way, and its second half was not written. */
	if (view.main_alive && view.state == STATE_STARTING) {
		const struct tree_order order = {.incarnation = view.incarnation};
		post(m, node, &order, EV_EXITED, (struct service_end){.reason = REASON_EXIT});
	}
	m->traffic_moved = true;
}

void sockets_adopt(struct manager *m, struct held *held)
{
	char name[SHARE_NAME_SIZE];
	m->held = held;
	for (uint32_t i = 0; i < m->nodes_room; i++) {
		struct node *node = m->nodes[i];
		if (node == NULL) {
			continue;
		}
		if (node_unit(node)->kind == UNIT_SOCKET) {
			socket_adopt(m, node);
		} else if (node_unit(node)->kind == UNIT_SERVICE) {
			fdstore_adopt(m, node, held);
			if (m->sockets_count > 0 && traffic_connection_name(m, node, name)) {
				traffic_connection_adopt(m, node, held_take(held, name));
			}
		}
	}
	traffic_adopt(m, held);
	m->held = NULL;
}
