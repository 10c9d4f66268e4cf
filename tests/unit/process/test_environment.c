#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "process/environment.h"

static struct arena arena;
static struct environment env;

static int set_up(void **state)
{
	(void)state;
	log_init("test", LOG_LEVEL_ERROR); /* lines that are ignored are warned of */
	return environment_init(&env, &arena);
}

static int tear_down(void **state)
{
	(void)state;
	arena_finish(&arena);
	return 0;
}

/* The list is what is expected, one entry a line. */
static void assert_list(const char *const *list, const char *expected)
{
	char text[4096] = "";

	for (size_t i = 0; list[i]; i++) {
		size_t used = strlen(text);

		snprintf(text + used, sizeof(text) - used, "%s%s", i ? "\n" : "", list[i]);
	}
	assert_string_equal(text, expected);
}

static void test_list(void **state)
{
	char own[] = "A=1";

	(void)state;
	assert_list(env.list, "");
	assert_int_equal(environment_put(&env, own), 0);
	own[2] = '9'; /* copied */
	assert_int_equal(environment_put(&env, "AB=2"), 0);
	assert_int_equal(environment_put(&env, "C="), 0);
	assert_list(env.list, "A=1\nAB=2\nC=");
	assert_int_equal(environment_put(&env, "A=3=3"), 0);
	assert_list(env.list, "A=3=3\nAB=2\nC=");
	assert_string_equal(environment_get(&env, "A"), "3=3");
	assert_string_equal(environment_get(&env, "C"), "");
	assert_null(environment_get(&env, "B"));
	assert_null(environment_get(&env, ""));
	assert_int_equal(environment_printf(&env, "D_%d=%s", 4, "x y"), 0);
	assert_string_equal(environment_get(&env, "D_4"), "x y");
	assert_int_equal(environment_printf(&env, "%s", "D_4=z"), 0);
	assert_string_equal(environment_get(&env, "D_4"), "z");
	environment_remove(&env, "A");
	environment_remove(&env, "nothing");
	assert_list(env.list, "AB=2\nC=\nD_4=z");
	environment_remove(&env, "D_4");
	environment_remove(&env, "AB");
	environment_remove(&env, "C");
	assert_list(env.list, "");
}

static void test_names(void **state)
{
	static const char *const wrong[] = {"", "=", "=x", "A", "1A=x", "A B=x", "A-B=x", " A=x",
		"A =x", "\xc3\xa4=x", "A.B=x"};

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		assert_int_equal(environment_put(&env, wrong[i]), -EINVAL);
		assert_int_equal(environment_printf(&env, "%s", wrong[i]), -EINVAL);
	}
	assert_int_equal(environment_put(&env, "_=x"), 0);
	assert_int_equal(environment_put(&env, "a1_B=x"), 0);
	assert_int_equal(env.count, 2);
}

static void test_list_grows(void **state)
{
	(void)state;
	for (int i = 0; i < 1000; i++) {
		assert_int_equal(environment_printf(&env, "V%d=%d", i, i), 0);
	}
	assert_int_equal(env.count, 1000);
	assert_null(env.list[1000]);
	assert_string_equal(environment_get(&env, "V0"), "0");
	assert_string_equal(environment_get(&env, "V999"), "999");
}

/* --- EnvironmentFile= --- */

struct file_case {
	const char *text, *list;
};

/* By the rules of systemd.exec(5), but where a comment says otherwise. */
static const struct file_case file_cases[] = {
	{"", ""},
	{"A=1", "A=1"},
	{"A=1\n", "A=1"},
	{"\n\n  A=1\n\tB=2  \n", "A=1\nB=2"},
	{"A=1\r\nB=2\r\n", "A=1\nB=2"},
	{"A=", "A="},
	{"A=\nB=", "A=\nB="},
	{"A = 1", "A=1"},
	{"A=1\nA=2", "A=2"},
	{"A=b c  d ", "A=b c  d"},
	{"A=b=c", "A=b=c"},
	/* comments begin at the start of a line only */
	{"# A=1\n; B=2\n  # C=3\nD=4", "D=4"},
	{"A=1 # not a comment", "A=1 # not a comment"},
	{"A=b;c", "A=b;c"},
	{"# ends with a backslash \\\nA=1", "A=1"}, /* as systemd from 254 on */
	/* double quotes */
	{"A=\"b c\"", "A=b c"},
	{"A=\" b \"", "A= b "},
	{"A=\"\"", "A="},
	{"A=\"a\\\"b\\\\c\\$d\\`e\"", "A=a\"b\\c$d`e"},
	{"A=\"a\\nb\"", "A=a\\nb"},
	{"A=\"two\nlines\"", "A=two\nlines"},
	{"A=\"joined \\\nline\"", "A=joined line"},
	{"A=\"it's\"", "A=it's"},
	{"A=\"# no comment\"", "A=# no comment"},
	/* single quotes */
	{"A='b \"c\" \\d $e'", "A=b \"c\" \\d $e"},
	{"A='two\nlines'\nB=1", "A=two\nlines\nB=1"},
	{"A='joined \\\nline'", "A=joined \\\nline"},
	/* pieces */
	{"A=\"b\"'c'", "A=bc"},
	{"A=\"b\" \"c\"", "A=bc"},
	{"A=\"b\"c", "A=bc"},
	{"A=\"b\" c d ", "A=bc d"},
	{"A=b\"c\"", "A=b\"c\""},
	{"A=don't", "A=don't"},
	/* backslashes outside of quotes */
	{"A=b\\c", "A=bc"},
	{"A=b\\\\c", "A=b\\c"},
	{"A=b\\ ", "A=b "},
	{"A=b \\\n  c", "A=b   c"},
	{"A=b\\", "A=b"},
	{"A=\\\"b\\\"", "A=\"b\""},
	/* nothing is replaced */
	{"A=$B ${C} $$", "A=$B ${C} $$"},
	/* what is no assignment is passed over */
	{"no assignment\nA=1", "A=1"},
	{"export A=1\nB=2", "B=2"},
	{"=x\nB=2", "B=2"},
	{"=\"x\nB=2", "B=2"},
	{"1A=x\nB=2", "B=2"},
	{"A-B=x\nB=2", "B=2"},
	{"export A=\"two\nB=lines\"\nC=2", "C=2"},
};

static void test_files(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(file_cases) / sizeof(file_cases[0]); i++) {
		struct err err = {""};

		assert_int_equal(environment_init(&env, &arena), 0);
		assert_int_equal(
			environment_put_file(&env, file_cases[i].text, "/etc/default/x", &err), 0);
		assert_string_equal(err.text, "");
		assert_list(env.list, file_cases[i].list);
	}
}

static void test_files_with_open_quotes(void **state)
{
	static const char *const texts[] = {
		"# first\nX=1\nA='b\nC=1\n", "\n\nA=\"b\\\"\nC=1", "\n\nA=\"b\\", "\n\nA='x'\""};
	struct err err;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		assert_int_equal(
			environment_put_file(&env, texts[i], "/etc/default/x", &err), -EINVAL);
		assert_string_equal(
			err.text, "/etc/default/x:3: the quote that begins here is not closed");
	}
	assert_null(environment_get(&env, "A"));
}

static void test_file_replaces(void **state)
{
	(void)state;
	environment_put(&env, "A=unit");
	environment_put(&env, "B=unit");
	assert_int_equal(environment_put_file(&env, "B=file\nC=file", "x", NULL), 0);
	assert_list(env.list, "A=unit\nB=file\nC=file");
}

/* --- the words of a command --- */

struct word_case {
	const char *words[6];
	const char *expected;
};

static const struct word_case word_cases[] = {
	{{"/bin/echo"}, "/bin/echo"},
	{{"e", "plain", "", "a b"}, "e\nplain\n\na b"},
	/* a word of its own is split */
	{{"e", "$ONE"}, "e\none"},
	{{"e", "$TWO", "x"}, "e\none\ntwo\nx"},
	{{"e", "$QUOTED"}, "e\na b\nc'd\ne\"f\ng'"},
	{{"e", "$EMPTY", "x"}, "e\nx"},
	{{"e", "$BLANK", "x"}, "e\nx"},
	{{"e", "$UNSET", "x"}, "e\nx"},
	{{"e", "$NULLWORD", "x"}, "e\n\nx"},
	{{"e", "$OPEN"}, "e\na b"},
	{{"e", "$BACKSLASH"}, "e\na b\n"},
	{{"e", "$DOLLARS"}, "e\n$ONE\n${ONE}\n$$"}, /* values are not looked at again */
	{{"e", "$ONE/x", "y"}, "e\ny"},             /* no such name: systemd drops the word too */
	{{"e", "$1", "y"}, "e\ny"},
	/* in a word it is not */
	{{"e", "${ONE}"}, "e\none"},
	{{"e", "${TWO}"}, "e\none  two"},
	{{"e", "a${TWO}b${ONE}"}, "e\naone  twobone"},
	{{"e", "${EMPTY}"}, "e\n"},
	{{"e", "x${UNSET}y"}, "e\nxy"},
	{{"e", "${}"}, "e\n"},
	{{"e", "${ONE"}, "e\n${ONE"},
	{{"e", "${ONE$$"}, "e\n${ONE$$"},
	{{"e", "${DOLLARS}"}, "e\n$ONE ${ONE} $$"},
	{{"e", "${ONE:-x}${ONE}"}, "e\n${ONE:-x}one"},
	{{"e", "${ONE-x}"}, "e\n"},
	/* and without braces, inside a word, it is none */
	{{"e", "x$ONE"}, "e\nx$ONE"},
	{{"e", "100$"}, "e\n100$"},
	{{"e", "$"}, "e\n$"}, /* systemd drops it, which helps nobody */
	{{"e", "a$ b"}, "e\na$ b"},
	/* $$ */
	{{"e", "$$"}, "e\n$"},
	{{"e", "$$ONE"}, "e\n$ONE"},
	{{"e", "$${ONE}"}, "e\n${ONE}"},
	{{"e", "a$$b$$$$"}, "e\na$b$$"},
	{{"e", "$$${ONE}"}, "e\n$one"},
	/* the first word is always one */
	{{"$TWO", "x"}, "$TWO\nx"},
	{{"${TWO}", "x"}, "one  two\nx"},
};

static void test_words(void **state)
{
	static const char *const variables[] = {"ONE=one", "TWO=one  two", "EMPTY=", "BLANK= \t ",
		"QUOTED='a b' \"c'd\"\te\\\"f 'g\\''", "NULLWORD=''", "OPEN='a b",
		"BACKSLASH=a\\ b \\", "DOLLARS=$ONE ${ONE} $$"};

	(void)state;
	for (size_t i = 0; i < sizeof(variables) / sizeof(variables[0]); i++) {
		assert_int_equal(environment_put(&env, variables[i]), 0);
	}
	for (size_t i = 0; i < sizeof(word_cases) / sizeof(word_cases[0]); i++) {
		const char **words = environment_expand(&env, word_cases[i].words);

		assert_non_null(words);
		assert_list(words, word_cases[i].expected);
	}
}

static void test_many_words(void **state)
{
	char text[4096] = "MANY=";
	const char *const argv[] = {"e", "$MANY", "$MANY", NULL};
	const char **words;
	int count = 0;

	(void)state;
	for (int i = 0; i < 1000; i++) {
		strcat(text, "w ");
	}
	assert_int_equal(environment_put(&env, text), 0);
	words = environment_expand(&env, argv);
	while (words[count]) {
		count++;
	}
	assert_int_equal(count, 2001);
	assert_string_equal(words[2000], "w");
}

static void test_no_words(void **state)
{
	const char *const none[] = {NULL};

	(void)state;
	assert_list(environment_expand(&env, none), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_list, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_names, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_list_grows, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_files, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_files_with_open_quotes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_file_replaces, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_words, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_many_words, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_no_words, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
