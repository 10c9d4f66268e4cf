/*
 * Environments and command lines of children: merging assignments, EnvironmentFile= and the
 * replacement of $VAR and ${VAR} in Exec words. Sources: environ(7), systemd.exec(5),
 * systemd.service(5) "COMMAND LINES". Allocates in an arena; errors are values.
 */
#ifndef PROCESS_ENVIRONMENT_H
#define PROCESS_ENVIRONMENT_H

#include <stddef.h>

#include "base/arena.h"
#include "base/err.h"

struct environment {
	struct arena *arena;
	const char **list; /* "KEY=VALUE", NULL at the end, later ones replace earlier ones */
	size_t count, room;
};

int environment_init(struct environment *env, struct arena *arena);
/* "KEY=VALUE"; replaces. Returns 0, -EINVAL (no valid name), -ENOMEM. The text is copied. */
int environment_put(struct environment *env, const char *assignment);
int environment_printf(struct environment *env, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
void environment_remove(struct environment *env, const char *name);
const char *environment_get(const struct environment *env, const char *name);
/* EnvironmentFile='s text: quotes, continuations, comments, as systemd.exec(5) has them. */
int environment_put_file(
	struct environment *env, const char *text, const char *path, struct err *err);
/* Replaces variables in the words of a command (`$$` gives one `$`). The result is
 * NULL-terminated, in the arena; NULL when there is no memory. */
const char **environment_expand(const struct environment *env, const char *const *argv);

#endif
