/* SPDX-License-Identifier: Apache-2.0
 *
 * Whether what is let in leaves headroom whole. */
#ifndef TESTS_SIM_CHECK_HEADROOM_H
#define TESTS_SIM_CHECK_HEADROOM_H

#include "node/turn.h"
#include "tests/sim/world.h"

/* Within a turn, around a call that gives a VM room, or may: where headroom is
 * kept, an acknowledged one leaves no more VMs than before without room by a
 * zone's loss, as the leader's own proof has it. Fresh proofs may find less:
 * what was once found is kept. */
struct sim_headroom {
    uint64_t revision; /* 0: headroom is not kept. */
    uint64_t known;    /* Bit i: of the zone in slot i. */
    uint32_t assigned; /* VMs that were given a host and do not start yet. */
    uint32_t unplaceable[ZONES_MAX];
};

void sim_headroom_read(const struct turn_plan *plan, const char *path,
                       struct sim_headroom *headroom);
void sim_check_admission(struct sim_world *world, const struct turn_plan *plan,
                         const struct sim_headroom *before, const char *path);

#endif
