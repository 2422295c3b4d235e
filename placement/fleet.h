/* SPDX-License-Identifier: Apache-2.0
 *
 * The hosts of a state in compact form, for everyone who looks at many of them:
 * what rules and amounts ask for, in two cache lines a host instead of a record
 * of seven behind two pointers. Made from a state and kept current host by
 * host. */
#ifndef PLACEMENT_FLEET_H
#define PLACEMENT_FLEET_H

#include "state/state.h"

/* Of one host slot. */
struct fleet_host {
    /* Capacity less used less claimed; 0 where others have more than is. */
    struct resources free;
    struct amounts named_free;
    struct resources capacity;
    struct resources used; /* By the VMs assigned to it. */
    uint64_t pool_mask;
    uint32_t zone; /* Slot. SLOT_NONE: a hole. */
    /* Number of its fault domain, from 0: hosts of one zone whose identity
     * names the same one. Hosts that name none: each is one of its own. */
    uint32_t domain;
    uint32_t labels_blob;
    uint32_t vm_count; /* With those that have claims. */
    uint8_t driver_mask;
    uint8_t named_mask; /* Bit i: has some of the named resource i. */
    bool up;            /* HOST_UP. */
    bool cordoned;      /* Or draining. */
    uint8_t padding[4];
};

struct fleet;

struct fleet *fleet_create(void);
void fleet_destroy(struct fleet *fleet);

/* From scratch: of no host yet. The caller tells of all that the state has, by
 * ascending slots; about 0.1 us each. */
void fleet_begin(struct fleet *fleet, const struct state *state);

enum fleet_change {
    FLEET_SAME,
    FLEET_ROOM,  /* What is free and used, or whether it takes VMs. */
    FLEET_TRAITS /* Anything: registered anew, or gone. */
};

/* The host's record is another one now. Before FLEET_TRAITS it was as `former`
 * says. */
enum fleet_change fleet_host_changed(struct fleet *fleet,
                                     const struct state *state, uint32_t slot,
                                     struct fleet_host *former);

/* By slot, fleet_slots() of them; valid until the next change. */
const struct fleet_host *fleet_hosts(const struct fleet *fleet);
uint32_t fleet_slots(const struct fleet *fleet);

/* Numbers of fault domains given so far. */
uint32_t fleet_domains(const struct fleet *fleet);

/* Of these, in the zone: those that its hosts ever named. */
uint32_t fleet_zone_domains(const struct fleet *fleet, uint32_t zone);

/* The hosts whose labels have all that a selector asks for, one bit a slot:
 * `bits[slot / 64] >> slot % 64 & 1`. NULL for selector blob 0: all hosts. Kept
 * for the selectors asked for lately; valid until the next call. */
const uint64_t *fleet_selected(struct fleet *fleet, const struct state *state,
                               uint32_t selector_blob);

/* Hosts that were looked at for selectors so far. */
uint64_t fleet_looks(const struct fleet *fleet);

/* Whether `host` could take a VM with these amounts as far as room goes. */
bool fleet_fits(const struct fleet_host *host, const struct resources *wanted,
                const struct amounts *named);

/* Bit i: there is some of the named resource i. Mostly none. */
static inline uint8_t amounts_mask(const struct amounts *amounts)
{
    uint8_t mask = 0;
    uint32_t any = 0;

    for (uint32_t i = 0; i < NAMED_MAX; i++) {
        any |= amounts->of[i];
    }
    for (uint32_t i = 0; any != 0 && i < NAMED_MAX; i++) {
        mask |= (uint8_t)((amounts->of[i] > 0) << i);
    }
    return mask;
}

/* Whether VMs may be placed there at all: up, neither cordoned nor draining. */
static inline bool fleet_host_is_open(const struct fleet_host *host)
{
    return host->up && !host->cordoned;
}

#endif
