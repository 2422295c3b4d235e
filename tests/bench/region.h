/* SPDX-License-Identifier: Apache-2.0
 *
 * A large region's state, made as a node makes it: batches of changes are
 * decoded from log entries and applied. Also a node's data directory that holds
 * it as a snapshot. */
#ifndef BENCH_REGION_H
#define BENCH_REGION_H

#include "raft/replica.h"
#include "state/state.h"

#define REGION_ZONES 3

/* What a kind of changes cost to decode and apply. */
struct region_rate {
    uint64_t changes;
    uint64_t ns;
    uint64_t slowest_ns; /* One entry of region_batch() changes. */
};

struct region {
    struct state *state;
    struct region_rate hosts;
    struct region_rate creates;
    struct region_rate assigns;
    struct region_rate reports;
    uint64_t vm_bytes; /* Of the allocator, for all VMs and their indexes. */
};

/* Changes in one log entry. */
unsigned region_batch(void);

/* Zones z1 to z3, hosts, and VMs that run on them, evenly spread; each VM has
 * one of ten templates and one of a hundred sets of labels. */
void region_make(struct region *region, uint32_t hosts, uint32_t vms);
void region_close(struct region *region);

/* More changes of running VMs, from slot `first` on: what a page costs that a
 * clone shares. */
void region_report(struct region *region, struct region_rate *rate,
                   uint32_t first, uint32_t count);

/* Makes `directory` for the member `id` of these, with the state as snapshot
 * of entry 2. The bytes that it takes on disk, or 0 after saying why. */
uint64_t region_save(const struct region *region, const char *directory,
                     uint64_t id, const struct replica_member *members,
                     size_t member_count);

#endif
