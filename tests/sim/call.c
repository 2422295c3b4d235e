/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/call.h"

#include "base/check.h"
#include "base/memory.h"
#include "tests/sim/check.h"
#include "tests/sim/check_headroom.h"
#include "tests/sim/node.h"

#include <stdlib.h>

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
    if (world->cut[call->node][call->via]) {
        call_free(&call->event); /* The client waits in vain. */
        return;
    }
    sim_world_add(world, &call->event,
                  world->now_us + sim_latency(world, call->node, call->via));
}

static void plan_call(struct turn_request *request, struct turn_plan *plan)
{
    struct sim_call *call = container_of(request, struct sim_call, request);
    size_t before = plan->change_count;
    struct sim_headroom headroom;

    sim_headroom_read(plan, call->method->path, &headroom);
    api_mutate(call->method, call->message, plan, &call->reply);
    sim_check_admission(call->client->world, plan, &headroom,
                        call->method->path);
    sim_check_refusal(call->client->world,
                      call->reply.code != RPC_OK &&
                          plan->change_count != before + call->reply.kept,
                      call->reply.reason);
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
    if (call->method->read != NULL) {
        struct arena arena;
        struct api_view view = {.state = node->engine.state, .arena = &arena};

        arena_init(&arena, ARENA_BYTES);
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
               world->cut[call->node][leader - 1]) {
        send_back(call);
    } else {
        call->node = leader - 1;
        sim_world_add(world, &call->event,
                      world->now_us +
                          sim_latency(world, call->via, call->node));
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
