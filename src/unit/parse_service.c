/* What only services have: systemd.service(5), systemd.exec(5), systemd.kill(5). */
#include <errno.h>
#include <string.h>

#include "base/names.h"
#include "base/str.h"
#include "unit/parse.h"
#include "unit/table.h"
#include "unit/word.h"

int parse_type(struct parse *p, const char *value, void *field)
{
	static const char *const words[] = {"simple", "exec", "notify", "notify-reload", "oneshot",
		"forking", "idle", "dbus", NULL};
	int chosen = parse_word(p, words, value, field);
	if (chosen < 0) {
		return chosen;
	}
	p->unit->service->type_set = chosen > 0;
	return 0;
}

int parse_kill_mode(struct parse *p, const char *value, void *field)
{
	static const char *const words[] = {"control-group", "mixed", "process", "none", NULL};
	return parse_word(p, words, value, field) < 0 ? -EINVAL : 0;
}

int parse_notify_access(struct parse *p, const char *value, void *field)
{
	static const char *const words[] = {"none", "main", "exec", "all", NULL};
	int chosen = parse_word(p, words, value, field);
	if (chosen < 0) {
		return chosen;
	}
	p->unit->service->notify_access_set = chosen > 0;
	return 0;
}

int parse_notify_fd(struct parse *p, const char *value, void *field)
{
	int *out = field;
	uint64_t number;
	if (parse_reset(p, value, field, sizeof(*out))) {
		return 0;
	}
	if (str_u64(value, 3, 1023, &number) < 0) {
		return parse_refuse(p, 0, value);
	}
	*out = (int)number;
	return 0;
}

/* --- time limits --- */

/* Here 0 has always meant "no limit" (systemd.service(5)). */
static int parse_timeout(struct parse *p, const char *value, uint64_t *out, bool *set)
{
	uint64_t span = 0;
	int r = parse_span_or_infinity(p, value, &span);
	if (r < 0) {
		return r;
	}
	*out = span == 0 ? SPAN_INFINITY : span;
	*set = true;
	return 0;
}

int parse_start_timeout(struct parse *p, const char *value, void *field)
{
	struct unit_service *service = p->unit->service;
	if (parse_reset(p, value, field, sizeof(uint64_t))) {
		service->start_timeout_set = false;
		return 0;
	}
	return parse_timeout(p, value, field, &service->start_timeout_set);
}

int parse_stop_timeout(struct parse *p, const char *value, void *field)
{
	struct unit_service *service = p->unit->service;
	if (parse_reset(p, value, field, sizeof(uint64_t))) {
		service->stop_timeout_set = false;
		return 0;
	}
	return parse_timeout(p, value, field, &service->stop_timeout_set);
}

int parse_both_timeouts(struct parse *p, const char *value, void *field)
{
	struct unit_service *service = p->unit->service;
	(void)field;
	if (value[0] == '\0') {
		service->start_timeout_ns = parse_service_defaults.start_timeout_ns;
		service->stop_timeout_ns = parse_service_defaults.stop_timeout_ns;
		service->start_timeout_set = service->stop_timeout_set = false;
		return 0;
	}
	int r = parse_timeout(p, value, &service->start_timeout_ns, &service->start_timeout_set);
	if (r == 0) {
		service->stop_timeout_ns = service->start_timeout_ns;
		service->stop_timeout_set = true;
	}
	return r;
}

int parse_abort_timeout(struct parse *p, const char *value, void *field)
{
	p->extra->abort_timeout_set = false;
	if (parse_reset(p, value, field, sizeof(uint64_t))) {
		return 0;
	}
	return parse_timeout(p, value, field, &p->extra->abort_timeout_set);
}

int parse_failure_mode(struct parse *p, const char *value, void *field)
{
	static const char *const words[] = {"terminate", "abort", "kill", NULL};
	return parse_word(p, words, value, field) < 0 ? -EINVAL : 0;
}

int parse_restart_mode(struct parse *p, const char *value, void *field)
{
	static const char *const words[] = {"normal", "direct", "debug", NULL};
	return parse_word(p, words, value, field) < 0 ? -EINVAL : 0;
}

int parse_exit_type(struct parse *p, const char *value, void *field)
{
	static const char *const words[] = {"main", "cgroup", NULL};
	int i = value[0] == '\0' ? 0 : parse_choose(p, words, value);
	if (i < 0) {
		return i;
	}
	*(bool *)field = i == 1;
	return 0;
}

int parse_oom_policy(struct parse *p, const char *value, void *field)
{
	static const char *const words[] = {"stop", "continue", "kill", NULL};
	int chosen = parse_word(p, words, value, field);
	p->extra->oom_policy_set = chosen > 0 || (chosen < 0 && p->extra->oom_policy_set);
	return chosen < 0 ? chosen : 0;
}

/* --- ends --- */

int parse_success(struct parse *p, const char *value, void *field)
{
	struct unit_end_set *set = field;
	struct word word;
	size_t at = 0;
	int r;
	if (value[0] == '\0') {
		*set = (struct unit_end_set){0};
		return 0;
	}
	while ((r = parse_next_word(p, value, &at, 0, &word)) > 0) {
		int status = exit_status_parse(word.text);
		int signo = status < 0 ? signal_parse(word.text) : 0;
		if (status >= 0) {
			set->statuses[status / 32] |= UINT32_C(1) << (status % 32);
		} else if (signo > 0 && signo < 64) {
			set->signals |= UINT64_C(1) << signo;
		} else {
			r = parse_refuse_why(p, word.offset,
				"\"%s\" is no exit status and no signal", word.text);
		}
		if (r < 0 && !parse_list_goes_on(p, r)) {
			return r;
		}
	}
	return r;
}

int parse_bus_name(struct parse *p, const char *value, void *field)
{
	(void)field;
	p->extra->bus_name = value[0] != '\0';
	return 0;
}

int parse_permissions_start_only(struct parse *p, const char *value, void *field)
{
	(void)field;
	if (value[0] == '\0') {
		p->extra->permissions_start_only = false;
		return 0;
	}
	int truth = str_bool(value);
	if (truth < 0) {
		return parse_refuse(p, 0, value);
	}
	p->extra->permissions_start_only = truth > 0;
	return 0;
}

/* --- limits --- */

static int limit_parse_time(const char *text, uint64_t unit_ns, rlim_t *out)
{
	uint64_t span;
	if (span_parse(text, unit_ns, &span) < 0) {
		return -EINVAL;
	}
	*out = span == SPAN_INFINITY ? RLIM_INFINITY : (rlim_t)((span + unit_ns - 1) / unit_ns);
	return 0;
}

/* "+5" and "-5" are nice values, 1 … 40 the limit as getrlimit(2) has it: 20 minus the value. */
static int limit_parse_nice(const char *text, rlim_t *out)
{
	uint64_t number;
	bool minus = text[0] == '-';
	if (minus || text[0] == '+') {
		if (str_u64(text + 1, 0, minus ? 20 : 19, &number) < 0) {
			return -EINVAL;
		}
		*out = minus ? 20 + number : 20 - number;
		return 0;
	}
	if (str_u64(text, 0, 40, &number) < 0) {
		return -EINVAL;
	}
	*out = number;
	return 0;
}

static int limit_parse_one(size_t resource, const char *text, rlim_t *out)
{
	uint64_t number;
	if (strcmp(text, "infinity") == 0) {
		*out = RLIM_INFINITY;
		return 0;
	}
	switch (resource) {
	case RLIMIT_CPU: return limit_parse_time(text, NS_PER_SEC, out);
	case RLIMIT_RTTIME: return limit_parse_time(text, NS_PER_US, out);
	case RLIMIT_NICE: return limit_parse_nice(text, out);
	case RLIMIT_FSIZE:
	case RLIMIT_DATA:
	case RLIMIT_STACK:
	case RLIMIT_CORE:
	case RLIMIT_RSS:
	case RLIMIT_AS:
	case RLIMIT_MEMLOCK:
	case RLIMIT_MSGQUEUE: return size_parse(text, RLIM_INFINITY - 1, out);
	default: break;
	}
	if (str_u64(text, 0, RLIM_INFINITY - 1, &number) < 0) {
		return -EINVAL;
	}
	*out = number;
	return 0;
}

int parse_limit(struct parse *p, const char *value, void *field)
{
	struct unit_limit *out = field;
	size_t resource = (size_t)(out - p->unit->service->limits);
	struct rlimit limit;
	char soft[64];
	if (parse_reset(p, value, field, sizeof(*out))) {
		return 0;
	}
	const char *colon = strchr(value, ':');
	size_t length = colon != NULL ? (size_t)(colon - value) : strlen(value);
	if (length >= sizeof(soft)) {
		return parse_refuse(p, 0, value);
	}
	memcpy(soft, value, length);
	soft[length] = '\0';
	if (limit_parse_one(resource, soft, &limit.rlim_cur) < 0) {
		return parse_refuse(p, 0, value);
	}
	limit.rlim_max = limit.rlim_cur;
	if (colon != NULL && limit_parse_one(resource, colon + 1, &limit.rlim_max) < 0) {
		return parse_refuse(p, length + 1, colon + 1);
	}
	if (limit.rlim_cur > limit.rlim_max) {
		return parse_refuse_why(
			p, 0, "the soft limit is above the hard limit: \"%s\"", value);
	}
	*out = (struct unit_limit){true, limit};
	return 0;
}

/* --- standard streams --- */

struct stdio_word {
	const char *word;
	uint8_t kind;
	bool with_path; /* the word ends with ":" and an absolute path follows */
};

/* "fd:NAME" and plain "fd", whose name is the stream's. */
static bool stdio_take_fd(const char *value, const char *stream, struct unit_stdio *out)
{
	if (strcmp(value, "fd") == 0) {
		*out = (struct unit_stdio){STDIO_FD, stream};
		return true;
	}
	if (str_starts(value, "fd:") && value[3] != '\0') {
		*out = (struct unit_stdio){STDIO_FD, value + 3};
		return true;
	}
	return false;
}

static int parse_stdio(struct parse *p, const char *value, struct unit_stdio *out,
	const struct stdio_word *words, const char *stream)
{
	const char *text;
	bool judge = true;
	if (parse_reset(p, value, out, sizeof(*out))) {
		return 0;
	}
	int r = parse_expand(p, value, 0, &text, &judge);
	if (r < 0) {
		return r;
	}
	bool taken = stdio_take_fd(text, stream, out);
	for (; !taken && words->word != NULL; words++) {
		if (!words->with_path && strcmp(words->word, text) == 0) {
			*out = (struct unit_stdio){words->kind, NULL};
			taken = true;
		}
		if (!taken && words->with_path && str_starts(text, words->word)) {
			size_t skip = strlen(words->word);
			if (judge && text[skip] != '/') {
				return parse_refuse_why(
					p, skip, "\"%s\" is not an absolute path", text + skip);
			}
			*out = (struct unit_stdio){words->kind, text + skip};
			taken = true;
		}
	}
	if (out->kind == STDIO_DATA) {
		parse_warn(p, 0, "\"%s\" is not honoured by this version", text);
	}
	return taken || !judge ? 0 : parse_refuse(p, 0, text);
}

int parse_stdin(struct parse *p, const char *value, void *field)
{
	static const struct stdio_word words[] = {
		{"null", STDIO_NULL, false},
		{"tty", STDIO_TTY, false},
		{"tty-force", STDIO_TTY, false},
		{"tty-fail", STDIO_TTY, false},
		{"data", STDIO_DATA, false},
		{"socket", STDIO_SOCKET, false},
		{"file:", STDIO_FILE, true},
		{NULL, 0, false},
	};
	return parse_stdio(p, value, field, words, "stdin");
}

int parse_stdout(struct parse *p, const char *value, void *field)
{
	static const struct stdio_word words[] = {
		{"inherit", STDIO_INHERIT, false},
		{"null", STDIO_NULL, false},
		{"tty", STDIO_TTY, false},
		{"journal", STDIO_JOURNAL, false},
		{"journal+console", STDIO_JOURNAL, false},
		{"kmsg", STDIO_JOURNAL, false},
		{"kmsg+console", STDIO_JOURNAL, false},
		{"syslog", STDIO_JOURNAL, false},
		{"syslog+console", STDIO_JOURNAL, false},
		{"log", STDIO_LOG, false},
		{"socket", STDIO_SOCKET, false},
		{"file:", STDIO_FILE, true},
		{"append:", STDIO_APPEND, true},
		{"truncate:", STDIO_TRUNCATE, true},
		{NULL, 0, false},
	};
	const char *stream = field == &p->unit->service->standard_error ? "stderr" : "stdout";
	return parse_stdio(p, value, field, words, stream);
}
