/* SPDX-License-Identifier: Apache-2.0
 *
 * When two texts and two fault domains are the same, written down a second time
 * for the checks of placement. */
#ifndef SUPPORT_SAME_H
#define SUPPORT_SAME_H

#include "state/state.h"

#include <string.h>

static inline bool same_text(struct text a, struct text b)
{
    return a.len == b.len && memcmp(a.data, b.data, a.len) == 0;
}

/* A host that names no domain is one by itself. */
static inline bool same_domain(const struct state *state, const struct host *a,
                               const struct host *b)
{
    struct host_identity left;
    struct host_identity right;

    if (a->uid == b->uid) {
        return true;
    }
    state_host_identity(state, a, &left);
    state_host_identity(state, b, &right);
    return a->zone == b->zone && left.fault_domain.len > 0 &&
           same_text(left.fault_domain, right.fault_domain);
}

#endif
