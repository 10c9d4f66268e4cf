/* The file system as a source of unit files. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "unit/unit.h"

#define FILE_SIZE_MAX ((size_t)16 * 1024 * 1024)
#define READ_FIRST    ((size_t)4096)

/* What may be read: files, and /dev/null, by which units are masked. Anything else (a pipe, a
 * terminal, /dev/zero) could block or never end. */
static int source_check_kind(int fd)
{
	struct stat st;
	if (fstat(fd, &st) < 0) {
		return -errno;
	}
	if (S_ISDIR(st.st_mode)) {
		return -EISDIR;
	}
	if (S_ISREG(st.st_mode) || (S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3))) {
		return 0;
	}
	return -EINVAL;
}

/* Until the end of file, not by st_size: files in /proc have none. */
static int source_read_all(int fd, char **text, size_t *size)
{
	size_t room = READ_FIRST;
	size_t used = 0;
	char *buf = malloc(room);
	if (buf == NULL) {
		return -ENOMEM;
	}
	int r;
	for (;;) {
		ssize_t n = read(fd, buf + used, room - used - 1);
		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n < 0) {
			r = -errno;
			goto free_buf;
		}
		if (n == 0) {
			break;
		}
		used += (size_t)n;
		if (used > FILE_SIZE_MAX) {
			r = -EFBIG;
			goto free_buf;
		}
		if (room - used < 2) {
			char *bigger = realloc(buf, room * 2);
			if (bigger == NULL) {
				r = -ENOMEM;
				goto free_buf;
			}
			buf = bigger;
			room *= 2;
		}
	}
	buf[used] = '\0';
	*text = buf;
	*size = used;
	return 0;
free_buf:
	free(buf);
	return r;
}

static int source_disk_read(struct unit_source *source, const char *path, char **text, size_t *size)
{
	(void)source;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0) {
		return -errno;
	}
	int r = source_check_kind(fd);
	if (r == 0) {
		r = source_read_all(fd, text, size);
	}
	close(fd);
	return r;
}

static int source_drop_dots(const struct dirent *entry)
{
	return strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
}

/* By bytes: alphasort(3) goes by the locale. */
static int source_compare(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int source_disk_list(struct unit_source *source, const char *path,
	void (*each)(void *context, const char *name), void *context)
{
	(void)source;
	struct dirent **names;
	int count = scandir(path, &names, source_drop_dots, source_compare);
	if (count < 0) {
		return -errno;
	}
	for (int i = 0; i < count; i++) {
		each(context, names[i]->d_name);
		free(names[i]);
	}
	free(names);
	return 0;
}

static int source_disk_link(struct unit_source *source, const char *path, char *out, size_t size)
{
	(void)source;
	ssize_t length = readlink(path, out, size);
	if (length < 0) {
		return -errno;
	}
	if ((size_t)length >= size) {
		return -ENAMETOOLONG;
	}
	out[length] = '\0';
	return 0;
}

struct unit_source unit_source_disk = {source_disk_read, source_disk_list, NULL, source_disk_link};
