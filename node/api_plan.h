/* SPDX-License-Identifier: Apache-2.0
 *
 * Plans as clients see them; between the files of PlanService. */
#ifndef NODE_API_PLAN_H
#define NODE_API_PLAN_H

#include "node/api.h"
#include "node/plan.h"

#include <holdfast/v1/plan_service.pb-c.h>

/* Without its steps. */
Holdfast__V1__Plan *view_plan(struct arena *arena, const struct plan *plan);

/* The plan, or NULL and the reply has failed. */
const struct plan *api_find_plan(struct api_reply *reply,
                                 struct plan_book *plans, const char *id,
                                 uint64_t now_ms);

#endif
