/* The default search path: coppice(8). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "unit/unit.h"

#define DIRS_MAX 64

struct dirs {
	struct arena *arena;
	const char **list; /* DIRS_MAX, and the end */
	size_t count;
	bool no_memory;
};

static bool dirs_init(struct dirs *dirs, struct arena *arena)
{
	*dirs = (struct dirs){.arena = arena};
	dirs->list = arena_alloc(arena, (DIRS_MAX + 1) * sizeof(char *));
	return dirs->list != NULL;
}

/* Adds a directory, without slashes at its end, if it is not there yet. */
static void dirs_add(struct dirs *dirs, const char *text, size_t length)
{
	while (length > 1 && text[length - 1] == '/') {
		length--;
	}
	for (size_t i = 0; i < dirs->count; i++) {
		if (strlen(dirs->list[i]) == length && memcmp(dirs->list[i], text, length) == 0) {
			return;
		}
	}
	if (length == 0 || dirs->count == DIRS_MAX) {
		return;
	}
	const char *copy = arena_strndup(dirs->arena, text, length);
	if (copy == NULL) {
		dirs->no_memory = true;
		return;
	}
	dirs->list[dirs->count++] = copy;
}

static void dirs_add_text(struct dirs *dirs, const char *text)
{
	dirs_add(dirs, text, strlen(text));
}

static void dirs_add_path(struct dirs *dirs, const char *path)
{
	while (*path != '\0') {
		size_t length = strcspn(path, ":");
		dirs_add(dirs, path, length);
		path += length;
		path += *path == ':';
	}
}

/* $XDG_CONFIG_HOME, or ~/.config (XDG base directory specification), with a tail. */
static void dirs_add_config(struct dirs *dirs, const char *tail)
{
	const char *config = getenv("XDG_CONFIG_HOME");
	const char *home = getenv("HOME");
	const char *whole = NULL;
	if (config != NULL && config[0] == '/') {
		whole = arena_printf(dirs->arena, "%s/%s", config, tail);
	} else if (home != NULL && home[0] == '/') {
		whole = arena_printf(dirs->arena, "%s/.config/%s", home, tail);
	} else {
		return;
	}
	if (whole == NULL) {
		dirs->no_memory = true;
		return;
	}
	dirs_add_text(dirs, whole);
}

int unit_search_default(
	struct arena *arena, bool user, const char *override, struct unit_search *out)
{
	struct dirs own;
	struct dirs systemd;
	if (!dirs_init(&own, arena) || !dirs_init(&systemd, arena)) {
		return -ENOMEM;
	}
	if (override != NULL && override[0] != '\0') {
		dirs_add_path(&own, override);
	} else if (user) {
		dirs_add_config(&own, "coppice/units");
		dirs_add_config(&systemd, "systemd/user");
		dirs_add_text(&systemd, "/etc/systemd/user");
		dirs_add_text(&systemd, "/usr/local/lib/systemd/user");
		dirs_add_text(&systemd, "/usr/lib/systemd/user");
	} else {
		dirs_add_text(&own, COPPICE_SYSCONFDIR "/coppice/units");
		dirs_add_text(&own, "/run/coppice/units");
		dirs_add_text(&own, COPPICE_PREFIX "/lib/coppice/units");
		dirs_add_text(&own, "/usr/local/lib/coppice/units");
		dirs_add_text(&own, "/usr/lib/coppice/units");
		dirs_add_text(&systemd, "/etc/systemd/system");
		dirs_add_text(&systemd, "/run/systemd/system");
		dirs_add_text(&systemd, "/usr/local/lib/systemd/system");
		dirs_add_text(&systemd, "/usr/lib/systemd/system");
		dirs_add_text(&systemd, "/lib/systemd/system");
	}
	if (own.no_memory || systemd.no_memory) {
		return -ENOMEM;
	}
	*out = (struct unit_search){own.list, systemd.list, user};
	return 0;
}
