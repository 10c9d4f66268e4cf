/* Recording what a load read, and doing the same load again from the record. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "unit/unit.h"
#include "unit/unit/texts.h"

static const char *const dirs[] = {"/e", "/none", NULL};
static const struct unit_search search = {.dirs = dirs};

static const char *const before[][2] = {
	{"/e/a.service", "[Service]\nExecStart=/bin/a\n"},
	{"/e/a.service.d/x.conf", "[Service]\nNice=3\n"},
	{"/e/root.supervisor", "[Supervisor]\nChildren=a\nTemplate=\n"},
	{"/e/w@.service", "[Service]\nExecStart=/bin/w %H\n"},
	{NULL, NULL},
};
static const char *const after[][2] = {
	{"/e/a.service", "[Service]\nExecStart=/bin/other\n"},
	{"/e/root.supervisor", "garbage\n"},
	{"/e/new.service", "[Service]\nExecStart=/bin/new\n"},
	{NULL, NULL},
};

static void check_load(struct unit_source *source)
{
	struct unit_messages messages = {0};
	struct unit_set *set = unit_set_load(&search, source, "root.supervisor", &messages);
	assert_non_null(set);
	struct unit *a = unit_set_find(set, "a");
	assert_string_equal(a->service->commands[UNIT_START].list[0].path, "/bin/a");
	assert_int_equal(a->service->nice, 3);
	unit_set_destroy(set);
	unit_messages_finish(&messages);
}

static void test_record_and_play(void **state)
{
	struct texts texts = {before, 0, 0};
	struct unit_source source = texts_source(&texts);
	struct unit_bundle *bundle = unit_bundle_create(&source);
	(void)state;
	check_load(unit_bundle_source(bundle));
	/* The disk changes; the bundle's generation does not. */
	texts.list = after;
	check_load(unit_bundle_source(bundle));
	void *data;
	size_t size;
	assert_int_equal(unit_bundle_encode(bundle, &data, &size), 0);
	unit_bundle_destroy(bundle);
	struct unit_bundle *player = unit_bundle_decode(data, size);
	assert_non_null(player);
	check_load(unit_bundle_source(player));
	/* Encoding what was decoded gives the same bytes. */
	void *again;
	size_t again_size;
	assert_int_equal(unit_bundle_encode(player, &again, &again_size), 0);
	assert_int_equal(again_size, size);
	assert_memory_equal(again, data, size);
	/* A player knows nothing else, until it is given something below. */
	struct unit_source *played = unit_bundle_source(player);
	char *text;
	size_t length;
	assert_int_equal(played->read_file(played, "/e/new.service", &text, &length), -ENOENT);
	unit_bundle_set_below(player, &source);
	assert_int_equal(played->read_file(played, "/e/new.service", &text, &length), 0);
	assert_string_equal(text, after[2][1]);
	free(text);
	unit_bundle_destroy(player);
	unit_bundle_destroy(NULL);
	free(data);
	free(again);
}

/* Each byte changed, each length: refused, never a crash. */
static void test_damage(void **state)
{
	struct texts texts = {before, 0, 0};
	struct unit_source source = texts_source(&texts);
	struct unit_bundle *bundle = unit_bundle_create(&source);
	unsigned char *data;
	size_t size;
	(void)state;
	check_load(unit_bundle_source(bundle));
	assert_int_equal(unit_bundle_encode(bundle, (void **)&data, &size), 0);
	unit_bundle_destroy(bundle);
	for (size_t i = 0; i < size; i++) {
		unsigned char *copy = malloc(size);
		memcpy(copy, data, size);
		copy[i] ^= 0x21;
		assert_null(unit_bundle_decode(copy, size));
		free(copy);
		copy = malloc(i + 1); /* of its true size, so that a read beyond it is seen */
		memcpy(copy, data, i);
		assert_null(unit_bundle_decode(copy, i));
		free(copy);
	}
	free(data);
}

static void note_name(void *context, const char *name)
{
	strcat(context, name);
	strcat(context, " ");
}

static void test_disk(void **state)
{
	struct unit_source *disk = &unit_source_disk;
	char dir[] = "/tmp/coppice-test-XXXXXX";
	char path[64];
	char names[128] = "";
	char *text;
	size_t size;
	(void)state;
	assert_non_null(mkdtemp(dir));
	for (int i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "%s/%c", dir, "bA_"[i]);
		int fd = open(path, O_WRONLY | O_CREAT, 0644);
		assert_int_equal(write(fd, "hello", (size_t)i), i);
		close(fd);
	}
	assert_int_equal(disk->list_dir(disk, dir, note_name, names), 0);
	assert_string_equal(names, "A _ b ");
	assert_int_equal(disk->read_file(disk, path, &text, &size), 0);
	assert_int_equal(size, 2);
	assert_string_equal(text, "he");
	free(text);
	assert_int_equal(disk->read_file(disk, dir, &text, &size), -EISDIR);
	assert_int_equal(disk->list_dir(disk, path, note_name, names), -ENOTDIR);
	assert_int_equal(disk->read_file(disk, "/dev/null", &text, &size), 0);
	assert_int_equal(size, 0);
	free(text);
	assert_int_equal(disk->read_file(disk, "/dev/zero", &text, &size), -EINVAL);
	assert_int_equal(truncate(path, 17 << 20), 0);
	assert_int_equal(disk->read_file(disk, path, &text, &size), -EFBIG);
	/* A pipe nobody writes to must not hold up the load. */
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(disk->read_file(disk, path, &text, &size), -EINVAL);
	assert_int_equal(disk->read_file(disk, "/nowhere/x", &text, &size), -ENOENT);
	for (int i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "%s/%c", dir, "bA_"[i]);
		unlink(path);
	}
	rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_record_and_play),
		cmocka_unit_test(test_damage),
		cmocka_unit_test(test_disk),
	};
	return cmocka_run_group_tests_name("unit: sources and bundles", tests, NULL, NULL);
}
