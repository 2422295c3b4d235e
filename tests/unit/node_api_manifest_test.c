/* SPDX-License-Identifier: Apache-2.0
 *
 * ApplyManifest: all or nothing, in an order in which things can rest on each
 * other, once, and the same again changes nothing. */
#include "base/container.h"
#include "node/api_check.h"
#include "node/limits.h"
#include "support/desk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <holdfast/v1/manifest_service.pb-c.h>

#define APPLY "ApplyManifest"
#define EXEC  "template: {driver: exec, command: [/bin/true]}"
#define ZONES "zones: [{name: z1}, {name: z2}, {name: z3}]"
#define CLASSES                                                     \
    "classes: [{name: small, resources: {cpu_milli: 1000, "         \
    "memory_mib: 1024}}, {name: tiny, resources: {cpu_milli: 100, " \
    "memory_mib: 64, named: {ports: 0}}, zones: [z3, z1]}]"
#define GROUPS                                                     \
    "groups: [{name: web, count: 2, template: {class_name: tiny, " \
    "labels: {b: '2', a: '1'}, " EXEC "}}, {name: pair, zone_rule: apart}]"
#define RESERVATIONS \
    "reservations: [{name: spare, zone: z1, class_name: tiny, count: 3}]"
#define VMS                                                            \
    "vms: [{name: one, class_name: tiny, group: pair, labels: {x: y, " \
    "a: b}, " EXEC "}, {name: two, resources: {cpu_milli: 500, "       \
    "memory_mib: 10}, desired: stopped, priority: 7, " EXEC "}]"
#define FLEET                                                 \
    VMS ", " RESERVATIONS ", " GROUPS ", " CLASSES ", " ZONES \
        ", settings: {headroom: off}"

#define LONG(n) \
    "{name: zone-with-a-rather-long-name-so-that-it-takes-its-room-" n "}"
/* More than is kept of an answer. */
#define MANY                                                                                                \
    VMS ", " RESERVATIONS ", " GROUPS ", " CLASSES                                                          \
        ", zones: [{name: z1}, {name: z2}, {name: z3}, " LONG("0") ", " LONG("1") ", " LONG("2") ", " LONG( \
            "3") ", " LONG("4") ", " LONG("5") ", " LONG("6") ", " LONG("7") ", " LONG("8") ", " LONG("9") "]"

static void all_of_it_is_one_entry_whatever_rests_on_what(void **unused)
{
    struct desk *desk = desk_create();
    uint64_t entries = desk->turn.entries;

    (void)unused;
    desk_ok(desk, APPLY, "manifest: {" FLEET "}");
    assert_int_equal(desk->turn.entries, entries + 1);
    desk_says(desk, "\"created_count\":6");
    desk_says(desk, "\"updated_count\":1");
    desk_says(desk, "\"unchanged_count\":4");
    desk_says(desk, "{\"kind\":\"settings\",\"name\":\"\",\"action\":"
                    "\"updated\",\"fields\":[\"headroom\"]");
    desk_says(desk, "\"headroom\":\"warn\"");
    assert_non_null(desk_vm(desk, "one"));
    assert_int_equal(desk_vm(desk, "one")->state, VM_PENDING);
    assert_int_equal(desk_vm(desk, "two")->state, VM_STOPPED);
    assert_int_equal(desk_group(desk, "web")->count, 2);
    desk_destroy(desk);
}

static void the_same_again_changes_nothing(void **unused)
{
    struct desk *desk = desk_create();
    uint64_t hash;

    (void)unused;
    desk_ok(desk, APPLY, "manifest: {" FLEET "}");
    hash = state_hash(desk->state);
    desk_ok(desk, APPLY, "{manifest: {" FLEET "}, prune: true}");
    desk_says(desk, "\"created_count\":0");
    desk_says(desk, "\"updated_count\":0");
    desk_says(desk, "\"deleted_count\":0");
    desk_says(desk, "\"kept_count\":0");
    desk_says(desk, "\"unchanged_count\":11");
    assert_int_equal(state_hash(desk->state), hash);
    desk_destroy(desk);
}

/* One row: an otherwise good manifest with one thing that is wrong. */
static void the_first_thing_wrong_refuses_all_and_is_named(void **unused)
{
    static const struct {
        const char *manifest;
        const char *reason;
        const char *words;
    } rows[] = {
        {"vms: [{name: a, class_name: small, " EXEC "}, {name: b, class_name: "
         "none, " EXEC "}]",
         "CLASS_NOT_FOUND", "vms[1].class_name: "},
        {"vms: [{name: a, class_name: small, " EXEC "}, {name: b, class_name: "
         "small, template: {driver: qemu, disks: [{kind: shared, pool: none, "
         "path: x}]}}]",
         "POOL_UNKNOWN", "vms[1].template.disks[0].pool: "},
        {"vms: [{name: a, class_name: small, " EXEC "}, {name: a, class_name: "
         "small, " EXEC "}]",
         "INVALID_FIELD", "vms[1].name: 'a' stands in the manifest twice"},
        {"vms: [{name: a, class_name: small, uid: 7, " EXEC "}]",
         "INVALID_FIELD", "vms[0].uid: is given by Holdfast"},
        {"vms: [{name: A, class_name: small, " EXEC "}]", "INVALID_FIELD",
         "vms[0].name: "},
        {"zones: [{name: z9}, {name: 'z 8'}]", "INVALID_FIELD",
         "zones[1].name: "},
        {"zones: [{name: z9, state: up}]", "INVALID_FIELD", "zones[0].state: "},
        {"classes: [{name: new, resources: {cpu_milli: 1, memory_mib: 1}}, "
         "{name: bad, resources: {cpu_milli: 1}}]",
         "INVALID_FIELD", "classes[1].resources.memory_mib: "},
        {"zones: [{name: z9}], groups: [{name: g, count: 3}]", "RULES_CONFLICT",
         "groups[0]: group 'g': group.count"},
        {"reservations: [{name: r, zone: z1, class_name: small}]",
         "INVALID_FIELD", "reservations[0].count: "},
        {"settings: {lease_run_ms: 5000}, zones: [{name: z9}]",
         "UNSAFE_SETTINGS", "settings.lease_wait_ms: "},
        {"settings: {storm_permille: 1001}", "INVALID_FIELD",
         "settings.storm_permille: must be 1 to 1000"},
        {"settings: {revision: 5}", "INVALID_FIELD", "settings.revision: "},
    };
    struct desk *desk = desk_create();

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char yaml[1024];

        snprintf(yaml, sizeof(yaml), "manifest: {%s}", rows[i].manifest);
        desk_refused(desk, APPLY, yaml, rows[i].reason, rows[i].words);
    }
    desk_refused(desk, APPLY, "{}", "INVALID_FIELD", "manifest: must be given");
    desk_refused(desk, APPLY,
                 "{manifest: {settings: {headroom: off}}, prune: true}",
                 "INVALID_FIELD", "prune: the manifest names no zone");
    desk_destroy(desk);
}

static void what_differs_is_changed_and_told_as_it_was(void **unused)
{
    struct desk *desk = desk_create();

    (void)unused;
    desk_ok(desk, APPLY, "manifest: {" FLEET "}");
    desk_ok(desk, APPLY,
            "manifest: {zones: [{name: z2, cordoned: true}], classes: [{name: "
            "tiny, resources: {cpu_milli: 100, memory_mib: 64}, zones: [z1, "
            "z2, z3]}], groups: [{name: web, count: 5, max_skew: 2, template: "
            "{class_name: tiny, labels: {a: '1', b: '2'}, " EXEC
            "}}], reservations: [{name: spare, zone: z1, class_name: tiny, "
            "count: 4}], vms: [{name: one, class_name: tiny, group: pair, "
            "priority: 9, desired: stopped, labels: {x: z}, " EXEC
            "}, {name: two, resources: {cpu_milli: 500, memory_mib: 10}, "
            "priority: 7, " EXEC "}]}");
    desk_says(desk, "\"updated_count\":6");
    desk_says(desk, "\"fields\":[\"cordoned\"]");
    desk_says(desk, "\"fields\":[\"zones\"]");
    desk_says(desk, "\"fields\":[\"count\",\"max_skew\"]");
    desk_says(desk, "\"fields\":[\"priority\",\"desired\",\"labels\"]");
    desk_says(desk, "\"labels\":{\"a\":\"b\",\"x\":\"y\"}");
    assert_int_equal(desk_vm(desk, "one")->priority, 9);
    assert_int_equal(desk_vm(desk, "one")->state, VM_STOPPED);
    assert_int_equal(desk_vm(desk, "two")->state, VM_PENDING);
    assert_int_equal(desk_group(desk, "web")->count, 5);
    /* The template says the same: members are not made anew. */
    assert_int_equal(desk_group(desk, "web")->generation, 1);
    desk_destroy(desk);
}

static void what_cannot_be_changed_is_refused_by_its_name(void **unused)
{
    static const struct {
        const char *manifest;
        const char *words;
    } rows[] = {
        {"vms: [{name: one, class_name: small, group: pair, labels: {x: y, a: "
         "b}, " EXEC "}]",
         "vms[0].class_name: that of VM 'one' is 'tiny'"},
        {"vms: [{name: one, class_name: tiny, labels: {x: y, a: b}, " EXEC "}]",
         "vms[0].group: that of VM 'one' is 'pair'"},
        {"vms: [{name: one, class_name: tiny, group: pair, zone: z1, " EXEC
         "}]",
         "vms[0].zone: that of VM 'one' has none"},
        {"vms: [{name: one, class_name: tiny, group: pair, template: {driver: "
         "exec, command: [/bin/false]}}]",
         "vms[0].template: that of VM 'one' is another one"},
        {"reservations: [{name: spare, zone: z2, class_name: tiny, count: 3}]",
         "reservations[0].zone: that of reservation 'spare' is 'z1'"},
    };
    struct desk *desk = desk_create();

    (void)unused;
    desk_ok(desk, APPLY, "manifest: {" FLEET "}");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char yaml[1024];

        snprintf(yaml, sizeof(yaml), "manifest: {zones: [{name: z9}], %s}",
                 rows[i].manifest);
        desk_refused(desk, APPLY, yaml, "FIELD_FIXED", rows[i].words);
    }
    desk_destroy(desk);
}

static void without_prune_what_is_not_named_stays(void **unused)
{
    struct desk *desk = desk_create();

    (void)unused;
    desk_ok(desk, APPLY, "manifest: {" FLEET "}");
    desk_ok(desk, APPLY, "manifest: {zones: [{name: z1}]}");
    desk_says(desk, "\"deleted_count\":0");
    assert_non_null(desk_vm(desk, "one"));
    desk_destroy(desk);
}

static void prune_deletes_what_is_not_named_and_tells_what_stays(void **unused)
{
    struct desk *desk = desk_create();

    (void)unused;
    desk_ok(desk, APPLY, "manifest: {" FLEET "}");
    desk_ok(desk, "CreateVm", "vm: {name: runs, class_name: tiny, " EXEC "}");
    assert_int_equal(desk_vm(desk, "runs")->state, VM_ASSIGNED);
    desk_ok(desk, APPLY,
            "{manifest: {zones: [{name: z1}, {name: z2}], classes: [{name: "
            "small, resources: {cpu_milli: 1000, memory_mib: 1024}}]}, prune: "
            "true}");
    /* VMs one, two and runs, both groups, the reservation. */
    desk_says(desk, "\"deleted_count\":6");
    desk_says(desk, "\"kept_count\":2");
    desk_says(desk, "what is of this class is still being deleted");
    desk_says(desk, "zones are never deleted");
    assert_null(state_vm_named(desk->state, text_of("one")));
    assert_true(desk_vm(desk, "runs")->deleting);
    assert_null(state_group_named(desk->state, text_of("web")));
    /* What is on its way out is not named again. */
    desk_ok(desk, APPLY,
            "{manifest: {zones: [{name: z1}]}, prune: true, dry_run: true}");
    desk_says(desk, "\"deleted_count\":1");
    desk_says(desk, "\"name\":\"small\",\"action\":\"deleted\"");
    desk_refused(desk, APPLY,
                 "manifest: {vms: [{name: runs, class_name: tiny, " EXEC "}]}",
                 "VM_DELETING", "vms[0].name: ");
    desk_destroy(desk);
}

static void prune_refuses_what_something_named_still_needs(void **unused)
{
    struct desk *desk = desk_create();

    (void)unused;
    desk_ok(desk, APPLY, "manifest: {" FLEET "}");
    desk_refused(desk, APPLY,
                 "{manifest: {" VMS ", " CLASSES ", " ZONES "}, prune: true}",
                 "GROUP_HAS_JOINED",
                 "prune: group 'pair' is not in the manifest");
    desk_refused(desk, APPLY,
                 "{manifest: {" VMS ", " GROUPS ", " ZONES "}, prune: true}",
                 "CLASS_IN_USE", "prune: class 'tiny' is not in the manifest");
    desk_destroy(desk);
}

static void a_dry_run_tells_all_and_changes_nothing(void **unused)
{
    struct desk *desk = desk_create();
    uint64_t hash = state_hash(desk->state);

    (void)unused;
    desk_ok(desk, APPLY, "{manifest: {" FLEET "}, dry_run: true}");
    desk_says(desk, "\"created_count\":6");
    assert_int_equal(state_hash(desk->state), hash);
    desk_ok(desk, APPLY, "manifest: {" FLEET "}");
    desk_says(desk, "\"created_count\":6");
    desk_destroy(desk);
}

static void a_small_answer_is_repeated_as_it_was(void **unused)
{
    static const char *const once =
        "{manifest: {zones: [{name: z4}]}, request_id: once}";
    struct desk *desk = desk_create();
    char *first;

    (void)unused;
    first = strdup(desk_ok(desk, APPLY, once));
    assert_string_equal(desk_ok(desk, APPLY, once), first);
    desk_says(desk, "\"name\":\"z4\",\"action\":\"created\"");
    free(first);
    desk_destroy(desk);
}

static void a_repeated_request_gets_the_counts_and_one_effect(void **unused)
{
    struct desk *desk = desk_create();
    uint64_t hash;

    (void)unused;
    desk_ok(desk, APPLY, "{manifest: {" MANY "}, request_id: once}");
    desk_says(desk, "\"brief\":false");
    desk_ok(desk, "DeleteVm", "name: two");
    hash = state_hash(desk->state);
    desk_ok(desk, APPLY, "{manifest: {" MANY "}, request_id: once}");
    desk_says(desk, "\"brief\":true");
    desk_says(desk, "\"created_count\":16");
    desk_says(desk, "\"objects\":[]");
    assert_int_equal(state_hash(desk->state), hash);
    assert_null(state_vm_named(desk->state, text_of("two")));
    desk_refused(desk, APPLY, "{manifest: {}, request_id: once}",
                 "REQUEST_ID_REUSED", "once");
    desk_destroy(desk);
}

static void what_somebody_changed_since_is_not_overwritten(void **unused)
{
    struct desk *desk = desk_create();
    uint64_t revision;
    char yaml[512];

    (void)unused;
    desk_ok(desk, APPLY, "manifest: {" FLEET "}");
    desk_refused(desk, APPLY, "{manifest: {}, expect_revision: 99999}",
                 "REVISION_CONFLICT", "not yet at 99999");
    revision = state_revision(desk->state);
    desk_ok(desk, "UpdateVm",
            "{vm: {name: two, priority: 8}, update_mask: "
            "[priority]}");
    snprintf(yaml, sizeof(yaml),
             "{manifest: {vms: [{name: two, resources: {cpu_milli: 500, "
             "memory_mib: 10}, desired: stopped, priority: 7, " EXEC
             "}]}, expect_revision: %llu}",
             (unsigned long long)revision);
    desk_refused(desk, APPLY, yaml, "REVISION_CONFLICT",
                 "VM 'two' was changed at revision");
    snprintf(yaml, sizeof(yaml),
             "{manifest: {" CLASSES ", " ZONES ", " GROUPS
             "}, prune: true, expect_revision: %llu}",
             (unsigned long long)revision);
    desk_refused(desk, APPLY, yaml, "REVISION_CONFLICT", "VM 'two'");
    desk_destroy(desk);
}

static void members_of_a_template_are_the_groups_own(void **unused)
{
    struct desk *desk = desk_create();
    struct change change = {.kind = CHANGE_VM_CREATE};

    (void)unused;
    desk_ok(desk, APPLY, "manifest: {" FLEET "}");
    change.vm_create = (struct change_vm_create){
        .name = text_of("web-1"),
        .class = {state_class_named(desk->state, text_of("tiny"))->uid},
        .on_partition = ON_PARTITION_MOVE,
        .desired = DESIRED_STOPPED,
        .driver = DRIVER_EXEC,
        .group = {desk_group(desk, "web")->uid},
        .template_generation = 1,
    };
    desk_apply(desk, &change);
    desk_ok(desk, APPLY, "{manifest: {" FLEET "}, prune: true}");
    desk_says(desk, "\"deleted_count\":0");
    desk_refused(desk, APPLY,
                 "manifest: {vms: [{name: web-1, class_name: tiny, " EXEC "}]}",
                 "NAME_TAKEN", "vms[0].name: VM 'web-1' is made from");
    desk_destroy(desk);
}

static void hosts_are_left_aside_with_a_note(void **unused)
{
    struct desk *desk = desk_create();

    (void)unused;
    desk_ok(desk, APPLY, "manifest: {hosts: [{name: h1}, {name: h9}]}");
    desk_says(desk, "2 hosts are left aside");
    desk_destroy(desk);
}

/* Each of two would find room that the loss of a zone leaves; both do not. */
static void with_enforced_headroom_all_is_proved_together(void **unused)
{
    static const char *const fleet =
        "manifest: {settings: {headroom: enforce}, classes: [{name: big, "
        "resources: {cpu_milli: 8000, memory_mib: 64}}], vms: [{name: a, "
        "class_name: big, " EXEC "}, {name: b, class_name: big, " EXEC
        "}, {name: c, class_name: big, " EXEC "}]}";
    struct desk *desk = desk_create();

    (void)unused;
    desk_ok(desk, "UpdateSettings",
            "{settings: {headroom: enforce}, update_mask: [headroom]}");
    desk_settle(desk);
    desk_refused(desk, APPLY, fleet, "HEADROOM", "vms[2]: headroom: ");
    assert_null(state_vm_named(desk->state, text_of("a")));
    desk_destroy(desk);
}

static void what_does_not_fit_one_entry_is_refused_before_anything(
    void **unused)
{
    struct desk *desk = desk_create();
    char program[300] = "/bin/";

    (void)unused;
    memset(program + strlen(program), 'x', 240);
    desk_apply_vms(desk, 9000, program);
    assert_int_equal(desk->reply.code, RPC_RESOURCE_EXHAUSTED);
    assert_string_equal(desk->reply.reason, "MANIFEST_TOO_LARGE");
    assert_non_null(strstr(desk->reply.message, "split the file"));
    assert_null(state_vm_named(desk->state, text_of("vm-0")));
    desk_destroy(desk);
}

static void ten_thousand_vms_are_one_entry(void **unused)
{
    struct desk *desk = desk_create();
    uint64_t bytes = desk->turn.entry_bytes;
    char program[] = "/usr/bin/a-program-of-some-length";

    (void)unused;
    desk_apply_vms(desk, 10000, program);
    assert_int_equal(desk->reply.code, RPC_OK);
    assert_int_equal(state_counts(desk->state)->vms, 10000);
    assert_in_range(desk->turn.entry_bytes - bytes, 0,
                    MANIFEST_ENTRY_BYTES_MAX);
    desk_destroy(desk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_of_it_is_one_entry_whatever_rests_on_what),
        cmocka_unit_test(the_same_again_changes_nothing),
        cmocka_unit_test(the_first_thing_wrong_refuses_all_and_is_named),
        cmocka_unit_test(what_differs_is_changed_and_told_as_it_was),
        cmocka_unit_test(what_cannot_be_changed_is_refused_by_its_name),
        cmocka_unit_test(without_prune_what_is_not_named_stays),
        cmocka_unit_test(prune_deletes_what_is_not_named_and_tells_what_stays),
        cmocka_unit_test(prune_refuses_what_something_named_still_needs),
        cmocka_unit_test(a_dry_run_tells_all_and_changes_nothing),
        cmocka_unit_test(a_small_answer_is_repeated_as_it_was),
        cmocka_unit_test(a_repeated_request_gets_the_counts_and_one_effect),
        cmocka_unit_test(what_somebody_changed_since_is_not_overwritten),
        cmocka_unit_test(members_of_a_template_are_the_groups_own),
        cmocka_unit_test(hosts_are_left_aside_with_a_note),
        cmocka_unit_test(with_enforced_headroom_all_is_proved_together),
        cmocka_unit_test(
            what_does_not_fit_one_entry_is_refused_before_anything),
        cmocka_unit_test(ten_thousand_vms_are_one_entry),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
