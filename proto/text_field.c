/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/text_field.h"

#include "base/check.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

bool text_field_is_map(const ProtobufCMessageDescriptor *parent,
                       const ProtobufCFieldDescriptor *field)
{
    const ProtobufCMessageDescriptor *entry = field->descriptor;
    size_t parent_len;
    size_t len;

    if (field->label != PROTOBUF_C_LABEL_REPEATED ||
        field->type != PROTOBUF_C_TYPE_MESSAGE || entry->n_fields != 2) {
        return false;
    }
    parent_len = strlen(parent->name);
    len = strlen(entry->short_name);
    return len > 5 && strcmp(entry->short_name + len - 5, "Entry") == 0 &&
           strncmp(entry->name, parent->name, parent_len) == 0 &&
           entry->name[parent_len] == '.' &&
           strcmp(entry->fields[0].name, "key") == 0 &&
           strcmp(entry->fields[1].name, "value") == 0;
}

const ProtobufCFieldDescriptor *text_map_key(
    const ProtobufCFieldDescriptor *map)
{
    const ProtobufCMessageDescriptor *entry = map->descriptor;

    return &entry->fields[0];
}

const ProtobufCFieldDescriptor *text_map_value(
    const ProtobufCFieldDescriptor *map)
{
    const ProtobufCMessageDescriptor *entry = map->descriptor;

    return &entry->fields[1];
}

bool text_field_is_oneof(const ProtobufCFieldDescriptor *field)
{
    return (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0;
}

size_t text_type_size(ProtobufCType type)
{
    switch (type) {
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        return 8;
    case PROTOBUF_C_TYPE_BOOL:
        return sizeof(protobuf_c_boolean);
    case PROTOBUF_C_TYPE_STRING:
        return sizeof(char *);
    case PROTOBUF_C_TYPE_MESSAGE:
        return sizeof(ProtobufCMessage *);
    case PROTOBUF_C_TYPE_BYTES:
        return sizeof(ProtobufCBinaryData);
    default:
        return 4;
    }
}

static const void *member(const ProtobufCMessage *message, unsigned offset)
{
    return (const uint8_t *)message + offset;
}

size_t *text_field_list_count(ProtobufCMessage *message,
                              const ProtobufCFieldDescriptor *field)
{
    CHECK(field->label == PROTOBUF_C_LABEL_REPEATED);
    return (size_t *)(void *)((uint8_t *)message + field->quantifier_offset);
}

unsigned *text_field_case(ProtobufCMessage *message,
                          const ProtobufCFieldDescriptor *field)
{
    CHECK(text_field_is_oneof(field));
    return (unsigned *)(void *)((uint8_t *)message + field->quantifier_offset);
}

/* Of a field without presence. */
static bool is_default(const ProtobufCFieldDescriptor *field, const void *value)
{
    static const uint8_t zero[8];

    if (field->type == PROTOBUF_C_TYPE_STRING) {
        const char *string = *(char *const *)value;

        return string == NULL || string[0] == '\0';
    }
    if (field->type == PROTOBUF_C_TYPE_BYTES) {
        return ((const ProtobufCBinaryData *)value)->len == 0;
    }
    return memcmp(value, zero, text_type_size(field->type)) == 0;
}

static bool has(const ProtobufCMessage *message,
                const ProtobufCFieldDescriptor *field)
{
    const void *value = member(message, field->offset);

    if (field->type == PROTOBUF_C_TYPE_MESSAGE) {
        return *(ProtobufCMessage *const *)value != NULL;
    }
    if (field->label != PROTOBUF_C_LABEL_OPTIONAL) {
        return true;
    }
    if (field->type == PROTOBUF_C_TYPE_STRING) {
        return *(char *const *)value != NULL;
    }
    return *(const protobuf_c_boolean *)member(message,
                                               field->quantifier_offset) != 0;
}

size_t text_field_count(const ProtobufCMessage *message,
                        const ProtobufCFieldDescriptor *field, bool defaults)
{
    const void *quantifier = member(message, field->quantifier_offset);

    if (field->label == PROTOBUF_C_LABEL_REPEATED) {
        return *(const size_t *)quantifier;
    }
    if (text_field_is_oneof(field)) {
        return *(const uint32_t *)quantifier == field->id;
    }
    if (!has(message, field)) {
        return 0;
    }
    if (field->label == PROTOBUF_C_LABEL_NONE && !defaults &&
        field->type != PROTOBUF_C_TYPE_MESSAGE) {
        return !is_default(field, member(message, field->offset));
    }
    return 1;
}

const void *text_field_at(const ProtobufCMessage *message,
                          const ProtobufCFieldDescriptor *field, size_t index)
{
    const void *value = member(message, field->offset);

    if (field->label != PROTOBUF_C_LABEL_REPEATED) {
        CHECK(index == 0);
        return value;
    }
    return *(const uint8_t *const *)value + index * text_type_size(field->type);
}

/* Length of "VM_STATE_" in front of a value of enum VmState; 0 without it. */
static size_t prefix_len(const ProtobufCEnumDescriptor *descriptor,
                         const char *value_name)
{
    const char *type = descriptor->short_name;
    size_t len = 0;

    for (size_t i = 0; type[i] != '\0'; i++) {
        bool upper = type[i] >= 'A' && type[i] <= 'Z';
        bool lower = type[i] >= 'a' && type[i] <= 'z';

        if (upper && i > 0 && value_name[len++] != '_') {
            return 0;
        }
        if (value_name[len++] != (lower ? type[i] - 'a' + 'A' : type[i])) {
            return 0;
        }
    }
    return value_name[len] == '_' ? len + 1 : 0;
}

static void short_name(const ProtobufCEnumDescriptor *descriptor,
                       const char *full, char name[TEXT_NAME_MAX + 1])
{
    size_t len;

    full += prefix_len(descriptor, full);
    len = strlen(full);
    CHECK(len <= TEXT_NAME_MAX);
    for (size_t i = 0; i <= len; i++) {
        bool upper = full[i] >= 'A' && full[i] <= 'Z';

        name[i] = (char)(upper ? full[i] - 'A' + 'a' : full[i]);
    }
}

void text_enum_name(const ProtobufCEnumDescriptor *descriptor, int value,
                    char name[TEXT_NAME_MAX + 1])
{
    const ProtobufCEnumValue *found =
        protobuf_c_enum_descriptor_get_value(descriptor, value);

    if (found == NULL) {
        (void)snprintf(name, TEXT_NAME_MAX + 1, "%d", value);
        return;
    }
    short_name(descriptor, found->name, name);
}

bool text_enum_find(const ProtobufCEnumDescriptor *descriptor, const char *name,
                    int *value)
{
    for (unsigned i = 0; i < descriptor->n_values; i++) {
        const ProtobufCEnumValue *at = &descriptor->values[i];
        char brief[TEXT_NAME_MAX + 1];

        short_name(descriptor, at->name, brief);
        if (strcmp(name, brief) == 0 || strcmp(name, at->name) == 0) {
            *value = at->value;
            return true;
        }
    }
    return false;
}
