/*
 * Names of units: suffix, prefix, instance, and systemd's escaping of instances. Pure.
 */
#ifndef UNIT_NAME_H
#define UNIT_NAME_H

#include "unit/unit.h"

/* The kind by the suffix ("x.service"); -EINVAL when it has none that is known. */
int name_kind(const char *name);

/* The suffix of a kind that we speak of: ".service". */
const char *name_suffix(enum unit_kind kind);

/* The dot of the suffix, and the '@'; NULL when there is none. */
const char *name_dot(const char *name);
const char *name_at(const char *name);

bool name_is_valid(const char *name);    /* whole, with a known suffix */
bool name_is_template(const char *name); /* "x@.service" */
bool name_is_instance(const char *name); /* "x@y.service" */

/* "x@y.service" → "x@.service". */
void name_to_template(const char *name, char out[UNIT_NAME_SIZE]);

/* "x@.service" and "y" → "x@y.service"; false when it is too long. */
bool name_with_instance(const char *template, const char *instance, char out[UNIT_NAME_SIZE]);

/* Takes systemd's escapes out: "-" is "/", "\x2d" is a byte. `out` is as long as `text` at most. */
void name_unescape(const char *text, char *out);

#endif
