#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/compat.h"
#include "manager/manager.h"

#define PREPARE_LIMIT_MS 30000

static bool has_distribution_units(const struct manager *m)
{
	const struct unit_set *set = m->generation->set;
	for (uint32_t i = 0; i < set->count; i++) {
		if (set->list[i]->from_systemd) {
			return true;
		}
	}
	return false;
}

/* Waits with a limit: a network file system behind /etc must not hold the tree up for ever. */
static int wait_for(pid_t pid)
{
	int status = 0;
	int fd = compat_pidfd_open(pid, 0);
	struct pollfd until = {.fd = fd, .events = POLLIN};
	bool over = fd >= 0 && poll(&until, 1, PREPARE_LIMIT_MS) == 0;
	if (fd >= 0) {
		close(fd);
	}
	if (over) {
		log_warning("coppice-tmpfiles takes longer than %d s; going on without the rest",
			PREPARE_LIMIT_MS / 1000);
		kill(pid, SIGKILL);
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
	}
	return status;
}

void prepare_system(struct manager *m)
{
	char path[sizeof(m->helper_path) + 16];
	char *argv[] = {(char *)"coppice-tmpfiles", (char *)"--boot", NULL};
	pid_t pid;
	/* sd_booted(3): there is a systemd, and it has done so. */
	if (m->user || access("/run/systemd/system", F_OK) == 0 || !has_distribution_units(m)) {
		return;
	}
	char *slash = strrchr(m->helper_path, '/');
	snprintf(path, sizeof(path), "%.*s/coppice-tmpfiles", (int)(slash - m->helper_path),
		m->helper_path);
	int failed = posix_spawn(&pid, path, NULL, NULL, argv, environ);
	if (failed != 0) {
		log_warning("cannot execute %s: %s; files and users that packages count on "
			    "may be missing",
			path, strerror(failed));
		return;
	}
	wait_for(pid);
}
