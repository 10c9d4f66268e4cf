/*
 * Descriptors that a service is given from outside: listening sockets, FIFOs, special files.
 *
 * What it owns: how each kind is made, bound and set up; the files it leaves in the file system;
 * what is known of the other end of a connection. What it never does: know of units, hold a
 * descriptor, or wait: nothing here blocks, and no name is looked up through NSS or DNS.
 *
 * Sources of rules: systemd.socket(5), unix(7), ip(7), ipv6(7), tcp(7), fifo(7).
 */
#ifndef PROCESS_LISTEN_H
#define PROCESS_LISTEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

enum listen_kind {
	LISTEN_STREAM,
	LISTEN_DATAGRAM,
	LISTEN_SEQPACKET,
	LISTEN_FIFO,
	LISTEN_SPECIAL,
	LISTEN_NETLINK,
	LISTEN_MQUEUE
};

enum listen_ipv6_only { LISTEN_IPV6_DEFAULT, LISTEN_IPV6_BOTH, LISTEN_IPV6_ONLY };

/* What the options of a socket unit say; -1 and 0 as noted: the kernel's own. Strings are borrowed.
 */
struct listen_options {
	const char *user, *group; /* of the file, a name or a number; NULL: ours */
	mode_t mode, directory_mode;
	uint32_t backlog;
	uint8_t ipv6_only; /* enum listen_ipv6_only */
	bool keep_alive, no_delay, reuse_port, free_bind, transparent, broadcast;
	bool pass_credentials, pass_security, pass_packet_info, writable;
	const char *bind_device;
	int64_t receive_buffer, send_buffer, pipe_size;                       /* bytes; -1 */
	int priority, mark, ip_ttl, ip_tos;                                   /* -1 */
	uint64_t keep_alive_time_ns, keep_alive_interval_ns, defer_accept_ns; /* 0 */
	uint32_t keep_alive_probes;                                           /* 0 */
	int protocol;               /* IPPROTO_SCTP and the like; 0: the usual one */
	const char *tcp_congestion; /* NULL */
};

/* Opens one of them, bound and listening, nonblocking and close-on-exec. `address` is an absolute
 * path, "@abstract", "PORT", "HOST:PORT", "[v6]:PORT", "FAMILY GROUP" of netlink, or the name of a
 * message queue. Missing directories are made. A Unix socket's file that nobody listens at any more
 * is replaced; one that somebody answers at, and a file that is no socket, is -EADDRINUSE. Returns
 * the descriptor, or -errno with `err`. */
int listen_open(
	uint8_t kind, const char *address, const struct listen_options *options, struct err *err);

/* The options that do not need a new binding, on one that is open already: buffers and the like,
 * mode and owner of the file, backlog. 0, or -errno with `err` for the last that was refused. */
int listen_apply(int fd, uint8_t kind, const char *address, const struct listen_options *options,
	struct err *err);

/* Removes the file of a socket or FIFO, if it has one. */
void listen_unlink(uint8_t kind, const char *address);

/* True for what leaves a file: a path that begins with a slash, of a socket, FIFO or queue. */
bool listen_has_file(uint8_t kind, const char *address);

/* Makes `link` a symbolic link to `target`. An older symbolic link is replaced, anything else is
 * -EEXIST. */
int listen_symlink(const char *target, const char *link, mode_t directory_mode);

/* True for what accept(2) works on. */
bool listen_can_accept(int fd);

/* Throws away what waits: data, and connections. Bounded. */
void listen_flush(int fd);

/* --- one connection --- */

#define LISTEN_PEER_TEXT 160

struct listen_peer {
	char instance[LISTEN_PEER_TEXT]; /* "7-10.0.0.1:80-10.0.0.2:4711" (systemd.socket(5)) */
	char source[64];                 /* what MaxConnectionsPerSource= counts by; "" */
	char address[LISTEN_PEER_TEXT];  /* REMOTE_ADDR; "" when there is none */
	uint16_t port;                   /* REMOTE_PORT; 0 */
};

/* What is known of the other end of an accepted connection, which is the `number`-th. 0, or -errno
 * (-ENOTCONN when it is gone already). */
int listen_look_at_peer(int fd, uint64_t number, struct listen_peer *out);

/* The options of the listening socket that an accepted connection gets too. */
void listen_set_up_connection(int fd, const struct listen_options *options);

#endif
