/* cat and verify: unit files, with and without a running coppice. */
#include "ctl/ctl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"
#include "unit/unit.h"

static const char *root_name(const struct ctl *ctl)
{
	return ctl_has(ctl, OPTION_ROOT) ? ctl->value[OPTION_ROOT] : "default.supervisor";
}

int ctl_search_path(struct ctl *ctl, struct arena *arena, struct unit_search *search)
{
	const char *given = ctl_has(ctl, OPTION_UNIT_PATH) ? ctl->value[OPTION_UNIT_PATH]
							   : getenv("COPPICE_UNIT_PATH");
	int result = unit_search_default(arena, geteuid() != 0, given, search);

	return result < 0 ? ctl_say(ctl, CTL_FAILED, "the search path: %s", strerror(-result))
			  : CTL_OK;
}

/* --- verify --- */

/* The messages to standard error, or into the array. */
static void put_messages(struct ctl *ctl, const struct unit_messages *messages, json_t *all)
{
	for (uint32_t i = 0; i < messages->count; i++) {
		const struct unit_message *message = &messages->list[i];
		bool error = message->severity == UNIT_ERROR;

		if (ctl_has(ctl, OPTION_JSON)) {
			(void)json_array_append_new(
				all, json_pack("{s:s,s:s}", "severity", error ? "error" : "warning",
					     "text", message->text));
		} else {
			(void)fprintf(
				ctl->err, "%s: %s\n", error ? "error" : "warning", message->text);
		}
	}
}

static int verify_files(struct ctl *ctl, const struct unit_search *search, json_t *all)
{
	bool good = true;

	for (int i = 0; i < ctl->words_count; i++) {
		struct unit_messages messages = {0};

		good = unit_verify_file(search, &unit_source_disk, ctl->words[i], &messages) &&
		       good;
		put_messages(ctl, &messages, all);
		unit_messages_finish(&messages);
	}
	return good ? CTL_OK : CTL_FAILED;
}

static int verify_tree(struct ctl *ctl, const struct unit_search *search, json_t *all)
{
	struct unit_messages messages = {0};
	struct unit_set *set = unit_set_load(search, &unit_source_disk, root_name(ctl), &messages);

	put_messages(ctl, &messages, all);
	if (set != NULL && !ctl_has(ctl, OPTION_JSON)) {
		(void)fprintf(ctl->out, "%s: %u units, no errors, %u warnings\n", root_name(ctl),
			set->count, messages.count - messages.errors);
	}
	unit_messages_finish(&messages);
	if (set == NULL) {
		return CTL_FAILED;
	}
	unit_set_destroy(set);
	return CTL_OK;
}

int verb_verify(struct ctl *ctl)
{
	struct arena arena = {0};
	struct unit_search search;
	json_t *all;
	int status;

	if (ctl_has(ctl, OPTION_DIRECTIVES)) {
		return verb_directives(ctl);
	}
	status = ctl_search_path(ctl, &arena, &search);
	if (status != CTL_OK) {
		return status;
	}
	all = json_array();
	status = ctl->words_count > 0 ? verify_files(ctl, &search, all)
				      : verify_tree(ctl, &search, all);
	if (ctl_has(ctl, OPTION_JSON)) {
		ctl_put_json(ctl, all);
	} else {
		json_decref(all);
	}
	arena_finish(&arena);
	return status;
}

/* --- cat: from disk --- */

struct gathering {
	json_t *files;
	char *directory;
};

static bool gather(struct gathering *gathering, const char *path)
{
	char *text;
	size_t size;
	json_t *content;

	if (unit_source_disk.read_file(&unit_source_disk, path, &text, &size) < 0) {
		return false;
	}
	content = json_stringn(text, size);
	if (content == NULL) {
		content = json_string("# This file is not UTF-8.\n");
	}
	(void)json_array_append_new(
		gathering->files, json_pack("{s:s,s:o}", "path", path, "text", content));
	free(text);
	return true;
}

static void gather_dropin(void *context, const char *name)
{
	struct gathering *gathering = context;

	if (str_ends(name, ".conf")) {
		char *path = ctl_printf("%s/%s", gathering->directory, name);

		(void)gather(gathering, path);
		free(path);
	}
}

/* The unit's own file, or its template's, from the first directory that has one. */
static bool gather_main(
	struct gathering *gathering, const struct unit_search *search, const char *name)
{
	const char *const *lists[] = {search->dirs, search->systemd_dirs};

	for (int l = 0; l < 2; l++) {
		for (size_t i = 0; lists[l] != NULL && lists[l][i] != NULL; i++) {
			char *path = ctl_printf("%s/%s", lists[l][i], name);
			bool found = gather(gathering, path);

			free(path);
			if (found) {
				return true;
			}
		}
	}
	return false;
}

static void gather_dropins(
	struct gathering *gathering, const struct unit_search *search, const char *name)
{
	const char *const *lists[] = {search->dirs, search->systemd_dirs};

	for (int l = 0; l < 2; l++) {
		for (size_t i = 0; lists[l] != NULL && lists[l][i] != NULL; i++) {
			gathering->directory = ctl_printf("%s/%s.d", lists[l][i], name);
			(void)unit_source_disk.list_dir(
				&unit_source_disk, gathering->directory, gather_dropin, gathering);
			free(gathering->directory);
		}
	}
}

static int cat_from_disk(struct ctl *ctl, const char *name, json_t **files)
{
	struct arena arena = {0};
	struct unit_search search;
	struct gathering gathering = {.files = ctl_keep(ctl, json_array())};
	const char *at = strchr(name, '@'), *dot = strrchr(name, '.');
	char *template = NULL;
	bool found;
	int status = ctl_search_path(ctl, &arena, &search);

	if (status != CTL_OK) {
		return status;
	}
	found = gather_main(&gathering, &search, name);
	if (!found && at != NULL && dot != NULL && dot > at) {
		template = ctl_printf("%.*s@%s", (int)(at - name), name, dot);
		found = gather_main(&gathering, &search, template);
	}
	if (template != NULL) {
		gather_dropins(&gathering, &search, template);
		free(template);
	}
	gather_dropins(&gathering, &search, name);
	arena_finish(&arena);
	*files = found ? json_incref(gathering.files) : NULL;
	return found ? CTL_OK
		     : ctl_say(ctl, CTL_NO_UNIT,
			       "no file of %s in the search path, and no coppice answers; see -u",
			       name);
}

/* --- cat --- */

static void put_files(struct ctl *ctl, const json_t *files, bool *first)
{
	json_t *file;
	size_t i;

	json_array_foreach (files, i, file) {
		const char *text = unit_text(file, "text");
		size_t length = strlen(text);

		(void)fputs(*first ? "" : "\n", ctl->out);
		*first = false;
		(void)fprintf(ctl->out, "%s# ", ctl_colour(ctl, COLOUR_DIM));
		ctl_put(ctl, unit_text(file, "path"));
		(void)fprintf(ctl->out, "%s\n%s%s", ctl_colour(ctl, COLOUR_NONE), text,
			length > 0 && text[length - 1] != '\n' ? "\n" : "");
	}
}

/* The files of one unit: coppice's own words when one runs, else what is on disk. */
static int cat_one(struct ctl *ctl, const char *name, bool running, json_t **files)
{
	json_t *reply;
	int status;

	if (!running) {
		return cat_from_disk(ctl, name, files);
	}
	status = ctl_call(ctl, "Cat", json_pack("{s:s}", "unit", name), CTL_PATIENCE_MS, &reply);
	if (status == CTL_OK) {
		*files = json_incref(json_object_get(reply, "files"));
		json_decref(reply);
	}
	return status;
}

int verb_cat(struct ctl *ctl)
{
	json_t *all = ctl_keep(ctl, json_array());
	bool first = true, running;
	int status;

	/* Whoever names a search path means the files on disk. */
	running = !ctl_has(ctl, OPTION_UNIT_PATH) && ctl_open(ctl, true) == CTL_OK;
	for (int i = 0; i < ctl->words_count; i++) {
		const char *name = ctl_unit_name(ctl, ctl->words[i]);
		json_t *files = NULL;

		status = name != NULL ? cat_one(ctl, name, running, &files) : CTL_USAGE;
		if (status != CTL_OK) {
			return status;
		}
		if (ctl_has(ctl, OPTION_JSON)) {
			(void)json_array_extend(all, files);
		} else {
			put_files(ctl, files, &first);
		}
		json_decref(files);
	}
	if (ctl_has(ctl, OPTION_JSON)) {
		ctl_put_json(ctl, json_incref(all));
	}
	return CTL_OK;
}
