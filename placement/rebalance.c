/* SPDX-License-Identifier: Apache-2.0
 *
 * Nothing is moved yet. */
#include "placement/rebalance.h"

uint32_t rebalance_drains(struct placer *placer, const struct state *state,
                          struct rebalance_move *moves, uint32_t max,
                          uint32_t *stuck)
{
    (void)placer;
    (void)state;
    (void)moves;
    (void)max;
    *stuck = 0;
    return 0;
}

bool rebalance_is_due(const struct state *state, bool running)
{
    (void)state;
    (void)running;
    return false;
}

uint32_t rebalance_zones(struct placer *placer, const struct state *state,
                         uint64_t time_ms, struct rebalance_move *moves,
                         uint32_t max)
{
    (void)placer;
    (void)state;
    (void)time_ms;
    (void)moves;
    (void)max;
    return 0;
}

uint32_t rebalance_lower_bound(const struct state *state, uint64_t time_ms)
{
    (void)state;
    (void)time_ms;
    return 0;
}
