/* daemon-reload, shutdown: requests about the whole. */
#include "ctl/ctl.h"

#include <errno.h>

#define SHUTDOWN_ATTEMPTS_MAX 8

int verb_daemon_reload(struct ctl *ctl)
{
	json_t *parameters = json_object(), *reply, *plan, *line;
	size_t i;
	int status;

	if (ctl_has(ctl, OPTION_DRY_RUN)) {
		(void)json_object_set_new(parameters, "dry_run", json_true());
	}
	status = ctl_call(ctl, "DaemonReload", parameters, -1, &reply);
	if (status != CTL_OK) {
		return status;
	}
	plan = json_object_get(reply, "plan");
	if (ctl_has(ctl, OPTION_JSON)) {
		ctl_put_json(ctl, json_is_array(plan) ? json_incref(plan) : json_array());
	} else {
		json_array_foreach (plan, i, line) {
			ctl_put(ctl, json_is_string(line) ? json_string_value(line) : "");
			(void)fputc('\n', ctl->out);
		}
	}
	json_decref(reply);
	return CTL_OK;
}

/* Until nobody answers any more; a manager that is only replaced answers again. The stream of
 * events is asked for because it ends with whoever sends it. */
static int wait_for_end(struct ctl *ctl, int timeout_ms)
{
	uint64_t end_ms = timeout_ms < 0 ? UINT64_MAX : ctl_now_ms() + (uint64_t)timeout_ms;
	json_t *reply;
	int result = -ECONNRESET;

	for (;;) {
		if (result < 0 && ctl_open(ctl, true) != CTL_OK) {
			return CTL_OK;
		}
		if (result < 0) {
			result = coppice_call_more(ctl->client, "Subscribe", NULL);
		}
		if (result >= 0) {
			uint64_t now_ms = ctl_now_ms();
			int left_ms = now_ms < end_ms ? (int)(end_ms - now_ms) : 0;

			result = coppice_next(ctl->client, timeout_ms < 0 ? -1 : left_ms, &reply);
		}
		if (result == 1) {
			json_decref(reply);
		} else if (result == 0) {
			result = -ECONNRESET;
		} else if (result != -ECONNRESET) {
			return ctl_fail(ctl, result);
		}
	}
}

/* To ask twice does no harm, and who is gone when asked again has done it. */
static int ask_shutdown(struct ctl *ctl, json_t *parameters)
{
	json_t *reply = NULL;
	int result, status = ctl_open(ctl, false);

	if (status != CTL_OK) {
		return status;
	}
	for (int i = 0; i < SHUTDOWN_ATTEMPTS_MAX; i++) {
		result = coppice_call(ctl->client, "Shutdown", parameters, CTL_PATIENCE_MS, &reply);
		json_decref(reply);
		if (result == 0) {
			return CTL_OK;
		}
		if (result != -ECONNRESET) {
			break;
		}
		if (ctl_open(ctl, true) != CTL_OK) {
			return CTL_OK;
		}
	}
	return ctl_fail(ctl, result);
}

int verb_shutdown(struct ctl *ctl)
{
	json_t *parameters = json_object();
	int timeout_ms, status = ctl_timeout(ctl, &timeout_ms);

	if (ctl_has(ctl, OPTION_NOW)) {
		(void)json_object_set_new(parameters, "now", json_true());
	}
	if (status == CTL_OK) {
		status = ask_shutdown(ctl, parameters);
	}
	json_decref(parameters);
	if (status == CTL_OK && ctl_has(ctl, OPTION_WAIT)) {
		status = ctl->client != NULL ? wait_for_end(ctl, timeout_ms) : CTL_OK;
	}
	return status;
}
