/* What the system runs in: a container, a virtual machine, neither. systemd-detect-virt(1). */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"
#include "process/condition.h"

/* --- containers --- */

/* container=NAME in the environment of process 1, which is ours where we are process 1. */
static bool container_of_init(char *buf, size_t size)
{
	char text[CONDITION_TEXT_SIZE];
	const char *own = getenv("container");
	if (own != NULL && own[0] != '\0') {
		return str_copy(buf, size, own);
	}
	if (!condition_read("/proc/1/environ", text, sizeof(text))) {
		return false;
	}
	const char *at = str_starts(text, "container=") ? text : strstr(text, " container=");
	if (at == NULL) {
		return false;
	}
	at = strchr(at, '=') + 1;
	snprintf(buf, size, "%.*s", (int)strcspn(at, " "), at);
	return buf[0] != '\0';
}

static bool container_of_cgroup(char *buf, size_t size)
{
	static const char *const words[] = {
		"docker", "lxc", "podman", "libpod", "kubepods", "containerd", NULL};
	char text[CONDITION_TEXT_SIZE];
	if (!condition_read("/proc/1/cgroup", text, sizeof(text))) {
		return false;
	}
	for (size_t i = 0; words[i] != NULL; i++) {
		if (strstr(text, words[i]) != NULL) {
			const char *word = i < 3 ? words[i] : "container-other";
			return str_copy(buf, size, i == 3 ? "podman" : word);
		}
	}
	return false;
}

const char *condition_container(char *buf, size_t size)
{
	char text[256];
	if (condition_read("/proc/sys/kernel/osrelease", text, sizeof(text)) &&
		(strstr(text, "Microsoft") != NULL || strstr(text, "WSL") != NULL)) {
		return "wsl";
	}
	if (condition_exists("/proc/vz") && !condition_exists("/proc/bc")) {
		return "openvz";
	}
	bool named = condition_read("/run/systemd/container", buf, size) ||
		     condition_read("/run/host/container-manager", buf, size);
	if (named && buf[0] != '\0') {
		return buf;
	}
	if (container_of_init(buf, size)) {
		return buf;
	}
	if (condition_exists("/run/.containerenv")) {
		return "podman";
	}
	if (condition_exists("/.dockerenv")) {
		return "docker";
	}
	return container_of_cgroup(buf, size) ? buf : "none";
}

/* --- virtual machines --- */

static const struct {
	const char *vendor, *word;
} vendors[] = {
	{"KVM", "kvm"},
	{"OpenStack", "kvm"},
	{"KubeVirt", "kvm"},
	{"Amazon EC2", "amazon"},
	{"QEMU", "qemu"},
	{"VMware", "vmware"},
	{"VMW", "vmware"},
	{"innotek GmbH", "oracle"},
	{"VirtualBox", "oracle"},
	{"Xen", "xen"},
	{"Bochs", "bochs"},
	{"Parallels", "parallels"},
	{"BHYVE", "bhyve"},
	{"Hyper-V", "microsoft"},
	{"Virtual Machine", "microsoft"},
	{"Apple Virtualization", "apple"},
	{"Google Compute Engine", "google"},
};

static const char *vm_of_dmi(void)
{
	static const char *const files[] = {"/sys/class/dmi/id/product_name",
		"/sys/class/dmi/id/sys_vendor", "/sys/class/dmi/id/board_vendor",
		"/sys/class/dmi/id/bios_vendor", "/sys/class/dmi/id/product_version"};
	char text[256];
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		if (!condition_read(files[i], text, sizeof(text))) {
			continue;
		}
		for (size_t j = 0; j < sizeof(vendors) / sizeof(vendors[0]); j++) {
			if (str_starts(text, vendors[j].vendor)) {
				return vendors[j].word;
			}
		}
	}
	return NULL;
}

/* The processor says that it is a virtual one; who made it stands in the DMI table, if anywhere. */
static bool processor_is_virtual(void)
{
	char text[CONDITION_TEXT_SIZE];
	return condition_read("/proc/cpuinfo", text, sizeof(text)) &&
	       strstr(text, " hypervisor") != NULL;
}

const char *condition_vm(void)
{
	char text[256];
	bool on_hypervisor = processor_is_virtual();
	if (condition_read("/sys/hypervisor/type", text, sizeof(text)) &&
		strcmp(text, "xen") == 0) {
		return "xen";
	}
	if (condition_exists("/proc/device-tree/hypervisor/compatible")) {
		return "kvm";
	}
	const char *word = vm_of_dmi();
	/* Amazon's and Google's machines without a hypervisor have the same names. */
	bool metal = word != NULL && !on_hypervisor &&
		     (strcmp(word, "amazon") == 0 || strcmp(word, "google") == 0);
	if (word != NULL && !metal) {
		return word;
	}
	return on_hypervisor ? "vm-other" : "none";
}

/* User ids that are not the machine's own. */
static bool has_private_users(void)
{
	char text[4096];
	unsigned long inside, outside, count;
	if (!condition_read("/proc/self/uid_map", text, sizeof(text))) {
		return false;
	}
	bool whole = sscanf(text, "%lu %lu %lu", &inside, &outside, &count) == 3 && inside == 0 &&
		     outside == 0 && count == UINT32_MAX;
	return !whole;
}

bool condition_virtualization(const char *argument)
{
	char buf[128];
	int truth = str_bool(argument);
	if (strcmp(argument, "private-users") == 0) {
		return has_private_users();
	}
	const char *container = condition_container(buf, sizeof(buf));
	bool contained = strcmp(container, "none") != 0;
	if (strcmp(argument, "container") == 0) {
		return contained;
	}
	if (contained && truth < 0) {
		return strcmp(argument, container) == 0;
	}
	const char *vm = condition_vm();
	bool virtual = strcmp(vm, "none") != 0;
	if (truth >= 0) {
		return (contained || virtual) == (truth == 1);
	}
	return strcmp(argument, "vm") == 0 ? virtual : strcmp(argument, vm) == 0;
}
