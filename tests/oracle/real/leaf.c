/*
 * A service whose life is in the hands of a test driver (real_trace.py).
 *
 *   leaf NAME ONSTOP        with ORACLE_SOCKET and NOTIFY_SOCKET in the environment
 *
 * It connects to the driver's socket (SOCK_SEQPACKET), says "hello NAME PID", and does what it is
 * told, a word a message:
 *
 *   go        it is ready now: READY=1
 *   fail      exit 1, before it was ready
 *   crash     exit 1            exit      exit 0
 *   kill      SIGKILL           exitshut  death by SIGTERM, as the default action has it
 *
 * ONSTOP says how it answers SIGTERM: clean (it dies of it), crash (exit 1), normal (exit 0),
 * ignore, slow:MS (it dies of it later). Before such an end it tells the driver "stop" or
 * "stop abnormal", so that the driver knows how a process ended, and that it was asked to, without
 * asking the supervisor under test. An end without a word is SIGKILL.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static int driver_fd = -1;

static void die(const char *what)
{
	fprintf(stderr, "leaf: %s: %s\n", what, strerror(errno));
	exit(99);
}

static void tell(const char *text)
{
	/* A driver that has gone needs no words: it has ended the test. */
	(void)!send(driver_fd, text, strlen(text), MSG_NOSIGNAL);
}

/* `path` may begin with '@': an abstract name. Returns the size of the address. */
static socklen_t address_fill(struct sockaddr_un *address, const char *path)
{
	size_t length = strlen(path);

	if (length >= sizeof(address->sun_path)) {
		errno = ENAMETOOLONG;
		die(path);
	}
	*address = (struct sockaddr_un){.sun_family = AF_UNIX};
	memcpy(address->sun_path, path, length);
	if (path[0] == '@') {
		address->sun_path[0] = '\0';
		return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
	}
	return (socklen_t)sizeof(*address);
}

static void say_ready(void)
{
	static const char text[] = "READY=1";
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un address;
	socklen_t size;
	int fd;

	if (path == NULL) {
		errno = ENOENT;
		die("NOTIFY_SOCKET");
	}
	size = address_fill(&address, path);
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || sendto(fd, text, sizeof(text) - 1, 0, (void *)&address, size) < 0) {
		die("READY=1");
	}
	close(fd);
}

static void greet(const char *name)
{
	const char *path = getenv("ORACLE_SOCKET");
	struct sockaddr_un address;
	char text[256];
	socklen_t size;

	if (path == NULL) {
		errno = ENOENT;
		die("ORACLE_SOCKET");
	}
	size = address_fill(&address, path);
	driver_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (driver_fd < 0 || connect(driver_fd, (void *)&address, size) < 0) {
		die("the driver's socket");
	}
	snprintf(text, sizeof(text), "hello %s %ld", name, (long)getpid());
	tell(text);
}

static void die_by(int signo)
{
	sigset_t set;

	signal(signo, SIG_DFL);
	sigemptyset(&set);
	sigaddset(&set, signo);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	raise(signo);
	_exit(98);
}

static void stop(const char *onstop)
{
	if (strcmp(onstop, "ignore") == 0) {
		return;
	}
	if (strcmp(onstop, "crash") == 0 || strcmp(onstop, "normal") == 0) {
		tell("stop abnormal");
		_exit(strcmp(onstop, "crash") == 0);
	}
	if (strncmp(onstop, "slow:", 5) == 0) {
		long ms = strtol(onstop + 5, NULL, 10);
		struct timespec span = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
		nanosleep(&span, NULL);
	}
	tell("stop");
	die_by(SIGTERM);
}

static void obey(const char *word)
{
	if (strcmp(word, "go") == 0) {
		say_ready();
	} else if (strcmp(word, "fail") == 0 || strcmp(word, "crash") == 0) {
		_exit(1);
	} else if (strcmp(word, "exit") == 0) {
		_exit(0);
	} else if (strcmp(word, "kill") == 0) {
		die_by(SIGKILL);
	} else if (strcmp(word, "exitshut") == 0) {
		die_by(SIGTERM);
	} else {
		errno = EINVAL;
		die(word);
	}
}

/* Reads one message; the end of the driver is the end of the leaf. */
static void listen_to_driver(void)
{
	char word[64];
	ssize_t got = recv(driver_fd, word, sizeof(word) - 1, 0);

	if (got <= 0) {
		_exit(97);
	}
	word[got] = '\0';
	obey(word);
}

static void listen_to_signals(int fd, const char *onstop)
{
	struct signalfd_siginfo info;

	if (read(fd, &info, sizeof(info)) == sizeof(info)) {
		stop(onstop);
	}
}

int main(int argc, char **argv)
{
	sigset_t set;
	int signals_fd;

	if (argc != 3) {
		fprintf(stderr, "usage: leaf NAME ONSTOP\n");
		return 2;
	}
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signals_fd = signalfd(-1, &set, SFD_CLOEXEC);
	if (signals_fd < 0) {
		die("signalfd");
	}
	greet(argv[1]);
	for (;;) {
		struct pollfd fds[] = {
			{.fd = signals_fd, .events = POLLIN}, {.fd = driver_fd, .events = POLLIN}};
		if (poll(fds, 2, -1) < 0 && errno != EINTR) {
			die("poll");
		}
		if (fds[0].revents != 0) {
			listen_to_signals(signals_fd, argv[2]);
		} else if (fds[1].revents != 0) {
			listen_to_driver();
		}
	}
}
