/* What becomes of each directive on this system, found out by doing it in a child. */
#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/compat.h"
#include "process/spawn.h"
#include "sandbox/calls.h"

void sandbox_probe_add(struct sandbox_probe *probe, const char *key, enum sandbox_effect effect,
	const char *format, ...)
{
	struct sandbox_finding *finding = NULL;
	va_list args;

	for (uint32_t i = 0; i < probe->count; i++) {
		finding = strcmp(probe->findings[i].key, key) == 0 ? &probe->findings[i] : finding;
	}
	if (finding == NULL && probe->count < SANDBOX_FINDINGS_MAX) {
		finding = &probe->findings[probe->count++];
	}
	if (finding != NULL) {
		finding->key = key;
		finding->effect = effect;
		va_start(args, format);
		vsnprintf(finding->text, sizeof(finding->text), format, args);
		va_end(args);
	}
}

int sandbox_probe_try(int (*attempt)(void *context), void *context)
{
	pid_t child = fork();
	int status;

	if (child == 0) {
		int null = open("/dev/null", O_RDWR | O_CLOEXEC);

		dup2(null, STDERR_FILENO);
		_exit(-attempt(context) & 0xff);
	}
	if (child < 0) {
		return -errno;
	}
	if (waitpid(child, &status, 0) < 0 || !WIFEXITED(status)) {
		return -ECHILD;
	}
	return -WEXITSTATUS(status);
}

/* --- attempts --- */

/* A setting that tells of nothing missed when it is entered is in effect. */
struct attempt {
	const char *assignment;
	void (*enter)(struct sandbox *s);
};

static int missed_anything(int fd)
{
	char text[512];

	return read(fd, text, sizeof(text)) > 0;
}

static int enter(void *context)
{
	static struct sandbox s = {.unit = "", .credentials_fd = -1, .miss_fd = -1};
	const struct attempt *attempt = context;
	int ends[2];

	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0) {
		return -errno;
	}
	s.miss_fd = ends[1];
	sandbox_set(&s, attempt->assignment);
	errno = 0;
	attempt->enter(&s);
	if (missed_anything(ends[0])) {
		return errno != 0 && errno != EAGAIN ? -errno : -EPERM;
	}
	return 0;
}

static void enter_filters(struct sandbox *s)
{
	if (sandbox_needs_no_new_privileges(s)) {
		sandbox_no_new_privileges();
	}
	sandbox_seccomp_apply(s);
}

static void enter_namespaces(struct sandbox *s)
{
	sandbox_namespaces_enter(s);
	sandbox_users_enter(s);
}

static const char *text_of(int failed)
{
	return failed == -ECHILD ? "the attempt was killed" : strerror(-failed);
}

static void simple(struct sandbox_probe *probe, const char *key, const char *value,
	void (*how)(struct sandbox *s), const char *what)
{
	char assignment[128];
	struct attempt attempt = {assignment, how};
	int failed;

	snprintf(assignment, sizeof(assignment), "%s=%s", key, value);
	failed = sandbox_probe_try(enter, &attempt);
	if (failed == 0) {
		sandbox_probe_add(probe, key, SANDBOX_ENFORCED, "%s", what);
	} else {
		sandbox_probe_add(
			probe, key, SANDBOX_IGNORED, "the kernel refuses it: %s", text_of(failed));
	}
}

/* --- what is there --- */

static void probe_filters(struct sandbox_probe *probe)
{
	static const char *const keys[] = {CALLS_KEYS};
	bool free_of_it = sandbox_capable(CAP_SYS_ADMIN);
	const char *what = free_of_it ? "by seccomp" : "by seccomp, with NoNewPrivileges=yes";

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		const char *value = "yes";

		if (strcmp(keys[i], "MemoryDenyWriteExecute") == 0 && calls_deny_write_execute()) {
			sandbox_probe_add(probe, keys[i], SANDBOX_ENFORCED, "by PR_SET_MDWE");
			continue;
		}
		if (sandbox_seccomp_missing() != NULL) {
			sandbox_probe_add(
				probe, keys[i], SANDBOX_IGNORED, "%s", sandbox_seccomp_missing());
			continue;
		}
		if (strcmp(keys[i], "SystemCallFilter") == 0 ||
			strcmp(keys[i], "SystemCallLog") == 0) {
			value = "~_sysctl";
		} else if (strcmp(keys[i], "SystemCallArchitectures") == 0) {
			value = "native";
		} else if (strcmp(keys[i], "RestrictAddressFamilies") == 0) {
			value = "AF_UNIX";
		}
		simple(probe, keys[i], value, enter_filters, what);
	}
	sandbox_probe_add(probe, "SystemCallErrorNumber", SANDBOX_ENFORCED, "%s", what);
}

static void probe_namespaces(struct sandbox_probe *probe)
{
	simple(probe, "PrivateNetwork", "yes", enter_namespaces, "by a network namespace");
	simple(probe, "PrivateIPC", "yes", enter_namespaces, "by an IPC namespace");
	simple(probe, "PrivateUsers", "yes", enter_namespaces, "by a user namespace");
	sandbox_probe_add(
		probe, "PrivatePIDs", SANDBOX_IGNORED, "a service is seen by its process id");
}

static void probe_scheduling(struct sandbox_probe *probe)
{
	static const struct {
		const char *key, *value;
	} wishes[] = {{"CPUAffinity", "0"}, {"CPUSchedulingPolicy", "fifo"},
		{"CPUSchedulingPriority", "0"}, {"CPUSchedulingResetOnFork", "yes"},
		{"IOSchedulingClass", "realtime"}, {"IOSchedulingPriority", "4"},
		{"NUMAPolicy", "local"}, {"NUMAMask", "0"}, {"TimerSlackNSec", "50000"},
		{"CoredumpFilter", "default"}, {"MemoryKSM", "yes"}, {"Personality", "x86-64"},
		{"KeyringMode", "private"}};

	for (size_t i = 0; i < sizeof(wishes) / sizeof(wishes[0]); i++) {
		simple(probe, wishes[i].key, wishes[i].value, sandbox_schedule, "");
	}
}

static int lower_oom_score(void *context)
{
	int fd = open("/proc/self/oom_score_adj", O_RDWR | O_CLOEXEC), now = 0;
	char text[16] = "";
	ssize_t length = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	(void)context;
	now = length > 0 ? atoi(text) : 0;
	return fd < 0 || lseek(fd, 0, SEEK_SET) < 0 || dprintf(fd, "%d", now - 1) < 0 ? -errno : 0;
}

static int better_nice(void *context)
{
	(void)context;
	errno = 0;
	return nice(-1) == -1 && errno != 0 ? -errno : 0;
}

static void probe_capabilities(struct sandbox_probe *probe)
{
	bool setpcap = sandbox_capable(CAP_SETPCAP);
	bool setuid = sandbox_capable(CAP_SETUID) && sandbox_capable(CAP_SETGID);
	const char *user = "without CAP_SETUID and CAP_SETGID only one's own can be named: a start "
			   "with another fails";

	sandbox_probe_add(probe, "NoNewPrivileges", SANDBOX_ENFORCED, "%s", "");
	sandbox_probe_add(probe, "CapabilityBoundingSet",
		setpcap ? SANDBOX_ENFORCED : SANDBOX_IGNORED, "%s",
		setpcap ? "" : "without CAP_SETPCAP; there are no capabilities to drop");
	sandbox_probe_add(probe, "AmbientCapabilities",
		setpcap ? SANDBOX_ENFORCED : SANDBOX_IGNORED, "%s",
		setpcap ? "" : "a start that asks for one that coppice lacks fails");
	sandbox_probe_add(probe, "SecureBits", setpcap ? SANDBOX_ENFORCED : SANDBOX_IGNORED, "%s",
		setpcap ? "" : "without CAP_SETPCAP");
	sandbox_probe_add(probe, "User", setuid ? SANDBOX_ENFORCED : SANDBOX_IGNORED, "%s",
		setuid ? "" : user);
	sandbox_probe_add(probe, "Group", setuid ? SANDBOX_ENFORCED : SANDBOX_IGNORED, "%s",
		setuid ? "" : user);
	sandbox_probe_add(probe, "SupplementaryGroups",
		sandbox_capable(CAP_SETGID) ? SANDBOX_ENFORCED : SANDBOX_IGNORED, "%s",
		sandbox_capable(CAP_SETGID) ? "" : "without CAP_SETGID a start fails");
	sandbox_probe_add(probe, "DynamicUser", setuid ? SANDBOX_ENFORCED : SANDBOX_IGNORED, "%s",
		setuid ? "a number of 61184 to 65519"
		       : "the service runs as coppice's own user; what it implies holds");
}

static void probe_rest(struct sandbox_probe *probe)
{
	int oom = sandbox_probe_try(lower_oom_score, NULL);
	int nicer = sandbox_probe_try(better_nice, NULL);
	static const char *const encrypted[] = {
		"LoadCredentialEncrypted", "SetCredentialEncrypted"};
	static const char *const credentials[] = {
		"LoadCredential", "SetCredential", "ImportCredential"};
	bool mounts = sandbox_capable(CAP_SYS_ADMIN);

	sandbox_probe_add(probe, "OOMScoreAdjust", oom == 0 ? SANDBOX_ENFORCED : SANDBOX_EMULATED,
		"%s", oom == 0 ? "" : "raised only: without CAP_SYS_RESOURCE it is not lowered");
	sandbox_probe_add(probe, "Nice", nicer == 0 ? SANDBOX_ENFORCED : SANDBOX_EMULATED, "%s",
		nicer == 0 ? "" : "as far as LimitNICE= lets it: there is no CAP_SYS_NICE");
	for (size_t i = 0; i < sizeof(credentials) / sizeof(credentials[0]); i++) {
		sandbox_probe_add(probe, credentials[i], SANDBOX_ENFORCED, "%s",
			mounts ? "in a file system in memory that the process alone sees"
			       : "in a directory of the unit's own, by its mode");
	}
	for (size_t i = 0; i < 2; i++) {
		sandbox_probe_add(
			probe, encrypted[i], SANDBOX_IGNORED, "there is no key to decrypt with");
	}
	sandbox_probe_add(probe, "PAMName", SANDBOX_IGNORED, "no PAM session is opened");
	sandbox_probe_add(probe, "RemoveIPC", SANDBOX_IGNORED, "IPC objects are left as they are");
}

void sandbox_probe(struct sandbox_probe *probe)
{
	probe_capabilities(probe);
	probe_scheduling(probe);
	probe_filters(probe);
	probe_namespaces(probe);
	probe_rest(probe);
	sandbox_probe_files(probe);
}
