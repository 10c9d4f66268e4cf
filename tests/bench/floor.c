/*
 * The floor of a start: clone and exec N children in a bare loop, then end them.
 *
 *   floor N PROGRAM [ARG...]
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	static char *envp[] = {NULL};
	if (argc < 3) {
		fprintf(stderr, "usage: floor N PROGRAM [ARG...]\n");
		return 2;
	}
	int count = atoi(argv[1]);
	pid_t *pids = calloc((size_t)count + 1, sizeof(*pids));
	for (int i = 0; i < count; i++) {
		pids[i] = vfork();
		if (pids[i] == 0) {
			execve(argv[2], argv + 2, envp);
			_exit(127);
		}
	}
	/* The ends are not part of the floor; whoever measures does so up to the last start. */
	printf("started\n");
	fflush(stdout);
	for (int i = 0; i < count; i++) {
		kill(pids[i], SIGKILL);
		waitpid(pids[i], NULL, 0);
	}
	return 0;
}
