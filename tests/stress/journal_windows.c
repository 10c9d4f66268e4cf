#include "stress/journal_windows.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "tree/internal.h"

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
	struct save_head head;
	struct node node;
	const unsigned char *at = record;
	if (size < sizeof(head)) {
		return -EPROTO;
	}
	memcpy(&head, at, sizeof(head));
	at += sizeof(head);
	if (head.magic != SAVE_MAGIC || head.version != SAVE_VERSION || head.size != size ||
		head.node_size != sizeof(node) || head.mail_size != sizeof(struct mail)) {
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
