/* SPDX-License-Identifier: Apache-2.0
 *
 * Headroom: the proof that the VMs of any one zone could all be placed again in
 * the others. The placer holds a witness: each protected VM has, beside its
 * host, a backup slot on a host of another zone; slots for different failing
 * zones share room, so a host keeps the maximum over zones. Admission keeps the
 * witness; before it says no, everything is planned again from scratch. */
#ifndef PLACEMENT_HEADROOM_H
#define PLACEMENT_HEADROOM_H

#include "placement/placement.h"

/* Numbers of UnprotectedReason in resources.proto. */
enum unprotected_reason {
    PROTECTED = 0,
    UNPROTECTED_ZONAL = 1,
    UNPROTECTED_LOCAL_DISK = 2,
    UNPROTECTED_DISK_NOT_REACHABLE = 3,
    UNPROTECTED_CLASS_NOT_OFFERED = 4,
    UNPROTECTED_NO_MATCHING_HOST = 5,
    UNPROTECTED_BY_GROUP = 6,
    UNPROTECTED_PREEMPTIBLE = 7,
    UNPROTECTED_GROUP_RULE = 8,
    UNPROTECTED_KEEP = 9,
    UNPROTECTED_NO_HEADROOM = 10,
    UNPROTECTED_UNKNOWN = 11
};

/* Of a VM that has a host. While nothing is worked out, or not yet, only what
 * the VM and its group say by themselves is known. */
enum unprotected_reason headroom_protection(const struct placer *placer,
                                            const struct state *state,
                                            const struct vm *vm);

struct headroom_zone {
    uint32_t protected_count;   /* Of the VMs assigned to the zone. */
    uint32_t unprotected_count; /* Likewise. */
    uint32_t unplaceable_count; /* Protected by their rules, without a slot. */
    uint32_t missing_class;     /* Slot: the class with most of these; */
    uint32_t missing_count;     /* how many of it. SLOT_NONE and 0: none. */
    uint64_t revision;          /* Of the state this is true for. */
};

/* False while it is being worked out, or with headroom OFF. */
bool headroom_zone(const struct placer *placer, const struct state *state,
                   uint32_t zone, struct headroom_zone *out);

/* What is missing if the zone were lost: one entry a class, at most `max`. How
 * many there are; 0 also while it is being worked out. */
uint32_t headroom_missing(const struct placer *placer, uint32_t zone,
                          struct placement_headroom *out, uint32_t max);

/* The host where the VM in the slot would go if its zone were lost, or that is
 * kept for it since it was; SLOT_NONE: none. All of them hold at once: the plan
 * that exists before the loss. */
uint32_t headroom_backup(const struct placer *placer, uint32_t vm_slot);

/* Works on the witness for about `budget` VMs; true when there is nothing left
 * to do. Called between turns, until it is. */
bool headroom_work(struct placer *placer, const struct state *state,
                   uint32_t budget);

/* ASK_AGAIN: it is being worked out by headroom_work(). */
enum headroom_answer { HEADROOM_YES, HEADROOM_NO, HEADROOM_ASK_AGAIN };

/* VMs and hosts up to which the next two questions are answered at once, within
 * a few milliseconds; in larger regions they are worked out on a copy, between
 * turns. The answer is kept for so long, by the state's time, unless another
 * drain begins or hosts come: VMs come and go all the time, and what admits and
 * moves those keeps headroom by itself. */
#define HEADROOM_AT_ONCE        4096
#define HEADROOM_ANSWER_KEPT_MS 30000

/* Whether the loss of each zone would still be survived if this host (or all
 * hosts of the zone; the other is SLOT_NONE) took no VMs and its own were
 * placed elsewhere: may it be drained? As if headroom were enforced; with OFF
 * yes. NO: `out` says what is missing. */
enum headroom_answer headroom_allows_drain(struct placer *placer,
                                           const struct state *state,
                                           uint32_t host_slot,
                                           uint32_t zone_slot,
                                           struct placement_headroom *out);

/* Likewise if the class were offered in these zones alone (0: in all). */
enum headroom_answer headroom_allows_class(struct placer *placer,
                                           const struct state *state,
                                           uint32_t class_slot,
                                           uint64_t zone_mask,
                                           struct placement_headroom *out);

#endif
