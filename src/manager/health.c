#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/check.h"
#include "base/span.h"
#include "manager/manager.h"
#include "manager/reason.h"
#include "process/probe.h"

/*
 * Health checks: who asks, and how. What the answers mean is the core's (src/service/health.c). A
 * check is never waited for: a connection is made without blocking and looked at by the loop, a
 * command is a process of the unit in a slot of its own, and a name that must be looked up is a
 * check by coppice-exec in such a process. The core is told only what is news to it, so that a
 * healthy service costs no event and no journal.
 */

struct probe {
	struct timer timer;          /* the limit of the check under way, or the next one */
	uint32_t index;              /* of the node */
	bool running;                /* a check is under way */
	bool overdue;                /* its process was killed, and has not been reaped */
	bool asked;                  /* HTTP: the request has been sent */
	uint8_t attempt;             /* address under way */
	int fd;                      /* -1: none */
	uint32_t count;              /* checks since they were ordered */
	size_t have;                 /* of `answer` */
	char answer[16];             /* as much as there is to be known */
	const char *helper_words[8]; /* a check by coppice-exec */
	struct unit_command helper_command;
	char port[8];
	bool good;      /* the last one */
	uint64_t at_ns; /* its end; 0: there was none */
	char said[96];
};

static void begin_check(struct manager *m, struct node *node);

static const struct unit_health *health_of(const struct node *node)
{
	return &node->definition->exec->health;
}

static struct probe *probe_of_timer(struct timer *timer)
{
	return (struct probe *)(void *)((char *)timer - offsetof(struct probe, timer));
}

/* --- the end of a check --- */

static void connection_close(struct manager *m, struct probe *p)
{
	if (p->fd >= 0) {
		loop_unwatch(m, p->fd);
		close(p->fd);
		p->fd = -1;
	}
}

static void post_probed(struct manager *m, const struct node *node, uint32_t incarnation, bool good)
{
	struct tree_event event = {.kind = EV_PROBED,
		.flag = good,
		.node = node->index,
		.generation = node->generation,
		.incarnation = incarnation};
	manager_post(m, &event, 0, 0);
}

static void finish(struct manager *m, struct node *node, bool good, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

static void finish(struct manager *m, struct node *node, bool good, const char *format, ...)
{
	struct probe *p = node->probe;
	struct tree_view view;
	va_list args;
	va_start(args, format);
	vsnprintf(p->said, sizeof(p->said), format, args);
	va_end(args);
	connection_close(m, p);
	p->running = false;
	p->good = good;
	p->at_ns = m->now;
	tree_look(m->tree, node->index, m->now, &view);
	enum service_health health = good ? HEALTH_GOOD : (enum service_health)view.health;
	const struct service_health_rules *rules = &node->definition->service.health;
	timers_set(&m->timers, &p->timer,
		span_add(m->now, service_health_pause(rules, health, p->count)));
	if (!good || view.health != HEALTH_GOOD) {
		post_probed(m, node, view.incarnation, good);
	}
}

/* --- connections --- */

union any_address {
	struct sockaddr any;
	struct sockaddr_in ip4;
	struct sockaddr_in6 ip6;
	struct sockaddr_un unix_;
};

static socklen_t address_ip(const char *text, uint16_t port, union any_address *out)
{
	memset(out, 0, sizeof(*out));
	if (inet_pton(AF_INET, text, &out->ip4.sin_addr) == 1) {
		out->ip4.sin_family = AF_INET;
		out->ip4.sin_port = htons(port);
		return sizeof(out->ip4);
	}
	if (inet_pton(AF_INET6, text, &out->ip6.sin6_addr) == 1) {
		out->ip6.sin6_family = AF_INET6;
		out->ip6.sin6_port = htons(port);
		return sizeof(out->ip6);
	}
	return 0;
}

/* The n-th address of what is checked; 0: there is none. */
static socklen_t address_of(const struct unit_health *health, uint8_t n, union any_address *out)
{
	static const char *const localhost[] = {"127.0.0.1", "::1"};
	if (health->host == NULL) {
		size_t length = strlen(health->path);
		memset(out, 0, sizeof(*out));
		if (n > 0 || length >= sizeof(out->unix_.sun_path)) {
			return 0;
		}
		out->unix_.sun_family = AF_UNIX;
		memcpy(out->unix_.sun_path, health->path, length);
		return sizeof(out->unix_);
	}
	if (strcmp(health->host, "localhost") == 0) {
		return n < 2 ? address_ip(localhost[n], health->port, out) : 0;
	}
	return n == 0 ? address_ip(health->host, health->port, out) : 0;
}

static bool needs_lookup(const struct unit_health *health)
{
	union any_address address;
	return health->host != NULL && address_of(health, 0, &address) == 0;
}

/* A connection that is on its way, or made. */
static int connection_begin(const union any_address *address, socklen_t size)
{
	int fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0) {
		return -errno;
	}
	if (connect(fd, &address->any, size) < 0 && errno != EINPROGRESS) {
		int failed = -errno;
		close(fd);
		return failed;
	}
	return fd;
}

/* Tries the addresses from the one that is next on. */
static void connection_try(struct manager *m, struct node *node)
{
	struct probe *p = node->probe;
	union any_address address;
	int failed = -EADDRNOTAVAIL;
	socklen_t size;
	while ((size = address_of(health_of(node), p->attempt, &address)) > 0) {
		p->attempt++;
		int fd = connection_begin(&address, size);
		failed = fd < 0 ? fd : loop_watch(m, fd, WATCH_PROBE, node->index, EPOLLOUT);
		if (failed == 0) {
			p->fd = fd;
			return;
		}
		if (fd >= 0) {
			close(fd);
		}
	}
	finish(m, node, false, "no connection: %s", strerror(-failed));
}

static void ask(struct manager *m, struct node *node)
{
	const struct unit_health *health = health_of(node);
	struct probe *p = node->probe;
	char request[PROBE_REQUEST_SIZE];
	int length =
		probe_request(health->host, health->port, health->path, request, sizeof(request));
	/* A fresh connection takes that much at once. */
	if (length < 0 || send(p->fd, request, (size_t)length, MSG_NOSIGNAL) != length) {
		finish(m, node, false, "the request could not be sent");
		return;
	}
	p->asked = true;
	p->have = 0;
	loop_unwatch(m, p->fd);
	if (loop_watch(m, p->fd, WATCH_PROBE, node->index, EPOLLIN) < 0) {
		finish(m, node, false, "no memory");
	}
}

static void listen_to(struct manager *m, struct node *node)
{
	struct probe *p = node->probe;
	ssize_t got = recv(p->fd, p->answer + p->have, sizeof(p->answer) - p->have, 0);
	if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
		return;
	}
	if (got <= 0) {
		finish(m, node, false, "no answer: %s",
			got < 0 ? strerror(errno) : "the connection was closed");
		return;
	}
	p->have += (size_t)got;
	int status = probe_status(p->answer, p->have);
	if (status < 0) {
		finish(m, node, false, "what answers does not speak HTTP");
	} else if (status > 0) {
		finish(m, node, probe_status_is_good(status), "status %d", status);
	}
}

static void connected(struct manager *m, struct node *node)
{
	struct probe *p = node->probe;
	int error = 0;
	socklen_t size = sizeof(error);
	getsockopt(p->fd, SOL_SOCKET, SO_ERROR, &error, &size);
	if (error != 0) {
		union any_address address;
		connection_close(m, p);
		if (address_of(health_of(node), p->attempt, &address) > 0) {
			connection_try(m, node);
		} else {
			finish(m, node, false, "no connection: %s", strerror(error));
		}
		return;
	}
	if (health_of(node)->kind == UNIT_HEALTH_TCP) {
		finish(m, node, true, "connected");
	} else {
		ask(m, node);
	}
}

void health_dispatch(struct manager *m, struct node *node)
{
	struct probe *p = node->probe;
	if (p == NULL || p->fd < 0) {
		return;
	}
	if (p->asked) {
		listen_to(m, node);
	} else {
		connected(m, node);
	}
}

/* --- processes --- */

/* "coppice-exec --check HOST PORT [PATH]". */
static const struct unit_command *helper_command(struct manager *m, struct node *node)
{
	const struct unit_health *health = health_of(node);
	struct probe *p = node->probe;
	uint32_t n = 0;
	snprintf(p->port, sizeof(p->port), "%u", health->port);
	p->helper_words[n++] = m->helper_path;
	p->helper_words[n++] = "--check";
	p->helper_words[n++] = health->host;
	p->helper_words[n++] = p->port;
	if (health->kind == UNIT_HEALTH_HTTP) {
		p->helper_words[n++] = health->path;
	}
	p->helper_words[n] = NULL;
	p->helper_command = (struct unit_command){
		.path = m->helper_path, .argv = p->helper_words, .no_expand = true};
	return &p->helper_command;
}

static void process_begin(struct manager *m, struct node *node)
{
	bool by_helper = health_of(node)->kind != UNIT_HEALTH_EXEC;
	const struct unit_command *command =
		by_helper ? helper_command(m, node) : health_of(node)->command;
	int failed = spawn_probe(m, node, command, by_helper);
	if (failed != 0) {
		finish(m, node, false, "it could not be made: %s", strerror(-failed));
	}
}

static const char *helper_text(int status)
{
	switch ((enum probe_result)status) {
	case PROBE_GOOD: return "it answers";
	case PROBE_BAD: return "the answer is not a good one";
	case PROBE_REFUSED: return "no connection";
	case PROBE_UNKNOWN: return "its host name is not known";
	case PROBE_NO_ANSWER: return "no answer";
	}
	return "the check itself failed";
}

void health_process_ended(struct manager *m, struct node *node, const struct service_end *end)
{
	struct probe *p = node->probe;
	char text[REASON_TEXT_SIZE];
	if (p == NULL) {
		return;
	}
	p->overdue = false;
	if (!p->running) {
		return;
	}
	bool good = end->reason == REASON_EXIT && end->number == 0;
	if (end->reason == REASON_EXIT && health_of(node)->kind != UNIT_HEALTH_EXEC) {
		finish(m, node, good, "%s", helper_text(end->number));
	} else {
		finish(m, node, good, "%s", reason_text(end, text, sizeof(text)));
	}
}

static void process_kill(struct manager *m, struct node *node)
{
	uint32_t slot = node->slots[ROLE_PROBE];
	if (slot != SHARE_SLOT_NONE && slot_signal(m, slot, SIGKILL, true) == -ESRCH) {
		slot_signal(m, slot, SIGKILL, false);
	}
}

/* --- when --- */

static void begin_check(struct manager *m, struct node *node)
{
	const struct unit_health *health = health_of(node);
	struct probe *p = node->probe;
	if (health->kind == UNIT_HEALTH_NONE) {
		return; /* new rules; the core takes its order back */
	}
	p->count += p->count < UINT32_MAX;
	p->running = true;
	p->asked = false;
	p->attempt = 0;
	timers_set(&m->timers, &p->timer, span_add(m->now, health->timeout_ns));
	if (p->overdue) {
		finish(m, node, false, "the process of the last one does not end");
	} else if (health->kind == UNIT_HEALTH_EXEC || needs_lookup(health)) {
		process_begin(m, node);
	} else {
		connection_try(m, node);
	}
}

void health_timer(struct manager *m, struct timer *timer)
{
	struct probe *p = probe_of_timer(timer);
	struct node *node = node_at(m, p->index);
	char span[SPAN_TEXT_SIZE];
	CHECK(node != NULL && node->probe == p);
	if (!p->running) {
		begin_check(m, node);
		return;
	}
	p->overdue = node->slots[ROLE_PROBE] != SHARE_SLOT_NONE;
	process_kill(m, node);
	finish(m, node, false, "no answer within %s",
		span_format(health_of(node)->timeout_ns, span, sizeof(span)));
}

static struct probe *probe_make(struct manager *m, struct node *node)
{
	struct probe *p = calloc(1, sizeof(*p));
	if (p == NULL || timers_reserve(&m->timers, 1) < 0) {
		free(p);
		return NULL;
	}
	timer_init(&p->timer, TIMER_PROBE);
	p->index = node->index;
	p->fd = -1;
	node->probe = p;
	return p;
}

static int health_prepare(struct manager *m, struct node *node)
{
	if (node->probe != NULL || node->definition->exec == NULL ||
		health_of(node)->kind == UNIT_HEALTH_NONE) {
		return 0;
	}
	return probe_make(m, node) != NULL ? 0 : -ENOMEM;
}

void health_order(struct manager *m, struct node *node, bool on)
{
	if (health_prepare(m, node) < 0 || node->probe == NULL) {
		return; /* no memory: without checks it never becomes ready, and its start ends */
	}
	struct probe *p = node->probe;
	connection_close(m, p);
	timers_clear(&m->timers, &p->timer);
	p->running = p->overdue = false;
	/* A check that is still under way is nobody's business any more. */
	process_kill(m, node);
	slot_detach(m, node, ROLE_PROBE);
	if (on && !m->keeper_gone) {
		p->count = 0;
		p->at_ns = 0;
		timers_set(&m->timers, &p->timer, m->now);
	}
}

void health_leave(struct manager *m, struct node *node)
{
	if (node->probe != NULL) {
		health_order(m, node, false);
		timers_reserve(&m->timers, -1);
		free(node->probe);
		node->probe = NULL;
	}
}

void health_resume(struct manager *m)
{
	for (uint32_t i = 0; i < m->nodes_room; i++) {
		struct tree_view view;
		struct node *node = m->nodes[i];
		if (node == NULL) {
			continue;
		}
		tree_look(m->tree, i, m->now, &view);
		bool begun = node->probe != NULL && node->probe->timer.place != TIMER_NOT_ARMED;
		if (view.probing && !begun) {
			health_order(m, node, true);
		}
		if (view.probing && !begun && node->probe != NULL &&
			view.health != HEALTH_STARTING) {
			/* It has just been asked by the last manager. */
			timers_set(&m->timers, &node->probe->timer,
				span_add(m->now, health_of(node)->interval_ns));
		}
	}
}

const char *health_said(const struct node *node, bool *good, uint64_t *at_ns)
{
	const struct probe *p = node->probe;
	if (p == NULL || p->at_ns == 0) {
		return NULL;
	}
	*good = p->good;
	*at_ns = p->at_ns;
	return p->said;
}
