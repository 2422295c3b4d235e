/* SPDX-License-Identifier: Apache-2.0
 *
 * Which change of the region's members is wise: the rules by which the leader
 * refuses one that would cost the quorum, or says what has to come first. What
 * is safe at all is the replica's to judge (members_may_follow()). Pure. */
#ifndef NODE_MEMBERSHIP_H
#define NODE_MEMBERSHIP_H

#include "node/api.h"
#include "raft/members.h"

/* A standby that lacks more than this many entries is not made a voter: until
 * it had them, it would count for the majority and could not answer for it. A
 * turn is one entry, so it is a few seconds of a busy region. */
#define MEMBERSHIP_LAG_MAX 100

/* With fewer voters the loss of any one stops the region. */
#define MEMBERSHIP_VOTERS_SAFE 3

/* As the leader knows it. */
struct membership {
    const struct members *members; /* Committed, with all names filled in. */
    uint64_t self;                 /* Who leads. */
    struct {
        bool answers; /* Lately; the leader itself always does. */
        bool snapshot;
        uint64_t lag_entries;
    } seen[RAFT_MEMBERS_MAX]; /* By place among the members. */
};

enum membership_verdict {
    MEMBERSHIP_REFUSED, /* The reply says why. */
    MEMBERSHIP_ALREADY, /* It is so; `note` says that. */
    MEMBERSHIP_CHANGES, /* To `next`; `note` says what is done and follows. */
};

struct membership_change {
    struct members next;
    struct member member; /* Whom it is about; of a removal as it was. */
    char note[512];
};

/* The standby may be added: `wanted` has all but the role. Its texts are
 * checked here; at most what fits the fields must come. */
enum membership_verdict membership_add(const struct membership *now,
                                       const struct member *wanted,
                                       struct membership_change *change,
                                       struct api_reply *reply);

enum membership_verdict membership_promote(const struct membership *now,
                                           const char *name,
                                           struct membership_change *change,
                                           struct api_reply *reply);

enum membership_verdict membership_remove(const struct membership *now,
                                          const char *name, bool allow_fewer,
                                          struct membership_change *change,
                                          struct api_reply *reply);

/* What one of these three did to the member, and what comes next, for people;
 * `after`: the members then. */
enum membership_step { MEMBERSHIP_ADD, MEMBERSHIP_PROMOTE, MEMBERSHIP_REMOVE };
#define MEMBERSHIP_STEPS 3
void membership_note(enum membership_step step, const struct member *member,
                     const struct members *after, char note[512]);

/* Not near enough to be promoted. */
bool membership_is_behind(const struct membership *now, size_t place);

/* See engine_ops: the zones whose voters answer, and how many there are. */
uint64_t membership_zones_reachable(const struct membership *now,
                                    const struct state *state);
void membership_count_voters(const struct membership *now,
                             const struct state *state,
                             struct turn_voters *voters);

#endif
