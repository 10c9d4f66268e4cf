#include "tree/link.h"

#include "base/check.h"

/* What happens to the unit that names the other: its own Requires=, Wants= … */
static enum link_effect effect_on_named(enum link_relation relation, enum link_happening happening)
{
	bool asked_start = happening == LINK_ASKED_START;
	switch (relation) {
	case LINK_REQUIRES:
	case LINK_WANTS:
	case LINK_BINDS_TO: return asked_start ? LINK_START : LINK_NOTHING;
	case LINK_UPHOLDS: return happening == LINK_UP ? LINK_START : LINK_NOTHING;
	case LINK_CONFLICTS:
		return asked_start || happening == LINK_STARTING ? LINK_STOP : LINK_NOTHING;
	case LINK_ON_FAILURE: return happening == LINK_FAILED ? LINK_START : LINK_NOTHING;
	case LINK_ON_SUCCESS: return happening == LINK_DONE ? LINK_START : LINK_NOTHING;
	case LINK_PROPAGATES_RELOAD_TO:
		return happening == LINK_ASKED_RELOAD ? LINK_RELOAD : LINK_NOTHING;
	case LINK_PROPAGATES_STOP_TO:
		return happening == LINK_ASKED_STOP ? LINK_STOP : LINK_NOTHING;
	case LINK_AFTER:
	case LINK_BEFORE:
	case LINK_REQUISITE:
	case LINK_PART_OF:
	case LINK_RELOAD_PROPAGATED_FROM:
	case LINK_STOP_PROPAGATED_FROM:
	case LINK_RELATIONS: break;
	}
	return LINK_NOTHING;
}

/* A stop or a restart by hand reaches all that stand on the unit. */
static enum link_effect effect_of_hand(enum link_happening happening)
{
	if (happening == LINK_ASKED_STOP) {
		return LINK_STOP;
	}
	return happening == LINK_ASKED_RESTART ? LINK_RESTART : LINK_NOTHING;
}

static enum link_effect effect_on_bound(enum link_happening happening)
{
	if (happening == LINK_DOWN || happening == LINK_STOPPED) {
		return LINK_PARK;
	}
	return happening == LINK_UP ? LINK_UNPARK : effect_of_hand(happening);
}

static enum link_effect effect_on_upheld(enum link_happening happening)
{
	bool stays_down =
		happening == LINK_STOPPED || happening == LINK_FAILED || happening == LINK_DONE;
	return stays_down ? LINK_START_AGAIN : LINK_NOTHING;
}

/* What happens to the unit that is named: somebody else's Requires=, BindsTo= … */
static enum link_effect effect_on_namer(enum link_relation relation, enum link_happening happening)
{
	switch (relation) {
	case LINK_REQUIRES:
	case LINK_REQUISITE:
	case LINK_PART_OF: return effect_of_hand(happening);
	case LINK_BINDS_TO: return effect_on_bound(happening);
	case LINK_UPHOLDS: return effect_on_upheld(happening);
	case LINK_CONFLICTS:
		return happening == LINK_ASKED_START || happening == LINK_STARTING ? LINK_STOP
										   : LINK_NOTHING;
	case LINK_RELOAD_PROPAGATED_FROM:
		return happening == LINK_ASKED_RELOAD ? LINK_RELOAD : LINK_NOTHING;
	case LINK_STOP_PROPAGATED_FROM:
		return happening == LINK_ASKED_STOP ? LINK_STOP : LINK_NOTHING;
	case LINK_AFTER:
	case LINK_BEFORE:
	case LINK_WANTS:
	case LINK_ON_FAILURE:
	case LINK_ON_SUCCESS:
	case LINK_PROPAGATES_RELOAD_TO:
	case LINK_PROPAGATES_STOP_TO:
	case LINK_RELATIONS: break;
	}
	return LINK_NOTHING;
}

enum link_effect link_effect(enum link_relation relation, bool names, enum link_happening happening)
{
	CHECK(relation < LINK_RELATIONS && happening <= LINK_HAPPENINGS);
	return names ? effect_on_named(relation, happening) : effect_on_namer(relation, happening);
}

/* systemd.unit(5): Requisite= fails a start unless the other one is active, BindsTo= with After=
 * does too, Requires= with After= when the other one's start has failed. */
bool link_forbids_start(enum link_relation relation, bool after, enum tree_state other)
{
	bool down = other == STATE_STOPPED || other == STATE_FAILED || other == STATE_DONE;
	switch (relation) {
	case LINK_REQUISITE: return other != STATE_RUNNING;
	case LINK_BINDS_TO: return after && down;
	case LINK_REQUIRES: return after && other == STATE_FAILED;
	case LINK_AFTER:
	case LINK_BEFORE:
	case LINK_WANTS:
	case LINK_PART_OF:
	case LINK_CONFLICTS:
	case LINK_UPHOLDS:
	case LINK_ON_FAILURE:
	case LINK_ON_SUCCESS:
	case LINK_PROPAGATES_RELOAD_TO:
	case LINK_RELOAD_PROPAGATED_FROM:
	case LINK_PROPAGATES_STOP_TO:
	case LINK_STOP_PROPAGATED_FROM:
	case LINK_RELATIONS: break;
	}
	return false;
}

/* The end of a supervisor is NOTE_END; what its own supervisor says of it comes behind that. One
 * that gives up has failed, although OTP calls this end a normal one. */
static enum link_happening happening_of_supervisor(const struct tree_order *note)
{
	switch ((enum tree_note)note->note) {
	case NOTE_BEGIN: return LINK_STARTING;
	case NOTE_RUNNING: return LINK_UP;
	case NOTE_END:
	case NOTE_COOLING: return LINK_DOWN;
	case NOTE_STOPPED: return LINK_STOPPED;
	case NOTE_GAVE_UP:
	case NOTE_FAILED: return LINK_FAILED;
	case NOTE_DONE: return note->cause == CAUSE_INTENSITY ? LINK_HAPPENINGS : LINK_DONE;
	case NOTE_STARTING:
	case NOTE_EXITED:
	case NOTE_START_FAILED:
	case NOTE_SKIPPED:
	case NOTE_RESTARTING:
	case NOTE_WAITING:
	case NOTE_STOPPING:
	case NOTE_RELOADED:
	case NOTE_STUCK:
	case NOTE_HEALTHY:
	case NOTE_UNHEALTHY:
	case NOTE_ACTION:
	case NOTE_COUNT: break;
	}
	return LINK_HAPPENINGS;
}

static enum link_happening happening_of_service(const struct tree_order *note)
{
	switch ((enum tree_note)note->note) {
	case NOTE_STARTING: return LINK_STARTING;
	case NOTE_RUNNING: return LINK_UP;
	case NOTE_EXITED: return note->on ? LINK_HAPPENINGS : LINK_DOWN;
	case NOTE_START_FAILED: return LINK_DOWN;
	case NOTE_STOPPED: return LINK_STOPPED;
	case NOTE_FAILED: return LINK_FAILED;
	case NOTE_DONE: return LINK_DONE;
	case NOTE_BEGIN:
	case NOTE_END:
	case NOTE_COOLING:
	case NOTE_GAVE_UP:
	case NOTE_SKIPPED:
	case NOTE_RESTARTING:
	case NOTE_WAITING:
	case NOTE_STOPPING:
	case NOTE_RELOADED:
	case NOTE_STUCK:
	case NOTE_HEALTHY:
	case NOTE_UNHEALTHY:
	case NOTE_ACTION:
	case NOTE_COUNT: break;
	}
	return LINK_HAPPENINGS;
}

enum link_happening link_happening_of(const struct tree_order *note, bool is_supervisor)
{
	if (note->parked) {
		return LINK_HAPPENINGS;
	}
	return is_supervisor ? happening_of_supervisor(note) : happening_of_service(note);
}
