/*
 * The keeper's own state: one static structure, and the calls between its files. All of it is
 * either rebuilt at a start or of no weight; what must survive is in share.h's memory.
 */
#ifndef KEEPER_STATE_H
#define KEEPER_STATE_H

#include "base/log.h"
#include "base/span.h"
#include "keeper/keeper.h"
#include "share/share.h"

#include <signal.h>
#include <sys/resource.h>

/* Our descriptors stand at fixed numbers; those the manager gets stand at the manager's numbers. */
enum keeper_fd {
	KEEPER_FD_EPOLL = SHARE_FD_KEEPER, /* replaced by the socket in the manager */
	KEEPER_FD_SIGNALS = 7,
};

struct keeper {
	struct keeper_config config;
	struct share *share;
	bool pid1;
	bool childless; /* the last sweep found that we have no child at all */

	/* The end: `ending` from the manager's END or FATAL, with the exit status. */
	bool ending;
	bool stop_alone; /* the caretaker, or a third signal: stop everything without the manager */
	int exit_status;

	/* The manager. Times are SPAN_INFINITY when there is none. */
	pid_t manager_pid;  /* 0: none runs */
	int manager_socket; /* -1: none */
	bool manager_ready, ever_ready;
	uint64_t ready_at_ns, start_at_ns;
	uint32_t bad;   /* deaths in a row that speak against the manager */
	uint32_t early; /* kills in a row before READY: only a delay, up to 1 s */
	bool caretaker;
	struct share_index names;
	struct rlimit nofile; /* what we were started with; our own limit is raised */

	/* What waits until the socket has room, in this order. */
	uint32_t give_next; /* next place of `names` to give; SHARE_NAMES_MAX: all given */
	bool crowded;       /* it had no room the last time */
	bool tell[SHARE_MSG_RELOAD - SHARE_MSG_GIVEN + 1]; /* by kind, from SHARE_MSG_GIVEN on */

	/* Reaping. */
	bool news;              /* records were written since the manager was woken */
	uint64_t sweep_at_ns;   /* when to ask for any dead child */
	uint64_t sweep_cost_ns; /* what the last sweep that found nothing took */
	uint32_t walk_slot;     /* where the walk through the slots goes on; 0: none under way */
	bool walk_wanted;       /* one more, for a signal that came since this one began */
	uint64_t walk_at_ns;    /* and not before */
	uint64_t
		reaped[SHARE_SLOTS_MAX]; /* the print of the start whose death was taken, by slot */
};

extern struct keeper keeper;

/* --- keeper.c --- */

uint64_t keeper_now(void);

/* A child by vfork(2) that `exec` turns into another program. Its pid, or -errno when there is none
 * or `exec` has returned. */
pid_t keeper_spawn(void (*exec)(const void *arg), const void *arg);

/* One turn of the loop: waits for news, at most until a time, and deals with it. */
void keeper_turn(uint64_t until_ns);

/* --- signals.c --- */

/* Blocks all but our own faults, gives those a handler, opens the signalfd. 0 or -errno. */
int signals_start(void);
void signals_read(void);

/* Whether a process that dies by it has died of itself. */
bool signals_is_fault(int signo);

/* --- reap.c --- */

/* A SIGCHLD: reaps the child it names, or 0, and sees to the deaths it stands for besides. */
void reap_signal(pid_t pid);

/* When to search for deaths that no signal has named, and a piece of that: what has to be done
 * besides gets its turn between two pieces. */
uint64_t reap_due(void);
void reap_search(void);

/* The last piece: whether there is any dead child, or any at all. */
void reap_sweep(void);

/* The ring has room again, or is out of use. */
void reap_resume(void);

/* No slot from here on was ever used. */
uint32_t reap_slots_end(void);

/* Whether this slot has a process of ours that is not reaped. */
bool reap_slot_alive(uint32_t slot);

/* --- manager.c --- */

/* Starts a manager. A failure counts as its death; for the first one it is the end, status 1. */
void manager_start(void);

/* The socket has news. */
void manager_listen(void);

/* Sends what waits, as far as the socket has room; `kind` waits from now on, or 0. */
void manager_tell(unsigned kind);

/* It has been reaped. */
void manager_died(int code, int status);

/* --- caretaker.c --- */

/* Listens to the notify sockets, or no more. */
void caretaker_hear(bool on);

/* Reads and drops what a notify socket has. */
void caretaker_drop(int fd);

/* Ends what there is. Without an END of the tree that is every slot, the last started first. */
void caretaker_finish(void);

#endif
