/* SPDX-License-Identifier: Apache-2.0
 *
 * The region's methods over gRPC: a call joins a turn and is answered after
 * it. A stale read is answered at once from what this node has. */
#include "base/check.h"
#include "base/clock.h"
#include "base/container.h"
#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"
#include "node/api_access.h"
#include "node/applies.h"
#include "node/caller.h"
#include "node/node.h"
#include "node/node_join.h"
#include "node/peers.h"
#include "rpc/limits.h"
#include "rpc/proxy.h"

#include <holdfast/v1/host_service.pb-c.h>
#include <holdfast/v1/plan_service.pb-c.h>
#include <holdfast/v1/zone_service.pb-c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Parts of one response: a page of 10,000 objects is some tens of MiB. */
#define VIEW_ARENA_BYTES (256u << 20)

struct api_call {
    struct rpc_handler handler;
    struct turn_request request;
    struct node *node;
    struct rpc_call *call; /* NULL: the client is gone. */
    const struct api_method *method;
    const ProtobufCMessage *message;
    struct arena arena; /* Of `message`. */
    struct api_reply reply;
    struct access_subject subject; /* Who calls. */
    struct rpc_handler *delegate;  /* A read passed on to the leader. */
    bool queued;
    struct list waiting; /* Among node->waits, while it waits for something. */
    uint64_t wait_until_ms;
    struct applies_look look; /* At what it waits for, so far. */
    /* Of a method that is worked out between turns; NULL: not begun. */
    struct api_call_job *job;
};

struct api_call_job {
    struct plan_job job;
    struct api_call *call;
};

static void api_call_free(struct api_call *call)
{
    free(call->job);
    api_reply_close(&call->reply);
    arena_close(&call->arena);
    free(call);
}

static void send_reply(struct api_call *call)
{
    const struct api_reply *reply = &call->reply;

    if (call->call == NULL) {
        return;
    }
    if (reply->code != RPC_OK) {
        rpc_call_trailer(call->call, "holdfast-reason", reply->reason);
        if (reply->code == RPC_PERMISSION_DENIED ||
            reply->code == RPC_UNAUTHENTICATED) {
            caller_log_refusal(call->node, call->call, reply->reason);
        }
        if (reply->code == RPC_UNAVAILABLE) {
            rpc_call_trailer(call->call, "grpc-retry-pushback-ms", "200");
        }
        rpc_call_finish(call->call, reply->code, "%s", reply->message);
        return;
    }
    rpc_call_send_raw(call->call, reply->response.data, reply->response.len);
    rpc_call_finish(call->call, RPC_OK, "%s", "");
}

static void make_view(const struct api_call *call, uint64_t age_ms,
                      struct arena *arena, struct api_view *view)
{
    struct engine *engine = &call->node->engine;
    bool leads = node_leads(call->node);

    arena_init(arena, VIEW_ARENA_BYTES);
    *view = (struct api_view){
        .state = engine->state,
        .leases = leads ? &engine->leases : NULL,
        .placer = turn_placer(&engine->turn),
        .now_ms = clock_boot_ms(),
        .age_ms = age_ms,
        .arena = arena,
        .plans = leads ? &engine->plans : NULL,
        .pages = &engine->pages,
    };
}

static void read_now(struct api_call *call, uint64_t age_ms)
{
    struct arena arena;
    struct api_view view;

    make_view(call, age_ms, &arena, &view);
    call->reply.wall_ms = clock_wall_ms();
    api_read(call->method, call->message, &view, &call->reply);
    send_reply(call);
    arena_close(&arena);
}

/* --- What is worked out between turns ------------------------------------- */

static void job_answer(struct plan_job *job)
{
    struct api_call *call = container_of(job, struct api_call_job, job)->call;
    struct arena arena;
    struct api_view view;

    make_view(call, 0, &arena, &view);
    call->method->job->answer(call->message, &view, job, &call->reply);
    arena_close(&arena);
}

static void job_done(struct plan_job *job, int status)
{
    struct api_call *call = container_of(job, struct api_call_job, job)->call;

    free(call->job);
    call->job = NULL;
    if (status != 0) {
        node_refuse_no_leader(call->call);
    } else {
        send_reply(call);
    }
}

static void refuse_busy(struct api_call *call, enum api_error error)
{
    const struct api_error_entry *entry = api_error_entry(error);

    rpc_call_trailer(call->call, "holdfast-reason", entry->reason);
    rpc_call_trailer(call->call, "grpc-retry-pushback-ms", "500");
    rpc_call_finish(call->call, entry->code, "%s %s", entry->meaning,
                    entry->cure);
}

static void drop_job(struct api_call *call)
{
    free(call->job->job.classes);
    free(call->job);
    call->job = NULL;
}

/* A turn has proved that this node leads. */
static void begin_job(struct api_call *call)
{
    struct api_call_job *job;
    struct arena arena;
    struct api_view view;
    struct access access;
    bool good;

    call->reply.wall_ms = clock_wall_ms();
    if (!api_allow(call->node->engine.state, call->method->path,
                   call->method->permission, &call->reply, &access)) {
        send_reply(call);
        return;
    }
    job = memory_alloc(sizeof(*job));
    job->call = call;
    job->job.reply = &call->reply;
    job->job.answer = job_answer;
    job->job.done = job_done;
    call->job = job;
    make_view(call, 0, &arena, &view);
    good =
        call->method->job->begin(call->message, &view, &job->job, &call->reply);
    arena_close(&arena);
    if (!good) {
        drop_job(call);
        send_reply(call);
    } else if (plan_book_submit(&call->node->engine.plans, &job->job) != 0) {
        drop_job(call);
        refuse_busy(call, API_PLANS_BUSY);
    } else {
        call->node->engine.ops->wake(&call->node->engine);
    }
}

static void plan_call(struct turn_request *request, struct turn_plan *plan)
{
    struct api_call *call = container_of(request, struct api_call, request);

    api_mutate(call->method, call->message, plan, &call->reply);
}

/* --- What waits ----------------------------------------------------------- */

/* True when it may not look, or there is nothing (more) to wait for: then it is
 * answered. */
static bool answer_if_over(struct api_call *call, uint32_t *wait_ms)
{
    const struct state *state = call->node->engine.state;
    struct access access;

    *wait_ms = 0;
    call->reply.wall_ms = clock_wall_ms();
    if (api_allow(state, call->method->path, call->method->permission,
                  &call->reply, &access)) {
        *wait_ms = call->method->wait_ms(call->message, state, &call->look,
                                         &call->reply);
    }
    if (*wait_ms == 0 && call->reply.code == RPC_OK) {
        read_now(call, 0);
    } else if (*wait_ms == 0) {
        send_reply(call);
    }
    return *wait_ms == 0;
}

static void queue_wait(struct api_call *call)
{
    list_append(&call->node->waits, &call->waiting);
    call->node->wait_count++;
}

/* A turn has proved that this node leads. Nothing is held meanwhile but the
 * call. */
static void begin_wait(struct api_call *call)
{
    struct node *node = call->node;
    uint32_t wait_ms;

    if (answer_if_over(call, &wait_ms)) {
        return;
    }
    if (node->wait_count >= OPERATION_WAITS_MAX) {
        refuse_busy(call, API_WAITS_BUSY);
        return;
    }
    call->wait_until_ms = clock_boot_ms() + wait_ms;
    queue_wait(call);
}

static void end_wait(struct api_call *call)
{
    if (!list_empty(&call->waiting)) {
        list_remove(&call->waiting);
        list_init(&call->waiting);
        call->node->wait_count--;
    }
}

/* The longest unseen first. */
static void look_again(struct api_call *call, uint64_t now_ms)
{
    uint32_t wait_ms;

    end_wait(call);
    if (now_ms >= call->wait_until_ms) {
        read_now(call, 0);
    } else if (!answer_if_over(call, &wait_ms)) {
        queue_wait(call);
    }
}

void node_api_pump(struct node *node)
{
    uint64_t now_ms = clock_boot_ms();
    bool leads = node_leads(node) && !node->leaving;
    uint32_t looks = node->wait_count;

    if (looks == 0 || (leads && now_ms < node->wait_look_ms)) {
        return;
    }
    node->wait_look_ms = now_ms + OPERATION_LOOK_MS;
    if (leads && looks > OPERATION_LOOKS) {
        looks = OPERATION_LOOKS;
    }
    for (; looks > 0; looks--) {
        struct api_call *call =
            list_entry(list_first(&node->waits), struct api_call, waiting);

        if (leads) {
            look_again(call, now_ms);
        } else {
            end_wait(call);
            node_refuse_no_leader(call->call);
        }
    }
}

/* Quotes would end the value. */
static void one_line(const char *text, char *line, size_t size)
{
    snprintf(line, size, "%s", text);
    for (char *at = line; *at != '\0'; at++) {
        *at = *at == '"' ? '\'' : *at;
    }
}

/* Who it was, for the record. */
static void caller_words(const struct api_call *call,
                         char text[ACCESS_SUBJECT_TEXT_BYTES])
{
    struct access access;

    access_decide(call->node->engine.state, &call->subject, PERMISSION_ASK, 0,
                  &access);
    access_subject_text(&access, text);
    if (text[0] == '\0') {
        snprintf(text, ACCESS_SUBJECT_TEXT_BYTES, "anybody");
    }
}

/* A person's word that can let two copies run, or gives up headroom or a
 * quorum: who, what and why go on record. */
static void log_word(const struct api_call *call, const char *event,
                     const char *what, const char *text, const char *request_id)
{
    char who[ACCESS_SUBJECT_TEXT_BYTES];
    char reason[256];

    caller_words(call, who);
    one_line(text, reason, sizeof(reason));
    log_warn(event, "%s reason=\"%s\" request_id=%s caller=%s", what, reason,
             request_id[0] == '\0' ? "none" : request_id, who);
}

static void record_declared_dead(const struct api_call *call)
{
    const Holdfast__V1__DeclareHostDeadRequest *request =
        (const Holdfast__V1__DeclareHostDeadRequest *)(const void *)
            call->message;
    char what[NAME_BYTES + 16];

    if (request->dry_run) {
        return;
    }
    snprintf(what, sizeof(what), "host=%s", request->name);
    log_word(call, "host.declared_dead", what, request->reason,
             request->request_id);
}

static void log_risk(const struct api_call *call, const char *action,
                     const char *name, const char *text, const char *request_id)
{
    char what[NAME_BYTES + 64];

    snprintf(what, sizeof(what), "action=%s name=%s", action, name);
    log_word(call, "risk.accepted", what, text, request_id);
}

static void record_risk(const struct api_call *call)
{
    if (call->method->input == &holdfast__v1__drain_host_request__descriptor) {
        const Holdfast__V1__DrainHostRequest *host =
            (const Holdfast__V1__DrainHostRequest *)(const void *)call->message;

        if (host->accept_risk && !host->dry_run) {
            log_risk(call, "drain_host", host->name, host->reason,
                     host->request_id);
        }
    } else if (call->method->input ==
               &holdfast__v1__drain_zone_request__descriptor) {
        const Holdfast__V1__DrainZoneRequest *zone =
            (const Holdfast__V1__DrainZoneRequest *)(const void *)call->message;

        if (zone->accept_risk && !zone->dry_run) {
            log_risk(call, "drain_zone", zone->name, zone->reason,
                     zone->request_id);
        }
    } else if (call->method->input ==
               &holdfast__v1__apply_plan_request__descriptor) {
        const Holdfast__V1__ApplyPlanRequest *plan =
            (const Holdfast__V1__ApplyPlanRequest *)(const void *)call->message;

        if (plan->accept_risk && !plan->dry_run) {
            log_risk(call, "apply_plan", plan->id, plan->reason,
                     plan->request_id);
        }
    }
}

static void record(const struct api_call *call)
{
    if (call->reply.code != RPC_OK) {
        return;
    }
    if (call->method->input ==
        &holdfast__v1__declare_host_dead_request__descriptor) {
        record_declared_dead(call);
    } else {
        record_risk(call);
    }
}

static void call_done(struct turn_request *request, int status)
{
    struct api_call *call = container_of(request, struct api_call, request);

    call->queued = false;
    if (status == 0) {
        record(call);
        if (call->method->permission == PERMISSION_JOIN) {
            node_join_sign(call->node, call->message, &call->reply);
        }
    }
    if (call->call == NULL) {
        api_call_free(call);
        return;
    }
    if (status != 0 && call->method->mutate != NULL) {
        const struct api_error_entry *entry =
            api_error_entry(API_OUTCOME_UNKNOWN);

        rpc_call_trailer(call->call, "holdfast-reason", entry->reason);
        rpc_call_trailer(call->call, "grpc-retry-pushback-ms", "200");
        rpc_call_finish(call->call, entry->code, "%s %s", entry->meaning,
                        entry->cure);
    } else if (status != 0) {
        node_refuse_no_leader(call->call);
    } else if (call->method->wait_ms != NULL) {
        begin_wait(call);
    } else if (call->method->read != NULL) {
        read_now(call, 0);
    } else if (call->method->job != NULL) {
        begin_job(call);
    } else {
        send_reply(call);
    }
}

static void queue_call(struct api_call *call)
{
    bool mutates = call->method->mutate != NULL;
    int rv;

    call->request.plan = mutates ? plan_call : NULL;
    call->request.done = call_done;
    rv = turn_submit(&call->node->engine.turn,
                     mutates ? LANE_MUTATION : LANE_READ, &call->request);
    if (rv == 0) {
        call->queued = true;
    } else if (rv == HF_ERROR_BUSY) {
        refuse_busy(call, API_LANE_FULL);
    } else {
        node_refuse_no_leader(call->call);
    }
}

/* A linearizable read that came to a follower: only its content tells, so it
 * is passed on here and not by the router. */
static void pass_on(struct api_call *call)
{
    struct node *node = call->node;
    struct rpc_channel *channel =
        peers_channel(node->peers, node->engine.leadership.leader);
    size_t len = protobuf_c_message_get_packed_size(call->message);
    uint8_t *packed;

    if (channel == NULL ||
        rpc_call_metadata(call->call, NODE_FORWARD_KEY) != NULL) {
        node_refuse_no_leader(call->call);
        return;
    }
    packed = memory_alloc(len);
    protobuf_c_message_pack(call->message, packed);
    call->delegate = node_pass_on(call->call, channel);
    call->delegate->ops->raw(call->delegate, packed, len);
    call->delegate->ops->half_closed(call->delegate);
    free(packed);
}

/* Since the last change that is applied here. The stamp is of a leader's wall
 * clock, which may be ahead of ours. */
static uint64_t stale_age_ms(const struct node *node)
{
    uint64_t now_ms = clock_wall_ms();
    uint64_t time_ms = state_time_ms(node->engine.state);

    return now_ms > time_ms ? now_ms - time_ms : 0;
}

static void on_message(struct rpc_handler *handler,
                       const ProtobufCMessage *message)
{
    struct api_call *call = container_of(handler, struct api_call, handler);

    call->message = message;
    rpc_call_take_arena(call->call, &call->arena);
    if (!api_check_consistency(&call->reply, message)) {
        send_reply(call);
    } else if (call->method->read != NULL && !call->method->of_leader &&
               call->method->wait_ms == NULL && api_is_stale_read(message)) {
        read_now(call, stale_age_ms(call->node));
    } else if (node_leads(call->node)) {
        if (call->method->permission == PERMISSION_JOIN &&
            !node_join_allow(call->node, &call->reply)) {
            send_reply(call);
            return;
        }
        queue_call(call);
    } else {
        pass_on(call);
    }
}

static void on_closed(struct rpc_handler *handler)
{
    struct api_call *call = container_of(handler, struct api_call, handler);

    call->call = NULL;
    if (call->delegate != NULL) {
        call->delegate->ops->closed(call->delegate);
    }
    end_wait(call);
    if (call->job != NULL) {
        plan_book_cancel(&call->node->engine.plans, &call->job->job);
        drop_job(call);
    }
    if (call->queued && call->method->mutate == NULL) {
        turn_cancel(&call->node->engine.turn, &call->request);
        call->queued = false;
    }
    if (!call->queued) {
        api_call_free(call);
    }
}

static const struct rpc_handler_ops handler_ops = {
    .message = on_message,
    .closed = on_closed,
};

static const struct api_method *api_method_of(const struct node *node,
                                              const struct rpc_method *method)
{
    return &api_methods[method - node->methods];
}

static struct rpc_handler *open_call(struct rpc_service *service,
                                     const struct rpc_method *method,
                                     struct rpc_call *rpc_call)
{
    struct node *node = container_of(service, struct node, api);
    struct api_call *call = memory_alloc(sizeof(*call));

    call->handler.ops = &handler_ops;
    call->node = node;
    call->call = rpc_call;
    call->method = api_method_of(node, method);
    list_init(&call->waiting);
    api_reply_init(&call->reply);
    call->reply.repetition = caller_repeats(rpc_call);
    caller_subject(rpc_call, &call->subject);
    call->reply.caller = &call->subject;
    arena_init(&call->arena, 0);
    return &call->handler;
}

void node_api_open(struct node *node)
{
    size_t count = 0;

    while (api_methods[count].path != NULL) {
        count++;
    }
    node->api.open = open_call;
    list_init(&node->waits);
    node->methods = memory_alloc_array(count, sizeof(*node->methods));
    for (size_t i = 0; i < count; i++) {
        node->methods[i] = (struct rpc_method){
            .path = api_methods[i].path,
            .input = api_methods[i].input,
            .output = api_methods[i].output,
            .service = &node->api,
        };
        rpc_server_add(node->server, &node->methods[i]);
    }
}
