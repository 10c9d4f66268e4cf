/* What becomes of the directives about files on this system, found out by doing it in a child. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/str.h"
#include "sandbox/files.h"

enum outcome { BY_NAMESPACE, BY_LANDLOCK, IN_PART, MISSED };

struct attempt {
	const char *assignment;
	int misses[2];
};

static ino_t namespace_number(void)
{
	struct stat status;

	return stat("/proc/self/ns/mnt", &status) == 0 ? status.st_ino : 0;
}

/* As a unit with NoNewPrivileges=yes would be entered, without its user. */
static int enter(void *context)
{
	static struct sandbox s = {.unit = "", .credentials_fd = -1};
	const struct attempt *attempt = context;
	ino_t before = namespace_number();

	s.miss_fd = attempt->misses[1];
	sandbox_set(&s, attempt->assignment);
	sandbox_namespaces_enter(&s);
	sandbox_files_enter(&s);
	prctl(PR_SET_NO_NEW_PRIVS, 1L, 0L, 0L, 0L);
	sandbox_landlock_apply(&s);
	if (before != namespace_number()) {
		return -BY_NAMESPACE;
	}
	return landlock_is_on() ? -BY_LANDLOCK : -MISSED;
}

/* The part of "unit\tkey\twhy\n" that says why; false when nothing was missed. */
static bool read_miss(int fd, char *why, size_t size)
{
	char text[512];
	ssize_t length = read(fd, text, sizeof(text) - 1);
	char *tab, *end;

	if (length <= 0) {
		return false;
	}
	text[length] = '\0';
	tab = strchr(text, '\t');
	tab = tab ? strchr(tab + 1, '\t') : NULL;
	str_copy(why, size, tab ? tab + 1 : text);
	end = strchr(why, '\n');
	if (end) {
		*end = '\0';
	}
	return true;
}

static enum outcome try_setting(const char *assignment, char *why, size_t size)
{
	struct attempt attempt = {.assignment = assignment};
	int result;

	snprintf(why, size, "the attempt failed");
	if (pipe2(attempt.misses, O_CLOEXEC | O_NONBLOCK) < 0) {
		return MISSED;
	}
	result = -sandbox_probe_try(enter, &attempt);
	if (result < 0 || result > MISSED) {
		result = MISSED;
	}
	if (read_miss(attempt.misses[0], why, size)) {
		result = result == BY_LANDLOCK ? IN_PART : MISSED;
	}
	close(attempt.misses[0]);
	close(attempt.misses[1]);
	return (enum outcome)result;
}

/* seccomp may have done the greater part. */
static bool is_enforced(const struct sandbox_probe *probe, const char *key)
{
	for (uint32_t i = 0; i < probe->count; i++) {
		if (strcmp(probe->findings[i].key, key) == 0) {
			return probe->findings[i].effect == SANDBOX_ENFORCED;
		}
	}
	return false;
}

/* Where the files are the greater part, seccomp alone is not the whole. */
static void probe_missed(struct sandbox_probe *probe, const char *key, const char *why)
{
	if (!is_enforced(probe, key)) {
		sandbox_probe_add(probe, key, SANDBOX_IGNORED, "%s", why);
	} else if (strcmp(key, "ProtectKernelModules") != 0) {
		sandbox_probe_add(probe, key, SANDBOX_EMULATED, "by seccomp; the files: %s", why);
	}
}

static void probe_hardening(struct sandbox_probe *probe, const char *key, const char *assignment)
{
	char why[160];

	switch (try_setting(assignment, why, sizeof(why))) {
	case BY_NAMESPACE:
		sandbox_probe_add(probe, key, SANDBOX_ENFORCED, "by a mount namespace%s",
			is_enforced(probe, key) ? ", and seccomp" : "");
		break;
	case BY_LANDLOCK:
		sandbox_probe_add(probe, key, SANDBOX_EMULATED, "by Landlock%s",
			geteuid() == 0 ? ", with NoNewPrivileges=yes" : "");
		break;
	case IN_PART:
		sandbox_probe_add(probe, key, SANDBOX_EMULATED, "by Landlock, in part; %s", why);
		break;
	case MISSED: probe_missed(probe, key, why); break;
	}
}

static void probe_hardenings(struct sandbox_probe *probe)
{
	static const struct {
		const char *key, *assignment;
	} settings[] = {
		{"ProtectSystem", "ProtectSystem=full"},
		{"ProtectHome", "ProtectHome=yes"},
		{"ReadOnlyPaths", "ReadOnlyPaths=-/usr"},
		{"ReadWritePaths", "ReadOnlyPaths=-/usr"},
		{"InaccessiblePaths", "InaccessiblePaths=-/home"},
		{"NoExecPaths", "NoExecPaths=-/home"},
		{"ExecPaths", "NoExecPaths=-/home"},
		{"PrivateTmp", "PrivateTmp=yes"},
		{"PrivateDevices", "PrivateDevices=yes"},
		{"PrivateMounts", "PrivateMounts=yes"},
		{"MountFlags", "MountFlags=slave"},
		{"ProtectProc", "ProtectProc=invisible"},
		{"ProcSubset", "ProcSubset=pid"},
		{"ProtectControlGroups", "ProtectControlGroups=yes"},
		{"ProtectKernelTunables", "ProtectKernelTunables=yes"},
		{"ProtectKernelLogs", "ProtectKernelLogs=yes"},
		{"ProtectKernelModules", "ProtectKernelModules=yes"},
	};

	for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
		probe_hardening(probe, settings[i].key, settings[i].assignment);
	}
}

/* Without them the service would work on other files than it thinks: a start fails, as with
 * systemd. */
static void probe_promises(struct sandbox_probe *probe)
{
	static const char *const keys[] = {"BindPaths", "BindReadOnlyPaths", "TemporaryFileSystem"};
	char why[160];
	bool namespaces = try_setting("PrivateMounts=yes", why, sizeof(why)) == BY_NAMESPACE;

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		sandbox_probe_add(probe, keys[i], namespaces ? SANDBOX_ENFORCED : SANDBOX_IGNORED,
			"%s",
			namespaces ? "by a mount namespace"
				   : "a start with it fails: no mount namespace");
	}
	if (namespaces) {
		sandbox_probe_add(probe, "RootDirectory", SANDBOX_ENFORCED, "by a mount namespace");
		sandbox_probe_add(probe, "MountAPIVFS", SANDBOX_ENFORCED, "by a mount namespace");
		return;
	}
	if (sandbox_capable(CAP_SYS_CHROOT)) {
		sandbox_probe_add(probe, "RootDirectory", SANDBOX_EMULATED, "by chroot(2)");
	} else {
		sandbox_probe_add(probe, "RootDirectory", SANDBOX_IGNORED,
			"a start with it fails: no mount namespace, no CAP_SYS_CHROOT");
	}
	sandbox_probe_add(probe, "MountAPIVFS", SANDBOX_IGNORED, "%s", why);
}

static void probe_tmp(struct sandbox_probe *probe)
{
	if (!is_enforced(probe, "PrivateTmp")) {
		sandbox_probe_add(probe, "PrivateTmp", SANDBOX_EMULATED,
			"by TMPDIR, which names a directory of the service's own");
	}
}

void sandbox_probe_files(struct sandbox_probe *probe)
{
	static const char *const kinds[] = {"RuntimeDirectory", "StateDirectory", "CacheDirectory",
		"LogsDirectory", "ConfigurationDirectory", "RuntimeDirectoryMode",
		"StateDirectoryMode", "CacheDirectoryMode", "LogsDirectoryMode",
		"ConfigurationDirectoryMode", "RuntimeDirectoryPreserve"};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		sandbox_probe_add(probe, kinds[i], SANDBOX_ENFORCED, "%s", "");
	}
	probe_hardenings(probe);
	probe_promises(probe);
	probe_tmp(probe);
}
