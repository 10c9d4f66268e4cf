#include "sandbox/walk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define OPEN_FLAGS (O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK)
/* Descriptors that are open at the same time. */
#define DEPTH_MAX 48

/* --- opening --- */

/* A directory in which only root or we make names. */
static bool is_trusted(int fd)
{
	struct stat status;

	if (fstat(fd, &status) < 0) {
		return false;
	}
	return (status.st_uid == 0 || status.st_uid == geteuid()) && (status.st_mode & 022) == 0;
}

int walk_open(int parent, const char *name)
{
	int fd = openat(parent, name, OPEN_FLAGS | (is_trusted(parent) ? 0 : O_NOFOLLOW));

	return fd < 0 ? -errno : fd;
}

static int open_component(int parent, const char *name, bool make)
{
	int fd;

	if (make && mkdirat(parent, name, 0755) == 0) {
		/* Whatever the mask was. */
		(void)fchmodat(parent, name, 0755, 0);
	}
	fd = walk_open(parent, name);
	return fd == -ENOTDIR && !is_trusted(parent) ? -ELOOP : fd;
}

int walk_open_parent(const char *path, bool make, const char **name)
{
	int fd = open("/", OPEN_FLAGS);

	if (fd < 0) {
		return -errno;
	}
	for (path += strspn(path, "/");;) {
		size_t length = strcspn(path, "/");
		char component[NAME_MAX + 1];
		int next;

		if (path[length + strspn(path + length, "/")] == '\0') {
			*name = path;
			return fd;
		}
		if (length > NAME_MAX) {
			close(fd);
			return -ENAMETOOLONG;
		}
		memcpy(component, path, length);
		component[length] = '\0';
		next = open_component(fd, component, make);
		close(fd);
		if (next < 0) {
			return next;
		}
		fd = next;
		path += length + strspn(path + length, "/");
	}
}

/* A directory on the same mount; -EXDEV for another one. */
static int open_same_mount(int parent, const char *name)
{
	struct open_how how = {.flags = OPEN_FLAGS | O_NOFOLLOW,
		.resolve = RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH};
	long fd = syscall(SYS_openat2, parent, name, &how, sizeof(how));
	struct stat here, there;

	if (fd >= 0 || (errno != ENOSYS && errno != EPERM)) {
		return fd < 0 ? -errno : (int)fd;
	}
	fd = openat(parent, name, OPEN_FLAGS | O_NOFOLLOW);
	if (fd < 0) {
		return -errno;
	}
	if (fstat(parent, &here) < 0 || fstat((int)fd, &there) < 0 || here.st_dev != there.st_dev) {
		close((int)fd);
		return -EXDEV;
	}
	return (int)fd;
}

static bool is_dots(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* A listing of a directory that takes the descriptor only when it succeeds. */
static DIR *list_open(int fd)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	DIR *list = copy < 0 ? NULL : fdopendir(copy);

	if (!list && copy >= 0) {
		close(copy);
	}
	return list;
}

/* --- giving away --- */

static int chown_below(int fd, uid_t uid, gid_t gid, int depth);

static int chown_entry(int fd, const struct dirent *entry, uid_t uid, gid_t gid, int depth)
{
	struct stat status;
	int child, failed;

	if (fstatat(fd, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) < 0) {
		return errno == ENOENT ? 0 : -errno;
	}
	if (S_ISDIR(status.st_mode)) {
		child = open_same_mount(fd, entry->d_name);
		if (child < 0) {
			return child == -EXDEV || child == -ENOENT ? 0 : child;
		}
		failed = depth < DEPTH_MAX ? chown_below(child, uid, gid, depth + 1) : -ELOOP;
		close(child);
		return failed;
	}
	/* The kernel takes the set-user-ID bit away, and it stays away: to give it back by name
	 * would be to follow a link that the owner has put there meanwhile. */
	if (fchownat(fd, entry->d_name, uid, gid, AT_SYMLINK_NOFOLLOW) < 0) {
		return errno == ENOENT ? 0 : -errno;
	}
	return 0;
}

/* The directory itself last: its owner says whether it is done, also when we are killed. */
static int chown_below(int fd, uid_t uid, gid_t gid, int depth)
{
	DIR *list = list_open(fd);
	struct dirent *entry;
	int failed = list ? 0 : -errno;

	while (list && !failed && (entry = readdir(list))) {
		if (!is_dots(entry->d_name)) {
			failed = chown_entry(fd, entry, uid, gid, depth);
		}
	}
	if (list) {
		closedir(list);
	}
	if (!failed && fchown(fd, uid, gid) < 0) {
		failed = -errno;
	}
	return failed;
}

int walk_chown(int fd, uid_t uid, gid_t gid)
{
	return chown_below(fd, uid, gid, 0);
}

/* --- removing --- */

struct removal {
	int top;
	uint32_t budget, removed;
};

static int remove_entry(struct removal *r, int parent, const char *name, int depth);

/* What lies too deep is brought up to the top, which goes away as well. */
static int move_up(struct removal *r, int parent, const char *name)
{
	static uint32_t moved; /* in all calls: what was brought up before is still there */
	char to[64];

	snprintf(to, sizeof(to), ".removed-%d-%u", (int)getpid(), moved++);
	if (renameat(parent, name, r->top, to) < 0) {
		return -errno;
	}
	r->removed++;
	return 0;
}

static int remove_below(struct removal *r, int fd, int depth)
{
	DIR *list = list_open(fd);
	struct dirent *entry;
	int failed = list ? 0 : -errno;

	while (list && failed != -EAGAIN && (entry = readdir(list))) {
		if (!is_dots(entry->d_name)) {
			int one = remove_entry(r, fd, entry->d_name, depth);

			failed = one ? one : failed;
		}
	}
	if (list) {
		closedir(list);
	}
	return failed;
}

static int remove_directory(struct removal *r, int parent, const char *name, int depth)
{
	int fd = open_same_mount(parent, name), failed;

	/* Root needs no permission, and must not follow a link here. */
	if (fd == -EACCES && geteuid() != 0 && fchmodat(parent, name, 0700, 0) == 0) {
		fd = open_same_mount(parent, name);
	}
	if (fd < 0) {
		return fd == -EXDEV ? -EBUSY : fd;
	}
	if (depth == 0) {
		r->top = fd;
	}
	failed = remove_below(r, fd, depth + 1);
	if (failed == -EACCES && fchmod(fd, 0700) == 0) {
		failed = remove_below(r, fd, depth + 1);
	}
	close(fd);
	if (!failed && unlinkat(parent, name, AT_REMOVEDIR) < 0 && errno != ENOENT) {
		/* What was brought up since it was read is for the next time. */
		failed = errno == ENOTEMPTY ? -EAGAIN : -errno;
	}
	r->removed += !failed;
	return failed;
}

static int remove_entry(struct removal *r, int parent, const char *name, int depth)
{
	if (r->budget == 0) {
		return -EAGAIN;
	}
	r->budget--;
	if (unlinkat(parent, name, 0) == 0) {
		r->removed++;
		return 0;
	}
	if (errno == ENOENT) {
		return 0;
	}
	/* Of a directory it is EISDIR; POSIX has EPERM. */
	if (errno != EISDIR && errno != EPERM) {
		return -errno;
	}
	if (unlinkat(parent, name, AT_REMOVEDIR) == 0) {
		r->removed++;
		return 0;
	}
	if (errno != ENOTEMPTY && errno != EEXIST) {
		return -errno;
	}
	return depth >= DEPTH_MAX ? move_up(r, parent, name)
				  : remove_directory(r, parent, name, depth);
}

int walk_remove(int parent, const char *name, uint32_t *budget)
{
	struct removal r = {.top = -1, .budget = *budget};
	int failed = remove_entry(&r, parent, name, 0);

	*budget = r.budget;
	if (failed == -EAGAIN && r.removed == 0) {
		return -EBUSY; /* the same would happen again */
	}
	/* Where something was removed, more may be possible. */
	return failed && r.removed > 0 ? -EAGAIN : failed;
}
