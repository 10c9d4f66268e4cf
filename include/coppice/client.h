/*
 * libcoppice: talk to a running coppice over its control socket (Varlink, interface
 * org.coppice.Control; the interface definition is installed beside this file).
 *
 * A connection is not thread-safe. Errors are negative errno values; `coppice_error()` has the
 * words. Messages are JSON values of jansson(3).
 */
#ifndef COPPICE_CLIENT_H
#define COPPICE_CLIENT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

struct coppice_client;

/* Opens a connection. `path` NULL: $COPPICE_CONTROL, then the default of this user
 * (coppice_control_path). Returns 0; -ECONNREFUSED or -ENOENT when no coppice answers; -EACCES;
 * -ETIMEDOUT when its queue of clients stays full; -ENAMETOOLONG.
 * *client is set on success only; free it with coppice_close(). */
int coppice_open(const char *path, struct coppice_client **client);
void coppice_close(struct coppice_client *client); /* NULL is allowed */

/* The control socket's default path into `out`. 0 or -ENAMETOOLONG. */
int coppice_control_path(char *out, size_t size);

/* Calls a method ("List", or with an interface in front: "org.varlink.service.GetInfo") and waits
 * for its one reply. `parameters` may be NULL and is not consumed. On success *reply is a new
 * reference to the reply's parameters. -EREMOTEIO: the other side answered with an error, whose
 * name and parameters coppice_error_name() and coppice_error_parameters() have. -ETIMEDOUT after
 * `timeout_ms` (-1: none). -ECONNRESET when the other side has gone. After these two the connection
 * is of no more use: close it and open another. */
int coppice_call(struct coppice_client *client, const char *method, json_t *parameters,
	int timeout_ms, json_t **reply);

/* The same for a method that answers more than once: send it, then take the replies one by one.
 * coppice_next() returns 1 with a reply, 0 after the last one, or an error; after its -ETIMEDOUT it
 * may be called again. */
int coppice_call_more(struct coppice_client *client, const char *method, json_t *parameters);
int coppice_next(struct coppice_client *client, int timeout_ms, json_t **reply);

/* The connection's descriptor, to poll for replies. */
int coppice_fd(const struct coppice_client *client);

/* Words for the last failure; the Varlink error's name ("org.coppice.Control.NoSuchUnit") or NULL;
 * its parameters (borrowed) or NULL. */
const char *coppice_error(const struct coppice_client *client);
const char *coppice_error_name(const struct coppice_client *client);
json_t *coppice_error_parameters(const struct coppice_client *client);

#ifdef __cplusplus
}
#endif

#endif
