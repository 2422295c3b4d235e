/* SPDX-License-Identifier: Apache-2.0
 *
 * When and where an agent tries its next session. */
#include "agent/retry.h"
#include "base/container.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct random source;

static struct retry retry_of(size_t nodes)
{
    struct retry retry;

    random_init(&source, 7);
    retry_init(&retry, &source);
    retry.nodes = nodes;
    retry_begun(&retry);
    return retry;
}

/* Of a length that doubles: between a half and all of it. */
static void assert_pause(uint64_t pause_ms, uint64_t length_ms)
{
    assert_in_range(pause_ms, length_ms / 2, length_ms);
}

static uint64_t end(struct retry *retry, enum retry_end how)
{
    uint64_t pause_ms = retry_ended(retry, how);

    retry_begun(retry);
    return pause_ms;
}

static void renew(struct retry *retry, int count)
{
    for (int i = 0; i < count; i++) {
        retry_renewed(retry);
    }
}

static void all_nodes_are_asked_before_it_waits(void **unused)
{
    static const uint64_t lengths[] = {100, 200, 400, 800, 1000, 1000};
    struct retry retry = retry_of(3);

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
        assert_int_equal(end(&retry, RETRY_BROKEN), 0);
        assert_int_equal(retry.current, 1);
        assert_int_equal(end(&retry, RETRY_BROKEN), 0);
        assert_int_equal(retry.current, 2);
        assert_int_equal(retry_is_stuck(&retry), i > 0);
        assert_pause(end(&retry, RETRY_BROKEN), lengths[i]);
        assert_int_equal(retry.current, 0);
        assert_true(retry_is_stuck(&retry));
    }
}

static void a_useful_node_that_ends_a_session_is_asked_again_first(
    void **unused)
{
    struct retry retry = retry_of(3);

    (void)unused;
    renew(&retry, RETRY_USEFUL_RENEWALS);
    assert_int_equal(end(&retry, RETRY_BY_NODE), 0);
    assert_int_equal(retry.current, 0);
    assert_int_equal(end(&retry, RETRY_BY_NODE), 0);
    assert_int_equal(retry.current, 1);
}

static void a_conflict_waits_at_once_and_ever_longer(void **unused)
{
    static const uint64_t lengths[] = {100,  200,  400,   800,   1600,
                                       3200, 6400, 10000, 10000, 10000};
    struct retry retry = retry_of(3);

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
        assert_int_equal(retry_is_in_conflict(&retry), i >= 7);
        assert_pause(end(&retry, RETRY_CONFLICT), lengths[i]);
    }
    /* Another kind of trouble in between does not make it short again. */
    end(&retry, RETRY_BROKEN);
    assert_pause(end(&retry, RETRY_CONFLICT), 10000);
}

static void only_some_renewals_make_a_session_useful(void **unused)
{
    struct retry retry = retry_of(1);

    (void)unused;
    for (int i = 0; i < 8; i++) {
        end(&retry, RETRY_CONFLICT);
    }
    /* Few at a time never do, however many sessions there are. */
    for (int i = 0; i < 8; i++) {
        renew(&retry, RETRY_USEFUL_RENEWALS - 1);
        assert_pause(end(&retry, RETRY_CONFLICT), RETRY_CONFLICT_MS_MAX);
    }
    renew(&retry, RETRY_USEFUL_RENEWALS);
    assert_pause(end(&retry, RETRY_CONFLICT), RETRY_MS_MIN);
    /* Further ones of a long session do not count twice. */
    for (int i = 0; i < 8; i++) {
        end(&retry, RETRY_CONFLICT);
    }
    renew(&retry, RETRY_USEFUL_RENEWALS);
    renew(&retry, 1000);
    assert_pause(end(&retry, RETRY_CONFLICT), RETRY_MS_MIN);
}

struct twin {
    struct retry retry;
    uint64_t next_ms;  /* Opens a session then. */
    uint64_t renew_ms; /* Its next acknowledgement, while it has the session. */
};

/* Two machines with one name and one boot: each session replaces the other's.
 * The sum of all sessions is what the region has to bear. */
static void twins_do_not_wear_the_region_out(void **unused)
{
    const uint64_t hour_ms = 3600000;
    struct twin twins[2];
    struct twin *holder = NULL;
    uint64_t sessions = 0;
    uint64_t late_sessions = 0;

    (void)unused;
    for (int i = 0; i < 2; i++) {
        twins[i] = (struct twin){.retry = retry_of(3), .next_ms = 1};
    }
    for (uint64_t now_ms = 1; now_ms < hour_ms; now_ms++) {
        for (int i = 0; i < 2; i++) {
            struct twin *other = &twins[1 - i];

            if (&twins[i] == holder && now_ms >= twins[i].renew_ms) {
                twins[i].renew_ms = now_ms + 1000;
                retry_renewed(&twins[i].retry);
            }
            if (&twins[i] == holder || now_ms < twins[i].next_ms) {
                continue;
            }
            if (holder == other) {
                other->next_ms =
                    now_ms + 1 + retry_ended(&other->retry, RETRY_CONFLICT);
            }
            retry_begun(&twins[i].retry);
            twins[i].renew_ms = now_ms;
            holder = &twins[i];
            sessions++;
            late_sessions += now_ms >= hour_ms / 2;
        }
    }
    /* Two in about seven seconds; without a limit it would be two in as long as
     * a turn takes. */
    assert_true(sessions <= hour_ms / 2000);
    assert_true(late_sessions <= hour_ms / 4000);
    assert_true(late_sessions > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_nodes_are_asked_before_it_waits),
        cmocka_unit_test(
            a_useful_node_that_ends_a_session_is_asked_again_first),
        cmocka_unit_test(a_conflict_waits_at_once_and_ever_longer),
        cmocka_unit_test(only_some_renewals_make_a_session_useful),
        cmocka_unit_test(twins_do_not_wear_the_region_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
