#include "base/check.h"
#include "tree/internal.h"

/* --- the mailbox --- */

static bool is_request(uint8_t kind)
{
	return kind >= MAIL_START_REQUEST;
}

/* Appends a letter. False when there is no place for it: only requests and retries can meet that.
 */
bool mail_push(struct tree *tree, uint32_t supervisor, const struct mail *mail)
{
	struct node *p = node_at(tree, supervisor);
	bool crowded =
		is_request(mail->kind) && tree->requests_in_mail >= tree->config.requests_max;
	if (crowded || tree->mail_free == MAIL_NONE) {
		return false;
	}
	uint32_t cell = tree->mail_free;
	tree->mail_free = tree->mail[cell].next;
	tree->mail[cell] = *mail;
	tree->mail[cell].next = MAIL_NONE;
	tree->mail[cell].prev = p->mail_last;
	if (p->mail_last == MAIL_NONE) {
		p->mail_first = cell;
	} else {
		tree->mail[p->mail_last].next = cell;
	}
	p->mail_last = cell;
	tree->requests_in_mail += is_request(mail->kind);
	if (mail->kind == MAIL_DEATH) {
		CHECK(node_at(tree, mail->node)->death_mail == MAIL_NONE);
		node_at(tree, mail->node)->death_mail = cell;
	}
	if (p->phase == SUP_UP && p->action == ACT_IDLE) {
		work_push(tree, WORK_MAIL, supervisor);
	}
	return true;
}

void mail_take_back(struct tree *tree, uint32_t supervisor, uint32_t cell)
{
	struct node *p = node_at(tree, supervisor);
	struct mail *m = &tree->mail[cell];
	CHECK(m->kind != MAIL_FREE);
	if (m->prev == MAIL_NONE) {
		p->mail_first = m->next;
	} else {
		tree->mail[m->prev].next = m->next;
	}
	if (m->next == MAIL_NONE) {
		p->mail_last = m->prev;
	} else {
		tree->mail[m->next].prev = m->prev;
	}
	tree->requests_in_mail -= is_request(m->kind);
	if (m->kind == MAIL_DEATH) {
		node_at(tree, m->node)->death_mail = MAIL_NONE;
	}
	m->kind = MAIL_FREE;
	m->next = tree->mail_free;
	tree->mail_free = cell;
}

static bool is_current(const struct tree *tree, uint32_t supervisor, const struct mail *m)
{
	const struct node *c = node_at(tree, m->node);
	return c->used && c->generation == m->generation && c->parent == supervisor;
}

/* A place taken by tree_add_dynamic() for a child that is not added after all. */
static void place_give_back(struct tree *tree, uint32_t node)
{
	struct node *c = node_at(tree, node);
	if (!c->is_static && !c->present) {
		order_push(tree, DO_RELEASE, node);
		tree_node_free(tree, node);
	}
}

/* The supervisor goes down: one letter is dropped, a request is answered. False: none was left. */
bool mail_drop_one(struct tree *tree, uint32_t supervisor)
{
	uint32_t cell = node_at(tree, supervisor)->mail_first;
	if (cell == MAIL_NONE) {
		return false;
	}
	struct mail m = tree->mail[cell];
	struct node *p = node_at(tree, supervisor);
	mail_take_back(tree, supervisor, cell);
	if (m.kind == MAIL_STOP && p->rules->supervisor->give_up == GIVE_UP_COOLDOWN) {
		p->cause = CAUSE_ORDERED; /* asked to stop meanwhile: it must not come back */
	}
	if (is_request(m.kind)) {
		reply_push(tree, m.request, RESULT_SUPERVISOR_DOWN);
		if (m.kind == MAIL_ADD_REQUEST && is_current(tree, supervisor, &m)) {
			place_give_back(tree, m.node);
		}
	}
	return true;
}

/* --- restart intensity --- */

/* Entries exactly Period= old count (OTP, add_restart). */
static void window_trim(struct node *p, uint64_t now)
{
	uint32_t room = p->rules->supervisor->intensity + 1;
	uint64_t period = p->rules->supervisor->period_ns;
	while (p->history_count > 0 && now - p->history[p->history_first] > period) {
		p->history_first = (p->history_first + 1) % room;
		p->history_count--;
	}
}

uint32_t window_count(const struct tree *tree, uint32_t supervisor, uint64_t now)
{
	const struct node *p = node_at(tree, supervisor);
	uint32_t room = p->rules->supervisor->intensity + 1;
	uint32_t count = 0;
	for (uint32_t i = 0; i < p->history_count; i++) {
		uint64_t at = p->history[(p->history_first + i) % room];
		count += now < at || now - at <= p->rules->supervisor->period_ns;
	}
	return count;
}

uint32_t tree_window(
	const struct tree *tree, uint32_t supervisor, uint64_t now, uint64_t *times, uint32_t room)
{
	const struct node *p = node_at(tree, supervisor);
	CHECK(p->used && p->rules->is_supervisor);
	uint32_t count = window_count(tree, supervisor, now);
	count = count < room ? count : room;
	/* Time does not go back, so what counts is the end of the list. */
	uint32_t first = p->history_first + p->history_count - count;
	for (uint32_t i = 0; i < count; i++) {
		times[i] = p->history[(first + i) % (p->rules->supervisor->intensity + 1)];
	}
	return count;
}

/* Counts a restart; false when that is one too many. */
static bool window_add(struct tree *tree, uint32_t supervisor)
{
	struct node *p = node_at(tree, supervisor);
	uint32_t intensity = p->rules->supervisor->intensity;
	window_trim(p, tree->now);
	CHECK(p->history_count <= intensity);
	p->history[(p->history_first + p->history_count) % (intensity + 1)] = tree->now;
	p->history_count++;
	return p->history_count <= intensity;
}

/* --- deaths and retries --- */

static void give_up(struct tree *tree, uint32_t index, uint32_t child)
{
	struct node *p = node_at(tree, index);
	struct node *c = node_at(tree, child);
	supervisor_calm(tree, child);
	c->outcome = OUTCOME_FAILED;
	p->culprit_end = c->last_end;
	p->outcome = OUTCOME_FAILED;
	note_push(tree, index, NOTE_GAVE_UP);
	tree->orders->list[tree->orders->count - 1].end = c->last_end; /* the last straw */
	supervisor_stop_all(tree, index, CAUSE_INTENSITY);
}

/* How far a restart reaches: OTP's strategies, or OnExit='s for this one incident. */
static enum tree_strategy reach(const struct node *p, enum tree_exit_action action)
{
	if (action == EXIT_ONE_FOR_ALL) {
		return ONE_FOR_ALL;
	}
	if (action == EXIT_REST_FOR_ONE) {
		return REST_FOR_ONE;
	}
	return p->rules->supervisor->strategy;
}

static void restart_now(struct tree *tree, uint32_t index, uint32_t child, enum tree_strategy how)
{
	struct node *p = node_at(tree, index);
	supervisor_calm(tree, child);
	if (how == ONE_FOR_ONE || p->rules->supervisor->dynamic) {
		supervisor_start_from(tree, index, ACT_START_ONE, child);
	} else {
		supervisor_stop_group(tree, index, child, how == ONE_FOR_ALL);
	}
}

/* A restart is decided: counted first, before anything is stopped or started. */
static bool restart_count(struct tree *tree, uint32_t index, uint32_t child)
{
	if (!window_add(tree, index)) {
		give_up(tree, index, child);
		return false;
	}
	note_push(tree, child, NOTE_RESTARTING);
	return true;
}

/* A counted restart with a delay. The supervisor is free meanwhile; siblings that a group restart
 * takes along stay up until the delay is over, and then go down and come back with the child. */
static void restart_later(
	struct tree *tree, uint32_t child, uint64_t delay, enum tree_strategy reach)
{
	struct node *c = node_at(tree, child);
	supervisor_calm(tree, child);
	c->view = VIEW_RESTARTING;
	c->waiting = true;
	c->counted = true;
	c->reach = (uint8_t)reach;
	timer_set(tree, child, tree->now + delay < tree->now ? UINT64_MAX : tree->now + delay);
	note_push(tree, child, NOTE_WAITING);
}

static bool rule_matches(const struct tree_exit_rule *rule, const struct service_end *end)
{
	uint32_t number = (uint32_t)end->number;
	switch ((enum service_reason)end->reason) {
	case REASON_EXIT:
		return number < 256 && ((rule->ends.statuses[number / 32] >> (number % 32)) & 1);
	case REASON_SIGNAL: return number < 64 && ((rule->ends.signals >> number) & 1);
	case REASON_NONE:
	case REASON_EXEC:
	case REASON_START_TIMEOUT:
	case REASON_STOPPED:
	case REASON_OOM:
	case REASON_WATCHDOG:
	case REASON_HEALTH:
	case REASON_PROTOCOL:
	case REASON_RESOURCES:
	case REASON_LOST:
	case REASON_GAVE_UP:
	case REASON_AUTO_SHUTDOWN:
	case REASON_CHILD_FAILED:
	case REASON_RUNTIME_MAX:
	case REASON_START_LIMIT:
	case REASON_ASSERT:
	case REASON_DEPENDENCY:
	case REASON_COUNT: return (rule->reasons >> end->reason) & 1;
	}
	return false;
}

static const struct tree_exit_rule *rule_of(const struct node *c)
{
	for (uint32_t i = 0; i < c->rules->exit_rules_count; i++) {
		if (rule_matches(&c->rules->exit_rules[i], &c->last_end)) {
			return &c->rules->exit_rules[i];
		}
	}
	return NULL;
}

bool tree_restarts(enum tree_restart restart, const struct service_end *end)
{
	bool by_signal = end->reason == REASON_SIGNAL && !end->normal;
	switch (restart) {
	case RESTART_PERMANENT: return true;
	case RESTART_TRANSIENT: return !end->normal;
	case RESTART_TEMPORARY: return false;
	case RESTART_ON_SUCCESS: return end->normal;
	/* systemd.service(5), table of Restart=: on-abnormal leaves out unclean exit statuses. */
	case RESTART_ON_ABNORMAL:
		return !end->normal && end->reason != REASON_EXIT && end->reason != REASON_EXEC;
	case RESTART_ON_ABORT: return by_signal;
	case RESTART_ON_WATCHDOG: return end->reason == REASON_WATCHDOG;
	}
	return false;
}

static bool other_significant_alive(const struct tree *tree, uint32_t index, uint32_t child)
{
	for (uint32_t i = node_at(tree, index)->first; i != NODE_NONE; i = node_at(tree, i)->next) {
		const struct node *c = node_at(tree, i);
		if (i != child && c->rules->significant && c->view != VIEW_STOPPED) {
			return true;
		}
	}
	return false;
}

/* What the end of a child brings that is not restarted (OTP, do_auto_shutdown). */
static void not_restarted(struct tree *tree, uint32_t index, uint32_t child)
{
	struct node *p = node_at(tree, index);
	struct node *c = node_at(tree, child);
	supervisor_calm(tree, child);
	c->wanted = false;
	note_push(tree, child, c->last_end.normal ? NOTE_DONE : NOTE_FAILED);
	limit_act(tree, child);
	bool significant = c->rules->significant;
	struct service_end end = c->rules->is_supervisor ? c->culprit_end : c->last_end;
	enum tree_auto_shutdown when = p->rules->supervisor->auto_shutdown;
	bool down = significant && when != AUTO_NEVER;
	if (down && when == AUTO_ALL_SIGNIFICANT) {
		down = !other_significant_alive(tree, index, child);
	}
	if (supervisor_forgets(c) || p->rules->supervisor->dynamic) {
		supervisor_drop(tree, child);
	}
	if (down) {
		p->culprit_end = end;
		supervisor_stop_all(tree, index, CAUSE_AUTO);
	}
}

static void serve_death(struct tree *tree, uint32_t index, uint32_t child)
{
	struct node *p = node_at(tree, index);
	struct node *c = node_at(tree, child);
	const struct tree_exit_rule *rule = rule_of(c);
	enum tree_exit_action action = rule != NULL ? rule->action : EXIT_DEFAULT;
	if (action == EXIT_ESCALATE) {
		give_up(tree, index, child);
		return;
	}
	bool again = action == EXIT_DEFAULT ? limit_restarts(c->rules, &c->last_end)
					    : action != EXIT_STOP;
	if (!again || limit_reached(tree, child)) {
		not_restarted(tree, index, child);
		return;
	}
	if (!restart_count(tree, index, child)) {
		return;
	}
	uint64_t delay = supervisor_delay(tree, child, rule != NULL ? rule->delay_ns : 0);
	if (delay > 0) {
		restart_later(tree, child, delay, reach(p, action));
	} else {
		restart_now(tree, index, child, reach(p, action));
	}
}

static void serve_retry(struct tree *tree, uint32_t index, const struct mail *m)
{
	struct node *c = node_at(tree, m->node);
	if (!c->present || c->view != VIEW_RESTARTING || c->waiting) {
		return; /* a death or a request came first and settled it */
	}
	if (!m->flag && !restart_count(tree, index, m->node)) {
		return;
	}
	restart_now(tree, index, m->node, c->reach);
}

/* --- requests --- */

static void ask_start(struct tree *tree, uint32_t index, const struct mail *m, bool add)
{
	struct node *p = node_at(tree, index);
	p->request = m->request;
	p->asked_add = add;
	supervisor_start_from(tree, index, ACT_START_ASKED, m->node);
}

/* What OTP answers to restart_child and delete_child of a child that is not plainly stopped;
 * RESULT_OK when it is. */
static enum tree_result unless_stopped(const struct node *p, const struct node *c)
{
	if (!c->present) {
		return RESULT_NOT_FOUND;
	}
	if (p->rules->supervisor->dynamic && !c->held) {
		return RESULT_DYNAMIC;
	}
	if (c->view == VIEW_RESTARTING) {
		return RESULT_RESTARTING;
	}
	return c->view == VIEW_RUNNING ? RESULT_RUNNING : RESULT_OK;
}

/* OTP's restart_child, and a start by hand of a child that waits for its delay. */
static void serve_start(struct tree *tree, uint32_t index, const struct mail *m)
{
	struct node *c = node_at(tree, m->node);
	enum tree_result refused = unless_stopped(node_at(tree, index), c);
	if (c->present && c->view == VIEW_RESTARTING && c->waiting) {
		c->waiting = false;
		timer_set(tree, m->node, 0);
		mail_push(tree, index,
			&(struct mail){.kind = MAIL_RETRY,
				.flag = true,
				.node = m->node,
				.generation = m->generation});
		reply_push(tree, m->request, RESULT_OK);
	} else if (refused != RESULT_OK) {
		reply_push(tree, m->request, refused);
	} else {
		c->held = false;
		ask_start(tree, index, m, false);
	}
}

static void stop_running(
	struct tree *tree, uint32_t index, const struct mail *m, enum action action)
{
	struct node *p = node_at(tree, index);
	struct node *c = node_at(tree, m->node);
	p->action = (uint8_t)action;
	p->request = m->request;
	p->cursor = m->node;
	c->view = VIEW_STOPPING;
	work_push_stop(tree, m->node, c->rules->shutdown_ns);
}

static bool is_alive(const struct node *c)
{
	return c->view == VIEW_RUNNING && c->death_mail == MAIL_NONE;
}

/* OTP's terminate_child; `flag`: and it stays so. */
static void serve_stop(struct tree *tree, uint32_t index, const struct mail *m)
{
	struct node *p = node_at(tree, index);
	struct node *c = node_at(tree, m->node);
	if (!c->present) {
		c->held = c->held || (m->flag && c->is_static);
		reply_push(tree, m->request, RESULT_NOT_FOUND);
		return;
	}
	c->held = c->held || m->flag;
	c->parked = false;
	if (is_alive(c)) {
		stop_running(tree, index, m, ACT_STOP_ASKED);
		return;
	}
	bool was_up = c->view != VIEW_STOPPED;
	supervisor_calm(tree, m->node);
	c->wanted = false;
	if (was_up) {
		c->outcome = OUTCOME_STOPPED;
		note_push(tree, m->node, NOTE_STOPPED);
	}
	bool dynamic = p->rules->supervisor->dynamic;
	if (supervisor_forgets(c) || (dynamic && !(c->held && c->is_static))) {
		supervisor_drop(tree, m->node);
	}
	reply_push(tree, m->request, RESULT_OK);
}

static void serve_restart(struct tree *tree, uint32_t index, const struct mail *m)
{
	struct node *c = node_at(tree, m->node);
	if (!c->present) {
		reply_push(tree, m->request, RESULT_NOT_FOUND);
		return;
	}
	c->held = false;
	if (is_alive(c)) {
		stop_running(tree, index, m, ACT_STOP_TO_RESTART);
		return;
	}
	supervisor_calm(tree, m->node);
	ask_start(tree, index, m, false);
}

/* A stop that is undone by serve_unpark(). One that is down already is left as it is: it may be on
 * its way up again, and whoever stopped it knows why. */
static void serve_park(struct tree *tree, uint32_t index, const struct mail *m)
{
	struct node *c = node_at(tree, m->node);
	if (!c->present || !is_alive(c)) {
		reply_push(tree, m->request, RESULT_NOT_RUNNING);
		return;
	}
	c->parked = true;
	stop_running(tree, index, m, ACT_STOP_ASKED);
}

static void serve_unpark(struct tree *tree, uint32_t index, const struct mail *m)
{
	struct node *c = node_at(tree, m->node);
	if (!c->present || !c->parked || c->view != VIEW_STOPPED || c->held) {
		reply_push(tree, m->request, RESULT_IGNORED);
		return;
	}
	ask_start(tree, index, m, false);
}

static void serve_delete(struct tree *tree, uint32_t index, const struct mail *m)
{
	struct node *c = node_at(tree, m->node);
	enum tree_result refused = unless_stopped(node_at(tree, index), c);
	if (refused == RESULT_OK) {
		c->held = false;
		c->parked = false;
		supervisor_drop(tree, m->node);
	}
	reply_push(tree, m->request, refused);
}

static uint32_t children_count(const struct tree *tree, uint32_t index)
{
	uint32_t count = 0;
	for (uint32_t i = node_at(tree, index)->first; i != NODE_NONE; i = node_at(tree, i)->next) {
		count++;
	}
	return count;
}

/* OTP's start_child: goes to the end of the list, and is not kept when its start fails. */
static void serve_add(struct tree *tree, uint32_t index, const struct mail *m)
{
	const struct tree_supervisor_rules *r = node_at(tree, index)->rules->supervisor;
	struct node *c = node_at(tree, m->node);
	if (c->present) {
		bool up = c->view == VIEW_RUNNING;
		reply_push(tree, m->request, up ? RESULT_ALREADY_STARTED : RESULT_ALREADY_PRESENT);
		return;
	}
	if (r->children_max != UINT32_MAX && children_count(tree, index) >= r->children_max) {
		reply_push(tree, m->request, RESULT_MAX_CHILDREN);
		place_give_back(tree, m->node);
		return;
	}
	c->held = false;
	c->view = VIEW_STOPPED;
	child_list_append(tree, index, m->node);
	if (m->flag) {
		/* On demand: it is there, and waits for its start. */
		c->wanted = false;
		reply_push(tree, m->request, RESULT_OK);
		return;
	}
	ask_start(tree, index, m, true);
}

/* Looks at the first letter when nothing is under way. */
void mail_serve(struct tree *tree, uint32_t supervisor)
{
	struct node *p = node_at(tree, supervisor);
	if (!p->used || !p->rules->is_supervisor || p->phase != SUP_UP || p->action != ACT_IDLE ||
		p->mail_first == MAIL_NONE) {
		return;
	}
	struct mail m = tree->mail[p->mail_first];
	mail_take_back(tree, supervisor, p->mail_first);
	work_push(tree, WORK_MAIL, supervisor);
	if (m.kind == MAIL_STOP) {
		supervisor_stop_all(tree, supervisor, CAUSE_ORDERED);
		return;
	}
	if (!is_current(tree, supervisor, &m)) {
		if (is_request(m.kind)) {
			reply_push(tree, m.request, RESULT_NOT_FOUND);
		}
		return;
	}
	switch ((enum mail_kind)m.kind) {
	case MAIL_DEATH: serve_death(tree, supervisor, m.node); break;
	case MAIL_RETRY: serve_retry(tree, supervisor, &m); break;
	case MAIL_START_REQUEST: serve_start(tree, supervisor, &m); break;
	case MAIL_STOP_REQUEST: serve_stop(tree, supervisor, &m); break;
	case MAIL_RESTART_REQUEST: serve_restart(tree, supervisor, &m); break;
	case MAIL_DELETE_REQUEST: serve_delete(tree, supervisor, &m); break;
	case MAIL_ADD_REQUEST: serve_add(tree, supervisor, &m); break;
	case MAIL_PARK_REQUEST: serve_park(tree, supervisor, &m); break;
	case MAIL_UNPARK_REQUEST: serve_unpark(tree, supervisor, &m); break;
	case MAIL_STOP:
	case MAIL_FREE: break;
	}
}

/* --- requests arriving --- */

static enum mail_kind request_kind(uint8_t event)
{
	switch ((enum tree_event_kind)event) {
	case EV_START: return MAIL_START_REQUEST;
	case EV_STOP: return MAIL_STOP_REQUEST;
	case EV_RESTART: return MAIL_RESTART_REQUEST;
	case EV_DELETE: return MAIL_DELETE_REQUEST;
	case EV_ADD: return MAIL_ADD_REQUEST;
	case EV_PARK: return MAIL_PARK_REQUEST;
	case EV_UNPARK: return MAIL_UNPARK_REQUEST;
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
	return MAIL_FREE;
}

/* A stop that is to stick does not wait for a start of the same child: the start is broken off. */
static bool break_off(struct tree *tree, const struct tree_event *event)
{
	struct node *c = node_at(tree, event->node);
	if (tree->config.stop_in_turn || event->kind != EV_STOP || !event->flag ||
		c->view != VIEW_STARTING || c->stop_request != 0) {
		return false;
	}
	c->held = true;
	c->stop_request = event->request;
	c->view = VIEW_STOPPING;
	work_push_stop(tree, event->node, c->rules->shutdown_ns);
	return true;
}

void mail_request(struct tree *tree, const struct tree_event *event)
{
	struct node *c = node_at(tree, event->node);
	uint32_t index = c->parent;
	if (break_off(tree, event)) {
		return;
	}
	struct node *p = node_at(tree, index);
	bool add = event->kind == EV_ADD;
	if (p->phase == SUP_DOWN || p->phase == SUP_COOLING) {
		if (event->kind == EV_STOP && event->flag && c->is_static) {
			c->held = true; /* it will not come up with its supervisor */
		}
		reply_push(tree, event->request, RESULT_NO_SUCH_SUPERVISOR);
		if (add) {
			place_give_back(tree, event->node);
		}
		return;
	}
	struct mail mail = {.kind = (uint8_t)request_kind(event->kind),
		.flag = event->flag,
		.node = event->node,
		.generation = c->generation,
		.request = event->request};
	if (!mail_push(tree, index, &mail)) {
		reply_push(tree, event->request, RESULT_FAILED);
		if (add) {
			place_give_back(tree, event->node);
		}
	}
}
