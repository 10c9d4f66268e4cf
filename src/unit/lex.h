/*
 * The text of a unit file to assignments, by the lexical rules of systemd.syntax(7).
 *
 * libinih takes the lines apart; what it cannot do (long lines, long names, continued lines, values
 * with " ;" in them, exact places) is done by an adapter in its reader callback. None of its limits
 * can be seen from outside. What it never does: know a key, or look at a file.
 */
#ifndef UNIT_LEX_H
#define UNIT_LEX_H

#include "unit/unit.h"

#define LEX_VALUE_MAX ((size_t)1024 * 1024) /* bytes of one value */

/* Where a piece of a value stands: bytes from `offset` on begin at line:column. */
struct lex_piece {
	uint32_t offset, line, column;
};

/* One "Key=value" as written: continued lines joined by a blank, outer blanks taken off. */
struct lex_assignment {
	const char *section, *key, *value;
	uint32_t line, column; /* of the key; columns count characters from 1 */
	uint32_t pieces_count;
	const struct lex_piece *pieces;
};

struct lex_events {
	void *context;
	/* All return 0, or -errno to stop. Texts of assignments live in the arena. */
	int (*section)(void *context, const char *name, uint32_t line, uint32_t column);
	int (*assignment)(void *context, const struct lex_assignment *assignment);
	/* Something cannot be taken; lexing goes on behind it. */
	void (*error)(void *context, uint32_t line, uint32_t column, const char *text);
};

/* `text` is terminated by a NUL beyond `size`. Returns 0 (also after errors that were told), or
 * -ENOMEM, or what a callback returned. */
int lex_parse(struct arena *arena, const char *text, size_t size, const struct lex_events *events);

/* The place of a byte of the value. */
void lex_locate(
	const struct lex_assignment *assignment, uint32_t offset, uint32_t *line, uint32_t *column);

#endif
