#include "unit/build.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/str.h"
#include "unit/name.h"
#include "unit/table.h"

/* --- finding files --- */

static struct file_reader build_reader(const struct builder *builder)
{
	return (struct file_reader){builder->files, builder->source, builder->messages};
}

/* Drop-ins that were found: one of a name, the first of the search. */
struct dropins {
	struct builder *builder;
	const char *dir;
	uint32_t count, room;
	struct dropin {
		char *path;
		const char *name; /* in it */
	} * list;
	bool no_memory;
};

static void dropins_add(void *context, const char *name)
{
	struct dropins *dropins = context;
	if (name[0] == '.' || !str_ends(name, ".conf")) {
		return;
	}
	for (uint32_t i = 0; i < dropins->count; i++) {
		if (strcmp(dropins->list[i].name, name) == 0) {
			return;
		}
	}
	if (dropins->count == dropins->room) {
		uint32_t room = dropins->room == 0 ? 8 : dropins->room * 2;
		struct dropin *list = realloc(dropins->list, room * sizeof(*list));
		if (list == NULL) {
			dropins->no_memory = true;
			return;
		}
		dropins->list = list;
		dropins->room = room;
	}
	char *path;
	if (asprintf(&path, "%s/%s", dropins->dir, name) < 0) {
		dropins->no_memory = true;
		return;
	}
	dropins->list[dropins->count++] = (struct dropin){path, strrchr(path, '/') + 1};
}

static void dropins_finish(struct dropins *dropins)
{
	for (uint32_t i = 0; i < dropins->count; i++) {
		free(dropins->list[i].path);
	}
	free(dropins->list);
}

static int dropins_compare(const void *a, const void *b)
{
	return strcmp(((const struct dropin *)a)->name, ((const struct dropin *)b)->name);
}

/* Looks into DIR/NAME.d of one directory of the search path. */
static void dropins_look(struct dropins *dropins, uint32_t dir, const char *name)
{
	struct builder *builder = dropins->builder;
	char entry[UNIT_NAME_SIZE + 2];
	snprintf(entry, sizeof(entry), "%s.d", name);
	const struct file_name *found = files_find_name(builder->files, entry);
	if (found == NULL || (found->dirs >> dir & 1) == 0) {
		return;
	}
	char path[PATH_MAX];
	snprintf(path, sizeof(path), "%s/%s", builder->files->dirs[dir], entry);
	dropins->dir = path;
	int r = builder->source->list_dir(builder->source, path, dropins_add, dropins);
	if (r == -ENOMEM) {
		dropins->no_memory = true;
	} else if (r < 0 && r != -ENOENT) {
		struct unit_place place = {path, 0, 0};
		message_warning(
			builder->messages, &place, "cannot read these drop-ins: %s", strerror(-r));
	}
}

/* Names whose drop-ins count for a unit, the nearest first: "a-b@c", "a-b@", "a-@c", "a-@"
 * (systemd.unit(5)). */
struct chain {
	uint32_t count;
	char names[40][UNIT_NAME_SIZE];
};

static void chain_add(struct chain *chain, const char *name)
{
	if (chain->count < sizeof(chain->names) / sizeof(chain->names[0])) {
		str_copy(chain->names[chain->count++], UNIT_NAME_SIZE, name);
	}
}

static void chain_fill(struct chain *chain, const char *name)
{
	char prefix[UNIT_NAME_SIZE];
	char cut[2 * UNIT_NAME_SIZE];
	char template[UNIT_NAME_SIZE];
	const char *at = name_at(name);
	const char *rest = at != NULL ? at : name_dot(name);
	snprintf(prefix, sizeof(prefix), "%.*s", (int)(rest - name), name);
	chain->count = 0;
	for (;;) {
		snprintf(cut, sizeof(cut), "%s%s", prefix, rest);
		cut[UNIT_NAME_SIZE - 1] = '\0';
		chain_add(chain, cut);
		if (name_is_instance(cut)) {
			name_to_template(cut, template);
			chain_add(chain, template);
		}
		/* The next shorter one ends with a dash: "a-b-c", "a-b-", "a-". */
		size_t length = strlen(prefix);
		if (length > 0 && prefix[length - 1] == '-') {
			prefix[--length] = '\0';
		}
		char *dash = strrchr(prefix, '-');
		if (dash == NULL || dash == prefix) {
			return;
		}
		dash[1] = '\0';
	}
}

static int build_collect_dropins(struct builder *builder, const char *name, struct dropins *dropins)
{
	struct chain chain;
	const char *kind = name_dot(name) + 1;
	struct files *files = builder->files;
	chain_fill(&chain, name);
	*dropins = (struct dropins){.builder = builder};
	/* Most units have none at all: one look-up a name says so. */
	for (uint32_t i = 0; i < chain.count; i++) {
		char entry[UNIT_NAME_SIZE + 2];
		snprintf(entry, sizeof(entry), "%s.d", chain.names[i]);
		if (files_find_name(files, entry) == NULL) {
			chain.names[i][0] = '\0';
		}
	}
	for (uint32_t dir = 0; dir < files->dirs_count; dir++) {
		for (uint32_t i = 0; i < chain.count; i++) {
			if (chain.names[i][0] != '\0') {
				dropins_look(dropins, dir, chain.names[i]);
			}
		}
	}
	/* "service.d" is the most general, and comes last. */
	for (uint32_t dir = 0; dir < files->dirs_count; dir++) {
		dropins_look(dropins, dir, kind);
	}
	if (dropins->count > 0) {
		qsort(dropins->list, dropins->count, sizeof(*dropins->list), dropins_compare);
	}
	return dropins->no_memory ? -ENOMEM : 0;
}

/* The path of the main file; for an instance without a file of its own, the template's. */
static int build_find_main(
	struct builder *builder, const char *name, char path[PATH_MAX], bool *systemd)
{
	char template[UNIT_NAME_SIZE];
	const char *file_name = name;
	const struct file_name *found = files_find_name(builder->files, name);
	if (found == NULL && name_is_instance(name)) {
		name_to_template(name, template);
		file_name = template;
		found = files_find_name(builder->files, template);
	}
	if (found == NULL) {
		return -ENOENT;
	}
	uint32_t dir = (uint32_t)__builtin_ctzll(found->dirs);
	const char *text = builder->files->dirs[dir];
	*systemd = dir >= builder->files->systemd_from || files_dir_is_systemd(text, strlen(text));
	int length = snprintf(path, PATH_MAX, "%s/%s", builder->files->dirs[dir], file_name);
	return length < PATH_MAX ? 0 : -ENOENT;
}

/* --- definitions --- */

static int definition_fill_settings(struct builder *builder, struct unit_definition *definition)
{
	uint32_t count = definition->main->count;
	for (uint32_t i = 0; i < definition->dropins_count; i++) {
		count += definition->dropins[i]->count;
	}
	definition->settings = arena_alloc(builder->arena, count * sizeof(struct unit_setting));
	if (definition->settings == NULL) {
		return -ENOMEM;
	}
	for (uint32_t i = 0; i <= definition->dropins_count; i++) {
		const struct file *file = i == 0 ? definition->main : definition->dropins[i - 1];
		for (uint32_t j = 0; j < file->count; j++) {
			const struct lex_assignment *text = &file->lines[j].text;
			definition->settings[definition->settings_count++] = (struct unit_setting){
				text->section, text->key, text->value, file->path, text->line};
		}
	}
	return 0;
}

static void definition_say_unreadable(
	struct builder *builder, const struct file *file, const struct unit_spot *named)
{
	if (named != NULL) {
		struct unit_place place = parse_spot_place(named);
		message_error(builder->messages, &place, "cannot read %s: %s", file->path,
			strerror(-file->error));
	} else {
		struct unit_place place = {file->path, 0, 0};
		message_error(builder->messages, &place, "cannot read this file: %s",
			strerror(-file->error));
	}
}

static int definition_read_dropins(struct builder *builder, struct unit_definition *definition,
	const struct dropins *dropins, enum unit_kind kind)
{
	struct file_reader reader = build_reader(builder);
	const char **paths = arena_alloc(builder->arena, (dropins->count + 1) * sizeof(char *));
	definition->dropins =
		arena_alloc(builder->arena, (dropins->count + 1) * sizeof(struct file *));
	if (paths == NULL || definition->dropins == NULL) {
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < dropins->count; i++) {
		struct file *file = file_read(&reader, dropins->list[i].path, kind);
		if (file == NULL) {
			return -ENOMEM;
		}
		if (file->error < 0) {
			definition_say_unreadable(builder, file, NULL);
			definition->broken = true;
		}
		if (file->empty) {
			continue; /* a mask of the drop-in of that name */
		}
		definition->broken = definition->broken || file->broken;
		paths[definition->dropins_count] = file->path;
		definition->dropins[definition->dropins_count++] = file;
	}
	definition->dropin_paths = paths;
	return 0;
}

static bool definition_same_dropins(
	const struct unit_definition *definition, const struct dropins *dropins)
{
	uint32_t j = 0;
	for (uint32_t i = 0; i < dropins->count; i++) {
		if (j < definition->dropins_count &&
			strcmp(definition->dropins[j]->path, dropins->list[i].path) == 0) {
			j++;
		}
	}
	return j == definition->dropins_count && j == dropins->count;
}

/* The definition of a main file and its drop-ins, made now or before. */
static int definition_get(struct builder *builder, struct file *main, const struct dropins *dropins,
	enum unit_kind kind, struct unit_definition **out)
{
	for (struct unit_definition *old = main->definitions; old != NULL; old = old->next) {
		if (definition_same_dropins(old, dropins)) {
			*out = old;
			return 0;
		}
	}
	struct unit_definition *definition = arena_alloc(builder->arena, sizeof(*definition));
	if (definition == NULL) {
		return -ENOMEM;
	}
	definition->main = main;
	definition->broken = main->broken;
	int r = definition_read_dropins(builder, definition, dropins, kind);
	if (r == 0) {
		r = definition_fill_settings(builder, definition);
	}
	if (r < 0) {
		return r;
	}
	definition->next = main->definitions;
	main->definitions = definition;
	*out = definition;
	return 0;
}

int build_find(struct builder *builder, const char *name, const struct unit_spot *named,
	struct unit_definition **out)
{
	struct file_reader reader = build_reader(builder);
	struct dropins dropins = {0};
	enum unit_kind kind = (enum unit_kind)name_kind(name);
	char path[PATH_MAX];
	bool systemd;
	int r = build_find_main(builder, name, path, &systemd);
	if (r < 0) {
		return r;
	}
	struct file *main = file_read(&reader, path, kind);
	if (main == NULL) {
		return -ENOMEM;
	}
	if (main->error < 0) {
		definition_say_unreadable(builder, main, named);
		return -EUCLEAN;
	}
	if (main->empty) {
		struct unit_place place = {NULL, 0, 0};
		if (named != NULL) {
			place = parse_spot_place(named);
		}
		message_error(
			builder->messages, &place, "\"%s\" is masked by %s", name, main->path);
		return -EUCLEAN;
	}
	r = build_collect_dropins(builder, name, &dropins);
	if (r == 0) {
		r = definition_get(builder, main, &dropins, kind, out);
	}
	if (r == 0) {
		(*out)->from_systemd = systemd;
	}
	dropins_finish(&dropins);
	return r;
}

bool build_is_masked(struct builder *builder, const char *name)
{
	struct file_reader reader = build_reader(builder);
	char path[PATH_MAX];
	bool systemd;
	if (build_find_main(builder, name, path, &systemd) < 0) {
		return false;
	}
	const struct file *main = file_read(&reader, path, (enum unit_kind)name_kind(name));
	return main != NULL && main->error == 0 && main->empty;
}

int build_find_file(
	struct builder *builder, const char *path, const char *name, struct unit_definition **out)
{
	struct file_reader reader = build_reader(builder);
	struct dropins none = {0};
	enum unit_kind kind = (enum unit_kind)name_kind(name);
	struct file *main = file_read(&reader, path, kind);
	if (main == NULL) {
		return -ENOMEM;
	}
	if (main->error < 0) {
		definition_say_unreadable(builder, main, NULL);
		return -EUCLEAN;
	}
	if (main->empty) {
		struct unit_place place = {path, 0, 0};
		message_error(builder->messages, &place, "this file is empty: it masks the unit");
		return -EUCLEAN;
	}
	int r = definition_get(builder, main, &none, kind, out);
	if (r == 0) {
		const char *slash = strrchr(path, '/');
		(*out)->from_systemd =
			slash != NULL && files_dir_is_systemd(path, (size_t)(slash - path));
	}
	return r;
}
