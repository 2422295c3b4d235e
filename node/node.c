/* SPDX-License-Identifier: Apache-2.0 */
#include "node/node.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"
#include "node/peers.h"
#include "state/snapshot.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#define JUDGE_PERIOD_MS 20
#define DRAIN_GRACE_MS  10000
#define SKEW_TOLD_MS    5000
#define EXIT_LISTEN     69

/* Made by proto/CMakeLists.txt. */
extern const uint8_t hf_descriptors_start[];
extern const uint8_t hf_descriptors_end[];

const Holdfast__V1__NodeMember *node_member(const struct node *node,
                                            uint64_t id)
{
    for (size_t i = 0; i < node->config->n_nodes; i++) {
        if (node->config->nodes[i]->id == id) {
            return node->config->nodes[i];
        }
    }
    return NULL;
}

/* --- The applied state ------------------------------------------------- */

/* The agents' sessions of the hosts that it was on and is on. */
static void note_vm(struct node *node, const struct vm *vm)
{
    node_agents_note_vm(node, vm->host, vm->uid);
    if (vm->last_host != vm->host) {
        node_agents_note_vm(node, vm->last_host, vm->uid);
    }
}

static void on_event(struct event_sink *sink, const struct event *event)
{
    struct node *node = container_of(sink, struct node, sink);

    watch_ring_add(&node->ring, node->state, event);
    if (!node_leads(node)) {
        return;
    }
    failover_note(&node->failover, event);
    if (event->kind == EVENT_VM) {
        note_vm(node, event->vm);
    } else if (event->kind == EVENT_HOST) {
        node_agents_note_host(node, uid_slot(event->host->uid));
    } else if (event->kind == EVENT_SETTINGS) {
        node->turn.settings_since_ms = clock_boot_ms();
    }
}

static void log_region(const struct node *node)
{
    char id[REGION_TEXT_BYTES];

    region_text(state_region(node->state), id);
    log_info("region.id", "region=%s region_id=%s", node->config->region, id);
}

static bool has_region(const struct node *node)
{
    return region_id_is_set(state_region(node->state));
}

/* This copy ends here. */
__attribute__((noreturn)) static void stop_applying(uint64_t index, int error)
{
    if (error == HF_ERROR_UNSUPPORTED) {
        log_error("state.too_old",
                  "index=%" PRIu64 " reason=\"a newer version wrote this "
                  "entry\" cure=\"install that version on this node and start "
                  "it; its data is sound\"",
                  index);
    } else {
        log_error("state.diverged",
                  "index=%" PRIu64 " error=%s cure=\"this copy must not go "
                  "on: remove the node and join under a new id\"",
                  index, hf_error_name(error));
    }
    _exit(REPLICA_FAILED_DIVERGED);
}

static void apply(struct replica_owner *owner, uint64_t index, uint64_t term,
                  const uint8_t *data, size_t len)
{
    struct node *node = container_of(owner, struct node, owner);
    bool had_region = has_region(node);
    struct batch batch;
    int rv;

    (void)term;
    arena_clear(&node->arena);
    rv = batch_decode(data, len, &node->arena, &batch);
    if (rv == 0) {
        rv = state_apply_batch(node->state, &batch, &node->sink);
    }
    if (rv != 0) {
        stop_applying(index, rv);
    }
    if (!had_region && has_region(node)) {
        log_region(node);
    }
}

/* A clone that a storage thread writes out. */
struct state_content {
    struct snapshot_content content;
    struct snapshot_writer writer;
    struct state *clone;
};

static bool content_next(struct snapshot_content *content, struct bytes *out,
                         size_t budget)
{
    struct state_content *held =
        container_of(content, struct state_content, content);

    return snapshot_writer_next(&held->writer, out, budget);
}

static void content_destroy(struct snapshot_content *content)
{
    struct state_content *held =
        container_of(content, struct state_content, content);

    state_destroy(held->clone);
    free(held);
}

static struct snapshot_content *snapshot_take(struct replica_owner *owner)
{
    struct node *node = container_of(owner, struct node, owner);
    struct state_content *held = memory_alloc(sizeof(*held));

    held->content = (struct snapshot_content){content_next, content_destroy};
    held->clone = state_clone(node->state);
    snapshot_writer_init(&held->writer, held->clone);
    return &held->content;
}

static int snapshot_restore(struct replica_owner *owner,
                            struct snapshot_source *source)
{
    struct node *node = container_of(owner, struct node, owner);
    struct snapshot_reader *reader = snapshot_reader_create();
    struct state *restored;
    const uint8_t *data;
    size_t len;
    int rv;

    do {
        rv = snapshot_source_next(source, &data, &len);
        if (rv == 0 && len > 0) {
            rv = snapshot_reader_feed(reader, data, len);
        }
    } while (rv == 0 && len > 0);
    if (rv != 0) {
        snapshot_reader_abandon(reader);
        return rv;
    }
    restored = snapshot_reader_finish(reader);
    if (restored == NULL) {
        return HF_ERROR_CORRUPT;
    }
    state_destroy(node->state);
    node->state = restored;
    node->applied = restored;
    watch_ring_close(&node->ring);
    watch_ring_init(&node->ring, node->config->watch_events,
                    state_revision(restored));
    log_info("state.restored", "index=%" PRIu64 " revision=%" PRIu64,
             snapshot_source_index(source), state_revision(restored));
    if (has_region(node)) {
        log_region(node);
    }
    return 0;
}

/* --- Leadership --------------------------------------------------------- */

static void on_leadership(struct replica_owner *owner,
                          const struct replica_leadership *leadership)
{
    struct node *node = container_of(owner, struct node, owner);
    bool led = node_leads(node);

    node->leadership = *leadership;
    if (led && leadership->state != REPLICA_LEADER) {
        turn_lead(&node->turn, false);
        node_agents_drop(node);
    }
    if (leadership->leader != 0 && leadership->leader != node->leader_last) {
        node->leader_last = leadership->leader;
        node_route_drop(node);
    }
    rpc_health_set(&node->health, leadership->leader != 0 && !node->leaving);
}

/* Stamps stay ahead then; only people are misled, but they should know. */
static void warn_of_wall_clock(const struct node *node)
{
    uint64_t state_ms = state_time_ms(node->state);
    uint64_t wall_ms = clock_wall_ms();

    if (state_ms > wall_ms && state_ms - wall_ms >= SKEW_TOLD_MS) {
        log_warn("clock.behind",
                 "this node's wall clock is %" PRIu64
                 " ms behind the stamps of an earlier leader; check the time "
                 "synchronisation of all nodes",
                 state_ms - wall_ms);
    }
}

static void on_proved(struct replica_owner *owner, uint64_t term,
                      uint64_t index)
{
    struct node *node = container_of(owner, struct node, owner);
    uint64_t now_ms = clock_boot_ms();

    log_info("leader.proved", "term=%" PRIu64 " index=%" PRIu64, term, index);
    leases_reset(&node->leases, node->state, now_ms);
    judge_reset(&node->judge);
    failover_init(&node->failover, &node->judge, node->state);
    node->turn.settings_since_ms = now_ms;
    leader_time_begin(&node->time, state_time_ms(node->state), now_ms);
    warn_of_wall_clock(node);
    turn_lead(&node->turn, true);
}

static void on_failed(struct replica_owner *owner, enum replica_failure failure,
                      const char *reason)
{
    (void)owner;
    log_error("replica.failed", "exit=%d reason=\"%s\"", (int)failure, reason);
    _exit((int)failure);
}

static void on_wake(struct replica_owner *owner)
{
    struct node *node = container_of(owner, struct node, owner);

    node->wake_asked = true;
    uv_async_send(&node->wake);
}

/* --- The turn's log ------------------------------------------------------ */

static int outcome_status(enum replica_outcome outcome)
{
    return outcome == REPLICA_COMMITTED ? 0 : HF_ERROR_NOT_LEADER;
}

static void submit_done(struct replica_submit *request,
                        enum replica_outcome outcome, uint64_t index)
{
    struct node *node = container_of(request, struct node, submit);

    (void)index;
    turn_finished(&node->turn, outcome_status(outcome));
}

static void barrier_done(struct replica_barrier *request,
                         enum replica_outcome outcome, uint64_t index)
{
    struct node *node = container_of(request, struct node, barrier);

    (void)index;
    turn_finished(&node->turn, outcome_status(outcome));
}

static bool log_ready(struct turn_log *log)
{
    const struct node *node = container_of(log, struct node, log);

    return replica_is_ready(node->replica);
}

static int log_submit(struct turn_log *log, const void *data, size_t len)
{
    struct node *node = container_of(log, struct node, log);

    return replica_submit(node->replica, data, len, &node->submit, submit_done);
}

static int log_barrier(struct turn_log *log)
{
    struct node *node = container_of(log, struct node, log);

    return replica_barrier(node->replica, &node->barrier, barrier_done);
}

/* --- The loop ------------------------------------------------------------ */

/* A zone's voter answers if any of its nodes is connected. */
static uint64_t reachable_zones(const struct node *node)
{
    uint64_t mask = UINT64_MAX;

    for (uint32_t slot = 0; slot < state_zone_slots(node->state); slot++) {
        const struct zone *zone = state_zone_at(node->state, slot);
        bool has_node = false;
        bool answers = false;

        for (size_t i = 0; i < node->config->n_nodes; i++) {
            const Holdfast__V1__NodeMember *member = node->config->nodes[i];

            if (strcmp(member->zone, zone->name) == 0) {
                has_node = true;
                answers |= peers_answer(node->peers, member->id);
            }
        }
        if (has_node && !answers) {
            mask &= ~(UINT64_C(1) << slot);
        }
    }
    return mask;
}

static void look_around(struct node *node, uint64_t now_ms, uint64_t time_ms)
{
    if (now_ms < node->judge_next_ms) {
        return;
    }
    node->judge_next_ms = now_ms + JUDGE_PERIOD_MS;
    node->judge.zones_reachable = reachable_zones(node);
    if (judge_is_due(&node->judge, node->state, now_ms, time_ms)) {
        turn_want(&node->turn);
    }
}

void node_pump(struct node *node)
{
    uint64_t now_ms = clock_boot_ms();

    if (node->wake_asked || now_ms >= replica_deadline(node->replica)) {
        node->wake_asked = false;
        replica_tick(node->replica, now_ms);
    }
    if (node_leads(node)) {
        uint64_t time_ms =
            leader_time_now(&node->time, clock_wall_ms(), now_ms);

        look_around(node, now_ms, time_ms);
        if (failover_is_due(&node->failover, node->state, now_ms)) {
            turn_want(&node->turn);
        }
        turn_run(&node->turn, time_ms, now_ms);
        node_agents_pump(node);
    }
    node_watch_pump(node);
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
    }
}

/* --- Start and stop ------------------------------------------------------ */

static int start_server(struct node *node)
{
    static const char *const names[] = {
        "holdfast.v1.ClusterService", "holdfast.v1.ZoneService",
        "holdfast.v1.ClassService",   "holdfast.v1.HostService",
        "holdfast.v1.VmService",      "holdfast.v1.WatchService",
        "holdfast.v1.AgentService"};
    const char *listen = node->config->listen[0] == '\0' ? node->self->address
                                                         : node->config->listen;
    char error[256];

    node->server = rpc_server_create(node->loop);
    node_api_open(node);
    node_agents_open(node);
    node_watch_open(node);
    node_cluster_open(node);
    node_route_open(node);
    rpc_health_init(&node->health, node->server, names, ARRAY_LEN(names));
    rpc_reflection_init(&node->reflection, node->server, hf_descriptors_start,
                        (size_t)(hf_descriptors_end - hf_descriptors_start));
    node->peers = peers_create(node);
    if (rpc_server_listen(node->server, listen, error, sizeof(error)) != 0) {
        log_error("server.failed", "reason=\"%s\"", error);
        return EXIT_LISTEN;
    }
    log_info("server.listening", "address=%s", listen);
    return 0;
}

/* The id of the region, should this node be the one that begins it. */
static struct region_id draw_region(void)
{
    struct region_id id;

    CHECK(getrandom(&id, sizeof(id), 0) == (ssize_t)sizeof(id));
    return id;
}

static void start_core(struct node *node)
{
    node->state = state_create();
    node->applied = node->state;
    arena_init(&node->arena, BATCH_ARENA_BYTES);
    node->sink.event = on_event;
    watch_ring_init(&node->ring, node->config->watch_events, 0);
    node->log = (struct turn_log){log_ready, log_submit, log_barrier};
    leases_init(&node->leases);
    judge_init(&node->judge, &node->leases);
    failover_init(&node->failover, &node->judge, node->state);
    region_birth_init(&node->birth, draw_region());
    node->controllers[0] = &node->birth.controller;
    node->controllers[1] = &node->judge.controller;
    node->controllers[2] = &node->failover.controller;
    turn_init(&node->turn, &node->log, &node->applied, node->controllers,
              ARRAY_LEN(node->controllers));
    node->turn.leases = &node->leases;
}

static void start_handles(struct node *node)
{
    CHECK(uv_check_init(node->loop, &node->check) == 0);
    CHECK(uv_check_start(&node->check, on_check) == 0);
    CHECK(uv_timer_init(node->loop, &node->tick) == 0);
    CHECK(uv_timer_start(&node->tick, on_tick, 0, NODE_TICK_MS) == 0);
    CHECK(uv_async_init(node->loop, &node->wake, on_wake_async) == 0);
}

static int start_replica(struct node *node)
{
    const Holdfast__V1__NodeConfig *config = node->config;
    struct replica_member members[RAFT_MEMBERS_MAX];
    struct replica_config replica = {
        .region = config->region,
        .id = node->self->id,
        .directory = config->data_dir,
        .bootstrap = node->bootstrap,
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
    node->owner = (struct replica_owner){
        .apply = apply,
        .leadership = on_leadership,
        .proved = on_proved,
        .snapshot_take = snapshot_take,
        .snapshot_restore = snapshot_restore,
        .failed = on_failed,
        .wake = on_wake,
    };
    node->replica = replica_create(&replica, &node->environment, &node->owner);
    return replica_start(node->replica, clock_boot_ms());
}

int node_start(struct node *node, uv_loop_t *loop,
               const Holdfast__V1__NodeConfig *config, bool bootstrap)
{
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
    start_core(node);
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
    return start_replica(node) == 0 ? 0 : REPLICA_FAILED_STORAGE;
}

static void drained(struct rpc_server_close *close)
{
    struct node_stop *request = container_of(close, struct node_stop, close);
    struct node *node = request->node;

    node->stopping = true;
    replica_stop(node->replica);
    request->done(request);
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
        replica_transfer(node->replica, 0, &request->transfer, handed_over) !=
            0) {
        drain(request);
    }
}
