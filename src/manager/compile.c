#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/names.h"
#include "base/str.h"
#include "manager/sockets.h"

/* unit.h cannot include the rooms beside it; its numbers are theirs. */
static_assert((int)UNIT_START_PRE == (int)PHASE_START_PRE, "phases");
static_assert((int)UNIT_START == (int)PHASE_START, "phases");
static_assert((int)UNIT_START_POST == (int)PHASE_START_POST, "phases");
static_assert((int)UNIT_RELOAD == (int)PHASE_RELOAD, "phases");
static_assert((int)UNIT_STOP == (int)PHASE_STOP, "phases");
static_assert((int)UNIT_STOP_POST == (int)PHASE_STOP_POST, "phases");
static_assert((int)UNIT_CONDITION == (int)PHASE_CONDITION, "phases");
static_assert((int)UNIT_FAILURE_ABORT == (int)FAILURE_ABORT, "failure modes");
static_assert((int)UNIT_FAILURE_KILL == (int)FAILURE_KILL, "failure modes");
static_assert((int)UNIT_ACTION_REBOOT == (int)ACTION_REBOOT, "actions");
static_assert((int)UNIT_ACTION_POWEROFF_IMMEDIATE == (int)ACTION_POWEROFF_IMMEDIATE, "actions");
static_assert((int)UNIT_ACTION_EXIT_FORCE == (int)ACTION_EXIT_FORCE, "actions");
static_assert(UNIT_LIMITS == PROCESS_LIMITS, "limits");
static_assert(sizeof(((struct unit_exit_rule *)0)->statuses) ==
		      sizeof(((struct service_end_set *)0)->statuses),
	"sets of statuses");

/* --- generations --- */

struct generation *generation_create(struct unit_set *set)
{
	struct generation *generation = calloc(1, sizeof(*generation));
	if (generation == NULL) {
		unit_set_destroy(set);
		return NULL;
	}
	generation->references = 1;
	generation->set = set;
	return generation;
}

void generation_release(struct generation *generation)
{
	if (generation != NULL && --generation->references == 0) {
		unit_set_destroy(generation->set);
		free(generation);
	}
}

/* --- rules --- */

static void compile_commands(struct service_rules *rules, const struct unit_service *service)
{
	for (int phase = 0; phase < PHASE_COUNT; phase++) {
		const struct unit_commands *commands = &service->commands[phase];
		uint32_t count = commands->count;
		rules->commands[phase] =
			(uint8_t)(count < SERVICE_COMMANDS_MAX ? count : SERVICE_COMMANDS_MAX);
		for (uint32_t i = 0; i < rules->commands[phase]; i++) {
			if (commands->list[i].ignore_failure) {
				rules->ignore_failure[phase] |= UINT32_C(1) << i;
			}
		}
	}
}

static void compile_service(struct definition *d)
{
	const struct unit_service *service = d->exec;
	struct service_rules *rules = &d->service;
	rules->type = service->type;
	rules->kill_mode = service->kill_mode;
	rules->remain_after_exit = service->remain_after_exit;
	rules->send_sigkill = service->send_sigkill;
	rules->send_sighup = service->send_sighup;
	rules->reload_by_signal = service->type == SERVICE_NOTIFY_RELOAD;
	rules->kill_signal = (uint8_t)service->kill_signal;
	rules->final_kill_signal = (uint8_t)service->final_kill_signal;
	rules->reload_signal = (uint8_t)service->reload_signal;
	memcpy(rules->success.statuses, service->success.statuses, sizeof(rules->success.statuses));
	rules->success.signals = service->success.signals;
	rules->start_timeout_ns = service->start_timeout_ns;
	rules->stop_timeout_ns = service->stop_timeout_ns;
	rules->runtime_max_ns = service->runtime_max_ns;
	rules->restart_kill_signal = (uint8_t)service->restart_kill_signal;
	rules->watchdog_signal = (uint8_t)service->watchdog_signal;
	rules->start_failure = service->start_failure_mode;
	rules->stop_failure = service->stop_failure_mode;
	rules->exit_when_empty = service->exit_by_cgroup;
	rules->abort_timeout_ns = service->abort_timeout_ns;
	rules->runtime_extra_ns = service->runtime_extra_ns;
	rules->watchdog_ns = service->watchdog_ns;
	rules->health = (struct service_health_rules){
		.on = service->health.kind != UNIT_HEALTH_NONE,
		.retries = service->health.retries,
		.interval_ns = service->health.interval_ns,
		.timeout_ns = service->health.timeout_ns,
		.start_period_ns = service->health.start_period_ns,
	};
	compile_commands(rules, service);
	d->child.restart_delay_ns = service->restart_sec_ns;
	d->child.restart_delay_max_ns = service->restart_max_delay_ns;
	d->child.restart_steps = service->restart_steps;
	d->child.service = rules;
}

static struct service_end_set end_set(const struct unit_end_set *from)
{
	struct service_end_set out = {.signals = from->signals};
	memcpy(out.statuses, from->statuses, sizeof(out.statuses));
	return out;
}

/* What systemd's units say about starts and ends. The limit of starts counts only where a unit
 * sets one: otherwise the supervisor's intensity is the limit. */
static void compile_limits(struct definition *d)
{
	const struct unit *unit = d->unit;
	struct tree_child_rules *child = &d->child;
	child->failure_action = unit->failure_action;
	child->success_action = unit->success_action;
	child->failure_status = (int16_t)unit->failure_action_status;
	child->success_status = (int16_t)unit->success_action_status;
	if (unit->kind != UNIT_SERVICE) {
		return;
	}
	child->restart_prevent = end_set(&unit->service->restart_prevent);
	child->restart_force = end_set(&unit->service->restart_force);
	child->restart_direct = unit->service->restart_mode == UNIT_RESTART_DIRECT;
	child->start_limit_action = unit->start_limit_action;
	if (unit->start_limit_set && unit->start_limit_interval_ns > 0) {
		uint32_t burst = unit->start_limit_burst;
		child->start_limit_burst =
			burst < TREE_START_LIMIT_MAX ? burst : TREE_START_LIMIT_MAX;
		child->start_limit_ns = unit->start_limit_interval_ns;
	}
}

static void compile_supervisor(struct definition *d)
{
	const struct unit_supervisor *supervisor = d->unit->supervisor;
	d->supervisor = (struct tree_supervisor_rules){
		.strategy = supervisor->strategy,
		.auto_shutdown = supervisor->auto_shutdown,
		.give_up = supervisor->give_up,
		.dynamic = supervisor->template != NULL,
		.retry_start = supervisor->retry_start,
		.intensity = supervisor->intensity,
		.period_ns = supervisor->period_ns,
		.cooldown_ns = supervisor->cooldown_ns,
		/* Of connections, the shell knows better which ones are over. */
		.children_max =
			d->unit->kind == UNIT_SOCKET ? UINT32_MAX : supervisor->children_max,
	};
	d->child.is_supervisor = true;
	d->child.supervisor = &d->supervisor;
}

static uint32_t exit_reasons(const struct unit_exit_rule *rule)
{
	uint32_t reasons = 0;
	reasons |= rule->oom ? UINT32_C(1) << REASON_OOM : 0;
	reasons |= rule->watchdog ? UINT32_C(1) << REASON_WATCHDOG : 0;
	reasons |= rule->health ? UINT32_C(1) << REASON_HEALTH : 0;
	reasons |= rule->start_timeout ? UINT32_C(1) << REASON_START_TIMEOUT : 0;
	reasons |= rule->exec_failed ? UINT32_C(1) << REASON_EXEC : 0;
	return reasons;
}

static int compile_exit_rules(struct definition *d)
{
	const struct unit *unit = d->unit;
	uint32_t count = unit->exit_rules_count;
	if (count == 0) {
		return 0;
	}
	if (count > TREE_EXIT_RULES_MAX) {
		count = TREE_EXIT_RULES_MAX;
	}
	struct tree_exit_rule *rules = arena_alloc(&d->arena, count * sizeof(*rules));
	if (rules == NULL) {
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < count; i++) {
		const struct unit_exit_rule *from = &unit->exit_rules[i];
		memcpy(rules[i].ends.statuses, from->statuses, sizeof(from->statuses));
		rules[i].ends.signals = from->signals;
		rules[i].reasons = exit_reasons(from);
		rules[i].action = from->action;
		rules[i].delay_ns = from->delay_ns;
	}
	d->child.exit_rules = rules;
	d->child.exit_rules_count = count;
	return 0;
}

static uint64_t compile_shutdown(const struct unit *unit)
{
	if (unit->shutdown_brutal) {
		return SERVICE_STOP_BRUTAL;
	}
	if (unit->shutdown_set) {
		return unit->shutdown_ns;
	}
	return unit->supervisor != NULL ? SPAN_INFINITY : SERVICE_STOP_DEFAULT;
}

/* --- the environment --- */

static uint32_t words_count(const char *const *words)
{
	uint32_t count = 0;
	while (words != NULL && words[count] != NULL) {
		count++;
	}
	return count;
}

/* What coppice was given for itself, and what each service gets anew. */
static bool is_private(const char *assignment)
{
	static const char *const names[] = {"COPPICE_MANAGER_",
		"COPPICE_UNIT=", "COPPICE_RESTARTS=", "COPPICE_LAST_EXIT=", "COPPICE_CONTROL=",
		"COPPICE_UNIT_PATH=", "NOTIFY_SOCKET=", "LISTEN_", "WATCHDOG_",
		"MAINPID=", "SERVICE_RESULT=", "EXIT_CODE=", "EXIT_STATUS=", "INVOCATION_ID=",
		"JOURNAL_STREAM=", "_="};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (str_starts(assignment, names[i])) {
			return true;
		}
	}
	return false;
}

static bool same_name(const char *a, const char *b)
{
	size_t length = strcspn(a, "=");
	return strcspn(b, "=") == length && memcmp(a, b, length) == 0;
}

static void environment_replace(struct definition *d, const char *assignment)
{
	for (uint32_t i = 0; i < d->environment_count; i++) {
		if (same_name(d->environment[i], assignment)) {
			d->environment[i] = assignment;
			return;
		}
	}
	d->environment[d->environment_count++] = assignment;
}

/* UnsetEnvironment= takes names and whole assignments. */
static void environment_unset(struct definition *d, const char *name)
{
	bool whole = strchr(name, '=') != NULL;
	for (uint32_t i = 0; i < d->environment_count; i++) {
		const char *have = d->environment[i];
		if (whole ? strcmp(have, name) == 0 : same_name(have, name)) {
			d->environment[i] = d->environment[--d->environment_count];
			return;
		}
	}
}

static int compile_environment(struct manager *m, struct definition *d)
{
	const struct unit_service *service = d->exec;
	uint32_t room =
		8 + words_count((const char *const *)environ) + words_count(service->environment);
	d->environment = arena_alloc(&d->arena, room * sizeof(*d->environment));
	char *unit = arena_printf(&d->arena, "COPPICE_UNIT=%s", d->unit->name);
	char *control = arena_printf(&d->arena, "COPPICE_CONTROL=%s", m->control_path);
	if (d->environment == NULL || unit == NULL || control == NULL) {
		return -ENOMEM;
	}
	for (char **e = environ; *e != NULL; e++) {
		if (!is_private(*e)) {
			environment_replace(d, *e);
		}
	}
	environment_replace(d, unit);
	environment_replace(d, control);
	for (uint32_t i = 0; service->environment != NULL && service->environment[i] != NULL; i++) {
		environment_replace(d, service->environment[i]);
	}
	for (uint32_t i = 0;
		service->unset_environment != NULL && service->unset_environment[i] != NULL; i++) {
		environment_unset(d, service->unset_environment[i]);
	}
	d->environment[d->environment_count] = NULL;
	d->environment_late = service->env_files_count > 0;
	/* Room for what each start adds: see spawn.c. */
	if (d->environment_count + 24 > m->envp_room) {
		uint32_t more = d->environment_count + 64;
		const char **envp = realloc(m->envp, more * sizeof(*envp));
		if (envp == NULL) {
			return -ENOMEM;
		}
		m->envp = envp;
		m->envp_room = more;
	}
	return 0;
}

/* --- the whole --- */

static uint64_t hash_text(uint64_t hash, const char *text)
{
	/* FNV-1a, 64 bits. */
	for (const unsigned char *p = (const unsigned char *)text; *p != '\0'; p++) {
		hash = (hash ^ *p) * UINT64_C(0x100000001b3);
	}
	return (hash ^ 0xff) * UINT64_C(0x100000001b3);
}

static uint64_t hash_settings(const struct unit *unit)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);
	for (uint32_t i = 0; i < unit->settings_count; i++) {
		hash = hash_text(hash, unit->settings[i].section);
		hash = hash_text(hash, unit->settings[i].key);
		hash = hash_text(hash, unit->settings[i].value);
	}
	return hash;
}

struct definition *definition_create(struct manager *m, struct generation *generation,
	const struct unit *unit, struct unit *instance, struct err *err)
{
	struct definition *d = calloc(1, sizeof(*d));
	if (d == NULL) {
		if (instance != NULL) {
			unit_instance_destroy(instance);
		}
		err_set(err, ENOMEM, "%s: no memory", unit->name);
		return NULL;
	}
	d->references = 1;
	d->unit = unit;
	d->exec = unit->service;
	d->instance = instance;
	d->generation = generation;
	generation->references++;
	d->hash = hash_settings(unit);
	d->child.restart = unit->restart;
	d->child.significant = unit->significant;
	d->child.on_demand = unit->on_demand;
	d->child.optional = unit->optional;
	d->child.kept = unit->kept;
	d->child.shutdown_ns = compile_shutdown(unit);
	compile_limits(d);
	int failed = compile_exit_rules(d);
	if (failed == 0 && unit->kind == UNIT_SOCKET) {
		failed = sockets_compile(d);
	}
	if (failed == 0 && unit->supervisor != NULL) {
		compile_supervisor(d);
	} else if (failed == 0 && d->exec != NULL) {
		compile_service(d);
		failed = plan_compile(m, d);
		if (failed == 0) {
			failed = compile_environment(m, d);
		}
	} else if (failed == 0) {
		failed = -ENOTSUP;
	}
	if (unit->parent != NULL && unit->parent->kind == UNIT_SOCKET) {
		d->child.restart = RESTART_TEMPORARY; /* its connection does not come again */
	}
	if (failed != 0) {
		err_set(err, -failed, "%s: %s", unit->name,
			failed == -ENOTSUP ? "a unit of this kind cannot be a child"
					   : strerror(-failed));
		definition_release(d);
		return NULL;
	}
	return d;
}

struct definition *definition_hold(struct definition *definition)
{
	definition->references++;
	return definition;
}

void definition_release(struct definition *definition)
{
	if (definition == NULL || --definition->references > 0) {
		return;
	}
	if (definition->instance != NULL) {
		unit_instance_destroy(definition->instance);
	}
	generation_release(definition->generation);
	arena_finish(&definition->arena);
	free(definition);
}
