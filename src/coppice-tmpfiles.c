/*
 * coppice-tmpfiles: makes the users of sysusers.d(5) and the files of tmpfiles.d(5), where no
 * systemd does.
 *
 *   coppice-tmpfiles [--boot]
 *
 * The manager runs it before the first unit of a distribution starts; it may be run by hand. Exit
 * status: 0, 1 when something of it could not be done (which was said), 2 for wrong usage.
 */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/log.h"
#include "tmpfiles/tmpfiles.h"

int main(int argc, char **argv)
{
	bool boot = argc == 2 && strcmp(argv[1], "--boot") == 0;
	if (argc > 1 && !boot) {
		fprintf(stderr, "usage: coppice-tmpfiles [--boot]\n");
		return 2;
	}
	log_init("coppice-tmpfiles", LOG_LEVEL_NOTICE);
	umask(0022);
	unsigned problems = sysusers_apply();
	problems += tmpfiles_apply(boot);
	return problems > 0 ? 1 : 0;
}
