/* Where the control socket is. */
#include "coppice/client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int coppice_control_path(char *out, size_t size)
{
	const char *given = getenv("COPPICE_CONTROL");
	const char *runtime = getenv("XDG_RUNTIME_DIR");
	unsigned uid = (unsigned)geteuid();
	int length;

	if (given != NULL && given[0] != '\0') {
		length = snprintf(out, size, "%s", given);
	} else if (uid == 0) {
		length = snprintf(out, size, "/run/coppice/control");
	} else if (runtime != NULL && runtime[0] == '/') {
		length = snprintf(out, size, "%s/coppice/control", runtime);
	} else {
		length = snprintf(out, size, "/tmp/coppice-%u/control", uid);
	}
	return length >= 0 && (size_t)length < size ? 0 : -ENAMETOOLONG;
}
