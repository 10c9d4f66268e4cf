/*
 * A Varlink stream of the client's side: whole JSON messages over a Unix socket, with time limits.
 * It waits in poll(2), never in send or recv. Used by client.c only.
 */
#ifndef CLIENT_STREAM_H
#define CLIENT_STREAM_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#define STREAM_MESSAGE_MAX (64 * 1024 * 1024) /* bytes of one reply */
#define STREAM_CONNECT_MS  5000               /* for a place in the backlog */

struct stream {
	int fd;
	char *data;
	size_t start, end, scanned, room; /* what was received and not taken */
};

/* Connects. 0 or -errno: -ENOENT, -ECONNREFUSED, -EACCES, -ETIMEDOUT (the backlog stays full),
 * -ENAMETOOLONG. */
int stream_open(struct stream *stream, const char *path);
void stream_close(struct stream *stream);

/* A time limit as a point in time (CLOCK_MONOTONIC, milliseconds); -1 is never. */
uint64_t stream_end_ms(int timeout_ms);

/* 0, -ETIMEDOUT, -EPIPE, -ENOMEM or another -errno. */
int stream_send(struct stream *stream, const json_t *message, uint64_t end_ms);

/* 0 with a new reference; -ETIMEDOUT, -ECONNRESET at the end, -EBADMSG, -EMSGSIZE, -ENOMEM. */
int stream_receive(struct stream *stream, uint64_t end_ms, json_t **message);

#endif
