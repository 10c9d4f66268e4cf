/* show, why, trace, count: one answer of coppice, printed. */
#include "ctl/ctl.h"

#include <string.h>

/* Asks about the unit that the first word names. */
static int ask_unit(struct ctl *ctl, const char *method, json_t **reply)
{
	json_t *parameters = ctl_unit_parameters(ctl, ctl->words[0]);

	return parameters != NULL ? ctl_call(ctl, method, parameters, CTL_PATIENCE_MS, reply)
				  : CTL_USAGE;
}

/* An array of texts, a line each, or as JSON. Consumes the reply. */
static int put_lines(struct ctl *ctl, json_t *reply, const char *key)
{
	json_t *lines = json_object_get(reply, key), *line;
	size_t i;

	if (ctl_has(ctl, OPTION_JSON)) {
		ctl_put_json(ctl, json_is_array(lines) ? json_incref(lines) : json_array());
	} else {
		json_array_foreach (lines, i, line) {
			ctl_put(ctl, json_is_string(line) ? json_string_value(line) : "");
			(void)fputc('\n', ctl->out);
		}
	}
	json_decref(reply);
	return CTL_OK;
}

int verb_why(struct ctl *ctl)
{
	json_t *reply;
	int status = ask_unit(ctl, "Why", &reply);

	return status == CTL_OK ? put_lines(ctl, reply, "sentences") : status;
}

int verb_trace(struct ctl *ctl)
{
	json_t *reply;
	int status = ctl_call(ctl, "Trace", NULL, CTL_PATIENCE_MS, &reply);

	return status == CTL_OK ? put_lines(ctl, reply, "lines") : status;
}

/* --- show --- */

static void put_property(struct ctl *ctl, const char *key, const json_t *value)
{
	ctl_put(ctl, key);
	(void)fputc('=', ctl->out);
	if (json_is_string(value)) {
		ctl_put(ctl, json_string_value(value));
	} else {
		(void)json_dumpf(value, ctl->out, JSON_ENCODE_ANY | JSON_COMPACT);
	}
	(void)fputc('\n', ctl->out);
}

/* A key is found whatever its case. */
static const char *find_key(json_t *properties, const char *wanted)
{
	const char *key;
	json_t *value;

	json_object_foreach (properties, key, value) {
		if (strcasecmp(key, wanted) == 0) {
			return key;
		}
	}
	return NULL;
}

static int show_one(struct ctl *ctl, json_t *properties, const char *wanted)
{
	const char *key = find_key(properties, wanted);
	json_t *value = key != NULL ? json_object_get(properties, key) : NULL;

	if (value == NULL) {
		return ctl_say(ctl, CTL_FAILED,
			"%s has no property '%s'; coppicectl show %s lists all", ctl->words[0],
			wanted, ctl->words[0]);
	}
	if (ctl_has(ctl, OPTION_JSON)) {
		ctl_put_json(ctl, json_pack("{s:O}", key, value));
	} else {
		put_property(ctl, key, value);
	}
	return CTL_OK;
}

int verb_show(struct ctl *ctl)
{
	json_t *reply, *properties, *value;
	const char *key;
	int status = ask_unit(ctl, "Show", &reply);

	if (status != CTL_OK) {
		return status;
	}
	properties = json_object_get(reply, "properties");
	if (ctl_has(ctl, OPTION_PROPERTY)) {
		status = show_one(ctl, properties, ctl->value[OPTION_PROPERTY]);
	} else if (ctl_has(ctl, OPTION_JSON)) {
		ctl_put_json(ctl, json_incref(properties));
	} else {
		json_object_foreach (properties, key, value) {
			put_property(ctl, key, value);
		}
	}
	json_decref(reply);
	return status;
}

/* --- count --- */

int verb_count(struct ctl *ctl)
{
	static const char *const keys[] = {"specs", "active", "supervisors", "workers"};
	const char *name = NULL;
	json_t *parameters, *reply;
	int status;

	if (ctl->words_count > 0) {
		name = ctl_unit_name(ctl, ctl->words[0]);
		if (name == NULL) {
			return CTL_USAGE;
		}
	}
	parameters = name != NULL ? json_pack("{s:s}", "supervisor", name) : json_object();
	status = ctl_call(ctl, "Count", parameters, CTL_PATIENCE_MS, &reply);
	if (status != CTL_OK) {
		return status;
	}
	if (ctl_has(ctl, OPTION_JSON)) {
		ctl_put_json(ctl, reply);
		return CTL_OK;
	}
	for (int i = 0; i < 4; i++) {
		(void)fprintf(ctl->out, "%s=%lld\n", keys[i], unit_number(reply, keys[i]));
	}
	json_decref(reply);
	return CTL_OK;
}
