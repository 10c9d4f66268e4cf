/* The lives of the types of services, of their commands, and what stops them. */
#include "unit/service/script.h"

/* --- types --- */

static void test_simple(void **state)
{
	(void)state;
	begin(SERVICE_SIMPLE);
	play("start > run ExecStart[0], timer 90 | start\n"
	     "spawned main > timer off, started | up\n"
	     "exit main 3 > gone exit:3 bad | down\n"
	     "start > run ExecStart[0], timer 90 | start\n"
	     "exec-failed main > timer off, started | up\n"
	     "exec-error main 2 > gone exec:2 bad | down\n"
	     "start\n"
	     "spawn-failed main > timer off, failed resources bad | down\n");
	assert_int_equal(service.incarnation, 3);
}

static void test_exec(void **state)
{
	(void)state;
	begin(SERVICE_EXEC);
	play("start > run ExecStart[0], timer 90 | start\n"
	     "exec-failed main > | start\n"
	     "exec-error main 2 > timer off, failed exec:2 bad | down\n"
	     "start\n"
	     "spawned main > timer off, started | up\n"
	     "exit main 0 > gone exit:0 | down\n");
}

static void test_notify(void **state)
{
	(void)state;
	begin(SERVICE_NOTIFY);
	play("start > run ExecStart[0], timer 90 | start\n"
	     "spawned main > | start\n"
	     "ready > timer off, started | up\n"
	     "ready > | up\n"
	     "signal main 11 > gone signal:11 bad | down\n"
	     "start\n"
	     "spawned main\n"
	     "exit main 0 > timer off, failed exit:0 | down\n"
	     "start\n"
	     "spawned main\n"
	     "timeout > TERM group, timer 30 | stop-sigterm\n"
	     "timeout > KILL group, timer 10 | stop-sigkill\n"
	     "signal main 9 > timer off, failed start-timeout bad | down\n");
}

static void test_oneshot(void **state)
{
	(void)state;
	begin(SERVICE_ONESHOT);
	rules.commands[PHASE_START] = 2;
	play("start > run ExecStart[0], timer 90 | start\n"
	     "spawned main > | start\n"
	     "exit main 0 > run ExecStart[1] | start\n"
	     "exit main 0 > timer off, started, gone exit:0 | down\n"
	     "start\n"
	     "exit main 1 > timer off, failed exit:1 bad | down\n");
	rules.ignore_failure[PHASE_START] = 1;
	play("start\n"
	     "exit main 1 > run ExecStart[1] | start\n"
	     "exit main 1 > timer off, failed exit:1 bad | down\n");
	rules.remain_after_exit = true;
	play("start\n"
	     "exit main 0\n"
	     "exit main 0 > timer off, started | up\n"
	     "stop > gone stopped | down\n");
}

/* systemd.service(5): without ExecStart= there must be an ExecStop= and RemainAfterExit=. */
static void test_oneshot_without_start(void **state)
{
	(void)state;
	begin(SERVICE_ONESHOT);
	rules.commands[PHASE_START] = 0;
	rules.commands[PHASE_STOP] = 1;
	rules.remain_after_exit = true;
	play("start > started | up\n"
	     "stop > run ExecStop[0], timer 30 | stop\n"
	     "exit control 0 > timer off, gone stopped | down\n");
}

static void test_forking(void **state)
{
	(void)state;
	begin(SERVICE_FORKING);
	play("start > run ExecStart[0], timer 90 | start\n"
	     "spawned main > | start\n"
	     "exit main 0 > find-main | start\n"
	     "found yes > timer off, started | up\n"
	     "exit main 1 > gone exit:1 bad | down\n"
	     "start\n"
	     "exit main 1 > timer off, failed exit:1 bad | down\n"
	     "start\n"
	     "exit main 0\n"
	     "found no > timer off, failed protocol bad | down\n"
	     "start\n"
	     "exit main 0\n"
	     "stop > timer off, gone stopped | down\n"
	     "found yes > | down\n");
}

static void test_reload_by_signal(void **state)
{
	(void)state;
	begin(SERVICE_NOTIFY_RELOAD);
	rules.reload_by_signal = true;
	play("start\n"
	     "spawned main\n"
	     "ready\n"
	     "reload > HUP main, timer 90 | reload\n"
	     "reload > refused | reload\n"
	     "ready > | reload\n" /* it was said before the signal came */
	     "reloading old > | reload\n"
	     "ready > | reload\n"
	     "reloading > | reload\n"
	     "ready > timer off, reloaded | up\n"
	     "reload\n"
	     "reloading mute > | reload\n"
	     "ready > timer off, reloaded | up\n"
	     "reload\n"
	     "timeout > timer off, reload-failed | up\n"
	     "reload\n"
	     "exit main 1 > timer off, reload-failed, gone exit:1 bad | down\n");
}

/* systemd.service(5), Type=notify-reload: the signal, and ExecReload= besides. */
static void test_reload_by_signal_and_command(void **state)
{
	(void)state;
	begin(SERVICE_NOTIFY_RELOAD);
	rules.reload_by_signal = true;
	rules.commands[PHASE_RELOAD] = 1;
	play("start\n"
	     "ready\n"
	     "reload > HUP main, run ExecReload[0], timer 90 | reload\n"
	     "exit control 0 > | reload\n"
	     "reloading > | reload\n"
	     "ready > timer off, reloaded | up\n"
	     "reload\n"
	     "reloading\n"
	     "ready > | reload\n"
	     "exit control 0 > timer off, reloaded | up\n"
	     "reload\n"
	     "exit control 1 > timer off, reload-failed | up\n");
}

static void test_reload_by_itself(void **state)
{
	(void)state;
	begin(SERVICE_NOTIFY);
	play("start\n"
	     "spawned main\n"
	     "ready\n"
	     "reloading > timer 90 | reload\n"
	     "reloading > | reload\n"
	     "extend 100 > timer 100 | reload\n"
	     "ready > timer off, reloaded | up\n"
	     "reloading\n"
	     "timeout > timer off, reload-failed | up\n");
}

static void test_stopping_by_itself(void **state)
{
	(void)state;
	begin(SERVICE_NOTIFY);
	rules.commands[PHASE_STOP] = rules.commands[PHASE_STOP_POST] = 1;
	play("start\n"
	     "spawned main\n"
	     "stopping > | start\n"
	     "ready\n"
	     "stopping > timer 30 | stop-sigterm\n"
	     "extend 40 > timer 40 | stop-sigterm\n"
	     "exit main 3 > run ExecStopPost[0], timer 30 | stop-post\n"
	     "exit control 0 > timer off, gone exit:3 bad | down\n"
	     "start\n"
	     "ready\n"
	     "stopping\n"
	     "timeout > KILL group, timer 10 | stop-sigkill\n"
	     "signal main 9\n"
	     "exit control 0 > timer off, gone signal:9 bad | down\n");
}

/* --- commands around the main process --- */

static void test_condition(void **state)
{
	(void)state;
	begin(SERVICE_EXEC);
	rules.commands[PHASE_CONDITION] = 2;
	rules.commands[PHASE_STOP_POST] = 1;
	play("start > run ExecCondition[0], timer 90 | condition\n"
	     "exit control 0 > run ExecCondition[1] | condition\n"
	     "exit control 0 > run ExecStart[0] | start\n"
	     "stop brutal\n"
	     "signal main 9\n"
	     "exit control 0\n"
	     "start\n"
	     "exit control 1 > timer off, ignored | down\n"
	     "start\n"
	     "exit control 0\n"
	     "exit control 254 > timer off, ignored | down\n"
	     "start\n"
	     "exit control 255 > run ExecStopPost[0], timer 30 | stop-post\n"
	     "exit control 0 > timer off, failed exit:255 bad | down\n"
	     "start\n"
	     "signal control 11 > run ExecStopPost[0], timer 30 | stop-post\n"
	     "exit control 0 > timer off, failed signal:11 bad | down\n"
	     "start\n"
	     "timeout > TERM control, timer 30 | stop-sigterm\n");
}

static void test_all_commands(void **state)
{
	(void)state;
	begin(SERVICE_EXEC);
	for (uint32_t phase = 0; phase < PHASE_CONDITION; phase++) {
		rules.commands[phase] = phase == PHASE_START ? 1 : 2;
	}
	play("start > run ExecStartPre[0], timer 90 | start-pre\n"
	     "spawned control > | start-pre\n"
	     "exit control 0 > run ExecStartPre[1] | start-pre\n"
	     "exit control 0 > run ExecStart[0] | start\n"
	     "spawned main > run ExecStartPost[0] | start-post\n"
	     "exit control 0 > run ExecStartPost[1] | start-post\n"
	     "exit control 0 > timer off, started | up\n"
	     "reload > run ExecReload[0], timer 90 | reload\n"
	     "exit control 0 > run ExecReload[1] | reload\n"
	     "exit control 0 > timer off, reloaded | up\n"
	     "stop > run ExecStop[0], timer 30 | stop\n"
	     "exit control 0 > run ExecStop[1] | stop\n"
	     "exit control 0 > TERM group | stop-sigterm\n"
	     "signal main 15 > run ExecStopPost[0] | stop-post\n"
	     "exit control 0 > run ExecStopPost[1] | stop-post\n"
	     "exit control 0 > timer off, gone stopped | down\n");
}

static void test_commands_that_fail(void **state)
{
	(void)state;
	begin(SERVICE_EXEC);
	rules.commands[PHASE_START_PRE] = rules.commands[PHASE_START_POST] = 1;
	rules.commands[PHASE_STOP] = rules.commands[PHASE_STOP_POST] = 1;
	rules.commands[PHASE_RELOAD] = 1;
	play("start\n"
	     "exit control 1 > run ExecStopPost[0], timer 30 | stop-post\n"
	     "exit control 0 > timer off, failed exit:1 bad | down\n"
	     "start\n"
	     "exit control 0\n"
	     "spawned main\n"
	     "exit control 1 > TERM group, timer 30 | stop-sigterm\n"
	     "signal main 15 > run ExecStopPost[0] | stop-post\n"
	     "exit control 1 > timer off, failed exit:1 bad | down\n"
	     "start\n"
	     "exit control 0\n"
	     "spawned main\n"
	     "exit control 0 > timer off, started | up\n"
	     "reload\n"
	     "exit control 1 > timer off, reload-failed | up\n"
	     "exit main 7 > run ExecStop[0], timer 30 | stop\n"
	     "exit control 1 > run ExecStopPost[0] | stop-post\n"
	     "exit control 0 > timer off, gone exit:7 bad | down\n");
	rules.ignore_failure[PHASE_START_PRE] = 1;
	play("start\n"
	     "exit control 1 > run ExecStart[0] | start\n");
}

static void test_commands_that_hang(void **state)
{
	(void)state;
	begin(SERVICE_EXEC);
	rules.commands[PHASE_STOP] = rules.commands[PHASE_STOP_POST] = 1;
	rules.commands[PHASE_RELOAD] = 1;
	play("start\n"
	     "spawned main\n"
	     "reload > run ExecReload[0], timer 90 | reload\n"
	     "timeout > KILL control, timer off | reload\n"
	     "signal control 9 > reload-failed | up\n"
	     "reload\n"
	     "timeout > KILL control, timer off | reload\n"
	     "spawned control > KILL control | reload\n"
	     "signal control 9 > reload-failed | up\n"
	     "stop > run ExecStop[0], timer 30 | stop\n"
	     "timeout > TERM group, TERM control, timer 30 | stop-sigterm\n"
	     "signal control 15 > | stop-sigterm\n"
	     "timeout > KILL group, timer 10 | stop-sigkill\n"
	     "timeout > KILL group, timer off | stop-sigkill\n");
	assert_true(service.stuck);
	play("signal main 9 > run ExecStopPost[0], timer 30 | stop-post\n"
	     "timeout > KILL control, timer 10 | stop-post-sigkill\n"
	     "spawned control > KILL control | stop-post-sigkill\n"
	     "timeout > KILL control, timer off | stop-post-sigkill\n");
	assert_true(service.stuck);
	play("signal control 9 > gone stopped | down\n");
	assert_false(service.stuck);
}

/* --- stopping --- */

static void test_stop_limits(void **state)
{
	static const struct {
		const char *how, *out;
	} cases[] = {
		{"stop", "TERM group, timer 30 | stop-sigterm"},
		{"stop 5", "TERM group, timer 5 | stop-sigterm"},
		{"stop for-ever", "TERM group | stop-sigterm"},
		{"stop brutal", "KILL group, timer 10 | stop-sigkill"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char line[128];
		begin(SERVICE_EXEC);
		play("start\nspawned main\n");
		snprintf(line, sizeof(line), "%s > %s\n", cases[i].how, cases[i].out);
		play(line);
	}
}

static void test_stop_harsher_never_milder(void **state)
{
	(void)state;
	begin(SERVICE_EXEC);
	play("start\n"
	     "spawned main\n"
	     "stop 20 > TERM group, timer 20 | stop-sigterm\n"
	     "stop for-ever > | stop-sigterm\n"
	     "stop > | stop-sigterm\n"
	     "stop 5 > timer 5 | stop-sigterm\n"
	     "stop brutal > KILL group, timer 10 | stop-sigkill\n"
	     "stop 5 > | stop-sigkill\n"
	     "stop brutal > | stop-sigkill\n"
	     "signal main 9 > timer off, gone stopped | down\n");
}

static void test_stop_breaks_off_a_start(void **state)
{
	(void)state;
	begin(SERVICE_NOTIFY);
	rules.commands[PHASE_START_PRE] = rules.commands[PHASE_STOP] = 1;
	/* ExecStop= is for services that were started. */
	play("start\n"
	     "spawned control\n"
	     "stop > TERM control, timer 30 | stop-sigterm\n"
	     "signal control 15 > timer off, gone stopped | down\n"
	     "start\n"
	     "exit control 0\n"
	     "stop > TERM group, timer 30 | stop-sigterm\n"
	     "spawned main > TERM group | stop-sigterm\n"
	     "ready > | stop-sigterm\n"
	     "signal main 15 > timer off, gone stopped | down\n");
}

/* The process comes to be after the signals were ordered. */
static void test_late_spawn(void **state)
{
	(void)state;
	begin(SERVICE_EXEC);
	play("start\n"
	     "stop brutal > KILL group, timer 10 | stop-sigkill\n"
	     "spawned main > KILL group | stop-sigkill\n"
	     "signal main 9 > timer off, gone stopped | down\n"
	     "start\n"
	     "stop > TERM group, timer 30 | stop-sigterm\n"
	     "skipped > timer off, gone stopped | down\n"
	     "start\n"
	     "timeout > TERM group, timer 30 | stop-sigterm\n"
	     "skipped > timer off, failed start-timeout bad | down\n"
	     "skipped > | down\n");
}

static void test_kill_modes(void **state)
{
	static const struct {
		enum service_kill_mode mode;
		const char *script;
	} cases[] = {
		{KILL_CONTROL_GROUP, "stop > TERM group, timer 30 | stop-sigterm\n"
				     "timeout > KILL group, timer 10 | stop-sigkill\n"},
		{KILL_MIXED, "stop > TERM main, timer 30 | stop-sigterm\n"
			     "timeout > KILL group, timer 10 | stop-sigkill\n"},
		{KILL_PROCESS, "stop > TERM main, timer 30 | stop-sigterm\n"
			       "timeout > KILL main, timer 10 | stop-sigkill\n"},
		{KILL_NONE, "stop > forget, gone stopped | down\n"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		begin(SERVICE_EXEC);
		rules.kill_mode = (uint8_t)cases[i].mode;
		play("start\nspawned main\n");
		play(cases[i].script);
	}
}

static void test_signals_of_a_stop(void **state)
{
	(void)state;
	begin(SERVICE_EXEC);
	rules.kill_signal = 2;
	rules.send_sighup = true;
	rules.send_sigkill = false;
	play("start\n"
	     "spawned main\n"
	     "stop > INT group, HUP main, timer 30 | stop-sigterm\n"
	     "timeout > forget, timer off, gone stopped | down\n");
}

static void test_signal_before_a_restart(void **state)
{
	(void)state;
	begin(SERVICE_EXEC);
	rules.restart_kill_signal = 12;
	play("start\nspawned main\n");
	service.to_restart = true;
	play("stop > USR2 group, timer 30 | stop-sigterm\n"
	     "spawned main > USR2 group | stop-sigterm\n"
	     "signal main 12 > timer off, gone stopped | down\n"
	     "start\n"
	     "spawned main\n"
	     "stop > TERM group, timer 30 | stop-sigterm\n");
}

/* TimeoutStartFailureMode=, TimeoutStopFailureMode=. */
static void test_failure_modes(void **state)
{
	static const struct {
		enum service_failure_mode mode;
		const char *start, *stop, *term;
	} cases[] = {
		{FAILURE_TERMINATE, "timeout > TERM group, timer 30 | stop-sigterm\n",
			"timeout > TERM group, TERM control, timer 30 | stop-sigterm\n",
			"timeout > KILL group, timer 10 | stop-sigkill\n"},
		{FAILURE_ABORT,
			"timeout > ABRT group, timer 7 | stop-watchdog\n"
			"timeout > KILL group, timer 10 | stop-sigkill\n",
			"timeout > ABRT group, ABRT control, timer 7 | stop-watchdog\n",
			"timeout > ABRT group, timer 7 | stop-watchdog\n"
			"timeout > KILL group, timer 10 | stop-sigkill\n"},
		{FAILURE_KILL, "timeout > KILL group, timer 10 | stop-sigkill\n",
			"timeout > KILL group, KILL control, timer 10 | stop-sigkill\n",
			"timeout > KILL group, timer 10 | stop-sigkill\n"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		begin(SERVICE_NOTIFY);
		rules.start_failure = rules.stop_failure = (uint8_t)cases[i].mode;
		rules.abort_timeout_ns = 7 * SEC;
		play("start\nspawned main\n");
		play(cases[i].start);
		play("signal main 9 > timer off, failed start-timeout bad | down\n");
		play("start\nspawned main\nready\nstop\n");
		play(cases[i].term);
		play("signal main 9 > timer off, gone stopped | down\n");
		rules.commands[PHASE_STOP] = 1;
		play("start\nspawned main\nready\nstop\n");
		play(cases[i].stop);
	}
}

/* ExitType=cgroup: the service ends with its last process. */
static void test_exit_when_empty(void **state)
{
	(void)state;
	begin(SERVICE_EXEC);
	rules.exit_when_empty = true;
	rules.watchdog_ns = 5 * SEC;
	play("start\n"
	     "spawned main > watch 5, timer off, started | up\n"
	     "exit main 3 > find-main, watch off | up\n"
	     "found yes > watch 5 | up\n"
	     "stop > TERM group, watch off, timer 30 | stop-sigterm\n"
	     "signal main 15 > timer off, gone stopped | down\n"
	     "start\n"
	     "spawned main\n"
	     "exit main 0 > find-main, watch off | up\n"
	     "found no > gone exit:0 | down\n"
	     "start\n"
	     "spawned main\n"
	     "exit main 3\n"
	     "stop > gone stopped | down\n"
	     "found yes > | down\n");
}

/* --- time --- */

static void test_watchdog(void **state)
{
	(void)state;
	begin(SERVICE_NOTIFY);
	rules.watchdog_ns = 20 * SEC;
	rules.commands[PHASE_START_POST] = 1;
	play("start > run ExecStart[0], timer 90 | start\n"
	     "spawned main > | start\n"
	     "ready > run ExecStartPost[0], watch 20 | start-post\n"
	     "exit control 0 > timer off, started | up\n"
	     "watchdog 5 > watch 5 | up\n"
	     "watchdog 5 > | up\n"
	     "watchdog 0 > watch off | up\n"
	     "watchdog 9 > watch 9 | up\n"
	     "fail watchdog > ABRT group, watch off, timer 30 | stop-watchdog\n"
	     "signal main 6 > timer off, gone watchdog bad | down\n"
	     "start\n"
	     "ready > run ExecStartPost[0], watch 20 | start-post\n" /* the unit's own again */
	     "exit control 0\n"
	     "stop > TERM group, watch off, timer 30 | stop-sigterm\n"
	     "watchdog 3 > | stop-sigterm\n");
	begin(SERVICE_EXEC);
	rules.watchdog_signal = 12;
	rules.abort_timeout_ns = 3 * SEC;
	play("start\n"
	     "spawned main\n"
	     "watchdog 3 > watch 3 | up\n"
	     "fail watchdog > USR2 group, watch off, timer 3 | stop-watchdog\n"
	     "extend 5 > timer 5 | stop-watchdog\n"
	     "timeout > KILL group, timer 10 | stop-sigkill\n");
}

static void test_extend(void **state)
{
	(void)state;
	begin(SERVICE_NOTIFY);
	play("start\n"
	     "spawned main\n"
	     "wait 80\n"
	     "extend 5 > | start\n"
	     "extend 60 > timer 60 | start\n"
	     "wait 59\n"
	     "early > | start\n"
	     "ready > timer off, started | up\n"
	     "extend 60 > | up\n"
	     "stop 5\n"
	     "extend 20 > timer 20 | stop-sigterm\n");
	begin(SERVICE_NOTIFY);
	rules.runtime_max_ns = 100 * SEC;
	rules.commands[PHASE_RELOAD] = 1;
	play("start\n"
	     "ready > timer 100, started | up\n"
	     "extend 200 > timer 200 | up\n"
	     "reload\n"
	     "extend 95 > timer 95 | reload\n"
	     "exit control 0 > timer 200, reloaded | up\n");
	begin(SERVICE_NOTIFY);
	rules.start_timeout_ns = SPAN_INFINITY;
	play("start > run ExecStart[0] | start\n"
	     "extend 60 > | start\n");
}

static void test_runtime_max(void **state)
{
	(void)state;
	begin(SERVICE_EXEC);
	rules.runtime_max_ns = 100 * SEC;
	rules.commands[PHASE_RELOAD] = 1;
	play("start\n"
	     "spawned main > timer 100, started | up\n"
	     "wait 40\n"
	     "reload > run ExecReload[0], timer 90 | reload\n"
	     "wait 10\n"
	     "exit control 0 > timer 50, reloaded | up\n"
	     "reload\n"
	     "wait 80\n"
	     "exit control 0 > timer 0, reloaded | up\n"
	     "timeout > TERM group, timer 30 | stop-sigterm\n"
	     "signal main 15 > timer off, gone runtime-max bad | down\n");
	rules.commands[PHASE_STOP] = 1;
	service.runtime_extra_ns = 7 * SEC;
	play("start\n"
	     "spawned main > timer 107, started | up\n"
	     "timeout > run ExecStop[0], timer 30 | stop\n");
}

static void test_fail_from_outside(void **state)
{
	(void)state;
	begin(SERVICE_EXEC);
	play("fail watchdog > | down\n"
	     "start\n"
	     "fail oom > TERM group, timer 30 | stop-sigterm\n"
	     "fail watchdog > | stop-sigterm\n"
	     "exit main 0 > timer off, failed oom bad | down\n"
	     "start\n"
	     "spawned main\n"
	     "fail watchdog > ABRT group, timer 30 | stop-watchdog\n"
	     "stop brutal > KILL group, timer 10 | stop-sigkill\n"
	     "signal main 9 > timer off, gone watchdog bad | down\n");
}

/* --- ends --- */

static void test_normal_ends(void **state)
{
	static const struct {
		uint8_t reason;
		int number;
		bool normal;
	} cases[] = {
		{REASON_EXIT, 0, true},
		{REASON_EXIT, 1, false},
		{REASON_EXIT, 75, true}, /* SuccessExitStatus= below */
		{REASON_EXIT, 255, false},
		{REASON_SIGNAL, 1, true},
		{REASON_SIGNAL, 2, true},
		{REASON_SIGNAL, 13, true},
		{REASON_SIGNAL, 15, true},
		{REASON_SIGNAL, 9, false}, /* never, whatever SuccessExitStatus= says */
		{REASON_SIGNAL, 11, false},
		{REASON_SIGNAL, 10, true},
		{REASON_STOPPED, 0, true},
		{REASON_GAVE_UP, 0, true},
		{REASON_AUTO_SHUTDOWN, 0, true},
		{REASON_EXEC, 2, false},
		{REASON_START_TIMEOUT, 0, false},
		{REASON_OOM, 0, false},
		{REASON_WATCHDOG, 0, false},
		{REASON_HEALTH, 0, false},
		{REASON_PROTOCOL, 0, false},
		{REASON_RESOURCES, 0, false},
		{REASON_LOST, 0, false},
		{REASON_CHILD_FAILED, 0, false},
		{REASON_RUNTIME_MAX, 0, false},
		{REASON_START_LIMIT, 0, false},
		{REASON_NONE, 0, false},
	};

	(void)state;
	begin(SERVICE_EXEC);
	rules.success.statuses[75 / 32] = 1U << (75 % 32);
	rules.success.signals = UINT64_C(1) << 10 | UINT64_C(1) << 9;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct service_end end = {
			.reason = cases[i].reason, .number = cases[i].number, .normal = false};
		assert_int_equal(service_end_normal(&rules, &end), cases[i].normal);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_simple),
		cmocka_unit_test(test_exec),
		cmocka_unit_test(test_notify),
		cmocka_unit_test(test_oneshot),
		cmocka_unit_test(test_oneshot_without_start),
		cmocka_unit_test(test_forking),
		cmocka_unit_test(test_reload_by_signal),
		cmocka_unit_test(test_reload_by_signal_and_command),
		cmocka_unit_test(test_reload_by_itself),
		cmocka_unit_test(test_stopping_by_itself),
		cmocka_unit_test(test_condition),
		cmocka_unit_test(test_all_commands),
		cmocka_unit_test(test_commands_that_fail),
		cmocka_unit_test(test_commands_that_hang),
		cmocka_unit_test(test_stop_limits),
		cmocka_unit_test(test_stop_harsher_never_milder),
		cmocka_unit_test(test_stop_breaks_off_a_start),
		cmocka_unit_test(test_late_spawn),
		cmocka_unit_test(test_kill_modes),
		cmocka_unit_test(test_signals_of_a_stop),
		cmocka_unit_test(test_signal_before_a_restart),
		cmocka_unit_test(test_failure_modes),
		cmocka_unit_test(test_exit_when_empty),
		cmocka_unit_test(test_watchdog),
		cmocka_unit_test(test_extend),
		cmocka_unit_test(test_runtime_max),
		cmocka_unit_test(test_fail_from_outside),
		cmocka_unit_test(test_normal_ends),
	};

	return cmocka_run_group_tests_name("service", tests, NULL, NULL);
}
