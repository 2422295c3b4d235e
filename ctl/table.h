/* SPDX-License-Identifier: Apache-2.0
 *
 * Text in columns: upper-case headers, columns as wide as their widest cell,
 * two blanks between. Pure: it writes to bytes. */
#ifndef CTL_TABLE_H
#define CTL_TABLE_H

#include "base/bytes.h"

#include <stdbool.h>
#include <stddef.h>

#define TABLE_COLUMNS_MAX 24

/* Few colours, each with one meaning. */
enum colour {
    COLOUR_NONE,
    COLOUR_GOOD, /* green: as wished */
    COLOUR_WAIT, /* yellow: on its way, or needs a look */
    COLOUR_BAD,  /* red: lost */
    COLOUR_DIM   /* grey: off on purpose */
};

/* The escape sequence that switches it on; that of COLOUR_NONE switches off. */
const char *colour_escape(enum colour colour);

struct table_cell {
    size_t offset; /* Of its text, in `text`. */
    size_t len;
    size_t width; /* Characters, not bytes. */
    enum colour colour;
};

struct table {
    struct bytes text;
    struct table_cell *cells; /* Row after row; the first row is the header. */
    size_t cell_count;
    size_t cell_capacity;
    size_t column_count;
    bool right[TABLE_COLUMNS_MAX]; /* Numbers stand at the right. */
};

void table_init(struct table *table);
void table_close(struct table *table);

/* All columns first; then cells, row by row. */
void table_column(struct table *table, const char *header);
void table_column_right(struct table *table, const char *header);

/* Control characters become `?`; an empty text becomes "-". */
void table_cell(struct table *table, const char *text);
void table_cell_colour(struct table *table, enum colour colour,
                       const char *text);
void table_cell_format(struct table *table, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Forgets the rows but keeps the header and, as least widths, the widths. */
void table_next(struct table *table);

/* Appends header and rows. */
void table_write(const struct table *table, bool header, bool colours,
                 struct bytes *out);

#endif
