/*
 * Ways through directories that others may write to. A path is walked component by component; what
 * lies in a directory of somebody without privilege may not lead elsewhere: there a symbolic link
 * is refused (-ENOLINK), and so is a step into what belongs to a third party (tmpfiles.d(5),
 * systemd-tmpfiles(8) "unsafe path transitions").
 */
#ifndef TMPFILES_WALK_H
#define TMPFILES_WALK_H

#include <stdbool.h>
#include <sys/types.h>

/* Opens the directory that holds the last component of an absolute path, and gives that component
 * in `name` (NAME_MAX + 1 bytes). `make`: missing directories above are made, 0755 of root. Returns
 * a descriptor (O_PATH) or -errno. */
int walk_parent(const char *path, bool make, char *name);

/* Calls `each` for every path that the pattern of glob(7) stands for, and with `below` for all that
 * lies in it, the deepest first. Symbolic links are not followed below. */
int walk_glob(const char *pattern, bool below,
	void (*each)(void *context, int parent, const char *name, bool is_directory),
	void *context);

#endif
