/*
 * What coppice-exec tells us and what it is given: a FIFO through which it says which settings are
 * not in effect and why it failed, and a descriptor with the credentials that a unit has in itself.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "manager/manager.h"

int misses_open(struct manager *m)
{
	unlink(m->misses_path);
	if (mkfifo(m->misses_path, 0600) < 0) {
		return -errno;
	}
	/* Open for writing too, so that it never looks ended. */
	m->misses_fd = open(m->misses_path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (m->misses_fd < 0) {
		return -errno;
	}
	m->misses_since_ns = loop_clock();
	return loop_watch(m, m->misses_fd, WATCH_MISSES, 0, EPOLLIN);
}

void misses_close(struct manager *m)
{
	if (m->misses_fd >= 0) {
		close(m->misses_fd);
		m->misses_fd = -1;
		unlink(m->misses_path);
	}
}

/* The keys that were said for a node, each with a newline behind it. */
static bool was_said(const struct node *node, const char *key)
{
	size_t length = strlen(key);
	for (const char *at = node->missed; at != NULL && *at != '\0'; at = strchr(at, '\n') + 1) {
		if (strncmp(at, key, length) == 0 && at[length] == '\n') {
			return true;
		}
	}
	return false;
}

void misses_say(struct node *node, const char *key, const char *why)
{
	size_t before = node->missed != NULL ? strlen(node->missed) : 0;
	size_t size = before + strlen(key) + 2;
	char *missed = was_said(node, key) ? NULL : realloc(node->missed, size);
	if (missed != NULL) {
		snprintf(missed + before, size - before, "%s\n", key);
		node->missed = missed;
		log_warning("%s: %s= is not in effect: %s", node_unit_name(node), key, why);
	}
}

/* "UNIT\tKEY\tWHY", or "\tPID\tSTATUS ERRNO" of one that failed. */
static void take_line(struct manager *m, char *line)
{
	char *key = strchr(line, '\t'), *why = key != NULL ? strchr(key + 1, '\t') : NULL;
	if (why == NULL) {
		return;
	}
	*key++ = '\0';
	*why++ = '\0';
	if (line[0] == '\0') {
		struct helper_failure *failure =
			&m->helper_failures[m->helper_failures_count++ % HELPER_FAILURES];
		failure->pid = atoi(key);
		failure->status = (int)strtol(why, &why, 10);
		failure->error = (int)strtol(why, NULL, 10);
		return;
	}
	struct node *node = node_by_name(m, line);
	if (node != NULL) {
		misses_say(node, key, why);
	}
}

void misses_drain(struct manager *m)
{
	char text[16384];
	ssize_t length = m->misses_fd < 0 ? -1 : read(m->misses_fd, text, sizeof(text) - 1);
	/* Lines are written whole, and are shorter than what a pipe writes at once. */
	while (length > 0) {
		text[length] = '\0';
		char *rest, *line = strtok_r(text, "\n", &rest);
		for (; line != NULL; line = strtok_r(NULL, "\n", &rest)) {
			take_line(m, line);
		}
		length = length < (ssize_t)sizeof(text) - 1
				 ? 0
				 : read(m->misses_fd, text, sizeof(text) - 1);
	}
}

bool misses_failure(struct manager *m, int32_t pid, int status, int *error)
{
	misses_drain(m);
	for (uint32_t i = 0; i < HELPER_FAILURES; i++) {
		struct helper_failure *failure = &m->helper_failures[i];
		if (failure->pid == pid && failure->status == status) {
			*error = failure->error;
			failure->pid = 0;
			return true;
		}
	}
	return false;
}

/* --- credentials --- */

int credentials_open(const struct definition *definition)
{
	const char *const *set = definition->exec->credentials_set;
	if (set == NULL) {
		return -ENOENT;
	}
	int fd = memfd_create("credentials", MFD_CLOEXEC);
	for (; fd >= 0 && *set != NULL; set++) {
		size_t length = strlen(*set) + 1;
		if (write(fd, *set, length) != (ssize_t)length) {
			close(fd);
			fd = -1;
		}
	}
	return fd < 0 ? -errno : fd;
}
