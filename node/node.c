/* SPDX-License-Identifier: Apache-2.0 */
#include "node/node.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "node/membership.h"
#include "node/peers.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#define DRAIN_GRACE_MS 10000

/* Made by proto/CMakeLists.txt. */
extern const uint8_t hf_descriptors_start[];
extern const uint8_t hf_descriptors_end[];

const struct member *node_member(const struct node *node, uint64_t id)
{
    return members_get(&node->roster.members, id);
}

struct engine_time node_time(void)
{
    return (struct engine_time){clock_boot_ms(), clock_wall_ms()};
}

/* --- What the engine asks ------------------------------------------------ */

static struct node *node_of(struct engine *engine)
{
    return container_of(engine, struct node, engine);
}

static void on_failed(struct engine *engine, enum replica_failure failure,
                      const char *reason)
{
    (void)engine;
    log_error("replica.failed", "exit=%d reason=\"%s\"", (int)failure, reason);
    _exit((int)failure);
}

static void on_leadership(struct engine *engine)
{
    struct node *node = node_of(engine);
    uint64_t leader = engine->leadership.leader;

    if (leader != 0 && leader != node->leader_last) {
        node->leader_last = leader;
        node_route_drop(node);
    }
    rpc_health_set(&node->health, leader != 0 && !node->leaving);
}

void node_ends(const struct node *node, enum node_end end, const char *who)
{
    static const char *const reasons[] = {
        [NODE_REMOVED] = "this node was removed from the region, or its id "
                         "was used before",
        [NODE_LEFT_BEHIND] = "the region was recovered without this node: what "
                             "it has is of an older generation",
        [NODE_LOST_DATA] = "this node is a voter of the region, but its data "
                           "directory is empty: it has lost what it "
                           "promised",
    };

    log_error("node.ends",
              "node=%s id=%" PRIu64 " told_by=%s reason=\"%s\" cure=\"set %s "
              "aside, and let the machine join as a new node: `holdfast node "
              "add` with a higher id, `join: true` and that id in the "
              "configuration, first start with --bootstrap\"",
              node->config->name, node->self->id, who, reasons[end],
              node->config->data_dir);
    _exit(REPLICA_FAILED_REMOVED);
}

static void on_members(struct engine *engine)
{
    struct node *node = node_of(engine);

    roster_fill(&node->roster, engine->replica, node->config);
    peers_changed(node->peers);
    if (replica_has_removed(engine->replica, node->self->id)) {
        node_ends(node, NODE_REMOVED, "log");
    }
}

static void on_wake(struct engine *engine)
{
    uv_async_send(&node_of(engine)->wake);
}

static void look_around(const struct node *node, struct membership *now)
{
    memset(now, 0, sizeof(*now));
    now->members = &node->roster.members;
    now->self = node->self->id;
    for (size_t i = 0; i < now->members->count; i++) {
        now->seen[i].answers =
            peers_answer(node->peers, now->members->items[i].id);
    }
}

static uint64_t zones_reachable(struct engine *engine)
{
    struct membership now;

    look_around(node_of(engine), &now);
    return membership_zones_reachable(&now, engine->state);
}

static void count_voters(struct engine *engine, struct turn_voters *voters)
{
    struct membership now;

    look_around(node_of(engine), &now);
    membership_count_voters(&now, engine->state, voters);
}

static uint64_t clock_us(void)
{
    return clock_boot_ns() / 1000;
}

static const struct engine_ops engine_ops = {
    .failed = on_failed,
    .leadership = on_leadership,
    .members = on_members,
    .wake = on_wake,
    .zones_reachable = zones_reachable,
    .voters = count_voters,
    .clock_us = clock_us,
};

/* --- The loop ------------------------------------------------------------ */

void node_pump(struct node *node)
{
    struct engine_time now = node_time();

    engine_pump(&node->engine, &now);
    node_members_pump(node);
    node_watch_pump(node);
    node_api_pump(node);
}

static void on_check(uv_check_t *check)
{
    struct node *node = container_of(check, struct node, check);

    if (!node->stopping) {
        node_pump(node);
    }
}

static void on_wake_async(uv_async_t *async)
{
    (void)async; /* The loop turned; on_check does the rest. */
}

static void on_tick(uv_timer_t *timer)
{
    struct node *node = container_of(timer, struct node, tick);

    if (!node->stopping) {
        peers_tick(node->peers);
        node_tls_tick(node);
    }
}

/* --- Start and stop ------------------------------------------------------ */

static int start_server(struct node *node)
{
    static const char *const names[] = {
        "holdfast.v1.ClusterService",  "holdfast.v1.ZoneService",
        "holdfast.v1.ClassService",    "holdfast.v1.HostService",
        "holdfast.v1.VmService",       "holdfast.v1.GroupService",
        "holdfast.v1.PlanService",     "holdfast.v1.ReservationService",
        "holdfast.v1.AccessService",   "holdfast.v1.ManifestService",
        "holdfast.v1.AuditService",    "holdfast.v1.JoinService",
        "holdfast.v1.WatchService",    "holdfast.v1.AgentService",
        "holdfast.v1.OperationService"};
    const char *listen = node->config->listen[0] == '\0' ? node->self->address
                                                         : node->config->listen;
    char error[256];
    int rv = node_tls_open(node);

    if (rv != 0) {
        return rv;
    }
    node->server = rpc_server_create(node->loop);
    if (node->tls != NULL) {
        rpc_server_use_tls(node->server, node->tls);
    }
    node_api_open(node);
    node_agents_open(node);
    node_watch_open(node);
    node_cluster_open(node);
    node_members_open(node);
    node_route_open(node);
    rpc_health_init(&node->health, node->server, names, ARRAY_LEN(names));
    rpc_reflection_init(&node->reflection, node->server, hf_descriptors_start,
                        (size_t)(hf_descriptors_end - hf_descriptors_start));
    node->peers = peers_create(node);
    if (rpc_server_listen(node->server, listen, error, sizeof(error)) != 0) {
        log_error("server.failed", "reason=\"%s\"", error);
        return EXIT_LISTEN;
    }
    log_info("server.listening", "address=%s tls=%s", listen,
             node->tls != NULL ? "mutual" : "none");
    return node->config->http_listen[0] == '\0'
               ? 0
               : node_http_open(node, node->config->http_listen);
}

/* The id of the region, should this node be the one that begins it. */
static struct region_id draw_region(void)
{
    struct region_id id;

    CHECK(getrandom(&id, sizeof(id), 0) == (ssize_t)sizeof(id));
    return id;
}

static void start_limiter(struct node *node)
{
    const Holdfast__V1__CallerLimits *config = node->config->caller_limits;
    struct limiter_limits limits = {
        .calls_per_second = config->calls_per_second,
        .streams = config->streams,
        .bytes = (size_t)config->mib << 20,
    };
    uint64_t seed;

    CHECK(getrandom(&seed, sizeof(seed), 0) == (ssize_t)sizeof(seed));
    limiter_init(&node->limiter, &limits, seed);
}

static void start_handles(struct node *node)
{
    CHECK(uv_check_init(node->loop, &node->check) == 0);
    CHECK(uv_check_start(&node->check, on_check) == 0);
    CHECK(uv_timer_init(node->loop, &node->tick) == 0);
    CHECK(uv_timer_start(&node->tick, on_tick, 0, NODE_TICK_MS) == 0);
    CHECK(uv_async_init(node->loop, &node->wake, on_wake_async) == 0);
}

static int start_engine(struct node *node)
{
    const Holdfast__V1__NodeConfig *config = node->config;
    struct engine_time now = node_time();
    struct replica_member members[RAFT_MEMBERS_MAX];
    struct replica_config replica = {
        .region = config->region,
        .id = node->self->id,
        .directory = config->data_dir,
        .bootstrap = node->bootstrap,
        .join = config->join,
        .members = members,
        .member_count = config->n_nodes,
        .election_timeout_ms = config->election_timeout_ms,
        .segment_bytes = (uint64_t)config->segment_mib << 20,
        .snapshot_entries = config->snapshot_entries,
        .seed = clock_boot_ns() ^ node->self->id << 48,
    };

    for (size_t i = 0; i < config->n_nodes; i++) {
        members[i] = (struct replica_member){
            config->nodes[i]->id, config->nodes[i]->address, REPLICA_VOTER};
    }
    return engine_start(&node->engine, &replica, &node->environment, &now);
}

int node_start(struct node *node, uv_loop_t *loop,
               const Holdfast__V1__NodeConfig *config, bool bootstrap)
{
    struct engine_config engine = {
        .region = config->region,
        .drawn = draw_region(),
        .watch_events = config->watch_events,
    };
    int rv;

    memset(node, 0, sizeof(*node));
    node->loop = loop;
    node->config = config;
    node->bootstrap = bootstrap;
    node->started_ms = clock_boot_ms();
    for (size_t i = 0; i < config->n_nodes; i++) {
        if (strcmp(config->nodes[i]->name, config->name) == 0) {
            node->self = config->nodes[i];
        }
    }
    CHECK(node->self != NULL);
    roster_fill(&node->roster, NULL, config);
    engine_init(&node->engine, &engine_ops, &engine);
    start_limiter(node);
    start_handles(node);
    rv = start_server(node);
    if (rv != 0) {
        return rv;
    }
    node->storage = storage_uv_create(loop);
    node->environment = (struct replica_environment){
        .files = files_posix(),
        .storage = storage_uv_storage(node->storage),
        .transport = peers_transport(node->peers),
    };
    return start_engine(node) == 0 ? 0 : REPLICA_FAILED_STORAGE;
}

static void http_closed(struct http_server_close *close)
{
    struct node_stop *request =
        container_of(close, struct node_stop, http_close);

    request->done(request);
}

static void drained(struct rpc_server_close *close)
{
    struct node_stop *request = container_of(close, struct node_stop, close);
    struct node *node = request->node;

    node->stopping = true;
    limiter_close(&node->limiter); /* No call is open any more. */
    replica_stop(node->engine.replica);
    if (node->http == NULL) {
        request->done(request);
        return;
    }
    request->http_close.done = http_closed;
    http_server_close(node->http, &request->http_close);
}

static void drain(struct node_stop *request)
{
    request->close.done = drained;
    rpc_server_drain(request->node->server, DRAIN_GRACE_MS, &request->close);
}

static void handed_over(struct replica_transfer *transfer, int status)
{
    struct node_stop *request =
        container_of(transfer, struct node_stop, transfer);

    if (status != 0) {
        log_warn("node.handover_failed",
                 "the others elect a leader by themselves: %s",
                 hf_error_name(status));
    }
    drain(request);
}

void node_stop(struct node *node, struct node_stop *request)
{
    request->node = node;
    node->leaving = true;
    log_info("node.stopping", "leader=%s", node_leads(node) ? "yes" : "no");
    rpc_health_set(&node->health, false);
    /* A planned stop need not cost an election timeout. */
    if (!node_leads(node) ||
        replica_transfer(node->engine.replica, 0, &request->transfer,
                         handed_over) != 0) {
        drain(request);
    }
}
