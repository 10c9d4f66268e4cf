/*
 * An arena: memory that is taken piece by piece and given back all at once. One arena holds one
 * generation of configuration.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stddef.h>

struct arena_block;

struct arena {
	struct arena_block *blocks;
	size_t used_bytes;
};

/* A zeroed struct arena is an empty arena. */
void arena_finish(struct arena *arena);

/* Zeroed memory aligned for any type; NULL when there is none. */
void *arena_alloc(struct arena *arena, size_t size);

/* Copies; NULL when there is no memory. */
char *arena_strdup(struct arena *arena, const char *text);
char *arena_strndup(struct arena *arena, const char *text, size_t length);
char *arena_printf(struct arena *arena, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#endif
