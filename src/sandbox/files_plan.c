#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>

#include "base/str.h"
#include "process/spawn.h"
#include "sandbox/files.h"
#include "sandbox/volatile.h"

#define WORD_SIZE 4096

char *files_printf(const char *format, ...)
{
	char *text;
	va_list args;

	va_start(args, format);
	if (vasprintf(&text, format, args) < 0) {
		sandbox_fail(PROCESS_HELPER_MEMORY, "out of memory");
	}
	va_end(args);
	return text;
}

/* --- paths --- */

int files_simplify(char *path)
{
	char *to = path;

	if (*path != '/') {
		return -EINVAL;
	}
	for (const char *at = path; *at;) {
		size_t length;

		at += strspn(at, "/");
		length = strcspn(at, "/");
		if (length == 2 && at[0] == '.' && at[1] == '.') {
			return -EINVAL;
		}
		if (length > 0 && !(length == 1 && at[0] == '.')) {
			*to++ = '/';
			memmove(to, at, length);
			to += length;
		}
		at += length;
	}
	if (to == path) {
		*to++ = '/';
	}
	*to = '\0';
	return 0;
}

bool files_is_below(const char *path, const char *above)
{
	size_t length = strlen(above);

	if (length == 1) {
		return true; /* "/" */
	}
	return strncmp(path, above, length) == 0 && (path[length] == '\0' || path[length] == '/');
}

/* A directory comes right before what is in it. */
static int compare_paths(const char *a, const char *b)
{
	for (; *a && *a == *b; a++, b++) {
	}
	return (*a == '/' ? 1 : (unsigned char)*a * 2) - (*b == '/' ? 1 : (unsigned char)*b * 2);
}

static int compare_places(const void *left, const void *right)
{
	const struct files_place *a = left, *b = right;
	int paths = compare_paths(a->path, b->path);

	return paths ? paths : (int)a->mount - (int)b->mount;
}

/* --- the list --- */

struct files_place *files_plan_add(
	struct files_plan *plan, const char *key, const char *path, enum files_mount mount)
{
	struct files_place *place;

	if (plan->count == plan->room) {
		plan->room = plan->room ? plan->room * 2 : 64;
		plan->places = reallocarray(plan->places, plan->room, sizeof(*plan->places));
		if (!plan->places) {
			sandbox_fail(PROCESS_HELPER_MEMORY, "out of memory");
		}
	}
	place = &plan->places[plan->count++];
	*place = (struct files_place){
		.path = files_printf("%s", path), .key = key, .mount = mount, .source_fd = -1};
	if (files_simplify(place->path) < 0) {
		sandbox_fail(
			PROCESS_HELPER_NAMESPACE, "%s=: '%s' is not an absolute path", key, path);
	}
	return place;
}

static void place_merge(struct files_place *kept, const struct files_place *other)
{
	kept->access = kept->access > other->access ? kept->access : other->access;
	kept->exec = kept->exec > other->exec ? kept->exec : other->exec;
	kept->optional &= other->optional;
	kept->promise |= other->promise;
	kept->options = kept->options ? kept->options : other->options;
}

void files_plan_sort(struct files_plan *plan)
{
	uint32_t kept = 0;

	if (plan->count == 0) {
		return;
	}
	qsort(plan->places, plan->count, sizeof(*plan->places), compare_places);
	for (uint32_t i = 1; i < plan->count; i++) {
		if (strcmp(plan->places[i].path, plan->places[kept].path) == 0) {
			place_merge(&plan->places[kept], &plan->places[i]);
		} else {
			plan->places[++kept] = plan->places[i];
		}
	}
	plan->count = kept + 1;
}

static struct files_place *add_access(
	struct files_plan *plan, const char *key, const char *path, enum files_access access)
{
	struct files_place *place = files_plan_add(plan, key, path, FILES_SAME);

	place->access = access;
	place->optional = true;
	return place;
}

static void add_hidden(struct files_plan *plan, const char *key, const char *path)
{
	files_plan_add(plan, key, path, FILES_HIDDEN)->optional = true;
}

static void add_empty(
	struct files_plan *plan, const char *key, const char *path, const char *options)
{
	struct files_place *place = files_plan_add(plan, key, path, FILES_TMPFS);

	place->options = options;
	place->access = FILES_READ_ONLY;
	place->optional = true;
}

/* --- what the settings mean (systemd.exec(5), "Sandboxing") --- */

static const char *const homes[] = {"/home", "/root", "/run/user", NULL};

static void plan_system(struct files_plan *plan, const char *value)
{
	static const char *const system[] = {"/usr", "/boot", "/efi", "/etc", NULL};
	static const char *const apart[] = {"/proc", "/sys", "/dev", NULL};
	const char *key = "ProtectSystem";
	bool full = strcmp(value, "full") == 0;

	if (strcmp(value, "strict") == 0) {
		add_access(plan, key, "/", FILES_READ_ONLY);
		for (int i = 0; apart[i]; i++) {
			add_access(plan, key, apart[i], FILES_READ_WRITE);
		}
		/* ProtectHome= speaks about these. */
		for (int i = 0; homes[i]; i++) {
			add_access(plan, key, homes[i], FILES_READ_WRITE);
		}
	} else if (full || str_bool(value) == 1) {
		for (int i = 0; system[i + !full]; i++) {
			add_access(plan, key, system[i], FILES_READ_ONLY);
		}
	}
}

static void plan_home(struct files_plan *plan, const char *value)
{
	for (int i = 0; homes[i]; i++) {
		if (strcmp(value, "read-only") == 0) {
			add_access(plan, "ProtectHome", homes[i], FILES_READ_ONLY);
		} else if (strcmp(value, "tmpfs") == 0) {
			add_empty(plan, "ProtectHome", homes[i], "mode=0755");
		} else if (str_bool(value) == 1) {
			add_hidden(plan, "ProtectHome", homes[i]);
		}
	}
}

static void plan_kernel(const struct sandbox *s, struct files_plan *plan)
{
	static const char *const read_only[] = {"/proc/acpi", "/proc/apm", "/proc/asound",
		"/proc/bus", "/proc/fs", "/proc/irq", "/proc/latency_stats", "/proc/mtrr",
		"/proc/scsi", "/proc/sys", "/proc/sysrq-trigger", "/proc/timer_stats", "/sys",
		"/sys/fs/bpf", "/sys/kernel/debug", "/sys/kernel/tracing", NULL};
	const char *tunables = "ProtectKernelTunables";

	if (sandbox_yes(s, tunables)) {
		for (int i = 0; read_only[i]; i++) {
			add_access(plan, tunables, read_only[i], FILES_READ_ONLY);
		}
		add_hidden(plan, tunables, "/proc/kallsyms");
		add_hidden(plan, tunables, "/proc/kcore");
		/* ProtectControlGroups= and the security module speak about these. */
		add_access(plan, tunables, "/sys/fs/cgroup", FILES_READ_WRITE);
		add_access(plan, tunables, "/sys/fs/selinux", FILES_READ_WRITE);
	}
	if (sandbox_yes(s, "ProtectKernelModules")) {
		add_hidden(plan, "ProtectKernelModules", "/lib/modules");
		add_hidden(plan, "ProtectKernelModules", "/usr/lib/modules");
	}
	if (sandbox_yes(s, "ProtectKernelLogs")) {
		add_hidden(plan, "ProtectKernelLogs", "/proc/kmsg");
		add_hidden(plan, "ProtectKernelLogs", "/dev/kmsg");
	}
}

static void plan_control_groups(const struct sandbox *s, struct files_plan *plan)
{
	const char *value = sandbox_get(s, "ProtectControlGroups");

	/* The newer words, "private" and "strict", are at least this. */
	if (value && (str_bool(value) == 1 || strcmp(value, "private") == 0 ||
			     strcmp(value, "strict") == 0)) {
		add_access(plan, "ProtectControlGroups", "/sys/fs/cgroup", FILES_READ_ONLY);
	}
}

static void plan_proc(const struct sandbox *s, struct files_plan *plan)
{
	const char *protect = sandbox_get(s, "ProtectProc"), *subset = sandbox_get(s, "ProcSubset");
	bool pid_only = subset && strcmp(subset, "pid") == 0;
	const char *hide = NULL;
	struct files_place *place;

	if (protect && strcmp(protect, "noaccess") == 0) {
		hide = "hidepid=1";
	} else if (protect && strcmp(protect, "invisible") == 0) {
		hide = "hidepid=2";
	} else if (protect && strcmp(protect, "ptraceable") == 0) {
		hide = "hidepid=4";
	}
	if (!hide && !pid_only) {
		return;
	}
	place = files_plan_add(plan, hide ? "ProtectProc" : "ProcSubset", "/proc", FILES_PROC);
	place->optional = true;
	place->options = files_printf("%s%s%s", hide ? hide : "", hide && pid_only ? "," : "",
		pid_only ? "subset=pid" : "");
}

/* A path of a list: "-" for one that may be missing, "+" for one below RootDirectory=. NULL: it
 * lies outside the root that the service gets. */
static const char *plan_prefix(const struct files_plan *plan, const char *word, bool *optional)
{
	bool inside = false;

	for (; *word == '-' || *word == '+'; word++) {
		*optional |= *word == '-';
		inside |= *word == '+';
	}
	if (!plan->root || inside) {
		return word;
	}
	if (!files_is_below(word, plan->root)) {
		return NULL;
	}
	word += strlen(plan->root);
	return *word ? word : "/";
}

static void plan_list(const struct sandbox *s, struct files_plan *plan, const char *key,
	const struct files_place *as)
{
	char word[WORD_SIZE];
	const char *value;
	uint32_t at = 0;

	while ((value = sandbox_next(s, key, &at))) {
		while (sandbox_word(&value, word, sizeof(word))) {
			struct files_place *place;
			bool optional = false;
			const char *path = plan_prefix(plan, word, &optional);

			if (!path) {
				continue;
			}
			place = files_plan_add(plan, key, path, as->mount);
			place->access = as->access;
			place->exec = as->exec;
			place->optional = optional;
		}
	}
}

static void plan_lists(const struct sandbox *s, struct files_plan *plan)
{
	static const struct {
		const char *key;
		struct files_place as;
	} lists[] = {
		{"ReadWritePaths", {.mount = FILES_SAME, .access = FILES_READ_WRITE}},
		{"ReadOnlyPaths", {.mount = FILES_SAME, .access = FILES_READ_ONLY}},
		{"InaccessiblePaths", {.mount = FILES_HIDDEN}},
		{"ExecPaths", {.mount = FILES_SAME, .exec = FILES_EXEC}},
		{"NoExecPaths", {.mount = FILES_SAME, .exec = FILES_NO_EXEC}},
	};

	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		plan_list(s, plan, lists[i].key, &lists[i].as);
	}
}

/* The next part of "a:b:c", where "\:" is a colon; NULL when there is none. */
static char *next_part(char **rest)
{
	char *part = *rest, *to = part;

	if (!part) {
		return NULL;
	}
	for (char *at = part;; at++) {
		if (at[0] == '\\' && at[1] == ':') {
			*to++ = *++at;
		} else if (*at == ':' || *at == '\0') {
			*rest = *at ? at + 1 : NULL;
			*to = '\0';
			return part;
		} else {
			*to++ = *at;
		}
	}
}

/* What systemd itself has there: units name it without a "-", and where there is no systemd it is
 * missing for no fault of theirs. */
static bool is_systemds(const char *path)
{
	return strcmp(path, "/dev/log") == 0 || str_starts(path, "/run/systemd/");
}

/* SOURCE[:DESTINATION[:OPTIONS]] */
static void plan_bind(struct files_plan *plan, const char *key, char *word, bool read_only)
{
	bool optional = *word == '-';
	char *rest = word + optional;
	char *source = next_part(&rest), *target = next_part(&rest), *options = rest;
	struct files_place *place;

	source = files_printf("%s", source);
	if (files_simplify(source) < 0) {
		sandbox_fail(
			PROCESS_HELPER_NAMESPACE, "%s=: '%s' is not an absolute path", key, source);
	}
	place = files_plan_add(plan, key, target && *target ? target : source, FILES_BIND);
	place->source = source;
	place->optional = optional || is_systemds(source);
	place->flat = options && strcmp(options, "norbind") == 0;
	place->access = read_only ? FILES_READ_ONLY : FILES_READ_WRITE;
	place->promise = strcmp(place->path, source) != 0;
}

/* PATH[:OPTIONS] */
static void plan_tmpfs(struct files_plan *plan, const char *key, char *word)
{
	char *rest = word, *path = next_part(&rest);
	struct files_place *place = files_plan_add(plan, key, path, FILES_TMPFS);

	place->promise = true;
	place->access = FILES_READ_WRITE;
	place->options = rest ? files_printf("%s", rest) : NULL;
}

static void plan_mounts(const struct sandbox *s, struct files_plan *plan)
{
	static const char *const keys[] = {"BindPaths", "BindReadOnlyPaths", "TemporaryFileSystem"};
	char word[WORD_SIZE];

	for (int i = 0; i < 3; i++) {
		const char *value;
		uint32_t at = 0;

		while ((value = sandbox_next(s, keys[i], &at))) {
			while (sandbox_word(&value, word, sizeof(word))) {
				if (i == 2) {
					plan_tmpfs(plan, keys[i], word);
				} else {
					plan_bind(plan, keys[i], word, i == 1);
				}
			}
		}
	}
}

static void plan_private_tmp(const struct sandbox *s, struct files_plan *plan)
{
	static const char *const targets[] = {"/tmp", "/var/tmp"};
	const char *value = sandbox_get(s, "PrivateTmp");

	/* The newer word "disconnected" asks for the same, in memory. */
	if (!value || (str_bool(value) != 1 && strcmp(value, "disconnected") != 0)) {
		return;
	}
	plan->private_tmp = true;
	for (int i = 0; i < 2; i++) {
		const char *source = volatile_private_tmp(i);
		struct files_place *place = files_plan_add(
			plan, "PrivateTmp", targets[i], source ? FILES_BIND : FILES_TMPFS);

		place->source = source;
		place->options = "mode=1777";
		place->access = FILES_READ_WRITE;
		place->optional = true;
	}
}

/* Its own directories can be written to, but for the configuration. */
static void plan_directories(const struct sandbox *s, struct files_plan *plan)
{
	static const char *const keys[SANDBOX_DIRECTORIES] = {"RuntimeDirectory", "StateDirectory",
		"CacheDirectory", "LogsDirectory", "ConfigurationDirectory"};

	for (uint32_t i = 0; i < s->directories_count; i++) {
		const struct sandbox_directory *d = &s->directories[i];
		char *path;

		if (!s->bases[d->kind]) {
			continue;
		}
		path = files_printf("%s/%s", s->bases[d->kind], d->name);
		if (plan->root) {
			struct files_place *place =
				files_plan_add(plan, keys[d->kind], path, FILES_BIND);

			place->source = path;
			place->promise = true;
			place->access = FILES_READ_WRITE;
		} else if (d->kind != SANDBOX_CONFIGURATION) {
			add_access(plan, keys[d->kind], path, FILES_READ_WRITE);
		}
	}
}

static bool place_hides(const struct files_place *place)
{
	switch (place->mount) {
	case FILES_HIDDEN:
	case FILES_TMPFS: return true;
	case FILES_BIND: return strcmp(place->source, place->path) != 0;
	case FILES_DEVICES:
	case FILES_PROC:
	case FILES_SYS:
	case FILES_SAME: break;
	}
	return false;
}

static bool is_hidden(const struct files_plan *plan, const char *path)
{
	for (uint32_t i = 0; i < plan->count; i++) {
		if (place_hides(&plan->places[i]) && files_is_below(path, plan->places[i].path)) {
			return true;
		}
	}
	return plan->root != NULL;
}

/* What the service is told of by a variable must be there when it looks. */
static void plan_keep(struct files_plan *plan, const char *path, enum files_access access)
{
	struct files_place *place;

	if (!path || *path != '/' || !is_hidden(plan, path)) {
		return;
	}
	for (uint32_t i = 0; i < plan->count; i++) {
		/* A place that nobody may enter would hide it after all. */
		if (plan->places[i].mount == FILES_HIDDEN &&
			files_is_below(path, plan->places[i].path)) {
			plan->places[i].mount = FILES_TMPFS;
			plan->places[i].access = FILES_READ_ONLY;
			plan->places[i].options = "mode=0711";
		}
	}
	place = files_plan_add(plan, "NOTIFY_SOCKET", path, FILES_BIND);
	place->source = files_printf("%s", place->path);
	place->access = access;
	place->optional = true;
}

static char *directory_of(const char *path)
{
	const char *slash = path ? strrchr(path, '/') : NULL;

	return slash && slash > path ? files_printf("%.*s", (int)(slash - path), path) : NULL;
}

static void plan_reachable(const struct sandbox *s, struct files_plan *plan)
{
	const char *control = getenv("COPPICE_CONTROL");

	plan_keep(plan, directory_of(s->notify_socket), FILES_READ_WRITE);
	plan_keep(plan, control, FILES_READ_WRITE);
	plan_keep(plan, s->credentials_directory, FILES_READ_ONLY);
	for (uint32_t i = 0; !plan->root && i < s->directories_count; i++) {
		const struct sandbox_directory *d = &s->directories[i];

		if (s->bases[d->kind]) {
			plan_keep(plan, files_printf("%s/%s", s->bases[d->kind], d->name),
				FILES_ACCESS_SAME);
		}
	}
}

static void plan_root(const struct sandbox *s, struct files_plan *plan)
{
	const char *value = sandbox_get(s, "RootDirectory");
	const char *apis = sandbox_get(s, "MountAPIVFS");
	char *root;

	if (!value || !*value) {
		return;
	}
	plan->wanted = true;
	root = files_printf("%s", *value == '-' ? value + 1 : value);
	if (files_simplify(root) < 0) {
		sandbox_fail(PROCESS_HELPER_NAMESPACE,
			"RootDirectory=: '%s' is not an absolute path", value);
	}
	if (strcmp(root, "/") == 0) {
		return;
	}
	plan->root = root;
	if (!apis || str_bool(apis) != 0) {
		if (!sandbox_yes(s, "PrivateDevices")) {
			struct files_place *dev =
				files_plan_add(plan, "MountAPIVFS", "/dev", FILES_BIND);

			dev->source = "/dev";
			dev->access = FILES_READ_WRITE;
			dev->optional = true;
		}
		files_plan_add(plan, "MountAPIVFS", "/proc", FILES_PROC)->optional = true;
		files_plan_add(plan, "MountAPIVFS", "/sys", FILES_SYS)->optional = true;
		files_plan_add(plan, "MountAPIVFS", "/run", FILES_TMPFS)->options = "mode=0755";
	}
}

static void plan_propagation(const struct sandbox *s, struct files_plan *plan)
{
	const char *value = sandbox_get(s, "MountFlags");

	plan->propagation = MS_SHARED;
	if (value && strcmp(value, "slave") == 0) {
		plan->propagation = MS_SLAVE;
		plan->wanted = true;
	} else if (value && strcmp(value, "private") == 0) {
		plan->propagation = MS_PRIVATE;
		plan->wanted = true;
	}
	plan->wanted |= sandbox_yes(s, "PrivateMounts");
}

void files_plan_make(const struct sandbox *s, struct files_plan *plan)
{
	const char *system = sandbox_get(s, "ProtectSystem"), *home = sandbox_get(s, "ProtectHome");

	plan_root(s, plan);
	plan_propagation(s, plan);
	plan_system(plan, system ? system : "no");
	plan_home(plan, home ? home : "no");
	plan_kernel(s, plan);
	plan_control_groups(s, plan);
	plan_proc(s, plan);
	if (sandbox_yes(s, "PrivateDevices")) {
		struct files_place *dev =
			files_plan_add(plan, "PrivateDevices", "/dev", FILES_DEVICES);

		dev->optional = true;
	}
	plan_lists(s, plan);
	plan_mounts(s, plan);
	plan_private_tmp(s, plan);
	plan->wanted |= plan->count > 0;
	if (plan->wanted) {
		plan_directories(s, plan);
		plan_reachable(s, plan);
	}
	files_plan_sort(plan);
}
