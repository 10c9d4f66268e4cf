/* org.varlink.service (https://varlink.org/Service-Interface): what every Varlink service tells of
 * itself, and the standard errors. */
#include "control/connection.h"

#include <string.h>

static const char service_name[] = "org.varlink.service";

static const char service_text[] =
	"# What a Varlink service tells of itself.\n"
	"interface org.varlink.service\n"
	"\n"
	"# Who serves here, and which interfaces.\n"
	"method GetInfo() -> (\n"
	"  vendor: string,\n"
	"  product: string,\n"
	"  version: string,\n"
	"  url: string,\n"
	"  interfaces: []string\n"
	")\n"
	"\n"
	"# The definition of one of them.\n"
	"method GetInterfaceDescription(interface: string) -> (description: string)\n"
	"\n"
	"error InterfaceNotFound (interface: string)\n"
	"error MethodNotFound (method: string)\n"
	"error MethodNotImplemented (method: string)\n"
	"error InvalidParameter (parameter: string)\n"
	"error PermissionDenied ()\n"
	"error ExpectedMore ()\n";

static void answer_info(struct control_call *call)
{
	const struct control_config *config = &call->connection->server->config;

	control_reply(
		call, json_pack("{s:s,s:s,s:s,s:s,s:[s,s]}", "vendor", config->vendor, "product",
			      config->product, "version", config->version, "url", config->url,
			      "interfaces", service_name, config->interface_name));
}

static void answer_description(struct control_call *call, const json_t *parameters)
{
	const struct control_config *config = &call->connection->server->config;
	const char *name = json_string_value(json_object_get(parameters, "interface"));
	const char *text = NULL;

	if (name == NULL) {
		control_reply_error(call, "org.varlink.service.InvalidParameter",
			json_pack("{s:s}", "parameter", "interface"));
		return;
	}
	if (strcmp(name, service_name) == 0) {
		text = service_text;
	} else if (strcmp(name, config->interface_name) == 0) {
		text = config->interface_text;
	}
	if (text == NULL) {
		control_reply_error(call, "org.varlink.service.InterfaceNotFound",
			json_pack("{s:s}", "interface", name));
	} else {
		control_reply(call, json_pack("{s:s}", "description", text));
	}
}

bool introspection_answer(struct control_call *call, const char *method, const json_t *parameters)
{
	if (strcmp(method, "org.varlink.service.GetInfo") == 0) {
		answer_info(call);
		return true;
	}
	if (strcmp(method, "org.varlink.service.GetInterfaceDescription") == 0) {
		answer_description(call, parameters);
		return true;
	}
	return false;
}

static bool method_is_of(const char *method, size_t length, const char *interface)
{
	return strlen(interface) == length && strncmp(method, interface, length) == 0;
}

void introspection_refuse_unknown(struct control_call *call, const char *method)
{
	const char *dot = strrchr(method, '.');
	size_t length = dot != NULL ? (size_t)(dot - method) : 0;

	if (method_is_of(method, length, service_name) ||
		method_is_of(method, length, call->connection->server->config.interface_name)) {
		control_reply_error(call, "org.varlink.service.MethodNotFound",
			json_pack("{s:s}", "method", method));
	} else {
		control_reply_error(call, "org.varlink.service.InterfaceNotFound",
			json_pack("{s:s%}", "interface", method, length));
	}
}
