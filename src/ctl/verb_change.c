/* start, stop, restart, reload, kill, delete: requests about units. */
#include "ctl/ctl.h"

#include <string.h>

#include "base/names.h"
#include "base/str.h"

/* What coppice's results mean to whoever asked. Those that are not here are said as they are. */
static const struct {
	const char *result, *method; /* method NULL: of any request */
	enum ctl_status status;
	const char *words;
} results[] = {
	{"ok", NULL, CTL_OK, NULL},
	{"ok ignored", NULL, CTL_OK, NULL},
	{"error already_started", NULL, CTL_OK, NULL},
	{"error running", "Start", CTL_OK, NULL},
	/* A child of a template is forgotten when it ends: one that is known is running. */
	{"error simple_one_for_one", "Start", CTL_OK, NULL},
	{"error not_running", "Stop", CTL_OK, NULL},
	{"error not_running", "Reload", CTL_FAILED, "is not running, or has no ExecReload="},
	{"error running", NULL, CTL_FAILED, "is running; stop it first"},
	{"error restarting", NULL, CTL_FAILED, "is being restarted; stop it first"},
	{"error not_found", NULL, CTL_NO_UNIT, "is no child of its supervisor any more"},
	{"error failstart", NULL, CTL_FAILED, "could not be started; see coppicectl why"},
	{"error failed", NULL, CTL_FAILED, "failed; see coppicectl why"},
	{"error supervisor_down", NULL, CTL_FAILED,
		"has a supervisor that is not running; start that first"},
	{"error max_children", NULL, CTL_FAILED,
		"would be one too many for its supervisor (MaxChildren=)"},
	{"error simple_one_for_one", NULL, CTL_FAILED,
		"is a child of a template; such are started and stopped only"},
	{"error bad_combination", NULL, CTL_FAILED, "has settings that do not go together"},
	{"error not_running", NULL, CTL_FAILED, "is not running; start it first"},
	{"error broken_off", NULL, CTL_FAILED, "was told otherwise meanwhile"},
	{"no_such_supervisor", NULL, CTL_NO_UNIT, "is no supervisor"},
};

static int put_result(struct ctl *ctl, const char *method, const char *unit, const char *result)
{
	for (size_t i = 0; i < sizeof(results) / sizeof(results[0]); i++) {
		if (strcmp(results[i].result, result) != 0 ||
			(results[i].method != NULL && strcmp(results[i].method, method) != 0)) {
			continue;
		}
		if (results[i].words == NULL) {
			return (int)results[i].status;
		}
		return ctl_say(ctl, (int)results[i].status, "%s %s", unit, results[i].words);
	}
	if (str_starts(result, "error")) {
		return ctl_say(ctl, CTL_FAILED, "%s: %s", unit, result);
	}
	return CTL_OK;
}

static int change_one(struct ctl *ctl, const char *method, const char *word, json_t *answers)
{
	json_t *parameters, *reply;
	const char *unit = ctl_unit_name(ctl, word);
	int status, timeout_ms;

	if (unit == NULL || ctl_timeout(ctl, &timeout_ms) != CTL_OK) {
		return CTL_USAGE;
	}
	parameters = json_pack("{s:s,s:o}", "unit", unit, "id", ctl_request_id());
	if (ctl_has(ctl, OPTION_NO_WAIT)) {
		(void)json_object_set_new(parameters, "no_wait", json_true());
	}
	if (ctl_has(ctl, OPTION_ONCE)) {
		(void)json_object_set_new(parameters, "once", json_true());
	}
	status = ctl_call(ctl, method, parameters, timeout_ms, &reply);
	if (status != CTL_OK) {
		return status;
	}
	(void)json_array_append_new(answers,
		json_pack("{s:s,s:s}", "unit", unit, "result", unit_text(reply, "result")));
	status = put_result(ctl, method, unit, unit_text(reply, "result"));
	json_decref(reply);
	return status;
}

/* All of them, in the order given; the exit status is that of the first that failed. */
static int change_all(struct ctl *ctl, const char *method)
{
	json_t *answers = json_array();
	int first = CTL_OK;

	for (int i = 0; i < ctl->words_count; i++) {
		int status = change_one(ctl, method, ctl->words[i], answers);

		first = first == CTL_OK ? status : first;
		if (status == CTL_NO_COPPICE || status == CTL_REFUSED || status == CTL_USAGE) {
			break;
		}
	}
	if (ctl_has(ctl, OPTION_JSON)) {
		ctl_put_json(ctl, answers);
	} else {
		json_decref(answers);
	}
	return first;
}

int verb_start(struct ctl *ctl)
{
	return change_all(ctl, "Start");
}

int verb_stop(struct ctl *ctl)
{
	return change_all(ctl, "Stop");
}

int verb_restart(struct ctl *ctl)
{
	return change_all(ctl, "Restart");
}

int verb_reload(struct ctl *ctl)
{
	return change_all(ctl, "Reload");
}

int verb_delete(struct ctl *ctl)
{
	return change_all(ctl, "Delete");
}

/* --- kill --- */

int verb_kill(struct ctl *ctl)
{
	const char *text = ctl_has(ctl, OPTION_SIGNAL) ? ctl->value[OPTION_SIGNAL] : "TERM";
	int signo = signal_parse(text), first = CTL_OK;

	if (signo <= 0) {
		return ctl_say(ctl, CTL_USAGE,
			"'%s' is no signal; write TERM, HUP, USR1, RTMIN+3 or 9", text);
	}
	for (int i = 0; i < ctl->words_count; i++) {
		json_t *parameters = ctl_unit_parameters(ctl, ctl->words[i]), *reply;
		int status;

		if (parameters == NULL) {
			return CTL_USAGE;
		}
		(void)json_object_set_new(parameters, "signal", json_string(signal_name(signo)));
		if (ctl_has(ctl, OPTION_ALL)) {
			(void)json_object_set_new(parameters, "all", json_true());
		}
		/* Not twice: nobody would know whether the first signal was sent. */
		status = ctl_call_once(ctl, "Kill", parameters, CTL_PATIENCE_MS, &reply);
		if (status == CTL_OK) {
			json_decref(reply);
		}
		first = first == CTL_OK ? status : first;
		if (status == CTL_NO_COPPICE || status == CTL_REFUSED) {
			break;
		}
	}
	return first;
}
