/* SPDX-License-Identifier: Apache-2.0
 *
 * What a failover looks like to a person. */
#include "ctl/event_tree.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct event_tree tree;

static void add(const ProtobufCMessage *object, uint64_t revision,
                uint64_t cause_revision, Holdfast__V1__Cause cause)
{
    const struct event_view event = {
        .object = object,
        .revision = revision,
        .time_ms = 1000 + revision,
        .cause = (int)cause,
        .cause_revision = cause_revision,
    };

    assert_true(event_tree_add(&tree, &event));
}

static void zone_lost(uint64_t revision)
{
    Holdfast__V1__Zone zone = HOLDFAST__V1__ZONE__INIT;
    char name[] = "z1";

    zone.name = name;
    zone.state = HOLDFAST__V1__ZONE_STATE__ZONE_STATE_LOST;
    add(&zone.base, revision, 0, HOLDFAST__V1__CAUSE__CAUSE_LEASE_ENDED);
}

static void host_lost(const char *name, uint64_t revision, uint64_t cause)
{
    Holdfast__V1__Host host = HOLDFAST__V1__HOST__INIT;
    char text[8];

    snprintf(text, sizeof(text), "%s", name);
    host.name = text;
    host.state = HOLDFAST__V1__HOST_STATE__HOST_STATE_LOST;
    add(&host.base, revision, cause, HOLDFAST__V1__CAUSE__CAUSE_ZONE_LOST);
}

static void vm(const char *name, Holdfast__V1__VmState state, uint64_t revision,
               uint64_t cause_revision, Holdfast__V1__Cause cause)
{
    Holdfast__V1__VmStatus status = HOLDFAST__V1__VM_STATUS__INIT;
    Holdfast__V1__Vm view = HOLDFAST__V1__VM__INIT;
    char text[8];
    char host[] = "h2";
    char zone[] = "z2";

    snprintf(text, sizeof(text), "%s", name);
    status.state = state;
    status.epoch = 2;
    status.pending_reason = HOLDFAST__V1__PENDING_REASON__PENDING_REASON_QUEUED;
    if (state != HOLDFAST__V1__VM_STATE__VM_STATE_PENDING) {
        status.pending_reason = 0;
        status.host = host;
        status.zone = zone;
    }
    view.name = text;
    view.status = &status;
    add(&view.base, revision, cause_revision, cause);
}

static void shows(bool unicode, uint32_t branch_max, const char *expected)
{
    const struct event_tree_style style = {unicode, branch_max};
    struct bytes out;
    struct grid grid;

    bytes_init(&out);
    grid_init(&grid);
    event_tree_write(&tree, &style, &grid);
    grid_write(&grid, false, false, &out);
    bytes_append_u8(&out, 0);
    assert_string_equal((const char *)out.data, expected);
    grid_close(&grid);
    bytes_close(&out);
}

static void a_failover_is_one_tree(void **unused)
{
    (void)unused;
    event_tree_init(&tree);
    zone_lost(10);
    host_lost("h1", 11, 10);
    vm("web", HOLDFAST__V1__VM_STATE__VM_STATE_PENDING, 12, 11,
       HOLDFAST__V1__CAUSE__CAUSE_HOST_LOST);
    vm("db", HOLDFAST__V1__VM_STATE__VM_STATE_PENDING, 13, 11,
       HOLDFAST__V1__CAUSE__CAUSE_HOST_LOST);
    host_lost("h3", 14, 10);
    vm("web", HOLDFAST__V1__VM_STATE__VM_STATE_ASSIGNED, 15, 12,
       HOLDFAST__V1__CAUSE__CAUSE_FAILOVER);
    vm("web", HOLDFAST__V1__VM_STATE__VM_STATE_RUNNING, 16, 15,
       HOLDFAST__V1__CAUSE__CAUSE_AGENT);
    shows(
        false, 20,
        "1970-01-01 00:00:01 UTC        10  zone z1: lost [lease ended]\n"
        "+0.001s                        11  |- host h1: lost [zone lost]\n"
        "+0.006s                    12..16  |  |- vm web: pending [host lost] "
        "-> assigned on h2 (z2), epoch 2 -> running\n"
        "+0.003s                        13  |  `- vm db: pending [host lost]\n"
        "+0.004s                        14  `- host h3: lost [zone lost]\n");
    shows(
        true, 20,
        "1970-01-01 00:00:01 UTC        10  zone z1: lost [lease ended]\n"
        "+0.001s                        11  ├─ host h1: lost [zone lost]\n"
        "+0.006s                    12..16  │  ├─ vm web: pending [host lost] "
        "→ assigned on h2 (z2), epoch 2 → running\n"
        "+0.003s                        13  │  └─ vm db: pending [host lost]\n"
        "+0.004s                        14  └─ host h3: lost [zone lost]\n");
    event_tree_close(&tree);
}

static void many_branches_are_counted(void **unused)
{
    char name[8];

    (void)unused;
    event_tree_init(&tree);
    host_lost("h1", 10, 3);
    for (uint64_t i = 0; i < 5; i++) {
        snprintf(name, sizeof(name), "v%u", (unsigned)i);
        vm(name, HOLDFAST__V1__VM_STATE__VM_STATE_PENDING, 11 + i, 10,
           HOLDFAST__V1__CAUSE__CAUSE_HOST_LOST);
    }
    shows(
        false, 2,
        "1970-01-01 00:00:01 UTC        10  host h1: lost [zone lost]\n"
        "+0.001s                        11  |- vm v0: pending [host lost]\n"
        "+0.002s                        12  |- vm v1: pending [host lost]\n"
        "                                   `- ... 3 more; --all shows them\n");
    event_tree_close(&tree);
}

static void what_goes_on_and_on_stays_on_the_screen(void **unused)
{
    char name[8];

    (void)unused;
    event_tree_init(&tree);
    for (uint64_t i = 0; i < 100; i++) {
        snprintf(name, sizeof(name), "v%u", (unsigned)i);
        vm(name, HOLDFAST__V1__VM_STATE__VM_STATE_PENDING, 1 + i, i,
           HOLDFAST__V1__CAUSE__CAUSE_PREEMPTION);
    }
    {
        const struct event_tree_style style = {false, 20};
        struct grid grid;

        grid_init(&grid);
        event_tree_write(&tree, &style, &grid);
        assert_true(grid.cell_count / grid.column_count < 30);
        grid_close(&grid);
    }
    event_tree_close(&tree);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_failover_is_one_tree),
        cmocka_unit_test(many_branches_are_counted),
        cmocka_unit_test(what_goes_on_and_on_stays_on_the_screen),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
