/* SPDX-License-Identifier: Apache-2.0
 *
 * A user's fleet lived through again and again, and the report of it. */
#ifndef TESTS_SIM_FLEET_RUN_H
#define TESTS_SIM_FLEET_RUN_H

#include "tests/sim/world.h"

/* Exit codes, as those of `holdfast`. */
#define FLEET_EXIT_BROKEN   1 /* A rule was. */
#define FLEET_EXIT_USAGE    2
#define FLEET_EXIT_UNPLACED 6 /* VMs would find no host. */

struct sim_fleet_run {
    const char *path;
    const char *title;   /* What the report calls it. */
    const char *program; /* How it was called. */
    struct sim_options options;
    uint64_t first;
    uint64_t seeds; /* 0: some. */
    bool json;
};

/* The exit code. */
int sim_fleet_run(const struct sim_fleet_run *run);

#endif
