#include "sandbox/sandbox.h"

void sandbox_directories_make(struct sandbox *s)
{
	(void)s;
}
