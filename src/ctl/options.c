/* The command line: options may stand before and behind the verb. */
#include "ctl/ctl.h"

#include <stdlib.h>
#include <string.h>

#include "base/str.h"

struct option_form {
	char letter;
	const char *word, *value;
};

#define X(name, letter, word, value, help) {letter, word, value},
static const struct option_form forms[OPTION_COUNT] = {CTL_OPTIONS(X)};
#undef X

static int find_letter(char letter)
{
	for (int i = 0; i < OPTION_COUNT; i++) {
		if (forms[i].letter == letter) {
			return i;
		}
	}
	return -1;
}

static int find_word(const char *word, size_t length)
{
	for (int i = 0; i < OPTION_COUNT; i++) {
		if (strlen(forms[i].word) == length && strncmp(forms[i].word, word, length) == 0) {
			return i;
		}
	}
	return -1;
}

static int unknown_word(struct ctl *ctl, const char *word, size_t length)
{
	char wrong[64];
	const char *nearest = NULL;
	unsigned best = 3;

	(void)snprintf(wrong, sizeof(wrong), "%.*s", (int)length, word);
	for (int i = 0; i < OPTION_COUNT; i++) {
		unsigned distance = str_distance(wrong, forms[i].word);

		if (distance < best) {
			best = distance;
			nearest = forms[i].word;
		}
	}
	if (nearest != NULL) {
		return ctl_say(
			ctl, CTL_USAGE, "no option --%s; did you mean --%s?", wrong, nearest);
	}
	return ctl_say(ctl, CTL_USAGE, "no option --%s; see coppicectl --help", wrong);
}

/* --word, --word=value, --word value. `*i` is moved over what is taken. */
static int parse_word(struct ctl *ctl, int argc, char **argv, int *i)
{
	const char *word = argv[*i] + 2;
	size_t length = strcspn(word, "=");
	int option = find_word(word, length);

	if (option < 0) {
		return unknown_word(ctl, word, length);
	}
	if (forms[option].value == NULL && word[length] == '=') {
		return ctl_say(ctl, CTL_USAGE, "--%s takes no value", forms[option].word);
	}
	if (forms[option].value == NULL) {
		ctl->value[option] = "";
	} else if (word[length] == '=') {
		ctl->value[option] = word + length + 1;
	} else if (*i + 1 < argc) {
		ctl->value[option] = argv[++*i];
	} else {
		return ctl_say(ctl, CTL_USAGE, "--%s needs a value: %s", forms[option].word,
			forms[option].value);
	}
	return CTL_OK;
}

/* -q, -qh, -p KEY, -pKEY. */
static int parse_letters(struct ctl *ctl, int argc, char **argv, int *i)
{
	for (const char *at = argv[*i] + 1; *at != '\0'; at++) {
		int option = find_letter(*at);

		if (option < 0) {
			bool number = *at >= '0' && *at <= '9';

			return ctl_say(ctl, CTL_USAGE, "no option -%c; %s", *at,
				number ? "a signal is given as -s SIGNAL"
				       : "see coppicectl --help");
		}
		if (forms[option].value == NULL) {
			ctl->value[option] = "";
			continue;
		}
		if (at[1] != '\0') {
			ctl->value[option] = at + 1;
		} else if (*i + 1 < argc) {
			ctl->value[option] = argv[++*i];
		} else {
			return ctl_say(
				ctl, CTL_USAGE, "-%c needs a value: %s", *at, forms[option].value);
		}
		break;
	}
	return CTL_OK;
}

static int check_verb(struct ctl *ctl, const char *word)
{
	const char *nearest;

	ctl->verb = ctl_verb_find(word);
	if (ctl->verb != NULL) {
		return CTL_OK;
	}
	nearest = ctl_verb_nearest(word);
	if (nearest != NULL) {
		return ctl_say(ctl, CTL_USAGE, "no verb '%s'; did you mean '%s'?", word, nearest);
	}
	return ctl_say(ctl, CTL_USAGE, "no verb '%s'; coppicectl help lists them", word);
}

static int check_use(struct ctl *ctl)
{
	const struct ctl_verb *verb = ctl->verb;

	if (ctl_has(ctl, OPTION_HELP) || ctl_has(ctl, OPTION_VERSION)) {
		return CTL_OK;
	}
	for (int i = 0; i < OPTION_COUNT; i++) {
		if (ctl->value[i] != NULL && ((verb->options | OPTIONS_COMMON) & (1U << i)) == 0) {
			return ctl_say(ctl, CTL_USAGE, "%s takes no --%s; see coppicectl %s --help",
				verb->name, forms[i].word, verb->name);
		}
	}
	if (ctl->words_count < verb->words_min ||
		(verb->words_max >= 0 && ctl->words_count > verb->words_max)) {
		return ctl_say(ctl, CTL_USAGE, "%s arguments; usage: coppicectl %s%s%s",
			ctl->words_count < verb->words_min ? "not enough" : "too many", verb->name,
			verb->arguments[0] != '\0' ? " " : "", verb->arguments);
	}
	return CTL_OK;
}

int ctl_options_parse(struct ctl *ctl, int argc, char **argv)
{
	bool options = true;
	int status = CTL_OK;

	ctl->words = calloc((size_t)argc + 1, sizeof(char *));
	for (int i = 1; i < argc && status == CTL_OK; i++) {
		if (options && strcmp(argv[i], "--") == 0) {
			options = false;
		} else if (options && str_starts(argv[i], "--")) {
			status = parse_word(ctl, argc, argv, &i);
		} else if (options && argv[i][0] == '-' && argv[i][1] != '\0') {
			status = parse_letters(ctl, argc, argv, &i);
		} else if (ctl->verb == NULL) {
			status = check_verb(ctl, argv[i]);
		} else {
			ctl->words[ctl->words_count++] = argv[i];
		}
	}
	if (status != CTL_OK) {
		return status;
	}
	if (ctl->verb != NULL) {
		return check_use(ctl);
	}
	if (ctl_has(ctl, OPTION_HELP) || ctl_has(ctl, OPTION_VERSION)) {
		return CTL_OK;
	}
	return ctl_say(ctl, CTL_USAGE, "what is to be done? coppicectl help lists the verbs");
}
