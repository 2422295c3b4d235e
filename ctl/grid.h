/* SPDX-License-Identifier: Apache-2.0
 *
 * Text in columns: upper-case headers, columns as wide as their widest cell,
 * two blanks between. Pure: it writes to bytes. */
#ifndef CTL_GRID_H
#define CTL_GRID_H

#include "base/bytes.h"

#include <stdbool.h>
#include <stddef.h>

#define GRID_COLUMNS_MAX 24

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

struct grid_cell {
    size_t offset; /* Of its text, in `text`. */
    size_t len;
    size_t width; /* Characters, not bytes. */
    enum colour colour;
};

struct grid {
    struct bytes text;
    struct grid_cell *cells; /* Row after row; the first row is the header. */
    size_t cell_count;
    size_t cell_capacity;
    size_t column_count;
    bool right[GRID_COLUMNS_MAX]; /* Numbers stand at the right. */
    /* What is written, in that order; none: all columns. */
    size_t chosen[GRID_COLUMNS_MAX];
    size_t chosen_count;
};

void grid_init(struct grid *grid);
void grid_close(struct grid *grid);

/* All columns first; then cells, row by row. */
void grid_column(struct grid *grid, const char *header);
void grid_column_right(struct grid *grid, const char *header);

/* Control characters become `?`; an empty text becomes "-". */
void grid_cell(struct grid *grid, const char *text);
void grid_cell_colour(struct grid *grid, enum colour colour, const char *text);
void grid_cell_format(struct grid *grid, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Forgets the rows but keeps the header and, as least widths, the widths. */
void grid_next(struct grid *grid);

/* Appends header and rows. */
void grid_write(const struct grid *grid, bool header, bool colours,
                struct bytes *out);

#endif
