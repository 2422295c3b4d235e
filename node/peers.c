/* SPDX-License-Identifier: Apache-2.0 */
#include "node/peers.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <holdfast/v1/peer.pb-c.h>

#define PEER_PATH "/holdfast.v1.PeerService/Stream"

/* Unsent messages to one peer: raft repeats what is dropped, so a black hole
 * must not fill memory (a leader grew to 3.7 GB in 60 s of it). */
#define PEER_QUEUE_MAX (8u << 20)

/* Other nodes answer each of the leader's heartbeats. One that is silent for
 * two election timeouts, or this long, is not reached, whatever its connection
 * says: a tunnel takes connections for a machine that is gone, the kernel for
 * a process that hangs. Counted in ticks, for a pause of our own is not
 * theirs. */
#define PEER_SILENT_MS_MIN 1000

struct peer {
    struct rpc_stream stream;
    struct node *node;
    struct rpc_channel *channel;
    uint64_t id;
    uint32_t silent_ticks; /* While we lead, since it sent anything. */
    bool open;
    bool connected; /* As last logged. */
};

struct peers {
    struct replica_transport transport;
    struct node *node;
    struct peer *peers;
    size_t count;
};

/* What another node sends us. */
struct inbound {
    struct rpc_handler handler;
    struct node *node;
    struct rpc_call *call;
    uint64_t from;
};

static void on_peer_message(struct rpc_stream *stream, const uint8_t *data,
                            size_t len)
{
    (void)stream;
    (void)data;
    (void)len; /* Nothing comes back on a peer's stream. */
}

static void on_peer_closed(struct rpc_stream *stream,
                           const struct rpc_result *result)
{
    struct peer *peer = container_of(stream, struct peer, stream);

    peer->open = false;
    if (peer->connected && !peer->node->stopping) {
        peer->connected = false;
        log_warn("peer.lost", "node=%" PRIu64 " code=%s reason=\"%s\"",
                 peer->id, rpc_code_name(result->code), result->message);
    }
}

static const struct rpc_stream_ops peer_ops = {
    .message = on_peer_message,
    .closed = on_peer_closed,
};

static void open_stream(struct peer *peer)
{
    const Holdfast__V1__NodeConfig *config = peer->node->config;
    char from[24];
    char to[24];
    const char *metadata[] = {
        "holdfast-node",   from,           "holdfast-to", to,
        "holdfast-region", config->region, NULL};

    snprintf(from, sizeof(from), "%" PRIu64, peer->node->self->id);
    snprintf(to, sizeof(to), "%" PRIu64, peer->id);
    peer->open = true;
    rpc_stream_open(peer->channel, &peer->stream, &peer_ops, PEER_PATH, 0,
                    metadata);
}

static struct peer *peer_of(struct peers *peers, uint64_t id)
{
    for (size_t i = 0; i < peers->count; i++) {
        if (peers->peers[i].id == id) {
            return &peers->peers[i];
        }
    }
    return NULL;
}

static void send_message(struct replica_transport *transport, uint64_t to,
                         const uint8_t *data, size_t len)
{
    struct peers *peers = container_of(transport, struct peers, transport);
    struct peer *peer = peer_of(peers, to);

    if (peer == NULL || !peer->open ||
        rpc_stream_queued(&peer->stream) + len > PEER_QUEUE_MAX) {
        return;
    }
    rpc_stream_send_raw(&peer->stream, data, len);
}

static size_t unsent(struct replica_transport *transport, uint64_t to)
{
    struct peers *peers = container_of(transport, struct peers, transport);
    struct peer *peer = peer_of(peers, to);

    return peer == NULL || !peer->open ? 0 : rpc_stream_queued(&peer->stream);
}

static void inbound_raw(struct rpc_handler *handler, const uint8_t *data,
                        size_t len)
{
    struct inbound *inbound = container_of(handler, struct inbound, handler);
    struct node *node = inbound->node;
    struct peer *peer = peer_of(node->peers, inbound->from);

    CHECK(peer != NULL); /* open_inbound() lets in members only. */
    if (!node->stopping) {
        struct engine_time now = node_time();

        peer->silent_ticks = 0;
        engine_receive(&node->engine, inbound->from, data, len, &now);
    }
}

static void inbound_half_closed(struct rpc_handler *handler)
{
    struct inbound *inbound = container_of(handler, struct inbound, handler);

    rpc_call_finish(inbound->call, RPC_OK, "%s", "");
}

static void inbound_closed(struct rpc_handler *handler)
{
    free(container_of(handler, struct inbound, handler));
}

static const struct rpc_handler_ops inbound_ops = {
    .raw = inbound_raw,
    .half_closed = inbound_half_closed,
    .closed = inbound_closed,
};

static uint64_t number_of(const char *text)
{
    return text == NULL ? 0 : strtoull(text, NULL, 10);
}

/* Without TLS a peer is who it says it is; loopback only. With it, its
 * certificate names its id, or, of another PKI, its name. */
static bool is_peer(const struct rpc_call *call,
                    const Holdfast__V1__NodeMember *member)
{
    const struct tls_identity *identity = rpc_call_identity(call);
    char id[24];

    if (identity == NULL) {
        return true;
    }
    snprintf(id, sizeof(id), "%" PRIu64, member->id);
    return identity->role == TLS_ROLE_NODE &&
           strcmp(identity->name, identity->from_uri ? id : member->name) == 0;
}

static struct rpc_handler *open_inbound(struct rpc_service *service,
                                        const struct rpc_method *method,
                                        struct rpc_call *call)
{
    struct node *node = container_of(service, struct node, peer_service);
    const char *region = rpc_call_metadata(call, "holdfast-region");
    uint64_t from = number_of(rpc_call_metadata(call, "holdfast-node"));
    uint64_t to = number_of(rpc_call_metadata(call, "holdfast-to"));
    struct inbound *inbound;

    (void)method;
    if (region == NULL || strcmp(region, node->config->region) != 0 ||
        to != node->self->id) {
        rpc_call_finish(call, RPC_FAILED_PRECONDITION,
                        "this is node %" PRIu64 " of region '%s'",
                        node->self->id, node->config->region);
        return NULL;
    }
    if (node_member(node, from) == NULL || from == node->self->id) {
        rpc_call_finish(call, RPC_UNAUTHENTICATED,
                        "node %" PRIu64 " is not a member", from);
        return NULL;
    }
    if (!is_peer(call, node_member(node, from))) {
        log_warn("peer.refused", "node=%" PRIu64 " peer=%s certificate=\"%s\"",
                 from, rpc_call_peer(call), rpc_call_identity(call)->name);
        rpc_call_finish(call, RPC_PERMISSION_DENIED,
                        "the certificate is not that of node %" PRIu64, from);
        return NULL;
    }
    inbound = memory_alloc(sizeof(*inbound));
    inbound->handler.ops = &inbound_ops;
    inbound->node = node;
    inbound->call = call;
    inbound->from = from;
    return &inbound->handler;
}

struct peers *peers_create(struct node *node)
{
    static struct rpc_method method = {
        .path = PEER_PATH,
        .input = &holdfast__v1__peer_message__descriptor,
        .output = &holdfast__v1__peer_message__descriptor,
        .client_streams = true,
        .server_streams = true,
    };
    struct peers *peers = memory_alloc(sizeof(*peers));

    peers->transport = (struct replica_transport){send_message, unsent};
    peers->node = node;
    peers->peers =
        memory_alloc_array(node->config->n_nodes, sizeof(*peers->peers));
    for (size_t i = 0; i < node->config->n_nodes; i++) {
        const Holdfast__V1__NodeMember *member = node->config->nodes[i];
        struct peer *peer = &peers->peers[peers->count];

        if (member->id == node->self->id) {
            continue;
        }
        peer->node = node;
        peer->id = member->id;
        peer->channel = rpc_channel_create(node->loop, member->address,
                                           clock_boot_ns() ^ member->id);
        if (node->tls != NULL) {
            char name[24];

            snprintf(name, sizeof(name), "%" PRIu64, member->id);
            rpc_channel_use_tls(peer->channel, node->tls, name, member->name);
        }
        peers->count++;
    }
    node->peer_service.open = open_inbound;
    method.service = &node->peer_service;
    rpc_server_add(node->server, &method);
    return peers;
}

void peers_destroy(struct peers *peers)
{
    for (size_t i = 0; i < peers->count; i++) {
        rpc_channel_destroy(peers->peers[i].channel);
    }
    /* The streams' memory is used until the loop has run them out, and the
     * process ends then. */
}

struct replica_transport *peers_transport(struct peers *peers)
{
    return &peers->transport;
}

struct rpc_channel *peers_channel(struct peers *peers, uint64_t id)
{
    struct peer *peer = peer_of(peers, id);

    return peer == NULL ? NULL : peer->channel;
}

static bool is_silent(const struct peer *peer)
{
    uint64_t wait_ms = 2 * (uint64_t)peer->node->config->election_timeout_ms;

    if (wait_ms < PEER_SILENT_MS_MIN) {
        wait_ms = PEER_SILENT_MS_MIN;
    }
    return peer->silent_ticks * (uint64_t)NODE_TICK_MS > wait_ms;
}

bool peers_answer(const struct peers *peers, uint64_t id)
{
    for (size_t i = 0; i < peers->count; i++) {
        if (peers->peers[i].id == id) {
            return rpc_channel_connected(peers->peers[i].channel) &&
                   !is_silent(&peers->peers[i]);
        }
    }
    return true;
}

void peers_tick(struct peers *peers)
{
    for (size_t i = 0; i < peers->count; i++) {
        struct peer *peer = &peers->peers[i];

        peer->silent_ticks =
            node_leads(peer->node) ? peer->silent_ticks + 1 : 0;
        if (!peer->open) {
            open_stream(peer);
        } else if (!peer->connected && rpc_channel_connected(peer->channel)) {
            peer->connected = true;
            log_info("peer.connected", "node=%" PRIu64 " address=%s", peer->id,
                     rpc_channel_address(peer->channel));
        }
    }
}
