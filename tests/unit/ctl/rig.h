/*
 * coppicectl in this process, against a fake coppice, with its outputs caught.
 */
#ifndef TESTS_CTL_RIG_H
#define TESTS_CTL_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ctl/ctl.h"
#include "helpers/fake_coppice.h"

struct run {
	int status;
	char *out, *err;
};

/* How `out` is, beside a pipe. */
struct screen {
	bool terminal, colour, utf8;
	unsigned width;
};

/* Runs a command line (words parted by spaces). `fake` NULL: no coppice answers. */
static inline struct run run_on(struct screen screen, struct fake_coppice *fake, const char *line)
{
	struct run run = {0};
	char *copy = strdup(line), *argv[32] = {"coppicectl"}, *rest = NULL;
	size_t out_size, err_size;
	int argc = 1;
	struct ctl ctl = {
		.out = open_memstream(&run.out, &out_size),
		.err = open_memstream(&run.err, &err_size),
		.terminal = screen.terminal,
		.colour = screen.colour,
		.utf8 = screen.utf8,
		.width = screen.width,
	};

	for (char *word = strtok_r(copy, " ", &rest); word != NULL;
		word = strtok_r(NULL, " ", &rest)) {
		argv[argc++] = word;
	}
	setenv("COPPICE_CONTROL", fake != NULL ? fake->path : "/nowhere/control", 1);
	run.status = ctl_run(&ctl, argc, argv);
	(void)fclose(ctl.out);
	(void)fclose(ctl.err);
	free(ctl.words);
	free(copy);
	return run;
}

static inline struct run run_line(struct fake_coppice *fake, const char *line)
{
	return run_on((struct screen){0}, fake, line);
}

static inline void run_end(struct run *run)
{
	free(run->out);
	free(run->err);
}

#endif
