/*
 * The mount namespace of a service. Everything is built below `root`, which is nothing when the
 * service's root is ours, and a directory of the stage when it is another one (RootDirectory=, or
 * when our own root is not a mount: a chroot). The stage is a tmpfs that only this process sees; it
 * holds what is bound elsewhere, and is gone when all is built.
 *
 * The order: separate mounts and new ones from the outside to the inside, then the flags: each
 * place sets its own on all below it, but for what another place speaks about.
 */
#include "sandbox/files.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "process/spawn.h"
#include "sandbox/internal.h"
#include "sandbox/volatile.h"

static struct {
	const struct sandbox *s;
	struct files_plan plan;
	char *stage;
	int stage_parent; /* where the directory under it is to be removed; -1: it stays */
	char *root;       /* "" or where the service's root is built */
} build;

/* --- saying so, once a directive --- */

static void miss(const char *key, const char *what, int failed)
{
	static const char *said[64];

	for (size_t i = 0; i < sizeof(said) / sizeof(said[0]); i++) {
		if (!said[i]) {
			said[i] = key;
			sandbox_miss(build.s, key, "%s: %s", what, strerror(-failed));
			return;
		}
		if (strcmp(said[i], key) == 0) {
			return;
		}
	}
}

static void stage_finish(void);

/* The end of a start: of what was built nothing stays but a directory, which must go. */
static void give_up(int failed)
{
	if (build.stage) {
		stage_finish();
	}
	errno = -failed;
}

static void place_failed(const struct files_place *place, const char *what, int failed)
{
	if (place->promise) {
		give_up(failed);
		sandbox_fail(PROCESS_HELPER_NAMESPACE, "%s=: %s '%s': %s", place->key, what,
			place->path, strerror(-failed));
	}
	miss(place->key, what, failed);
}

/* --- where things are --- */

static char *at_root(const char *path)
{
	return files_printf("%s%s", build.root, *build.root && strcmp(path, "/") == 0 ? "" : path);
}

/* What a path is when all links on it are followed inside a root; NULL when it is not there. */
static char *resolve_whole(const char *root, const char *path)
{
	struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT};
	char link[64], text[PATH_MAX];
	ssize_t length;
	int top, fd;

	if (!root) {
		return realpath(path, NULL);
	}
	top = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	fd = top < 0 ? -1 : (int)syscall(SYS_openat2, top, path, &how, sizeof(how));
	if (top >= 0) {
		close(top);
	}
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	length = fd < 0 ? -1 : readlink(link, text, sizeof(text) - 1);
	if (fd >= 0) {
		close(fd);
	}
	if (length < 0) {
		return NULL;
	}
	text[length] = '\0';
	return files_is_below(text, root)
		       ? files_printf("%s", text[strlen(root)] ? text + strlen(root) : "/")
		       : NULL;
}

/* The same where only the beginning of it is there. */
static char *resolve(const char *root, const char *path)
{
	char *head = files_printf("%s", path), *found = NULL;
	size_t length = strlen(head);

	while (length > 1 && !found) {
		head[length] = '\0';
		found = resolve_whole(root, head);
		if (!found) {
			while (length > 1 && head[--length] != '/') {
			}
		}
	}
	free(head);
	if (!found) {
		return files_printf("%s", path);
	}
	head = files_printf("%s%s", strcmp(found, "/") == 0 ? "" : found, path + length);
	free(found);
	return head;
}

static void resolve_all(struct files_plan *plan)
{
	for (uint32_t i = 0; i < plan->count; i++) {
		struct files_place *place = &plan->places[i];
		char *path = resolve(plan->root, place->path);

		free(place->path);
		place->path = path;
	}
	files_plan_sort(plan);
}

/* What is bound is taken before anything covers it, and in the new namespace: the kernel binds
 * nothing of another one. */
static void open_sources(struct files_plan *plan)
{
	for (uint32_t i = 0; i < plan->count; i++) {
		if (plan->places[i].mount == FILES_BIND) {
			plan->places[i].source_fd =
				open(plan->places[i].source, O_PATH | O_CLOEXEC);
		}
	}
}

/* --- the stage --- */

static bool stage_try(char *path, bool made)
{
	if (mount_tmpfs(path, "mode=0700,size=4m", MS_NOSUID) < 0) {
		if (made) {
			rmdir(path);
		}
		free(path);
		return false;
	}
	build.stage = path;
	return true;
}

static bool stage_in(const char *directory)
{
	char *path = files_printf("%s/coppice-stage-XXXXXX", directory);

	if (!mkdtemp(path)) {
		free(path);
		return false;
	}
	if (!stage_try(path, true)) {
		return false;
	}
	build.stage_parent = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return true;
}

static bool stage_find(void)
{
	const char *const places[] = {"/run", "/tmp", "/dev/shm", "/var/tmp", NULL};

	if (build.s->run_directory) {
		char *path = files_printf("%s/stage", build.s->run_directory);

		(void)mkdir(path, 0700);
		if (stage_try(path, false)) {
			return true;
		}
	}
	for (int i = 0; places[i]; i++) {
		if (stage_in(places[i])) {
			return true;
		}
	}
	/* Everything may be read-only: any directory will do that nobody needs meanwhile. */
	return stage_try(files_printf("/mnt"), false);
}

/* Where the mount below is shared with other namespaces, ours would appear there. */
static bool stage_is_shared(void)
{
	FILE *list = fopen("/proc/self/mountinfo", "re");
	char *line = NULL, *blank = files_printf(" %s ", build.stage);
	size_t size = 0;
	bool shared = false;

	while (list && getline(&line, &size, list) > 0) {
		if (strstr(line, blank)) {
			shared = strstr(line, " shared:") != NULL;
		}
	}
	free(blank);
	free(line);
	if (list) {
		fclose(list);
	}
	return shared;
}

static char *stage_path(const char *name)
{
	return files_printf("%s/%s", build.stage, name);
}

static int stage_make(void)
{
	char *folder, *file;
	int fd;

	if (!stage_find()) {
		return -errno;
	}
	if (stage_is_shared()) {
		umount2(build.stage, MNT_DETACH);
		return -EINVAL;
	}
	folder = stage_path("dir");
	file = stage_path("file");
	(void)mkdir(folder, 0000);
	fd = open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0000);
	if (fd >= 0) {
		close(fd);
	}
	free(folder);
	free(file);
	return fd < 0 ? -errno : 0;
}

static void stage_finish(void)
{
	if (!build.root || !*build.root) {
		umount2(build.stage, MNT_DETACH);
	}
	if (build.stage_parent >= 0) {
		unlinkat(build.stage_parent, strrchr(build.stage, '/') + 1, AT_REMOVEDIR);
		close(build.stage_parent);
		build.stage_parent = -1;
	}
}

/* --- another root --- */

static int root_make(void)
{
	const struct files_plan *plan = &build.plan;
	char *path, *inside;
	int failed;

	if (!plan->root && mount_is_point("/")) {
		build.root = files_printf("%s", "");
		return 0;
	}
	path = stage_path("root");
	(void)mkdir(path, 0755);
	failed = mount_bind(plan->root ? plan->root : "/", path, true);
	build.root = path;
	if (!failed && !plan->root) {
		inside = at_root(build.stage);
		umount2(inside, MNT_DETACH);
		free(inside);
	}
	return failed;
}

static int root_enter(void)
{
	if (!*build.root) {
		return 0;
	}
	if (chdir(build.root) < 0) {
		return -errno;
	}
	if (syscall(SYS_pivot_root, ".", ".") == 0) {
		umount2(".", MNT_DETACH);
	} else if (chroot(".") < 0) {
		return -errno;
	}
	return chdir("/") < 0 ? -errno : 0;
}

/* --- places --- */

/* Makes what something is mounted on, and the directories that lead to it. */
static int target_make(char *target, bool directory)
{
	struct stat status;
	int fd;

	if (stat(target, &status) == 0) {
		return 0;
	}
	for (char *slash = strchr(target + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		(void)mkdir(target, 0755);
		*slash = '/';
	}
	if (directory) {
		return mkdir(target, 0755) < 0 ? -errno : 0;
	}
	fd = open(target, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd >= 0) {
		close(fd);
	}
	return fd < 0 ? -errno : 0;
}

static int place_hide(const char *target, const struct stat *status)
{
	char *source = stage_path(S_ISDIR(status->st_mode) ? "dir" : "file");
	int failed = mount_bind(source, target, false);

	free(source);
	if (!failed) {
		(void)mount_set_flags_flat(target, MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC);
	}
	return failed;
}

static int place_bind(const struct files_place *place, char *target)
{
	char source[64];
	struct stat status;
	int failed;

	if (fstat(place->source_fd, &status) < 0) {
		return -errno;
	}
	snprintf(source, sizeof(source), "/proc/self/fd/%d", place->source_fd);
	failed = target_make(target, S_ISDIR(status.st_mode));
	if (!failed) {
		failed = mount_bind(source, target, !place->flat);
	}
	/* Without /proc the descriptor has no name. */
	return failed == -ENOENT ? mount_bind(place->source, target, !place->flat) : failed;
}

/* Options of mount(8): those that are flags, and what the file system reads itself. */
static int place_tmpfs(struct files_place *place, char *target)
{
	static const struct {
		const char *word;
		unsigned long flag;
	} words[] = {{"noexec", MS_NOEXEC}, {"nosuid", MS_NOSUID}, {"nodev", MS_NODEV}, {"exec", 0},
		{"suid", 0}, {"dev", 0}, {"rw", 0}, {"ro", 0}};
	char *copy = files_printf("%s", place->options ? place->options : ""), *rest;
	char *data = files_printf("%s", strstr(copy, "mode=") ? "" : "mode=0755");
	unsigned long flags = MS_NODEV;
	int failed;

	for (char *word = strtok_r(copy, ",", &rest); word; word = strtok_r(NULL, ",", &rest)) {
		size_t i = 0, count = sizeof(words) / sizeof(words[0]);

		while (i < count && strcmp(words[i].word, word) != 0) {
			i++;
		}
		if (i < count) {
			flags |= words[i].flag;
			place->access = strcmp(word, "ro") == 0 ? FILES_READ_ONLY : place->access;
		} else {
			char *longer = files_printf("%s%s%s", data, *data ? "," : "", word);

			free(data);
			data = longer;
		}
	}
	failed = target_make(target, true);
	failed = failed ? failed : mount_tmpfs(target, data, flags);
	free(copy);
	free(data);
	return failed;
}

static int place_devices(const char *target)
{
	char *source = stage_path("dev");
	int failed;

	(void)mkdir(source, 0755);
	failed = devices_make(source);
	if (!failed && mount(source, target, NULL, MS_MOVE, NULL) < 0) {
		failed = mount_bind(source, target, true);
	}
	if (!failed) {
		(void)mount_set_flags_flat(target, MS_RDONLY | MS_NOSUID | MS_NOEXEC);
	}
	free(source);
	return failed;
}

/* Older kernels know hidepid= by number only, and "subset" not at all. */
static int place_proc(const struct files_place *place, const char *target)
{
	unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC;

	if (mount("proc", target, "proc", flags, place->options) == 0) {
		return 0;
	}
	if (!place->options) {
		return mount_bind("/proc", target, true);
	}
	return -errno;
}

static int place_mount(struct files_place *place, char *target, const struct stat *status)
{
	switch (place->mount) {
	case FILES_HIDDEN: return place_hide(target, status);
	case FILES_BIND: return place_bind(place, target);
	case FILES_DEVICES: return place_devices(target);
	case FILES_PROC: (void)target_make(target, true); return place_proc(place, target);
	case FILES_SYS: (void)target_make(target, true); return mount_bind("/sys", target, true);
	case FILES_TMPFS: return place_tmpfs(place, target);
	case FILES_SAME: return mount_separate(target);
	}
	return -EINVAL;
}

static void place_apply(struct files_place *place)
{
	bool api = place->mount == FILES_PROC || place->mount == FILES_SYS;
	bool makes = place->mount == FILES_BIND || place->mount == FILES_TMPFS ||
		     (api && build.plan.root);
	char *target = at_root(place->path);
	struct stat status;
	int failed = 0;

	if (place->mount == FILES_BIND && place->source_fd < 0) {
		failed = -ENOENT;
	} else if (stat(target, &status) < 0) {
		failed = makes && !(place->optional && place->mount == FILES_TMPFS) ? 0 : -ENOENT;
	}
	if (failed && place->optional) {
		free(target);
		return;
	}
	if (failed) {
		give_up(failed);
		sandbox_fail(PROCESS_HELPER_NAMESPACE, "%s=: '%s' is not there", place->key,
			place->mount == FILES_BIND ? place->source : place->path);
	}
	failed = place_mount(place, target, &status);
	place->made = !failed;
	if (failed) {
		place_failed(place, "cannot mount", failed);
	}
	free(target);
}

/* --- flags --- */

typedef bool place_speaks(const struct files_place *place);

static bool speaks_of_access(const struct files_place *place)
{
	return place->access != FILES_ACCESS_SAME || place->mount != FILES_SAME;
}

static bool speaks_of_exec(const struct files_place *place)
{
	return place->exec != FILES_EXEC_SAME;
}

static void place_flag(uint32_t index, unsigned long flag, place_speaks *speaks)
{
	const struct files_plan *plan = &build.plan;
	const struct files_place *place = &plan->places[index];
	const char **except = calloc(plan->count + 1, sizeof(*except));
	char *target = at_root(place->path);
	uint32_t count = 0;
	int failed;

	if (!except) {
		sandbox_fail(PROCESS_HELPER_MEMORY, "out of memory");
	}
	for (uint32_t i = index + 1; i < plan->count; i++) {
		const struct files_place *inner = &plan->places[i];

		if (inner->made && speaks(inner) && files_is_below(inner->path, place->path)) {
			except[count++] = at_root(inner->path);
		}
	}
	failed = mount_set_flags(target, flag, except);
	if (failed) {
		place_failed(place, "cannot set the flags of a mount", failed);
	}
	while (count > 0) {
		free((void *)(uintptr_t)except[--count]);
	}
	free(except);
	free(target);
}

static void flag_all(void)
{
	for (uint32_t i = 0; i < build.plan.count; i++) {
		const struct files_place *place = &build.plan.places[i];

		if (place->made && place->exec == FILES_NO_EXEC) {
			place_flag(i, MS_NOEXEC, speaks_of_exec);
		}
		if (place->made && place->access == FILES_READ_ONLY) {
			place_flag(i, MS_RDONLY, speaks_of_access);
		}
	}
}

/* --- all of it --- */

static bool is_covered(const struct files_plan *plan, uint32_t index)
{
	for (uint32_t i = 0; i < index; i++) {
		if (plan->places[i].mount == FILES_HIDDEN && plan->places[i].made &&
			files_is_below(plan->places[index].path, plan->places[i].path)) {
			return true;
		}
	}
	return false;
}

static int namespace_open(void)
{
	int failed;

	if (unshare(CLONE_NEWNS) < 0) {
		return -errno;
	}
	/* What is mounted elsewhere appears here, and nothing of ours there. EINVAL: "/" is not a
	 * mount; the stage tells whether ours would be seen. */
	if (mount(NULL, "/", NULL, MS_SLAVE | MS_REC, NULL) < 0 && errno != EINVAL) {
		return -errno;
	}
	failed = stage_make();
	if (!failed) {
		failed = root_make();
	}
	return failed;
}

static void build_all(void)
{
	struct files_plan *plan = &build.plan;
	int failed;

	open_sources(plan);
	for (uint32_t i = 0; i < plan->count; i++) {
		if (!is_covered(plan, i)) {
			place_apply(&plan->places[i]);
		}
	}
	failed = root_enter();
	if (failed) {
		errno = -failed;
		sandbox_fail(PROCESS_HELPER_NAMESPACE, "cannot change the root directory: %s",
			strerror(-failed));
	}
	/* Before the flags: then even its directory may be read-only. */
	stage_finish();
	build.root = files_printf("%s", "");
	flag_all();
	(void)mount(NULL, "/", NULL, plan->propagation | MS_REC, NULL);
	for (uint32_t i = 0; i < plan->count; i++) {
		if (plan->places[i].source_fd >= 0) {
			close(plan->places[i].source_fd);
		}
	}
}

/* RootDirectory= is a promise that an older call can keep. */
static void root_change(int refused)
{
	const char *root = build.plan.root;

	if (root && (chroot(root) < 0 || chdir("/") < 0)) {
		sandbox_fail(PROCESS_HELPER_NAMESPACE, "RootDirectory=: cannot change to '%s': %s",
			root, strerror(errno));
	}
	if (root) {
		miss("MountAPIVFS", "the kernel refuses a mount namespace", refused);
	}
}

/* A directory of its own, for programs that ask for it; /tmp is as it is. */
static void tmp_by_variable(int refused)
{
	const char *path = volatile_private_tmp(0);
	char *parent;

	if (!path) {
		miss("PrivateTmp", "the kernel refuses a mount namespace", refused);
		return;
	}
	parent = files_printf("%.*s", (int)(strrchr(path, '/') - path), path);
	(void)chmod(parent, 0711);
	free(parent);
	sandbox_set_variable(build.s, "TMPDIR", path);
	miss("PrivateTmp", "TMPDIR stands in, for the kernel refuses a mount namespace", refused);
}

/* Without a namespace: promises are broken aloud, hardenings are left to Landlock. */
static void do_without(int refused)
{
	const char *what = "the kernel refuses a mount namespace";
	const struct files_plan *plan = &build.plan;

	for (uint32_t i = 0; i < plan->count; i++) {
		const struct files_place *place = &plan->places[i];

		if (place->promise && !(plan->root && strcmp(place->source, place->path) == 0)) {
			place_failed(place, what, refused);
		}
		if (place->mount == FILES_DEVICES || place->mount == FILES_PROC) {
			miss(place->key, what, refused);
		}
	}
	if (plan->private_tmp) {
		tmp_by_variable(refused);
	}
	if (plan->propagation != MS_SHARED) {
		miss("MountFlags", what, refused);
	}
	if (sandbox_yes(build.s, "PrivateMounts")) {
		miss("PrivateMounts", what, refused);
	}
	root_change(refused);
	if (!plan->root) {
		landlock_prepare(build.s, plan, strerror(-refused));
	}
}

bool sandbox_files_wanted(const struct sandbox *s)
{
	struct files_plan plan = {0};

	files_plan_make(s, &plan);
	return plan.wanted;
}

void sandbox_files_enter(struct sandbox *s)
{
	int failed;

	build.s = s;
	build.stage_parent = -1;
	files_plan_make(s, &build.plan);
	if (!build.plan.wanted) {
		return;
	}
	resolve_all(&build.plan);
	failed = namespace_open();
	if (failed) {
		do_without(failed);
		return;
	}
	build_all();
}
