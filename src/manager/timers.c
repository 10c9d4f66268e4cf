#include "manager/timers.h"

#include <errno.h>
#include <stdlib.h>

#include "base/check.h"

void timer_init(struct timer *timer, enum timer_kind kind)
{
	*timer = (struct timer){.place = TIMER_NOT_ARMED, .kind = (uint8_t)kind};
}

int timers_reserve(struct timers *timers, int32_t change)
{
	CHECK(change >= 0 || timers->owners >= (uint32_t)-change);
	uint32_t owners = timers->owners + (uint32_t)change;
	if (owners > timers->room) {
		uint32_t room = owners + owners / 2 + 16;
		struct timer **heap = realloc(timers->heap, room * sizeof(struct timer *));
		if (heap == NULL) {
			return -ENOMEM;
		}
		timers->heap = heap;
		timers->room = room;
	}
	timers->owners = owners;
	return 0;
}

void timers_finish(struct timers *timers)
{
	free(timers->heap);
	*timers = (struct timers){0};
}

static void put(struct timers *timers, uint32_t place, struct timer *timer)
{
	timers->heap[place] = timer;
	timer->place = place;
}

static void rise(struct timers *timers, uint32_t place, struct timer *timer)
{
	while (place > 0) {
		uint32_t above = (place - 1) / 2;
		if (timers->heap[above]->deadline_ns <= timer->deadline_ns) {
			break;
		}
		put(timers, place, timers->heap[above]);
		place = above;
	}
	put(timers, place, timer);
}

static void sink(struct timers *timers, uint32_t place, struct timer *timer)
{
	for (;;) {
		uint32_t below = place * 2 + 1;
		if (below >= timers->count) {
			break;
		}
		if (below + 1 < timers->count &&
			timers->heap[below + 1]->deadline_ns < timers->heap[below]->deadline_ns) {
			below++;
		}
		if (timers->heap[below]->deadline_ns >= timer->deadline_ns) {
			break;
		}
		put(timers, place, timers->heap[below]);
		place = below;
	}
	put(timers, place, timer);
}

void timers_set(struct timers *timers, struct timer *timer, uint64_t deadline_ns)
{
	if (timer->place == TIMER_NOT_ARMED) {
		CHECK(timers->count < timers->room);
		timer->deadline_ns = deadline_ns;
		rise(timers, timers->count++, timer);
		return;
	}
	CHECK(timers->heap[timer->place] == timer);
	bool later = deadline_ns > timer->deadline_ns;
	timer->deadline_ns = deadline_ns;
	if (later) {
		sink(timers, timer->place, timer);
	} else {
		rise(timers, timer->place, timer);
	}
}

void timers_clear(struct timers *timers, struct timer *timer)
{
	if (timer->place == TIMER_NOT_ARMED) {
		return;
	}
	uint32_t place = timer->place;
	CHECK(timers->heap[place] == timer);
	struct timer *last = timers->heap[--timers->count];
	timer->place = TIMER_NOT_ARMED;
	if (last == timer) {
		return;
	}
	if (place > 0 && timers->heap[(place - 1) / 2]->deadline_ns > last->deadline_ns) {
		rise(timers, place, last);
	} else {
		sink(timers, place, last);
	}
}

struct timer *timers_first(const struct timers *timers)
{
	return timers->count == 0 ? NULL : timers->heap[0];
}
