#include "tmpfiles/walk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LINKS_MAX 32 /* on one way */
#define DEPTH_MAX 64

struct walk {
	int directory; /* where we are, O_PATH */
	uid_t owner;   /* of it */
	unsigned links;
	char rest[2 * PATH_MAX]; /* what is still to be walked */
};

/* A directory of root's may hold anything, one of a user's only what is root's or the same user's.
 */
static bool is_safe(uid_t from, uid_t to)
{
	return from == 0 || to == from || to == 0;
}

static int enter(struct walk *walk, int fd)
{
	struct stat status;
	if (fstat(fd, &status) < 0 || !is_safe(walk->owner, status.st_uid)) {
		int failed = errno;
		close(fd);
		return failed == 0 ? -ENOLINK : -ENOLINK;
	}
	if (walk->directory >= 0) {
		close(walk->directory);
	}
	walk->directory = fd;
	walk->owner = status.st_uid;
	return 0;
}

static int enter_root(struct walk *walk)
{
	int fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	walk->owner = 0;
	return fd < 0 ? -errno : enter(walk, fd);
}

/* Puts the target of a link in front of what is still to be walked. */
static int follow(struct walk *walk, const char *name, uid_t owner)
{
	char target[PATH_MAX], whole[2 * PATH_MAX];
	ssize_t length = readlinkat(walk->directory, name, target, sizeof(target) - 1);
	if (length < 0) {
		return -errno;
	}
	if (walk->owner != 0 || owner != 0) {
		return -ENOLINK;
	}
	if (++walk->links > LINKS_MAX) {
		return -ELOOP;
	}
	target[length] = '\0';
	if ((size_t)snprintf(whole, sizeof(whole), "%s/%s", target, walk->rest) >= sizeof(whole)) {
		return -ENAMETOOLONG;
	}
	memcpy(walk->rest, whole, sizeof(whole));
	return target[0] == '/' ? enter_root(walk) : 0;
}

static int step(struct walk *walk, const char *name, bool make)
{
	struct stat status;
	int fd = openat(walk->directory, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT && make) {
		if (mkdirat(walk->directory, name, 0755) < 0 && errno != EEXIST) {
			return -errno;
		}
		fd = openat(walk->directory, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	}
	if (fd < 0) {
		return -errno;
	}
	if (fstat(fd, &status) == 0 && S_ISLNK(status.st_mode)) {
		close(fd);
		return follow(walk, name, status.st_uid);
	}
	if (!S_ISDIR(status.st_mode)) {
		close(fd);
		return -ENOTDIR;
	}
	return enter(walk, fd);
}

/* The next component of `rest`, taken off; false at the end. */
static bool next_name(struct walk *walk, char *name)
{
	char *at = walk->rest + strspn(walk->rest, "/");
	size_t length = strcspn(at, "/");
	if (length == 0 || length > NAME_MAX) {
		return false;
	}
	memcpy(name, at, length);
	name[length] = '\0';
	memmove(walk->rest, at + length, strlen(at + length) + 1);
	return true;
}

int walk_parent(const char *path, bool make, char *name)
{
	struct walk walk = {.directory = -1};
	int failed = path[0] == '/' && strlen(path) < PATH_MAX ? enter_root(&walk) : -EINVAL;
	if (failed != 0) {
		return failed;
	}
	strcpy(walk.rest, path);
	while (failed == 0 && next_name(&walk, name)) {
		if (strcmp(name, ".") == 0) {
			continue;
		}
		if (walk.rest[strspn(walk.rest, "/")] == '\0') {
			return walk.directory; /* `name` is the last one */
		}
		failed = step(&walk, name, make);
	}
	close(walk.directory);
	return failed == 0 ? -EINVAL : failed;
}

struct each {
	void (*call)(void *context, int parent, const char *name, bool is_directory);
	void *context;
};

static void below(int parent, const char *name, const struct each *each, unsigned depth)
{
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *dir = fd < 0 || depth == DEPTH_MAX ? NULL : fdopendir(fd);
	if (dir == NULL) {
		if (fd >= 0) {
			close(fd);
		}
		return;
	}
	for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
		struct stat status;
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
			fstatat(fd, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) < 0) {
			continue;
		}
		if (S_ISDIR(status.st_mode)) {
			below(fd, entry->d_name, each, depth + 1);
		}
		each->call(each->context, fd, entry->d_name, S_ISDIR(status.st_mode));
	}
	closedir(dir);
}

int walk_glob(const char *pattern, bool deep,
	void (*each)(void *context, int parent, const char *name, bool is_directory), void *context)
{
	struct each call = {each, context};
	glob_t found;
	int failed = glob(pattern, GLOB_NOSORT, NULL, &found);
	if (failed != 0) {
		return failed == GLOB_NOMATCH ? 0 : -EIO;
	}
	for (size_t i = 0; i < found.gl_pathc; i++) {
		char name[NAME_MAX + 1];
		struct stat status;
		int parent = walk_parent(found.gl_pathv[i], false, name);
		if (parent < 0 || fstatat(parent, name, &status, AT_SYMLINK_NOFOLLOW) < 0) {
			failed = parent < 0 ? parent : -errno;
		} else {
			if (deep && S_ISDIR(status.st_mode)) {
				below(parent, name, &call, 0);
			}
			each(context, parent, name, S_ISDIR(status.st_mode));
		}
		if (parent >= 0) {
			close(parent);
		}
	}
	globfree(&found);
	return failed;
}
