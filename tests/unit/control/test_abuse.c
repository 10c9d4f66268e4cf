/* Clients that mean harm or know no better: garbage, half messages, 100 MB, nothing at all, no
 * reading, a crowd, and a server without descriptors. */
#include "unit/control/rig.h"

#include <sys/resource.h>
#include <time.h>

#define ECHO "{\"method\":\"org.coppice.Control.Echo\",\"parameters\":{}}"

/* The server still serves. */
static void assert_served(struct rig *rig)
{
	int fd = rig_connect(rig);

	rig_say(fd, ECHO);
	rig_expect(rig, fd, "{\"parameters\":{}}");
	close(fd);
	rig_run(rig);
}

static const char *const garbage[] = {
	"",
	" ",
	"garbage",
	"{",
	"}",
	"[]",
	"null",
	"1",
	"\"method\"",
	"{}",
	"{\"method\":1}",
	"{\"method\":null}",
	"{\"method\":[\"org.coppice.Control.Echo\"]}",
	"{\"method\":\"org.coppice.Control.Echo\",\"parameters\":[]}",
	"{\"method\":\"org.coppice.Control.Echo\",\"parameters\":null}",
	"{\"method\":\"org.coppice.Control.Echo\",\"more\":1}",
	"{\"method\":\"org.coppice.Control.Echo\",\"oneway\":\"yes\"}",
	"{\"method\":\"org.coppice.Control.Echo\",\"upgrade\":true}",
	"{\"method\":\"org.coppice.Control.Echo\",\"method\":\"org.coppice.Control.Echo\"}",
	"{\"method\":\"org.coppice.Control.Echo\"} trailing",
	"{\"method\":\"org.coppice.Control.Echo\\u0000\"}",
	"{\"method\":\"\xff\xfe\"}",
	"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
	"\x16\x03\x01\x02",
};

static void test_garbage(void **state)
{
	struct rig *rig = *state;

	for (size_t i = 0; i < sizeof(garbage) / sizeof(garbage[0]); i++) {
		int fd = rig_connect(rig);

		rig_say(fd, garbage[i]);
		if (!rig_is_closed(rig, fd)) {
			fail_msg("garbage %zu was taken: %s", i, garbage[i]);
		}
		close(fd);
	}
	assert_int_equal(rig->done_count, 0);
	assert_served(rig);
}

/* What came before the garbage is answered, what comes behind it is not. */
static void test_garbage_behind_a_call(void **state)
{
	struct rig *rig = *state;
	int fd = rig_connect(rig);

	rig_say(fd, ECHO);
	rig_say(fd, "{");
	rig_say(fd, ECHO);
	rig_expect(rig, fd, "{\"parameters\":{}}");
	assert_true(rig_is_closed(rig, fd));
	assert_int_equal(rig->done_count, 1);
	close(fd);
}

static void test_random_bytes(void **state)
{
	struct rig *rig = *state;
	unsigned seed = (unsigned)time(NULL);

	print_message("seed %u\n", seed);
	srandom(seed);
	for (int i = 0; i < 300; i++) {
		int fd = rig_connect(rig);
		char bytes[512];

		for (size_t j = 0; j < sizeof(bytes); j++) {
			bytes[j] =
				(char)(random() % 4 == 0 ? "{}[]\",:\\"[random() % 8] : random());
		}
		(void)send(fd, bytes, (size_t)random() % sizeof(bytes), MSG_NOSIGNAL);
		if (random() % 2 == 0) {
			rig_run(rig);
		}
		close(fd);
		rig_run(rig);
	}
	assert_int_equal(rig->done_count, 0);
	assert_served(rig);
}

static void test_deep_nesting(void **state)
{
	struct rig *rig = *state;
	static char text[200000];
	int fd;

	/* 40 levels are too deep, 20 are not. */
	for (int depth = 20; depth <= 40; depth += 20) {
		strcpy(text, "{\"method\":\"org.coppice.Control.Echo\",\"parameters\":{\"a\":");
		for (int i = 0; i < depth; i++) {
			strcat(text, "[");
		}
		for (int i = 0; i < depth; i++) {
			strcat(text, "]");
		}
		strcat(text, "}}");
		fd = rig_connect(rig);
		rig_say(fd, text);
		assert_int_equal(rig_is_closed(rig, fd), depth > 32);
		close(fd);
	}
	memset(text, '[', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	fd = rig_connect(rig);
	for (size_t i = 0; i < sizeof(text); i += 10000) {
		(void)send(fd, text + i, 10000, MSG_NOSIGNAL);
		rig_run(rig);
	}
	assert_true(rig_is_closed(rig, fd));
	close(fd);
	assert_served(rig);
}

/* Brackets in strings are no nesting. */
static void test_brackets_in_strings(void **state)
{
	struct rig *rig = *state;
	int fd = rig_connect(rig);

	rig_say(fd, "{\"method\":\"org.coppice.Control.Echo\",\"parameters\":{\"a\":"
		    "\"[[[[[[[[[[[[[[[[[[[[[[[[[[\\\"[[[[[[[[[[[[[[[[[[[[[[\"}}");
	assert_non_null(rig_hear(rig, fd));
	close(fd);
}

static void test_too_many_values(void **state)
{
	struct rig *rig = *state;
	static char text[400000];
	int fd = rig_connect(rig);
	size_t size;

	strcpy(text, "{\"method\":\"org.coppice.Control.Echo\",\"parameters\":{\"a\":[0");
	size = strlen(text);
	for (int i = 0; i < 70000; i++) {
		text[size++] = ',';
		text[size++] = '0';
	}
	strcpy(text + size, "]}}");
	size += 4;
	for (size_t sent = 0; sent < size;) {
		ssize_t got = send(fd, text + sent, size - sent, MSG_NOSIGNAL | MSG_DONTWAIT);

		sent += got > 0 ? (size_t)got : 0;
		rig_run(rig);
	}
	assert_true(rig_is_closed(rig, fd));
	close(fd);
	assert_served(rig);
}

static long resident_kib(void)
{
	struct rusage usage;

	assert_int_equal(getrusage(RUSAGE_SELF, &usage), 0);
	return usage.ru_maxrss;
}

static void test_hundred_megabytes(void **state)
{
	struct rig *rig = *state;
	static char chunk[65536];
	int fd = rig_connect(rig);
	size_t sent = 0;
	long before = resident_kib();

	memset(chunk, 'a', sizeof(chunk));
	while (sent < 100 * 1024 * 1024) {
		ssize_t got = send(fd, chunk, sizeof(chunk), MSG_NOSIGNAL | MSG_DONTWAIT);

		if (got < 0 && errno != EAGAIN) {
			break;
		}
		sent += got > 0 ? (size_t)got : 0;
		rig_run(rig);
	}
	assert_true(rig_is_closed(rig, fd));
	assert_true(sent > CONTROL_MESSAGE_MAX && sent < 2 * CONTROL_MESSAGE_MAX);
	assert_true(resident_kib() - before < 8 * 1024);
	close(fd);
	assert_served(rig);
}

/* Exactly the largest message is taken, one byte more is not. */
static void test_largest_message(void **state)
{
	struct rig *rig = *state;

	for (size_t extra = 0; extra < 2; extra++) {
		size_t size = CONTROL_MESSAGE_MAX + extra, sent = 0;
		char *text = malloc(size + 1);
		const char head[] = "{\"method\":\"org.coppice.Control.Mark\",\"parameters\":{"
				    "\"name\":\"m\"},\"x\":\"";
		int fd = rig_connect(rig);

		memset(text, 'x', size);
		memcpy(text, head, sizeof(head) - 1);
		memcpy(text + size - 2, "\"}", 3);
		while (sent < size + 1) {
			ssize_t got =
				send(fd, text + sent, size + 1 - sent, MSG_NOSIGNAL | MSG_DONTWAIT);

			if (got < 0 && errno != EAGAIN) {
				break;
			}
			sent += got > 0 ? (size_t)got : 0;
			rig_run(rig);
		}
		if (extra == 0) {
			rig_expect(rig, fd, "{\"parameters\":{}}");
		} else {
			assert_true(rig_is_closed(rig, fd));
		}
		close(fd);
		free(text);
	}
	assert_string_equal(rig->order, "m");
	assert_served(rig);
}

/* Pipelining without end while the first call is held: the rest stays in the kernel. */
static void test_flood_of_calls(void **state)
{
	struct rig *rig = *state;
	static char chunk[65536];
	int fd = rig_connect(rig);
	const size_t size = sizeof(ECHO), whole = sizeof(chunk) - sizeof(chunk) % size;
	size_t sent = 0;
	unsigned full = 0;

	rig_say(fd, "{\"method\":\"org.coppice.Control.Hold\"}");
	for (size_t i = 0; i < whole; i += size) {
		memcpy(chunk + i, ECHO, size);
	}
	while (full < 3) {
		ssize_t got = send(fd, chunk, whole, MSG_NOSIGNAL | MSG_DONTWAIT);

		assert_true(got > 0 || errno == EAGAIN);
		full += got < 0;
		sent += got > 0 ? (size_t)got : 0;
		rig_run(rig);
	}
	assert_true(sent < 2 * 1024 * 1024);
	assert_int_equal(rig->done_count, 0);
	assert_served(rig);
	close(fd);
	rig_run(rig);
	assert_int_equal(rig->gone_count, 1);
}

/* --- slow readers --- */

/* An event stream to somebody who does not read ends with a disconnection. */
static void test_slow_reader(void **state)
{
	struct rig *rig = *state;
	int fd = rig_connect(rig);
	unsigned sent = 0;

	rig_say(fd, "{\"method\":\"org.coppice.Control.Stream\",\"more\":true}");
	rig_run(rig);
	while (control_reply_more(rig->held[0], rig_big(100000))) {
		assert_true(++sent < 100);
	}
	assert_true(sent * 100000 > CONTROL_QUEUE_MAX);
	assert_int_equal(rig->gone_count, 1);
	rig_run(rig);
	close(fd);
	assert_served(rig);
}

/* A polite sender stops when there is no room, and goes on when the client has read. */
static void test_polite_sender(void **state)
{
	struct rig *rig = *state;
	int fd = rig_connect(rig);
	unsigned heard = 0;

	rig_say(fd, "{\"method\":\"org.coppice.Control.Flood\",\"more\":true,\"parameters\":{"
		    "\"count\":300}}");
	rig_run(rig);
	assert_true(rig->flood_sent > 5 && rig->flood_sent < 20);
	assert_int_equal(rig_run(rig), 0);
	while (strstr(rig_hear(rig, fd), "continues") != NULL) {
		heard++;
	}
	assert_int_equal(heard, 300);
	assert_true(rig->drained_count > 5);
	assert_int_equal(rig->gone_count, 0);
	close(fd);
}

/* Once there is room again, that is said once, and not again and again. */
static void test_drained_is_said_once(void **state)
{
	struct rig *rig = *state;
	int fd = rig_connect(rig);
	unsigned sent = 0;

	rig_say(fd, "{\"method\":\"org.coppice.Control.Stream\",\"more\":true}");
	rig_run(rig);
	/* To stop at little room is as good as to stop at none. */
	while (control_call_room(rig->held[0]) > 300000) {
		assert_true(control_reply_more(rig->held[0], rig_big(100000)));
		sent++;
	}
	for (unsigned i = 0; i < sent; i++) {
		assert_non_null(rig_hear(rig, fd));
	}
	assert_int_equal(rig->drained_count, 1);
	assert_int_equal(rig_run(rig), 0);
	close(fd);
}

/* One reply may be larger than the queue. */
static void test_huge_reply(void **state)
{
	struct rig *rig = *state;
	static char buffer[65536];
	int fd = rig_connect(rig);
	size_t heard = 0;
	ssize_t got;

	rig_say(fd, "{\"method\":\"org.coppice.Control.Hold\"}");
	rig_run(rig);
	control_reply(rig->held[0], rig_big(2 * CONTROL_QUEUE_MAX));
	do {
		rig_run(rig);
		got = recv(fd, buffer, sizeof(buffer), MSG_DONTWAIT);
		assert_true(got > 0);
		heard += (size_t)got;
	} while (buffer[got - 1] != '\0');
	assert_true(heard > 2 * CONTROL_QUEUE_MAX);
	close(fd);
}

static void test_flush(void **state)
{
	struct rig *rig = *state;
	int fd = rig_connect(rig);
	struct timespec before, after;

	rig_say(fd, "{\"method\":\"org.coppice.Control.Hold\"}");
	rig_run(rig);
	control_reply(rig->held[0], rig_big(1000000));
	clock_gettime(CLOCK_MONOTONIC, &before);
	control_server_flush(rig->server, 30); /* nobody reads: it gives up in time */
	clock_gettime(CLOCK_MONOTONIC, &after);
	assert_true(after.tv_sec - before.tv_sec < 5);
	close(fd);
	control_server_flush(rig->server, 10000); /* the client has gone: nothing to wait for */
	clock_gettime(CLOCK_MONOTONIC, &after);
	assert_true(after.tv_sec - before.tv_sec < 5);
	assert_served(rig);
}

/* --- crowds --- */

/* Silent clients make room for those who speak, the one silent for longest first. */
static void test_silent_crowd(void **state)
{
	struct rig *rig = *state;
	int fds[CONTROL_CLIENTS_MAX + 50];
	int count = CONTROL_CLIENTS_MAX + 50;

	for (int i = 0; i < count; i++) {
		fds[i] = rig_connect(rig);
	}
	rig_run(rig);
	for (int i = 0; i < count; i++) {
		assert_int_equal(rig_is_closed(rig, fds[i]), i < 50);
	}
	rig_say(fds[50], ECHO); /* not silent any more: the turn is that of the next one */
	rig_expect(rig, fds[50], "{\"parameters\":{}}");
	assert_served(rig);
	assert_false(rig_is_closed(rig, fds[50]));
	assert_true(rig_is_closed(rig, fds[51]));
	assert_false(rig_is_closed(rig, fds[52]));
	for (int i = 0; i < count; i++) {
		close(fds[i]);
	}
}

/* Readers take half of the places at most; who may do everything always finds one. */
static void test_crowd_of_readers(void **state)
{
	struct rig *rig = *state;
	int fds[CONTROL_CLIENTS_MAX], last;

	rig->access = 1;
	for (int i = 0; i < CONTROL_CLIENTS_MAX / 2; i++) {
		fds[i] = rig_connect(rig);
		rig_say(fds[i], "{\"method\":\"org.coppice.Control.Stream\",\"more\":true}");
		rig_run(rig);
		rig->held_count = 0;
	}
	last = rig_connect(rig);
	assert_string_equal(rig_hear(rig, last),
		"{\"error\":\"org.coppice.Control.TooManyRequests\",\"parameters\":{}}");
	close(last);
	rig->access = 2;
	assert_served(rig);
	for (int i = 0; i < CONTROL_CLIENTS_MAX / 2; i++) {
		close(fds[i]);
	}
	rig_run(rig);
	assert_int_equal(rig->gone_count, CONTROL_CLIENTS_MAX / 2);
}

/* Out of descriptors: accepting rests, those inside are served, nothing spins, and it goes on. */
static void test_no_descriptors(void **state)
{
	struct rig *rig = *state;
	struct pollfd fd = {.fd = control_server_fd(rig->server), .events = POLLIN};
	struct rlimit limit, low;
	int inside = rig_connect(rig), outside;
	unsigned turns = 0;

	rig_run(rig);
	outside = rig_connect(rig);
	rig_say(outside, ECHO);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	low = limit;
	low.rlim_cur = (rlim_t)outside + 1;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	while (poll(&fd, 1, 20) > 0) { /* less than the pause */
		control_server_dispatch(rig->server);
		turns++;
		assert_true(turns < 10);
	}
	rig_say(inside, ECHO);
	rig_expect(rig, inside, "{\"parameters\":{}}");
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	while (recv(outside, &(char){0}, 1, MSG_PEEK | MSG_DONTWAIT) != 1) {
		assert_true(poll(&fd, 1, 5000) > 0);
		control_server_dispatch(rig->server);
		assert_true(++turns < 100);
	}
	rig_expect(rig, outside, "{\"parameters\":{}}");
	close(inside);
	close(outside);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_garbage, rig_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(
			test_garbage_behind_a_call, rig_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(test_random_bytes, rig_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(test_deep_nesting, rig_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(test_brackets_in_strings, rig_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(test_too_many_values, rig_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(test_hundred_megabytes, rig_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(test_largest_message, rig_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(test_flood_of_calls, rig_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(test_slow_reader, rig_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(test_polite_sender, rig_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(test_drained_is_said_once, rig_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(test_huge_reply, rig_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(test_flush, rig_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(test_silent_crowd, rig_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(test_crowd_of_readers, rig_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(test_no_descriptors, rig_setup, rig_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
