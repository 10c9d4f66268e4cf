#include "ctl/forest.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "ctl/table.h"

#define NONE SIZE_MAX

struct node {
	json_t *unit;             /* borrowed */
	size_t first, last, next; /* children, and the next sibling */
	size_t count;             /* of children */
};

struct forest {
	struct node *nodes;
	size_t count;
	size_t first, last; /* roots */
};

static void forest_append(struct forest *forest, size_t parent, size_t child)
{
	size_t *first = &forest->first, *last = &forest->last;

	CHECK(forest->nodes != NULL);
	if (parent != NONE) {
		first = &forest->nodes[parent].first;
		last = &forest->nodes[parent].last;
		forest->nodes[parent].count++;
	}
	if (*last != NONE) {
		forest->nodes[*last].next = child;
	} else {
		*first = child;
	}
	*last = child;
}

/* A unit whose parent is not in the list is a root of its own. */
static void forest_build(struct forest *forest, const json_t *units)
{
	json_t *places = json_object(), *unit;
	size_t i;

	*forest = (struct forest){.first = NONE, .last = NONE, .count = json_array_size(units)};
	json_array_foreach (units, i, unit) {
		forest->nodes = ctl_grow(forest->nodes, i, sizeof(*forest->nodes));
		forest->nodes[i] = (struct node){unit, NONE, NONE, NONE, 0};
		(void)json_object_set_new(
			places, unit_text(unit, "unit"), json_integer((json_int_t)i));
	}
	json_array_foreach (units, i, unit) {
		json_t *place = json_object_get(places, unit_text(unit, "parent"));

		forest_append(forest, place != NULL ? (size_t)json_integer_value(place) : NONE, i);
	}
	json_decref(places);
}

/* --- rows --- */

/* What is worth a word beside the state. Of a supervisor its strategy and window; that it is not
 * ready, its children tell. Of a service why it ended last. */
static char *node_remark(const json_t *unit)
{
	char period[CTL_SPAN_SIZE];
	const char *strategy = unit_text(unit, "strategy");
	const char *last_exit = unit_text(unit, "last_exit");
	bool held = unit_flag(unit, "held");
	const char *note = held ? "held" : "";

	if (strategy[0] != '\0' && json_is_integer(json_object_get(unit, "intensity"))) {
		return ctl_printf("%s %lld/%lld in %s%s", strategy, unit_number(unit, "window"),
			unit_number(unit, "intensity"),
			ctl_span(unit_number(unit, "period_ms"), period, sizeof(period)),
			held ? ", held" : "");
	}
	if (!held && unit_is(unit, "running") && !unit_flag(unit, "ready")) {
		note = "not ready";
	}
	return ctl_printf(
		"%s%s%s", note, note[0] != '\0' && last_exit[0] != '\0' ? ", " : "", last_exit);
}

static void node_add_row(struct table *table, const json_t *unit, const char *lines)
{
	struct table_row *row = table_add(table);
	char up[CTL_SPAN_SIZE];
	long long pid = unit_number(unit, "pid");
	bool running = unit_is(unit, "running");

	row->colour = ctl_state_colour(unit);
	row->cells[0] = ctl_printf("%s%s", lines, unit_text(unit, "unit"));
	row->cells[1] = ctl_strdup(unit_text(unit, "state"));
	row->cells[2] = pid > 0 ? ctl_printf("%lld", pid) : ctl_strdup("-");
	row->cells[3] = ctl_strdup(
		running ? ctl_span(unit_number(unit, "uptime_ms"), up, sizeof(up)) : "-");
	row->cells[4] = ctl_printf("%lld", unit_number(unit, "restarts"));
	row->cells[5] = node_remark(unit);
}

static void add_summary(struct table *table, size_t count, const char *lines)
{
	struct table_row *row = table_add(table);

	row->cells[0] = ctl_printf("%s(%zu more)", lines, count);
	row->cells[1] = ctl_strdup("running");
	row->colour = COLOUR_DIM;
	for (int i = 2; i < 6; i++) {
		row->cells[i] = ctl_strdup("");
	}
}

/* --- lines --- */

struct drawing {
	const struct forest *forest;
	struct table table;
	bool in_short;
	const char *branch, *corner, *pass, *blank;
};

static void draw_node(struct drawing *drawing, size_t node, const char *own, const char *below);

static bool is_dull(const struct forest *forest, size_t node)
{
	const json_t *unit = forest->nodes[node].unit;

	return forest->nodes[node].count == 0 && unit_is(unit, "running") &&
	       unit_flag(unit, "ready");
}

static void draw_child(struct drawing *drawing, size_t child, const char *below, bool last)
{
	char *own = ctl_printf("%s%s", below, last ? drawing->corner : drawing->branch);
	char *next = ctl_printf("%s%s", below, last ? drawing->blank : drawing->pass);

	draw_node(drawing, child, own, next);
	free(own);
	free(next);
}

/* The children of a node, `below` in front of each. */
static void draw_children(struct drawing *drawing, size_t node, const char *below)
{
	const struct forest *forest = drawing->forest;
	bool collapse = drawing->in_short && forest->nodes[node].count > FOREST_COLLAPSE;
	size_t hidden = 0;

	for (size_t c = forest->nodes[node].first; c != NONE; c = forest->nodes[c].next) {
		if (collapse && is_dull(forest, c)) {
			hidden++;
			continue;
		}
		draw_child(drawing, c, below, forest->nodes[c].next == NONE && hidden == 0);
	}
	if (hidden > 0) {
		char *lines = ctl_printf("%s%s", below, drawing->corner);

		add_summary(&drawing->table, hidden, lines);
		free(lines);
	}
}

/* Recursion is as deep as supervisors are nested. */
static void draw_node(struct drawing *drawing, size_t node, const char *own, const char *below)
{
	node_add_row(&drawing->table, drawing->forest->nodes[node].unit, own);
	draw_children(drawing, node, below);
}

void forest_print(struct ctl *ctl, const json_t *units, bool in_short)
{
	struct forest forest;
	struct drawing drawing = {
		.forest = &forest,
		.in_short = in_short,
		.table = {.columns = 6,
			.titles = {"UNIT", "STATE", "PID", "UP", "RESTARTS", "REMARK"},
			.right = {false, false, true, true, true, false},
			.coloured = 1},
		.branch = ctl->utf8 ? "├─ " : "|- ",
		.corner = ctl->utf8 ? "└─ " : "`- ",
		.pass = ctl->utf8 ? "│  " : "|  ",
		.blank = "   ",
	};

	forest_build(&forest, units);
	for (size_t root = forest.first; root != NONE; root = forest.nodes[root].next) {
		draw_node(&drawing, root, "", "");
	}
	table_print(ctl, &drawing.table);
	free(forest.nodes);
}

/* --- JSON --- */

json_t *forest_json(const json_t *units)
{
	struct forest forest;
	json_t *roots = json_array();

	/* Children stand behind their parents in a list of coppice's; where they do not, the parent
	 * has its array nevertheless. */
	forest_build(&forest, units);
	for (size_t i = 0; i < forest.count; i++) {
		(void)json_object_set_new(forest.nodes[i].unit, "children", json_array());
	}
	for (size_t i = 0; i < forest.count; i++) {
		json_t *children = json_object_get(forest.nodes[i].unit, "children");

		for (size_t c = forest.nodes[i].first; c != NONE; c = forest.nodes[c].next) {
			(void)json_array_append(children, forest.nodes[c].unit);
		}
	}
	for (size_t root = forest.first; root != NONE; root = forest.nodes[root].next) {
		(void)json_array_append(roots, forest.nodes[root].unit);
	}
	free(forest.nodes);
	return roots;
}
