/*
 * Whatever a process sends to a notify socket: tens of thousands of messages made of right and
 * wrong assignments, cut, glued and with bits turned over, up to far beyond the largest, with any
 * number of descriptors. Nothing of it may be believed that was not said, stay open, or break the
 * receiver; under ASan nothing may be read or written out of bounds.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "process/spawn.h"

#define TEXT_MAX 30000
#define FDS_MAX  253 /* SCM_MAX_FD */
#define ROUNDS   20000

static char socket_path[64];
static int receiver, sender;
static struct notify_message message;
static uint64_t seed;

static uint32_t below(uint32_t limit)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)(seed >> 11) % limit;
}

static int open_both(void **state)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct rlimit many = {2048, 2048};
	int size = 1 << 20;

	(void)state;
	setrlimit(RLIMIT_NOFILE, &many);
	snprintf(socket_path, sizeof(socket_path), "/tmp/test_notify_fuzz.%d", getpid());
	receiver = notify_open(socket_path);
	sender = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	setsockopt(sender, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	memcpy(address.sun_path, socket_path, sizeof(socket_path));
	return receiver < 0 || connect(sender, (struct sockaddr *)&address, sizeof(address)) < 0;
}

static int close_both(void **state)
{
	(void)state;
	close(receiver);
	close(sender);
	return unlink(socket_path);
}

static uint32_t open_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	uint32_t count = 0;

	assert_non_null(dir);
	while (readdir(dir) != NULL) {
		count++;
	}
	closedir(dir);
	return count;
}

/* --- making messages --- */

static const char *const pieces[] = {"READY=1", "READY=", "READY=10", "RELOADING=1", "STOPPING=1",
	"STATUS=", "STATUS=ok", "ERRNO=2", "ERRNO=-1", "ERRNO=99999", "MAINPID=1", "MAINPID=2",
	"MAINPID=4294967297", "MAINPID=0x10", "EXTEND_TIMEOUT_USEC=1",
	"EXTEND_TIMEOUT_USEC=18446744073709551615", "EXTEND_TIMEOUT_USEC=18446744073709551616",
	"WATCHDOG=1", "WATCHDOG=trigger", "WATCHDOG=2", "WATCHDOG_USEC=0", "WATCHDOG_USEC=-5",
	"MONOTONIC_USEC=7", "BARRIER=1", "NOTIFYACCESS=all", "NOTIFYACCESS=alles",
	"NOTIFYACCESS=", "EXIT_STATUS=255", "EXIT_STATUS=256", "FDSTORE=1", "FDSTOREREMOVE=1",
	"FDPOLL=0", "FDNAME=name", "FDNAME=a:b", "FDNAME=", "X_OWN=1", "=", "==", "\n", "\n\n",
	"\r\n", "\xff", "\xc3\xbc", "\xed\xa0\x80", "\xf0\x9f\x98\x80", " ", "\t", "\x1b[2J"};

static size_t make_text(char *text)
{
	uint32_t kind = below(20);
	size_t size = 0, wanted = kind == 0 ? below(TEXT_MAX) : below(kind == 1 ? 9000 : 200);

	while (size < wanted) {
		const char *piece = pieces[below(sizeof(pieces) / sizeof(pieces[0]))];
		size_t length = strlen(piece);
		if (size + length + 1 >= TEXT_MAX) {
			break;
		}
		memcpy(text + size, piece, length);
		size += length;
		if (below(4) > 0) {
			text[size++] = '\n';
		}
	}
	for (uint32_t i = below(4); kind == 2 && size > 0 && i > 0; i--) {
		text[below((uint32_t)size)] ^= (char)(1 << below(8));
	}
	if (kind == 3 && size > 0) {
		text[below((uint32_t)size)] = '\0';
	}
	return size;
}

static bool send_message(const char *text, size_t size, int fd, uint32_t count)
{
	static _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int) * FDS_MAX)];
	struct iovec part = {.iov_base = (void *)(uintptr_t)text, .iov_len = size};
	struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1};

	if (count > 0) {
		struct cmsghdr *rights = (struct cmsghdr *)(void *)control;
		header.msg_control = control;
		header.msg_controllen = CMSG_SPACE(sizeof(int) * count);
		rights->cmsg_level = SOL_SOCKET;
		rights->cmsg_type = SCM_RIGHTS;
		rights->cmsg_len = CMSG_LEN(sizeof(int) * count);
		for (uint32_t i = 0; i < count; i++) {
			memcpy(CMSG_DATA(rights) + i * sizeof(int), &fd, sizeof(int));
		}
	}
	return sendmsg(sender, &header, MSG_DONTWAIT) == (ssize_t)size;
}

/* --- what may come of it --- */

static bool says(const char *text, size_t size, const char *line)
{
	size_t length = strlen(line);

	for (size_t i = 0; i + length <= size; i++) {
		bool begins = i == 0 || text[i - 1] == '\n';
		bool ends =
			i + length == size || text[i + length] == '\n' || text[i + length] == '\0';
		if (begins && ends && memcmp(text + i, line, length) == 0) {
			return true;
		}
	}
	return false;
}

static void check_texts(void)
{
	assert_non_null(memchr(message.status, 0, sizeof(message.status)));
	assert_non_null(memchr(message.fd_name, 0, sizeof(message.fd_name)));
	assert_non_null(memchr(message.access, 0, sizeof(message.access)));
	for (const char *at = message.status; *at; at++) {
		assert_true((unsigned char)*at >= 0x20 && *at != 0x7f);
	}
	for (const char *at = message.fd_name; *at; at++) {
		assert_true(*at > ' ' && *at < 0x7f && *at != ':');
	}
	if (message.has_access) {
		assert_true(strcmp(message.access, "none") == 0 ||
			    strcmp(message.access, "main") == 0 ||
			    strcmp(message.access, "exec") == 0 ||
			    strcmp(message.access, "all") == 0);
	}
}

static void check_taken(const char *text, size_t size, uint32_t count)
{
	assert_int_equal(message.pid, getpid());
	assert_true(size <= 8192);
	assert_true(message.fds_count <= count);
	assert_true(message.fds_count == 0 || message.fd_store || message.barrier);
	assert_true(!message.has_main_pid || message.main_pid > 1);
	assert_true(!message.has_errno || (message.error >= 0 && message.error < 4096));
	assert_true(!message.has_exit_status ||
		    (message.exit_status >= 0 && message.exit_status <= 255));
	assert_true(!message.ready || says(text, size, "READY=1"));
	assert_true(!message.stopping || says(text, size, "STOPPING=1"));
	assert_true(!message.watchdog_trigger || says(text, size, "WATCHDOG=trigger"));
	assert_true(!message.barrier || size <= strlen("BARRIER=1\n") + 1);
	check_texts();
	for (uint32_t i = 0; i < message.fds_count; i++) {
		assert_true(fcntl(message.fds[i], F_GETFD) & FD_CLOEXEC);
		close(message.fds[i]);
	}
}

static void fuzz(uint64_t from)
{
	static char text[TEXT_MAX];
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	uint32_t before = open_descriptors(), taken = 0, refused = 0;

	seed = from;
	for (int round = 0; round < ROUNDS; round++) {
		size_t size = make_text(text);
		uint32_t count = below(5) == 0 ? below(below(10) == 0 ? FDS_MAX + 1 : 20) : 0;
		/* No bytes at all and descriptors cannot be sent. */
		if (!send_message(text, size, fd, size > 0 ? count : 0)) {
			continue;
		}
		int result = notify_receive(receiver, &message);
		assert_true(result == 1 || result == -EBADMSG);
		if (result == 1) {
			taken++;
			check_taken(text, size, count);
		} else {
			refused++;
		}
		if (round % 1000 == 0) {
			assert_int_equal(open_descriptors(), before);
		}
	}
	assert_int_equal(notify_receive(receiver, &message), 0);
	assert_int_equal(open_descriptors(), before);
	assert_true(taken > ROUNDS / 3 && refused > ROUNDS / 50);
	close(fd);
}

static void test_fuzz(void **state)
{
	(void)state;
	fuzz(UINT64_C(88172645463325252));
}

static void test_fuzz_again(void **state)
{
	(void)state;
	fuzz(UINT64_C(1234567));
}

/* A receiver that may open nothing more: the message is dropped, not half believed. */
static void test_no_room_for_descriptors(void **state)
{
	struct rlimit few, before;
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	(void)state;
	getrlimit(RLIMIT_NOFILE, &before);
	assert_true(send_message("FDSTORE=1", 9, fd, 8));
	few = (struct rlimit){(rlim_t)fd + 3, before.rlim_max};
	setrlimit(RLIMIT_NOFILE, &few);
	assert_int_equal(notify_receive(receiver, &message), -EBADMSG);
	setrlimit(RLIMIT_NOFILE, &before);
	assert_true(send_message("READY=1", 7, fd, 0));
	assert_int_equal(notify_receive(receiver, &message), 1);
	assert_true(message.ready);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fuzz),
		cmocka_unit_test(test_fuzz_again),
		cmocka_unit_test(test_no_room_for_descriptors),
	};

	return cmocka_run_group_tests_name("notify fuzz", tests, open_both, close_both);
}
