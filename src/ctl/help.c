#include "ctl/ctl.h"

#include <stdio.h>

static void help_option(
	struct ctl *ctl, char letter, const char *word, const char *value, const char *help)
{
	char form[64];

	(void)snprintf(form, sizeof(form), "%c%c%s --%s%s%s", letter != 0 ? '-' : ' ',
		letter != 0 ? letter : ' ', letter != 0 ? "," : " ", word, value != NULL ? " " : "",
		value != NULL ? value : "");
	(void)fprintf(ctl->out, "  ");
	ctl_put_cell(ctl, form, 30, false, true);
	(void)fprintf(ctl->out, " %s\n", help);
}

static void help_options(struct ctl *ctl, unsigned options)
{
#define X(name, letter, word, value, help)                   \
	if ((options & OPTION_BIT(name)) != 0) {             \
		help_option(ctl, letter, word, value, help); \
	}
	CTL_OPTIONS(X)
#undef X
}

void ctl_help_all(struct ctl *ctl)
{
	(void)fprintf(ctl->out, "usage: coppicectl [OPTION...] VERB [ARG...]\n\n");
	for (unsigned i = 0; i < ctl_verbs_count; i++) {
		const struct ctl_verb *verb = &ctl_verbs[i];
		char form[64];

		(void)snprintf(form, sizeof(form), "%s %s", verb->name, verb->arguments);
		(void)fprintf(ctl->out, "  %-24s %s\n", form, verb->summary);
	}
	(void)fprintf(ctl->out, "\n");
	help_options(ctl, OPTIONS_COMMON);
	(void)fprintf(ctl->out,
		"\n`coppicectl VERB --help` says more of a verb. Exit status: 0 done, 1 failed,\n"
		"2 wrong usage, 3 not running, 4 no such unit, 5 no coppice answers, 6 refused,\n"
		"7 timed out. See coppicectl(1).\n");
}

void ctl_help_verb(struct ctl *ctl, const struct ctl_verb *verb)
{
	(void)fprintf(ctl->out, "usage: coppicectl %s%s%s%s\n%s\n", verb->name,
		verb->options != 0 ? " [OPTION...]" : "", verb->arguments[0] != '\0' ? " " : "",
		verb->arguments, verb->summary);
	if (verb->details != NULL) {
		(void)fprintf(ctl->out, "\n%s\n", verb->details);
	}
	(void)fprintf(ctl->out, "\n");
	help_options(ctl, verb->options);
	help_options(ctl, OPTIONS_COMMON);
	(void)fprintf(ctl->out, "\nexample: %s\n", verb->example);
}

int verb_help(struct ctl *ctl)
{
	const struct ctl_verb *verb;

	if (ctl->words_count == 0) {
		ctl_help_all(ctl);
		return CTL_OK;
	}
	verb = ctl_verb_find(ctl->words[0]);
	if (verb == NULL) {
		return ctl_say(
			ctl, CTL_USAGE, "no verb '%s'; coppicectl help lists them", ctl->words[0]);
	}
	ctl_help_verb(ctl, verb);
	return CTL_OK;
}
