/* SPDX-License-Identifier: Apache-2.0
 *
 * How many more VMs of a class find a host: now, and with any one zone lost and
 * its VMs placed elsewhere by the code that would do it. In slices. Pure.
 *
 * A count is that of one class alone, host by host, from what is free there
 * beside claims; room that reservations keep is taken off zone by zone, rounded
 * against the class. */
#ifndef NODE_CAPACITY_H
#define NODE_CAPACITY_H

#include "node/planner.h"

struct capacity_class {
    uint32_t slot;
    uint64_t free[ZONES_MAX];    /* In the zone. */
    uint64_t without[ZONES_MAX]; /* Everywhere, with the zone lost. */
};

struct capacity {
    struct planner_start start; /* With a clone of its own as the state. */
    struct state *state;
    struct placer *placer; /* Of the clone. */
    struct capacity_class *classes;
    uint32_t class_count;
    uint32_t next_class;
    uint32_t zone; /* Whose loss is worked out; the first one: none's yet. */
    bool counting;
    bool unsafe; /* Some zone's loss would leave VMs without a place. */
    bool planning;
    struct planner planner;
    Holdfast__V1__PlanAction action;
    Holdfast__V1__PlanZoneLoss loss;
    char *names[1];
    char name[NAME_BYTES];
    struct api_reply reply; /* Of the planner: never fails. */
};

/* Of those of the classes that still exist. */
void capacity_begin(struct capacity *capacity,
                    const struct planner_start *start,
                    const struct class_id *classes, uint32_t count);
void capacity_close(struct capacity *capacity);

/* One slice; true when all is counted. */
bool capacity_work(struct capacity *capacity);

/* Sums over the zones; the second with any one zone lost. */
uint64_t capacity_free(const struct capacity *capacity,
                       const struct capacity_class *class);
uint64_t capacity_safe(const struct capacity *capacity,
                       const struct capacity_class *class);

#endif
