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
 * any time. What it knows of each host, VM and group it takes from the record,
 * so telling it of one twice does no harm, and after a dry run it is told again
 * of what that touched. */
struct placer;

struct placer *placer_create(void);
void placer_destroy(struct placer *placer);

/* Takes over what another placer worked out that does not depend on the VMs,
 * for one of the same region: answers stay the same, the first comes sooner. */
void placer_share(struct placer *placer, const struct placer *other);

/* Tells that the state is another one now, or has changed in ways that were
 * not told one by one (new leader, restore). All at once: 0.2 us a host. */
void placer_rebuild(struct placer *placer, const struct state *state);

/* The same in slices, of a few milliseconds for PLACER_SLICE_HOSTS at most:
 * begin, then work until that is true. Until then the placer is not ready, and
 * no other question is asked of it than that; it is told of changes as always,
 * and knows all of them at the end. What it answers then is what one rebuilt at
 * once would answer. */
#define PLACER_SLICE_HOSTS 8192
void placer_rebuild_begin(struct placer *placer, const struct state *state);
bool placer_work(struct placer *placer, const struct state *state,
                 uint32_t budget);

/* Whether choices are made at once. Other classes than before make it unready
 * until placer_work() is true again; choices are right all the same, the first
 * takes some milliseconds. */
bool placer_is_ready(const struct placer *placer);

/* Tells that the record in the slot changed, came or went. A VM's host's
 * record, and that of the host that it left, are looked at as well. */
void placer_host_changed(struct placer *placer, const struct state *state,
                         uint32_t slot);
void placer_vm_changed(struct placer *placer, const struct state *state,
                       uint32_t slot);
void placer_group_changed(struct placer *placer, const struct state *state,
                          uint32_t slot);
void placer_reservation_changed(struct placer *placer,
                                const struct state *state, uint32_t slot);
void placer_zone_changed(struct placer *placer, const struct state *state,
                         uint32_t slot);
void placer_class_changed(struct placer *placer, const struct state *state,
                          uint32_t slot);
void placer_settings_changed(struct placer *placer, const struct state *state);

/* VMs of one host. Its agent lists all in each renewal, 4096 at most
 * (agent_service.proto), also those that ended and are not yet acknowledged. */
#define PLACEMENT_HOST_VMS_MAX 4000

/* Why hosts were refused, one count each; index is enum placement_refusal. A
 * host counts for the first rule that refuses it, in this order. */
enum placement_refusal {
    REFUSED_ZONE_RULE,    /* Another zone than the VM is pinned to. */
    REFUSED_MOVE,         /* Not the target of the move, or its source. */
    REFUSED_CLASS,        /* Class not offered in the zone. */
    REFUSED_ZONE_STATE,   /* Zone lost, held, cordoned or draining. */
    REFUSED_HOST_STATE,   /* Host lost. */
    REFUSED_CORDONED,     /* Host cordoned or draining. */
    REFUSED_DRIVER,       /* Driver not there. */
    REFUSED_SELECTOR,     /* Labels that it asks for are missing. */
    REFUSED_DISK,         /* A pool is not reachable, no copy of a replicated
                           * disk in the zone, or its local disk is elsewhere. */
    REFUSED_GROUP_ZONE,   /* Its group's rule for zones (strict). */
    REFUSED_GROUP_DOMAIN, /* Likewise for fault domains; */
    REFUSED_GROUP_HOST,   /* for hosts. */
    REFUSED_CPU,          /* Not enough free CPU; */
    REFUSED_MEMORY,       /* memory; */
    REFUSED_LOCAL_DISK,   /* disk; */
    REFUSED_GPU,          /* GPUs; */
    REFUSED_NAMED,        /* a named resource. */
    REFUSED_VM_COUNT,     /* It has PLACEMENT_HOST_VMS_MAX. */
    REFUSED_CLAIMED,      /* Free, but other VMs are on their way here. */
    REFUSED_RESERVED,     /* Free, but reserved for failover. */
    REFUSED_HEADROOM, /* Free, but a zone's loss could no longer be survived. */
    PLACEMENT_REFUSAL_COUNT
};

struct placement_request {
    /* PENDING in `state`; or a record that is not in it yet, with uid 0: may a
     * VM like this be created? Or it has a host: where else might it run? */
    const struct vm *vm;
    /* Prefer this zone (a host was lost, the zone is well): slot, or
     * SLOT_NONE. */
    uint32_t prefer_zone;
};

/* Which zone's loss could not be survived with the VM, and what is missing. */
struct placement_headroom {
    uint32_t zone;       /* Slot. SLOT_NONE: none in particular. */
    uint32_t class_slot; /* Of the VMs that would find no room; */
    uint32_t count;      /* how many of them. */
};

struct placement_choice {
    uint32_t host;              /* Slot; SLOT_NONE when there is none. */
    enum pending_reason reason; /* Set when there is none. */
    uint32_t refused[PLACEMENT_REFUSAL_COUNT]; /* By placer_count_refused(). */
    struct placement_headroom headroom;        /* Set for PENDING_HEADROOM. */
    uint64_t headroom_zones; /* Bit i: in zone i headroom refuses it. */
    bool at_risk;            /* It was chosen with what headroom keeps. */
    /* There is none yet: whether headroom allows it is being worked out
     * (headroom_work()). Ask again; the VM stays QUEUED, a create is answered
     * UNAVAILABLE. `reason` is PENDING_QUEUED. */
    bool retry;
};

/* The best host for a VM. `state` is the placer's. A VM that is `recovering`
 * may use reserved room and what headroom keeps, a preemptible one what is
 * reserved; all others leave both alone (headroom only under ENFORCE). */
void placer_choose(struct placer *placer, const struct state *state,
                   const struct placement_request *request,
                   struct placement_choice *choice);

/* As placer_choose(), with what headroom keeps: somebody accepted that the loss
 * of a zone may no longer be survived. What is reserved stays so. */
void placer_choose_at_risk(struct placer *placer, const struct state *state,
                           const struct placement_request *request,
                           struct placement_choice *choice);

/* Counts who was refused for what, for a sentence: `choice` is what
 * placer_choose() said of the request just now, and found no host. A look at
 * every host, unless a VM of the same kind was counted since the last change.
 */
void placer_count_refused(struct placer *placer, const struct state *state,
                          const struct placement_request *request,
                          struct placement_choice *choice);

/* What all calls so far have cost, by the same count on every machine: hosts
 * looked at, some 50 ns each, and what else takes as long. Callers that do many
 * things at a time end by it. */
uint64_t placer_looks(const struct placer *placer);

/* Whether this host (a slot) would take the VM as placer_choose() would have
 * it: the first rule that refuses it, or PLACEMENT_REFUSAL_COUNT. For a VM that
 * is to run on a host chosen earlier. */
enum placement_refusal placer_refusal(struct placer *placer,
                                      const struct state *state,
                                      const struct vm *vm, uint32_t host);

/* The zones that count for a group's rule: up, neither cordoned nor draining,
 * with hosts that are up; allowed by the group, its disks and the class (NULL:
 * any). One bit each. The spread is evened out over these. */
uint64_t placement_group_zones(const struct state *state,
                               const struct group *group,
                               const struct class *class);

/* The host where a VM would run if preemptible VMs of lower priority were
 * stopped, and which. `victims` has room for PLACEMENT_VICTIMS_MAX. */
#define PLACEMENT_VICTIMS_MAX 64
struct placement_preemption {
    uint32_t host;
    uint32_t victim_count;
    uint32_t victims[PLACEMENT_VICTIMS_MAX]; /* Slots of VMs. */
};

/* How many, and the highest priority among them. */
struct placement_victims {
    uint32_t count;
    uint32_t priority;
};

/* A search for it, which may go on in later turns; {0} before the first. */
struct placement_search {
    uint64_t vm_uid; /* 0: none goes on. */
    uint32_t class_slot;
    uint16_t priority;
    uint16_t restarts;
    uint32_t next; /* Host. */
    struct placement_victims best;
    struct placement_preemption found; /* Set at the end. */
};

enum placement_found { PLACEMENT_NONE, PLACEMENT_FOUND, PLACEMENT_GOES_ON };

/* Looks at hosts with preemptible VMs until so much work is done
 * (placer_looks()), or until all are looked at: then, in `found`, as few as
 * possible, at most policy.preempt_max, then those of the lowest priority.
 * GOES_ON: ask again with the same search; what it found is looked at again in
 * the end, for the fleet may have changed since. A search for another VM begins
 * anew. A host is looked at as a whole, some milliseconds for the oddest. */
enum placement_found placer_preempt(struct placer *placer,
                                    const struct state *state,
                                    const struct vm *vm, uint64_t work_max,
                                    struct placement_search *search);

/* Whether each slot of a reservation is free, in use or without room. */
struct placement_reserved {
    uint32_t free_count;
    uint32_t used_count;
    uint32_t missing_count;
};
void placer_reserved(const struct placer *placer, const struct state *state,
                     uint32_t reservation_slot, struct placement_reserved *out);

/* One sentence for people from a refusal: what is missing, what would cure it.
 * Writes at most `size` bytes with the NUL. */
void placement_explain(const struct state *state,
                       const struct placement_choice *choice, char *text,
                       size_t size);

#endif
