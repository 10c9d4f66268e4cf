/*
 * What coppice-exec sets up for a service, as the list `confine` has it: systemd.exec(5). Values
 * are judged here and written in one canonical way; what they do is not this room's matter.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/names.h"
#include "base/str.h"
#include "unit/confine.h"
#include "unit/parse.h"
#include "unit/word.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* --- the list --- */

const char *confine_key(const struct parse *p)
{
	static const char *const old[][2] = {
		{"ReadWriteDirectories", "ReadWritePaths"},
		{"ReadOnlyDirectories", "ReadOnlyPaths"},
		{"InaccessibleDirectories", "InaccessiblePaths"},
	};
	const char *key = p->line->text.key;
	for (size_t i = 0; i < COUNT(old); i++) {
		if (strcmp(key, old[i][0]) == 0) {
			return old[i][1];
		}
	}
	return key;
}

int confine_remove(struct parse *p)
{
	struct unit_service *service = p->unit->service;
	const char *const *old = service->confine;
	const char *key = confine_key(p);
	size_t length = strlen(key);
	service->confine = NULL;
	for (; old != NULL && *old != NULL; old++) {
		if (!str_starts(*old, key) || (*old)[length] != '=') {
			int r = parse_append(p, &service->confine, *old);
			if (r < 0) {
				return r;
			}
		}
	}
	return 0;
}

int confine_add(struct parse *p, const char *value)
{
	const char *whole = arena_printf(p->arena, "%s=%s", confine_key(p), value);
	return whole == NULL ? -ENOMEM : parse_append(p, &p->unit->service->confine, whole);
}

int confine_put(struct parse *p, const char *value)
{
	int r = confine_remove(p);
	return r < 0 ? r : confine_add(p, value);
}

/* A word that would not survive being split at blanks stands in quotes. */
static size_t confine_put_word(char *to, const char *word)
{
	bool quote = word[0] == '\0' || strpbrk(word, " \t\n\r\"'\\") != NULL;
	char *at = to;
	if (quote) {
		*at++ = '"';
	}
	for (; *word != '\0'; word++) {
		if (quote && (*word == '"' || *word == '\\')) {
			*at++ = '\\';
		}
		*at++ = *word;
	}
	if (quote) {
		*at++ = '"';
	}
	return (size_t)(at - to);
}

int confine_add_words(struct parse *p, const char *head, const char *const *words, char separator)
{
	size_t size = strlen(head) + 1;
	for (size_t i = 0; words != NULL && words[i] != NULL; i++) {
		size += 2 * strlen(words[i]) + 3;
	}
	char *text = arena_alloc(p->arena, size);
	if (text == NULL) {
		return -ENOMEM;
	}
	size_t length = strlen(head);
	memcpy(text, head, length);
	for (size_t i = 0; words != NULL && words[i] != NULL; i++) {
		if (i > 0) {
			text[length++] = separator;
		}
		length += confine_put_word(text + length, words[i]);
	}
	text[length] = '\0';
	return confine_add(p, text);
}

/* --- booleans and words --- */

int parse_confine_boolean(struct parse *p, const char *value, void *field)
{
	(void)field;
	if (value[0] == '\0') {
		return confine_remove(p);
	}
	int truth = str_bool(value);
	return truth < 0 ? parse_refuse(p, 0, value) : confine_put(p, truth > 0 ? "yes" : "no");
}

int parse_dynamic_user(struct parse *p, const char *value, void *field)
{
	bool *out = field;
	int r = parse_confine_boolean(p, value, NULL);
	if (r == 0) {
		*out = value[0] != '\0' && str_bool(value) > 0;
	}
	return r;
}

/* Words of which one is chosen; with `boolean`, yes and no besides. */
static const struct confine_choice {
	const char *key;
	bool boolean;
	const char *words[8];
} confine_choices[] = {
	{"CPUSchedulingPolicy", false, {"other", "batch", "idle", "fifo", "rr"}},
	{"IOSchedulingClass", false, {"none", "realtime", "best-effort", "idle"}},
	{"KeyringMode", false, {"inherit", "private", "shared"}},
	{"MountFlags", false, {"shared", "slave", "private"}},
	{"NUMAPolicy", false, {"default", "preferred", "bind", "interleave", "local"}},
	{"Personality", false, {"x86", "x86-64", "arm64", "ppc64", "ppc64-le", "s390", "s390x"}},
	{"PrivateTmp", true, {"disconnected"}},
	{"PrivateUsers", true, {"self", "identity", "full"}},
	{"ProcSubset", false, {"all", "pid"}},
	{"ProtectControlGroups", true, {"private", "strict"}},
	{"ProtectHome", true, {"read-only", "tmpfs"}},
	{"ProtectHostname", true, {"private"}},
	{"ProtectProc", false, {"default", "noaccess", "invisible", "ptraceable"}},
	{"ProtectSystem", true, {"full", "strict"}},
};

int parse_confine_choice(struct parse *p, const char *value, void *field)
{
	const struct confine_choice *choice = confine_choices;
	const char *key = confine_key(p);
	(void)field;
	if (value[0] == '\0') {
		return confine_remove(p);
	}
	while (strcmp(choice->key, key) != 0) {
		choice++;
	}
	int truth = choice->boolean ? str_bool(value) : -EINVAL;
	if (truth >= 0) {
		return confine_put(p, truth > 0 ? "yes" : "no");
	}
	/* ionice(1) counts the classes. */
	if (strcmp(key, "IOSchedulingClass") == 0 && value[0] >= '0' && value[0] <= '3' &&
		value[1] == '\0') {
		return confine_put(p, choice->words[value[0] - '0']);
	}
	int i = parse_choose(p, choice->words, value);
	return i < 0 ? i : confine_put(p, choice->words[i]);
}

int parse_confine_text(struct parse *p, const char *value, void *field)
{
	const char *text;
	bool judge;
	(void)field;
	if (value[0] == '\0') {
		return confine_remove(p);
	}
	int r = parse_expand(p, value, 0, &text, &judge);
	return r < 0 ? r : confine_put(p, text);
}

/* --- numbers --- */

int parse_confine_number(struct parse *p, const char *value, void *field)
{
	uint64_t number;
	uint64_t max = strcmp(confine_key(p), "IOSchedulingPriority") == 0 ? 7 : 99;
	(void)field;
	if (value[0] == '\0') {
		return confine_remove(p);
	}
	return str_u64(value, 0, max, &number) < 0 ? parse_refuse(p, 0, value)
						   : confine_put(p, value);
}

int parse_confine_nanoseconds(struct parse *p, const char *value, void *field)
{
	char text[32];
	uint64_t span;
	(void)field;
	if (value[0] == '\0') {
		return confine_remove(p);
	}
	if (span_parse(value, 1, &span) < 0 || span == SPAN_INFINITY) {
		return parse_refuse(p, 0, value);
	}
	snprintf(text, sizeof(text), "%llu", (unsigned long long)span);
	return confine_put(p, text);
}

/* "0-3,5". */
bool parse_is_ranges(const char *text)
{
	uint64_t first;
	uint64_t last;
	char part[16];
	while (*text != '\0') {
		size_t length = strcspn(text, ",");
		if (length >= sizeof(part)) {
			return false;
		}
		memcpy(part, text, length);
		part[length] = '\0';
		char *dash = strchr(part, '-');
		if (dash != NULL) {
			*dash = '\0';
		}
		if (length > 0 &&
			(str_u64(part, 0, 8191, &first) < 0 ||
				(dash != NULL && str_u64(dash + 1, first, 8191, &last) < 0))) {
			return false;
		}
		text += length + (text[length] == ',');
	}
	return true;
}

static const char *confine_trim_commas(struct parse *p, const char *text)
{
	size_t begin = strspn(text, ",");
	size_t length = strlen(text);
	while (length > begin && text[length - 1] == ',') {
		length--;
	}
	return arena_strndup(p->arena, text + begin, length - begin);
}

int parse_confine_cpus(struct parse *p, const char *value, void *field)
{
	const char *special = strcmp(confine_key(p), "NUMAMask") == 0 ? "all" : "numa";
	const char *const *words = NULL;
	struct word word;
	size_t at = 0;
	int r;
	(void)field;
	if (value[0] == '\0') {
		return confine_remove(p);
	}
	if (strcmp(value, special) == 0) {
		return confine_put(p, special);
	}
	while ((r = parse_next_word(p, value, &at, 0, &word)) > 0) {
		if (!parse_is_ranges(word.text)) {
			return parse_refuse(p, word.offset, word.text);
		}
		const char *text = confine_trim_commas(p, word.text);
		r = text == NULL ? -ENOMEM : text[0] == '\0' ? 0 : parse_append(p, &words, text);
		if (r < 0) {
			return r;
		}
	}
	return r < 0 ? r : confine_add_words(p, "", words, ',');
}
