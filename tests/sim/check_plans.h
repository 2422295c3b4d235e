/* SPDX-License-Identifier: Apache-2.0
 *
 * What must hold of plans: to ask changes nothing; what is shown is of one
 * piece and stays; what is applied is what was shown, all of it and nothing
 * else, or it is refused; and what has no place in it has none when it happens.
 */
#ifndef TESTS_SIM_CHECK_PLANS_H
#define TESTS_SIM_CHECK_PLANS_H

#include "node/api.h"
#include "tests/sim/node.h"

#include <holdfast/v1/plan_service.pb-c.h>

/* A plan is shown to a client. */
void sim_check_plan(struct sim_world *world,
                    const Holdfast__V1__MakePlanResponse *shown);

/* It is shown again. */
void sim_check_same_plan(struct sim_world *world,
                         const Holdfast__V1__MakePlanResponse *shown,
                         const Holdfast__V1__GetPlanResponse *again);

/* The leader has decided an ApplyPlan of a plan that was shown: from `before`
 * to `after`, or with `reply` a refusal. */
void sim_check_applied(struct sim_world *world,
                       const Holdfast__V1__MakePlanResponse *shown,
                       const struct state *before, const struct state *after,
                       const struct api_reply *reply);

/* The zone was lost as the plan has it, and nothing else has happened. */
void sim_check_foreseen(struct sim_world *world,
                        const Holdfast__V1__MakePlanResponse *shown);

#endif
