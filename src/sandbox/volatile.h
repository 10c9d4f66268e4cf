/*
 * What a service has only while it runs: its RuntimeDirectory= and its private /tmp.
 *
 * What it owns: the record of them, RUN/volatile/UNIT/ below coppice's own run-time directory. In
 * it are symbolic links: "id" says which incarnation they belong to (INVOCATION_ID), each other one
 * where something is that is to be removed. A link is made before what it names, and goes after
 * it: so whoever is killed in between, nothing is forgotten, and to do it again does no harm.
 * What it never does: remove beyond a mount, or follow a link that the service can have made.
 *
 * coppice-exec makes them, and clears away what an earlier incarnation left (a restart is faster
 * than a turn of the manager); the manager removes them when the unit is down. The names:
 *
 *     t0 t1   the private /tmp and /var/tmp
 *     r0 …    goes at each end           (RuntimeDirectoryPreserve=no)
 *     k0 …    goes when the unit is stopped (RuntimeDirectoryPreserve=restart)
 */
#ifndef SANDBOX_VOLATILE_H
#define SANDBOX_VOLATILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sandbox;

/* --- in coppice-exec --- */

/* Opens the record of this unit and clears what is of another incarnation. Nothing that goes wrong
 * here is a reason not to start. */
void volatile_begin(const struct sandbox *s);
/* A directory (or a link to it) is about to be made that is to go away. */
void volatile_note(const char *path, bool kept);
/* Makes the private directory for /tmp (0) and /var/tmp (1), or finds the one that this incarnation
 * has; NULL from volatile_private_tmp() when there is none. */
void volatile_make_tmp(const struct sandbox *s);
const char *volatile_private_tmp(int which);
void volatile_end(void);

/* --- in the manager --- */

/* Removes what a unit that is down has left, at most `budget` entries; `stopped`: also what is kept
 * across a restart. Returns 0 when nothing is left, -EAGAIN when there is more to do, or -errno
 * when something cannot be removed (it is forgotten then). */
int volatile_sweep(const char *run_directory, const char *unit, bool stopped, uint32_t budget);

/* Calls back for each unit that has a record. Returns 0 or -errno. */
int volatile_list(
	const char *run_directory, void (*found)(void *context, const char *unit), void *context);

/* --- the record itself --- */

/* Opens it, or -errno; `make`: a new one if there is none. */
int volatile_open(const char *run_directory, const char *unit, bool make);
/* What a link in it says; false when there is none. */
bool volatile_read(int record, const char *name, char *out, size_t size);
/* Removes what its links name, and the links; takes from the budget what it did. 0, -EAGAIN when
 * there is more to do, or -errno when something cannot be removed. */
int volatile_clear(int record, bool stopped, uint32_t *budget);

#endif
