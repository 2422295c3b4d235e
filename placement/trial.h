/* SPDX-License-Identifier: Apache-2.0
 *
 * Moves tried out on a copy of the state, each with the former ones in place,
 * by the placer that would choose for real. */
#ifndef PLACEMENT_TRIAL_H
#define PLACEMENT_TRIAL_H

#include "placement/placement.h"

/* VMs that found no place in one call, before its caller gives up for now: each
 * costs a look at all hosts. */
#define TRIAL_FAILURES_MAX 256

struct trial_kind;

struct trial {
    struct placer *placer;
    const struct state *state;
    struct state *scratch; /* With the moves made; NULL before the first. */
    uint32_t *vms;         /* Slots of VMs that were tried. */
    uint32_t *hosts;       /* Slots of hosts that they could have gone to. */
    uint32_t vm_count;
    uint32_t vm_capacity;
    uint32_t host_count;
    uint32_t host_capacity;
    uint32_t failed_next;
    uint32_t failed_count;
    struct trial_kind *failed; /* Kinds of VMs that found no place. */
    bool guarded;              /* Headroom is to stay as it is. */
    bool at_risk;              /* But not for the next move. */
    bool looked;               /* At headroom, since the last such one. */
    uint64_t headroom_known;   /* Bit i: of zone i. */
    uint32_t unplaceable[ZONES_MAX];
};

/* Lent: placer and state, until trial_end(). Guarded unless headroom is OFF;
 * the caller may decide otherwise for all, and about each move whether it is
 * at_risk: then it may use what headroom keeps, and make it worse. */
void trial_begin(struct trial *trial, struct placer *placer,
                 const struct state *state);

/* Tells the placer that all is as it was. */
void trial_end(struct trial *trial);

/* The state as it would be. A VM that was moved is assigned to its target and
 * has a claim on its source there, as far as that has room beside other claims:
 * moves that wait need room at both ends. */
const struct state *trial_state(const struct trial *trial);

/* The host that the VM, which has one that is up, can go to, in `zone` or, for
 * SLOT_NONE, anywhere, `prefer_zone` first; it is moved there. SLOT_NONE: there
 * is none, or headroom would be worse; it stays. */
uint32_t trial_move(struct trial *trial, uint32_t vm_slot, uint32_t zone,
                    uint32_t prefer_zone, enum move_cause cause);

/* Whether it was moved in this trial. */
bool trial_has_moved(const struct trial *trial, uint32_t vm_slot);

#endif
