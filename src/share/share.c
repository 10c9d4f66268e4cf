#include "share/share.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define MAP_MASK   (SHARE_MAP_SIZE - 1)
#define FIND_TRIES 64 /* looks at a map that changes, before the slots are searched instead */

static_assert((SHARE_MAP_SIZE & MAP_MASK) == 0, "the map's size is a power of two");
static_assert((SHARE_RING_SIZE & (SHARE_RING_SIZE - 1)) == 0, "the ring's size is a power of two");
static_assert(SHARE_MAP_SIZE >= 2 * SHARE_SLOTS_MAX, "the map is at most half full");
static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "shared memory needs lock-free atomics");

/* --- messages --- */

union share_control {
	char bytes[CMSG_SPACE(sizeof(int))];
	struct cmsghdr align;
};

int share_send(int socket, const struct share_message *message, int fd)
{
	struct share_message copy = *message;
	struct iovec part = {.iov_base = &copy, .iov_len = sizeof(copy)};
	struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1};
	union share_control control;
	if (fd >= 0) {
		memset(&control, 0, sizeof(control));
		header.msg_control = control.bytes;
		header.msg_controllen = sizeof(control.bytes);
		struct cmsghdr *first = CMSG_FIRSTHDR(&header);
		first->cmsg_level = SOL_SOCKET;
		first->cmsg_type = SCM_RIGHTS;
		first->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(first), &fd, sizeof(int));
	}
	ssize_t sent;
	do {
		sent = sendmsg(socket, &header, MSG_NOSIGNAL);
	} while (sent < 0 && errno == EINTR);
	return sent < 0 ? -errno : 0;
}

/* The one descriptor beside a message, or -1: the control buffer has room for no second one, the
 * kernel closes what does not fit. */
static int share_received_fd(struct msghdr *header)
{
	int fd = -1;
	struct cmsghdr *first = CMSG_FIRSTHDR(header);
	if (first != NULL && first->cmsg_level == SOL_SOCKET && first->cmsg_type == SCM_RIGHTS &&
		first->cmsg_len == CMSG_LEN(sizeof(int))) {
		memcpy(&fd, CMSG_DATA(first), sizeof(int));
	}
	return fd;
}

int share_receive(int socket, struct share_message *message, int *fd)
{
	struct share_message copy;
	union share_control control;
	struct iovec part = {.iov_base = &copy, .iov_len = sizeof(copy)};
	struct msghdr header = {.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes)};
	ssize_t size;
	do {
		/* A peer that died with messages unread leaves one ECONNRESET in front of its own.
		 */
		size = recvmsg(socket, &header, MSG_CMSG_CLOEXEC);
	} while (size < 0 && (errno == EINTR || errno == ECONNRESET));
	*fd = -1;
	if (size <= 0) {
		return size < 0 ? -errno : 0;
	}
	*fd = share_received_fd(&header);
	if (size != (ssize_t)sizeof(copy) || (header.msg_flags & MSG_TRUNC) != 0) {
		return -EPROTO;
	}
	*message = copy;
	message->name[SHARE_NAME_SIZE - 1] = '\0';
	return 1;
}

/* --- the map from pid to slot --- */

/* Pids run upwards, so the pid itself spreads best: no collisions below SHARE_MAP_SIZE, and the
 * pages that are touched are few. */
static uint32_t map_home(pid_t pid)
{
	return (uint32_t)pid & MAP_MASK;
}

static bool slot_has(struct share *share, uint32_t slot, pid_t pid)
{
	return slot < SHARE_SLOTS_MAX &&
	       atomic_load_explicit(&share->slots[slot].pid, memory_order_acquire) == pid &&
	       atomic_load_explicit(&share->slots[slot].state, memory_order_acquire) != SLOT_FREE;
}

static uint32_t map_probe(struct share *share, pid_t pid)
{
	for (uint32_t i = 0; i < SHARE_MAP_SIZE; i++) {
		uint32_t at = (map_home(pid) + i) & MAP_MASK;
		uint32_t entry = atomic_load_explicit(&share->map[at], memory_order_acquire);
		if (entry == 0) {
			break;
		}
		if (slot_has(share, entry - 1, pid)) {
			return entry - 1;
		}
	}
	return SHARE_SLOT_NONE;
}

static uint32_t slots_search(struct share *share, pid_t pid)
{
	uint32_t used = atomic_load_explicit(&share->slots_used_max, memory_order_acquire);
	for (uint32_t i = 0; i < used && i < SHARE_SLOTS_MAX; i++) {
		if (slot_has(share, i, pid)) {
			return i;
		}
	}
	return SHARE_SLOT_NONE;
}

uint32_t share_find(struct share *share, pid_t pid)
{
	if (pid <= 0) {
		return SHARE_SLOT_NONE;
	}
	for (int i = 0; i < FIND_TRIES; i++) {
		uint32_t before = atomic_load_explicit(&share->map_seq, memory_order_acquire);
		uint32_t slot = map_probe(share, pid);
		if (slot != SHARE_SLOT_NONE) {
			return slot; /* The slot itself says so, whatever moves in the map. */
		}
		atomic_thread_fence(memory_order_acquire);
		if ((before & 1) == 0 &&
			atomic_load_explicit(&share->map_seq, memory_order_relaxed) == before) {
			return SHARE_SLOT_NONE;
		}
	}
	return slots_search(share, pid); /* The writer died inside, or was taken off its CPU. */
}

static void map_begin(struct share *share)
{
	uint32_t seq = atomic_load_explicit(&share->map_seq, memory_order_relaxed);
	atomic_store_explicit(&share->map_seq, seq | 1, memory_order_relaxed);
	atomic_thread_fence(memory_order_seq_cst);
}

static void map_end(struct share *share)
{
	uint32_t seq = atomic_load_explicit(&share->map_seq, memory_order_relaxed);
	atomic_store_explicit(&share->map_seq, seq + 1, memory_order_release);
}

static void map_set(struct share *share, uint32_t at, uint32_t entry)
{
	atomic_store_explicit(&share->map[at], entry, memory_order_release);
}

/* The pid that an entry stands for, or 0 when its slot has been changed since. */
static pid_t map_pid(struct share *share, uint32_t entry)
{
	return atomic_load_explicit(&share->slots[entry - 1].pid, memory_order_relaxed);
}

static void map_enter(struct share *share, uint32_t slot)
{
	pid_t pid = atomic_load_explicit(&share->slots[slot].pid, memory_order_relaxed);
	for (uint32_t i = 0; i < SHARE_MAP_SIZE; i++) {
		uint32_t at = (map_home(pid) + i) & MAP_MASK;
		uint32_t entry = atomic_load_explicit(&share->map[at], memory_order_relaxed);
		/* A slot with the same pid is of a process that is dead and not yet forgotten. */
		if (entry == 0 || entry == slot + 1 || map_pid(share, entry) == pid) {
			map_set(share, at, slot + 1);
			break;
		}
	}
}

void share_map_insert(struct share *share, uint32_t slot)
{
	if (atomic_load_explicit(&share->slots[slot].pid, memory_order_relaxed) > 0) {
		map_begin(share);
		map_enter(share, slot);
		map_end(share);
	}
}

/* Closes the gap at `hole`: moves up each later entry that may not stand behind an empty place. */
static void map_close_gap(struct share *share, uint32_t hole)
{
	for (uint32_t at = (hole + 1) & MAP_MASK;; at = (at + 1) & MAP_MASK) {
		uint32_t entry = atomic_load_explicit(&share->map[at], memory_order_relaxed);
		if (entry == 0) {
			break;
		}
		uint32_t home = map_home(map_pid(share, entry));
		if (((at - home) & MAP_MASK) >= ((at - hole) & MAP_MASK)) {
			map_set(share, hole, entry);
			hole = at;
		}
	}
	map_set(share, hole, 0);
}

void share_map_remove(struct share *share, uint32_t slot)
{
	pid_t pid = atomic_load_explicit(&share->slots[slot].pid, memory_order_relaxed);
	if (pid <= 0) {
		return;
	}
	map_begin(share);
	for (uint32_t i = 0; i < SHARE_MAP_SIZE; i++) {
		uint32_t at = (map_home(pid) + i) & MAP_MASK;
		uint32_t entry = atomic_load_explicit(&share->map[at], memory_order_relaxed);
		if (entry == 0) {
			break;
		}
		if (entry == slot + 1) {
			map_close_gap(share, at);
			break;
		}
	}
	map_end(share);
}

void share_map_rebuild(struct share *share)
{
	map_begin(share);
	for (uint32_t i = 0; i < SHARE_MAP_SIZE; i++) {
		map_set(share, i, 0);
	}
	uint32_t used = atomic_load_explicit(&share->slots_used_max, memory_order_relaxed);
	for (uint32_t i = 0; i < used && i < SHARE_SLOTS_MAX; i++) {
		const struct share_slot *slot = &share->slots[i];
		if (atomic_load_explicit(&slot->state, memory_order_relaxed) != SLOT_FREE &&
			atomic_load_explicit(&slot->pid, memory_order_relaxed) > 0) {
			map_enter(share, i);
		}
	}
	map_end(share);
}

/* --- the ring of deaths --- */

bool share_ring_full(struct share *share)
{
	return atomic_load(&share->ring_head) - atomic_load(&share->ring_tail) >= SHARE_RING_SIZE;
}

static uint64_t microseconds(const struct timeval *time)
{
	return (uint64_t)time->tv_sec * 1000000 + (uint64_t)time->tv_usec;
}

void share_ring_publish(struct share *share, uint32_t slot, const siginfo_t *info,
	const struct rusage *usage, uint64_t now_ns)
{
	uint64_t head = atomic_load_explicit(&share->ring_head, memory_order_relaxed);
	share->ring[head % SHARE_RING_SIZE] = (struct share_death){
		.sequence = head + 1,
		.time_ns = now_ns,
		.pid = info->si_pid,
		.slot = slot,
		.code = info->si_code,
		.status = info->si_status,
		.uid = info->si_uid,
		.user_us = microseconds(&usage->ru_utime),
		.system_us = microseconds(&usage->ru_stime),
		.max_rss_kib = (uint64_t)usage->ru_maxrss,
	};
	atomic_store_explicit(&share->ring_head, head + 1, memory_order_release);
}

/* --- the header --- */

void share_init(struct share *share, pid_t keeper)
{
	share->magic = SHARE_MAGIC;
	share->version = SHARE_VERSION;
	share->size = (uint32_t)sizeof(struct share);
	share->slots_max = SHARE_SLOTS_MAX;
	share->keeper_pid = keeper;
	atomic_store(&share->spawning, SHARE_SLOT_NONE);
}

int share_check(const struct share *share)
{
	bool known = share->magic == SHARE_MAGIC && share->version == SHARE_VERSION &&
		     share->size == sizeof(struct share) && share->slots_max == SHARE_SLOTS_MAX;
	return known ? 0 : -EPROTO;
}
