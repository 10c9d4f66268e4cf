/* See http.h. */
#include "http.h"

#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define EVENTS_MAX     64
#define ACCEPT_MAX     64 /* connections a turn, so that those that are there are served too */
#define DRAIN_MAX_MS   10000
#define LISTEN_FD_BASE 3 /* sd_listen_fds(3) */

enum conn_state {
	CONN_READING, /* until a request is whole */
	CONN_WAITING, /* the handler has it */
	CONN_WRITING, /* the answer did not fit into the socket's buffer */
};

struct http_conn {
	struct source source;
	struct http_conn *next, **link;
	enum conn_state state;
	bool keep_alive;
	bool head_only; /* HEAD: the answer's head without its body */
	bool advancing; /* conn_advance() is on the stack and goes on by itself */
	void *data;
	char *out;
	size_t out_size, out_sent;
	size_t request_size; /* bytes of `in` that the request under way takes */
	size_t in_used;
	char in[HTTP_INPUT_SIZE];
};

static int epoll_fd = -1;
static struct source *closed_sources;
static const struct http_server *server;
static struct source listener = {.fd = -1};
static bool listener_inherited, listener_paused;
static struct source signals = {.fd = -1};
static struct http_conn *conns;
static size_t conns_count;
static bool draining;
static uint64_t drain_deadline_ms;

static void conn_advance(struct http_conn *conn);

uint64_t now_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* --- the loop --- */

static int loop_control(int operation, struct source *source, uint32_t events)
{
	if (epoll_fd < 0) {
		epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	}
	struct epoll_event event = {.events = events, .data.ptr = source};
	return epoll_ctl(epoll_fd, operation, source->fd, &event) < 0 ? -errno : 0;
}

int loop_add(struct source *source, uint32_t events)
{
	return loop_control(EPOLL_CTL_ADD, source, events);
}

int loop_change(struct source *source, uint32_t events)
{
	return loop_control(EPOLL_CTL_MOD, source, events);
}

void loop_close(struct source *source)
{
	close(source->fd);
	source->fd = -1;
	/* An event for it may be further down in this turn's list. */
	source->next_closed = closed_sources;
	closed_sources = source;
}

static void loop_turn(int timeout_ms)
{
	struct epoll_event events[EVENTS_MAX];
	int count = epoll_wait(epoll_fd, events, EVENTS_MAX, timeout_ms);
	for (int i = 0; i < count; i++) {
		struct source *source = events[i].data.ptr;
		if (source->fd >= 0) {
			source->ready(source, events[i].events);
		}
	}
	while (closed_sources != NULL) {
		struct source *source = closed_sources;
		closed_sources = source->next_closed;
		free(source);
	}
}

/* --- connections --- */

static void listener_pause(bool pause)
{
	if (listener.fd >= 0 && pause != listener_paused) {
		listener_paused = pause;
		loop_change(&listener, pause ? 0 : EPOLLIN);
	}
}

static void conn_close(struct http_conn *conn)
{
	if (conn->state == CONN_WAITING && server->gone != NULL) {
		server->gone(conn);
	}
	*conn->link = conn->next;
	if (conn->next != NULL) {
		conn->next->link = conn->link;
	}
	conns_count--;
	free(conn->out);
	conn->out = NULL;
	loop_close(&conn->source);
	listener_pause(false);
}

/* Writes what it can. Afterwards the connection reads the next request, or waits for room, or is
 * gone. */
static void conn_write(struct http_conn *conn)
{
	while (conn->out_sent < conn->out_size) {
		ssize_t sent = send(conn->source.fd, conn->out + conn->out_sent,
			conn->out_size - conn->out_sent, MSG_NOSIGNAL);
		if (sent < 0 && errno == EAGAIN) {
			conn->state = CONN_WRITING;
			loop_change(&conn->source, EPOLLOUT);
			return;
		}
		if (sent < 0) {
			conn_close(conn);
			return;
		}
		conn->out_sent += (size_t)sent;
	}
	free(conn->out);
	conn->out = NULL;
	if (!conn->keep_alive) {
		conn_close(conn);
		return;
	}
	conn->in_used -= conn->request_size;
	memmove(conn->in, conn->in + conn->request_size, conn->in_used);
	conn->state = CONN_READING;
	loop_change(&conn->source, EPOLLIN);
	if (!conn->advancing) {
		conn_advance(conn);
	}
}

static const char *status_text(int status)
{
	switch (status) {
	case 200: return "OK";
	case 201: return "Created";
	case 400: return "Bad Request";
	case 404: return "Not Found";
	case 405: return "Method Not Allowed";
	case 413: return "Content Too Large";
	case 431: return "Request Header Fields Too Large";
	case 501: return "Not Implemented";
	case 502: return "Bad Gateway";
	case 503: return "Service Unavailable";
	case 504: return "Gateway Timeout";
	default: return "Status";
	}
}

void http_respond(
	struct http_conn *conn, int status, const char *type, const char *body, size_t size)
{
	char head[256];
	conn->keep_alive = conn->keep_alive && !draining;
	int head_size = snprintf(head, sizeof(head),
		"HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n%s\r\n", status,
		status_text(status), type, size, conn->keep_alive ? "" : "Connection: close\r\n");
	conn->state = CONN_WRITING;
	conn->out_sent = 0;
	size_t body_size = conn->head_only ? 0 : size;
	conn->out_size = (size_t)head_size + body_size;
	conn->out = malloc(conn->out_size);
	if (conn->out == NULL) {
		conn_close(conn);
		return;
	}
	memcpy(conn->out, head, (size_t)head_size);
	memcpy(conn->out + head_size, body, body_size);
	conn_write(conn);
}

void http_respond_text(struct http_conn *conn, int status, const char *format, ...)
{
	char text[1024];
	va_list arguments;
	va_start(arguments, format);
	int size = vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	size_t used = size < 0 ? 0 : (size_t)size;
	http_respond(
		conn, status, "text/plain", text, used < sizeof(text) ? used : sizeof(text) - 1);
}

/* The value of a header in the head that ends at `end`, or NULL. */
static const char *find_header(const char *line, const char *end, const char *name)
{
	size_t length = strlen(name);
	while ((line = memmem(line, (size_t)(end - line), "\r\n", 2)) != NULL) {
		line += 2;
		if ((size_t)(end - line) > length && strncasecmp(line, name, length) == 0 &&
			line[length] == ':') {
			line += length + 1;
			return line + strspn(line, " \t");
		}
	}
	return NULL;
}

/* Reads the request at the front of the buffer. Returns 1 when it is whole, 0 when more must come,
 * or the negative HTTP status to refuse it with. */
static int conn_parse(struct http_conn *conn, struct http_request *request)
{
	char *end = memmem(conn->in, conn->in_used, "\r\n\r\n", 4);
	if (end == NULL) {
		return conn->in_used == sizeof(conn->in) ? -431 : 0;
	}
	/* The head is text from here on: sscanf(3) and strtoul(3) stop in front of its end. */
	int minor, used = 0;
	*end = '\0';
	int fields = sscanf(conn->in, "%15[A-Z] %511[^ \r\n] HTTP/1.%1d%n", request->method,
		request->path, &minor, &used);
	*end = '\r';
	if (fields != 3 || used == 0 || strncmp(conn->in + used, "\r\n", 2) != 0) {
		return -400;
	}
	if (find_header(conn->in, end, "Transfer-Encoding") != NULL) {
		return -501;
	}
	size_t head_size = (size_t)(end + 4 - conn->in);
	unsigned long body_size = 0;
	const char *value = find_header(conn->in, end, "Content-Length");
	if (value != NULL) {
		char *rest;
		body_size = strtoul(value, &rest, 10);
		if (*value < '0' || *value > '9' || *rest != '\r') {
			return -400;
		}
		if (body_size > sizeof(conn->in) - head_size) {
			return -413;
		}
	}
	if (conn->in_used < head_size + body_size) {
		return 0;
	}
	value = find_header(conn->in, end, "Connection");
	conn->keep_alive = minor >= 1 ? value == NULL || strncasecmp(value, "close", 5) != 0
				      : value != NULL && strncasecmp(value, "keep-alive", 10) == 0;
	conn->head_only = strcmp(request->method, "HEAD") == 0;
	if (conn->head_only) {
		memcpy(request->method, "GET", sizeof("GET"));
	}
	conn->request_size = head_size + body_size;
	request->body = conn->in + head_size;
	request->body_size = body_size;
	return 1;
}

/* Hands over the requests that are whole, one after the other. */
static void conn_advance(struct http_conn *conn)
{
	struct http_request request;
	conn->advancing = true;
	while (conn->source.fd >= 0 && conn->state == CONN_READING) {
		int result = conn_parse(conn, &request);
		if (result == 0) {
			break;
		}
		conn->state = CONN_WAITING;
		loop_change(&conn->source, 0);
		if (result == 1) {
			server->handle(conn, &request);
		} else {
			/* What follows it in the stream cannot be told from the rest of it. */
			conn->keep_alive = false;
			http_respond_text(conn, -result, "%s\n", status_text(-result));
		}
	}
	conn->advancing = false;
}

static void conn_read(struct http_conn *conn)
{
	ssize_t got = recv(
		conn->source.fd, conn->in + conn->in_used, sizeof(conn->in) - conn->in_used, 0);
	if (got < 0 && errno == EAGAIN) {
		return;
	}
	if (got <= 0) {
		conn_close(conn);
		return;
	}
	conn->in_used += (size_t)got;
	conn_advance(conn);
}

static void conn_ready(struct source *source, uint32_t events)
{
	struct http_conn *conn = (struct http_conn *)source;
	if (conn->state == CONN_WRITING && (events & EPOLLOUT) != 0) {
		conn_write(conn);
	} else if (conn->state == CONN_READING && (events & EPOLLIN) != 0) {
		conn_read(conn);
	} else if ((events & (EPOLLHUP | EPOLLERR)) != 0) {
		conn_close(conn);
	}
}

static void conn_open(int fd)
{
	struct http_conn *conn = malloc(sizeof(*conn));
	if (conn == NULL) {
		close(fd);
		return;
	}
	memset(conn, 0, offsetof(struct http_conn, in));
	conn->source = (struct source){.fd = fd, .ready = conn_ready};
	if (loop_add(&conn->source, EPOLLIN) < 0) {
		close(fd);
		free(conn);
		return;
	}
	conn->next = conns;
	conn->link = &conns;
	if (conns != NULL) {
		conns->link = &conn->next;
	}
	conns = conn;
	conns_count++;
	/* The request is nearly always there already. */
	conn_read(conn);
}

static void listener_ready(struct source *source, uint32_t events)
{
	(void)events;
	for (int i = 0; i < ACCEPT_MAX; i++) {
		int fd = accept4(source->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd < 0) {
			/* Without a free descriptor, go on when a connection has closed. */
			listener_pause((errno == EMFILE || errno == ENFILE) && conns_count > 0);
			return;
		}
		conn_open(fd);
		if (conns_count >= HTTP_CONNS_MAX) {
			listener_pause(true);
			return;
		}
	}
}

/* --- listening --- */

/* The socket of a supervisor that holds it for us, or -1. */
static int take_inherited(void)
{
	const char *count = getenv("LISTEN_FDS"), *pid = getenv("LISTEN_PID");
	if (count == NULL || atoi(count) < 1 || (pid != NULL && atoi(pid) != getpid())) {
		return -1;
	}
	unsetenv("LISTEN_FDS");
	return LISTEN_FD_BASE;
}

static int listener_open(int domain, const struct sockaddr *address, socklen_t size)
{
	int yes = 1, fd = take_inherited();
	if (fd >= 0) {
		listener_inherited = true;
		listener.fd = fd;
		return 0;
	}
	fd = socket(domain, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0) {
		return -errno;
	}
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
	if (bind(fd, address, size) < 0 || listen(fd, SOMAXCONN) < 0) {
		int error = -errno;
		close(fd);
		return error;
	}
	listener.fd = fd;
	return 0;
}

int http_listen_port(uint16_t port)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	return listener_open(AF_INET, (struct sockaddr *)&address, sizeof(address));
}

int http_listen_path(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	char name[PATH_MAX];
	/* It appears under its name when it listens, and not before: nobody is ever refused. */
	int size = snprintf(name, sizeof(name), "%s.new", path);
	if (size < 0 || (size_t)size >= sizeof(address.sun_path)) {
		return -ENAMETOOLONG;
	}
	memcpy(address.sun_path, name, (size_t)size + 1);
	unlink(name);
	int result = listener_open(AF_UNIX, (struct sockaddr *)&address, sizeof(address));
	if (result == 0 && !listener_inherited && rename(name, path) < 0) {
		result = -errno;
	}
	return result;
}

int make_directories(const char *path)
{
	char copy[PATH_MAX];
	if (snprintf(copy, sizeof(copy), "%s", path) >= (int)sizeof(copy)) {
		return -ENAMETOOLONG;
	}
	for (char *slash = copy + 1;; slash++) {
		slash += strcspn(slash, "/");
		char kept = *slash;
		*slash = '\0';
		struct stat status;
		if ((mkdir(copy, 0700) < 0 && errno != EEXIST) || stat(copy, &status) < 0) {
			return -errno;
		}
		/* Whoever owns a directory on the way may put another one in its place. */
		if (status.st_uid != 0 && status.st_uid != geteuid()) {
			return -EPERM;
		}
		if (kept == '\0') {
			return 0;
		}
		*slash = kept;
	}
}

/* --- life --- */

void notify(const char *state)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const char *path = getenv("NOTIFY_SOCKET");
	if (path == NULL || strlen(path) >= sizeof(address.sun_path)) {
		return;
	}
	size_t length = strlen(path);
	memcpy(address.sun_path, path, length);
	if (path[0] == '@') {
		address.sun_path[0] = '\0';
	}
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd >= 0) {
		sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&address,
			(socklen_t)(offsetof(struct sockaddr_un, sun_path) + length));
		close(fd);
	}
}

static void drain(void)
{
	notify("STOPPING=1");
	/* Whoever is in the queue of our own socket would be reset by its end; a socket that is
	 * held for us keeps its queue for our successor. */
	if (!listener_inherited) {
		listener_ready(&listener, EPOLLIN);
	}
	draining = true;
	drain_deadline_ms = now_ms() + DRAIN_MAX_MS;
	close(listener.fd);
	listener.fd = -1;
	for (struct http_conn *conn = conns, *next; conn != NULL; conn = next) {
		next = conn->next;
		if (conn->state == CONN_READING) {
			conn_read(conn);
		}
		if (conn->source.fd >= 0 && conn->state == CONN_READING && conn->in_used == 0) {
			conn_close(conn);
		}
	}
}

static void signals_ready(struct source *source, uint32_t events)
{
	struct signalfd_siginfo info;
	(void)events;
	if (read(source->fd, &info, sizeof(info)) == sizeof(info) && !draining) {
		drain();
	}
}

int http_run(const struct http_server *served)
{
	sigset_t mask;
	server = served;
	sigemptyset(&mask);
	sigaddset(&mask, SIGTERM);
	sigaddset(&mask, SIGINT);
	sigprocmask(SIG_BLOCK, &mask, NULL);
	signals.fd = signalfd(-1, &mask, SFD_NONBLOCK | SFD_CLOEXEC);
	signals.ready = signals_ready;
	listener.ready = listener_ready;
	if (signals.fd < 0 || loop_add(&signals, EPOLLIN) < 0 || loop_add(&listener, EPOLLIN) < 0) {
		return -errno;
	}
	notify("READY=1");
	while (!draining || conns_count > 0) {
		uint64_t now = now_ms();
		int timeout = server->tick != NULL ? server->tick(now) : -1;
		if (draining) {
			if (now >= drain_deadline_ms) {
				break;
			}
			int left = (int)(drain_deadline_ms - now);
			timeout = timeout < 0 || left < timeout ? left : timeout;
		}
		loop_turn(timeout);
	}
	return 0;
}

int http_serve_path(const struct http_server *served, int argc, char **argv)
{
	char copy[PATH_MAX];
	if (argc != 3 || strcmp(argv[1], "--socket") != 0) {
		fprintf(stderr, "usage: %s --socket PATH\n", served->name);
		return 2;
	}
	snprintf(copy, sizeof(copy), "%s", argv[2]);
	int result = make_directories(dirname(copy));
	if (result == 0) {
		result = http_listen_path(argv[2]);
	}
	if (result == 0) {
		result = http_run(served);
	}
	if (result < 0) {
		fprintf(stderr, "%s: %s: %s\n", served->name, argv[2], strerror(-result));
		return 1;
	}
	unlink(argv[2]);
	return 0;
}

void http_set_data(struct http_conn *conn, void *data)
{
	conn->data = data;
}

void *http_data(const struct http_conn *conn)
{
	return conn->data;
}

size_t http_conns(void)
{
	return conns_count;
}

bool http_draining(void)
{
	return draining;
}
