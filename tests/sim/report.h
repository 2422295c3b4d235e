/* SPDX-License-Identifier: Apache-2.0
 *
 * What simulations of a user's fleet came to, for people and for programs. */
#ifndef TESTS_SIM_REPORT_H
#define TESTS_SIM_REPORT_H

#include "base/bytes.h"
#include "tests/sim/fleet.h"
#include "tests/sim/world.h"

/* Some figure of each run; in us, or a count. */
struct sim_sample {
    uint64_t *values;
    size_t count;
};

struct sim_report_zone {
    uint32_t losses;
    uint32_t leader_there;
    struct sim_sample start_order_us;
    struct sim_sample running_us;
    struct sim_sample unplaced;
    struct sim_sample waiting_zone;
    struct sim_sample waiting_host;
};

struct sim_report {
    const struct sim_fleet *fleet;
    const char *path;
    bool zone_loss; /* Else faults at random. */
    uint64_t first;
    uint64_t runs;
    uint64_t virtual_us;
    struct sim_figures figures; /* Sums. */
    struct sim_census before;   /* Of the last run, the worst `unplaced`. */
    struct sim_report_zone zones[SIM_ZONES_MAX];
    char violation[2000];
    uint64_t violation_seed;
};

void sim_report_init(struct sim_report *report, const struct sim_fleet *fleet,
                     const char *path);
void sim_report_close(struct sim_report *report);

/* A world that has been lived through. */
void sim_report_add(struct sim_report *report, const struct sim_world *world);

/* VMs that found no host, in the worst run. */
uint64_t sim_report_unplaced(const struct sim_report *report);

void sim_report_table(struct sim_report *report, bool colours,
                      struct bytes *out);
void sim_report_json(struct sim_report *report, struct bytes *out);

#endif
