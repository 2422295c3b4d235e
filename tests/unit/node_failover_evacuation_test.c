/* SPDX-License-Identifier: Apache-2.0
 *
 * Failover of many: the order of priority whatever their number, plans that
 * meet a changed state, and room that others make. */
#include "base/check.h"
#include "base/memory.h"
#include "node/limits.h"
#include "support/office.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* In the order of the assignments. */
static uint32_t last_priority;
static uint32_t inversions;

static void watch_order(struct office *office, const struct event *event)
{
    (void)office;
    if (event->kind == EVENT_VM && !event->deleted &&
        event->vm->state == VM_ASSIGNED) {
        inversions += event->vm->priority > last_priority;
        last_priority = event->vm->priority;
    }
}

static void begin_watch(struct office *office)
{
    last_priority = UINT32_MAX;
    inversions = 0;
    office->on_event = watch_order;
}

static void create_vms(struct office *office, uint32_t count)
{
    char name[16];

    for (uint32_t i = 0; i < count; i++) {
        snprintf(name, sizeof(name), "v-%u", i);
        office_vm(office, "c", name, i * 7919 % 1001, false);
    }
}

static void priority_order_holds_for_a_hundred_thousand_pending(void **unused)
{
    struct office *office = office_create();
    uint32_t lowest = UINT32_MAX;

    (void)unused;
    office_hosts(office, 2, 20, 250);
    office_class(office, "c", 1);
    create_vms(office, 100000);
    begin_watch(office);
    office_run(office, 100);
    assert_int_equal(inversions, 0);
    assert_int_equal(office_count(office, VM_ASSIGNED), 5000);
    for (uint32_t slot = 0; slot < 100000; slot++) {
        const struct vm *vm = state_vm_at(office->state, slot);

        if (vm->state == VM_ASSIGNED && vm->priority < lowest) {
            lowest = vm->priority;
        }
    }
    assert_int_equal(lowest, last_priority);
    for (uint32_t slot = 0; slot < 100000; slot++) {
        const struct vm *vm = state_vm_at(office->state, slot);

        assert_true(vm->state == VM_ASSIGNED || vm->priority <= lowest);
        assert_true(vm->state == VM_ASSIGNED ||
                    vm->pending_reason == PENDING_NO_CAPACITY);
    }
    /* Room that appears goes to the highest of those that wait. */
    office_host(office, "z0", "more", 10);
    office_run(office, 100);
    assert_int_equal(office_count(office, VM_ASSIGNED), 5010);
    assert_int_equal(inversions, 0);
    office_destroy(office);
}

/* Three zones, `count` VMs that run, a third in each. */
static struct office *filled(uint32_t hosts, uint32_t cores, uint32_t count)
{
    struct office *office = office_create();

    office_hosts(office, 3, hosts, cores);
    office_class(office, "c", 1);
    create_vms(office, count);
    office_run(office, 100);
    office_hosts_obey(office);
    assert_int_equal(office_count(office, VM_RUNNING), count);
    return office;
}

static void lose_zone(struct office *office, uint32_t zone)
{
    struct change change = {.kind = CHANGE_ZONE_STATE};

    change.zone_state = (struct change_zone_state){
        {state_zone_at(office->state, zone)->uid}, ZONE_LOST};
    office_apply(office, &change);
    for (uint32_t slot = 0; slot < state_host_slots(office->state); slot++) {
        if (state_host_at(office->state, slot)->zone == zone) {
            office_fence(office, slot);
        }
    }
}

static void a_lost_zone_is_planned_together_and_placed_by_priority(
    void **unused)
{
    struct office *office = filled(30, 200, 3900);
    uint32_t lost;

    (void)unused;
    lose_zone(office, 0);
    lost = office_count(office, VM_PENDING);
    assert_true(lost >= EVACUATION_VMS_MIN);
    assert_false(
        failover_is_due(&office->failover, office->state, office->now_ms));
    failover_work(&office->failover, office->state);
    assert_non_null(office->failover.evacuator.clone);
    begin_watch(office);
    office_run(office, 100);
    assert_null(office->failover.evacuator.clone);
    assert_int_equal(inversions, 0);
    assert_int_equal(office_count(office, VM_PENDING), 0);
    assert_int_equal(state_zone_at(office->state, 0)->vm_count, 0);
    office_destroy(office);
}

/* While the first plan is decided, a second zone goes. */
static void a_loss_during_an_evacuation_is_planned_anew(void **unused)
{
    struct office *office = filled(30, 900, 7500);

    (void)unused;
    lose_zone(office, 0);
    assert_true(office_turn(office));
    assert_true(evacuator_is_deciding(&office->failover.evacuator));
    lose_zone(office, 1);
    assert_null(office->failover.evacuator.clone);
    begin_watch(office);
    office_run(office, 100);
    assert_int_equal(inversions, 0);
    assert_int_equal(office_count(office, VM_PENDING), 0);
    assert_int_equal(state_zone_at(office->state, 2)->vm_count, 7500);
    office_destroy(office);
}

/* What the plan rests on changes between its making and its steps. */
static void a_step_that_no_longer_fits_is_decided_anew(void **unused)
{
    struct office *office = filled(30, 200, 3900);
    struct change change = {.kind = CHANGE_HOST_CORDON};

    (void)unused;
    lose_zone(office, 0);
    while (!failover_work(&office->failover, office->state)) {
    }
    assert_true(evacuator_is_deciding(&office->failover.evacuator));
    for (uint32_t i = 0; i < 3; i++) {
        change.host_cordon = (struct change_host_cordon){
            {state_host_at(office->state, 3 * i + 1)->uid}, true};
        office_apply(office, &change);
    }
    change.kind = CHANGE_VM_DELETE;
    change.vm_delete.vm.uid =
        state_vm_at(office->state, state_pending_first(office->state))->uid;
    office_apply(office, &change);
    office_run(office, 100);
    assert_int_equal(office_count(office, VM_PENDING), 0);
    assert_int_equal(state_counts(office->state)->vms, 3899);
    for (uint32_t slot = 0; slot < 3900; slot++) {
        const struct vm *vm = state_vm_at(office->state, slot);

        assert_true(vm == NULL || vm->state == VM_RUNNING ||
                    !state_host_at(office->state, vm->host)->cordoned);
    }
    office_destroy(office);
}

static void a_new_leader_plans_what_the_former_left(void **unused)
{
    struct office *office = filled(30, 400, 6600);

    (void)unused;
    lose_zone(office, 0);
    assert_true(office_turn(office));
    assert_true(office_count(office, VM_PENDING) >= 200);
    office_lead(office);
    assert_null(office->failover.evacuator.clone);
    begin_watch(office);
    office_run(office, 100);
    assert_int_equal(inversions, 0);
    assert_int_equal(office_count(office, VM_PENDING), 0);
    office_destroy(office);
}

static void a_storm_pauses_an_evacuation(void **unused)
{
    struct office *office = filled(30, 200, 3900);
    uint64_t revision;

    (void)unused;
    lose_zone(office, 0);
    office->judge.storm = true;
    revision = state_revision(office->state);
    office_run(office, 10);
    assert_int_equal(state_revision(office->state), revision);
    office->judge.storm = false;
    office_run(office, 100);
    assert_int_equal(office_count(office, VM_PENDING), 0);
    office_destroy(office);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(priority_order_holds_for_a_hundred_thousand_pending),
        cmocka_unit_test(
            a_lost_zone_is_planned_together_and_placed_by_priority),
        cmocka_unit_test(a_loss_during_an_evacuation_is_planned_anew),
        cmocka_unit_test(a_step_that_no_longer_fits_is_decided_anew),
        cmocka_unit_test(a_new_leader_plans_what_the_former_left),
        cmocka_unit_test(a_storm_pauses_an_evacuation),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
