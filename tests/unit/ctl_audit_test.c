/* SPDX-License-Identifier: Apache-2.0
 *
 * `audit verify`: what an export was not when it was made shows. */
#include "ctl/audit_chain.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define LINES      3
#define LINE_BYTES 400

static const char zeros[] = "00000000000000000000000000000000"
                            "00000000000000000000000000000000";

struct export
{
    char lines[LINES][LINE_BYTES];
    char digests[LINES][DIGEST_TEXT_BYTES];
};

/* Records `first`, first + 1... behind that digest. */
static void make(struct export *export, unsigned first, const char *previous)
{
    for (unsigned i = 0; i < LINES; i++) {
        char *line = export->lines[i];
        uint8_t digest[DIGEST_BYTES];
        int len = snprintf(line, LINE_BYTES,
                           "{\"number\":\"%u\",\"caller\":\"client:anna\","
                           "\"reason\":\"a \\\"b\\\"\",\"previous\":\"%s\"",
                           first + i, previous);

        digest_sha256(line, (size_t)len, digest);
        digest_text(digest, export->digests[i]);
        snprintf(line + len, (size_t)(LINE_BYTES - len), ",\"digest\":\"%s\"}",
                 export->digests[i]);
        previous = export->digests[i];
    }
}

static bool add(struct audit_chain *chain, const char *line)
{
    return audit_chain_add(chain, line, strlen(line));
}

static void whole_exports_are_good_and_may_follow_each_other(void **unused)
{
    struct export one;
    struct export two;
    struct audit_chain chain;

    (void)unused;
    make(&one, 1, zeros);
    make(&two, 1 + LINES, one.digests[LINES - 1]);
    audit_chain_init(&chain, NULL);
    for (unsigned i = 0; i < LINES; i++) {
        assert_true(add(&chain, one.lines[i]));
    }
    for (unsigned i = 0; i < LINES; i++) {
        assert_true(add(&chain, two.lines[i]));
    }
    assert_int_equal(chain.count, 2 * LINES);
    assert_int_equal(chain.first_number, 1);
    assert_int_equal(chain.last_number, 2 * LINES);
    assert_string_equal(chain.first_previous, zeros);
    assert_string_equal(chain.last_digest, two.digests[LINES - 1]);
}

static void an_export_may_begin_anywhere_but_not_behind_another_digest(
    void **unused)
{
    struct export export;
    struct audit_chain chain;

    (void)unused;
    make(&export, 70, zeros);
    memset(export.digests[0], 'a', DIGEST_TEXT_BYTES - 1);
    make(&export, 70, export.digests[0]);
    audit_chain_init(&chain, NULL);
    assert_true(add(&chain, export.lines[0]));
    audit_chain_init(&chain, chain.first_previous);
    assert_true(add(&chain, export.lines[0]));
    audit_chain_init(&chain, zeros);
    assert_false(add(&chain, export.lines[0]));
    assert_non_null(strstr(chain.problem, "does not follow"));
    /* Record 1 follows nothing. */
    make(&export, 1, export.digests[0]);
    audit_chain_init(&chain, NULL);
    assert_false(add(&chain, export.lines[0]));
}

static void lines_that_are_missing_or_exchanged_show(void **unused)
{
    struct export export;
    struct audit_chain chain;

    (void)unused;
    make(&export, 1, zeros);
    audit_chain_init(&chain, NULL);
    assert_true(add(&chain, export.lines[0]));
    assert_false(add(&chain, export.lines[2]));
    assert_non_null(strstr(chain.problem, "missing"));
    assert_false(add(&chain, export.lines[0]));
    assert_true(add(&chain, export.lines[1]));
    assert_false(add(&chain, ""));
    assert_false(add(&chain, "{}"));
}

/* Every other byte at every place, in the middle of a chain. */
static void every_changed_byte_shows(void **unused)
{
    struct export export;
    struct audit_chain before;
    size_t len;

    (void)unused;
    make(&export, 9, zeros);
    audit_chain_init(&before, NULL);
    assert_true(add(&before, export.lines[0]));
    len = strlen(export.lines[1]);
    for (size_t i = 0; i < len; i++) {
        for (int byte = 0; byte < 256; byte++) {
            struct audit_chain chain = before;
            char line[LINE_BYTES];

            memcpy(line, export.lines[1], len);
            line[i] = (char)byte;
            assert_int_equal(audit_chain_add(&chain, line, len),
                             line[i] == export.lines[1][i]);
        }
    }
    for (size_t i = 0; i < len; i++) {
        struct audit_chain chain = before;

        assert_false(audit_chain_add(&chain, export.lines[1], i));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_exports_are_good_and_may_follow_each_other),
        cmocka_unit_test(
            an_export_may_begin_anywhere_but_not_behind_another_digest),
        cmocka_unit_test(lines_that_are_missing_or_exchanged_show),
        cmocka_unit_test(every_changed_byte_shows),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
