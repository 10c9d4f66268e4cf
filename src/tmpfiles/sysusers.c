#include "tmpfiles/tmpfiles.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <shadow.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/str.h"

/* Where system users lie (Debian policy 9.2.2); searched from above, as systemd-sysusers does. */
#define SYSTEM_ID_MIN 100
#define SYSTEM_ID_MAX 999

struct sysusers {
	struct arena arena;
	unsigned problems;
	char pass; /* 'g' groups first, then 'u', then 'm' */
};

/* A line at the end of a database, all of it or nothing: a new file takes the place of the old. */
static int append(const char *path, const char *format, ...) __attribute__((format(printf, 2, 3)));
static int append(const char *path, const char *format, ...)
{
	char next[64], buffer[4096];
	struct stat status;
	size_t size;
	snprintf(next, sizeof(next), "%s.coppice", path);
	FILE *from = fopen(path, "re");
	if (from == NULL || fstat(fileno(from), &status) < 0) {
		int failed = errno;
		if (from != NULL) {
			fclose(from);
		}
		return failed == ENOENT ? 0 : -failed; /* a system without shadow files */
	}
	FILE *to = fopen(next, "we");
	bool good = to != NULL && fchown(fileno(to), status.st_uid, status.st_gid) == 0 &&
		    fchmod(fileno(to), status.st_mode & 07777) == 0;
	int last = '\n';
	while (good && (size = fread(buffer, 1, sizeof(buffer), from)) > 0) {
		good = fwrite(buffer, 1, size, to) == size;
		last = buffer[size - 1];
	}
	va_list args;
	va_start(args, format);
	good = good && (last == '\n' || fputc('\n', to) != EOF) && vfprintf(to, format, args) > 0 &&
	       fflush(to) == 0 && fsync(fileno(to)) == 0;
	va_end(args);
	fclose(from);
	good = to != NULL && fclose(to) == 0 && good && rename(next, path) == 0;
	int failed = errno;
	if (!good) {
		unlink(next);
	}
	return good ? 0 : failed != 0 ? -failed : -EIO;
}

static bool id_is_free(uint32_t id)
{
	return getpwuid(id) == NULL && getgrgid(id) == NULL;
}

/* The number asked for, if it is free; a free one else. */
static uint32_t choose_id(const char *wanted)
{
	uint64_t number;
	if (wanted != NULL && str_u64(wanted, 1, UINT32_MAX - 1, &number) == 0 &&
		id_is_free((uint32_t)number)) {
		return (uint32_t)number;
	}
	for (uint32_t id = SYSTEM_ID_MAX; id >= SYSTEM_ID_MIN; id--) {
		if (id_is_free(id)) {
			return id;
		}
	}
	return 0;
}

static int add_group(const char *name, uint32_t gid)
{
	int failed = append("/etc/group", "%s:x:%u:\n", name, gid);
	return failed != 0 ? failed : append("/etc/gshadow", "%s:!*::\n", name);
}

static int make_group(const struct config_line *line, const char *name)
{
	uint32_t gid = choose_id(line->words[2]);
	if (getgrnam(name) != NULL) {
		return 0;
	}
	return gid == 0 ? -ENOSPC : add_group(name, gid);
}

/* "UID", "UID:GID", "UID:GROUP" or nothing. */
static int find_ids(const char *word, const char *name, uint32_t *uid, uint32_t *gid)
{
	char number[16] = "";
	const char *colon = word != NULL ? strchr(word, ':') : NULL;
	const struct group *own = getgrnam(name);
	if (word != NULL && (!str_copy(number, sizeof(number), word))) {
		return -EINVAL;
	}
	number[strcspn(number, ":")] = '\0';
	if (colon != NULL) {
		uint64_t value;
		const struct group *group = getgrnam(colon + 1);
		bool numeric = str_u64(colon + 1, 0, UINT32_MAX - 1, &value) == 0;
		*gid = group != NULL ? group->gr_gid : (uint32_t)(numeric ? value : 0);
		*uid = choose_id(number[0] != '\0' && number[0] != '-' ? number : NULL);
		return group == NULL && !numeric ? -ENOENT : 0;
	}
	*uid = own != NULL && getpwuid(own->gr_gid) == NULL && number[0] == '\0'
		       ? own->gr_gid
		       : choose_id(number);
	*gid = own != NULL ? own->gr_gid : *uid;
	return own != NULL ? 0 : add_group(name, *gid);
}

static int make_user(struct sysusers *s, const struct config_line *line, const char *name)
{
	uint32_t uid = 0, gid = 0;
	if (getpwnam(name) != NULL) {
		return 0;
	}
	int failed = find_ids(line->words[2], name, &uid, &gid);
	if (failed != 0 || uid == 0) {
		return failed != 0 ? failed : -ENOSPC;
	}
	const char *home = line->words[4] != NULL ? config_expand(&s->arena, line->words[4]) : "/";
	const char *text = line->words[3] != NULL ? line->words[3] : "";
	const char *shell = line->words[5] != NULL ? line->words[5] : "/usr/sbin/nologin";
	if (home == NULL || strpbrk(text, ":\n") != NULL || strchr(home, ':') != NULL) {
		return -EINVAL;
	}
	failed = append("/etc/passwd", "%s:x:%u:%u:%s:%s:%s\n", name, uid, gid, text, home, shell);
	return failed != 0 ? failed
			   : append("/etc/shadow", "%s:!*:%ld::::::\n", name,
				     (long)(time(NULL) / 86400));
}

/* A member more in a group: the whole database is written again. */
static int make_member(const char *user, const char *name)
{
	static const char next[] = "/etc/group.coppice";
	struct stat status;
	const struct group *group = getgrnam(name);
	for (char **member = group != NULL ? group->gr_mem : NULL; member && *member; member++) {
		if (strcmp(*member, user) == 0) {
			return 0;
		}
	}
	if (group == NULL || getpwnam(user) == NULL || stat("/etc/group", &status) < 0) {
		return -ENOENT;
	}
	FILE *from = fopen("/etc/group", "re"), *to = fopen(next, "we");
	bool good = from != NULL && to != NULL && fchmod(fileno(to), status.st_mode & 07777) == 0;
	char *line = NULL;
	size_t room = 0, length = strlen(name);
	while (good && getline(&line, &room, from) >= 0) {
		line[strcspn(line, "\n")] = '\0';
		bool it = strncmp(line, name, length) == 0 && line[length] == ':';
		good = fprintf(to, "%s%s%s\n", line, it && !str_ends(line, ":") ? "," : "",
			       it ? user : "") > 0;
	}
	free(line);
	good = from != NULL && fclose(from) == 0 && good;
	good = to != NULL && fclose(to) == 0 && good && rename(next, "/etc/group") == 0;
	return good ? 0 : -EIO;
}

static void apply(void *context, const struct config_line *line)
{
	struct sysusers *s = context;
	const char *type = line->words[0] != NULL ? line->words[0] : "";
	const char *name = line->words[1] != NULL ? config_expand(&s->arena, line->words[1]) : NULL;
	int failed = 0;
	if (strlen(type) > 2 || strchr("ugmr", type[0]) == NULL || type[0] == '\0' ||
		name == NULL) {
		if (s->pass == 'g') {
			config_say(line, &s->problems, "expected u, g, m or r, and a name");
		}
		return;
	}
	if (type[0] != s->pass) {
		return;
	}
	if (strpbrk(name, ":\n/ ") != NULL) {
		failed = -EINVAL;
	} else if (s->pass == 'g') {
		failed = make_group(line, name);
	} else if (s->pass == 'u') {
		failed = make_user(s, line, name);
	} else if (s->pass == 'm') {
		failed = line->words[2] != NULL ? make_member(name, line->words[2]) : -EINVAL;
	}
	if (failed != 0) {
		config_say(line, &s->problems, "cannot make '%s': %s", name, strerror(-failed));
	}
}

unsigned sysusers_apply(void)
{
	struct sysusers s = {0};
	bool locked = lckpwdf() == 0; /* a read-only /etc says it later, line by line */
	for (const char *pass = "gum"; *pass != '\0'; pass++) {
		s.pass = *pass;
		if (config_read(&s.arena, "sysusers", &s.problems, apply, &s) < 0) {
			s.problems++;
		}
	}
	if (locked) {
		ulckpwdf();
	}
	arena_finish(&s.arena);
	return s.problems;
}
