/*
 * Every directory of tests/units-broken/ is a search path whose root.supervisor is loaded. What the
 * load says must be the file `expected`, line by line; the directory's own path is left out of it,
 * and what is said of directives without effect. With PIN=1 in the environment the files are
 * written instead: read the difference before keeping it.
 */
#include <dirent.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/str.h"
#include "unit/unit.h"

#define BROKEN_MIN 190

/* Appends a text with all occurrences of `dir` taken out. */
static void put_without(FILE *out, const char *text, const char *dir)
{
	size_t length = strlen(dir);
	const char *found;
	while ((found = strstr(text, dir)) != NULL) {
		fprintf(out, "%.*s", (int)(found - text), text);
		text = found + length;
		if (*text == '/') {
			text++;
		} else {
			fputs("DIR", out);
		}
	}
	fputs(text, out);
}

/* What has no effect yet changes with each version, and is not what these trees are about. */
static bool is_about_version(const char *text)
{
	return str_ends(text, "= is not honoured by this version") ||
	       str_ends(text, "= are not honoured by this version");
}

static char *load_and_print(const char *dir)
{
	const char *const dirs[] = {dir, NULL};
	const struct unit_search search = {.dirs = dirs};
	struct unit_messages messages = {0};
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);
	assert_non_null(out);
	struct unit_set *set =
		unit_set_load(&search, &unit_source_disk, "root.supervisor", &messages);
	uint32_t errors = 0;
	for (uint32_t i = 0; i < messages.count; i++) {
		bool error = messages.list[i].severity == UNIT_ERROR;
		errors += error;
		if (is_about_version(messages.list[i].text)) {
			continue;
		}
		fputs(error ? "error: " : "warning: ", out);
		put_without(out, messages.list[i].text, dir);
		fputc('\n', out);
	}
	fclose(out);
	assert_int_equal(errors, messages.errors);
	/* Nothing of a broken tree may be started. */
	assert_int_equal(set == NULL, errors > 0);
	unit_set_destroy(set);
	unit_messages_finish(&messages);
	return text;
}

static char *read_expected(const char *path)
{
	char *text = NULL;
	size_t size = 0;
	if (unit_source_disk.read_file(&unit_source_disk, path, &text, &size) < 0) {
		return NULL;
	}
	return text;
}

static bool check_one(const char *dir)
{
	char path[PATH_MAX + 512];
	snprintf(path, sizeof(path), "%s/expected", dir);
	char *text = load_and_print(dir);
	if (getenv("PIN") != NULL) {
		FILE *out = fopen(path, "w");
		assert_non_null(out);
		fputs(text, out);
		fclose(out);
	}
	char *expected = read_expected(path);
	bool same = expected != NULL && strcmp(text, expected) == 0 && text[0] != '\0';
	if (!same) {
		print_error("%s\nsays:\n%sexpected:\n%s\n", dir, text,
			expected != NULL ? expected : "(no file)\n");
	}
	free(text);
	free(expected);
	return same;
}

static int is_case(const struct dirent *entry)
{
	return entry->d_name[0] >= '0' && entry->d_name[0] <= '9';
}

static void test_all(void **state)
{
	(void)state;
	char top[PATH_MAX];
	struct dirent **names;
	assert_non_null(realpath("tests/units-broken", top));
	int count = scandir(top, &names, is_case, alphasort);
	int failed = 0;
	assert_true(count >= BROKEN_MIN);
	for (int i = 0; i < count; i++) {
		char dir[PATH_MAX + 256];
		snprintf(dir, sizeof(dir), "%s/%s", top, names[i]->d_name);
		failed += !check_one(dir);
		free(names[i]);
	}
	free(names);
	print_message("%d broken trees\n", count);
	assert_int_equal(failed, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_all)};
	return cmocka_run_group_tests_name("unit: broken files and trees", tests, NULL, NULL);
}
