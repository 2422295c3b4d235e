/* SPDX-License-Identifier: Apache-2.0
 *
 * Moves of VMs that run: queued ones, drains, evening out. */
#include "node/move_control.h"

#include "base/memory.h"
#include "node/limits.h"
#include "node/move_budget.h"
#include "support/office.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define VMS 30

static struct office *opened(uint32_t zones, uint32_t hosts)
{
    struct office *office = office_create();

    office_hosts(office, zones, hosts, 40);
    office_class(office, "c", 1);
    return office;
}

/* All on one host. */
static void fill_host(struct office *office, const char *host, uint32_t count)
{
    char name[16];

    for (uint32_t i = 0; i < count; i++) {
        snprintf(name, sizeof(name), "v-%u", i);
        office_assign(office, office_vm(office, "c", name, 0, false), host);
    }
    office_hosts_obey(office);
}

static void claim_for(struct office *office, const char *vm, const char *host,
                      enum move_cause cause, uint32_t order)
{
    struct change change = {.kind = CHANGE_VM_CLAIM};

    change.vm_claim = (struct change_vm_claim){
        {office_vm_named(office, vm)->uid},
        {office_host_named(office, host)->uid},
        cause,
        order,
    };
    office_apply(office, &change);
}

static void claim(struct office *office, const char *vm, const char *host,
                  uint32_t order)
{
    claim_for(office, vm, host, MOVE_CAUSE_PLAN, order);
}

static uint32_t stopping_on(const struct office *office, const char *host)
{
    const struct host *record = office_host_named(office, host);
    uint32_t count = 0;

    for (uint32_t slot = record->vm_first; slot != SLOT_NONE;) {
        const struct vm *vm = state_vm_at(office->state, slot);

        count += vm->state == VM_STOPPING;
        slot = vm->host_next;
    }
    return count;
}

/* Never more than the budgets, at any time. */
static void check_budgets(const struct office *office)
{
    const struct policy *policy = state_policy(office->state);
    uint32_t zones[ZONES_MAX] = {0};
    uint32_t *hosts =
        memory_alloc_array(state_host_slots(office->state), sizeof(*hosts));

    for (uint32_t slot = 0; slot < state_vm_slots(office->state); slot++) {
        const struct vm *vm = state_vm_at(office->state, slot);
        uint32_t from;

        if (vm == NULL || !move_is_counted(vm)) {
            continue;
        }
        from = vm->state == VM_STOPPING ? vm->host : vm->last_host;
        zones[state_host_at(office->state, from)->zone]++;
        hosts[from]++;
        if (vm->state == VM_ASSIGNED) {
            hosts[vm->host]++;
        } else if (vm->move_host != SLOT_NONE) {
            hosts[vm->move_host]++;
        }
    }
    for (uint32_t i = 0; i < state_host_slots(office->state); i++) {
        assert_true(hosts[i] <= policy->host_moves);
    }
    for (uint32_t i = 0; i < ZONES_MAX; i++) {
        assert_true(zones[i] <= policy->zone_moves);
    }
    free(hosts);
}

static void run_checked(struct office *office, uint32_t turns)
{
    for (uint32_t i = 0; i < turns; i++) {
        office_turn(office);
        check_budgets(office);
        if (i % 3 == 2) {
            office_hosts_obey(office);
        }
    }
}

static void queued_moves_begin_in_their_order_within_budgets(void **unused)
{
    struct office *office = opened(3, 6);
    uint32_t *first;

    (void)unused;
    fill_host(office, "h-0", VMS);
    /* The last VM has the lowest number. */
    for (uint32_t i = 0; i < VMS; i++) {
        char vm[16];
        char host[16];

        snprintf(vm, sizeof(vm), "v-%u", i);
        snprintf(host, sizeof(host), "h-%u", 1 + i % 5);
        claim(office, vm, host, VMS - i);
    }
    first = &office->entries;
    office_turn(office);
    assert_int_equal(*first, 1);
    assert_int_equal(stopping_on(office, "h-0"), 2); /* host_moves */
    assert_int_equal(office_vm_named(office, "v-29")->state, VM_STOPPING);
    assert_int_equal(office_vm_named(office, "v-28")->state, VM_STOPPING);
    assert_int_equal(office_vm_named(office, "v-29")->move_cause,
                     MOVE_CAUSE_PLAN);
    run_checked(office, 200);
    assert_int_equal(office_host_named(office, "h-0")->vm_count, 0);
    assert_int_equal(office_count(office, VM_RUNNING), VMS);
    for (uint32_t i = 0; i < VMS; i++) {
        char vm[16];
        char host[16];

        snprintf(vm, sizeof(vm), "v-%u", i);
        snprintf(host, sizeof(host), "h-%u", 1 + i % 5);
        assert_int_equal(office_vm_named(office, vm)->host,
                         uid_slot(office_host_named(office, host)->uid));
        assert_int_equal(office_vm_named(office, vm)->epoch, 2);
    }
    assert_false(office_turn(office));
    office_destroy(office);
}

static void a_new_leader_goes_on_with_queued_moves(void **unused)
{
    struct office *office = opened(3, 6);

    (void)unused;
    fill_host(office, "h-0", 3);
    claim(office, "v-0", "h-1", 1);
    claim(office, "v-1", "h-1", 2);
    claim(office, "v-2", "h-1", 3);
    office_turn(office);
    office_lead(office);
    run_checked(office, 60);
    assert_int_equal(office_host_named(office, "h-1")->vm_count, 3);
    office_destroy(office);
}

static void a_claim_whose_target_takes_no_vms_is_given_up(void **unused)
{
    struct office *office = opened(3, 6);
    struct change change = {.kind = CHANGE_HOST_CORDON};

    (void)unused;
    fill_host(office, "h-0", 1);
    claim(office, "v-0", "h-1", 1);
    change.host_cordon = (struct change_host_cordon){
        {office_host_named(office, "h-1")->uid}, true};
    office_apply(office, &change);
    office_run(office, 10);
    assert_int_equal(office_vm_named(office, "v-0")->state, VM_RUNNING);
    assert_int_equal(office_vm_named(office, "v-0")->moving, MOVE_NONE);
    assert_int_equal(office_host_named(office, "h-1")->claim_count, 0);
    office_destroy(office);
}

static void the_loss_of_a_zone_cancels_queued_moves(void **unused)
{
    struct office *office = opened(3, 6);
    struct change change = {.kind = CHANGE_ZONE_STATE};

    (void)unused;
    fill_host(office, "h-0", VMS);
    for (uint32_t i = 0; i < VMS; i++) {
        char vm[16];

        snprintf(vm, sizeof(vm), "v-%u", i);
        claim(office, vm, "h-1", i);
    }
    office_turn(office);
    assert_int_equal(stopping_on(office, "h-0"), 2);
    change.zone_state = (struct change_zone_state){
        {state_zone_at(office->state, 2)->uid}, ZONE_LOST};
    office_apply(office, &change);
    office_turn(office);
    assert_int_equal(state_counts(office->state)->vms_claiming, 0);
    assert_int_equal(stopping_on(office, "h-0"), 2); /* They go on. */
    run_checked(office, 30);
    assert_int_equal(office_host_named(office, "h-0")->vm_count, VMS - 2);
    office_destroy(office);
}

static void drain_host(struct office *office, const char *name,
                       uint64_t deadline_ms)
{
    struct change change = {.kind = CHANGE_HOST_DRAIN};

    change.host_drain =
        (struct change_host_drain){{office_host_named(office, name)->uid},
                                   true,
                                   deadline_ms,
                                   0,
                                   DRAIN_END_NONE,
                                   false};
    office_apply(office, &change);
}

static void drain_respects_budgets_and_deadline(void **unused)
{
    struct office *office = opened(3, 6);
    uint64_t deadline_ms = office->now_ms + 2000;

    (void)unused;
    fill_host(office, "h-0", VMS);
    drain_host(office, "h-0", deadline_ms);
    for (int i = 0; i < 3; i++) {
        run_checked(office, 3);
    }
    assert_true(office_host_named(office, "h-0")->vm_count < VMS);
    assert_true(office_host_named(office, "h-0")->vm_count > 0);
    /* Nobody obeys any more; the time comes. */
    while (office->now_ms < deadline_ms + DRAIN_LOOK_MS) {
        office_turn(office);
        check_budgets(office);
    }
    assert_false(office_host_named(office, "h-0")->draining);
    assert_true(office_host_named(office, "h-0")->cordoned);
    run_checked(office, 300);
    assert_true(office_host_named(office, "h-0")->vm_count > 0);
    assert_int_equal(office_count(office, VM_RUNNING), VMS);
    office_destroy(office);
}

/* The drain of h-0, or of z0 where it is; with a number, as leaders do it. */
static void set_drain(struct office *office, bool of_zone, bool draining,
                      uint64_t deadline_ms)
{
    enum drain_end end = draining ? DRAIN_END_NONE : DRAIN_END_CANCELLED;
    struct change change = {.kind = CHANGE_HOST_DRAIN};

    if (of_zone) {
        change.kind = CHANGE_ZONE_DRAIN;
        change.zone_drain =
            (struct change_zone_drain){{state_zone_at(office->state, 0)->uid},
                                       draining,
                                       deadline_ms,
                                       1,
                                       end,
                                       false};
    } else {
        change.host_drain =
            (struct change_host_drain){{office_host_named(office, "h-0")->uid},
                                       draining,
                                       deadline_ms,
                                       1,
                                       end,
                                       false};
    }
    office_apply(office, &change);
}

/* As a plan of a drain queues them, to hosts of other zones; v-0 was to go in
 * any case, and comes last. Two begin. */
static struct office *drained_by_plan(bool of_zone, uint64_t for_ms)
{
    struct office *office = opened(3, 6);

    fill_host(office, "h-0", VMS);
    set_drain(office, of_zone, true, for_ms == 0 ? 0 : office->now_ms + for_ms);
    claim(office, "v-0", "h-1", VMS);
    for (uint32_t i = 1; i < VMS; i++) {
        char vm[16];

        snprintf(vm, sizeof(vm), "v-%u", i);
        claim_for(office, vm, "h-1",
                  of_zone ? MOVE_CAUSE_ZONE_DRAIN : MOVE_CAUSE_HOST_DRAIN, i);
    }
    office_turn(office);
    assert_int_equal(stopping_on(office, "h-0"), 2);
    assert_int_equal(state_counts(office->state)->vms_claiming, VMS - 2);
    return office;
}

static void check_stays(struct office *office)
{
    office_turn(office);
    assert_int_equal(state_counts(office->state)->vms_claiming, 1);
    assert_int_equal(stopping_on(office, "h-0"), 2); /* They go on. */
    run_checked(office, 60);
    assert_int_equal(office_host_named(office, "h-0")->vm_count, VMS - 3);
    assert_int_equal(office_vm_named(office, "v-3")->epoch, 1);
    assert_int_equal(office_count(office, VM_RUNNING), VMS);
    assert_int_equal(office_host_named(office, "h-1")->claim_count, 0);
    office_destroy(office);
}

static void what_a_plan_queued_for_a_drain_ends_with_it(void **unused)
{
    (void)unused;
    for (int i = 0; i < 4; i++) {
        bool of_zone = i % 2 == 0;
        struct office *office = drained_by_plan(of_zone, 0);

        set_drain(office, of_zone, false, 0);
        if (i < 2) {
            office_lead(office); /* Another one knows it as well. */
        }
        check_stays(office);
    }
}

static void it_ends_at_the_deadline_as_well(void **unused)
{
    (void)unused;
    for (int of_zone = 0; of_zone < 2; of_zone++) {
        struct office *office = drained_by_plan(of_zone == 1, 2000);

        while (office_host_named(office, "h-0")->draining ||
               state_zone_at(office->state, 0)->draining) {
            office_turn(office); /* Nobody obeys. */
            office->now_ms += 100;
        }
        check_stays(office);
    }
}

static void a_drain_without_a_deadline_empties_the_host(void **unused)
{
    struct office *office = opened(3, 6);

    (void)unused;
    fill_host(office, "h-0", VMS);
    drain_host(office, "h-0", 0);
    run_checked(office, 300);
    assert_int_equal(office_host_named(office, "h-0")->vm_count, 0);
    assert_true(office_host_named(office, "h-0")->draining);
    assert_int_equal(office_count(office, VM_RUNNING), VMS);
    for (uint32_t slot = 0; slot < VMS; slot++) {
        assert_int_equal(state_vm_at(office->state, slot)->move_cause,
                         MOVE_CAUSE_HOST_DRAIN);
    }
    office_destroy(office);
}

static void a_drained_zone_goes_to_the_others(void **unused)
{
    struct office *office = opened(3, 6);
    struct change change = {.kind = CHANGE_ZONE_DRAIN};

    (void)unused;
    fill_host(office, "h-0", VMS);
    change.zone_drain =
        (struct change_zone_drain){{state_zone_at(office->state, 0)->uid},
                                   true,
                                   office->now_ms + 30000,
                                   0,
                                   DRAIN_END_NONE,
                                   false};
    office_apply(office, &change);
    run_checked(office, 300);
    assert_int_equal(state_zone_at(office->state, 0)->vm_count, 0);
    assert_int_equal(state_vm_at(office->state, 0)->move_cause,
                     MOVE_CAUSE_ZONE_DRAIN);
    office->now_ms += 30000;
    run_checked(office, 3);
    assert_false(state_zone_at(office->state, 0)->draining);
    assert_true(state_zone_at(office->state, 0)->cordoned);
    office_destroy(office);
}

static void rebalance_always(struct policy *policy)
{
    policy->rebalance = REBALANCE_AUTO;
    policy->vm_cool_down_ms = 0;
}

static void set_zone(struct office *office, uint32_t zone,
                     enum zone_state zone_state)
{
    struct change change = {.kind = CHANGE_ZONE_STATE};

    change.zone_state = (struct change_zone_state){
        {state_zone_at(office->state, zone)->uid}, zone_state};
    office_apply(office, &change);
}

static void zones_are_evened_out_while_all_is_well(void **unused)
{
    struct office *office = opened(3, 6);

    (void)unused;
    fill_host(office, "h-0", VMS);
    run_checked(office, 20);
    assert_int_equal(office_host_named(office, "h-0")->vm_count, VMS);
    office_policy(office, rebalance_always);
    set_zone(office, 2, ZONE_HELD);
    run_checked(office, 20);
    assert_int_equal(office_host_named(office, "h-0")->vm_count, VMS);
    set_zone(office, 2, ZONE_UP);
    for (int i = 0; i < 100; i++) {
        office->now_ms += REBALANCE_LOOK_MS;
        run_checked(office, 3);
    }
    assert_false(office->moves.rebalancing);
    for (uint32_t zone = 0; zone < 3; zone++) {
        assert_in_range(state_zone_at(office->state, zone)->vm_count, 8, 12);
    }
    assert_int_equal(office_count(office, VM_RUNNING), VMS);
    office_destroy(office);
}

static void rebalance_rested(struct policy *policy)
{
    policy->rebalance = REBALANCE_AUTO;
}

/* A leader that looks without an end takes a core, and a turn of the log for
 * each look. */
static void zones_that_must_stay_uneven_are_looked_at_now_and_then(
    void **unused)
{
    struct office *office = opened(3, 6);
    uint32_t turns = 0;

    (void)unused;
    fill_host(office, "h-0", VMS);
    office_policy(office, rebalance_rested);
    office_run(office, 20);
    for (uint32_t i = 0; i < 2 * REBALANCE_LOOK_MS / 10; i++) {
        turns += office_turn(office);
    }
    assert_true(office->moves.rebalancing);
    assert_int_equal(turns, 2);
    assert_int_equal(stopping_on(office, "h-0"), 0);
    office->now_ms += state_policy(office->state)->vm_cool_down_ms;
    office_run(office, 1);
    assert_int_equal(stopping_on(office, "h-0"), 2); /* host_moves */
    office_destroy(office);
}

static void a_window_may_span_midnight(void **unused)
{
    struct policy policy;
    uint64_t minute = 60000;

    (void)unused;
    policy_init(&policy);
    policy.rebalance_window_start_minute = 1380;
    policy.rebalance_window_end_minute = 60;
    assert_true(move_control_in_window(&policy, 1439 * minute));
    assert_true(move_control_in_window(&policy, 1440 * minute));
    assert_true(move_control_in_window(&policy, 1499 * minute));
    assert_false(move_control_in_window(&policy, 1500 * minute));
    assert_false(move_control_in_window(&policy, 1379 * minute));
    policy.rebalance_window_start_minute = 60;
    policy.rebalance_window_end_minute = 120;
    assert_true(move_control_in_window(&policy, 60 * minute));
    assert_false(move_control_in_window(&policy, 120 * minute));
}

static void lose_zone(struct office *office, uint32_t slot)
{
    struct change change = {.kind = CHANGE_ZONE_STATE};

    change.zone_state = (struct change_zone_state){
        {state_zone_at(office->state, slot)->uid}, ZONE_LOST};
    office_apply(office, &change);
}

/* More claims than a turn gives up, and the leader goes after the first. */
static void a_new_leader_goes_on_cancelling(void **unused)
{
    struct office *office = office_create();
    const uint32_t count = MOVE_LOOKS_MAX + 2000;
    char name[16];

    (void)unused;
    office_hosts(office, 3, 3, count);
    office_class(office, "c", 1);
    fill_host(office, "h-0", count);
    for (uint32_t i = 0; i < count; i++) {
        snprintf(name, sizeof(name), "v-%u", i);
        claim(office, name, "h-1", i + 1);
    }
    lose_zone(office, 2);
    office_turn(office);
    assert_in_range(state_counts(office->state)->vms_claiming, 1, count - 1);
    office_lead(office);
    office_turn(office);
    office_turn(office);
    assert_int_equal(state_counts(office->state)->vms_claiming, 0);
    office_destroy(office);
}

/* Deadlines of many hosts at once: a part in each turn. */
static void many_drains_end_over_some_turns(void **unused)
{
    struct office *office = opened(3, 3 * DRAIN_ENDS_MAX + 5);
    uint32_t hosts = state_counts(office->state)->hosts;
    uint64_t deadline_ms = office->now_ms + 100000;
    uint32_t turns = 0;
    char name[16];

    (void)unused;
    for (uint32_t i = 0; i < hosts; i++) {
        snprintf(name, sizeof(name), "h-%u", i);
        drain_host(office, name, deadline_ms);
    }
    office_run(office, 10);
    assert_int_equal(state_counts(office->state)->hosts_draining, hosts);
    office->now_ms = deadline_ms;
    while (state_counts(office->state)->hosts_draining > 0 && turns < 10) {
        uint32_t before = state_counts(office->state)->hosts_draining;
        uint32_t after;

        assert_true(office_turn(office));
        assert_true(office->entry.len <= TURN_BYTES_SOFT_MAX);
        after = state_counts(office->state)->hosts_draining;
        assert_in_range(before - after, 1, DRAIN_ENDS_MAX);
        turns++;
    }
    assert_in_range(turns, 4, 5);
    for (uint32_t i = 0; i < hosts; i++) {
        assert_true(state_host_at(office->state, i)->cordoned);
    }
    office_destroy(office);
}

/* Those that cannot leave fill the first windows; who can is on the last host.
 */
static void a_large_drain_is_looked_at_in_windows(void **unused)
{
    struct office *office = office_create();
    struct change change = {.kind = CHANGE_ZONE_DRAIN};
    uint32_t count = 2 * REBALANCE_WINDOW_VMS;
    uint32_t turns = 0;
    char name[16];
    char host[16];

    (void)unused;
    office_zone(office, "z0");
    office_zone(office, "z1");
    office_class(office, "large", 8);
    office_class(office, "c", 1);
    for (uint32_t i = 0; i < 9; i++) {
        snprintf(host, sizeof(host), "h-%u", i);
        office_host(office, "z0", host, count);
    }
    office_host(office, "z1", "other", 4);
    for (uint32_t i = 0; i < count; i++) {
        snprintf(name, sizeof(name), "v-%u", i);
        snprintf(host, sizeof(host), "h-%u", i / (count / 8));
        office_assign(office, office_vm(office, "large", name, 0, false), host);
    }
    office_assign(office, office_vm(office, "c", "fits", 9, false), "h-8");
    office_hosts_obey(office);
    office_run(office, 10);
    change.zone_drain =
        (struct change_zone_drain){{state_zone_at(office->state, 0)->uid},
                                   true,
                                   0,
                                   0,
                                   DRAIN_END_NONE,
                                   false};
    office_apply(office, &change);
    while (office_vm_named(office, "fits")->moving == MOVE_NONE && turns < 20) {
        assert_true(office_turn(office));
        turns++;
    }
    assert_in_range(turns, 3, 6);
    /* It leaves; then all have been looked at, and rest for a while. */
    office_hosts_obey(office);
    office_run(office, 20);
    assert_int_equal(office->moves.stuck, count);
    assert_false(
        move_control_is_due(&office->moves, office->state, office->now_ms));
    office_destroy(office);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(queued_moves_begin_in_their_order_within_budgets),
        cmocka_unit_test(a_new_leader_goes_on_with_queued_moves),
        cmocka_unit_test(a_claim_whose_target_takes_no_vms_is_given_up),
        cmocka_unit_test(the_loss_of_a_zone_cancels_queued_moves),
        cmocka_unit_test(drain_respects_budgets_and_deadline),
        cmocka_unit_test(what_a_plan_queued_for_a_drain_ends_with_it),
        cmocka_unit_test(it_ends_at_the_deadline_as_well),
        cmocka_unit_test(a_drain_without_a_deadline_empties_the_host),
        cmocka_unit_test(a_drained_zone_goes_to_the_others),
        cmocka_unit_test(zones_are_evened_out_while_all_is_well),
        cmocka_unit_test(
            zones_that_must_stay_uneven_are_looked_at_now_and_then),
        cmocka_unit_test(a_window_may_span_midnight),
        cmocka_unit_test(a_new_leader_goes_on_cancelling),
        cmocka_unit_test(many_drains_end_over_some_turns),
        cmocka_unit_test(a_large_drain_is_looked_at_in_windows),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
