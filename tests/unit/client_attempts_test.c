/* SPDX-License-Identifier: Apache-2.0
 *
 * The retry rules of client/attempts.h, one by one. */
#include "client/attempts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static struct attempts with_endpoints(size_t count)
{
    struct attempts attempts;

    attempts_init(&attempts, 1);
    attempts.endpoint_count = count;
    return attempts;
}

static const struct attempts_failure plain = {.calls_open = 1,
                                              .left_ms = 100000};

static void a_failure_goes_to_the_next_endpoint_at_once(void **unused)
{
    struct attempts attempts = with_endpoints(3);
    struct attempts_course course = attempts_begin(&attempts);
    uint64_t wait_ms;

    (void)unused;
    for (size_t i = 1; i < 3; i++) {
        assert_true(attempts_again(&attempts, &course, &plain, &wait_ms));
        assert_int_equal(course.endpoint, i);
        assert_int_equal(wait_ms, 0);
    }
    assert_true(attempts_again(&attempts, &course, &plain, &wait_ms));
    assert_int_equal(course.endpoint, 0);
    assert_in_range(wait_ms, 80, 120); /* The second round. */
}

static void the_client_follows_its_calls_and_moves_once(void **unused)
{
    struct attempts attempts = with_endpoints(3);
    struct attempts_course first = attempts_begin(&attempts);
    struct attempts_course second = attempts_begin(&attempts);
    uint64_t wait_ms;

    (void)unused;
    assert_true(attempts_again(&attempts, &first, &plain, &wait_ms));
    assert_true(attempts_again(&attempts, &second, &plain, &wait_ms));
    assert_int_equal(attempts.current, 1);
    assert_int_equal(second.endpoint, 1);
    assert_int_equal(attempts_begin(&attempts).endpoint, 1);
}

static void rounds_come_to_an_end(void **unused)
{
    for (size_t endpoints = 1; endpoints <= 2; endpoints++) {
        struct attempts attempts = with_endpoints(endpoints);
        struct attempts_course course = attempts_begin(&attempts);
        struct attempts_failure unseen = plain;
        unsigned tried = 1;
        uint64_t wait_ms;

        unseen.never_seen = true;
        while (attempts_again(&attempts, &course, &unseen, &wait_ms)) {
            tried++;
        }
        assert_int_equal(tried, endpoints * ATTEMPTS_ROUNDS_MAX);
        assert_int_equal(attempts.budget, ATTEMPTS_BUDGET_MAX);
    }
    (void)unused;
}

static void the_budget_ends_retries_and_answers_fill_it(void **unused)
{
    struct attempts attempts = with_endpoints(1);
    uint64_t wait_ms;

    (void)unused;
    for (int i = 0; i < 9; i++) {
        struct attempts_course course = attempts_begin(&attempts);

        assert_true(attempts_again(&attempts, &course, &plain, &wait_ms));
    }
    for (int i = 0; i < 2; i++) {
        struct attempts_course course = attempts_begin(&attempts);

        assert_false(attempts_again(&attempts, &course, &plain, &wait_ms));
    }
    for (int i = 0; i < 11; i++) {
        assert_int_equal(attempts.budget, i * ATTEMPTS_BUDGET_SUCCESS);
        attempts_answered(&attempts);
    }
    for (int i = 0; i < 200; i++) {
        attempts_answered(&attempts);
    }
    assert_int_equal(attempts.budget, ATTEMPTS_BUDGET_MAX);
}

/* Else a leader that goes away under many calls would end all but ten. */
static void what_fails_many_calls_costs_as_one(void **unused)
{
    struct attempts attempts = with_endpoints(3);
    struct attempts_failure failure = plain;
    uint64_t wait_ms;

    (void)unused;
    failure.calls_open = 100;
    for (int i = 0; i < 100; i++) {
        struct attempts_course course = attempts_begin(&attempts);

        assert_true(attempts_again(&attempts, &course, &failure, &wait_ms));
    }
    assert_int_equal(attempts.budget,
                     ATTEMPTS_BUDGET_MAX - ATTEMPTS_BUDGET_FAILURE);
    failure.calls_open = 5000; /* Never for nothing. */
    assert_true(attempts_again(&attempts,
                               &(struct attempts_course){.endpoint = 1},
                               &failure, &wait_ms));
    assert_int_equal(attempts.budget,
                     ATTEMPTS_BUDGET_MAX - ATTEMPTS_BUDGET_FAILURE - 1);
}

static void a_node_says_how_long_to_wait(void **unused)
{
    static const struct {
        int64_t pushback_ms;
        uint64_t left_ms;
        bool again;
    } rows[] = {{0, 1, true},
                {250, 251, true},
                {250, 250, false},
                {250, 100, false},
                {-1, 9999, false}};

    (void)unused;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct attempts attempts = with_endpoints(1);
        struct attempts_course course = attempts_begin(&attempts);
        struct attempts_failure failure = {.has_pushback = true,
                                           .pushback_ms = rows[i].pushback_ms,
                                           .calls_open = 1,
                                           .left_ms = rows[i].left_ms};
        uint64_t wait_ms;

        assert_int_equal(attempts_again(&attempts, &course, &failure, &wait_ms),
                         rows[i].again);
        if (rows[i].again) {
            assert_int_equal(wait_ms, rows[i].pushback_ms);
        }
    }
}

static void an_attempt_leaves_time_for_another_endpoint(void **unused)
{
    static const struct {
        size_t endpoints;
        uint64_t left_ms;
        uint64_t attempt_ms;
    } rows[] = {{1, 10000, 10000},
                {3, 10000, 5000},
                {2, 1500, 1000},
                {2, 900, 900},
                {2, 0, 0}};

    (void)unused;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct attempts attempts = with_endpoints(rows[i].endpoints);

        assert_int_equal(attempts_share_ms(&attempts, rows[i].left_ms),
                         rows[i].attempt_ms);
    }
}

static void a_watch_is_resumed_for_many_rounds(void **unused)
{
    struct attempts attempts = with_endpoints(2);
    struct attempts_course course = attempts_begin(&attempts);
    unsigned resumed = 0;
    uint64_t wait_ms;
    uint64_t all_ms = 0;

    (void)unused;
    while (attempts_resume(&attempts, &course, &wait_ms)) {
        assert_int_equal(course.endpoint, ++resumed % 2);
        assert_true((wait_ms > 0) == (resumed % 2 == 0));
        all_ms += wait_ms;
    }
    assert_int_equal(resumed, 2 * ATTEMPTS_WATCH_ROUNDS_MAX - 1);
    assert_in_range(all_ms, 20000, 45000);
    assert_int_equal(attempts.budget, ATTEMPTS_BUDGET_MAX);
}

static void pauses_double_up_to_two_seconds(void **unused)
{
    static const uint64_t base[] = {100, 200, 400, 800, 1600, 2000, 2000};
    struct random random;

    (void)unused;
    random_init(&random, 1);
    for (unsigned round = 1; round <= 7; round++) {
        bool low = false;
        bool high = false;

        for (int i = 0; i < 1000; i++) {
            uint64_t ms = attempts_backoff_ms(round, &random);

            assert_in_range(ms, base[round - 1] * 8 / 10,
                            base[round - 1] * 12 / 10);
            low |= ms < base[round - 1] * 9 / 10;
            high |= ms > base[round - 1] * 11 / 10;
        }
        assert_true(low && high);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_failure_goes_to_the_next_endpoint_at_once),
        cmocka_unit_test(the_client_follows_its_calls_and_moves_once),
        cmocka_unit_test(rounds_come_to_an_end),
        cmocka_unit_test(the_budget_ends_retries_and_answers_fill_it),
        cmocka_unit_test(what_fails_many_calls_costs_as_one),
        cmocka_unit_test(a_node_says_how_long_to_wait),
        cmocka_unit_test(an_attempt_leaves_time_for_another_endpoint),
        cmocka_unit_test(a_watch_is_resumed_for_many_rounds),
        cmocka_unit_test(pauses_double_up_to_two_seconds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
