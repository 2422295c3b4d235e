/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/check_headroom.h"

#include "placement/headroom.h"

#include <inttypes.h>
#include <string.h>

#define PROOF_BUDGET 1000

static bool admits(const char *path)
{
    const char *name = strrchr(path, '/') + 1;

    return strcmp(name, "CreateVm") == 0 || strcmp(name, "StartVm") == 0;
}

void sim_headroom_read(const struct turn_plan *plan, const char *path,
                       struct sim_headroom *headroom)
{
    const struct state *state = plan->scratch;

    *headroom = (struct sim_headroom){0};
    if (!admits(path) || state_policy(state)->headroom != HEADROOM_ENFORCE) {
        return;
    }
    headroom->revision = state_revision(state);
    headroom->assigned = state_counts(state)->vms_by_state[VM_ASSIGNED];
    while (!headroom_work(plan->placer, state, PROOF_BUDGET)) {
    }
    for (uint32_t i = 0; i < state_zone_slots(state); i++) {
        struct headroom_zone zone;

        if (headroom_zone(plan->placer, state, i, &zone)) {
            headroom->known |= UINT64_C(1) << i;
            headroom->unplaceable[i] = zone.unplaceable_count;
        }
    }
}

/* VMs that are being stopped for another make room for it; whether that leaves
 * headroom whole is not judged. */
static bool somebody_waits_for_room(const struct state *state)
{
    return state_counts(state)->vms_claiming > 0;
}

void sim_check_admission(struct sim_world *world, const struct turn_plan *plan,
                         const struct sim_headroom *before, const char *path)
{
    struct sim_headroom after;

    if (before->revision == 0 ||
        before->revision == state_revision(plan->scratch) ||
        somebody_waits_for_room(plan->scratch)) {
        return;
    }
    sim_headroom_read(plan, path, &after);
    /* Who got no host was not let in: it waits, or it is STOPPING still and has
     * to find a place again afterwards. */
    if (after.assigned <= before->assigned) {
        return;
    }
    for (uint32_t i = 0; i < state_zone_slots(plan->scratch); i++) {
        if (((before->known & after.known) >> i & 1) != 0 &&
            after.unplaceable[i] > before->unplaceable[i]) {
            sim_violation(world, "headroom-holds",
                          "%s is accepted, and %" PRIu32
                          " VMs of zone %s would find no room, before %" PRIu32,
                          path, after.unplaceable[i],
                          state_zone_at(plan->scratch, i)->name,
                          before->unplaceable[i]);
        }
    }
}
