/* SPDX-License-Identifier: Apache-2.0
 *
 * How much of the loop's time a turn takes when VMs find no room: counted in
 * looks at hosts, so that it is the same on every machine. */
#include "base/check.h"
#include "node/api_check.h"
#include "node/limits.h"
#include "node/planner.h"
#include "support/office.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* What the last VM of a turn may cost beyond the bound: the order of a size is
 * worked out, and all hosts are looked at. */
#define LAST_LOOKS 60000

static uint64_t changes;

static void count_changes(struct office *office, const struct event *event)
{
    (void)office;
    changes += event->kind == EVENT_VM;
}

static void without_headroom(struct policy *policy)
{
    policy->headroom = HEADROOM_OFF;
    policy->preempt_max = 4;
}

/* Hosts of 8 cores in three zones, with one VM each that fills it. */
static struct office *full_region(uint32_t hosts, bool preemptible,
                                  uint32_t priority)
{
    struct office *office = office_create();
    char name[16];
    char host[16];

    office_policy(office, without_headroom);
    office_hosts(office, 3, hosts, 8);
    office_class(office, "full", 8);
    for (uint32_t i = 0; i < hosts; i++) {
        snprintf(name, sizeof(name), "f-%u", i);
        snprintf(host, sizeof(host), "h-%u", i);
        office_assign(office,
                      office_vm(office, "full", name, priority, preemptible),
                      host);
    }
    office_hosts_obey(office);
    office_run(office, 10);
    office->on_event = count_changes;
    return office;
}

static void create_sizes(struct office *office, uint32_t cpu_milli,
                         uint32_t kinds)
{
    char class[16];

    for (uint32_t i = 0; i < kinds; i++) {
        struct change change = {.kind = CHANGE_CLASS_CREATE};

        snprintf(class, sizeof(class), "k-%u", i);
        change.class_create = (struct change_class_create){
            .name = text_of(class), .resources = {cpu_milli, 1024 + i, 0, 0}};
        office_apply(office, &change);
    }
}

/* Of so many sizes, with priorities 0 to 8. */
static void add_pending(struct office *office, uint32_t count, uint32_t kinds)
{
    char name[16];
    char class[16];

    create_sizes(office, 1000, kinds);
    for (uint32_t i = 0; i < count; i++) {
        snprintf(name, sizeof(name), "p-%u", i);
        snprintf(class, sizeof(class), "k-%u", i % kinds);
        office_vm(office, class, name, i * 7 % 9, false);
    }
}

/* Pending VMs that have not been looked at. The others have no lower priority
 * than these. */
static uint32_t count_queued(const struct office *office)
{
    uint32_t lowest = UINT32_MAX;
    uint32_t highest = 0;
    uint32_t queued = 0;

    for (uint32_t slot = 0; slot < state_vm_slots(office->state); slot++) {
        const struct vm *vm = state_vm_at(office->state, slot);

        if (vm == NULL || vm->state != VM_PENDING) {
            continue;
        }
        if (vm->pending_reason == PENDING_QUEUED) {
            queued++;
            highest = vm->priority > highest ? vm->priority : highest;
        } else {
            assert_int_equal(vm->pending_reason, PENDING_NO_CAPACITY);
            lowest = vm->priority < lowest ? vm->priority : lowest;
        }
    }
    assert_true(queued == 0 || highest <= lowest);
    return queued;
}

/* Turns until all have been looked at, each within the bound. */
static uint32_t turns_to_look(struct office *office, uint32_t max)
{
    uint32_t turns = 0;

    while (count_queued(office) > 0 && turns < max) {
        uint64_t before = placer_looks(office->turn.placer);
        uint64_t done;

        changes = 0;
        assert_true(office_turn(office));
        done = placer_looks(office->turn.placer) - before +
               changes * TURN_CHANGE_LOOKS;
        assert_in_range(done, 1, TURN_WORK_MAX + LAST_LOOKS);
        turns++;
    }
    assert_int_equal(count_queued(office), 0);
    return turns;
}

static void vms_without_room_are_looked_at_in_bounded_turns(void **unused)
{
    struct office *office = full_region(300, false, 5);

    (void)unused;
    add_pending(office, 9000, 400);
    assert_in_range(turns_to_look(office, 100), 3, 12);
    office_destroy(office);
}

static void use_all(struct turn_controller *controller, struct turn_plan *plan)
{
    (void)controller;
    plan->looks += 2 * TURN_WORK_MAX;
}

static void failover_has_its_part_of_every_turn(void **unused)
{
    struct office *office = office_create();
    struct turn_controller greedy = {use_all};

    (void)unused;
    office_hosts(office, 3, 3, 8);
    office_class(office, "c", 1);
    office->controllers[0] = &greedy;
    office_vm(office, "c", "waits", 1, false);
    assert_true(office_turn(office));
    assert_int_equal(office_vm_named(office, "waits")->state, VM_ASSIGNED);
    office_destroy(office);
}

/* Each kind is held against every host with VMs that might be stopped. */
static void preemptions_that_cannot_be_are_bounded_as_well(void **unused)
{
    struct office *office = full_region(1500, true, 9);

    (void)unused;
    add_pending(office, 3000, 300);
    assert_in_range(turns_to_look(office, 100), 15, 60);
    office_destroy(office);
}

/* One search takes more than a turn: it finds what it would have in one. */
static void a_search_for_vms_to_stop_goes_on_in_the_next_turn(void **unused)
{
    const uint32_t hosts = 40000;
    struct office *office = full_region(hosts, true, 5);
    struct vm_id last;
    uint32_t turns = 0;

    (void)unused;
    office_class(office, "one", 1);
    last = office_vm(office, "full", "least", 1, true);
    office_host(office, "z1", "h-last", 8);
    office_assign(office, last, "h-last");
    office_hosts_obey(office);
    office_vm(office, "one", "wanted", 8, false);
    while (office_vm_named(office, "wanted")->moving != MOVE_CLAIMED &&
           turns < 10) {
        assert_int_equal(office_count(office, VM_STOPPING), 0);
        assert_true(office_turn(office));
        turns++;
    }
    assert_in_range(turns, 2, 4);
    assert_int_equal(state_vm(office->state, last)->state, VM_STOPPING);
    assert_int_equal(office_count(office, VM_STOPPING), 1);
    office_destroy(office);
}

/* The best host is gone when the search ends: the next best is found. */
static void what_a_search_found_some_turns_ago_is_looked_at_again(void **unused)
{
    const uint32_t hosts = 40000;
    struct office *office = full_region(hosts, true, 5);

    (void)unused;
    office_class(office, "one", 1);
    office_vm(office, "one", "wanted", 8, false);
    assert_true(office_turn(office));
    assert_int_equal(office_vm_named(office, "wanted")->moving, MOVE_NONE);
    /* The first host was the best: all are alike. */
    office_fence(office, 0);
    for (uint32_t i = 0; i < 10; i++) {
        office_turn(office);
    }
    assert_int_equal(office_vm_named(office, "wanted")->moving, MOVE_CLAIMED);
    assert_int_equal(office_vm_named(office, "wanted")->move_host, 1);
    office_destroy(office);
}

/* 10,000 hosts with a VM each that no other has room for, of 200 sizes. */
static struct office *region_of_kinds(void)
{
    struct office *office = office_create();
    char name[16];
    char class[16];
    char host[16];

    office_policy(office, without_headroom);
    office_hosts(office, 3, 10000, 8);
    create_sizes(office, 5000, 200);
    for (uint32_t i = 0; i < 10000; i++) {
        snprintf(name, sizeof(name), "v-%u", i);
        snprintf(class, sizeof(class), "k-%u", i / 3 % 200);
        snprintf(host, sizeof(host), "h-%u", i);
        office_assign(office, office_vm(office, class, name, 5, false), host);
    }
    return office;
}

static void a_plan_of_a_loss_that_does_not_fit_goes_in_slices(void **unused)
{
    struct office *office = region_of_kinds();
    Holdfast__V1__PlanZoneLoss loss = HOLDFAST__V1__PLAN_ZONE_LOSS__INIT;
    Holdfast__V1__PlanAction action = HOLDFAST__V1__PLAN_ACTION__INIT;
    struct planner_start start = {.state = office->state,
                                  .placer = turn_placer(&office->turn),
                                  .time_ms = office->now_ms,
                                  .start_ms = 1000};
    char zone[] = "z0";
    char *zones[] = {zone};
    struct planner planner;
    struct api_reply reply;
    uint32_t slices = 0;
    bool done = false;

    (void)unused;
    loss.zones = zones;
    loss.n_zones = 1;
    action.action_case = HOLDFAST__V1__PLAN_ACTION__ACTION_ZONE_LOSS;
    action.zone_loss = &loss;
    api_reply_init(&reply);
    planner_begin(&planner, &start, &action, false, &reply);
    while (!done) {
        uint64_t before = placer_looks(planner.plan.placer);
        size_t change_count = planner.plan.change_count;
        uint64_t work;

        done = planner_work(&planner);
        work = placer_looks(planner.plan.placer) - before +
               (planner.plan.change_count - change_count) * TURN_CHANGE_LOOKS;
        assert_true(work <= PLAN_SLICE_WORK + LAST_LOOKS);
        slices++;
    }
    assert_int_equal(planner.phase, PLANNER_DONE);
    assert_int_equal(planner.result->lacks[PLAN_UNPLACED].count, 3334);
    assert_true(slices > 50);
    planner_close(&planner);
    api_reply_close(&reply);
    office_destroy(office);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vms_without_room_are_looked_at_in_bounded_turns),
        cmocka_unit_test(failover_has_its_part_of_every_turn),
        cmocka_unit_test(preemptions_that_cannot_be_are_bounded_as_well),
        cmocka_unit_test(a_search_for_vms_to_stop_goes_on_in_the_next_turn),
        cmocka_unit_test(what_a_search_found_some_turns_ago_is_looked_at_again),
        cmocka_unit_test(a_plan_of_a_loss_that_does_not_fit_goes_in_slices),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
