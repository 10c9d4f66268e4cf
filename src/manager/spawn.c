#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/log.h"
#include "base/span.h"
#include "manager/cgroup.h"
#include "manager/manager.h"
#include "manager/reason.h"
#include "manager/sockets.h"
#include "process/environment.h"

/* What a file of EnvironmentFile= may have at most. */
#define ENVIRONMENT_FILE_MAX (1024 * 1024)

/* --- memory that is given back at the next start: no heap from a death to its restart --- */

static const char *scratch_printf(struct manager *m, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static const char *scratch_printf(struct manager *m, const char *format, ...)
{
	char *text = m->scratch + m->scratch_used;
	size_t room = SCRATCH_SIZE - m->scratch_used;
	va_list args;
	va_start(args, format);
	int length = vsnprintf(text, room, format, args);
	va_end(args);
	if (length < 0 || (size_t)length >= room) {
		return NULL;
	}
	m->scratch_used += (size_t)length + 1;
	return text;
}

struct env_list {
	struct manager *m;
	uint32_t count;
};

static void env_add(struct env_list *list, const char *assignment)
{
	if (assignment != NULL) {
		CHECK(list->count + 1 < list->m->envp_room);
		list->m->envp[list->count++] = assignment;
	}
}

/* systemd.exec(5): what ExecStopPost= is told of the end. */
static void env_add_result(struct env_list *list, const struct service_end *end)
{
	char status[16];
	const char *code = reason_exit_code(end);
	const char *number = reason_exit_status(end, status, sizeof(status));
	env_add(list, scratch_printf(list->m, "SERVICE_RESULT=%s", reason_service_result(end)));
	if (code != NULL) {
		env_add(list, scratch_printf(list->m, "EXIT_CODE=%s", code));
	}
	if (number != NULL) {
		env_add(list, scratch_printf(list->m, "EXIT_STATUS=%s", number));
	}
}

/* systemd.exec(5): 128 bits, the same for all processes of one incarnation, whichever manager
 * starts them. */
void spawn_invocation(const struct manager *m, const struct node *node, uint32_t incarnation,
	char text[INVOCATION_SIZE])
{
	const uint64_t parts[] = {m->started_at_s, (uint64_t)m->share->keeper_pid, node->index,
		node->generation, incarnation};
	uint64_t id[2] = {UINT64_C(0xcbf29ce484222325), UINT64_C(0x84222325cbf29ce4)};
	for (size_t i = 0; i < 2 * sizeof(parts); i++) {
		uint64_t *half = &id[i % 2];
		/* FNV-1a, and a last look at the high bits. */
		*half ^= parts[i / 16] >> (i / 2 % 8 * 8) & 0xff;
		*half *= UINT64_C(0x100000001b3);
		*half ^= *half >> 29;
	}
	snprintf(text, INVOCATION_SIZE, "INVOCATION_ID=%016llx%016llx", (unsigned long long)id[0],
		(unsigned long long)id[1]);
}

static void env_add_invocation(
	struct env_list *list, const struct node *node, const struct tree_order *order)
{
	char text[INVOCATION_SIZE];
	spawn_invocation(list->m, node, order->incarnation, text);
	env_add(list, scratch_printf(list->m, "%s", text));
}

/* sd_listen_fds(3). */
static void env_add_passed(struct env_list *list, const struct node *node)
{
	const struct passing *passing = list->m->passing;
	if (passing->count == 0) {
		return;
	}
	env_add(list, scratch_printf(list->m, "LISTEN_FDS=%u", passing->count));
	env_add(list, passing->listen_pid);
	env_add(list, scratch_printf(list->m, "LISTEN_FDNAMES=%s", passing->names));
	if (node->fds != NULL && node->fds->remote_address[0] != '\0') {
		env_add(list, scratch_printf(list->m, "REMOTE_ADDR=%s", node->fds->remote_address));
	}
	if (node->fds != NULL && node->fds->remote_port != 0) {
		env_add(list, scratch_printf(list->m, "REMOTE_PORT=%u", node->fds->remote_port));
	}
}

/* The part of the environment that is another one at each start. */
static void env_add_changing(
	struct env_list *list, const struct node *node, const struct tree_order *order)
{
	struct manager *m = list->m;
	struct tree_view view;
	char text[REASON_TEXT_SIZE];
	tree_look(m->tree, node->index, m->now, &view);
	env_add(list, scratch_printf(m, "COPPICE_RESTARTS=%u", view.restarts));
	env_add_invocation(list, node, order);
	if (view.last_end.reason != REASON_NONE) {
		env_add(list, scratch_printf(m, "COPPICE_LAST_EXIT=%s",
				      reason_text(&view.last_end, text, sizeof(text))));
	}
	if (node->notify_path != NULL) {
		env_add(list, scratch_printf(m, "NOTIFY_SOCKET=%s", node->notify_path));
	}
	if (node->definition->exec->watchdog_ns != 0 &&
		node->definition->exec->watchdog_ns != SPAN_INFINITY && order->role == ROLE_MAIN) {
		env_add(list, scratch_printf(m, "WATCHDOG_USEC=%llu",
				      (unsigned long long)(node->definition->exec->watchdog_ns /
							   NS_PER_US)));
		env_add(list, scratch_printf(m, "WATCHDOG_PID=%*s", PROCESS_PID_TEXT, ""));
	}
	if (order->role != ROLE_MAIN && node_pid(m, node, ROLE_MAIN) > 0) {
		env_add(list, scratch_printf(m, "MAINPID=%d", node_pid(m, node, ROLE_MAIN)));
	}
	env_add_passed(list, node);
	if (order->phase == PHASE_STOP || order->phase == PHASE_STOP_POST) {
		env_add_result(list, &view.end);
	}
}

/* --- the slow way: files and variables --- */

static char *file_read(const char *path, int *failed)
{
	char *text = NULL;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	*failed = fd < 0 ? -errno : 0;
	if (fd < 0) {
		return NULL;
	}
	text = malloc(ENVIRONMENT_FILE_MAX + 1);
	ssize_t length = text == NULL ? -1 : read(fd, text, ENVIRONMENT_FILE_MAX);
	if (length < 0) {
		*failed = text == NULL ? -ENOMEM : -errno;
		free(text);
		text = NULL;
	} else {
		text[length] = '\0';
	}
	close(fd);
	return text;
}

static int environment_files(
	struct environment *env, const struct unit_service *service, struct err *err)
{
	for (uint32_t i = 0; i < service->env_files_count; i++) {
		const struct unit_env_file *file = &service->env_files[i];
		int failed;
		char *text = file_read(file->path, &failed);
		if (text == NULL && file->optional) {
			continue;
		}
		if (text == NULL) {
			return err_set(err, -failed, "EnvironmentFile=%s: %s", file->path,
				strerror(-failed));
		}
		failed = environment_put_file(env, text, file->path, err);
		free(text);
		if (failed < 0) {
			return failed;
		}
	}
	return 0;
}

static int environment_make(
	struct manager *m, struct environment *env, const struct node *node, struct err *err)
{
	int failed = environment_init(env, &m->spawn_arena);
	for (uint32_t i = 0; failed == 0 && m->envp[i] != NULL; i++) {
		int put = environment_put(env, m->envp[i]);
		/* What coppice inherited need not be valid; it is passed on as it is otherwise. */
		failed = put == -ENOMEM ? put : 0;
	}
	if (failed != 0) {
		return err_set(err, ENOMEM, "no memory");
	}
	return environment_files(env, node->definition->exec, err);
}

/* The child writes into the one that it was made with, so that must be in the list itself. */
static void environment_keep(const char **list, const char *assignment)
{
	size_t name = strcspn(assignment, "=") + 1;
	for (uint32_t i = 0; list[i] != NULL; i++) {
		if (strncmp(list[i], assignment, name) == 0) {
			list[i] = assignment;
		}
	}
}

static bool has_variables(const struct unit_command *command)
{
	for (uint32_t i = 0; !command->no_expand && command->argv[i] != NULL; i++) {
		if (strchr(command->argv[i], '$') != NULL) {
			return true;
		}
	}
	return false;
}

/* Where the value of a variable stands that only the child can know; NULL: nowhere. What is there
 * was made for this start, with room for it. */
static char *place_of(const char *const *envp, const char *name)
{
	size_t length = strlen(name);
	for (; *envp != NULL; envp++) {
		if (strncmp(*envp, name, length) == 0 && (*envp)[length] == '=') {
			return (char *)(uintptr_t)(*envp + length + 1);
		}
	}
	return NULL;
}

/* Fills what the process is given: argv and envp. 0, or -errno with `err`. */
static int spawn_texts(struct manager *m, const struct node *node, const struct tree_order *order,
	const struct unit_command *command, struct process_spawn *spawn, struct err *err)
{
	const struct definition *d = node->definition;
	struct env_list list = {m, 0};
	m->scratch_used = 0;
	memcpy(m->envp, d->environment, d->environment_count * sizeof(*m->envp));
	list.count = d->environment_count;
	env_add_changing(&list, node, order);
	if (spawn->plan->helper != NULL && d->exec->credentials_set != NULL) {
		/* The last of the passed descriptors: see spawn_pass_credentials(). */
		env_add(&list, scratch_printf(m, "COPPICE_EXEC_CREDENTIALS=%u",
				       3 + spawn->pass_count - 1));
	}
	m->envp[list.count] = NULL;
	spawn->argv = command->argv;
	spawn->envp = m->envp;
	bool expand = has_variables(command);
	if (!expand && !d->environment_late) {
		return 0;
	}
	struct environment env;
	arena_finish(&m->spawn_arena);
	int failed = environment_make(m, &env, node, err);
	if (failed != 0) {
		return failed;
	}
	if (expand) {
		spawn->argv = environment_expand(&env, command->argv);
		if (spawn->argv == NULL) {
			return err_set(err, ENOMEM, "no memory");
		}
	}
	if (m->passing->count > 0) {
		environment_keep(env.list, m->passing->listen_pid);
	}
	spawn->envp = env.list;
	return 0;
}

/* --- the slot: the intent, written before the clone --- */

/* What the keeper kills with the leader of the group. The daemon of a forking service may live in
 * the group of the process that started it. */
static enum share_group group_policy(const struct definition *d, const struct tree_order *order)
{
	if (order->role == ROLE_PROBE) {
		return SHARE_GROUP_KILL;
	}
	if (d->service.kill_mode == KILL_PROCESS || d->service.kill_mode == KILL_NONE) {
		return SHARE_GROUP_LEAVE;
	}
	if (order->phase == PHASE_START_POST || order->phase == PHASE_RELOAD) {
		return SHARE_GROUP_LEAVE;
	}
	if (order->phase == PHASE_START &&
		(d->service.type == SERVICE_FORKING || d->service.exit_when_empty ||
			(d->service.type == SERVICE_ONESHOT && d->service.remain_after_exit))) {
		return SHARE_GROUP_LEAVE;
	}
	return SHARE_GROUP_KILL;
}

static void slot_write_intent(
	struct manager *m, struct node *node, const struct tree_order *order, uint32_t index)
{
	struct share_slot *slot = slot_at(m, index);
	const struct definition *d = node->definition;
	uint64_t limit = d->child.shutdown_ns;
	if (limit == SERVICE_STOP_DEFAULT) {
		limit = d->service.stop_timeout_ns;
	}
	slot_attach(m, node, order->role, index);
	slot->incarnation = order->incarnation;
	slot->order_id = order->id;
	slot->sequence = ++m->spawn_sequence;
	slot->stop_signal = d->service.kill_signal;
	slot->group = group_policy(d, order);
	slot->stop_timeout_ns = limit;
	slot->spawned_at_ns = loop_clock();
	size_t length = strlen(node_unit_name(node));
	length = length < sizeof(slot->unit) ? length : sizeof(slot->unit) - 1;
	memcpy(slot->unit, node_unit_name(node), length);
	slot->unit[length] = '\0';
	atomic_store(&slot->state, SLOT_CLAIMED);
	atomic_store(&m->share->spawning, index);
}

/* --- outcomes --- */

static void post_outcome(struct manager *m, const struct tree_order *order,
	enum tree_event_kind kind, bool flag, const struct service_end *end)
{
	if (order->role == ROLE_PROBE) {
		m->probe_refused = kind == EV_SPAWN_FAILED; /* nobody else's business */
		return;
	}
	struct tree_event event = {.kind = (uint8_t)kind,
		.role = order->role,
		.flag = flag,
		.node = order->node,
		.generation = order->generation,
		.incarnation = order->incarnation};
	if (end != NULL) {
		event.end = *end;
	}
	manager_post(m, &event, order->id, 0);
}

static void post_failed(struct manager *m, const struct tree_order *order,
	enum service_reason reason, int error, int step)
{
	struct service_end end = {
		.reason = (uint8_t)reason, .step = (uint8_t)step, .number = error};
	post_outcome(m, order, EV_SPAWN_FAILED, false, &end);
}

static void say_exec_failed(const struct node *node, const char *path, int error, int step)
{
	struct service_end end = {.reason = REASON_EXEC, .number = error, .step = (uint8_t)step};
	char text[REASON_TEXT_SIZE];
	log_error("%s: %s", node_unit_name(node), reason_text_long(&end, path, text, sizeof(text)));
}

static void clone_child(struct manager *m, struct node *node, const struct tree_order *order,
	struct process_spawn *spawn, uint32_t index)
{
	struct share_slot *slot = slot_at(m, index);
	spawn->pid = &slot->pid;
	spawn->exec_errno = &slot->exec_errno;
	spawn->exec_step = &slot->exec_step;
	pid_t pid = process_spawn(spawn);
	int error = atomic_load(&slot->exec_errno), step = atomic_load(&slot->exec_step);
	if (pid < 0) {
		atomic_store(&m->share->spawning, SHARE_SLOT_NONE);
		slot_detach(m, node, order->role);
		slot_free(m, index);
		log_error("%s: cannot start a process: %s", node_unit_name(node), strerror(-pid));
		post_failed(m, order, error != 0 ? REASON_EXEC : REASON_RESOURCES,
			error != 0 ? error : -pid, step);
		return;
	}
	share_map_insert(m->share, index);
	atomic_store(&slot->state, SLOT_ALIVE);
	atomic_store(&m->share->spawning, SHARE_SLOT_NONE);
	if (order->role == ROLE_MAIN) {
		node->last_pid = pid;
	}
	if (error != 0 && order->role != ROLE_PROBE) {
		say_exec_failed(node, spawn->path, error, step);
	}
	if (m->keeper_gone) {
		orphaned_watch(m, index);
	}
	post_outcome(m, order, EV_SPAWNED, error == 0, NULL);
	sockets_passed(m, node);
}

/* --- the order --- */

/* A manager that died in the middle of this very order: the slot knows whether there is a process.
 */
static bool spawn_has_happened(struct manager *m, struct node *node, const struct tree_order *order)
{
	uint32_t used = atomic_load(&m->share->slots_used_max);
	for (uint32_t i = 0; m->replaying && i < used; i++) {
		struct share_slot *slot = slot_at(m, i);
		if (slot->order_id != order->id || atomic_load(&slot->state) == SLOT_FREE ||
			atomic_load(&slot->pid) <= 0) {
			continue;
		}
		slot_attach(m, node, order->role, i);
		atomic_store(&slot->state, SLOT_ALIVE);
		post_outcome(m, order, EV_SPAWNED, atomic_load(&slot->exec_errno) == 0, NULL);
		return true;
	}
	return false;
}

static bool is_first_of_start(const struct definition *d, const struct tree_order *order)
{
	const uint8_t *commands = d->service.commands;
	enum service_phase first = commands[PHASE_CONDITION] > 0   ? PHASE_CONDITION
				   : commands[PHASE_START_PRE] > 0 ? PHASE_START_PRE
								   : PHASE_START;
	return order->index == 0 && order->phase == first;
}

/* The credentials that the unit has in itself stand behind what else is passed. `pass` is room for
 * the list. The descriptor, -ENOENT when there are none, or another -errno. */
static int spawn_pass_credentials(
	const struct definition *d, struct process_spawn *spawn, int pass[PROCESS_PASS_MAX])
{
	if (spawn->plan->helper == NULL || d->exec->credentials_set == NULL) {
		return -ENOENT;
	}
	int fd = spawn->pass_count < PROCESS_PASS_MAX ? credentials_open(d) : -EMFILE;
	if (fd >= 0) {
		if (spawn->pass_count > 0) {
			memcpy(pass, spawn->pass, spawn->pass_count * sizeof(*pass));
		}
		pass[spawn->pass_count++] = fd;
		spawn->pass = pass;
	}
	return fd;
}

static const struct unit_command *spawn_command(
	const struct node *node, const struct tree_order *order, struct process_spawn *spawn)
{
	CHECK(order->phase < PHASE_COUNT &&
		order->index < node->definition->exec->commands[order->phase].count);
	const struct unit_command *command =
		&node->definition->exec->commands[order->phase].list[order->index];
	spawn->plan = plan_of(node->definition, command);
	spawn->path = command->path;
	return command;
}

static void spawn_with(struct manager *m, struct node *node, const struct tree_order *order,
	const struct unit_command *command, struct process_spawn *spawn)
{
	struct err err = {{0}};
	int failed = spawn_texts(m, node, order, command, spawn, &err);
	if (failed != 0) {
		log_error("%s: %s", node_unit_name(node), err.text);
		post_failed(m, order, REASON_RESOURCES, -failed, PROCESS_STEP_NONE);
		return;
	}
	uint32_t slot = slot_claim(m);
	if (slot == SHARE_SLOT_NONE) {
		log_error("%s: too many processes", node_unit_name(node));
		post_failed(m, order, REASON_RESOURCES, EAGAIN, PROCESS_STEP_NONE);
		return;
	}
	if (order->role == ROLE_MAIN && node->definition->exec->watchdog_ns != 0) {
		spawn->watchdog_pid = place_of(spawn->envp, "WATCHDOG_PID");
	}
	cgroup_for_spawn(m, node, order, is_first_of_start(node->definition, order), spawn);
	slot_write_intent(m, node, order, slot);
	clone_child(m, node, order, spawn, slot);
	if (spawn->cgroup_fd >= 0) {
		close(spawn->cgroup_fd);
	}
}

void spawn_start(struct manager *m, const struct tree_order *order)
{
	struct node *node = node_at(m, order->node);
	const struct definition *d = node->definition;
	if (spawn_has_happened(m, node, order) || (m->adopting && adopt_spawn(m, node, order))) {
		return;
	}
	struct service_end unmet;
	if (is_first_of_start(d, order) && !conditions_hold(m, node, &unmet)) {
		bool left_out = unmet.reason == REASON_NONE;
		post_outcome(m, order, left_out ? EV_SKIPPED : EV_SPAWN_FAILED, false, &unmet);
		return;
	}
	if (sockets_spawn(m, node, order)) {
		return;
	}
	int pass[PROCESS_PASS_MAX];
	struct process_spawn spawn = {.cgroup_fd = -1};
	const struct unit_command *command = spawn_command(node, order, &spawn);
	if (is_first_of_start(d, order)) {
		strays_before_start(m, node);
	}
	notify_socket_prepare(m, node);
	sockets_pass(m, node, order, &spawn);
	int credentials = spawn_pass_credentials(d, &spawn, pass);
	if (credentials < 0 && credentials != -ENOENT) {
		log_error("%s: credentials: %s", node_unit_name(node), strerror(-credentials));
		post_failed(m, order, REASON_RESOURCES, -credentials, PROCESS_STEP_CREDENTIALS);
		return;
	}
	int ready = ready_pipe_make(m, node, order, &spawn);
	if (ready < 0) {
		log_error("%s: NotifyFd=: %s", node_unit_name(node), strerror(-ready));
		post_failed(m, order, REASON_RESOURCES, -ready, PROCESS_STEP_PASS);
	} else {
		spawn_with(m, node, order, command, &spawn);
	}
	ready_pipe_done(&spawn);
	if (credentials >= 0) {
		close(credentials);
	}
}

int spawn_probe(struct manager *m, struct node *node, const struct unit_command *command, bool bare)
{
	static const struct process_plan plain = {.new_session = true};
	struct tree_view view;
	tree_look(m->tree, node->index, m->now, &view);
	struct tree_order order = {.role = (uint8_t)ROLE_PROBE,
		.phase = PHASE_CONDITION,
		.on = !bare,
		.node = node->index,
		.generation = node->generation,
		.incarnation = view.incarnation};
	struct process_spawn spawn = {.cgroup_fd = -1,
		.plan = bare ? &plain : plan_of(node->definition, command),
		.path = command->path};
	int pass[PROCESS_PASS_MAX];
	int credentials = bare ? -ENOENT : spawn_pass_credentials(node->definition, &spawn, pass);
	if (credentials < 0 && credentials != -ENOENT) {
		return credentials;
	}
	m->passing->count = m->passing->stored = 0;
	m->probe_refused = true;
	spawn_with(m, node, &order, command, &spawn);
	if (credentials >= 0) {
		close(credentials);
	}
	return m->probe_refused ? -EAGAIN : 0;
}
