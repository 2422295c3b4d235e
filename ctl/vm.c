/* SPDX-License-Identifier: Apache-2.0
 *
 * vm start, stop, move, delete and update. */
#include "base/check.h"
#include "ctl/failure.h"
#include "ctl/labels.h"
#include "ctl/output.h"
#include "ctl/request.h"
#include "ctl/simple.h"
#include "ctl/wait.h"
#include "holdfast/v1/vm_service.pb-c.h"

#include <string.h>

/* How often a read-modify-write begins again when another was faster. */
#define UPDATE_ATTEMPTS 5

static enum wait_goal goal_of(const struct command *command)
{
    switch (command->verb[2]) {
    case 'l': /* delete */
        return WAIT_DELETED;
    case 'o': /* stop */
        return WAIT_STOPPED;
    case 'v': /* move */
        return WAIT_MOVED;
    default: /* start */
        return WAIT_RUNNING;
    }
}

static bool waits(const struct invocation *invocation)
{
    return arguments_has(invocation->arguments, OPTION_WAIT) &&
           !arguments_has(invocation->arguments, OPTION_DRY_RUN);
}

/* The VM as it is now; freed with hf_message_free(). */
static enum exit_code get_vm(struct invocation *invocation, char *name,
                             Holdfast__V1__GetVmResponse **response)
{
    Holdfast__V1__GetVmRequest request;
    ProtobufCMessage *message;
    enum exit_code code;

    holdfast__v1__get_vm_request__init(&request);
    request.name = name;
    code = request_call(invocation, "VmService/GetVm", &request.base, name,
                        &message);
    if (code != EXIT_OK) {
        return code;
    }
    *response = (void *)message;
    if ((*response)->vm == NULL || (*response)->vm->status == NULL) {
        struct hf_status status = {.code = HF_STATUS_INTERNAL,
                                   .message = "the answer holds no VM"};

        hf_message_free(message);
        return failure_tell(invocation, name, &status);
    }
    return EXIT_OK;
}

static enum exit_code change_one(struct invocation *invocation,
                                 const char *name, struct wait *wait)
{
    ProtobufCMessage *request =
        request_for(invocation, invocation->command->method);
    ProtobufCMessage *response;
    enum exit_code code = EXIT_OK;
    uint64_t epoch = 0;

    if (request == NULL ||
        !request_set(invocation, request, "name", name, "NAME")) {
        return EXIT_USAGE;
    }
    if (wait->goal == WAIT_MOVED) {
        if (!request_set_option(invocation, request, "zone", OPTION_ZONE) ||
            !request_set_option(invocation, request, "host", OPTION_HOST)) {
            return EXIT_USAGE;
        }
        if (waits(invocation)) { /* A move is over when the epoch has risen. */
            Holdfast__V1__GetVmResponse *before;

            code =
                get_vm(invocation, request_copy(invocation, name, strlen(name)),
                       &before);
            if (code != EXIT_OK) {
                return code;
            }
            epoch = before->vm->status->epoch;
            hf_message_free(&before->base);
        }
    }
    code = request_call(invocation, invocation->command->method, request, name,
                        &response);
    if (code == EXIT_OK) {
        simple_tell(invocation, response);
        output_flush(invocation);
        wait_add(wait, response, epoch);
        hf_message_free(response);
    }
    return code;
}

enum exit_code run_vm_change(struct invocation *invocation)
{
    const struct arguments *arguments = invocation->arguments;
    enum exit_code result = EXIT_OK;
    struct wait wait;

    if (!simple_check_request_id(invocation, arguments->name_count) ||
        !wait_check_options(invocation)) {
        return EXIT_USAGE;
    }
    if (arguments_has(arguments, OPTION_ZONE) &&
        arguments_has(arguments, OPTION_HOST)) {
        return usage_error(invocation, "--zone and --host exclude each other");
    }
    wait_init(&wait, goal_of(invocation->command));
    for (size_t i = 0; i < arguments->name_count; i++) {
        enum exit_code code =
            change_one(invocation, arguments->names[i], &wait);

        result = result == EXIT_OK ? code : result;
        if (code != EXIT_OK && !simple_goes_on(code)) {
            break;
        }
    }
    if (waits(invocation) && wait.count > 0) {
        enum exit_code code = wait_run(&wait, invocation);

        result = result == EXIT_OK ? code : result;
    }
    wait_close(&wait);
    return result;
}

/* The request's fields and mask from the options; labels upon those that the
 * VM has. */
static bool fill_update(struct invocation *invocation,
                        Holdfast__V1__UpdateVmRequest *request,
                        const Holdfast__V1__Vm *before)
{
    const struct arguments *arguments = invocation->arguments;
    ProtobufCMessage *vm = &request->vm->base;
    bool is_set = arguments_has(arguments, OPTION_PREEMPTIBLE);
    bool is_cleared = arguments_has(arguments, OPTION_NOT_PREEMPTIBLE);

    if (!request_set_option(invocation, vm, "priority", OPTION_PRIORITY) ||
        !request_set_option(invocation, vm, "on_partition",
                            OPTION_ON_PARTITION)) {
        return false;
    }
    if (arguments_has(arguments, OPTION_PRIORITY) &&
        !request_add(invocation, &request->base, "update_mask", "priority",
                     "")) {
        return false;
    }
    if (arguments_has(arguments, OPTION_ON_PARTITION) &&
        !request_add(invocation, &request->base, "update_mask", "on_partition",
                     "")) {
        return false;
    }
    if (is_set || is_cleared) {
        request->vm->preemptible = is_set;
        if (!request_add(invocation, &request->base, "update_mask",
                         "preemptible", "")) {
            return false;
        }
    }
    if (!arguments_has(arguments, OPTION_LABEL)) {
        return true;
    }
    labels_inherit(invocation, vm, &before->base, "labels");
    return labels_apply_options(invocation, vm, "labels", OPTION_LABEL, true) &&
           request_add(invocation, &request->base, "update_mask", "labels", "");
}

/* Once; `*again` when the VM changed between the read and the write. */
static enum exit_code update_once(struct invocation *invocation,
                                  const char *name, bool last, bool *again)
{
    Holdfast__V1__UpdateVmRequest *request =
        (void *)request_for(invocation, invocation->command->method);
    Holdfast__V1__GetVmResponse *before;
    ProtobufCMessage *response;
    struct hf_status status;
    enum exit_code code;
    bool filled;

    *again = false;
    if (request == NULL) {
        return EXIT_USAGE;
    }
    request->vm =
        (void *)request_create(invocation, &holdfast__v1__vm__descriptor);
    request->vm->name = request_copy(invocation, name, strlen(name));
    code = get_vm(invocation, request->vm->name, &before);
    if (code != EXIT_OK) {
        return code;
    }
    filled = fill_update(invocation, request, before->vm);
    if (request->expect_revision == 0) {
        request->expect_revision = before->vm->revision;
    }
    if (!filled) {
        code = EXIT_USAGE;
    } else if (hf_client_call(invocation->client, invocation->command->method,
                              &request->base, &response,
                              &status) == HF_STATUS_OK) {
        simple_tell(invocation, response);
        hf_message_free(response);
    } else if (status.code == HF_STATUS_ABORTED && !last) {
        *again = true;
    } else {
        code = failure_tell(invocation, name, &status);
    }
    hf_message_free(&before->base);
    return code;
}

enum exit_code run_vm_update(struct invocation *invocation)
{
    const struct arguments *arguments = invocation->arguments;
    enum exit_code result = EXIT_OK;

    if (!arguments_has(arguments, OPTION_PRIORITY) &&
        !arguments_has(arguments, OPTION_ON_PARTITION) &&
        !arguments_has(arguments, OPTION_PREEMPTIBLE) &&
        !arguments_has(arguments, OPTION_NOT_PREEMPTIBLE) &&
        !arguments_has(arguments, OPTION_LABEL)) {
        return usage_error(invocation,
                           "nothing to change: give --priority, "
                           "--on-partition, --preemptible or --label");
    }
    if (arguments_has(arguments, OPTION_PREEMPTIBLE) &&
        arguments_has(arguments, OPTION_NOT_PREEMPTIBLE)) {
        return usage_error(invocation, "--preemptible and --not-preemptible "
                                       "exclude each other");
    }
    if (!simple_check_request_id(invocation, arguments->name_count)) {
        return EXIT_USAGE;
    }
    for (size_t i = 0; i < arguments->name_count; i++) {
        bool fixed = arguments_has(arguments, OPTION_EXPECT_REVISION) ||
                     arguments_has(arguments, OPTION_REQUEST_ID);
        bool again = true;
        enum exit_code code = EXIT_OK;

        for (unsigned attempt = 1; again; attempt++) {
            code = update_once(invocation, arguments->names[i],
                               fixed || attempt == UPDATE_ATTEMPTS, &again);
        }
        result = result == EXIT_OK ? code : result;
        if (code != EXIT_OK && !simple_goes_on(code)) {
            break;
        }
    }
    return result;
}
