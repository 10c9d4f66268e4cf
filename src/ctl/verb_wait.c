/* wait, is-active, is-ready, is-failed: for scripts and probes. */
#include "ctl/ctl.h"

#include <string.h>

/* --- wait --- */

#define ANSWER_MS 5000 /* how much later than asked coppice may say that the time is over */

int verb_wait(struct ctl *ctl)
{
	static const char *const conditions[] = {"running", "ready", "stopped", "done", "failed"};
	const char *wanted = ctl_has(ctl, OPTION_FOR) ? ctl->value[OPTION_FOR] : "ready";
	json_t *parameters, *reply;
	bool known = false;
	int timeout_ms, status = ctl_timeout(ctl, &timeout_ms);

	for (int i = 0; i < 5; i++) {
		known = known || strcmp(wanted, conditions[i]) == 0;
	}
	if (status != CTL_OK) {
		return status;
	}
	if (!known) {
		return ctl_say(ctl, CTL_USAGE,
			"--for=%s: it can be running, ready, stopped, done or failed", wanted);
	}
	parameters = ctl_unit_parameters(ctl, ctl->words[0]);
	if (parameters == NULL) {
		return CTL_USAGE;
	}
	(void)json_object_set_new(parameters, "condition", json_string(wanted));
	if (timeout_ms >= 0) {
		(void)json_object_set_new(parameters, "timeout_ms", json_integer(timeout_ms));
		timeout_ms += ANSWER_MS;
	}
	status = ctl_call(ctl, "Wait", parameters, timeout_ms, &reply);
	if (status != CTL_OK) {
		return status;
	}
	if (ctl_has(ctl, OPTION_JSON)) {
		ctl_put_json(ctl, json_incref(json_object_get(reply, "unit")));
	}
	json_decref(reply);
	return CTL_OK;
}

/* --- probes --- */

struct probe {
	const char *unit; /* for the answer */
	char state[32];
	bool ready;
	long long failed; /* units that are */
};

/* One connection, one request, one reply. */
static int probe_ask(struct ctl *ctl, struct probe *probe)
{
	json_t *reply, *units, *unit;
	int status;

	if (ctl->words_count == 0) {
		status = ctl_call(ctl, "Status", NULL, CTL_PATIENCE_MS, &reply);
		if (status == CTL_OK) {
			(void)ctl_keep(ctl, reply);
			probe->unit = unit_text(reply, "root");
			(void)snprintf(probe->state, sizeof(probe->state), "%s",
				unit_text(reply, "root_state"));
			probe->ready = unit_flag(reply, "root_ready");
			probe->failed = unit_number(reply, "failed");
		}
		return status;
	}
	probe->unit = ctl_unit_name(ctl, ctl->words[0]);
	if (probe->unit == NULL) {
		return CTL_USAGE;
	}
	status = ctl_list(ctl, probe->unit, &units);
	if (status != CTL_OK) {
		return status;
	}
	unit = json_array_get(units, 0);
	(void)snprintf(probe->state, sizeof(probe->state), "%s", unit_text(unit, "state"));
	probe->ready = unit_flag(unit, "ready");
	probe->failed = unit_is(unit, "failed");
	json_decref(units);
	return CTL_OK;
}

static int probe_answer(struct ctl *ctl, const struct probe *probe, const char *key, bool yes,
	const char *words, int no_status)
{
	if (ctl_has(ctl, OPTION_JSON)) {
		ctl_put_json(ctl, json_pack("{s:s,s:s,s:b}", "unit", probe->unit, "state",
					  probe->state, key, yes));
	} else if (!ctl_has(ctl, OPTION_QUIET)) {
		(void)fprintf(ctl->out, "%s\n", words);
	}
	return yes ? CTL_OK : no_status;
}

int verb_is_active(struct ctl *ctl)
{
	struct probe probe = {0};
	int status = probe_ask(ctl, &probe);

	if (status != CTL_OK) {
		return status;
	}
	return probe_answer(ctl, &probe, "active", strcmp(probe.state, "running") == 0, probe.state,
		CTL_NOT_RUNNING);
}

int verb_is_ready(struct ctl *ctl)
{
	struct probe probe = {0};
	int status = probe_ask(ctl, &probe);

	if (status != CTL_OK) {
		return status;
	}
	return probe_answer(
		ctl, &probe, "ready", probe.ready, probe.ready ? "ready" : "not ready", CTL_FAILED);
}

int verb_is_failed(struct ctl *ctl)
{
	struct probe probe = {0};
	bool failed;
	int status = probe_ask(ctl, &probe);

	if (status != CTL_OK) {
		return status;
	}
	failed = probe.failed > 0 || strcmp(probe.state, "failed") == 0;
	return probe_answer(
		ctl, &probe, "failed", failed, failed ? "failed" : probe.state, CTL_FAILED);
}
