/*
 * Users and groups by name, for whoever must not wait.
 *
 * What it owns: a bounded look into /etc/passwd and /etc/group. What it never does: ask a directory
 * service (NSS), which may not answer; coppice-exec does that, in a process of its own.
 */
#ifndef PROCESS_ACCOUNT_H
#define PROCESS_ACCOUNT_H

#include <sys/types.h>

/* The number of a user or group; a number stands for itself (and *gid is then (gid_t)-1). 0, -ESRCH
 * when there is none, or -errno. */
int account_find_user(const char *name, uid_t *uid, gid_t *gid);
int account_find_group(const char *name, gid_t *gid);

#endif
