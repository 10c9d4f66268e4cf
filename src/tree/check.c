#include "base/check.h"
#include "tree/internal.h"

static void check_list(const struct tree *tree, uint32_t index)
{
	const struct node *p = node_at(tree, index);
	uint32_t before = NODE_NONE, steps = 0;
	for (uint32_t i = p->first; i != NODE_NONE; i = node_at(tree, i)->next) {
		const struct node *c = node_at(tree, i);
		CHECK(c->used && c->present);
		CHECK(c->parent == index && c->prev == before);
		CHECK(++steps <= tree->nodes_count);
		before = i;
	}
	CHECK(p->last == before);
}

static void check_mail(const struct tree *tree, uint32_t index)
{
	const struct node *p = node_at(tree, index);
	uint32_t before = MAIL_NONE, steps = 0;
	for (uint32_t i = p->mail_first; i != MAIL_NONE; i = tree->mail[i].next) {
		const struct mail *m = &tree->mail[i];
		CHECK(m->kind != MAIL_FREE && m->prev == before);
		CHECK(++steps <= tree->mail_room);
		if (m->kind == MAIL_DEATH) {
			CHECK(node_at(tree, m->node)->death_mail == i);
		}
		before = i;
	}
	CHECK(p->mail_last == before);
}

static void check_supervisor(const struct tree *tree, uint32_t index)
{
	const struct node *p = node_at(tree, index);
	check_list(tree, index);
	check_mail(tree, index);
	CHECK(p->history_count <= p->rules->supervisor->intensity + 1);
	if (p->phase == SUP_DOWN || p->phase == SUP_COOLING) {
		CHECK(p->action == ACT_IDLE && p->first == NODE_NONE);
		CHECK(p->mail_first == MAIL_NONE);
	}
	if (p->phase == SUP_STOPPING && tree->work_count == 0) {
		CHECK(p->action == ACT_STOP_ALL);
	}
	if (p->phase == SUP_UP && p->action == ACT_IDLE && tree->work_count == 0) {
		CHECK(p->mail_first == MAIL_NONE);
	}
	uint32_t between = 0;
	for (uint32_t i = p->first; i != NODE_NONE; i = node_at(tree, i)->next) {
		const struct node *c = node_at(tree, i);
		between += c->view == VIEW_STARTING || c->view == VIEW_STOPPING;
	}
	/* An action waits for one child at a time; only the end of a dynamic one for many, and a
	 * going down may meet one start that had begun. */
	if (!p->rules->supervisor->dynamic) {
		CHECK(between <= 2);
		CHECK(p->action != ACT_IDLE || between == 0);
	}
}

static void check_child(const struct tree *tree, uint32_t index)
{
	const struct node *c = node_at(tree, index);
	CHECK(c->history_count <= history_room(c->rules));
	bool down = c->rules->is_supervisor ? c->phase == SUP_DOWN
					    : c->service.state == SERVICE_STATE_DOWN;
	if (tree->work_count > 0) {
		return;
	}
	switch ((enum view)c->view) {
	case VIEW_STOPPED:
	case VIEW_RESTARTING: CHECK(down); break;
	case VIEW_RUNNING: CHECK(!down || c->death_mail != MAIL_NONE); break;
	case VIEW_STARTING:
	case VIEW_STOPPING: CHECK(!down); break;
	}
	CHECK(c->wanted || c->view == VIEW_STOPPED || c->view == VIEW_STOPPING);
	CHECK(!c->parked || c->view == VIEW_STOPPED || c->view == VIEW_STOPPING);
	CHECK(!c->waiting || c->view == VIEW_RESTARTING);
	CHECK(!c->waiting || c->deadline_ns != 0);
	CHECK(c->death_mail == MAIL_NONE || tree->mail[c->death_mail].node == index);
	CHECK(c->stop_request == 0 || c->view == VIEW_STOPPING);
}

void tree_check(const struct tree *tree)
{
	CHECK(tree->nodes[0].used && tree->nodes[0].rules->is_supervisor);
	CHECK(tree->work_count <= tree->work_room);
	for (uint32_t i = 0; i < tree->nodes_count; i++) {
		const struct node *n = &tree->nodes[i];
		if (!n->used) {
			continue;
		}
		if (n->rules->is_supervisor) {
			check_supervisor(tree, i);
		} else {
			service_check(&n->service, n->rules->service);
		}
		if (i != 0) {
			CHECK(node_at(tree, n->parent)->used);
			check_child(tree, i);
		}
	}
}
