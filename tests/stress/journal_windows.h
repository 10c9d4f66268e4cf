/*
 * Restart windows as a journal has them, without the core: the times are taken byte by byte out of
 * the record of the snapshot, and what the log adds is added to a list of our own. That a window
 * lost an entry in saving, loading or counting cannot be seen by what saves, loads and counts.
 */
#ifndef STRESS_JOURNAL_WINDOWS_H
#define STRESS_JOURNAL_WINDOWS_H

#include <stddef.h>
#include <stdint.h>

/* The restarts of one supervisor since it began, oldest first; also those that are too old. */
struct window {
	uint64_t *times;
	uint32_t count, room;
};

/* By the number of the node; of zeros at first. */
struct windows {
	struct window *list;
	uint32_t room;
	uint64_t now; /* of the record */
};

/* Takes the windows of a record of tree_save(). 0, -EPROTO for another layout than the one that is
 * known here. */
int windows_read(struct windows *windows, const void *record, size_t size);
void windows_add(struct windows *windows, uint32_t supervisor, uint64_t time_ns);
void windows_clear(struct windows *windows, uint32_t supervisor);
/* A pointer that holds until the next call. */
const struct window *windows_of(struct windows *windows, uint32_t supervisor);
void windows_finish(struct windows *windows);

#endif
