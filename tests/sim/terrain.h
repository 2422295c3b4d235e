/* SPDX-License-Identifier: Apache-2.0
 *
 * What the small region is made of. Plain ones have two hosts a zone, all
 * alike, and VMs of one size. Rich ones, three in four, have racks, labels,
 * GPUs, a named resource, pools that not all hosts reach and, at times, little
 * room; their clients and operators use all of it. */
#ifndef TESTS_SIM_TERRAIN_H
#define TESTS_SIM_TERRAIN_H

#include "state/records.h"
#include "tests/sim/world.h"

#define SIM_POOL_SHARED     "store"
#define SIM_POOL_REPLICATED "mirror"
#define SIM_POOL_LOCAL      "scratch"
#define SIM_POOLS           3
#define SIM_NAMED           "licences"
#define SIM_LABEL           "tier"
#define SIM_CLASSES         4 /* Of a rich region. */

extern const char *const sim_tiers[2];

/* A class of rich regions, as its founder makes it. */
struct sim_class {
    const char *name;
    uint32_t cpu_milli;
    uint32_t memory_mib;
    uint32_t disk_gib;
    uint32_t gpu_count;
    uint32_t named;
};

extern const struct sim_class sim_classes[SIM_CLASSES];

/* From the seed alone, so that the rest of the world's chance stays as it is.
 */
void sim_terrain_init(struct sim_world *world);

/* The host of this index, in a world without a fleet. */
void sim_terrain_host(struct sim_host *host);

#endif
