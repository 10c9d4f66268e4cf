#include "ctl/ctl.h"

#include <errno.h>
#include <locale.h>
#include <string.h>

int ctl_run(struct ctl *ctl, int argc, char **argv)
{
	int status = ctl_options_parse(ctl, argc, argv);

	if (status != CTL_OK) {
		return status;
	}
	if (ctl_has(ctl, OPTION_VERSION)) {
		(void)fprintf(ctl->out, "coppicectl %s\n", COPPICE_VERSION);
	} else if (ctl_has(ctl, OPTION_HELP) && ctl->verb != NULL) {
		ctl_help_verb(ctl, ctl->verb);
	} else if (ctl_has(ctl, OPTION_HELP)) {
		ctl_help_all(ctl);
	} else {
		status = ctl->verb->run(ctl);
	}
	coppice_close(ctl->client);
	ctl->client = NULL;
	json_decref(ctl->kept);
	ctl->kept = NULL;
	return status;
}

int ctl_main(int argc, char **argv)
{
	struct ctl ctl = {.out = stdout, .err = stderr};
	int status;

	(void)setlocale(LC_ALL, "");
	ctl_setup_output(&ctl);
	status = ctl_run(&ctl, argc, argv);
	if ((fflush(stdout) != 0 || ferror(stdout)) && status == CTL_OK) {
		status = ctl_say(
			&ctl, CTL_FAILED, "the answer could not be written: %s", strerror(errno));
	}
	return status;
}
