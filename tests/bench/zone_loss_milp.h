/* SPDX-License-Identifier: Apache-2.0
 *
 * The optimum of a small evacuation: a linear program with whole numbers, one
 * for each size and host, solved by cbc. */
#ifndef BENCH_ZONE_LOSS_MILP_H
#define BENCH_ZONE_LOSS_MILP_H

#include "state/state.h"

struct milp_result {
    uint64_t cpu_milli; /* Most CPU that can be placed; */
    uint32_t vms;       /* with this, most VMs. */
    bool proven;        /* Not only the best found in time. */
};

bool milp_available(void);

/* For the pending VMs of the state; false when the solver fails. */
bool milp_solve(const struct state *state, unsigned seconds,
                struct milp_result *out);

#endif
