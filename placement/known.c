/* SPDX-License-Identifier: Apache-2.0 */
#include "base/memory.h"
#include "placement/internal.h"

#include <stdlib.h>
#include <string.h>

struct known_vm known_of(const struct vm *vm)
{
    if (vm == NULL) {
        return (struct known_vm){.taken = 1};
    }
    return (struct known_vm){
        .host_plus1 = vm->host == SLOT_NONE ? 0 : vm->host + 1,
        .claim_plus1 = vm_holds_claim(vm) ? vm->move_host + 1 : 0,
        .group_plus1 = vm->group_plus1,
        .preemptible = vm->preemptible,
        .taken = 1,
    };
}

void known_reset(struct known *known, const struct state *state)
{
    known_close(known);
    known->clone = state_clone(state);
    known->capacity = state_vm_slots(state) + 1024;
    known->vms = memory_alloc_array(known->capacity, sizeof(*known->vms));
}

void known_close(struct known *known)
{
    if (known->clone != NULL) {
        state_destroy(known->clone);
    }
    free(known->vms);
    *known = (struct known){0};
}

/* What the clone says of a VM that was not told of since. */
static struct known_vm cloned(const struct known *known, uint32_t slot)
{
    if (known->clone == NULL || slot >= state_vm_slots(known->clone)) {
        return known_of(NULL);
    }
    return known_of(state_vm_at(known->clone, slot));
}

void known_work(struct known *known, uint32_t budget)
{
    uint32_t slots;

    if (known->clone == NULL) {
        return;
    }
    slots = state_vm_slots(known->clone);
    for (; known->next < slots && budget > 0; known->next++, budget--) {
        struct known_vm *vm = &known->vms[known->next];

        if (!vm->taken) {
            *vm = cloned(known, known->next);
        }
    }
    if (known->next == slots) {
        state_destroy(known->clone);
        known->clone = NULL;
    }
}

struct known_vm known_get(const struct known *known, uint32_t slot)
{
    if (slot < known->capacity && known->vms[slot].taken) {
        return known->vms[slot];
    }
    return cloned(known, slot);
}

void known_set(struct known *known, uint32_t slot, struct known_vm vm)
{
    if (slot >= known->capacity) {
        uint32_t former = known->capacity;

        known->capacity = slot + slot / 2 + 1024;
        known->vms = memory_realloc_array(known->vms, known->capacity,
                                          sizeof(*known->vms));
        memset(known->vms + former, 0,
               (known->capacity - former) * sizeof(*known->vms));
    }
    vm.taken = 1;
    known->vms[slot] = vm;
}
