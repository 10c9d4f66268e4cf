/*
 * Scripts for the service machine: what is done to it, and what leaves it.
 *
 * A line of a script is an input and, after ">", everything that came out: "run ExecStart[0]"
 * (a process), "TERM main" (a signal), "timer 90" (seconds from now; "timer off"), "find-main",
 * "forget", the reports "started", "failed exit:1", "gone exit:0", "ignored", "reloaded",
 * "reload-failed", and the state after it.
 */
#ifndef UNIT_SERVICE_SCRIPT_H
#define UNIT_SERVICE_SCRIPT_H

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

/* --- saying what came out --- */

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
		[1] = "HUP", [2] = "INT", [6] = "ABRT", [9] = "KILL", [12] = "USR2", [15] = "TERM"};

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
	case SERVICE_DO_WATCH:
		if (order->deadline_ns == 0) {
			say("watch off");
		} else {
			say("watch %g", (double)order->deadline_ns / 1e9);
		}
		break;
	case SERVICE_DO_PROBE: say(order->on ? "probe" : "probe off"); break;
	}
}

static void say_report(uint8_t report, bool reload_ok)
{
	static const char *const names[] = {[SERVICE_STARTED] = "started",
		[SERVICE_START_FAILED] = "failed",
		[SERVICE_IGNORED] = "ignored",
		[SERVICE_GONE] = "gone",
		[SERVICE_WARMING] = "warming",
		[SERVICE_HEALTHY] = "healthy",
		[SERVICE_UNHEALTHY] = "unhealthy"};
	const struct service_end *end = &service.end;

	if (report == SERVICE_RELOADED) {
		say(reload_ok ? "reloaded" : "reload-failed");
	} else if (report != SERVICE_START_FAILED && report != SERVICE_GONE) {
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

/* --- doing --- */

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
	} else if (strcmp(verb, "reloading") == 0) {
		/* "reloading": its clock says now; "old": before; "mute": it does not say */
		uint64_t since = word[0] == 'o' ? now - SEC : word[0] == 'm' ? 0 : now;
		service_reloading(&service, &rules, since, now, out);
	} else if (strcmp(verb, "stopping") == 0) {
		service_stopping(&service, &rules, now, out);
	} else if (strcmp(verb, "watchdog") == 0) {
		service_watchdog(&service, &rules, strtoull(word, NULL, 10) * SEC, now, out);
	} else if (strcmp(verb, "good") == 0 || strcmp(verb, "bad") == 0) {
		service_probed(&service, &rules, verb[0] == 'g', now, out);
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

#endif
