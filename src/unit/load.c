/*
 * The whole tree below a root: units are loaded in the order of Children=, each supervisor's
 * subtree before its next sibling, so that the index is the order of the start.
 */
#include "unit/load.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "unit/depend.h"
#include "unit/name.h"

/* --- words for messages --- */

/* An error where another unit is named. Only now the place is worked out: in a list of 10,000
 * children that is too dear for each of them. */
void load_error(struct loader *loader, const struct unit_spot *named, const char *format, ...)
{
	char text[3072];
	struct unit_place place = {NULL, 0, 0};
	va_list args;
	if (named != NULL && loader->messages->count <= UNIT_MESSAGES_MAX) {
		place = parse_spot_place(named);
	}
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	message_error(loader->messages, &place, "%s", text);
}

#define DIRS_TEXT_SIZE 1024
#define ARROW          " \xe2\x86\x92 "
#define ELLIPSIS       "\xe2\x80\xa6"

/* "/a, /b and systemd's directories". */
static const char *load_dirs_text(const struct unit_search *search, char buf[DIRS_TEXT_SIZE])
{
	size_t length = 0;
	buf[0] = '\0';
	for (const char *const *dir = search->dirs; dir != NULL && *dir != NULL; dir++) {
		int n = snprintf(buf + length, DIRS_TEXT_SIZE - length, "%s%s",
			length > 0 ? ", " : "", *dir);
		length += n > 0 ? (size_t)n : 0;
		if (length >= DIRS_TEXT_SIZE) {
			return buf;
		}
	}
	if (search->systemd_dirs != NULL && *search->systemd_dirs != NULL) {
		snprintf(buf + length, DIRS_TEXT_SIZE - length, "%ssystemd's directories",
			length > 0 ? " and " : "");
	}
	return buf;
}

static void load_say_missing(struct loader *loader, const struct unit_spot *named, const char *name)
{
	char dirs[DIRS_TEXT_SIZE];
	char hint[UNIT_NAME_SIZE + 32] = "";
	char template[UNIT_NAME_SIZE + 32] = "";
	bool shown = loader->messages->count <= UNIT_MESSAGES_MAX; /* hints take time */
	const char *near = shown ? files_nearest(&loader->loaded->files, name) : NULL;
	if (name_is_instance(name)) {
		char whole[UNIT_NAME_SIZE];
		name_to_template(name, whole);
		if (near == NULL && shown) {
			near = files_nearest(&loader->loaded->files, whole);
		}
		snprintf(template, sizeof(template), " and no template \"%s\"", whole);
	}
	if (near != NULL) {
		snprintf(hint, sizeof(hint), "; did you mean %s?", near);
	}
	load_error(loader, named, "there is no unit \"%s\"%s in %s%s", name, template,
		load_dirs_text(loader->search, dirs), hint);
}

static void load_say_bad_name(
	struct loader *loader, const struct unit_spot *named, const char *name)
{
	char word[MESSAGE_WORD_SIZE];
	const char *dot = name_dot(name);
	message_word(word, name);
	if (dot != NULL && dot != name && name_at(name) == NULL && name_kind(name) < 0 &&
		strchr(name, '/') == NULL) {
		load_error(loader, named,
			"\"%s\": \"%.32s\" is no kind of unit: expected .service or .supervisor",
			word, dot);
	} else {
		load_error(loader, named, "\"%s\" cannot be the name of a unit", word);
	}
}

/* "a.supervisor → b.supervisor → a.supervisor". */
static void load_say_circle(struct loader *loader, const struct unit_spot *named,
	const struct load_node *parent, const struct unit *unit)
{
	char text[2048];
	char rest[2048];
	snprintf(text, sizeof(text), "%s", unit->name);
	for (const struct load_node *node = parent; node != NULL; node = node->parent) {
		snprintf(rest, sizeof(rest), "%s", text);
		const char *name = strlen(rest) > 1500 ? ELLIPSIS : node->unit->name;
		snprintf(text, sizeof(text), "%s" ARROW "%.1700s", name, rest);
		if (node->unit == unit || strlen(rest) > 1500) {
			break;
		}
	}
	load_error(loader, named, "a circle of supervisors: %s", text);
}

/* The unit is in the tree already: says in which way that is wrong. */
static void load_say_again(struct loader *loader, const struct unit_spot *named,
	const struct load_node *parent, const struct unit *unit)
{
	const struct load_node *first = loader->loaded->nodes[unit->index];
	const struct load_node *above = parent;
	while (above != NULL && above->unit != unit) {
		above = above->parent;
	}
	if (above == parent) {
		load_error(loader, named, "\"%s\" names itself as its child", unit->name);
	} else if (above != NULL) {
		load_say_circle(loader, named, parent, unit);
	} else if (unit->parent == parent->unit) {
		load_error(loader, named, "\"%s\" is named twice as a child (first in line %u)",
			unit->name, unit->line);
	} else {
		struct unit_place there = parse_spot_place(&first->named);
		load_error(loader, named,
			"\"%s\" is a child of %s already (%s:%u:%u): a unit has one supervisor",
			unit->name, unit->parent->name, there.path, there.line, there.column);
	}
}

/* --- one unit --- */

static int load_append(struct loader *loader, struct load_node *parent, struct unit *unit)
{
	struct unit_supervisor *above = parent->unit->supervisor;
	if (above->children_count == parent->children_room) {
		uint32_t room = parent->children_room == 0 ? 8 : parent->children_room * 2;
		struct unit **list =
			arena_alloc(&loader->loaded->set.arena, room * sizeof(struct unit *));
		if (list == NULL) {
			return -ENOMEM;
		}
		if (above->children_count > 0) {
			memcpy(list, above->children,
				above->children_count * sizeof(struct unit *));
		}
		above->children = list;
		parent->children_room = room;
	}
	unit->parent = parent->unit;
	above->children[above->children_count++] = unit;
	return 0;
}

/* Makes the node of a unit whose files have been found, and enters it. NULL: no memory. */
static struct load_node *load_add(struct loader *loader, struct unit_definition *definition,
	const char *name, const struct unit_spot *named, struct load_node *parent)
{
	struct load_node *node = arena_alloc(&loader->scratch, sizeof(*node));
	if (node == NULL) {
		return NULL;
	}
	node->unit = build_unit(&loader->builder, definition, name, &node->extra);
	if (node->unit == NULL) {
		free(node->extra.children);
		return NULL;
	}
	node->parent = parent;
	if (named != NULL) {
		node->named = *named;
		node->unit->line = parse_spot_line(named);
	}
	if (parent != NULL && load_append(loader, parent, node->unit) < 0) {
		free(node->extra.children);
		return NULL;
	}
	if (node->unit->kind == UNIT_TARGET) {
		depend_target_defaults(node->unit);
	}
	build_finish(
		&loader->builder, node->unit, &node->extra, parent != NULL ? parent->unit : NULL);
	if (set_add(loader->loaded, node) < 0) {
		free(node->extra.children);
		return NULL;
	}
	return node;
}

/* Finds the template of a dynamic supervisor. Returns 0, -EINVAL (told) or -ENOMEM. */
static int load_template(struct loader *loader, struct load_node *node)
{
	struct unit_supervisor *supervisor = node->unit->supervisor;
	const struct unit_ref *ref = &node->extra.template;
	const struct unit_spot *named = &ref->spot;
	struct unit_definition *definition;
	struct unit_extra extra;
	char name[UNIT_NAME_SIZE];
	if (unit_name_normalize(ref->name, name, sizeof(name)) < 0) {
		load_say_bad_name(loader, named, ref->name);
		return -EINVAL;
	}
	if (!name_is_template(name)) {
		load_error(loader, named,
			"Template=: \"%s\" is no template: expected a name such as worker@.service",
			name);
		return -EINVAL;
	}
	if (name_kind(name) != UNIT_SERVICE) {
		load_error(loader, named,
			"Template=: a template that is a %s is not supported by this version",
			name_dot(name) + 1);
		return -EINVAL;
	}
	struct unit *other = set_find_template(loader->loaded, name);
	if (other != NULL) {
		load_error(loader, named,
			"Template=: \"%s\" is the template of %s already: a template has one "
			"supervisor",
			name, set_owner(loader->loaded, other)->name);
		return -EINVAL;
	}
	int r = build_find(&loader->builder, name, named, &definition);
	if (r == -ENOENT) {
		load_say_missing(loader, named, name);
	}
	if (r < 0) {
		return r == -ENOMEM ? r : -EINVAL;
	}
	struct unit *template = build_unit(&loader->builder, definition, name, &extra);
	if (template == NULL) {
		return -ENOMEM;
	}
	template->index = UINT32_MAX;
	build_finish(&loader->builder, template, &extra, node->unit);
	supervisor->template = template;
	supervisor->template_name = template->name;
	return set_add_template(loader->loaded, template, node->unit);
}

/* What a supervisor needs before its children are loaded. */
static int load_begin_supervisor(struct loader *loader, struct load_node *node)
{
	struct unit_supervisor *supervisor = node->unit->supervisor;
	uint32_t room = node->extra.children_count + 1;
	/* Its size is known in advance, but for those that nobody names by Children=. */
	supervisor->children =
		arena_alloc(&loader->loaded->set.arena, room * sizeof(struct unit *));
	if (supervisor->children == NULL) {
		return -ENOMEM;
	}
	node->children_room = room;
	if (node->unit->kind == UNIT_TARGET) {
		return depend_wish_members(loader, node);
	}
	int r = node->extra.template.name != NULL ? load_template(loader, node) : 0;
	return r == -ENOMEM ? r : 0;
}

/* A template in the place of a child means the instance that its [Install] DefaultInstance= names.
 * Returns 0, -EINVAL (told) or -ENOMEM. */
static int load_default_instance(
	struct loader *loader, const struct unit_spot *named, char name[UNIT_NAME_SIZE])
{
	struct unit_definition *definition;
	struct unit_extra extra;
	char template[UNIT_NAME_SIZE];
	char example[UNIT_NAME_SIZE];
	str_copy(template, sizeof(template), name);
	int r = build_find(&loader->builder, template, named, &definition);
	if (r == -ENOENT) {
		load_say_missing(loader, named, template);
	}
	if (r < 0) {
		return r == -ENOMEM ? r : -EINVAL;
	}
	if (build_unit(&loader->builder, definition, template, &extra) == NULL) {
		return -ENOMEM;
	}
	free(extra.children);
	if (extra.default_instance == NULL) {
		name_with_instance(template, "1", example);
		load_error(loader, named,
			"\"%s\" is a template: name an instance of it, such as %s", template,
			example);
		return -EINVAL;
	}
	if (!name_with_instance(template, extra.default_instance, name) || !name_is_valid(name)) {
		load_error(loader, named,
			"\"%s\": its DefaultInstance= cannot be the name of an instance", template);
		return -EINVAL;
	}
	return 0;
}

/* The whole name of a child. Returns 0, -EINVAL (told) or -ENOMEM. */
static int load_child_name(struct loader *loader, const struct load_node *parent,
	const struct unit_spot *named, const char *text, char name[UNIT_NAME_SIZE])
{
	char template[UNIT_NAME_SIZE];
	if (unit_name_normalize(text, name, UNIT_NAME_SIZE) < 0) {
		load_say_bad_name(loader, named, text);
		return -EINVAL;
	}
	int kind = name_kind(name);
	if (kind == UNIT_TIMER || kind == UNIT_OTHER) {
		load_error(loader, named,
			"\"%s\": a %s as a child is not supported by this version", name,
			name_dot(name) + 1);
		return -EINVAL;
	}
	if (name_is_template(name)) {
		int r = load_default_instance(loader, named, name);
		if (r < 0) {
			return r;
		}
	}
	const struct unit *wanted = parent->unit->supervisor->template;
	if (wanted != NULL) {
		bool instance = name_is_instance(name);
		if (instance) {
			name_to_template(name, template);
		}
		if (!instance || strcmp(template, wanted->name) != 0) {
			load_error(loader, named,
				"\"%s\" is no instance of %s: a supervisor with Template= has no "
				"other "
				"children",
				name, wanted->name);
			return -EINVAL;
		}
	}
	return 0;
}

/* Loads one child. *out is NULL when that failed and was told. Returns 0 or -ENOMEM. */
static int load_child(struct loader *loader, struct load_node *parent, const struct unit_ref *ref,
	struct load_node **out)
{
	char name[UNIT_NAME_SIZE];
	struct unit_definition *definition;
	*out = NULL;
	int r = load_child_name(loader, parent, &ref->spot, ref->name, name);
	if (r < 0) {
		return r == -ENOMEM ? r : 0;
	}
	r = depend_follow_alias(loader, name);
	if (r < 0) {
		return r;
	}
	struct unit *again = set_find(loader->loaded, name);
	if (again != NULL) {
		load_say_again(loader, &ref->spot, parent, again);
		return 0;
	}
	r = depend_find(loader, name, &ref->spot, &definition);
	if (r == -ENOENT) {
		load_say_missing(loader, &ref->spot, name);
	}
	if (r < 0) {
		return r == -ENOMEM ? r : 0;
	}
	*out = load_add(loader, definition, name, &ref->spot, parent);
	return *out != NULL ? 0 : -ENOMEM;
}

int load_wished(
	struct loader *loader, struct load_node *parent, const char *wished, struct load_node **out)
{
	char name[UNIT_NAME_SIZE];
	struct unit_definition *definition;
	*out = NULL;
	if (!name_is_valid(wished) || name_is_template(wished)) {
		return -ENOENT;
	}
	str_copy(name, sizeof(name), wished);
	int r = depend_follow_alias(loader, name);
	if (r < 0 || set_find(loader->loaded, name) != NULL) {
		return r;
	}
	if (build_is_masked(&loader->builder, name)) {
		return 0;
	}
	r = depend_find(loader, name, NULL, &definition);
	if (r < 0) {
		return r == -EUCLEAN ? 0 : r;
	}
	*out = load_add(loader, definition, name, NULL, parent);
	if (*out == NULL) {
		return -ENOMEM;
	}
	(*out)->is_wished = true;
	return 0;
}

/* --- the tree --- */

static int load_root(struct loader *loader, const char *root, struct load_node **out)
{
	char name[UNIT_NAME_SIZE];
	char other[UNIT_NAME_SIZE];
	struct unit_definition *definition;
	if (unit_name_normalize(root, name, sizeof(name)) < 0 || name_is_template(name)) {
		load_error(loader, NULL, "the root \"%s\" cannot be the name of a unit", root);
		return -EINVAL;
	}
	if (name_kind(name) != UNIT_SUPERVISOR && name_kind(name) != UNIT_TARGET) {
		snprintf(other, sizeof(other), "%.*s.supervisor",
			(int)(name_dot(name) - name) > 200 ? 200 : (int)(name_dot(name) - name),
			name);
		bool near = files_find_name(&loader->loaded->files, other) != NULL;
		load_error(loader, NULL, "the root \"%s\" is no supervisor%s%s%s", name,
			near ? "; did you mean " : "", near ? other : "", near ? "?" : "");
		return -EINVAL;
	}
	int r = depend_follow_alias(loader, name);
	if (r == 0) {
		r = depend_find(loader, name, NULL, &definition);
	}
	if (r == -ENOENT) {
		load_say_missing(loader, NULL, name);
	}
	if (r < 0) {
		return r;
	}
	*out = load_add(loader, definition, name, NULL, NULL);
	return *out != NULL ? 0 : -ENOMEM;
}

static void load_node_done(struct load_node *node)
{
	free(node->extra.children);
	free(node->wishes);
	node->extra.children = NULL;
	node->wishes = NULL;
}

/* The next child of a node: of Children=, or of the wishes of a target. Returns 1 when there was
 * one (*out is NULL when it came to nothing), 0 at the end, or -ENOMEM. */
static int load_next(struct loader *loader, struct load_node *node, struct load_node **out)
{
	uint32_t next = node->next_child;
	*out = NULL;
	if (node->unit->kind == UNIT_TARGET) {
		return depend_next_wish(loader, node, out);
	}
	if (next == node->extra.children_count) {
		return 0;
	}
	node->next_child++;
	int r = load_child(loader, node, &node->extra.children[next], out);
	return r == 0 ? 1 : r;
}

/* A walk without recursion: a chain of supervisors may be as long as it likes. */
int load_walk(struct loader *loader, struct load_node *top)
{
	struct load_node *node = top;
	int r = top->unit->supervisor != NULL ? load_begin_supervisor(loader, top) : 0;
	while (r >= 0 && node != NULL && top->unit->supervisor != NULL) {
		struct load_node *child;
		r = load_next(loader, node, &child);
		if (r == 0) {
			load_node_done(node);
			node = node == top ? NULL : node->parent;
		} else if (r > 0 && child != NULL && child->unit->supervisor != NULL) {
			r = load_begin_supervisor(loader, child);
			node = child;
		}
	}
	for (; node != NULL; node = node->parent) {
		load_node_done(node);
	}
	return r < 0 ? r : 0;
}

static int load_begin(struct loader *loader, const struct unit_search *search,
	struct unit_source *source, struct unit_messages *messages)
{
	*loader = (struct loader){.search = search, .messages = messages};
	loader->loaded = set_create();
	if (loader->loaded == NULL) {
		return -ENOMEM;
	}
	struct arena *arena = &loader->loaded->set.arena;
	loader->builder = (struct builder){
		.arena = arena,
		.unit_arena = arena,
		.files = &loader->loaded->files,
		.source = source,
		.messages = messages,
		.host = {.source = source, .arena = arena, .user = search->user},
	};
	return files_init(&loader->loaded->files, arena, search, source, messages);
}

struct unit_set *unit_set_load(const struct unit_search *search, struct unit_source *source,
	const char *root, struct unit_messages *messages)
{
	struct loader loader;
	struct load_node *node = NULL;
	uint32_t errors = messages->errors;
	int r = load_begin(&loader, search, source, messages);
	if (r == 0) {
		r = load_root(&loader, root, &node);
	}
	if (r == 0) {
		r = load_walk(&loader, node);
	}
	if (r == 0 && messages->errors == errors) {
		r = depend_finish(&loader);
	}
	if (r == -ENOMEM) {
		message_no_memory(messages);
	}
	struct loaded_set *loaded = loader.loaded;
	arena_finish(&loader.scratch);
	if (loaded != NULL) {
		free(loaded->nodes);
		loaded->nodes = NULL;
	}
	if (messages->errors != errors && loaded != NULL) {
		set_release(loaded);
		loaded = NULL;
	}
	return loaded != NULL ? &loaded->set : NULL;
}

/* --- one file --- */

/* What can be said of the children of a supervisor that stands alone. */
static void verify_children(struct loader *loader, struct load_node *node)
{
	char name[UNIT_NAME_SIZE];
	for (uint32_t i = 0; i < node->extra.children_count; i++) {
		const struct unit_ref *ref = &node->extra.children[i];
		if (unit_name_normalize(ref->name, name, sizeof(name)) < 0) {
			load_say_bad_name(loader, &ref->spot, ref->name);
		} else if (strcmp(name, node->unit->name) == 0) {
			load_say_again(loader, &ref->spot, node, node->unit);
		}
	}
}

static int verify_file(struct loader *loader, const char *path)
{
	struct unit_definition *definition;
	const char *slash = strrchr(path, '/');
	const char *name = slash != NULL ? slash + 1 : path;
	if (!name_is_valid(name)) {
		load_error(loader, NULL, "%s: \"%s\" cannot be the name of a unit", path, name);
		return -EINVAL;
	}
	int r = build_find_file(&loader->builder, path, name, &definition);
	if (r < 0) {
		return r;
	}
	struct load_node *node = load_add(loader, definition, name, NULL, NULL);
	if (node == NULL) {
		return -ENOMEM;
	}
	verify_children(loader, node);
	free(node->extra.children);
	return 0;
}

bool unit_verify_file(const struct unit_search *search, struct unit_source *source,
	const char *path, struct unit_messages *messages)
{
	struct loader loader;
	uint32_t errors = messages->errors;
	int r = load_begin(&loader, search, source, messages);
	if (r == 0) {
		r = verify_file(&loader, path);
	}
	if (r == -ENOMEM) {
		message_no_memory(messages);
	}
	arena_finish(&loader.scratch);
	if (loader.loaded != NULL) {
		set_release(loader.loaded);
	}
	return messages->errors == errors;
}
