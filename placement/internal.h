/* SPDX-License-Identifier: Apache-2.0
 *
 * Between the files of this folder. */
#ifndef PLACEMENT_INTERNAL_H
#define PLACEMENT_INTERNAL_H

#include "placement/placement.h"

/* What a choice looks at again and again. */
struct placement_query {
    const struct state *state;
    const struct vm *vm;
    const struct class *class;
    uint32_t prefer_zone;
};

/* A host that passed every rule. */
struct placement_candidate {
    const struct host *host;
    const struct zone *zone;
};

/* The first rule that refuses the host, or PLACEMENT_REFUSAL_COUNT. */
enum placement_refusal filter_host(const struct placement_query *query,
                                   const struct host *host);

/* Negative when `a` is the better host, positive when `b` is; never 0 for two
 * different hosts. */
int compare_candidates(const struct placement_query *query,
                       const struct placement_candidate *a,
                       const struct placement_candidate *b);

#endif
