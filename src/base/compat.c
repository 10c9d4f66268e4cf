#include "base/compat.h"

#include <errno.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

static int compat_result(long value)
{
	return value < 0 ? -errno : (int)value;
}

int compat_pidfd_open(pid_t pid, unsigned flags)
{
	return compat_result(syscall(SYS_pidfd_open, pid, flags));
}

int compat_pidfd_send_signal(int pidfd, int signo, unsigned flags)
{
	return compat_result(syscall(SYS_pidfd_send_signal, pidfd, signo, NULL, flags));
}

int compat_close_range(unsigned first, unsigned last, unsigned flags)
{
	return compat_result(syscall(SYS_close_range, first, last, flags));
}

int compat_waitid(int idtype, pid_t id, siginfo_t *info, int options, struct rusage *usage)
{
	return compat_result(syscall(SYS_waitid, idtype, id, info, options, usage));
}

int compat_signal_default(int signo)
{
	/* The kernel's struct sigaction, whose mask is eight bytes: all zero is SIG_DFL. */
	static const struct {
		unsigned long handler, flags, restorer, mask;
	} by_default;
	return compat_result(syscall(SYS_rt_sigaction, signo, &by_default, NULL, 8));
}
