#include "base/check.h"
#include "base/span.h"
#include "tree/internal.h"

static void timer_passed(struct tree *tree, uint32_t node)
{
	struct node *n = node_at(tree, node);
	if (n->rules->is_supervisor && !n->waiting) {
		supervisor_timer(tree, node);
		return;
	}
	if (n->waiting) {
		if (n->deadline_ns == 0 || tree->now < n->deadline_ns) {
			return;
		}
		n->deadline_ns = 0;
		n->waiting = false;
		mail_push(tree, n->parent,
			&(struct mail){.kind = MAIL_RETRY,
				.flag = n->counted,
				.node = node,
				.generation = n->generation});
		return;
	}
	bool was_stuck = n->service.stuck;
	struct service_out out = {0};
	service_timeout(&n->service, n->rules->service, tree->now, &out);
	child_absorb(tree, node, &out);
	if (n->service.stuck && !was_stuck) {
		note_push(tree, node, NOTE_STUCK);
	}
}

static void reload(struct tree *tree, const struct tree_event *event)
{
	struct node *n = node_at(tree, event->node);
	struct service_out out = {0};
	if (n->rules->is_supervisor || n->view != VIEW_RUNNING || n->reload_request != 0) {
		reply_push(tree, event->request, RESULT_NOT_RUNNING);
		return;
	}
	if (!service_reload(&n->service, n->rules->service, tree->now, &out)) {
		reply_push(tree, event->request, RESULT_NOT_RUNNING);
		return;
	}
	n->reload_request = event->request;
	child_absorb(tree, event->node, &out);
}

/* What a supervisor needs besides its children is not to be had: the sockets of a socket unit. It
 * ends as if a child could not be started, which its own supervisor sees as an abnormal end. */
static void supervisor_fail(struct tree *tree, const struct tree_event *e)
{
	struct node *p = node_at(tree, e->node);
	if (p->phase == SUP_STARTING || p->phase == SUP_UP) {
		p->culprit_end = e->end;
		supervisor_stop_all(tree, e->node, CAUSE_START_FAILED);
	}
}

/* A fact about a process of a service. */
static void service_event(struct tree *tree, const struct tree_event *e)
{
	struct node *n = node_at(tree, e->node);
	if (n->rules->is_supervisor && e->kind == EV_FAIL) {
		supervisor_fail(tree, e);
		return;
	}
	if (n->rules->is_supervisor ||
		(e->incarnation != 0 && e->incarnation != n->service.incarnation)) {
		return;
	}
	const struct service_rules *r = n->rules->service;
	struct service *s = &n->service;
	struct service_out out = {0};
	switch ((enum tree_event_kind)e->kind) {
	case EV_SPAWNED: service_spawned(s, r, e->role, e->flag, tree->now, &out); break;
	case EV_SPAWN_FAILED: service_spawn_failed(s, r, e->role, &e->end, tree->now, &out); break;
	case EV_SKIPPED: service_skipped(s, r, tree->now, &out); break;
	case EV_EXITED: service_exited(s, r, e->role, &e->end, tree->now, &out); break;
	case EV_READY: service_ready(s, r, tree->now, &out); break;
	case EV_MAIN_FOUND: service_main_found(s, r, e->flag, tree->now, &out); break;
	case EV_EXTEND: service_extend(s, r, e->span_ns, tree->now, &out); break;
	case EV_FAIL: service_fail(s, r, &e->end, tree->now, &out); break;
	case EV_RELOADING: service_reloading(s, r, e->span_ns, tree->now, &out); break;
	case EV_ENDING: service_stopping(s, r, tree->now, &out); break;
	case EV_WATCHDOG: service_watchdog(s, r, e->span_ns, tree->now, &out); break;
	case EV_PROBED: service_probed(s, r, e->flag, tree->now, &out); break;
	case EV_BOOT:
	case EV_TIMER:
	case EV_START:
	case EV_STOP:
	case EV_RESTART:
	case EV_RELOAD:
	case EV_DELETE:
	case EV_ADD:
	case EV_PARK:
	case EV_UNPARK:
	case EV_SHUTDOWN:
	case EV_COUNT: break;
	}
	child_absorb(tree, e->node, &out);
}

/* A restart of the root by hand that was asked for comes to nothing. */
static void root_again_forget(struct tree *tree)
{
	if (tree->root_again != 0) {
		reply_push(tree, tree->root_again - 1, RESULT_BROKEN_OFF);
		tree->root_again = 0;
	}
}

void tree_shut_down(struct tree *tree, bool now)
{
	struct node *root = node_at(tree, 0);
	if (root->phase == SUP_DOWN) {
		return;
	}
	if (now) {
		work_push(tree, WORK_KILL, 0);
	} else if (root->phase != SUP_STOPPING) {
		work_push_stop(tree, 0, SPAN_INFINITY);
	} else if (root->rules->supervisor->give_up == GIVE_UP_COOLDOWN) {
		root->cause = CAUSE_ORDERED; /* it was about to cool down, and to come back */
	}
}

/* The root has no supervisor to ask. */
static void root_request(struct tree *tree, const struct tree_event *e)
{
	struct node *root = node_at(tree, 0);
	switch ((enum tree_event_kind)e->kind) {
	case EV_STOP:
		root_again_forget(tree);
		tree_shut_down(tree, false);
		reply_push(tree, e->request, RESULT_OK);
		break;
	case EV_RESTART:
		if (tree->root_again != 0) {
			reply_push(tree, e->request, RESULT_RESTARTING);
		} else if (root->phase == SUP_UP || root->phase == SUP_STARTING) {
			tree->root_again = e->request + 1;
			tree_shut_down(tree, false);
		} else {
			reply_push(tree, e->request, RESULT_SUPERVISOR_DOWN);
		}
		break;
	case EV_START:
	case EV_DELETE:
	case EV_ADD:
	case EV_PARK:
	case EV_UNPARK: reply_push(tree, e->request, RESULT_RUNNING); break;
	case EV_BOOT:
	case EV_SPAWNED:
	case EV_SPAWN_FAILED:
	case EV_SKIPPED:
	case EV_EXITED:
	case EV_READY:
	case EV_MAIN_FOUND:
	case EV_EXTEND:
	case EV_FAIL:
	case EV_RELOADING:
	case EV_ENDING:
	case EV_WATCHDOG:
	case EV_PROBED:
	case EV_TIMER:
	case EV_RELOAD:
	case EV_SHUTDOWN:
	case EV_COUNT: break;
	}
}

static bool is_known(const struct tree *tree, const struct tree_event *e)
{
	return e->node < tree->nodes_count && tree->nodes[e->node].used &&
	       (e->generation == 0 || e->generation == tree->nodes[e->node].generation);
}

static void event_apply(struct tree *tree, const struct tree_event *e)
{
	if (!is_known(tree, e)) {
		reply_push(tree, e->request, RESULT_NOT_FOUND);
		return;
	}
	switch ((enum tree_event_kind)e->kind) {
	case EV_BOOT:
		if (node_at(tree, 0)->phase == SUP_DOWN && !tree->ended) {
			work_push(tree, WORK_START, 0);
		}
		break;
	case EV_SPAWNED:
	case EV_SPAWN_FAILED:
	case EV_SKIPPED:
	case EV_EXITED:
	case EV_READY:
	case EV_MAIN_FOUND:
	case EV_EXTEND:
	case EV_FAIL:
	case EV_RELOADING:
	case EV_ENDING:
	case EV_WATCHDOG:
	case EV_PROBED: service_event(tree, e); break;
	case EV_TIMER: timer_passed(tree, e->node); break;
	case EV_RELOAD: reload(tree, e); break;
	case EV_SHUTDOWN:
		root_again_forget(tree);
		tree_shut_down(tree, e->flag);
		break;
	case EV_START:
	case EV_STOP:
	case EV_RESTART:
	case EV_DELETE:
	case EV_ADD:
	case EV_PARK:
	case EV_UNPARK:
		if (e->node == 0) {
			root_request(tree, e);
		} else {
			mail_request(tree, e);
		}
		break;
	case EV_COUNT: break;
	}
}

static void work_do(struct tree *tree, const struct work *work)
{
	switch ((enum work_kind)work->kind) {
	case WORK_START: child_start(tree, work->node); break;
	case WORK_STOP: child_stop(tree, work->node, work->limit_ns); break;
	case WORK_KILL: child_kill(tree, work->node); break;
	case WORK_REPORT: supervisor_reported(tree, work->node, work->report); break;
	case WORK_MAIL: mail_serve(tree, work->node); break;
	case WORK_DOWN: supervisor_down_step(tree, work->node); break;
	}
}

/* Works until nothing is left or the order list is nearly full; true when there is more. */
static bool work_all(struct tree *tree)
{
	while (tree->work_count > 0 && tree->orders->count + ORDERS_MARGIN <= TREE_ORDERS_MAX) {
		struct work work = tree->work[tree->work_first];
		tree->work_first = (tree->work_first + 1) % tree->work_room;
		tree->work_count--;
		work_do(tree, &work);
	}
	tree->orders = NULL;
	return tree->work_count > 0;
}

bool tree_continue(struct tree *tree, struct tree_orders *orders)
{
	orders->count = 0;
	tree->orders = orders;
	return work_all(tree);
}

bool tree_step(struct tree *tree, const struct tree_event *event, struct tree_orders *orders)
{
	CHECK(tree->work_count == 0);
	CHECK(event->kind < EV_COUNT);
	if (event->time_ns > tree->now) {
		tree->now = event->time_ns;
	}
	orders->count = 0;
	tree->orders = orders;
	event_apply(tree, event);
	return work_all(tree);
}
