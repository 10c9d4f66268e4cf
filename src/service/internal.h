/*
 * Inside the service machine: one call, and the steps that its files share. Included by
 * src/service/ only.
 */
#ifndef SERVICE_INTERNAL_H
#define SERVICE_INTERNAL_H

#include "service/service.h"

/* What a reload waits for: the RELOADING=1 that answers its signal, then the READY=1. */
#define RELOAD_BEGIN 1
#define RELOAD_READY 2

/* One call: what every step needs. */
struct step {
	struct service *s;
	const struct service_rules *r;
	uint64_t now, deadline_before;
	struct service_out *out;
};

static inline bool service_all_gone(const struct service *s)
{
	return !s->main_alive && !s->control_alive;
}

/* service.c. step_finish() orders what came of the call once: the timer, the watchdog, checks. */
struct step step_begin(
	struct service *s, const struct service_rules *r, uint64_t now, struct service_out *out);
void step_finish(struct step *t);
struct service_order *step_order(struct step *t, enum service_order_kind kind);
void step_report(struct step *t, enum service_report what);
void step_set_state(struct step *t, enum service_state state);
void step_set_limit(struct step *t, uint64_t span_ns);
void step_spawn(struct step *t, enum service_role role, enum service_phase phase, uint8_t index);
/* Spawns the next command of the phase under way; false when that was the last. */
bool step_spawn_next(struct step *t, enum service_role role);
void step_send(struct step *t, enum service_target target, uint8_t signo);
void step_find_main(struct step *t);
bool service_in_start(const struct service *s);

/* start.c */
void start_enter_condition(struct step *t);
void start_enter_pre(struct step *t);
void start_enter(struct step *t);
void start_enter_post(struct step *t);
void start_enter_warm(struct step *t); /* … or UP, when there are no health checks */
void start_enter_up(struct step *t);
void start_limit_runtime(struct step *t);
void start_skip(struct step *t); /* a condition does not hold; nothing runs */

/* stop.c */
void stop_enter(struct step *t);
void stop_enter_term(struct step *t);
void stop_enter_abort(struct step *t);
void stop_enter_kill(struct step *t);
void stop_enter_post(struct step *t);
void stop_enter_post_kill(struct step *t);
void stop_finish(struct step *t);
void stop_send_final(struct step *t);
/* A stop came while a spawn was on its way: the process has not seen the signal. */
void stop_signal_late(struct step *t);
/* The service must go down for a reason of its own, in a start or in UP: asked by its stop signal,
 * or in the way of TimeoutStartFailureMode= and its like. */
void stop_fail(struct step *t, const struct service_end *end);
void stop_fail_by(struct step *t, const struct service_end *end, enum service_failure_mode how);
/* The limit of a step of the stop is over. */
void stop_timed_out(struct step *t);

/* exit.c */
void exit_of_control(struct step *t, const struct service_end *end);
void exit_of_main(struct step *t, const struct service_end *end);
void exit_reload_over(struct step *t, bool ok);

/* health.c */
void health_begin(struct step *t);

#endif
