#include <errno.h>
#include <limits.h>
#include <string.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/str.h"

static void test_ends(void **state)
{
	(void)state;
	assert_true(str_starts("worker@1", "worker"));
	assert_true(str_starts("a", ""));
	assert_false(str_starts("a", "ab"));
	assert_true(str_ends("x.service", ".service"));
	assert_false(str_ends("service", ".service"));
}

static void test_copy(void **state)
{
	char buf[4];
	(void)state;
	assert_true(str_copy(buf, sizeof(buf), "abc"));
	assert_string_equal(buf, "abc");
	assert_false(str_copy(buf, sizeof(buf), "abcd"));
	assert_string_equal(buf, "abc");
	assert_false(str_copy(buf, 0, "x"));
	assert_string_equal(buf, "abc");
}

static void test_bool(void **state)
{
	(void)state;
	assert_int_equal(str_bool("Yes"), 1);
	assert_int_equal(str_bool("on"), 1);
	assert_int_equal(str_bool("TRUE"), 1);
	assert_int_equal(str_bool("1"), 1);
	assert_int_equal(str_bool("no"), 0);
	assert_int_equal(str_bool("off"), 0);
	assert_int_equal(str_bool("0"), 0);
	assert_int_equal(str_bool(""), -EINVAL);
	assert_int_equal(str_bool("2"), -EINVAL);
	assert_int_equal(str_bool("yess"), -EINVAL);
}

static void test_u64(void **state)
{
	uint64_t n = 77;
	(void)state;
	assert_int_equal(str_u64("18446744073709551615", 0, UINT64_MAX, &n), 0);
	assert_true(n == UINT64_MAX);
	assert_int_equal(str_u64("007", 0, 10, &n), 0);
	assert_int_equal(n, 7);
	n = 77;
	assert_int_equal(str_u64("18446744073709551616", 0, UINT64_MAX, &n), -ERANGE);
	assert_int_equal(str_u64("99999999999999999999999x", 0, UINT64_MAX, &n), -EINVAL);
	assert_int_equal(str_u64("11", 0, 10, &n), -ERANGE);
	assert_int_equal(str_u64("2", 3, 10, &n), -ERANGE);
	assert_int_equal(str_u64("", 0, 10, &n), -EINVAL);
	assert_int_equal(str_u64("-1", 0, 10, &n), -EINVAL);
	assert_int_equal(str_u64(" 1", 0, 10, &n), -EINVAL);
	assert_int_equal(n, 77);
}

static void test_distance(void **state)
{
	char long_word[65];
	(void)state;
	assert_int_equal(str_distance("", ""), 0);
	assert_int_equal(str_distance("abc", ""), 3);
	assert_int_equal(str_distance("ExecStart", "execstart"), 0);
	assert_int_equal(str_distance("ExecStrat", "ExecStart"), 1);
	assert_int_equal(str_distance("kitten", "sitting"), 3);
	assert_int_equal(str_distance("ab", "ba"), 1);
	assert_int_equal(str_distance("abcd", "acbd"), 1);
	memset(long_word, 'x', 64);
	long_word[64] = '\0';
	assert_int_equal(str_distance(long_word, "x"), UINT_MAX);
	long_word[63] = '\0';
	assert_int_equal(str_distance(long_word, "x"), 62);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ends),
		cmocka_unit_test(test_copy),
		cmocka_unit_test(test_bool),
		cmocka_unit_test(test_u64),
		cmocka_unit_test(test_distance),
	};
	return cmocka_run_group_tests_name("base: str", tests, NULL, NULL);
}
