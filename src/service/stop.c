/* The way down. */
#include <signal.h>

#include "base/span.h"
#include "service/internal.h"

/* How long SIGKILL may take before the process is called stuck and gets another one. */
#define KILL_PATIENCE_NS (10 * NS_PER_SEC)

void stop_finish(struct step *t)
{
	struct service *s = t->s;
	bool failed = s->starting && !s->stopping;
	step_set_state(t, SERVICE_STATE_DOWN);
	if (s->end.reason == REASON_NONE) {
		s->end = (struct service_end){.reason = REASON_STOPPED, .normal = true};
	}
	s->deadline_ns = 0;
	s->starting = false;
	s->finding = false;
	s->stuck = false;
	step_report(t, failed ? SERVICE_START_FAILED : SERVICE_GONE);
}

void stop_enter(struct step *t)
{
	/* systemd.service(5): ExecStop= only runs for a service that was started successfully. */
	if (t->s->starting || t->s->brutal || t->r->commands[PHASE_STOP] == 0) {
		stop_enter_term(t);
		return;
	}
	t->s->finding = false;
	step_set_state(t, SERVICE_STATE_STOP);
	step_set_limit(t, t->s->stop_limit_ns);
	step_spawn(t, ROLE_CONTROL, PHASE_STOP, 0);
}

/* KillMode=none, or SendSIGKILL=no at the end of the patience: what still runs is left alone. */
static void abandon(struct step *t)
{
	step_order(t, SERVICE_DO_FORGET);
	t->s->main_alive = false;
	t->s->control_alive = false;
	stop_enter_post(t);
}

static void send_to_all(struct step *t, uint8_t signo, bool whole_group)
{
	if (t->s->main_alive || whole_group) {
		step_send(t, whole_group ? TARGET_GROUP : TARGET_MAIN, signo);
	}
	if (t->s->control_alive) {
		step_send(t, TARGET_CONTROL, signo);
	}
}

static void ask(struct step *t, uint8_t signo)
{
	send_to_all(t, signo, t->s->main_alive && t->r->kill_mode == KILL_CONTROL_GROUP);
}

static uint8_t stop_signal(const struct step *t)
{
	bool other = t->s->to_restart && t->r->restart_kill_signal != 0;
	return other ? t->r->restart_kill_signal : t->r->kill_signal;
}

static uint8_t abort_signal(const struct step *t)
{
	return t->r->watchdog_signal != 0 ? t->r->watchdog_signal : SIGABRT;
}

/* What comes before any asking: true when that was all. */
static bool nobody_to_ask(struct step *t)
{
	t->s->finding = false;
	if (service_all_gone(t->s)) {
		stop_enter_post(t);
	} else if (t->s->brutal) {
		stop_enter_kill(t);
	} else if (t->r->kill_mode == KILL_NONE) {
		abandon(t);
	} else {
		return false;
	}
	return true;
}

void stop_enter_term(struct step *t)
{
	if (nobody_to_ask(t)) {
		return;
	}
	step_set_state(t, SERVICE_STATE_TERM);
	ask(t, stop_signal(t));
	if (t->r->send_sighup) {
		step_send(t, TARGET_MAIN, SIGHUP);
	}
	step_set_limit(t, t->s->stop_limit_ns);
}

/* systemd.service(5), WatchdogSignal= and TimeoutAbortSec=: a signal that leaves a core behind, and
 * the time to write it. */
void stop_enter_abort(struct step *t)
{
	if (nobody_to_ask(t)) {
		return;
	}
	step_set_state(t, SERVICE_STATE_ABORT);
	ask(t, abort_signal(t));
	step_set_limit(
		t, t->r->abort_timeout_ns != 0 ? t->r->abort_timeout_ns : t->r->stop_timeout_ns);
}

void stop_send_final(struct step *t)
{
	send_to_all(
		t, t->r->final_kill_signal, t->s->main_alive && t->r->kill_mode != KILL_PROCESS);
}

void stop_enter_kill(struct step *t)
{
	t->s->finding = false;
	if (service_all_gone(t->s)) {
		stop_enter_post(t);
		return;
	}
	if (!t->r->send_sigkill || t->r->kill_mode == KILL_NONE) {
		abandon(t);
		return;
	}
	step_set_state(t, SERVICE_STATE_KILL);
	stop_send_final(t);
	step_set_limit(t, KILL_PATIENCE_NS);
}

void stop_enter_post(struct step *t)
{
	t->s->deadline_ns = 0;
	if (t->r->commands[PHASE_STOP_POST] == 0) {
		stop_finish(t);
		return;
	}
	step_set_state(t, SERVICE_STATE_STOP_POST);
	step_set_limit(t, t->r->stop_timeout_ns);
	step_spawn(t, ROLE_CONTROL, PHASE_STOP_POST, 0);
}

void stop_enter_post_kill(struct step *t)
{
	step_set_state(t, SERVICE_STATE_POST_KILL);
	step_send(t, TARGET_CONTROL, SIGKILL);
	step_set_limit(t, KILL_PATIENCE_NS);
}

void stop_signal_late(struct step *t)
{
	const struct service *s = t->s;
	if (s->state == SERVICE_STATE_TERM) {
		ask(t, stop_signal(t));
	} else if (s->state == SERVICE_STATE_ABORT) {
		ask(t, abort_signal(t));
	} else if (s->state == SERVICE_STATE_KILL) {
		stop_send_final(t);
	} else if (s->state == SERVICE_STATE_POST_KILL ||
		   (s->state == SERVICE_STATE_RELOAD && s->reload_failed)) {
		step_send(t, TARGET_CONTROL, SIGKILL);
	}
}

static void enter_by(struct step *t, enum service_failure_mode how)
{
	switch (how) {
	case FAILURE_TERMINATE: stop_enter_term(t); break;
	case FAILURE_ABORT: stop_enter_abort(t); break;
	case FAILURE_KILL: stop_enter_kill(t); break;
	}
}

void stop_fail_by(struct step *t, const struct service_end *end, enum service_failure_mode how)
{
	t->s->end = *end;
	t->s->stop_limit_ns = t->r->stop_timeout_ns;
	enter_by(t, how);
}

void stop_fail(struct step *t, const struct service_end *end)
{
	stop_fail_by(t, end, FAILURE_TERMINATE);
}

void stop_timed_out(struct step *t)
{
	switch ((enum service_state)t->s->state) {
	case SERVICE_STATE_STOP: enter_by(t, t->r->stop_failure); break;
	case SERVICE_STATE_TERM:
		/* systemd: "kill" has no other meaning here than "terminate". */
		enter_by(t, t->r->stop_failure == FAILURE_ABORT ? FAILURE_ABORT : FAILURE_KILL);
		break;
	case SERVICE_STATE_ABORT: stop_enter_kill(t); break;
	case SERVICE_STATE_KILL:
		t->s->stuck = true;
		stop_send_final(t);
		break;
	case SERVICE_STATE_STOP_POST: stop_enter_post_kill(t); break;
	case SERVICE_STATE_POST_KILL:
		t->s->stuck = true;
		step_send(t, TARGET_CONTROL, SIGKILL);
		break;
	case SERVICE_STATE_DOWN:
	case SERVICE_STATE_CONDITION:
	case SERVICE_STATE_START_PRE:
	case SERVICE_STATE_START:
	case SERVICE_STATE_START_POST:
	case SERVICE_STATE_WARM:
	case SERVICE_STATE_UP:
	case SERVICE_STATE_RELOAD:
	case SERVICE_STATE_COUNT: break;
	}
}
