/*
 * The types of a method's parameters, checked against the interface definition itself, so that no
 * handler sees a number where a text was asked for. Reads the definition at each call: there is no
 * table to be kept in step with it.
 *
 * What it never does: check the inside of the interface's own types (structs, enums).
 */
#ifndef CONTROL_TYPES_H
#define CONTROL_TYPES_H

#include <jansson.h>
#include <stddef.h>

/* The first parameter of `method` ("Start") that is of a wrong type, missing or not known, copied
 * into `out`, which is returned; NULL when all are well or the definition has no such method. */
const char *types_find_wrong(const char *definition, const char *method, const json_t *parameters,
	char *out, size_t size);

#endif
