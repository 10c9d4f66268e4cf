/*
 * Instances of templates that are made at run time.
 *
 * An instance keeps its set alive: what does not depend on the instance is the set's. So ten
 * thousand equal children cost ten thousand small records, and a reload may let go of the set they
 * came from.
 */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "unit/load.h"
#include "unit/name.h"

struct owned_unit {
	struct loaded_set *loaded;
	struct arena arena;
	struct unit unit;
};

static int instance_make(struct builder *builder, struct owned_unit *owned, const char *name,
	const struct unit *owner)
{
	struct unit_definition *definition;
	struct unit_extra extra;
	int r = build_find(builder, name, NULL, &definition);
	if (r < 0) {
		return r;
	}
	struct unit *unit = NULL;
	if (definition->shared == NULL && !definition->not_shared) {
		/* The first of its kind is made for all that follow. */
		builder->unit_arena = builder->arena;
		if (build_unit(builder, definition, name, &extra) == NULL) {
			return -ENOMEM;
		}
		free(extra.children);
		if (builder->messages->errors > 0) {
			return -EUCLEAN;
		}
	}
	builder->unit_arena = &owned->arena;
	unit = build_unit(builder, definition, name, &extra);
	if (unit == NULL) {
		return -ENOMEM;
	}
	free(extra.children);
	build_finish(builder, unit, &extra, owner);
	owned->unit = *unit;
	owned->unit.parent = (struct unit *)owner;
	owned->unit.index = UINT32_MAX;
	return 0;
}

/* "worker@7" of worker@.service. */
static bool instance_name(const struct unit *template, const char *name, char out[UNIT_NAME_SIZE])
{
	char of[UNIT_NAME_SIZE];
	if (unit_name_normalize(name, out, UNIT_NAME_SIZE) < 0 || !name_is_instance(out)) {
		return false;
	}
	name_to_template(out, of);
	return strcmp(of, template->name) == 0;
}

struct unit *unit_instantiate(const struct unit_set *set, const struct unit_search *search,
	struct unit_source *source, struct unit *template, const char *name,
	struct unit_messages *messages)
{
	struct loaded_set *loaded = (struct loaded_set *)set;
	struct unit_messages own = {0};
	char whole[UNIT_NAME_SIZE];
	char word[MESSAGE_WORD_SIZE];
	if (!instance_name(template, name, whole)) {
		message_error(messages, NULL, "\"%s\" is no instance of %s",
			message_word(word, name), template->name);
		return NULL;
	}
	struct owned_unit *owned = calloc(1, sizeof(*owned));
	if (owned == NULL) {
		message_no_memory(messages);
		return NULL;
	}
	struct builder builder = {
		.arena = &loaded->set.arena,
		.files = &loaded->files,
		.source = source,
		.messages = &own,
		.host = {.source = source, .arena = &owned->arena, .user = search->user},
	};
	int r = instance_make(&builder, owned, whole, set_owner(loaded, template));
	if (r == -ENOENT) {
		message_error(&own, NULL, "there is no unit \"%s\" and no template \"%s\"", whole,
			template->name);
	} else if (r == -ENOMEM) {
		message_no_memory(&own);
	}
	bool good = own.errors == 0;
	message_move(messages, &own);
	if (!good) {
		arena_finish(&owned->arena);
		free(owned);
		return NULL;
	}
	owned->loaded = loaded;
	loaded->references++;
	return &owned->unit;
}

void unit_instance_destroy(struct unit *unit)
{
	if (unit == NULL) {
		return;
	}
	struct owned_unit *owned =
		(struct owned_unit *)((char *)unit - offsetof(struct owned_unit, unit));
	set_release(owned->loaded);
	arena_finish(&owned->arena);
	free(owned);
}
