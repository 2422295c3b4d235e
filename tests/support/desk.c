/* SPDX-License-Identifier: Apache-2.0 */
#include "support/desk.h"

#include "base/check.h"
#include "base/memory.h"
#include "node/api_check.h"
#include "placement/headroom.h"
#include "proto/text_json.h"
#include "proto/text_yaml.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <holdfast/v1/manifest_service.pb-c.h>

#define ARENA_BYTES (16u << 20)

struct mutation {
    struct turn_request request;
    const struct api_method *method;
    const ProtobufCMessage *message;
    struct api_reply *reply;
};

static bool log_ready(struct turn_log *log)
{
    (void)log;
    return true;
}

static int log_submit(struct turn_log *log, const void *data, size_t len)
{
    struct desk *desk = container_of(log, struct desk, log);

    bytes_clear(&desk->entry);
    bytes_append(&desk->entry, data, len);
    return 0;
}

static int log_barrier(struct turn_log *log)
{
    return log_submit(log, "", 0);
}

static void plan_mutation(struct turn_request *request, struct turn_plan *plan)
{
    struct mutation *mutation = container_of(request, struct mutation, request);

    api_mutate(mutation->method, mutation->message, plan, mutation->reply);
}

static void mutation_done(struct turn_request *request, int status)
{
    (void)request;
    assert_int_equal(status, 0);
}

const struct api_method *desk_method(const char *name)
{
    for (const struct api_method *at = api_methods; at->path != NULL; at++) {
        if (strcmp(strrchr(at->path, '/') + 1, name) == 0) {
            return at;
        }
    }
    CHECK_UNREACHABLE("a method that is served");
}

static void commit(struct desk *desk)
{
    struct batch batch;
    struct arena arena;

    if (desk->entry.len > 0) {
        arena_init(&arena, BATCH_ARENA_BYTES);
        assert_int_equal(
            batch_decode(desk->entry.data, desk->entry.len, &arena, &batch), 0);
        assert_int_equal(state_apply_batch(desk->state, &batch, NULL), 0);
        arena_close(&arena);
    }
    turn_finished(&desk->turn, 0);
}

static void run_turn(struct desk *desk)
{
    while (!turn_prepare(&desk->turn)) {
    }
    desk->now_ms++;
    turn_run(&desk->turn, desk->now_ms, desk->now_ms);
    commit(desk);
}

struct decision {
    struct turn_request request;
    struct desk_decision *given;
};

static void plan_decision(struct turn_request *request, struct turn_plan *plan)
{
    struct decision *decision = container_of(request, struct decision, request);

    decision->given->decide(decision->given, plan);
}

void desk_decide(struct desk *desk, struct desk_decision *given)
{
    struct decision decision = {
        .request = {.plan = plan_decision, .done = mutation_done},
        .given = given,
    };

    assert_int_equal(turn_submit(&desk->turn, LANE_MUTATION, &decision.request),
                     0);
    run_turn(desk);
}

static void submit(struct desk *desk, struct mutation *mutation)
{
    mutation->request =
        (struct turn_request){.plan = plan_mutation, .done = mutation_done};
    assert_int_equal(
        turn_submit(&desk->turn, LANE_MUTATION, &mutation->request), 0);
}

static void mutate(struct desk *desk, const struct api_method *method,
                   const ProtobufCMessage *message)
{
    struct mutation mutation = {
        .method = method, .message = message, .reply = &desk->reply};
    uint64_t before = state_hash(desk->state);

    submit(desk, &mutation);
    run_turn(desk);
    /* Rule 9: a refusal changes nothing, unless it is itself kept. */
    assert_true(desk->reply.code == RPC_OK || desk->reply.kept ||
                state_hash(desk->state) == before);
}

void desk_send_pair(struct desk *desk, const char *method,
                    const ProtobufCMessage *first,
                    const ProtobufCMessage *second, struct api_reply replies[2])
{
    struct mutation mutations[2] = {
        {.method = desk_method(method), .message = first, .reply = &replies[0]},
        {.method = desk_method(method),
         .message = second,
         .reply = &replies[1]},
    };

    for (int i = 0; i < 2; i++) {
        api_reply_init(&replies[i]);
        submit(desk, &mutations[i]);
    }
    run_turn(desk);
}

static void write_answer(struct desk *desk, const struct api_method *method)
{
    ProtobufCMessage *response = protobuf_c_message_unpack(
        method->output, NULL, desk->reply.response.len,
        desk->reply.response.data);

    assert_non_null(response);
    bytes_clear(&desk->json);
    text_json_write(response, TEXT_DEFAULTS, &desk->json);
    bytes_append_u8(&desk->json, '\0');
    protobuf_c_message_free_unpacked(response, NULL);
}

static void carry_out(struct desk *desk, const struct api_method *method,
                      const ProtobufCMessage *message, struct arena *arena)
{
    api_reply_close(&desk->reply);
    api_reply_init(&desk->reply);
    desk->reply.caller = desk->caller;
    desk->reply.repetition = desk->repetition;
    desk->reply.wall_ms = desk->wall_ms;
    while (!turn_prepare(&desk->turn)) {
    }
    if (method->read != NULL) {
        const struct api_view view = {.state = desk->state,
                                      .leases = &desk->leases,
                                      .placer = turn_placer(&desk->turn),
                                      .now_ms = desk->now_ms,
                                      .arena = arena,
                                      .pages = &desk->pages};

        api_read(method, message, &view, &desk->reply);
    } else {
        mutate(desk, method, message);
    }
    if (desk->reply.code == RPC_OK) {
        write_answer(desk, method);
    }
}

void desk_send(struct desk *desk, const char *method,
               const ProtobufCMessage *message)
{
    struct arena arena;

    arena_init(&arena, ARENA_BYTES);
    carry_out(desk, desk_method(method), message, &arena);
    arena_close(&arena);
}

void desk_apply_vms(struct desk *desk, size_t count, char *program)
{
    Holdfast__V1__ApplyManifestRequest request =
        HOLDFAST__V1__APPLY_MANIFEST_REQUEST__INIT;
    Holdfast__V1__Manifest manifest = HOLDFAST__V1__MANIFEST__INIT;
    Holdfast__V1__VmTemplate template = HOLDFAST__V1__VM_TEMPLATE__INIT;
    Holdfast__V1__Vm *vms = calloc(count, sizeof(*vms));
    char(*names)[32] = calloc(count, sizeof(*names));
    char class_name[] = "small";

    assert_non_null(vms);
    assert_non_null(names);
    template.driver = HOLDFAST__V1__DRIVER__DRIVER_EXEC;
    template.n_command = 1;
    template.command = &program;
    manifest.vms = calloc(count, sizeof(*manifest.vms));
    assert_non_null(manifest.vms);
    for (size_t i = 0; i < count; i++) {
        holdfast__v1__vm__init(&vms[i]);
        snprintf(names[i], sizeof(names[i]), "vm-%zu", i);
        vms[i].name = names[i];
        vms[i].class_name = class_name;
        vms[i].template_ = &template;
        manifest.vms[manifest.n_vms++] = &vms[i];
    }
    request.manifest = &manifest;
    desk_send(desk, "ApplyManifest", &request.base);
    free(manifest.vms);
    free(names);
    free(vms);
}

static void call(struct desk *desk, const char *name, const char *yaml)
{
    const struct api_method *method = desk_method(name);
    const struct text_source source = {name, yaml, strlen(yaml)};
    ProtobufCMessage *message;
    struct text_error error;
    struct arena arena;

    arena_init(&arena, ARENA_BYTES);
    if (text_yaml_read(method->input, &source, &arena, &message, &error) != 0) {
        fail_msg("%s", error.text);
    }
    carry_out(desk, method, message, &arena);
    arena_close(&arena);
}

const char *desk_ok(struct desk *desk, const char *method, const char *yaml)
{
    call(desk, method, yaml);
    if (desk->reply.code != RPC_OK) {
        fail_msg("%s: %s: %s", method, desk->reply.reason, desk->reply.message);
    }
    return (const char *)desk->json.data;
}

void desk_refused(struct desk *desk, const char *method, const char *yaml,
                  const char *reason, const char *words)
{
    call(desk, method, yaml);
    if (desk->reply.code == RPC_OK) {
        fail_msg("%s was not refused: %s", method,
                 (const char *)desk->json.data);
    }
    if (strcmp(desk->reply.reason, reason) != 0 ||
        strstr(desk->reply.message, words) == NULL) {
        fail_msg("%s: '%s' with '%s' is not %s: %s", method, reason, words,
                 desk->reply.reason, desk->reply.message);
    }
}

void desk_says(const struct desk *desk, const char *words)
{
    if (strstr((const char *)desk->json.data, words) == NULL) {
        fail_msg("'%s' is not in %s", words, (const char *)desk->json.data);
    }
}

void desk_says_not(const struct desk *desk, const char *words)
{
    if (strstr((const char *)desk->json.data, words) != NULL) {
        fail_msg("'%s' is in %s", words, (const char *)desk->json.data);
    }
}

void desk_apply(struct desk *desk, const struct change *change)
{
    state_apply(desk->state, change, NULL);
}

void desk_settle(struct desk *desk)
{
    struct placer *placer;

    while (!turn_prepare(&desk->turn)) {
    }
    placer = turn_placer(&desk->turn);
    assert_non_null(placer);
    for (int i = 0; i < 1000; i++) {
        if (headroom_work(placer, desk->state, 1000)) {
            return;
        }
    }
    fail_msg("headroom is never worked out");
}

void desk_host(struct desk *desk, const char *name, const char *zone,
               const char *named)
{
    const struct text pool = {"pool", 4};
    struct change change = {.kind = CHANGE_HOST_REGISTER};
    struct named_amount amount = {{"", 0}, 0};

    if (named != NULL) {
        const char *equals = strchr(named, '=');

        amount.name = (struct text){named, (uint32_t)(equals - named)};
        amount.amount = (uint32_t)strtoul(equals + 1, NULL, 10);
    }
    change.host_register = (struct change_host_register){
        .name = text_of(name),
        .zone = {state_zone_named(desk->state, text_of(zone))->uid},
        .fault_domain = {"", 0},
        .host_id = text_of(name),
        .boot_id = {"b", 1},
        .capacity = {8000, 8192, 100, 0},
        .pools = &pool,
        .pool_count = 1,
        .driver_mask = 1 << DRIVER_EXEC | 1 << DRIVER_QEMU,
        .labels = {"", 0},
        .agent_version = {"", 0},
        .named = &amount,
        .named_count = named == NULL ? 0 : 1,
    };
    desk_apply(desk, &change);
    leases_registered(&desk->leases,
                      state_host_named(desk->state, text_of(name)),
                      desk->now_ms, 5000);
}

struct desk *desk_create_empty(void)
{
    struct desk *desk = memory_alloc(sizeof(*desk));

    desk->log = (struct turn_log){log_ready, log_submit, log_barrier};
    desk->state = state_create();
    desk->applied = desk->state;
    desk->now_ms = 100000;
    leases_init(&desk->leases);
    bytes_init(&desk->entry);
    bytes_init(&desk->json);
    api_reply_init(&desk->reply);
    turn_init(&desk->turn, &desk->log, &desk->applied, NULL, 0);
    desk->turn.leases = &desk->leases;
    turn_lead(&desk->turn, true);
    return desk;
}

void desk_class(struct desk *desk)
{
    desk_ok(desk, "CreateClass",
            "vm_class: {name: small, resources: {cpu_milli: 1000, memory_mib: "
            "1024}}");
}

struct desk *desk_create(void)
{
    struct desk *desk = desk_create_empty();

    desk_ok(desk, "CreateZone", "name: z1");
    desk_ok(desk, "CreateZone", "name: z2");
    desk_ok(desk, "CreateZone", "name: z3");
    desk_host(desk, "h1", "z1", NULL);
    desk_host(desk, "h2", "z2", NULL);
    desk_host(desk, "h3", "z3", NULL);
    desk_class(desk);
    return desk;
}

void desk_destroy(struct desk *desk)
{
    turn_lead(&desk->turn, false);
    turn_close(&desk->turn);
    page_book_close(&desk->pages);
    leases_close(&desk->leases);
    bytes_close(&desk->entry);
    bytes_close(&desk->json);
    api_reply_close(&desk->reply);
    state_destroy(desk->state);
    free(desk);
}

const struct vm *desk_vm(const struct desk *desk, const char *name)
{
    const struct vm *vm = state_vm_named(desk->state, text_of(name));

    assert_non_null(vm);
    return vm;
}

const struct group *desk_group(const struct desk *desk, const char *name)
{
    const struct group *group = state_group_named(desk->state, text_of(name));

    assert_non_null(group);
    return group;
}
