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
        (void)snprintf(reason, sizeof(reason),
                       status->move_queued ? "to move" : "moving");
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

struct view_state view_vm_protection(const ProtobufCMessage *message,
                                     bool stale)
{
    Holdfast__V1__VmStatus spare;
    const Holdfast__V1__VmStatus *status = status_of(as_vm(message), &spare);
    struct view_state view = {.text = "-"};
    char reason[TEXT_NAME_MAX + 1];

    if (status->unprotected_reason ==
        HOLDFAST__V1__UNPROTECTED_REASON__UNPROTECTED_REASON_UNKNOWN) {
        return (struct view_state){.text = "unknown"};
    }
    if (status->unprotected_reason != 0) {
        text_enum_name(&holdfast__v1__unprotected_reason__descriptor,
                       (int)status->unprotected_reason, reason);
        (void)snprintf(view.text, sizeof(view.text), "no: %.63s", reason);
        view.colour = COLOUR_WAIT;
    } else if (status->host[0] != '\0' && !stale) {
        return (struct view_state){.text = "yes", .colour = COLOUR_GOOD};
    }
    return view;
}

static void columns(struct grid *grid, const struct view_options *options)
{
    grid_column(grid, "NAME");
    grid_column(grid, "STATE");
    grid_column(grid, "ZONE");
    grid_column(grid, "HOST");
    grid_column(grid, "CLASS");
    grid_column_right(grid, "PRIORITY");
    grid_column_right(grid, "AGE");
    if (options->wide || options->unprotected) {
        grid_column(grid, "PROTECTED");
    }
    if (options->wide) {
        grid_column(grid, "GROUP");
        grid_column_right(grid, "IN STATE");
        grid_column_right(grid, "EPOCH");
        grid_column_right(grid, "RESTARTS");
        grid_column(grid, "PINNED");
        grid_column(grid, "LABELS");
        grid_column(grid, "MESSAGE");
    }
}

static void row(struct grid *grid, const ProtobufCMessage *message,
                const struct view_options *options)
{
    const Holdfast__V1__Vm *vm = as_vm(message);
    Holdfast__V1__VmStatus spare;
    const Holdfast__V1__VmStatus *status = status_of(vm, &spare);
    struct view_state state = view_vm_state(message);
    char labels[256];

    grid_cell(grid, vm->name);
    grid_cell_colour(grid, state.colour, state.text);
    grid_cell(grid, status->zone);
    grid_cell(grid, status->host);
    grid_cell(grid, vm->resources != NULL ? "custom" : vm->class_name);
    grid_cell_format(grid, "%" PRIu32, vm->priority);
    grid_cell(grid, format_age(vm->create_time_ms, options->now_ms).text);
    if (options->wide || options->unprotected) {
        struct view_state protection =
            view_vm_protection(message, options->stale);

        grid_cell_colour(grid, protection.colour, protection.text);
    }
    if (options->wide) {
        grid_cell(grid, vm->group);
        view_labels(message, labels, sizeof(labels));
        grid_cell(grid,
                  format_age(status->state_time_ms, options->now_ms).text);
        grid_cell_format(grid, "%" PRIu64, status->epoch);
        grid_cell_format(grid, "%" PRIu32, status->restart_count);
        grid_cell(grid, vm->zone);
        grid_cell(grid, labels);
        grid_cell(grid, status->message);
    }
}

/* "shared san:{name}.img (read-only)". */
static void disk_text(const Holdfast__V1__Disk *disk, char *text, size_t size)
{
    bool pooled = disk->kind != HOLDFAST__V1__DISK_KIND__DISK_KIND_EPHEMERAL &&
                  disk->kind != HOLDFAST__V1__DISK_KIND__DISK_KIND_UNSPECIFIED;
    char kind[TEXT_NAME_MAX + 1];
    size_t used;

    text_enum_name(&holdfast__v1__disk_kind__descriptor, (int)disk->kind, kind);
    used = (size_t)snprintf(text, size, "%s %s%s%s", kind,
                            pooled ? disk->pool : disk->image,
                            pooled ? ":" : "", pooled ? disk->path : "");
    for (size_t i = 0; i < disk->n_zones && used < size; i++) {
        used += (size_t)snprintf(text + used, size - used, "%s%s",
                                 i == 0 ? " in " : ", ", disk->zones[i]);
    }
    if (disk->read_only && used < size) {
        (void)snprintf(text + used, size - used, " (read-only)");
    }
}

void view_template(struct grid *grid, const Holdfast__V1__VmTemplate *template)
{
    char text[512] = "";
    size_t used = 0;

    text_enum_name(&holdfast__v1__driver__descriptor, (int)template->driver,
                   text);
    view_detail(grid, "Driver:", "%s", text);
    if (template->image[0] != '\0') {
        view_detail(grid, "Image:", "%s", template->image);
    }
    for (size_t i = 0; i < template->n_disks; i++) {
        disk_text(template->disks[i], text, sizeof(text));
        view_detail(grid, i == 0 ? "Disks:" : " ", "%s", text);
    }
    text[0] = '\0';
    for (size_t i = 0; i < template->n_command && used < sizeof(text); i++) {
        used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%s",
                                 i > 0 ? " " : "", template->command[i]);
    }
    if (used > 0) {
        view_detail(grid, "Command:", "%s", text);
    }
}

static void status_details(struct grid *grid,
                           const Holdfast__V1__VmStatus *status)
{
    if (status->host[0] != '\0') {
        view_detail(grid, "Runs on:", "host %s, zone %s", status->host,
                    status->zone);
    }
    if (status->move_zone[0] != '\0' || status->move_host[0] != '\0') {
        view_detail(grid, "Moves to:", "%s %s%s",
                    status->move_host[0] != '\0' ? "host" : "zone",
                    status->move_host[0] != '\0' ? status->move_host
                                                 : status->move_zone,
                    status->move_queued ? ", when it is its turn" : "");
    }
    if (status->home_host[0] != '\0') {
        view_detail(grid, "Bound to:", "host %s, by a local disk",
                    status->home_host);
    }
    view_detail(grid, "Epoch:", "%" PRIu64, status->epoch);
    if (status->restart_count > 0) {
        view_detail(grid, "Restarts:", "%" PRIu32, status->restart_count);
    }
    if (status->last_end[0] != '\0') {
        view_detail(grid, "Last end:", "%s", status->last_end);
    }
}

/* A change waits for the next start; until then the other one is in force. */
static void partition_details(struct grid *grid, const Holdfast__V1__Vm *vm,
                              const Holdfast__V1__VmStatus *status)
{
    int wish = vm->on_partition == 0
                   ? HOLDFAST__V1__ON_PARTITION__ON_PARTITION_MOVE
                   : (int)vm->on_partition;
    char wished[512];
    char active[512];

    text_enum_name(&holdfast__v1__on_partition__descriptor, wish, wished);
    if (status->on_partition_active == 0 ||
        (int)status->on_partition_active == wish) {
        view_detail(grid, "On partition:", "%s", wished);
        return;
    }
    text_enum_name(&holdfast__v1__on_partition__descriptor,
                   (int)status->on_partition_active, active);
    view_detail(grid, "On partition:", "%s (%s from the next start on)", active,
                wished);
}

static void wish_details(struct grid *grid, const Holdfast__V1__Vm *vm,
                         const struct view_options *options)
{
    struct view_state protection =
        view_vm_protection(&vm->base, options->stale);
    bool made = vm->status != NULL && vm->status->template_generation != 0;
    char text[512];

    if (vm->resources != NULL) {
        view_size(vm->resources, text, sizeof(text));
        view_detail(grid, "Size:", "%s", text);
    } else {
        view_detail(grid, "Class:", "%s", vm->class_name);
    }
    if (vm->group[0] != '\0') {
        view_detail(grid, "Group:", "%s%s", vm->group,
                    made ? ", made from its template" : "");
    }
    grid_cell(grid, "Protected:");
    grid_cell_colour(grid, protection.colour, protection.text);
    view_detail(grid, "Zone:", "%s",
                vm->zone[0] == '\0' ? "any (zone-redundant)" : vm->zone);
    view_map(&vm->base, "host_selector", text, sizeof(text));
    if (text[0] != '\0') {
        view_detail(grid, "Hosts with:", "%s", text);
    }
    view_detail(grid, "Priority:", "%" PRIu32 "%s", vm->priority,
                vm->preemptible ? ", preemptible" : "");
}

static void details(struct grid *grid, const ProtobufCMessage *message,
                    const struct view_options *options)
{
    const Holdfast__V1__Vm *vm = as_vm(message);
    Holdfast__V1__VmStatus spare;
    const Holdfast__V1__VmStatus *status = status_of(vm, &spare);
    struct view_state state = view_vm_state(message);
    char text[512];

    view_detail(grid, "Name:", "%s", vm->name);
    grid_cell(grid, "State:");
    grid_cell_colour(grid, state.colour, state.text);
    if (status->state_time_ms != 0) {
        view_detail(grid, "Since:", "%s (%s ago)",
                    format_time(status->state_time_ms).text,
                    format_age(status->state_time_ms, options->now_ms).text);
    }
    if (status->message[0] != '\0') {
        view_detail(grid, "Message:", "%s", status->message);
    }
    status_details(grid, status);
    wish_details(grid, vm, options);
    partition_details(grid, vm, status);
    view_detail(grid, "Desired:", "%s",
                vm->desired ==
                        HOLDFAST__V1__DESIRED_STATE__DESIRED_STATE_STOPPED
                    ? "stopped"
                    : "running");
    if (vm->template_ != NULL) {
        view_template(grid, vm->template_);
    }
    view_labels(message, text, sizeof(text));
    view_detail(grid, "Labels:", "%s", text);
    view_detail(grid, "Created:", "%s", format_time(vm->create_time_ms).text);
    view_detail(grid, "Revision:", "%" PRIu64, vm->revision);
    view_detail(grid, "Uid:", "%" PRIu64, vm->uid);
}

const struct view view_vm = {
    .descriptor = &holdfast__v1__vm__descriptor,
    .noun = "vm",
    .columns = columns,
    .row = row,
    .details = details,
};
