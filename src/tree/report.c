/* What a supervisor makes of the reports of its children. */
#include "base/check.h"
#include "tree/internal.h"

static void asked_over(struct tree *tree, uint32_t index, enum tree_result result)
{
	struct node *p = node_at(tree, index);
	reply_push(tree, p->request, result);
	p->request = 0;
	supervisor_idle(tree, index);
}

static void started(struct tree *tree, uint32_t index, uint32_t child)
{
	struct node *p = node_at(tree, index);
	struct node *c = node_at(tree, child);
	supervisor_set_view(tree, child, VIEW_RUNNING);
	c->ready_since_ns = tree->now;
	/* One with health checks has been running for a while. */
	if (!c->rules->is_supervisor && !c->service.warmed) {
		note_push(tree, child, NOTE_RUNNING);
	}
	switch ((enum action)p->action) {
	case ACT_BOOT:
	case ACT_START_GROUP:
		p->cursor = c->next;
		supervisor_start_advance(tree, index);
		break;
	case ACT_START_ASKED: asked_over(tree, index, RESULT_OK); break;
	case ACT_START_ONE: supervisor_idle(tree, index); break;
	case ACT_IDLE:
	case ACT_STOP_GROUP:
	case ACT_STOP_ASKED:
	case ACT_STOP_TO_RESTART:
	case ACT_STOP_ALL: check_failed(__FILE__, __LINE__, "a start outside a start phase");
	}
}

static bool is_kept_when_ignored(const struct tree *tree, uint32_t index, const struct node *c)
{
	return !supervisor_forgets(c) && !node_at(tree, index)->rules->supervisor->dynamic;
}

static void ignored(struct tree *tree, uint32_t index, uint32_t child)
{
	struct node *p = node_at(tree, index);
	struct node *c = node_at(tree, child);
	uint32_t next = c->next;
	supervisor_set_view(tree, child, VIEW_STOPPED);
	c->outcome = OUTCOME_STOPPED;
	c->ignored = true;
	c->wanted = false;
	note_push(tree, child, NOTE_SKIPPED);
	if (!is_kept_when_ignored(tree, index, c)) {
		supervisor_drop(tree, child);
	}
	switch ((enum action)p->action) {
	case ACT_BOOT:
	case ACT_START_GROUP:
		p->cursor = next;
		supervisor_start_advance(tree, index);
		break;
	case ACT_START_ASKED: asked_over(tree, index, RESULT_IGNORED); break;
	case ACT_START_ONE: supervisor_idle(tree, index); break;
	case ACT_IDLE:
	case ACT_STOP_GROUP:
	case ACT_STOP_ASKED:
	case ACT_STOP_TO_RESTART:
	case ACT_STOP_ALL: check_failed(__FILE__, __LINE__, "a skip outside a start phase");
	}
}

/* An optional child could not start with its supervisor: the others go on. It is retried like a
 * child that died, if its restart type says so. */
static void boot_goes_on(struct tree *tree, uint32_t index, uint32_t child)
{
	struct node *p = node_at(tree, index);
	struct node *c = node_at(tree, child);
	uint32_t next = c->next;
	if (limit_restarts(c->rules, &c->last_end) && !limit_reached(tree, child)) {
		supervisor_wait(tree, child, ONE_FOR_ONE);
	} else {
		supervisor_set_view(tree, child, VIEW_STOPPED);
		c->wanted = false;
		note_push(tree, child, NOTE_FAILED);
		limit_act(tree, child);
		if (supervisor_forgets(c)) {
			supervisor_drop(tree, child);
		}
	}
	p->cursor = next;
	supervisor_start_advance(tree, index);
}

/* The first start of a supervisor failed at this child. */
static void boot_failed(struct tree *tree, uint32_t index, uint32_t child)
{
	struct node *p = node_at(tree, index);
	if (node_at(tree, child)->rules->optional) {
		boot_goes_on(tree, index, child);
		return;
	}
	if (!p->rules->supervisor->retry_start) {
		supervisor_set_view(tree, child, VIEW_STOPPED);
		p->culprit_end = node_at(tree, child)->last_end;
		supervisor_stop_all(tree, index, CAUSE_START_FAILED);
		return;
	}
	/* OnStartFailure=retry: a failed attempt like that of a restart. */
	uint8_t strategy = p->rules->supervisor->strategy;
	bool alone = strategy == ONE_FOR_ONE;
	if (limit_ends_attempts(tree, child)) {
		alone = true;
	} else {
		supervisor_wait(tree, child, strategy);
	}
	p->cursor = alone ? node_at(tree, child)->next : NODE_NONE;
	supervisor_start_advance(tree, index);
}

static void start_failed(struct tree *tree, uint32_t index, uint32_t child)
{
	struct node *p = node_at(tree, index);
	struct node *c = node_at(tree, child);
	c->outcome = OUTCOME_FAILED;
	note_push(tree, child, NOTE_START_FAILED);
	switch ((enum action)p->action) {
	case ACT_BOOT: boot_failed(tree, index, child); break;
	case ACT_START_GROUP:
		if (limit_ends_attempts(tree, child)) {
			p->cursor = c->next;
			supervisor_start_advance(tree, index);
			break;
		}
		/* The whole group waits for the retry, also when OnExit= alone made it one. */
		supervisor_wait(tree, child, p->set_is_all ? ONE_FOR_ALL : REST_FOR_ONE);
		supervisor_idle(tree, index);
		break;
	case ACT_START_ONE:
		if (!limit_ends_attempts(tree, child)) {
			supervisor_wait(tree, child, ONE_FOR_ONE);
		}
		supervisor_idle(tree, index);
		break;
	case ACT_START_ASKED:
		supervisor_set_view(tree, child, VIEW_STOPPED);
		c->wanted = false;
		note_push(tree, child, NOTE_FAILED);
		limit_act(tree, child);
		if (p->asked_add) {
			supervisor_drop(tree, child);
		}
		asked_over(tree, index, RESULT_START_FAILED);
		break;
	case ACT_IDLE:
	case ACT_STOP_GROUP:
	case ACT_STOP_ASKED:
	case ACT_STOP_TO_RESTART:
	case ACT_STOP_ALL: check_failed(__FILE__, __LINE__, "a failure outside a start phase");
	}
}

/* A stop by request is over. OTP: the spec of a temporary child goes with it, and so does a dynamic
 * instance; one that is to come back, or is held, stays. */
static void stop_asked_over(struct tree *tree, uint32_t index, uint32_t child)
{
	struct node *p = node_at(tree, index);
	struct node *c = node_at(tree, child);
	bool again = p->action == ACT_STOP_TO_RESTART;
	c->outcome = OUTCOME_STOPPED;
	if (again) {
		p->asked_add = false;
		supervisor_start_from(tree, index, ACT_START_ASKED, child);
		return;
	}
	c->wanted = false;
	bool dynamic = p->rules->supervisor->dynamic;
	if (c->parked && !dynamic) {
		asked_over(tree, index, RESULT_OK);
		return;
	}
	if (supervisor_forgets(c) || (dynamic && !(c->held && c->is_static))) {
		supervisor_drop(tree, child);
	}
	asked_over(tree, index, RESULT_OK);
}

/* A stop broke off the start of this child by request: the start phase goes on without it. */
static void broken_off(struct tree *tree, uint32_t index, uint32_t child)
{
	struct node *p = node_at(tree, index);
	struct node *c = node_at(tree, child);
	uint32_t next = c->next;
	reply_push(tree, c->stop_request, RESULT_OK);
	c->stop_request = 0;
	c->wanted = false;
	bool added = p->action == ACT_START_ASKED && p->asked_add;
	if (supervisor_forgets(c) || (!c->is_static && (added || p->rules->supervisor->dynamic))) {
		supervisor_drop(tree, child);
	}
	if (p->action == ACT_START_ASKED) {
		asked_over(tree, index, RESULT_BROKEN_OFF);
	} else if (p->action == ACT_START_ONE) {
		supervisor_idle(tree, index);
	} else {
		p->cursor = next;
		supervisor_start_advance(tree, index);
	}
}

static void stopped(struct tree *tree, uint32_t index, uint32_t child)
{
	struct node *p = node_at(tree, index);
	supervisor_set_view(tree, child, VIEW_STOPPED);
	node_at(tree, child)->outcome = OUTCOME_STOPPED;
	note_push(tree, child, NOTE_STOPPED);
	if (p->action == ACT_STOP_ALL) {
		/* A stop that broke off its start was overtaken by that of the supervisor. */
		reply_push(tree, node_at(tree, child)->stop_request, RESULT_OK);
		node_at(tree, child)->stop_request = 0;
	}
	if (p->action == ACT_STOP_ALL && p->rules->supervisor->dynamic) {
		CHECK(p->stops_open > 0);
		if (--p->stops_open == 0) {
			work_push(tree, WORK_DOWN, index);
		}
		return;
	}
	if (p->cursor != child) {
		return; /* its turn comes */
	}
	switch ((enum action)p->action) {
	case ACT_STOP_GROUP:
	case ACT_STOP_ALL:
		supervisor_stop_pass(tree, index);
		supervisor_stop_advance(tree, index);
		break;
	case ACT_STOP_ASKED:
	case ACT_STOP_TO_RESTART: stop_asked_over(tree, index, child); break;
	case ACT_BOOT:
	case ACT_START_ONE:
	case ACT_START_GROUP:
	case ACT_START_ASKED: broken_off(tree, index, child); break;
	case ACT_IDLE: check_failed(__FILE__, __LINE__, "a stop outside an action");
	}
}

/* It went down by itself. The supervisor looks at it when its turn comes. */
static void died(struct tree *tree, uint32_t index, uint32_t child)
{
	struct node *c = node_at(tree, child);
	if (!c->rules->is_supervisor) {
		note_push(tree, child, NOTE_EXITED);
		/* RestartMode=direct: to others it is not even down. */
		tree->orders->list[tree->orders->count - 1].on =
			c->rules->restart_direct && limit_restarts(c->rules, &c->last_end);
	}
	c->outcome = c->last_end.normal ? OUTCOME_DONE : OUTCOME_FAILED;
	mail_push(tree, index,
		&(struct mail){.kind = MAIL_DEATH, .node = child, .generation = c->generation});
}

/* A start that ended while everything goes down, before its own stop was asked for. */
static void outcome_while_stopping(struct tree *tree, uint32_t child, enum service_report report)
{
	supervisor_set_view(tree, child, report == SERVICE_STARTED ? VIEW_RUNNING : VIEW_STOPPED);
}

static void root_reported(struct tree *tree, enum service_report report)
{
	struct node *root = node_at(tree, 0);
	if (report == SERVICE_STARTED) {
		return;
	}
	if (tree->root_again != 0 && root->cause == CAUSE_ORDERED) {
		reply_push(tree, tree->root_again - 1, RESULT_OK);
		tree->root_again = 0;
		work_push(tree, WORK_START, 0);
		return;
	}
	if (tree->root_again != 0) {
		reply_push(tree, tree->root_again - 1, RESULT_SUPERVISOR_DOWN);
		tree->root_again = 0;
	}
	tree->ended = true;
	struct tree_order *order = order_push(tree, DO_END, 0);
	order->cause = tree->exit_wanted ? CAUSE_INTENSITY : root->cause;
	order->end = root->culprit_end;
	if (tree->action != ACTION_NONE) {
		order->cause = CAUSE_ACTION;
		order->action = tree->action;
		order->end = tree->action_end;
	}
}

void supervisor_reported(struct tree *tree, uint32_t child, enum service_report report)
{
	struct node *c = node_at(tree, child);
	if (child == 0) {
		root_reported(tree, report);
		return;
	}
	uint32_t index = c->parent;
	if (report != SERVICE_STARTED && !c->rules->is_supervisor) {
		c->last_end = c->service.end;
	}
	if (c->view == VIEW_STARTING && node_at(tree, index)->action == ACT_STOP_ALL) {
		outcome_while_stopping(tree, child, report);
		return;
	}
	switch (report) {
	case SERVICE_STARTED:
		if (c->view == VIEW_STARTING) {
			started(tree, index, child);
		}
		break;
	case SERVICE_START_FAILED:
	case SERVICE_IGNORED:
		if (c->view == VIEW_STOPPING) {
			stopped(tree, index, child);
		} else if (report == SERVICE_IGNORED) {
			ignored(tree, index, child);
		} else {
			start_failed(tree, index, child);
		}
		break;
	case SERVICE_GONE:
		if (c->view == VIEW_STOPPING) {
			stopped(tree, index, child);
		} else {
			died(tree, index, child);
		}
		break;
	case SERVICE_RELOADED:
	case SERVICE_WARMING:
	case SERVICE_HEALTHY:
	case SERVICE_UNHEALTHY:
	case SERVICE_NO_REPORT: break;
	}
}
