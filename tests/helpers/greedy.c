/* A service that takes what it can get: for the tests of resource control.
 *
 *   greedy memory MIB         takes so much memory
 *   greedy child-memory MIB   a child of it does, once, and the service lives on
 *   greedy fork               has children until it may have no more, and tries again
 *   greedy spin [N]           N processes that only compute
 *   greedy rest               nothing
 *   greedy stray PORT         listens on a port of loopback in a child that left it: another
 *                             session, another process group, no parent
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static void take_memory(size_t mib)
{
	for (size_t i = 0; i < mib; i++) {
		char *part = malloc(1024 * 1024);
		if (part == NULL) {
			_exit(3);
		}
		memset(part, (int)i + 1, 1024 * 1024);
	}
}

static void rest(void)
{
	for (;;) {
		pause();
	}
}

static void take_processes(void)
{
	for (;;) {
		pid_t pid = fork();
		if (pid == 0) {
			rest();
		}
		if (pid < 0) {
			usleep(10000);
		}
	}
}

static void spin(int count)
{
	volatile unsigned turns = 0;
	while (count-- > 1 && fork() != 0) {
	}
	for (;;) {
		turns++;
	}
}

/* Fails when somebody has the port. The pipe ends when the child listens or has failed. */
static void stray(uint16_t port)
{
	int ends[2], value = 0;
	if (pipe(ends) < 0) {
		_exit(3);
	}
	if (fork() == 0) {
		setsid();
		if (fork() != 0) {
			_exit(0);
		}
		struct sockaddr_in address = {.sin_family = AF_INET,
			.sin_port = htons(port),
			.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
		int fd = socket(AF_INET, SOCK_STREAM, 0);
		char good = bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0 &&
			    listen(fd, 5) == 0;
		if (write(ends[1], &good, 1) != 1 || !good) {
			_exit(4);
		}
		close(ends[0]);
		close(ends[1]);
		rest();
	}
	close(ends[1]);
	wait(NULL);
	if (read(ends[0], &value, 1) != 1 || value == 0) {
		fprintf(stderr, "the port is in use\n");
		_exit(4);
	}
	rest();
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	int number = argc > 2 ? atoi(argv[2]) : 1;
	if (strcmp(what, "memory") == 0) {
		take_memory((size_t)number);
	} else if (strcmp(what, "child-memory") == 0) {
		if (fork() == 0) {
			take_memory((size_t)number);
		}
	} else if (strcmp(what, "fork") == 0) {
		take_processes();
	} else if (strcmp(what, "spin") == 0) {
		spin(number);
	} else if (strcmp(what, "stray") == 0) {
		stray((uint16_t)number);
	} else if (strcmp(what, "rest") != 0) {
		fprintf(stderr, "greedy: memory, child-memory, fork, spin or stray\n");
		return 2;
	}
	rest();
}
