/* A /dev with what no program can do without, and no device of the machine (systemd.exec(5),
 * PrivateDevices=). The nodes are bind mounts of those that are there: mknod(2) is refused in user
 * namespaces and in containers. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sandbox/files.h"

static void bind_node(const char *at, const char *name)
{
	char source[64], *target = files_printf("%s/%s", at, name);
	struct stat status;
	int fd;

	snprintf(source, sizeof(source), "/dev/%s", name);
	if (stat(source, &status) == 0) {
		if (S_ISDIR(status.st_mode)) {
			(void)mkdir(target, 0755);
		} else {
			fd = open(target, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0000);
			if (fd >= 0) {
				close(fd);
			}
		}
		(void)mount_bind(source, target, S_ISDIR(status.st_mode));
	}
	free(target);
}

/* A link as it is there, or as it is everywhere. */
static void copy_link(const char *at, const char *name, const char *otherwise)
{
	char source[64], text[PATH_MAX], *target = files_printf("%s/%s", at, name);
	ssize_t length;

	snprintf(source, sizeof(source), "/dev/%s", name);
	length = readlink(source, text, sizeof(text) - 1);
	if (length >= 0) {
		text[length] = '\0';
		(void)symlink(text, target);
	} else if (otherwise) {
		(void)symlink(otherwise, target);
	}
	free(target);
}

int devices_make(const char *at)
{
	static const char *const nodes[] = {
		"null", "zero", "full", "random", "urandom", "tty", NULL};
	static const char *const folders[] = {"pts", "shm", "mqueue", "hugepages", NULL};
	struct stat status;
	int failed = mount_tmpfs(at, "mode=0755,size=4m,nr_inodes=64k", MS_NOSUID | MS_NOEXEC);

	if (failed) {
		return failed;
	}
	for (int i = 0; nodes[i]; i++) {
		bind_node(at, nodes[i]);
	}
	for (int i = 0; folders[i]; i++) {
		bind_node(at, folders[i]);
	}
	if (lstat("/dev/ptmx", &status) == 0 && !S_ISLNK(status.st_mode)) {
		bind_node(at, "ptmx");
	} else {
		copy_link(at, "ptmx", "pts/ptmx");
	}
	if (lstat("/dev/log", &status) == 0 && !S_ISLNK(status.st_mode)) {
		bind_node(at, "log");
	} else {
		copy_link(at, "log", NULL);
	}
	copy_link(at, "fd", "/proc/self/fd");
	copy_link(at, "stdin", "/proc/self/fd/0");
	copy_link(at, "stdout", "/proc/self/fd/1");
	copy_link(at, "stderr", "/proc/self/fd/2");
	copy_link(at, "core", NULL);
	return 0;
}
