/* Calls and replies: order, pipelining, `more`, `oneway`, errors, introspection, access. */
#include "unit/control/rig.h"

#include <unistd.h>

#define ECHO(n) "{\"method\":\"org.coppice.Control.Echo\",\"parameters\":{\"n\":" #n "}}"
#define HOLD    "{\"method\":\"org.coppice.Control.Hold\"}"

static void test_one_call(void **state)
{
	struct rig *rig = *state;
	int fd = rig_connect(rig);

	rig_say(fd, ECHO(1));
	rig_expect(rig, fd, "{\"parameters\":{\"n\":1}}");
	assert_int_equal(rig_run(rig), 0); /* quiet afterwards */
	close(fd);
	assert_true(rig_run(rig) > 0); /* it hears of the end … */
	assert_int_equal(rig_run(rig), 0);
	assert_int_equal(rig->gone_count, 0);
}

/* A message may come in any pieces. */
static void test_byte_by_byte(void **state)
{
	struct rig *rig = *state;
	int fd = rig_connect(rig);
	const char text[] = ECHO(7) "\0" ECHO(8);

	for (size_t i = 0; i < sizeof(text); i++) {
		assert_int_equal(send(fd, text + i, 1, 0), 1);
		rig_run(rig);
	}
	rig_expect(rig, fd, "{\"parameters\":{\"n\":7}}");
	rig_expect(rig, fd, "{\"parameters\":{\"n\":8}}");
	close(fd);
}

/* Many calls at once are answered in order, more than one turn's worth too. */
static void test_pipeline(void **state)
{
	struct rig *rig = *state;
	int fd = rig_connect(rig);
	char text[64];

	for (int i = 0; i < 100; i++) {
		snprintf(text, sizeof(text),
			"{\"method\":\"org.coppice.Control.Echo\",\"parameters\":{\"n\":%d}}", i);
		rig_say(fd, text);
	}
	for (int i = 0; i < 100; i++) {
		snprintf(text, sizeof(text), "{\"parameters\":{\"n\":%d}}", i);
		rig_expect(rig, fd, text);
	}
	close(fd);
}

/* One that is answered later blocks those behind it, and nobody else. */
static void test_held_call_blocks_its_connection(void **state)
{
	struct rig *rig = *state;
	int fd = rig_connect(rig), other = rig_connect(rig);

	rig_say(fd, ECHO(1));
	rig_say(fd, HOLD);
	rig_say(fd, ECHO(2));
	rig_expect(rig, fd, "{\"parameters\":{\"n\":1}}");
	assert_null(rig_hear(rig, fd));
	assert_int_equal(rig->held_count, 1);
	rig_say(other, ECHO(3));
	rig_expect(rig, other, "{\"parameters\":{\"n\":3}}");
	assert_int_equal(rig->done_count, 2);
	control_reply(rig->held[0], NULL);
	rig_expect(rig, fd, "{\"parameters\":{}}");
	rig_expect(rig, fd, "{\"parameters\":{\"n\":2}}");
	close(fd);
	close(other);
}

static void test_more(void **state)
{
	struct rig *rig = *state;
	int fd = rig_connect(rig);

	rig_say(fd, "{\"method\":\"org.coppice.Control.Stream\"}");
	rig_expect(rig, fd, "{\"error\":\"org.varlink.service.ExpectedMore\",\"parameters\":{}}");
	assert_int_equal(rig->held_count, 0);
	rig_say(fd, "{\"method\":\"org.coppice.Control.Stream\",\"more\":true}");
	rig_run(rig);
	assert_true(control_call_wants_more(rig->held[0]));
	assert_true(control_reply_more(rig->held[0], json_pack("{s:i}", "n", 1)));
	assert_true(control_reply_more(rig->held[0], NULL));
	control_reply(rig->held[0], json_pack("{s:i}", "n", 2));
	rig_expect(rig, fd, "{\"parameters\":{\"n\":1},\"continues\":true}");
	rig_expect(rig, fd, "{\"parameters\":{},\"continues\":true}");
	rig_expect(rig, fd, "{\"parameters\":{\"n\":2}}");
	close(fd);
}

static void test_oneway(void **state)
{
	struct rig *rig = *state;
	int fd = rig_connect(rig);

	rig_say(fd, "{\"method\":\"org.coppice.Control.Mark\",\"parameters\":{\"name\":\"a\"},"
		    "\"oneway\":true}");
	rig_say(fd, "{\"method\":\"org.coppice.Control.NoSuch\",\"oneway\":true}");
	rig_say(fd, ECHO(1));
	rig_expect(rig, fd, "{\"parameters\":{\"n\":1}}");
	assert_null(rig_hear(rig, fd));
	assert_string_equal(rig->order, "a");
	close(fd);
}

/* Who asks for no answer may leave: what was sent is done, even behind a call that takes time. */
static void test_oneway_and_gone(void **state)
{
	struct rig *rig = *state;
	int fd = rig_connect(rig);

	rig_say(fd, "{\"method\":\"org.coppice.Control.Hold\",\"oneway\":true}");
	rig_run(rig);
	rig_say(fd, "{\"method\":\"org.coppice.Control.Mark\",\"parameters\":{\"name\":\"b\"},"
		    "\"oneway\":true}");
	close(fd);
	rig_run(rig);
	assert_int_equal(rig_run(rig), 0); /* the hang-up does not spin */
	assert_int_equal(rig->held_count, 1);
	assert_int_equal(rig->gone_count, 0);
	assert_string_equal(rig->order, "");
	control_reply(rig->held[0], NULL);
	rig_run(rig);
	assert_string_equal(rig->order, "b");
	assert_int_equal(rig->gone_count, 0);
}

/* `printf … | nc -N`: no more to send, but the answers are wanted. */
static void test_half_closed(void **state)
{
	struct rig *rig = *state;
	int fd = rig_connect(rig);

	rig_say(fd, HOLD);
	rig_say(fd, ECHO(5));
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	rig_run(rig);
	assert_int_equal(rig_run(rig), 0);
	control_reply(rig->held[0], NULL);
	rig_expect(rig, fd, "{\"parameters\":{}}");
	rig_expect(rig, fd, "{\"parameters\":{\"n\":5}}");
	assert_true(rig_is_closed(rig, fd));
	close(fd);
}

static void test_vanished_client(void **state)
{
	struct rig *rig = *state;
	int fd = rig_connect(rig);

	rig_say(fd, HOLD);
	rig_run(rig);
	close(fd);
	rig_run(rig);
	assert_int_equal(rig->gone_count, 1);
	assert_int_equal(rig_run(rig), 0);
}

/* A vanished client that is noticed by the reply itself. */
static void test_vanished_before_reply(void **state)
{
	struct rig *rig = *state;
	int fd = rig_connect(rig);

	rig_say(fd, "{\"method\":\"org.coppice.Control.Hold\",\"more\":true}");
	rig_run(rig);
	close(fd);
	assert_false(control_reply_more(rig->held[0], NULL));
	assert_int_equal(rig->gone_count, 1);
	rig_run(rig);
	assert_int_equal(rig_run(rig), 0);
}

static void test_calls_are_numbered(void **state)
{
	struct rig *rig = *state;
	int one = rig_connect(rig), two = rig_connect(rig);

	rig_say(one, HOLD);
	rig_say(two, HOLD);
	rig_run(rig);
	assert_true(control_call_id(rig->held[0]) != control_call_id(rig->held[1]));
	control_call_set_data(rig->held[0], rig);
	assert_ptr_equal(control_call_data(rig->held[0]), rig);
	assert_null(control_call_data(rig->held[1]));
	assert_int_equal(control_call_peer(rig->held[1])->pid, getpid());
	close(one);
	close(two);
}

static void test_destroy_with_open_calls(void **state)
{
	struct rig *rig = *state;
	int fd = rig_connect(rig);

	rig_say(fd, HOLD);
	rig_say(fd, ECHO(1));
	rig_run(rig);
	control_server_destroy(rig->server);
	rig->server = NULL;
	assert_int_equal(rig->gone_count, 1);
	close(fd);
}

/* --- introspection and errors --- */

static const struct {
	const char *call, *answer;
} answers[] = {
	{"{\"method\":\"org.varlink.service.GetInfo\"}",
		"{\"parameters\":{\"vendor\":\"coppice\",\"product\":\"test\",\"version\":\"1\","
		"\"url\":\"http://localhost/\",\"interfaces\":[\"org.varlink.service\","
		"\"org.coppice.Control\"]}}"},
	{"{\"method\":\"org.varlink.service.GetInterfaceDescription\"}",
		"{\"error\":\"org.varlink.service.InvalidParameter\",\"parameters\":{"
		"\"parameter\":\"interface\"}}"},
	{"{\"method\":\"org.varlink.service.GetInterfaceDescription\",\"parameters\":{"
	 "\"interface\":\"a.b\"}}",
		"{\"error\":\"org.varlink.service.InterfaceNotFound\",\"parameters\":{"
		"\"interface\":\"a.b\"}}"},
	{"{\"method\":\"org.varlink.service.Nothing\"}",
		"{\"error\":\"org.varlink.service.MethodNotFound\",\"parameters\":{"
		"\"method\":\"org.varlink.service.Nothing\"}}"},
	{"{\"method\":\"org.coppice.Control.Nothing\"}",
		"{\"error\":\"org.varlink.service.MethodNotFound\",\"parameters\":{"
		"\"method\":\"org.coppice.Control.Nothing\"}}"},
	{"{\"method\":\"org.coppice.ControlX.List\"}",
		"{\"error\":\"org.varlink.service.InterfaceNotFound\",\"parameters\":{"
		"\"interface\":\"org.coppice.ControlX\"}}"},
	{"{\"method\":\"org.coppice.Control.Count\",\"parameters\":{\"supervisor\":[]}}",
		"{\"error\":\"org.varlink.service.InvalidParameter\",\"parameters\":{"
		"\"parameter\":\"supervisor\"}}"},
	{"{\"method\":\"org.coppice.Control.Count\",\"parameters\":{\"supervisor\":\"a\"}}",
		"{\"parameters\":{\"supervisor\":\"a\"}}"},
	{"{\"method\":\"List\"}", "{\"error\":\"org.varlink.service.InterfaceNotFound\","
				  "\"parameters\":{\"interface\":\"\"}}"},
	{"{\"method\":\"\"}", "{\"error\":\"org.varlink.service.InterfaceNotFound\","
			      "\"parameters\":{\"interface\":\"\"}}"},
};

static void test_answers(void **state)
{
	struct rig *rig = *state;
	int fd = rig_connect(rig);

	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		rig_say(fd, answers[i].call);
		rig_expect(rig, fd, answers[i].answer);
	}
	close(fd);
}

static void test_description(void **state)
{
	struct rig *rig = *state;
	int fd = rig_connect(rig);
	json_t *reply;

	rig_say(fd, "{\"method\":\"org.varlink.service.GetInterfaceDescription\",\"parameters\":{"
		    "\"interface\":\"org.coppice.Control\"}}");
	reply = json_loads(rig_hear(rig, fd), 0, NULL);
	assert_string_equal(json_string_value(json_object_get(
				    json_object_get(reply, "parameters"), "description")),
		control_interface_text);
	json_decref(reply);
	rig_say(fd, "{\"method\":\"org.varlink.service.GetInterfaceDescription\",\"parameters\":{"
		    "\"interface\":\"org.varlink.service\"}}");
	assert_non_null(strstr(rig_hear(rig, fd), "method GetInfo() ->"));
	close(fd);
}

/* --- who may what --- */

static void test_reader_may_not_change(void **state)
{
	struct rig *rig = *state;
	int fd;

	rig->access = 1;
	fd = rig_connect(rig);
	rig_say(fd, ECHO(1));
	rig_expect(rig, fd, "{\"parameters\":{\"n\":1}}");
	rig_say(fd, "{\"method\":\"org.coppice.Control.Change\"}");
	assert_non_null(strstr(rig_hear(rig, fd), "{\"error\":\"org.coppice.Control.Refused\""));
	assert_int_equal(rig->done_count, 1);
	rig_say(fd, ECHO(2)); /* it stays a client */
	rig_expect(rig, fd, "{\"parameters\":{\"n\":2}}");
	close(fd);
}

static void test_stranger_is_refused(void **state)
{
	struct rig *rig = *state;
	int fd;

	rig->access = 0;
	fd = rig_connect(rig);
	rig_say(fd, ECHO(1));
	assert_non_null(strstr(rig_hear(rig, fd), "{\"error\":\"org.coppice.Control.Refused\""));
	assert_true(rig_is_closed(rig, fd));
	assert_int_equal(rig->done_count, 0);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_one_call, rig_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(test_byte_by_byte, rig_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(test_pipeline, rig_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(
			test_held_call_blocks_its_connection, rig_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(test_more, rig_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(test_oneway, rig_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(test_oneway_and_gone, rig_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(test_half_closed, rig_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(test_vanished_client, rig_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(
			test_vanished_before_reply, rig_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(test_calls_are_numbered, rig_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(
			test_destroy_with_open_calls, rig_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(test_answers, rig_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(test_description, rig_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(
			test_reader_may_not_change, rig_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(test_stranger_is_refused, rig_setup, rig_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
