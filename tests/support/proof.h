/* SPDX-License-Identifier: Apache-2.0
 *
 * Regions whose placer is told of all that changes, and the loss of each zone
 * executed on a clone: every VM that headroom calls protected goes to its slot,
 * and no rule is broken there. Its checks are cmocka's. */
#ifndef SUPPORT_PROOF_H
#define SUPPORT_PROOF_H

#include "placement/headroom.h"

struct proof {
    struct state *state;
    struct placer *placer;
    struct event_sink sink;
    uint32_t vm_names;
    uint32_t host_names;
};

/* Zones z0, z1, ..., without hosts. */
void proof_init(struct proof *region, uint32_t zones, enum headroom_mode mode);
void proof_close(struct proof *region);

void proof_apply(struct proof *region, const struct change *change);

/* headroom_work() to its end. */
void proof_work(struct proof *region);

void proof_add_class(struct proof *region, const char *name, uint32_t cpu_milli,
                     uint32_t memory_mib, uint64_t zone_mask);
struct class_id proof_class_at(const struct proof *region, uint32_t slot);

struct proof_host {
    uint32_t zone;
    uint32_t cpu_milli;
    uint32_t memory_mib;
    uint32_t pool_count; /* Of "p0", "p1". */
    const char *domain;
    const char *tier; /* Label; NULL: none. */
};

/* Its slot. */
uint32_t proof_add_host(struct proof *region, const struct proof_host *wish);

/* A VM like `wish`, whose name and fixed fields are filled in. Its slot. */
uint32_t proof_add_vm(struct proof *region, struct change_vm_create wish);

void proof_assign(struct proof *region, uint32_t vm_slot, uint32_t host);

/* As placer_choose(), until it does not say "ask again". */
void proof_choose(struct proof *region, uint32_t vm,
                  struct placement_choice *choice);

void proof_remove_vm(struct proof *region, uint32_t slot);

/* Asks for a place and takes it; false: there is none, and the VM is deleted.
 */
bool proof_place_or_remove(struct proof *region, uint32_t vm,
                           struct placement_choice *choice);

/* VMs of the zone without a slot, when all is worked out. */
uint32_t proof_unplaceable(struct proof *region, uint32_t zone);

/* The loss of each zone. */
void proof_check_losses(struct proof *region);

#endif
