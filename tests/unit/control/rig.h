/*
 * A control server in this process and raw clients that speak bytes to it.
 */
#ifndef TESTS_CONTROL_RIG_H
#define TESTS_CONTROL_RIG_H

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/check.h"
#include "control/server.h"

struct rig {
	char directory[64], path[80];
	int listen_fd;
	struct control_server *server;
	int access;                   /* what the next peers may do */
	struct control_call *held[8]; /* calls of Hold, not answered */
	unsigned held_count, gone_count, done_count, drained_count;
	struct control_call *flood; /* a call that sends as much as there is room for */
	unsigned flood_sent, flood_total;
	char order[256]; /* names of Mark calls, in the order in which they were handled */
};

static inline int rig_access(void *context, const struct control_peer *peer)
{
	struct rig *rig = context;

	assert_int_equal(peer->uid, geteuid());
	assert_int_equal(peer->pid, getpid());
	return rig->access;
}

static inline void rig_echo(void *context, struct control_call *call, const json_t *parameters)
{
	struct rig *rig = context;

	rig->done_count++;
	control_reply(call, json_deep_copy(parameters));
}

static inline void rig_mark(void *context, struct control_call *call, const json_t *parameters)
{
	struct rig *rig = context;

	strcat(rig->order, json_string_value(json_object_get(parameters, "name")));
	rig->done_count++;
	control_reply(call, NULL);
}

static inline void rig_hold(void *context, struct control_call *call, const json_t *parameters)
{
	struct rig *rig = context;

	(void)parameters;
	rig->held[rig->held_count++] = call;
}

static inline json_t *rig_big(size_t size)
{
	char *text = malloc(size + 1);
	json_t *object;

	memset(text, 'x', size);
	text[size] = '\0';
	object = json_pack("{s:s}", "big", text);
	free(text);
	return object;
}

static inline void rig_flood_on(struct rig *rig)
{
	while (rig->flood != NULL && control_call_room(rig->flood) > 0) {
		if (rig->flood_sent == rig->flood_total) {
			struct control_call *call = rig->flood;

			rig->flood = NULL;
			control_reply(call, NULL);
			return;
		}
		rig->flood_sent++;
		if (!control_reply_more(rig->flood, rig_big(100000))) {
			rig->flood = NULL;
		}
	}
}

static inline void rig_flood(void *context, struct control_call *call, const json_t *parameters)
{
	struct rig *rig = context;

	rig->flood_total = (unsigned)json_integer_value(json_object_get(parameters, "count"));
	rig->flood = call;
	rig_flood_on(rig);
}

static inline void rig_drained(void *context, struct control_call *call)
{
	struct rig *rig = context;

	rig->drained_count++;
	if (call == rig->flood) {
		rig_flood_on(rig);
	}
}

static inline void rig_gone(void *context, struct control_call *call)
{
	struct rig *rig = context;

	rig->gone_count++;
	if (call == rig->flood) {
		rig->flood = NULL;
	}
}

static const struct control_method rig_methods[] = {
	{"org.coppice.Control.Echo", false, rig_echo},
	{"org.coppice.Control.Mark", false, rig_mark},
	{"org.coppice.Control.Hold", false, rig_hold},
	{"org.coppice.Control.Change", true, rig_echo},
	{"org.coppice.Control.Count", false, rig_echo}, /* one of the real definition */
	{"org.coppice.Control.Stream", false, rig_hold, .only_more = true},
	{"org.coppice.Control.Flood", false, rig_flood, .only_more = true},
};

static inline int rig_setup(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct control_config config = {
		.vendor = "coppice",
		.product = "test",
		.version = "1",
		.url = "http://localhost/",
		.interface_name = "org.coppice.Control",
		.interface_text = control_interface_text,
		.methods = rig_methods,
		.methods_count = sizeof(rig_methods) / sizeof(rig_methods[0]),
		.context = rig,
		.access = rig_access,
		.gone = rig_gone,
		.drained = rig_drained,
	};

	check_assume_fatal = true;
	rig->access = 2;
	strcpy(rig->directory, "/tmp/coppice-test-XXXXXX");
	assert_non_null(mkdtemp(rig->directory));
	snprintf(rig->path, sizeof(rig->path), "%s/control", rig->directory);
	strcpy(address.sun_path, rig->path);
	rig->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(rig->listen_fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(rig->listen_fd, 1024), 0);
	config.listen_fd = rig->listen_fd;
	assert_int_equal(control_server_create(&config, &rig->server), 0);
	*state = rig;
	return 0;
}

static inline int rig_teardown(void **state)
{
	struct rig *rig = *state;

	control_server_destroy(rig->server);
	close(rig->listen_fd);
	unlink(rig->path);
	rmdir(rig->directory);
	free(rig);
	return 0;
}

/* Lets the server work until it has nothing to do. */
static inline unsigned rig_run(struct rig *rig)
{
	struct pollfd fd = {.fd = control_server_fd(rig->server), .events = POLLIN};
	unsigned turns = 0;

	while (poll(&fd, 1, 0) > 0) {
		control_server_dispatch(rig->server);
		assert_true(++turns < 100000); /* else it spins */
	}
	return turns;
}

static inline int rig_connect(struct rig *rig)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	strcpy(address.sun_path, rig->path);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

/* Sends a text with its NUL. */
static inline void rig_say(int fd, const char *text)
{
	size_t size = strlen(text) + 1;

	assert_int_equal(send(fd, text, size, MSG_NOSIGNAL), (ssize_t)size);
}

/* Runs the server, then takes one message from the client's side. NULL at the end of the stream or
 * when there is none. */
static inline const char *rig_hear(struct rig *rig, int fd)
{
	static char text[300000];
	size_t length = 0;

	while (length < sizeof(text)) {
		ssize_t got;
		char *nul;

		rig_run(rig);
		got = recv(fd, text + length, sizeof(text) - length, MSG_DONTWAIT | MSG_PEEK);
		if (got <= 0) {
			return NULL;
		}
		nul = memchr(text + length, '\0', (size_t)got);
		got = nul != NULL ? nul + 1 - (text + length) : got;
		length += (size_t)recv(fd, text + length, (size_t)got, MSG_DONTWAIT);
		if (nul != NULL) {
			return text;
		}
	}
	fail_msg("a message without an end");
	return NULL;
}

static inline void rig_expect(struct rig *rig, int fd, const char *expected)
{
	const char *text = rig_hear(rig, fd);

	assert_non_null(text);
	assert_string_equal(text, expected);
}

/* True when the server has closed the connection, and nothing is left to be read. */
static inline bool rig_is_closed(struct rig *rig, int fd)
{
	char byte;
	ssize_t got;

	rig_run(rig);
	got = recv(fd, &byte, 1, MSG_DONTWAIT);
	return got == 0 || (got < 0 && errno != EAGAIN);
}

#endif
