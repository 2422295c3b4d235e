/* SPDX-License-Identifier: Apache-2.0
 *
 * Groups and reservations. */
#include "ctl/view_group.h"
#include "base/check.h"
#include "ctl/format.h"
#include "ctl/view.h"
#include "proto/text_field.h"

#include <inttypes.h>
#include <stdio.h>

static const Holdfast__V1__GroupStatus no_status =
    HOLDFAST__V1__GROUP_STATUS__INIT;

static const Holdfast__V1__Group *as_group(const ProtobufCMessage *message)
{
    CHECK(message->descriptor == &holdfast__v1__group__descriptor);
    return (const Holdfast__V1__Group *)(const void *)message;
}

/* A group without a status, as in a manifest, has an empty one. */
static const Holdfast__V1__GroupStatus *status_of(
    const Holdfast__V1__Group *group)
{
    return group->status == NULL ? &no_status : group->status;
}

bool view_group_has_status(const ProtobufCMessage *message)
{
    return as_group(message)->status != NULL;
}

struct view_state view_group_state(const ProtobufCMessage *message)
{
    const Holdfast__V1__Group *group = as_group(message);
    const Holdfast__V1__GroupStatus *status = status_of(group);
    struct view_state view = {.colour = COLOUR_WAIT};
    uint32_t wished = group->count > status->member_count
                          ? group->count
                          : status->member_count;

    if (group->status == NULL) {
        return (struct view_state){.text = "changed"};
    }
    if (status->deleting) {
        return (struct view_state){.text = "deleting", .colour = COLOUR_WAIT};
    }
    if (status->healthy) {
        return (struct view_state){.text = "healthy", .colour = COLOUR_GOOD};
    }
    if (status->running_count < wished) {
        (void)snprintf(view.text, sizeof(view.text),
                       "%" PRIu32 " of %" PRIu32 " run", status->running_count,
                       wished);
    } else if (status->member_count > group->count && group->count > 0) {
        (void)snprintf(view.text, sizeof(view.text), "%" PRIu32 " to go",
                       status->member_count - group->count);
    } else if (status->outdated_count > 0 && group->max_unavailable > 0) {
        (void)snprintf(view.text, sizeof(view.text), "%" PRIu32 " outdated",
                       status->outdated_count);
    } else {
        (void)snprintf(view.text, sizeof(view.text), "rule broken");
    }
    return view;
}

static void zones_text(const Holdfast__V1__GroupStatus *status, char *text,
                       size_t size)
{
    size_t used = 0;

    text[0] = '\0';
    for (size_t i = 0; i < status->n_zones && used < size; i++) {
        const Holdfast__V1__GroupZone *zone = status->zones[i];

        if (zone->usable || zone->member_count > 0) {
            used +=
                (size_t)snprintf(text + used, size - used, "%s%s:%" PRIu32 "%s",
                                 used > 0 ? " " : "", zone->zone,
                                 zone->member_count, zone->usable ? "" : "!");
        }
    }
}

static bool is_protected(const Holdfast__V1__Group *group)
{
    return group->_protected_case !=
               HOLDFAST__V1__GROUP___PROTECTED_PROTECTED ||
           group->protected_;
}

static void group_columns(struct grid *grid, const struct view_options *options)
{
    grid_column(grid, "NAME");
    grid_column(grid, "HEALTH");
    grid_column_right(grid, "COUNT");
    grid_column_right(grid, "MEMBERS");
    grid_column_right(grid, "RUNNING");
    grid_column_right(grid, "SKEW");
    grid_column(grid, "ZONES");
    grid_column_right(grid, "AGE");
    if (options->wide) {
        grid_column(grid, "RULE");
        grid_column(grid, "PROTECTED");
        grid_column_right(grid, "PENDING");
        grid_column_right(grid, "OUTDATED");
        grid_column_right(grid, "GENERATION");
        grid_column(grid, "MESSAGE");
    }
}

static void group_row(struct grid *grid, const ProtobufCMessage *message,
                      const struct view_options *options)
{
    const Holdfast__V1__Group *group = as_group(message);
    const Holdfast__V1__GroupStatus *status = status_of(group);
    struct view_state state = view_group_state(message);
    char text[512];

    zones_text(status, text, sizeof(text));
    grid_cell(grid, group->name);
    grid_cell_colour(grid, state.colour, state.text);
    grid_cell_format(grid, "%" PRIu32, group->count);
    grid_cell_format(grid, "%" PRIu32, status->member_count);
    grid_cell_format(grid, "%" PRIu32, status->running_count);
    grid_cell_format(grid, "%" PRIu32, status->skew);
    grid_cell(grid, text);
    grid_cell(grid, format_age(group->create_time_ms, options->now_ms).text);
    if (options->wide) {
        view_group_rule(group, text, sizeof(text));
        grid_cell(grid, text);
        grid_cell(grid, is_protected(group) ? "yes" : "no");
        grid_cell_format(grid, "%" PRIu32, status->pending_count);
        grid_cell_format(grid, "%" PRIu32, status->outdated_count);
        grid_cell_format(grid, "%" PRIu32, group->generation);
        grid_cell(grid, status->message);
    }
}

void view_group_rule(const Holdfast__V1__Group *group, char *text, size_t size)
{
    uint32_t skew = group->max_skew == 0 ? 1 : group->max_skew;
    const char *strict =
        group->zone_mode == HOLDFAST__V1__RULE_MODE__RULE_MODE_STRICT
            ? ", strictly"
            : ", if possible";
    size_t used;

    switch (group->zone_rule) {
    case HOLDFAST__V1__ZONE_RULE__ZONE_RULE_TOGETHER:
        used = (size_t)snprintf(text, size, "all in one zone%s", strict);
        break;
    case HOLDFAST__V1__ZONE_RULE__ZONE_RULE_APART:
        used = (size_t)snprintf(text, size, "no two in one zone%s", strict);
        break;
    case HOLDFAST__V1__ZONE_RULE__ZONE_RULE_ANY:
        used = (size_t)snprintf(text, size, "any zone");
        break;
    default:
        used = (size_t)snprintf(
            text, size, "evenly over the zones, skew at most %" PRIu32 "%s",
            skew, strict);
        break;
    }
    for (size_t i = 0; i < group->n_zones && used < size; i++) {
        used += (size_t)snprintf(text + used, size - used, "%s%s",
                                 i == 0 ? "; only " : ", ", group->zones[i]);
    }
}

/* "at most 2 members in each"; preferred where there are fewest without. */
static void limit_details(struct grid *grid, const char *label,
                          Holdfast__V1__RuleMode mode, uint32_t max)
{
    bool strict = mode == HOLDFAST__V1__RULE_MODE__RULE_MODE_STRICT;

    if (max > 0) {
        view_detail(grid, label, "at most %" PRIu32 " member%s in each%s", max,
                    plural(max), strict ? "" : ", if possible");
    }
}

static void template_details(struct grid *grid,
                             const Holdfast__V1__GroupTemplate *template)
{
    char text[512];

    if (template->resources != NULL) {
        view_size(template->resources, text, sizeof(text));
        view_detail(grid, "Size:", "%s", text);
    } else {
        view_detail(grid, "Class:", "%s", template->class_name);
    }
    view_detail(grid, "Priority:", "%" PRIu32 "%s", template->priority,
                template->preemptible ? ", preemptible" : "");
    if (template->on_partition != 0) {
        text_enum_name(&holdfast__v1__on_partition__descriptor,
                       (int)template->on_partition, text);
        view_detail(grid, "On partition:", "%s", text);
    }
    if (template->template_ != NULL) {
        view_template(grid, template->template_);
    }
    view_labels(&template->base, text, sizeof(text));
    view_detail(grid, "Labels:", "%s", text);
    view_map(&template->base, "host_selector", text, sizeof(text));
    if (text[0] != '\0') {
        view_detail(grid, "Hosts with:", "%s", text);
    }
}

static void status_details(struct grid *grid, const Holdfast__V1__Group *group)
{
    const Holdfast__V1__GroupStatus *status = status_of(group);
    char zones[512];

    if (group->template_ == NULL && group->count == 0) {
        view_detail(grid, "Members:", "%" PRIu32 ", %" PRIu32 " running",
                    status->member_count, status->running_count);
    } else {
        view_detail(grid, "Members:",
                    "%" PRIu32 " of %" PRIu32 ", %" PRIu32 " running, %" PRIu32
                    " pending",
                    status->member_count, group->count, status->running_count,
                    status->pending_count);
    }
    zones_text(status, zones, sizeof(zones));
    view_detail(grid, "In zones:", "%s%sskew %" PRIu32, zones,
                zones[0] == '\0' ? "" : ", ", status->skew);
    if (status->outdated_count > 0) {
        view_detail(grid, "Outdated:", "%" PRIu32 " member%s, %s",
                    status->outdated_count, plural(status->outdated_count),
                    group->max_unavailable > 0 ? "being replaced"
                                               : "until they are deleted");
    }
}

static void group_details(struct grid *grid, const ProtobufCMessage *message,
                          const struct view_options *options)
{
    const Holdfast__V1__Group *group = as_group(message);
    const Holdfast__V1__GroupStatus *status = status_of(group);
    struct view_state state = view_group_state(message);
    char text[512];

    view_detail(grid, "Name:", "%s", group->name);
    grid_cell(grid, "Health:");
    grid_cell_colour(grid, state.colour, state.text);
    if (status->message[0] != '\0') {
        view_detail(grid, "Message:", "%s", status->message);
    }
    status_details(grid, group);
    view_group_rule(group, text, sizeof(text));
    view_detail(grid, "Rule:", "%s", text);
    limit_details(grid, "Fault domains:", group->domain_mode,
                  group->domain_max);
    limit_details(grid, "Hosts:", group->host_mode, group->host_max);
    view_detail(grid, "Protected:", "%s", is_protected(group) ? "yes" : "no");
    if (group->template_ != NULL) {
        template_details(grid, group->template_);
        view_detail(grid, "Generation:", "%" PRIu32, group->generation);
        if (group->max_unavailable > 0) {
            view_detail(
                grid, "Updates:", "members are replaced, %" PRIu32 " at a time",
                group->max_unavailable);
        } else {
            view_detail(grid, "Updates:", "members stay as they are");
        }
    }
    view_detail(grid, "Created:", "%s (%s ago)",
                format_time(group->create_time_ms).text,
                format_age(group->create_time_ms, options->now_ms).text);
    view_detail(grid, "Revision:", "%" PRIu64, group->revision);
    view_detail(grid, "Uid:", "%" PRIu64, group->uid);
}

const struct view view_group = {
    .descriptor = &holdfast__v1__group__descriptor,
    .noun = "group",
    .columns = group_columns,
    .row = group_row,
    .details = group_details,
};

static const Holdfast__V1__Reservation *as_reservation(
    const ProtobufCMessage *message)
{
    CHECK(message->descriptor == &holdfast__v1__reservation__descriptor);
    return (const Holdfast__V1__Reservation *)(const void *)message;
}

static void reservation_columns(struct grid *grid,
                                const struct view_options *options)
{
    grid_column(grid, "NAME");
    grid_column(grid, "ZONE");
    grid_column(grid, "CLASS");
    grid_column_right(grid, "COUNT");
    grid_column_right(grid, "FREE");
    grid_column_right(grid, "USED");
    grid_column_right(grid, "MISSING");
    grid_column_right(grid, "AGE");
    if (options->wide) {
        grid_column_right(grid, "UID");
    }
}

static void reservation_row(struct grid *grid, const ProtobufCMessage *message,
                            const struct view_options *options)
{
    const Holdfast__V1__Reservation *reservation = as_reservation(message);
    char missing[16];

    (void)snprintf(missing, sizeof(missing), "%" PRIu32,
                   reservation->missing_count);
    grid_cell(grid, reservation->name);
    grid_cell(grid, reservation->zone);
    grid_cell(grid, reservation->class_name);
    grid_cell_format(grid, "%" PRIu32, reservation->count);
    grid_cell_format(grid, "%" PRIu32, reservation->free_count);
    grid_cell_format(grid, "%" PRIu32, reservation->used_count);
    grid_cell_colour(grid,
                     reservation->missing_count > 0 ? COLOUR_BAD : COLOUR_NONE,
                     missing);
    grid_cell(grid,
              format_age(reservation->create_time_ms, options->now_ms).text);
    if (options->wide) {
        grid_cell_format(grid, "%" PRIu64, reservation->uid);
    }
}

static void reservation_details(struct grid *grid,
                                const ProtobufCMessage *message,
                                const struct view_options *options)
{
    const Holdfast__V1__Reservation *reservation = as_reservation(message);

    view_detail(grid, "Name:", "%s", reservation->name);
    view_detail(grid, "Zone:", "%s", reservation->zone);
    view_detail(grid, "Class:", "%s", reservation->class_name);
    view_detail(grid, "Slots:",
                "%" PRIu32 ": %" PRIu32 " free, %" PRIu32 " used, %" PRIu32
                " without room",
                reservation->count, reservation->free_count,
                reservation->used_count, reservation->missing_count);
    view_detail(grid, "Created:", "%s (%s ago)",
                format_time(reservation->create_time_ms).text,
                format_age(reservation->create_time_ms, options->now_ms).text);
    view_detail(grid, "Revision:", "%" PRIu64, reservation->revision);
}

const struct view view_reservation = {
    .descriptor = &holdfast__v1__reservation__descriptor,
    .noun = "reservation",
    .columns = reservation_columns,
    .row = reservation_row,
    .details = reservation_details,
};
