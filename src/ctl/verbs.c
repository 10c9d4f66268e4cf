/* The table of verbs. */
#include "ctl/ctl.h"

#include <string.h>

#include "base/str.h"

#define WAITING (OPTION_BIT(NO_WAIT) | OPTION_BIT(TIMEOUT))
#define READING (OPTION_BIT(ROOT) | OPTION_BIT(UNIT_PATH))

const struct ctl_verb ctl_verbs[] = {
	{"status", "[UNIT...]", 0, -1, 0, verb_status, "how the tree or a unit is",
		"Without a unit, the whole tree in one screen; with one, its details and why it "
		"is\n"
		"in its state. Exits with 3 when the root (or the unit) is not running.",
		"coppicectl status gateway"},
	{"tree", "", 0, 0, 0, verb_tree, "the supervision tree", NULL, "coppicectl tree"},
	{"list", "[UNIT...]", 0, -1, 0, verb_list, "a line a unit", NULL,
		"coppicectl --json list | jq '.[].unit'"},
	{"show", "UNIT", 1, 1, OPTION_BIT(PROPERTY), verb_show, "every property as KEY=VALUE", NULL,
		"coppicectl show redis -p pid"},
	{"start", "UNIT...", 1, -1, WAITING, verb_start, "start, and wait until it is ready",
		"NAME@INSTANCE makes a new child of the supervisor that has the template NAME@.",
		"coppicectl start worker@7"},
	{"stop", "UNIT...", 1, -1, WAITING | OPTION_BIT(ONCE), verb_stop,
		"stop, and hold it stopped",
		"The unit stays stopped (held) until it is started by hand. With --once a restart\n"
		"of its group brings it back, as after OTP's terminate_child.",
		"coppicectl stop --once redis"},
	{"restart", "UNIT...", 1, -1, WAITING, verb_restart, "stop and start as one request", NULL,
		"coppicectl restart gateway"},
	{"reload", "UNIT...", 1, -1, WAITING, verb_reload,
		"let it read its own configuration again",
		"This is the service's reload (ExecReload=). For unit files see daemon-reload.",
		"coppicectl reload nginx"},
	{"kill", "UNIT...", 1, -1, OPTION_BIT(SIGNAL) | OPTION_BIT(ALL), verb_kill, "send a signal",
		"To the main process; with --all to its whole process group or cgroup.",
		"coppicectl kill -s HUP nginx"},
	{"delete", "UNIT...", 1, -1, WAITING, verb_delete,
		"take a stopped child out of its supervisor",
		"OTP's delete_child. The child must be stopped.", "coppicectl delete worker@7"},
	{"wait", "UNIT", 1, 1, OPTION_BIT(FOR) | OPTION_BIT(TIMEOUT), verb_wait,
		"wait until it is in a state",
		"For ready, when --for does not say otherwise. Exits with 7 after --timeout.",
		"coppicectl wait gateway --for=ready --timeout=10s"},
	{"is-active", "[UNIT]", 0, 1, OPTION_BIT(QUIET), verb_is_active,
		"exits with 0 when it is running",
		"Without a unit: the root. Exits with 3 when it is not running.",
		"coppicectl is-active redis && echo up"},
	{"is-ready", "[UNIT]", 0, 1, OPTION_BIT(QUIET), verb_is_ready,
		"exits with 0 when it is ready",
		"Without a unit: the whole tree, for an exec probe. Exits with 1 when it is not.",
		"coppicectl is-ready -q"},
	{"is-failed", "[UNIT]", 0, 1, OPTION_BIT(QUIET), verb_is_failed,
		"exits with 0 when it has failed",
		"Without a unit: when any unit of the tree has. Exits with 1 when it has not.",
		"coppicectl is-failed && coppicectl status"},
	{"watch", "[UNIT...]", 0, -1, 0, verb_watch, "what happens, a line an event",
		"Lines are: time, event, unit, pid, reason. With --json one object a line; the "
		"first,\n"
		"{\"event\":\"subscribed\"}, says that nothing is missed from here on.",
		"coppicectl watch --json gateway"},
	{"why", "UNIT", 1, 1, 0, verb_why, "why it is in its state, and what comes next", NULL,
		"coppicectl why gateway"},
	{"trace", "", 0, 0, 0, verb_trace, "the last transitions of the core", NULL,
		"coppicectl trace"},
	{"cat", "UNIT...", 1, -1, READING, verb_cat, "its files as they are in use",
		"Where no coppice answers, the files on disk.", "coppicectl cat gateway"},
	{"verify", "[FILE...]", 0, -1, READING | OPTION_BIT(DIRECTIVES), verb_verify,
		"check unit files, without a running coppice",
		"Without a file, the whole tree below the root unit. Exits with 1 on errors. With\n"
		"--directives [UNIT], what becomes of each directive on this system.",
		"coppicectl verify units/*.service"},
	{"daemon-reload", "", 0, 0, OPTION_BIT(DRY_RUN), verb_daemon_reload,
		"take over changed unit files",
		"Says what it does, a line each. A broken tree changes nothing.",
		"coppicectl daemon-reload --dry-run"},
	{"shutdown", "", 0, 0, OPTION_BIT(NOW) | OPTION_BIT(WAIT) | OPTION_BIT(TIMEOUT),
		verb_shutdown, "stop the whole tree in order, and coppice", NULL,
		"coppicectl shutdown --wait"},
	{"count", "[SUPERVISOR]", 0, 1, 0, verb_count, "children by kind, as OTP's count_children",
		NULL, "coppicectl count pool.supervisor"},
	{"help", "[VERB]", 0, 1, 0, verb_help, "this list, or how a verb is used", NULL,
		"coppicectl help stop"},
};
const unsigned ctl_verbs_count = sizeof(ctl_verbs) / sizeof(ctl_verbs[0]);

const struct ctl_verb *ctl_verb_find(const char *name)
{
	for (unsigned i = 0; i < ctl_verbs_count; i++) {
		if (strcmp(ctl_verbs[i].name, name) == 0) {
			return &ctl_verbs[i];
		}
	}
	return NULL;
}

const char *ctl_verb_nearest(const char *name)
{
	const char *nearest = NULL;
	unsigned best = 3; /* farther ones are no slips of the finger */

	for (unsigned i = 0; i < ctl_verbs_count; i++) {
		unsigned distance = str_distance(name, ctl_verbs[i].name);

		if (distance < best && distance < strlen(ctl_verbs[i].name)) {
			best = distance;
			nearest = ctl_verbs[i].name;
		}
	}
	return nearest;
}
