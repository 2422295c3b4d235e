/* SPDX-License-Identifier: Apache-2.0
 *
 * update_mask means the same in every update: it names what is taken. */
#include "base/container.h"
#include "node/api_check.h"
#include "support/desk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define EXEC "template: {driver: exec, command: [/bin/true]}"

/* One row an update. */
static const struct {
    const char *method;
    const char *object; /* As it is named, with its name. */
    const char *field;  /* Of it, with another value. */
    const char *path;
    const char *says;
} updates[] = {
    {"UpdateVm", "vm: {name: a", "priority: 7", "priority", "\"priority\":7"},
    {"UpdateVm", "vm: {name: a", "labels: {x: y}", "labels",
     "\"labels\":{\"x\":\"y\"}"},
    {"UpdateVm", "vm: {name: a", "preemptible: true", "preemptible",
     "\"preemptible\":true"},
    {"UpdateVm", "vm: {name: a", "on_partition: keep", "on_partition",
     "\"on_partition\":\"keep\""},
    {"UpdateClass", "vm_class: {name: small", "zones: [z1]", "zones",
     "\"zones\":[\"z1\"]"},
    {"UpdateClass", "vm_class: {name: small",
     "resources: {cpu_milli: 2, memory_mib: 2}", "resources",
     "\"cpu_milli\":2"},
    {"UpdateGroup", "group: {name: rules", "host_max: 0, zones: [z2]", "zones",
     "\"zones\":[\"z2\"]"},
    {"UpdateReservation", "reservation: {name: room", "count: 9", "count",
     "\"count\":9"},
    {"UpdateSettings", "settings: {", "start_parallel: 9", "start_parallel",
     "\"start_parallel\":9"},
};

static struct desk *opened(void)
{
    struct desk *desk = desk_create();

    desk_ok(desk, "CreateVm",
            "vm: {name: a, class_name: small, desired: stopped, " EXEC "}");
    desk_ok(desk, "CreateGroup", "group: {name: rules}");
    desk_ok(desk, "CreateReservation",
            "reservation: {name: room, zone: z1, class_name: small, count: 1}");
    return desk;
}

static const char *request(size_t i, const char *more, const char *mask)
{
    static char yaml[512];
    bool named = strstr(updates[i].object, "name") != NULL;

    snprintf(yaml, sizeof(yaml), "{%s%s%s%s}, update_mask: [%s]}",
             updates[i].object, named ? ", " : "", updates[i].field, more,
             mask);
    return yaml;
}

static void a_mask_names_what_is_taken(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(updates); i++) {
        struct desk *desk = opened();

        desk_ok(desk, updates[i].method, request(i, "", updates[i].path));
        desk_says(desk, updates[i].says);
        desk_destroy(desk);
    }
}

static void a_mask_is_given_and_names_what_can_be_changed(void **unused)
{
    static const char *const wrong[] = {"",
                                        "name",
                                        "uid",
                                        "no_such",
                                        "'*'",
                                        "vm.priority",
                                        "'priority,labels'"};
    struct desk *desk = opened();

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(updates); i++) {
        for (size_t j = 0; j < ARRAY_LEN(wrong); j++) {
            desk_refused(desk, updates[i].method, request(i, "", wrong[j]),
                         "INVALID_FIELD", "update_mask");
        }
    }
    desk_destroy(desk);
}

/* Nor does a value that would be wrong matter. */
static void what_is_not_named_is_not_looked_at(void **unused)
{
    struct desk *desk = opened();

    (void)unused;
    desk_ok(desk, "UpdateVm",
            "{vm: {name: a, preemptible: true, priority: 5000, labels: {'': "
            "x}, class_name: none}, update_mask: "
            "[preemptible]}");
    desk_says(desk, "\"priority\":0");
    desk_ok(desk, "UpdateClass",
            "{vm_class: {name: small, zones: [z1], resources: {}, uid: 7}, "
            "update_mask: [zones, zones]}");
    desk_ok(desk, "UpdateReservation",
            "{reservation: {name: room, count: 2, zone: nowhere}, "
            "update_mask: [count]}");
    desk_ok(desk, "UpdateGroup",
            "{group: {name: rules, zones: [z1], max_skew: 4000000}, "
            "update_mask: [zones]}");
    desk_ok(desk, "UpdateSettings",
            "{settings: {start_parallel: 5, lease_wait_ms: 1}, update_mask: "
            "[start_parallel]}");
    desk_destroy(desk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_mask_names_what_is_taken),
        cmocka_unit_test(a_mask_is_given_and_names_what_can_be_changed),
        cmocka_unit_test(what_is_not_named_is_not_looked_at),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
