/* The words for ends, as scripts and people read them. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <string.h>

#include "manager/reason.h"
#include "process/spawn.h"

static const char *text(struct service_end end)
{
	static char buf[REASON_TEXT_SIZE];
	return reason_text(&end, buf, sizeof(buf));
}

static const char *text_long(struct service_end end, const char *path)
{
	static char buf[REASON_TEXT_SIZE];
	return reason_text_long(&end, path, buf, sizeof(buf));
}

static void test_short_forms(void **state)
{
	(void)state;
	assert_string_equal(
		text((struct service_end){.reason = REASON_EXIT, .number = 3}), "exit:3");
	assert_string_equal(text((struct service_end){.reason = REASON_SIGNAL, .number = SIGSEGV}),
		"signal:SEGV");
	assert_string_equal(
		text((struct service_end){.reason = REASON_EXEC, .number = ENOENT}), "exec:ENOENT");
	assert_string_equal(
		text((struct service_end){.reason = REASON_START_TIMEOUT}), "start-timeout");
	assert_string_equal(text((struct service_end){.reason = REASON_STOPPED}), "stopped");
	assert_string_equal(text((struct service_end){.reason = REASON_OOM}), "oom");
	assert_string_equal(
		text((struct service_end){.reason = REASON_RESOURCES, .number = EAGAIN}),
		"resources:EAGAIN");
}

static void test_long_forms(void **state)
{
	(void)state;
	struct service_end exec = {
		.reason = REASON_EXEC, .number = ENOENT, .step = PROCESS_STEP_EXEC};
	assert_string_equal(
		text_long(exec, "/usr/bin/gatewayd"), "exec:ENOENT (/usr/bin/gatewayd)");
	struct service_end user = {
		.reason = REASON_EXEC, .number = EPERM, .step = PROCESS_STEP_USER};
	assert_string_equal(text_long(user, "/bin/x"), "exec:EPERM (user, /bin/x)");
	assert_string_equal(text_long(user, NULL), "exec:EPERM (user)");
	struct service_end core = {.reason = REASON_SIGNAL, .number = SIGABRT, .dumped = true};
	assert_string_equal(text_long(core, NULL), "signal:ABRT (core dumped)");
}

static void test_what_exec_stop_post_is_told(void **state)
{
	(void)state;
	char buf[16];
	struct service_end end = {.reason = REASON_EXIT, .number = 7};
	assert_string_equal(reason_service_result(&end), "exit-code");
	assert_string_equal(reason_exit_code(&end), "exited");
	assert_string_equal(reason_exit_status(&end, buf, sizeof(buf)), "7");
	end = (struct service_end){.reason = REASON_SIGNAL, .number = SIGKILL};
	assert_string_equal(reason_service_result(&end), "signal");
	assert_string_equal(reason_exit_code(&end), "killed");
	assert_string_equal(reason_exit_status(&end, buf, sizeof(buf)), "KILL");
	end.dumped = true;
	assert_string_equal(reason_service_result(&end), "core-dump");
	end = (struct service_end){.reason = REASON_START_TIMEOUT};
	assert_string_equal(reason_service_result(&end), "timeout");
	assert_null(reason_exit_code(&end));
	end = (struct service_end){.reason = REASON_EXIT, .normal = true};
	assert_string_equal(reason_service_result(&end), "success");
}

static void test_exit_status_of_the_whole(void **state)
{
	(void)state;
	struct service_end end = {.reason = REASON_EXIT, .number = 42};
	assert_int_equal(reason_exit_number(&end), 42);
	end = (struct service_end){.reason = REASON_SIGNAL, .number = SIGTERM};
	assert_int_equal(reason_exit_number(&end), 143);
	end = (struct service_end){.reason = REASON_EXEC, .number = ENOENT};
	assert_int_equal(reason_exit_number(&end), 127);
	end = (struct service_end){.reason = REASON_STOPPED};
	assert_int_equal(reason_exit_number(&end), 0);
	end = (struct service_end){.reason = REASON_GAVE_UP};
	assert_int_equal(reason_exit_number(&end), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_short_forms),
		cmocka_unit_test(test_long_forms),
		cmocka_unit_test(test_what_exec_stop_post_is_told),
		cmocka_unit_test(test_exit_status_of_the_whole),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
