/* SPDX-License-Identifier: Apache-2.0
 *
 * Numbers as people read and write them. */
#include "base/container.h"
#include "ctl/format.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void sizes_take_the_unit_that_fits(void **unused)
{
    (void)unused;
    assert_string_equal(format_mib(0).text, "0 MiB");
    assert_string_equal(format_mib(1023).text, "1023 MiB");
    assert_string_equal(format_mib(1536).text, "1.5 GiB");
    assert_string_equal(format_mib(65536).text, "64 GiB");
    assert_string_equal(format_mib(67108864).text, "64 TiB");
    assert_string_equal(format_gib(0).text, "0");
    assert_string_equal(format_gib(20).text, "20 GiB");
    assert_string_equal(format_cpu(4000).text, "4");
    assert_string_equal(format_cpu(2500).text, "2.5");
    assert_string_equal(format_cpu(250).text, "0.250");
}

static void durations_are_short(void **unused)
{
    static const struct {
        uint64_t ms;
        const char *text;
    } rows[] = {{0, "0s"},          {999, "0s"},       {1000, "1s"},
                {59999, "59s"},     {60000, "1m"},     {150000, "2m30s"},
                {600000, "10m"},    {3660000, "1h1m"}, {86400000, "1d"},
                {90000000, "1d1h"}, {864000000, "10d"}};

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_string_equal(format_duration(rows[i].ms).text, rows[i].text);
    }
    assert_string_equal(format_age(0, 5).text, "-");
    assert_string_equal(format_age(9000, 5000).text, "0s");
    assert_string_equal(format_age(1000, 6000).text, "5s");
    assert_string_equal(format_time(0).text, "-");
    assert_string_equal(format_time(1763896800000).text,
                        "2025-11-23 11:20:00 UTC");
}

static void sizes_are_read_exactly_or_refused(void **unused)
{
    static const struct {
        const char *text;
        uint64_t unit_mib;
        bool valid;
        uint64_t mib;
    } rows[] = {{"512MiB", 1, true, 512},
                {"8 GiB", 1, true, 8192},
                {"8g", 1, true, 8192},
                {"1.5GiB", 1, true, 1536},
                {"2T", 1, true, 2097152},
                {"20", 1024, true, 20480},
                {"0", 1, true, 0},
                {"1.0001GiB", 1, false, 0},
                {"", 1, false, 0},
                {"GiB", 1, false, 0},
                {"-1G", 1, false, 0},
                {"1GB", 1, false, 0},
                {"1.", 1, false, 0},
                {"99999999999999999999", 1, false, 0},
                {"18446744073709T", 1, false, 0}};
    uint64_t mib;

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_int_equal(format_read_size(rows[i].text, rows[i].unit_mib, &mib),
                         rows[i].valid);
        if (rows[i].valid) {
            assert_int_equal(mib, rows[i].mib);
        }
    }
}

static void cpus_are_read(void **unused)
{
    uint32_t milli;

    (void)unused;
    assert_true(format_read_cpu("4", &milli));
    assert_int_equal(milli, 4000);
    assert_true(format_read_cpu("0.5", &milli));
    assert_int_equal(milli, 500);
    assert_true(format_read_cpu("250m", &milli));
    assert_int_equal(milli, 250);
    assert_false(format_read_cpu("0", &milli));
    assert_false(format_read_cpu("0.0005", &milli));
    assert_false(format_read_cpu("4x", &milli));
    assert_false(format_read_cpu("5000000", &milli));
}

static void durations_are_read(void **unused)
{
    uint64_t ms;

    (void)unused;
    assert_true(format_read_duration("1500ms", &ms));
    assert_int_equal(ms, 1500);
    assert_true(format_read_duration("1.5s", &ms));
    assert_int_equal(ms, 1500);
    assert_true(format_read_duration("10", &ms));
    assert_int_equal(ms, 10000);
    assert_true(format_read_duration("2m", &ms));
    assert_int_equal(ms, 120000);
    assert_false(format_read_duration("0", &ms));
    assert_false(format_read_duration("31d", &ms));
    assert_false(format_read_duration("1w", &ms));
    assert_false(format_read_duration("", &ms));
}

static void ends_are_read(void **unused)
{
    static const struct {
        const char *text;
        uint64_t end_ms; /* 1: refused. */
    } rows[] = {
        {"never", 0},
        {"90d", 1000 + UINT64_C(90) * 86400000},
        {"1.5s", 2500},
        {"40000d", 1},
        {"0", 1},
        {"2027-01-31T00:00:00Z", UINT64_C(1801353600000)},
        {"2027-01-31t00:00:00.1239z", UINT64_C(1801353600123)},
        {"2027-01-31 01:00:00+01:00", UINT64_C(1801353600000)},
        {"2027-01-30T22:30:00-01:30", UINT64_C(1801353600000)},
        {"2028-02-29T23:59:59Z", UINT64_C(1835481599000)},
        {"2027-02-29T00:00:00Z", 1},
        {"2027-13-01T00:00:00Z", 1},
        {"2027-01-31T24:00:00Z", 1},
        {"2027-01-31T00:60:00Z", 1},
        {"2027-01-31T00:00:00", 1},
        {"2027-01-31T00:00:00.Z", 1},
        {"2027-01-31T00:00:00+0100", 1},
        {"2027-01-31T00:00:00+24:00", 1},
        {"2027-01-31T00:00:00Zx", 1},
        {"2027-01-31", 1},
        {"1970-01-01T00:00:00Z", 1},
        {"soon", 1},
        {"", 1},
    };
    uint64_t end_ms;

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        bool good = format_read_end(rows[i].text, 1000, &end_ms);

        if (good != (rows[i].end_ms != 1) ||
            (good && end_ms != rows[i].end_ms)) {
            fail_msg("%s: %d, %llu", rows[i].text, good,
                     (unsigned long long)end_ms);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_take_the_unit_that_fits),
        cmocka_unit_test(durations_are_short),
        cmocka_unit_test(sizes_are_read_exactly_or_refused),
        cmocka_unit_test(cpus_are_read),
        cmocka_unit_test(durations_are_read),
        cmocka_unit_test(ends_are_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
