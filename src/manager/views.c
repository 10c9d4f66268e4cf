#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/span.h"
#include "manager/cgroup.h"
#include "manager/manager.h"
#include "manager/reason.h"

static const char *const strategy_names[] = {
	[ONE_FOR_ONE] = "one-for-one",
	[ONE_FOR_ALL] = "one-for-all",
	[REST_FOR_ONE] = "rest-for-one",
};
static const char *const restart_names[] = {
	[RESTART_PERMANENT] = "permanent",
	[RESTART_TRANSIENT] = "transient",
	[RESTART_TEMPORARY] = "temporary",
	[RESTART_ON_SUCCESS] = "on-success",
	[RESTART_ON_ABNORMAL] = "on-abnormal",
	[RESTART_ON_ABORT] = "on-abort",
	[RESTART_ON_WATCHDOG] = "on-watchdog",
};
static const char *const auto_names[] = {
	[AUTO_NEVER] = "never",
	[AUTO_ANY_SIGNIFICANT] = "any-significant",
	[AUTO_ALL_SIGNIFICANT] = "all-significant",
};

char *view_time(uint64_t monotonic_ns, uint64_t now, char *buf, size_t size)
{
	struct timespec real;
	struct tm tm;
	clock_gettime(CLOCK_REALTIME, &real);
	uint64_t ns = (uint64_t)real.tv_sec * NS_PER_SEC + (uint64_t)real.tv_nsec;
	ns -= now > monotonic_ns ? now - monotonic_ns : 0;
	time_t seconds = (time_t)(ns / NS_PER_SEC);
	gmtime_r(&seconds, &tm);
	/* Not strftime(3): it reads the local time zone's file first. */
	snprintf(buf, size, "%04d-%02d-%02dT%02d:%02d:%02d.%03uZ", tm.tm_year + 1900, tm.tm_mon + 1,
		tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
		(unsigned)(ns % NS_PER_SEC / NS_PER_MS));
	return buf;
}

static const char *substate(const struct tree_view *view)
{
	if (!view->is_supervisor) {
		return service_state_names[view->service_state];
	}
	bool down = view->state == STATE_STOPPED || view->state == STATE_FAILED ||
		    view->state == STATE_DONE;
	return down && view->cause != CAUSE_NONE ? tree_cause_names[view->cause]
						 : tree_state_names[view->state];
}

static json_t *text_or_null(const char *text)
{
	return text == NULL ? json_null() : json_string(text);
}

static json_t *last_exit(const struct tree_view *view)
{
	char text[REASON_TEXT_SIZE];
	return view->last_end.reason == REASON_NONE
		       ? json_null()
		       : json_string(reason_text(&view->last_end, text, sizeof(text)));
}

static json_int_t uptime_ms(struct manager *m, const struct tree_view *view)
{
	if (view->state != STATE_RUNNING || view->state_since_ns > m->now) {
		return 0;
	}
	return (json_int_t)((m->now - view->state_since_ns) / NS_PER_MS);
}

static const char *kind_name(const struct unit *unit)
{
	if (unit->kind == UNIT_SOCKET) {
		return "socket";
	}
	return unit->supervisor != NULL ? "supervisor" : "service";
}

static const char *parent_name(struct manager *m, const struct node *node)
{
	return node->parent == NODE_NONE ? NULL : node_name(m, node->parent);
}

static void put_supervisor(
	struct manager *m, json_t *out, const struct node *node, const struct tree_view *view)
{
	const struct tree_supervisor_rules *rules = &node->definition->supervisor;
	(void)m;
	json_object_set_new(out, "strategy", json_string(strategy_names[rules->strategy]));
	json_object_set_new(out, "intensity", json_integer(rules->intensity));
	json_object_set_new(
		out, "period_ms", json_integer((json_int_t)(rules->period_ns / NS_PER_MS)));
	json_object_set_new(out, "window", json_integer(view->window));
}

json_t *view_unit(struct manager *m, const struct node *node)
{
	const struct unit *unit = node_unit(node);
	struct tree_view view;
	char since[64];
	tree_look(m->tree, node->index, m->now, &view);
	json_t *out = json_object();
	json_object_set_new(out, "unit", json_string(unit->name));
	json_object_set_new(out, "kind", json_string(kind_name(unit)));
	json_object_set_new(out, "parent", text_or_null(parent_name(m, node)));
	json_object_set_new(out, "state", json_string(tree_state_names[view.state]));
	json_object_set_new(out, "substate", json_string(substate(&view)));
	json_object_set_new(out, "ready", json_boolean(view.ready));
	json_object_set_new(out, "held", json_boolean(view.held));
	json_object_set_new(out, "present", json_boolean(view.present || node->index == 0));
	json_object_set_new(out, "pid", json_integer(node_pid(m, node, ROLE_MAIN)));
	json_object_set_new(out, "restarts", json_integer(view.restarts));
	json_object_set_new(out, "since",
		json_string(view_time(view.state_since_ns, m->now, since, sizeof(since))));
	json_object_set_new(out, "uptime_ms", json_integer(uptime_ms(m, &view)));
	json_object_set_new(out, "last_exit", last_exit(&view));
	json_object_set_new(out, "description",
		json_string(unit->description != NULL ? unit->description : ""));
	if (view.is_supervisor) {
		put_supervisor(m, out, node, &view);
	} else {
		json_object_set_new(out, "strategy", json_null());
		json_object_set_new(out, "intensity", json_null());
		json_object_set_new(out, "period_ms", json_null());
		json_object_set_new(out, "window", json_null());
	}
	json_object_set_new(out, "status_text", text_or_null(node->status_text));
	return out;
}

/* --- Show --- */

static void put_text(json_t *out, const char *key, const char *text)
{
	json_object_set_new(out, key, json_string(text != NULL ? text : ""));
}

static void put_number(json_t *out, const char *key, uint64_t number)
{
	char text[32];
	snprintf(text, sizeof(text), "%" PRIu64, number);
	put_text(out, key, text);
}

static void put_bool(json_t *out, const char *key, bool value)
{
	put_text(out, key, value ? "yes" : "no");
}

static void put_span(json_t *out, const char *key, uint64_t span)
{
	char text[SPAN_TEXT_SIZE];
	put_text(out, key, span_format(span, text, sizeof(text)));
}

/* ERRNO= and EXIT_STATUS= of sd_notify(3). */
static void put_said(json_t *out, const struct node *node)
{
	put_number(out, "StatusErrno", (uint64_t)node->said_errno);
	if (node->said_status >= 0) {
		put_number(out, "StatusExit", (uint64_t)node->said_status);
	} else {
		put_text(out, "StatusExit", "");
	}
}

static void put_health(struct manager *m, json_t *out, const struct node *node)
{
	struct tree_view view;
	char text[SPAN_TEXT_SIZE];
	bool good, armed = node->watchdog.place != TIMER_NOT_ARMED;
	uint64_t at, deadline = node->watchdog.deadline_ns;
	tree_look(m->tree, node->index, m->now, &view);
	const char *said = health_said(node, &good, &at);
	put_text(out, "Health", service_health_names[view.health]);
	put_number(out, "HealthFailures", view.health_failures);
	put_text(out, "HealthText", said);
	put_span(out, "WatchdogSec", node->watchdog_ns);
	put_text(out, "WatchdogLeft",
		armed ? span_format(
				deadline > m->now ? (deadline - m->now) / NS_PER_MS * NS_PER_MS : 0,
				text, sizeof(text))
		      : "");
}

static void put_service_properties(struct manager *m, json_t *out, const struct node *node)
{
	const struct service_rules *rules = &node->definition->service;
	put_text(out, "Type", service_type_names[rules->type]);
	put_number(out, "MainPID", (uint64_t)node_pid(m, node, ROLE_MAIN));
	put_number(out, "ControlPID", (uint64_t)node_pid(m, node, ROLE_CONTROL));
	put_text(out, "StatusText", node->status_text);
	put_said(out, node);
	put_health(m, out, node);
	put_span(out, "TimeoutStartSec", rules->start_timeout_ns);
	put_span(out, "TimeoutStopSec", rules->stop_timeout_ns);
	put_span(out, "RestartSec", node->definition->child.restart_delay_ns);
	put_text(out, "NotifySocket", node->notify_path);
	put_text(out, "ControlGroup", cgroup_path_of(m, node));
}

/* How many entries of a window are shown: its Intensity= may be a million. */
#define WINDOW_SHOWN 100

/* On a clock that nobody sets: the same restart has the same time in every answer, and in that of
 * another manager. */
static void put_window(struct manager *m, json_t *out, const struct node *node)
{
	uint64_t times[WINDOW_SHOWN];
	char text[WINDOW_SHOWN * 24];
	size_t used = 0;
	uint32_t count = tree_window(m->tree, node->index, m->now, times, WINDOW_SHOWN);
	text[0] = '\0';
	for (uint32_t i = 0; i < count; i++) {
		used += (size_t)snprintf(text + used, sizeof(text) - used,
			"%s%" PRIu64 ".%09" PRIu64, i > 0 ? " " : "", times[i] / NS_PER_SEC,
			times[i] % NS_PER_SEC);
	}
	put_text(out, "RestartWindow", text);
}

static void put_supervisor_properties(
	struct manager *m, json_t *out, const struct node *node, const struct tree_view *view)
{
	const struct tree_supervisor_rules *rules = &node->definition->supervisor;
	put_text(out, "Strategy", strategy_names[rules->strategy]);
	put_number(out, "Intensity", rules->intensity);
	put_span(out, "Period", rules->period_ns);
	put_number(out, "RestartsInPeriod", view->window);
	put_window(m, out, node);
	put_text(out, "AutoShutdown", auto_names[rules->auto_shutdown]);
	put_bool(out, "Dynamic", rules->dynamic);
	if (rules->children_max != UINT32_MAX) {
		put_number(out, "MaxChildren", rules->children_max);
	}
	put_text(out, "Cause", tree_cause_names[view->cause]);
}

static void put_shutdown(json_t *out, const struct node *node)
{
	uint64_t shutdown = node->definition->child.shutdown_ns;
	if (shutdown == SERVICE_STOP_BRUTAL) {
		put_text(out, "Shutdown", "brutal-kill");
	} else {
		put_span(out, "Shutdown",
			shutdown == SERVICE_STOP_DEFAULT ? node->definition->service.stop_timeout_ns
							 : shutdown);
	}
}

json_t *view_properties(struct manager *m, const struct node *node)
{
	const struct unit *unit = node_unit(node);
	struct tree_view view;
	char text[REASON_TEXT_SIZE];
	tree_look(m->tree, node->index, m->now, &view);
	json_t *out = json_object();
	put_text(out, "Id", unit->name);
	put_text(out, "Kind", kind_name(unit));
	put_text(out, "Description", unit->description);
	put_text(out, "Parent", parent_name(m, node));
	put_text(out, "State", tree_state_names[view.state]);
	put_text(out, "SubState", substate(&view));
	put_text(out, "StateSince", view_time(view.state_since_ns, m->now, text, sizeof(text)));
	put_bool(out, "Ready", view.ready);
	put_bool(out, "Held", view.held);
	put_bool(out, "Present", view.present || node->index == 0);
	put_number(out, "Restarts", view.restarts);
	put_text(out, "LastExit",
		view.last_end.reason == REASON_NONE
			? ""
			: reason_text(&view.last_end, text, sizeof(text)));
	put_text(out, "Restart", restart_names[node->definition->child.restart]);
	put_bool(out, "Significant", node->definition->child.significant);
	put_shutdown(out, node);
	if (view.is_supervisor) {
		put_supervisor_properties(m, out, node, &view);
	} else {
		put_service_properties(m, out, node);
	}
	sockets_show(m, node, out);
	put_text(out, "FragmentPath", unit->path);
	put_bool(out, "NeedsRestart", node_has_changed(node));
	return out;
}
