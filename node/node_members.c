/* SPDX-License-Identifier: Apache-2.0
 *
 * Adding, promoting and removing nodes: the leader's view of the members to
 * membership.h, what it decides to the replica, the outcome to the caller. */
#include "base/check.h"
#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"
#include "node/api_check.h"
#include "node/api_errors.h"
#include "node/caller.h"
#include "node/membership.h"
#include "node/node.h"
#include "node/peers.h"
#include "rpc/address.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <holdfast/v1/cluster_service.pb-c.h>

enum { MEMBERS_ADD, MEMBERS_PROMOTE, MEMBERS_REMOVE, MEMBERS_COUNT };

static struct rpc_method member_methods[MEMBERS_COUNT];

struct members_call {
    struct rpc_handler handler;
    struct replica_reconfigure reconfigure;
    struct node *node;
    struct rpc_call *call; /* NULL: it has ended. */
    const struct rpc_method *method;
    bool changing;
    struct membership_change change;
};

static void free_if_done(struct members_call *call)
{
    if (call->call == NULL && !call->changing) {
        free(call);
    }
}

static void refuse(struct members_call *call, const struct api_reply *reply)
{
    rpc_call_trailer(call->call, "holdfast-reason", reply->reason);
    rpc_call_finish(call->call, reply->code, "%s", reply->message);
}

static void refuse_plainly(struct members_call *call, enum api_error error)
{
    const struct api_error_entry *entry = api_error_entry(error);

    rpc_call_trailer(call->call, "holdfast-reason", entry->reason);
    rpc_call_trailer(call->call, "grpc-retry-pushback-ms", "200");
    rpc_call_finish(call->call, entry->code, "%s %s", entry->meaning,
                    entry->cure);
}

static void look_at_members(const struct node *node, struct members *members,
                            struct membership *now)
{
    struct replica_status status;

    memset(now, 0, sizeof(*now));
    roster_region(members, node->engine.replica, node->config);
    replica_status(node->engine.replica, &status);
    now->members = members;
    now->self = node->self->id;
    for (size_t i = 0; i < members->count; i++) {
        uint64_t id = members->items[i].id;

        now->seen[i].answers = peers_answer(node->peers, id);
        for (size_t j = 0; j < status.peer_count; j++) {
            if (status.peers[j].id == id) {
                now->seen[i].snapshot = status.peers[j].snapshot;
                now->seen[i].lag_entries = status.peers[j].lag_entries;
            }
        }
    }
}

/* The three responses are laid out the same. */
static void answer(struct members_call *call)
{
    struct member *member = &call->change.member;
    Holdfast__V1__AddNodeResponse response =
        HOLDFAST__V1__ADD_NODE_RESPONSE__INIT;
    Holdfast__V1__PromoteNodeResponse promoted =
        HOLDFAST__V1__PROMOTE_NODE_RESPONSE__INIT;
    Holdfast__V1__RemoveNodeResponse removed =
        HOLDFAST__V1__REMOVE_NODE_RESPONSE__INIT;
    uint64_t revision = state_revision(call->node->engine.state);
    Holdfast__V1__Node view;

    holdfast__v1__node__init(&view);
    view.name = member->name;
    view.id = member->id;
    view.zone = member->zone;
    view.address = member->address;
    view.role = HOLDFAST__V1__ROLE__ROLE_FOLLOWER;
    view.membership = member->role == REPLICA_VOTER
                          ? HOLDFAST__V1__MEMBERSHIP__MEMBERSHIP_VOTER
                          : HOLDFAST__V1__MEMBERSHIP__MEMBERSHIP_STANDBY;
    response.node = promoted.node = removed.node = &view;
    response.note = promoted.note = removed.note = call->change.note;
    response.revision = promoted.revision = removed.revision = revision;
    rpc_call_send(call->call, call->method == &member_methods[MEMBERS_ADD]
                                  ? &response.base
                              : call->method == &member_methods[MEMBERS_PROMOTE]
                                  ? &promoted.base
                                  : &removed.base);
    rpc_call_finish(call->call, RPC_OK, "%s", "");
}

static void decided(struct replica_reconfigure *reconfigure,
                    enum replica_outcome outcome, uint64_t index)
{
    struct members_call *call =
        container_of(reconfigure, struct members_call, reconfigure);

    call->changing = false;
    log_info("members.changed",
             "method=%s node=%s id=%" PRIu64 " outcome=%s index=%" PRIu64,
             strrchr(call->method->path, '/') + 1, call->change.member.name,
             call->change.member.id,
             outcome == REPLICA_COMMITTED ? "committed"
             : outcome == REPLICA_REFUSED ? "refused"
                                          : "unknown",
             index);
    if (call->call != NULL) {
        if (outcome == REPLICA_COMMITTED) {
            answer(call);
        } else if (outcome == REPLICA_REFUSED) {
            node_refuse_no_leader(call->call);
        } else {
            refuse_plainly(call, API_OUTCOME_UNKNOWN);
        }
    }
    free_if_done(call);
}

static bool check_wanted(const Holdfast__V1__AddNodeRequest *request,
                         struct member *wanted, struct api_reply *reply)
{
    struct sockaddr_storage where;

    if (!api_check_name(reply, "name", request->name) ||
        (request->zone[0] != '\0' &&
         !api_check_name(reply, "zone", request->zone)) ||
        !api_check_range(reply, "id", request->id, 1,
                         RAFT_NUMBER_MAX * 2 - 1)) {
        return false;
    }
    if (strlen(request->address) >= sizeof(wanted->address) ||
        rpc_address_parse(request->address, &where) != 0) {
        api_fail(reply, API_INVALID_FIELD,
                 "address: '%.80s' is not IPv4:port or [IPv6]:port",
                 request->address);
        return false;
    }
    *wanted = (struct member){.id = request->id};
    memcpy(wanted->name, request->name, strlen(request->name));
    memcpy(wanted->zone, request->zone, strlen(request->zone));
    memcpy(wanted->address, request->address, strlen(request->address));
    return true;
}

static enum membership_verdict judge(struct members_call *call,
                                     const ProtobufCMessage *message,
                                     bool *dry_run, struct api_reply *reply)
{
    struct members members;
    struct membership now;

    look_at_members(call->node, &members, &now);
    if (call->method == &member_methods[MEMBERS_ADD]) {
        const Holdfast__V1__AddNodeRequest *request = (const void *)message;
        struct member wanted;

        *dry_run = request->dry_run;
        return check_wanted(request, &wanted, reply)
                   ? membership_add(&now, &wanted, &call->change, reply)
                   : MEMBERSHIP_REFUSED;
    }
    if (call->method == &member_methods[MEMBERS_PROMOTE]) {
        const Holdfast__V1__PromoteNodeRequest *request = (const void *)message;

        *dry_run = request->dry_run;
        return membership_promote(&now, request->name, &call->change, reply);
    }
    const Holdfast__V1__RemoveNodeRequest *request = (const void *)message;

    *dry_run = request->dry_run;
    return membership_remove(&now, request->name, request->allow_fewer_voters,
                             &call->change, reply);
}

static void change_members(struct members_call *call)
{
    int rv;

    call->changing = true;
    rv = replica_reconfigure(call->node->engine.replica, &call->change.next,
                             &call->reconfigure, decided);
    if (rv == 0) {
        node_pump(call->node);
        return;
    }
    call->changing = false;
    CHECK(rv != HF_ERROR_INVALID); /* membership.h makes none such. */
    if (rv == HF_ERROR_BUSY) {
        refuse_plainly(call, API_MEMBERS_CHANGING);
    } else {
        node_refuse_no_leader(call->call);
    }
}

static void on_message(struct rpc_handler *handler,
                       const ProtobufCMessage *message)
{
    struct members_call *call =
        container_of(handler, struct members_call, handler);
    struct access_subject subject;
    struct api_reply reply;
    bool dry_run = false;

    caller_subject(call->call, &subject);
    if (!caller_allow(call->node, call->call, &subject)) {
        return;
    }
    if (!node_leads(call->node)) {
        node_refuse_no_leader(call->call);
        return;
    }
    if (!replica_members_committed(call->node->engine.replica)) {
        refuse_plainly(call, API_MEMBERS_CHANGING);
        return;
    }
    api_reply_init(&reply);
    switch (judge(call, message, &dry_run, &reply)) {
    case MEMBERSHIP_REFUSED:
        refuse(call, &reply);
        break;
    case MEMBERSHIP_ALREADY:
        answer(call);
        break;
    case MEMBERSHIP_CHANGES:
        if (dry_run) {
            answer(call);
        } else {
            change_members(call);
        }
        break;
    }
    api_reply_close(&reply);
}

static void on_closed(struct rpc_handler *handler)
{
    struct members_call *call =
        container_of(handler, struct members_call, handler);

    call->call = NULL;
    free_if_done(call);
}

static const struct rpc_handler_ops handler_ops = {
    .message = on_message,
    .closed = on_closed,
};

static struct rpc_handler *open_call(struct rpc_service *service,
                                     const struct rpc_method *method,
                                     struct rpc_call *rpc_call)
{
    struct members_call *call = memory_alloc(sizeof(*call));

    call->handler.ops = &handler_ops;
    call->node = container_of(service, struct node, membership);
    call->call = rpc_call;
    call->method = method;
    return &call->handler;
}

void node_members_open(struct node *node)
{
    static const struct rpc_method methods[MEMBERS_COUNT] = {
        [MEMBERS_ADD] = {.path = "/holdfast.v1.ClusterService/AddNode",
                         .input = &holdfast__v1__add_node_request__descriptor,
                         .output =
                             &holdfast__v1__add_node_response__descriptor},
        [MEMBERS_PROMOTE] =
            {.path = "/holdfast.v1.ClusterService/PromoteNode",
             .input = &holdfast__v1__promote_node_request__descriptor,
             .output = &holdfast__v1__promote_node_response__descriptor},
        [MEMBERS_REMOVE] =
            {.path = "/holdfast.v1.ClusterService/RemoveNode",
             .input = &holdfast__v1__remove_node_request__descriptor,
             .output = &holdfast__v1__remove_node_response__descriptor},
    };

    node->membership.open = open_call;
    for (int i = 0; i < MEMBERS_COUNT; i++) {
        member_methods[i] = methods[i];
        member_methods[i].service = &node->membership;
        rpc_server_add(node->server, &member_methods[i]);
    }
}
