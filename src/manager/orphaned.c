#include <errno.h>
#include <signal.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/compat.h"
#include "base/log.h"
#include "manager/manager.h"

/* The keeper is gone, and was not the init of a PID namespace (else we would be gone as well). The
 * services live on as somebody else's children: nobody reaps them for us, and nobody tells us of
 * their ends but pidfds. The tree is stopped in order, and we exit 1. */

void orphaned_watch(struct manager *m, uint32_t slot)
{
	pid_t pid = atomic_load(&slot_at(m, slot)->pid);
	int fd = pid > 0 ? compat_pidfd_open(pid, 0) : -ESRCH;
	/* The descriptor stays open until the end: one a process, for a short time. */
	if (fd < 0 || loop_watch(m, fd, WATCH_PIDFD, slot, EPOLLIN | EPOLLONESHOT) < 0) {
		atomic_store(&slot_at(m, slot)->dead, 1);
		slot_at(m, slot)->dead_status = SIGTERM;
	}
}

void orphaned_ended(struct manager *m, uint32_t slot)
{
	/* How it ended only its new parent can know. */
	atomic_store(&slot_at(m, slot)->dead, 1);
	slot_at(m, slot)->dead_status = SIGTERM;
	deaths_post_marked(m);
}

void orphaned_begin(struct manager *m)
{
	if (m->keeper_gone) {
		return;
	}
	log_error("the keeper is gone; stopping everything");
	deaths_drain(m);
	m->keeper_gone = true;
	loop_unwatch(m, m->keeper_fd);
	loop_unwatch(m, m->death_fd);
	uint32_t used = atomic_load(&m->share->slots_used_max);
	for (uint32_t i = 0; i < used; i++) {
		if (atomic_load(&slot_at(m, i)->state) != SLOT_FREE) {
			orphaned_watch(m, i);
		}
	}
	struct tree_event event = {.kind = EV_SHUTDOWN};
	manager_post(m, &event, 0, 0);
	deaths_post_marked(m);
	manager_run_all(m);
	struct tree_view root;
	tree_look(m->tree, 0, m->now, &root);
	if (root.state == STATE_STOPPED || root.state == STATE_FAILED || root.state == STATE_DONE) {
		m->ended = true; /* there is nothing to stop */
		m->end_status = 1;
	}
}
