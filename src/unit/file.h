/*
 * Files and directories of units: which names there are, and what stands in a file. Each file is
 * read and lexed once, however many units are made of it; what is wrong with it is said once.
 */
#ifndef UNIT_FILE_H
#define UNIT_FILE_H

#include "unit/lex.h"
#include "unit/message.h"
#include "unit/unit.h"

#define FILE_DIRS_MAX 64

struct file_line {
	struct lex_assignment text;
	int directive; /* in the table; -1: not known, or of no use here */
	const char *path;
};

struct file {
	const char *path;
	int error;   /* -errno of reading */
	bool empty;  /* nothing in it: a mask */
	bool broken; /* a lexical error was told */
	uint32_t count, room;
	struct file_line *lines;
	struct file *next;                   /* of the same hash */
	struct unit_definition *definitions; /* units made of it as their main file */
};

/* A name in the search path: bit n of `dirs`, it is in the n-th directory. */
struct file_name {
	const char *name;
	uint64_t dirs;
	bool alias_known;
	const char *alias; /* the unit that this name is a symbolic link to; NULL: none */
	struct file_name *next;
};

struct files {
	struct arena *arena;
	const char *dirs[FILE_DIRS_MAX];   /* in order of precedence */
	uint32_t dirs_count, systemd_from; /* from here on they are systemd's */
	uint32_t names_count, names_room;
	struct file_name **names;
	uint32_t files_count, files_room;
	struct file **buckets;
};

/* Lists all directories of the search path. Returns 0 or -ENOMEM; a directory that cannot be read
 * is a warning. */
int files_init(struct files *files, struct arena *arena, const struct unit_search *search,
	struct unit_source *source, struct unit_messages *messages);
void files_finish(struct files *files); /* what is not in the arena */

/* The entry of a name; NULL when no directory has it. */
const struct file_name *files_find_name(const struct files *files, const char *name);

/* The unit name nearest to `name` that exists, for hints; NULL when nothing is near. */
const char *files_nearest(const struct files *files, const char *name);

/* Is this one of systemd's own directories? A search path given by hand may name them too. */
bool files_dir_is_systemd(const char *dir, size_t length);

/* Does this file, a unit or a drop-in, lie in one of systemd's directories? */
bool files_path_is_systemd(const struct files *files, const char *path);

/* What a file needs to be read: where texts go, who hears of errors. */
struct file_reader {
	struct files *files;
	struct unit_source *source;
	struct unit_messages *messages;
};

/* The file, read and lexed now or before. NULL when there is no memory. */
struct file *file_read(const struct file_reader *reader, const char *path, enum unit_kind kind);

#endif
