/* SPDX-License-Identifier: Apache-2.0
 *
 * What a plan is asked about, as decisions in a turn's plan: of a clone when it
 * is worked out, of the real one when it is applied. What an operator could ask
 * for is decided by the very functions that would do it. Pure. */
#ifndef NODE_PLAN_ACTION_H
#define NODE_PLAN_ACTION_H

#include "node/api.h"
#include "node/plan.h"

#include <holdfast/v1/plan_service.pb-c.h>

struct plan_action {
    const Holdfast__V1__PlanAction *message; /* Lent. */
    /* What follows from it. */
    uint32_t *fences; /* Slots of hosts that are lost. */
    uint32_t fence_count;
    uint32_t fenced;
    struct group_id group;   /* To be brought to its count; uid 0: none. */
    struct group_id regroup; /* Its rules are new; likewise. */
    bool drains;
    bool rebalances;
    bool loss;      /* Nobody could do it. */
    bool undecided; /* It takes the nodes' majority: nothing is placed. */
    bool imagined;  /* Likewise: what it needs is not there. */
    bool refused;   /* Likewise: headroom does not allow all of it. */
};

/* Checks the action and decides what it says, in the plan of a clone; what
 * would be refused for headroom or quorum becomes a warning of `result`. False
 * when the reply has failed. Fences follow with plan_action_fence(). */
bool plan_action_begin(struct plan_action *action,
                       const Holdfast__V1__PlanAction *message,
                       struct turn_plan *plan, struct plan *result,
                       struct api_reply *reply);
void plan_action_close(struct plan_action *action);

/* Fences some of the hosts that are lost; true when there are no more. */
bool plan_action_fence(struct plan_action *action, struct turn_plan *plan,
                       uint32_t max);

/* Whether the action is to drain this host, alone or with its zone. */
bool plan_action_drains(const struct plan_action *action,
                        const struct state *state, const struct host *host);

/* Decides in a real turn what it says; the steps follow. `reason`: for the
 * record, if risks are accepted. False when the reply has failed. */
bool plan_action_apply(const Holdfast__V1__PlanAction *message,
                       struct turn_plan *plan, const char *reason,
                       struct api_reply *reply);

#endif
