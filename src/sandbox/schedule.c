/*
 * Scheduling and what else a process inherits and nobody sees: affinity, policy, I/O priority, NUMA
 * policy, timer slack, what a core dump has, personality, keyring, limits.
 *
 * They are wishes: where the kernel refuses one for lack of privilege, the service runs without.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/ioprio.h>
#include <linux/keyctl.h>
#include <linux/mempolicy.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/compat.h"
#include "base/str.h"
#include "process/spawn.h"
#include "sandbox/internal.h"

#define CPU_WORDS (8192 / 64)

static void outcome(const struct sandbox *s, int status, const char *key, int error)
{
	if (error == EPERM || error == EACCES || error == ENOSYS || error == EOPNOTSUPP) {
		sandbox_miss(s, key, "the kernel refuses it: %s", strerror(error));
	} else if (error != 0) {
		sandbox_fail(status, "%s=%s: %s", key, sandbox_get(s, key), strerror(error));
	}
}

/* --- processors --- */

int sandbox_parse_cpus(const char *text, uint64_t *bits, uint32_t words)
{
	while (*text != '\0') {
		char *end;
		unsigned long first = strtoul(text, &end, 10), last = first;

		if (end == text) {
			return -EINVAL;
		}
		if (*end == '-') {
			text = end + 1;
			last = strtoul(text, &end, 10);
			if (end == text || last < first) {
				return -EINVAL;
			}
		}
		if (last >= (unsigned long)words * 64) {
			return -ERANGE;
		}
		for (; first <= last; first++) {
			bits[first / 64] |= UINT64_C(1) << (first % 64);
		}
		if (*end != '\0' && *end != ',' && *end != ' ') {
			return -EINVAL;
		}
		text = end + (*end != '\0');
	}
	return 0;
}

/* All values of a key, which are one list. */
static int gather_cpus(const struct sandbox *s, const char *key, uint64_t *bits)
{
	const char *value;
	uint32_t at = 0;
	int result = 0;

	while (result == 0 && (value = sandbox_next(s, key, &at)) != NULL) {
		result = sandbox_parse_cpus(value, bits, CPU_WORDS);
	}
	return result;
}

/* The processors of the nodes of NUMAMask=. */
static int numa_cpus(const struct sandbox *s, uint64_t *bits)
{
	uint64_t nodes[CPU_WORDS] = {0};
	char path[80], text[4096];
	int failed = gather_cpus(s, "NUMAMask", nodes);

	for (unsigned node = 0; failed == 0 && node < CPU_WORDS * 64; node++) {
		ssize_t length;
		int fd;

		if ((nodes[node / 64] >> (node % 64) & 1) == 0) {
			continue;
		}
		snprintf(path, sizeof(path), "/sys/devices/system/node/node%u/cpulist", node);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		length = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
		if (length > 0) {
			text[length - (text[length - 1] == '\n')] = '\0';
			failed = sandbox_parse_cpus(text, bits, CPU_WORDS);
		}
		if (fd >= 0) {
			close(fd);
		}
	}
	return failed;
}

static void set_affinity(const struct sandbox *s)
{
	const char *value = sandbox_get(s, "CPUAffinity");
	uint64_t bits[CPU_WORDS] = {0};
	int failed;

	if (value == NULL) {
		return;
	}
	failed = strcmp(value, "numa") == 0 ? numa_cpus(s, bits)
					    : gather_cpus(s, "CPUAffinity", bits);
	if (failed == 0 && syscall(SYS_sched_setaffinity, 0, sizeof(bits), bits) < 0) {
		failed = -errno;
	}
	outcome(s, PROCESS_HELPER_CPUAFFINITY, "CPUAffinity", -failed);
}

static void set_numa(const struct sandbox *s)
{
	static const struct {
		const char *word;
		int mode;
	} known[] = {{"default", MPOL_DEFAULT}, {"preferred", MPOL_PREFERRED}, {"bind", MPOL_BIND},
		{"interleave", MPOL_INTERLEAVE}, {"local", MPOL_LOCAL}};
	const char *policy = sandbox_get(s, "NUMAPolicy"), *mask = sandbox_get(s, "NUMAMask");
	uint64_t nodes[CPU_WORDS] = {0};
	int mode = -1, failed = 0;
	bool with_nodes;

	if (policy == NULL) {
		return;
	}
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		mode = strcmp(policy, known[i].word) == 0 ? known[i].mode : mode;
	}
	if (mask != NULL && strcmp(mask, "all") == 0) {
		failed = sandbox_parse_cpus("0-63", nodes, CPU_WORDS);
	} else {
		failed = gather_cpus(s, "NUMAMask", nodes);
	}
	with_nodes = mode != MPOL_DEFAULT && mode != MPOL_LOCAL;
	/* The kernel takes one bit less than it is told. */
	if (failed == 0 && syscall(SYS_set_mempolicy, mode, with_nodes ? nodes : NULL,
				   with_nodes ? CPU_WORDS * 64UL : 0UL) < 0) {
		failed = -errno;
	}
	outcome(s, PROCESS_HELPER_NUMA, "NUMAPolicy", -failed);
}

/* --- the scheduler --- */

static void set_policy(const struct sandbox *s)
{
	static const struct {
		const char *word;
		int policy;
	} known[] = {{"other", SCHED_OTHER}, {"batch", SCHED_BATCH}, {"idle", SCHED_IDLE},
		{"fifo", SCHED_FIFO}, {"rr", SCHED_RR}};
	const char *word = sandbox_get(s, "CPUSchedulingPolicy");
	const char *priority = sandbox_get(s, "CPUSchedulingPriority");
	bool reset = sandbox_yes(s, "CPUSchedulingResetOnFork"), real;
	struct sched_param param = {0};
	int policy = SCHED_OTHER;

	if (word == NULL && priority == NULL && !reset) {
		return;
	}
	for (size_t i = 0; word != NULL && i < sizeof(known) / sizeof(known[0]); i++) {
		policy = strcmp(word, known[i].word) == 0 ? known[i].policy : policy;
	}
	real = policy == SCHED_FIFO || policy == SCHED_RR;
	if (real) {
		/* systemd's default is the lowest. */
		param.sched_priority = priority != NULL && atoi(priority) > 0 ? atoi(priority) : 1;
	}
	if (sched_setscheduler(0, policy | (reset ? SCHED_RESET_ON_FORK : 0), &param) < 0) {
		outcome(s, PROCESS_HELPER_SETSCHEDULER, "CPUSchedulingPolicy", errno);
	}
}

static void set_io_priority(const struct sandbox *s)
{
	const char *word = sandbox_get(s, "IOSchedulingClass");
	const char *priority = sandbox_get(s, "IOSchedulingPriority");
	int class = IOPRIO_CLASS_BE, data = priority != NULL ? atoi(priority) : 4;

	if (word == NULL && priority == NULL) {
		return;
	}
	if (word != NULL) {
		class = strcmp(word, "none") == 0       ? IOPRIO_CLASS_NONE
			: strcmp(word, "realtime") == 0 ? IOPRIO_CLASS_RT
			: strcmp(word, "idle") == 0     ? IOPRIO_CLASS_IDLE
							: IOPRIO_CLASS_BE;
	}
	if (class == IOPRIO_CLASS_NONE || class == IOPRIO_CLASS_IDLE) {
		data = 0;
	}
	if (syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, IOPRIO_PRIO_VALUE(class, data)) < 0) {
		outcome(s, PROCESS_HELPER_IOPRIO,
			word != NULL ? "IOSchedulingClass" : "IOSchedulingPriority", errno);
	}
}

/* --- the rest --- */

uint64_t sandbox_parse_dumps(const char *text)
{
	static const char *const bits[] = {"private-anonymous", "shared-anonymous",
		"private-file-backed", "shared-file-backed", "elf-headers", "private-huge",
		"shared-huge", "private-dax", "shared-dax"};
	uint64_t mask = 0;
	char word[64];

	while (sandbox_word(&text, word, sizeof(word))) {
		bool found = false;

		for (unsigned i = 0; i < sizeof(bits) / sizeof(bits[0]); i++) {
			if (strcmp(word, bits[i]) == 0) {
				mask |= UINT64_C(1) << i;
				found = true;
			}
		}
		if (strcmp(word, "default") == 0) {
			mask |= 0x33; /* core(5) */
		} else if (strcmp(word, "all") == 0) {
			mask |= 0x1ff;
		} else if (!found) {
			mask |= strtoull(word, NULL, 16);
		}
	}
	return mask;
}

static void set_dumps(const struct sandbox *s)
{
	const char *value;
	uint32_t at = 0;
	uint64_t mask = 0;
	int fd;

	if (sandbox_get(s, "CoredumpFilter") == NULL) {
		return;
	}
	while ((value = sandbox_next(s, "CoredumpFilter", &at)) != NULL) {
		mask |= sandbox_parse_dumps(value);
	}
	fd = open("/proc/self/coredump_filter", O_WRONLY | O_CLOEXEC);
	if (fd < 0 || dprintf(fd, "0x%llx\n", (unsigned long long)mask) < 0) {
		sandbox_miss(
			s, "CoredumpFilter", "/proc/self/coredump_filter: %s", strerror(errno));
	}
	if (fd >= 0) {
		close(fd);
	}
}

static void set_personality(const struct sandbox *s)
{
	const char *value = sandbox_get(s, "Personality");
	bool narrow;

	if (value == NULL) {
		return;
	}
	narrow = strcmp(value, "x86") == 0 || strcmp(value, "s390") == 0;
	if (personality(narrow ? PER_LINUX32 : PER_LINUX) < 0) {
		outcome(s, PROCESS_HELPER_PERSONALITY, "Personality", errno);
	}
}

static void set_keyring(const struct sandbox *s)
{
	const char *mode = sandbox_get(s, "KeyringMode");

	if (mode == NULL || strcmp(mode, "inherit") == 0) {
		return;
	}
	if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL, 0, 0, 0) < 0) {
		sandbox_miss(s, "KeyringMode", "the kernel refuses a session keyring: %s",
			strerror(errno));
	} else if (strcmp(mode, "shared") == 0 &&
		   syscall(SYS_keyctl, KEYCTL_LINK, KEY_SPEC_USER_KEYRING, KEY_SPEC_SESSION_KEYRING,
			   0, 0) < 0) {
		sandbox_miss(
			s, "KeyringMode", "cannot link the user's keyring: %s", strerror(errno));
	}
}

void sandbox_schedule(struct sandbox *s)
{
	const char *slack = sandbox_get(s, "TimerSlackNSec");

	set_dumps(s);
	set_policy(s);
	set_affinity(s);
	set_numa(s);
	set_io_priority(s);
	if (slack != NULL && prctl(PR_SET_TIMERSLACK, strtoul(slack, NULL, 10), 0, 0, 0) < 0) {
		outcome(s, PROCESS_HELPER_TIMERSLACK, "TimerSlackNSec", errno);
	}
	if (sandbox_yes(s, "MemoryKSM") && prctl(PR_SET_MEMORY_MERGE, 1, 0, 0, 0) < 0) {
		sandbox_miss(s, "MemoryKSM", "the kernel refuses it: %s", strerror(errno));
	}
	set_personality(s);
	set_keyring(s);
}

/* --- limits --- */

int sandbox_add_limit(struct sandbox *s, const char *text)
{
	char *end;
	unsigned long number = strtoul(text, &end, 10);

	if (end == text || *end != '=' || number >= SANDBOX_LIMITS) {
		return -EINVAL;
	}
	s->limits[number].rlim_cur = strtoull(end + 1, &end, 10);
	if (*end != ':') {
		return -EINVAL;
	}
	s->limits[number].rlim_max = strtoull(end + 1, &end, 10);
	s->limits_set |= UINT32_C(1) << number;
	return *end == '\0' ? 0 : -EINVAL;
}

/* As systemd does: what may not be raised is raised as far as it goes. */
void sandbox_limits_apply(struct sandbox *s)
{
	if (s->extent != SANDBOX_NOTHING && sandbox_yes(s, "RestrictRealtime") &&
		(s->limits_set >> RLIMIT_RTPRIO & 1) == 0) {
		s->limits_set |= UINT32_C(1) << RLIMIT_RTPRIO;
	}
	for (int i = 0; i < SANDBOX_LIMITS; i++) {
		struct rlimit next = s->limits[i], now;

		if ((s->limits_set >> i & 1) == 0 ||
			prlimit(0, (__rlimit_resource_t)i, &next, NULL) == 0) {
			continue;
		}
		if (errno != EPERM || prlimit(0, (__rlimit_resource_t)i, NULL, &now) < 0) {
			sandbox_fail(PROCESS_HELPER_LIMITS, "cannot set limit %d: %s", i,
				strerror(errno));
		}
		next.rlim_max = next.rlim_max < now.rlim_max ? next.rlim_max : now.rlim_max;
		next.rlim_cur = next.rlim_cur < next.rlim_max ? next.rlim_cur : next.rlim_max;
		if (prlimit(0, (__rlimit_resource_t)i, &next, NULL) < 0) {
			sandbox_fail(PROCESS_HELPER_LIMITS, "cannot set limit %d: %s", i,
				strerror(errno));
		}
	}
}
