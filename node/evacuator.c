/* SPDX-License-Identifier: Apache-2.0 */
#include "node/evacuator.h"

#include "base/check.h"
#include "node/limits.h"
#include "node/place.h"

/* Steps in which the VM for which another is stopped is looked for. It comes
 * after all its victims and what makes room for it. */
#define BENEFICIARY_STEPS_MAX (2 * PREEMPT_MAX)

void evacuator_init(struct evacuator *evacuator)
{
    *evacuator = (struct evacuator){0};
}

void evacuator_abandon(struct evacuator *evacuator)
{
    evacuation_destroy(evacuator->evacuation);
    state_destroy(evacuator->clone);
    evacuator_init(evacuator);
}

void evacuator_begin(struct evacuator *evacuator, const struct state *state,
                     bool proved)
{
    evacuator_abandon(evacuator);
    evacuator->by_proof = !proved;
    evacuator->clone = state_clone(state);
    evacuator->evacuation = evacuation_create(evacuator->clone);
}

bool evacuator_work(struct evacuator *evacuator)
{
    if (!evacuator_is_planning(evacuator)) {
        return true;
    }
    if (!evacuation_work(evacuator->evacuation, EVACUATION_SLICE_VMS)) {
        return false;
    }
    evacuator->steps =
        evacuation_steps(evacuator->evacuation, &evacuator->count);
    evacuator->by_proof =
        evacuator->by_proof && evacuation_unplaced(evacuator->evacuation) > 0;
    return true;
}

/* The VM of a step, if it is still the one that was planned for. */
static const struct vm *vm_of(const struct evacuator *evacuator,
                              const struct state *state, uint32_t slot)
{
    const struct vm *planned = state_vm_at(evacuator->clone, slot);

    CHECK(planned != NULL);
    return state_vm(state, (struct vm_id){planned->uid});
}

/* Where its place may be decided now: others are stopped for it already, it
 * waits out a restart delay, or it was placed by a request meanwhile. */
static bool is_placeable(const struct vm *vm, const struct turn_plan *plan)
{
    return vm != NULL && vm->state == VM_PENDING &&
           vm->moving != MOVE_CLAIMED && vm->not_before_ms <= plan->time_ms;
}

static bool is_up(const struct state *state, uint32_t host_slot)
{
    const struct host *host = state_host_at(state, host_slot);

    return host != NULL && host->state == HOST_UP;
}

static void decide_place(const struct evacuator *evacuator,
                         struct turn_plan *plan,
                         const struct evacuation_step *step)
{
    const struct vm *vm = vm_of(evacuator, plan->scratch, step->vm);
    enum placement_refusal refusal;

    if (!is_placeable(vm, plan) || step->host == SLOT_NONE) {
        return;
    }
    if (!is_up(plan->scratch, step->host)) {
        place_vm(plan, vm, NULL);
        return;
    }
    refusal = placer_refusal(plan->placer, plan->scratch, vm, step->host);
    if (refusal == PLACEMENT_REFUSAL_COUNT) {
        place_assign(plan, vm, step->host);
        return;
    }
    if (refusal >= REFUSED_CPU && refusal <= REFUSED_CLAIMED &&
        place_fits_later(plan->scratch, vm, step->host) &&
        place_claim(plan, vm, step->host, MOVE_CAUSE_PREEMPTION)) {
        return;
    }
    place_vm(plan, vm, NULL);
}

/* Still where the plan has it, and not on its way. */
static bool stays(const struct evacuator *evacuator, const struct vm *vm,
                  uint32_t slot)
{
    const struct vm *planned = state_vm_at(evacuator->clone, slot);

    return vm != NULL && vm->host != SLOT_NONE && vm->host == planned->host &&
           vm->epoch == planned->epoch && vm->moving == MOVE_NONE &&
           (vm->state == VM_RUNNING || vm->state == VM_STARTING ||
            vm->state == VM_ASSIGNED);
}

/* A VM that runs makes room. It holds its new place from now on, and whoever
 * follows holds the old one. */
static void decide_move(const struct evacuator *evacuator,
                        struct turn_plan *plan,
                        const struct evacuation_step *step)
{
    const struct vm *vm = vm_of(evacuator, plan->scratch, step->vm);
    struct change change = {.kind = CHANGE_VM_MOVE};
    struct vm leaving;

    if (!stays(evacuator, vm, step->vm) || step->host == SLOT_NONE ||
        vm->host == step->host || !is_up(plan->scratch, step->host)) {
        return;
    }
    leaving = *vm;
    leaving.uid = 0;
    leaving.host = SLOT_NONE;
    if (placer_refusal(plan->placer, plan->scratch, &leaving, step->host) !=
        PLACEMENT_REFUSAL_COUNT) {
        return;
    }
    change.vm_move = (struct change_vm_move){
        .vm = {vm->uid},
        .host = {state_host_at(plan->scratch, step->host)->uid},
        .cause = MOVE_CAUSE_PREEMPTION,
    };
    turn_change(plan, &change);
}

/* The first VM after the step that is to be placed on the host. */
static const struct vm *beneficiary_of(const struct evacuator *evacuator,
                                       struct turn_plan *plan,
                                       uint32_t host_slot)
{
    uint32_t end = evacuator->next + BENEFICIARY_STEPS_MAX;

    end = end < evacuator->count ? end : evacuator->count;
    for (uint32_t i = evacuator->next; i < end; i++) {
        const struct evacuation_step *step = &evacuator->steps[i];
        const struct vm *vm;

        if (step->kind != EVACUATION_PLACE || step->host != host_slot) {
            continue;
        }
        vm = vm_of(evacuator, plan->scratch, step->vm);
        return vm != NULL && vm->state == VM_PENDING ? vm : NULL;
    }
    return NULL;
}

static void decide_preemption(const struct evacuator *evacuator,
                              struct turn_plan *plan,
                              const struct evacuation_step *step)
{
    const struct vm *vm = vm_of(evacuator, plan->scratch, step->vm);
    const struct vm *beneficiary;
    struct change change = {.kind = CHANGE_VM_PREEMPT};
    bool holds;

    if (!stays(evacuator, vm, step->vm) || !vm->preemptible ||
        !is_up(plan->scratch, vm->host)) {
        return;
    }
    beneficiary = beneficiary_of(evacuator, plan, vm->host);
    if (beneficiary == NULL) {
        return;
    }
    change.vm_preempt =
        (struct change_vm_preempt){{vm->uid}, {beneficiary->uid}};
    holds = beneficiary->moving == MOVE_CLAIMED &&
            beneficiary->move_host == vm->host;
    if (holds ||
        place_claim(plan, beneficiary, vm->host, MOVE_CAUSE_PREEMPTION)) {
        turn_change(plan, &change);
    }
}

/* Only who has a slot. */
static void decide_by_proof(const struct evacuator *evacuator,
                            struct turn_plan *plan,
                            const struct evacuation_step *step)
{
    const struct vm *vm = vm_of(evacuator, plan->scratch, step->vm);

    if (step->kind == EVACUATION_PLACE && is_placeable(vm, plan)) {
        (void)place_by_proof(plan, vm);
    }
}

static void decide(const struct evacuator *evacuator, struct turn_plan *plan,
                   const struct evacuation_step *step)
{
    if (evacuator->by_proof) {
        decide_by_proof(evacuator, plan, step);
        return;
    }
    switch (step->kind) {
    case EVACUATION_PLACE:
        decide_place(evacuator, plan, step);
        break;
    case EVACUATION_MOVE:
        decide_move(evacuator, plan, step);
        break;
    case EVACUATION_PREEMPT:
        decide_preemption(evacuator, plan, step);
        break;
    default:
        CHECK_UNREACHABLE("a step of a kind that exists");
    }
}

enum evacuator_progress evacuator_decide(struct evacuator *evacuator,
                                         struct turn_plan *plan, uint32_t max)
{
    bool by_proof = evacuator->by_proof;

    CHECK(evacuator_is_deciding(evacuator));
    while (max-- > 0 && evacuator->next < evacuator->count &&
           turn_work_left(plan) > 0 && plan->entry.len < TURN_BYTES_SOFT_MAX) {
        decide(evacuator, plan, &evacuator->steps[evacuator->next++]);
    }
    if (evacuator->next < evacuator->count) {
        return EVACUATOR_GOES_ON;
    }
    evacuator_abandon(evacuator);
    return by_proof ? EVACUATOR_PROVED : EVACUATOR_DONE;
}
