/*
 * coppice-exec: sets up, in a process of its own, what can block or allocate (names of users and
 * groups, home directories), and then becomes the service.
 *
 *   coppice-exec [OPTION]... [--] PATH ARGV0 [ARG]...
 *
 * It says one line on standard error and leaves with the exit status of the step that failed, as
 * systemd.exec(5) numbers them; process_helper_step() reads them.
 */
#include <errno.h>
#include <getopt.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"
#include "process/child.h"

#define GROUPS_MAX 1024
#define NUMBER_MAX (UINT32_MAX - 1) /* (uid_t)-1 is "leave it" to the kernel */

extern char **environ;

struct options {
	const char *user, *group, *supplementary_groups, *directory, *keep;
};

struct identity {
	bool set_user, set_group;
	uid_t uid;
	gid_t gid;
	const char *name, *home, *shell; /* NULL: a number that no user has */
	int groups_count;
	gid_t groups[GROUPS_MAX];
};

static void __attribute__((noreturn, format(printf, 2, 3))) die(int status, const char *format, ...)
{
	char text[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	dprintf(STDERR_FILENO, "coppice-exec: %s\n", text);
	_exit(status);
}

static bool parse_number(const char *text, uint32_t *number)
{
	uint64_t value;

	if (str_u64(text, 0, NUMBER_MAX, &value) < 0) {
		return false;
	}
	*number = (uint32_t)value;
	return true;
}

/* A look-up that finds nothing may or may not set errno (getpwnam(3)). */
static const char *lookup_reason(const char *nothing)
{
	switch (errno) {
	case 0:
	case ENOENT:
	case ESRCH:
	case EBADF:
	case EPERM: return nothing;
	default: return strerror(errno);
	}
}

static char *copy(const char *text, int status)
{
	char *mine = strdup(text);

	if (!mine) {
		die(status, "out of memory");
	}
	return mine;
}

static void find_user(const char *name, struct identity *who)
{
	uint32_t number;
	bool numeric = parse_number(name, &number);
	struct passwd *entry;

	errno = 0;
	entry = numeric ? getpwuid(number) : getpwnam(name);
	who->set_user = true;
	if (entry) {
		who->uid = entry->pw_uid;
		who->gid = entry->pw_gid;
		who->set_group = true;
		who->name = copy(entry->pw_name, PROCESS_HELPER_USER);
		who->home = copy(entry->pw_dir, PROCESS_HELPER_USER);
		who->shell = copy(entry->pw_shell, PROCESS_HELPER_USER);
	} else if (numeric) {
		who->uid = number; /* containers run as numbers that no one has listed */
	} else {
		die(PROCESS_HELPER_USER, "cannot become user '%s': %s", name,
			lookup_reason("there is no such user"));
	}
}

static gid_t find_group(const char *name)
{
	uint32_t number;
	struct group *entry;

	if (parse_number(name, &number)) {
		return number;
	}
	errno = 0;
	entry = getgrnam(name);
	if (!entry) {
		die(PROCESS_HELPER_GROUP, "cannot use group '%s': %s", name,
			lookup_reason("there is no such group"));
	}
	return entry->gr_gid;
}

static void add_group(struct identity *who, gid_t gid)
{
	for (int i = 0; i < who->groups_count; i++) {
		if (who->groups[i] == gid) {
			return;
		}
	}
	if (who->groups_count == GROUPS_MAX) {
		die(PROCESS_HELPER_GROUP, "more than %d supplementary groups", GROUPS_MAX);
	}
	who->groups[who->groups_count++] = gid;
}

/* The groups that the database gives the user, or those that we have, and the ones asked for. */
static void find_groups(const struct options *options, struct identity *who)
{
	char *list, *rest, *name;
	int count = GROUPS_MAX;

	if (who->set_user && who->name) {
		if (getgrouplist(who->name, who->gid, who->groups, &count) < 0) {
			die(PROCESS_HELPER_GROUP, "user '%s' has more than %d groups", who->name,
				GROUPS_MAX);
		}
	} else {
		count = who->set_user || who->set_group ? 0 : getgroups(GROUPS_MAX, who->groups);
	}
	who->groups_count = count < 0 ? 0 : count;
	if (!options->supplementary_groups) {
		return;
	}
	list = copy(options->supplementary_groups, PROCESS_HELPER_GROUP);
	for (name = strtok_r(list, ", ", &rest); name; name = strtok_r(NULL, ", ", &rest)) {
		add_group(who, find_group(name));
	}
	free(list);
}

static void find_identity(const struct options *options, struct identity *who)
{
	if (options->user) {
		find_user(options->user, who);
	}
	if (options->group) {
		who->gid = find_group(options->group);
		who->set_group = true;
	}
	if (who->set_user && !who->set_group) {
		/* The group would stay ours, which is root's more often than not. */
		die(PROCESS_HELPER_GROUP,
			"user %u is not in the user database and has no group of its own: name one "
			"with "
			"Group=",
			(unsigned)who->uid);
	}
	find_groups(options, who);
}

/* Without privilege one's own user and group may be named: then there is nothing to change. */
static bool is_self(const struct options *options, const struct identity *who)
{
	return !options->supplementary_groups && (!who->set_user || who->uid == getuid()) &&
	       (!who->set_group || who->gid == getgid());
}

static void become(const struct options *options, const struct identity *who)
{
	bool groups = who->set_user || who->set_group || options->supplementary_groups;

	if (groups && setgroups((size_t)who->groups_count, who->groups) < 0 &&
		!(errno == EPERM && is_self(options, who))) {
		die(PROCESS_HELPER_GROUP, "cannot set the supplementary groups: %s",
			strerror(errno));
	}
	if (who->set_group && setresgid(who->gid, who->gid, who->gid) < 0) {
		die(PROCESS_HELPER_GROUP, "cannot change to group %u: %s", (unsigned)who->gid,
			strerror(errno));
	}
	if (who->set_user && setresuid(who->uid, who->uid, who->uid) < 0) {
		die(PROCESS_HELPER_USER, "cannot change to user '%s': %s", options->user,
			strerror(errno));
	}
}

/* A variable that the unit sets by itself (--keep-env) stays as it is. */
static void set_variable(const struct options *options, const char *name, const char *value)
{
	size_t length = strlen(name);

	for (const char *at = options->keep; at && *at; at += strcspn(at, ","), at += *at == ',') {
		if (strcspn(at, ",") == length && strncmp(at, name, length) == 0) {
			return;
		}
	}
	if (setenv(name, value, 1) < 0) {
		die(PROCESS_HELPER_USER, "out of memory");
	}
}

static void set_environment(const struct options *options, const struct identity *who)
{
	if (who->name) {
		set_variable(options, "USER", who->name);
		set_variable(options, "LOGNAME", who->name);
		set_variable(options, "HOME", who->home);
		set_variable(options, "SHELL", *who->shell ? who->shell : "/bin/sh");
	}
}

/* Where "~" leads: the new user's home, or that of the user whom we run as. */
static const char *home_directory(const struct identity *who)
{
	struct passwd *entry;

	if (who->set_user) {
		return who->home;
	}
	entry = getpwuid(getuid());
	return entry ? entry->pw_dir : getenv("HOME");
}

static void change_directory(const struct options *options, const struct identity *who)
{
	const char *directory = options->directory ? options->directory : "/";
	bool optional = *directory == '-';

	if (optional) {
		directory++;
	}
	if (strcmp(directory, "~") == 0) {
		directory = home_directory(who);
		if (!directory && !optional) {
			die(PROCESS_HELPER_CHDIR, "the user has no home directory to change to");
		}
	}
	if (directory && chdir(directory) == 0) {
		return;
	}
	if (!optional) {
		die(PROCESS_HELPER_CHDIR, "cannot change to directory '%s': %s", directory,
			strerror(errno));
	}
	if (chdir("/") < 0) {
		die(PROCESS_HELPER_CHDIR, "cannot change to directory '/': %s", strerror(errno));
	}
}

/* Returns the index of PATH. */
static int parse_options(int argc, char **argv, struct options *options)
{
	static const struct option known[] = {
		{"user", required_argument, NULL, 'u'},
		{"group", required_argument, NULL, 'g'},
		{"supplementary-groups", required_argument, NULL, 'G'},
		{"directory", required_argument, NULL, 'd'},
		{"keep-env", required_argument, NULL, 'k'},
		{0},
	};
	int c;

	opterr = 0;
	while ((c = getopt_long(argc, argv, "+", known, NULL)) != -1) {
		switch (c) {
		case 'u': options->user = optarg; break;
		case 'g': options->group = optarg; break;
		case 'G': options->supplementary_groups = optarg; break;
		case 'd': options->directory = optarg; break;
		case 'k': options->keep = optarg; break;
		default:
			die(PROCESS_HELPER_USAGE, "option '%s' is unknown or lacks its value",
				argv[optind - 1]);
		}
	}
	if (argc - optind < 2) {
		die(PROCESS_HELPER_USAGE,
			"usage: coppice-exec [--user NAME] [--group NAME] "
			"[--supplementary-groups A,B] [--directory DIR] [--keep-env A,B] "
			"[--] PATH ARGV0 [ARG]...");
	}
	return optind;
}

int main(int argc, char **argv)
{
	static struct options options;
	static struct identity who;
	int at = parse_options(argc, argv, &options);
	const char *path = argv[at], *hint = "";
	int failed;

	find_identity(&options, &who);
	/* The databases may keep descriptors of their own open. */
	endpwent();
	endgrent();
	become(&options, &who);
	set_environment(&options, &who);
	change_directory(&options, &who);
	failed = process_exec(
		path, (const char *const *)(argv + at + 1), (const char *const *)environ);
	if (failed == ENOENT && strchr(path, '/') && access(path, F_OK) == 0) {
		hint = " (the file is there: its interpreter is not)";
	}
	die(PROCESS_HELPER_EXEC, "cannot execute '%s': %s%s", path, strerror(failed), hint);
}
