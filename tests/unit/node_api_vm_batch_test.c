/* SPDX-License-Identifier: Apache-2.0
 *
 * BatchCreateVms: all or none, placed in one turn. */
#include "node/api_check.h"
#include "node/limits.h"
#include "support/desk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <holdfast/v1/vm_service.pb-c.h>

#define EXEC "template: {driver: exec, command: [/bin/true]}"

static void vms_are_made_and_placed_together(void **unused)
{
    struct desk *desk = desk_create();

    (void)unused;
    desk_ok(desk, "BatchCreateVms",
            "vms: [{name: a, class_name: small, labels: {x: y}, " EXEC "}, "
            "{name: b, class_name: small, zone: z2, " EXEC "}, "
            "{name: c, resources: {cpu_milli: 500, memory_mib: 64}, " EXEC "}, "
            "{name: d, resources: {cpu_milli: 500, memory_mib: 64}, " EXEC
            "}]");
    desk_says(desk, "\"vm_count\":4");
    desk_says(desk, "\"labels\":{\"x\":\"y\"}");
    desk_says_not(desk, "/bin/true");
    assert_int_equal(state_counts(desk->state)->vms, 4);
    assert_int_equal(state_counts(desk->state)->vms_by_state[VM_ASSIGNED], 4);
    assert_int_equal(desk_vm(desk, "c")->class_slot,
                     desk_vm(desk, "d")->class_slot);
    desk_ok(desk, "GetVm", "name: a");
    desk_says(desk, "/bin/true");
    desk_destroy(desk);
}

/* desk_refused() sees to it that nothing has changed. */
static void one_that_is_refused_refuses_all(void **unused)
{
    static const struct {
        const char *vm;
        const char *reason;
        const char *words;
    } cases[] = {
        {"{name: No, class_name: small, " EXEC "}", "INVALID_FIELD",
         "vms[1].name: "},
        {"{name: a, class_name: small, " EXEC "}", "NAME_TAKEN",
         "vms[1]: there is a VM 'a'"},
        {"{name: b, class_name: none, " EXEC "}", "CLASS_NOT_FOUND",
         "vms[1].class_name: "},
        {"{name: b, class_name: small, zone: z9, " EXEC "}", "ZONE_NOT_FOUND",
         "vms[1].zone: "},
        {"{name: b, class_name: small, uid: 7, " EXEC "}", "INVALID_FIELD",
         "vms[1]: uid"},
        {"{name: b, class_name: small, template: {}}", "INVALID_FIELD",
         "vms[1].template"},
        {"{name: b, class_name: small, priority: 1001, " EXEC "}",
         "INVALID_FIELD", "vms[1].priority: "},
    };
    struct desk *desk = desk_create();
    char yaml[512];

    (void)unused;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        snprintf(yaml, sizeof(yaml),
                 "vms: [{name: a, class_name: small, " EXEC "}, %s, "
                 "{name: No2, class_name: small}]",
                 cases[i].vm);
        desk_refused(desk, "BatchCreateVms", yaml, cases[i].reason,
                     cases[i].words);
    }
    desk_refused(desk, "BatchCreateVms", "{}", "INVALID_FIELD", "vms: 0");
    desk_refused(desk, "BatchCreateVms",
                 "{expect_revision: 3, vms: [{name: a, class_name: small, " EXEC
                 "}]}",
                 "INVALID_FIELD", "expect_revision");
    desk_destroy(desk);
}

static void a_dry_run_changes_nothing(void **unused)
{
    struct desk *desk = desk_create();

    (void)unused;
    desk_ok(desk, "BatchCreateVms",
            "{dry_run: true, vms: [{name: a, class_name: small, " EXEC "}, "
            "{name: b, class_name: small, " EXEC "}]}");
    desk_says(desk, "\"vm_count\":2");
    desk_says(desk, "\"state\":\"assigned\"");
    assert_int_equal(state_counts(desk->state)->vms, 0);
    desk_destroy(desk);
}

/* So many VMs, all alike but for their names. */
static void send(struct desk *desk, size_t count, size_t command_bytes,
                 const char *request_id)
{
    Holdfast__V1__BatchCreateVmsRequest request =
        HOLDFAST__V1__BATCH_CREATE_VMS_REQUEST__INIT;
    Holdfast__V1__VmTemplate template = HOLDFAST__V1__VM_TEMPLATE__INIT;
    Holdfast__V1__Vm *vms = calloc(count, sizeof(*vms));
    Holdfast__V1__Vm **list = calloc(count, sizeof(*list));
    char(*names)[32] = calloc(count, sizeof(*names));
    char *argument = calloc(1, command_bytes + 1);
    char id[32];
    char class[] = "small";

    memset(argument, 'x', command_bytes);
    snprintf(id, sizeof(id), "%s", request_id);
    template.driver = HOLDFAST__V1__DRIVER__DRIVER_EXEC;
    template.command = &argument;
    template.n_command = 1;
    for (size_t i = 0; i < count; i++) {
        holdfast__v1__vm__init(&vms[i]);
        snprintf(names[i], sizeof(names[i]), "vm-%zu", i);
        vms[i].name = names[i];
        vms[i].class_name = class;
        vms[i].template_ = &template;
        list[i] = &vms[i];
    }
    request.vms = list;
    request.n_vms = count;
    request.request_id = id;
    desk_send(desk, "BatchCreateVms", &request.base);
    free(argument);
    free(names);
    free(list);
    free(vms);
}

static void a_repetition_makes_nothing_more(void **unused)
{
    struct desk *desk = desk_create();
    uint64_t revision;

    (void)unused;
    send(desk, BATCH_VMS_MAX, 1, "once");
    assert_int_equal(desk->reply.code, RPC_OK);
    desk_says(desk, "\"vm-999\"");
    revision = state_revision(desk->state);
    send(desk, BATCH_VMS_MAX, 1, "once");
    assert_int_equal(desk->reply.code, RPC_OK);
    desk_says(desk, "\"vm_count\":1000");
    desk_says_not(desk, "\"vm-999\"");
    assert_true(state_revision(desk->state) == revision);
    assert_int_equal(state_counts(desk->state)->vms, BATCH_VMS_MAX);
    desk_destroy(desk);
}

static void what_is_too_much_for_one_decision_is_refused(void **unused)
{
    struct desk *desk = desk_create();

    (void)unused;
    send(desk, BATCH_VMS_MAX + 1, 1, "");
    assert_string_equal(desk->reply.reason, "INVALID_FIELD");
    assert_non_null(strstr(desk->reply.message, "vms: 1001 given"));
    send(desk, BATCH_VMS_MAX, 4000, "");
    assert_string_equal(desk->reply.reason, "INVALID_FIELD");
    assert_non_null(strstr(desk->reply.message, "send fewer at once"));
    assert_int_equal(state_counts(desk->state)->vms, 0);
    desk_destroy(desk);
}

/* Three hosts of 8 CPUs, of which two must hold all: 16 VMs, not 17. */
static void headroom_is_that_of_all_together(void **unused)
{
    struct desk *desk = desk_create();

    (void)unused;
    desk_ok(desk, "UpdateSettings",
            "settings: {headroom: enforce}\nupdate_mask: [headroom]");
    desk_settle(desk);
    send(desk, 17, 1, "");
    assert_string_equal(desk->reply.reason, "HEADROOM");
    assert_non_null(strstr(desk->reply.message, "vms[16]: "));
    assert_int_equal(state_counts(desk->state)->vms, 0);
    send(desk, 16, 1, "");
    assert_int_equal(desk->reply.code, RPC_OK);
    desk_destroy(desk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vms_are_made_and_placed_together),
        cmocka_unit_test(one_that_is_refused_refuses_all),
        cmocka_unit_test(a_dry_run_changes_nothing),
        cmocka_unit_test(a_repetition_makes_nothing_more),
        cmocka_unit_test(what_is_too_much_for_one_decision_is_refused),
        cmocka_unit_test(headroom_is_that_of_all_together),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
