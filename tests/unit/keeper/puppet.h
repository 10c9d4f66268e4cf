/*
 * A manager on strings, to test the keeper without the real one. The test program starts itself as
 * the manager (puppet_main). The test writes orders into one FIFO, one a line; what puppets, their
 * children and the keeper's standard error say comes out of another. A puppet that was killed
 * leaves the orders that it has not read to the next one.
 *
 * Orders                                 Answers
 *   ready                                  start INCARNATION journal|no-journal PID
 *   spawn SLOT SEQUENCE GROUP WHAT ARG     spawned SLOT PID
 *   hold NAME, drop NAME                   held NAME INODE, give NAME INODE, given
 *   signal SLOT SIGNAL GROUP               shutdown VALUE SIGNAL, reload
 *   end N, fatal N, exit N, die SIGNAL     death SEQUENCE PID SLOT CODE STATUS
 *   last NAME (waits for a message, does not read it, holds NAME, is killed)
 *   drain 0|1, orphans 0|1, next-pid N
 *   slow 0|1 (a start is entered in the map only when its process is gone)
 *   echo WORD                              WORD
 *
 * What children do (WHAT ARG)
 *   exit N      end with the status
 *   wait N      say "waits N PID" when ready, "term N" on SIGTERM, then end
 *   stubborn N  the same, but go on
 *   family N    start a child in their group, say "grandchild PID", end with N
 *   orphans N   start N children that end at once, end and leave them to the keeper
 *   herd N      start N children in their group that wait for ever, say "herd PID", end
 *   again N     start a child that gets the pid N and ends; say "again PID"; end
 *   stray N     start a child in another session that says "term N" on SIGTERM, and end
 */
#ifndef TESTS_UNIT_KEEPER_PUPPET_H
#define TESTS_UNIT_KEEPER_PUPPET_H

#include "share/share.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PUPPET_ENV_ORDERS "PUPPET_ORDERS"
#define PUPPET_ENV_EVENTS "PUPPET_EVENTS"
#define PUPPET_ENV_SILENT "PUPPET_SILENT" /* set: no READY after GIVEN */
#define PUPPET_ENV_LAZY   "PUPPET_LAZY"   /* "1": never says DRAINED; "2": never reads the ring */

static struct share *puppet_share;
static int puppet_events, puppet_orders;
static bool puppet_drains = true, puppet_slow;

static void puppet_say(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void puppet_say(const char *format, ...)
{
	char line[256];
	va_list args;
	va_start(args, format);
	int length = vsnprintf(line, sizeof(line) - 1, format, args);
	va_end(args);
	line[length++] = '\n';
	(void)!write(puppet_events, line, (size_t)length);
}

/* --- children --- */

static pid_t puppet_fork(unsigned long flags, _Atomic int32_t *pid)
{
	return (pid_t)syscall(SYS_clone, flags, NULL, pid, NULL, 0UL);
}

static void child_wait(int number, bool stubborn)
{
	sigset_t term;
	int signo;
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	sigprocmask(SIG_BLOCK, &term, NULL);
	puppet_say("waits %d %d", number, (int)getpid());
	do {
		sigwait(&term, &signo);
		puppet_say("term %d", number);
	} while (stubborn);
}

/* The next process of this PID namespace gets this number, if it is free. */
static void puppet_next_pid(int pid)
{
	int fd = open("/proc/sys/kernel/ns_last_pid", O_WRONLY | O_CLOEXEC);
	dprintf(fd, "%d", pid - 1);
	close(fd);
}

static _Noreturn void child_main(const char *what, int number)
{
	setsid();
	if (strcmp(what, "wait") == 0 || strcmp(what, "stubborn") == 0) {
		child_wait(number, what[0] == 's');
	} else if (strcmp(what, "family") == 0) {
		pid_t pid = puppet_fork(SIGCHLD, NULL);
		if (pid == 0) {
			for (;;) {
				pause();
			}
		}
		puppet_say("grandchild %d", (int)pid);
	} else if (strcmp(what, "orphans") == 0) {
		for (int i = 0; i < number; i++) {
			if (puppet_fork(SIGCHLD, NULL) == 0) {
				_exit(i & 0x7f);
			}
		}
		_exit(0);
	} else if (strcmp(what, "herd") == 0) {
		for (int i = 0; i < number; i++) {
			if (puppet_fork(SIGCHLD, NULL) == 0) {
				pause();
			}
		}
		puppet_say("herd %d", (int)getpid());
		_exit(0);
	} else if (strcmp(what, "again") == 0) {
		puppet_next_pid(number);
		pid_t pid = puppet_fork(SIGCHLD, NULL);
		if (pid == 0) {
			_exit(1);
		}
		puppet_say("again %d", (int)pid);
		_exit(0);
	} else if (strcmp(what, "stray") == 0) {
		if (puppet_fork(SIGCHLD, NULL) == 0) {
			setsid();
			child_wait(number, false);
		}
		_exit(0);
	}
	_exit(strcmp(what, "wait") == 0 ? 0 : number);
}

/* The order of a start as share.h has it. */
static void puppet_spawn(
	uint32_t index, uint64_t sequence, uint32_t group, const char *what, int arg)
{
	static uint64_t order_id;
	struct share_slot *slot = &puppet_share->slots[index];
	atomic_store(&slot->pid, 0);
	atomic_store(&slot->dead, 0);
	slot->order_id = ((uint64_t)getpid() << 32) + ++order_id;
	slot->sequence = sequence;
	slot->group = group;
	slot->stop_signal = SIGTERM;
	slot->stop_timeout_ns = UINT64_C(100000000);
	atomic_store(&slot->state, SLOT_CLAIMED);
	if (index >= atomic_load(&puppet_share->slots_used_max)) {
		atomic_store(&puppet_share->slots_used_max, index + 1);
	}
	atomic_store(&puppet_share->spawning, index);
	pid_t pid = puppet_fork(CLONE_PARENT | CLONE_PARENT_SETTID, &slot->pid);
	if (pid == 0) {
		child_main(what, arg);
	}
	while (puppet_slow && kill(pid, 0) == 0) {
		poll(NULL, 0, 1);
	}
	puppet_say("spawned %u %d", index, (int)pid);
	atomic_store(&slot->state, SLOT_ALIVE);
	share_map_insert(puppet_share, index);
	atomic_store(&puppet_share->spawning, SHARE_SLOT_NONE);
}

/* --- the ring --- */

static void puppet_send(uint32_t kind, int32_t value)
{
	struct share_message message = {.kind = kind, .value = value};
	share_send(SHARE_FD_KEEPER, &message, -1);
}

static void puppet_drain(void)
{
	const char *lazy = getenv(PUPPET_ENV_LAZY);
	uint64_t tail = atomic_load(&puppet_share->ring_tail);
	if (lazy != NULL && lazy[0] == '2') {
		return;
	}
	while (tail < atomic_load(&puppet_share->ring_head)) {
		struct share_death death = puppet_share->ring[tail % SHARE_RING_SIZE];
		puppet_say("death %llu %d %d %d %d", (unsigned long long)death.sequence, death.pid,
			(int)death.slot, death.code, death.status);
		if (death.slot != SHARE_SLOT_NONE) {
			share_map_remove(puppet_share, death.slot);
			atomic_store(&puppet_share->slots[death.slot].state, SLOT_FREE);
		}
		atomic_store(&puppet_share->ring_tail, ++tail);
	}
	if (atomic_load(&puppet_share->reaping_paused) != 0 && lazy == NULL) {
		puppet_send(SHARE_MSG_DRAINED, 0);
	}
}

/* --- orders --- */

static unsigned long long inode_of(int fd)
{
	struct stat info;
	return fstat(fd, &info) == 0 ? (unsigned long long)info.st_ino : 0;
}

/* A name "notify:…" gets a datagram socket that is bound to the rest of the name; others a memfd.
 */
static void puppet_hold(const char *name)
{
	struct share_message message = {.kind = SHARE_MSG_HOLD};
	int fd;
	if (strncmp(name, "notify:", 7) == 0) {
		struct sockaddr_un {
			sa_family_t family;
			char path[108];
		} address = {.family = AF_UNIX};
		snprintf(address.path, sizeof(address.path), "%.*s", (int)sizeof(address.path) - 1,
			name + 7);
		fd = socket(AF_UNIX, SOCK_DGRAM, 0);
		(void)!bind(fd, (struct sockaddr *)&address, sizeof(address));
	} else {
		fd = memfd_create(name, 0);
	}
	snprintf(message.name, sizeof(message.name), "%s", name);
	share_send(SHARE_FD_KEEPER, &message, fd);
	puppet_say("held %s %llu", name, inode_of(fd));
	close(fd);
}

static void puppet_order(char *line)
{
	char word[32] = "", name[SHARE_NAME_SIZE] = "", what[32] = "";
	int a = 0, b = 0, c = 0, d = 0;
	sscanf(line, "%31s %119s", word, name);
	sscanf(line, "%*s %d %d %d %31s %d", &a, &b, &c, what, &d);
	struct share_message message = {.value = a};
	if (strcmp(word, "ready") == 0) {
		puppet_send(SHARE_MSG_READY, 0);
	} else if (strcmp(word, "spawn") == 0) {
		puppet_spawn((uint32_t)a, (uint64_t)b, (uint32_t)c, what, d);
	} else if (strcmp(word, "hold") == 0) {
		puppet_hold(name);
	} else if (strcmp(word, "last") == 0) {
		struct pollfd polls = {.fd = SHARE_FD_KEEPER, .events = POLLIN};
		puppet_say("waits for a message");
		poll(&polls, 1, -1);
		puppet_hold(name);
		raise(SIGKILL);
	} else if (strcmp(word, "drop") == 0) {
		message.kind = SHARE_MSG_DROP;
		snprintf(message.name, sizeof(message.name), "%s", name);
		share_send(SHARE_FD_KEEPER, &message, -1);
	} else if (strcmp(word, "signal") == 0) {
		message.kind = SHARE_MSG_SIGNAL;
		message.slot = (uint32_t)a;
		message.value = b;
		message.flag = (uint32_t)c;
		share_send(SHARE_FD_KEEPER, &message, -1);
	} else if (strcmp(word, "end") == 0 || strcmp(word, "fatal") == 0) {
		puppet_send(word[0] == 'e' ? SHARE_MSG_END : SHARE_MSG_FATAL, a);
		exit(0);
	} else if (strcmp(word, "exit") == 0) {
		exit(a);
	} else if (strcmp(word, "die") == 0) {
		signal(a, SIG_DFL);
		raise(a);
	} else if (strcmp(word, "drain") == 0) {
		puppet_drains = a != 0;
		puppet_drain();
	} else if (strcmp(word, "slow") == 0) {
		puppet_slow = a != 0;
	} else if (strcmp(word, "orphans") == 0) {
		atomic_store(&puppet_share->orphans_wanted, (uint32_t)a);
	} else if (strcmp(word, "next-pid") == 0) {
		puppet_next_pid(a);
	} else if (strcmp(word, "echo") == 0) {
		puppet_say("%s", name);
	}
}

static void puppet_hear(void)
{
	struct share_message message;
	int fd;
	if (share_receive(SHARE_FD_KEEPER, &message, &fd) <= 0) {
		exit(0); /* The keeper has gone. */
	}
	switch (message.kind) {
	case SHARE_MSG_GIVE: puppet_say("give %s %llu", message.name, inode_of(fd)); break;
	case SHARE_MSG_GIVEN:
		if (getenv(PUPPET_ENV_SILENT) == NULL) {
			puppet_send(SHARE_MSG_READY, 0);
		}
		puppet_say("given");
		break;
	case SHARE_MSG_SHUTDOWN: puppet_say("shutdown %d %u", message.value, message.flag); break;
	case SHARE_MSG_RELOAD: puppet_say("reload"); break;
	default: puppet_say("message %u", message.kind); break;
	}
	if (fd >= 0) {
		close(fd);
	}
}

static int puppet_main(void)
{
	char line[256];
	size_t length = 0;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	puppet_events = open(getenv(PUPPET_ENV_EVENTS), O_WRONLY | O_CLOEXEC);
	puppet_orders = open(getenv(PUPPET_ENV_ORDERS), O_RDWR | O_NONBLOCK | O_CLOEXEC);
	puppet_share = mmap(
		NULL, sizeof(struct share), PROT_READ | PROT_WRITE, MAP_SHARED, SHARE_FD_STATE, 0);
	if (puppet_share == MAP_FAILED || share_check(puppet_share) < 0 ||
		lseek(SHARE_FD_JOURNAL, 0, SEEK_END) != 0) {
		return 70;
	}
	share_map_rebuild(puppet_share);
	puppet_say("start %s %s %d", getenv(SHARE_ENV_INCARNATION),
		getenv(SHARE_ENV_NO_JOURNAL) != NULL ? "no-journal" : "journal", (int)getpid());
	puppet_drain();
	for (;;) {
		struct pollfd polls[] = {{.fd = puppet_orders, .events = POLLIN},
			{.fd = SHARE_FD_KEEPER, .events = POLLIN},
			{.fd = SHARE_FD_DEATH, .events = POLLIN}};
		eventfd_t value;
		poll(polls, 3, -1);
		if (polls[2].revents != 0 && eventfd_read(SHARE_FD_DEATH, &value) == 0 &&
			puppet_drains) {
			puppet_drain();
		}
		if (polls[1].revents != 0) {
			puppet_hear();
		} else if (polls[0].revents != 0 && read(puppet_orders, line + length, 1) == 1) {
			if (line[length] == '\n') {
				line[length] = '\0';
				length = 0;
				puppet_order(line);
			} else if (length < sizeof(line) - 1) {
				length++;
			}
		}
	}
}

#endif
