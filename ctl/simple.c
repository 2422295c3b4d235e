/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/simple.h"

#include "ctl/output.h"
#include "ctl/request.h"
#include "ctl/view.h"
#include "ctl/view_group.h"

#include <stdio.h>
#include <string.h>

bool simple_check_request_id(struct invocation *invocation, size_t count)
{
    if (count > 1 && arguments_has(invocation->arguments, OPTION_REQUEST_ID)) {
        (void)usage_error(invocation,
                          "--request-id goes with one name: it makes one "
                          "change happen once");
        return false;
    }
    return true;
}

bool simple_goes_on(enum exit_code code)
{
    return code != EXIT_NO_QUORUM && code != EXIT_TIMED_OUT &&
           code != EXIT_USAGE;
}

/* An answer may warn of what it did. */
static void tell_warnings(const ProtobufCMessage *response)
{
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field_by_name(response->descriptor,
                                                        "warnings");
    const char *at = (const char *)response;

    if (field == NULL || field->label != PROTOBUF_C_LABEL_REPEATED ||
        field->type != PROTOBUF_C_TYPE_STRING) {
        return;
    }
    for (size_t i = 0;
         i < *(const size_t *)(const void *)(at + field->quantifier_offset);
         i++) {
        char *const *words =
            *(char *const *const *)(const void *)(at + field->offset);

        (void)fprintf(stderr, "warning: %s\n", words[i]);
    }
}

void simple_tell(struct invocation *invocation,
                 const ProtobufCMessage *response)
{
    const ProtobufCMessage *object = response_object(response);
    bool dry = arguments_has(invocation->arguments, OPTION_DRY_RUN);
    const struct view *view;
    struct view_state state = {.text = ""};

    if (object == NULL) {
        return;
    }
    tell_warnings(response);
    if (invocation->command->outcome == NULL ||
        (invocation->output != OUTPUT_TABLE &&
         invocation->output != OUTPUT_WIDE)) {
        output_object(invocation, object);
        return;
    }
    view = view_find(object->descriptor);
    if (view == &view_vm) {
        state = view_vm_state(object);
    } else if (view == &view_group && view_group_has_status(object)) {
        state = view_group_state(object);
    }
    output_line(invocation, "%s %s %s%s%s%s", view->noun,
                view_string(object, "name"), invocation->command->outcome,
                state.text[0] == '\0' ? "" : ": ", state.text,
                dry ? " (dry run: nothing was changed)" : "");
}

enum exit_code simple_each(struct invocation *invocation,
                           simple_answer_cb answered)
{
    const struct arguments *arguments = invocation->arguments;
    enum exit_code result = EXIT_OK;

    for (size_t i = 0; i < arguments->name_count; i++) {
        const char *name = arguments->names[i];
        ProtobufCMessage *request =
            request_for(invocation, invocation->command->method);
        ProtobufCMessage *response;
        enum exit_code code;

        if (request == NULL ||
            !request_set(invocation, request, "name", name, "NAME")) {
            return EXIT_USAGE;
        }
        code = request_call(invocation, invocation->command->method, request,
                            name, &response);
        if (code == EXIT_OK) {
            code = answered(invocation, response);
            hf_message_free(response);
            output_flush(invocation);
        }
        result = result == EXIT_OK ? code : result;
        if (!simple_goes_on(code)) {
            break;
        }
    }
    return result;
}

static enum exit_code tell(struct invocation *invocation,
                           const ProtobufCMessage *response)
{
    simple_tell(invocation, response);
    return EXIT_OK;
}

enum exit_code run_simple(struct invocation *invocation)
{
    if (!simple_check_request_id(invocation,
                                 invocation->arguments->name_count)) {
        return EXIT_USAGE;
    }
    return simple_each(invocation, tell);
}
