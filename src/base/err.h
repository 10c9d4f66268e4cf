/*
 * An error that a person must understand: a fixed-size text, built from the inside out. The place
 * where it happened sets it, outer layers put their words in front, and one caller prints it.
 * Functions that take a `struct err *` touch it on failure only, and return 0 or -errno.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include <stddef.h>

#define ERR_TEXT_SIZE 1024

struct err {
	char text[ERR_TEXT_SIZE];
};

/* Sets the text (cut at ERR_TEXT_SIZE) and returns -code, so that callers can `return err_set(…)`.
 * `code` is a positive errno value; it does not appear in the text by itself. `err` may be NULL. */
int err_set(struct err *err, int code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Puts words in front of the text that is there: "words: text". */
void err_prefix(struct err *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
