/* SPDX-License-Identifier: Apache-2.0 */
#include "base/memory.h"
#include "placement/internal.h"

#include <stdlib.h>
#include <string.h>

static uint8_t zone_plus1(const struct state *state, uint32_t host)
{
    return (uint8_t)(state_host_at(state, host)->zone + 1);
}

static bool is_of_trial(const struct vm *vm)
{
    return vm->moving == MOVE_CLAIMED && vm->move_cause == MOVE_CAUSE_NONE;
}

struct known_vm known_of(const struct state *state, const struct vm *vm)
{
    struct known_vm known = {.taken = 1};

    if (vm == NULL) {
        return known;
    }
    known.group_plus1 = vm->group_plus1;
    known.preemptible = vm->preemptible;
    if (vm->host != SLOT_NONE) {
        known.host_plus1 = vm->host + 1;
    }
    if (vm_holds_claim(vm)) {
        known.claim_plus1 = vm->move_host + 1;
        known.claim_zone_plus1 = zone_plus1(state, vm->move_host);
        if (vm->host != SLOT_NONE && !is_of_trial(vm)) {
            known.leaves_zone_plus1 = zone_plus1(state, vm->host);
        }
    }
    return known;
}

/* Entries are allocated in pages, so that no growth stalls the loop. */
#define PAGE_LOG2 12
#define PAGE_VMS  (1u << PAGE_LOG2)

void known_reset(struct known *known, const struct state *state)
{
    known_close(known);
    known->clone = state_clone(state);
}

void known_close(struct known *known)
{
    if (known->clone != NULL) {
        state_destroy(known->clone);
    }
    for (uint32_t i = 0; i < known->page_count; i++) {
        free(known->pages[i]);
    }
    free(known->pages);
    *known = (struct known){0};
}

static struct known_vm *entry_of(struct known *known, uint32_t slot)
{
    uint32_t page = slot >> PAGE_LOG2;

    if (page >= known->page_count) {
        uint32_t count = page + page / 2 + 16;

        known->pages =
            memory_realloc_array(known->pages, count, sizeof(*known->pages));
        memset(known->pages + known->page_count, 0,
               (count - known->page_count) * sizeof(*known->pages));
        known->page_count = count;
    }
    if (known->pages[page] == NULL) {
        known->pages[page] =
            memory_alloc_array(PAGE_VMS, sizeof(struct known_vm));
    }
    return &known->pages[page][slot % PAGE_VMS];
}

/* What the clone says of a VM that was not told of since. */
static struct known_vm cloned(const struct known *known, uint32_t slot)
{
    if (known->clone == NULL || slot >= state_vm_slots(known->clone)) {
        return known_of(NULL, NULL);
    }
    return known_of(known->clone, state_vm_at(known->clone, slot));
}

void known_work(struct known *known, uint32_t budget)
{
    uint32_t slots;

    if (known->clone == NULL) {
        return;
    }
    slots = state_vm_slots(known->clone);
    for (; known->next < slots && budget > 0; known->next++, budget--) {
        struct known_vm *vm = entry_of(known, known->next);

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
    uint32_t page = slot >> PAGE_LOG2;

    if (page < known->page_count && known->pages[page] != NULL &&
        known->pages[page][slot % PAGE_VMS].taken) {
        return known->pages[page][slot % PAGE_VMS];
    }
    return cloned(known, slot);
}

struct known_vm known_exchange(struct known *known, uint32_t slot,
                               struct known_vm vm)
{
    struct known_vm *entry = entry_of(known, slot);
    struct known_vm former = entry->taken ? *entry : cloned(known, slot);

    vm.taken = 1;
    *entry = vm;
    return former;
}
