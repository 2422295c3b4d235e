/* SPDX-License-Identifier: Apache-2.0 */
#include "node/roster.h"

#include "base/planted.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const Holdfast__V1__NodeMember *in_file(
    const Holdfast__V1__NodeConfig *config, uint64_t id)
{
    for (size_t i = 0; i < config->n_nodes; i++) {
        if (config->nodes[i]->id == id) {
            return config->nodes[i];
        }
    }
    return NULL;
}

static void set(char *to, size_t size, const char *from, bool always)
{
    if (always || to[0] == '\0') {
        snprintf(to, size, "%s", from);
    }
}

static void complete(struct member *member,
                     const Holdfast__V1__NodeConfig *config, bool file_first)
{
    const Holdfast__V1__NodeMember *known = in_file(config, member->id);

    if (known != NULL) {
        set(member->name, sizeof(member->name), known->name, false);
        set(member->zone, sizeof(member->zone), known->zone, false);
        set(member->address, sizeof(member->address), known->address,
            file_first);
    }
    if (member->name[0] == '\0') {
        snprintf(member->name, sizeof(member->name), "node-%" PRIu64,
                 member->id);
    }
}

void roster_fill(struct roster *roster, const struct replica *replica,
                 const Holdfast__V1__NodeConfig *config)
{
    struct members *members = &roster->members;

    members_init(members);
    if (replica != NULL) {
        replica_members(replica, members);
    }
    roster->from_region = members->count > 0;
    for (size_t i = 0; !roster->from_region && i < config->n_nodes; i++) {
        members->items[members->count++] =
            (struct member){.id = config->nodes[i]->id, .role = REPLICA_VOTER};
    }
    for (size_t i = 0; i < members->count; i++) {
        complete(&members->items[i], config, true);
    }
}

void roster_complete(struct members *members,
                     const Holdfast__V1__NodeConfig *config)
{
    for (size_t i = 0; i < members->count; i++) {
        complete(&members->items[i], config, false);
    }
}

void roster_region(struct members *members, const struct replica *replica,
                   const Holdfast__V1__NodeConfig *config)
{
    replica_members(replica, members);
    roster_complete(members, config);
}

uint32_t roster_generation(const struct roster *roster, uint64_t self)
{
    return roster->from_region && members_get(&roster->members, self) != NULL
               ? roster->members.generation
               : 0;
}

bool roster_ends(const struct roster *roster, const struct replica *replica,
                 uint64_t self, const struct roster_claim *claim,
                 enum node_end *end)
{
    const struct member *member = members_get(&roster->members, claim->id);

    if (!roster->from_region) {
        return false; /* We join, and know nothing. */
    }
    if (claim->generation != 0 &&
        claim->generation < roster_generation(roster, self)) {
        *end = NODE_LEFT_BEHIND;
        return true;
    }
    if (replica_has_removed(replica, claim->id) && !PLANTED(REMOVED_STAYS)) {
        *end = NODE_REMOVED;
        return true;
    }
    *end = NODE_LOST_DATA;
    return member != NULL && member->role == REPLICA_VOTER && claim->empty &&
           replica_members_committed(replica);
}

bool roster_reaches(const struct roster *roster, const struct replica *replica,
                    uint64_t id)
{
    return members_get(&roster->members, id) != NULL || !roster->from_region ||
           !replica_has_removed(replica, id);
}
