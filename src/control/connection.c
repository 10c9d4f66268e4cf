#include "control/connection.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/check.h"

/* --- the list of all, the one silent for longest first --- */

static void list_append(struct control_server *server, struct connection *c)
{
	c->previous = server->last;
	c->next = NULL;
	if (server->last != NULL) {
		server->last->next = c;
	} else {
		server->first = c;
	}
	server->last = c;
}

static void list_remove(struct control_server *server, struct connection *c)
{
	if (c->previous != NULL) {
		c->previous->next = c->next;
	} else {
		server->first = c->next;
	}
	if (c->next != NULL) {
		c->next->previous = c->previous;
	} else {
		server->last = c->previous;
	}
	c->previous = c->next = NULL;
}

static void pending_append(struct connection *c)
{
	struct control_server *server = c->server;

	if (c->pending) {
		return;
	}
	c->pending = true;
	c->next_pending = NULL;
	if (server->last_pending != NULL) {
		server->last_pending->next_pending = c;
	} else {
		server->first_pending = c;
	}
	server->last_pending = c;
	if (!server->dispatching) {
		server_wake(server);
	}
}

/* --- birth and death --- */

/* Tells epoll what this connection waits for. Hang-ups are reported whatever is asked for. */
static int connection_watch(struct connection *c, uint32_t interest)
{
	struct epoll_event event = {.events = interest, .data.ptr = c};
	int operation = c->watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;

	if (c->watched && interest == c->interest) {
		return 0;
	}
	if (epoll_ctl(c->server->epoll_fd, operation, c->fd, &event) < 0) {
		return -errno;
	}
	c->watched = true;
	c->interest = interest;
	return 0;
}

static void connection_unwatch(struct connection *c)
{
	if (c->watched) {
		/* Explicit, since a child between clone and exec may share the open file. */
		(void)epoll_ctl(c->server->epoll_fd, EPOLL_CTL_DEL, c->fd, NULL);
		c->watched = false;
	}
}

int connection_create(struct control_server *server, int fd, const struct control_peer *peer,
	enum control_access access)
{
	struct connection *c = calloc(1, sizeof(*c));
	int result;

	if (c == NULL) {
		return -ENOMEM;
	}
	c->server = server;
	c->fd = fd;
	c->peer = *peer;
	c->access = access;
	c->call.connection = c;
	result = connection_watch(c, EPOLLIN);
	if (result < 0) {
		free(c);
		return result;
	}
	list_append(server, c);
	server->clients_count++;
	server->readers_count += access == ACCESS_READ;
	return 0;
}

void connection_kill(struct connection *c)
{
	struct control_server *server = c->server;

	if (c->dead) {
		return;
	}
	c->dead = true;
	connection_unwatch(c);
	(void)close(c->fd);
	c->fd = -1;
	list_remove(server, c);
	server->clients_count--;
	server->readers_count -= c->access == ACCESS_READ;
	c->next = server->dead;
	server->dead = c;
	if (c->call.open) {
		if (server->config.gone != NULL && c->call.method != NULL) {
			server->config.gone(server->config.context, &c->call);
		}
		c->call.open = false;
	}
	if (server->paused) {
		server_resume_accept(server);
	}
	if (!server->dispatching) {
		server_wake(server); /* so that it is freed soon */
	}
}

void connection_bury(struct control_server *server)
{
	struct connection *c;

	while ((c = server->dead) != NULL) {
		if (c->pending) {
			return; /* the list of the pending lets go of it at its turn */
		}
		server->dead = c->next;
		frame_in_finish(&c->in);
		frame_out_finish(&c->out);
		free(c);
	}
}

/* --- its turn --- */

void connection_settle(struct connection *c)
{
	bool ready, queued;
	uint32_t interest = 0;

	if (c->dead) {
		return;
	}
	ready = frame_in_ready(&c->in);
	queued = frame_out_queued(&c->out) > 0;
	if (!c->call.open && !ready && c->ended && !queued) {
		connection_kill(c);
		return;
	}
	if (!c->call.open && ready) {
		pending_append(c);
	}
	/* While a call is open, or a message waits, the rest stays in the kernel: that is the
	 * back-pressure on those who send without end. */
	if (!c->call.open && !ready && !c->ended) {
		interest |= EPOLLIN;
	}
	if (queued || c->starving) {
		interest |= EPOLLOUT;
	}
	if (!c->watched && c->call.open) {
		return; /* see connection_lost() */
	}
	if (connection_watch(c, interest) < 0) {
		connection_kill(c);
	}
}

void connection_queue(struct connection *c, json_t *message)
{
	int result;

	if (message == NULL || frame_out_queued(&c->out) >= CONTROL_QUEUE_MAX) {
		json_decref(message);
		connection_kill(c); /* no memory, or a client that does not read */
		return;
	}
	result = frame_out_put(&c->out, message);
	json_decref(message);
	if (result == 0) {
		result = frame_out_send(&c->out, c->fd);
	}
	if (result < 0 && result != -EAGAIN) {
		connection_kill(c);
		return;
	}
	connection_settle(c);
}

/* The peer has gone while a call is open. One that wants no answer goes on, and so do those behind
 * it; but the hang-up must not be reported again and again meanwhile. */
static void connection_lost(struct connection *c)
{
	if (c->call.open && c->call.oneway) {
		connection_unwatch(c);
	} else {
		connection_kill(c);
	}
}

static void connection_receive(struct connection *c)
{
	long got = frame_in_receive(&c->in, c->fd, CONTROL_READ_SIZE, CONTROL_MESSAGE_MAX);

	if (got == 0) {
		c->ended = true;
	} else if (got < 0 && got != -EAGAIN) {
		connection_kill(c);
	}
}

void connection_handle_events(struct connection *c, uint32_t events)
{
	const struct control_config *config = &c->server->config;
	int result;

	if (c->dead) {
		return;
	}
	if ((events & EPOLLOUT) != 0) {
		result = frame_out_send(&c->out, c->fd);
		if (result < 0 && result != -EAGAIN) {
			connection_kill(c);
			return;
		}
		if (c->starving && frame_out_queued(&c->out) < CONTROL_QUEUE_POLITE / 2) {
			c->starving = false;
			if (c->call.open && config->drained != NULL) {
				config->drained(config->context, &c->call);
			}
		}
	}
	if (!c->dead && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) {
		if (c->call.open && (events & (EPOLLHUP | EPOLLERR)) != 0) {
			connection_lost(c);
		} else if (!c->call.open && !c->ended && !frame_in_ready(&c->in)) {
			connection_receive(c);
		} else if (!c->call.open && c->ended && (events & EPOLLHUP) != 0 &&
			   !frame_in_ready(&c->in)) {
			connection_kill(c); /* gone, with replies queued that nobody reads */
		}
	}
	connection_settle(c);
}

void connection_serve(struct connection *c)
{
	char *text;
	size_t size;

	c->pending = false;
	for (unsigned i = 0; i < CONTROL_TURN_CALLS && !c->dead && !c->call.open; i++) {
		text = frame_in_take(&c->in, &size);
		if (text == NULL) {
			break;
		}
		list_remove(c->server, c);
		list_append(c->server, c);
		call_begin(c, text, size);
	}
	connection_settle(c);
}
