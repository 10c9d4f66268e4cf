/*
 * Values to words, with systemd's quoting and C escapes (systemd.syntax(7), systemd.service(5)
 * "COMMAND LINES").
 */
#ifndef UNIT_WORD_H
#define UNIT_WORD_H

#include "base/arena.h"

#define WORD_RETAIN_ESCAPE 1u /* backslashes are kept: names of units have them */

struct word {
	const char *text;  /* in the arena */
	size_t offset;     /* of its first byte in the value */
	const char *wrong; /* an escape that is none, kept as it stands; NULL: all well */
};

/* Takes the next word at value[*at] and moves *at behind it and the blanks that follow. Returns 1,
 * 0 at the end, -EINVAL when a quote is not closed (word->offset is where it opens), or -ENOMEM. */
int word_next(
	struct arena *arena, const char *value, size_t *at, unsigned flags, struct word *word);

/* Takes the C escapes out of a text in place. *wrong is the first one that is none; it is kept as
 * it stands. */
void word_unescape(char *text, const char **wrong);

/* Blanks between words. */
size_t word_skip_blanks(const char *value, size_t at);

#endif
