/*
 * coppicectl: the command line of a running coppice.
 *
 * What it owns: the table of verbs (verbs.c) and of options, how answers look to people, and the
 * exit statuses of coppicectl(1). What it never does: decide anything about units; every verb is
 * one or a few calls of org.coppice.Control. A verb is one function in a file named for its family
 * (verb_*.c). It runs once and exits, so it may die when there is no memory.
 *
 *   ctl_main → ctl_run: options.c → verbs.c → verb_X.c → call.c (asks) → output.c, table.c (says)
 */
#ifndef CTL_CTL_H
#define CTL_CTL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "coppice/client.h"

/* Exit statuses: the published contract. */
enum ctl_status {
	CTL_OK = 0,
	CTL_FAILED = 1,
	CTL_USAGE = 2,
	CTL_NOT_RUNNING = 3,
	CTL_NO_UNIT = 4,
	CTL_NO_COPPICE = 5,
	CTL_REFUSED = 6,
	CTL_TIMED_OUT = 7,
};

/* name, letter, long name, its value (NULL: none), for help */
#define CTL_OPTIONS(X)                                                                       \
	X(CONTROL, 'S', "control", "SOCKET", "the control socket ($COPPICE_CONTROL)")        \
	X(JSON, 0, "json", NULL, "answer in JSON")                                           \
	X(HELP, 'h', "help", NULL, "say how this is used")                                   \
	X(VERSION, 'V', "version", NULL, "say which version this is")                        \
	X(QUIET, 'q', "quiet", NULL, "say nothing, only exit with the status")               \
	X(PROPERTY, 'p', "property", "KEY", "only this property")                            \
	X(ONCE, 0, "once", NULL, "not held: a restart of its group brings it back")          \
	X(NO_WAIT, 0, "no-wait", NULL, "do not wait for the result")                         \
	X(TIMEOUT, 0, "timeout", "SPAN", "wait no longer than this (10s, 1min, …)")          \
	X(FOR, 0, "for", "STATE", "running, ready, stopped, done or failed")                 \
	X(SIGNAL, 's', "signal", "SIGNAL", "a name or a number (TERM)")                      \
	X(ALL, 0, "all", NULL, "to all processes, not only the main one")                    \
	X(DRY_RUN, 0, "dry-run", NULL, "only say what would be done")                        \
	X(NOW, 0, "now", NULL, "kill what does not stop at once")                            \
	X(WAIT, 0, "wait", NULL, "come back when coppice has ended")                         \
	X(ROOT, 'r', "root", "UNIT", "the root unit (default.supervisor)")                   \
	X(UNIT_PATH, 'u', "unit-path", "DIR[:DIR]…", "where units are ($COPPICE_UNIT_PATH)") \
	X(DIRECTIVES, 0, "directives", NULL, "print the table of all directives")

#define X(name, letter, word, value, help) OPTION_##name,
enum ctl_option { CTL_OPTIONS(X) OPTION_COUNT };
#undef X

#define OPTION_BIT(name) (1U << OPTION_##name)
#define OPTIONS_COMMON \
	(OPTION_BIT(CONTROL) | OPTION_BIT(JSON) | OPTION_BIT(HELP) | OPTION_BIT(VERSION))

struct ctl;

struct ctl_verb {
	const char *name;
	const char *arguments;    /* "UNIT..." */
	int words_min, words_max; /* -1: any number */
	unsigned options;         /* bits beside OPTIONS_COMMON */
	int (*run)(struct ctl *ctl);
	const char *summary; /* one line of the list of verbs */
	const char *details; /* more of it, for VERB --help; may be NULL */
	const char *example;
};

struct ctl {
	FILE *out, *err;
	bool terminal; /* `out` is one: a header, a table's width */
	bool colour, utf8;
	unsigned width; /* columns; 0: no limit */
	const struct ctl_verb *verb;
	const char *value[OPTION_COUNT]; /* of the options given; "" for those without one */
	char **words;                    /* the verb's arguments */
	int words_count;
	struct coppice_client *client; /* once it is open */
	json_t *kept;                  /* values that live until the end of the run */
};

/* Everything that main does: surroundings, ctl_run, what is left to be written. */
int ctl_main(int argc, char **argv);
/* One run with surroundings that are set up; for the tests too. Returns an exit status. */
int ctl_run(struct ctl *ctl, int argc, char **argv);

/* options.c: takes argv apart into value, words and verb. CTL_OK, or CTL_USAGE after a message. */
int ctl_options_parse(struct ctl *ctl, int argc, char **argv);
static inline bool ctl_has(const struct ctl *ctl, enum ctl_option option)
{
	return ctl->value[option] != NULL;
}

/* verbs.c, help.c */
extern const struct ctl_verb ctl_verbs[];
extern const unsigned ctl_verbs_count;
const struct ctl_verb *ctl_verb_find(const char *name);
const char *ctl_verb_nearest(const char *name); /* NULL: none is near */
void ctl_help_all(struct ctl *ctl);
void ctl_help_verb(struct ctl *ctl, const struct ctl_verb *verb);

/* --- asking (call.c) --- */

#define CTL_PATIENCE_MS 30000 /* for what coppice answers at once */

/* One call; it is made again on a new connection when the manager goes away meanwhile, unless
 * `once`. `parameters` is consumed (NULL: none). CTL_OK with a new reference, or another exit
 * status after a message. `timeout_ms` -1: none. */
int ctl_call(
	struct ctl *ctl, const char *method, json_t *parameters, int timeout_ms, json_t **reply);
int ctl_call_once(
	struct ctl *ctl, const char *method, json_t *parameters, int timeout_ms, json_t **reply);
/* Opens a connection; with `quiet` without a message. An exit status. */
int ctl_open(struct ctl *ctl, bool quiet);
/* The exit status of a failed coppice_call, after a message. */
int ctl_fail(struct ctl *ctl, int result);
/* An array of Unit objects, all or the one named; a new reference when it is CTL_OK. */
int ctl_list(struct ctl *ctl, const char *unit, json_t **units);
/* --timeout in milliseconds, -1 without it. CTL_OK, or CTL_USAGE after a message. */
int ctl_timeout(struct ctl *ctl, int *timeout_ms);
/* Keeps a value until the end of the run: it is consumed, and borrowed back. */
json_t *ctl_keep(struct ctl *ctl, json_t *value);
/* A unit's whole name ("redis" → "redis.service"), kept; NULL after a message. */
const char *ctl_unit_name(struct ctl *ctl, const char *word);
/* {"unit": whole name of the word} or NULL after a message. */
json_t *ctl_unit_parameters(struct ctl *ctl, const char *word);
/* A number for a request, so that it is done once when it is asked twice. */
json_t *ctl_request_id(void);

/* Where units are, by --unit-path and the environment (verb_files.c). CTL_OK, or another exit
 * status after a message. */
struct arena;
struct unit_search;
int ctl_search_path(struct ctl *ctl, struct arena *arena, struct unit_search *search);
/* verify --directives (verb_directives.c). */
int verb_directives(struct ctl *ctl);

/* --- saying (output.c) --- */

/* "coppicectl: words" on standard error; returns the status. */
int ctl_say(struct ctl *ctl, int status, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void ctl_setup_output(struct ctl *ctl);
/* A text from elsewhere, without control characters that could drive a terminal. */
void ctl_put(struct ctl *ctl, const char *text);
/* At most `width` columns of it; longer ones end in an ellipsis. Pads with spaces when `pad`. */
void ctl_put_cell(struct ctl *ctl, const char *text, unsigned width, bool right, bool pad);
unsigned ctl_text_width(const char *text);
/* Writes a value and a newline: indented on a terminal, one line elsewhere. Consumes it. */
void ctl_put_json(struct ctl *ctl, json_t *value);
/* The same, always on one line, flushed. Borrows it. */
void ctl_put_json_line(struct ctl *ctl, const json_t *value);

enum ctl_colour { COLOUR_NONE, COLOUR_GOOD, COLOUR_BUSY, COLOUR_BAD, COLOUR_DIM, COLOUR_BOLD };
const char *ctl_colour(const struct ctl *ctl, enum ctl_colour colour); /* "" without colours */
enum ctl_colour ctl_state_colour(const json_t *unit);

/* Members of a Unit; "" and 0 where there is none. */
const char *unit_text(const json_t *unit, const char *key);
long long unit_number(const json_t *unit, const char *key);
bool unit_flag(const json_t *unit, const char *key);
bool unit_is(const json_t *unit, const char *state);

#define CTL_SPAN_SIZE 64
/* "2h 3min": at most two parts, no fractions of a second from 10 s on. Returns buf. */
char *ctl_span(long long ms, char *buf, size_t size);
/* CLOCK_MONOTONIC. */
uint64_t ctl_now_ms(void);
/* RFC 3339 to milliseconds since the epoch; -1 when it is none. */
long long ctl_time_parse(const char *text);

/* Copies that never fail: without memory the program dies with a word. */
char *ctl_strdup(const char *text);
char *ctl_printf(const char *format, ...) __attribute__((format(printf, 1, 2)));
void *ctl_grow(void *array, size_t count, size_t size); /* room for one more */

/* --- the verbs --- */

int verb_status(struct ctl *ctl);
int verb_tree(struct ctl *ctl);
int verb_list(struct ctl *ctl);
int verb_show(struct ctl *ctl);
int verb_cat(struct ctl *ctl);
int verb_why(struct ctl *ctl);
int verb_trace(struct ctl *ctl);
int verb_count(struct ctl *ctl);
int verb_start(struct ctl *ctl);
int verb_stop(struct ctl *ctl);
int verb_restart(struct ctl *ctl);
int verb_reload(struct ctl *ctl);
int verb_kill(struct ctl *ctl);
int verb_delete(struct ctl *ctl);
int verb_wait(struct ctl *ctl);
int verb_is_active(struct ctl *ctl);
int verb_is_ready(struct ctl *ctl);
int verb_is_failed(struct ctl *ctl);
int verb_watch(struct ctl *ctl);
int verb_verify(struct ctl *ctl);
int verb_daemon_reload(struct ctl *ctl);
int verb_shutdown(struct ctl *ctl);
int verb_help(struct ctl *ctl);

#endif
