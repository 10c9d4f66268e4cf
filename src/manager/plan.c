/*
 * How the processes of a unit are started: plans for process_spawn(). A plan of plain system calls
 * runs in the vforked child; what asks for more goes through coppice-exec, as options.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"
#include "manager/manager.h"

static struct process_stdio compile_stdio(const struct unit_stdio *from, uint8_t otherwise)
{
	struct process_stdio out = {.kind = otherwise, .fd = -1, .path = from->path};
	switch ((enum unit_stdio_kind)from->kind) {
	case STDIO_NULL: out.kind = STREAM_NULL; break;
	case STDIO_FILE: out.kind = STREAM_FILE; break;
	case STDIO_APPEND: out.kind = STREAM_APPEND; break;
	case STDIO_TRUNCATE: out.kind = STREAM_TRUNCATE; break;
	case STDIO_TTY:
	case STDIO_INHERIT: out.kind = STREAM_INHERIT; break;
	case STDIO_DEFAULT:
	case STDIO_JOURNAL:
	case STDIO_LOG:
	case STDIO_SOCKET:
	case STDIO_FD:
	case STDIO_DATA: break;
	}
	return out;
}

/* A user or group by number needs nobody to look it up. */
static bool number_of(const char *text, uint32_t *out)
{
	uint64_t number;
	if (text == NULL || str_u64(text, 0, UINT32_MAX - 1, &number) < 0) {
		return false;
	}
	*out = (uint32_t)number;
	return true;
}

static uint32_t words_count(const char *const *words)
{
	uint32_t count = 0;
	while (words != NULL && words[count] != NULL) {
		count++;
	}
	return count;
}

/* "a,b,c"; NULL when there is no memory. */
static const char *join(struct arena *arena, const char *const *words, const char *before)
{
	const char *text = before;
	for (uint32_t i = 0; text != NULL && words != NULL && words[i] != NULL; i++) {
		size_t name = strcspn(words[i], "=");
		text = arena_printf(
			arena, "%s%s%.*s", text, text[0] != '\0' ? "," : "", (int)name, words[i]);
	}
	return text;
}

/* --- what needs coppice-exec --- */

/* Settings that hold for a command with full privileges too: they are no part of a sandbox. */
static bool is_scheduling(const char *assignment)
{
	static const char *const keys[] = {"CPUAffinity=", "CPUScheduling", "IOScheduling", "NUMA",
		"TimerSlackNSec=", "CoredumpFilter=", "MemoryKSM=", "Personality=", "KeyringMode="};
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		if (str_starts(assignment, keys[i])) {
			return true;
		}
	}
	return false;
}

static bool has_effect(const char *assignment)
{
	/* Of the last two it is said at load that nothing comes of them. */
	return !str_ends(assignment, "=no") && !str_starts(assignment, "RemoveIPC=") &&
	       !str_starts(assignment, "PAMName=");
}

static bool has_files(const struct unit_service *service)
{
	for (int kind = 0; kind < UNIT_DIRECTORIES; kind++) {
		if (service->directories[kind].names != NULL &&
			service->directories[kind].names[0] != NULL) {
			return true;
		}
	}
	for (uint32_t i = 0; service->confine != NULL && service->confine[i] != NULL; i++) {
		if (str_starts(service->confine[i], "LoadCredential") ||
			str_starts(service->confine[i], "ImportCredential=")) {
			return true;
		}
	}
	return service->credentials_set != NULL;
}

/* Which commands of the unit need it: by the prefix of the command, none, "!" or "+". */
enum plan_kind { PLAN_WHOLE, PLAN_NO_USER, PLAN_FULL };

static bool needs_helper(const struct unit_service *service, enum plan_kind kind)
{
	if (has_files(service) || (kind != PLAN_FULL && service->dynamic_user)) {
		return true;
	}
	for (uint32_t i = 0; service->confine != NULL && service->confine[i] != NULL; i++) {
		if (has_effect(service->confine[i]) &&
			(kind != PLAN_FULL || is_scheduling(service->confine[i]))) {
			return true;
		}
	}
	return false;
}

/* --- its options --- */

struct words {
	struct arena *arena;
	const char **list;
	uint32_t count;
	bool no_memory;
};

/* One option and its value; nothing when there is no value. */
static void words_add(struct words *words, const char *option, const char *value)
{
	if (value != NULL) {
		words->list[words->count++] = option;
		words->list[words->count++] = value;
	}
}

#define words_printf(words, option, ...) \
	words_must(words, option, arena_printf((words)->arena, __VA_ARGS__))

static void words_must(struct words *words, const char *option, const char *value)
{
	words->no_memory = words->no_memory || value == NULL;
	words_add(words, option, value);
}

/* Where the five kinds of directories lie: systemd.exec(5), the table at RuntimeDirectory=. Of an
 * ordinary user they are those of the XDG base directory specification. */
static void words_add_bases(struct words *words, bool user)
{
	static const struct {
		const char *kind, *system, *variable, *home, *tail;
	} bases[] = {{"runtime", "/run", "XDG_RUNTIME_DIR", NULL, ""},
		{"state", "/var/lib", "XDG_STATE_HOME", ".local/state", ""},
		{"cache", "/var/cache", "XDG_CACHE_HOME", ".cache", ""},
		{"logs", "/var/log", "XDG_STATE_HOME", ".local/state", "/log"},
		{"configuration", "/etc", "XDG_CONFIG_HOME", ".config", ""}};
	const char *home = getenv("HOME") != NULL ? getenv("HOME") : "/";
	for (size_t i = 0; i < sizeof(bases) / sizeof(bases[0]); i++) {
		const char *set = getenv(bases[i].variable), *kind = bases[i].kind;
		if (!user) {
			words_printf(words, "--base", "%s:%s", kind, bases[i].system);
		} else if (set != NULL && set[0] == '/') {
			words_printf(words, "--base", "%s:%s%s", kind, set, bases[i].tail);
		} else if (bases[i].home == NULL) {
			words_printf(words, "--base", "%s:/run/user/%u", kind, (unsigned)getuid());
		} else {
			words_printf(words, "--base", "%s:%s/%s%s", kind, home, bases[i].home,
				bases[i].tail);
		}
	}
}

static void words_add_directories(struct words *words, const struct unit_service *service)
{
	static const char *const kinds[UNIT_DIRECTORIES] = {
		"runtime", "state", "cache", "logs", "configuration"};
	for (int kind = 0; kind < UNIT_DIRECTORIES; kind++) {
		const struct unit_directory *directory = &service->directories[kind];
		for (uint32_t i = 0; directory->names != NULL && directory->names[i] != NULL; i++) {
			words_printf(words, "--make-directory", "%s:%o:%s", kinds[kind],
				(unsigned)directory->mode, directory->names[i]);
		}
	}
}

/* It sets the limits itself, last, for a small one could hinder it. */
static void words_add_limits(struct words *words, struct process_plan *plan)
{
	for (int i = 0; i < PROCESS_LIMITS; i++) {
		if (plan->limit_set[i]) {
			words_printf(words, "--limit", "%d=%llu:%llu", i,
				(unsigned long long)plan->limits[i].rlim_cur,
				(unsigned long long)plan->limits[i].rlim_max);
			plan->limit_set[i] = false;
		}
	}
}

static void words_add_identity(struct words *words, const struct unit_service *service)
{
	const char *groups = join(words->arena, service->supplementary_groups, "");
	const char *keep = join(words->arena, service->environment, "");
	const char *directory =
		service->working_directory == NULL ? "/" : service->working_directory;
	if (groups == NULL || keep == NULL) {
		words->no_memory = true;
		return;
	}
	words_add(words, "--user", service->user);
	words_add(words, "--group", service->group);
	words_add(words, "--supplementary-groups", groups[0] != '\0' ? groups : NULL);
	words_add(words, "--keep-env", keep[0] != '\0' ? keep : NULL);
	words_printf(words, "--directory", "%s%s", service->working_directory_optional ? "-" : "",
		directory);
	if (service->dynamic_user) {
		words->list[words->count++] = "--dynamic-user";
	}
}

static uint32_t words_room(const struct unit_service *service)
{
	uint32_t room = 48 + 2 * PROCESS_LIMITS + 2 * words_count(service->confine);
	for (int kind = 0; kind < UNIT_DIRECTORIES; kind++) {
		room += 2 * words_count(service->directories[kind].names);
	}
	return room;
}

static int compile_helper(
	struct manager *m, struct definition *d, struct process_plan *plan, enum plan_kind kind)
{
	static const char *const preserve[] = {[UNIT_PRESERVE_NO] = NULL,
		[UNIT_PRESERVE_RESTART] = "RuntimeDirectoryPreserve=restart",
		[UNIT_PRESERVE_YES] = "RuntimeDirectoryPreserve=yes"};
	const struct unit_service *service = d->exec;
	struct words words = {.arena = &d->arena};
	words.list = arena_alloc(&d->arena, words_room(service) * sizeof(*words.list));
	if (words.list == NULL) {
		return -ENOMEM;
	}
	words_add(&words, "--misses", m->misses_path);
	words_add(&words, "--unit", d->unit->name);
	words_add_identity(&words, service);
	words_add_limits(&words, plan);
	if (kind != PLAN_WHOLE) {
		words.list[words.count++] = kind == PLAN_FULL ? "--full" : "--no-user";
	}
	if (needs_helper(service, kind)) {
		words_add(&words, "--run-directory", m->run_dir);
		words_add_bases(&words, m->user);
		words_add_directories(&words, service);
		words_add(
			&words, "--set", service->no_new_privileges ? "NoNewPrivileges=yes" : NULL);
		words_add(&words, "--set", preserve[service->runtime_directory_preserve]);
		for (uint32_t i = 0; service->confine != NULL && service->confine[i] != NULL; i++) {
			words_add(&words, "--set", service->confine[i]);
		}
		plan->no_new_privileges = false;
	}
	words.list[words.count] = NULL;
	plan->helper = m->helper_path;
	plan->helper_argv = words.list;
	plan->set_user = plan->set_group = false;
	plan->directory = NULL;
	return words.no_memory ? -ENOMEM : 0;
}

/* --- plans --- */

static int compile_user(struct manager *m, struct definition *d, struct process_plan *plan)
{
	const struct unit_service *service = d->exec;
	bool home =
		service->working_directory != NULL && strcmp(service->working_directory, "~") == 0;
	uint32_t groups = words_count(service->supplementary_groups);
	if (needs_helper(service, PLAN_WHOLE)) {
		return compile_helper(m, d, plan, PLAN_WHOLE);
	}
	if (service->user == NULL && service->group == NULL && groups == 0 && !home) {
		return 0;
	}
	bool plain = !home && groups <= PROCESS_GROUPS_MAX && service->group != NULL;
	plain = plain && number_of(service->group, &plan->gid);
	plain = plain && (service->user == NULL || number_of(service->user, &plan->uid));
	for (uint32_t i = 0; plain && i < groups; i++) {
		plain = number_of(service->supplementary_groups[i], &plan->groups[i]);
	}
	if (!plain) {
		return compile_helper(m, d, plan, PLAN_WHOLE);
	}
	plan->set_group = true;
	plan->set_user = service->user != NULL;
	plan->groups_count = groups;
	return 0;
}

static bool has_prefix(const struct unit_service *service, enum plan_kind kind)
{
	for (int phase = 0; phase < UNIT_PHASES; phase++) {
		const struct unit_commands *commands = &service->commands[phase];
		for (uint32_t i = 0; i < commands->count; i++) {
			if (kind == PLAN_FULL ? commands->list[i].full_privilege
					      : commands->list[i].no_user) {
				return true;
			}
		}
	}
	return false;
}

/* Without another user: for "+" without a sandbox too. `plan` is what all have in common. */
static int compile_privileged(
	struct manager *m, struct definition *d, struct process_plan **out, enum plan_kind kind)
{
	if (!has_prefix(d->exec, kind)) {
		return 0;
	}
	struct process_plan *plan = *out = arena_alloc(&d->arena, sizeof(*plan));
	if (plan == NULL) {
		return -ENOMEM;
	}
	*plan = d->plan;
	if (kind == PLAN_FULL) {
		plan->no_new_privileges = false;
	}
	if (needs_helper(d->exec, kind)) {
		return compile_helper(m, d, plan, kind);
	}
	if (plan->directory != NULL && strcmp(plan->directory, "~") == 0) {
		plan->directory = NULL;
	}
	return 0;
}

int plan_compile(struct manager *m, struct definition *d)
{
	const struct unit_service *service = d->exec;
	struct process_plan *plan = &d->plan;
	plan->directory = service->working_directory;
	plan->directory_optional = service->working_directory_optional;
	plan->set_umask = true;
	plan->umask = service->umask_set ? service->umask : 0022;
	for (int i = 0; i < PROCESS_LIMITS; i++) {
		plan->limit_set[i] = service->limits[i].set;
		plan->limits[i] = service->limits[i].value;
	}
	if (!plan->limit_set[RLIMIT_NOFILE] && m->nofile_raised) {
		/* Ours is raised; a service gets what coppice was started with. */
		plan->limit_set[RLIMIT_NOFILE] = true;
		plan->limits[RLIMIT_NOFILE] = m->nofile;
	}
	plan->in = compile_stdio(&service->standard_input, STREAM_NULL);
	plan->out = compile_stdio(&service->standard_output, STREAM_INHERIT);
	plan->err = compile_stdio(&service->standard_error, STREAM_SAME_AS_STDOUT);
	if (service->standard_output.kind == STDIO_DEFAULT &&
		service->standard_error.kind == STDIO_DEFAULT) {
		plan->err.kind = STREAM_INHERIT;
	}
	plan->new_session = true;
	plan->ignore_sigpipe = service->ignore_sigpipe;
	plan->set_nice = service->nice_set;
	plan->nice = service->nice;
	plan->set_oom_score = service->oom_score_adjust_set;
	plan->oom_score = service->oom_score_adjust;
	plan->no_new_privileges = service->no_new_privileges;
	int failed = compile_privileged(m, d, &d->plan_full, PLAN_FULL);
	failed = failed != 0 ? failed : compile_privileged(m, d, &d->plan_no_user, PLAN_NO_USER);
	return failed != 0 ? failed : compile_user(m, d, plan);
}

const struct process_plan *plan_of(
	const struct definition *definition, const struct unit_command *command)
{
	return command->full_privilege ? definition->plan_full
	       : command->no_user      ? definition->plan_no_user
				       : &definition->plan;
}
