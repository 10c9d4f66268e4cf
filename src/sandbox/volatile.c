#include "sandbox/volatile.h"

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

#define ID_SIZE      64
#define TRIES        16
#define SWEEP_AT_ONE 4096 /* entries a call, where nobody waits for us */

static struct {
	int fd; /* of the record; 0: none */
	uint32_t noted;
	char *tmp[2];
} own;

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
		int fd = volatile_open(s->run_directory, s->unit, wants_record(s));

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
	/* Beside a main process nothing goes, not even when a manager that had to begin anew,
	 * without its journal, counts incarnations in another way. */
	if (!id || strlen(id) >= ID_SIZE - 1 || getenv("MAINPID")) {
		return;
	}
	if (!volatile_read(fd, "id", before, sizeof(before)) || strcmp(before, id) != 0) {
		uint32_t budget = SWEEP_AT_ONE;

		while (volatile_clear(fd, false, &budget) == -EAGAIN) {
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
		if (errno != EEXIST || (volatile_read(own.fd, name, target, sizeof(target)) &&
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

	if (!volatile_read(own.fd, name, path, sizeof(path))) {
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
