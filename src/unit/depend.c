#include "unit/depend.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "unit/name.h"
#include "unit/word.h"

#define TARGET_PERIOD (10 * NS_PER_SEC)
/* Restarts of one child within that time: systemd's own limit of starts comes long before. */
#define TARGET_INTENSITY_A_CHILD 100

/* --- what a target is --- */

void depend_target_defaults(struct unit *target)
{
	struct unit_supervisor *supervisor = target->supervisor;
	supervisor->strategy = STRATEGY_ONE_FOR_ONE;
	supervisor->default_restart = RESTART_WORD_TEMPORARY;
	supervisor->period_ns = TARGET_PERIOD;
	supervisor->intensity = TARGET_INTENSITY_A_CHILD;
}

/* --- names --- */

static const char *alias_read(struct loader *loader, const struct file_name *found)
{
	struct unit_source *source = loader->builder.source;
	const struct files *files = loader->builder.files;
	char path[PATH_MAX], target[PATH_MAX], template[UNIT_NAME_SIZE];
	uint32_t dir = (uint32_t)__builtin_ctzll(found->dirs);
	if (source->read_link == NULL ||
		snprintf(path, sizeof(path), "%s/%s", files->dirs[dir], found->name) >=
			(int)sizeof(path) ||
		source->read_link(source, path, target, sizeof(target)) < 0) {
		return NULL;
	}
	const char *slash = strrchr(target, '/');
	const char *base = slash != NULL ? slash + 1 : target;
	if (!name_is_valid(base) || strcmp(base, found->name) == 0 ||
		name_kind(base) != name_kind(found->name) || files_find_name(files, base) == NULL) {
		return NULL;
	}
	/* "a@1.service" as a link to "a@.service" is an instance, no alias. */
	if (name_is_instance(found->name)) {
		name_to_template(found->name, template);
		if (strcmp(template, base) == 0) {
			return NULL;
		}
	}
	return name_is_template(base) ? NULL : arena_strdup(&loader->loaded->set.arena, base);
}

int depend_follow_alias(struct loader *loader, char name[UNIT_NAME_SIZE])
{
	char first[UNIT_NAME_SIZE];
	str_copy(first, sizeof(first), name);
	for (int i = 0; i < 8; i++) {
		struct file_name *found =
			(struct file_name *)files_find_name(loader->builder.files, name);
		if (found == NULL) {
			break;
		}
		if (!found->alias_known) {
			found->alias_known = true;
			found->alias = alias_read(loader, found);
		}
		if (found->alias == NULL) {
			break;
		}
		str_copy(name, UNIT_NAME_SIZE, found->alias);
	}
	return strcmp(first, name) == 0 ? 0 : set_add_alias(loader->loaded, first, name);
}

/* systemd's own units: what they do is coppice's business, or nobody's in a container. */
static bool is_plumbing(const char *name)
{
	static const char *const starts[] = {"systemd-", "getty", "serial-getty@", "console-getty",
		"container-getty@", "autovt@", "initrd-", "plymouth", "user@", "user-runtime-dir@",
		"modprobe@", "ldconfig.service", "kmod-static-nodes.service", "rescue.",
		"emergency.", "debug-shell.service", "quotaon.service", "quotaon@", "syslog.socket",
		"udev.service", "dracut-"};
	for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++) {
		if (str_starts(name, starts[i])) {
			return true;
		}
	}
	return false;
}

static bool is_kind_of_use(const char *name)
{
	int kind = name_kind(name);
	return kind == UNIT_SERVICE || kind == UNIT_SUPERVISOR || kind == UNIT_SOCKET ||
	       kind == UNIT_TARGET;
}

static void leave_out(struct loader *loader, const char *name)
{
	uint32_t room = sizeof(loader->left_out) / sizeof(loader->left_out[0]);
	for (uint32_t i = 0; i < loader->left_out_count && i < room; i++) {
		if (strcmp(loader->left_out[i], name) == 0) {
			return;
		}
	}
	if (loader->left_out_count < room) {
		loader->left_out[loader->left_out_count] = name;
	}
	loader->left_out_count++;
}

static void say_left_out(struct loader *loader)
{
	char text[2048] = "";
	uint32_t room = sizeof(loader->left_out) / sizeof(loader->left_out[0]);
	uint32_t count = loader->left_out_count < room ? loader->left_out_count : room;
	struct unit_place nowhere = {NULL, 0, 0};
	for (uint32_t i = 0; i < count; i++) {
		size_t used = strlen(text);
		snprintf(text + used, sizeof(text) - used, "%s%.64s", i > 0 ? ", " : "",
			loader->left_out[i]);
	}
	if (count > 0) {
		message_warning(loader->messages, &nowhere,
			"left out of targets, being systemd's own or of a kind that is not "
			"supervised: %s%s",
			text, loader->left_out_count > room ? ", and others" : "");
	}
}

/* --- members of targets --- */

static int wish_add(
	struct loader *loader, struct load_node *target, const char *name, bool required, bool told)
{
	for (uint32_t i = 0; i < target->wishes_count; i++) {
		if (strcmp(target->wishes[i].name, name) == 0) {
			target->wishes[i].required |= required;
			return 0;
		}
	}
	if (target->wishes_count == target->wishes_room) {
		uint32_t room = target->wishes_room == 0 ? 16 : target->wishes_room * 2;
		struct load_wish *list = realloc(target->wishes, room * sizeof(*list));
		if (list == NULL) {
			return -ENOMEM;
		}
		target->wishes = list;
		target->wishes_room = room;
	}
	const char *copy = arena_strdup(&loader->scratch, name);
	if (copy == NULL) {
		return -ENOMEM;
	}
	target->wishes[target->wishes_count++] = (struct load_wish){copy, required, told};
	return 0;
}

struct linked {
	struct loader *loader;
	struct load_node *target;
	bool required;
	int result;
};

static void linked_add(void *context, const char *name)
{
	struct linked *linked = context;
	if (linked->result == 0 && name_is_valid(name)) {
		linked->result =
			wish_add(linked->loader, linked->target, name, linked->required, false);
	}
}

/* The links in all directories of the search path of one name: "X.target.wants". */
static int wish_linked(
	struct loader *loader, struct load_node *target, const char *tail, bool required)
{
	struct linked linked = {loader, target, required, 0};
	struct unit_source *source = loader->builder.source;
	const struct files *files = loader->builder.files;
	char entry[UNIT_NAME_SIZE + 16], path[PATH_MAX];
	snprintf(entry, sizeof(entry), "%s%s", target->unit->name, tail);
	const struct file_name *found = files_find_name(files, entry);
	for (uint32_t dir = 0; found != NULL && dir < files->dirs_count; dir++) {
		if ((found->dirs >> dir & 1) == 0) {
			continue;
		}
		snprintf(path, sizeof(path), "%s/%s", files->dirs[dir], entry);
		int r = source->list_dir(source, path, linked_add, &linked);
		if (r == -ENOMEM || linked.result < 0) {
			return -ENOMEM;
		}
	}
	return 0;
}

static int wish_related(struct loader *loader, struct load_node *target, const struct unit *unit,
	enum unit_relation relation, bool required, bool told)
{
	const char *const *list = unit->relations[relation];
	for (uint32_t i = 0; list != NULL && list[i] != NULL; i++) {
		int r = wish_add(loader, target, list[i], required, told);
		if (r < 0) {
			return r;
		}
	}
	return 0;
}

int depend_wish_members(struct loader *loader, struct load_node *target)
{
	const struct unit *unit = target->unit;
	int r = wish_linked(loader, target, ".requires", true);
	if (r == 0) {
		r = wish_related(loader, target, unit, UNIT_REQUIRES, true, false);
	}
	if (r == 0) {
		r = wish_related(loader, target, unit, UNIT_BINDS_TO, true, false);
	}
	if (r == 0) {
		r = wish_related(loader, target, unit, UNIT_WANTS, false, true);
	}
	return r == 0 ? wish_linked(loader, target, ".wants", false) : r;
}

/* What a member needs is a member too, unless it is somewhere already. */
static int wish_needs(struct loader *loader, struct load_node *target, const struct unit *member)
{
	static const uint8_t needs[] = {UNIT_REQUIRES, UNIT_BINDS_TO, UNIT_WANTS};
	int r = 0;
	for (size_t i = 0; r == 0 && i < sizeof(needs); i++) {
		r = wish_related(loader, target, member, needs[i], false, true);
	}
	return r;
}

static void say_no_member(
	struct loader *loader, const struct load_node *target, const struct load_wish *wish)
{
	struct unit_place place = {target->unit->path, 0, 0};
	if (wish->told) {
		return;
	}
	if (wish->required && !target->unit->from_systemd) {
		message_error(loader->messages, &place, "%s requires %s, and there is no such unit",
			target->unit->name, wish->name);
	} else {
		message_warning(loader->messages, &place,
			"%s %s %s, and there is no such unit; it is left out", target->unit->name,
			wish->required ? "requires" : "wants", wish->name);
	}
}

int depend_next_wish(struct loader *loader, struct load_node *target, struct load_node **out)
{
	*out = NULL;
	if (target->next_child == target->wishes_count) {
		return 0;
	}
	struct load_wish wish = target->wishes[target->next_child++];
	if (!is_kind_of_use(wish.name) || is_plumbing(wish.name)) {
		leave_out(loader, wish.name);
		return 1;
	}
	int r = load_wished(loader, target, wish.name, out);
	if (r == -ENOENT) {
		say_no_member(loader, target, &wish);
		return 1;
	}
	if (r < 0) {
		return r;
	}
	if (*out == NULL) {
		struct unit *there = set_find(loader->loaded, wish.name);
		if (wish.required && there != NULL && there->parent == target->unit) {
			there->optional = false;
		}
		return 1;
	}
	struct unit *member = (*out)->unit;
	member->kept = true;
	member->optional = !wish.required;
	r = member->kind == UNIT_TARGET ? 0 : wish_needs(loader, target, member);
	return r == 0 ? 1 : r;
}

int depend_find(struct loader *loader, const char *name, const struct unit_spot *named,
	struct unit_definition **out)
{
	static const char *const tails[] = {".wants", ".requires"};
	static const char *const none[] = {NULL};
	struct arena *arena = loader->builder.arena;
	const struct files *files = loader->builder.files;
	int r = build_find(&loader->builder, name, named, out);
	if (r != -ENOENT || name_kind(name) != UNIT_TARGET) {
		return r;
	}
	for (size_t i = 0; i < 2; i++) {
		char entry[UNIT_NAME_SIZE + 16];
		snprintf(entry, sizeof(entry), "%s%s", name, tails[i]);
		const struct file_name *found = files_find_name(files, entry);
		if (found == NULL) {
			continue;
		}
		uint32_t dir = (uint32_t)__builtin_ctzll(found->dirs);
		struct file *file = arena_alloc(arena, sizeof(*file));
		*out = arena_alloc(arena, sizeof(**out));
		if (file == NULL || *out == NULL) {
			return -ENOMEM;
		}
		file->path = arena_printf(arena, "%s/%s", files->dirs[dir], entry);
		(*out)->main = file;
		(*out)->from_systemd = true;
		(*out)->dropin_paths = none;
		return file->path != NULL ? 0 : -ENOMEM;
	}
	return r;
}

/* --- units on demand --- */

/* Loads a unit that others start, beside the one that names it. */
static int demand_one(struct loader *loader, const struct unit *by, const char *name)
{
	struct load_node *parent = loader->loaded->nodes[by->index], *made;
	if (set_find(loader->loaded, name) != NULL || !is_kind_of_use(name) || is_plumbing(name)) {
		return 0;
	}
	/* Not among the instances of a template, and never above the root. */
	do {
		parent = parent->parent != NULL ? parent->parent : parent;
	} while (parent->parent != NULL && parent->unit->supervisor->template != NULL);
	if (parent->unit->supervisor == NULL || parent->unit->supervisor->template != NULL) {
		return 0;
	}
	int r = load_wished(loader, parent, name, &made);
	if (r == -ENOENT) {
		struct unit_place place = {by->path, 0, 0};
		message_warning(loader->messages, &place, "%s names %s, and there is no such unit",
			by->name, name);
		return 0;
	}
	if (r < 0 || made == NULL) {
		return r;
	}
	made->unit->on_demand = true;
	made->unit->kept = true;
	made->is_wished = false;
	return load_walk(loader, made);
}

static int demand_list(struct loader *loader, const struct unit *by, const char *const *list)
{
	int r = 0;
	for (uint32_t i = 0; r == 0 && list != NULL && list[i] != NULL; i++) {
		r = demand_one(loader, by, list[i]);
	}
	return r;
}

/* --- sockets that a service needs --- */

/* Loads a socket unit beside a service that names it, and puts it before that. */
static int bring_socket(struct loader *loader, const struct unit *service, const char *text)
{
	struct load_node *parent = loader->loaded->nodes[service->parent->index], *made;
	struct unit_supervisor *above = parent->unit->supervisor;
	char name[UNIT_NAME_SIZE];
	if (unit_name_normalize(text, name, sizeof(name)) < 0 || name_kind(name) != UNIT_SOCKET ||
		set_find(loader->loaded, name) != NULL || is_plumbing(name)) {
		return 0;
	}
	int r = load_wished(loader, parent, name, &made);
	if (r == -ENOENT) {
		struct unit_place place = {service->path, 0, 0};
		message_warning(loader->messages, &place, "%s names %s, and there is no such unit",
			service->name, name);
		return 0;
	}
	if (r < 0 || made == NULL) {
		return r;
	}
	uint32_t at = above->children_count - 1;
	for (; at > 0 && above->children[at] != service; at--) {
		above->children[at] = above->children[at - 1];
	}
	above->children[at] = made->unit;
	return made->unit->supervisor != NULL ? load_walk(loader, made) : 0;
}

static int bring_list(struct loader *loader, const struct unit *service, const char *const *list)
{
	int r = 0;
	for (uint32_t i = 0; r == 0 && list != NULL && list[i] != NULL; i++) {
		r = bring_socket(loader, service, list[i]);
	}
	return r;
}

/* Sockets=, and Requires=, Wants= and BindsTo= of a socket unit, bring it in as a sibling; the
 * socket of a service's own name comes only when somebody names it, as systemd has it. */
static int bring_sockets(struct loader *loader, const struct unit *service)
{
	static const enum unit_relation kinds[] = {UNIT_REQUIRES, UNIT_WANTS, UNIT_BINDS_TO};
	if (service->parent == NULL || service->parent->supervisor->template != NULL) {
		return 0;
	}
	int r = bring_list(loader, service, service->service->sockets);
	for (size_t i = 0; r == 0 && i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		r = bring_list(loader, service, service->relations[kinds[i]]);
	}
	return r;
}

static int demand_all(struct loader *loader)
{
	int r = 0;
	/* The set grows meanwhile: a handler of failures may have a handler of its own. */
	for (uint32_t i = 0; r == 0 && i < loader->loaded->set.count; i++) {
		const struct unit *unit = loader->loaded->set.list[i];
		r = demand_list(loader, unit, unit->relations[UNIT_ON_FAILURE]);
		if (r == 0) {
			r = demand_list(loader, unit, unit->relations[UNIT_ON_SUCCESS]);
		}
		if (r == 0) {
			r = demand_list(loader, unit, unit->relations[UNIT_UPHOLDS]);
		}
		if (r == 0 && unit->kind == UNIT_SOCKET && !unit->socket->accept) {
			r = demand_one(loader, unit, unit->socket->service);
		}
		if (r == 0 && unit->kind == UNIT_SERVICE) {
			r = bring_sockets(loader, unit);
		}
	}
	return r;
}

/* --- who has to do with whom --- */

/* Alias= of [Install]: what systemctl enable would link. A file of that name is another unit. */
static int alias_installed(struct loader *loader, const struct unit *unit)
{
	for (uint32_t i = 0; i < unit->settings_count; i++) {
		const struct unit_setting *setting = &unit->settings[i];
		char text[4096], name[UNIT_NAME_SIZE], *rest = text, *word;
		if (strcmp(setting->section, "Install") != 0 ||
			strcmp(setting->key, "Alias") != 0) {
			continue;
		}
		str_copy(text, sizeof(text), setting->value);
		while ((word = strsep(&rest, " \t")) != NULL) {
			if (*word == '\0' || strchr(word, '%') != NULL ||
				unit_name_normalize(word, name, sizeof(name)) < 0 ||
				name_kind(name) != unit->kind ||
				files_find_name(loader->builder.files, name) != NULL ||
				set_find(loader->loaded, name) != NULL) {
				continue;
			}
			if (set_add_alias(loader->loaded, name, unit->name) < 0) {
				return -ENOMEM;
			}
		}
	}
	return 0;
}

static struct unit *related(struct loader *loader, const char *name)
{
	char whole[UNIT_NAME_SIZE];
	struct unit *found = set_find(loader->loaded, name);
	if (found == NULL && files_find_name(loader->builder.files, name) != NULL) {
		str_copy(whole, sizeof(whole), name);
		found = depend_follow_alias(loader, whole) == 0 ? set_find(loader->loaded, whole)
								: NULL;
	}
	return found;
}

struct edges {
	uint32_t count, room;
	struct depend_edge *list;
};

static struct depend_edge *edges_add(struct edges *edges)
{
	if (edges->count == edges->room) {
		uint32_t room = edges->room == 0 ? 64 : edges->room * 2;
		struct depend_edge *list = realloc(edges->list, room * sizeof(*list));
		if (list == NULL) {
			return NULL;
		}
		edges->list = list;
		edges->room = room;
	}
	return &edges->list[edges->count++];
}

/* A unit that must be there is not: in a supervisor nobody brings it in, so that is said. */
static void say_not_there(
	struct loader *loader, const struct unit *unit, uint8_t relation, const char *name)
{
	bool must = relation == UNIT_REQUIRES || relation == UNIT_REQUISITE ||
		    relation == UNIT_BINDS_TO;
	struct unit_place place = {unit->path, 0, 0};
	if (must && unit->kind != UNIT_TARGET && name_kind(name) != UNIT_TARGET &&
		is_kind_of_use(name) && !is_plumbing(name)) {
		message_warning(loader->messages, &place,
			"%s needs %s, which is in no Children=; it is taken as being there",
			unit->name, name);
	}
}

static int edges_of(struct loader *loader, struct unit *unit, struct edges *edges)
{
	for (uint8_t relation = 0; relation < UNIT_WANTED_BY; relation++) {
		const char *const *list = unit->relations[relation];
		for (uint32_t i = 0; list != NULL && list[i] != NULL; i++) {
			struct unit *other = related(loader, list[i]);
			if (other == NULL || other == unit) {
				if (other == NULL) {
					say_not_there(loader, unit, relation, list[i]);
				}
				continue;
			}
			struct depend_edge *edge = edges_add(edges);
			if (edge == NULL) {
				return -ENOMEM;
			}
			*edge = (struct depend_edge){unit, other, unit, relation};
		}
	}
	return 0;
}

/* A service is started after its sockets. */
static int edge_of_socket(
	struct edges *edges, struct unit *service, struct unit *socket, struct unit *by)
{
	if (service == NULL || socket == NULL || socket->kind != UNIT_SOCKET) {
		return 0;
	}
	struct depend_edge *edge = edges_add(edges);
	if (edge == NULL) {
		return -ENOMEM;
	}
	*edge = (struct depend_edge){service, socket, by, UNIT_AFTER};
	return 0;
}

static int edges_of_socket(struct loader *loader, struct unit *unit, struct edges *edges)
{
	int r = 0;
	if (unit->kind == UNIT_SOCKET && !unit->socket->accept) {
		return edge_of_socket(edges, related(loader, unit->socket->service), unit, unit);
	}
	const char *const *list = unit->kind == UNIT_SERVICE ? unit->service->sockets : NULL;
	for (uint32_t i = 0; r == 0 && list != NULL && list[i] != NULL; i++) {
		r = edge_of_socket(edges, unit, related(loader, list[i]), unit);
	}
	return r;
}

static int peers_fill(struct loader *loader, const struct edges *edges)
{
	const struct unit_set *set = &loader->loaded->set;
	uint32_t *counts = calloc(set->count + 1, sizeof(*counts));
	if (counts == NULL) {
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < edges->count; i++) {
		counts[edges->list[i].from->index]++;
		counts[edges->list[i].to->index]++;
	}
	int r = 0;
	for (uint32_t i = 0; r == 0 && i < set->count; i++) {
		if (counts[i] > 0) {
			set->list[i]->peers = arena_alloc(
				&loader->loaded->set.arena, counts[i] * sizeof(struct unit_peer));
			r = set->list[i]->peers != NULL ? 0 : -ENOMEM;
		}
	}
	for (uint32_t i = 0; r == 0 && i < edges->count; i++) {
		const struct depend_edge *edge = &edges->list[i];
		struct unit_peer *from = (struct unit_peer *)edge->from->peers;
		struct unit_peer *to = (struct unit_peer *)edge->to->peers;
		from[edge->from->peers_count++] =
			(struct unit_peer){edge->to, edge->relation, true};
		to[edge->to->peers_count++] = (struct unit_peer){edge->from, edge->relation, false};
	}
	free(counts);
	return r;
}

/* --- the end of a load --- */

/* A target that was only wished for, and into which nothing came, is nothing. */
static void drop_empty_targets(struct loader *loader)
{
	for (uint32_t i = loader->loaded->set.count; i-- > 1;) {
		const struct load_node *node = loader->loaded->nodes[i];
		struct unit *unit = node->unit;
		if (!node->is_wished || unit->kind != UNIT_TARGET ||
			unit->supervisor->children_count > 0) {
			continue;
		}
		struct unit_supervisor *above = unit->parent->supervisor;
		uint32_t kept = 0;
		for (uint32_t k = 0; k < above->children_count; k++) {
			if (above->children[k] != unit) {
				above->children[kept++] = above->children[k];
			}
		}
		above->children_count = kept;
	}
}

static void size_targets(struct loader *loader)
{
	for (uint32_t i = 0; i < loader->loaded->set.count; i++) {
		struct unit *unit = loader->loaded->set.list[i];
		if (unit->kind == UNIT_TARGET && unit->supervisor->children_count > 1) {
			unit->supervisor->intensity =
				TARGET_INTENSITY_A_CHILD * unit->supervisor->children_count;
		}
	}
}

static int collect(struct loader *loader, struct edges *edges)
{
	const struct unit_set *set = &loader->loaded->set;
	int r = 0;
	for (uint32_t i = 0; r == 0 && i < set->count; i++) {
		r = alias_installed(loader, set->list[i]);
	}
	for (uint32_t i = 0; r == 0 && i < set->count; i++) {
		r = edges_of(loader, set->list[i], edges);
	}
	if (r == 0) {
		r = peers_fill(loader, edges);
	}
	for (uint32_t i = 0; r == 0 && i < set->count; i++) {
		r = edges_of_socket(loader, set->list[i], edges);
	}
	return r;
}

int depend_finish(struct loader *loader)
{
	struct edges edges = {0};
	int r = demand_all(loader);
	if (r == 0) {
		drop_empty_targets(loader);
		r = set_renumber(loader->loaded);
	}
	if (r == 0) {
		r = collect(loader, &edges);
	}
	if (r == 0) {
		size_targets(loader);
		r = depend_order(loader, edges.list, edges.count);
	}
	if (r == 0) {
		r = set_renumber(loader->loaded);
	}
	free(edges.list);
	say_left_out(loader);
	return r;
}
