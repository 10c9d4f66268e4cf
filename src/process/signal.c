#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include "base/compat.h"
#include "process/spawn.h"

/* PIDFD_SIGNAL_PROCESS_GROUP came with Linux 6.9; older kernels know no flags at all and say
 * EINVAL. The number is safe here: a leader that is not reaped keeps it from being given away. */
static int signal_group(int pidfd, pid_t pid, int signo)
{
	int result = compat_pidfd_send_signal(pidfd, signo, PIDFD_SIGNAL_PROCESS_GROUP);

	if (result != -EINVAL) {
		return result;
	}
	return kill(-pid, signo) < 0 ? -errno : 0;
}

int process_signal(
	pid_t pid, int signo, bool group, bool (*still_alive)(void *context), void *context)
{
	int pidfd, result;

	if (pid <= 1) {
		return -ESRCH; /* 0 and -1 would be many processes, and 1 is never a child of ours
				*/
	}
	pidfd = compat_pidfd_open(pid, 0);
	if (pidfd < 0) {
		return pidfd == -EINVAL ? -ESRCH : pidfd;
	}
	/* Only now, for the order is what makes it safe: had the pid been reaped and given away
	 * before the pidfd was opened, then its death is known by now. */
	if (still_alive && !still_alive(context)) {
		result = -ESRCH;
	} else if (group) {
		result = signal_group(pidfd, pid, signo);
	} else {
		result = compat_pidfd_send_signal(pidfd, signo, 0);
	}
	close(pidfd);
	return result;
}
