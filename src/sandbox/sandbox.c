#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/str.h"
#include "process/spawn.h"
#include "sandbox/internal.h"

const char *const sandbox_directory_words[SANDBOX_DIRECTORIES] = {
	"runtime", "state", "cache", "logs", "configuration"};

/* --- settings --- */

const char *sandbox_get(const struct sandbox *s, const char *key)
{
	for (uint32_t i = s->settings_count; i > 0; i--) {
		if (strcmp(s->settings[i - 1].key, key) == 0) {
			return s->settings[i - 1].value;
		}
	}
	return NULL;
}

bool sandbox_yes(const struct sandbox *s, const char *key)
{
	const char *value = sandbox_get(s, key);

	return value != NULL && str_bool(value) == 1;
}

const char *sandbox_next(const struct sandbox *s, const char *key, uint32_t *at)
{
	while (*at < s->settings_count) {
		const struct sandbox_setting *setting = &s->settings[(*at)++];

		if (strcmp(setting->key, key) == 0) {
			return setting->value;
		}
	}
	return NULL;
}

int sandbox_set(struct sandbox *s, const char *assignment)
{
	const char *equals = strchr(assignment, '=');
	char *key;

	if (equals == NULL || equals == assignment) {
		return -EINVAL;
	}
	if (s->settings_count == SANDBOX_SETTINGS_MAX) {
		return -E2BIG;
	}
	key = strndup(assignment, (size_t)(equals - assignment));
	if (key == NULL) {
		return -ENOMEM;
	}
	s->settings[s->settings_count++] = (struct sandbox_setting){key, equals + 1};
	return 0;
}

static int parse_kind(const char *word)
{
	for (int kind = 0; kind < SANDBOX_DIRECTORIES; kind++) {
		if (strcmp(word, sandbox_directory_words[kind]) == 0) {
			return kind;
		}
	}
	return -EINVAL;
}

int sandbox_add_directory(struct sandbox *s, char *text)
{
	struct sandbox_directory *directory = &s->directories[s->directories_count];
	char *mode = strchr(text, ':'), *name = mode != NULL ? strchr(mode + 1, ':') : NULL;
	char *link = name != NULL ? strchr(name + 1, ':') : NULL, *end;
	int kind;

	if (s->directories_count == SANDBOX_DIRECTORIES_MAX) {
		return -E2BIG;
	}
	if (name == NULL || name[1] == '\0' || name[1] == ':') {
		return -EINVAL;
	}
	*mode++ = '\0';
	*name++ = '\0';
	if (link != NULL) {
		*link++ = '\0';
	}
	kind = parse_kind(text);
	directory->mode = (mode_t)strtoul(mode, &end, 8);
	if (kind < 0 || *end != '\0' || end == mode || directory->mode > 07777) {
		return -EINVAL;
	}
	directory->kind = (enum sandbox_directory_kind)kind;
	directory->name = name;
	directory->link = link != NULL && *link != '\0' ? link : NULL;
	s->directories_count++;
	return 0;
}

bool sandbox_word(const char **rest, char *word, size_t size)
{
	const char *at = *rest + strspn(*rest, " \t");
	size_t length = 0;
	bool quoted = false;

	if (*at == '\0') {
		return false;
	}
	for (; *at != '\0' && (quoted || (*at != ' ' && *at != '\t')); at++) {
		if (*at == '"') {
			quoted = !quoted;
			continue;
		}
		if (quoted && *at == '\\' && at[1] != '\0') {
			at++;
		}
		if (length + 1 >= size) {
			return false;
		}
		word[length++] = *at;
	}
	word[length] = '\0';
	*rest = at;
	return true;
}

/* --- saying so --- */

static int fail_fd = -1;

void sandbox_fail_to(int fd)
{
	fail_fd = fd;
}

void sandbox_fail(int status, const char *format, ...)
{
	int error = errno;
	char text[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	dprintf(STDERR_FILENO, "coppice-exec: %s\n", text);
	if (fail_fd >= 0) {
		dprintf(fail_fd, "\t%d\t%d %d\n", (int)getpid(), status, error);
	}
	_exit(status);
}

void sandbox_miss(const struct sandbox *s, const char *key, const char *format, ...)
{
	char why[400];
	va_list args;

	va_start(args, format);
	vsnprintf(why, sizeof(why), format, args);
	va_end(args);
	if (s->miss_fd < 0) {
		dprintf(STDERR_FILENO, "coppice-exec: %s= is not in effect: %s\n", key, why);
		return;
	}
	/* One write below PIPE_BUF is never mixed with that of another service. */
	dprintf(s->miss_fd, "%s\t%s\t%s\n", s->unit, key, why);
}

void sandbox_set_variable(const struct sandbox *s, const char *name, const char *value)
{
	size_t length = strlen(name);

	for (const char *at = s->keep; at && *at; at += strcspn(at, ","), at += *at == ',') {
		if (strcspn(at, ",") == length && strncmp(at, name, length) == 0) {
			return;
		}
	}
	if (setenv(name, value, 1) < 0) {
		sandbox_fail(PROCESS_HELPER_MEMORY, "out of memory");
	}
}

bool sandbox_capable(int capability)
{
	cap_t caps = cap_get_proc();
	cap_flag_value_t value = CAP_CLEAR;

	if (caps != NULL) {
		cap_get_flag(caps, capability, CAP_EFFECTIVE, &value);
		cap_free(caps);
	}
	return value == CAP_SET;
}

/* --- entering --- */

void sandbox_enter(struct sandbox *s)
{
	bool whole = s->extent == SANDBOX_WHOLE, confined = s->extent != SANDBOX_NOTHING;
	/* UMask= is the service's, not that of what is made for it. */
	mode_t mask = umask(0022);

	sandbox_identity_find(s);
	sandbox_directories_make(s);
	sandbox_credentials_make(s);
	if (whole) {
		sandbox_identity_environment(s);
	}
	sandbox_schedule(s);
	if (confined) {
		sandbox_namespaces_enter(s);
		sandbox_files_enter(s);
	}
	umask(mask);
	sandbox_limits_apply(s);
	if (whole) {
		sandbox_identity_groups(s);
	}
	if (confined) {
		sandbox_users_enter(s);
		sandbox_capabilities_apply(s);
	}
	sandbox_identity_directory(s);
	if (confined) {
		if (sandbox_needs_no_new_privileges(s)) {
			sandbox_no_new_privileges();
		}
		sandbox_landlock_apply(s);
		sandbox_seccomp_apply(s);
	}
}
