/* SPDX-License-Identifier: Apache-2.0
 *
 * A user's own fleet to be simulated: zones, hosts, classes, VMs and settings
 * of a manifest (holdfast/v1/manifest.proto). */
#ifndef TESTS_SIM_FLEET_H
#define TESTS_SIM_FLEET_H

#include "base/arena.h"
#include "proto/manifest.h"

#include <stdbool.h>
#include <stdint.h>

/* What a simulation of it can hold. */
#define FLEET_HOSTS_MAX 2000
#define FLEET_VMS_MAX   50000

struct sim_fleet {
    struct arena arena;
    Holdfast__V1__Manifest *manifest;
    uint32_t *host_zones;    /* Index of each host's zone. */
    uint32_t guests_in_host; /* At most, by the smallest class. */
    char error[1024];        /* Why it was refused, for people. */
};

/* False: `error` says what is wrong and where. "-" is standard input. */
bool sim_fleet_read(struct sim_fleet *fleet, const char *path);
void sim_fleet_close(struct sim_fleet *fleet);

/* Makes plain VMs of groups' members, which may run wherever their class may:
 * rules of groups are not simulated. VMs of a size of their own get a class of
 * that size. False: no memory is left. Called by sim_fleet_read(). */
bool sim_fleet_expand(struct sim_fleet *fleet);

#endif
