/* SPDX-License-Identifier: Apache-2.0
 *
 * What the leader sees of its members, and what it thinks of a request to
 * change them, without the wire: node/node_members.c and the simulator ask. */
#ifndef NODE_MEMBER_CHANGE_H
#define NODE_MEMBER_CHANGE_H

#include "node/membership.h"
#include "raft/replica.h"

/* What the replica of the leader `self` knows of its members; whether they
 * answer is the caller's to fill in. `members` is lent for as long as `now` is
 * used. */
void member_change_look(struct membership *now, const struct members *members,
                        const struct replica *replica, uint64_t self);

/* Judges what is asked by membership.h; `message` is of the step's method. */
enum membership_verdict member_change_judge(enum membership_step step,
                                            const ProtobufCMessage *message,
                                            const struct membership *now,
                                            struct membership_change *change,
                                            struct api_reply *reply);

#endif
