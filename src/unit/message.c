#include "unit/message.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_SIZE 4096

static bool message_is_tail(char c)
{
	return ((unsigned char)c & 0xc0) == 0x80;
}

/* A terminal must not obey what stands in somebody's unit file. */
static void message_clean(char *text)
{
	for (; *text != '\0'; text++) {
		unsigned char c = (unsigned char)*text;
		if (c < 0x20 || c == 0x7f) {
			*text = '?';
		}
	}
}

static void message_keep(
	struct unit_messages *messages, enum unit_severity severity, const char *text)
{
	if (severity == UNIT_ERROR) {
		messages->errors++;
	}
	if (messages->count > UNIT_MESSAGES_MAX) {
		return;
	}
	if (messages->count == UNIT_MESSAGES_MAX) {
		text = "there are more messages than are shown";
	}
	/* The room is the next power of two: no field for it is needed. */
	uint32_t count = messages->count;
	if ((count & (count - 1)) == 0) {
		size_t room = count == 0 ? 1 : (size_t)count * 2;
		struct unit_message *list = realloc(messages->list, room * sizeof(*list));
		if (list == NULL) {
			return;
		}
		messages->list = list;
	}
	const char *copy = arena_strdup(&messages->arena, text);
	if (copy != NULL) {
		messages->list[count].severity = (uint8_t)severity;
		messages->list[count].text = copy;
		messages->count++;
	}
}

static void message_add(struct unit_messages *messages, enum unit_severity severity,
	const struct unit_place *place, const char *format, va_list args)
	__attribute__((format(printf, 4, 0)));

static void message_add(struct unit_messages *messages, enum unit_severity severity,
	const struct unit_place *place, const char *format, va_list args)
{
	char text[TEXT_SIZE];
	int head = 0;
	if (place != NULL && place->path != NULL && place->line > 0) {
		head = snprintf(
			text, sizeof(text), "%s:%u:%u: ", place->path, place->line, place->column);
	} else if (place != NULL && place->path != NULL) {
		head = snprintf(text, sizeof(text), "%s: ", place->path);
	}
	size_t length = head > 0 ? (size_t)head : 0;
	if (length < sizeof(text)) {
		vsnprintf(text + length, sizeof(text) - length, format, args);
	}
	message_clean(text);
	message_keep(messages, severity, text);
}

void message_error(
	struct unit_messages *messages, const struct unit_place *place, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	message_add(messages, UNIT_ERROR, place, format, args);
	va_end(args);
}

void message_warning(
	struct unit_messages *messages, const struct unit_place *place, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	message_add(messages, UNIT_WARNING, place, format, args);
	va_end(args);
}

void message_no_memory(struct unit_messages *messages)
{
	message_keep(messages, UNIT_ERROR, "out of memory");
}

void message_move(struct unit_messages *to, struct unit_messages *from)
{
	uint32_t errors = to->errors + from->errors;
	for (uint32_t i = 0; i < from->count; i++) {
		message_keep(to, (enum unit_severity)from->list[i].severity, from->list[i].text);
	}
	to->errors = errors;
	unit_messages_finish(from);
}

const char *message_word(char buf[MESSAGE_WORD_SIZE], const char *text)
{
	static const char more[] = "\xe2\x80\xa6"; /* an ellipsis */
	size_t length = strnlen(text, MESSAGE_WORD_SIZE);
	if (length < MESSAGE_WORD_SIZE) {
		memcpy(buf, text, length + 1);
		return buf;
	}
	length = MESSAGE_WORD_SIZE - sizeof(more);
	while (length > 0 && message_is_tail(text[length])) {
		length--;
	}
	memcpy(buf, text, length);
	memcpy(buf + length, more, sizeof(more));
	return buf;
}

void unit_messages_finish(struct unit_messages *messages)
{
	free(messages->list);
	arena_finish(&messages->arena);
	*messages = (struct unit_messages){0};
}
