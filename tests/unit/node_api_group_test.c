/* SPDX-License-Identifier: Apache-2.0
 *
 * GroupService: what a group takes over, what it shows, and which pairs of
 * rules are refused when they are written. */
#include "base/container.h"
#include "node/api_check.h"
#include "support/desk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define EXEC "template: {driver: exec, command: [/bin/true]}"
#define TEMPLATE \
    "template: {class_name: small, priority: 7, labels: {app: web}, " EXEC "}"
/* A disk of the pool, in an otherwise good template. */
#define WITH_DISK(disk)                                                \
    "template: {class_name: small, template: {driver: qemu, disks: [{" \
    "pool: pool, path: 'v/{name}', " disk "}]}}"

static void member(struct desk *desk, const char *name, const char *group)
{
    char yaml[256];

    snprintf(yaml, sizeof(yaml),
             "vm: {name: %s, class_name: small, group: %s, " EXEC "}", name,
             group);
    desk_ok(desk, "CreateVm", yaml);
}

static void a_group_is_kept_as_it_was_written(void **unused)
{
    struct desk *desk = desk_create();

    (void)unused;
    desk_ok(desk, "CreateGroup",
            "group: {name: web, count: 5, zone_rule: spread, max_skew: 2, "
            "zone_mode: strict, zones: [z1, z3], host_mode: strict, "
            "host_max: 3, max_unavailable: 1, protected: false, " TEMPLATE "}");
    desk_says(desk, "\"name\":\"web\"");
    desk_ok(desk, "GetGroup", "name: web");
    desk_says(desk, "\"count\":5");
    desk_says(desk, "\"zones\":[\"z1\",\"z3\"]");
    desk_says(desk, "\"max_skew\":2");
    desk_says(desk, "\"zone_mode\":\"strict\"");
    desk_says(desk, "\"host_max\":3");
    desk_says(desk, "\"protected\":false");
    desk_says(desk, "\"generation\":1");
    desk_says(desk, "\"class_name\":\"small\"");
    desk_says(desk, "\"labels\":{\"app\":\"web\"}");
    desk_says(desk, "\"command\":[\"/bin/true\"]");
    desk_says(desk, "0 of 5 members are there");
    desk_ok(desk, "ListGroups", "{}");
    desk_says(desk, "\"name\":\"web\"");
    desk_says_not(desk, "/bin/true");
    desk_destroy(desk);
}

static void defaults_are_spread_with_a_skew_of_one_and_protected(void **unused)
{
    struct desk *desk = desk_create();

    (void)unused;
    desk_ok(desk, "CreateGroup", "group: {name: web}");
    desk_says(desk, "\"zone_rule\":\"spread\"");
    desk_says(desk, "\"max_skew\":1");
    desk_says(desk, "\"zone_mode\":\"best_effort\"");
    desk_says(desk, "\"protected\":true");
    desk_says(desk, "\"generation\":0");
    desk_says(desk, "\"healthy\":true");
    desk_destroy(desk);
}

/* One row a pair. */
static void rules_that_can_never_be_kept_are_refused_by_both_names(
    void **unused)
{
    static const struct {
        const char *group;
        const char *one;
        const char *other;
    } rows[] = {
        {"count: 1", "group.count", "group.template"},
        {"max_unavailable: 1", "group.max_unavailable", "group.template"},
        {"zone_rule: together, max_skew: 1", "group.max_skew",
         "group.zone_rule"},
        {"zone_rule: apart, max_skew: 1", "group.max_skew", "group.zone_rule"},
        {"zone_rule: any, max_skew: 1", "group.max_skew", "group.zone_rule"},
        {"zone_rule: apart, zone_mode: strict, count: 4, " TEMPLATE,
         "group.count", "group.zone_rule"},
        {"zone_rule: apart, zone_mode: strict, count: 2, zones: "
         "[z1], " TEMPLATE,
         "group.count", "group.zone_rule"},
        {"domain_max: 1", "group.domain_max", "group.domain_mode"},
        {"domain_max: 1, domain_mode: best_effort", "group.domain_max",
         "group.domain_mode"},
        {"host_max: 1", "group.host_max", "group.host_mode"},
        {"host_max: 1, host_mode: strict, count: 4, " TEMPLATE, "group.count",
         "group.host_max"},
        {"zones: [z3], template: {class_name: west, " EXEC "}", "group.zones",
         "group.template.class_name"},
        {"zones: [z3], " WITH_DISK("kind: replicated, zones: [z1, z2]"),
         "group.zones", "group.template.template.disks"},
        {"template: {class_name: west, template: {driver: qemu, disks: [{kind: "
         "replicated, pool: pool, path: '{name}', zones: [z2, z3]}]}}",
         "group.template.class_name", "group.template.template.disks"},
        {"zones: [z1, z2], template: {class_name: edges, template: {driver: "
         "qemu, disks: [{kind: replicated, pool: pool, path: '{name}', zones: "
         "[z2, z3]}]}}",
         "group.zones", "group.template.class_name and its disks"},
        {"count: 2, template: {class_name: small, template: {driver: qemu, "
         "disks: [{kind: shared, pool: pool, path: one.img}]}}",
         "group.count", "group.template.template.disks"},
        {"protected: true, " WITH_DISK("kind: local"), "group.protected",
         "group.template.template.disks"},
        {"protected: true, template: {class_name: small, preemptible: "
         "true, " EXEC "}",
         "group.protected", "group.template.preemptible"},
        {"protected: true, template: {class_name: small, on_partition: "
         "keep, " EXEC "}",
         "group.protected", "group.template.on_partition"},
        {"protected: true, zones: [z2]", "group.protected", "group.zones"},
        {"protected: true, zone_rule: apart, zone_mode: strict, count: "
         "3, " TEMPLATE,
         "group.protected", "group.zone_rule"},
    };
    struct desk *desk = desk_create();
    char yaml[512];

    (void)unused;
    desk_ok(desk, "CreateClass",
            "vm_class: {name: west, zones: [z1], resources: {cpu_milli: 1, "
            "memory_mib: 1}}");
    desk_ok(desk, "CreateClass",
            "vm_class: {name: edges, zones: [z1, z3], resources: {cpu_milli: "
            "1, memory_mib: 1}}");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        snprintf(yaml, sizeof(yaml), "group: {name: web, %s}", rows[i].group);
        desk_refused(desk, "CreateGroup", yaml, "RULES_CONFLICT", rows[i].one);
        desk_refused(desk, "CreateGroup", yaml, "RULES_CONFLICT",
                     rows[i].other);
    }
    desk_destroy(desk);
}

static void what_is_only_difficult_today_is_accepted(void **unused)
{
    static const char *const groups[] = {
        "zone_rule: apart, count: 4, " TEMPLATE,
        "zone_rule: apart, zone_mode: strict, count: 3, " TEMPLATE,
        "zone_rule: together, zone_mode: strict, count: 30, " TEMPLATE,
        "host_mode: strict, host_max: 1, count: 3, " TEMPLATE,
        "domain_mode: strict, domain_max: 1, count: 9, " TEMPLATE,
        "count: 2, " WITH_DISK("kind: shared"),
        "count: 2, " WITH_DISK("kind: local"),
        "count: 2, template: {class_name: small, template: {driver: qemu, "
        "disks: [{kind: shared, pool: pool, path: one.img, read_only: "
        "true}]}}",
        "count: 1, zones: [z1], " TEMPLATE,
    };
    struct desk *desk = desk_create();
    char yaml[512];

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(groups); i++) {
        snprintf(yaml, sizeof(yaml), "group: {name: web-%zu, %s}", i,
                 groups[i]);
        desk_ok(desk, "CreateGroup", yaml);
    }
    desk_destroy(desk);
}

static void wrong_fields_are_named(void **unused)
{
    static const struct {
        const char *yaml;
        const char *reason;
        const char *words;
    } rows[] = {
        {"{}", "INVALID_FIELD", "group: "},
        {"group: {name: Web}", "INVALID_FIELD", "group.name"},
        {"group: {name: w, uid: 1}", "INVALID_FIELD", "group: uid"},
        {"group: {name: w, count: 100001}", "INVALID_FIELD", "group.count"},
        {"group: {name: w, max_skew: 1001}", "INVALID_FIELD", "group.max_skew"},
        {"group: {name: w, zones: [z9]}", "ZONE_NOT_FOUND", "group.zones"},
        {"group: {name: w, template: {class_name: huge, " EXEC "}}",
         "CLASS_NOT_FOUND", "group.template.class_name"},
        {"group: {name: w, template: {class_name: small}}", "INVALID_FIELD",
         "group.template.template"},
        {"group: {name: w, template: {class_name: small, resources: "
         "{cpu_milli: 1, memory_mib: 1}, " EXEC "}}",
         "INVALID_FIELD", "group.template.class_name, "},
        {"group: {name: w, template: {class_name: small, priority: 1001, " EXEC
         "}}",
         "INVALID_FIELD", "group.template.priority"},
        {"group: {name: w, " WITH_DISK("kind: replicated, zones: [z1]") "}",
         "INVALID_FIELD", "disks[0].zones"},
        {"group: {name: w, " WITH_DISK("kind: shared, zones: [z1, z2]") "}",
         "INVALID_FIELD", "disks[0].zones"},
        {"group: {name: w}\nexpect_revision: 5", "INVALID_FIELD",
         "expect_revision"},
        {"group: {name: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa}",
         "INVALID_FIELD", "group.name: at most 52"},
    };
    struct desk *desk = desk_create();

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        desk_refused(desk, "CreateGroup", rows[i].yaml, rows[i].reason,
                     rows[i].words);
    }
    desk_ok(desk, "CreateGroup", "group: {name: w}");
    desk_refused(desk, "CreateGroup", "group: {name: w}", "NAME_TAKEN", "'w'");
    desk_destroy(desk);
}

static void an_update_changes_what_its_mask_names(void **unused)
{
    struct desk *desk = desk_create();

    (void)unused;
    desk_ok(desk, "CreateGroup",
            "group: {name: web, count: 2, max_skew: 3, " TEMPLATE "}");
    desk_ok(desk, "UpdateGroup",
            "{group: {name: web, max_unavailable: 2, max_skew: 9}, "
            "update_mask: [max_unavailable]}");
    desk_says(desk, "\"max_unavailable\":2");
    desk_says(desk, "\"max_skew\":3");
    desk_says(desk, "\"generation\":1");
    /* A rule that knows no skew takes the one of before along. */
    desk_ok(desk, "UpdateGroup",
            "{group: {name: web, zone_rule: together}, update_mask: "
            "[zone_rule]}");
    desk_says(desk, "\"max_skew\":0");
    desk_refused(desk, "UpdateGroup",
                 "{group: {name: web, max_skew: 1}, update_mask: [max_skew]}",
                 "RULES_CONFLICT", "group.max_skew");
    desk_refused(desk, "UpdateGroup",
                 "{group: {name: web}, update_mask: [count]}", "INVALID_FIELD",
                 "update_mask");
    desk_refused(desk, "UpdateGroup", "{group: {name: web}}", "INVALID_FIELD",
                 "update_mask");
    desk_refused(desk, "UpdateGroup",
                 "{group: {name: none}, update_mask: [zones]}",
                 "GROUP_NOT_FOUND", "none");
    desk_destroy(desk);
}

static void another_template_is_another_generation(void **unused)
{
    struct desk *desk = desk_create();

    (void)unused;
    desk_ok(desk, "CreateGroup", "group: {name: web, count: 2, " TEMPLATE "}");
    desk_ok(desk, "UpdateGroup",
            "{group: {name: web, " TEMPLATE "}, update_mask: [template]}");
    desk_says(desk, "\"generation\":1");
    desk_ok(desk, "UpdateGroup",
            "{group: {name: web, template: {class_name: small, template: "
            "{driver: exec, command: [/bin/false]}}}, update_mask: "
            "[template]}");
    desk_says(desk, "\"generation\":2");
    desk_says(desk, "/bin/false");
    desk_refused(desk, "UpdateGroup",
                 "{group: {name: web}, update_mask: [template]}",
                 "INVALID_FIELD", "group.template");
    desk_destroy(desk);
}

static void a_conflict_that_was_there_already_blocks_no_other_change(
    void **unused)
{
    struct desk *desk = desk_create();

    (void)unused;
    desk_ok(desk, "CreateZone", "name: z4");
    desk_ok(desk, "CreateGroup",
            "group: {name: web, zones: [z4], host_mode: strict, host_max: 1, "
            "count: 9, " TEMPLATE "}");
    desk_host(desk, "h4", "z4", NULL);
    desk_ok(desk, "UpdateGroup",
            "{group: {name: web, max_unavailable: 1}, update_mask: "
            "[max_unavailable]}");
    desk_refused(desk, "UpdateGroup",
                 "{group: {name: web, domain_max: 1}, update_mask: "
                 "[domain_max]}",
                 "RULES_CONFLICT", "group.domain_mode");
    desk_destroy(desk);
}

static void scaling_sets_the_count(void **unused)
{
    struct desk *desk = desk_create();
    uint64_t revision;

    (void)unused;
    desk_ok(desk, "CreateGroup", "group: {name: web, count: 2, " TEMPLATE "}");
    desk_ok(desk, "ScaleGroup", "{name: web, count: 9}");
    desk_says(desk, "\"count\":9");
    revision = state_revision(desk->state);
    desk_ok(desk, "ScaleGroup", "{name: web, count: 9}");
    assert_int_equal(state_revision(desk->state), revision);
    desk_refused(desk, "ScaleGroup", "{name: web, count: 100001}",
                 "INVALID_FIELD", "count");
    desk_refused(desk, "ScaleGroup", "{name: none, count: 1}",
                 "GROUP_NOT_FOUND", "none");
    desk_ok(desk, "CreateGroup", "group: {name: hand}");
    desk_refused(desk, "ScaleGroup", "{name: hand, count: 1}", "RULES_CONFLICT",
                 "group.template");
    desk_destroy(desk);
}

static void vms_join_by_hand_and_keep_a_group_from_going(void **unused)
{
    struct desk *desk = desk_create();

    (void)unused;
    desk_ok(desk, "CreateGroup", "group: {name: db, zones: [z1, z2]}");
    member(desk, "db-a", "db");
    member(desk, "db-b", "db");
    desk_ok(desk, "GetVm", "name: db-a");
    desk_says(desk, "\"group\":\"db\"");
    desk_ok(desk, "GetGroup", "name: db");
    desk_says(desk, "\"member_count\":2");
    desk_ok(desk, "ListVms", "group: db");
    desk_says(desk, "db-b");
    desk_refused(desk, "ListVms", "group: none", "GROUP_NOT_FOUND", "none");
    desk_refused(desk, "CreateVm",
                 "vm: {name: c, class_name: small, zone: z3, group: db, " EXEC
                 "}",
                 "RULES_CONFLICT", "vm.zone");
    desk_refused(desk, "CreateVm",
                 "vm: {name: c, class_name: small, group: none, " EXEC "}",
                 "GROUP_NOT_FOUND", "vm.group");
    desk_refused(desk, "DeleteGroup", "name: db", "GROUP_HAS_JOINED", "2 VMs");
    desk_ok(desk, "DeleteGroup", "{name: db, with_joined: true}");
    desk_says(desk, "\"deleting\":true");
    assert_true(desk_group(desk, "db")->deleting);
    desk_ok(desk, "DeleteGroup", "name: db");
    desk_refused(desk, "ScaleGroup", "{name: db, count: 0}", "GROUP_DELETING",
                 "db");
    desk_refused(desk, "UpdateGroup",
                 "{group: {name: db}, update_mask: [zones]}", "GROUP_DELETING",
                 "db");
    desk_refused(desk, "CreateVm",
                 "vm: {name: c, class_name: small, group: db, " EXEC "}",
                 "GROUP_DELETING", "vm.group");
    desk_destroy(desk);
}

static void an_empty_group_goes_at_once(void **unused)
{
    struct desk *desk = desk_create();

    (void)unused;
    desk_ok(desk, "CreateGroup", "group: {name: web, count: 4, " TEMPLATE "}");
    desk_refused(desk, "DeleteClass", "name: small", "CLASS_IN_USE",
                 "1 group or reservation");
    desk_ok(desk, "DeleteGroup", "name: web");
    desk_refused(desk, "GetGroup", "name: web", "GROUP_NOT_FOUND", "web");
    desk_ok(desk, "DeleteClass", "name: small");
    desk_destroy(desk);
}

static void a_group_says_what_ails_it(void **unused)
{
    struct change change = {.kind = CHANGE_VM_REPORT};
    struct desk *desk = desk_create();
    const struct vm *vm;

    (void)unused;
    desk_ok(desk, "CreateGroup", "group: {name: db, zone_rule: together}");
    desk_ok(desk, "CreateVm",
            "vm: {name: a, class_name: small, zone: z1, group: db, " EXEC "}");
    desk_ok(desk, "GetGroup", "name: db");
    desk_says(desk, "0 of 1 members run");
    vm = desk_vm(desk, "a");
    change.vm_report =
        (struct change_vm_report){{vm->uid}, vm->epoch, VM_RUNNING};
    desk_apply(desk, &change);
    desk_ok(desk, "GetGroup", "name: db");
    desk_says(desk, "\"healthy\":true");
    desk_ok(desk, "CreateVm",
            "vm: {name: b, class_name: small, zone: z2, group: db, " EXEC "}");
    vm = desk_vm(desk, "b");
    change.vm_report =
        (struct change_vm_report){{vm->uid}, vm->epoch, VM_RUNNING};
    desk_apply(desk, &change);
    desk_ok(desk, "GetGroup", "name: db");
    desk_says(desk, "\"healthy\":false");
    desk_says(desk, "shall run in one zone");
    desk_says(desk, "\"skew\":1");
    desk_destroy(desk);
}

static void a_repeated_create_gets_the_first_answer_with_its_template(
    void **unused)
{
    struct desk *desk = desk_create();
    static const char request[] =
        "{request_id: r-1, group: {name: web, count: 1, " TEMPLATE "}}";
    char first[4096];

    (void)unused;
    snprintf(first, sizeof(first), "%s", desk_ok(desk, "CreateGroup", request));
    assert_string_equal(desk_ok(desk, "CreateGroup", request), first);
    desk_says(desk, "/bin/true");
    desk_ok(desk, "UpdateGroup",
            "{group: {name: web, template: {class_name: small, template: "
            "{driver: exec, command: [/bin/false]}}}, update_mask: "
            "[template]}");
    desk_ok(desk, "CreateGroup", request);
    desk_says(desk, "\"generation\":1");
    desk_says_not(desk, "/bin/false");
    desk_destroy(desk);
}

/* It takes no VMs, so it says nothing of how even they are spread. */
static void a_zone_without_hosts_does_not_count_for_the_spread(void **unused)
{
    struct desk *desk = desk_create();

    (void)unused;
    desk_ok(desk, "CreateZone", "name: z4");
    desk_ok(desk, "CreateGroup",
            "group: {name: g, zone_mode: strict, max_skew: 1}");
    for (int i = 0; i < 6; i++) {
        char yaml[256];

        snprintf(yaml, sizeof(yaml),
                 "vm: {name: m%d, class_name: small, group: g, template: "
                 "{driver: exec, command: [/bin/true]}}",
                 i);
        desk_ok(desk, "CreateVm", yaml);
        desk_says(desk, "\"state\":\"assigned\"");
    }
    desk_ok(desk, "GetGroup", "name: g");
    desk_says(desk, "\"skew\":0");
    desk_says_not(desk, "differ");
    desk_destroy(desk);
}

static void lists_choose_groups(void **unused)
{
    struct desk *desk = desk_create();

    (void)unused;
    desk_ok(desk, "CreateGroup", "group: {name: web, count: 1, " TEMPLATE "}");
    desk_ok(desk, "CreateGroup", "group: {name: rules}");
    member(desk, "a", "rules");
    desk_ok(desk, "ListGroups", "filter: app=web");
    desk_says(desk, "\"name\":\"web\"");
    desk_says_not(desk, "\"name\":\"rules\"");
    desk_ok(desk, "ListGroups", "filter: '!app'");
    desk_says_not(desk, "\"name\":\"web\"");
    desk_ok(desk, "ListGroups", "healthy: false");
    desk_says(desk, "\"name\":\"web\""); /* Nobody makes its member here. */
    desk_ok(desk, "ListGroups", "zone: z1");
    desk_says_not(desk, "\"name\":\"web\"");
    desk_refused(desk, "ListGroups", "zone: nowhere", "ZONE_NOT_FOUND",
                 "nowhere");
    desk_refused(desk, "ListGroups", "filter: '=x'", "INVALID_FIELD",
                 "filter: ");
    desk_destroy(desk);
}

static void a_zone_has_the_groups_with_members_there(void **unused)
{
    struct desk *desk = desk_create();
    char yaml[96];

    (void)unused;
    desk_ok(desk, "CreateGroup", "group: {name: rules}");
    member(desk, "a", "rules");
    snprintf(yaml, sizeof(yaml), "zone: %s",
             state_zone_at(
                 desk->state,
                 state_host_at(desk->state, desk_vm(desk, "a")->host)->zone)
                 ->name);
    desk_ok(desk, "ListGroups", yaml);
    desk_says(desk, "\"name\":\"rules\"");
    desk_destroy(desk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_group_is_kept_as_it_was_written),
        cmocka_unit_test(defaults_are_spread_with_a_skew_of_one_and_protected),
        cmocka_unit_test(
            rules_that_can_never_be_kept_are_refused_by_both_names),
        cmocka_unit_test(what_is_only_difficult_today_is_accepted),
        cmocka_unit_test(wrong_fields_are_named),
        cmocka_unit_test(an_update_changes_what_its_mask_names),
        cmocka_unit_test(another_template_is_another_generation),
        cmocka_unit_test(
            a_conflict_that_was_there_already_blocks_no_other_change),
        cmocka_unit_test(scaling_sets_the_count),
        cmocka_unit_test(vms_join_by_hand_and_keep_a_group_from_going),
        cmocka_unit_test(an_empty_group_goes_at_once),
        cmocka_unit_test(a_group_says_what_ails_it),
        cmocka_unit_test(
            a_repeated_create_gets_the_first_answer_with_its_template),
        cmocka_unit_test(a_zone_without_hosts_does_not_count_for_the_spread),
        cmocka_unit_test(lists_choose_groups),
        cmocka_unit_test(a_zone_has_the_groups_with_members_there),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
