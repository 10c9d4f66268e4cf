/* The public calls of the client library: see include/coppice/client.h. */
#include "coppice/client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/stream.h"

struct coppice_client {
	struct stream stream;
	bool broken;  /* out of step: every further call fails */
	bool waiting; /* a call with `more` has replies to come */
	char words[512];
	json_t *error; /* the whole error message of the last call, or NULL */
};

/* --- errors --- */

static void client_forget_error(struct coppice_client *client)
{
	json_decref(client->error);
	client->error = NULL;
	client->words[0] = '\0';
}

/* Remembers words for a failure of the connection, after which it is of no more use. */
static int client_break(struct coppice_client *client, int result)
{
	const char *words;

	client->broken = true;
	client->waiting = false;
	switch (-result) {
	case ETIMEDOUT: words = "coppice did not answer in time"; break;
	case ECONNRESET:
	case EPIPE:
		words = "coppice closed the connection";
		result = -ECONNRESET;
		break;
	case EMSGSIZE: words = "the answer is too large"; break;
	case EBADMSG: words = "the answer is no Varlink message"; break;
	default: words = strerror(-result); break;
	}
	(void)snprintf(client->words, sizeof(client->words), "%s", words);
	return result;
}

static int client_keep_error(struct coppice_client *client, json_t *message)
{
	json_t *parameters = json_object_get(message, "parameters");
	const char *reason = json_string_value(json_object_get(parameters, "reason"));
	const char *name = json_string_value(json_object_get(message, "error"));

	client->error = message;
	client->waiting = false;
	(void)snprintf(client->words, sizeof(client->words), "%s%s%s", name,
		reason != NULL ? ": " : "", reason != NULL ? reason : "");
	return -EREMOTEIO;
}

const char *coppice_error(const struct coppice_client *client)
{
	return client->words;
}

const char *coppice_error_name(const struct coppice_client *client)
{
	return json_string_value(json_object_get(client->error, "error"));
}

json_t *coppice_error_parameters(const struct coppice_client *client)
{
	return json_object_get(client->error, "parameters");
}

/* --- opening and closing --- */

int coppice_open(const char *path, struct coppice_client **client)
{
	char default_path[256];
	struct coppice_client *opened;
	int result;

	if (path == NULL) {
		result = coppice_control_path(default_path, sizeof(default_path));
		if (result < 0) {
			return result;
		}
		path = default_path;
	}
	opened = calloc(1, sizeof(*opened));
	if (opened == NULL) {
		return -ENOMEM;
	}
	result = stream_open(&opened->stream, path);
	if (result < 0) {
		free(opened);
		return result;
	}
	*client = opened;
	return 0;
}

void coppice_close(struct coppice_client *client)
{
	if (client == NULL) {
		return;
	}
	stream_close(&client->stream);
	json_decref(client->error);
	free(client);
}

int coppice_fd(const struct coppice_client *client)
{
	return client->stream.fd;
}

/* --- calls --- */

static json_t *message_make(const char *method, json_t *parameters, bool more)
{
	const char *interface = strchr(method, '.') != NULL ? "" : "org.coppice.Control.";
	json_t *message = json_pack("{s:s++}", "method", interface, method, "");

	if (message != NULL && parameters != NULL) {
		(void)json_object_set(message, "parameters", parameters);
	}
	if (message != NULL && more) {
		(void)json_object_set_new(message, "more", json_true());
	}
	return message;
}

static int client_send(struct coppice_client *client, const char *method, json_t *parameters,
	bool more, uint64_t end_ms)
{
	json_t *message;
	int result;

	if (client->broken || client->waiting) {
		return client_break(client, -ECONNRESET);
	}
	client_forget_error(client);
	message = message_make(method, parameters, more);
	result = message != NULL ? stream_send(&client->stream, message, end_ms) : -ENOMEM;
	json_decref(message);
	/* Who was refused at the door finds the reason in what was sent before the door was shut.
	 */
	if (result < 0 && result != -EPIPE && result != -ECONNRESET) {
		return client_break(client, result);
	}
	return 0;
}

/* Takes one reply. Returns 1 when more will follow, 0 for the last one. */
static int client_receive(struct coppice_client *client, uint64_t end_ms, json_t **reply)
{
	json_t *message, *parameters;
	int result = stream_receive(&client->stream, end_ms, &message);

	if (result < 0) {
		return client_break(client, result);
	}
	if (json_is_string(json_object_get(message, "error"))) {
		return client_keep_error(client, message);
	}
	parameters = json_object_get(message, "parameters");
	if (!json_is_object(message) || (parameters != NULL && !json_is_object(parameters))) {
		json_decref(message);
		return client_break(client, -EBADMSG);
	}
	*reply = parameters != NULL ? json_incref(parameters) : json_object();
	result = json_is_true(json_object_get(message, "continues"));
	json_decref(message);
	return *reply != NULL ? result : client_break(client, -ENOMEM);
}

int coppice_call(struct coppice_client *client, const char *method, json_t *parameters,
	int timeout_ms, json_t **reply)
{
	uint64_t end_ms = stream_end_ms(timeout_ms);
	json_t *answer;
	int result = client_send(client, method, parameters, false, end_ms);

	if (result < 0) {
		return result;
	}
	result = client_receive(client, end_ms, &answer);
	if (result < 0) {
		return result;
	}
	if (result > 0) {
		json_decref(answer);
		return client_break(client, -EBADMSG); /* nobody asked for more */
	}
	*reply = answer;
	return 0;
}

int coppice_call_more(struct coppice_client *client, const char *method, json_t *parameters)
{
	int result = client_send(client, method, parameters, true, stream_end_ms(-1));

	if (result == 0) {
		client->waiting = true;
	}
	return result;
}

int coppice_next(struct coppice_client *client, int timeout_ms, json_t **reply)
{
	int result;

	if (client->broken) {
		return client_break(client, -ECONNRESET);
	}
	if (!client->waiting) {
		return 0;
	}
	client_forget_error(client);
	result = client_receive(client, stream_end_ms(timeout_ms), reply);
	if (result == -ETIMEDOUT) {
		client->broken = false; /* still in step: the reply may be taken later */
		client->waiting = true;
		return result;
	}
	if (result < 0) {
		return result;
	}
	client->waiting = result > 0;
	return 1;
}
