#include "process/probe.h"

#include <ctype.h>
#include <errno.h>
#include <netdb.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int probe_request(const char *host, uint16_t port, const char *path, char *out, size_t size)
{
	bool is_ipv6 = strchr(host, ':') != NULL;
	int length = snprintf(out, size,
		"GET %s HTTP/1.1\r\nHost: %s%s%s:%u\r\nUser-Agent: coppice/%s\r\n"
		"Accept: */*\r\nConnection: close\r\n\r\n",
		path, is_ipv6 ? "[" : "", host, is_ipv6 ? "]" : "", port, COPPICE_VERSION);
	return length < 0 || (size_t)length >= size ? -E2BIG : length;
}

int probe_status(const char *answer, size_t length)
{
	static const char begin[] = "HTTP/1.";
	size_t known = length < sizeof(begin) - 1 ? length : sizeof(begin) - 1;
	if (memcmp(answer, begin, known) != 0) {
		return -EBADMSG;
	}
	/* "HTTP/1.1 200": what follows does not matter. */
	for (size_t i = sizeof(begin) - 1; i < 12; i++) {
		if (i >= length) {
			return 0;
		}
		bool fits = i == 8 ? answer[i] == ' ' : isdigit((unsigned char)answer[i]) != 0;
		if (!fits) {
			return -EBADMSG;
		}
	}
	int status = (answer[9] - '0') * 100 + (answer[10] - '0') * 10 + (answer[11] - '0');
	return status < 100 ? -EBADMSG : status;
}

bool probe_status_is_good(int status)
{
	return status >= 200 && status < 400;
}

/* --- the blocking one --- */

static int ask(int fd, const char *host, const char *port, const char *path)
{
	char request[PROBE_REQUEST_SIZE], answer[16];
	size_t have = 0;
	int status = 0;
	int length = probe_request(
		host, (uint16_t)strtoul(port, NULL, 10), path, request, sizeof(request));
	if (length < 0 || send(fd, request, (size_t)length, MSG_NOSIGNAL) != length) {
		return PROBE_NO_ANSWER;
	}
	while (status == 0) {
		ssize_t got = recv(fd, answer + have, sizeof(answer) - have, 0);
		if (got < 0 && errno == EINTR) {
			continue;
		}
		if (got <= 0) {
			return PROBE_NO_ANSWER;
		}
		have += (size_t)got;
		status = probe_status(answer, have);
	}
	return probe_status_is_good(status) ? PROBE_GOOD : PROBE_BAD;
}

int probe_run(const char *host, const char *port, const char *path)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
	struct addrinfo *list = NULL;
	int result = PROBE_REFUSED;
	if (getaddrinfo(host, port, &hints, &list) != 0) {
		return PROBE_UNKNOWN;
	}
	for (const struct addrinfo *a = list; a != NULL && result == PROBE_REFUSED;
		a = a->ai_next) {
		int fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC, a->ai_protocol);
		if (fd >= 0 && connect(fd, a->ai_addr, a->ai_addrlen) == 0) {
			result = path == NULL ? PROBE_GOOD : ask(fd, host, port, path);
		}
		if (fd >= 0) {
			close(fd);
		}
	}
	freeaddrinfo(list);
	return result;
}
