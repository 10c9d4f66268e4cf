#include <dirent.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/str.h"
#include "manager/manager.h"

/* Conditions of systemd.unit(5) that ask about files. Others are taken as holding: the unit reader
 * has said so when it read them. */

static bool path_exists(const char *path)
{
	return access(path, F_OK) == 0;
}

static bool path_is(const char *path, mode_t type)
{
	struct stat status;
	return stat(path, &status) == 0 && (status.st_mode & S_IFMT) == type;
}

static bool path_is_directory(const char *path)
{
	return path_is(path, S_IFDIR);
}

static bool path_is_symlink(const char *path)
{
	struct stat status;
	return lstat(path, &status) == 0 && S_ISLNK(status.st_mode);
}

static bool path_is_mount_point(const char *path)
{
	struct stat here, above;
	char parent[4096];
	size_t length = strlen(path);
	if (length + 4 > sizeof(parent) || stat(path, &here) < 0) {
		return false;
	}
	memcpy(parent, path, length);
	memcpy(parent + length, "/..", 4);
	return stat(parent, &above) == 0 &&
	       (here.st_dev != above.st_dev || here.st_ino == above.st_ino);
}

static bool path_is_read_write(const char *path)
{
	return access(path, W_OK) == 0;
}

static bool file_not_empty(const char *path)
{
	struct stat status;
	return stat(path, &status) == 0 && S_ISREG(status.st_mode) && status.st_size > 0;
}

static bool file_is_executable(const char *path)
{
	struct stat status;
	return stat(path, &status) == 0 && S_ISREG(status.st_mode) && (status.st_mode & 0111) != 0;
}

static bool directory_not_empty(const char *path)
{
	DIR *dir = opendir(path);
	bool found = false;
	if (dir == NULL) {
		return false;
	}
	for (struct dirent *entry; !found && (entry = readdir(dir)) != NULL;) {
		found = strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
	}
	closedir(dir);
	return found;
}

/* ConditionUser=root, @system, a number: without looking anybody up. */
static bool user_is(const char *text)
{
	uint64_t number;
	if (strcmp(text, "root") == 0) {
		return geteuid() == 0;
	}
	if (strcmp(text, "@system") == 0) {
		return geteuid() < 1000;
	}
	return str_u64(text, 0, UINT32_MAX, &number) < 0 || number == geteuid();
}

static const struct {
	const char *name;
	bool (*holds)(const char *argument);
} tests[] = {
	{"ConditionPathExists=", path_exists},
	{"ConditionPathIsDirectory=", path_is_directory},
	{"ConditionPathIsSymbolicLink=", path_is_symlink},
	{"ConditionPathIsMountPoint=", path_is_mount_point},
	{"ConditionPathIsReadWrite=", path_is_read_write},
	{"ConditionFileNotEmpty=", file_not_empty},
	{"ConditionFileIsExecutable=", file_is_executable},
	{"ConditionDirectoryNotEmpty=", directory_not_empty},
	{"ConditionUser=", user_is},
};

static bool condition_holds(const char *text, bool *trigger)
{
	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
		if (!str_starts(text, tests[i].name)) {
			continue;
		}
		const char *argument = text + strlen(tests[i].name);
		*trigger = *argument == '|';
		argument += *trigger;
		bool negated = *argument == '!';
		argument += negated;
		return tests[i].holds(argument) != negated;
	}
	*trigger = false;
	return true;
}

bool conditions_hold(const struct unit *unit)
{
	bool any_trigger = false, triggered = false;
	for (uint32_t i = 0; unit->conditions != NULL && unit->conditions[i] != NULL; i++) {
		bool trigger;
		bool holds = condition_holds(unit->conditions[i], &trigger);
		if (!trigger && !holds) {
			return false;
		}
		any_trigger = any_trigger || trigger;
		triggered = triggered || (trigger && holds);
	}
	return !any_trigger || triggered;
}
