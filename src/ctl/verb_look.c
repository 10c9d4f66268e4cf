/* status, tree, list: how things are. */
#include "ctl/ctl.h"

#include <string.h>
#include <time.h>

#include "ctl/forest.h"
#include "ctl/table.h"

int verb_tree(struct ctl *ctl)
{
	json_t *units;
	int status = ctl_list(ctl, NULL, &units);

	if (status != CTL_OK) {
		return status;
	}
	if (ctl_has(ctl, OPTION_JSON)) {
		ctl_put_json(ctl, forest_json(units));
	} else {
		forest_print(ctl, units, false);
	}
	json_decref(units);
	return CTL_OK;
}

/* --- list --- */

/* People read when something was by the hour or by the day, programs to the millisecond. */
static char *list_time(const struct ctl *ctl, const char *since)
{
	long long then_ms = ctl_time_parse(since);
	bool today = then_ms >= (time(NULL) - 86400) * 1000LL;

	if (!ctl->terminal || then_ms < 0) {
		return ctl_strdup(since);
	}
	return today ? ctl_printf("%.8s", since + 11) : ctl_printf("%.10s", since);
}

static void list_add_row(const struct ctl *ctl, struct table *table, const json_t *unit)
{
	struct table_row *row = table_add(table);
	long long pid = unit_number(unit, "pid");
	const char *last_exit = unit_text(unit, "last_exit");

	row->colour = ctl_state_colour(unit);
	row->cells[0] = ctl_strdup(unit_text(unit, "unit"));
	row->cells[1] = ctl_printf(
		"%s%s", unit_text(unit, "state"), unit_flag(unit, "held") ? " (held)" : "");
	row->cells[2] = ctl_strdup(unit_flag(unit, "ready") ? "yes" : "no");
	row->cells[3] = pid > 0 ? ctl_printf("%lld", pid) : ctl_strdup("-");
	row->cells[4] = ctl_printf("%lld", unit_number(unit, "restarts"));
	row->cells[5] = list_time(ctl, unit_text(unit, "since"));
	row->cells[6] = ctl_strdup(last_exit[0] != '\0' ? last_exit : "-");
}

/* The units that the words name, or all. A new reference when it is CTL_OK. */
static int list_named(struct ctl *ctl, json_t **units)
{
	json_t *all = ctl_keep(ctl, json_array()), *one;
	const char *name;
	int status = CTL_OK;

	if (ctl->words_count == 0) {
		return ctl_list(ctl, NULL, units);
	}
	for (int i = 0; i < ctl->words_count && status == CTL_OK; i++) {
		name = ctl_unit_name(ctl, ctl->words[i]);
		status = name != NULL ? ctl_list(ctl, name, &one) : CTL_USAGE;
		if (status == CTL_OK) {
			(void)json_array_extend(all, one);
			json_decref(one);
		}
	}
	*units = json_incref(all);
	return status;
}

int verb_list(struct ctl *ctl)
{
	struct table table = {
		.columns = 7,
		.titles = {"UNIT", "STATE", "READY", "PID", "RESTARTS", "SINCE", "LAST EXIT"},
		.right = {false, false, false, true, true, false, false},
		.coloured = 1,
	};
	json_t *units, *unit;
	size_t i;
	int status = list_named(ctl, &units);

	if (status != CTL_OK) {
		return status;
	}
	if (ctl_has(ctl, OPTION_JSON)) {
		ctl_put_json(ctl, units);
		return CTL_OK;
	}
	json_array_foreach (units, i, unit) {
		list_add_row(ctl, &table, unit);
	}
	table_print(ctl, &table);
	json_decref(units);
	return CTL_OK;
}

/* --- status of all --- */

static const char *const state_words[] = {
	"running", "starting", "stopping", "waiting", "failed", "done", "stopped"};
#define STATES (sizeof(state_words) / sizeof(state_words[0]))

static void print_counts(struct ctl *ctl, const json_t *units)
{
	size_t counts[STATES] = {0}, i;
	const char *separator = ": ";
	json_t *unit;

	json_array_foreach (units, i, unit) {
		for (size_t s = 0; s < STATES; s++) {
			counts[s] += unit_is(unit, state_words[s]);
		}
	}
	(void)fprintf(ctl->out, "%zu units", json_array_size(units));
	for (size_t s = 0; s < STATES; s++) {
		if (counts[s] > 0) {
			bool bad = strcmp(state_words[s], "failed") == 0;

			(void)fprintf(ctl->out, "%s%s%zu %s%s", separator,
				bad ? ctl_colour(ctl, COLOUR_BAD) : "", counts[s], state_words[s],
				bad ? ctl_colour(ctl, COLOUR_NONE) : "");
			separator = ", ";
		}
	}
	(void)fputc('\n', ctl->out);
}

static void print_header(struct ctl *ctl, const json_t *about, const json_t *units)
{
	char up[CTL_SPAN_SIZE];
	const char *state = unit_text(about, "root_state");

	if (state[0] == '\0') {
		state = unit_text(json_array_get(units, 0), "state");
	}
	(void)fprintf(ctl->out, "%scoppice %s%s: ", ctl_colour(ctl, COLOUR_BOLD),
		unit_text(about, "version"), ctl_colour(ctl, COLOUR_NONE));
	ctl_put(ctl, unit_text(about, "root"));
	(void)fprintf(ctl->out, " %s%s%s, up %s\n",
		ctl_colour(ctl, ctl_state_colour(json_array_get(units, 0))), state,
		ctl_colour(ctl, COLOUR_NONE),
		ctl_span(unit_number(about, "uptime_ms"), up, sizeof(up)));
	print_counts(ctl, units);
	(void)fprintf(ctl->out,
		"keeper %lld, manager %lld (start %lld); %lld deaths seen, %lld orphans reaped\n\n",
		unit_number(about, "keeper_pid"), unit_number(about, "manager_pid"),
		unit_number(about, "manager_incarnation"), unit_number(about, "deaths"),
		unit_number(about, "orphans_reaped"));
}

static int status_all(struct ctl *ctl)
{
	json_t *about, *units, *root;
	int status = ctl_call(ctl, "Status", NULL, CTL_PATIENCE_MS, &about);

	if (status != CTL_OK) {
		return status;
	}
	(void)ctl_keep(ctl, about);
	status = ctl_list(ctl, NULL, &units);
	if (status != CTL_OK) {
		return status;
	}
	root = json_array_get(units, 0);
	status = unit_is(root, "running") ? CTL_OK : CTL_NOT_RUNNING;
	if (ctl_has(ctl, OPTION_JSON)) {
		(void)json_object_set(about, "tree", units);
		ctl_put_json(ctl, json_incref(about));
	} else {
		print_header(ctl, about, units);
		forest_print(ctl, units, true);
	}
	json_decref(units);
	return status;
}

/* --- status of one --- */

static void print_member(struct ctl *ctl, const char *title, const char *text)
{
	if (text[0] != '\0') {
		(void)fprintf(ctl->out, "%10s%c ", title, title[0] != '\0' ? ':' : ' ');
		ctl_put(ctl, text);
		(void)fputc('\n', ctl->out);
	}
}

static void print_state(struct ctl *ctl, const json_t *unit)
{
	char ago[CTL_SPAN_SIZE];
	const char *since = unit_text(unit, "since");
	long long then_ms = ctl_time_parse(since);
	const char *substate = unit_text(unit, "substate");
	struct timespec now;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	(void)fprintf(ctl->out, "%10s: %s%s%s", "State", ctl_colour(ctl, ctl_state_colour(unit)),
		unit_text(unit, "state"), ctl_colour(ctl, COLOUR_NONE));
	if (substate[0] != '\0' && !unit_is(unit, substate)) {
		(void)fprintf(ctl->out, " (%s)", substate);
	}
	(void)fprintf(ctl->out, "%s%s",
		unit_is(unit, "running") ? (unit_flag(unit, "ready") ? ", ready" : ", not ready")
					 : "",
		unit_flag(unit, "held") ? ", held by hand" : "");
	if (then_ms >= 0) {
		(void)fprintf(ctl->out, " since %s; %s ago", since,
			ctl_span((long long)now.tv_sec * 1000 - then_ms, ago, sizeof(ago)));
	}
	(void)fputc('\n', ctl->out);
}

static void print_unit(struct ctl *ctl, const json_t *unit)
{
	char text[128], period[CTL_SPAN_SIZE];
	const char *description = unit_text(unit, "description");

	(void)fprintf(ctl->out, "%s%s%s ", ctl_colour(ctl, ctl_state_colour(unit)),
		ctl->utf8 ? "●" : "*", ctl_colour(ctl, COLOUR_NONE));
	ctl_put(ctl, unit_text(unit, "unit"));
	(void)fputs(description[0] != '\0' ? " - " : "", ctl->out);
	ctl_put(ctl, description);
	(void)fputc('\n', ctl->out);
	print_state(ctl, unit);
	print_member(ctl, "Parent", unit_text(unit, "parent"));
	if (unit_number(unit, "pid") > 0) {
		(void)snprintf(text, sizeof(text), "%lld", unit_number(unit, "pid"));
		print_member(ctl, "Main PID", text);
	}
	if (unit_text(unit, "strategy")[0] != '\0') {
		(void)snprintf(text, sizeof(text), "%s, %lld of %lld restarts in %s",
			unit_text(unit, "strategy"), unit_number(unit, "window"),
			unit_number(unit, "intensity"),
			ctl_span(unit_number(unit, "period_ms"), period, sizeof(period)));
		print_member(ctl, "Strategy", text);
	}
	(void)snprintf(text, sizeof(text), "%lld", unit_number(unit, "restarts"));
	print_member(ctl, "Restarts", text);
	print_member(ctl, "Last exit", unit_text(unit, "last_exit"));
	print_member(ctl, "Status", unit_text(unit, "status_text"));
}

/* The sentences of `why`, below the details. An older coppice may have none. */
static void print_why(struct ctl *ctl, const char *name)
{
	json_t *parameters = json_pack("{s:s}", "unit", name), *reply, *sentence;
	size_t i;
	int result = coppice_call(ctl->client, "Why", parameters, CTL_PATIENCE_MS, &reply);

	json_decref(parameters);
	if (result < 0) {
		return;
	}
	json_array_foreach (json_object_get(reply, "sentences"), i, sentence) {
		print_member(ctl, i == 0 ? "Why" : "", json_string_value(sentence));
	}
	json_decref(reply);
}

static int status_one(struct ctl *ctl, const char *word, json_t *all)
{
	const char *name = ctl_unit_name(ctl, word);
	json_t *units, *unit;
	int status;

	if (name == NULL) {
		return CTL_USAGE;
	}
	status = ctl_list(ctl, name, &units);
	if (status != CTL_OK) {
		return status;
	}
	unit = json_array_get(ctl_keep(ctl, units), 0);
	if (unit == NULL) {
		return ctl_say(ctl, CTL_NO_UNIT, "no unit %s; coppicectl list names all", name);
	}
	if (ctl_has(ctl, OPTION_JSON)) {
		(void)json_array_append(all, unit);
	} else {
		print_unit(ctl, unit);
		print_why(ctl, name);
	}
	return unit_is(unit, "running") ? CTL_OK : CTL_NOT_RUNNING;
}

int verb_status(struct ctl *ctl)
{
	json_t *all = ctl_keep(ctl, json_array());
	int worst = CTL_OK;

	if (ctl->words_count == 0) {
		return status_all(ctl);
	}
	for (int i = 0; i < ctl->words_count; i++) {
		int status;

		if (i > 0 && !ctl_has(ctl, OPTION_JSON)) {
			(void)fputc('\n', ctl->out);
		}
		status = status_one(ctl, ctl->words[i], all);
		if (status == CTL_NO_COPPICE || status == CTL_REFUSED) {
			return status;
		}
		worst = status > worst ? status : worst;
	}
	if (ctl_has(ctl, OPTION_JSON)) {
		ctl_put_json(ctl, json_incref(all));
	}
	return worst;
}
