/* How things look: terminals, colours, texts from elsewhere, times. */
#include "ctl/ctl.h"

#include <langinfo.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "base/span.h"

#define WIDTH_DEFAULT 80
#define WIDTH_MIN     40

/* --- memory --- */

static void *or_die(void *memory)
{
	if (memory == NULL) {
		(void)fputs("coppicectl: no memory\n", stderr);
		exit(CTL_FAILED);
	}
	return memory;
}

char *ctl_strdup(const char *text)
{
	return or_die(strdup(text));
}

char *ctl_printf(const char *format, ...)
{
	char *text = NULL;
	va_list arguments;
	int length;

	va_start(arguments, format);
	length = vasprintf(&text, format, arguments);
	va_end(arguments);
	return or_die(length >= 0 ? text : NULL);
}

void *ctl_grow(void *array, size_t count, size_t size)
{
	/* At powers of two; below 8 there is room from the first one on. */
	if (count > 0 && (count < 8 || (count & (count - 1)) != 0)) {
		return array;
	}
	return or_die(realloc(array, (count == 0 ? 8 : 2 * count) * size));
}

/* --- surroundings --- */

void ctl_setup_output(struct ctl *ctl)
{
	const char *no_colour = getenv("NO_COLOR");
	const char *terminal = getenv("TERM");
	const char *columns = getenv("COLUMNS");
	struct winsize size;

	ctl->utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
	ctl->terminal = isatty(fileno(ctl->out)) == 1;
	if (!ctl->terminal) {
		return;
	}
	ctl->colour = (no_colour == NULL || no_colour[0] == '\0') && terminal != NULL &&
		      strcmp(terminal, "dumb") != 0;
	ctl->width = WIDTH_DEFAULT;
	if (ioctl(fileno(ctl->out), TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
		ctl->width = size.ws_col;
	} else if (columns != NULL && atoi(columns) > 0) {
		ctl->width = (unsigned)atoi(columns);
	}
	ctl->width = ctl->width < WIDTH_MIN ? WIDTH_MIN : ctl->width;
}

const char *ctl_colour(const struct ctl *ctl, enum ctl_colour colour)
{
	static const char *const codes[] = {
		[COLOUR_NONE] = "\033[0m",
		[COLOUR_GOOD] = "\033[32m",
		[COLOUR_BUSY] = "\033[33m",
		[COLOUR_BAD] = "\033[1;31m",
		[COLOUR_DIM] = "\033[2m",
		[COLOUR_BOLD] = "\033[1m",
	};

	return ctl->colour ? codes[colour] : "";
}

enum ctl_colour ctl_state_colour(const json_t *unit)
{
	if (unit_is(unit, "running")) {
		return unit_flag(unit, "ready") ? COLOUR_GOOD : COLOUR_BUSY;
	}
	if (unit_is(unit, "failed")) {
		return COLOUR_BAD;
	}
	return unit_is(unit, "stopped") || unit_is(unit, "done") ? COLOUR_DIM : COLOUR_BUSY;
}

/* --- texts --- */

int ctl_say(struct ctl *ctl, int status, const char *format, ...)
{
	va_list arguments;
	char text[2048];

	va_start(arguments, format);
	(void)vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	(void)fflush(ctl->out); /* in the order in which it happened */
	for (char *at = text; *at != '\0'; at++) {
		if ((unsigned char)*at < ' ' || *at == 0x7f) {
			*at = ' ';
		}
	}
	(void)fprintf(ctl->err, "coppicectl: %s\n", text);
	return status;
}

static bool is_continuation(char c)
{
	return ((unsigned char)c & 0xc0) == 0x80;
}

unsigned ctl_text_width(const char *text)
{
	unsigned width = 0;

	for (; *text != '\0'; text++) {
		width += !is_continuation(*text);
	}
	return width;
}

static void put_char(struct ctl *ctl, char c)
{
	bool harmful = (unsigned char)c < ' ' || c == 0x7f;

	(void)fputc(harmful ? '?' : c, ctl->out);
}

void ctl_put(struct ctl *ctl, const char *text)
{
	for (; *text != '\0'; text++) {
		put_char(ctl, *text);
	}
}

void ctl_put_cell(struct ctl *ctl, const char *text, unsigned width, bool right, bool pad)
{
	unsigned length = ctl_text_width(text), shown = 0;
	bool cut = length > width;
	unsigned limit = cut ? width - (width > 0) : length;

	for (unsigned i = length; right && i < width; i++) {
		(void)fputc(' ', ctl->out);
	}
	for (const char *at = text; *at != '\0'; at++) {
		if (!is_continuation(*at) && shown++ == limit) {
			break;
		}
		put_char(ctl, *at);
	}
	if (cut && width > 0) {
		(void)fputs(ctl->utf8 ? "…" : "~", ctl->out);
	}
	for (unsigned i = length; !right && pad && i < width; i++) {
		(void)fputc(' ', ctl->out);
	}
}

void ctl_put_json(struct ctl *ctl, json_t *value)
{
	(void)json_dumpf(
		value, ctl->out, JSON_ENCODE_ANY | (ctl->terminal ? JSON_INDENT(2) : JSON_COMPACT));
	(void)fputc('\n', ctl->out);
	json_decref(value);
}

void ctl_put_json_line(struct ctl *ctl, const json_t *value)
{
	(void)json_dumpf(value, ctl->out, JSON_COMPACT);
	(void)fputc('\n', ctl->out);
	(void)fflush(ctl->out);
}

/* --- units --- */

const char *unit_text(const json_t *unit, const char *key)
{
	const char *text = json_string_value(json_object_get(unit, key));

	return text != NULL ? text : "";
}

long long unit_number(const json_t *unit, const char *key)
{
	return json_integer_value(json_object_get(unit, key));
}

bool unit_flag(const json_t *unit, const char *key)
{
	return json_is_true(json_object_get(unit, key));
}

bool unit_is(const json_t *unit, const char *state)
{
	return strcmp(unit_text(unit, "state"), state) == 0;
}

/* --- times --- */

char *ctl_span(long long ms, char *buf, size_t size)
{
	uint64_t span = ms > 0 ? (uint64_t)ms : 0;

	if (span == 0) {
		(void)snprintf(buf, size, "0s");
		return buf;
	}
	if (span >= 10000) {
		span -= span % 1000;
	}
	return span_format(span * NS_PER_MS, buf, size);
}

uint64_t ctl_now_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / NS_PER_MS;
}

long long ctl_time_parse(const char *text)
{
	struct tm parts = {0};
	const char *at = strptime(text, "%Y-%m-%dT%H:%M:%S", &parts);
	long long ms, scale = 100;
	int hours = 0, minutes = 0;

	if (at == NULL) {
		return -1;
	}
	ms = (long long)timegm(&parts) * 1000;
	if (*at == '.') {
		for (at++; *at >= '0' && *at <= '9'; at++) {
			ms += scale * (*at - '0');
			scale /= 10;
		}
	}
	if (*at == 'Z' || *at == 'z') {
		return ms;
	}
	if ((*at != '+' && *at != '-') || sscanf(at + 1, "%2d:%2d", &hours, &minutes) != 2) {
		return -1;
	}
	return ms - (*at == '-' ? -1 : 1) * (hours * 60LL + minutes) * 60000;
}
