/*
 * Scenario files of the comparison with OTP (tests/oracle/FORMAT.md), read into memory.
 *
 * What it owns: the words of the lines and the declared ids with their options. What it never
 * does: run anything. Memory is of fixed size; a scenario that does not fit is refused by die().
 */
#ifndef ORACLE_SCENARIO_H
#define ORACLE_SCENARIO_H

#include <stdbool.h>
#include <stdint.h>

#include "tree/tree.h"

#define SCENARIO_IDS_MAX   256
#define SCENARIO_WORDS_MAX 24
#define SCENARIO_LINES_MAX 512
#define SCENARIO_NAME_SIZE 64
#define ID_NONE            -1

enum onstop { ONSTOP_CLEAN, ONSTOP_IGNORE, ONSTOP_CRASH, ONSTOP_NORMAL, ONSTOP_SLOW };
enum gate { GATE_NONE, GATE_DURING, GATE_WHILE_START };

struct words {
	uint32_t count;
	char *list[SCENARIO_WORDS_MAX]; /* borrowed from the text of the file */
};

/* A supervisor, a leaf, the template of a dynamic supervisor, or one of its instances. */
struct id {
	char name[SCENARIO_NAME_SIZE];
	int parent; /* ID_NONE: the root, or not declared */
	bool is_supervisor;
	bool is_dynamic; /* strategy=simple_one_for_one */
	bool is_instance;
	bool is_probe;     /* no child of the scenario: see reply_in_turn() */
	bool is_kid;       /* in the static list of its parent */
	bool in_state;     /* printed on the state line */
	int template_id;   /* dynamic supervisor: its template */
	uint32_t sequence; /* dynamic supervisor: instances so far */
	uint8_t onstop;    /* enum onstop */
	uint64_t slow_ns;
	struct tree_child_rules rules;
	struct tree_supervisor_rules supervisor;
	struct service_rules service;

	/* what is armed */
	uint32_t fail, ignore;
	uint8_t gate; /* enum gate */
	struct words command;

	/* the world of the one who runs it */
	uint32_t node, generation; /* NODE_NONE: not in the tree */
	uint32_t incarnation;
	uint64_t started_at;           /* order of starts; 0: never */
	uint64_t timer_ns, exit_at_ns; /* 0: none */
	bool alive;                    /* leaf: its process; supervisor: between BEGIN and END */
};

struct scenario {
	char name[SCENARIO_NAME_SIZE]; /* "": the file is one scenario */
	uint32_t ids_count, lines_count, state_count;
	int state_order[SCENARIO_IDS_MAX];
	struct id ids[SCENARIO_IDS_MAX];
	struct words lines[SCENARIO_LINES_MAX]; /* the events */
};

_Noreturn void die(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Cuts the next scenario out of `*text` (which is changed) and reads it. False at the end. */
bool scenario_read(struct scenario *s, char **text);

/* The id of that name, or ID_NONE; made when `make`. */
int scenario_find(const struct scenario *s, const char *name);
int scenario_make(struct scenario *s, const char *name);
void scenario_show(struct scenario *s, int id); /* on the state line from now on */

/* Reads PARENT ID RESTART OPTIONS… (a `child` or `start_child` line without its first word). */
int scenario_declare(struct scenario *s, const struct words *words);

/* The rules that OTP's check of child specs refuses. */
bool scenario_bad_combination(const struct scenario *s, int id);

/* The words with one space between them. Returns buf. */
char *words_join(const struct words *words, uint32_t from, char *buf, uint32_t size);

#endif
