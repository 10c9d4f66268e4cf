#include "base/arena.h"

#include <stdalign.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_FIRST ((size_t)1024 - sizeof(struct arena_block))
#define BLOCK_MAX   ((size_t)256 * 1024)

struct arena_block {
	struct arena_block *next;
	size_t size, used;
	alignas(max_align_t) unsigned char data[];
};

void arena_finish(struct arena *arena)
{
	struct arena_block *block = arena->blocks;
	while (block != NULL) {
		struct arena_block *next = block->next;
		free(block);
		block = next;
	}
	arena->blocks = NULL;
	arena->used_bytes = 0;
}

/* A new block in front, or behind the first one when it is a single big piece, so that the room
 * left in the first is not lost. Blocks double, so that small arenas stay small. */
static struct arena_block *arena_grow(struct arena *arena, size_t size)
{
	struct arena_block *first = arena->blocks;
	size_t room = first == NULL ? BLOCK_FIRST : first->size * 2;
	if (room > BLOCK_MAX) {
		room = BLOCK_MAX;
	}
	if (room < size) {
		room = size;
	}
	/* calloc: fresh pages are zero already, and the pieces handed out must be. */
	struct arena_block *block = calloc(1, sizeof(*block) + room);
	if (block == NULL) {
		return NULL;
	}
	block->size = room;
	if (first != NULL && room == size && first->size - first->used > 256) {
		block->next = first->next;
		first->next = block;
	} else {
		block->next = first;
		arena->blocks = block;
	}
	return block;
}

void *arena_alloc(struct arena *arena, size_t size)
{
	const size_t align = alignof(max_align_t);
	if (size > SIZE_MAX / 2) {
		return NULL;
	}
	size = (size + align - 1) / align * align;
	if (size == 0) {
		size = align;
	}
	struct arena_block *block = arena->blocks;
	if (block == NULL || block->size - block->used < size) {
		block = arena_grow(arena, size);
		if (block == NULL) {
			return NULL;
		}
	}
	void *piece = block->data + block->used;
	block->used += size;
	arena->used_bytes += size;
	return piece;
}

char *arena_strndup(struct arena *arena, const char *text, size_t length)
{
	char *copy = arena_alloc(arena, length + 1);
	if (copy != NULL) {
		memcpy(copy, text, length);
	}
	return copy;
}

char *arena_strdup(struct arena *arena, const char *text)
{
	return arena_strndup(arena, text, strlen(text));
}

char *arena_printf(struct arena *arena, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	int length = vsnprintf(NULL, 0, format, args);
	va_end(args);
	if (length < 0) {
		return NULL;
	}
	size_t size = (size_t)length + 1;
	char *text = arena_alloc(arena, size);
	if (text != NULL) {
		va_start(args, format);
		vsnprintf(text, size, format, args);
		va_end(args);
	}
	return text;
}
