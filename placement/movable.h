/* SPDX-License-Identifier: Apache-2.0
 *
 * Which VMs rebalancing may move, and what each would bring. */
#ifndef PLACEMENT_MOVABLE_H
#define PLACEMENT_MOVABLE_H

#include "placement/balance.h"
#include "placement/candidates.h"

struct movable {
    const struct state *state;
    const struct balance *balance;
    uint64_t time_ms;
    uint32_t top;
    uint64_t full; /* Bit i: zone i had more than `top` at first. */
    uint32_t cool_down_ms;
    uint32_t classes;
    /* By zone and class: movable_gain(); 0: not worked out yet. */
    uint64_t *gains;
    uint64_t cpu_excess[ZONES_MAX];
    uint64_t memory_excess[ZONES_MAX];
};

/* Zones above `top` should lose VMs. State and balance are lent. */
void movable_init(struct movable *movable, const struct state *state,
                  const struct balance *balance, uint32_t top,
                  uint64_t time_ms);
void movable_close(struct movable *movable);

/* Whether the VM runs, shall go on and is on no way yet. */
bool movable_may_stop(const struct vm *vm);

/* Whether it may leave its zone for balance, and how much good that would do.
 */
bool movable_check(struct movable *movable, const struct vm *vm,
                   struct candidate *candidate);

/* VMs in zones that are too full that could leave them if they had not been
 * assigned so lately (vm_cool_down_ms), among the first `max` slots. */
uint32_t movable_count_warm(const struct movable *movable, uint32_t max);

/* The loads have changed. True when it matters to the gains of candidates found
 * so far: take those anew from movable_gain(). */
bool movable_update(struct movable *movable, uint32_t zone);

/* Of a VM of the class in the zone: how much of what is too much it takes with
 * it; 1 or more. */
uint64_t movable_gain(struct movable *movable, uint32_t zone,
                      uint32_t class_slot);

#endif
