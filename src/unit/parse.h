/*
 * Values to fields: the parsers that the table of directives names.
 *
 * A parser gets the value as written and the place of its field. It tells what is wrong itself
 * (with the exact place of the wrong word) and then returns -EINVAL; -ENOMEM is told by the caller.
 */
#ifndef UNIT_PARSE_H
#define UNIT_PARSE_H

#include "unit/file.h"
#include "unit/message.h"
#include "unit/specifier.h"
#include "unit/unit.h"

#define UNIT_COMMANDS_MAX   32 /* of one phase: SERVICE_COMMANDS_MAX */
#define UNIT_EXIT_RULES_MAX 16 /* TREE_EXIT_RULES_MAX */

/* The numbers of src/service and src/tree, which this room may not include. The manager asserts
 * that they are equal. */
enum {
	TYPE_SIMPLE,
	TYPE_EXEC,
	TYPE_NOTIFY,
	TYPE_NOTIFY_RELOAD,
	TYPE_ONESHOT,
	TYPE_FORKING,
	TYPE_IDLE,
	TYPE_DBUS
};
enum { KILL_MODE_CONTROL_GROUP, KILL_MODE_MIXED, KILL_MODE_PROCESS, KILL_MODE_NONE };
enum {
	RESTART_WORD_PERMANENT,
	RESTART_WORD_TRANSIENT,
	RESTART_WORD_TEMPORARY,
	RESTART_WORD_ON_SUCCESS,
	RESTART_WORD_ON_ABNORMAL,
	RESTART_WORD_ON_ABORT,
	RESTART_WORD_ON_WATCHDOG
};
enum { STRATEGY_ONE_FOR_ONE, STRATEGY_ONE_FOR_ALL, STRATEGY_REST_FOR_ONE };
enum { AUTO_WORD_NEVER, AUTO_WORD_ANY, AUTO_WORD_ALL };
enum { GIVE_UP_WORD_ESCALATE, GIVE_UP_WORD_COOLDOWN, GIVE_UP_WORD_EXIT, GIVE_UP_WORD_ROLLBACK };
enum {
	EXIT_WORD_DEFAULT,
	EXIT_WORD_RESTART,
	EXIT_WORD_STOP,
	EXIT_WORD_ESCALATE,
	EXIT_WORD_ONE_FOR_ALL,
	EXIT_WORD_REST_FOR_ONE,
	EXIT_WORD_ROLLBACK
};

#define PARSE_START_LIMIT_INTERVAL (10 * NS_PER_SEC) /* systemd's defaults */
#define PARSE_START_LIMIT_BURST    5
#define PARSE_LISTENS_MAX          256
#define PARSE_TRIGGER_BURST_UNSET  UINT32_MAX /* only while a file is read */

/* A place in a value, worked out only when it must be told. */
struct unit_spot {
	const struct file_line *line; /* NULL: nowhere */
	uint32_t offset;
};

/* The name of another unit, and where it is named. */
struct unit_ref {
	const char *name;
	struct unit_spot spot;
};

/* What only the check of the tree wants to know of a unit. */
struct unit_extra {
	struct unit_ref *children; /* malloc'd */
	uint32_t children_count, children_room;
	struct unit_ref template; /* name NULL: none */
	struct unit_spot restart, significant, children_max, strategy, exec_start, auto_shutdown;
	struct unit_spot health; /* any key of [Health] */
	const char *default_instance;
	bool permissions_start_only, bus_name;
	struct unit_spot accept, socket_service;
	uint32_t cpu_quota_100; /* CPUQuota=, hundredths of a percent; 0: none */
	uint64_t cpu_period_ns; /* 0: the usual one */
	bool oom_policy_set, abort_timeout_set;
	bool listen_refused, health_refused;
	bool start_refused; /* ExecStart= is there, but was refused */
};

struct parse {
	struct unit *unit;
	struct unit_extra *extra;
	struct arena *arena; /* of what the unit keeps */
	struct unit_messages *messages;
	struct specifier_host *host;
	const struct files *files;
	struct specifier_unit names;
	bool is_template;             /* no instance: what depends on it cannot be judged */
	bool name_used;               /* something depended on the instance */
	bool quiet;                   /* warnings were given for another instance */
	bool lenient;                 /* a file of systemd's: most of what is wrong is ignored */
	bool has_relations;           /* the unit has an array of its own */
	const struct file_line *line; /* the assignment at hand */
};

typedef int parse_function(struct parse *p, const char *value, void *field);

/* --- helpers --- */

/* The place of a byte of the value at hand, and of a spot. */
struct unit_place parse_place(const struct parse *p, size_t offset);
struct unit_place parse_spot_place(const struct unit_spot *spot);
uint32_t parse_spot_line(const struct unit_spot *spot);
struct unit_spot parse_spot(const struct parse *p, size_t offset);

/* 'KEY=: "WORD" is not VALUES' at a byte of the value. Returns -EINVAL. What systemd would ignore
 * in a file of its own is a warning there: the assignment is left out. A list goes on with the next
 * word then (parse_list_goes_on). */
int parse_refuse(struct parse *p, size_t offset, const char *word);
int parse_refuse_why(struct parse *p, size_t offset, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
bool parse_list_goes_on(const struct parse *p, int r);
void parse_warn(struct parse *p, size_t offset, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Replaces specifiers. *judge is false when the result cannot be checked (a template). */
int parse_expand(struct parse *p, const char *text, size_t offset, const char **out, bool *judge);

/* Appends to a NULL-terminated list in the unit's arena. 0 or -ENOMEM. */
int parse_append(struct parse *p, const char *const **list, const char *text);

/* The index of the value in a NULL-terminated list of words; tells the nearest one when it is none
 * of them. Returns -EINVAL then. */
int parse_choose(struct parse *p, const char *const *words, const char *value);

/* The same into a uint8_t field: 1 when a word was taken, 0 when an empty value brought the default
 * back, -EINVAL. */
int parse_word(struct parse *p, const char *const *words, const char *value, uint8_t *field);

/* For an empty value: puts the default back into the field. */
bool parse_reset(struct parse *p, const char *value, void *field, size_t size);

/* The next word of the value; tells what is wrong with its quotes. 1, 0 at the end, or -errno. */
struct word;
int parse_next_word(
	struct parse *p, const char *value, size_t *at, unsigned flags, struct word *word);

/* The word as it will be: kept as long as the unit, specifiers replaced. */
int parse_keep_word(struct parse *p, const struct word *word, const char **out, bool *judge);

extern const struct unit_service parse_service_defaults;
extern const struct unit_supervisor parse_supervisor_defaults;
extern const struct unit_socket parse_socket_defaults;

/* Puts in what several keys together come to: CPUQuota= and its period. 0 or -ENOMEM. */
int cgroup_finish(
	struct arena *arena, struct unit_service *service, const struct unit_extra *extra);

/* "0-3,5", of numbers below 8192; empty parts are allowed. */
bool parse_is_ranges(const char *text);

/* A number of bytes, "512M" in powers of 1024. 0 or -EINVAL. */
int size_parse(const char *text, uint64_t max, uint64_t *out);

/* --- parsers --- */

parse_function parse_nothing;
parse_function parse_boolean, parse_span, parse_span_or_infinity, parse_u32, parse_nice, parse_oom;
parse_function parse_mode, parse_text, parse_texts, parse_account, parse_accounts;
parse_function parse_confine_boolean, parse_confine_choice, parse_confine_text;
parse_function parse_confine_number, parse_confine_nanoseconds, parse_confine_cpus;
parse_function parse_confine_capabilities, parse_confine_families, parse_confine_namespaces;
parse_function parse_confine_architectures, parse_confine_secure_bits, parse_confine_dumps;
parse_function parse_confine_error, parse_confine_calls, parse_confine_paths;
parse_function parse_confine_binds, parse_confine_tmpfs, parse_confine_path, parse_dynamic_user;
parse_function parse_load_credential, parse_set_credential;
parse_function parse_directories, parse_octal, parse_preserve;
parse_function parse_health_http, parse_health_tcp, parse_health_exec, parse_span_above_zero;
parse_function parse_retries;
parse_function parse_listen, parse_ipv6_only, parse_protocol, parse_ip_tos, parse_fd_name;
parse_function parse_accept, parse_socket_service, parse_bytes, parse_int, parse_ttl;
parse_function parse_absolute_paths, parse_sockets;
parse_function parse_cgroup_amount, parse_cgroup_weight, parse_cgroup_device, parse_cpu_quota;
parse_function parse_cpu_period, parse_cpuset, parse_delegate, parse_oom_policy;
parse_function parse_abort_timeout, parse_failure_mode, parse_restart_mode, parse_exit_type;
parse_function parse_bus_name;
parse_function parse_input_text, parse_input_data, parse_open_file, parse_log_level;
parse_function parse_log_facility;
parse_function parse_condition, parse_assert, parse_checked_boolean, parse_checked_span;
parse_function parse_relation, parse_action, parse_action_status;
parse_function parse_start_limit_interval, parse_start_limit_burst;
parse_function parse_signal, parse_commands;
parse_function parse_type, parse_kill_mode, parse_notify_access, parse_notify_fd;
parse_function parse_start_timeout, parse_stop_timeout, parse_both_timeouts;
parse_function parse_success, parse_pid_file, parse_environment, parse_names_of_variables;
parse_function parse_env_file, parse_directory, parse_limit, parse_permissions_start_only;
parse_function parse_stdin, parse_stdout;
parse_function parse_restart, parse_shutdown, parse_significant, parse_exit_rule;
parse_function parse_strategy, parse_auto_shutdown, parse_default_restart, parse_give_up;
parse_function parse_start_failure, parse_intensity, parse_period, parse_children_max;
parse_function parse_children, parse_template, parse_default_instance;

#endif
