/*
 * Checks that stay on in every build.
 *
 * CHECK(x):  a proven invariant. When it fails the program says where and calls the check hook,
 *            which by default aborts: in the manager a crash that the keeper mends.
 * ASSUME(x): a belief. Yields the truth value; a false one is said once and the caller takes the
 *            careful branch. Tests make it fatal through check_assume_fatal.
 */
#ifndef BASE_CHECK_H
#define BASE_CHECK_H

#include <stdbool.h>

/* Says "file:line: check failed: text" on standard error and aborts. Never returns. */
_Noreturn void check_failed(const char *file, int line, const char *text);

/* Says once per place that a belief did not hold; aborts when check_assume_fatal is set. */
bool check_assume_failed(const char *file, int line, const char *text);

/* Set by tests: a false ASSUME aborts. */
extern bool check_assume_fatal;

#define CHECK(x)  ((x) ? (void)0 : check_failed(__FILE__, __LINE__, #x))
#define ASSUME(x) ((x) ? true : check_assume_failed(__FILE__, __LINE__, #x))

#endif
