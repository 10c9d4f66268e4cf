/* What standard input reads, files that are opened, words for the log: systemd.exec(5). */
#include <errno.h>
#include <string.h>

#include "base/str.h"
#include "unit/parse.h"
#include "unit/word.h"

/* --- StandardInput=data --- */

#define INPUT_MAX (1024 * 1024) /* as systemd has it */

static int input_append(struct parse *p, const char *bytes, size_t size)
{
	struct unit_service *service = p->unit->service;
	size_t old = service->input_size;
	if (old + size > INPUT_MAX) {
		return parse_refuse_why(p, 0, "there are more than %d bytes", INPUT_MAX);
	}
	char *whole = arena_alloc(p->arena, old + size + 1);
	if (whole == NULL) {
		return -ENOMEM;
	}
	if (old > 0) {
		memcpy(whole, service->input, old);
	}
	memcpy(whole + old, bytes, size);
	service->input = whole;
	service->input_size = (uint32_t)(old + size);
	return 0;
}

static void input_reset(struct parse *p)
{
	p->unit->service->input = NULL;
	p->unit->service->input_size = 0;
}

/* A line: escapes, then specifiers, then a newline. */
int parse_input_text(struct parse *p, const char *value, void *field)
{
	const char *wrong;
	const char *text;
	bool judge;
	(void)field;
	if (value[0] == '\0') {
		input_reset(p);
		return 0;
	}
	char *copy = arena_strdup(p->arena, value);
	if (copy == NULL) {
		return -ENOMEM;
	}
	word_unescape(copy, &wrong);
	if (wrong != NULL) {
		return parse_refuse_why(p, 0, "there is an escape that is none");
	}
	int r = parse_expand(p, copy, 0, &text, &judge);
	if (r < 0) {
		return r;
	}
	const char *line = arena_printf(p->arena, "%s\n", text);
	return line == NULL ? -ENOMEM : input_append(p, line, strlen(line));
}

static int base64_digit(char c)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *found = c != '\0' ? strchr(digits, c) : NULL;
	return found != NULL ? (int)(found - digits) : -1;
}

/* Takes blanks and the padding out. Returns how many bytes there are, or -EINVAL. */
static int base64_decode(const char *text, char *out)
{
	uint32_t bits = 0;
	unsigned have = 0;
	unsigned digits = 0;
	unsigned padding = 0;
	int size = 0;
	for (; *text != '\0'; text++) {
		if (*text == ' ' || *text == '\t' || *text == '\n') {
			continue;
		}
		if (*text == '=') {
			padding++;
			continue;
		}
		int digit = base64_digit(*text);
		if (digit < 0 || padding > 0) {
			return -EINVAL;
		}
		bits = bits << 6 | (uint32_t)digit;
		have += 6;
		digits++;
		if (have >= 8) {
			have -= 8;
			out[size++] = (char)(bits >> have & 0xff);
		}
	}
	bool whole = (digits + padding) % 4 == 0 && padding <= 2;
	return whole && digits % 4 != 1 ? size : -EINVAL;
}

int parse_input_data(struct parse *p, const char *value, void *field)
{
	(void)field;
	if (value[0] == '\0') {
		input_reset(p);
		return 0;
	}
	char *bytes = arena_alloc(p->arena, strlen(value) + 1);
	if (bytes == NULL) {
		return -ENOMEM;
	}
	int size = base64_decode(value, bytes);
	return size < 0 ? parse_refuse(p, 0, value) : input_append(p, bytes, (size_t)size);
}

/* --- OpenFile= --- */

/* "PATH:NAME:OPTIONS": the name is the file's own by default, options are parted by commas. */
int parse_open_file(struct parse *p, const char *value, void *field)
{
	static const char *const options[] = {"read-only", "append", "truncate", "graceful"};
	const char *const **list = field;
	const char *text;
	bool judge = true;
	if (value[0] == '\0') {
		*list = NULL;
		return 0;
	}
	int r = parse_expand(p, value, 0, &text, &judge);
	if (r < 0) {
		return r;
	}
	size_t path = strcspn(text, ":");
	const char *name = text[path] == ':' ? text + path + 1 : "";
	size_t name_length = strcspn(name, ":");
	const char *rest = name[name_length] == ':' ? name + name_length + 1 : "";
	if (judge && (text[0] != '/' || path < 2 || name_length > 255)) {
		return parse_refuse(p, 0, text);
	}
	for (const char *at = rest; *at != '\0';) {
		size_t length = strcspn(at, ",");
		bool known = false;
		for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
			known = known || (strlen(options[i]) == length &&
						 strncmp(options[i], at, length) == 0);
		}
		if (!known) {
			return parse_refuse_why(p, 0,
				"\"%.*s\" is no option: expected read-only, append, truncate or "
				"graceful",
				(int)length, at);
		}
		at += length + (at[length] == ',');
	}
	if (name_length == 0) {
		/* The file's own name. */
		const char *slash = memrchr(text, '/', path);
		name = slash != NULL ? slash + 1 : text;
		name_length = path - (size_t)(name - text);
	}
	const char *whole = arena_printf(
		p->arena, "%.*s:%.*s:%s", (int)path, text, (int)name_length, name, rest);
	return whole == NULL ? -ENOMEM : parse_append(p, list, whole);
}

/* --- the log --- */

int parse_log_level(struct parse *p, const char *value, void *field)
{
	static const char *const words[] = {
		"emerg", "alert", "crit", "err", "warning", "notice", "info", "debug", NULL};
	uint64_t number;
	uint8_t *out = field;
	if (value[0] != '\0' && str_u64(value, 0, 7, &number) == 0) {
		*out = (uint8_t)number;
		return 0;
	}
	return parse_word(p, words, value, out) < 0 ? -EINVAL : 0;
}

int parse_log_facility(struct parse *p, const char *value, void *field)
{
	static const char *const words[] = {"kern", "user", "mail", "daemon", "auth", "syslog",
		"lpr", "news", "uucp", "cron", "authpriv", "ftp", "12", "13", "14", "15", "local0",
		"local1", "local2", "local3", "local4", "local5", "local6", "local7", NULL};
	return parse_word(p, words, value, field) < 0 ? -EINVAL : 0;
}
