/* SPDX-License-Identifier: Apache-2.0
 *
 * Sizes of VMs: classes and their updates, sizes of their own, GPUs and named
 * resources; disks; the settings. */
#include "base/container.h"
#include "node/api_check.h"
#include "support/desk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define EXEC "template: {driver: exec, command: [/bin/true]}"
#define OWN  "resources: {cpu_milli: 1500, memory_mib: 700, disk_gib: 3}"

static uint32_t class_count(const struct desk *desk)
{
    return state_counts(desk->state)->classes;
}

static void a_size_of_its_own_is_no_class_to_anybody(void **unused)
{
    struct desk *desk = desk_create();

    (void)unused;
    desk_ok(desk, "CreateVm", "vm: {name: a, " OWN ", " EXEC "}");
    desk_says(desk, "\"class_name\":\"\"");
    desk_says(desk, "\"cpu_milli\":1500");
    desk_says(desk, "\"state\":\"assigned\"");
    desk_ok(desk, "CreateVm", "vm: {name: b, " OWN ", " EXEC "}");
    assert_int_equal(class_count(desk), 2);
    desk_ok(desk, "ListClasses", "{}");
    desk_says_not(desk, "1500");
    desk_refused(desk, "DeleteClass", "name: =1500m/700Mi/3Gi/0g",
                 "INVALID_FIELD", "name");
    desk_refused(desk, "CreateVm",
                 "vm: {name: c, class_name: small, " OWN ", " EXEC "}",
                 "INVALID_FIELD", "vm.class_name, vm.resources");
    desk_refused(desk, "CreateVm",
                 "vm: {name: c, resources: {cpu_milli: 1}, " EXEC "}",
                 "INVALID_FIELD", "vm.resources.memory_mib");
    desk_refused(desk, "CreateVm", "vm: {name: c, " EXEC "}", "INVALID_FIELD",
                 "vm.class_name");
    desk_destroy(desk);
}

static void a_custom_class_goes_with_its_last_user(void **unused)
{
    struct desk *desk = desk_create();

    (void)unused;
    desk_ok(desk, "CreateVm",
            "vm: {name: a, desired: stopped, " OWN ", " EXEC "}");
    desk_ok(desk, "CreateGroup",
            "group: {name: g, count: 1, template: {" OWN ", " EXEC "}}");
    assert_int_equal(class_count(desk), 2);
    desk_ok(desk, "DeleteVm", "name: a");
    assert_int_equal(class_count(desk), 2);
    desk_ok(desk, "GetGroup", "name: g");
    desk_says(desk, "\"cpu_milli\":1500");
    desk_ok(desk, "UpdateGroup",
            "{group: {name: g, template: {class_name: small, " EXEC
            "}}, update_mask: [template]}");
    assert_int_equal(class_count(desk), 1);
    desk_destroy(desk);
}

static void a_dry_run_leaves_no_class(void **unused)
{
    struct desk *desk = desk_create();

    (void)unused;
    desk_ok(desk, "CreateVm",
            "{dry_run: true, vm: {name: a, " OWN ", " EXEC "}}");
    assert_int_equal(class_count(desk), 1);
    desk_destroy(desk);
}

static void a_region_has_eight_names_of_resources(void **unused)
{
    struct desk *desk = desk_create();
    char yaml[256];

    (void)unused;
    for (int i = 0; i < NAMED_MAX; i++) {
        snprintf(yaml, sizeof(yaml),
                 "vm_class: {name: c%d, resources: {cpu_milli: 1, memory_mib: "
                 "1, named: {n%d: 1}}}",
                 i, i);
        desk_ok(desk, "CreateClass", yaml);
    }
    desk_refused(desk, "CreateClass",
                 "vm_class: {name: c, resources: {cpu_milli: 1, memory_mib: 1, "
                 "named: {n8: 1}}}",
                 "TABLE_FULL", "n0, n1, n2, n3, n4, n5, n6, n7");
    desk_refused(desk, "CreateClass",
                 "vm_class: {name: c, resources: {cpu_milli: 1, memory_mib: 1, "
                 "named: {N: 1}}}",
                 "INVALID_FIELD", "vm_class.resources.named");
    desk_refused(desk, "CreateClass",
                 "vm_class: {name: c, resources: {cpu_milli: 1, memory_mib: 1, "
                 "named: {n1: 1000000001}}}",
                 "INVALID_FIELD", "vm_class.resources.named[n1]");
    desk_refused(desk, "CreateClass",
                 "vm_class: {name: c, resources: {cpu_milli: 1, memory_mib: 1, "
                 "gpu_count: 1025}}",
                 "INVALID_FIELD", "vm_class.resources.gpu_count");
    desk_destroy(desk);
}

static void a_class_changes_its_size_while_nobody_uses_it(void **unused)
{
    struct desk *desk = desk_create();

    (void)unused;
    desk_ok(desk, "CreateVm", "vm: {name: a, class_name: small, " EXEC "}");
    desk_refused(desk, "UpdateClass",
                 "{vm_class: {name: small, resources: {cpu_milli: 2, "
                 "memory_mib: 2}}, update_mask: [resources]}",
                 "CLASS_IN_USE", "VM 'a'");
    desk_ok(desk, "UpdateClass",
            "{vm_class: {name: small, zones: [z2]}, update_mask: [zones]}");
    desk_says(desk, "\"zones\":[\"z2\"]");
    desk_ok(desk, "CreateClass",
            "vm_class: {name: other, resources: {cpu_milli: 1, memory_mib: "
            "1}}");
    desk_ok(desk, "UpdateClass",
            "{vm_class: {name: other, resources: {cpu_milli: 2, memory_mib: 3, "
            "gpu_count: 1, named: {key: 4}}}, update_mask: [resources]}");
    desk_says(desk, "\"memory_mib\":3");
    desk_says(desk, "\"key\":4");
    desk_refused(desk, "UpdateClass", "{vm_class: {name: other}}",
                 "INVALID_FIELD", "update_mask");
    desk_refused(desk, "UpdateClass",
                 "{vm_class: {name: other}, update_mask: [name]}",
                 "INVALID_FIELD", "update_mask");
    desk_refused(desk, "UpdateClass",
                 "{vm_class: {name: none}, update_mask: [zones]}",
                 "CLASS_NOT_FOUND", "none");
    desk_refused(desk, "UpdateClass", "update_mask: [zones]", "INVALID_FIELD",
                 "vm_class");
    desk_destroy(desk);
}

static void a_group_keeps_a_zone_that_offers_its_class(void **unused)
{
    struct desk *desk = desk_create();

    (void)unused;
    desk_ok(desk, "CreateGroup",
            "group: {name: web, zones: [z1, z2], template: {class_name: "
            "small, " EXEC "}}");
    desk_refused(desk, "UpdateClass",
                 "{vm_class: {name: small, zones: [z3]}, update_mask: "
                 "[zones]}",
                 "RULES_CONFLICT", "group 'web'");
    desk_ok(desk, "UpdateClass",
            "{vm_class: {name: small, zones: [z2, z3]}, update_mask: "
            "[zones]}");
    desk_destroy(desk);
}

static void disks_say_where_a_vm_may_run(void **unused)
{
    static const struct {
        const char *disks;
        const char *reason; /* NULL: it is well. */
        const char *words;
    } rows[] = {
        {"{kind: local, pool: pool, path: a}", NULL, NULL},
        {"{kind: replicated, pool: pool, path: a, zones: [z1, z2]}", NULL,
         NULL},
        {"{kind: replicated, pool: pool, path: a, zones: [z1]}",
         "INVALID_FIELD", "vm.template.disks[0].zones"},
        {"{kind: replicated, pool: pool, path: a, zones: [z1, z1]}",
         "INVALID_FIELD", "vm.template.disks[0].zones"},
        {"{kind: replicated, pool: pool, path: a, zones: [z1, z9]}",
         "ZONE_NOT_FOUND", "vm.template.disks[0].zones"},
        {"{kind: replicated, pool: none, path: a, zones: [z1, z2]}",
         "POOL_UNKNOWN", "vm.template.disks[0].pool"},
        {"{kind: local, pool: pool, path: /a}", "INVALID_FIELD",
         "vm.template.disks[0].path"},
        {"{kind: replicated, pool: pool, path: a, zones: [z1, z2]}, {kind: "
         "replicated, pool: pool, path: b, zones: [z1, z3]}",
         NULL, NULL},
        {"{kind: replicated, pool: pool, path: a, zones: [z1, z2]}, {kind: "
         "replicated, pool: pool, path: b, zones: [z3, z4]}",
         "RULES_CONFLICT", "vm.template.disks[1].zones"},
        {"{pool: pool, path: a}", "INVALID_FIELD", "vm.template.disks[0].kind"},
    };
    struct desk *desk = desk_create();
    char yaml[512];

    (void)unused;
    desk_ok(desk, "CreateZone", "name: z4");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        snprintf(yaml, sizeof(yaml),
                 "vm: {name: v%zu, class_name: small, template: {driver: qemu, "
                 "disks: [%s]}}",
                 i, rows[i].disks);
        if (rows[i].reason == NULL) {
            desk_ok(desk, "CreateVm", yaml);
        } else {
            desk_refused(desk, "CreateVm", yaml, rows[i].reason, rows[i].words);
        }
    }
    desk_refused(desk, "CreateVm",
                 "vm: {name: w, class_name: small, zone: z3, template: "
                 "{driver: qemu, disks: [{kind: replicated, pool: pool, path: "
                 "a, zones: [z1, z2]}]}}",
                 "RULES_CONFLICT", "vm.zone");
    assert_true(desk_vm(desk, "v0")->local_disk);
    assert_int_equal(desk_vm(desk, "v1")->disk_zone_mask, 3);
    assert_int_equal(desk_vm(desk, "v7")->disk_zone_mask, 1);
    desk_destroy(desk);
}

static void wishes_of_a_vm_are_kept_and_shown(void **unused)
{
    struct desk *desk = desk_create();

    (void)unused;
    desk_ok(desk, "CreateVm",
            "vm: {name: a, class_name: small, preemptible: true, "
            "host_selector: {rack: r1}, " EXEC "}");
    desk_says(desk, "\"preemptible\":true");
    desk_says(desk, "\"host_selector\":{\"rack\":\"r1\"}");
    desk_ok(desk, "UpdateVm", "{vm: {name: a}, update_mask: [preemptible]}");
    desk_says(desk, "\"preemptible\":false");
    desk_ok(desk, "UpdateVm",
            "{vm: {name: a, preemptible: true, priority: 5}, update_mask: "
            "[preemptible]}");
    desk_says(desk, "\"preemptible\":true");
    desk_says(desk, "\"priority\":0");
    desk_says(desk, "\"host_selector\":{\"rack\":\"r1\"}");
    desk_destroy(desk);
}

static void settings_of_both_kinds_change_as_one(void **unused)
{
    struct desk *desk = desk_create();

    (void)unused;
    desk_ok(desk, "GetSettings", "{}");
    desk_says(desk, "\"headroom\":\"warn\"");
    desk_says(desk, "\"preempt_max\":4");
    desk_ok(desk, "UpdateSettings",
            "{settings: {preempt_max: 0, start_parallel: 9, rebalance: auto}, "
            "update_mask: [preempt_max, start_parallel, rebalance]}");
    desk_says(desk, "\"preempt_max\":0");
    desk_says(desk, "\"start_parallel\":9");
    desk_says(desk, "\"rebalance\":\"auto\"");
    /* What is not written is the default. */
    desk_ok(desk, "UpdateSettings",
            "{settings: {}, update_mask: [preempt_max]}");
    desk_says(desk, "\"preempt_max\":4");
    desk_refused(desk, "UpdateSettings",
                 "{settings: {zone_moves: 10001, start_parallel: 5}, "
                 "update_mask: [zone_moves, start_parallel]}",
                 "INVALID_FIELD", "zone_moves");
    desk_refused(desk, "UpdateSettings",
                 "{settings: {zone_moves: 5, start_parallel: 5000}, "
                 "update_mask: [zone_moves, start_parallel]}",
                 "INVALID_FIELD", "settings.start_parallel: ");
    desk_ok(desk, "GetSettings", "{}");
    desk_says(desk, "\"zone_moves\":10");
    desk_says(desk, "\"start_parallel\":9");
    desk_destroy(desk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_size_of_its_own_is_no_class_to_anybody),
        cmocka_unit_test(a_custom_class_goes_with_its_last_user),
        cmocka_unit_test(a_dry_run_leaves_no_class),
        cmocka_unit_test(a_region_has_eight_names_of_resources),
        cmocka_unit_test(a_class_changes_its_size_while_nobody_uses_it),
        cmocka_unit_test(a_group_keeps_a_zone_that_offers_its_class),
        cmocka_unit_test(disks_say_where_a_vm_may_run),
        cmocka_unit_test(wishes_of_a_vm_are_kept_and_shown),
        cmocka_unit_test(settings_of_both_kinds_change_as_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
