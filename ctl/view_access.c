/* SPDX-License-Identifier: Apache-2.0
 *
 * How grants look. */
#include "ctl/view.h"

#include "base/check.h"
#include "ctl/format.h"
#include "holdfast/v1/access_service.pb-c.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const Holdfast__V1__Grant *as_grant(const ProtobufCMessage *message)
{
    CHECK(message->descriptor == &holdfast__v1__grant__descriptor);
    return (const Holdfast__V1__Grant *)(const void *)message;
}

static const char *role_of(const Holdfast__V1__Grant *grant)
{
    static const char *const names[] = {"-", "viewer", "operator", "admin",
                                        "drill-runner"};

    return (unsigned)grant->role < sizeof(names) / sizeof(names[0])
               ? names[grant->role]
               : "?";
}

static const char *subject_of(const Holdfast__V1__Grant *grant, char *text,
                              size_t size)
{
    if (grant->subject_kind == HOLDFAST__V1__SUBJECT_KIND__SUBJECT_KIND_TOKEN) {
        return "token";
    }
    (void)snprintf(text, size, "client:%s", grant->client);
    return text;
}

/* "z1+z2", "team=blue"; "-" where there is no limit. */
static void scope_of(const Holdfast__V1__Grant *grant, char *text, size_t size)
{
    char labels[512];
    size_t len = 0;

    (void)snprintf(text, size, "-");
    for (size_t i = 0; i < grant->n_zones && len < size; i++) {
        len += (size_t)snprintf(text + len, size - len, "%s%s",
                                i == 0 ? "" : "+", grant->zones[i]);
    }
    if (grant->n_labels > 0 && len < size) {
        view_labels(&grant->base, labels, sizeof(labels));
        (void)snprintf(text + len, size - len, "%s%s", len == 0 ? "" : " ",
                       labels);
    }
}

static bool has_ended(const Holdfast__V1__Grant *grant,
                      const struct view_options *options)
{
    return grant->expire_time_ms != 0 &&
           grant->expire_time_ms <= options->now_ms;
}

/* "12d", "expired"; "-": never. */
static struct format end_of(const Holdfast__V1__Grant *grant,
                            const struct view_options *options)
{
    if (grant->expire_time_ms == 0) {
        return (struct format){.text = "-"};
    }
    if (has_ended(grant, options)) {
        return (struct format){.text = "expired"};
    }
    return format_duration(grant->expire_time_ms - options->now_ms);
}

static void columns(struct grid *grid, const struct view_options *options)
{
    grid_column(grid, "NAME");
    grid_column(grid, "SUBJECT");
    grid_column(grid, "ROLE");
    grid_column(grid, "SCOPE");
    grid_column_right(grid, "ENDS");
    grid_column_right(grid, "AGE");
    if (options->wide) {
        grid_column(grid, "END");
        grid_column_right(grid, "UID");
    }
}

static void row(struct grid *grid, const ProtobufCMessage *message,
                const struct view_options *options)
{
    const Holdfast__V1__Grant *grant = as_grant(message);
    char subject[160];
    char scope[1024];

    scope_of(grant, scope, sizeof(scope));
    grid_cell(grid, grant->name);
    grid_cell(grid, subject_of(grant, subject, sizeof(subject)));
    grid_cell(grid, role_of(grant));
    grid_cell(grid, scope);
    grid_cell_colour(grid, has_ended(grant, options) ? COLOUR_BAD : COLOUR_NONE,
                     end_of(grant, options).text);
    grid_cell(grid, format_age(grant->create_time_ms, options->now_ms).text);
    if (options->wide) {
        grid_cell(grid, format_time(grant->expire_time_ms).text);
        grid_cell_format(grid, "%" PRIu64, grant->uid);
    }
}

static void details(struct grid *grid, const ProtobufCMessage *message,
                    const struct view_options *options)
{
    const Holdfast__V1__Grant *grant = as_grant(message);
    char subject[160];
    char scope[1024];

    scope_of(grant, scope, sizeof(scope));
    view_detail(grid, "Name:", "%s", grant->name);
    view_detail(grid, "Subject:", "%s",
                subject_of(grant, subject, sizeof(subject)));
    view_detail(grid, "Role:", "%s", role_of(grant));
    view_detail(grid, "Scope:", "%s", scope);
    view_detail(grid, "Ends:", "%s%s%s%s",
                grant->expire_time_ms == 0
                    ? "never"
                    : format_time(grant->expire_time_ms).text,
                grant->expire_time_ms == 0 ? "" : " (",
                grant->expire_time_ms == 0 ? "" : end_of(grant, options).text,
                grant->expire_time_ms == 0 ? "" : ")");
    view_detail(grid, "Created:", "%s (%s ago)",
                format_time(grant->create_time_ms).text,
                format_age(grant->create_time_ms, options->now_ms).text);
    view_detail(grid, "Revision:", "%" PRIu64, grant->revision);
}

const struct view view_grant = {
    .descriptor = &holdfast__v1__grant__descriptor,
    .noun = "grant",
    .columns = columns,
    .row = row,
    .details = details,
};
