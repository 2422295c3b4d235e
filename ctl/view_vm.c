/* SPDX-License-Identifier: Apache-2.0 */
#include "base/check.h"
#include "ctl/format.h"
#include "ctl/view.h"
#include "holdfast/v1/resources.pb-c.h"
#include "proto/text_field.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const Holdfast__V1__Vm *as_vm(const ProtobufCMessage *message)
{
    CHECK(message->descriptor == &holdfast__v1__vm__descriptor);
    return (const Holdfast__V1__Vm *)(const void *)message;
}

/* A VM without a status, as in a manifest, gets an empty one in `spare`. */
static const Holdfast__V1__VmStatus *status_of(const Holdfast__V1__Vm *vm,
                                               Holdfast__V1__VmStatus *spare)
{
    holdfast__v1__vm_status__init(spare);
    return vm->status == NULL ? spare : vm->status;
}

static enum colour state_colour(Holdfast__V1__VmState state)
{
    switch (state) {
    case HOLDFAST__V1__VM_STATE__VM_STATE_RUNNING:
        return COLOUR_GOOD;
    case HOLDFAST__V1__VM_STATE__VM_STATE_STOPPED:
        return COLOUR_DIM;
    case HOLDFAST__V1__VM_STATE__VM_STATE_LOST:
        return COLOUR_BAD;
    case HOLDFAST__V1__VM_STATE__VM_STATE_PENDING:
    case HOLDFAST__V1__VM_STATE__VM_STATE_ASSIGNED:
    case HOLDFAST__V1__VM_STATE__VM_STATE_STARTING:
    case HOLDFAST__V1__VM_STATE__VM_STATE_STOPPING:
        return COLOUR_WAIT;
    default:
        return COLOUR_NONE;
    }
}

struct view_state view_vm_state(const ProtobufCMessage *message)
{
    Holdfast__V1__VmStatus spare;
    const Holdfast__V1__VmStatus *status = status_of(as_vm(message), &spare);
    struct view_state view = {.colour = state_colour(status->state)};
    char state[TEXT_NAME_MAX + 1];
    char reason[TEXT_NAME_MAX + 1] = "";

    text_enum_name(&holdfast__v1__vm_state__descriptor, (int)status->state,
                   state);
    if (status->deleting) {
        (void)snprintf(reason, sizeof(reason), "deleting");
    } else if (status->move_zone[0] != '\0' || status->move_host[0] != '\0') {
        (void)snprintf(reason, sizeof(reason), "moving");
    } else if (status->state == HOLDFAST__V1__VM_STATE__VM_STATE_PENDING) {
        text_enum_name(&holdfast__v1__pending_reason__descriptor,
                       (int)status->pending_reason, reason);
    }
    if (reason[0] == '\0') {
        (void)snprintf(view.text, sizeof(view.text), "%s", state);
    } else {
        (void)snprintf(view.text, sizeof(view.text), "%.30s (%.60s)", state,
                       reason);
    }
    return view;
}

static void columns(struct table *table, bool wide)
{
    table_column(table, "NAME");
    table_column(table, "STATE");
    table_column(table, "ZONE");
    table_column(table, "HOST");
    table_column(table, "CLASS");
    table_column_right(table, "PRIORITY");
    table_column_right(table, "AGE");
    if (wide) {
        table_column_right(table, "IN STATE");
        table_column_right(table, "EPOCH");
        table_column_right(table, "RESTARTS");
        table_column(table, "PINNED");
        table_column(table, "LABELS");
        table_column(table, "MESSAGE");
    }
}

static void row(struct table *table, const ProtobufCMessage *message,
                const struct view_options *options)
{
    const Holdfast__V1__Vm *vm = as_vm(message);
    Holdfast__V1__VmStatus spare;
    const Holdfast__V1__VmStatus *status = status_of(vm, &spare);
    struct view_state state = view_vm_state(message);
    char labels[256];

    table_cell(table, vm->name);
    table_cell_colour(table, state.colour, state.text);
    table_cell(table, status->zone);
    table_cell(table, status->host);
    table_cell(table, vm->class_name);
    table_cell_format(table, "%" PRIu32, vm->priority);
    table_cell(table, format_age(vm->create_time_ms, options->now_ms).text);
    if (options->wide) {
        view_labels(message, labels, sizeof(labels));
        table_cell(table,
                   format_age(status->state_time_ms, options->now_ms).text);
        table_cell_format(table, "%" PRIu64, status->epoch);
        table_cell_format(table, "%" PRIu32, status->restart_count);
        table_cell(table, vm->zone);
        table_cell(table, labels);
        table_cell(table, status->message);
    }
}

static void template_details(struct table *table,
                             const Holdfast__V1__VmTemplate *template)
{
    char text[512] = "";
    size_t used = 0;

    text_enum_name(&holdfast__v1__driver__descriptor, (int)template->driver,
                   text);
    view_detail(table, "Driver:", "%s", text);
    if (template->image[0] != '\0') {
        view_detail(table, "Image:", "%s", template->image);
    }
    for (size_t i = 0; i < template->n_disks; i++) {
        const Holdfast__V1__Disk *disk = template->disks[i];
        bool shared = disk->kind == HOLDFAST__V1__DISK_KIND__DISK_KIND_SHARED;

        view_detail(table, i == 0 ? "Disks:" : " ", "%s %s%s%s%s",
                    shared ? "shared" : "ephemeral",
                    shared ? disk->pool : disk->image, shared ? ":" : "",
                    shared ? disk->path : "",
                    disk->read_only ? " (read-only)" : "");
    }
    text[0] = '\0';
    for (size_t i = 0; i < template->n_command && used < sizeof(text); i++) {
        used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%s",
                                 i > 0 ? " " : "", template->command[i]);
    }
    if (used > 0) {
        view_detail(table, "Command:", "%s", text);
    }
}

static void status_details(struct table *table,
                           const Holdfast__V1__VmStatus *status)
{
    if (status->host[0] != '\0') {
        view_detail(table, "Runs on:", "host %s, zone %s", status->host,
                    status->zone);
    }
    if (status->move_zone[0] != '\0' || status->move_host[0] != '\0') {
        view_detail(table, "Moves to:", "%s %s",
                    status->move_host[0] != '\0' ? "host" : "zone",
                    status->move_host[0] != '\0' ? status->move_host
                                                 : status->move_zone);
    }
    view_detail(table, "Epoch:", "%" PRIu64, status->epoch);
    if (status->restart_count > 0) {
        view_detail(table, "Restarts:", "%" PRIu32, status->restart_count);
    }
    if (status->last_end[0] != '\0') {
        view_detail(table, "Last end:", "%s", status->last_end);
    }
}

static void details(struct table *table, const ProtobufCMessage *message,
                    const struct view_options *options)
{
    const Holdfast__V1__Vm *vm = as_vm(message);
    Holdfast__V1__VmStatus spare;
    const Holdfast__V1__VmStatus *status = status_of(vm, &spare);
    struct view_state state = view_vm_state(message);
    char text[512];

    view_detail(table, "Name:", "%s", vm->name);
    table_cell(table, "State:");
    table_cell_colour(table, state.colour, state.text);
    if (status->state_time_ms != 0) {
        view_detail(table, "Since:", "%s (%s ago)",
                    format_time(status->state_time_ms).text,
                    format_age(status->state_time_ms, options->now_ms).text);
    }
    if (status->message[0] != '\0') {
        view_detail(table, "Message:", "%s", status->message);
    }
    status_details(table, status);
    view_detail(table, "Class:", "%s", vm->class_name);
    view_detail(table, "Zone:", "%s",
                vm->zone[0] == '\0' ? "any (zone-redundant)" : vm->zone);
    view_detail(table, "Priority:", "%" PRIu32, vm->priority);
    text_enum_name(&holdfast__v1__on_partition__descriptor,
                   (int)vm->on_partition, text);
    view_detail(table, "On partition:", "%s",
                vm->on_partition == 0 ? "move" : text);
    view_detail(table, "Desired:", "%s",
                vm->desired ==
                        HOLDFAST__V1__DESIRED_STATE__DESIRED_STATE_STOPPED
                    ? "stopped"
                    : "running");
    if (vm->template_ != NULL) {
        template_details(table, vm->template_);
    }
    view_labels(message, text, sizeof(text));
    view_detail(table, "Labels:", "%s", text);
    view_detail(table, "Created:", "%s", format_time(vm->create_time_ms).text);
    view_detail(table, "Revision:", "%" PRIu64, vm->revision);
    view_detail(table, "Uid:", "%" PRIu64, vm->uid);
}

const struct view view_vm = {
    .descriptor = &holdfast__v1__vm__descriptor,
    .noun = "vm",
    .columns = columns,
    .row = row,
    .details = details,
};
