/* SPDX-License-Identifier: Apache-2.0
 *
 * One job after the other, each a list of steps; a step that is not answered,
 * or refused for what passes, is taken again, as `holdfast node replace` does:
 *
 *   replace     ADD -> PROMOTE -> REMOVE
 *   replace a dead one: the machine is scrapped first
 *   one more    ADD -> PROMOTE
 *   one less    REMOVE, if need be with --allow-fewer-voters
 *   mischief    one request that must be refused */
#include "tests/sim/mason.h"

#include "base/check.h"
#include "base/container.h"
#include "base/memory.h"
#include "tests/sim/members.h"
#include "tests/sim/node.h"
#include "tests/sim/operator.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <holdfast/v1/cluster_service.pb-c.h>

#define NONE UINT32_MAX

enum step { STEP_NONE, STEP_ADD, STEP_PROMOTE, STEP_REMOVE, STEP_MISCHIEF };

struct sim_mason {
    struct sim_world *world;
    struct sim_client *client;
    bool stopped;
    enum step step;
    uint32_t comes; /* The machine that is added; NONE. */
    uint32_t goes;  /* That is removed; NONE. */
    bool fewer;     /* ... although few are left. */
    bool doubt;     /* A former attempt at the step has an unknown outcome. */
    char words[160];
};

static struct sim_mason *mason_of(struct sim_client *client)
{
    return sim_client_world(client)->mason;
}

/* As `holdfast node list` would tell it now. */
static bool look(const struct sim_mason *mason, struct members *members)
{
    const struct sim_node *leader = sim_world_leader(mason->world);

    if (leader == NULL) {
        return false;
    }
    replica_members(leader->engine.replica, members);
    return members->count > 0;
}

static struct sim_node *machine(const struct sim_mason *mason, uint32_t index)
{
    CHECK(index < mason->world->node_count);
    return mason->world->nodes[index];
}

/* --- What becomes of machines --------------------------------------------- */

static void start_new(const struct sim_mason *mason)
{
    struct sim_node *node = machine(mason, mason->comes);

    sim_node_power(node, true);
    sim_node_start(node);
}

/* Its name and address are now those that people and agents use. */
static void bring_into_use(const struct sim_mason *mason)
{
    mason->world->fronts[machine(mason, mason->comes)->zone] = mason->comes;
}

/* The zone's address leads to another node there, if there is one. */
static void take_out_of_use(const struct sim_mason *mason)
{
    struct sim_world *world = mason->world;
    struct sim_node *node = machine(mason, mason->goes);

    node->retired = true;
    for (uint32_t i = 0;
         world->fronts[node->zone] == node->index && i < world->node_count;
         i++) {
        if (world->nodes[i]->zone == node->zone && !world->nodes[i]->retired) {
            world->fronts[node->zone] = i;
        }
    }
    if (sim_chance(world, 500)) {
        sim_node_scrap(node);
    }
}

/* --- Steps ---------------------------------------------------------------- */

static void finish(struct sim_mason *mason)
{
    mason->step = STEP_NONE;
    mason->world->figures.rebuilt++;
}

static void enter(struct sim_mason *mason, enum step step)
{
    mason->step = step;
    mason->doubt = false;
}

static void told_of_add(struct sim_mason *mason, const struct sim_told *told)
{
    if (told->response != NULL) {
        start_new(mason);
        enter(mason, STEP_PROMOTE);
    } else if (strcmp(told->reason, "MEMBERS_CHANGING") != 0) {
        sim_violation(mason->world, "members-converge",
                      "a new node is refused: %s", told->reason);
    }
}

static void told_of_promote(struct sim_mason *mason,
                            const struct sim_told *told)
{
    if (told->response != NULL) {
        bring_into_use(mason);
        if (mason->goes == NONE) {
            finish(mason);
        } else {
            enter(mason, STEP_REMOVE);
        }
    } else if (strcmp(told->reason, "NODE_NOT_FOUND") == 0) {
        sim_violation(mason->world, "nothing-lost",
                      "n%" PRIu32 " was added, and is no member",
                      mason->comes + 1);
    }
}

/* Hands over first when it leads. */
static void told_of_remove(struct sim_mason *mason, const struct sim_told *told)
{
    if (told->response != NULL ||
        (mason->doubt && strcmp(told->reason, "NODE_NOT_FOUND") == 0)) {
        take_out_of_use(mason);
        finish(mason);
    } else if (strcmp(told->reason, "NODE_LEADS") == 0) {
        sim_node_transfer(machine(mason, mason->goes), 0);
    } else if (strcmp(told->reason, "TOO_FEW_VOTERS") == 0 && !mason->fewer) {
        mason->step = STEP_NONE; /* So it stays. */
    } else if (strcmp(told->reason, "NODE_NOT_FOUND") == 0) {
        sim_violation(mason->world, "nothing-lost",
                      "n%" PRIu32 " is no member, and nobody removed it",
                      mason->goes + 1);
    }
}

static void told_of_mischief(struct sim_mason *mason,
                             const struct sim_told *told)
{
    if (told->response != NULL) {
        sim_violation(mason->world, "ids-are-new",
                      "a number that was given out, or nobody's name, is "
                      "accepted");
    }
    mason->step = STEP_NONE;
}

static void told(struct sim_client *client, const struct sim_told *told)
{
    struct sim_mason *mason = mason_of(client);

    if (!told->known && mason->step != STEP_MISCHIEF) {
        mason->doubt = true;
        return;
    }
    mason->doubt |= told->again;
    switch (mason->step) {
    case STEP_ADD:
        told_of_add(mason, told);
        break;
    case STEP_PROMOTE:
        told_of_promote(mason, told);
        break;
    case STEP_REMOVE:
        told_of_remove(mason, told);
        break;
    case STEP_MISCHIEF:
        told_of_mischief(mason, told);
        break;
    case STEP_NONE:
        break;
    }
}

static void ask_add(struct sim_mason *mason, uint32_t index, uint32_t at,
                    uint64_t id)
{
    Holdfast__V1__AddNodeRequest request = HOLDFAST__V1__ADD_NODE_REQUEST__INIT;
    char name[16];
    char address[32];
    char zone[SIM_NAME_ROOM];

    sim_members_name(index, name);
    sim_members_address(index, address);
    (void)snprintf(zone, sizeof(zone), "%s", sim_zone_name(mason->world, at));
    request.name = name;
    request.id = id;
    request.zone = zone;
    request.address = address;
    sim_client_ask_told(mason->client, "AddNode", &request.base, told);
}

static void ask_promote(struct sim_mason *mason, uint32_t index)
{
    Holdfast__V1__PromoteNodeRequest request =
        HOLDFAST__V1__PROMOTE_NODE_REQUEST__INIT;
    char name[16];

    sim_members_name(index, name);
    request.name = name;
    sim_client_ask_told(mason->client, "PromoteNode", &request.base, told);
}

static void ask_remove(struct sim_mason *mason, uint32_t index, bool fewer)
{
    Holdfast__V1__RemoveNodeRequest request =
        HOLDFAST__V1__REMOVE_NODE_REQUEST__INIT;
    char name[16];

    sim_members_name(index, name);
    request.name = name;
    request.allow_fewer_voters = fewer;
    sim_client_ask_told(mason->client, "RemoveNode", &request.base, told);
}

static void take_step(struct sim_mason *mason)
{
    switch (mason->step) {
    case STEP_ADD:
        ask_add(mason, mason->comes, machine(mason, mason->comes)->zone,
                (uint64_t)mason->comes + 1);
        break;
    case STEP_PROMOTE:
        ask_promote(mason, mason->comes);
        break;
    default:
        ask_remove(mason, mason->goes, mason->fewer);
        break;
    }
}

/* --- Jobs ----------------------------------------------------------------- */

/* A new machine in the zone; NONE: there were enough. Some are started before
 * anybody has added them. */
static uint32_t build(struct sim_mason *mason, uint32_t zone)
{
    struct sim_node *node;

    if (mason->world->node_count == SIM_NODES_MAX) {
        return NONE;
    }
    node = sim_node_create(mason->world, zone);
    node->joins = true;
    if (sim_chance(mason->world, 300)) {
        sim_node_start(node);
    }
    return node->index;
}

static void begin_job(struct sim_mason *mason, uint32_t comes, uint32_t goes,
                      bool fewer)
{
    mason->comes = comes;
    mason->goes = goes;
    mason->fewer = fewer;
    enter(mason, comes == NONE ? STEP_REMOVE : STEP_ADD);
    (void)snprintf(mason->words, sizeof(mason->words),
                   "n%" PRIu32 " comes, n%" PRIu32 " goes",
                   comes == NONE ? 0 : comes + 1, goes == NONE ? 0 : goes + 1);
    sim_trace(mason->world, "mason: %s", mason->words);
    take_step(mason);
}

static uint32_t some_member(struct sim_mason *mason,
                            const struct members *members)
{
    const struct member *member =
        &members->items[sim_below(mason->world, members->count)];

    return (uint32_t)member->id - 1;
}

static void replace(struct sim_mason *mason, const struct members *members)
{
    uint32_t goes = some_member(mason, members);
    uint32_t comes = build(mason, machine(mason, goes)->zone);

    if (comes == NONE) {
        return;
    }
    if (mason->world->zone_count >= 3 && sim_chance(mason->world, 400)) {
        sim_node_scrap(machine(mason, goes));
    }
    begin_job(mason, comes, goes, false);
}

static void add_one(struct sim_mason *mason)
{
    uint32_t zone = (uint32_t)sim_below(mason->world, mason->world->zone_count);
    uint32_t comes = build(mason, zone);

    if (comes != NONE) {
        begin_job(mason, comes, NONE, false);
    }
}

/* Wrong, whatever else is the case: a number that was given out; a name that
 * nobody has. */
static void make_mischief(struct sim_mason *mason,
                          const struct members *members)
{
    struct sim_world *world = mason->world;

    enter(mason, STEP_MISCHIEF);
    if (sim_chance(world, 500)) {
        ask_add(mason, SIM_NODES_MAX, 0, 1 + sim_below(world, members->id_max));
    } else {
        ask_promote(mason, SIM_NODES_MAX);
    }
}

/* When a voter is missing the next job is another one; when there are more than
 * at first, one of them goes. */
static void choose_job(struct sim_mason *mason)
{
    uint64_t dice = sim_below(mason->world, 100);
    uint32_t usual = mason->world->zone_count;
    struct members members;

    if (!look(mason, &members)) {
        return;
    }
    if (members_voters(&members) < usual) {
        add_one(mason);
    } else if (members_voters(&members) > usual) {
        begin_job(mason, NONE, some_member(mason, &members), false);
    } else if (dice < 60) {
        replace(mason, &members);
    } else if (dice < 70) {
        add_one(mason);
    } else if (dice < 85) {
        begin_job(mason, NONE, some_member(mason, &members), dice < 78);
    } else {
        make_mischief(mason, &members);
    }
}

bool sim_mason_acts(struct sim_mason *mason)
{
    if (mason->step != STEP_NONE) {
        take_step(mason);
        return true;
    }
    if (!mason->stopped && sim_chance(mason->world, 300)) {
        choose_job(mason);
    }
    return mason->step != STEP_NONE;
}

/* --- Life ----------------------------------------------------------------- */

struct sim_mason *sim_mason_create(struct sim_world *world)
{
    struct sim_mason *mason = memory_alloc(sizeof(*mason));

    mason->world = world;
    mason->client = sim_client_create(world, SIM_CLIENTS_MAX);
    mason->comes = mason->goes = NONE;
    return mason;
}

void sim_mason_destroy(struct sim_mason *mason)
{
    if (mason != NULL) {
        sim_client_destroy(mason->client);
        free(mason);
    }
}

void sim_mason_start(struct sim_mason *mason)
{
    sim_client_start(mason->client);
}

void sim_mason_stop(struct sim_mason *mason)
{
    mason->stopped = true;
    sim_client_stop(mason->client);
}

bool sim_mason_is_busy(const struct sim_mason *mason)
{
    return mason->step != STEP_NONE;
}

const char *sim_mason_words(const struct sim_mason *mason)
{
    return mason->words;
}
