/*
 * A small event-driven HTTP/1.1 server, for the programs of the gateway example.
 *
 * What it owns: the epoll loop, the listening socket, client connections (keep-alive, pipelining,
 * Content-Length bodies), readiness messages (sd_notify(3)) and the drain on SIGTERM. What it never
 * does: block, or decide what a request means. One server a process.
 */
#ifndef GATEWAY_HTTP_H
#define GATEWAY_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define HTTP_INPUT_SIZE (16 * 1024) /* head and body of one request */
#define HTTP_PATH_SIZE  512
#define HTTP_CONNS_MAX  1000

/* --- the loop --- */

/* Something with a descriptor, the first member of what it belongs to. `ready` is called with
 * epoll's events. */
struct source {
	int fd;
	void (*ready)(struct source *source, uint32_t events);
	struct source *next_closed;
};

/* Both return 0 or -errno. */
int loop_add(struct source *source, uint32_t events);
int loop_change(struct source *source, uint32_t events);

/* Closes the descriptor now and frees the memory when this turn of the loop is over. */
void loop_close(struct source *source);

/* Milliseconds of CLOCK_MONOTONIC. */
uint64_t now_ms(void);

/* --- the server --- */

struct http_request {
	char method[16]; /* HEAD arrives as GET; its answer goes out without the body */
	char path[HTTP_PATH_SIZE];
	const char *body; /* within the connection's buffer */
	size_t body_size;
};

struct http_conn;

struct http_server {
	const char *name; /* for messages */
	/* Must end in one http_respond(), now or later, unless the connection is gone first. */
	void (*handle)(struct http_conn *conn, const struct http_request *request);
	/* A connection whose request is not answered yet is gone: forget it. May be NULL. */
	void (*gone)(struct http_conn *conn);
	/* Does what is due and returns the milliseconds until there is more, or -1. May be NULL. */
	int (*tick)(uint64_t now);
};

/* Listens on 127.0.0.1, or on a Unix socket that replaces what is at `path`; a socket that was
 * passed on (LISTEN_FDS of sd_listen_fds(3)) is taken instead. Returns 0 or -errno. */
int http_listen_port(uint16_t port);
int http_listen_path(const char *path);

/* Says READY=1 and serves until SIGTERM or SIGINT; then accepts no more, answers what is open, and
 * returns 0. Returns -errno when it cannot even begin. */
int http_run(const struct http_server *served);

/* A whole program that serves a Unix socket: "NAME --socket PATH". Makes the directory, serves, and
 * returns the exit status of the process. */
int http_serve_path(const struct http_server *served, int argc, char **argv);

/* Answers the request of a connection. The body is copied. */
void http_respond(
	struct http_conn *conn, int status, const char *type, const char *body, size_t size);
/* The same with text of at most a kilobyte. */
void http_respond_text(struct http_conn *conn, int status, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* A place for the handler's own pointer; NULL in a new connection. */
void http_set_data(struct http_conn *conn, void *data);
void *http_data(const struct http_conn *conn);

size_t http_conns(void);
bool http_draining(void);

/* sd_notify(3)'s datagram to $NOTIFY_SOCKET; nothing where there is none. */
void notify(const char *state);

/* Makes a directory and those above it, for this user alone. Returns 0 or -errno. */
int make_directories(const char *path);

#endif
