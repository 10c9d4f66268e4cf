#include "manager/journal.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/checksum.h"

#define FILE_SIZE (JOURNAL_HEADER_SIZE + 2 * JOURNAL_REGION_SIZE)
/* A log of less than this is never worth a snapshot. */
#define LOG_LENGTH_MIN ((uint64_t)1024 * 1024)

static_assert(sizeof(struct journal_header) <= JOURNAL_HEADER_SIZE, "the header fits");
static_assert(sizeof(struct journal_record) % 8 == 0, "records keep payloads aligned");

static unsigned char *region_at(const struct journal *journal, uint32_t number)
{
	return journal->data + JOURNAL_HEADER_SIZE + number * JOURNAL_REGION_SIZE;
}

static void header_init(struct journal_header *header, uint32_t event_size)
{
	memset(header, 0, sizeof(*header));
	header->version = JOURNAL_VERSION;
	header->header_size = sizeof(*header);
	header->region_size = JOURNAL_REGION_SIZE;
	header->event_size = event_size;
	header->magic = JOURNAL_MAGIC;
}

static bool header_fits(const struct journal_header *header, uint32_t event_size)
{
	return header->magic == JOURNAL_MAGIC && header->version == JOURNAL_VERSION &&
	       header->header_size == sizeof(*header) &&
	       header->region_size == JOURNAL_REGION_SIZE && header->event_size == event_size &&
	       header->active <= 2;
}

/* The log goes on behind the last whole record of the active region. */
static void continue_region(struct journal *journal)
{
	uint32_t active = journal->header->active;
	journal->writing = active == 2;
	journal->region = region_at(journal, journal->writing);
	journal->length = active == 0 ? 0 : journal->header->length[journal->writing];
	journal->sequence = active == 0 ? 0 : journal->header->sequence[journal->writing];
}

int journal_open(struct journal *journal, int fd, uint32_t event_size)
{
	struct stat status;
	*journal = (struct journal){0};
	if (fstat(fd, &status) < 0) {
		return -errno;
	}
	if (status.st_size < (off_t)FILE_SIZE && ftruncate(fd, (off_t)FILE_SIZE) < 0) {
		return -errno;
	}
	void *data =
		mmap(NULL, FILE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
	if (data == MAP_FAILED) {
		return -errno;
	}
	journal->data = data;
	journal->header = data;
	if (!header_fits(journal->header, event_size)) {
		header_init(journal->header, event_size);
	}
	for (int i = 0; i < 2; i++) {
		if (journal->header->length[i] > JOURNAL_REGION_SIZE) {
			header_init(journal->header, event_size);
		}
	}
	continue_region(journal);
	return journal->header->active != 0;
}

void journal_close(struct journal *journal)
{
	if (journal->data != NULL) {
		munmap(journal->data, FILE_SIZE);
	}
	*journal = (struct journal){0};
}

void journal_clear(struct journal *journal)
{
	if (journal->header != NULL) {
		header_init(journal->header, journal->header->event_size);
		continue_region(journal);
	}
}

/* Records begin at multiples of eight. */
static uint64_t padded(uint64_t size)
{
	return (size + 7) / 8 * 8;
}

/* Of what a record says of itself, and of its payload. */
static uint32_t record_checksum(const struct journal_record *record)
{
	uint32_t head = checksum_crc32c(0, record, offsetof(struct journal_record, checksum));
	return checksum_crc32c(head, record + 1, record->size);
}

void *journal_begin(struct journal *journal, enum journal_kind kind, size_t size)
{
	CHECK(journal->open == NULL);
	if (journal->header == NULL || journal->full ||
		size > JOURNAL_REGION_SIZE - sizeof(struct journal_record) - 8 - journal->length) {
		journal->full = true;
		return NULL;
	}
	struct journal_record *record = (void *)(journal->region + journal->length);
	record->kind = kind;
	record->sequence = journal->sequence + 1;
	record->reserved = 0;
	record->size = (uint32_t)size;
	journal->open = record;
	return record + 1;
}

uint64_t journal_finish(struct journal *journal, size_t size)
{
	struct journal_record *record = journal->open;
	CHECK(record != NULL && size <= record->size);
	record->size = (uint32_t)size;
	record->checksum = record_checksum(record);
	journal->open = NULL;
	journal->length += sizeof(*record) + padded(size);
	journal->sequence = record->sequence;
	if (journal->together) {
		journal->together = false;
		return record->sequence;
	}
	/* The record is whole before it counts. */
	atomic_store_explicit(&journal->header->sequence[journal->writing], journal->sequence,
		memory_order_release);
	atomic_store_explicit(
		&journal->header->length[journal->writing], journal->length, memory_order_release);
	return record->sequence;
}

uint64_t journal_append(
	struct journal *journal, enum journal_kind kind, const void *payload, size_t size)
{
	void *place = journal_begin(journal, kind, size);
	if (place == NULL) {
		return 0;
	}
	memcpy(place, payload, size);
	return journal_finish(journal, size);
}

void journal_together(struct journal *journal)
{
	journal->together = true;
}

void journal_switch_begin(struct journal *journal)
{
	CHECK(!journal->switching && journal->open == NULL);
	if (journal->header == NULL) {
		return;
	}
	uint32_t active = journal->header->active;
	journal->writing = active == 1;
	journal->region = region_at(journal, journal->writing);
	journal->length = 0;
	journal->switching = true;
	journal->full = false;
	atomic_store(&journal->header->length[journal->writing], 0);
}

int journal_switch_end(struct journal *journal)
{
	if (journal->header == NULL) {
		return -ENOSPC;
	}
	CHECK(journal->switching && journal->open == NULL);
	journal->switching = false;
	if (journal->full) {
		continue_region(journal);
		return -ENOSPC;
	}
	journal->snapshot_length = journal->length;
	atomic_store(&journal->header->active, journal->writing + 1u);
	journal->header->broken = 0;
	journal->header->broken_count = 0;
	journal->header->dropped_count = 0;
	return 0;
}

static uint64_t log_length(const struct journal *journal)
{
	return journal->length - journal->snapshot_length;
}

static uint64_t log_limit(const struct journal *journal)
{
	uint64_t twice = journal->snapshot_length * 2;
	return twice > LOG_LENGTH_MIN ? twice : LOG_LENGTH_MIN;
}

bool journal_is_long(const struct journal *journal)
{
	return journal->header != NULL &&
	       (journal->full || log_length(journal) > log_limit(journal));
}

bool journal_is_very_long(const struct journal *journal)
{
	return journal->header != NULL &&
	       (journal->full || log_length(journal) > 4 * log_limit(journal) ||
		       journal->length > JOURNAL_REGION_SIZE / 4 * 3);
}

int journal_read(const struct journal *journal, uint64_t *at, const struct journal_record **record,
	const void **payload)
{
	if (journal->header == NULL || journal->header->active == 0) {
		return 0;
	}
	uint32_t number = journal->header->active - 1;
	uint64_t length = journal->header->length[number];
	if (*at == length) {
		return 0;
	}
	const unsigned char *region = region_at(journal, number);
	const struct journal_record *r = (const void *)(region + *at);
	if (length - *at < sizeof(*r) || length - *at - sizeof(*r) < padded(r->size) ||
		record_checksum(r) != r->checksum) {
		return -EPROTO;
	}
	*at += sizeof(*r) + padded(r->size);
	*record = r;
	*payload = r + 1;
	return 1;
}

bool journal_is_dropped(const struct journal *journal, uint64_t sequence)
{
	for (uint32_t i = 0; i < journal->header->dropped_count; i++) {
		if (journal->header->dropped[i] == sequence) {
			return true;
		}
	}
	return false;
}

void journal_drop(struct journal *journal, uint64_t sequence)
{
	if (journal->header->dropped_count < JOURNAL_DROPPED_MAX) {
		journal->header->dropped[journal->header->dropped_count++] = sequence;
	}
}
