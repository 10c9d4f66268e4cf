#include "keeper/state.h"

#include "base/compat.h"
#include "base/names.h"

#include <sys/signalfd.h>
#include <unistd.h>

/* 37, 38 and 39 are SIGRTMIN+3, +4 and +5 as everybody else counts them (podman sends 37), whatever
 * this C library keeps for itself: halt, poweroff, reboot. */
static const int heard[] = {SIGCHLD, SIGTERM, SIGINT, SIGPWR, SIGHUP, 37, 38, 39};

bool signals_is_fault(int signo)
{
	return signo == SIGSEGV || signo == SIGBUS || signo == SIGFPE || signo == SIGILL ||
	       signo == SIGABRT || signo == SIGTRAP || signo == SIGSYS;
}

/* A fault of our own: say so; the instruction then faults again and ends us with that signal. */
static void signals_fault(int signo)
{
	static const char text[] = "coppice: error: a fault in the keeper itself\n";
	(void)signo;
	(void)!write(STDERR_FILENO, text, sizeof(text) - 1);
}

int signals_start(void)
{
	static char stack[16384];
	const stack_t fault_stack = {.ss_sp = stack, .ss_size = sizeof(stack)};
	const struct sigaction child = {.sa_handler = SIG_DFL, .sa_flags = SA_NOCLDSTOP};
	const struct sigaction fault = {
		.sa_handler = signals_fault, .sa_flags = SA_ONSTACK | (int)SA_RESETHAND};
	sigset_t blocked, read;
	sigaltstack(&fault_stack, NULL);
	sigfillset(&blocked);
	sigemptyset(&read);
	/* We inherit nothing: an ignored SIGCHLD would reap behind our back, and whatever is
	 * ignored here would be ignored in the manager. */
	for (int signo = 1; signo < NSIG; signo++) {
		compat_signal_default(signo);
		if (signals_is_fault(signo)) {
			sigaction(signo, &fault, NULL);
			sigdelset(&blocked, signo);
		}
	}
	sigaction(SIGCHLD, &child, NULL);
	for (size_t i = 0; i < sizeof(heard) / sizeof(heard[0]); i++) {
		sigaddset(&read, heard[i]);
	}
	sigprocmask(SIG_SETMASK, &blocked, NULL);
	return signalfd(-1, &read, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* First: in order. A second SIGINT or SIGTERM: at once. A third: without the manager, which does
 * not seem to listen. */
static void signals_shutdown(int signo)
{
	static const char *const texts[] = {"shutting down", "killing everything now",
		"killing everything now, without the manager"};
	uint32_t wanted = atomic_load(&keeper.share->shutdown_wanted);
	if (wanted > 0 && signo != SIGINT && signo != SIGTERM) {
		return;
	}
	log_notice("SIG%s: %s", signal_name(signo), texts[wanted]);
	keeper.stop_alone = keeper.stop_alone || keeper.caretaker || wanted == 2;
	atomic_store(&keeper.share->shutdown_signal, signo);
	atomic_store(&keeper.share->shutdown_wanted, wanted > 0 ? 2 : 1);
	manager_tell(SHARE_MSG_SHUTDOWN);
}

void signals_read(void)
{
	struct signalfd_siginfo infos[8]; /* The rest comes in the next turn. */
	ssize_t size = read(KEEPER_FD_SIGNALS, infos, sizeof(infos));
	for (ssize_t i = 0; i < size / (ssize_t)sizeof(infos[0]); i++) {
		if (infos[i].ssi_signo == SIGCHLD) {
			reap_signal(infos[i].ssi_code > 0 ? (pid_t)infos[i].ssi_pid : 0);
		} else if (infos[i].ssi_signo == SIGHUP) {
			manager_tell(SHARE_MSG_RELOAD);
		} else {
			signals_shutdown((int)infos[i].ssi_signo);
		}
	}
}
