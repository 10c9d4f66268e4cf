/* The shared memory: the map from pid to slot under change, messages with descriptors. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "share/share.h"

static struct share *share;

static int setup(void **state)
{
	(void)state;
	share = mmap(
		NULL, sizeof(*share), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (share == MAP_FAILED) {
		return -1;
	}
	share_init(share, getpid());
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	return munmap(share, sizeof(*share));
}

static void slot_fill(uint32_t slot, pid_t pid)
{
	atomic_store(&share->slots[slot].pid, pid);
	atomic_store(&share->slots[slot].state, SLOT_ALIVE);
	if (slot >= atomic_load(&share->slots_used_max)) {
		atomic_store(&share->slots_used_max, slot + 1);
	}
}

static void slot_enter(uint32_t slot, pid_t pid)
{
	slot_fill(slot, pid);
	share_map_insert(share, slot);
}

static void slot_leave(uint32_t slot)
{
	share_map_remove(share, slot);
	atomic_store(&share->slots[slot].state, SLOT_FREE);
	atomic_store(&share->slots[slot].pid, 0);
}

static void test_header(void **state)
{
	(void)state;
	assert_int_equal(share_check(share), 0);
	share->version++;
	assert_int_equal(share_check(share), -EPROTO);
	share->version--;
	share->size--;
	assert_int_equal(share_check(share), -EPROTO);
}

static void test_find(void **state)
{
	(void)state;
	assert_int_equal(share_find(share, 100), SHARE_SLOT_NONE);
	assert_int_equal(share_find(share, 0), SHARE_SLOT_NONE);
	slot_enter(7, 100);
	slot_enter(8, 100 + SHARE_MAP_SIZE);     /* the same home */
	slot_enter(9, 100 + 2 * SHARE_MAP_SIZE); /* and again */
	slot_enter(10, 101);                     /* pushed out of its home */
	assert_int_equal(share_find(share, 100), 7);
	assert_int_equal(share_find(share, 100 + 2 * SHARE_MAP_SIZE), 9);
	assert_int_equal(share_find(share, 101), 10);
	slot_leave(8);
	assert_int_equal(share_find(share, 100 + SHARE_MAP_SIZE), SHARE_SLOT_NONE);
	assert_int_equal(share_find(share, 100 + 2 * SHARE_MAP_SIZE), 9);
	assert_int_equal(share_find(share, 101), 10);
	assert_int_equal(atomic_load(&share->map_seq) & 1, 0);
}

/* A number that comes again before the first process with it has been forgotten. */
static void test_pid_twice(void **state)
{
	(void)state;
	slot_enter(1, 500);
	slot_enter(2, 500);
	assert_int_equal(share_find(share, 500), 2);
	slot_leave(1); /* must not take the other's entry */
	assert_int_equal(share_find(share, 500), 2);
	slot_leave(2);
	assert_int_equal(share_find(share, 500), SHARE_SLOT_NONE);
}

static uint32_t random_next(uint32_t *seed)
{
	*seed = *seed * 1664525U + 1013904223U;
	return *seed >> 8;
}

/* Many random changes against a plain table; the pids crowd into few homes. */
static void test_random(void **state)
{
	(void)state;
	enum { SLOTS = 600, PIDS = 4 * SHARE_MAP_SIZE };
	static pid_t model[SLOTS];
	memset(model, 0, sizeof(model));
	uint32_t seed = 1;
	for (int i = 0; i < 200000; i++) {
		uint32_t slot = random_next(&seed) % SLOTS;
		if (model[slot] != 0) {
			slot_leave(slot);
			assert_int_equal(share_find(share, model[slot]), SHARE_SLOT_NONE);
			model[slot] = 0;
			continue;
		}
		pid_t pid = (pid_t)(SHARE_MAP_SIZE - 100 + random_next(&seed) % 300 +
				    SHARE_MAP_SIZE * (random_next(&seed) % 4));
		if (share_find(share, pid) == SHARE_SLOT_NONE) {
			slot_enter(slot, pid);
			model[slot] = pid;
		}
	}
	for (uint32_t slot = 0; slot < SLOTS; slot++) {
		assert_int_equal(
			share_find(share, model[slot]), model[slot] == 0 ? SHARE_SLOT_NONE : slot);
	}
	share_map_rebuild(share);
	for (uint32_t slot = 0; slot < SLOTS; slot++) {
		assert_int_equal(
			share_find(share, model[slot]), model[slot] == 0 ? SHARE_SLOT_NONE : slot);
		if (model[slot] != 0) {
			slot_leave(slot);
		}
	}
	for (uint32_t at = 0; at < SHARE_MAP_SIZE; at++) {
		assert_int_equal(atomic_load(&share->map[at]), 0);
	}
}

/* The writer died between a slot and its entry: the slots are searched. */
static void test_writer_died(void **state)
{
	(void)state;
	slot_enter(3, 300);
	atomic_store(&share->map_seq, atomic_load(&share->map_seq) | 1);
	slot_fill(4, 400);
	assert_int_equal(share_find(share, 400), 4);
	assert_int_equal(share_find(share, 401), SHARE_SLOT_NONE);
	share_map_rebuild(share);
	assert_int_equal(atomic_load(&share->map_seq) & 1, 0);
	assert_int_equal(share_find(share, 300), 3);
	assert_int_equal(share_find(share, 400), 4);
}

/* A reader never misses a pid that is there, while entries in front of it come and go, so that its
 * own entry moves. */
static void test_reader_beside_writer(void **state)
{
	(void)state;
	enum { PID = 1000 + SHARE_MAP_SIZE, SLOT = 5 };
	slot_enter(1, 1000);
	slot_enter(SLOT, PID);
	pid_t writer = fork();
	assert_true(writer >= 0);
	if (writer == 0) {
		for (int i = 0; i < 20000; i++) {
			slot_leave(1); /* the gap closes: the other's entry moves home */
			slot_enter(1, 1000 + 2 * SHARE_MAP_SIZE);
			slot_enter(2, 1001);
			slot_leave(1);
			slot_leave(2);
			if (i % 100 == 0) {
				slot_enter(1, 1000);
				share_map_rebuild(share); /* slot 1 is first again */
			}
		}
		_exit(0);
	}
	uint64_t looks = 0, missed = 0;
	while (waitpid(writer, NULL, WNOHANG) == 0) {
		missed += share_find(share, PID) != SLOT ? 1 : 0;
		looks++;
	}
	assert_true(looks > 1000);
	assert_int_equal(missed, 0);
}

static void test_messages(void **state)
{
	(void)state;
	int pair[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair), 0);
	struct share_message out = {.kind = SHARE_MSG_HOLD, .value = -5, .flag = 7, .slot = 9};
	memset(out.name, 'x', sizeof(out.name)); /* not terminated: the receiver does it */
	struct share_message in;
	int fd = 99;
	assert_int_equal(share_receive(pair[1], &in, &fd), -EAGAIN);
	assert_int_equal(fd, -1);
	assert_int_equal(share_send(pair[0], &out, pair[0]), 0);
	assert_int_equal(share_receive(pair[1], &in, &fd), 1);
	assert_int_equal(in.kind, SHARE_MSG_HOLD);
	assert_int_equal(in.value, -5);
	assert_int_equal(in.slot, 9);
	assert_int_equal(strlen(in.name), SHARE_NAME_SIZE - 1);
	assert_true(fd >= 0);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	close(fd);
	assert_int_equal(share_send(pair[0], &out, -1), 0);
	assert_int_equal(share_receive(pair[1], &in, &fd), 1);
	assert_int_equal(fd, -1);
	assert_int_equal(send(pair[0], "short", 5, 0), 5);
	assert_int_equal(share_receive(pair[1], &in, &fd), -EPROTO);
	char big[sizeof(in) + 1] = {0};
	assert_int_equal(send(pair[0], big, sizeof(big), 0), (int)sizeof(big));
	assert_int_equal(share_receive(pair[1], &in, &fd), -EPROTO);
	close(pair[0]);
	assert_int_equal(share_receive(pair[1], &in, &fd), 0);
	assert_int_equal(share_send(pair[1], &out, -1), -EPIPE);
	close(pair[1]);
}

/* The last words of a peer that dies without having listened. */
static void test_message_before_reset(void **state)
{
	(void)state;
	int pair[2], fd;
	struct share_message message = {.kind = SHARE_MSG_END, .value = 7};
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair), 0);
	assert_int_equal(share_send(pair[1], &message, -1), 0);
	assert_int_equal(share_send(pair[0], &message, -1), 0);
	close(pair[1]);
	memset(&message, 0, sizeof(message));
	assert_int_equal(share_receive(pair[0], &message, &fd), 1);
	assert_int_equal(message.value, 7);
	assert_int_equal(share_receive(pair[0], &message, &fd), 0);
	close(pair[0]);
}

/* Names come and go; their places are used again, and all of them are found. */
static void test_names(void **state)
{
	(void)state;
	static struct share_index index;
	memset(&index, 0, sizeof(index));
	char name[SHARE_NAME_SIZE];
	int old;
	for (int i = 0; i < SHARE_NAMES_MAX; i++) {
		snprintf(name, sizeof(name), "log:unit-%d.service", i);
		assert_int_equal(share_name_put(share, &index, name, 100000 + i, &old), 0);
		assert_int_equal(old, -1);
	}
	assert_int_equal(share_name_put(share, &index, "more", 1, &old), -ENOSPC);
	assert_int_equal(share_name_put(share, &index, "", 1, &old), -EINVAL);
	assert_int_equal(share_name_put(share, &index, "none", -1, &old), -EBADF);
	for (int i = 0; i < SHARE_NAMES_MAX; i += 3) {
		snprintf(name, sizeof(name), "log:unit-%d.service", i);
		assert_int_equal(share_name_drop(share, &index, name), 100000 + i);
		assert_int_equal(share_name_drop(share, &index, name), -1);
	}
	assert_int_equal(share_name_put(share, &index, "more", 5, &old), 0);
	assert_int_equal(share_name_put(share, &index, "more", 6, &old), 0);
	assert_int_equal(old, 5);
	assert_int_equal(index.end, SHARE_NAMES_MAX);
	for (int i = 0; i < SHARE_NAMES_MAX; i++) {
		snprintf(name, sizeof(name), "log:unit-%d.service", i);
		assert_int_equal(
			share_name_drop(share, &index, name), i % 3 == 0 ? -1 : 100000 + i);
	}
	assert_int_equal(share_name_drop(share, &index, "more"), 6);
}

static void test_ring(void **state)
{
	(void)state;
	siginfo_t info = {.si_pid = 7, .si_code = CLD_KILLED, .si_status = SIGKILL};
	struct rusage usage = {.ru_utime = {.tv_sec = 1, .tv_usec = 2}, .ru_maxrss = 3};
	for (int i = 0; i < SHARE_RING_SIZE; i++) {
		assert_false(share_ring_full(share));
		share_ring_publish(share, 9, &info, &usage, 5);
	}
	assert_true(share_ring_full(share));
	atomic_store(&share->ring_tail, 1);
	assert_false(share_ring_full(share));
	share_ring_publish(share, SHARE_SLOT_NONE, &info, &usage, 6);
	assert_int_equal(share->ring[0].sequence, SHARE_RING_SIZE + 1);
	assert_int_equal(share->ring[1].sequence, 2);
	assert_int_equal(share->ring[1].slot, 9);
	assert_int_equal(share->ring[1].user_us, 1000002);
	assert_int_equal(share->ring[1].max_rss_kib, 3);
	assert_int_equal(share->ring[0].time_ns, 6);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_header, setup, teardown),
		cmocka_unit_test_setup_teardown(test_find, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pid_twice, setup, teardown),
		cmocka_unit_test_setup_teardown(test_random, setup, teardown),
		cmocka_unit_test_setup_teardown(test_writer_died, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reader_beside_writer, setup, teardown),
		cmocka_unit_test_setup_teardown(test_messages, setup, teardown),
		cmocka_unit_test(test_message_before_reset),
		cmocka_unit_test_setup_teardown(test_names, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ring, setup, teardown),
	};
	return cmocka_run_group_tests_name("share", tests, NULL, NULL);
}
