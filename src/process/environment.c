#include "process/environment.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"

#define LIST_ROOM_FIRST 32

/* --- the list --- */

int environment_init(struct environment *env, struct arena *arena)
{
	*env = (struct environment){.arena = arena, .room = LIST_ROOM_FIRST};
	env->list = arena_alloc(arena, env->room * sizeof(*env->list));
	return env->list ? 0 : -ENOMEM;
}

/* The length of a valid name of a variable at the start of `text`, 0 when there is none. */
static size_t name_length(const char *text)
{
	size_t length = 0;

	for (;; length++) {
		char c = text[length];
		bool letter = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';

		if (!letter && (length == 0 || c < '0' || c > '9')) {
			return length;
		}
	}
}

static bool has_name(const char *assignment, const char *name, size_t length)
{
	return strncmp(assignment, name, length) == 0 && assignment[length] == '=';
}

/* The place of a name, or `count`. */
static size_t find_name(const struct environment *env, const char *name, size_t length)
{
	size_t i = 0;

	while (i < env->count && !has_name(env->list[i], name, length)) {
		i++;
	}
	return i;
}

/* One place is always left for the NULL. */
static int make_room(struct environment *env)
{
	const char **list;

	if (env->count + 1 < env->room) {
		return 0;
	}
	list = arena_alloc(env->arena, env->room * 2 * sizeof(*list));
	if (!list) {
		return -ENOMEM;
	}
	memcpy(list, env->list, env->count * sizeof(*list));
	env->list = list;
	env->room *= 2;
	return 0;
}

/* Takes over text that lies in the arena already. */
static int put_owned(struct environment *env, const char *assignment, size_t length)
{
	size_t place = find_name(env, assignment, length);

	if (place == env->count) {
		int failed = make_room(env);

		if (failed) {
			return failed;
		}
		env->count++;
		env->list[env->count] = NULL;
	}
	env->list[place] = assignment;
	return 0;
}

int environment_put(struct environment *env, const char *assignment)
{
	size_t length = name_length(assignment);
	const char *copy;

	if (length == 0 || assignment[length] != '=') {
		return -EINVAL;
	}
	copy = arena_strdup(env->arena, assignment);
	return copy ? put_owned(env, copy, length) : -ENOMEM;
}

int environment_printf(struct environment *env, const char *format, ...)
{
	va_list args, again;
	char *text = NULL;
	size_t length;
	int size;

	va_start(args, format);
	va_copy(again, args);
	size = vsnprintf(NULL, 0, format, args);
	if (size >= 0) {
		text = arena_alloc(env->arena, (size_t)size + 1);
	}
	if (text) {
		vsnprintf(text, (size_t)size + 1, format, again);
	}
	va_end(again);
	va_end(args);
	if (!text) {
		return size < 0 ? -EINVAL : -ENOMEM;
	}
	length = name_length(text);
	return length && text[length] == '=' ? put_owned(env, text, length) : -EINVAL;
}

void environment_remove(struct environment *env, const char *name)
{
	size_t place = find_name(env, name, strlen(name));

	if (place < env->count) {
		/* With the NULL at the end. */
		memmove(env->list + place, env->list + place + 1,
			(env->count - place) * sizeof(*env->list));
		env->count--;
	}
}

static const char *get_by_length(const struct environment *env, const char *name, size_t length)
{
	size_t place = find_name(env, name, length);

	return place < env->count ? env->list[place] + length + 1 : NULL;
}

const char *environment_get(const struct environment *env, const char *name)
{
	return get_by_length(env, name, strlen(name));
}

/* --- text in the making --- */

struct builder {
	char *text; /* in the arena; as large as the input can make it */
	size_t length;
	size_t trim_from; /* what stands before must stay when white space at the end is cut */
};

static void builder_add(struct builder *builder, char c)
{
	builder->text[builder->length++] = c;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool is_line_end(char c)
{
	return c == '\n' || c == '\r';
}

/* --- EnvironmentFile= --- */

/* A reader of one file. The rules are those of systemd.exec(5), EnvironmentFile=: much like those
 * of a shell, but nothing is replaced. */
struct file_reader {
	struct environment *env;
	const char *path;
	const char *at;
	unsigned line;
	struct builder out;
};

static char next_char(struct file_reader *reader)
{
	char c = *reader->at;

	if (c != '\0') {
		reader->at++;
		reader->line += c == '\n';
	}
	return c;
}

static void skip_line(struct file_reader *reader)
{
	while (*reader->at && !is_line_end(*reader->at)) {
		reader->at++;
	}
}

/* 'text': nothing is special but the quote. False when it is not closed. */
static bool read_single_quoted(struct file_reader *reader)
{
	char c;

	while ((c = next_char(reader)) != '\0') {
		if (c == '\'') {
			return true;
		}
		builder_add(&reader->out, c);
	}
	return false;
}

/* "text": a backslash protects what a shell would look at, and takes a line end away. */
static bool read_double_quoted(struct file_reader *reader)
{
	char c;

	while ((c = next_char(reader)) != '\0') {
		if (c == '"') {
			return true;
		}
		if (c == '\\') {
			c = next_char(reader);
			if (c == '\0') {
				return false;
			}
			if (c == '\n') {
				continue;
			}
			if (!strchr("\"\\`$", c)) {
				builder_add(&reader->out, '\\');
			}
		}
		builder_add(&reader->out, c);
	}
	return false;
}

/* Plain text up to the end of the line: quotes have no meaning any more. */
static void read_plain(struct file_reader *reader)
{
	char c;

	while (*reader->at && !is_line_end(*reader->at)) {
		c = next_char(reader);
		if (c == '\\') {
			c = next_char(reader);
			reader->out.trim_from = reader->out.length + 1;
			if (c == '\0' || is_line_end(c)) {
				reader->out.trim_from--;
				continue;
			}
		}
		builder_add(&reader->out, c);
	}
	while (reader->out.length > reader->out.trim_from &&
		is_blank(reader->out.text[reader->out.length - 1])) {
		reader->out.length--;
	}
}

/* Quoted pieces, with white space between them dropped, then perhaps a plain rest. False when a
 * quote is not closed. */
static bool read_value(struct file_reader *reader)
{
	for (;;) {
		char c = *reader->at;

		reader->out.trim_from = reader->out.length;
		if (c == '\0' || is_line_end(c)) {
			return true;
		}
		if (c == '\'' || c == '"') {
			bool closed;

			next_char(reader);
			closed = c == '"' ? read_double_quoted(reader) : read_single_quoted(reader);
			if (!closed) {
				return false;
			}
		} else if (is_blank(c)) {
			next_char(reader);
		} else {
			read_plain(reader);
			return true;
		}
	}
}

/* The name, without white space at its end. False for a line without '='. There is no empty name: a
 * '=' at the start belongs to a (wrong) one. */
static bool read_name(struct file_reader *reader)
{
	builder_add(&reader->out, next_char(reader));
	while (*reader->at && *reader->at != '=' && !is_line_end(*reader->at)) {
		builder_add(&reader->out, next_char(reader));
	}
	if (*reader->at != '=') {
		return false;
	}
	next_char(reader);
	while (reader->out.length && is_blank(reader->out.text[reader->out.length - 1])) {
		reader->out.length--;
	}
	return true;
}

static int read_assignment(struct file_reader *reader, struct err *err)
{
	unsigned line = reader->line;
	size_t name;
	int failed;

	reader->out.length = 0;
	if (!read_name(reader)) {
		return 0;
	}
	builder_add(&reader->out, '=');
	name = reader->out.length - 1;
	if (!read_value(reader)) {
		return err_set(err, EINVAL, "%s:%u: the quote that begins here is not closed",
			reader->path, line);
	}
	builder_add(&reader->out, '\0');
	failed = environment_put(reader->env, reader->out.text);
	if (failed == -EINVAL) {
		/* As systemd: the rest of the file counts. `export A=b` is the usual one. */
		log_warning("%s:%u: '%.*s' is not the name of a variable: the line is ignored",
			reader->path, line, (int)name, reader->out.text);
		return 0;
	}
	return failed ? err_set(err, -failed, "%s: out of memory", reader->path) : 0;
}

int environment_put_file(
	struct environment *env, const char *text, const char *path, struct err *err)
{
	struct file_reader reader = {.env = env, .path = path, .at = text, .line = 1};
	int failed = 0;

	/* No assignment grows beyond its source but by the terminator. */
	reader.out.text = arena_alloc(env->arena, strlen(text) + 2);
	if (!reader.out.text) {
		return err_set(err, ENOMEM, "%s: out of memory", path);
	}
	while (*reader.at && !failed) {
		if (is_blank(*reader.at)) {
			next_char(&reader);
		} else if (*reader.at == '#' || *reader.at == ';') {
			skip_line(&reader);
		} else {
			failed = read_assignment(&reader, err);
		}
	}
	return failed;
}

/* --- the words of a command --- */

struct word_list {
	struct arena *arena;
	const char **list;
	size_t count, room;
};

static int words_add(struct word_list *words, const char *word)
{
	if (words->count + 1 >= words->room) {
		size_t room = words->room ? words->room * 2 : 16;
		const char **list = arena_alloc(words->arena, room * sizeof(*list));

		if (!list) {
			return -ENOMEM;
		}
		if (words->count) {
			memcpy(list, words->list, words->count * sizeof(*list));
		}
		words->list = list;
		words->room = room;
	}
	words->list[words->count++] = word;
	words->list[words->count] = NULL;
	return 0;
}

/* One word out of a variable's value: quotes hold words together and vanish, a backslash takes the
 * next character as it is, also within single quotes. A quote that is not closed reaches to the
 * end. Moves *at behind the word. */
static const char *split_word(struct arena *arena, const char **at)
{
	struct builder out = {.text = arena_alloc(arena, strlen(*at) + 1)};
	char quote = '\0';

	if (!out.text) {
		return NULL;
	}
	for (; **at && (quote || !is_blank(**at)); (*at)++) {
		char c = **at;

		if (quote ? c == quote : (c == '\'' || c == '"')) {
			quote = quote ? '\0' : c;
		} else if (c == '\\') {
			if ((*at)[1] == '\0') {
				continue; /* at the very end it protects nothing */
			}
			(*at)++;
			builder_add(&out, **at);
		} else {
			builder_add(&out, c);
		}
	}
	return out.text;
}

static int words_split(struct word_list *words, const char *value)
{
	for (;;) {
		const char *word;
		int failed;

		while (is_blank(*value)) {
			value++;
		}
		if (*value == '\0') {
			return 0;
		}
		word = split_word(words->arena, &value);
		failed = word ? words_add(words, word) : -ENOMEM;
		if (failed) {
			return failed;
		}
	}
}

/* What stands at a '$' inside a word: its length in the word, and the text for it. */
static size_t read_dollar(
	const struct environment *env, const char *at, const char **text, size_t *text_length)
{
	const char *end;

	*text = at;
	if (at[1] != '{') { /* "$$", or a lone one */
		*text_length = 1;
		return at[1] == '$' ? 2 : 1;
	}
	end = at + strcspn(at, ":}");
	if (*end != '}') { /* not closed, or the ${A:-b} of a shell: as it stands */
		*text_length = (size_t)(end - at) + (*end == ':');
		return *text_length;
	}
	*text = get_by_length(env, at + 2, (size_t)(end - at) - 2);
	*text_length = *text ? strlen(*text) : 0;
	return (size_t)(end - at) + 1;
}

/* Fills `out` when it is not NULL; returns the length. */
static size_t replace_into(const struct environment *env, const char *word, char *out)
{
	size_t length = 0;

	while (*word) {
		const char *text = word;
		size_t text_length = 1, used = 1;

		if (*word == '$') {
			used = read_dollar(env, word, &text, &text_length);
		}
		if (out && text_length) {
			memcpy(out + length, text, text_length);
		}
		length += text_length;
		word += used;
	}
	return length;
}

static const char *replace_word(const struct environment *env, const char *word)
{
	char *out;

	if (!strchr(word, '$')) {
		return word;
	}
	out = arena_alloc(env->arena, replace_into(env, word, NULL) + 1);
	if (out) {
		out[replace_into(env, word, out)] = '\0';
	}
	return out;
}

static int expand_word(
	const struct environment *env, const char *word, bool first, struct word_list *words)
{
	const char *value;

	/* The name of the program is one word, whatever it is made of. A whole word that begins
	 * with a single '$' is a name to the end, as systemd has it: a wrong one is a variable
	 * without value. */
	if (!first && word[0] == '$' && word[1] != '{' && word[1] != '$') {
		if (word[1] == '\0') {
			return words_add(words, word);
		}
		value = environment_get(env, word + 1);
		return value ? words_split(words, value) : 0;
	}
	value = replace_word(env, word);
	return value ? words_add(words, value) : -ENOMEM;
}

const char **environment_expand(const struct environment *env, const char *const *argv)
{
	struct word_list words = {.arena = env->arena};

	for (size_t i = 0; argv[i]; i++) {
		if (expand_word(env, argv[i], i == 0, &words)) {
			return NULL;
		}
	}
	if (!words.list) { /* no words at all */
		return arena_alloc(env->arena, sizeof(*words.list));
	}
	return words.list;
}
