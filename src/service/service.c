#include "service/service.h"

#include <signal.h>

#include "base/check.h"
#include "base/span.h"

/* How long SIGKILL may take before the process is called stuck and gets another one. */
#define KILL_PATIENCE_NS (10 * NS_PER_SEC)

/* One call: what every step needs. */
struct step {
	struct service *s;
	const struct service_rules *r;
	uint64_t now;
	struct service_out *out;
};

static void enter_start(struct step *t);
static void enter_start_post(struct step *t);
static void enter_up(struct step *t);
static void enter_stop(struct step *t);
static void enter_term(struct step *t);
static void enter_kill(struct step *t);
static void enter_stop_post(struct step *t);

/* --- small pieces --- */

static struct service_order *order_append(struct step *t, enum service_order_kind kind)
{
	CHECK(t->out->orders_count < SERVICE_ORDERS_MAX);
	struct service_order *order = &t->out->orders[t->out->orders_count++];
	*order = (struct service_order){.kind = (uint8_t)kind};
	return order;
}

static void report(struct step *t, enum service_report what)
{
	CHECK(t->out->reports_count < 2);
	t->out->reports[t->out->reports_count++] = (uint8_t)what;
}

static void set_state(struct step *t, enum service_state state)
{
	CHECK(state < SERVICE_STATE_COUNT);
	t->s->state = (uint8_t)state;
}

static void set_limit(struct step *t, uint64_t span_ns)
{
	uint64_t deadline = span_add(t->now, span_ns);
	t->s->deadline_ns = deadline == SPAN_INFINITY ? 0 : deadline;
}

static void spawn(struct step *t, enum service_role role, enum service_phase phase, uint8_t index)
{
	CHECK(index < t->r->commands[phase]);
	struct service_order *order = order_append(t, SERVICE_DO_SPAWN);
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

static void send(struct step *t, enum service_target target, uint8_t signo)
{
	struct service_order *order = order_append(t, SERVICE_DO_SIGNAL);
	order->target = (uint8_t)target;
	order->signo = signo;
}

/* Spawns the next command of the phase under way; false when that was the last. */
static bool spawn_next(struct step *t, enum service_role role)
{
	enum service_phase phase = t->s->phase;
	if (t->s->index + 1 >= t->r->commands[phase]) {
		return false;
	}
	spawn(t, role, phase, (uint8_t)(t->s->index + 1));
	return true;
}

static bool failure_ignored(const struct step *t)
{
	return (t->r->ignore_failure[t->s->phase] >> t->s->index) & 1;
}

static bool in_start(const struct service *s)
{
	return s->state == SERVICE_STATE_START_PRE || s->state == SERVICE_STATE_START ||
	       s->state == SERVICE_STATE_START_POST;
}

/* The timer order goes out once a call, with what came of it. */
static struct step step_begin(
	struct service *s, const struct service_rules *r, uint64_t now, struct service_out *out)
{
	return (struct step){.s = s, .r = r, .now = now, .out = out};
}

static void step_finish(struct step *t, uint64_t deadline_before)
{
	if (t->s->deadline_ns != deadline_before) {
		order_append(t, SERVICE_DO_TIMER)->deadline_ns = t->s->deadline_ns;
	}
	service_check(t->s, t->r);
}

/* --- going up --- */

static void enter_start_pre(struct step *t)
{
	if (t->r->commands[PHASE_START_PRE] == 0) {
		enter_start(t);
		return;
	}
	set_state(t, SERVICE_STATE_START_PRE);
	spawn(t, ROLE_CONTROL, PHASE_START_PRE, 0);
}

static void enter_start(struct step *t)
{
	set_state(t, SERVICE_STATE_START);
	if (t->r->commands[PHASE_START] == 0) {
		/* A oneshot that has only ExecStop=. */
		enter_start_post(t);
		return;
	}
	spawn(t, ROLE_MAIN, PHASE_START, 0);
}

static void enter_start_post(struct step *t)
{
	set_state(t, SERVICE_STATE_START_POST);
	if (t->r->commands[PHASE_START_POST] == 0) {
		enter_up(t);
		return;
	}
	spawn(t, ROLE_CONTROL, PHASE_START_POST, 0);
}

static void limit_runtime(struct step *t)
{
	uint64_t deadline = span_add(t->s->up_since_ns, t->r->runtime_max_ns);
	if (deadline < t->now) {
		deadline = t->now; /* it passed during a reload */
	}
	t->s->deadline_ns = deadline == SPAN_INFINITY ? 0 : deadline;
}

static void enter_up(struct step *t)
{
	set_state(t, SERVICE_STATE_UP);
	t->s->starting = false;
	t->s->up_since_ns = t->now;
	limit_runtime(t);
	report(t, SERVICE_STARTED);
	if (!t->s->main_alive && !t->r->remain_after_exit) {
		/* A oneshot has done its work: it was started, and has ended normally. */
		t->s->end = (struct service_end){.reason = REASON_EXIT, .normal = true};
		enter_stop(t);
	}
}

/* --- going down --- */

static void finish(struct step *t)
{
	struct service *s = t->s;
	bool failed = s->starting && !s->stopping;
	set_state(t, SERVICE_STATE_DOWN);
	if (s->end.reason == REASON_NONE) {
		s->end = (struct service_end){.reason = REASON_STOPPED, .normal = true};
	}
	s->deadline_ns = 0;
	s->starting = false;
	s->finding = false;
	s->stuck = false;
	report(t, failed ? SERVICE_START_FAILED : SERVICE_GONE);
}

static void enter_stop(struct step *t)
{
	/* systemd.service(5): ExecStop= only runs for a service that was started successfully. */
	if (t->s->starting || t->s->brutal || t->r->commands[PHASE_STOP] == 0) {
		enter_term(t);
		return;
	}
	set_state(t, SERVICE_STATE_STOP);
	set_limit(t, t->s->stop_limit_ns);
	spawn(t, ROLE_CONTROL, PHASE_STOP, 0);
}

/* KillMode=none, or SendSIGKILL=no at the end of the patience: what still runs is left alone. */
static void abandon(struct step *t)
{
	order_append(t, SERVICE_DO_FORGET);
	t->s->main_alive = false;
	t->s->control_alive = false;
	enter_stop_post(t);
}

static void send_to_all(struct step *t, uint8_t signo, bool whole_group)
{
	if (t->s->main_alive || whole_group) {
		send(t, whole_group ? TARGET_GROUP : TARGET_MAIN, signo);
	}
	if (t->s->control_alive) {
		send(t, TARGET_CONTROL, signo);
	}
}

static bool all_gone(const struct service *s)
{
	return !s->main_alive && !s->control_alive;
}

static void enter_term(struct step *t)
{
	t->s->finding = false;
	if (all_gone(t->s)) {
		enter_stop_post(t);
		return;
	}
	if (t->s->brutal) {
		enter_kill(t);
		return;
	}
	if (t->r->kill_mode == KILL_NONE) {
		abandon(t);
		return;
	}
	set_state(t, SERVICE_STATE_TERM);
	send_to_all(
		t, t->r->kill_signal, t->s->main_alive && t->r->kill_mode == KILL_CONTROL_GROUP);
	if (t->r->send_sighup) {
		send(t, TARGET_MAIN, SIGHUP);
	}
	set_limit(t, t->s->stop_limit_ns);
}

static void send_final(struct step *t)
{
	send_to_all(
		t, t->r->final_kill_signal, t->s->main_alive && t->r->kill_mode != KILL_PROCESS);
}

static void enter_kill(struct step *t)
{
	t->s->finding = false;
	if (all_gone(t->s)) {
		enter_stop_post(t);
		return;
	}
	if (!t->r->send_sigkill || t->r->kill_mode == KILL_NONE) {
		abandon(t);
		return;
	}
	set_state(t, SERVICE_STATE_KILL);
	send_final(t);
	set_limit(t, KILL_PATIENCE_NS);
}

static void enter_stop_post(struct step *t)
{
	t->s->deadline_ns = 0;
	if (t->r->commands[PHASE_STOP_POST] == 0) {
		finish(t);
		return;
	}
	set_state(t, SERVICE_STATE_STOP_POST);
	set_limit(t, t->r->stop_timeout_ns);
	spawn(t, ROLE_CONTROL, PHASE_STOP_POST, 0);
}

static void enter_post_kill(struct step *t)
{
	set_state(t, SERVICE_STATE_POST_KILL);
	send(t, TARGET_CONTROL, SIGKILL);
	set_limit(t, KILL_PATIENCE_NS);
}

/* The service must go down for a reason of its own, in a start or in UP. */
static void fail(struct step *t, const struct service_end *end)
{
	t->s->end = *end;
	t->s->stop_limit_ns = t->r->stop_timeout_ns;
	enter_term(t);
}

/* --- ends of processes --- */

/* A command of a start, a reload or a stop succeeded: exit status 0, or the prefix "-". */
static bool command_ok(const struct step *t, const struct service_end *end)
{
	return (end->reason == REASON_EXIT && end->number == 0) || failure_ignored(t);
}

static void reload_over(struct step *t, bool ok)
{
	set_state(t, SERVICE_STATE_UP);
	limit_runtime(t);
	t->out->reload_ok = ok;
	t->s->reload_failed = false;
	report(t, SERVICE_RELOADED);
}

static void control_exited(struct step *t, const struct service_end *end)
{
	bool ok = command_ok(t, end);
	switch ((enum service_state)t->s->state) {
	case SERVICE_STATE_START_PRE:
		if (!ok) {
			fail(t, end);
		} else if (!spawn_next(t, ROLE_CONTROL)) {
			enter_start(t);
		}
		break;
	case SERVICE_STATE_START_POST:
		if (!ok) {
			fail(t, end);
		} else if (!spawn_next(t, ROLE_CONTROL)) {
			enter_up(t);
		}
		break;
	case SERVICE_STATE_RELOAD:
		if (!ok || t->s->reload_failed) {
			reload_over(t, false);
		} else if (!spawn_next(t, ROLE_CONTROL)) {
			reload_over(t, true);
		}
		break;
	case SERVICE_STATE_STOP:
		if (!ok || !spawn_next(t, ROLE_CONTROL)) {
			enter_term(t);
		}
		break;
	case SERVICE_STATE_TERM:
	case SERVICE_STATE_KILL:
		if (all_gone(t->s)) {
			enter_stop_post(t);
		}
		break;
	case SERVICE_STATE_STOP_POST:
		if (!spawn_next(t, ROLE_CONTROL)) {
			finish(t);
		}
		break;
	case SERVICE_STATE_POST_KILL: finish(t); break;
	case SERVICE_STATE_DOWN:
	case SERVICE_STATE_START:
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
			fail(t, end);
		} else if (!spawn_next(t, ROLE_MAIN)) {
			enter_start_post(t);
		}
		break;
	case SERVICE_FORKING:
		if (!command_ok(t, end) || t->s->finding) {
			fail(t, end);
		} else {
			/* The parent has done its part; who is the daemon? */
			t->s->finding = true;
			order_append(t, SERVICE_DO_FIND_MAIN);
		}
		break;
	case SERVICE_SIMPLE:
	case SERVICE_EXEC:
	case SERVICE_NOTIFY:
	case SERVICE_NOTIFY_RELOAD:
	case SERVICE_IDLE:
	case SERVICE_DBUS:
	case SERVICE_TYPE_COUNT: fail(t, end); break;
	}
}

static void main_exited(struct step *t, const struct service_end *end)
{
	switch ((enum service_state)t->s->state) {
	case SERVICE_STATE_START: main_exited_in_start(t, end); break;
	case SERVICE_STATE_START_POST: fail(t, end); break;
	case SERVICE_STATE_RELOAD:
		t->s->end = *end;
		t->out->reload_ok = false;
		report(t, SERVICE_RELOADED);
		enter_term(t);
		break;
	case SERVICE_STATE_UP:
		t->s->end = *end;
		if (t->r->remain_after_exit && end->normal) {
			/* systemd: active (exited). */
			break;
		}
		t->s->stop_limit_ns = t->r->stop_timeout_ns;
		t->s->deadline_ns = 0;
		enter_stop(t);
		break;
	case SERVICE_STATE_TERM:
	case SERVICE_STATE_KILL:
		if (all_gone(t->s)) {
			enter_stop_post(t);
		}
		break;
	case SERVICE_STATE_STOP:
	case SERVICE_STATE_STOP_POST:
	case SERVICE_STATE_POST_KILL:
	case SERVICE_STATE_START_PRE:
	case SERVICE_STATE_DOWN:
	case SERVICE_STATE_COUNT: break;
	}
}

/* --- the public steps --- */

void service_start(
	struct service *s, const struct service_rules *r, uint64_t now, struct service_out *out)
{
	struct step t = step_begin(s, r, now, out);
	uint64_t before = s->deadline_ns;
	CHECK(s->state == SERVICE_STATE_DOWN);
	CHECK(all_gone(s));
	s->incarnation++;
	s->end = (struct service_end){.reason = REASON_NONE};
	s->starting = true;
	s->stopping = false;
	s->brutal = false;
	s->finding = false;
	s->reload_failed = false;
	s->up_since_ns = 0;
	s->stop_limit_ns = r->stop_timeout_ns;
	set_limit(&t, r->start_timeout_ns);
	enter_start_pre(&t);
	step_finish(&t, before);
}

/* A stop that is under way already: harsher, never milder. */
static void stop_harsher(struct step *t)
{
	struct service *s = t->s;
	switch ((enum service_state)s->state) {
	case SERVICE_STATE_STOP:
	case SERVICE_STATE_TERM:
		if (s->brutal) {
			enter_kill(t);
		} else if (s->stop_limit_ns != SPAN_INFINITY) {
			uint64_t deadline = span_add(t->now, s->stop_limit_ns);
			if (s->deadline_ns == 0 || deadline < s->deadline_ns) {
				s->deadline_ns = deadline;
			}
		}
		break;
	case SERVICE_STATE_STOP_POST:
		if (s->brutal) {
			enter_post_kill(t);
		}
		break;
	case SERVICE_STATE_KILL:
	case SERVICE_STATE_POST_KILL:
	case SERVICE_STATE_DOWN:
	case SERVICE_STATE_START_PRE:
	case SERVICE_STATE_START:
	case SERVICE_STATE_START_POST:
	case SERVICE_STATE_UP:
	case SERVICE_STATE_RELOAD:
	case SERVICE_STATE_COUNT: break;
	}
}

void service_stop(struct service *s, const struct service_rules *r, uint64_t limit_ns, uint64_t now,
	struct service_out *out)
{
	struct step t = step_begin(s, r, now, out);
	uint64_t before = s->deadline_ns;
	CHECK(s->state != SERVICE_STATE_DOWN);
	bool fresh =
		in_start(s) || s->state == SERVICE_STATE_UP || s->state == SERVICE_STATE_RELOAD;
	s->stopping = true;
	s->brutal = s->brutal || limit_ns == SERVICE_STOP_BRUTAL;
	s->stop_limit_ns = limit_ns == SERVICE_STOP_DEFAULT ? r->stop_timeout_ns : limit_ns;
	if (fresh) {
		s->end = (struct service_end){.reason = REASON_STOPPED, .normal = true};
		s->deadline_ns = 0;
		if (s->state == SERVICE_STATE_RELOAD) {
			out->reload_ok = false;
			report(&t, SERVICE_RELOADED);
			enter_term(&t);
		} else {
			enter_stop(&t);
		}
	} else {
		stop_harsher(&t);
	}
	step_finish(&t, before);
}

bool service_reload(
	struct service *s, const struct service_rules *r, uint64_t now, struct service_out *out)
{
	struct step t = step_begin(s, r, now, out);
	uint64_t before = s->deadline_ns;
	if (s->state != SERVICE_STATE_UP || !s->main_alive) {
		return false;
	}
	if (!r->reload_by_signal && r->commands[PHASE_RELOAD] == 0) {
		return false;
	}
	s->reload_failed = false;
	set_state(&t, SERVICE_STATE_RELOAD);
	set_limit(&t, r->start_timeout_ns);
	if (r->commands[PHASE_RELOAD] > 0) {
		spawn(&t, ROLE_CONTROL, PHASE_RELOAD, 0);
	} else {
		send(&t, TARGET_MAIN, r->reload_signal);
	}
	step_finish(&t, before);
	return true;
}

/* A stop came while the spawn was on its way: the process has not seen the signal. */
static void signal_late(struct step *t)
{
	if (t->s->state == SERVICE_STATE_TERM) {
		send_to_all(t, t->r->kill_signal,
			t->s->main_alive && t->r->kill_mode == KILL_CONTROL_GROUP);
	} else if (t->s->state == SERVICE_STATE_KILL) {
		send_final(t);
	} else if (t->s->state == SERVICE_STATE_POST_KILL ||
		   (t->s->state == SERVICE_STATE_RELOAD && t->s->reload_failed)) {
		send(t, TARGET_CONTROL, SIGKILL);
	}
}

void service_spawned(struct service *s, const struct service_rules *r, enum service_role role,
	bool exec_ok, uint64_t now, struct service_out *out)
{
	struct step t = step_begin(s, r, now, out);
	uint64_t before = s->deadline_ns;
	signal_late(&t);
	if (role == ROLE_MAIN && s->state == SERVICE_STATE_START && s->main_alive) {
		switch ((enum service_type)r->type) {
		case SERVICE_SIMPLE:
		case SERVICE_IDLE:
		case SERVICE_DBUS: enter_start_post(&t); break;
		case SERVICE_EXEC:
			if (exec_ok) {
				enter_start_post(&t);
			}
			break;
		case SERVICE_NOTIFY:
		case SERVICE_NOTIFY_RELOAD:
		case SERVICE_ONESHOT:
		case SERVICE_FORKING:
		case SERVICE_TYPE_COUNT: break;
		}
	}
	step_finish(&t, before);
}

void service_exited(struct service *s, const struct service_rules *r, enum service_role role,
	const struct service_end *end, uint64_t now, struct service_out *out)
{
	struct step t = step_begin(s, r, now, out);
	uint64_t before = s->deadline_ns;
	struct service_end known = *end;
	known.normal = service_end_normal(r, end);
	if (role == ROLE_CONTROL && s->control_alive) {
		s->control_alive = false;
		control_exited(&t, &known);
	} else if (role == ROLE_MAIN && s->main_alive) {
		s->main_alive = false;
		main_exited(&t, &known);
	}
	step_finish(&t, before);
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
	uint64_t before = s->deadline_ns;
	switch ((enum service_state)s->state) {
	case SERVICE_STATE_START_PRE:
	case SERVICE_STATE_START:
		s->main_alive = false;
		s->control_alive = false;
		set_state(&t, SERVICE_STATE_DOWN);
		s->starting = false;
		s->deadline_ns = 0;
		report(&t, SERVICE_IGNORED);
		break;
	case SERVICE_STATE_TERM:
	case SERVICE_STATE_KILL:
		/* A stop or a time-out came before the word that nothing runs. */
		s->main_alive = false;
		s->control_alive = false;
		enter_stop_post(&t);
		break;
	case SERVICE_STATE_DOWN:
	case SERVICE_STATE_START_POST:
	case SERVICE_STATE_UP:
	case SERVICE_STATE_RELOAD:
	case SERVICE_STATE_STOP:
	case SERVICE_STATE_STOP_POST:
	case SERVICE_STATE_POST_KILL:
	case SERVICE_STATE_COUNT: break; /* what was to be spawned was given up meanwhile */
	}
	step_finish(&t, before);
}

void service_ready(
	struct service *s, const struct service_rules *r, uint64_t now, struct service_out *out)
{
	struct step t = step_begin(s, r, now, out);
	uint64_t before = s->deadline_ns;
	bool notifies = r->type == SERVICE_NOTIFY || r->type == SERVICE_NOTIFY_RELOAD;
	if (notifies && s->state == SERVICE_STATE_START && s->main_alive) {
		enter_start_post(&t);
	} else if (s->state == SERVICE_STATE_RELOAD && !s->control_alive) {
		reload_over(&t, true);
	}
	step_finish(&t, before);
}

void service_main_found(struct service *s, const struct service_rules *r, bool found, uint64_t now,
	struct service_out *out)
{
	struct step t = step_begin(s, r, now, out);
	uint64_t before = s->deadline_ns;
	if (s->state == SERVICE_STATE_START && s->finding) {
		s->finding = false;
		if (found) {
			s->main_alive = true;
			enter_start_post(&t);
		} else {
			fail(&t, &(struct service_end){.reason = REASON_PROTOCOL});
		}
	}
	step_finish(&t, before);
}

void service_extend(struct service *s, const struct service_rules *r, uint64_t span_ns,
	uint64_t now, struct service_out *out)
{
	struct step t = step_begin(s, r, now, out);
	uint64_t before = s->deadline_ns;
	/* sd_notify(3): the time is counted from now, and never shortens what is left. */
	uint64_t deadline = span_add(now, span_ns);
	bool limited = in_start(s) || s->state == SERVICE_STATE_STOP ||
		       s->state == SERVICE_STATE_TERM || s->state == SERVICE_STATE_STOP_POST;
	if (limited && before != 0 && deadline > before && deadline != SPAN_INFINITY) {
		s->deadline_ns = deadline;
	}
	step_finish(&t, before);
}

void service_fail(struct service *s, const struct service_rules *r, const struct service_end *end,
	uint64_t now, struct service_out *out)
{
	struct step t = step_begin(s, r, now, out);
	uint64_t before = s->deadline_ns;
	if (in_start(s) || s->state == SERVICE_STATE_UP) {
		fail(&t, end);
	} else if (s->state == SERVICE_STATE_RELOAD) {
		out->reload_ok = false;
		report(&t, SERVICE_RELOADED);
		fail(&t, end);
	}
	step_finish(&t, before);
}

static void timed_out(struct step *t)
{
	switch ((enum service_state)t->s->state) {
	case SERVICE_STATE_START_PRE:
	case SERVICE_STATE_START:
	case SERVICE_STATE_START_POST:
		fail(t, &(struct service_end){.reason = REASON_START_TIMEOUT});
		break;
	case SERVICE_STATE_UP: fail(t, &(struct service_end){.reason = REASON_RUNTIME_MAX}); break;
	case SERVICE_STATE_RELOAD:
		if (t->s->control_alive) {
			t->s->reload_failed = true;
			send(t, TARGET_CONTROL, SIGKILL);
		} else {
			reload_over(t, false);
		}
		break;
	case SERVICE_STATE_STOP: enter_term(t); break;
	case SERVICE_STATE_TERM: enter_kill(t); break;
	case SERVICE_STATE_KILL:
		t->s->stuck = true;
		send_final(t);
		break;
	case SERVICE_STATE_STOP_POST: enter_post_kill(t); break;
	case SERVICE_STATE_POST_KILL:
		t->s->stuck = true;
		send(t, TARGET_CONTROL, SIGKILL);
		break;
	case SERVICE_STATE_DOWN:
	case SERVICE_STATE_COUNT: break;
	}
}

void service_timeout(
	struct service *s, const struct service_rules *r, uint64_t now, struct service_out *out)
{
	struct step t = step_begin(s, r, now, out);
	uint64_t before = s->deadline_ns;
	if (before == 0 || now < before) {
		return;
	}
	s->deadline_ns = 0;
	timed_out(&t);
	step_finish(&t, before);
}

void service_check(const struct service *s, const struct service_rules *r)
{
	CHECK(s->state < SERVICE_STATE_COUNT);
	CHECK(r->type < SERVICE_TYPE_COUNT);
	if (s->state == SERVICE_STATE_DOWN) {
		CHECK(all_gone(s));
		CHECK(s->deadline_ns == 0);
		CHECK(!s->starting);
	}
	if (s->state == SERVICE_STATE_UP || s->state == SERVICE_STATE_RELOAD) {
		CHECK(!s->starting);
		CHECK(!s->stopping);
	}
	if (in_start(s)) {
		CHECK(s->starting);
		CHECK(!s->stopping);
		CHECK(s->finding || all_gone(s) == false);
	}
	if (s->state == SERVICE_STATE_KILL || s->state == SERVICE_STATE_TERM) {
		CHECK(!all_gone(s));
	}
	if (s->state == SERVICE_STATE_STOP_POST || s->state == SERVICE_STATE_POST_KILL) {
		CHECK(s->control_alive);
	}
}
