/*
 * Unit files to immutable definitions.
 *
 * What it owns: the search path, reading files and their drop-ins, the one table of directives
 * (table.c), templates and specifiers, and the check of the whole tree that a root unit names:
 * missing children, cycles, a child with two parents, a unit that names itself, unknown kinds.
 * What it never does: start anything, or know of a running system. Called by the manager, by
 * `coppice --check` and by `coppicectl verify` and `cat`.
 *
 * Files are read through a `struct unit_source`, so that a manager that comes back after a crash
 * reads the very texts that its predecessor ran on, whatever has happened on disk since.
 *
 * Sources of rules: systemd.unit(5), systemd.syntax(7), systemd.service(5), systemd.exec(5),
 * systemd.kill(5); coppice.unit(5).
 */
#ifndef UNIT_UNIT_H
#define UNIT_UNIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/span.h"

enum unit_kind { UNIT_SERVICE, UNIT_SUPERVISOR, UNIT_SOCKET, UNIT_TIMER, UNIT_TARGET, UNIT_OTHER };

/* --- where texts come from --- */

struct unit_source {
	/* Reads the whole file into malloc'd memory, terminated by a NUL beyond *size. Returns 0 or
	 * -errno (-ENOENT, -EACCES, -EISDIR, -EFBIG …). */
	int (*read_file)(struct unit_source *source, const char *path, char **text, size_t *size);
	/* Calls `each` with the names in a directory, sorted. 0 or -errno. */
	int (*list_dir)(struct unit_source *source, const char *path,
		void (*each)(void *context, const char *name), void *context);
	void *context;
	/* What a symbolic link says. 0, -EINVAL (it is none) or -errno. NULL: there are none. */
	int (*read_link)(struct unit_source *source, const char *path, char *out, size_t size);
};

/* The file system. */
extern struct unit_source unit_source_disk;

/* A recorder: reads through `below` and keeps a copy of every answer (also of the "no such file"
 * ones) in a bundle; a player answers from a bundle alone. The bundle is one flat buffer. */
struct unit_bundle;
struct unit_bundle *unit_bundle_create(struct unit_source *below); /* NULL: no memory */
struct unit_source *unit_bundle_source(struct unit_bundle *bundle);
/* What is not in the bundle is read from `below` (and recorded) from now on; NULL: it does not
 * exist. For a decoded bundle in whose generation new instances are made. */
void unit_bundle_set_below(struct unit_bundle *bundle, struct unit_source *below);
int unit_bundle_encode(const struct unit_bundle *bundle, void **data, size_t *size); /* malloc'd */
struct unit_bundle *unit_bundle_decode(const void *data, size_t size); /* NULL: damaged */
void unit_bundle_destroy(struct unit_bundle *bundle);

/* --- definitions --- */

/* One Exec line. `argv[0]` is what the process sees (prefix "@"), `path` what is executed. Words
 * keep `$VAR` and `${VAR}`: they are replaced at each start, from the environment of the child. A
 * word that is "$VAR" alone may become several words; `no_expand` (prefix ":") turns that off. */
struct unit_command {
	const char *path;
	const char *const *argv; /* NULL at the end */
	bool ignore_failure;     /* "-" */
	bool full_privilege;     /* "+", or PermissionsStartOnly= for all but ExecStart= */
	bool no_user;            /* "!" ("!!" says nothing today) */
	bool no_expand;          /* ":" */
	uint32_t line;
};

enum unit_phase_index {
	UNIT_START_PRE,
	UNIT_START,
	UNIT_START_POST,
	UNIT_RELOAD,
	UNIT_STOP,
	UNIT_STOP_POST,
	UNIT_CONDITION,
	UNIT_PHASES
}; /* first six equal enum service_phase */

struct unit_commands {
	uint32_t count;
	struct unit_command *list;
};

enum unit_stdio_kind {
	STDIO_DEFAULT,
	STDIO_NULL,
	STDIO_INHERIT,
	STDIO_FILE,
	STDIO_APPEND,
	STDIO_TRUNCATE,
	STDIO_TTY,
	STDIO_JOURNAL,
	STDIO_LOG,
	STDIO_SOCKET,
	STDIO_FD,
	STDIO_DATA
};

struct unit_stdio {
	uint8_t kind; /* enum unit_stdio_kind */
	const char *path;
};

struct unit_env_file {
	const char *path;
	bool optional; /* "-" */
};

#define UNIT_LIMITS 16 /* RLIM_NLIMITS */
struct unit_limit {
	bool set;
	struct rlimit value;
};

enum unit_notify_access { NOTIFY_NONE, NOTIFY_MAIN, NOTIFY_EXEC, NOTIFY_ALL };

/* OnExit= as written and checked: pattern lists are sets of statuses, signals and reasons. */
struct unit_exit_rule {
	uint32_t statuses[8]; /* bit n */
	uint64_t signals;     /* bit n */
	bool oom, watchdog, health, start_timeout, exec_failed;
	uint8_t action; /* equal to enum tree_exit_action */
	uint64_t delay_ns;
};

struct unit_end_set {
	uint32_t statuses[8];
	uint64_t signals;
};

/* [Health]. What is asked, and how often (systemd has no such section; the words are Docker's). */
enum unit_health_kind { UNIT_HEALTH_NONE, UNIT_HEALTH_HTTP, UNIT_HEALTH_TCP, UNIT_HEALTH_EXEC };

struct unit_health {
	uint8_t kind;     /* enum unit_health_kind */
	const char *host; /* HTTP, TCP: a name or an address; NULL: a Unix socket at `path` */
	const char *path; /* HTTP: "/healthz"; TCP to a Unix socket: its path */
	uint16_t port;    /* HTTP, TCP */
	struct unit_command *command; /* EXEC */
	uint64_t interval_ns;         /* IntervalSec=, 10s */
	uint64_t timeout_ns;          /* TimeoutSec=, 2s */
	uint64_t start_period_ns;     /* StartPeriodSec=, 0 */
	uint32_t retries;             /* Retries=, 3: failures in a row that mean unhealthy */
};

/* RuntimeDirectory= and its like: names relative to the kind's base directory. A name may carry a
 * symlink to make (systemd 250's "name:link"). */
enum unit_directory_kind {
	UNIT_DIRECTORY_RUNTIME,
	UNIT_DIRECTORY_STATE,
	UNIT_DIRECTORY_CACHE,
	UNIT_DIRECTORY_LOGS,
	UNIT_DIRECTORY_CONFIGURATION,
	UNIT_DIRECTORIES
};
enum unit_preserve { UNIT_PRESERVE_NO, UNIT_PRESERVE_RESTART, UNIT_PRESERVE_YES };

struct unit_directory {
	const char *const *names; /* NULL at the end; may be NULL */
	mode_t mode;              /* 0755 */
};

/* One attribute file of the unit's cgroup: "memory.max", "1048576". A `relative` value is a percent
 * of what the machine has (memory.*: of memory, pids.max: of the system's limit), times 100. */
/* For devices (io.max, io.latency, io.weight beside "default N") the first word of `value` is the
 * path of a device node or of any file on it, to be replaced by its MAJ:MIN: "/dev/sda rbps=1000".
 * A relative value is empty. Several of one file are written one after another. */
struct unit_cgroup_setting {
	const char *file, *value;
	bool relative;
	uint32_t percent_100;
};

enum unit_oom_policy { UNIT_OOM_STOP, UNIT_OOM_CONTINUE, UNIT_OOM_KILL };

/* FailureAction=, SuccessAction=, StartLimitAction=: what is done with coppice's own tree. */
enum unit_action {
	UNIT_ACTION_NONE,
	UNIT_ACTION_REBOOT,
	UNIT_ACTION_REBOOT_FORCE,
	UNIT_ACTION_REBOOT_IMMEDIATE,
	UNIT_ACTION_POWEROFF,
	UNIT_ACTION_POWEROFF_FORCE,
	UNIT_ACTION_POWEROFF_IMMEDIATE,
	UNIT_ACTION_EXIT,
	UNIT_ACTION_EXIT_FORCE
};

/* TimeoutStartFailureMode=, TimeoutStopFailureMode=: what a time limit does. */
enum unit_failure_mode { UNIT_FAILURE_TERMINATE, UNIT_FAILURE_ABORT, UNIT_FAILURE_KILL };
/* RestartMode= */
enum unit_restart_mode { UNIT_RESTART_NORMAL, UNIT_RESTART_DIRECT, UNIT_RESTART_DEBUG };

/* [Service]. Enums are numerically equal to those of src/service and src/tree (the manager asserts
 * it). Spans are nanoseconds. */
struct unit_service {
	uint8_t type; /* enum service_type */
	bool type_set;
	uint8_t kill_mode;     /* enum service_kill_mode */
	uint8_t notify_access; /* enum unit_notify_access; main for notify types, else none */
	bool notify_access_set;
	bool remain_after_exit, send_sigkill, send_sighup, guess_main_pid;
	int kill_signal, final_kill_signal, reload_signal;
	uint64_t start_timeout_ns, stop_timeout_ns, runtime_max_ns, watchdog_ns;
	bool start_timeout_set, stop_timeout_set;
	uint64_t restart_sec_ns, restart_max_delay_ns;
	uint32_t restart_steps;
	struct unit_end_set success;
	struct unit_commands commands[UNIT_PHASES];
	const char *pid_file;
	/* execution */
	const char *const *environment; /* "KEY=VALUE", NULL at the end; may be NULL */
	const char *const *pass_environment;
	const char *const *unset_environment;
	struct unit_env_file *env_files;
	uint32_t env_files_count;
	const char *working_directory; /* NULL: "/"; "~" is kept */
	bool working_directory_optional;
	const char *user, *group; /* by name or number, as written; NULL: none */
	const char *const *supplementary_groups;
	bool umask_set;
	mode_t umask;
	struct unit_limit limits[UNIT_LIMITS]; /* by RLIMIT_* */
	struct unit_stdio standard_input, standard_output, standard_error;
	bool ignore_sigpipe; /* yes */
	bool nice_set, oom_score_adjust_set;
	int nice, oom_score_adjust;
	int notify_fd; /* NotifyFd=, -1: none */
	bool no_new_privileges;
	/* what a death means */
	struct unit_end_set restart_prevent,
		restart_force;     /* RestartPreventExitStatus=, … Force … */
	int restart_kill_signal;   /* 0: kill_signal */
	int watchdog_signal;       /* SIGABRT */
	uint64_t abort_timeout_ns; /* TimeoutAbortSec=; set to stop_timeout_ns when not given */
	uint8_t oom_policy;        /* enum unit_oom_policy */
	struct unit_health health;
	/* descriptors */
	const char *const *sockets; /* Sockets=: socket units besides the one of the same name */
	uint32_t fd_store_max;      /* FileDescriptorStoreMax=, 0 */
	uint8_t fd_store_preserve;  /* enum unit_preserve, restart */
	bool non_blocking;          /* NonBlocking= */
	/* what coppice-exec sets up: "Key=value" in the order written, specifiers replaced, one
	 * entry an assignment; an empty assignment has taken the earlier ones of its key away.
	 * Old names are under their new ones (ReadWriteDirectories= → ReadWritePaths=). NULL at the
	 * end; may be NULL. The keys are src/sandbox's. SetCredential= is not among them. Booleans
	 * are "yes" and "no"; of what can have only one value there is only the last. Words are
	 * parted by one blank; one with blanks, quotes or backslashes in it stands in double
	 * quotes, with a backslash before each " and \\. "~" stands before the first word without a
	 * blank. CPUs and nodes are "0-3,5". "CapabilityBoundingSet=" alone is the empty set. */
	const char *const *confine;
	const char *const *credentials_set; /* "ID:bytes", unescaped; never on a command line */
	struct unit_directory directories[UNIT_DIRECTORIES];
	uint8_t runtime_directory_preserve; /* enum unit_preserve, no */
	bool dynamic_user;
	/* resources */
	uint32_t cgroup_count;
	struct unit_cgroup_setting *cgroup; /* of cgroup v2, also from the old names of v1 */
	bool delegate;
	/* what is seldom given */
	uint8_t start_failure_mode, stop_failure_mode; /* enum unit_failure_mode: Timeout… */
	uint8_t restart_mode;                          /* enum unit_restart_mode */
	bool exit_by_cgroup;                           /* ExitType=cgroup */
	uint64_t runtime_extra_ns;                     /* RuntimeRandomizedExtraSec= */
	/* StandardInputText= and StandardInputData=, for STDIO_DATA; NULL: nothing */
	const char *input;
	uint32_t input_size;
	uint8_t log_level, log_level_max, log_facility; /* as syslog(3): 6, 7, 3 (daemon) */
	bool log_level_prefix;                          /* SyslogLevelPrefix=, yes */
	const char *log_identifier;                     /* SyslogIdentifier=; NULL */
	const char *const *open_files;                  /* OpenFile=, "PATH:NAME:OPTIONS" */
};

/* --- [Socket] --- */

enum unit_listen_kind {
	UNIT_LISTEN_STREAM,
	UNIT_LISTEN_DATAGRAM,
	UNIT_LISTEN_SEQPACKET,
	UNIT_LISTEN_FIFO,
	UNIT_LISTEN_SPECIAL,
	UNIT_LISTEN_NETLINK,
	UNIT_LISTEN_MQUEUE
};
/* `address`: for sockets an absolute path, "@abstract", "PORT", "HOST:PORT", "[v6]:PORT" (checked,
 * specifiers replaced). */
struct unit_listen {
	uint8_t kind;
	const char *address;
	uint32_t line;
};
enum unit_ipv6_only { UNIT_IPV6_DEFAULT, UNIT_IPV6_BOTH, UNIT_IPV6_ONLY };

struct unit_socket {
	uint32_t listens_count;
	struct unit_listen *listens;
	bool accept;              /* Accept=yes: a process a connection, of the template */
	const char *service;      /* Service=, or "NAME.service", or "NAME@.service" with accept */
	const char *fd_name;      /* FileDescriptorName=; the unit's name by default */
	const char *user, *group; /* of the file; NULL: ours */
	mode_t mode, directory_mode;     /* 0666, 0755 */
	uint32_t backlog;                /* SOMAXCONN */
	uint32_t connections_max;        /* MaxConnections=, 64 */
	uint32_t connections_source_max; /* MaxConnectionsPerSource=, 0: no limit */
	uint8_t ipv6_only;               /* enum unit_ipv6_only */
	bool keep_alive, no_delay, reuse_port, free_bind, transparent, broadcast;
	bool pass_credentials, pass_security, pass_packet_info, remove_on_stop, writable;
	bool flush_pending;
	const char *bind_device;
	const char *const *symlinks;
	int64_t receive_buffer, send_buffer, pipe_size; /* bytes; -1: the kernel's */
	int priority, mark, ip_ttl, ip_tos;             /* -1: the kernel's */
	uint64_t keep_alive_time_ns, keep_alive_interval_ns, defer_accept_ns; /* 0: the kernel's */
	uint32_t keep_alive_probes;
	int protocol;                 /* SocketProtocol=: IPPROTO_…; 0: the usual one */
	const char *tcp_congestion;   /* TCPCongestion= */
	uint64_t timeout_ns;          /* TimeoutSec=, 90s: of each of the commands */
	uint64_t trigger_interval_ns; /* TriggerLimitIntervalSec=, 2s */
	uint32_t trigger_burst;       /* TriggerLimitBurst=; 20, with accept 200; 0: no limit */
	struct unit_commands
		commands[UNIT_PHASES]; /* ExecStartPre=, …Post=, ExecStopPre=, …Post= */
};

struct unit_supervisor {
	uint8_t strategy, auto_shutdown, give_up; /* as src/tree/tree.h */
	uint8_t default_restart;                  /* enum tree_restart */
	bool retry_start;
	uint32_t intensity;
	uint64_t period_ns, cooldown_ns;
	uint32_t children_max;  /* UINT32_MAX: no limit */
	struct unit **children; /* in order */
	uint32_t children_count;
	struct unit *template; /* NULL: static */
	const char *template_name;
	const char *control_group; /* ControlGroup=; NULL */
};

/* [Unit] and [Install] name other units in these ways. */
enum unit_relation {
	UNIT_AFTER,
	UNIT_BEFORE,
	UNIT_REQUIRES,
	UNIT_REQUISITE,
	UNIT_WANTS,
	UNIT_BINDS_TO,
	UNIT_PART_OF,
	UNIT_CONFLICTS,
	UNIT_UPHOLDS,
	UNIT_ON_FAILURE,
	UNIT_ON_SUCCESS,
	UNIT_PROPAGATES_RELOAD_TO,
	UNIT_RELOAD_PROPAGATED_FROM,
	UNIT_PROPAGATES_STOP_TO,
	UNIT_STOP_PROPAGATED_FROM,
	UNIT_WANTED_BY,   /* [Install]: as if it were linked */
	UNIT_REQUIRED_BY, /* [Install] */
	UNIT_RELATIONS
};

/* Another unit of the set that this one names in a relation, or that names this one. */
struct unit_peer {
	struct unit *unit;
	uint8_t relation; /* enum unit_relation */
	bool names;       /* this one names it */
};

struct unit {
	const char *name;              /* "worker@1.service" */
	const char *prefix, *instance; /* "worker", "1"; instance NULL when there is none */
	uint8_t kind;                  /* enum unit_kind */
	bool is_template;              /* "worker@.service": nothing to start by itself */
	bool from_systemd; /* the file lies in one of systemd's directories: its defaults hold */
	const char *path;  /* the main file */
	const char *const *dropins; /* paths, NULL at the end */
	const char *description;
	const char *const *documentation;
	struct unit *parent; /* whose Children= names it; NULL for the root and templates */
	uint32_t index;      /* in the set, root 0, parents before children, children in order;
			      * UINT32_MAX for templates and what unit_instantiate() made */
	uint32_t line;       /* of the parent's Children= that names it */
	/* as a child */
	bool restart_set;
	uint8_t restart; /* enum tree_restart, after DefaultRestart= */
	bool significant;
	bool shutdown_set, shutdown_brutal;
	uint64_t shutdown_ns; /* SPAN_INFINITY: infinity */
	uint32_t exit_rules_count;
	struct unit_exit_rule *exit_rules;
	const char *const *conditions; /* "ConditionPathExists=!/x", as written; NULL at the end */
	/* [Unit] and [Install]: names of other units, normalized, NULL at the end; may be NULL.
	 * What they come to inside a supervisor is worked out by depend.h. Never NULL: an array of
	 * UNIT_RELATIONS lists, which units that name nobody share. */
	const char *const *const *relations;
	uint32_t peers_count; /* those of them that are in the set, in both directions */
	const struct unit_peer *peers;
	const char *const *mounts_for;  /* RequiresMountsFor= */
	bool on_demand;                 /* its supervisor does not start it: another unit does */
	bool optional;                  /* only wanted by its target, which starts without it too */
	bool kept;                      /* a child of a target: never forgotten */
	bool refuse_start, refuse_stop; /* RefuseManualStart=, RefuseManualStop= */
	uint8_t failure_action, success_action, start_limit_action; /* enum unit_action */
	int failure_action_status, success_action_status;           /* -1: the unit's own */
	bool start_limit_set;
	uint64_t start_limit_interval_ns;
	uint32_t start_limit_burst;
	/* as what it is */
	struct unit_service *service;       /* UNIT_SERVICE */
	struct unit_supervisor *supervisor; /* UNIT_SUPERVISOR; UNIT_TARGET, whose children are
					     * what wants it; UNIT_SOCKET with accept: dynamic */
	struct unit_socket *socket;         /* UNIT_SOCKET */
	/* every assignment that was read, after merging, for `show` and `cat` */
	uint32_t settings_count;
	struct unit_setting *settings;
};

struct unit_setting {
	const char *section, *key, *value, *path;
	uint32_t line;
};

/* --- loading --- */

/* One thing to say: "path:line:column: text", with "unit: " before the text where the file's own
 * name does not say which unit is meant (a drop-in, an instance). Columns count characters from 1.
 * At most 1000 are kept; `errors` counts them all. A zeroed struct unit_messages is empty. */
enum unit_severity { UNIT_WARNING, UNIT_ERROR };
struct unit_message {
	uint8_t severity;
	const char *text; /* whole, one line */
};

struct unit_messages {
	uint32_t count;
	uint32_t errors;
	struct unit_message *list;
	struct arena arena;
};
void unit_messages_finish(struct unit_messages *messages);

struct unit_search {
	const char *const *dirs;         /* in order of precedence, NULL at the end */
	const char *const *systemd_dirs; /* after them; may be NULL */
	bool user;                       /* not root: specifiers %t %S %L %h … are the user's */
};

struct unit_set {
	struct arena arena;
	uint32_t count;
	struct unit **list; /* list[i]->index == i; [0] is the root */
	uint32_t templates_count;
	struct unit **templates;
};

/* Loads the tree below `root` ("default.supervisor"). Every problem goes to `messages`; NULL when
 * there was an error (nothing of a broken tree may be started). */
struct unit_set *unit_set_load(const struct unit_search *search, struct unit_source *source,
	const char *root, struct unit_messages *messages);
void unit_set_destroy(struct unit_set *set);
struct unit *unit_set_find(const struct unit_set *set, const char *name); /* also by an alias */

/* Makes an instance of a template of the set ("worker@7", suffix optional). The unit is not entered
 * into the set; it shares what does not depend on the instance with the set, whose memory therefore
 * lives on after unit_set_destroy() until the last such instance is destroyed. Directories are not
 * listed again: a file that came after the load belongs to the next generation. NULL with messages
 * on error. */
struct unit *unit_instantiate(const struct unit_set *set, const struct unit_search *search,
	struct unit_source *source, struct unit *template, const char *name,
	struct unit_messages *messages);
void unit_instance_destroy(struct unit *unit); /* of unit_instantiate only */

/* Loads and checks one file by path, alone (children need not exist). For `verify FILE`. */
bool unit_verify_file(const struct unit_search *search, struct unit_source *source,
	const char *path, struct unit_messages *messages);

/* "worker@1" → "worker@1.service". Returns 0, -EINVAL for a name that can be none. */
int unit_name_normalize(const char *name, char *out, size_t size);
#define UNIT_NAME_SIZE 256

/* The default search path for root or a user, from the environment (XDG_CONFIG_HOME, HOME);
 * `override` (-u or $COPPICE_UNIT_PATH) replaces it. In the arena. */
int unit_search_default(
	struct arena *arena, bool user, const char *override, struct unit_search *out);

/* --- the table of directives, for verify, completions and man pages --- */

struct unit_directive {
	const char *section, *key;
	const char *values; /* what it takes, for messages: "a time span" */
	uint8_t tier;       /* of unit-directives: 1 … 4; 0: coppice's own */
	bool honoured;      /* has an effect in this version */
	bool quiet;         /* has none, and nobody misses it: accepted without a word */
	const char *doc;    /* one line */
};
/* The whole table, sorted by section and key. */
const struct unit_directive *unit_directives(uint32_t *count);

#endif
