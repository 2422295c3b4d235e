/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/record.h"

#include "base/check.h"
#include "base/container.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <holdfast/v1/vm_service.pb-c.h>

#define KIND(name) HOLDFAST__HISTORY__V1__OPERATION_KIND__OPERATION_KIND_##name

typedef Holdfast__History__V1__Operation operation_t;

static const struct {
    const char *method;
    int kind;
} kinds[] = {
    {"CreateVm", KIND(CREATE)}, {"GetVm", KIND(GET)},
    {"UpdateVm", KIND(UPDATE)}, {"MoveVm", KIND(MOVE)},
    {"StartVm", KIND(START)},   {"StopVm", KIND(STOP)},
    {"DeleteVm", KIND(DELETE)},
};

/* A member of a generated message by its field's name; NULL: it has none. */
static const void *member(const ProtobufCMessage *message, const char *name)
{
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field_by_name(message->descriptor,
                                                        name);

    return field == NULL ? NULL : (const char *)message + field->offset;
}

static uint64_t number_of(const ProtobufCMessage *message, const char *name)
{
    const uint64_t *number = member(message, name);

    return number == NULL ? 0 : *number;
}

/* Of a request or response that has one. */
static const Holdfast__V1__Vm *vm_of(const ProtobufCMessage *message)
{
    Holdfast__V1__Vm *const *vm = member(message, "vm");

    CHECK(vm != NULL && *vm != NULL);
    return *vm;
}

static void keep_wish(struct sim_record *record, const Holdfast__V1__Vm *wish)
{
    bool stopped =
        wish->desired == HOLDFAST__V1__DESIRED_STATE__DESIRED_STATE_STOPPED;

    (void)snprintf(record->vm, sizeof(record->vm), "%s", wish->name);
    (void)snprintf(record->value, sizeof(record->value), "%" PRIu32,
                   wish->priority);
    if ((int)record->kind == KIND(CREATE)) {
        (void)snprintf(record->desired, sizeof(record->desired), "%s",
                       stopped ? "stopped" : "running");
    }
}

void sim_record_begin(struct sim_record *record, struct sim_world *world,
                      const struct api_method *method,
                      const ProtobufCMessage *request)
{
    const char *name = strrchr(method->path, '/') + 1;
    char *const *vm = member(request, "name");

    *record = (struct sim_record){.begin_us = world->now_us};
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        if (strcmp(name, kinds[i].method) == 0) {
            record->kind = (Holdfast__History__V1__OperationKind)kinds[i].kind;
        }
    }
    if ((int)record->kind == 0) {
        return;
    }
    record->expect_revision = number_of(request, "expect_revision");
    if (vm != NULL) {
        (void)snprintf(record->vm, sizeof(record->vm), "%s", *vm);
    } else {
        keep_wish(record, vm_of(request));
    }
}

static void begin(const struct sim_record *record, uint32_t client,
                  operation_t *operation)
{
    holdfast__history__v1__operation__init(operation);
    operation->client = client;
    operation->kind = record->kind;
    operation->begin_us = record->begin_us;
    operation->expect_revision = record->expect_revision;
    /* Lent: history_add() copies. */
    operation->vm = (char *)(uintptr_t)record->vm;
    operation->value = (char *)(uintptr_t)record->value;
    operation->desired = (char *)(uintptr_t)record->desired;
}

static void add(struct sim_world *world, const operation_t *operation)
{
    const char *problem = "no room";

    CHECK(history_add(&world->history, operation, &problem) == 0);
}

void sim_record_ok(const struct sim_record *record, struct sim_world *world,
                   uint32_t client, const ProtobufCMessage *response)
{
    const Holdfast__V1__Vm *vm;
    operation_t operation;
    char value[sizeof(record->value)];

    if ((int)record->kind == 0) {
        return;
    }
    vm = vm_of(response);
    begin(record, client, &operation);
    operation.outcome = HOLDFAST__HISTORY__V1__OUTCOME__OUTCOME_OK;
    operation.end_us = world->now_us;
    operation.at = number_of(response, "revision");
    operation.uid = vm->uid;
    operation.revision = vm->revision;
    if ((int)record->kind == KIND(GET)) {
        static char stopped[] = "stopped";
        static char running[] = "running";

        (void)snprintf(value, sizeof(value), "%" PRIu32, vm->priority);
        operation.value = value;
        operation.deleting = vm->status->deleting;
        operation.desired =
            vm->desired == HOLDFAST__V1__DESIRED_STATE__DESIRED_STATE_STOPPED
                ? stopped
                : running;
    }
    add(world, &operation);
}

void sim_record_refused(const struct sim_record *record,
                        struct sim_world *world, uint32_t client,
                        const struct api_reply *reply)
{
    operation_t operation;

    if ((int)record->kind == 0) {
        return;
    }
    begin(record, client, &operation);
    operation.outcome = HOLDFAST__HISTORY__V1__OUTCOME__OUTCOME_REFUSED;
    operation.end_us = world->now_us;
    operation.code = (char *)(uintptr_t)rpc_code_name(reply->code);
    operation.reason = (char *)(uintptr_t)reply->reason;
    add(world, &operation);
}

void sim_record_unknown(const struct sim_record *record,
                        struct sim_world *world, uint32_t client)
{
    operation_t operation;

    if ((int)record->kind == 0 || (int)record->kind == KIND(GET)) {
        return;
    }
    begin(record, client, &operation);
    operation.outcome = HOLDFAST__HISTORY__V1__OUTCOME__OUTCOME_UNKNOWN;
    add(world, &operation);
}

void sim_record_check(struct sim_world *world)
{
    struct history_result result;

    history_check(&world->history, &result);
    world->figures.recorded += world->history.count;
    world->figures.undecided += result.undecided;
    if (result.verdict == HISTORY_WRONG) {
        sim_violation(world, "history-is-linearizable", "%.*s",
                      (int)result.story.len, (const char *)result.story.data);
    }
    bytes_close(&result.story);
}
