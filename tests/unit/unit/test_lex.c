/* The lexer: what inih alone would cut, split or not see must come out whole. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "unit/lex.h"

#define MIB ((size_t)1024 * 1024)

/* Everything that was heard, one line each. */
struct heard {
	char text[4096];
	size_t length;
	struct lex_assignment last;
	unsigned errors, assignments;
};

static void hear(struct heard *heard, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void hear(struct heard *heard, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	int n = vsnprintf(
		heard->text + heard->length, sizeof(heard->text) - heard->length, format, args);
	va_end(args);
	heard->length += (size_t)n;
	if (heard->length >= sizeof(heard->text)) {
		heard->length = sizeof(heard->text) - 1;
	}
}

static int on_section(void *context, const char *name, uint32_t line, uint32_t column)
{
	hear(context, "%u:%u [%s]\n", line, column, name);
	return 0;
}

static int on_assignment(void *context, const struct lex_assignment *assignment)
{
	struct heard *heard = context;
	heard->assignments++;
	heard->last = *assignment;
	hear(heard, "%u:%u %s.%s=<%s>\n", assignment->line, assignment->column, assignment->section,
		assignment->key, assignment->value);
	return 0;
}

static void on_error(void *context, uint32_t line, uint32_t column, const char *text)
{
	struct heard *heard = context;
	heard->errors++;
	hear(heard, "%u:%u error: %s\n", line, column, text);
}

static void lex(struct arena *arena, const char *text, size_t size, struct heard *heard)
{
	struct lex_events events = {heard, on_section, on_assignment, on_error};
	*heard = (struct heard){0};
	assert_int_equal(lex_parse(arena, text, size, &events), 0);
}

static void expect(const char *text, const char *heard_text)
{
	struct arena arena = {0};
	struct heard heard;
	lex(&arena, text, strlen(text), &heard);
	assert_string_equal(heard.text, heard_text);
	arena_finish(&arena);
}

static void test_lines(void **state)
{
	(void)state;
	expect("", "");
	expect("\n\n", "");
	expect("[A]\nk=v\n", "1:1 [A]\n2:1 A.k=<v>\n");
	expect("[A]\r\nk=v\r\n", "1:1 [A]\n2:1 A.k=<v>\n");
	expect("\xef\xbb\xbf[A]\nk=v", "1:1 [A]\n2:1 A.k=<v>\n");
	expect("  [A]  \n\t k \t=  v w\t\n", "1:3 [A]\n2:3 A.k=<v w>\n");
	expect("[A]\nk=\nk=2\nk=\n", "1:1 [A]\n2:1 A.k=<>\n3:1 A.k=<2>\n4:1 A.k=<>\n");
	expect("[A]\n# k=v\n; k=v\n  #k=v\n\t;\nk=v # no comment\n",
		"1:1 [A]\n6:1 A.k=<v # no comment>\n");
	expect("[A b] c]\nk=v\n", "1:1 [A b] c]\n2:1 A b] c.k=<v>\n");
}

/* Measured on libinih 55: it cuts at " ;", splits at ':', drops what begins a line with a comment
 * sign, and takes an indented line for a continuation. */
static void test_what_inih_would_break(void **state)
{
	(void)state;
	expect("[S]\nExecStart=sh -c 'a ; b'\n", "1:1 [S]\n2:1 S.ExecStart=<sh -c 'a ; b'>\n");
	expect("[S]\nk=;v\nk= ; v\n", "1:1 [S]\n2:1 S.k=<;v>\n3:1 S.k=<; v>\n");
	expect("[S]\na:b=c:d=e\n", "1:1 [S]\n2:1 S.a:b=<c:d=e>\n");
	expect("[S]\nk=[v]\n  j=#1\n", "1:1 [S]\n2:1 S.k=<[v]>\n3:3 S.j=<#1>\n");
	expect("[S]\nk=v\n  l=w\n", "1:1 [S]\n2:1 S.k=<v>\n3:3 S.l=<w>\n");
	expect("[S;T]\nk;l=v\n", "1:1 [S;T]\n2:1 S;T.k;l=<v>\n");
	expect("[S]\nk=a\x01"
	       "b\x7f"
	       "c\x0b"
	       "d\n",
		"1:1 [S]\n2:1 S.k=<a\x01"
		"b\x7f"
		"c\x0b"
		"d>\n");
	expect("[S]\n\x01k=v\n", "1:1 [S]\n2:1 S.\x01k=<v>\n");
	expect("[S]\nk=\"  a  \" \n", "1:1 [S]\n2:1 S.k=<\"  a  \">\n");
	expect("[S]\nk=\xc2\xa0\xc2\x85x\n", "1:1 [S]\n2:1 S.k=<\xc2\xa0\xc2\x85x>\n");
}

static void test_continuation(void **state)
{
	(void)state;
	expect("[S]\nk=a\\\\\nb=c\n", "1:1 [S]\n2:1 S.k=<a\\\\>\n3:1 S.b=<c>\n");
	expect("[S]\nk=a \\\n  b\\\nc\nd=e\n", "1:1 [S]\n2:1 S.k=<a    b c>\n5:1 S.d=<e>\n");
	expect("[S]\nk=\\\n\\\n  v\n", "1:1 [S]\n2:1 S.k=<v>\n");
	/* Comments between are left out, also when they end with a backslash. */
	expect("[S]\nk=a \\\n# c \\\n; d\n  b\n", "1:1 [S]\n2:1 S.k=<a    b>\n");
	/* An empty line ends it; the end of the file too. */
	expect("[S]\nk=a\\\n\nj=b\\", "1:1 [S]\n2:1 S.k=<a>\n4:1 S.j=<b>\n");
	/* A comment is not continued. */
	expect("[S]\n# c \\\nk=v\n", "1:1 [S]\n3:1 S.k=<v>\n");
	expect("[S]\r\nk=a\\\r\nb\r\n", "1:1 [S]\n2:1 S.k=<a b>\n");
}

static void test_places(void **state)
{
	static const struct {
		const char *part;
		uint32_t line, column;
	} parts[] = {{"\xc3\xa4", 2, 7}, {"x", 2, 9}, {"\xc3\xb6", 3, 2}, {"y", 3, 4}, {"z", 5, 1}};
	struct arena arena = {0};
	struct heard heard;
	const char *text = "[S]\nkey = \xc3\xa4 x\\\n\t\xc3\xb6 y\\\n# between\nz\n";
	(void)state;
	lex(&arena, text, strlen(text), &heard);
	assert_string_equal(heard.last.value, "\xc3\xa4 x \t\xc3\xb6 y z");
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		uint32_t line;
		uint32_t column;
		size_t at = (size_t)(strstr(heard.last.value, parts[i].part) - heard.last.value);
		lex_locate(&heard.last, (uint32_t)at, &line, &column);
		assert_int_equal(line, parts[i].line);
		assert_int_equal(column, parts[i].column);
	}
	arena_finish(&arena);
}

static void test_refused(void **state)
{
	(void)state;
	expect("k=v\n[A]\n", "1:1 error: an assignment before the first [Section]\n2:1 [A]\n");
	expect("[A\nk=v\n[B]\nj=w\n",
		"1:3 error: the section's closing bracket is missing: expected ]\n3:1 [B]\n4:1 "
		"B.j=<w>\n");
	expect("[A]\nword\nk=v\n",
		"1:1 [A]\n2:1 error: expected \"Key=value\" or \"[Section]\"\n3:1 A.k=<v>\n");
	expect("[A]\n = v\n", "1:1 [A]\n2:2 error: the key before \"=\" is missing\n");
	/* A bad line is left out with its continuation; a latin-1 comment does no harm. */
	expect("[A]\nk=\xff\\\nj=v\ni=u\n# gr\xfc\xdf\n",
		"1:1 [A]\n2:3 error: this is no valid UTF-8\n4:1 A.i=<u>\n");
	expect("[A]\nk=a\\\n\xff\nj=v\n",
		"1:1 [A]\n3:1 error: this is no valid UTF-8\n4:1 A.j=<v>\n");
	struct arena arena = {0};
	struct heard heard;
	lex(&arena, "[A]\nk=a\0b\nj=c", 13, &heard);
	assert_string_equal(
		heard.text, "1:1 [A]\n2:4 error: a NUL byte: this is no text\n3:1 A.j=<c>\n");
	arena_finish(&arena);
}

/* A value of every length around the sizes of buffers, made of what inih trips over. */
static void test_lengths(void **state)
{
	static const char bytes[] = "a ;#=:[]\\\"'\xc3\xa9\t";
	static const size_t lengths[] = {1, 2, 49, 50, 51, 63, 64, 100, 185, 190, 195, 196, 197,
		198, 199, 200, 201, 202, 255, 256, 399, 400, 401, 4095, 4096, 4097, 65536, 1000000};
	(void)state;
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		struct arena arena = {0};
		struct heard heard;
		size_t length = lengths[i];
		char *text = malloc(length + 100);
		assert_non_null(text);
		size_t head = (size_t)sprintf(text, "[S]\nk=");
		for (size_t j = 0; j < length; j++) {
			/* Whole characters only, and no backslash or blank at the ends. */
			text[head + j] = bytes[j % (sizeof(bytes) - 1)];
		}
		text[head] = 'x';
		for (size_t j = length > 4 ? length - 4 : 0; j < length; j++) {
			text[head + j] = 'y';
		}
		if (length > 5 && (unsigned char)text[head + length - 5] == 0xc3) {
			text[head + length - 5] = 'z';
		}
		text[head + length] = '\n';
		lex(&arena, text, head + length + 1, &heard);
		assert_int_equal(heard.errors, 0);
		assert_int_equal(strlen(heard.last.value), length);
		assert_memory_equal(heard.last.value, text + head, length);
		arena_finish(&arena);
		free(text);
	}
}

static void test_limit(void **state)
{
	static char text[3 * MIB];
	(void)state;
	for (size_t extra = 0; extra < 2; extra++) {
		struct arena arena = {0};
		struct heard heard;
		size_t head = (size_t)sprintf(text, "[S]\n  k=");
		memset(text + head, 'v', MIB + extra);
		size_t size = head + MIB + extra;
		size += (size_t)sprintf(text + size, "\nj=w\n");
		lex(&arena, text, size, &heard);
		assert_int_equal(heard.errors, extra);
		assert_int_equal(heard.assignments, 2 - extra);
		assert_string_equal(heard.last.value, "w");
		if (extra > 0) {
			assert_non_null(
				strstr(heard.text, "2:5 error: the value is longer than 1 MiB\n"));
		}
		arena_finish(&arena);
	}
}

/* Names that are longer than inih's buffers. */
static void test_long_names(void **state)
{
	(void)state;
	for (size_t length = 20; length < 600; length += 13) {
		struct arena arena = {0};
		struct heard heard;
		char name[700];
		char text[2000];
		memset(name, 'n', length);
		name[length] = '\0';
		int size = snprintf(text, sizeof(text), "[X-%s]\nX-%s=v\n", name, name);
		lex(&arena, text, (size_t)size, &heard);
		assert_int_equal(heard.errors, 0);
		assert_int_equal(strlen(heard.last.section), length + 2);
		assert_string_equal(heard.last.section + 2, name);
		assert_string_equal(heard.last.key + 2, name);
		assert_string_equal(heard.last.value, "v");
		arena_finish(&arena);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_what_inih_would_break),
		cmocka_unit_test(test_continuation),
		cmocka_unit_test(test_places),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_long_names),
	};
	return cmocka_run_group_tests_name("unit: lexer", tests, NULL, NULL);
}
