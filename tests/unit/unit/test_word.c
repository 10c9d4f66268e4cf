/* Words, names of units, specifiers. */
#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "unit/name.h"
#include "unit/specifier.h"
#include "unit/unit.h"
#include "unit/word.h"
#include "unit/unit/texts.h"

/* All words with "|" between them, and "!" behind one with an unknown escape. */
static void expect_words(const char *value, unsigned flags, const char *expected)
{
	struct arena arena = {0};
	char text[1024] = "";
	size_t at = 0;
	struct word word;
	int r;
	while ((r = word_next(&arena, value, &at, flags, &word)) > 0) {
		strcat(text, word.text);
		strcat(text, word.wrong != NULL ? "!" : "");
		strcat(text, "|");
	}
	if (r == -EINVAL) {
		sprintf(text + strlen(text), "unclosed at %zu", word.offset);
	}
	assert_string_equal(text, expected);
	arena_finish(&arena);
}

static void test_words(void **state)
{
	(void)state;
	expect_words("", 0, "");
	expect_words("  ", 0, "");
	expect_words("a b\tc", 0, "a|b|c|");
	expect_words("\"a b\" 'c d'", 0, "a b|c d|");
	expect_words("a\"b c\"d 'x'\"y\"", 0, "ab cd|xy|");
	expect_words("\"\" ''", 0, "||");
	expect_words("'a\"b' \"a'b\"", 0, "a\"b|a'b|");
	/* As systemd has it: what is no escape is kept, the blank too. */
	expect_words("a\\ b \\x41\\101\\u00e4\\U0001F600 \\s\\t", 0,
		"a\\ b!|AA\xc3\xa4\xf0\x9f\x98\x80| \t|");
	expect_words("\"\\\"\" '\\''", 0, "\"|'|");
	expect_words(
		"\\q \\x4 \\x00 \\000 \\ud800 x\\", 0, "\\q!|\\x4!|\\x00!|\\000!|\\ud800!|x\\!|");
	expect_words("a 'b", 0, "a|unclosed at 2");
	expect_words("a x\"b\\\"", 0, "a|unclosed at 3");
	expect_words("a\\x2db 'c\\x2d'", WORD_RETAIN_ESCAPE, "a\\x2db|c\\x2d|");
}

static void test_names(void **state)
{
	static const struct {
		const char *name, *whole;
	} good[] = {
		{"redis", "redis.service"},
		{"redis.service", "redis.service"},
		{"edge.supervisor", "edge.supervisor"},
		{"worker@1", "worker@1.service"},
		{"worker@", "worker@.service"},
		{"worker@10.0.0.1", "worker@10.0.0.1.service"},
		{"a@b.timer", "a@b.timer"},
		{"a@b@c", "a@b@c.service"},
		{"dev-disk\\x2d1.mount", "dev-disk\\x2d1.mount"},
	};
	static const char *const bad[] = {"", ".service", "@.service", "@x", "a b", "a/b", "../a",
		"a.servce", "python3.11", "\xc3\xa4", "a%i", "a*"};
	char out[UNIT_NAME_SIZE];
	char small[8];
	char long_name[300];
	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(unit_name_normalize(good[i].name, out, sizeof(out)), 0);
		assert_string_equal(out, good[i].whole);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(unit_name_normalize(bad[i], out, sizeof(out)), -EINVAL);
	}
	memset(long_name, 'a', sizeof(long_name));
	long_name[UNIT_NAME_SIZE - 1 - strlen(".service")] = '\0';
	assert_int_equal(unit_name_normalize(long_name, out, sizeof(out)), 0);
	assert_int_equal(unit_name_normalize("redis", small, sizeof(small)), -EINVAL);
	strcat(long_name, "a");
	assert_int_equal(unit_name_normalize(long_name, out, sizeof(out)), -EINVAL);
}

static void test_name_parts(void **state)
{
	char out[UNIT_NAME_SIZE];
	(void)state;
	assert_int_equal(name_kind("a.service"), UNIT_SERVICE);
	assert_int_equal(name_kind("a.supervisor"), UNIT_SUPERVISOR);
	assert_int_equal(name_kind("a.slice"), UNIT_OTHER);
	assert_int_equal(name_kind("a.conf"), -EINVAL);
	assert_true(name_is_template("w@.service"));
	assert_false(name_is_template("w@1.service"));
	assert_true(name_is_instance("w@1.service"));
	assert_false(name_is_instance("w.service"));
	name_to_template("w@a@b.service", out);
	assert_string_equal(out, "w@.service");
	assert_true(name_with_instance("w@.service", "7", out));
	assert_string_equal(out, "w@7.service");
	name_unescape("a-b\\x2dc\\xzz\\x00", out);
	assert_string_equal(out, "a/b-c\\xzz\\x00");
}

static void expand(const char *text, const char *expected, bool uses_name)
{
	static const char *const files[][2] = {
		{"/proc/sys/kernel/hostname", "host.example\n"},
		{"/proc/sys/kernel/osrelease", "6.1.2\n"},
		{"/proc/sys/kernel/random/boot_id", "01-23-ab\n"},
		{"/etc/machine-id", "abcdef\n"},
		{NULL, NULL},
	};
	struct texts texts = {files, 0, 0};
	struct unit_source source = texts_source(&texts);
	struct arena arena = {0};
	struct specifier_host host = {.source = &source, .arena = &arena};
	bool used = false;
	struct specifier_unit unit = {
		"a-b@c-d\\x2de.service", "a-b", "c-d\\x2de", "/etc/u/a-b@.service", &used};
	const char *out;
	char unknown = '\0';
	assert_int_equal(specifier_expand(&host, &unit, &arena, text, &out, &unknown), 0);
	assert_string_equal(out, expected);
	assert_int_equal(used, uses_name);
	assert_int_equal(unknown != '\0', strchr(text, '?') != NULL);
	arena_finish(&arena);
}

static void test_specifiers(void **state)
{
	char id[32];
	(void)state;
	expand("none", "none", false);
	expand("%i|%I", "c-d\\x2de|c/d-e", true);
	expand("%n", "a-b@c-d\\x2de.service", true);
	expand("%N", "a-b@c-d\\x2de", true);
	expand("%p|%P|%j", "a-b|a/b|b", false);
	expand("%f", "/c/d-e", true);
	expand("%y|%Y", "/etc/u/a-b@.service|/etc/u", false);
	expand("%t %S %C %L %E %T %V", "/run /var/lib /var/cache /var/log /etc /tmp /var/tmp",
		false);
	expand("%H %l %m %b %v", "host.example host abcdef 0123ab 6.1.2", false);
	expand("100%%", "100%", false);
	expand("100%", "100%", false);
	expand("%%i%", "%i%", false);
	expand("%z?", "%z?", false);
	snprintf(id, sizeof(id), "%u", getuid());
	expand("%U", id, false);
	expand("%u", id, false); /* no /etc/passwd here */
}

static void test_user_specifiers(void **state)
{
	char passwd[256];
	const char *files[][2] = {{"/etc/passwd", passwd}, {"/etc/group", passwd}, {NULL, NULL}};
	struct texts texts = {(const char *const(*)[2])files, 0, 0};
	struct unit_source source = texts_source(&texts);
	struct arena arena = {0};
	struct specifier_host host = {.source = &source, .arena = &arena, .user = true};
	bool used = false;
	struct specifier_unit unit = {"a.service", "a", NULL, "/a.service", &used};
	const char *out;
	char unknown = '\0';
	(void)state;
	snprintf(passwd, sizeof(passwd),
		"short:line\n#x\nother:x:99999:99999:::\njo:x:%u:%u:Jo:/home/jo:/bin/zsh\n",
		getuid(), getgid());
	setenv("XDG_RUNTIME_DIR", "/run/user/7", 1);
	setenv("XDG_CACHE_HOME", "/cache", 1);
	setenv("HOME", "/home/env", 1);
	unsetenv("XDG_STATE_HOME");
	unsetenv("XDG_CONFIG_HOME");
	assert_int_equal(specifier_expand(&host, &unit, &arena, "%u %h %s %t %C %S %L %E %i%f",
				 &out, &unknown),
		0);
	assert_string_equal(out, "jo /home/env /bin/zsh /run/user/7 /cache /home/env/.local/state "
				 "/home/env/.local/state/log /home/env/.config /a");
	arena_finish(&arena);
}

static void test_search(void **state)
{
	struct arena arena = {0};
	struct unit_search search;
	(void)state;
	assert_int_equal(unit_search_default(&arena, false, NULL, &search), 0);
	assert_string_equal(search.dirs[0], COPPICE_SYSCONFDIR "/coppice/units");
	assert_string_equal(search.dirs[1], "/run/coppice/units");
	assert_string_equal(search.systemd_dirs[0], "/etc/systemd/system");
	assert_int_equal(unit_search_default(&arena, false, "/a/:b::/a:/c", &search), 0);
	assert_string_equal(search.dirs[0], "/a");
	assert_string_equal(search.dirs[1], "b");
	assert_string_equal(search.dirs[2], "/c");
	assert_null(search.dirs[3]);
	assert_null(search.systemd_dirs[0]);
	setenv("HOME", "/home/jo", 1);
	unsetenv("XDG_CONFIG_HOME");
	assert_int_equal(unit_search_default(&arena, true, "", &search), 0);
	assert_string_equal(search.dirs[0], "/home/jo/.config/coppice/units");
	assert_true(search.user);
	setenv("XDG_CONFIG_HOME", "/conf", 1);
	assert_int_equal(unit_search_default(&arena, true, NULL, &search), 0);
	assert_string_equal(search.dirs[0], "/conf/coppice/units");
	arena_finish(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_name_parts),
		cmocka_unit_test(test_specifiers),
		cmocka_unit_test(test_user_specifiers),
		cmocka_unit_test(test_search),
	};
	return cmocka_run_group_tests_name("unit: words, names, specifiers", tests, NULL, NULL);
}
