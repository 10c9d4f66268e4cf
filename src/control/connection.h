/*
 * The inside of the control server: what server.c, connection.c, call.c and introspection.c share.
 * Nobody outside of this room includes it.
 *
 *   accept ──▶ reading ──whole message──▶ pending ──its turn──▶ call open ──last reply──┐
 *                 ▲                                                                     │
 *                 └──────────────────────────────────────────────────────────────────◀──┘
 *
 * A connection that ends is closed at once and freed at the end of the dispatch (`dead`), so that
 * handlers and event lists may still point to it.
 */
#ifndef CONTROL_CONNECTION_H
#define CONTROL_CONNECTION_H

#include "control/framing.h"
#include "control/server.h"

#define CONTROL_READ_SIZE    65536 /* bytes read from one client in one turn */
#define CONTROL_TURN_CALLS   8     /* calls of one client handled in one turn */
#define CONTROL_TURN_CLIENTS 64    /* clients served in one turn */
#define CONTROL_TURN_ACCEPTS 16
#define CONTROL_READERS_MAX  (CONTROL_CLIENTS_MAX / 2)
#define CONTROL_QUEUE_POLITE (CONTROL_QUEUE_MAX / 4) /* where control_call_room() is 0 */
#define CONTROL_PAUSE_MS     100 /* without descriptors, accepting rests for so long */

enum control_access { ACCESS_NONE, ACCESS_READ, ACCESS_ALL };

struct control_call {
	struct connection *connection;
	const struct control_method *method; /* NULL: one of the introspection's */
	uint64_t id;
	bool open, more, oneway;
	void *data;
};

struct connection {
	struct control_server *server;
	struct connection *previous, *next; /* all, the one silent for longest first; or dead */
	struct connection *next_pending;
	int fd;
	uint32_t interest; /* of epoll */
	struct control_peer peer;
	enum control_access access;
	bool watched;  /* it is in the epoll set */
	bool pending;  /* it is in the list of those with a message to be handled */
	bool ended;    /* the peer sends no more */
	bool starving; /* a polite sender waits for room */
	bool dead;
	struct frame_in in;
	struct frame_out out;
	struct control_call call; /* the open one, of which there is at most one */
};

struct control_server {
	struct control_config config;
	int epoll_fd, wake_fd, timer_fd;
	bool dispatching, paused, pause_said;
	unsigned clients_count, readers_count;
	uint64_t last_call_id;
	struct connection *first, *last;
	struct connection *first_pending, *last_pending;
	struct connection *dead;
};

/* connection.c */
int connection_create(struct control_server *server, int fd, const struct control_peer *peer,
	enum control_access access);
void connection_kill(struct connection *c);
void connection_bury(struct control_server *server); /* frees the dead */
void connection_handle_events(struct connection *c, uint32_t events);
void connection_serve(struct connection *c);                  /* handles messages that are there */
void connection_queue(struct connection *c, json_t *message); /* consumed; may kill */
void connection_settle(struct connection *c); /* after any change: interest, pending, end */

/* call.c */
void call_begin(struct connection *c, const char *text, size_t size);

/* introspection.c: true when it was one of its methods, which is answered then. */
bool introspection_answer(struct control_call *call, const char *method, const json_t *parameters);
void introspection_refuse_unknown(struct control_call *call, const char *method);

/* server.c */
void server_pause_accept(struct control_server *server);
void server_resume_accept(struct control_server *server);
void server_wake(struct control_server *server);

#endif
