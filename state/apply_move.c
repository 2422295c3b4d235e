/* SPDX-License-Identifier: Apache-2.0
 *
 * Moves, and the room that they hold at their targets. None of these changes
 * gives a VM a host, raises an epoch or says that an old copy is gone: that is
 * left to CHANGE_VM_ASSIGN, CHANGE_VM_RELEASE and CHANGE_HOST_FENCE alone, so
 * rule 1 holds here because nothing of it is touched. */
#include "base/check.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/planted.h"
#include "state/internal.h"

#include <stdlib.h>

static const struct class *class_of(const struct state *state,
                                    const struct vm *vm)
{
    return table_get(&state->tables[TABLE_CLASS], vm->class_slot);
}

static const struct host *host_of(const struct state *state, uint32_t slot)
{
    return table_get(&state->tables[TABLE_HOST], slot);
}

static void account(struct state *state, const struct vm *vm, int sign)
{
    struct host *host = record_edit(state, TABLE_HOST, vm->move_host);
    const struct class *class = class_of(state, vm);

    if (sign > 0 || !PLANTED(CLAIM_KEPT)) {
        resources_add(&host->claimed, &class->resources, sign);
    }
    amounts_add(&host->named_claimed, &class->named, sign);
    CHECK(sign > 0 || host->claim_count > 0);
    host->claim_count += (uint32_t)sign;
    record_edited(state, TABLE_HOST, vm->move_host);
}

void claims_index(struct state *state, uint32_t slot, const struct vm *vm)
{
    if (vm_holds_claim(vm)) {
        index_insert(&state->claims, hash_u64(vm->move_host), slot);
    }
    state->counts.vms_claiming += vm->moving == MOVE_CLAIMED;
}

uint32_t state_next_claim(const struct state *state, uint32_t *cursor)
{
    return index_next(&state->claims, cursor);
}

/* The only place that writes these fields. Before there is a policy moves hold
 * no room, as in format 1. */
static void set_move(struct state *state, struct vm *vm, uint32_t slot,
                     enum move_state moving, uint32_t zone, uint32_t host)
{
    if (vm_holds_claim(vm)) {
        index_remove(&state->claims, hash_u64(vm->move_host), slot);
        if (state_has_policy(state)) {
            account(state, vm, -1);
        }
    }
    state->counts.vms_claiming -= vm->moving == MOVE_CLAIMED;
    vm->moving = (uint8_t)moving;
    vm->move_zone = zone;
    vm->move_host = host;
    vm->move_order = 0;
    claims_index(state, slot, vm);
    if (vm_holds_claim(vm) && state_has_policy(state)) {
        account(state, vm, 1);
    }
}

void vm_end_move(struct state *state, struct vm *vm, uint32_t slot)
{
    set_move(state, vm, slot, MOVE_NONE, SLOT_NONE, SLOT_NONE);
}

void vm_move(struct state *state, uint32_t slot,
             const struct change_vm_move *change, struct event_sink *sink)
{
    struct vm *vm = record_edit(state, TABLE_VM, slot);
    uint32_t zone =
        change->zone.uid == 0 ? SLOT_NONE : slot_of_zone(state, change->zone);
    uint32_t host =
        change->host.uid == 0 ? SLOT_NONE : slot_of_host(state, change->host);

    if (change->cancel) {
        CHECK(vm->state == VM_PENDING && vm->moving);
        vm_end_move(state, vm, slot);
        vm_finish(state, sink, slot, vm);
        return;
    }
    CHECK(vm->host != SLOT_NONE);
    if (state_has_policy(state)) {
        bool own = vm->moving == MOVE_CLAIMED && vm->move_host == host;

        vm_end_move(state, vm, slot);
        CHECK(host == SLOT_NONE ||
              (host != vm->host && host_of(state, host)->state == HOST_UP &&
               (own ||
                state_claim_fits(host_of(state, host), class_of(state, vm)))));
    }
    set_move(state, vm, slot, MOVE_UNDER_WAY, zone, host);
    vm->move_cause = (uint8_t)change->cause;
    if (vm->state != VM_LOST) {
        vm_set_state(state, vm, VM_STOPPING);
    }
    vm_finish(state, sink, slot, vm);
}

/* The claim of the open record is given up. A VM that waited for the room alone
 * waits for a choice again. */
static void give_up(struct state *state, struct vm *vm, uint32_t slot)
{
    if (vm->state == VM_PENDING && vm->moving == MOVE_CLAIMED) {
        vm->pending_reason = PENDING_QUEUED;
    }
    vm_end_move(state, vm, slot);
}

/* Rule 1 is not touched: the VM stays where it is, or PENDING. Rule 6 neither:
 * room is held, not used; what uses it is an assignment, which looks at what is
 * free. */
void vm_claim(struct state *state, uint32_t slot,
              const struct change_vm_claim *change, struct event_sink *sink)
{
    struct vm *vm = record_edit(state, TABLE_VM, slot);
    const struct host *host;
    uint32_t host_slot;

    CHECK(state_has_policy(state) && vm->moving != MOVE_UNDER_WAY);
    if (change->host.uid == 0) {
        CHECK(vm->moving == MOVE_CLAIMED);
        give_up(state, vm, slot);
        vm_finish(state, sink, slot, vm);
        return;
    }
    CHECK(vm->state >= VM_PENDING && vm->state <= VM_RUNNING);
    host_slot = slot_of_host(state, change->host);
    vm_end_move(state, vm, slot);
    host = host_of(state, host_slot);
    CHECK(host->state == HOST_UP && host_slot != vm->host);
    CHECK(vm->state == VM_PENDING
              ? host_fits_claims(host, class_of(state, vm))
              : state_claim_fits(host, class_of(state, vm)));
    set_move(state, vm, slot, MOVE_CLAIMED, SLOT_NONE, host_slot);
    vm->move_cause = (uint8_t)change->cause;
    vm->move_order = vm->host == SLOT_NONE ? 0 : change->order;
    vm_finish(state, sink, slot, vm);
}

/* Rule 1 is not touched: the VM that must go is STOPPING and keeps its host and
 * its epoch until that is proved gone, as with any stop; the one that comes is
 * PENDING, and is assigned by a change of its own when there is room. */
void vm_preempt(struct state *state, uint32_t slot,
                const struct change_vm_preempt *change, struct event_sink *sink)
{
    const struct vm *beneficiary = table_get(
        &state->tables[TABLE_VM], slot_of_vm(state, change->beneficiary));
    struct vm *vm = record_edit(state, TABLE_VM, slot);

    CHECK(vm->preemptible && vm->host != SLOT_NONE);
    CHECK(vm->state >= VM_ASSIGNED && vm->state <= VM_RUNNING);
    CHECK(beneficiary->state == VM_PENDING &&
          beneficiary->moving == MOVE_CLAIMED &&
          beneficiary->move_host == vm->host);
    set_move(state, vm, slot, MOVE_UNDER_WAY, SLOT_NONE, SLOT_NONE);
    vm->move_cause = MOVE_CAUSE_PREEMPTION;
    vm_set_state(state, vm, VM_STOPPING);
    vm_finish(state, sink, slot, vm);
}

/* Matches nothing, so that the search meets every entry. */
struct claims_search {
    struct index_key key;
    const struct state *state;
    uint32_t host;
    uint32_t *slots;
    uint32_t *count;
    uint32_t count_max;
};

static bool collect(const struct index_key *key, uint32_t slot)
{
    const struct claims_search *search =
        (const struct claims_search *)(const void *)key;
    const struct vm *vm = table_get(&search->state->tables[TABLE_VM], slot);

    if (vm->move_host == search->host) {
        CHECK(*search->count < search->count_max);
        search->slots[(*search->count)++] = slot;
    }
    return false;
}

static int compare_slots(const void *a, const void *b)
{
    uint32_t first = *(const uint32_t *)a;
    uint32_t second = *(const uint32_t *)b;

    return first < second ? -1 : first > second;
}

void claims_give_up(struct state *state, uint32_t host_slot,
                    struct event_sink *sink)
{
    uint32_t count = 0;
    struct claims_search search = {
        .key = {.matches = collect, .hash = hash_u64(host_slot)},
        .state = state,
        .host = host_slot,
        .count = &count,
        .count_max = host_of(state, host_slot)->claim_count,
    };

    if (search.count_max == 0) {
        return;
    }
    search.slots = memory_alloc_array(search.count_max, sizeof(uint32_t));
    index_find(&state->claims, &search.key);
    CHECK(count == search.count_max);
    /* The index has no order that replicas share. */
    qsort(search.slots, count, sizeof(uint32_t), compare_slots);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t slot = search.slots[i];
        struct vm *vm = record_edit(state, TABLE_VM, slot);

        if (vm->moving == MOVE_CLAIMED) {
            give_up(state, vm, slot);
        } else {
            set_move(state, vm, slot, MOVE_UNDER_WAY, SLOT_NONE, SLOT_NONE);
        }
        vm_finish(state, sink, slot, vm);
    }
    free(search.slots);
}

/* Format 1 held no room, so not all may find it. */
static bool claim_holds(const struct state *state, const struct vm *vm)
{
    const struct host *host = host_of(state, vm->move_host);

    return host->state == HOST_UP && vm->move_host != vm->host &&
           state_claim_fits(host, class_of(state, vm));
}

void claims_begin(struct state *state, struct event_sink *sink)
{
    CHECK(!state_has_policy(state));
    for (uint32_t slot = 0;
         state->claims.count > 0 && slot < state->tables[TABLE_VM].slots;
         slot++) {
        const struct vm *seen = state_vm_at(state, slot);

        if (seen == NULL || !vm_holds_claim(seen)) {
            continue;
        }
        if (claim_holds(state, seen)) {
            account(state, seen, 1);
        } else {
            struct vm *vm = record_edit(state, TABLE_VM, slot);

            set_move(state, vm, slot, MOVE_UNDER_WAY, SLOT_NONE, SLOT_NONE);
            vm_finish(state, sink, slot, vm);
        }
    }
}
