/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/event.h"
#include "ctl/failure.h"
#include "ctl/format.h"
#include "ctl/output.h"
#include "ctl/request.h"
#include "ctl/view.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void columns(struct grid *grid)
{
    grid_column(grid, "TIME                   ");
    grid_column_right(grid, "REVISION");
    grid_column(grid, "KIND       ");
    grid_column(grid, "NAME            ");
    grid_column(grid, "CHANGE");
}

static struct view_state change_of(const struct event_view *event)
{
    const ProtobufCMessage *object = event->object;
    struct view_state state = {.text = "changed"};

    if (event->deleted) {
        return (struct view_state){.text = "deleted", .colour = COLOUR_DIM};
    }
    if (object->descriptor == view_vm.descriptor) {
        state = view_vm_state(object);
    } else if (object->descriptor == view_host.descriptor) {
        state = view_host_state(object);
    } else if (object->descriptor == view_zone.descriptor) {
        state = view_zone_state(object);
    } else if (object->descriptor == view_group.descriptor) {
        state = view_group_state(object);
    }
    return state;
}

static void show_row(struct invocation *invocation, struct grid *grid,
                     const struct event_view *event)
{
    const ProtobufCMessage *object = event->object;
    const struct view *view = view_find(object->descriptor);
    struct view_state state = change_of(event);
    char place[192] = "";
    char text[sizeof(state.text) + sizeof(place)];

    if (view == &view_vm && !event->deleted) {
        const Holdfast__V1__Vm *vm = (const void *)object;

        if (vm->status != NULL && vm->status->host[0] != '\0') {
            (void)snprintf(place, sizeof(place), " on %s (%s), epoch %" PRIu64,
                           vm->status->host, vm->status->zone,
                           vm->status->epoch);
        }
    }
    (void)snprintf(text, sizeof(text), "%s%s", state.text, place);
    grid_next(grid);
    grid_cell(grid, format_time(event->time_ms).text);
    grid_cell_format(grid, "%" PRIu64, event->revision);
    grid_cell(grid, view == NULL ? "settings" : view->noun);
    grid_cell(grid, view_string(object, "name"));
    grid_cell_colour(grid, state.colour, text);
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

enum exit_code run_watch(struct invocation *invocation)
{
    Holdfast__V1__WatchRequest parsed = HOLDFAST__V1__WATCH_REQUEST__INIT;
    struct event_stream stream;
    struct event_view event;
    struct hf_status status;
    struct grid grid;

    if (!request_set_option(invocation, &parsed.base, "after_revision",
                            OPTION_AFTER) ||
        !request_add_options(invocation, &parsed.base, "kinds", OPTION_KIND)) {
        return EXIT_USAGE;
    }
    event_stream_open(&stream, invocation, parsed.after_revision, NULL);
    grid_init(&grid);
    columns(&grid);
    if (invocation->output == OUTPUT_TABLE ||
        invocation->output == OUTPUT_WIDE) {
        output_table(invocation, &grid, true);
        output_flush(invocation);
    }
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
