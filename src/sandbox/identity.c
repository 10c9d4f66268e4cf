/* Who the service is: users and groups through NSS, its environment, its working directory. */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"
#include "process/spawn.h"
#include "sandbox/internal.h"

#define NUMBER_MAX (UINT32_MAX - 1) /* (uid_t)-1 is "leave it" to the kernel */

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
	case EPERM: errno = ESRCH; return nothing;
	default: return strerror(errno);
	}
}

char *sandbox_copy(const char *text, int status)
{
	char *mine = strdup(text);

	if (!mine) {
		sandbox_fail(status, "out of memory");
	}
	return mine;
}

static void find_user(const char *name, struct sandbox_identity *who)
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
		who->name = sandbox_copy(entry->pw_name, PROCESS_HELPER_USER);
		who->home = sandbox_copy(entry->pw_dir, PROCESS_HELPER_USER);
		who->shell = sandbox_copy(entry->pw_shell, PROCESS_HELPER_USER);
	} else if (numeric) {
		who->uid = number; /* containers run as numbers that no one has listed */
	} else {
		sandbox_fail(PROCESS_HELPER_USER, "cannot become user '%s': %s", name,
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
		sandbox_fail(PROCESS_HELPER_GROUP, "cannot use group '%s': %s", name,
			lookup_reason("there is no such group"));
	}
	return entry->gr_gid;
}

static void add_group(struct sandbox_identity *who, gid_t gid)
{
	for (int i = 0; i < who->groups_count; i++) {
		if (who->groups[i] == gid) {
			return;
		}
	}
	if (who->groups_count == SANDBOX_GROUPS_MAX) {
		sandbox_fail(PROCESS_HELPER_GROUP, "more than %d supplementary groups",
			SANDBOX_GROUPS_MAX);
	}
	who->groups[who->groups_count++] = gid;
}

/* The groups that the database gives the user, or those that we have, and the ones asked for. */
static void find_groups(struct sandbox *s)
{
	struct sandbox_identity *who = &s->who;
	char *list, *rest, *name;
	int count = SANDBOX_GROUPS_MAX;

	if (who->is_dynamic) {
		count = 0;
	} else if (who->set_user && who->name) {
		if (getgrouplist(who->name, who->gid, who->groups, &count) < 0) {
			sandbox_fail(PROCESS_HELPER_GROUP, "user '%s' has more than %d groups",
				who->name, SANDBOX_GROUPS_MAX);
		}
	} else {
		count = who->set_user || who->set_group
				? 0
				: getgroups(SANDBOX_GROUPS_MAX, who->groups);
	}
	who->groups_count = count < 0 ? 0 : count;
	if (!s->supplementary_groups) {
		return;
	}
	list = sandbox_copy(s->supplementary_groups, PROCESS_HELPER_GROUP);
	for (name = strtok_r(list, ", ", &rest); name; name = strtok_r(NULL, ", ", &rest)) {
		add_group(who, find_group(name));
	}
	free(list);
}

void sandbox_identity_find(struct sandbox *s)
{
	struct sandbox_identity *who = &s->who;

	if (s->dynamic_user) {
		sandbox_dynamic_find(s);
	} else if (s->user) {
		find_user(s->user, who);
	}
	if (s->group && !who->is_dynamic) {
		who->gid = find_group(s->group);
		who->set_group = true;
	}
	if (who->set_user && !who->set_group) {
		/* The group would stay ours, which is root's more often than not. */
		sandbox_fail(PROCESS_HELPER_GROUP,
			"user %u is not in the user database and has no group of its own: name one "
			"with Group=",
			(unsigned)who->uid);
	}
	find_groups(s);
	/* The databases may keep descriptors of their own open. */
	endpwent();
	endgrent();
}

/* Without privilege one's own user and group may be named: then there is nothing to change. */
static bool is_self(const struct sandbox *s)
{
	const struct sandbox_identity *who = &s->who;

	return !s->supplementary_groups && (!who->set_user || who->uid == getuid()) &&
	       (!who->set_group || who->gid == getgid());
}

void sandbox_identity_groups(struct sandbox *s)
{
	const struct sandbox_identity *who = &s->who;
	bool groups = who->set_user || who->set_group || s->supplementary_groups;

	if (groups && setgroups((size_t)who->groups_count, who->groups) < 0 &&
		!(errno == EPERM && is_self(s))) {
		sandbox_fail(PROCESS_HELPER_GROUP, "cannot set the supplementary groups: %s",
			strerror(errno));
	}
	if (who->set_group && setresgid(who->gid, who->gid, who->gid) < 0) {
		sandbox_fail(PROCESS_HELPER_GROUP, "cannot change to group %u: %s",
			(unsigned)who->gid, strerror(errno));
	}
}

void sandbox_identity_user(struct sandbox *s)
{
	const struct sandbox_identity *who = &s->who;

	if (who->set_user && setresuid(who->uid, who->uid, who->uid) < 0) {
		sandbox_fail(PROCESS_HELPER_USER, "cannot change to user '%s': %s",
			s->user ? s->user : who->name, strerror(errno));
	}
}

void sandbox_identity_environment(struct sandbox *s)
{
	const struct sandbox_identity *who = &s->who;

	if (who->name) {
		sandbox_set_variable(s, "USER", who->name);
		sandbox_set_variable(s, "LOGNAME", who->name);
		sandbox_set_variable(s, "HOME", who->home);
		sandbox_set_variable(s, "SHELL", *who->shell ? who->shell : "/bin/sh");
	}
}

/* --- the working directory --- */

/* Where "~" leads: the new user's home, or that of the user whom we run as. Looked up early: later
 * the databases may be out of sight. */
static const char *home_directory(const struct sandbox *s)
{
	struct passwd *entry;

	if (s->who.set_user) {
		return s->who.home;
	}
	entry = getpwuid(getuid());
	return entry ? entry->pw_dir : getenv("HOME");
}

void sandbox_identity_directory(struct sandbox *s)
{
	const char *directory = s->working_directory ? s->working_directory : "/";
	bool optional = *directory == '-';

	if (optional) {
		directory++;
	}
	if (strcmp(directory, "~") == 0) {
		directory = home_directory(s);
		if (!directory && !optional) {
			sandbox_fail(PROCESS_HELPER_CHDIR,
				"the user has no home directory to change to");
		}
	}
	if (directory && chdir(directory) == 0) {
		return;
	}
	if (!optional) {
		sandbox_fail(PROCESS_HELPER_CHDIR, "cannot change to directory '%s': %s", directory,
			strerror(errno));
	}
	if (chdir("/") < 0) {
		sandbox_fail(PROCESS_HELPER_CHDIR, "cannot change to directory '/': %s",
			strerror(errno));
	}
}
