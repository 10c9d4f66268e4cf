/* The table of what units do to each other: every cell that does something, and that the others do
 * nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tree/link.h"

struct cell {
	uint8_t relation, names, happening, effect;
};

/* systemd.unit(5): the paragraph of each word, and the table of propagation. */
static const struct cell cells[] = {
	{LINK_REQUIRES, true, LINK_ASKED_START, LINK_START},
	{LINK_WANTS, true, LINK_ASKED_START, LINK_START},
	{LINK_BINDS_TO, true, LINK_ASKED_START, LINK_START},
	{LINK_UPHOLDS, true, LINK_UP, LINK_START},
	{LINK_CONFLICTS, true, LINK_ASKED_START, LINK_STOP},
	{LINK_CONFLICTS, true, LINK_STARTING, LINK_STOP},
	{LINK_ON_FAILURE, true, LINK_FAILED, LINK_START},
	{LINK_ON_SUCCESS, true, LINK_DONE, LINK_START},
	{LINK_PROPAGATES_RELOAD_TO, true, LINK_ASKED_RELOAD, LINK_RELOAD},
	{LINK_PROPAGATES_STOP_TO, true, LINK_ASKED_STOP, LINK_STOP},
	{LINK_REQUIRES, false, LINK_ASKED_STOP, LINK_STOP},
	{LINK_REQUIRES, false, LINK_ASKED_RESTART, LINK_RESTART},
	{LINK_REQUISITE, false, LINK_ASKED_STOP, LINK_STOP},
	{LINK_REQUISITE, false, LINK_ASKED_RESTART, LINK_RESTART},
	{LINK_PART_OF, false, LINK_ASKED_STOP, LINK_STOP},
	{LINK_PART_OF, false, LINK_ASKED_RESTART, LINK_RESTART},
	{LINK_BINDS_TO, false, LINK_ASKED_STOP, LINK_STOP},
	{LINK_BINDS_TO, false, LINK_ASKED_RESTART, LINK_RESTART},
	{LINK_BINDS_TO, false, LINK_DOWN, LINK_PARK},
	{LINK_BINDS_TO, false, LINK_STOPPED, LINK_PARK},
	{LINK_BINDS_TO, false, LINK_UP, LINK_UNPARK},
	{LINK_UPHOLDS, false, LINK_STOPPED, LINK_START_AGAIN},
	{LINK_UPHOLDS, false, LINK_FAILED, LINK_START_AGAIN},
	{LINK_UPHOLDS, false, LINK_DONE, LINK_START_AGAIN},
	{LINK_CONFLICTS, false, LINK_ASKED_START, LINK_STOP},
	{LINK_CONFLICTS, false, LINK_STARTING, LINK_STOP},
	{LINK_RELOAD_PROPAGATED_FROM, false, LINK_ASKED_RELOAD, LINK_RELOAD},
	{LINK_STOP_PROPAGATED_FROM, false, LINK_ASKED_STOP, LINK_STOP},
};
#define CELLS (sizeof(cells) / sizeof(cells[0]))

static enum link_effect wanted(uint8_t relation, bool names, uint8_t happening)
{
	for (size_t i = 0; i < CELLS; i++) {
		if (cells[i].relation == relation && cells[i].names == names &&
			cells[i].happening == happening) {
			return (enum link_effect)cells[i].effect;
		}
	}
	return LINK_NOTHING;
}

static void test_every_cell(void **state)
{
	size_t some = 0;

	(void)state;
	for (uint8_t relation = 0; relation < LINK_RELATIONS; relation++) {
		for (uint8_t names = 0; names < 2; names++) {
			for (uint8_t happening = 0; happening < LINK_HAPPENINGS; happening++) {
				enum link_effect effect = link_effect(relation, names, happening);
				assert_int_equal(effect, wanted(relation, names, happening));
				some += effect != LINK_NOTHING;
			}
		}
	}
	assert_int_equal(some, CELLS);
}

static void test_what_forbids_a_start(void **state)
{
	static const uint8_t down[] = {STATE_STOPPED, STATE_FAILED, STATE_DONE};

	(void)state;
	for (size_t i = 0; i < sizeof(down); i++) {
		assert_true(link_forbids_start(LINK_REQUISITE, false, down[i]));
		assert_true(link_forbids_start(LINK_BINDS_TO, true, down[i]));
		assert_false(link_forbids_start(LINK_BINDS_TO, false, down[i]));
		assert_int_equal(
			link_forbids_start(LINK_REQUIRES, true, down[i]), down[i] == STATE_FAILED);
		assert_false(link_forbids_start(LINK_REQUIRES, false, down[i]));
		assert_false(link_forbids_start(LINK_WANTS, true, down[i]));
	}
	assert_true(link_forbids_start(LINK_REQUISITE, true, STATE_STARTING));
	assert_false(link_forbids_start(LINK_REQUISITE, true, STATE_RUNNING));
	assert_false(link_forbids_start(LINK_BINDS_TO, true, STATE_WAITING));
	assert_false(link_forbids_start(LINK_BINDS_TO, true, STATE_RUNNING));
}

static uint8_t happening(enum tree_note note, bool supervisor, enum tree_cause cause)
{
	struct tree_order order = {.kind = DO_NOTE, .note = (uint8_t)note, .cause = (uint8_t)cause};

	return (uint8_t)link_happening_of(&order, supervisor);
}

static void test_notes(void **state)
{
	struct tree_order parked = {.kind = DO_NOTE, .note = NOTE_STOPPED, .parked = true};

	(void)state;
	assert_int_equal(happening(NOTE_STARTING, false, 0), LINK_STARTING);
	assert_int_equal(happening(NOTE_RUNNING, false, 0), LINK_UP);
	assert_int_equal(happening(NOTE_EXITED, false, 0), LINK_DOWN);
	assert_int_equal(happening(NOTE_START_FAILED, false, 0), LINK_DOWN);
	assert_int_equal(happening(NOTE_STOPPED, false, 0), LINK_STOPPED);
	assert_int_equal(happening(NOTE_FAILED, false, 0), LINK_FAILED);
	assert_int_equal(happening(NOTE_DONE, false, 0), LINK_DONE);
	assert_int_equal(happening(NOTE_SKIPPED, false, 0), LINK_HAPPENINGS);
	assert_int_equal(happening(NOTE_BEGIN, true, 0), LINK_STARTING);
	assert_int_equal(happening(NOTE_RUNNING, true, 0), LINK_UP);
	assert_int_equal(happening(NOTE_GAVE_UP, true, 0), LINK_FAILED);
	assert_int_equal(happening(NOTE_END, true, CAUSE_INTENSITY), LINK_DOWN);
	assert_int_equal(happening(NOTE_DONE, true, CAUSE_INTENSITY), LINK_HAPPENINGS);
	assert_int_equal(happening(NOTE_DONE, true, CAUSE_AUTO), LINK_DONE);
	assert_int_equal(happening(NOTE_STOPPED, true, CAUSE_ORDERED), LINK_STOPPED);
	/* What was stopped for another's sake was followed to its end from there. */
	assert_int_equal(link_happening_of(&parked, false), LINK_HAPPENINGS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_cell),
		cmocka_unit_test(test_what_forbids_a_start),
		cmocka_unit_test(test_notes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
