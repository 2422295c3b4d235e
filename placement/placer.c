/* SPDX-License-Identifier: Apache-2.0
 *
 * The engine behind the interface: one pass over the hosts. It is exact and
 * has no state of its own, so the calls that keep an index current have
 * nothing to do yet. */
#include "base/check.h"
#include "base/memory.h"
#include "placement/internal.h"

#include <stdlib.h>
#include <string.h>

struct placer {
    uint64_t choices; /* Made so far; for metrics. */
};

struct placer *placer_create(void)
{
    return memory_alloc(sizeof(struct placer));
}

void placer_destroy(struct placer *placer)
{
    free(placer);
}

void placer_rebuild(struct placer *placer, const struct state *state)
{
    (void)placer;
    (void)state;
}

void placer_host_changed(struct placer *placer, const struct state *state,
                         uint32_t host_slot)
{
    (void)placer;
    CHECK(host_slot < state_host_slots(state));
}

/* What a person should be told, from the counts: the rule that came closest to
 * letting the VM in, for a cure there helps. */
static enum pending_reason reason_of(const uint32_t *refused)
{
    if (refused[REFUSED_CPU] + refused[REFUSED_MEMORY] +
            refused[REFUSED_LOCAL_DISK] >
        0) {
        return PENDING_NO_CAPACITY;
    }
    if (refused[REFUSED_DISK] > 0) {
        return PENDING_DISK_NOT_REACHABLE;
    }
    if (refused[REFUSED_DRIVER] > 0) {
        return PENDING_DRIVER_NOT_OFFERED;
    }
    if (refused[REFUSED_ZONE_STATE] + refused[REFUSED_CORDONED] +
            refused[REFUSED_HOST_STATE] >
        0) {
        return PENDING_ZONE_UNAVAILABLE;
    }
    if (refused[REFUSED_CLASS] > 0) {
        return PENDING_CLASS_NOT_OFFERED;
    }
    return PENDING_NO_CAPACITY;
}

void placer_choose(struct placer *placer, const struct state *state,
                   const struct placement_request *request,
                   struct placement_choice *choice)
{
    struct placement_query query = {
        .state = state,
        .vm = request->vm,
        .class = state_class_at(state, request->vm->class_slot),
        .prefer_zone = request->prefer_zone,
    };
    struct placement_candidate best = {NULL, NULL};

    placer->choices++;
    memset(choice, 0, sizeof(*choice));
    choice->host = SLOT_NONE;
    for (uint32_t slot = 0; slot < state_host_slots(state); slot++) {
        struct placement_candidate candidate = {state_host_at(state, slot),
                                                NULL};
        enum placement_refusal refusal;

        if (candidate.host == NULL) {
            continue;
        }
        refusal = filter_host(&query, candidate.host);
        if (refusal != PLACEMENT_REFUSAL_COUNT) {
            choice->refused[refusal]++;
            continue;
        }
        candidate.zone = state_zone_at(state, candidate.host->zone);
        if (best.host == NULL ||
            compare_candidates(&query, &candidate, &best) < 0) {
            best = candidate;
            choice->host = slot;
        }
    }
    if (best.host == NULL) {
        choice->reason = reason_of(choice->refused);
    }
}
