/*
 * The tree that a list of units makes, by their parents. Units keep the order of the list.
 */
#ifndef CTL_FOREST_H
#define CTL_FOREST_H

#include "ctl/ctl.h"

#define FOREST_COLLAPSE 8 /* a supervisor with more children is shown in short, if asked */

/* Prints it with lines, states, pids, times; in short: of many healthy children only their number.
 */
void forest_print(struct ctl *ctl, const json_t *units, bool in_short);
/* The same as nested objects: every unit with "children". A new array of the roots. */
json_t *forest_json(const json_t *units);

#endif
