/* Conditions of units: on files that are made here, and on a machine that is made up. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "process/condition.h"

static char dir[] = "/tmp/coppice-conditions-XXXXXX";

static void make_file(const char *name, const char *text, mode_t mode)
{
	char path[128];
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	int fd = open(path, O_CREAT | O_WRONLY, mode);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

static int setup(void **state)
{
	char path[128];
	(void)state;
	assert_non_null(mkdtemp(dir));
	make_file("full", "text", 0600);
	make_file("empty", "", 0600);
	make_file("program", "#!", 0700);
	snprintf(path, sizeof(path), "%s/hollow", dir);
	mkdir(path, 0700);
	snprintf(path, sizeof(path), "%s/link", dir);
	return symlink("full", path);
}

static int teardown(void **state)
{
	static const char *const names[] = {"full", "empty", "program", "hollow", "link"};
	char path[128];
	(void)state;
	for (size_t i = 0; i < 5; i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		remove(path);
	}
	return rmdir(dir);
}

/* '@' stands for the directory. */
static bool holds(const char *first, const char *second)
{
	static char texts[2][256];
	const char *const given[] = {first, second};
	const char *list[3] = {NULL};
	for (int i = 0; i < 2 && given[i] != NULL; i++) {
		const char *at = strchr(given[i], '@');
		size_t before = at == NULL ? strlen(given[i]) : (size_t)(at - given[i]);
		snprintf(texts[i], sizeof(texts[i]), "%.*s%s%s", (int)before, given[i],
			at != NULL ? dir : "", at != NULL ? at + 1 : "");
		list[i] = texts[i];
	}
	const char *culprit;
	enum condition_verdict verdict = conditions_judge(list, &culprit);
	assert_true((culprit == NULL) == (verdict == CONDITIONS_HOLD));
	return verdict == CONDITIONS_HOLD;
}

static void test_each_kind(void **state)
{
	(void)state;
	assert_true(holds("ConditionPathExists=@/full", NULL));
	assert_false(holds("ConditionPathExists=@/nothing", NULL));
	assert_true(holds("ConditionPathIsDirectory=@/hollow", NULL));
	assert_false(holds("ConditionPathIsDirectory=@/full", NULL));
	assert_true(holds("ConditionPathIsSymbolicLink=@/link", NULL));
	assert_false(holds("ConditionPathIsSymbolicLink=@/full", NULL));
	assert_true(holds("ConditionPathIsMountPoint=/proc", NULL));
	assert_false(holds("ConditionPathIsMountPoint=@", NULL));
	assert_true(holds("ConditionFileNotEmpty=@/full", NULL));
	assert_false(holds("ConditionFileNotEmpty=@/empty", NULL));
	assert_true(holds("ConditionFileIsExecutable=@/program", NULL));
	assert_false(holds("ConditionFileIsExecutable=@/full", NULL));
	assert_true(holds("ConditionDirectoryNotEmpty=@", NULL));
	assert_false(holds("ConditionDirectoryNotEmpty=@/hollow", NULL));
}

static void test_signs(void **state)
{
	(void)state;
	assert_false(holds("ConditionPathExists=!@/full", NULL));
	assert_true(holds("ConditionPathExists=!@/nothing", NULL));
	/* All without a bar, and one of those with it. */
	assert_false(holds("ConditionPathExists=@/full", "ConditionPathExists=@/nothing"));
	assert_true(holds("ConditionPathExists=|@/full", "ConditionPathExists=|@/nothing"));
	assert_false(holds("ConditionPathExists=|@/nothing", "ConditionPathExists=|!@/full"));
	assert_false(holds("ConditionPathExists=|@/full", "ConditionPathExists=@/nothing"));
	assert_true(holds("ConditionPathExists=|!@/nothing", "ConditionPathExists=@/full"));
}

static void test_globs_and_write_access(void **state)
{
	(void)state;
	assert_true(holds("ConditionPathExistsGlob=@/f*l", NULL));
	assert_true(holds("ConditionPathExistsGlob=@/{nothing,full}", NULL));
	assert_false(holds("ConditionPathExistsGlob=@/x*", NULL));
	assert_true(holds("ConditionPathIsReadWrite=@", NULL));
	assert_false(holds("ConditionPathIsReadWrite=@/nothing", NULL));
}

static void test_asserts(void **state)
{
	const char *const list[] = {
		"AssertPathExists=/", "ConditionPathExists=/", "AssertPathExists=!/", NULL};
	const char *const both[] = {"AssertPathExists=!/", "ConditionPathExists=!/", NULL};
	const char *const bars[] = {
		"AssertPathExists=|!/", "AssertPathExists=|/", "ConditionPathExists=|/", NULL};
	const char *culprit;
	(void)state;
	assert_int_equal(conditions_judge(list, &culprit), CONDITIONS_FAIL);
	assert_string_equal(culprit, "AssertPathExists=!/");
	/* A unit whose conditions do not hold is left out, whatever its asserts say. */
	assert_int_equal(conditions_judge(both, &culprit), CONDITIONS_SKIP);
	assert_string_equal(culprit, "ConditionPathExists=!/");
	assert_int_equal(conditions_judge(bars, &culprit), CONDITIONS_HOLD);
}

static void test_what_is_not_known_holds(void **state)
{
	(void)state;
	assert_true(holds(NULL, NULL));
	assert_true(holds("ConditionPathIsEncrypted=/", NULL));
	assert_true(holds("ConditionPathIsEncrypted=!/", NULL));
}

/* --- a machine that is made up --- */

static char machine[] = "/tmp/coppice-machine-XXXXXX";

static void put(const char *path, const char *text)
{
	char whole[512], command[600];
	snprintf(whole, sizeof(whole), "%s%s", machine, path);
	snprintf(command, sizeof(command), "mkdir -p $(dirname %s)", whole);
	assert_int_equal(system(command), 0);
	FILE *file = fopen(whole, "we");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static int machine_setup(void **state)
{
	(void)state;
	strcpy(machine + strlen(machine) - 6, "XXXXXX");
	assert_non_null(mkdtemp(machine));
	unsetenv("container");
	condition_root = machine;
	return 0;
}

static int machine_teardown(void **state)
{
	char command[128];
	(void)state;
	condition_root = "";
	snprintf(command, sizeof(command), "rm -rf %s", machine);
	return system(command);
}

static bool says(const char *text)
{
	struct condition condition;
	condition_check(text, &condition);
	assert_true(condition.known);
	return condition.holds;
}

static void test_virtualization(void **state)
{
	(void)state;
	assert_true(says("ConditionVirtualization=no"));
	assert_false(says("ConditionVirtualization=container"));
	put("/proc/cpuinfo", "flags : fpu hypervisor lm\n");
	assert_true(says("ConditionVirtualization=vm"));
	assert_true(says("ConditionVirtualization=vm-other"));
	assert_false(says("ConditionVirtualization=container"));
	put("/sys/class/dmi/id/sys_vendor", "QEMU\n");
	assert_true(says("ConditionVirtualization=qemu"));
	put("/.dockerenv", "");
	assert_true(says("ConditionVirtualization=container"));
	assert_true(says("ConditionVirtualization=docker"));
	assert_true(says("ConditionVirtualization=yes"));
	/* The innermost is what counts. */
	assert_false(says("ConditionVirtualization=qemu"));
	assert_false(says("ConditionVirtualization=vm"));
	put("/run/.containerenv", "");
	assert_true(says("ConditionVirtualization=podman"));
	put("/run/systemd/container", "lxc\n");
	assert_true(says("ConditionVirtualization=lxc"));
	assert_false(says("ConditionVirtualization=!container"));
	setenv("container", "oci", 1);
	assert_true(says("ConditionVirtualization=lxc"));
	put("/run/systemd/container", "");
	assert_true(says("ConditionVirtualization=oci"));
	unsetenv("container");
	put("/proc/self/uid_map", "0 100000 65536\n");
	assert_true(says("ConditionVirtualization=private-users"));
	put("/proc/self/uid_map", "0 0 4294967295\n");
	assert_false(says("ConditionVirtualization=private-users"));
}

static void test_command_line(void **state)
{
	(void)state;
	put("/proc/cmdline", "root=/dev/sda1 quiet debug.level=3\n");
	assert_true(says("ConditionKernelCommandLine=quiet"));
	assert_true(says("ConditionKernelCommandLine=root"));
	assert_true(says("ConditionKernelCommandLine=debug.level=3"));
	assert_false(says("ConditionKernelCommandLine=debug.level=4"));
	assert_false(says("ConditionKernelCommandLine=roo"));
	put("/.dockerenv", "");
	put("/proc/1/cmdline", "coppice -r x");
	assert_false(says("ConditionKernelCommandLine=quiet"));
	assert_true(says("ConditionKernelCommandLine=-r"));
}

static void test_os_release(void **state)
{
	(void)state;
	assert_false(says("ConditionOSRelease=ID=debian"));
	put("/etc/os-release", "ID=debian\nVERSION_ID=\"12\"\nNAME='A B'\n");
	assert_true(says("ConditionOSRelease=ID=debian"));
	assert_false(says("ConditionOSRelease=ID=fedora"));
	assert_true(says("ConditionOSRelease=ID!=fedora"));
	assert_true(says("ConditionOSRelease=VERSION_ID>=9"));
	assert_false(says("ConditionOSRelease=VERSION_ID>12"));
	assert_true(says("ConditionOSRelease=ID=debian VERSION_ID<13"));
	assert_false(says("ConditionOSRelease=ID=debian VERSION_ID<12"));
	assert_true(says("ConditionOSRelease=\"NAME=A B\""));
}

static void test_power_and_security(void **state)
{
	(void)state;
	assert_true(says("ConditionACPower=yes"));
	put("/sys/class/power_supply/BAT0/type", "Battery\n");
	put("/sys/class/power_supply/BAT0/status", "Discharging\n");
	assert_true(says("ConditionACPower=no"));
	put("/sys/class/power_supply/AC/type", "Mains\n");
	put("/sys/class/power_supply/AC/online", "1\n");
	assert_true(says("ConditionACPower=true"));
	assert_false(says("ConditionSecurity=selinux"));
	put("/sys/fs/selinux/enforce", "1");
	assert_true(says("ConditionSecurity=selinux"));
	put("/sys/module/apparmor/parameters/enabled", "N\n");
	assert_false(says("ConditionSecurity=apparmor"));
	put("/sys/module/apparmor/parameters/enabled", "Y\n");
	assert_true(says("ConditionSecurity=apparmor"));
	assert_false(says("ConditionSecurity=what"));
	assert_false(says("ConditionFirmware=uefi"));
	put("/sys/firmware/efi/x", "");
	assert_true(says("ConditionFirmware=uefi"));
}

static void test_controllers(void **state)
{
	(void)state;
	assert_true(says("ConditionControlGroupController=v1"));
	put("/proc/cgroups", "#subsys_name hierarchy\ncpu 1 1 1\n");
	assert_true(says("ConditionControlGroupController=cpu"));
	put("/sys/fs/cgroup/cgroup.controllers", "memory pids\n");
	assert_true(says("ConditionControlGroupController=v2"));
	assert_true(says("ConditionControlGroupController=memory pids"));
	assert_false(says("ConditionControlGroupController=memory cpu"));
}

static void test_installation(void **state)
{
	char path[256];
	(void)state;
	assert_true(says("ConditionFirstBoot=no"));
	put("/run/systemd/first-boot", "");
	assert_true(says("ConditionFirstBoot=yes"));
	put("/etc/machine-id", "0123456789abcdef0123456789abcdef\n");
	assert_true(says("ConditionNeedsUpdate=/etc"));
	put("/etc/.updated", "");
	put("/usr/x", "");
	struct timespec old[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
	snprintf(path, sizeof(path), "%s/usr", machine);
	utimensat(AT_FDCWD, path, old, 0);
	assert_false(says("ConditionNeedsUpdate=/etc"));
	assert_true(says("ConditionNeedsUpdate=!/etc"));
	snprintf(path, sizeof(path), "%s/etc/.updated", machine);
	old[1].tv_sec = 999;
	utimensat(AT_FDCWD, path, old, 0);
	assert_true(says("ConditionNeedsUpdate=/etc"));
	assert_true(says("ConditionHost=01234567-89ab-cdef-0123-456789abcdef"));
	assert_false(says("ConditionHost=11234567-89ab-cdef-0123-456789abcdef"));
}

static void test_numbers(void **state)
{
	(void)state;
	assert_true(condition_compare_number(4, "4", false));
	assert_true(condition_compare_number(5, "4", false));
	assert_false(condition_compare_number(3, "4", false));
	assert_true(condition_compare_number(3, "<4", false));
	assert_true(condition_compare_number(4, "= 4", false));
	assert_true(condition_compare_number(4, "!=5", false));
	assert_false(condition_compare_number(4, "> 4", false));
	assert_true(condition_compare_number(2048, "<=2K", true));
	assert_false(condition_compare_number(2049, "<=2K", true));
	assert_false(condition_compare_number(4, "x", false));
	assert_true(says("ConditionCPUs=>0"));
	assert_false(says("ConditionCPUs=>100000"));
	assert_true(says("ConditionMemory=>1M"));
	assert_false(says("ConditionMemory=>1E"));
	put("/sys/fs/cgroup/memory.max", "524288\n");
	assert_false(says("ConditionMemory=>1M"));
}

static void test_versions(void **state)
{
	struct utsname name;
	char text[256];
	(void)state;
	assert_true(condition_compare_version("6.1.0-13-amd64", ">=6.1", true));
	assert_true(condition_compare_version("6.10.0", ">6.9", true));
	assert_false(condition_compare_version("6.1.0", "<6.1.0", true));
	assert_true(condition_compare_version("6.1.0", "=6.1.0", true));
	assert_true(condition_compare_version("6.1~rc1", "<6.1", true));
	assert_true(condition_compare_version("6.1.0", "6.*", true));
	assert_false(condition_compare_version("6.1.0", "5.*", true));
	uname(&name);
	snprintf(text, sizeof(text), "ConditionKernelVersion=%s", name.release);
	assert_true(says(text));
	assert_true(says("ConditionKernelVersion=>= 3.0 <100"));
	assert_false(says("ConditionKernelVersion=>= 3.0 <4"));
}

static void test_ourselves(void **state)
{
	struct utsname name;
	char text[256];
	(void)state;
	uname(&name);
	snprintf(text, sizeof(text), "ConditionHost=%.*s*", 3, name.nodename);
	assert_true(says(text));
	assert_false(says("ConditionHost=no-such-host-?"));
	assert_true(says("ConditionArchitecture=native"));
	assert_false(says("ConditionArchitecture=vax"));
	if (strcmp(name.machine, "x86_64") == 0) {
		assert_true(says("ConditionArchitecture=x86-64"));
	}
	setenv("COPPICE_CONDITION", "a b", 1);
	assert_true(says("ConditionEnvironment=COPPICE_CONDITION"));
	assert_true(says("ConditionEnvironment=COPPICE_CONDITION=a b"));
	assert_false(says("ConditionEnvironment=COPPICE_CONDITION=a"));
	assert_false(says("ConditionEnvironment=COPPICE_CONDITIO"));
	snprintf(text, sizeof(text), "ConditionUser=%u", (unsigned)getuid());
	assert_true(says(text));
	assert_int_equal(says("ConditionUser=root"), getuid() == 0);
	assert_int_equal(says("ConditionUser=@system"), getuid() < 1000);
	assert_false(says("ConditionUser=nobody-of-that-name"));
	assert_false(says("ConditionUser=65533"));
	snprintf(text, sizeof(text), "ConditionGroup=%u", (unsigned)getgid());
	assert_true(says(text));
	assert_int_equal(says("ConditionGroup=root"), getgid() == 0);
	assert_false(says("ConditionGroup=65533"));
	assert_false(says("ConditionCapability=CAP_NOTHING"));
	assert_int_equal(
		says("ConditionCapability=CAP_KILL"), !says("ConditionCapability=!cap_kill"));
}

static void test_processor(void **state)
{
	(void)state;
	put("/proc/cpuinfo", "processor : 0\nflags : fpu sse2 rdrand\n");
	assert_true(says("ConditionCPUFeature=rdrand"));
	assert_false(says("ConditionCPUFeature=rdran"));
}

#define MACHINE(test) cmocka_unit_test_setup_teardown(test, machine_setup, machine_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_kind),
		cmocka_unit_test(test_signs),
		cmocka_unit_test(test_globs_and_write_access),
		cmocka_unit_test(test_asserts),
		cmocka_unit_test(test_what_is_not_known_holds),
		MACHINE(test_virtualization),
		MACHINE(test_command_line),
		MACHINE(test_os_release),
		MACHINE(test_power_and_security),
		MACHINE(test_controllers),
		MACHINE(test_installation),
		MACHINE(test_numbers),
		MACHINE(test_versions),
		MACHINE(test_ourselves),
		MACHINE(test_processor),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
