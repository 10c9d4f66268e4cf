/*
 * What the settings about system calls come to, as plain sets: everything of them that needs no
 * filter. Pure, but for calls_deny_write_execute().
 */
#ifndef SANDBOX_CALLS_H
#define SANDBOX_CALLS_H

#include "sandbox/internal.h"

/* The settings that need a filter. */
#define CALLS_KEYS                                                                                 \
	"SystemCallFilter", "SystemCallArchitectures", "SystemCallLog", "RestrictAddressFamilies", \
		"MemoryDenyWriteExecute", "RestrictRealtime", "RestrictSUIDSGID",                  \
		"RestrictNamespaces", "ProtectKernelModules", "ProtectKernelLogs",                 \
		"ProtectKernelTunables", "ProtectClock", "PrivateDevices", "ProtectHostname",      \
		"LockPersonality"

/* Whether any of them is in force. */
bool calls_wanted(const struct sandbox *s);

/* The calls of a group, separated by blanks, other groups among them; NULL for an unknown one. */
const char *calls_of_group(const char *name);

/* What becomes of a call: an errno value that it returns, or one of these. */
enum { CALLS_KILL = -1, CALLS_ALLOW = -2 };

struct calls_filter {
	bool permits;    /* the list names what is permitted */
	bool everything; /* @known is among it */
	int otherwise;   /* what becomes of the others (of the listed ones: their own `action`) */
	uint32_t count;
	struct calls_entry {
		const char *name;
		int action;
	} * calls;
};

/* All assignments of SystemCallFilter= or SystemCallLog=, by systemd.exec(5): the first decides
 * whether the list permits or refuses, later ones add or, with "~" or without, take away. A list
 * that permits has @default in it. The result lives as long as the process. */
struct calls_filter *calls_parse(const struct sandbox *s, const char *key);

#define CALLS_NUMBERS_MAX 512 /* no set is that large; what lies above is unknown */
/* seccomp_list.c: has the kernel do so from now on. 0, or -errno. */
int calls_load_list(const struct calls_filter *list);
/* seccomp.c: as the kernel has it (SECCOMP_RET_*). */
uint32_t calls_action(int action);

/* CLONE_NEW* bits that RestrictNamespaces= refuses. */
uint64_t calls_refused_namespaces(const struct sandbox *s);

#define CALLS_FAMILIES_MAX 64
struct calls_families {
	bool refused; /* the listed ones are refused; else all others */
	uint64_t bits[1];
};
/* RestrictAddressFamilies=; false when it is not set. */
bool calls_parse_families(const struct sandbox *s, struct calls_families *families);

/* The kernel's own MemoryDenyWriteExecute (PR_SET_MDWE, Linux 6.3); false: it has none. */
bool calls_deny_write_execute(void);

#endif
