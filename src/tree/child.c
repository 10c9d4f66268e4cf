#include "base/check.h"
#include "base/span.h"
#include "tree/internal.h"

#define X(name, text) text,
const char *const tree_event_names[EV_COUNT] = {TREE_EVENTS(X)};
const char *const tree_order_names[DO_COUNT] = {TREE_ORDERS(X)};
const char *const tree_note_names[NOTE_COUNT] = {TREE_NOTES(X)};
const char *const tree_cause_names[CAUSE_COUNT] = {TREE_CAUSES(X)};
const char *const tree_result_names[RESULT_COUNT] = {TREE_RESULTS(X)};
const char *const tree_state_names[STATE_COUNT] = {TREE_STATES(X)};
#undef X

/* --- the queues --- */

static struct work *work_append(struct tree *tree, enum work_kind kind, uint32_t node)
{
	CHECK(tree->work_count < tree->work_room);
	struct work *work = &tree->work[(tree->work_first + tree->work_count) % tree->work_room];
	tree->work_count++;
	*work = (struct work){.kind = (uint8_t)kind, .node = node};
	return work;
}

void work_push(struct tree *tree, enum work_kind kind, uint32_t node)
{
	(void)work_append(tree, kind, node);
}

void work_push_stop(struct tree *tree, uint32_t node, uint64_t limit_ns)
{
	work_append(tree, WORK_STOP, node)->limit_ns = limit_ns;
}

static void work_push_report(struct tree *tree, uint32_t node, uint8_t report)
{
	work_append(tree, WORK_REPORT, node)->report = report;
}

struct tree_order *order_push(struct tree *tree, enum tree_order_kind kind, uint32_t node)
{
	struct tree_orders *orders = tree->orders;
	CHECK(orders->count < TREE_ORDERS_MAX);
	struct tree_order *order = &orders->list[orders->count++];
	*order = (struct tree_order){.id = tree->order_next++, .kind = (uint8_t)kind, .node = node};
	if (node != NODE_NONE) {
		order->generation = tree->nodes[node].generation;
		order->incarnation = tree->nodes[node].service.incarnation;
	}
	return order;
}

void note_push(struct tree *tree, uint32_t node, enum tree_note note)
{
	struct tree_order *order = order_push(tree, DO_NOTE, node);
	order->note = (uint8_t)note;
	order->end = tree->nodes[node].last_end;
	order->cause = tree->nodes[node].cause;
	order->parked = tree->nodes[node].parked;
	if (note != NOTE_HEALTHY && note != NOTE_UNHEALTHY && note != NOTE_ACTION) {
		tree->nodes[node].state_since_ns = tree->now;
	}
}

void reply_push(struct tree *tree, uint64_t request, enum tree_result result)
{
	if (request == 0) {
		return;
	}
	struct tree_order *order = order_push(tree, DO_REPLY, NODE_NONE);
	order->request = request;
	order->result = (uint8_t)result;
}

/* The one timer of a node that is a supervisor, or waits for its next start. */
void timer_set(struct tree *tree, uint32_t node, uint64_t deadline_ns)
{
	struct node *n = node_at(tree, node);
	if (deadline_ns == SPAN_INFINITY) {
		deadline_ns = 0;
	}
	if (n->deadline_ns != deadline_ns) {
		n->deadline_ns = deadline_ns;
		order_push(tree, DO_TIMER, node)->deadline_ns = deadline_ns;
	}
}

/* --- the list of present children --- */

void child_list_append(struct tree *tree, uint32_t supervisor, uint32_t child)
{
	struct node *p = node_at(tree, supervisor);
	struct node *c = node_at(tree, child);
	c->next = NODE_NONE;
	c->prev = p->last;
	if (p->last == NODE_NONE) {
		p->first = child;
	} else {
		node_at(tree, p->last)->next = child;
	}
	p->last = child;
	c->present = true;
}

void child_list_remove(struct tree *tree, uint32_t child)
{
	struct node *c = node_at(tree, child);
	struct node *p = node_at(tree, c->parent);
	CHECK(c->present);
	if (c->prev == NODE_NONE) {
		p->first = c->next;
	} else {
		node_at(tree, c->prev)->next = c->next;
	}
	if (c->next == NODE_NONE) {
		p->last = c->prev;
	} else {
		node_at(tree, c->next)->prev = c->prev;
	}
	c->next = c->prev = NODE_NONE;
	c->present = false;
}

/* The present static children in their static order; those added at run time stay behind them. */
void child_list_sort(struct tree *tree, uint32_t supervisor)
{
	struct node *p = node_at(tree, supervisor);
	for (uint32_t i = p->static_first; i != NODE_NONE; i = node_at(tree, i)->static_next) {
		if (node_at(tree, i)->present) {
			child_list_remove(tree, i);
			node_at(tree, i)->present = true;
		}
	}
	uint32_t others_first = p->first, others_last = p->last;
	p->first = p->last = NODE_NONE;
	for (uint32_t i = p->static_first; i != NODE_NONE; i = node_at(tree, i)->static_next) {
		if (node_at(tree, i)->present) {
			child_list_append(tree, supervisor, i);
		}
	}
	if (others_first == NODE_NONE) {
		return;
	}
	node_at(tree, others_first)->prev = p->last;
	if (p->last == NODE_NONE) {
		p->first = others_first;
	} else {
		node_at(tree, p->last)->next = others_first;
	}
	p->last = others_last;
}

/* --- a service under the tree --- */

static void service_order_pass(struct tree *tree, uint32_t node, const struct service_order *from)
{
	static const uint8_t kinds[] = {
		[SERVICE_DO_SPAWN] = DO_SPAWN,
		[SERVICE_DO_SIGNAL] = DO_SIGNAL,
		[SERVICE_DO_TIMER] = DO_TIMER,
		[SERVICE_DO_FIND_MAIN] = DO_FIND_MAIN,
		[SERVICE_DO_FORGET] = DO_FORGET,
		[SERVICE_DO_WATCH] = DO_WATCH,
		[SERVICE_DO_PROBE] = DO_PROBE,
	};
	CHECK(from->kind >= SERVICE_DO_SPAWN && from->kind <= SERVICE_DO_PROBE);
	struct tree_order *order = order_push(tree, kinds[from->kind], node);
	order->role = from->role;
	order->phase = from->phase;
	order->index = from->index;
	order->target = from->target;
	order->signo = from->signo;
	order->on = from->on;
	order->deadline_ns = from->deadline_ns;
}

static void reload_answer(struct tree *tree, uint32_t node, bool ok)
{
	struct node *n = node_at(tree, node);
	if (ok) {
		note_push(tree, node, NOTE_RELOADED);
	}
	reply_push(tree, n->reload_request, ok ? RESULT_OK : RESULT_FAILED);
	n->reload_request = 0;
}

/* What a call of the service machine brought: orders go out, reports go to the parent. */
void child_absorb(struct tree *tree, uint32_t node, const struct service_out *out)
{
	for (uint32_t i = 0; i < out->orders_count; i++) {
		service_order_pass(tree, node, &out->orders[i]);
	}
	for (uint32_t i = 0; i < out->reports_count; i++) {
		switch ((enum service_report)out->reports[i]) {
		case SERVICE_RELOADED: reload_answer(tree, node, out->reload_ok); break;
		case SERVICE_WARMING: note_push(tree, node, NOTE_RUNNING); break;
		case SERVICE_HEALTHY: note_push(tree, node, NOTE_HEALTHY); break;
		case SERVICE_UNHEALTHY: note_push(tree, node, NOTE_UNHEALTHY); break;
		case SERVICE_STARTED:
		case SERVICE_START_FAILED:
		case SERVICE_IGNORED:
		case SERVICE_GONE:
		case SERVICE_NO_REPORT: work_push_report(tree, node, out->reports[i]); break;
		}
	}
}

void child_start(struct tree *tree, uint32_t node)
{
	struct node *n = node_at(tree, node);
	/* Its supervisor may go down after the start was decided, and before it is done. */
	if (node != 0 && n->view == VIEW_STOPPING) {
		work_push_report(tree, node, SERVICE_GONE);
		return;
	}
	if (node != 0 && node_at(tree, n->parent)->action == ACT_STOP_ALL) {
		n->view = VIEW_STOPPED;
		return;
	}
	n->ready_since_ns = 0;
	n->ignored = false;
	if (n->rules->is_supervisor) {
		supervisor_begin(tree, node);
		return;
	}
	struct service_out out = {0};
	bool by_hand = node != 0 && node_at(tree, n->parent)->action == ACT_START_ASKED;
	limit_note_start(tree, node, by_hand);
	uint64_t extra = n->rules->service->runtime_extra_ns;
	n->service.runtime_extra_ns = extra > 0 ? tree_random(tree) % (extra + 1) : 0;
	note_push(tree, node, NOTE_STARTING);
	/* A node that waited had a delay of its own on the timer. */
	service_start(&n->service, n->rules->service, tree->now, &out);
	tree->orders->list[tree->orders->count - 1].incarnation = n->service.incarnation;
	child_absorb(tree, node, &out);
}

void child_stop(struct tree *tree, uint32_t node, uint64_t limit_ns)
{
	struct node *n = node_at(tree, node);
	bool is_down = n->rules->is_supervisor ? n->phase == SUP_DOWN
					       : n->service.state == SERVICE_STATE_DOWN;
	if (is_down) {
		/* It went down by itself in this very step; its report is on the way. */
		return;
	}
	note_push(tree, node, NOTE_STOPPING);
	if (n->rules->is_supervisor) {
		supervisor_stop(tree, node, limit_ns);
		return;
	}
	struct service_out out = {0};
	uint8_t action = node_at(tree, n->parent)->action;
	n->service.to_restart = action == ACT_STOP_TO_RESTART || action == ACT_STOP_GROUP;
	service_stop(&n->service, n->rules->service, limit_ns, tree->now, &out);
	child_absorb(tree, node, &out);
}

void child_kill(struct tree *tree, uint32_t node)
{
	struct node *n = node_at(tree, node);
	if (n->rules->is_supervisor) {
		supervisor_kill(tree, node);
		return;
	}
	if (n->service.state != SERVICE_STATE_DOWN) {
		struct service_out out = {0};
		service_stop(&n->service, n->rules->service, SERVICE_STOP_BRUTAL, tree->now, &out);
		child_absorb(tree, node, &out);
	}
}
