#include "manager/reason.h"

#include <stdio.h>

#include "base/names.h"
#include "process/spawn.h"

char *reason_text(const struct service_end *end, char *buf, size_t size)
{
	switch ((enum service_reason)end->reason) {
	case REASON_EXIT: snprintf(buf, size, "exit:%d", end->number); return buf;
	case REASON_SIGNAL: {
		const char *name = signal_name(end->number);
		if (name != NULL) {
			snprintf(buf, size, "signal:%s", name);
		} else {
			snprintf(buf, size, "signal:%d", end->number);
		}
		return buf;
	}
	case REASON_EXEC: snprintf(buf, size, "exec:%s", errno_name(end->number)); return buf;
	case REASON_RESOURCES:
		if (end->number != 0) {
			snprintf(buf, size, "resources:%s", errno_name(end->number));
			return buf;
		}
		break;
	default: break;
	}
	snprintf(buf, size, "%s",
		end->reason < REASON_COUNT ? service_reason_names[end->reason] : "unknown");
	return buf;
}

char *reason_text_long(const struct service_end *end, const char *path, char *buf, size_t size)
{
	char text[64];
	reason_text(end, text, sizeof(text));
	if (end->reason == REASON_SIGNAL && end->dumped) {
		snprintf(buf, size, "%s (core dumped)", text);
	} else if (end->reason != REASON_EXEC) {
		snprintf(buf, size, "%s", text);
	} else if (end->step != PROCESS_STEP_EXEC && end->step < PROCESS_STEP_COUNT) {
		snprintf(buf, size, "%s (%s%s%s)", text, process_step_names[end->step],
			path != NULL ? ", " : "", path != NULL ? path : "");
	} else if (path != NULL) {
		snprintf(buf, size, "%s (%s)", text, path);
	} else {
		snprintf(buf, size, "%s", text);
	}
	return buf;
}

const char *reason_service_result(const struct service_end *end)
{
	if (end->normal) {
		return "success";
	}
	switch ((enum service_reason)end->reason) {
	case REASON_NONE:
	case REASON_STOPPED:
	case REASON_AUTO_SHUTDOWN: return "success";
	case REASON_EXIT:
	case REASON_EXEC: return "exit-code";
	case REASON_SIGNAL: return end->dumped ? "core-dump" : "signal";
	case REASON_START_TIMEOUT:
	case REASON_RUNTIME_MAX: return "timeout";
	case REASON_WATCHDOG:
	case REASON_HEALTH: return "watchdog";
	case REASON_OOM: return "oom-kill";
	case REASON_PROTOCOL: return "protocol";
	case REASON_ASSERT:
	case REASON_DEPENDENCY:
	case REASON_START_LIMIT:
	case REASON_GAVE_UP: return "start-limit-hit";
	case REASON_RESOURCES:
	case REASON_LOST:
	case REASON_CHILD_FAILED:
	case REASON_COUNT: break;
	}
	return "resources";
}

const char *reason_exit_code(const struct service_end *end)
{
	switch (end->reason) {
	case REASON_EXIT:
	case REASON_EXEC: return "exited";
	case REASON_SIGNAL: return end->dumped ? "dumped" : "killed";
	default: return NULL;
	}
}

const char *reason_exit_status(const struct service_end *end, char *buf, size_t size)
{
	if (end->reason == REASON_EXIT) {
		snprintf(buf, size, "%d", end->number);
		return buf;
	}
	if (end->reason == REASON_EXEC) {
		snprintf(buf, size, "%d", PROCESS_HELPER_EXEC);
		return buf;
	}
	return end->reason == REASON_SIGNAL ? signal_name(end->number) : NULL;
}

int reason_exit_number(const struct service_end *end)
{
	switch (end->reason) {
	case REASON_EXIT: return end->number & 0xff;
	case REASON_SIGNAL: return 128 + (end->number & 0x7f);
	case REASON_EXEC: return end->number == 2 ? 127 : 126;
	case REASON_NONE:
	case REASON_STOPPED: return 0;
	default: return 1;
	}
}
