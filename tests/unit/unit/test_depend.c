/* Targets, aliases, units on demand, order, and who has to do with whom. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tree/tree.h"
#include "unit/unit.h"
#include "unit/unit/texts.h"

#define EXEC "[Service]\nExecStart=/bin/true\n"

static struct texts texts;
static struct unit_source source;
static struct unit_messages messages;
static struct unit_set *set;

static const char *const own_dirs[] = {"/e", NULL};
static const char *const systemd_dirs[] = {"/s", "/l", NULL};

static void load(const char *const (*files)[2], const char *root)
{
	struct unit_search search = {own_dirs, systemd_dirs, false};
	unit_set_destroy(set);
	unit_messages_finish(&messages);
	messages = (struct unit_messages){0};
	texts = (struct texts){files, 0, 0};
	source = texts_source(&texts);
	set = unit_set_load(&search, &source, root, &messages);
	if (set == NULL) {
		for (uint32_t i = 0; i < messages.count; i++) {
			print_error("%s\n", messages.list[i].text);
		}
	}
	assert_non_null(set);
}

static int finish(void **state)
{
	(void)state;
	unit_set_destroy(set);
	unit_messages_finish(&messages);
	set = NULL;
	messages = (struct unit_messages){0};
	return 0;
}

static const struct unit *get(const char *name)
{
	const struct unit *unit = unit_set_find(set, name);
	assert_non_null(unit);
	return unit;
}

/* "a b c": names without the suffix .service; "?" optional, "*" on demand. */
static const char *children(const char *name)
{
	static char text[1024];
	const struct unit_supervisor *supervisor = get(name)->supervisor;
	text[0] = '\0';
	for (uint32_t i = 0; i < supervisor->children_count; i++) {
		const struct unit *child = supervisor->children[i];
		size_t length = strlen(child->name);
		int stem = length > 8 && strcmp(child->name + length - 8, ".service") == 0
				   ? (int)length - 8
				   : (int)length;
		char one[300];
		snprintf(one, sizeof(one), "%s%.*s%s%s", i > 0 ? " " : "", stem, child->name,
			child->optional ? "?" : "", child->on_demand ? "*" : "");
		strcat(text, one);
	}
	return text;
}

static bool is_said(const char *text)
{
	for (uint32_t i = 0; i < messages.count; i++) {
		if (strstr(messages.list[i].text, text) != NULL) {
			return true;
		}
	}
	return false;
}

/* How much was said, but for what has no effect yet. */
static uint32_t said(void)
{
	uint32_t count = 0;
	for (uint32_t i = 0; i < messages.count; i++) {
		count += strstr(messages.list[i].text, " not honoured by this version") == NULL;
	}
	return count;
}

/* The set is in the order of the start, and found by its names. */
static void check_numbers(void)
{
	for (uint32_t i = 0; i < set->count; i++) {
		assert_int_equal(set->list[i]->index, i);
		assert_ptr_equal(unit_set_find(set, set->list[i]->name), set->list[i]);
		assert_true(i == 0 || set->list[i]->parent->index < i);
	}
}

static void test_target(void **state)
{
	static const char *const files[][2] = {
		{"/e/multi-user.target.wants/web.service", TEXTS_LINK "/s/web.service"},
		{"/s/multi-user.target", "[Unit]\nRequires=basic.target\nAfter=basic.target\n"},
		{"/s/basic.target", "[Unit]\nWants=sockets.target timers.target tmp.mount\n"},
		{"/s/sockets.target", "[Unit]\nDescription=Sockets\n"},
		{"/s/sockets.target.wants/bus.socket", ""},
		{"/s/sockets.target.wants/systemd-journald.socket", ""},
		{"/s/timers.target", "[Unit]\nDescription=Nothing comes into this one\n"},
		{"/s/multi-user.target.requires/must.service", ""},
		{"/s/multi-user.target.wants/gone.service", ""},
		{"/s/multi-user.target.wants/getty.target", ""},
		{"/s/multi-user.target.wants/one@a.service", ""},
		{"/s/bus.socket", "[Socket]\nListenStream=/run/bus\n"},
		{"/s/bus.service", EXEC},
		{"/s/getty.target", ""},
		{"/s/must.service", EXEC "Restart=on-failure\n"},
		{"/s/one@.service", EXEC "Type=oneshot\n"},
		{"/s/web.service", "[Unit]\nWants=db.service\nAfter=db.service\n" EXEC},
		{"/s/db.service", EXEC "Restart=always\n[Install]\nAlias=database.service\n"},
		{"/s/not-linked.service", EXEC "[Install]\nWantedBy=multi-user.target\n"},
		{NULL, NULL},
	};
	(void)state;
	load(files, "multi-user.target");
	check_numbers();
	assert_int_equal(set->list[0]->kind, UNIT_TARGET);
	assert_string_equal(children("multi-user.target"), "basic.target db? must one@a? web?");
	assert_string_equal(children("basic.target"), "sockets.target?");
	assert_string_equal(children("sockets.target"), "bus.socket? bus*");
	assert_int_equal(get("must")->restart, RESTART_TRANSIENT);
	assert_int_equal(get("web")->restart, RESTART_TEMPORARY);
	assert_int_equal(get("one@a")->restart, RESTART_TEMPORARY);
	assert_int_equal(get("db")->restart, RESTART_PERMANENT);
	assert_true(get("web")->kept);
	assert_ptr_equal(get("database.service"), get("db.service"));
	assert_null(unit_set_find(set, "not-linked"));
	assert_null(unit_set_find(set, "timers.target"));
	assert_true(get("multi-user.target")->supervisor->intensity >= 500);
	assert_true(is_said("wants gone.service, and there is no such unit"));
	assert_true(is_said("left out of targets"));
	assert_true(is_said("tmp.mount"));
	assert_true(is_said("getty.target"));
	assert_int_equal(said(), 2);
}

/* A package's link is there, but systemd, whose target it is, is not installed. */
static void test_target_of_links_alone(void **state)
{
	static const char *const files[][2] = {
		{"/e/root.supervisor", "[Supervisor]\nChildren=multi-user.target own\n"},
		{"/e/own.service", EXEC},
		{"/s/multi-user.target.wants/web.service", TEXTS_LINK "/l/web.service"},
		{"/l/web.service", EXEC},
		{NULL, NULL},
	};
	(void)state;
	load(files, "root.supervisor");
	assert_int_equal(said(), 0);
	assert_string_equal(children("root.supervisor"), "multi-user.target own");
	assert_string_equal(children("multi-user.target"), "web?");
}

static void test_one_parent(void **state)
{
	static const char *const files[][2] = {
		{"/e/root.supervisor", "[Supervisor]\nChildren=a.target b.target\n"},
		{"/e/a.target", "[Unit]\nWants=x.service y.service\n"},
		{"/e/b.target", "[Unit]\nWants=x.service z.service\nRequires=y.service\n"},
		{"/e/x.service", EXEC},
		{"/e/y.service", EXEC},
		{"/e/z.service", EXEC},
		{NULL, NULL},
	};
	(void)state;
	load(files, "root.supervisor");
	assert_string_equal(children("a.target"), "x? y?");
	assert_string_equal(children("b.target"), "z?");
	assert_int_equal(said(), 0);
}

static void test_alias(void **state)
{
	static const char *const files[][2] = {
		{"/e/root.supervisor", "[Supervisor]\nChildren=maria.service web.service\n"},
		{"/e/mysql.service", TEXTS_LINK "maria.service"},
		{"/e/db.service", TEXTS_LINK "/e/mysql.service"},
		{"/e/maria.service", EXEC},
		{"/e/web.service", "[Unit]\nAfter=db.service\nRequires=mysql.service\n" EXEC},
		{NULL, NULL},
	};
	static const char *const by_alias[][2] = {
		{"/e/root.supervisor", "[Supervisor]\nChildren=db.service\n"},
		{"/e/mysql.service", TEXTS_LINK "maria.service"},
		{"/e/db.service", TEXTS_LINK "/e/mysql.service"},
		{"/e/maria.service", EXEC},
		{NULL, NULL},
	};
	(void)state;
	load(files, "root.supervisor");
	assert_int_equal(said(), 0);
	assert_ptr_equal(get("db"), get("maria"));
	assert_int_equal(get("web")->peers_count, 2);
	assert_ptr_equal(get("web")->peers[0].unit, get("maria"));
	load(by_alias, "root.supervisor");
	assert_string_equal(children("root.supervisor"), "maria");
	assert_ptr_equal(get("db"), get("maria"));
}

/* A bundle gives the same answers about links. */
static void test_alias_from_a_bundle(void **state)
{
	static const char *const files[][2] = {
		{"/e/root.supervisor", "[Supervisor]\nChildren=db.service\n"},
		{"/e/db.service", TEXTS_LINK "/e/maria.service"},
		{"/e/maria.service", EXEC},
		{NULL, NULL},
	};
	struct unit_search search = {own_dirs, systemd_dirs, false};
	void *data;
	size_t size;
	(void)state;
	texts = (struct texts){files, 0, 0};
	source = texts_source(&texts);
	struct unit_bundle *bundle = unit_bundle_create(&source);
	set = unit_set_load(&search, unit_bundle_source(bundle), "root.supervisor", &messages);
	assert_string_equal(children("root.supervisor"), "maria");
	unit_set_destroy(set);
	assert_int_equal(unit_bundle_encode(bundle, &data, &size), 0);
	unit_bundle_destroy(bundle);
	bundle = unit_bundle_decode(data, size);
	free(data);
	assert_non_null(bundle);
	set = unit_set_load(&search, unit_bundle_source(bundle), "root.supervisor", &messages);
	assert_string_equal(children("root.supervisor"), "maria");
	unit_bundle_destroy(bundle);
}

static void test_order_of_targets(void **state)
{
	static const char *const files[][2] = {
		{"/e/root.supervisor", "[Supervisor]\nChildren=t.target\n"},
		{"/e/t.target", "[Unit]\nWants=a.service b.service c.service d.service q.target\n"},
		{"/e/a.service", "[Unit]\nAfter=d.service in-q.service\n" EXEC},
		{"/e/b.service", "[Unit]\nBefore=a.service\nAfter=nobody.service\n" EXEC},
		{"/e/c.service", EXEC},
		{"/e/d.service", "[Unit]\nAfter=c.service\n" EXEC},
		{"/e/q.target", "[Unit]\nWants=in-q.service\nAfter=c.service\n"},
		{"/e/in-q.service", EXEC},
		{NULL, NULL},
	};
	(void)state;
	load(files, "root.supervisor");
	check_numbers();
	assert_int_equal(said(), 0);
	assert_string_equal(children("t.target"), "b? c? q.target? d? a?");
}

/* Between branches a contradiction is a matter of taste: the units' own order comes first. */
static void test_order_of_branches(void **state)
{
	static const char *const files[][2] = {
		{"/e/root.supervisor", "[Supervisor]\nChildren=t.target\n"},
		{"/e/t.target", "[Unit]\nWants=p.target q.target\n"},
		{"/e/p.target", "[Unit]\nWants=a.service b.service\n"},
		{"/e/q.target", "[Unit]\nWants=c.service d.service\n"},
		{"/e/a.service", "[Unit]\nAfter=c.service\n" EXEC},
		{"/e/b.service", EXEC},
		{"/e/c.service", EXEC},
		{"/e/d.service", "[Unit]\nAfter=b.service\n" EXEC},
		{NULL, NULL},
	};
	(void)state;
	load(files, "root.supervisor");
	assert_string_equal(children("t.target"), "p.target? q.target?");
	assert_int_equal(said(), 1);
	assert_true(is_said("a.service is to start after c.service (/e/a.service:2), and t.target "
			    "starts p.target before q.target"));
}

static void test_on_demand(void **state)
{
	static const char *const files[][2] = {
		{"/e/root.supervisor", "[Supervisor]\nChildren=s.supervisor pool.supervisor\n"},
		{"/e/s.supervisor", "[Supervisor]\nChildren=a b\n"},
		{"/e/pool.supervisor", "[Supervisor]\nTemplate=w@.service\nChildren=w@1\n"},
		{"/e/w@.service", "[Unit]\nOnFailure=mourn@%i.service\n" EXEC},
		{"/e/a.service", "[Unit]\nOnFailure=tell@%n.service b.service\n"
				 "Upholds=helper.service\nAfter=helper.service\n" EXEC},
		{"/e/b.service", "[Unit]\nOnSuccess=next.service\n" EXEC},
		{"/e/tell@.service", "[Unit]\nOnFailure=last.service\n" EXEC},
		{"/e/mourn@.service", EXEC},
		{"/e/last.service", EXEC},
		{"/e/next.service", EXEC},
		{"/e/helper.service", EXEC},
		{NULL, NULL},
	};
	(void)state;
	load(files, "root.supervisor");
	check_numbers();
	assert_int_equal(said(), 0);
	assert_string_equal(children("s.supervisor"), "a b tell@a.service* helper* next* last*");
	assert_string_equal(children("root.supervisor"), "s.supervisor pool.supervisor mourn@1*");
	assert_false(get("b")->on_demand);
}

static void test_peers(void **state)
{
	static const char *const files[][2] = {
		{"/e/root.supervisor", "[Supervisor]\nChildren=a b c\n"},
		{"/e/a.service", EXEC},
		{"/e/b.service", "[Unit]\nBindsTo=a.service\nAfter=a.service\n" EXEC},
		{"/e/c.service", EXEC},
		{NULL, NULL},
	};
	(void)state;
	load(files, "root.supervisor");
	const struct unit *a = get("a"), *b = get("b");
	assert_int_equal(a->peers_count, 2);
	assert_int_equal(b->peers_count, 2);
	assert_int_equal(get("c")->peers_count, 0);
	for (uint32_t i = 0; i < 2; i++) {
		assert_ptr_equal(a->peers[i].unit, b);
		assert_false(a->peers[i].names);
		assert_ptr_equal(b->peers[i].unit, a);
		assert_true(b->peers[i].names);
		assert_int_equal(a->peers[i].relation, i == 0 ? UNIT_AFTER : UNIT_BINDS_TO);
	}
}

static void test_socket_before_its_service(void **state)
{
	static const char *const files[][2] = {
		{"/e/root.supervisor", "[Supervisor]\nChildren=t.target\n"},
		{"/e/t.target", "[Unit]\nWants=a.service a.socket\n"},
		{"/e/a.service", EXEC},
		{"/e/a.socket", "[Socket]\nListenStream=/run/a\n"},
		{NULL, NULL},
	};
	(void)state;
	load(files, "root.supervisor");
	assert_string_equal(children("t.target"), "a.socket? a?");
	assert_int_equal(said(), 0);
}

#define TEST(name) cmocka_unit_test_teardown(name, finish)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_target),
		TEST(test_target_of_links_alone),
		TEST(test_one_parent),
		TEST(test_alias),
		TEST(test_alias_from_a_bundle),
		TEST(test_order_of_targets),
		TEST(test_order_of_branches),
		TEST(test_on_demand),
		TEST(test_peers),
		TEST(test_socket_before_its_service),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
