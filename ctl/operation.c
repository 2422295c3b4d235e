/* SPDX-License-Identifier: Apache-2.0
 *
 * operation wait, and how operations look. */
#include "base/check.h"
#include "ctl/failure.h"
#include "ctl/format.h"
#include "ctl/invocation.h"
#include "ctl/output.h"
#include "ctl/poll.h"
#include "ctl/request.h"
#include "ctl/simple.h"
#include "ctl/view.h"
#include "ctl/wait.h"
#include "holdfast/v1/operation_service.pb-c.h"
#include "proto/text_field.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Of one call; the command goes on until --wait-timeout. */
#define WAIT_MS "5000"

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

static void state_of(const Holdfast__V1__Operation *operation,
                     char text[TEXT_NAME_MAX + 1])
{
    text_enum_name(&holdfast__v1__operation_state__descriptor,
                   (int)operation->state, text);
}

static void row(struct grid *grid, const ProtobufCMessage *message,
                const struct view_options *options)
{
    const Holdfast__V1__Operation *operation = as_operation(message);
    char state[TEXT_NAME_MAX + 1];

    (void)options;
    state_of(operation, state);
    grid_cell(grid, operation->name);
    grid_cell(grid, state);
    grid_cell_format(grid, "%" PRIu32, operation->left_count);
    grid_cell(grid, operation->message);
}

static void details(struct grid *grid, const ProtobufCMessage *message,
                    const struct view_options *options)
{
    const Holdfast__V1__Operation *operation = as_operation(message);
    char state[TEXT_NAME_MAX + 1];

    state_of(operation, state);
    view_detail(grid, "Name:", "%s", operation->name);
    view_detail(grid, "Object:", "%s", operation->object);
    view_detail(grid, "State:", "%s: %s", state, operation->message);
    view_detail(grid, "Left:", "%" PRIu32, operation->left_count);
    if (operation->total_count > 0) {
        view_detail(grid, "Done:", "%" PRIu32 " of %" PRIu32,
                    operation->done_count, operation->total_count);
    }
    for (size_t i = 0; i < operation->n_waits; i++) {
        view_detail(grid, i == 0 ? "Waits:" : "", "%" PRIu32 " for %s",
                    operation->waits[i]->count, operation->waits[i]->reason);
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

/* Over, in whatever way: told. */
static enum exit_code tell_end(struct invocation *invocation,
                               const Holdfast__V1__Operation *operation)
{
    char state[TEXT_NAME_MAX + 1];

    state_of(operation, state);
    output_line(invocation, "operation %s %s: %s", operation->name, state,
                operation->message);
    return operation->state ==
                   HOLDFAST__V1__OPERATION_STATE__OPERATION_STATE_DONE
               ? EXIT_OK
               : EXIT_FAILED;
}

static enum exit_code wait_one(struct invocation *invocation, const char *name,
                               struct poll *poll)
{
    const char *method = invocation->command->method;
    ProtobufCMessage *request = request_for(invocation, method);
    const Holdfast__V1__Operation *operation;
    ProtobufCMessage *response;
    enum exit_code code;
    bool over;

    if (request == NULL ||
        !request_set(invocation, request, "name", name, "NAME") ||
        !request_set(invocation, request, "timeout_ms", WAIT_MS, "")) {
        return EXIT_USAGE;
    }
    do {
        code = request_call(invocation, method, request, name, &response);
        if (code != EXIT_OK) {
            return code;
        }
        operation = ((const Holdfast__V1__WaitOperationResponse *)(const void *)
                         response)
                        ->operation;
        over = operation->state !=
               HOLDFAST__V1__OPERATION_STATE__OPERATION_STATE_RUNNING;
        if (over) {
            code = tell_end(invocation, operation);
        } else {
            poll_tell(poll, invocation, "operation %s: %s", name,
                      operation->message);
        }
        hf_message_free(response);
    } while (!over && poll_again(poll));
    return over ? code : failure_tell_timeout(poll->told);
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
