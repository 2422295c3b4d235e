/* SPDX-License-Identifier: Apache-2.0
 *
 * A client's groups: it makes, scales, changes and deletes them, lets VMs of
 * its own join, and remembers what it was told. */
#ifndef TESTS_SIM_GROUPS_H
#define TESTS_SIM_GROUPS_H

#include "tests/sim/client.h"

#define SIM_GROUPS_EACH 2
#define SIM_GROUP_NAME  24

enum sim_group_belief { GROUP_ABSENT, GROUP_PRESENT, GROUP_DELETED };

struct sim_group {
    enum sim_group_belief belief;
    uint64_t uid;        /* PRESENT. */
    uint32_t count;      /* PRESENT; as acknowledged last. */
    bool count_known;    /* No scaling of unknown outcome since. */
    uint32_t generation; /* Part of the name. */
};

struct sim_groups {
    struct sim_group all[SIM_GROUPS_EACH];
    /* What is asked now. */
    uint32_t at;
    uint32_t count;
    bool creates;
    bool scales;
    bool deletes;
};

/* One thing at random. */
void sim_groups_act(struct sim_client *client);

/* One that a VM may join; false: there is none. */
bool sim_groups_some(const struct sim_client *client,
                     char name[SIM_GROUP_NAME]);

/* A plan has scaled the group to `count`, or it is not known whether it has. */
void sim_groups_scaled(struct sim_client *client, const char *name,
                       uint32_t count, bool known);

/* What it was told against what is there in the end. */
void sim_groups_check(const struct sim_client *client);

#endif
