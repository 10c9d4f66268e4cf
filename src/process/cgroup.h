/*
 * Control groups, version 2 (Documentation/admin-guide/cgroup-v2.rst of Linux): plain operations on
 * their files.
 *
 * What it owns: where the hierarchy is mounted and where in it we are, a subtree of our own, and in
 * it a group a unit. A group is named by the directory of our subtree and its own name. What it
 * never does: know of units, or decide who is killed. Nothing here needs memory.
 */
#ifndef PROCESS_CGROUP_H
#define PROCESS_CGROUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define CGROUP_PATH_SIZE 4096
#define CGROUP_NAME_SIZE 256

/* What a setting's file begins with, in the order of the bits of a set. */
#define CGROUP_CONTROLLERS(X) \
	X(CPU, "cpu")         \
	X(IO, "io")           \
	X(MEMORY, "memory")   \
	X(PIDS, "pids")       \
	X(CPUSET, "cpuset")   \
	X(HUGETLB, "hugetlb") \
	X(RDMA, "rdma")       \
	X(MISC, "misc")

#define X(name, text) CGROUP_##name,
enum cgroup_controller { CGROUP_CONTROLLERS(X) CGROUP_CONTROLLER_COUNT };
#undef X
extern const char *const cgroup_controller_names[CGROUP_CONTROLLER_COUNT];
#define CGROUP_BIT(name) (UINT32_C(1) << CGROUP_##name)
/* What every unit gets where it is there: fair shares, and accounts of memory and processes. The
 * others are enabled for units that ask for them. */
#define CGROUP_USUAL (CGROUP_BIT(CPU) | CGROUP_BIT(IO) | CGROUP_BIT(MEMORY) | CGROUP_BIT(PIDS))

/* --- our own place --- */

/* The directory of the group that a process (0: the caller) is in. 0, -ENOENT when there is no such
 * hierarchy or it is not visible here, or another -errno. */
int cgroup_find(pid_t pid, char *directory, size_t size);

/* Makes a subtree "coppice-NUMBER" below `base`, locked for as long as the descriptor lives
 * anywhere. One of that name that nobody holds any more is taken over and cleared; one that is held
 * is left alone ("coppice-NUMBER.2", …). What others have left behind empty is removed. Returns its
 * descriptor, or -errno. */
int cgroup_subtree_open(const char *base, pid_t number);

/* Makes the controllers in `wanted` available to the groups below `dir`, as far as they are there.
 * Where processes live in `dir` itself the kernel may refuse (-EBUSY). Returns the set that is
 * available now. */
uint32_t cgroup_enable(int dir, uint32_t wanted);
/* The set that is there to be enabled in `dir`. */
uint32_t cgroup_available(int dir);
/* Takes them back. */
void cgroup_disable(int dir, uint32_t which);
/* The root of the hierarchy, where processes may live beside groups. */
bool cgroup_is_root(int dir);

/* --- groups --- */

/* The name of a unit's group: its own, with "_" before it where the kernel could mean something
 * else by it. False when it is too long. */
bool cgroup_name(const char *unit, char *name, size_t size);

/* Makes a group (one that is there is all right) and opens it. A descriptor (O_PATH) or -errno. */
int cgroup_make(int top, const char *name);
int cgroup_open(int top, const char *name);
/* Removes it with what is below it. 0, -EBUSY when processes are left, or another -errno. */
int cgroup_remove(int top, const char *name);

/* Writes one file of a group. 0 or -errno. */
int cgroup_write(int group, const char *file, const char *value);
/* The number behind a key of a flat-keyed file ("memory.events", "oom_kill"). 0 or -errno. */
int cgroup_read_key(int group, const char *file, const char *key, uint64_t *value);
/* Whether it or a group below it has living processes. Zombies do not count: what a process had
 * open is closed when it is seen to be gone here. */
bool cgroup_populated(int group);
/* The processes of the group itself. Returns how many there are in the list, or -errno. */
int cgroup_pids(int group, pid_t *list, int room);
bool cgroup_has(int group, pid_t pid);
/* Puts a process there. 0 or -errno. */
int cgroup_put(int group, pid_t pid);

/* A signal to every process of the group but `spare` (0: none) and those of groups below it. By
 * pidfds: never to a number that is somebody else's meanwhile. Returns how many got it. */
int cgroup_signal(int group, int signo, pid_t spare);
/* SIGKILL to all of it, with what is below: cgroup.kill, and where the kernel has none (before
 * 5.14), one by one. 0 or -errno. Kernels from 6.14 on (seen in 6.18) then kill every child that
 * clone3(2) makes in this group with CLONE_INTO_CGROUP: it is to be made anew, or entered. */
int cgroup_kill(int group);
/* Waits until nobody lives in it, at most so long. True when that is so. */
bool cgroup_wait_empty(int group, int timeout_ms);

/* --- settings --- */

/* The controller of a file ("memory.max" is CGROUP_MEMORY); CGROUP_CONTROLLER_COUNT: unknown. */
enum cgroup_controller cgroup_controller_of(const char *file);
/* "/dev/sda rbps=1000" → "8:0 rbps=1000"; a file or a directory stands for the disk that it is on.
 * 0 or -errno. */
int cgroup_device_value(const char *value, char *out, size_t size);
/* A percentage, times 100, of what the machine has: "memory.max" of memory, "pids.max" of the
 * number of processes. 0 or -errno. */
int cgroup_relative_value(const char *file, uint32_t percent_100, char *out, size_t size);

/* --- cgroup_probe.c --- */

/* The directive that a file's value comes from; NULL: unknown. */
const char *cgroup_directive(const char *file, const char *value);
/* Each directive of resource control, what becomes of it on this system ("enforced", "emulated" or
 * "ignored"), and by what or why. */
typedef void cgroup_outcome(void *context, const char *key, const char *effect, const char *text);
void cgroup_probe(cgroup_outcome *each, void *context);

#endif
