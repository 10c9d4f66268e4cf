/*
 * Log lines of coppice's own programs, to standard error: one line, one write(2), no allocation.
 * Lines look like "coppice: warning: text". The level is set once by main.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>

enum log_level {
	LOG_LEVEL_ERROR,
	LOG_LEVEL_WARNING,
	LOG_LEVEL_NOTICE,
	LOG_LEVEL_INFO,
	LOG_LEVEL_DEBUG
};

/* `program` must outlive all calls. The default level is LOG_LEVEL_NOTICE. */
void log_init(const char *program, enum log_level level);

/* From now on a line is dropped where standard error has no room for it: for process 1, which
 * nothing may block. */
void log_never_block(void);

enum log_level log_level_now(void);

/* "error" … "debug" to the level, or -EINVAL. */
int log_level_parse(const char *text);

void log_line(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...)   log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_line(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_notice(...)  log_line(LOG_LEVEL_NOTICE, __VA_ARGS__)
#define log_info(...)    log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...)   log_line(LOG_LEVEL_DEBUG, __VA_ARGS__)

#endif
