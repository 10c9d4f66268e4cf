#include <stdalign.h>
#include <stdlib.h>
#include <string.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/checksum.h"

static void test_arena(void **state)
{
	struct arena arena = {0};
	char *pieces[2000];
	(void)state;
	for (size_t i = 0; i < 2000; i++) {
		size_t size = i * 7 % 501 + 1;
		pieces[i] = arena_alloc(&arena, size);
		assert_non_null(pieces[i]);
		assert_int_equal((uintptr_t)pieces[i] % alignof(max_align_t), 0);
		for (size_t j = 0; j < size; j++) {
			assert_int_equal(pieces[i][j], 0);
		}
		memset(pieces[i], (int)(i & 0x3f) + 1, size);
	}
	for (size_t i = 0; i < 2000; i++) {
		size_t size = i * 7 % 501 + 1;
		assert_int_equal(pieces[i][0], (int)(i & 0x3f) + 1);
		assert_int_equal(pieces[i][size - 1], (int)(i & 0x3f) + 1);
	}
	char *big = arena_alloc(&arena, 5000000);
	assert_non_null(big);
	big[4999999] = 'x';
	char *after = arena_alloc(&arena, 1);
	assert_non_null(after);
	assert_non_null(arena_alloc(&arena, 0));
	assert_null(arena_alloc(&arena, SIZE_MAX));
	arena_finish(&arena);
	assert_int_equal(arena.used_bytes, 0);
	arena_finish(&arena);
}

static void test_texts(void **state)
{
	struct arena arena = {0};
	(void)state;
	assert_string_equal(arena_strdup(&arena, "hello"), "hello");
	assert_string_equal(arena_strndup(&arena, "hello", 2), "he");
	assert_string_equal(arena_printf(&arena, "%s-%d", "x", 42), "x-42");
	arena_finish(&arena);
}

/* RFC 3720, appendix B.4. */
static void test_checksum(void **state)
{
	unsigned char data[32] = {0};
	(void)state;
	assert_int_equal(checksum_crc32c(0, "", 0), 0);
	assert_int_equal(checksum_crc32c(0, data, 32), 0x8a9136aa);
	memset(data, 0xff, 32);
	assert_int_equal(checksum_crc32c(0, data, 32), 0x62a8ab43);
	for (int i = 0; i < 32; i++) {
		data[i] = (unsigned char)i;
	}
	assert_int_equal(checksum_crc32c(0, data, 32), 0x46dd794e);
	for (size_t cut = 0; cut <= 32; cut++) {
		uint32_t sum = checksum_crc32c(0, data, cut);
		assert_int_equal(checksum_crc32c(sum, data + cut, 32 - cut), 0x46dd794e);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_arena),
		cmocka_unit_test(test_texts),
		cmocka_unit_test(test_checksum),
	};
	return cmocka_run_group_tests_name("base: arena and checksum", tests, NULL, NULL);
}
