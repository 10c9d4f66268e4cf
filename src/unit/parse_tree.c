/* What makes a tree: supervisors, and each unit's place in one. coppice.supervisor(5). */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/names.h"
#include "base/str.h"
#include "unit/parse.h"
#include "unit/table.h"
#include "unit/word.h"

#define INTENSITY_MAX 1000000

/* --- a unit as a child --- */

/* OTP's words, then systemd's for the same thing and for what OTP does not have. */
static int parse_restart_word(struct parse *p, const char *value)
{
	static const char *const words[] = {"permanent", "transient", "temporary", "on-success",
		"on-abnormal", "on-abort", "on-watchdog", "always", "no", "on-failure", NULL};
	static const uint8_t meaning[] = {RESTART_WORD_PERMANENT, RESTART_WORD_TRANSIENT,
		RESTART_WORD_TEMPORARY, RESTART_WORD_ON_SUCCESS, RESTART_WORD_ON_ABNORMAL,
		RESTART_WORD_ON_ABORT, RESTART_WORD_ON_WATCHDOG, RESTART_WORD_PERMANENT,
		RESTART_WORD_TEMPORARY, RESTART_WORD_TRANSIENT};
	int i = parse_choose(p, words, value);
	return i < 0 ? i : meaning[i];
}

int parse_restart(struct parse *p, const char *value, void *field)
{
	uint8_t *out = field;
	p->extra->restart = parse_spot(p, 0);
	if (value[0] == '\0') {
		p->unit->restart_set = false;
		return 0;
	}
	int word = parse_restart_word(p, value);
	if (word < 0) {
		return word;
	}
	*out = (uint8_t)word;
	p->unit->restart_set = true;
	return 0;
}

int parse_default_restart(struct parse *p, const char *value, void *field)
{
	uint8_t *out = field;
	if (parse_reset(p, value, field, sizeof(*out))) {
		return 0;
	}
	int word = parse_restart_word(p, value);
	if (word < 0) {
		return word;
	}
	*out = (uint8_t)word;
	return 0;
}

int parse_shutdown(struct parse *p, const char *value, void *field)
{
	struct unit *unit = p->unit;
	uint64_t span = 0;
	unit->shutdown_brutal = false;
	unit->shutdown_set = false;
	if (value[0] == '\0') {
		return 0;
	}
	if (strcmp(value, "brutal-kill") == 0) {
		unit->shutdown_brutal = true;
		unit->shutdown_set = true;
		return 0;
	}
	int r = parse_span_or_infinity(p, value, &span);
	if (r == 0) {
		*(uint64_t *)field = span;
		unit->shutdown_set = true;
	}
	return r;
}

int parse_significant(struct parse *p, const char *value, void *field)
{
	p->extra->significant = parse_spot(p, 0);
	return parse_boolean(p, value, field);
}

/* --- OnExit= --- */

/* A part of the value, without the blanks around it. */
struct part {
	char text[64];
	size_t offset;
};

static int exit_take_part(
	struct parse *p, const char *value, size_t from, size_t to, struct part *part)
{
	while (from < to && isspace((unsigned char)value[from])) {
		from++;
	}
	while (to > from && isspace((unsigned char)value[to - 1])) {
		to--;
	}
	part->offset = from;
	if (to - from >= sizeof(part->text)) {
		return parse_refuse(p, from, value + from);
	}
	memcpy(part->text, value + from, to - from);
	part->text[to - from] = '\0';
	return 0;
}

static void exit_add_status(struct unit_exit_rule *rule, unsigned status)
{
	rule->statuses[status / 32] |= UINT32_C(1) << (status % 32);
}

/* "10-19". False when it is no range. */
static bool exit_take_range(struct unit_exit_rule *rule, char *text)
{
	uint64_t first;
	uint64_t last;
	char *dash = strchr(text, '-');
	if (dash == NULL) {
		return false;
	}
	*dash = '\0';
	bool good = str_u64(text, 0, 255, &first) == 0 && str_u64(dash + 1, first, 255, &last) == 0;
	*dash = '-';
	for (uint64_t i = first; good && i <= last; i++) {
		exit_add_status(rule, (unsigned)i);
	}
	return good;
}

static int exit_take_pattern(struct parse *p, struct part *part, struct unit_exit_rule *rule)
{
	static const char *const words[] = {
		"oom", "watchdog", "health", "start-timeout", "exec-failed"};
	bool *const flags[] = {&rule->oom, &rule->watchdog, &rule->health, &rule->start_timeout,
		&rule->exec_failed};
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcmp(part->text, words[i]) == 0) {
			*flags[i] = true;
			return 0;
		}
	}
	int status = exit_status_parse(part->text);
	if (status >= 0) {
		exit_add_status(rule, (unsigned)status);
		return 0;
	}
	int signo = signal_parse(part->text);
	if (signo > 0 && signo < 64) {
		rule->signals |= UINT64_C(1) << signo;
		return 0;
	}
	if (exit_take_range(rule, part->text)) {
		return 0;
	}
	return parse_refuse_why(p, part->offset,
		"\"%s\" is no exit status (0 … 255, a range, a name), no signal, and none of oom, "
		"watchdog, health, start-timeout, exec-failed",
		part->text);
}

static int exit_take_patterns(
	struct parse *p, const char *value, size_t end, struct unit_exit_rule *rule)
{
	for (size_t from = 0; from <= end;) {
		struct part part;
		size_t to = from + strcspn(value + from, ",:");
		if (to > end) {
			to = end;
		}
		int r = exit_take_part(p, value, from, to, &part);
		if (r == 0) {
			r = exit_take_pattern(p, &part, rule);
		}
		if (r < 0) {
			return r;
		}
		from = to + 1;
	}
	return 0;
}

static int exit_take_action(
	struct parse *p, const char *value, size_t at, struct unit_exit_rule *rule)
{
	static const char *const words[] = {
		"restart", "stop", "escalate", "one-for-all", "rest-for-one", "rollback"};
	struct word word;
	int r = parse_next_word(p, value, &at, 0, &word);
	if (r < 0) {
		return r;
	}
	for (size_t i = 0; r > 0 && i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcmp(word.text, words[i]) == 0) {
			rule->action = (uint8_t)(EXIT_WORD_RESTART + i);
		}
	}
	if (rule->action == EXIT_WORD_DEFAULT) {
		return parse_refuse_why(p, word.offset,
			"\"%s\" is no action: restart, stop, escalate, one-for-all, rest-for-one "
			"or "
			"rollback",
			r > 0 ? word.text : "");
	}
	if (rule->action == EXIT_WORD_ROLLBACK) {
		parse_warn(p, word.offset, "rollback is not honoured by this version");
	}
	while ((r = parse_next_word(p, value, &at, 0, &word)) > 0) {
		if (!str_starts(word.text, "delay=") ||
			span_parse(word.text + strlen("delay="), NS_PER_SEC, &rule->delay_ns) < 0 ||
			rule->delay_ns == SPAN_INFINITY) {
			return parse_refuse_why(p, word.offset,
				"\"%s\" is no option: only delay=SPAN may follow the action",
				word.text);
		}
	}
	return r;
}

int parse_exit_rule(struct parse *p, const char *value, void *field)
{
	struct unit *unit = p->unit;
	struct unit_exit_rule rule = {0};
	(void)field;
	if (value[0] == '\0') {
		unit->exit_rules = NULL;
		unit->exit_rules_count = 0;
		return 0;
	}
	const char *colon = strchr(value, ':');
	if (colon == NULL) {
		return parse_refuse(p, 0, value);
	}
	size_t end = (size_t)(colon - value);
	int r = exit_take_patterns(p, value, end, &rule);
	if (r == 0) {
		r = exit_take_action(p, value, end + 1, &rule);
	}
	if (r < 0) {
		return r;
	}
	uint32_t count = unit->exit_rules_count;
	if (count == UNIT_EXIT_RULES_MAX) {
		return parse_refuse_why(
			p, 0, "more than %d rules are not possible", UNIT_EXIT_RULES_MAX);
	}
	struct unit_exit_rule *list = unit->exit_rules;
	if ((count & (count - 1)) == 0) {
		list = arena_alloc(p->arena, (count == 0 ? 1 : count * 2) * sizeof(*list));
		if (list == NULL) {
			return -ENOMEM;
		}
		if (count > 0) {
			memcpy(list, unit->exit_rules, count * sizeof(*list));
		}
		unit->exit_rules = list;
	}
	list[unit->exit_rules_count++] = rule;
	return 0;
}

/* --- supervisors --- */

int parse_strategy(struct parse *p, const char *value, void *field)
{
	static const char *const words[] = {"one-for-one", "one-for-all", "rest-for-one", NULL};
	p->extra->strategy = parse_spot(p, 0);
	return parse_word(p, words, value, field) < 0 ? -EINVAL : 0;
}

int parse_auto_shutdown(struct parse *p, const char *value, void *field)
{
	static const char *const words[] = {"never", "any-significant", "all-significant", NULL};
	p->extra->auto_shutdown = parse_spot(p, 0);
	return parse_word(p, words, value, field) < 0 ? -EINVAL : 0;
}

int parse_give_up(struct parse *p, const char *value, void *field)
{
	static const char *const words[] = {
		"escalate", "cooldown", "exit", "rollback", NULL}; /* as GIVE_UP_WORD_… */
	struct unit_supervisor *supervisor = p->unit->supervisor;
	uint8_t *out = field;
	supervisor->cooldown_ns = parse_supervisor_defaults.cooldown_ns;
	if (parse_reset(p, value, field, sizeof(*out))) {
		return 0;
	}
	if (str_starts(value, "cooldown:")) {
		size_t skip = strlen("cooldown:");
		uint64_t span;
		if (span_parse(value + skip, NS_PER_SEC, &span) < 0 || span == SPAN_INFINITY) {
			return parse_refuse_why(
				p, skip, "\"%s\" is not a time span (5s, 1min 30s)", value + skip);
		}
		supervisor->cooldown_ns = span;
		*out = GIVE_UP_WORD_COOLDOWN;
		return 0;
	}
	int i = parse_choose(p, words, value);
	if (i < 0) {
		return i;
	}
	*out = (uint8_t)i;
	if (i == GIVE_UP_WORD_ROLLBACK) {
		parse_warn(p, 0, "rollback is not honoured by this version");
	}
	return 0;
}

int parse_start_failure(struct parse *p, const char *value, void *field)
{
	static const char *const words[] = {"fail", "retry", NULL};
	bool *out = field;
	if (parse_reset(p, value, field, sizeof(*out))) {
		return 0;
	}
	int i = parse_choose(p, words, value);
	if (i < 0) {
		return i;
	}
	*out = i == 1;
	return 0;
}

int parse_intensity(struct parse *p, const char *value, void *field)
{
	uint32_t *out = field;
	uint64_t number;
	if (parse_reset(p, value, field, sizeof(*out))) {
		return 0;
	}
	if (str_u64(value, 0, INTENSITY_MAX, &number) < 0) {
		return parse_refuse(p, 0, value);
	}
	*out = (uint32_t)number;
	return 0;
}

int parse_period(struct parse *p, const char *value, void *field)
{
	uint64_t span = 0;
	if (parse_reset(p, value, field, sizeof(span))) {
		return 0;
	}
	int r = parse_span(p, value, &span);
	if (r == 0 && span == 0) {
		return parse_refuse(p, 0, value);
	}
	if (r == 0) {
		*(uint64_t *)field = span;
	}
	return r;
}

int parse_children_max(struct parse *p, const char *value, void *field)
{
	uint32_t *out = field;
	uint64_t number;
	p->extra->children_max = parse_spot(p, 0);
	if (parse_reset(p, value, field, sizeof(*out))) {
		return 0;
	}
	if (strcmp(value, "infinity") == 0) {
		*out = UINT32_MAX;
		return 0;
	}
	if (str_u64(value, 1, INTENSITY_MAX, &number) < 0) {
		return parse_refuse(p, 0, value);
	}
	*out = (uint32_t)number;
	return 0;
}

static int parse_add_child(struct parse *p, const char *name, size_t offset)
{
	struct unit_extra *extra = p->extra;
	if (extra->children_count == extra->children_room) {
		uint32_t room = extra->children_room == 0 ? 16 : extra->children_room * 2;
		struct unit_ref *list = realloc(extra->children, room * sizeof(*extra->children));
		if (list == NULL) {
			return -ENOMEM;
		}
		extra->children = list;
		extra->children_room = room;
	}
	extra->children[extra->children_count++] = (struct unit_ref){name, parse_spot(p, offset)};
	return 0;
}

int parse_children(struct parse *p, const char *value, void *field)
{
	struct word word;
	size_t at = 0;
	int r;
	(void)field;
	if (value[0] == '\0') {
		p->extra->children_count = 0;
		return 0;
	}
	while ((r = parse_next_word(p, value, &at, WORD_RETAIN_ESCAPE, &word)) > 0) {
		const char *name;
		bool judge;
		r = parse_keep_word(p, &word, &name, &judge);
		if (r == 0) {
			r = parse_add_child(p, name, word.offset);
		}
		if (r < 0) {
			return r;
		}
	}
	return r;
}

int parse_template(struct parse *p, const char *value, void *field)
{
	const char *name;
	bool judge;
	(void)field;
	if (value[0] == '\0') {
		p->extra->template.name = NULL;
		return 0;
	}
	int r = parse_expand(p, value, 0, &name, &judge);
	if (r == 0) {
		p->extra->template = (struct unit_ref){name, parse_spot(p, 0)};
	}
	return r;
}

int parse_default_instance(struct parse *p, const char *value, void *field)
{
	bool judge;
	(void)field;
	p->extra->default_instance = NULL;
	if (value[0] == '\0') {
		return 0;
	}
	return parse_expand(p, value, 0, &p->extra->default_instance, &judge);
}
