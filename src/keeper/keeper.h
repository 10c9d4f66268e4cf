/*
 * The keeper: what runs as process 1 (of a container, of a machine) or as the top of a tree of
 * ordinary processes, where it is a child subreaper.
 *
 * What it owns: every child process, as the one who reaps it; the shared memory and the journal's
 * memfd; the descriptors that must outlive a manager; the manager's life.
 * What it never does: parse (but the options of its own command line), allocate memory once it has
 * started, know what a unit is, end as process 1 before the tree has ended.
 *
 * The files, one a concern:
 *   keeper.c     start, the loop, log lines that cannot block
 *   signals.c    signals that arrive, faults of our own
 *   reap.c       deaths: peek, publish, reap
 *   manager.c    start the manager, messages with it, descriptors it has us hold, and the ladder
 *                when it keeps dying
 *   caretaker.c  without a manager: notify messages, the ordered stop; the end of everything
 *   command.c    `coppice -- COMMAND`, which uses none of the others
 *
 *   manager's life:   (start) → running → READY → … death
 *                        ↑                            │ killed from outside: at once, free of
 * charge ├── at once ── back-off ── without the journal ── caretaker, and from └──────────── time
 * to time a trial, without the journal ─┘
 */
#ifndef KEEPER_KEEPER_H
#define KEEPER_KEEPER_H

#include <stdbool.h>
#include <stdint.h>

/* The texts must outlive the keeper. */
struct keeper_config {
	const char *manager;       /* path of the program */
	char *const *manager_argv; /* its arguments, NULL at the end */
	uint64_t backoff_first_ns; /* 100 ms: the second bad death in a row, doubled from then … */
	uint64_t backoff_last_ns;  /* 5 s: … up to this */
	uint64_t caretaker_retry_ns; /* 30 s: first trial as caretaker, doubled up to ten times this
				      */
	uint64_t proven_ns;   /* 10 s: a manager that was ready this long resets the ladder */
	uint64_t leftover_ns; /* 2 s: what is left at the end has this long after SIGTERM */
};

#define KEEPER_TIMES                                                                      \
	.backoff_first_ns = UINT64_C(100000000), .backoff_last_ns = UINT64_C(5000000000), \
	.caretaker_retry_ns = UINT64_C(30000000000), .proven_ns = UINT64_C(10000000000),  \
	.leftover_ns = UINT64_C(2000000000)

/* Starts the manager and keeps the tree until it has ended. Returns the exit status of the program.
 * Call it once, early: it closes descriptors from 3 on and blocks signals. */
int keeper_run(const struct keeper_config *config);

struct keeper_command {
	char *const *argv;  /* NULL at the end */
	bool group;         /* pass signals to the command's process group */
	bool warn;          /* say which orphans are reaped */
	int parent_signal;  /* 0, or what we get when our own parent dies */
	bool expected[256]; /* exit statuses that become 0 */
};

/* Runs one command as its init: passes signals on, reaps orphans, hands the terminal over. Returns
 * the command's exit status; 128 + N for its death by signal N; 127 when it was not found, 126 when
 * it could not be executed. */
int keeper_command(const struct keeper_command *config);

#endif
