/* SPDX-License-Identifier: Apache-2.0
 *
 * Where a VM goes. Pure and deterministic: the same state and request give the
 * same answer. Rules first (placement/filter.c, one function a reason), then
 * the order of preference (placement/compare.c, a total order): spread over
 * zones, pack inside one. */
#ifndef PLACEMENT_PLACEMENT_H
#define PLACEMENT_PLACEMENT_H

#include "state/state.h"

/* Soft state of the leader: whatever speeds up choices; made from the state at
 * any time. */
struct placer;

struct placer *placer_create(void);
void placer_destroy(struct placer *placer);

/* Tells that the state is another one now, or has changed in ways that were
 * not told one by one (new leader, restore). */
void placer_rebuild(struct placer *placer, const struct state *state);

/* Tells that this host's record in `state` changed (used, capacity, state). */
void placer_host_changed(struct placer *placer, const struct state *state,
                         uint32_t host_slot);

/* VMs of one host. Its agent lists all in each renewal, 4096 at most
 * (agent_service.proto), also those that ended and are not yet acknowledged. */
#define PLACEMENT_HOST_VMS_MAX 4000

/* Why hosts were refused, one count each; index is enum placement_refusal. */
enum placement_refusal {
    REFUSED_ZONE_RULE,  /* Another zone than the VM is pinned to. */
    REFUSED_ZONE_STATE, /* Zone lost, held or cordoned. */
    REFUSED_CLASS,      /* Class not offered in the zone. */
    REFUSED_HOST_STATE, /* Host lost. */
    REFUSED_CORDONED,   /* Host cordoned. */
    REFUSED_DRIVER,     /* Driver not there. */
    REFUSED_DISK,       /* A pool is not reachable. */
    REFUSED_MOVE,       /* Not the target of the move, or its source. */
    REFUSED_CPU,        /* Not enough free CPU; */
    REFUSED_MEMORY,     /* memory; */
    REFUSED_LOCAL_DISK, /* disk. */
    REFUSED_VM_COUNT,   /* It has PLACEMENT_HOST_VMS_MAX. */
    PLACEMENT_REFUSAL_COUNT
};

struct placement_request {
    const struct vm *vm;
    /* Prefer this zone (a host was lost, the zone is well): slot, or
     * SLOT_NONE. */
    uint32_t prefer_zone;
};

struct placement_choice {
    uint32_t host;              /* Slot; SLOT_NONE when there is none. */
    enum pending_reason reason; /* Set when there is none. */
    uint32_t refused[PLACEMENT_REFUSAL_COUNT]; /* Set when there is none. */
};

/* The best host for a PENDING VM. `state` is the placer's. */
void placer_choose(struct placer *placer, const struct state *state,
                   const struct placement_request *request,
                   struct placement_choice *choice);

/* One sentence for people from a refusal: what is missing, what would cure it.
 * Writes at most `size` bytes with the NUL. */
void placement_explain(const struct state *state,
                       const struct placement_choice *choice, char *text,
                       size_t size);

#endif
