/*
 * Small helpers on strings. None of them allocates.
 */
#ifndef BASE_STR_H
#define BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

bool str_starts(const char *text, const char *prefix);
bool str_ends(const char *text, const char *suffix);

/* strlcpy's contract: copies at most size-1 bytes, always terminates; false when it was cut. */
bool str_copy(char *out, size_t size, const char *text);

/* systemd's booleans: 1 yes true on / 0 no false off, any case. Returns 0 or 1, or -EINVAL. */
int str_bool(const char *text);

/* A whole decimal number between the bounds. Returns 0, -EINVAL or -ERANGE. */
int str_u64(const char *text, uint64_t min, uint64_t max, uint64_t *out);

/* The number of single-letter edits (insert, delete, replace, swap) between two words, any case;
 * words over 63 letters are far from everything. For "did you mean" hints. */
unsigned str_distance(const char *a, const char *b);

#endif
