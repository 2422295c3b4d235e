/* SPDX-License-Identifier: Apache-2.0
 *
 * Groups as scale sets. */
#include "node/group_control.h"

#include "base/memory.h"
#include "node/limits.h"
#include "support/office.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct office *opened(uint32_t zones, uint32_t hosts, uint32_t cores)
{
    struct office *office = office_create();

    office_hosts(office, zones, hosts, cores);
    office_class(office, "c", 1);
    return office;
}

static void settle(struct office *office)
{
    for (int i = 0; i < 20; i++) {
        office_run(office, 50);
        office_hosts_obey(office);
    }
}

static uint32_t in_zone(const struct office *office, struct group_id id,
                        uint32_t zone)
{
    return state_group(office->state, id)->zone_counts[zone];
}

static uint32_t scale_to;

static void scale(struct group_fields *fields)
{
    fields->count = scale_to;
}

static void members_are_made_with_free_names(void **unused)
{
    struct office *office = opened(3, 3, 10);
    struct group_id id;

    (void)unused;
    office_vm(office, "c", "web-1", 0, false);
    id = office_group(office, "c", "web", 3);
    settle(office);
    assert_int_equal(state_group(office->state, id)->vm_count, 3);
    assert_non_null(office_vm_named(office, "web-0"));
    assert_int_equal(office_vm_named(office, "web-1")->group_plus1, 0);
    assert_non_null(office_vm_named(office, "web-2"));
    assert_non_null(office_vm_named(office, "web-3"));
    assert_int_equal(state_group(office->state, id)->next_member, 4);
    assert_int_equal(office_count(office, VM_RUNNING), 4);
    office_destroy(office);
}

static void a_name_is_not_used_again(void **unused)
{
    struct office *office = opened(3, 3, 10);
    struct group_id id = office_group(office, "c", "web", 2);

    (void)unused;
    settle(office);
    for (scale_to = 1; scale_to <= 2; scale_to++) {
        office_group_update(office, id, scale, false);
        settle(office);
    }
    assert_int_equal(state_group(office->state, id)->vm_count, 2);
    assert_int_equal(state_group(office->state, id)->next_member, 3);
    assert_non_null(office_vm_named(office, "web-2"));
    office_destroy(office);
}

static void a_turn_makes_a_bounded_number(void **unused)
{
    struct office *office = opened(3, 30, 200);
    struct group_id id =
        office_group(office, "c", "web", 2 * GROUP_MEMBERS_MAX + 1);

    (void)unused;
    office_turn(office);
    assert_int_equal(state_group(office->state, id)->vm_count,
                     GROUP_MEMBERS_MAX);
    office_run(office, 50);
    assert_int_equal(state_group(office->state, id)->vm_count,
                     2 * GROUP_MEMBERS_MAX + 1);
    office_destroy(office);
}

static void surplus_goes_from_the_fullest_zones_newest_first(void **unused)
{
    struct office *office = opened(3, 3, 100);
    struct group_id id = office_group(office, "c", "web", 30);
    struct change change = {.kind = CHANGE_ZONE_CORDON};

    (void)unused;
    /* Zone z2 gets none of the first thirty. */
    change.zone_cordon = (struct change_zone_cordon){
        {state_zone_at(office->state, 2)->uid}, true};
    office_apply(office, &change);
    settle(office);
    change.zone_cordon.cordoned = false;
    office_apply(office, &change);
    scale_to = 35;
    office_group_update(office, id, scale, false);
    settle(office);
    assert_int_equal(in_zone(office, id, 2), 5);
    scale_to = 15;
    office_group_update(office, id, scale, false);
    settle(office);
    for (uint32_t zone = 0; zone < 3; zone++) {
        assert_int_equal(in_zone(office, id, zone), 5);
    }
    /* Those that stay in z0 and z1 are the oldest. */
    for (uint32_t i = 0; i < 10; i++) {
        char name[16];

        snprintf(name, sizeof(name), "web-%u", i);
        assert_non_null(office_vm_named(office, name));
    }
    office_destroy(office);
}

static void pending_members_go_before_running_ones(void **unused)
{
    struct office *office = opened(1, 1, 5);
    struct group_id id = office_group(office, "c", "web", 8);

    (void)unused;
    settle(office);
    assert_int_equal(office_count(office, VM_RUNNING), 5);
    assert_int_equal(office_count(office, VM_PENDING), 3);
    scale_to = 5;
    office_group_update(office, id, scale, false);
    settle(office);
    assert_int_equal(office_count(office, VM_RUNNING), 5);
    assert_int_equal(office_count(office, VM_PENDING), 0);
    office_destroy(office);
}

static void renew_template(struct group_fields *fields)
{
    fields->generation++;
    fields->priority = 5;
    fields->max_unavailable = 2;
}

static uint32_t of_generation(const struct office *office, uint32_t generation)
{
    uint32_t count = 0;

    for (uint32_t slot = 0; slot < state_vm_slots(office->state); slot++) {
        const struct vm *vm = state_vm_at(office->state, slot);

        count += vm != NULL && vm->template_generation == generation;
    }
    return count;
}

static void outdated_members_are_replaced_within_max_unavailable(void **unused)
{
    struct office *office = opened(3, 3, 10);
    struct group_id id = office_group(office, "c", "web", 9);
    uint32_t least = 9;

    (void)unused;
    settle(office);
    office_group_update(office, id, renew_template, false);
    for (int i = 0; i < 60; i++) {
        office_turn(office);
        least = office_count(office, VM_RUNNING) < least
                    ? office_count(office, VM_RUNNING)
                    : least;
        if (i % 3 == 0) {
            office_hosts_obey(office);
        }
    }
    assert_int_equal(least, 7);
    assert_int_equal(of_generation(office, 1), 0);
    assert_int_equal(of_generation(office, 2), 9);
    assert_int_equal(office_count(office, VM_RUNNING), 9);
    office_destroy(office);
}

static void a_deleted_group_goes_with_its_last_member(void **unused)
{
    struct office *office = opened(3, 3, 10);
    struct group_id id = office_group(office, "c", "web", 9);

    (void)unused;
    settle(office);
    office_group_update(office, id, NULL, true);
    office_run(office, 50);
    assert_int_equal(office_count(office, VM_STOPPING), 9);
    assert_non_null(state_group(office->state, id));
    settle(office);
    assert_null(state_group(office->state, id));
    assert_int_equal(state_counts(office->state)->vms, 0);
    office_destroy(office);
}

static void enforce(struct policy *policy)
{
    policy->headroom = HEADROOM_ENFORCE;
}

/* Three zones with ten cores each: two of them hold twenty. */
static void members_that_would_break_headroom_are_not_made(void **unused)
{
    struct office *office = opened(3, 3, 10);
    struct group_id id;

    (void)unused;
    office_policy(office, enforce);
    id = office_group(office, "c", "web", 25);
    settle(office);
    assert_int_equal(state_group(office->state, id)->vm_count, 20);
    assert_int_equal(office_count(office, VM_RUNNING), 20);
    /* With more room the others follow. */
    office_host(office, "z0", "more-0", 10);
    office_host(office, "z1", "more-1", 10);
    office_host(office, "z2", "more-2", 10);
    office->now_ms += GROUP_RETRY_MS;
    settle(office);
    assert_int_equal(state_group(office->state, id)->vm_count, 25);
    office_destroy(office);
}

static void an_idle_group_asks_for_no_turn(void **unused)
{
    struct office *office = opened(3, 3, 10);

    (void)unused;
    office_group(office, "c", "web", 9);
    office_group(office, "c", "db", 3);
    settle(office);
    assert_false(group_control_is_due(&office->groups, office->now_ms));
    assert_false(office_turn(office));
    office_destroy(office);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_are_made_with_free_names),
        cmocka_unit_test(a_name_is_not_used_again),
        cmocka_unit_test(a_turn_makes_a_bounded_number),
        cmocka_unit_test(surplus_goes_from_the_fullest_zones_newest_first),
        cmocka_unit_test(pending_members_go_before_running_ones),
        cmocka_unit_test(outdated_members_are_replaced_within_max_unavailable),
        cmocka_unit_test(a_deleted_group_goes_with_its_last_member),
        cmocka_unit_test(members_that_would_break_headroom_are_not_made),
        cmocka_unit_test(an_idle_group_asks_for_no_turn),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
