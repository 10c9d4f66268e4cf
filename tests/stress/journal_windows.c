#include "stress/journal_windows.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "tree/internal.h"

/* The record of src/tree/save.c: this head, the nodes, the times of all windows one after the
 * other, the mail. Another version of it shows by sizes that do not fit. */
struct record_head {
	uint32_t magic, version, node_size, mail_size, checksum;
	uint32_t nodes_count, statics_count, free_first;
	uint32_t mail_room, mail_free, requests_in_mail, mail_wanted;
	uint64_t size, order_next, now, random, root_again;
	uint32_t exit_wanted, ended;
};
#define RECORD_MAGIC UINT32_C(0x54726565)

static struct window *window_at(struct windows *windows, uint32_t supervisor)
{
	if (supervisor >= windows->room) {
		uint32_t room = supervisor * 2 + 64;
		windows->list = realloc(windows->list, room * sizeof(*windows->list));
		CHECK(windows->list != NULL);
		memset(&windows->list[windows->room], 0,
			(room - windows->room) * sizeof(*windows->list));
		windows->room = room;
	}
	return &windows->list[supervisor];
}

void windows_add(struct windows *windows, uint32_t supervisor, uint64_t time_ns)
{
	struct window *window = window_at(windows, supervisor);
	if (window->count == window->room) {
		window->room = window->room * 2 + 16;
		window->times = realloc(window->times, window->room * sizeof(uint64_t));
		CHECK(window->times != NULL);
	}
	window->times[window->count++] = time_ns;
}

void windows_clear(struct windows *windows, uint32_t supervisor)
{
	window_at(windows, supervisor)->count = 0;
}

const struct window *windows_of(struct windows *windows, uint32_t supervisor)
{
	return window_at(windows, supervisor);
}

int windows_read(struct windows *windows, const void *record, size_t size)
{
	struct record_head head;
	struct node node;
	const unsigned char *at = record;
	if (size < sizeof(head)) {
		return -EPROTO;
	}
	memcpy(&head, at, sizeof(head));
	at += sizeof(head);
	if (head.magic != RECORD_MAGIC || head.size != size || head.node_size != sizeof(node) ||
		head.mail_size != sizeof(struct mail)) {
		return -EPROTO;
	}
	windows->now = head.now;
	const unsigned char *times = at + head.nodes_count * sizeof(node);
	const unsigned char *end =
		(const unsigned char *)record + size - head.mail_room * sizeof(struct mail);
	for (uint32_t i = 0; i < head.nodes_count; i++) {
		memcpy(&node, at + i * sizeof(node), sizeof(node));
		for (uint32_t k = 0; node.used && k < node.history_count; k++) {
			uint64_t time;
			if (times >= end) {
				return -EPROTO;
			}
			memcpy(&time, times, sizeof(time));
			times += sizeof(time);
			windows_add(windows, i, time);
		}
	}
	return times == end ? 0 : -EPROTO;
}

void windows_finish(struct windows *windows)
{
	for (uint32_t i = 0; i < windows->room; i++) {
		free(windows->list[i].times);
	}
	free(windows->list);
	*windows = (struct windows){0};
}
