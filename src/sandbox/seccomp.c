/*
 * Filters of system calls, by libseccomp (seccomp_none.c stands here where there is none).
 *
 * At most two filters are loaded: one with the refusals of all the Restrict*, Protect* and Lock*
 * settings, and that of SystemCallFilter= (seccomp_list.c). Both hold on the other instruction sets
 * that the processor can run, too.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "sandbox/calls.h"

const char *sandbox_seccomp_missing(void)
{
	return NULL;
}

/* --- contexts --- */

static int call_number(const char *name)
{
	return seccomp_syscall_resolve_name(name);
}

/* The other instruction sets of this processor. */
static void add_architectures(scmp_filter_ctx filter)
{
	if (seccomp_arch_native() == SCMP_ARCH_X86_64) {
		(void)seccomp_arch_add(filter, SCMP_ARCH_X86);
		(void)seccomp_arch_add(filter, SCMP_ARCH_X32);
	} else if (seccomp_arch_native() == SCMP_ARCH_AARCH64) {
		(void)seccomp_arch_add(filter, SCMP_ARCH_ARM);
	}
}

static scmp_filter_ctx filter_create(uint32_t by_default)
{
	scmp_filter_ctx filter = seccomp_init(by_default);

	if (filter != NULL) {
		(void)seccomp_attr_set(filter, SCMP_FLTATR_CTL_NNP, 0); /* ours to decide */
		(void)seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ALLOW);
		(void)seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	}
	return filter;
}

/* A rule for a call that an architecture lacks is none there; -EACCES: it is the default anyway. */
static void refuse(scmp_filter_ctx filter, uint32_t action, const char *name)
{
	int number = call_number(name);

	if (number != __NR_SCMP_ERROR) {
		(void)seccomp_rule_add(filter, action, number, 0);
	}
}

static void refuse_when(
	scmp_filter_ctx filter, uint32_t action, const char *name, struct scmp_arg_cmp compare)
{
	int number = call_number(name);

	if (number != __NR_SCMP_ERROR) {
		(void)seccomp_rule_add_array(filter, action, number, 1, &compare);
	}
}

/* --- the settings that refuse some calls --- */

static void refuse_group(scmp_filter_ctx filter, const char *name)
{
	const char *rest = calls_of_group(name);
	char word[64];

	while (rest != NULL && sandbox_word(&rest, word, sizeof(word))) {
		if (word[0] == '@') {
			refuse_group(filter, word);
		} else {
			refuse(filter, SCMP_ACT_ERRNO(EPERM), word);
		}
	}
}

static void restrict_realtime(scmp_filter_ctx filter)
{
	uint32_t action = SCMP_ACT_ERRNO(EPERM);

	refuse_when(filter, action, "sched_setscheduler", SCMP_A1(SCMP_CMP_EQ, SCHED_FIFO));
	refuse_when(filter, action, "sched_setscheduler", SCMP_A1(SCMP_CMP_EQ, SCHED_RR));
	refuse_when(filter, action, "sched_setscheduler", SCMP_A1(SCMP_CMP_EQ, 4));
	refuse_when(filter, action, "sched_setscheduler", SCMP_A1(SCMP_CMP_GT, SCHED_DEADLINE));
	for (uint64_t policy = SCHED_FIFO; policy <= SCHED_RR; policy++) {
		refuse_when(filter, action, "sched_setscheduler",
			SCMP_A1(SCMP_CMP_EQ, policy | SCHED_RESET_ON_FORK));
	}
	/* Its policy is behind a pointer, where no filter sees it; callers fall back. */
	refuse(filter, SCMP_ACT_ERRNO(ENOSYS), "sched_setattr");
}

static void restrict_bits(scmp_filter_ctx filter)
{
	static const struct {
		const char *name;
		uint8_t argument;
	} modes[] = {{"chmod", 1}, {"fchmod", 1}, {"fchmodat", 2}, {"fchmodat2", 2}, {"mkdir", 1},
		{"mkdirat", 2}, {"mknod", 1}, {"mknodat", 2}, {"creat", 1}};
	static const struct {
		const char *name;
		uint8_t flags, mode;
	} opens[] = {{"open", 1, 2}, {"openat", 2, 3}};
	static const uint64_t bits[] = {S_ISUID, S_ISGID};
	uint32_t action = SCMP_ACT_ERRNO(EPERM);

	for (size_t b = 0; b < 2; b++) {
		for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
			refuse_when(filter, action, modes[i].name,
				SCMP_CMP(modes[i].argument, SCMP_CMP_MASKED_EQ, bits[b], bits[b]));
		}
		for (size_t i = 0; i < sizeof(opens) / sizeof(opens[0]); i++) {
			int number = call_number(opens[i].name);

			(void)seccomp_rule_add(filter, action, number, 2,
				SCMP_CMP(opens[i].flags, SCMP_CMP_MASKED_EQ, O_CREAT, O_CREAT),
				SCMP_CMP(opens[i].mode, SCMP_CMP_MASKED_EQ, bits[b], bits[b]));
			(void)seccomp_rule_add(filter, action, number, 2,
				SCMP_CMP(opens[i].flags, SCMP_CMP_MASKED_EQ, O_TMPFILE, O_TMPFILE),
				SCMP_CMP(opens[i].mode, SCMP_CMP_MASKED_EQ, bits[b], bits[b]));
		}
	}
	refuse(filter, SCMP_ACT_ERRNO(ENOSYS), "openat2"); /* its mode is behind a pointer */
}

static void deny_write_execute(scmp_filter_ctx filter)
{
	uint32_t action = SCMP_ACT_ERRNO(EPERM);

	refuse_when(filter, action, "mmap",
		SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC | PROT_WRITE, PROT_EXEC | PROT_WRITE));
	refuse_when(filter, action, "mmap2",
		SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC | PROT_WRITE, PROT_EXEC | PROT_WRITE));
	refuse_when(filter, action, "mprotect", SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, PROT_EXEC));
	refuse_when(
		filter, action, "pkey_mprotect", SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, PROT_EXEC));
	refuse_when(filter, action, "shmat", SCMP_A2(SCMP_CMP_MASKED_EQ, SHM_EXEC, SHM_EXEC));
}

static void restrict_namespaces(scmp_filter_ctx filter, uint64_t refused)
{
	uint32_t action = SCMP_ACT_ERRNO(EPERM);

	if (refused == 0) {
		return;
	}
	refuse(filter, SCMP_ACT_ERRNO(ENOSYS), "clone3"); /* its flags are behind a pointer */
	/* Without a kind setns(2) takes any. */
	refuse_when(filter, action, "setns", SCMP_A1(SCMP_CMP_EQ, 0));
	for (int bit = 0; bit < 32; bit++) {
		uint64_t flag = UINT64_C(1) << bit;

		if ((refused & flag) != 0) {
			refuse_when(
				filter, action, "unshare", SCMP_A0(SCMP_CMP_MASKED_EQ, flag, flag));
			if (flag > CSIGNAL) { /* below, clone(2) has the signal of its end */
				refuse_when(filter, action, "clone",
					SCMP_A0(SCMP_CMP_MASKED_EQ, flag, flag));
			}
			refuse_when(
				filter, action, "setns", SCMP_A1(SCMP_CMP_MASKED_EQ, flag, flag));
		}
	}
}

static void restrict_families(scmp_filter_ctx filter, const struct sandbox *s)
{
	uint32_t action = SCMP_ACT_ERRNO(EAFNOSUPPORT);
	struct calls_families families;

	if (!calls_parse_families(s, &families)) {
		return;
	}
	for (unsigned family = 0; family < CALLS_FAMILIES_MAX; family++) {
		bool listed = (families.bits[family / 64] >> (family % 64) & 1) != 0;

		if (listed == families.refused) {
			refuse_when(filter, action, "socket", SCMP_A0(SCMP_CMP_EQ, family));
		}
	}
	if (!families.refused) {
		refuse_when(filter, action, "socket", SCMP_A0(SCMP_CMP_GE, CALLS_FAMILIES_MAX));
	}
}

static void lock_personality(scmp_filter_ctx filter)
{
	int now = personality(0xffffffff);

	refuse_when(filter, SCMP_ACT_ERRNO(EPERM), "personality",
		SCMP_A0(SCMP_CMP_NE, now < 0 ? 0 : (uint64_t)(unsigned)now));
}

static void refuse_by_settings(scmp_filter_ctx filter, const struct sandbox *s)
{
	const char *host = sandbox_get(s, "ProtectHostname");

	restrict_families(filter, s);
	if (sandbox_yes(s, "MemoryDenyWriteExecute") && !calls_deny_write_execute()) {
		deny_write_execute(filter);
	}
	if (sandbox_yes(s, "RestrictRealtime")) {
		restrict_realtime(filter);
	}
	if (sandbox_yes(s, "RestrictSUIDSGID")) {
		restrict_bits(filter);
	}
	restrict_namespaces(filter, calls_refused_namespaces(s));
	if (sandbox_yes(s, "ProtectKernelModules")) {
		refuse_group(filter, "@module");
	}
	if (sandbox_yes(s, "ProtectKernelLogs")) {
		refuse(filter, SCMP_ACT_ERRNO(EPERM), "syslog");
	}
	if (sandbox_yes(s, "ProtectKernelTunables")) {
		refuse(filter, SCMP_ACT_ERRNO(EPERM), "_sysctl");
	}
	if (sandbox_yes(s, "ProtectClock")) {
		refuse_group(filter, "@clock");
	}
	if (sandbox_yes(s, "PrivateDevices")) {
		refuse_group(filter, "@raw-io");
	}
	if (host != NULL && strcmp(host, "no") != 0) {
		refuse(filter, SCMP_ACT_ERRNO(EPERM), "sethostname");
		refuse(filter, SCMP_ACT_ERRNO(EPERM), "setdomainname");
	}
	if (sandbox_yes(s, "LockPersonality")) {
		lock_personality(filter);
	}
}

/* systemd.exec(5)'s names and libseccomp's. */
static uint32_t architecture(const char *name)
{
	static const char *const others[][2] = {{"x86-64", "x86_64"}, {"arm64", "aarch64"},
		{"mips-le", "mipsel"}, {"mips64-le", "mipsel64"}, {"mips64-n32", "mips64n32"},
		{"mips64-le-n32", "mipsel64n32"}, {"ppc64-le", "ppc64le"}};

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		if (strcmp(name, others[i][0]) == 0) {
			name = others[i][1];
		}
	}
	return strcmp(name, "native") == 0 ? seccomp_arch_native()
					   : seccomp_arch_resolve_name(name);
}

/* SystemCallArchitectures=: what is named, and always the native one. */
static void permit_architectures(scmp_filter_ctx filter, const struct sandbox *s)
{
	const char *value;
	uint32_t at = 0;
	char word[64];

	if (sandbox_get(s, "SystemCallArchitectures") == NULL) {
		add_architectures(filter);
		return;
	}
	(void)seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	while ((value = sandbox_next(s, "SystemCallArchitectures", &at)) != NULL) {
		while (sandbox_word(&value, word, sizeof(word))) {
			uint32_t token = architecture(word);

			if (token != 0) {
				(void)seccomp_arch_add(filter, token);
			}
		}
	}
}

/* --- SystemCallFilter= --- */

uint32_t calls_action(int action)
{
	return action == CALLS_KILL    ? SCMP_ACT_KILL_PROCESS
	       : action == CALLS_ALLOW ? SCMP_ACT_ALLOW
				       : SCMP_ACT_ERRNO((uint32_t)action);
}

static void log_listed(scmp_filter_ctx filter, const struct sandbox *s)
{
	struct calls_filter *list = calls_parse(s, "SystemCallLog");

	for (uint32_t i = 0; list->permits && i < list->count; i++) {
		refuse(filter, SCMP_ACT_LOG, list->calls[i].name);
	}
}

static void say_refused(const struct sandbox *s, int failed)
{
	static const char *const keys[] = {CALLS_KEYS};

	for (size_t i = 0; failed < 0 && i < sizeof(keys) / sizeof(keys[0]); i++) {
		if (sandbox_get(s, keys[i]) != NULL) {
			sandbox_miss(s, keys[i], "the kernel refuses a filter of system calls: %s",
				strerror(-failed));
		}
	}
}

void sandbox_seccomp_apply(struct sandbox *s)
{
	struct calls_filter *list;
	scmp_filter_ctx some;
	int failed;

	if (!calls_wanted(s)) {
		return;
	}
	some = filter_create(SCMP_ACT_ALLOW);
	if (some == NULL) {
		say_refused(s, -ENOMEM);
		return;
	}
	permit_architectures(some, s);
	refuse_by_settings(some, s);
	log_listed(some, s);
	failed = seccomp_load(some);
	seccomp_release(some);
	/* The stricter one last: it may refuse the loading of another. */
	list = calls_parse(s, "SystemCallFilter");
	if (failed == 0 && list->count > 0) {
		failed = calls_load_list(list);
	}
	say_refused(s, failed);
}
