/* Command lines and environments: systemd.service(5) "COMMAND LINES", systemd.exec(5). */
#include <errno.h>
#include <string.h>

#include "base/str.h"
#include "unit/parse.h"
#include "unit/word.h"

/* --- command lines --- */

/* Signs in front of the path. Returns how many bytes they are, or -EINVAL (told). */
static int parse_prefixes(
	struct parse *p, const struct word *word, struct unit_command *command, bool *own_argv0)
{
	const char *at = word->text;
	bool ambient = false;
	for (;; at++) {
		bool rights = command->full_privilege || command->no_user;
		if (*at == '-' && !command->ignore_failure) {
			command->ignore_failure = true;
		} else if (*at == '@' && !*own_argv0) {
			*own_argv0 = true;
		} else if (*at == ':' && !command->no_expand) {
			command->no_expand = true;
		} else if (*at == '+' && !rights) {
			command->full_privilege = true;
		} else if (*at == '!' && !rights) {
			command->no_user = true;
		} else if (*at == '!' && command->no_user && !ambient) {
			ambient = true;
		} else if (*at == '|') {
			return parse_refuse_why(p, word->offset,
				"the prefix \"|\" is not supported by this version; use /bin/sh "
				"-c");
		} else {
			/* "!!" is for kernels without ambient capabilities: ours have them. */
			command->no_user = command->no_user && !ambient;
			return (int)(at - word->text);
		}
	}
}

/* What is executed: an absolute path, or a bare name that is looked up at each start. */
static int parse_check_path(struct parse *p, size_t offset, const char *path)
{
	char buf[MESSAGE_WORD_SIZE];
	size_t length = strlen(path);
	message_word(buf, path);
	if (length == 0) {
		return parse_refuse_why(p, offset, "there is no program behind the prefix");
	}
	if (path[0] == '$') {
		return parse_refuse_why(
			p, offset, "the program itself cannot be a variable: \"%s\"", buf);
	}
	if (path[length - 1] == '/') {
		return parse_refuse_why(p, offset, "\"%s\" is a directory", buf);
	}
	if (path[0] != '/' && strchr(path, '/') != NULL) {
		return parse_refuse_why(
			p, offset, "\"%s\" is neither an absolute path nor a plain name", buf);
	}
	return 0;
}

/* People write shell where there is none. */
static void parse_warn_shell(struct parse *p, const struct word *word, const char *raw)
{
	static const char *const signs[] = {"|", "||", "&&", "&", ">", ">>", "<", "2>&1", "2>"};
	for (size_t i = 0; i < sizeof(signs) / sizeof(signs[0]); i++) {
		/* Quoted ones are meant. */
		if (strcmp(word->text, signs[i]) == 0 && raw[word->offset] == signs[i][0]) {
			parse_warn(p, word->offset,
				"\"%s\" is a plain argument: no shell reads this line; use /bin/sh "
				"-c",
				signs[i]);
		}
	}
}

static bool parse_ends_word(const char *at)
{
	return *at == '\0' || *at == ' ' || *at == '\t' || *at == '\n' || *at == '\r';
}

/* The arguments, up to the end or a lone ";". */
static int parse_arguments(struct parse *p, const char *value, size_t *at, const char *const **argv)
{
	while (value[*at] != '\0') {
		const char *text;
		struct word word;
		bool judge;
		if (value[*at] == ';' && parse_ends_word(value + *at + 1)) {
			*at = word_skip_blanks(value, *at + 1);
			return 0;
		}
		if (value[*at] == '\\' && value[*at + 1] == ';' &&
			parse_ends_word(value + *at + 2)) {
			*at = word_skip_blanks(value, *at + 2);
			text = ";";
		} else {
			int r = parse_next_word(p, value, at, 0, &word);
			if (r <= 0) {
				return r;
			}
			parse_warn_shell(p, &word, value);
			r = parse_keep_word(p, &word, &text, &judge);
			if (r < 0) {
				return r;
			}
		}
		int r = parse_append(p, argv, text);
		if (r < 0) {
			return r;
		}
	}
	return 0;
}

static int parse_add_command(
	struct parse *p, struct unit_commands *commands, const struct unit_command *command)
{
	uint32_t count = commands->count;
	if (count == UNIT_COMMANDS_MAX) {
		return parse_refuse_why(
			p, 0, "more than %d commands are not possible", UNIT_COMMANDS_MAX);
	}
	/* The room is the next power of two. */
	if ((count & (count - 1)) == 0) {
		uint32_t room = count == 0 ? 1 : count * 2;
		struct unit_command *list =
			arena_alloc(p->arena, room * sizeof(struct unit_command));
		if (list == NULL) {
			return -ENOMEM;
		}
		if (count > 0) {
			memcpy(list, commands->list, count * sizeof(struct unit_command));
		}
		commands->list = list;
	}
	commands->list[commands->count++] = *command;
	return 0;
}

static int parse_command(
	struct parse *p, const char *value, size_t *at, struct unit_commands *commands)
{
	struct unit_command command = {0};
	struct word word;
	bool own_argv0 = false;
	bool judge = true;
	int r = parse_next_word(p, value, at, 0, &word);
	if (r <= 0) {
		return r;
	}
	struct unit_spot spot = parse_spot(p, word.offset);
	command.line = parse_spot_line(&spot);
	int skip = parse_prefixes(p, &word, &command, &own_argv0);
	if (skip < 0) {
		return skip;
	}
	r = parse_expand(p, word.text + skip, word.offset, &command.path, &judge);
	if (r == 0 && judge) {
		r = parse_check_path(p, word.offset, command.path);
	}
	if (r == 0 && !own_argv0) {
		r = parse_append(p, &command.argv, command.path);
	}
	if (r == 0) {
		r = parse_arguments(p, value, at, &command.argv);
	}
	if (r < 0) {
		return r;
	}
	if (command.argv == NULL) {
		return parse_refuse_why(p, word.offset,
			"the prefix \"@\" wants a name for the process behind the path");
	}
	return parse_add_command(p, commands, &command);
}

int parse_commands(struct parse *p, const char *value, void *field)
{
	struct unit_commands *commands = field;
	size_t at = word_skip_blanks(value, 0);
	bool is_start =
		p->unit->service != NULL && field == &p->unit->service->commands[UNIT_START];
	if (value[at] == '\0') {
		*commands = (struct unit_commands){0};
		return 0;
	}
	while (value[at] != '\0') {
		size_t begin = at;
		int r = parse_command(p, value, &at, commands);
		if (r < 0) {
			p->extra->start_refused = p->extra->start_refused || is_start;
			return r;
		}
		/* The second one is the place of "more than one". */
		if (is_start && commands->count <= 2) {
			p->extra->exec_start = parse_spot(p, begin);
		}
	}
	return 0;
}

/* --- environments --- */

/* The length of the variable's name at `text`; 0 when it is none. */
static size_t parse_variable_length(const char *text)
{
	size_t length =
		strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_");
	return text[0] >= '0' && text[0] <= '9' ? 0 : length;
}

static int parse_variables(struct parse *p, const char *value, void *field, bool with_value)
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
		if (r < 0) {
			return r;
		}
		size_t length = parse_variable_length(text);
		bool good = text[length] == '=' || (!with_value && text[length] == '\0');
		if (judge && (length == 0 || !good)) {
			r = parse_refuse(p, word.offset, text);
		} else {
			r = parse_append(p, list, text);
		}
		if (r < 0 && !parse_list_goes_on(p, r)) {
			return r;
		}
	}
	return r;
}

int parse_environment(struct parse *p, const char *value, void *field)
{
	return parse_variables(p, value, field, true);
}

int parse_names_of_variables(struct parse *p, const char *value, void *field)
{
	return parse_variables(p, value, field, false);
}

int parse_env_file(struct parse *p, const char *value, void *field)
{
	struct unit_service *service = p->unit->service;
	struct unit_env_file file = {0};
	bool judge = true;
	(void)field;
	if (value[0] == '\0') {
		service->env_files = NULL;
		service->env_files_count = 0;
		return 0;
	}
	file.optional = value[0] == '-';
	int r = parse_expand(p, value + file.optional, file.optional, &file.path, &judge);
	if (r < 0) {
		return r;
	}
	if (judge && file.path[0] != '/') {
		return parse_refuse(p, file.optional, file.path);
	}
	uint32_t count = service->env_files_count;
	if ((count & (count - 1)) == 0) {
		uint32_t room = count == 0 ? 1 : count * 2;
		struct unit_env_file *list = arena_alloc(p->arena, room * sizeof(*list));
		if (list == NULL) {
			return -ENOMEM;
		}
		if (count > 0) {
			memcpy(list, service->env_files, count * sizeof(*list));
		}
		service->env_files = list;
	}
	service->env_files[service->env_files_count++] = file;
	return 0;
}

/* --- paths --- */

int parse_directory(struct parse *p, const char *value, void *field)
{
	const char **out = field;
	const char *path;
	bool judge = true;
	bool optional = value[0] == '-';
	if (value[0] == '\0') {
		*out = NULL;
		p->unit->service->working_directory_optional = false;
		return 0;
	}
	int r = parse_expand(p, value + optional, optional, &path, &judge);
	if (r < 0) {
		return r;
	}
	if (judge && path[0] != '/' && strcmp(path, "~") != 0) {
		return parse_refuse(p, optional, path);
	}
	*out = path;
	p->unit->service->working_directory_optional = optional;
	return 0;
}

/* A relative path counts from the run-time directory (systemd.service(5)). */
int parse_pid_file(struct parse *p, const char *value, void *field)
{
	const char **out = field;
	const char *path;
	bool judge;
	if (value[0] == '\0') {
		*out = NULL;
		return 0;
	}
	const char *kept = value[0] == '/' || value[0] == '%'
				   ? value
				   : arena_printf(p->arena, "%%t/%s", value);
	int r = kept == NULL ? -ENOMEM : parse_expand(p, kept, 0, &path, &judge);
	if (r == 0) {
		*out = path;
	}
	return r;
}
