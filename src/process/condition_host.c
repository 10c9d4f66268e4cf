/* Conditions about the machine, its kernel, its users, and ourselves. */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fnmatch.h>
#include <linux/netlink.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/str.h"
#include "process/account.h"
#include "process/condition.h"

/* --- hardware --- */

bool condition_architecture(const char *argument)
{
	/* uname(2)'s words, and systemd's. */
	static const char *const words[][2] = {{"x86_64", "x86-64"}, {"i686", "x86"},
		{"i586", "x86"}, {"i486", "x86"}, {"i386", "x86"}, {"aarch64", "arm64"},
		{"aarch64_be", "arm64-be"}, {"ppc64le", "ppc64-le"}, {"ppcle", "ppc-le"},
		{"mips64", "mips64-le"}, {"mips", "mips-le"}, {"loongarch64", "loongarch64"}};
	struct utsname name;
	uname(&name);
	const char *word = name.machine;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		word = strcmp(name.machine, words[i][0]) == 0 ? words[i][1] : word;
	}
	if (str_starts(name.machine, "armv")) {
		word = str_ends(name.machine, "b") ? "arm-be" : "arm";
	}
	return strcmp(argument, "native") == 0 || strcmp(argument, word) == 0;
}

bool condition_cpus(const char *argument)
{
	cpu_set_t set;
	if (sched_getaffinity(0, sizeof(set), &set) < 0) {
		return false;
	}
	return condition_compare_number((unsigned)CPU_COUNT(&set), argument, false);
}

bool condition_cpu_feature(const char *argument)
{
	char text[CONDITION_TEXT_SIZE], word[64];
	if (!condition_read("/proc/cpuinfo", text, sizeof(text))) {
		return false;
	}
	const char *flags = strstr(text, "\nflags");
	flags = flags == NULL ? strstr(text, "\nFeatures") : flags;
	if (flags == NULL) {
		return false;
	}
	char *end = strchr(text + (flags - text) + 1, '\n');
	if (end != NULL) {
		*end = '\0';
	}
	while (condition_word(&flags, word, sizeof(word))) {
		if (strcasecmp(word, argument) == 0) {
			return true;
		}
	}
	return false;
}

/* What there is, and what our control group may take of it. */
bool condition_memory(const char *argument)
{
	struct sysinfo info;
	char text[64];
	uint64_t limit;
	if (sysinfo(&info) < 0) {
		return false;
	}
	unsigned long long bytes = (unsigned long long)info.totalram * info.mem_unit;
	if (condition_read("/sys/fs/cgroup/memory.max", text, sizeof(text)) &&
		str_u64(text, 0, UINT64_MAX, &limit) == 0 && limit < bytes) {
		bytes = limit;
	}
	return condition_compare_number(bytes, argument, true);
}

/* Whether one supply of power says this of itself. */
static bool supply_is(const char *name, const char *file, const char *word)
{
	char path[512], text[64];
	snprintf(path, sizeof(path), "/sys/class/power_supply/%.200s/%s", name, file);
	return condition_read(path, text, sizeof(text)) && strcmp(text, word) == 0;
}

static bool on_ac_power(void)
{
	char path[4096];
	snprintf(path, sizeof(path), "%s/sys/class/power_supply", condition_root);
	DIR *dir = opendir(path);
	bool mains = false, online = false, discharging = false;
	if (dir == NULL) {
		return true;
	}
	for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
		if (supply_is(entry->d_name, "type", "Mains")) {
			mains = true;
			online = online || supply_is(entry->d_name, "online", "1");
		} else if (supply_is(entry->d_name, "type", "Battery")) {
			discharging =
				discharging || supply_is(entry->d_name, "status", "Discharging");
		}
	}
	closedir(dir);
	return online || (!mains && !discharging);
}

bool condition_ac_power(const char *argument)
{
	int truth = str_bool(argument);
	return truth >= 0 && on_ac_power() == (truth == 1);
}

/* "uefi", "device-tree"; of its smbios-field(…) nothing is known here. */
bool condition_firmware(const char *argument)
{
	if (strcmp(argument, "uefi") == 0) {
		return condition_exists("/sys/firmware/efi");
	}
	return strcmp(argument, "device-tree") == 0 && condition_exists("/sys/firmware/devicetree");
}

/* --- names --- */

bool condition_host(const char *argument)
{
	char text[64], id[33];
	struct utsname name;
	size_t used = 0;
	/* A machine id, with or without dashes. */
	for (const char *at = argument; *at != '\0' && used < 32; at++) {
		if (*at != '-') {
			id[used++] = (char)tolower((unsigned char)*at);
		}
	}
	id[used] = '\0';
	if (used == 32 && strspn(id, "0123456789abcdef") == 32 &&
		condition_read("/etc/machine-id", text, sizeof(text)) && strcmp(text, id) == 0) {
		return true;
	}
	uname(&name);
	return fnmatch(argument, name.nodename, FNM_CASEFOLD) == 0;
}

bool condition_os_release(const char *argument)
{
	char text[CONDITION_TEXT_SIZE], word[256];
	bool read = condition_read("/etc/os-release", text, sizeof(text)) ||
		    condition_read("/usr/lib/os-release", text, sizeof(text));
	bool any = false;
	while (read && condition_word(&argument, word, sizeof(word))) {
		char line[512], value[256] = "";
		size_t key = strcspn(word, "<>=!");
		const char *at = text;
		any = true;
		for (; at != NULL; at = strchr(at, '\n')) {
			at += *at == '\n';
			if (strncmp(at, word, key) == 0 && at[key] == '=') {
				snprintf(line, sizeof(line), "%.*s", (int)strcspn(at, "\n"), at);
				const char *rest = line + key + 1;
				(void)condition_word(&rest, value, sizeof(value));
				break;
			}
		}
		/* "=" and "!=" are about the text, the others about versions. */
		const char *sign = word + key;
		bool equal = sign[0] == '=', unequal = sign[0] == '!' && sign[1] == '=';
		const char *wanted = sign + (unequal ? 2 : equal + (sign[1] == '='));
		bool holds = equal || unequal ? (strcmp(value, wanted) == 0) == equal
					      : condition_compare_version(value, sign, false);
		if (!holds) {
			return false;
		}
	}
	return any;
}

/* --- the kernel --- */

bool condition_kernel_command_line(const char *argument)
{
	char text[CONDITION_TEXT_SIZE], word[4096], container[128];
	/* In a container the kernel's is not ours; process 1's is (kernel-command-line(7)). */
	bool contained = strcmp(condition_container(container, sizeof(container)), "none") != 0;
	const char *at = text;
	size_t length = strlen(argument);
	bool assigns = strchr(argument, '=') != NULL;
	if (!condition_read(contained ? "/proc/1/cmdline" : "/proc/cmdline", text, sizeof(text))) {
		return false;
	}
	while (condition_word(&at, word, sizeof(word))) {
		if (strcmp(word, argument) == 0 ||
			(!assigns && strncmp(word, argument, length) == 0 && word[length] == '=')) {
			return true;
		}
	}
	return false;
}

bool condition_kernel_version(const char *argument)
{
	struct utsname name;
	char word[256];
	bool any = false;
	uname(&name);
	while (condition_word(&argument, word, sizeof(word))) {
		/* "< 5.0": the sign may stand apart. */
		if (strspn(word, "<>=!") == strlen(word)) {
			size_t sign = strlen(word);
			if (!condition_word(&argument, word + sign, sizeof(word) - sign)) {
				return false;
			}
		}
		if (!condition_compare_version(name.release, word, true)) {
			return false;
		}
		any = true;
	}
	return any;
}

static bool audit_is_on(void)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_AUDIT);
	if (fd < 0) {
		return errno != EAFNOSUPPORT && errno != EPROTONOSUPPORT && errno != EPERM;
	}
	close(fd);
	return true;
}

static bool secure_boot_is_on(void)
{
	unsigned char bytes[8] = {0};
	char path[4096];
	snprintf(path, sizeof(path),
		"%s/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c",
		condition_root);
	FILE *file = fopen(path, "re");
	size_t got = file != NULL ? fread(bytes, 1, sizeof(bytes), file) : 0;
	if (file != NULL) {
		fclose(file);
	}
	return got == 5 && bytes[4] == 1; /* four bytes of attributes come first */
}

bool condition_security(const char *argument)
{
	static const char *const files[][2] = {{"selinux", "/sys/fs/selinux/enforce"},
		{"smack", "/sys/fs/smackfs"}, {"tomoyo", "/sys/kernel/security/tomoyo/version"},
		{"ima", "/sys/kernel/security/ima/"}, {"tpm2", "/dev/tpmrm0"}};
	char text[16];
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		if (strcmp(argument, files[i][0]) == 0) {
			return condition_exists(files[i][1]);
		}
	}
	if (strcmp(argument, "apparmor") == 0) {
		return condition_read(
			       "/sys/module/apparmor/parameters/enabled", text, sizeof(text)) &&
		       text[0] == 'Y';
	}
	if (strcmp(argument, "audit") == 0) {
		return audit_is_on();
	}
	return strcmp(argument, "uefi-secureboot") == 0 && secure_boot_is_on();
}

bool condition_cgroup_controller(const char *argument)
{
	char text[4096], word[64], have[64];
	bool unified = condition_read("/sys/fs/cgroup/cgroup.controllers", text, sizeof(text));
	if (strcmp(argument, "v2") == 0 || strcmp(argument, "v1") == 0) {
		return unified == (argument[1] == '2');
	}
	if (!unified && !condition_read("/proc/cgroups", text, sizeof(text))) {
		return false;
	}
	while (condition_word(&argument, word, sizeof(word))) {
		const char *at = text;
		bool found = false;
		while (!found && condition_word(&at, have, sizeof(have))) {
			found = strcmp(have, word) == 0;
		}
		if (!found) {
			return false;
		}
	}
	return true;
}

/* --- the state of the installation --- */

bool condition_first_boot(const char *argument)
{
	int truth = str_bool(argument);
	return truth >= 0 && condition_exists("/run/systemd/first-boot") == (truth == 1);
}

/* /usr is newer than what was made of it in /etc or /var (systemd-update-done.service(8)). */
bool condition_needs_update(const char *argument)
{
	char path[4096];
	struct stat usr, done;
	snprintf(path, sizeof(path), "%s%s", condition_root, argument);
	if (access(path, W_OK) < 0) {
		return false;
	}
	snprintf(path, sizeof(path), "%s%s/.updated", condition_root, argument);
	if (lstat(path, &done) < 0) {
		return true;
	}
	snprintf(path, sizeof(path), "%s/usr", condition_root);
	if (lstat(path, &usr) < 0) {
		return false;
	}
	return usr.st_mtim.tv_sec != done.st_mtim.tv_sec
		       ? usr.st_mtim.tv_sec > done.st_mtim.tv_sec
		       : usr.st_mtim.tv_nsec > done.st_mtim.tv_nsec;
}

/* --- ourselves --- */

bool condition_environment(const char *argument)
{
	const char *equals = strchr(argument, '=');
	char name[256];
	if (equals == NULL) {
		return getenv(argument) != NULL;
	}
	snprintf(name, sizeof(name), "%.*s", (int)(equals - argument), argument);
	const char *value = getenv(name);
	return value != NULL && strcmp(value, equals + 1) == 0;
}

bool condition_user(const char *argument)
{
	uid_t uid;
	gid_t gid;
	if (strcmp(argument, "@system") == 0) {
		return getuid() < 1000;
	}
	if (strcmp(argument, "root") == 0) {
		return getuid() == 0 || geteuid() == 0;
	}
	return account_find_user(argument, &uid, &gid) == 0 &&
	       (uid == getuid() || uid == geteuid());
}

bool condition_group(const char *argument)
{
	gid_t list[1024], gid;
	if (strcmp(argument, "@system") == 0) {
		return getgid() < 1000;
	}
	int failed = strcmp(argument, "root") == 0 ? 0 : account_find_group(argument, &gid);
	gid = strcmp(argument, "root") == 0 ? 0 : gid;
	if (failed != 0) {
		return false;
	}
	int count = getgroups((int)(sizeof(list) / sizeof(list[0])), list);
	bool found = gid == getgid() || gid == getegid();
	for (int i = 0; !found && i < count; i++) {
		found = list[i] == gid;
	}
	return found;
}

/* The bounding set: what a service could have at most. capabilities(7). */
bool condition_capability(const char *argument)
{
	static const char *const names[] = {"chown", "dac_override", "dac_read_search", "fowner",
		"fsetid", "kill", "setgid", "setuid", "setpcap", "linux_immutable",
		"net_bind_service", "net_broadcast", "net_admin", "net_raw", "ipc_lock",
		"ipc_owner", "sys_module", "sys_rawio", "sys_chroot", "sys_ptrace", "sys_pacct",
		"sys_admin", "sys_boot", "sys_nice", "sys_resource", "sys_time", "sys_tty_config",
		"mknod", "lease", "audit_write", "audit_control", "setfcap", "mac_override",
		"mac_admin", "syslog", "wake_alarm", "block_suspend", "audit_read", "perfmon",
		"bpf", "checkpoint_restore"};
	if (strncasecmp(argument, "cap_", 4) != 0) {
		return false;
	}
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcasecmp(argument + 4, names[i]) == 0) {
			return prctl(PR_CAPBSET_READ, i, 0, 0, 0) == 1;
		}
	}
	return false;
}
