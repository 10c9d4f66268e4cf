/*
 * What runs in the vforked child, between clone and exec.
 *
 * It shares the caller's memory while the caller stands still, and until its first call the
 * caller's descriptor table too. So it does only plain system calls, in a fixed order, on memory
 * that the caller has laid out; it is not instrumented by sanitizers, takes no lock, calls nothing
 * of the C library that keeps state, and leaves by execve or a raw exit_group. Used by spawn.c;
 * coppice-exec uses process_exec().
 */
#ifndef PROCESS_CHILD_H
#define PROCESS_CHILD_H

#include <stdbool.h>
#include <stdint.h>

#include "process/spawn.h"

/* The staged descriptors: three streams, what is passed, then the cgroup, and in the last place
 * that of NotifyFd=; in the caller's table
 * from number `block` on. A stream that is not staged has /dev/null in its place. */
#define CHILD_STAGE_STREAMS 3
#define CHILD_STAGE_NOTIFY  (CHILD_STAGE_STREAMS + PROCESS_PASS_MAX + 1)
#define CHILD_STAGE_MAX     (CHILD_STAGE_NOTIFY + 1)

/* The kernel's struct sigaction begins with the handler; what follows may be zero for our two. */
struct child_sigaction {
	void (*handler)(int);
	unsigned long rest[3];
};
#define CHILD_SIGNALS_MAX  64
#define CHILD_SIGSET_BYTES 8

struct child_order {
	const struct process_spawn *spawn;
	const char *path; /* what is executed: the program, or coppice-exec */
	const char *const *argv;
	const char *const *envp;
	enum process_step exec_step; /* EXEC or HELPER */
	int block;
	bool table_is_shared;  /* cloned with CLONE_FILES */
	bool in_cgroup;        /* cloned with CLONE_INTO_CGROUP */
	uint64_t dispositions; /* bit n-1: the caller handles or ignores signal n */
	bool null_is_staged;   /* the places of the streams hold /dev/null, not a stand-in */
};

/* The body of the child, for clone(2), on a struct child_order. Never returns. */
int child_run(void *context);

/* execve(2) with a search in the PATH of `envp` (or a default one) when `path` has no slash; empty
 * components are skipped. Returns a positive errno value; ENOENT when nothing was found, EACCES
 * when something was found that may not be executed. Raw system calls only. Not reentrant. */
int process_exec(const char *path, const char *const *argv, const char *const *envp);

#endif
