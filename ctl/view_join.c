/* SPDX-License-Identifier: Apache-2.0
 *
 * How tokens to join look. */
#include "base/check.h"
#include "ctl/format.h"
#include "ctl/view.h"
#include "holdfast/v1/join_service.pb-c.h"

#include <inttypes.h>

static const Holdfast__V1__JoinToken *as_token(const ProtobufCMessage *message)
{
    CHECK(message->descriptor == &holdfast__v1__join_token__descriptor);
    return (const Holdfast__V1__JoinToken *)(const void *)message;
}

static const char *state_of(const Holdfast__V1__JoinToken *token,
                            const struct view_options *options)
{
    if (token->use_time_ms != 0) {
        return "used";
    }
    return token->expire_time_ms <= options->now_ms ? "expired" : "good";
}

static void columns(struct grid *grid, const struct view_options *options)
{
    grid_column(grid, "HOST");
    grid_column(grid, "ZONE");
    grid_column(grid, "STATE");
    grid_column(grid, "EXPIRES");
    grid_column_right(grid, "AGE");
    if (options->wide) {
        grid_column(grid, "USED");
    }
}

static void row(struct grid *grid, const ProtobufCMessage *message,
                const struct view_options *options)
{
    const Holdfast__V1__JoinToken *token = as_token(message);

    grid_cell(grid, token->name);
    grid_cell(grid, token->zone);
    grid_cell(grid, state_of(token, options));
    grid_cell(grid, format_time(token->expire_time_ms).text);
    grid_cell(grid, format_age(token->create_time_ms, options->now_ms).text);
    if (options->wide) {
        grid_cell(grid, format_time(token->use_time_ms).text);
    }
}

static void details(struct grid *grid, const ProtobufCMessage *message,
                    const struct view_options *options)
{
    const Holdfast__V1__JoinToken *token = as_token(message);

    view_detail(grid, "Host:", "%s", token->name);
    view_detail(grid, "Zone:", "%s", token->zone);
    view_detail(grid, "State:", "%s", state_of(token, options));
    view_detail(grid, "Expires:", "%s",
                format_time(token->expire_time_ms).text);
    view_detail(grid, "Used:", "%s", format_time(token->use_time_ms).text);
    view_detail(grid, "Revision:", "%" PRIu64, token->revision);
}

const struct view view_join_token = {
    .descriptor = &holdfast__v1__join_token__descriptor,
    .noun = "token to join of host",
    .columns = columns,
    .row = row,
    .details = details,
};
