/* SPDX-License-Identifier: Apache-2.0 */
#include "node/peers.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "rpc/address.h"
#include "rpc/message.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <holdfast/v1/peer.pb-c.h>

#define PEER_PATH "/holdfast.v1.PeerService/Stream"

/* Why a stream is refused for good, and of a node that has nothing yet. */
#define PEER_REASON_KEY "holdfast-reason"
#define PEER_EMPTY_KEY  "holdfast-empty"

static const char *const end_reasons[] = {
    [NODE_REMOVED] = "NODE_REMOVED",
    [NODE_LEFT_BEHIND] = "NODE_LEFT_BEHIND",
    [NODE_LOST_DATA] = "NODE_LOST_DATA",
};

/* Unsent messages to one peer: raft repeats what is dropped, so a black hole
 * must not fill memory (a leader grew to 3.7 GB in 60 s of it). */
#define PEER_QUEUE_MAX (8u << 20)

/* Other nodes answer each of the leader's heartbeats. One that is silent for
 * two election timeouts, or this long, is not reached, whatever its connection
 * says: a tunnel takes connections for a machine that is gone, the kernel for
 * a process that hangs. Counted in ticks, for a pause of our own is not
 * theirs. */
#define PEER_SILENT_MS_MIN 1000

/* Members, and nodes that we have not heard of yet: each twice while one goes
 * and the other comes. */
#define PEERS_MAX (2 * RAFT_MEMBERS_MAX)
/* Once in 4 s: what is known of round trips is then about a minute old at
 * most, and costs next to nothing. */
#define PEER_MEASURE_TICKS (4000 / NODE_TICK_MS)

struct peer {
    struct rpc_stream stream;
    struct node *node;
    struct rpc_channel *channel;
    uint64_t id;
    char name[RAFT_REGION_BYTES_MAX + 1];
    char address[MEMBER_ADDRESS_BYTES];
    uint32_t silent_ticks; /* While we lead, since it sent anything. */
    bool open;
    bool connected; /* As last logged. */
    bool dropped;   /* Freed when its stream has ended. */
};

struct peers {
    struct replica_transport transport;
    struct node *node;
    struct peer *peers[PEERS_MAX];
    size_t count;
    struct list inbounds;
    bool changed; /* The roster, since the last tick. */
    uint64_t ticks;
};

/* What another node sends us. */
struct inbound {
    struct rpc_handler handler;
    struct list link;
    struct node *node;
    struct rpc_call *call;
    uint64_t from;
    bool ended; /* By us. */
};

static void on_peer_message(struct rpc_stream *stream, const uint8_t *data,
                            size_t len)
{
    (void)stream;
    (void)data;
    (void)len; /* Nothing comes back on a peer's stream. */
}

/* What a refusal says of us is believed: its server has proved to be that
 * node. */
static void hear_refusal(const struct peer *peer,
                         const struct rpc_result *result)
{
    const char *reason =
        result->trailers == NULL
            ? NULL
            : rpc_headers_get(result->trailers, PEER_REASON_KEY);

    for (int end = NODE_REMOVED; reason != NULL && end <= NODE_LOST_DATA;
         end++) {
        if (strcmp(reason, end_reasons[end]) == 0) {
            node_ends(peer->node, (enum node_end)end, peer->name);
        }
    }
}

static void on_peer_closed(struct rpc_stream *stream,
                           const struct rpc_result *result)
{
    struct peer *peer = container_of(stream, struct peer, stream);

    peer->open = false;
    if (peer->dropped) {
        free(peer);
        return;
    }
    if (!peer->node->stopping) {
        hear_refusal(peer, result);
    }
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
    const struct node *node = peer->node;
    char from[24];
    char to[24];
    char generation[16];
    const char *metadata[] = {"holdfast-node",
                              from,
                              "holdfast-to",
                              to,
                              "holdfast-region",
                              node->config->region,
                              "holdfast-name",
                              node->self->name,
                              "holdfast-address",
                              node->self->address,
                              "holdfast-generation",
                              generation,
                              PEER_EMPTY_KEY,
                              node->roster.from_region ? "0" : "1",
                              NULL};

    snprintf(from, sizeof(from), "%" PRIu64, node->self->id);
    snprintf(to, sizeof(to), "%" PRIu64, peer->id);
    snprintf(generation, sizeof(generation), "%" PRIu32,
             roster_generation(&node->roster, node->self->id));
    peer->open = true;
    rpc_stream_open(peer->channel, &peer->stream, &peer_ops, PEER_PATH, 0,
                    metadata);
}

static struct peer *peer_of(struct peers *peers, uint64_t id)
{
    for (size_t i = 0; i < peers->count; i++) {
        if (peers->peers[i]->id == id) {
            return peers->peers[i];
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

    if (!node->stopping && !inbound->ended) {
        struct engine_time now = node_time();

        if (peer != NULL) {
            peer->silent_ticks = 0;
        }
        engine_receive(&node->engine, inbound->from, data, len, &now);
    }
}

static void inbound_half_closed(struct rpc_handler *handler)
{
    struct inbound *inbound = container_of(handler, struct inbound, handler);

    if (!inbound->ended) {
        rpc_call_finish(inbound->call, RPC_OK, "%s", "");
    }
}

static void inbound_closed(struct rpc_handler *handler)
{
    struct inbound *inbound = container_of(handler, struct inbound, handler);

    list_remove(&inbound->link);
    free(inbound);
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
 * certificate names its id, or, of another PKI, its name: as we know it, or as
 * it says if we have not heard of it. */
static bool is_peer(const struct rpc_call *call, uint64_t from,
                    const struct member *member)
{
    const struct tls_identity *identity = rpc_call_identity(call);
    const char *name = member != NULL
                           ? member->name
                           : rpc_call_metadata(call, "holdfast-name");
    char id[24];

    if (identity == NULL) {
        return true;
    }
    snprintf(id, sizeof(id), "%" PRIu64, from);
    return identity->role == TLS_ROLE_NODE &&
           (identity->from_uri
                ? strcmp(identity->name, id) == 0
                : name != NULL && strcmp(identity->name, name) == 0);
}

/* Whether a node must not be heard any more, for good. */
static bool has_ended(const struct node *node, const struct rpc_call *call,
                      uint64_t from, enum node_end *end)
{
    const char *empty = rpc_call_metadata(call, PEER_EMPTY_KEY);
    const struct roster_claim claim = {
        .id = from,
        .generation = number_of(rpc_call_metadata(call, "holdfast-generation")),
        .empty = empty != NULL && strcmp(empty, "1") == 0};

    return roster_ends(&node->roster, node->engine.replica, node->self->id,
                       &claim, end);
}

static void send_away(struct rpc_call *call, uint64_t from, enum node_end end)
{
    log_warn("peer.ended", "node=%" PRIu64 " peer=%s reason=%s", from,
             rpc_call_peer(call), end_reasons[end]);
    rpc_call_trailer(call, PEER_REASON_KEY, end_reasons[end]);
    rpc_call_finish(call, RPC_FAILED_PRECONDITION,
                    "node %" PRIu64 " is no member of this region", from);
}

static bool check_inbound(struct node *node, struct rpc_call *call,
                          uint64_t from)
{
    const char *region = rpc_call_metadata(call, "holdfast-region");
    uint64_t to = number_of(rpc_call_metadata(call, "holdfast-to"));
    enum node_end end;

    if (region == NULL || strcmp(region, node->config->region) != 0 ||
        to != node->self->id) {
        rpc_call_finish(call, RPC_FAILED_PRECONDITION,
                        "this is node %" PRIu64 " of region '%s'",
                        node->self->id, node->config->region);
        return false;
    }
    if (from == 0 || from == to ||
        (node_member(node, from) == NULL &&
         (rpc_call_metadata(call, "holdfast-name") == NULL ||
          rpc_call_metadata(call, "holdfast-address") == NULL))) {
        rpc_call_finish(call, RPC_UNAUTHENTICATED,
                        "node %" PRIu64 " is not a member, and does not say "
                        "where it is",
                        from);
        return false;
    }
    if (!is_peer(call, from, node_member(node, from))) {
        log_warn("peer.refused", "node=%" PRIu64 " peer=%s certificate=\"%s\"",
                 from, rpc_call_peer(call), rpc_call_identity(call)->name);
        rpc_call_finish(call, RPC_PERMISSION_DENIED,
                        "the certificate is not that of node %" PRIu64, from);
        return false;
    }
    if (has_ended(node, call, from, &end)) {
        send_away(call, from, end);
        return false;
    }
    return true;
}

static void add_peer(struct peers *peers, const struct member *member)
{
    struct node *node = peers->node;
    struct sockaddr_storage where;
    struct peer *peer;

    if (peers->count == PEERS_MAX ||
        rpc_address_parse(member->address, &where) != 0) {
        return;
    }
    peer = memory_alloc(sizeof(*peer));
    peer->node = node;
    peer->id = member->id;
    memcpy(peer->name, member->name, sizeof(peer->name));
    memcpy(peer->address, member->address, sizeof(peer->address));
    peer->channel = rpc_channel_create(node->loop, member->address,
                                       clock_boot_ns() ^ member->id);
    if (node->tls != NULL) {
        char id[24];

        snprintf(id, sizeof(id), "%" PRIu64, member->id);
        rpc_channel_use_tls(peer->channel, node->tls, id, member->name);
    }
    peers->peers[peers->count++] = peer;
}

static void drop_peer(struct peers *peers, size_t place)
{
    struct peer *peer = peers->peers[place];

    log_info("peer.dropped", "node=%" PRIu64 " address=%s", peer->id,
             peer->address);
    peers->peers[place] = peers->peers[--peers->count];
    peer->dropped = true;
    rpc_channel_destroy(peer->channel);
    if (!peer->open) {
        free(peer);
    }
}

/* A member that this one's log does not name yet, a new leader perhaps: it says
 * where it is, so that it can be answered. */
static void meet(struct peers *peers, const struct rpc_call *call,
                 uint64_t from)
{
    const char *name = rpc_call_metadata(call, "holdfast-name");
    const char *address = rpc_call_metadata(call, "holdfast-address");
    struct member member = {.id = from};

    if (peer_of(peers, from) == NULL && name != NULL && address != NULL &&
        strlen(name) < sizeof(member.name) &&
        strlen(address) < sizeof(member.address)) {
        memcpy(member.name, name, strlen(name));
        memcpy(member.address, address, strlen(address));
        add_peer(peers, &member);
    }
}

static struct rpc_handler *open_inbound(struct rpc_service *service,
                                        const struct rpc_method *method,
                                        struct rpc_call *call)
{
    struct node *node = container_of(service, struct node, peer_service);
    uint64_t from = number_of(rpc_call_metadata(call, "holdfast-node"));
    struct inbound *inbound;

    (void)method;
    if (!check_inbound(node, call, from)) {
        return NULL;
    }
    meet(node->peers, call, from);
    inbound = memory_alloc(sizeof(*inbound));
    inbound->handler.ops = &inbound_ops;
    inbound->node = node;
    inbound->call = call;
    inbound->from = from;
    list_init(&inbound->link);
    list_append(&node->peers->inbounds, &inbound->link);
    return &inbound->handler;
}

/* Whether the peer is still to be reached as it is. */
static bool is_wanted(const struct peers *peers, const struct peer *peer)
{
    const struct node *node = peers->node;
    const struct member *member = node_member(node, peer->id);

    if (member == NULL) {
        return roster_reaches(&node->roster, node->engine.replica, peer->id);
    }
    return strcmp(member->name, peer->name) == 0 &&
           strcmp(member->address, peer->address) == 0;
}

/* Whoever was removed while its stream stood hears of it now. */
static void end_inbounds(struct peers *peers)
{
    struct list *at;
    struct list *next;

    list_foreach_safe (at, next, &peers->inbounds) {
        struct inbound *inbound = list_entry(at, struct inbound, link);

        if (!inbound->ended &&
            replica_has_removed(peers->node->engine.replica, inbound->from)) {
            inbound->ended = true;
            send_away(inbound->call, inbound->from, NODE_REMOVED);
        }
    }
}

static void follow_roster(struct peers *peers)
{
    const struct members *members = &peers->node->roster.members;

    peers->changed = false;
    if (peers->node->roster.from_region) {
        end_inbounds(peers);
    }
    for (size_t i = peers->count; i > 0; i--) {
        if (!is_wanted(peers, peers->peers[i - 1])) {
            drop_peer(peers, i - 1);
        }
    }
    for (size_t i = 0; i < members->count; i++) {
        if (members->items[i].id != peers->node->self->id &&
            peer_of(peers, members->items[i].id) == NULL) {
            add_peer(peers, &members->items[i]);
        }
    }
}

void peers_changed(struct peers *peers)
{
    peers->changed = true;
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
    list_init(&peers->inbounds);
    follow_roster(peers);
    node->peer_service.open = open_inbound;
    method.service = &node->peer_service;
    rpc_server_add(node->server, &method);
    return peers;
}

void peers_destroy(struct peers *peers)
{
    for (size_t i = 0; i < peers->count; i++) {
        rpc_channel_destroy(peers->peers[i]->channel);
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
        if (peers->peers[i]->id == id) {
            return rpc_channel_connected(peers->peers[i]->channel) &&
                   !is_silent(peers->peers[i]);
        }
    }
    return id == peers->node->self->id;
}

struct rpc_round_trip peers_round_trip(const struct peers *peers, uint64_t id)
{
    for (size_t i = 0; i < peers->count; i++) {
        if (peers->peers[i]->id == id) {
            return rpc_channel_round_trip(peers->peers[i]->channel);
        }
    }
    return (struct rpc_round_trip){.count = 0};
}

void peers_tick(struct peers *peers)
{
    bool measure = peers->ticks++ % PEER_MEASURE_TICKS == 0;

    if (peers->changed) {
        follow_roster(peers);
    }
    for (size_t i = 0; i < peers->count; i++) {
        struct peer *peer = peers->peers[i];

        peer->silent_ticks =
            node_leads(peer->node) ? peer->silent_ticks + 1 : 0;
        if (measure) {
            rpc_channel_measure(peer->channel);
        }
        if (!peer->open) {
            open_stream(peer);
        } else if (!peer->connected && rpc_channel_connected(peer->channel)) {
            peer->connected = true;
            log_info("peer.connected", "node=%" PRIu64 " address=%s", peer->id,
                     rpc_channel_address(peer->channel));
        }
    }
}
