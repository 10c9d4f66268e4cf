/*
 * From files to one unit: main file and drop-ins found and merged, values parsed, defaults put in,
 * and what can be judged of the unit alone.
 *
 * Units whose files are the same (instances of a template) share everything that does not depend on
 * the instance.
 */
#ifndef UNIT_BUILD_H
#define UNIT_BUILD_H

#include "unit/file.h"
#include "unit/parse.h"
#include "unit/specifier.h"
#include "unit/unit.h"

/* A main file with its drop-ins: all that is read of a unit. */
struct unit_definition {
	struct file *main;
	uint32_t dropins_count;
	struct file **dropins;
	bool from_systemd, broken;
	bool said; /* what is not honoured has been told */
	const char *const *dropin_paths;
	uint32_t settings_count;
	struct unit_setting *settings;
	/* the first unit made of it, if nothing in it depends on the instance; made in the set's
	 * arena */
	struct unit *shared;
	struct unit_extra shared_extra;
	bool not_shared;              /* it does */
	struct unit_definition *next; /* of the same main file */
};

struct builder {
	struct arena *arena;      /* of definitions and files: the set's */
	struct arena *unit_arena; /* of the units made now: the set's, or an instance's own */
	struct files *files;
	struct unit_source *source;
	struct unit_messages *messages;
	struct specifier_host host;
	bool quiet; /* warnings of this definition have been given for another unit */
};

/* Finds and reads what a name is made of. Returns 0, -ENOENT (no such unit), -EUCLEAN (it is there,
 * and why it cannot be used was told), -ENOMEM. `named` is where it is named, for messages; NULL:
 * nowhere. */
int build_find(struct builder *builder, const char *name, const struct unit_spot *named,
	struct unit_definition **out);

/* An empty file of this name, or a link to /dev/null: the unit is not to be. */
bool build_is_masked(struct builder *builder, const char *name);

/* The definition of one file alone. */
int build_find_file(
	struct builder *builder, const char *path, const char *name, struct unit_definition **out);

/* Makes the unit. Errors are told; NULL only when there is no memory. */
struct unit *build_unit(struct builder *builder, struct unit_definition *definition,
	const char *name, struct unit_extra *extra);

/* What is still open when the unit's supervisor is known (NULL for the root): the restart word,
 * what does not go together. */
void build_finish(struct builder *builder, struct unit *unit, const struct unit_extra *extra,
	const struct unit *parent);

#endif
