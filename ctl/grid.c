/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/grid.h"

#include "base/check.h"
#include "base/container.h"
#include "base/memory.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *colour_escape(enum colour colour)
{
    static const char *const escapes[] = {"\x1b[0m", "\x1b[32m", "\x1b[33m",
                                          "\x1b[31m", "\x1b[90m"};

    CHECK((size_t)colour < ARRAY_LEN(escapes));
    return escapes[colour];
}

void grid_init(struct grid *grid)
{
    *grid = (struct grid){.cells = NULL};
    bytes_init(&grid->text);
}

void grid_close(struct grid *grid)
{
    bytes_close(&grid->text);
    free(grid->cells);
}

/* Code points; what joins or is twice as wide is rare in our names. */
static size_t width_of(const char *text, size_t len)
{
    size_t width = 0;

    for (size_t i = 0; i < len; i++) {
        width += ((unsigned char)text[i] & 0xc0) != 0x80;
    }
    return width;
}

static void add(struct grid *grid, enum colour colour, const char *text)
{
    struct grid_cell *cell;
    size_t len = strlen(text);
    uint8_t *copy;

    if (grid->cell_count == grid->cell_capacity) {
        size_t capacity = grid->cell_capacity == 0
                              ? 4 * (size_t)GRID_COLUMNS_MAX
                              : grid->cell_capacity * 2;

        grid->cells =
            memory_realloc_array(grid->cells, capacity, sizeof(*grid->cells));
        grid->cell_capacity = capacity;
    }
    copy = bytes_reserve(&grid->text, len);
    for (size_t i = 0; i < len; i++) {
        uint8_t c = (uint8_t)text[i];

        copy[i] = c < 0x20 || c == 0x7f ? '?' : c;
    }
    cell = &grid->cells[grid->cell_count++];
    cell->offset = grid->text.len;
    cell->len = len;
    cell->width = width_of(text, len);
    cell->colour = colour;
    grid->text.len += len;
}

void grid_column(struct grid *grid, const char *header)
{
    CHECK(grid->column_count < GRID_COLUMNS_MAX);
    CHECK(grid->cell_count == grid->column_count);
    grid->column_count++;
    add(grid, COLOUR_NONE, header);
}

void grid_column_right(struct grid *grid, const char *header)
{
    grid_column(grid, header);
    grid->right[grid->column_count - 1] = true;
}

void grid_cell(struct grid *grid, const char *text)
{
    grid_cell_colour(grid, COLOUR_NONE, text);
}

void grid_cell_colour(struct grid *grid, enum colour colour, const char *text)
{
    CHECK(grid->column_count > 0);
    add(grid, colour, text[0] == '\0' ? "-" : text);
}

void grid_cell_format(struct grid *grid, const char *format, ...)
{
    char text[512];
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    grid_cell(grid, text);
}

static size_t column_width(const struct grid *grid, size_t column)
{
    size_t width = 0;

    for (size_t i = column; i < grid->cell_count; i += grid->column_count) {
        if (grid->cells[i].width > width) {
            width = grid->cells[i].width;
        }
    }
    return width;
}

void grid_next(struct grid *grid)
{
    for (size_t i = 0; i < grid->column_count; i++) {
        grid->cells[i].width = column_width(grid, i);
    }
    grid->cell_count = grid->column_count;
    if (grid->column_count > 0) {
        const struct grid_cell *last = &grid->cells[grid->column_count - 1];

        grid->text.len = last->offset + last->len;
    }
}

static void put_blanks(struct bytes *out, size_t count)
{
    memset(bytes_reserve(out, count + 1), ' ', count);
    out->len += count;
}

static void write_cell(const struct grid *grid, const struct grid_cell *cell,
                       bool colours, struct bytes *out)
{
    bool coloured = colours && cell->colour != COLOUR_NONE;
    const char *escape = colour_escape(cell->colour);

    if (coloured) {
        bytes_append(out, escape, strlen(escape));
    }
    if (cell->len > 0) {
        bytes_append(out, grid->text.data + cell->offset, cell->len);
    }
    if (coloured) {
        escape = colour_escape(COLOUR_NONE);
        bytes_append(out, escape, strlen(escape));
    }
}

static void write_row(const struct grid *grid, size_t first,
                      const size_t *widths, bool colours, struct bytes *out)
{
    size_t count =
        grid->chosen_count > 0 ? grid->chosen_count : grid->column_count;

    for (size_t k = 0; k < count; k++) {
        size_t i = grid->chosen_count > 0 ? grid->chosen[k] : k;
        const struct grid_cell *cell = &grid->cells[first + i];
        const char *text = (const char *)grid->text.data + cell->offset;
        size_t pad = widths[i] - width_of(text, cell->len);

        if (grid->right[i]) {
            put_blanks(out, pad);
        }
        write_cell(grid, cell, colours, out);
        if (k + 1 < count) {
            put_blanks(out, (grid->right[i] ? 0 : pad) + 2);
        }
    }
    bytes_append_u8(out, '\n');
}

void grid_write(const struct grid *grid, bool header, bool colours,
                struct bytes *out)
{
    size_t widths[GRID_COLUMNS_MAX];

    CHECK(grid->column_count > 0);
    CHECK(grid->cell_count % grid->column_count == 0);
    for (size_t i = 0; i < grid->column_count; i++) {
        widths[i] = column_width(grid, i);
    }
    for (size_t first = header ? 0 : grid->column_count;
         first < grid->cell_count; first += grid->column_count) {
        write_row(grid, first, widths, colours, out);
    }
}
