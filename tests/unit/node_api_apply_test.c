/* SPDX-License-Identifier: Apache-2.0
 *
 * What is applied is an operation: of all that it set in motion, known until it
 * is over and after that, within bounds. */
#include "base/container.h"
#include "base/random.h"
#include "node/applies.h"
#include "node/apply_control.h"
#include "node/limits.h"
#include "support/desk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define APPLY    "ApplyManifest"
#define EXEC     "template: {driver: exec, command: [/bin/true]}"
#define VM(name) "{name: " name ", class_name: small, " EXEC "}"

static struct operation_ref newest(const struct desk *desk)
{
    return operation_of_apply(desk->state, state_apply_newest(desk->state));
}

static enum operation_state judged(const struct desk *desk,
                                   const struct operation_ref *ref,
                                   struct operation *operation)
{
    assert_true(operation_judge(desk->state, ref, OPERATION_WHOLE, operation));
    return operation->state;
}

static void ask(struct desk *desk, const char *method,
                const struct operation_ref *ref)
{
    char name[OPERATION_NAME_BYTES];
    char yaml[OPERATION_NAME_BYTES + 16];

    operation_name(ref, name);
    (void)snprintf(yaml, sizeof(yaml), "name: %s", name);
    desk_ok(desk, method, yaml);
}

static void assign(struct desk *desk, const char *name, uint32_t host)
{
    const struct vm *vm = desk_vm(desk, name);
    struct change change = {.kind = CHANGE_VM_ASSIGN};

    change.vm_assign = (struct change_vm_assign){
        {vm->uid}, {state_host_at(desk->state, host)->uid}, vm->epoch + 1};
    desk_apply(desk, &change);
}

static void starts(struct desk *desk, const char *name)
{
    struct change change = {.kind = CHANGE_VM_REPORT};

    if (desk_vm(desk, name)->host == SLOT_NONE) {
        assign(desk, name, 0);
    }
    change.vm_report = (struct change_vm_report){
        {desk_vm(desk, name)->uid}, desk_vm(desk, name)->epoch, VM_RUNNING};
    desk_apply(desk, &change);
}

static void desire(struct desk *desk, const char *name)
{
    struct change change = {.kind = CHANGE_VM_DESIRE};

    change.vm_desire = (struct change_vm_desire){
        {desk_vm(desk, name)->uid}, DESIRED_STOPPED, true};
    desk_apply(desk, &change);
}

/* The controller's looks, at turns of others' requests. */
static void look(struct desk *desk, struct apply_control *control, bool over)
{
    static struct turn_controller *controllers[1];

    controllers[0] = &control->controller;
    desk->turn.controllers = controllers;
    desk->turn.controller_count = 1;
    desk->now_ms += APPLY_LOOK_MS;
    assert_int_equal(apply_control_is_due(control, desk->state, desk->now_ms),
                     over);
    desk_ok(desk, "CordonZone", "name: z3");
    desk->turn.controller_count = 0;
}

/* --- Parts as bytes ------------------------------------------------------- */

static struct operation_ref any_part(struct random *random)
{
    static const uint64_t odd[] = {0, 1, UINT32_MAX, UINT64_MAX, 127, 128};
    struct operation_ref part = {
        .kind = (enum operation_kind)(1 + random_below(random, 11)),
        .uid = random_below(random, UINT64_MAX),
        .mark = random_below(random, UINT64_MAX) >> random_below(random, 64),
    };

    if (random_below(random, 3) == 0) {
        part.uid = odd[random_below(random, ARRAY_LEN(odd))];
        part.mark = odd[random_below(random, ARRAY_LEN(odd))];
    }
    return part;
}

static void parts_come_back_and_wrong_bytes_end_them(void **unused)
{
    struct operation_ref parts[64];
    struct apply_cursor cursor;
    struct operation_ref part;
    struct random random;
    struct bytes bytes;

    (void)unused;
    random_init(&random, 11);
    for (int round = 0; round < 300; round++) {
        uint32_t count = (uint32_t)random_below(&random, ARRAY_LEN(parts));
        struct text text;
        uint32_t seen;

        bytes_init(&bytes);
        cursor = (struct apply_cursor){0, 0};
        for (uint32_t i = 0; i < count; i++) {
            size_t before = bytes.len;

            parts[i] = any_part(&random);
            apply_parts_put(&bytes, &cursor, &parts[i]);
            assert_true(bytes.len - before <= APPLY_PART_BYTES_MAX);
        }
        text = (struct text){(const char *)bytes.data, (uint32_t)bytes.len};
        cursor = (struct apply_cursor){0, 0};
        for (uint32_t i = 0; i < count; i++) {
            assert_true(apply_parts_next(text, &cursor, &part));
            assert_int_equal(part.kind, parts[i].kind);
            assert_true(part.uid == parts[i].uid && part.mark == parts[i].mark);
        }
        assert_false(apply_parts_next(text, &cursor, &part));
        if (bytes.len > 0) { /* A flipped bit, and an end too early. */
            bytes.data[random_below(&random, (uint32_t)bytes.len)] ^=
                (uint8_t)(1u << random_below(&random, 8));
            text.len = (uint32_t)random_below(&random, text.len + 1);
            cursor = (struct apply_cursor){0, 0};
            for (seen = 0; apply_parts_next(text, &cursor, &part); seen++) {
                assert_true(cursor.offset <= text.len);
            }
            assert_true(seen <= text.len);
        }
        bytes_close(&bytes);
    }
}

/* --- One apply ------------------------------------------------------------ */

static void an_apply_is_over_when_all_its_parts_are(void **unused)
{
    struct desk *desk = desk_create();
    struct apply_control control;
    struct operation operation;
    struct operation_ref ref;

    (void)unused;
    apply_control_init(&control);
    desk_ok(desk, APPLY,
            "{manifest: {vms: [" VM("a") ", " VM(
                "b") ", {name: c, "
                     "class_name: small, desired: stopped, " EXEC
                     "}]}, dry_run: true}");
    desk_says(desk, "\"operation_id\":\"\"");
    assert_null(state_apply_newest(desk->state));
    desk_ok(desk, APPLY,
            "{manifest: {vms: [" VM("a") ", " VM(
                "b") ", {name: c, "
                     "class_name: small, desired: stopped, " EXEC "}]}, "
                     "request_id: why}");
    desk_says(desk,
              "\"operation_id\":\"apply-manifest.manifest.4294967296.1\"");
    ref = newest(desk);
    /* That which shall be stopped is as it shall be: no part. */
    assert_int_equal(judged(desk, &ref, &operation), OPERATION_RUNNING);
    assert_int_equal(operation.total, 2);
    assert_int_equal(operation.left, 2);
    assert_int_equal(operation.waits[PENDING_QUEUED], 2);
    assert_false(operation.cancellable);
    ask(desk, "GetOperation", &ref);
    desk_says(desk, "\"begun_by\":\"loopback\",\"request_id\":\"why\","
                    "\"left_operations\":[\"start-vm.a.4294967296.0\","
                    "\"start-vm.b.4294967297.0\"]");
    starts(desk, "b");
    look(desk, &control, false);
    assert_int_equal(judged(desk, &ref, &operation), OPERATION_RUNNING);
    assert_int_equal(operation.done, 1);
    assert_string_equal(operation.message, "1 of 2 parts are as they shall be");
    starts(desk, "a");
    assert_int_equal(judged(desk, &ref, &operation), OPERATION_DONE);
    assert_int_equal(state_apply_newest(desk->state)->end, APPLY_END_NONE);
    /* Who waits looks at the parts himself, from where he was. */
    assert_true(
        operation_judge(desk->state, &ref, OPERATION_ENDED, &operation));
    assert_int_equal(operation.state, OPERATION_RUNNING);
    look(desk, &control, true);
    assert_int_equal(state_apply_newest(desk->state)->end, APPLY_END_DONE);
    assert_int_equal(state_apply_newest(desk->state)->parts_blob, 0);
    /* What becomes of the VMs later is no matter of it. */
    desire(desk, "a");
    assert_int_equal(judged(desk, &ref, &operation), OPERATION_DONE);
    assert_int_equal(operation.done, 2);
    look(desk, &control, false);
    desk_destroy(desk);
}

static void nothing_changed_is_no_operation(void **unused)
{
    struct desk *desk = desk_create();
    struct operation operation;
    struct operation_ref ref;

    (void)unused;
    desk_ok(desk, APPLY, "manifest: {zones: [{name: z1}]}");
    desk_says(desk, "\"operation_id\":\"\"");
    assert_int_equal(state_counts(desk->state)->applies, 0);
    /* Something changed, nothing is in motion. */
    desk_ok(desk, APPLY, "manifest: {zones: [{name: z9}]}");
    ref = newest(desk);
    assert_int_equal(judged(desk, &ref, &operation), OPERATION_DONE);
    assert_int_equal(operation.total, 0);
    ref.mark++;
    assert_false(
        operation_judge(desk->state, &ref, OPERATION_WHOLE, &operation));
    ref = newest(desk);
    ref.kind = OPERATION_APPLY_PLAN;
    assert_false(
        operation_judge(desk->state, &ref, OPERATION_WHOLE, &operation));
    desk_destroy(desk);
}

/* What an apply changes of a VM that was on its way before, is no part. */
static void what_was_under_way_before_is_no_part(void **unused)
{
    struct desk *desk = desk_create();
    struct operation operation;
    struct operation_ref ref;

    (void)unused;
    desk_ok(desk, APPLY, "manifest: {vms: [" VM("a") "]}");
    desk_ok(desk, APPLY,
            "manifest: {vms: [{name: a, class_name: small, priority: 7, " EXEC
            "}, " VM("b") "]}");
    assert_int_equal(desk_vm(desk, "a")->priority, 7);
    ref = newest(desk);
    assert_int_equal(judged(desk, &ref, &operation), OPERATION_RUNNING);
    assert_int_equal(operation.total, 1);
    desk_destroy(desk);
}

static void a_part_that_fails_makes_it_fail(void **unused)
{
    struct desk *desk = desk_create();
    struct apply_control control;
    struct operation operation;
    struct operation_ref ref;

    (void)unused;
    apply_control_init(&control);
    desk_ok(desk, APPLY, "manifest: {vms: [" VM("a") ", " VM("b") "]}");
    ref = newest(desk);
    starts(desk, "a");
    desk_ok(desk, "DeleteVm", "name: b");
    assert_int_equal(judged(desk, &ref, &operation), OPERATION_FAILED);
    look(desk, &control, true);
    assert_int_equal(judged(desk, &ref, &operation), OPERATION_FAILED);
    assert_int_equal(operation.done, 1);
    assert_string_equal(
        operation.message,
        "1 of 2 parts are as they shall be, 1 failed, 0 cancelled");
    desk_destroy(desk);
}

static void what_can_be_ended_of_it_is(void **unused)
{
    struct desk *desk = desk_create();
    struct apply_control control;
    struct operation operation;
    struct operation_ref ref;
    char name[OPERATION_NAME_BYTES];
    char yaml[OPERATION_NAME_BYTES + 16];

    (void)unused;
    apply_control_init(&control);
    desk_ok(desk, APPLY,
            "manifest: {vms: [" VM("a") "], groups: [{name: web, count: 9, "
                                        "template: {class_name: small, " EXEC
                                        "}}]}");
    ref = newest(desk);
    assert_int_equal(judged(desk, &ref, &operation), OPERATION_RUNNING);
    assert_int_equal(operation.waits[OPERATION_WAITS_NOT_MADE], 9);
    assert_true(operation.cancellable);
    ask(desk, "CancelOperation", &ref);
    desk_says(desk, "\"state\":\"running\"");
    desk_says(desk, "\"cancellable\":false");
    assert_int_equal(desk_group(desk, "web")->count, 0);
    /* Again: as it is. */
    ask(desk, "CancelOperation", &ref);
    starts(desk, "a");
    assert_int_equal(judged(desk, &ref, &operation), OPERATION_CANCELLED);
    look(desk, &control, true);
    assert_int_equal(judged(desk, &ref, &operation), OPERATION_CANCELLED);
    ask(desk, "CancelOperation", &ref);
    desk_says(desk, "\"state\":\"cancelled\"");
    /* Of another one nothing can be. */
    desk_ok(desk, APPLY, "manifest: {vms: [" VM("d") "]}");
    ref = newest(desk);
    operation_name(&ref, name);
    (void)snprintf(yaml, sizeof(yaml), "name: %s", name);
    desk_refused(desk, "CancelOperation", yaml, "OPERATION_NOT_CANCELLABLE",
                 "nothing that is left");
    desk_destroy(desk);
}

/* The name of the operation by which a VM of an apply starts, says who applied;
 * so does none of the same VM that began otherwise. */
static void a_part_is_of_who_applied(void **unused)
{
    struct desk *desk = desk_create();
    struct operation_ref ref;

    (void)unused;
    desk_ok(desk, APPLY, "{manifest: {vms: [" VM("a") "]}, request_id: why}");
    ref = operation_of_vm(desk_vm(desk, "a"));
    ask(desk, "GetOperation", &ref);
    desk_says(desk, "\"request_id\":\"why\"");
    desk_ok(desk, "CreateVm", "{vm: " VM("b") ", request_id: by-hand}");
    ref = operation_of_vm(desk_vm(desk, "b"));
    ask(desk, "GetOperation", &ref);
    desk_says(desk, "\"request_id\":\"by-hand\"");
    starts(desk, "b");
    desire(desk, "b"); /* By nobody that is known. */
    ref = operation_of_vm(desk_vm(desk, "b"));
    ask(desk, "GetOperation", &ref);
    desk_says(desk, "\"begun_by\":\"\",\"request_id\":\"\"");
    desk_destroy(desk);
}

/* --- Bounds --------------------------------------------------------------- */

static void apply_one(struct desk *desk, int number)
{
    char yaml[256];

    (void)snprintf(yaml, sizeof(yaml), "manifest: {vms: [" VM("vm-%d") "]}",
                   number);
    desk_ok(desk, APPLY, yaml);
}

static void the_oldest_that_is_over_makes_room(void **unused)
{
    struct desk *desk = desk_create();
    struct operation_ref first;
    struct operation_ref third;
    struct operation operation;

    (void)unused;
    for (int i = 1; i <= APPLIES_MAX; i++) {
        apply_one(desk, i);
        if (i == 1) {
            first = newest(desk);
        } else if (i == 3) {
            third = newest(desk);
        }
    }
    starts(desk, "vm-3");
    apply_one(desk, APPLIES_MAX + 1);
    assert_false(
        operation_judge(desk->state, &third, OPERATION_WHOLE, &operation));
    assert_int_equal(judged(desk, &first, &operation), OPERATION_RUNNING);
    /* None is over: the oldest goes, and its VM starts all the same. */
    apply_one(desk, APPLIES_MAX + 2);
    assert_false(
        operation_judge(desk->state, &first, OPERATION_WHOLE, &operation));
    assert_int_equal(state_counts(desk->state)->applies, APPLIES_MAX);
    assert_int_equal(operation_of_vm(desk_vm(desk, "vm-1")).kind,
                     OPERATION_START_VM);
    desk_destroy(desk);
}

#define MANY 10000

static void ten_thousand_parts_are_looked_at_once(void **unused)
{
    struct desk *desk = desk_create();
    struct applies_look seen = {{0, 0}};
    const struct apply_record *record;
    struct operation operation;
    struct operation_ref ref;
    uint32_t looks = 0;
    uint32_t all = 0;
    bool over;
    char program[] = "/bin/a";
    char name[16];

    (void)unused;
    desk_apply_vms(desk, MANY, program);
    assert_int_equal(desk->reply.code, RPC_OK);
    ref = newest(desk);
    record = state_apply_newest(desk->state);
    assert_int_equal(record->part_count, MANY);
    assert_true(state_blob(desk->state, record->parts_blob).len <= 5 * MANY);
    assert_int_equal(judged(desk, &ref, &operation), OPERATION_RUNNING);
    assert_int_equal(operation.left, MANY);
    for (int i = 0; i < MANY; i++) {
        struct change change = {.kind = CHANGE_VM_DESIRE};

        (void)snprintf(name, sizeof(name), "vm-%d", i);
        change.vm_desire = (struct change_vm_desire){
            {desk_vm(desk, name)->uid}, DESIRED_STOPPED, false};
        desk_apply(desk, &change);
        if (i % 100 != 0) {
            continue;
        }
        record = state_apply_record(desk->state, ref.uid);
        looks = APPLY_LOOKS_MAX;
        assert_false(applies_are_over(desk->state, record, &seen, &looks));
        all += APPLY_LOOKS_MAX - looks;
    }
    record = state_apply_record(desk->state, ref.uid);
    do { /* A few at a time. */
        looks = 7;
        over = applies_are_over(desk->state, record, &seen, &looks);
        all += 7 - looks;
    } while (!over);
    assert_int_equal(all, MANY);
    assert_int_equal(judged(desk, &ref, &operation), OPERATION_CANCELLED);
    assert_int_equal(operation.cancelled, MANY);
    desk_destroy(desk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_come_back_and_wrong_bytes_end_them),
        cmocka_unit_test(an_apply_is_over_when_all_its_parts_are),
        cmocka_unit_test(nothing_changed_is_no_operation),
        cmocka_unit_test(what_was_under_way_before_is_no_part),
        cmocka_unit_test(a_part_that_fails_makes_it_fail),
        cmocka_unit_test(what_can_be_ended_of_it_is),
        cmocka_unit_test(a_part_is_of_who_applied),
        cmocka_unit_test(the_oldest_that_is_over_makes_room),
        cmocka_unit_test(ten_thousand_parts_are_looked_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
