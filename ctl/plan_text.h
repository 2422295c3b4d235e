/* SPDX-License-Identifier: Apache-2.0
 *
 * A plan as a person reads it: what would happen in one sentence, zones before
 * and after, the steps, what finds no place and why, and how to apply it.
 * Pure. */
#ifndef CTL_PLAN_TEXT_H
#define CTL_PLAN_TEXT_H

#include "base/bytes.h"
#include "holdfast/v1/plan_service.pb-c.h"

#include <stdbool.h>
#include <stddef.h>

struct plan_text {
    /* With steps and unplaced VMs in order, from the first on. */
    const Holdfast__V1__GetPlanResponse *response;
    size_t steps_max; /* So many are shown. */
    bool wide;
    bool colours;
};

void plan_text_write(const struct plan_text *text, struct bytes *out);

/* Whether it is of an action after which VMs must leave, and may not be able
 * to. */
bool plan_text_empties(const Holdfast__V1__Plan *plan);

/* The headline alone, without a line feed: "Losing zone z2: 41 VMs restart in
 * z1 and z3, none without a place; the last runs again after about 7.2 s." */
void plan_text_headline(const Holdfast__V1__Plan *plan, char *text,
                        size_t size);

#endif
