/* SPDX-License-Identifier: Apache-2.0
 *
 * Lists in order, columns by name, label selectors, short words. */
#include "base/container.h"
#include "ctl/arguments.h"
#include "ctl/command.h"
#include "ctl/grid_order.h"
#include "ctl/selector.h"
#include "holdfast/v1/resources.pb-c.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void cells_are_compared_by_what_they_mean(void **unused)
{
    static const char *const rising[][2] = {
        {"512 MiB", "1.5 GiB"},
        {"9", "10"},
        {"web-2", "web-10"},
        {"59s", "2m30s"},
        {"2m30s", "1h"},
        {"0.5", "2"},
        {"-4", "1"},
        {"9 %", "12 %"},
        {"23h", "1d"},
        {"500ms", "1s"},
        {"1/2", "2/2"},
        {"a", "b"},
        {"900 GiB", "1.5 TiB"},
        {"1d2h", "1d20h30m"},
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(rising); i++) {
        assert_true(grid_compare(rising[i][0], rising[i][1]) < 0);
        assert_true(grid_compare(rising[i][1], rising[i][0]) > 0);
        assert_int_equal(grid_compare(rising[i][0], rising[i][0]), 0);
    }
}

static void fill(struct grid *grid)
{
    static const char *const rows[][3] = {{"a", "-", "2 GiB"},
                                          {"b", "1", "512 MiB"},
                                          {"c", "1", "-"},
                                          {"d", "0", "3 GiB"}};

    grid_init(grid);
    grid_column(grid, "NAME");
    grid_column_right(grid, "HOSTS UP");
    grid_column_right(grid, "OF");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        for (size_t k = 0; k < 3; k++) {
            grid_cell(grid, rows[i][k]);
        }
    }
}

static void rows_are_sorted_and_what_is_empty_stands_last(void **unused)
{
    static const struct {
        size_t column;
        bool descending;
        const char *names;
    } cases[] = {{0, true, "dcba"},
                 {1, false, "dbca"},
                 {1, true, "bcda"},
                 {2, false, "badc"},
                 {2, true, "dabc"}};

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct grid grid;
        size_t order[4];

        fill(&grid);
        assert_int_equal(grid_rows(&grid), 4);
        grid_sort(&grid, cases[i].column, cases[i].descending, order);
        for (size_t k = 0; k < 4; k++) {
            const struct grid_cell *cell = &grid.cells[3 * (k + 1)];

            assert_int_equal(grid.text.data[cell->offset], cases[i].names[k]);
            assert_int_equal(order[k], cases[i].names[k] - 'a');
        }
        grid_close(&grid);
    }
}

static void columns_are_found_by_name_and_written_as_chosen(void **unused)
{
    struct bytes out;
    struct grid grid;
    size_t column;

    (void)unused;
    bytes_init(&out);
    fill(&grid);
    assert_true(grid_find(&grid, "hosts-up", 8, 0, &column));
    assert_int_equal(column, 1);
    assert_true(grid_find(&grid, "of", 2, 2, &column));
    assert_int_equal(column, 2);
    assert_true(grid_find(&grid, "Name", 4, 1, &column));
    assert_int_equal(column, 0);
    assert_false(grid_find(&grid, "nam", 3, 0, &column));
    grid.chosen[0] = 2;
    grid.chosen[1] = 0;
    grid.chosen_count = 2;
    grid_write(&grid, true, false, &out);
    bytes_append_u8(&out, '\0');
    assert_string_equal((const char *)out.data, "     OF  NAME\n"
                                                "  2 GiB  a\n"
                                                "512 MiB  b\n"
                                                "      -  c\n"
                                                "  3 GiB  d\n");
    grid_close(&grid);
    bytes_close(&out);
}

static void a_selector_holds_when_all_its_parts_do(void **unused)
{
    static const struct {
        const char *selector;
        bool holds;
    } rows[] = {
        {"", true},         {"tier=web", true},       {"tier=db", false},
        {"tier!=db", true}, {"tier!=web", false},     {"rack!=7", true},
        {"rack=7", false},  {"tier", true},           {"rack", false},
        {"!rack", true},    {"!tier", false},         {"empty=", true},
        {"empty!=", false}, {"tier=web,!rack", true}, {"tier=web,rack", false},
        {"tie=web", false}, {"tier=we", false},       {"tier=webs", false},
    };
    char names[][8] = {"tier", "web", "empty", ""};
    Holdfast__V1__Vm__LabelsEntry entries[2];
    Holdfast__V1__Vm__LabelsEntry *labels[2] = {&entries[0], &entries[1]};
    Holdfast__V1__Vm vm;
    char text[64];

    (void)unused;
    holdfast__v1__vm__init(&vm);
    for (size_t i = 0; i < 2; i++) {
        holdfast__v1__vm__labels_entry__init(&entries[i]);
        entries[i].key = names[2 * i];
        entries[i].value = names[2 * i + 1];
    }
    vm.labels = labels;
    vm.n_labels = 2;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_int_equal(selector_matches(rows[i].selector, &vm.base),
                         rows[i].holds);
    }
    assert_true(selector_matches(NULL, &vm.base));
    selector_equal_part("a=b,c!=d,!e,f,g=", text);
    assert_string_equal(text, "a=b,g=");
    assert_null(selector_check("a=b,c!=d,!e,f"));
    assert_string_equal(selector_check("a=b,=c"), "=c");
    assert_string_equal(selector_check("a=b,"), "");
    assert_string_equal(selector_check("!"), "!");
    assert_non_null(selector_check("!=a"));
}

static void assert_read(const char *one, const char *two, const char *three,
                        const char *verb, const char *error)
{
    static struct arguments arguments;
    char words[4][32] = {"holdfast"};
    char *argv[] = {words[0], words[1], words[2], words[3], NULL};
    int argc = 1;

    for (const char *const *word = (const char *const[]){one, two, three, NULL};
         *word != NULL; word++) {
        strncpy(words[argc++], *word, 31);
    }
    argv[argc] = NULL;
    if (arguments_read(&arguments, argc, argv)) {
        assert_non_null(verb);
        assert_non_null(arguments.command);
        assert_string_equal(arguments.command->verb, verb);
    } else {
        assert_null(verb);
        assert_string_equal(arguments.error, error);
    }
}

static void words_may_be_short_when_they_mean_one_thing(void **unused)
{
    (void)unused;
    assert_read("v", "sh", "a", NULL,
                "`v` is the beginning of several: vm, version");
    assert_read("vm", "sh", "a", "show", NULL);
    assert_read("clu", "stat", NULL, "status", NULL);
    assert_read("clu", "se", "g", "settings get", NULL);
    assert_read("vm", "st", "a", NULL,
                "`st` is the beginning of several: start, stop");
    /* "list" is whole, however many words begin so. */
    assert_read("host", "list", NULL, "list", NULL);
    assert_read("vm", "del", "a", NULL,
                "`del` is short for `delete`, which is to be written in full");
    assert_read("vm", "delete", "a", "delete", NULL);
    assert_read("vn", "list", NULL, NULL,
                "unknown command `vn`; did you mean `vm`?");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cells_are_compared_by_what_they_mean),
        cmocka_unit_test(rows_are_sorted_and_what_is_empty_stands_last),
        cmocka_unit_test(columns_are_found_by_name_and_written_as_chosen),
        cmocka_unit_test(a_selector_holds_when_all_its_parts_do),
        cmocka_unit_test(words_may_be_short_when_they_mean_one_thing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
