/* After= and Before=: against the order of Children=, and as the order of targets. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unit/depend.h"
#include "unit/name.h"

/* An edge between two children of one supervisor: the units themselves, or the branches that they
 * stand in. */
struct lifted {
	struct unit *parent, *later, *earlier;
	const struct depend_edge *edge;
	bool own; /* the units themselves */
};

struct ordering {
	struct loader *loader;
	uint32_t count;
	struct lifted *list;
	uint32_t *places; /* of each unit among its siblings, by index */
};

static struct unit *edge_later(const struct depend_edge *edge)
{
	return edge->relation == UNIT_AFTER ? edge->from : edge->to;
}

static struct unit *edge_earlier(const struct depend_edge *edge)
{
	return edge->relation == UNIT_AFTER ? edge->to : edge->from;
}

static uint32_t depth_of(const struct unit *unit)
{
	uint32_t depth = 0;
	for (; unit->parent != NULL; unit = unit->parent) {
		depth++;
	}
	return depth;
}

/* False when one is above the other: a supervisor is always up before its children. */
static bool edge_lift(const struct depend_edge *edge, struct lifted *out)
{
	struct unit *a = edge_later(edge), *b = edge_earlier(edge);
	uint32_t da = depth_of(a), db = depth_of(b);
	for (; da > db; da--) {
		a = a->parent;
	}
	for (; db > da; db--) {
		b = b->parent;
	}
	if (a == b) {
		return false;
	}
	while (a->parent != b->parent) {
		a = a->parent;
		b = b->parent;
	}
	*out = (struct lifted){
		a->parent, a, b, edge, a == edge_later(edge) && b == edge_earlier(edge)};
	return true;
}

static void places_take(struct ordering *o, const struct unit *supervisor)
{
	for (uint32_t i = 0; i < supervisor->supervisor->children_count; i++) {
		o->places[supervisor->supervisor->children[i]->index] = i;
	}
}

/* --- words --- */

/* Where the edge is written: "file:line". */
static const char *edge_place(
	const struct ordering *o, const struct depend_edge *edge, char *buf, size_t size)
{
	const char *key = edge->relation == UNIT_AFTER ? "After" : "Before";
	const struct unit *other = edge->by == edge->from ? edge->to : edge->from;
	const struct unit_setting *best = NULL;
	for (uint32_t i = 0; i < edge->by->settings_count; i++) {
		const struct unit_setting *setting = &edge->by->settings[i];
		char text[4096], name[UNIT_NAME_SIZE], *rest = text, *word;
		if (strcmp(setting->section, "Unit") != 0 || strcmp(setting->key, key) != 0) {
			continue;
		}
		best = best == NULL ? setting : best;
		snprintf(text, sizeof(text), "%s", setting->value);
		while ((word = strsep(&rest, " \t")) != NULL) {
			if (unit_name_normalize(word, name, sizeof(name)) == 0 &&
				set_find(o->loader->loaded, name) == other) {
				best = setting;
			}
		}
	}
	if (best == NULL) {
		snprintf(buf, size, "%s", edge->by->path);
	} else {
		snprintf(buf, size, "%s:%u", best->path, best->line);
	}
	return buf;
}

static void say_contradiction(const struct ordering *o, const struct lifted *l)
{
	char place[4200];
	const struct load_node *node = o->loader->loaded->nodes[l->later->index];
	edge_place(o, l->edge, place, sizeof(place));
	if (l->own) {
		load_error(o->loader, &node->named,
			"%s is to start after %s (%s), and stands before it in Children= of %s",
			l->later->name, l->earlier->name, place, l->parent->name);
		return;
	}
	struct unit_place here = parse_spot_place(&node->named);
	message_warning(o->loader->messages, &here,
		"%s is to start after %s (%s), and %s starts %s before %s",
		edge_later(l->edge)->name, edge_earlier(l->edge)->name, place, l->parent->name,
		l->later->name, l->earlier->name);
}

#define ARROW " \xe2\x86\x92 "

/* --- one target --- */

struct sorting {
	struct unit **children;
	uint32_t count, placed;
	uint32_t *hard, *soft; /* by place: who must still come before */
	bool *done;
	struct unit **out;
};

static int rank(const struct unit *unit)
{
	if (unit->kind == UNIT_SOCKET) {
		return 1;
	}
	return unit->kind == UNIT_SERVICE ? 2 : 0;
}

static int by_kind_and_name(const void *a, const void *b)
{
	const struct unit *x = *(struct unit *const *)a, *y = *(struct unit *const *)b;
	int order = rank(x) - rank(y);
	return order != 0 ? order : strcmp(x->name, y->name);
}

static void count_edges(const struct ordering *o, const struct unit *target, struct sorting *s,
	uint32_t earlier, bool add)
{
	for (uint32_t i = 0; i < o->count; i++) {
		const struct lifted *l = &o->list[i];
		if (l->parent != target ||
			(earlier != UINT32_MAX && o->places[l->earlier->index] != earlier)) {
			continue;
		}
		uint32_t *count = l->own ? s->hard : s->soft;
		uint32_t later = o->places[l->later->index];
		count[later] = add ? count[later] + 1 : count[later] - 1;
	}
}

/* The first by kind and name whom nobody holds back; UINT32_MAX: all are held back. */
static uint32_t choose(const struct sorting *s, bool soft_too)
{
	for (uint32_t i = 0; i < s->count; i++) {
		if (!s->done[i] && s->hard[i] == 0 && (!soft_too || s->soft[i] == 0)) {
			return i;
		}
	}
	return UINT32_MAX;
}

/* Who of the rest holds this one back. */
static uint32_t held_by(const struct ordering *o, const struct unit *target,
	const struct sorting *s, uint32_t later)
{
	for (uint32_t i = 0; i < o->count; i++) {
		const struct lifted *l = &o->list[i];
		if (l->parent == target && l->own && o->places[l->later->index] == later &&
			!s->done[o->places[l->earlier->index]]) {
			return o->places[l->earlier->index];
		}
	}
	return later;
}

static void say_circle(const struct ordering *o, const struct unit *target, const struct sorting *s)
{
	char text[2048];
	uint32_t at = 0;
	struct unit_place place = {target->path, 0, 0};
	while (s->done[at]) {
		at++;
	}
	/* After as many steps as there are units, we are in the circle. */
	for (uint32_t i = 0; i < s->count; i++) {
		at = held_by(o, target, s, at);
	}
	uint32_t first = at;
	snprintf(text, sizeof(text), "%s", s->children[at]->name);
	do {
		at = held_by(o, target, s, at);
		size_t used = strlen(text);
		snprintf(text + used, sizeof(text) - used, ARROW "%s", s->children[at]->name);
	} while (at != first && strlen(text) < 1700);
	message_error(o->loader->messages, &place,
		"a circle of After= and Before= in %s, each after the next: %s", target->name,
		text);
}

static void sort_children(struct ordering *o, struct unit *target, struct sorting *s)
{
	count_edges(o, target, s, UINT32_MAX, true);
	while (s->placed < s->count) {
		uint32_t next = choose(s, true);
		next = next == UINT32_MAX ? choose(s, false) : next;
		if (next == UINT32_MAX) {
			say_circle(o, target, s);
			return;
		}
		s->done[next] = true;
		s->out[s->placed++] = s->children[next];
		count_edges(o, target, s, next, false);
	}
	memcpy(s->children, s->out, s->count * sizeof(*s->out));
	places_take(o, target);
}

static int order_target(struct ordering *o, struct unit *target)
{
	uint32_t count = target->supervisor->children_count;
	struct sorting s = {.children = target->supervisor->children, .count = count};
	if (count < 2) {
		return 0;
	}
	s.hard = calloc(count, sizeof(*s.hard));
	s.soft = calloc(count, sizeof(*s.soft));
	s.done = calloc(count, sizeof(*s.done));
	s.out = calloc(count, sizeof(*s.out));
	int r = -ENOMEM;
	if (s.hard != NULL && s.soft != NULL && s.done != NULL && s.out != NULL) {
		qsort(s.children, count, sizeof(*s.children), by_kind_and_name);
		places_take(o, target);
		sort_children(o, target, &s);
		r = 0;
	}
	free(s.hard);
	free(s.soft);
	free(s.done);
	free(s.out);
	return r;
}

/* --- all --- */

static void check_order(const struct ordering *o)
{
	for (uint32_t i = 0; i < o->count; i++) {
		const struct lifted *l = &o->list[i];
		bool wrong = o->places[l->later->index] < o->places[l->earlier->index];
		/* What is not started with its supervisor is not part of its order. */
		bool counts = !edge_later(l->edge)->on_demand && !edge_earlier(l->edge)->on_demand;
		/* In a target a circle among its own children has been told. */
		if (wrong && counts && !(l->own && l->parent->kind == UNIT_TARGET)) {
			say_contradiction(o, l);
		}
	}
}

int depend_order(struct loader *loader, const struct depend_edge *edges, uint32_t count)
{
	const struct unit_set *set = &loader->loaded->set;
	struct ordering o = {.loader = loader};
	int r = 0;
	o.list = calloc((size_t)count + 1, sizeof(*o.list));
	o.places = calloc((size_t)set->count + 1, sizeof(*o.places));
	if (o.list == NULL || o.places == NULL) {
		r = -ENOMEM;
	}
	for (uint32_t i = 0; r == 0 && i < count; i++) {
		bool orders = edges[i].relation == UNIT_AFTER || edges[i].relation == UNIT_BEFORE;
		o.count += orders && edge_lift(&edges[i], &o.list[o.count]);
	}
	for (uint32_t i = 0; r == 0 && i < set->count; i++) {
		if (set->list[i]->kind == UNIT_TARGET) {
			r = order_target(&o, set->list[i]);
		} else if (set->list[i]->supervisor != NULL) {
			places_take(&o, set->list[i]);
		}
	}
	if (r == 0) {
		check_order(&o);
	}
	free(o.list);
	free(o.places);
	return r;
}
