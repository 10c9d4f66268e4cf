#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/log.h"
#include "base/names.h"
#include "base/str.h"
#include "manager/manager.h"

#define ERROR(name) "org.coppice.Control." name

/* --- parameters --- */

static const char *text_of(const json_t *parameters, const char *key)
{
	return json_string_value(json_object_get(parameters, key));
}

static bool flag_of(const json_t *parameters, const char *key)
{
	return json_is_true(json_object_get(parameters, key));
}

static void reply_invalid(struct control_call *call, const char *argument, const char *reason)
{
	control_reply_error(call, ERROR("InvalidArgument"),
		json_pack("{s:s,s:s}", "argument", argument, "reason", reason));
}

static void reply_failed(struct control_call *call, const char *unit, const char *reason)
{
	control_reply_error(
		call, ERROR("Failed"), json_pack("{s:s?,s:s}", "unit", unit, "reason", reason));
}

/* The nearest name, for somebody who has mistyped one. */
static const char *nearest(struct manager *m, const char *name)
{
	unsigned best = 4;
	const char *found = NULL;
	for (uint32_t i = 0; i < m->nodes_room && i < 4096; i++) {
		if (m->nodes[i] != NULL) {
			unsigned distance = str_distance(name, node_unit_name(m->nodes[i]));
			if (distance < best) {
				best = distance;
				found = node_unit_name(m->nodes[i]);
			}
		}
	}
	return found;
}

static void reply_no_unit(struct manager *m, struct control_call *call, const char *name)
{
	char whole[UNIT_NAME_SIZE];
	if (unit_name_normalize(name, whole, sizeof(whole)) < 0) {
		str_copy(whole, sizeof(whole), name);
	}
	control_reply_error(call, ERROR("NoSuchUnit"),
		json_pack("{s:s,s:s?}", "unit", whole, "hint", nearest(m, whole)));
}

struct node *request_node(struct manager *m, struct control_call *call, const json_t *parameters)
{
	const char *name = text_of(parameters, "unit");
	if (name == NULL) {
		reply_invalid(call, "unit", "the name of a unit is wanted");
		return NULL;
	}
	struct node *node = node_by_name(m, name);
	if (node == NULL) {
		reply_no_unit(m, call, name);
	}
	return node;
}

/* --- the table of requests --- */

/* A number whose place in the table is not taken by an open request. */
static struct request *request_open(struct manager *m)
{
	for (uint32_t i = 0; i < REQUESTS_MAX; i++) {
		uint64_t number = m->request_last + 1 + i;
		struct request *request = &m->requests[number % REQUESTS_MAX];
		if (request->state != REQUEST_OPEN) {
			*request = (struct request){.number = number, .state = REQUEST_OPEN};
			m->request_last = number;
			return request;
		}
	}
	return NULL;
}

static struct request *request_by_id(struct manager *m, const char *id)
{
	for (uint32_t i = 0; i < REQUESTS_MAX; i++) {
		struct request *request = &m->requests[i];
		if (request->state != REQUEST_FREE && strcmp(request->id, id) == 0) {
			return request;
		}
	}
	return NULL;
}

static void reply_result(struct control_call *call, enum tree_result result)
{
	control_reply(call, json_pack("{s:s}", "result", tree_result_names[result]));
}

static void reply_accepted(struct control_call *call)
{
	control_reply(call, json_pack("{s:s}", "result", "accepted"));
}

void request_reply(struct manager *m, uint64_t number, enum tree_result result)
{
	struct request *request = &m->requests[number % REQUESTS_MAX];
	if (request->number != number || request->state != REQUEST_OPEN) {
		return;
	}
	struct control_call *call = request->call;
	request->state = REQUEST_DONE;
	request->result = (uint8_t)result;
	request->call = NULL;
	if (call != NULL) {
		reply_result(call, result);
	}
}

static void request_note(struct manager *m, const struct request *request)
{
	struct journal_request record = {.number = request->number,
		.node = request->node,
		.generation = request->generation,
		.kind = request->kind,
		.state = request->state,
		.result = request->result};
	memcpy(record.id, request->id, sizeof(record.id));
	journal_append(&m->journal, JOURNAL_REQUEST, &record, sizeof(record));
}

void request_restored(struct manager *m, const struct journal_request *record)
{
	struct request *request = &m->requests[record->number % REQUESTS_MAX];
	*request = (struct request){.number = record->number,
		.state = record->state,
		.kind = record->kind,
		.result = record->result,
		.node = record->node,
		.generation = record->generation};
	memcpy(request->id, record->id, sizeof(request->id));
	if (record->number > m->request_last) {
		m->request_last = record->number;
	}
}

/* The same request again, by a client that has lost its connection: it is done once. */
static bool request_is_known(
	struct manager *m, struct control_call *call, const char *id, bool no_wait)
{
	struct request *request = id == NULL || id[0] == '\0' ? NULL : request_by_id(m, id);
	if (request == NULL) {
		return false;
	}
	if (request->state == REQUEST_DONE) {
		reply_result(call, request->result);
	} else if (no_wait) {
		reply_accepted(call);
	} else if (request->call == NULL) {
		request->call = call;
	} else {
		reply_invalid(call, "id", "another request with this id is under way");
	}
	return true;
}

/* --- new children of dynamic supervisors --- */

int request_add(struct manager *m, const char *name, struct request *request, struct err *err)
{
	struct node *supervisor = NULL;
	char whole[UNIT_NAME_SIZE];
	if (unit_name_normalize(name, whole, sizeof(whole)) < 0 ||
		units_template_of(m, whole, &supervisor) == NULL || supervisor == NULL) {
		return err_set(err, ENOENT, "%s: no such unit", name);
	}
	struct definition *d = units_definition(m, whole, err);
	if (d == NULL) {
		return -EINVAL;
	}
	uint32_t index = tree_add_dynamic(m->tree, supervisor->index, &d->child);
	int failed =
		index == NODE_NONE ? -ENOMEM : node_enter(m, index, supervisor->index, false, d);
	definition_release(d);
	if (failed != 0) {
		return err_set(err, -failed, "%s: %s", whole, strerror(-failed));
	}
	struct node *node = node_at(m, index);
	notify_socket_open(m, node);
	journal_together(&m->journal); /* the place and what comes into it */
	snapshot_note_node(m, node);
	struct tree_event event = {.kind = EV_ADD, .node = index, .generation = node->generation};
	if (request != NULL) {
		request->node = index;
		request->generation = node->generation;
		event.request = request->number;
	}
	manager_post(m, &event, 0, 0);
	return 0;
}

/* --- methods that change --- */

static void request_post(struct manager *m, const struct request *request, bool flag)
{
	struct tree_event event = {.kind = request->kind,
		.flag = flag,
		.node = request->node,
		.generation = request->generation,
		.request = request->number};
	links_ask(m, node_at(m, request->node), &event);
}

/* RefuseManualStart=, RefuseManualStop=: what is refused, NULL for nothing. */
static const char *refused_by_hand(const struct node *node, enum tree_event_kind kind)
{
	const struct unit *unit = node_unit(node);
	if (unit->refuse_start && (kind == EV_START || kind == EV_RESTART)) {
		return "RefuseManualStart= says that it is not to be started by hand";
	}
	if (unit->refuse_stop && (kind == EV_STOP || kind == EV_RESTART)) {
		return "RefuseManualStop= says that it is not to be stopped by hand";
	}
	return NULL;
}

/* Deleted, or temporary and ended: a start adds it again, at the end of the list. */
static bool is_forgotten(struct manager *m, const struct node *node)
{
	struct tree_view view;
	tree_look(m->tree, node->index, m->now, &view);
	if (view.present || node->parent == NODE_NONE) {
		return false;
	}
	tree_look(m->tree, node->parent, m->now, &view);
	return view.state == STATE_RUNNING;
}

static void change(struct manager *m, struct control_call *call, const json_t *parameters,
	enum tree_event_kind kind)
{
	const char *name = text_of(parameters, "unit"), *id = text_of(parameters, "id");
	struct err err = {{0}};
	if (name == NULL) {
		reply_invalid(call, "unit", "the name of a unit is wanted");
		return;
	}
	if (request_is_known(m, call, id, flag_of(parameters, "no_wait"))) {
		return;
	}
	struct node *node = node_by_name(m, name);
	bool add = node == NULL && kind == EV_START && units_template_of(m, name, NULL) != NULL;
	if (node == NULL && !add) {
		reply_no_unit(m, call, name);
		return;
	}
	if (node != NULL && refused_by_hand(node, kind) != NULL) {
		reply_failed(call, name, refused_by_hand(node, kind));
		return;
	}
	struct request *request = request_open(m);
	if (request == NULL) {
		control_reply_error(call, ERROR("TooManyRequests"), NULL);
		return;
	}
	request->kind =
		(uint8_t)(add || (kind == EV_START && is_forgotten(m, node)) ? EV_ADD : kind);
	if (id != NULL) {
		str_copy(request->id, sizeof(request->id), id);
	}
	if (add) {
		if (request_add(m, name, request, &err) != 0) {
			request->state = REQUEST_FREE;
			reply_failed(call, name, err.text);
			return;
		}
	} else {
		request->node = node->index;
		request->generation = node->generation;
	}
	if (request->id[0] != '\0') {
		if (!add) {
			/* A request that is known and was never put to the core would be waited for
			 * in vain. */
			journal_together(&m->journal);
		}
		request_note(m, request);
	}
	if (!add) {
		request_post(m, request, kind == EV_STOP && !flag_of(parameters, "once"));
	}
	if (flag_of(parameters, "no_wait")) {
		reply_accepted(call);
	} else {
		request->call = call;
	}
}

static void method_start(void *m, struct control_call *call, const json_t *parameters)
{
	change(m, call, parameters, EV_START);
}

static void method_stop(void *m, struct control_call *call, const json_t *parameters)
{
	change(m, call, parameters, EV_STOP);
}

static void method_restart(void *m, struct control_call *call, const json_t *parameters)
{
	change(m, call, parameters, EV_RESTART);
}

static void method_reload(void *m, struct control_call *call, const json_t *parameters)
{
	change(m, call, parameters, EV_RELOAD);
}

static void method_delete(void *m, struct control_call *call, const json_t *parameters)
{
	change(m, call, parameters, EV_DELETE);
}

static void method_kill(void *manager, struct control_call *call, const json_t *parameters)
{
	struct manager *m = manager;
	struct node *node = request_node(m, call, parameters);
	const char *text = text_of(parameters, "signal");
	if (node == NULL) {
		return;
	}
	int signo = text == NULL ? SIGTERM : signal_parse(text);
	if (signo <= 0) {
		reply_invalid(call, "signal", "no signal has this name");
		return;
	}
	uint32_t slot = node->slots[ROLE_MAIN];
	if (slot == SHARE_SLOT_NONE) {
		reply_failed(call, node_unit_name(node), "it has no main process");
		return;
	}
	int failed = slot_signal(m, slot, signo, flag_of(parameters, "all"));
	if (failed != 0) {
		reply_failed(call, node_unit_name(node), strerror(-failed));
		return;
	}
	control_reply(call, NULL);
}

static void method_daemon_reload(void *manager, struct control_call *call, const json_t *parameters)
{
	reload_units(manager, flag_of(parameters, "dry_run"), call);
}

static void method_shutdown(void *manager, struct control_call *call, const json_t *parameters)
{
	struct manager *m = manager;
	struct tree_event event = {.kind = EV_SHUTDOWN, .flag = flag_of(parameters, "now")};
	control_reply(call, NULL);
	manager_post(m, &event, 0, 0);
}

/* --- the server --- */

static const struct control_method methods[] = {
	{.name = ERROR("List"), .handler = method_list},
	{.name = ERROR("Show"), .handler = method_show},
	{.name = ERROR("Cat"), .handler = method_cat},
	{.name = ERROR("Why"), .handler = method_why},
	{.name = ERROR("Count"), .handler = method_count},
	{.name = ERROR("Start"), .changes = true, .handler = method_start},
	{.name = ERROR("Stop"), .changes = true, .handler = method_stop},
	{.name = ERROR("Restart"), .changes = true, .handler = method_restart},
	{.name = ERROR("Reload"), .changes = true, .handler = method_reload},
	{.name = ERROR("Delete"), .changes = true, .handler = method_delete},
	{.name = ERROR("Kill"), .changes = true, .handler = method_kill},
	{.name = ERROR("Wait"), .handler = method_wait},
	{.name = ERROR("Settle"), .handler = method_settle},
	{.name = ERROR("Subscribe"), .only_more = true, .handler = method_subscribe},
	{.name = ERROR("Trace"), .handler = method_trace},
	{.name = ERROR("DaemonReload"), .changes = true, .handler = method_daemon_reload},
	{.name = ERROR("Shutdown"), .changes = true, .handler = method_shutdown},
	{.name = ERROR("Status"), .handler = method_status},
};

static void call_gone(void *manager, struct control_call *call)
{
	struct manager *m = manager;
	for (uint32_t i = 0; i < REQUESTS_MAX; i++) {
		if (m->requests[i].state == REQUEST_OPEN && m->requests[i].call == call) {
			m->requests[i].call = NULL;
			return;
		}
	}
	listing_gone(m, call);
	reload_gone(m, call);
	stream_gone(m, call);
}

int requests_serve(struct manager *m)
{
	struct control_config config = {
		.listen_fd = m->control_fd,
		.vendor = "coppice",
		.product = "coppice",
		.version = COPPICE_VERSION,
		.url = "",
		.interface_name = "org.coppice.Control",
		.interface_text = control_interface_text,
		.methods = methods,
		.methods_count = sizeof(methods) / sizeof(methods[0]),
		.context = m,
		.access = access_of,
		.gone = call_gone,
		.drained = listing_go_on,
	};
	int failed = control_server_create(&config, &m->server);
	if (failed != 0) {
		return failed;
	}
	return loop_watch(m, control_server_fd(m->server), WATCH_CONTROL, 0, EPOLLIN);
}
