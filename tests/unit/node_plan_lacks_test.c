/* SPDX-License-Identifier: Apache-2.0
 *
 * What a plan says of VMs that go nowhere: those that the action leaves without
 * a place, those that headroom keeps where they are to leave, and those that
 * waited before. And drains whose risk was accepted. */
#include "node/api_check.h"
#include "node/drain_wait.h"
#include "node/planner.h"
#include "support/office.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ACTION(name) HOLDFAST__V1__PLAN_ACTION__ACTION_##name

static const struct turn_voters all_well = {3, 3, {1, 1, 1}, {1, 1, 1}};

static uint32_t start_ms; /* How long starts took lately. */

static void enforce(struct policy *policy)
{
    policy->headroom = HEADROOM_ENFORCE;
}

static void no_headroom(struct policy *policy)
{
    policy->headroom = HEADROOM_OFF;
}

static void settle(struct office *office)
{
    for (int i = 0; i < 60; i++) {
        office_run(office, 50);
        office_hosts_obey(office);
    }
    office->now_ms += 2000;
    for (int i = 0; i < 60; i++) {
        office_run(office, 50);
        office_hosts_obey(office);
    }
}

/* One host of 8 cores in each of three zones, and so many VMs of one core. */
static struct office *opened(uint32_t count)
{
    struct office *office = office_create();
    char name[16];

    office_hosts(office, 3, 3, 8);
    office_class(office, "c", 1);
    office_policy(office, enforce);
    for (uint32_t i = 0; i < count; i++) {
        snprintf(name, sizeof(name), "v%u", i);
        office_vm(office, "c", name, 0, false);
        settle(office);
    }
    assert_int_equal(office_count(office, VM_RUNNING), count);
    return office;
}

static struct plan *planned(struct office *office,
                            const struct turn_voters *voters,
                            const Holdfast__V1__PlanAction *action)
{
    const struct planner_start start = {
        .state = office->state,
        .placer = turn_placer(&office->turn),
        .time_ms = office->now_ms,
        .voters = voters,
        .start_ms = start_ms,
    };
    struct api_reply reply;
    struct planner planner;
    struct plan *plan;

    api_reply_init(&reply);
    planner_begin(&planner, &start, action, false, &reply);
    while (!planner_work(&planner)) {
    }
    if (reply.code != RPC_OK) {
        print_message("%s\n", reply.message);
    }
    plan = planner_take(&planner);
    planner_close(&planner);
    api_reply_close(&reply);
    return plan;
}

static struct plan *plan_drain_host(struct office *office, const char *name)
{
    char copy[NAME_BYTES];
    Holdfast__V1__PlanDrainHost drain = HOLDFAST__V1__PLAN_DRAIN_HOST__INIT;
    Holdfast__V1__PlanAction action = HOLDFAST__V1__PLAN_ACTION__INIT;

    snprintf(copy, sizeof(copy), "%s", name);
    drain.name = copy;
    action.action_case = ACTION(DRAIN_HOST);
    action.drain_host = &drain;
    return planned(office, &all_well, &action);
}

static struct plan *plan_zone_loss(struct office *office,
                                   const struct turn_voters *voters,
                                   const char *first, const char *second)
{
    char copies[2][NAME_BYTES];
    char *zones[] = {copies[0], copies[1]};
    Holdfast__V1__PlanZoneLoss loss = HOLDFAST__V1__PLAN_ZONE_LOSS__INIT;
    Holdfast__V1__PlanAction action = HOLDFAST__V1__PLAN_ACTION__INIT;

    snprintf(copies[0], NAME_BYTES, "%s", first);
    snprintf(copies[1], NAME_BYTES, "%s", second == NULL ? "" : second);
    loss.zones = zones;
    loss.n_zones = second == NULL ? 1 : 2;
    action.action_case = ACTION(ZONE_LOSS);
    action.zone_loss = &loss;
    return planned(office, voters, &action);
}

static void drain_host(struct office *office, const char *name, bool at_risk)
{
    struct change change = {.kind = CHANGE_HOST_DRAIN};

    change.host_drain =
        (struct change_host_drain){{office_host_named(office, name)->uid},
                                   true,
                                   0,
                                   1,
                                   DRAIN_END_NONE,
                                   at_risk};
    office_apply(office, &change);
}

static bool warns_of(const struct plan *plan, const char *words)
{
    for (uint32_t i = 0; i < plan->warning_count; i++) {
        if (strstr(plan_text(plan, plan->warnings[i]), words) != NULL) {
            return true;
        }
    }
    return false;
}

static void wait_of(struct office *office, const char *host,
                    struct operation *operation)
{
    struct operation_ref ref =
        operation_of_host(office_host_named(office, host));

    assert_true(
        operation_judge(office->state, &ref, OPERATION_WHOLE, operation));
    drain_wait_tell(turn_placer(&office->turn), office->state, operation);
}

/* Twelve VMs of three zones fit into two, and then neither may be lost. */
static void a_drain_at_risk_moves_what_headroom_would_keep(void **unused)
{
    struct office *office = opened(12);
    struct operation operation;
    uint32_t before = office_host_named(office, "h-0")->vm_count;
    const struct vm *vm;
    char words[512];

    (void)unused;
    assert_int_equal(before, 4);
    drain_host(office, "h-0", false);
    settle(office);
    assert_true(office_host_named(office, "h-0")->vm_count > 0);
    /* All who tell of it say that it is headroom. */
    wait_of(office, "h-0", &operation);
    assert_int_equal(operation.waits[PENDING_HEADROOM],
                     office_host_named(office, "h-0")->vm_count);
    assert_int_equal(operation.waits[PENDING_NO_CAPACITY], 0);
    vm = state_vm_at(office->state, office_host_named(office, "h-0")->vm_first);
    assert_true(drain_wait_is(office->state, vm));
    assert_int_equal(drain_wait_reason(turn_placer(&office->turn),
                                       office->state, vm, words, sizeof(words)),
                     PENDING_HEADROOM);
    assert_non_null(strstr(words, "would find no room"));
    assert_non_null(strstr(words, "accept_risk"));
    drain_host(office, "h-0", true);
    settle(office);
    assert_int_equal(office_host_named(office, "h-0")->vm_count, 0);
    assert_int_equal(office_count(office, VM_RUNNING), 12);
    office_destroy(office);
}

static void a_plan_shows_what_a_drain_at_risk_moves(void **unused)
{
    struct office *office = opened(12);
    struct plan *plan = plan_drain_host(office, "h-0");

    (void)unused;
    assert_true(plan->risky);
    assert_true(warns_of(plan, "headroom"));
    assert_int_equal(plan->counts[PLAN_MOVE], 4);
    assert_int_equal(plan->lacks[PLAN_UNPLACED].count, 0);
    plan_destroy(plan);
    office_destroy(office);
}

static void a_plan_says_that_headroom_keeps_vms(void **unused)
{
    struct office *office = opened(12);
    struct plan *plan;
    uint32_t left;

    (void)unused;
    drain_host(office, "h-0", false); /* Before that would have been refused. */
    settle(office);
    left = office_host_named(office, "h-0")->vm_count;
    assert_true(left > 0);
    plan = plan_drain_host(office, "h-0");
    assert_int_equal(plan->step_count, 0);
    assert_int_equal(plan->lacks[PLAN_UNPLACED].count, left);
    assert_int_equal(plan->lacks[PLAN_UNPLACED].vms[0].reason,
                     PENDING_HEADROOM);
    assert_true(warns_of(plan, "headroom keeps"));
    assert_false(warns_of(plan, "disks, rules or room"));
    plan_destroy(plan);
    /* Of another host's drain these are not. */
    plan = plan_drain_host(office, "h-1");
    assert_int_equal(plan->lacks[PLAN_WAITING].count, left);
    plan_destroy(plan);
    office_destroy(office);
}

static void create_local(struct office *office, const char *name,
                         const char *host)
{
    struct change change = {.kind = CHANGE_VM_CREATE};

    change.vm_create = (struct change_vm_create){
        .name = text_of(name),
        .class = {state_class_named(office->state, text_of("c"))->uid},
        .on_partition = ON_PARTITION_MOVE,
        .desired = DESIRED_RUNNING,
        .driver = DRIVER_EXEC,
        .template = text_of(""),
        .labels = text_of(""),
        .selector = text_of(""),
        .local_disk = true,
    };
    office_apply(office, &change);
    office_assign(office, (struct vm_id){office_vm_named(office, name)->uid},
                  host);
    office_hosts_obey(office);
}

static void what_waited_before_is_not_the_actions_doing(void **unused)
{
    struct office *office = opened(3);
    const struct plan_lacks *lacks;
    struct plan *plan;

    (void)unused;
    create_local(office, "bound", "h-1");
    office_zone(office, "z3"); /* Nothing is there. */
    office_class(office, "huge", 100);
    office_vm(office, "huge", "waits", 0, false);
    settle(office);
    plan = plan_zone_loss(office, &all_well, "z3", NULL);
    assert_int_equal(plan->step_count, 0);
    assert_int_equal(plan->lacks[PLAN_UNPLACED].count, 0);
    assert_int_equal(plan->lacks[PLAN_WAITING].count, 1);
    assert_false(plan_has_changes(plan));
    plan_destroy(plan);
    plan = plan_drain_host(office, "h-1");
    lacks = &plan->lacks[PLAN_UNPLACED];
    assert_int_equal(lacks->count, 1);
    assert_string_equal(plan_text(plan, lacks->vms[0].name), "bound");
    assert_non_null(
        strstr(plan_text(plan, lacks->vms[0].message), "local disk"));
    assert_true(warns_of(plan, "1 VM cannot leave and stays"));
    assert_int_equal(plan->lacks[PLAN_WAITING].count, 1);
    assert_true(plan_has_changes(plan));
    plan_destroy(plan);
    office_destroy(office);
}

static void without_a_majority_nothing_is_placed(void **unused)
{
    static const struct turn_voters one_away = {3, 2, {1, 1, 1}, {1, 0, 1}};
    struct office *office = opened(6);
    struct plan *plan = plan_zone_loss(office, &all_well, "z0", "z1");

    (void)unused;
    assert_int_equal(plan->step_count, 0);
    assert_int_equal(plan->lacks[PLAN_UNPLACED].count, 4);
    assert_int_equal(plan->lacks[PLAN_UNPLACED].vms[0].reason,
                     PENDING_ZONE_UNAVAILABLE);
    assert_true(warns_of(plan, "no majority"));
    plan_destroy(plan);
    plan = plan_zone_loss(office, &all_well, "z0", NULL);
    assert_int_equal(plan->counts[PLAN_RESTART], 2);
    assert_false(warns_of(plan, "no majority"));
    plan_destroy(plan);
    plan = plan_zone_loss(office, &one_away, "z0", NULL);
    assert_int_equal(plan->step_count, 0);
    assert_true(warns_of(plan, "no majority"));
    plan_destroy(plan);
    plan = plan_zone_loss(office, &one_away, "z1", NULL);
    assert_int_equal(plan->counts[PLAN_RESTART], 2);
    plan_destroy(plan);
    office_destroy(office);
}

static void vms_where_their_class_is_taken_away_are_told_of(void **unused)
{
    char names[][8] = {"c", "zones", "z0", "z1"};
    char *mask[] = {names[1]};
    char *zones[] = {names[2], names[3]};
    Holdfast__V1__Class class = HOLDFAST__V1__CLASS__INIT;
    Holdfast__V1__PlanUpdateClass update =
        HOLDFAST__V1__PLAN_UPDATE_CLASS__INIT;
    Holdfast__V1__PlanAction action = HOLDFAST__V1__PLAN_ACTION__INIT;
    struct office *office = opened(3);
    struct plan *plan;

    (void)unused;
    class.name = names[0];
    class.zones = zones;
    class.n_zones = 2;
    update.vm_class = &class;
    update.update_mask = mask;
    update.n_update_mask = 1;
    action.action_case = ACTION(UPDATE_CLASS);
    action.update_class = &update;
    plan = planned(office, &all_well, &action);
    assert_true(warns_of(plan, "1 VM of class 'c' runs where it is not offered "
                               "(1 in zone 'z2')"));
    plan_destroy(plan);
    class.n_zones = 0;
    plan = planned(office, &all_well, &action);
    assert_int_equal(plan->warning_count, 0);
    plan_destroy(plan);
    office_destroy(office);
}

static void a_scale_that_headroom_refuses_is_planned(void **unused)
{
    char name[] = "web";
    Holdfast__V1__PlanScaleGroup scale = HOLDFAST__V1__PLAN_SCALE_GROUP__INIT;
    Holdfast__V1__PlanAction action = HOLDFAST__V1__PLAN_ACTION__INIT;
    struct office *office = opened(0);
    struct plan *plan;

    (void)unused;
    office_group(office, "c", "web", 3);
    settle(office);
    scale.name = name;
    scale.count = 20;
    action.action_case = ACTION(SCALE_GROUP);
    action.scale_group = &scale;
    plan = planned(office, &all_well, &action);
    assert_false(plan->applicable);
    /* Of 24 places 16 can be used, and all 20 are asked for. */
    assert_true(warns_of(plan, "of class 'c'"));
    assert_true(warns_of(plan, "of 20 members of group 'web' only"));
    assert_true(plan->counts[PLAN_CREATE] > 0);
    assert_true(plan->counts[PLAN_CREATE] <= 13);
    plan_destroy(plan);
    office_destroy(office);
}

static void long_starts_do_not_wrap(void **unused)
{
    struct office *office = opened(3);
    struct plan *plan;

    (void)unused;
    start_ms = UINT32_MAX - 1;
    plan = plan_zone_loss(office, &all_well, "z0", NULL);
    start_ms = 0;
    assert_int_equal(plan->counts[PLAN_RESTART], 1);
    assert_int_equal(plan->downtime_max_ms, UINT32_MAX);
    plan_destroy(plan);
    office_destroy(office);
}

static void headroom_that_is_off_is_not_known(void **unused)
{
    struct office *office = opened(3);
    struct plan *plan = plan_zone_loss(office, &all_well, "z0", NULL);

    (void)unused;
    assert_true(plan->headroom);
    assert_int_equal(plan->headroom_mode, HEADROOM_ENFORCE);
    plan_destroy(plan);
    office_policy(office, no_headroom);
    settle(office);
    plan = plan_zone_loss(office, &all_well, "z0", NULL);
    assert_false(plan->headroom);
    assert_int_equal(plan->headroom_mode, HEADROOM_OFF);
    plan_destroy(plan);
    assert_int_equal(headroom_protection(turn_placer(&office->turn),
                                         office->state,
                                         office_vm_named(office, "v0")),
                     UNPROTECTED_UNKNOWN);
    office_destroy(office);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_drain_at_risk_moves_what_headroom_would_keep),
        cmocka_unit_test(a_plan_shows_what_a_drain_at_risk_moves),
        cmocka_unit_test(a_plan_says_that_headroom_keeps_vms),
        cmocka_unit_test(what_waited_before_is_not_the_actions_doing),
        cmocka_unit_test(without_a_majority_nothing_is_placed),
        cmocka_unit_test(vms_where_their_class_is_taken_away_are_told_of),
        cmocka_unit_test(a_scale_that_headroom_refuses_is_planned),
        cmocka_unit_test(long_starts_do_not_wrap),
        cmocka_unit_test(headroom_that_is_off_is_not_known),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
