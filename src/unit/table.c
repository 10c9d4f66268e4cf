#include "unit/table.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "unit/parse.h"

/* Words that many entries share. */
#define TAKES_BOOLEAN     "a boolean (yes or no)"
#define TAKES_COMMAND     "a command line"
#define TAKES_CONDITION   "a condition"
#define TAKES_ENDS        "exit statuses and signals"
#define TAKES_DIRECTORIES "a relative path without \".\" and \"..\", perhaps with \":LINK\""
#define TAKES_LIMIT       "a limit"
#define TAKES_LIMIT_BYTES "a limit in bytes (512M, 1G:2G, infinity)"
#define TAKES_LIMIT_COUNT "a limit (1024, 1024:65536, infinity)"
#define TAKES_LIMIT_TIME  "a limit of time (30s, 10s:1min, infinity)"
#define TAKES_OUTPUT                                                                \
	"one of inherit, null, tty, journal, log, socket, file:PATH, append:PATH, " \
	"truncate:PATH, fd:NAME"
#define TAKES_PATH  "an absolute path"
#define TAKES_PATHS "paths"
#define TAKES_RESTART_WORDS                                                          \
	"one of permanent, transient, temporary, or a word of systemd: always, no, " \
	"on-failure, on-success, on-abnormal, on-abort, on-watchdog"
#define TAKES_SIGNAL           "the name of a signal"
#define TAKES_SPAN             "a time span (5s, 1min 30s)"
#define TAKES_SPAN_OR_INFINITY "a time span (5s, 1min 30s) or infinity"
#define TAKES_TEXT             "a text"
#define TAKES_UNITS            "names of units"
#define TAKES_VALUE            "a value"
#define TAKES_ACTION                                                                      \
	"one of none, reboot, reboot-force, reboot-immediate, poweroff, poweroff-force, " \
	"poweroff-immediate, exit, exit-force"
#define TAKES_NUMBER   "a number"
#define TAKES_STATUS   "a number from 0 to 255"
#define DOC_ACCOUNTING "Accounting, which the kernel does anyway."
#define DOC_FILES      "What the service sees of the file system."
#define DOC_FILTERS    "Filters of devices and of the network."
#define DOC_IMAGES     "Images and foreign namespaces."
#define DOC_TERMINALS  "Terminals."

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#define NOWHERE           BASE_NONE, 0
#define UNIT(field)       BASE_UNIT, offsetof(struct unit, field)
#define SERVICE(field)    BASE_SERVICE, offsetof(struct unit_service, field)
#define SUPERVISOR(field) BASE_SUPERVISOR, offsetof(struct unit_supervisor, field)
#define SOCKET(field)     BASE_SOCKET, offsetof(struct unit_socket, field)
#define RELATION(which)   BASE_RELATION, which

/* The field expands to base and offset, so that the entries pass through one more macro. */
#define D(...) ENTRY(__VA_ARGS__)

#define ENTRY(section, key, tier, use, parser, base, offset, values, doc) \
	{#section, #key, values, tier, USE_##use == USE_HONOURED, USE_##use == USE_QUIET, doc},
static const struct unit_directive table_public_list[] = {
#include "unit/directives.def"
};
#undef ENTRY

#define ENTRY(section, key, tier, use, parser, base, offset, values, doc) \
	{parse_##parser, offset, base, USE_##use},
static const struct directive table_list[] = {
#include "unit/directives.def"
};
#undef ENTRY

const struct unit_directive *unit_directives(uint32_t *count)
{
	*count = (uint32_t)COUNT(table_public_list);
	return table_public_list;
}

const struct directive *table_directive(int index)
{
	return &table_list[index];
}

const struct unit_directive *table_public(int index)
{
	return &table_public_list[index];
}

static int table_compare(const void *a, const void *b)
{
	const struct unit_directive *x = a;
	const struct unit_directive *y = b;
	int order = strcmp(x->section, y->section);
	return order != 0 ? order : strcmp(x->key, y->key);
}

int table_find(const char *section, const char *key)
{
	struct unit_directive wanted = {.section = section, .key = key};
	const struct unit_directive *found = bsearch(&wanted, table_public_list,
		COUNT(table_public_list), sizeof(table_public_list[0]), table_compare);
	return found == NULL ? -ENOENT : (int)(found - table_public_list);
}

const char *table_nearest_key(const char *section, const char *key)
{
	const char *best = NULL;
	unsigned best_distance = key != NULL ? (unsigned)(3 + strlen(key) / 8) : 0;
	for (size_t i = 0; i < COUNT(table_public_list); i++) {
		if (strcmp(table_public_list[i].section, section) != 0) {
			continue;
		}
		if (key == NULL) {
			return table_public_list[i].key;
		}
		unsigned distance = str_distance(table_public_list[i].key, key);
		if (distance < best_distance) {
			best = table_public_list[i].key;
			best_distance = distance;
		}
	}
	return best;
}

const char *table_section_of(const char *key, const char *const *sections)
{
	for (; *sections != NULL; sections++) {
		if (table_find(*sections, key) >= 0) {
			return *sections;
		}
	}
	return NULL;
}

const char *const *table_sections(enum unit_kind kind)
{
	static const char *const service[] = {"Unit", "Service", "Health", "Install", NULL};
	static const char *const supervisor[] = {"Unit", "Supervisor", "Install", NULL};
	static const char *const socket[] = {"Unit", "Socket", "Install", NULL};
	static const char *const timer[] = {"Unit", "Timer", "Install", NULL};
	static const char *const target[] = {"Unit", "Install", NULL};
	switch (kind) {
	case UNIT_SERVICE: return service;
	case UNIT_SUPERVISOR: return supervisor;
	case UNIT_SOCKET: return socket;
	case UNIT_TIMER: return timer;
	case UNIT_TARGET:
	case UNIT_OTHER: break;
	}
	return target;
}
