#include "control/framing.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define ROOM_MIN  4096
#define ROOM_KEPT 65536 /* an empty buffer that is larger is given back */

void frame_in_finish(struct frame_in *in)
{
	free(in->data);
	*in = (struct frame_in){0};
}

void frame_out_finish(struct frame_out *out)
{
	free(out->data);
	*out = (struct frame_out){0};
}

/* Grows a buffer to hold at least `needed` bytes. */
static int room_grow(char **data, size_t *room, size_t needed)
{
	size_t size = *room > ROOM_MIN ? *room : ROOM_MIN;
	char *grown;

	if (needed <= *room) {
		return 0;
	}
	while (size < needed) {
		size *= 2;
	}
	grown = realloc(*data, size);
	if (grown == NULL) {
		return -ENOMEM;
	}
	*data = grown;
	*room = size;
	return 0;
}

static void frame_in_compact(struct frame_in *in)
{
	if (in->start == 0) {
		return;
	}
	memmove(in->data, in->data + in->start, in->end - in->start);
	in->end -= in->start;
	in->scanned -= in->start;
	in->start = 0;
}

long frame_in_receive(struct frame_in *in, int fd, size_t size_max, size_t message_max)
{
	ssize_t got;
	int result;

	if (in->start == in->end && in->room > ROOM_KEPT) {
		frame_in_finish(in);
	}
	frame_in_compact(in);
	/* What comes in is bounded by the number of bytes asked for, not by what the peer has: the
	 * buffer never exceeds one message and one read. */
	result = room_grow(&in->data, &in->room, in->end + size_max);
	if (result < 0) {
		return result;
	}
	do {
		got = recv(fd, in->data + in->end, size_max, MSG_DONTWAIT);
	} while (got < 0 && errno == EINTR);
	if (got < 0) {
		return -errno;
	}
	in->end += (size_t)got;
	(void)frame_in_ready(in);
	if (in->scanned - in->start > message_max) {
		return -EMSGSIZE;
	}
	return (long)got;
}

bool frame_in_ready(struct frame_in *in)
{
	char *nul;

	if (in->scanned == in->end) {
		return false;
	}
	nul = memchr(in->data + in->scanned, '\0', in->end - in->scanned);
	in->scanned = nul != NULL ? (size_t)(nul - in->data) : in->end;
	return nul != NULL;
}

char *frame_in_take(struct frame_in *in, size_t *size)
{
	char *text;

	if (!frame_in_ready(in)) {
		return NULL;
	}
	text = in->data + in->start;
	*size = in->scanned - in->start;
	in->start = in->scanned + 1;
	in->scanned = in->start;
	return text;
}

bool frame_text_modest(const char *text, size_t size)
{
	unsigned depth = 0, values = 0;
	bool in_string = false;

	for (size_t i = 0; i < size; i++) {
		char c = text[i];

		if (in_string) {
			if (c == '\\') {
				i++;
			} else if (c == '"') {
				in_string = false;
			}
		} else if (c == '"') {
			in_string = true;
		} else if (c == '{' || c == '[') {
			values++;
			if (++depth > FRAME_DEPTH_MAX) {
				return false;
			}
		} else if (c == '}' || c == ']') {
			depth -= depth > 0;
		} else if (c == ',') {
			values++;
		}
	}
	return values <= FRAME_VALUES_MAX;
}

size_t frame_out_queued(const struct frame_out *out)
{
	return out->end - out->start;
}

static int frame_out_append(const char *text, size_t size, void *context)
{
	struct frame_out *out = context;

	if (room_grow(&out->data, &out->room, out->end + size) < 0) {
		return -1;
	}
	memcpy(out->data + out->end, text, size);
	out->end += size;
	return 0;
}

int frame_out_put(struct frame_out *out, const json_t *message)
{
	size_t end;

	if (out->start > 0) {
		memmove(out->data, out->data + out->start, out->end - out->start);
		out->end -= out->start;
		out->start = 0;
	}
	end = out->end;
	if (json_dump_callback(message, frame_out_append, out, JSON_COMPACT) < 0 ||
		frame_out_append("", 1, out) < 0) {
		out->end = end;
		return -ENOMEM;
	}
	return 0;
}

int frame_out_send(struct frame_out *out, int fd)
{
	while (out->start < out->end) {
		ssize_t sent = send(fd, out->data + out->start, out->end - out->start,
			MSG_DONTWAIT | MSG_NOSIGNAL);

		if (sent < 0 && errno == EINTR) {
			continue;
		}
		if (sent < 0) {
			return -errno;
		}
		out->start += (size_t)sent;
	}
	out->start = out->end = 0;
	if (out->room > ROOM_KEPT) {
		frame_out_finish(out);
	}
	return 0;
}
