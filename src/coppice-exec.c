/*
 * coppice-exec: sets up, in a process of its own, what can block or allocate or takes more than a
 * few plain system calls, and then becomes the service. What it sets up is src/sandbox/'s matter.
 *
 *   coppice-exec [OPTION]... [--] PATH ARGV0 [ARG]...
 *   coppice-exec --probe
 *   coppice-exec --check HOST PORT [PATH]     a health check: see process/probe.h
 *
 * It says one line on standard error and leaves with the exit status of the step that failed, as
 * systemd.exec(5) numbers them; process_helper_step() reads them. --probe prints a line for each
 * directive: its name, what becomes of it here, and by what or why, between tabs.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "process/cgroup.h"
#include "process/child.h"
#include "process/probe.h"
#include "sandbox/sandbox.h"

extern char **environ;

/* The descriptor of SetCredential=, by its number: it stands behind those of LISTEN_FDS. */
#define CREDENTIALS_VARIABLE "COPPICE_EXEC_CREDENTIALS"

static void add_base(struct sandbox *s, const char *text)
{
	for (int kind = 0; kind < SANDBOX_DIRECTORIES; kind++) {
		size_t length = strlen(sandbox_directory_words[kind]);

		if (strncmp(text, sandbox_directory_words[kind], length) == 0 &&
			text[length] == ':') {
			s->bases[kind] = text + length + 1;
			return;
		}
	}
	sandbox_fail(PROCESS_HELPER_USAGE, "--base '%s' is no KIND:PATH", text);
}

static void must(int result, const char *option, const char *text)
{
	if (result < 0) {
		sandbox_fail(PROCESS_HELPER_USAGE, "%s '%s': %s", option, text, strerror(-result));
	}
}

/* The manager reads what is not in effect from a FIFO. */
static int open_misses(const char *path)
{
	int fd = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);

	sandbox_fail_to(fd);
	return fd;
}

static void take_environment(struct sandbox *s)
{
	const char *number = getenv(CREDENTIALS_VARIABLE);

	s->notify_socket = getenv("NOTIFY_SOCKET");
	if (number != NULL) {
		s->credentials_fd = atoi(number);
		unsetenv(CREDENTIALS_VARIABLE);
	}
}

static void print_outcome(void *context, const char *key, const char *effect, const char *text)
{
	(void)context;
	printf("%s\t%s\t%s\n", key, effect, text);
}

static int probe(void)
{
	static const char *const words[] = {"enforced", "emulated", "ignored"};
	static struct sandbox_probe found;

	sandbox_probe(&found);
	for (uint32_t i = 0; i < found.count; i++) {
		const struct sandbox_finding *f = &found.findings[i];

		printf("%s\t%s\t%s\n", f->key, words[f->effect], f->text);
	}
	cgroup_probe(print_outcome, NULL);
	return fflush(stdout) == 0 ? 0 : 1;
}

static const struct option known[] = {
	{"user", required_argument, NULL, 'u'},
	{"group", required_argument, NULL, 'g'},
	{"supplementary-groups", required_argument, NULL, 'G'},
	{"dynamic-user", no_argument, NULL, 'D'},
	{"directory", required_argument, NULL, 'd'},
	{"keep-env", required_argument, NULL, 'k'},
	{"unit", required_argument, NULL, 'n'},
	{"run-directory", required_argument, NULL, 'r'},
	{"base", required_argument, NULL, 'b'},
	{"make-directory", required_argument, NULL, 'm'},
	{"set", required_argument, NULL, 's'},
	{"limit", required_argument, NULL, 'l'},
	{"misses", required_argument, NULL, 'M'},
	{"no-user", no_argument, NULL, '!'},
	{"full", no_argument, NULL, '+'},
	{"probe", no_argument, NULL, 'p'},
	{0},
};

/* Returns the index of PATH. */
static int parse_options(int argc, char **argv, struct sandbox *s)
{
	int c;

	opterr = 0;
	while ((c = getopt_long(argc, argv, "+", known, NULL)) != -1) {
		switch (c) {
		case 'u': s->user = optarg; break;
		case 'g': s->group = optarg; break;
		case 'G': s->supplementary_groups = optarg; break;
		case 'D': s->dynamic_user = true; break;
		case 'd': s->working_directory = optarg; break;
		case 'k': s->keep = optarg; break;
		case 'n': s->unit = optarg; break;
		case 'r': s->run_directory = optarg; break;
		case 'b': add_base(s, optarg); break;
		case 'm': must(sandbox_add_directory(s, optarg), "--make-directory", optarg); break;
		case 's': must(sandbox_set(s, optarg), "--set", optarg); break;
		case 'l': must(sandbox_add_limit(s, optarg), "--limit", optarg); break;
		case 'M': s->miss_fd = open_misses(optarg); break;
		case '!': s->extent = SANDBOX_NO_USER; break;
		case '+': s->extent = SANDBOX_NOTHING; break;
		case 'p': exit(probe());
		default:
			sandbox_fail(PROCESS_HELPER_USAGE,
				"option '%s' is unknown or lacks its value", argv[optind - 1]);
		}
	}
	if (argc - optind < 2) {
		sandbox_fail(PROCESS_HELPER_USAGE,
			"usage: coppice-exec [OPTION]... [--] PATH ARGV0 [ARG]... | --probe");
	}
	return optind;
}

int main(int argc, char **argv)
{
	static struct sandbox s = {.unit = "", .credentials_fd = -1, .miss_fd = -1};
	if (argc >= 4 && strcmp(argv[1], "--check") == 0) {
		return probe_run(argv[2], argv[3], argc > 4 ? argv[4] : NULL);
	}
	int at = parse_options(argc, argv, &s);
	const char *path = argv[at], *hint = "";
	int failed;

	take_environment(&s);
	sandbox_enter(&s);
	failed = process_exec(
		path, (const char *const *)(argv + at + 1), (const char *const *)environ);
	if (failed == ENOENT && strchr(path, '/') && access(path, F_OK) == 0) {
		hint = " (the file is there: its interpreter is not)";
	}
	errno = failed;
	sandbox_fail(
		PROCESS_HELPER_EXEC, "cannot execute '%s': %s%s", path, strerror(failed), hint);
}
