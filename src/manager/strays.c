/*
 * Processes that got away: they left the process group and the session of their unit's main process
 * and live on when it is dead, with its port. Where there are no cgroups they are found among the
 * keeper's children, to which every process comes whose parent has ended: by the marks in their
 * environment, or by the session or group of the main process that is gone.
 *
 * A search is made after an end, never before the restart that follows; for all units at once, a
 * piece in each turn, and the next one not before it has cost a small share of the time. A unit of
 * which something was found is searched for before its next start.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/compat.h"
#include "base/log.h"
#include "base/span.h"
#include "manager/cgroup.h"

/* Searches take one part in so many of the time. */
#define SEARCH_SHARE 64
/* In one turn: processes that are looked into, and those that are in a slot and need no look. */
#define LOOKS_A_TURN 32
#define SKIPS_A_TURN 2048
#define KILLED_MAX   32
#define END_WAIT_MS  50
#define PASSES_MAX   8 /* children of those that were killed are found by the next one */

enum { SEARCH_NONE, SEARCH_WANTED, SEARCH_UNDER_WAY };

struct strays {
	struct timer timer;
	uint32_t wanted; /* nodes that wait, or are in the search under way */
	uint64_t rest_until_ns;
	uint64_t cost_ns;                     /* of the search under way */
	int count, at;                        /* of the list; at < count: a search is under way */
	int killed[KILLED_MAX], killed_count; /* pidfds, when somebody waits for them */
	bool keep_killed;
	bool found;
	int passes; /* in a row that found something */
	pid_t list[SHARE_SLOTS_MAX];
};

static struct strays *strays_of(struct manager *m)
{
	if (m->strays == NULL) {
		m->strays = calloc(1, sizeof(*m->strays));
		if (m->strays != NULL) {
			timer_init(&m->strays->timer, TIMER_STRAYS);
			if (timers_reserve(&m->timers, 1) < 0) {
				free(m->strays);
				m->strays = NULL;
			}
		}
	}
	return m->strays;
}

/* --- whose is it --- */

static bool is_loose(struct manager *m, pid_t pid, struct proc_stat *stat)
{
	return pid != getpid() && share_find(m->share, pid) == SHARE_SLOT_NONE &&
	       proc_read_stat(pid, stat) == 0 && stat->ppid == m->share->keeper_pid &&
	       stat->state != 'Z' && stat->state != 'X';
}

/* The processes of the start that is there now are its own business. */
static bool is_of_now(struct manager *m, const struct node *node, const char *invocation)
{
	struct tree_view view;
	char now[INVOCATION_SIZE];
	tree_look(m->tree, node->index, m->now, &view);
	if (view.service_state == SERVICE_STATE_DOWN) {
		return false;
	}
	spawn_invocation(m, node, view.incarnation, now);
	return strcmp(strchr(now, '=') + 1, invocation) == 0;
}

/* A session keeps its number from being given away as long as somebody lives in it. One that is
 * ours again by now is that of a new start. */
static bool is_of_session(struct manager *m, const struct node *node, const struct proc_stat *stat)
{
	int32_t session = node->stray_session;
	return session > 1 && (stat->session == session || stat->pgrp == session) &&
	       share_find(m->share, session) == SHARE_SLOT_NONE;
}

static struct node *owner_by_session(struct manager *m, const struct proc_stat *stat)
{
	for (uint32_t i = 0; i < m->nodes_room; i++) {
		struct node *node = m->nodes[i];
		if (node != NULL && node->stray_search == SEARCH_UNDER_WAY &&
			is_of_session(m, node, stat)) {
			return node;
		}
	}
	return NULL;
}

/* The node of whose earlier start this process is left; NULL: none that is searched for. */
static struct node *stray_owner(struct manager *m, pid_t pid)
{
	static const char *const names[2] = {"COPPICE_UNIT", "INVOCATION_ID"};
	const char *values[2];
	struct proc_stat stat;
	if (!is_loose(m, pid, &stat)) {
		return NULL;
	}
	if (!proc_environ_read(pid, names, values)) {
		return owner_by_session(m, &stat);
	}
	struct node *node = node_by_name(m, values[0]);
	bool searched = node != NULL && node->stray_search == SEARCH_UNDER_WAY;
	return searched && !is_of_now(m, node, values[1]) ? node : NULL;
}

/* --- killing --- */

struct question {
	struct manager *m;
	const struct node *node;
	pid_t pid;
};

/* Asked again when the process is held by a pidfd: what is seen now is what is killed. */
static bool is_still_stray(void *context)
{
	const struct question *question = context;
	return stray_owner(question->m, question->pid) == question->node;
}

static void stray_kill(struct manager *m, struct node *node, pid_t pid)
{
	struct strays *s = m->strays;
	struct question question = {m, node, pid};
	int pidfd = s->keep_killed && s->killed_count < KILLED_MAX ? compat_pidfd_open(pid, 0) : -1;
	if (process_signal(pid, SIGKILL, false, is_still_stray, &question) == 0) {
		s->found = true;
		if (!node->straying) {
			log_notice("%s: process %d of an earlier start was left; killing it and "
				   "its like",
				node_unit_name(node), pid);
		}
		node->straying = true;
		if (pidfd >= 0) {
			s->killed[s->killed_count++] = pidfd;
			pidfd = -1;
		}
	}
	if (pidfd >= 0) {
		close(pidfd);
	}
}

/* --- a search --- */

static void mark(struct manager *m, uint8_t from, uint8_t to)
{
	for (uint32_t i = 0; i < m->nodes_room; i++) {
		struct node *node = m->nodes[i];
		if (node != NULL && node->stray_search == from) {
			node->stray_search = to;
			m->strays->wanted -= to == SEARCH_NONE;
		}
	}
}

static void search_begin(struct manager *m)
{
	struct strays *s = m->strays;
	s->cost_ns = 0;
	s->at = 0;
	s->found = false;
	mark(m, SEARCH_WANTED, SEARCH_UNDER_WAY);
	s->count = proc_children(m->share->keeper_pid, s->list, SHARE_SLOTS_MAX);
}

static void search_piece(struct manager *m, int looks, int skips)
{
	struct strays *s = m->strays;
	while (s->at < s->count && looks > 0 && skips > 0) {
		pid_t pid = s->list[s->at++];
		if (share_find(m->share, pid) != SHARE_SLOT_NONE) {
			skips--;
			continue;
		}
		struct node *node = stray_owner(m, pid);
		if (node != NULL) {
			stray_kill(m, node, pid);
		}
		looks--;
	}
}

static void search_end(struct manager *m)
{
	struct strays *s = m->strays;
	bool again = s->found && ++s->passes < PASSES_MAX;
	mark(m, SEARCH_UNDER_WAY, again ? SEARCH_WANTED : SEARCH_NONE);
	s->passes = again ? s->passes : 0;
	s->count = s->at = 0;
	s->rest_until_ns = loop_clock() + s->cost_ns * SEARCH_SHARE;
	if (s->wanted > 0) {
		timers_set(&m->timers, &s->timer, s->rest_until_ns);
	}
}

static bool is_under_way(const struct strays *s)
{
	return s->count > 0;
}

bool strays_wait(const struct manager *m)
{
	const struct strays *s = m->strays;
	return s != NULL && s->wanted > 0 && !m->keeper_gone &&
	       (is_under_way(s) || m->now >= s->rest_until_ns);
}

void strays_go_on(struct manager *m)
{
	struct strays *s = m->strays;
	if (!strays_wait(m)) {
		return;
	}
	uint64_t before = loop_clock();
	timers_clear(&m->timers, &s->timer);
	if (!is_under_way(s)) {
		search_begin(m);
	}
	search_piece(m, LOOKS_A_TURN, SKIPS_A_TURN);
	s->cost_ns += loop_clock() - before;
	if (s->at >= s->count) {
		search_end(m);
	}
}

void strays_want(struct manager *m, struct node *node)
{
	struct strays *s = strays_of(m);
	if (s == NULL) {
		return;
	}
	node->stray_session = node->last_pid;
	s->wanted += node->stray_search == SEARCH_NONE;
	node->stray_search = SEARCH_WANTED;
	if (m->now < s->rest_until_ns && s->timer.place == TIMER_NOT_ARMED && !is_under_way(s)) {
		timers_set(&m->timers, &s->timer, s->rest_until_ns);
	}
}

void strays_leave(struct manager *m, struct node *node)
{
	if (node->stray_search != SEARCH_NONE) {
		node->stray_search = SEARCH_NONE;
		m->strays->wanted--;
	}
}

void strays_free(struct manager *m)
{
	free(m->strays);
	m->strays = NULL;
}

/* --- before a start --- */

static void wait_for_killed(struct strays *s)
{
	uint64_t end = loop_clock() + END_WAIT_MS * NS_PER_MS;
	for (int i = 0; i < s->killed_count; i++) {
		struct pollfd watch = {.fd = s->killed[i], .events = POLLIN};
		uint64_t now = loop_clock();
		(void)poll(&watch, 1, now < end ? (int)((end - now) / NS_PER_MS) + 1 : 0);
		close(s->killed[i]);
	}
	s->killed_count = 0;
}

/* The daemon of a forking service lives in a session of its own: something is always left. */
static bool is_searched_first(const struct node *node)
{
	return node->straying || node->definition->service.type == SERVICE_FORKING;
}

void strays_before_start(struct manager *m, struct node *node)
{
	struct strays *s = m->strays;
	if (s == NULL || node->stray_search == SEARCH_NONE || !is_searched_first(node) ||
		m->keeper_gone || is_under_way(s) || loop_clock() < s->rest_until_ns) {
		return;
	}
	uint64_t before = loop_clock();
	s->keep_killed = true;
	search_begin(m);
	search_piece(m, SHARE_SLOTS_MAX, SHARE_SLOTS_MAX);
	s->keep_killed = false;
	s->cost_ns = loop_clock() - before;
	wait_for_killed(s);
	search_end(m);
}

/* --- a start that nobody is left of --- */

bool strays_any(struct manager *m, const struct node *node)
{
	static pid_t list[SHARE_SLOTS_MAX];
	static const char *const names[2] = {"COPPICE_UNIT", "INVOCATION_ID"};
	const char *values[2];
	struct proc_stat stat;
	int group = cgroup_of_node(m, node);
	if (group >= 0) {
		bool populated = cgroup_populated(group);
		close(group);
		return populated;
	}
	int count = proc_children(m->share->keeper_pid, list, SHARE_SLOTS_MAX);
	for (int i = 0; i < count; i++) {
		if (!is_loose(m, list[i], &stat)) {
			continue;
		}
		/* One that says nothing of itself may be anybody's. */
		if (!proc_environ_read(list[i], names, values) ||
			strcmp(values[0], node_unit_name(node)) == 0) {
			return true;
		}
	}
	return false;
}
