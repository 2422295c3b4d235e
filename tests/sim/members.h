/* SPDX-License-Identifier: Apache-2.0
 *
 * What a node knows of the others, with the product's own code
 * (node/roster.h, membership.h, member_change.h): who they are, whether they
 * answer, whom it sends away; and changes of members that people ask for. */
#ifndef TESTS_SIM_MEMBERS_H
#define TESTS_SIM_MEMBERS_H

#include "node/api.h"
#include "node/member_change.h"
#include "tests/sim/node.h"

/* What stands in the configuration files of all nodes: the first members. */
struct sim_members_file *sim_members_file_create(struct sim_world *world);
void sim_members_file_destroy(struct sim_members_file *file);

/* The file's members, for the replica's first start; their number. */
size_t sim_members_first(const struct sim_members_file *file,
                         struct replica_member members[SIM_ZONES_MAX]);

/* Name and address of the machine of this number. */
void sim_members_name(uint32_t index, char name[16]);
void sim_members_address(uint32_t index, char address[32]);

/* A process begins: it knows its file alone. Then, whenever its replica has
 * other members. */
void sim_members_begin(struct sim_node *node);
void sim_members_changed(struct sim_node *node);

/* What it says of itself on each stream to another one. */
void sim_members_claim(const struct sim_node *node, struct roster_claim *claim);

/* False: whoever said that is sent away for good, and is told so. */
bool sim_members_hear(struct sim_node *node, uint32_t from,
                      const struct roster_claim *claim);

/* What it sees of its members now, whether it leads or not. */
void sim_members_look(const struct sim_node *node, struct members *members,
                      struct membership *now);

/* Whether they answer alone, of those that the node's own roster names. */
void sim_members_listen(const struct sim_node *node, struct membership *now);

/* A change on its way through the replica of the leader. */
struct sim_member_change {
    struct replica_reconfigure reconfigure;
    enum membership_step step;
    struct membership_change change;
};

/* Methods that change members, as the client's calls have them; NULL: it is
 * none. */
const struct api_method *sim_members_method(const char *name);

/* A change that is asked of the leader. `answered` is called once, with the
 * reply filled in, or `lost`, when the node ends first. */
struct sim_member_call {
    struct sim_member_change change;
    struct sim_node *node;
    struct api_reply *reply; /* Lent. */
    void (*answered)(struct sim_member_call *call);
    void (*lost)(struct sim_member_call *call);
    struct list link; /* Of the node's, while it is under way. */
};

void sim_members_ask(struct sim_node *node, struct sim_member_call *call,
                     const struct api_method *method,
                     const ProtobufCMessage *message);

/* Its process has ended. */
void sim_members_lose(struct sim_node *node);

#endif
