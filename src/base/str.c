#include "base/str.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <strings.h>

#define DISTANCE_WORD_MAX 63

bool str_starts(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

bool str_ends(const char *text, const char *suffix)
{
	size_t text_length = strlen(text);
	size_t suffix_length = strlen(suffix);
	return text_length >= suffix_length &&
	       memcmp(text + text_length - suffix_length, suffix, suffix_length) == 0;
}

bool str_copy(char *out, size_t size, const char *text)
{
	size_t length = strlen(text);
	if (size == 0) {
		return false;
	}
	bool fits = length < size;
	size_t copied = fits ? length : size - 1;
	memmove(out, text, copied);
	out[copied] = '\0';
	return fits;
}

int str_bool(const char *text)
{
	static const char *const words[] = {
		"0", "1", "no", "yes", "false", "true", "off", "on", "n", "y", "f", "t"};
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcasecmp(text, words[i]) == 0) {
			return (int)(i & 1);
		}
	}
	return -EINVAL;
}

int str_u64(const char *text, uint64_t min, uint64_t max, uint64_t *out)
{
	uint64_t value = 0;
	bool overflow = false;
	if (*text == '\0') {
		return -EINVAL;
	}
	for (; *text != '\0'; text++) {
		if (*text < '0' || *text > '9') {
			return -EINVAL;
		}
		uint64_t digit = (uint64_t)(*text - '0');
		if (value > (UINT64_MAX - digit) / 10) {
			overflow = true;
			continue;
		}
		value = value * 10 + digit;
	}
	if (overflow || value < min || value > max) {
		return -ERANGE;
	}
	*out = value;
	return 0;
}

static unsigned char str_lower(char c)
{
	return (unsigned char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
}

static unsigned str_min(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

/* Three rows of the classic table are enough: a swap looks two rows back. */
unsigned str_distance(const char *a, const char *b)
{
	size_t a_length = strnlen(a, DISTANCE_WORD_MAX + 1);
	size_t b_length = strnlen(b, DISTANCE_WORD_MAX + 1);
	if (a_length > DISTANCE_WORD_MAX || b_length > DISTANCE_WORD_MAX) {
		return UINT_MAX;
	}
	unsigned rows[3][DISTANCE_WORD_MAX + 1];
	for (size_t j = 0; j <= b_length; j++) {
		rows[0][j] = (unsigned)j;
	}
	for (size_t i = 1; i <= a_length; i++) {
		unsigned *row = rows[i % 3];
		const unsigned *last = rows[(i + 2) % 3];
		const unsigned *before = rows[(i + 1) % 3];
		unsigned char x = str_lower(a[i - 1]);
		row[0] = (unsigned)i;
		for (size_t j = 1; j <= b_length; j++) {
			unsigned char y = str_lower(b[j - 1]);
			row[j] = last[j - 1] + (x != y);
			row[j] = str_min(row[j], str_min(last[j], row[j - 1]) + 1);
			if (i > 1 && j > 1 && x == str_lower(b[j - 2]) &&
				str_lower(a[i - 2]) == y) {
				row[j] = str_min(row[j], before[j - 2] + 1);
			}
		}
	}
	return rows[a_length % 3][b_length];
}
