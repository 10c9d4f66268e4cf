/* Asking coppice: connections, calls that survive a new manager, and what errors mean. */
#include "ctl/ctl.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <string.h>
#include <sys/random.h>

#include "base/span.h"
#include "base/str.h"
#include "unit/unit.h"

#define ATTEMPTS_MAX 8 /* of a call whose manager goes away each time */

/* --- what went wrong --- */

static const char *error_text(struct ctl *ctl, const char *key)
{
	return unit_text(coppice_error_parameters(ctl->client), key);
}

static int fail_no_unit(struct ctl *ctl)
{
	const char *hint = error_text(ctl, "hint");

	if (hint[0] != '\0') {
		return ctl_say(ctl, CTL_NO_UNIT, "no unit %s; did you mean %s?",
			error_text(ctl, "unit"), hint);
	}
	return ctl_say(
		ctl, CTL_NO_UNIT, "no unit %s; coppicectl list names all", error_text(ctl, "unit"));
}

static int fail_units(struct ctl *ctl)
{
	json_t *messages = json_object_get(coppice_error_parameters(ctl->client), "messages");
	json_t *message;
	size_t i;

	json_array_foreach (messages, i, message) {
		(void)fprintf(ctl->err, "%s\n", json_string_value(message));
	}
	return ctl_say(ctl, CTL_FAILED, "the unit files have errors; nothing was changed");
}

static int fail_failed(struct ctl *ctl)
{
	const char *unit = error_text(ctl, "unit");

	if (unit[0] == '\0') {
		return ctl_say(ctl, CTL_FAILED, "%s", error_text(ctl, "reason"));
	}
	return ctl_say(ctl, CTL_FAILED, "%s: %s; see coppicectl why %s", unit,
		error_text(ctl, "reason"), unit);
}

/* An error of the interface. The whole list stands in org.coppice.Control.varlink. */
static int fail_remote(struct ctl *ctl)
{
	const char *name = coppice_error_name(ctl->client);
	const char *dot = strrchr(name, '.');
	const char *last = dot != NULL ? dot + 1 : name;

	if (strcmp(last, "NoSuchUnit") == 0) {
		return fail_no_unit(ctl);
	}
	if (strcmp(last, "Failed") == 0) {
		return fail_failed(ctl);
	}
	if (strcmp(last, "Refused") == 0) {
		return ctl_say(ctl, CTL_REFUSED, "refused: %s", error_text(ctl, "reason"));
	}
	if (strcmp(last, "PermissionDenied") == 0) {
		return ctl_say(ctl, CTL_REFUSED, "refused; this needs root or coppice's own user");
	}
	if (strcmp(last, "InvalidArgument") == 0) {
		return ctl_say(ctl, CTL_USAGE, "%s: %s", error_text(ctl, "argument"),
			error_text(ctl, "reason"));
	}
	if (strcmp(last, "TimedOut") == 0) {
		return ctl_say(ctl, CTL_TIMED_OUT, "%s is still %s; see coppicectl why %s",
			error_text(ctl, "unit"), error_text(ctl, "state"), error_text(ctl, "unit"));
	}
	if (strcmp(last, "InvalidUnits") == 0) {
		return fail_units(ctl);
	}
	if (strcmp(last, "TooManyRequests") == 0) {
		return ctl_say(ctl, CTL_FAILED, "coppice has too many requests; try again later");
	}
	if (strcmp(last, "MethodNotFound") == 0 || strcmp(last, "InterfaceNotFound") == 0 ||
		strcmp(last, "InvalidParameter") == 0) {
		return ctl_say(ctl, CTL_FAILED, "the running coppice cannot do this; it is %s",
			"of another version than coppicectl");
	}
	return ctl_say(ctl, CTL_FAILED, "%s", coppice_error(ctl->client));
}

int ctl_fail(struct ctl *ctl, int result)
{
	switch (result) {
	case -EREMOTEIO: return fail_remote(ctl);
	case -ETIMEDOUT:
		if (ctl_has(ctl, OPTION_TIMEOUT)) {
			return ctl_say(ctl, CTL_TIMED_OUT,
				"no result after %s; see coppicectl status",
				ctl->value[OPTION_TIMEOUT]);
		}
		return ctl_say(ctl, CTL_NO_COPPICE,
			"coppice does not answer; see its log for what became of coppice-manager");
	case -ECONNRESET:
		return ctl_say(ctl, CTL_NO_COPPICE, "coppice went away before it had answered");
	default: return ctl_say(ctl, CTL_FAILED, "%s", coppice_error(ctl->client));
	}
}

/* --- connections --- */

int ctl_open(struct ctl *ctl, bool quiet)
{
	char path[256] = "?";
	const char *given = ctl->value[OPTION_CONTROL];
	int result;

	coppice_close(ctl->client);
	ctl->client = NULL;
	if (given == NULL) {
		(void)coppice_control_path(path, sizeof(path));
		given = path;
	}
	result = coppice_open(given, &ctl->client);
	if (result == 0) {
		return CTL_OK;
	}
	if (result == -EACCES || result == -EPERM) {
		return quiet ? CTL_REFUSED
			     : ctl_say(ctl, CTL_REFUSED,
				       "%s: %s; become root or coppice's own user", given,
				       strerror(-result));
	}
	if (result == -ENAMETOOLONG) {
		return quiet ? CTL_USAGE
			     : ctl_say(ctl, CTL_USAGE, "%s: too long for a socket's name", given);
	}
	return quiet ? CTL_NO_COPPICE
		     : ctl_say(ctl, CTL_NO_COPPICE,
			       "no coppice answers at %s: %s; start one, or name its socket with "
			       "-S",
			       given, strerror(-result));
}

static int call_attempt(struct ctl *ctl, const char *method, json_t *parameters, int timeout_ms,
	json_t **reply, bool quiet, int *result)
{
	int status = CTL_OK;

	if (ctl->client == NULL) {
		status = ctl_open(ctl, quiet);
	}
	if (status == CTL_OK) {
		*result = coppice_call(ctl->client, method, parameters, timeout_ms, reply);
	}
	return status;
}

static int call_again(struct ctl *ctl, const char *method, json_t *parameters, int timeout_ms,
	json_t **reply, int attempts)
{
	int status, result = 0;

	for (int i = 0; i < attempts; i++) {
		status = call_attempt(ctl, method, parameters, timeout_ms, reply, i > 0, &result);
		if (status != CTL_OK && i > 0) {
			return ctl_say(ctl, CTL_NO_COPPICE, "coppice has ended meanwhile");
		}
		if (status != CTL_OK || result == 0) {
			return status;
		}
		if (result != -ECONNRESET || i + 1 == attempts) {
			break;
		}
		coppice_close(ctl->client);
		ctl->client = NULL;
	}
	return ctl_fail(ctl, result);
}

int ctl_call(
	struct ctl *ctl, const char *method, json_t *parameters, int timeout_ms, json_t **reply)
{
	int status = call_again(ctl, method, parameters, timeout_ms, reply, ATTEMPTS_MAX);

	json_decref(parameters);
	return status;
}

int ctl_call_once(
	struct ctl *ctl, const char *method, json_t *parameters, int timeout_ms, json_t **reply)
{
	int status = call_again(ctl, method, parameters, timeout_ms, reply, 1);

	json_decref(parameters);
	return status;
}

/* --- lists --- */

/* Puts what one reply brings into the array. */
static void list_take(json_t *reply, json_t *units)
{
	json_t *unit = json_object_get(reply, "unit");

	if (json_is_object(unit)) {
		(void)json_array_append(units, unit);
	}
	(void)json_array_extend(units, json_object_get(reply, "units"));
	json_decref(reply);
}

static int list_all(struct ctl *ctl, json_t *units)
{
	json_t *reply;
	int result = coppice_call_more(ctl->client, "List", NULL);

	while (result >= 0 && (result = coppice_next(ctl->client, CTL_PATIENCE_MS, &reply)) == 1) {
		list_take(reply, units);
	}
	return result;
}

/* With `more`, so that neither side ever holds one message with ten thousand units. */
int ctl_list(struct ctl *ctl, const char *unit, json_t **units)
{
	json_t *reply;
	int status = CTL_OK, result = -ECONNRESET;

	*units = json_array();
	if (unit != NULL) {
		status = ctl_call(
			ctl, "List", json_pack("{s:[s]}", "units", unit), CTL_PATIENCE_MS, &reply);
		if (status == CTL_OK) {
			list_take(reply, *units);
		} else {
			json_decref(*units);
		}
		return status;
	}
	for (int i = 0; i < ATTEMPTS_MAX && result == -ECONNRESET; i++) {
		if (ctl->client == NULL || i > 0) {
			status = ctl_open(ctl, false);
		}
		if (status != CTL_OK) {
			json_decref(*units);
			return status;
		}
		(void)json_array_clear(*units);
		result = list_all(ctl, *units);
	}
	if (result < 0) {
		json_decref(*units);
		return ctl_fail(ctl, result);
	}
	return CTL_OK;
}

/* --- parameters --- */

int ctl_timeout(struct ctl *ctl, int *timeout_ms)
{
	const char *text = ctl->value[OPTION_TIMEOUT];
	uint64_t span;

	*timeout_ms = -1;
	if (text == NULL) {
		return CTL_OK;
	}
	if (span_parse(text, NS_PER_SEC, &span) < 0) {
		return ctl_say(ctl, CTL_USAGE,
			"--timeout=%s is no time span; write 10s or 1min 30s", text);
	}
	if (span / NS_PER_MS < INT_MAX - 10000) {
		*timeout_ms = (int)(span / NS_PER_MS);
	}
	return CTL_OK;
}

json_t *ctl_keep(struct ctl *ctl, json_t *value)
{
	if (ctl->kept == NULL) {
		ctl->kept = json_array();
	}
	return json_array_append_new(ctl->kept, value) == 0 ? value : NULL;
}

const char *ctl_unit_name(struct ctl *ctl, const char *word)
{
	char name[UNIT_NAME_SIZE];

	if (unit_name_normalize(word, name, sizeof(name)) < 0) {
		(void)ctl_say(ctl, CTL_USAGE,
			"'%s' can be no unit's name; coppicectl list names all", word);
		return NULL;
	}
	return json_string_value(ctl_keep(ctl, json_string(name)));
}

json_t *ctl_unit_parameters(struct ctl *ctl, const char *word)
{
	const char *name = ctl_unit_name(ctl, word);

	return name != NULL ? json_pack("{s:s}", "unit", name) : NULL;
}

json_t *ctl_request_id(void)
{
	uint64_t number[2] = {0};
	char text[40];

	(void)!getrandom(number, sizeof(number), 0);
	(void)snprintf(text, sizeof(text), "%016" PRIx64 "%016" PRIx64, number[0], number[1]);
	return json_string(text);
}
