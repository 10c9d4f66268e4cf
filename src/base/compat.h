/*
 * System calls that Debian 12's C library does not wrap, and constants newer than its headers.
 * The only place where #if is allowed. Each wrapper returns the call's value or -errno.
 */
#ifndef BASE_COMPAT_H
#define BASE_COMPAT_H

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/types.h>

/* The same numbers on every architecture of Linux (but Alpha). */
#ifndef SYS_pidfd_send_signal
#define SYS_pidfd_send_signal 424
#endif
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifndef SYS_close_range
#define SYS_close_range 436
#endif
#ifndef SYS_clone3
#define SYS_clone3 435
#endif
#ifndef CLONE_INTO_CGROUP
#define CLONE_INTO_CGROUP 0x200000000ULL
#endif
#ifndef CLOSE_RANGE_UNSHARE
#define CLOSE_RANGE_UNSHARE (1U << 1)
#endif
#ifndef CLOSE_RANGE_CLOEXEC
#define CLOSE_RANGE_CLOEXEC (1U << 2)
#endif
#ifndef PIDFD_SIGNAL_PROCESS_GROUP
#define PIDFD_SIGNAL_PROCESS_GROUP (1U << 2)
#endif
/* prctl(2) */
#ifndef PR_SET_MDWE
#define PR_SET_MDWE              65
#define PR_MDWE_REFUSE_EXEC_GAIN 1
#endif
#ifndef PR_SET_MEMORY_MERGE
#define PR_SET_MEMORY_MERGE 67
#endif
/* unshare(2) */
#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif

/* Landlock's third version (linux/landlock.h). */
#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE (1ULL << 14)
#endif

/* linux/kcmp.h */
#define COMPAT_KCMP_FILE 0

int compat_pidfd_open(pid_t pid, unsigned flags);
int compat_pidfd_send_signal(int pidfd, int signo, unsigned flags);

/* clone3(2) of a child that runs `run(context)` on a stack of its own (16 bytes aligned) and never
 * returns from it. -ENOSYS on architectures for which it is not written down here. */
struct compat_clone {
	uint64_t flags;
	uint64_t pidfd, child_tid, parent_tid;
	uint64_t exit_signal;
	uint64_t stack, stack_size;
	uint64_t tls, set_tid, set_tid_size;
	uint64_t cgroup;
};
/* The C library has no wrapper that runs a child on a stack of its own. Nothing of the caller's
 * frame may be touched by the child, so the call and the jump are one piece. */
static inline int compat_clone3(
	const struct compat_clone *clone, int (*run)(void *context), void *context)
{
	long result = -ENOSYS;
#if defined(__x86_64__)
	register void *argument __asm__("r12") = context;
	register int (*function)(void *) __asm__("r13") = run;
	__asm__ volatile("syscall\n\t"
			 "test %%rax, %%rax\n\t"
			 "jnz 1f\n\t"
			 "xor %%ebp, %%ebp\n\t"
			 "mov %%r12, %%rdi\n\t"
			 "call *%%r13\n\t"
			 "hlt\n"
			 "1:"
			 : "=a"(result)
			 : "0"((long)SYS_clone3), "D"(clone), "S"(sizeof(*clone)), "r"(argument),
			 "r"(function)
			 : "rcx", "r11", "memory", "cc");
#elif defined(__aarch64__)
	register long number __asm__("x8") = SYS_clone3;
	register long first __asm__("x0") = (long)clone;
	register long second __asm__("x1") = (long)sizeof(*clone);
	register void *argument __asm__("x19") = context;
	register int (*function)(void *) __asm__("x20") = run;
	__asm__ volatile("svc #0\n\t"
			 "cbnz x0, 1f\n\t"
			 "mov x29, #0\n\t"
			 "mov x0, x19\n\t"
			 "blr x20\n\t"
			 "brk #1\n"
			 "1:"
			 : "+r"(first)
			 : "r"(number), "r"(second), "r"(argument), "r"(function)
			 : "memory", "cc");
	result = first;
#else
	(void)clone;
	(void)run;
	(void)context;
#endif
	return (int)result;
}

int compat_close_range(unsigned first, unsigned last, unsigned flags);

/* The default action for a signal, also for 32 and 33, which the C library keeps to itself and
 * refuses: make(1) and others start their children with these two ignored. */
int compat_signal_default(int signo);

/* waitid(2) as the kernel has it, with the fifth argument (rusage of the child). */
int compat_waitid(int idtype, pid_t id, siginfo_t *info, int options, struct rusage *usage);

#endif
