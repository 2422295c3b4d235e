/* SPDX-License-Identifier: Apache-2.0
 *
 * Who the members are, for the transport and for people: what the region
 * itself keeps (raft/members.h), completed from this node's configuration file
 * where it says nothing, as of its first members. An address in the file goes
 * before the region's: so a machine can move, or be reached another way from
 * here. Before a node that joins knows anything, the file alone counts. */
#ifndef NODE_ROSTER_H
#define NODE_ROSTER_H

#include "raft/replica.h"

#include <holdfast/v1/config.pb-c.h>

struct roster {
    struct members members; /* With all names and addresses that are known. */
    bool from_region;       /* Not the file alone. */
};

/* `replica` is NULL before it is there. */
void roster_fill(struct roster *roster, const struct replica *replica,
                 const Holdfast__V1__NodeConfig *config);

/* Fills in from the file what the region's own configuration does not say. */
void roster_complete(struct members *members,
                     const Holdfast__V1__NodeConfig *config);

/* As the next configuration of the region is to say it: the file only where the
 * region's own says nothing. */
void roster_region(struct members *members, const struct replica *replica,
                   const Holdfast__V1__NodeConfig *config);

#endif
