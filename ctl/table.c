/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/table.h"

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

void table_init(struct table *table)
{
    *table = (struct table){.cells = NULL};
    bytes_init(&table->text);
}

void table_close(struct table *table)
{
    bytes_close(&table->text);
    free(table->cells);
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

static void add(struct table *table, enum colour colour, const char *text)
{
    struct table_cell *cell;
    size_t len = strlen(text);
    uint8_t *copy;

    if (table->cell_count == table->cell_capacity) {
        size_t capacity = table->cell_capacity == 0
                              ? 4 * (size_t)TABLE_COLUMNS_MAX
                              : table->cell_capacity * 2;

        table->cells =
            memory_realloc_array(table->cells, capacity, sizeof(*table->cells));
        table->cell_capacity = capacity;
    }
    copy = bytes_reserve(&table->text, len);
    for (size_t i = 0; i < len; i++) {
        uint8_t c = (uint8_t)text[i];

        copy[i] = c < 0x20 || c == 0x7f ? '?' : c;
    }
    cell = &table->cells[table->cell_count++];
    cell->offset = table->text.len;
    cell->len = len;
    cell->width = width_of(text, len);
    cell->colour = colour;
    table->text.len += len;
}

void table_column(struct table *table, const char *header)
{
    CHECK(table->column_count < TABLE_COLUMNS_MAX);
    CHECK(table->cell_count == table->column_count);
    table->column_count++;
    add(table, COLOUR_NONE, header);
}

void table_column_right(struct table *table, const char *header)
{
    table_column(table, header);
    table->right[table->column_count - 1] = true;
}

void table_cell(struct table *table, const char *text)
{
    table_cell_colour(table, COLOUR_NONE, text);
}

void table_cell_colour(struct table *table, enum colour colour,
                       const char *text)
{
    CHECK(table->column_count > 0);
    add(table, colour, text[0] == '\0' ? "-" : text);
}

void table_cell_format(struct table *table, const char *format, ...)
{
    char text[512];
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    table_cell(table, text);
}

static size_t column_width(const struct table *table, size_t column)
{
    size_t width = 0;

    for (size_t i = column; i < table->cell_count; i += table->column_count) {
        if (table->cells[i].width > width) {
            width = table->cells[i].width;
        }
    }
    return width;
}

void table_next(struct table *table)
{
    for (size_t i = 0; i < table->column_count; i++) {
        table->cells[i].width = column_width(table, i);
    }
    table->cell_count = table->column_count;
    if (table->column_count > 0) {
        const struct table_cell *last = &table->cells[table->column_count - 1];

        table->text.len = last->offset + last->len;
    }
}

static void put_blanks(struct bytes *out, size_t count)
{
    memset(bytes_reserve(out, count + 1), ' ', count);
    out->len += count;
}

static void write_cell(const struct table *table, const struct table_cell *cell,
                       bool colours, struct bytes *out)
{
    bool coloured = colours && cell->colour != COLOUR_NONE;
    const char *escape = colour_escape(cell->colour);

    if (coloured) {
        bytes_append(out, escape, strlen(escape));
    }
    if (cell->len > 0) {
        bytes_append(out, table->text.data + cell->offset, cell->len);
    }
    if (coloured) {
        escape = colour_escape(COLOUR_NONE);
        bytes_append(out, escape, strlen(escape));
    }
}

static void write_row(const struct table *table, size_t first,
                      const size_t *widths, bool colours, struct bytes *out)
{
    for (size_t i = 0; i < table->column_count; i++) {
        const struct table_cell *cell = &table->cells[first + i];
        const char *text = (const char *)table->text.data + cell->offset;
        size_t pad = widths[i] - width_of(text, cell->len);

        if (table->right[i]) {
            put_blanks(out, pad);
        }
        write_cell(table, cell, colours, out);
        if (i + 1 < table->column_count) {
            put_blanks(out, (table->right[i] ? 0 : pad) + 2);
        }
    }
    bytes_append_u8(out, '\n');
}

void table_write(const struct table *table, bool header, bool colours,
                 struct bytes *out)
{
    size_t widths[TABLE_COLUMNS_MAX];

    CHECK(table->column_count > 0);
    CHECK(table->cell_count % table->column_count == 0);
    for (size_t i = 0; i < table->column_count; i++) {
        widths[i] = column_width(table, i);
    }
    for (size_t first = header ? 0 : table->column_count;
         first < table->cell_count; first += table->column_count) {
        write_row(table, first, widths, colours, out);
    }
}
