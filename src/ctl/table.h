/*
 * Columns for people: as wide as what stands in them, the first one giving way where a terminal is
 * narrow, the last one cut.
 */
#ifndef CTL_TABLE_H
#define CTL_TABLE_H

#include "ctl/ctl.h"

#define TABLE_COLUMNS_MAX 8

struct table_row {
	char *cells[TABLE_COLUMNS_MAX];
	enum ctl_colour colour; /* of the coloured column */
};

struct table {
	unsigned columns;
	const char *titles[TABLE_COLUMNS_MAX];
	bool right[TABLE_COLUMNS_MAX]; /* numbers */
	unsigned coloured;             /* the column of the state */
	struct table_row *rows;
	size_t rows_count;
};

/* A new row; the caller fills its cells with texts that the table frees. */
struct table_row *table_add(struct table *table);
/* Prints and empties it. Titles are printed on a terminal only. */
void table_print(struct ctl *ctl, struct table *table);

#endif
