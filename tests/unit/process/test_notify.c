#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "process/spawn.h"

static char socket_path[64];
static int receiver, sender;
static struct notify_message message;

static int open_both(void **state)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	(void)state;
	snprintf(socket_path, sizeof(socket_path), "/tmp/test_notify.%d", getpid());
	receiver = notify_open(socket_path);
	sender = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
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

static void send_with(const void *text, size_t size, const int *fds, size_t count)
{
	union {
		char space[CMSG_SPACE(sizeof(int) * 253)];
		struct cmsghdr align;
	} control = {{0}};
	struct iovec part = {.iov_base = (void *)(uintptr_t)text, .iov_len = size};
	struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1};

	if (count) {
		struct cmsghdr *rights = &control.align;

		header.msg_control = &control;
		header.msg_controllen = CMSG_SPACE(sizeof(int) * count);
		rights->cmsg_level = SOL_SOCKET;
		rights->cmsg_type = SCM_RIGHTS;
		rights->cmsg_len = CMSG_LEN(sizeof(int) * count);
		memcpy(CMSG_DATA(rights), fds, sizeof(int) * count);
	}
	assert_int_equal(sendmsg(sender, &header, 0), (ssize_t)size);
}

/* Sends a text and receives it. */
static int exchange(const char *text)
{
	send_with(text, strlen(text), NULL, 0);
	return notify_receive(receiver, &message);
}

static void assert_nothing_said(void)
{
	struct notify_message silent = {.pid = getpid(), .uid = getuid()};

	assert_memory_equal(&message, &silent, sizeof(silent));
}

/* --- the socket --- */

static void test_socket(void **state)
{
	char path[200];
	struct stat info;
	int fd, again;

	(void)state;
	snprintf(path, sizeof(path), "/tmp/test_notify.%d.x", getpid());
	umask(077);
	fd = notify_open(path);
	assert_true(fd >= 0);
	assert_int_equal(stat(path, &info), 0);
	assert_int_equal(info.st_mode & 07777, 0666);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
	assert_int_equal(notify_receive(fd, &message), 0);
	again = notify_open(path); /* made anew */
	assert_true(again >= 0);
	close(fd);
	close(again);
	unlink(path);
	assert_int_equal(notify_open("/nowhere/notify"), -ENOENT);
	assert_int_equal(notify_open(""), -EINVAL);
	/* sun_path has 108 bytes: a path of 107 fits, and is never cut. */
	memset(path, 'x', sizeof(path) - 1);
	memcpy(path, "/tmp/", 5);
	path[108] = '\0';
	assert_int_equal(notify_open(path), -ENAMETOOLONG);
	path[107] = '\0';
	fd = notify_open(path);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(unlink(path), 0);
}

/* Of a child, and after it is gone. */
static void test_sender(void **state)
{
	pid_t pid = fork();

	(void)state;
	if (pid == 0) {
		_exit(send(sender, "READY=1", 7, 0) != 7);
	}
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_int_equal(notify_receive(receiver, &message), 1);
	assert_int_equal(message.pid, pid);
	assert_true(message.ready);
	assert_int_equal(notify_receive(receiver, &message), 0);
}

/* A socket that does not ask for credentials: nobody is believed. */
static void test_sender_unknown(void **state)
{
	int pair[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(send(pair[0], "READY=1", 7, 0), 7);
	assert_int_equal(notify_receive(pair[1], &message), -EBADMSG);
	close(pair[0]);
	close(pair[1]);
	assert_int_equal(notify_receive(pair[1], &message), -EBADF);
}

/* --- texts --- */

static void test_all_assignments(void **state)
{
	(void)state;
	assert_int_equal(
		exchange("READY=1\nRELOADING=1\nSTOPPING=1\nWATCHDOG=1\nMAINPID=4711\n"
			 "STATUS=All is well: 5 = 5\nERRNO=2\nEXTEND_TIMEOUT_USEC=5000000\n"
			 "WATCHDOG_USEC=20000000\nFDSTOREREMOVE=1\nFDNAME=web-1.sock\n"
			 "MONOTONIC_USEC=1\nX_OURS=2\n"),
		1);
	assert_int_equal(message.pid, getpid());
	assert_true(message.ready && message.reloading && message.stopping && message.watchdog);
	assert_false(message.watchdog_trigger);
	assert_true(message.has_main_pid);
	assert_int_equal(message.main_pid, 4711);
	assert_true(message.has_status);
	assert_string_equal(message.status, "All is well: 5 = 5");
	assert_true(message.has_errno);
	assert_int_equal(message.error, 2);
	assert_true(message.has_extend && message.has_watchdog_usec);
	assert_int_equal(message.extend_usec, 5000000);
	assert_int_equal(message.watchdog_usec, 20000000);
	assert_true(message.fd_remove);
	assert_false(message.fd_store || message.barrier);
	assert_string_equal(message.fd_name, "web-1.sock");
	assert_int_equal(message.fds_count, 0);

	assert_int_equal(exchange("WATCHDOG=trigger"), 1);
	assert_true(message.watchdog_trigger);
	assert_false(message.watchdog || message.ready);
	assert_int_equal(exchange("STATUS="), 1);
	assert_true(message.has_status);
	assert_string_equal(message.status, "");
}

/* Received, but nothing of it is believed. */
static void test_values_that_say_nothing(void **state)
{
	static const char *const texts[] = {
		"READY=0",
		"READY=",
		"READY=11",
		"READY=1 ",
		" READY=1",
		"ready=1",
		"READY =1",
		"MAINPID=",
		"MAINPID=0",
		"MAINPID=1",
		"MAINPID=-5",
		"MAINPID=+5",
		"MAINPID=12x",
		"MAINPID= 12",
		"MAINPID=2147483648",
		"MAINPID=99999999999999999999999999",
		"MAINPID=0x10",
		"ERRNO=-1",
		"ERRNO=4096",
		"ERRNO=EIO",
		"EXTEND_TIMEOUT_USEC=0",
		"EXTEND_TIMEOUT_USEC=5s",
		"EXTEND_TIMEOUT_USEC=18446744073709551616",
		"WATCHDOG_USEC=-1",
		"WATCHDOG_USEC=",
		"WATCHDOG=0",
		"WATCHDOG=Trigger",
		"FDSTORE=0",
		"FDNAME=a:b",
		"FDNAME=a b",
		"FDNAME=\xc3\xa4",
		"FDNAME=a\tb",
		"X=1",
		"BARRIER=0",
		"BARRIER=1\nX=1",
		"READYREADY=1=1",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		if (exchange(texts[i]) != 1) {
			fail_msg("not received: %s", texts[i]);
		}
		assert_nothing_said();
	}
}

static void test_garbage(void **state)
{
	static const char *const texts[] = {
		"", "\n", "\n\n\n", "READY", "=1", "=", "hello\nworld", "=READY=1", "\xff\xfe\xfd"};
	static char big[20000];

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		if (exchange(texts[i]) != -EBADMSG) {
			fail_msg("taken: %s", texts[i]);
		}
	}
	send_with("READY=1\0STOPPING=1", 18, NULL, 0);
	assert_int_equal(notify_receive(receiver, &message), -EBADMSG);
	send_with("\0READY=1", 8, NULL, 0);
	assert_int_equal(notify_receive(receiver, &message), -EBADMSG);
	send_with("READY=1\0\0", 9, NULL, 0);
	assert_int_equal(notify_receive(receiver, &message), -EBADMSG);
	send_with("READY=1", 8, NULL, 0); /* one at the end is a slip that many make */
	assert_int_equal(notify_receive(receiver, &message), 1);
	assert_true(message.ready);

	/* As large as can be, and one byte more: never cut and believed. */
	memset(big, 'x', sizeof(big));
	memcpy(big, "READY=1\nSTATUS=", 15);
	send_with(big, 8192, NULL, 0);
	assert_int_equal(notify_receive(receiver, &message), 1);
	assert_true(message.ready);
	assert_int_equal(strlen(message.status), sizeof(message.status) - 1);
	send_with(big, 8193, NULL, 0);
	assert_int_equal(notify_receive(receiver, &message), -EBADMSG);
	send_with(big, 20000, NULL, 0);
	assert_int_equal(notify_receive(receiver, &message), -EBADMSG);
	assert_int_equal(notify_receive(receiver, &message), 0);
}

/* Any bytes whatever: the answer is 1 or -EBADMSG, and the texts are terminated. */
static void test_random_bytes(void **state)
{
	static const char *const pieces[] = {"READY=1", "STATUS=", "MAINPID=", "\n", "=",
		"FDNAME=", "BARRIER=1", "\xc3", "\xf0\x9f\x98\x80", "9999", "WATCHDOG_USEC="};
	unsigned seed = 42;

	(void)state;
	for (int round = 0; round < 5000; round++) {
		char text[512];
		size_t size = 0;
		int result;

		while (size < sizeof(text) - 16 && rand_r(&seed) % 12) {
			const char *piece = pieces[(size_t)rand_r(&seed) % 11];

			if (rand_r(&seed) % 4) {
				memcpy(text + size, piece, strlen(piece));
				size += strlen(piece);
			} else {
				text[size++] = (char)rand_r(&seed);
			}
		}
		send_with(text, size, NULL, 0);
		result = notify_receive(receiver, &message);
		assert_true(result == 1 || result == -EBADMSG);
		if (result == 1) {
			assert_non_null(memchr(message.status, 0, sizeof(message.status)));
			assert_non_null(memchr(message.fd_name, 0, sizeof(message.fd_name)));
		}
	}
}

static void test_status_can_be_shown(void **state)
{
	static const struct {
		const char *sent, *shown;
	} cases[] = {
		{"STATUS=Gr\xc3\xbc\xc3\x9f"
		 "e \xe2\x82\xac \xf0\x9f\x98\x80",
			"Gr\xc3\xbc\xc3\x9f"
			"e \xe2\x82\xac \xf0\x9f\x98\x80"},
		{"STATUS=a\033[31mb\tc\x7f"
		 "d\re",
			"a?[31mb?c?d?e"},
		{"STATUS=\xc2\x9b"
		 "31m",
			"?31m"},                          /* a C1 control: CSI */
		{"STATUS=\xff\xc3(\xe2\x82", "?\?(?\?"},  /* no characters at all */
		{"STATUS=\xc0\xaf\xed\xa0\x80", "?????"}, /* overlong, surrogate */
		{"STATUS=\xf4\x90\x80\x80.", "????."},    /* beyond U+10FFFF */
	};
	char text[1024] = "STATUS=";

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(exchange(cases[i].sent), 1);
		assert_string_equal(message.status, cases[i].shown);
	}
	/* Cut between characters: 511 is odd. */
	for (int i = 0; i < 300; i++) {
		strcat(text, "\xc3\xbc");
	}
	assert_int_equal(exchange(text), 1);
	assert_int_equal(strlen(message.status), 510);
}

static void test_fd_name_is_whole_or_none(void **state)
{
	char text[256] = "FDNAME=";

	(void)state;
	memset(text + 7, 'n', 127);
	assert_int_equal(exchange(text), 1);
	assert_int_equal(strlen(message.fd_name), 127);
	memset(text + 7, 'n', 128);
	assert_int_equal(exchange(text), 1);
	assert_string_equal(message.fd_name, "");
}

/* --- descriptors --- */

/* Sends copies of a pipe's write end with a text; the pipe hangs up when all copies are closed. */
static int send_pipe_ends(const char *text, size_t count)
{
	int fds[253], ends[2];

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	for (size_t i = 0; i < count; i++) {
		fds[i] = ends[1];
	}
	send_with(text, strlen(text), fds, count);
	close(ends[1]);
	return ends[0];
}

static bool is_hung_up(int fd)
{
	struct pollfd look = {.fd = fd};

	return poll(&look, 1, 0) == 1 && look.revents & POLLHUP;
}

static void test_stored_descriptors(void **state)
{
	int end = send_pipe_ends("FDSTORE=1\nFDNAME=state", 16);

	(void)state;
	assert_int_equal(notify_receive(receiver, &message), 1);
	assert_true(message.fd_store);
	assert_string_equal(message.fd_name, "state");
	assert_int_equal(message.fds_count, 16);
	for (int i = 0; i < 16; i++) {
		assert_false(is_hung_up(end));
		assert_true(fcntl(message.fds[i], F_GETFD) & FD_CLOEXEC);
		close(message.fds[i]);
	}
	assert_true(is_hung_up(end));
	close(end);
}

static void test_barrier(void **state)
{
	int end = send_pipe_ends("BARRIER=1", 1);

	(void)state;
	assert_int_equal(notify_receive(receiver, &message), 1);
	assert_true(message.barrier);
	assert_int_equal(message.fds_count, 1);
	assert_false(is_hung_up(end)); /* the caller lets go, when it has done what came before */
	close(message.fds[0]);
	assert_true(is_hung_up(end));
	close(end);
}

static void test_unwanted_descriptors_are_closed(void **state)
{
	static const struct {
		const char *text;
		size_t count;
		int result;
	} cases[] = {
		{"READY=1", 3, 1},
		{"BARRIER=1", 2, 1},
		{"BARRIER=1\nREADY=1", 1, 1},
		{"FDSTORE=0", 1, 1},
		{"FDSTORE=1", 17, -EBADMSG},
		{"FDSTORE=1", 253, -EBADMSG},
		{"garbage", 4, -EBADMSG},
		{"", 1, -EBADMSG},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int end = send_pipe_ends(cases[i].text, cases[i].count);

		assert_int_equal(notify_receive(receiver, &message), cases[i].result);
		assert_true(is_hung_up(end));
		if (cases[i].result == 1) {
			assert_int_equal(message.fds_count, 0);
		}
		close(end);
	}
}

static void test_what_is_peeked_at_stays_until_it_is_dropped(void **state)
{
	(void)state;
	send_with("STATUS=one", 10, NULL, 0);
	send_with("garbage", 7, NULL, 0);
	send_with("STATUS=two", 10, NULL, 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(notify_peek(receiver, &message), 1);
		assert_string_equal(message.status, "one");
	}
	notify_drop(receiver);
	assert_int_equal(notify_peek(receiver, &message), -EBADMSG);
	assert_int_equal(notify_peek(receiver, &message), -EBADMSG);
	notify_drop(receiver);
	assert_int_equal(notify_peek(receiver, &message), 1);
	assert_string_equal(message.status, "two");
	notify_drop(receiver);
	assert_int_equal(notify_peek(receiver, &message), 0);
	notify_drop(receiver); /* of nothing */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_socket),
		cmocka_unit_test(test_sender),
		cmocka_unit_test(test_sender_unknown),
		cmocka_unit_test(test_all_assignments),
		cmocka_unit_test(test_values_that_say_nothing),
		cmocka_unit_test(test_garbage),
		cmocka_unit_test(test_random_bytes),
		cmocka_unit_test(test_status_can_be_shown),
		cmocka_unit_test(test_fd_name_is_whole_or_none),
		cmocka_unit_test(test_stored_descriptors),
		cmocka_unit_test(test_barrier),
		cmocka_unit_test(test_unwanted_descriptors_are_closed),
		cmocka_unit_test(test_what_is_peeked_at_stays_until_it_is_dropped),
	};

	return cmocka_run_group_tests(tests, open_both, close_both);
}
