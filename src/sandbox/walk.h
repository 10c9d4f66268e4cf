/*
 * Ways through directories that other users may write to: no symbolic link is followed that
 * somebody but root or ourselves can have put there, and nothing is removed or given away beyond
 * a mount. Source: path_resolution(7), openat2(2). Private to this room.
 */
#ifndef SANDBOX_WALK_H
#define SANDBOX_WALK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Opens the directory that holds the last component of an absolute path; *name points to that
 * component, in `path`. With `make`, missing directories on the way are made with mode 0755.
 * Returns the descriptor or -errno (-ELOOP for a link that is not to be trusted). */
int walk_open_parent(const char *path, bool make, const char **name);

/* Opens a directory in `parent`; a link is followed only if the parent is one that nobody else may
 * write to. */
int walk_open(int parent, const char *name);

/* Gives a directory and all below it to an owner; -1 leaves the user or the group as it is. */
int walk_chown(int fd, uid_t uid, gid_t gid);

/* Removes an entry and all below it, at most `*budget` entries, from which it takes what it did.
 * Returns 0 when it is gone (or never was), -EAGAIN when there is more to do, or -errno when
 * nothing more can be removed. */
int walk_remove(int parent, const char *name, uint32_t *budget);

#endif
