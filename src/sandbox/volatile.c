#include "sandbox/volatile.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sandbox/files.h"
#include "sandbox/walk.h"

#define FOLDER       "volatile"
#define OPEN_FLAGS   (O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW)
#define ID_SIZE      64
#define TRIES        16
#define SWEEP_AT_ONE 4096 /* entries a call, where nobody waits for us */

static struct {
	int fd; /* of the record; 0: none */
	uint32_t noted;
	char *tmp[2];
} own;

/* --- the record --- */

static int record_open(const char *run_directory, const char *unit, bool make)
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

static bool read_link(int fd, const char *name, char *out, size_t size)
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
	int parent = walk_open_parent(path, false, &name), failed;

	if (parent < 0) {
		return parent == -ENOENT ? 0 : parent;
	}
	failed = walk_remove(parent, name, budget);
	close(parent);
	return failed;
}

/* Removes what the links of a record name. */
static int sweep(int record, bool stopped, uint32_t *budget)
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
			!read_link(record, entry->d_name, target, sizeof(target))) {
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

/* --- in coppice-exec --- */

static bool wants_record(const struct sandbox *s)
{
	bool wanted = sandbox_get(s, "PrivateTmp") != NULL;

	for (uint32_t i = 0; i < s->directories_count; i++) {
		wanted |= s->directories[i].kind == SANDBOX_RUNTIME;
	}
	return wanted;
}

/* Two processes of one incarnation may start at the same time, and the manager may take the record
 * away while we wait. */
static int record_lock(const struct sandbox *s)
{
	struct stat status;

	for (int i = 0; i < TRIES; i++) {
		int fd = record_open(s->run_directory, s->unit, wants_record(s));

		if (fd < 0) {
			return fd;
		}
		while (flock(fd, LOCK_EX) < 0 && errno == EINTR) {
		}
		if (fstat(fd, &status) == 0 && status.st_nlink > 0) {
			return fd;
		}
		close(fd);
	}
	return -EAGAIN;
}

void volatile_begin(const struct sandbox *s)
{
	const char *id = getenv("INVOCATION_ID");
	char before[ID_SIZE];
	int fd;

	if (!s->run_directory || !s->unit || !*s->unit) {
		return;
	}
	fd = record_lock(s);
	if (fd < 0) {
		return;
	}
	own.fd = fd;
	if (!id || strlen(id) >= ID_SIZE - 1) {
		return;
	}
	if (!read_link(fd, "id", before, sizeof(before)) || strcmp(before, id) != 0) {
		uint32_t budget = SWEEP_AT_ONE;

		while (sweep(fd, false, &budget) == -EAGAIN) {
			budget = SWEEP_AT_ONE;
		}
		unlinkat(fd, "id", 0);
		(void)symlinkat(id, fd, "id");
	}
}

void volatile_note(const char *path, bool kept)
{
	char name[32], target[PATH_MAX];

	for (uint32_t i = 0; own.fd > 0 && i < SANDBOX_DIRECTORIES_MAX * 2; i++) {
		snprintf(name, sizeof(name), "%c%u", kept ? 'k' : 'r', i);
		if (symlinkat(path, own.fd, name) == 0) {
			return;
		}
		if (errno != EEXIST || (read_link(own.fd, name, target, sizeof(target)) &&
					       strcmp(target, path) == 0)) {
			return;
		}
	}
}

/* The directory that this incarnation has already, if it is still ours. */
static char *tmp_find(const char *name)
{
	char path[PATH_MAX];
	struct stat status;

	if (!read_link(own.fd, name, path, sizeof(path))) {
		return NULL;
	}
	if (lstat(path, &status) == 0 && S_ISDIR(status.st_mode) && status.st_uid == geteuid()) {
		return files_printf("%s", path);
	}
	unlinkat(own.fd, name, 0);
	return NULL;
}

/* The name is a secret until the directory is there: nobody can have made it before. */
static char *tmp_make(const struct sandbox *s, const char *base, const char *name)
{
	for (int i = 0; i < TRIES; i++) {
		uint64_t number;
		char *path;

		if (getrandom(&number, sizeof(number), 0) != sizeof(number)) {
			return NULL;
		}
		path = files_printf("%s/coppice-private-%.*s-%016llx", base, (int)(NAME_MAX - 40),
			s->unit, (unsigned long long)number);
		if (symlinkat(path, own.fd, name) < 0) {
			free(path);
			return NULL;
		}
		/* Nobody else may enter; what is bound over /tmp is the directory in it. */
		if (mkdir(path, 0700) == 0) {
			return path;
		}
		unlinkat(own.fd, name, 0);
		free(path);
		if (errno != EEXIST) {
			return NULL;
		}
	}
	return NULL;
}

static char *tmp_get(const struct sandbox *s, const char *base, const char *name)
{
	char *path = tmp_find(name), *inner;

	path = path ? path : tmp_make(s, base, name);
	if (!path) {
		return NULL;
	}
	inner = files_printf("%s/tmp", path);
	free(path);
	if (mkdir(inner, 01777) == 0) {
		(void)chmod(inner, 01777);
	} else if (errno != EEXIST) {
		free(inner);
		return NULL;
	}
	return inner;
}

void volatile_make_tmp(const struct sandbox *s)
{
	if (own.fd > 0) {
		own.tmp[0] = tmp_get(s, "/tmp", "t0");
		own.tmp[1] = tmp_get(s, "/var/tmp", "t1");
	}
}

const char *volatile_private_tmp(int which)
{
	return own.tmp[which];
}

void volatile_end(void)
{
	if (own.fd > 0) {
		close(own.fd); /* and the lock is gone */
		own.fd = 0;
	}
}

/* --- in the manager --- */

int volatile_sweep(const char *run_directory, const char *unit, bool stopped, uint32_t budget)
{
	int fd = record_open(run_directory, unit, false), failed;
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
	failed = sweep(fd, stopped, &budget);
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
