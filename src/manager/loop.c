#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/log.h"
#include "base/span.h"
#include "manager/cgroup.h"
#include "manager/manager.h"

#define EVENTS_MAX 64
/* Events given to the core at one go. Each may start a process, and a start that goes well is an
 * event: without a bound, a tree of thousands would boot before anybody is answered. */
#define EVENTS_A_RUN 64
/* Timers that fire in one turn; the rest follows after a look at the deaths. */
#define TIMERS_A_TURN 256

uint64_t loop_clock(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NS_PER_SEC + (uint64_t)now.tv_nsec;
}

int loop_watch(struct manager *m, int fd, enum watch_kind kind, uint32_t value, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.u64 = (uint64_t)kind << 32 | value};
	return epoll_ctl(m->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

void loop_unwatch(struct manager *m, int fd)
{
	epoll_ctl(m->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
}

/* --- events of the core --- */

static void queue_grow(struct manager *m)
{
	uint32_t room = m->queue_room == 0 ? 1024 : m->queue_room * 2;
	struct pending_event *queue = malloc(room * sizeof(*queue));
	/* A fact of the kernel may not be lost. The manager crashes, and comes back with it. */
	CHECK(queue != NULL);
	for (uint32_t i = 0; i < m->queue_count; i++) {
		queue[i] = m->queue[(m->queue_first + i) % m->queue_room];
	}
	free(m->queue);
	m->queue = queue;
	m->queue_first = 0;
	m->queue_room = room;
}

static uint64_t journal_event(
	struct manager *m, const struct tree_event *event, uint64_t order, uint64_t death)
{
	struct journal_event *record = journal_begin(&m->journal, JOURNAL_EVENT, sizeof(*record));
	if (record == NULL) {
		return 0;
	}
	record->order = order;
	record->death = death;
	record->event = *event;
	return journal_finish(&m->journal, sizeof(*record));
}

void manager_post(struct manager *m, struct tree_event *event, uint64_t order, uint64_t death)
{
	event->time_ns = m->now;
	if (m->queue_count == m->queue_room) {
		queue_grow(m);
	}
	uint32_t at = (m->queue_first + m->queue_count) % m->queue_room;
	m->queue[at].event = *event;
	m->queue[at].sequence = journal_event(m, event, order, death);
	m->queue_count++;
}

static void event_step(struct manager *m, const struct pending_event *pending)
{
	struct journal_header *header = m->journal.header;
	trace_event(m, &pending->event);
	if (header != NULL) {
		atomic_store_explicit(&header->stepping, pending->sequence, memory_order_relaxed);
	}
	bool more = tree_step(m->tree, &pending->event, &m->orders);
	for (;;) {
		orders_carry_out(m);
		if (!more) {
			break;
		}
		more = tree_continue(m->tree, &m->orders);
	}
	if (header != NULL) {
		atomic_store_explicit(&header->stepping, 0, memory_order_relaxed);
	}
	m->notes_made = true;
	struct node *node = node_at(m, pending->event.node);
	if (node != NULL && node->definition_next != NULL) {
		reload_apply_waiting(m, node);
	}
}

void manager_replay(struct manager *m, const struct tree_event *event, uint64_t sequence)
{
	struct pending_event pending = {.event = *event, .sequence = sequence};
	event_step(m, &pending);
}

static void queue_run(struct manager *m, uint32_t most)
{
	if (m->running_queue) {
		return;
	}
	m->running_queue = true;
	while (m->queue_count > 0 && most-- > 0) {
		struct pending_event pending = m->queue[m->queue_first];
		m->queue_first = (m->queue_first + 1) % m->queue_room;
		m->queue_count--;
		event_step(m, &pending);
	}
	m->running_queue = false;
}

void manager_run(struct manager *m)
{
	queue_run(m, EVENTS_A_RUN);
}

void manager_run_all(struct manager *m)
{
	while (m->queue_count > 0 && !m->running_queue) {
		queue_run(m, EVENTS_A_RUN);
	}
}

/* --- timers --- */

#define OWNER(timer, type, member) ((type *)(void *)((char *)(timer)-offsetof(type, member)))

static void timer_fire(struct manager *m, struct timer *timer)
{
	timers_clear(&m->timers, timer);
	switch ((enum timer_kind)timer->kind) {
	case TIMER_DEADLINE: {
		struct node *node = OWNER(timer, struct node, deadline);
		struct tree_event event = {
			.kind = EV_TIMER, .node = node->index, .generation = node->generation};
		manager_post(m, &event, 0, 0);
		break;
	}
	case TIMER_SEARCH: find_main_again(m, OWNER(timer, struct node, search)); break;
	case TIMER_WAITER: stream_waiter_timeout(m, timer); break;
	case TIMER_WATCHDOG: watchdog_fire(m, OWNER(timer, struct node, watchdog)); break;
	case TIMER_PROBE: health_timer(m, timer); break;
	case TIMER_ADOPT: adopt_finish(m); break;
	case TIMER_STRAYS: break; /* looked at in every turn */
	case TIMER_TRAFFIC: sockets_resume(m, timer); break;
	}
	manager_run(m);
}

static void timers_fire(struct manager *m)
{
	for (int i = 0; i < TIMERS_A_TURN; i++) {
		struct timer *timer = timers_first(&m->timers);
		if (timer == NULL || timer->deadline_ns > m->now) {
			return;
		}
		timer_fire(m, timer);
	}
}

/* --- turns --- */

static void dispatch(struct manager *m, uint64_t what)
{
	uint32_t value = (uint32_t)what;
	switch ((enum watch_kind)(what >> 32)) {
	case WATCH_DEATH: break; /* looked at in every turn; edge-triggered, so never read */
	case WATCH_KEEPER: keeper_dispatch(m); break;
	case WATCH_CONTROL: control_server_dispatch(m->server); break;
	case WATCH_NOTIFY: {
		struct node *node = node_at(m, value);
		if (node != NULL && node->notify_fd >= 0) {
			notify_drain(m, node);
		}
		break;
	}
	case WATCH_READY:
		if (node_at(m, value) != NULL) {
			ready_pipe_read(m, node_at(m, value));
		}
		break;
	case WATCH_PROBE:
		if (node_at(m, value) != NULL) {
			health_dispatch(m, node_at(m, value));
		}
		break;
	case WATCH_PIDFD: orphaned_ended(m, value); break;
	case WATCH_MISSES: misses_drain(m); break;
	case WATCH_SOCKET:
		if (node_at(m, value) != NULL) {
			sockets_came(m, node_at(m, value));
		}
		break;
	case WATCH_CGROUPS: cgroups_dispatch(m); break;
	case WATCH_STORED:
		if (node_at(m, value) != NULL) {
			fdstore_look(m, node_at(m, value));
		}
		break;
	}
	manager_run(m);
}

/* The log is long: the next moment without news is for a snapshot. */
static bool snapshot_is_due(const struct manager *m)
{
	return journal_is_long(&m->journal) && !m->snapshot_failed;
}

static int wait_for_news(struct manager *m, struct epoll_event *events)
{
	static const struct timer at_once = {0};
	const struct timer *first = m->queue_count > 0 || deaths_wait(m) || snapshot_is_due(m) ||
						    sweep_waits(m) || strays_wait(m)
					    ? &at_once
					    : timers_first(&m->timers);
	struct timespec span = {0};
	if (first != NULL) {
		uint64_t now = loop_clock();
		uint64_t left = first->deadline_ns > now ? first->deadline_ns - now : 0;
		span.tv_sec = (time_t)(left / NS_PER_SEC);
		span.tv_nsec = (long)(left % NS_PER_SEC);
	}
	int count =
		epoll_pwait2(m->epoll_fd, events, EVENTS_MAX, first == NULL ? NULL : &span, NULL);
	if (count < 0 && errno == ENOSYS) {
		int ms =
			first == NULL ? -1 : (int)(span.tv_sec * 1000 + span.tv_nsec / 1000000 + 1);
		count = epoll_wait(m->epoll_fd, events, EVENTS_MAX, ms);
	}
	return count;
}

/* Work that can wait until nothing else is to be done, and must not wait for ever. */
static void keep_house(struct manager *m, bool busy)
{
	if (m->reload_wanted) {
		m->reload_wanted = false;
		reload_units(m, false, NULL);
		manager_run(m);
	}
	reload_go_on(m);
	sweep_go_on(m);
	strays_go_on(m);
	if (journal_is_very_long(&m->journal) || (!busy && snapshot_is_due(m))) {
		snapshot_take(m);
	}
}

int loop_run(struct manager *m)
{
	struct epoll_event events[EVENTS_MAX];
	while (!m->ended) {
		sockets_settle(m);
		int count = wait_for_news(m, events);
		m->now = loop_clock();
		if (!m->keeper_gone) {
			deaths_drain(m);
		}
		manager_run(m);
		for (int i = 0; i < count; i++) {
			dispatch(m, events[i].data.u64);
		}
		timers_fire(m);
		if (m->notes_made) {
			stream_check_waiters(m);
			stream_flush(m);
		}
		keep_house(m, count > 0);
		if (getppid() != m->share->keeper_pid && !m->keeper_gone) {
			orphaned_begin(m);
			manager_run(m);
		}
	}
	if (m->server != NULL) {
		control_server_flush(m->server, 200);
	}
	return m->end_status;
}
