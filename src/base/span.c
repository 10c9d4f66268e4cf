#include "base/span.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"

#define NS_PER_MIN  (60 * NS_PER_SEC)
#define NS_PER_HOUR (60 * NS_PER_MIN)
#define NS_PER_DAY  (24 * NS_PER_HOUR)
/* systemd.time(7): a year has 365.25 days, a month a twelfth of that (30.4375 days). */
#define NS_PER_YEAR  (NS_PER_DAY * 1461 / 4)
#define NS_PER_MONTH (NS_PER_YEAR / 12)

static const struct {
	const char *name;
	uint64_t ns;
} span_units[] = {
	{"seconds", NS_PER_SEC},
	{"second", NS_PER_SEC},
	{"sec", NS_PER_SEC},
	{"s", NS_PER_SEC},
	{"minutes", NS_PER_MIN},
	{"minute", NS_PER_MIN},
	{"min", NS_PER_MIN},
	{"months", NS_PER_MONTH},
	{"month", NS_PER_MONTH},
	{"M", NS_PER_MONTH},
	{"msec", NS_PER_MS},
	{"ms", NS_PER_MS},
	{"m", NS_PER_MIN},
	{"hours", NS_PER_HOUR},
	{"hour", NS_PER_HOUR},
	{"hr", NS_PER_HOUR},
	{"h", NS_PER_HOUR},
	{"days", NS_PER_DAY},
	{"day", NS_PER_DAY},
	{"d", NS_PER_DAY},
	{"weeks", 7 * NS_PER_DAY},
	{"week", 7 * NS_PER_DAY},
	{"w", 7 * NS_PER_DAY},
	{"years", NS_PER_YEAR},
	{"year", NS_PER_YEAR},
	{"y", NS_PER_YEAR},
	{"usec", NS_PER_US},
	{"us", NS_PER_US},
	{"\xc2\xb5s", NS_PER_US}, /* micro sign */
	{"\xce\xbcs", NS_PER_US}, /* Greek mu */
	{"nsec", 1},
	{"ns", 1},
};

static bool span_is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool span_is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static const char *span_skip_space(const char *text)
{
	while (span_is_space(*text)) {
		text++;
	}
	return text;
}

/* The unit at *text, which is moved behind it; `bare` when there is none. */
static uint64_t span_take_unit(const char **text, uint64_t bare)
{
	for (size_t i = 0; i < sizeof(span_units) / sizeof(span_units[0]); i++) {
		size_t length = strlen(span_units[i].name);
		if (strncmp(*text, span_units[i].name, length) == 0) {
			*text += length;
			return span_units[i].ns;
		}
	}
	return bare;
}

/* One "2.5min" at *text, added to *sum. */
static int span_take_part(const char **text, uint64_t bare_unit_ns, uint64_t *sum)
{
	const char *at = *text;
	unsigned __int128 whole = 0;
	bool overflow = false;
	const char *digits = at;
	for (; span_is_digit(*at); at++) {
		whole = whole * 10 + (unsigned)(*at - '0');
		if (whole > UINT64_MAX) {
			overflow = true;
			whole = UINT64_MAX;
		}
	}
	bool has_whole = at != digits;
	const char *fraction = NULL;
	size_t fraction_length = 0;
	if (*at == '.') {
		fraction = ++at;
		while (span_is_digit(*at)) {
			at++;
		}
		fraction_length = (size_t)(at - fraction);
		if (fraction_length == 0) {
			return -EINVAL;
		}
	} else if (!has_whole) {
		return *at == '-' && span_is_digit(at[1]) ? -ERANGE : -EINVAL;
	}
	at = span_skip_space(at);
	uint64_t unit = span_take_unit(&at, bare_unit_ns);
	unsigned __int128 total = *sum + whole * unit;
	uint64_t weight = unit / 10;
	for (size_t i = 0; i < fraction_length && weight > 0; i++, weight /= 10) {
		total += (uint64_t)(fraction[i] - '0') * weight;
	}
	if (overflow || total >= SPAN_INFINITY) {
		return -ERANGE;
	}
	*sum = (uint64_t)total;
	*text = at;
	return 0;
}

int span_parse(const char *text, uint64_t bare_unit_ns, uint64_t *out)
{
	const char *at = span_skip_space(text);
	if (str_starts(at, "infinity") && *span_skip_space(at + strlen("infinity")) == '\0') {
		*out = SPAN_INFINITY;
		return 0;
	}
	if (*at == '\0') {
		return -EINVAL;
	}
	uint64_t sum = 0;
	while (*at != '\0') {
		int r = span_take_part(&at, bare_unit_ns, &sum);
		if (r < 0) {
			return r;
		}
		at = span_skip_space(at);
	}
	*out = sum;
	return 0;
}

char *span_format(uint64_t span, char *buf, size_t size)
{
	static const struct {
		const char *name;
		uint64_t ns;
	} steps[] = {
		{"w", 7 * NS_PER_DAY},
		{"d", NS_PER_DAY},
		{"h", NS_PER_HOUR},
		{"min", NS_PER_MIN},
		{"s", NS_PER_SEC},
		{"ms", NS_PER_MS},
		{"us", NS_PER_US},
		{"ns", 1},
	};

	if (span == SPAN_INFINITY) {
		snprintf(buf, size, "infinity");
		return buf;
	}
	if (span == 0) {
		snprintf(buf, size, "0");
		return buf;
	}
	char text[SPAN_TEXT_SIZE] = "";
	size_t length = 0;
	unsigned parts = 0;
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]) && parts < 2; i++) {
		uint64_t n = span / steps[i].ns;
		if (n == 0) {
			continue;
		}
		span %= steps[i].ns;
		int added = snprintf(text + length, sizeof(text) - length, "%s%llu%s",
			parts > 0 ? " " : "", (unsigned long long)n, steps[i].name);
		length += added > 0 ? (size_t)added : 0;
		parts++;
	}
	str_copy(buf, size, text);
	return buf;
}

uint64_t span_add(uint64_t a, uint64_t b)
{
	return a > SPAN_INFINITY - b ? SPAN_INFINITY : a + b;
}

uint64_t span_earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

uint64_t span_later(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}
