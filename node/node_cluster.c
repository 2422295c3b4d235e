/* SPDX-License-Identifier: Apache-2.0
 *
 * What a node says of itself and the region, also without a quorum; handing
 * leadership over; and the router that passes calls on to the leader. */
#include "base/check.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"
#include "node/api_errors.h"
#include "node/caller.h"
#include "node/membership.h"
#include "node/node.h"
#include "node/peers.h"
#include "rpc/proxy.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <holdfast/v1/cluster_service.pb-c.h>

enum { LOCAL_STATUS, LOCAL_NODES, LOCAL_TRANSFER, LOCAL_COUNT };

static struct rpc_method local_methods[LOCAL_COUNT];

struct local_call {
    struct rpc_handler handler;
    struct replica_transfer transfer;
    struct node *node;
    struct rpc_call *call;
    const struct rpc_method *method;
    bool transferring;
};

void node_refuse_no_leader(struct rpc_call *call)
{
    const struct api_error_entry *entry = api_error_entry(API_NO_LEADER);

    rpc_call_trailer(call, "holdfast-reason", entry->reason);
    rpc_call_trailer(call, "grpc-retry-pushback-ms", "200");
    rpc_call_finish(call, entry->code, "%s %s", entry->meaning, entry->cure);
}

static void fill_role(const struct node *node, const struct member *member,
                      const struct replica_status *status,
                      Holdfast__V1__Node *view)
{
    bool is_self = member->id == node->self->id;

    view->role = HOLDFAST__V1__ROLE__ROLE_FOLLOWER;
    if (member->id == status->leadership.leader) {
        view->role = HOLDFAST__V1__ROLE__ROLE_LEADER;
    } else if (is_self && status->leadership.state == REPLICA_CANDIDATE) {
        view->role = HOLDFAST__V1__ROLE__ROLE_CANDIDATE;
    } else if (!is_self && !peers_answer(node->peers, member->id)) {
        view->role = HOLDFAST__V1__ROLE__ROLE_UNREACHABLE;
    }
}

/* A node, with what its fields point to. */
struct node_view {
    Holdfast__V1__Node node;
    Holdfast__V1__RoundTrip round_trip;
};

static void fill_round_trip(const struct node *node, uint64_t id,
                            struct node_view *view)
{
    struct rpc_round_trip took = peers_round_trip(node->peers, id);

    holdfast__v1__round_trip__init(&view->round_trip);
    if (took.count > 0) {
        view->round_trip.count = took.count;
        view->round_trip.min_us = took.min_us;
        view->round_trip.median_us = took.median_us;
        view->round_trip.max_us = took.max_us;
        view->node.round_trip = &view->round_trip;
    }
}

/* `member` lives until the view is sent. */
static void fill_node(const struct node *node, struct member *member,
                      const struct replica_status *status,
                      struct node_view *filled)
{
    Holdfast__V1__Node *view = &filled->node;

    holdfast__v1__node__init(view);
    view->name = member->name;
    view->id = member->id;
    view->zone = member->zone;
    view->address = member->address;
    view->membership =
        node_member(node, member->id) == NULL || !node->roster.from_region
            ? HOLDFAST__V1__MEMBERSHIP__MEMBERSHIP_JOINING
        : member->role == REPLICA_VOTER
            ? HOLDFAST__V1__MEMBERSHIP__MEMBERSHIP_VOTER
            : HOLDFAST__V1__MEMBERSHIP__MEMBERSHIP_STANDBY;
    fill_role(node, member, status, view);
    for (size_t i = 0; i < status->peer_count; i++) {
        if (status->peers[i].id == member->id) {
            view->lag_entries = status->peers[i].lag_entries;
            view->catching_up =
                status->peers[i].snapshot ||
                status->peers[i].lag_entries > MEMBERSHIP_LAG_MAX;
        }
    }
    fill_round_trip(node, member->id, filled);
}

static void fill_disk(const struct replica_status *status,
                      Holdfast__V1__DiskWrites *disk)
{
    holdfast__v1__disk_writes__init(disk);
    disk->count = (uint32_t)status->disk_recent_count;
    disk->mean_us = (uint32_t)status->disk_recent_mean_us;
    disk->max_us = (uint32_t)status->disk_recent_max_us;
}

/* What the state is counted by. */
static void fill_counts(const struct state *state,
                        Holdfast__V1__GetStatusResponse *response)
{
    const struct state_counts *counts = state_counts(state);

    response->zone_count = counts->zones;
    response->host_count = counts->hosts;
    response->host_up_count = counts->hosts_up;
    response->vm_count = counts->vms;
    response->revision = state_revision(state);
    response->state_hash = state_hash(state);
    response->state_format = state_format(state);
}

/* Also of one that is no member yet. */
static void self_as_member(const struct node *node, struct member *self)
{
    const struct member *known = node_member(node, node->self->id);

    *self = (struct member){.id = node->self->id};
    if (known != NULL) {
        *self = *known;
        return;
    }
    snprintf(self->name, sizeof(self->name), "%s", node->self->name);
    snprintf(self->zone, sizeof(self->zone), "%s", node->self->zone);
    snprintf(self->address, sizeof(self->address), "%s", node->self->address);
}

static uint32_t generation(const struct node *node)
{
    return node->roster.from_region ? node->roster.members.generation : 0;
}

static void answer_status(struct local_call *call)
{
    struct node *node = call->node;
    Holdfast__V1__GetStatusResponse response =
        HOLDFAST__V1__GET_STATUS_RESPONSE__INIT;
    const struct state *state = node->engine.state;
    const struct member *known;
    struct member leader;
    struct member own;
    struct replica_status status;
    uint32_t states[VM_STATE_COUNT];
    Holdfast__V1__DiskWrites disk;
    struct node_view self;
    char version[] = NODE_VERSION;
    char region_id[REGION_TEXT_BYTES];

    replica_status(node->engine.replica, &status);
    known = node_member(node, status.leadership.leader);
    self_as_member(node, &own);
    fill_node(node, &own, &status, &self);
    response.region = node->config->region;
    response.node = &self.node;
    if (known != NULL) {
        leader = *known;
        response.leader = leader.name;
        response.leader_address = leader.address;
    }
    /* A leader that loses its majority steps down within an election timeout,
     * and a follower forgets its leader likewise. */
    response.quorum = known != NULL;
    response.generation = generation(node);
    response.applied_index = status.applied_index;
    response.term = status.leadership.term;
    response.version = version;
    response.storm = node->engine.judge.storm;
    fill_counts(state, &response);
    memcpy(states, state_counts(state)->vms_by_state, sizeof(states));
    response.vm_state_counts = states;
    response.n_vm_state_counts = VM_STATE_COUNT;
    region_text(state_region(state), region_id);
    response.region_id = region_id;
    response.http_address = node->config->http_listen;
    fill_disk(&status, &disk);
    response.disk = &disk;
    response.uptime_ms = clock_boot_ms() - node->started_ms;
    response.wall_time_ms = clock_wall_ms();
    rpc_call_send(call->call, &response.base);
    rpc_call_finish(call->call, RPC_OK, "%s", "");
}

static void answer_nodes(struct local_call *call)
{
    struct node *node = call->node;
    struct members members = node->roster.members;
    size_t count = members.count;
    Holdfast__V1__ListNodesResponse response =
        HOLDFAST__V1__LIST_NODES_RESPONSE__INIT;
    struct node_view *views = memory_alloc_array(count, sizeof(*views));
    Holdfast__V1__Node **pointers =
        memory_alloc_array(count, sizeof(*pointers));
    struct replica_status status;

    replica_status(node->engine.replica, &status);
    for (size_t i = 0; i < count; i++) {
        fill_node(node, &members.items[i], &status, &views[i]);
        pointers[i] = &views[i].node;
    }
    response.nodes = pointers;
    response.n_nodes = count;
    response.generation = generation(node);
    response.members_revision = replica_members_index(node->engine.replica);
    response.revision = state_revision(node->engine.state);
    rpc_call_send(call->call, &response.base);
    rpc_call_finish(call->call, RPC_OK, "%s", "");
    free(pointers);
    free(views);
}

static void local_free(struct local_call *call)
{
    if (call->call == NULL && !call->transferring) {
        free(call);
    }
}

static void transfer_done(struct replica_transfer *transfer, int status)
{
    struct local_call *call =
        container_of(transfer, struct local_call, transfer);
    Holdfast__V1__TransferLeadershipResponse response =
        HOLDFAST__V1__TRANSFER_LEADERSHIP_RESPONSE__INIT;
    const struct member *known =
        node_member(call->node, call->node->engine.leadership.leader);
    struct member leader;

    call->transferring = false;
    if (call->call != NULL && status == 0) {
        if (known != NULL) {
            leader = *known;
            response.leader = leader.name;
        }
        response.revision = state_revision(call->node->engine.state);
        rpc_call_send(call->call, &response.base);
        rpc_call_finish(call->call, RPC_OK, "%s", "");
    } else if (call->call != NULL) {
        const struct api_error_entry *entry =
            api_error_entry(API_TRANSFER_REFUSED);

        rpc_call_trailer(call->call, "holdfast-reason", entry->reason);
        rpc_call_finish(call->call, entry->code, "%s %s", entry->meaning,
                        entry->cure);
    }
    local_free(call);
}

static void begin_transfer(
    struct local_call *call,
    const Holdfast__V1__TransferLeadershipRequest *request)
{
    struct node *node = call->node;
    uint64_t to = 0;

    for (size_t i = 0; i < node->roster.members.count; i++) {
        if (strcmp(node->roster.members.items[i].name, request->node) == 0) {
            to = node->roster.members.items[i].id;
        }
    }
    if (request->node[0] != '\0' && to == 0) {
        const struct api_error_entry *entry =
            api_error_entry(API_NODE_NOT_FOUND);

        rpc_call_trailer(call->call, "holdfast-reason", entry->reason);
        rpc_call_finish(call->call, entry->code, "there is no node '%s'",
                        request->node);
        return;
    }
    if (to == node->self->id) {
        transfer_done(&call->transfer, 0); /* It leads already. */
        return;
    }
    call->transferring = true;
    if (replica_transfer(node->engine.replica, to, &call->transfer,
                         transfer_done) != 0) {
        call->transferring = false;
        transfer_done(&call->transfer, HF_ERROR_BUSY);
    }
    node_pump(node);
}

static void on_message(struct rpc_handler *handler,
                       const ProtobufCMessage *message)
{
    struct local_call *call = container_of(handler, struct local_call, handler);
    struct access_subject subject;

    caller_subject(call->call, &subject);
    if (!caller_allow(call->node, call->call, &subject)) {
        return;
    }
    if (call->method == &local_methods[LOCAL_STATUS]) {
        answer_status(call);
    } else if (call->method == &local_methods[LOCAL_NODES]) {
        answer_nodes(call);
    } else if (!node_leads(call->node)) {
        node_refuse_no_leader(call->call);
    } else {
        begin_transfer(call, (const Holdfast__V1__TransferLeadershipRequest
                                  *)(const void *)message);
    }
}

static void on_closed(struct rpc_handler *handler)
{
    struct local_call *call = container_of(handler, struct local_call, handler);

    call->call = NULL;
    local_free(call);
}

static const struct rpc_handler_ops handler_ops = {
    .message = on_message,
    .closed = on_closed,
};

static struct rpc_handler *open_call(struct rpc_service *service,
                                     const struct rpc_method *method,
                                     struct rpc_call *rpc_call)
{
    struct local_call *call = memory_alloc(sizeof(*call));

    call->handler.ops = &handler_ops;
    call->node = container_of(service, struct node, local);
    call->call = rpc_call;
    call->method = method;
    return &call->handler;
}

void node_cluster_open(struct node *node)
{
    static const struct rpc_method methods[LOCAL_COUNT] = {
        [LOCAL_STATUS] = {.path = "/holdfast.v1.ClusterService/GetStatus",
                          .input =
                              &holdfast__v1__get_status_request__descriptor,
                          .output =
                              &holdfast__v1__get_status_response__descriptor},
        [LOCAL_NODES] = {.path = "/holdfast.v1.ClusterService/ListNodes",
                         .input = &holdfast__v1__list_nodes_request__descriptor,
                         .output =
                             &holdfast__v1__list_nodes_response__descriptor},
        [LOCAL_TRANSFER] =
            {.path = "/holdfast.v1.ClusterService/TransferLeadership",
             .input = &holdfast__v1__transfer_leadership_request__descriptor,
             .output = &holdfast__v1__transfer_leadership_response__descriptor},
    };

    node->local.open = open_call;
    for (int i = 0; i < LOCAL_COUNT; i++) {
        local_methods[i] = methods[i];
        local_methods[i].service = &node->local;
        rpc_server_add(node->server, &local_methods[i]);
    }
}

/* Mutations, sessions and transfers are the leader's alone. Reads are looked
 * at first (node_api.c), the rest is served here. */
static bool is_for_leader(const struct node *node,
                          const struct rpc_method *method)
{
    return method->service == &node->agents ||
           method->service == &node->membership ||
           method == &local_methods[LOCAL_TRANSFER];
}

struct rpc_handler *node_pass_on(struct rpc_call *call,
                                 struct rpc_channel *channel)
{
    char text[CALLER_TEXT_BYTES];
    char end[24];
    const char *marks[] = {NODE_FORWARD_KEY,
                           "1",
                           NODE_CALLER_KEY,
                           text,
                           NODE_CALLER_END_KEY,
                           end,
                           NULL};
    struct caller caller;

    /* It was admitted, so what it says of its caller is true. */
    CHECK(caller_find(call, &caller));
    caller_text(&caller, text);
    snprintf(end, sizeof(end), "%" PRIu64, caller_certificate_end(call));
    return rpc_proxy_open(call, channel, marks);
}

static struct rpc_handler *route(struct rpc_router *router,
                                 struct rpc_call *call)
{
    struct node *node = container_of(router, struct node, router);
    struct rpc_handler *proxy;
    struct rpc_channel *channel;

    if (!caller_admit(node, call) || !caller_limit(node, call) ||
        node_leads(node) || !is_for_leader(node, rpc_call_method(call))) {
        return NULL;
    }
    channel = peers_channel(node->peers, node->engine.leadership.leader);
    if (channel == NULL || rpc_call_metadata(call, NODE_FORWARD_KEY) != NULL) {
        node_refuse_no_leader(call);
        return NULL;
    }
    proxy = node_pass_on(call, channel);
    if (rpc_call_method(call)->service == &node->agents) {
        rpc_proxy_join(proxy, &node->sessions_forwarded);
    }
    return proxy;
}

/* A leader that fell silent ends nothing by itself, and its machine may not
 * even close its connections. A host whose session still goes there would
 * learn of the new leader only when its lease is nearly over. */
void node_route_drop(struct node *node)
{
    const struct api_error_entry *entry = api_error_entry(API_NO_LEADER);

    rpc_proxy_end_all(&node->sessions_forwarded, entry->code, entry->reason,
                      "leadership moved: open the session again");
}

void node_route_open(struct node *node)
{
    list_init(&node->sessions_forwarded);
    node->router.route = route;
    rpc_server_route(node->server, &node->router);
}
