#include "sandbox/calls.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "base/compat.h"
#include "base/names.h"
#include "base/str.h"
#include "process/spawn.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define ERRNO_COUNT  134

/* --- whether there is anything to do --- */

static bool in_force(const struct sandbox *s, const char *key)
{
	const char *value = sandbox_get(s, key);

	return value != NULL && strcmp(value, "no") != 0;
}

bool calls_wanted(const struct sandbox *s)
{
	static const char *const keys[] = {CALLS_KEYS};

	for (size_t i = 0; i < COUNT(keys); i++) {
		if (in_force(s, keys[i])) {
			return true;
		}
	}
	return false;
}

bool sandbox_needs_no_new_privileges(const struct sandbox *s)
{
	/* The kernel lets a filter be loaded by who may do anything, or may gain nothing. */
	return sandbox_yes(s, "NoNewPrivileges") ||
	       (calls_wanted(s) && !sandbox_capable(CAP_SYS_ADMIN));
}

void sandbox_no_new_privileges(void)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) {
		sandbox_fail(PROCESS_HELPER_NO_NEW_PRIVILEGES, "no_new_privs: %s", strerror(errno));
	}
}

bool calls_deny_write_execute(void)
{
	return prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0) == 0;
}

/* --- groups --- */

static const struct calls_group {
	const char *name, *calls;
} calls_groups[] = {
#define GROUP(name, calls) {name, calls},
#include "sandbox/calls.def"
#undef GROUP
};

const char *calls_of_group(const char *name)
{
	for (size_t i = 0; i < COUNT(calls_groups); i++) {
		if (strcmp(calls_groups[i].name, name) == 0) {
			return calls_groups[i].calls;
		}
	}
	return NULL;
}

/* --- SystemCallFilter= --- */

static int parse_action(const char *text)
{
	uint64_t number;

	if (strcmp(text, "kill") == 0) {
		return CALLS_KILL;
	}
	if (str_u64(text, 0, 4095, &number) == 0) {
		return (int)number;
	}
	for (int code = 1; code < ERRNO_COUNT; code++) {
		if (strcmp(errno_name(code), text) == 0) {
			return code;
		}
	}
	return CALLS_KILL;
}

static void put(struct calls_filter *list, const char *name, int action)
{
	for (uint32_t i = 0; i < list->count; i++) {
		if (strcmp(list->calls[i].name, name) == 0) {
			list->calls[i].action = action;
			return;
		}
	}
	if (list->count % 64 == 0) {
		list->calls = realloc(list->calls, (list->count + 64) * sizeof(*list->calls));
		if (list->calls == NULL) {
			sandbox_fail(PROCESS_HELPER_MEMORY, "out of memory");
		}
	}
	list->calls[list->count++] =
		(struct calls_entry){sandbox_copy(name, PROCESS_HELPER_MEMORY), action};
}

static void take_away(struct calls_filter *list, const char *name)
{
	for (uint32_t i = 0; i < list->count; i++) {
		if (strcmp(list->calls[i].name, name) == 0) {
			free((char *)(uintptr_t)list->calls[i].name);
			list->calls[i] = list->calls[--list->count];
			return;
		}
	}
}

/* A call, or a group with all that is in it; groups hold groups, two deep. */
static void change(struct calls_filter *list, const char *name, bool add, int action)
{
	const char *rest;
	char word[64];

	if (name[0] != '@') {
		if (add) {
			put(list, name, action);
		} else {
			take_away(list, name);
		}
		return;
	}
	list->everything = list->everything || (add && strcmp(name, "@known") == 0);
	rest = calls_of_group(name);
	while (rest != NULL && sandbox_word(&rest, word, sizeof(word))) {
		change(list, word, add, action);
	}
}

static void change_by(struct calls_filter *list, const char *value)
{
	bool inverted = *value == '~';
	char word[128];

	value += inverted;
	while (sandbox_word(&value, word, sizeof(word))) {
		char *colon = strchr(word, ':');
		int action = list->permits ? CALLS_ALLOW : list->otherwise;

		if (colon != NULL) {
			*colon = '\0';
		}
		if (colon != NULL && inverted) {
			/* It names what becomes of the call, in either kind of list. */
			change(list, word, true, parse_action(colon + 1));
		} else {
			change(list, word, inverted != list->permits, action);
		}
	}
}

struct calls_filter *calls_parse(const struct sandbox *s, const char *key)
{
	struct calls_filter *list = calloc(1, sizeof(*list));
	const char *error = sandbox_get(s, "SystemCallErrorNumber"), *value;
	uint32_t at = 0;

	if (list == NULL) {
		sandbox_fail(PROCESS_HELPER_MEMORY, "out of memory");
	}
	list->otherwise = error != NULL ? parse_action(error) : CALLS_KILL;
	while ((value = sandbox_next(s, key, &at)) != NULL) {
		if (list->count == 0) {
			list->permits = *value != '~';
			if (list->permits && strcmp(key, "SystemCallFilter") == 0) {
				change(list, "@default", true, CALLS_ALLOW);
			}
		}
		change_by(list, value);
	}
	return list;
}

/* --- RestrictNamespaces= --- */

static uint64_t parse_namespaces(const char *value)
{
	static const struct {
		const char *word;
		uint64_t flag;
	} known[] = {{"cgroup", CLONE_NEWCGROUP}, {"ipc", CLONE_NEWIPC}, {"net", CLONE_NEWNET},
		{"mnt", CLONE_NEWNS}, {"pid", CLONE_NEWPID}, {"user", CLONE_NEWUSER},
		{"uts", CLONE_NEWUTS}, {"time", CLONE_NEWTIME}};
	uint64_t set = 0;
	char word[64];

	while (sandbox_word(&value, word, sizeof(word))) {
		for (size_t i = 0; i < COUNT(known); i++) {
			set |= strcmp(word, known[i].word) == 0 || strcmp(word, "yes") == 0
				       ? known[i].flag
				       : 0;
		}
	}
	return set;
}

uint64_t calls_refused_namespaces(const struct sandbox *s)
{
	uint64_t all = parse_namespaces("yes"), permitted = all;
	const char *value;
	uint32_t at = 0;

	while ((value = sandbox_next(s, "RestrictNamespaces", &at)) != NULL) {
		bool inverted = *value == '~';
		uint64_t words = parse_namespaces(value + inverted);

		if (str_bool(value) >= 0) {
			permitted = str_bool(value) == 1 ? 0 : all;
		} else if (permitted == all) {
			permitted = inverted ? all & ~words : words;
		} else {
			permitted = inverted ? permitted & ~words : permitted | words;
		}
	}
	return all & ~permitted;
}

/* --- RestrictAddressFamilies= --- */

#define FAMILY(name)        \
	{                   \
#name, name \
	}
static const struct {
	const char *name;
	unsigned number;
} calls_family_names[] = {FAMILY(AF_UNIX), FAMILY(AF_LOCAL), FAMILY(AF_INET), FAMILY(AF_INET6),
	FAMILY(AF_NETLINK), FAMILY(AF_PACKET), FAMILY(AF_ALG), FAMILY(AF_AX25), FAMILY(AF_IPX),
	FAMILY(AF_APPLETALK), FAMILY(AF_NETROM), FAMILY(AF_BRIDGE), FAMILY(AF_ATMPVC),
	FAMILY(AF_X25), FAMILY(AF_ROSE), FAMILY(AF_DECnet), FAMILY(AF_NETBEUI), FAMILY(AF_SECURITY),
	FAMILY(AF_KEY), FAMILY(AF_ROUTE), FAMILY(AF_ASH), FAMILY(AF_ECONET), FAMILY(AF_ATMSVC),
	FAMILY(AF_RDS), FAMILY(AF_SNA), FAMILY(AF_IRDA), FAMILY(AF_PPPOX), FAMILY(AF_WANPIPE),
	FAMILY(AF_LLC), FAMILY(AF_IB), FAMILY(AF_MPLS), FAMILY(AF_CAN), FAMILY(AF_TIPC),
	FAMILY(AF_BLUETOOTH), FAMILY(AF_IUCV), FAMILY(AF_RXRPC), FAMILY(AF_ISDN), FAMILY(AF_PHONET),
	FAMILY(AF_IEEE802154), FAMILY(AF_CAIF), FAMILY(AF_NFC), FAMILY(AF_VSOCK), FAMILY(AF_KCM),
	FAMILY(AF_QIPCRTR), FAMILY(AF_SMC), FAMILY(AF_XDP), FAMILY(AF_MCTP)};

static uint64_t parse_families(const char *value)
{
	uint64_t set = 0;
	char word[64];

	while (sandbox_word(&value, word, sizeof(word))) {
		for (size_t i = 0; i < COUNT(calls_family_names); i++) {
			set |= strcmp(word, calls_family_names[i].name) == 0
				       ? UINT64_C(1) << calls_family_names[i].number
				       : 0;
		}
	}
	return set;
}

bool calls_parse_families(const struct sandbox *s, struct calls_families *families)
{
	bool first = true;
	const char *value;
	uint32_t at = 0;

	*families = (struct calls_families){0};
	while ((value = sandbox_next(s, "RestrictAddressFamilies", &at)) != NULL) {
		bool inverted = *value == '~';
		uint64_t words = parse_families(value + inverted);

		if (strcmp(value, "none") == 0) {
			families->refused = false;
			families->bits[0] = 0;
		} else if (first) {
			families->refused = inverted;
			families->bits[0] = words;
		} else if (inverted == families->refused) {
			families->bits[0] |= words;
		} else {
			families->bits[0] &= ~words;
		}
		first = false;
	}
	return !first;
}
