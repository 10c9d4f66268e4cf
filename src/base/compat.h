/*
 * System calls that Debian 12's C library does not wrap, and constants newer than its headers.
 * The only place where #if is allowed. Each wrapper returns the call's value or -errno.
 */
#ifndef BASE_COMPAT_H
#define BASE_COMPAT_H

#include <signal.h>
#include <stdint.h>
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
#ifndef CLOSE_RANGE_UNSHARE
#define CLOSE_RANGE_UNSHARE (1U << 1)
#endif
#ifndef CLOSE_RANGE_CLOEXEC
#define CLOSE_RANGE_CLOEXEC (1U << 2)
#endif
#ifndef PIDFD_SIGNAL_PROCESS_GROUP
#define PIDFD_SIGNAL_PROCESS_GROUP (1U << 2)
#endif

int compat_pidfd_open(pid_t pid, unsigned flags);
int compat_pidfd_send_signal(int pidfd, int signo, unsigned flags);
int compat_close_range(unsigned first, unsigned last, unsigned flags);

/* The default action for a signal, also for 32 and 33, which the C library keeps to itself and
 * refuses: make(1) and others start their children with these two ignored. */
int compat_signal_default(int signo);

/* waitid(2) as the kernel has it, with the fifth argument (rusage of the child). */
int compat_waitid(int idtype, pid_t id, siginfo_t *info, int options, struct rusage *usage);

#endif
