#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "manager/manager.h"
#include "tree/link.h"

/*
 * Units that act on each other: what the table of tree/link.h says, done to the units that are
 * there. A request by hand is spread before it is given to the core; a note of the core brings
 * further events. All of it goes through the journal like any event.
 *
 * Nothing here runs for ever: a request is spread to each unit once; a unit that is parked passes
 * nothing on (whoever parked it has reached all that it could); and starts for another's sake are
 * limited for each unit.
 */

_Static_assert((int)LINK_AFTER == UNIT_AFTER && (int)LINK_BINDS_TO == UNIT_BINDS_TO &&
		       (int)LINK_UPHOLDS == UNIT_UPHOLDS &&
		       (int)LINK_ON_FAILURE == UNIT_ON_FAILURE &&
		       (int)LINK_RELATIONS == UNIT_WANTED_BY,
	"relations");

#define STARTS_MAX    5 /* of a unit by others, within: */
#define STARTS_PERIOD (10 * NS_PER_SEC)

/* --- looking --- */

static struct node *peer_node(struct manager *m, const struct unit_peer *peer)
{
	return node_by_name(m, peer->unit->name);
}

static enum tree_state state_of(struct manager *m, const struct node *node)
{
	struct tree_view view;
	tree_look(m->tree, node->index, m->now, &view);
	return (enum tree_state)view.state;
}

static bool is_down(enum tree_state state)
{
	return state == STATE_STOPPED || state == STATE_FAILED || state == STATE_DONE;
}

static bool is_ordered_after(const struct unit *unit, const struct unit *other)
{
	for (uint32_t i = 0; i < unit->peers_count; i++) {
		const struct unit_peer *peer = &unit->peers[i];
		if (peer->unit == other &&
			peer->relation == (peer->names ? UNIT_AFTER : UNIT_BEFORE)) {
			return true;
		}
	}
	return false;
}

const struct node *links_forbid_start(struct manager *m, const struct node *node)
{
	const struct unit *unit = node_unit(node);
	for (uint32_t i = 0; i < unit->peers_count; i++) {
		const struct unit_peer *peer = &unit->peers[i];
		bool matters = peer->names && (peer->relation == UNIT_REQUIRES ||
						      peer->relation == UNIT_REQUISITE ||
						      peer->relation == UNIT_BINDS_TO);
		const struct node *other = matters ? peer_node(m, peer) : NULL;
		if (other != NULL &&
			link_forbids_start((enum link_relation)peer->relation,
				is_ordered_after(unit, peer->unit), state_of(m, other))) {
			return other;
		}
	}
	return NULL;
}

/* --- what is to be done --- */

struct deed {
	struct node *node;
	uint8_t kind; /* enum tree_event_kind */
	bool flag;
};

struct deeds {
	uint32_t count, room;
	struct deed *list;
};

static void deed_add(struct deeds *deeds, struct node *node, enum tree_event_kind kind, bool flag)
{
	if (deeds->count == deeds->room) {
		uint32_t room = deeds->room == 0 ? 16 : deeds->room * 2;
		struct deed *list = realloc(deeds->list, room * sizeof(*list));
		if (list == NULL) {
			log_error("no memory to do to %s what another unit asks for",
				node_unit_name(node));
			return;
		}
		deeds->list = list;
		deeds->room = room;
	}
	deeds->list[deeds->count++] = (struct deed){node, (uint8_t)kind, flag};
}

/* All or none of them are in the journal. */
static void deeds_post(struct manager *m, struct deeds *deeds, uint64_t order, bool more_follows)
{
	for (uint32_t i = 0; i < deeds->count; i++) {
		const struct deed *deed = &deeds->list[i];
		struct tree_event event = {.kind = deed->kind,
			.flag = deed->flag,
			.node = deed->node->index,
			.generation = deed->node->generation};
		if (more_follows || i + 1 < deeds->count) {
			journal_together(&m->journal);
		}
		manager_post(m, &event, order, 0);
	}
	free(deeds->list);
	*deeds = (struct deeds){0};
}

/* A start for another's sake. One that is down only for now comes up by itself. */
static void deed_start(struct manager *m, struct deeds *deeds, struct node *node)
{
	struct tree_view view, parent;
	tree_look(m->tree, node->index, m->now, &view);
	if (!is_down((enum tree_state)view.state) || node->parent == NODE_NONE) {
		return;
	}
	if (m->now - node->link_since_ns > STARTS_PERIOD) {
		node->link_since_ns = m->now;
		node->link_starts = 0;
	}
	if (node->link_starts++ >= STARTS_MAX) {
		if (node->link_starts == STARTS_MAX + 1) {
			log_warning("%s: other units have started it %d times within 10s; no more",
				node_unit_name(node), STARTS_MAX);
		}
		return;
	}
	tree_look(m->tree, node->parent, m->now, &parent);
	bool forgotten = !view.present && parent.state == STATE_RUNNING;
	deed_add(deeds, node, forgotten ? EV_ADD : EV_START, false);
}

static void deed_stop(struct manager *m, struct deeds *deeds, struct node *node, bool hold)
{
	enum tree_state state = state_of(m, node);
	if (!is_down(state) && state != STATE_STOPPING) {
		deed_add(deeds, node, EV_STOP, hold);
	}
}

static void deed_park(struct manager *m, struct deeds *deeds, struct node *node)
{
	enum tree_state state = state_of(m, node);
	if (state == STATE_RUNNING || state == STATE_STARTING) {
		deed_add(deeds, node, EV_PARK, false);
	}
}

/* --- by hand --- */

static enum link_happening asked_for(uint8_t kind)
{
	switch ((enum tree_event_kind)kind) {
	case EV_START:
	case EV_ADD: return LINK_ASKED_START;
	case EV_STOP: return LINK_ASKED_STOP;
	case EV_RESTART: return LINK_ASKED_RESTART;
	case EV_RELOAD: return LINK_ASKED_RELOAD;
	default: return LINK_HAPPENINGS;
	}
}

static void deed_of_hand(struct manager *m, struct deeds *deeds, struct node *node,
	enum link_effect effect, bool hold)
{
	switch (effect) {
	case LINK_START: deed_start(m, deeds, node); break;
	case LINK_STOP: deed_stop(m, deeds, node, hold); break;
	case LINK_RESTART:
	case LINK_PARK: deed_park(m, deeds, node); break;
	case LINK_RELOAD:
		if (state_of(m, node) == STATE_RUNNING) {
			deed_add(deeds, node, EV_RELOAD, false);
		}
		break;
	case LINK_NOTHING:
	case LINK_UNPARK:
	case LINK_START_AGAIN: break;
	}
}

/* One unit on the way through all that a request reaches. */
struct step {
	struct node *node;
	uint32_t next;
	uint8_t effect;
};

/* What the effect on a unit means for those around that one. */
static enum link_happening spreads_as(enum link_effect effect)
{
	switch (effect) {
	case LINK_START: return LINK_ASKED_START;
	case LINK_STOP: return LINK_ASKED_STOP;
	case LINK_RESTART: return LINK_ASKED_RESTART;
	case LINK_RELOAD: return LINK_ASKED_RELOAD;
	case LINK_PARK: return LINK_DOWN;
	case LINK_NOTHING:
	case LINK_UNPARK:
	case LINK_START_AGAIN: break;
	}
	return LINK_HAPPENINGS;
}

/* What comes before a unit that is asked for something (or that is down): the farthest first, each
 * once, the unit itself not. */
static void spread(struct manager *m, struct deeds *deeds, struct node *first,
	enum link_happening asked, bool hold)
{
	struct step *steps = malloc(((size_t)m->nodes_count + 1) * sizeof(*steps));
	bool *seen = calloc(m->nodes_room + 1, sizeof(*seen));
	uint32_t depth = 0;
	if (steps == NULL || seen == NULL) {
		log_error("no memory to follow the links of %s", node_unit_name(first));
		goto free_all;
	}
	seen[first->index] = true;
	steps[depth++] = (struct step){first, 0, LINK_NOTHING};
	while (depth > 0) {
		struct step *at = &steps[depth - 1];
		const struct unit *unit = node_unit(at->node);
		if (at->next == unit->peers_count) {
			deed_of_hand(m, deeds, at->node, (enum link_effect)at->effect, hold);
			depth--;
			continue;
		}
		const struct unit_peer *peer = &unit->peers[at->next++];
		enum link_happening here =
			depth == 1 ? asked : spreads_as((enum link_effect)at->effect);
		enum link_effect effect =
			link_effect((enum link_relation)peer->relation, peer->names, here);
		struct node *other = effect == LINK_NOTHING ? NULL : peer_node(m, peer);
		if (other == NULL || seen[other->index]) {
			continue;
		}
		/* What is up already needs nothing more of its own. */
		if (effect == LINK_START && !is_down(state_of(m, other))) {
			continue;
		}
		seen[other->index] = true;
		steps[depth++] = (struct step){other, 0, (uint8_t)effect};
	}
free_all:
	free(steps);
	free(seen);
}

void links_ask(struct manager *m, struct node *node, const struct tree_event *request)
{
	struct deeds before = {0}, after = {0};
	struct tree_event event = *request;
	enum link_happening asked = asked_for(request->kind);
	if (node_unit(node)->peers_count > 0 && asked != LINK_HAPPENINGS) {
		spread(m, &before, node, asked, request->flag);
	}
	for (uint32_t i = before.count; i-- > 0;) {
		if (before.list[i].kind == EV_PARK) {
			deed_add(&after, before.list[i].node, EV_UNPARK, false);
		}
	}
	deeds_post(m, &before, 0, true);
	if (after.count > 0) {
		journal_together(&m->journal);
	}
	manager_post(m, &event, 0, 0);
	deeds_post(m, &after, 0, false);
}

/* --- by itself --- */

static void follow(struct manager *m, struct deeds *deeds, struct node *node,
	const struct unit_peer *peer, enum link_happening happening)
{
	struct node *other = peer_node(m, peer);
	enum link_effect effect =
		link_effect((enum link_relation)peer->relation, peer->names, happening);
	if (other == NULL) {
		return;
	}
	switch (effect) {
	case LINK_START: deed_start(m, deeds, other); break;
	case LINK_STOP: deed_stop(m, deeds, other, false); break;
	case LINK_UNPARK: deed_add(deeds, other, EV_UNPARK, false); break;
	case LINK_START_AGAIN:
		if (state_of(m, other) == STATE_RUNNING) {
			deed_start(m, deeds, node);
		}
		break;
	case LINK_PARK: /* was spread to all at once */
	case LINK_RESTART:
	case LINK_RELOAD:
	case LINK_NOTHING: break;
	}
}

void links_note(struct manager *m, const struct tree_order *note)
{
	struct node *node = node_of_generation(m, note->node, note->generation);
	if (node == NULL || node_unit(node)->peers_count == 0 || m->ended ||
		state_of(m, node_at(m, 0)) == STATE_STOPPING) {
		return;
	}
	const struct unit *unit = node_unit(node);
	enum link_happening happening =
		link_happening_of(note, node->definition->child.is_supervisor);
	struct deeds deeds = {0};
	if (happening == LINK_HAPPENINGS) {
		return;
	}
	if (happening == LINK_DOWN || happening == LINK_STOPPED) {
		spread(m, &deeds, node, LINK_DOWN, false);
	}
	for (uint32_t i = 0; i < unit->peers_count; i++) {
		follow(m, &deeds, node, &unit->peers[i], happening);
	}
	deeds_post(m, &deeds, note->id, false);
}
