/*
 * Units that name each other: targets and who belongs to them, aliases, and what After=, Requires=
 * and their like come to in a tree.
 *
 * What it owns: the children of targets (links in NAME.wants/ and NAME.requires/, Wants= and
 * Requires= of the target, and what its members need), units on demand (OnFailure=, a socket's
 * service …), names that mean another unit, the order inside a target, contradictions between the
 * order of Children= and After=, and who has to do with whom (struct unit_peer). What it never
 * does: say what follows when a unit fails or stops; that is src/tree/link.h's.
 *
 * A unit has one parent: the first that names it. Units of systemd's own plumbing, and kinds of
 * units that there is no use for here, are left out of targets, and that is said once.
 *
 * Source of rules: systemd.unit(5), systemd.target(5), coppice.target(5).
 */
#ifndef UNIT_DEPEND_H
#define UNIT_DEPEND_H

#include "unit/load.h"

/* What a target is as a supervisor: one-for-one, and it stays when children fail. */
void depend_target_defaults(struct unit *target);

/* `name` becomes the unit that it is a symbolic link to. 0 or -ENOMEM. */
int depend_follow_alias(struct loader *loader, char name[UNIT_NAME_SIZE]);

/* build_find(), and a target of which there is nothing but links to its members. */
int depend_find(struct loader *loader, const char *name, const struct unit_spot *named,
	struct unit_definition **out);

/* Notes who is to be a child of a target. 0 or -ENOMEM. */
int depend_wish_members(struct loader *loader, struct load_node *target);

/* Loads the next of them: 1 (*out may be NULL), 0 at the end, or -ENOMEM. */
int depend_next_wish(struct loader *loader, struct load_node *target, struct load_node **out);

/* Everything after all that is named has been loaded. Errors are told. 0 or -ENOMEM. */
int depend_finish(struct loader *loader);

/* --- order.c --- */

/* "a is started after b", by After= of `a` or Before= of `b`. */
struct depend_edge {
	struct unit *from; /* a */
	struct unit *to;   /* b */
	struct unit *by;   /* in whose file it is said */
	uint8_t relation;
};
/* Checks Children= against the edges, and brings the children of targets into order. */
int depend_order(struct loader *loader, const struct depend_edge *edges, uint32_t count);

#endif
