/* SPDX-License-Identifier: Apache-2.0
 *
 * Adding, promoting and removing nodes: the leader's view of the members to
 * membership.h, what it decides to the replica, the outcome to the caller. A
 * change takes three steps, and a leader may fall between any two; why it is on
 * record all the same, see members_audit.h:
 *
 *   a turn (BEGINS)  ->  the configuration (CHANGES)  ->  a turn (ENDS)
 *
 * The last turn is also what a new leader begins with. */
#include "base/check.h"
#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"
#include "node/api_check.h"
#include "node/api_errors.h"
#include "node/caller.h"
#include "node/member_change.h"
#include "node/members_audit.h"
#include "node/node.h"
#include "node/peers.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <holdfast/v1/cluster_service.pb-c.h>

static struct rpc_method member_methods[MEMBERSHIP_STEPS];

/* members_audit_methods, with decide(). */
static struct api_method turn_methods[MEMBERSHIP_STEPS];

enum members_phase {
    MEMBERS_IDLE,    /* Nothing under way: not yet, or not any more. */
    MEMBERS_BEGINS,  /* In a turn, which decides and records the beginning. */
    MEMBERS_CHANGES, /* The configuration is proposed. */
    MEMBERS_ENDS     /* It is decided; a turn is to record that. */
};

struct members_call {
    struct rpc_handler handler;
    struct turn_request request;
    struct replica_reconfigure reconfigure;
    struct node *node;
    struct rpc_call *call; /* NULL: it has ended. */
    enum membership_step step;
    enum members_phase phase;
    const ProtobufCMessage *message;
    struct arena arena; /* Of `message`. */
    struct access_subject subject;
    struct api_reply reply;
    bool begun;   /* Its beginning is on record, and `change` is to be made. */
    bool refused; /* The configuration was not taken: why is in `error`. */
    enum api_error error;
    struct membership_change change;
};

static void free_if_done(struct members_call *call)
{
    if (call->call == NULL && call->phase == MEMBERS_IDLE) {
        api_reply_close(&call->reply);
        arena_close(&call->arena);
        free(call);
    }
}

static void refuse_plainly(struct rpc_call *call, enum api_error error)
{
    const struct api_error_entry *entry = api_error_entry(error);

    rpc_call_trailer(call, "holdfast-reason", entry->reason);
    rpc_call_trailer(call, "grpc-retry-pushback-ms", "200");
    rpc_call_finish(call, entry->code, "%s %s", entry->meaning, entry->cure);
}

/* Nothing is under way any more; tells the caller, if he is still there, what
 * the reply says. */
static void answer(struct members_call *call)
{
    const struct api_reply *reply = &call->reply;

    call->phase = MEMBERS_IDLE;
    if (call->node->members_call == call) {
        call->node->members_call = NULL;
    }
    if (call->call != NULL && reply->code == RPC_OK) {
        rpc_call_send_raw(call->call, reply->response.data,
                          reply->response.len);
        rpc_call_finish(call->call, RPC_OK, "%s", "");
    } else if (call->call != NULL) {
        rpc_call_trailer(call->call, "holdfast-reason", reply->reason);
        rpc_call_finish(call->call, reply->code, "%s", reply->message);
    }
    free_if_done(call);
}

/* The same, with the registry's words. */
static void answer_plainly(struct members_call *call, enum api_error error)
{
    call->phase = MEMBERS_IDLE;
    if (call->node->members_call == call) {
        call->node->members_call = NULL;
    }
    if (call->call != NULL && error == API_NO_LEADER) {
        node_refuse_no_leader(call->call);
    } else if (call->call != NULL) {
        refuse_plainly(call->call, error);
    }
    free_if_done(call);
}

static void look_at_members(const struct node *node, struct members *members,
                            struct membership *now)
{
    roster_region(members, node->engine.replica, node->config);
    member_change_look(now, members, node->engine.replica, node->self->id);
    for (size_t i = 0; i < members->count; i++) {
        now->seen[i].answers = peers_answer(node->peers, members->items[i].id);
    }
}

static uint64_t expected_of(const struct members_call *call)
{
    const Holdfast__V1__AddNodeRequest *add = (const void *)call->message;
    const Holdfast__V1__PromoteNodeRequest *promote =
        (const void *)call->message;
    const Holdfast__V1__RemoveNodeRequest *removal =
        (const void *)call->message;

    return call->step == MEMBERSHIP_ADD       ? add->expect_revision
           : call->step == MEMBERSHIP_PROMOTE ? promote->expect_revision
                                              : removal->expect_revision;
}

/* --- The beginning -------------------------------------------------------- */

/* In the turn; a dry run goes so far. What has to wait is no verdict, of which
 * repeats would have to hear. */
static void decide(const ProtobufCMessage *message, struct turn_plan *plan,
                   struct api_reply *reply)
{
    struct members_call *call = container_of(reply, struct members_call, reply);
    const struct replica *replica = call->node->engine.replica;
    const struct api_error_entry *busy = api_error_entry(API_MEMBERS_CHANGING);
    struct members members;
    struct membership now;
    enum membership_verdict verdict;

    if (members_audit_is_open(plan->scratch) ||
        !replica_members_committed(replica)) {
        reply->remembering = false;
        api_fail(reply, API_MEMBERS_CHANGING, "%s %s", busy->meaning,
                 busy->cure);
        return;
    }
    look_at_members(call->node, &members, &now);
    verdict = MEMBERSHIP_REFUSED;
    if (api_check_revision(reply, expected_of(call),
                           replica_members_index(replica), "the members")) {
        verdict = member_change_judge(call->step, message, &now, &call->change,
                                      reply);
    }
    if (verdict == MEMBERSHIP_CHANGES && plan->trial == NULL) {
        members_audit_begin(call->step, message, &call->change.member, plan,
                            reply);
        reply->recorded = true;
        reply->remembering = false;
        call->begun = true;
    } else if (verdict != MEMBERSHIP_REFUSED) {
        members_audit_respond(call->step, &call->change.member,
                              call->change.note, state_revision(plan->scratch),
                              reply);
    }
}

static void plan_beginning(struct turn_request *request, struct turn_plan *plan)
{
    struct members_call *call =
        container_of(request, struct members_call, request);

    api_mutate(&turn_methods[call->step], call->message, plan, &call->reply);
}

static void changed(struct replica_reconfigure *reconfigure,
                    enum replica_outcome outcome, uint64_t index);

/* What began is to end, one way or the other. */
static void end(struct members_call *call)
{
    call->phase = MEMBERS_ENDS;
    call->node->members_unsettled = true;
    call->node->engine.ops->wake(&call->node->engine);
}

static void beginning_done(struct turn_request *request, int status)
{
    struct members_call *call =
        container_of(request, struct members_call, request);
    int rv;

    if (status != 0) {
        /* If it began, then without its change: the next leader says so. */
        answer_plainly(call, API_NO_LEADER);
        return;
    }
    if (!call->begun) {
        answer(call);
        return;
    }
    call->phase = MEMBERS_CHANGES;
    rv = replica_reconfigure(call->node->engine.replica, &call->change.next,
                             &call->reconfigure, changed);
    CHECK(rv != HF_ERROR_INVALID); /* membership.h makes none such. */
    if (rv != 0) {
        call->refused = true;
        call->error =
            rv == HF_ERROR_BUSY ? API_MEMBERS_CHANGING : API_NO_LEADER;
        end(call);
    }
}

/* --- The end -------------------------------------------------------------- */

static void changed(struct replica_reconfigure *reconfigure,
                    enum replica_outcome outcome, uint64_t index)
{
    struct members_call *call =
        container_of(reconfigure, struct members_call, reconfigure);

    log_info("members.changed",
             "method=%s node=%s id=%" PRIu64 " outcome=%s index=%" PRIu64,
             strrchr(member_methods[call->step].path, '/') + 1,
             call->change.member.name, call->change.member.id,
             outcome == REPLICA_COMMITTED ? "committed"
             : outcome == REPLICA_REFUSED ? "refused"
                                          : "unknown",
             index);
    if (outcome == REPLICA_COMMITTED) {
        end(call);
    } else {
        answer_plainly(call, outcome == REPLICA_REFUSED ? API_NO_LEADER
                                                        : API_OUTCOME_UNKNOWN);
    }
}

static void plan_end(struct turn_request *request, struct turn_plan *plan)
{
    struct node *node = container_of(request, struct node, members_settle);
    struct members_call *call = node->members_call;
    struct members members;
    struct membership now;
    struct api_reply reply;

    CHECK(replica_members_committed(node->engine.replica));
    look_at_members(node, &members, &now);
    api_reply_init(&reply);
    (void)members_audit_end(
        &members, plan,
        call != NULL && call->phase == MEMBERS_ENDS ? &call->reply : &reply);
    api_reply_close(&reply);
}

static void end_done(struct turn_request *request, int status)
{
    struct node *node = container_of(request, struct node, members_settle);
    struct members_call *call = node->members_call;

    node->members_settling = false;
    if (status == 0) {
        node->members_unsettled = false;
    }
    if (call == NULL || call->phase != MEMBERS_ENDS) {
        return;
    }
    if (status != 0) {
        answer_plainly(call, API_OUTCOME_UNKNOWN);
    } else if (call->refused) {
        answer_plainly(call, call->error);
    } else {
        answer(call);
    }
}

/* A leader that is new looks once whether a former one left a change open. Then
 * it ends what it begins itself. Until that is possible, it is tried again. */
void node_members_pump(struct node *node)
{
    struct members_call *call = node->members_call;

    if (!node_leads(node)) {
        node->members_term = 0;
        /* Its turn to end never came. */
        if (call != NULL && call->phase == MEMBERS_ENDS &&
            !node->members_settling) {
            answer_plainly(call, API_OUTCOME_UNKNOWN);
        }
        return;
    }
    if (node->members_term != node->engine.leadership.term) {
        node->members_term = node->engine.leadership.term;
        node->members_unsettled = members_audit_is_open(node->engine.state);
    }
    if (!node->members_unsettled || node->members_settling ||
        (call != NULL && call->phase != MEMBERS_ENDS) ||
        !replica_members_committed(node->engine.replica)) {
        return;
    }
    node->members_settle =
        (struct turn_request){.plan = plan_end, .done = end_done};
    if (turn_submit(&node->engine.turn, LANE_MUTATION, &node->members_settle) ==
        0) {
        node->members_settling = true;
        node->engine.ops->wake(&node->engine);
    }
}

/* --- The wire ------------------------------------------------------------- */

static bool is_dry(const ProtobufCMessage *message)
{
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field(message->descriptor, 15);
    protobuf_c_boolean dry;

    memcpy(&dry, (const char *)message + field->offset, sizeof(dry));
    return dry;
}

static void on_message(struct rpc_handler *handler,
                       const ProtobufCMessage *message)
{
    struct members_call *call =
        container_of(handler, struct members_call, handler);
    struct node *node = call->node;
    bool dry = is_dry(message);
    int rv;

    caller_subject(call->call, &call->subject);
    if (!caller_allow(node, call->call, &call->subject)) {
        return;
    }
    if (!node_leads(node)) {
        node_refuse_no_leader(call->call);
        return;
    }
    if (!replica_members_committed(node->engine.replica) ||
        (node->members_call != NULL && !dry)) {
        refuse_plainly(call->call, API_MEMBERS_CHANGING);
        return;
    }
    call->message = message;
    rpc_call_take_arena(call->call, &call->arena);
    call->request.plan = plan_beginning;
    call->request.done = beginning_done;
    rv = turn_submit(&node->engine.turn, LANE_MUTATION, &call->request);
    if (rv != 0) {
        answer_plainly(call,
                       rv == HF_ERROR_BUSY ? API_LANE_FULL : API_NO_LEADER);
        return;
    }
    call->phase = MEMBERS_BEGINS;
    if (!dry) {
        node->members_call = call;
    }
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
    call->step = (enum membership_step)(method - member_methods);
    arena_init(&call->arena, 0);
    api_reply_init(&call->reply);
    call->reply.repetition = caller_repeats(rpc_call);
    call->reply.caller = &call->subject;
    return &call->handler;
}

void node_members_open(struct node *node)
{
    node->membership.open = open_call;
    for (int i = 0; i < MEMBERSHIP_STEPS; i++) {
        turn_methods[i] = members_audit_methods[i];
        turn_methods[i].mutate = decide;
        member_methods[i] = (struct rpc_method){
            .path = turn_methods[i].path,
            .input = turn_methods[i].input,
            .output = turn_methods[i].output,
            .service = &node->membership,
        };
        rpc_server_add(node->server, &member_methods[i]);
    }
}
