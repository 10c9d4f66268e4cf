#include "unit/name.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"

static const struct {
	const char *suffix;
	enum unit_kind kind;
} name_kinds[] = {
	{".service", UNIT_SERVICE},
	{".supervisor", UNIT_SUPERVISOR},
	{".socket", UNIT_SOCKET},
	{".timer", UNIT_TIMER},
	{".target", UNIT_TARGET},
	{".path", UNIT_OTHER},
	{".mount", UNIT_OTHER},
	{".automount", UNIT_OTHER},
	{".swap", UNIT_OTHER},
	{".device", UNIT_OTHER},
	{".slice", UNIT_OTHER},
	{".scope", UNIT_OTHER},
};
#define KINDS (sizeof(name_kinds) / sizeof(name_kinds[0]))

const char *name_dot(const char *name)
{
	return strrchr(name, '.');
}

const char *name_at(const char *name)
{
	return strchr(name, '@');
}

int name_kind(const char *name)
{
	const char *dot = name_dot(name);
	for (size_t i = 0; dot != NULL && i < KINDS; i++) {
		if (strcmp(dot, name_kinds[i].suffix) == 0) {
			return (int)name_kinds[i].kind;
		}
	}
	return -EINVAL;
}

const char *name_suffix(enum unit_kind kind)
{
	for (size_t i = 0; i < KINDS; i++) {
		if (name_kinds[i].kind == kind) {
			return name_kinds[i].suffix;
		}
	}
	return "";
}

static bool name_is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == ':' || c == '-' || c == '_' || c == '.' || c == '\\';
}

bool name_is_valid(const char *name)
{
	const char *dot = name_dot(name);
	const char *at = name_at(name);
	size_t length = strlen(name);
	if (length >= UNIT_NAME_SIZE || name_kind(name) < 0 || dot == name || at == name) {
		return false;
	}
	if (at != NULL && at > dot) {
		return false;
	}
	for (const char *c = name; c < dot; c++) {
		/* One '@' divides; further ones belong to the instance. */
		if (!name_is_letter(*c) && *c != '@') {
			return false;
		}
	}
	return true;
}

bool name_is_template(const char *name)
{
	const char *at = name_at(name);
	return at != NULL && at + 1 == name_dot(name);
}

bool name_is_instance(const char *name)
{
	const char *at = name_at(name);
	return at != NULL && at + 1 != name_dot(name);
}

void name_to_template(const char *name, char out[UNIT_NAME_SIZE])
{
	const char *at = name_at(name);
	snprintf(out, UNIT_NAME_SIZE, "%.*s%s", (int)(at + 1 - name), name, name_dot(name));
}

bool name_with_instance(const char *template, const char *instance, char out[UNIT_NAME_SIZE])
{
	const char *at = name_at(template);
	int length = snprintf(out, UNIT_NAME_SIZE, "%.*s%s%s", (int)(at + 1 - template), template,
		instance, name_dot(template));
	return length > 0 && length < UNIT_NAME_SIZE;
}

static int name_hex(char c)
{
	if (c >= '0' && c <= '9') {
		return c - '0';
	}
	if (c >= 'a' && c <= 'f') {
		return c - 'a' + 10;
	}
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

void name_unescape(const char *text, char *out)
{
	for (; *text != '\0'; text++) {
		if (*text == '-') {
			*out++ = '/';
		} else if (text[0] == '\\' && text[1] == 'x' && name_hex(text[2]) >= 0 &&
			   name_hex(text[3]) >= 0 && (text[2] != '0' || text[3] != '0')) {
			*out++ = (char)(name_hex(text[2]) << 4 | name_hex(text[3]));
			text += 3;
		} else {
			*out++ = *text;
		}
	}
	*out = '\0';
}

int unit_name_normalize(const char *name, char *out, size_t size)
{
	char whole[UNIT_NAME_SIZE];
	const char *suffix = "";
	/* Behind an '@', dots belong to the instance ("worker@10.0.0.1"). */
	if (name_kind(name) < 0 && (name_dot(name) == NULL || name_at(name) != NULL)) {
		suffix = ".service";
	}
	int length = snprintf(whole, sizeof(whole), "%s%s", name, suffix);
	if (length < 0 || (size_t)length >= sizeof(whole) || !name_is_valid(whole)) {
		return -EINVAL;
	}
	return str_copy(out, size, whole) ? 0 : -EINVAL;
}
