/* What the end of a process means. */
#include "base/span.h"
#include "service/internal.h"

static bool failure_ignored(const struct step *t)
{
	return (t->r->ignore_failure[t->s->phase] >> t->s->index) & 1;
}

/* A command of a start, a reload or a stop succeeded: exit status 0, or the prefix "-". */
static bool command_ok(const struct step *t, const struct service_end *end)
{
	return (end->reason == REASON_EXIT && end->number == 0) || failure_ignored(t);
}

/* systemd.service(5), ExecCondition=: 1 to 254 is a condition that does not hold; 255, a signal and
 * what cannot be executed are failures. */
static bool condition_skips(const struct service_end *end)
{
	return end->reason == REASON_EXIT && end->number >= 1 && end->number <= 254;
}

void exit_reload_over(struct step *t, bool ok)
{
	step_set_state(t, SERVICE_STATE_UP);
	start_limit_runtime(t);
	t->out->reload_ok = ok;
	t->s->reload_failed = false;
	t->s->reload_wait = 0;
	step_report(t, SERVICE_RELOADED);
}

static void condition_exited(struct step *t, const struct service_end *end, bool ok)
{
	if (!ok && condition_skips(end)) {
		start_skip(t);
	} else if (!ok) {
		stop_fail(t, end);
	} else if (!step_spawn_next(t, ROLE_CONTROL)) {
		start_enter_pre(t);
	}
}

static void reload_exited(struct step *t, bool ok)
{
	if (!ok || t->s->reload_failed) {
		exit_reload_over(t, false);
	} else if (!step_spawn_next(t, ROLE_CONTROL) && t->s->reload_wait == 0) {
		exit_reload_over(t, true);
	}
}

void exit_of_control(struct step *t, const struct service_end *end)
{
	bool ok = command_ok(t, end);
	switch ((enum service_state)t->s->state) {
	case SERVICE_STATE_CONDITION: condition_exited(t, end, ok); break;
	case SERVICE_STATE_START_PRE:
		if (!ok) {
			stop_fail(t, end);
		} else if (!step_spawn_next(t, ROLE_CONTROL)) {
			start_enter(t);
		}
		break;
	case SERVICE_STATE_START_POST:
		if (!ok) {
			stop_fail(t, end);
		} else if (!step_spawn_next(t, ROLE_CONTROL)) {
			start_enter_warm(t);
		}
		break;
	case SERVICE_STATE_RELOAD: reload_exited(t, ok); break;
	case SERVICE_STATE_STOP:
		if (!ok || !step_spawn_next(t, ROLE_CONTROL)) {
			stop_enter_term(t);
		}
		break;
	case SERVICE_STATE_TERM:
	case SERVICE_STATE_ABORT:
	case SERVICE_STATE_KILL:
		if (service_all_gone(t->s)) {
			stop_enter_post(t);
		}
		break;
	case SERVICE_STATE_STOP_POST:
		if (!step_spawn_next(t, ROLE_CONTROL)) {
			stop_finish(t);
		}
		break;
	case SERVICE_STATE_POST_KILL: stop_finish(t); break;
	case SERVICE_STATE_DOWN:
	case SERVICE_STATE_START:
	case SERVICE_STATE_WARM:
	case SERVICE_STATE_UP:
	case SERVICE_STATE_COUNT: break;
	}
}

/* The main process ended while its own start command was under way. */
static void main_exited_in_start(struct step *t, const struct service_end *end)
{
	switch ((enum service_type)t->r->type) {
	case SERVICE_ONESHOT:
		if (!end->normal && !failure_ignored(t)) {
			stop_fail(t, end);
		} else if (!step_spawn_next(t, ROLE_MAIN)) {
			start_enter_post(t);
		}
		break;
	case SERVICE_FORKING:
		if (!command_ok(t, end) || t->s->finding) {
			stop_fail(t, end);
		} else {
			/* The parent has done its part; who is the daemon? */
			step_find_main(t);
		}
		break;
	case SERVICE_SIMPLE:
	case SERVICE_EXEC:
	case SERVICE_NOTIFY:
	case SERVICE_NOTIFY_RELOAD:
	case SERVICE_IDLE:
	case SERVICE_DBUS:
	case SERVICE_TYPE_COUNT: stop_fail(t, end); break;
	}
}

static void main_exited_when_up(struct step *t, const struct service_end *end)
{
	t->s->end = *end;
	if (t->r->remain_after_exit && end->normal) {
		return; /* systemd: active (exited) */
	}
	if (t->r->exit_when_empty) {
		step_find_main(t); /* is there another one? */
		return;
	}
	t->s->stop_limit_ns = t->r->stop_timeout_ns;
	t->s->deadline_ns = 0;
	stop_enter(t);
}

void exit_of_main(struct step *t, const struct service_end *end)
{
	switch ((enum service_state)t->s->state) {
	case SERVICE_STATE_START: main_exited_in_start(t, end); break;
	case SERVICE_STATE_WARM:
		if (t->r->remain_after_exit && end->normal) {
			break;
		}
		stop_fail(t, end);
		break;
	case SERVICE_STATE_START_POST: stop_fail(t, end); break;
	case SERVICE_STATE_RELOAD:
		t->s->end = *end;
		t->out->reload_ok = false;
		step_report(t, SERVICE_RELOADED);
		if (t->r->exit_when_empty && !t->s->control_alive) {
			step_set_state(t, SERVICE_STATE_UP);
			start_limit_runtime(t);
			step_find_main(t);
		} else {
			stop_enter_term(t);
		}
		break;
	case SERVICE_STATE_UP: main_exited_when_up(t, end); break;
	case SERVICE_STATE_TERM:
	case SERVICE_STATE_ABORT:
	case SERVICE_STATE_KILL:
		if (t->s->end.reason == REASON_NONE) {
			t->s->end = *end; /* STOPPING=1: it has ended by itself */
		}
		if (service_all_gone(t->s)) {
			stop_enter_post(t);
		}
		break;
	case SERVICE_STATE_STOP:
	case SERVICE_STATE_STOP_POST:
	case SERVICE_STATE_POST_KILL:
	case SERVICE_STATE_CONDITION:
	case SERVICE_STATE_START_PRE:
	case SERVICE_STATE_DOWN:
	case SERVICE_STATE_COUNT: break;
	}
}
