/*
 * Credentials: small secrets in files that the service alone can read (systemd.exec(5),
 * CREDENTIALS).
 *
 * They lie on a file system in memory that is mounted in a mount namespace of the process, so that
 * they are seen by nobody else, never swapped, and gone with it. Where nothing can be mounted they
 * lie in a directory of the service's own, in the run-time directory.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/str.h"
#include "process/spawn.h"
#include "sandbox/internal.h"

#define CREDENTIAL_MAX  (1024 * 1024)
#define CREDENTIALS_MAX 256

struct credential {
	char *id, *data;
	size_t size;
};

struct credentials {
	uint32_t count;
	struct credential list[CREDENTIALS_MAX];
};

static const char *const stores[] = {
	"/etc/credstore", "/run/credstore", "/usr/local/lib/credstore", "/usr/lib/credstore"};

/* --- gathering --- */

static bool has(const struct credentials *all, const char *id)
{
	for (uint32_t i = 0; i < all->count; i++) {
		if (strcmp(all->list[i].id, id) == 0) {
			return true;
		}
	}
	return false;
}

static void add(struct credentials *all, const char *id, char *data, size_t size)
{
	if (*id == '\0' || strchr(id, '/') || strcmp(id, ".") == 0 || strcmp(id, "..") == 0) {
		sandbox_fail(
			PROCESS_HELPER_CREDENTIALS, "'%s' cannot be the name of a credential", id);
	}
	if (has(all, id)) {
		return;
	}
	if (all->count == CREDENTIALS_MAX) {
		sandbox_fail(
			PROCESS_HELPER_CREDENTIALS, "more than %d credentials", CREDENTIALS_MAX);
	}
	all->list[all->count++] =
		(struct credential){sandbox_copy(id, PROCESS_HELPER_CREDENTIALS), data, size};
}

/* The whole of a file, pipe or connection. -errno. */
static int read_all(int fd, char **data, size_t *size)
{
	ssize_t got = 1;

	*size = 0;
	*data = malloc(CREDENTIAL_MAX + 1);
	while (*data != NULL && got > 0) {
		got = read(fd, *data + *size, CREDENTIAL_MAX + 1 - *size);
		*size += got > 0 ? (size_t)got : 0;
		if (*size > CREDENTIAL_MAX) {
			errno = E2BIG;
			got = -1;
		}
	}
	return *data == NULL ? -ENOMEM : got < 0 ? -errno : 0;
}

static int connect_to(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (!str_copy(address.sun_path, sizeof(address.sun_path), path)) {
		errno = ENAMETOOLONG;
	} else if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0) {
		return fd;
	}
	return -errno;
}

static int load_file(struct credentials *all, const char *id, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY), result;
	size_t size;
	char *data;

	if (fd < 0) {
		fd = errno == ENXIO ? connect_to(path) : -errno;
	}
	if (fd < 0) {
		return fd;
	}
	result = read_all(fd, &data, &size);
	close(fd);
	if (result == 0) {
		add(all, id, data, size);
	}
	return result;
}

/* A directory: its files, with the directory's name in front of theirs. */
static int load_tree(struct credentials *all, const char *id, const char *path)
{
	DIR *directory = opendir(path);
	struct dirent *entry;
	int result = 0;

	if (directory == NULL) {
		return errno == ENOTDIR ? load_file(all, id, path) : -errno;
	}
	while (result == 0 && (entry = readdir(directory)) != NULL) {
		char below[4096], name[512];

		if (entry->d_name[0] == '.') {
			continue;
		}
		snprintf(below, sizeof(below), "%s/%s", path, entry->d_name);
		snprintf(name, sizeof(name), "%s_%s", id, entry->d_name);
		result = load_tree(all, name, below);
	}
	closedir(directory);
	return result;
}

/* A name without a path is one of coppice's own credentials, or lies in one of the stores. */
static int load_inherited(struct credentials *all, const char *id, const char *name)
{
	const char *own = getenv("CREDENTIALS_DIRECTORY");
	int result = -ENOENT;
	char path[4096];

	if (own != NULL) {
		snprintf(path, sizeof(path), "%s/%s", own, name);
		result = load_tree(all, id, path);
	}
	for (size_t i = 0; result == -ENOENT && i < sizeof(stores) / sizeof(stores[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", stores[i], name);
		result = load_tree(all, id, path);
	}
	return result;
}

static bool is_set(const char *set, size_t size, const char *id)
{
	size_t length = strlen(id);

	for (const char *at = set; at < set + size; at += strlen(at) + 1) {
		if (strncmp(at, id, length) == 0 && at[length] == ':') {
			return true;
		}
	}
	return false;
}

static void load(struct credentials *all, const char *value, const char *set, size_t set_size)
{
	const char *path = strchr(value, ':');
	char id[256];
	int result;

	snprintf(id, sizeof(id), "%.*s", path != NULL ? (int)(path - value) : 255, value);
	path = path != NULL ? path + 1 : id;
	result = *path == '/' ? load_tree(all, id, path) : load_inherited(all, id, path);
	if (result == -ENOENT && (*path != '/' || is_set(set, set_size, id))) {
		return; /* SetCredential= is its default; one that is not inherited is left out */
	}
	if (result < 0) {
		sandbox_fail(PROCESS_HELPER_CREDENTIALS, "LoadCredential=%s: %s", value,
			strerror(-result));
	}
}

/* ImportCredential=: all whose names match, each under its own name. */
static void import(struct credentials *all, const char *pattern, const char *path)
{
	DIR *directory = path != NULL ? opendir(path) : NULL;
	struct dirent *entry;

	while (directory != NULL && (entry = readdir(directory)) != NULL) {
		char below[4096];

		if (entry->d_name[0] != '.' && fnmatch(pattern, entry->d_name, FNM_NOESCAPE) == 0) {
			snprintf(below, sizeof(below), "%s/%s", path, entry->d_name);
			(void)load_tree(all, entry->d_name, below);
		}
	}
	if (directory != NULL) {
		closedir(directory);
	}
}

static void gather(struct sandbox *s, struct credentials *all)
{
	const char *value;
	char *set = NULL;
	size_t size = 0;
	uint32_t at = 0;

	if (s->credentials_fd >= 0 && (lseek(s->credentials_fd, 0, SEEK_SET) < 0 ||
					      read_all(s->credentials_fd, &set, &size) < 0)) {
		sandbox_fail(PROCESS_HELPER_CREDENTIALS, "cannot read the credentials of the unit");
	}
	while ((value = sandbox_next(s, "LoadCredential", &at)) != NULL) {
		load(all, value, set, size);
	}
	for (at = 0; (value = sandbox_next(s, "ImportCredential", &at)) != NULL;) {
		import(all, value, getenv("CREDENTIALS_DIRECTORY"));
		for (size_t i = 0; i < sizeof(stores) / sizeof(stores[0]); i++) {
			import(all, value, stores[i]);
		}
	}
	for (char *one = set; one != NULL && one < set + size; one += strlen(one) + 1) {
		char *colon = strchr(one, ':'), id[256];

		if (colon != NULL) {
			snprintf(id, sizeof(id), "%.*s", (int)(colon - one), one);
			add(all, id, colon + 1, strlen(colon + 1));
		}
	}
}

/* --- laying them out --- */

/* -errno when there can be no mount namespace or nothing can be mounted in it. */
static int mount_memory(const char *directory)
{
	unsigned long flags = MS_NODEV | MS_NOEXEC | MS_NOSUID;

	if (!sandbox_capable(CAP_SYS_ADMIN) || unshare(CLONE_NEWNS) < 0 ||
		mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0) {
		return -EPERM;
	}
	if (mount("ramfs", directory, "ramfs", flags, "mode=0700") < 0 &&
		mount("tmpfs", directory, "tmpfs", flags, "mode=0700") < 0) {
		return -errno;
	}
	return 0;
}

static void remove_old(const char *directory)
{
	DIR *old = opendir(directory);
	struct dirent *entry;

	while (old != NULL && (entry = readdir(old)) != NULL) {
		(void)unlinkat(dirfd(old), entry->d_name, 0);
	}
	if (old != NULL) {
		closedir(old);
	}
}

static int own(const struct sandbox *s, int fd, mode_t mode)
{
	bool changes = s->who.set_user && s->who.uid != geteuid();

	return (changes && fchown(fd, s->who.uid, s->who.gid) < 0) || fchmod(fd, mode) < 0 ? -errno
											   : 0;
}

static int write_one(const struct sandbox *s, int directory, const struct credential *one)
{
	int fd = openat(
		directory, one->id, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	size_t done = 0;
	ssize_t put = 0;
	int result;

	while (fd >= 0 && done < one->size && put >= 0) {
		put = write(fd, one->data + done, one->size - done);
		done += put > 0 ? (size_t)put : 0;
	}
	result = fd < 0 || put < 0 ? -errno : own(s, fd, 0400);
	if (fd >= 0) {
		close(fd);
	}
	return result;
}

static int write_all(const struct sandbox *s, const struct credentials *all, const char *path)
{
	int directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	int result = directory < 0 ? -errno : 0;

	for (uint32_t i = 0; result == 0 && i < all->count; i++) {
		result = write_one(s, directory, &all->list[i]);
	}
	result = result < 0 ? result : own(s, directory, 0500);
	if (directory >= 0) {
		close(directory);
	}
	return result;
}

static int make(const char *path, mode_t mode)
{
	return mkdir(path, mode) < 0 && errno != EEXIST ? -errno : 0;
}

static void lay_out(struct sandbox *s, const struct credentials *all)
{
	const char *base = s->bases[SANDBOX_RUNTIME] ? s->bases[SANDBOX_RUNTIME] : "/run";
	char parent[4000], path[4096];
	mode_t mask = umask(0022);
	bool mounted;
	int failed;

	snprintf(parent, sizeof(parent), "%s/credentials", base);
	snprintf(path, sizeof(path), "%s/%s", parent, s->unit);
	failed = make(parent, 0755);
	failed = failed < 0 ? failed : make(path, 0700);
	mounted = failed == 0 && mount_memory(path) == 0;
	if (failed == 0 && !mounted) {
		remove_old(path);
		failed = chmod(path, 0700) < 0 ? -errno : 0;
	}
	failed = failed < 0 ? failed : write_all(s, all, path);
	if (failed == 0 && mounted) {
		(void)mount(NULL, path, NULL,
			MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NODEV | MS_NOEXEC | MS_NOSUID, NULL);
	}
	umask(mask);
	if (failed < 0) {
		sandbox_fail(PROCESS_HELPER_CREDENTIALS, "cannot make the credentials in %s: %s",
			path, strerror(-failed));
	}
	s->credentials_directory = sandbox_copy(path, PROCESS_HELPER_CREDENTIALS);
}

void sandbox_credentials_make(struct sandbox *s)
{
	static const char *const encrypted[] = {
		"LoadCredentialEncrypted", "SetCredentialEncrypted"};
	struct credentials *all;

	for (size_t i = 0; i < 2; i++) {
		if (sandbox_get(s, encrypted[i]) != NULL) {
			sandbox_miss(s, encrypted[i], "there is no key to decrypt it with here");
		}
	}
	if (s->credentials_fd < 0 && sandbox_get(s, "LoadCredential") == NULL &&
		sandbox_get(s, "ImportCredential") == NULL) {
		return;
	}
	all = calloc(1, sizeof(*all));
	if (all == NULL) {
		sandbox_fail(PROCESS_HELPER_MEMORY, "out of memory");
	}
	gather(s, all);
	lay_out(s, all);
	if (s->credentials_fd >= 0) {
		close(s->credentials_fd);
	}
	free(all);
	if (setenv("CREDENTIALS_DIRECTORY", s->credentials_directory, 1) < 0) {
		sandbox_fail(PROCESS_HELPER_MEMORY, "out of memory");
	}
}
