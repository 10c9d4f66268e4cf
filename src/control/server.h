/*
 * A Varlink server on one listening socket (https://varlink.org/Method-Call: JSON objects, each
 * ended by a NUL byte).
 *
 * What it owns: connections, framing, limits, introspection (org.varlink.service), peer
 * credentials, queues to slow clients. What it never does: know what a method means; calls go to a
 * handler table. It never blocks and never grows without bound: a client that sends a message over
 * CONTROL_MESSAGE_MAX, or does not read its replies, is disconnected.
 *
 * The calls of one connection are served in order, one at a time (Varlink): while one is open, the
 * next waits. When all places are taken, the connection that has been silent for longest makes
 * room; peers that may only read never take more than half of the places.
 *
 * It has one epoll descriptor of its own, which the caller's loop watches. Handlers may reply from
 * within the handler or at any later time; they are only ever called from control_server_dispatch.
 */
#ifndef CONTROL_SERVER_H
#define CONTROL_SERVER_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define CONTROL_MESSAGE_MAX (1024 * 1024)     /* bytes of one request */
#define CONTROL_QUEUE_MAX   (4 * 1024 * 1024) /* bytes queued to one client */
#define CONTROL_CLIENTS_MAX 256
#define CONTROL_CALLS_MAX   CONTROL_CLIENTS_MAX /* open calls: one a client */

/* The definition of org.coppice.Control (interface.c, made from the .varlink file beside it). */
extern const char control_interface_text[];

struct control_server;
struct control_call; /* one method call that has not had its last reply yet */

struct control_peer {
	pid_t pid;
	uid_t uid;
	gid_t gid;
};

/* NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding): in the order of a table's row */
struct control_method {
	const char *name; /* "org.coppice.Control.List" */
	bool changes;     /* needs more than read access */
	/* Must reply, now or later, unless the call is gone. `parameters` is an object, borrowed.
	 */
	void (*handler)(void *context, struct control_call *call, const json_t *parameters);
	bool only_more; /* makes no sense without `more`: else answered with ExpectedMore */
};

struct control_config {
	int listen_fd;                                /* nonblocking, owned by the caller */
	const char *vendor, *product, *version, *url; /* for GetInfo */
	const char *interface_name;                   /* "org.coppice.Control" */
	const char *interface_text; /* its definition, for GetInterfaceDescription */
	const struct control_method *methods;
	size_t methods_count;
	void *context; /* for the handlers */
	/* What a peer may do: 0 nothing (connection refused), 1 read, 2 everything. NULL: root and
	 * the server's own user everything, others nothing. */
	int (*access)(void *context, const struct control_peer *peer);
	/* A call is gone without its last reply (client vanished, does not read, or the server is
	 * destroyed): forget it. May be NULL. It may be called from within control_reply_more(). */
	void (*gone)(void *context, struct control_call *call);
	/* For answers that are too big for one queue: the client has read, and there is much room
	 * again, after control_call_room() had said that there was little or none. Called from
	 * control_server_dispatch() for calls that are open. May be NULL. */
	void (*drained)(void *context, struct control_call *call);
};

/* Returns 0 or -errno; `config` is copied, its strings and tables borrowed. */
int control_server_create(const struct control_config *config, struct control_server **server);
void control_server_destroy(struct control_server *server);
int control_server_fd(const struct control_server *server);
/* Handles what is ready, a bounded amount; the descriptor stays readable while there is more. */
void control_server_dispatch(struct control_server *server);
/* Tries to write out what is queued before the process ends, for at most `timeout_ms`. */
void control_server_flush(struct control_server *server, int timeout_ms);

/* The last reply (`parameters` is consumed, NULL is {}); the call is gone afterwards. */
void control_reply(struct control_call *call, json_t *parameters);
/* One of several replies to a call with `more`; returns false when the client is gone or does not
 * read (then the call is gone too, after `gone`). `parameters` is consumed. Whoever has much to
 * say stops while control_call_room() is too little and goes on in `drained`; whoever cannot wait
 * (an event stream) goes on until CONTROL_QUEUE_MAX is full and the client is disconnected. One
 * reply that is larger than the queue is let through when the queue was not full before it. */
bool control_reply_more(struct control_call *call, json_t *parameters);
/* An error reply: "org.coppice.Control.NoSuchUnit" with parameters (consumed, may be NULL). */
void control_reply_error(struct control_call *call, const char *error, json_t *parameters);

bool control_call_wants_more(const struct control_call *call);
/* How many bytes may be queued to this client before a polite sender waits for `drained`. */
size_t control_call_room(const struct control_call *call);
const struct control_peer *control_call_peer(const struct control_call *call);
/* A number that no other call of this server's life has. */
uint64_t control_call_id(const struct control_call *call);
/* A place for the handler's own pointer. */
void control_call_set_data(struct control_call *call, void *data);
void *control_call_data(const struct control_call *call);

#endif
