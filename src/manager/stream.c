#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/span.h"
#include "manager/manager.h"
#include "manager/reason.h"

enum wait_for { WAIT_RUNNING, WAIT_READY, WAIT_STOPPED, WAIT_DONE, WAIT_FAILED, WAIT_SETTLED };

struct waiter {
	struct waiter *next;
	struct control_call *call;
	uint32_t node, generation;
	uint8_t what; /* enum wait_for */
	struct timer timer;
	char unit[UNIT_NAME_SIZE];
};

struct subscriber {
	struct subscriber *next;
	struct control_call *call;
	json_t *units; /* NULL: all */
};

#define ERROR(name) "org.coppice.Control." name

/* --- lines for people --- */

void stream_say(struct manager *m, enum log_level level, const char *text)
{
	if (level > log_level_now()) {
		return;
	}
	size_t length = strlen(text);
	if (m->say_used + length + 2 > sizeof(m->say)) {
		m->say_lost++;
		return;
	}
	m->say[m->say_used++] = (char)('0' + level);
	memcpy(m->say + m->say_used, text, length + 1);
	m->say_used += length + 1;
}

void stream_flush(struct manager *m)
{
	struct pollfd err = {.fd = STDERR_FILENO, .events = POLLOUT};
	for (size_t at = 0; at < m->say_used; at += strlen(m->say + at) + 1) {
		/* Whoever does not read our log must not stop the tree. */
		if (poll(&err, 1, 0) == 1) {
			log_line((enum log_level)(m->say[at] - '0'), "%s", m->say + at + 1);
		} else {
			m->say_lost++;
		}
	}
	m->say_used = 0;
	if (m->say_lost > 0 && poll(&err, 1, 0) == 1) {
		log_warning("%u lines were lost", m->say_lost);
		m->say_lost = 0;
	}
}

static enum log_level note_level(const struct tree_order *order)
{
	switch ((enum tree_note)order->note) {
	case NOTE_GAVE_UP:
	case NOTE_START_FAILED:
	case NOTE_FAILED: return LOG_LEVEL_ERROR;
	case NOTE_COOLING:
	case NOTE_UNHEALTHY:
	case NOTE_STUCK: return LOG_LEVEL_WARNING;
	case NOTE_ACTION:
	case NOTE_HEALTHY: return LOG_LEVEL_NOTICE;
	case NOTE_EXITED: return order->end.normal ? LOG_LEVEL_INFO : LOG_LEVEL_NOTICE;
	case NOTE_RESTARTING:
	case NOTE_RELOADED:
	case NOTE_RUNNING:
	case NOTE_STOPPED:
	case NOTE_DONE:
	case NOTE_SKIPPED:
	case NOTE_WAITING:
	case NOTE_END: return LOG_LEVEL_INFO;
	case NOTE_STARTING:
	case NOTE_STOPPING:
	case NOTE_BEGIN:
	case NOTE_COUNT: break;
	}
	return LOG_LEVEL_DEBUG;
}

static const char *note_reason(const struct tree_order *order, char *buf, size_t size)
{
	switch ((enum tree_note)order->note) {
	case NOTE_EXITED:
	case NOTE_START_FAILED:
	case NOTE_RESTARTING:
	case NOTE_STOPPED:
	case NOTE_DONE:
	case NOTE_FAILED:
	case NOTE_WAITING:
		return order->end.reason == REASON_NONE ? NULL
							: reason_text(&order->end, buf, size);
	case NOTE_GAVE_UP:
		/* The cause of its end is only set behind this. */
		return tree_cause_names[order->cause != CAUSE_NONE ? order->cause
								   : CAUSE_INTENSITY];
	case NOTE_END:
	case NOTE_COOLING: return tree_cause_names[order->cause];
	default: return NULL;
	}
}

static int note_pid(struct manager *m, const struct node *node, const struct tree_order *order)
{
	switch ((enum tree_note)order->note) {
	case NOTE_EXITED:
	case NOTE_START_FAILED:
	case NOTE_STOPPED:
	case NOTE_DONE:
	case NOTE_FAILED: return node->last_pid;
	default: return node_pid(m, node, ROLE_MAIN);
	}
}

/* --- the event stream --- */

static bool is_wanted(const struct subscriber *s, const char *unit)
{
	size_t i;
	json_t *name;
	if (s->units == NULL) {
		return true;
	}
	json_array_foreach (s->units, i, name) {
		if (strcmp(json_string_value(name), unit) == 0) {
			return true;
		}
	}
	return false;
}

static json_t *note_json(struct manager *m, const struct node *node, const struct tree_order *order)
{
	char time[64], reason[REASON_TEXT_SIZE];
	const char *why = note_reason(order, reason, sizeof(reason));
	return json_pack("{s:{s:I,s:s,s:s,s:s,s:i,s:s?,s:s?}}", "event", "sequence",
		(json_int_t)order->id, "time", view_time(m->now, m->now, time, sizeof(time)),
		"event", tree_note_names[order->note], "unit", node_unit_name(node), "pid",
		note_pid(m, node, order), "reason", why, "text", node->status_text);
}

void stream_note(struct manager *m, const struct tree_order *order)
{
	const struct node *node = node_at(m, order->node);
	enum log_level level = note_level(order);
	if (level <= log_level_now()) {
		char text[REASON_TEXT_SIZE + UNIT_NAME_SIZE + 64], reason[REASON_TEXT_SIZE];
		const char *why = note_reason(order, reason, sizeof(reason));
		snprintf(text, sizeof(text), "%s: %s%s%s", node_unit_name(node),
			tree_note_names[order->note], why != NULL ? ", " : "",
			why != NULL ? why : "");
		stream_say(m, level, text);
	}
	for (struct subscriber *s = m->subscribers, *next; s != NULL; s = next) {
		next = s->next; /* a call that is gone takes its subscriber with it */
		if (is_wanted(s, node_unit_name(node))) {
			control_reply_more(s->call, note_json(m, node, order));
		}
	}
}

static json_t *normal_names(const json_t *units)
{
	json_t *out = json_array(), *name;
	size_t i;
	char whole[UNIT_NAME_SIZE];
	json_array_foreach (units, i, name) {
		if (!json_is_string(name) ||
			unit_name_normalize(json_string_value(name), whole, sizeof(whole)) < 0) {
			json_decref(out);
			return NULL;
		}
		json_array_append_new(out, json_string(whole));
	}
	return out;
}

void method_subscribe(void *manager, struct control_call *call, const json_t *parameters)
{
	struct manager *m = manager;
	json_t *units = json_object_get(parameters, "units"), *names = NULL;
	if (json_is_array(units) && json_array_size(units) > 0) {
		names = normal_names(units);
		if (names == NULL) {
			control_reply_error(call, ERROR("InvalidArgument"),
				json_pack("{s:s,s:s}", "argument", "units", "reason",
					"names of units are wanted"));
			return;
		}
	}
	struct subscriber *s = calloc(1, sizeof(*s));
	if (s == NULL) {
		json_decref(names);
		control_reply_error(call, ERROR("TooManyRequests"), NULL);
		return;
	}
	s->call = call;
	s->units = names;
	s->next = m->subscribers;
	m->subscribers = s;
	control_reply_more(call, json_pack("{s:n}", "event"));
}

/* --- waiting --- */

static bool is_down(const struct tree_view *view)
{
	return !view->exists || view->state == STATE_STOPPED || view->state == STATE_DONE ||
	       view->state == STATE_FAILED;
}

/* Whether what a client waits for is so. */
static bool has_come(struct manager *m, const struct waiter *w)
{
	struct tree_view view = {0};
	if (w->what == WAIT_SETTLED) {
		return m->queue_count == 0 && m->searches == 0 && tree_quiet(m->tree, true);
	}
	tree_look(m->tree, w->node, m->now, &view);
	if (view.generation != w->generation) {
		view = (struct tree_view){0};
	}
	switch ((enum wait_for)w->what) {
	case WAIT_RUNNING: return view.exists && view.state == STATE_RUNNING;
	case WAIT_READY: return view.exists && view.ready;
	case WAIT_STOPPED: return is_down(&view);
	case WAIT_DONE: return view.exists && view.state == STATE_DONE;
	case WAIT_FAILED: return view.exists && view.state == STATE_FAILED;
	case WAIT_SETTLED: break;
	}
	return false;
}

static void waiter_free(struct manager *m, struct waiter *w)
{
	struct waiter **place = &m->waiters;
	while (*place != w) {
		place = &(*place)->next;
	}
	*place = w->next;
	timers_clear(&m->timers, &w->timer);
	timers_reserve(&m->timers, -1);
	free(w);
}

static void answer(struct manager *m, struct waiter *w)
{
	struct control_call *call = w->call;
	const struct node *node = node_of_generation(m, w->node, w->generation);
	json_t *reply = NULL;
	if (w->what != WAIT_SETTLED && node != NULL) {
		reply = json_pack("{s:o}", "unit", view_unit(m, node));
	} else if (w->what != WAIT_SETTLED) {
		/* It is gone for good: all that is left to say is its name. */
		reply = json_pack("{s:{s:s,s:s}}", "unit", "unit", w->unit, "state", "stopped");
	}
	waiter_free(m, w);
	control_reply(call, reply);
}

void stream_check_waiters(struct manager *m)
{
	m->notes_made = false;
	for (struct waiter *w = m->waiters, *next; w != NULL; w = next) {
		next = w->next;
		if (has_come(m, w)) {
			answer(m, w);
		} else if (w->what != WAIT_SETTLED &&
			   node_of_generation(m, w->node, w->generation) == NULL) {
			struct control_call *call = w->call;
			json_t *error = json_pack("{s:s,s:n}", "unit", w->unit, "hint");
			waiter_free(m, w);
			control_reply_error(call, ERROR("NoSuchUnit"), error);
		}
	}
}

void stream_waiter_timeout(struct manager *m, struct timer *timer)
{
	struct waiter *w = (void *)((char *)timer - offsetof(struct waiter, timer));
	struct tree_view view;
	tree_look(m->tree, w->node, m->now, &view);
	struct control_call *call = w->call;
	json_t *error = json_pack("{s:s,s:s}", "unit", w->unit, "state",
		w->what == WAIT_SETTLED ? "busy" : tree_state_names[view.state]);
	waiter_free(m, w);
	control_reply_error(call, ERROR("TimedOut"), error);
}

static struct waiter *waiter_add(
	struct manager *m, struct control_call *call, enum wait_for what, const json_t *parameters)
{
	json_t *timeout = json_object_get(parameters, "timeout_ms");
	struct waiter *w = calloc(1, sizeof(*w));
	if (w == NULL || timers_reserve(&m->timers, 1) < 0) {
		free(w);
		control_reply_error(call, ERROR("TooManyRequests"), NULL);
		return NULL;
	}
	timer_init(&w->timer, TIMER_WAITER);
	w->call = call;
	w->what = (uint8_t)what;
	w->next = m->waiters;
	m->waiters = w;
	if (json_is_integer(timeout) && json_integer_value(timeout) >= 0) {
		uint64_t ms = (uint64_t)json_integer_value(timeout);
		uint64_t span = ms > SPAN_INFINITY / NS_PER_MS ? SPAN_INFINITY : ms * NS_PER_MS;
		if (span_add(m->now, span) != SPAN_INFINITY) {
			timers_set(&m->timers, &w->timer, m->now + span);
		}
	}
	m->notes_made = true; /* it may be so already: looked at when this turn is over */
	return w;
}

static int wait_parse(const char *text)
{
	static const char *const names[] = {"running", "ready", "stopped", "done", "failed"};
	for (int i = 0; text != NULL && i < 5; i++) {
		if (strcmp(text, names[i]) == 0) {
			return i;
		}
	}
	return -EINVAL;
}

void method_wait(void *manager, struct control_call *call, const json_t *parameters)
{
	struct manager *m = manager;
	struct node *node = request_node(m, call, parameters);
	if (node == NULL) {
		return;
	}
	int what = wait_parse(json_string_value(json_object_get(parameters, "condition")));
	if (what < 0) {
		control_reply_error(call, ERROR("InvalidArgument"),
			json_pack("{s:s,s:s}", "argument", "condition", "reason",
				"it can be running, ready, stopped, done or failed"));
		return;
	}
	struct waiter *w = waiter_add(m, call, (enum wait_for)what, parameters);
	if (w != NULL) {
		w->node = node->index;
		w->generation = node->generation;
		snprintf(w->unit, sizeof(w->unit), "%s", node_unit_name(node));
	}
}

void method_settle(void *manager, struct control_call *call, const json_t *parameters)
{
	struct manager *m = manager;
	struct waiter *w = waiter_add(m, call, WAIT_SETTLED, parameters);
	if (w != NULL) {
		snprintf(w->unit, sizeof(w->unit), "%s", m->root_name);
	}
}

void stream_gone(struct manager *m, struct control_call *call)
{
	for (struct subscriber **s = &m->subscribers; *s != NULL; s = &(*s)->next) {
		if ((*s)->call == call) {
			struct subscriber *gone = *s;
			*s = gone->next;
			json_decref(gone->units);
			free(gone);
			return;
		}
	}
	for (struct waiter *w = m->waiters; w != NULL; w = w->next) {
		if (w->call == call) {
			waiter_free(m, w);
			return;
		}
	}
}

/* --- the trace --- */

static const char *traced_name(void *definition, uint32_t node)
{
	(void)node;
	return definition == NULL ? "?" : ((struct definition *)definition)->unit->name;
}

void method_trace(void *manager, struct control_call *call, const json_t *parameters)
{
	struct manager *m = manager;
	json_t *lines = json_array();
	char text[1024];
	(void)parameters;
	uint64_t first = m->trace_count > TRACE_SIZE ? m->trace_count - TRACE_SIZE : 0;
	for (uint64_t i = first; i < m->trace_count; i++) {
		const struct trace_entry *entry = &m->trace[i % TRACE_SIZE];
		struct definition *definition = entry->definition;
		if (entry->is_order) {
			tree_print_order(
				&entry->order, traced_name, definition, text, sizeof(text));
		} else {
			tree_print_event(
				&entry->event, traced_name, definition, text, sizeof(text));
		}
		json_array_append_new(lines, json_string(text));
	}
	control_reply(call, json_pack("{s:o}", "lines", lines));
}
