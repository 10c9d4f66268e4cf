#include "control/types.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* --- reading the definition --- */

/* A word or a sign of the definition. */
struct token {
	const char *text;
	size_t length;
};

static bool is_word(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '_' || c == '.';
}

/* Takes the next token; of length 0 at the end. Comments are no tokens. */
static struct token token_next(const char **at)
{
	struct token token;

	for (;;) {
		*at += strspn(*at, " \t\r\n");
		if (**at != '#') {
			break;
		}
		*at += strcspn(*at, "\n");
	}
	token = (struct token){*at, 0};
	while (is_word((*at)[token.length])) {
		token.length++;
	}
	if (token.length == 0 && **at != '\0') {
		token.length = 1;
	}
	*at += token.length;
	return token;
}

static bool token_is(struct token token, const char *text)
{
	return token.length == strlen(text) && strncmp(token.text, text, token.length) == 0;
}

/* To behind the bracket that closes the one that was just taken. */
static void skip_brackets(const char **at)
{
	unsigned depth = 1;

	while (depth > 0) {
		struct token token = token_next(at);

		if (token.length == 0) {
			return;
		}
		depth += token_is(token, "(");
		depth -= token_is(token, ")");
	}
}

/* To behind "method NAME(". */
static bool find_method(const char **at, const char *method)
{
	struct token token = token_next(at);

	while (token.length > 0) {
		if (token_is(token, "method") && token_is(token_next(at), method)) {
			return token_is(token_next(at), "(");
		}
		if (token_is(token, "(")) {
			skip_brackets(at);
		}
		token = token_next(at);
	}
	return false;
}

/* --- types --- */

struct type {
	bool nullable, is_array, is_map;
	struct token base;
};

/* "?[]string", "[string]int", "bool", "Unit", "(a: int)". */
static struct type type_read(const char **at)
{
	struct type type = {.base = token_next(at)};

	if (token_is(type.base, "?")) {
		type.nullable = true;
		type.base = token_next(at);
	}
	if (token_is(type.base, "[")) {
		type.is_map = token_is(token_next(at), "string");
		type.is_array = !type.is_map;
		if (type.is_map) {
			(void)token_next(at); /* "]" */
		}
		type.base = token_next(at);
	}
	if (token_is(type.base, "(")) {
		skip_brackets(at);
	}
	return type;
}

static bool base_fits(struct token base, const json_t *value)
{
	if (token_is(base, "string")) {
		return json_is_string(value);
	}
	if (token_is(base, "int")) {
		return json_is_integer(value);
	}
	if (token_is(base, "bool")) {
		return json_is_boolean(value);
	}
	if (token_is(base, "float")) {
		return json_is_number(value);
	}
	return !json_is_null(value);
}

static bool type_fits(const struct type *type, json_t *value)
{
	const char *key;
	json_t *item;
	size_t i;

	if (value == NULL || json_is_null(value)) {
		return type->nullable;
	}
	if (type->is_array) {
		json_array_foreach (value, i, item) {
			if (!base_fits(type->base, item)) {
				return false;
			}
		}
		return json_is_array(value);
	}
	if (type->is_map) {
		json_object_foreach (value, key, item) {
			if (!base_fits(type->base, item)) {
				return false;
			}
		}
		return json_is_object(value);
	}
	return base_fits(type->base, value);
}

/* --- parameters --- */

/* Reads "name: type" and what parts it from the next; false behind the last one. */
static bool parameter_read(const char **at, struct token *name, struct type *type)
{
	*name = token_next(at);
	if (token_is(*name, ",")) {
		*name = token_next(at);
	}
	if (name->length == 0 || token_is(*name, ")")) {
		return false;
	}
	(void)token_next(at); /* ":" */
	*type = type_read(at);
	return true;
}

static bool is_known(const char *at, const char *key)
{
	struct token name;
	struct type type;

	while (parameter_read(&at, &name, &type)) {
		if (token_is(name, key)) {
			return true;
		}
	}
	return false;
}

const char *types_find_wrong(const char *definition, const char *method, const json_t *parameters,
	char *out, size_t size)
{
	const char *at = definition, *first, *key;
	struct token name;
	struct type type;
	json_t *value;

	if (!find_method(&at, method)) {
		return NULL;
	}
	first = at;
	while (parameter_read(&at, &name, &type)) {
		(void)snprintf(out, size, "%.*s", (int)name.length, name.text);
		if (!type_fits(&type, json_object_get(parameters, out))) {
			return out;
		}
	}
	json_object_foreach ((json_t *)parameters, key, value) {
		if (!is_known(first, key)) {
			(void)snprintf(out, size, "%s", key);
			return out;
		}
	}
	return NULL;
}
