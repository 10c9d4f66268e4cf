#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/names.h"
#include "base/span.h"
#include "manager/manager.h"
#include "manager/reason.h"
#include "process/condition.h"

/* Why a unit is in its state, what it waits for and until when, what happens next. */

static void say(json_t *out, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void say(json_t *out, const char *format, ...)
{
	char text[1024];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	json_array_append_new(out, json_string(text));
}

static void say_deadline(
	struct manager *m, json_t *out, const struct tree_view *view, const char *then)
{
	char span[SPAN_TEXT_SIZE];
	if (view->deadline_ns == 0) {
		say(out, "There is no time limit.");
		return;
	}
	uint64_t left = view->deadline_ns > m->now ? view->deadline_ns - m->now : 0;
	left = left / NS_PER_MS * NS_PER_MS;
	say(out, "The time limit is over in %s; then %s.", span_format(left, span, sizeof(span)),
		then);
}

static const char *restart_rule(const struct node *node)
{
	switch ((enum tree_restart)node->definition->child.restart) {
	case RESTART_PERMANENT: return "it is always started again when it ends";
	case RESTART_TRANSIENT: return "it is started again when it ends abnormally";
	case RESTART_TEMPORARY: return "it is never started again";
	case RESTART_ON_SUCCESS: return "it is started again when it ends normally";
	case RESTART_ON_ABNORMAL: return "it is started again after a signal or a time-out";
	case RESTART_ON_ABORT: return "it is started again after a signal";
	case RESTART_ON_WATCHDOG: return "it is started again after its watchdog";
	}
	return "";
}

static void say_last_end(const struct node *node, json_t *out, const struct tree_view *view)
{
	char text[REASON_TEXT_SIZE];
	const char *path = NULL;
	if (view->last_end.reason == REASON_NONE) {
		return;
	}
	if (node_unit(node)->kind == UNIT_SERVICE &&
		node->definition->exec->commands[UNIT_START].count > 0) {
		path = node->definition->exec->commands[UNIT_START].list[0].path;
	}
	say(out, "It last ended with %s, which is %s end.",
		reason_text_long(&view->last_end, path, text, sizeof(text)),
		view->last_end.normal ? "a normal" : "an abnormal");
}

static void say_starting(
	struct manager *m, const struct node *node, json_t *out, const struct tree_view *view)
{
	if (view->is_supervisor) {
		for (uint32_t i = tree_first_child(m->tree, node->index); i != NODE_NONE;
			i = tree_next_child(m->tree, i)) {
			struct tree_view child;
			tree_look(m->tree, i, m->now, &child);
			if (child.state == STATE_STARTING) {
				say(out, "It is starting its children in order, and waits for %s.",
					node_name(m, i));
				return;
			}
		}
		say(out, "It is starting its children in order.");
		return;
	}
	uint8_t type = node->definition->service.type;
	pid_t pid = node_pid(m, node, ROLE_MAIN);
	pid_t control = node_pid(m, node, ROLE_CONTROL);
	if (view->service_state == SERVICE_STATE_CONDITION) {
		say(out, "It is starting: ExecCondition= runs as process %d.", control);
	} else if (view->service_state == SERVICE_STATE_START_PRE) {
		say(out, "It is starting: ExecStartPre= runs as process %d.", control);
	} else if (view->service_state == SERVICE_STATE_START_POST) {
		say(out, "It is starting: ExecStartPost= runs as process %d.", control);
	} else if (view->finding && node->definition->exec->pid_file != NULL) {
		say(out, "It is starting: the main process is looked for in %s.",
			node->definition->exec->pid_file);
	} else if (type == SERVICE_NOTIFY || type == SERVICE_NOTIFY_RELOAD) {
		say(out, "It is starting: process %d has not said READY=1 yet.", pid);
	} else if (type == SERVICE_ONESHOT) {
		say(out, "It is starting: process %d has not ended yet.", pid);
	} else {
		say(out, "It is starting, as process %d.", pid);
	}
	say_deadline(m, out, view, "the start has failed with start-timeout");
}

static void say_stopping(
	struct manager *m, const struct node *node, json_t *out, const struct tree_view *view)
{
	if (view->is_supervisor) {
		say(out, "It is stopping its children, the last one first.");
		return;
	}
	switch ((enum service_state)view->service_state) {
	case SERVICE_STATE_STOP:
		say(out, "It is being stopped: ExecStop= runs as process %d.",
			node_pid(m, node, ROLE_CONTROL));
		say_deadline(m, out, view, "it gets its stop signal");
		break;
	case SERVICE_STATE_TERM:
		say(out, "It is being stopped: process %d has its stop signal and has not ended.",
			node_pid(m, node, ROLE_MAIN));
		say_deadline(m, out, view, "it gets SIGKILL");
		break;
	case SERVICE_STATE_ABORT:
		say(out, "It is being ended: process %d has its watchdog signal and has not ended.",
			node_pid(m, node, ROLE_MAIN));
		say_deadline(m, out, view, "it gets SIGKILL");
		break;
	case SERVICE_STATE_KILL:
		say(out,
			"It has got SIGKILL, and process %d has not ended. Nothing is started in "
			"its "
			"place until it has.",
			node_pid(m, node, ROLE_MAIN));
		break;
	default: say(out, "It is being stopped: ExecStopPost= runs."); break;
	}
}

/* "3s"; "12ms" below a second. */
static const char *span_short(uint64_t span_ns, char *buf, size_t size)
{
	uint64_t unit = span_ns < NS_PER_SEC ? NS_PER_MS : NS_PER_SEC;
	return span_format(span_ns / unit * unit, buf, size);
}

static void say_health(
	struct manager *m, const struct node *node, json_t *out, const struct tree_view *view)
{
	char ago[SPAN_TEXT_SIZE], said[160] = "";
	bool good;
	uint64_t at;
	const char *text = health_said(node, &good, &at);
	uint32_t retries = node->definition->service.health.retries;
	if (text != NULL) {
		snprintf(said, sizeof(said), " The last check was made %s ago: %s.",
			span_short(m->now > at ? m->now - at : 0, ago, sizeof(ago)), text);
	}
	switch ((enum service_health)view->health) {
	case HEALTH_NONE:
	case HEALTH_COUNT: return;
	case HEALTH_STARTING:
		say(out, "It is not ready: no health check has succeeded yet.%s", said);
		if (view->service_state == SERVICE_STATE_WARM) {
			say_deadline(m, out, view, "the start has failed with start-timeout");
		}
		return;
	case HEALTH_GOOD: say(out, "It is healthy.%s", said); return;
	case HEALTH_FAILING:
		say(out, "It is not ready: %u of %u health checks in a row have failed.%s",
			view->health_failures, retries, said);
		return;
	}
}

static void say_watchdog(struct manager *m, const struct node *node, json_t *out)
{
	char left[SPAN_TEXT_SIZE], span[SPAN_TEXT_SIZE];
	uint64_t deadline = node->watchdog.deadline_ns;
	if (node->watchdog_ns == 0 || node->watchdog.place == TIMER_NOT_ARMED) {
		return;
	}
	say(out, "Its watchdog of %s expires in %s, unless it says WATCHDOG=1.",
		span_format(node->watchdog_ns, span, sizeof(span)),
		span_short(deadline > m->now ? deadline - m->now : 0, left, sizeof(left)));
}

static void say_said(const struct node *node, json_t *out)
{
	if (node->status_text != NULL) {
		say(out, "It says: %s", node->status_text);
	}
	if (node->said_errno != 0) {
		say(out, "It says that its error is %s.", errno_name(node->said_errno));
	}
}

static void say_running(
	struct manager *m, const struct node *node, json_t *out, const struct tree_view *view)
{
	char span[SPAN_TEXT_SIZE];
	uint64_t up = m->now > view->state_since_ns ? m->now - view->state_since_ns : 0;
	uint64_t unit = up < NS_PER_SEC ? NS_PER_MS : NS_PER_SEC;
	span_format(up / unit * unit, span, sizeof(span));
	if (node_unit(node)->kind == UNIT_SOCKET) {
		sockets_why(m, node, out);
		return;
	}
	if (view->is_supervisor) {
		const struct tree_supervisor_rules *rules = &node->definition->supervisor;
		say(out, "It has been running for %s.", span);
		say(out, "%u of %u restarts are used up in the present period.", view->window,
			rules->intensity);
		return;
	}
	pid_t pid = node_pid(m, node, ROLE_MAIN);
	if (pid > 0) {
		say(out, "It has been running as process %d for %s.", pid, span);
	} else {
		say(out, "It has done its work, and counts as running for %s.", span);
	}
	say_health(m, node, out, view);
	say_watchdog(m, node, out);
	if (view->restarts > 0) {
		say(out, "It was restarted %u time%s.", view->restarts,
			view->restarts == 1 ? "" : "s");
	}
}

/* A service that failed and stays so: because nobody is there to start it, because OnExit= says so,
 * because of its restart rule, or because the start that failed was asked for by hand. */
static void say_failed(struct manager *m, const struct node *node, json_t *out,
	const struct tree_view *view, const struct tree_view *parent)
{
	const struct tree_child_rules *rules = &node->definition->child;
	if (view->last_end.reason == REASON_START_LIMIT) {
		char span[SPAN_TEXT_SIZE];
		say(out,
			"It has failed and is not started again: it was started %u times within "
			"%s, which is its StartLimitBurst=. A start by hand begins anew.",
			rules->start_limit_burst,
			span_format(rules->start_limit_ns, span, sizeof(span)));
	} else if (parent->state != STATE_RUNNING) {
		say(out, "It has failed, and its supervisor %s is %s.", node_name(m, node->parent),
			tree_state_names[parent->state]);
	} else if (!tree_restarts(rules->restart, &view->last_end)) {
		say(out, "It has failed and is not started again: %s.", restart_rule(node));
	} else if (tree_restart_prevented(rules, &view->last_end)) {
		say(out, "It has failed and is not started again: RestartPreventExitStatus= has "
			 "this end.");
	} else if (rules->exit_rules_count > 0) {
		say(out, "It has failed and is not started again: OnExit= says so for this end.");
	} else {
		say(out, "Its start by hand has failed; such a start is not tried again.");
	}
}

/* A start that was left out or refused before there was a process: what did not hold. It is asked
 * again now; where it holds now, only that can be said. */
static bool say_unmet(
	struct manager *m, const struct node *node, json_t *out, const struct tree_view *view)
{
	const char *culprit;
	bool asserted = view->state == STATE_FAILED && view->last_end.reason == REASON_ASSERT;
	if (view->skipped || asserted) {
		bool holds =
			conditions_judge(node_unit(node)->conditions, &culprit) == CONDITIONS_HOLD;
		say(out, "%s: %s%s.", view->skipped ? "It was left out" : "Its start has failed",
			holds ? "a condition did not hold; all of them hold now" : culprit,
			holds ? "" : " does not hold");
		return true;
	}
	if (view->state != STATE_FAILED || view->last_end.reason != REASON_DEPENDENCY) {
		return false;
	}
	const struct node *missing = links_forbid_start(m, node);
	struct tree_view other;
	if (missing == NULL) {
		say(out, "A unit that it needs was not up when it was to be started; it is now.");
		return true;
	}
	tree_look(m->tree, missing->index, m->now, &other);
	say(out, "Its start has failed: it cannot be without %s, which is %s.",
		node_unit_name(missing), tree_state_names[other.state]);
	return true;
}

static void say_down(
	struct manager *m, const struct node *node, json_t *out, const struct tree_view *view)
{
	struct tree_view parent = {.state = STATE_RUNNING};
	if (node->parent != NODE_NONE) {
		tree_look(m->tree, node->parent, m->now, &parent);
	}
	if (view->held) {
		say(out, "It was stopped by hand, and stays so until it is started by hand.");
	} else if (view->parked) {
		say(out, "It was stopped because a unit that it is bound to went down; it comes "
			 "back with that one.");
	} else if (say_unmet(m, node, out, view)) {
		; /* that is all */
	} else if (view->state == STATE_DONE) {
		say(out, "It has ended normally and is not started again: %s.", restart_rule(node));
	} else if (view->state == STATE_FAILED && view->is_supervisor) {
		say(out, "It is down: %s.",
			view->cause == CAUSE_INTENSITY      ? "its children ended more often than "
							      "Intensity= allows within Period="
			: view->cause == CAUSE_START_FAILED ? "a child could not be started"
							    : "it failed");
	} else if (view->state == STATE_FAILED) {
		say_failed(m, node, out, view, &parent);
	} else if (!view->present && node->index != 0) {
		say(out, "Its supervisor has forgotten it; a start adds it again.");
	} else if (parent.state != STATE_RUNNING) {
		say(out, "Its supervisor %s is %s.", node_name(m, node->parent),
			tree_state_names[parent.state]);
	} else if (node_unit(node)->on_demand) {
		say(out, "It is not started with its supervisor, but when another unit asks for "
			 "it.");
	} else {
		say(out, "It is stopped.");
	}
}

json_t *why_sentences(struct manager *m, const struct node *node)
{
	struct tree_view view;
	json_t *out = json_array();
	tree_look(m->tree, node->index, m->now, &view);
	switch ((enum tree_state)view.state) {
	case STATE_STARTING: say_starting(m, node, out, &view); break;
	case STATE_RUNNING: say_running(m, node, out, &view); break;
	case STATE_STOPPING: say_stopping(m, node, out, &view); break;
	case STATE_WAITING:
		say(out, view.is_supervisor ? "It gave up and cools down."
					    : "It waits before it is started again.");
		say_deadline(m, out, &view, "it is started");
		break;
	case STATE_STOPPED:
	case STATE_FAILED:
	case STATE_DONE: say_down(m, node, out, &view); break;
	case STATE_COUNT: break;
	}
	say_last_end(node, out, &view);
	if (!view.is_supervisor) {
		say_said(node, out);
	}
	if (view.state == STATE_RUNNING && node->index != 0) {
		say(out, "As a child of %s: %s.", node_name(m, node->parent), restart_rule(node));
	}
	if (node_has_changed(node)) {
		say(out, "Its unit file has changed; the new one holds from the next start on.");
	}
	return out;
}
