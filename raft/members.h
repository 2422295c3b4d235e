/* SPDX-License-Identifier: Apache-2.0
 *
 * The members of a region as the replicated configuration has them: an entry
 * of the log (ENTRY_MEMBERS) in libraft's encoding. libraft looks at a
 * member's id and role only; what it takes for an address is ours:
 *
 *   node/4 name=n4 zone=z2 at=10.0.0.4:7100 gen=2 last=7
 *
 * The first entry of a log has ids and roles alone ("node/4"), so that it is
 * the same whatever the nodes' files say of names and addresses. The first
 * change of members writes all of it. `gen` and `last` are the region's and
 * stand with the first member, `gen` unless it is 1, `last` unless it is the
 * highest id there. */
#ifndef RAFT_MEMBERS_H
#define RAFT_MEMBERS_H

#include "base/bytes.h"
#include "raft/limits.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum replica_role {
    REPLICA_STANDBY = 0, /* Follows the log, does not vote. */
    REPLICA_VOTER = 1,
};

/* Bytes of an address, which is numeric: [IPv6]:port, and a NUL. */
#define MEMBER_ADDRESS_BYTES 48

/* Empty texts: the configuration does not say. */
struct member {
    uint64_t id; /* 1 to 2^63 - 1. */
    enum replica_role role;
    char name[RAFT_REGION_BYTES_MAX + 1];
    char zone[RAFT_REGION_BYTES_MAX + 1];
    char address[MEMBER_ADDRESS_BYTES];
};

struct members {
    /* 1 at first; one more with each recovery from a lost quorum. Whoever is a
     * member of an older one was left behind. */
    uint32_t generation;
    /* No id up to here is given out again. So an id that is not higher and
     * not a member's was removed, and will never be a member again. */
    uint64_t id_max;
    size_t count; /* 0: nothing is known yet; of a node that joins. */
    struct member items[RAFT_MEMBERS_MAX];
};

/* Generation 1, no member. */
void members_init(struct members *members);

/* NULL: there is none. */
struct member *members_find(struct members *members, uint64_t id);
const struct member *members_get(const struct members *members, uint64_t id);

size_t members_voters(const struct members *members);

/* Was a member, or was left out when the region was recovered. */
bool members_has_removed(const struct members *members, uint64_t id);

/* Appends the configuration as an entry holds it. */
void members_encode(const struct members *members, struct bytes *out);

/* `data` has passed members_check(). What a text does not say is empty; what
 * this version does not know is left out. */
void members_decode(struct members *members, const uint8_t *data, size_t len);

/* Whether `next` may follow `now` (Raft 4.1): at most one member comes, goes
 * or changes its role, so that every majority of the one meets every majority
 * of the other; ids stay unused that are; the generation stays. */
bool members_may_follow(const struct members *now, const struct members *next);

#endif
