#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/log.h"
#include "manager/cgroup.h"
#include "manager/manager.h"
#include "manager/reason.h"

/* --- the trace: the last events and orders, in their own form --- */

static struct trace_entry *trace_next(struct manager *m, uint32_t index)
{
	struct trace_entry *entry = &m->trace[m->trace_count++ % TRACE_SIZE];
	struct node *node = node_at(m, index);
	definition_release(entry->definition);
	entry->definition = node == NULL ? NULL : definition_hold(node->definition);
	return entry;
}

void trace_event(struct manager *m, const struct tree_event *event)
{
	struct trace_entry *entry = trace_next(m, event->node);
	entry->is_order = false;
	entry->event = *event;
}

static void trace_order(struct manager *m, const struct tree_order *order)
{
	struct trace_entry *entry = trace_next(m, order->node);
	entry->is_order = true;
	entry->order = *order;
}

void trace_finish(struct manager *m)
{
	for (uint32_t i = 0; m->trace != NULL && i < TRACE_SIZE; i++) {
		definition_release(m->trace[i].definition);
	}
	free(m->trace);
}

/* --- signals --- */

static void order_signal(struct manager *m, struct node *node, const struct tree_order *order)
{
	enum service_role role = order->target == TARGET_CONTROL ? ROLE_CONTROL : ROLE_MAIN;
	bool group = order->target != TARGET_MAIN;
	uint32_t slot = node->slots[role];
	if (slot == SHARE_SLOT_NONE) {
		return;
	}
	if (order->target == TARGET_GROUP && cgroup_signal_others(m, node, order->signo)) {
		group = false; /* who is in the group of the main process is in its cgroup */
	}
	int failed = slot_signal(m, slot, order->signo, group);
	if (failed == -ESRCH && group) {
		/* A process that has not reached setsid(2), or has left its group, is alone. */
		failed = slot_signal(m, slot, order->signo, false);
	}
	if (failed != 0 && failed != -ESRCH) {
		log_warning("%s: cannot send signal %d: %s", node_unit_name(node), order->signo,
			strerror(-failed));
	}
	/* A stopped process would not see what it is asked. */
	if (failed == 0 && order->signo != SIGKILL && order->signo != SIGCONT) {
		if (order->target == TARGET_GROUP) {
			cgroup_signal_others(m, node, SIGCONT);
		}
		slot_signal(m, slot, SIGCONT, group);
	}
}

/* --- the end --- */

/* `exit` ends with the status that was asked for. What is to be done to a machine is no failure of
 * the tree. */
static int action_exit_status(const struct tree_order *order)
{
	bool is_exit = order->action == ACTION_EXIT || order->action == ACTION_EXIT_FORCE;
	return is_exit ? reason_exit_number(&order->end) : 0;
}

static int end_status(const struct tree_order *order)
{
	switch ((enum tree_cause)order->cause) {
	case CAUSE_NONE:
	case CAUSE_ORDERED: return 0;
	case CAUSE_AUTO: return reason_exit_number(&order->end);
	case CAUSE_ACTION: return action_exit_status(order);
	case CAUSE_INTENSITY:
	case CAUSE_START_FAILED:
	case CAUSE_COUNT: break;
	}
	return 1;
}

/* FailureAction= and its like, when the tree is down. Everything that is to become of a machine
 * goes through here; in a container and for a user there is none. */
static void action_carry_out(struct manager *m, const struct tree_order *order)
{
	static const char *const names[] = {[ACTION_REBOOT] = "reboot",
		[ACTION_REBOOT_FORCE] = "reboot-force",
		[ACTION_REBOOT_IMMEDIATE] = "reboot-immediate",
		[ACTION_POWEROFF] = "poweroff",
		[ACTION_POWEROFF_FORCE] = "poweroff-force",
		[ACTION_POWEROFF_IMMEDIATE] = "poweroff-immediate"};
	if (order->action < sizeof(names) / sizeof(names[0]) && names[order->action] != NULL) {
		char text[128];
		snprintf(text, sizeof(text),
			"a unit asks for \"%s\": there is no machine of our own, coppice ends",
			names[order->action]);
		stream_say(m, LOG_LEVEL_NOTICE, text);
	}
}

static void order_end(struct manager *m, const struct tree_order *order)
{
	m->ended = true;
	m->end_status = end_status(order);
	if (order->cause == CAUSE_ACTION) {
		action_carry_out(m, order);
	}
	bool gave_up = order->cause == CAUSE_INTENSITY || order->cause == CAUSE_START_FAILED;
	if (gave_up) {
		char reason[REASON_TEXT_SIZE], text[UNIT_NAME_SIZE + REASON_TEXT_SIZE + 64];
		bool known = order->end.reason != REASON_NONE;
		snprintf(text, sizeof(text), "%s: %s%s%s", node_name(m, 0),
			order->cause == CAUSE_INTENSITY ? "gave up, too many restarts"
							: "could not start",
			known ? ": " : "",
			known ? reason_text(&order->end, reason, sizeof(reason)) : "");
		stream_say(m, LOG_LEVEL_ERROR, text);
	}
	if (m->keeper_gone) {
		m->end_status = 1;
		return;
	}
	keeper_tell(m, SHARE_MSG_END, m->end_status, gave_up);
}

/* --- carrying out --- */

static void order_timer(struct manager *m, struct node *node, const struct tree_order *order)
{
	if (order->deadline_ns == 0) {
		timers_clear(&m->timers, &node->deadline);
	} else {
		timers_set(&m->timers, &node->deadline, order->deadline_ns);
	}
}

/* Whatever processes are left are not ours any more: their deaths are nobody's news, and the keeper
 * leaves their groups alone. */
static void order_forget(struct manager *m, struct node *node)
{
	for (uint32_t role = 0; role < 2; role++) {
		if (node->slots[role] != SHARE_SLOT_NONE) {
			slot_at(m, node->slots[role])->group = SHARE_GROUP_LEAVE;
			slot_detach(m, node, role);
		}
	}
	find_main_end(m, node);
}

/* What an order changes in our own records: the same when it is only replayed. */
static void order_record(struct manager *m, struct node *node, const struct tree_order *order)
{
	switch ((enum tree_order_kind)order->kind) {
	case DO_TIMER:
		if (node != NULL) {
			order_timer(m, node, order);
		}
		break;
	case DO_RELEASE: node_leave(m, order->node); break;
	case DO_REPLY: request_reply(m, order->request, order->result); break;
	case DO_SPAWN:
		if (node != NULL && order->role == ROLE_MAIN) {
			notify_forget(m, node);
		}
		break;
	case DO_FIND_MAIN:
		if (node != NULL && m->replaying) {
			node->searching = true;
		}
		break;
	case DO_END:
		m->ended = true;
		m->end_status = end_status(order);
		break;
	case DO_SIGNAL:
	case DO_FORGET:
	case DO_WATCH:
	case DO_PROBE:
	case DO_NOTE:
	case DO_COUNT: break;
	}
}

/* Whatever got away from the process group of a main process that is gone. */
static void leftovers_kill(struct manager *m, struct node *node)
{
	if (node_unit(node)->kind != UNIT_SERVICE || cgroup_ended(m, node)) {
		return;
	}
	if (node->definition->service.kill_mode <= KILL_MIXED && !m->keeper_gone) {
		strays_want(m, node);
	}
}

static bool is_end(uint8_t note)
{
	return note == NOTE_EXITED || note == NOTE_STOPPED || note == NOTE_START_FAILED ||
	       note == NOTE_FAILED || note == NOTE_DONE;
}

static void order_do(struct manager *m, const struct tree_order *order)
{
	struct node *node = order->node == NODE_NONE
				    ? NULL
				    : node_of_generation(m, order->node, order->generation);
	order_record(m, node, order);
	if (order->kind == DO_END) {
		order_end(m, order);
		return;
	}
	/* The record may have freed the node. */
	if (node == NULL || order->kind == DO_RELEASE) {
		return;
	}
	switch ((enum tree_order_kind)order->kind) {
	case DO_SPAWN: spawn_start(m, order); break;
	case DO_SIGNAL: order_signal(m, node, order); break;
	case DO_FIND_MAIN: find_main_begin(m, node); break;
	case DO_FORGET: order_forget(m, node); break;
	case DO_NOTE:
		if (is_end(order->note)) {
			leftovers_kill(m, node);
			sweep_node(m, node);
		}
		sockets_note(m, node, order);
		stream_note(m, order);
		links_note(m, order);
		break;
	case DO_WATCH: watchdog_order(m, node, order->deadline_ns); break;
	case DO_PROBE: health_order(m, node, order->on); break;
	case DO_TIMER:
	case DO_REPLY:
	case DO_RELEASE:
	case DO_END:
	case DO_COUNT: break;
	}
}

void orders_carry_out(struct manager *m)
{
	struct journal_header *header = m->journal.header;
	for (uint32_t i = 0; i < m->orders.count; i++) {
		const struct tree_order *order = &m->orders.list[i];
		trace_order(m, order);
		if (order->id <= m->orders_done_before) {
			struct node *node =
				order->node == NODE_NONE
					? NULL
					: node_of_generation(m, order->node, order->generation);
			order_record(m, node, order);
			continue;
		}
		if (m->replaying) {
			recover_attach_slots(m);
		}
		if (header != NULL) {
			atomic_store_explicit(
				&header->order_begun, order->id, memory_order_relaxed);
		}
		order_do(m, order);
		if (header != NULL) {
			atomic_store_explicit(&header->order_done, order->id, memory_order_release);
		}
	}
}
