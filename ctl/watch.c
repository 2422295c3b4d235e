/* SPDX-License-Identifier: Apache-2.0 */
#include "base/container.h"
#include "ctl/event_tree.h"
#include "ctl/failure.h"
#include "ctl/format.h"
#include "ctl/output.h"
#include "ctl/request.h"
#include "ctl/view.h"

#include "holdfast/v1/cluster_service.pb-c.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How far back `events` goes by itself, and branches under one that it shows.
 */
#define EVENTS_DEFAULT   1000
#define BRANCHES_DEFAULT 20

/* A node gives a sign of life every 5 seconds. */
#define EVENTS_WAIT_MS 15000

static void columns(struct grid *grid)
{
    grid_column(grid, "TIME                   ");
    grid_column_right(grid, "REVISION");
    grid_column(grid, "KIND       ");
    grid_column(grid, "NAME            ");
    grid_column(grid, "CAUSE        ");
    grid_column(grid, "CHANGE");
}

static void show_row(struct invocation *invocation, struct grid *grid,
                     const struct event_view *event)
{
    const struct view *view = view_find(event->object->descriptor);
    struct event_text text = event_text(event);
    char change[sizeof(text.state) + sizeof(text.place)];

    (void)snprintf(change, sizeof(change), "%s%s", text.state, text.place);
    grid_next(grid);
    grid_cell(grid, format_time(event->time_ms).text);
    grid_cell_format(grid, "%" PRIu64, event->revision);
    grid_cell(grid, view == NULL ? "settings" : view->noun);
    grid_cell(grid, view_string(event->object, "name"));
    grid_cell(grid, event_cause_text(event->cause).text);
    grid_cell_colour(grid, text.colour, change);
    output_table(invocation, grid, false);
}

static void show(struct invocation *invocation, struct grid *grid,
                 const struct event_view *event)
{
    const char *name = view_string(event->object, "name");

    switch (invocation->output) {
    case OUTPUT_JSON:
        output_json_line(invocation, event->event);
        break;
    case OUTPUT_YAML:
        (void)output_message(invocation, event->event);
        break;
    case OUTPUT_NAME:
        bytes_append(&invocation->out, name, strlen(name));
        bytes_append_u8(&invocation->out, '\n');
        break;
    default:
        show_row(invocation, grid, event);
        break;
    }
}

static bool is_table(const struct invocation *invocation)
{
    return invocation->output == OUTPUT_TABLE ||
           invocation->output == OUTPUT_WIDE;
}

static void show_header(struct invocation *invocation, struct grid *grid)
{
    grid_init(grid);
    columns(grid);
    if (is_table(invocation)) {
        output_table(invocation, grid, true);
        output_flush(invocation);
    }
}

enum exit_code run_watch(struct invocation *invocation)
{
    const Holdfast__V1__WatchRequest *request = event_request(invocation);
    struct event_stream stream;
    struct event_view event;
    struct hf_status status;
    struct grid grid;

    if (request == NULL) {
        return EXIT_USAGE;
    }
    event_stream_begin(&stream, invocation, request);
    show_header(invocation, &grid);
    while (event_stream_next(&stream, UINT32_MAX, &status)) {
        while (event_stream_take(&stream, &event)) {
            show(invocation, &grid, &event);
        }
        output_flush(invocation);
    }
    grid_close(&grid);
    event_stream_close(&stream);
    return failure_tell(invocation, NULL, &status);
}

/* --- What has happened --------------------------------------------------- */

/* What of it is read: up to the newest revision, and where it goes. */
struct past {
    uint64_t newest;
    struct grid grid;
    struct event_tree tree;
    bool as_tree;
    bool full;
};

static enum exit_code find_newest(struct invocation *invocation,
                                  uint64_t *newest)
{
    ProtobufCMessage *request = request_create(
        invocation, &holdfast__v1__get_status_request__descriptor);
    ProtobufCMessage *response;
    enum exit_code code = request_call(invocation, "ClusterService/GetStatus",
                                       request, NULL, &response);

    if (code == EXIT_OK) {
        *newest = response_revision(response);
        hf_message_free(response);
    }
    return code;
}

static void take_past(struct invocation *invocation, struct past *past,
                      struct event_stream *stream)
{
    struct event_view event;

    while (!past->full && event_stream_take(stream, &event)) {
        if (event.revision > past->newest) {
            continue; /* It came while we read. */
        }
        if (past->as_tree) {
            past->full = !event_tree_add(&past->tree, &event);
        } else {
            show(invocation, &past->grid, &event);
        }
    }
    output_flush(invocation);
}

/* Up to the newest, or the tree is full. */
static enum hf_code read_past(struct invocation *invocation, struct past *past,
                              const Holdfast__V1__WatchRequest *request,
                              struct hf_status *status)
{
    struct event_stream stream;
    bool there = past->newest <= request->after_revision;

    event_stream_begin(&stream, invocation, request);
    while (!there && event_stream_next(&stream, EVENTS_WAIT_MS, status)) {
        take_past(invocation, past, &stream);
        there = past->full || stream.response->revision >= past->newest;
    }
    event_stream_close(&stream);
    return there ? HF_STATUS_OK : status->code;
}

/* Without --after: as far back as they are kept, at most EVENTS_DEFAULT. A
 * region that has just restarted keeps fewer. */
static enum hf_code read_newest(struct invocation *invocation,
                                struct past *past,
                                Holdfast__V1__WatchRequest *request,
                                struct hf_status *status)
{
    uint64_t count = EVENTS_DEFAULT;
    enum hf_code code;

    do {
        request->after_revision =
            past->newest > count ? past->newest - count : 1;
        code = read_past(invocation, past, request, status);
        count /= 2;
    } while (code == HF_STATUS_OUT_OF_RANGE && count > 0);
    return code;
}

static bool speaks_unicode(void)
{
    static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        const char *value = getenv(names[i]);

        if (value != NULL && value[0] != '\0') {
            return strstr(value, "UTF-8") != NULL ||
                   strstr(value, "utf8") != NULL;
        }
    }
    return false;
}

static void show_tree(struct invocation *invocation,
                      const struct event_tree *tree)
{
    const struct event_tree_style style = {
        .unicode = speaks_unicode(),
        .branch_max = arguments_has(invocation->arguments, OPTION_ALL)
                          ? UINT32_MAX
                          : BRANCHES_DEFAULT,
    };
    struct grid grid;

    grid_init(&grid);
    event_tree_write(tree, &style, &grid);
    output_table(invocation, &grid, true);
    grid_close(&grid);
    output_flush(invocation);
}

enum exit_code run_events(struct invocation *invocation)
{
    struct past past = {.as_tree =
                            arguments_has(invocation->arguments, OPTION_TREE)};
    Holdfast__V1__WatchRequest *request = event_request(invocation);
    struct hf_status status;
    enum exit_code code;
    enum hf_code read;

    if (request == NULL) {
        return EXIT_USAGE;
    }
    if (past.as_tree && !is_table(invocation)) {
        return usage_error(invocation, "--tree is for people: it goes with "
                                       "neither json, yaml nor name");
    }
    code = find_newest(invocation, &past.newest);
    if (code != EXIT_OK) {
        return code;
    }
    event_tree_init(&past.tree);
    if (past.as_tree) {
        grid_init(&past.grid);
    } else {
        show_header(invocation, &past.grid);
    }
    read = request->after_revision == 0
               ? read_newest(invocation, &past, request, &status)
               : read_past(invocation, &past, request, &status);
    if (past.as_tree && read == HF_STATUS_OK) {
        show_tree(invocation, &past.tree);
    }
    if (past.full) {
        fprintf(stderr, "holdfast: only the first %d events; --after goes on\n",
                EVENT_TREE_MAX);
    }
    event_tree_close(&past.tree);
    grid_close(&past.grid);
    return read == HF_STATUS_OK ? EXIT_OK
                                : failure_tell(invocation, NULL, &status);
}
