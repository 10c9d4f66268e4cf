#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/err.h"
#include "base/log.h"

/* What `say` writes to standard error, in a child; its wait status is in *status. */
static void capture(void (*say)(void), char *buf, size_t size, int *status)
{
	int ends[2];
	assert_int_equal(pipe(ends), 0);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		signal(SIGABRT, SIG_DFL);
		dup2(ends[1], STDERR_FILENO);
		close(ends[0]);
		close(ends[1]);
		say();
		_exit(0);
	}
	close(ends[1]);
	size_t used = 0;
	ssize_t n;
	while (used < size - 1 && (n = read(ends[0], buf + used, size - 1 - used)) > 0) {
		used += (size_t)n;
	}
	buf[used] = '\0';
	close(ends[0]);
	assert_int_equal(waitpid(pid, status, 0), pid);
}

static void say_log(void)
{
	log_init("coppice", LOG_LEVEL_WARNING);
	errno = ENOENT;
	log_warning("two\nlines and %d", 42);
	if (errno == ENOENT) {
		log_error("errno is left alone");
	}
	log_notice("not said");
}

static void say_long(void)
{
	char text[5000];
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	log_error("%s", text);
}

static void test_log(void **state)
{
	char buf[8192];
	int status;
	(void)state;
	capture(say_log, buf, sizeof(buf), &status);
	assert_string_equal(buf, "coppice: warning: two lines and 42\n"
				 "coppice: error: errno is left alone\n");
	capture(say_long, buf, sizeof(buf), &status);
	size_t length = strlen(buf);
	assert_true(length > 1000 && length < 5000);
	assert_string_equal(buf + length - 4, "...\n");
	assert_int_equal(log_level_parse("error"), LOG_LEVEL_ERROR);
	assert_int_equal(log_level_parse("debug"), LOG_LEVEL_DEBUG);
	assert_int_equal(log_level_parse("loud"), -EINVAL);
	assert_int_equal(log_level_now(), LOG_LEVEL_NOTICE);
}

static void say_check(void)
{
	CHECK(1 + 1 == 2);
	CHECK(1 + 1 == 3);
}

static void say_assume(void)
{
	for (int i = 0; i < 5; i++) {
		if (ASSUME(i < 0)) {
			abort();
		}
	}
	if (!ASSUME(true)) {
		abort();
	}
}

static void say_assume_fatal(void)
{
	check_assume_fatal = true;
	say_assume();
}

static void test_check(void **state)
{
	char buf[1024];
	int status;
	(void)state;
	capture(say_check, buf, sizeof(buf), &status);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	assert_non_null(strstr(buf, "test_say.c:"));
	assert_non_null(strstr(buf, "check failed: 1 + 1 == 3\n"));
	capture(say_assume, buf, sizeof(buf), &status);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	const char *first = strstr(buf, "assumption does not hold: i < 0\n");
	assert_non_null(first);
	assert_null(strstr(first + 1, "assumption"));
	capture(say_assume_fatal, buf, sizeof(buf), &status);
	assert_true(WIFSIGNALED(status));
}

static void test_err(void **state)
{
	struct err err;
	char text[3000];
	(void)state;
	assert_int_equal(err_set(&err, ENOENT, "no %s", "file"), -ENOENT);
	assert_string_equal(err.text, "no file");
	err_prefix(&err, "unit %d", 7);
	assert_string_equal(err.text, "unit 7: no file");
	assert_int_equal(err_set(NULL, EIO, "x"), -EIO);
	err_prefix(NULL, "x");
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	err_set(&err, EIO, "%s", text);
	assert_int_equal(strlen(err.text), ERR_TEXT_SIZE - 1);
	err_prefix(&err, "head");
	assert_int_equal(strlen(err.text), ERR_TEXT_SIZE - 1);
	assert_memory_equal(err.text, "head: xxx", 9);
	err_prefix(&err, "%s", text);
	assert_true(strlen(err.text) < ERR_TEXT_SIZE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_log),
		cmocka_unit_test(test_check),
		cmocka_unit_test(test_err),
	};
	return cmocka_run_group_tests_name("base: log, check and err", tests, NULL, NULL);
}
