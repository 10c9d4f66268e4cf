/*
 * The life of one service, as a state machine without system calls.
 *
 * What it owns: the steps of a start (ExecCondition, ExecStartPre, ExecStart, waiting for
 * readiness, ExecStartPost, the first good health check), of a stop (ExecStop, the stop signal,
 * SIGKILL, ExecStopPost), of a reload, the time limits of each, whether it is healthy, when its
 * watchdog is armed, and the reason of an end. What it never does: decide whether the service is
 * started again; that is the tree's (src/tree/), which speaks to it by service_start() and
 * service_stop() and hears from it by reports. It does not know the tree.
 *
 *                start                                ready            healthy
 *   DOWN ──▶ CONDITION ──▶ START_PRE ──▶ START ──▶ START_POST ──▶ WARM ──▶ UP ⇄ RELOAD
 *    ▲           │            │            │           │           │       │
 *    │           ▼            failure, time-out, stop, end         ▼       ▼
 *    └── STOP_POST ◀────── KILL ◀── ABORT (watchdog) ◀── TERM ◀────────── STOP
 *
 * A service without health checks has no WARM. Every function takes the time and appends to an
 * order list; nothing else leaves it. Files: service.c what happens to it, start.c up, stop.c down,
 * exit.c its processes' ends, health.c.
 */
#ifndef SERVICE_SERVICE_H
#define SERVICE_SERVICE_H

#include <stdbool.h>
#include <stdint.h>

/* --- names shared with the rooms above --- */

#define SERVICE_TYPES(X)                  \
	X(SIMPLE, "simple")               \
	X(EXEC, "exec")                   \
	X(NOTIFY, "notify")               \
	X(NOTIFY_RELOAD, "notify-reload") \
	X(ONESHOT, "oneshot")             \
	X(FORKING, "forking")             \
	X(IDLE, "idle")                   \
	X(DBUS, "dbus")

#define SERVICE_PHASES(X)              \
	X(START_PRE, "ExecStartPre")   \
	X(START, "ExecStart")          \
	X(START_POST, "ExecStartPost") \
	X(RELOAD, "ExecReload")        \
	X(STOP, "ExecStop")            \
	X(STOP_POST, "ExecStopPost")   \
	X(CONDITION, "ExecCondition")

#define SERVICE_STATES(X)                 \
	X(DOWN, "down")                   \
	X(START_PRE, "start-pre")         \
	X(START, "start")                 \
	X(START_POST, "start-post")       \
	X(UP, "up")                       \
	X(RELOAD, "reload")               \
	X(STOP, "stop")                   \
	X(TERM, "stop-sigterm")           \
	X(KILL, "stop-sigkill")           \
	X(STOP_POST, "stop-post")         \
	X(POST_KILL, "stop-post-sigkill") \
	X(CONDITION, "condition")         \
	X(WARM, "start-health")           \
	X(ABORT, "stop-watchdog")

/* Why a process or a service ended. EXIT and SIGNAL carry a number, EXEC an errno. */
#define SERVICE_REASONS(X)                \
	X(NONE, "none")                   \
	X(EXIT, "exit")                   \
	X(SIGNAL, "signal")               \
	X(EXEC, "exec")                   \
	X(START_TIMEOUT, "start-timeout") \
	X(STOPPED, "stopped")             \
	X(OOM, "oom")                     \
	X(WATCHDOG, "watchdog")           \
	X(HEALTH, "health")               \
	X(PROTOCOL, "protocol")           \
	X(RESOURCES, "resources")         \
	X(LOST, "lost")                   \
	X(GAVE_UP, "gave-up")             \
	X(AUTO_SHUTDOWN, "auto-shutdown") \
	X(CHILD_FAILED, "child-failed")   \
	X(RUNTIME_MAX, "runtime-max")     \
	X(START_LIMIT, "start-limit")     \
	X(ASSERT, "assert")               \
	X(DEPENDENCY, "dependency")

/* What health checks say of a service. */
#define SERVICE_HEALTHS(X)                                       \
	X(NONE, "none")         /* it is not checked */          \
	X(STARTING, "starting") /* no check has succeeded yet */ \
	X(GOOD, "healthy")                                       \
	X(FAILING, "failing") /* the last one failed */

#define X(name, text) SERVICE_##name,
enum service_type { SERVICE_TYPES(X) SERVICE_TYPE_COUNT };
#undef X
#define X(name, text) PHASE_##name,
enum service_phase { SERVICE_PHASES(X) PHASE_COUNT };
#undef X
#define X(name, text) SERVICE_STATE_##name,
enum service_state { SERVICE_STATES(X) SERVICE_STATE_COUNT };
#undef X
#define X(name, text) REASON_##name,
enum service_reason { SERVICE_REASONS(X) REASON_COUNT };
#undef X
#define X(name, text) HEALTH_##name,
enum service_health { SERVICE_HEALTHS(X) HEALTH_COUNT };
#undef X

enum service_role { ROLE_MAIN, ROLE_CONTROL };
enum service_kill_mode { KILL_CONTROL_GROUP, KILL_MIXED, KILL_PROCESS, KILL_NONE };
/* TimeoutStartFailureMode=, TimeoutStopFailureMode=. */
enum service_failure_mode { FAILURE_TERMINATE, FAILURE_ABORT, FAILURE_KILL };

extern const char *const service_type_names[SERVICE_TYPE_COUNT];
extern const char *const service_phase_names[PHASE_COUNT];
extern const char *const service_state_names[SERVICE_STATE_COUNT];
extern const char *const service_reason_names[REASON_COUNT];
extern const char *const service_health_names[HEALTH_COUNT];

/* An end: reason, its number (status, signal, errno) and, for EXEC, the step. */
struct service_end {
	uint8_t reason; /* enum service_reason */
	uint8_t step;   /* enum process_step, opaque here */
	bool dumped;    /* SIGNAL: a core was dumped */
	bool normal;    /* by exit status, systemd's clean signals and SuccessExitStatus= */
	int32_t number;
};

/* A set of ends, for SuccessExitStatus= and its like. */
struct service_end_set {
	uint32_t statuses[8]; /* bit n: exit status n */
	uint64_t signals;     /* bit n: death by signal n */
};

/* --- the rules of one service: immutable --- */

#define SERVICE_COMMANDS_MAX 32 /* of one phase */

/* [Health]. A check is made every interval; `retries` failures in a row are an end with reason
 * HEALTH. A service that has not been healthy yet is checked more often, and a failure then counts
 * only once an interval, and not at all in the start period: how often it is asked does not make it
 * fail sooner. */
struct service_health_rules {
	bool on;
	uint32_t retries; /* 0 is 1 */
	uint64_t interval_ns, timeout_ns, start_period_ns;
};

struct service_rules {
	uint8_t type;                        /* enum service_type */
	uint8_t kill_mode;                   /* enum service_kill_mode */
	uint8_t start_failure, stop_failure; /* enum service_failure_mode: how a time-out ends it */
	bool remain_after_exit;
	bool exit_when_empty;                 /* ExitType=cgroup: the last process ends it */
	bool send_sigkill;                    /* SendSIGKILL=, yes */
	bool send_sighup;                     /* SendSIGHUP=, no */
	bool reload_by_signal;                /* notify-reload: SIGHUP and READY=1 */
	uint8_t kill_signal;                  /* SIGTERM */
	uint8_t restart_kill_signal;          /* of a stop before a restart; 0: kill_signal */
	uint8_t watchdog_signal;              /* 0: SIGABRT */
	uint8_t final_kill_signal;            /* SIGKILL */
	uint8_t reload_signal;                /* SIGHUP */
	uint8_t commands[PHASE_COUNT];        /* how many */
	uint32_t ignore_failure[PHASE_COUNT]; /* bit n: command n has the prefix "-" */
	struct service_end_set success;       /* SuccessExitStatus= */
	uint64_t start_timeout_ns;            /* SPAN_INFINITY: none */
	uint64_t stop_timeout_ns;             /* of each stop step; SPAN_INFINITY: none */
	uint64_t abort_timeout_ns;            /* after the watchdog's signal; 0: stop_timeout_ns */
	uint64_t runtime_max_ns;              /* SPAN_INFINITY: none */
	uint64_t runtime_extra_ns;            /* RuntimeRandomizedExtraSec=, for the caller */
	uint64_t watchdog_ns;                 /* WatchdogSec=; 0: none */
	struct service_health_rules health;
};

/* --- orders and reports --- */

enum service_order_kind {
	SERVICE_DO_SPAWN = 1, /* role, phase, index, incarnation */
	SERVICE_DO_SIGNAL,    /* target, signo */
	SERVICE_DO_TIMER,     /* deadline_ns; 0: none */
	SERVICE_DO_FIND_MAIN, /* forking: find the main process, answer with service_main_found() */
	SERVICE_DO_FORGET,    /* whatever processes are left are not ours any more (KillMode) */
	SERVICE_DO_WATCH,     /* arm the watchdog, deadline_ns is its span; 0: disarm. What keeps it
			       * quiet does not come here: when it expires, service_fail() */
	SERVICE_DO_PROBE, /* on: begin health checks, each is a service_probed(); off: end them */
};

enum service_target {
	TARGET_MAIN,    /* the main process */
	TARGET_CONTROL, /* the control process and its group */
	TARGET_GROUP,   /* everything of the unit: group of main, or cgroup */
};

struct service_order {
	uint8_t kind;  /* enum service_order_kind */
	uint8_t role;  /* enum service_role */
	uint8_t phase; /* enum service_phase */
	uint8_t index;
	uint8_t target; /* enum service_target */
	uint8_t signo;
	bool on;
	uint64_t deadline_ns;
};

/* At most this many orders leave one call. */
#define SERVICE_ORDERS_MAX 8

enum service_report {
	SERVICE_NO_REPORT = 0,
	SERVICE_STARTED,      /* ready: the start is over */
	SERVICE_START_FAILED, /* and everything of it is gone; see `end` */
	SERVICE_IGNORED,      /* a condition did not hold; nothing ran */
	SERVICE_GONE,         /* it was up, or was being stopped, and is gone; see `end` */
	SERVICE_RELOADED,     /* a reload is over; `reload_ok` says how */
	SERVICE_WARMING,      /* it runs, and is not ready before its first good health check */
	SERVICE_HEALTHY,      /* a health check succeeded after the start or after failures */
	SERVICE_UNHEALTHY,    /* a health check failed after a good one */
};

/* What one call appends to: zeroed by the caller. A call makes few reports (a oneshot without
 * RemainAfterExit= is STARTED and may be GONE at once). */
#define SERVICE_REPORTS_MAX 3
struct service_out {
	uint8_t orders_count;
	uint8_t reports_count;
	bool reload_ok; /* with SERVICE_RELOADED */
	struct service_order orders[SERVICE_ORDERS_MAX];
	uint8_t reports[SERVICE_REPORTS_MAX]; /* enum service_report */
};

/* --- the state of one service --- */

struct service {
	uint8_t state;   /* enum service_state */
	uint8_t index;   /* of the command under way */
	uint8_t phase;   /* of the command under way */
	bool main_alive; /* from the order to spawn it until it is reaped */
	bool control_alive;
	bool stuck;          /* SIGKILL was sent long ago */
	bool stopping;       /* somebody asked for the stop */
	bool starting;       /* the start has not been reported yet */
	bool finding;        /* forking: the parent has ended, the main process is looked for */
	bool reload_failed;  /* a command of the reload failed or took too long */
	bool brutal;         /* SIGKILL, no asking */
	bool to_restart;     /* set by the caller of service_stop(): it is to be started again */
	bool warmed;         /* it was reported as WARMING in this incarnation */
	bool probing;        /* health checks are ordered */
	uint8_t health;      /* enum service_health */
	uint8_t reload_wait; /* RELOAD: what must be said yet, see service.c */
	uint32_t health_failures; /* in a row */
	uint32_t incarnation;
	struct service_end end;    /* why it ends or ended */
	uint64_t deadline_ns;      /* 0: none */
	uint64_t stop_limit_ns;    /* the limit of the stop under way */
	uint64_t up_since_ns;      /* 0: not up */
	uint64_t extended_ns;      /* UP: EXTEND_TIMEOUT_USEC reaches to there; 0: none */
	uint64_t runtime_extra_ns; /* set by the caller of service_start(), at random */
	uint64_t reload_since_ns;
	uint64_t watchdog_ns;     /* the span now in force; 0: none */
	uint64_t watch_ns;        /* with which it is armed; 0: it is not */
	uint64_t health_since_ns; /* failures count from an interval after this */
};

/* How a stop is done: the unit's own limit, a given one, or SIGKILL at once. */
#define SERVICE_STOP_DEFAULT (UINT64_MAX - 1)
#define SERVICE_STOP_BRUTAL  UINT64_C(0)

/* Legal in DOWN. Begins a start. */
void service_start(
	struct service *s, const struct service_rules *r, uint64_t now, struct service_out *out);

/* Legal in any state but DOWN. `limit_ns`: how long the stop signal may take; SERVICE_STOP_DEFAULT,
 * SERVICE_STOP_BRUTAL or a span (SPAN_INFINITY waits for ever). A start under way is broken off. A
 * stop under way is made harsher, never milder. Ends in a SERVICE_GONE. */
void service_stop(struct service *s, const struct service_rules *r, uint64_t limit_ns, uint64_t now,
	struct service_out *out);

/* Legal in UP; elsewhere returns false and does nothing. Ends in a SERVICE_RELOADED. */
bool service_reload(
	struct service *s, const struct service_rules *r, uint64_t now, struct service_out *out);

/* The outcome of SERVICE_DO_SPAWN: there is a process. `exec_ok` false: its exec has failed, it is
 * about to be reaped and comes back through service_exited() with REASON_EXEC … */
void service_spawned(struct service *s, const struct service_rules *r, enum service_role role,
	bool exec_ok, uint64_t now, struct service_out *out);
/* … or it could not be made: no process exists (fork refused). `end` says why (RESOURCES). */
void service_spawn_failed(struct service *s, const struct service_rules *r, enum service_role role,
	const struct service_end *end, uint64_t now, struct service_out *out);
/* … or a condition did not hold (only as the outcome of a start's first spawn). */
void service_skipped(
	struct service *s, const struct service_rules *r, uint64_t now, struct service_out *out);

/* A process of it was reaped. `end.normal` is computed here from the rules. */
void service_exited(struct service *s, const struct service_rules *r, enum service_role role,
	const struct service_end *end, uint64_t now, struct service_out *out);

/* READY=1 (or its like). A reload that was asked for by a signal is over with the READY=1 that
 * comes after a RELOADING=1. */
void service_ready(
	struct service *s, const struct service_rules *r, uint64_t now, struct service_out *out);
/* RELOADING=1. `since_ns`: its MONOTONIC_USEC, 0 when it had none; one from before the signal says
 * nothing about it. In UP the service reloads by itself, until its READY=1. */
void service_reloading(struct service *s, const struct service_rules *r, uint64_t since_ns,
	uint64_t now, struct service_out *out);
/* STOPPING=1: it ends by itself, within the time of a stop. */
void service_stopping(
	struct service *s, const struct service_rules *r, uint64_t now, struct service_out *out);
/* WATCHDOG_USEC: another span from now on, 0 for none. */
void service_watchdog(struct service *s, const struct service_rules *r, uint64_t span_ns,
	uint64_t now, struct service_out *out);
/* A health check is over. */
void service_probed(struct service *s, const struct service_rules *r, bool ok, uint64_t now,
	struct service_out *out);
/* How long to wait after a health check (the n-th since they were ordered, from 1) for the next.
 * `health`: what service_probed() has made of it. Pure. */
uint64_t service_health_pause(
	const struct service_health_rules *rules, enum service_health health, uint32_t n);
/* The outcome of SERVICE_DO_FIND_MAIN: found and watched, or not (`found` false). */
void service_main_found(struct service *s, const struct service_rules *r, bool found, uint64_t now,
	struct service_out *out);
/* EXTEND_TIMEOUT_USEC. (That the watchdog is put off, too, is the caller's.) */
void service_extend(struct service *s, const struct service_rules *r, uint64_t span_ns,
	uint64_t now, struct service_out *out);
/* It must end now for a reason found outside: watchdog, health, oom. Legal in any state. */
void service_fail(struct service *s, const struct service_rules *r, const struct service_end *end,
	uint64_t now, struct service_out *out);
/* deadline_ns has passed (a late one that was moved or taken back is ignored). */
void service_timeout(
	struct service *s, const struct service_rules *r, uint64_t now, struct service_out *out);

/* Whether an end counts as normal for these rules. Pure. */
bool service_end_normal(const struct service_rules *r, const struct service_end *end);

/* Invariants; CHECKs. */
void service_check(const struct service *s, const struct service_rules *r);

#endif
