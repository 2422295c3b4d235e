/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/format.h"
#include "ctl/labels.h"
#include "ctl/output.h"
#include "ctl/request.h"
#include "ctl/simple.h"
#include "ctl/wait.h"
#include "holdfast/v1/vm_service.pb-c.h"
#include "proto/text_yaml.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT_MAX 10000

/* From --file, without its facts, or a VM with every default. */
static Holdfast__V1__Vm *read_manifest(struct invocation *invocation)
{
    const char *file = arguments_value(invocation->arguments, OPTION_FILE);
    const ProtobufCMessageDescriptor *descriptor =
        &holdfast__v1__vm__descriptor;
    struct text_error error;
    ProtobufCMessage *message;
    Holdfast__V1__Vm *vm;

    if (file == NULL) {
        return (void *)request_create(invocation, descriptor);
    }
    if (text_yaml_read_file(descriptor, file, &invocation->arena, &message,
                            &error) != 0) {
        (void)usage_error(invocation, "%s", error.text);
        return NULL;
    }
    vm = (void *)message;
    vm->uid = 0;
    vm->revision = 0;
    vm->create_time_ms = 0;
    vm->status = NULL;
    return vm;
}

static bool set_command(struct invocation *invocation,
                        Holdfast__V1__VmTemplate *template)
{
    const struct arguments *arguments = invocation->arguments;

    if (arguments->rest_count == 0) {
        return true;
    }
    template->n_command = 0;
    for (size_t i = 0; i < arguments->rest_count; i++) {
        if (!request_add(invocation, &template->base, "command",
                         arguments->rest[i], "--command")) {
            return false;
        }
    }
    return true;
}

static bool set_template(struct invocation *invocation,
                         Holdfast__V1__VmTemplate *template)
{
    const struct arguments *arguments = invocation->arguments;
    ProtobufCMessage *message = &template->base;
    const char *grace = arguments_value(arguments, OPTION_STOP_GRACE);
    uint64_t grace_ms = 0;
    const char *text;

    if (grace != NULL && !format_read_duration(grace, &grace_ms)) {
        (void)usage_error(invocation,
                          "--stop-grace: `%s` is no time; write 10s", grace);
        return false;
    }
    if (grace != NULL) {
        template->stop_grace_ms = (uint32_t)grace_ms;
    }
    for (size_t i = 0;
         (text = arguments_value_at(arguments, OPTION_ENVIRONMENT, i)) != NULL;
         i++) {
        if (strchr(text, '=') == NULL) {
            (void)usage_error(invocation, "--env: `%s` is not KEY=VALUE", text);
            return false;
        }
        if (!request_add(invocation, message, "environment", text, "--env")) {
            return false;
        }
    }
    if (!request_set_option(invocation, message, "driver", OPTION_DRIVER) ||
        !request_set_option(invocation, message, "image", OPTION_IMAGE) ||
        !disks_apply_options(invocation, template) ||
        !set_command(invocation, template)) {
        return false;
    }
    if (template->driver == HOLDFAST__V1__DRIVER__DRIVER_UNSPECIFIED) {
        template->driver = template->n_command > 0
                               ? HOLDFAST__V1__DRIVER__DRIVER_EXEC
                               : HOLDFAST__V1__DRIVER__DRIVER_QEMU;
    }
    return true;
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
        !labels_apply_options(invocation, vm, false) ||
        !set_template(invocation, vm->template_)) {
        return NULL;
    }
    if (vm->name[0] == '\0') {
        (void)usage_error(invocation, "the VM needs a name");
        return NULL;
    }
    if (vm->class_name[0] == '\0') {
        (void)usage_error(invocation,
                          "the VM needs a --class; `holdfast class list` shows "
                          "them");
        return NULL;
    }
    return vm;
}

static bool read_count(struct invocation *invocation, uint32_t *count)
{
    const char *text = arguments_value(invocation->arguments, OPTION_COUNT);
    char *end;
    unsigned long number;

    *count = 0;
    if (text == NULL) {
        return true;
    }
    number = strtoul(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || number == 0 ||
        number > COUNT_MAX) {
        (void)usage_error(invocation,
                          "--count: `%s` is not a number from 1 to "
                          "%d",
                          text, COUNT_MAX);
        return false;
    }
    *count = (uint32_t)number;
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
    uint32_t count;

    if (!read_count(invocation, &count) || !wait_check_options(invocation) ||
        !simple_check_request_id(invocation, count)) {
        return EXIT_USAGE;
    }
    vm = read_vm(invocation);
    if (vm == NULL) {
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
