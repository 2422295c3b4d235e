/* SPDX-License-Identifier: Apache-2.0
 *
 * operation wait, and how operations look. */
#include "base/check.h"
#include "ctl/failure.h"
#include "ctl/format.h"
#include "ctl/invocation.h"
#include "ctl/operation_wait.h"
#include "ctl/output.h"
#include "ctl/simple.h"
#include "ctl/view.h"
#include "ctl/wait.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const Holdfast__V1__Operation *as_operation(
    const ProtobufCMessage *message)
{
    CHECK(message->descriptor == &holdfast__v1__operation__descriptor);
    return (const Holdfast__V1__Operation *)(const void *)message;
}

static void columns(struct grid *grid, const struct view_options *options)
{
    (void)options;
    grid_column(grid, "NAME");
    grid_column(grid, "STATE");
    grid_column_right(grid, "LEFT");
    grid_column(grid, "MESSAGE");
}

static void row(struct grid *grid, const ProtobufCMessage *message,
                const struct view_options *options)
{
    const Holdfast__V1__Operation *operation = as_operation(message);

    (void)options;
    grid_cell(grid, operation->name);
    grid_cell(grid, operation_word(operation->state).text);
    grid_cell_format(grid, "%" PRIu32, operation->left_count);
    grid_cell(grid, operation->message);
}

static void details(struct grid *grid, const ProtobufCMessage *message,
                    const struct view_options *options)
{
    const Holdfast__V1__Operation *operation = as_operation(message);

    view_detail(grid, "Name:", "%s", operation->name);
    view_detail(grid, "Object:", "%s", operation->object);
    view_detail(grid, "State:", "%s: %s", operation_word(operation->state).text,
                operation->message);
    view_detail(grid, "Left:", "%" PRIu32, operation->left_count);
    if (operation->total_count > 0) {
        view_detail(grid, "Done:", "%" PRIu32 " of %" PRIu32,
                    operation->done_count, operation->total_count);
    }
    for (size_t i = 0; i < operation->n_waits; i++) {
        view_detail(grid, i == 0 ? "Waits:" : "", "%" PRIu32 " for %s",
                    operation->waits[i]->count, operation->waits[i]->reason);
    }
    for (size_t i = 0; i < operation->n_left_operations; i++) {
        view_detail(grid, i == 0 ? "Left:" : "", "%s",
                    operation->left_operations[i]);
    }
    if (operation->begun_by[0] != '\0') {
        view_detail(grid, "Begun by:", "%s%s%s", operation->begun_by,
                    operation->request_id[0] == '\0' ? "" : ", request ",
                    operation->request_id);
    }
    if (operation->begin_time_ms != 0) {
        view_detail(grid, "Since:", "%s (%s ago)",
                    format_time(operation->begin_time_ms).text,
                    format_age(operation->begin_time_ms, options->now_ms).text);
    }
    if (operation->end_time_ms != 0) {
        view_detail(grid, "Over since:", "%s (%s ago)",
                    format_time(operation->end_time_ms).text,
                    format_age(operation->end_time_ms, options->now_ms).text);
    }
    view_detail(grid, "Can be cancelled:", "%s",
                operation->cancellable ? "yes" : "no");
}

const struct view view_operation = {
    .descriptor = &holdfast__v1__operation__descriptor,
    .noun = "operation",
    .columns = columns,
    .row = row,
    .details = details,
};

static enum exit_code wait_one(struct invocation *invocation, const char *name,
                               struct poll *poll)
{
    struct operation_told told;
    enum exit_code code;
    char what[160];

    (void)snprintf(what, sizeof(what), "operation %.128s", name);
    code = operation_follow(invocation, name, what, poll, &told);
    if (code == EXIT_TIMED_OUT) {
        (void)snprintf(poll->told, sizeof(poll->told), "%.150s: %.100s", what,
                       told.message);
        return failure_tell_timeout(poll->told);
    }
    if (code != EXIT_OK) {
        return code;
    }
    output_line(invocation, "%s %s: %s", what, operation_word(told.state).text,
                told.message);
    return operation_is_done(&told) ? EXIT_OK : EXIT_FAILED;
}

enum exit_code run_operation_wait(struct invocation *invocation)
{
    const struct arguments *arguments = invocation->arguments;
    enum exit_code result = EXIT_OK;
    struct poll poll;

    if (!wait_check_options(invocation)) {
        return EXIT_USAGE;
    }
    poll_init(&poll, invocation);
    for (size_t i = 0; i < arguments->name_count; i++) {
        enum exit_code code = wait_one(invocation, arguments->names[i], &poll);

        result = result == EXIT_OK ? code : result;
        if (!simple_goes_on(code)) {
            break;
        }
    }
    return result;
}
