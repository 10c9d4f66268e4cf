/*
 * Why something ended, in the words of the published interface: "exit:3", "signal:SEGV",
 * "exec:ENOENT", "start-timeout", "stopped" …
 */
#ifndef MANAGER_REASON_H
#define MANAGER_REASON_H

#include <stddef.h>

#include "service/service.h"

#define REASON_TEXT_SIZE 512

/* The short form. Returns buf. */
char *reason_text(const struct service_end *end, char *buf, size_t size);

/* For people: the short form, and for an exec that failed what and where: "exec:ENOENT
 * (/usr/bin/gatewayd)" or "exec:EPERM (user, /usr/bin/gatewayd)". `path` may be NULL. */
char *reason_text_long(const struct service_end *end, const char *path, char *buf, size_t size);

/* systemd.exec(5): $SERVICE_RESULT, $EXIT_CODE, $EXIT_STATUS of ExecStopPost=. Static texts but for
 * the status, which is written into buf. `exit_code` and `status` are NULL when nothing ended. */
const char *reason_service_result(const struct service_end *end);
const char *reason_exit_code(const struct service_end *end);
const char *reason_exit_status(const struct service_end *end, char *buf, size_t size);

/* What a program that ends like this has as its own exit status: N, or 128+N for a signal. */
int reason_exit_number(const struct service_end *end);

#endif
