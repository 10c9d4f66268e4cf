#include "base/check.h"
#include "tree/internal.h"

static enum tree_state down_state(const struct node *n)
{
	if (n->view == VIEW_RESTARTING) {
		return STATE_WAITING;
	}
	switch ((enum outcome)n->outcome) {
	case OUTCOME_DONE: return STATE_DONE;
	case OUTCOME_FAILED: return STATE_FAILED;
	case OUTCOME_STOPPED: break;
	}
	return STATE_STOPPED;
}

static enum tree_state supervisor_state(const struct node *n)
{
	switch ((enum sup_phase)n->phase) {
	case SUP_STARTING: return STATE_STARTING;
	case SUP_UP: return STATE_RUNNING;
	case SUP_STOPPING: return STATE_STOPPING;
	case SUP_COOLING: return STATE_WAITING;
	case SUP_DOWN: break;
	}
	return down_state(n);
}

static enum tree_state service_state(const struct node *n)
{
	switch ((enum service_state)n->service.state) {
	case SERVICE_STATE_CONDITION:
	case SERVICE_STATE_START_PRE:
	case SERVICE_STATE_START:
	case SERVICE_STATE_START_POST: return STATE_STARTING;
	case SERVICE_STATE_WARM: /* it runs, and is not ready */
	case SERVICE_STATE_UP:
	case SERVICE_STATE_RELOAD: return STATE_RUNNING;
	case SERVICE_STATE_STOP:
	case SERVICE_STATE_TERM:
	case SERVICE_STATE_ABORT:
	case SERVICE_STATE_KILL:
	case SERVICE_STATE_STOP_POST:
	case SERVICE_STATE_POST_KILL: return STATE_STOPPING;
	case SERVICE_STATE_DOWN:
	case SERVICE_STATE_COUNT: break;
	}
	return down_state(n);
}

static enum tree_state state_of(const struct node *n)
{
	return n->rules->is_supervisor ? supervisor_state(n) : service_state(n);
}

static bool is_well(const struct node *n)
{
	return n->rules->is_supervisor || n->service.health == HEALTH_NONE ||
	       n->service.health == HEALTH_GOOD;
}

/* One node alone, without what is below it. */
static bool is_ready_itself(const struct node *n)
{
	enum tree_state state = state_of(n);
	bool unasked = n->rules->on_demand && !n->wanted && state == STATE_STOPPED;
	return (state == STATE_RUNNING && is_well(n)) ||
	       (state == STATE_DONE && n->last_end.normal) || n->ignored || unasked;
}

/* The next node in a walk over all present nodes below `top`, children before siblings. */
static uint32_t walk_next(const struct tree *tree, uint32_t top, uint32_t at)
{
	if (node_at(tree, at)->first != NODE_NONE) {
		return node_at(tree, at)->first;
	}
	while (at != top && node_at(tree, at)->next == NODE_NONE) {
		at = node_at(tree, at)->parent;
	}
	return at == top ? NODE_NONE : node_at(tree, at)->next;
}

static bool is_ready(const struct tree *tree, uint32_t index)
{
	const struct node *n = node_at(tree, index);
	if (state_of(n) != STATE_RUNNING) {
		return false;
	}
	if (!n->rules->is_supervisor) {
		return is_well(n);
	}
	for (uint32_t i = n->first; i != NODE_NONE; i = walk_next(tree, index, i)) {
		const struct node *c = node_at(tree, i);
		if (!is_ready_itself(c) && !c->held) {
			return false;
		}
	}
	return true;
}

void tree_look(const struct tree *tree, uint32_t node, uint64_t now, struct tree_view *view)
{
	*view = (struct tree_view){0};
	if (node >= tree->nodes_count || !tree->nodes[node].used) {
		return;
	}
	const struct node *n = node_at(tree, node);
	bool is_supervisor = n->rules->is_supervisor;
	*view = (struct tree_view){
		.exists = true,
		.present = n->present,
		.held = n->held,
		.parked = n->parked,
		.skipped = n->ignored,
		.ready = is_ready(tree, node),
		.is_supervisor = is_supervisor,
		.is_dynamic = !n->is_static,
		.retrying = n->view == VIEW_RESTARTING && !n->waiting,
		.state = (uint8_t)state_of(n),
		.service_state = n->service.state,
		.cause = n->cause,
		.generation = n->generation,
		.parent = n->parent,
		.incarnation = n->service.incarnation,
		.restarts = n->restarts,
		.window = is_supervisor ? window_count(tree, node, now) : 0,
		.state_since_ns = n->state_since_ns,
		.deadline_ns =
			is_supervisor || n->waiting ? n->deadline_ns : n->service.deadline_ns,
		.last_end = n->last_end,
		.main_alive = n->service.main_alive,
		.control_alive = n->service.control_alive,
		.finding = n->service.finding,
		.probing = n->service.probing,
		.health = n->service.health,
		.health_failures = n->service.health_failures,
		.watchdog_ns = n->service.watch_ns,
		.end = n->service.end,
		.rules = n->rules,
	};
}

uint32_t tree_nodes_count(const struct tree *tree)
{
	return tree->nodes_count;
}

uint32_t tree_first_child(const struct tree *tree, uint32_t supervisor)
{
	return node_at(tree, supervisor)->first;
}

uint32_t tree_next_child(const struct tree *tree, uint32_t node)
{
	return node_at(tree, node)->next;
}

enum tree_which tree_which(const struct tree *tree, uint32_t node)
{
	switch ((enum view)node_at(tree, node)->view) {
	case VIEW_STOPPED:
	case VIEW_STARTING: return WHICH_STOPPED;
	case VIEW_RUNNING:
	case VIEW_STOPPING: return WHICH_RUNNING;
	case VIEW_RESTARTING: break;
	}
	return WHICH_RESTARTING;
}

void tree_count(const struct tree *tree, uint32_t supervisor, struct tree_count *count)
{
	const struct node *p = node_at(tree, supervisor);
	*count = (struct tree_count){0};
	for (uint32_t i = p->first; i != NODE_NONE; i = node_at(tree, i)->next) {
		const struct node *c = node_at(tree, i);
		count->specs++;
		count->supervisors += c->rules->is_supervisor;
		count->workers += !c->rules->is_supervisor;
		count->active += tree_which(tree, i) == WHICH_RUNNING && c->death_mail == MAIL_NONE;
	}
	if (p->rules->is_supervisor && p->rules->supervisor->dynamic) {
		count->specs = 1; /* OTP: the template */
	}
}

static bool is_quiet(const struct node *n, bool waiting_is_quiet)
{
	if (!n->present && n->parent != NODE_NONE) {
		return true;
	}
	if (n->view == VIEW_RESTARTING && !(n->waiting && waiting_is_quiet)) {
		return false;
	}
	if (n->view == VIEW_STARTING || n->view == VIEW_STOPPING) {
		return false;
	}
	if (!n->rules->is_supervisor) {
		return n->service.state == SERVICE_STATE_DOWN ||
		       n->service.state == SERVICE_STATE_UP;
	}
	if (n->phase == SUP_COOLING) {
		return waiting_is_quiet;
	}
	bool resting = n->phase == SUP_DOWN || n->phase == SUP_UP;
	return resting && n->action == ACT_IDLE && n->mail_first == MAIL_NONE;
}

bool tree_quiet(const struct tree *tree, bool waiting_is_quiet)
{
	for (uint32_t i = 0; i < tree->nodes_count; i++) {
		if (tree->nodes[i].used && !is_quiet(&tree->nodes[i], waiting_is_quiet)) {
			return false;
		}
	}
	return tree->work_count == 0;
}
