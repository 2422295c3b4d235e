/* SPDX-License-Identifier: Apache-2.0 */
#include "base/check.h"
#include "ctl/format.h"
#include "ctl/view.h"
#include "holdfast/v1/resources.pb-c.h"
#include "proto/text_field.h"

#include <inttypes.h>
#include <stdio.h>

static const Holdfast__V1__Resources nothing = HOLDFAST__V1__RESOURCES__INIT;
static const Holdfast__V1__HostLease no_lease = HOLDFAST__V1__HOST_LEASE__INIT;

static const Holdfast__V1__Host *as_host(const ProtobufCMessage *message)
{
    CHECK(message->descriptor == &holdfast__v1__host__descriptor);
    return (const Holdfast__V1__Host *)(const void *)message;
}

static const Holdfast__V1__Resources *resources_of(
    const Holdfast__V1__Resources *resources)
{
    return resources == NULL ? &nothing : resources;
}

struct view_state view_host_state(const ProtobufCMessage *message)
{
    const Holdfast__V1__Host *host = as_host(message);
    struct view_state view = {.colour = COLOUR_NONE};
    char state[TEXT_NAME_MAX + 1];

    text_enum_name(&holdfast__v1__host_state__descriptor, (int)host->state,
                   state);
    if (host->state == HOLDFAST__V1__HOST_STATE__HOST_STATE_LOST) {
        view.colour = COLOUR_BAD;
    } else if (host->cordoned) {
        view.colour = COLOUR_WAIT;
    } else if (host->state == HOLDFAST__V1__HOST_STATE__HOST_STATE_UP) {
        view.colour = COLOUR_GOOD;
    }
    (void)snprintf(view.text, sizeof(view.text), "%s%s", state,
                   host->cordoned ? " (cordoned)" : "");
    return view;
}

static void columns(struct table *table, bool wide)
{
    table_column(table, "NAME");
    table_column(table, "STATE");
    table_column(table, "ZONE");
    table_column_right(table, "VMS");
    table_column_right(table, "CPU");
    table_column_right(table, "OF");
    table_column_right(table, "MEMORY");
    table_column_right(table, "OF");
    table_column_right(table, "AGE");
    if (wide) {
        table_column_right(table, "DISK");
        table_column_right(table, "OF");
        table_column(table, "FAULT DOMAIN");
        table_column(table, "LEASE");
        table_column(table, "AGENT");
        table_column(table, "LABELS");
    }
}

static void lease_text(const Holdfast__V1__HostLease *lease, char *text,
                       size_t size)
{
    if (lease == &no_lease) {
        (void)snprintf(text, size, "unknown");
    } else {
        (void)snprintf(text, size, "%s, %" PRIu32 ".%" PRIu32 " s left",
                       lease->connected ? "connected" : "not connected",
                       lease->remaining_ms / 1000,
                       lease->remaining_ms % 1000 / 100);
    }
}

static void row(struct table *table, const ProtobufCMessage *message,
                const struct view_options *options)
{
    const Holdfast__V1__Host *host = as_host(message);
    const Holdfast__V1__Resources *used = resources_of(host->used);
    const Holdfast__V1__Resources *capacity = resources_of(host->capacity);
    struct view_state state = view_host_state(message);
    char text[256];

    table_cell(table, host->name);
    table_cell_colour(table, state.colour, state.text);
    table_cell(table, host->zone);
    table_cell_format(table, "%" PRIu32, host->vm_count);
    table_cell(table, format_cpu(used->cpu_milli).text);
    table_cell(table, format_cpu(capacity->cpu_milli).text);
    table_cell(table, format_mib(used->memory_mib).text);
    table_cell(table, format_mib(capacity->memory_mib).text);
    table_cell(table, format_age(host->create_time_ms, options->now_ms).text);
    if (options->wide) {
        table_cell(table, format_gib(used->disk_gib).text);
        table_cell(table, format_gib(capacity->disk_gib).text);
        table_cell(table, host->fault_domain);
        lease_text(host->lease == NULL ? &no_lease : host->lease, text,
                   sizeof(text));
        table_cell(table, text);
        table_cell(table, host->agent_version);
        view_labels(message, text, sizeof(text));
        table_cell(table, text);
    }
}

static void join(char *text, size_t size, const char *item)
{
    size_t used = 0;

    while (used < size && text[used] != '\0') {
        used++;
    }
    (void)snprintf(text + used, size - used, "%s%s", used > 0 ? ", " : "",
                   item);
}

static void list_details(struct table *table, const Holdfast__V1__Host *host)
{
    char text[512] = "";
    char name[TEXT_NAME_MAX + 1];

    for (size_t i = 0; i < host->n_pools; i++) {
        join(text, sizeof(text), host->pools[i]);
    }
    view_detail(table, "Pools:", "%s", text);
    text[0] = '\0';
    for (size_t i = 0; i < host->n_drivers; i++) {
        text_enum_name(&holdfast__v1__driver__descriptor, (int)host->drivers[i],
                       name);
        join(text, sizeof(text), name);
    }
    view_detail(table, "Drivers:", "%s", text);
    if (host->lease != NULL && host->lease->n_unknown_vm_uids > 0) {
        text[0] = '\0';
        for (size_t i = 0; i < host->lease->n_unknown_vm_uids; i++) {
            (void)snprintf(name, sizeof(name), "%" PRIu64,
                           host->lease->unknown_vm_uids[i]);
            join(text, sizeof(text), name);
        }
        view_detail(table, "Unknown VMs:",
                    "%s (reported, not known to Holdfast; left alone)", text);
    }
}

static void details(struct table *table, const ProtobufCMessage *message,
                    const struct view_options *options)
{
    const Holdfast__V1__Host *host = as_host(message);
    const Holdfast__V1__Resources *used = resources_of(host->used);
    const Holdfast__V1__Resources *capacity = resources_of(host->capacity);
    struct view_state state = view_host_state(message);
    char text[512];

    view_detail(table, "Name:", "%s", host->name);
    table_cell(table, "State:");
    table_cell_colour(table, state.colour, state.text);
    lease_text(host->lease == NULL ? &no_lease : host->lease, text,
               sizeof(text));
    view_detail(table, "Lease:", "%s", text);
    view_detail(table, "Zone:", "%s", host->zone);
    view_detail(table, "Fault domain:", "%s", host->fault_domain);
    view_detail(table, "VMs:", "%" PRIu32, host->vm_count);
    view_detail(table, "CPU:", "%s of %s used",
                format_cpu(used->cpu_milli).text,
                format_cpu(capacity->cpu_milli).text);
    view_detail(table, "Memory:", "%s of %s used",
                format_mib(used->memory_mib).text,
                format_mib(capacity->memory_mib).text);
    view_detail(table, "Disk:", "%s of %s used",
                format_gib(used->disk_gib).text,
                format_gib(capacity->disk_gib).text);
    list_details(table, host);
    view_labels(message, text, sizeof(text));
    view_detail(table, "Labels:", "%s", text);
    view_detail(table, "Agent:", "%s", host->agent_version);
    view_detail(table, "Generation:", "%" PRIu64, host->generation);
    view_detail(table, "Created:", "%s (%s ago)",
                format_time(host->create_time_ms).text,
                format_age(host->create_time_ms, options->now_ms).text);
    view_detail(table, "Revision:", "%" PRIu64, host->revision);
    view_detail(table, "Uid:", "%" PRIu64, host->uid);
}

const struct view view_host = {
    .descriptor = &holdfast__v1__host__descriptor,
    .noun = "host",
    .columns = columns,
    .row = row,
    .details = details,
};
