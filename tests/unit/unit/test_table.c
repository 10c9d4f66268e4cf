/* The table of directives: sorted, whole, and what it says of itself holds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sorted),
		cmocka_unit_test(test_honoured),
		cmocka_unit_test(test_hints),
	};
	return cmocka_run_group_tests_name("unit: table of directives", tests, NULL, NULL);
}
