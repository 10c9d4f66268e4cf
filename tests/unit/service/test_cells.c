/* Every state of a service meets every event. */
#include "unit/service/script.h"

/* How each state is reached; a notify service with one command in each phase. */
static const char *const ways[SERVICE_STATE_COUNT] = {
	[SERVICE_STATE_DOWN] = "",
	[SERVICE_STATE_START_PRE] = "start\nspawned control\n",
	[SERVICE_STATE_START] = "start\nexit control 0\nspawned main\n",
	[SERVICE_STATE_START_POST] = "start\nexit control 0\nspawned main\nready\n",
	[SERVICE_STATE_UP] = "start\nexit control 0\nspawned main\nready\nexit control 0\n",
	[SERVICE_STATE_RELOAD] =
		"start\nexit control 0\nspawned main\nready\nexit control 0\nreload\n",
	[SERVICE_STATE_STOP] = "start\nexit control 0\nspawned main\nready\nexit control 0\nstop\n",
	[SERVICE_STATE_TERM] = "start\nexit control 0\nspawned main\nready\nexit control 0\nstop\n"
			       "exit control 0\n",
	[SERVICE_STATE_KILL] = "start\nexit control 0\nspawned main\nready\nexit control 0\n"
			       "stop brutal\n",
	[SERVICE_STATE_STOP_POST] = "start\nexit control 0\nspawned main\nready\nexit control 0\n"
				    "stop\nexit control 0\nsignal main 15\n",
	[SERVICE_STATE_POST_KILL] = "start\nexit control 0\nspawned main\nready\nexit control 0\n"
				    "stop\nexit control 0\nsignal main 15\ntimeout\n",
	[SERVICE_STATE_CONDITION] = "start\nspawned control\n",
	[SERVICE_STATE_WARM] = "start\nexit control 0\nspawned main\nready\nexit control 0\n",
	[SERVICE_STATE_ABORT] = "start\nexit control 0\nspawned main\nready\nexit control 0\n"
				"fail watchdog\n",
};

/* Rows are states, in the order of SERVICE_STATES; "start" is only legal in DOWN, and a stop is not
 * legal there. */
static const struct {
	const char *event;
	const char *out[SERVICE_STATE_COUNT];
} cells[] = {
	{"stop", {NULL, "TERM control, timer 30 | stop-sigterm",
			 "TERM group, timer 30 | stop-sigterm",
			 "TERM group, TERM control, timer 30 | stop-sigterm",
			 "run ExecStop[0], timer 30 | stop",
			 "TERM group, TERM control, timer 30, reload-failed | stop-sigterm",
			 "| stop", "| stop-sigterm", "| stop-sigkill", "| stop-post",
			 "| stop-post-sigkill", "TERM control, timer 30 | stop-sigterm",
			 "TERM group, watch off, probe off, timer 30 | stop-sigterm",
			 "| stop-watchdog"}},
	{"stop brutal", {NULL, "KILL control, timer 10 | stop-sigkill",
				"KILL group, timer 10 | stop-sigkill",
				"KILL group, KILL control, timer 10 | stop-sigkill",
				"KILL group, timer 10 | stop-sigkill",
				"KILL group, KILL control, timer 10, reload-failed | stop-sigkill",
				"KILL group, KILL control, timer 10 | stop-sigkill",
				"KILL group, timer 10 | stop-sigkill", "| stop-sigkill",
				"KILL control, timer 10 | stop-post-sigkill", "| stop-post-sigkill",
				"KILL control, timer 10 | stop-sigkill",
				"KILL group, watch off, probe off, timer 10 | stop-sigkill",
				"KILL group, timer 10 | stop-sigkill"}},
	{"stop for-ever",
		{NULL, "TERM control, timer off | stop-sigterm",
			"TERM group, timer off | stop-sigterm",
			"TERM group, TERM control, timer off | stop-sigterm",
			"run ExecStop[0] | stop",
			"TERM group, TERM control, timer off, reload-failed | stop-sigterm",
			"| stop", "| stop-sigterm", "| stop-sigkill", "| stop-post",
			"| stop-post-sigkill", "TERM control, timer off | stop-sigterm",
			"TERM group, watch off, probe off, timer off | stop-sigterm",
			"| stop-watchdog"}},
	{"reload",
		{"refused | down", "refused | start-pre", "refused | start", "refused | start-post",
			"run ExecReload[0], timer 90 | reload", "refused | reload",
			"refused | stop", "refused | stop-sigterm", "refused | stop-sigkill",
			"refused | stop-post", "refused | stop-post-sigkill", "refused | condition",
			"refused | start-health", "refused | stop-watchdog"}},
	{"spawned main", {"| down", "| start-pre", "| start", "| start-post", "| up", "| reload",
				 "| stop", "TERM group | stop-sigterm", "KILL group | stop-sigkill",
				 "| stop-post", "KILL control | stop-post-sigkill", "| condition",
				 "| start-health", "ABRT group | stop-watchdog"}},
	{"spawned control",
		{"| down", "| start-pre", "| start", "| start-post", "| up", "| reload", "| stop",
			"TERM group | stop-sigterm", "KILL group | stop-sigkill", "| stop-post",
			"KILL control | stop-post-sigkill", "| condition", "| start-health",
			"ABRT group | stop-watchdog"}},
	{"spawn-failed control",
		{"| down", "run ExecStopPost[0], timer 30 | stop-post", "| start",
			"TERM group, timer 30 | stop-sigterm", "| up",
			"timer off, reload-failed | up", "TERM group | stop-sigterm",
			"| stop-sigterm", "| stop-sigkill", "timer off, gone stopped | down",
			"timer off, gone stopped | down",
			"run ExecStopPost[0], timer 30 | stop-post", "| start-health",
			"| stop-watchdog"}},
	{"skipped",
		{"| down", "timer off, ignored | down", "timer off, ignored | down", "| start-post",
			"| up", "| reload", "| stop", "run ExecStopPost[0] | stop-post",
			"run ExecStopPost[0], timer 30 | stop-post", "| stop-post",
			"| stop-post-sigkill", "timer off, ignored | down", "| start-health",
			"run ExecStopPost[0], timer 30 | stop-post"}},
	{"exit main 0",
		{"| down", "| start-pre", "run ExecStopPost[0], timer 30 | stop-post",
			"TERM control, timer 30 | stop-sigterm", "run ExecStop[0], timer 30 | stop",
			"TERM control, timer 30, reload-failed | stop-sigterm", "| stop",
			"run ExecStopPost[0] | stop-post",
			"run ExecStopPost[0], timer 30 | stop-post", "| stop-post",
			"| stop-post-sigkill", "| condition",
			"run ExecStopPost[0], watch off, probe off, timer 30 | stop-post",
			"run ExecStopPost[0], timer 30 | stop-post"}},
	{"exit main 1",
		{"| down", "| start-pre", "run ExecStopPost[0], timer 30 | stop-post",
			"TERM control, timer 30 | stop-sigterm", "run ExecStop[0], timer 30 | stop",
			"TERM control, timer 30, reload-failed | stop-sigterm", "| stop",
			"run ExecStopPost[0] | stop-post",
			"run ExecStopPost[0], timer 30 | stop-post", "| stop-post",
			"| stop-post-sigkill", "| condition",
			"run ExecStopPost[0], watch off, probe off, timer 30 | stop-post",
			"run ExecStopPost[0], timer 30 | stop-post"}},
	{"exit control 0",
		{"| down", "run ExecStart[0] | start", "| start", "timer off, started | up", "| up",
			"timer off, reloaded | up", "TERM group | stop-sigterm", "| stop-sigterm",
			"| stop-sigkill", "timer off, gone stopped | down",
			"timer off, gone stopped | down", "run ExecStartPre[0] | start-pre",
			"| start-health", "| stop-watchdog"}},
	{"exit control 1",
		{"| down", "run ExecStopPost[0], timer 30 | stop-post", "| start",
			"TERM group, timer 30 | stop-sigterm", "| up",
			"timer off, reload-failed | up", "TERM group | stop-sigterm",
			"| stop-sigterm", "| stop-sigkill", "timer off, gone stopped | down",
			"timer off, gone stopped | down", "timer off, ignored | down",
			"| start-health", "| stop-watchdog"}},
	{"ready", {"| down", "| start-pre", "run ExecStartPost[0] | start-post", "| start-post",
			  "| up", "| reload", "| stop", "| stop-sigterm", "| stop-sigkill",
			  "| stop-post", "| stop-post-sigkill", "| condition", "| start-health",
			  "| stop-watchdog"}},
	{"found yes",
		{"| down", "| start-pre", "| start", "| start-post", "| up", "| reload", "| stop",
			"| stop-sigterm", "| stop-sigkill", "| stop-post", "| stop-post-sigkill",
			"| condition", "| start-health", "| stop-watchdog"}},
	{"extend 500",
		{"| down", "timer 500 | start-pre", "timer 500 | start", "timer 500 | start-post",
			"| up", "timer 500 | reload", "timer 500 | stop",
			"timer 500 | stop-sigterm", "| stop-sigkill", "timer 500 | stop-post",
			"| stop-post-sigkill", "timer 500 | condition", "timer 500 | start-health",
			"timer 500 | stop-watchdog"}},
	{"fail watchdog",
		{"| down", "ABRT control, timer 7 | stop-watchdog",
			"ABRT group, timer 7 | stop-watchdog",
			"ABRT group, ABRT control, timer 7 | stop-watchdog",
			"ABRT group, timer 7 | stop-watchdog",
			"ABRT group, ABRT control, timer 7, reload-failed | stop-watchdog",
			"| stop", "| stop-sigterm", "| stop-sigkill", "| stop-post",
			"| stop-post-sigkill", "ABRT control, timer 7 | stop-watchdog",
			"ABRT group, watch off, probe off, timer 7 | stop-watchdog",
			"| stop-watchdog"}},
	{"timeout", {"| down", "TERM control, timer 30 | stop-sigterm",
			    "TERM group, timer 30 | stop-sigterm",
			    "TERM group, TERM control, timer 30 | stop-sigterm", "| up",
			    "KILL control, timer off | reload",
			    "TERM group, TERM control, timer 30 | stop-sigterm",
			    "KILL group, timer 10 | stop-sigkill",
			    "KILL group, timer off | stop-sigkill",
			    "KILL control, timer 10 | stop-post-sigkill",
			    "KILL control, timer off | stop-post-sigkill",
			    "TERM control, timer 30 | stop-sigterm",
			    "TERM group, watch off, probe off, timer 30 | stop-sigterm",
			    "KILL group, timer 10 | stop-sigkill"}},
	{"early", {"| down", "| start-pre", "| start", "| start-post", "| up", "| reload", "| stop",
			  "| stop-sigterm", "| stop-sigkill", "| stop-post", "| stop-post-sigkill",
			  "| condition", "| start-health", "| stop-watchdog"}},
	{"reloading",
		{"| down", "| start-pre", "| start", "| start-post", "timer 90 | reload",
			"| reload", "| stop", "| stop-sigterm", "| stop-sigkill", "| stop-post",
			"| stop-post-sigkill", "| condition", "| start-health", "| stop-watchdog"}},
	{"stopping", {"| down", "| start-pre", "| start", "| start-post", "timer 30 | stop-sigterm",
			     "timer 30, reload-failed | stop-sigterm", "| stop", "| stop-sigterm",
			     "| stop-sigkill", "| stop-post", "| stop-post-sigkill", "| condition",
			     "watch off, probe off, timer 30 | stop-sigterm", "| stop-watchdog"}},
	{"watchdog 5", {"| down", "| start-pre", "| start", "watch 5 | start-post", "watch 5 | up",
			       "watch 5 | reload", "| stop", "| stop-sigterm", "| stop-sigkill",
			       "| stop-post", "| stop-post-sigkill", "| condition",
			       "watch 5 | start-health", "| stop-watchdog"}},
	{"good", {"| down", "| start-pre", "| start", "| start-post", "| up", "| reload", "| stop",
			 "| stop-sigterm", "| stop-sigkill", "| stop-post", "| stop-post-sigkill",
			 "| condition", "timer off, healthy, started | up", "| stop-watchdog"}},
	{"bad", {"| down", "| start-pre", "| start", "| start-post", "| up", "| reload", "| stop",
			"| stop-sigterm", "| stop-sigkill", "| stop-post", "| stop-post-sigkill",
			"| condition", "| start-health", "| stop-watchdog"}},
};

static void prepare(uint32_t from)
{
	begin(SERVICE_NOTIFY);
	for (uint32_t phase = 0; phase < PHASE_COUNT; phase++) {
		rules.commands[phase] = phase != PHASE_CONDITION || from == SERVICE_STATE_CONDITION;
	}
	rules.abort_timeout_ns = 7 * SEC;
	if (from == SERVICE_STATE_WARM) {
		rules.watchdog_ns = 3 * SEC;
		rules.health =
			(struct service_health_rules){.on = true, .retries = 1, .interval_ns = 1};
	}
}

static void test_cells(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cells) / sizeof(cells[0]); i++) {
		for (uint32_t from = 0; from < SERVICE_STATE_COUNT; from++) {
			char line[600];
			if (cells[i].out[from] == NULL) {
				continue;
			}
			prepare(from);
			play(ways[from]);
			assert_int_equal(service.state, from);
			snprintf(line, sizeof(line), "%s > %s\n", cells[i].event,
				cells[i].out[from]);
			play(line);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_cells)};

	return cmocka_run_group_tests_name("service cells", tests, NULL, NULL);
}
