/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/check_members.h"

#include "base/map.h"
#include "base/memory.h"
#include "tests/sim/mason.h"
#include "tests/sim/members.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* docs/operations.md: who was heard within a second answers; a little more, for
 * what was on its way. */
#define HEARD_US (1100 * SIM_MS)
/* Likewise: a standby may lack so much when it becomes a voter. */
#define BEHIND_MAX 100

struct sim_check_members {
    struct map leaders;    /* By term: the node's number, plus 1. */
    uint64_t term;         /* The highest with a proved leader, */
    uint64_t since_us;     /* since then. */
    struct members newest; /* Committed, as a leader had them; count 0: none. */
    uint64_t newest_term;  /* That leader's. */
};

struct sim_check_members *sim_check_members_create(void)
{
    struct sim_check_members *check = memory_alloc(sizeof(*check));

    map_init(&check->leaders);
    return check;
}

void sim_check_members_destroy(struct sim_check_members *check)
{
    map_close(&check->leaders);
    free(check);
}

static bool is_member(const struct members *members, uint64_t id)
{
    for (size_t i = 0; i < members->count; i++) {
        if (members->items[i].id == id) {
            return true;
        }
    }
    return false;
}

/* Had a number that was given out, and has gone. */
static bool was_removed(const struct members *members, uint64_t id)
{
    return id <= members->id_max && !is_member(members, id);
}

/* --- Leaders -------------------------------------------------------------- */

static void check_leads(struct sim_node *node)
{
    struct sim_check_members *check = node->world->members;
    uint64_t term = node->engine.leadership.term;
    uint64_t id = (uint64_t)node->index + 1;
    uint64_t known = (uint64_t)(uintptr_t)map_get(&check->leaders, term);

    if (known == 0) {
        map_put(&check->leaders, term, (void *)(uintptr_t)id);
        if (term > check->term) {
            check->term = term;
            check->since_us = node->world->now_us;
        }
        if (check->newest.count > 0 && term > check->newest_term &&
            was_removed(&check->newest, id)) {
            sim_violation(node->world, "removed-is-gone",
                          "n%" PRIu64 " leads in term %" PRIu64
                          " and was removed in term %" PRIu64 " or before",
                          id, term, check->newest_term);
        }
    } else if (known != id) {
        sim_violation(node->world, "one-leader",
                      "n%" PRIu64 " and n%" PRIu64
                      " both lead in term %" PRIu64,
                      known, id, term);
    }
}

/* --- One step after the other --------------------------------------------- */

/* How many came, went, or have another part in it. */
static size_t differences(const struct members *a, const struct members *b)
{
    size_t count = 0;

    for (size_t i = 0; i < a->count; i++) {
        const struct member *other = NULL;

        for (size_t k = 0; k < b->count; k++) {
            if (b->items[k].id == a->items[i].id) {
                other = &b->items[k];
            }
        }
        count += other == NULL || other->role != a->items[i].role;
    }
    for (size_t i = 0; i < b->count; i++) {
        count += !is_member(a, b->items[i].id);
    }
    return count;
}

static void check_step(struct sim_node *node, const struct members *next)
{
    struct sim_check_members *check = node->world->members;
    const struct members *last = &check->newest;

    for (size_t i = 0; i < next->count && last->count > 0; i++) {
        uint64_t id = next->items[i].id;

        if (id <= last->id_max && !is_member(last, id)) {
            sim_violation(node->world, "ids-are-new",
                          "n%" PRIu64 " is a member again", id);
        }
    }
    if (last->count > 0 &&
        (next->id_max < last->id_max || next->generation != last->generation ||
         differences(last, next) > 1)) {
        sim_violation(node->world, "one-member-at-a-time",
                      "%zu members differ from those before, of %zu and %zu",
                      differences(last, next), last->count, next->count);
    }
    check->newest = *next;
    check->newest_term = node->engine.leadership.term;
}

void sim_check_members_of(struct sim_node *node)
{
    struct sim_check_members *check = node->world->members;
    const struct members *members = &node->roster.members;

    node->ran_us = node->world->now_us;
    if (!engine_leads(&node->engine)) {
        return;
    }
    check_leads(node);
    if (node->engine.leadership.term >= check->newest_term &&
        replica_members_committed(node->engine.replica) &&
        (check->newest.count == 0 || members->id_max != check->newest.id_max ||
         differences(&check->newest, members) > 0)) {
        check_step(node, members);
    }
}

/* --- Decisions ------------------------------------------------------------ */

/* As somebody sees it who looks into all machines. */
static bool runs(const struct sim_node *leader, uint64_t id)
{
    const struct sim_world *world = leader->world;

    return id <= world->node_count &&
           world->now_us - world->nodes[id - 1]->ran_us <= HEARD_US;
}

/* A change after which those that live are no majority can neither be
 * committed nor taken back. */
static void check_quorum(struct sim_node *leader, const struct members *next)
{
    size_t voters = 0;
    size_t living = 0;

    for (size_t i = 0; i < next->count; i++) {
        if (next->items[i].role == REPLICA_VOTER) {
            voters++;
            living += runs(leader, next->items[i].id);
        }
    }
    if (living * 2 <= voters) {
        sim_violation(leader->world, "quorum-is-kept",
                      "n%" PRIu32 " accepts a change after which %zu of %zu "
                      "voters live",
                      leader->index + 1, living, voters);
    }
}

static uint64_t synced_index(const struct sim_node *node)
{
    struct replica_status status;

    if (!node->up) {
        return node->last_index;
    }
    replica_status(node->engine.replica, &status);
    return status.synced_index;
}

void sim_check_change(struct sim_node *leader,
                      const struct sim_member_change *change)
{
    struct sim_world *world = leader->world;
    const struct member *member = &change->change.member;
    const struct sim_node *node = world->nodes[member->id - 1];
    struct replica_status status;
    uint64_t has = synced_index(node);

    sim_trace(world, "n%" PRIu32 " changes members: %s", leader->index + 1,
              change->change.note);
    if (change->step != MEMBERSHIP_ADD) {
        check_quorum(leader, &change->change.next);
    }
    replica_status(leader->engine.replica, &status);
    if (change->step == MEMBERSHIP_PROMOTE &&
        has + BEHIND_MAX < status.last_index) {
        sim_violation(world, "promoted-are-ready",
                      "n%" PRIu32 " makes n%" PRIu64
                      " a voter, which has %" PRIu64 " of %" PRIu64 " entries",
                      leader->index + 1, member->id, has, status.last_index);
    }
    if (change->step == MEMBERSHIP_REMOVE && member->id == leader->index + 1) {
        sim_violation(world, "removed-is-gone",
                      "n%" PRIu32 " leads and removes itself",
                      leader->index + 1);
    }
}

/* Rule 3: one that was deposed before it was asked does not know what has
 * become of the members. */
void sim_check_member_answer(const struct sim_node *node, uint64_t begun_us,
                             const struct api_reply *reply)
{
    const struct sim_check_members *check = node->world->members;

    if (reply->code != RPC_UNAVAILABLE && begun_us > check->since_us &&
        node->engine.leadership.term < check->term) {
        sim_violation(node->world, "linearizable",
                      "n%" PRIu32 " answers of members in term %" PRIu64
                      " (%s), and term %" PRIu64 " has a leader",
                      node->index + 1, node->engine.leadership.term,
                      reply->code == RPC_OK ? "ok" : reply->reason,
                      check->term);
    }
}

void sim_check_sent_off(struct sim_node *node, enum node_end end)
{
    const struct sim_check_members *check = node->world->members;
    uint64_t id = (uint64_t)node->index + 1;

    if (end != NODE_REMOVED || !was_removed(&check->newest, id)) {
        sim_violation(node->world, "members-stay",
                      "n%" PRIu64 " is sent away (%d) and was not removed", id,
                      (int)end);
    }
}

/* --- At rest -------------------------------------------------------------- */

/* Of those that it knows one is still a member and can tell it. */
static bool can_hear_of_it(const struct sim_node *node,
                           const struct members *members)
{
    const struct members *known = &node->roster.members;

    for (size_t i = 0; i < known->count; i++) {
        if (is_member(members, known->items[i].id)) {
            return true;
        }
    }
    return false;
}

static void check_removed(const struct sim_node *node,
                          const struct members *members)
{
    if (was_removed(members, (uint64_t)node->index + 1) &&
        sim_node_runs(node) && can_hear_of_it(node, members)) {
        sim_violation(node->world, "removed-is-gone",
                      "n%" PRIu32 " was removed and still runs",
                      node->index + 1);
    }
}

static void check_member(struct sim_world *world, const struct state *state,
                         const struct member *member)
{
    const struct sim_node *node = world->nodes[member->id - 1];
    bool up = sim_node_runs(node);

    if (!up || state_hash(node->engine.state) != state_hash(state)) {
        sim_violation(world, "replicas-agree",
                      "n%" PRIu64 " %s at revision %" PRIu64
                      ", paused until %" PRIu64 ", the leader at %" PRIu64,
                      member->id, up ? "is" : "is down",
                      up ? state_revision(node->engine.state) : 0,
                      node->paused_until_us / SIM_SECOND,
                      state_revision(state));
    }
}

void sim_check_members_rest(struct sim_world *world)
{
    const struct sim_node *leader = sim_world_leader(world);
    struct members members;

    if (leader == NULL) {
        return; /* Said already. */
    }
    replica_members(leader->engine.replica, &members);
    for (size_t i = 0; i < members.count; i++) {
        check_member(world, leader->engine.state, &members.items[i]);
    }
    for (uint32_t i = 0; i < world->node_count; i++) {
        check_removed(world->nodes[i], &members);
    }
    if (world->mason != NULL && sim_mason_is_busy(world->mason)) {
        sim_violation(world, "members-converge",
                      "what was begun with the nodes does not end: %s",
                      sim_mason_words(world->mason));
    }
}
