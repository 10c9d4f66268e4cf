#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "manager/manager.h"

/* Reads a small file of /proc whole. Returns its length or -errno. */
static ssize_t read_small(const char *path, char *buf, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		return -errno;
	}
	size_t have = 0;
	for (;;) {
		ssize_t n = read(fd, buf + have, size - 1 - have);
		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n <= 0) {
			int failed = n < 0 ? -errno : 0;
			close(fd);
			buf[have] = '\0';
			return failed != 0 ? failed : (ssize_t)have;
		}
		have += (size_t)n;
	}
}

int proc_read_stat(pid_t pid, struct proc_stat *out)
{
	char path[48], text[1024];
	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	ssize_t length = read_small(path, text, sizeof(text));
	if (length < 0) {
		return (int)length;
	}
	/* The name in parentheses may contain anything, also parentheses. */
	char *behind = strrchr(text, ')');
	if (behind == NULL) {
		return -EPROTO;
	}
	unsigned long long start;
	int fields = sscanf(behind + 1,
		" %c %d %d %d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
		&out->state, &out->ppid, &out->pgrp, &out->session, &start);
	if (fields != 5) {
		return -EPROTO;
	}
	out->start_ticks = start;
	return 0;
}

bool proc_environ_has(pid_t pid, const char *assignment)
{
	char path[48];
	static char text[128 * 1024];
	snprintf(path, sizeof(path), "/proc/%d/environ", pid);
	ssize_t length = read_small(path, text, sizeof(text));
	for (const char *p = text; length > 0 && p < text + length; p += strlen(p) + 1) {
		if (strcmp(p, assignment) == 0) {
			return true;
		}
	}
	return false;
}

bool proc_environ_read(pid_t pid, const char *const names[2], const char *values[2])
{
	char path[48];
	static char text[128 * 1024];
	snprintf(path, sizeof(path), "/proc/%d/environ", pid);
	ssize_t length = read_small(path, text, sizeof(text));
	values[0] = values[1] = NULL;
	for (const char *p = text; length > 0 && p < text + length; p += strlen(p) + 1) {
		for (int i = 0; i < 2; i++) {
			size_t size = strlen(names[i]);
			if (strncmp(p, names[i], size) == 0 && p[size] == '=') {
				values[i] = p + size + 1;
			}
		}
	}
	return values[0] != NULL && values[1] != NULL;
}

static int read_children(pid_t pid, pid_t *list, int room)
{
	char path[64];
	static char text[256 * 1024];
	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", pid, pid);
	ssize_t length = read_small(path, text, sizeof(text));
	int count = 0;
	for (char *p = text; length > 0 && *p != '\0' && count < room;) {
		char *end;
		long number = strtol(p, &end, 10);
		if (end == p) {
			break;
		}
		list[count++] = (pid_t)number;
		p = end + strspn(end, " ");
	}
	return count;
}

int proc_children(pid_t pid, pid_t *list, int room)
{
	/* The list can miss living children while others are being reaped: read until two readings
	 * are the same. */
	static pid_t again[SHARE_SLOTS_MAX];
	if (room > SHARE_SLOTS_MAX) {
		room = SHARE_SLOTS_MAX;
	}
	int count = read_children(pid, list, room);
	for (int i = 0; i < 8; i++) {
		int more = read_children(pid, again, room);
		bool same =
			more == count && memcmp(again, list, (size_t)count * sizeof(*list)) == 0;
		memcpy(list, again, (size_t)more * sizeof(*list));
		count = more;
		if (same) {
			break;
		}
	}
	return count;
}
