/* The program `coppice`: options, and the choice between a tree and one command. */
#include "base/log.h"
#include "base/names.h"
#include "keeper/keeper.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define STATUS_USAGE 2
#define MANAGER      "coppice-manager"

static const char usage[] =
	"Usage: coppice [OPTION]...                        supervise the root unit's tree\n"
	"       coppice [OPTION]... [--] COMMAND [ARG]...  supervise one command\n"
	"\n"
	"With a tree:\n"
	"  -r, --root UNIT               root unit (default.supervisor)\n"
	"  -u, --unit-path DIR[:DIR]...  replaces the search path (also $COPPICE_UNIT_PATH)\n"
	"  -S, --control PATH            control socket (also $COPPICE_CONTROL)\n"
	"  -n, --check                   load and verify everything, start nothing\n"
	"With COMMAND:\n"
	"  -g, --group                   pass signals to its whole process group\n"
	"  -e STATUS                     this exit status of it becomes 0 (repeatable)\n"
	"  -p SIGNAL                     get this signal when our own parent dies\n"
	"  -s                            be a child subreaper (always so; for tini's users)\n"
	"  -w                            warn when an orphan is reaped\n"
	"\n"
	"      --log-level LEVEL         error | warning | notice | info | debug\n"
	"  -V, --version\n"
	"  -h, --help\n";

enum { OPTION_LOG_LEVEL = 256 };

static const struct option long_options[] = {
	{"root", required_argument, NULL, 'r'},
	{"unit-path", required_argument, NULL, 'u'},
	{"control", required_argument, NULL, 'S'},
	{"check", no_argument, NULL, 'n'},
	{"group", no_argument, NULL, 'g'},
	{"log-level", required_argument, NULL, OPTION_LOG_LEVEL},
	{"version", no_argument, NULL, 'V'},
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

struct options {
	bool check;
	const char *command_only; /* an option given that needs a command */
	const char *tree_only;    /* an option or value given that needs a tree */
	struct keeper_command command;
};

static int usage_error(const char *text, const char *word)
{
	log_error("%s%s; try coppice --help", text, word);
	return STATUS_USAGE;
}

static int say(const char *text)
{
	return write(STDOUT_FILENO, text, strlen(text)) < 0 ? 1 : 0;
}

/* One option. -1 to go on, or the exit status. */
static int option_take(struct options *options, int option)
{
	int number = 0;
	switch (option) {
	case 'r':
	case 'u':
	case 'S': options->tree_only = optarg; break;
	case 'n': options->check = true, options->tree_only = "--check"; break;
	case 'g': options->command.group = true, options->command_only = "--group"; break;
	case 's': options->command_only = "-s"; break;
	case 'w': options->command.warn = true, options->command_only = "-w"; break;
	case 'e':
		number = exit_status_parse(optarg);
		options->command.expected[number & 0xff] = true, options->command_only = "-e";
		break;
	case 'p':
		options->command.parent_signal = number = signal_parse(optarg);
		options->command_only = "-p";
		break;
	case OPTION_LOG_LEVEL:
		number = log_level_parse(optarg);
		log_init("coppice", number < 0 ? LOG_LEVEL_NOTICE : (enum log_level)number);
		break;
	case 'V': return say("coppice " COPPICE_VERSION "\n");
	case 'h': return say(usage);
	default: return STATUS_USAGE; /* getopt has said what. */
	}
	return number < 0 ? usage_error("not a valid value: ", optarg) : -1;
}

/* The manager stands beside us, or where it was to be installed. */
static const char *manager_path(const char *argv0)
{
	static char path[PATH_MAX];
	ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - sizeof(MANAGER));
	if (length <= 0) { /* no /proc */
		length = (ssize_t)strnlen(argv0, sizeof(path) - sizeof(MANAGER));
		memcpy(path, argv0, (size_t)length);
	}
	while (length > 0 && path[length - 1] != '/') {
		length--;
	}
	memcpy(path + length, MANAGER, sizeof(MANAGER));
	return length > 0 && access(path, X_OK) == 0 ? path : COPPICE_LIBEXECDIR "/" MANAGER;
}

/* All options that were given are the manager's, too. */
static int tree_run(const struct options *options, char **argv)
{
	const char *manager = manager_path(argv[0]);
	argv[0] = MANAGER;
	if (options->check) {
		execv(manager, argv);
		log_error("cannot execute %s: %s", manager, strerror(errno));
		return 1;
	}
	return keeper_run(
		&(struct keeper_config){.manager = manager, .manager_argv = argv, KEEPER_TIMES});
}

int main(int argc, char **argv)
{
	struct options options = {0};
	int option;
	log_init("coppice", LOG_LEVEL_NOTICE);
	/* "+": options end at the first word that is not one; the rest is the command's. */
	while ((option = getopt_long(argc, argv, "+r:u:S:gne:p:swVh", long_options, NULL)) != -1) {
		int status = option_take(&options, option);
		if (status >= 0) {
			return status;
		}
	}
	if (optind < argc) {
		options.command.argv = argv + optind;
		return options.tree_only != NULL
			       ? usage_error("not with a command: ", options.tree_only)
			       : keeper_command(&options.command);
	}
	if (options.command_only != NULL) {
		return usage_error("only with a command: ", options.command_only);
	}
	return tree_run(&options, argv);
}
