/* Health: what checks mean. Who makes them, and how, is the shell's. */
#include "base/span.h"
#include "service/internal.h"

/* The first checks of a service that is not healthy yet come quickly: others wait for it. */
#define PAUSE_FIRST_NS (50 * NS_PER_MS)
#define PAUSE_LAST_NS  NS_PER_SEC

void health_begin(struct step *t)
{
	t->s->health = HEALTH_STARTING;
	t->s->health_failures = 0;
	t->s->health_since_ns = span_add(t->now, t->r->health.start_period_ns);
}

/* Before the first success a failure counts an interval after the last one that did. */
static bool counts(struct step *t)
{
	struct service *s = t->s;
	if (s->health != HEALTH_STARTING) {
		return true;
	}
	if (t->now < span_add(s->health_since_ns, t->r->health.interval_ns)) {
		return false;
	}
	s->health_since_ns = t->now;
	return true;
}

static void failed(struct step *t)
{
	struct service *s = t->s;
	uint32_t retries = t->r->health.retries > 0 ? t->r->health.retries : 1;
	if (!counts(t)) {
		return;
	}
	s->health_failures++;
	if (s->health == HEALTH_GOOD) {
		s->health = HEALTH_FAILING;
		step_report(t, SERVICE_UNHEALTHY);
	}
	if (s->health_failures < retries) {
		return;
	}
	if (s->state == SERVICE_STATE_RELOAD) {
		t->out->reload_ok = false;
		step_report(t, SERVICE_RELOADED);
	}
	stop_fail(t, &(struct service_end){.reason = REASON_HEALTH});
}

static void succeeded(struct step *t)
{
	struct service *s = t->s;
	bool news = s->health != HEALTH_GOOD;
	s->health = HEALTH_GOOD;
	s->health_failures = 0;
	if (news) {
		step_report(t, SERVICE_HEALTHY);
	}
	if (s->state == SERVICE_STATE_WARM) {
		start_enter_up(t);
	}
}

void service_probed(struct service *s, const struct service_rules *r, bool ok, uint64_t now,
	struct service_out *out)
{
	struct step t = step_begin(s, r, now, out);
	if (s->probing && ok) {
		succeeded(&t);
	} else if (s->probing) {
		failed(&t);
	}
	step_finish(&t);
}

uint64_t service_health_pause(
	const struct service_health_rules *rules, enum service_health health, uint32_t n)
{
	if (health != HEALTH_STARTING) {
		return rules->interval_ns;
	}
	uint64_t last = rules->interval_ns < PAUSE_LAST_NS ? rules->interval_ns : PAUSE_LAST_NS;
	uint64_t pause = PAUSE_FIRST_NS;
	for (uint32_t i = 1; i < n && pause < last; i++) {
		pause *= 2;
	}
	return pause < last ? pause : last;
}
