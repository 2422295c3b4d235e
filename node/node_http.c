/* SPDX-License-Identifier: Apache-2.0
 *
 * What a node tells everybody who asks by HTTP: that it serves, whether it is
 * ready, and its metrics. */
#include "base/check.h"
#include "base/log.h"
#include "base/memory.h"
#include "node/metrics.h"
#include "node/node.h"
#include "node/peers.h"
#include "node/ready.h"
#include "placement/headroom.h"
#include "rpc/address.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OTHER_METHODS "other"

/* --- Figures ------------------------------------------------------------- */

static uint64_t behind(const struct replica_status *status)
{
    return status->leader_commit_index > status->applied_index
               ? status->leader_commit_index - status->applied_index
               : 0;
}

static const char *why_not_ready(const struct node *node,
                                 const struct replica_status *status,
                                 char *text, size_t size)
{
    struct ready_facts facts = {
        .leaving = node->leaving,
        .leader_known = status->leadership.leader != 0,
        .elected = status->leadership.state == REPLICA_LEADER,
        .proved = node_leads(node),
        .behind = behind(status),
    };

    return ready_why_not(&facts, text, size);
}

static void fill_process(const struct node *node, struct metrics *metrics)
{
    uv_rusage_t usage;
    size_t resident;

    metrics->version = NODE_VERSION;
    metrics->region = node->config->region;
    metrics->node = node->self->name;
    metrics->zone = node->self->zone;
    metrics->uptime_ms = node_time().boot_ms - node->started_ms;
    if (uv_resident_set_memory(&resident) == 0) {
        metrics->resident_bytes = resident;
    }
    if (uv_getrusage(&usage) == 0) {
        metrics->cpu_us = ((uint64_t)usage.ru_utime.tv_sec +
                           (uint64_t)usage.ru_stime.tv_sec) *
                              1000000 +
                          (uint64_t)usage.ru_utime.tv_usec +
                          (uint64_t)usage.ru_stime.tv_usec;
    }
}

static void fill_raft(const struct node *node,
                      const struct replica_status *status,
                      struct metrics *metrics)
{
    metrics->role = status->leadership.state;
    metrics->leader_known = status->leadership.leader != 0;
    metrics->leads = node_leads(node);
    metrics->term = status->leadership.term;
    metrics->first_index = status->first_index;
    metrics->last_index = status->last_index;
    metrics->synced_index = status->synced_index;
    metrics->commit_index = status->commit_index;
    metrics->applied_index = status->applied_index;
    metrics->snapshot_index = status->snapshot_index;
    metrics->behind = behind(status);
    metrics->log_bytes = status->log_bytes;
    metrics->disk_us = status->disk_us;
    metrics->messages_bad = status->messages_bad;
}

/* At most RAFT_MEMBERS_MAX. */
static size_t list_peers(const struct node *node,
                         const struct replica_status *status,
                         struct metrics_peer *peers)
{
    size_t count = 0;

    for (size_t i = 0; i < node->roster.members.count; i++) {
        const struct member *member = &node->roster.members.items[i];
        struct metrics_peer *peer = &peers[count];

        if (member->id == node->self->id) {
            continue;
        }
        *peer = (struct metrics_peer){
            .name = member->name,
            .connected = peers_answer(node->peers, member->id),
        };
        for (size_t j = 0; j < status->peer_count; j++) {
            if (status->peers[j].id == member->id) {
                peer->lag_known = true;
                peer->lag_entries = status->peers[j].lag_entries;
            }
        }
        count++;
    }
    return count;
}

static void count_leases(struct engine *engine, struct metrics *metrics)
{
    struct leases *leases = &engine->leases;
    const struct settings *settings = state_settings(engine->state);
    uint64_t now_ms = node_time().boot_ms;

    for (uint32_t slot = 0; slot < state_host_slots(engine->state); slot++) {
        const struct host *host = state_host_at(engine->state, slot);
        const struct lease *lease = leases_get(leases, slot);

        if (host == NULL || host->state != HOST_UP || lease == NULL ||
            lease->host_uid != host->uid) {
            continue;
        }
        if (lease_ended(lease, now_ms)) {
            metrics->leases_ended++;
        } else if (lease_is_late(lease, settings, now_ms)) {
            metrics->leases_late++;
        } else {
            metrics->leases_live++;
        }
    }
}

static void fill_region(struct node *node, struct metrics *metrics)
{
    struct engine *engine = &node->engine;
    const struct list *at;

    metrics->counts = *state_counts(engine->state);
    metrics->zones = metrics->counts.zones;
    metrics->revision = state_revision(engine->state);
    metrics->storm = engine->judge.storm;
    metrics->activity = engine->activity;
    state_memory(engine->state, &metrics->memory);
    if (node_leads(node)) {
        count_leases(engine, metrics);
    }
    metrics->sessions = engine->sessions.by_host.count;
    metrics->watch_events = engine->ring.next - engine->ring.first;
    list_foreach (at, &node->watches) {
        metrics->watches++;
    }
    metrics->turns = engine->turn.turns;
    metrics->entries = engine->turn.entries;
    metrics->entry_bytes = engine->turn.entry_bytes;
    for (int lane = 0; lane < LANE_COUNT; lane++) {
        metrics->planned[lane] = engine->turn.planned[lane];
        metrics->queued[lane] = engine->turn.queued[lane];
    }
}

static void ask_zone_losses(struct node *node)
{
    const struct state *state = node->engine.state;
    const struct placer *placer = turn_placer(&node->engine.turn);
    struct headroom_zone zone;

    if (placer == NULL) {
        node->zone_losses_known &= node_leads(node) ? UINT64_MAX : 0;
        return;
    }
    node->zone_losses_known = 0;
    for (uint32_t slot = 0; slot < state_zone_slots(state); slot++) {
        if (headroom_zone(placer, state, slot, &zone)) {
            node->zone_losses_known |= UINT64_C(1) << slot;
            node->zone_losses[slot] = zone.unplaceable_count;
        }
    }
}

/* At most ZONES_MAX. */
static size_t list_zone_losses(struct node *node, struct metrics_zone *zones)
{
    const struct state *state = node->engine.state;
    size_t count = 0;

    ask_zone_losses(node);
    for (uint32_t slot = 0; slot < state_zone_slots(state); slot++) {
        if (node->zone_losses_known >> slot & 1) {
            zones[count++] = (struct metrics_zone){
                state_zone_at(state, slot)->name, node->zone_losses[slot]};
        }
    }
    return count;
}

static void fill_servers(const struct node *node, struct metrics *metrics)
{
    const struct rpc_server_stats *rpc = rpc_server_stats(node->server);
    const struct http_server_stats *http = http_server_stats(node->http);

    metrics->connections = rpc->connections_open;
    metrics->connections_accepted = rpc->connections_accepted;
    metrics->connections_refused = rpc->connections_refused;
    metrics->calls_open = rpc->calls_open;
    metrics->callers = node->limiter.callers.count;
    metrics->limited_rate = node->limiter.verdicts[LIMITER_TOO_FAST];
    metrics->limited_streams = node->limiter.verdicts[LIMITER_TOO_MANY_STREAMS];
    metrics->limited_callers = node->limiter.verdicts[LIMITER_TOO_MANY_CALLERS];
    metrics->limited_bytes = rpc->calls_over_bytes;
    metrics->http_connections = http->connections_open;
    metrics->http_connections_accepted = http->connections_accepted;
}

/* What was never answered is left out. */
static void add_calls(struct metrics_calls **calls, size_t *count,
                      const struct metrics_calls *more)
{
    if (more->count > 0) {
        *calls = memory_realloc_array(*calls, *count + 1, sizeof(**calls));
        (*calls)[(*count)++] = *more;
    }
}

/* To be freed. */
static struct metrics_calls *list_calls(const struct rpc_server *server,
                                        size_t *count)
{
    struct rpc_server_stats rest = *rpc_server_stats(server);
    const struct rpc_method_stats *method;
    struct metrics_calls *calls = NULL;

    for (size_t i = 0; (method = rpc_server_method_stats(server, i)) != NULL;
         i++) {
        for (size_t code = 0; code <= RPC_UNAUTHENTICATED; code++) {
            struct metrics_calls more = {method->path + 1,
                                         rpc_code_name((enum rpc_code)code),
                                         method->calls[code]};

            add_calls(&calls, count, &more);
            rest.calls[code] -= method->calls[code];
        }
    }
    for (size_t code = 0; code <= RPC_UNAUTHENTICATED; code++) {
        struct metrics_calls more = {OTHER_METHODS,
                                     rpc_code_name((enum rpc_code)code),
                                     rest.calls[code]};

        add_calls(&calls, count, &more);
    }
    return calls;
}

/* --- Pages --------------------------------------------------------------- */

static void get_metrics(struct node *node, struct bytes *out)
{
    struct metrics_peer peers[RAFT_MEMBERS_MAX];
    struct metrics_calls http[HTTP_STATUS_COUNT];
    char codes[HTTP_STATUS_COUNT][8];
    char region_id[REGION_TEXT_BYTES];
    struct replica_status status;
    struct metrics_calls *calls;
    struct metrics metrics;
    struct metrics_zone zone_losses[ZONES_MAX];
    char text[256];

    memset(&metrics, 0, sizeof(metrics));
    replica_status(node->engine.replica, &status);
    fill_process(node, &metrics);
    fill_raft(node, &status, &metrics);
    fill_region(node, &metrics);
    fill_servers(node, &metrics);
    metrics.ready = why_not_ready(node, &status, text, sizeof(text)) == NULL;
    region_text(state_region(node->engine.state), region_id);
    metrics.region_id = region_id;
    metrics.peers = peers;
    metrics.peer_count = list_peers(node, &status, peers);
    metrics.zone_losses = zone_losses;
    metrics.zone_loss_count = list_zone_losses(node, zone_losses);
    calls = list_calls(node->server, &metrics.call_count);
    metrics.calls = calls;
    for (size_t i = 0; i < HTTP_STATUS_COUNT; i++) {
        snprintf(codes[i], sizeof(codes[i]), "%d", http_status_at(i));
        http[i] = (struct metrics_calls){
            "", codes[i], http_server_stats(node->http)->responses[i]};
    }
    metrics.http = http;
    metrics.http_count = HTTP_STATUS_COUNT;
    metrics_write(&metrics, out);
    free(calls);
}

static void say(struct http_response *response, int status, const char *text)
{
    response->status = status;
    bytes_append(&response->body, text, strlen(text));
    bytes_append(&response->body, "\n", 1);
}

static void get_ready(const struct node *node, struct http_response *response)
{
    struct replica_status status;
    char text[256];
    const char *why;

    replica_status(node->engine.replica, &status);
    why = why_not_ready(node, &status, text, sizeof(text));
    if (why != NULL) {
        say(response, 503, why);
    } else {
        say(response, 200, "ready");
    }
}

static void get(struct http_pages *pages, const char *path,
                struct http_response *response)
{
    struct node *node = container_of(pages, struct node, pages);

    if (strcmp(path, "/livez") == 0) {
        say(response, 200, "serving");
    } else if (strcmp(path, "/readyz") == 0) {
        get_ready(node, response);
    } else if (strcmp(path, "/metrics") == 0) {
        response->content_type = METRICS_CONTENT_TYPE;
        get_metrics(node, &response->body);
    } else {
        say(response, 404, "there are /livez, /readyz and /metrics");
    }
}

int node_http_open(struct node *node, const char *address)
{
    struct sockaddr_storage where;
    char error[256];

    node->pages.get = get;
    node->http = http_server_create(node->loop, &node->pages);
    if (http_server_listen(node->http, address, error, sizeof(error)) != 0) {
        log_error("http.failed", "reason=\"%s\"", error);
        return EXIT_LISTEN;
    }
    log_info("http.listening", "address=%s", address);
    if (rpc_address_parse(address, &where) == 0 &&
        !rpc_address_is_loopback(&where)) {
        log_warn("http.open",
                 "address=%s reason=\"whoever reaches this address may read "
                 "the metrics\"",
                 address);
    }
    return 0;
}
