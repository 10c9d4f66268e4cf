/*
 * gateway: an HTTP server on loopback that hands requests to workers in turn.
 *
 *   gateway [--port PORT] [--directory DIR]
 *
 *   /          to one of the workers, DIR/workers/NAME.sock, round robin
 *   /kv/KEY    to the store, DIR/store.sock
 *   /healthz   "ok" while it serves
 *   /status    what it knows, as JSON
 *
 * A GET whose worker dies, or does not answer in time, goes to the next one, so that killing a
 * worker loses no request; a POST may have had its effect, so that it is answered with 502.
 */
#include "http.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define WORKERS_MAX    128
#define TARGET_SIZE    (NAME_MAX + 16)
#define REPLY_SIZE     (64 * 1024)
#define REPLY_LIMIT_MS 3000
#define REQUEST_SIZE   (HTTP_INPUT_SIZE + HTTP_PATH_SIZE)

/* One request on its way through a worker. It is freed by its source: loop_close(). */
struct exchange {
	struct source upstream;
	struct exchange *next, **link;
	struct http_conn *client;
	bool repeatable, to_store;
	unsigned first, attempts; /* the worker that was asked first; how many have been */
	char target[TARGET_SIZE]; /* for messages: "worker 3" */
	uint64_t deadline_ms;
	size_t request_size, sent;
	size_t reply_used;
	char request[REQUEST_SIZE];
	char reply[REPLY_SIZE + 1];
};

static const char *directory = "/tmp/coppice-gateway";
static char workers_directory[PATH_MAX];
static char workers[WORKERS_MAX][NAME_MAX + 1]; /* file names */
static unsigned workers_count, next_worker;
static struct source watch = {.fd = -1};
static struct exchange *exchanges;
static unsigned long requests, retries;

static void exchange_try(struct exchange *exchange, const char *why);

/* --- which workers there are --- */

static void scan_workers(void)
{
	DIR *stream = opendir(workers_directory);
	workers_count = 0;
	if (stream == NULL) {
		return;
	}
	for (struct dirent *entry; (entry = readdir(stream)) != NULL;) {
		size_t length = strlen(entry->d_name);
		if (length > 5 && strcmp(entry->d_name + length - 5, ".sock") == 0 &&
			workers_count < WORKERS_MAX) {
			memcpy(workers[workers_count++], entry->d_name, length + 1);
		}
	}
	closedir(stream);
	qsort(workers, workers_count, sizeof(workers[0]),
		(int (*)(const void *, const void *))strcmp);
}

static void watch_ready(struct source *source, uint32_t events)
{
	char buffer[4096];
	(void)events;
	while (read(source->fd, buffer, sizeof(buffer)) > 0) {
	}
	scan_workers();
}

static int watch_workers(void)
{
	watch.fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	watch.ready = watch_ready;
	if (watch.fd < 0 || inotify_add_watch(watch.fd, workers_directory,
				    IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE) < 0) {
		return -errno;
	}
	scan_workers();
	return loop_add(&watch, EPOLLIN);
}

/* --- exchanges --- */

static void exchange_end(struct exchange *exchange)
{
	*exchange->link = exchange->next;
	if (exchange->next != NULL) {
		exchange->next->link = exchange->link;
	}
	loop_close(&exchange->upstream);
}

/* The exchange is over; its client gets this answer. */
static void exchange_refuse(struct exchange *exchange, int status, const char *why)
{
	struct http_conn *client = exchange->client;
	char target[TARGET_SIZE];
	memcpy(target, exchange->target, sizeof(target));
	http_set_data(client, NULL);
	exchange_end(exchange);
	http_respond_text(client, status, "%s: %s\n", target, why);
}

/* This worker has failed: ask another one where that is allowed. */
static void exchange_failed(struct exchange *exchange, int status, const char *why)
{
	close(exchange->upstream.fd);
	exchange->upstream.fd = -1;
	if (exchange->repeatable && exchange->attempts < workers_count) {
		retries++;
		exchange_try(exchange, why);
	} else {
		exchange_refuse(exchange, status, why);
	}
}

/* Passes the reply on when it is whole. Workers always send a Content-Length. */
static bool exchange_finish(struct exchange *exchange)
{
	exchange->reply[exchange->reply_used] = '\0';
	char *end = strstr(exchange->reply, "\r\n\r\n");
	char *length = strcasestr(exchange->reply, "\r\nContent-Length:");
	int status;
	if (end == NULL || length == NULL || length > end ||
		sscanf(exchange->reply, "HTTP/1.1 %d", &status) != 1) {
		return false;
	}
	size_t size = strtoul(length + strlen("\r\nContent-Length:"), NULL, 10);
	if ((size_t)(exchange->reply + exchange->reply_used - (end + 4)) < size) {
		return false;
	}
	struct http_conn *client = exchange->client;
	http_set_data(client, NULL);
	exchange_end(exchange); /* frees at the end of the turn: the reply is still there */
	http_respond(client, status, "text/plain", end + 4, size);
	return true;
}

static void upstream_read(struct exchange *exchange)
{
	ssize_t got = recv(exchange->upstream.fd, exchange->reply + exchange->reply_used,
		REPLY_SIZE - exchange->reply_used, 0);
	if (got < 0 && errno == EAGAIN) {
		return;
	}
	if (got > 0) {
		exchange->reply_used += (size_t)got;
		if (exchange_finish(exchange)) {
			return;
		}
	}
	if (got <= 0 || exchange->reply_used == REPLY_SIZE) {
		exchange_failed(exchange, 502, "died before its answer was whole");
	}
}

static void upstream_ready(struct source *source, uint32_t events)
{
	struct exchange *exchange = (struct exchange *)source;
	if (exchange->sent < exchange->request_size && (events & EPOLLOUT) != 0) {
		ssize_t sent = send(source->fd, exchange->request + exchange->sent,
			exchange->request_size - exchange->sent, MSG_NOSIGNAL);
		if (sent < 0 && errno != EAGAIN) {
			exchange_failed(exchange, 502, "died before it had the request");
			return;
		}
		exchange->sent += sent > 0 ? (size_t)sent : 0;
		if (exchange->sent == exchange->request_size) {
			loop_change(source, EPOLLIN);
		}
		return;
	}
	upstream_read(exchange);
}

/* Connects to a Unix socket, which never takes time. Returns the descriptor or -errno. */
static int connect_path(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	if (strlen(path) >= sizeof(address.sun_path)) {
		return -ENAMETOOLONG;
	}
	strcpy(address.sun_path, path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		int error = -errno;
		close(fd);
		return error;
	}
	return fd;
}

/* Sends the request to the next worker that takes it; `why` is what the last one did. */
static void exchange_try(struct exchange *exchange, const char *why)
{
	char path[PATH_MAX + NAME_MAX + 2];
	unsigned candidates = exchange->to_store ? 1 : workers_count;
	int fd = -ENOENT;
	while (fd < 0 && exchange->attempts < candidates) {
		if (exchange->to_store) {
			snprintf(exchange->target, sizeof(exchange->target), "store");
			snprintf(path, sizeof(path), "%s/store.sock", directory);
		} else {
			const char *name =
				workers[(exchange->first + exchange->attempts) % candidates];
			snprintf(exchange->target, sizeof(exchange->target), "worker %.*s",
				(int)strcspn(name, "."), name);
			snprintf(path, sizeof(path), "%s/%s", workers_directory, name);
		}
		exchange->attempts++;
		fd = connect_path(path);
	}
	exchange->upstream.fd = fd;
	exchange->sent = 0;
	exchange->reply_used = 0;
	exchange->deadline_ms = now_ms() + REPLY_LIMIT_MS;
	if (fd < 0) {
		snprintf(exchange->target, sizeof(exchange->target), "gateway");
		exchange_refuse(exchange, 503, why);
	} else if (loop_add(&exchange->upstream, EPOLLOUT) < 0) {
		exchange_refuse(exchange, 503, "out of resources");
	}
}

/* Called between turns: gives up on those that have waited too long. */
static int tick(uint64_t now)
{
	uint64_t soonest = UINT64_MAX;
	for (struct exchange *exchange = exchanges, *next; exchange != NULL; exchange = next) {
		next = exchange->next;
		if (exchange->deadline_ms <= now) {
			exchange_failed(exchange, 504, "did not answer in time");
		}
	}
	for (struct exchange *exchange = exchanges; exchange != NULL; exchange = exchange->next) {
		soonest = exchange->deadline_ms < soonest ? exchange->deadline_ms : soonest;
	}
	return exchanges == NULL ? -1 : soonest > now ? (int)(soonest - now) : 0;
}

/* --- requests --- */

static void answer_status(struct http_conn *conn)
{
	char text[WORKERS_MAX * (NAME_MAX + 4) + 256];
	size_t used = (size_t)snprintf(text, sizeof(text),
		"{\"pid\": %d, \"requests\": %lu, \"retries\": %lu, \"connections\": %zu, "
		"\"draining\": %s, \"workers\": [",
		getpid(), requests, retries, http_conns(), http_draining() ? "true" : "false");
	for (unsigned i = 0; i < workers_count; i++) {
		used += (size_t)snprintf(text + used, sizeof(text) - used, "%s\"%.*s\"",
			i == 0 ? "" : ", ", (int)strcspn(workers[i], "."), workers[i]);
	}
	used += (size_t)snprintf(text + used, sizeof(text) - used, "]}\n");
	http_respond(conn, 200, "application/json", text, used);
}

static void pass_on(struct http_conn *conn, const struct http_request *request)
{
	struct exchange *exchange = malloc(sizeof(*exchange));
	if (exchange == NULL) {
		http_respond_text(conn, 503, "out of memory\n");
		return;
	}
	memset(exchange, 0, offsetof(struct exchange, request));
	exchange->upstream.ready = upstream_ready;
	exchange->client = conn;
	exchange->to_store = strncmp(request->path, "/kv/", 4) == 0;
	exchange->repeatable = !exchange->to_store && strcmp(request->method, "GET") == 0;
	exchange->first = next_worker++;
	size_t head_size = (size_t)snprintf(exchange->request, sizeof(exchange->request),
		"%s %s HTTP/1.1\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n",
		request->method, request->path, request->body_size);
	memcpy(exchange->request + head_size, request->body, request->body_size);
	exchange->request_size = head_size + request->body_size;
	exchange->next = exchanges;
	exchange->link = &exchanges;
	if (exchanges != NULL) {
		exchanges->link = &exchange->next;
	}
	exchanges = exchange;
	http_set_data(conn, exchange);
	exchange_try(exchange, "no worker is there");
}

static void handle(struct http_conn *conn, const struct http_request *request)
{
	requests++;
	if (strcmp(request->path, "/healthz") == 0) {
		http_respond_text(conn, 200, "ok\n");
	} else if (strcmp(request->path, "/status") == 0) {
		answer_status(conn);
	} else {
		pass_on(conn, request);
	}
}

static void gone(struct http_conn *conn)
{
	struct exchange *exchange = http_data(conn);
	if (exchange != NULL) {
		exchange_end(exchange);
	}
}

static int serve(uint16_t port)
{
	static const struct http_server server = {
		.name = "gateway", .handle = handle, .gone = gone, .tick = tick};
	snprintf(workers_directory, sizeof(workers_directory), "%s/workers", directory);
	int result = make_directories(workers_directory);
	if (result == 0) {
		result = watch_workers();
	}
	if (result < 0) {
		fprintf(stderr, "gateway: %s: %s\n", workers_directory, strerror(-result));
		return 1;
	}
	result = http_listen_port(port);
	if (result == 0) {
		result = http_run(&server);
	}
	if (result < 0) {
		fprintf(stderr, "gateway: port %u: %s\n", port, strerror(-result));
		return 1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	long port = 8080;
	int i = 1;
	for (; i + 1 < argc; i += 2) {
		if (strcmp(argv[i], "--port") == 0) {
			port = strtol(argv[i + 1], NULL, 10);
		} else if (strcmp(argv[i], "--directory") == 0) {
			directory = argv[i + 1];
		} else {
			break;
		}
	}
	if (i != argc || port < 1 || port > 65535) {
		fprintf(stderr, "usage: gateway [--port PORT] [--directory DIR]\n");
		return 2;
	}
	return serve((uint16_t)port);
}
