#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "manager/manager.h"

/* The whole state as records, written by the functions here and read by those of recover.c. */

static void put_meta(struct manager *m)
{
	struct journal_meta meta = {
		.units_number = m->units_number,
		.request_last = m->request_last,
		.deaths_consumed = m->deaths_consumed,
		.started_at_s = m->started_at_s,
		.spawn_sequence = m->spawn_sequence,
		.ended = m->ended,
		.end_status = m->end_status,
	};
	journal_append(&m->journal, JOURNAL_META, &meta, sizeof(meta));
}

void snapshot_note_node(struct manager *m, const struct node *node)
{
	const char *name = node_unit_name(node);
	size_t size = strlen(name) + 1;
	struct journal_node *record =
		journal_begin(&m->journal, JOURNAL_NODE, sizeof(*record) + size);
	if (record == NULL) {
		return;
	}
	*record = (struct journal_node){
		.index = node->index,
		.generation = node->generation,
		.parent = node->parent,
		.is_static = node->is_static,
		.searching = node->searching,
		.name_size = (uint16_t)size,
		.parent_pid = node->parent_pid,
		.last_pid = node->last_pid,
		.search_since_ns = node->search_since_ns,
	};
	memcpy(record + 1, name, size);
	journal_finish(&m->journal, sizeof(*record) + size);
}

static void put_tree(struct manager *m)
{
	size_t size = tree_save(m->tree, NULL, 0);
	void *place = journal_begin(&m->journal, JOURNAL_TREE, size);
	if (place != NULL) {
		tree_save(m->tree, place, size);
		journal_finish(&m->journal, size);
	}
}

static void put_requests(struct manager *m)
{
	for (uint32_t i = 0; i < REQUESTS_MAX; i++) {
		const struct request *request = &m->requests[i];
		if (request->state == REQUEST_FREE || request->id[0] == '\0') {
			continue;
		}
		struct journal_request record = {
			.number = request->number,
			.node = request->node,
			.generation = request->generation,
			.kind = request->kind,
			.state = request->state,
			.result = request->result,
		};
		memcpy(record.id, request->id, sizeof(record.id));
		journal_append(&m->journal, JOURNAL_REQUEST, &record, sizeof(record));
	}
}

int snapshot_take(struct manager *m)
{
	if (m->journal.header == NULL) {
		return -ENODEV;
	}
	/* Between two steps only: events that wait are in the log, and would be lost with it. */
	if (m->queue_count > 0 || m->running_queue || m->replaying) {
		return -EBUSY;
	}
	journal_switch_begin(&m->journal);
	put_meta(m);
	for (uint32_t i = 0; i < m->nodes_room; i++) {
		if (m->nodes[i] != NULL) {
			snapshot_note_node(m, m->nodes[i]);
		}
	}
	put_tree(m);
	for (uint32_t i = 0; i < m->nodes_room; i++) {
		const struct node *node = m->nodes[i];
		if (node != NULL && (node->status_text != NULL || node->said_errno != 0 ||
					    node->said_status >= 0 || node->notify_access_said)) {
			notify_record(m, node);
		}
	}
	put_requests(m);
	int failed = journal_switch_end(&m->journal);
	if (failed != 0 && !m->snapshot_failed) {
		log_error("the state does not fit into the journal: %s", strerror(-failed));
	}
	m->snapshot_failed = failed != 0;
	return failed;
}
