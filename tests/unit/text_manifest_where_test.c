/* SPDX-License-Identifier: Apache-2.0
 *
 * From a path that the region names to the line of a file. */
#include "base/container.h"
#include "proto/manifest_where.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static const char first[] = "settings:\n"          /* 1 */
                            "  lease_wait_ms: 1\n" /* 2 */
                            "vms:\n"               /* 3 */
                            "- name: a\n"          /* 4 */
                            "- {name: b, template: {disks: [{pool: p},\n"
                            "   {pool: q}]}}\n" /* 6 */
                            "---\n"             /* 7 */
                            "zones: [{name: z1}, {name: z2}]\n"
                            "vms:\n"          /* 9 */
                            "- name: c\n"     /* 10 */
                            "  labels:\n"     /* 11 */
                            "    vms: text\n" /* 12 */
                            "  zone: z1\n";   /* 13 */

static void every_path_has_its_line(void **unused)
{
    static const struct {
        const char *path;
        unsigned line;
    } rows[] = {
        {"settings", 1},
        {"settings.lease_wait_ms", 2},
        {"settings.other", 1},
        {"zones[1].name", 8},
        {"vms[0]", 4},
        {"vms[0].name", 4},
        {"vms[1].template.disks[1].pool", 6},
        {"vms[1].template.disks[7].pool", 5},
        {"vms[2].zone", 13},
        {"vms[2].labels", 11},
        {"vms[2].template", 10},
    };
    const struct text_source source = {"first.yaml", first, strlen(first)};

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        size_t skipped = 0;
        unsigned line;

        assert_true(manifest_where(&source, rows[i].path, &skipped, &line));
        assert_int_equal(line, rows[i].line);
    }
}

static void lists_go_on_in_the_next_text(void **unused)
{
    static const char second[] = "{\"vms\": [{\"name\": \"d\"},\n"
                                 "{\"name\": \"e\"}]}\n";
    const struct text_source one = {"first.yaml", first, strlen(first)};
    const struct text_source two = {"second.json", second, strlen(second)};
    size_t skipped = 0;
    unsigned line;

    (void)unused;
    assert_false(manifest_where(&one, "vms[4].name", &skipped, &line));
    assert_int_equal(skipped, 3);
    assert_true(manifest_where(&two, "vms[4].name", &skipped, &line));
    assert_int_equal(line, 2);
}

static void what_is_no_text_or_no_path_has_no_line(void **unused)
{
    static const char *const texts[] = {"",       "a: [",        "- vms",
                                        "vms: 1", "vms: {a: b}", "\t"};
    const struct text_source good = {"first.yaml", first, strlen(first)};
    static const char *const paths[] = {"vms[x]", "vms[99]", "groups[0]",
                                        "vms[", ""};

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        const struct text_source source = {"x", texts[i], strlen(texts[i])};
        size_t skipped = 0;
        unsigned line;

        assert_false(manifest_where(&source, "vms[0].name", &skipped, &line));
    }
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        size_t skipped = 0;
        unsigned line;

        assert_false(manifest_where(&good, paths[i], &skipped, &line));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_path_has_its_line),
        cmocka_unit_test(lists_go_on_in_the_next_text),
        cmocka_unit_test(what_is_no_text_or_no_path_has_no_line),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
