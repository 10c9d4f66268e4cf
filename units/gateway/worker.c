/*
 * worker: answers the gateway's requests over a Unix socket, with its name, its pid and how many it
 * has answered. POST requests show what a supervisor is for: /crash, /exit/STATUS, /hang, /leak,
 * /burn.
 *
 *   worker --socket DIR/NAME.sock
 */
#include "http.h"

#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LEAK_SIZE (16 * 1024 * 1024)
#define BURN_MS   5000

static char name[NAME_MAX];
static unsigned long answered;
static size_t leaked;
static char *last_leak; /* the ones before it are really lost */

static void leak(struct http_conn *conn)
{
	char *memory = malloc(LEAK_SIZE);
	if (memory == NULL) {
		http_respond_text(conn, 503, "worker %s: no memory left\n", name);
		return;
	}
	memset(memory, 1, LEAK_SIZE);
	last_leak = memory;
	leaked += LEAK_SIZE;
	http_respond_text(conn, 200, "worker %s has leaked %zu MiB\n", name, leaked >> 20);
}

static void burn(struct http_conn *conn)
{
	uint64_t end = now_ms() + BURN_MS;
	while (now_ms() < end) {
	}
	http_respond_text(conn, 200, "worker %s has burnt %d ms\n", name, BURN_MS);
}

/* Ends the process, or makes it useless, as asked. */
static void misbehave(struct http_conn *conn, const char *path)
{
	int status;
	if (strcmp(path, "/crash") == 0) {
		signal(SIGSEGV, SIG_DFL);
		raise(SIGSEGV);
	} else if (sscanf(path, "/exit/%d", &status) == 1) {
		http_respond_text(conn, 200, "worker %s exits with %d\n", name, status & 0xff);
		_exit(status);
	} else if (strcmp(path, "/hang") == 0) {
		/* SIGTERM is blocked and not looked at any more: only SIGKILL helps. */
		for (;;) {
			pause();
		}
	} else if (strcmp(path, "/leak") == 0) {
		leak(conn);
	} else if (strcmp(path, "/burn") == 0) {
		burn(conn);
	} else {
		http_respond_text(conn, 404, "no such place: %s\n", path);
	}
}

static void handle(struct http_conn *conn, const struct http_request *request)
{
	if (strcmp(request->method, "POST") == 0) {
		misbehave(conn, request->path);
	} else if (strcmp(request->method, "GET") == 0) {
		answered++;
		http_respond_text(
			conn, 200, "worker %s pid %d answer %lu\n", name, getpid(), answered);
	} else {
		http_respond_text(conn, 405, "%s is not for here\n", request->method);
	}
}

int main(int argc, char **argv)
{
	static const struct http_server server = {.name = "worker", .handle = handle};
	if (argc == 3) {
		const char *slash = strrchr(argv[2], '/');
		snprintf(name, sizeof(name), "%s", slash != NULL ? slash + 1 : argv[2]);
		name[strcspn(name, ".")] = '\0';
	}
	return http_serve_path(&server, argc, argv);
}
