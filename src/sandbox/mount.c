#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sandbox/files.h"

static int outcome(int value)
{
	return value < 0 ? -errno : 0;
}

int mount_bind(const char *source, const char *target, bool recursive)
{
	return outcome(mount(source, target, NULL, MS_BIND | (recursive ? MS_REC : 0), NULL));
}

int mount_tmpfs(const char *target, const char *options, unsigned long flags)
{
	return outcome(mount("tmpfs", target, "tmpfs", flags | MS_STRICTATIME, options));
}

/* --- the list of mounts --- */

/* "\040" is a blank (proc(5)). */
static void unescape(char *text)
{
	char *to = text;

	for (const char *at = text; *at; at++) {
		if (at[0] == '\\' && at[1] >= '0' && at[1] <= '3' && at[2] && at[3]) {
			*to++ = (char)((at[1] - '0') * 64 + (at[2] - '0') * 8 + (at[3] - '0'));
			at += 3;
		} else {
			*to++ = *at;
		}
	}
	*to = '\0';
}

/* Calls back with the path of each mount of ours; stops at the first answer that is not 0. */
static int each_mount(int (*found)(void *context, const char *path), void *context)
{
	FILE *list = fopen("/proc/self/mountinfo", "re");
	char *line = NULL;
	size_t size = 0;
	int result = 0;

	if (!list) {
		return -errno;
	}
	while (!result && getline(&line, &size, list) > 0) {
		char *rest, *field = strtok_r(line, " ", &rest);

		/* number, parent, device, root in its file system, where it is */
		for (int i = 0; field && i < 4; i++) {
			field = strtok_r(NULL, " ", &rest);
		}
		if (field) {
			unescape(field);
			result = found(context, field);
		}
	}
	free(line);
	fclose(list);
	return result;
}

static int is_this(void *context, const char *path)
{
	return strcmp(context, path) == 0;
}

bool mount_is_point(const char *path)
{
	char *copy = files_printf("%s", path);
	int found = each_mount(is_this, copy);

	free(copy);
	return found > 0;
}

int mount_separate(const char *path)
{
	return mount_is_point(path) ? 0 : mount_bind(path, path, true);
}

/* --- flags --- */

static uint64_t attributes_of(unsigned long flags)
{
	return (flags & MS_RDONLY ? MOUNT_ATTR_RDONLY : 0) |
	       (flags & MS_NOSUID ? MOUNT_ATTR_NOSUID : 0) |
	       (flags & MS_NODEV ? MOUNT_ATTR_NODEV : 0) |
	       (flags & MS_NOEXEC ? MOUNT_ATTR_NOEXEC : 0);
}

static int set_attributes(const char *path, unsigned long flags, bool recursive)
{
	struct mount_attr attributes = {.attr_set = attributes_of(flags)};

	return outcome((int)syscall(SYS_mount_setattr, AT_FDCWD, path, recursive ? AT_RECURSIVE : 0,
		&attributes, sizeof(attributes)));
}

/* Kernels before 5.12, and containers that do not know the call: a remount must name the flags that
 * are there, for it takes away the others. */
int mount_set_flags_flat(const char *path, unsigned long flags)
{
	struct statvfs now;
	int failed = set_attributes(path, flags, false);

	if (failed != -ENOSYS && failed != -EPERM) {
		return failed;
	}
	if (statvfs(path, &now) < 0) {
		return -errno;
	}
	flags |= (now.f_flag & ST_RDONLY ? MS_RDONLY : 0) |
		 (now.f_flag & ST_NOSUID ? MS_NOSUID : 0) | (now.f_flag & ST_NODEV ? MS_NODEV : 0) |
		 (now.f_flag & ST_NOEXEC ? MS_NOEXEC : 0) |
		 (now.f_flag & ST_NOATIME ? MS_NOATIME : 0) |
		 (now.f_flag & ST_NODIRATIME ? MS_NODIRATIME : 0) |
		 (now.f_flag & ST_RELATIME ? MS_RELATIME : 0);
	return outcome(mount(NULL, path, NULL, MS_REMOUNT | MS_BIND | flags, NULL));
}

struct setting_flags {
	const char *path;
	const char *const *except;
	unsigned long flags;
	int failed;
};

static int set_one(void *context, const char *path)
{
	struct setting_flags *set = context;
	int failed;

	if (!files_is_below(path, set->path)) {
		return 0;
	}
	for (uint32_t i = 0; set->except[i]; i++) {
		if (files_is_below(path, set->except[i])) {
			return 0;
		}
	}
	failed = mount_set_flags_flat(path, set->flags);
	/* A mount that cannot be reached, or is covered by another one, does not matter. */
	if (failed && strcmp(path, set->path) == 0) {
		set->failed = failed;
	}
	return 0;
}

int mount_set_flags(const char *path, unsigned long flags, const char *const *except)
{
	struct setting_flags set = {.path = path, .except = except, .flags = flags};
	int failed;

	if (!except[0]) {
		failed = set_attributes(path, flags, true);
		if (failed != -ENOSYS && failed != -EPERM) {
			return failed;
		}
	}
	failed = each_mount(set_one, &set);
	return failed < 0 ? failed : set.failed;
}
