/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/call.h"

#include "base/check.h"
#include "base/memory.h"
#include "tests/sim/check.h"
#include "tests/sim/check_headroom.h"
#include "tests/sim/check_members.h"
#include "tests/sim/check_plans.h"
#include "tests/sim/field.h"
#include "tests/sim/node.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define ARENA_BYTES (4u << 20)

static void call_free(struct sim_event *event)
{
    struct sim_call *call = container_of(event, struct sim_call, event);

    api_reply_close(&call->reply);
    if (call->message != NULL) {
        protobuf_c_message_free_unpacked(call->message, NULL);
    }
    free(call);
}

static void send_back(struct sim_call *call)
{
    struct sim_world *world = call->client->world;

    call->back = true;
    if (sim_nodes_are_cut(world, call->node, call->via)) {
        call_free(&call->event); /* The client waits in vain. */
        return;
    }
    sim_world_add(world, &call->event,
                  world->now_us +
                      sim_nodes_latency(world, call->node, call->via));
}

/* The plan that the call has done, as its client was shown it; NULL: it does
 * something else. */
static const Holdfast__V1__MakePlanResponse *plan_of(
    const struct sim_call *call)
{
    const Holdfast__V1__MakePlanResponse *shown =
        sim_client_scout(call->client)->shown;

    if (call->method->input != &holdfast__v1__apply_plan_request__descriptor ||
        shown == NULL || sim_field_flag(call->message, "dry_run")) {
        return NULL;
    }
    return strcmp(((const Holdfast__V1__ApplyPlanRequest *)(const void *)
                       call->message)
                      ->id,
                  shown->plan->id) == 0
               ? shown
               : NULL;
}

static void mutate(struct sim_call *call, struct turn_plan *plan)
{
    const Holdfast__V1__MakePlanResponse *shown = plan_of(call);
    size_t changes = plan->change_count;
    struct state *before = NULL;

    if (shown != NULL) {
        before = state_clone(plan->scratch);
    }
    api_mutate(call->method, call->message, plan, &call->reply);
    /* A repeated request has had its effect before. */
    if (shown != NULL &&
        (call->reply.code != RPC_OK || plan->change_count > changes)) {
        sim_check_applied(call->client->world, shown, before, plan->scratch,
                          &call->reply);
    }
    state_destroy(before);
}

static void plan_call(struct turn_request *request, struct turn_plan *plan)
{
    struct sim_call *call = container_of(request, struct sim_call, request);
    size_t before = plan->change_count;
    struct sim_headroom headroom;

    sim_headroom_read(plan, call->method->path, &headroom);
    mutate(call, plan);
    sim_check_admission(call->client->world, plan, &headroom,
                        call->method->path);
    sim_check_refusal(call->client->world,
                      call->reply.code != RPC_OK &&
                          plan->change_count != before + call->reply.kept,
                      call->reply.reason);
}

static void member_answered(struct sim_member_call *member)
{
    struct sim_call *call = container_of(member, struct sim_call, member);

    if (sim_node_runs(member->node)) {
        sim_check_member_answer(member->node, call->begun_us, &call->reply);
        call->answered = true;
        send_back(call);
    } else {
        call_free(&call->event);
    }
}

static void member_lost(struct sim_member_call *member)
{
    call_free(&container_of(member, struct sim_call, member)->event);
}

static bool changes_members(const struct api_method *method)
{
    return method->mutate == NULL && method->read == NULL &&
           method->job == NULL;
}

static void ask_members(struct sim_call *call, struct sim_node *node)
{
    call->member.reply = &call->reply;
    call->member.answered = member_answered;
    call->member.lost = member_lost;
    sim_members_ask(node, &call->member, call->method, call->message);
}

static void look(struct sim_node *node, struct arena *arena,
                 struct api_view *view)
{
    arena_init(arena, ARENA_BYTES);
    *view = (struct api_view){.state = node->engine.state,
                              .leases = &node->engine.leases,
                              .placer = turn_placer(&node->engine.turn),
                              .now_ms = sim_node_time(node).boot_ms,
                              .arena = arena,
                              .plans = &node->engine.plans};
}

/* --- What is worked out between turns ------------------------------------- */

static uint64_t applied_index(const struct sim_node *node)
{
    struct replica_status status;

    replica_status(node->engine.replica, &status);
    return status.applied_index;
}

static void job_answer(struct plan_job *job)
{
    struct sim_call *call = container_of(job, struct sim_call, job);
    struct sim_node *node = call->client->world->nodes[call->node];
    const struct state *state = node->engine.state;
    struct arena arena;
    struct api_view view;

    if (applied_index(node) == call->job_index &&
        state_hash(state) != call->job_hash) {
        sim_violation(node->world, "plans-are-kept",
                      "a plan has changed the state of n%" PRIu32,
                      node->index + 1);
    }
    look(node, &arena, &view);
    call->method->job->answer(call->message, &view, job, &call->reply);
    arena_close(&arena);
}

static void job_done(struct plan_job *job, int status)
{
    struct sim_call *call = container_of(job, struct sim_call, job);

    if (status != 0) {
        call_free(&call->event);
        return;
    }
    call->answered = true;
    send_back(call);
}

static void begin_job(struct sim_call *call, struct sim_node *node)
{
    struct arena arena;
    struct api_view view;
    bool good;

    call->job.reply = &call->reply;
    call->job.answer = job_answer;
    call->job.done = job_done;
    call->job_index = applied_index(node);
    call->job_hash = state_hash(node->engine.state);
    look(node, &arena, &view);
    good = call->method->job->begin(call->message, &view, &call->job,
                                    &call->reply);
    arena_close(&arena);
    if (good && plan_book_submit(&node->engine.plans, &call->job) == 0) {
        node->engine.ops->wake(&node->engine);
        return;
    }
    free(call->job.classes);
    call->answered = !good; /* Else there are too many: later again. */
    send_back(call);
}

static void call_done(struct turn_request *request, int status)
{
    struct sim_call *call = container_of(request, struct sim_call, request);
    struct sim_node *node = call->client->world->nodes[call->node];

    if (!sim_node_runs(node) || status != 0) {
        /* Its fate is not known: no answer is as good as that answer. */
        call_free(&call->event);
        return;
    }
    if (changes_members(call->method)) {
        ask_members(call, node);
        return;
    }
    if (call->method->job != NULL) {
        begin_job(call, node);
        return;
    }
    if (call->method->read != NULL) {
        struct arena arena;
        struct api_view view;

        look(node, &arena, &view);
        call->method->read(call->message, &view, &call->reply);
        arena_close(&arena);
    }
    call->answered = true;
    send_back(call);
}

static void enter(struct sim_call *call, struct sim_node *node)
{
    bool mutates = call->method->mutate != NULL;

    call->request.plan = mutates ? plan_call : NULL;
    call->request.done = call_done;
    if (turn_submit(&node->engine.turn, mutates ? LANE_MUTATION : LANE_READ,
                    &call->request) != 0) {
        send_back(call);
    } else {
        sim_node_settle(node);
    }
}

static void at_node(struct sim_call *call)
{
    struct sim_world *world = call->client->world;
    struct sim_node *node = world->nodes[call->node];
    uint32_t leader = (uint32_t)node->engine.leadership.leader;

    if (engine_leads(&node->engine)) {
        enter(call, node);
    } else if (leader == 0 || call->node != call->via ||
               sim_nodes_are_cut(world, call->node, leader - 1)) {
        send_back(call);
    } else {
        call->node = leader - 1;
        sim_world_add(world, &call->event,
                      world->now_us +
                          sim_nodes_latency(world, call->via, call->node));
    }
}

static bool call_run(struct sim_event *event)
{
    struct sim_call *call = container_of(event, struct sim_call, event);
    struct sim_node *node = call->client->world->nodes[call->node];

    if (call->back) {
        sim_client_hears(call->client, call);
        call_free(event);
    } else if (!sim_node_runs(node)) {
        call_free(event);
    } else if (sim_node_awake_us(node) > call->client->world->now_us) {
        sim_world_add(call->client->world, event, sim_node_waking_us(node));
    } else {
        at_node(call);
    }
    return false;
}

void sim_call_send(struct sim_client *client)
{
    const struct sim_operation *op = &client->op;
    struct sim_world *world = client->world;
    struct sim_call *call = memory_alloc(sizeof(*call));

    call->event = (struct sim_event){.run = call_run, .free = call_free};
    call->client = client;
    call->number = op->number;
    call->attempt = op->attempts;
    call->begun_us = world->now_us;
    call->floor = sim_check_floor(world);
    call->via = client->node;
    call->node = client->node;
    call->method = op->method;
    call->message = protobuf_c_message_unpack(op->method->input, NULL, op->len,
                                              op->message);
    CHECK(call->message != NULL);
    api_reply_init(&call->reply);
    call->reply.repetition = op->attempts > 1;
    sim_world_add(world, &call->event,
                  world->now_us + sim_between(world, 50, 500));
}
