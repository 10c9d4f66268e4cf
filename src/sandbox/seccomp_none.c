/* In the place of seccomp.c where coppice is built without libseccomp. */
#include "sandbox/sandbox.h"

void sandbox_seccomp_apply(struct sandbox *s)
{
	(void)s;
}
