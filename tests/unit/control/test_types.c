/* Parameters against a definition. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "control/types.h"

static const char definition[] =
	"# method Comment(a: int) -> ()\n"
	"interface org.example\n"
	"type Struct (method: int, Plain: (Plain: string, deep: (x: int)))\n"
	"method Plain(text: string, number: int, yes: bool, part: float) -> (text: int)\n"
	"# two lines\n"
	"method Loose(text: ?string, # a remark, a: int\n"
	"  list: ?[]string, map: ?[string]int, own: ?Struct,\n"
	"  inner: ?(a: int, b: (c: string)), last: ?int) -> (reply: string)\n"
	"method None() -> ()\n"
	"error Plain2 (text: string)\n";

static const struct {
	const char *method, *parameters, *wrong;
} cases[] = {
	{"Plain", "{'text':'a','number':1,'yes':true,'part':1.5}", NULL},
	{"Plain", "{'text':'a','number':1,'yes':false,'part':1}", NULL},
	{"Plain", "{}", "text"},
	{"Plain", "{'text':1,'number':1,'yes':true,'part':1.5}", "text"},
	{"Plain", "{'text':null,'number':1,'yes':true,'part':1.5}", "text"},
	{"Plain", "{'text':'a','number':'1','yes':true,'part':1.5}", "number"},
	{"Plain", "{'text':'a','number':1.5,'yes':true,'part':1.5}", "number"},
	{"Plain", "{'text':'a','number':1,'yes':1,'part':1.5}", "yes"},
	{"Plain", "{'text':'a','number':1,'yes':true,'part':'x'}", "part"},
	{"Plain", "{'text':'a','number':1,'yes':true,'part':1,'more':1}", "more"},
	{"Loose", "{}", NULL},
	{"Loose", "{'text':null,'list':null,'map':null,'own':null,'last':null}", NULL},
	{"Loose", "{'list':[],'map':{}}", NULL},
	{"Loose", "{'list':['a','b'],'map':{'x':1}}", NULL},
	{"Loose", "{'list':'a'}", "list"},
	{"Loose", "{'list':{}}", "list"},
	{"Loose", "{'list':['a',1]}", "list"},
	{"Loose", "{'list':[null]}", "list"},
	{"Loose", "{'map':[]}", "map"},
	{"Loose", "{'map':{'x':'1'}}", "map"},
	{"Loose", "{'own':{'anything':1},'inner':{}}", NULL},
	{"Loose", "{'last':'x'}", "last"},
	{"Loose", "{'a':1}", "a"},
	{"Loose", "{'reply':'x'}", "reply"},
	{"None", "{}", NULL},
	{"None", "{'x':1}", "x"},
	{"Unknown", "{'x':1}", NULL},
};

static void test_cases(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char text[256], wrong[64];
		json_t *parameters;
		const char *found;

		strcpy(text, cases[i].parameters);
		for (char *at = text; *at != '\0'; at++) {
			*at = *at == '\'' ? '"' : *at;
		}
		parameters = json_loads(text, 0, NULL);
		assert_non_null(parameters);
		found = types_find_wrong(
			definition, cases[i].method, parameters, wrong, sizeof(wrong));
		if ((found == NULL) != (cases[i].wrong == NULL) ||
			(found != NULL && strcmp(found, cases[i].wrong) != 0)) {
			fail_msg("%s %s: %s", cases[i].method, text, found);
		}
		json_decref(parameters);
	}
}

/* A definition that breaks off is read to its end and no farther. */
static void test_broken_definitions(void **state)
{
	json_t *parameters = json_pack("{s:i}", "x", 1);
	char text[sizeof(definition)], wrong[64];

	(void)state;
	for (size_t length = 0; length < sizeof(definition); length++) {
		memcpy(text, definition, length);
		text[length] = '\0';
		(void)types_find_wrong(text, "Loose", parameters, wrong, sizeof(wrong));
		(void)types_find_wrong(text, "Plain", parameters, wrong, sizeof(wrong));
	}
	json_decref(parameters);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_broken_definitions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
