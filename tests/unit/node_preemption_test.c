/* SPDX-License-Identifier: Apache-2.0
 *
 * VMs that are stopped for others. */
#include "support/office.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Two hosts of four cores, full of preemptible VMs. */
static struct office *full(void)
{
    struct office *office = office_create();
    char name[16];

    office_hosts(office, 1, 2, 4);
    office_class(office, "c", 1);
    office_class(office, "three", 3);
    for (uint32_t i = 0; i < 8; i++) {
        snprintf(name, sizeof(name), "low-%u", i);
        office_vm(office, "c", name, i, true);
    }
    office_run(office, 20);
    office_hosts_obey(office);
    assert_int_equal(office_count(office, VM_RUNNING), 8);
    return office;
}

static uint32_t pending_for(const struct office *office,
                            enum pending_reason reason)
{
    uint32_t count = 0;

    for (uint32_t slot = 0; slot < state_vm_slots(office->state); slot++) {
        const struct vm *vm = state_vm_at(office->state, slot);

        count += vm != NULL && vm->state == VM_PENDING &&
                 vm->pending_reason == reason;
    }
    return count;
}

static void preempted_vm_makes_room_for_its_beneficiary(void **unused)
{
    struct office *office = full();
    const struct vm *high;
    uint32_t host;

    (void)unused;
    office_vm(office, "three", "high", 100, false);
    office_run(office, 20);
    high = office_vm_named(office, "high");
    assert_int_equal(high->state, VM_PENDING);
    assert_int_equal(high->pending_reason, PENDING_PREEMPTING);
    assert_int_equal(high->moving, MOVE_CLAIMED);
    assert_int_equal(office_count(office, VM_STOPPING), 3);
    host = high->move_host;
    /* While they stop, nobody else gets their room, and no more are stopped. */
    office_vm(office, "c", "other", 0, false);
    office_run(office, 20);
    assert_int_equal(office_count(office, VM_STOPPING), 3);
    office_hosts_obey(office);
    office_run(office, 20);
    high = office_vm_named(office, "high");
    assert_int_equal(high->state, VM_ASSIGNED);
    assert_int_equal(high->host, host);
    assert_int_equal(state_host_at(office->state, host)->claim_count, 0);
    assert_int_equal(pending_for(office, PENDING_PREEMPTED), 3);
    /* They run again when there is room. */
    office_host(office, "z0", "more", 4);
    office_run(office, 20);
    assert_int_equal(office_count(office, VM_PENDING), 0);
    assert_int_equal(office_vm_named(office, "other")->pending_reason,
                     PENDING_NONE);
    office_destroy(office);
}

static void those_of_the_lowest_priority_go(void **unused)
{
    struct office *office = full();

    (void)unused;
    office_vm(office, "c", "high", 100, false);
    office_run(office, 20);
    office_hosts_obey(office);
    office_run(office, 20);
    assert_int_equal(office_vm_named(office, "low-0")->pending_reason,
                     PENDING_PREEMPTED);
    office_destroy(office);
}

static void nobody_is_stopped_for_an_equal(void **unused)
{
    struct office *office = full();

    (void)unused;
    office_vm(office, "three", "same", 0, false);
    office_run(office, 20);
    assert_int_equal(office_count(office, VM_STOPPING), 0);
    assert_int_equal(office_vm_named(office, "same")->pending_reason,
                     PENDING_NO_CAPACITY);
    office_destroy(office);
}

static void no_preemption(struct policy *policy)
{
    policy->preempt_max = 0;
}

static void nobody_is_stopped_when_the_settings_forbid_it(void **unused)
{
    struct office *office = full();

    (void)unused;
    office_policy(office, no_preemption);
    office_vm(office, "three", "high", 100, false);
    office_run(office, 20);
    assert_int_equal(office_count(office, VM_STOPPING), 0);
    office_destroy(office);
}

/* The host is lost, cordoned, or filled by others' return in the meantime. */
static void a_claim_that_cannot_be_fulfilled_is_given_up(void **unused)
{
    struct office *office = full();
    struct change change = {.kind = CHANGE_HOST_CORDON};
    const struct vm *high;
    uint32_t host;

    (void)unused;
    office_vm(office, "three", "high", 100, false);
    office_run(office, 20);
    host = office_vm_named(office, "high")->move_host;
    change.host_cordon = (struct change_host_cordon){
        {state_host_at(office->state, host)->uid}, true};
    office_apply(office, &change);
    office_hosts_obey(office);
    office_run(office, 20);
    high = office_vm_named(office, "high");
    assert_int_equal(state_host_at(office->state, host)->claim_count, 0);
    assert_int_equal(high->pending_reason, PENDING_PREEMPTING);
    assert_int_not_equal(high->move_host, host); /* On the other one. */
    office_hosts_obey(office);
    office_run(office, 20);
    assert_int_equal(office_vm_named(office, "high")->state, VM_ASSIGNED);
    office_destroy(office);
}

static void the_loss_of_the_host_ends_a_claim(void **unused)
{
    struct office *office = full();
    uint32_t host;

    (void)unused;
    office_vm(office, "three", "high", 100, false);
    office_run(office, 20);
    host = office_vm_named(office, "high")->move_host;
    office_fence(office, host);
    for (int i = 0; i < 5; i++) {
        office_run(office, 20);
        office_hosts_obey(office);
    }
    assert_int_equal(office_vm_named(office, "high")->state, VM_RUNNING);
    assert_int_not_equal(office_vm_named(office, "high")->host, host);
    office_destroy(office);
}

static void a_new_leader_keeps_the_promise(void **unused)
{
    struct office *office = full();

    (void)unused;
    office_vm(office, "three", "high", 100, false);
    office_run(office, 20);
    office_lead(office);
    office_run(office, 20);
    assert_int_equal(office_count(office, VM_STOPPING), 3);
    office_hosts_obey(office);
    office_run(office, 20);
    assert_int_equal(office_vm_named(office, "high")->state, VM_ASSIGNED);
    office_destroy(office);
}

static void enforce_headroom(struct policy *policy)
{
    policy->headroom = HEADROOM_ENFORCE;
}

/* Two hosts full of preemptible VMs: whichever of these went, the new one would
 * have no slot in the other zone. */
static void nobody_is_stopped_for_what_headroom_would_refuse(void **unused)
{
    static const char *const fillers[] = {"f-0", "f-1", "f-2", "f-3"};
    struct office *office = office_create();
    struct vm_id id;

    (void)unused;
    office_hosts(office, 2, 2, 2);
    office_class(office, "c", 1);
    office_policy(office, enforce_headroom);
    for (uint32_t i = 0; i < 4; i++) {
        office_assign(office, office_vm(office, "c", fillers[i], 0, true),
                      i < 2 ? "h-0" : "h-1");
    }
    office_hosts_obey(office);
    office_run(office, 100);
    id = office_vm(office, "c", "new", 10, false);
    office_run(office, 100);
    assert_int_equal(state_vm(office->state, id)->state, VM_PENDING);
    assert_int_equal(state_vm(office->state, id)->moving, MOVE_NONE);
    assert_int_equal(office_count(office, VM_RUNNING), 4);
    office_destroy(office);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(preempted_vm_makes_room_for_its_beneficiary),
        cmocka_unit_test(those_of_the_lowest_priority_go),
        cmocka_unit_test(nobody_is_stopped_for_an_equal),
        cmocka_unit_test(nobody_is_stopped_when_the_settings_forbid_it),
        cmocka_unit_test(a_claim_that_cannot_be_fulfilled_is_given_up),
        cmocka_unit_test(the_loss_of_the_host_ends_a_claim),
        cmocka_unit_test(a_new_leader_keeps_the_promise),
        cmocka_unit_test(nobody_is_stopped_for_what_headroom_would_refuse),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
