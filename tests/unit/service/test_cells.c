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
			 "| stop-post-sigkill"}},
	{"stop brutal",
		{NULL, "KILL control, timer 10 | stop-sigkill",
			"KILL group, timer 10 | stop-sigkill",
			"KILL group, KILL control, timer 10 | stop-sigkill",
			"KILL group, timer 10 | stop-sigkill",
			"KILL group, KILL control, timer 10, reload-failed | stop-sigkill",
			"KILL group, KILL control, timer 10 | stop-sigkill",
			"KILL group, timer 10 | stop-sigkill", "| stop-sigkill",
			"KILL control, timer 10 | stop-post-sigkill", "| stop-post-sigkill"}},
	{"stop for-ever",
		{NULL, "TERM control, timer off | stop-sigterm",
			"TERM group, timer off | stop-sigterm",
			"TERM group, TERM control, timer off | stop-sigterm",
			"run ExecStop[0] | stop",
			"TERM group, TERM control, timer off, reload-failed | stop-sigterm",
			"| stop", "| stop-sigterm", "| stop-sigkill", "| stop-post",
			"| stop-post-sigkill"}},
	{"reload",
		{"refused | down", "refused | start-pre", "refused | start", "refused | start-post",
			"run ExecReload[0], timer 90 | reload", "refused | reload",
			"refused | stop", "refused | stop-sigterm", "refused | stop-sigkill",
			"refused | stop-post", "refused | stop-post-sigkill"}},
	{"spawned main", {"| down", "| start-pre", "| start", "| start-post", "| up", "| reload",
				 "| stop", "TERM group | stop-sigterm", "KILL group | stop-sigkill",
				 "| stop-post", "KILL control | stop-post-sigkill"}},
	{"spawned control",
		{"| down", "| start-pre", "| start", "| start-post", "| up", "| reload", "| stop",
			"TERM group | stop-sigterm", "KILL group | stop-sigkill", "| stop-post",
			"KILL control | stop-post-sigkill"}},
	{"spawn-failed control",
		{"| down", "run ExecStopPost[0], timer 30 | stop-post", "| start",
			"TERM group, timer 30 | stop-sigterm", "| up",
			"timer off, reload-failed | up", "TERM group | stop-sigterm",
			"| stop-sigterm", "| stop-sigkill", "timer off, gone stopped | down",
			"timer off, gone stopped | down"}},
	{"skipped",
		{"| down", "timer off, ignored | down", "timer off, ignored | down", "| start-post",
			"| up", "| reload", "| stop", "run ExecStopPost[0] | stop-post",
			"run ExecStopPost[0], timer 30 | stop-post", "| stop-post",
			"| stop-post-sigkill"}},
	{"exit main 0",
		{"| down", "| start-pre", "run ExecStopPost[0], timer 30 | stop-post",
			"TERM control, timer 30 | stop-sigterm", "run ExecStop[0], timer 30 | stop",
			"TERM control, timer 30, reload-failed | stop-sigterm", "| stop",
			"run ExecStopPost[0] | stop-post",
			"run ExecStopPost[0], timer 30 | stop-post", "| stop-post",
			"| stop-post-sigkill"}},
	{"exit main 1",
		{"| down", "| start-pre", "run ExecStopPost[0], timer 30 | stop-post",
			"TERM control, timer 30 | stop-sigterm", "run ExecStop[0], timer 30 | stop",
			"TERM control, timer 30, reload-failed | stop-sigterm", "| stop",
			"run ExecStopPost[0] | stop-post",
			"run ExecStopPost[0], timer 30 | stop-post", "| stop-post",
			"| stop-post-sigkill"}},
	{"exit control 0",
		{"| down", "run ExecStart[0] | start", "| start", "timer off, started | up", "| up",
			"timer off, reloaded | up", "TERM group | stop-sigterm", "| stop-sigterm",
			"| stop-sigkill", "timer off, gone stopped | down",
			"timer off, gone stopped | down"}},
	{"exit control 1",
		{"| down", "run ExecStopPost[0], timer 30 | stop-post", "| start",
			"TERM group, timer 30 | stop-sigterm", "| up",
			"timer off, reload-failed | up", "TERM group | stop-sigterm",
			"| stop-sigterm", "| stop-sigkill", "timer off, gone stopped | down",
			"timer off, gone stopped | down"}},
	{"ready", {"| down", "| start-pre", "run ExecStartPost[0] | start-post", "| start-post",
			  "| up", "| reload", "| stop", "| stop-sigterm", "| stop-sigkill",
			  "| stop-post", "| stop-post-sigkill"}},
	{"found yes",
		{"| down", "| start-pre", "| start", "| start-post", "| up", "| reload", "| stop",
			"| stop-sigterm", "| stop-sigkill", "| stop-post", "| stop-post-sigkill"}},
	{"extend 500",
		{"| down", "timer 500 | start-pre", "timer 500 | start", "timer 500 | start-post",
			"| up", "| reload", "timer 500 | stop", "timer 500 | stop-sigterm",
			"| stop-sigkill", "timer 500 | stop-post", "| stop-post-sigkill"}},
	{"fail watchdog",
		{"| down", "TERM control, timer 30 | stop-sigterm",
			"TERM group, timer 30 | stop-sigterm",
			"TERM group, TERM control, timer 30 | stop-sigterm",
			"TERM group, timer 30 | stop-sigterm",
			"TERM group, TERM control, timer 30, reload-failed | stop-sigterm",
			"| stop", "| stop-sigterm", "| stop-sigkill", "| stop-post",
			"| stop-post-sigkill"}},
	{"timeout", {"| down", "TERM control, timer 30 | stop-sigterm",
			    "TERM group, timer 30 | stop-sigterm",
			    "TERM group, TERM control, timer 30 | stop-sigterm", "| up",
			    "KILL control, timer off | reload",
			    "TERM group, TERM control, timer 30 | stop-sigterm",
			    "KILL group, timer 10 | stop-sigkill",
			    "KILL group, timer off | stop-sigkill",
			    "KILL control, timer 10 | stop-post-sigkill",
			    "KILL control, timer off | stop-post-sigkill"}},
	{"early",
		{"| down", "| start-pre", "| start", "| start-post", "| up", "| reload", "| stop",
			"| stop-sigterm", "| stop-sigkill", "| stop-post", "| stop-post-sigkill"}},
};

static void test_cells(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cells) / sizeof(cells[0]); i++) {
		for (uint32_t from = 0; from < SERVICE_STATE_COUNT; from++) {
			char line[600];
			if (cells[i].out[from] == NULL) {
				continue;
			}
			begin(SERVICE_NOTIFY);
			for (uint32_t phase = 0; phase < PHASE_COUNT; phase++) {
				rules.commands[phase] = 1;
			}
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
