/* SPDX-License-Identifier: Apache-2.0
 *
 * Text in columns. */
#include "ctl/grid.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void assert_grid(const struct grid *grid, bool header, bool colours,
                        const char *expected)
{
    struct bytes out;

    bytes_init(&out);
    grid_write(grid, header, colours, &out);
    bytes_append_u8(&out, '\0');
    assert_string_equal((const char *)out.data, expected);
    bytes_close(&out);
}

static void fill(struct grid *grid)
{
    grid_init(grid);
    grid_column(grid, "NAME");
    grid_column_right(grid, "N");
    grid_column(grid, "STATE");
}

static void columns_are_as_wide_as_their_widest_cell(void **unused)
{
    struct grid grid;

    (void)unused;
    fill(&grid);
    grid_cell(&grid, "a");
    grid_cell_format(&grid, "%d", 100);
    grid_cell(&grid, "up");
    grid_cell(&grid, "gr\xc3\xbc\xc3\x9f"
                     "e-1");
    grid_cell(&grid, "7");
    grid_cell(&grid, "");
    assert_grid(&grid, true, false,
                "NAME       N  STATE\n"
                "a        100  up\n"
                "gr\xc3\xbc\xc3\x9f"
                "e-1    7  -\n");
    grid_close(&grid);
}

static void colours_do_not_disturb_the_columns(void **unused)
{
    struct grid grid;

    (void)unused;
    fill(&grid);
    grid_cell_colour(&grid, COLOUR_BAD, "a");
    grid_cell(&grid, "1");
    grid_cell_colour(&grid, COLOUR_GOOD, "up");
    assert_grid(&grid, false, true,
                "\x1b[31ma\x1b[0m     1  \x1b[32mup\x1b[0m\n");
    assert_grid(&grid, false, false, "a     1  up\n");
    grid_close(&grid);
}

static void a_cell_cannot_steer_the_terminal(void **unused)
{
    struct grid grid;

    (void)unused;
    fill(&grid);
    grid_cell(&grid, "\x1b[2J\n\x7f");
    grid_cell(&grid, "1");
    grid_cell(&grid, "x");
    assert_grid(&grid, false, false, "?[2J??  1  x\n");
    grid_close(&grid);
}

static void later_rows_keep_the_widths(void **unused)
{
    struct grid grid;

    (void)unused;
    fill(&grid);
    grid_cell(&grid, "a-long-name");
    grid_cell(&grid, "1");
    grid_cell(&grid, "x");
    for (int i = 0; i < 1000; i++) {
        grid_next(&grid);
        grid_cell(&grid, "b");
        grid_cell(&grid, "2");
        grid_cell(&grid, "y");
    }
    assert_grid(&grid, false, false, "b            2  y\n");
    assert_true(grid.text.len < 100);
    grid_close(&grid);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns_are_as_wide_as_their_widest_cell),
        cmocka_unit_test(colours_do_not_disturb_the_columns),
        cmocka_unit_test(a_cell_cannot_steer_the_terminal),
        cmocka_unit_test(later_rows_keep_the_widths),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
