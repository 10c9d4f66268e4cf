/*
 * Descriptors that outlive a process: what socket units listen on, and what services stored.
 *
 * What it owns: which descriptors a node has with the keeper and under which names, when they are
 * opened and let go, which a start is given (LISTEN_FDS), what traffic starts. What it never does:
 * decide on starts and restarts: a socket unit is a child like any other to the core, a oneshot
 * that remains, whose start is answered here without a process; with Accept=yes it is a dynamic
 * supervisor whose children are connections.
 *
 * A descriptor is let go when its unit is down for good: stopped by hand, or with nobody above it
 * who would start it again. As long as a supervisor is about to restart, it stays, and whoever
 * connects waits.
 *
 * Files: sockets.c opening and letting go; passing.c what a start is given; traffic.c what comes
 * in; fdstore.c FDSTORE=1.
 */
#ifndef MANAGER_SOCKETS_H
#define MANAGER_SOCKETS_H

#include "manager/manager.h"
#include "process/listen.h"

/* One that is listened on. */
struct kept_socket {
	int fd;
	bool watched;
	uint8_t kind; /* enum listen_kind */
	char *address;
	char name[SHARE_NAME_SIZE]; /* with the keeper; it says what was bound, and for whom */
};

/* One that a service stored. */
struct stored_fd {
	int fd;
	bool watched, poll;
	uint64_t number; /* in the order in which they were stored */
	char fd_name[FD_NAME_SIZE];
	char name[SHARE_NAME_SIZE];
};

/* What a node keeps; NULL for nearly all. */
struct node_fds {
	uint32_t sockets_count, stored_count, stored_room;
	struct kept_socket *sockets; /* in the order of the unit's Listen…= */
	struct stored_fd *stored;
	bool lingering; /* its unit is down; whether for good is not known yet */
	bool triggered; /* its service was asked to start, and has not moved since */
	bool paused;    /* Accept=yes: too many connections in too short a time */
	uint64_t accepted, refused, trigger_since_ns;
	uint32_t triggers;
	struct timer pause;
	/* an instance of Accept=yes */
	int connection; /* until it is passed; else -1 */
	uint16_t remote_port;
	char remote_address[LISTEN_PEER_TEXT];
};

/* What one start is given. */
struct passing {
	uint32_t count, stored; /* the last `stored` of them are stored ones */
	int fds[PROCESS_PASS_MAX];
	char names[PROCESS_PASS_MAX * (FD_NAME_SIZE + 1)]; /* of LISTEN_FDNAMES */
	char listen_pid[sizeof("LISTEN_PID=") + PROCESS_PID_TEXT];
	struct process_plan plan; /* when a stream is a socket */
};

/* --- sockets.c --- */

/* The part of a socket unit's definition. 0 or -errno. */
int sockets_compile(struct definition *definition);

/* The node's record, made when there is none; NULL: no memory. */
struct node_fds *node_fds_need(struct manager *m, struct node *node);

/* Opens what the unit listens on and is not open, and lets go what it does not listen on any more.
 * On failure nothing has changed. 0, or -errno with `err`. */
int sockets_open(struct manager *m, struct node *node, struct err *err);

/* The socket unit's sockets go to this service. */
bool sockets_are_for(const struct node *socket, const struct node *service);

/* All that is kept for a node is closed; files are removed where the unit says so. */
void node_fds_close(struct manager *m, struct node *node);
void node_fds_free(struct manager *m, struct node *node);

/* One more for a start; false when there is no room. */
bool passing_add(struct passing *passing, int fd, const char *name);
/* For what a new manager has got back. */
void sockets_linger_if_down(struct manager *m, struct node *node);

void kept_name(char *out, const char *kind, uint64_t hash, const char *text);
uint64_t kept_hash(uint64_t hash, const char *text);
#define KEPT_HASH UINT64_C(0xcbf29ce484222325)

/* --- traffic.c --- */

/* Watches the sockets of all units where traffic is to do something, and no others. */
void traffic_watch(struct manager *m);
/* Something happened to a node. */
void traffic_note(struct manager *m, const struct node *node, const struct tree_order *order);
/* The name under which the keeper holds the connection of an instance; false: it is none. */
bool traffic_connection_name(const struct manager *m, const struct node *node, char *out);
void traffic_connection_adopt(struct manager *m, struct node *node, int fd); /* -1: nothing */
/* Connections that the keeper holds for instances that nobody knows: they are made now. */
void traffic_adopt(struct manager *m, struct held *held);
/* The connection has been passed, or is not wanted any more. */
void traffic_connection_close(struct manager *m, struct node *node);
uint32_t traffic_connections(const struct manager *m, const struct node *socket);

/* --- fdstore.c --- */

void fdstore_adopt(struct manager *m, struct node *node, struct held *held);
void fdstore_pass(struct manager *m, struct node *node, struct passing *passing);
void fdstore_drop(struct manager *m, struct node *node);

#endif
