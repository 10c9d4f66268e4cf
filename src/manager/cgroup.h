/*
 * A cgroup a unit, and what is left of a unit that has none.
 *
 * What it owns: our own subtree of the hierarchy (made once, held by the keeper), the groups in it,
 * the watch for what the kernel kills there; and, where there are no groups, the search for
 * processes that got away from their unit's process group (strays.c). What it never does: decide
 * when a unit starts or ends, or why.
 *
 * Where cgroup v2 cannot be written, nothing here does anything: process groups and resource limits
 * do what they can.
 */
#ifndef MANAGER_CGROUP_H
#define MANAGER_CGROUP_H

#include "manager/manager.h"
#include "process/cgroup.h"

/* "no": coppice makes no cgroups. */
#define CGROUPS_ENV "COPPICE_CGROUPS"

/* Begins: takes over what the keeper holds, or makes it. Goes on without when it cannot. */
void cgroups_begin(struct manager *m, struct held *held);
/* The tree has ended: all of it is taken away again. */
void cgroups_end(struct manager *m);
void cgroups_free(struct manager *m);
/* The kernel says something about one of the groups. */
void cgroups_dispatch(struct manager *m);

/* Sets the group that a process of the node is to be in (the caller closes it), or -1. `first`: the
 * first process of a start, before which the group is made or cleared. */
void cgroup_for_spawn(struct manager *m, struct node *node, const struct tree_order *order,
	bool first, struct process_spawn *spawn);
/* The node's group as it is, or -1; the caller closes it. */
int cgroup_of_node(struct manager *m, const struct node *node);
/* Its path from the root of the mount; NULL when it has none. In a buffer that the next call uses.
 */
const char *cgroup_path_of(struct manager *m, const struct node *node);
/* A signal to all processes of the node but its main one. False: it has no group. */
bool cgroup_signal_others(struct manager *m, struct node *node, int signo);
/* The unit has ended: what is left in its group is killed, unless its KillMode= says otherwise; the
 * group itself goes when the unit stays down. False: it has no group. */
bool cgroup_ended(struct manager *m, struct node *node);
/* A process was killed by SIGKILL: true when that was for want of memory. */
bool cgroup_was_oom(struct manager *m, struct node *node);
void cgroup_leave(struct manager *m, struct node *node);

/* --- strays.c --- */

/* What is left of the node's last start is to be looked for, in a moment. */
void strays_want(struct manager *m, struct node *node);
/* Before a start: at once, for a unit of which something was left before. */
void strays_before_start(struct manager *m, struct node *node);
bool strays_wait(const struct manager *m); /* there is something to do now */
void strays_go_on(struct manager *m);
void strays_leave(struct manager *m, struct node *node);
void strays_free(struct manager *m);
/* Whether there may be living processes of the node that are in no slot. */
bool strays_any(struct manager *m, const struct node *node);

#endif
