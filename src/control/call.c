#include "control/connection.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "control/types.h"

/* --- replies --- */

static json_t *parameters_or_empty(json_t *parameters)
{
	return parameters != NULL ? parameters : json_object();
}

/* The call is over: what comes next on its connection may be handled. */
static void call_finish(struct control_call *call, json_t *message)
{
	struct connection *c = call->connection;

	call->open = false;
	c->starving = false;
	if (call->oneway) {
		json_decref(message);
		connection_settle(c);
		return;
	}
	connection_queue(c, message);
}

void control_reply(struct control_call *call, json_t *parameters)
{
	if (!ASSUME(call->open)) {
		json_decref(parameters);
		return;
	}
	call_finish(call, json_pack("{s:o}", "parameters", parameters_or_empty(parameters)));
}

bool control_reply_more(struct control_call *call, json_t *parameters)
{
	struct connection *c = call->connection;

	if (!ASSUME(call->open)) {
		json_decref(parameters);
		return false;
	}
	if (call->oneway || !ASSUME(call->more)) {
		json_decref(parameters);
		return true;
	}
	connection_queue(c, json_pack("{s:o,s:b}", "parameters", parameters_or_empty(parameters),
				    "continues", 1));
	return !c->dead;
}

void control_reply_error(struct control_call *call, const char *error, json_t *parameters)
{
	if (!ASSUME(call->open)) {
		json_decref(parameters);
		return;
	}
	call_finish(call, json_pack("{s:s,s:o}", "error", error, "parameters",
				  parameters_or_empty(parameters)));
}

/* --- looking --- */

bool control_call_wants_more(const struct control_call *call)
{
	return call->more;
}

size_t control_call_room(const struct control_call *call)
{
	struct connection *c = call->connection;
	size_t queued = frame_out_queued(&c->out);

	/* Whoever asks may stop at what it is told, also at a little: it is told when there is much
	 * again. */
	c->starving = c->starving || queued >= CONTROL_QUEUE_POLITE / 2;
	return queued < CONTROL_QUEUE_POLITE ? CONTROL_QUEUE_POLITE - queued : 0;
}

const struct control_peer *control_call_peer(const struct control_call *call)
{
	return &call->connection->peer;
}

uint64_t control_call_id(const struct control_call *call)
{
	return call->id;
}

void control_call_set_data(struct control_call *call, void *data)
{
	call->data = data;
}

void *control_call_data(const struct control_call *call)
{
	return call->data;
}

/* --- a message becomes a call --- */

static void call_refuse(struct control_call *call, const char *method)
{
	char error[256], reason[512];

	(void)snprintf(error, sizeof(error), "%s.Refused",
		call->connection->server->config.interface_name);
	(void)snprintf(reason, sizeof(reason),
		"user %u may only look; %s needs root or the user that coppice runs as",
		(unsigned)call->connection->peer.uid, method);
	control_reply_error(call, error, json_pack("{s:s}", "reason", reason));
}

static void call_dispatch(struct control_call *call, const char *method, const json_t *parameters)
{
	const struct control_config *config = &call->connection->server->config;
	const struct control_method *found = NULL;
	char wrong[128];

	if (introspection_answer(call, method, parameters)) {
		return;
	}
	for (size_t i = 0; i < config->methods_count; i++) {
		if (strcmp(config->methods[i].name, method) == 0) {
			found = &config->methods[i];
		}
	}
	if (found == NULL) {
		introspection_refuse_unknown(call, method);
	} else if (found->changes && call->connection->access != ACCESS_ALL) {
		call_refuse(call, method);
	} else if (found->only_more && !call->more) {
		control_reply_error(call, "org.varlink.service.ExpectedMore", NULL);
	} else if (types_find_wrong(config->interface_text, strrchr(method, '.') + 1, parameters,
			   wrong, sizeof(wrong)) != NULL) {
		control_reply_error(call, "org.varlink.service.InvalidParameter",
			json_pack("{s:s}", "parameter", wrong));
	} else {
		call->method = found;
		found->handler(config->context, call, parameters);
	}
}

/* A member that is absent or of the type wanted. */
static bool member_fits(const json_t *value, json_type type)
{
	if (value == NULL) {
		return true;
	}
	return json_typeof(value) == type || (type == JSON_TRUE && json_is_false(value));
}

static bool envelope_fits(const json_t *message)
{
	return json_is_object(message) && json_is_string(json_object_get(message, "method")) &&
	       member_fits(json_object_get(message, "parameters"), JSON_OBJECT) &&
	       member_fits(json_object_get(message, "more"), JSON_TRUE) &&
	       member_fits(json_object_get(message, "oneway"), JSON_TRUE) &&
	       !json_is_true(json_object_get(message, "upgrade"));
}

void call_begin(struct connection *c, const char *text, size_t size)
{
	struct control_call *call = &c->call;
	json_t *message = NULL, *parameters, *empty;

	CHECK(!call->open);
	if (frame_text_modest(text, size)) {
		message = json_loadb(text, size, JSON_REJECT_DUPLICATES, NULL);
	}
	empty = json_object();
	if (message == NULL || empty == NULL || !envelope_fits(message)) {
		json_decref(message);
		json_decref(empty);
		connection_kill(c); /* Varlink has no answer to what is not a call. */
		return;
	}
	parameters = json_object_get(message, "parameters");
	*call = (struct control_call){
		.connection = c,
		.id = ++c->server->last_call_id,
		.open = true,
		.more = json_is_true(json_object_get(message, "more")),
		.oneway = json_is_true(json_object_get(message, "oneway")),
	};
	call_dispatch(call, json_string_value(json_object_get(message, "method")),
		parameters != NULL ? parameters : empty);
	json_decref(message);
	json_decref(empty);
}
