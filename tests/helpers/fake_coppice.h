/*
 * A coppice that is none: a process that listens on a control socket and gives canned replies, for
 * the tests of the client library and of coppicectl. One connection at a time.
 */
#ifndef TESTS_HELPERS_FAKE_COPPICE_H
#define TESTS_HELPERS_FAKE_COPPICE_H

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* The first entry whose `wants` occurs in the request answers it. */
struct fake_answer {
	const char *wants;
	/* JSON messages, one a line. FAKE_CLOSE: hangs up; FAKE_SILENCE: waits for the client's
	 * end; FAKE_LEAVE: hangs up and listens no more. */
	const char *replies;
	bool once; /* later requests go on to the next entries */
};

#define FAKE_CLOSE   "!close"
#define FAKE_SILENCE "!silence"
#define FAKE_LEAVE   "!leave"

struct fake_memory {
	char requests[65536]; /* every request, one a line */
	unsigned connections;
	bool used[64];
};

struct fake_coppice {
	char directory[64], path[96];
	pid_t pid;
	struct fake_memory *memory;
};

static inline const char *fake_find(
	struct fake_memory *memory, const struct fake_answer *answers, const char *request)
{
	for (unsigned i = 0; answers[i].wants != NULL; i++) {
		if (strstr(request, answers[i].wants) != NULL && !memory->used[i]) {
			memory->used[i] = answers[i].once;
			return answers[i].replies;
		}
	}
	return "{\"error\":\"org.varlink.service.MethodNotFound\",\"parameters\":{\"method\":\"?\"}"
	       "}";
}

/* Sends one message a line. Returns false when the connection is to be closed. */
static inline bool fake_reply(int fd, const char *replies)
{
	char byte;

	if (strcmp(replies, FAKE_LEAVE) == 0) {
		_exit(0);
	}
	if (strcmp(replies, FAKE_SILENCE) == 0) {
		while (recv(fd, &byte, 1, 0) > 0) {
		}
		return false;
	}
	while (*replies != '\0') {
		size_t length = strcspn(replies, "\n");

		if (strncmp(replies, FAKE_CLOSE, length) == 0) {
			return false;
		}
		if (strncmp(replies, FAKE_LEAVE, length) == 0) {
			_exit(0);
		}
		(void)send(fd, replies, length, MSG_NOSIGNAL);
		(void)send(fd, "", 1, MSG_NOSIGNAL);
		replies += length + (replies[length] == '\n');
	}
	return true;
}

static inline void fake_serve(int fd, struct fake_memory *memory, const struct fake_answer *answers)
{
	char request[65536];
	size_t length = 0;

	while (length < sizeof(request) && recv(fd, request + length, 1, 0) == 1) {
		if (request[length++] != '\0') {
			continue;
		}
		length = 0;
		strcat(memory->requests, request);
		strcat(memory->requests, "\n");
		if (!fake_reply(fd, fake_find(memory, answers, request))) {
			return;
		}
	}
}

static inline struct fake_coppice *fake_start(const struct fake_answer *answers)
{
	struct fake_coppice *fake = calloc(1, sizeof(*fake));
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(fake->directory, "/tmp/coppice-fake-XXXXXX");
	if (mkdtemp(fake->directory) == NULL) {
		abort();
	}
	snprintf(fake->path, sizeof(fake->path), "%s/control", fake->directory);
	strcpy(address.sun_path, fake->path);
	fake->memory = mmap(NULL, sizeof(*fake->memory), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (bind(listener, (struct sockaddr *)&address, sizeof(address)) < 0 ||
		listen(listener, 16) < 0 || fake->memory == MAP_FAILED) {
		abort();
	}
	fake->pid = fork();
	if (fake->pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;) {
			int fd = accept(listener, NULL, NULL);

			fake->memory->connections++;
			fake_serve(fd, fake->memory, answers);
			(void)close(fd);
		}
	}
	(void)close(listener);
	return fake;
}

static inline void fake_stop(struct fake_coppice *fake)
{
	(void)kill(fake->pid, SIGKILL);
	(void)waitpid(fake->pid, NULL, 0);
	(void)unlink(fake->path);
	(void)rmdir(fake->directory);
	(void)munmap(fake->memory, sizeof(*fake->memory));
	free(fake);
}

#endif
