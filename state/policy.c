/* SPDX-License-Identifier: Apache-2.0
 *
 * The settings that came with placement. Defaults and ranges:
 * resources.proto. */
#include "state/internal.h"

#include <stddef.h>

static const struct policy defaults = {
    .headroom = HEADROOM_WARN,
    .preempt_max = 4,
    .rebalance = REBALANCE_MANUAL,
    .rebalance_start_permille = 50,
    .rebalance_stop_permille = 15,
    .zone_moves = 10,
    .host_moves = 2,
    .vm_cool_down_ms = 600000,
};

void policy_init(struct policy *policy)
{
    *policy = defaults;
}

const struct policy *state_policy(const struct state *state)
{
    return state_has_policy(state) ? table_get(&state->tables[TABLE_POLICY], 0)
                                   : &defaults;
}

static const char *check_rebalance(const struct policy *p)
{
    if (p->rebalance < REBALANCE_MANUAL || p->rebalance > REBALANCE_WINDOW) {
        return "rebalance: must be MANUAL, AUTO or WINDOW";
    }
    if (p->rebalance_start_permille < 1 || p->rebalance_start_permille > 1000) {
        return "rebalance_start_permille: must be 1 to 1000";
    }
    if (p->rebalance_stop_permille < 1 || p->rebalance_stop_permille > 1000) {
        return "rebalance_stop_permille: must be 1 to 1000";
    }
    if (p->rebalance_stop_permille >= p->rebalance_start_permille) {
        return "rebalance_stop_permille: must be below "
               "rebalance_start_permille, or zones would be rebalanced for "
               "ever";
    }
    if (p->rebalance_window_start_minute > 1439) {
        return "rebalance_window_start_minute: must be at most 1439";
    }
    if (p->rebalance_window_end_minute > 1439) {
        return "rebalance_window_end_minute: must be at most 1439";
    }
    if (p->rebalance == REBALANCE_WINDOW &&
        p->rebalance_window_start_minute == p->rebalance_window_end_minute) {
        return "rebalance_window_end_minute must differ from "
               "rebalance_window_start_minute";
    }
    return NULL;
}

const char *policy_check(const struct policy *p)
{
    if (p->headroom < HEADROOM_OFF || p->headroom > HEADROOM_ENFORCE) {
        return "headroom: must be OFF, WARN or ENFORCE";
    }
    if (p->preempt_max > PREEMPT_MAX) {
        return "preempt_max: must be at most 64";
    }
    if (p->zone_moves < 1 || p->zone_moves > 10000) {
        return "zone_moves: must be 1 to 10000";
    }
    if (p->host_moves < 1 || p->host_moves > 10000) {
        return "host_moves: must be 1 to 10000";
    }
    if (p->vm_cool_down_ms > 604800000) {
        return "vm_cool_down_ms: must be at most 604800000, a week";
    }
    return check_rebalance(p);
}
