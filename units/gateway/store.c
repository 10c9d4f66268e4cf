/*
 * store: a tiny key-value server in memory, which stands where redis would. GET, PUT and DELETE of
 * /kv/KEY over a Unix socket.
 *
 *   store --socket PATH
 */
#include "http.h"

#include <stdlib.h>
#include <string.h>

#define ENTRIES_MAX 1024

struct entry {
	char key[64]; /* "" is a free place */
	char *value;
	size_t size;
};

static struct entry entries[ENTRIES_MAX];

/* The entry of a key, or a free one for it, or NULL when there is neither. */
static struct entry *find_entry(const char *key)
{
	struct entry *free_entry = NULL;
	for (size_t i = 0; i < ENTRIES_MAX; i++) {
		if (strcmp(entries[i].key, key) == 0) {
			return &entries[i];
		}
		if (free_entry == NULL && entries[i].key[0] == '\0') {
			free_entry = &entries[i];
		}
	}
	return free_entry;
}

static void put(struct http_conn *conn, struct entry *entry, const char *key,
	const struct http_request *request)
{
	char *value = entry != NULL ? malloc(request->body_size + 1) : NULL;
	if (value == NULL) {
		http_respond_text(conn, 503, "the store is full\n");
		return;
	}
	memcpy(value, request->body, request->body_size);
	free(entry->value);
	entry->value = value;
	entry->size = request->body_size;
	strcpy(entry->key, key);
	http_respond_text(conn, 201, "stored\n");
}

static void handle(struct http_conn *conn, const struct http_request *request)
{
	const char *key = request->path + strlen("/kv/");
	if (strncmp(request->path, "/kv/", 4) != 0 || *key == '\0' ||
		strlen(key) >= sizeof(entries[0].key)) {
		http_respond_text(conn, 404, "no such place: %s\n", request->path);
		return;
	}
	struct entry *entry = find_entry(key);
	bool found = entry != NULL && entry->key[0] != '\0';
	if (strcmp(request->method, "PUT") == 0) {
		put(conn, entry, key, request);
	} else if (strcmp(request->method, "GET") != 0 && strcmp(request->method, "DELETE") != 0) {
		http_respond_text(conn, 405, "GET, PUT or DELETE\n");
	} else if (!found) {
		http_respond_text(conn, 404, "no such key: %s\n", key);
	} else if (strcmp(request->method, "GET") == 0) {
		http_respond(conn, 200, "text/plain", entry->value, entry->size);
	} else {
		free(entry->value);
		*entry = (struct entry){0};
		http_respond_text(conn, 200, "deleted\n");
	}
}

int main(int argc, char **argv)
{
	static const struct http_server server = {.name = "store", .handle = handle};
	return http_serve_path(&server, argc, argv);
}
