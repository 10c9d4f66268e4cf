/* What coppice-exec is told: one canonical text an assignment. */
#include "unit/unit/one.h"

/* The lines of [Service] come to this list. */
struct confine_case {
	const char *lines, *expected;
};

static void check(const struct confine_case *cases, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct one one;
		char buf[2048];
		const struct unit_service *service = one_service(&one, cases[i].lines);
		assert_string_equal(one_join(buf, service->confine), cases[i].expected);
		one_end(&one);
	}
}
#define CHECK_CASES(cases) check(cases, sizeof(cases) / sizeof((cases)[0]))

static void test_booleans(void **state)
{
	static const char *const keys[] = {"RestrictRealtime", "RestrictSUIDSGID",
		"LockPersonality", "MemoryDenyWriteExecute", "PrivateDevices", "PrivateNetwork",
		"PrivateMounts", "PrivateIPC", "ProtectClock", "ProtectKernelTunables",
		"ProtectKernelModules", "ProtectKernelLogs", "RemoveIPC",
		"CPUSchedulingResetOnFork", "DynamicUser", "MountAPIVFS", "PrivateTmp",
		"PrivateUsers", "ProtectControlGroups", "ProtectHome", "ProtectHostname",
		"ProtectSystem", "RestrictNamespaces"};
	(void)state;
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		char lines[256];
		char expected[256];
		snprintf(lines, sizeof(lines), "%s=true\n", keys[i]);
		snprintf(expected, sizeof(expected), "|%s=yes", keys[i]);
		const struct confine_case on = {lines, expected};
		check(&on, 1);
		snprintf(lines, sizeof(lines), "%s=on\n%s=0\n", keys[i], keys[i]);
		snprintf(expected, sizeof(expected), "|%s=no", keys[i]);
		const struct confine_case off = {lines, expected};
		check(&off, 1);
		snprintf(lines, sizeof(lines), "%s=1\n%s=\n", keys[i], keys[i]);
		const struct confine_case reset = {lines, ""};
		check(&reset, 1);
	}
}

static void test_words(void **state)
{
	static const struct confine_case cases[] = {
		{"ProtectSystem=full\nProtectSystem=strict\n", "|ProtectSystem=strict"},
		{"ProtectHome=read-only\n", "|ProtectHome=read-only"},
		{"ProtectHome=tmpfs\n", "|ProtectHome=tmpfs"},
		{"ProtectProc=invisible\nProcSubset=pid\n",
			"|ProtectProc=invisible|ProcSubset=pid"},
		{"KeyringMode=private\nMountFlags=slave\n",
			"|KeyringMode=private|MountFlags=slave"},
		{"Personality=x86-64\nNUMAPolicy=bind\n", "|Personality=x86-64|NUMAPolicy=bind"},
		{"IOSchedulingClass=2\nIOSchedulingPriority=7\n",
			"|IOSchedulingClass=best-effort|IOSchedulingPriority=7"},
		{"IOSchedulingClass=idle\n", "|IOSchedulingClass=idle"},
		{"CPUSchedulingPolicy=rr\nCPUSchedulingPriority=99\n",
			"|CPUSchedulingPolicy=rr|CPUSchedulingPriority=99"},
		{"CPUAffinity=0-3,5 7\nCPUAffinity=9,\n", "|CPUAffinity=0-3,5,7|CPUAffinity=9"},
		{"CPUAffinity=1\nCPUAffinity=\n", ""},
		{"CPUAffinity=numa\nNUMAMask=all\n", "|CPUAffinity=numa|NUMAMask=all"},
		{"NUMAMask=0 1\n", "|NUMAMask=0,1"},
		{"TimerSlackNSec=50\n", "|TimerSlackNSec=50"},
		{"TimerSlackNSec=1ms\n", "|TimerSlackNSec=1000000"},
		{"CoredumpFilter=default private-huge\n", "|CoredumpFilter=default private-huge"},
		{"CoredumpFilter=0x33\n", "|CoredumpFilter=0x33"},
		{"PAMName=%p\n", "|PAMName=a"},
	};
	(void)state;
	CHECK_CASES(cases);
}

static void test_sets(void **state)
{
	static const struct confine_case cases[] = {
		{"CapabilityBoundingSet=CAP_CHOWN cap_net_raw\n",
			"|CapabilityBoundingSet=CAP_CHOWN CAP_NET_RAW"},
		{"CapabilityBoundingSet=CAP_CHOWN\nCapabilityBoundingSet=~CAP_KILL\n",
			"|CapabilityBoundingSet=CAP_CHOWN|CapabilityBoundingSet=~CAP_KILL"},
		/* Empty is the empty set, "~" all; neither is "nothing was said". */
		{"CapabilityBoundingSet=CAP_CHOWN\nCapabilityBoundingSet=\n",
			"|CapabilityBoundingSet="},
		{"CapabilityBoundingSet=~\n", "|CapabilityBoundingSet=~"},
		{"AmbientCapabilities=CAP_CHOWN\nAmbientCapabilities=\n", ""},
		{"AmbientCapabilities=CAP_CHOWN CAP_NO_SUCH\n", "|AmbientCapabilities=CAP_CHOWN"},
		{"SecureBits=keep-caps noroot-locked\n", "|SecureBits=keep-caps noroot-locked"},
		{"RestrictAddressFamilies=AF_UNIX AF_INET6\n",
			"|RestrictAddressFamilies=AF_UNIX AF_INET6"},
		{"RestrictAddressFamilies=~AF_PACKET\n", "|RestrictAddressFamilies=~AF_PACKET"},
		{"RestrictAddressFamilies=none\n", "|RestrictAddressFamilies=none"},
		{"RestrictNamespaces=~user pid\n", "|RestrictNamespaces=~user pid"},
		{"SystemCallArchitectures=native x86\n", "|SystemCallArchitectures=native x86"},
		{"SystemCallFilter=@system-service openat:EPERM x:12 y:kill\n"
		 "SystemCallFilter=~ @privileged @resources\n",
			"|SystemCallFilter=@system-service openat:EPERM x:12 y:kill"
			"|SystemCallFilter=~@privileged @resources"},
		{"SystemCallFilter=@system-service\nSystemCallFilter=\n", ""},
		{"SystemCallFilter=@no-such open\n", "|SystemCallFilter=open"},
		{"SystemCallErrorNumber=EPERM\nSystemCallLog=~@swap\n",
			"|SystemCallErrorNumber=EPERM|SystemCallLog=~@swap"},
	};
	(void)state;
	CHECK_CASES(cases);
}

static void test_paths(void **state)
{
	static const struct confine_case cases[] = {
		{"ReadWritePaths=/a -/b +/c -+/d\nReadWritePaths=/%N\n",
			"|ReadWritePaths=/a -/b +/c -+/d|ReadWritePaths=/a"},
		/* Old names are under the new ones, and an empty one of either takes back both. */
		{"ReadWriteDirectories=/a\nReadOnlyDirectories=/b\nInaccessibleDirectories=/c\n",
			"|ReadWritePaths=/a|ReadOnlyPaths=/b|InaccessiblePaths=/c"},
		{"ReadWriteDirectories=/a\nReadWritePaths=\n", ""},
		{"ReadWritePaths=/a\nReadOnlyPaths=/b\nReadWritePaths=\n", "|ReadOnlyPaths=/b"},
		{"InaccessiblePaths=\"/a b\" '/c\"d'\n", "|InaccessiblePaths=\"/a b\" \"/c\\\"d\""},
		{"ExecPaths=/a\nNoExecPaths=/\n", "|ExecPaths=/a|NoExecPaths=/"},
		{"BindPaths=/a:/b:norbind -/c\nBindReadOnlyPaths=/d:/e\n",
			"|BindPaths=/a:/b:norbind -/c|BindReadOnlyPaths=/d:/e"},
		{"TemporaryFileSystem=/a /b:ro,mode=0700\n",
			"|TemporaryFileSystem=/a /b:ro,mode=0700"},
		{"RootDirectory=/x y\nNetworkNamespacePath=/run/netns/a\n",
			"|RootDirectory=/x y|NetworkNamespacePath=/run/netns/a"},
		{"LoadCredential=a:/b\nLoadCredential=c\n",
			"|LoadCredential=a:/b|LoadCredential=c"},
		{"LoadCredential=a\nLoadCredential=\n", ""},
	};
	(void)state;
	CHECK_CASES(cases);
}

static void test_credentials(void **state)
{
	struct one one;
	char buf[2048];
	(void)state;
	const struct unit_service *service =
		one_service(&one, "SetCredential=a:one\\ntwo %n\nSetCredential=b:x:y\n"
				  "SetCredential=ab:z\nSetCredential=%p:three\n");
	assert_string_equal(one_join(buf, service->credentials_set), "|b:x:y|ab:z|a:three");
	assert_null(service->confine);
	one_end(&one);
	service = one_service(&one, "SetCredential=a:one\\ntwo\\x41 %n\n");
	assert_string_equal(one_join(buf, service->credentials_set), "|a:one\ntwoA %n");
	one_end(&one);
	service = one_service(&one, "SetCredential=a:b\nSetCredential=\n");
	assert_null(service->credentials_set);
	one_end(&one);
}

static void test_dynamic_user(void **state)
{
	struct one one;
	(void)state;
	assert_true(one_service(&one, "DynamicUser=yes\n")->dynamic_user);
	one_end(&one);
	assert_false(one_service(&one, "DynamicUser=yes\nDynamicUser=\n")->dynamic_user);
	one_end(&one);
}

/* Instances of a template have texts of their own where they name the instance. */
static void test_instances(void **state)
{
	struct one one;
	char buf[2048];
	const char *const more[2] = {
		"/e/w@.service", "[Service]\nExecStart=/a\nReadWritePaths=/srv/%i\n"};
	(void)state;
	one_read(&one, "/e", "w@7.service", "[Service]\nExecStart=/a\nBindPaths=/%i\n", more);
	assert_non_null(one.unit);
	assert_string_equal(one_join(buf, one.unit->service->confine), "|BindPaths=/7");
	one_end(&one);
	one_read(&one, "/e", "x@7.service", "", NULL);
	assert_null(one.unit);
	one_end(&one);
}

/* A stranger's file loads: what is wrong in it is left out, and said. */
static void test_strangers(void **state)
{
	static const char text[] = "[Service]\nExecStart=/a\nExecStartPre=-relative/x\n"
				   "a line that is none\n"
				   "ProtectSystem=everything\nReadWritePaths=/a b /c\n"
				   "LimitNOFILE=many\nRestrictNamespaces=moon\nUMask=9\n"
				   "SystemCallFilter=open:EWHAT close\nPrivateTmp=maybe\n"
				   "Environment=A=1 B C=3\nTimeoutSec=soon\nPrivateTmp=yes\n";
	struct one one;
	char buf[2048];
	(void)state;
	one_read(&one, "/s", "a.service", text, NULL);
	assert_non_null(one.unit);
	const struct unit_service *service = one.unit->service;
	assert_string_equal(one_join(buf, service->confine),
		"|ReadWritePaths=/a /c|SystemCallFilter=close|PrivateTmp=yes");
	assert_string_equal(one_join(buf, service->environment), "|A=1|C=3");
	assert_int_equal(service->commands[UNIT_START_PRE].count, 0);
	assert_true(one_says(&one, UNIT_WARNING,
		"/s/a.service:5:15: ProtectSystem=: \"everything\" is not a boolean (yes or no) or "
		"one of full, strict; it is ignored"));
	assert_true(one_says(&one, UNIT_WARNING, "/s/a.service:4:1: "));
	assert_true(one_says(&one, UNIT_WARNING, "\"relative/x\""));
	assert_int_equal(one.messages.errors, 0);
	one_end(&one);
	/* In a directory of ours all of it is an error. */
	one_read(&one, "/e", "a.service", text, NULL);
	assert_null(one.unit);
	assert_int_equal(one.messages.errors, 11);
	one_end(&one);
	/* Who a service runs as, where and what are promises. */
	static const char *const promises[] = {"User=a:b\n", "Group=/\n", "WorkingDirectory=x\n",
		"ExecStartPre=x/y\n", "RootDirectory=x\n", "SupplementaryGroups=a b:c\n"};
	for (size_t i = 0; i < sizeof(promises) / sizeof(promises[0]); i++) {
		char own[256];
		snprintf(own, sizeof(own), "[Service]\nExecStart=/a\n%s", promises[i]);
		one_read(&one, "/s", "a.service", own, NULL);
		assert_null(one.unit);
		one_end(&one);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_booleans),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_sets),
		cmocka_unit_test(test_paths),
		cmocka_unit_test(test_credentials),
		cmocka_unit_test(test_dynamic_user),
		cmocka_unit_test(test_instances),
		cmocka_unit_test(test_strangers),
	};
	return cmocka_run_group_tests_name("unit: what is set up", tests, NULL, NULL);
}
