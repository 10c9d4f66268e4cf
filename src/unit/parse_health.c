/* [Health]: coppice.service(5). */
#include <errno.h>
#include <string.h>

#include "base/str.h"
#include "unit/parse.h"

#define HTTP      "http://"
#define HTTP_PORT 80

/* One probe a service; the last one given counts, as with any plain value. A second kind beside the
 * first is told by service_check(). */
static void health_forget(struct parse *p, enum unit_health_kind kind)
{
	struct unit_health *health = &p->unit->service->health;
	if (health->kind == kind) {
		health->kind = UNIT_HEALTH_NONE;
		health->host = NULL;
		health->path = NULL;
		health->port = 0;
		health->command = NULL;
	}
}

static bool health_take_port(const char *text, size_t length, uint16_t *port)
{
	char digits[8];
	uint64_t number;
	if (length == 0 || length >= sizeof(digits)) {
		return false;
	}
	memcpy(digits, text, length);
	digits[length] = '\0';
	if (str_u64(digits, 1, 65535, &number) < 0) {
		return false;
	}
	*port = (uint16_t)number;
	return true;
}

/* "HOST", "HOST:PORT", "[V6]:PORT", up to `length`. A port of 0 before is one that must be there.
 * Returns 0, -EINVAL or -ENOMEM. */
static int health_take_host(
	struct parse *p, const char *text, size_t length, const char **host, uint16_t *port)
{
	size_t begin = 0;
	size_t end = 0;
	size_t after;
	if (text[0] == '[') {
		const char *close = memchr(text, ']', length);
		if (close == NULL) {
			return -EINVAL;
		}
		begin = 1;
		end = (size_t)(close - text);
		after = end + 1;
	} else {
		while (end < length && text[end] != ':') {
			end++;
		}
		after = end;
	}
	if (end == begin || strcspn(text + begin, " \t@") < end - begin) {
		return -EINVAL;
	}
	if (after < length) {
		if (text[after] != ':' ||
			!health_take_port(text + after + 1, length - after - 1, port)) {
			return -EINVAL;
		}
	}
	if (*port == 0) {
		return -EINVAL;
	}
	*host = arena_strndup(p->arena, text + begin, end - begin);
	return *host == NULL ? -ENOMEM : 0;
}

/* A second probe beside the first is one too many. */
static int health_is_other(struct parse *p, enum unit_health_kind kind)
{
	uint8_t old = p->unit->service->health.kind;
	if (old == UNIT_HEALTH_NONE || old == kind) {
		return 0;
	}
	return parse_refuse_why(p, 0, "a service has one probe: one of Http=, Tcp=, Exec=");
}

int parse_health_http(struct parse *p, const char *value, void *field)
{
	struct unit_health health = p->unit->service->health;
	const char *text = "";
	bool judge = true;
	(void)field;
	health_forget(p, UNIT_HEALTH_HTTP);
	if (value[0] == '\0') {
		return 0;
	}
	int r = health_is_other(p, UNIT_HEALTH_HTTP);
	if (r == 0) {
		r = parse_expand(p, value, 0, &text, &judge);
	}
	if (r < 0) {
		return r;
	}
	if (str_starts(text, "https://")) {
		return parse_refuse_why(
			p, 0, "https is not supported: ask with Exec= (curl -fsS URL)");
	}
	health.port = HTTP_PORT;
	size_t host = strlen(HTTP);
	size_t length = str_starts(text, HTTP) ? strcspn(text + host, "/?#") : 0;
	r = length == 0 ? -EINVAL
			: health_take_host(p, text + host, length, &health.host, &health.port);
	if (r == -EINVAL && !judge) {
		return 0;
	}
	if (r < 0) {
		return r == -EINVAL ? parse_refuse(p, 0, text) : r;
	}
	const char *path = text + host + length;
	health.path = path[0] == '/' ? path : arena_printf(p->arena, "/%s", path);
	health.kind = UNIT_HEALTH_HTTP;
	health.command = NULL;
	p->unit->service->health = health;
	return health.path == NULL ? -ENOMEM : 0;
}

int parse_health_tcp(struct parse *p, const char *value, void *field)
{
	struct unit_health health = p->unit->service->health;
	const char *text = "";
	bool judge = true;
	(void)field;
	health_forget(p, UNIT_HEALTH_TCP);
	if (value[0] == '\0') {
		return 0;
	}
	int r = health_is_other(p, UNIT_HEALTH_TCP);
	if (r == 0) {
		r = parse_expand(p, value, 0, &text, &judge);
	}
	if (r < 0) {
		return r;
	}
	health.host = NULL;
	health.path = NULL;
	health.port = 0;
	if (text[0] == '/') {
		health.path = text;
	} else {
		r = health_take_host(p, text, strlen(text), &health.host, &health.port);
	}
	if (r == -EINVAL && !judge) {
		return 0;
	}
	if (r < 0) {
		return r == -EINVAL ? parse_refuse(p, 0, text) : r;
	}
	health.kind = UNIT_HEALTH_TCP;
	health.command = NULL;
	p->unit->service->health = health;
	return 0;
}

int parse_health_exec(struct parse *p, const char *value, void *field)
{
	struct unit_health *health = &p->unit->service->health;
	struct unit_commands commands = {0};
	(void)field;
	health_forget(p, UNIT_HEALTH_EXEC);
	if (value[0] == '\0') {
		return 0;
	}
	int r = health_is_other(p, UNIT_HEALTH_EXEC);
	if (r == 0) {
		r = parse_commands(p, value, &commands);
	}
	if (r < 0) {
		return r;
	}
	if (commands.count != 1) {
		return parse_refuse_why(p, 0, "there must be one command");
	}
	health->kind = UNIT_HEALTH_EXEC;
	health->command = commands.list;
	return 0;
}

/* --- numbers --- */

int parse_span_above_zero(struct parse *p, const char *value, void *field)
{
	uint64_t span = 0;
	if (parse_reset(p, value, field, sizeof(span))) {
		return 0;
	}
	int r = parse_span(p, value, &span);
	if (r == 0 && span == 0) {
		return parse_refuse(p, 0, value);
	}
	if (r == 0) {
		*(uint64_t *)field = span;
	}
	return r;
}

int parse_retries(struct parse *p, const char *value, void *field)
{
	uint32_t *out = field;
	uint64_t number;
	if (parse_reset(p, value, field, sizeof(*out))) {
		return 0;
	}
	if (str_u64(value, 1, 1000, &number) < 0) {
		return parse_refuse(p, 0, value);
	}
	*out = (uint32_t)number;
	return 0;
}
