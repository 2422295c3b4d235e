/* SPDX-License-Identifier: Apache-2.0
 *
 * What one caller may ask of a node. */
#include "base/container.h"
#include "node/limiter.h"
#include "node/limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const struct limiter_limits limits = {
    .calls_per_second = 10, .streams = 2, .bytes = 1000};

static enum limiter_verdict ask(struct limiter *limiter, const char *name,
                                uint64_t now_ms)
{
    struct rpc_account *account;
    uint64_t retry_ms;

    return limiter_admit(limiter, name, false, now_ms, &account, &retry_ms);
}

/* How many calls at once are admitted. */
static unsigned drain(struct limiter *limiter, const char *name,
                      uint64_t now_ms)
{
    unsigned count = 0;

    while (ask(limiter, name, now_ms) == LIMITER_ADMITTED) {
        count++;
        assert_in_range(count, 0, 1000000);
    }
    return count;
}

static void a_bucket_holds_a_second_and_fills_evenly(void **unused)
{
    static const struct {
        uint64_t after_ms;
        unsigned calls;
    } rows[] = {
        {0, 10},              /* Full at the first call. */
        {0, 0},               /* Empty. */
        {99, 0},              /* A call is worth 100 ms; */
        {1, 1},               /* what came before is not lost. */
        {250, 2},             /* */
        {50, 1},              /* The half call of before, and this one. */
        {1000, 10},           /* */
        {1000000000, 10},     /* Never more than a second's. */
        {UINT32_MAX, 10},     /* */
        {UINT64_MAX / 4, 10}, /* No overflow. */
    };
    struct limiter limiter;
    uint64_t now_ms = 5000;

    (void)unused;
    limiter_init(&limiter, &limits, 1);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        now_ms += rows[i].after_ms;
        if (drain(&limiter, "client:anna", now_ms) != rows[i].calls) {
            fail_msg("row %zu", i);
        }
    }
    limiter_close(&limiter);
}

static void a_clock_that_goes_back_gives_nothing(void **unused)
{
    struct limiter limiter;

    (void)unused;
    limiter_init(&limiter, &limits, 1);
    assert_int_equal(drain(&limiter, "a", 5000), 10);
    assert_int_equal(drain(&limiter, "a", 4000), 0);
    assert_int_equal(drain(&limiter, "a", 4100), 1);
    limiter_close(&limiter);
}

static void callers_do_not_feel_each_other(void **unused)
{
    struct limiter limiter;

    (void)unused;
    limiter_init(&limiter, &limits, 1);
    assert_int_equal(drain(&limiter, "client:anna", 0), 10);
    assert_int_equal(drain(&limiter, "client:bert", 0), 10);
    assert_int_equal(drain(&limiter, "client:anna", 0), 0);
    limiter_close(&limiter);
}

static void a_refusal_says_when_to_come_again(void **unused)
{
    struct rpc_account *account = NULL;
    struct limiter limiter;
    uint64_t retry_ms = 0;
    char text[64];

    (void)unused;
    limiter_init(&limiter, &limits, 1);
    drain(&limiter, "a", 30);
    assert_int_equal(
        limiter_admit(&limiter, "a", false, 70, &account, &retry_ms),
        LIMITER_TOO_FAST);
    assert_int_equal(retry_ms, 60);
    assert_null(account);
    assert_int_equal(ask(&limiter, "a", 129), LIMITER_TOO_FAST);
    assert_int_equal(ask(&limiter, "a", 130), LIMITER_ADMITTED);
    limiter_explain(&limiter, LIMITER_TOO_FAST, text, sizeof(text));
    assert_string_equal(text, "10 calls a second");
    limiter_close(&limiter);
}

static void open_streams_are_counted_and_calls_go_on(void **unused)
{
    struct rpc_account *account = NULL;
    struct limiter limiter;
    uint64_t retry_ms = 0;

    (void)unused;
    limiter_init(&limiter, &limits, 1);
    for (uint32_t i = 0; i < limits.streams; i++) {
        assert_int_equal(
            limiter_admit(&limiter, "a", true, 0, &account, &retry_ms),
            LIMITER_ADMITTED);
        assert_int_equal(account->bytes_max, 1000);
        account->calls++; /* As rpc_call_charge() does. */
        account->streams++;
    }
    assert_int_equal(limiter_admit(&limiter, "a", true, 0, &account, &retry_ms),
                     LIMITER_TOO_MANY_STREAMS);
    assert_in_range(retry_ms, 1, 10000);
    assert_int_equal(ask(&limiter, "a", 0), LIMITER_ADMITTED);
    account->streams--;
    account->calls--;
    assert_int_equal(limiter_admit(&limiter, "a", true, 0, &account, &retry_ms),
                     LIMITER_ADMITTED);
    account->streams = account->calls = 0;
    assert_int_equal(limiter.verdicts[LIMITER_TOO_MANY_STREAMS], 1);
    limiter_close(&limiter);
}

static void the_table_is_bounded_and_forgets_who_was_away_longest(void **unused)
{
    struct rpc_account *busy = NULL;
    struct limiter limiter;
    uint64_t retry_ms;
    char name[32];

    (void)unused;
    limiter_init(&limiter, &limits, 1);
    assert_int_equal(
        limiter_admit(&limiter, "busy", false, 0, &busy, &retry_ms),
        LIMITER_ADMITTED);
    busy->calls++;
    drain(&limiter, "busy", 0);
    drain(&limiter, "idle", 0);
    for (int i = 0; i < LIMITER_CALLERS_MAX - 2; i++) {
        snprintf(name, sizeof(name), "other-%d", i);
        assert_int_equal(ask(&limiter, name, 0), LIMITER_ADMITTED);
    }
    assert_int_equal(limiter.callers.count, LIMITER_CALLERS_MAX);
    /* Both are known still; then comes one more. */
    assert_int_equal(ask(&limiter, "new", 0), LIMITER_ADMITTED);
    assert_int_equal(limiter.callers.count, LIMITER_CALLERS_MAX);
    assert_int_equal(ask(&limiter, "busy", 0), LIMITER_TOO_FAST);
    assert_int_equal(ask(&limiter, "idle", 0), LIMITER_ADMITTED);
    busy->calls--;
    limiter_close(&limiter);
}

static void when_all_are_busy_nobody_new_is_let_in(void **unused)
{
    static struct rpc_account *accounts[LIMITER_CALLERS_MAX];
    struct limiter limiter;
    uint64_t retry_ms = 0;
    char name[32];

    (void)unused;
    limiter_init(&limiter, &limits, 1);
    for (int i = 0; i < LIMITER_CALLERS_MAX; i++) {
        snprintf(name, sizeof(name), "other-%d", i);
        assert_int_equal(
            limiter_admit(&limiter, name, false, 0, &accounts[i], &retry_ms),
            LIMITER_ADMITTED);
        accounts[i]->calls++;
    }
    assert_int_equal(ask(&limiter, "new", 0), LIMITER_TOO_MANY_CALLERS);
    assert_int_equal(ask(&limiter, "other-7", 0), LIMITER_ADMITTED);
    accounts[9]->calls--;
    assert_int_equal(ask(&limiter, "new", 0), LIMITER_ADMITTED);
    for (int i = 0; i < LIMITER_CALLERS_MAX; i++) {
        if (i != 9) { /* He was forgotten. */
            accounts[i]->calls--;
        }
    }
    limiter_close(&limiter);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bucket_holds_a_second_and_fills_evenly),
        cmocka_unit_test(a_clock_that_goes_back_gives_nothing),
        cmocka_unit_test(callers_do_not_feel_each_other),
        cmocka_unit_test(a_refusal_says_when_to_come_again),
        cmocka_unit_test(open_streams_are_counted_and_calls_go_on),
        cmocka_unit_test(the_table_is_bounded_and_forgets_who_was_away_longest),
        cmocka_unit_test(when_all_are_busy_nobody_new_is_let_in),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
