#include "unit/file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "unit/name.h"
#include "unit/table.h"

static uint32_t file_hash(const char *text)
{
	uint32_t hash = 2166136261;
	for (; *text != '\0'; text++) {
		hash = (hash ^ (unsigned char)*text) * 16777619;
	}
	return hash;
}

/* --- names in the search path --- */

struct listing {
	struct files *files;
	uint32_t dir;
	bool no_memory;
};

static bool files_grow_names(struct files *files)
{
	uint32_t room = files->names_room == 0 ? 256 : files->names_room * 2;
	struct file_name **names = calloc(room, sizeof(struct file_name *));
	if (names == NULL) {
		return false;
	}
	for (uint32_t i = 0; i < files->names_room; i++) {
		for (struct file_name *name = files->names[i]; name != NULL;) {
			struct file_name *next = name->next;
			struct file_name **bucket = &names[file_hash(name->name) & (room - 1)];
			name->next = *bucket;
			*bucket = name;
			name = next;
		}
	}
	free(files->names);
	files->names = names;
	files->names_room = room;
	return true;
}

static struct file_name *files_look(const struct files *files, const char *text)
{
	if (files->names_room == 0) {
		return NULL;
	}
	struct file_name *name = files->names[file_hash(text) & (files->names_room - 1)];
	while (name != NULL && strcmp(name->name, text) != 0) {
		name = name->next;
	}
	return name;
}

static void files_enter_name(void *context, const char *text)
{
	struct listing *listing = context;
	struct files *files = listing->files;
	if (listing->no_memory) {
		return;
	}
	struct file_name *name = files_look(files, text);
	if (name == NULL) {
		listing->no_memory = true;
		if (files->names_count >= files->names_room && !files_grow_names(files)) {
			return;
		}
		name = arena_alloc(files->arena, sizeof(*name));
		char *copy = arena_strdup(files->arena, text);
		if (name == NULL || copy == NULL) {
			return;
		}
		listing->no_memory = false;
		name->name = copy;
		struct file_name **bucket =
			&files->names[file_hash(text) & (files->names_room - 1)];
		name->next = *bucket;
		*bucket = name;
		files->names_count++;
	}
	name->dirs |= UINT64_C(1) << listing->dir;
}

static int files_add_dir(struct files *files, const char *dir, struct unit_source *source,
	struct unit_messages *messages)
{
	if (files->dirs_count == FILE_DIRS_MAX) {
		message_warning(messages, NULL,
			"the search path has more than %u directories: %s is left out",
			FILE_DIRS_MAX, dir);
		return 0;
	}
	const char *copy = arena_strdup(files->arena, dir);
	if (copy == NULL) {
		return -ENOMEM;
	}
	struct listing listing = {files, files->dirs_count, false};
	files->dirs[files->dirs_count++] = copy;
	int r = source->list_dir(source, dir, files_enter_name, &listing);
	if (listing.no_memory || r == -ENOMEM) {
		return -ENOMEM;
	}
	if (r < 0 && r != -ENOENT) {
		struct unit_place place = {dir, 0, 0};
		message_warning(messages, &place, "cannot read this directory: %s", strerror(-r));
	}
	return 0;
}

int files_init(struct files *files, struct arena *arena, const struct unit_search *search,
	struct unit_source *source, struct unit_messages *messages)
{
	*files = (struct files){.arena = arena};
	int r = 0;
	for (const char *const *dir = search->dirs; r == 0 && dir != NULL && *dir != NULL; dir++) {
		r = files_add_dir(files, *dir, source, messages);
	}
	files->systemd_from = files->dirs_count;
	for (const char *const *dir = search->systemd_dirs; r == 0 && dir != NULL && *dir != NULL;
		dir++) {
		r = files_add_dir(files, *dir, source, messages);
	}
	return r;
}

void files_finish(struct files *files)
{
	free(files->names);
	free(files->buckets);
	*files = (struct files){0};
}

const struct file_name *files_find_name(const struct files *files, const char *name)
{
	return files_look(files, name);
}

const char *files_nearest(const struct files *files, const char *name)
{
	int kind = name_kind(name);
	const char *best = NULL;
	/* One letter in four may be wrong, three at most; the suffix does not count. */
	size_t stem = (size_t)(name_dot(name) - name);
	unsigned best_distance = (unsigned)(2 + (stem < 8 ? stem / 4 : 2));
	for (uint32_t i = 0; i < files->names_room; i++) {
		for (struct file_name *at = files->names[i]; at != NULL; at = at->next) {
			if (name_kind(at->name) != kind) {
				continue;
			}
			unsigned distance = str_distance(name, at->name);
			/* Equal distances go by the alphabet, so that the hint is always the same.
			 */
			if (distance < best_distance ||
				(distance == best_distance && best != NULL &&
					strcmp(at->name, best) < 0)) {
				best = at->name;
				best_distance = distance;
			}
		}
	}
	return best;
}

bool files_dir_is_systemd(const char *dir, size_t length)
{
	static const char *const own[] = {"/etc/systemd/system", "/run/systemd/system",
		"/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system",
		"/etc/systemd/user", "/run/systemd/user", "/usr/local/lib/systemd/user",
		"/usr/lib/systemd/user", "/lib/systemd/user"};
	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
		if (strlen(own[i]) == length && memcmp(own[i], dir, length) == 0) {
			return true;
		}
	}
	return false;
}

bool files_path_is_systemd(const struct files *files, const char *path)
{
	for (uint32_t i = files->systemd_from; i < files->dirs_count; i++) {
		size_t length = strlen(files->dirs[i]);
		if (str_starts(path, files->dirs[i]) && path[length] == '/') {
			return true;
		}
	}
	const char *slash = strrchr(path, '/');
	if (slash == NULL || files_dir_is_systemd(path, (size_t)(slash - path))) {
		return slash != NULL;
	}
	/* A drop-in: one directory deeper. */
	const char *above = memrchr(path, '/', (size_t)(slash - path));
	return above != NULL && files_dir_is_systemd(path, (size_t)(above - path));
}

/* --- what stands in a file --- */

struct reading {
	const struct file_reader *reader;
	struct file *file;
	const char *const *sections; /* that this kind of unit may have */
	bool section_ignored;
};

static bool reading_has_section(const char *const *sections, const char *name)
{
	for (; *sections != NULL; sections++) {
		if (strcmp(*sections, name) == 0) {
			return true;
		}
	}
	return false;
}

/* The section that is meant, when it is spelled nearly right. */
static const char *reading_nearest_section(const char *const *sections, const char *name)
{
	const char *best = NULL;
	unsigned best_distance = 3;
	for (; *sections != NULL; sections++) {
		unsigned distance = str_distance(*sections, name);
		if (distance < best_distance) {
			best = *sections;
			best_distance = distance;
		}
	}
	return best;
}

static int reading_section(void *context, const char *name, uint32_t line, uint32_t column)
{
	struct reading *reading = context;
	struct unit_place place = {reading->file->path, line, column};
	char word[MESSAGE_WORD_SIZE];
	reading->section_ignored = true;
	if (str_starts(name, "X-")) {
		return 0;
	}
	if (reading_has_section(reading->sections, name)) {
		reading->section_ignored = false;
		return 0;
	}
	const char *near = reading_nearest_section(reading->sections, name);
	if (near != NULL) {
		message_warning(reading->reader->messages, &place,
			"unknown section [%s]; did you mean [%s]?", message_word(word, name), near);
	} else if (table_nearest_key(name, NULL) != NULL) {
		const char *dot = name_dot(reading->file->path);
		message_warning(reading->reader->messages, &place,
			"section [%s] has no place in a %s and is ignored",
			message_word(word, name), dot != NULL ? dot : "unit");
	} else {
		message_warning(reading->reader->messages, &place,
			"unknown section [%s] is ignored", message_word(word, name));
	}
	return 0;
}

static void reading_warn_key(struct reading *reading, const struct lex_assignment *text)
{
	struct unit_messages *messages = reading->reader->messages;
	struct unit_place place = {reading->file->path, text->line, text->column};
	char word[MESSAGE_WORD_SIZE];
	if (messages->count > UNIT_MESSAGES_MAX) {
		return; /* not shown any more, and hints take time */
	}
	message_word(word, text->key);
	const char *section = table_section_of(text->key, reading->sections);
	const char *near = table_nearest_key(text->section, text->key);
	if (section != NULL) {
		message_warning(messages, &place, "unknown key %s= in [%s]; it belongs in [%s]",
			word, text->section, section);
	} else if (near != NULL) {
		message_warning(messages, &place, "unknown key %s= in [%s]; did you mean %s=?",
			word, text->section, near);
	} else {
		message_warning(messages, &place, "unknown key %s= in [%s]", word, text->section);
	}
}

static int reading_assignment(void *context, const struct lex_assignment *text)
{
	struct reading *reading = context;
	struct file *file = reading->file;
	if (file->count == file->room) {
		uint32_t room = file->room == 0 ? 16 : file->room * 2;
		struct file_line *lines =
			arena_alloc(reading->reader->files->arena, room * sizeof(struct file_line));
		if (lines == NULL) {
			return -ENOMEM;
		}
		if (file->count > 0) {
			memcpy(lines, file->lines, file->count * sizeof(struct file_line));
		}
		file->lines = lines;
		file->room = room;
	}
	struct file_line *line = &file->lines[file->count++];
	line->text = *text;
	line->path = file->path;
	line->directive = -1;
	if (reading->section_ignored || str_starts(text->key, "X-")) {
		return 0;
	}
	line->directive = table_find(text->section, text->key);
	if (line->directive < 0) {
		reading_warn_key(reading, text);
	}
	return 0;
}

static void reading_error(void *context, uint32_t line, uint32_t column, const char *text)
{
	struct reading *reading = context;
	struct unit_place place = {reading->file->path, line, column};
	if (files_path_is_systemd(reading->reader->files, reading->file->path)) {
		message_warning(reading->reader->messages, &place, "%s; the line is ignored", text);
		return;
	}
	reading->file->broken = true;
	message_error(reading->reader->messages, &place, "%s", text);
}

static int file_fill(const struct file_reader *reader, struct file *file, enum unit_kind kind)
{
	char *text;
	size_t size;
	int r = reader->source->read_file(reader->source, file->path, &text, &size);
	if (r < 0) {
		file->error = r;
		return r == -ENOMEM ? r : 0;
	}
	struct reading reading = {reader, file, table_sections(kind), true};
	struct lex_events events = {&reading, reading_section, reading_assignment, reading_error};
	file->empty = size == 0;
	r = lex_parse(reader->files->arena, text, size, &events);
	free(text);
	return r;
}

static bool files_grow_buckets(struct files *files)
{
	uint32_t room = files->files_room == 0 ? 64 : files->files_room * 2;
	struct file **buckets = calloc(room, sizeof(struct file *));
	if (buckets == NULL) {
		return false;
	}
	for (uint32_t i = 0; i < files->files_room; i++) {
		for (struct file *file = files->buckets[i]; file != NULL;) {
			struct file *next = file->next;
			struct file **bucket = &buckets[file_hash(file->path) & (room - 1)];
			file->next = *bucket;
			*bucket = file;
			file = next;
		}
	}
	free(files->buckets);
	files->buckets = buckets;
	files->files_room = room;
	return true;
}

static struct file *files_find_file(const struct files *files, const char *path)
{
	if (files->files_room == 0) {
		return NULL;
	}
	struct file *file = files->buckets[file_hash(path) & (files->files_room - 1)];
	while (file != NULL && strcmp(file->path, path) != 0) {
		file = file->next;
	}
	return file;
}

struct file *file_read(const struct file_reader *reader, const char *path, enum unit_kind kind)
{
	struct files *files = reader->files;
	struct file *file = files_find_file(files, path);
	if (file != NULL) {
		return file;
	}
	file = arena_alloc(files->arena, sizeof(*file));
	if (file == NULL) {
		return NULL;
	}
	file->path = arena_strdup(files->arena, path);
	if (file->path == NULL || file_fill(reader, file, kind) < 0) {
		return NULL;
	}
	if (files->files_count >= files->files_room && !files_grow_buckets(files)) {
		return NULL;
	}
	struct file **bucket = &files->buckets[file_hash(path) & (files->files_room - 1)];
	file->next = *bucket;
	*bucket = file;
	files->files_count++;
	return file;
}
