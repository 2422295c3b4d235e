/* SPDX-License-Identifier: Apache-2.0
 *
 * The placer over turns and trials: it always answers as one that was made anew
 * would. */
#include "base/memory.h"
#include "base/random.h"
#include "support/office.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define HOSTS 12

static struct random randomness;

static uint32_t below(uint32_t bound)
{
    return (uint32_t)random_below(&randomness, bound);
}

static struct office *busy_office(uint64_t seed)
{
    struct office *office = office_create();
    char name[16];

    random_init(&randomness, seed);
    office_hosts(office, 3, HOSTS, 20);
    office_class(office, "small", 1);
    office_class(office, "large", 7);
    for (uint32_t i = 0; i < 40; i++) {
        snprintf(name, sizeof(name), "v-%u", i);
        office_vm(office, i % 5 == 0 ? "large" : "small", name, below(10),
                  false);
    }
    office_run(office, 10);
    office_hosts_obey(office);
    return office;
}

/* For each class the choice of a placer that was made anew. */
static void assert_as_new(struct placer *placer, const struct state *state)
{
    struct placer *fresh = placer_create();

    placer_rebuild(fresh, state);
    for (uint32_t slot = 0; slot < state_vm_slots(state); slot++) {
        const struct vm *vm = state_vm_at(state, slot);
        struct vm candidate;
        struct placement_request request = {&candidate, SLOT_NONE};
        struct placement_choice expected;
        struct placement_choice choice;

        if (vm == NULL) {
            continue;
        }
        candidate = *vm;
        candidate.uid = 0;
        candidate.host = SLOT_NONE;
        candidate.last_host = SLOT_NONE;
        candidate.move_host = SLOT_NONE;
        candidate.move_zone = SLOT_NONE;
        candidate.moving = MOVE_NONE;
        candidate.state = VM_PENDING;
        request.prefer_zone = slot % 4 == 3 ? SLOT_NONE : slot % 4;
        placer_choose(fresh, state, &request, &expected);
        placer_choose(placer, state, &request, &choice);
        assert_int_equal(choice.host, expected.host);
    }
    placer_destroy(fresh);
}

static void create_and_place(struct turn_plan *plan)
{
    struct change change = {.kind = CHANGE_VM_CREATE};
    char name[32];

    snprintf(name, sizeof(name), "t-%llu",
             (unsigned long long)random_u64(&randomness));
    change.vm_create = (struct change_vm_create){
        .name = {name, (uint32_t)strlen(name)},
        .class = {state_class_at(plan->scratch, below(2))->uid},
        .on_partition = ON_PARTITION_MOVE,
        .desired = DESIRED_RUNNING,
        .driver = DRIVER_EXEC,
        .template = {"", 0},
        .labels = {"", 0},
        .selector = {"", 0},
    };
    turn_change(plan, &change);
    failover_place(plan, state_vm_named(plan->scratch, change.vm_create.name));
}

/* Any of the ways in which VMs and hosts change. */
static void decide_something(struct turn_plan *plan)
{
    struct change change = {.kind = CHANGE_HOST_CORDON};
    const struct host *host = state_host_at(plan->scratch, below(HOSTS));
    const struct vm *vm =
        state_vm_at(plan->scratch, below(state_vm_slots(plan->scratch)));

    switch (below(6)) {
    case 0:
        change.host_cordon =
            (struct change_host_cordon){{host->uid}, !host->cordoned};
        turn_change(plan, &change);
        break;
    case 1:
        if (vm != NULL && vm->host != SLOT_NONE) {
            change.kind = CHANGE_VM_RELEASE;
            change.vm_release = (struct change_vm_release){
                {vm->uid}, vm->epoch, {"", 0}, false, 0, false};
            turn_change(plan, &change);
        }
        break;
    case 2:
        if (vm != NULL && vm->host == SLOT_NONE) {
            change.kind = CHANGE_VM_DELETE;
            change.vm_delete.vm.uid = vm->uid;
            turn_change(plan, &change);
        }
        break;
    case 3:
        if (vm != NULL && vm->state == VM_RUNNING &&
            uid_slot(host->uid) != vm->host && host->state == HOST_UP &&
            host->capacity.cpu_milli - host->used.cpu_milli -
                    host->claimed.cpu_milli >=
                7000) {
            change.kind = CHANGE_VM_CLAIM;
            change.vm_claim = (struct change_vm_claim){
                {vm->uid}, {host->uid}, MOVE_CAUSE_PLAN, 1};
            turn_change(plan, &change);
        }
        break;
    case 4:
        if (host->state == HOST_UP) {
            change.kind = CHANGE_HOST_FENCE;
            change.host_fence =
                (struct change_host_fence){{host->uid}, FENCE_LEASE_ENDED};
            turn_change(plan, &change);
        }
        break;
    default:
        create_and_place(plan);
    }
}

struct trying {
    struct turn_request request;
    bool changes; /* Decides something beside the trial as well. */
    int done;
};

static void plan_trial(struct turn_request *request, struct turn_plan *plan)
{
    struct trying *trying = container_of(request, struct trying, request);
    uint64_t hash = state_hash(plan->scratch);
    size_t changes = plan->change_count;
    struct turn_trial trial;

    turn_trial_begin(&trial, plan);
    for (uint32_t i = below(20); i > 0; i--) {
        decide_something(&trial.plan);
    }
    assert_as_new(trial.plan.placer, trial.plan.scratch);
    turn_trial_end(&trial);
    assert_int_equal(state_hash(plan->scratch), hash);
    assert_int_equal(plan->change_count, changes);
    assert_as_new(plan->placer, plan->scratch);
    if (trying->changes) {
        create_and_place(plan);
    }
}

static void trial_done(struct turn_request *request, int status)
{
    struct trying *trying = container_of(request, struct trying, request);

    assert_int_equal(status, 0);
    trying->done++;
}

static void a_dry_run_leaves_the_placer_as_it_was(void **unused)
{
    (void)unused;
    for (uint64_t seed = 1; seed <= 30; seed++) {
        struct office *office = busy_office(seed);

        for (int i = 0; i < 5; i++) {
            struct trying trying = {
                .request = {.plan = plan_trial, .done = trial_done},
                .changes = i % 2 == 0};

            assert_int_equal(
                turn_submit(&office->turn, LANE_MUTATION, &trying.request), 0);
            office_turn(office);
            assert_int_equal(trying.done, 1);
            assert_non_null(turn_placer(&office->turn));
            assert_as_new(turn_placer(&office->turn), office->state);
        }
        office_destroy(office);
    }
}

static void plan_something(struct turn_request *request, struct turn_plan *plan)
{
    (void)request;
    for (uint32_t i = below(6); i > 0; i--) {
        decide_something(plan);
    }
    assert_as_new(plan->placer, plan->scratch);
}

static void a_placer_that_lives_over_turns_answers_as_a_new_one(void **unused)
{
    (void)unused;
    for (uint64_t seed = 100; seed < 110; seed++) {
        struct office *office = busy_office(seed);

        for (int i = 0; i < 20; i++) {
            struct trying trying = {
                .request = {.plan = plan_something, .done = trial_done}};

            assert_int_equal(
                turn_submit(&office->turn, LANE_MUTATION, &trying.request), 0);
            office_turn(office);
            assert_as_new(turn_placer(&office->turn), office->state);
            if (i % 5 == 4) {
                office_hosts_obey(office);
            }
        }
        office_destroy(office);
    }
}

/* A turn of which it is not known whether it counts leaves nothing behind. */
static void fails(struct turn_request *request, int status)
{
    struct trying *trying = container_of(request, struct trying, request);

    assert_int_not_equal(status, 0);
    trying->done++;
}

static void a_failed_turn_is_forgotten(void **unused)
{
    struct office *office = busy_office(7);
    struct trying trying = {.request = {.plan = plan_something, .done = fails}};

    (void)unused;
    for (int i = 0; i < 10; i++) {
        assert_int_equal(
            turn_submit(&office->turn, LANE_MUTATION, &trying.request), 0);
        turn_run(&office->turn, office->now_ms, office->now_ms);
        assert_null(turn_placer(&office->turn));
        turn_finished(&office->turn, -1);
        assert_null(turn_placer(&office->turn));
        while (!turn_prepare(&office->turn)) {
        }
        assert_as_new(turn_placer(&office->turn), office->state);
    }
    assert_int_equal(trying.done, 10);
    assert_int_equal(office->turn.failures, 10);
    office_destroy(office);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_dry_run_leaves_the_placer_as_it_was),
        cmocka_unit_test(a_placer_that_lives_over_turns_answers_as_a_new_one),
        cmocka_unit_test(a_failed_turn_is_forgotten),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
