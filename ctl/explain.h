/* SPDX-License-Identifier: Apache-2.0
 *
 * Why a VM is where it is, or why it is nowhere, and what would become of it if
 * its zone were lost. */
#ifndef CTL_EXPLAIN_H
#define CTL_EXPLAIN_H

#include "base/bytes.h"
#include "holdfast/v1/plan_service.pb-c.h"

#include <stdint.h>

/* What is known; all but the VM may be NULL. Lent. */
struct explanation {
    const Holdfast__V1__Vm *vm;
    const Holdfast__V1__Group *group;
    const Holdfast__V1__Plan *plan; /* Of the loss of its zone. */
    /* What becomes of it in that plan. */
    const Holdfast__V1__PlanStep *step;
    const Holdfast__V1__PlanUnplaced *unplaced;
    uint64_t now_ms;
};

/* Appends lines of "Label:  sentence", wrapped. Pure. */
void explain_write(const struct explanation *explanation, struct bytes *out);

#endif
