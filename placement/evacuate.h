/* SPDX-License-Identifier: Apache-2.0
 *
 * Where many VMs go at once, when zones or hosts are lost: as many as possible
 * by priority, then as few moves of others as possible. One pass by slot-loss
 * is mostly enough; what it leaves unplaced is tried again with other scores
 * (a bounded portfolio, chosen by result), then with VMs that make room, then
 * by stopping preemptible ones. Worked out in slices. Pure. */
#ifndef PLACEMENT_EVACUATE_H
#define PLACEMENT_EVACUATE_H

#include "placement/placement.h"

struct evacuation;

/* Where one VM goes, in the order in which they shall start: priority, then
 * size. */
struct evacuation_step {
    uint32_t vm;   /* Slot. */
    uint32_t host; /* Slot; SLOT_NONE: it finds no place. */
    uint8_t kind;  /* enum evacuation_kind */
};

enum evacuation_kind {
    EVACUATION_PLACE,  /* A lost VM goes there. */
    EVACUATION_MOVE,   /* A VM that runs makes room; before what needs it. */
    EVACUATION_PREEMPT /* A preemptible VM is stopped; likewise. */
};

/* Plans for the PENDING VMs of `state` (a clone that nobody changes until the
 * evacuation is destroyed; lent), in which the losses were applied already.
 * `start_parallel` starts a host are preferred to more, as long as nothing is
 * unplaced for it.
 *
 * VMs that are `recovering` come before all others, whatever their priority:
 * what ran comes before what waited. No part of the plan are VMs that hold room
 * on a host already, those that wait for a delay, and, while headroom is
 * ENFORCE, all that are not recovering: placer_choose() decides these. */
struct evacuation *evacuation_create(const struct state *state);
void evacuation_destroy(struct evacuation *evacuation);

/* Works for about `budget` VMs; true when the plan is complete. A slice of
 * 20,000 takes a few milliseconds at most. */
bool evacuation_work(struct evacuation *evacuation, uint32_t budget);

/* The complete plan; lent until the evacuation is destroyed. */
const struct evacuation_step *evacuation_steps(
    const struct evacuation *evacuation, uint32_t *count);

/* VMs without a place. */
uint32_t evacuation_unplaced(const struct evacuation *evacuation);

#endif
