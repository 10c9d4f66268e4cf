/*
 * Starting one process by plan.
 *
 * What it owns: the steps between clone and exec. A plan is compiled at load and immutable; a plan
 * of plain system calls runs right in the vforked child, anything that can block or allocate (names
 * of users) goes through the chain loader coppice-exec. What it never does: know of supervision.
 *
 * process_spawn() clones with CLONE_VM|CLONE_VFORK (and CLONE_PARENT, CLONE_FILES,
 * CLONE_PARENT_SETTID as asked), so when it returns the exec has happened or failed: no pipe is
 * needed for the outcome.
 */
#ifndef PROCESS_SPAWN_H
#define PROCESS_SPAWN_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

/* The step at which the child failed, for "exec:ENOENT (step)". The numbers are saved: new ones go
 * to the end. */
#define PROCESS_STEPS(X)                                      \
	X(NONE, "none")                                       \
	X(FILES, "descriptors")                               \
	X(SESSION, "session")                                 \
	X(STDIN, "stdin")                                     \
	X(STDOUT, "stdout")                                   \
	X(STDERR, "stderr")                                   \
	X(PASS, "passed descriptors")                         \
	X(LIMITS, "limits")                                   \
	X(NICE, "nice")                                       \
	X(OOM, "oom score")                                   \
	X(CGROUP, "cgroup")                                   \
	X(GROUPS, "groups")                                   \
	X(GROUP, "group")                                     \
	X(USER, "user")                                       \
	X(DIRECTORY, "working directory")                     \
	X(SIGNALS, "signals")                                 \
	X(EXEC, "exec")                                       \
	X(HELPER, "coppice-exec")                             \
	X(MEMORY, "memory")                                   \
	X(IOPRIO, "io priority")                              \
	X(TIMERSLACK, "timer slack")                          \
	X(SECUREBITS, "secure bits")                          \
	X(SCHEDULER, "scheduling")                            \
	X(AFFINITY, "cpu affinity")                           \
	X(CAPABILITIES, "capabilities")                       \
	X(NETWORK, "network")                                 \
	X(NAMESPACE, "namespace")                             \
	X(PRIVILEGES, "no new privileges")                    \
	X(SECCOMP, "seccomp")                                 \
	X(PERSONALITY, "personality")                         \
	X(RUNTIME_DIRECTORY, "runtime directory")             \
	X(STATE_DIRECTORY, "state directory")                 \
	X(CACHE_DIRECTORY, "cache directory")                 \
	X(LOGS_DIRECTORY, "logs directory")                   \
	X(CONFIGURATION_DIRECTORY, "configuration directory") \
	X(KEYRING, "keyring")                                 \
	X(NUMA, "numa")                                       \
	X(CREDENTIALS, "credentials")                         \
	X(LISTEN, "listen")

#define X(name, text) PROCESS_STEP_##name,
enum process_step { PROCESS_STEPS(X) PROCESS_STEP_COUNT };
#undef X
extern const char *const process_step_names[PROCESS_STEP_COUNT];

enum process_stream {
	STREAM_NULL,
	STREAM_INHERIT,
	STREAM_FD,
	STREAM_FILE,
	STREAM_APPEND,
	STREAM_TRUNCATE,
	STREAM_SAME_AS_STDOUT
};

struct process_stdio {
	uint8_t kind;     /* enum process_stream */
	int fd;           /* STREAM_FD: a descriptor of the caller's */
	const char *path; /* FILE (read or write, not created for stdin), APPEND, TRUNCATE */
};

#define PROCESS_LIMITS     16
#define PROCESS_GROUPS_MAX 64
#define PROCESS_PASS_MAX   128
#define PROCESS_PID_TEXT   12

/* Immutable, made at load. Strings are borrowed. */
struct process_plan {
	const char *directory; /* NULL: "/" */
	bool directory_optional;
	bool set_user, set_group; /* numbers; names go through `helper` */
	uid_t uid;
	gid_t gid;
	uint32_t groups_count; /* supplementary groups, with set_group or set_user */
	gid_t groups[PROCESS_GROUPS_MAX];
	bool set_umask;
	mode_t umask;
	bool limit_set[PROCESS_LIMITS];
	struct rlimit limits[PROCESS_LIMITS];
	struct process_stdio in, out, err;
	bool new_session;    /* setsid(2): every service */
	bool ignore_sigpipe; /* IgnoreSIGPIPE=yes */
	bool set_nice, set_oom_score;
	int nice, oom_score;
	bool no_new_privileges;
	const char *helper;             /* path of coppice-exec; NULL: plain */
	const char *const *helper_argv; /* its options, NULL at the end: "--user", "redis", … */
};

/* One start. */
struct process_spawn {
	const struct process_plan *plan;
	const char *path;
	const char *const *argv;
	const char *const *envp;
	uint32_t pass_count; /* become 3, 4, … in the child (LISTEN_FDS) */
	const int *pass;
	int notify_fd, notify_number; /* NotifyFd=: becomes that number; 0: none */
	char *listen_pid;    /* where envp has the value of LISTEN_PID, PROCESS_PID_TEXT bytes: the
			      * child, which alone knows its number, writes it there; or NULL */
	char *watchdog_pid;  /* the same of WATCHDOG_PID */
	int cgroup_fd;       /* the cgroup's directory, any kind of descriptor; -1: none */
	bool cgroup_entered; /* it is entered after the clone: see cgroup_kill() */
	bool parent_is_caller; /* false: CLONE_PARENT, a sibling of the caller */
	_Atomic int32_t *pid;  /* written by the kernel before the child runs; shared memory */
	_Atomic int32_t *exec_errno; /* written by the child; shared memory (MAP_SHARED) */
	_Atomic int32_t *exec_step;
};

/* Reserves a block of low descriptor numbers, from 10 on, in which a start stages the descriptors
 * of its child: with CLONE_FILES the child gives up the caller's table above them at its first
 * call, so a start costs the same however many descriptors the caller has. Finds out what the
 * kernel permits, and says once when it is not that. To be called early, while low numbers are
 * free; the first process_spawn() does it otherwise. Also reads which signals the caller handles or
 * ignores, to have them reset in each child: to be called again after a disposition was changed.
 * Returns 0, -EMFILE or another -errno. */
int process_spawn_init(void);

/* Returns the pid, or -errno when no process was made (exec_errno and exec_step are set then too
 * when it was a descriptor of the spawn's that could not be taken). When the process was made and
 * its exec failed, *exec_errno and *exec_step are set on return and the process is about to be
 * reaped. Not reentrant. Blocks all signals across the clone, so that no handler runs in shared
 * memory. */
pid_t process_spawn(const struct process_spawn *spawn);

/* The exit statuses by which coppice-exec says where it failed, as systemd.exec(5) numbers them. A
 * service of its own may use them too: ask only about a process whose plan has a `helper`. */
enum process_helper_status {
	PROCESS_HELPER_USAGE = 2,
	PROCESS_HELPER_CHDIR = 200,
	PROCESS_HELPER_NICE = 201,
	PROCESS_HELPER_EXEC = 203,
	PROCESS_HELPER_MEMORY = 204,
	PROCESS_HELPER_LIMITS = 205,
	PROCESS_HELPER_IOPRIO = 211,
	PROCESS_HELPER_TIMERSLACK = 212,
	PROCESS_HELPER_SECUREBITS = 213,
	PROCESS_HELPER_SETSCHEDULER = 214,
	PROCESS_HELPER_CPUAFFINITY = 215,
	PROCESS_HELPER_GROUP = 216,
	PROCESS_HELPER_USER = 217,
	PROCESS_HELPER_CAPABILITIES = 218,
	PROCESS_HELPER_NETWORK = 225,
	PROCESS_HELPER_NAMESPACE = 226,
	PROCESS_HELPER_NO_NEW_PRIVILEGES = 227,
	PROCESS_HELPER_SECCOMP = 228,
	PROCESS_HELPER_PERSONALITY = 230,
	PROCESS_HELPER_RUNTIME_DIRECTORY = 233,
	PROCESS_HELPER_KEYRING = 237,
	PROCESS_HELPER_STATE_DIRECTORY = 238,
	PROCESS_HELPER_CACHE_DIRECTORY = 239,
	PROCESS_HELPER_LOGS_DIRECTORY = 240,
	PROCESS_HELPER_CONFIGURATION_DIRECTORY = 241,
	PROCESS_HELPER_NUMA = 242,
	PROCESS_HELPER_CREDENTIALS = 243,
};

/* The step that an exit status of coppice-exec stands for; false (and *step untouched) for others,
 * also for PROCESS_HELPER_USAGE, which far too many services use to be a sign of anything. */
bool process_helper_step(int exit_status, enum process_step *step);

/* A signal to a process that is known by pid and not yet reaped as far as the caller can tell:
 * pidfd_open, then `still_alive(context)` (drain the ring and look), then the signal by the pidfd.
 * `group`: to its whole process group (PIDFD_SIGNAL_PROCESS_GROUP; where the kernel is older, by
 * the number, which the unreaped leader guards only if still_alive said so). Returns 0, -ESRCH when
 * it is dead, -ENOSYS or -EPERM when pidfds are refused, or another -errno. */
int process_signal(
	pid_t pid, int signo, bool group, bool (*still_alive)(void *context), void *context);

/* --- the notify socket --- */

/* Opens a bound AF_UNIX datagram socket at `path` (mode 0666, made anew), SO_PASSCRED, nonblocking,
 * close-on-exec. Returns the descriptor or -errno. */
int notify_open(const char *path);

/* What a datagram said (sd_notify(3)). */
struct notify_message {
	pid_t pid; /* the sender, from SCM_CREDENTIALS */
	uid_t uid;
	bool ready, reloading, stopping, watchdog, watchdog_trigger, fd_store, fd_remove, barrier;
	bool has_main_pid, has_errno, has_extend, has_watchdog_usec, has_monotonic, has_exit_status;
	bool has_access;
	bool fd_poll_off; /* FDPOLL=0 */
	pid_t main_pid;
	int error;
	uint64_t extend_usec, watchdog_usec, monotonic_usec;
	int exit_status;  /* 0 … 255 */
	char access[8];   /* NOTIFYACCESS=: "none", "main", "exec" or "all" */
	char status[512]; /* STATUS=, cut; "" when there is none */
	bool has_status;
	char fd_name[128];
	uint32_t fds_count;
	int fds[16]; /* received descriptors: the caller owns them */
};

/* Receives one datagram. Returns 1, 0 when there is none, -EBADMSG for one that is malformed or has
 * no credentials (dropped, its descriptors closed), or -errno. */
int notify_receive(int fd, struct notify_message *message);

/* The same in two halves, for a receiver that may die in between and must not lose what was said:
 * the datagram (also one that is -EBADMSG) stays until it is dropped. */
int notify_peek(int fd, struct notify_message *message);
void notify_drop(int fd);

#endif
