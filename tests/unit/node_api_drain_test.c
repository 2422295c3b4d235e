/* SPDX-License-Identifier: Apache-2.0
 *
 * Drains of hosts and zones, and what they put at risk. */
#include "base/container.h"
#include "node/api_check.h"
#include "support/desk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const struct host *host_of(const struct desk *desk, const char *name)
{
    return state_host_named(desk->state, text_of(name));
}

static const struct zone *zone_of(const struct desk *desk, const char *name)
{
    return state_zone_named(desk->state, text_of(name));
}

static void a_host_is_drained_until_that_is_cancelled(void **unused)
{
    struct desk *desk = desk_create();

    (void)unused;
    desk_ok(desk, "DrainHost", "{name: h1, deadline_ms: 60000}");
    desk_says(desk, "\"draining\":true");
    assert_true(host_of(desk, "h1")->draining);
    assert_int_equal(host_of(desk, "h1")->drain_deadline_ms,
                     desk->now_ms + 60000);
    /* Again, with another deadline. */
    desk_ok(desk, "DrainHost", "name: h1");
    assert_int_equal(host_of(desk, "h1")->drain_deadline_ms, 0);
    desk_ok(desk, "CancelDrainHost", "name: h1");
    desk_says(desk, "\"draining\":false");
    desk_ok(desk, "CancelDrainHost", "name: h1");
    desk_refused(desk, "CancelDrainHost", "name: h9", "HOST_NOT_FOUND", "h9");
    desk_destroy(desk);
}

static void wrong_drains_are_refused(void **unused)
{
    static const char *const kinds[] = {"Host", "Zone"};
    struct desk *desk = desk_create();

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        const char *name = i == 0 ? "h1" : "z1";
        char method[32];
        char yaml[512];

        snprintf(method, sizeof(method), "Drain%s", kinds[i]);
        snprintf(yaml, sizeof(yaml), "{name: %s, deadline_ms: 604800001}",
                 name);
        desk_refused(desk, method, yaml, "INVALID_FIELD", "deadline_ms");
        snprintf(yaml, sizeof(yaml), "{name: %s, accept_risk: true}", name);
        desk_refused(desk, method, yaml, "INVALID_FIELD", "reason");
        snprintf(yaml, sizeof(yaml), "{name: %s, reason: '%0256d'}", name, 0);
        desk_refused(desk, method, yaml, "INVALID_FIELD", "reason");
        snprintf(yaml, sizeof(yaml), "{name: %s, expect_revision: 99999}",
                 name);
        desk_refused(desk, method, yaml, "REVISION_CONFLICT", "99999");
    }
    desk_refused(desk, "DrainHost", "name: h9", "HOST_NOT_FOUND", "h9");
    desk_refused(desk, "DrainZone", "name: z9", "ZONE_NOT_FOUND", "z9");
    desk_destroy(desk);
}

static void a_zone_whose_node_is_needed_is_not_drained(void **unused)
{
    struct desk *desk = desk_create();

    (void)unused;
    /* z3's node is away: both others are needed. */
    desk->turn.voters = (struct turn_voters){3, 2, {1, 1, 1}, {1, 1, 0}};
    desk_refused(desk, "DrainZone", "name: z1", "QUORUM_NEEDED", "z1");
    desk_ok(desk, "DrainZone", "name: z3");
    desk_ok(desk, "CancelDrainZone", "name: z3");
    desk_ok(desk, "DrainZone",
            "{name: z1, accept_risk: true, reason: power work}");
    assert_int_equal(zone_of(desk, "z1")->draining, DRAIN_AT_RISK);
    desk_ok(desk, "GetZone", "name: z1");
    desk_says(desk, "\"draining\":true");
    desk_says(desk, "\"drain_at_risk\":true");
    /* It is no new risk to give it another deadline. */
    desk_ok(desk, "DrainZone", "{name: z1, deadline_ms: 1}");
    assert_int_equal(zone_of(desk, "z1")->draining, DRAIN_AT_RISK);
    desk_ok(desk, "CancelDrainZone", "name: z1");
    assert_false(zone_of(desk, "z1")->draining);
    desk_destroy(desk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_host_is_drained_until_that_is_cancelled),
        cmocka_unit_test(wrong_drains_are_refused),
        cmocka_unit_test(a_zone_whose_node_is_needed_is_not_drained),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
