/*
 * The words of a health check: the request, and what its answer means (RFC 9112). No system calls
 * but in probe_run(), which blocks as long as the network wants and is for a process of its own.
 */
#ifndef PROCESS_PROBE_H
#define PROCESS_PROBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PROBE_REQUEST_SIZE 4096

/* Writes the GET request. Returns its length, or -E2BIG. `host` may be an IPv6 address. */
int probe_request(const char *host, uint16_t port, const char *path, char *out, size_t size);

/* What has been read so far: the status (100 … 999), 0 when more is needed, -EBADMSG when this is
 * no answer of HTTP/1. Interim answers (1xx) are not waited out: a GET has none. */
int probe_status(const char *answer, size_t length);
/* 200 to 399. */
bool probe_status_is_good(int status);

/* Exit statuses of probe_run(). */
enum probe_result {
	PROBE_GOOD = 0,
	PROBE_BAD = 1,       /* an answer that is not a good one */
	PROBE_REFUSED = 3,   /* no connection */
	PROBE_UNKNOWN = 4,   /* the name means no address */
	PROBE_NO_ANSWER = 5, /* the connection ended before an answer */
};

/* Looks up the name, connects and asks; without `path` the connection alone is asked for. Returns
 * an enum probe_result. */
int probe_run(const char *host, const char *port, const char *path);

#endif
