/*
 * The world of tree_trace: what a shell over src/tree would find outside, as a scenario wants it.
 *
 * What it owns: which id is which node of the tree, leaves that start, fail, are ignored and end,
 * the facts that have happened and were not told to the tree yet, the clock that jumps, and the
 * lines about leaves. What it never does: decide what the tree decides.
 */
#ifndef ORACLE_WORLD_H
#define ORACLE_WORLD_H

#include "oracle/lib/scenario.h"

#define FACTS_MAX 1024 /* a power of two */
#define LINES_MAX 4096
#define LINE_SIZE 160
#define NODES_MAX 4096

struct lines {
	uint32_t count;
	char list[LINES_MAX][LINE_SIZE];
};

struct fact {
	struct tree_event event;
	int id;
};

struct world {
	struct scenario scn;
	struct tree *tree;
	uint64_t now, starts, random_state;
	double save_load;
	struct lines trace; /* of the event under way */
	int id_of_node[NODES_MAX];
	const struct tree_child_rules *rules_of_node[NODES_MAX];
	struct fact facts[FACTS_MAX]; /* a ring */
	uint32_t facts_first, facts_count;
	void (*on_gate)(const struct id *id); /* a command armed at the start of this leaf */
};

extern struct world w;

double random_real(void);
void line_add(struct lines *lines, const char *format, ...) __attribute__((format(printf, 2, 3)));
const char *name_of(void *context, uint32_t node);

/* Something happened. The fields of the event beside node and incarnation are the caller's. */
struct tree_event *fact_add(enum tree_event_kind kind, int id);

/* The id that an order is about; dies for an order about a node that was released. */
struct id *order_id(const struct tree_order *order);

struct tree *build_tree(bool map);
void reload_tree(void); /* saved, and loaded into a fresh one */
bool has_bad_spec(int supervisor);

/* Takes a place for a child that is added at run time, with everything below it. */
void add_dynamic(int index);

bool is_hurt(const char *word);
bool leaf_hurt(const char *how, const char *name); /* false: there is no such process */
void leaf_signal(struct id *id, int signo);
void leaf_spawn(struct id *id, const struct tree_order *order);

/* Lets the clock jump to the next thing that happens by itself, up to `limit`; false: none. */
bool clock_jump(uint64_t limit);

#endif
