#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int err_set(struct err *err, int code, const char *format, ...)
{
	if (err != NULL) {
		va_list args;
		va_start(args, format);
		vsnprintf(err->text, sizeof(err->text), format, args);
		va_end(args);
	}
	return -code;
}

void err_prefix(struct err *err, const char *format, ...)
{
	if (err == NULL) {
		return;
	}
	char words[ERR_TEXT_SIZE];
	va_list args;
	va_start(args, format);
	int length = vsnprintf(words, sizeof(words), format, args);
	va_end(args);
	if (length < 0) {
		return;
	}
	size_t head = (size_t)length;
	if (head > sizeof(words) - 3) {
		head = sizeof(words) - 3;
	}
	words[head++] = ':';
	words[head++] = ' ';
	size_t room = sizeof(err->text) - head - 1;
	size_t tail = strnlen(err->text, sizeof(err->text) - 1);
	if (tail > room) {
		tail = room;
	}
	memmove(err->text + head, err->text, tail);
	memcpy(err->text, words, head);
	err->text[head + tail] = '\0';
}
