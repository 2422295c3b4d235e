/* SPDX-License-Identifier: Apache-2.0
 *
 * Fleets that lose a zone: hosts of some shapes in three zones, filled with VMs
 * of a mix of sizes in the order of their arrival, by one policy. */
#ifndef BENCH_ZONE_LOSS_FLEET_H
#define BENCH_ZONE_LOSS_FLEET_H

#include "state/state.h"

#define FLEET_ZONES      3
#define FLEET_SIZES_MAX  16
#define FLEET_SHAPES_MAX 4

struct fleet_size {
    uint32_t cpu_milli;
    uint32_t memory_mib;
    uint32_t weight; /* Of 10,000. */
};

struct fleet_shape {
    uint32_t cpu_milli;
    uint32_t memory_mib;
    uint32_t weight; /* Of 100. */
};

struct fleet_mix {
    const char *name;
    struct fleet_size sizes[FLEET_SIZES_MAX];
    struct fleet_shape shapes[FLEET_SHAPES_MAX];
};

extern const struct fleet_mix fleet_mixes[];
extern const uint32_t fleet_mix_count;

/* How arriving VMs find a host within their zone. */
enum fleet_policy {
    FLEET_SLOT_LOSS,
    FLEET_BEST_FIT,
    FLEET_FIRST_FIT,
    FLEET_LEAST_ALLOCATED,
    FLEET_POLICY_COUNT
};

extern const char *const fleet_policy_names[FLEET_POLICY_COUNT];

struct fleet_spec {
    const struct fleet_mix *mix;
    uint32_t hosts;
    /* Demand of the zone that is lost over what is free in the others. */
    double demand;
    uint64_t seed;
    enum fleet_policy policy;
};

/* A region as the spec says, after the loss of its first zone. */
struct state *fleet_make(const struct fleet_spec *spec);

struct fleet_facts {
    uint32_t lost; /* VMs. */
    uint32_t vms;
    double demand; /* Over free, the larger of CPU and memory. */
    uint64_t lost_cpu_milli;
};

void fleet_facts(const struct state *state, struct fleet_facts *facts);

#endif
