/* SPDX-License-Identifier: Apache-2.0
 *
 * Random fleets that lose a zone, get it back and are rebalanced, again and
 * again, in memory: what a unit test checks and a bench measures. Each cycle:
 * all hosts of a zone are fenced and what ran there is placed again; the zone
 * returns, empty; rebalancing runs until it has nothing to do, and once more.
 */
#ifndef SUPPORT_CYCLES_H
#define SUPPORT_CYCLES_H

#include "placement/placement.h"

enum cycles_mix {
    CYCLES_MIX_CLOUD, /* 13 sizes, 1 to 64 CPUs, most of them small. */
    CYCLES_MIX_EQUAL, /* One size. */
    CYCLES_MIX_SKEWED /* Some want CPU, some want memory. */
};

struct cycles_spec {
    uint64_t seed;
    uint32_t zones;
    uint32_t hosts;         /* In each zone; */
    uint32_t hosts_more;    /* and so many more from each zone to the next. */
    uint32_t fill_permille; /* Of CPU or memory, whichever is full first. */
    uint32_t priorities;    /* So many different ones, as often each. */
    uint32_t grouped_permille; /* VMs that are members of spread groups. */
    enum cycles_mix mix;
    uint32_t round; /* Moves asked for at a time. */
};

/* Of one cycle. */
struct cycles_cycle {
    uint32_t lost;      /* VMs of the zone. */
    uint32_t moves;     /* To even out what its return left. */
    uint32_t bound;     /* rebalance_lower_bound() */
    uint32_t bound_any; /* Of any priority. */
    uint32_t twice;     /* VMs that were moved twice. */
    uint32_t again;     /* Moves of the run right afterwards. */
    uint32_t worse;     /* Groups that are more uneven than before. */
    uint32_t spread_permille_before;
    uint32_t spread_permille;
    uint64_t decide_ns;    /* Of the processor, for all decisions; */
    uint64_t slice_ns_max; /* the longest slice of any. */
    uint32_t decisions;
};

struct cycles;

struct cycles *cycles_create(const struct cycles_spec *spec);
void cycles_destroy(struct cycles *cycles);

const struct state *cycles_state(const struct cycles *cycles);

/* Loses a random zone and gets it back. */
void cycles_next(struct cycles *cycles, struct cycles_cycle *cycle);

#endif
