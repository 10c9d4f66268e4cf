/*
 * What the files of this room have for each other, but for those about files: sandbox.h has the
 * phases and what all of them use.
 */
#ifndef SANDBOX_INTERNAL_H
#define SANDBOX_INTERNAL_H

#include "sandbox/sandbox.h"

/* A copy, or the end with that status. */
char *sandbox_copy(const char *text, int status);

/* identity.c: the group half, the user half, variables, chdir. */
void sandbox_identity_groups(struct sandbox *s);
void sandbox_identity_user(struct sandbox *s);
void sandbox_identity_environment(struct sandbox *s);
void sandbox_identity_directory(struct sandbox *s);

/* dynamic.c: fills s->who with a number that no other unit has, and adds what DynamicUser= implies
 * to the settings. */
void sandbox_dynamic_find(struct sandbox *s);
/* The first number to try for a user, and how many there are. */
#define SANDBOX_DYNAMIC_MIN   61184
#define SANDBOX_DYNAMIC_COUNT (65519 - 61184 + 1)
uid_t sandbox_dynamic_first(const char *name);
/* The name of the user for a unit: User= where it is given, else from the unit's name, with a hash
 * where that is no name for a user. */
void sandbox_dynamic_name(const char *unit, char *name, size_t size);

/* capabilities.c: the set that the assignments of a key come to, beginning with `initial`. */
uint64_t sandbox_capability_set(const struct sandbox *s, const char *key, uint64_t initial);

/* namespace.c: the user namespace that comes last, when we may do all that came before. */
void sandbox_users_enter(struct sandbox *s);

/* files.c: whether the settings ask for a mount namespace. */
bool sandbox_files_wanted(const struct sandbox *s);

/* schedule.c: RLIMIT_*, late, for ours could hinder us. */
void sandbox_limits_apply(struct sandbox *s);
/* "0-3,5" to bits; -EINVAL, -ERANGE. */
int sandbox_parse_cpus(const char *text, uint64_t *bits, uint32_t words);
/* "private-anonymous 0x3" to the mask of core(5); unknown words are passed over. */
uint64_t sandbox_parse_dumps(const char *text);

/* seccomp.c */

/* Whether no_new_privs must come before the filters (systemd.exec(5), NoNewPrivileges=). */
bool sandbox_needs_no_new_privileges(const struct sandbox *s);
/* Sets it; from then on an exec gains nothing. */
void sandbox_no_new_privileges(void);
/* Says why there can be no filters: NULL when there can. */
const char *sandbox_seccomp_missing(void);

#endif
