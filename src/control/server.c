#include "control/server.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/log.h"
#include "base/span.h"
#include "control/connection.h"

#define EVENTS_MAX 64

/* --- birth and death --- */

/* `tag` is what epoll gives back: a connection, or the address of one of the server's descriptors.
 */
static int server_watch(struct control_server *server, int *tag, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.ptr = tag};

	return epoll_ctl(server->epoll_fd, EPOLL_CTL_ADD, *tag, &event) < 0 ? -errno : 0;
}

static int server_open(struct control_server *server)
{
	int result;

	server->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	server->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	server->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (server->epoll_fd < 0 || server->wake_fd < 0 || server->timer_fd < 0) {
		return -errno;
	}
	result = server_watch(server, &server->config.listen_fd, EPOLLIN);
	if (result == 0) {
		result = server_watch(server, &server->wake_fd, EPOLLIN);
	}
	if (result == 0) {
		result = server_watch(server, &server->timer_fd, EPOLLIN);
	}
	return result;
}

int control_server_create(const struct control_config *config, struct control_server **server)
{
	struct control_server *created = calloc(1, sizeof(*created));
	int result;

	if (created == NULL) {
		return -ENOMEM;
	}
	created->config = *config;
	created->epoll_fd = created->wake_fd = created->timer_fd = -1;
	result = server_open(created);
	if (result < 0) {
		control_server_destroy(created);
		return result;
	}
	*server = created;
	return 0;
}

void control_server_destroy(struct control_server *server)
{
	int *fds;

	if (server == NULL) {
		return;
	}
	server->dispatching = true; /* nobody is to be woken any more */
	while (server->first != NULL) {
		connection_kill(server->first);
	}
	for (struct connection *c = server->dead; c != NULL; c = c->next) {
		c->pending = false;
	}
	connection_bury(server);
	fds = (int[]){server->epoll_fd, server->wake_fd, server->timer_fd};
	for (int i = 0; i < 3; i++) {
		if (fds[i] >= 0) {
			(void)close(fds[i]);
		}
	}
	free(server);
}

int control_server_fd(const struct control_server *server)
{
	return server->epoll_fd;
}

void server_wake(struct control_server *server)
{
	(void)eventfd_write(server->wake_fd, 1);
}

/* --- accepting --- */

static void server_set_timer(struct control_server *server, uint64_t span_ns)
{
	struct itimerspec spec = {
		.it_value = {.tv_sec = (time_t)(span_ns / NS_PER_SEC),
			.tv_nsec = (long)(span_ns % NS_PER_SEC)},
	};

	(void)timerfd_settime(server->timer_fd, 0, &spec, NULL);
}

void server_pause_accept(struct control_server *server)
{
	if (!server->paused) {
		(void)epoll_ctl(server->epoll_fd, EPOLL_CTL_DEL, server->config.listen_fd, NULL);
		server->paused = true;
		if (!server->pause_said) {
			log_warning("control: no descriptors or memory for new clients, they wait");
		}
		server->pause_said = true;
	}
	server_set_timer(server, CONTROL_PAUSE_MS * NS_PER_MS);
}

void server_resume_accept(struct control_server *server)
{
	if (server->paused && server_watch(server, &server->config.listen_fd, EPOLLIN) == 0) {
		server->paused = false;
		server_set_timer(server, 0);
	} else if (server->paused) {
		server_set_timer(server, CONTROL_PAUSE_MS * NS_PER_MS);
	}
}

static enum control_access server_access(
	struct control_server *server, const struct control_peer *peer)
{
	int access;

	if (server->config.access == NULL) {
		return peer->uid == 0 || peer->uid == geteuid() ? ACCESS_ALL : ACCESS_NONE;
	}
	access = server->config.access(server->config.context, peer);
	return access <= 0 ? ACCESS_NONE : access == 1 ? ACCESS_READ : ACCESS_ALL;
}

/* One error message to somebody who is not let in. It fits into an empty socket buffer. */
static void server_turn_away(
	struct control_server *server, int fd, const char *error, json_t *details)
{
	struct frame_out out = {0};
	char name[256];
	json_t *message;

	(void)snprintf(name, sizeof(name), "%s.%s", server->config.interface_name, error);
	message = json_pack("{s:s,s:o}", "error", name, "parameters", details);
	if (message != NULL && frame_out_put(&out, message) == 0) {
		(void)frame_out_send(&out, fd);
	}
	frame_out_finish(&out);
	json_decref(message);
	(void)close(fd);
}

/* Somebody new may come in when there is a place, or when one who is silent can be sent away. */
static bool server_make_room(struct control_server *server, enum control_access access)
{
	bool full = server->clients_count >= CONTROL_CLIENTS_MAX;
	bool readers_full = access == ACCESS_READ && server->readers_count >= CONTROL_READERS_MAX;

	if (!full && !readers_full) {
		return true;
	}
	for (struct connection *c = server->first; c != NULL; c = c->next) {
		bool fits = !readers_full || c->access == ACCESS_READ;

		if (fits && !c->call.open && !c->pending) {
			connection_kill(c);
			return true;
		}
	}
	return false;
}

/* Takes over the descriptor. */
static void server_admit(struct control_server *server, int fd)
{
	struct ucred credentials;
	socklen_t size = sizeof(credentials);
	struct control_peer peer;
	enum control_access access;
	char reason[256];

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) < 0) {
		(void)close(fd);
		return;
	}
	peer = (struct control_peer){credentials.pid, credentials.uid, credentials.gid};
	access = server_access(server, &peer);
	if (access == ACCESS_NONE) {
		(void)snprintf(reason, sizeof(reason),
			"user %u may not speak to this coppice; ControlGroup= of the root unit can "
			"let a group look",
			(unsigned)peer.uid);
		server_turn_away(server, fd, "Refused", json_pack("{s:s}", "reason", reason));
		return;
	}
	if (!server_make_room(server, access)) {
		server_turn_away(server, fd, "TooManyRequests", json_object());
		return;
	}
	if (connection_create(server, fd, &peer, access) < 0) {
		(void)close(fd);
		server_pause_accept(server);
	}
}

static void server_accept(struct control_server *server)
{
	for (unsigned i = 0; i < CONTROL_TURN_ACCEPTS && !server->paused; i++) {
		int fd =
			accept4(server->config.listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0) {
			server->pause_said = false;
			server_admit(server, fd);
		} else if (errno == EINTR || errno == ECONNABORTED) {
			continue;
		} else if (errno == EAGAIN) {
			return;
		} else {
			server_pause_accept(server);
		}
	}
}

/* --- turns --- */

/* One turn for each of those that have a message now; who has more comes in the next one. */
static void server_serve_pending(struct control_server *server)
{
	struct connection *c, *last = server->last_pending;

	for (unsigned i = 0; i < CONTROL_TURN_CLIENTS && server->first_pending != NULL; i++) {
		c = server->first_pending;
		server->first_pending = c->next_pending;
		if (server->first_pending == NULL) {
			server->last_pending = NULL;
		}
		c->next_pending = NULL;
		connection_serve(c);
		if (c == last) {
			return;
		}
	}
}

static void server_handle(struct control_server *server, const struct epoll_event *event)
{
	uint64_t count;

	if (event->data.ptr == &server->config.listen_fd) {
		server_accept(server);
	} else if (event->data.ptr == &server->wake_fd) {
		(void)eventfd_read(server->wake_fd, &count);
	} else if (event->data.ptr == &server->timer_fd) {
		(void)!read(server->timer_fd, &count, sizeof(count));
		server_resume_accept(server);
	} else {
		connection_handle_events(event->data.ptr, event->events);
	}
}

void control_server_dispatch(struct control_server *server)
{
	struct epoll_event events[EVENTS_MAX];
	int count;

	CHECK(!server->dispatching);
	server->dispatching = true;
	count = epoll_wait(server->epoll_fd, events, EVENTS_MAX, 0);
	for (int i = 0; i < count; i++) {
		server_handle(server, &events[i]);
	}
	server_serve_pending(server);
	connection_bury(server);
	server->dispatching = false;
	if (server->first_pending != NULL) {
		server_wake(server);
	}
}

/* --- the end --- */

static uint64_t monotonic_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / NS_PER_MS;
}

void control_server_flush(struct control_server *server, int timeout_ms)
{
	uint64_t end_ms = monotonic_ms() + (uint64_t)(timeout_ms > 0 ? timeout_ms : 0);
	struct pollfd fds[CONTROL_CLIENTS_MAX];

	for (;;) {
		struct connection *c, *next;
		nfds_t count = 0;
		uint64_t now_ms;

		for (c = server->first; c != NULL; c = next) {
			next = c->next;
			if (frame_out_queued(&c->out) == 0) {
				continue;
			}
			if (frame_out_send(&c->out, c->fd) == -EAGAIN) {
				fds[count++] = (struct pollfd){.fd = c->fd, .events = POLLOUT};
			} else if (frame_out_queued(&c->out) > 0) {
				connection_kill(c);
			}
		}
		now_ms = monotonic_ms();
		if (count == 0 || now_ms >= end_ms) {
			return;
		}
		(void)poll(fds, count, (int)(end_ms - now_ms));
	}
}
