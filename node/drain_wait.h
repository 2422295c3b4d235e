/* SPDX-License-Identifier: Apache-2.0
 *
 * Why VMs that are to leave what is drained are still there. The state tells
 * what can never leave and what is on its way; whether others lack room, or may
 * not leave because headroom is enforced, only a placer knows. Pure. */
#ifndef NODE_DRAIN_WAIT_H
#define NODE_DRAIN_WAIT_H

#include "node/operation.h"
#include "placement/placement.h"

/* Whether the VM's host or zone is drained, and it neither leaves nor holds a
 * place elsewhere. */
bool drain_wait_is(const struct state *state, const struct vm *vm);

/* Why it stays, if that is so: an enum pending_reason or operation_reason.
 * Looks at all hosts. `text`, if not NULL: a sentence for people, of at most
 * `size` bytes with the NUL. */
uint32_t drain_wait_reason(struct placer *placer, const struct state *state,
                           const struct vm *vm, char *text, size_t size);

/* Kinds of VMs that one operation is told of; what is beyond is told as
 * no_capacity. Each costs a look at all hosts. */
#define DRAIN_WAIT_KINDS_MAX 16

/* Tells what a running drain's VMs wait for that operation_judge() took to lack
 * room. */
void drain_wait_tell(struct placer *placer, const struct state *state,
                     struct operation *operation);

#endif
