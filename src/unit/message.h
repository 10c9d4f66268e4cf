/*
 * What loading has to say: whole lines for a person, "path:line:col: text". It knows nothing of
 * units; who calls it gives the place and the words. Control characters never reach the text.
 */
#ifndef UNIT_MESSAGE_H
#define UNIT_MESSAGE_H

#include "unit/unit.h"

/* A place in a file; line 0 means the whole file, path NULL no file at all. */
struct unit_place {
	const char *path;
	uint32_t line, column;
};

/* More messages than this are counted, not kept. */
#define UNIT_MESSAGES_MAX 1000

void message_error(struct unit_messages *messages, const struct unit_place *place,
	const char *format, ...) __attribute__((format(printf, 3, 4)));
void message_warning(struct unit_messages *messages, const struct unit_place *place,
	const char *format, ...) __attribute__((format(printf, 3, 4)));

/* No memory: an error without a place. Always counted. */
void message_no_memory(struct unit_messages *messages);

/* Puts all of `from` behind `to`, and leaves `from` empty. */
void message_move(struct unit_messages *to, struct unit_messages *from);

#define MESSAGE_WORD_SIZE 96
/* A word of the user's, cut for a message ("abc…"). Returns buf. */
const char *message_word(char buf[MESSAGE_WORD_SIZE], const char *text);

#endif
