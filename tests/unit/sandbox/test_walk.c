/* Ways through directories that belong to others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* cmocka.h wants the four above. */
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sandbox/walk.h"

static char top[] = "/tmp/test_walk.XXXXXX";
static int top_fd;

static int make_top(void **state)
{
	(void)state;
	strcpy(top + strlen(top) - 6, "XXXXXX");
	if (!mkdtemp(top)) {
		return -1;
	}
	top_fd = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return top_fd < 0 ? -1 : 0;
}

static int remove_all(const char *name)
{
	int failed = -EAGAIN;

	for (int i = 0; i < 10000 && failed == -EAGAIN; i++) {
		uint32_t budget = 64;

		failed = walk_remove(top_fd, name, &budget);
	}
	return failed;
}

static int remove_top(void **state)
{
	int parent = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC), failed = -EAGAIN;

	(void)state;
	for (int i = 0; i < 10000 && failed == -EAGAIN; i++) {
		uint32_t budget = 64;

		failed = walk_remove(parent, strrchr(top, '/') + 1, &budget);
	}
	close(parent);
	close(top_fd);
	return failed;
}

static void touch(int parent, const char *name)
{
	int fd = openat(parent, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	close(fd);
}

static bool is_there(const char *name)
{
	struct stat status;

	return fstatat(top_fd, name, &status, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Deeper than there may be descriptors. */
static void test_deep(void **state)
{
	int fd = dup(top_fd);

	(void)state;
	for (int i = 0; i < 500; i++) {
		const char *name = i == 0 ? "tree" : "d";
		int next;

		assert_int_equal(mkdirat(fd, name, 0755), 0);
		next = openat(fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		assert_true(next >= 0);
		close(fd);
		fd = next;
		touch(fd, "file");
	}
	close(fd);
	assert_int_equal(remove_all("tree"), 0);
	assert_false(is_there("tree"));
}

/* Bounded work: a call does no more than its budget. */
static void test_budget(void **state)
{
	uint32_t budget = 10;
	char name[32];
	int fd;

	(void)state;
	assert_int_equal(mkdirat(top_fd, "wide", 0755), 0);
	fd = openat(top_fd, "wide", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (int i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		touch(fd, name);
	}
	assert_int_equal(walk_remove(top_fd, "wide", &budget), -EAGAIN);
	assert_int_equal(budget, 0);
	for (int i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		budget += faccessat(fd, name, F_OK, 0) == 0;
	}
	assert_in_range(budget, 90, 99);
	close(fd);
	assert_int_equal(remove_all("wide"), 0);
	assert_false(is_there("wide"));
	assert_int_equal(remove_all("wide"), 0); /* again does no harm */
}

static void test_links(void **state)
{
	(void)state;
	assert_int_equal(mkdirat(top_fd, "victim", 0755), 0);
	assert_int_equal(mkdirat(top_fd, "victim/inner", 0755), 0);
	assert_int_equal(mkdirat(top_fd, "tree", 0755), 0);
	assert_int_equal(symlinkat(top, top_fd, "tree/up"), 0);
	assert_int_equal(symlinkat("../victim", top_fd, "tree/link"), 0);
	assert_int_equal(symlinkat("victim", top_fd, "link"), 0);
	assert_int_equal(remove_all("tree"), 0);
	assert_int_equal(remove_all("link"), 0);
	assert_false(is_there("tree"));
	assert_false(is_there("link"));
	assert_true(is_there("victim/inner"));
}

/* In a child, whose mounts end with it. */
static void in_namespace(int (*body)(void))
{
	pid_t child = fork();
	int status;

	if (child == 0) {
		if (unshare(CLONE_NEWNS) < 0 ||
			mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) {
			_exit(77);
		}
		_exit(body());
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
		skip();
	}
	assert_int_equal(status, 0);
}

static int mounts_stay(void)
{
	char path[128], source[128];

	snprintf(source, sizeof(source), "%s/victim", top);
	snprintf(path, sizeof(path), "%s/tree/bind", top);
	if (mkdirat(top_fd, "victim", 0755) < 0 || mkdirat(top_fd, "tree", 0755) < 0 ||
		mkdirat(top_fd, "tree/bind", 0755) < 0 || mkdirat(top_fd, "tree/other", 0755) < 0) {
		return 1;
	}
	touch(top_fd, "victim/file");
	/* The same file system, so that the device tells nothing. */
	if (mount(source, path, NULL, MS_BIND, NULL) < 0) {
		return 2;
	}
	if (remove_all("tree") != -EBUSY || !is_there("victim/file") || is_there("tree/other")) {
		return 3;
	}
	if (walk_chown(openat(top_fd, "tree", O_RDONLY | O_DIRECTORY), 65534, 65534) < 0) {
		return 4;
	}
	return umount2(path, MNT_DETACH) < 0 ? 5 : 0;
}

static void test_mounts(void **state)
{
	struct stat status;

	(void)state;
	in_namespace(mounts_stay);
	assert_int_equal(fstatat(top_fd, "tree", &status, 0), 0);
	assert_int_equal(status.st_uid, 65534);
	assert_int_equal(fstatat(top_fd, "victim/file", &status, 0), 0);
	assert_int_equal(status.st_uid, geteuid());
}

static int open_parent(const char *tail, bool make)
{
	char path[256];
	const char *name;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", top, tail);
	fd = walk_open_parent(path, make, &name);
	if (fd >= 0) {
		assert_string_equal(name, strrchr(path, '/') + 1);
		close(fd);
	}
	return fd;
}

static void test_open(void **state)
{
	(void)state;
	assert_int_equal(mkdirat(top_fd, "real", 0755), 0);
	assert_int_equal(symlinkat("real", top_fd, "link"), 0);
	assert_true(open_parent("real/x", false) >= 0);
	assert_int_equal(open_parent("missing/x", false), -ENOENT);
	assert_true(open_parent("made/by/us", true) >= 0);
	assert_true(is_there("made/by"));
	/* A link that we have made ourselves, and one that anybody can have made. */
	assert_true(open_parent("link/x", false) >= 0);
	assert_int_equal(fchmod(top_fd, 0777), 0);
	assert_int_equal(open_parent("link/x", false), -ELOOP);
	assert_true(open_parent("real/x", false) >= 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_deep, make_top, remove_top),
		cmocka_unit_test_setup_teardown(test_budget, make_top, remove_top),
		cmocka_unit_test_setup_teardown(test_links, make_top, remove_top),
		cmocka_unit_test_setup_teardown(test_mounts, make_top, remove_top),
		cmocka_unit_test_setup_teardown(test_open, make_top, remove_top),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
