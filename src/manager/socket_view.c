#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "manager/sockets.h"

/* What people are told of socket units, and of what services have stored. */

static const char *const kind_names[] = {
	[LISTEN_STREAM] = "Stream",
	[LISTEN_DATAGRAM] = "Datagram",
	[LISTEN_SEQPACKET] = "SequentialPacket",
	[LISTEN_FIFO] = "FIFO",
	[LISTEN_SPECIAL] = "Special",
	[LISTEN_NETLINK] = "Netlink",
	[LISTEN_MQUEUE] = "MessageQueue",
};

/* "/run/s (Stream), 80 (Stream)", cut. */
static void listens_text(const struct unit_socket *unit, char *out, size_t size)
{
	size_t used = 0;
	out[0] = '\0';
	for (uint32_t i = 0; i < unit->listens_count && used < size; i++) {
		int n = snprintf(out + used, size - used, "%s%s (%s)", i > 0 ? ", " : "",
			unit->listens[i].address, kind_names[unit->listens[i].kind]);
		used += n > 0 ? (size_t)n : 0;
	}
}

static void put_number(json_t *out, const char *key, uint64_t number)
{
	char text[32];
	snprintf(text, sizeof(text), "%" PRIu64, number);
	json_object_set_new(out, key, json_string(text));
}

void sockets_show(struct manager *m, const struct node *node, json_t *out)
{
	const struct unit *unit = node_unit(node);
	char text[2048];
	if (unit->kind == UNIT_SERVICE) {
		put_number(
			out, "StoredDescriptors", node->fds != NULL ? node->fds->stored_count : 0);
		put_number(out, "FileDescriptorStoreMax", unit->service->fd_store_max);
	}
	if (unit->kind != UNIT_SOCKET) {
		return;
	}
	listens_text(unit->socket, text, sizeof(text));
	json_object_set_new(out, "Listen", json_string(text));
	json_object_set_new(out, "Accept", json_string(unit->socket->accept ? "yes" : "no"));
	json_object_set_new(out, "Triggers", json_string(unit->socket->service));
	put_number(out, "OpenSockets", node->fds != NULL ? node->fds->sockets_count : 0);
	if (unit->socket->accept && node->fds != NULL) {
		put_number(out, "NConnections", traffic_connections(m, node));
		put_number(out, "NAccepted", node->fds->accepted);
		put_number(out, "NRefused", node->fds->refused);
	}
}

static void say(json_t *out, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void say(json_t *out, const char *format, ...)
{
	char text[3072];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	json_array_append_new(out, json_string(text));
}

void sockets_why(struct manager *m, const struct node *node, json_t *out)
{
	const struct unit_socket *unit = node_unit(node)->socket;
	const struct node *service = node_by_name(m, unit->service);
	struct tree_view view;
	char text[2048];
	listens_text(unit, text, sizeof(text));
	say(out, "It listens on %s.", text);
	if (unit->accept) {
		say(out, "Each connection gets a process of its own, of %s: %u now, at most %u.",
			unit->service, traffic_connections(m, node), unit->connections_max);
		return;
	}
	if (service == NULL) {
		say(out, "There is no %s in the tree: what comes waits.", unit->service);
		return;
	}
	tree_look(m->tree, service->index, m->now, &view);
	if (view.held) {
		say(out, "%s was stopped by hand: what comes waits until it is started.",
			unit->service);
	} else if (view.state == STATE_STOPPED || view.state == STATE_DONE ||
		   view.state == STATE_FAILED) {
		say(out, "The first traffic starts %s.", unit->service);
	} else {
		say(out, "What comes is for %s, which is %s.", unit->service,
			tree_state_names[view.state]);
	}
}
