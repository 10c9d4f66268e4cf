/*
 * Prints what a journal says, as JSON: for each unit its state, its incarnation, its pids, its
 * restarts, and for each supervisor the times of the restarts in its window.
 *
 *   journal_dump KEEPER ROOT UNIT-PATH
 *
 * Memory of a keeper (its pid) is read through /proc, and copied first: nothing is changed in it,
 * and the manager may live, be stopped or be dead. The records are read by the product's own
 * journal_read() and the log is given to the core again. But this is no manager: nothing of
 * recover.c is used, no order is carried out, and windows are kept a second time, by
 * journal_windows.c; they are "window", and the core's are "window_of_core".
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/str.h"
#include "manager/manager.h"
#include "manager/reason.h"
#include "stress/journal_windows.h"

struct place {
	struct definition *definition; /* NULL: no unit is here */
	uint32_t generation, parent;
};

struct dump {
	struct manager *m; /* for what reads units: it has no loop, no keeper and no slots */
	int keeper;
	struct held held;
	struct share *share;
	struct place *places; /* by the number of the node */
	uint32_t places_room;
	struct windows windows;
	uint64_t now, records, events, deaths;
};

static void die(const char *what, const char *why) __attribute__((noreturn));

static void die(const char *what, const char *why)
{
	fprintf(stderr, "journal_dump: %s: %s\n", what, why);
	exit(1);
}

/* --- the keeper's memory --- */

static int open_of_keeper(int keeper, int fd)
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/%d/fd/%d", keeper, fd);
	int opened = open(path, O_RDONLY | O_CLOEXEC);
	if (opened < 0) {
		die(path, strerror(errno));
	}
	return opened;
}

/* Its numbers are those that a manager gets; its name shows that it is one. */
static int open_memfd(int keeper, int fd, const char *name)
{
	char path[64], target[128];
	snprintf(path, sizeof(path), "/proc/%d/fd/%d", keeper, fd);
	ssize_t length = readlink(path, target, sizeof(target) - 1);
	target[length > 0 ? length : 0] = '\0';
	if (strstr(target, name) == NULL) {
		die(path, "no keeper holds its memory here");
	}
	return open_of_keeper(keeper, fd);
}

static void map_share(struct dump *d)
{
	int fd = open_memfd(d->keeper, SHARE_FD_STATE, "coppice-state");
	void *data = mmap(NULL, sizeof(struct share), PROT_READ, MAP_SHARED, fd, 0);
	if (data == MAP_FAILED || share_check(data) < 0) {
		die("the state", "cannot be read");
	}
	d->share = data;
	close(fd);
}

/* The descriptors that hold the texts of units. */
static void take_held(struct dump *d)
{
	d->held.list = calloc(SHARE_NAMES_MAX, sizeof(*d->held.list));
	for (uint32_t i = 0; d->held.list != NULL && i < SHARE_NAMES_MAX; i++) {
		const struct share_name *name = &d->share->names[i];
		if (str_starts(name->name, "units:")) {
			struct held_fd *held = &d->held.list[d->held.count++];
			str_copy(held->name, sizeof(held->name), name->name);
			held->fd = open_of_keeper(d->keeper, name->fd);
		}
	}
}

static void copy(int from, int to, uint64_t at, uint64_t size)
{
	static char piece[1 << 16];
	while (size > 0) {
		size_t part = size < sizeof(piece) ? size : sizeof(piece);
		ssize_t got = pread(from, piece, part, (off_t)at);
		if (got <= 0 || pwrite(to, piece, (size_t)got, (off_t)at) != got) {
			die("the journal", "cannot be copied");
		}
		at += (uint64_t)got;
		size -= (uint64_t)got;
	}
}

static void read_header(int fd, struct journal_header *header)
{
	if (pread(fd, header, sizeof(*header), 0) != sizeof(*header) ||
		header->magic != JOURNAL_MAGIC || header->region_size != JOURNAL_REGION_SIZE ||
		header->event_size != sizeof(struct tree_event) || header->active > 2) {
		die("the journal", "is of another version");
	}
}

/* A copy of what counts in it now. A manager that lives may take a snapshot meanwhile, and then
 * another one into the region that is being copied. */
static int copy_journal(int keeper)
{
	struct journal_header before, after;
	int from = open_memfd(keeper, SHARE_FD_JOURNAL, "coppice-journal");
	int to = memfd_create("copy", MFD_CLOEXEC);
	do {
		read_header(from, &before);
		if (before.active == 0) {
			die("the journal", "is empty");
		}
		uint32_t number = before.active - 1;
		copy(from, to, 0, JOURNAL_HEADER_SIZE);
		copy(from, to, JOURNAL_HEADER_SIZE + number * JOURNAL_REGION_SIZE,
			before.length[number]);
		read_header(from, &after);
	} while (before.active != after.active ||
		 before.length[before.active - 1] > after.length[before.active - 1]);
	if (pwrite(to, &before, sizeof(before), 0) != sizeof(before)) {
		die("the journal", "cannot be copied");
	}
	close(from);
	return to;
}

/* --- reading --- */

static struct place *place_at(struct dump *d, uint32_t index)
{
	if (index >= d->places_room) {
		uint32_t room = index * 2 + 64;
		d->places = realloc(d->places, room * sizeof(*d->places));
		if (d->places == NULL) {
			die("places", "no memory");
		}
		memset(&d->places[d->places_room], 0, (room - d->places_room) * sizeof(*d->places));
		d->places_room = room;
	}
	return &d->places[index];
}

static const struct tree_child_rules *rules_of(
	void *context, uint32_t node, uint32_t parent, uint32_t generation)
{
	struct dump *d = context;
	struct place *place = place_at(d, node);
	bool known = place->definition != NULL && place->generation == generation &&
		     place->parent == parent;
	return known ? &place->definition->child : NULL;
}

static void read_node(struct dump *d, const struct journal_node *record)
{
	struct err err = {{0}};
	const char *name = (const char *)(record + 1);
	struct place *place = place_at(d, record->index);
	struct tree *tree = d->m->tree;
	place->definition = units_definition(d->m, name, &err);
	if (place->definition == NULL) {
		die(name, err.text);
	}
	place->generation = record->generation;
	place->parent = record->parent;
	if (tree == NULL) {
		return; /* of the snapshot: the record of the tree has it */
	}
	const struct tree_child_rules *rules = &place->definition->child;
	uint32_t index = record->is_static ? tree_add(tree, record->parent, rules)
					   : tree_add_dynamic(tree, record->parent, rules);
	if (index != record->index) {
		die(name, "it comes to another place in the tree than the journal says");
	}
}

static void read_tree(struct dump *d, const void *payload, size_t size)
{
	struct tree_config config = {0};
	d->m->tree = tree_create(&config, &place_at(d, 0)->definition->child);
	int failed =
		d->m->tree == NULL ? -ENOMEM : tree_load(d->m->tree, payload, size, rules_of, d);
	if (failed == 0) {
		failed = windows_read(&d->windows, payload, size);
	}
	if (failed != 0) {
		die("the record of the tree", strerror(-failed));
	}
	d->now = d->windows.now;
}

/* Giving up comes with one entry more than is borne, but not when an exit status asked for it. */
static void note_gave_up(struct dump *d, uint32_t supervisor)
{
	const struct tree_supervisor_rules *rules =
		&place_at(d, supervisor)->definition->supervisor;
	const struct window *window = windows_of(&d->windows, supervisor);
	uint32_t young = 0;
	for (uint32_t i = 0; i < window->count; i++) {
		young += d->now - window->times[i] <= rules->period_ns;
	}
	if (young >= rules->intensity) {
		windows_add(&d->windows, supervisor, d->now);
	}
}

static void note_order(struct dump *d, const struct tree_order *order)
{
	struct place *place = order->node == NODE_NONE ? NULL : place_at(d, order->node);
	if (order->kind == DO_RELEASE) {
		windows_clear(&d->windows, order->node);
		definition_release(place->definition);
		*place = (struct place){0};
	} else if (order->kind == DO_NOTE && order->note == NOTE_RESTARTING) {
		windows_add(&d->windows, place->parent, d->now);
	} else if (order->kind == DO_NOTE && order->note == NOTE_GAVE_UP) {
		note_gave_up(d, order->node);
	} else if (order->kind == DO_NOTE && order->note == NOTE_BEGIN) {
		windows_clear(&d->windows, order->node);
	}
}

static void read_event(struct dump *d, const struct journal_event *event)
{
	struct tree_orders *orders = &d->m->orders;
	d->now = event->event.time_ns;
	d->deaths = event->death > d->deaths ? event->death : d->deaths;
	d->events++;
	bool more = tree_step(d->m->tree, &event->event, orders);
	for (;;) {
		for (uint32_t i = 0; i < orders->count; i++) {
			note_order(d, &orders->list[i]);
		}
		if (!more) {
			return;
		}
		more = tree_continue(d->m->tree, orders);
	}
}

static void read_record(struct dump *d, const struct journal_record *record, const void *payload)
{
	struct err err = {{0}};
	switch ((enum journal_kind)record->kind) {
	case JOURNAL_META: {
		const struct journal_meta *meta = payload;
		d->deaths = meta->deaths_consumed;
		if (units_restore(d->m, &d->held, meta->units_number, &err) != 0) {
			die("the units", err.text);
		}
		break;
	}
	case JOURNAL_NODE: read_node(d, payload); break;
	case JOURNAL_TREE: read_tree(d, payload, record->size); break;
	case JOURNAL_EVENT:
		if (!journal_is_dropped(&d->m->journal, record->sequence)) {
			read_event(d, payload);
		}
		break;
	case JOURNAL_STATUS:
	case JOURNAL_REQUEST: break;
	}
}

static void read_all(struct dump *d)
{
	const struct journal_record *record;
	const void *payload;
	uint64_t at = 0;
	int got;
	while ((got = journal_read(&d->m->journal, &at, &record, &payload)) == 1) {
		d->records++;
		read_record(d, record, payload);
	}
	if (got < 0 || d->m->tree == NULL) {
		die("the journal", got < 0 ? "is damaged" : "has no tree");
	}
	tree_check(d->m->tree);
}

/* --- printing --- */

static json_t *times_json(const uint64_t *times, uint32_t count)
{
	json_t *list = json_array();
	for (uint32_t i = 0; i < count; i++) {
		json_array_append_new(list, json_integer((json_int_t)times[i]));
	}
	return list;
}

/* What belongs to the processes of a unit: the slots that name it. */
static json_t *pids_json(struct dump *d, uint32_t index, uint32_t generation, uint32_t role)
{
	json_t *list = json_array();
	uint32_t used = atomic_load(&d->share->slots_used_max);
	for (uint32_t i = 0; i < used; i++) {
		const struct share_slot *slot = &d->share->slots[i];
		if (atomic_load(&slot->state) != SLOT_FREE && slot->node == index &&
			slot->node_generation == generation && slot->role == role) {
			json_array_append_new(
				list, json_pack("{s:i,s:i}", "pid", (int)atomic_load(&slot->pid),
					      "incarnation", (int)slot->incarnation));
		}
	}
	return list;
}

static void put_window(struct dump *d, json_t *out, uint32_t index)
{
	const struct tree_supervisor_rules *rules = &place_at(d, index)->definition->supervisor;
	const struct window *window = windows_of(&d->windows, index);
	uint64_t *times = calloc(window->count + 1, sizeof(*times));
	/* At the time of the last record nothing is left out that would count later. */
	uint32_t count = tree_window(d->m->tree, index, d->now, times, window->count + 1);
	json_object_set_new(out, "period_ns", json_integer((json_int_t)rules->period_ns));
	json_object_set_new(out, "window", times_json(window->times, window->count));
	json_object_set_new(out, "window_of_core", times_json(times, count));
	free(times);
}

static json_t *unit_json(struct dump *d, uint32_t index)
{
	struct place *place = place_at(d, index);
	struct tree_view view;
	char reason[REASON_TEXT_SIZE];
	tree_look(d->m->tree, index, d->now, &view);
	if (!view.exists || view.generation != place->generation) {
		die(place->definition->unit->name, "the tree does not know it");
	}
	bool ended = view.last_end.reason != REASON_NONE;
	json_t *out = json_pack("{s:s,s:b,s:s,s:s,s:b,s:b,s:I,s:I,s:I,s:I,s:I,s:b,s:b,s:s?}",
		"unit", place->definition->unit->name, "supervisor", view.is_supervisor, "state",
		tree_state_names[view.state], "service_state",
		service_state_names[view.service_state], "present", view.present || index == 0,
		"held", view.held, "restarts", (json_int_t)view.restarts, "incarnation",
		(json_int_t)view.incarnation, "generation", (json_int_t)view.generation, "since_ns",
		(json_int_t)view.state_since_ns, "deadline_ns", (json_int_t)view.deadline_ns,
		"main_alive", view.main_alive, "control_alive", view.control_alive, "last_exit",
		ended ? reason_text(&view.last_end, reason, sizeof(reason)) : NULL);
	json_object_set_new(out, "processes", pids_json(d, index, place->generation, ROLE_MAIN));
	json_object_set_new(out, "controls", pids_json(d, index, place->generation, ROLE_CONTROL));
	if (view.is_supervisor) {
		put_window(d, out, index);
	}
	return out;
}

static void print(struct dump *d)
{
	const struct journal_header *header = d->m->journal.header;
	json_t *units = json_array();
	for (uint32_t i = 0; i < d->places_room; i++) {
		if (d->places[i].definition != NULL) {
			json_array_append_new(units, unit_json(d, i));
		}
	}
	json_t *out = json_pack("{s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:b,s:o}", "records",
		(json_int_t)d->records, "events", (json_int_t)d->events, "sequence",
		(json_int_t)d->m->journal.sequence, "deaths", (json_int_t)d->deaths,
		"deaths_published", (json_int_t)atomic_load(&d->share->ring_head), "order_begun",
		(json_int_t)atomic_load(&header->order_begun), "order_done",
		(json_int_t)atomic_load(&header->order_done), "time_ns", (json_int_t)d->now,
		"quiet", tree_quiet(d->m->tree, true), "units", units);
	if (out == NULL || json_dumpf(out, stdout, JSON_COMPACT) < 0 || fflush(stdout) != 0) {
		die("standard output", strerror(errno));
	}
	json_decref(out);
}

/* --- */

static void finish(struct dump *d)
{
	struct manager *m = d->m;
	tree_destroy(m->tree);
	for (uint32_t i = 0; i < d->places_room; i++) {
		definition_release(d->places[i].definition);
	}
	free(d->places);
	windows_finish(&d->windows);
	generation_release(m->generation);
	unit_bundle_destroy(m->bundle);
	journal_close(&m->journal);
	arena_finish(&m->arena);
	free(m->envp);
	free(d->held.list);
	free(m);
}

int main(int argc, char **argv)
{
	struct dump d = {0};
	d.m = calloc(1, sizeof(*d.m));
	if (argc != 4 || d.m == NULL) {
		die("usage", "journal_dump KEEPER ROOT UNIT-PATH");
	}
	d.keeper = atoi(argv[1]);
	str_copy(d.m->root_name, sizeof(d.m->root_name), argv[2]);
	d.m->replaying = true; /* files that the journal does not name are not looked for */
	if (unit_search_default(&d.m->arena, geteuid() != 0, argv[3], &d.m->search) < 0) {
		die(argv[3], "no path of units");
	}
	int fd = copy_journal(d.keeper);
	if (journal_open(&d.m->journal, fd, sizeof(struct tree_event)) != 1) {
		die("the journal", "has no state");
	}
	close(fd);
	map_share(&d);
	take_held(&d);
	read_all(&d);
	print(&d);
	finish(&d);
	return 0;
}
