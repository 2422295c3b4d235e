/* SPDX-License-Identifier: Apache-2.0
 *
 * What the applied changes did, counted since the start of the process: for
 * graphs, not for decisions. Pure. */
#ifndef NODE_ACTIVITY_H
#define NODE_ACTIVITY_H

#include "state/state.h"

#define ACTIVITY_KINDS (CHANGE_APPLY_DROP + 1)

struct activity {
    uint64_t changes[ACTIVITY_KINDS]; /* By enum change_kind. */
    uint64_t failovers; /* VMs assigned anew after their host was fenced. */
};

/* The batch was applied, and this is the state since. */
void activity_note(struct activity *activity, const struct batch *batch,
                   const struct state *state);

/* "vm_assign"; NULL for a number that is no kind. */
const char *activity_kind_name(size_t kind);

#endif
