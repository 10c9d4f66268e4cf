/*
 * The memory that keeper and manager share, and the words that pass between them.
 *
 * One memfd ("state") holds a header, a slot for each living child process, the map from pid to
 * slot, the ring of deaths, and the names of the descriptors that the keeper holds. The keeper
 * creates it once; every manager maps it. A second memfd ("journal") belongs to the manager alone
 * and is only kept by the keeper. Everything here is plain data of fixed size, so that a keeper
 * that execs itself, and a manager of another version, can check it (magic, version, sizes).
 *
 * Who writes what:
 *   header       each field says it
 *   slots        the manager, but `pid`, which the kernel writes (CLONE_PARENT_SETTID) before the
 *                child runs, and `exec_errno`/`exec_step`, which the vforked child writes, and
 *                `dead`, which the keeper writes
 *   pid map      the manager, under the sequence lock map_seq; the keeper reads, and scans the
 *                slots when a manager died inside a change
 *   death ring   the keeper appends at `ring_head`; the manager consumes at `ring_tail`
 *   names        the keeper
 */
#ifndef SHARE_SHARE_H
#define SHARE_SHARE_H

#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

#define SHARE_MAGIC     UINT32_C(0x436f7053) /* "CopS" */
#define SHARE_VERSION   2
#define SHARE_SLOTS_MAX 32768 /* processes at one time */
#define SHARE_MAP_SIZE  65536 /* a power of two, at least twice the slots */
#define SHARE_RING_SIZE 4096  /* a power of two */
#define SHARE_NAMES_MAX 18000 /* descriptors held by name */
#define SHARE_NAME_SIZE 192
#define SHARE_SLOT_NONE UINT32_MAX

/* Descriptor numbers of a manager when it is exec'd. */
enum share_fd {
	SHARE_FD_STATE = 3,   /* the state memfd */
	SHARE_FD_JOURNAL = 4, /* the journal memfd */
	SHARE_FD_KEEPER = 5,  /* SOCK_SEQPACKET to the keeper */
	SHARE_FD_DEATH = 6,   /* eventfd: the ring has news */
	SHARE_FD_FIRST_FREE = 7,
};

/* Environment variables of a manager: which incarnation it is, and how it is to begin. */
#define SHARE_ENV_INCARNATION "COPPICE_MANAGER_INCARNATION" /* "1" for the first */
#define SHARE_ENV_NO_JOURNAL  "COPPICE_MANAGER_NO_JOURNAL"  /* "1": adopt from slots alone */

/* What the keeper does with the process group of a child when its leader has died, before the
 * leader is reaped and the number is free again. */
enum share_group {
	SHARE_GROUP_LEAVE = 0, /* KillMode=process or none, or the child leads no group */
	SHARE_GROUP_KILL = 1,  /* SIGKILL what is left of it */
};

enum share_slot_state {
	SLOT_FREE = 0,
	SLOT_CLAIMED =
		1, /* the intent: written before the clone; pid becomes nonzero by the kernel */
	SLOT_ALIVE = 2,   /* the clone is known to have succeeded */
	SLOT_ADOPTED = 3, /* alive, not cloned by us: the main process of a forking service */
};

/* One child process. */
struct share_slot {
	_Atomic uint32_t state; /* enum share_slot_state */
	_Atomic int32_t pid;    /* 0 until the kernel writes it */
	uint32_t node;          /* the core's number of the unit */
	uint32_t node_generation;
	uint32_t incarnation; /* of the unit */
	uint32_t role;        /* enum service_role */
	uint64_t order_id;    /* the core's order that asked for the spawn */
	uint64_t sequence;    /* start order over all units: caretaker stops the highest first */
	_Atomic int32_t exec_errno; /* 0: the exec succeeded (or has not happened yet) */
	_Atomic int32_t exec_step;  /* enum process_step when exec_errno is set */
	int32_t stop_signal;        /* for the caretaker: how to ask, and how long to wait, ns */
	uint32_t group;             /* enum share_group */
	uint64_t stop_timeout_ns;
	uint64_t spawned_at_ns; /* CLOCK_MONOTONIC */
	_Atomic uint32_t
		dead;        /* the keeper in caretaker mode reaped it: not in the ring any more */
	int32_t dead_status; /* wait(2) status then */
	char unit[64];       /* the unit's name, cut; for people and the caretaker */
};

/* One death, published before the pid is reaped. */
struct share_death {
	uint64_t sequence; /* 1, 2, 3 … over the life of the keeper */
	uint64_t time_ns;  /* CLOCK_MONOTONIC when it was seen */
	int32_t pid;
	uint32_t slot;  /* SHARE_SLOT_NONE: an orphan, or a pid that a later slot adopts */
	int32_t code;   /* si_code: CLD_EXITED, CLD_KILLED, CLD_DUMPED */
	int32_t status; /* exit status or signal */
	uint32_t uid;
	uint32_t reserved;
	uint64_t user_us;
	uint64_t system_us;
	uint64_t max_rss_kib;
};

/* A descriptor that the keeper holds: a free place has an empty name. The number is the keeper's
 * own, at a fixed place, so that the keeper's exec of itself finds it again. */
struct share_name {
	int32_t fd;
	char name[SHARE_NAME_SIZE];
};

struct share {
	uint32_t magic, version, size, slots_max;
	int32_t keeper_pid;
	uint32_t manager_incarnation;     /* keeper */
	_Atomic uint32_t map_seq;         /* manager: odd while the map changes */
	_Atomic uint32_t spawning;        /* manager: the slot whose clone is under way, or NONE */
	_Atomic uint32_t orphans_wanted;  /* manager: records of pids without a slot wake it too */
	_Atomic uint32_t reaping_paused;  /* keeper: the ring was full; wants a SHARE_MSG_DRAINED */
	_Atomic uint32_t shutdown_wanted; /* keeper: 0 no, 1 ordered, 2 kill now */
	_Atomic int32_t shutdown_signal;  /* keeper: the signal that asked */
	_Atomic uint64_t ring_head;       /* keeper: records written */
	_Atomic uint64_t ring_tail;       /* manager: records consumed */
	_Atomic uint64_t orphans_reaped;  /* keeper */
	_Atomic uint64_t deaths_seen;     /* keeper */
	_Atomic uint32_t slots_used_max;  /* manager: one above the highest slot ever used */
	uint32_t reserved[15];
	_Atomic uint32_t map[SHARE_MAP_SIZE]; /* slot + 1 by pid, open addressing; 0 is empty */
	struct share_death ring[SHARE_RING_SIZE];
	struct share_slot slots[SHARE_SLOTS_MAX];
	struct share_name names[SHARE_NAMES_MAX];
};

/* Messages on SHARE_FD_KEEPER: one struct share_message a packet, descriptors beside it. */
enum share_message_kind {
	/* manager → keeper */
	SHARE_MSG_READY = 1,   /* the replay is over, the manager serves; resets the ladder later */
	SHARE_MSG_HOLD = 2,    /* name, and one descriptor: keep it (replaces one of that name) */
	SHARE_MSG_DROP = 3,    /* name: close it */
	SHARE_MSG_SIGNAL = 4,  /* slot, value = signal, flag = 1 whole group: pidfds are refused */
	SHARE_MSG_DRAINED = 5, /* the ring has room again */
	SHARE_MSG_END = 6,     /* value = exit status: the tree has ended; flag = 1 it gave up */
	SHARE_MSG_FATAL = 7,   /* value = exit status: units are invalid; text has been printed */
	/* keeper → manager */
	SHARE_MSG_GIVE = 16,     /* name, and one descriptor by SCM_RIGHTS */
	SHARE_MSG_GIVEN = 17,    /* all held descriptors have been given */
	SHARE_MSG_SHUTDOWN = 18, /* value = 1 ordered or 2 now, flag = the signal */
	SHARE_MSG_RELOAD = 19,   /* SIGHUP */
};

struct share_message {
	uint32_t kind; /* enum share_message_kind */
	int32_t value;
	uint32_t flag;
	uint32_t slot;
	char name[SHARE_NAME_SIZE];
};

/* Sends one message with an optional descriptor (-1: none). Returns 0 or -errno; retries EINTR. */
int share_send(int socket, const struct share_message *message, int fd);

/* Receives one message; *fd gets a descriptor (CLOEXEC) or -1. Returns 1, 0 at end of file, or
 * -errno (-EAGAIN on a nonblocking socket). A packet of a wrong size is -EPROTO. */
int share_receive(int socket, struct share_message *message, int *fd);

/* The slot of a pid through the map. Any process may call it; tolerates a writer that died.
 * Returns SHARE_SLOT_NONE when no slot has this pid. */
uint32_t share_find(struct share *share, pid_t pid);

/* Manager only: enter a slot whose pid is known (an older slot with the same pid, dead and not yet
 * forgotten, loses its entry); forget it (before the slot's pid or state changes; nothing happens
 * when it has no entry); rebuild the whole map after a manager died (also resets an odd map_seq).
 *
 * The order of a start, so that the keeper knows every child however early it dies: reset `pid`
 * to 0 and fill the slot, set `state`, set `spawning` to the slot, clone, share_map_insert(), and
 * only then set `spawning` to the next slot or to SHARE_SLOT_NONE. */
void share_map_insert(struct share *share, uint32_t slot);
void share_map_remove(struct share *share, uint32_t slot);
void share_map_rebuild(struct share *share);

/* The keeper's own way into `names`; one of zeros goes with a mapping of zeros. Numbers of places
 * are one more than their index, so that 0 is none. */
#define SHARE_INDEX_HEADS 16384
struct share_index {
	uint16_t heads[SHARE_INDEX_HEADS]; /* chains by the hash of the name */
	uint16_t next[SHARE_NAMES_MAX];
	uint16_t spare; /* the chain of places that were dropped */
	uint16_t end;   /* places ever used: none is taken from here on */
};

/* Keeper only: keep a descriptor under a name (shorter than SHARE_NAME_SIZE). *old becomes the one
 * that had the name until now, which the caller closes, or -1. -EBADF without a descriptor, -EINVAL
 * for an empty name, -ENOSPC. */
int share_name_put(
	struct share *share, struct share_index *index, const char *name, int fd, int *old);

/* Keeper only: forget a name. Returns its descriptor, which the caller closes, or -1. */
int share_name_drop(struct share *share, struct share_index *index, const char *name);

/* Keeper only: whether the ring has no room; append a death that waitid(2) has shown and that is
 * not reaped yet, with the next sequence number (only when there is room). */
bool share_ring_full(struct share *share);
void share_ring_publish(struct share *share, uint32_t slot, const siginfo_t *info,
	const struct rusage *usage, uint64_t now_ns);

/* Keeper only: the header of a mapping of zeros. */
void share_init(struct share *share, pid_t keeper);

/* Checks magic, version and sizes of a mapping. Returns 0 or -EPROTO. */
int share_check(const struct share *share);

#endif
