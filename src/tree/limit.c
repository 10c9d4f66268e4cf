/*
 * What systemd's units say about starts and ends beside their supervisor: the limit of starts of
 * one unit, the ends after which Restart= is not asked, and what an end brings the whole tree.
 */
#include "base/check.h"
#include "base/span.h"
#include "tree/internal.h"

/* --- StartLimitIntervalSec=, StartLimitBurst= --- */

/* A start by hand is let through, and begins the count anew: nothing done by hand counts here. */
void limit_note_start(struct tree *tree, uint32_t child, bool by_hand)
{
	struct node *c = node_at(tree, child);
	uint32_t room = c->rules->is_supervisor ? 0 : c->rules->start_limit_burst;
	if (room == 0) {
		return;
	}
	if (by_hand) {
		c->history_count = c->history_first = 0;
	}
	if (c->history_count == room) {
		c->history_first = (c->history_first + 1) % room;
		c->history_count--;
	}
	c->history[(c->history_first + c->history_count) % room] = tree->now;
	c->history_count++;
}

bool limit_reached(struct tree *tree, uint32_t child)
{
	struct node *c = node_at(tree, child);
	uint32_t room = c->rules->is_supervisor ? 0 : c->rules->start_limit_burst;
	if (room == 0 || c->history_count < room ||
		span_add(c->history[c->history_first], c->rules->start_limit_ns) <= tree->now) {
		return false;
	}
	c->last_end = (struct service_end){.reason = REASON_START_LIMIT};
	c->outcome = OUTCOME_FAILED;
	return true;
}

/* --- Restart= and the sets of ends --- */

static bool is_in(const struct service_end_set *set, const struct service_end *end)
{
	uint32_t number = (uint32_t)end->number;
	if (end->reason == REASON_EXIT) {
		return number < 256 && ((set->statuses[number / 32] >> (number % 32)) & 1);
	}
	return end->reason == REASON_SIGNAL && number < 64 && ((set->signals >> number) & 1);
}

bool tree_restart_prevented(const struct tree_child_rules *rules, const struct service_end *end)
{
	return is_in(&rules->restart_prevent, end);
}

bool limit_restarts(const struct tree_child_rules *rules, const struct service_end *end)
{
	if (is_in(&rules->restart_prevent, end)) {
		return false;
	}
	return is_in(&rules->restart_force, end) || tree_restarts(rules->restart, end);
}

bool limit_ends_attempts(struct tree *tree, uint32_t child)
{
	struct node *c = node_at(tree, child);
	if (!is_in(&c->rules->restart_prevent, &c->last_end) && !limit_reached(tree, child)) {
		return false;
	}
	c->view = VIEW_STOPPED;
	c->wanted = false;
	c->outcome = OUTCOME_FAILED;
	note_push(tree, child, NOTE_FAILED);
	limit_act(tree, child);
	return true;
}

/* --- actions --- */

static bool is_forced(uint8_t action)
{
	return action != ACTION_REBOOT && action != ACTION_POWEROFF && action != ACTION_EXIT;
}

/* The first one holds. */
static void act(struct tree *tree, uint32_t child, uint8_t action, int16_t status)
{
	struct node *c = node_at(tree, child);
	if (action == ACTION_NONE || tree->action != ACTION_NONE) {
		return;
	}
	CHECK(action <= ACTION_EXIT_FORCE);
	tree->action = action;
	tree->action_end = c->last_end;
	if (status >= 0) {
		tree->action_end = (struct service_end){.reason = REASON_EXIT, .number = status};
	}
	note_push(tree, child, NOTE_ACTION);
	tree->orders->list[tree->orders->count - 1].action = action;
	tree_shut_down(tree, is_forced(action));
}

void limit_act(struct tree *tree, uint32_t child)
{
	const struct tree_child_rules *rules = node_at(tree, child)->rules;
	const struct service_end *end = &node_at(tree, child)->last_end;
	if (end->reason == REASON_START_LIMIT) {
		act(tree, child, rules->start_limit_action, -1);
	}
	/* OTP calls giving up a normal end; to people it is none. */
	if (end->normal && end->reason != REASON_GAVE_UP) {
		act(tree, child, rules->success_action, rules->success_status);
	} else {
		act(tree, child, rules->failure_action, rules->failure_status);
	}
}
