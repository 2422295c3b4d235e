/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/labels.h"
#include "ctl/output.h"
#include "ctl/request.h"
#include "ctl/simple.h"
#include "ctl/template.h"
#include "ctl/wait.h"
#include "holdfast/v1/vm_service.pb-c.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define COUNT_MAX 10000

/* From --file, without its facts, or a VM with every default. */
static Holdfast__V1__Vm *read_manifest(struct invocation *invocation)
{
    Holdfast__V1__Vm *vm = (void *)request_read_file(
        invocation, &holdfast__v1__vm__descriptor, OPTION_FILE);

    if (vm == NULL) {
        return NULL;
    }
    vm->uid = 0;
    vm->revision = 0;
    vm->create_time_ms = 0;
    vm->status = NULL;
    return vm;
}

/* The VM that all of them are like. */
static Holdfast__V1__Vm *read_vm(struct invocation *invocation)
{
    const struct arguments *arguments = invocation->arguments;
    Holdfast__V1__Vm *vm = read_manifest(invocation);

    if (vm == NULL) {
        return NULL;
    }
    if (vm->template_ == NULL) {
        vm->template_ = (void *)request_create(
            invocation, &holdfast__v1__vm_template__descriptor);
    }
    vm->preemptible |= arguments_has(arguments, OPTION_PREEMPTIBLE);
    if (arguments_has(arguments, OPTION_STOPPED)) {
        vm->desired = HOLDFAST__V1__DESIRED_STATE__DESIRED_STATE_STOPPED;
    }
    if ((arguments->name_count > 0 &&
         !request_set(invocation, &vm->base, "name", arguments->names[0],
                      "NAME")) ||
        !request_set_option(invocation, &vm->base, "class_name",
                            OPTION_CLASS) ||
        !request_set_option(invocation, &vm->base, "zone", OPTION_ZONE) ||
        !request_set_option(invocation, &vm->base, "priority",
                            OPTION_PRIORITY) ||
        !request_set_option(invocation, &vm->base, "on_partition",
                            OPTION_ON_PARTITION) ||
        !request_set_option(invocation, &vm->base, "group", OPTION_GROUP) ||
        !labels_apply_options(invocation, &vm->base, "labels", OPTION_LABEL,
                              false) ||
        !labels_apply_options(invocation, &vm->base, "host_selector",
                              OPTION_HOST_SELECTOR, false) ||
        !template_apply_options(invocation, vm->template_, false)) {
        return NULL;
    }
    if (vm->name[0] == '\0') {
        (void)usage_error(invocation, "the VM needs a name");
        return NULL;
    }
    return vm;
}

/* A class, or a size of its own. */
static bool set_size(struct invocation *invocation, Holdfast__V1__Vm *vm)
{
    if (size_has_options(invocation->arguments, OPTION_HOST_DISK)) {
        if (vm->resources == NULL) {
            vm->resources = (void *)request_create(
                invocation, &holdfast__v1__resources__descriptor);
        }
        if (!size_apply_options(invocation, vm->resources, OPTION_HOST_DISK) ||
            !size_is_whole(invocation, vm->resources, "a size of its own")) {
            return false;
        }
    }
    if (vm->resources != NULL && vm->class_name[0] != '\0') {
        (void)usage_error(invocation, "the VM has a class or a size of its "
                                      "own, not both");
        return false;
    }
    if (vm->resources == NULL && vm->class_name[0] == '\0') {
        (void)usage_error(invocation,
                          "the VM needs a --class (`holdfast class list` shows "
                          "them), or --cpu and --memory");
        return false;
    }
    return true;
}

static enum exit_code create_one(struct invocation *invocation,
                                 Holdfast__V1__Vm *vm, struct wait *wait)
{
    const char *method = invocation->command->method;
    Holdfast__V1__CreateVmRequest *request =
        (void *)request_for(invocation, method);
    ProtobufCMessage *response;
    enum exit_code code;

    if (request == NULL) {
        return EXIT_USAGE;
    }
    request->vm = vm;
    code =
        request_call(invocation, method, &request->base, vm->name, &response);
    if (code == EXIT_OK) {
        simple_tell(invocation, response);
        output_flush(invocation);
        wait_add(wait, response, 0);
        hf_message_free(response);
    }
    return code;
}

/* NAME-1 to NAME-N; what cannot be created does not keep the others from it. */
static enum exit_code create_all(struct invocation *invocation,
                                 Holdfast__V1__Vm *vm, uint32_t count,
                                 struct wait *wait)
{
    const char *name = vm->name;
    enum exit_code result = EXIT_OK;

    for (uint32_t i = 1; i <= count; i++) {
        char numbered[256];
        enum exit_code code;

        (void)snprintf(numbered, sizeof(numbered), "%s-%" PRIu32, name, i);
        vm->name = request_copy(invocation, numbered, strlen(numbered));
        code = create_one(invocation, vm, wait);
        result = result == EXIT_OK ? code : result;
        if (code != EXIT_OK && code != EXIT_CONFLICT) {
            break;
        }
    }
    return result;
}

enum exit_code run_vm_create(struct invocation *invocation)
{
    const struct arguments *arguments = invocation->arguments;
    Holdfast__V1__Vm *vm;
    enum exit_code result;
    struct wait wait;
    uint32_t count = 0;

    if (!number_option(invocation, OPTION_COUNT, 1, COUNT_MAX, &count) ||
        !wait_check_options(invocation) ||
        !simple_check_request_id(invocation, count)) {
        return EXIT_USAGE;
    }
    vm = read_vm(invocation);
    if (vm == NULL || !set_size(invocation, vm)) {
        return EXIT_USAGE;
    }
    wait_init(&wait,
              vm->desired == HOLDFAST__V1__DESIRED_STATE__DESIRED_STATE_STOPPED
                  ? WAIT_STOPPED
                  : WAIT_RUNNING);
    result = count == 0 ? create_one(invocation, vm, &wait)
                        : create_all(invocation, vm, count, &wait);
    if (arguments_has(arguments, OPTION_WAIT) && wait.count > 0 &&
        !arguments_has(arguments, OPTION_DRY_RUN)) {
        enum exit_code code = wait_run(&wait, invocation);

        result = result == EXIT_OK ? code : result;
    }
    wait_close(&wait);
    return result;
}
