/*
 * The simulator: src/tree over a fake kernel, with random trees, random faults and random requests.
 *
 *   plan.c    random trees and the rules of their nodes
 *   kernel.c  processes, signals, timers, and the clock that jumps
 *   act.c     what goes wrong, and what people ask for
 *   check.c   independent checkers: a shadow of the world, which knows only what was ordered and
 *             what has happened
 *   twin.c    a second tree that is saved and loaded now and then, and must give equal orders
 *   sim.c     lives and phases, the report of a failure, main
 *
 * A life is one seed: chaos, then a quiet time in which everything must settle, then a shutdown
 * that must end in time. Which faults a life has is drawn per seed (swarm testing).
 */
#ifndef SIM_SIM_H
#define SIM_SIM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"
#include "tree/tree.h"

#define SPECS_MAX     512
#define UNITS_MAX     512
#define PROCESSES_MAX 1024
#define REQUESTS_MAX  8192
#define PROCESS_NONE  UINT32_MAX
#define NAME_SIZE     24
#define MS            NS_PER_MS

/* --- what a life is like --- */

struct swarm {
	/* weights of the random actions */
	uint32_t crash, crash_many, control_crash, fail, requests, holds, adds, reloads, deletes,
		redefine, jump, stray, root_restart, probes, words;
	/* per cent */
	uint32_t spawn_failures, exec_failures, skips, hangs, ignores, slow_spawns,
		command_failures, early_exits, lost_mains, bad_probes;
	bool stop_in_turn;
	bool short_limits;
	bool ends_in_chaos; /* the shutdown comes without a quiet time */
	bool actions;       /* the end of a child may bring the tree down */
	bool strict;        /* no request leaves a child down: all permanent ones must run */
	uint64_t pause_ns;  /* between actions, on average */
	uint32_t steps;
};

/* A kind of unit: the rules of a node. Lives as long as the life. */
struct spec {
	char name[NAME_SIZE];
	struct tree_child_rules rules;
	struct tree_supervisor_rules supervisor;
	struct service_rules service;
	struct tree_exit_rule exit_rules[2];
	uint32_t parent;         /* spec; UINT32_MAX: none */
	uint32_t child_template; /* dynamic supervisor: the spec of its instances */
	bool is_kid;             /* stands in the static list of its parent */
	bool spins;              /* may restart for ever by itself */
};

/* A node of the tree. */
struct unit {
	bool used, is_static;
	uint32_t generation, spec, parent;
	char name[NAME_SIZE];
	uint64_t timer_ns; /* as ordered; 0: none */
	uint64_t watch_ns; /* the span of the armed watchdog; 0: none */
	bool probing;      /* health checks are ordered, for this incarnation: */
	uint32_t probing_incarnation;
	bool healthy;        /* the last one succeeded */
	uint32_t process[2]; /* by role: main, control; PROCESS_NONE */

	/* the shadow */
	uint32_t incarnation;
	uint32_t incarnation_at_shutdown;
	bool killed;      /* service: SIGKILL was ordered in this incarnation */
	bool asked;       /* a start of it was asked for since its supervisor began */
	bool held;        /* service: a stop that sticks was done, and nobody undid it */
	uint32_t undoing; /* requests under way that may undo it */
	bool going_down;  /* supervisor: it was told to stop, or gave up */
	bool lenient;     /* supervisor: its rules changed, its window is not checked */
	uint32_t window_first, window_count;
	uint64_t *window; /* supervisor: times of restarts, a ring of intensity + 1 */
	uint32_t window_room;
};

struct process {
	bool used, exists, forgotten, ignores_term; /* before it exists its spawn is under way */
	uint8_t role, phase;
	uint32_t pid, node, generation, incarnation;
	uint64_t term_latency_ns, kill_latency_ns;
};

enum future_kind { FUTURE_EVENT, FUTURE_EXIT, FUTURE_TIMER };

struct future {
	uint64_t time_ns, sequence;
	uint8_t kind; /* enum future_kind */
	uint32_t pid; /* EXIT, and the outcome of a spawn */
	struct tree_event event;
};

enum phase { PHASE_CHAOS, PHASE_QUIET, PHASE_SHUTDOWN };

struct request {
	bool answered, hold;
	bool stale; /* for a node that is gone: nothing may be done */
	uint8_t kind;
	uint32_t node, generation;
};

struct sim {
	uint64_t seed, random, now, sequence, step, events_total;
	struct swarm swarm;
	uint8_t phase; /* enum phase */
	struct tree *tree, *twin;
	struct tree_orders orders, twin_orders;

	struct spec *specs;
	uint32_t specs_count;
	struct unit units[UNITS_MAX];
	struct process processes[PROCESSES_MAX];
	uint32_t processes_top, pid_last;
	struct future *futures; /* a heap, the earliest first */
	uint32_t futures_count, futures_room;
	struct request requests[REQUESTS_MAX];
	uint64_t requests_last;

	uint64_t shutdown_at_ns, shutdown_limit_ns;
	bool ended, spins, stop_overtaken;
	uint8_t end_cause;
	uint64_t orders_last;                                   /* their number */
	uint32_t stopping[TREE_ORDERS_MAX * 4], stopping_count; /* noted in this step */
	uint64_t figures[DO_COUNT];                             /* orders seen */
	uint64_t results[RESULT_COUNT], notes[NOTE_COUNT], event_kinds[EV_COUNT];
	uint64_t loads;
};

extern struct sim sim;

/* --- sim.c --- */

/* Says what is wrong, with the last lines of the trace and the line that repeats it. */
_Noreturn void sim_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

void sim_print_orders(const char *title, const struct tree_orders *orders);

uint64_t random_next(void);
uint32_t random_below(uint32_t limit); /* 0 … limit-1 */
uint64_t random_span(uint64_t low_ns, uint64_t high_ns);
bool random_percent(uint32_t percent);

/* One event into the tree and its twin, and its orders carried out. */
void sim_step(struct tree_event *event);

/* --- plan.c --- */

void plan_swarm(void);
void plan_tree(void); /* the specs of the whole tree; the root is 0 */
uint32_t plan_leaf(uint32_t parent);
uint32_t plan_supervisor(uint32_t parent, uint32_t depth);
uint32_t plan_again(uint32_t spec, bool same_shape); /* new rules for the same unit */
bool spec_is_supervisor(uint32_t spec);

/* Builds the nodes of a spec's static children below a node, in both trees. */
void plan_build(uint32_t node);
uint32_t unit_add(uint32_t parent, uint32_t spec, bool at_run_time);
void unit_forget(uint32_t node); /* it was released, with all below it */

/* --- kernel.c --- */

void future_add(const struct future *future);
bool future_next(struct future *out); /* the earliest; false: none */
void future_clear(void);
const struct future *future_first(void);

void event_in(const struct tree_event *event, uint64_t delay_ns);
void kernel_order(const struct tree_order *order);
void kernel_deliver(struct future *future);
struct process *process_of(uint32_t node, enum service_role role); /* NULL: none */
void process_end(struct process *process, struct service_end end, uint64_t delay_ns);
bool node_alive(uint32_t node); /* the node itself has a process, or is about to */
uint32_t processes_alive(void);
uint64_t kernel_limit(void); /* the longest that SIGKILL may take */
bool subtree_alive(uint32_t node);

/* --- act.c --- */

void act_random(void);
void act_request(uint8_t kind, uint32_t node, bool flag);

/* --- check.c --- */

void check_request(const struct tree_event *event); /* before it is sent */
void check_order(const struct tree_order *order);
void check_step(void);
void check_quiet(void);
void check_shutdown_asked(bool kill);
void check_end(void);

/* --- twin.c --- */

void twin_compare(bool same);
void twin_reload(void);

#endif
