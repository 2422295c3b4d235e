/* SPDX-License-Identifier: Apache-2.0
 *
 * Small regions in which something is lost, and the plan that follows, told by
 * names. Its checks are cmocka's. */
#ifndef SUPPORT_LOSSY_H
#define SUPPORT_LOSSY_H

#include "placement/evacuate.h"

/* Zones za, zb and zc, classes small, medium and large of 1, 2 and 4 CPUs with
 * 2 GiB each. A policy, so that what was lost is known as recovering. */
struct state *lossy_region(void);

void lossy_apply(struct state *state, struct change change);

struct lossy_host {
    const char *name;
    const char *zone;
    uint32_t cpus;
    uint32_t gib;
    const char *domain;
    const char *rack; /* A label; NULL: none. */
    const char *pool;
    uint32_t disk_gib;
};

void lossy_add_host(struct state *state, struct lossy_host spec);

/* With 2 GiB a CPU and nothing else. */
void lossy_plain_host(struct state *state, const char *name, const char *zone,
                      uint32_t cpus);

struct lossy_vm {
    const char *name;
    const char *class;
    const char *host; /* NULL: it stays pending. */
    uint32_t priority;
    const char *zone; /* NULL: any. */
    const char *group;
    const char *rack; /* Selector. */
    const char *pool;
    bool preemptible;
    bool local_disk;
};

void lossy_add_vm(struct state *state, struct lossy_vm spec);
void lossy_add_group(struct state *state, const char *name,
                     struct group_fields fields);

/* Of a VM that is there. */
uint64_t lossy_uid_of(const struct state *state, const char *name);
uint32_t lossy_slot_of(const struct state *state, const char *name);

void lossy_lose_host(struct state *state, const char *name);

/* With all its hosts. */
void lossy_lose_zone(struct state *state, const char *name);

/* To the end. */
struct evacuation *lossy_plan(const struct state *state);

/* NULL: the plan has none for the VM. */
const struct evacuation_step *lossy_step_of(const struct state *state,
                                            const struct evacuation *plan,
                                            const char *vm);

/* Name of the host where the plan has the VM; "none", or "no step". */
const char *lossy_goes(const struct state *state, const struct evacuation *plan,
                       const char *vm);

/* Of that host's zone, or "none". */
const char *lossy_zone_of(const struct state *state,
                          const struct evacuation *plan, const char *vm);

void lossy_end(struct state *state, struct evacuation *plan);

#endif
