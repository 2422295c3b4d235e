/* SPDX-License-Identifier: Apache-2.0
 *
 * A world's life: it is built, set up, troubled, healed, and looked at. */
#include "base/check.h"
#include "base/memory.h"
#include "tests/sim/check.h"
#include "tests/sim/check_members.h"
#include "tests/sim/check_placement.h"
#include "tests/sim/check_plans.h"
#include "tests/sim/client.h"
#include "tests/sim/fault.h"
#include "tests/sim/fleet.h"
#include "tests/sim/founder.h"
#include "tests/sim/host.h"
#include "tests/sim/mason.h"
#include "tests/sim/members.h"
#include "tests/sim/node.h"
#include "tests/sim/operator.h"
#include "tests/sim/record.h"
#include "tests/sim/scout.h"
#include "tests/sim/terrain.h"

#include <inttypes.h>
#include <stdlib.h>

/* A fleet: how long it may take until all that fits runs, and a call of those
 * that build it. */
#define SETTLE_US        (3600 * SIM_SECOND)
#define FOUNDING_STEP_US (1 * SIM_SECOND)

/* Of the quiet time, the last part in which nothing may change any more. */
#define STILL_US (10 * SIM_SECOND)

/* How often a plan of a zone's loss is made until nothing moves any more. */
#define FORESIGHTS 5

struct sim_world *sim_world_create(const struct sim_options *options)
{
    struct sim_world *world = memory_alloc(sizeof(*world));

    CHECK(options->clients >= 1 && options->clients <= SIM_CLIENTS_MAX);
    CHECK(options->vms / options->clients <= SIM_VMS_MAX);
    world->options = *options;
    sim_terrain_init(world);
    options = &world->options;
    random_init(&world->random, options->seed);
    list_init(&world->streams);
    history_init(&world->history);
    world->delay_us = options->delay_us;
    world->check = sim_check_create(world);
    world->rules = sim_rules_create();
    world->zone_count = options->fleet == NULL
                            ? options->zones
                            : (uint32_t)options->fleet->manifest->n_zones;
    world->host_count = options->fleet == NULL
                            ? options->zones * options->hosts_in_zone
                            : (uint32_t)options->fleet->manifest->n_hosts;
    CHECK(world->zone_count >= 1 && world->zone_count <= SIM_ZONES_MAX);
    world->hosts =
        memory_alloc_array(world->host_count, sizeof(struct sim_host *));
    world->file = sim_members_file_create(world);
    world->members = sim_check_members_create();
    for (uint32_t i = 0; i < world->zone_count; i++) {
        world->fronts[i] = sim_node_create(world, i)->index;
    }
    for (uint32_t i = 0; i < world->host_count; i++) {
        world->hosts[i] = sim_host_create(world, i);
    }
    for (uint32_t i = 0; i < options->clients; i++) {
        world->clients[i] = sim_client_create(world, i);
    }
    if (world->rebuilds) {
        world->mason = sim_mason_create(world);
    }
    return world;
}

void sim_world_destroy(struct sim_world *world)
{
    for (uint32_t i = 0; i < world->host_count; i++) {
        sim_host_destroy(world->hosts[i]);
    }
    for (uint32_t i = 0; i < world->node_count; i++) {
        sim_node_destroy(world->nodes[i]);
    }
    for (size_t i = 0; i < world->heap_count; i++) {
        world->heap[i]->free(world->heap[i]);
    }
    for (uint32_t i = 0; i < world->options.clients; i++) {
        sim_client_destroy(world->clients[i]);
    }
    sim_mason_destroy(world->mason);
    CHECK(list_empty(&world->streams));
    sim_members_file_destroy(world->file);
    sim_check_members_destroy(world->members);
    sim_check_destroy(world->check);
    sim_rules_destroy(world->rules);
    history_close(&world->history);
    free(world->heap);
    free(world->hosts);
    free(world);
}

/* Until nothing is on its way, or for too long. */
static void settle(struct sim_world *world, struct sim_census *census)
{
    uint64_t end_us = world->now_us + SETTLE_US;

    do {
        sim_world_run_until(world, world->now_us + SIM_SECOND);
        sim_check_census(world, census);
    } while (census->other > 0 && world->now_us < end_us &&
             world->violation[0] == '\0');
}

static void begin_fleet(struct sim_world *world)
{
    uint64_t end_us =
        60 * SIM_SECOND + sim_founder_steps(world) * FOUNDING_STEP_US;

    while (!sim_clients_are_set_up(world) && world->now_us < end_us &&
           world->violation[0] == '\0') {
        sim_world_run_until(world, world->now_us + SIM_SECOND);
    }
    settle(world, &world->figures.before);
}

static void begin(struct sim_world *world)
{
    for (uint32_t i = 0; i < world->node_count; i++) {
        sim_node_start(world->nodes[i]);
    }
    for (uint32_t i = 0; i < world->host_count; i++) {
        sim_agent_start(world->hosts[i]);
    }
    for (uint32_t i = 0; i < world->options.clients; i++) {
        sim_client_start(world->clients[i]);
    }
    if (world->mason != NULL) {
        sim_mason_start(world->mason);
    }
    if (world->options.fleet == NULL) {
        sim_world_run_until(world, 20 * SIM_SECOND);
    } else {
        begin_fleet(world);
    }
    if (!sim_clients_are_set_up(world)) {
        sim_violation(world, SIM_SET_UP, "not done after %" PRIu64 " s",
                      world->now_us / SIM_SECOND);
    }
}

static void stop_clients(struct sim_world *world)
{
    for (uint32_t i = 0; i < world->options.clients; i++) {
        sim_client_stop(world->clients[i]);
    }
    if (world->mason != NULL) {
        sim_mason_stop(world->mason);
    }
}

/* Everything is well, and stays as it is. */
static void rest(struct sim_world *world)
{
    uint64_t end_us = world->now_us + world->options.quiet_us;
    struct sim_node *leader;
    uint64_t hash = 0;

    stop_clients(world);
    sim_world_run_until(world, end_us - STILL_US);
    leader = sim_world_leader(world);
    if (leader != NULL) {
        hash = state_hash(leader->engine.state);
    }
    sim_world_run_until(world, end_us);
    sim_check_census(world, &world->figures.after);
    if (world->violation[0] != '\0') {
        return;
    }
    sim_check_rest(world);
    sim_check_members_rest(world);
    leader = sim_world_leader(world);
    if (leader != NULL && state_hash(leader->engine.state) != hash) {
        sim_violation(world, "idle-is-still",
                      "the state still changes when nothing happens");
    }
    for (uint32_t i = 0; i < world->options.clients && leader != NULL; i++) {
        sim_client_check(world->clients[i]);
    }
}

/* Nothing that it rests on has changed since. */
static bool is_fresh(struct sim_node *leader, const struct sim_scout *scout)
{
    struct plan_book *book = &leader->engine.plans;
    const struct plan *plan =
        scout->shown == NULL ? NULL
                             : plan_book_find(book, scout->shown->plan->id,
                                              sim_node_time(leader).boot_ms);

    return plan != NULL && plan->changes == book->changes;
}

/* What the loss will do, as a plan has it; something may still be on its way,
 * then there is none. */
static void foresee(struct sim_world *world, struct sim_node *leader,
                    uint32_t zone)
{
    struct sim_scout *scout = sim_client_scout(world->clients[0]);

    for (int i = 0; i < FORESIGHTS && !is_fresh(leader, scout); i++) {
        sim_scout_asks_loss(world->clients[0], zone);
        sim_world_run_until(world, world->now_us + SIM_SECOND);
    }
    if (!is_fresh(leader, scout)) {
        sim_scout_close(scout);
    }
}

static void check_foreseen(struct sim_world *world)
{
    const struct sim_scout *scout = sim_client_scout(world->clients[0]);

    if (scout->shown != NULL) {
        sim_check_foreseen(world, scout->shown);
    }
}

/* A zone loses power while all is well and quiet. */
static void lose_zone(struct sim_world *world)
{
    struct sim_node *leader;
    uint32_t zone;

    sim_world_run_until(world, world->now_us + 20 * SIM_SECOND);
    stop_clients(world);
    sim_world_run_until(world, world->now_us + 20 * SIM_SECOND +
                                   sim_below(world, 2 * SIM_SECOND));
    leader = sim_world_leader(world);
    if (leader == NULL) {
        sim_violation(world, "all-run", "there is no leader");
        return;
    }
    zone = leader->zone;
    if (world->options.fleet != NULL) {
        zone = world->options.lost_zone;
    } else if (!world->options.leaders_zone) {
        zone = (zone + 1 + (uint32_t)sim_below(world, world->zone_count - 1)) %
               world->zone_count;
    }
    if (world->options.fleet == NULL) {
        foresee(world, leader, zone);
    }
    sim_trace(world, "zone %s loses power", sim_zone_name(world, zone));
    world->lost_us = world->now_us;
    world->figures.leader_lost = leader->zone == zone;
    sim_zone_power(world, zone, false);
    sim_world_run_until(world, world->now_us + 30 * SIM_SECOND);
    settle(world, &world->figures.after);
    if (world->violation[0] == '\0') {
        sim_check_zone_loss(world, zone);
        check_foreseen(world);
    }
}

void sim_world_run(struct sim_world *world)
{
    begin(world);
    if (world->options.only_zone_loss) {
        lose_zone(world);
        return;
    }
    sim_faults_start(world, world->now_us + world->options.trouble_us);
    sim_world_run_until(world, world->now_us + world->options.trouble_us);
    if (world->violation[0] == '\0') {
        sim_faults_heal(world);
        rest(world);
    }
    for (uint32_t i = 0; i < world->options.clients; i++) {
        sim_client_stay(world->clients[i]);
    }
    sim_record_check(world);
}
