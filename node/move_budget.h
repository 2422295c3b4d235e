/* SPDX-License-Identifier: Apache-2.0
 *
 * How many more moves may begin: out of a zone, out of and into a host
 * (Settings.zone_moves, host_moves). Counted anew in each turn that begins any,
 * from the moves that are under way. Pure. */
#ifndef NODE_MOVE_BUDGET_H
#define NODE_MOVE_BUDGET_H

#include "base/map.h"
#include "state/state.h"

struct move_budget {
    uint32_t zone_moves;
    uint32_t host_moves;
    uint32_t zones[ZONES_MAX]; /* Under way out of it. */
    struct map hosts;          /* Slot plus 1 to moves out of or into it. */
};

void move_budget_init(struct move_budget *budget, const struct policy *policy);
void move_budget_close(struct move_budget *budget);

/* Whether the VM is on a move that counts: from the stop until it runs at its
 * new place; for drains, rebalancing and applied plans. */
bool move_is_counted(const struct vm *vm);

/* The VM is on such a move. */
void move_budget_count(struct move_budget *budget, const struct state *state,
                       const struct vm *vm);

/* Whether a move between these hosts may begin, and if so counts it. */
bool move_budget_take(struct move_budget *budget, const struct state *state,
                      uint32_t from, uint32_t to);

/* Whether any zone lets a move begin. */
bool move_budget_left(const struct move_budget *budget,
                      const struct state *state);

#endif
