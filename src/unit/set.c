/* The set of units of a tree: by index, by name, and its memory. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "unit/load.h"

static uint32_t set_hash(const char *text)
{
	uint32_t hash = 2166136261;
	for (; *text != '\0'; text++) {
		hash = (hash ^ (unsigned char)*text) * 16777619;
	}
	return hash;
}

struct loaded_set *set_create(void)
{
	struct loaded_set *loaded = calloc(1, sizeof(*loaded));
	if (loaded != NULL) {
		loaded->references = 1;
	}
	return loaded;
}

void set_release(struct loaded_set *loaded)
{
	CHECK(loaded->references > 0);
	loaded->references--;
	if (loaded->references > 0) {
		return;
	}
	files_finish(&loaded->files);
	free(loaded->set.list);
	free(loaded->set.templates);
	free(loaded->owners);
	free(loaded->buckets);
	free(loaded->nodes);
	free(loaded->aliases);
	arena_finish(&loaded->set.arena);
	free(loaded);
}

void unit_set_destroy(struct unit_set *set)
{
	if (set != NULL) {
		set_release((struct loaded_set *)set);
	}
}

static uint32_t *set_bucket(const struct loaded_set *loaded, const char *name)
{
	uint32_t mask = loaded->buckets_count - 1;
	uint32_t i = set_hash(name) & mask;
	while (loaded->buckets[i] != 0 &&
		strcmp(loaded->set.list[loaded->buckets[i] - 1]->name, name) != 0) {
		i = (i + 1) & mask;
	}
	return &loaded->buckets[i];
}

static int set_grow(struct loaded_set *loaded)
{
	uint32_t room = loaded->room == 0 ? 16 : loaded->room * 2;
	struct unit **list = realloc(loaded->set.list, room * sizeof(*list));
	if (list == NULL) {
		return -ENOMEM;
	}
	loaded->set.list = list;
	struct load_node **nodes = realloc(loaded->nodes, room * sizeof(*nodes));
	if (nodes == NULL) {
		return -ENOMEM;
	}
	loaded->nodes = nodes;
	uint32_t *buckets = calloc((size_t)room * 2, sizeof(*buckets));
	if (buckets == NULL) {
		return -ENOMEM;
	}
	free(loaded->buckets);
	loaded->buckets = buckets;
	loaded->buckets_count = room * 2;
	loaded->room = room;
	for (uint32_t i = 0; i < loaded->set.count; i++) {
		*set_bucket(loaded, list[i]->name) = i + 1;
	}
	return 0;
}

int set_add(struct loaded_set *loaded, struct load_node *node)
{
	if (loaded->set.count == loaded->room && set_grow(loaded) < 0) {
		return -ENOMEM;
	}
	uint32_t index = loaded->set.count++;
	node->unit->index = index;
	loaded->set.list[index] = node->unit;
	loaded->nodes[index] = node;
	*set_bucket(loaded, node->unit->name) = index + 1;
	return 0;
}

int set_add_template(struct loaded_set *loaded, struct unit *template, struct unit *owner)
{
	uint32_t count = loaded->set.templates_count;
	if (count == loaded->templates_room) {
		uint32_t room = count == 0 ? 4 : count * 2;
		struct unit **templates = realloc(loaded->set.templates, room * sizeof(*templates));
		if (templates == NULL) {
			return -ENOMEM;
		}
		loaded->set.templates = templates;
		struct unit **owners = realloc(loaded->owners, room * sizeof(*owners));
		if (owners == NULL) {
			return -ENOMEM;
		}
		loaded->owners = owners;
		loaded->templates_room = room;
	}
	loaded->set.templates[count] = template;
	loaded->owners[count] = owner;
	loaded->set.templates_count++;
	return 0;
}

int set_add_alias(struct loaded_set *loaded, const char *name, const char *of)
{
	uint32_t count = loaded->aliases_count;
	for (uint32_t i = 0; i < count; i++) {
		if (strcmp(loaded->aliases[i].name, name) == 0) {
			return 0;
		}
	}
	if (count == loaded->aliases_room) {
		uint32_t room = count == 0 ? 8 : count * 2;
		struct load_alias *list = realloc(loaded->aliases, room * sizeof(*list));
		if (list == NULL) {
			return -ENOMEM;
		}
		loaded->aliases = list;
		loaded->aliases_room = room;
	}
	loaded->aliases[count] = (struct load_alias){
		arena_strdup(&loaded->set.arena, name), arena_strdup(&loaded->set.arena, of)};
	if (loaded->aliases[count].name == NULL || loaded->aliases[count].of == NULL) {
		return -ENOMEM;
	}
	loaded->aliases_count++;
	return 0;
}

/* The next unit in the order of the start, without recursion; NULL behind the last. *position is
 * where `at` stands among its siblings. */
static struct unit *walk_next(const struct unit *at, uint32_t *positions)
{
	if (at->supervisor != NULL && at->supervisor->children_count > 0) {
		positions[at->supervisor->children[0]->index] = 0;
		return at->supervisor->children[0];
	}
	while (at->parent != NULL) {
		const struct unit_supervisor *above = at->parent->supervisor;
		uint32_t next = positions[at->index] + 1;
		if (next < above->children_count) {
			positions[above->children[next]->index] = next;
			return above->children[next];
		}
		at = at->parent;
	}
	return NULL;
}

int set_renumber(struct loaded_set *loaded)
{
	uint32_t count = 0;
	struct unit **list = malloc((loaded->room + 1) * sizeof(*list));
	struct load_node **nodes = malloc((loaded->room + 1) * sizeof(*nodes));
	uint32_t *positions = calloc(loaded->room + 1, sizeof(*positions));
	if (list == NULL || nodes == NULL || positions == NULL) {
		free(list);
		free(nodes);
		free(positions);
		return -ENOMEM;
	}
	for (struct unit *unit = loaded->set.list[0]; unit != NULL;
		unit = walk_next(unit, positions)) {
		nodes[count] = loaded->nodes[unit->index];
		list[count++] = unit;
	}
	free(positions);
	free(loaded->nodes);
	loaded->nodes = nodes;
	memset(loaded->buckets, 0, loaded->buckets_count * sizeof(*loaded->buckets));
	free(loaded->set.list);
	loaded->set.list = list;
	loaded->set.count = 0;
	for (uint32_t i = 0; i < count; i++) {
		list[i]->index = i;
		loaded->set.count = i + 1;
		*set_bucket(loaded, list[i]->name) = i + 1;
	}
	return 0;
}

struct unit *set_find(const struct loaded_set *loaded, const char *name)
{
	if (loaded->buckets_count == 0) {
		return NULL;
	}
	uint32_t found = *set_bucket(loaded, name);
	for (uint32_t i = 0; found == 0 && i < loaded->aliases_count; i++) {
		if (strcmp(loaded->aliases[i].name, name) == 0) {
			found = *set_bucket(loaded, loaded->aliases[i].of);
		}
	}
	return found == 0 ? NULL : loaded->set.list[found - 1];
}

struct unit *unit_set_find(const struct unit_set *set, const char *name)
{
	char whole[UNIT_NAME_SIZE];
	if (unit_name_normalize(name, whole, sizeof(whole)) < 0) {
		return NULL;
	}
	return set_find((const struct loaded_set *)set, whole);
}

struct unit *set_find_template(const struct loaded_set *loaded, const char *name)
{
	for (uint32_t i = 0; i < loaded->set.templates_count; i++) {
		if (strcmp(loaded->set.templates[i]->name, name) == 0) {
			return loaded->set.templates[i];
		}
	}
	return NULL;
}

struct unit *set_owner(const struct loaded_set *loaded, const struct unit *template)
{
	for (uint32_t i = 0; i < loaded->set.templates_count; i++) {
		if (loaded->set.templates[i] == template) {
			return loaded->owners[i];
		}
	}
	return NULL;
}
