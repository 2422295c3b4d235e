/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/wait.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/memory.h"
#include "ctl/event.h"
#include "ctl/failure.h"
#include "ctl/format.h"
#include "ctl/operation_wait.h"
#include "ctl/output.h"
#include "ctl/request.h"
#include "ctl/view.h"
#include "holdfast/v1/vm_service.pb-c.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool wait_is_reached(enum wait_goal goal, uint64_t epoch,
                     const ProtobufCMessage *message, bool deleted)
{
    const Holdfast__V1__Vm *vm = (const void *)message;
    const Holdfast__V1__VmStatus *status = vm->status;

    if (goal == WAIT_DELETED) {
        return deleted;
    }
    if (status == NULL || deleted) {
        return false;
    }
    switch (goal) {
    case WAIT_RUNNING:
        return status->state == HOLDFAST__V1__VM_STATE__VM_STATE_RUNNING;
    case WAIT_STOPPED:
        return status->state == HOLDFAST__V1__VM_STATE__VM_STATE_STOPPED;
    default:
        return status->state == HOLDFAST__V1__VM_STATE__VM_STATE_RUNNING &&
               status->epoch > epoch && status->move_zone[0] == '\0' &&
               status->move_host[0] == '\0';
    }
}

void wait_init(struct wait *wait, enum wait_goal goal)
{
    *wait = (struct wait){.goal = goal};
}

void wait_close(struct wait *wait)
{
    for (size_t i = 0; i < wait->count; i++) {
        free(wait->targets[i].name);
        free(wait->targets[i].operation);
    }
    free(wait->targets);
}

/* What was seen of a target; told when it is new. */
static void look(struct wait *wait, struct invocation *invocation,
                 struct wait_target *target, const ProtobufCMessage *message,
                 bool deleted)
{
    const Holdfast__V1__Vm *vm = (const void *)message;
    const Holdfast__V1__VmStatus *status = vm->status;
    char text[sizeof(target->state)];
    bool placed = status != NULL && status->host[0] != '\0';

    target->done = wait_is_reached(wait->goal, target->epoch, message, deleted);
    target->gone = deleted && !target->done;
    (void)snprintf(text, sizeof(text), "%s%s%.70s",
                   deleted ? "deleted" : view_vm_state(message).text,
                   placed && !deleted ? " on " : "",
                   placed && !deleted ? status->host : "");
    if (strcmp(text, target->state) != 0 && invocation != NULL &&
        invocation->progress) {
        (void)fprintf(stderr, "vm %s: %s\n", target->name, text);
    }
    memcpy(target->state, text, sizeof(text));
}

void wait_add(struct wait *wait, const ProtobufCMessage *response,
              uint64_t epoch)
{
    const ProtobufCMessage *object = response_object(response);
    const Holdfast__V1__Vm *vm = (const void *)object;
    uint64_t revision = response_revision(response);
    struct wait_target *target;

    if (object == NULL) {
        return;
    }
    CHECK(object->descriptor == &holdfast__v1__vm__descriptor);
    wait->targets = memory_realloc_array(wait->targets, wait->count + 1,
                                         sizeof(*wait->targets));
    target = &wait->targets[wait->count++];
    *target = (struct wait_target){
        .name = memory_copy_string(vm->name),
        .operation = memory_copy_string(view_string(response, "operation_id")),
        .uid = vm->uid,
        .epoch = epoch};
    look(wait, NULL, target, object, false);
    if (wait->revision == 0 || revision < wait->revision) {
        wait->revision = revision;
    }
}

static size_t missing(const struct wait *wait)
{
    size_t count = 0;

    for (size_t i = 0; i < wait->count; i++) {
        count += !wait->targets[i].done;
    }
    return count;
}

static void take_events(struct wait *wait, struct invocation *invocation,
                        struct event_stream *stream)
{
    struct event_view event;

    while (event_stream_take(stream, &event)) {
        const Holdfast__V1__Vm *vm = (const void *)event.object;

        if (event.object->descriptor != &holdfast__v1__vm__descriptor) {
            continue;
        }
        for (size_t i = 0; i < wait->count; i++) {
            if (wait->targets[i].uid == vm->uid) {
                look(wait, invocation, &wait->targets[i], event.object,
                     event.deleted);
            }
        }
    }
}

/* A VM that is gone will never be there. */
static enum exit_code tell_gone(const struct wait *wait)
{
    enum exit_code code = EXIT_OK;

    for (size_t i = 0; i < wait->count; i++) {
        if (wait->targets[i].gone) {
            (void)fprintf(stderr, "holdfast: vm %s was deleted meanwhile\n",
                          wait->targets[i].name);
            code = EXIT_NOT_FOUND;
        }
    }
    return code;
}

/* Too far behind to watch: ask for each, then watch from there. */
static enum exit_code ask_again(struct wait *wait,
                                struct invocation *invocation)
{
    wait->revision = 0;
    for (size_t i = 0; i < wait->count; i++) {
        Holdfast__V1__GetVmRequest request;
        struct wait_target *target = &wait->targets[i];
        const ProtobufCMessage *object;
        ProtobufCMessage *response;
        struct hf_status status;
        enum hf_code code;

        holdfast__v1__get_vm_request__init(&request);
        request.name = target->name;
        code = hf_client_call(invocation->client, "VmService/GetVm",
                              &request.base, &response, &status);
        if (code == HF_STATUS_NOT_FOUND) {
            target->done = wait->goal == WAIT_DELETED;
            target->gone = !target->done;
            continue;
        }
        if (code != HF_STATUS_OK) {
            return failure_tell(invocation, target->name, &status);
        }
        object = response_object(response);
        if (object != NULL) {
            look(wait, invocation, target, object, false);
        }
        if (wait->revision == 0) {
            wait->revision = response_revision(response);
        }
        hf_message_free(response);
    }
    return tell_gone(wait);
}

static enum exit_code tell_missing(const struct wait *wait)
{
    (void)fprintf(stderr, "holdfast: not there yet when --wait-timeout ran "
                          "out; Holdfast goes on with it:\n");
    for (size_t i = 0; i < wait->count; i++) {
        if (!wait->targets[i].done) {
            (void)fprintf(stderr, "  vm %s: %s\n", wait->targets[i].name,
                          wait->targets[i].state);
        }
    }
    (void)fprintf(stderr, "  `holdfast vm show NAME` says why.\n");
    return EXIT_TIMED_OUT;
}

/* Until all are there, the time is up, or the stream ends. */
static enum exit_code follow(struct wait *wait, struct invocation *invocation,
                             uint64_t deadline_ms, struct hf_status *status)
{
    struct event_stream stream;
    enum exit_code code = EXIT_OK;

    event_stream_open(&stream, invocation, wait->revision - 1, "vm");
    status->code = HF_STATUS_OK;
    while (code == EXIT_OK && missing(wait) > 0) {
        uint64_t now_ms = clock_boot_ms();

        if (now_ms >= deadline_ms) {
            code = tell_missing(wait);
            break;
        }
        if (event_stream_next(&stream, (uint32_t)(deadline_ms - now_ms),
                              status)) {
            take_events(wait, invocation, &stream);
            code = tell_gone(wait);
        } else if (status->code != HF_STATUS_DEADLINE_EXCEEDED) {
            break;
        }
    }
    event_stream_close(&stream);
    return code;
}

bool wait_check_options(struct invocation *invocation)
{
    const char *text =
        arguments_value(invocation->arguments, OPTION_WAIT_TIMEOUT);
    uint64_t timeout_ms;

    if (text != NULL && !format_read_duration(text, &timeout_ms)) {
        (void)usage_error(invocation,
                          "--wait-timeout: `%s` is no time; write 30s or 2m",
                          text);
        return false;
    }
    return true;
}

/* --- By operations -------------------------------------------------------- */

static bool has_operations(const struct wait *wait)
{
    for (size_t i = 0; i < wait->count; i++) {
        if (wait->targets[i].operation[0] == '\0') {
            return false;
        }
    }
    return true;
}

/* How it is now, for people; the operation has said that it is there. */
static enum exit_code see(struct wait *wait, struct invocation *invocation,
                          struct wait_target *target)
{
    Holdfast__V1__GetVmRequest request = HOLDFAST__V1__GET_VM_REQUEST__INIT;
    ProtobufCMessage *response;
    struct hf_status status;

    request.name = target->name;
    if (wait->goal != WAIT_DELETED) {
        if (hf_client_call(invocation->client, "VmService/GetVm", &request.base,
                           &response, &status) != HF_STATUS_OK) {
            return failure_tell(invocation, target->name, &status);
        }
        if (response_object(response) != NULL) {
            look(wait, invocation, target, response_object(response), false);
        }
        hf_message_free(response);
    }
    target->done = true;
    return EXIT_OK;
}

static enum exit_code await(struct wait *wait, struct invocation *invocation,
                            struct wait_target *target, struct poll *poll)
{
    struct operation_told told;
    enum exit_code code;
    char what[96];

    (void)snprintf(what, sizeof(what), "vm %.64s", target->name);
    code = operation_follow(invocation, target->operation, what, poll, &told);
    if (code == EXIT_TIMED_OUT) {
        (void)snprintf(target->state, sizeof(target->state), "%.190s",
                       told.message);
        return tell_missing(wait);
    }
    if (code != EXIT_OK) {
        return code;
    }
    if (operation_is_done(&told)) {
        return see(wait, invocation, target);
    }
    if (told.state == HOLDFAST__V1__OPERATION_STATE__OPERATION_STATE_FAILED) {
        target->gone = true;
        return tell_gone(wait);
    }
    return operation_tell_failure(what, &told);
}

static enum exit_code await_all(struct wait *wait,
                                struct invocation *invocation)
{
    enum exit_code code = EXIT_OK;
    struct poll poll;

    poll_init(&poll, invocation);
    for (size_t i = 0; code == EXIT_OK && i < wait->count; i++) {
        if (!wait->targets[i].done) {
            code = await(wait, invocation, &wait->targets[i], &poll);
        }
    }
    return code;
}

/* --- By a watch ----------------------------------------------------------- */

static enum exit_code watch_all(struct wait *wait,
                                struct invocation *invocation)
{
    const char *text =
        arguments_value(invocation->arguments, OPTION_WAIT_TIMEOUT);
    uint64_t timeout_ms = WAIT_TIMEOUT_DEFAULT_MS;
    uint64_t deadline_ms;
    struct hf_status status = {.code = HF_STATUS_OK};
    enum exit_code code = EXIT_OK;

    CHECK(text == NULL || format_read_duration(text, &timeout_ms));
    deadline_ms = clock_boot_ms() + timeout_ms;
    if (wait->revision <= 1) {
        code = ask_again(wait, invocation);
    }
    while (code == EXIT_OK && missing(wait) > 0) {
        code = follow(wait, invocation, deadline_ms, &status);
        if (code == EXIT_OK && missing(wait) > 0) {
            if (status.code != HF_STATUS_OUT_OF_RANGE) {
                return failure_tell(invocation, NULL, &status);
            }
            code = ask_again(wait, invocation);
        }
    }
    return code;
}

enum exit_code wait_run(struct wait *wait, struct invocation *invocation)
{
    enum exit_code code = has_operations(wait) ? await_all(wait, invocation)
                                               : watch_all(wait, invocation);

    if (invocation->progress && invocation->terminal) {
        return code; /* The last line of each was seen already. */
    }
    for (size_t i = 0; code == EXIT_OK && i < wait->count; i++) {
        output_line(invocation, "vm %s %s", wait->targets[i].name,
                    wait->goal == WAIT_DELETED ? "is gone"
                                               : wait->targets[i].state);
    }
    return code;
}
