#include "keeper/state.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define STATUS_NOT_EXECUTABLE 126
#define STATUS_NOT_FOUND      127
#define STATUS_SIGNAL         128

struct command {
	const struct keeper_command *config;
	pid_t pid;
	bool ended;
	int status;    /* wait(2)'s */
	bool terminal; /* standard input is our terminal, and we hand it over */
	sigset_t mask; /* what we were started with, for the child */
	struct sigaction child_action;
};

/* In the vforked child. All signals are blocked until the exec, so that a background group may take
 * the terminal (SIGTTOU). */
static void command_exec(const void *arg)
{
	const struct command *command = arg;
	setpgid(0, 0);
	if (command->terminal) {
		tcsetpgrp(STDIN_FILENO, getpid());
	}
	sigaction(SIGCHLD, &command->child_action, NULL);
	sigprocmask(SIG_SETMASK, &command->mask, NULL);
	execvp(command->config->argv[0], command->config->argv);
}

static void terminal_take(const struct command *command)
{
	if (command->terminal) {
		tcsetpgrp(STDIN_FILENO, getpgrp());
	}
}

/* The command stops on our terminal (^Z): so do we, then the shell above us has it again. */
static void command_stopped(const struct command *command)
{
	if (command->terminal && getpid() != 1) {
		terminal_take(command);
		raise(SIGSTOP);
	}
}

static void command_reap(struct command *command)
{
	int status;
	pid_t pid;
	while ((pid = waitpid(-1, &status, WNOHANG | WUNTRACED | __WALL)) > 0) {
		if (pid == command->pid && WIFSTOPPED(status)) {
			command_stopped(command);
		} else if (pid == command->pid) {
			command->ended = true;
			command->status = status;
		} else if (command->config->warn && !WIFSTOPPED(status)) {
			log_warning("reaped orphan %d", (int)pid);
		}
	}
}

static void command_pass(const struct command *command, int signo)
{
	if (signo == SIGCONT && command->terminal && tcgetpgrp(STDIN_FILENO) == getpgrp()) {
		tcsetpgrp(STDIN_FILENO, command->pid); /* The shell has brought us back. */
		kill(-command->pid, SIGCONT);
		return;
	}
	kill(command->config->group ? -command->pid : command->pid, signo);
}

static int command_result(const struct command *command)
{
	int status = WIFEXITED(command->status) ? WEXITSTATUS(command->status)
						: STATUS_SIGNAL + WTERMSIG(command->status);
	return command->config->expected[status & 0xff] ? 0 : status;
}

int keeper_command(const struct keeper_command *config)
{
	struct command command = {.config = config};
	struct sigaction action = {.sa_handler = SIG_DFL};
	sigset_t all;
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &command.mask);
	sigaction(SIGCHLD, &action, &command.child_action);
	if (getpid() != 1 && prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0) {
		log_warning("no child subreaper: orphans go to another process");
	}
	if (config->parent_signal != 0) {
		prctl(PR_SET_PDEATHSIG, config->parent_signal, 0, 0, 0);
	}
	command.terminal = tcgetpgrp(STDIN_FILENO) == getpgrp();
	command.pid = keeper_spawn(command_exec, &command);
	if (command.pid < 0) {
		log_error("cannot execute %s: %s", config->argv[0], strerror(-command.pid));
		return command.pid == -ENOENT || command.pid == -ENOTDIR ? STATUS_NOT_FOUND
									 : STATUS_NOT_EXECUTABLE;
	}
	while (!command.ended) {
		siginfo_t info;
		int signo = sigwaitinfo(&all, &info);
		if (signo == SIGCHLD) {
			command_reap(&command);
		} else if (signo > 0 && !(info.si_code == SI_USER && info.si_pid == getpid())) {
			/* Not our own, such as SIGPIPE of a log line. */
			command_pass(&command, signo);
		}
	}
	terminal_take(&command);
	return command_result(&command);
}
