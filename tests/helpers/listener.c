/*
 * A server that takes its sockets from its environment (sd_listen_fds(3)), and a client for it.
 *
 *   listener serve [STORE]     answers on all sockets: a line "PID NAME ANSWER" for each line. With
 *                              STORE, the line "store TEXT" stores a memfd of that text, "pipe"
 *                              the reading end of a pipe whose other end is kept, "hang" closes
 *                              that end, "remove" takes them back, "stored" lists what came back
 *                              On all: "env NAME", "names", "option NAME", "link FD", "exit"
 *   listener one               stdin and stdout are the connection: one line in, one line out
 *   listener once              serves one connection and ends
 *   listener ask KIND ADDRESS TEXT   stream | seqpacket | datagram: sends a line, prints the answer
 *   listener hold ADDRESS      connects, says "held", and stays until its stdin ends
 *   listener load ADDRESS SECONDS    connects, asks and is answered, over and over; says how often
 *                              it was refused, cut off, and served
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define FDS_MAX 256

static int fds_count, kept_end = -1;
static char names[FDS_MAX][128];

static void die(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(1);
}

/* --- what the service manager gave --- */

static int take_fds(void)
{
	const char *count = getenv("LISTEN_FDS"), *pid = getenv("LISTEN_PID");
	const char *name = getenv("LISTEN_FDNAMES");
	if (count == NULL || pid == NULL || atoi(pid) != getpid()) {
		return 0;
	}
	for (int i = 0; i < atoi(count) && i < FDS_MAX; i++) {
		size_t length = name == NULL ? 0 : strcspn(name, ":");
		snprintf(names[i], sizeof(names[i]), "%.*s", (int)length, name == NULL ? "" : name);
		name = name == NULL || name[length] == '\0' ? NULL : name + length + 1;
		fcntl(3 + i, F_SETFD, FD_CLOEXEC);
	}
	return atoi(count);
}

static void notify(const char *text, int fd)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const char *path = getenv("NOTIFY_SOCKET");
	union {
		char space[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = {{0}};
	struct iovec part = {.iov_base = (char *)text, .iov_len = strlen(text)};
	struct msghdr header = {.msg_name = &address,
		.msg_namelen = sizeof(address),
		.msg_iov = &part,
		.msg_iovlen = 1};
	if (path == NULL) {
		return;
	}
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	if (fd >= 0) {
		header.msg_control = &control;
		header.msg_controllen = sizeof(control);
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&control.align), &fd, sizeof(int));
	}
	int sender = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (sender < 0 || sendmsg(sender, &header, 0) < 0) {
		die("notify");
	}
	close(sender);
}

/* --- what it answers --- */

static void store(const char *name, const char *text)
{
	char message[256];
	int fd = memfd_create("stored", MFD_CLOEXEC);
	if (fd < 0 || write(fd, text, strlen(text)) < 0) {
		die("memfd");
	}
	snprintf(message, sizeof(message), "FDSTORE=1\nFDNAME=%s", name);
	notify(message, fd);
	close(fd);
}

static void store_pipe(const char *name, const char *more)
{
	char message[256];
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) < 0) {
		die("pipe");
	}
	kept_end = ends[1];
	snprintf(message, sizeof(message), "FDSTORE=1\nFDNAME=%s%s", name, more);
	notify(message, ends[0]);
	close(ends[0]);
}

static void list_stored(const char *name, char *out, size_t size)
{
	size_t used = 0;
	out[0] = '\0';
	for (int i = 0; i < fds_count; i++) {
		char text[128] = "";
		if (strcmp(names[i], name) != 0) {
			continue;
		}
		ssize_t length = pread(3 + i, text, sizeof(text) - 1, 0);
		used += (size_t)snprintf(out + used, size - used, "[%.*s]",
			length > 0 ? (int)length : 1, length > 0 ? text : "-");
	}
}

/* An option of the first socket, by the name of its directive. */
static const char *option(const char *name)
{
	static const struct {
		const char *name;
		int level, number;
	} options[] = {{"KeepAlive", SOL_SOCKET, SO_KEEPALIVE},
		{"KeepAliveTimeSec", IPPROTO_TCP, TCP_KEEPIDLE},
		{"KeepAliveIntervalSec", IPPROTO_TCP, TCP_KEEPINTVL},
		{"KeepAliveProbes", IPPROTO_TCP, TCP_KEEPCNT},
		{"NoDelay", IPPROTO_TCP, TCP_NODELAY},
		{"DeferAcceptSec", IPPROTO_TCP, TCP_DEFER_ACCEPT},
		{"Priority", SOL_SOCKET, SO_PRIORITY}, {"Mark", SOL_SOCKET, SO_MARK},
		{"ReceiveBuffer", SOL_SOCKET, SO_RCVBUF}, {"SendBuffer", SOL_SOCKET, SO_SNDBUF},
		{"IPTOS", IPPROTO_IP, IP_TOS}, {"IPTTL", IPPROTO_IP, IP_TTL},
		{"ReusePort", SOL_SOCKET, SO_REUSEPORT}, {"FreeBind", IPPROTO_IP, IP_FREEBIND},
		{"Transparent", IPPROTO_IP, IP_TRANSPARENT},
		{"Broadcast", SOL_SOCKET, SO_BROADCAST},
		{"PassCredentials", SOL_SOCKET, SO_PASSCRED},
		{"PassSecurity", SOL_SOCKET, SO_PASSSEC},
		{"PassPacketInfo", IPPROTO_IP, IP_PKTINFO},
		{"BindIPv6Only", IPPROTO_IPV6, IPV6_V6ONLY},
		{"SocketProtocol", SOL_SOCKET, SO_PROTOCOL}, {"Domain", SOL_SOCKET, SO_DOMAIN}};
	static char out[64];
	struct tcp_info info;
	socklen_t size = sizeof(out) - 1;
	memset(out, 0, sizeof(out));
	if (strcmp(name, "BindToDevice") == 0) {
		getsockopt(3, SOL_SOCKET, SO_BINDTODEVICE, out, &size);
		return out;
	}
	if (strcmp(name, "TCPCongestion") == 0) {
		getsockopt(3, IPPROTO_TCP, TCP_CONGESTION, out, &size);
		return out;
	}
	if (strcmp(name, "Backlog") == 0) {
		/* Of a listening socket this is the length that its queue may have. */
		size = sizeof(info);
		getsockopt(3, IPPROTO_TCP, TCP_INFO, &info, &size);
		snprintf(out, sizeof(out), "%u", info.tcpi_sacked);
		return out;
	}
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		int value = -1;
		size = sizeof(value);
		if (strcmp(options[i].name, name) == 0) {
			getsockopt(3, options[i].level, options[i].number, &value, &size);
			snprintf(out, sizeof(out), "%d", value);
			return out;
		}
	}
	return "?";
}

/* "PATH ACCESS SIZE": what a descriptor is, how it is open, and how much a pipe holds. */
static const char *link_of(int fd)
{
	static char out[512];
	char path[32], target[256] = "";
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	(void)!readlink(path, target, sizeof(target) - 1);
	int flags = fcntl(fd, F_GETFL) & O_ACCMODE;
	snprintf(out, sizeof(out), "%s %s %d", target,
		flags == O_RDWR     ? "rw"
		: flags == O_RDONLY ? "r"
				    : "w",
		fcntl(fd, F_GETPIPE_SZ));
	return out;
}

static const char *answer_to(char *line, const char *store_name)
{
	static char out[4096];
	line[strcspn(line, "\n")] = '\0';
	if (store_name != NULL && strncmp(line, "store ", 6) == 0) {
		store(store_name, line + 6);
	} else if (store_name != NULL && strcmp(line, "pipe") == 0) {
		store_pipe(store_name, "");
	} else if (store_name != NULL && strcmp(line, "pipe-nopoll") == 0) {
		store_pipe(store_name, "\nFDPOLL=0");
	} else if (strcmp(line, "hang") == 0) {
		close(kept_end);
	} else if (store_name != NULL && strcmp(line, "remove") == 0) {
		char message[256];
		snprintf(message, sizeof(message), "FDSTOREREMOVE=1\nFDNAME=%s", store_name);
		notify(message, -1);
	} else if (store_name != NULL && strcmp(line, "stored") == 0) {
		list_stored(store_name, out, sizeof(out));
		return out;
	} else if (strcmp(line, "names") == 0) {
		const char *all = getenv("LISTEN_FDNAMES");
		return all == NULL ? "" : all;
	} else if (strncmp(line, "env ", 4) == 0) {
		const char *value = getenv(line + 4);
		return value == NULL ? "-" : value;
	} else if (strncmp(line, "nonblock ", 9) == 0) {
		return (fcntl(atoi(line + 9), F_GETFL) & O_NONBLOCK) != 0 ? "yes" : "no";
	} else if (strncmp(line, "option ", 7) == 0) {
		return option(line + 7);
	} else if (strncmp(line, "link ", 5) == 0) {
		return link_of(atoi(line + 5));
	} else if (strcmp(line, "exit") == 0) {
		exit(0);
	}
	return line;
}

static size_t make_answer(int fd, char *line, const char *store_name, char *out, size_t size)
{
	const char *text = answer_to(line, store_name);
	int n = snprintf(out, size, "%d %s %s\n", getpid(), fd >= 3 ? names[fd - 3] : "-", text);
	return n < 0 ? 0 : (size_t)n;
}

/* --- the server --- */

static void serve_connection(int listening, const char *store_name)
{
	char line[1024], out[8192];
	int fd = accept4(listening, NULL, NULL, SOCK_CLOEXEC);
	if (fd < 0) {
		return;
	}
	ssize_t length = recv(fd, line, sizeof(line) - 1, 0);
	if (length > 0) {
		line[length] = '\0';
		size_t size = make_answer(listening, line, store_name, out, sizeof(out));
		if (send(fd, out, size, MSG_NOSIGNAL) < 0) {
			perror("send");
		}
	}
	close(fd);
}

static void serve_datagram(int fd, const char *store_name)
{
	struct sockaddr_storage from;
	socklen_t from_size = sizeof(from);
	char line[1024], out[8192];
	ssize_t length = recvfrom(
		fd, line, sizeof(line) - 1, MSG_DONTWAIT, (struct sockaddr *)&from, &from_size);
	if (length < 0) {
		return;
	}
	line[length] = '\0';
	size_t size = make_answer(fd, line, store_name, out, sizeof(out));
	(void)!sendto(fd, out, size, MSG_NOSIGNAL, (struct sockaddr *)&from, from_size);
}

/* A FIFO has nobody to answer to: what came goes to standard output. */
static void serve_file(int fd)
{
	char line[1024];
	ssize_t length = read(fd, line, sizeof(line) - 1);
	if (length > 0) {
		line[length] = '\0';
		line[strcspn(line, "\n")] = '\0';
		printf("%d %s %s\n", getpid(), names[fd - 3], line);
		fflush(stdout);
	}
}

static int serve(const char *store_name, bool once)
{
	struct pollfd polls[FDS_MAX];
	int served = 0;
	fds_count = take_fds();
	if (fds_count == 0) {
		fprintf(stderr, "no sockets\n");
		return 2;
	}
	for (int i = 0; i < fds_count; i++) {
		polls[i] = (struct pollfd){.fd = 3 + i, .events = POLLIN};
		if (store_name != NULL && strcmp(names[i], store_name) == 0) {
			polls[i].fd = -1;
		}
	}
	notify("READY=1", -1);
	while (!once || served == 0) {
		if (poll(polls, (nfds_t)fds_count, -1) < 0) {
			die("poll");
		}
		for (int i = 0; i < fds_count; i++) {
			int accepts = 0;
			socklen_t size = sizeof(accepts);
			if ((polls[i].revents & POLLIN) == 0) {
				continue;
			}
			served++;
			if (getsockopt(polls[i].fd, SOL_SOCKET, SO_ACCEPTCONN, &accepts, &size) <
				0) {
				serve_file(polls[i].fd);
			} else if (accepts) {
				serve_connection(polls[i].fd, store_name);
			} else {
				serve_datagram(polls[i].fd, store_name);
			}
		}
	}
	return 0;
}

static int serve_one(void)
{
	char line[1024];
	fds_count = take_fds();
	if (fgets(line, sizeof(line), stdin) == NULL) {
		return 0;
	}
	line[strcspn(line, "\n")] = '\0';
	printf("%d %s %s\n", getpid(), fds_count == 1 ? names[0] : "-", answer_to(line, NULL));
	return 0;
}

/* --- the client --- */

static socklen_t parse(const char *text, struct sockaddr_storage *out)
{
	struct sockaddr_un *un = (struct sockaddr_un *)out;
	memset(out, 0, sizeof(*out));
	if (text[0] == '/' || text[0] == '@') {
		un->sun_family = AF_UNIX;
		memcpy(un->sun_path, text, strlen(text));
		if (text[0] == '@') {
			un->sun_path[0] = '\0';
		}
		return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(text) +
				   (text[0] == '/'));
	}
	const char *port = strrchr(text, ':');
	if (text[0] == '[') {
		struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)out;
		in6->sin6_family = AF_INET6;
		in6->sin6_addr = in6addr_loopback;
		in6->sin6_port = htons((uint16_t)atoi(port + 1));
		return sizeof(*in6);
	}
	struct sockaddr_in *in = (struct sockaddr_in *)out;
	in->sin_family = AF_INET;
	in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	in->sin_port = htons((uint16_t)atoi(port == NULL ? text : port + 1));
	return sizeof(*in);
}

static int connect_to(int type, const char *text)
{
	struct sockaddr_storage to;
	struct sockaddr_un own = {.sun_family = AF_UNIX};
	struct timeval limit = {.tv_sec = 10};
	socklen_t size = parse(text, &to);
	int fd = socket(to.ss_family, type | SOCK_CLOEXEC, 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	if (type == SOCK_DGRAM && to.ss_family == AF_UNIX) {
		/* An address of its own, to be answered at. */
		(void)!bind(fd, (struct sockaddr *)&own, sizeof(own.sun_family));
	}
	if (connect(fd, (struct sockaddr *)&to, size) < 0) {
		int failed = errno;
		close(fd);
		errno = failed;
		return -1;
	}
	return fd;
}

static int ask(const char *kind, const char *address, const char *text)
{
	int type = strcmp(kind, "datagram") == 0    ? SOCK_DGRAM
		   : strcmp(kind, "seqpacket") == 0 ? SOCK_SEQPACKET
						    : SOCK_STREAM;
	char line[1024], reply[8192];
	int fd = connect_to(type, address);
	if (fd < 0) {
		die("connect");
	}
	int length = snprintf(line, sizeof(line), "%s\n", text);
	if (send(fd, line, (size_t)length, MSG_NOSIGNAL) < 0) {
		die("send");
	}
	ssize_t got = recv(fd, reply, sizeof(reply) - 1, 0);
	if (got <= 0) {
		fprintf(stderr, "no answer: %s\n", got < 0 ? strerror(errno) : "cut off");
		return 1;
	}
	return fwrite(reply, 1, (size_t)got, stdout) == (size_t)got ? 0 : 1;
}

static int hold(const char *address)
{
	char byte;
	int fd = connect_to(SOCK_STREAM, address);
	if (fd < 0) {
		die("connect");
	}
	printf("held\n");
	fflush(stdout);
	(void)!read(0, &byte, 1);
	close(fd);
	return 0;
}

static double seconds(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static int load(const char *address, double span)
{
	double began = seconds(), longest = 0;
	long refused = 0, cut = 0, served = 0;
	while (seconds() - began < span) {
		char reply[256];
		double since = seconds();
		int fd = connect_to(SOCK_STREAM, address);
		if (fd < 0) {
			refused++;
			fprintf(stderr, "connect: %s\n", strerror(errno));
			continue;
		}
		bool well = send(fd, "x\n", 2, MSG_NOSIGNAL) == 2 &&
			    recv(fd, reply, sizeof(reply), 0) > 0;
		served += well;
		cut += !well;
		close(fd);
		longest = seconds() - since > longest ? seconds() - since : longest;
	}
	printf("%ld served, %ld refused, %ld cut off by a death, the longest took %.1f ms\n",
		served, refused, cut, longest * 1e3);
	return refused == 0 && served > 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
	const char *verb = argc > 1 ? argv[1] : "";
	if (strcmp(verb, "serve") == 0) {
		return serve(argc > 2 ? argv[2] : NULL, false);
	}
	if (strcmp(verb, "once") == 0) {
		return serve(NULL, true);
	}
	if (strcmp(verb, "one") == 0) {
		return serve_one();
	}
	if (strcmp(verb, "ask") == 0 && argc == 5) {
		return ask(argv[2], argv[3], argv[4]);
	}
	if (strcmp(verb, "hold") == 0 && argc == 3) {
		return hold(argv[2]);
	}
	if (strcmp(verb, "load") == 0 && argc == 4) {
		return load(argv[2], atof(argv[3]));
	}
	fprintf(stderr, "usage: listener serve|one|once|ask|hold|load …\n");
	return 2;
}
