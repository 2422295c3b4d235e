/* SPDX-License-Identifier: Apache-2.0
 *
 * Nothing is proved yet. */
#include "placement/headroom.h"

enum unprotected_reason headroom_protection(const struct placer *placer,
                                            const struct state *state,
                                            const struct vm *vm)
{
    (void)placer;
    (void)state;
    (void)vm;
    return PROTECTED;
}

bool headroom_zone(const struct placer *placer, const struct state *state,
                   uint32_t zone, struct headroom_zone *out)
{
    (void)placer;
    (void)state;
    (void)zone;
    *out = (struct headroom_zone){.missing_class = SLOT_NONE};
    return false;
}

bool headroom_work(struct placer *placer, const struct state *state,
                   uint32_t budget)
{
    (void)placer;
    (void)state;
    (void)budget;
    return true;
}

bool headroom_allows_drain(const struct placer *placer,
                           const struct state *state, uint32_t host_slot,
                           uint32_t zone_slot, struct placement_headroom *out)
{
    (void)placer;
    (void)state;
    (void)host_slot;
    (void)zone_slot;
    *out = (struct placement_headroom){SLOT_NONE, SLOT_NONE, 0};
    return true;
}

uint32_t headroom_backup(const struct placer *placer, uint32_t vm_slot)
{
    (void)placer;
    (void)vm_slot;
    return SLOT_NONE;
}
