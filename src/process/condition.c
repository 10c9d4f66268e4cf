#include "process/condition.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <glob.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/str.h"

const char *condition_root = "";

/* --- files of the system --- */

static bool rooted(const char *path, char *buf, size_t size)
{
	return snprintf(buf, size, "%s%s", condition_root, path) < (int)size;
}

bool condition_exists(const char *path)
{
	char whole[4096];
	return rooted(path, whole, sizeof(whole)) && access(whole, F_OK) == 0;
}

bool condition_read(const char *path, char *buf, size_t size)
{
	char whole[4096];
	int fd = rooted(path, whole, sizeof(whole))
			 ? open(whole, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK)
			 : -1;
	if (fd < 0) {
		return false;
	}
	size_t used = 0;
	ssize_t n;
	while (used < size - 1 && (n = read(fd, buf + used, size - 1 - used)) > 0) {
		used += (size_t)n;
	}
	close(fd);
	while (used > 0 && isspace((unsigned char)buf[used - 1])) {
		used--;
	}
	buf[used] = '\0';
	/* /proc/1/cmdline and its like: words that end with a NUL. */
	for (size_t i = 0; i + 1 < used; i++) {
		buf[i] = buf[i] == '\0' ? ' ' : buf[i];
	}
	return true;
}

/* --- files of the unit --- */

static bool path_exists(const char *path)
{
	return access(path, F_OK) == 0;
}

static bool path_exists_glob(const char *pattern)
{
	glob_t found;
	int r = glob(pattern, GLOB_NOSORT | GLOB_BRACE, NULL, &found);
	globfree(&found);
	return r == 0;
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

/* --- words and comparisons --- */

bool condition_word(const char **text, char *word, size_t size)
{
	const char *at = *text;
	size_t used = 0;
	char quote = '\0';
	while (isspace((unsigned char)*at)) {
		at++;
	}
	if (*at == '\0') {
		return false;
	}
	for (; *at != '\0' && (quote != '\0' || !isspace((unsigned char)*at)); at++) {
		if (quote == '\0' && (*at == '"' || *at == '\'')) {
			quote = *at;
		} else if (*at == quote && quote != '\0') {
			quote = '\0';
		} else if (used + 1 < size) {
			word[used++] = *at;
		}
	}
	word[used] = '\0';
	*text = at;
	return true;
}

/* Versions by the rules of systemd-analyze compare-versions(1), as far as they go for kernels and
 * distributions: stretches of digits by value, of letters by bytes, "~" before everything. */
static int version_compare(const char *a, const char *b)
{
	for (;;) {
		while (*a != '\0' && !isalnum((unsigned char)*a) && *a != '~') {
			a++;
		}
		while (*b != '\0' && !isalnum((unsigned char)*b) && *b != '~') {
			b++;
		}
		if (*a == '~' || *b == '~') {
			if (*a != *b) {
				return *a == '~' ? -1 : 1;
			}
			a++;
			b++;
			continue;
		}
		if (*a == '\0' || *b == '\0') {
			return (*a != '\0') - (*b != '\0');
		}
		bool digits = isdigit((unsigned char)*a) != 0;
		if (digits != (isdigit((unsigned char)*b) != 0)) {
			return digits ? 1 : -1;
		}
		while (digits && *a == '0') {
			a++;
		}
		while (digits && *b == '0') {
			b++;
		}
		size_t la = 0, lb = 0;
		while (digits ? isdigit((unsigned char)a[la]) : isalpha((unsigned char)a[la])) {
			la++;
		}
		while (digits ? isdigit((unsigned char)b[lb]) : isalpha((unsigned char)b[lb])) {
			lb++;
		}
		if (digits && la != lb) {
			return la > lb ? 1 : -1;
		}
		int order = strncmp(a, b, la < lb ? la : lb);
		if (order != 0 || la != lb) {
			return order != 0 ? order : (la > lb ? 1 : -1);
		}
		a += la;
		b += lb;
	}
}

enum operator{ OP_NONE, OP_LT, OP_LE, OP_EQ, OP_NE, OP_GE, OP_GT };

static enum operator take_operator(const char **text)
{
	static const struct {
		const char *sign;
		enum operator op;
	} signs[] = {{"<=", OP_LE}, {"<>", OP_NE}, {"<", OP_LT}, {"==", OP_EQ}, {"=", OP_EQ},
		{"!=", OP_NE}, {">=", OP_GE}, {">", OP_GT}};
	for (size_t i = 0; i < sizeof(signs) / sizeof(signs[0]); i++) {
		if (str_starts(*text, signs[i].sign)) {
			*text += strlen(signs[i].sign);
			*text += strspn(*text, " \t");
			return signs[i].op;
		}
	}
	return OP_NONE;
}

static bool order_is(int order, enum operator op)
{
	switch (op) {
	case OP_LT: return order < 0;
	case OP_LE: return order <= 0;
	case OP_EQ: return order == 0;
	case OP_NE: return order != 0;
	case OP_GE: return order >= 0;
	case OP_GT: return order > 0;
	case OP_NONE: break;
	}
	return false;
}

bool condition_compare_version(const char *have, const char *wanted, bool glob)
{
	enum operator op = take_operator(&wanted);
	if (op == OP_NONE) {
		return glob && fnmatch(wanted, have, 0) == 0;
	}
	return order_is(version_compare(have, wanted), op);
}

bool condition_compare_number(unsigned long long have, const char *wanted, bool is_bytes)
{
	static const char units[] = "KMGTPE";
	enum operator op = take_operator(&wanted);
	char *end;
	if (!isdigit((unsigned char)*wanted)) {
		return false;
	}
	unsigned long long number = strtoull(wanted, &end, 10);
	const char *unit = is_bytes && *end != '\0' ? strchr(units, *end) : NULL;
	if (unit != NULL) {
		number <<= 10 * (unsigned)(unit - units + 1);
		end++;
	} else if (is_bytes && *end == 'B') {
		end++;
	}
	if (*end != '\0') {
		return false;
	}
	return order_is((have > number) - (have < number), op == OP_NONE ? OP_GE : op);
}

/* --- the table --- */

static const struct {
	const char *name;
	bool (*holds)(const char *argument);
} tests[] = {
	{"ACPower", condition_ac_power},
	{"Architecture", condition_architecture},
	{"CPUFeature", condition_cpu_feature},
	{"CPUs", condition_cpus},
	{"Capability", condition_capability},
	{"ControlGroupController", condition_cgroup_controller},
	{"DirectoryNotEmpty", directory_not_empty},
	{"Environment", condition_environment},
	{"FileIsExecutable", file_is_executable},
	{"FileNotEmpty", file_not_empty},
	{"Firmware", condition_firmware},
	{"FirstBoot", condition_first_boot},
	{"Group", condition_group},
	{"Host", condition_host},
	{"KernelCommandLine", condition_kernel_command_line},
	{"KernelVersion", condition_kernel_version},
	{"Memory", condition_memory},
	{"NeedsUpdate", condition_needs_update},
	{"OSRelease", condition_os_release},
	{"PathExists", path_exists},
	{"PathExistsGlob", path_exists_glob},
	{"PathIsDirectory", path_is_directory},
	{"PathIsMountPoint", path_is_mount_point},
	{"PathIsReadWrite", path_is_read_write},
	{"PathIsSymbolicLink", path_is_symlink},
	{"Security", condition_security},
	{"User", condition_user},
	{"Virtualization", condition_virtualization},
};

void condition_check(const char *text, struct condition *out)
{
	*out = (struct condition){.holds = true};
	out->is_assert = str_starts(text, "Assert");
	const char *name = text + strlen(out->is_assert ? "Assert" : "Condition");
	const char *argument = strchr(text, '=');
	if (argument == NULL || argument < name) {
		return;
	}
	size_t length = (size_t)(argument - name);
	argument++;
	out->trigger = *argument == '|';
	argument += out->trigger;
	out->negated = *argument == '!';
	argument += out->negated;
	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
		if (strlen(tests[i].name) == length && strncmp(tests[i].name, name, length) == 0) {
			out->known = true;
			out->holds = tests[i].holds(argument) != out->negated;
			return;
		}
	}
}

/* What does not hold of the conditions, or of the asserts; NULL: all do. */
static const char *unmet(const char *const *list, bool asserts)
{
	const char *first_trigger = NULL;
	bool triggered = false;
	for (uint32_t i = 0; list[i] != NULL; i++) {
		struct condition condition;
		if (str_starts(list[i], "Assert") != asserts) {
			continue;
		}
		condition_check(list[i], &condition);
		if (!condition.trigger && !condition.holds) {
			return list[i];
		}
		if (condition.trigger) {
			first_trigger = first_trigger == NULL ? list[i] : first_trigger;
			triggered = triggered || condition.holds;
		}
	}
	return triggered ? NULL : first_trigger;
}

enum condition_verdict conditions_judge(const char *const *list, const char **culprit)
{
	*culprit = NULL;
	if (list == NULL) {
		return CONDITIONS_HOLD;
	}
	/* systemd.unit(5): conditions are looked at before asserts. */
	*culprit = unmet(list, false);
	if (*culprit != NULL) {
		return CONDITIONS_SKIP;
	}
	*culprit = unmet(list, true);
	return *culprit != NULL ? CONDITIONS_FAIL : CONDITIONS_HOLD;
}
