/*
 * A service that tries what it may not: each argument is an attempt, and its line is the attempt
 * and "ok" or the name of the error.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/klog.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timex.h>
#include <unistd.h>

#include "base/names.h"

static long try_family(const char *name)
{
	static const struct {
		const char *name;
		int family;
	} families[] = {{"unix", AF_UNIX}, {"inet", AF_INET}, {"netlink", AF_NETLINK}};

	for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
		if (strcmp(name, families[i].name) == 0) {
			return socket(families[i].family, SOCK_DGRAM, 0);
		}
	}
	errno = EINVAL;
	return -1;
}

static long try_write_execute(void)
{
	void *page = mmap(
		NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return page == MAP_FAILED ? -1 : 0;
}

/* Memory that was written and becomes a program. */
static long try_make_executable(void)
{
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return page == MAP_FAILED ? 0 : mprotect(page, 4096, PROT_READ | PROT_EXEC);
}

static long try_bits(mode_t mode)
{
	char path[] = "/tmp/confined-XXXXXX";
	int fd = mkstemp(path);
	long result = fchmod(fd, mode);

	unlink(path);
	return result;
}

static long try_scheduler(int policy)
{
	struct sched_param param = {.sched_priority = policy == SCHED_FIFO ? 1 : 0};

	return sched_setscheduler(0, policy, &param);
}

static long try_one(const char *what)
{
	struct timex time = {.modes = ADJ_OFFSET_SINGLESHOT};

	if (strncmp(what, "socket-", 7) == 0) {
		return try_family(what + 7);
	}
	if (strcmp(what, "write-execute") == 0) {
		return try_write_execute();
	}
	if (strcmp(what, "make-executable") == 0) {
		return try_make_executable();
	}
	if (strcmp(what, "suid") == 0) {
		return try_bits(04700);
	}
	if (strcmp(what, "chmod") == 0) {
		return try_bits(0700);
	}
	if (strcmp(what, "realtime") == 0) {
		return try_scheduler(SCHED_FIFO);
	}
	if (strcmp(what, "batch") == 0) {
		return try_scheduler(SCHED_BATCH);
	}
	if (strcmp(what, "unshare-uts") == 0) {
		return unshare(CLONE_NEWUTS);
	}
	if (strcmp(what, "unshare-ipc") == 0) {
		return unshare(CLONE_NEWIPC);
	}
	if (strcmp(what, "clone3") == 0) {
		return syscall(SYS_clone3, NULL, 0);
	}
	if (strcmp(what, "personality") == 0) {
		return personality(PER_LINUX32);
	}
	if (strcmp(what, "clock") == 0) {
		return adjtimex(&time);
	}
	if (strcmp(what, "module") == 0) {
		return syscall(SYS_init_module, NULL, 0, NULL);
	}
	if (strcmp(what, "klog") == 0) {
		return klogctl(10, NULL, 0);
	}
	if (strcmp(what, "raw-io") == 0) {
		return syscall(SYS_iopl, 0);
	}
	if (strcmp(what, "hostname") == 0) {
		return sethostname("confined", 8);
	}
	if (strcmp(what, "uname") == 0) {
		return syscall(SYS_uname, NULL);
	}
	if (strcmp(what, "getpriority") == 0) {
		errno = 0;
		return getpriority(PRIO_PROCESS, 0) == -1 && errno != 0 ? -1 : 0;
	}
	if (strcmp(what, "unknown-call") == 0) {
		return syscall(1000);
	}
	errno = EINVAL;
	return -1;
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		errno = 0;
		long result = try_one(argv[i]);

		printf("%s %s\n", argv[i], result < 0 ? errno_name(errno) : "ok");
		fflush(stdout);
	}
	return 0;
}
