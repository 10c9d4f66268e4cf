#include "client/stream.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define READ_SIZE 65536

int stream_open(struct stream *stream, const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct timeval patience = {.tv_sec = STREAM_CONNECT_MS / 1000};
	int fd, result = 0;

	if (strlen(path) >= sizeof(address.sun_path)) {
		return -ENAMETOOLONG;
	}
	strcpy(address.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0) {
		return -errno;
	}
	/* connect(2) waits for a place in the backlog as long as the send time-out says. */
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	while (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		if (errno != EINTR) {
			result = errno == EAGAIN ? -ETIMEDOUT : -errno;
			(void)close(fd);
			return result;
		}
	}
	*stream = (struct stream){.fd = fd};
	return 0;
}

void stream_close(struct stream *stream)
{
	if (stream->fd >= 0) {
		(void)close(stream->fd);
	}
	free(stream->data);
	*stream = (struct stream){.fd = -1};
}

/* --- time limits --- */

static uint64_t now_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

uint64_t stream_end_ms(int timeout_ms)
{
	return timeout_ms < 0 ? UINT64_MAX : now_ms() + (uint64_t)timeout_ms;
}

/* Waits until the socket is ready for `events`. 0, -ETIMEDOUT or -errno. */
static int stream_wait(struct stream *stream, short events, uint64_t end_ms)
{
	struct pollfd fd = {.fd = stream->fd, .events = events};

	for (;;) {
		int timeout = -1, result;

		if (end_ms != UINT64_MAX) {
			uint64_t now = now_ms();
			uint64_t left = end_ms > now ? end_ms - now : 0;

			timeout = left > INT_MAX ? INT_MAX : (int)left;
		}
		result = poll(&fd, 1, timeout);
		if (result > 0) {
			return 0;
		}
		if (result == 0 && now_ms() >= end_ms) {
			return -ETIMEDOUT;
		}
		if (result < 0 && errno != EINTR) {
			return -errno;
		}
	}
}

/* --- messages --- */

int stream_send(struct stream *stream, const json_t *message, uint64_t end_ms)
{
	char *text = json_dumps(message, JSON_COMPACT);
	size_t size, done = 0;
	int result = 0;

	if (text == NULL) {
		return -ENOMEM;
	}
	size = strlen(text) + 1;
	while (done < size && result == 0) {
		ssize_t sent =
			send(stream->fd, text + done, size - done, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (sent >= 0) {
			done += (size_t)sent;
		} else if (errno == EAGAIN) {
			result = stream_wait(stream, POLLOUT, end_ms);
		} else if (errno != EINTR) {
			result = -errno;
		}
	}
	free(text);
	return result;
}

static int stream_read(struct stream *stream)
{
	ssize_t got;

	if (stream->start > 0) {
		memmove(stream->data, stream->data + stream->start, stream->end - stream->start);
		stream->end -= stream->start;
		stream->scanned -= stream->start;
		stream->start = 0;
	}
	if (stream->end >= STREAM_MESSAGE_MAX) {
		return -EMSGSIZE;
	}
	if (stream->room - stream->end < READ_SIZE) {
		size_t room = stream->room == 0 ? READ_SIZE : 2 * stream->room;
		char *data = realloc(stream->data, room);

		if (data == NULL) {
			return -ENOMEM;
		}
		stream->data = data;
		stream->room = room;
	}
	got = recv(
		stream->fd, stream->data + stream->end, stream->room - stream->end, MSG_DONTWAIT);
	if (got == 0) {
		return -ECONNRESET;
	}
	if (got < 0) {
		return errno == EINTR ? 0 : -errno;
	}
	stream->end += (size_t)got;
	return 0;
}

/* The next whole message's text, a NUL behind it, or NULL. */
static char *stream_take(struct stream *stream, size_t *size)
{
	char *text, *nul;

	if (stream->scanned == stream->end) {
		return NULL;
	}
	nul = memchr(stream->data + stream->scanned, '\0', stream->end - stream->scanned);
	if (nul == NULL) {
		stream->scanned = stream->end;
		return NULL;
	}
	text = stream->data + stream->start;
	*size = (size_t)(nul - text);
	stream->start = stream->scanned = (size_t)(nul - stream->data) + 1;
	return text;
}

int stream_receive(struct stream *stream, uint64_t end_ms, json_t **message)
{
	char *text;
	size_t size;
	int result;

	while ((text = stream_take(stream, &size)) == NULL) {
		result = stream_read(stream);
		if (result == -EAGAIN) {
			result = stream_wait(stream, POLLIN, end_ms);
		}
		if (result < 0) {
			return result;
		}
	}
	*message = json_loadb(text, size, 0, NULL);
	return *message != NULL ? 0 : -EBADMSG;
}
