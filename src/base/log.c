#include "base/log.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LINE_SIZE 2048

static const char *const log_names[] = {
	[LOG_LEVEL_ERROR] = "error",
	[LOG_LEVEL_WARNING] = "warning",
	[LOG_LEVEL_NOTICE] = "notice",
	[LOG_LEVEL_INFO] = "info",
	[LOG_LEVEL_DEBUG] = "debug",
};
static const char *log_program = "coppice";
static enum log_level log_level_max = LOG_LEVEL_NOTICE;
static bool log_polls;

void log_init(const char *program, enum log_level level)
{
	log_program = program;
	log_level_max = level;
}

void log_never_block(void)
{
	log_polls = true;
}

/* A pipe that polls writable takes PIPE_BUF bytes at once, and LINE_SIZE is less. */
static bool log_has_room(void)
{
	struct pollfd err = {.fd = STDERR_FILENO, .events = POLLOUT};
	return !log_polls || poll(&err, 1, 0) == 1;
}

enum log_level log_level_now(void)
{
	return log_level_max;
}

int log_level_parse(const char *text)
{
	for (int i = 0; i < (int)(sizeof(log_names) / sizeof(log_names[0])); i++) {
		if (strcmp(text, log_names[i]) == 0) {
			return i;
		}
	}
	return -EINVAL;
}

void log_line(enum log_level level, const char *format, ...)
{
	if (level > log_level_max) {
		return;
	}
	int saved = errno; /* a log line must not change what its caller is about to look at */
	char line[LINE_SIZE];
	int head = snprintf(line, sizeof(line), "%s: %s: ", log_program, log_names[level]);
	size_t length = head > 0 ? (size_t)head : 0;
	if (length > sizeof(line) / 2) {
		length = sizeof(line) / 2;
	}
	va_list args;
	va_start(args, format);
	int tail = vsnprintf(line + length, sizeof(line) - length, format, args);
	va_end(args);
	size_t end = length + (tail > 0 ? (size_t)tail : 0);
	if (end > sizeof(line) - 1) {
		end = sizeof(line) - 1;
		memcpy(line + end - 3, "...", 3);
	}
	for (size_t i = length; i < end; i++) {
		if (line[i] == '\n') {
			line[i] = ' '; /* one line stays one line */
		}
	}
	line[end++] = '\n';
	while (log_has_room() && write(STDERR_FILENO, line, end) < 0 && errno == EINTR) {
	}
	errno = saved;
}
