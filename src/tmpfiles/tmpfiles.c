#include "tmpfiles/tmpfiles.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/str.h"
#include "tmpfiles/walk.h"

#define LINES_MAX 65536

/* Lines of the base system's own, where no package brings them: what a Debian expects in /run. */
static const struct {
	const char *words[7];
} builtin[] = {
	{{"d", "/run/lock", "1777", "root", "root", NULL, NULL}},
	{{"d", "/run/user", "0755", "root", "root", NULL, NULL}},
	{{"f", "/run/utmp", "0664", "root", "utmp", NULL, NULL}},
	{{"L", "/var/lock", NULL, NULL, NULL, NULL, "/run/lock"}},
	{{"L", "/var/run", NULL, NULL, NULL, NULL, "/run"}},
};

/* A line, judged. */
struct item {
	struct config_line at;
	char type;
	bool append, boot_only, bear_failure, force;
	const char *path, *argument;
	bool mode_set, mode_masked, owner_new, group_new, mode_new; /* new: only what we make */
	mode_t mode;
	bool uid_set, gid_set;
	uid_t uid;
	gid_t gid;
};

struct tmpfiles {
	struct arena arena;
	unsigned problems, count;
	bool boot;
	struct item *items;
	const struct item *now; /* whose paths are walked */
};

/* --- judging a line --- */

static bool parse_owner(const char *word, bool is_group, uint32_t *id, bool *only_new)
{
	uint64_t number;
	*only_new = word[0] == ':';
	word += *only_new ? 1 : 0;
	if (str_u64(word, 0, UINT32_MAX - 1, &number) == 0) {
		*id = (uint32_t)number;
		return true;
	}
	if (is_group) {
		const struct group *group = getgrnam(word);
		*id = group != NULL ? group->gr_gid : 0;
		return group != NULL;
	}
	const struct passwd *user = getpwnam(word);
	*id = user != NULL ? user->pw_uid : 0;
	return user != NULL;
}

static bool parse_mode(const char *word, struct item *item)
{
	char *end;
	for (; *word == '~' || *word == ':'; word++) {
		item->mode_masked = item->mode_masked || *word == '~';
		item->mode_new = item->mode_new || *word == ':';
	}
	unsigned long mode = strtoul(word, &end, 8);
	item->mode = (mode_t)mode;
	item->mode_set = true;
	return *end == '\0' && end != word && mode <= 07777;
}

/* The letter and what stands behind it. */
static bool parse_type(const char *word, struct item *item)
{
	item->type = word[0];
	for (const char *at = word + 1; *at != '\0'; at++) {
		switch (*at) {
		case '+': item->append = true; break;
		case '!': item->boot_only = true; break;
		case '-': item->bear_failure = true; break;
		case '=': item->force = true; break;
		case '~':
		case '^':
		case '?':
		case '$': break;
		default: return false;
		}
	}
	return strchr("fFwdDeRrLpcbCzZvqQxXtThHaAm", item->type) != NULL;
}

static void judge(void *context, const struct config_line *line)
{
	struct tmpfiles *t = context;
	struct item item = {.at = *line};
	if (line->words[0] == NULL || line->words[1] == NULL ||
		!parse_type(line->words[0], &item)) {
		config_say(line, &t->problems, "expected TYPE PATH MODE USER GROUP AGE ARGUMENT");
		return;
	}
	item.path = config_expand(&t->arena, line->words[1]);
	item.argument = line->words[6] == NULL ? NULL : config_expand(&t->arena, line->words[6]);
	if (item.path == NULL || item.path[0] != '/' || (line->words[6] && !item.argument)) {
		config_say(line, &t->problems, "'%s' is not an absolute path, or has an unknown %%",
			line->words[1]);
		return;
	}
	if (line->words[2] != NULL && !parse_mode(line->words[2], &item)) {
		config_say(line, &t->problems, "'%s' is not a mode such as 0755", line->words[2]);
		return;
	}
	item.uid_set = line->words[3] != NULL;
	item.gid_set = line->words[4] != NULL;
	if ((item.uid_set && !parse_owner(line->words[3], false, &item.uid, &item.owner_new)) ||
		(item.gid_set && !parse_owner(line->words[4], true, &item.gid, &item.group_new))) {
		config_say(line, &t->problems, "there is no user '%s' or no group '%s'",
			line->words[3] ? line->words[3] : "-",
			line->words[4] ? line->words[4] : "-");
		return;
	}
	if (t->count < LINES_MAX) {
		t->items[t->count++] = item;
	}
}

/* --- carrying it out --- */

static int failure(int result)
{
	return result < 0 ? -errno : 0;
}

/* Mode and owner of what is there: `made` says that we have just made it. */
static int set_owner(const struct item *item, int fd, const struct stat *status, bool made)
{
	char path[64];
	uid_t uid = item->uid_set && (made || !item->owner_new) ? item->uid : status->st_uid;
	gid_t gid = item->gid_set && (made || !item->group_new) ? item->gid : status->st_gid;
	mode_t mode =
		item->mode_set && (made || !item->mode_new) ? item->mode : status->st_mode & 07777;
	if (item->mode_masked && item->mode_set) {
		mode &= 07700 | (status->st_mode & 0077) | ((status->st_mode & 0111) ? 0111 : 0);
	}
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	int failed = 0;
	if (uid != status->st_uid || gid != status->st_gid) {
		failed = failure(fchownat(fd, "", uid, gid, AT_EMPTY_PATH));
	}
	/* After a change of owner, which takes set-id bits away. A link has no mode. */
	if (failed == 0 && !S_ISLNK(status->st_mode)) {
		failed = failure(chmod(path, mode));
	}
	return failed;
}

/* What is there under the name, if it is of the right kind. A hard link to somebody's file is left
 * alone: it may have been laid there (fs.protected_hardlinks may be off). */
static int adjust(const struct item *item, int parent, const char *name, mode_t kind, bool made)
{
	struct stat status;
	int fd = openat(parent, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0) {
		return -errno;
	}
	int failed = failure(fstat(fd, &status));
	if (failed == 0 && kind != 0 && (status.st_mode & S_IFMT) != kind) {
		failed = kind == S_IFDIR ? -ENOTDIR : -EEXIST;
	}
	if (failed == 0 && S_ISREG(status.st_mode) && status.st_nlink > 1 && !made) {
		failed = -EMLINK;
	}
	if (failed == 0) {
		failed = set_owner(item, fd, &status, made);
	}
	close(fd);
	return failed;
}

static int write_text(int fd, const char *text)
{
	size_t length = strlen(text);
	return write(fd, text, length) == (ssize_t)length ? 0 : errno != 0 ? -errno : -EIO;
}

static int make_file(const struct item *item, int parent, const char *name)
{
	bool fresh = item->type == 'F' || item->append;
	int made = openat(parent, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	int fd = made;
	if (made < 0 && errno == EEXIST && fresh) {
		fd = openat(parent, name, O_WRONLY | O_TRUNC | O_NOFOLLOW | O_CLOEXEC);
	}
	if (fd < 0 && (errno != EEXIST || fresh)) {
		return -errno;
	}
	int failed = 0;
	if (fd >= 0) {
		failed = item->argument != NULL ? write_text(fd, item->argument) : 0;
		close(fd);
	}
	struct item whole = *item;
	if (!item->mode_set && made >= 0) {
		whole.mode_set = true;
		whole.mode = 0644;
	}
	return failed != 0 ? failed : adjust(&whole, parent, name, S_IFREG, made >= 0);
}

static int make_directory(const struct item *item, int parent, const char *name)
{
	bool made = mkdirat(parent, name, 0755) == 0;
	return made || errno == EEXIST ? adjust(item, parent, name, S_IFDIR, made) : -errno;
}

static int make_link(const struct item *item, int parent, const char *name)
{
	const char *target = item->argument;
	if (target == NULL) {
		target = "/usr/share/factory"; /* tmpfiles.d(5): from there, of the same name */
	}
	if (symlinkat(target, parent, name) == 0) {
		return 0;
	}
	if (errno != EEXIST || !item->append) {
		return errno == EEXIST ? 0 : -errno;
	}
	if (unlinkat(parent, name, 0) < 0) {
		return -errno;
	}
	return failure(symlinkat(target, parent, name));
}

static int make_node(const struct item *item, int parent, const char *name)
{
	mode_t kind = item->type == 'p' ? S_IFIFO : item->type == 'c' ? S_IFCHR : S_IFBLK;
	unsigned major_number = 0, minor_number = 0;
	if (kind != S_IFIFO &&
		(item->argument == NULL ||
			sscanf(item->argument, "%u:%u", &major_number, &minor_number) != 2)) {
		return -EINVAL;
	}
	bool made = mknodat(parent, name, kind | 0644, makedev(major_number, minor_number)) == 0;
	return made || errno == EEXIST ? adjust(item, parent, name, kind, made) : -errno;
}

/* Into what is there already: a setting of the kernel, mostly. */
static int write_file(const struct item *item, int parent, const char *name)
{
	int fd = openat(
		parent, name, O_WRONLY | O_NOFOLLOW | O_CLOEXEC | (item->append ? O_APPEND : 0));
	if (fd < 0) {
		return errno == ENOENT ? 0 : -errno;
	}
	int failed = item->argument != NULL ? write_text(fd, item->argument) : 0;
	close(fd);
	return failed;
}

static int copy_file(int from, int to, const char *name, mode_t mode)
{
	char buffer[65536];
	ssize_t size;
	int in = openat(from, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	int out = in < 0 ? -1
			 : openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
				   mode & 07777);
	int failed = in < 0 || out < 0 ? -errno : 0;
	while (failed == 0 && (size = read(in, buffer, sizeof(buffer))) != 0) {
		failed = size < 0 || write(out, buffer, (size_t)size) != size ? -EIO : 0;
	}
	if (in >= 0) {
		close(in);
	}
	if (out >= 0) {
		close(out);
	}
	return failed;
}

static int apply_copy(const struct item *item, int parent, const char *name)
{
	char source_name[NAME_MAX + 1];
	struct stat status;
	if (item->argument == NULL || faccessat(parent, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0) {
		return item->argument == NULL ? -EINVAL : 0;
	}
	int source = walk_parent(item->argument, false, source_name);
	if (source < 0) {
		return source == -ENOENT ? 0 : source;
	}
	int failed = failure(fstatat(source, source_name, &status, 0));
	if (failed == 0) {
		failed = S_ISREG(status.st_mode) && strcmp(source_name, name) == 0
				 ? copy_file(source, parent, name, status.st_mode)
				 : -EOPNOTSUPP;
	}
	close(source);
	return failed == -ENOENT ? 0 : failed != 0 ? failed : adjust(item, parent, name, 0, true);
}

static int make(const struct item *item, int parent, const char *name)
{
	switch (item->type) {
	case 'f':
	case 'F': return make_file(item, parent, name);
	case 'd':
	case 'D':
	case 'v':
	case 'q':
	case 'Q': return make_directory(item, parent, name);
	case 'L': return make_link(item, parent, name);
	case 'p':
	case 'c':
	case 'b': return make_node(item, parent, name);
	case 'w': return write_file(item, parent, name);
	case 'C': return apply_copy(item, parent, name);
	default: return 0;
	}
}

static void remove_one(void *context, int parent, const char *name, bool is_directory)
{
	struct tmpfiles *t = context;
	if (unlinkat(parent, name, is_directory ? AT_REMOVEDIR : 0) < 0 && errno != ENOENT) {
		config_say(
			&t->now->at, &t->problems, "cannot remove %s: %s", name, strerror(errno));
	}
}

static void adjust_one(void *context, int parent, const char *name, bool is_directory)
{
	struct tmpfiles *t = context;
	(void)is_directory;
	int failed = adjust(t->now, parent, name, 0, false);
	if (failed != 0) {
		config_say(
			&t->now->at, &t->problems, "cannot adjust %s: %s", name, strerror(-failed));
	}
}

static void say_failed(struct tmpfiles *t, const struct item *item, int failed)
{
	static const char unsafe[] =
		"a directory on the way belongs to a user, and what lies in it "
		"leads elsewhere";
	if (failed != 0 && !item->bear_failure) {
		config_say(&item->at, &t->problems, "%s: %s", item->path,
			failed == -ENOLINK ? unsafe : strerror(-failed));
	}
}

static void apply(struct tmpfiles *t, const struct item *item)
{
	char name[NAME_MAX + 1];
	t->now = item;
	switch (item->type) {
	case 'r':
	case 'R':
		say_failed(t, item, walk_glob(item->path, item->type == 'R', remove_one, t));
		return;
	case 'e':
	case 'z':
	case 'Z':
		say_failed(t, item, walk_glob(item->path, item->type == 'Z', adjust_one, t));
		return;
	case 'x':
	case 'X':
	case 't':
	case 'T':
	case 'h':
	case 'H':
	case 'a':
	case 'A':
	case 'm': return; /* of cleaning by age, attributes and ACLs: not here */
	default: break;
	}
	/* What only writes finds its place or is left out. */
	int parent = walk_parent(item->path, item->type != 'w', name);
	if (parent >= 0) {
		say_failed(t, item, make(item, parent, name));
		close(parent);
	} else if (item->type != 'w' || parent != -ENOENT) {
		say_failed(t, item, parent);
	}
}

static void judge_builtin(struct tmpfiles *t)
{
	for (size_t i = 0; i < sizeof(builtin) / sizeof(builtin[0]); i++) {
		struct config_line line = {.file = "(built in)", .number = (unsigned)i + 1};
		memcpy(line.words, builtin[i].words, sizeof(line.words));
		if (line.words[4] == NULL || getgrnam(line.words[4]) != NULL) {
			judge(t, &line);
		}
	}
}

/* What removes first, then what makes, and what lies above before what lies in it. */
static int compare(const void *a, const void *b)
{
	const struct item *x = a, *y = b;
	bool x_removes = x->type == 'r' || x->type == 'R',
	     y_removes = y->type == 'r' || y->type == 'R';
	if (x_removes != y_removes) {
		return x_removes ? -1 : 1;
	}
	int order = strcmp(x->path, y->path);
	return order != 0 ? order : x < y ? -1 : 1;
}

unsigned tmpfiles_apply(bool boot)
{
	struct tmpfiles t = {.boot = boot};
	t.items = calloc(LINES_MAX, sizeof(*t.items));
	if (t.items == NULL || config_read(&t.arena, "tmpfiles", &t.problems, judge, &t) < 0) {
		t.problems++;
	}
	if (t.items != NULL) {
		judge_builtin(&t);
		qsort(t.items, t.count, sizeof(*t.items), compare);
		for (unsigned i = 0; i < t.count; i++) {
			if (boot || !t.items[i].boot_only) {
				apply(&t, &t.items[i]);
			}
		}
	}
	free(t.items);
	arena_finish(&t.arena);
	return t.problems;
}
