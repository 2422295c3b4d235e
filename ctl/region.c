/* SPDX-License-Identifier: Apache-2.0
 *
 * class create, host declare-dead. */
#include "ctl/failure.h"
#include "ctl/format.h"
#include "ctl/request.h"
#include "ctl/simple.h"
#include "holdfast/v1/class_service.pb-c.h"
#include "holdfast/v1/host_service.pb-c.h"

#include <string.h>

static enum exit_code call_and_tell(struct invocation *invocation,
                                    const ProtobufCMessage *request)
{
    const char *name = invocation->arguments->names[0];
    ProtobufCMessage *response;
    enum exit_code code = request_call(invocation, invocation->command->method,
                                       request, name, &response);

    if (code == EXIT_OK) {
        simple_tell(invocation, response);
        hf_message_free(response);
    }
    return code;
}

/* An option's size in units of `unit_mib`, rounded never. */
static bool read_size(struct invocation *invocation, enum option option,
                      uint64_t unit_mib, uint32_t *size)
{
    const char *text = arguments_value(invocation->arguments, option);
    uint64_t mib;

    if (text == NULL) {
        return true;
    }
    if (!format_read_size(text, unit_mib, &mib) || mib % unit_mib != 0 ||
        mib / unit_mib > UINT32_MAX) {
        (void)usage_error(invocation, "%s: `%s` is no size; write %s",
                          option_rule(option)->name, text,
                          unit_mib == 1 ? "512MiB or 8GiB" : "20GiB or 1TiB");
        return false;
    }
    *size = (uint32_t)(mib / unit_mib);
    return true;
}

enum exit_code run_class_create(struct invocation *invocation)
{
    const char *cpu = arguments_value(invocation->arguments, OPTION_CPU);
    Holdfast__V1__CreateClassRequest *request =
        (void *)request_for(invocation, invocation->command->method);
    Holdfast__V1__Resources *resources;

    if (request == NULL) {
        return EXIT_USAGE;
    }
    request->vm_class =
        (void *)request_create(invocation, &holdfast__v1__class__descriptor);
    resources = (void *)request_create(invocation,
                                       &holdfast__v1__resources__descriptor);
    request->vm_class->resources = resources;
    if (cpu == NULL || !arguments_has(invocation->arguments, OPTION_MEMORY)) {
        return usage_error(invocation, "a class needs --cpu and --memory");
    }
    if (!format_read_cpu(cpu, &resources->cpu_milli)) {
        return usage_error(invocation,
                           "--cpu: `%s` is no number of CPUs; write 4, 0.5 or "
                           "500m",
                           cpu);
    }
    if (!read_size(invocation, OPTION_MEMORY, 1, &resources->memory_mib) ||
        !read_size(invocation, OPTION_DISK_SIZE, 1024, &resources->disk_gib) ||
        !request_set(invocation, &request->vm_class->base, "name",
                     invocation->arguments->names[0], "NAME") ||
        !request_add_options(invocation, &request->vm_class->base, "zones",
                             OPTION_ZONES)) {
        return EXIT_USAGE;
    }
    return call_and_tell(invocation, &request->base);
}

enum exit_code run_host_declare_dead(struct invocation *invocation)
{
    const char *name = invocation->arguments->names[0];
    const char *confirm =
        arguments_value(invocation->arguments, OPTION_CONFIRM);
    ProtobufCMessage *request =
        request_for(invocation, invocation->command->method);

    if (request == NULL) {
        return EXIT_USAGE;
    }
    if (confirm == NULL || strcmp(confirm, name) != 0) {
        return usage_error(
            invocation,
            "if host %s still runs, two copies of its VMs may run and destroy "
            "each other's data; if you know that it is off, add --confirm %s",
            name, name);
    }
    if (!request_set(invocation, request, "name", name, "NAME") ||
        !request_set_option(invocation, request, "confirm", OPTION_CONFIRM) ||
        !request_set_option(invocation, request, "reason", OPTION_REASON)) {
        return EXIT_USAGE;
    }
    return call_and_tell(invocation, request);
}
