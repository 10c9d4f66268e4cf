/*
 * What surrounds a service besides plain system calls: who it is, what it may do, what it sees.
 *
 * What it owns: the effect of User=, DynamicUser=, the capabilities, seccomp, the namespaces,
 * Landlock, the five kinds of directories, credentials and scheduling, in the process that becomes
 * the service (coppice-exec), and the probe that says which of them this system permits. What it
 * never does: read unit files, know of supervision, or run in coppice's own long-lived processes:
 * it may block, allocate, and it ends the process when a promise cannot be kept.
 *
 * Sources of rules: systemd.exec(5) (also the exit statuses), capabilities(7), seccomp(2),
 * prctl(2), namespaces(7), landlock(7), user_namespaces(7).
 *
 * Two kinds of settings:
 *   a promise    (User=, AmbientCapabilities=, StateDirectory=): sandbox_fail() with the exit
 *                status of its step;
 *   a hardening  (Private*=, Protect*=, Restrict*=, SystemCall*=): what this system does not permit
 *                is told by sandbox_miss() and the service runs without it.
 *
 * The order (sandbox_enter(), in sandbox.c), which is that of systemd's:
 *   1. who: names are looked up, DynamicUser= claims a number and adds what it implies to the
 *      settings (ProtectSystem=strict …)                          identity.c, dynamic.c
 *   2. sandbox_directories_make(), credentials                    directories.c, credentials.c
 *   3. scheduling, personality, keyring                           schedule.c
 *   4. namespaces: a user namespace first where it is asked for and we lack CAP_SYS_ADMIN; network,
 *      IPC, UTS; sandbox_files_enter(); a user namespace last where we have CAP_SYS_ADMIN
 *                                                                 namespace.c, files*.c
 *   5. bounding set, groups, gid, uid with kept capabilities, ambient set, secure bits
 *                                                                 capabilities.c, identity.c
 *   6. working directory; no_new_privs; sandbox_landlock_apply(); seccomp last
 *                                                                 landlock.c, seccomp.c
 *   7. exec, by the caller.
 */
#ifndef SANDBOX_SANDBOX_H
#define SANDBOX_SANDBOX_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

/* --- what is asked --- */

/* One assignment of the unit, "ProtectSystem=strict", split. An assignment that is empty has taken
 * the earlier ones of its key away and is not here, but for CapabilityBoundingSet=, where nothing
 * means none. */
struct sandbox_setting {
	const char *key, *value;
};
#define SANDBOX_SETTINGS_MAX 512

/* Equal to enum unit_directory_kind; the words are "runtime", "state", "cache", "logs",
 * "configuration". */
enum sandbox_directory_kind {
	SANDBOX_RUNTIME,
	SANDBOX_STATE,
	SANDBOX_CACHE,
	SANDBOX_LOGS,
	SANDBOX_CONFIGURATION,
	SANDBOX_DIRECTORIES
};
extern const char *const sandbox_directory_words[SANDBOX_DIRECTORIES];

/* "KIND:MODE:NAME[:LINK]", as it comes by --make-directory. */
struct sandbox_directory {
	enum sandbox_directory_kind kind;
	mode_t mode;
	const char *name; /* below bases[kind], checked by the parser of units */
	const char *link; /* a symlink to make beside it; NULL */
};
#define SANDBOX_DIRECTORIES_MAX 256

/* How much of all this a command gets, by its prefix (systemd.service(5)). */
enum sandbox_extent {
	SANDBOX_WHOLE,
	SANDBOX_NO_USER, /* "!": all but the user, the groups, and the capabilities; "!!" alike
			  * where ambient capabilities are missing */
	SANDBOX_NOTHING, /* "+": directories and credentials alone */
};

#define SANDBOX_LIMITS     16 /* RLIM_NLIMITS */
#define SANDBOX_GROUPS_MAX 1024
struct sandbox_identity {
	bool set_user, set_group;
	bool is_dynamic;                 /* of DynamicUser=, and in no database */
	uid_t uid;                       /* with set_user; what the directories are owned by */
	gid_t gid;                       /* with set_group */
	const char *name, *home, *shell; /* NULL: a number that no user has */
	int groups_count;
	gid_t groups[SANDBOX_GROUPS_MAX];
};

/* Filled from the options of coppice-exec; strings live as long as the process. */
struct sandbox {
	const char *unit;                       /* "redis.service"; "" when run by hand */
	const char *run_directory;              /* coppice's own run-time directory; NULL */
	const char *bases[SANDBOX_DIRECTORIES]; /* "/run", "/var/lib", … or the user's own */
	const char *notify_socket;              /* from NOTIFY_SOCKET; NULL. Must stay reachable */
	const char *user, *group, *supplementary_groups; /* as written; NULL */
	bool dynamic_user;
	const char *working_directory; /* "-" in front: optional; "~"; NULL: "/" */
	const char *keep;              /* "A,B": variables that the unit sets by itself */
	enum sandbox_extent extent;
	uint32_t settings_count;
	struct sandbox_setting settings[SANDBOX_SETTINGS_MAX];
	uint32_t directories_count;
	struct sandbox_directory directories[SANDBOX_DIRECTORIES_MAX];
	int credentials_fd;  /* a memfd of credentials.c's format; -1 */
	int miss_fd;         /* where sandbox_miss() tells the manager; -1: stderr */
	uint32_t limits_set; /* bit n: RLIMIT n is to be set */
	struct rlimit limits[SANDBOX_LIMITS];
	/* worked out in phase 1 */
	struct sandbox_identity who;
	/* worked out in phase 2: the credentials' directory, NULL. It must be seen by the service
	 * whatever sandbox_files_enter() hides. */
	const char *credentials_directory;
};

/* The last value of a key; NULL when it is not set. */
const char *sandbox_get(const struct sandbox *s, const char *key);
/* "NUMBER=SOFT:HARD", as it comes by --limit. -EINVAL. */
int sandbox_add_limit(struct sandbox *s, const char *text);
/* A boolean setting (a word that is none counts as false). */
bool sandbox_yes(const struct sandbox *s, const char *key);
/* All values of a key in turn: start with *at = 0; NULL at the end. */
const char *sandbox_next(const struct sandbox *s, const char *key, uint32_t *at);
/* Adds an assignment "KEY=VALUE" behind the others (the text is kept, not copied). -EINVAL without
 * "=", -E2BIG when there are too many. */
int sandbox_set(struct sandbox *s, const char *assignment);
/* "KIND:MODE:NAME[:LINK]"; -EINVAL, -E2BIG. The text is kept and cut into pieces. */
int sandbox_add_directory(struct sandbox *s, char *text);
/* Words of a list value separated by blanks, as unit/confine.h writes them: those in double quotes
 * may have blanks, and a backslash before a quote or backslash. Start with *rest = value. Copies
 * each to `word`; false at the end. A word that is too long ends the list. */
bool sandbox_word(const char **rest, char *word, size_t size);

/* --- saying so --- */

/* "coppice-exec: text" on standard error, and the end with that status (enum
 * process_helper_status). errno is what it was that failed. */
_Noreturn void sandbox_fail(int status, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Where sandbox_fail() tells the manager its process, status and errno, besides; -1: nowhere. */
void sandbox_fail_to(int fd);

/* A hardening that is not in effect: `key` as written in the unit, the text says why ("the kernel
 * refuses a mount namespace: Operation not permitted"). The manager says it once a unit. */
void sandbox_miss(const struct sandbox *s, const char *key, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* setenv for the service, but for what the unit sets by itself. */
void sandbox_set_variable(const struct sandbox *s, const char *name, const char *value);

/* A capability in our effective set (CAP_SYS_ADMIN, …). */
bool sandbox_capable(int capability);

/* --- entering --- */

/* All the phases; on return the process is what the service shall be, but for exec. */
void sandbox_enter(struct sandbox *s);

/* Phase 1. Fails with 216, 217. */
void sandbox_identity_find(struct sandbox *s);

/* Phase 2, by the user we are started as, before any namespace. Makes the directories with their
 * modes, owned by s->who, and sets RUNTIME_DIRECTORY and its like. Fails with 233, 238, 239, 240,
 * 241. */
void sandbox_directories_make(struct sandbox *s);
void sandbox_credentials_make(struct sandbox *s);

/* Phase 3. */
void sandbox_schedule(struct sandbox *s);

/* Phase 4. sandbox_files_enter() makes a mount namespace and all that is in it when one of its
 * settings asks for it. Where the kernel does not permit it, it leaves word in *s for
 * sandbox_landlock_apply() (static state of files*.c), which stands in for it, and tells by
 * sandbox_miss() what neither can do. Fails with 226 only where systemd would. */
void sandbox_namespaces_enter(struct sandbox *s);
void sandbox_files_enter(struct sandbox *s);

/* Phase 5. */
void sandbox_capabilities_apply(struct sandbox *s);

/* Phase 6. Landlock comes after no_new_privs, as the new user, before seccomp. */
void sandbox_landlock_apply(struct sandbox *s);
void sandbox_seccomp_apply(struct sandbox *s);

/* --- the probe --- */

enum sandbox_effect { SANDBOX_ENFORCED, SANDBOX_EMULATED, SANDBOX_IGNORED };

struct sandbox_finding {
	const char *key;
	enum sandbox_effect effect;
	char text[160]; /* emulated: by what; ignored: why; enforced: "" or by what */
};
#define SANDBOX_FINDINGS_MAX 160

struct sandbox_probe {
	uint32_t count;
	struct sandbox_finding findings[SANDBOX_FINDINGS_MAX];
};

/* Adds what was found about a directive, or replaces what was found before. */
void sandbox_probe_add(struct sandbox_probe *probe, const char *key, enum sandbox_effect effect,
	const char *format, ...) __attribute__((format(printf, 4, 5)));

/* Finds out, in children, what becomes of each directive of this room for the user who asks. */
void sandbox_probe(struct sandbox_probe *probe);
/* Its half about files: all keys of files*.c, landlock.c and directories.c. */
void sandbox_probe_files(struct sandbox_probe *probe);
/* Runs `attempt` in a child; 0 or the -errno that it returned (-ECHILD when it died). */
int sandbox_probe_try(int (*attempt)(void *context), void *context);

#endif
