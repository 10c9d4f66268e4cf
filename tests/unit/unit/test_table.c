/* The table of directives: sorted, whole, and what it says of itself holds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "unit/parse.h"
#include "unit/table.h"

static void test_sorted(void **state)
{
	uint32_t count;
	const struct unit_directive *list = unit_directives(&count);
	(void)state;
	assert_true(count > 400);
	for (uint32_t i = 1; i < count; i++) {
		int order = strcmp(list[i - 1].section, list[i].section);
		assert_true(order < 0 || (order == 0 && strcmp(list[i - 1].key, list[i].key) < 0));
	}
	for (uint32_t i = 0; i < count; i++) {
		assert_int_equal(table_find(list[i].section, list[i].key), i);
		assert_true(list[i].tier <= 4);
		assert_true(list[i].values[0] != '\0' && list[i].doc[0] != '\0');
		assert_int_equal(list[i].doc[strlen(list[i].doc) - 1], '.');
	}
}

/* What is honoured has a parser and a field, or a parser that knows its field. */
static void test_honoured(void **state)
{
	uint32_t count;
	const struct unit_directive *list = unit_directives(&count);
	(void)state;
	for (uint32_t i = 0; i < count; i++) {
		const struct directive *directive = table_directive((int)i);
		assert_int_equal(list[i].honoured, directive->use == USE_HONOURED);
		if (directive->use == USE_HONOURED) {
			assert_true(directive->parse != parse_nothing);
		}
		if (directive->parse == parse_nothing) {
			assert_int_equal(directive->base, BASE_NONE);
		}
	}
}

static void test_hints(void **state)
{
	static const char *const sections[] = {"Unit", "Service", NULL};
	(void)state;
	assert_string_equal(table_nearest_key("Service", "ExecStrat"), "ExecStart");
	assert_string_equal(table_nearest_key("Service", "execstart"), "ExecStart");
	assert_null(table_nearest_key("Service", "Frobnication"));
	assert_null(table_nearest_key("Nowhere", NULL));
	assert_non_null(table_nearest_key("Timer", NULL));
	assert_string_equal(table_section_of("ExecStart", sections), "Service");
	assert_null(table_section_of("Strategy", sections));
	assert_true(table_find("Service", "Nothing") < 0);
}

/* --- the manual page that is made of the table --- */

#define PAGE "man/coppice.directives.7"

/* Text in lines of 78 columns at most. No word of the table begins with a dot or an apostrophe,
 * which would make a line a command. */
static void put_filled(FILE *out, const char *text)
{
	size_t column = 0;
	while (*text != '\0') {
		size_t length = strcspn(text, " ");
		assert_true(text[0] != '.' && text[0] != '\'' && length > 0);
		if (column > 0 && column + 1 + length > 78) {
			fputc('\n', out);
			column = 0;
		}
		column += length + (column > 0);
		fputs(column > length ? " " : "", out);
		for (size_t i = 0; i < length; i++) {
			fputs(text[i] == '\\' ? "\\e" : text[i] == '-' ? "\\-" : "", out);
			if (text[i] != '\\' && text[i] != '-') {
				fputc(text[i], out);
			}
		}
		text += length;
		text += *text == ' ';
	}
	fputc('\n', out);
}

static void put_section(FILE *out, const char *section)
{
	static const struct {
		const char *section, *of;
	} texts[] = {
		{"Health", "Of services; see\n.Xr coppice.service 5 ."},
		{"Install", "Of all units; see\n.Xr coppice.unit 5 ."},
		{"Service", "Of services; see\n.Xr coppice.service 5 ."},
		{"Socket", "Of sockets; see\n.Xr coppice.socket 5 ."},
		{"Supervisor", "Of supervisors; see\n.Xr coppice.supervisor 5 ."},
		{"Timer", "Of timers; see\n.Xr systemd.timer 5 ."},
		{"Unit", "Of all units; see\n.Xr coppice.unit 5 ."},
	};
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		if (strcmp(texts[i].section, section) == 0) {
			fprintf(out, ".Ss [%s]\n%s\n.Bl -tag -width Ds\n", section, texts[i].of);
			return;
		}
	}
	fail_msg("no text for [%s]", section);
}

static void put_page(FILE *out)
{
	static const char head[] =
		".\\\" Made of src/unit/directives.def by tests/unit/unit/test_table.c with "
		"PIN=1.\n"
		".Dd November 21, 2026\n.Dt COPPICE.DIRECTIVES 7\n.Os\n"
		".Sh NAME\n.Nm coppice.directives\n.Nd all directives of unit files\n"
		".Sh DESCRIPTION\n"
		"These are all directives that coppice knows, by section and name.\n"
		"What becomes of each on this system is printed by\n"
		".Ic coppicectl verify --directives .\n"
		"[Health], [Supervisor] and a few keys of [Service] are coppice's own; all\n"
		"others are systemd's, and mean what they mean there.\n"
		"A wrong value is an error in a file of coppice's own directories.\n"
		"In a file of systemd's directories it is a warning, and the assignment is\n"
		"left out, as systemd does it, except where it says who a service runs as,\n"
		"where, and what is run.\n"
		".Sh DIRECTIVES\n";
	static const char tail[] = ".El\n.Sh SEE ALSO\n.Xr coppicectl 1 ,\n"
				   ".Xr coppice.service 5 ,\n.Xr coppice.supervisor 5 ,\n"
				   ".Xr coppice.unit 5 ,\n.Xr systemd.exec 5 ,\n"
				   ".Xr systemd.resource-control 5 ,\n"
				   ".Xr systemd.directives 7\n";
	char text[1024];
	uint32_t count;
	const struct unit_directive *list = unit_directives(&count);
	fputs(head, out);
	for (uint32_t i = 0; i < count; i++) {
		if (i == 0 || strcmp(list[i - 1].section, list[i].section) != 0) {
			fputs(i == 0 ? "" : ".El\n", out);
			put_section(out, list[i].section);
		}
		fprintf(out, ".It Cm %s Ns =\n", list[i].key);
		put_filled(out, list[i].doc);
		snprintf(text, sizeof(text), "Takes %s.", list[i].values);
		put_filled(out, text);
	}
	fputs(tail, out);
}

/* It is the table, word for word. With PIN=1 in the environment it is written. */
static void test_page(void **state)
{
	char *text = NULL;
	char *kept = NULL;
	size_t size = 0;
	(void)state;
	FILE *out = open_memstream(&text, &size);
	assert_non_null(out);
	put_page(out);
	fclose(out);
	if (getenv("PIN") != NULL) {
		FILE *page = fopen(PAGE, "w");
		assert_non_null(page);
		fputs(text, page);
		fclose(page);
	}
	assert_int_equal(unit_source_disk.read_file(&unit_source_disk, PAGE, &kept, &size), 0);
	if (strcmp(text, kept) != 0) {
		fail_msg("%s is not what the table says: run this test with PIN=1", PAGE);
	}
	free(text);
	free(kept);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sorted),
		cmocka_unit_test(test_honoured),
		cmocka_unit_test(test_hints),
		cmocka_unit_test(test_page),
	};
	return cmocka_run_group_tests_name("unit: table of directives", tests, NULL, NULL);
}
