/* SPDX-License-Identifier: Apache-2.0
 *
 * What must never happen to the members of the region, written down a second
 * time on purpose: from docs/operations.md and the Raft paper, not with the
 * code of node/membership.c and raft/members.c. */
#ifndef TESTS_SIM_CHECK_MEMBERS_H
#define TESTS_SIM_CHECK_MEMBERS_H

#include "tests/sim/node.h"

struct sim_member_change;

struct sim_check_members *sim_check_members_create(void);
void sim_check_members_destroy(struct sim_check_members *check);

/* Something happened on the node. */
void sim_check_members_of(struct sim_node *node);

/* The leader has accepted and proposed this change. */
void sim_check_change(struct sim_node *leader,
                      const struct sim_member_change *change);

/* It has answered a question about members that was asked at `begun_us`. */
void sim_check_member_answer(const struct sim_node *node, uint64_t begun_us,
                             const struct api_reply *reply);

/* The node was told that it is no member any more, and ends. */
void sim_check_sent_off(struct sim_node *node, enum node_end end);

/* All is well and quiet. */
void sim_check_members_rest(struct sim_world *world);

#endif
