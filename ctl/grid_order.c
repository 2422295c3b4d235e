/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/grid_order.h"

#include "base/container.h"
#include "base/memory.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CELL_MAX 256

size_t grid_rows(const struct grid *grid)
{
    return grid->cell_count / grid->column_count - 1;
}

static char folded(char c)
{
    return c == '-' || c == '_' ? ' ' : (char)toupper((unsigned char)c);
}

static bool is_called(const struct grid *grid, size_t column, const char *name,
                      size_t len)
{
    const struct grid_cell *cell = &grid->cells[column];
    const char *text = (const char *)grid->text.data + cell->offset;

    if (cell->len != len) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        if (folded(text[i]) != folded(name[i])) {
            return false;
        }
    }
    return true;
}

bool grid_find(const struct grid *grid, const char *name, size_t len,
               size_t from, size_t *column)
{
    for (size_t i = 0; i < grid->column_count; i++) {
        size_t at = (from + i) % grid->column_count;

        if (is_called(grid, at, name, len)) {
            *column = at;
            return true;
        }
    }
    return false;
}

void grid_headers(const struct grid *grid, char *text, size_t size)
{
    size_t used = 0;

    text[0] = '\0';
    for (size_t i = 0; i < grid->column_count && used < size; i++) {
        const struct grid_cell *cell = &grid->cells[i];

        used += (size_t)snprintf(text + used, size - used, "%s%.*s",
                                 i > 0 ? ", " : "", (int)cell->len,
                                 (const char *)grid->text.data + cell->offset);
    }
}

/* "1.5 GiB", "2m30s", "4", "12 %". False: something else. */
static bool read_quantity(const char *text, double *value)
{
    static const struct {
        const char *name;
        double factor;
    } units[] = {
        {"KiB", 1024.0},
        {"MiB", 1048576.0},
        {"GiB", 1073741824.0},
        {"TiB", 1099511627776.0},
        {"PiB", 1125899906842624.0},
        {"ms", 0.001},
        {"s", 1.0},
        {"m", 60.0},
        {"h", 3600.0},
        {"d", 86400.0},
        {"%", 1.0},
    };

    *value = 0;
    if (!isdigit((unsigned char)text[0]) &&
        (strchr("+-", text[0]) == NULL || !isdigit((unsigned char)text[1]))) {
        return false;
    }
    while (text[0] != '\0') {
        char *end;
        double number = strtod(text, &end);
        double factor = end[0] == '\0' ? 1.0 : 0.0;

        if (end == text) {
            return false;
        }
        text = end + (end[0] == ' ');
        for (size_t i = 0; i < ARRAY_LEN(units) && factor == 0; i++) {
            size_t len = strlen(units[i].name);

            if (strncmp(text, units[i].name, len) == 0 &&
                !isalpha((unsigned char)text[len])) {
                factor = units[i].factor;
                text += len;
            }
        }
        if (factor == 0) {
            return false;
        }
        *value += number * factor;
    }
    return true;
}

int grid_compare(const char *a, const char *b)
{
    double left;
    double right;

    if (read_quantity(a, &left) && read_quantity(b, &right)) {
        return left < right ? -1 : left > right;
    }
    return strverscmp(a, b);
}

struct sorting {
    const struct grid *grid;
    size_t column;
    bool descending;
};

static const char *text_of(const struct sorting *sorting, size_t row,
                           char text[CELL_MAX])
{
    const struct grid *grid = sorting->grid;
    const struct grid_cell *cell =
        &grid->cells[(row + 1) * grid->column_count + sorting->column];
    size_t len = cell->len < CELL_MAX ? cell->len : CELL_MAX - 1;

    memcpy(text, grid->text.data + cell->offset, len);
    text[len] = '\0';
    return text;
}

static int compare_rows(const void *a, const void *b, void *context)
{
    const struct sorting *sorting = context;
    size_t left = *(const size_t *)a;
    size_t right = *(const size_t *)b;
    char texts[2][CELL_MAX];
    const char *one = text_of(sorting, left, texts[0]);
    const char *two = text_of(sorting, right, texts[1]);
    bool one_empty = strcmp(one, "-") == 0;
    bool two_empty = strcmp(two, "-") == 0;
    int order;

    if (one_empty != two_empty) {
        return one_empty ? 1 : -1;
    }
    order = grid_compare(one, two);
    if (order != 0) {
        return sorting->descending ? -order : order;
    }
    return left < right ? -1 : 1;
}

void grid_sort(struct grid *grid, size_t column, bool descending, size_t *order)
{
    struct sorting sorting = {
        .grid = grid, .column = column, .descending = descending};
    size_t rows = grid_rows(grid);
    size_t columns = grid->column_count;
    struct grid_cell *cells;

    if (rows == 0) {
        return;
    }
    for (size_t i = 0; i < rows; i++) {
        order[i] = i;
    }
    qsort_r(order, rows, sizeof(order[0]), compare_rows, &sorting);
    cells = memory_realloc_array(NULL, rows * columns, sizeof(*cells));
    for (size_t i = 0; i < rows; i++) {
        memcpy(cells + i * columns, grid->cells + (order[i] + 1) * columns,
               columns * sizeof(*cells));
    }
    memcpy(grid->cells + columns, cells, rows * columns * sizeof(*cells));
    free(cells);
}
