/* SPDX-License-Identifier: Apache-2.0
 *
 * Sentences in lines, and why a VM is left by a drain. */
#include "base/container.h"
#include "ctl/drain.h"
#include "ctl/format.h"
#include "ctl/prose.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void assert_prose(const char *text, size_t used, size_t indent,
                         const char *expected)
{
    struct bytes out;

    bytes_init(&out);
    prose_write(&out, text, used, indent);
    bytes_append_u8(&out, '\0');
    assert_string_equal((const char *)out.data, expected);
    bytes_close(&out);
}

#define TEN   "123456789 "
#define FIFTY TEN TEN TEN TEN TEN

static void words_stay_within_a_terminal(void **unused)
{
    (void)unused;
    assert_prose("", 0, 4, "\n");
    assert_prose("one two", 0, 4, "one two\n");
    assert_prose(FIFTY "1234567890 12345678901234567 1", 0, 2,
                 FIFTY "1234567890 12345678901234567\n  1\n");
    assert_prose(FIFTY "x", 70, 6,
                 "123456789\n"
                 "      " TEN TEN TEN "123456789 x\n");
    /* Wide in bytes, narrow in characters. */
    assert_prose(FIFTY "\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3"
                       "\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc "
                       "123456789012345",
                 0, 0,
                 FIFTY "\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3"
                       "\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc "
                       "123456789012345\n");
}

static void numbers_and_their_units_stay_together(void **unused)
{
    (void)unused;
    assert_prose(FIFTY TEN TEN "123456 6.0 s and", 0, 2,
                 FIFTY TEN TEN "123456\n  6.0 s and\n");
}

static void prose_cannot_steer_the_terminal(void **unused)
{
    (void)unused;
    assert_prose("a\x1b[2J\nb", 0, 0, "a?[2J?b\n");
}

static void estimates_have_few_digits(void **unused)
{
    static const struct {
        uint64_t ms;
        const char *text;
    } rows[] = {{0, "0.0 s"},    {49, "0.0 s"},    {50, "0.1 s"},
                {2149, "2.1 s"}, {9949, "9.9 s"},  {9950, "10 s"},
                {42400, "42 s"}, {99999, "100 s"}, {100000, "1m40s"},
                {7200000, "2h"}};

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_string_equal(format_seconds(rows[i].ms).text, rows[i].text);
    }
}

static void what_a_drain_leaves_says_why(void **unused)
{
    static const struct {
        const char *why;
        bool of_zone;
        bool pinned;
        bool local;
        bool moving;
        bool queued;
        bool deleting;
        bool stays;
        bool goes;
    } rows[] = {
        {.why = "waits for its turn or for room"},
        {.why = "waits for its turn or for room", .pinned = true},
        {.why = "may run in this zone only",
         .of_zone = true,
         .pinned = true,
         .stays = true},
        {.why = "has a local disk on this host", .local = true, .stays = true},
        {.why = "is moving", .moving = true, .goes = true},
        {.why = "waits for its turn: moves under way are bounded by zone_moves "
                "and host_moves",
         .moving = true,
         .queued = true},
        {.why = "is being deleted",
         .local = true,
         .deleting = true,
         .goes = true},
    };
    char zone[] = "z1";
    char host[] = "h1";

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        Holdfast__V1__VmStatus status = HOLDFAST__V1__VM_STATUS__INIT;
        Holdfast__V1__Vm vm = HOLDFAST__V1__VM__INIT;
        struct drain judged;

        vm.status = &status;
        vm.zone = rows[i].pinned ? zone : vm.zone;
        status.home_host = rows[i].local ? host : status.home_host;
        status.move_zone = rows[i].moving ? zone : status.move_zone;
        status.move_queued = rows[i].queued;
        status.deleting = rows[i].deleting;
        judged = drain_judge(&vm, rows[i].of_zone);
        assert_string_equal(judged.why, rows[i].why);
        assert_int_equal(judged.stays, rows[i].stays);
        assert_int_equal(judged.moving, rows[i].goes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_stay_within_a_terminal),
        cmocka_unit_test(numbers_and_their_units_stay_together),
        cmocka_unit_test(prose_cannot_steer_the_terminal),
        cmocka_unit_test(estimates_have_few_digits),
        cmocka_unit_test(what_a_drain_leaves_says_why),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
