/* The half of the records that the manager needs too: nothing here knows of settings. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sandbox/volatile.h"
#include "sandbox/walk.h"

#define FOLDER     "volatile"
#define OPEN_FLAGS (O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW)

/* --- the record --- */

int volatile_open(const char *run_directory, const char *unit, bool make)
{
	int run = open(run_directory, OPEN_FLAGS & ~O_NOFOLLOW), folder, fd;

	if (run < 0) {
		return -errno;
	}
	if (make) {
		(void)mkdirat(run, FOLDER, 0700);
	}
	folder = openat(run, FOLDER, OPEN_FLAGS);
	close(run);
	if (folder < 0) {
		return -errno;
	}
	if (make) {
		(void)mkdirat(folder, unit, 0700);
	}
	fd = openat(folder, unit, OPEN_FLAGS);
	fd = fd < 0 ? -errno : fd;
	close(folder);
	return fd;
}

bool volatile_read(int fd, const char *name, char *out, size_t size)
{
	ssize_t length = readlinkat(fd, name, out, size - 1);

	if (length < 0 || (size_t)length >= size - 1) {
		return false;
	}
	out[length] = '\0';
	return true;
}

static int remove_path(const char *path, uint32_t *budget)
{
	const char *name;
	int parent = walk_open_parent(path, false, &name), failed = 0;
	struct stat status;

	if (parent < 0) {
		return parent == -ENOENT ? 0 : parent;
	}
	/* Anything else was in the way of ours, and is not ours. */
	if (fstatat(parent, name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
		(S_ISDIR(status.st_mode) || S_ISLNK(status.st_mode))) {
		failed = walk_remove(parent, name, budget);
	}
	close(parent);
	return failed;
}

int volatile_clear(int record, bool stopped, uint32_t *budget)
{
	int copy = openat(record, ".", OPEN_FLAGS), failed = 0;
	DIR *list = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *entry;
	char target[PATH_MAX];

	if (!list) {
		return -errno;
	}
	while (failed != -EAGAIN && (entry = readdir(list))) {
		char kind = entry->d_name[0];
		int one;

		if (!strchr(stopped ? "trk" : "tr", kind) ||
			!volatile_read(record, entry->d_name, target, sizeof(target))) {
			continue;
		}
		one = remove_path(target, budget);
		failed = one ? one : failed;
		if (one != -EAGAIN) {
			unlinkat(record, entry->d_name, 0);
		}
	}
	closedir(list);
	return failed;
}

/* --- in the manager --- */

int volatile_sweep(const char *run_directory, const char *unit, bool stopped, uint32_t budget)
{
	int fd = volatile_open(run_directory, unit, false), failed;
	char path[PATH_MAX];

	if (fd < 0) {
		return fd == -ENOENT || fd == -ENOTDIR ? 0 : fd;
	}
	/* Somebody is starting: it clears away by itself. */
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		failed = -errno;
		close(fd);
		return failed == -EWOULDBLOCK ? 0 : failed;
	}
	failed = volatile_clear(fd, stopped, &budget);
	if (failed != -EAGAIN && stopped) {
		unlinkat(fd, "id", 0);
		snprintf(path, sizeof(path), "%s/" FOLDER "/%s", run_directory, unit);
		(void)rmdir(path);
	}
	close(fd);
	return failed;
}

int volatile_list(
	const char *run_directory, void (*found)(void *context, const char *unit), void *context)
{
	char path[PATH_MAX];
	struct dirent *entry;
	DIR *list;

	snprintf(path, sizeof(path), "%s/" FOLDER, run_directory);
	list = opendir(path);
	if (!list) {
		return errno == ENOENT ? 0 : -errno;
	}
	while ((entry = readdir(list))) {
		if (entry->d_name[0] != '.') {
			found(context, entry->d_name);
		}
	}
	closedir(list);
	return 0;
}
