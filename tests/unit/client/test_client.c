/* The client library against canned replies, in whole and in pieces. */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "coppice/client.h"
#include "helpers/fake_coppice.h"

/* A client of a fake, and its one call. */
struct talk {
	struct fake_coppice *fake;
	struct coppice_client *client;
};

static struct talk talk_begin(const struct fake_answer *answers)
{
	struct talk talk = {.fake = fake_start(answers)};

	assert_int_equal(coppice_open(talk.fake->path, &talk.client), 0);
	assert_true(coppice_fd(talk.client) >= 0);
	return talk;
}

static void talk_end(struct talk *talk)
{
	coppice_close(talk->client);
	fake_stop(talk->fake);
}

static void test_call(void **state)
{
	const struct fake_answer answers[] = {{"Echo", "{\"parameters\":{\"n\":5}}"}, {0}};
	struct talk talk = talk_begin(answers);
	json_t *parameters = json_pack("{s:s}", "a", "b"), *reply = NULL;

	(void)state;
	assert_int_equal(coppice_call(talk.client, "Echo", parameters, 5000, &reply), 0);
	assert_int_equal(json_integer_value(json_object_get(reply, "n")), 5);
	json_decref(reply);
	assert_string_equal(talk.fake->memory->requests,
		"{\"method\":\"org.coppice.Control.Echo\",\"parameters\":{\"a\":\"b\"}}\n");
	assert_int_equal(parameters->refcount, 1); /* not consumed */
	json_decref(parameters);
	/* An interface of its own, and no parameters. */
	assert_int_equal(coppice_call(talk.client, "a.b.Echo", NULL, -1, &reply), 0);
	json_decref(reply);
	assert_non_null(strstr(talk.fake->memory->requests, "\n{\"method\":\"a.b.Echo\"}\n"));
	assert_null(coppice_error_name(talk.client));
	talk_end(&talk);
}

static void test_reply_without_parameters(void **state)
{
	const struct fake_answer answers[] = {{"", "{}"}, {0}};
	struct talk talk = talk_begin(answers);
	json_t *reply = NULL;

	(void)state;
	assert_int_equal(coppice_call(talk.client, "Echo", NULL, 5000, &reply), 0);
	assert_int_equal(json_object_size(reply), 0);
	json_decref(reply);
	talk_end(&talk);
}

static void test_error(void **state)
{
	const struct fake_answer answers[] = {
		{"Start", "{\"error\":\"org.coppice.Control.Failed\",\"parameters\":{"
			  "\"reason\":\"it broke\"}}"},
		{"", "{\"parameters\":{}}"},
		{0},
	};
	struct talk talk = talk_begin(answers);
	json_t *reply = NULL;

	(void)state;
	assert_int_equal(coppice_call(talk.client, "Start", NULL, 5000, &reply), -EREMOTEIO);
	assert_null(reply);
	assert_string_equal(coppice_error_name(talk.client), "org.coppice.Control.Failed");
	assert_string_equal(coppice_error(talk.client), "org.coppice.Control.Failed: it broke");
	assert_string_equal(
		json_string_value(json_object_get(coppice_error_parameters(talk.client), "reason")),
		"it broke");
	/* The connection goes on, and the error is forgotten. */
	assert_int_equal(coppice_call(talk.client, "Other", NULL, 5000, &reply), 0);
	assert_null(coppice_error_name(talk.client));
	json_decref(reply);
	talk_end(&talk);
}

static void test_more(void **state)
{
	const struct fake_answer answers[] = {
		{"List", "{\"parameters\":{\"n\":1},\"continues\":true}\n"
			 "{\"parameters\":{\"n\":2},\"continues\":true}\n{\"parameters\":{\"n\":3}"
			 "}"},
		{"", "{\"parameters\":{}}"},
		{0},
	};
	struct talk talk = talk_begin(answers);
	json_t *reply = NULL;

	(void)state;
	assert_int_equal(coppice_call_more(talk.client, "List", NULL), 0);
	for (int i = 1; i <= 3; i++) {
		assert_int_equal(coppice_next(talk.client, 5000, &reply), 1);
		assert_int_equal(json_integer_value(json_object_get(reply, "n")), i);
		json_decref(reply);
	}
	assert_int_equal(coppice_next(talk.client, 5000, &reply), 0);
	assert_non_null(strstr(talk.fake->memory->requests, "\"more\":true"));
	assert_int_equal(coppice_call(talk.client, "Other", NULL, 5000, &reply), 0);
	json_decref(reply);
	talk_end(&talk);
}

static void test_more_ends_in_error(void **state)
{
	const struct fake_answer answers[] = {
		{"List", "{\"parameters\":{},\"continues\":true}\n{\"error\":\"a.b.C\"}"}, {0}};
	struct talk talk = talk_begin(answers);
	json_t *reply = NULL;

	(void)state;
	assert_int_equal(coppice_call_more(talk.client, "List", NULL), 0);
	assert_int_equal(coppice_next(talk.client, 5000, &reply), 1);
	json_decref(reply);
	assert_int_equal(coppice_next(talk.client, 5000, &reply), -EREMOTEIO);
	assert_string_equal(coppice_error_name(talk.client), "a.b.C");
	assert_int_equal(coppice_next(talk.client, 5000, &reply), 0);
	talk_end(&talk);
}

static void test_timeout(void **state)
{
	const struct fake_answer answers[] = {{"", FAKE_SILENCE}, {0}};
	struct talk talk = talk_begin(answers);
	json_t *reply = NULL;

	(void)state;
	assert_int_equal(coppice_call(talk.client, "Echo", NULL, 10, &reply), -ETIMEDOUT);
	assert_string_equal(coppice_error(talk.client), "coppice did not answer in time");
	/* A late reply must not be taken for the next one's. */
	assert_int_equal(coppice_call(talk.client, "Echo", NULL, 10, &reply), -ECONNRESET);
	talk_end(&talk);
}

static void test_next_timeout_is_harmless(void **state)
{
	const struct fake_answer answers[] = {{"", "{\"parameters\":{},\"continues\":true}"}, {0}};
	struct talk talk = talk_begin(answers);
	json_t *reply = NULL;

	(void)state;
	assert_int_equal(coppice_call_more(talk.client, "Echo", NULL), 0);
	assert_int_equal(coppice_next(talk.client, 5000, &reply), 1);
	json_decref(reply);
	assert_int_equal(coppice_next(talk.client, 0, &reply), -ETIMEDOUT);
	assert_int_equal(coppice_next(talk.client, 5, &reply), -ETIMEDOUT);
	talk_end(&talk);
}

static void test_bad_answers(void **state)
{
	static const struct {
		const char *reply;
		int result;
	} cases[] = {
		{"garbage", -EBADMSG},
		{"[]", -EBADMSG},
		{"{\"parameters\":1}", -EBADMSG},
		{"{\"parameters\":{},\"continues\":true}", -EBADMSG},
		{FAKE_CLOSE, -ECONNRESET},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct fake_answer answers[] = {{"", cases[i].reply}, {0}};
		struct talk talk = talk_begin(answers);
		json_t *reply = NULL;

		assert_int_equal(
			coppice_call(talk.client, "Echo", NULL, 5000, &reply), cases[i].result);
		assert_null(reply);
		assert_int_equal(
			coppice_call(talk.client, "Echo", NULL, 5000, &reply), -ECONNRESET);
		talk_end(&talk);
	}
}

/* A server that refuses says so and closes before it has read anything. */
static void test_refused_at_the_door(void **state)
{
	char directory[] = "/tmp/coppice-door-XXXXXX", path[64];
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct coppice_client *client;
	const char refusal[] = "{\"error\":\"org.coppice.Control.Refused\"}";
	json_t *reply;
	int door;

	(void)state;
	assert_non_null(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/control", directory);
	strcpy(address.sun_path, path);
	assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(coppice_open(path, &client), 0);
	door = accept(listener, NULL, NULL);
	assert_int_equal(send(door, refusal, sizeof(refusal), 0), sizeof(refusal));
	close(door);
	assert_int_equal(coppice_call(client, "List", NULL, 5000, &reply), -EREMOTEIO);
	assert_string_equal(coppice_error_name(client), "org.coppice.Control.Refused");
	coppice_close(client);
	close(listener);
	/* The socket is still there, but nobody listens. */
	assert_int_equal(coppice_open(path, &client), -ECONNREFUSED);
	unlink(path);
	assert_int_equal(coppice_open(path, &client), -ENOENT);
	rmdir(directory);
}

static void test_path_too_long(void **state)
{
	char path[300];
	struct coppice_client *client;

	(void)state;
	memset(path, 'a', sizeof(path) - 1);
	path[0] = '/';
	path[sizeof(path) - 1] = '\0';
	assert_int_equal(coppice_open(path, &client), -ENAMETOOLONG);
	coppice_close(NULL);
}

static void test_control_path(void **state)
{
	char path[128], expected[128];

	(void)state;
	setenv("COPPICE_CONTROL", "/x/y", 1);
	assert_int_equal(coppice_control_path(path, sizeof(path)), 0);
	assert_string_equal(path, "/x/y");
	assert_int_equal(coppice_control_path(path, 4), -ENAMETOOLONG);
	unsetenv("COPPICE_CONTROL");
	setenv("XDG_RUNTIME_DIR", "/run/user/7", 1);
	assert_int_equal(coppice_control_path(path, sizeof(path)), 0);
	assert_string_equal(
		path, geteuid() == 0 ? "/run/coppice/control" : "/run/user/7/coppice/control");
	if (geteuid() == 0) {
		assert_int_equal(seteuid(12345), 0);
	}
	assert_int_equal(coppice_control_path(path, sizeof(path)), 0);
	assert_string_equal(path, "/run/user/7/coppice/control");
	unsetenv("XDG_RUNTIME_DIR");
	assert_int_equal(coppice_control_path(path, sizeof(path)), 0);
	snprintf(expected, sizeof(expected), "/tmp/coppice-%u/control", (unsigned)geteuid());
	assert_string_equal(path, expected);
	(void)!seteuid(getuid());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_call),
		cmocka_unit_test(test_reply_without_parameters),
		cmocka_unit_test(test_error),
		cmocka_unit_test(test_more),
		cmocka_unit_test(test_more_ends_in_error),
		cmocka_unit_test(test_timeout),
		cmocka_unit_test(test_next_timeout_is_harmless),
		cmocka_unit_test(test_bad_answers),
		cmocka_unit_test(test_refused_at_the_door),
		cmocka_unit_test(test_path_too_long),
		cmocka_unit_test(test_control_path),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
