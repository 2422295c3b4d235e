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

/* From scratch: a few milliseconds at 100,000 hosts. */
void fleet_load(struct fleet *fleet, const struct state *state);

/* The host's record is another one now. */
void fleet_host_changed(struct fleet *fleet, const struct state *state,
                        uint32_t slot);

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

/* Whether `host` could take a VM with these amounts as far as room goes. */
bool fleet_fits(const struct fleet_host *host, const struct resources *wanted,
                const struct amounts *named);

/* Whether VMs may be placed there at all: up, neither cordoned nor draining. */
static inline bool fleet_host_is_open(const struct fleet_host *host)
{
    return host->up && !host->cordoned;
}

#endif
