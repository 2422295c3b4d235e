/* SPDX-License-Identifier: Apache-2.0 */
#include "node/membership.h"

#include "base/planted.h"
#include "node/api_check.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static size_t place_of(const struct membership *now, const char *name)
{
    size_t place = 0;

    while (place < now->members->count &&
           strcmp(now->members->items[place].name, name) != 0) {
        place++;
    }
    return place;
}

void membership_note(enum membership_step step, const struct member *member,
                     const struct members *after, char note[512])
{
    size_t voters = members_voters(after);

    switch (step) {
    case MEMBERSHIP_ADD:
        snprintf(note, 512,
                 "%s is a standby now: it follows and does not vote. Start its "
                 "holdfastd with `join: true` and --bootstrap; when `holdfast "
                 "node list` shows that it has caught up, `holdfast node "
                 "promote %s`",
                 member->name, member->name);
        break;
    case MEMBERSHIP_PROMOTE:
        snprintf(note, 512,
                 "%s is a voter now; the region has %zu, a majority is %zu",
                 member->name, voters, voters / 2 + 1);
        break;
    case MEMBERSHIP_REMOVE:
        snprintf(note, 512,
                 "%s is no member any more, and its id %" PRIu64
                 " is never used again; the region has %zu voters, a majority "
                 "is %zu. Its holdfastd ends by itself when it hears of it: "
                 "delete its data directory",
                 member->name, member->id, voters, voters / 2 + 1);
        break;
    }
}

bool membership_is_behind(const struct membership *now, size_t place)
{
    return !PLANTED(PROMOTED_BEHIND) &&
           (now->seen[place].snapshot ||
            now->seen[place].lag_entries > MEMBERSHIP_LAG_MAX);
}

/* Of `next`, those that answer now. */
static size_t voters_that_answer(const struct membership *now,
                                 const struct members *next)
{
    size_t count = 0;

    for (size_t i = 0; i < now->members->count; i++) {
        const struct member *after =
            members_get(next, now->members->items[i].id);

        count += after != NULL && after->role == REPLICA_VOTER &&
                         now->seen[i].answers
                     ? 1
                     : 0;
    }
    return count;
}

/* The first voter that does not answer, for the cure's words. */
static const char *a_silent_voter(const struct membership *now,
                                  const struct members *next)
{
    for (size_t i = 0; i < now->members->count; i++) {
        const struct member *member = &now->members->items[i];
        const struct member *after = members_get(next, member->id);

        if (after != NULL && after->role == REPLICA_VOTER &&
            !now->seen[i].answers) {
            return member->name;
        }
    }
    return "none";
}

static bool check_majority(const struct membership *now,
                           const struct members *next, const char *what,
                           struct api_reply *reply)
{
    size_t voters = members_voters(next);
    size_t answer = voters_that_answer(now, next);

    if (answer * 2 > voters ||
        (PLANTED(QUORUM_GUESSED) && answer * 2 == voters)) {
        return true;
    }
    api_fail(reply, API_QUORUM_AT_RISK,
             "with that, %zu of %zu voters would answer, and a majority is "
             "%zu: nothing could be decided any more, also not the way back. "
             "%s was not done. '%s' does not answer: bring it back, or remove "
             "it first if it is dead (`holdfast node remove`; `node replace` "
             "takes a new one in its place)",
             answer, voters, voters / 2 + 1, what, a_silent_voter(now, next));
    return false;
}

static bool check_new(const struct membership *now, const struct member *wanted,
                      struct api_reply *reply)
{
    for (size_t i = 0; i < now->members->count; i++) {
        const struct member *other = &now->members->items[i];

        if (strcmp(other->name, wanted->name) == 0) {
            api_fail(reply, API_NAME_TAKEN,
                     "name: '%s' is a member already, with id %" PRIu64,
                     wanted->name, other->id);
            return false;
        }
        if (strcmp(other->address, wanted->address) == 0) {
            api_fail(reply, API_INVALID_FIELD,
                     "address: %s is that of '%s' already", wanted->address,
                     other->name);
            return false;
        }
    }
    if (wanted->id <= now->members->id_max &&
        (!PLANTED(ID_AGAIN) || members_get(now->members, wanted->id) != NULL)) {
        api_fail(reply, API_NODE_ID_USED,
                 "id: %" PRIu64 " was used before; the next free one is "
                 "%" PRIu64,
                 wanted->id, now->members->id_max + 1);
        return false;
    }
    return true;
}

enum membership_verdict membership_add(const struct membership *now,
                                       const struct member *wanted,
                                       struct membership_change *change,
                                       struct api_reply *reply)
{
    const struct member *is = members_get(now->members, wanted->id);

    change->member = *wanted;
    change->member.role = REPLICA_STANDBY;
    if (is != NULL && strcmp(is->name, wanted->name) == 0 &&
        (wanted->zone[0] == '\0' || strcmp(is->zone, wanted->zone) == 0) &&
        strcmp(is->address, wanted->address) == 0) {
        change->member = *is;
        snprintf(change->note, sizeof(change->note),
                 "%s is a member already; nothing was changed", is->name);
        return MEMBERSHIP_ALREADY;
    }
    if (!check_new(now, wanted, reply)) {
        return MEMBERSHIP_REFUSED;
    }
    if (now->members->count == RAFT_MEMBERS_MAX) {
        api_fail(reply, API_TABLE_FULL, "the region has %d nodes already",
                 RAFT_MEMBERS_MAX);
        return MEMBERSHIP_REFUSED;
    }
    change->next = *now->members;
    change->next.items[change->next.count++] = change->member;
    change->next.id_max = PLANTED(ID_AGAIN) && wanted->id < now->members->id_max
                              ? now->members->id_max
                              : wanted->id;
    membership_note(MEMBERSHIP_ADD, &change->member, &change->next,
                    change->note);
    return MEMBERSHIP_CHANGES;
}

static bool find(const struct membership *now, const char *name, size_t *place,
                 struct api_reply *reply)
{
    if (!api_check_name(reply, "name", name)) {
        return false;
    }
    *place = place_of(now, name);
    if (*place == now->members->count) {
        api_fail(reply, API_NODE_NOT_FOUND, "there is no node '%s'", name);
        return false;
    }
    return true;
}

static bool may_vote(const struct membership *now, size_t place,
                     struct api_reply *reply)
{
    const char *name = now->members->items[place].name;

    if (!now->seen[place].answers) {
        api_fail(reply, API_NODE_SILENT,
                 "'%s' does not answer; start its holdfastd, and wait until "
                 "`holdfast node list` shows that it has caught up",
                 name);
        return false;
    }
    if (membership_is_behind(now, place)) {
        api_fail(reply, API_NODE_BEHIND,
                 "'%s' has not caught up: %s%" PRIu64
                 " entries behind, at most %d may be missing; wait and ask "
                 "again",
                 name,
                 now->seen[place].snapshot ? "a snapshot is on its way, " : "",
                 now->seen[place].lag_entries, MEMBERSHIP_LAG_MAX);
        return false;
    }
    return true;
}

enum membership_verdict membership_promote(const struct membership *now,
                                           const char *name,
                                           struct membership_change *change,
                                           struct api_reply *reply)
{
    size_t place;

    if (!find(now, name, &place, reply)) {
        return MEMBERSHIP_REFUSED;
    }
    change->member = now->members->items[place];
    if (change->member.role == REPLICA_VOTER) {
        snprintf(change->note, sizeof(change->note),
                 "%s is a voter already; nothing was changed", name);
        return MEMBERSHIP_ALREADY;
    }
    change->next = *now->members;
    change->next.items[place].role = REPLICA_VOTER;
    if (!may_vote(now, place, reply) ||
        !check_majority(now, &change->next, "The promotion", reply)) {
        return MEMBERSHIP_REFUSED;
    }
    change->member.role = REPLICA_VOTER;
    membership_note(MEMBERSHIP_PROMOTE, &change->member, &change->next,
                    change->note);
    return MEMBERSHIP_CHANGES;
}

static bool may_go(const struct membership *now, size_t place, bool allow_fewer,
                   const struct members *next, struct api_reply *reply)
{
    const struct member *member = &now->members->items[place];
    size_t voters = members_voters(next);

    if (member->id == now->self) {
        api_fail(reply, API_NODE_LEADS,
                 "'%s' leads the region: hand over first with `holdfast "
                 "cluster transfer`, then remove it",
                 member->name);
        return false;
    }
    if (member->role != REPLICA_VOTER) {
        return true;
    }
    if (!check_majority(now, next, "The removal", reply)) {
        return false;
    }
    if (voters < MEMBERSHIP_VOTERS_SAFE && !allow_fewer) {
        api_fail(reply, API_TOO_FEW_VOTERS,
                 "%zu voters would be left, and with fewer than %d the loss of "
                 "one stops the region. Put another in its place: `holdfast "
                 "node replace %s NEW --id %" PRIu64 " --address ADDRESS`; or "
                 "say --allow-fewer-voters",
                 voters, MEMBERSHIP_VOTERS_SAFE, member->name,
                 now->members->id_max + 1);
        return false;
    }
    return true;
}

enum membership_verdict membership_remove(const struct membership *now,
                                          const char *name, bool allow_fewer,
                                          struct membership_change *change,
                                          struct api_reply *reply)
{
    size_t place;
    size_t kept = 0;

    if (!find(now, name, &place, reply)) {
        return MEMBERSHIP_REFUSED;
    }
    change->member = now->members->items[place];
    change->next = *now->members;
    for (size_t i = 0; i < now->members->count; i++) {
        if (i != place) {
            change->next.items[kept++] = now->members->items[i];
        }
    }
    change->next.count = kept;
    if (!may_go(now, place, allow_fewer, &change->next, reply)) {
        return MEMBERSHIP_REFUSED;
    }
    membership_note(MEMBERSHIP_REMOVE, &change->member, &change->next,
                    change->note);
    return MEMBERSHIP_CHANGES;
}

void membership_count_voters(const struct membership *now,
                             const struct state *state,
                             struct turn_voters *voters)
{
    *voters = (struct turn_voters){.count = 0};
    for (size_t i = 0; i < now->members->count; i++) {
        const struct member *member = &now->members->items[i];
        bool answers = now->seen[i].answers;
        const struct zone *zone = state_zone_named(
            state, (struct text){member->zone, (uint32_t)strlen(member->zone)});

        if (member->role != REPLICA_VOTER) {
            continue;
        }
        voters->count++;
        voters->answering += answers;
        if (zone != NULL) {
            voters->in_zone[uid_slot(zone->uid)]++;
            voters->answering_in[uid_slot(zone->uid)] += answers;
        }
    }
}

/* A zone's voter answers if any of its nodes does. */
uint64_t membership_zones_reachable(const struct membership *now,
                                    const struct state *state)
{
    struct turn_voters voters;
    uint64_t mask = UINT64_MAX;

    membership_count_voters(now, state, &voters);
    for (uint32_t slot = 0; slot < ZONES_MAX; slot++) {
        if (voters.in_zone[slot] > 0 && voters.answering_in[slot] == 0) {
            mask &= ~(UINT64_C(1) << slot);
        }
    }
    return mask;
}
