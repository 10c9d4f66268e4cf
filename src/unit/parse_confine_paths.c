/* Paths that a service sees in other ways than the rest, and credentials: systemd.exec(5). */
#include <errno.h>
#include <string.h>

#include "base/str.h"
#include "unit/confine.h"
#include "unit/word.h"

/* --- paths --- */

/* An absolute path without "..": systemd takes no other. */
static bool path_is_good(const char *path, size_t length)
{
	if (length == 0 || path[0] != '/') {
		return false;
	}
	for (size_t i = 0; i + 2 < length; i++) {
		bool end = i + 3 == length || path[i + 3] == '/';
		if (path[i] == '/' && path[i + 1] == '.' && path[i + 2] == '.' && end) {
			return false;
		}
	}
	return true;
}

static int path_check(struct parse *p, size_t offset, const char *path, size_t length)
{
	char buf[MESSAGE_WORD_SIZE];
	if (path_is_good(path, length)) {
		return 0;
	}
	char *copy = arena_strndup(p->arena, path, length);
	if (copy == NULL) {
		return -ENOMEM;
	}
	return parse_refuse_why(p, offset, "\"%s\" is not an absolute path without \"..\"",
		message_word(buf, copy));
}

typedef int path_word_check(struct parse *p, size_t offset, const char *text);

/* "-/path", "+/path", "-+/path". */
static int path_check_plain(struct parse *p, size_t offset, const char *text)
{
	size_t skip = text[0] == '-';
	skip += text[skip] == '+';
	return path_check(p, offset, text + skip, strlen(text + skip));
}

/* The length of a part that ends before a ":" without a backslash. */
static size_t path_part(const char *text)
{
	size_t i = 0;
	while (text[i] != '\0' && text[i] != ':') {
		i += text[i] == '\\' && text[i + 1] != '\0' ? 2 : 1;
	}
	return i;
}

/* "SOURCE", "SOURCE:TARGET", "SOURCE:TARGET:OPTION", with "-" in front. */
static int path_check_bind(struct parse *p, size_t offset, const char *text)
{
	text += text[0] == '-';
	size_t length = path_part(text);
	int r = path_check(p, offset, text, length);
	if (r < 0 || text[length] == '\0') {
		return r;
	}
	text += length + 1;
	length = path_part(text);
	r = length == 0 && text[0] == ':' ? 0 : path_check(p, offset, text, length);
	if (r < 0 || text[length] == '\0') {
		return r;
	}
	text += length + 1;
	if (strcmp(text, "rbind") != 0 && strcmp(text, "norbind") != 0 && text[0] != '\0') {
		return parse_refuse_why(
			p, offset, "\"%s\" is no option: expected rbind or norbind", text);
	}
	return 0;
}

/* "PATH", "PATH:OPTIONS". */
static int path_check_tmpfs(struct parse *p, size_t offset, const char *text)
{
	return path_check(p, offset, text, path_part(text));
}

static int parse_path_words(
	struct parse *p, const char *value, path_word_check *check, unsigned flags)
{
	const char *const *words = NULL;
	struct word word;
	size_t at = 0;
	int r;
	if (value[0] == '\0') {
		return confine_remove(p);
	}
	while ((r = parse_next_word(p, value, &at, flags, &word)) > 0) {
		const char *text;
		bool judge = true;
		r = parse_keep_word(p, &word, &text, &judge);
		if (r == 0 && judge) {
			r = check(p, word.offset, text);
		}
		if (r == 0) {
			r = parse_append(p, &words, text);
		}
		if (r < 0 && !parse_list_goes_on(p, r)) {
			return r;
		}
	}
	return r < 0 || words == NULL ? r : confine_add_words(p, "", words, ' ');
}

int parse_confine_paths(struct parse *p, const char *value, void *field)
{
	(void)field;
	return parse_path_words(p, value, path_check_plain, 0);
}

int parse_confine_binds(struct parse *p, const char *value, void *field)
{
	(void)field;
	return parse_path_words(p, value, path_check_bind, WORD_RETAIN_ESCAPE);
}

int parse_confine_tmpfs(struct parse *p, const char *value, void *field)
{
	(void)field;
	return parse_path_words(p, value, path_check_tmpfs, WORD_RETAIN_ESCAPE);
}

int parse_confine_path(struct parse *p, const char *value, void *field)
{
	const char *path;
	bool judge = true;
	(void)field;
	if (value[0] == '\0') {
		return confine_remove(p);
	}
	int r = parse_expand(p, value, 0, &path, &judge);
	if (r == 0 && judge) {
		r = path_check(p, 0, path, strlen(path));
	}
	return r < 0 ? r : confine_put(p, path);
}

/* --- credentials --- */

/* The length of the name in front of a ":"; 0 when it can be no name of a file. */
static size_t credential_name(const char *text)
{
	size_t length = strcspn(text, ":");
	bool dots = (length == 1 && text[0] == '.') || (length == 2 && memcmp(text, "..", 2) == 0);
	if (length > 255 || dots || memchr(text, '/', length) != NULL) {
		return 0;
	}
	return length;
}

int parse_load_credential(struct parse *p, const char *value, void *field)
{
	const char *text;
	bool judge = true;
	(void)field;
	if (value[0] == '\0') {
		return confine_remove(p);
	}
	int r = parse_expand(p, value, 0, &text, &judge);
	if (r < 0) {
		return r;
	}
	size_t length = credential_name(text);
	if (judge && (length == 0 || strcmp(text + length, ":") == 0)) {
		return parse_refuse(p, 0, text);
	}
	return confine_add(p, text);
}

/* A later one of the same name takes the place of the earlier. */
static int credential_forget(struct parse *p, const char *name, size_t length)
{
	struct unit_service *service = p->unit->service;
	const char *const *old = service->credentials_set;
	service->credentials_set = NULL;
	for (; old != NULL && *old != NULL; old++) {
		if (strncmp(*old, name, length + 1) != 0) {
			int r = parse_append(p, &service->credentials_set, *old);
			if (r < 0) {
				return r;
			}
		}
	}
	return 0;
}

int parse_set_credential(struct parse *p, const char *value, void *field)
{
	const char *const **list = field;
	const char *name;
	const char *wrong = NULL;
	bool judge;
	if (value[0] == '\0') {
		*list = NULL;
		return 0;
	}
	size_t length = strcspn(value, ":");
	char *head = arena_strndup(p->arena, value, length);
	int r = head == NULL ? -ENOMEM : parse_expand(p, head, 0, &name, &judge);
	if (r < 0) {
		return r;
	}
	if (value[length] == '\0' || credential_name(name) == 0 || strchr(name, ':') != NULL) {
		return parse_refuse(p, 0, value);
	}
	char *bytes = arena_strdup(p->arena, value + length + 1);
	if (bytes == NULL) {
		return -ENOMEM;
	}
	word_unescape(bytes, &wrong);
	if (wrong != NULL) {
		return parse_refuse_why(p, (size_t)(length + 1), "there is an escape that is none");
	}
	const char *whole = arena_printf(p->arena, "%s:%s", name, bytes);
	r = whole == NULL ? -ENOMEM : credential_forget(p, whole, strlen(name));
	return r < 0 ? r : parse_append(p, list, whole);
}
