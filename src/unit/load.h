/*
 * What stands behind a struct unit_set, and the state of a load.
 */
#ifndef UNIT_LOAD_H
#define UNIT_LOAD_H

#include "unit/build.h"

/* A unit under way: what the walk knows of it beside the unit itself. */
struct load_node {
	struct unit *unit;
	struct unit_extra extra;
	struct unit_spot named; /* where its parent names it */
	struct load_node *parent;
	uint32_t next_child;
	uint32_t children_room; /* of unit->supervisor->children */
	/* a target: who is to be its child, if there is such a unit */
	uint32_t wishes_count, wishes_room;
	struct load_wish *wishes; /* malloc'd */
	bool is_wished;           /* it came by a wish, not by Children= */
};

struct load_wish {
	const char *name;
	bool required; /* the target does not start without it */
	bool told;     /* that there is no such unit was said, or need not be */
};

struct load_alias {
	const char *name, *of;
};

struct loaded_set {
	struct unit_set set; /* first: a set is found back by it */
	struct files files;
	uint32_t references; /* the set's owner, and each instance of unit_instantiate() */
	uint32_t room;
	uint32_t *buckets; /* index + 1 by name, open addressing */
	uint32_t buckets_count;
	struct unit **owners; /* the supervisors of `set.templates` */
	uint32_t templates_room;
	struct load_node **nodes; /* by index, while loading */
	uint32_t aliases_count, aliases_room;
	struct load_alias *aliases;
};

struct loader {
	struct loaded_set *loaded;
	struct builder builder;
	const struct unit_search *search;
	struct unit_messages *messages;
	struct arena scratch; /* of the nodes */
	uint32_t left_out_count;
	const char *left_out[24]; /* systemd's own units, which are not run here */
};

struct loaded_set *set_create(void);
void set_release(struct loaded_set *loaded);

/* Enters a unit under the next index. 0 or -ENOMEM. */
int set_add(struct loaded_set *loaded, struct load_node *node);
int set_add_template(struct loaded_set *loaded, struct unit *template, struct unit *owner);

/* Puts the units into the order of their supervisors' lists of children; those that are in none any
 * more leave the set. 0 or -ENOMEM. */
int set_renumber(struct loaded_set *loaded);
/* 0 or -ENOMEM. A name that is taken stays what it is. */
int set_add_alias(struct loaded_set *loaded, const char *name, const char *of);

/* By whole names, also aliases; NULL: none. */
struct unit *set_find(const struct loaded_set *loaded, const char *name);
struct unit *set_find_template(const struct loaded_set *loaded, const char *name);

/* The supervisor of a template of the set. */
struct unit *set_owner(const struct loaded_set *loaded, const struct unit *template);

/* --- load.c, for depend.c --- */

void load_error(struct loader *loader, const struct unit_spot *named, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* Adds a child of whom there is no Children=. *out stays NULL when it cannot be used, and that was
 * told if it is to be. 0, -ENOENT (there is no such unit) or -ENOMEM. */
int load_wished(
	struct loader *loader, struct load_node *parent, const char *name, struct load_node **out);
/* Loads what is below a unit that was just added. 0 or -ENOMEM. */
int load_walk(struct loader *loader, struct load_node *top);

#endif
