#include "unit/lex.h"

#include <errno.h>
#include <ini.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

/*
 * What inih is given are lines of its own size, "key=piece", one for each piece of a value. Bytes
 * that mean something to it are shielded: SHIELD, then two letters for the byte's halves. A name
 * that is long for inih is handed over as NAME_ASIDE and taken from the adapter instead. (It cuts
 * sections and remembered names at 50 bytes, lines at 200, values at " ;", and splits "a:b=c" at
 * the colon.)
 */
#define SHIELD      '\x01'
#define SHIELD_SIZE 3
#define NAME_MAX_IN 30
#define NAME_ASIDE  "~"
#define LINE_MIN_IN 120 /* the least that inih must offer */

struct buffer {
	char *data;
	size_t length, room;
};

struct lexer {
	struct arena *arena;
	const struct lex_events *events;
	int error;
	/* reading */
	const char *at, *end;
	uint32_t line;
	struct buffer logical; /* the line with its continuations */
	struct lex_piece *pieces;
	size_t pieces_count, pieces_room;
	/* the section that holds */
	const char *section;
	bool section_told; /* inih knows it */
	/* the assignment under way: key and value as places in `logical` */
	size_t key_at, key_length, value_at, value_length, value_done;
	bool feeding, first, last;
	struct buffer value; /* what came back from inih */
	const char *key;
};

static bool buffer_reserve(struct buffer *buffer, size_t more)
{
	if (buffer->room - buffer->length > more) {
		return true;
	}
	size_t room = (buffer->length + more + 256) * 2;
	char *data = realloc(buffer->data, room);
	if (data == NULL) {
		return false;
	}
	buffer->data = data;
	buffer->room = room;
	return true;
}

static bool lex_is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* --- places --- */

static uint32_t lex_count_chars(const char *text, size_t length)
{
	uint32_t count = 0;
	for (size_t i = 0; i < length; i++) {
		if (((unsigned char)text[i] & 0xc0) != 0x80) {
			count++;
		}
	}
	return count;
}

static void lex_locate_in(const struct lex_piece *pieces, size_t count, const char *text,
	uint32_t offset, uint32_t *line, uint32_t *column)
{
	size_t i = count;
	while (i > 1 && pieces[i - 1].offset > offset) {
		i--;
	}
	CHECK(i > 0);
	const struct lex_piece *piece = &pieces[i - 1];
	uint32_t length = offset > piece->offset ? offset - piece->offset : 0;
	*line = piece->line;
	*column = piece->column + lex_count_chars(text + piece->offset, length);
}

void lex_locate(
	const struct lex_assignment *assignment, uint32_t offset, uint32_t *line, uint32_t *column)
{
	lex_locate_in(assignment->pieces, assignment->pieces_count, assignment->value, offset, line,
		column);
}

/* Tells an error at a byte of the logical line. */
static void lex_complain(struct lexer *lexer, size_t at, const char *text)
{
	uint32_t line;
	uint32_t column;
	lex_locate_in(lexer->pieces, lexer->pieces_count, lexer->logical.data, (uint32_t)at, &line,
		&column);
	lexer->events->error(lexer->events->context, line, column, text);
}

/* --- UTF-8 --- */

/* The length of the character at `text`, 0 when it is none (RFC 3629). */
static size_t lex_utf8_length(const unsigned char *text, size_t left)
{
	if (text[0] < 0x80) {
		return 1;
	}
	size_t length = text[0] >= 0xf0 ? 4 : text[0] >= 0xe0 ? 3 : 2;
	if (text[0] < 0xc2 || text[0] > 0xf4 || left < length) {
		return 0;
	}
	for (size_t i = 1; i < length; i++) {
		if ((text[i] & 0xc0) != 0x80) {
			return 0;
		}
	}
	bool overlong = (text[0] == 0xe0 && text[1] < 0xa0) || (text[0] == 0xf0 && text[1] < 0x90);
	bool surrogate = text[0] == 0xed && text[1] > 0x9f;
	bool beyond = text[0] == 0xf4 && text[1] > 0x8f;
	return overlong || surrogate || beyond ? 0 : length;
}

/* NULL when the line can be taken; otherwise what is wrong, and where. */
static const char *lex_check_bytes(const char *text, size_t length, size_t *at)
{
	for (size_t i = 0; i < length;) {
		if (text[i] == '\0') {
			*at = i;
			return "a NUL byte: this is no text";
		}
		size_t step = lex_utf8_length((const unsigned char *)text + i, length - i);
		if (step == 0) {
			*at = i;
			return "this is no valid UTF-8";
		}
		i += step;
	}
	return NULL;
}

/* --- physical and logical lines --- */

/* The next line without its end. False at the end of the text. */
static bool lex_next_physical(struct lexer *lexer, const char **line, size_t *length)
{
	if (lexer->at >= lexer->end) {
		return false;
	}
	const char *newline = memchr(lexer->at, '\n', (size_t)(lexer->end - lexer->at));
	const char *stop = newline != NULL ? newline : lexer->end;
	*line = lexer->at;
	*length = (size_t)(stop - lexer->at);
	if (*length > 0 && stop[-1] == '\r') {
		(*length)--;
	}
	lexer->at = newline != NULL ? newline + 1 : lexer->end;
	lexer->line++;
	return true;
}

static bool lex_add_piece(struct lexer *lexer)
{
	if (lexer->pieces_count == lexer->pieces_room) {
		size_t room = lexer->pieces_room == 0 ? 16 : lexer->pieces_room * 2;
		struct lex_piece *pieces = realloc(lexer->pieces, room * sizeof(*pieces));
		if (pieces == NULL) {
			return false;
		}
		lexer->pieces = pieces;
		lexer->pieces_room = room;
	}
	lexer->pieces[lexer->pieces_count++] =
		(struct lex_piece){(uint32_t)lexer->logical.length, lexer->line, 1};
	return true;
}

/* An odd number of backslashes at the end. */
static bool lex_is_continued(const char *line, size_t length)
{
	size_t count = 0;
	while (count < length && line[length - 1 - count] == '\\') {
		count++;
	}
	return count % 2 == 1;
}

/* Blanks, then a comment sign. Comments among continued lines are left out too (systemd.syntax(7)).
 */
static bool lex_is_comment(const char *line, size_t length)
{
	size_t i = 0;
	while (i < length && lex_is_space(line[i])) {
		i++;
	}
	return i < length && (line[i] == '#' || line[i] == ';');
}

/* Appends one physical line to the logical one. False when there is no memory. */
static bool lex_append(struct lexer *lexer, const char *line, size_t length, bool continued)
{
	if (!lex_add_piece(lexer) || !buffer_reserve(&lexer->logical, length)) {
		return false;
	}
	char *to = lexer->logical.data + lexer->logical.length;
	memcpy(to, line, length);
	if (continued) {
		to[length - 1] = ' ';
	}
	to[length] = '\0';
	lexer->logical.length += length;
	return true;
}

/* Reads the next logical line into `logical`. Returns 1, 0 at the end, or -ENOMEM. Lines that
 * cannot be taken are told and left out, with all their continuations. */
static int lex_next_logical(struct lexer *lexer)
{
	const char *line;
	size_t length;
	bool continued = false;
	bool bad = false;
	lexer->logical.length = 0;
	lexer->pieces_count = 0;
	while (lex_next_physical(lexer, &line, &length)) {
		if (lexer->line == 1 && length >= 3 && memcmp(line, "\xef\xbb\xbf", 3) == 0) {
			line += 3; /* a byte order mark */
			length -= 3;
		}
		if (lex_is_comment(line, length)) {
			continue;
		}
		size_t at = 0;
		const char *wrong = lex_check_bytes(line, length, &at);
		if (wrong != NULL && !bad) {
			lexer->events->error(lexer->events->context, lexer->line,
				1 + lex_count_chars(line, at), wrong);
		}
		bad = bad || wrong != NULL;
		continued = lex_is_continued(line, length);
		if (!bad && !lex_append(lexer, line, length, continued)) {
			return -ENOMEM;
		}
		if (!bad && lexer->logical.length > 2 * LEX_VALUE_MAX) {
			lex_complain(lexer, 0, "the value is longer than 1 MiB");
			bad = true;
		}
		if (!continued && !bad) {
			return 1;
		}
		if (!continued) {
			lexer->logical.length = 0;
			lexer->pieces_count = 0;
			bad = false;
		}
	}
	return continued && !bad && lexer->pieces_count > 0 ? 1 : 0;
}

/* --- what a logical line is --- */

static int lex_take_section(struct lexer *lexer, size_t from, size_t to)
{
	const char *text = lexer->logical.data;
	/* Whatever happens, what follows does not belong to the section before. */
	lexer->section = NULL;
	lexer->section_told = false;
	if (text[to - 1] != ']' || to - from < 2) {
		lex_complain(lexer, to, "the section's closing bracket is missing: expected ]");
		lexer->section = "";
		return 0;
	}
	if (to - from == 2) {
		lex_complain(lexer, from, "a section without a name");
		lexer->section = "";
		return 0;
	}
	lexer->section = arena_strndup(lexer->arena, text + from + 1, to - from - 2);
	if (lexer->section == NULL) {
		return -ENOMEM;
	}
	uint32_t line;
	uint32_t column;
	lex_locate_in(lexer->pieces, lexer->pieces_count, text, (uint32_t)from, &line, &column);
	return lexer->events->section(lexer->events->context, lexer->section, line, column);
}

/* Finds key and value between the outer blanks; sets `feeding` when there is something for inih. */
static void lex_take_assignment(struct lexer *lexer, size_t from, size_t to)
{
	const char *text = lexer->logical.data;
	const char *equals = memchr(text + from, '=', to - from);
	if (equals == NULL) {
		lex_complain(lexer, from, "expected \"Key=value\" or \"[Section]\"");
		return;
	}
	if (equals == text + from) {
		lex_complain(lexer, from, "the key before \"=\" is missing");
		return;
	}
	if (lexer->section == NULL) {
		lex_complain(lexer, from, "an assignment before the first [Section]");
		return;
	}
	if (lexer->section[0] == '\0') {
		return; /* of a section that was told to be broken */
	}
	size_t key_end = (size_t)(equals - text);
	size_t value = key_end + 1;
	while (key_end > from && lex_is_space(text[key_end - 1])) {
		key_end--;
	}
	while (value < to && lex_is_space(text[value])) {
		value++;
	}
	if (to - value > LEX_VALUE_MAX) {
		lex_complain(lexer, value, "the value is longer than 1 MiB");
		return;
	}
	lexer->key_at = from;
	lexer->key_length = key_end - from;
	lexer->value_at = value;
	lexer->value_length = to - value;
	lexer->value_done = 0;
	lexer->feeding = true;
	lexer->first = true;
	lexer->value.length = 0;
}

/* Moves on to the next line that holds an assignment. Returns 1, 0 at the end, -errno. */
static int lex_advance(struct lexer *lexer)
{
	while (!lexer->feeding) {
		int r = lex_next_logical(lexer);
		if (r <= 0) {
			return r;
		}
		size_t from = 0;
		size_t to = lexer->logical.length;
		const char *text = lexer->logical.data;
		while (from < to && lex_is_space(text[from])) {
			from++;
		}
		while (to > from && lex_is_space(text[to - 1])) {
			to--;
		}
		if (from == to) {
			continue;
		}
		if (text[from] == '[') {
			r = lex_take_section(lexer, from, to);
			if (r < 0) {
				return r;
			}
			continue;
		}
		lex_take_assignment(lexer, from, to);
	}
	return 1;
}

/* --- inih's two callbacks --- */

/* Bytes that inih, or isspace(3) in some locale, takes for something else than text. */
static bool lex_needs_shield(unsigned char c)
{
	return c <= ' ' || c == ';' || c == '#' || c == '=' || c == ':' || c == '[' || c == ']' ||
	       (c >= 0x80 && c < 0xc0) || c == 0x7f;
}

/* Shields up to `length` bytes into *out, as far as `room` goes. Returns how many were taken. */
static size_t lex_shield(const char *text, size_t length, char **out, size_t room)
{
	size_t i = 0;
	char *to = *out;
	const char *stop = to + room;
	for (; i < length && stop - to >= SHIELD_SIZE; i++) {
		unsigned char c = (unsigned char)text[i];
		if (lex_needs_shield(c)) {
			*to++ = SHIELD;
			*to++ = (char)('A' + (c >> 4));
			*to++ = (char)('A' + (c & 0x0f));
		} else {
			*to++ = text[i];
		}
	}
	*out = to;
	return i;
}

static void lex_unshield(struct buffer *out, const char *text)
{
	char *to = out->data + out->length;
	for (; *text != '\0'; text++) {
		if (*text == SHIELD && text[1] != '\0' && text[2] != '\0') {
			*to++ = (char)((text[1] - 'A') << 4 | (text[2] - 'A'));
			text += 2;
		} else {
			*to++ = *text;
		}
	}
	*to = '\0';
	out->length = (size_t)(to - out->data);
}

static void lex_put_name(const char *name, size_t length, char **out)
{
	if (length > NAME_MAX_IN) {
		memcpy(*out, NAME_ASIDE, sizeof(NAME_ASIDE) - 1);
		*out += sizeof(NAME_ASIDE) - 1;
		return;
	}
	lex_shield(name, length, out, SHIELD_SIZE * NAME_MAX_IN);
}

/* inih asks for a line of at most num-1 bytes. */
static char *lex_read_line(char *line, int num, void *context)
{
	struct lexer *lexer = context;
	if (!ASSUME(num >= LINE_MIN_IN)) {
		lexer->error = -EMSGSIZE;
	}
	if (lexer->error == 0) {
		int r = lex_advance(lexer);
		if (r < 0) {
			lexer->error = r;
		} else if (r == 0) {
			return NULL;
		}
	}
	if (lexer->error < 0) {
		return NULL;
	}
	char *to = line;
	if (!lexer->section_told) {
		lexer->section_told = true;
		*to++ = '[';
		lex_put_name(lexer->section, strlen(lexer->section), &to);
		*to++ = ']';
	} else {
		const char *text = lexer->logical.data;
		lex_put_name(text + lexer->key_at, lexer->key_length, &to);
		*to++ = '=';
		size_t room = (size_t)num - (size_t)(to - line) - 2;
		lexer->value_done += lex_shield(text + lexer->value_at + lexer->value_done,
			lexer->value_length - lexer->value_done, &to, room);
		lexer->last = lexer->value_done == lexer->value_length;
	}
	*to++ = '\n';
	*to = '\0';
	return line;
}

/* The pieces of the logical line that the value lies in, told from its beginning. */
static int lex_copy_pieces(struct lexer *lexer, struct lex_assignment *out)
{
	size_t begin = lexer->pieces_count - 1;
	while (begin > 0 && lexer->pieces[begin].offset > lexer->value_at) {
		begin--;
	}
	size_t count = lexer->pieces_count - begin;
	struct lex_piece *pieces = arena_alloc(lexer->arena, count * sizeof(*pieces));
	if (pieces == NULL) {
		return -ENOMEM;
	}
	lex_locate_in(lexer->pieces, lexer->pieces_count, lexer->logical.data,
		(uint32_t)lexer->value_at, &pieces[0].line, &pieces[0].column);
	pieces[0].offset = 0;
	for (size_t i = 1; i < count; i++) {
		pieces[i] = lexer->pieces[begin + i];
		pieces[i].offset -= (uint32_t)lexer->value_at;
	}
	out->pieces = pieces;
	out->pieces_count = (uint32_t)count;
	return 0;
}

/* The last piece is here: makes the assignment whole. */
static int lex_finish_assignment(struct lexer *lexer)
{
	struct lex_assignment out = {.section = lexer->section, .key = lexer->key};
	/* inih gave back every byte that it was given. */
	CHECK(lexer->value.length == lexer->value_length);
	CHECK(memcmp(lexer->value.data, lexer->logical.data + lexer->value_at,
		      lexer->value_length) == 0);
	out.value = arena_strndup(lexer->arena, lexer->value.data, lexer->value.length);
	if (out.value == NULL || lex_copy_pieces(lexer, &out) < 0) {
		return -ENOMEM;
	}
	lex_locate_in(lexer->pieces, lexer->pieces_count, lexer->logical.data,
		(uint32_t)lexer->key_at, &out.line, &out.column);
	return lexer->events->assignment(lexer->events->context, &out);
}

static int lex_take_key(struct lexer *lexer, const char *name)
{
	if (lexer->key_length > NAME_MAX_IN) {
		lexer->key = arena_strndup(
			lexer->arena, lexer->logical.data + lexer->key_at, lexer->key_length);
		return lexer->key != NULL ? 0 : -ENOMEM;
	}
	char *key = arena_alloc(lexer->arena, strlen(name) + 1);
	if (key == NULL) {
		return -ENOMEM;
	}
	struct buffer buffer = {.data = key};
	lex_unshield(&buffer, name);
	lexer->key = key;
	return 0;
}

/* inih hands a piece over. Always says yes: errors are kept in the lexer. */
static int lex_handle(void *context, const char *section, const char *name, const char *value)
{
	struct lexer *lexer = context;
	(void)section; /* it may be cut; `lexer->section` is whole */
	if (lexer->error < 0) {
		return 1;
	}
	if (lexer->first) {
		lexer->first = false;
		lexer->error = lex_take_key(lexer, name);
		if (lexer->error < 0) {
			return 1;
		}
	}
	if (!buffer_reserve(&lexer->value, strlen(value))) {
		lexer->error = -ENOMEM;
		return 1;
	}
	lex_unshield(&lexer->value, value);
	if (lexer->last) {
		lexer->feeding = false;
		lexer->error = lex_finish_assignment(lexer);
	}
	return 1;
}

int lex_parse(struct arena *arena, const char *text, size_t size, const struct lex_events *events)
{
	struct lexer lexer = {
		.arena = arena,
		.events = events,
		.at = text,
		.end = text + size,
		.section_told = true,
	};
	int r = ini_parse_stream(lex_read_line, &lexer, lex_handle, &lexer);
	if (lexer.error == 0 && r == -2) {
		lexer.error = -ENOMEM;
	}
	/* What is fed is shielded, so inih has nothing to refuse. */
	if (lexer.error == 0 && !ASSUME(r == 0)) {
		lexer.error = -EBADMSG;
	}
	free(lexer.logical.data);
	free(lexer.pieces);
	free(lexer.value.data);
	return lexer.error;
}
