/*
 * A bundle: every answer that a source gave, so that the same load can be done again later. Encoded
 * it is one flat buffer in the machine's own byte order, since it never leaves the machine:
 *
 *   magic, version, count, then for each answer: kind, result, length of path, length of data,
 * path, data; at the end the CRC-32C of all that.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/checksum.h"
#include "unit/unit.h"

#define BUNDLE_MAGIC   UINT32_C(0x42706f43) /* "CopB" */
#define BUNDLE_VERSION 2

enum answer_kind { ANSWER_FILE = 1, ANSWER_LIST = 2, ANSWER_LINK = 3 };

struct answer {
	uint32_t kind;
	int32_t result;
	uint32_t path_length, data_length;
	char *path, *data;   /* `data` of a list: names, each with its NUL */
	struct answer *next; /* of the same hash */
};

struct unit_bundle {
	struct unit_source source;
	struct unit_source *below; /* NULL: a player */
	uint32_t count, room, buckets_count;
	struct answer **list; /* in order of recording */
	struct answer **buckets;
};

struct answer_head {
	uint32_t kind;
	int32_t result;
	uint32_t path_length, data_length;
};

static uint32_t bundle_hash(const char *path)
{
	uint32_t hash = 2166136261;
	for (; *path != '\0'; path++) {
		hash = (hash ^ (unsigned char)*path) * 16777619;
	}
	return hash;
}

static struct answer *bundle_find(const struct unit_bundle *bundle, uint32_t kind, const char *path)
{
	if (bundle->buckets_count == 0) {
		return NULL;
	}
	struct answer *answer = bundle->buckets[bundle_hash(path) & (bundle->buckets_count - 1)];
	while (answer != NULL && (answer->kind != kind || strcmp(answer->path, path) != 0)) {
		answer = answer->next;
	}
	return answer;
}

static int bundle_grow(struct unit_bundle *bundle)
{
	uint32_t room = bundle->room == 0 ? 64 : bundle->room * 2;
	struct answer **list = realloc(bundle->list, room * sizeof(struct answer *));
	if (list == NULL) {
		return -ENOMEM;
	}
	bundle->list = list;
	struct answer **buckets = calloc(room, sizeof(struct answer *));
	if (buckets == NULL) {
		return -ENOMEM;
	}
	free(bundle->buckets);
	bundle->buckets = buckets;
	bundle->buckets_count = room;
	bundle->room = room;
	for (uint32_t i = 0; i < bundle->count; i++) {
		struct answer **bucket = &buckets[bundle_hash(list[i]->path) & (room - 1)];
		list[i]->next = *bucket;
		*bucket = list[i];
	}
	return 0;
}

static void bundle_free_answer(struct answer *answer)
{
	if (answer != NULL) {
		free(answer->path);
		free(answer->data);
		free(answer);
	}
}

/* Enters an answer; copies path and data. NULL when there is no memory. */
static struct answer *bundle_add(struct unit_bundle *bundle, const struct answer_head *head,
	const char *path, const char *data)
{
	if (bundle->count == bundle->room && bundle_grow(bundle) < 0) {
		return NULL;
	}
	struct answer *answer = calloc(1, sizeof(*answer));
	if (answer == NULL) {
		return NULL;
	}
	answer->kind = head->kind;
	answer->result = head->result;
	answer->path_length = head->path_length;
	answer->data_length = head->data_length;
	answer->path = strndup(path, head->path_length);
	answer->data = malloc((size_t)head->data_length + 1);
	if (answer->path == NULL || answer->data == NULL) {
		bundle_free_answer(answer);
		return NULL;
	}
	if (head->data_length > 0) {
		memcpy(answer->data, data, head->data_length);
	}
	answer->data[head->data_length] = '\0';
	struct answer **bucket =
		&bundle->buckets[bundle_hash(answer->path) & (bundle->buckets_count - 1)];
	answer->next = *bucket;
	*bucket = answer;
	bundle->list[bundle->count++] = answer;
	return answer;
}

static int bundle_give_file(const struct answer *answer, char **text, size_t *size)
{
	if (answer->result < 0) {
		return answer->result;
	}
	char *copy = malloc((size_t)answer->data_length + 1);
	if (copy == NULL) {
		return -ENOMEM;
	}
	memcpy(copy, answer->data, (size_t)answer->data_length + 1);
	*text = copy;
	*size = answer->data_length;
	return 0;
}

static int bundle_read(struct unit_source *source, const char *path, char **text, size_t *size)
{
	struct unit_bundle *bundle = source->context;
	struct answer *answer = bundle_find(bundle, ANSWER_FILE, path);
	if (answer == NULL && bundle->below == NULL) {
		return -ENOENT;
	}
	if (answer == NULL) {
		char *data = NULL;
		size_t length = 0;
		int r = bundle->below->read_file(bundle->below, path, &data, &length);
		if (r == -ENOMEM || length > UINT32_MAX) {
			free(data);
			return r < 0 ? r : -EFBIG;
		}
		struct answer_head head = {
			ANSWER_FILE, r, (uint32_t)strlen(path), (uint32_t)length};
		answer = bundle_add(bundle, &head, path, data);
		free(data);
		if (answer == NULL) {
			return -ENOMEM;
		}
	}
	return bundle_give_file(answer, text, size);
}

struct names {
	char *data;
	size_t length, room;
	bool failed;
};

static void bundle_collect(void *context, const char *name)
{
	struct names *names = context;
	size_t length = strlen(name) + 1;
	if (names->failed) {
		return;
	}
	if (names->room - names->length < length) {
		size_t room = (names->room + length) * 2;
		char *data = realloc(names->data, room);
		if (data == NULL) {
			names->failed = true;
			return;
		}
		names->data = data;
		names->room = room;
	}
	memcpy(names->data + names->length, name, length);
	names->length += length;
}

static struct answer *bundle_record_list(struct unit_bundle *bundle, const char *path)
{
	struct names names = {0};
	struct answer *answer = NULL;
	int r = bundle->below->list_dir(bundle->below, path, bundle_collect, &names);
	if (!names.failed && r != -ENOMEM && names.length <= UINT32_MAX) {
		struct answer_head head = {
			ANSWER_LIST, r, (uint32_t)strlen(path), (uint32_t)names.length};
		answer = bundle_add(bundle, &head, path, names.data);
	}
	free(names.data);
	return answer;
}

static int bundle_list(struct unit_source *source, const char *path,
	void (*each)(void *context, const char *name), void *context)
{
	struct unit_bundle *bundle = source->context;
	struct answer *answer = bundle_find(bundle, ANSWER_LIST, path);
	if (answer == NULL && bundle->below == NULL) {
		return -ENOENT;
	}
	if (answer == NULL) {
		answer = bundle_record_list(bundle, path);
		if (answer == NULL) {
			return -ENOMEM;
		}
	}
	if (answer->result < 0) {
		return answer->result;
	}
	const char *end = answer->data + answer->data_length;
	for (const char *name = answer->data; name < end; name += strlen(name) + 1) {
		each(context, name);
	}
	return 0;
}

/* Only what is a link is kept: most names are none. */
static int bundle_link(struct unit_source *source, const char *path, char *out, size_t size)
{
	struct unit_bundle *bundle = source->context;
	struct answer *answer = bundle_find(bundle, ANSWER_LINK, path);
	if (answer == NULL) {
		char target[PATH_MAX];
		if (bundle->below == NULL || bundle->below->read_link == NULL) {
			return -EINVAL;
		}
		int r = bundle->below->read_link(bundle->below, path, target, sizeof(target));
		if (r < 0) {
			return r;
		}
		struct answer_head head = {
			ANSWER_LINK, 0, (uint32_t)strlen(path), (uint32_t)strlen(target)};
		answer = bundle_add(bundle, &head, path, target);
		if (answer == NULL) {
			return -ENOMEM;
		}
	}
	if (answer->data_length >= size) {
		return -ENAMETOOLONG;
	}
	memcpy(out, answer->data, (size_t)answer->data_length + 1);
	return 0;
}

struct unit_bundle *unit_bundle_create(struct unit_source *below)
{
	struct unit_bundle *bundle = calloc(1, sizeof(*bundle));
	if (bundle != NULL) {
		bundle->below = below;
		bundle->source.read_file = bundle_read;
		bundle->source.list_dir = bundle_list;
		bundle->source.read_link = bundle_link;
		bundle->source.context = bundle;
	}
	return bundle;
}

struct unit_source *unit_bundle_source(struct unit_bundle *bundle)
{
	return &bundle->source;
}

void unit_bundle_set_below(struct unit_bundle *bundle, struct unit_source *below)
{
	bundle->below = below;
}

void unit_bundle_destroy(struct unit_bundle *bundle)
{
	if (bundle == NULL) {
		return;
	}
	for (uint32_t i = 0; i < bundle->count; i++) {
		bundle_free_answer(bundle->list[i]);
	}
	free(bundle->list);
	free(bundle->buckets);
	free(bundle);
}

static char *bundle_put(char *at, const void *data, size_t size)
{
	memcpy(at, data, size);
	return at + size;
}

int unit_bundle_encode(const struct unit_bundle *bundle, void **data, size_t *size)
{
	const uint32_t head[3] = {BUNDLE_MAGIC, BUNDLE_VERSION, bundle->count};
	size_t total = sizeof(head) + sizeof(uint32_t);
	for (uint32_t i = 0; i < bundle->count; i++) {
		total += sizeof(struct answer_head) + bundle->list[i]->path_length +
			 bundle->list[i]->data_length;
	}
	char *buf = malloc(total);
	if (buf == NULL) {
		return -ENOMEM;
	}
	char *at = bundle_put(buf, head, sizeof(head));
	for (uint32_t i = 0; i < bundle->count; i++) {
		const struct answer *answer = bundle->list[i];
		const struct answer_head one = {
			answer->kind, answer->result, answer->path_length, answer->data_length};
		at = bundle_put(at, &one, sizeof(one));
		at = bundle_put(at, answer->path, answer->path_length);
		at = bundle_put(at, answer->data, answer->data_length);
	}
	uint32_t sum = checksum_crc32c(0, buf, total - sizeof(sum));
	bundle_put(at, &sum, sizeof(sum));
	*data = buf;
	*size = total;
	return 0;
}

/* Takes one answer at *at, which is moved behind it. False when it does not fit. */
static bool bundle_take(struct unit_bundle *bundle, const char **at, const char *end)
{
	struct answer_head head;
	if ((size_t)(end - *at) < sizeof(head)) {
		return false;
	}
	memcpy(&head, *at, sizeof(head));
	*at += sizeof(head);
	size_t left = (size_t)(end - *at);
	if (head.path_length > left || head.data_length > left - head.path_length ||
		head.kind < ANSWER_FILE || head.kind > ANSWER_LINK || head.result > 0) {
		return false;
	}
	const char *path = *at;
	const char *data = path + head.path_length;
	if (memchr(path, '\0', head.path_length) != NULL) {
		return false;
	}
	if (head.kind == ANSWER_LIST && head.data_length > 0 &&
		data[head.data_length - 1] != '\0') {
		return false;
	}
	*at = data + head.data_length;
	return bundle_add(bundle, &head, path, data) != NULL;
}

struct unit_bundle *unit_bundle_decode(const void *data, size_t size)
{
	uint32_t head[3];
	uint32_t sum;
	if (size < sizeof(head) + sizeof(sum)) {
		return NULL;
	}
	memcpy(head, data, sizeof(head));
	const char *at = (const char *)data + sizeof(head);
	const char *end = (const char *)data + size - sizeof(sum);
	memcpy(&sum, end, sizeof(sum));
	if (head[0] != BUNDLE_MAGIC || head[1] != BUNDLE_VERSION ||
		checksum_crc32c(0, data, size - sizeof(sum)) != sum) {
		return NULL;
	}
	struct unit_bundle *bundle = unit_bundle_create(NULL);
	if (bundle == NULL) {
		return NULL;
	}
	for (uint32_t i = 0; i < head[2]; i++) {
		if (!bundle_take(bundle, &at, end)) {
			unit_bundle_destroy(bundle);
			return NULL;
		}
	}
	if (at != end) {
		unit_bundle_destroy(bundle);
		return NULL;
	}
	return bundle;
}
