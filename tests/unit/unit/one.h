/* One unit of a text that stands in the test, as the child of a root that names it alone. */
#ifndef TEST_ONE_H
#define TEST_ONE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "unit/unit.h"
#include "unit/unit/texts.h"

struct one {
	struct unit_set *set;
	const struct unit *unit; /* NULL: there was an error */
	struct unit_messages messages;
	char root[256];
};

/* "/e" is coppice's own, "/s" systemd's. `more` is a second file of the unit's template. */
static inline void one_read(struct one *one, const char *dir, const char *name, const char *text,
	const char *const more[2])
{
	static const char *const own_dirs[] = {"/e", NULL};
	static const char *const systemd_dirs[] = {"/s", NULL};
	char path[256];
	*one = (struct one){0};
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	snprintf(one->root, sizeof(one->root), "[Supervisor]\nChildren=%s\n", name);
	const char *const files[][2] = {{"/e/root.supervisor", one->root}, {path, text},
		{more != NULL ? more[0] : NULL, more != NULL ? more[1] : NULL}, {NULL, NULL}};
	struct texts texts = {files, 0, 0};
	struct unit_source source = texts_source(&texts);
	const struct unit_search search = {own_dirs, systemd_dirs, false};
	one->set = unit_set_load(&search, &source, "root.supervisor", &one->messages);
	if (one->set != NULL) {
		one->unit = unit_set_find(one->set, name);
	}
}

static inline void one_end(struct one *one)
{
	unit_set_destroy(one->set);
	unit_messages_finish(&one->messages);
}

/* A service of coppice's own with these lines in [Service]; it must load. Warnings are not looked
 * at. */
static inline const struct unit_service *one_service(struct one *one, const char *lines)
{
	char text[4096];
	snprintf(text, sizeof(text), "[Service]\nExecStart=/bin/a\n%s", lines);
	one_read(one, "/e", "a.service", text, NULL);
	for (uint32_t i = 0; one->unit == NULL && i < one->messages.count; i++) {
		print_error("%s\n", one->messages.list[i].text);
	}
	assert_non_null(one->unit);
	return one->unit->service;
}

/* The entries of a list, each behind a "|". */
static inline const char *one_join(char buf[2048], const char *const *list)
{
	size_t length = 0;
	buf[0] = '\0';
	for (; list != NULL && *list != NULL; list++) {
		length += (size_t)snprintf(
			buf + length, length < 2048 ? 2048 - length : 0, "|%s", *list);
	}
	return buf;
}

/* Does a message hold this text? */
static inline bool one_says(const struct one *one, enum unit_severity severity, const char *text)
{
	for (uint32_t i = 0; i < one->messages.count; i++) {
		if (one->messages.list[i].severity == severity &&
			strstr(one->messages.list[i].text, text) != NULL) {
			return true;
		}
	}
	return false;
}

#endif
