#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/span.h"
#include "process/account.h"
#include "process/listen.h"

static char dir[64];
static char path[128];
static struct listen_options options;
static struct err err;

static const struct listen_options plain = {.mode = 0666,
	.directory_mode = 0755,
	.backlog = 128,
	.receive_buffer = -1,
	.send_buffer = -1,
	.pipe_size = -1,
	.priority = -1,
	.mark = -1,
	.ip_ttl = -1,
	.ip_tos = -1};

static int set_up(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/test_listen.XXXXXX");
	options = plain;
	err.text[0] = '\0';
	umask(0077); /* modes must not depend on it */
	if (mkdtemp(dir) == NULL) {
		return -1;
	}
	snprintf(path, sizeof(path), "%s/s", dir);
	return 0;
}

static int tear_down(void **state)
{
	char command[96];
	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command);
}

static int opened(uint8_t kind, const char *address)
{
	int fd = listen_open(kind, address, &options, &err);
	if (fd < 0) {
		print_message("# %s\n", err.text);
	}
	assert_true(fd >= 0);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
	return fd;
}

static int number_of(int fd, int level, int option)
{
	int value = -1;
	socklen_t size = sizeof(value);
	assert_int_equal(getsockopt(fd, level, option, &value, &size), 0);
	return value;
}

static struct stat file(const char *name)
{
	struct stat status;
	assert_int_equal(lstat(name, &status), 0);
	return status;
}

/* A client of a Unix socket: the descriptor, or -errno. */
static int client(int type, const char *name)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t length = strlen(name);
	memcpy(address.sun_path, name, length);
	socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + 1);
	if (name[0] == '@') {
		address.sun_path[0] = '\0';
		size--;
	}
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
	if (connect(fd, (struct sockaddr *)&address, size) < 0) {
		int failed = -errno;
		close(fd);
		return failed;
	}
	return fd;
}

/* "HOST:" and a port that is free. */
static void free_port_text(char *out, size_t size, const char *before)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	socklen_t length = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	getsockname(fd, (struct sockaddr *)&address, &length);
	close(fd);
	snprintf(out, size, "%s%u", before, ntohs(address.sin_port));
}

/* --- Unix sockets --- */

static void stream_accepts_a_client(void **state)
{
	(void)state;
	int fd = opened(LISTEN_STREAM, path);
	assert_true(listen_can_accept(fd));
	int peer = client(SOCK_STREAM, path);
	assert_true(peer >= 0);
	assert_int_equal(file(path).st_mode, S_IFSOCK | 0666);
	close(peer);
	close(fd);
}

static void missing_directories_are_made(void **state)
{
	char deep[160];
	(void)state;
	snprintf(deep, sizeof(deep), "%s/a/b/s", dir);
	options.directory_mode = 0710;
	options.mode = 0600;
	close(opened(LISTEN_STREAM, deep));
	assert_int_equal(file(deep).st_mode, S_IFSOCK | 0600);
	snprintf(deep, sizeof(deep), "%s/a/b", dir);
	assert_int_equal(file(deep).st_mode, S_IFDIR | 0710);
}

static void owner_is_by_number_or_name(void **state)
{
	(void)state;
	if (geteuid() != 0) {
		skip();
	}
	options.user = "65534";
	options.group = "daemon";
	close(opened(LISTEN_STREAM, path));
	gid_t group;
	assert_int_equal(account_find_group("daemon", &group), 0);
	assert_int_equal(file(path).st_uid, 65534);
	assert_int_equal(file(path).st_gid, group);
}

static void unknown_owner_is_said(void **state)
{
	(void)state;
	options.user = "nobody-of-this-name";
	assert_int_equal(listen_open(LISTEN_STREAM, path, &options, &err), -ESRCH);
	assert_string_equal(err.text, "SocketUser=nobody-of-this-name: not in /etc/passwd");
}

static void stale_file_is_replaced(void **state)
{
	(void)state;
	close(opened(LISTEN_STREAM, path));
	assert_int_equal(client(SOCK_STREAM, path), -ECONNREFUSED);
	int fd = opened(LISTEN_STREAM, path);
	int peer = client(SOCK_STREAM, path);
	assert_true(peer >= 0);
	close(peer);
	close(fd);
}

static void living_socket_is_left_alone(void **state)
{
	(void)state;
	int fd = opened(LISTEN_STREAM, path);
	assert_int_equal(listen_open(LISTEN_STREAM, path, &options, &err), -EADDRINUSE);
	assert_non_null(strstr(err.text, path));
	/* Also for somebody of another type. */
	assert_int_equal(listen_open(LISTEN_DATAGRAM, path, &options, &err), -EADDRINUSE);
	assert_true(client(SOCK_STREAM, path) >= 0);
	close(fd);
}

static void file_that_is_no_socket_stays(void **state)
{
	(void)state;
	close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	assert_int_equal(listen_open(LISTEN_STREAM, path, &options, &err), -EADDRINUSE);
	assert_int_equal(file(path).st_mode, S_IFREG | 0600);
}

static void abstract_name_has_no_file(void **state)
{
	char name[64];
	(void)state;
	snprintf(name, sizeof(name), "@test_listen/%d", getpid());
	int fd = opened(LISTEN_SEQPACKET, name);
	assert_true(client(SOCK_SEQPACKET, name) >= 0);
	assert_false(listen_has_file(LISTEN_SEQPACKET, name));
	assert_int_equal(listen_open(LISTEN_SEQPACKET, name, &options, &err), -EADDRINUSE);
	close(fd);
}

static void path_too_long(void **state)
{
	char name[200];
	(void)state;
	memset(name, 'x', sizeof(name) - 1);
	name[0] = '/';
	name[sizeof(name) - 1] = '\0';
	assert_int_equal(listen_open(LISTEN_STREAM, name, &options, &err), -ENAMETOOLONG);
}

static void datagram_options(void **state)
{
	(void)state;
	options.pass_credentials = true;
	options.receive_buffer = 65536;
	options.send_buffer = 32768;
	options.priority = 3;
	int fd = opened(LISTEN_DATAGRAM, path);
	assert_false(listen_can_accept(fd));
	assert_int_equal(number_of(fd, SOL_SOCKET, SO_PASSCRED), 1);
	assert_int_equal(number_of(fd, SOL_SOCKET, SO_RCVBUF), 2 * 65536);
	assert_int_equal(number_of(fd, SOL_SOCKET, SO_SNDBUF), 2 * 32768);
	assert_int_equal(number_of(fd, SOL_SOCKET, SO_PRIORITY), 3);
	close(fd);
}

static void apply_changes_what_is_open(void **state)
{
	(void)state;
	int fd = opened(LISTEN_DATAGRAM, path);
	assert_int_equal(number_of(fd, SOL_SOCKET, SO_PASSCRED), 0);
	options.pass_credentials = true;
	options.mode = 0640;
	assert_int_equal(listen_apply(fd, LISTEN_DATAGRAM, path, &options, &err), 0);
	assert_int_equal(number_of(fd, SOL_SOCKET, SO_PASSCRED), 1);
	assert_int_equal(file(path).st_mode, S_IFSOCK | 0640);
	close(fd);
}

/* --- IP --- */

static void tcp_with_options(void **state)
{
	char address[64];
	(void)state;
	free_port_text(address, sizeof(address), "127.0.0.1:");
	options.keep_alive = true;
	options.keep_alive_time_ns = 90 * NS_PER_SEC;
	options.keep_alive_interval_ns = 7 * NS_PER_SEC;
	options.keep_alive_probes = 4;
	options.no_delay = true;
	options.defer_accept_ns = 3 * NS_PER_SEC;
	options.ip_tos = 16;
	options.ip_ttl = 33;
	options.reuse_port = true;
	options.free_bind = true;
	int fd = opened(LISTEN_STREAM, address);
	assert_int_equal(number_of(fd, SOL_SOCKET, SO_KEEPALIVE), 1);
	assert_int_equal(number_of(fd, IPPROTO_TCP, TCP_KEEPIDLE), 90);
	assert_int_equal(number_of(fd, IPPROTO_TCP, TCP_KEEPINTVL), 7);
	assert_int_equal(number_of(fd, IPPROTO_TCP, TCP_KEEPCNT), 4);
	assert_int_equal(number_of(fd, IPPROTO_TCP, TCP_NODELAY), 1);
	assert_true(number_of(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT) >= 3);
	assert_int_equal(number_of(fd, IPPROTO_IP, IP_TOS), 16);
	assert_int_equal(number_of(fd, IPPROTO_IP, IP_TTL), 33);
	assert_int_equal(number_of(fd, SOL_SOCKET, SO_REUSEADDR), 1);
	assert_int_equal(number_of(fd, SOL_SOCKET, SO_REUSEPORT), 1);
	assert_int_equal(number_of(fd, IPPROTO_IP, IP_FREEBIND), 1);
	close(fd);
}

static void port_in_use_is_said_with_its_address(void **state)
{
	char address[64], text[128];
	(void)state;
	free_port_text(address, sizeof(address), "127.0.0.1:");
	int fd = opened(LISTEN_STREAM, address);
	assert_int_equal(listen_open(LISTEN_STREAM, address, &options, &err), -EADDRINUSE);
	snprintf(text, sizeof(text), "%s: Address already in use", address);
	assert_string_equal(err.text, text);
	close(fd);
}

static void port_alone_serves_both_families(void **state)
{
	char port[16], address[64];
	(void)state;
	free_port_text(port, sizeof(port), "");
	int fd = opened(LISTEN_STREAM, port);
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	int peer = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(peer, (struct sockaddr *)&to, sizeof(to)), 0);
	close(peer);
	close(fd);
	/* With BindIPv6Only=ipv6-only the IPv4 side is somebody else's. */
	options.ipv6_only = LISTEN_IPV6_ONLY;
	fd = opened(LISTEN_STREAM, port);
	options.ipv6_only = LISTEN_IPV6_DEFAULT;
	snprintf(address, sizeof(address), "0.0.0.0:%s", port);
	int four = opened(LISTEN_STREAM, address);
	close(four);
	close(fd);
}

static void udp_with_packet_info(void **state)
{
	char address[64];
	(void)state;
	free_port_text(address, sizeof(address), "[::1]:");
	options.pass_packet_info = true;
	options.broadcast = true;
	int fd = opened(LISTEN_DATAGRAM, address);
	assert_int_equal(number_of(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO), 1);
	assert_int_equal(number_of(fd, SOL_SOCKET, SO_BROADCAST), 1);
	close(fd);
}

static void device_that_is_not_there(void **state)
{
	char address[64];
	(void)state;
	free_port_text(address, sizeof(address), "127.0.0.1:");
	options.bind_device = "no-such-device";
	assert_true(listen_open(LISTEN_STREAM, address, &options, &err) < 0);
	assert_non_null(strstr(err.text, "BindToDevice=no-such-device"));
}

static void bad_addresses(void **state)
{
	static const char *const bad[] = {
		"0", "65536", "host:80", "1.2.3:80", "[::1]", "[::1]80", "[g::]:80", ":80"};
	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_true(listen_open(LISTEN_STREAM, bad[i], &options, &err) < 0);
	}
}

/* --- what is no socket --- */

static void fifo_keeps_what_is_written(void **state)
{
	char bytes[8];
	(void)state;
	options.mode = 0622;
	options.pipe_size = 8192;
	int fd = opened(LISTEN_FIFO, path);
	assert_int_equal(file(path).st_mode, S_IFIFO | 0622);
	assert_int_equal(fcntl(fd, F_GETPIPE_SZ), 8192);
	int writer = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
	assert_int_equal(write(writer, "abc", 3), 3);
	close(writer);
	assert_int_equal(read(fd, bytes, sizeof(bytes)), 3);
	assert_int_equal(read(fd, bytes, sizeof(bytes)), -1); /* and no end of file */
	close(fd);
	/* It is there already, with another mode. */
	options.mode = 0600;
	close(opened(LISTEN_FIFO, path));
	assert_int_equal(file(path).st_mode, S_IFIFO | 0600);
}

static void fifo_where_a_file_is(void **state)
{
	(void)state;
	close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	assert_int_equal(listen_open(LISTEN_FIFO, path, &options, &err), -EEXIST);
}

static void special_file(void **state)
{
	(void)state;
	int fd = opened(LISTEN_SPECIAL, "/dev/zero");
	assert_int_equal(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
	close(fd);
	options.writable = true;
	fd = opened(LISTEN_SPECIAL, "/dev/null");
	assert_int_equal(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDWR);
	close(fd);
	assert_int_equal(listen_open(LISTEN_SPECIAL, dir, &options, &err), -EISDIR);
	assert_int_equal(listen_open(LISTEN_SPECIAL, path, &options, &err), -ENOENT);
}

static void netlink_family(void **state)
{
	(void)state;
	int fd = opened(LISTEN_NETLINK, "route 1");
	assert_int_equal(number_of(fd, SOL_SOCKET, SO_DOMAIN), AF_NETLINK);
	close(fd);
	assert_int_equal(listen_open(LISTEN_NETLINK, "nosuch 1", &options, &err), -EPROTONOSUPPORT);
}

static void symlinks(void **state)
{
	char link[160], text[160] = "";
	(void)state;
	snprintf(link, sizeof(link), "%s/d/link", dir);
	assert_int_equal(listen_symlink("/a", link, 0755), 0);
	assert_int_equal(listen_symlink("/b", link, 0755), 0);
	assert_int_equal(readlink(link, text, sizeof(text)), 2);
	assert_string_equal(text, "/b");
	close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	assert_int_equal(listen_symlink("/a", path, 0755), -EEXIST);
}

static void unlink_takes_the_file(void **state)
{
	(void)state;
	int fd = opened(LISTEN_STREAM, path);
	listen_unlink(LISTEN_STREAM, path);
	assert_int_equal(access(path, F_OK), -1);
	close(fd);
	listen_unlink(LISTEN_SPECIAL, "/dev/null");
	assert_int_equal(access("/dev/null", F_OK), 0);
}

/* --- what waits --- */

static bool is_readable(int fd)
{
	struct pollfd wait = {.fd = fd, .events = POLLIN};
	return poll(&wait, 1, 0) == 1;
}

static void flush_takes_all_that_waits(void **state)
{
	(void)state;
	int fd = opened(LISTEN_STREAM, path);
	int first = client(SOCK_STREAM, path), second = client(SOCK_STREAM, path);
	assert_true(is_readable(fd));
	listen_flush(fd);
	assert_false(is_readable(fd));
	assert_true(is_readable(first)); /* its end */
	close(first);
	close(second);
	close(fd);
	unlink(path);
	fd = opened(LISTEN_DATAGRAM, path);
	first = client(SOCK_DGRAM, path);
	assert_int_equal(send(first, "", 0, 0), 0);
	assert_int_equal(send(first, "x", 1, 0), 1);
	listen_flush(fd);
	assert_false(is_readable(fd));
	close(first);
	close(fd);
	unlink(path);
	fd = opened(LISTEN_FIFO, path);
	assert_int_equal(write(fd, "x", 1), 1);
	listen_flush(fd);
	assert_false(is_readable(fd));
	close(fd);
}

/* --- the other end --- */

static void peer_of_tcp(void **state)
{
	char port[16], text[200];
	struct listen_peer peer;
	struct sockaddr_in from;
	socklen_t size = sizeof(from);
	(void)state;
	free_port_text(port, sizeof(port), "");
	int fd = opened(LISTEN_STREAM, port); /* both families: IPv4 comes as a mapped address */
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	int other = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(other, (struct sockaddr *)&to, sizeof(to)), 0);
	getsockname(other, (struct sockaddr *)&from, &size);
	int connection = accept(fd, NULL, NULL);
	assert_int_equal(listen_look_at_peer(connection, 7, &peer), 0);
	snprintf(text, sizeof(text), "7-127.0.0.1:%s-127.0.0.1:%u", port, ntohs(from.sin_port));
	assert_string_equal(peer.instance, text);
	assert_string_equal(peer.address, "127.0.0.1");
	assert_string_equal(peer.source, "127.0.0.1");
	assert_int_equal(peer.port, ntohs(from.sin_port));
	close(connection);
	close(other);
	close(fd);
}

static void peer_of_unix(void **state)
{
	char text[64];
	struct listen_peer peer;
	(void)state;
	int fd = opened(LISTEN_STREAM, path);
	int other = client(SOCK_STREAM, path);
	int connection = accept(fd, NULL, NULL);
	assert_int_equal(listen_look_at_peer(connection, 12, &peer), 0);
	snprintf(text, sizeof(text), "12-%d-%u", getpid(), geteuid());
	assert_string_equal(peer.instance, text);
	assert_string_equal(peer.address, "");
	close(connection);
	close(other);
	close(fd);
}

static void accounts(void **state)
{
	uid_t uid = 1;
	gid_t gid = 1;
	(void)state;
	assert_int_equal(account_find_user("root", &uid, &gid), 0);
	assert_int_equal(uid, 0);
	assert_int_equal(gid, 0);
	assert_int_equal(account_find_user("4711", &uid, &gid), 0);
	assert_int_equal(uid, 4711);
	assert_int_equal(account_find_user("no such user", &uid, &gid), -ESRCH);
	assert_int_equal(account_find_group("no such group", &gid), -ESRCH);
}

#define EACH(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {EACH(stream_accepts_a_client),
		EACH(missing_directories_are_made), EACH(owner_is_by_number_or_name),
		EACH(unknown_owner_is_said), EACH(stale_file_is_replaced),
		EACH(living_socket_is_left_alone), EACH(file_that_is_no_socket_stays),
		EACH(abstract_name_has_no_file), EACH(path_too_long), EACH(datagram_options),
		EACH(apply_changes_what_is_open), EACH(tcp_with_options),
		EACH(port_in_use_is_said_with_its_address), EACH(port_alone_serves_both_families),
		EACH(udp_with_packet_info), EACH(device_that_is_not_there), EACH(bad_addresses),
		EACH(fifo_keeps_what_is_written), EACH(fifo_where_a_file_is), EACH(special_file),
		EACH(netlink_family), EACH(symlinks), EACH(unlink_takes_the_file),
		EACH(flush_takes_all_that_waits), EACH(peer_of_tcp), EACH(peer_of_unix),
		EACH(accounts)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
