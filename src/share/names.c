#include "share/share.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

static_assert(SHARE_NAMES_MAX < UINT16_MAX, "places fit their type");

/* The link that leads to a name, or the one at the end of its chain. */
static uint16_t *names_link(const struct share *share, struct share_index *index, const char *name)
{
	uint32_t hash = UINT32_C(2166136261); /* FNV-1a */
	for (const char *at = name; *at != '\0'; at++) {
		hash = (hash ^ (unsigned char)*at) * UINT32_C(16777619);
	}
	uint16_t *link = &index->heads[(hash ^ hash >> 16) % SHARE_INDEX_HEADS];
	while (*link != 0 && strcmp(share->names[*link - 1].name, name) != 0) {
		link = &index->next[*link - 1];
	}
	return link;
}

/* A free place, as number + 1: one that was dropped, or the next that was never used. */
static uint16_t names_take_place(struct share_index *index)
{
	uint16_t place = index->spare;
	if (place != 0) {
		index->spare = index->next[place - 1];
	} else if (index->end < SHARE_NAMES_MAX) {
		place = ++index->end;
	}
	return place;
}

int share_name_put(
	struct share *share, struct share_index *index, const char *name, int fd, int *old)
{
	*old = -1;
	if (fd < 0 || name[0] == '\0') {
		return fd < 0 ? -EBADF : -EINVAL;
	}
	uint16_t *link = names_link(share, index, name);
	if (*link != 0) {
		*old = share->names[*link - 1].fd;
		share->names[*link - 1].fd = fd;
		return 0;
	}
	uint16_t place = names_take_place(index);
	if (place == 0) {
		return -ENOSPC;
	}
	*link = place;
	index->next[place - 1] = 0;
	share->names[place - 1].fd = fd;
	memcpy(share->names[place - 1].name, name, strlen(name) + 1);
	return 0;
}

int share_name_drop(struct share *share, struct share_index *index, const char *name)
{
	uint16_t *link = names_link(share, index, name);
	uint16_t place = *link;
	if (place == 0) {
		return -1;
	}
	*link = index->next[place - 1];
	index->next[place - 1] = index->spare;
	index->spare = place;
	share->names[place - 1].name[0] = '\0';
	return share->names[place - 1].fd;
}
