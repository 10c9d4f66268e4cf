/*
 * The supervision tree: OTP's supervisor for services, as a state machine without system calls.
 *
 * What it owns: which child runs, in what order children start and stop, when one is restarted,
 * when a supervisor gives up, and what becomes of requests. What it never does: make a system
 * call, read a clock, allocate in a step, or wait. tree_step() takes one fact with its time and
 * appends orders; each order has a number, and its outcome comes back as an event. Equal events
 * give equal orders, byte for byte.
 *
 * Source of the rules: OTP's supervisor (stdlib), and the choices that processes force on it; the
 * published form is coppice.supervisor(5).
 *
 * A supervisor does one action at a time and keeps a mailbox of what arrives meanwhile (deaths,
 * requests, retries), served in order of arrival:
 *
 *           start            all started
 *   DOWN ──────────▶ STARTING ─────────▶ UP ──▶ one action at a time: restart one, stop a group,
 *     ▲                 │ a child fails   │     start a group, carry out a request
 *     │                 ▼                 │ stop, intensity exceeded, auto-shutdown
 *     └──────────── UNWINDING     STOPPING ◀──┘
 *                                    └──▶ DOWN (or COOLING, OnGiveUp=cooldown)
 *
 * Nodes are named by index and generation; index 0 is the root.
 */
#ifndef TREE_TREE_H
#define TREE_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "service/service.h"

#define NODE_NONE UINT32_MAX

enum tree_strategy { ONE_FOR_ONE, ONE_FOR_ALL, REST_FOR_ONE };
enum tree_auto_shutdown { AUTO_NEVER, AUTO_ANY_SIGNIFICANT, AUTO_ALL_SIGNIFICANT };
enum tree_restart {
	RESTART_PERMANENT,
	RESTART_TRANSIENT, /* also systemd's on-failure */
	RESTART_TEMPORARY,
	RESTART_ON_SUCCESS,
	RESTART_ON_ABNORMAL,
	RESTART_ON_ABORT,
	RESTART_ON_WATCHDOG,
};
enum tree_give_up { GIVE_UP_ESCALATE, GIVE_UP_COOLDOWN, GIVE_UP_EXIT, GIVE_UP_ROLLBACK };

/* OnExit= actions. */
enum tree_exit_action {
	EXIT_DEFAULT,
	EXIT_RESTART,
	EXIT_STOP,
	EXIT_ESCALATE,
	EXIT_ONE_FOR_ALL,
	EXIT_REST_FOR_ONE,
	EXIT_ROLLBACK,
};

#define TREE_EXIT_RULES_MAX  16
#define TREE_START_LIMIT_MAX 4096 /* start_limit_burst */

/* FailureAction= and its like: what becomes of the whole tree. It always ends in order, or (with
 * "force") at once; what then becomes of the machine is not the tree's. */
enum tree_action {
	ACTION_NONE,
	ACTION_REBOOT,
	ACTION_REBOOT_FORCE,
	ACTION_REBOOT_IMMEDIATE,
	ACTION_POWEROFF,
	ACTION_POWEROFF_FORCE,
	ACTION_POWEROFF_IMMEDIATE,
	ACTION_EXIT,
	ACTION_EXIT_FORCE
};

struct tree_exit_rule {
	struct service_end_set ends; /* exit statuses and signals */
	uint32_t reasons;            /* bit n: enum service_reason n, for the others */
	uint8_t action;              /* enum tree_exit_action */
	uint64_t delay_ns;           /* 0: none asked */
};

/* What a parent must know of a child. Immutable while the child lives. */
struct tree_child_rules {
	uint8_t restart; /* enum tree_restart */
	bool significant;
	bool is_supervisor;
	bool on_demand; /* its supervisor starts without it; EV_START brings it up, and a group
			 * restart only when it was up before. Never forgotten when it ends */
	bool kept;      /* a temporary child that is not forgotten when it ends */
	bool optional;  /* that it cannot start does not keep its supervisor from starting */
	uint64_t shutdown_ns; /* SERVICE_STOP_DEFAULT, SERVICE_STOP_BRUTAL, a span, SPAN_INFINITY */
	uint64_t restart_delay_ns;     /* RestartSec=; 0: at once */
	uint64_t restart_delay_max_ns; /* RestartMaxDelaySec= */
	uint32_t restart_steps;        /* RestartSteps=; 0: constant */
	uint32_t exit_rules_count;
	const struct tree_exit_rule *exit_rules;
	/* Services: systemd's words about ends, asked after OnExit= and before `restart`. */
	struct service_end_set restart_prevent, restart_force;
	bool restart_direct; /* RestartMode=direct: a restart is no failure to others */
	uint32_t
		start_limit_burst; /* so many starts within start_limit_ns, by hand aside; 0: any */
	uint64_t start_limit_ns;
	uint8_t failure_action, success_action, start_limit_action; /* enum tree_action */
	int16_t failure_status, success_status; /* exit status of the action; -1: the child's */
	/* the one or the other */
	const struct service_rules *service;
	const struct tree_supervisor_rules *supervisor;
};

struct tree_supervisor_rules {
	uint8_t strategy;      /* enum tree_strategy */
	uint8_t auto_shutdown; /* enum tree_auto_shutdown */
	uint8_t give_up;       /* enum tree_give_up */
	bool dynamic;          /* has a template: simple_one_for_one */
	bool retry_start;      /* OnStartFailure=retry */
	uint32_t intensity;
	uint64_t period_ns;
	uint64_t cooldown_ns;  /* GIVE_UP_COOLDOWN */
	uint32_t children_max; /* MaxChildren=; UINT32_MAX: no limit */
};

/* --- events: facts, in the past tense --- */

#define TREE_EVENTS(X)                                                                          \
	X(BOOT, "boot")                 /* start the root */                                    \
	X(SPAWNED, "spawned")           /* node role flag=exec_ok */                            \
	X(SPAWN_FAILED, "spawn-failed") /* node role end: no process */                         \
	X(SKIPPED, "skipped")           /* node: a condition does not hold */                   \
	X(EXITED, "exited")             /* node role end incarnation */                         \
	X(READY, "ready")               /* node incarnation */                                  \
	X(MAIN_FOUND, "main-found")     /* node flag=found incarnation */                       \
	X(EXTEND, "extend")             /* node span incarnation */                             \
	X(FAIL, "fail")                 /* node end incarnation; or a supervisor */             \
	X(TIMER, "timer")               /* node: its deadline has passed */                     \
	X(START, "start")               /* request node */                                      \
	X(STOP, "stop")                 /* request node flag=hold */                            \
	X(RESTART, "restart")           /* request node */                                      \
	X(RELOAD, "reload")             /* request node: the service's own reload */            \
	X(DELETE, "delete")             /* request node */                                      \
	X(ADD, "add")             /* request node flag=present only, not started: a new node */ \
	X(PARK, "park")           /* request node: a stop for another's sake, if it is up */    \
	X(UNPARK, "unpark")       /* request node: its end, if nothing else came meanwhile */   \
	X(SHUTDOWN, "shutdown")   /* flag: 0 in order, 1 kill now */                            \
	X(RELOADING, "reloading") /* node span=its MONOTONIC_USEC in ns, 0: none */             \
	X(ENDING, "ending")       /* node: STOPPING=1 */                                        \
	X(WATCHDOG, "watchdog")   /* node span: WATCHDOG_USEC */                                \
	X(PROBED, "probed")       /* node flag=ok: a health check */

#define X(name, text) EV_##name,
enum tree_event_kind { TREE_EVENTS(X) EV_COUNT };
#undef X
extern const char *const tree_event_names[EV_COUNT];

struct tree_event {
	uint8_t kind; /* enum tree_event_kind */
	uint8_t role; /* enum service_role */
	bool flag;
	uint32_t node;
	uint32_t generation;  /* of the node; a stale one is ignored */
	uint32_t incarnation; /* of the service; a stale one is ignored; 0: any */
	uint64_t request;     /* the shell's number of a request; 0: nobody waits for the reply */
	uint64_t span_ns;
	struct service_end end;
	uint64_t time_ns; /* CLOCK_MONOTONIC; never goes back */
};

/* --- orders: imperatives --- */

#define TREE_ORDERS(X)                                                                             \
	X(SPAWN, "spawn")         /* node role phase index incarnation */                          \
	X(SIGNAL, "signal")       /* node target signo incarnation */                              \
	X(TIMER, "timer")         /* node deadline_ns (0: none) */                                 \
	X(FIND_MAIN, "find-main") /* node incarnation */                                           \
	X(FORGET, "forget")       /* node: its processes are not ours any more */                  \
	X(REPLY, "reply")         /* request result */                                             \
	X(NOTE, "note")           /* node note end: something happened, for people */              \
	X(RELEASE, "release") /* node generation: a dynamic child is gone, its place is free */    \
	X(END, "end")     /* the root has ended: cause, end of the significant child, or action */ \
	X(WATCH, "watch") /* node deadline_ns is the span of its watchdog (0: off) */              \
	X(PROBE, "probe") /* node on: health checks begin, or end */

#define X(name, text) DO_##name,
enum tree_order_kind { TREE_ORDERS(X) DO_COUNT };
#undef X
extern const char *const tree_order_names[DO_COUNT];

/* The event stream. STARTING … are interface.md's; BEGIN and END are supervisors'. */
#define TREE_NOTES(X)                                                                        \
	X(STARTING, "starting")         /* a start attempt of a service begins */            \
	X(RUNNING, "running")           /* started, ready */                                 \
	X(EXITED, "exited")             /* a service was up and ended by itself; end */      \
	X(START_FAILED, "start-failed") /* end */                                            \
	X(SKIPPED, "skipped")           /* a condition does not hold */                      \
	X(RESTARTING, "restarting")     /* a restart was decided and counted; end */         \
	X(WAITING, "waiting")           /* a delay before the next start */                  \
	X(STOPPING, "stopping")         /* asked to stop */                                  \
	X(STOPPED, "stopped")           /* gone after that; end */                           \
	X(DONE, "done")                 /* ended and stays so */                             \
	X(FAILED, "failed")     /* ended abnormally and stays so, or could not start; end */ \
	X(BEGIN, "begin")       /* a supervisor begins to start */                           \
	X(GAVE_UP, "escalated") /* a supervisor exceeded its intensity */                    \
	X(END, "ended")         /* a supervisor is gone; cause in end.reason */              \
	X(COOLING, "cooling")   /* a supervisor gave up and will try again */                \
	X(RELOADED, "reloaded")                                                              \
	X(STUCK, "stuck")         /* SIGKILL was sent and the process has not ended */       \
	X(HEALTHY, "healthy")     /* a health check succeeded after the start or failures */ \
	X(UNHEALTHY, "unhealthy") /* one failed after a good one */                          \
	X(ACTION, "action")       /* its end brings the tree down: FailureAction= … */

#define X(name, text) NOTE_##name,
enum tree_note { TREE_NOTES(X) NOTE_COUNT };
#undef X
extern const char *const tree_note_names[NOTE_COUNT];

/* Why a supervisor ended. */
#define TREE_CAUSES(X)               \
	X(NONE, "none")              \
	X(ORDERED, "ordered")        \
	X(INTENSITY, "intensity")    \
	X(AUTO, "auto")              \
	X(START_FAILED, "startfail") \
	X(ACTION, "action")

#define X(name, text) CAUSE_##name,
enum tree_cause { TREE_CAUSES(X) CAUSE_COUNT };
#undef X
extern const char *const tree_cause_names[CAUSE_COUNT];

/* Results of requests: OTP's, and ours. */
#define TREE_RESULTS(X)                             \
	X(OK, "ok")                                 \
	X(IGNORED, "ok ignored")                    \
	X(ALREADY_STARTED, "error already_started") \
	X(ALREADY_PRESENT, "error already_present") \
	X(RUNNING, "error running")                 \
	X(RESTARTING, "error restarting")           \
	X(NOT_FOUND, "error not_found")             \
	X(START_FAILED, "error failstart")          \
	X(SUPERVISOR_DOWN, "error supervisor_down") \
	X(MAX_CHILDREN, "error max_children")       \
	X(DYNAMIC, "error simple_one_for_one")      \
	X(BAD_COMBINATION, "error bad_combination") \
	X(NO_SUCH_SUPERVISOR, "no_such_supervisor") \
	X(NOT_RUNNING, "error not_running")         \
	X(FAILED, "error failed")                   \
	X(BROKEN_OFF, "error broken_off")

#define X(name, text) RESULT_##name,
enum tree_result { TREE_RESULTS(X) RESULT_COUNT };
#undef X
extern const char *const tree_result_names[RESULT_COUNT];

struct tree_order {
	uint64_t id;                /* 1, 2, 3 … over the life of the tree */
	uint8_t kind;               /* enum tree_order_kind */
	uint8_t role, phase, index; /* SPAWN */
	uint8_t target, signo;      /* SIGNAL */
	uint8_t note;               /* NOTE: enum tree_note */
	uint8_t result;             /* REPLY: enum tree_result */
	uint8_t cause;              /* END and NOTE_END: enum tree_cause */
	uint8_t action;             /* END and NOTE_ACTION: enum tree_action */
	bool on;                    /* PROBE; NOTE_EXITED: others are not to act on it */
	bool parked;                /* NOTE: it is stopped for another's sake */
	uint32_t node, generation, incarnation;
	uint64_t request;
	uint64_t deadline_ns;
	struct service_end end;
};

#define TREE_ORDERS_MAX 64

struct tree_orders {
	uint32_t count;
	struct tree_order list[TREE_ORDERS_MAX];
};

/* --- the tree --- */

struct tree;

struct tree_config {
	uint64_t seed;     /* of the jitter */
	bool stop_in_turn; /* OTP's letter: a stop waits its turn in the mailbox. Off in coppice,
			      where a tree can always be stopped; on in the comparison with OTP */
	uint32_t requests_max; /* mailbox places kept for requests; 0: 1024 */
};

/* Makes a tree of one node, the root, which must be a supervisor. The rules are borrowed and must
 * outlive the tree. Returns NULL when there is no memory. */
struct tree *tree_create(const struct tree_config *config, const struct tree_child_rules *root);
void tree_destroy(struct tree *tree);

/* Adds a child to the end of the static list of `parent`. Before EV_BOOT only, or while a reload is
 * applied. Returns the node, or NODE_NONE when there is no memory. */
uint32_t tree_add(struct tree *tree, uint32_t parent, const struct tree_child_rules *rules);

/* Takes a place for a child that a following EV_ADD will start at run time. A supervisor child may
 * then be given static children by tree_add(). Returns NODE_NONE when there is no memory. The
 * place is given back by DO_RELEASE (also when the EV_ADD is refused). */
uint32_t tree_add_dynamic(struct tree *tree, uint32_t parent, const struct tree_child_rules *rules);

/* One event. Orders are put into `orders` (its count is reset first). Returns true when there is
 * more to come: the caller carries out these orders and calls tree_continue() until it returns
 * false, before any other event. */
bool tree_step(struct tree *tree, const struct tree_event *event, struct tree_orders *orders);
bool tree_continue(struct tree *tree, struct tree_orders *orders);

/* --- looking --- */

/* interface.md's states of a unit. */
#define TREE_STATES(X)          \
	X(STOPPED, "stopped")   \
	X(STARTING, "starting") \
	X(RUNNING, "running")   \
	X(STOPPING, "stopping") \
	X(WAITING, "waiting")   \
	X(FAILED, "failed")     \
	X(DONE, "done")

#define X(name, text) STATE_##name,
enum tree_state { TREE_STATES(X) STATE_COUNT };
#undef X
extern const char *const tree_state_names[STATE_COUNT];

struct tree_view {
	bool exists;  /* the node is in use (of this generation) */
	bool present; /* its spec is in a supervisor: not deleted, not gone */
	bool held;    /* stopped by hand, and stays so */
	bool parked;  /* stopped for another's sake */
	bool skipped; /* its last start was left out: a condition did not hold */
	bool ready; /* running and ready; a supervisor: UP and every child running, ready or done */
	bool is_supervisor, is_dynamic, retrying;
	uint8_t state; /* enum tree_state */
	uint8_t service_state;
	uint8_t cause; /* of a supervisor's last end */
	uint32_t generation;
	uint32_t parent;
	uint32_t incarnation; /* of the service */
	uint32_t restarts;    /* starts after the first that were decided by a supervisor */
	uint32_t window;      /* a supervisor: restarts in its window now */
	uint64_t state_since_ns;
	uint64_t deadline_ns;        /* what it waits for ends then; 0: no limit */
	struct service_end last_end; /* reason NONE: it has never ended */
	/* a service now: its processes as far as the core knows, and why it ends if it does */
	bool main_alive, control_alive, finding, probing;
	uint8_t health; /* enum service_health */
	uint32_t health_failures;
	uint64_t watchdog_ns; /* the span of the armed watchdog; 0: it is not */
	struct service_end end;
	const struct tree_child_rules *rules;
};

/* O(1) but for `ready` and `window` of a supervisor. */
void tree_look(const struct tree *tree, uint32_t node, uint64_t now, struct tree_view *view);
/* When the restarts were decided that count in a supervisor's window at `now`, oldest first; of
 * more than `room` the latest. Returns how many it wrote. Takes as long as the window has entries.
 */
uint32_t tree_window(
	const struct tree *tree, uint32_t supervisor, uint64_t now, uint64_t *times, uint32_t room);
uint32_t tree_nodes_count(const struct tree *tree); /* one above the highest index in use */

/* The children in start order: the first, and the one after. NODE_NONE at the end. Only present
 * ones; `which_children` is this list backwards. */
uint32_t tree_first_child(const struct tree *tree, uint32_t supervisor);
uint32_t tree_next_child(const struct tree *tree, uint32_t node);

/* The state of a child as its supervisor sees it (OTP's which_children): */
enum tree_which { WHICH_STOPPED, WHICH_RUNNING, WHICH_RESTARTING };
enum tree_which tree_which(const struct tree *tree, uint32_t node);

struct tree_count {
	uint32_t specs, active, supervisors, workers; /* OTP's count_children */
};
void tree_count(const struct tree *tree, uint32_t supervisor, struct tree_count *count);

/* True when nothing is under way: no action, no mail, no process being started or stopped. A
 * restart that waits for its delay counts as quiet when `waiting_is_quiet`. */
bool tree_quiet(const struct tree *tree, bool waiting_is_quiet);

/* --- keeping --- */

/* Writes the whole state (not the rules) as a versioned, checksummed record. With `size` too small
 * returns the size needed and writes nothing. */
size_t tree_save(const struct tree *tree, void *buffer, size_t size);

/* Loads a state into a tree that was just built from units. `rules_of` is asked for the rules of
 * each node; where it answers NULL, those of the same static node of this tree are taken. Returns
 * 0, -EPROTO for a record of an unknown version or a wrong checksum, -EINVAL when a node has no
 * rules or the record contradicts itself, -ENOMEM; on failure the tree is as it was. */
typedef const struct tree_child_rules *tree_rules_of(
	void *context, uint32_t node, uint32_t parent, uint32_t generation);
int tree_load(
	struct tree *tree, const void *buffer, size_t size, tree_rules_of *rules_of, void *context);

/* --- reload --- */

/* New rules for a node that stays (its kind must be the same); they hold from now on (a service's
 * from its next start on: `service` rules are read at each step, so the old record must live on
 * until then; the shell keeps both generations until the service is down). */
void tree_set_rules(struct tree *tree, uint32_t node, const struct tree_child_rules *rules);

/* Takes a stopped, absent or never started static node out of its supervisor for good. */
void tree_remove(struct tree *tree, uint32_t node);

/* Puts the static children of a supervisor in the order given (all of them, each once). */
void tree_reorder(struct tree *tree, uint32_t supervisor, const uint32_t *nodes, uint32_t count);

/* --- checking and printing --- */

/* Walks all invariants; CHECKs. */
void tree_check(const struct tree *tree);

/* One line for an event or an order, the format of `coppicectl trace` and of the simulator. `name`
 * gives the name of a node. Returns buf. */
typedef const char *tree_name_of(void *context, uint32_t node);
char *tree_print_event(
	const struct tree_event *event, tree_name_of *name, void *context, char *buf, size_t size);
char *tree_print_order(
	const struct tree_order *order, tree_name_of *name, void *context, char *buf, size_t size);

/* Whether a child with this restart type is started again after this end, OnExit= aside. Pure. */
bool tree_restarts(enum tree_restart restart, const struct service_end *end);

/* Whether RestartPreventExitStatus= has this end. Pure. */
bool tree_restart_prevented(const struct tree_child_rules *rules, const struct service_end *end);

#endif
