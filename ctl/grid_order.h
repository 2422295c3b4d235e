/* SPDX-License-Identifier: Apache-2.0
 *
 * Which columns of a table are shown, and in which order its rows stand: what
 * --columns and --sort do. Pure. */
#ifndef CTL_GRID_ORDER_H
#define CTL_GRID_ORDER_H

#include "ctl/grid.h"

#include <stdbool.h>
#include <stddef.h>

/* The column of that header, without regard to case and with - or _ for a
 * blank; the first one from `from` on, else the first of all (several are
 * called OF). False: there is none. */
bool grid_find(const struct grid *grid, const char *name, size_t len,
               size_t from, size_t *column);

/* "NAME, STATE, ZONE" into `text`. */
void grid_headers(const struct grid *grid, char *text, size_t size);

/* Puts the rows in order of a column: sizes, times and numbers by what they
 * mean, texts as people count (web-2 before web-10), "-" always last; equal
 * ones stay as they were. `order` has room for all rows: row i was row
 * order[i]. */
void grid_sort(struct grid *grid, size_t column, bool descending,
               size_t *order);

/* Number of rows below the header. */
size_t grid_rows(const struct grid *grid);

/* Two cells' texts as grid_sort() compares them. */
int grid_compare(const char *a, const char *b);

#endif
