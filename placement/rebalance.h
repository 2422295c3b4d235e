/* SPDX-License-Identifier: Apache-2.0
 *
 * Moves that are worth it: out of what is drained, and from full zones to empty
 * ones, as few as possible. Each with its reason. Pure. */
#ifndef PLACEMENT_REBALANCE_H
#define PLACEMENT_REBALANCE_H

#include "placement/placement.h"

struct rebalance_move {
    uint32_t vm;   /* Slot. */
    uint32_t host; /* Slot of its target; SLOT_NONE: nothing takes it. */
    enum move_cause cause;
};

/* VMs that are on draining hosts or in draining zones and can leave, with
 * targets; at most `max`, the cheapest to move first (stopped and pending ones
 * have no host and need none; then low priority). Those that cannot leave
 * (local disks, zonal, no room) are not among them; `stuck` counts them. All
 * targets hold at once: each is chosen with the former ones claimed. Moves that
 * are under way or claimed already are left out. */
uint32_t rebalance_drains(struct placer *placer, const struct state *state,
                          struct rebalance_move *moves, uint32_t max,
                          uint32_t *stuck);

/* Whether zones differ so much that rebalancing should begin
 * (rebalance_start_permille), or, once it is `running`, go on
 * (rebalance_stop_permille). */
bool rebalance_is_due(const struct state *state, bool running);

/* Moves that even out the zones until below rebalance_stop_permille: VMs that
 * the group rules want elsewhere first, then lowest priority, then most load
 * per GiB of memory; none that was assigned within vm_cool_down_ms of
 * `time_ms`, none twice, none that would leave headroom worse. At most `max`.
 */
uint32_t rebalance_zones(struct placer *placer, const struct state *state,
                         uint64_t time_ms, struct rebalance_move *moves,
                         uint32_t max);

/* The fewest moves that could do it: the load that is too much in full zones
 * over the largest VM that may leave. What rebalance_zones() is measured by. */
uint32_t rebalance_lower_bound(const struct state *state, uint64_t time_ms);

#endif
