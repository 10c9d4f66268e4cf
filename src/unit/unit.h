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
	bool no_user;            /* "!" and "!!" */
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
	/* as what it is */
	struct unit_service *service;       /* UNIT_SERVICE */
	struct unit_supervisor *supervisor; /* UNIT_SUPERVISOR */
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
struct unit *unit_set_find(const struct unit_set *set, const char *name);

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
	const char *doc;    /* one line */
};
/* The whole table, sorted by section and key. */
const struct unit_directive *unit_directives(uint32_t *count);

#endif
