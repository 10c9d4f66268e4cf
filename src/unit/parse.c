/* Helpers of the parsers, and the parsers of plain values. */
#include "unit/parse.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/names.h"
#include "base/str.h"
#include "unit/table.h"
#include "unit/word.h"

#define SHUTDOWN_DEFAULT (5 * NS_PER_SEC)
#define START_DEFAULT    (90 * NS_PER_SEC)
#define COOLDOWN_DEFAULT (30 * NS_PER_SEC)
#define HEALTH_INTERVAL  (10 * NS_PER_SEC)
#define HEALTH_TIMEOUT   (2 * NS_PER_SEC)

const struct unit_service parse_service_defaults = {
	.type = TYPE_SIMPLE,
	.kill_mode = KILL_MODE_CONTROL_GROUP,
	.notify_access = NOTIFY_NONE,
	.send_sigkill = true,
	.guess_main_pid = true,
	.kill_signal = SIGTERM,
	.final_kill_signal = SIGKILL,
	.reload_signal = SIGHUP,
	.start_timeout_ns = START_DEFAULT,
	.stop_timeout_ns = SHUTDOWN_DEFAULT,
	.runtime_max_ns = SPAN_INFINITY,
	.restart_max_delay_ns = SPAN_INFINITY,
	.umask = 0022,
	.ignore_sigpipe = true,
	.notify_fd = -1,
	.watchdog_signal = SIGABRT,
	.log_level = 6,
	.log_level_max = 7,
	.log_facility = 3,
	.log_level_prefix = true,
	.fd_store_preserve = UNIT_PRESERVE_RESTART,
	.directories = {{NULL, 0755}, {NULL, 0755}, {NULL, 0755}, {NULL, 0755}, {NULL, 0755}},
	.health = {.interval_ns = HEALTH_INTERVAL, .timeout_ns = HEALTH_TIMEOUT, .retries = 3},
};

const struct unit_supervisor parse_supervisor_defaults = {
	.strategy = STRATEGY_ONE_FOR_ONE,
	.auto_shutdown = AUTO_WORD_NEVER,
	.give_up = GIVE_UP_WORD_ESCALATE,
	.default_restart = RESTART_WORD_PERMANENT,
	.intensity = 1,
	.period_ns = 5 * NS_PER_SEC,
	.cooldown_ns = COOLDOWN_DEFAULT,
	.children_max = UINT32_MAX,
};

/* --- helpers --- */

struct unit_spot parse_spot(const struct parse *p, size_t offset)
{
	return (struct unit_spot){p->line, (uint32_t)offset};
}

struct unit_place parse_spot_place(const struct unit_spot *spot)
{
	struct unit_place place = {NULL, 0, 0};
	if (spot->line != NULL) {
		place.path = spot->line->path;
		lex_locate(&spot->line->text, spot->offset, &place.line, &place.column);
	}
	return place;
}

uint32_t parse_spot_line(const struct unit_spot *spot)
{
	if (spot->line == NULL) {
		return 0;
	}
	const struct lex_assignment *text = &spot->line->text;
	uint32_t i = text->pieces_count;
	while (i > 1 && text->pieces[i - 1].offset > spot->offset) {
		i--;
	}
	return text->pieces[i - 1].line;
}

struct unit_place parse_place(const struct parse *p, size_t offset)
{
	struct unit_spot spot = parse_spot(p, offset);
	return parse_spot_place(&spot);
}

/* Whose message it is, when the file does not say it by its name. */
static const char *parse_owner(const struct parse *p, char buf[UNIT_NAME_SIZE + 2])
{
	const char *slash = strrchr(p->line->path, '/');
	const char *base = slash != NULL ? slash + 1 : p->line->path;
	buf[0] = '\0';
	if (strcmp(base, p->unit->name) != 0) {
		snprintf(buf, UNIT_NAME_SIZE + 2, "%s: ", p->unit->name);
	}
	return buf;
}

int parse_refuse(struct parse *p, size_t offset, const char *word)
{
	char buf[MESSAGE_WORD_SIZE];
	return parse_refuse_why(p, offset, "\"%s\" is not %s", message_word(buf, word),
		table_public(p->line->directive)->values);
}

/* systemd ignores an assignment that it does not understand, but never who a service runs as,
 * where, and what is run. */
static bool parse_may_ignore(const struct parse *p)
{
	static const char *const promises[] = {"User", "Group", "SupplementaryGroups",
		"WorkingDirectory", "RootDirectory", "ExecStart", "ExecStartPre", "ExecStartPost",
		"ExecCondition", "ExecReload", "ExecStop", "ExecStopPre", "ExecStopPost"};
	const char *value = p->line->text.value;
	if (!p->lenient) {
		return false;
	}
	/* A command whose failure does not count may be left out. */
	if (str_starts(p->line->text.key, "Exec") &&
		memchr(value, '-', strspn(value, "@-:+!|")) != NULL) {
		return true;
	}
	for (size_t i = 0; i < sizeof(promises) / sizeof(promises[0]); i++) {
		if (strcmp(p->line->text.key, promises[i]) == 0) {
			return false;
		}
	}
	return true;
}

bool parse_list_goes_on(const struct parse *p, int r)
{
	return r == -EINVAL && parse_may_ignore(p);
}

static int parse_tell(struct parse *p, bool warning, size_t offset, const char *format,
	va_list args) __attribute__((format(printf, 4, 0)));

static int parse_tell(
	struct parse *p, bool warning, size_t offset, const char *format, va_list args)
{
	char owner[UNIT_NAME_SIZE + 2];
	char text[1024];
	const char *left_out = "";
	if (!warning && parse_may_ignore(p)) {
		warning = true;
		left_out = "; it is ignored";
	}
	if (warning && p->quiet) {
		return *left_out != '\0' ? -EINVAL : 0;
	}
	if (p->messages->count > UNIT_MESSAGES_MAX) {
		/* It is only counted, and finding the place of a byte takes time. */
		(warning ? message_warning : message_error)(p->messages, NULL, " ");
		return warning && *left_out == '\0' ? 0 : -EINVAL;
	}
	vsnprintf(text, sizeof(text), format, args);
	struct unit_place place = parse_place(p, offset);
	parse_owner(p, owner);
	if (warning) {
		message_warning(p->messages, &place, "%s%s=: %s%s", owner, p->line->text.key, text,
			left_out);
		return *left_out != '\0' ? -EINVAL : 0;
	}
	message_error(p->messages, &place, "%s%s=: %s", owner, p->line->text.key, text);
	return -EINVAL;
}

int parse_refuse_why(struct parse *p, size_t offset, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	int r = parse_tell(p, false, offset, format, args);
	va_end(args);
	return r;
}

void parse_warn(struct parse *p, size_t offset, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	parse_tell(p, true, offset, format, args);
	va_end(args);
}

int parse_expand(struct parse *p, const char *text, size_t offset, const char **out, bool *judge)
{
	char unknown = '\0';
	bool used = false;
	p->names.name_used = &used;
	int r = specifier_expand(p->host, &p->names, p->arena, text, out, &unknown);
	if (r < 0) {
		return r;
	}
	p->name_used = p->name_used || used;
	*judge = !(used && p->is_template);
	if (unknown != '\0') {
		parse_warn(p, offset,
			"unknown specifier \"%%%c\" is kept as it is; write %%%% for a percent "
			"sign",
			unknown);
	}
	return 0;
}

/* The length of a list by parse_append, without walking it: its room is a power of two, what is not
 * used is NULL, and it grows when an entry 2^n - 1 is written. */
static size_t parse_list_length(const char *const *list)
{
	size_t low = 0;
	size_t step = 1;
	if (list == NULL || list[0] == NULL) {
		return 0;
	}
	while (list[2 * step - 1] != NULL) {
		step *= 2;
	}
	for (low = step; step > 0; step /= 2) {
		if (list[low + step - 1] != NULL) {
			low += step;
		}
	}
	return low;
}

int parse_append(struct parse *p, const char *const **list, const char *text)
{
	size_t count = parse_list_length(*list);
	const char **room = (const char **)*list;
	if (room == NULL || ((count + 1) & count) == 0) {
		room = arena_alloc(p->arena, 2 * (count + 1) * sizeof(char *));
		if (room == NULL) {
			return -ENOMEM;
		}
		if (*list != NULL && count > 0) {
			memcpy(room, *list, count * sizeof(char *));
		}
		*list = room;
	}
	room[count] = text;
	return 0;
}

int parse_choose(struct parse *p, const char *const *words, const char *value)
{
	const char *near = NULL;
	unsigned near_distance = 3;
	for (int i = 0; words[i] != NULL; i++) {
		if (strcmp(words[i], value) == 0) {
			return i;
		}
		unsigned distance = str_distance(words[i], value);
		if (distance < near_distance) {
			near = words[i];
			near_distance = distance;
		}
	}
	if (near == NULL) {
		return parse_refuse(p, 0, value);
	}
	char buf[MESSAGE_WORD_SIZE];
	return parse_refuse_why(p, 0, "\"%s\" is not %s; did you mean %s?",
		message_word(buf, value), table_public(p->line->directive)->values, near);
}

int parse_word(struct parse *p, const char *const *words, const char *value, uint8_t *field)
{
	if (parse_reset(p, value, field, sizeof(*field))) {
		return 0;
	}
	int i = parse_choose(p, words, value);
	if (i < 0) {
		return i;
	}
	*field = (uint8_t)i;
	return 1;
}

bool parse_reset(struct parse *p, const char *value, void *field, size_t size)
{
	const struct directive *directive = table_directive(p->line->directive);
	if (value[0] != '\0') {
		return false;
	}
	const char *defaults = NULL;
	if (directive->base == BASE_SERVICE) {
		defaults = (const char *)&parse_service_defaults;
	} else if (directive->base == BASE_SUPERVISOR) {
		defaults = (const char *)&parse_supervisor_defaults;
	} else if (directive->base == BASE_SOCKET) {
		defaults = (const char *)&parse_socket_defaults;
	}
	if (defaults != NULL) {
		memcpy(field, defaults + directive->offset, size);
	} else {
		memset(field, 0, size);
	}
	return true;
}

int parse_next_word(
	struct parse *p, const char *value, size_t *at, unsigned flags, struct word *word)
{
	int r = word_next(p->arena, value, at, flags, word);
	if (r == -EINVAL) {
		return parse_refuse_why(
			p, word->offset, "the quote %c is not closed", value[word->offset]);
	}
	if (r > 0 && word->wrong != NULL) {
		parse_warn(p, (size_t)(word->wrong - value),
			"unknown escape \"%.2s\" is kept as it is", word->wrong);
	}
	return r;
}

int parse_keep_word(struct parse *p, const struct word *word, const char **out, bool *judge)
{
	return parse_expand(p, word->text, word->offset, out, judge);
}

/* "512M": systemd counts sizes in powers of 1024. */
int size_parse(const char *text, uint64_t max, uint64_t *out)
{
	static const char units[] = "KMGTPE";
	char digits[32];
	size_t length = strspn(text, "0123456789");
	unsigned shift = 0;
	uint64_t number;
	if (length == 0 || length >= sizeof(digits)) {
		return -EINVAL;
	}
	memcpy(digits, text, length);
	digits[length] = '\0';
	text += length;
	const char *unit = *text != '\0' ? strchr(units, *text) : NULL;
	if (unit != NULL) {
		shift = 10 * (unsigned)(unit - units + 1);
		text++;
	} else if (*text == 'B') {
		text++;
	}
	if (*text != '\0' || str_u64(digits, 0, max, &number) < 0 || number > max >> shift) {
		return -EINVAL;
	}
	*out = number << shift;
	return 0;
}

/* --- plain values --- */

int parse_nothing(struct parse *p, const char *value, void *field)
{
	(void)p;
	(void)value;
	(void)field;
	return 0;
}

int parse_boolean(struct parse *p, const char *value, void *field)
{
	bool *out = field;
	if (parse_reset(p, value, field, sizeof(*out))) {
		return 0;
	}
	int truth = str_bool(value);
	if (truth < 0) {
		return parse_refuse(p, 0, value);
	}
	*out = truth > 0;
	return 0;
}

int parse_span_or_infinity(struct parse *p, const char *value, void *field)
{
	uint64_t *out = field;
	if (parse_reset(p, value, field, sizeof(*out))) {
		return 0;
	}
	uint64_t span;
	int r = span_parse(value, NS_PER_SEC, &span);
	if (r == -ERANGE) {
		return parse_refuse_why(p, 0, "\"%s\" is out of range", value);
	}
	if (r < 0) {
		return parse_refuse(p, 0, value);
	}
	*out = span;
	return 0;
}

/* Values of what there is nothing to do with are judged all the same. */
int parse_checked_boolean(struct parse *p, const char *value, void *field)
{
	bool truth;
	(void)field;
	return value[0] == '\0' ? 0 : parse_boolean(p, value, &truth);
}

int parse_checked_span(struct parse *p, const char *value, void *field)
{
	uint64_t span;
	(void)field;
	return value[0] == '\0' ? 0 : parse_span_or_infinity(p, value, &span);
}

int parse_span(struct parse *p, const char *value, void *field)
{
	uint64_t span = 0;
	if (parse_reset(p, value, field, sizeof(span))) {
		return 0;
	}
	int r = parse_span_or_infinity(p, value, &span);
	if (r < 0) {
		return r;
	}
	if (span == SPAN_INFINITY) {
		return parse_refuse(p, 0, value);
	}
	*(uint64_t *)field = span;
	return 0;
}

int parse_u32(struct parse *p, const char *value, void *field)
{
	uint32_t *out = field;
	uint64_t number;
	if (parse_reset(p, value, field, sizeof(*out))) {
		return 0;
	}
	if (str_u64(value, 0, INT32_MAX, &number) < 0) {
		return parse_refuse(p, 0, value);
	}
	*out = (uint32_t)number;
	return 0;
}

/* A decimal number with a sign. Returns 0 or -EINVAL. */
static int parse_signed(const char *value, int min, int max, int *out)
{
	uint64_t number;
	bool negative = value[0] == '-';
	if (negative || value[0] == '+') {
		value++;
	}
	if (str_u64(value, 0, INT_MAX, &number) < 0) {
		return -EINVAL;
	}
	int result = negative ? -(int)number : (int)number;
	if (result < min || result > max) {
		return -EINVAL;
	}
	*out = result;
	return 0;
}

int parse_nice(struct parse *p, const char *value, void *field)
{
	struct unit_service *service = p->unit->service;
	if (parse_reset(p, value, field, sizeof(service->nice))) {
		service->nice_set = false;
		return 0;
	}
	if (parse_signed(value, -20, 19, &service->nice) < 0) {
		return parse_refuse(p, 0, value);
	}
	service->nice_set = true;
	return 0;
}

int parse_oom(struct parse *p, const char *value, void *field)
{
	struct unit_service *service = p->unit->service;
	if (parse_reset(p, value, field, sizeof(service->oom_score_adjust))) {
		service->oom_score_adjust_set = false;
		return 0;
	}
	if (parse_signed(value, -1000, 1000, &service->oom_score_adjust) < 0) {
		return parse_refuse(p, 0, value);
	}
	service->oom_score_adjust_set = true;
	return 0;
}

int parse_mode(struct parse *p, const char *value, void *field)
{
	struct unit_service *service = p->unit->service;
	if (parse_reset(p, value, field, sizeof(service->umask))) {
		service->umask_set = false;
		return 0;
	}
	unsigned mode = 0;
	for (const char *at = value; *at != '\0'; at++) {
		if (*at < '0' || *at > '7' || mode > 07777) {
			return parse_refuse(p, 0, value);
		}
		mode = mode * 8 + (unsigned)(*at - '0');
	}
	if (mode > 0777) {
		return parse_refuse(p, 0, value);
	}
	service->umask = (mode_t)mode;
	service->umask_set = true;
	return 0;
}

int parse_text(struct parse *p, const char *value, void *field)
{
	const char **out = field;
	bool judge;
	if (value[0] == '\0') {
		*out = NULL;
		return 0;
	}
	return parse_expand(p, value, 0, out, &judge);
}

int parse_texts(struct parse *p, const char *value, void *field)
{
	const char *const **list = field;
	struct word word;
	size_t at = 0;
	bool judge;
	int r;
	if (value[0] == '\0') {
		*list = NULL;
		return 0;
	}
	while ((r = parse_next_word(p, value, &at, 0, &word)) > 0) {
		const char *text;
		r = parse_keep_word(p, &word, &text, &judge);
		if (r == 0) {
			r = parse_append(p, list, text);
		}
		if (r < 0) {
			return r;
		}
	}
	return r;
}

int parse_signal(struct parse *p, const char *value, void *field)
{
	int *out = field;
	if (parse_reset(p, value, field, sizeof(*out))) {
		return 0;
	}
	int signo = signal_parse(value);
	if (signo < 0) {
		return parse_refuse(p, 0, value);
	}
	*out = signo;
	return 0;
}

/* The name of a user or group, or its number. */
static bool parse_is_account(const char *text)
{
	uint64_t number;
	int r = str_u64(text, 0, UINT32_MAX - 1, &number);
	if (r == 0) {
		return number != UINT16_MAX; /* both are -1 for some system call */
	}
	if (r == -ERANGE || text[0] == '\0' || text[0] == '-' || strlen(text) > 255) {
		return false;
	}
	return strpbrk(text, ":/ \t\n,") == NULL && strcmp(text, ".") != 0 &&
	       strcmp(text, "..") != 0;
}

int parse_account(struct parse *p, const char *value, void *field)
{
	const char **out = field;
	const char *text;
	bool judge = true;
	if (value[0] == '\0') {
		*out = NULL;
		return 0;
	}
	int r = parse_expand(p, value, 0, &text, &judge);
	if (r < 0) {
		return r;
	}
	if (judge && !parse_is_account(text)) {
		return parse_refuse(p, 0, text);
	}
	*out = text;
	return 0;
}

int parse_accounts(struct parse *p, const char *value, void *field)
{
	const char *const **list = field;
	struct word word;
	size_t at = 0;
	int r;
	if (value[0] == '\0') {
		*list = NULL;
		return 0;
	}
	while ((r = parse_next_word(p, value, &at, 0, &word)) > 0) {
		const char *text;
		bool judge = true;
		r = parse_keep_word(p, &word, &text, &judge);
		if (r == 0 && judge && !parse_is_account(text)) {
			return parse_refuse(p, word.offset, text);
		}
		if (r == 0) {
			r = parse_append(p, list, text);
		}
		if (r < 0) {
			return r;
		}
	}
	return r;
}

/* --- conditions --- */

/* Conditions on paths take absolute ones, behind "|" and "!". */
static int parse_check_condition(struct parse *p, const char *value)
{
	const char *key = p->line->text.key;
	const char *what = key + (key[0] == 'C' ? strlen("Condition") : strlen("Assert"));
	bool is_path = str_starts(what, "Path") || str_starts(what, "File") ||
		       str_starts(what, "Directory");
	size_t skip = strspn(value, "|! \t");
	if (is_path && value[skip] != '/') {
		return parse_refuse_why(p, skip, "\"%s\" is not an absolute path", value + skip);
	}
	return 0;
}

/* An empty value takes back all of the same family, whatever their keys (systemd.unit(5)). */
static int parse_take_back(struct parse *p, const char *family)
{
	const char *const *old = p->unit->conditions;
	p->unit->conditions = NULL;
	for (; old != NULL && *old != NULL; old++) {
		if (!str_starts(*old, family)) {
			int r = parse_append(p, &p->unit->conditions, *old);
			if (r < 0) {
				return r;
			}
		}
	}
	return 0;
}

static int parse_any_condition(struct parse *p, const char *value, const char *family)
{
	const char *text;
	bool judge;
	if (value[0] == '\0') {
		return parse_take_back(p, family);
	}
	int r = parse_expand(p, value, 0, &text, &judge);
	if (r == 0 && judge) {
		r = parse_check_condition(p, text);
	}
	if (r < 0) {
		return r;
	}
	const char *whole = arena_printf(p->arena, "%s=%s", p->line->text.key, text);
	return whole == NULL ? -ENOMEM : parse_append(p, &p->unit->conditions, whole);
}

int parse_condition(struct parse *p, const char *value, void *field)
{
	(void)field;
	return parse_any_condition(p, value, "Condition");
}

int parse_assert(struct parse *p, const char *value, void *field)
{
	(void)field;
	return parse_any_condition(p, value, "Assert");
}
