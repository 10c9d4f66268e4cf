/*
 * The one table of directives, with what only this room may know of each: its parser and the place
 * of its field. Adding a directive is one line in table.c.
 */
#ifndef UNIT_TABLE_H
#define UNIT_TABLE_H

#include "unit/unit.h"

struct parse;

enum directive_base {
	BASE_NONE,
	BASE_UNIT,
	BASE_SERVICE,
	BASE_SUPERVISOR,
	BASE_SOCKET,
	BASE_RELATION
};

/* What becomes of an assignment. */
enum directive_use {
	USE_HONOURED,
	USE_QUIET, /* accepted; there is nothing to do for a supervisor of processes */
	USE_LATER, /* known, without effect in this version: said once a unit */
};

struct directive {
	int (*parse)(struct parse *p, const char *value, void *field);
	size_t offset;
	uint8_t base; /* enum directive_base */
	uint8_t use;  /* enum directive_use */
};

/* The index in the table, or -ENOENT. */
int table_find(const char *section, const char *key);
const struct directive *table_directive(int index);
const struct unit_directive *table_public(int index);

/* For "did you mean": the nearest key of a section, NULL when nothing is near. With `key` NULL any
 * key, so that NULL means that the section is not known. */
const char *table_nearest_key(const char *section, const char *key);

/* The first of `sections` (NULL at the end) that knows the key as it is; NULL: none. */
const char *table_section_of(const char *key, const char *const *sections);

/* The sections that a kind of unit may have, NULL at the end. */
const char *const *table_sections(enum unit_kind kind);

#endif
