/*
 * Inside the tree: nodes, mail, work. Included by src/tree/ only.
 *
 * How a step runs: an event is turned into work (apply.c), and work is done until none is left or
 * the order list is nearly full. Work is one of: start, stop or kill a node, a child's report to
 * its parent, a look into a supervisor's mailbox, a supervisor's going down. There is no
 * recursion: a parent and its child speak to each other through the work queue alone.
 *
 * Files: memory.c makes and frees, apply.c takes events, child.c runs services and passes reports,
 * supervisor.c has the actions, report.c what children report to them, mail.c the mailbox and what
 * it leads to, limit.c limits of starts and what an end brings the whole tree, look.c, save.c,
 * print.c, check.c.
 */
#ifndef TREE_INTERNAL_H
#define TREE_INTERNAL_H

#include "tree/tree.h"

/* A child in its supervisor's eyes. Only RUNNING, RESTARTING and STOPPED outlive an action. */
enum view { VIEW_STOPPED, VIEW_STARTING, VIEW_RUNNING, VIEW_STOPPING, VIEW_RESTARTING };

enum sup_phase { SUP_DOWN, SUP_STARTING, SUP_UP, SUP_STOPPING, SUP_COOLING };

enum action {
	ACT_IDLE,
	ACT_BOOT,            /* starting all children, in order, for the first time */
	ACT_START_ONE,       /* a restart of one child */
	ACT_STOP_GROUP,      /* stopping the members of a group restart, backwards */
	ACT_START_GROUP,     /* starting them again */
	ACT_START_ASKED,     /* start_child, restart_child */
	ACT_STOP_ASKED,      /* terminate_child */
	ACT_STOP_TO_RESTART, /* a restart by hand: the stop */
	ACT_STOP_ALL,        /* going down */
};

/* How a node that is not running came to be so. */
enum outcome { OUTCOME_STOPPED, OUTCOME_DONE, OUTCOME_FAILED };

struct node {
	const struct tree_child_rules *rules;
	uint64_t *history; /* a ring of history_room(): times of restarts, of a service of starts */

	uint32_t generation;
	bool used, is_static, present, held;
	bool late;                   /* static, but below a node that came at run time */
	uint32_t parent, next, prev; /* the list of present children, in start order */
	uint32_t static_next;
	uint32_t first, last, static_first, static_last; /* supervisor */

	/* as a child */
	uint8_t view;    /* enum view */
	uint8_t outcome; /* enum outcome */
	bool waiting;    /* RESTARTING: a delay runs; deadline_ns is its end */
	bool counted;    /* waiting: its restart has been counted already */
	bool ignored;    /* the last start was skipped */
	bool parked;     /* stopped by EV_PARK, and neither started nor stopped since */
	bool wanted;     /* it was started, and has neither ended for good nor been stopped */
	uint8_t reach;   /* RESTARTING: enum tree_strategy of its restart */
	uint32_t death_mail;
	uint32_t backoff_step;
	uint32_t restarts;
	uint32_t retries_mailed;
	uint64_t ready_since_ns, state_since_ns;
	uint64_t deadline_ns; /* of the delay; supervisor: of its stop or its cooling */
	uint64_t reload_request;
	uint64_t stop_request; /* it broke off a start; answered when that is over */
	struct service_end last_end;
	struct service service;

	/* as a supervisor */
	uint8_t phase;        /* enum sup_phase */
	uint8_t action;       /* enum action */
	uint8_t cause;        /* enum tree_cause: why it goes or went down */
	bool kill;            /* its stop is a kill */
	bool reporting_start; /* its parent waits for the outcome of its start */
	bool sort_later;      /* tree_reorder() came in the middle of an action */
	bool set_is_all;      /* the group of the restart: all, or from set_from on */
	bool asked_add;       /* ACT_START_ASKED: the child was added by this request */
	uint32_t cursor;      /* the child at which the action is, or waits */
	uint32_t set_from;
	uint32_t stops_open; /* dynamic, ACT_STOP_ALL: children asked to stop and not gone */
	uint32_t mail_first, mail_last;
	uint32_t history_first, history_count;
	uint64_t request;               /* of ACT_*_ASKED */
	struct service_end culprit_end; /* of the child that made it go down */
};

enum mail_kind {
	MAIL_FREE,
	MAIL_DEATH,
	MAIL_RETRY,
	MAIL_STOP,
	MAIL_START_REQUEST,
	MAIL_STOP_REQUEST,
	MAIL_RESTART_REQUEST,
	MAIL_DELETE_REQUEST,
	MAIL_ADD_REQUEST,
	MAIL_PARK_REQUEST,
	MAIL_UNPARK_REQUEST
};

struct mail {
	uint8_t kind; /* enum mail_kind */
	bool flag;    /* STOP_REQUEST: hold; RETRY: it has been counted */
	uint32_t node, generation;
	uint32_t prev, next;
	uint64_t request;
};

enum work_kind { WORK_START, WORK_STOP, WORK_KILL, WORK_REPORT, WORK_MAIL, WORK_DOWN };

struct work {
	uint8_t kind;   /* enum work_kind */
	uint8_t report; /* enum service_report */
	uint32_t node;
	uint64_t limit_ns;
};

#define MAIL_NONE UINT32_MAX
/* The most orders that one piece of work, or one event, makes. */
#define ORDERS_MARGIN 24

/* One above the intensity: the entry that tips the limit is written too. */
static inline uint32_t history_room(const struct tree_child_rules *rules)
{
	return rules->is_supervisor ? rules->supervisor->intensity + 1 : rules->start_limit_burst;
}

struct tree {
	struct tree_config config;
	struct node *nodes;
	uint32_t nodes_count, nodes_room, statics_count;
	uint32_t free_first; /* chain of unused nodes through `next` */
	struct mail *mail;
	uint32_t mail_room, mail_free, requests_in_mail;
	uint32_t mail_wanted; /* places the nodes account for */
	struct work *work;
	uint32_t work_room, work_first, work_count;
	uint64_t order_next, now, random;
	uint64_t root_again; /* request number + 1 of a restart of the root */
	bool exit_wanted;    /* a supervisor with OnGiveUp=exit gave up */
	uint8_t action;      /* enum tree_action: why the tree ends */
	struct service_end action_end;
	bool ended;
	struct tree_orders *orders;
};

/*
 * The record of tree_save(): a head, the nodes, their histories, the mail. Work is never in it: a
 * state is saved between steps. Numbers are the machine's own: the record lives in memory that only
 * another manager on the same machine reads.
 */
#define SAVE_MAGIC   UINT32_C(0x54726565)
#define SAVE_VERSION 4

struct save_head {
	uint32_t magic, version, node_size, mail_size;
	uint32_t checksum; /* of the whole record, this field being 0 */
	uint32_t nodes_count, statics_count, free_first;
	uint32_t mail_room, mail_free, requests_in_mail, mail_wanted;
	uint64_t size, order_next, now, random, root_again;
	uint32_t exit_wanted, ended, action, reserved;
	struct service_end action_end;
};

/* memory.c */
void tree_node_free(struct tree *tree, uint32_t index); /* a dynamic node and all below it */

/* child.c */
static inline struct node *node_at(const struct tree *tree, uint32_t index)
{
	return &tree->nodes[index];
}
void work_push(struct tree *tree, enum work_kind kind, uint32_t node);
void work_push_stop(struct tree *tree, uint32_t node, uint64_t limit_ns);
struct tree_order *order_push(struct tree *tree, enum tree_order_kind kind, uint32_t node);
void note_push(struct tree *tree, uint32_t node, enum tree_note note);
void reply_push(struct tree *tree, uint64_t request, enum tree_result result);
void timer_set(struct tree *tree, uint32_t node, uint64_t deadline_ns);
void child_start(struct tree *tree, uint32_t node);
void child_stop(struct tree *tree, uint32_t node, uint64_t limit_ns);
void child_kill(struct tree *tree, uint32_t node);
void child_absorb(struct tree *tree, uint32_t node, const struct service_out *out);
void child_list_append(struct tree *tree, uint32_t supervisor, uint32_t child);
void child_list_remove(struct tree *tree, uint32_t child);
void child_list_sort(struct tree *tree, uint32_t supervisor);

/* supervisor.c */
void supervisor_begin(struct tree *tree, uint32_t index);
void supervisor_stop(struct tree *tree, uint32_t index, uint64_t limit_ns);
void supervisor_kill(struct tree *tree, uint32_t index);
void supervisor_stop_all(struct tree *tree, uint32_t index, enum tree_cause cause);
void supervisor_start_from(struct tree *tree, uint32_t index, enum action action, uint32_t child);
void supervisor_stop_group(struct tree *tree, uint32_t index, uint32_t child, bool all);
void supervisor_idle(struct tree *tree, uint32_t index);
/* The action goes on with the child at its cursor. */
void supervisor_start_advance(struct tree *tree, uint32_t index);
void supervisor_stop_advance(struct tree *tree, uint32_t index);
void supervisor_stop_pass(struct tree *tree, uint32_t index); /* one step backwards */
void supervisor_set_view(struct tree *tree, uint32_t child, enum view view);
void supervisor_down_step(struct tree *tree, uint32_t index);
void supervisor_timer(struct tree *tree, uint32_t index);
void supervisor_drop(struct tree *tree, uint32_t child); /* its spec is gone */
bool supervisor_forgets(const struct node *child);       /* … when it ends for good */
/* Retry, at once or after its delay; `reach`: enum tree_strategy. */
void supervisor_wait(struct tree *tree, uint32_t child, uint8_t reach);
void supervisor_calm(struct tree *tree, uint32_t child); /* no retry, no death: plainly stopped */
uint64_t supervisor_delay(struct tree *tree, uint32_t child, uint64_t asked_ns);
uint64_t tree_random(struct tree *tree);

/* report.c */
void supervisor_reported(struct tree *tree, uint32_t child, enum service_report report);

/* apply.c */
void tree_shut_down(struct tree *tree, bool now);

/* limit.c */
void limit_note_start(struct tree *tree, uint32_t child, bool by_hand);
/* Whether a service is started again after this end, OnExit= aside: Restart= and the like. */
bool limit_restarts(const struct tree_child_rules *rules, const struct service_end *end);
/* The next start would be one too many: the child has failed with START_LIMIT from now on. */
bool limit_reached(struct tree *tree, uint32_t child);
/* An attempt to start that failed is the last one: the child has failed for good, and is said so.
 */
bool limit_ends_attempts(struct tree *tree, uint32_t child);
/* It has ended for good, or failed for good: SuccessAction= and its like. */
void limit_act(struct tree *tree, uint32_t child);

/* mail.c */
bool mail_push(struct tree *tree, uint32_t supervisor, const struct mail *mail);
void mail_take_back(struct tree *tree, uint32_t supervisor, uint32_t cell);
void mail_serve(struct tree *tree, uint32_t supervisor);
bool mail_drop_one(struct tree *tree, uint32_t supervisor);
void mail_request(struct tree *tree, const struct tree_event *event);
uint32_t window_count(const struct tree *tree, uint32_t supervisor, uint64_t now);

#endif
