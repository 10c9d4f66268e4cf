/* How answers look: every text is pinned. */
#include "unit/ctl/rig.h"

#define UNIT(name, parent, state, ready, pid, restarts, uptime, rest)                              \
	"{\"parameters\":{\"unit\":{\"unit\":\"" name "\",\"kind\":\"service\",\"parent\":" parent \
	",\"state\":\"" state "\",\"substate\":\"" state "\",\"ready\":" ready ",\"pid\":" pid     \
	",\"restarts\":" restarts ",\"since\":\"2026-01-02T03:04:05.678Z\",\"uptime_ms\":" uptime  \
	"," rest "}},\"continues\":true}\n"
#define NO_EXIT "\"held\":false,\"last_exit\":null,\"description\":\"\""
#define SUPERVISOR(strategy, window, intensity)                           \
	"\"held\":false,\"strategy\":\"" strategy "\",\"window\":" window \
	",\"intensity\":" intensity ",\"period_ms\":5000,\"last_exit\":null"

static const char units[] = UNIT("edge.supervisor", "null", "running", "false", "0", "0", "7384000",
	SUPERVISOR("rest-for-one", "1", "3")) UNIT("redis.service", "\"edge.supervisor\"",
	"running", "true", "4711", "0", "7383000", NO_EXIT) UNIT("gateway.service",
	"\"edge.supervisor\"", "running", "false", "4799", "12", "950",
	"\"held\":false,\"last_exit\":\"exit:3\"") UNIT("pool.supervisor", "\"edge.supervisor\"",
	"running", "false", "0", "0", "7382000",
	SUPERVISOR("one-for-one", "0", "1")) UNIT("worker@1.service", "\"pool.supervisor\"",
	"waiting", "false", "0", "4", "0", "\"held\":false,\"last_exit\":\"signal:SEGV\"")
	UNIT("worker@2.service", "\"pool.supervisor\"", "failed", "false", "0", "1", "0",
		"\"held\":false,\"last_exit\":\"exec:ENOENT (/usr/bin/"
		"worker)\"") UNIT("report.service", "\"edge.supervisor\"", "stopped", "false", "0",
		"0", "0", "\"held\":true,\"last_exit\":\"stopped\"") "{\"parameters\":{}}";

#define STATUS                                                                                     \
	"{\"parameters\":{\"version\":\"0.1.0\",\"root\":\"edge.supervisor\",\"root_state\":"      \
	"\"running\",\"keeper_pid\":1,\"manager_pid\":12,\"manager_incarnation\":2,\"uptime_ms\":" \
	"7385000,\"units\":7,\"running\":4,\"failed\":1,\"deaths\":17,\"orphans_reaped\":3}}"

static const struct fake_answer answers[] = {
	{"\"method\":\"org.coppice.Control.Status\"", STATUS},
	{"\"units\":[\"gateway.service\"]",
		"{\"parameters\":{\"units\":[{\"unit\":\"gateway.service\",\"parent\":"
		"\"edge.supervisor\",\"state\":\"running\",\"substate\":\"up\",\"ready\":false,"
		"\"held\":false,\"pid\":4799,\"restarts\":12,\"since\":\"bad\","
		"\"last_exit\":\"exit:3\",\"description\":\"Edge \\u001b[31mgateway\","
		"\"status_text\":\"3 clients\"}]}}"},
	{"\"units\":[\"pool.supervisor\"]",
		"{\"parameters\":{\"units\":[{\"unit\":\"pool.supervisor\",\"parent\":"
		"\"edge.supervisor\",\"state\":\"stopped\",\"substate\":\"\",\"ready\":false,"
		"\"held\":true,\"pid\":0,\"restarts\":0,\"since\":\"\",\"last_exit\":null,"
		"\"description\":\"\",\"strategy\":\"one-for-one\",\"window\":0,\"intensity\":1,"
		"\"period_ms\":5000}]}}"},
	{"Control.List", units},
	{"Control.Why",
		"{\"parameters\":{\"sentences\":[\"It runs.\",\"It waits for READY=1.\"]}}"},
	{"Control.Show", "{\"parameters\":{\"properties\":{\"Id\":\"a.service\",\"pid\":\"7\"}}}"},
	{"Control.Cat",
		"{\"parameters\":{\"files\":[{\"path\":\"/u/a.service\",\"text\":"
		"\"[Service]\\nExecStart=/a\"},{\"path\":\"/u/a.service.d/b.conf\",\"text\":"
		"\"[Service]\\nNice=1\\n\"}]}}"},
	{"Control.Trace", "{\"parameters\":{\"lines\":[\"1 boot\",\"2 spawn\"]}}"},
	{"Control.Count", "{\"parameters\":{\"specs\":4,\"active\":3,\"supervisors\":1,\"workers\":"
			  "3}}"},
	{"Control.DaemonReload", "{\"parameters\":{\"plan\":[\"restart a.service\"]}}"},
	{"Control.Subscribe",
		"{\"parameters\":{\"event\":null},\"continues\":true}\n"
		"{\"parameters\":{\"event\":{\"time\":\"2026-01-02T03:04:05.678+01:00\",\"event\":"
		"\"exited\",\"unit\":\"a.service\",\"pid\":7,\"reason\":\"exit:3\"}},\"continues\":"
		"true}\n"
		"{\"parameters\":{\"event\":{\"time\":\"2026-01-02T03:04:06Z\",\"event\":"
		"\"reloaded\",\"unit\":\"a.service\",\"pid\":0,\"reason\":null,\"text\":\"2 "
		"changes\\n\"}},\"continues\":true}\n"
		"{\"error\":\"org.coppice.Control.Refused\",\"parameters\":{\"reason\":\"enough\"}"
		"}"},
	{0},
};

static const struct screen pipe_ascii = {false, false, false, 0};
static const struct screen wide = {true, false, true, 80};
static const struct screen narrow = {true, false, true, 50};
static const struct screen ascii = {true, false, false, 80};
static const struct screen coloured = {true, true, true, 80};

static const struct {
	const struct screen *screen;
	const char *line;
	int status;
	const char *out;
} cases[] = {
#include "unit/ctl/expected.h"
};

static void test_looks(void **state)
{
	struct fake_coppice *fake = fake_start(answers);
	bool print = getenv("COPPICE_TEST_PRINT") != NULL;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct run run = run_on(*cases[i].screen, fake, cases[i].line);

		if (print) {
			printf("--- %s\n%s", cases[i].line, run.out);
		} else {
			assert_string_equal(run.out, cases[i].out);
			assert_int_equal(run.status, cases[i].status);
		}
		run_end(&run);
	}
	fake_stop(fake);
}

/* No line is longer than the terminal is wide. */
static void test_fits(void **state)
{
	struct fake_coppice *fake = fake_start(answers);
	static const char *const lines[] = {"tree", "list", "status"};

	(void)state;
	for (unsigned width = 50; width <= 120; width++) {
		for (int i = 0; i < 3; i++) {
			struct run run =
				run_on((struct screen){true, false, true, width}, fake, lines[i]);

			for (char *at = strtok(run.out, "\n"); at != NULL;
				at = strtok(NULL, "\n")) {
				if (strncmp(at, "keeper", 6) != 0 &&
					strncmp(at, "7 units", 7) != 0 &&
					ctl_text_width(at) > width) {
					fail_msg("%s in %u columns: %s", lines[i], width, at);
				}
			}
			run_end(&run);
		}
	}
	fake_stop(fake);
}

/* `status` shows of a big healthy pool its number only, and each one that is not well. */
static void test_big_pool(void **state)
{
	static char reply[8192];
	const struct fake_answer big[] = {{"Control.Status", STATUS}, {"", reply}, {0}};
	struct fake_coppice *fake;
	struct run run;

	(void)state;
	strcpy(reply,
		"{\"parameters\":{\"units\":[{\"unit\":\"p.supervisor\",\"state\":\"running\","
		"\"ready\":true}");
	for (int i = 0; i < 20; i++) {
		sprintf(reply + strlen(reply),
			",{\"unit\":\"w@%d.service\",\"parent\":\"p.supervisor\",\"state\":\"%s\","
			"\"ready\":true}",
			i, i == 7 ? "failed" : "running");
	}
	strcat(reply, "]}}");
	fake = fake_start(big);
	run = run_line(fake, "status");
	assert_non_null(strstr(run.out, "21 units: 20 running, 1 failed\n"));
	assert_non_null(strstr(run.out, "\n|- w@7.service "));
	assert_non_null(strstr(run.out, "\n`- (19 more)    running\n"));
	assert_null(strstr(run.out, "w@8"));
	run_end(&run);
	run = run_line(fake, "tree");
	assert_non_null(strstr(run.out, "\n|- w@8.service "));
	assert_non_null(strstr(run.out, "\n`- w@19.service "));
	run_end(&run);
	fake_stop(fake);
}

static void test_json(void **state)
{
	struct fake_coppice *fake = fake_start(answers);
	struct run run = run_line(fake, "--json list");
	json_t *list = json_loads(run.out, 0, NULL), *tree, *children;

	(void)state;
	assert_int_equal(json_array_size(list), 7);
	assert_string_equal(unit_text(json_array_get(list, 1), "unit"), "redis.service");
	assert_true(json_is_null(json_object_get(json_array_get(list, 1), "last_exit")));
	json_decref(list);
	run_end(&run);
	run = run_line(fake, "tree --json");
	tree = json_loads(run.out, 0, NULL);
	assert_int_equal(json_array_size(tree), 1);
	children = json_object_get(json_array_get(tree, 0), "children");
	assert_int_equal(json_array_size(children), 4);
	assert_string_equal(unit_text(json_array_get(children, 2), "unit"), "pool.supervisor");
	children = json_object_get(json_array_get(children, 2), "children");
	assert_int_equal(json_array_size(children), 2);
	json_decref(tree);
	run_end(&run);
	run = run_line(fake, "--json status");
	tree = json_loads(run.out, 0, NULL);
	assert_int_equal(json_array_size(json_object_get(tree, "tree")), 7);
	assert_int_equal(unit_number(tree, "manager_pid"), 12);
	json_decref(tree);
	run_end(&run);
	fake_stop(fake);
}

static void test_times(void **state)
{
	char text[CTL_SPAN_SIZE];

	(void)state;
	assert_int_equal(ctl_time_parse("1970-01-01T00:00:01Z"), 1000);
	assert_int_equal(ctl_time_parse("1970-01-01T01:00:01.5+01:00"), 1500);
	assert_int_equal(ctl_time_parse("1969-12-31T23:00:00.25-01:00"), 250);
	assert_int_equal(ctl_time_parse("1970-01-01T00:00:00.123456789Z"), 123);
	assert_int_equal(ctl_time_parse("1970-01-01T00:00:01"), -1);
	assert_int_equal(ctl_time_parse("yesterday"), -1);
	assert_int_equal(ctl_time_parse(""), -1);
	assert_string_equal(ctl_span(0, text, sizeof(text)), "0s");
	assert_string_equal(ctl_span(12345, text, sizeof(text)), "12s");
	assert_string_equal(ctl_span(1500, text, sizeof(text)), "1s 500ms");
	assert_string_equal(ctl_span(90061000, text, sizeof(text)), "1d 1h");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_looks),
		cmocka_unit_test(test_fits),
		cmocka_unit_test(test_big_pool),
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_times),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
