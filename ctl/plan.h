/* SPDX-License-Identifier: Apache-2.0
 *
 * Plans asked for by commands. */
#ifndef CTL_PLAN_H
#define CTL_PLAN_H

#include "ctl/invocation.h"
#include "holdfast/v1/plan_service.pb-c.h"

/* Makes a plan; `*plan` has its first page, with all that fits. The caller
 * frees it with hf_message_free(). `name` (may be NULL) is for the error. */
enum exit_code plan_make(struct invocation *invocation,
                         Holdfast__V1__PlanAction *action, const char *name,
                         Holdfast__V1__GetPlanResponse **plan);

/* Fetches the other pages: all, or until every unplaced VM is here. */
enum exit_code plan_get_rest(struct invocation *invocation,
                             Holdfast__V1__GetPlanResponse *plan, bool all);

#endif
