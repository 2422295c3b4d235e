/* SPDX-License-Identifier: Apache-2.0
 *
 * Zones, classes and nodes. */
#include "base/check.h"
#include "ctl/format.h"
#include "ctl/view.h"
#include "holdfast/v1/resources.pb-c.h"
#include "proto/text_field.h"

#include <inttypes.h>
#include <stdio.h>

static const Holdfast__V1__Resources nothing = HOLDFAST__V1__RESOURCES__INIT;

static const Holdfast__V1__Resources *resources_of(
    const Holdfast__V1__Resources *resources)
{
    return resources == NULL ? &nothing : resources;
}

static const Holdfast__V1__Zone *as_zone(const ProtobufCMessage *message)
{
    CHECK(message->descriptor == &holdfast__v1__zone__descriptor);
    return (const Holdfast__V1__Zone *)(const void *)message;
}

struct view_state view_zone_state(const ProtobufCMessage *message)
{
    const Holdfast__V1__Zone *zone = as_zone(message);
    struct view_state view = {.colour = COLOUR_WAIT};
    char state[TEXT_NAME_MAX + 1];

    text_enum_name(&holdfast__v1__zone_state__descriptor, (int)zone->state,
                   state);
    if (zone->state == HOLDFAST__V1__ZONE_STATE__ZONE_STATE_LOST) {
        view.colour = COLOUR_BAD;
    } else if (zone->state == HOLDFAST__V1__ZONE_STATE__ZONE_STATE_UP &&
               !zone->cordoned && !zone->draining) {
        view.colour = COLOUR_GOOD;
    }
    (void)snprintf(view.text, sizeof(view.text), "%s%s", state,
                   zone->draining   ? " (draining)"
                   : zone->cordoned ? " (cordoned)"
                                    : "");
    return view;
}

struct view_state view_zone_headroom(const ProtobufCMessage *message)
{
    const Holdfast__V1__Zone *zone = as_zone(message);
    struct view_state view = {.text = "-"};

    if (zone->headroom == NULL) {
        return view;
    }
    if (zone->headroom->unplaceable_count == 0) {
        return (struct view_state){.text = "ok", .colour = COLOUR_GOOD};
    }
    (void)snprintf(view.text, sizeof(view.text), "%" PRIu32 " unplaceable",
                   zone->headroom->unplaceable_count);
    view.colour = COLOUR_BAD;
    return view;
}

static void zone_columns(struct grid *grid, const struct view_options *options)
{
    grid_column(grid, "NAME");
    grid_column(grid, "STATE");
    grid_column(grid, "HEADROOM");
    grid_column_right(grid, "HOSTS UP");
    grid_column_right(grid, "VMS");
    grid_column_right(grid, "CPU");
    grid_column_right(grid, "OF");
    grid_column_right(grid, "MEMORY");
    grid_column_right(grid, "OF");
    grid_column_right(grid, "AGE");
    if (options->wide) {
        grid_column_right(grid, "DISK");
        grid_column_right(grid, "OF");
        grid_column_right(grid, "PROTECTED");
        grid_column_right(grid, "UNPROTECTED");
        grid_column_right(grid, "UID");
    }
}

static void zone_row(struct grid *grid, const ProtobufCMessage *message,
                     const struct view_options *options)
{
    const Holdfast__V1__Zone *zone = as_zone(message);
    const Holdfast__V1__Resources *used = resources_of(zone->used);
    const Holdfast__V1__Resources *capacity = resources_of(zone->capacity);
    struct view_state state = view_zone_state(message);
    struct view_state headroom = view_zone_headroom(message);

    grid_cell(grid, zone->name);
    grid_cell_colour(grid, state.colour, state.text);
    grid_cell_colour(grid, headroom.colour, headroom.text);
    grid_cell_format(grid, "%" PRIu32 "/%" PRIu32, zone->host_up_count,
                     zone->host_count);
    grid_cell_format(grid, "%" PRIu32, zone->vm_count);
    grid_cell(grid, format_cpu(used->cpu_milli).text);
    grid_cell(grid, format_cpu(capacity->cpu_milli).text);
    grid_cell(grid, format_mib(used->memory_mib).text);
    grid_cell(grid, format_mib(capacity->memory_mib).text);
    grid_cell(grid, format_age(zone->create_time_ms, options->now_ms).text);
    if (options->wide) {
        grid_cell(grid, format_gib(used->disk_gib).text);
        grid_cell(grid, format_gib(capacity->disk_gib).text);
        if (zone->headroom == NULL) {
            grid_cell(grid, "");
            grid_cell(grid, "");
        } else {
            grid_cell_format(grid, "%" PRIu32, zone->headroom->protected_count);
            grid_cell_format(grid, "%" PRIu32,
                             zone->headroom->unprotected_count);
        }
        grid_cell_format(grid, "%" PRIu64, zone->uid);
    }
}

static void headroom_details(struct grid *grid, const Holdfast__V1__Zone *zone)
{
    const Holdfast__V1__ZoneHeadroom *headroom = zone->headroom;
    struct view_state state = view_zone_headroom(&zone->base);

    grid_cell(grid, "Headroom:");
    if (headroom == NULL) {
        grid_cell(grid, "not known: off, or being worked out");
        return;
    }
    grid_cell_colour(grid, state.colour,
                     headroom->unplaceable_count == 0
                         ? "ok: the zone may be lost"
                         : state.text);
    if (headroom->message[0] != '\0') {
        view_detail(grid, "Missing:", "%s", headroom->message);
    }
    view_detail(grid, "Protected:", "%" PRIu32 " VM%s",
                headroom->protected_count, plural(headroom->protected_count));
    view_detail(grid, "Unprotected:", "%" PRIu32 " VM%s%s",
                headroom->unprotected_count,
                plural(headroom->unprotected_count),
                headroom->unprotected_count == 0
                    ? ""
                    : " (`holdfast vm list --unprotected` says why)");
}

static void zone_details(struct grid *grid, const ProtobufCMessage *message,
                         const struct view_options *options)
{
    const Holdfast__V1__Zone *zone = as_zone(message);
    const Holdfast__V1__Resources *used = resources_of(zone->used);
    const Holdfast__V1__Resources *capacity = resources_of(zone->capacity);
    struct view_state state = view_zone_state(message);

    view_detail(grid, "Name:", "%s", zone->name);
    grid_cell(grid, "State:");
    grid_cell_colour(grid, state.colour, state.text);
    if (zone->drain_deadline_ms != 0) {
        view_detail(grid, "Drain until:", "%s",
                    format_time(zone->drain_deadline_ms).text);
    }
    headroom_details(grid, zone);
    view_detail(grid, "Hosts:", "%" PRIu32 " of %" PRIu32 " up",
                zone->host_up_count, zone->host_count);
    view_detail(grid, "VMs:", "%" PRIu32, zone->vm_count);
    view_detail(grid, "CPU:", "%s of %s used", format_cpu(used->cpu_milli).text,
                format_cpu(capacity->cpu_milli).text);
    view_detail(grid, "Memory:", "%s of %s used",
                format_mib(used->memory_mib).text,
                format_mib(capacity->memory_mib).text);
    view_detail(grid, "Disk:", "%s of %s used", format_gib(used->disk_gib).text,
                format_gib(capacity->disk_gib).text);
    view_detail(grid, "Created:", "%s (%s ago)",
                format_time(zone->create_time_ms).text,
                format_age(zone->create_time_ms, options->now_ms).text);
    view_detail(grid, "Revision:", "%" PRIu64, zone->revision);
    view_detail(grid, "Uid:", "%" PRIu64, zone->uid);
}

const struct view view_zone = {
    .descriptor = &holdfast__v1__zone__descriptor,
    .noun = "zone",
    .columns = zone_columns,
    .row = zone_row,
    .details = zone_details,
};

static const Holdfast__V1__Class *as_class(const ProtobufCMessage *message)
{
    CHECK(message->descriptor == &holdfast__v1__class__descriptor);
    return (const Holdfast__V1__Class *)(const void *)message;
}

static void class_zones(const Holdfast__V1__Class *class, char *text,
                        size_t size)
{
    size_t used = 0;

    (void)snprintf(text, size, "%s", class->n_zones == 0 ? "all" : "");
    for (size_t i = 0; i < class->n_zones && used < size; i++) {
        used += (size_t)snprintf(text + used, size - used, "%s%s",
                                 i > 0 ? "," : "", class->zones[i]);
    }
}

static void class_columns(struct grid *grid, const struct view_options *options)
{
    grid_column(grid, "NAME");
    grid_column_right(grid, "CPU");
    grid_column_right(grid, "MEMORY");
    grid_column_right(grid, "DISK");
    grid_column_right(grid, "VMS");
    grid_column(grid, "ZONES");
    grid_column_right(grid, "AGE");
    if (options->wide) {
        grid_column(grid, "OTHER");
        grid_column_right(grid, "UID");
    }
}

static void class_row(struct grid *grid, const ProtobufCMessage *message,
                      const struct view_options *options)
{
    const Holdfast__V1__Class *class = as_class(message);
    const Holdfast__V1__Resources *size = resources_of(class->resources);
    char zones[512];

    class_zones(class, zones, sizeof(zones));
    grid_cell(grid, class->name);
    grid_cell(grid, format_cpu(size->cpu_milli).text);
    grid_cell(grid, format_mib(size->memory_mib).text);
    grid_cell(grid, format_gib(size->disk_gib).text);
    grid_cell_format(grid, "%" PRIu32, class->vm_count);
    grid_cell(grid, zones);
    grid_cell(grid, format_age(class->create_time_ms, options->now_ms).text);
    if (options->wide) {
        char extras[512];

        view_extras(size, extras, sizeof(extras));
        grid_cell(grid, extras);
        grid_cell_format(grid, "%" PRIu64, class->uid);
    }
}

static void class_details(struct grid *grid, const ProtobufCMessage *message,
                          const struct view_options *options)
{
    const Holdfast__V1__Class *class = as_class(message);
    const Holdfast__V1__Resources *size = resources_of(class->resources);
    char zones[512];
    char extras[512];

    class_zones(class, zones, sizeof(zones));
    view_detail(grid, "Name:", "%s", class->name);
    view_detail(grid, "CPU:", "%s", format_cpu(size->cpu_milli).text);
    view_detail(grid, "Memory:", "%s", format_mib(size->memory_mib).text);
    view_detail(grid, "Disk:", "%s", format_gib(size->disk_gib).text);
    view_extras(size, extras, sizeof(extras));
    if (extras[0] != '\0') {
        view_detail(grid, "Other:", "%s", extras);
    }
    view_detail(grid, "Zones:", "%s", zones);
    view_detail(grid, "VMs:", "%" PRIu32, class->vm_count);
    view_detail(grid, "Created:", "%s (%s ago)",
                format_time(class->create_time_ms).text,
                format_age(class->create_time_ms, options->now_ms).text);
    view_detail(grid, "Revision:", "%" PRIu64, class->revision);
}

const struct view view_class = {
    .descriptor = &holdfast__v1__class__descriptor,
    .noun = "class",
    .columns = class_columns,
    .row = class_row,
    .details = class_details,
};

static const Holdfast__V1__Node *as_node(const ProtobufCMessage *message)
{
    CHECK(message->descriptor == &holdfast__v1__node__descriptor);
    return (const Holdfast__V1__Node *)(const void *)message;
}

static void node_columns(struct grid *grid, const struct view_options *options)
{
    grid_column(grid, "NAME");
    grid_column(grid, "ROLE");
    grid_column(grid, "MEMBER");
    grid_column(grid, "ZONE");
    grid_column(grid, "ADDRESS");
    grid_column_right(grid, "LAG");
    if (options->wide) {
        grid_column_right(grid, "ROUND TRIP");
        grid_column_right(grid, "ID");
    }
}

static enum colour role_colour(Holdfast__V1__Role role)
{
    switch (role) {
    case HOLDFAST__V1__ROLE__ROLE_LEADER:
        return COLOUR_GOOD;
    case HOLDFAST__V1__ROLE__ROLE_CANDIDATE:
        return COLOUR_WAIT;
    case HOLDFAST__V1__ROLE__ROLE_UNREACHABLE:
        return COLOUR_BAD;
    default:
        return COLOUR_NONE;
    }
}

static void node_row(struct grid *grid, const ProtobufCMessage *message,
                     const struct view_options *options)
{
    const Holdfast__V1__Node *node = as_node(message);
    char role[TEXT_NAME_MAX + 1];
    char member[TEXT_NAME_MAX + 1];

    text_enum_name(&holdfast__v1__role__descriptor, (int)node->role, role);
    grid_cell(grid, node->name);
    grid_cell_colour(grid, role_colour(node->role), role);
    text_enum_name(&holdfast__v1__membership__descriptor, (int)node->membership,
                   member);
    grid_cell(grid, member);
    grid_cell(grid, node->zone);
    grid_cell(grid, node->address);
    if (node->catching_up) {
        grid_cell_format(grid, "%" PRIu64 " (catching up)", node->lag_entries);
    } else {
        grid_cell_format(grid, "%" PRIu64, node->lag_entries);
    }
    if (options->wide) {
        if (node->round_trip == NULL) {
            grid_cell(grid, "");
        } else {
            grid_cell_format(grid, "%" PRIu32 ".%" PRIu32 " ms",
                             node->round_trip->median_us / 1000,
                             node->round_trip->median_us % 1000 / 100);
        }
        grid_cell_format(grid, "%" PRIu64, node->id);
    }
}

static void node_details(struct grid *grid, const ProtobufCMessage *message,
                         const struct view_options *options)
{
    const Holdfast__V1__Node *node = as_node(message);
    char role[TEXT_NAME_MAX + 1];

    (void)options;
    text_enum_name(&holdfast__v1__role__descriptor, (int)node->role, role);
    view_detail(grid, "Name:", "%s", node->name);
    view_detail(grid, "Role:", "%s", role);
    view_detail(grid, "Zone:", "%s", node->zone);
    view_detail(grid, "Address:", "%s", node->address);
}

const struct view view_node = {
    .descriptor = &holdfast__v1__node__descriptor,
    .noun = "node",
    .columns = node_columns,
    .row = node_row,
    .details = node_details,
};
