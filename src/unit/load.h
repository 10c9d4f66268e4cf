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
};

struct loaded_set *set_create(void);
void set_release(struct loaded_set *loaded);

/* Enters a unit under the next index. 0 or -ENOMEM. */
int set_add(struct loaded_set *loaded, struct load_node *node);
int set_add_template(struct loaded_set *loaded, struct unit *template, struct unit *owner);

/* By whole names; NULL: none. */
struct unit *set_find(const struct loaded_set *loaded, const char *name);
struct unit *set_find_template(const struct loaded_set *loaded, const char *name);

/* The supervisor of a template of the set. */
struct unit *set_owner(const struct loaded_set *loaded, const struct unit *template);

#endif
