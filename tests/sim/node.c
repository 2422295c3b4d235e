/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/node.h"

#include "base/check.h"
#include "base/memory.h"
#include "node/limits.h"
#include "tests/sim/check.h"
#include "tests/sim/check_members.h"
#include "tests/sim/check_placement.h"
#include "tests/sim/members.h"
#include "tests/sim/stream.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DIRECTORY    "/data/raft"
#define WATCH_EVENTS 4096

/* Of all worlds; wall clocks begin there. */
#define EPOCH_MS INT64_C(1790000000000)

struct engine_time sim_node_time(const struct sim_node *node)
{
    uint64_t local_us = sim_clock_local(&node->clock, node->world->now_us);

    return (struct engine_time){
        .boot_ms = local_us / SIM_MS,
        .wall_ms = (uint64_t)(EPOCH_MS + node->wall_ms +
                              (int64_t)(node->world->now_us / SIM_MS))};
}

bool sim_node_runs(const struct sim_node *node)
{
    return node->up && !node->failing;
}

uint64_t sim_node_awake_us(const struct sim_node *node)
{
    return node->paused_until_us > node->world->now_us ? node->paused_until_us
                                                       : node->world->now_us;
}

uint64_t sim_node_waking_us(const struct sim_node *node)
{
    return sim_node_awake_us(node) + sim_below(node->world, 500);
}

struct sim_node *sim_world_leader(const struct sim_world *world)
{
    struct sim_node *leader = NULL;

    for (uint32_t i = 0; i < world->node_count; i++) {
        struct sim_node *node = world->nodes[i];

        if (sim_node_runs(node) && engine_leads(&node->engine) &&
            (leader == NULL ||
             node->engine.leadership.term > leader->engine.leadership.term)) {
            leader = node;
        }
    }
    return leader;
}

/* --- Pokes: the loop's timers ----------------------------------------------
 */

struct poke {
    struct sim_event event;
    struct sim_node *node;
    uint64_t life;
};

static void poke_free(struct sim_event *event)
{
    free(container_of(event, struct poke, event));
}

static bool poke_run(struct sim_event *event)
{
    struct poke *poke = container_of(event, struct poke, event);
    struct sim_node *node = poke->node;

    if (node->life != poke->life || !sim_node_runs(node)) {
        return true;
    }
    if (node->poke_us != 0 && node->poke_us <= event->at_us) {
        node->poke_us = 0;
    }
    sim_node_settle(node);
    return true;
}

static void poke_at(struct sim_node *node, uint64_t at_us)
{
    struct poke *poke;
    uint64_t awake_us = sim_node_awake_us(node);

    at_us = at_us < awake_us ? awake_us : at_us;
    if (node->poke_us != 0 && node->poke_us <= at_us) {
        return;
    }
    poke = memory_alloc(sizeof(*poke));
    *poke =
        (struct poke){{.run = poke_run, .free = poke_free}, node, node->life};
    node->poke_us = at_us == 0 ? 1 : at_us;
    sim_world_add(node->world, &poke->event, at_us);
}

void sim_node_settle(struct sim_node *node)
{
    struct engine_time now = sim_node_time(node);
    uint64_t deadline_ms;

    if (sim_node_awake_us(node) > node->world->now_us) {
        poke_at(node, node->paused_until_us);
        return;
    }
    if (!node->failing) {
        engine_pump(&node->engine, &now);
    }
    if (node->failing) {
        sim_node_kill(node);
        return;
    }
    sim_check_node(node);
    sim_check_members_of(node);
    deadline_ms = engine_deadline(&node->engine);
    if (deadline_ms != UINT64_MAX) {
        poke_at(node, sim_clock_world(&node->clock, deadline_ms * SIM_MS));
    }
}

/* --- What the engine asks --------------------------------------------------
 */

static struct sim_node *node_of(struct engine *engine)
{
    return container_of(engine, struct sim_node, engine);
}

static void on_failed(struct engine *engine, enum replica_failure failure,
                      const char *reason)
{
    struct sim_node *node = node_of(engine);

    node->failing = true;
    (void)snprintf(node->reason, sizeof(node->reason), "%s", reason);
    sim_trace(node->world, "n%" PRIu32 " fails (%d): %.120s", node->index + 1,
              (int)failure, reason);
    /* A dead disk is the crash itself. */
    if (!sim_disk_dead(node->disk)) {
        sim_violation(node->world, "no-failure",
                      "n%" PRIu32 " gave up (%d): %.200s", node->index + 1,
                      (int)failure, reason);
    }
}

static void on_leadership(struct engine *engine)
{
    struct sim_node *node = node_of(engine);
    uint64_t leader = engine->leadership.leader;

    if (leader != 0 && leader != node->leader_last) {
        node->leader_last = leader;
        sim_trace(node->world,
                  "n%" PRIu32 " follows n%" PRIu64 " in term %" PRIu64,
                  node->index + 1, leader, engine->leadership.term);
        sim_streams_drop(node);
    }
}

static void on_wake(struct engine *engine)
{
    struct sim_node *node = node_of(engine);

    poke_at(node, node->world->now_us + 20);
}

static uint64_t zones_reachable(struct engine *engine)
{
    struct membership now;

    sim_members_listen(node_of(engine), &now);
    return membership_zones_reachable(&now, engine->state);
}

static void count_voters(struct engine *engine, struct turn_voters *voters)
{
    struct membership now;

    sim_members_listen(node_of(engine), &now);
    membership_count_voters(&now, engine->state, voters);
}

static void on_members(struct engine *engine)
{
    sim_members_changed(node_of(engine));
}

static const struct engine_ops engine_ops = {
    .failed = on_failed,
    .leadership = on_leadership,
    .members = on_members,
    .wake = on_wake,
    .zones_reachable = zones_reachable,
    .voters = count_voters,
};

/* --- Network between nodes -------------------------------------------------
 */

struct peer_message {
    struct sim_event event;
    struct sim_node *node;
    uint32_t from;
    struct roster_claim claim;
    uint8_t *data;
    size_t len;
};

static void peer_message_free(struct sim_event *event)
{
    struct peer_message *message =
        container_of(event, struct peer_message, event);

    free(message->data);
    free(message);
}

static void peer_message_add(struct sim_node *node, uint32_t from,
                             const struct roster_claim *claim,
                             const uint8_t *data, size_t len, uint64_t at_us);

static bool peer_message_run(struct sim_event *event)
{
    struct peer_message *message =
        container_of(event, struct peer_message, event);
    struct sim_node *node = message->node;
    struct engine_time now = sim_node_time(node);

    if (!sim_node_runs(node) ||
        sim_nodes_are_cut(node->world, message->from, node->index)) {
        return true; /* Lost; the replica copes. */
    }
    if (sim_node_awake_us(node) > node->world->now_us) {
        peer_message_add(node, message->from, &message->claim, message->data,
                         message->len,
                         sim_node_awake_us(node) + node->peers_late_us);
        return true;
    }
    if (!sim_members_hear(node, message->from, &message->claim)) {
        return true;
    }
    node->heard_us[message->from] = node->world->now_us;
    engine_receive(&node->engine, (uint64_t)message->from + 1, message->data,
                   message->len, &now);
    sim_node_settle(node);
    return true;
}

static void peer_message_add(struct sim_node *node, uint32_t from,
                             const struct roster_claim *claim,
                             const uint8_t *data, size_t len, uint64_t at_us)
{
    struct peer_message *message = memory_alloc(sizeof(*message));

    *message = (struct peer_message){
        .event = {.run = peer_message_run, .free = peer_message_free},
        .node = node,
        .from = from,
        .claim = *claim,
        .data = memory_copy(data, len),
        .len = len};
    sim_world_add(node->world, &message->event, at_us);
}

static void transport_send(struct replica_transport *transport, uint64_t to,
                           const uint8_t *data, size_t len)
{
    struct sim_node *node = container_of(transport, struct sim_node, transport);
    struct sim_world *world = node->world;
    uint32_t target = (uint32_t)to - 1;
    struct roster_claim claim;

    CHECK(target < world->node_count && target != node->index);
    if (sim_nodes_are_cut(world, node->index, target) ||
        sim_chance(world, world->loss_permille) ||
        !roster_reaches(&node->roster, node->engine.replica, to)) {
        return;
    }
    sim_members_claim(node, &claim);
    peer_message_add(world->nodes[target], node->index, &claim, data, len,
                     world->now_us +
                         sim_nodes_latency(world, node->index, target));
}

static size_t transport_unsent(struct replica_transport *transport, uint64_t to)
{
    (void)transport;
    (void)to;
    return 0;
}

/* --- Storage ---------------------------------------------------------------
 */

struct lane_event {
    struct sim_event event;
    struct sim_node *node;
    uint64_t life;
    enum storage_lane lane;
    bool done; /* Else it runs. */
};

static void lane_event_free(struct sim_event *event)
{
    free(container_of(event, struct lane_event, event));
}

static bool lane_event_run(struct sim_event *event);

static void lane_add(struct sim_node *node, enum storage_lane lane, bool done)
{
    struct lane_event *next = memory_alloc(sizeof(*next));

    *next = (struct lane_event){
        .event = {.run = lane_event_run, .free = lane_event_free},
        .node = node,
        .life = node->life,
        .lane = lane,
        .done = done};
    sim_world_add(node->world, &next->event,
                  node->world->now_us + sim_between(node->world,
                                                    node->disk_us / 8,
                                                    node->disk_us / 2));
}

static bool lane_event_run(struct sim_event *event)
{
    struct lane_event *at = container_of(event, struct lane_event, event);
    struct sim_node *node = at->node;
    struct sim_lane *lane = &node->lanes[at->lane];
    struct storage_job *job;

    if (node->life != at->life || !sim_node_runs(node)) {
        return true;
    }
    CHECK(!list_empty(&lane->queue));
    job = list_entry(list_first(&lane->queue), struct storage_job, link);
    if (!at->done) {
        job->run(job);
        lane_add(node, at->lane, true);
        return true;
    }
    list_remove(&job->link);
    lane->busy = !list_empty(&lane->queue);
    if (lane->busy) {
        lane_add(node, at->lane, false);
    }
    job->done(job);
    sim_node_settle(node);
    return true;
}

static void storage_submit(struct storage *storage, struct storage_job *job)
{
    struct sim_node *node = container_of(storage, struct sim_node, storage);
    struct sim_lane *lane = &node->lanes[job->lane];

    list_append(&lane->queue, &job->link);
    if (!lane->busy) {
        lane->busy = true;
        lane_add(node, job->lane, false);
    }
}

/* --- Life ------------------------------------------------------------------
 */

bool sim_nodes_are_cut(const struct sim_world *world, uint32_t from,
                       uint32_t to)
{
    return world->cut[world->nodes[from]->zone][world->nodes[to]->zone];
}

uint64_t sim_nodes_latency(struct sim_world *world, uint32_t from, uint32_t to)
{
    return sim_latency(world, world->nodes[from]->zone, world->nodes[to]->zone);
}

struct sim_node *sim_node_create(struct sim_world *world, uint32_t zone)
{
    struct sim_node *node = memory_alloc(sizeof(*node));

    CHECK(world->node_count < SIM_NODES_MAX);
    node->world = world;
    node->index = world->node_count++;
    node->zone = zone;
    list_init(&node->member_calls);
    world->nodes[node->index] = node;
    node->powered = true;
    node->disk_us = 2 * SIM_MS;
    node->clock.local_us = sim_between(world, SIM_SECOND, 1000 * SIM_SECOND);
    node->clock.ppm = (int32_t)sim_below(world, 201) - 100;
    node->disk = sim_disk_create(random_u64(&world->random));
    CHECK(files_make_directory(sim_disk_files(node->disk), "/data") == 0);
    CHECK(files_sync_directory(sim_disk_files(node->disk), "/") == 0);
    node->transport = (struct replica_transport){.send = transport_send,
                                                 .unsent = transport_unsent};
    node->storage = (struct storage){.submit = storage_submit};
    node->environment = (struct replica_environment){
        .files = sim_disk_files(node->disk),
        .storage = &node->storage,
        .transport = &node->transport,
    };
    return node;
}

void sim_node_destroy(struct sim_node *node)
{
    if (node->up) {
        sim_node_kill(node);
    }
    sim_disk_destroy(node->disk);
    free(node);
}

static void apply(struct replica_owner *owner, uint64_t index, uint64_t term,
                  const uint8_t *data, size_t len)
{
    struct engine *engine = container_of(owner, struct engine, owner);
    struct sim_node *node = node_of(engine);

    sim_check_entry(node, index, data, len);
    node->apply(owner, index, term, data, len);
}

static int start_engine(struct sim_node *node)
{
    struct sim_world *world = node->world;
    struct replica_member members[SIM_ZONES_MAX];
    struct replica_config config = {
        .region = "simulated",
        .id = (uint64_t)node->index + 1,
        .directory = DIRECTORY,
        .bootstrap = !node->begun,
        .join = node->joins,
        .members = members,
        .member_count =
            node->joins ? 0 : sim_members_first(world->file, members),
        .segment_bytes = 1 << 20,
        /* Often, unless there is much in them. */
        .snapshot_entries = world->options.fleet == NULL ? 400 : 20000,
        .trailing_entries = world->options.fleet == NULL ? 100 : 10000,
        .seed = random_u64(&world->random),
    };
    struct engine_time now = sim_node_time(node);
    int rv;

    rv = engine_start(&node->engine, &config, &node->environment, &now);
    node->apply = node->engine.owner.apply;
    node->engine.owner.apply = apply;
    return rv;
}

void sim_node_start(struct sim_node *node)
{
    struct engine_config engine = {
        .region = "simulated",
        .drawn = {random_u64(&node->world->random) | 1, 0},
        .watch_events = WATCH_EVENTS,
    };

    if (node->up || !node->powered) {
        return;
    }
    node->life++;
    node->failing = false;
    node->sent_off = false;
    node->poke_us = 0;
    node->leader_last = 0;
    node->transferring = false;
    node->paused_until_us = 0;
    for (int i = 0; i < STORAGE_LANES; i++) {
        list_init(&node->lanes[i].queue);
        node->lanes[i].busy = false;
    }
    sim_disk_revive(node->disk);
    engine_init(&node->engine, &engine_ops, &engine);
    sim_members_begin(node);
    node->up = true;
    sim_trace(node->world, "n%" PRIu32 " starts", node->index + 1);
    sim_check_node_starts(node);
    if (start_engine(node) != 0) {
        CHECK(node->failing);
        sim_node_kill(node);
        return;
    }
    node->begun = true;
    sim_node_settle(node);
}

void sim_node_kill(struct sim_node *node)
{
    struct replica_status status;

    if (!node->up) {
        return;
    }
    sim_trace(node->world, "n%" PRIu32 " ends", node->index + 1);
    if (!sim_disk_dead(node->disk)) {
        sim_disk_kill(node->disk);
    }
    node->failing = true; /* Nothing that ends with it takes effect. */
    replica_status(node->engine.replica, &status);
    node->last_index = status.synced_index;
    sim_streams_lose_node(node);
    engine_stop(&node->engine);
    sim_members_lose(node);
    engine_close(&node->engine);
    node->up = false;
    node->life++;
}

void sim_node_power(struct sim_node *node, bool on)
{
    if (!on && node->powered) {
        sim_trace(node->world, "n%" PRIu32 " loses power", node->index + 1);
        if (!sim_disk_dead(node->disk)) {
            sim_disk_power_cut(node->disk);
        }
        sim_node_kill(node);
    }
    node->powered = on && !node->scrapped;
}

void sim_node_scrap(struct sim_node *node)
{
    sim_trace(node->world, "n%" PRIu32 " is scrapped", node->index + 1);
    sim_node_power(node, false);
    node->scrapped = true;
}

void sim_node_pause(struct sim_node *node, uint64_t until_us)
{
    if (until_us > node->paused_until_us) {
        node->paused_until_us = until_us;
    }
    node->peers_late_us = sim_below(node->world, 2 * SIM_MS);
}

static void transferred(struct replica_transfer *transfer, int status)
{
    struct sim_node *node = container_of(transfer, struct sim_node, transfer);

    (void)status;
    node->transferring = false;
}

void sim_node_transfer(struct sim_node *node, uint64_t to)
{
    if (sim_node_runs(node) && engine_leads(&node->engine) &&
        sim_node_awake_us(node) == node->world->now_us && !node->transferring) {
        node->transferring =
            replica_transfer(node->engine.replica, to, &node->transfer,
                             transferred) == 0;
        sim_node_settle(node);
    }
}
