/* SPDX-License-Identifier: Apache-2.0
 *
 * Kinds of pending VMs that found no place in the present pass: equal ones find
 * none either, for what places VMs frees no room. Kept over turns until
 * something changed that could help. Pure. */
#ifndef NODE_REFUSALS_H
#define NODE_REFUSALS_H

#include "base/map.h"
#include "state/state.h"

struct refusal;

struct refusals {
    struct refusal *all; /* NULL before the first. */
    uint32_t *table;     /* By hash: number of the first plus 1. */
    uint32_t count;
    struct map groups; /* By group_plus1: the number of its first plus 1. */
    bool brief;        /* Some hold for this turn alone. */
};

void refusals_init(struct refusals *refusals);
void refusals_close(struct refusals *refusals);

/* All may find a place again. */
void refusals_clear(struct refusals *refusals);

/* A turn begins: what is being proved between turns may let in now what
 * headroom refused. */
void refusals_begin_turn(struct refusals *refusals);

/* Why one like this VM, of its priority or a higher one, found no place;
 * PENDING_NONE: nothing is known. A VM of lower priority finds no more than one
 * of a higher: fewer may be stopped for it. One that moves has wishes of its
 * own. */
enum pending_reason refusals_find(const struct refusals *refusals,
                                  const struct vm *vm);

/* The VM found none. */
void refusals_note(struct refusals *refusals, const struct vm *vm,
                   enum pending_reason reason);

/* A member more may let others in where it is; true when some were known to
 * find no place. */
bool refusals_forget_group(struct refusals *refusals, uint32_t group_plus1);

#endif
