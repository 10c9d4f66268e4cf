#include "base/check.h"
#include "base/span.h"
#include "tree/internal.h"

/* --- children, as their supervisor keeps them --- */

void supervisor_set_view(struct tree *tree, uint32_t child, enum view view)
{
	node_at(tree, child)->view = (uint8_t)view;
}

void supervisor_calm(struct tree *tree, uint32_t child)
{
	struct node *c = node_at(tree, child);
	if (c->death_mail != MAIL_NONE) {
		mail_take_back(tree, c->parent, c->death_mail);
	}
	if (c->waiting) {
		c->waiting = false;
		timer_set(tree, child, 0);
	}
	supervisor_set_view(tree, child, VIEW_STOPPED);
}

/* OTP forgets the spec of a temporary child, and every instance of a dynamic supervisor, when it
 * ends. A static child is remembered, out of the list, for the next start of its supervisor. */
void supervisor_drop(struct tree *tree, uint32_t child)
{
	struct node *c = node_at(tree, child);
	supervisor_calm(tree, child);
	child_list_remove(tree, child);
	if (!c->is_static) {
		order_push(tree, DO_RELEASE, child);
		tree_node_free(tree, child);
	}
}

static bool is_temporary(const struct node *c)
{
	return c->rules->restart == RESTART_TEMPORARY;
}

bool supervisor_forgets(const struct node *child)
{
	return is_temporary(child) && !child->rules->on_demand && !child->rules->kept;
}

/* --- delays --- */

uint64_t tree_random(struct tree *tree)
{
	/* xorshift64 (Marsaglia 2003): kept in the tree, so that equal events give equal orders. */
	tree->random ^= tree->random << 13;
	tree->random ^= tree->random >> 7;
	tree->random ^= tree->random << 17;
	return tree->random;
}

/* base * ratio^step for a ratio of 16.16 bits, capped. */
static uint64_t scale(uint64_t base, uint64_t ratio, uint32_t step, uint64_t cap)
{
	uint64_t value = base;
	for (uint32_t i = 0; i < step; i++) {
		unsigned __int128 wide = (unsigned __int128)value * ratio >> 16;
		if (wide >= cap) {
			return cap;
		}
		value = (uint64_t)wide;
	}
	return value;
}

/* RestartSteps= (systemd.service(5)): from RestartSec= to RestartMaxDelaySec= in so many equal
 * ratios. Up to a tenth is added at random, so that what fell together does not rise together. */
static uint64_t backed_off(struct tree *tree, const struct tree_child_rules *r, uint32_t step)
{
	uint64_t base = r->restart_delay_ns, cap = r->restart_delay_max_ns;
	if (r->restart_steps == 0 || cap <= base || cap == SPAN_INFINITY) {
		return base;
	}
	uint64_t delay = cap;
	if (step < r->restart_steps) {
		uint64_t low = UINT64_C(1) << 16, high = UINT64_C(1) << 40;
		while (high - low > 1) {
			uint64_t middle = low + (high - low) / 2;
			if (scale(base, middle, r->restart_steps, cap) >= cap) {
				high = middle;
			} else {
				low = middle;
			}
		}
		delay = scale(base, high, step, cap);
	}
	return delay + (delay / 10 > 0 ? tree_random(tree) % (delay / 10) : 0);
}

/* The delay before the next start of a child that ended, 0 for none; takes a step of the back-off.
 * It is forgotten once the child was ready for a whole Period= of its supervisor. */
uint64_t supervisor_delay(struct tree *tree, uint32_t child, uint64_t asked_ns)
{
	struct node *c = node_at(tree, child);
	uint64_t period = node_at(tree, c->parent)->rules->supervisor->period_ns;
	if (c->ready_since_ns != 0 && tree->now - c->ready_since_ns >= period) {
		c->backoff_step = 0;
	}
	c->ready_since_ns = 0;
	if (asked_ns != 0) {
		return asked_ns;
	}
	if (c->rules->restart_delay_ns == 0) {
		return 0;
	}
	uint64_t delay = backed_off(tree, c->rules, c->backoff_step);
	if (c->backoff_step < UINT32_MAX) {
		c->backoff_step++;
	}
	return delay;
}

/* A start attempt failed: the child is restarting, and a retry goes to the END of the mailbox (OTP,
 * try_again_restart), or there when its delay is over. It is counted when it is served. */
void supervisor_wait(struct tree *tree, uint32_t child, uint8_t reach)
{
	struct node *c = node_at(tree, child);
	supervisor_set_view(tree, child, VIEW_RESTARTING);
	c->reach = reach;
	uint64_t delay = supervisor_delay(tree, child, 0);
	if (delay > 0) {
		c->waiting = true;
		c->counted = false;
		timer_set(tree, child, span_add(tree->now, delay));
		note_push(tree, child, NOTE_WAITING);
		return;
	}
	mail_push(tree, c->parent,
		&(struct mail){.kind = MAIL_RETRY, .node = child, .generation = c->generation});
}

/* --- starting --- */

void supervisor_idle(struct tree *tree, uint32_t index)
{
	struct node *p = node_at(tree, index);
	p->action = ACT_IDLE;
	p->cursor = NODE_NONE;
	if (p->sort_later) {
		p->sort_later = false;
		child_list_sort(tree, index);
	}
	work_push(tree, WORK_MAIL, index);
}

void supervisor_begin(struct tree *tree, uint32_t index)
{
	struct node *p = node_at(tree, index);
	CHECK(p->phase == SUP_DOWN || p->phase == SUP_COOLING);
	CHECK(p->first == NODE_NONE);
	/* A restarted supervisor begins with its static children, all of them. */
	for (uint32_t i = p->static_first; i != NODE_NONE; i = node_at(tree, i)->static_next) {
		child_list_append(tree, index, i);
		supervisor_set_view(tree, i, VIEW_STOPPED);
		node_at(tree, i)->wanted = false;
		node_at(tree, i)->parked = false;
	}
	p->reporting_start = p->phase == SUP_DOWN;
	p->history_count = 0;
	p->history_first = 0;
	p->kill = false;
	p->sort_later = false;
	p->cause = CAUSE_NONE;
	p->phase = SUP_STARTING;
	p->service.incarnation++;
	note_push(tree, index, NOTE_BEGIN);
	supervisor_start_from(tree, index, ACT_BOOT, p->first);
}

/* Begins a start phase: of one child (ACT_START_ONE, _ASKED) or from a child to the end. */
void supervisor_start_from(struct tree *tree, uint32_t index, enum action action, uint32_t child)
{
	struct node *p = node_at(tree, index);
	p->action = (uint8_t)action;
	p->cursor = child;
	supervisor_start_advance(tree, index);
}

static void report_up(struct tree *tree, uint32_t index)
{
	struct node *p = node_at(tree, index);
	p->phase = SUP_UP;
	note_push(tree, index, NOTE_RUNNING);
	p->ready_since_ns = tree->now;
	if (p->reporting_start) {
		p->reporting_start = false;
		struct service_out out = {.reports_count = 1, .reports = {SERVICE_STARTED}};
		child_absorb(tree, index, &out);
	}
}

static void start_phase_over(struct tree *tree, uint32_t index)
{
	struct node *p = node_at(tree, index);
	if (p->action == ACT_BOOT) {
		report_up(tree, index);
	}
	supervisor_idle(tree, index);
}

/* Children that are held stay down, whatever is restarted around them; so do those that nobody has
 * asked for, and temporary ones that ended and are kept for a start by hand. */
static bool is_left_out(const struct node *p, const struct node *c)
{
	bool asked_only = c->rules->on_demand ||
			  (p->action == ACT_START_GROUP && is_temporary(c) && c->rules->kept);
	return c->held || (asked_only && !c->wanted);
}

void supervisor_start_advance(struct tree *tree, uint32_t index)
{
	struct node *p = node_at(tree, index);
	bool many = p->action == ACT_BOOT || p->action == ACT_START_GROUP;
	while (many && p->cursor != NODE_NONE && is_left_out(p, node_at(tree, p->cursor))) {
		p->cursor = node_at(tree, p->cursor)->next;
	}
	if (p->cursor == NODE_NONE) {
		start_phase_over(tree, index);
		return;
	}
	struct node *c = node_at(tree, p->cursor);
	CHECK(c->view == VIEW_STOPPED);
	if (p->action == ACT_START_ONE || p->action == ACT_START_GROUP) {
		c->restarts++;
	}
	c->wanted = true;
	c->parked = false;
	supervisor_set_view(tree, p->cursor, VIEW_STARTING);
	work_push(tree, WORK_START, p->cursor);
}

/* --- stopping --- */

static void ask_to_stop(struct tree *tree, uint32_t index, uint32_t child)
{
	struct node *p = node_at(tree, index);
	struct node *c = node_at(tree, child);
	supervisor_set_view(tree, child, VIEW_STOPPING);
	work_push_stop(tree, child, p->kill ? SERVICE_STOP_BRUTAL : c->rules->shutdown_ns);
}

/* Stops a member unless there is nothing to stop; true when its end must be waited for. A death
 * that nobody has looked at yet is absorbed (OTP, monitor_child). */
static bool stop_member(struct tree *tree, uint32_t index, uint32_t child)
{
	struct node *c = node_at(tree, child);
	if (c->view == VIEW_STOPPING) {
		return true;
	}
	if ((c->view == VIEW_RUNNING || c->view == VIEW_STARTING) && c->death_mail == MAIL_NONE) {
		ask_to_stop(tree, index, child);
		return true;
	}
	supervisor_calm(tree, child);
	return false;
}

static void group_stopped(struct tree *tree, uint32_t index)
{
	struct node *p = node_at(tree, index);
	uint32_t from = p->set_is_all ? p->first : p->set_from;
	supervisor_start_from(tree, index, ACT_START_GROUP, from);
}

static bool stop_is_over(const struct node *p)
{
	return p->cursor == NODE_NONE;
}

/* One step backwards in the list; a temporary member is removed for good. */
void supervisor_stop_pass(struct tree *tree, uint32_t index)
{
	struct node *p = node_at(tree, index);
	uint32_t child = p->cursor;
	struct node *c = node_at(tree, child);
	bool was_last = p->action == ACT_STOP_GROUP && !p->set_is_all && child == p->set_from;
	p->cursor = was_last ? NODE_NONE : c->prev;
	/* Only OnExit= and OnStartFailure=retry can restart a temporary child; that one stays. */
	if (p->action == ACT_STOP_GROUP && is_temporary(c) && child != p->set_from) {
		c->wanted = false;
		if (supervisor_forgets(c)) {
			supervisor_drop(tree, child);
		}
	}
}

void supervisor_stop_advance(struct tree *tree, uint32_t index)
{
	struct node *p = node_at(tree, index);
	while (!stop_is_over(p)) {
		if (stop_member(tree, index, p->cursor)) {
			return;
		}
		supervisor_stop_pass(tree, index);
	}
	if (p->action == ACT_STOP_GROUP) {
		group_stopped(tree, index);
	} else {
		work_push(tree, WORK_DOWN, index);
	}
}

void supervisor_stop_group(struct tree *tree, uint32_t index, uint32_t child, bool all)
{
	struct node *p = node_at(tree, index);
	p->action = ACT_STOP_GROUP;
	p->set_is_all = all;
	p->set_from = child;
	p->cursor = p->last;
	supervisor_stop_advance(tree, index);
}

/* The children of a dynamic supervisor are asked all at once, each with its own time limit. */
static void stop_all_at_once(struct tree *tree, uint32_t index)
{
	struct node *p = node_at(tree, index);
	p->stops_open = 0;
	for (uint32_t i = p->first; i != NODE_NONE; i = node_at(tree, i)->next) {
		if (stop_member(tree, index, i)) {
			p->stops_open++;
		}
	}
	if (p->stops_open == 0) {
		work_push(tree, WORK_DOWN, index);
	}
}

/* Going down, for whatever cause. A start or a stop under way is not waited for where it is, but
 * where its turn comes. */
void supervisor_stop_all(struct tree *tree, uint32_t index, enum tree_cause cause)
{
	struct node *p = node_at(tree, index);
	CHECK(p->phase == SUP_STARTING || p->phase == SUP_UP);
	bool asked = p->action == ACT_START_ASKED || p->action == ACT_STOP_ASKED ||
		     p->action == ACT_STOP_TO_RESTART;
	if (asked) {
		reply_push(tree, p->request, RESULT_BROKEN_OFF);
		p->request = 0;
	}
	p->phase = SUP_STOPPING;
	p->cause = (uint8_t)cause;
	p->action = ACT_STOP_ALL;
	p->cursor = p->last;
	if (p->rules->supervisor->dynamic) {
		stop_all_at_once(tree, index);
	} else {
		supervisor_stop_advance(tree, index);
	}
}

static bool must_cool_down(const struct node *p)
{
	bool failed = p->cause == CAUSE_INTENSITY ||
		      (p->cause == CAUSE_START_FAILED && !p->reporting_start);
	return failed && p->rules->supervisor->give_up == GIVE_UP_COOLDOWN;
}

void supervisor_stop(struct tree *tree, uint32_t index, uint64_t limit_ns)
{
	struct node *p = node_at(tree, index);
	if (limit_ns == SERVICE_STOP_BRUTAL) {
		supervisor_kill(tree, index);
		return;
	}
	switch ((enum sup_phase)p->phase) {
	case SUP_DOWN: break; /* it went down in this very step; its report is on the way */
	case SUP_COOLING:
		timer_set(tree, index, 0);
		p->cause = CAUSE_ORDERED;
		p->phase = SUP_STOPPING;
		work_push(tree, WORK_DOWN, index);
		break;
	case SUP_STARTING:
	case SUP_UP:
		if (tree->config.stop_in_turn) {
			mail_push(tree, index, &(struct mail){.kind = MAIL_STOP});
			break;
		}
		supervisor_stop_all(tree, index, CAUSE_ORDERED);
		break;
	case SUP_STOPPING:
		/* It gives up, or shuts itself down, and is asked for just that; but it must not
		 * come back after its cooling. */
		if (must_cool_down(p)) {
			p->cause = CAUSE_ORDERED;
		}
		break;
	}
	if (limit_ns < SERVICE_STOP_DEFAULT && p->phase != SUP_DOWN) {
		timer_set(tree, index, span_add(tree->now, limit_ns));
	}
}

/* SIGKILL to all below: whoever is being stopped gets it now, the others in their turn. */
void supervisor_kill(struct tree *tree, uint32_t index)
{
	struct node *p = node_at(tree, index);
	if (p->phase == SUP_DOWN) {
		return;
	}
	if (p->phase == SUP_COOLING) {
		supervisor_stop(tree, index, SPAN_INFINITY);
		return;
	}
	p->kill = true;
	if (p->phase != SUP_STOPPING) {
		uint32_t before = p->action == ACT_IDLE ? NODE_NONE : p->cursor;
		supervisor_stop_all(tree, index, CAUSE_ORDERED);
		if (before != NODE_NONE && node_at(tree, before)->view == VIEW_STOPPING) {
			work_push(tree, WORK_KILL, before);
		}
		return;
	}
	for (uint32_t i = p->last; i != NODE_NONE; i = node_at(tree, i)->prev) {
		if (node_at(tree, i)->view == VIEW_STOPPING) {
			work_push(tree, WORK_KILL, i);
		}
	}
}

void supervisor_timer(struct tree *tree, uint32_t index)
{
	struct node *p = node_at(tree, index);
	if (p->deadline_ns == 0 || tree->now < p->deadline_ns) {
		return;
	}
	p->deadline_ns = 0;
	if (p->phase == SUP_COOLING) {
		supervisor_begin(tree, index);
	} else if (p->phase == SUP_STOPPING) {
		supervisor_kill(tree, index);
	}
}

/* --- going down --- */

static struct service_end end_of_cause(const struct node *p)
{
	struct service_end end = {.normal = true};
	switch ((enum tree_cause)p->cause) {
	case CAUSE_INTENSITY: end.reason = REASON_GAVE_UP; break;
	case CAUSE_AUTO: end.reason = REASON_AUTO_SHUTDOWN; break;
	case CAUSE_START_FAILED:
		end.reason = REASON_CHILD_FAILED;
		end.normal = false;
		break;
	case CAUSE_ORDERED:
	case CAUSE_ACTION:
	case CAUSE_NONE:
	case CAUSE_COUNT: end.reason = REASON_STOPPED; break;
	}
	return end;
}

static void cool_down(struct tree *tree, uint32_t index)
{
	struct node *p = node_at(tree, index);
	p->phase = SUP_COOLING;
	p->action = ACT_IDLE;
	note_push(tree, index, NOTE_COOLING);
	timer_set(tree, index, span_add(tree->now, p->rules->supervisor->cooldown_ns));
}

static void report_down(struct tree *tree, uint32_t index)
{
	struct node *p = node_at(tree, index);
	struct service_out out = {.reports_count = 1};
	out.reports[0] = p->cause == CAUSE_START_FAILED && p->reporting_start ? SERVICE_START_FAILED
									      : SERVICE_GONE;
	p->reporting_start = false;
	p->phase = SUP_DOWN;
	p->action = ACT_IDLE;
	p->last_end = end_of_cause(p);
	note_push(tree, index, NOTE_END);
	bool exit_now = p->cause == CAUSE_INTENSITY &&
			p->rules->supervisor->give_up == GIVE_UP_EXIT && index != 0;
	if (exit_now && !tree->exit_wanted) {
		/* Its parent hears of it after the root has begun to stop, and does not act. */
		tree->exit_wanted = true;
		node_at(tree, 0)->culprit_end = p->culprit_end;
		work_push_stop(tree, 0, SPAN_INFINITY);
	}
	child_absorb(tree, index, &out);
}

/* One piece of going down: a letter, or a child, or the end. */
void supervisor_down_step(struct tree *tree, uint32_t index)
{
	struct node *p = node_at(tree, index);
	CHECK(p->phase == SUP_STOPPING);
	if (mail_drop_one(tree, index)) {
		work_push(tree, WORK_DOWN, index);
		return;
	}
	if (p->last != NODE_NONE) {
		uint32_t child = p->last;
		supervisor_calm(tree, child);
		child_list_remove(tree, child);
		if (!node_at(tree, child)->is_static) {
			order_push(tree, DO_RELEASE, child);
			tree_node_free(tree, child);
		}
		work_push(tree, WORK_DOWN, index);
		return;
	}
	timer_set(tree, index, 0);
	if (must_cool_down(p) && !p->kill) {
		cool_down(tree, index);
	} else {
		report_down(tree, index);
	}
}
