/*
 * Deadlines: a binary heap of pointers, the earliest first.
 *
 * What it owns: the order of the armed timers. A timer lives inside its owner and knows its place
 * in the heap, so that moving or taking back a deadline costs O(log n) and no search. What it never
 * does: tick, or allocate when a timer is armed: timers_reserve() is called when an owner is made.
 */
#ifndef MANAGER_TIMERS_H
#define MANAGER_TIMERS_H

#include <stdbool.h>
#include <stdint.h>

#define TIMER_NOT_ARMED UINT32_MAX

enum timer_kind {
	TIMER_DEADLINE, /* a node's deadline in the core */
	TIMER_SEARCH,   /* the next look for a main process */
	TIMER_WAITER,   /* a client's Wait */
	TIMER_WATCHDOG, /* a service has not kept it quiet */
	TIMER_PROBE,    /* a health check, or the limit of one */
	TIMER_ADOPT,    /* what nobody has claimed after a start without the journal */
	TIMER_STRAYS,   /* the next search for what got away */
	TIMER_TRAFFIC,  /* a socket that brings too many connections */
};

struct timer {
	uint64_t deadline_ns;
	uint32_t place; /* in the heap; TIMER_NOT_ARMED */
	uint8_t kind;   /* enum timer_kind */
};

struct timers {
	struct timer **heap;
	uint32_t count, room, owners;
};

void timer_init(struct timer *timer, enum timer_kind kind);

/* Makes room for so many more timers (or fewer, below zero). 0 or -ENOMEM. */
int timers_reserve(struct timers *timers, int32_t change);
void timers_finish(struct timers *timers);

/* Arms, or moves. Room has been reserved. */
void timers_set(struct timers *timers, struct timer *timer, uint64_t deadline_ns);
/* Takes back; one that is not armed is left alone. */
void timers_clear(struct timers *timers, struct timer *timer);

/* The earliest, or NULL; it stays armed. */
struct timer *timers_first(const struct timers *timers);

#endif
