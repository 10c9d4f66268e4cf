#include "service/service.h"

#include <signal.h>

#include "base/check.h"
#include "base/span.h"
#include "service/internal.h"

/* --- small pieces --- */

struct service_order *step_order(struct step *t, enum service_order_kind kind)
{
	CHECK(t->out->orders_count < SERVICE_ORDERS_MAX);
	struct service_order *order = &t->out->orders[t->out->orders_count++];
	*order = (struct service_order){.kind = (uint8_t)kind};
	return order;
}

void step_report(struct step *t, enum service_report what)
{
	CHECK(t->out->reports_count < SERVICE_REPORTS_MAX);
	t->out->reports[t->out->reports_count++] = (uint8_t)what;
}

void step_set_state(struct step *t, enum service_state state)
{
	CHECK(state < SERVICE_STATE_COUNT);
	t->s->state = (uint8_t)state;
}

void step_set_limit(struct step *t, uint64_t span_ns)
{
	uint64_t deadline = span_add(t->now, span_ns);
	t->s->deadline_ns = deadline == SPAN_INFINITY ? 0 : deadline;
}

void step_spawn(struct step *t, enum service_role role, enum service_phase phase, uint8_t index)
{
	CHECK(index < t->r->commands[phase]);
	struct service_order *order = step_order(t, SERVICE_DO_SPAWN);
	order->role = (uint8_t)role;
	order->phase = (uint8_t)phase;
	order->index = index;
	t->s->phase = (uint8_t)phase;
	t->s->index = index;
	if (role == ROLE_MAIN) {
		CHECK(!t->s->main_alive);
		t->s->main_alive = true;
	} else {
		CHECK(!t->s->control_alive);
		t->s->control_alive = true;
	}
}

void step_send(struct step *t, enum service_target target, uint8_t signo)
{
	struct service_order *order = step_order(t, SERVICE_DO_SIGNAL);
	order->target = (uint8_t)target;
	order->signo = signo;
}

bool step_spawn_next(struct step *t, enum service_role role)
{
	enum service_phase phase = t->s->phase;
	if (t->s->index + 1 >= t->r->commands[phase]) {
		return false;
	}
	step_spawn(t, role, phase, (uint8_t)(t->s->index + 1));
	return true;
}

void step_find_main(struct step *t)
{
	t->s->finding = true;
	step_order(t, SERVICE_DO_FIND_MAIN);
}

bool service_in_start(const struct service *s)
{
	return s->state == SERVICE_STATE_CONDITION || s->state == SERVICE_STATE_START_PRE ||
	       s->state == SERVICE_STATE_START || s->state == SERVICE_STATE_START_POST ||
	       s->state == SERVICE_STATE_WARM;
}

static bool is_up(const struct service *s)
{
	return s->state == SERVICE_STATE_UP || s->state == SERVICE_STATE_RELOAD;
}

struct step step_begin(
	struct service *s, const struct service_rules *r, uint64_t now, struct service_out *out)
{
	return (struct step){
		.s = s, .r = r, .now = now, .deadline_before = s->deadline_ns, .out = out};
}

/* systemd arms the watchdog when the service has said that it is ready, before ExecStartPost=. */
static void watch(struct step *t)
{
	struct service *s = t->s;
	bool on = s->main_alive && (s->state == SERVICE_STATE_START_POST ||
					   s->state == SERVICE_STATE_WARM || is_up(s));
	uint64_t span = on ? s->watchdog_ns : 0;
	if (span != s->watch_ns) {
		s->watch_ns = span;
		step_order(t, SERVICE_DO_WATCH)->deadline_ns = span;
	}
}

static void probe(struct step *t)
{
	struct service *s = t->s;
	bool on = t->r->health.on && (s->state == SERVICE_STATE_WARM || is_up(s)) &&
		  (s->main_alive || s->finding || t->r->remain_after_exit);
	if (on == s->probing) {
		return;
	}
	s->probing = on;
	step_order(t, SERVICE_DO_PROBE)->on = on;
	if (!on) {
		s->health = HEALTH_NONE;
	} else if (s->health == HEALTH_NONE) {
		health_begin(t); /* new rules brought checks to a service that is up */
	}
}

void step_finish(struct step *t)
{
	watch(t);
	probe(t);
	if (t->s->deadline_ns != t->deadline_before) {
		step_order(t, SERVICE_DO_TIMER)->deadline_ns = t->s->deadline_ns;
	}
	service_check(t->s, t->r);
}

/* --- the public steps --- */

void service_start(
	struct service *s, const struct service_rules *r, uint64_t now, struct service_out *out)
{
	struct step t = step_begin(s, r, now, out);
	CHECK(s->state == SERVICE_STATE_DOWN);
	CHECK(service_all_gone(s));
	s->incarnation++;
	s->end = (struct service_end){.reason = REASON_NONE};
	s->starting = true;
	s->stopping = false;
	s->brutal = false;
	s->finding = false;
	s->to_restart = false;
	s->warmed = false;
	s->reload_failed = false;
	s->reload_wait = 0;
	s->health = HEALTH_NONE;
	s->health_failures = 0;
	s->watchdog_ns = r->watchdog_ns == SPAN_INFINITY ? 0 : r->watchdog_ns;
	s->up_since_ns = s->extended_ns = 0;
	s->stop_limit_ns = r->stop_timeout_ns;
	step_set_limit(&t, r->start_timeout_ns);
	start_enter_condition(&t);
	step_finish(&t);
}

/* A stop that is under way already: harsher, never milder. */
static void stop_harsher(struct step *t)
{
	struct service *s = t->s;
	switch ((enum service_state)s->state) {
	case SERVICE_STATE_STOP:
	case SERVICE_STATE_TERM:
	case SERVICE_STATE_ABORT:
		if (s->brutal) {
			stop_enter_kill(t);
		} else if (s->stop_limit_ns != SPAN_INFINITY) {
			uint64_t deadline = span_add(t->now, s->stop_limit_ns);
			if (s->deadline_ns == 0 || deadline < s->deadline_ns) {
				s->deadline_ns = deadline;
			}
		}
		break;
	case SERVICE_STATE_STOP_POST:
		if (s->brutal) {
			stop_enter_post_kill(t);
		}
		break;
	case SERVICE_STATE_KILL:
	case SERVICE_STATE_POST_KILL:
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

void service_stop(struct service *s, const struct service_rules *r, uint64_t limit_ns, uint64_t now,
	struct service_out *out)
{
	struct step t = step_begin(s, r, now, out);
	CHECK(s->state != SERVICE_STATE_DOWN);
	bool fresh = service_in_start(s) || is_up(s);
	s->stopping = true;
	s->brutal = s->brutal || limit_ns == SERVICE_STOP_BRUTAL;
	s->stop_limit_ns = limit_ns == SERVICE_STOP_DEFAULT ? r->stop_timeout_ns : limit_ns;
	if (fresh) {
		s->end = (struct service_end){.reason = REASON_STOPPED, .normal = true};
		s->deadline_ns = 0;
		if (s->state == SERVICE_STATE_RELOAD) {
			out->reload_ok = false;
			step_report(&t, SERVICE_RELOADED);
			stop_enter_term(&t);
		} else {
			stop_enter(&t);
		}
	} else {
		stop_harsher(&t);
	}
	step_finish(&t);
}

/* systemd: a notify-reload service gets its signal, and ExecReload= runs besides. */
bool service_reload(
	struct service *s, const struct service_rules *r, uint64_t now, struct service_out *out)
{
	struct step t = step_begin(s, r, now, out);
	if (s->state != SERVICE_STATE_UP || !s->main_alive) {
		return false;
	}
	if (!r->reload_by_signal && r->commands[PHASE_RELOAD] == 0) {
		return false;
	}
	s->reload_failed = false;
	s->reload_wait = r->reload_by_signal ? RELOAD_BEGIN | RELOAD_READY : 0;
	s->reload_since_ns = now;
	step_set_state(&t, SERVICE_STATE_RELOAD);
	step_set_limit(&t, r->start_timeout_ns);
	if (r->reload_by_signal) {
		step_send(&t, TARGET_MAIN, r->reload_signal);
	}
	if (r->commands[PHASE_RELOAD] > 0) {
		step_spawn(&t, ROLE_CONTROL, PHASE_RELOAD, 0);
	}
	step_finish(&t);
	return true;
}

void service_spawned(struct service *s, const struct service_rules *r, enum service_role role,
	bool exec_ok, uint64_t now, struct service_out *out)
{
	struct step t = step_begin(s, r, now, out);
	stop_signal_late(&t);
	if (role == ROLE_MAIN && s->state == SERVICE_STATE_START && s->main_alive) {
		switch ((enum service_type)r->type) {
		case SERVICE_SIMPLE:
		case SERVICE_IDLE:
		case SERVICE_DBUS: start_enter_post(&t); break;
		case SERVICE_EXEC:
			if (exec_ok) {
				start_enter_post(&t);
			}
			break;
		case SERVICE_NOTIFY:
		case SERVICE_NOTIFY_RELOAD:
		case SERVICE_ONESHOT:
		case SERVICE_FORKING:
		case SERVICE_TYPE_COUNT: break;
		}
	}
	step_finish(&t);
}

void service_exited(struct service *s, const struct service_rules *r, enum service_role role,
	const struct service_end *end, uint64_t now, struct service_out *out)
{
	struct step t = step_begin(s, r, now, out);
	struct service_end known = *end;
	known.normal = service_end_normal(r, end);
	if (role == ROLE_CONTROL && s->control_alive) {
		s->control_alive = false;
		exit_of_control(&t, &known);
	} else if (role == ROLE_MAIN && s->main_alive) {
		s->main_alive = false;
		exit_of_main(&t, &known);
	}
	step_finish(&t);
}

void service_spawn_failed(struct service *s, const struct service_rules *r, enum service_role role,
	const struct service_end *end, uint64_t now, struct service_out *out)
{
	/* No process came to be: to the machine the same as one that ended at once. */
	service_exited(s, r, role, end, now, out);
}

void service_skipped(
	struct service *s, const struct service_rules *r, uint64_t now, struct service_out *out)
{
	struct step t = step_begin(s, r, now, out);
	switch ((enum service_state)s->state) {
	case SERVICE_STATE_CONDITION:
	case SERVICE_STATE_START_PRE:
	case SERVICE_STATE_START:
		s->main_alive = false;
		s->control_alive = false;
		start_skip(&t);
		break;
	case SERVICE_STATE_TERM:
	case SERVICE_STATE_ABORT:
	case SERVICE_STATE_KILL:
		/* A stop or a time-out came before the word that nothing runs. */
		s->main_alive = false;
		s->control_alive = false;
		stop_enter_post(&t);
		break;
	case SERVICE_STATE_DOWN:
	case SERVICE_STATE_START_POST:
	case SERVICE_STATE_WARM:
	case SERVICE_STATE_UP:
	case SERVICE_STATE_RELOAD:
	case SERVICE_STATE_STOP:
	case SERVICE_STATE_STOP_POST:
	case SERVICE_STATE_POST_KILL:
	case SERVICE_STATE_COUNT: break; /* what was to be spawned was given up meanwhile */
	}
	step_finish(&t);
}

void service_ready(
	struct service *s, const struct service_rules *r, uint64_t now, struct service_out *out)
{
	struct step t = step_begin(s, r, now, out);
	bool notifies = r->type == SERVICE_NOTIFY || r->type == SERVICE_NOTIFY_RELOAD;
	if (notifies && s->state == SERVICE_STATE_START && s->main_alive) {
		start_enter_post(&t);
	} else if (s->state == SERVICE_STATE_RELOAD && s->reload_wait == RELOAD_READY) {
		/* One that is not the answer to RELOADING=1 was on its way before. */
		s->reload_wait = 0;
		if (!s->control_alive) {
			exit_reload_over(&t, true);
		}
	}
	step_finish(&t);
}

void service_reloading(struct service *s, const struct service_rules *r, uint64_t since_ns,
	uint64_t now, struct service_out *out)
{
	struct step t = step_begin(s, r, now, out);
	if (s->state == SERVICE_STATE_UP && s->main_alive) {
		s->reload_failed = false;
		s->reload_wait = RELOAD_READY;
		s->reload_since_ns = now;
		step_set_state(&t, SERVICE_STATE_RELOAD);
		step_set_limit(&t, r->start_timeout_ns);
	} else if (s->state == SERVICE_STATE_RELOAD &&
		   (since_ns == 0 || since_ns >= s->reload_since_ns / NS_PER_US * NS_PER_US)) {
		s->reload_wait = RELOAD_READY;
	}
	step_finish(&t);
}

void service_stopping(
	struct service *s, const struct service_rules *r, uint64_t now, struct service_out *out)
{
	struct step t = step_begin(s, r, now, out);
	if ((is_up(s) || s->state == SERVICE_STATE_WARM) && s->main_alive) {
		if (s->state == SERVICE_STATE_RELOAD) {
			out->reload_ok = false;
			step_report(&t, SERVICE_RELOADED);
		}
		/* Nothing is sent; the reason will be that of its end. */
		s->end = (struct service_end){.reason = REASON_NONE};
		s->stop_limit_ns = r->stop_timeout_ns;
		step_set_state(&t, SERVICE_STATE_TERM);
		step_set_limit(&t, s->stop_limit_ns);
	}
	step_finish(&t);
}

void service_main_found(struct service *s, const struct service_rules *r, bool found, uint64_t now,
	struct service_out *out)
{
	struct step t = step_begin(s, r, now, out);
	bool up = is_up(s); /* ExitType=cgroup */
	if (s->finding && (up || s->state == SERVICE_STATE_START)) {
		s->finding = false;
		s->main_alive = found;
		if (!up && found) {
			start_enter_post(&t);
		} else if (!up) {
			stop_fail(&t, &(struct service_end){.reason = REASON_PROTOCOL});
		} else if (!found) {
			s->stop_limit_ns = r->stop_timeout_ns;
			s->deadline_ns = 0;
			stop_enter(&t);
		}
	}
	step_finish(&t);
}

void service_watchdog(struct service *s, const struct service_rules *r, uint64_t span_ns,
	uint64_t now, struct service_out *out)
{
	struct step t = step_begin(s, r, now, out);
	s->watchdog_ns = span_ns == SPAN_INFINITY ? 0 : span_ns;
	step_finish(&t);
}

void service_extend(struct service *s, const struct service_rules *r, uint64_t span_ns,
	uint64_t now, struct service_out *out)
{
	struct step t = step_begin(s, r, now, out);
	/* sd_notify(3): the time is counted from now, and never shortens what is left. */
	uint64_t deadline = span_add(now, span_ns);
	bool limited = s->state != SERVICE_STATE_KILL && s->state != SERVICE_STATE_POST_KILL;
	if (limited && s->deadline_ns != 0 && deadline > s->deadline_ns &&
		deadline != SPAN_INFINITY) {
		s->deadline_ns = deadline;
		if (s->state == SERVICE_STATE_UP) {
			s->extended_ns = deadline;
		}
	}
	step_finish(&t);
}

void service_fail(struct service *s, const struct service_rules *r, const struct service_end *end,
	uint64_t now, struct service_out *out)
{
	struct step t = step_begin(s, r, now, out);
	if (service_in_start(s) || is_up(s)) {
		if (s->state == SERVICE_STATE_RELOAD) {
			out->reload_ok = false;
			step_report(&t, SERVICE_RELOADED);
		}
		stop_fail_by(&t, end,
			end->reason == REASON_WATCHDOG ? FAILURE_ABORT : FAILURE_TERMINATE);
	}
	step_finish(&t);
}

static void timed_out(struct step *t)
{
	struct service *s = t->s;
	if (service_in_start(s)) {
		stop_fail_by(t, &(struct service_end){.reason = REASON_START_TIMEOUT},
			t->r->start_failure);
	} else if (s->state == SERVICE_STATE_UP) {
		s->end = (struct service_end){.reason = REASON_RUNTIME_MAX};
		s->stop_limit_ns = t->r->stop_timeout_ns;
		stop_enter(t);
	} else if (s->state == SERVICE_STATE_RELOAD && s->control_alive) {
		s->reload_failed = true;
		step_send(t, TARGET_CONTROL, SIGKILL);
	} else if (s->state == SERVICE_STATE_RELOAD) {
		exit_reload_over(t, false);
	} else {
		stop_timed_out(t);
	}
}

void service_timeout(
	struct service *s, const struct service_rules *r, uint64_t now, struct service_out *out)
{
	struct step t = step_begin(s, r, now, out);
	if (s->deadline_ns == 0 || now < s->deadline_ns) {
		return;
	}
	s->deadline_ns = 0;
	timed_out(&t);
	step_finish(&t);
}

void service_check(const struct service *s, const struct service_rules *r)
{
	CHECK(s->state < SERVICE_STATE_COUNT);
	CHECK(r->type < SERVICE_TYPE_COUNT);
	if (s->state == SERVICE_STATE_DOWN) {
		CHECK(service_all_gone(s));
		CHECK(s->deadline_ns == 0);
		CHECK(!s->starting);
		CHECK(s->watch_ns == 0 && !s->probing);
	}
	if (is_up(s)) {
		CHECK(!s->starting);
		CHECK(!s->stopping);
	}
	CHECK(s->probing == (s->health != HEALTH_NONE));
	CHECK(s->watch_ns == 0 || s->main_alive);
	if (service_in_start(s)) {
		CHECK(s->starting);
		CHECK(!s->stopping);
		CHECK(s->finding || !service_all_gone(s) ||
			(s->state == SERVICE_STATE_WARM && r->remain_after_exit));
	}
	if (s->state == SERVICE_STATE_KILL || s->state == SERVICE_STATE_TERM ||
		s->state == SERVICE_STATE_ABORT) {
		CHECK(!service_all_gone(s));
	}
	if (s->state == SERVICE_STATE_STOP_POST || s->state == SERVICE_STATE_POST_KILL ||
		s->state == SERVICE_STATE_CONDITION) {
		CHECK(s->control_alive);
	}
}
