/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/labels.h"

#include "base/check.h"
#include "ctl/request.h"
#include "ctl/view.h"
#include "proto/text_field.h"

#include <string.h>

static const ProtobufCFieldDescriptor *map_field(
    const ProtobufCMessage *message, const char *name)
{
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field_by_name(message->descriptor,
                                                        name);

    CHECK(field != NULL && text_field_is_map(message->descriptor, field));
    return field;
}

static ProtobufCMessage ***entries_of(ProtobufCMessage *message,
                                      const ProtobufCFieldDescriptor *field)
{
    return (ProtobufCMessage ***)(void *)((char *)message + field->offset);
}

static ProtobufCMessage *add_entry(struct invocation *invocation,
                                   ProtobufCMessage *message,
                                   const ProtobufCFieldDescriptor *field,
                                   const char *key)
{
    size_t *count = text_field_list_count(message, field);
    ProtobufCMessage ***entries = entries_of(message, field);
    ProtobufCMessage **grown =
        request_alloc(invocation, (*count + 1) * sizeof(*grown));

    if (*count > 0) {
        memcpy(grown, *entries, *count * sizeof(*grown));
    }
    grown[*count] = request_create(invocation, field->descriptor);
    CHECK(request_set(invocation, grown[*count], "key", key, ""));
    *entries = grown;
    return grown[(*count)++];
}

bool labels_set(struct invocation *invocation, ProtobufCMessage *message,
                const char *name, const char *key, const char *value,
                const char *what)
{
    const ProtobufCFieldDescriptor *field = map_field(message, name);
    size_t *count = text_field_list_count(message, field);
    ProtobufCMessage **entries = *entries_of(message, field);
    size_t at = 0;

    while (at < *count && strcmp(view_string(entries[at], "key"), key) != 0) {
        at++;
    }
    if (value == NULL) {
        if (at < *count) {
            entries[at] = entries[--*count];
        }
        return true;
    }
    return request_set(invocation,
                       at < *count ? entries[at]
                                   : add_entry(invocation, message, field, key),
                       "value", value, what);
}

bool labels_apply_options(struct invocation *invocation,
                          ProtobufCMessage *message, const char *field,
                          enum option option, bool removable)
{
    const char *name = option_rule(option)->name;
    const char *text;

    for (size_t i = 0;
         (text = arguments_value_at(invocation->arguments, option, i)) != NULL;
         i++) {
        const char *equals = strchr(text, '=');
        size_t len = strlen(text);
        const char *key;
        const char *value = NULL;

        if (equals != NULL && equals != text) {
            key = request_copy(invocation, text, (size_t)(equals - text));
            value = equals + 1;
        } else if (removable && len > 1 && text[len - 1] == '-') {
            key = request_copy(invocation, text, len - 1);
        } else {
            (void)usage_error(invocation, "%s: `%s` is not KEY=%s", name, text,
                              option == OPTION_NAMED ? "N" : "VALUE");
            return false;
        }
        if (!labels_set(invocation, message, field, key, value, name)) {
            return false;
        }
    }
    return true;
}

void labels_inherit(struct invocation *invocation, ProtobufCMessage *to,
                    const ProtobufCMessage *from, const char *name)
{
    const ProtobufCFieldDescriptor *field = map_field(to, name);
    const ProtobufCFieldDescriptor *source = map_field(from, name);
    size_t count = text_field_count(from, source, true);

    for (size_t i = 0; i < count; i++) {
        const ProtobufCMessage *entry =
            *(ProtobufCMessage *const *)text_field_at(from, source, i);
        const char *key = view_string(entry, "key");

        (void)labels_set(invocation, to, field->name,
                         request_copy(invocation, key, strlen(key)),
                         view_string(entry, "value"), "");
    }
}
