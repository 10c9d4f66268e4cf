/*
 * The journal: what a new manager needs to know all that its predecessor knew.
 *
 * What it owns: the memfd that the keeper holds for the manager: a header, and two regions of which
 * one is active. A region is a list of records: first those of a snapshot, then the log. A new
 * snapshot is written into the other region, and one store makes it the active one; a manager that
 * dies in between leaves the old one as it was. What it never does: know what a record means.
 *
 * A record counts when the region's length covers it: it is written first and published by one
 * store after it. Memory outlives the process that wrote it, so nothing is flushed. The checksum is
 * against what should not happen.
 *
 * The file is sparse: both regions have their full size from the beginning, and only pages that
 * were written take memory.
 */
#ifndef MANAGER_JOURNAL_H
#define MANAGER_JOURNAL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JOURNAL_MAGIC       UINT64_C(0x6c616e72756f6a43) /* "Cjournal" */
#define JOURNAL_VERSION     3
#define JOURNAL_HEADER_SIZE 4096
#define JOURNAL_REGION_SIZE ((uint64_t)160 * 1024 * 1024)
#define JOURNAL_DROPPED_MAX 16

/* The kinds of records. Numbers are never used again for something else. */
enum journal_kind {
	JOURNAL_META = 1,    /* struct journal_meta: the first of a snapshot */
	JOURNAL_NODE = 2,    /* struct journal_node, name: a node of the core and its unit */
	JOURNAL_TREE = 3,    /* tree_save's record: ends the snapshot */
	JOURNAL_EVENT = 4,   /* struct journal_event */
	JOURNAL_STATUS = 5,  /* struct journal_said, text: what a service says of itself */
	JOURNAL_REQUEST = 6, /* struct journal_request: a request whose client gave it an id */
};

struct journal_record {
	uint32_t size; /* of the payload */
	uint32_t kind; /* enum journal_kind */
	uint64_t sequence;
	uint32_t checksum; /* of all before it, and of the payload */
	uint32_t reserved;
};

struct journal_header {
	uint64_t magic;
	uint32_t version, header_size;
	uint64_t region_size;
	uint32_t event_size;          /* of struct tree_event: another build's may differ */
	_Atomic uint32_t active;      /* 0: nothing yet; 1, 2: this region */
	_Atomic uint64_t length[2];   /* bytes of whole records */
	_Atomic uint64_t sequence[2]; /* of the last record */
	/* The core's orders are carried out one by one, in the order of their numbers. */
	_Atomic uint64_t order_begun, order_done;
	/* The record whose event the core is being given, 0 in between. Found set by a new manager,
	 * it is where the last one ended; twice the same is a record that breaks the core. */
	_Atomic uint64_t stepping;
	uint64_t broken;
	uint32_t broken_count;
	uint32_t dropped_count;
	uint64_t dropped[JOURNAL_DROPPED_MAX]; /* records that are left out */
};

struct journal {
	struct journal_header *header; /* NULL: there is no journal */
	unsigned char *data;           /* the whole mapping */
	unsigned char *region;         /* where records are written to */
	uint64_t length, sequence;     /* of that region */
	uint64_t snapshot_length;      /* how much of it is the snapshot */
	struct journal_record *open;   /* begun and not finished */
	uint8_t writing;               /* 0 or 1: the region written to */
	bool switching;                /* it is not the active one yet */
	bool together;                 /* the next record is published with the one after it */
	bool full; /* a record did not fit: not to be trusted until a snapshot */
};

/* Maps the memfd, laying it out when it is empty or of another version. Returns 1 when there is a
 * state to read, 0 when there is none, or -errno. `event_size` is sizeof(struct tree_event). */
int journal_open(struct journal *journal, int fd, uint32_t event_size);
void journal_close(struct journal *journal);
/* Forgets what is in it. */
void journal_clear(struct journal *journal);

/* Appends one record. Returns its sequence number, 0 when there is no room (`full` is set then). */
uint64_t journal_append(
	struct journal *journal, enum journal_kind kind, const void *payload, size_t size);

/* The same in two halves, for what is made in place: `journal_begin` gives memory for at most
 * `size` bytes (NULL: no room), `journal_finish` publishes the record with its real size. */
void *journal_begin(struct journal *journal, enum journal_kind kind, size_t size);
uint64_t journal_finish(struct journal *journal, size_t size);

/* The next record does not count without the one after it. */
void journal_together(struct journal *journal);

/* Between these two all records go into the other region, as a new snapshot; the second makes it
 * the state. If something did not fit, it returns -ENOSPC and the old one stays. */
void journal_switch_begin(struct journal *journal);
int journal_switch_end(struct journal *journal);

/* True when the log is long enough for a new snapshot to be worth its while. */
bool journal_is_long(const struct journal *journal);
bool journal_is_very_long(const struct journal *journal);

/* Reading the active region: `at` begins at 0. Returns 1 with a record, 0 at the end, -EPROTO at
 * one that is damaged: those before it are good, and where those behind it begin is not known. */
int journal_read(const struct journal *journal, uint64_t *at, const struct journal_record **record,
	const void **payload);

/* Whether a record is left out, and the note that it is. */
bool journal_is_dropped(const struct journal *journal, uint64_t sequence);
void journal_drop(struct journal *journal, uint64_t sequence);

#endif
