#include "service/service.h"

#include <signal.h>

#define X(name, text) text,
const char *const service_type_names[SERVICE_TYPE_COUNT] = {SERVICE_TYPES(X)};
const char *const service_phase_names[PHASE_COUNT] = {SERVICE_PHASES(X)};
const char *const service_state_names[SERVICE_STATE_COUNT] = {SERVICE_STATES(X)};
const char *const service_reason_names[REASON_COUNT] = {SERVICE_REASONS(X)};
const char *const service_health_names[HEALTH_COUNT] = {SERVICE_HEALTHS(X)};
#undef X

bool service_end_normal(const struct service_rules *r, const struct service_end *end)
{
	uint32_t number = (uint32_t)end->number;
	switch ((enum service_reason)end->reason) {
	case REASON_EXIT:
		return number == 0 ||
		       (number < 256 && ((r->success.statuses[number / 32] >> (number % 32)) & 1));
	case REASON_SIGNAL:
		/* systemd's clean list; SIGKILL never (coppice.service(5)). */
		if (number == SIGKILL) {
			return false;
		}
		return number == SIGHUP || number == SIGINT || number == SIGTERM ||
		       number == SIGPIPE || (number < 64 && ((r->success.signals >> number) & 1));
	case REASON_STOPPED:
	case REASON_GAVE_UP:
	case REASON_AUTO_SHUTDOWN: return true;
	case REASON_NONE:
	case REASON_EXEC:
	case REASON_START_TIMEOUT:
	case REASON_OOM:
	case REASON_WATCHDOG:
	case REASON_HEALTH:
	case REASON_PROTOCOL:
	case REASON_RESOURCES:
	case REASON_LOST:
	case REASON_CHILD_FAILED:
	case REASON_RUNTIME_MAX:
	case REASON_START_LIMIT:
	case REASON_ASSERT:
	case REASON_DEPENDENCY:
	case REASON_COUNT: return false;
	}
	return false;
}
