/* In the place of seccomp.c where coppice is built without libseccomp. */
#include <string.h>

#include "sandbox/calls.h"

const char *sandbox_seccomp_missing(void)
{
	return "coppice was built without libseccomp";
}

void sandbox_seccomp_apply(struct sandbox *s)
{
	static const char *const keys[] = {CALLS_KEYS};

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		const char *value = sandbox_get(s, keys[i]);

		if (value == NULL || strcmp(value, "no") == 0 ||
			(strcmp(keys[i], "MemoryDenyWriteExecute") == 0 &&
				calls_deny_write_execute())) {
			continue;
		}
		sandbox_miss(s, keys[i], "%s", sandbox_seccomp_missing());
	}
}
