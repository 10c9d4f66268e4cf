/* Settings as they come from the manager, and what they come to: no process is changed. */
#include <errno.h>
#include <linux/capability.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "sandbox/calls.h"

#define BIT(n) (UINT64_C(1) << (n))
#define ALL    (~UINT64_C(0))

/* A sandbox with these assignments, NULL at the end. */
static struct sandbox *with(const char *first, ...)
{
	struct sandbox *s = calloc(1, sizeof(*s));
	va_list args;

	assert_non_null(s);
	s->credentials_fd = s->miss_fd = -1;
	va_start(args, first);
	for (const char *at = first; at != NULL; at = va_arg(args, const char *)) {
		assert_int_equal(sandbox_set(s, at), 0);
	}
	va_end(args);
	return s;
}

static void drop(struct sandbox *s)
{
	for (uint32_t i = 0; i < s->settings_count; i++) {
		free((char *)(uintptr_t)s->settings[i].key);
	}
	free(s);
}

static void test_settings(void **state)
{
	struct sandbox *s = with("A=1", "B=yes", "A=x=y", "C=no", "D=", NULL);
	uint32_t at = 0;

	(void)state;
	assert_string_equal(sandbox_get(s, "A"), "x=y");
	assert_null(sandbox_get(s, "E"));
	assert_string_equal(sandbox_get(s, "D"), "");
	assert_true(sandbox_yes(s, "B"));
	assert_false(sandbox_yes(s, "C"));
	assert_false(sandbox_yes(s, "A"));
	assert_string_equal(sandbox_next(s, "A", &at), "1");
	assert_string_equal(sandbox_next(s, "A", &at), "x=y");
	assert_null(sandbox_next(s, "A", &at));
	assert_int_equal(sandbox_set(s, "nothing"), -EINVAL);
	assert_int_equal(sandbox_set(s, "=x"), -EINVAL);
	drop(s);
	s = with(NULL);
	for (int i = 0; i < SANDBOX_SETTINGS_MAX; i++) {
		assert_int_equal(sandbox_set(s, "A=1"), 0);
	}
	assert_int_equal(sandbox_set(s, "A=1"), -E2BIG);
	drop(s);
}

static void test_words(void **state)
{
	const char *rest = "  a \"b c\" \"d\\\"e\\\\\" f\"g h\"i  ";
	char word[16];

	(void)state;
	assert_true(sandbox_word(&rest, word, sizeof(word)));
	assert_string_equal(word, "a");
	assert_true(sandbox_word(&rest, word, sizeof(word)));
	assert_string_equal(word, "b c");
	assert_true(sandbox_word(&rest, word, sizeof(word)));
	assert_string_equal(word, "d\"e\\");
	assert_true(sandbox_word(&rest, word, sizeof(word)));
	assert_string_equal(word, "fg hi");
	assert_false(sandbox_word(&rest, word, sizeof(word)));
	rest = "sixteen-letters-and-more";
	assert_false(sandbox_word(&rest, word, sizeof(word)));
}

static void test_directories(void **state)
{
	static const char *const wrong[] = {"state:0755", "state:0755:", "else:0755:a",
		"state:999:a", "state::a", "state:100000:a", "state:0755::l"};
	struct sandbox *s = with(NULL);
	char one[] = "state:0750:a/b", two[] = "runtime:700:c:d";

	(void)state;
	assert_int_equal(sandbox_add_directory(s, one), 0);
	assert_int_equal(sandbox_add_directory(s, two), 0);
	assert_int_equal(s->directories_count, 2);
	assert_int_equal(s->directories[0].kind, SANDBOX_STATE);
	assert_int_equal(s->directories[0].mode, 0750);
	assert_string_equal(s->directories[0].name, "a/b");
	assert_null(s->directories[0].link);
	assert_int_equal(s->directories[1].kind, SANDBOX_RUNTIME);
	assert_int_equal(s->directories[1].mode, 0700);
	assert_string_equal(s->directories[1].link, "d");
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		char text[32];

		strcpy(text, wrong[i]);
		assert_int_equal(sandbox_add_directory(s, text), -EINVAL);
	}
	assert_int_equal(sandbox_add_limit(s, "7=10:20"), 0);
	assert_true(s->limits_set == BIT(7) && s->limits[7].rlim_cur == 10);
	assert_int_equal(s->limits[7].rlim_max, 20);
	assert_int_equal(sandbox_add_limit(s, "7=10"), -EINVAL);
	assert_int_equal(sandbox_add_limit(s, "16=1:1"), -EINVAL);
	assert_int_equal(sandbox_add_limit(s, "1=1:1x"), -EINVAL);
	drop(s);
}

static void expect_set(uint64_t expected, uint64_t initial, const char *a, const char *b)
{
	struct sandbox *s = with(a, b, NULL);
	uint64_t set = sandbox_capability_set(s, "X", initial);

	drop(s);
	assert_true(set == expected);
}

/* systemd.exec(5), CapabilityBoundingSet=: its own examples among them. */
static void test_capabilities(void **state)
{
	uint64_t a = BIT(CAP_CHOWN), b = BIT(CAP_KILL), c = BIT(CAP_FOWNER);

	(void)state;
	expect_set(ALL, ALL, NULL, NULL);
	expect_set(0, ALL, "X=", NULL);
	expect_set(ALL, ALL, "X=~", NULL);
	expect_set(a, ALL, "X=CAP_CHOWN", NULL);
	expect_set(a | b, ALL, "X=CAP_CHOWN CAP_KILL", NULL);
	expect_set(a | b | c, ALL, "X=CAP_CHOWN CAP_KILL", "X=CAP_KILL CAP_FOWNER");
	expect_set(a, ALL, "X=CAP_CHOWN CAP_KILL", "X=~CAP_KILL CAP_FOWNER");
	expect_set(~a, ALL, "X=~CAP_CHOWN", NULL);
	expect_set(~a & ~b, ALL, "X=~CAP_CHOWN", "X=~CAP_KILL");
	expect_set(a, 0, "X=CAP_CHOWN", NULL);
	expect_set(~a, 0, "X=~CAP_CHOWN", NULL);
	expect_set(a, 0, "X=cap_chown CAP_OF_TOMORROW", NULL);
}

static int action_of(const struct calls_filter *list, const char *name)
{
	for (uint32_t i = 0; i < list->count; i++) {
		if (strcmp(list->calls[i].name, name) == 0) {
			return list->calls[i].action;
		}
	}
	return 1000; /* not listed */
}

static struct calls_filter *filter(const char *a, const char *b, const char *c)
{
	struct sandbox *s = with(a, b, c, NULL);
	struct calls_filter *list = calls_parse(s, "SystemCallFilter");

	drop(s);
	return list;
}

static void filter_free(struct calls_filter *list)
{
	for (uint32_t i = 0; i < list->count; i++) {
		free((char *)(uintptr_t)list->calls[i].name);
	}
	free(list->calls);
	free(list);
}

static void test_filter_permits(void **state)
{
	struct calls_filter *list = filter("SystemCallFilter=@system-service",
		"SystemCallFilter=~@mount kill getpid:EPERM", NULL);

	(void)state;
	assert_true(list->permits);
	assert_int_equal(list->otherwise, CALLS_KILL);
	assert_int_equal(action_of(list, "execve"), CALLS_ALLOW); /* @default */
	assert_int_equal(action_of(list, "openat"), CALLS_ALLOW); /* a group in a group */
	assert_int_equal(action_of(list, "kill"), 1000);
	assert_int_equal(action_of(list, "mount"), 1000);
	assert_int_equal(action_of(list, "getpid"), EPERM);
	filter_free(list);
	list = filter("SystemCallFilter=read", "SystemCallErrorNumber=EACCES", NULL);
	assert_int_equal(list->otherwise, EACCES);
	assert_int_equal(action_of(list, "exit_group"), CALLS_ALLOW);
	assert_int_equal(action_of(list, "write"), 1000);
	filter_free(list);
	list = filter("SystemCallFilter=@known", NULL, NULL);
	assert_true(list->everything);
	filter_free(list);
}

static void test_filter_refuses(void **state)
{
	struct calls_filter *list = filter("SystemCallFilter=~@mount chroot:kill getpid:5",
		"SystemCallFilter=pivot_root", "SystemCallErrorNumber=1");

	(void)state;
	assert_false(list->permits);
	assert_int_equal(action_of(list, "mount"), EPERM);
	assert_int_equal(action_of(list, "chroot"), CALLS_KILL);
	assert_int_equal(action_of(list, "getpid"), 5);
	assert_int_equal(action_of(list, "pivot_root"), 1000);
	assert_int_equal(action_of(list, "execve"), 1000);
	filter_free(list);
}

/* The table holds together: each group that is named is there, and not in itself. */
static void test_groups(void **state)
{
	static const char *const groups[] = {"@aio", "@basic-io", "@chown", "@clock",
		"@cpu-emulation", "@debug", "@default", "@file-system", "@io-event", "@ipc",
		"@keyring", "@memlock", "@module", "@mount", "@network-io", "@obsolete", "@pkey",
		"@privileged", "@process", "@raw-io", "@reboot", "@resources", "@sandbox",
		"@setuid", "@signal", "@swap", "@sync", "@system-service", "@timer"};

	(void)state;
	for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
		const char *rest = calls_of_group(groups[i]);
		char word[64];

		assert_non_null(rest);
		assert_true(rest[0] != '\0');
		while (sandbox_word(&rest, word, sizeof(word))) {
			assert_string_not_equal(word, groups[i]);
			assert_true(word[0] != '@' || calls_of_group(word) != NULL);
		}
	}
	assert_null(calls_of_group("@none"));
	assert_non_null(strstr(calls_of_group("@default"), "execve"));
}

static void expect_namespaces(uint64_t expected, const char *a, const char *b)
{
	struct sandbox *s = with(a, b, NULL);
	uint64_t refused = calls_refused_namespaces(s);

	drop(s);
	assert_true(refused == expected);
}

static void test_namespaces(void **state)
{
	uint64_t all = CLONE_NEWCGROUP | CLONE_NEWIPC | CLONE_NEWNET | CLONE_NEWNS | CLONE_NEWPID |
		       CLONE_NEWUSER | CLONE_NEWUTS | CLONE_NEWTIME;
	uint64_t net = CLONE_NEWNET, user = CLONE_NEWUSER;

	(void)state;
	expect_namespaces(0, NULL, NULL);
	expect_namespaces(all, "RestrictNamespaces=yes", NULL);
	expect_namespaces(0, "RestrictNamespaces=no", NULL);
	expect_namespaces(all & ~net, "RestrictNamespaces=net", NULL);
	expect_namespaces(all & ~net & ~user, "RestrictNamespaces=net", "RestrictNamespaces=user");
	expect_namespaces(net, "RestrictNamespaces=~net", NULL);
	expect_namespaces(net | user, "RestrictNamespaces=~net", "RestrictNamespaces=~user");
}

static void test_families(void **state)
{
	struct calls_families families;
	struct sandbox *s = with(NULL);

	(void)state;
	assert_false(calls_parse_families(s, &families));
	drop(s);
	s = with("RestrictAddressFamilies=AF_UNIX AF_INET", "RestrictAddressFamilies=AF_INET6",
		"RestrictAddressFamilies=~AF_INET", NULL);
	assert_true(calls_parse_families(s, &families));
	assert_false(families.refused);
	assert_true(families.bits[0] == (BIT(AF_UNIX) | BIT(AF_INET6)));
	drop(s);
	s = with("RestrictAddressFamilies=~AF_PACKET", NULL);
	assert_true(calls_parse_families(s, &families) && families.refused);
	assert_true(families.bits[0] == BIT(AF_PACKET));
	drop(s);
	s = with("RestrictAddressFamilies=none", NULL);
	assert_true(calls_parse_families(s, &families) && !families.refused);
	assert_true(families.bits[0] == 0);
	drop(s);
}

static void test_wanted(void **state)
{
	struct sandbox *s = with("PrivateTmp=yes", "LockPersonality=no", NULL);

	(void)state;
	assert_false(calls_wanted(s));
	assert_int_equal(sandbox_set(s, "RestrictNamespaces=~user"), 0);
	assert_true(calls_wanted(s));
	drop(s);
}

static void test_lists(void **state)
{
	uint64_t bits[2] = {0};

	(void)state;
	assert_int_equal(sandbox_parse_cpus("0-2,5 64", bits, 2), 0);
	assert_true(bits[0] == 0x27 && bits[1] == 1);
	assert_int_equal(sandbox_parse_cpus("128", bits, 2), -ERANGE);
	assert_int_equal(sandbox_parse_cpus("2-1", bits, 2), -EINVAL);
	assert_int_equal(sandbox_parse_cpus("a", bits, 2), -EINVAL);
	assert_int_equal(sandbox_parse_cpus("1-", bits, 2), -EINVAL);
	assert_int_equal(sandbox_parse_dumps("default"), 0x33);
	assert_int_equal(sandbox_parse_dumps("all"), 0x1ff);
	assert_int_equal(sandbox_parse_dumps("private-anonymous elf-headers"), 0x11);
	assert_int_equal(sandbox_parse_dumps("0x40 shared-dax"), 0x140);
}

static void test_dynamic(void **state)
{
	char name[32];

	(void)state;
	sandbox_dynamic_name("redis.service", name, sizeof(name));
	assert_string_equal(name, "redis");
	sandbox_dynamic_name("worker@1.service", name, sizeof(name));
	assert_int_equal(strncmp(name, "_du", 3), 0);
	assert_int_equal(strlen(name), 19);
	sandbox_dynamic_name("1st.service", name, sizeof(name));
	assert_int_equal(strncmp(name, "_du", 3), 0);
	assert_true(sandbox_dynamic_first("a") >= SANDBOX_DYNAMIC_MIN);
	assert_true(sandbox_dynamic_first("a") < SANDBOX_DYNAMIC_MIN + SANDBOX_DYNAMIC_COUNT);
	assert_true(sandbox_dynamic_first("a") != sandbox_dynamic_first("b"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_settings),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_directories),
		cmocka_unit_test(test_capabilities),
		cmocka_unit_test(test_filter_permits),
		cmocka_unit_test(test_filter_refuses),
		cmocka_unit_test(test_groups),
		cmocka_unit_test(test_namespaces),
		cmocka_unit_test(test_families),
		cmocka_unit_test(test_wanted),
		cmocka_unit_test(test_lists),
		cmocka_unit_test(test_dynamic),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
