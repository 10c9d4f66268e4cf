/* The way up. */
#include "base/check.h"
#include "base/span.h"
#include "service/internal.h"

void start_enter_condition(struct step *t)
{
	if (t->r->commands[PHASE_CONDITION] == 0) {
		start_enter_pre(t);
		return;
	}
	step_set_state(t, SERVICE_STATE_CONDITION);
	step_spawn(t, ROLE_CONTROL, PHASE_CONDITION, 0);
}

void start_enter_pre(struct step *t)
{
	if (t->r->commands[PHASE_START_PRE] == 0) {
		start_enter(t);
		return;
	}
	step_set_state(t, SERVICE_STATE_START_PRE);
	step_spawn(t, ROLE_CONTROL, PHASE_START_PRE, 0);
}

void start_enter(struct step *t)
{
	step_set_state(t, SERVICE_STATE_START);
	if (t->r->commands[PHASE_START] == 0) {
		/* A oneshot that has only ExecStop=. */
		start_enter_post(t);
		return;
	}
	step_spawn(t, ROLE_MAIN, PHASE_START, 0);
}

void start_enter_post(struct step *t)
{
	step_set_state(t, SERVICE_STATE_START_POST);
	if (t->r->commands[PHASE_START_POST] == 0) {
		start_enter_warm(t);
		return;
	}
	step_spawn(t, ROLE_CONTROL, PHASE_START_POST, 0);
}

/* It runs, and the start is over with its first good health check. The limit of the start goes on,
 * but never ends before the start period. */
void start_enter_warm(struct step *t)
{
	struct service *s = t->s;
	if (!t->r->health.on || (!s->main_alive && !t->r->remain_after_exit)) {
		start_enter_up(t);
		return;
	}
	step_set_state(t, SERVICE_STATE_WARM);
	uint64_t least = span_add(t->now, t->r->health.start_period_ns);
	if (s->deadline_ns != 0 && s->deadline_ns < least) {
		s->deadline_ns = least == SPAN_INFINITY ? 0 : least;
	}
	health_begin(t);
	s->warmed = true;
	step_report(t, SERVICE_WARMING);
}

void start_limit_runtime(struct step *t)
{
	const struct service *s = t->s;
	uint64_t span = span_add(t->r->runtime_max_ns, s->runtime_extra_ns);
	uint64_t deadline = span_add(s->up_since_ns, span);
	if (deadline < s->extended_ns) {
		deadline = s->extended_ns;
	}
	if (deadline < t->now) {
		deadline = t->now; /* it passed during a reload */
	}
	t->s->deadline_ns = deadline == SPAN_INFINITY ? 0 : deadline;
}

void start_enter_up(struct step *t)
{
	step_set_state(t, SERVICE_STATE_UP);
	t->s->starting = false;
	t->s->up_since_ns = t->now;
	start_limit_runtime(t);
	step_report(t, SERVICE_STARTED);
	if (!t->s->main_alive && !t->r->remain_after_exit) {
		/* A oneshot has done its work: it was started, and has ended normally. */
		t->s->end = (struct service_end){.reason = REASON_EXIT, .normal = true};
		stop_enter(t);
	}
}

void start_skip(struct step *t)
{
	CHECK(service_all_gone(t->s));
	step_set_state(t, SERVICE_STATE_DOWN);
	t->s->starting = false;
	t->s->deadline_ns = 0;
	step_report(t, SERVICE_IGNORED);
}
