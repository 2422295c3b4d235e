/* SPDX-License-Identifier: Apache-2.0
 *
 * What methods make of placement's answers: hosts that lack something, and
 * requests after which the loss of a zone could not be survived. */
#include "base/container.h"
#include "node/api_check.h"
#include "support/desk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define EXEC "template: {driver: exec, command: [/bin/true]}"

static void named_resources_are_counted_on_hosts(void **unused)
{
    struct desk *desk = desk_create();

    (void)unused;
    desk_host(desk, "lab", "z2", "license=2");
    desk_ok(desk, "GetHost", "name: lab");
    desk_says(desk, "\"license\":2");
    desk_ok(desk, "CreateClass",
            "vm_class: {name: cad, resources: {cpu_milli: 1, memory_mib: 1, "
            "named: {license: 2, nothing: 0}}}");
    desk_says(desk, "\"named\":{\"license\":2}");
    desk_ok(desk, "CreateVm", "vm: {name: a, class_name: cad, " EXEC "}");
    desk_says(desk, "\"host\":\"lab\"");
    desk_ok(desk, "CreateVm", "vm: {name: b, class_name: cad, " EXEC "}");
    desk_says(desk, "\"state\":\"pending\"");
    desk_ok(desk, "CreateVm",
            "vm: {name: c, resources: {cpu_milli: 1, memory_mib: 1, named: "
            "{license: 1}}, " EXEC "}");
    desk_says(desk, "\"named\":{\"license\":1}");
    desk_destroy(desk);
}

static void a_selector_needs_a_host_with_its_labels(void **unused)
{
    struct desk *desk = desk_create();

    (void)unused;
    desk_ok(desk, "CreateVm",
            "vm: {name: a, class_name: small, host_selector: {rack: r1}, " EXEC
            "}");
    desk_says(desk, "\"pending_reason\":\"no_matching_host\"");
    desk_destroy(desk);
}

static void fill(struct desk *desk, const char *zone, uint32_t count)
{
    char yaml[256];

    for (uint32_t i = 0; i < count; i++) {
        snprintf(yaml, sizeof(yaml),
                 "vm: {name: %s-%u, class_name: small, " EXEC "}", zone, i);
        desk_ok(desk, "CreateVm", yaml);
    }
    desk_settle(desk);
}

static void a_drain_that_costs_headroom_needs_a_word(void **unused)
{
    struct desk *desk = desk_create();

    (void)unused;
    /* 15 of 24 slots: one zone may go, but not two. */
    fill(desk, "a", 15);
    desk_ok(desk, "DrainHost", "name: h1");
    desk_ok(desk, "CancelDrainHost", "name: h1");
    desk_ok(desk, "UpdateSettings",
            "{settings: {headroom: enforce}, update_mask: [headroom]}");
    desk_settle(desk);
    desk_refused(desk, "DrainHost", "name: h1", "HEADROOM", "'small'");
    desk_refused(desk, "DrainZone", "name: z1", "HEADROOM", "add hosts");
    desk_ok(desk, "DrainHost",
            "{name: h1, accept_risk: true, reason: it burns}");
    desk_destroy(desk);
}

static void enforced_headroom_refuses_before_anything_is_made(void **unused)
{
    struct desk *desk = desk_create();
    char yaml[256];

    (void)unused;
    desk_ok(desk, "UpdateSettings",
            "{settings: {headroom: enforce}, update_mask: [headroom]}");
    desk_settle(desk);
    /* 24 slots, of which 16 may be used. */
    for (int i = 0; i < 16; i++) {
        snprintf(yaml, sizeof(yaml),
                 "vm: {name: v%d, class_name: small, " EXEC "}", i);
        desk_ok(desk, "CreateVm", yaml);
        desk_says(desk, "\"state\":\"assigned\"");
    }
    desk_settle(desk);
    desk_refused(desk, "CreateVm", "vm: {name: x, class_name: small, " EXEC "}",
                 "HEADROOM", "'small'");
    desk_refused(desk, "CreateVm",
                 "vm: {name: x, resources: {cpu_milli: 1000, memory_mib: "
                 "1024}, " EXEC "}",
                 "HEADROOM", "add hosts");
    assert_int_equal(state_counts(desk->state)->classes, 1);
    desk_ok(desk, "CreateVm",
            "vm: {name: x, class_name: small, desired: stopped, " EXEC "}");
    desk_refused(desk, "StartVm", "name: x", "HEADROOM", "zone");
    desk_refused(
        desk, "CreateGroup",
        "group: {name: g, count: 1, template: {class_name: small, " EXEC "}}",
        "HEADROOM", "zone");
    desk_ok(desk, "CreateGroup",
            "group: {name: g, template: {class_name: small, " EXEC "}}");
    desk_refused(desk, "ScaleGroup", "{name: g, count: 2}", "HEADROOM", "zone");
    /* Not the first of them alone. */
    desk_refused(
        desk, "ScaleGroup", "{name: g, count: 6}", "HEADROOM",
        "if zone 'z1' were then lost, 6 VMs of class 'small' would find "
        "no room in the other zones; if zone 'z2', 6 VMs of class "
        "'small'; if zone 'z3', 6 VMs");
    desk_refused(desk, "ScaleGroup", "{name: g, count: 6000}", "INVALID_FIELD",
                 "count");
    desk_destroy(desk);
}

static void a_class_stays_offered_where_headroom_needs_it(void **unused)
{
    struct desk *desk = desk_create();

    (void)unused;
    /* 12 of 24 slots: two zones are enough for each, one is not. */
    fill(desk, "a", 12);
    desk_ok(desk, "UpdateClass",
            "{vm_class: {name: small, zones: [z1, z2]}, update_mask: [zones]}");
    desk_says(desk, "VMs of class 'small' run where it is not offered (4 in "
                    "zone 'z3')");
    desk_ok(desk, "UpdateClass",
            "{vm_class: {name: small}, update_mask: [zones]}");
    desk_says(desk, "\"warnings\":[]");
    desk_ok(desk, "UpdateSettings",
            "{settings: {headroom: enforce}, update_mask: [headroom]}");
    desk_settle(desk);
    desk_refused(desk, "UpdateClass",
                 "{vm_class: {name: small, zones: [z1]}, update_mask: [zones]}",
                 "HEADROOM", "'small'");
    desk_ok(desk, "UpdateClass",
            "{vm_class: {name: small, zones: [z1, z2, z3]}, update_mask: "
            "[zones]}");
    desk_ok(desk, "UpdateClass",
            "{vm_class: {name: small, zones: [z1, z2]}, update_mask: [zones]}");
    desk_ok(desk, "UpdateClass",
            "{vm_class: {name: small}, update_mask: [zones]}");
    desk_ok(desk, "UpdateSettings",
            "{settings: {headroom: warn}, update_mask: [headroom]}");
    desk_ok(desk, "UpdateClass",
            "{vm_class: {name: small, zones: [z1]}, update_mask: [zones]}");
    desk_destroy(desk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(named_resources_are_counted_on_hosts),
        cmocka_unit_test(a_selector_needs_a_host_with_its_labels),
        cmocka_unit_test(a_drain_that_costs_headroom_needs_a_word),
        cmocka_unit_test(a_class_stays_offered_where_headroom_needs_it),
        cmocka_unit_test(enforced_headroom_refuses_before_anything_is_made),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
