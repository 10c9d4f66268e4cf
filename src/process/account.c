#include "process/account.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"

static int find_in_file(const char *path, int (*matches)(FILE *file, void *context), void *context)
{
	FILE *file = fopen(path, "re");
	int found;
	if (file == NULL) {
		return errno == ENOENT ? -ESRCH : -errno;
	}
	do {
		found = matches(file, context);
	} while (found == 0);
	fclose(file);
	return found > 0 ? 0 : found;
}

struct question {
	const char *name;
	uid_t uid;
	gid_t gid;
	char buffer[8192];
};

/* 1: this is it, 0: another one, -ESRCH: the end. */
static int user_matches(FILE *file, void *context)
{
	struct question *q = context;
	struct passwd entry, *got;
	int failed = fgetpwent_r(file, &entry, q->buffer, sizeof(q->buffer), &got);
	if (failed != 0) {
		return failed == ERANGE ? 0 : -ESRCH;
	}
	q->uid = entry.pw_uid;
	q->gid = entry.pw_gid;
	return strcmp(entry.pw_name, q->name) == 0;
}

static int group_matches(FILE *file, void *context)
{
	struct question *q = context;
	struct group entry, *got;
	int failed = fgetgrent_r(file, &entry, q->buffer, sizeof(q->buffer), &got);
	if (failed != 0) {
		return failed == ERANGE ? 0 : -ESRCH;
	}
	q->gid = entry.gr_gid;
	return strcmp(entry.gr_name, q->name) == 0;
}

int account_find_user(const char *name, uid_t *uid, gid_t *gid)
{
	struct question question = {.name = name};
	uint64_t number;
	if (str_u64(name, 0, UINT32_MAX - 1, &number) == 0) {
		*uid = (uid_t)number;
		*gid = (gid_t)-1;
		return 0;
	}
	int failed = find_in_file("/etc/passwd", user_matches, &question);
	if (failed == 0) {
		*uid = question.uid;
		*gid = question.gid;
	}
	return failed;
}

int account_find_group(const char *name, gid_t *gid)
{
	struct question question = {.name = name};
	uint64_t number;
	if (str_u64(name, 0, UINT32_MAX - 1, &number) == 0) {
		*gid = (gid_t)number;
		return 0;
	}
	int failed = find_in_file("/etc/group", group_matches, &question);
	if (failed == 0) {
		*gid = question.gid;
	}
	return failed;
}
