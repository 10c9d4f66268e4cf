/*
 * The manager: the shell around the pure core.
 *
 * What it owns: the event loop, the core's memory, the journal, the definitions of units, what
 * clients are told. It turns the kernel's news (deaths, timers, datagrams, requests) into events of
 * the core, and the core's orders into system calls. What it never does: decide what a lower room
 * decides; and it is nobody's parent: services are the keeper's children, so that it may be killed
 * at any moment (share/share.h, recover.c).
 *
 * The way of one death: keeper → death ring → deaths_drain() → manager_post() writes it into the
 * journal → manager_run() gives it to the core → orders_carry_out() → spawn_start().
 *
 * Files: manager.c start-up, loop.c turns, compile.c definitions, plan.c how processes are
 * started, confine.c what coppice-exec says, nodes.c nodes and their names,
 * orders.c orders, spawn.c starts, slots.c slots, find_main.c main processes of forking services,
 * conditions.c, links.c, deaths.c, journal.c, recover.c, snapshot.c, adopt.c, requests.c, views.c,
 * why.c, stream.c subscribers and waiters, reload.c, notify.c, sockets.c, passing.c, traffic.c,
 * fdstore.c, access.c, keeper_link.c, orphaned.c.
 */
#ifndef MANAGER_MANAGER_H
#define MANAGER_MANAGER_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/log.h"
#include "control/server.h"
#include "manager/journal.h"
#include "manager/timers.h"
#include "process/spawn.h"
#include "share/share.h"
#include "tree/tree.h"
#include "unit/unit.h"

/* --- definitions (compile.c) --- */

/* One loaded set of units; definitions hold on to it. */
struct generation {
	uint32_t references;
	struct unit_set *set;
};

/* A unit in the form in which it is used. Immutable. */
struct definition {
	uint32_t references;
	const struct unit *unit;
	struct unit *instance; /* of unit_instantiate: owned; NULL: the unit belongs to the set */
	struct generation *generation;
	struct arena arena;
	const struct unit_service *exec; /* how its processes are started: of a service its own, of
					  * a socket one that was made of it; else NULL */
	const struct listen_options *listen; /* of a socket; else NULL */
	struct tree_child_rules child;
	struct service_rules service;
	struct tree_supervisor_rules supervisor;
	struct process_plan plan;
	struct process_plan *plan_full;    /* of commands with "+"; NULL when there are none */
	struct process_plan *plan_no_user; /* of commands with "!"; NULL when there are none */
	const char **environment; /* complete but for what changes from start to start; NULL at the
				     end */
	uint32_t environment_count;
	bool environment_late; /* has EnvironmentFile=: made at each start */
	uint64_t hash;         /* of all its settings, to see whether a reload changed it */
};

/* --- nodes (nodes.c) --- */

/* The process of a health check has a slot like those of the core's roles; the core does not know
 * it. */
#define ROLE_PROBE ((uint32_t)ROLE_CONTROL + 1)
#define ROLES      3

/* What the shell knows of a node of the core. */
struct node {
	uint32_t index, generation, parent;
	bool is_static;
	bool searching; /* its main process is looked for */
	bool adopted;   /* a start without the journal found its process alive */
	bool added;     /* by a reload, and not started yet */
	bool sweep;     /* it has ended, and may have left files */
	struct definition *definition;
	struct definition *definition_next; /* holds from the next start on */
	uint64_t link_since_ns;             /* starts by other units, limited: links.c */
	uint32_t link_starts;
	struct node *name_next;
	uint32_t slots[ROLES]; /* by enum service_role and ROLE_PROBE; SHARE_SLOT_NONE */
	int32_t last_pid;      /* of the main process, for events about its end */
	int32_t parent_pid;    /* forking: the process whose descendant is looked for */
	uint64_t search_since_ns, search_pause_ns;
	uint32_t search_incarnation;
	int notify_fd; /* -1: none */
	int ready_fd;  /* of NotifyFd=; -1: none */
	char *notify_path;
	uint8_t notify_access; /* enum unit_notify_access, as NOTIFYACCESS= changed it */
	bool notify_access_said;
	int32_t said_errno;         /* ERRNO=; 0: none */
	int32_t said_status;        /* EXIT_STATUS=; -1: none */
	uint32_t strangers_said;    /* senders that were not heard, and said so */
	uint64_t watchdog_ns;       /* the span of the armed watchdog; 0: it is not */
	uint64_t watchdog_least_ns; /* EXTEND_TIMEOUT_USEC: it does not bite before */
	struct probe *probe;        /* health checks; NULL: none yet */
	struct timer deadline, search, watchdog;
	char *missed;         /* settings that are not in effect, a line each; NULL */
	char *status_text;    /* STATUS=, or NULL */
	struct node_fds *fds; /* what is kept for it (sockets.h); NULL for most */
	/* cgroup.c, strays.c */
	uint64_t cgroup_hash;  /* of the settings that its group was made with; 0: not known */
	uint64_t oom_kills;    /* that the group has counted */
	int cgroup_watch;      /* of inotify(7); 0: none */
	bool cgroup_left;      /* it had processes when the unit had ended */
	bool cgroup_killed;    /* cgroup_kill() */
	bool straying;         /* something got away from it once */
	uint8_t stray_search;  /* what is left of it is looked for */
	int32_t stray_session; /* the main process of the start before: its session and group */
};

/* --- requests --- */

#define REQUESTS_MAX    1024
#define REQUEST_ID_SIZE 64

enum request_state { REQUEST_FREE, REQUEST_OPEN, REQUEST_DONE };

struct request {
	uint64_t number; /* 0: never used */
	uint8_t state;   /* enum request_state */
	uint8_t kind;    /* enum tree_event_kind */
	uint8_t result;  /* enum tree_result, when DONE */
	uint32_t node, generation;
	struct control_call *call; /* NULL: nobody waits */
	char id[REQUEST_ID_SIZE];  /* the client's; "" */
};

struct sweep_name;
struct probe;
struct node_fds;
struct passing;
struct cgroups;
struct strays;
struct waiter;
struct subscriber;
struct listing;
struct reload;

/* What the keeper gave: descriptors by name, -1 when taken. */
struct held {
	uint32_t count, room;
	struct held_fd {
		char name[SHARE_NAME_SIZE];
		int fd;
	} * list;
};

/* --- the manager --- */

struct manager_options {
	const char *root, *unit_path, *control;
	bool check;
};

struct pending_event {
	struct tree_event event;
	uint64_t sequence; /* in the journal */
};

#define TRACE_SIZE 2048

struct trace_entry {
	bool is_order;
	struct definition *definition; /* of the node, which may be gone when it is looked at */
	union {
		struct tree_event event;
		struct tree_order order;
	};
};

#define SCRATCH_SIZE 65536

/* A process that spoke on the notify socket of a unit, and was not heard. */
struct stranger {
	uint32_t node, generation;
	int32_t pid;
};

/* What coppice-exec said of its own end (confine.c). */
#define HELPER_FAILURES 64
struct helper_failure {
	int32_t pid;
	int status, error;
};

struct manager {
	struct manager_options options;
	struct arena arena; /* of what lives as long as the manager */
	struct unit_search search;
	bool user; /* not root */
	char root_name[UNIT_NAME_SIZE];
	char control_path[108], run_dir[108], notify_dir[128], helper_path[4096];
	char program[4096]; /* our own binary */

	/* coppice-exec */
	char misses_path[128];
	int misses_fd; /* -1: none */
	uint64_t misses_since_ns;
	struct helper_failure helper_failures[HELPER_FAILURES];
	uint32_t helper_failures_count;

	/* the keeper */
	struct share *share;
	int keeper_fd, death_fd, lock_fd;
	uint32_t incarnation;
	bool keeper_gone, reload_wanted, nofile_raised;
	struct rlimit nofile; /* what we were started with */

	/* the kernel */
	int epoll_fd, control_fd;
	uint64_t now; /* CLOCK_MONOTONIC, taken once a turn */
	struct timers timers;

	/* the core */
	struct tree *tree;
	struct tree_orders orders;
	struct pending_event *queue;
	uint32_t queue_first, queue_count, queue_room;
	bool running_queue, replaying, slots_attached, ended;
	int end_status;
	uint64_t orders_done_before; /* a replay: orders up to this one were carried out */
	struct held *held;           /* a replay: what the keeper gave and nobody has taken yet */

	/* units and nodes */
	struct generation *generation;
	struct unit_bundle *bundle;
	uint64_t units_number; /* of the bundle that the keeper holds */
	struct node **nodes;
	uint32_t nodes_room, nodes_count;
	struct node **names;
	uint32_t names_size;
	/* descriptors that are kept for units */
	struct node **keepers; /* the nodes that have some */
	uint32_t keepers_count, keepers_room, sockets_count, lingering;
	bool traffic_moved; /* what is to be watched may be something else */
	uint64_t stored_last;
	struct passing *passing;
	uint32_t control_gid; /* ControlGroup=; UINT32_MAX: none */
	uint32_t *control_uids, control_uids_count;

	/* what units leave behind */
	uint32_t sweeps, sweep_cursor; /* nodes that are marked; the next one to look at */
	bool sweep_listed;
	struct sweep_name *sweep_names;

	/* what processes cannot get away from, or what got away (cgroup.h) */
	struct cgroups *cgroups;
	struct strays *strays;

	/* the journal */
	struct journal journal;
	uint64_t deaths_consumed; /* number of the last death that is in the journal */
	uint64_t started_at_s;    /* CLOCK_REALTIME of the first start of all */
	bool snapshot_failed;

	/* slots and starts */
	uint32_t *slots_free, slots_free_count;
	uint64_t spawn_sequence;
	bool probe_refused; /* the outcome of spawn_probe() */
	uint32_t searches;  /* nodes that look for their main process */
	bool adopting;
	uint32_t adopt_cursor;
	struct timer adopt_timer;
	const char **envp;
	uint32_t envp_room;
	char *scratch;
	size_t scratch_used;
	struct arena spawn_arena;

	/* clients */
	struct control_server *server;
	struct request requests[REQUESTS_MAX];
	uint64_t request_last;
	struct waiter *waiters;
	struct subscriber *subscribers;
	struct stranger strangers[32];
	uint32_t strangers_next;
	struct listing *listings;
	struct reload *reload; /* under way */
	bool notes_made;       /* something moved since waiters were last checked */
	char say[16384]; /* lines of the log that wait for the end of the turn: level, text, NUL */
	size_t say_used;
	uint32_t say_lost;
	struct trace_entry *trace;
	uint64_t trace_count;
};

/* --- manager.c --- */

/* The whole life of a manager; returns the exit status. */
int manager_main(const struct manager_options *options);

/* --- loop.c --- */

/* What an epoll entry stands for: the kind in the upper half, a node or nothing in the lower. */
enum watch_kind {
	WATCH_DEATH = 1,
	WATCH_KEEPER,
	WATCH_CONTROL,
	WATCH_NOTIFY,
	WATCH_PIDFD,
	WATCH_MISSES,
	WATCH_PROBE,
	WATCH_READY,
	WATCH_SOCKET,
	WATCH_STORED,
	WATCH_CGROUPS
};

int loop_watch(struct manager *m, int fd, enum watch_kind kind, uint32_t value, uint32_t events);
void loop_unwatch(struct manager *m, int fd);
uint64_t loop_clock(void);
/* Runs until the tree has ended; returns the exit status of the manager. */
int loop_run(struct manager *m);

/* An event of the core: its time is set, it is written into the journal, and it waits its turn.
 * `order` is the order whose outcome it is, `death` the number of the death it tells of, else 0. */
void manager_post(struct manager *m, struct tree_event *event, uint64_t order, uint64_t death);
/* Gives the core what waits, at most a bounded number (the rest is for the next turn), and carries
 * out what it orders; or all of it. */
void manager_run(struct manager *m);
void manager_run_all(struct manager *m);
/* Gives it one event of the journal again. */
void manager_replay(struct manager *m, const struct tree_event *event, uint64_t sequence);

/* --- prepare.c --- */

/* Before the first start: users and files that a distribution's units count on, by
 * coppice-tmpfiles, where there are such units and no systemd has done it. Waits for it. */
void prepare_system(struct manager *m);

/* --- compile.c --- */

/* Makes the definition of a unit. `instance`: the unit is of unit_instantiate, and is owned by the
 * definition from now on (also on failure). Holds the generation. NULL with `err`. */
struct definition *definition_create(struct manager *m, struct generation *generation,
	const struct unit *unit, struct unit *instance, struct err *err);
struct definition *definition_hold(struct definition *definition);
void definition_release(struct definition *definition);     /* NULL is allowed */
struct generation *generation_create(struct unit_set *set); /* takes the set */
void generation_release(struct generation *generation);

/* --- plan.c --- */

/* Fills the plans of a definition that has an `exec`. 0 or -ENOMEM. */
int plan_compile(struct manager *m, struct definition *definition);
/* By the command's prefix. */
const struct process_plan *plan_of(
	const struct definition *definition, const struct unit_command *command);

/* --- confine.c --- */

/* The FIFO of coppice-exec. Without it (-errno) what it says goes to the unit's output. */
int misses_open(struct manager *m);
void misses_close(struct manager *m);
void misses_drain(struct manager *m);
/* A setting of the unit that is not in effect: said once in the life of the unit. */
void misses_say(struct node *node, const char *key, const char *why);
/* Whether the process said that it failed with that exit status before it became the service;
 * *error is the errno value, 0 when there was none. */
bool misses_failure(struct manager *m, int32_t pid, int status, int *error);
/* A memfd of the unit's own credentials, "ID:bytes" each with a NUL behind it; the caller closes
 * it. -ENOENT: it has none; or -errno. */
int credentials_open(const struct definition *definition);

/* --- nodes.c --- */

/* Enters a node of the core; takes a reference to the definition. 0 or -errno. */
int node_enter(struct manager *m, uint32_t index, uint32_t parent, bool is_static,
	struct definition *definition);
void node_leave(struct manager *m, uint32_t index);
/* The node, or NULL; node_of_generation: only when it is of this generation. */
struct node *node_at(const struct manager *m, uint32_t index);
struct node *node_of_generation(const struct manager *m, uint32_t index, uint32_t generation);
struct node *node_by_name(const struct manager *m, const char *name);
const char *node_name(void *manager, uint32_t index); /* a tree_name_of */
void node_set_definition(struct manager *m, struct node *node, struct definition *definition);
void nodes_finish(struct manager *m);
const char *node_unit_name(const struct node *node);
static inline const struct unit *node_unit(const struct node *node)
{
	return node->definition->unit;
}
/* Its file says something else than what it runs on. */
static inline bool node_has_changed(const struct node *node)
{
	return node->definition_next != NULL &&
	       node->definition_next->hash != node->definition->hash;
}
void node_set_status(struct manager *m, struct node *node, const char *text);

/* Adds all units of the set below the root to the tree, in the order of the set. 0 or -errno. */
int nodes_build(struct manager *m, struct err *err);

/* --- slots.c --- */

void slots_rebuild(struct manager *m);  /* the list of free ones; clears what was never cloned */
bool slots_any(struct manager *m);      /* there may be living processes */
uint32_t slot_claim(struct manager *m); /* SHARE_SLOT_NONE: none left */
void slot_free(struct manager *m, uint32_t index);
/* Ties a slot to a node, or unties it (its death is nobody's event then). */
void slot_attach(struct manager *m, struct node *node, uint32_t role, uint32_t index);
void slot_detach(struct manager *m, struct node *node, uint32_t role);
static inline struct share_slot *slot_at(struct manager *m, uint32_t slot)
{
	return &m->share->slots[slot];
}
/* True when the death of this pid is in the ring and has not been consumed. */
bool slot_is_dead(struct manager *m, uint32_t slot);
/* A signal to a slot's process, by a pidfd or by the keeper; never to a bare number. */
int slot_signal(struct manager *m, uint32_t index, int signo, bool group);
pid_t node_pid(struct manager *m, const struct node *node, enum service_role role);

/* --- orders.c --- */

void orders_carry_out(struct manager *m);
void trace_event(struct manager *m, const struct tree_event *event);
void trace_finish(struct manager *m);

/* --- spawn.c, conditions.c --- */

void spawn_start(struct manager *m, const struct tree_order *order);
/* "INVOCATION_ID=…" of a node's processes in an incarnation. */
#define INVOCATION_SIZE 48
void spawn_invocation(const struct manager *m, const struct node *node, uint32_t incarnation,
	char text[INVOCATION_SIZE]);
/* A process of the node in the slot of ROLE_PROBE, `bare`: as coppice's own, else as the unit's
 * commands. 0 or -errno. */
int spawn_probe(
	struct manager *m, struct node *node, const struct unit_command *command, bool bare);
/* Whether a unit may start. If not, *end says why it has failed; reason NONE: it is left out. */
bool conditions_hold(struct manager *m, const struct node *node, struct service_end *end);

/* --- links.c --- */

/* Posts what was asked for by hand, and before and after it what that means for other units. */
void links_ask(struct manager *m, struct node *node, const struct tree_event *request);
/* Posts what a note of the core means for other units. */
void links_note(struct manager *m, const struct tree_order *note);
/* The unit without which this one may not start, and which is not up; NULL: it may. */
const struct node *links_forbid_start(struct manager *m, const struct node *node);

/* --- find_main.c --- */

void find_main_begin(struct manager *m, struct node *node);
void find_main_resume(struct manager *m, struct node *node); /* after a recovery */
void find_main_again(struct manager *m, struct node *node);  /* its timer */
void find_main_end(struct manager *m, struct node *node);
/* Makes a process that we did not start the main process of a node. 0, or -errno when it is gone.
 */
int main_adopt(struct manager *m, struct node *node, pid_t pid);

/* --- /proc (proc.c) --- */

struct proc_stat {
	pid_t ppid, pgrp, session;
	char state;
	uint64_t start_ticks;
};
int proc_read_stat(pid_t pid, struct proc_stat *out); /* 0 or -errno */
/* Whether the environment of a process has this assignment, whole. */
bool proc_environ_has(pid_t pid, const char *assignment);
/* The value of a variable in the environment of a process; NULL: it has none, or may not be read.
 * In a buffer that the next call uses; two variables at a time. */
bool proc_environ_read(pid_t pid, const char *const names[2], const char *values[2]);
/* The children of a process, read until two readings agree; at most `room`. Returns the count. */
int proc_children(pid_t pid, pid_t *list, int room);

/* --- deaths.c --- */

/* Takes what is in the ring now; more may have come when it returns. */
void deaths_drain(struct manager *m);
bool deaths_wait(const struct manager *m); /* something is in the ring */
/* What was consumed but not cleared away by a manager that died, and the slots that the keeper
 * marked while there was no manager. */
void deaths_clear_consumed(struct manager *m);
void deaths_post_marked(struct manager *m);
void death_end(struct manager *m, uint32_t index, int code, int status, struct service_end *end);

/* --- snapshot.c, recover.c, adopt.c --- */

#define JOURNAL_REQUEST_TEXT REQUEST_ID_SIZE

struct journal_meta {
	uint64_t units_number, request_last, deaths_consumed, started_at_s, spawn_sequence;
	uint32_t ended; /* the tree has ended; end_status is the exit status */
	int32_t end_status;
};
struct journal_node {
	uint32_t index, generation, parent;
	uint8_t is_static, searching;
	uint16_t name_size; /* with its NUL; follows */
	int32_t parent_pid, last_pid;
	uint64_t search_since_ns;
};
struct journal_event {
	uint64_t order, death;
	struct tree_event event;
};
struct journal_said { /* the text of STATUS= follows, with its NUL */
	uint32_t node;
	int32_t error, status;
	uint8_t access, access_said;
	uint16_t reserved;
};
struct journal_request {
	uint64_t number;
	uint32_t node, generation;
	uint8_t kind, state, result;
	char id[REQUEST_ID_SIZE];
};

/* Writes a whole new state. 0 or -errno; on failure the old one goes on. */
int snapshot_take(struct manager *m);
void snapshot_note_node(struct manager *m, const struct node *node);

/* Brings the core to where the last manager left it. `held` is what the keeper gave. 0, -ENODATA
 * when there is nothing to begin with, or -errno with `err`. */
int recover(struct manager *m, struct held *held, struct err *err);
/* After the replay: what happened while there was no manager. */
void recover_finish(struct manager *m);
/* Ties the living processes to the nodes, once: before the first order that is carried out. */
void recover_attach_slots(struct manager *m);

/* A start without the journal: the living children are taken over by the orders that would start
 * them. adopt_spawn() returns true when it has answered the order. */
void adopt_begin(struct manager *m);
void adopt_instances(struct manager *m); /* after the boot: children that were made at run time */
bool adopt_spawn(struct manager *m, struct node *node, const struct tree_order *order);
void adopt_finish(struct manager *m);

/* --- units.c --- */

/* Loads the tree of units below the root through a source; NULL with messages. */
struct unit_set *units_load(
	struct manager *m, struct unit_source *source, struct unit_messages *messages);
void units_print(const struct unit_messages *messages);
/* The bundle that the keeper holds under this number (0: the highest). 0 or -errno. */
int units_restore(struct manager *m, struct held *held, uint64_t number, struct err *err);
/* The definition of a unit of the set, or of an instance of a template of it. NULL with `err`. */
struct definition *units_definition(struct manager *m, const char *name, struct err *err);
/* The template that a name is an instance of, and the node of its supervisor. */
struct unit *units_template_of(struct manager *m, const char *name, struct node **supervisor);

/* --- requests.c, views.c, why.c, reload.c, access.c --- */

int requests_serve(struct manager *m); /* the control server on control_fd */
void request_reply(struct manager *m, uint64_t number, enum tree_result result);
void request_restored(struct manager *m, const struct journal_request *record);
/* Starts an instance of a template that is not there: NULL and -errno with `err`. */
int request_add(struct manager *m, const char *name, struct request *request, struct err *err);

/* methods.c */
void method_list(void *manager, struct control_call *call, const json_t *parameters);
void method_show(void *manager, struct control_call *call, const json_t *parameters);
void method_cat(void *manager, struct control_call *call, const json_t *parameters);
void method_why(void *manager, struct control_call *call, const json_t *parameters);
void method_count(void *manager, struct control_call *call, const json_t *parameters);
void method_status(void *manager, struct control_call *call, const json_t *parameters);
void listing_go_on(void *manager, struct control_call *call); /* there is room again */
void listing_gone(struct manager *m, struct control_call *call);

/* The node that the parameter `unit` names; NULL when the call has been answered with an error. */
struct node *request_node(struct manager *m, struct control_call *call, const json_t *parameters);

json_t *view_unit(struct manager *m, const struct node *node);
json_t *view_properties(struct manager *m, const struct node *node);
char *view_time(uint64_t monotonic_ns, uint64_t now, char *buf, size_t size); /* RFC 3339 */
json_t *why_sentences(struct manager *m, const struct node *node);

/* New definitions from disk. Answers the call (NULL: a signal asked), now or when what goes is
 * down. */
void reload_units(struct manager *m, bool dry, struct control_call *call);
void reload_go_on(struct manager *m); /* in each turn, between steps */
void reload_gone(struct manager *m, const struct control_call *call);
/* A definition that waits for its unit to be down (or up and at rest). */
void reload_apply_waiting(struct manager *m, struct node *node);

void access_load(struct manager *m);
int access_of(void *manager, const struct control_peer *peer);

/* --- stream.c --- */

void stream_note(struct manager *m, const struct tree_order *order);
/* A log line that is written when the turn is over, so that a restart does not wait for a terminal;
 * all lines about the tree go this way, and keep their order. stream_flush() writes them. */
void stream_say(struct manager *m, enum log_level level, const char *text);
void stream_flush(struct manager *m);
void stream_check_waiters(struct manager *m);
void stream_waiter_timeout(struct manager *m, struct timer *timer);
void stream_gone(struct manager *m, struct control_call *call);
void method_wait(void *manager, struct control_call *call, const json_t *parameters);
void method_settle(void *manager, struct control_call *call, const json_t *parameters);
void method_subscribe(void *manager, struct control_call *call, const json_t *parameters);
void method_trace(void *manager, struct control_call *call, const json_t *parameters);

/* --- notify.c --- */

/* Opens (or takes over) the notify socket of a node that wants one. */
int notify_socket_open(struct manager *m, struct node *node);
void notify_socket_adopt(struct manager *m, const char *name, int fd);
/* Before a process of the node starts, which must be told of its socket: a start that a replay
 * carries out comes before the sockets of all nodes are taken over. */
void notify_socket_prepare(struct manager *m, struct node *node);
void notify_socket_close(struct manager *m, struct node *node);
/* Takes a bounded number of messages; true when there may be more. */
bool notify_drain(struct manager *m, struct node *node);
/* A new incarnation: what the last one said of itself is forgotten. */
void notify_forget(struct manager *m, struct node *node);
/* What a service said of itself, in the journal. */
void notify_record(struct manager *m, const struct node *node);
void notify_restored(struct manager *m, const struct journal_said *record);

/* --- sweep.c --- */

/* A unit has ended: what it leaves behind is removed when it is seen to be down, a bit in each turn
 * (sweep_go_on). */
void sweep_node(struct manager *m, struct node *node);
void sweep_leave(struct manager *m, struct node *node); /* the node goes, its files remain */
bool sweep_waits(const struct manager *m);
void sweep_go_on(struct manager *m);
/* All of it, when the tree has ended; else nothing but the list is given up. */
void sweep_finish(struct manager *m);

/* --- ready_pipe.c --- */

/* Before a start: its pipe goes into `spawn`; after it, our copy of the other end is closed. 0 or
 * -errno. */
int ready_pipe_make(struct manager *m, struct node *node, const struct tree_order *order,
	struct process_spawn *spawn);
void ready_pipe_done(struct process_spawn *spawn);
void ready_pipe_adopt(struct manager *m, const char *name, int fd);
void ready_pipe_read(struct manager *m, struct node *node);
void ready_pipe_close(struct manager *m, struct node *node);

/* --- watchdog.c --- */

void watchdog_order(struct manager *m, struct node *node, uint64_t span_ns); /* 0: disarm */
void watchdog_quiet(struct manager *m, struct node *node);                   /* WATCHDOG=1 */
void watchdog_extend(struct manager *m, struct node *node, uint64_t span_ns);
void watchdog_bite(struct manager *m, struct node *node); /* the service fails now */
void watchdog_fire(struct manager *m, struct node *node); /* its timer */
void watchdogs_resume(struct manager *m);                 /* after a recovery */

/* --- health.c --- */

void health_order(struct manager *m, struct node *node, bool on);
void health_timer(struct manager *m, struct timer *timer);
void health_dispatch(struct manager *m, struct node *node);
void health_process_ended(struct manager *m, struct node *node, const struct service_end *end);
void health_leave(struct manager *m, struct node *node);
void health_resume(struct manager *m); /* after a recovery */
/* What the last check said, for people; NULL when there was none since they were ordered. */
const char *health_said(const struct node *node, bool *good, uint64_t *at_ns);

/* --- sockets.c, traffic.c, fdstore.c: the rest is in sockets.h --- */

#define FD_NAME_SIZE 128

/* A node has come, is going, is there with another definition. */
int sockets_enter(struct manager *m, struct node *node);
void sockets_leave(struct manager *m, struct node *node);
void sockets_changed(struct manager *m, struct node *node);
/* Answers the order that opens a socket unit; false: it is for a process. */
bool sockets_spawn(struct manager *m, struct node *node, const struct tree_order *order);
/* What the process gets beside its streams, in m->passing and `spawn`. */
void sockets_pass(struct manager *m, struct node *node, const struct tree_order *order,
	struct process_spawn *spawn);
void sockets_passed(struct manager *m, struct node *node);
void sockets_note(struct manager *m, struct node *node, const struct tree_order *order);
void sockets_came(struct manager *m, struct node *node);     /* WATCH_SOCKET */
void sockets_resume(struct manager *m, struct timer *timer); /* a pause is over */
void sockets_settle(struct manager *m);                      /* in each turn, between steps */
/* After a recovery, or a start without the journal: nodes get back what the keeper has of theirs.
 */
void sockets_adopt(struct manager *m, struct held *held);
void sockets_finish(struct manager *m);
/* For `show` and `why` (socket_view.c). */
void sockets_show(struct manager *m, const struct node *node, json_t *out);
void sockets_why(struct manager *m, const struct node *node, json_t *out);
/* FDSTORE=1 and FDSTOREREMOVE=1; takes the message's descriptors. WATCH_STORED: one hung up. */
void fdstore_message(struct manager *m, struct node *node, struct notify_message *message);
void fdstore_look(struct manager *m, struct node *node);

/* --- keeper_link.c --- */

int keeper_receive_held(struct manager *m, struct held *held);
int held_take(struct held *held, const char *name); /* -1: not there */
void held_finish(struct manager *m, struct held *held);
int keeper_hold(struct manager *m, const char *name, int fd);
void keeper_drop(struct manager *m, const char *name);
void keeper_tell(struct manager *m, enum share_message_kind kind, int32_t value, uint32_t flag);
void keeper_dispatch(struct manager *m);
int units_hold(struct manager *m); /* the bundle in use, under a new number */

/* --- orphaned.c: life after the keeper --- */

void orphaned_begin(struct manager *m);
void orphaned_watch(struct manager *m, uint32_t slot);
void orphaned_ended(struct manager *m, uint32_t slot);

#endif
