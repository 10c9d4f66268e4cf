#include <stdio.h>

#include "base/check.h"
#include "tree/internal.h"

static const char *role_name(uint8_t role)
{
	return role == ROLE_MAIN ? "main" : "control";
}

static void end_print(const struct service_end *end, char *buf, size_t size)
{
	CHECK(end->reason < REASON_COUNT);
	const char *name = service_reason_names[end->reason];
	bool numbered = end->reason == REASON_EXIT || end->reason == REASON_SIGNAL ||
			end->reason == REASON_EXEC;
	if (numbered) {
		snprintf(buf, size, "%s:%d", name, end->number);
	} else {
		snprintf(buf, size, "%s", name);
	}
}

static double seconds(uint64_t ns)
{
	return (double)ns / 1e9;
}

char *tree_print_event(
	const struct tree_event *event, tree_name_of *name, void *context, char *buf, size_t size)
{
	char end[64];
	end_print(&event->end, end, sizeof(end));
	int used = snprintf(buf, size, "%.6f < %s %s", seconds(event->time_ns),
		tree_event_names[event->kind], name(context, event->node));
	if (used < 0 || (size_t)used >= size) {
		return buf;
	}
	char *rest = buf + used;
	size_t left = size - (size_t)used;
	switch ((enum tree_event_kind)event->kind) {
	case EV_SPAWNED:
		snprintf(rest, left, " %s%s", role_name(event->role),
			event->flag ? "" : " exec-failed");
		break;
	case EV_SPAWN_FAILED:
	case EV_EXITED: snprintf(rest, left, " %s %s", role_name(event->role), end); break;
	case EV_FAIL: snprintf(rest, left, " %s", end); break;
	case EV_MAIN_FOUND: snprintf(rest, left, " %s", event->flag ? "yes" : "no"); break;
	case EV_WATCHDOG:
	case EV_RELOADING:
	case EV_EXTEND: snprintf(rest, left, " %.3f", seconds(event->span_ns)); break;
	case EV_STOP: snprintf(rest, left, " %s", event->flag ? "held" : "once"); break;
	case EV_ADD: snprintf(rest, left, "%s", event->flag ? " not-started" : ""); break;
	case EV_PROBED: snprintf(rest, left, " %s", event->flag ? "good" : "bad"); break;
	case EV_SHUTDOWN: snprintf(rest, left, " %s", event->flag ? "now" : "ordered"); break;
	case EV_BOOT:
	case EV_SKIPPED:
	case EV_READY:
	case EV_ENDING:
	case EV_TIMER:
	case EV_START:
	case EV_RESTART:
	case EV_RELOAD:
	case EV_DELETE:
	case EV_PARK:
	case EV_UNPARK:
	case EV_COUNT: break;
	}
	return buf;
}

static void order_rest(const struct tree_order *order, char *rest, size_t left)
{
	static const char *const targets[] = {"main", "control", "group"};
	char end[64];
	end_print(&order->end, end, sizeof(end));
	switch ((enum tree_order_kind)order->kind) {
	case DO_SPAWN:
		snprintf(rest, left, " %s %s[%u] #%u", role_name(order->role),
			service_phase_names[order->phase], order->index, order->incarnation);
		break;
	case DO_SIGNAL: snprintf(rest, left, " %s %u", targets[order->target], order->signo); break;
	case DO_WATCH:
	case DO_TIMER: snprintf(rest, left, " %.6f", seconds(order->deadline_ns)); break;
	case DO_PROBE: snprintf(rest, left, " %s", order->on ? "on" : "off"); break;
	case DO_REPLY:
		snprintf(rest, left, " %llu %s", (unsigned long long)order->request,
			tree_result_names[order->result]);
		break;
	case DO_NOTE:
		snprintf(rest, left, " %s %s", tree_note_names[order->note],
			order->note == NOTE_END ? tree_cause_names[order->cause] : end);
		break;
	case DO_END: snprintf(rest, left, " %s %s", tree_cause_names[order->cause], end); break;
	case DO_FIND_MAIN:
	case DO_FORGET:
	case DO_RELEASE:
	case DO_COUNT: break;
	}
}

char *tree_print_order(
	const struct tree_order *order, tree_name_of *name, void *context, char *buf, size_t size)
{
	const char *who = order->node == NODE_NONE ? "-" : name(context, order->node);
	int used = snprintf(buf, size, "  %llu > %s %s", (unsigned long long)order->id,
		tree_order_names[order->kind], who);
	if (used >= 0 && (size_t)used < size) {
		order_rest(order, buf + used, size - (size_t)used);
	}
	return buf;
}
