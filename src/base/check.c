#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PLACES_MAX 64

bool check_assume_fatal;

/* One write, so that the lines of two processes do not mix. Nothing can be done when it fails. */
static void check_say(const char *file, int line, const char *kind, const char *text)
{
	char buf[512];
	int length = snprintf(buf, sizeof(buf), "%s:%d: %s: %s\n", file, line, kind, text);
	if (length < 0) {
		return;
	}
	size_t size = (size_t)length;
	if (size >= sizeof(buf)) {
		size = sizeof(buf) - 1;
		buf[size - 1] = '\n';
	}
	ssize_t written = write(STDERR_FILENO, buf, size);
	(void)written;
}

_Noreturn void check_failed(const char *file, int line, const char *text)
{
	check_say(file, line, "check failed", text);
	abort();
}

bool check_assume_failed(const char *file, int line, const char *text)
{
	static struct {
		const char *file;
		int line;
	} places[PLACES_MAX];
	static unsigned count;

	if (check_assume_fatal) {
		check_failed(file, line, text);
	}
	for (unsigned i = 0; i < count; i++) {
		if (places[i].line == line && strcmp(places[i].file, file) == 0) {
			return false;
		}
	}
	/* With the table full nothing more is said: better silent than flooding. */
	if (count < PLACES_MAX) {
		places[count].file = file;
		places[count].line = line;
		count++;
		check_say(file, line, "assumption does not hold", text);
	}
	return false;
}
