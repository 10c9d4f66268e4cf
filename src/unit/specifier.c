#include "unit/specifier.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/str.h"
#include "unit/name.h"

struct expansion {
	struct specifier_host *host;
	const struct specifier_unit *unit;
	struct arena *arena;
	bool no_memory;
};

/* --- answers of the machine --- */

/* The first line of a small file, in the host's arena; NULL when there is none. */
static const char *host_read_line(struct specifier_host *host, const char *path)
{
	char *text;
	size_t size;
	if (host->source->read_file(host->source, path, &text, &size) < 0) {
		return NULL;
	}
	text[strcspn(text, "\r\n")] = '\0';
	const char *line = arena_strdup(host->arena, text);
	free(text);
	return line;
}

/* The first line of a file with colons whose field `number` (an id) is `id`, split into fields. */
static char *host_find_id(char *text, size_t number, unsigned long id, char *fields[7])
{
	for (char *line = text; line != NULL && *line != '\0';) {
		char *next = strchr(line, '\n');
		if (next != NULL) {
			*next++ = '\0';
		}
		size_t count = 0;
		for (char *at = line; at != NULL && count < 7; count++) {
			fields[count] = at;
			at = strchr(at, ':');
			if (at != NULL) {
				*at++ = '\0';
			}
		}
		uint64_t value;
		if (count > number && str_u64(fields[number], 0, UINT32_MAX, &value) == 0 &&
			value == id) {
			while (count < 7) {
				fields[count++] = NULL;
			}
			return line;
		}
		line = next;
	}
	return NULL;
}

static const char *host_keep(struct specifier_host *host, const char *text)
{
	return text != NULL ? arena_strdup(host->arena, text) : NULL;
}

/* passwd(5) is read by hand: the name services behind getpwuid(3) may block, and cannot be linked
 * statically. */
static void host_read_passwd(struct specifier_host *host)
{
	char *fields[7];
	char *text;
	size_t size;
	if (host->passwd_read) {
		return;
	}
	host->passwd_read = true;
	if (host->source->read_file(host->source, "/etc/passwd", &text, &size) == 0) {
		if (host_find_id(text, 2, getuid(), fields) != NULL) {
			host->user_name = host_keep(host, fields[0]);
			host->user_home = host_keep(host, fields[5]);
			host->user_shell = host_keep(host, fields[6]);
		}
		free(text);
	}
	if (host->source->read_file(host->source, "/etc/group", &text, &size) == 0) {
		if (host_find_id(text, 2, getgid(), fields) != NULL) {
			host->group_name = host_keep(host, fields[0]);
		}
		free(text);
	}
}

static const char *host_hostname(struct specifier_host *host)
{
	if (host->hostname == NULL) {
		host->hostname = host_read_line(host, "/proc/sys/kernel/hostname");
	}
	if (host->hostname == NULL) { /* no /proc */
		struct utsname names;
		host->hostname = host_keep(host, uname(&names) == 0 ? names.nodename : "localhost");
	}
	return host->hostname;
}

static const char *host_release(struct specifier_host *host)
{
	if (host->release == NULL) {
		host->release = host_read_line(host, "/proc/sys/kernel/osrelease");
	}
	if (host->release == NULL) {
		struct utsname names;
		host->release = host_keep(host, uname(&names) == 0 ? names.release : "");
	}
	return host->release;
}

static const char *host_line_cached(
	struct specifier_host *host, const char **cache, const char *path)
{
	if (*cache == NULL) {
		const char *line = host_read_line(host, path);
		*cache = line != NULL ? line : "";
	}
	return *cache;
}

static const char *host_home(struct specifier_host *host)
{
	const char *home = host->user ? getenv("HOME") : NULL;
	if (home != NULL && home[0] == '/') {
		return home;
	}
	host_read_passwd(host);
	return host->user_home != NULL ? host->user_home : getuid() == 0 ? "/root" : "/";
}

/* --- the specifiers --- */

static const char *expansion_print_id(struct expansion *e, unsigned id)
{
	return arena_printf(e->arena, "%u", id);
}

/* A base directory: the system's own, or the user's by the XDG base directory specification. */
static const char *expansion_directory(struct expansion *e, const char *system,
	const char *variable, const char *fallback, const char *tail)
{
	if (!e->host->user) {
		return system;
	}
	const char *value = getenv(variable);
	if (value != NULL && value[0] == '/') {
		return arena_printf(e->arena, "%s%s", value, tail);
	}
	return arena_printf(e->arena, "%s%s%s", host_home(e->host), fallback, tail);
}

static const char *expansion_runtime(struct expansion *e)
{
	if (!e->host->user) {
		return "/run";
	}
	const char *value = getenv("XDG_RUNTIME_DIR");
	return value != NULL && value[0] == '/' ? value
						: arena_printf(e->arena, "/run/user/%u", getuid());
}

static const char *expansion_unescape(struct expansion *e, const char *lead, const char *text)
{
	size_t length = strlen(lead);
	char *out = arena_alloc(e->arena, length + strlen(text) + 1);
	if (out != NULL) {
		memcpy(out, lead, length);
		name_unescape(text, out + length);
	}
	return out;
}

static const char *expansion_last_part(const char *prefix)
{
	const char *dash = strrchr(prefix, '-');
	return dash != NULL ? dash + 1 : prefix;
}

/* What has to do with the unit's name; NULL and *known false when it is none of these. */
static const char *expansion_of_name(struct expansion *e, char letter, bool *known)
{
	const struct specifier_unit *unit = e->unit;
	const char *instance = unit->instance != NULL ? unit->instance : "";
	if (strchr("iInN", letter) != NULL || (letter == 'f' && unit->instance != NULL)) {
		*unit->name_used = true;
	}
	switch (letter) {
	case 'i': return instance;
	case 'I': return expansion_unescape(e, "", instance);
	case 'n': return unit->name;
	case 'N':
		return arena_strndup(
			e->arena, unit->name, (size_t)(name_dot(unit->name) - unit->name));
	case 'p': return unit->prefix;
	case 'P': return expansion_unescape(e, "", unit->prefix);
	case 'j': return expansion_last_part(unit->prefix);
	case 'J': return expansion_unescape(e, "", expansion_last_part(unit->prefix));
	case 'f':
		return expansion_unescape(
			e, "/", unit->instance != NULL ? unit->instance : unit->prefix);
	case 'y': return unit->path;
	case 'Y': {
		const char *slash = strrchr(unit->path, '/');
		return slash == NULL
			       ? "."
			       : arena_strndup(e->arena, unit->path, (size_t)(slash - unit->path));
	}
	default: *known = false; return NULL;
	}
}

static const char *expansion_of_user(struct expansion *e, char letter, bool *known)
{
	struct specifier_host *host = e->host;
	switch (letter) {
	case 'u':
		host_read_passwd(host);
		return host->user_name != NULL ? host->user_name : expansion_print_id(e, getuid());
	case 'U': return expansion_print_id(e, getuid());
	case 'g':
		host_read_passwd(host);
		return host->group_name != NULL ? host->group_name
						: expansion_print_id(e, getgid());
	case 'G': return expansion_print_id(e, getgid());
	case 'h': return host_home(host);
	case 's':
		host_read_passwd(host);
		return host->user_shell != NULL ? host->user_shell : "/bin/sh";
	default: *known = false; return NULL;
	}
}

static const char *expansion_of_host(struct expansion *e, char letter, bool *known)
{
	struct specifier_host *host = e->host;
	switch (letter) {
	case 't': return expansion_runtime(e);
	case 'S': return expansion_directory(e, "/var/lib", "XDG_STATE_HOME", "/.local/state", "");
	case 'C': return expansion_directory(e, "/var/cache", "XDG_CACHE_HOME", "/.cache", "");
	case 'L':
		return expansion_directory(
			e, "/var/log", "XDG_STATE_HOME", "/.local/state", "/log");
	case 'E': return expansion_directory(e, "/etc", "XDG_CONFIG_HOME", "/.config", "");
	case 'T': return "/tmp";
	case 'V': return "/var/tmp";
	case 'H': return host_hostname(host);
	case 'l': {
		const char *name = host_hostname(host);
		return name == NULL ? NULL : arena_strndup(e->arena, name, strcspn(name, "."));
	}
	case 'm': return host_line_cached(host, &host->machine_id, "/etc/machine-id");
	case 'b': {
		/* systemd prints it without dashes, as sd-id128(3). */
		const char *id =
			host_line_cached(host, &host->boot_id, "/proc/sys/kernel/random/boot_id");
		char *out = arena_alloc(e->arena, strlen(id) + 1);
		for (char *to = out; out != NULL && *id != '\0'; id++) {
			if (*id != '-') {
				*to++ = *id;
			}
		}
		return out;
	}
	case 'v': return host_release(host);
	case '%': return "%";
	default: *known = false; return NULL;
	}
}

static const char *expansion_of(struct expansion *e, char letter, bool *known)
{
	*known = true;
	const char *text = expansion_of_name(e, letter, known);
	if (!*known) {
		*known = true;
		text = expansion_of_user(e, letter, known);
	}
	if (!*known) {
		*known = true;
		text = expansion_of_host(e, letter, known);
	}
	if (*known && text == NULL) {
		e->no_memory = true;
	}
	return text;
}

int specifier_expand(struct specifier_host *host, const struct specifier_unit *unit,
	struct arena *arena, const char *text, const char **out, char *unknown)
{
	struct expansion e = {host, unit, arena, false};
	if (strchr(text, '%') == NULL) {
		*out = text;
		return 0;
	}
	size_t room = strlen(text) + 256;
	size_t length = 0;
	char *buf = malloc(room);
	while (buf != NULL && *text != '\0') {
		bool known = false;
		const char *piece = text;
		size_t size = text[0] == '%' ? 0 : strcspn(text, "%");
		size_t step = size;
		if (text[0] == '%' && text[1] != '\0') {
			piece = expansion_of(&e, text[1], &known);
			if (e.no_memory) {
				break;
			}
			step = 2;
			size = known ? strlen(piece) : 2;
			piece = known ? piece : text;
			if (!known && *unknown == '\0') {
				*unknown = text[1];
			}
		} else if (text[0] == '%') {
			size = step = 1; /* one at the end stands for itself */
		}
		if (room - length <= size) {
			room = (room + size) * 2;
			char *bigger = realloc(buf, room);
			if (bigger == NULL) {
				break;
			}
			buf = bigger;
		}
		memcpy(buf + length, piece, size);
		length += size;
		text += step;
	}
	int r = -ENOMEM;
	if (buf != NULL && *text == '\0' && !e.no_memory) {
		*out = arena_strndup(arena, buf, length);
		r = *out != NULL ? 0 : -ENOMEM;
	}
	free(buf);
	return r;
}
