/* SPDX-License-Identifier: Apache-2.0
 *
 * Changes of the region's members on record. They are entries of the log of
 * their own (raft/replica_members.c) and no part of a turn, so no record can
 * stand beside them in the same entry. The order:
 *
 *   1. a turn writes the record that the change begins: who, why, under which
 *      request id, whom it is about. It is committed before 2;
 *   2. the configuration is proposed, and is committed or is not;
 *   3. a turn writes the record that it was done, with the members before and
 *      after, together with the answer that repeats of the request get; or that
 *      it was not done.
 *
 * Until 3 the change is open, and no other one begins. A leader that falls
 * between 1 and 3 leaves it open in the state, and the next leader closes it
 * before any other: it leads only when an entry of its own is committed, and
 * then each configuration that was ever proposed is committed in its log, or
 * never will be. So what its members are says what became of the change, and
 * the record and the answer are those that the former leader would have
 * written. No change is made that no record tells of, and none is recorded as
 * done that was not: rules 2 and 4 hold as for what a turn decides. Rule 1 does
 * not rest on members at all.
 *
 * What is open is found in the records themselves: the newest one of a change
 * of members says that it begins. Nothing else is kept. (Where more records
 * than audit_records_max come between, it is lost as they are; other changes
 * may begin then.) Pure. */
#ifndef NODE_MEMBERS_AUDIT_H
#define NODE_MEMBERS_AUDIT_H

#include "node/api.h"
#include "node/membership.h"

/* AddNode, PromoteNode, RemoveNode, without functions. */
extern const struct api_method members_audit_methods[MEMBERSHIP_STEPS];

/* Records that `request` begins to change the member: of a removal as it is,
 * else as it is to be. `reply` says who asks. */
void members_audit_begin(enum membership_step step,
                         const ProtobufCMessage *request,
                         const struct member *member, struct turn_plan *plan,
                         const struct api_reply *reply);

/* Whether a change began whose end is not recorded. */
bool members_audit_is_open(const struct state *state);

/* Ends the one that is open, by the committed members, which all have names.
 * `reply` gets the answer where it was done, and else is left alone; false: it
 * was not done, or none is open. */
bool members_audit_end(const struct members *members, struct turn_plan *plan,
                       struct api_reply *reply);

/* The answer of such a method. */
void members_audit_respond(enum membership_step step,
                           const struct member *member, const char *note,
                           uint64_t revision, struct api_reply *reply);

#endif
