/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/client.h"

#include "base/check.h"
#include "base/memory.h"
#include "tests/sim/call.h"
#include "tests/sim/check.h"
#include "tests/sim/field.h"
#include "tests/sim/fleet.h"
#include "tests/sim/founder.h"
#include "tests/sim/groups.h"
#include "tests/sim/mason.h"
#include "tests/sim/members.h"
#include "tests/sim/node.h"
#include "tests/sim/owner.h"
#include "tests/sim/sharer.h"
#include "tests/sim/steward.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <holdfast/v1/class_service.pb-c.h>
#include <holdfast/v1/cluster_service.pb-c.h>
#include <holdfast/v1/vm_service.pb-c.h>
#include <holdfast/v1/zone_service.pb-c.h>

#define ATTEMPT_US (1500 * SIM_MS)
#define ATTEMPTS   14

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
    struct sim_operation *op = &client->op;

    client->world->figures.unknown++;
    sim_trace(client->world, "c%" PRIu32 " #%" PRIu64 " gives up",
              client->index, op->number);
    sim_record_unknown(&op->record, client->world, client->index);
    tell_asker(client, &(struct sim_told){0});
    sim_owner_gives_up(client);
    end_operation(client, pause_us(client));
}

static void attempt(struct sim_client *client)
{
    struct sim_world *world = client->world;
    struct sim_operation *op = &client->op;

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
    sim_call_send(client);
}

/* --- Answers ----------------------------------------------------------------
 */

static bool must_fail(enum sim_op_kind kind)
{
    return kind == OP_BAD_NAME || kind == OP_BAD_SETTINGS;
}

static void take_ok(struct sim_client *client, const struct sim_call *call)
{
    struct sim_world *world = client->world;
    struct sim_operation *op = &client->op;
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
        tell_asker(client, &(struct sim_told){.known = true,
                                              .again = op->attempts > 1,
                                              .response = response});
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
        sim_owner_hears(client, true, "", uid);
    }
    op->revision = revision;
    op->uid = uid;
}

void sim_client_hears(struct sim_client *client, const struct sim_call *call)
{
    struct sim_world *world = client->world;
    struct sim_operation *op = &client->op;

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
                                              .again = op->attempts > 1,
                                              .reason = call->reply.reason});
        sim_owner_hears(client, false, call->reply.reason, 0);
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
    const struct api_method *of_members = sim_members_method(name);

    if (of_members != NULL) {
        return of_members;
    }
    for (const struct api_method *at = api_methods; at->path != NULL; at++) {
        if (strcmp(strrchr(at->path, '/') + 1, name) == 0) {
            return at;
        }
    }
    CHECK_UNREACHABLE("a method of the API");
}

void sim_client_begin(struct sim_client *client, enum sim_op_kind kind,
                      uint32_t vm, const char *method,
                      const ProtobufCMessage *message)
{
    struct sim_operation *op = &client->op;

    *op = (struct sim_operation){.kind = kind,
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

/* A lease that the host may use longer than the leader waits. */
static void ask_bad_settings(struct sim_client *client)
{
    Holdfast__V1__UpdateSettingsRequest request =
        HOLDFAST__V1__UPDATE_SETTINGS_REQUEST__INIT;
    Holdfast__V1__Settings settings = HOLDFAST__V1__SETTINGS__INIT;
    char field[] = "lease_run_ms";
    char *mask[] = {field};
    char id[40];

    sim_client_request_id(client, id);
    settings.lease_run_ms = (uint32_t)sim_between(client->world, 8000, 20000);
    request.settings = &settings;
    request.update_mask = mask;
    request.n_update_mask = 1;
    request.request_id = id;
    sim_client_begin(client, OP_BAD_SETTINGS, 0, "UpdateSettings",
                     &request.base);
}

static void ask_bad_name(struct sim_client *client)
{
    Holdfast__V1__CreateZoneRequest request =
        HOLDFAST__V1__CREATE_ZONE_REQUEST__INIT;
    char name[] = "Not A Name";
    char id[40];

    sim_client_request_id(client, id);
    request.name = name;
    request.request_id = id;
    sim_client_begin(client, OP_BAD_NAME, 0, "CreateZone", &request.base);
}

void sim_client_ask(struct sim_client *client, const char *method,
                    const ProtobufCMessage *message)
{
    sim_client_begin(client, OP_OTHER, 0, method, message);
}

void sim_client_ask_told(struct sim_client *client, const char *method,
                         const ProtobufCMessage *message, sim_told_fn told)
{
    sim_client_begin(client, OP_OTHER, 0, method, message);
    client->op.told = told;
}

void sim_client_ask_setup(struct sim_client *client, const char *method,
                          const ProtobufCMessage *message)
{
    sim_client_begin(client, OP_SETUP, 0, method, message);
}

void sim_client_request_id(const struct sim_client *client, char id[40])
{
    (void)snprintf(id, 40, "c%" PRIu32 "-%" PRIu64, client->index,
                   client->numbers + 1);
}

struct sim_world *sim_client_world(const struct sim_client *client)
{
    return client->world;
}

uint32_t sim_client_index(const struct sim_client *client)
{
    return client->index;
}

struct sim_scout *sim_client_scout(struct sim_client *client)
{
    return &client->scout;
}

struct sim_groups *sim_client_groups(struct sim_client *client)
{
    return &client->groups;
}

const struct sim_groups *sim_client_groups_of(const struct sim_client *client)
{
    return &client->groups;
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
    sim_client_begin(client, OP_OTHER, 0, "GetVm", &get.base);
}

/* Any; often one that takes itself for the leader, for those that do so wrongly
 * must not answer. */
static uint32_t choose_node(struct sim_client *client)
{
    struct sim_world *world = client->world;
    uint32_t node = (uint32_t)sim_below(world, world->node_count);

    /* Who is out of use is asked by mistake only. */
    while (world->nodes[node]->retired && !sim_chance(world, 100)) {
        node = (node + 1) % world->node_count;
    }
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
    return (world->zone_count + world->host_count) * (world->rich ? 2 : 1);
}

static void tidy(struct sim_client *client)
{
    uint32_t things = client->world->zone_count + client->world->host_count;
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
    if (client->world->plans && sim_chance(client->world, 120)) {
        sim_scout_acts(client);
        return true;
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

static bool is_mason(const struct sim_client *client)
{
    return client->index == SIM_CLIENTS_MAX;
}

static void begin_as_mason(struct sim_client *client)
{
    struct sim_mason *mason = client->world->mason;

    client->node = choose_node(client);
    if ((!sim_clients_are_set_up(client->world) || !sim_mason_acts(mason)) &&
        !client->stopped) {
        wake_in(client, WAKE_NEXT,
                sim_between(client->world, SIM_SECOND, 6 * SIM_SECOND));
    }
}

static void begin(struct sim_client *client)
{
    struct sim_world *world = client->world;

    if (is_mason(client)) {
        begin_as_mason(client);
        return;
    }
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
        sim_owner_acts(client);
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
    sim_scout_close(&client->scout);
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
    sim_groups_check(client);
    sim_owner_checks(client);
}
