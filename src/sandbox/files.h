/*
 * What a service sees of the file system: the settings about files as one sorted list of places,
 * which a mount namespace makes true (files.c) or Landlock stands in for (landlock.c). Private to
 * this room.
 *
 * A place is a path as the service sees it. It may be another mount (a bind, a tmpfs, nothing), and
 * it may say how it and all below it, up to the next place that says otherwise, may be used. Places
 * of the same path become one, where the stricter word wins, as in systemd.
 */
#ifndef SANDBOX_FILES_H
#define SANDBOX_FILES_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "sandbox/sandbox.h"

/* By precedence: of two at the same path, the first one wins. */
enum files_mount {
	FILES_HIDDEN,
	FILES_BIND,
	FILES_DEVICES,
	FILES_PROC,
	FILES_SYS,
	FILES_TMPFS,
	FILES_SAME /* what is there already */
};
enum files_access { FILES_ACCESS_SAME, FILES_READ_WRITE, FILES_READ_ONLY };
enum files_exec { FILES_EXEC_SAME, FILES_EXEC, FILES_NO_EXEC };

struct files_place {
	char *path;      /* absolute, without ".", "..", double or final slashes */
	const char *key; /* the directive that it comes from */
	enum files_mount mount;
	enum files_access access;
	enum files_exec exec;
	bool optional;       /* left out when it is missing */
	bool promise;        /* the service does not work without it */
	bool flat;           /* FILES_BIND: without the mounts below */
	bool made;           /* it is a mount: its flags can be set */
	const char *source;  /* FILES_BIND */
	int source_fd;       /* of it, taken before anything is mounted; -1 */
	const char *options; /* FILES_TMPFS */
};

struct files_plan {
	bool wanted;      /* a mount namespace */
	const char *root; /* RootDirectory=; NULL */
	bool private_tmp; /* TMPDIR stands in where there is no namespace */
	unsigned long propagation;
	uint32_t count, room;
	struct files_place *places; /* sorted: a directory before what is in it */
};

/* Reads the settings. Ends the process when there is no memory or a path is not one. */
void files_plan_make(const struct sandbox *s, struct files_plan *plan);
struct files_place *files_plan_add(
	struct files_plan *plan, const char *key, const char *path, enum files_mount mount);
/* Sorts, and makes one place of those with the same path. */
void files_plan_sort(struct files_plan *plan);
/* Whether `path` is `above` or below it. */
bool files_is_below(const char *path, const char *above);
/* Takes out ".", double and final slashes; -EINVAL for a path with ".." or one that is relative. */
int files_simplify(char *path);
char *files_printf(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* --- mounts (mount.c): all return 0 or -errno --- */

int mount_bind(const char *source, const char *target, bool recursive);
int mount_tmpfs(const char *target, const char *options, unsigned long flags);
/* Makes it a mount of its own, if it is none. */
int mount_separate(const char *path);
bool mount_is_point(const char *path);
/* Sets flags (MS_RDONLY, MS_NOEXEC, MS_NOSUID, MS_NODEV) on the mount at `path` and all below it,
 * but for those at or below a path of `except` (NULL at the end). */
int mount_set_flags(const char *path, unsigned long flags, const char *const *except);
/* The same for one mount alone. */
int mount_set_flags_flat(const char *path, unsigned long flags);

/* Builds a /dev of its own in the directory `at`, from the nodes of /dev (devices.c). */
int devices_make(const char *at);

/* --- Landlock (landlock.c) --- */

/* Prepares a ruleset that stands in for the plan; told by sandbox_miss() what it cannot express.
 * sandbox_landlock_apply() puts it into effect. */
void landlock_prepare(const struct sandbox *s, const struct files_plan *plan, const char *why);
/* The version of the kernel's Landlock; 0: none. */
int landlock_version(void);
/* A ruleset is in effect. */
bool landlock_is_on(void);

#endif
