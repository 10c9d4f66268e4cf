/*
 * Landlock in the place of a mount namespace (landlock(7)).
 *
 * Landlock only permits: what a directory is granted, all below it has, and what is not granted is
 * refused. So "all but /usr" is said by granting each other entry of "/", and what is made later
 * right in "/" has nothing. Where that would hurt (a directory in which the service makes files of
 * its own, or whose files are replaced now and then), the place is left out, and said: a hardening
 * must not break a service. Names can still be listed.
 *
 * It needs no_new_privs, by which set-user-ID programs (sudo, sendmail, a PAM helper) lose their
 * effect. So it is used for a unit that has no_new_privs anyway: by NoNewPrivileges=yes, by a
 * setting that implies it in a service without CAP_SYS_ADMIN, or inherited. For an ordinary user's
 * coppice it is set: there systemd makes a user namespace for the same settings, in which such
 * programs have no effect either.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/compat.h"
#include "base/str.h"
#include "sandbox/files.h"

/* Version 2 is the first that lets files be renamed from one directory to another. */
#define VERSION_MIN 2
#define ENTRIES_MAX 4096

enum right { READ = 1, WRITE = 2, EXEC = 4, ALL = 7 };

static struct {
	int fd;
	bool prepared, on, ordinary;
	const struct sandbox *s;
	uint32_t count;
	const struct files_place **places; /* sorted, those that matter */
	uint8_t *rights;                   /* of each place */
	uint64_t handled;
	const char *why;
} lock;

int landlock_version(void)
{
	long version =
		syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

	return version < 0 ? 0 : (int)version;
}

/* --- rights --- */

#define WRITING                                                                 \
	(LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |        \
		LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_CHAR | \
		LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |     \
		LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO |   \
		LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM |   \
		LANDLOCK_ACCESS_FS_REFER | LANDLOCK_ACCESS_FS_TRUNCATE)
#define OF_FILES                                                      \
	(LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE | \
		LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_TRUNCATE)

static uint64_t kernel_rights(uint8_t rights)
{
	return (rights & READ ? LANDLOCK_ACCESS_FS_READ_FILE : 0) |
	       (rights & EXEC ? LANDLOCK_ACCESS_FS_EXECUTE : 0) | (rights & WRITE ? WRITING : 0);
}

/* What holds at a path: that of the last place at or above it, among the first `count`. */
static uint8_t rights_at(const char *path, uint32_t count)
{
	for (uint32_t i = count; i > 0; i--) {
		if (files_is_below(path, lock.places[i - 1]->path)) {
			return lock.rights[i - 1];
		}
	}
	return ALL;
}

static uint8_t rights_of(const struct files_place *place, uint8_t above)
{
	uint8_t rights = above;

	/* Empty in a namespace, so nothing of what is there. */
	if (place->mount == FILES_HIDDEN || place->mount == FILES_TMPFS) {
		return place->promise || strcmp(place->key, "PrivateTmp") == 0 ? above : 0;
	}
	if (place->mount == FILES_BIND && strcmp(place->key, "PrivateTmp") != 0) {
		rights = ALL; /* what must be seen in a place that is hidden */
	} else if (above == 0) {
		return 0;
	}
	if (place->access != FILES_ACCESS_SAME) {
		rights = place->access == FILES_READ_ONLY ? rights & (uint8_t)~WRITE
							  : rights | WRITE;
	}
	if (place->exec != FILES_EXEC_SAME) {
		rights = place->exec == FILES_NO_EXEC ? rights & (uint8_t)~EXEC : rights | EXEC;
	}
	return rights;
}

/* --- what can be expressed --- */

static bool is_writable(const struct stat *status)
{
	const struct sandbox_identity *who = &lock.s->who;
	uid_t uid = who->set_user ? who->uid : geteuid();
	gid_t gid = who->set_group ? who->gid : getegid();
	bool in_group = status->st_gid == gid;

	for (int i = 0; i < who->groups_count; i++) {
		in_group |= status->st_gid == who->groups[i];
	}
	if (uid == 0 || (status->st_uid == uid && status->st_mode & S_IWUSR)) {
		return true;
	}
	return (in_group && status->st_mode & S_IWGRP) || (status->st_mode & S_IWOTH);
}

/* Directories whose entries come and go with packages at most. */
static bool is_steady(const char *path)
{
	static const char *const steady[] = {
		"/", "/home", "/media", "/mnt", "/opt", "/srv", "/usr", "/usr/local", "/var", NULL};

	for (int i = 0; steady[i]; i++) {
		if (strcmp(path, steady[i]) == 0) {
			return true;
		}
	}
	return false;
}

static bool has_files(const char *path)
{
	DIR *list = opendir(path);
	struct dirent *entry;
	bool found = !list;
	uint32_t count = 0;

	while (!found && (entry = readdir(list))) {
		found = entry->d_type == DT_REG || ++count > ENTRIES_MAX;
	}
	if (list) {
		closedir(list);
	}
	return found;
}

/* Whether the entries of a directory can be granted one by one in place of it. */
static bool can_divide(const char *path, uint8_t lost)
{
	struct stat status;

	if (strcmp(path, "/") == 0) {
		return true;
	}
	if (files_is_below(path, "/proc") || stat(path, &status) < 0) {
		return false; /* processes come and go */
	}
	if ((lost & WRITE) && is_writable(&status) && !is_steady(path)) {
		return false;
	}
	return !(lost & (READ | EXEC)) || !has_files(path);
}

static bool can_express(const struct files_place *place, uint8_t rights, uint32_t before)
{
	char *path = files_printf("%s", place->path);
	bool can = true;

	while (can && strcmp(path, "/") != 0) {
		char *slash = strrchr(path, '/');
		uint8_t lost;

		slash[slash == path] = '\0';
		lost = rights_at(path, before) & (uint8_t)~rights;
		can = lost == 0 || can_divide(path, lost);
	}
	free(path);
	return can;
}

/* Their main effect is that of seccomp and of capabilities. */
static bool is_small(const char *key)
{
	return strcmp(key, "ProtectKernelModules") == 0 || strcmp(key, "ProtectKernelLogs") == 0;
}

/* Once a directive; `path`: the place that it is about, where the others are in effect. */
static void miss(const char *key, const char *path, const char *text)
{
	static const char *said[32];

	for (size_t i = 0; i < sizeof(said) / sizeof(said[0]); i++) {
		if (said[i] && strcmp(said[i], key) == 0) {
			return;
		}
		if (!said[i]) {
			said[i] = key;
			sandbox_miss(lock.s, key,
				"%s%s%sthe kernel refuses a mount namespace (%s), and %s",
				path ? "at " : "", path ? path : "", path ? ": " : "", lock.why,
				text);
			return;
		}
	}
}

static void take_places(const struct files_plan *plan)
{
	struct stat status;

	lock.places = calloc(plan->count + 1, sizeof(*lock.places));
	lock.rights = calloc(plan->count + 1, sizeof(*lock.rights));
	for (uint32_t i = 0; lock.places && lock.rights && i < plan->count; i++) {
		const struct files_place *place = &plan->places[i];
		uint8_t above = rights_at(place->path, lock.count);
		uint8_t rights = rights_of(place, above);

		if (rights == above || lstat(place->path, &status) < 0) {
			continue;
		}
		if ((above & ~rights) && !can_express(place, rights, lock.count)) {
			if (!is_small(place->key)) {
				miss(place->key, place->path, "Landlock cannot stand in there");
			}
			continue;
		}
		lock.places[lock.count] = place;
		lock.rights[lock.count++] = rights;
		lock.handled |= kernel_rights((uint8_t)(ALL & ~rights));
	}
}

/* --- rules --- */

static void grant(const char *path, uint64_t rights)
{
	struct landlock_path_beneath_attr rule;
	struct stat status;
	int fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0) {
		return;
	}
	rights &= lock.handled;
	if (fstat(fd, &status) == 0 && !S_ISDIR(status.st_mode)) {
		rights &= OF_FILES;
	}
	rule = (struct landlock_path_beneath_attr){.allowed_access = rights, .parent_fd = fd};
	if (rights && !S_ISLNK(status.st_mode)) {
		(void)syscall(SYS_landlock_add_rule, lock.fd, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
	}
	close(fd);
}

/* The places below a path, and what all of them have. */
static bool has_inner(const char *path, uint8_t *common)
{
	bool found = false;

	for (uint32_t i = 0; i < lock.count; i++) {
		if (files_is_below(lock.places[i]->path, path) &&
			strcmp(lock.places[i]->path, path) != 0) {
			*common &= lock.rights[i];
			found = true;
		}
	}
	return found;
}

static void grant_tree(const char *path, uint8_t given);

static void grant_entries(const char *path, uint8_t given)
{
	DIR *list = opendir(path);
	struct dirent *entry;

	while (list && (entry = readdir(list))) {
		char *inner;

		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) {
			continue;
		}
		inner = files_printf("%s/%s", strcmp(path, "/") == 0 ? "" : path, entry->d_name);
		grant_tree(inner, given);
		free(inner);
	}
	if (list) {
		closedir(list);
	}
}

/* Grants what holds at a path and below it; `given` is what the directories above have already. */
static void grant_tree(const char *path, uint8_t given)
{
	uint8_t rights = rights_at(path, lock.count), common = rights;
	bool inner = has_inner(path, &common);

	if (common & ~given) {
		grant(path, kernel_rights(common & (uint8_t)~given));
	}
	given |= common;
	if (rights & ~given) {
		grant_entries(path, given);
		return;
	}
	for (uint32_t i = 0; inner && i < lock.count; i++) {
		const char *below = lock.places[i]->path;

		if (files_is_below(below, path) && strcmp(below, path) != 0 &&
			(lock.rights[i] & ~given)) {
			grant_tree(below, given);
		}
	}
}

static void make_ruleset(void)
{
	struct landlock_ruleset_attr attributes = {0};
	bool writing = lock.handled & LANDLOCK_ACCESS_FS_WRITE_FILE;

	/* A rename to another directory is refused unless it is granted. */
	lock.handled |= LANDLOCK_ACCESS_FS_REFER;
	if (landlock_version() < 3) {
		lock.handled &= ~(uint64_t)LANDLOCK_ACCESS_FS_TRUNCATE;
	}
	attributes.handled_access_fs = lock.handled;
	lock.fd = (int)syscall(SYS_landlock_create_ruleset, &attributes, sizeof(attributes), 0);
	if (lock.fd < 0) {
		return;
	}
	grant_tree("/", 0);
	if (!writing) {
		grant("/", LANDLOCK_ACCESS_FS_REFER);
	}
}

static void miss_all(const char *text)
{
	for (uint32_t i = 0; i < lock.count; i++) {
		if (lock.rights[i] != ALL) {
			miss(lock.places[i]->key, NULL, text);
		}
	}
}

void landlock_prepare(const struct sandbox *s, const struct files_plan *plan, const char *why)
{
	lock.s = s;
	lock.why = files_printf("%s", why);
	lock.ordinary = geteuid() != 0;
	take_places(plan);
	if (lock.handled == 0) {
		return;
	}
	if (landlock_version() < VERSION_MIN) {
		miss_all("has no Landlock that could stand in");
		return;
	}
	make_ruleset();
	lock.prepared = lock.fd >= 0;
	if (!lock.prepared) {
		miss_all("refuses Landlock");
	}
}

static bool may_restrict(void)
{
	const char *wanted = sandbox_get(lock.s, "NoNewPrivileges");

	if (prctl(PR_GET_NO_NEW_PRIVS, 0L, 0L, 0L, 0L) == 1 || sandbox_capable(CAP_SYS_ADMIN)) {
		return true;
	}
	if (!lock.ordinary || (wanted && str_bool(wanted) == 0)) {
		return false;
	}
	return prctl(PR_SET_NO_NEW_PRIVS, 1L, 0L, 0L, 0L) == 0;
}

void sandbox_landlock_apply(struct sandbox *s)
{
	(void)s;
	if (!lock.prepared) {
		return;
	}
	if (!may_restrict()) {
		miss_all("Landlock could stand in if the unit had NoNewPrivileges=yes");
	} else if (syscall(SYS_landlock_restrict_self, lock.fd, 0) < 0) {
		miss_all("refuses Landlock");
	} else {
		lock.on = true;
	}
	close(lock.fd);
	lock.prepared = false;
}

bool landlock_is_on(void)
{
	return lock.on;
}
