/* What of process/cgroup.h needs no hierarchy: names, values. The rest is in
 * tests/bats/cgroups.bats and tests/vm. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "process/cgroup.h"

static void test_names(void **state)
{
	static const struct {
		const char *unit, *name;
	} cases[] = {
		{"redis.service", "redis.service"},
		{"cgroup.service", "_cgroup.service"},
		{"memory.service", "_memory.service"},
		{"memoryd.service", "memoryd.service"},
		{"coppice.service", "_coppice.service"},
		{".hidden.service", "_.hidden.service"},
		{"_cgroup.service", "__cgroup.service"},
	};
	char name[CGROUP_NAME_SIZE], small[8];
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_true(cgroup_name(cases[i].unit, name, sizeof(name)));
		assert_string_equal(name, cases[i].name);
	}
	assert_false(cgroup_name("redis.service", small, sizeof(small)));
}

static void test_controllers(void **state)
{
	(void)state;
	assert_int_equal(cgroup_controller_of("memory.swap.max"), CGROUP_MEMORY);
	assert_int_equal(cgroup_controller_of("cpuset.cpus"), CGROUP_CPUSET);
	assert_int_equal(cgroup_controller_of("cpu.max"), CGROUP_CPU);
	assert_int_equal(cgroup_controller_of("cgroup.procs"), CGROUP_CONTROLLER_COUNT);
}

static void test_directives(void **state)
{
	(void)state;
	assert_string_equal(cgroup_directive("memory.max", "1"), "MemoryMax");
	assert_string_equal(cgroup_directive("cpu.idle", "1"), "CPUWeight");
	assert_string_equal(cgroup_directive("io.weight", "default 5"), "IOWeight");
	assert_string_equal(cgroup_directive("io.weight", "/dev/sda 5"), "IODeviceWeight");
	assert_string_equal(cgroup_directive("io.max", "/dev/sda wiops=5"), "IOWriteIOPSMax");
	assert_string_equal(
		cgroup_directive("io.latency", "/dev/sda target=5"), "IODeviceLatencyTargetSec");
	assert_null(cgroup_directive("nothing.max", "1"));
}

static void test_relative(void **state)
{
	char text[32];
	unsigned long long whole =
		(unsigned long long)sysconf(_SC_PHYS_PAGES) * (unsigned long)sysconf(_SC_PAGESIZE);
	(void)state;
	assert_int_equal(cgroup_relative_value("memory.max", 5000, text, sizeof(text)), 0);
	assert_in_range(strtoull(text, NULL, 10), whole / 2 - 1, whole / 2);
	assert_int_equal(cgroup_relative_value("memory.max", 10000, text, sizeof(text)), 0);
	assert_int_equal(strtoull(text, NULL, 10), whole);
	/* Nothing of it is nothing at all, never no limit. */
	assert_int_equal(cgroup_relative_value("pids.max", 0, text, sizeof(text)), 0);
	assert_string_equal(text, "1");
}

static void test_devices(void **state)
{
	char text[64], small[4];
	(void)state;
	assert_int_equal(cgroup_device_value("/nonexistent rbps=1", text, sizeof(text)), -ENOENT);
	assert_int_equal(cgroup_device_value("/proc rbps=1", text, sizeof(text)), -ENODEV);
	if (cgroup_device_value("/usr rbps=1", text, sizeof(text)) != 0) {
		skip(); /* no disk: an overlay */
	}
	unsigned first, second;
	char rest[32];
	assert_int_equal(sscanf(text, "%u:%u %31s", &first, &second, rest), 3);
	assert_string_equal(rest, "rbps=1");
	assert_int_equal(cgroup_device_value("/usr rbps=1", small, sizeof(small)), -ENAMETOOLONG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_controllers),
		cmocka_unit_test(test_directives),
		cmocka_unit_test(test_relative),
		cmocka_unit_test(test_devices),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
