/* RuntimeDirectory= and its like: systemd.exec(5). */
#include <errno.h>
#include <string.h>

#include "base/str.h"
#include "unit/parse.h"
#include "unit/word.h"

/* A relative path without "." and ".." in it. */
static bool directory_is_good(const char *path, size_t length)
{
	size_t begin = 0;
	if (length == 0 || path[0] == '/') {
		return false;
	}
	for (size_t i = 0; i <= length; i++) {
		if (i < length && path[i] != '/') {
			continue;
		}
		size_t part = i - begin;
		if ((part == 1 && path[begin] == '.') ||
			(part == 2 && path[begin] == '.' && path[begin + 1] == '.')) {
			return false;
		}
		begin = i + 1;
	}
	return true;
}

/* "name", "name:link". */
static int directory_check(struct parse *p, size_t offset, const char *text)
{
	size_t length = strcspn(text, ":");
	/* The private ones are kept there (DynamicUser=). */
	bool reserved = strncmp(text, "private", 7) == 0 &&
			(text[7] == '\0' || text[7] == '/' || text[7] == ':');
	if (!directory_is_good(text, length) || reserved) {
		return parse_refuse(p, offset, text);
	}
	if (text[length] == '\0') {
		return 0;
	}
	const char *link = text + length + 1;
	size_t link_length = strcspn(link, ":");
	return link_length == 0 || directory_is_good(link, link_length)
		       ? 0
		       : parse_refuse(p, offset, text);
}

int parse_directories(struct parse *p, const char *value, void *field)
{
	const char *const **list = field;
	struct word word;
	size_t at = 0;
	int r;
	if (value[0] == '\0') {
		*list = NULL;
		return 0;
	}
	while ((r = parse_next_word(p, value, &at, 0, &word)) > 0) {
		const char *text;
		bool judge = true;
		r = parse_keep_word(p, &word, &text, &judge);
		if (r == 0 && judge) {
			r = directory_check(p, word.offset, text);
		}
		if (r == 0) {
			r = parse_append(p, list, text);
		}
		if (r < 0 && !parse_list_goes_on(p, r)) {
			return r;
		}
	}
	return r;
}

int parse_octal(struct parse *p, const char *value, void *field)
{
	mode_t *out = field;
	unsigned mode = 0;
	if (parse_reset(p, value, field, sizeof(*out))) {
		return 0;
	}
	for (const char *at = value; *at != '\0'; at++) {
		if (*at < '0' || *at > '7' || mode > 07777) {
			return parse_refuse(p, 0, value);
		}
		mode = mode * 8 + (unsigned)(*at - '0');
	}
	if (mode > 07777) {
		return parse_refuse(p, 0, value);
	}
	*out = (mode_t)mode;
	return 0;
}

int parse_preserve(struct parse *p, const char *value, void *field)
{
	uint8_t *out = field;
	if (parse_reset(p, value, field, sizeof(*out))) {
		return 0;
	}
	int truth = str_bool(value);
	if (truth >= 0) {
		*out = truth > 0 ? UNIT_PRESERVE_YES : UNIT_PRESERVE_NO;
		return 0;
	}
	if (strcmp(value, "restart") != 0) {
		return parse_refuse(p, 0, value);
	}
	*out = UNIT_PRESERVE_RESTART;
	return 0;
}
