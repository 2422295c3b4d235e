/* SPDX-License-Identifier: Apache-2.0 */
#include "placement/headroom.h"

#include "placement/headroom_book.h"
#include "placement/internal.h"

/* No host has a say in it. */
static bool is_own(enum unprotected_reason reason)
{
    switch (reason) {
    case UNPROTECTED_ZONAL:
    case UNPROTECTED_LOCAL_DISK:
    case UNPROTECTED_BY_GROUP:
    case UNPROTECTED_PREEMPTIBLE:
    case UNPROTECTED_KEEP:
        return true;
    default:
        return false;
    }
}

enum unprotected_reason headroom_protection(const struct placer *placer,
                                            const struct state *state,
                                            const struct vm *vm)
{
    struct headroom *headroom = placer_headroom(placer);
    uint32_t slot = uid_slot(vm->uid);
    enum unprotected_reason reason;
    uint64_t mask;
    uint8_t status;

    if (vm->host == SLOT_NONE || vm->desired != DESIRED_RUNNING ||
        vm->deleting) {
        return PROTECTED;
    }
    headroom->state = state;
    reason = headroom_reason(headroom, vm, state_host_at(state, vm->host)->zone,
                             &mask);
    if (headroom->phase != HEADROOM_READY && !is_own(reason)) {
        return UNPROTECTED_UNKNOWN;
    }
    if (reason != PROTECTED || slot >= headroom->witness.item_count) {
        return reason;
    }
    status = headroom->witness.items[slot].status;
    return status == ITEM_STUCK || status == ITEM_TODO ? UNPROTECTED_NO_HEADROOM
                                                       : PROTECTED;
}

static bool is_known(const struct headroom *headroom, uint32_t zone)
{
    return headroom->phase == HEADROOM_READY &&
           headroom->host_sweep_at == SLOT_NONE &&
           headroom->sweep_at == SLOT_NONE && headroom->dirty.count == 0 &&
           headroom->witness.zones[zone].todo.count == 0 &&
           headroom->zones[zone].in_job == 0;
}

bool headroom_zone(const struct placer *placer, const struct state *state,
                   uint32_t zone, struct headroom_zone *out)
{
    const struct headroom *headroom = placer_headroom(placer);
    const struct headroom_zone_book *book = &headroom->zones[zone];
    const struct witness_zone *counts = &headroom->witness.zones[zone];

    *out = (struct headroom_zone){.missing_class = SLOT_NONE,
                                  .revision = state_revision(state)};
    if (!is_known(headroom, zone)) {
        return false;
    }
    out->unplaceable_count = counts->stuck.count;
    out->protected_count = counts->backed - book->kept + counts->stuck.count;
    out->unprotected_count = book->unprotected;
    for (uint32_t i = 0; i < book->missing_size; i++) {
        if (book->missing[i] > out->missing_count) {
            out->missing_count = book->missing[i];
            out->missing_class = headroom->witness.sizes[i].class_slot;
        }
    }
    return true;
}

uint32_t headroom_missing(const struct placer *placer, uint32_t zone,
                          struct placement_headroom *out, uint32_t max)
{
    const struct headroom *headroom = placer_headroom(placer);
    const struct headroom_zone_book *book = &headroom->zones[zone];
    uint32_t count = 0;

    if (!is_known(headroom, zone)) {
        return 0;
    }
    for (uint32_t i = 0; i < book->missing_size && count < max; i++) {
        if (book->missing[i] > 0) {
            out[count++] = (struct placement_headroom){
                zone, headroom->witness.sizes[i].class_slot, book->missing[i]};
        }
    }
    return count;
}

uint32_t headroom_backup(const struct placer *placer, uint32_t vm_slot)
{
    const struct headroom *headroom = placer_headroom(placer);

    return vm_slot < headroom->witness.item_count
               ? headroom->witness.items[vm_slot].host
               : SLOT_NONE;
}

bool headroom_work(struct placer *placer, const struct state *state,
                   uint32_t budget)
{
    struct headroom *headroom = placer_headroom(placer);

    return headroom_run(headroom, state, budget) &&
           headroom_what_if_step(headroom, budget);
}
