/* Conditions of units, on files that are made here. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "manager/manager.h"

static char dir[] = "/tmp/coppice-conditions-XXXXXX";

static void make_file(const char *name, const char *text, mode_t mode)
{
	char path[128];
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	int fd = open(path, O_CREAT | O_WRONLY, mode);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

static int setup(void **state)
{
	char path[128];
	(void)state;
	assert_non_null(mkdtemp(dir));
	make_file("full", "text", 0600);
	make_file("empty", "", 0600);
	make_file("program", "#!", 0700);
	snprintf(path, sizeof(path), "%s/hollow", dir);
	mkdir(path, 0700);
	snprintf(path, sizeof(path), "%s/link", dir);
	return symlink("full", path);
}

static int teardown(void **state)
{
	static const char *const names[] = {"full", "empty", "program", "hollow", "link"};
	char path[128];
	(void)state;
	for (size_t i = 0; i < 5; i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		remove(path);
	}
	return rmdir(dir);
}

/* '@' stands for the directory. */
static bool holds(const char *first, const char *second)
{
	static char texts[2][256];
	const char *const given[] = {first, second};
	const char *list[3] = {NULL};
	for (int i = 0; i < 2 && given[i] != NULL; i++) {
		const char *at = strchr(given[i], '@');
		size_t before = at == NULL ? strlen(given[i]) : (size_t)(at - given[i]);
		snprintf(texts[i], sizeof(texts[i]), "%.*s%s%s", (int)before, given[i],
			at != NULL ? dir : "", at != NULL ? at + 1 : "");
		list[i] = texts[i];
	}
	struct unit unit = {.conditions = list};
	return conditions_hold(&unit);
}

static void test_each_kind(void **state)
{
	(void)state;
	assert_true(holds("ConditionPathExists=@/full", NULL));
	assert_false(holds("ConditionPathExists=@/nothing", NULL));
	assert_true(holds("ConditionPathIsDirectory=@/hollow", NULL));
	assert_false(holds("ConditionPathIsDirectory=@/full", NULL));
	assert_true(holds("ConditionPathIsSymbolicLink=@/link", NULL));
	assert_false(holds("ConditionPathIsSymbolicLink=@/full", NULL));
	assert_true(holds("ConditionPathIsMountPoint=/proc", NULL));
	assert_false(holds("ConditionPathIsMountPoint=@", NULL));
	assert_true(holds("ConditionFileNotEmpty=@/full", NULL));
	assert_false(holds("ConditionFileNotEmpty=@/empty", NULL));
	assert_true(holds("ConditionFileIsExecutable=@/program", NULL));
	assert_false(holds("ConditionFileIsExecutable=@/full", NULL));
	assert_true(holds("ConditionDirectoryNotEmpty=@", NULL));
	assert_false(holds("ConditionDirectoryNotEmpty=@/hollow", NULL));
}

static void test_signs(void **state)
{
	(void)state;
	assert_false(holds("ConditionPathExists=!@/full", NULL));
	assert_true(holds("ConditionPathExists=!@/nothing", NULL));
	/* All without a bar, and one of those with it. */
	assert_false(holds("ConditionPathExists=@/full", "ConditionPathExists=@/nothing"));
	assert_true(holds("ConditionPathExists=|@/full", "ConditionPathExists=|@/nothing"));
	assert_false(holds("ConditionPathExists=|@/nothing", "ConditionPathExists=|!@/full"));
	assert_false(holds("ConditionPathExists=|@/full", "ConditionPathExists=@/nothing"));
	assert_true(holds("ConditionPathExists=|!@/nothing", "ConditionPathExists=@/full"));
}

static void test_what_is_not_known_holds(void **state)
{
	(void)state;
	assert_true(holds(NULL, NULL));
	assert_true(holds("ConditionVirtualization=yes", NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_kind),
		cmocka_unit_test(test_signs),
		cmocka_unit_test(test_what_is_not_known_holds),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
