#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "process/spawn.h"
#include "sandbox/files.h"
#include "sandbox/volatile.h"
#include "sandbox/walk.h"

static const struct {
	const char *key, *variable;
	int status;
} kinds[SANDBOX_DIRECTORIES] = {
	{"RuntimeDirectory", "RUNTIME_DIRECTORY", PROCESS_HELPER_RUNTIME_DIRECTORY},
	{"StateDirectory", "STATE_DIRECTORY", PROCESS_HELPER_STATE_DIRECTORY},
	{"CacheDirectory", "CACHE_DIRECTORY", PROCESS_HELPER_CACHE_DIRECTORY},
	{"LogsDirectory", "LOGS_DIRECTORY", PROCESS_HELPER_LOGS_DIRECTORY},
	{"ConfigurationDirectory", "CONFIGURATION_DIRECTORY",
		PROCESS_HELPER_CONFIGURATION_DIRECTORY},
};

/* --- one directory --- */

/* The directory and what is in it belong to the service. As systemd does: only when the directory
 * itself belongs to somebody else, for a tree may be large. */
static int set_owner(const struct sandbox *s, int fd)
{
	uid_t uid = s->who.set_user ? s->who.uid : geteuid();
	gid_t gid = s->who.set_group ? s->who.gid : getegid();
	struct stat status;

	if (fstat(fd, &status) < 0) {
		return -errno;
	}
	if (status.st_uid == uid && status.st_gid == gid) {
		return 0;
	}
	/* An ordinary user cannot give anything away: systemd's user manager does not try. */
	if (geteuid() != 0) {
		return 0;
	}
	return walk_chown(fd, uid, gid);
}

static int make(const struct sandbox *s, const struct sandbox_directory *d, const char *path)
{
	const char *name;
	int parent = walk_open_parent(path, true, &name), fd, failed = 0;
	bool made;

	if (parent < 0) {
		return parent;
	}
	made = mkdirat(parent, name, d->mode & 0777) == 0;
	failed = made || errno == EEXIST ? 0 : -errno;
	fd = failed ? failed : walk_open(parent, name);
	close(parent);
	if (fd < 0) {
		return fd;
	}
	/* A configuration is the administrator's: one that is there stays as it is. */
	if (made || d->kind != SANDBOX_CONFIGURATION) {
		failed = d->kind == SANDBOX_CONFIGURATION ? 0 : set_owner(s, fd);
		if (!failed && fchmod(fd, d->mode) < 0 && (geteuid() == 0 || made)) {
			failed = -errno;
		}
	}
	close(fd);
	return failed;
}

static const char *relative_target(const char *target, const char *link)
{
	char *text = files_printf("%s", target);

	/* Both are below the same base: up once for each directory that the link is in. */
	for (const char *at = strchr(link, '/'); at; at = strchr(at + 1, '/')) {
		char *up = files_printf("../%s", text);

		free(text);
		text = up;
	}
	return text;
}

/* "name:link": the link stands beside the directory. */
static int make_link(const struct sandbox_directory *d, const char *path)
{
	const char *target = relative_target(d->name, d->link), *name;
	int parent = walk_open_parent(path, true, &name), failed = 0;
	char have[4096];
	ssize_t length;

	if (parent < 0) {
		return parent;
	}
	if (symlinkat(target, parent, name) < 0) {
		failed = -errno;
		length = readlinkat(parent, name, have, sizeof(have) - 1);
		if (failed == -EEXIST && length >= 0) {
			have[length] = '\0';
			failed = strcmp(have, target) == 0 ? 0 : failed;
		}
	}
	close(parent);
	return failed;
}

/* --- all of them --- */

static void note(const struct sandbox *s, const struct sandbox_directory *d, const char *path)
{
	const char *preserve = sandbox_get(s, "RuntimeDirectoryPreserve");

	if (d->kind != SANDBOX_RUNTIME ||
		(preserve && strcmp(preserve, "restart") != 0 && strcmp(preserve, "no") != 0)) {
		return;
	}
	volatile_note(path, preserve && strcmp(preserve, "restart") == 0);
}

static void make_one(const struct sandbox *s, const struct sandbox_directory *d)
{
	const char *base = s->bases[d->kind];
	char *path;
	int failed;

	if (!base) {
		errno = ENOENT;
		sandbox_fail(kinds[d->kind].status, "%s=: there is no place for '%s'",
			kinds[d->kind].key, d->name);
	}
	path = files_printf("%s/%s", base, d->name);
	note(s, d, path);
	failed = make(s, d, path);
	if (failed) {
		errno = -failed;
		sandbox_fail(kinds[d->kind].status, "%s=: cannot make '%s': %s", kinds[d->kind].key,
			path, strerror(-failed));
	}
	free(path);
	if (!d->link) {
		return;
	}
	path = files_printf("%s/%s", base, d->link);
	note(s, d, path);
	failed = make_link(d, path);
	if (failed) {
		errno = -failed;
		sandbox_fail(kinds[d->kind].status, "%s=: cannot make the link '%s': %s",
			kinds[d->kind].key, path, strerror(-failed));
	}
	free(path);
}

/* RUNTIME_DIRECTORY=/run/a:/run/b */
static void set_variable(const struct sandbox *s, int kind)
{
	char *text = NULL;

	for (uint32_t i = 0; i < s->directories_count; i++) {
		const struct sandbox_directory *d = &s->directories[i];
		char *longer;

		if ((int)d->kind != kind) {
			continue;
		}
		longer = files_printf(
			"%s%s%s/%s", text ? text : "", text ? ":" : "", s->bases[kind], d->name);
		free(text);
		text = longer;
	}
	if (text) {
		sandbox_set_variable(s, kinds[kind].variable, text);
		free(text);
	}
}

void sandbox_directories_make(struct sandbox *s)
{
	mode_t mask = umask(0);

	volatile_begin(s);
	for (uint32_t i = 0; i < s->directories_count; i++) {
		make_one(s, &s->directories[i]);
	}
	if (s->extent != SANDBOX_NOTHING && sandbox_get(s, "PrivateTmp")) {
		volatile_make_tmp(s);
	}
	volatile_end();
	umask(mask);
	for (int kind = 0; kind < SANDBOX_DIRECTORIES; kind++) {
		set_variable(s, kind);
	}
}
