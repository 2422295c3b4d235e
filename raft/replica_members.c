/* SPDX-License-Identifier: Apache-2.0
 *
 * Changing the members. One entry, ENTRY_MEMBERS, holds the whole new
 * configuration; every member uses it from the moment that it has the entry
 * (Raft 4.1), so it takes effect on the leader before it is committed.
 *
 * Why rules 1 and 2 of the design hold on the way:
 *   1. One change at a time: none is proposed while one is not committed; the
 *      core refuses it, too.
 *   2. One member at a time: any majority before meets any majority after, so
 *      no term has two leaders, and whoever is elected by the new members has
 *      all that the old ones committed.
 *   3. Only by a leader that has applied an entry of its own term: otherwise
 *      two leaders, one after the other, could each change the same
 *      configuration by one member and not meet (Ongaro, raft-dev, 2015).
 *   4. The entry is committed by a majority of the new configuration, and so
 *      is everything after it.
 *   5. A new member begins as a standby: it counts for nothing until it is made
 *      a voter, when it is not behind. Whether it is, is the caller's to ask.
 *   6. The leader stays a voter: it hands over first, then the other changes.
 * What an elected leader waits for (leases) does not depend on who elected it.
 */
#include "raft/replica_internal.h"

#include "base/check.h"
#include "base/error.h"
#include "base/log.h"

#include <inttypes.h>
#include <string.h>

void replica_members(const struct replica *replica, struct members *members)
{
    struct bytes encoded;
    members_init(members);
    bytes_init(&encoded);
    if (core_members(replica->core, &encoded)) {
        members_decode(members, encoded.data, encoded.len);
    }
    bytes_close(&encoded);
}

bool replica_members_committed(const struct replica *replica)
{
    return core_members_version(replica->core).uncommitted_index == 0;
}

uint64_t replica_members_index(const struct replica *replica)
{
    return replica->members_index;
}

bool replica_has_removed(const struct replica *replica, uint64_t id)
{
    return members_has_removed(&replica->committed, id);
}

void members_changed(struct replica *replica)
{
    struct core_members_version now = core_members_version(replica->core);
    if (now.committed_index == replica->members_told.committed_index &&
        now.uncommitted_index == replica->members_told.uncommitted_index) {
        return;
    }
    replica->members_told = now;
    if (replica->owner->members != NULL) {
        replica->owner->members(replica->owner);
    }
}

void members_take_committed(struct replica *replica)
{
    members_decode(&replica->committed, replica->members.data,
                   replica->members.len);
}

/* Raft 4.1: a member hears leaders and candidates that its own configuration
 * does not name, for it may be behind; but not while it follows another
 * leader, who would send it that configuration. Who was removed for certain, by
 * a committed change, is not heard any more: with its old log and its rising
 * terms it would only disturb. */
bool members_hear(const struct replica *replica, uint64_t from)
{
    uint64_t leader = core_leader(replica->core);
    if (from == 0 || from == replica->config.id) {
        return false;
    }
    return core_is_member(replica->core, from) ||
           (!members_has_removed(&replica->committed, from) &&
            (leader == 0 || leader == from));
}

static bool may_change(const struct replica *replica,
                       const struct members *members)
{
    struct members now;
    const struct member *self = members_get(members, replica->config.id);
    replica_members(replica, &now);
    return members_may_follow(&now, members) && self != NULL &&
           self->role == REPLICA_VOTER;
}

int replica_reconfigure(struct replica *replica, const struct members *members,
                        struct replica_reconfigure *request,
                        replica_reconfigure_cb done)
{
    if (replica->failed || replica->stopped || !replica->started) {
        return HF_ERROR_CLOSED;
    }
    if (replica->leading_term == 0) {
        return HF_ERROR_NOT_LEADER;
    }
    if (replica->proved_term != replica->leading_term ||
        replica->queued_reconfigure != NULL ||
        replica->flight_reconfigure != NULL || replica->transfer != NULL ||
        core_transferee(replica->core) != 0 ||
        !replica_members_committed(replica)) {
        return HF_ERROR_BUSY;
    }
    if (!may_change(replica, members)) {
        return HF_ERROR_INVALID;
    }
    request->done = done;
    replica->queued_reconfigure = request;
    bytes_clear(&replica->queued_members);
    members_encode(members, &replica->queued_members);
    replica_wake(replica);
    return 0;
}

void reconfigure_answer(struct replica_reconfigure **slot,
                        enum replica_outcome outcome, uint64_t index)
{
    struct replica_reconfigure *request = *slot;
    *slot = NULL;
    if (request != NULL) {
        request->done(request, outcome, index);
    }
}
