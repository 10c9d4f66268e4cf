/*
 * The service machine, driven by scripts: what is done to it, and what leaves it.
 *
 * A line of a script is an input and, after ">", everything that came out: "run ExecStart[0]"
 * (a process), "TERM main" (a signal), "timer 90" (seconds from now; "timer off"), "find-main",
 * "forget", the reports "started", "failed exit:1", "gone exit:0", "ignored", "reloaded",
 * "reload-failed", and the state after it.
 */
#include <stdlib.h>
#include <string.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/span.h"
#include "service/service.h"

#define SEC NS_PER_SEC

static struct service service;
static struct service_rules rules;
static uint64_t now;
static char said[512];

/* --- saying what came out ------------------------------------------------------------------------
 */

static void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void say(const char *format, ...)
{
	size_t used = strlen(said);
	va_list args;

	if (used > 0) {
		used += (size_t)snprintf(said + used, sizeof(said) - used, ", ");
	}
	va_start(args, format);
	vsnprintf(said + used, sizeof(said) - used, format, args);
	va_end(args);
}

static void say_order(const struct service_order *order)
{
	static const char *const targets[] = {"main", "control", "group"};
	static const char *const signals[32] = {
		[1] = "HUP", [2] = "INT", [9] = "KILL", [15] = "TERM"};

	switch ((enum service_order_kind)order->kind) {
	case SERVICE_DO_SPAWN:
		assert_int_equal(order->role == ROLE_MAIN, order->phase == PHASE_START);
		say("run %s[%u]", service_phase_names[order->phase], order->index);
		break;
	case SERVICE_DO_SIGNAL: say("%s %s", signals[order->signo], targets[order->target]); break;
	case SERVICE_DO_TIMER:
		if (order->deadline_ns == 0) {
			say("timer off");
		} else {
			say("timer %g", (double)(order->deadline_ns - now) / 1e9);
		}
		break;
	case SERVICE_DO_FIND_MAIN: say("find-main"); break;
	case SERVICE_DO_FORGET: say("forget"); break;
	}
}

static void say_report(uint8_t report, bool reload_ok)
{
	static const char *const names[] = {[SERVICE_STARTED] = "started",
		[SERVICE_START_FAILED] = "failed",
		[SERVICE_IGNORED] = "ignored",
		[SERVICE_GONE] = "gone"};
	const struct service_end *end = &service.end;

	if (report == SERVICE_RELOADED) {
		say(reload_ok ? "reloaded" : "reload-failed");
	} else if (report == SERVICE_STARTED || report == SERVICE_IGNORED) {
		say("%s", names[report]);
	} else if (end->reason == REASON_EXIT || end->reason == REASON_SIGNAL ||
		   end->reason == REASON_EXEC) {
		say("%s %s:%d%s", names[report], service_reason_names[end->reason], end->number,
			end->normal ? "" : " bad");
	} else {
		say("%s %s%s", names[report], service_reason_names[end->reason],
			end->normal ? "" : " bad");
	}
}

/* --- doing
 * --------------------------------------------------------------------------------------------- */

static enum service_role role_of(const char *word)
{
	return strcmp(word, "main") == 0 ? ROLE_MAIN : ROLE_CONTROL;
}

static void do_stop(const char *how, struct service_out *out)
{
	uint64_t limit = SERVICE_STOP_DEFAULT;

	if (strcmp(how, "brutal") == 0) {
		limit = SERVICE_STOP_BRUTAL;
	} else if (strcmp(how, "for-ever") == 0) {
		limit = SPAN_INFINITY;
	} else if (how[0] != '\0') {
		limit = strtoull(how, NULL, 10) * SEC;
	}
	service_stop(&service, &rules, limit, now, out);
}

static void do_end(const char *verb, const char *role, int number, struct service_out *out)
{
	struct service_end end = {.number = number};

	if (strcmp(verb, "exit") == 0) {
		end.reason = REASON_EXIT;
	} else if (strcmp(verb, "exec-error") == 0) {
		end.reason = REASON_EXEC;
	} else {
		end.reason = REASON_SIGNAL;
	}
	service_exited(&service, &rules, role_of(role), &end, now, out);
}

static void do_fail(const char *word, struct service_out *out)
{
	struct service_end end = {
		.reason = strcmp(word, "oom") == 0 ? REASON_OOM : REASON_WATCHDOG};

	service_fail(&service, &rules, &end, now, out);
}

static void do_input(const char *verb, const char *word, int number, struct service_out *out)
{
	struct service_end refused = {.reason = REASON_RESOURCES, .number = 11};

	if (strcmp(verb, "start") == 0) {
		service_start(&service, &rules, now, out);
	} else if (strcmp(verb, "stop") == 0) {
		do_stop(word, out);
	} else if (strcmp(verb, "reload") == 0) {
		if (!service_reload(&service, &rules, now, out)) {
			say("refused");
		}
	} else if (strcmp(verb, "spawned") == 0) {
		service_spawned(&service, &rules, role_of(word), true, now, out);
	} else if (strcmp(verb, "exec-failed") == 0) {
		service_spawned(&service, &rules, role_of(word), false, now, out);
	} else if (strcmp(verb, "spawn-failed") == 0) {
		service_spawn_failed(&service, &rules, role_of(word), &refused, now, out);
	} else if (strcmp(verb, "skipped") == 0) {
		service_skipped(&service, &rules, now, out);
	} else if (strcmp(verb, "ready") == 0) {
		service_ready(&service, &rules, now, out);
	} else if (strcmp(verb, "found") == 0) {
		service_main_found(&service, &rules, strcmp(word, "no") != 0, now, out);
	} else if (strcmp(verb, "extend") == 0) {
		service_extend(&service, &rules, strtoull(word, NULL, 10) * SEC, now, out);
	} else if (strcmp(verb, "fail") == 0) {
		do_fail(word, out);
	} else if (strcmp(verb, "timeout") == 0) {
		now = service.deadline_ns > now ? service.deadline_ns : now;
		service_timeout(&service, &rules, now, out);
	} else if (strcmp(verb, "early") == 0) {
		service_timeout(&service, &rules, now, out);
	} else if (strcmp(verb, "wait") == 0) {
		now += strtoull(word, NULL, 10) * SEC;
	} else {
		do_end(verb, word, number, out);
	}
}

/* "exit main 0" and so on; what came out is in `said`. */
static void feed(const char *input)
{
	struct service_out out = {0};
	char verb[32] = "", word[32] = "";
	int number = 0;

	said[0] = '\0';
	assert_true(sscanf(input, "%31s %31s %d", verb, word, &number) >= 1);
	do_input(verb, word, number, &out);
	for (uint32_t i = 0; i < out.orders_count; i++) {
		say_order(&out.orders[i]);
	}
	for (uint32_t i = 0; i < out.reports_count; i++) {
		say_report(out.reports[i], out.reload_ok);
	}
	service_check(&service, &rules);
}

/* Runs "input > output | state" lines. */
static void play(const char *script)
{
	char text[4096], *rest = text, *line;

	assert_true(strlen(script) < sizeof(text));
	strcpy(text, script);
	while ((line = strtok_r(rest, "\n", &rest)) != NULL) {
		char *output = strstr(line, " > ");
		if (output != NULL) {
			*output = '\0';
			output += 3;
		}
		feed(line);
		if (output != NULL) {
			char whole[600];
			snprintf(whole, sizeof(whole), "%s%s| %s", said, said[0] != '\0' ? " " : "",
				service_state_names[service.state]);
			if (strcmp(whole, output) != 0) {
				print_error("after \"%s\"\n", line);
			}
			assert_string_equal(whole, output);
		}
	}
}

/* A service of that type with one ExecStart=, 90 s to start, 30 s to stop. */
static void begin(enum service_type type)
{
	service = (struct service){0};
	now = 1000 * SEC;
	rules = (struct service_rules){.type = (uint8_t)type,
		.send_sigkill = true,
		.kill_signal = 15,
		.final_kill_signal = 9,
		.reload_signal = 1,
		.commands[PHASE_START] = 1,
		.start_timeout_ns = 90 * SEC,
		.stop_timeout_ns = 30 * SEC,
		.runtime_max_ns = SPAN_INFINITY};
}

/* --- types
 * ------------------------------------------------------------------------------------------------
 */

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
	     "ready > timer off, reloaded | up\n"
	     "reload\n"
	     "timeout > timer off, reload-failed | up\n"
	     "reload\n"
	     "exit main 1 > timer off, reload-failed, gone exit:1 bad | down\n");
}

/* --- commands around the main process
 * ------------------------------------------------------------------- */

static void test_all_commands(void **state)
{
	(void)state;
	begin(SERVICE_EXEC);
	for (uint32_t phase = 0; phase < PHASE_COUNT; phase++) {
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

/* --- stopping
 * --------------------------------------------------------------------------------------------- */

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

/* --- time
 * -------------------------------------------------------------------------------------------------
 */

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
	     "fail watchdog > TERM group, timer 30 | stop-sigterm\n"
	     "stop brutal > KILL group, timer 10 | stop-sigkill\n"
	     "signal main 9 > timer off, gone watchdog bad | down\n");
}

/* --- ends
 * -------------------------------------------------------------------------------------------------
 */

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

/* --- every state and every event
 * -------------------------------------------------------------------------- */

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
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_simple),
		cmocka_unit_test(test_exec),
		cmocka_unit_test(test_notify),
		cmocka_unit_test(test_oneshot),
		cmocka_unit_test(test_oneshot_without_start),
		cmocka_unit_test(test_forking),
		cmocka_unit_test(test_reload_by_signal),
		cmocka_unit_test(test_all_commands),
		cmocka_unit_test(test_commands_that_fail),
		cmocka_unit_test(test_commands_that_hang),
		cmocka_unit_test(test_stop_limits),
		cmocka_unit_test(test_stop_harsher_never_milder),
		cmocka_unit_test(test_stop_breaks_off_a_start),
		cmocka_unit_test(test_late_spawn),
		cmocka_unit_test(test_kill_modes),
		cmocka_unit_test(test_signals_of_a_stop),
		cmocka_unit_test(test_extend),
		cmocka_unit_test(test_runtime_max),
		cmocka_unit_test(test_fail_from_outside),
		cmocka_unit_test(test_normal_ends),
		cmocka_unit_test(test_cells),
	};

	return cmocka_run_group_tests_name("service", tests, NULL, NULL);
}
