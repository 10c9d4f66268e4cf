/* One unit of a definition: values parsed, defaults, what can be judged of it. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "unit/build.h"
#include "unit/name.h"
#include "unit/table.h"

#define SYSTEMD_STOP_DEFAULT (90 * NS_PER_SEC)

/* --- making --- */

static int unit_fill_names(struct builder *builder, struct unit *unit, const char *name)
{
	const char *at = name_at(name);
	const char *dot = name_dot(name);
	unit->name = arena_strdup(builder->unit_arena, name);
	unit->kind = (uint8_t)name_kind(name);
	unit->is_template = name_is_template(name);
	unit->prefix =
		arena_strndup(builder->unit_arena, name, (size_t)((at != NULL ? at : dot) - name));
	if (at != NULL && !unit->is_template) {
		unit->instance = arena_strndup(builder->unit_arena, at + 1, (size_t)(dot - at - 1));
		if (unit->instance == NULL) {
			return -ENOMEM;
		}
	}
	return unit->name != NULL && unit->prefix != NULL ? 0 : -ENOMEM;
}

static const char *const *const unit_no_relations[UNIT_RELATIONS];

static int unit_allocate(struct builder *builder, struct unit *unit)
{
	unit->relations = unit_no_relations;
	unit->shutdown_ns = SPAN_INFINITY;
	unit->failure_action_status = -1;
	unit->success_action_status = -1;
	unit->start_limit_interval_ns = PARSE_START_LIMIT_INTERVAL;
	unit->start_limit_burst = PARSE_START_LIMIT_BURST;
	if (unit->kind == UNIT_SERVICE) {
		unit->service = arena_alloc(builder->unit_arena, sizeof(*unit->service));
		if (unit->service == NULL) {
			return -ENOMEM;
		}
		*unit->service = parse_service_defaults;
	}
	if (unit->kind == UNIT_SUPERVISOR || unit->kind == UNIT_TARGET) {
		unit->supervisor = arena_alloc(builder->unit_arena, sizeof(*unit->supervisor));
		if (unit->supervisor == NULL) {
			return -ENOMEM;
		}
		*unit->supervisor = parse_supervisor_defaults;
	}
	if (unit->kind == UNIT_SOCKET) {
		unit->socket = arena_alloc(builder->unit_arena, sizeof(*unit->socket));
		if (unit->socket == NULL) {
			return -ENOMEM;
		}
		*unit->socket = parse_socket_defaults;
	}
	return 0;
}

static void *unit_field(struct unit *unit, const struct directive *directive)
{
	char *base = NULL;
	switch ((enum directive_base)directive->base) {
	case BASE_NONE: return NULL;
	case BASE_UNIT: base = (char *)unit; break;
	case BASE_SERVICE: base = (char *)unit->service; break;
	case BASE_SUPERVISOR: base = (char *)unit->supervisor; break;
	case BASE_SOCKET: base = (char *)unit->socket; break;
	case BASE_RELATION: return NULL;
	}
	return base + directive->offset;
}

static int unit_parse_file(struct parse *p, const struct file *file)
{
	p->lenient = files_path_is_systemd(p->files, file->path);
	for (uint32_t i = 0; i < file->count; i++) {
		const struct file_line *line = &file->lines[i];
		if (line->directive < 0) {
			continue;
		}
		const struct directive *directive = table_directive(line->directive);
		p->line = line;
		int r = directive->parse(p, line->text.value, unit_field(p->unit, directive));
		if (r == -ENOMEM) {
			return r;
		}
		if (line->text.section[0] == 'H') {
			p->extra->health = parse_spot(p, 0);
			p->extra->health_refused = p->extra->health_refused || r < 0;
		}
	}
	return 0;
}

/* --- what has no effect --- */

struct later {
	uint32_t count;
	const char *keys[512];
};

static void later_collect(struct later *later, const struct file *file)
{
	for (uint32_t i = 0; i < file->count; i++) {
		const struct file_line *line = &file->lines[i];
		if (line->directive < 0 || line->text.value[0] == '\0' ||
			table_directive(line->directive)->use != USE_LATER) {
			continue;
		}
		const char *key = table_public(line->directive)->key;
		uint32_t j = 0;
		while (j < later->count && later->keys[j] != key) {
			j++;
		}
		if (j == later->count && j < sizeof(later->keys) / sizeof(later->keys[0])) {
			later->keys[later->count++] = key;
		}
	}
}

/* One line a definition: "A=, B= and C= are not honoured by this version". */
static void unit_say_later(struct builder *builder, struct unit_definition *definition)
{
	struct later later = {0};
	char text[3072];
	size_t length = 0;
	if (definition->said) {
		return;
	}
	definition->said = true;
	later_collect(&later, definition->main);
	for (uint32_t i = 0; i < definition->dropins_count; i++) {
		later_collect(&later, definition->dropins[i]);
	}
	if (later.count == 0) {
		return;
	}
	for (uint32_t i = 0; i < later.count && length < sizeof(text); i++) {
		const char *link = i == 0 ? "" : i + 1 == later.count ? " and " : ", ";
		int n = snprintf(
			text + length, sizeof(text) - length, "%s%s=", link, later.keys[i]);
		length += n > 0 ? (size_t)n : 0;
	}
	struct unit_place place = {definition->main->path, 0, 0};
	message_warning(builder->messages, &place, "%s %s not honoured by this version", text,
		later.count == 1 ? "is" : "are");
}

/* --- defaults and checks --- */

static struct unit_place unit_place_of(const struct unit *unit, const struct unit_spot *spot)
{
	struct unit_place place = {unit->path, 0, 0};
	return spot != NULL && spot->line != NULL ? parse_spot_place(spot) : place;
}

/* "worker@1.service: " when the file's name does not say it. */
static const char *unit_owner(
	const struct unit *unit, const struct unit_place *place, char buf[UNIT_NAME_SIZE + 2])
{
	const char *slash = strrchr(place->path, '/');
	buf[0] = '\0';
	if (strcmp(slash != NULL ? slash + 1 : place->path, unit->name) != 0) {
		snprintf(buf, UNIT_NAME_SIZE + 2, "%s: ", unit->name);
	}
	return buf;
}

static void unit_wrong(struct builder *builder, const struct unit *unit,
	const struct unit_spot *spot, const char *text)
{
	char owner[UNIT_NAME_SIZE + 2];
	struct unit_place place = unit_place_of(unit, spot);
	message_error(builder->messages, &place, "%s%s", unit_owner(unit, &place, owner), text);
}

static void unit_doubtful(struct builder *builder, const struct unit *unit,
	const struct unit_spot *spot, const char *text)
{
	char owner[UNIT_NAME_SIZE + 2];
	struct unit_place place = unit_place_of(unit, spot);
	if (builder->quiet) {
		return;
	}
	message_warning(builder->messages, &place, "%s%s", unit_owner(unit, &place, owner), text);
}

/* What a service is that does not say it (systemd.service(5), Type=). */
static void service_guess_type(struct unit_service *service, const struct unit_extra *extra)
{
	if (service->type_set) {
		return;
	}
	if (extra->bus_name) {
		service->type = TYPE_DBUS;
	} else if (service->commands[UNIT_START].count == 0) {
		service->type = TYPE_ONESHOT;
	}
}

static void service_put_defaults(struct unit *unit, const struct unit_extra *extra)
{
	struct unit_service *service = unit->service;
	service_guess_type(service, extra);
	bool notifies = service->type == TYPE_NOTIFY || service->type == TYPE_NOTIFY_RELOAD;
	/* A service that is to notify must be heard (systemd.service(5), NotifyAccess=). */
	if (service->notify_access == NOTIFY_NONE && (notifies || service->watchdog_ns > 0)) {
		service->notify_access = NOTIFY_MAIN;
	}
	if (!service->start_timeout_set && service->type == TYPE_ONESHOT) {
		service->start_timeout_ns = SPAN_INFINITY;
	}
	if (service->runtime_max_ns == 0) {
		service->runtime_max_ns = SPAN_INFINITY;
	}
	if (!service->stop_timeout_set && unit->from_systemd) {
		service->stop_timeout_ns = SYSTEMD_STOP_DEFAULT;
	}
	if (unit->shutdown_set && !unit->shutdown_brutal) {
		service->stop_timeout_ns = unit->shutdown_ns;
	}
	if (!unit->shutdown_set) {
		unit->shutdown_ns = service->stop_timeout_ns;
	}
	if (!extra->abort_timeout_set) {
		service->abort_timeout_ns = service->stop_timeout_ns;
	}
	/* Who manages its own groups is asked to manage this as well (systemd.service(5)). */
	if (!extra->oom_policy_set && service->delegate) {
		service->oom_policy = UNIT_OOM_CONTINUE;
	}
	for (int phase = 0; extra->permissions_start_only && phase < UNIT_PHASES; phase++) {
		struct unit_commands *commands = &service->commands[phase];
		for (uint32_t i = 0; phase != UNIT_START && i < commands->count; i++) {
			commands->list[i].full_privilege = true;
		}
	}
}

/* "NAME.service", or "NAME@.service" for a process a connection. */
static int socket_put_service(struct builder *builder, struct unit *unit)
{
	const char *at =
		unit->socket->accept || unit->is_template || unit->instance != NULL ? "@" : "";
	const char *instance =
		unit->instance != NULL && !unit->socket->accept ? unit->instance : "";
	unit->socket->service =
		arena_printf(builder->unit_arena, "%s%s%s.service", unit->prefix, at, instance);
	return unit->socket->service == NULL ? -ENOMEM : 0;
}

/* With Accept=yes the socket is the dynamic supervisor of its connections. */
static int socket_put_supervisor(
	struct builder *builder, struct unit *unit, struct unit_extra *extra)
{
	unit->supervisor = arena_alloc(builder->unit_arena, sizeof(*unit->supervisor));
	if (unit->supervisor == NULL) {
		return -ENOMEM;
	}
	*unit->supervisor = parse_supervisor_defaults;
	unit->supervisor->default_restart = RESTART_WORD_TEMPORARY;
	unit->supervisor->children_max = unit->socket->connections_max;
	unit->supervisor->template_name = unit->socket->service;
	extra->template = (struct unit_ref){unit->socket->service, extra->accept};
	return 0;
}

static int socket_put_defaults(struct builder *builder, struct unit *unit, struct unit_extra *extra)
{
	struct unit_socket *socket = unit->socket;
	int r = 0;
	if (socket->trigger_burst == PARSE_TRIGGER_BURST_UNSET) {
		socket->trigger_burst = socket->accept ? 200 : 20;
	}
	if (socket->fd_name == NULL) {
		socket->fd_name = socket->accept ? "connection" : unit->name;
	}
	if (socket->service == NULL || socket->accept) {
		r = socket_put_service(builder, unit);
	}
	return r == 0 && socket->accept ? socket_put_supervisor(builder, unit, extra) : r;
}

static void socket_check(
	struct builder *builder, const struct unit *unit, const struct unit_extra *extra)
{
	const struct unit_socket *socket = unit->socket;
	if (socket->listens_count == 0 && !extra->listen_refused) {
		unit_wrong(builder, unit, NULL,
			"a socket needs ListenStream= or another address to listen on");
	}
	if (!socket->accept) {
		return;
	}
	if (extra->socket_service.line != NULL &&
		extra->socket_service.line->text.value[0] != '\0') {
		unit_wrong(builder, unit, &extra->socket_service,
			"Service= is not for Accept=yes: connections are instances of the template "
			"of the socket's own name");
	}
	for (uint32_t i = 0; i < socket->listens_count; i++) {
		if (socket->listens[i].kind != UNIT_LISTEN_STREAM &&
			socket->listens[i].kind != UNIT_LISTEN_SEQPACKET) {
			unit_wrong(builder, unit, &extra->accept,
				"Accept=yes is for ListenStream= and ListenSequentialPacket= only");
			return;
		}
	}
}

/* As systemd judges it (service_verify): a oneshot may do without ExecStart= when its stop, or its
 * success, does something. */
static void service_check(struct builder *builder, const struct unit *unit,
	const struct unit_extra *extra, bool excused)
{
	const struct unit_service *service = unit->service;
	uint32_t starts = service->commands[UNIT_START].count;
	bool oneshot = service->type == TYPE_ONESHOT;
	bool stops = service->remain_after_exit && service->commands[UNIT_STOP].count > 0;
	bool acts = stops || unit->success_action != UNIT_ACTION_NONE;
	if (starts == 0 && excused) {
		; /* what is missing was told where it was refused */
	} else if (starts == 0 && (!oneshot || (!service->type_set && !acts))) {
		unit_wrong(builder, unit, NULL, "a service needs ExecStart=");
	} else if (starts == 0 && !acts) {
		unit_wrong(builder, unit, NULL,
			"a oneshot without ExecStart= needs RemainAfterExit=yes and ExecStop=");
	}
	if (starts > 1 && !oneshot) {
		unit_wrong(builder, unit, &extra->exec_start,
			"more than one ExecStart= command is for Type=oneshot only");
	}
	if (service->health.kind == UNIT_HEALTH_NONE && extra->health.line != NULL &&
		!extra->health_refused) {
		unit_doubtful(builder, unit, &extra->health,
			"[Health] has no effect without one of Http=, Tcp=, Exec=");
	}
	if (service->type == TYPE_DBUS) {
		unit_doubtful(builder, unit, NULL,
			"there is no bus here: Type=dbus is taken for Type=simple");
	}
}

static void supervisor_check(
	struct builder *builder, const struct unit *unit, const struct unit_extra *extra)
{
	const struct unit_supervisor *supervisor = unit->supervisor;
	bool dynamic = extra->template.name != NULL;
	if (dynamic && supervisor->strategy != STRATEGY_ONE_FOR_ONE) {
		unit_wrong(builder, unit, &extra->strategy,
			"a supervisor with Template= is one-for-one: its children are equals");
	}
	if (!dynamic && supervisor->children_max != UINT32_MAX) {
		unit_doubtful(builder, unit, &extra->children_max,
			"MaxChildren= has no effect without Template=");
	}
	if (dynamic && extra->children_count > supervisor->children_max) {
		unit_wrong(builder, unit, &extra->children_max,
			"Children= names more children than MaxChildren= allows");
	}
}

static struct unit *unit_copy_shared(struct builder *builder, struct unit_definition *definition,
	const char *name, struct unit_extra *extra)
{
	struct unit *unit = arena_alloc(builder->unit_arena, sizeof(*unit));
	if (unit == NULL) {
		return NULL;
	}
	*unit = *definition->shared;
	*extra = definition->shared_extra;
	unit->instance = NULL;
	return unit_fill_names(builder, unit, name) == 0 ? unit : NULL;
}

struct unit *build_unit(struct builder *builder, struct unit_definition *definition,
	const char *name, struct unit_extra *extra)
{
	*extra = (struct unit_extra){0};
	builder->quiet = definition->said;
	if (definition->shared != NULL) {
		return unit_copy_shared(builder, definition, name, extra);
	}
	struct unit *unit = arena_alloc(builder->unit_arena, sizeof(*unit));
	if (unit == NULL || unit_fill_names(builder, unit, name) < 0 ||
		unit_allocate(builder, unit) < 0) {
		return NULL;
	}
	unit->path = definition->main->path;
	unit->dropins = definition->dropin_paths;
	unit->from_systemd = definition->from_systemd;
	unit->settings = definition->settings;
	unit->settings_count = definition->settings_count;
	struct parse p = {
		.unit = unit,
		.extra = extra,
		.arena = builder->unit_arena,
		.messages = builder->messages,
		.host = &builder->host,
		.files = builder->files,
		.names = {unit->name, unit->prefix, unit->instance, unit->path, NULL},
		.is_template = unit->is_template,
		.quiet = builder->quiet,
	};
	if (unit_parse_file(&p, definition->main) < 0) {
		return NULL;
	}
	for (uint32_t i = 0; i < definition->dropins_count; i++) {
		if (unit_parse_file(&p, definition->dropins[i]) < 0) {
			return NULL;
		}
	}
	unit_say_later(builder, definition);
	if (unit->kind == UNIT_SERVICE) {
		service_put_defaults(unit, extra);
		if (cgroup_finish(builder->unit_arena, unit->service, extra) < 0) {
			return NULL;
		}
		service_check(builder, unit, extra, extra->start_refused || definition->broken);
	} else if (unit->kind == UNIT_SUPERVISOR) {
		supervisor_check(builder, unit, extra);
	} else if (unit->kind == UNIT_SOCKET) {
		if (socket_put_defaults(builder, unit, extra) < 0) {
			return NULL;
		}
		socket_check(builder, unit, extra);
	}
	/* Supervisors own lists of children; a template is judged less than its instances. */
	definition->not_shared = p.name_used || unit->kind != UNIT_SERVICE;
	if (!definition->not_shared && !unit->is_template &&
		builder->unit_arena == builder->arena) {
		definition->shared = unit;
		definition->shared_extra = *extra;
	}
	return unit;
}

/* --- a unit and its supervisor --- */

static void finish_significant(struct builder *builder, struct unit *unit,
	const struct unit_extra *extra, const struct unit *parent)
{
	if (!unit->significant || parent == NULL) {
		return;
	}
	/* OTP refuses both as {bad_combination, …} (supervisor:check_childspecs). */
	if (parent->supervisor->auto_shutdown == AUTO_WORD_NEVER) {
		char text[2 * UNIT_NAME_SIZE];
		snprintf(text, sizeof(text),
			"Significant=yes wants a supervisor with AutoShutdown=, and %s has never",
			parent->name);
		unit_wrong(builder, unit, &extra->significant, text);
	}
	if (unit->restart == RESTART_WORD_PERMANENT) {
		unit_wrong(builder, unit, &extra->significant,
			unit->restart_set
				? "Significant=yes is not for Restart=permanent: such a child "
				  "never "
				  "ends for good"
				: "Significant=yes wants Restart=transient or temporary; without "
				  "Restart= it is permanent");
	}
}

void build_finish(struct builder *builder, struct unit *unit, const struct unit_extra *extra,
	const struct unit *parent)
{
	bool oneshot = unit->kind == UNIT_SERVICE && unit->service->type == TYPE_ONESHOT;
	/* In a target systemd's own default holds: no restart, whatever the type. */
	bool in_target = parent != NULL && parent->kind == UNIT_TARGET;
	if (!unit->restart_set && oneshot && !in_target) {
		unit->restart = RESTART_WORD_TRANSIENT;
	} else if (!unit->restart_set) {
		unit->restart = parent != NULL ? parent->supervisor->default_restart
					       : RESTART_WORD_PERMANENT;
	}
	finish_significant(builder, unit, extra, parent);
	if (unit->kind == UNIT_SUPERVISOR && parent != NULL &&
		unit->restart == RESTART_WORD_TRANSIENT) {
		unit_doubtful(builder, unit, &extra->restart,
			"a transient supervisor that gives up stays down");
	}
	if (oneshot && unit->restart == RESTART_WORD_PERMANENT &&
		!unit->service->remain_after_exit && parent != NULL) {
		unit_doubtful(builder, unit, &extra->restart,
			"a permanent oneshot starts again each time it is done");
	}
}
