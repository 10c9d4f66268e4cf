/*
 * Random files: whatever stands in them, the load ends, gives a set or an error, and never both.
 * The seed is printed; SEED= and RUNS= in the environment repeat or lengthen a run. Under the
 * sanitizers this is where wrong memory shows.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "unit/unit.h"
#include "unit/unit/texts.h"

#define TEXT_MAX 4096

static uint64_t random_state;

static uint32_t random_below(uint32_t bound)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (uint32_t)((random_state >> 32) % bound);
}

struct text {
	char data[TEXT_MAX];
	size_t size;
};

static void put(struct text *text, const char *piece, size_t length)
{
	if (text->size + length < TEXT_MAX) {
		memcpy(text->data + text->size, piece, length);
		text->size += length;
	}
}

static void put_string(struct text *text, const char *piece)
{
	put(text, piece, strlen(piece));
}

static void put_value(struct text *text)
{
	static const char *const pieces[] = {" ", "\\", "\"", "'", ";", " ; ", "%", "%i", "%I",
		"%n", "%h", "$A", "${B}", "-", "@", "!", "+", ":", "/bin/true", "x", "=", "a=b",
		"1", "0", "65535", "-1", "5s", "infinity", "yes", "no", "permanent", "simple",
		"oneshot", "\\\n", "\\x41", "\\u", "\t", "\xc3\xa4", "\xff", "\x01", "#", "a@1",
		"a@.service", "b.supervisor", "root.supervisor", "c", "78: stop", "oom", ",",
		"file:", "fd:", "cooldown:", "brutal-kill", "1:2", "[", "]", "{", "10-20",
		"SIGTERM", "one-for-all", "/x", "~", "CAP_KILL", "@swap", "AF_UNIX", "user", "open",
		":EPERM", "50%", "0-3", "http://", "[::1]", ":80", "/dev/x ", "M", "restart",
		"0700", "s.socket", "t.target"};
	uint32_t count = random_below(6);
	for (uint32_t i = 0; i < count; i++) {
		put_string(text, pieces[random_below(sizeof(pieces) / sizeof(pieces[0]))]);
	}
}

static void put_line(struct text *text)
{
	static const char *const sections[] = {"[Unit]", "[Service]", "[Supervisor]", "[Install]",
		"[Socket]", "[Health]", "[X-a]", "[", "[]", "[Foo]"};
	uint32_t directives;
	const struct unit_directive *list = unit_directives(&directives);
	switch (random_below(8)) {
	case 0:
		put_string(text, sections[random_below(sizeof(sections) / sizeof(sections[0]))]);
		break;
	case 1:
		for (uint32_t i = random_below(20); i > 0; i--) {
			char byte = (char)random_below(256);
			put(text, &byte, 1);
		}
		break;
	default: {
		/* Those with an effect are wanted more often. */
		const struct unit_directive *directive;
		do {
			directive = &list[random_below(directives)];
		} while (!directive->honoured && random_below(4) != 0);
		if (random_below(2) == 0) {
			put_string(text, "[");
			put_string(text, directive->section);
			put_string(text, "]\n");
		}
		put_string(text, directive->key);
		put_string(text, random_below(20) == 0 ? "" : "=");
		put_value(text);
	}
	}
	put_string(text, random_below(30) == 0 ? "\r\n" : "\n");
}

#define FILES 8
static struct text fuzz_files[FILES];
static const char *const fuzz_names[FILES] = {"/e/root.supervisor", "/e/a@.service",
	"/e/a@.service.d/x.conf", "/e/b.supervisor", "/e/b.supervisor.d/y.conf", "/e/c.service",
	"/e/s.socket", "/e/t.target"};

static int fuzz_read(struct unit_source *source, const char *path, char **text, size_t *size)
{
	(void)source;
	for (int i = 0; i < FILES; i++) {
		if (strcmp(fuzz_names[i], path) == 0) {
			/* Of its true size, so that a read beyond its end is seen. */
			*size = fuzz_files[i].size;
			*text = malloc(*size + 1);
			memcpy(*text, fuzz_files[i].data, *size);
			(*text)[*size] = '\0';
			return 0;
		}
	}
	return -ENOENT;
}

static int fuzz_list(struct unit_source *source, const char *path,
	void (*each)(void *context, const char *name), void *context)
{
	struct texts texts = {(const char *const[][2]){{fuzz_names[0], ""}, {fuzz_names[1], ""},
				      {fuzz_names[2], ""}, {fuzz_names[3], ""}, {fuzz_names[4], ""},
				      {fuzz_names[5], ""}, {fuzz_names[6], ""}, {fuzz_names[7], ""},
				      {NULL, NULL}},
		0, 0};
	struct unit_source inner = texts_source(&texts);
	(void)source;
	return inner.list_dir(&inner, path, each, context);
}

static void make_files(void)
{
	static const char *const heads[FILES] = {
		"[Supervisor]\nChildren=a@1 b.supervisor s.socket t.target\n",
		"[Service]\nExecStart=/bin/true\n", "[Service]\n", "[Supervisor]\nChildren=c\n",
		"[Supervisor]\n", "[Service]\nExecStart=/bin/true\n", "[Socket]\nListenStream=1\n",
		"[Unit]\n"};
	for (int i = 0; i < FILES; i++) {
		fuzz_files[i].size = 0;
		if (random_below(8) != 0) {
			put_string(&fuzz_files[i], heads[i]);
		}
		/* Most files have few bad lines, so that some trees get through. */
		for (uint32_t lines = random_below(3) * random_below(3); lines > 0; lines--) {
			put_line(&fuzz_files[i]);
		}
	}
}

static bool run_once(void)
{
	static const char *const dirs[] = {"/e", NULL};
	const struct unit_search search = {.dirs = dirs};
	struct unit_source source = {fuzz_read, fuzz_list, NULL};
	struct unit_messages messages = {0};
	make_files();
	struct unit_set *set = unit_set_load(&search, &source, "root.supervisor", &messages);
	bool good = set != NULL;
	assert_int_equal(good, messages.errors == 0);
	for (uint32_t i = 0; good && i < set->count; i++) {
		assert_int_equal(set->list[i]->index, i);
		assert_ptr_equal(unit_set_find(set, set->list[i]->name), set->list[i]);
		assert_true(i == 0 || set->list[i]->parent->index < i);
	}
	for (uint32_t i = 0; i < messages.count; i++) {
		assert_null(strpbrk(messages.list[i].text, "\n\r\x1b"));
	}
	unit_set_destroy(set);
	unit_messages_finish(&messages);
	return good;
}

static void test_random(void **state)
{
	const char *seed = getenv("SEED");
	const char *runs = getenv("RUNS");
	long count = runs != NULL ? strtol(runs, NULL, 10) : 2000;
	long good = 0;
	(void)state;
	random_state = seed != NULL ? strtoull(seed, NULL, 10) : (uint64_t)time(NULL) * 2654435761U;
	random_state |= 1;
	print_message("SEED=%llu\n", (unsigned long long)random_state);
	for (long i = 0; i < count; i++) {
		good += run_once();
	}
	print_message("%ld trees, %ld of them good\n", count, good);
	assert_true(good > 0 && good < count);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_random)};
	return cmocka_run_group_tests_name("unit: random files", tests, NULL, NULL);
}
