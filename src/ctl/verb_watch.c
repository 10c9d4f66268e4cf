/* watch: the event stream. */
#include "ctl/ctl.h"

#include <errno.h>
#include <string.h>

/* The time of day out of RFC 3339, as HH:MM:SS.mmm. */
static void put_time(struct ctl *ctl, const char *time)
{
	const char *day = strchr(time, 'T');
	char text[] = "00:00:00.000";

	if (day != NULL) {
		for (size_t i = 0; i < 12 && day[1 + i] != '\0'; i++) {
			char c = day[1 + i];

			if ((c < '0' || c > '9') && c != text[i]) {
				break;
			}
			text[i] = c;
		}
	}
	(void)fputs(text, ctl->out);
}

static enum ctl_colour event_colour(const char *event)
{
	if (strcmp(event, "running") == 0 || strcmp(event, "done") == 0) {
		return COLOUR_GOOD;
	}
	if (strcmp(event, "failed") == 0 || strcmp(event, "escalated") == 0 ||
		strcmp(event, "exited") == 0 || strcmp(event, "start-failed") == 0) {
		return COLOUR_BAD;
	}
	return COLOUR_NONE;
}

/* "HH:MM:SS.mmm event unit pid reason", columns on a terminal, one space elsewhere. */
static void put_event(struct ctl *ctl, const json_t *event)
{
	const char *name = unit_text(event, "event"), *reason = unit_text(event, "reason");
	const char *text = unit_text(event, "text");
	long long pid = unit_number(event, "pid");
	char number[24] = "-";

	if (pid > 0) {
		(void)snprintf(number, sizeof(number), "%lld", pid);
	}
	put_time(ctl, unit_text(event, "time"));
	(void)fprintf(ctl->out, " %s", ctl_colour(ctl, event_colour(name)));
	ctl_put_cell(ctl, name, ctl->terminal ? 12 : ctl_text_width(name), false, true);
	(void)fprintf(ctl->out, "%s ", ctl_colour(ctl, COLOUR_NONE));
	ctl_put(ctl, unit_text(event, "unit"));
	(void)fprintf(ctl->out, " %s ", number);
	ctl_put(ctl, reason[0] != '\0' ? reason : "-");
	(void)fputs(text[0] != '\0' ? " " : "", ctl->out);
	ctl_put(ctl, text);
	(void)fputc('\n', ctl->out);
	(void)fflush(ctl->out);
}

/* The first reply has no event: it says that nothing is missed from here on. */
static void take_event(struct ctl *ctl, const json_t *reply)
{
	json_t *event = json_object_get(reply, "event"), *begun;

	if (json_is_object(event)) {
		if (ctl_has(ctl, OPTION_JSON)) {
			ctl_put_json_line(ctl, event);
		} else {
			put_event(ctl, event);
		}
	} else if (ctl_has(ctl, OPTION_JSON)) {
		begun = json_pack("{s:s}", "event", "subscribed");
		ctl_put_json_line(ctl, begun);
		json_decref(begun);
	}
}

/* One connection's worth. `again`: it is not the first; that is said once it stands. */
static int watch_on(struct ctl *ctl, json_t *parameters, bool again)
{
	json_t *reply;
	int result = coppice_call_more(ctl->client, "Subscribe", parameters);

	while (result >= 0 && (result = coppice_next(ctl->client, -1, &reply)) == 1) {
		if (again) {
			(void)ctl_say(ctl, CTL_OK, "connected again; events may have been missed");
			again = false;
		}
		take_event(ctl, reply);
		json_decref(reply);
		if (ferror(ctl->out)) {
			return -EPIPE;
		}
	}
	return result;
}

int verb_watch(struct ctl *ctl)
{
	json_t *parameters = ctl_keep(ctl, json_object()), *units = ctl_keep(ctl, json_array());
	int result, status = ctl_open(ctl, false);
	bool again = false;

	for (int i = 0; i < ctl->words_count && status == CTL_OK; i++) {
		const char *name = ctl_unit_name(ctl, ctl->words[i]);

		if (name == NULL) {
			return CTL_USAGE;
		}
		(void)json_array_append_new(units, json_string(name));
	}
	if (json_array_size(units) > 0) {
		(void)json_object_set(parameters, "units", units);
	}
	while (status == CTL_OK) {
		result = watch_on(ctl, parameters, again);
		if (result == -EPIPE) {
			return CTL_FAILED;
		}
		if (result < 0 && result != -ECONNRESET) {
			return ctl_fail(ctl, result);
		}
		/* The manager was replaced, or it disconnected a reader that was too slow. */
		if (ctl_open(ctl, true) != CTL_OK) {
			return ctl_say(ctl, CTL_NO_COPPICE, "coppice has ended");
		}
		again = true;
	}
	return status;
}
