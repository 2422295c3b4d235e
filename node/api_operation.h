/* SPDX-License-Identifier: Apache-2.0
 *
 * Operations for the methods that begin them. */
#ifndef NODE_API_OPERATION_H
#define NODE_API_OPERATION_H

#include "base/arena.h"
#include "node/operation.h"

/* Its name, in the arena; "" where there is none. */
char *api_operation_id(struct arena *arena, struct operation_ref ref);

#endif
