/*
 * Files and directories that packages want to find after a boot (tmpfiles.d(5)), and the users that
 * they run as (sysusers.d(5)).
 *
 * What it owns: reading both kinds of configuration directories, and carrying their lines out, for
 * coppice-tmpfiles, which the manager runs before the first unit of a distribution starts where no
 * systemd has done so. What it never does: remove by age, set attributes or ACLs; and it follows no
 * symbolic link that somebody without privilege may have laid (walk.h).
 *
 * A line that cannot be carried out is told and the rest goes on, as in systemd-tmpfiles(8).
 */
#ifndef TMPFILES_TMPFILES_H
#define TMPFILES_TMPFILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/arena.h"

/* One line, its words unquoted, "-" and missing words NULL. */
struct config_line {
	const char *file;
	unsigned number;
	const char *words[7];
};

/* What is said of a line: "file:line: text" on standard error. Counted in *problems. */
void config_say(const struct config_line *line, unsigned *problems, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Calls `each` for every line of KIND.d ("tmpfiles", "sysusers") in /etc, /run, /usr/local/lib and
 * /usr/lib, in the order of the files' names; a file in an earlier directory replaces those of the
 * same name, an empty one (or a link to /dev/null) masks them. Returns 0 or -ENOMEM. */
int config_read(struct arena *arena, const char *kind, unsigned *problems,
	void (*each)(void *context, const struct config_line *line), void *context);

/* Specifiers in `text` (%% %b %H %m %v %t %S %C %L %T %V %h %u %U %g %G); NULL: unknown one, or no
 * memory. */
const char *config_expand(struct arena *arena, const char *text);

/* Makes the users and groups of sysusers.d that are not there. Returns the number of problems. */
unsigned sysusers_apply(void);

/* Carries tmpfiles.d out; `boot`: also the lines that are only for boots ("!"). Returns the number
 * of problems. */
unsigned tmpfiles_apply(bool boot);

#endif
