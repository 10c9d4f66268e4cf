/* What every unit may have in [Unit] and [Install]: systemd.unit(5). */
#include <errno.h>
#include <string.h>

#include "base/str.h"
#include "unit/name.h"
#include "unit/parse.h"
#include "unit/table.h"
#include "unit/word.h"

/* --- names of other units --- */

/* The lists of this unit: most units share an empty array, until they name somebody. */
static int relation_list(struct parse *p, const char *const ***list)
{
	if (!p->has_relations) {
		size_t size = UNIT_RELATIONS * sizeof(const char *const *);
		void *own = arena_alloc(p->arena, size);
		if (own == NULL) {
			return -ENOMEM;
		}
		p->unit->relations = own;
		p->has_relations = true;
	}
	size_t which = table_directive(p->line->directive)->offset;
	*list = (const char *const **)&p->unit->relations[which];
	return 0;
}

static int relation_add(
	struct parse *p, const struct word *word, const char *text, const char *const **list)
{
	char whole[UNIT_NAME_SIZE];
	char buf[MESSAGE_WORD_SIZE];
	if (unit_name_normalize(text, whole, sizeof(whole)) < 0) {
		return parse_refuse_why(p, word->offset, "\"%s\" cannot be the name of a unit",
			message_word(buf, text));
	}
	for (const char *const *at = *list; at != NULL && *at != NULL; at++) {
		if (strcmp(*at, whole) == 0) {
			return 0;
		}
	}
	const char *kept = strcmp(whole, text) == 0 ? text : arena_strdup(p->arena, whole);
	return kept == NULL ? -ENOMEM : parse_append(p, list, kept);
}

int parse_relation(struct parse *p, const char *value, void *field)
{
	const char *const **list;
	struct word word;
	size_t at = 0;
	(void)field;
	int r = relation_list(p, &list);
	if (r < 0) {
		return r;
	}
	if (value[0] == '\0') {
		*list = NULL;
		return 0;
	}
	while ((r = parse_next_word(p, value, &at, WORD_RETAIN_ESCAPE, &word)) > 0) {
		const char *text;
		bool judge = true;
		r = parse_keep_word(p, &word, &text, &judge);
		if (r == 0) {
			r = judge ? relation_add(p, &word, text, list)
				  : parse_append(p, list, text);
		}
		if (r < 0 && !parse_list_goes_on(p, r)) {
			return r;
		}
	}
	return r;
}

/* --- what is done in the end --- */

static const struct action_word {
	const char *word;
	enum unit_action action;
	bool approximate; /* there is no such thing here: the next best */
} action_words[] = {
	{"none", UNIT_ACTION_NONE, false},
	{"reboot", UNIT_ACTION_REBOOT, false},
	{"reboot-force", UNIT_ACTION_REBOOT_FORCE, false},
	{"reboot-immediate", UNIT_ACTION_REBOOT_IMMEDIATE, false},
	{"poweroff", UNIT_ACTION_POWEROFF, false},
	{"poweroff-force", UNIT_ACTION_POWEROFF_FORCE, false},
	{"poweroff-immediate", UNIT_ACTION_POWEROFF_IMMEDIATE, false},
	{"exit", UNIT_ACTION_EXIT, false},
	{"exit-force", UNIT_ACTION_EXIT_FORCE, false},
	{"halt", UNIT_ACTION_POWEROFF, true},
	{"halt-force", UNIT_ACTION_POWEROFF_FORCE, true},
	{"halt-immediate", UNIT_ACTION_POWEROFF_IMMEDIATE, true},
	{"kexec", UNIT_ACTION_REBOOT, true},
	{"kexec-force", UNIT_ACTION_REBOOT_FORCE, true},
	{"soft-reboot", UNIT_ACTION_REBOOT, true},
	{"soft-reboot-force", UNIT_ACTION_REBOOT_FORCE, true},
};

int parse_action(struct parse *p, const char *value, void *field)
{
	enum { COUNT = sizeof(action_words) / sizeof(action_words[0]) };
	const char *words[COUNT + 1];
	uint8_t *out = field;
	if (parse_reset(p, value, field, sizeof(*out))) {
		return 0;
	}
	for (size_t i = 0; i < COUNT; i++) {
		words[i] = action_words[i].word;
	}
	words[COUNT] = NULL;
	int i = parse_choose(p, words, value);
	if (i < 0) {
		return i;
	}
	if (action_words[i].approximate) {
		const char *next = action_words[i].action == UNIT_ACTION_REBOOT ? "reboot"
				   : action_words[i].action == UNIT_ACTION_REBOOT_FORCE
					   ? "reboot-force"
				   : action_words[i].action == UNIT_ACTION_POWEROFF ? "poweroff"
				   : action_words[i].action == UNIT_ACTION_POWEROFF_FORCE
					   ? "poweroff-force"
					   : "poweroff-immediate";
		parse_warn(p, 0, "\"%s\" is taken for %s", value, next);
	}
	*out = (uint8_t)action_words[i].action;
	return 0;
}

int parse_action_status(struct parse *p, const char *value, void *field)
{
	int *out = field;
	uint64_t number;
	if (value[0] == '\0') {
		*out = -1;
		return 0;
	}
	if (str_u64(value, 0, 255, &number) < 0) {
		return parse_refuse(p, 0, value);
	}
	*out = (int)number;
	return 0;
}

/* --- the limit of starts --- */

int parse_start_limit_interval(struct parse *p, const char *value, void *field)
{
	uint64_t span = PARSE_START_LIMIT_INTERVAL;
	int r = value[0] == '\0' ? 0 : parse_span_or_infinity(p, value, &span);
	if (r == 0) {
		*(uint64_t *)field = span;
		p->unit->start_limit_set = true;
	}
	return r;
}

int parse_start_limit_burst(struct parse *p, const char *value, void *field)
{
	uint32_t burst = PARSE_START_LIMIT_BURST;
	int r = value[0] == '\0' ? 0 : parse_u32(p, value, &burst);
	if (r == 0) {
		*(uint32_t *)field = burst;
		p->unit->start_limit_set = true;
	}
	return r;
}
