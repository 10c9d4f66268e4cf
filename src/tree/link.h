/*
 * What units do to each other: Requires=, BindsTo=, PartOf= and their like, as one pure table.
 *
 * What it owns: for each relation and each thing that happens to a unit, what is done to the other
 * one. What it never does: find units, follow chains of them, or touch the tree; the manager does
 * (links.c), and hands the core ordinary events.
 *
 * systemd knows two ways in which one unit acts on another, and so does this table. What is asked
 * by hand (a start, a stop, a restart, a reload) is propagated before it is done. What happens by
 * itself (a unit is up, is down, has failed) is followed by all whom it concerns.
 *
 * Where systemd stops a unit for good because the one it is bound to has crashed, here it comes
 * back together with that one if a supervisor brings that one back (PARK and UNPARK): a link of
 * OTP is BindsTo= in both directions.
 *
 * Source of rules: systemd.unit(5), and its table of what Requires=, BindsTo=, PartOf= and
 * Requisite= propagate.
 */
#ifndef TREE_LINK_H
#define TREE_LINK_H

#include "tree/tree.h"

/* Equal to enum unit_relation, which the manager asserts. */
enum link_relation {
	LINK_AFTER,
	LINK_BEFORE,
	LINK_REQUIRES,
	LINK_REQUISITE,
	LINK_WANTS,
	LINK_BINDS_TO,
	LINK_PART_OF,
	LINK_CONFLICTS,
	LINK_UPHOLDS,
	LINK_ON_FAILURE,
	LINK_ON_SUCCESS,
	LINK_PROPAGATES_RELOAD_TO,
	LINK_RELOAD_PROPAGATED_FROM,
	LINK_PROPAGATES_STOP_TO,
	LINK_STOP_PROPAGATED_FROM,
	LINK_RELATIONS
};

/* What happens to a unit. */
enum link_happening {
	LINK_ASKED_START, /* by hand, before it is done */
	LINK_ASKED_STOP,
	LINK_ASKED_RESTART,
	LINK_ASKED_RELOAD,
	LINK_STARTING, /* by whomever */
	LINK_UP,
	LINK_DOWN,    /* by itself, for good or not */
	LINK_STOPPED, /* it was told to */
	LINK_FAILED,  /* down for good, abnormally; LINK_DOWN came before */
	LINK_DONE,    /* down for good, normally; LINK_DOWN came before */
	LINK_HAPPENINGS
};

/* What is done to the other one. */
enum link_effect {
	LINK_NOTHING,
	LINK_START,
	LINK_STOP,
	LINK_RESTART,
	LINK_RELOAD,
	LINK_PARK,        /* stopped until the first is up again */
	LINK_UNPARK,      /* … which it is */
	LINK_START_AGAIN, /* the unit itself is started again, if the other one is up */
};

/* `names`: the unit to which it happens is the one whose file has the relation; else the other
 * one's has it, and names this unit. */
enum link_effect link_effect(
	enum link_relation relation, bool names, enum link_happening happening);

/* Whether a unit with this relation to another may not start while that is in this state. `after`:
 * it is also ordered After= that. */
bool link_forbids_start(enum link_relation relation, bool after, enum tree_state other);

/* What a note means for the units around; LINK_HAPPENINGS: nothing. A unit that was parked goes
 * down for a reason that has been followed already. */
enum link_happening link_happening_of(const struct tree_order *note, bool is_supervisor);

#endif
