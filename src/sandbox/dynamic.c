/*
 * DynamicUser=: a user for as long as the unit runs, of the range that systemd.exec(5) keeps free
 * for it. The claim on a number is a symlink in the run-time directory, from the number to the
 * user's name: it is made in one step or not at all, and outlives us.
 */
#include <ctype.h>
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/str.h"
#include "process/spawn.h"
#include "sandbox/internal.h"

#define USER_NAME_MAX 31

/* FNV-1a. */
static uint64_t hash(const char *text)
{
	uint64_t value = UINT64_C(0xcbf29ce484222325);

	for (; *text != '\0'; text++) {
		value = (value ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
	}
	return value;
}

uid_t sandbox_dynamic_first(const char *name)
{
	return SANDBOX_DYNAMIC_MIN + (uid_t)(hash(name) % SANDBOX_DYNAMIC_COUNT);
}

static bool is_user_name(const char *text, size_t length)
{
	if (length == 0 || length > USER_NAME_MAX || isdigit((unsigned char)text[0]) ||
		text[0] == '-') {
		return false;
	}
	for (size_t i = 0; i < length; i++) {
		if (!isalnum((unsigned char)text[i]) && text[i] != '_' && text[i] != '-') {
			return false;
		}
	}
	return true;
}

void sandbox_dynamic_name(const char *unit, char *name, size_t size)
{
	const char *dot = strrchr(unit, '.');
	size_t length = dot != NULL ? (size_t)(dot - unit) : strlen(unit);

	if (is_user_name(unit, length) && length < size) {
		memcpy(name, unit, length);
		name[length] = '\0';
	} else {
		snprintf(name, size, "_du%016llx", (unsigned long long)hash(unit));
	}
}

/* systemd.exec(5), DynamicUser=: what it brings along. What the unit says itself stands where it
 * is at least as strict. */
static void imply(struct sandbox *s)
{
	const char *system = sandbox_get(s, "ProtectSystem"), *home = sandbox_get(s, "ProtectHome");

	if (system == NULL || strcmp(system, "strict") != 0) {
		sandbox_set(s, "ProtectSystem=strict");
	}
	if (home == NULL || str_bool(home) == 0) {
		sandbox_set(s, "ProtectHome=read-only");
	}
	if (sandbox_get(s, "PrivateTmp") == NULL || str_bool(sandbox_get(s, "PrivateTmp")) == 0) {
		sandbox_set(s, "PrivateTmp=yes");
	}
	sandbox_set(s, "RemoveIPC=yes");
	sandbox_set(s, "NoNewPrivileges=yes");
	sandbox_set(s, "RestrictSUIDSGID=yes");
}

/* Whether the number is this name's: it was, or is from now on. */
static bool claim(const char *directory, uid_t uid, const char *name)
{
	char path[4200], owner[USER_NAME_MAX + 2];
	ssize_t length;

	if (getpwuid(uid) != NULL) {
		return false;
	}
	snprintf(path, sizeof(path), "%s/%u", directory, (unsigned)uid);
	if (symlink(name, path) == 0) {
		return true;
	}
	length = errno == EEXIST ? readlink(path, owner, sizeof(owner) - 1) : -1;
	if (length < 0) {
		sandbox_fail(PROCESS_HELPER_USER, "DynamicUser=: cannot claim a number in %s: %s",
			directory, strerror(errno));
	}
	owner[length] = '\0';
	return strcmp(owner, name) == 0;
}

static uid_t claim_any(const struct sandbox *s, const char *name)
{
	const char *base = s->run_directory ? s->run_directory : "/run/coppice";
	uid_t first = sandbox_dynamic_first(name) - SANDBOX_DYNAMIC_MIN;
	char directory[4096];

	snprintf(directory, sizeof(directory), "%s/dynamic-users", base);
	if (mkdir(directory, 0755) < 0 && errno != EEXIST) {
		sandbox_fail(PROCESS_HELPER_USER, "DynamicUser=: cannot make %s: %s", directory,
			strerror(errno));
	}
	for (uid_t i = 0; i < SANDBOX_DYNAMIC_COUNT; i++) {
		uid_t uid = SANDBOX_DYNAMIC_MIN + (first + i) % SANDBOX_DYNAMIC_COUNT;

		if (claim(directory, uid, name)) {
			return uid;
		}
	}
	sandbox_fail(PROCESS_HELPER_USER, "DynamicUser=: no number is left in %s", directory);
}

void sandbox_dynamic_find(struct sandbox *s)
{
	struct sandbox_identity *who = &s->who;
	char name[USER_NAME_MAX + 1];
	struct passwd *entry;

	imply(s);
	if (s->user != NULL && is_user_name(s->user, strlen(s->user))) {
		str_copy(name, sizeof(name), s->user);
	} else {
		sandbox_dynamic_name(s->unit, name, sizeof(name));
	}
	if (!sandbox_capable(CAP_SETUID) || !sandbox_capable(CAP_SETGID)) {
		sandbox_miss(s, "DynamicUser",
			"without CAP_SETUID and CAP_SETGID the service runs as coppice's own user");
		return;
	}
	who->set_user = who->set_group = true;
	entry = getpwnam(name);
	if (entry != NULL) {
		who->uid = entry->pw_uid;
		who->gid = entry->pw_gid;
	} else {
		who->is_dynamic = true;
		who->uid = claim_any(s, name);
		who->gid = (gid_t)who->uid;
	}
	who->name = sandbox_copy(name, PROCESS_HELPER_USER);
	who->home = "/";
	who->shell = "/usr/sbin/nologin";
}
