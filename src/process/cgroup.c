#include "process/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/str.h"
#include "process/spawn.h"

/* A group that has had its processes killed takes a moment to be empty; groups of groups deeper
 * than this were not made to be cleared away. */
#define DEPTH_MAX       16
#define KILL_ROUNDS     10
#define PIDS_MAX        4096
#define SUBTREES_MAX    100
#define SUBTREE         "coppice-"
#define FILE_SIZE_SMALL 4096

#define X(name, text) text,
const char *const cgroup_controller_names[CGROUP_CONTROLLER_COUNT] = {CGROUP_CONTROLLERS(X)};
#undef X

/* --- files --- */

static ssize_t read_at(int dir, const char *file, char *buf, size_t size)
{
	int fd = openat(dir, file, O_RDONLY | O_CLOEXEC);
	size_t have = 0;
	ssize_t n = 1;
	if (fd < 0) {
		return -errno;
	}
	while (n > 0 && have < size - 1) {
		n = read(fd, buf + have, size - 1 - have);
		have += n > 0 ? (size_t)n : 0;
	}
	int failed = n < 0 ? -errno : 0;
	close(fd);
	buf[have] = '\0';
	return failed != 0 ? failed : (ssize_t)have;
}

int cgroup_write(int group, const char *file, const char *value)
{
	int fd = openat(group, file, O_WRONLY | O_CLOEXEC);
	if (fd < 0) {
		return -errno;
	}
	int failed = write(fd, value, strlen(value)) < 0 ? -errno : 0;
	close(fd);
	return failed;
}

int cgroup_read_key(int group, const char *file, const char *key, uint64_t *value)
{
	char text[FILE_SIZE_SMALL];
	ssize_t length = read_at(group, file, text, sizeof(text));
	size_t size = strlen(key);
	if (length < 0) {
		return (int)length;
	}
	for (char *line = text; *line != '\0';) {
		size_t end = strcspn(line, "\n");
		if (strncmp(line, key, size) == 0 && line[size] == ' ') {
			*value = strtoull(line + size + 1, NULL, 10);
			return 0;
		}
		line += end + (line[end] == '\n');
	}
	return -ENOENT;
}

/* --- our own place --- */

/* "/a\040b" of mountinfo, in place. */
static void unescape(char *text)
{
	char *to = text;
	for (const char *from = text; *from != '\0';) {
		if (from[0] == '\\' && strspn(from + 1, "01234567") >= 3) {
			*to++ = (char)((from[1] - '0') << 6 | (from[2] - '0') << 3 |
				       (from[3] - '0'));
			from += 4;
		} else {
			*to++ = *from++;
		}
	}
	*to = '\0';
}

/* Where the hierarchy is mounted, and which of its directories is there. */
static int find_mount(char *point, char *root, size_t size)
{
	FILE *file = fopen("/proc/self/mountinfo", "re");
	char *line = NULL;
	size_t room = 0;
	int found = -ENOENT;
	if (file == NULL) {
		return -errno;
	}
	while (found != 0 && getline(&line, &room, file) > 0) {
		const char *type = strstr(line, " - cgroup2 ");
		char *rest, *field = type == NULL ? NULL : strtok_r(line, " ", &rest);
		for (int i = 0; field != NULL && i < 3; i++) {
			field = strtok_r(NULL, " ", &rest);
		}
		char *where = field == NULL ? NULL : strtok_r(NULL, " ", &rest);
		if (where != NULL) {
			unescape(field);
			unescape(where);
			found = str_copy(root, size, field) && str_copy(point, size, where)
					? 0
					: -ENAMETOOLONG;
		}
	}
	free(line);
	(void)fclose(file);
	return found;
}

static int read_path(pid_t pid, char *path, size_t size)
{
	char name[48], text[CGROUP_PATH_SIZE];
	if (pid == 0) {
		str_copy(name, sizeof(name), "/proc/self/cgroup");
	} else {
		snprintf(name, sizeof(name), "/proc/%d/cgroup", pid);
	}
	ssize_t length = read_at(AT_FDCWD, name, text, sizeof(text));
	if (length < 0) {
		return (int)length;
	}
	for (char *line = text; *line != '\0';) {
		size_t end = strcspn(line, "\n");
		char after = line[end];
		line[end] = '\0';
		if (strncmp(line, "0::", 3) == 0) {
			return str_copy(path, size, line + 3) ? 0 : -ENAMETOOLONG;
		}
		line += end + (after == '\n');
	}
	return -ENOENT;
}

int cgroup_find(pid_t pid, char *directory, size_t size)
{
	static char point[CGROUP_PATH_SIZE], root[CGROUP_PATH_SIZE], path[CGROUP_PATH_SIZE];
	int failed = find_mount(point, root, sizeof(point));
	if (failed == 0) {
		failed = read_path(pid, path, sizeof(path));
	}
	if (failed != 0) {
		return failed;
	}
	/* Outside of the namespace, or of what is mounted here. */
	size_t skip = strcmp(root, "/") == 0 ? 0 : strlen(root);
	if (strncmp(path, "/..", 3) == 0 || strncmp(path, root, skip) != 0 ||
		(path[skip] != '/' && path[skip] != '\0')) {
		return -ENOENT;
	}
	const char *below = strcmp(path + skip, "/") == 0 ? "" : path + skip;
	return (size_t)snprintf(directory, size, "%s%s", point, below) < size ? 0 : -ENAMETOOLONG;
}

/* What is left of somebody who was killed. */
static void clear_below(int dir)
{
	DIR *list = fdopendir(dup(dir));
	for (struct dirent *entry; list != NULL && (entry = readdir(list)) != NULL;) {
		if (entry->d_type == DT_DIR && entry->d_name[0] != '.') {
			(void)cgroup_remove(dir, entry->d_name);
		}
	}
	if (list != NULL) {
		closedir(list);
	}
}

static int lock_subtree(int at, const char *name)
{
	struct stat opened, named;
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0) {
		return -errno;
	}
	/* Between the opening and the lock somebody may have cleared it away as nobody's. */
	if (flock(fd, LOCK_EX | LOCK_NB) == 0 && fstat(fd, &opened) == 0 &&
		fstatat(at, name, &named, 0) == 0 && named.st_ino == opened.st_ino) {
		return fd;
	}
	close(fd);
	return -EBUSY;
}

/* Those that nobody holds, and nobody lives in. */
static void clear_abandoned(const char *base, int at)
{
	DIR *list = opendir(base);
	for (struct dirent *entry; list != NULL && (entry = readdir(list)) != NULL;) {
		const char *name = entry->d_name;
		bool ours = str_starts(name, SUBTREE) && name[strlen(SUBTREE)] >= '0' &&
			    name[strlen(SUBTREE)] <= '9';
		int fd = ours ? lock_subtree(at, name) : -1;
		if (fd >= 0) {
			(void)cgroup_remove(at, name);
			close(fd);
		}
	}
	if (list != NULL) {
		closedir(list);
	}
}

int cgroup_subtree_open(const char *base, pid_t number)
{
	int at = open(base, O_PATH | O_DIRECTORY | O_CLOEXEC), fd = at < 0 ? -errno : -EBUSY;
	if (at >= 0) {
		clear_abandoned(base, at);
	}
	for (int i = 1; at >= 0 && i <= SUBTREES_MAX && (fd == -EBUSY || fd == -ENOENT); i++) {
		char name[64];
		snprintf(name, sizeof(name), i == 1 ? SUBTREE "%d" : SUBTREE "%d.%d", number, i);
		bool made = mkdirat(at, name, 0755) == 0;
		if (!made && errno != EEXIST) {
			fd = -errno;
			break;
		}
		fd = lock_subtree(at, name);
		if (fd >= 0 && !made) {
			clear_below(fd);
		}
	}
	if (at >= 0) {
		close(at);
	}
	return fd;
}

/* --- controllers --- */

enum cgroup_controller cgroup_controller_of(const char *file)
{
	size_t length = strcspn(file, ".");
	int i = 0;
	while (i < CGROUP_CONTROLLER_COUNT &&
		(strlen(cgroup_controller_names[i]) != length ||
			strncmp(cgroup_controller_names[i], file, length) != 0)) {
		i++;
	}
	return (enum cgroup_controller)i;
}

static uint32_t read_set(int dir, const char *file)
{
	char text[FILE_SIZE_SMALL];
	uint32_t set = 0;
	if (read_at(dir, file, text, sizeof(text)) < 0) {
		return 0;
	}
	char *rest, *word = strtok_r(text, " \n", &rest);
	for (; word != NULL; word = strtok_r(NULL, " \n", &rest)) {
		enum cgroup_controller controller = cgroup_controller_of(word);
		set |= controller < CGROUP_CONTROLLER_COUNT ? UINT32_C(1) << controller : 0;
	}
	return set;
}

uint32_t cgroup_available(int dir)
{
	return read_set(dir, "cgroup.controllers");
}

/* One by one: a write of several is refused whole. */
static void change_set(int dir, uint32_t set, char sign)
{
	for (int i = 0; i < CGROUP_CONTROLLER_COUNT; i++) {
		char word[32];
		if (set >> i & 1) {
			snprintf(word, sizeof(word), "%c%s", sign, cgroup_controller_names[i]);
			(void)cgroup_write(dir, "cgroup.subtree_control", word);
		}
	}
}

uint32_t cgroup_enable(int dir, uint32_t wanted)
{
	uint32_t now = read_set(dir, "cgroup.subtree_control");
	uint32_t missing = wanted & cgroup_available(dir) & ~now;
	if (missing == 0) {
		return now;
	}
	change_set(dir, missing, '+');
	return read_set(dir, "cgroup.subtree_control");
}

void cgroup_disable(int dir, uint32_t which)
{
	change_set(dir, which, '-');
}

bool cgroup_is_root(int dir)
{
	return faccessat(dir, "cgroup.type", F_OK, 0) < 0;
}

/* --- groups --- */

bool cgroup_name(const char *unit, char *name, size_t size)
{
	bool odd = unit[0] == '_' || unit[0] == '.' || str_starts(unit, "cgroup.") ||
		   str_starts(unit, "coppice.") ||
		   cgroup_controller_of(unit) < CGROUP_CONTROLLER_COUNT;
	return (size_t)snprintf(name, size, "%s%s", odd ? "_" : "", unit) < size;
}

int cgroup_open(int top, const char *name)
{
	int fd = openat(top, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int cgroup_make(int top, const char *name)
{
	if (mkdirat(top, name, 0755) < 0 && errno != EEXIST) {
		return -errno;
	}
	return cgroup_open(top, name);
}

/* The deepest first. */
static int remove_tree(int top, const char *name, int depth)
{
	if (unlinkat(top, name, AT_REMOVEDIR) == 0 || errno == ENOENT) {
		return 0;
	}
	int failed = -errno;
	int fd = depth == 0 ? -1 : openat(top, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *list = fd < 0 ? NULL : fdopendir(fd);
	if (list == NULL) {
		if (fd >= 0) {
			close(fd);
		}
		return failed;
	}
	for (struct dirent *entry; (entry = readdir(list)) != NULL;) {
		if (entry->d_type == DT_DIR && entry->d_name[0] != '.') {
			(void)remove_tree(dirfd(list), entry->d_name, depth - 1);
		}
	}
	/* Ours have a dot in front (".control"). */
	(void)unlinkat(dirfd(list), ".control", AT_REMOVEDIR);
	closedir(list);
	return unlinkat(top, name, AT_REMOVEDIR) == 0 || errno == ENOENT ? 0 : -errno;
}

int cgroup_remove(int top, const char *name)
{
	return remove_tree(top, name, DEPTH_MAX);
}

bool cgroup_populated(int group)
{
	uint64_t value = 0;
	return cgroup_read_key(group, "cgroup.events", "populated", &value) == 0 && value != 0;
}

int cgroup_pids(int group, pid_t *list, int room)
{
	int fd = openat(group, "cgroup.procs", O_RDONLY | O_CLOEXEC);
	FILE *file = fd < 0 ? NULL : fdopen(fd, "r");
	int count = 0, pid;
	if (file == NULL) {
		int failed = -errno;
		if (fd >= 0) {
			close(fd);
		}
		return failed;
	}
	/* 0 is a process of another PID namespace. */
	while (count < room && fscanf(file, "%d", &pid) == 1) {
		if (pid > 0) {
			list[count++] = pid;
		}
	}
	(void)fclose(file);
	return count;
}

bool cgroup_has(int group, pid_t pid)
{
	static pid_t list[PIDS_MAX];
	int count = cgroup_pids(group, list, PIDS_MAX);
	for (int i = 0; i < count; i++) {
		if (list[i] == pid) {
			return true;
		}
	}
	return false;
}

int cgroup_put(int group, pid_t pid)
{
	char text[16];
	snprintf(text, sizeof(text), "%d", pid);
	return cgroup_write(group, "cgroup.procs", text);
}

/* --- signals --- */

struct member {
	int group;
	pid_t pid;
};

/* Asked when the process is held by a pidfd. The list is read again: a number that is in it now and
 * was free before belongs to a process of the group too. */
static bool is_member(void *context)
{
	const struct member *member = context;
	char path[48], link[64], at[CGROUP_PATH_SIZE], where[CGROUP_PATH_SIZE];
	if (read_path(member->pid, where, sizeof(where)) != 0) {
		return false;
	}
	snprintf(link, sizeof(link), "/proc/self/fd/%d", member->group);
	snprintf(path, sizeof(path), "/proc/%d", member->pid);
	ssize_t length = readlink(link, at, sizeof(at) - 1);
	at[length > 0 ? length : 0] = '\0';
	/* The end of the file's path is the group's; what is before it is the mount. */
	return str_ends(at, where) && access(path, F_OK) == 0;
}

static int signal_here(int group, int signo, pid_t spare)
{
	static pid_t list[PIDS_MAX];
	int count = cgroup_pids(group, list, PIDS_MAX), done = 0;
	for (int i = 0; i < count; i++) {
		struct member member = {group, list[i]};
		if (list[i] != spare &&
			process_signal(list[i], signo, false, is_member, &member) == 0) {
			done++;
		}
	}
	return done;
}

/* A directory of this file system has a link for each one below it. */
static bool has_groups(int group)
{
	struct stat status;
	return fstat(group, &status) == 0 && status.st_nlink > 2;
}

static int signal_tree(int group, int signo, pid_t spare, int depth)
{
	int done = signal_here(group, signo, spare);
	int fd = depth == 0 || !has_groups(group)
			 ? -1
			 : openat(group, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *list = fd < 0 ? NULL : fdopendir(fd);
	for (struct dirent *entry; list != NULL && (entry = readdir(list)) != NULL;) {
		bool below = entry->d_type == DT_DIR && strcmp(entry->d_name, ".") != 0 &&
			     strcmp(entry->d_name, "..") != 0;
		int child = below ? cgroup_open(fd, entry->d_name) : -1;
		if (child >= 0) {
			done += signal_tree(child, signo, spare, depth - 1);
			close(child);
		}
	}
	if (list != NULL) {
		closedir(list);
	}
	return done;
}

int cgroup_signal(int group, int signo, pid_t spare)
{
	return signal_tree(group, signo, spare, DEPTH_MAX);
}

static int kill_each(int group)
{
	/* Whoever forks faster than this is for the next attempt. */
	for (int i = 0; i < KILL_ROUNDS && cgroup_signal(group, SIGKILL, 0) > 0; i++) {
	}
	return 0;
}

int cgroup_kill(int group)
{
	int failed = cgroup_write(group, "cgroup.kill", "1");
	return failed == -ENOENT ? kill_each(group) : failed;
}

bool cgroup_wait_empty(int group, int timeout_ms)
{
	int fd = openat(group, "cgroup.events", O_RDONLY | O_CLOEXEC);
	struct pollfd watch = {.fd = fd, .events = POLLPRI};
	char text[256];
	bool empty = fd < 0;
	/* The file is read, then waited for, then read: a change between is not missed. */
	for (int rounds = 0; !empty && rounds < 8; rounds++) {
		ssize_t length = pread(fd, text, sizeof(text) - 1, 0);
		text[length > 0 ? length : 0] = '\0';
		empty = length <= 0 || strstr(text, "populated 0") != NULL;
		if (!empty && poll(&watch, 1, timeout_ms) <= 0) {
			break;
		}
	}
	if (fd >= 0) {
		close(fd);
	}
	return empty;
}

/* --- settings --- */

/* The whole disk of a partition: limits are the disk's. */
static dev_t whole_disk(dev_t device)
{
	char path[96], text[64];
	unsigned first, second;
	snprintf(
		path, sizeof(path), "/sys/dev/block/%u:%u/partition", major(device), minor(device));
	if (access(path, F_OK) < 0) {
		return device;
	}
	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/../dev", major(device), minor(device));
	if (read_at(AT_FDCWD, path, text, sizeof(text)) < 0 ||
		sscanf(text, "%u:%u", &first, &second) != 2) {
		return device;
	}
	return makedev(first, second);
}

int cgroup_device_value(const char *value, char *out, size_t size)
{
	char path[CGROUP_PATH_SIZE];
	struct stat status;
	size_t length = strcspn(value, " ");
	if (length >= sizeof(path)) {
		return -ENAMETOOLONG;
	}
	memcpy(path, value, length);
	path[length] = '\0';
	if (stat(path, &status) < 0) {
		return -errno;
	}
	dev_t device = S_ISBLK(status.st_mode) ? status.st_rdev : status.st_dev;
	if (major(device) == 0) {
		return -ENODEV; /* no disk: tmpfs, overlay, … */
	}
	device = whole_disk(device);
	return (size_t)snprintf(
		       out, size, "%u:%u%s", major(device), minor(device), value + length) < size
		       ? 0
		       : -ENAMETOOLONG;
}

static uint64_t read_number(const char *path)
{
	char text[64];
	return read_at(AT_FDCWD, path, text, sizeof(text)) < 0 ? 0 : strtoull(text, NULL, 10);
}

int cgroup_relative_value(const char *file, uint32_t percent_100, char *out, size_t size)
{
	uint64_t whole;
	if (cgroup_controller_of(file) == CGROUP_PIDS) {
		uint64_t numbers = read_number("/proc/sys/kernel/pid_max");
		uint64_t threads = read_number("/proc/sys/kernel/threads-max");
		whole = numbers < threads || threads == 0 ? numbers : threads;
	} else {
		whole = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
	}
	if (whole == 0) {
		return -ENODATA;
	}
	uint64_t part = whole / 10000 * percent_100 + whole % 10000 * percent_100 / 10000;
	snprintf(out, size, "%llu", (unsigned long long)(part > 0 ? part : 1));
	return 0;
}
