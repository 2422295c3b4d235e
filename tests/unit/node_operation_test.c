/* SPDX-License-Identifier: Apache-2.0
 *
 * Operations as the state tells of them. */
#include "node/operation.h"
#include "support/office.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct office *opened(void)
{
    struct office *office = office_create();

    office_hosts(office, 3, 6, 40);
    office_class(office, "c", 1);
    return office;
}

/* As somebody says who comes with a name, which must be a good one. */
static enum operation_state state_of(const struct office *office,
                                     struct operation_ref ref,
                                     struct operation *operation)
{
    char name[OPERATION_NAME_BYTES];
    struct operation_ref read;

    operation_name(&ref, name);
    assert_true(operation_parse(name, &read));
    assert_memory_equal(&read, &ref, sizeof(ref));
    assert_true(
        operation_judge(office->state, &read, OPERATION_WHOLE, operation));
    return operation->state;
}

static void drain(struct office *office, bool draining)
{
    struct change change = operation_drain_host(
        office_host_named(office, "h-0"), draining, 0, DRAIN_END_CANCELLED);

    office_apply(office, &change);
}

static void run(struct office *office, int rounds)
{
    for (int i = 0; i < rounds; i++) {
        office_run(office, 20);
        office_hosts_obey(office);
    }
}

static void only_names_of_operations_are_read(void **unused)
{
    static const char *const bad[] = {"",
                                      "drain-host",
                                      "drain-host.h1",
                                      "drain-host.h1.1",
                                      "drain-host..1.1",
                                      "drain-host.h1.1.",
                                      "drain-host.h1.1.01",
                                      "drain-host.h1.1.-1",
                                      "drain-host.h1.1.99999999999999999999",
                                      "sleep-host.h1.1.1",
                                      ".h1.1.1"};
    char text[2 * OPERATION_NAME_BYTES];
    struct operation_ref ref;

    (void)unused;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(operation_parse(bad[i], &ref));
    }
    memset(text, 'a', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    assert_false(operation_parse(text, &ref));
    assert_true(operation_parse("move-vm.web-7.4294967297.3", &ref));
    assert_int_equal(ref.kind, OPERATION_MOVE_VM);
    assert_string_equal(ref.object, "web-7");
    assert_int_equal(ref.mark, 3);
}

static void each_drain_is_an_operation_of_its_own(void **unused)
{
    struct office *office = opened();
    struct operation_ref first;
    struct operation_ref second;
    struct operation operation;

    (void)unused;
    assert_int_equal(operation_of_host(office_host_named(office, "h-0")).kind,
                     OPERATION_NONE);
    office_assign(office, office_vm(office, "c", "v", 0, false), "h-0");
    office_hosts_obey(office);
    drain(office, true);
    first = operation_of_host(office_host_named(office, "h-0"));
    assert_int_equal(state_of(office, first, &operation), OPERATION_RUNNING);
    assert_int_equal(operation.left, 1);
    assert_true(operation.cancellable);
    drain(office, true); /* With another deadline, say: it goes on. */
    assert_int_equal(state_of(office, first, &operation), OPERATION_RUNNING);
    drain(office, false);
    assert_int_equal(state_of(office, first, &operation), OPERATION_CANCELLED);
    drain(office, true);
    second = operation_of_host(office_host_named(office, "h-0"));
    assert_int_equal(second.mark, first.mark + 1);
    assert_false(
        operation_judge(office->state, &first, OPERATION_WHOLE, &operation));
    run(office, 10);
    assert_int_equal(state_of(office, second, &operation), OPERATION_DONE);
    drain(office, false);
    assert_int_equal(state_of(office, second, &operation), OPERATION_DONE);
    office_destroy(office);
}

static void a_drain_that_its_deadline_ends_has_failed(void **unused)
{
    struct office *office = opened();
    struct operation operation;
    struct change change;

    (void)unused;
    office_assign(office, office_vm(office, "c", "v", 0, false), "h-0");
    office_hosts_obey(office);
    drain(office, true);
    change = operation_drain_host(office_host_named(office, "h-0"), false, 0,
                                  DRAIN_END_DEADLINE);
    office_apply(office, &change);
    assert_int_equal(
        state_of(office, operation_of_host(office_host_named(office, "h-0")),
                 &operation),
        OPERATION_FAILED);
    office_destroy(office);
}

static void make_more(struct group_fields *fields)
{
    fields->count = 5;
}

static void renew(struct group_fields *fields)
{
    fields->generation++;
    fields->max_unavailable = 1;
}

static void halt(struct group_fields *fields)
{
    fields->max_unavailable = 0;
}

static void a_group_tells_of_its_present_goal(void **unused)
{
    struct office *office = opened();
    struct group_id id = office_group(office, "c", "g", 3);
    const struct group *group = state_group(office->state, id);
    struct operation_ref three = operation_of_group(office->state, group);
    struct operation_ref update;
    struct operation operation;

    (void)unused;
    assert_int_equal(three.kind, OPERATION_SCALE_GROUP);
    assert_int_equal(state_of(office, three, &operation), OPERATION_RUNNING);
    assert_int_equal(operation.waits[OPERATION_WAITS_NOT_MADE], 3);
    run(office, 5);
    assert_int_equal(state_of(office, three, &operation), OPERATION_DONE);
    assert_int_equal(operation.done, 3);
    office_group_update(office, id, make_more, false);
    assert_int_equal(state_of(office, three, &operation), OPERATION_CANCELLED);
    run(office, 5);
    office_group_update(office, id, renew, false);
    update = operation_of_group(office->state, state_group(office->state, id));
    assert_int_equal(update.kind, OPERATION_UPDATE_GROUP);
    assert_int_equal(state_of(office, update, &operation), OPERATION_RUNNING);
    assert_int_equal(operation.waits[OPERATION_WAITS_OUTDATED], 5);
    office_group_update(office, id, halt, false);
    assert_int_equal(state_of(office, update, &operation), OPERATION_CANCELLED);
    office_group_update(office, id, renew, false);
    assert_int_equal(state_of(office, update, &operation),
                     OPERATION_CANCELLED); /* A newer template. */
    update = operation_of_group(office->state, state_group(office->state, id));
    run(office, 40);
    assert_int_equal(state_of(office, update, &operation), OPERATION_DONE);
    office_group_update(office, id, halt, true);
    update = operation_of_group(office->state, state_group(office->state, id));
    assert_int_equal(update.kind, OPERATION_DELETE_GROUP);
    run(office, 10);
    assert_null(state_group(office->state, id));
    assert_int_equal(state_of(office, update, &operation), OPERATION_DONE);
    update.uid += UINT64_C(1) << 32; /* Of one that is yet to be made. */
    assert_false(
        operation_judge(office->state, &update, OPERATION_WHOLE, &operation));
    office_destroy(office);
}

static void desire(struct office *office, enum desired_state desired,
                   bool deleting)
{
    struct change change = {.kind = CHANGE_VM_DESIRE};

    change.vm_desire = (struct change_vm_desire){
        {office_vm_named(office, "v")->uid}, desired, deleting};
    office_apply(office, &change);
}

static void a_vm_starts_stops_and_goes(void **unused)
{
    struct office *office = opened();
    struct operation_ref start;
    struct operation_ref stop;
    struct operation_ref gone;
    struct operation operation;

    (void)unused;
    (void)office_vm(office, "c", "v", 0, false);
    start = operation_of_vm(office_vm_named(office, "v"));
    assert_int_equal(start.kind, OPERATION_START_VM);
    assert_int_equal(state_of(office, start, &operation), OPERATION_RUNNING);
    office_run(office, 5);
    /* It has a host by now: still the same one. */
    assert_int_equal(operation_of_vm(office_vm_named(office, "v")).mark,
                     start.mark);
    run(office, 2);
    assert_int_equal(state_of(office, start, &operation), OPERATION_DONE);
    assert_int_equal(operation_of_vm(office_vm_named(office, "v")).kind,
                     OPERATION_NONE);
    desire(office, DESIRED_STOPPED, false);
    stop = operation_of_vm(office_vm_named(office, "v"));
    assert_int_equal(stop.kind, OPERATION_STOP_VM);
    assert_int_equal(state_of(office, stop, &operation), OPERATION_RUNNING);
    assert_int_equal(state_of(office, start, &operation), OPERATION_CANCELLED);
    run(office, 2);
    assert_int_equal(state_of(office, stop, &operation), OPERATION_DONE);
    desire(office, DESIRED_RUNNING, false);
    run(office, 3);
    assert_int_equal(state_of(office, stop, &operation), OPERATION_CANCELLED);
    desire(office, DESIRED_STOPPED, true);
    gone = operation_of_vm(office_vm_named(office, "v"));
    assert_int_equal(gone.kind, OPERATION_DELETE_VM);
    assert_int_equal(state_of(office, gone, &operation), OPERATION_RUNNING);
    run(office, 2);
    assert_int_equal(state_of(office, gone, &operation), OPERATION_DONE);
    assert_int_equal(state_of(office, stop, &operation), OPERATION_DONE);
    assert_int_equal(state_of(office, start, &operation), OPERATION_FAILED);
    office_destroy(office);
}

static void a_queued_move_can_be_given_up(void **unused)
{
    struct office *office = opened();
    struct change change = {.kind = CHANGE_VM_CLAIM};
    struct operation_ref move;
    struct operation operation;

    (void)unused;
    office_assign(office, office_vm(office, "c", "v", 0, false), "h-0");
    office_hosts_obey(office);
    change.vm_claim = (struct change_vm_claim){
        {office_vm_named(office, "v")->uid},
        {office_host_named(office, "h-1")->uid},
        MOVE_CAUSE_PLAN,
        1,
    };
    office_apply(office, &change);
    move = operation_of_vm(office_vm_named(office, "v"));
    assert_int_equal(state_of(office, move, &operation), OPERATION_RUNNING);
    assert_int_equal(operation.waits[OPERATION_WAITS_BUDGET], 1);
    assert_int_equal(operation.cause, MOVE_CAUSE_PLAN);
    assert_true(operation.cancellable);
    change.vm_claim.host.uid = 0;
    office_apply(office, &change);
    assert_int_equal(state_of(office, move, &operation), OPERATION_CANCELLED);
    change.vm_claim.host.uid = office_host_named(office, "h-1")->uid;
    office_apply(office, &change);
    office_run(office, 3);
    assert_int_equal(state_of(office, move, &operation), OPERATION_RUNNING);
    assert_false(operation.cancellable); /* It stops already. */
    run(office, 6);
    assert_int_equal(state_of(office, move, &operation), OPERATION_DONE);
    office_destroy(office);
}

static void a_lost_zone_is_recovered(void **unused)
{
    struct office *office = opened();
    struct change change = {.kind = CHANGE_ZONE_STATE};
    struct zone_id zone;
    struct operation_ref ref;
    struct operation operation;

    (void)unused;
    office_assign(office, office_vm(office, "c", "v", 0, false), "h-0");
    office_hosts_obey(office);
    zone.uid =
        state_zone_at(office->state, office_host_named(office, "h-0")->zone)
            ->uid;
    change.zone_state = (struct change_zone_state){zone, ZONE_LOST};
    office_apply(office, &change);
    ref = operation_of_loss(state_zone(office->state, zone));
    assert_int_equal(ref.kind, OPERATION_RECOVER_ZONE);
    assert_int_equal(state_of(office, ref, &operation), OPERATION_RUNNING);
    assert_int_equal(operation.left, 1);
    office_fence(office, uid_slot(office_host_named(office, "h-0")->uid));
    assert_int_equal(state_of(office, ref, &operation), OPERATION_RUNNING);
    assert_int_equal(operation.left, 1);
    run(office, 3);
    assert_int_equal(state_of(office, ref, &operation), OPERATION_DONE);
    office_destroy(office);
}

static void a_lost_host_is_recovered(void **unused)
{
    struct office *office = opened();
    struct change zone = {.kind = CHANGE_ZONE_STATE};
    const struct host *host;
    struct operation_ref ref;
    struct operation_ref never;
    struct operation operation;

    (void)unused;
    office_assign(office, office_vm(office, "c", "v", 0, false), "h-0");
    office_assign(office, office_vm(office, "c", "w", 0, false), "h-1");
    office_hosts_obey(office);
    host = office_host_named(office, "h-0");
    assert_int_equal(operation_of_host_loss(office->state, host).kind,
                     OPERATION_NONE);
    office_fence(office, uid_slot(host->uid));
    host = office_host_named(office, "h-0");
    ref = operation_of_host_loss(office->state, host);
    assert_int_equal(ref.kind, OPERATION_RECOVER_HOST);
    assert_int_equal(state_of(office, ref, &operation), OPERATION_RUNNING);
    assert_int_equal(operation.left, 1); /* Not that of the other host. */
    assert_int_equal(operation.waits[PENDING_QUEUED], 1);
    assert_false(operation.cancellable);
    never = ref;
    never.mark++;
    assert_false(
        operation_judge(office->state, &never, OPERATION_WHOLE, &operation));
    run(office, 3);
    assert_int_equal(state_of(office, ref, &operation), OPERATION_DONE);
    assert_string_equal(operation.message, "each of its VMs has another host");
    /* One of many: the zone's says it. */
    zone.zone_state = (struct change_zone_state){
        {state_zone_at(office->state, host->zone)->uid}, ZONE_LOST};
    office_apply(office, &zone);
    host = office_host_named(office, "h-0");
    assert_int_equal(operation_of_host_loss(office->state, host).kind,
                     OPERATION_NONE);
    assert_int_equal(state_of(office, ref, &operation), OPERATION_DONE);
    office_destroy(office);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_names_of_operations_are_read),
        cmocka_unit_test(each_drain_is_an_operation_of_its_own),
        cmocka_unit_test(a_drain_that_its_deadline_ends_has_failed),
        cmocka_unit_test(a_group_tells_of_its_present_goal),
        cmocka_unit_test(a_vm_starts_stops_and_goes),
        cmocka_unit_test(a_queued_move_can_be_given_up),
        cmocka_unit_test(a_lost_zone_is_recovered),
        cmocka_unit_test(a_lost_host_is_recovered),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
