/*
 * Names of signals, exit statuses and errno values, both ways. Linux numbers only.
 */
#ifndef BASE_NAMES_H
#define BASE_NAMES_H

#include <stddef.h>
#include <stdbool.h>

/* "TERM" for SIGTERM, "RTMIN+3" for real-time ones; NULL for a number that is no signal. The text
 * is static. */
const char *signal_name(int signo);

/* Accepts "TERM", "SIGTERM", "15", "RTMIN+3", "SIGRTMAX-1", any case. Returns the number or
 * -EINVAL. */
int signal_parse(const char *text);

/* Accepts a number 0..255 or a name of sysexits.h or systemd.exec(5) ("CONFIG", "EX_CONFIG",
 * "NOPERM", "SUCCESS", …). Returns the status or -EINVAL. */
int exit_status_parse(const char *text);

/* "ENOENT" for 2; "E123" style text is never made: unknown numbers give "EUNKNOWN". */
const char *errno_name(int code);

#endif
