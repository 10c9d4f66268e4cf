#include "ctl/table.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

#define FIRST_MIN 16 /* columns that are left to the first one */
#define LAST_MIN  12

struct table_row *table_add(struct table *table)
{
	table->rows = ctl_grow(table->rows, table->rows_count, sizeof(*table->rows));
	table->rows[table->rows_count] = (struct table_row){0};
	return &table->rows[table->rows_count++];
}

static void table_measure(const struct ctl *ctl, const struct table *table, unsigned *widths)
{
	unsigned total = 2 * (table->columns - 1), over, give;
	unsigned last = table->columns - 1;

	for (unsigned c = 0; c < table->columns; c++) {
		widths[c] = ctl->terminal ? ctl_text_width(table->titles[c]) : 1;
		for (size_t r = 0; r < table->rows_count; r++) {
			unsigned width = ctl_text_width(table->rows[r].cells[c]);

			widths[c] = width > widths[c] ? width : widths[c];
		}
		total += widths[c];
	}
	if (ctl->width == 0 || total <= ctl->width) {
		return;
	}
	/* The last column gives first, then the name, then columns are left out from the right. */
	over = total - ctl->width;
	give = widths[last] > LAST_MIN ? widths[last] - LAST_MIN : 0;
	give = give > over ? over : give;
	widths[last] -= give;
	over -= give;
	give = widths[0] > FIRST_MIN ? widths[0] - FIRST_MIN : 0;
	give = give > over ? over : give;
	widths[0] -= give;
	over -= give;
	for (unsigned c = last; c > 1 && over > 0; c--) {
		over -= over > widths[c] + 2 ? widths[c] + 2 : over;
		widths[c] = 0;
	}
}

static void table_print_row(struct ctl *ctl, const struct table *table, const unsigned *widths,
	const char *const *cells, enum ctl_colour colour, bool title)
{
	unsigned last = table->columns - 1;

	while (last > 0 && (cells[last][0] == '\0' || widths[last] == 0)) {
		last--;
	}
	for (unsigned c = 0; c <= last; c++) {
		bool coloured = title || c == table->coloured;

		if (coloured) {
			(void)fputs(ctl_colour(ctl, colour), ctl->out);
		}
		ctl_put_cell(ctl, cells[c], widths[c], table->right[c], c < last);
		if (coloured) {
			(void)fputs(ctl_colour(ctl, COLOUR_NONE), ctl->out);
		}
		if (c < last) {
			(void)fputs("  ", ctl->out);
		}
	}
	(void)fputc('\n', ctl->out);
}

void table_print(struct ctl *ctl, struct table *table)
{
	unsigned widths[TABLE_COLUMNS_MAX] = {0};

	CHECK(table->columns > 1 && table->columns <= TABLE_COLUMNS_MAX);
	table_measure(ctl, table, widths);
	if (ctl->terminal) {
		table_print_row(ctl, table, widths, table->titles, COLOUR_BOLD, true);
	}
	for (size_t r = 0; r < table->rows_count; r++) {
		struct table_row *row = &table->rows[r];

		table_print_row(
			ctl, table, widths, (const char *const *)row->cells, row->colour, false);
		for (unsigned c = 0; c < table->columns; c++) {
			free(row->cells[c]);
		}
	}
	free(table->rows);
	table->rows = NULL;
	table->rows_count = 0;
}
