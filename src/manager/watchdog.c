#include "base/span.h"
#include "manager/manager.h"

/* A service that speaks faster than it is heard cannot put its watchdog off by that. */
#define DRAINS_MAX 16

/* WatchdogSec=. The core says when a watchdog is armed, and with which span; that it is kept quiet
 * only moves a deadline here: no event, no journal. A new manager begins with a whole span. */

void watchdog_order(struct manager *m, struct node *node, uint64_t span_ns)
{
	node->watchdog_ns = span_ns;
	if (span_ns == 0) {
		timers_clear(&m->timers, &node->watchdog);
	} else {
		watchdog_quiet(m, node);
	}
}

void watchdog_quiet(struct manager *m, struct node *node)
{
	uint64_t deadline = span_add(m->now, node->watchdog_ns);
	if (node->watchdog_ns != 0) {
		timers_set(&m->timers, &node->watchdog,
			deadline > node->watchdog_least_ns ? deadline : node->watchdog_least_ns);
	}
}

void watchdog_extend(struct manager *m, struct node *node, uint64_t span_ns)
{
	uint64_t deadline = span_add(m->now, span_ns);
	if (deadline == SPAN_INFINITY || deadline < node->watchdog_least_ns) {
		return;
	}
	/* It may be armed in a moment: by a READY=1 that came just before. */
	node->watchdog_least_ns = deadline;
	if (node->watchdog.place != TIMER_NOT_ARMED && deadline > node->watchdog.deadline_ns) {
		timers_set(&m->timers, &node->watchdog, deadline);
	}
}

void watchdog_bite(struct manager *m, struct node *node)
{
	struct tree_view view;
	tree_look(m->tree, node->index, m->now, &view);
	struct tree_event event = {.kind = EV_FAIL,
		.node = node->index,
		.generation = node->generation,
		.incarnation = view.incarnation,
		.end = {.reason = REASON_WATCHDOG}};
	manager_post(m, &event, 0, 0);
}

void watchdog_fire(struct manager *m, struct node *node)
{
	/* What lies in its socket has been said in time: a manager that was held up must not make
	 * that a service's fault. */
	for (int i = 0; node->notify_fd >= 0 && i < DRAINS_MAX && notify_drain(m, node); i++) {
	}
	if (node->watchdog.place == TIMER_NOT_ARMED && node->watchdog_ns != 0) {
		watchdog_bite(m, node);
	}
}

void watchdogs_resume(struct manager *m)
{
	for (uint32_t i = 0; i < m->nodes_room; i++) {
		struct tree_view view;
		if (m->nodes[i] != NULL) {
			tree_look(m->tree, i, m->now, &view);
			if (view.watchdog_ns != 0) {
				watchdog_order(m, m->nodes[i], view.watchdog_ns);
			}
		}
	}
}
