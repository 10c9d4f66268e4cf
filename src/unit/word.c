#include "unit/word.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

static bool word_is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

size_t word_skip_blanks(const char *value, size_t at)
{
	while (word_is_blank(value[at])) {
		at++;
	}
	return at;
}

static int word_digit(char c)
{
	if (c >= '0' && c <= '9') {
		return c - '0';
	}
	if (c >= 'a' && c <= 'f') {
		return c - 'a' + 10;
	}
	if (c >= 'A' && c <= 'F') {
		return c - 'A' + 10;
	}
	return 99;
}

/* `count` digits of `base`; false when one is none. */
static bool word_number(const char *text, unsigned count, unsigned base, uint32_t *out)
{
	uint32_t number = 0;
	for (unsigned i = 0; i < count; i++) {
		int digit = word_digit(text[i]);
		if (digit >= (int)base) {
			return false;
		}
		number = number * base + (uint32_t)digit;
	}
	*out = number;
	return true;
}

static char *word_put_utf8(char *to, uint32_t c)
{
	if (c < 0x80) {
		*to++ = (char)c;
	} else if (c < 0x800) {
		*to++ = (char)(0xc0 | c >> 6);
		*to++ = (char)(0x80 | (c & 0x3f));
	} else if (c < 0x10000) {
		*to++ = (char)(0xe0 | c >> 12);
		*to++ = (char)(0x80 | (c >> 6 & 0x3f));
		*to++ = (char)(0x80 | (c & 0x3f));
	} else {
		*to++ = (char)(0xf0 | c >> 18);
		*to++ = (char)(0x80 | (c >> 12 & 0x3f));
		*to++ = (char)(0x80 | (c >> 6 & 0x3f));
		*to++ = (char)(0x80 | (c & 0x3f));
	}
	return to;
}

/* The escape behind a backslash. Returns its length, 0 when it is none; never longer in *to than in
 * the text. */
static size_t word_escape(const char *text, char **to)
{
	static const char letters[] = "abfnrtvs\\\"'";
	static const char bytes[] = "\a\b\f\n\r\t\v \\\"'";
	uint32_t c;
	const char *letter = text[0] != '\0' ? strchr(letters, text[0]) : NULL;
	if (letter != NULL) {
		*(*to)++ = bytes[letter - letters];
		return 1;
	}
	if (text[0] == 'x' && word_number(text + 1, 2, 16, &c) && c != 0) {
		*(*to)++ = (char)c;
		return 3;
	}
	if (word_number(text, 3, 8, &c) && c != 0 && c < 256) {
		*(*to)++ = (char)c;
		return 3;
	}
	unsigned digits = text[0] == 'u' ? 4 : text[0] == 'U' ? 8 : 0;
	if (digits > 0 && word_number(text + 1, digits, 16, &c) && c != 0 && c < 0x110000 &&
		(c < 0xd800 || c > 0xdfff)) {
		*to = word_put_utf8(*to, c);
		return digits + 1;
	}
	return 0;
}

void word_unescape(char *text, const char **wrong)
{
	char *to = text;
	*wrong = NULL;
	while (*text != '\0') {
		size_t length = *text == '\\' ? word_escape(text + 1, &to) : 0;
		if (length > 0) {
			text += 1 + length;
			continue;
		}
		if (*text == '\\' && *wrong == NULL) {
			*wrong = text;
		}
		*to++ = *text++;
	}
	*to = '\0';
}

int word_next(struct arena *arena, const char *value, size_t *at, unsigned flags, struct word *word)
{
	size_t i = word_skip_blanks(value, *at);
	*word = (struct word){.offset = i};
	if (value[i] == '\0') {
		*at = i;
		return 0;
	}
	/* A first pass finds where the word ends, so that as much as it needs is taken. */
	size_t end = i;
	char quote = '\0';
	size_t quote_at = 0;
	for (; value[end] != '\0' && (quote != '\0' || !word_is_blank(value[end])); end++) {
		if (value[end] == '\\' && value[end + 1] != '\0') {
			end++;
		} else if (quote == '\0' && (value[end] == '"' || value[end] == '\'')) {
			quote = value[end];
			quote_at = end;
		} else if (value[end] == quote) {
			quote = '\0';
		}
	}
	if (quote != '\0') {
		word->offset = quote_at;
		return -EINVAL;
	}
	char *text = arena_alloc(arena, end - i + 1);
	if (text == NULL) {
		return -ENOMEM;
	}
	char *to = text;
	while (i < end) {
		if (value[i] == '\\') {
			size_t length = 0;
			if ((flags & WORD_RETAIN_ESCAPE) == 0) {
				length = word_escape(value + i + 1, &to);
				if (length == 0) {
					word->wrong = value + i;
				}
			}
			if (length == 0) {
				*to++ = value[i++];
				if (i < end) {
					*to++ = value[i++];
				}
			} else {
				i += 1 + length;
			}
		} else if (quote == '\0' && (value[i] == '"' || value[i] == '\'')) {
			quote = value[i++];
		} else if (quote != '\0' && value[i] == quote) {
			quote = '\0';
			i++;
		} else {
			*to++ = value[i++];
		}
	}
	*to = '\0';
	word->text = text;
	*at = word_skip_blanks(value, end);
	return 1;
}
