/* [Socket]: systemd.socket(5). */
#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "base/check.h"
#include "base/str.h"
#include "unit/name.h"
#include "unit/parse.h"
#include "unit/table.h"
#include "unit/word.h"

#define TRIGGER_INTERVAL (2 * NS_PER_SEC)
#define COMMAND_TIMEOUT  (90 * NS_PER_SEC)

const struct unit_socket parse_socket_defaults = {
	.mode = 0666,
	.directory_mode = 0755,
	.backlog = SOMAXCONN,
	.connections_max = 64,
	.receive_buffer = -1,
	.send_buffer = -1,
	.pipe_size = -1,
	.priority = -1,
	.mark = -1,
	.ip_ttl = -1,
	.ip_tos = -1,
	.trigger_interval_ns = TRIGGER_INTERVAL,
	.trigger_burst = PARSE_TRIGGER_BURST_UNSET,
	.timeout_ns = COMMAND_TIMEOUT,
};

/* --- addresses --- */

/* sun_path, less the NUL behind it. */
#define SOCKET_PATH_MAX 107

static bool address_is_port(const char *text)
{
	uint64_t port;
	return str_u64(text, 1, 65535, &port) == 0;
}

/* "[v6]", "[v6%interface]", "v4", or a name that is looked up when it is bound. */
static bool address_is_host(const char *text, size_t length)
{
	char host[256];
	struct in6_addr address;
	if (length == 0 || length >= sizeof(host)) {
		return false;
	}
	memcpy(host, text, length);
	host[length] = '\0';
	if (host[0] == '[') {
		if (host[length - 1] != ']') {
			return false;
		}
		host[length - 1] = '\0';
		char *zone = strchr(host, '%');
		if (zone != NULL) {
			*zone = '\0';
		}
		return inet_pton(AF_INET6, host + 1, &address) == 1;
	}
	size_t letters =
		strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._");
	if (letters != length) {
		return false;
	}
	/* What looks like an address must be one. */
	return strspn(host, "0123456789.") != length || inet_pton(AF_INET, host, &address) == 1;
}

/* "vsock:CID:PORT", "vsock::PORT". */
static bool address_is_vsock(const char *text)
{
	uint64_t number;
	char cid[16];
	const char *colon = strchr(text, ':');
	if (colon == NULL || colon - text >= (int)sizeof(cid)) {
		return false;
	}
	memcpy(cid, text, (size_t)(colon - text));
	cid[colon - text] = '\0';
	return (cid[0] == '\0' || str_u64(cid, 0, UINT32_MAX, &number) == 0) &&
	       str_u64(colon + 1, 0, UINT32_MAX, &number) == 0;
}

static int address_check_socket(struct parse *p, const char *text)
{
	if (text[0] == '/' || text[0] == '@') {
		if (strlen(text) > SOCKET_PATH_MAX) {
			return parse_refuse_why(
				p, 0, "the path of a socket has %d bytes at most", SOCKET_PATH_MAX);
		}
		return text[1] != '\0' ? 0 : parse_refuse(p, 0, text);
	}
	if (str_starts(text, "vsock:")) {
		return address_is_vsock(text + strlen("vsock:")) ? 0 : parse_refuse(p, 0, text);
	}
	if (address_is_port(text)) {
		return 0;
	}
	/* "[::1]:80%eth0" is systemd's place for the interface. */
	char copy[320];
	if (!str_copy(copy, sizeof(copy), text)) {
		return parse_refuse(p, 0, text);
	}
	char *close = strrchr(copy, ']');
	char *zone = strchr(close != NULL ? close : copy, '%');
	if (zone != NULL) {
		*zone = '\0';
	}
	char *colon = strchr(close != NULL ? close : copy, ':');
	if (colon == NULL || !address_is_port(colon + 1) ||
		!address_is_host(copy, (size_t)(colon - copy))) {
		return parse_refuse(p, 0, text);
	}
	return 0;
}

static int address_check(struct parse *p, enum unit_listen_kind kind, const char *text)
{
	switch (kind) {
	case UNIT_LISTEN_STREAM:
	case UNIT_LISTEN_DATAGRAM:
	case UNIT_LISTEN_SEQPACKET: return address_check_socket(p, text);
	case UNIT_LISTEN_FIFO:
	case UNIT_LISTEN_SPECIAL:
		return text[0] == '/'
			       ? 0
			       : parse_refuse_why(p, 0, "\"%s\" is not an absolute path", text);
	case UNIT_LISTEN_MQUEUE:
		return text[0] == '/' && text[1] != '\0' && strchr(text + 1, '/') == NULL
			       ? 0
			       : parse_refuse_why(p, 0,
					 "\"%s\" is not the name of a message queue (/NAME)", text);
	case UNIT_LISTEN_NETLINK: break;
	}
	return 0;
}

static int listen_add(struct parse *p, enum unit_listen_kind kind, const char *text)
{
	struct unit_socket *socket = p->unit->socket;
	uint32_t count = socket->listens_count;
	struct unit_spot spot = parse_spot(p, 0);
	if (count == PARSE_LISTENS_MAX) {
		return parse_refuse_why(
			p, 0, "more than %d addresses are not possible", PARSE_LISTENS_MAX);
	}
	/* The room is the next power of two. */
	if ((count & (count - 1)) == 0) {
		uint32_t room = count == 0 ? 1 : count * 2;
		struct unit_listen *list = arena_alloc(p->arena, room * sizeof(*list));
		if (list == NULL) {
			return -ENOMEM;
		}
		if (count > 0) {
			memcpy(list, socket->listens, count * sizeof(*list));
		}
		socket->listens = list;
	}
	socket->listens[socket->listens_count++] =
		(struct unit_listen){(uint8_t)kind, text, parse_spot_line(&spot)};
	return 0;
}

int parse_listen(struct parse *p, const char *value, void *field)
{
	static const char *const keys[] = {
		[UNIT_LISTEN_STREAM] = "ListenStream",
		[UNIT_LISTEN_DATAGRAM] = "ListenDatagram",
		[UNIT_LISTEN_SEQPACKET] = "ListenSequentialPacket",
		[UNIT_LISTEN_FIFO] = "ListenFIFO",
		[UNIT_LISTEN_SPECIAL] = "ListenSpecial",
		[UNIT_LISTEN_NETLINK] = "ListenNetlink",
		[UNIT_LISTEN_MQUEUE] = "ListenMessageQueue",
	};
	const char *text;
	bool judge = true;
	size_t kind = 0;
	(void)field;
	if (value[0] == '\0') {
		/* An empty one of any kind takes all back. */
		p->unit->socket->listens = NULL;
		p->unit->socket->listens_count = 0;
		p->extra->listen_refused = false;
		return 0;
	}
	while (strcmp(keys[kind], p->line->text.key) != 0) {
		kind++;
	}
	int r = parse_expand(p, value, 0, &text, &judge);
	if (r == 0 && judge) {
		r = address_check(p, (enum unit_listen_kind)kind, text);
	}
	p->extra->listen_refused = p->extra->listen_refused || r == -EINVAL;
	return r < 0 ? r : listen_add(p, (enum unit_listen_kind)kind, text);
}

/* --- words --- */

int parse_ipv6_only(struct parse *p, const char *value, void *field)
{
	static const char *const words[] = {"default", "both", "ipv6-only", NULL};
	return parse_word(p, words, value, field) < 0 ? -EINVAL : 0;
}

int parse_protocol(struct parse *p, const char *value, void *field)
{
	static const char *const words[] = {"udplite", "sctp", "mptcp", NULL};
	static const int numbers[] = {IPPROTO_UDPLITE, IPPROTO_SCTP, 262 /* IPPROTO_MPTCP */};
	int *out = field;
	if (parse_reset(p, value, field, sizeof(*out))) {
		return 0;
	}
	int i = parse_choose(p, words, value);
	if (i < 0) {
		return i;
	}
	*out = numbers[i];
	return 0;
}

int parse_ip_tos(struct parse *p, const char *value, void *field)
{
	static const char *const words[] = {"low-delay", "throughput", "reliability", "low-cost"};
	int *out = field;
	uint64_t number;
	if (parse_reset(p, value, field, sizeof(*out))) {
		return 0;
	}
	for (int i = 0; i < 4; i++) {
		if (strcmp(words[i], value) == 0) {
			*out = 16 >> i; /* IPTOS_LOWDELAY … IPTOS_LOWCOST */
			return 0;
		}
	}
	if (str_u64(value, 0, 255, &number) < 0) {
		return parse_refuse(p, 0, value);
	}
	*out = (int)number;
	return 0;
}

/* What LISTEN_FDNAMES can carry. */
int parse_fd_name(struct parse *p, const char *value, void *field)
{
	const char **out = field;
	const char *text;
	bool judge = true;
	if (parse_reset(p, value, field, sizeof(*out))) {
		return 0;
	}
	int r = parse_expand(p, value, 0, &text, &judge);
	if (r < 0) {
		return r;
	}
	for (const char *at = text; judge && *at != '\0'; at++) {
		if (*at < ' ' || *at > '~' || *at == ':' || at - text >= 255) {
			return parse_refuse(p, 0, text);
		}
	}
	*out = text;
	return 0;
}

int parse_accept(struct parse *p, const char *value, void *field)
{
	p->extra->accept = parse_spot(p, 0);
	return parse_boolean(p, value, field);
}

int parse_socket_service(struct parse *p, const char *value, void *field)
{
	const char **out = field;
	const char *text;
	bool judge = true;
	char whole[UNIT_NAME_SIZE];
	p->extra->socket_service = parse_spot(p, 0);
	if (parse_reset(p, value, field, sizeof(*out))) {
		return 0;
	}
	int r = parse_expand(p, value, 0, &text, &judge);
	if (r < 0 || !judge) {
		*out = r < 0 ? *out : text;
		return r;
	}
	if (unit_name_normalize(text, whole, sizeof(whole)) < 0 ||
		name_kind(whole) != UNIT_SERVICE) {
		return parse_refuse(p, 0, text);
	}
	*out = arena_strdup(p->arena, whole);
	return *out == NULL ? -ENOMEM : 0;
}

/* --- numbers --- */

int parse_bytes(struct parse *p, const char *value, void *field)
{
	int64_t *out = field;
	uint64_t bytes;
	if (parse_reset(p, value, field, sizeof(*out))) {
		return 0;
	}
	if (size_parse(value, INT32_MAX, &bytes) < 0) {
		return parse_refuse(p, 0, value);
	}
	*out = (int64_t)bytes;
	return 0;
}

int parse_int(struct parse *p, const char *value, void *field)
{
	int *out = field;
	uint64_t number;
	if (parse_reset(p, value, field, sizeof(*out))) {
		return 0;
	}
	if (str_u64(value, 0, INT_MAX, &number) < 0) {
		return parse_refuse(p, 0, value);
	}
	*out = (int)number;
	return 0;
}

int parse_ttl(struct parse *p, const char *value, void *field)
{
	int ttl = -1;
	if (parse_reset(p, value, field, sizeof(ttl))) {
		return 0;
	}
	int r = parse_int(p, value, &ttl);
	if (r == 0 && (ttl < 1 || ttl > 255)) {
		return parse_refuse(p, 0, value);
	}
	if (r == 0) {
		*(int *)field = ttl;
	}
	return r;
}

/* --- lists --- */

int parse_absolute_paths(struct parse *p, const char *value, void *field)
{
	const char *const **list = field;
	struct word word;
	size_t at = 0;
	int r;
	if (value[0] == '\0') {
		*list = NULL;
		return 0;
	}
	while ((r = parse_next_word(p, value, &at, 0, &word)) > 0) {
		const char *text;
		bool judge = true;
		r = parse_keep_word(p, &word, &text, &judge);
		if (r == 0 && judge && text[0] != '/') {
			r = parse_refuse_why(
				p, word.offset, "\"%s\" is not an absolute path", text);
		}
		if (r == 0) {
			r = parse_append(p, list, text);
		}
		if (r < 0 && !parse_list_goes_on(p, r)) {
			return r;
		}
	}
	return r;
}

/* Sockets= of a service. */
int parse_sockets(struct parse *p, const char *value, void *field)
{
	const char *const **list = field;
	struct word word;
	size_t at = 0;
	int r;
	if (value[0] == '\0') {
		*list = NULL;
		return 0;
	}
	while ((r = parse_next_word(p, value, &at, WORD_RETAIN_ESCAPE, &word)) > 0) {
		const char *text;
		char whole[UNIT_NAME_SIZE];
		bool judge = true;
		r = parse_keep_word(p, &word, &text, &judge);
		if (r == 0 && judge &&
			(unit_name_normalize(text, whole, sizeof(whole)) < 0 ||
				name_kind(whole) != UNIT_SOCKET)) {
			r = parse_refuse(p, word.offset, text);
		}
		if (r == 0) {
			r = parse_append(p, list, text);
		}
		if (r < 0 && !parse_list_goes_on(p, r)) {
			return r;
		}
	}
	return r;
}
