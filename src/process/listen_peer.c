#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/str.h"
#include "process/listen.h"

/* What is thrown away at most in one go. */
#define FLUSH_MAX 1024

struct address {
	union {
		struct sockaddr any;
		struct sockaddr_un un;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	} to;
	socklen_t size;
};

/* --- what waits in them --- */

bool listen_can_accept(int fd)
{
	int accepts = 0;
	socklen_t size = sizeof(accepts);
	return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &accepts, &size) == 0 && accepts != 0;
}

void listen_flush(int fd)
{
	char bytes[4096];
	struct stat status;
	bool socket = fstat(fd, &status) == 0 && S_ISSOCK(status.st_mode);
	bool accepts = socket && listen_can_accept(fd);
	for (int i = 0; i < FLUSH_MAX; i++) {
		ssize_t got;
		if (accepts) {
			got = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
			if (got >= 0) {
				close((int)got);
			}
		} else if (socket) {
			got = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT | MSG_TRUNC);
		} else {
			got = read(fd, bytes, sizeof(bytes));
			got = got == 0 ? -1 : got;
		}
		if (got < 0) {
			return;
		}
	}
}

/* --- the other end --- */

static bool is_mapped(const struct address *address)
{
	return address->to.any.sa_family == AF_INET6 &&
	       IN6_IS_ADDR_V4MAPPED(&address->to.in6.sin6_addr);
}

/* An IPv4 address that comes as an IPv6 one is shown as what it is. */
static void ip_text(const struct address *address, char *out, socklen_t size)
{
	if (address->to.any.sa_family == AF_INET) {
		inet_ntop(AF_INET, &address->to.in.sin_addr, out, size);
	} else if (is_mapped(address)) {
		inet_ntop(AF_INET, &address->to.in6.sin6_addr.s6_addr[12], out, size);
	} else {
		inet_ntop(AF_INET6, &address->to.in6.sin6_addr, out, size);
	}
}

static uint16_t port_of(const struct address *address)
{
	return ntohs(address->to.any.sa_family == AF_INET ? address->to.in.sin_port
							  : address->to.in6.sin6_port);
}

static void look_at_ip(const struct address *local, const struct address *remote, uint64_t number,
	struct listen_peer *out)
{
	char here[INET6_ADDRSTRLEN];
	ip_text(local, here, sizeof(here));
	ip_text(remote, out->address, sizeof(out->address));
	str_copy(out->source, sizeof(out->source), out->address);
	out->port = port_of(remote);
	snprintf(out->instance, sizeof(out->instance), "%llu-%s:%u-%.*s:%u",
		(unsigned long long)number, here, port_of(local), INET6_ADDRSTRLEN, out->address,
		out->port);
}

static void look_at_unix(
	int fd, const struct address *remote, uint64_t number, struct listen_peer *out)
{
	struct ucred peer;
	socklen_t size = sizeof(peer);
	size_t length = remote->size > offsetof(struct sockaddr_un, sun_path)
				? remote->size - offsetof(struct sockaddr_un, sun_path)
				: 0;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.pid > 0) {
		snprintf(out->instance, sizeof(out->instance), "%llu-%d-%u",
			(unsigned long long)number, (int)peer.pid, (unsigned)peer.uid);
	} else {
		snprintf(out->instance, sizeof(out->instance), "%llu-unknown",
			(unsigned long long)number);
	}
	if (length > 0) {
		memcpy(out->address, remote->to.un.sun_path, length);
		if (out->address[0] == '\0') {
			out->address[0] = '@';
		}
	}
}

int listen_look_at_peer(int fd, uint64_t number, struct listen_peer *out)
{
	struct address local = {.size = sizeof(local.to)}, remote = {.size = sizeof(remote.to)};
	memset(out, 0, sizeof(*out));
	if (getsockname(fd, &local.to.any, &local.size) < 0 ||
		getpeername(fd, &remote.to.any, &remote.size) < 0) {
		return -errno;
	}
	switch (remote.to.any.sa_family) {
	case AF_INET:
	case AF_INET6: look_at_ip(&local, &remote, number, out); return 0;
	case AF_UNIX: look_at_unix(fd, &remote, number, out); return 0;
	default:
		snprintf(out->instance, sizeof(out->instance), "%llu-unknown",
			(unsigned long long)number);
		return 0;
	}
}
