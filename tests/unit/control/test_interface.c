/* The compiled-in definition is the file's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "control/server.h"

static void test_text_is_the_file(void **state)
{
	FILE *file = fopen("src/control/org.coppice.Control.varlink", "re");
	char text[65536];
	size_t size;

	(void)state;
	if (file == NULL) {
		fail_msg("run from the top of the source tree");
	}
	size = fread(text, 1, sizeof(text) - 1, file);
	(void)fclose(file);
	text[size] = '\0';
	if (strcmp(text, control_interface_text) != 0) {
		fail_msg("src/control/interface.c is stale: run src/control/make-interface.sh");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text_is_the_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
