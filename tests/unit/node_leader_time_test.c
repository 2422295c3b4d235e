/* SPDX-License-Identifier: Apache-2.0
 *
 * Stamps move with the boot clock, whatever wall clocks say. */
#include "node/leader_time.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define HOUR_MS UINT64_C(3600000)
#define NOW_MS  UINT64_C(1800000000000)

static void it_follows_the_wall_clock(void **unused)
{
    struct leader_time time;

    (void)unused;
    leader_time_begin(&time, NOW_MS - HOUR_MS, 500);
    assert_true(leader_time_now(&time, NOW_MS, 500) == NOW_MS);
    assert_true(leader_time_now(&time, NOW_MS + 7, 507) == NOW_MS + 7);
}

static void it_goes_on_where_a_leader_ahead_of_us_was(void **unused)
{
    struct leader_time time;

    (void)unused;
    leader_time_begin(&time, NOW_MS + HOUR_MS, 500);
    assert_true(leader_time_now(&time, NOW_MS, 500) == NOW_MS + HOUR_MS);
    assert_true(leader_time_now(&time, NOW_MS + 1000, 1500) ==
                NOW_MS + HOUR_MS + 1000);
}

static void a_wall_clock_that_is_set_back_stops_nothing(void **unused)
{
    struct leader_time time;

    (void)unused;
    leader_time_begin(&time, 0, 500);
    assert_true(leader_time_now(&time, NOW_MS, 600) == NOW_MS);
    assert_true(leader_time_now(&time, NOW_MS - HOUR_MS, 900) == NOW_MS + 300);
    assert_true(leader_time_now(&time, 0, 900) == NOW_MS + 300);
    assert_true(leader_time_now(&time, NOW_MS + 301, 901) == NOW_MS + 301);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_follows_the_wall_clock),
        cmocka_unit_test(it_goes_on_where_a_leader_ahead_of_us_was),
        cmocka_unit_test(a_wall_clock_that_is_set_back_stops_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
