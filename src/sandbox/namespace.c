/*
 * Namespaces besides that of mounts: network, IPC, host name, users.
 *
 * A command beside the main process (ExecReload=, ExecStop=) joins the namespaces of the main
 * process, which its environment names; ExecStartPre= comes too early and gets its own.
 */
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "process/spawn.h"
#include "sandbox/internal.h"

/* We have entered a user namespace before all others, without privilege. */
static bool in_users;

static bool wants_users(const struct sandbox *s)
{
	const char *value = sandbox_get(s, "PrivateUsers");

	return value != NULL && strcmp(value, "no") != 0;
}

/* --- network, IPC, host name --- */

/* Whether the main process is in another namespace of that kind, and we are now too. */
static bool join_main(const char *kind, int flag)
{
	const char *main_pid = getenv("MAINPID");
	char path[64], ours[64];
	struct stat there, here;
	int fd, joined;

	if (main_pid == NULL || atoi(main_pid) <= 1) {
		return false;
	}
	snprintf(path, sizeof(path), "/proc/%d/ns/%s", atoi(main_pid), kind);
	snprintf(ours, sizeof(ours), "/proc/self/ns/%s", kind);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		return false;
	}
	joined = fstat(fd, &there) == 0 && stat(ours, &here) == 0 && there.st_ino != here.st_ino &&
		 setns(fd, flag) == 0;
	close(fd);
	return joined;
}

/* The one interface of a new network, which is down at first. */
static int raise_loopback(void)
{
	struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int result = fd < 0 || ioctl(fd, SIOCSIFFLAGS, &request) < 0 ? -errno : 0;

	if (fd >= 0) {
		close(fd);
	}
	return result;
}

static void enter_network(struct sandbox *s)
{
	int failed;

	if (join_main("net", CLONE_NEWNET)) {
		return;
	}
	if (unshare(CLONE_NEWNET) < 0) {
		sandbox_miss(s, "PrivateNetwork", "the kernel refuses a network namespace: %s",
			strerror(errno));
		return;
	}
	failed = raise_loopback();
	if (failed < 0) {
		sandbox_miss(s, "PrivateNetwork", "the loopback interface is down: %s",
			strerror(-failed));
	}
}

static void enter_path(struct sandbox *s, const char *key, int flag)
{
	const char *path = sandbox_get(s, key);
	int fd = path != NULL ? open(path, O_RDONLY | O_CLOEXEC) : -1;

	if (path == NULL) {
		return;
	}
	if (fd < 0 || setns(fd, flag) < 0) {
		int status =
			flag == CLONE_NEWNET ? PROCESS_HELPER_NETWORK : PROCESS_HELPER_NAMESPACE;

		sandbox_fail(status, "%s=%s: %s", key, path, strerror(errno));
	}
	close(fd);
}

static void enter(struct sandbox *s, const char *key, const char *kind, int flag)
{
	if (!join_main(kind, flag) && unshare(flag) < 0) {
		sandbox_miss(s, key, "the kernel refuses a namespace: %s", strerror(errno));
	}
}

/* --- users --- */

static int write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	int result = fd < 0 || write(fd, text, strlen(text)) < 0 ? -errno : 0;

	if (fd >= 0) {
		close(fd);
	}
	return result;
}

/* Without privilege a process may map itself alone, and must give up changing its groups. */
static void enter_users_first(struct sandbox *s)
{
	char uids[64], gids[64];
	uid_t uid = geteuid();
	gid_t gid = getegid();
	int failed;

	snprintf(uids, sizeof(uids), "%u %u 1\n", (unsigned)uid, (unsigned)uid);
	snprintf(gids, sizeof(gids), "%u %u 1\n", (unsigned)gid, (unsigned)gid);
	if (s->who.set_user && s->who.uid != uid) {
		return; /* the change of user, a promise, must come first, and will fail by itself
			 */
	}
	failed = unshare(CLONE_NEWUSER) < 0 ? -errno : 0;
	in_users = failed == 0;
	if (failed == 0) {
		failed = write_file("/proc/self/uid_map", uids);
		(void)write_file("/proc/self/setgroups", "deny");
		failed = failed < 0 ? failed : write_file("/proc/self/gid_map", gids);
	}
	/* Only for the files: Landlock stands in. */
	if (failed < 0 && wants_users(s)) {
		sandbox_miss(s, "PrivateUsers", "the kernel refuses a user namespace: %s",
			strerror(-failed));
	}
}

/* In a child that stays outside: it waits until we are inside, and writes our maps. */
static _Noreturn void write_maps(const struct sandbox *s, pid_t parent, int entered, int written)
{
	char path[64], text[128];
	uid_t uid = s->who.set_user ? s->who.uid : geteuid();
	gid_t gid = s->who.set_group ? s->who.gid : getegid();
	uint64_t value;
	int failed;

	if (read(entered, &value, sizeof(value)) < 0 || value == 2) {
		_exit(0);
	}
	snprintf(path, sizeof(path), "/proc/%d/uid_map", (int)parent);
	snprintf(text, sizeof(text), uid != 0 ? "0 0 1\n%u %u 1\n" : "0 0 1\n", (unsigned)uid,
		(unsigned)uid);
	failed = write_file(path, text);
	snprintf(path, sizeof(path), "/proc/%d/gid_map", (int)parent);
	snprintf(text, sizeof(text), gid != 0 ? "0 0 1\n%u %u 1\n" : "0 0 1\n", (unsigned)gid,
		(unsigned)gid);
	failed = failed < 0 ? failed : write_file(path, text);
	value = failed < 0 ? (uint64_t)-failed : UINT32_MAX;
	_exit(write(written, &value, sizeof(value)) < 0);
}

/* Root, and the service's own user, are themselves inside; all others are nobody. */
void sandbox_users_enter(struct sandbox *s)
{
	int entered, written, failed, status;
	pid_t parent = getpid(), child;
	uint64_t value = 1;

	if (!wants_users(s) || !sandbox_capable(CAP_SYS_ADMIN) || in_users) {
		return;
	}
	entered = eventfd(0, EFD_CLOEXEC);
	written = eventfd(0, EFD_CLOEXEC);
	child = entered < 0 || written < 0 ? -1 : fork();
	if (child == 0) {
		write_maps(s, parent, entered, written);
	}
	failed = child < 0 || unshare(CLONE_NEWUSER) < 0 ? -errno : 0;
	if (child > 0) {
		value = failed < 0 ? 2 : 1;
		(void)!write(entered, &value, sizeof(value));
	}
	if (failed == 0) {
		/* A reader's death is no answer: the child always gives one. */
		failed = read(written, &value, sizeof(value)) < 0 ? -errno
			 : value == UINT32_MAX                    ? 0
								  : -(int)value;
		if (failed < 0) {
			sandbox_fail(PROCESS_HELPER_USER, "PrivateUsers=: cannot map the users: %s",
				strerror(-failed));
		}
	}
	if (child > 0) {
		waitpid(child, &status, 0);
	}
	close(entered);
	close(written);
	if (failed < 0) {
		sandbox_miss(s, "PrivateUsers", "the kernel refuses a user namespace: %s",
			strerror(-failed));
	}
}

/* --- all but the last --- */

void sandbox_namespaces_enter(struct sandbox *s)
{
	const char *host = sandbox_get(s, "ProtectHostname");

	/* systemd.exec(5): for an ordinary user, settings about files imply PrivateUsers=. */
	bool for_files = geteuid() != 0 && sandbox_files_wanted(s);

	if ((wants_users(s) || for_files) && !sandbox_capable(CAP_SYS_ADMIN)) {
		enter_users_first(s);
	}
	enter_path(s, "NetworkNamespacePath", CLONE_NEWNET);
	enter_path(s, "IPCNamespacePath", CLONE_NEWIPC);
	if (sandbox_yes(s, "PrivateNetwork") && !sandbox_get(s, "NetworkNamespacePath")) {
		enter_network(s);
	}
	if (sandbox_yes(s, "PrivateIPC") && !sandbox_get(s, "IPCNamespacePath")) {
		enter(s, "PrivateIPC", "ipc", CLONE_NEWIPC);
	}
	if (host != NULL && strcmp(host, "no") != 0) {
		enter(s, "ProtectHostname", "uts", CLONE_NEWUTS);
	}
	if (sandbox_yes(s, "PrivatePIDs")) {
		sandbox_miss(s, "PrivatePIDs", "a service here is seen by its process id");
	}
}
