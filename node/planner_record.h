/* SPDX-License-Identifier: Apache-2.0
 *
 * What the planner sees happen, as steps of the plan; and what does not happen,
 * with its reasons. Between the planner's files. Pure. */
#ifndef NODE_PLANNER_RECORD_H
#define NODE_PLANNER_RECORD_H

#include "node/planner.h"

/* A VM's record has changed on the clone. */
void planner_record(struct planner *planner, const struct vm *vm, bool deleted);

/* Explains some of what has no place; true when all is. */
bool planner_explain(struct planner *planner);
void planner_forget_reasons(struct planner *planner);

#endif
