/*
 * Time spans. All times in coppice are uint64_t nanoseconds; SPAN_INFINITY is "never".
 * The syntax is systemd.time(7)'s: "5s", "1min 30s", "100ms", "2.5s", "infinity"; a bare number
 * counts in the unit that the caller names.
 */
#ifndef BASE_SPAN_H
#define BASE_SPAN_H

#include <stddef.h>
#include <stdint.h>

#define SPAN_INFINITY UINT64_MAX
#define NS_PER_US     UINT64_C(1000)
#define NS_PER_MS     UINT64_C(1000000)
#define NS_PER_SEC    UINT64_C(1000000000)

/* Parses `text` into nanoseconds. `bare_unit_ns` is the unit of a number without one (usually
 * NS_PER_SEC). Returns 0, -EINVAL for bad syntax, -ERANGE when it does not fit. */
int span_parse(const char *text, uint64_t bare_unit_ns, uint64_t *out);

#define SPAN_TEXT_SIZE 64
/* Formats for people, at most two units: "1min 30s", "250ms", "infinity". Returns buf. */
char *span_format(uint64_t span, char *buf, size_t size);

/* a + b, SPAN_INFINITY when either is or the sum does not fit. */
uint64_t span_add(uint64_t a, uint64_t b);

uint64_t span_earlier(uint64_t a, uint64_t b);
uint64_t span_later(uint64_t a, uint64_t b);

#endif
