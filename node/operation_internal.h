/* SPDX-License-Identifier: Apache-2.0
 *
 * Between the files that judge operations. */
#ifndef NODE_OPERATION_INTERNAL_H
#define NODE_OPERATION_INTERNAL_H

#include "node/operation.h"

/* Sets the state, and the words unless nobody wants any. */
void operation_say(struct operation *operation, enum operation_state state,
                   const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Of kind APPLY_PLAN or APPLY_MANIFEST. */
bool operation_judge_apply(const struct state *state,
                           struct operation *operation);

#endif
