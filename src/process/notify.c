#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/str.h"
#include "process/spawn.h"

#define NOTIFY_BYTES_MAX 8192
/* SCM_MAX_FD of the kernel: room for all of them, so that none is left unseen. */
#define NOTIFY_FDS_ROOM 253
#define ERRNO_MAX       4095

/* One byte over, for the terminator. */
static char notify_text[NOTIFY_BYTES_MAX + 1];

struct notify_fds {
	uint32_t count;
	int list[NOTIFY_FDS_ROOM];
};

int notify_open(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const int on = 1;
	int fd, failed;

	if (*path == '\0') {
		return -EINVAL;
	}
	if (!str_copy(address.sun_path, sizeof(address.sun_path), path)) {
		return -ENAMETOOLONG;
	}
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0) {
		return -errno;
	}
	/* Before bind, so that no datagram comes without its sender. */
	if (setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) < 0) {
		goto close_fd;
	}
	if (unlink(path) < 0 && errno != ENOENT) {
		goto close_fd;
	}
	if (bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0) {
		goto close_fd;
	}
	/* Any user's service may have to speak here; who spoke is judged by credentials. */
	if (chmod(path, 0666) < 0) {
		goto unlink_path;
	}
	return fd;

unlink_path:
	failed = -errno;
	unlink(path);
	close(fd);
	return failed;
close_fd:
	failed = -errno;
	close(fd);
	return failed;
}

/* --- the text --- */

/* The length of the UTF-8 character at `text`, 0 when there is none. Overlong forms, surrogates and
 * numbers beyond U+10FFFF are none (RFC 3629). */
static size_t utf8_length(const unsigned char *text)
{
	static const uint32_t lowest[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t length = text[0] < 0x80    ? 1
			: text[0] < 0xc2  ? 0
			: text[0] < 0xe0  ? 2
			: text[0] < 0xf0  ? 3
			: text[0] <= 0xf4 ? 4
					  : 0;
	uint32_t value = length > 1 ? text[0] & (0x7fU >> length) : text[0];

	for (size_t i = 1; i < length; i++) {
		if ((text[i] & 0xc0) != 0x80) {
			return 0;
		}
		value = value << 6 | (text[i] & 0x3f);
	}
	if (length > 1 && (value < lowest[length] || value > 0x10ffff ||
				  (value >= 0xd800 && value <= 0xdfff))) {
		return 0;
	}
	return length;
}

/* Text that a terminal can be shown: control and broken characters become '?'. Cut between
 * characters. */
static void copy_status(char *out, size_t size, const char *text)
{
	const unsigned char *at = (const unsigned char *)text;
	size_t used = 0;

	while (*at) {
		size_t length = utf8_length(at);
		/* C1 controls are two bytes in UTF-8. */
		bool bad =
			length == 0 || *at < 0x20 || *at == 0x7f || (*at == 0xc2 && at[1] < 0xa0);

		if (length == 0) {
			length = 1;
		}
		if (used + (bad ? 1 : length) >= size) {
			break;
		}
		if (bad) {
			out[used++] = '?';
		} else {
			memcpy(out + used, at, length);
			used += length;
		}
		at += length;
	}
	out[used] = '\0';
}

/* A name of a stored descriptor: printable ASCII without ':' (sd_pid_notify_with_fds(3)). */
static void copy_fd_name(char *out, size_t size, const char *text)
{
	for (const char *at = text; *at; at++) {
		if (*at <= ' ' || *at >= 0x7f || *at == ':') {
			return;
		}
	}
	if (!str_copy(out, size, text)) {
		out[0] = '\0';
	}
}

static void read_main_pid(struct notify_message *message, const char *value)
{
	uint64_t number;

	/* 1 is the keeper, or the machine's own init: never the main process of a service. */
	if (str_u64(value, 2, INT32_MAX, &number) == 0) {
		message->has_main_pid = true;
		message->main_pid = (pid_t)number;
	}
}

static void read_errno(struct notify_message *message, const char *value)
{
	uint64_t number;

	if (str_u64(value, 0, ERRNO_MAX, &number) == 0) {
		message->has_errno = true;
		message->error = (int)number;
	}
}

static void read_exit_status(struct notify_message *message, const char *value)
{
	uint64_t number;

	if (str_u64(value, 0, 255, &number) == 0) {
		message->has_exit_status = true;
		message->exit_status = (int)number;
	}
}

static void read_access(struct notify_message *message, const char *value)
{
	static const char *const words[] = {"none", "main", "exec", "all"};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcmp(value, words[i]) == 0) {
			message->has_access = true;
			str_copy(message->access, sizeof(message->access), value);
		}
	}
}

static void read_usec(const char *value, uint64_t least, bool *has, uint64_t *out)
{
	if (str_u64(value, least, UINT64_MAX, out) == 0) {
		*has = true;
	}
}

struct notify_flag {
	const char *assignment;
	size_t offset;
};

static const struct notify_flag notify_flags[] = {
	{"READY=1", offsetof(struct notify_message, ready)},
	{"RELOADING=1", offsetof(struct notify_message, reloading)},
	{"STOPPING=1", offsetof(struct notify_message, stopping)},
	{"WATCHDOG=1", offsetof(struct notify_message, watchdog)},
	{"WATCHDOG=trigger", offsetof(struct notify_message, watchdog_trigger)},
	{"FDSTORE=1", offsetof(struct notify_message, fd_store)},
	{"FDSTOREREMOVE=1", offsetof(struct notify_message, fd_remove)},
	{"FDPOLL=0", offsetof(struct notify_message, fd_poll_off)},
};

/* "KEY=VALUE". Unknown keys, and values that a known key cannot have, say nothing. */
static void read_assignment(struct notify_message *message, const char *line)
{
	const char *value = strchr(line, '=') + 1;

	for (size_t i = 0; i < sizeof(notify_flags) / sizeof(notify_flags[0]); i++) {
		if (strcmp(line, notify_flags[i].assignment) == 0) {
			*(bool *)((char *)message + notify_flags[i].offset) = true;
			return;
		}
	}
	if (str_starts(line, "MAINPID=")) {
		read_main_pid(message, value);
	} else if (str_starts(line, "ERRNO=")) {
		read_errno(message, value);
	} else if (str_starts(line, "EXTEND_TIMEOUT_USEC=")) {
		read_usec(value, 1, &message->has_extend, &message->extend_usec);
	} else if (str_starts(line, "WATCHDOG_USEC=")) {
		read_usec(value, 0, &message->has_watchdog_usec, &message->watchdog_usec);
	} else if (str_starts(line, "MONOTONIC_USEC=")) {
		read_usec(value, 1, &message->has_monotonic, &message->monotonic_usec);
	} else if (str_starts(line, "EXIT_STATUS=")) {
		read_exit_status(message, value);
	} else if (str_starts(line, "NOTIFYACCESS=")) {
		read_access(message, value);
	} else if (str_starts(line, "STATUS=")) {
		message->has_status = true;
		copy_status(message->status, sizeof(message->status), value);
	} else if (str_starts(line, "FDNAME=")) {
		copy_fd_name(message->fd_name, sizeof(message->fd_name), value);
	}
}

/* The text is cut into lines in place. False when it has no assignment at all. */
static bool read_text(struct notify_message *message, char *text)
{
	bool found = false;

	/* A barrier is a message of its own (sd_notify_barrier(3)). */
	if (strcmp(text, "BARRIER=1") == 0 || strcmp(text, "BARRIER=1\n") == 0) {
		message->barrier = true;
		return true;
	}
	for (char *line = text, *end; line; line = end) {
		end = strchr(line, '\n');
		if (end) {
			*end++ = '\0';
		}
		if (line[0] != '=' && strchr(line, '=')) {
			found = true;
			read_assignment(message, line);
		}
	}
	return found;
}

/* --- the datagram --- */

static void close_fds(struct notify_fds *fds)
{
	for (uint32_t i = 0; i < fds->count; i++) {
		close(fds->list[i]);
	}
	fds->count = 0;
}

/* The sender's pid (0: not told, or not of our PID namespace) and the descriptors. */
static pid_t read_control(struct msghdr *header, struct notify_fds *fds, uid_t *uid)
{
	pid_t pid = 0;

	for (struct cmsghdr *part = CMSG_FIRSTHDR(header); part; part = CMSG_NXTHDR(header, part)) {
		size_t size = part->cmsg_len - CMSG_LEN(0);

		if (part->cmsg_level != SOL_SOCKET) {
			continue;
		}
		if (part->cmsg_type == SCM_CREDENTIALS && size == sizeof(struct ucred)) {
			struct ucred sender;

			memcpy(&sender, CMSG_DATA(part), sizeof(sender));
			pid = sender.pid;
			*uid = sender.uid;
		} else if (part->cmsg_type == SCM_RIGHTS) {
			size_t count = size / sizeof(int), room = NOTIFY_FDS_ROOM - fds->count;

			count = count < room ? count : room;
			memcpy(fds->list + fds->count, CMSG_DATA(part), count * sizeof(int));
			fds->count += (uint32_t)count;
		}
	}
	return pid;
}

/* One NUL at the end is forgiven, none within (as systemd has it). */
static bool text_is_whole(const struct msghdr *header, ssize_t size)
{
	if (size <= 0 || header->msg_flags & (MSG_TRUNC | MSG_CTRUNC)) {
		return false;
	}
	notify_text[size] = '\0';
	return strlen(notify_text) >= (size_t)size - 1;
}

static bool fds_are_wanted(const struct notify_message *message, const struct notify_fds *fds)
{
	return message->barrier ? fds->count == 1 : message->fd_store;
}

static ssize_t peek_datagram(int fd, struct msghdr *header)
{
	ssize_t size;

	do {
		size = recvmsg(fd, header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC | MSG_PEEK);
	} while (size < 0 && errno == EINTR);
	return size < 0 ? -errno : size;
}

int notify_peek(int fd, struct notify_message *message)
{
	static _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(struct ucred)) +
						     CMSG_SPACE(sizeof(int) * NOTIFY_FDS_ROOM)];
	const uint32_t fds_max = sizeof(message->fds) / sizeof(message->fds[0]);
	struct iovec part = {.iov_base = notify_text, .iov_len = NOTIFY_BYTES_MAX};
	struct msghdr header = {.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control)};
	struct notify_fds fds = {.count = 0};
	ssize_t size = peek_datagram(fd, &header);

	if (size < 0) {
		return size == -EAGAIN ? 0 : (int)size;
	}
	memset(message, 0, sizeof(*message));
	message->pid = read_control(&header, &fds, &message->uid);
	if (message->pid <= 0 || !text_is_whole(&header, size) || fds.count > fds_max ||
		!read_text(message, notify_text)) {
		close_fds(&fds);
		return -EBADMSG;
	}
	if (!fds_are_wanted(message, &fds)) {
		close_fds(&fds);
	}
	memcpy(message->fds, fds.list, fds.count * sizeof(int));
	message->fds_count = fds.count;
	return 1;
}

void notify_drop(int fd)
{
	ssize_t size;

	do {
		size = recv(fd, NULL, 0, MSG_DONTWAIT | MSG_TRUNC);
	} while (size < 0 && errno == EINTR);
}

int notify_receive(int fd, struct notify_message *message)
{
	int got = notify_peek(fd, message);

	if (got == 1 || got == -EBADMSG) {
		notify_drop(fd);
	}
	return got;
}
