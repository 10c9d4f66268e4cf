/* cat and verify over files on disk; every test has a directory of its own. */
#include "unit/ctl/rig.h"

#include <sys/stat.h>

struct place {
	char directory[64];
};

static int place_setup(void **state)
{
	struct place *place = calloc(1, sizeof(*place));

	strcpy(place->directory, "/tmp/coppice-files-XXXXXX");
	*state = place;
	unsetenv("COPPICE_UNIT_PATH");
	return mkdtemp(place->directory) != NULL ? 0 : -1;
}

static int place_teardown(void **state)
{
	struct place *place = *state;
	char command[128];

	snprintf(command, sizeof(command), "rm -rf %s", place->directory);
	free(place);
	return system(command);
}

static void put(const struct place *place, const char *name, const char *text)
{
	char path[256];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", place->directory, name);
	file = fopen(path, "we");
	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

/* Copies a text with the directory in the place of every "DIR". */
static void fill(const struct place *place, char *out, size_t size, const char *text)
{
	size_t length = 0;

	while (*text != '\0') {
		bool here = strncmp(text, "DIR", 3) == 0;
		int added = snprintf(out + length, size - length, "%.*s",
			here ? (int)sizeof(place->directory) : 1, here ? place->directory : text);

		length += (size_t)added;
		assert_true(length < size);
		text += here ? 3 : 1;
	}
	out[length] = '\0';
}

static struct run run_in(const struct place *place, struct fake_coppice *fake, const char *text)
{
	char line[512];

	fill(place, line, sizeof(line), text);
	return run_line(fake, line);
}

static void expect(const struct place *place, const char *text, const char *pattern)
{
	char wanted[1024];

	fill(place, wanted, sizeof(wanted), pattern);
	assert_string_equal(text, wanted);
}

static void test_verify_file(void **state)
{
	struct place *place = *state;
	struct run run;

	put(place, "good.service", "[Service]\nExecStart=/bin/true\n");
	put(place, "bad.service", "[Service]\nExecStart=/bin/true\nType=bogus\n");
	put(place, "odd.service", "[Service]\nExecStrat=/bin/true\nExecStart=/bin/true\n");
	run = run_in(place, NULL, "verify DIR/good.service");
	assert_string_equal(run.err, "");
	assert_int_equal(run.status, 0);
	run_end(&run);
	run = run_in(place, NULL, "verify DIR/odd.service");
	expect(place, run.err,
		"warning: DIR/odd.service:2:1: unknown key ExecStrat= in [Service]; did you mean "
		"ExecStart=?\n");
	assert_int_equal(run.status, 0);
	run_end(&run);
	/* One that is bad spoils it, whatever comes behind it. */
	run = run_in(place, NULL, "verify DIR/bad.service DIR/good.service");
	expect(place, run.err,
		"error: DIR/bad.service:3:6: Type=: \"bogus\" is not one of simple, exec, notify, "
		"notify-reload, oneshot, forking, idle, dbus\n");
	assert_int_equal(run.status, 1);
	run_end(&run);
	run = run_in(place, NULL, "verify --json DIR/bad.service");
	assert_non_null(strstr(run.out, "[{\"severity\":\"error\",\"text\":\""));
	assert_string_equal(run.err, "");
	assert_int_equal(run.status, 1);
	run_end(&run);
}

static void test_verify_tree(void **state)
{
	struct place *place = *state;
	struct run run;

	put(place, "root.supervisor", "[Supervisor]\nChildren=a.service\n");
	run = run_in(place, NULL, "verify -u DIR -r root.supervisor");
	assert_non_null(strstr(run.err, "a.service"));
	assert_int_equal(run.status, 1);
	run_end(&run);
	put(place, "a.service", "[Service]\nExecStart=/bin/true\n");
	run = run_in(place, NULL, "verify -u DIR -r root.supervisor");
	assert_string_equal(run.err, "");
	assert_string_equal(run.out, "root.supervisor: 2 units, no errors, 0 warnings\n");
	assert_int_equal(run.status, 0);
	run_end(&run);
	setenv("COPPICE_UNIT_PATH", place->directory, 1);
	run = run_in(place, NULL, "verify --root=root.supervisor");
	assert_int_equal(run.status, 0);
	run_end(&run);
	run = run_in(place, NULL, "verify");
	assert_non_null(strstr(run.err, "default.supervisor"));
	assert_int_equal(run.status, 1);
	run_end(&run);
}

static void test_directives(void **state)
{
	struct run run = run_line(NULL, "verify --directives");
	uint32_t lines = 0;
	json_t *list;

	(void)state;
	for (const char *at = run.out; *at != '\0'; at++) {
		lines += *at == '\n';
	}
	assert_true(lines > 50);
	assert_non_null(strstr(run.out, "\nService    ExecStart  "));
	run_end(&run);
	run = run_line(NULL, "verify --directives --json");
	list = json_loads(run.out, 0, NULL);
	assert_int_equal(json_array_size(list), lines);
	json_decref(list);
	run_end(&run);
}

/* Without a coppice: the file, its template's when it has none, and drop-ins of both. */
static void test_cat_from_disk(void **state)
{
	struct place *place = *state;
	char path[256];
	struct run run;

	put(place, "a.service", "[Service]\nExecStart=/a\n");
	put(place, "w@.service", "[Service]\nExecStart=/w %i");
	snprintf(path, sizeof(path), "%s/w@1.service.d", place->directory);
	assert_int_equal(mkdir(path, 0700), 0);
	put(place, "w@1.service.d/x.conf", "[Service]\nNice=1\n");
	put(place, "w@1.service.d/x.conf~", "junk\n");
	run = run_in(place, NULL, "cat -u DIR a");
	expect(place, run.out, "# DIR/a.service\n[Service]\nExecStart=/a\n");
	assert_int_equal(run.status, 0);
	run_end(&run);
	run = run_in(place, NULL, "cat -u DIR w@1");
	expect(place, run.out,
		"# DIR/w@.service\n[Service]\nExecStart=/w %i\n\n"
		"# DIR/w@1.service.d/x.conf\n[Service]\nNice=1\n");
	run_end(&run);
	run = run_in(place, NULL, "cat -u DIR nope");
	assert_string_equal(run.err,
		"coppicectl: no file of nope.service in the search path, and no "
		"coppice answers; see -u\n");
	assert_int_equal(run.status, 4);
	run_end(&run);
}

/* With one, its own words; -u means the disk nevertheless. */
static void test_cat_prefers_the_running(void **state)
{
	struct place *place = *state;
	const struct fake_answer answers[] = {
		{"Cat", "{\"parameters\":{\"files\":[{\"path\":\"/x\",\"text\":\"old\\n\"}]}}"},
		{0}};
	struct fake_coppice *fake = fake_start(answers);
	struct run run;

	put(place, "a.service", "new\n");
	setenv("COPPICE_UNIT_PATH", place->directory, 1);
	run = run_in(place, fake, "cat a");
	assert_string_equal(run.out, "# /x\nold\n");
	run_end(&run);
	run = run_in(place, NULL, "cat a");
	expect(place, run.out, "# DIR/a.service\nnew\n");
	run_end(&run);
	run = run_in(place, fake, "cat -u DIR a");
	expect(place, run.out, "# DIR/a.service\nnew\n");
	run_end(&run);
	fake_stop(fake);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_verify_file, place_setup, place_teardown),
		cmocka_unit_test_setup_teardown(test_verify_tree, place_setup, place_teardown),
		cmocka_unit_test_setup_teardown(test_directives, place_setup, place_teardown),
		cmocka_unit_test_setup_teardown(test_cat_from_disk, place_setup, place_teardown),
		cmocka_unit_test_setup_teardown(
			test_cat_prefers_the_running, place_setup, place_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
