#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/span.h"
#include "oracle/lib/scenario.h"

void die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fflush(stdout);
	fputs("tree_trace: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
	exit(2);
}

char *words_join(const struct words *words, uint32_t from, char *buf, uint32_t size)
{
	uint32_t used = 0;

	buf[0] = '\0';
	for (uint32_t i = from; i < words->count && used < size; i++) {
		used += (uint32_t)snprintf(
			buf + used, size - used, "%s%s", i > from ? " " : "", words->list[i]);
	}
	return buf;
}

int scenario_find(const struct scenario *s, const char *name)
{
	for (uint32_t i = 0; i < s->ids_count; i++) {
		if (strcmp(s->ids[i].name, name) == 0) {
			return (int)i;
		}
	}
	return ID_NONE;
}

int scenario_make(struct scenario *s, const char *name)
{
	struct id *id = &s->ids[s->ids_count];

	if (s->ids_count == SCENARIO_IDS_MAX || strlen(name) >= sizeof(id->name)) {
		die("%s: too many ids, or a long one: %s", s->name, name);
	}
	memset(id, 0, sizeof(*id));
	strcpy(id->name, name);
	id->parent = id->template_id = ID_NONE;
	id->node = NODE_NONE;
	return (int)s->ids_count++;
}

void scenario_show(struct scenario *s, int id)
{
	if (!s->ids[id].in_state) {
		s->ids[id].in_state = true;
		s->state_order[s->state_count++] = id;
	}
}

static uint8_t restart_of(const char *word)
{
	if (strcmp(word, "permanent") == 0) {
		return RESTART_PERMANENT;
	}
	if (strcmp(word, "transient") == 0) {
		return RESTART_TRANSIENT;
	}
	if (strcmp(word, "temporary") == 0) {
		return RESTART_TEMPORARY;
	}
	die("not a restart word: %s", word);
}

static uint64_t number_of(const char *text)
{
	char *end;
	uint64_t value = strtoull(text, &end, 10);

	if (*text == '\0' || *end != '\0') {
		die("not a number: %s", text);
	}
	return value;
}

static void set_strategy(struct id *id, const char *value)
{
	struct tree_supervisor_rules *rules = &id->supervisor;

	id->is_supervisor = true;
	if (strcmp(value, "one_for_all") == 0) {
		rules->strategy = ONE_FOR_ALL;
	} else if (strcmp(value, "rest_for_one") == 0) {
		rules->strategy = REST_FOR_ONE;
	} else {
		rules->strategy = ONE_FOR_ONE;
		rules->dynamic = id->is_dynamic = strcmp(value, "simple_one_for_one") == 0;
	}
}

static void set_auto_shutdown(struct id *id, const char *value)
{
	id->supervisor.auto_shutdown = AUTO_NEVER;
	if (strncmp(value, "any", 3) == 0) {
		id->supervisor.auto_shutdown = AUTO_ANY_SIGNIFICANT;
	} else if (strncmp(value, "all", 3) == 0) {
		id->supervisor.auto_shutdown = AUTO_ALL_SIGNIFICANT;
	}
}

static void set_onstop(struct id *id, const char *value)
{
	static const char *const names[] = {"clean", "ignore", "crash", "normal"};

	for (uint8_t i = 0; i < 4; i++) {
		if (strcmp(value, names[i]) == 0) {
			id->onstop = i;
			return;
		}
	}
	if (strncmp(value, "slow:", 5) != 0) {
		die("onstop=%s", value);
	}
	id->onstop = ONSTOP_SLOW;
	id->slow_ns = number_of(value + 5) * NS_PER_MS;
}

static uint64_t shutdown_of(const char *value)
{
	if (strcmp(value, "infinity") == 0) {
		return SPAN_INFINITY;
	}
	if (strcmp(value, "brutal_kill") == 0) {
		return SERVICE_STOP_BRUTAL;
	}
	return number_of(value) * NS_PER_MS;
}

static void set_option(struct id *id, const char *word, bool *has_shutdown)
{
	char key[32] = "";
	const char *equal = strchr(word, '=');
	const char *value = equal != NULL ? equal + 1 : "true";
	size_t length = equal != NULL ? (size_t)(equal - word) : strlen(word);

	if (length >= sizeof(key)) {
		die("not an option: %s", word);
	}
	memcpy(key, word, length);
	if (strcmp(key, "strategy") == 0) {
		set_strategy(id, value);
	} else if (strcmp(key, "intensity") == 0) {
		id->supervisor.intensity = (uint32_t)number_of(value);
	} else if (strcmp(key, "period") == 0) {
		id->supervisor.period_ns = number_of(value) * NS_PER_SEC;
	} else if (strcmp(key, "auto_shutdown") == 0) {
		set_auto_shutdown(id, value);
	} else if (strcmp(key, "significant") == 0) {
		id->rules.significant = strcmp(value, "true") == 0;
	} else if (strcmp(key, "onstop") == 0) {
		set_onstop(id, value);
	} else if (strcmp(key, "shutdown") == 0) {
		id->rules.shutdown_ns = shutdown_of(value);
		*has_shutdown = true;
	} else {
		die("not an option: %s", word);
	}
}

static void set_options(struct id *id, const struct words *words, uint32_t from)
{
	bool has_shutdown = false;

	id->supervisor = (struct tree_supervisor_rules){
		.intensity = 1,
		.period_ns = 5 * NS_PER_SEC,
		.children_max = UINT32_MAX,
	};
	id->service = (struct service_rules){
		.type = SERVICE_EXEC,
		.send_sigkill = true,
		.kill_signal = 15,
		.final_kill_signal = 9,
		.reload_signal = 1,
		.commands[PHASE_START] = 1,
		.start_timeout_ns = SPAN_INFINITY,
		.stop_timeout_ns = 5 * NS_PER_SEC,
		.runtime_max_ns = SPAN_INFINITY,
	};
	for (uint32_t i = from; i < words->count; i++) {
		set_option(id, words->list[i], &has_shutdown);
	}
	id->rules.is_supervisor = id->is_supervisor;
	if (!has_shutdown) {
		id->rules.shutdown_ns = id->is_supervisor ? SPAN_INFINITY : 5 * NS_PER_SEC;
	}
	/* The pointers are set again by those who copy an id. */
	id->rules.service = id->is_supervisor ? NULL : &id->service;
	id->rules.supervisor = id->is_supervisor ? &id->supervisor : NULL;
}

int scenario_declare(struct scenario *s, const struct words *words)
{
	if (words->count < 3) {
		die("%s: a child needs PARENT ID RESTART", s->name);
	}
	int id = scenario_find(s, words->list[1]);
	int parent = scenario_find(s, words->list[0]);

	if (parent == ID_NONE) {
		/* Its line comes later, or with a start_child. */
		parent = scenario_make(s, words->list[0]);
	}
	if (id == ID_NONE) {
		id = scenario_make(s, words->list[1]);
	}
	s->ids[id].parent = parent;
	s->ids[id].rules.restart = restart_of(words->list[2]);
	set_options(&s->ids[id], words, 3);
	return id;
}

bool scenario_bad_combination(const struct scenario *s, int id)
{
	const struct id *child = &s->ids[id];

	if (!child->rules.significant || child->parent == ID_NONE) {
		return false;
	}
	return child->rules.restart == RESTART_PERMANENT ||
	       s->ids[child->parent].supervisor.auto_shutdown == AUTO_NEVER;
}

static void declare_line(struct scenario *s, struct words *words)
{
	struct words rest = {.count = words->count - 1};
	int id;

	memcpy(rest.list, words->list + 1, rest.count * sizeof(rest.list[0]));
	if (strcmp(words->list[0], "sup") == 0) {
		id = scenario_make(s, rest.list[0]);
		s->ids[id].is_supervisor = true;
		set_options(&s->ids[id], &rest, 1);
		scenario_show(s, id);
		return;
	}
	id = scenario_declare(s, &rest);
	s->ids[id].is_kid = true;

	struct id *parent = &s->ids[s->ids[id].parent];
	if (parent->is_dynamic) {
		parent->template_id = id;
	} else {
		scenario_show(s, id);
	}
}

static void split_words(char *line, struct words *words)
{
	char *rest = line;
	char *word;

	words->count = 0;
	while ((word = strtok_r(rest, " \t\r", &rest)) != NULL) {
		if (words->count == SCENARIO_WORDS_MAX) {
			die("too many words in a line");
		}
		words->list[words->count++] = word;
	}
}

static void read_line(struct scenario *s, char *line)
{
	struct words *words = &s->lines[s->lines_count];

	if (s->lines_count == SCENARIO_LINES_MAX) {
		die("%s: too many lines", s->name);
	}
	split_words(line, words);
	if (words->count == 0 || words->list[0][0] == '#') {
		return;
	}
	if (strcmp(words->list[0], "sup") == 0 || strcmp(words->list[0], "child") == 0) {
		declare_line(s, words);
		return;
	}
	s->lines_count++;
}

/* The oracle starts the root before the first event when no event says so. */
static void imply_start(struct scenario *s)
{
	static char start[] = "start";

	for (uint32_t i = 0; i < s->lines_count; i++) {
		if (s->lines[i].count == 1 && strcmp(s->lines[i].list[0], "start") == 0) {
			return;
		}
	}
	if (s->lines_count == SCENARIO_LINES_MAX) {
		die("%s: too many lines", s->name);
	}
	memmove(s->lines + 1, s->lines, s->lines_count * sizeof(s->lines[0]));
	s->lines[0] = (struct words){.count = 1, .list = {start}};
	s->lines_count++;
}

bool scenario_read(struct scenario *s, char **text)
{
	bool any = false;

	s->ids_count = s->lines_count = s->state_count = 0;
	s->name[0] = '\0';
	while (**text != '\0') {
		char *line = *text;
		size_t length = strcspn(line, "\n");

		if (strncmp(line, "=== ", 4) == 0 && any) {
			break; /* the next one begins */
		}
		*text += length + (line[length] == '\n');
		line[length] = '\0';
		if (strncmp(line, "=== ", 4) == 0) {
			snprintf(s->name, sizeof(s->name), "%s", line + 4);
			any = true;
			continue;
		}
		any = any || line[strspn(line, " \t\r")] != '\0';
		read_line(s, line);
	}
	if (any) {
		imply_start(s);
	}
	return any;
}
