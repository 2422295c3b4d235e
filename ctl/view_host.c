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
    } else if (host->cordoned || host->draining) {
        view.colour = COLOUR_WAIT;
    } else if (host->state == HOLDFAST__V1__HOST_STATE__HOST_STATE_UP) {
        view.colour = COLOUR_GOOD;
    }
    (void)snprintf(view.text, sizeof(view.text), "%s%s", state,
                   host->draining   ? " (draining)"
                   : host->cordoned ? " (cordoned)"
                                    : "");
    return view;
}

static void columns(struct grid *grid, const struct view_options *options)
{
    grid_column(grid, "NAME");
    grid_column(grid, "STATE");
    grid_column(grid, "ZONE");
    grid_column_right(grid, "VMS");
    grid_column_right(grid, "CPU");
    grid_column_right(grid, "OF");
    grid_column_right(grid, "MEMORY");
    grid_column_right(grid, "OF");
    grid_column_right(grid, "AGE");
    if (options->wide) {
        grid_column_right(grid, "DISK");
        grid_column_right(grid, "OF");
        grid_column(grid, "CLAIMED");
        grid_column(grid, "OTHER");
        grid_column(grid, "FAULT DOMAIN");
        grid_column(grid, "LEASE");
        grid_column(grid, "AGENT");
        grid_column(grid, "LABELS");
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

/* What is held for VMs on their way; empty: nothing. */
static void claimed_text(const Holdfast__V1__Host *host, char *text,
                         size_t size)
{
    text[0] = '\0';
    if (host->claimed != NULL &&
        (host->claimed->cpu_milli > 0 || host->claimed->memory_mib > 0)) {
        view_size(host->claimed, text, size);
    }
}

/* "1 of 4 GPUs used": what is counted beside CPU, memory and disk. */
static void extras_text(const Holdfast__V1__Resources *used,
                        const Holdfast__V1__Resources *capacity, char *text,
                        size_t size)
{
    char have[200];
    char busy[200];

    view_extras(capacity, have, sizeof(have));
    view_extras(used, busy, sizeof(busy));
    text[0] = '\0';
    if (have[0] != '\0') {
        (void)snprintf(text, size, "%s%s%s", have,
                       busy[0] == '\0' ? "" : "; used: ", busy);
    }
}

static void row(struct grid *grid, const ProtobufCMessage *message,
                const struct view_options *options)
{
    const Holdfast__V1__Host *host = as_host(message);
    const Holdfast__V1__Resources *used = resources_of(host->used);
    const Holdfast__V1__Resources *capacity = resources_of(host->capacity);
    struct view_state state = view_host_state(message);
    char text[512];

    grid_cell(grid, host->name);
    grid_cell_colour(grid, state.colour, state.text);
    grid_cell(grid, host->zone);
    grid_cell_format(grid, "%" PRIu32, host->vm_count);
    grid_cell(grid, format_cpu(used->cpu_milli).text);
    grid_cell(grid, format_cpu(capacity->cpu_milli).text);
    grid_cell(grid, format_mib(used->memory_mib).text);
    grid_cell(grid, format_mib(capacity->memory_mib).text);
    grid_cell(grid, format_age(host->create_time_ms, options->now_ms).text);
    if (options->wide) {
        grid_cell(grid, format_gib(used->disk_gib).text);
        grid_cell(grid, format_gib(capacity->disk_gib).text);
        claimed_text(host, text, sizeof(text));
        grid_cell(grid, text);
        extras_text(used, capacity, text, sizeof(text));
        grid_cell(grid, text);
        grid_cell(grid, host->fault_domain);
        lease_text(host->lease == NULL ? &no_lease : host->lease, text,
                   sizeof(text));
        grid_cell(grid, text);
        grid_cell(grid, host->agent_version);
        view_labels(message, text, sizeof(text));
        grid_cell(grid, text);
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

static void list_details(struct grid *grid, const Holdfast__V1__Host *host)
{
    char text[512] = "";
    char name[TEXT_NAME_MAX + 1];

    for (size_t i = 0; i < host->n_pools; i++) {
        join(text, sizeof(text), host->pools[i]);
    }
    view_detail(grid, "Pools:", "%s", text);
    text[0] = '\0';
    for (size_t i = 0; i < host->n_drivers; i++) {
        text_enum_name(&holdfast__v1__driver__descriptor, (int)host->drivers[i],
                       name);
        join(text, sizeof(text), name);
    }
    view_detail(grid, "Drivers:", "%s", text);
    if (host->lease != NULL && host->lease->n_unknown_vm_uids > 0) {
        text[0] = '\0';
        for (size_t i = 0; i < host->lease->n_unknown_vm_uids; i++) {
            (void)snprintf(name, sizeof(name), "%" PRIu64,
                           host->lease->unknown_vm_uids[i]);
            join(text, sizeof(text), name);
        }
        view_detail(grid, "Unknown VMs:",
                    "%s (reported, not known to Holdfast; left alone)", text);
    }
}

static void details(struct grid *grid, const ProtobufCMessage *message,
                    const struct view_options *options)
{
    const Holdfast__V1__Host *host = as_host(message);
    const Holdfast__V1__Resources *used = resources_of(host->used);
    const Holdfast__V1__Resources *capacity = resources_of(host->capacity);
    struct view_state state = view_host_state(message);
    char text[512];

    view_detail(grid, "Name:", "%s", host->name);
    grid_cell(grid, "State:");
    grid_cell_colour(grid, state.colour, state.text);
    if (host->drain_deadline_ms != 0) {
        view_detail(grid, "Drain until:", "%s",
                    format_time(host->drain_deadline_ms).text);
    }
    lease_text(host->lease == NULL ? &no_lease : host->lease, text,
               sizeof(text));
    view_detail(grid, "Lease:", "%s", text);
    view_detail(grid, "Zone:", "%s", host->zone);
    view_detail(grid, "Fault domain:", "%s", host->fault_domain);
    view_detail(grid, "VMs:", "%" PRIu32, host->vm_count);
    view_detail(grid, "CPU:", "%s of %s used", format_cpu(used->cpu_milli).text,
                format_cpu(capacity->cpu_milli).text);
    view_detail(grid, "Memory:", "%s of %s used",
                format_mib(used->memory_mib).text,
                format_mib(capacity->memory_mib).text);
    view_detail(grid, "Disk:", "%s of %s used", format_gib(used->disk_gib).text,
                format_gib(capacity->disk_gib).text);
    extras_text(used, capacity, text, sizeof(text));
    if (text[0] != '\0') {
        view_detail(grid, "Other:", "%s", text);
    }
    claimed_text(host, text, sizeof(text));
    if (text[0] != '\0') {
        view_detail(grid, "Claimed:", "%s, for VMs on their way here", text);
    }
    list_details(grid, host);
    view_labels(message, text, sizeof(text));
    view_detail(grid, "Labels:", "%s", text);
    view_detail(grid, "Agent:", "%s", host->agent_version);
    view_detail(grid, "Generation:", "%" PRIu64, host->generation);
    view_detail(grid, "Created:", "%s (%s ago)",
                format_time(host->create_time_ms).text,
                format_age(host->create_time_ms, options->now_ms).text);
    view_detail(grid, "Revision:", "%" PRIu64, host->revision);
    view_detail(grid, "Uid:", "%" PRIu64, host->uid);
}

const struct view view_host = {
    .descriptor = &holdfast__v1__host__descriptor,
    .noun = "host",
    .columns = columns,
    .row = row,
    .details = details,
};
