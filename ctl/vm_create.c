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

/* What one call may have, and half of what it may take: its changes are about
 * as large as the VMs. */
#define BATCH_METHOD    "VmService/BatchCreateVms"
#define BATCH_MAX       1000
#define BATCH_BYTES_MAX (1u << 20)

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

static void tell(struct invocation *invocation,
                 const ProtobufCMessage *response, struct wait *wait)
{
    simple_tell(invocation, response);
    output_flush(invocation);
    wait_add(wait, response, 0);
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
        tell(invocation, response, wait);
        hf_message_free(response);
    }
    return code;
}

/* So many in one call: what it may have, and what one decision holds. */
static uint32_t batch_max(const Holdfast__V1__Vm *vm)
{
    size_t fit = BATCH_BYTES_MAX / (holdfast__v1__vm__get_packed_size(vm) + 16);

    return fit == 0 ? 1 : fit > BATCH_MAX ? BATCH_MAX : (uint32_t)fit;
}

static Holdfast__V1__BatchCreateVmsRequest *batch_of(
    struct invocation *invocation, const Holdfast__V1__Vm *vm, uint32_t first,
    uint32_t count)
{
    Holdfast__V1__BatchCreateVmsRequest *request =
        (void *)request_for(invocation, BATCH_METHOD);
    Holdfast__V1__Vm *vms;

    if (request == NULL) {
        return NULL;
    }
    vms = request_alloc(invocation, count * sizeof(*vms));
    request->vms = request_alloc(invocation, count * sizeof(*request->vms));
    for (uint32_t i = 0; i < count; i++) {
        char name[256];

        (void)snprintf(name, sizeof(name), "%s-%" PRIu32, vm->name, first + i);
        vms[i] = *vm;
        vms[i].name = request_copy(invocation, name, strlen(name));
        request->vms[request->n_vms++] = &vms[i];
    }
    return request;
}

/* The answer to a call that had to be repeated may say only that all are
 * there: then each is asked for. */
static enum exit_code tell_batch(
    struct invocation *invocation,
    const Holdfast__V1__BatchCreateVmsRequest *asked,
    const Holdfast__V1__BatchCreateVmsResponse *made, struct wait *wait)
{
    for (size_t i = 0; i < made->n_vms; i++) {
        Holdfast__V1__CreateVmResponse one =
            HOLDFAST__V1__CREATE_VM_RESPONSE__INIT;

        one.vm = made->vms[i];
        one.revision = made->revision;
        tell(invocation, &one.base, wait);
    }
    for (size_t i = made->n_vms; i < made->vm_count; i++) {
        Holdfast__V1__GetVmRequest request = HOLDFAST__V1__GET_VM_REQUEST__INIT;
        ProtobufCMessage *response;
        enum exit_code code;

        request.name = asked->vms[i]->name;
        code = request_call(invocation, "VmService/GetVm", &request.base,
                            request.name, &response);
        if (code != EXIT_OK) {
            return code;
        }
        tell(invocation, response, wait);
        hf_message_free(response);
    }
    return EXIT_OK;
}

/* NAME-1 to NAME-N: all of a call or none of them. */
static enum exit_code create_all(struct invocation *invocation,
                                 const Holdfast__V1__Vm *vm, uint32_t count,
                                 struct wait *wait)
{
    uint32_t max = batch_max(vm);
    enum exit_code code = EXIT_OK;

    for (uint32_t made = 0; made < count && code == EXIT_OK;) {
        uint32_t now = count - made < max ? count - made : max;
        Holdfast__V1__BatchCreateVmsRequest *request =
            batch_of(invocation, vm, made + 1, now);
        ProtobufCMessage *response;

        if (request == NULL) {
            return EXIT_USAGE;
        }
        code = request_call(invocation, BATCH_METHOD, &request->base, NULL,
                            &response);
        if (code == EXIT_OK) {
            code = tell_batch(invocation, request, (void *)response, wait);
            hf_message_free(response);
        }
        made += now;
    }
    return code;
}

static uint32_t call_count(const Holdfast__V1__Vm *vm, uint32_t count)
{
    uint32_t max = batch_max(vm);

    return (count + max - 1) / max;
}

enum exit_code run_vm_create(struct invocation *invocation)
{
    const struct arguments *arguments = invocation->arguments;
    Holdfast__V1__Vm *vm;
    enum exit_code result;
    struct wait wait;
    uint32_t count = 0;

    if (!number_option(invocation, OPTION_COUNT, 1, COUNT_MAX, &count) ||
        !wait_check_options(invocation)) {
        return EXIT_USAGE;
    }
    vm = read_vm(invocation);
    if (vm == NULL || !set_size(invocation, vm) ||
        !simple_check_request_id(invocation, call_count(vm, count))) {
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
