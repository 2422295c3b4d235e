/* SPDX-License-Identifier: Apache-2.0
 *
 * One change of members on the leader, without its wire: what is asked is
 * judged by membership.h, goes to the replica, and its outcome becomes an
 * answer. node/node_members.c carries it over gRPC; the simulator calls it,
 * too. */
#ifndef NODE_MEMBER_CHANGE_H
#define NODE_MEMBER_CHANGE_H

#include "node/membership.h"
#include "raft/replica.h"

enum member_change_kind {
    MEMBER_ADD,
    MEMBER_PROMOTE,
    MEMBER_REMOVE,
    MEMBER_CHANGE_KINDS
};

/* A method of ClusterService that changes members, without who serves it. */
struct member_change_method {
    const char *path;
    const ProtobufCMessageDescriptor *input;
    const ProtobufCMessageDescriptor *output;
};
extern const struct member_change_method
    member_change_methods[MEMBER_CHANGE_KINDS];

/* Embed it; it lives until `done`, if that was promised. */
struct member_change {
    struct replica_reconfigure reconfigure;
    enum member_change_kind kind;
    struct membership_change change;
    /* The replica's word; member_change_answer() follows. Not called when the
     * replica stops first. */
    void (*done)(struct member_change *change, enum replica_outcome outcome,
                 uint64_t index);
};

enum member_change_begun {
    MEMBER_CHANGE_REFUSED,  /* The reply says why. */
    MEMBER_CHANGE_ANSWERED, /* So does it: it is so already, or a dry run. */
    MEMBER_CHANGE_PROPOSED  /* `done` will be called. */
};

/* What the replica of the leader `self` knows of its members; whether they
 * answer is the caller's to fill in. `members` is lent for as long as `now` is
 * used. */
void member_change_look(struct membership *now, const struct members *members,
                        const struct replica *replica, uint64_t self);

/* Judges and proposes; kind and `done` are set. `message` is of the method's
 * input type; `revision` is the state's, for the answer. */
enum member_change_begun member_change_begin(struct member_change *change,
                                             const ProtobufCMessage *message,
                                             const struct membership *now,
                                             struct replica *replica,
                                             uint64_t revision,
                                             struct api_reply *reply);

/* What became of it, for whoever asked. */
void member_change_answer(const struct member_change *change,
                          enum replica_outcome outcome, uint64_t revision,
                          struct api_reply *reply);

#endif
