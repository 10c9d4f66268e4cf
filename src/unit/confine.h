/*
 * The list `confine` of a service while it is read: what coppice-exec is to set up, one text an
 * assignment. Only the parsers of such directives use this.
 */
#ifndef UNIT_CONFINE_H
#define UNIT_CONFINE_H

#include "unit/parse.h"

/* The key at hand, under its new name. */
const char *confine_key(const struct parse *p);

/* Takes all assignments of the key away; adds one; or both. 0 or -ENOMEM. */
int confine_remove(struct parse *p);
int confine_add(struct parse *p, const char *value);
int confine_put(struct parse *p, const char *value);

/* Adds one assignment of words, NULL at the end (`words` may be NULL), behind `head`. Those with
 * blanks, quotes or backslashes stand in double quotes, in which a backslash is before each quote
 * and backslash. 0 or -ENOMEM. */
int confine_add_words(struct parse *p, const char *head, const char *const *words, char separator);

#endif
