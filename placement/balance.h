/* SPDX-License-Identifier: Apache-2.0
 *
 * How evenly the zones are used, and what a group's rule says of a move from
 * one zone to another: the arithmetic of rebalancing. A zone's load is the
 * larger of its shares of CPU and memory in use, in millionths of what its
 * hosts that are up have. Only zones that are up, neither cordoned nor
 * draining, count. */
#ifndef PLACEMENT_BALANCE_H
#define PLACEMENT_BALANCE_H

#include "state/state.h"

/* What a zone uses, or would use after the moves decided so far. */
struct balance_zone {
    uint64_t cpu_milli;
    uint64_t memory_mib;
    uint64_t cpu_capacity;
    uint64_t memory_capacity;
};

struct balance {
    struct balance_zone zones[ZONES_MAX];
    uint64_t usable; /* Bit i: zone i counts. */
    uint32_t count;  /* Slots of zones. */
};

void balance_init(struct balance *balance, const struct state *state);

/* Of a usable zone, in millionths; it may pass the whole. */
uint32_t balance_load(const struct balance_zone *zone);

/* Of the zone with a VM of this size more (sign 1) or less (-1). */
uint32_t balance_load_with(const struct balance_zone *zone,
                           const struct resources *size, int sign);

/* A VM came to the zone (sign 1) or left it (-1). */
void balance_add(struct balance *balance, uint32_t zone,
                 const struct resources *size, int sign);

/* The load of the fullest zone less that of the emptiest; 0 with fewer than
 * two. */
uint32_t balance_spread(const struct balance *balance);

/* Where the loads of all zones lie after as few moves as possible: what is too
 * much above `top` is what is missing below `bottom`. */
struct balance_band {
    uint32_t bottom;
    uint32_t top;
};

struct balance_band balance_band(const struct balance *balance, uint32_t width);

/* What is too much in a zone, for its load to be at most `top`. */
void balance_excess(const struct balance_zone *zone, uint32_t top,
                    uint64_t *cpu_milli, uint64_t *memory_mib);

/* Usable zones where the VM's class, disks and group let it run; its present
 * zone may be among them. */
uint64_t balance_zones_of(const struct balance *balance,
                          const struct state *state, const struct vm *vm);

/* Whether the group's rule for zones is broken by a member in `from` and would
 * be less so with it elsewhere. `zones`: see balance_zones_of(). */
bool balance_group_wants(const struct group *group, uint64_t zones,
                         uint32_t from);

/* Whether a member may go from zone to zone without making the group's spread
 * worse than its rule allows or, where that is broken, than it is. */
bool balance_group_admits(const struct group *group, uint64_t zones,
                          uint32_t from, uint32_t to);

/* Whether a member that its rule wants elsewhere serves it by this move. One
 * that goes where as many will then be as are now where it is would be wanted
 * back: it does so for ever when the zone with the fewest takes none. */
bool balance_group_mends(const struct group *group, uint64_t zones,
                         uint32_t from, uint32_t to);

/* How many members have to leave each zone, for the group's rule for zones to
 * be kept after as few moves as possible; returns how many moves that takes,
 * which may be more than their sum. */
uint32_t balance_group_excess(const struct group *group, uint64_t zones,
                              uint32_t excess[ZONES_MAX]);

/* Adds up how many members each zone has to get for that. */
void balance_group_lack(const struct group *group, uint64_t zones,
                        uint32_t lack[ZONES_MAX]);

#endif
