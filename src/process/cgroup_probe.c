/* What becomes of the directives of resource control here. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/str.h"
#include "process/cgroup.h"

/* The first one of a file is the name it is known by; the others are older. `head`: what the value
 * has behind the device. */
static const struct cgroup_key {
	const char *key, *file, *head;
} cgroup_keys[] = {
	{"AllowedCPUs", "cpuset.cpus", ""},
	{"AllowedMemoryNodes", "cpuset.mems", ""},
	{"CPUQuota", "cpu.max", ""},
	{"CPUQuotaPeriodSec", "cpu.max", ""},
	{"CPUWeight", "cpu.weight", ""},
	{"CPUWeight", "cpu.idle", ""},
	{"CPUShares", "cpu.weight", ""},
	{"IODeviceLatencyTargetSec", "io.latency", " target="},
	{"IODeviceWeight", "io.weight", " "},
	{"IOWeight", "io.weight", ""},
	{"IOReadBandwidthMax", "io.max", " rbps="},
	{"IOReadIOPSMax", "io.max", " riops="},
	{"IOWriteBandwidthMax", "io.max", " wbps="},
	{"IOWriteIOPSMax", "io.max", " wiops="},
	{"BlockIODeviceWeight", "io.weight", " "},
	{"BlockIOReadBandwidth", "io.max", " rbps="},
	{"BlockIOWeight", "io.weight", ""},
	{"BlockIOWriteBandwidth", "io.max", " wbps="},
	{"MemoryHigh", "memory.high", ""},
	{"MemoryLow", "memory.low", ""},
	{"MemoryMax", "memory.max", ""},
	{"MemoryMin", "memory.min", ""},
	{"MemorySwapMax", "memory.swap.max", ""},
	{"MemoryZSwapMax", "memory.zswap.max", ""},
	{"MemoryLimit", "memory.max", ""},
	{"OOMPolicy", "memory.events", ""},
	{"TasksMax", "pids.max", ""},
};
#define KEYS (sizeof(cgroup_keys) / sizeof(cgroup_keys[0]))

const char *cgroup_directive(const char *file, const char *value)
{
	bool device = value != NULL && value[0] == '/';
	for (size_t i = 0; i < KEYS; i++) {
		const struct cgroup_key *key = &cgroup_keys[i];
		const char *head = device ? strchr(value, ' ') : "";
		if (strcmp(key->file, file) == 0 && head != NULL &&
			(device ? key->head[0] != '\0' && str_starts(head, key->head)
				: key->head[0] == '\0')) {
			return key->key;
		}
	}
	return NULL;
}

struct place {
	char why[128]; /* there are no cgroups; "" when there are */
	uint32_t available;
	bool alone; /* controllers can be enabled whatever else lives there */
};

static void look(struct place *place)
{
	char base[CGROUP_PATH_SIZE], name[32];
	int failed = cgroup_find(0, base, sizeof(base));
	char *own = failed != 0 ? NULL : strstr(base, "/coppice-");
	if (own != NULL && own[9] >= '0' && own[9] <= '9') {
		*own = '\0'; /* we are in a group that a coppice has made */
	}
	int at = failed != 0 ? -1 : open(base, O_PATH | O_DIRECTORY | O_CLOEXEC);
	snprintf(name, sizeof(name), "coppice-try-%d", getpid());
	if (at < 0) {
		snprintf(place->why, sizeof(place->why), "there is no cgroup v2 here");
	} else if (mkdirat(at, name, 0755) < 0) {
		snprintf(place->why, sizeof(place->why), "the cgroups here cannot be written");
	} else {
		(void)unlinkat(at, name, AT_REMOVEDIR);
		place->available = cgroup_available(at);
		place->alone = cgroup_is_root(at) || cgroup_enable(at, 0) != 0;
	}
	if (at >= 0) {
		close(at);
	}
}

static void tell_key(const struct place *place, const struct cgroup_key *key, cgroup_outcome *each,
	void *context)
{
	char text[256];
	enum cgroup_controller controller = cgroup_controller_of(key->file);
	bool there = place->why[0] == '\0' && (place->available >> controller & 1) != 0;
	if (place->why[0] != '\0') {
		snprintf(text, sizeof(text), "%s", place->why);
	} else if (!there) {
		snprintf(text, sizeof(text), "there is no %s controller here",
			cgroup_controller_names[controller]);
	} else {
		snprintf(text, sizeof(text), "%s of the unit's cgroup%s", key->file,
			place->alone ? "" : ", if coppice is process 1 or alone in its cgroup");
	}
	each(context, key->key, there ? "enforced" : "ignored", text);
}

void cgroup_probe(cgroup_outcome *each, void *context)
{
	struct place place = {{0}};
	look(&place);
	bool there = place.why[0] == '\0';
	for (size_t i = 0; i < KEYS; i++) {
		if (strcmp(cgroup_keys[i].file, "cpu.idle") != 0) {
			tell_key(&place, &cgroup_keys[i], each, context);
		}
	}
	each(context, "Delegate", there ? "enforced" : "ignored",
		there ? "the unit's cgroup belongs to its user" : place.why);
	each(context, "KillMode", there ? "enforced" : "emulated",
		there ? "by cgroup.kill" : "by process groups and a mark in the environment");
	each(context, "ExitType", there ? "enforced" : "emulated",
		there ? "by the unit's cgroup" : "by process groups and a mark in the environment");
}
