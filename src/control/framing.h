/*
 * Varlink's framing: messages that end in a NUL byte, over a nonblocking stream socket.
 *
 * What it owns: the two buffers of a connection and their limits. What it never does: know what a
 * message means, or block. A finished buffer is zeroed; a zeroed one is an empty one.
 */
#ifndef CONTROL_FRAMING_H
#define CONTROL_FRAMING_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#define FRAME_DEPTH_MAX  32    /* of nested arrays and objects */
#define FRAME_VALUES_MAX 65536 /* of one message: bounds the memory that parsing takes */

struct frame_in {
	char *data;
	size_t start, end; /* what is there and not taken */
	size_t scanned;    /* there is no NUL in [start, scanned) */
	size_t room;
};

struct frame_out {
	char *data;
	size_t start, end;
	size_t room;
};

void frame_in_finish(struct frame_in *in);
void frame_out_finish(struct frame_out *out);

/* Receives at most `size_max` bytes. Returns their number, 0 at the end of the stream, -EAGAIN, or
 * -errno; -EMSGSIZE when the message under way exceeds `message_max`. */
long frame_in_receive(struct frame_in *in, int fd, size_t size_max, size_t message_max);

/* True when a whole message is there. */
bool frame_in_ready(struct frame_in *in);

/* Takes the next whole message: text of *size bytes, a NUL behind it, valid until the next call
 * on this buffer. NULL when there is none. */
char *frame_in_take(struct frame_in *in, size_t *size);

/* True when a text stays within FRAME_DEPTH_MAX and FRAME_VALUES_MAX, so that parsing it takes
 * little stack and memory. Not a parser: nonsense may pass. */
bool frame_text_modest(const char *text, size_t size);

size_t frame_out_queued(const struct frame_out *out);

/* Appends a message. 0 or -ENOMEM; on failure the queue is as it was. */
int frame_out_put(struct frame_out *out, const json_t *message);

/* Sends what it can without waiting. Returns 0 when the queue is empty now, -EAGAIN when something
 * is left, or -errno when the connection is broken. */
int frame_out_send(struct frame_out *out, int fd);

#endif
