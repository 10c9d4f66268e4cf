#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/span.h"

static void test_parse(void **state)
{
	static const struct {
		const char *text;
		uint64_t ns;
	} cases[] = {
		{"5s", 5 * NS_PER_SEC},
		{"5", 5 * NS_PER_SEC},
		{" 5 ", 5 * NS_PER_SEC},
		{"0", 0},
		{"1min 30s", 90 * NS_PER_SEC},
		{"1min30s", 90 * NS_PER_SEC},
		{"1min 30", 90 * NS_PER_SEC},
		{"2.5s", 2500 * NS_PER_MS},
		{".5s", 500 * NS_PER_MS},
		{"100ms", 100 * NS_PER_MS},
		{"100msec", 100 * NS_PER_MS},
		{"7us", 7 * NS_PER_US},
		{"7\xc2\xb5s", 7 * NS_PER_US},
		{"7\xce\xbcs", 7 * NS_PER_US},
		{"9ns", 9},
		{"2m", 120 * NS_PER_SEC},
		{"1h", 3600 * NS_PER_SEC},
		{"1hr 1 minute 1 second", 3661 * NS_PER_SEC},
		{"1d", 86400 * NS_PER_SEC},
		{"1w", 7 * 86400 * NS_PER_SEC},
		{"1M", 2629800 * NS_PER_SEC},
		{"1y", 31557600 * NS_PER_SEC},
		{"0.000000001s", 1},
		{"infinity", SPAN_INFINITY},
		{" infinity ", SPAN_INFINITY},
		{"584y", UINT64_C(584) * 31557600 * NS_PER_SEC},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t ns = 77;
		assert_int_equal(span_parse(cases[i].text, NS_PER_SEC, &ns), 0);
		assert_int_equal(ns, cases[i].ns);
	}
	uint64_t ns;
	assert_int_equal(span_parse("3", NS_PER_US, &ns), 0);
	assert_int_equal(ns, 3 * NS_PER_US);
}

static void test_refuse(void **state)
{
	static const struct {
		const char *text;
		int error;
	} cases[] = {
		{"", -EINVAL},
		{"  ", -EINVAL},
		{"s", -EINVAL},
		{"5 parsecs", -EINVAL},
		{"5.", -EINVAL},
		{"5.s", -EINVAL},
		{"5x", -EINVAL},
		{"infinity s", -EINVAL},
		{"infinite", -EINVAL},
		{"--5", -EINVAL},
		{"-5", -ERANGE},
		{"600y", -ERANGE},
		{"18446744073709551615ns", -ERANGE},
		{"99999999999999999999999", -ERANGE},
		{"584y 584y", -ERANGE},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t ns = 77;
		assert_int_equal(span_parse(cases[i].text, NS_PER_SEC, &ns), cases[i].error);
		assert_int_equal(ns, 77);
	}
}

static void test_format(void **state)
{
	static const struct {
		uint64_t ns;
		const char *text;
	} cases[] = {
		{0, "0"},
		{1, "1ns"},
		{250 * NS_PER_MS, "250ms"},
		{90 * NS_PER_SEC, "1min 30s"},
		{1500 * NS_PER_MS, "1s 500ms"},
		{3601 * NS_PER_SEC, "1h 1s"},
		{86400 * NS_PER_SEC + 1, "1d 1ns"},
		{3661 * NS_PER_SEC, "1h 1min"},
		{SPAN_INFINITY, "infinity"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char buf[SPAN_TEXT_SIZE];
		assert_string_equal(span_format(cases[i].ns, buf, sizeof(buf)), cases[i].text);
	}
	char small[4];
	assert_string_equal(span_format(90 * NS_PER_SEC, small, sizeof(small)), "1mi");
}

static void test_add(void **state)
{
	(void)state;
	assert_int_equal(span_add(1, 2), 3);
	assert_int_equal(span_add(SPAN_INFINITY, 0), SPAN_INFINITY);
	assert_int_equal(span_add(0, SPAN_INFINITY), SPAN_INFINITY);
	assert_int_equal(span_add(SPAN_INFINITY - 1, 2), SPAN_INFINITY);
	assert_int_equal(span_add(SPAN_INFINITY - 2, 1), SPAN_INFINITY - 1);
	assert_int_equal(span_earlier(1, SPAN_INFINITY), 1);
	assert_int_equal(span_earlier(2, 1), 1);
	assert_int_equal(span_later(1, SPAN_INFINITY), SPAN_INFINITY);
	assert_int_equal(span_later(2, 1), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_refuse),
		cmocka_unit_test(test_format),
		cmocka_unit_test(test_add),
	};
	return cmocka_run_group_tests_name("base: span", tests, NULL, NULL);
}
