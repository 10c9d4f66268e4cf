#include "tmpfiles/tmpfiles.h"

#include <dirent.h>
#include <errno.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/log.h"
#include "base/str.h"
#include "unit/word.h"

#define FILES_MAX 4096

static const char *const bases[] = {"/etc", "/run", "/usr/local/lib", "/usr/lib"};

struct config_files {
	struct arena *arena;
	unsigned count;
	const char *names[FILES_MAX];
	const char *paths[FILES_MAX];
};

void config_say(const struct config_line *line, unsigned *problems, const char *format, ...)
{
	char text[1024];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	log_warning("%s:%u: %s", line->file, line->number, text);
	*problems += 1;
}

/* An earlier directory has the word. */
static int add_file(struct config_files *files, const char *dir, const char *name)
{
	unsigned at = 0;
	while (at < files->count && strcmp(files->names[at], name) < 0) {
		at++;
	}
	if (at < files->count && strcmp(files->names[at], name) == 0) {
		return 0;
	}
	if (files->count == FILES_MAX) {
		return -E2BIG;
	}
	const char *path = arena_printf(files->arena, "%s/%s", dir, name);
	const char *copy = arena_strdup(files->arena, name);
	if (path == NULL || copy == NULL) {
		return -ENOMEM;
	}
	size_t behind = files->count - at;
	memmove(&files->names[at + 1], &files->names[at], behind * sizeof(files->names[0]));
	memmove(&files->paths[at + 1], &files->paths[at], behind * sizeof(files->paths[0]));
	files->names[at] = copy;
	files->paths[at] = path;
	files->count++;
	return 0;
}

static int list_files(struct config_files *files, const char *kind)
{
	int failed = 0;
	for (size_t i = 0; i < sizeof(bases) / sizeof(bases[0]) && failed == 0; i++) {
		char dir[256];
		snprintf(dir, sizeof(dir), "%s/%s.d", bases[i], kind);
		DIR *list = opendir(dir);
		if (list == NULL) {
			continue;
		}
		for (struct dirent *e; failed == 0 && (e = readdir(list)) != NULL;) {
			failed = str_ends(e->d_name, ".conf") ? add_file(files, dir, e->d_name) : 0;
		}
		closedir(list);
	}
	return failed;
}

/* The words of a line; the last one (an argument) is what is left, unquoted as a whole. */
static int take_words(struct arena *arena, const char *text, size_t words_max,
	struct config_line *line, const char **wrong)
{
	size_t at = word_skip_blanks(text, 0);
	for (size_t i = 0; i < words_max; i++) {
		struct word word;
		if (i == 6) { /* tmpfiles.d's argument: not one word, but all that is left */
			char *rest = arena_strdup(arena, text + at);
			if (rest == NULL) {
				return -ENOMEM;
			}
			word_unescape(rest, wrong);
			line->words[i] = rest[0] != '\0' && strcmp(rest, "-") != 0 ? rest : NULL;
			return 0;
		}
		int got = word_next(arena, text, &at, 0, &word);
		if (got <= 0) {
			return got;
		}
		line->words[i] = strcmp(word.text, "-") == 0 ? NULL : word.text;
	}
	return 0;
}

static int read_lines(struct arena *arena, const char *path, size_t words_max, unsigned *problems,
	void (*each)(void *context, const struct config_line *line), void *context)
{
	FILE *file = fopen(path, "re");
	char *text = NULL;
	size_t room = 0;
	unsigned number = 0;
	int failed = 0;
	if (file == NULL) {
		return 0; /* gone meanwhile, or a link to nowhere: a mask */
	}
	while (failed != -ENOMEM && getline(&text, &room, file) >= 0) {
		struct config_line line = {.file = path, .number = ++number};
		const char *wrong = NULL;
		text[strcspn(text, "\n")] = '\0';
		size_t at = strspn(text, " \t");
		if (text[at] == '\0' || text[at] == '#') {
			continue;
		}
		failed = take_words(arena, text, words_max, &line, &wrong);
		if (failed == -EINVAL) {
			config_say(&line, problems, "a quote is not closed");
		} else if (failed == 0) {
			each(context, &line);
		}
	}
	free(text);
	fclose(file);
	return failed == -ENOMEM ? failed : 0;
}

int config_read(struct arena *arena, const char *kind, unsigned *problems,
	void (*each)(void *context, const struct config_line *line), void *context)
{
	struct config_files *files = arena_alloc(arena, sizeof(*files));
	if (files == NULL) {
		return -ENOMEM;
	}
	files->arena = arena;
	int failed = list_files(files, kind);
	for (unsigned i = 0; i < files->count && failed == 0; i++) {
		failed = read_lines(arena, files->paths[i], strcmp(kind, "tmpfiles") == 0 ? 7 : 6,
			problems, each, context);
	}
	return failed;
}

/* --- specifiers --- */

static const char *first_line(struct arena *arena, const char *path)
{
	char text[256] = "";
	FILE *file = fopen(path, "re");
	if (file != NULL) {
		if (fgets(text, sizeof(text), file) == NULL) {
			text[0] = '\0';
		}
		fclose(file);
	}
	text[strcspn(text, "\n")] = '\0';
	return arena_strdup(arena, text);
}

static const char *boot_id(struct arena *arena)
{
	char *id = arena_strdup(arena, first_line(arena, "/proc/sys/kernel/random/boot_id"));
	size_t to = 0;
	for (size_t i = 0; id != NULL && id[i] != '\0'; i++) {
		if (id[i] != '-') {
			id[to++] = id[i];
		}
	}
	if (id != NULL) {
		id[to] = '\0';
	}
	return id;
}

static const char *specifier(struct arena *arena, char letter)
{
	struct utsname system;
	uname(&system);
	switch (letter) {
	case '%': return "%";
	case 'b': return boot_id(arena);
	case 'm': return first_line(arena, "/etc/machine-id");
	case 'H': return arena_strdup(arena, system.nodename);
	case 'v': return arena_strdup(arena, system.release);
	case 't': return "/run";
	case 'S': return "/var/lib";
	case 'C': return "/var/cache";
	case 'L': return "/var/log";
	case 'T': return "/tmp";
	case 'V': return "/var/tmp";
	case 'h': return "/root";
	case 'u':
	case 'g': return "root";
	case 'U':
	case 'G': return "0";
	default: return NULL;
	}
}

const char *config_expand(struct arena *arena, const char *text)
{
	const char *out = "";
	while (out != NULL && *text != '\0') {
		size_t plain = strcspn(text, "%");
		const char *value = "";
		if (text[plain] == '%' && (value = specifier(arena, text[plain + 1])) == NULL) {
			return NULL;
		}
		out = arena_printf(arena, "%s%.*s%s", out, (int)plain, text, value);
		text += plain + (text[plain] == '%' ? 2 : 0);
	}
	return out;
}
