/* SPDX-License-Identifier: Apache-2.0
 *
 * Adding, promoting and removing nodes over gRPC: who may, what the leader
 * sees of its members, and the answer of member_change.h to the caller. */
#include "base/container.h"
#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"
#include "node/caller.h"
#include "node/member_change.h"
#include "node/node.h"
#include "node/peers.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static struct rpc_method member_methods[MEMBER_CHANGE_KINDS];

struct members_call {
    struct rpc_handler handler;
    struct member_change change;
    struct node *node;
    struct rpc_call *call; /* NULL: it has ended. */
    struct turn_request request;
    const ProtobufCMessage *message;
    struct arena arena; /* Of `message`. */
    bool queued;        /* For the turn that proves leadership. */
    bool changing;
};

static void free_if_done(struct members_call *call)
{
    if (call->call == NULL && !call->queued && !call->changing) {
        arena_close(&call->arena);
        free(call);
    }
}

/* What passes by itself is asked again soon. */
static bool is_passing(const struct api_reply *reply)
{
    return reply->code == RPC_UNAVAILABLE ||
           reply->code == RPC_RESOURCE_EXHAUSTED ||
           reply->reason == api_error_entry(API_MEMBERS_CHANGING)->reason;
}

static void send_reply(const struct members_call *call,
                       const struct api_reply *reply)
{
    if (reply->code == RPC_OK) {
        rpc_call_send_raw(call->call, reply->response.data,
                          reply->response.len);
        rpc_call_finish(call->call, RPC_OK, "%s", "");
        return;
    }
    rpc_call_trailer(call->call, "holdfast-reason", reply->reason);
    if (is_passing(reply)) {
        rpc_call_trailer(call->call, "grpc-retry-pushback-ms", "200");
    }
    rpc_call_finish(call->call, reply->code, "%s", reply->message);
}

static void done(struct member_change *change, enum replica_outcome outcome,
                 uint64_t index)
{
    struct members_call *call =
        container_of(change, struct members_call, change);
    struct api_reply reply;

    call->changing = false;
    log_info("members.changed",
             "method=%s node=%s id=%" PRIu64 " outcome=%s index=%" PRIu64,
             strrchr(member_methods[change->kind].path, '/') + 1,
             change->change.member.name, change->change.member.id,
             outcome == REPLICA_COMMITTED ? "committed"
             : outcome == REPLICA_REFUSED ? "refused"
                                          : "unknown",
             index);
    if (call->call != NULL) {
        api_reply_init(&reply);
        member_change_answer(change, outcome,
                             state_revision(call->node->engine.state), &reply);
        send_reply(call, &reply);
        api_reply_close(&reply);
    }
    free_if_done(call);
}

static void begin(struct members_call *call)
{
    struct node *node = call->node;
    struct replica *replica = node->engine.replica;
    struct members members;
    struct membership now;
    struct api_reply reply;

    roster_region(&members, replica, node->config);
    member_change_look(&now, &members, replica, node->self->id);
    for (size_t i = 0; i < members.count; i++) {
        now.seen[i].answers = peers_answer(node->peers, members.items[i].id);
    }
    api_reply_init(&reply);
    call->changing = true;
    if (member_change_begin(&call->change, call->message, &now, replica,
                            state_revision(node->engine.state),
                            &reply) != MEMBER_CHANGE_PROPOSED) {
        call->changing = false;
        send_reply(call, &reply);
    }
    api_reply_close(&reply);
}

/* A turn has proved that this node leads; else it could answer of members that
 * another one has changed since (rule 3). */
static void proved(struct turn_request *request, int status)
{
    struct members_call *call =
        container_of(request, struct members_call, request);

    call->queued = false;
    if (call->call != NULL && status != 0) {
        node_refuse_no_leader(call->call);
    } else if (call->call != NULL) {
        begin(call);
    }
    free_if_done(call);
}

static void refuse_busy(const struct members_call *call)
{
    struct api_reply reply;

    api_reply_init(&reply);
    api_fail_plainly(&reply, API_LANE_FULL);
    send_reply(call, &reply);
    api_reply_close(&reply);
}

static void on_message(struct rpc_handler *handler,
                       const ProtobufCMessage *message)
{
    struct members_call *call =
        container_of(handler, struct members_call, handler);
    struct access_subject subject;
    int rv;

    caller_subject(call->call, &subject);
    if (!caller_allow(call->node, call->call, &subject)) {
        return;
    }
    if (!node_leads(call->node)) {
        node_refuse_no_leader(call->call);
        return;
    }
    call->message = message;
    rpc_call_take_arena(call->call, &call->arena);
    call->request.done = proved;
    rv = turn_submit(&call->node->engine.turn, LANE_READ, &call->request);
    call->queued = rv == 0;
    if (rv == HF_ERROR_BUSY) {
        refuse_busy(call);
    } else if (rv != 0) {
        node_refuse_no_leader(call->call);
    }
}

static void on_closed(struct rpc_handler *handler)
{
    struct members_call *call =
        container_of(handler, struct members_call, handler);

    call->call = NULL;
    if (call->queued) {
        turn_cancel(&call->node->engine.turn, &call->request);
        call->queued = false;
    }
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
    call->change.kind = (enum member_change_kind)(method - member_methods);
    call->change.done = done;
    return &call->handler;
}

void node_members_open(struct node *node)
{
    node->membership.open = open_call;
    for (int i = 0; i < MEMBER_CHANGE_KINDS; i++) {
        const struct member_change_method *method = &member_change_methods[i];

        member_methods[i] = (struct rpc_method){.path = method->path,
                                                .input = method->input,
                                                .output = method->output,
                                                .service = &node->membership};
        rpc_server_add(node->server, &member_methods[i]);
    }
}
