/* A source of unit files that stand in the test: pairs of path and text. */
#ifndef TEST_TEXTS_H
#define TEST_TEXTS_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unit/unit.h"

struct texts {
	const char *const (*list)[2]; /* path and text; path NULL at the end */
	unsigned reads, lists;
};

static inline int texts_read(
	struct unit_source *source, const char *path, char **text, size_t *size)
{
	struct texts *texts = source->context;
	texts->reads++;
	for (const char *const(*at)[2] = texts->list; (*at)[0] != NULL; at++) {
		if (strcmp((*at)[0], path) == 0) {
			*text = strdup((*at)[1]);
			*size = strlen(*text);
			return 0;
		}
	}
	return -ENOENT;
}

/* Entries directly below the directory; of deeper ones, their directory, once. */
static inline int texts_list(struct unit_source *source, const char *path,
	void (*each)(void *context, const char *name), void *context)
{
	struct texts *texts = source->context;
	char last[256] = "";
	bool found = false;
	texts->lists++;
	for (const char *const(*at)[2] = texts->list; (*at)[0] != NULL; at++) {
		size_t length = strlen(path);
		char name[256];
		if (strncmp((*at)[0], path, length) != 0 || (*at)[0][length] != '/') {
			continue;
		}
		found = true;
		snprintf(name, sizeof(name), "%s", (*at)[0] + length + 1);
		name[strcspn(name, "/")] = '\0';
		if (strcmp(name, last) != 0) {
			each(context, name);
		}
		snprintf(last, sizeof(last), "%s", name);
	}
	return found ? 0 : -ENOENT;
}

#define TEXTS_LINK "link to "

/* A text that begins with TEXTS_LINK is a symbolic link, also when it is read. */
static inline int texts_link(struct unit_source *source, const char *path, char *out, size_t size)
{
	struct texts *texts = source->context;
	for (const char *const(*at)[2] = texts->list; (*at)[0] != NULL; at++) {
		if (strcmp((*at)[0], path) == 0 &&
			strncmp((*at)[1], TEXTS_LINK, strlen(TEXTS_LINK)) == 0) {
			snprintf(out, size, "%s", (*at)[1] + strlen(TEXTS_LINK));
			return 0;
		}
	}
	return -EINVAL;
}

static inline struct unit_source texts_source(struct texts *texts)
{
	return (struct unit_source){texts_read, texts_list, texts, texts_link};
}

#endif
