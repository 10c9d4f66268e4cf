/* The command line, and exit statuses with the words that go with them. */
#include "unit/ctl/rig.h"

/* --- without a coppice --- */

static const struct {
	const char *line;
	int status;
	const char *err;
} usage[] = {
	{"", 2, "coppicectl: what is to be done? coppicectl help lists the verbs\n"},
	{"statsu", 2, "coppicectl: no verb 'statsu'; did you mean 'status'?\n"},
	{"isready", 2, "coppicectl: no verb 'isready'; did you mean 'is-ready'?\n"},
	{"frobnicate", 2, "coppicectl: no verb 'frobnicate'; coppicectl help lists them\n"},
	{"list --jsno", 2, "coppicectl: no option --jsno; did you mean --json?\n"},
	{"list --frobnicate", 2, "coppicectl: no option --frobnicate; see coppicectl --help\n"},
	{"list -x", 2, "coppicectl: no option -x; see coppicectl --help\n"},
	{"kill -9 redis", 2, "coppicectl: no option -9; a signal is given as -s SIGNAL\n"},
	{"kill -s NOPE redis", 2,
		"coppicectl: 'NOPE' is no signal; write TERM, HUP, USR1, RTMIN+3 or 9\n"},
	{"list --control", 2, "coppicectl: --control needs a value: SOCKET\n"},
	{"list -S", 2, "coppicectl: -S needs a value: SOCKET\n"},
	{"list --json=yes", 2, "coppicectl: --json takes no value\n"},
	{"list --once", 2, "coppicectl: list takes no --once; see coppicectl list --help\n"},
	{"start --once redis", 2,
		"coppicectl: start takes no --once; see coppicectl start --help\n"},
	{"start", 2, "coppicectl: not enough arguments; usage: coppicectl start UNIT...\n"},
	{"tree x", 2, "coppicectl: too many arguments; usage: coppicectl tree\n"},
	{"why a b", 2, "coppicectl: too many arguments; usage: coppicectl why UNIT\n"},
	{"start a/b", 2, "coppicectl: 'a/b' can be no unit's name; coppicectl list names all\n"},
	{"wait redis --for=happy", 2,
		"coppicectl: --for=happy: it can be running, ready, stopped, done or failed\n"},
	{"wait redis --timeout=soon", 2,
		"coppicectl: --timeout=soon is no time span; write 10s or 1min 30s\n"},
	{"help nonsense", 2, "coppicectl: no verb 'nonsense'; coppicectl help lists them\n"},
	{"list", 5,
		"coppicectl: no coppice answers at /nowhere/control: No such file or directory; "
		"start one, or name its socket with -S\n"},
	{"-S /elsewhere/c list", 5,
		"coppicectl: no coppice answers at /elsewhere/c: No such file or directory; start "
		"one, or name its socket with -S\n"},
	{"is-ready -S/elsewhere/c", 5,
		"coppicectl: no coppice answers at /elsewhere/c: No such file or directory; start "
		"one, or name its socket with -S\n"},
	{"watch --control=/elsewhere/c", 5,
		"coppicectl: no coppice answers at /elsewhere/c: No such file or directory; start "
		"one, or name its socket with -S\n"},
	{"shutdown", 5,
		"coppicectl: no coppice answers at /nowhere/control: No such file or directory; "
		"start one, or name its socket with -S\n"},
};

static void test_usage(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(usage) / sizeof(usage[0]); i++) {
		struct run run = run_line(NULL, usage[i].line);

		assert_string_equal(run.err, usage[i].err);
		assert_string_equal(run.out, "");
		assert_int_equal(run.status, usage[i].status);
		run_end(&run);
	}
}

/* Every verb says how it is used and gives an example. */
static void test_help(void **state)
{
	struct run run = run_line(NULL, "--help");
	char line[64], wanted[64];

	(void)state;
	assert_int_equal(run.status, 0);
	for (unsigned i = 0; i < ctl_verbs_count; i++) {
		struct run own;

		snprintf(wanted, sizeof(wanted), "\n  %s ", ctl_verbs[i].name);
		assert_non_null(strstr(run.out, wanted));
		snprintf(line, sizeof(line), "%s --help", ctl_verbs[i].name);
		own = run_line(NULL, line);
		assert_int_equal(own.status, 0);
		snprintf(wanted, sizeof(wanted), "usage: coppicectl %s", ctl_verbs[i].name);
		assert_ptr_equal(strstr(own.out, wanted), own.out);
		snprintf(wanted, sizeof(wanted), "\nexample: coppicectl ");
		assert_non_null(strstr(own.out, wanted));
		assert_string_equal(own.err, "");
		run_end(&own);
	}
	for (char *at = strtok(run.out, "\n"); at != NULL; at = strtok(NULL, "\n")) {
		assert_true(strlen(at) <= 80);
	}
	run_end(&run);
}

static void test_version(void **state)
{
	struct run run = run_line(NULL, "-V");

	(void)state;
	assert_string_equal(run.out, "coppicectl " COPPICE_VERSION "\n");
	assert_int_equal(run.status, 0);
	run_end(&run);
}

/* --- what errors become --- */

#define ERROR(name, parameters) "{\"error\":\"" name "\",\"parameters\":{" parameters "}}"
#define CONTROL                 "org.coppice.Control."

static const struct {
	const char *line, *reply;
	int status;
	const char *err;
} failures[] = {
	{"start nope", ERROR(CONTROL "NoSuchUnit", "\"unit\":\"nope.service\""), 4,
		"coppicectl: no unit nope.service; coppicectl list names all\n"},
	{"start reds",
		ERROR(CONTROL "NoSuchUnit", "\"unit\":\"reds.service\",\"hint\":\"redis.service\""),
		4, "coppicectl: no unit reds.service; did you mean redis.service?\n"},
	{"start a", ERROR(CONTROL "Failed", "\"unit\":\"a.service\",\"reason\":\"exit:3\""), 1,
		"coppicectl: a.service: exit:3; see coppicectl why a.service\n"},
	{"start a", ERROR(CONTROL "Failed", "\"reason\":\"it is too late\""), 1,
		"coppicectl: it is too late\n"},
	{"stop a", ERROR(CONTROL "Refused", "\"reason\":\"user 5 may only look\""), 6,
		"coppicectl: refused: user 5 may only look\n"},
	{"stop a", ERROR("org.varlink.service.PermissionDenied", ""), 6,
		"coppicectl: refused; this needs root or coppice's own user\n"},
	{"stop a", ERROR("org.varlink.service.MethodNotFound", "\"method\":\"x\""), 1,
		"coppicectl: the running coppice cannot do this; it is of another version than "
		"coppicectl\n"},
	{"kill a",
		ERROR(CONTROL "InvalidArgument", "\"argument\":\"signal\",\"reason\":\"is none\""),
		2, "coppicectl: signal: is none\n"},
	{"wait a --timeout=1ms",
		ERROR(CONTROL "TimedOut", "\"unit\":\"a.service\",\"state\":\"starting\""), 7,
		"coppicectl: a.service is still starting; see coppicectl why a.service\n"},
	{"daemon-reload",
		ERROR(CONTROL "InvalidUnits", "\"messages\":[\"/u/a:1:2: no\",\"/u/b: bad\"]"), 1,
		"/u/a:1:2: no\n/u/b: bad\ncoppicectl: the unit files have errors; nothing was "
		"changed\n"},
	{"list", ERROR(CONTROL "TooManyRequests", ""), 1,
		"coppicectl: coppice has too many requests; try again later\n"},
	{"list", ERROR("com.example.Odd", "\"reason\":\"odd\""), 1,
		"coppicectl: com.example.Odd: odd\n"},
	{"list", "garbage", 1, "coppicectl: the answer is no Varlink message\n"},
	{"status", ERROR(CONTROL "Refused", "\"reason\":\"no\""), 6, "coppicectl: refused: no\n"},
	{"is-ready", ERROR(CONTROL "Refused", "\"reason\":\"no\""), 6, "coppicectl: refused: no\n"},
	{"watch", ERROR(CONTROL "Refused", "\"reason\":\"no\""), 6, "coppicectl: refused: no\n"},
	{"shutdown", ERROR(CONTROL "Refused", "\"reason\":\"no\""), 6, "coppicectl: refused: no\n"},
	{"start a --timeout=20ms", FAKE_SILENCE, 7,
		"coppicectl: no result after 20ms; see coppicectl status\n"},
	{"kill a", FAKE_CLOSE, 5, "coppicectl: coppice went away before it had answered\n"},
	{"list", FAKE_CLOSE, 5, "coppicectl: coppice went away before it had answered\n"},
	{"why a", FAKE_CLOSE, 5, "coppicectl: coppice went away before it had answered\n"},
	{"why a", FAKE_LEAVE, 5, "coppicectl: coppice has ended meanwhile\n"},
	{"watch", FAKE_LEAVE, 5, "coppicectl: coppice has ended\n"},
	{"shutdown", FAKE_LEAVE, 0, ""},
	{"shutdown --wait", "{}\n" FAKE_LEAVE, 0, ""},
	/* OTP's results */
	{"start a", "{\"parameters\":{\"result\":\"ok\"}}", 0, ""},
	{"start a", "{\"parameters\":{\"result\":\"ok ignored\"}}", 0, ""},
	{"start a", "{\"parameters\":{\"result\":\"error already_started\"}}", 0, ""},
	{"start a", "{\"parameters\":{\"result\":\"error running\"}}", 0, ""},
	{"start w@1", "{\"parameters\":{\"result\":\"error simple_one_for_one\"}}", 0, ""},
	{"restart w@1", "{\"parameters\":{\"result\":\"error simple_one_for_one\"}}", 1,
		"coppicectl: w@1.service is a child of a template; such are started and stopped "
		"only\n"},
	{"start a", "{\"parameters\":{\"result\":\"error failstart\"}}", 1,
		"coppicectl: a.service could not be started; see coppicectl why\n"},
	{"start a", "{\"parameters\":{\"result\":\"error max_children\"}}", 1,
		"coppicectl: a.service would be one too many for its supervisor (MaxChildren=)\n"},
	{"start a", "{\"parameters\":{\"result\":\"error something_new\"}}", 1,
		"coppicectl: a.service: error something_new\n"},
	{"stop a", "{\"parameters\":{\"result\":\"error not_running\"}}", 0, ""},
	{"stop a", "{\"parameters\":{\"result\":\"error not_found\"}}", 4,
		"coppicectl: a.service is no child of its supervisor any more\n"},
	{"delete a", "{\"parameters\":{\"result\":\"error running\"}}", 1,
		"coppicectl: a.service is running; stop it first\n"},
	{"delete a", "{\"parameters\":{\"result\":\"error restarting\"}}", 1,
		"coppicectl: a.service is being restarted; stop it first\n"},
	{"reload a", "{\"parameters\":{\"result\":\"error not_running\"}}", 1,
		"coppicectl: a.service is not running, or has no ExecReload=\n"},
	{"restart a", "{\"parameters\":{\"result\":\"error supervisor_down\"}}", 1,
		"coppicectl: a.service has a supervisor that is not running; start that first\n"},
};

static void test_failures(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(failures) / sizeof(failures[0]); i++) {
		const struct fake_answer answers[] = {{"", failures[i].reply}, {0}};
		struct fake_coppice *fake = fake_start(answers);
		struct run run = run_line(fake, failures[i].line);

		assert_string_equal(run.err, failures[i].err);
		assert_string_equal(run.out, "");
		assert_int_equal(run.status, failures[i].status);
		run_end(&run);
		fake_stop(fake);
	}
}

/* --- what is asked --- */

#define UNIT_A "\"unit\":\"a.service\""

static const struct {
	const char *line, *request; /* "ID" stands for a number of 32 digits */
} requests[] = {
	{"list", "{\"method\":\"org.coppice.Control.List\",\"more\":true}\n"},
	{"start a --no-wait", "{\"method\":\"org.coppice.Control.Start\",\"parameters\":{" UNIT_A
			      ",\"id\":\"ID\",\"no_wait\":true}}\n"},
	{"stop --once a", "{\"method\":\"org.coppice.Control.Stop\",\"parameters\":{" UNIT_A
			  ",\"id\":\"ID\",\"once\":true}}\n"},
	{"restart a.service", "{\"method\":\"org.coppice.Control.Restart\",\"parameters\":{" UNIT_A
			      ",\"id\":\"ID\"}}\n"},
	{"start a -- b@1",
		"{\"method\":\"org.coppice.Control.Start\",\"parameters\":{" UNIT_A
		",\"id\":\"ID\"}}\n{\"method\":\"org.coppice.Control.Start\",\"parameters\":{"
		"\"unit\":\"b@1.service\",\"id\":\"ID\"}}\n"},
	{"delete p.supervisor", "{\"method\":\"org.coppice.Control.Delete\",\"parameters\":{"
				"\"unit\":\"p.supervisor\",\"id\":\"ID\"}}\n"},
	{"kill a", "{\"method\":\"org.coppice.Control.Kill\",\"parameters\":{" UNIT_A
		   ",\"signal\":\"TERM\"}}\n"},
	{"kill --all -s 9 a", "{\"method\":\"org.coppice.Control.Kill\",\"parameters\":{" UNIT_A
			      ",\"signal\":\"KILL\",\"all\":true}}\n"},
	{"kill a --signal sigusr1",
		"{\"method\":\"org.coppice.Control.Kill\",\"parameters\":{" UNIT_A
		",\"signal\":\"USR1\"}}\n"},
	{"wait a", "{\"method\":\"org.coppice.Control.Wait\",\"parameters\":{" UNIT_A
		   ",\"condition\":\"ready\"}}\n"},
	{"wait a --for stopped --timeout 1.5s",
		"{\"method\":\"org.coppice.Control.Wait\",\"parameters\":{" UNIT_A
		",\"condition\":\"stopped\",\"timeout_ms\":1500}}\n"},
	{"is-ready", "{\"method\":\"org.coppice.Control.Status\"}\n"},
	{"is-active a", "{\"method\":\"org.coppice.Control.List\",\"parameters\":{\"units\":["
			"\"a.service\"]}}\n"},
	{"daemon-reload --dry-run", "{\"method\":\"org.coppice.Control.DaemonReload\","
				    "\"parameters\":{\"dry_run\":true}}\n"},
	{"shutdown --now", "{\"method\":\"org.coppice.Control.Shutdown\",\"parameters\":{"
			   "\"now\":true}}\n"},
	{"count", "{\"method\":\"org.coppice.Control.Count\",\"parameters\":{}}\n"},
	{"count p.supervisor", "{\"method\":\"org.coppice.Control.Count\",\"parameters\":{"
			       "\"supervisor\":\"p.supervisor\"}}\n"},
};

static void mask_ids(char *text)
{
	for (char *at = strstr(text, "\"id\":\""); at != NULL; at = strstr(at, "\"id\":\"")) {
		at += 6;
		assert_int_equal(strspn(at, "0123456789abcdef"), 32);
		at[0] = 'I';
		at[1] = 'D';
		memmove(at + 2, at + 32, strlen(at + 32) + 1);
	}
}

static void test_requests(void **state)
{
	const struct fake_answer answers[] = {{"", "{\"parameters\":{\"result\":\"ok\"}}"}, {0}};

	(void)state;
	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
		struct fake_coppice *fake = fake_start(answers);
		struct run run = run_line(fake, requests[i].line);

		mask_ids(fake->memory->requests);
		assert_string_equal(fake->memory->requests, requests[i].request);
		assert_int_equal(fake->memory->connections, 1);
		assert_string_equal(run.err, "");
		run_end(&run);
		fake_stop(fake);
	}
}

/* A manager that dies under a request is asked again, with the same number. */
static void test_asked_again(void **state)
{
	const struct fake_answer answers[] = {
		{"Start", FAKE_CLOSE, .once = true},
		{"Start", "{\"parameters\":{\"result\":\"ok\"}}"},
		{"List",
			"{\"parameters\":{\"unit\":{\"unit\":\"a\"}},\"continues\":true}"
			"\n" FAKE_CLOSE,
			.once = true},
		{"List", "{\"parameters\":{\"units\":[{\"unit\":\"b\"}]}}"},
		{"Kill", FAKE_CLOSE, .once = true},
		{"Kill", "{}"},
		{0},
	};
	struct fake_coppice *fake = fake_start(answers);
	struct run run = run_line(fake, "start a");
	char *second;

	(void)state;
	assert_int_equal(run.status, 0);
	assert_string_equal(run.err, "");
	run_end(&run);
	second = strchr(fake->memory->requests, '\n') + 1;
	assert_int_equal(strncmp(fake->memory->requests, second, strlen(second)), 0);
	/* Nothing of the half list remains. */
	run = run_line(fake, "list --json");
	assert_string_equal(run.out, "[{\"unit\":\"b\"}]\n");
	run_end(&run);
	/* A signal is never sent twice. */
	run = run_line(fake, "kill a");
	assert_int_equal(run.status, 5);
	run_end(&run);
	fake_stop(fake);
}

/* A stream goes on with the next manager, and says that it was broken. */
static void test_watched_again(void **state)
{
	const struct fake_answer answers[] = {
		{"", "{\"parameters\":{},\"continues\":true}\n" FAKE_CLOSE, .once = true},
		{"", "{\"parameters\":{},\"continues\":true}\n" FAKE_LEAVE},
		{0},
	};
	struct fake_coppice *fake = fake_start(answers);
	struct run run = run_line(fake, "watch --json");

	(void)state;
	assert_string_equal(run.out, "{\"event\":\"subscribed\"}\n{\"event\":\"subscribed\"}\n");
	assert_string_equal(run.err, "coppicectl: connected again; events may have been missed\n"
				     "coppicectl: coppice has ended\n");
	assert_int_equal(run.status, 5);
	run_end(&run);
	fake_stop(fake);
}

/* The first that fails gives the status; the others are tried nevertheless. */
static void test_many_units(void **state)
{
	const struct fake_answer answers[] = {
		{"\"b.service\"", ERROR(CONTROL "NoSuchUnit", "\"unit\":\"b.service\"")},
		{"\"c.service\"",
			ERROR(CONTROL "Failed", "\"unit\":\"c.service\",\"reason\":\"x\"")},
		{"", "{\"parameters\":{\"result\":\"ok\"}}"},
		{0},
	};
	struct fake_coppice *fake = fake_start(answers);
	struct run run = run_line(fake, "restart --json a b c d");

	(void)state;
	assert_int_equal(run.status, 4);
	assert_string_equal(run.out, "[{\"unit\":\"a.service\",\"result\":\"ok\"},"
				     "{\"unit\":\"d.service\",\"result\":\"ok\"}]\n");
	run_end(&run);
	fake_stop(fake);
}

/* --- probes --- */

#define ROOT(state, ready, failed)                                           \
	"{\"parameters\":{\"root\":\"r.supervisor\",\"root_state\":\"" state \
	"\",\"root_ready\":" ready ",\"failed\":" failed "}}"
#define ONE(state, ready)                                                        \
	"{\"parameters\":{\"units\":[{\"unit\":\"a.service\",\"state\":\"" state \
	"\",\"ready\":" ready "}]}}"

static const struct {
	const char *line, *reply;
	int status;
	const char *out;
} probes[] = {
	{"is-active", ROOT("running", "false", "0"), 0, "running\n"},
	{"is-active", ROOT("starting", "false", "0"), 3, "starting\n"},
	{"is-active -q", ROOT("stopped", "false", "0"), 3, ""},
	{"is-active a", ONE("running", "false"), 0, "running\n"},
	{"is-active a", ONE("waiting", "false"), 3, "waiting\n"},
	{"is-active a", ONE("done", "false"), 3, "done\n"},
	{"is-ready", ROOT("running", "true", "0"), 0, "ready\n"},
	{"is-ready", ROOT("running", "false", "0"), 1, "not ready\n"},
	{"is-ready -q", ROOT("running", "true", "0"), 0, ""},
	{"is-ready a", ONE("running", "true"), 0, "ready\n"},
	{"is-ready a --json", ONE("running", "true"), 0,
		"{\"unit\":\"a.service\",\"state\":\"running\",\"ready\":true}\n"},
	{"is-ready a", ONE("running", "false"), 1, "not ready\n"},
	{"is-failed", ROOT("running", "true", "0"), 1, "running\n"},
	{"is-failed", ROOT("running", "true", "2"), 0, "failed\n"},
	{"is-failed", ROOT("failed", "false", "0"), 0, "failed\n"},
	{"is-failed a", ONE("failed", "false"), 0, "failed\n"},
	{"is-failed a", ONE("running", "true"), 1, "running\n"},
	{"is-ready a", ERROR(CONTROL "NoSuchUnit", "\"unit\":\"a.service\""), 4, ""},
};

static void test_probes(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(probes) / sizeof(probes[0]); i++) {
		const struct fake_answer answers[] = {{"", probes[i].reply}, {0}};
		struct fake_coppice *fake = fake_start(answers);
		struct run run = run_line(fake, probes[i].line);

		assert_string_equal(run.out, probes[i].out);
		assert_int_equal(run.status, probes[i].status);
		assert_ptr_equal(strchr(fake->memory->requests, '\n') + 1,
			fake->memory->requests + strlen(fake->memory->requests));
		run_end(&run);
		fake_stop(fake);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_usage),
		cmocka_unit_test(test_help),
		cmocka_unit_test(test_version),
		cmocka_unit_test(test_failures),
		cmocka_unit_test(test_requests),
		cmocka_unit_test(test_asked_again),
		cmocka_unit_test(test_watched_again),
		cmocka_unit_test(test_many_units),
		cmocka_unit_test(test_probes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
