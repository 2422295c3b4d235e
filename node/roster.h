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

/* The generation that the node `self` belongs to: of the configuration that it
 * is a member of. 0: of none; it joins, and what it has is on its way. */
uint32_t roster_generation(const struct roster *roster, uint64_t self);

/* Why a node must not take part any more. */
enum node_end { NODE_REMOVED, NODE_LEFT_BEHIND, NODE_LOST_DATA };

/* What a node that connects says of itself. */
struct roster_claim {
    uint64_t id;         /* Proved. */
    uint64_t generation; /* See above. */
    bool empty;          /* It has nothing of the region yet. */
};

/* Whether the node `self` must send it away for good, and why. */
bool roster_ends(const struct roster *roster, const struct replica *replica,
                 uint64_t self, const struct roster_claim *claim,
                 enum node_end *end);

/* Whether the node of this id is to be reached: a member; or not heard of yet;
 * or of the file, while we know no better. */
bool roster_reaches(const struct roster *roster, const struct replica *replica,
                    uint64_t id);

#endif
