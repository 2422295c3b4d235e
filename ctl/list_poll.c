/* SPDX-License-Identifier: Apache-2.0
 *
 * --watch for lists of what no event tells of: nodes, and grants, which watches
 * are not to show. Asked again every second; rows that look different are shown
 * once more. */
#include "base/memory.h"
#include "ctl/list.h"
#include "ctl/output.h"
#include "ctl/request.h"
#include "ctl/view.h"
#include "proto/text_field.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PERIOD_MS 1000

/* How an object looked in its list; freed by the caller. */
static char *look_of(const ProtobufCMessage *object)
{
    const struct view *view = view_find(object->descriptor);
    const struct view_options options = {.now_ms = 0};
    struct bytes text;
    struct grid grid;

    grid_init(&grid);
    view->columns(&grid, &options);
    view->row(&grid, object, &options);
    bytes_init(&text);
    grid_write(&grid, false, true, &text);
    bytes_append_u8(&text, '\0');
    grid_close(&grid);
    return (char *)bytes_take(&text, &(size_t){0});
}

static size_t count_of(const ProtobufCMessage *all)
{
    return text_field_count(all, list_field(all->descriptor), false);
}

/* Of the same name; NULL: none. */
static const ProtobufCMessage *find(ProtobufCMessage *all, const char *name)
{
    for (size_t i = 0; i < count_of(all); i++) {
        if (strcmp(view_string(list_items(all)[i], "name"), name) == 0) {
            return list_items(all)[i];
        }
    }
    return NULL;
}

bool list_looks_changed(const ProtobufCMessage *before,
                        const ProtobufCMessage *now)
{
    char *one = look_of(before);
    char *two = look_of(now);
    bool changed = strcmp(one, two) != 0;

    free(one);
    free(two);
    return changed;
}

static void show_object(struct invocation *invocation,
                        const ProtobufCMessage *object, struct grid *grid)
{
    struct view_options options = output_view_options(invocation);

    options.wide =
        options.wide || arguments_has(invocation->arguments, OPTION_COLUMNS);
    if (invocation->output == OUTPUT_JSON) {
        output_json_line(invocation, object);
    } else if (invocation->output == OUTPUT_YAML ||
               invocation->output == OUTPUT_NAME) {
        output_object(invocation, object);
    } else {
        grid_next(grid);
        view_find(object->descriptor)->row(grid, object, &options);
        output_table(invocation, grid, false);
    }
}

static void show_changes(struct invocation *invocation,
                         ProtobufCMessage *before, ProtobufCMessage *now,
                         struct grid *grid)
{
    for (size_t i = 0; i < count_of(before); i++) {
        const char *name = view_string(list_items(before)[i], "name");

        if (find(now, name) == NULL) {
            output_line(invocation, "%s (deleted)", name);
        }
    }
    for (size_t i = 0; i < count_of(now); i++) {
        const ProtobufCMessage *object = list_items(now)[i];
        const ProtobufCMessage *old = find(before, view_string(object, "name"));

        if (list_is_wanted(invocation->arguments, object) &&
            (old == NULL || list_looks_changed(old, object))) {
            show_object(invocation, object, grid);
        }
    }
    output_flush(invocation);
}

/* The request is used again: the arena does not grow as long as this lasts. */
enum exit_code list_poll(struct invocation *invocation, const char *method,
                         ProtobufCMessage **all, struct grid *grid)
{
    const struct timespec pause = {.tv_sec = PERIOD_MS / 1000};
    ProtobufCMessage *request = request_for(invocation, method);
    enum exit_code code = request == NULL ? EXIT_USAGE : EXIT_OK;

    while (code == EXIT_OK) {
        ProtobufCMessage *now;

        (void)nanosleep(&pause, NULL);
        if (view_string(request, "page_token")[0] != '\0' &&
            !request_set(invocation, request, "page_token", "", "")) {
            return EXIT_USAGE;
        }
        code = list_fetch(invocation, method, request, &now);
        if (code == EXIT_OK) {
            show_changes(invocation, *all, now, grid);
            hf_message_free(*all);
            *all = now;
        }
    }
    return code;
}
