#include "process/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/netlink.h>
#include <mqueue.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/span.h"
#include "base/str.h"
#include "process/account.h"

struct address {
	union {
		struct sockaddr any;
		struct sockaddr_un un;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
		struct sockaddr_nl nl;
	} to;
	socklen_t size;
	int protocol;
	int type;
};

/* SocketUser= alone means the user's own group too, as systemd has it. */
static int find_owner(const struct listen_options *options, uid_t *uid, gid_t *gid, struct err *err)
{
	*uid = (uid_t)-1;
	*gid = (gid_t)-1;
	int failed = options->user == NULL ? 0 : account_find_user(options->user, uid, gid);
	if (failed != 0) {
		return err_set(err, -failed, "SocketUser=%s: %s", options->user,
			failed == -ESRCH ? "not in /etc/passwd" : strerror(-failed));
	}
	failed = options->group == NULL ? 0 : account_find_group(options->group, gid);
	if (failed != 0) {
		return err_set(err, -failed, "SocketGroup=%s: %s", options->group,
			failed == -ESRCH ? "not in /etc/group" : strerror(-failed));
	}
	return 0;
}

/* --- files --- */

static int make_parents(const char *path, mode_t mode)
{
	char part[PATH_MAX];
	mode_t mask = umask((mode_t)(~mode & 0777));
	int failed = 0;
	for (size_t i = 1; failed == 0 && path[i] != '\0' && i < sizeof(part); i++) {
		if (path[i] != '/') {
			continue;
		}
		memcpy(part, path, i);
		part[i] = '\0';
		if (mkdir(part, mode) < 0 && errno != EEXIST) {
			failed = errno == EROFS && access(part, F_OK) == 0 ? 0 : -errno;
		}
	}
	umask(mask);
	return failed;
}

bool listen_has_file(uint8_t kind, const char *address)
{
	return address[0] == '/' && kind != LISTEN_SPECIAL;
}

void listen_unlink(uint8_t kind, const char *address)
{
	if (!listen_has_file(kind, address)) {
		return;
	}
	if (kind == LISTEN_MQUEUE) {
		mq_unlink(address);
	} else {
		unlink(address);
	}
}

int listen_symlink(const char *target, const char *link, mode_t directory_mode)
{
	char old[PATH_MAX];
	int failed = make_parents(link, directory_mode);
	if (failed != 0) {
		return failed;
	}
	if (symlink(target, link) == 0) {
		return 0;
	}
	ssize_t length = errno == EEXIST ? readlink(link, old, sizeof(old) - 1) : -1;
	if (length < 0) {
		return errno == EINVAL ? -EEXIST : -errno;
	}
	old[length] = '\0';
	if (strcmp(old, target) == 0) {
		return 0;
	}
	return unlink(link) < 0 || symlink(target, link) < 0 ? -errno : 0;
}

/* The mode was given to the file when it was made; this is for one that was there already, and for
 * a umask of an access list. */
static int set_file(int fd, const char *path, const struct listen_options *options, struct err *err)
{
	uid_t uid;
	gid_t gid;
	int failed = find_owner(options, &uid, &gid, err);
	if (failed != 0) {
		return failed;
	}
	/* fchmod(2) of a socket is not that of its file. */
	if ((fd >= 0 ? fchmod(fd, options->mode) : chmod(path, options->mode)) < 0) {
		return err_set(err, errno, "%s: cannot set its mode: %s", path, strerror(errno));
	}
	if (uid == (uid_t)-1 && gid == (gid_t)-1) {
		return 0;
	}
	if ((fd >= 0 ? fchown(fd, uid, gid) : lchown(path, uid, gid)) < 0) {
		return err_set(err, errno, "%s: cannot set its owner: %s", path, strerror(errno));
	}
	return 0;
}

/* --- addresses --- */

static bool parse_port(const char *text, in_port_t *port)
{
	uint64_t number;
	if (str_u64(text, 1, UINT16_MAX, &number) < 0) {
		return false;
	}
	*port = htons((uint16_t)number);
	return true;
}

static int parse_unix(const char *text, struct address *out)
{
	size_t length = strlen(text);
	struct sockaddr_un *un = &out->to.un;
	/* An abstract name has no terminator, a path needs one. */
	size_t room = text[0] == '@' ? sizeof(un->sun_path) : sizeof(un->sun_path) - 1;
	if (length > room) {
		return -ENAMETOOLONG;
	}
	un->sun_family = AF_UNIX;
	memcpy(un->sun_path, text, length);
	if (text[0] == '@') {
		un->sun_path[0] = '\0';
	}
	out->size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length +
				(text[0] == '@' ? 0 : 1));
	return 0;
}

/* "[::1%eth0]:80" */
static int parse_ipv6(const char *text, struct address *out)
{
	char host[INET6_ADDRSTRLEN + IF_NAMESIZE + 1];
	struct sockaddr_in6 *in6 = &out->to.in6;
	const char *end = strchr(text, ']');
	size_t length = end == NULL ? 0 : (size_t)(end - text) - 1;
	if (end == NULL || end[1] != ':' || length >= sizeof(host) ||
		!parse_port(end + 2, &in6->sin6_port)) {
		return -EINVAL;
	}
	memcpy(host, text + 1, length);
	host[length] = '\0';
	char *scope = strchr(host, '%');
	if (scope != NULL) {
		*scope++ = '\0';
		in6->sin6_scope_id = if_nametoindex(scope);
		if (in6->sin6_scope_id == 0) {
			return -ENODEV;
		}
	}
	in6->sin6_family = AF_INET6;
	out->size = sizeof(*in6);
	return inet_pton(AF_INET6, host, &in6->sin6_addr) == 1 ? 0 : -EINVAL;
}

static bool has_ipv6(void)
{
	int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd >= 0) {
		close(fd);
	}
	return fd >= 0;
}

static int parse_ip(const char *text, struct address *out)
{
	char host[INET_ADDRSTRLEN];
	const char *colon = strrchr(text, ':');
	if (text[0] == '[') {
		return parse_ipv6(text, out);
	}
	if (colon == NULL && has_ipv6()) {
		/* A port alone: all addresses, of both kinds unless BindIPv6Only= says else. */
		out->to.in6.sin6_family = AF_INET6;
		out->size = sizeof(out->to.in6);
		return parse_port(text, &out->to.in6.sin6_port) ? 0 : -EINVAL;
	}
	size_t length = colon == NULL ? 0 : (size_t)(colon - text);
	if (length >= sizeof(host) ||
		!parse_port(colon == NULL ? text : colon + 1, &out->to.in.sin_port)) {
		return -EINVAL;
	}
	memcpy(host, text, length);
	host[length] = '\0';
	out->to.in.sin_family = AF_INET;
	out->size = sizeof(out->to.in);
	return colon == NULL || inet_pton(AF_INET, host, &out->to.in.sin_addr) == 1 ? 0 : -EINVAL;
}

/* netlink(7), as systemd names them. */
static int parse_netlink(const char *text, struct address *out)
{
	static const struct {
		const char *name;
		int protocol;
	} families[] = {{"route", NETLINK_ROUTE}, {"firewall", NETLINK_FIREWALL},
		{"inet-diag", NETLINK_SOCK_DIAG}, {"nflog", NETLINK_NFLOG}, {"xfrm", NETLINK_XFRM},
		{"selinux", NETLINK_SELINUX}, {"iscsi", NETLINK_ISCSI}, {"audit", NETLINK_AUDIT},
		{"fib-lookup", NETLINK_FIB_LOOKUP}, {"connector", NETLINK_CONNECTOR},
		{"netfilter", NETLINK_NETFILTER}, {"ip6-fw", NETLINK_IP6_FW},
		{"dnrtmsg", NETLINK_DNRTMSG}, {"kobject-uevent", NETLINK_KOBJECT_UEVENT},
		{"generic", NETLINK_GENERIC}, {"scsitransport", NETLINK_SCSITRANSPORT},
		{"ecryptfs", NETLINK_ECRYPTFS}, {"rdma", NETLINK_RDMA}};
	size_t length = strcspn(text, " \t");
	const char *rest = text + length + strspn(text + length, " \t");
	uint64_t group = 0;
	if (*rest != '\0' && str_u64(rest, 0, UINT32_MAX, &group) < 0) {
		return -EINVAL;
	}
	for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
		if (strlen(families[i].name) == length &&
			memcmp(text, families[i].name, length) == 0) {
			out->to.nl.nl_family = AF_NETLINK;
			out->to.nl.nl_groups = (uint32_t)group;
			out->size = sizeof(out->to.nl);
			out->protocol = families[i].protocol;
			return 0;
		}
	}
	return -EPROTONOSUPPORT;
}

static int parse_address(uint8_t kind, const char *text, struct address *out)
{
	static const int types[] = {[LISTEN_STREAM] = SOCK_STREAM,
		[LISTEN_DATAGRAM] = SOCK_DGRAM,
		[LISTEN_SEQPACKET] = SOCK_SEQPACKET,
		[LISTEN_NETLINK] = SOCK_RAW};
	memset(out, 0, sizeof(*out));
	out->type = types[kind];
	if (kind == LISTEN_NETLINK) {
		return parse_netlink(text, out);
	}
	return text[0] == '/' || text[0] == '@' ? parse_unix(text, out) : parse_ip(text, out);
}

/* --- options --- */

static void set_number(
	int fd, int level, int option, int value, const char *name, int *failed, struct err *err)
{
	if (setsockopt(fd, level, option, &value, sizeof(value)) < 0) {
		*failed = err_set(err, errno, "%s=%d: %s", name, value, strerror(errno));
	}
}

/* Beyond the limit of the system too, where we may. */
static void set_buffer(int fd, int force, int option, int64_t bytes, const char *name, int *failed,
	struct err *err)
{
	/* The kernel doubles what it is given (socket(7)). */
	int value = bytes > INT_MAX / 2 ? INT_MAX / 2 : (int)bytes;
	if (setsockopt(fd, SOL_SOCKET, force, &value, sizeof(value)) < 0) {
		set_number(fd, SOL_SOCKET, option, value, name, failed, err);
	}
}

static int seconds_of(uint64_t ns)
{
	uint64_t seconds = (ns + NS_PER_SEC - 1) / NS_PER_SEC;
	return seconds > INT_MAX ? INT_MAX : (int)seconds;
}

static int family_of(int fd)
{
	int family = AF_UNSPEC;
	socklen_t size = sizeof(family);
	getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &size);
	return family;
}

static int protocol_of(int fd)
{
	int protocol = 0;
	socklen_t size = sizeof(protocol);
	getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &size);
	return protocol;
}

static void set_tcp(int fd, const struct listen_options *o, int *failed, struct err *err)
{
	if (o->keep_alive_time_ns != 0) {
		set_number(fd, IPPROTO_TCP, TCP_KEEPIDLE, seconds_of(o->keep_alive_time_ns),
			"KeepAliveTimeSec", failed, err);
	}
	if (o->keep_alive_interval_ns != 0) {
		set_number(fd, IPPROTO_TCP, TCP_KEEPINTVL, seconds_of(o->keep_alive_interval_ns),
			"KeepAliveIntervalSec", failed, err);
	}
	if (o->keep_alive_probes != 0) {
		set_number(fd, IPPROTO_TCP, TCP_KEEPCNT, (int)o->keep_alive_probes,
			"KeepAliveProbes", failed, err);
	}
	if (o->defer_accept_ns != 0) {
		set_number(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, seconds_of(o->defer_accept_ns),
			"DeferAcceptSec", failed, err);
	}
	if (o->tcp_congestion != NULL &&
		setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, o->tcp_congestion,
			(socklen_t)strlen(o->tcp_congestion)) < 0) {
		*failed = err_set(
			err, errno, "TCPCongestion=%s: %s", o->tcp_congestion, strerror(errno));
	}
	if (o->no_delay) {
		set_number(fd, IPPROTO_TCP, TCP_NODELAY, 1, "NoDelay", failed, err);
	}
}

static void set_ip(int fd, const struct listen_options *o, int *failed, struct err *err)
{
	int family = family_of(fd);
	bool six = family == AF_INET6;
	if (!six && family != AF_INET) {
		return;
	}
	if (protocol_of(fd) == IPPROTO_TCP) {
		set_tcp(fd, o, failed, err);
	}
	/* A socket of both kinds has both (ipv6(7)); one of IPv4 alone is told once. */
	if (o->pass_packet_info) {
		set_number(fd, six ? IPPROTO_IPV6 : IPPROTO_IP, six ? IPV6_RECVPKTINFO : IP_PKTINFO,
			1, "PassPacketInfo", failed, err);
	}
	if (o->ip_tos >= 0) {
		set_number(fd, IPPROTO_IP, IP_TOS, o->ip_tos, "IPTOS", failed, err);
	}
	if (o->ip_ttl >= 0) {
		set_number(fd, IPPROTO_IP, IP_TTL, o->ip_ttl, "IPTTL", failed, err);
		if (six) {
			set_number(fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS, o->ip_ttl, "IPTTL", failed,
				err);
		}
	}
}

static int set_options(int fd, const struct listen_options *o, struct err *err)
{
	int failed = 0;
	bool is_unix = family_of(fd) == AF_UNIX;
	if (o->keep_alive) {
		set_number(fd, SOL_SOCKET, SO_KEEPALIVE, 1, "KeepAlive", &failed, err);
	}
	if (o->broadcast) {
		set_number(fd, SOL_SOCKET, SO_BROADCAST, 1, "Broadcast", &failed, err);
	}
	if (o->pass_credentials && is_unix) {
		set_number(fd, SOL_SOCKET, SO_PASSCRED, 1, "PassCredentials", &failed, err);
	}
	if (o->pass_security && is_unix) {
		set_number(fd, SOL_SOCKET, SO_PASSSEC, 1, "PassSecurity", &failed, err);
	}
	if (o->priority >= 0) {
		set_number(fd, SOL_SOCKET, SO_PRIORITY, o->priority, "Priority", &failed, err);
	}
	if (o->mark >= 0) {
		set_number(fd, SOL_SOCKET, SO_MARK, o->mark, "Mark", &failed, err);
	}
	if (o->receive_buffer >= 0) {
		set_buffer(fd, SO_RCVBUFFORCE, SO_RCVBUF, o->receive_buffer, "ReceiveBuffer",
			&failed, err);
	}
	if (o->send_buffer >= 0) {
		set_buffer(
			fd, SO_SNDBUFFORCE, SO_SNDBUF, o->send_buffer, "SendBuffer", &failed, err);
	}
	set_ip(fd, o, &failed, err);
	return failed;
}

void listen_set_up_connection(int fd, const struct listen_options *options)
{
	(void)set_options(fd, options, NULL);
}

static bool is_socket(uint8_t kind)
{
	return kind == LISTEN_STREAM || kind == LISTEN_DATAGRAM || kind == LISTEN_SEQPACKET ||
	       kind == LISTEN_NETLINK;
}

static bool needs_listen(uint8_t kind)
{
	return kind == LISTEN_STREAM || kind == LISTEN_SEQPACKET;
}

static int backlog_of(const struct listen_options *options)
{
	return options->backlog > INT_MAX ? INT_MAX : (int)options->backlog;
}

int listen_apply(int fd, uint8_t kind, const char *address, const struct listen_options *options,
	struct err *err)
{
	int failed = 0, later = 0;
	if (is_socket(kind)) {
		failed = set_options(fd, options, err);
	} else if (kind == LISTEN_FIFO && options->pipe_size >= 0 &&
		   fcntl(fd, F_SETPIPE_SZ,
			   options->pipe_size > INT_MAX ? INT_MAX : (int)options->pipe_size) < 0) {
		failed = err_set(err, errno, "PipeSize=%lld: %s", (long long)options->pipe_size,
			strerror(errno));
	}
	if (listen_has_file(kind, address) && kind != LISTEN_MQUEUE) {
		later = set_file(kind == LISTEN_FIFO ? fd : -1, address, options, err);
	}
	if (needs_listen(kind) && listen(fd, backlog_of(options)) < 0) {
		later = err_set(err, errno, "%s: %s", address, strerror(errno));
	}
	return later != 0 ? later : failed;
}

/* --- sockets --- */

/* What must be set before bind(2). The device is a promise, the rest helps where it may. */
static int set_before_bind(
	int fd, const struct address *address, const struct listen_options *o, struct err *err)
{
	int family = address->to.any.sa_family, ignored = 0;
	set_number(fd, SOL_SOCKET, SO_REUSEADDR, 1, "ReuseAddress", &ignored, NULL);
	if (family != AF_INET && family != AF_INET6) {
		return 0;
	}
	if (family == AF_INET6 && o->ipv6_only != LISTEN_IPV6_DEFAULT) {
		int failed = 0;
		set_number(fd, IPPROTO_IPV6, IPV6_V6ONLY, o->ipv6_only == LISTEN_IPV6_ONLY,
			"BindIPv6Only", &failed, err);
		if (failed != 0) {
			return failed;
		}
	}
	if (o->reuse_port) {
		set_number(fd, SOL_SOCKET, SO_REUSEPORT, 1, "ReusePort", &ignored, NULL);
	}
	if (o->free_bind) {
		set_number(fd, IPPROTO_IP, IP_FREEBIND, 1, "FreeBind", &ignored, NULL);
	}
	if (o->transparent) {
		set_number(fd, IPPROTO_IP, IP_TRANSPARENT, 1, "Transparent", &ignored, NULL);
	}
	if (o->bind_device != NULL && setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, o->bind_device,
					      (socklen_t)strlen(o->bind_device) + 1) < 0) {
		return err_set(err, errno, "BindToDevice=%s: %s", o->bind_device, strerror(errno));
	}
	return 0;
}

/* A socket's file of which the owner is gone. Whoever answers there, with whatever word, lives. */
static bool is_stale(const struct address *address)
{
	struct stat status;
	if (lstat(address->to.un.sun_path, &status) < 0 || !S_ISSOCK(status.st_mode)) {
		return false;
	}
	int fd = socket(AF_UNIX, address->type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bool stale = fd >= 0 && connect(fd, &address->to.any, address->size) < 0 &&
		     errno == ECONNREFUSED;
	if (fd >= 0) {
		close(fd);
	}
	return stale;
}

static int bind_socket(int fd, const struct address *address, const struct listen_options *options)
{
	bool has_path = address->to.any.sa_family == AF_UNIX && address->to.un.sun_path[0] != '\0';
	if (!has_path) {
		return bind(fd, &address->to.any, address->size) < 0 ? -errno : 0;
	}
	int failed = make_parents(address->to.un.sun_path, options->directory_mode);
	if (failed != 0) {
		return failed;
	}
	mode_t mask = umask((mode_t)(~options->mode & 0777));
	failed = bind(fd, &address->to.any, address->size) < 0 ? -errno : 0;
	if (failed == -EADDRINUSE && is_stale(address)) {
		unlink(address->to.un.sun_path);
		failed = bind(fd, &address->to.any, address->size) < 0 ? -errno : 0;
	}
	umask(mask);
	return failed;
}

static int open_socket(
	uint8_t kind, const char *text, const struct listen_options *options, struct err *err)
{
	struct address address;
	int failed = parse_address(kind, text, &address);
	if (failed != 0) {
		return err_set(err, -failed, "%s: %s", text, strerror(-failed));
	}
	int fd = socket(address.to.any.sa_family, address.type | SOCK_CLOEXEC | SOCK_NONBLOCK,
		options->protocol != 0 && address.to.any.sa_family != AF_UNIX ? options->protocol
									      : address.protocol);
	if (fd < 0) {
		return err_set(err, errno, "%s: %s", text, strerror(errno));
	}
	failed = set_before_bind(fd, &address, options, err);
	if (failed == 0) {
		failed = bind_socket(fd, &address, options);
		if (failed != 0) {
			err_set(err, -failed, "%s: %s", text, strerror(-failed));
		}
	}
	if (failed == 0 && listen_has_file(kind, text)) {
		failed = set_file(-1, text, options, err);
	}
	if (failed == 0) {
		/* Some systems permit less than others: not a reason not to serve. */
		(void)set_options(fd, options, NULL);
		if (needs_listen(kind) && listen(fd, backlog_of(options)) < 0) {
			failed = err_set(err, errno, "%s: %s", text, strerror(errno));
		}
	}
	if (failed != 0) {
		close(fd);
		return failed;
	}
	return fd;
}

/* --- what is no socket --- */

static int open_fifo(const char *path, const struct listen_options *options, struct err *err)
{
	struct stat status;
	int failed = make_parents(path, options->directory_mode);
	if (failed != 0) {
		return err_set(err, -failed, "%s: %s", path, strerror(-failed));
	}
	mode_t mask = umask((mode_t)(~options->mode & 0777));
	if (mkfifo(path, options->mode & 0777) < 0 && errno != EEXIST) {
		failed = -errno;
	}
	umask(mask);
	/* Both ends: a FIFO without a writer would be at its end at once. */
	int fd = failed != 0 ? -1
			     : open(path, O_RDWR | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | O_NOFOLLOW);
	if (fd < 0) {
		failed = failed != 0 ? failed : -errno;
		return err_set(err, -failed, "%s: %s", path, strerror(-failed));
	}
	if (fstat(fd, &status) < 0 || !S_ISFIFO(status.st_mode)) {
		close(fd);
		return err_set(err, EEXIST, "%s is no FIFO", path);
	}
	failed = set_file(fd, path, options, err);
	if (failed != 0) {
		close(fd);
		return failed;
	}
	(void)listen_apply(fd, LISTEN_FIFO, path, options, NULL);
	return fd;
}

static int open_special(const char *path, const struct listen_options *options, struct err *err)
{
	struct stat status;
	int fd = open(path, (options->writable ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NOCTTY |
				    O_NONBLOCK | O_NOFOLLOW);
	if (fd < 0) {
		return err_set(err, errno, "%s: %s", path, strerror(errno));
	}
	if (fstat(fd, &status) < 0 || !(S_ISREG(status.st_mode) || S_ISCHR(status.st_mode))) {
		close(fd);
		return err_set(err, EEXIST, "%s is neither a device nor a file", path);
	}
	return fd;
}

static int open_queue(const char *name, const struct listen_options *options, struct err *err)
{
	mode_t mask = umask((mode_t)(~options->mode & 0777));
	mqd_t queue =
		mq_open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_CREAT, options->mode, NULL);
	int failed = queue < 0 ? errno : 0;
	umask(mask);
	return failed != 0 ? err_set(err, failed, "%s: %s", name, strerror(failed)) : (int)queue;
}

int listen_open(
	uint8_t kind, const char *address, const struct listen_options *options, struct err *err)
{
	switch ((enum listen_kind)kind) {
	case LISTEN_STREAM:
	case LISTEN_DATAGRAM:
	case LISTEN_SEQPACKET:
	case LISTEN_NETLINK: return open_socket(kind, address, options, err);
	case LISTEN_FIFO: return open_fifo(address, options, err);
	case LISTEN_SPECIAL: return open_special(address, options, err);
	case LISTEN_MQUEUE: return open_queue(address, options, err);
	}
	return err_set(err, EINVAL, "%s: no such kind", address);
}
