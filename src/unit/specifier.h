/*
 * Specifiers: "%i" and its like in values (systemd.unit(5) "SPECIFIERS").
 *
 * What depends on the machine (host name, machine id, users) is read through the source, so that a
 * load from a bundle gives what the first load gave.
 */
#ifndef UNIT_SPECIFIER_H
#define UNIT_SPECIFIER_H

#include "unit/unit.h"

/* Answers of the machine, found when first asked for. */
struct specifier_host {
	struct unit_source *source;
	struct arena *arena; /* of the answers */
	bool user;
	bool passwd_read;
	const char *hostname, *machine_id, *boot_id, *release;
	const char *user_name, *user_home, *user_shell, *group_name;
};

struct specifier_unit {
	const char *name, *prefix, *instance, *path;
	bool *name_used; /* set when the value depends on the instance */
};

/* Replaces the specifiers of `text`. *out is `text` itself when it has none. Unknown ones are kept,
 * as systemd keeps them; *unknown is then the first one's letter. Returns 0 or -ENOMEM. */
int specifier_expand(struct specifier_host *host, const struct specifier_unit *unit,
	struct arena *arena, const char *text, const char **out, char *unknown);

#endif
