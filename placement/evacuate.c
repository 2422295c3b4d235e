/* SPDX-License-Identifier: Apache-2.0
 *
 * The plain way: in order of priority, each where the placer wants it. */
#include "placement/evacuate.h"

#include "base/memory.h"

#include <stdlib.h>

struct evacuation {
    struct state *trial;
    struct placer *placer;
    struct evacuation_step *steps;
    uint32_t count;
    uint32_t done;
    uint32_t unplaced;
};

struct pending {
    uint32_t slot;
    uint32_t order;
    uint16_t priority;
};

static int compare(const void *a, const void *b)
{
    const struct pending *left = a;
    const struct pending *right = b;

    if (left->priority != right->priority) {
        return left->priority > right->priority ? -1 : 1;
    }
    return left->order < right->order ? -1 : left->order > right->order;
}

struct evacuation *evacuation_create(const struct state *state)
{
    struct evacuation *evacuation = memory_alloc(sizeof(*evacuation));
    uint32_t count = state_counts(state)->vms_by_state[VM_PENDING];
    struct pending *pending = memory_alloc_array(count, sizeof(*pending));
    uint32_t slot = state_pending_first(state);

    evacuation->trial = state_clone(state);
    evacuation->placer = placer_create();
    placer_rebuild(evacuation->placer, evacuation->trial);
    evacuation->steps = memory_alloc_array(count, sizeof(*evacuation->steps));
    evacuation->count = count;
    for (uint32_t i = 0; i < count; i++) {
        const struct vm *vm = state_vm_at(state, slot);

        pending[i] = (struct pending){slot, i, vm->priority};
        slot = vm->host_next;
    }
    qsort(pending, count, sizeof(*pending), compare);
    for (uint32_t i = 0; i < count; i++) {
        evacuation->steps[i].vm = pending[i].slot;
        evacuation->steps[i].host = SLOT_NONE;
    }
    free(pending);
    return evacuation;
}

void evacuation_destroy(struct evacuation *evacuation)
{
    if (evacuation == NULL) {
        return;
    }
    state_destroy(evacuation->trial);
    placer_destroy(evacuation->placer);
    free(evacuation->steps);
    free(evacuation);
}

static void place(struct evacuation *evacuation, struct evacuation_step *step)
{
    const struct vm *vm = state_vm_at(evacuation->trial, step->vm);
    struct placement_request request = {vm, SLOT_NONE};
    struct placement_choice choice;
    struct change change = {.kind = CHANGE_VM_ASSIGN};

    placer_choose(evacuation->placer, evacuation->trial, &request, &choice);
    step->host = choice.host;
    if (choice.host == SLOT_NONE) {
        evacuation->unplaced++;
        return;
    }
    change.vm_assign = (struct change_vm_assign){
        {vm->uid},
        {state_host_at(evacuation->trial, choice.host)->uid},
        vm->epoch + 1};
    state_apply(evacuation->trial, &change, NULL);
    placer_vm_changed(evacuation->placer, evacuation->trial, step->vm);
}

bool evacuation_work(struct evacuation *evacuation, uint32_t budget)
{
    while (evacuation->done < evacuation->count && budget > 0) {
        place(evacuation, &evacuation->steps[evacuation->done++]);
        budget--;
    }
    return evacuation->done == evacuation->count;
}

const struct evacuation_step *evacuation_steps(
    const struct evacuation *evacuation, uint32_t *count)
{
    *count = evacuation->count;
    return evacuation->steps;
}

uint32_t evacuation_unplaced(const struct evacuation *evacuation)
{
    return evacuation->unplaced;
}
