/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/request.h"

#include "base/check.h"
#include "ctl/failure.h"
#include "ctl/view.h"
#include "proto/text_field.h"
#include "proto/text_scalar.h"
#include "proto/text_yaml.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void *request_alloc(struct invocation *invocation, size_t size)
{
    void *memory = arena_alloc(&invocation->arena, size);

    if (memory == NULL) {
        (void)fprintf(stderr, "holdfast: the command line or the file is too "
                              "large\n");
        exit(EXIT_USAGE);
    }
    return memory;
}

char *request_copy(struct invocation *invocation, const char *text, size_t len)
{
    char *copy = request_alloc(invocation, len + 1);

    memcpy(copy, text, len);
    copy[len] = '\0';
    return copy;
}

ProtobufCMessage *request_create(struct invocation *invocation,
                                 const ProtobufCMessageDescriptor *descriptor)
{
    ProtobufCMessage *message =
        request_alloc(invocation, descriptor->sizeof_message);

    descriptor->message_init(message);
    return message;
}

static const ProtobufCFieldDescriptor *find(const ProtobufCMessage *message,
                                            const char *field)
{
    const ProtobufCFieldDescriptor *found =
        protobuf_c_message_descriptor_get_field_by_name(message->descriptor,
                                                        field);

    CHECK(found != NULL);
    return found;
}

bool request_set(struct invocation *invocation, ProtobufCMessage *message,
                 const char *field, const char *text, const char *what)
{
    const ProtobufCFieldDescriptor *found = find(message, field);
    struct text_error error;

    CHECK(found->label != PROTOBUF_C_LABEL_REPEATED);
    if (text_scalar_read(found, text, strlen(text), &invocation->arena,
                         (char *)message + found->offset, &error) != 0) {
        (void)usage_error(invocation, "%s: %s", what, error.problem);
        return false;
    }
    if (text_field_is_oneof(found)) {
        *text_field_case(message, found) = found->id;
    }
    return true;
}

bool request_set_option(struct invocation *invocation,
                        ProtobufCMessage *message, const char *field,
                        enum option option)
{
    const char *text = arguments_value(invocation->arguments, option);

    return text == NULL || request_set(invocation, message, field, text,
                                       option_rule(option)->name);
}

bool request_add(struct invocation *invocation, ProtobufCMessage *message,
                 const char *field, const char *text, const char *what)
{
    const ProtobufCFieldDescriptor *found = find(message, field);
    size_t *count = text_field_list_count(message, found);
    size_t size = text_type_size(found->type);
    void **member = (void **)(void *)((char *)message + found->offset);
    char *items = request_alloc(invocation, (*count + 1) * size);
    struct text_error error;

    if (*count > 0) {
        memcpy(items, *member, *count * size);
    }
    if (text_scalar_read(found, text, strlen(text), &invocation->arena,
                         items + *count * size, &error) != 0) {
        (void)usage_error(invocation, "%s: %s", what, error.problem);
        return false;
    }
    *member = items;
    ++*count;
    return true;
}

bool request_add_options(struct invocation *invocation,
                         ProtobufCMessage *message, const char *field,
                         enum option option)
{
    const char *list;

    for (size_t i = 0;
         (list = arguments_value_at(invocation->arguments, option, i)) != NULL;
         i++) {
        while (list[0] != '\0') {
            size_t len = strcspn(list, ",");
            const char *item = request_copy(invocation, list, len);

            if (!request_add(invocation, message, field, item,
                             option_rule(option)->name)) {
                return false;
            }
            list += len + (list[len] == ',');
        }
    }
    return true;
}

static bool has_field(const ProtobufCMessage *message, const char *field)
{
    return protobuf_c_message_descriptor_get_field_by_name(message->descriptor,
                                                           field) != NULL;
}

ProtobufCMessage *request_read_file(
    struct invocation *invocation, const ProtobufCMessageDescriptor *descriptor,
    enum option option)
{
    const char *file = arguments_value(invocation->arguments, option);
    struct text_error error;
    ProtobufCMessage *message;

    if (file == NULL) {
        return request_create(invocation, descriptor);
    }
    if (text_yaml_read_file(descriptor, file, &invocation->arena, &message,
                            &error) != 0) {
        (void)usage_error(invocation, "%s", error.text);
        return NULL;
    }
    return message;
}

ProtobufCMessage *request_for(struct invocation *invocation, const char *method)
{
    const ProtobufCMethodDescriptor *found = hf_method_find(method);
    const struct arguments *arguments = invocation->arguments;
    ProtobufCMessage *request;

    CHECK(found != NULL);
    request = request_create(invocation, found->input);
    if (has_field(request, "request_id") &&
        (!request_set_option(invocation, request, "request_id",
                             OPTION_REQUEST_ID) ||
         !request_set_option(invocation, request, "expect_revision",
                             OPTION_EXPECT_REVISION) ||
         (arguments_has(arguments, OPTION_DRY_RUN) &&
          !request_set(invocation, request, "dry_run", "true", "--dry-run")))) {
        return NULL;
    }
    if (arguments_has(arguments, OPTION_STALE) &&
        has_field(request, "consistency") &&
        !request_set(invocation, request, "consistency", "stale", "--stale")) {
        return NULL;
    }
    return request;
}

enum exit_code request_call(struct invocation *invocation, const char *method,
                            const ProtobufCMessage *request, const char *name,
                            ProtobufCMessage **response)
{
    struct hf_status status;

    if (hf_client_call(invocation->client, method, request, response,
                       &status) == HF_STATUS_OK) {
        return EXIT_OK;
    }
    return failure_tell(invocation, name, &status);
}

ProtobufCMessage *request_try_get(struct invocation *invocation,
                                  const char *method, const char *name)
{
    ProtobufCMessage *request = request_for(invocation, method);
    ProtobufCMessage *response;
    struct hf_status status;

    if (request == NULL ||
        !request_set(invocation, request, "name", name, "NAME") ||
        hf_client_call(invocation->client, method, request, &response,
                       &status) != HF_STATUS_OK) {
        return NULL;
    }
    return response;
}

enum exit_code request_call_page(struct invocation *invocation,
                                 const char *method,
                                 const ProtobufCMessage *request,
                                 ProtobufCMessage **response, unsigned *tries)
{
    struct hf_status status;

    if (hf_client_call(invocation->client, method, request, response,
                       &status) == HF_STATUS_OK) {
        return EXIT_OK;
    }
    if (strcmp(status.reason, "PAGE_EXPIRED") == 0 && *tries > 1) {
        (*tries)--;
        return EXIT_CONFLICT;
    }
    *tries = 0;
    return failure_tell(invocation, NULL, &status);
}

const ProtobufCMessage *response_object(const ProtobufCMessage *response)
{
    for (unsigned i = 0; i < response->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field =
            &response->descriptor->fields[i];

        if (field->type == PROTOBUF_C_TYPE_MESSAGE &&
            field->label != PROTOBUF_C_LABEL_REPEATED &&
            text_field_count(response, field, false) == 1) {
            return *(ProtobufCMessage *const *)text_field_at(response, field,
                                                             0);
        }
    }
    return NULL;
}

uint64_t response_revision(const ProtobufCMessage *response)
{
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field_by_name(response->descriptor,
                                                        "revision");

    if (field == NULL || field->type != PROTOBUF_C_TYPE_UINT64) {
        return 0;
    }
    return *(const uint64_t *)text_field_at(response, field, 0);
}
