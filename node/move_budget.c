/* SPDX-License-Identifier: Apache-2.0 */
#include "node/move_budget.h"

void move_budget_init(struct move_budget *budget, const struct policy *policy)
{
    *budget = (struct move_budget){
        .zone_moves = policy->zone_moves,
        .host_moves = policy->host_moves,
    };
    map_init(&budget->hosts);
}

void move_budget_close(struct move_budget *budget)
{
    map_close(&budget->hosts);
}

bool move_is_counted(const struct vm *vm)
{
    if (vm->move_cause != MOVE_CAUSE_HOST_DRAIN &&
        vm->move_cause != MOVE_CAUSE_ZONE_DRAIN &&
        vm->move_cause != MOVE_CAUSE_REBALANCE &&
        vm->move_cause != MOVE_CAUSE_PLAN) {
        return false;
    }
    /* It has arrived and is starting. One that failed since then is no longer
     * moving, however often it is tried again. */
    return vm->moving == MOVE_UNDER_WAY ||
           ((vm->state == VM_ASSIGNED || vm->state == VM_STARTING) &&
            vm->moving == MOVE_NONE && vm->not_before_ms == 0);
}

static uintptr_t host_moves(const struct move_budget *budget, uint32_t slot)
{
    return (uintptr_t)map_get(&budget->hosts, (uint64_t)slot + 1);
}

static void count_host(struct move_budget *budget, uint32_t slot)
{
    if (slot != SLOT_NONE) {
        map_put(&budget->hosts, (uint64_t)slot + 1,
                (void *)(host_moves(budget, slot) + 1));
    }
}

static void count_zone(struct move_budget *budget, const struct state *state,
                       uint32_t host_slot)
{
    const struct host *host =
        host_slot == SLOT_NONE ? NULL : state_host_at(state, host_slot);

    if (host != NULL) {
        budget->zones[host->zone]++;
    }
}

void move_budget_count(struct move_budget *budget, const struct state *state,
                       const struct vm *vm)
{
    bool left = vm->host == SLOT_NONE || vm->moving == MOVE_NONE;
    uint32_t from = left ? vm->last_host : vm->host;
    uint32_t to = vm->moving == MOVE_NONE ? vm->host : vm->move_host;

    count_zone(budget, state, from);
    count_host(budget, from);
    count_host(budget, to);
}

bool move_budget_take(struct move_budget *budget, const struct state *state,
                      uint32_t from, uint32_t to)
{
    uint32_t zone = state_host_at(state, from)->zone;

    if (budget->zones[zone] >= budget->zone_moves ||
        host_moves(budget, from) >= budget->host_moves ||
        host_moves(budget, to) >= budget->host_moves) {
        return false;
    }
    budget->zones[zone]++;
    count_host(budget, from);
    count_host(budget, to);
    return true;
}

bool move_budget_left(const struct move_budget *budget,
                      const struct state *state)
{
    for (uint32_t zone = 0; zone < state_zone_slots(state); zone++) {
        if (state_zone_at(state, zone) != NULL &&
            budget->zones[zone] < budget->zone_moves) {
            return true;
        }
    }
    return false;
}
