/* The journal: what one manager wrote, the next one reads; and nothing that was not whole. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "manager/journal.h"

#define EVENT_SIZE 100

static int fd;
static struct journal journal;

static int setup(void **state)
{
	(void)state;
	fd = memfd_create("journal", MFD_CLOEXEC);
	return fd < 0 || journal_open(&journal, fd, EVENT_SIZE) != 0;
}

static int teardown(void **state)
{
	(void)state;
	journal_close(&journal);
	return close(fd);
}

/* As a new manager does. */
static int open_again(void)
{
	journal_close(&journal);
	return journal_open(&journal, fd, EVENT_SIZE);
}

static void put(const char *text)
{
	journal_append(&journal, JOURNAL_EVENT, text, strlen(text) + 1);
}

static void snapshot(const char *text)
{
	journal_switch_begin(&journal);
	put(text);
	assert_int_equal(journal_switch_end(&journal), 0);
}

/* All records in one text, "a b c"; behind the last good one, "damaged". */
static const char *contents(void)
{
	static char text[256];
	uint64_t at = 0;
	const struct journal_record *record;
	const void *payload;
	int got;
	text[0] = '\0';
	while ((got = journal_read(&journal, &at, &record, &payload)) == 1) {
		strncat(text, text[0] != '\0' ? " " : "", sizeof(text) - strlen(text) - 1);
		strncat(text, payload, sizeof(text) - strlen(text) - 1);
	}
	assert_true(got == 0 || got == -EPROTO);
	strncat(text, got == 0 ? "" : " damaged", sizeof(text) - strlen(text) - 1);
	return text;
}

static void test_an_empty_one_has_no_state(void **state)
{
	(void)state;
	assert_string_equal(contents(), "");
	assert_int_equal(open_again(), 0);
}

static void test_a_new_manager_reads_snapshot_and_log(void **state)
{
	(void)state;
	snapshot("s");
	put("a");
	put("some longer text");
	uint64_t sequence = journal.sequence;
	assert_int_equal(open_again(), 1);
	assert_string_equal(contents(), "s a some longer text");
	put("b");
	assert_int_equal(journal.sequence, sequence + 1);
	assert_string_equal(contents(), "s a some longer text b");
}

static void test_a_snapshot_replaces_all(void **state)
{
	(void)state;
	snapshot("s1");
	put("a");
	snapshot("s2");
	put("b");
	assert_string_equal(contents(), "s2 b");
	snapshot("s3");
	assert_int_equal(open_again(), 1);
	assert_string_equal(contents(), "s3");
}

static void test_a_snapshot_that_was_not_finished_does_not_count(void **state)
{
	(void)state;
	snapshot("s1");
	put("a");
	journal_switch_begin(&journal);
	put("half");
	assert_int_equal(open_again(), 1);
	assert_string_equal(contents(), "s1 a");
	put("b");
	assert_string_equal(contents(), "s1 a b");
}

static void test_a_record_that_was_not_finished_does_not_count(void **state)
{
	(void)state;
	snapshot("s");
	memcpy(journal_begin(&journal, JOURNAL_EVENT, 100), "half", 5);
	assert_int_equal(open_again(), 1);
	assert_string_equal(contents(), "s");
}

static void test_two_together_count_together(void **state)
{
	(void)state;
	snapshot("s");
	journal_together(&journal);
	put("a");
	assert_string_equal(contents(), "s");
	put("b");
	assert_string_equal(contents(), "s a b");
	journal_together(&journal);
	put("lost");
	assert_int_equal(open_again(), 1);
	assert_string_equal(contents(), "s a b");
}

/* Whatever byte it is. The last four of its head mean nothing. */
static void test_damage_at_the_end_loses_the_end_alone(void **state)
{
	(void)state;
	snapshot("s");
	put("a");
	unsigned char *last = journal.region + journal.length;
	put("0123456");
	size_t head = offsetof(struct journal_record, reserved);
	for (size_t i = 0; i < sizeof(struct journal_record) + 8; i++) {
		bool used = i < head || i >= sizeof(struct journal_record);
		last[i] ^= 0x10;
		assert_string_equal(contents(), used ? "s a damaged" : "s a 0123456");
		last[i] ^= 0x10;
	}
	assert_string_equal(contents(), "s a 0123456");
	memset(last, 0, journal.length - (size_t)(last - journal.region));
	assert_string_equal(contents(), "s a damaged");
}

static void test_nothing_is_read_behind_damage(void **state)
{
	(void)state;
	snapshot("s");
	put("a");
	journal.region[journal.length - 8] ^= 1;
	put("b");
	assert_string_equal(contents(), "s damaged");
	assert_int_equal(open_again(), 1);
	assert_string_equal(contents(), "s damaged");
	snapshot("t"); /* a new one is not touched by it */
	put("c");
	assert_string_equal(contents(), "t c");
}

/* Half a record: the length says more than there is. */
static void test_a_length_that_cuts_a_record_is_damage(void **state)
{
	(void)state;
	snapshot("s");
	put("a");
	uint64_t whole = journal.length;
	put("b");
	for (uint64_t length = whole + 1; length < journal.length; length++) {
		journal.header->length[journal.writing] = length;
		assert_string_equal(contents(), "s a damaged");
	}
}

static void test_another_layout_is_not_read(void **state)
{
	(void)state;
	snapshot("s");
	journal_close(&journal);
	assert_int_equal(journal_open(&journal, fd, EVENT_SIZE + 8), 0);
	assert_string_equal(contents(), "");
}

static void test_what_does_not_fit_is_refused_and_a_snapshot_mends_it(void **state)
{
	(void)state;
	static char big[8 * 1024 * 1024];
	snapshot("s");
	for (int i = 0; i < 40; i++) {
		journal_append(&journal, JOURNAL_EVENT, big, sizeof(big));
	}
	assert_true(journal.full);
	assert_true(journal_is_very_long(&journal));
	assert_int_equal(journal_append(&journal, JOURNAL_EVENT, "x", 2), 0);
	snapshot("t");
	put("a");
	assert_string_equal(contents(), "t a");
}

static void test_a_snapshot_that_does_not_fit_leaves_the_old_one(void **state)
{
	(void)state;
	snapshot("s");
	put("a");
	journal_switch_begin(&journal);
	assert_null(journal_begin(&journal, JOURNAL_TREE, JOURNAL_REGION_SIZE));
	assert_int_equal(journal_switch_end(&journal), -ENOSPC);
	assert_string_equal(contents(), "s a");
}

static void test_dropped_records_are_known_until_the_next_snapshot(void **state)
{
	(void)state;
	snapshot("s");
	put("a");
	uint64_t bad = journal.sequence;
	journal_drop(&journal, bad);
	assert_int_equal(open_again(), 1);
	assert_true(journal_is_dropped(&journal, bad));
	assert_false(journal_is_dropped(&journal, bad - 1));
	snapshot("t");
	assert_false(journal_is_dropped(&journal, bad));
}

static void test_the_log_becomes_long(void **state)
{
	(void)state;
	static char page[4096];
	snapshot("s");
	assert_false(journal_is_long(&journal));
	for (int i = 0; i < 300; i++) {
		journal_append(&journal, JOURNAL_EVENT, page, sizeof(page));
	}
	assert_true(journal_is_long(&journal));
	assert_false(journal_is_very_long(&journal));
	snapshot("t");
	assert_false(journal_is_long(&journal));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_an_empty_one_has_no_state),
		TEST(test_a_new_manager_reads_snapshot_and_log),
		TEST(test_a_snapshot_replaces_all),
		TEST(test_a_snapshot_that_was_not_finished_does_not_count),
		TEST(test_a_record_that_was_not_finished_does_not_count),
		TEST(test_two_together_count_together),
		TEST(test_damage_at_the_end_loses_the_end_alone),
		TEST(test_nothing_is_read_behind_damage),
		TEST(test_a_length_that_cuts_a_record_is_damage),
		TEST(test_another_layout_is_not_read),
		TEST(test_what_does_not_fit_is_refused_and_a_snapshot_mends_it),
		TEST(test_a_snapshot_that_does_not_fit_leaves_the_old_one),
		TEST(test_dropped_records_are_known_until_the_next_snapshot),
		TEST(test_the_log_becomes_long),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
