/* SPDX-License-Identifier: Apache-2.0
 *
 * class create and update, reservation create and update, host declare-dead. */
#include "ctl/region.h"

#include "ctl/failure.h"
#include "ctl/list.h"
#include "ctl/request.h"
#include "ctl/simple.h"
#include "ctl/template.h"
#include "holdfast/v1/class_service.pb-c.h"
#include "holdfast/v1/host_service.pb-c.h"
#include "holdfast/v1/reservation_service.pb-c.h"

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

enum exit_code run_class_create(struct invocation *invocation)
{
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
    if (!size_apply_options(invocation, resources, OPTION_DISK_SIZE) ||
        !size_is_whole(invocation, resources, "a class") ||
        !request_set(invocation, &request->vm_class->base, "name",
                     invocation->arguments->names[0], "NAME") ||
        !request_add_options(invocation, &request->vm_class->base, "zones",
                             OPTION_ZONES)) {
        return EXIT_USAGE;
    }
    return call_and_tell(invocation, &request->base);
}

static const Holdfast__V1__Class *find_class(
    const Holdfast__V1__ListClassesResponse *list, const char *name)
{
    for (size_t i = 0; i < list->n_classes; i++) {
        if (strcmp(list->classes[i]->name, name) == 0) {
            return list->classes[i];
        }
    }
    return NULL;
}

/* What the options change of the class, and the mask. */
static bool change_class(struct invocation *invocation,
                         ProtobufCMessage *request, Holdfast__V1__Class *class)
{
    const struct arguments *arguments = invocation->arguments;
    bool every = arguments_has(arguments, OPTION_EVERY_ZONE);
    bool some = arguments_has(arguments, OPTION_ZONES);
    bool size = size_has_options(arguments, OPTION_DISK_SIZE);

    if (!size && !every && !some) {
        (void)usage_error(invocation, "nothing to change: give --cpu, "
                                      "--memory, --disk, --gpu, --named, "
                                      "--zone or --every-zone");
        return false;
    }
    if (every && some) {
        (void)usage_error(invocation,
                          "--zone and --every-zone exclude each other");
        return false;
    }
    if (size) {
        Holdfast__V1__Resources *resources = (void *)request_create(
            invocation, &holdfast__v1__resources__descriptor);

        if (class->resources != NULL) {
            *resources = *class->resources;
        }
        class->resources = resources;
        if (!size_apply_options(invocation, resources, OPTION_DISK_SIZE) ||
            !request_add(invocation, request, "update_mask", "resources", "")) {
            return false;
        }
    }
    if (every || some) {
        class->n_zones = 0;
        class->zones = NULL;
        return request_add_options(invocation, &class->base, "zones",
                                   OPTION_ZONES) &&
               request_add(invocation, request, "update_mask", "zones", "");
    }
    return true;
}

enum exit_code class_read_update(struct invocation *invocation,
                                 ProtobufCMessage *request, const char *name,
                                 Holdfast__V1__Class **class,
                                 ProtobufCMessage **before)
{
    static const char method[] = "ClassService/ListClasses";
    ProtobufCMessage *list = request_for(invocation, method);
    const Holdfast__V1__Class *found;
    enum exit_code code;

    *before = NULL;
    if (list == NULL) {
        return EXIT_USAGE;
    }
    code = list_fetch(invocation, method, list, before);
    if (code != EXIT_OK) {
        return code;
    }
    found = find_class((const void *)*before, name);
    if (found == NULL) {
        struct hf_status status = {.code = HF_STATUS_NOT_FOUND,
                                   .message = "there is no such class"};

        return failure_tell(invocation, name, &status);
    }
    *class =
        (void *)request_create(invocation, &holdfast__v1__class__descriptor);
    **class = *found;
    return change_class(invocation, request, *class) ? EXIT_OK : EXIT_USAGE;
}

enum exit_code run_class_update(struct invocation *invocation)
{
    const char *name = invocation->arguments->names[0];
    Holdfast__V1__UpdateClassRequest *request =
        (void *)request_for(invocation, invocation->command->method);
    ProtobufCMessage *before;
    enum exit_code code;

    if (request == NULL) {
        return EXIT_USAGE;
    }
    code = class_read_update(invocation, &request->base, name,
                             &request->vm_class, &before);
    if (code == EXIT_OK) {
        if (request->expect_revision == 0) { /* It was read, then changed. */
            request->expect_revision = request->vm_class->revision;
        }
        code = call_and_tell(invocation, &request->base);
    }
    if (before != NULL) {
        hf_message_free(before);
    }
    return code;
}

enum exit_code run_reservation_create(struct invocation *invocation)
{
    Holdfast__V1__CreateReservationRequest *request =
        (void *)request_for(invocation, invocation->command->method);
    const struct arguments *arguments = invocation->arguments;
    Holdfast__V1__Reservation *reservation;

    if (request == NULL) {
        return EXIT_USAGE;
    }
    reservation = (void *)request_create(
        invocation, &holdfast__v1__reservation__descriptor);
    request->reservation = reservation;
    if (!arguments_has(arguments, OPTION_ZONE) ||
        !arguments_has(arguments, OPTION_CLASS) ||
        !arguments_has(arguments, OPTION_SLOTS)) {
        return usage_error(invocation, "a reservation needs --zone, --class "
                                       "and --count");
    }
    if (!request_set(invocation, &reservation->base, "name",
                     arguments->names[0], "NAME") ||
        !request_set_option(invocation, &reservation->base, "zone",
                            OPTION_ZONE) ||
        !request_set_option(invocation, &reservation->base, "class_name",
                            OPTION_CLASS) ||
        !number_option(invocation, OPTION_SLOTS, 1, 100000,
                       &reservation->count)) {
        return EXIT_USAGE;
    }
    return call_and_tell(invocation, &request->base);
}

enum exit_code run_reservation_update(struct invocation *invocation)
{
    Holdfast__V1__UpdateReservationRequest *request =
        (void *)request_for(invocation, invocation->command->method);

    if (request == NULL) {
        return EXIT_USAGE;
    }
    if (!arguments_has(invocation->arguments, OPTION_SLOTS)) {
        return usage_error(invocation, "nothing to change: give --count");
    }
    if (!request_set(invocation, &request->base, "name",
                     invocation->arguments->names[0], "NAME") ||
        !number_option(invocation, OPTION_SLOTS, 1, 100000, &request->count)) {
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
