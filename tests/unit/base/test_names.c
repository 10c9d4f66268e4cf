#include <errno.h>
#include <signal.h>
#include <string.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/names.h"

/* The C library knows the same names. */
static void test_against_libc(void **state)
{
	(void)state;
	for (int signo = 1; signo < 32; signo++) {
		/* It calls SIGIO by its other name. */
		const char *name = signo == SIGIO ? "IO" : sigabbrev_np(signo);
		assert_string_equal(signal_name(signo), name);
		assert_int_equal(signal_parse(sigabbrev_np(signo)), signo);
	}
	for (int code = 1; code < 134; code++) {
		const char *name = strerrorname_np(code);
		assert_string_equal(errno_name(code), name != NULL ? name : "EUNKNOWN");
	}
	assert_string_equal(errno_name(0), "EUNKNOWN");
	assert_string_equal(errno_name(-2), "EUNKNOWN");
	assert_string_equal(errno_name(4095), "EUNKNOWN");
}

static void test_signals(void **state)
{
	(void)state;
	assert_int_equal(signal_parse("SIGTERM"), SIGTERM);
	assert_int_equal(signal_parse("sigterm"), SIGTERM);
	assert_int_equal(signal_parse("15"), SIGTERM);
	assert_int_equal(signal_parse("SIGRTMIN+3"), SIGRTMIN + 3);
	assert_int_equal(signal_parse("rtmin"), SIGRTMIN);
	assert_int_equal(signal_parse("RTMAX-1"), SIGRTMAX - 1);
	assert_int_equal(signal_parse("64"), 64);
	assert_int_equal(signal_parse("POLL"), SIGIO);
	static const char *const bad[] = {"", "SIG", "0", "65", "32", "-1", "SIGFOO", "RTMIN-1",
		"RTMIN+31", "RTMIN+", "RTMAX+1", "TERMX"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(signal_parse(bad[i]), -EINVAL);
	}
	assert_string_equal(signal_name(SIGRTMIN), "RTMIN");
	assert_string_equal(signal_name(SIGRTMIN + 3), "RTMIN+3");
	for (int signo = SIGRTMIN; signo <= SIGRTMAX; signo++) {
		assert_int_equal(signal_parse(signal_name(signo)), signo);
	}
	assert_null(signal_name(0));
	assert_null(signal_name(32));
	assert_null(signal_name(65));
	assert_null(signal_name(-1));
}

static void test_statuses(void **state)
{
	(void)state;
	assert_int_equal(exit_status_parse("0"), 0);
	assert_int_equal(exit_status_parse("255"), 255);
	assert_int_equal(exit_status_parse("SUCCESS"), 0);
	assert_int_equal(exit_status_parse("CONFIG"), 78);
	assert_int_equal(exit_status_parse("EX_CONFIG"), 78);
	assert_int_equal(exit_status_parse("EXIT_FAILURE"), 1);
	assert_int_equal(exit_status_parse("NOPERM"), 77);
	assert_int_equal(exit_status_parse("EXEC"), 203);
	assert_int_equal(exit_status_parse("256"), -EINVAL);
	assert_int_equal(exit_status_parse("config"), -EINVAL);
	assert_int_equal(exit_status_parse(""), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_against_libc),
		cmocka_unit_test(test_signals),
		cmocka_unit_test(test_statuses),
	};
	return cmocka_run_group_tests_name("base: names", tests, NULL, NULL);
}
