/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/client.h"

#include "base/check.h"
#include "base/memory.h"
#include "node/api.h"
#include "tests/sim/check.h"
#include "tests/sim/check_headroom.h"
#include "tests/sim/field.h"
#include "tests/sim/fleet.h"
#include "tests/sim/founder.h"
#include "tests/sim/groups.h"
#include "tests/sim/node.h"
#include "tests/sim/operator.h"
#include "tests/sim/record.h"
#include "tests/sim/sharer.h"
#include "tests/sim/steward.h"
#include "tests/sim/wish.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <holdfast/v1/class_service.pb-c.h>
#include <holdfast/v1/cluster_service.pb-c.h>
#include <holdfast/v1/vm_service.pb-c.h>
#include <holdfast/v1/zone_service.pb-c.h>

#define ATTEMPT_US  (1500 * SIM_MS)
#define ATTEMPTS    14
#define ARENA_BYTES (4u << 20)

enum belief { ABSENT, PRESENT, DELETED };

/* A VM name of this client's own. */
struct belief_of {
    enum belief belief;
    uint64_t uid;        /* PRESENT. */
    uint32_t generation; /* Part of the name, see give_up(). */
};

enum op_kind {
    OP_SETUP,
    OP_CREATE,
    OP_GET,
    OP_STOP,
    OP_START,
    OP_MOVE,
    OP_UPDATE,
    OP_DELETE,
    OP_BAD_SETTINGS,
    OP_BAD_NAME,
    OP_OTHER /* Of which nothing is remembered. */
};

struct operation {
    enum op_kind kind;
    uint32_t vm;
    const struct api_method *method;
    uint8_t *message;
    size_t len;
    uint64_t number; /* Answers of former ones are void. */
    uint32_t attempts;
    bool again;   /* Answered, and asked once more with the same id. */
    bool dry_run; /* Its revision is one that will not be. */
    uint64_t revision;
    uint64_t uid;
    struct sim_record record;
    sim_told_fn told; /* OTHER; may be NULL. */
};

struct sim_client {
    struct sim_world *world;
    uint32_t index;
    uint32_t node; /* Asked next. */
    uint32_t setup;
    uint32_t tidied; /* Zones and hosts that it has uncordoned at the end. */
    bool stopped;
    bool busy;
    uint64_t numbers;
    struct operation op;
    struct belief_of vms[SIM_VMS_MAX];
    struct sim_groups groups;
};

/* --- One attempt: to a node, perhaps on to the leader, into a turn, back ----
 */

struct call {
    struct sim_event event;
    struct turn_request request;
    struct sim_client *client;
    uint64_t number; /* Of the client's operation. */
    uint32_t attempt;
    uint64_t floor; /* Revision acknowledged before it began. */
    uint32_t via;
    uint32_t node;
    uint64_t life; /* The node's, once it is queued there. */
    const struct api_method *method;
    ProtobufCMessage *message;
    struct api_reply reply;
    bool back; /* It is on its way back; `answered`: with an answer. */
    bool answered;
};

static void answer(struct sim_client *client, const struct call *call);

static void call_free(struct sim_event *event)
{
    struct call *call = container_of(event, struct call, event);

    api_reply_close(&call->reply);
    if (call->message != NULL) {
        protobuf_c_message_free_unpacked(call->message, NULL);
    }
    free(call);
}

static void send_back(struct call *call)
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
    struct call *call = container_of(request, struct call, request);
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
    struct call *call = container_of(request, struct call, request);
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

static void enter(struct call *call, struct sim_node *node)
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

static void at_node(struct call *call)
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
    struct call *call = container_of(event, struct call, event);
    struct sim_node *node = call->client->world->nodes[call->node];

    if (call->back) {
        answer(call->client, call);
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

/* --- The client's time ------------------------------------------------------
 */

enum wake_kind { WAKE_NEXT, WAKE_ATTEMPT };

struct wake {
    struct sim_event event;
    struct sim_client *client;
    enum wake_kind kind;
    uint64_t number;
    uint32_t attempts;
};

static void wake_free(struct sim_event *event)
{
    free(container_of(event, struct wake, event));
}

static void begin(struct sim_client *client);
static void attempt(struct sim_client *client);

static bool wake_run(struct sim_event *event)
{
    struct wake *wake = container_of(event, struct wake, event);
    struct sim_client *client = wake->client;

    if (wake->kind == WAKE_NEXT) {
        begin(client);
    } else if (client->busy && wake->number == client->op.number &&
               wake->attempts == client->op.attempts) {
        client->node = (client->node + 1) % client->world->node_count;
        attempt(client);
    }
    return true;
}

static void wake_in(struct sim_client *client, enum wake_kind kind, uint64_t us)
{
    struct wake *wake = memory_alloc(sizeof(*wake));

    *wake = (struct wake){.event = {.run = wake_run, .free = wake_free},
                          .client = client,
                          .kind = kind,
                          .number = client->op.number,
                          .attempts = client->op.attempts};
    sim_world_add(client->world, &wake->event, client->world->now_us + us);
}

static void end_operation(struct sim_client *client, uint64_t pause_us)
{
    free(client->op.message);
    client->op.message = NULL;
    client->busy = false;
    wake_in(client, WAKE_NEXT, pause_us);
}

static uint64_t pause_us(struct sim_client *client)
{
    return sim_chance(client->world, 700)
               ? sim_between(client->world, 100, 20 * SIM_MS)
               : sim_between(client->world, 20 * SIM_MS, 3 * SIM_SECOND);
}

static void tell_asker(struct sim_client *client, const struct sim_told *told)
{
    if (client->op.told != NULL && !client->op.again) {
        client->op.told(client, told);
    }
}

static void give_up(struct sim_client *client)
{
    struct operation *op = &client->op;

    client->world->figures.unknown++;
    sim_trace(client->world, "c%" PRIu32 " #%" PRIu64 " gives up",
              client->index, op->number);
    sim_record_unknown(&op->record, client->world, client->index);
    tell_asker(client, &(struct sim_told){0});
    /* It may take effect at any time from now on; so the name is not used any
     * more. */
    if (op->kind == OP_CREATE || op->kind == OP_DELETE) {
        client->vms[op->vm] = (struct belief_of){
            .generation = client->vms[op->vm].generation + 1};
    }
    end_operation(client, pause_us(client));
}

static void attempt(struct sim_client *client)
{
    struct sim_world *world = client->world;
    struct operation *op = &client->op;
    struct call *call;

    if (op->attempts >= ATTEMPTS && op->kind != OP_SETUP && !client->stopped) {
        give_up(client);
        return;
    }
    op->attempts++;
    if (op->method->read != NULL) {
        /* The answer to a former attempt is void. */
        op->record.begin_us = world->now_us;
    }
    wake_in(client, WAKE_ATTEMPT, ATTEMPT_US);
    if (!world->nodes[client->node]->powered) {
        return;
    }
    call = memory_alloc(sizeof(*call));
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

/* --- Answers ----------------------------------------------------------------
 */

static void believe(struct sim_client *client, bool ok, const char *reason,
                    uint64_t uid)
{
    struct operation *op = &client->op;
    struct belief_of *vm = &client->vms[op->vm];

    if (op->kind == OP_CREATE && ok) {
        vm->belief = PRESENT;
        vm->uid = uid;
    } else if (op->kind == OP_DELETE && ok) {
        vm->belief = DELETED;
    } else if (op->kind == OP_CREATE && vm->belief == ABSENT &&
               (!client->world->rich || strcmp(reason, "NAME_TAKEN") == 0)) {
        sim_violation(client->world, "once",
                      "create of a VM that was never there: %s", reason);
    } else if ((op->kind == OP_GET || op->kind == OP_DELETE) &&
               vm->belief == PRESENT && (!ok || uid != vm->uid)) {
        sim_violation(client->world, "nothing-lost",
                      "vm %" PRIx64 " was acknowledged, is now %s", vm->uid,
                      ok ? "another" : reason);
    } else if (op->kind == OP_GET && vm->belief == ABSENT && ok) {
        sim_violation(client->world, "linearizable",
                      "a VM that was never created is there");
    }
}

static bool must_fail(enum op_kind kind)
{
    return kind == OP_BAD_NAME || kind == OP_BAD_SETTINGS;
}

static void take_ok(struct sim_client *client, const struct call *call)
{
    struct sim_world *world = client->world;
    struct operation *op = &client->op;
    ProtobufCMessage *response = protobuf_c_message_unpack(
        call->method->output, NULL, call->reply.response.len,
        call->reply.response.data);
    uint64_t revision = sim_field_number(response, "revision");
    uint64_t uid =
        response == NULL
            ? 0
            : sim_field_number(sim_field_message(response, "vm"), "uid");

    CHECK(response != NULL);
    if (!op->again) {
        sim_record_ok(&op->record, world, client->index, response);
        tell_asker(client,
                   &(struct sim_told){.known = true, .response = response});
    }
    protobuf_c_message_free_unpacked(response, NULL);
    if (must_fail(op->kind)) {
        sim_violation(world, "settings-are-safe", "bad input was accepted");
    }
    if (op->dry_run) {
        return;
    }
    if (op->again) {
        /* Rule 4: one effect, the first answer. */
        if (revision != op->revision || uid != op->uid) {
            sim_violation(world, "once",
                          "a repeated request got revision %" PRIu64
                          " and uid %" PRIx64 ", first %" PRIu64
                          " and %" PRIx64,
                          revision, uid, op->revision, op->uid);
        }
    } else {
        if (op->attempts == 1 || call->method->read != NULL) {
            sim_check_answer(world, call->floor, revision, call->method->path);
        }
        sim_check_acknowledged(world, revision);
        believe(client, true, "", uid);
    }
    op->revision = revision;
    op->uid = uid;
}

static void answer(struct sim_client *client, const struct call *call)
{
    struct sim_world *world = client->world;
    struct operation *op = &client->op;

    if (!client->busy || call->number != op->number ||
        call->attempt != op->attempts || !call->answered) {
        return; /* Nobody listens for it any more. */
    }
    if (call->reply.code == RPC_UNAVAILABLE ||
        call->reply.code == RPC_RESOURCE_EXHAUSTED) {
        return; /* The attempt's time runs out, then again. */
    }
    world->figures.operations++;
    sim_trace(world, "c%" PRIu32 " #%" PRIu64 " %s %" PRIu32 ": %s",
              client->index, op->number, strrchr(call->method->path, '/') + 1,
              op->vm, call->reply.code == RPC_OK ? "ok" : call->reply.reason);
    if (call->reply.code == RPC_OK) {
        take_ok(client, call);
        if (!op->again && !op->dry_run && call->method->mutate != NULL &&
            op->kind != OP_SETUP && sim_chance(world, 100)) {
            op->again = true;
            op->attempts = 0;
            attempt(client);
            return;
        }
    } else if (op->again) {
        sim_violation(world, "once", "a repeated request got %s",
                      call->reply.reason);
    } else if (op->kind == OP_SETUP &&
               strcmp(call->reply.reason, "NAME_TAKEN") != 0) {
        sim_violation(world, SIM_SET_UP, "%s", call->reply.message);
    } else {
        sim_record_refused(&op->record, world, client->index, &call->reply);
        tell_asker(client, &(struct sim_told){.known = true,
                                              .reason = call->reply.reason});
        believe(client, false, call->reply.reason, 0);
    }
    if (op->kind == OP_SETUP) {
        client->setup++;
        end_operation(client, 100);
        return;
    }
    end_operation(client, pause_us(client));
}

/* --- What it asks ------------------------------------------------------------
 */

static const struct api_method *method_of(const char *name)
{
    for (const struct api_method *at = api_methods; at->path != NULL; at++) {
        if (strcmp(strrchr(at->path, '/') + 1, name) == 0) {
            return at;
        }
    }
    CHECK_UNREACHABLE("a method of the API");
}

static void ask(struct sim_client *client, enum op_kind kind, uint32_t vm,
                const char *method, const ProtobufCMessage *message)
{
    struct operation *op = &client->op;

    *op = (struct operation){.kind = kind,
                             .vm = vm,
                             .method = method_of(method),
                             .number = ++client->numbers};
    op->dry_run = sim_field_flag(message, "dry_run");
    op->len = protobuf_c_message_get_packed_size(message);
    op->message = memory_alloc(op->len + 1);
    protobuf_c_message_pack(message, op->message);
    sim_record_begin(&op->record, client->world, op->method, message);
    client->busy = true;
    attempt(client);
}

static void vm_name(const struct sim_client *client, uint32_t vm, char name[24])
{
    (void)snprintf(name, 24, "c%u-%u-%u", client->index % 10, vm % 1000,
                   client->vms[vm].generation % 100000);
}

static void request_id(const struct sim_client *client, char id[40])
{
    (void)snprintf(id, 40, "c%" PRIu32 "-%" PRIu64, client->index,
                   client->numbers + 1);
}

static void ask_create(struct sim_client *client, uint32_t vm)
{
    struct sim_world *world = client->world;
    Holdfast__V1__CreateVmRequest request =
        HOLDFAST__V1__CREATE_VM_REQUEST__INIT;
    Holdfast__V1__Vm wish = HOLDFAST__V1__VM__INIT;
    struct sim_wish parts;
    char group[SIM_GROUP_NAME];
    char zone[8] = "";
    char name[24];
    char id[40];

    vm_name(client, vm, name);
    request_id(client, id);
    sim_wish_init(&parts, world);
    sim_wish_of_vm(&parts, &wish);
    wish.name = name;
    if (sim_chance(world, 100)) {
        (void)snprintf(zone, sizeof(zone), "z%" PRIu64,
                       1 + sim_below(world, world->node_count));
        wish.zone = zone;
    }
    if (world->rich && sim_chance(world, 200) &&
        sim_groups_some(client, group)) {
        wish.group = group;
    }
    request.vm = &wish;
    request.request_id = id;
    ask(client, OP_CREATE, vm, "CreateVm", &request.base);
}

static void ask_get(struct sim_client *client, uint32_t vm)
{
    Holdfast__V1__GetVmRequest request = HOLDFAST__V1__GET_VM_REQUEST__INIT;
    char name[24];

    vm_name(client, vm, name);
    request.name = name;
    ask(client, OP_GET, vm, "GetVm", &request.base);
}

/* These four have the fields `name` and `request_id` alone. */
static void ask_simple(struct sim_client *client, enum op_kind kind,
                       uint32_t vm)
{
    Holdfast__V1__StopVmRequest stop = HOLDFAST__V1__STOP_VM_REQUEST__INIT;
    Holdfast__V1__StartVmRequest start = HOLDFAST__V1__START_VM_REQUEST__INIT;
    Holdfast__V1__MoveVmRequest move = HOLDFAST__V1__MOVE_VM_REQUEST__INIT;
    Holdfast__V1__DeleteVmRequest gone = HOLDFAST__V1__DELETE_VM_REQUEST__INIT;
    char zone[8] = "";
    char name[24];
    char id[40];

    vm_name(client, vm, name);
    request_id(client, id);
    stop.name = start.name = move.name = gone.name = name;
    stop.request_id = start.request_id = id;
    move.request_id = gone.request_id = id;
    switch (kind) {
    case OP_STOP:
        ask(client, kind, vm, "StopVm", &stop.base);
        break;
    case OP_START:
        ask(client, kind, vm, "StartVm", &start.base);
        break;
    case OP_MOVE:
        if (sim_chance(client->world, 500)) {
            (void)snprintf(
                zone, sizeof(zone), "z%" PRIu64,
                1 + sim_below(client->world, client->world->node_count));
            move.zone = zone;
        }
        ask(client, kind, vm, "MoveVm", &move.base);
        break;
    default:
        ask(client, kind, vm, "DeleteVm", &gone.base);
        break;
    }
}

static void ask_update(struct sim_client *client, uint32_t vm)
{
    Holdfast__V1__UpdateVmRequest request =
        HOLDFAST__V1__UPDATE_VM_REQUEST__INIT;
    Holdfast__V1__Vm wish = HOLDFAST__V1__VM__INIT;
    char priority[] = "priority";
    char *mask[] = {priority};
    char name[24];
    char id[40];

    vm_name(client, vm, name);
    request_id(client, id);
    wish.name = name;
    wish.priority = (uint32_t)sim_below(client->world, 1001);
    request.vm = &wish;
    request.update_mask = mask;
    request.n_update_mask = 1;
    request.request_id = id;
    ask(client, OP_UPDATE, vm, "UpdateVm", &request.base);
}

/* A lease that the host may use longer than the leader waits. */
static void ask_bad_settings(struct sim_client *client)
{
    Holdfast__V1__UpdateSettingsRequest request =
        HOLDFAST__V1__UPDATE_SETTINGS_REQUEST__INIT;
    Holdfast__V1__Settings settings = HOLDFAST__V1__SETTINGS__INIT;
    char field[] = "lease_run_ms";
    char *mask[] = {field};
    char id[40];

    request_id(client, id);
    settings.lease_run_ms = (uint32_t)sim_between(client->world, 8000, 20000);
    request.settings = &settings;
    request.update_mask = mask;
    request.n_update_mask = 1;
    request.request_id = id;
    ask(client, OP_BAD_SETTINGS, 0, "UpdateSettings", &request.base);
}

static void ask_bad_name(struct sim_client *client)
{
    Holdfast__V1__CreateZoneRequest request =
        HOLDFAST__V1__CREATE_ZONE_REQUEST__INIT;
    char name[] = "Not A Name";
    char id[40];

    request_id(client, id);
    request.name = name;
    request.request_id = id;
    ask(client, OP_BAD_NAME, 0, "CreateZone", &request.base);
}

void sim_client_ask(struct sim_client *client, const char *method,
                    const ProtobufCMessage *message)
{
    ask(client, OP_OTHER, 0, method, message);
}

void sim_client_ask_told(struct sim_client *client, const char *method,
                         const ProtobufCMessage *message, sim_told_fn told)
{
    ask(client, OP_OTHER, 0, method, message);
    client->op.told = told;
}

void sim_client_ask_setup(struct sim_client *client, const char *method,
                          const ProtobufCMessage *message)
{
    ask(client, OP_SETUP, 0, method, message);
}

void sim_client_request_id(const struct sim_client *client, char id[40])
{
    request_id(client, id);
}

struct sim_world *sim_client_world(const struct sim_client *client)
{
    return client->world;
}

uint32_t sim_client_index(const struct sim_client *client)
{
    return client->index;
}

struct sim_groups *sim_client_groups(struct sim_client *client)
{
    return &client->groups;
}

const struct sim_groups *sim_client_groups_of(const struct sim_client *client)
{
    return &client->groups;
}

static void begin_on_vm(struct sim_client *client)
{
    struct sim_world *world = client->world;
    uint32_t own = world->options.vms / world->options.clients;
    uint32_t vm = (uint32_t)sim_below(world, own);
    uint64_t dice = sim_below(world, 100);

    if (client->vms[vm].belief != PRESENT) {
        if (dice < 80) {
            ask_create(client, vm);
        } else {
            ask_get(client, vm);
        }
    } else if (dice < 40) {
        ask_get(client, vm);
    } else if (dice < 55) {
        ask_simple(client, OP_MOVE, vm);
    } else if (dice < 65) {
        ask_simple(client, OP_STOP, vm);
    } else if (dice < 80) {
        ask_simple(client, OP_START, vm);
    } else if (dice < 92) {
        ask_update(client, vm);
    } else {
        ask_simple(client, OP_DELETE, vm);
    }
}

/* A user's VMs are read, not changed; what is changed never runs. */
static void begin_on_fleet(struct sim_client *client)
{
    const struct sim_world *world = client->world;
    const Holdfast__V1__Manifest *manifest = world->options.fleet->manifest;
    Holdfast__V1__GetVmRequest get = HOLDFAST__V1__GET_VM_REQUEST__INIT;

    if (manifest->n_vms == 0 || sim_chance(client->world, 500)) {
        sim_sharer_acts(client);
        return;
    }
    get.name = manifest->vms[sim_below(client->world, manifest->n_vms)]->name;
    ask(client, OP_OTHER, 0, "GetVm", &get.base);
}

/* Any; often one that takes itself for the leader, for those that do so wrongly
 * must not answer. */
static uint32_t choose_node(struct sim_client *client)
{
    struct sim_world *world = client->world;
    uint32_t node = (uint32_t)sim_below(world, world->node_count);

    if (sim_chance(world, 500)) {
        return node;
    }
    for (uint32_t i = 0; i < world->node_count; i++) {
        uint32_t at = (node + i) % world->node_count;

        if (sim_node_runs(world->nodes[at]) &&
            engine_leads(&world->nodes[at]->engine)) {
            return at;
        }
    }
    return node;
}

/* Zones and hosts: are they cordoned; in a rich region, are they drained? */
static uint32_t things_to_tidy(const struct sim_world *world)
{
    return (world->node_count + world->host_count) * (world->rich ? 2 : 1);
}

static void tidy(struct sim_client *client)
{
    uint32_t things = client->world->node_count + client->world->host_count;
    uint32_t at = client->tidied++;

    if (at < things) {
        sim_operator_tidies(client, at);
    } else {
        sim_steward_tidies(client, at - things);
    }
}

/* What only rich regions have; false: something else. */
static bool begin_rich(struct sim_client *client)
{
    if (!client->world->rich) {
        return false;
    }
    if (sim_chance(client->world, 80)) {
        sim_steward_acts(client);
        return true;
    }
    if (sim_chance(client->world, 110)) {
        sim_groups_act(client);
        return true;
    }
    return false;
}

static void begin(struct sim_client *client)
{
    struct sim_world *world = client->world;

    if (client->stopped && (client->index != 0 || world->lost_us != 0 ||
                            world->options.fleet != NULL ||
                            client->tidied == things_to_tidy(world))) {
        return;
    }
    client->node = choose_node(client);
    if (client->index == 0 && !sim_clients_are_set_up(world)) {
        if (!sim_founder_asks(client, client->setup)) {
            wake_in(client, WAKE_NEXT, 100 * SIM_MS);
        }
    } else if (!sim_clients_are_set_up(world)) {
        wake_in(client, WAKE_NEXT, 100 * SIM_MS);
    } else if (world->options.fleet != NULL) {
        begin_on_fleet(client);
    } else if (client->stopped) {
        tidy(client);
    } else if (begin_rich(client)) {
        return;
    } else if (sim_chance(world, 40) && !world->options.only_zone_loss) {
        sim_operator_acts(client);
    } else if (sim_chance(world, 10)) {
        ask_bad_settings(client);
    } else if (sim_chance(world, 10)) {
        ask_bad_name(client);
    } else if (sim_chance(world, 250) && !world->options.only_zone_loss) {
        sim_sharer_acts(client);
    } else {
        begin_on_vm(client);
    }
}

bool sim_clients_are_set_up(const struct sim_world *world)
{
    return world->clients[0]->setup == sim_founder_steps(world);
}

/* --- Life
 * --------------------------------------------------------------------- */

struct sim_client *sim_client_create(struct sim_world *world, uint32_t index)
{
    struct sim_client *client = memory_alloc(sizeof(*client));

    client->world = world;
    client->index = index;
    return client;
}

void sim_client_destroy(struct sim_client *client)
{
    free(client->op.message);
    free(client);
}

void sim_client_start(struct sim_client *client)
{
    wake_in(client, WAKE_NEXT, sim_below(client->world, 500 * SIM_MS));
}

void sim_client_stop(struct sim_client *client)
{
    client->stopped = true;
}

void sim_client_stay(const struct sim_client *client)
{
    if (client->busy && !client->op.again) {
        sim_record_unknown(&client->op.record, client->world, client->index);
    }
}

void sim_client_check(const struct sim_client *client)
{
    struct sim_world *world = client->world;
    const struct state *state = sim_world_leader(world)->engine.state;
    char name[24];

    sim_groups_check(client);
    for (uint32_t i = 0; i < SIM_VMS_MAX; i++) {
        const struct belief_of *vm = &client->vms[i];
        const struct vm *there;

        vm_name(client, i, name);
        there =
            state_vm_named(state, (struct text){name, (uint32_t)strlen(name)});
        if (vm->belief == PRESENT && (there == NULL || there->uid != vm->uid)) {
            sim_violation(world, "nothing-lost",
                          "the acknowledged VM %s is not there", name);
        } else if ((vm->belief == ABSENT || vm->belief == DELETED) &&
                   there != NULL) {
            sim_violation(world, "once",
                          "VM %s (%" PRIx64 ", state %d, deleting %d, host %d) "
                          "is there, which was deleted or never made",
                          name, there->uid, there->state, there->deleting,
                          (int)there->host);
        }
    }
}
