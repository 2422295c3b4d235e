/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/text_yaml_value.h"

#include "base/check.h"
#include "base/error.h"
#include "base/similar.h"
#include "proto/text_field.h"
#include "proto/text_scalar.h"
#include "proto/text_yaml_list.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

ProtobufCMessage *value_new_message(
    struct arena *arena, const ProtobufCMessageDescriptor *descriptor)
{
    ProtobufCMessage *message = arena_alloc(arena, descriptor->sizeof_message);

    if (message != NULL) {
        descriptor->message_init(message);
    }
    return message;
}

static int read_message(struct reader *reader,
                        const ProtobufCMessageDescriptor *descriptor,
                        ProtobufCMessage **message)
{
    unsigned lines[FIELDS_MAX];
    int result =
        reader_expect(reader, YAML_MAPPING_START_EVENT, "keys with values");

    if (result != 0) {
        return result;
    }
    if (++reader->depth > TEXT_DEPTH_MAX) {
        return reader_fail(reader, HF_ERROR_TOO_LARGE, "nested too deeply");
    }
    *message = value_new_message(reader->arena, descriptor);
    if (*message == NULL) {
        return reader_fail_too_large(reader);
    }
    CHECK(descriptor->n_fields <= FIELDS_MAX);
    memset(lines, 0, descriptor->n_fields * sizeof(lines[0]));
    result = value_read_fields(reader, *message, lines);
    reader->depth--;
    return result;
}

/* One value into the C member at `value`; a scalar event or the whole of a
 * message. */
static int read_value(struct reader *reader,
                      const ProtobufCFieldDescriptor *field, void *value)
{
    const yaml_event_t *event = &reader->event;
    int result;

    if (field->type == PROTOBUF_C_TYPE_MESSAGE) {
        return read_message(reader, field->descriptor, value);
    }
    result = reader_expect(reader, YAML_SCALAR_EVENT, "a single value");
    if (result != 0) {
        return result;
    }
    result = text_scalar_read(field, (const char *)event->data.scalar.value,
                              event->data.scalar.length, reader->arena, value,
                              reader->error);
    return result == 0 ? 0 : reader_fail_here(reader, result);
}

/* The value that was just read is the name of an item of an outermost list. */
static int keep_name(struct reader *reader, const char *name)
{
    unsigned line = (unsigned)reader->event.start_mark.line + 1;
    unsigned before;
    int result = names_add(reader->names, reader->list, name, line, &before);

    if (result == HF_ERROR_TOO_LARGE) {
        return reader_fail_too_large(reader);
    }
    if (result != 0) {
        return reader_fail(reader, HF_ERROR_INVALID,
                           "the name was given before, in line %u", before);
    }
    return 0;
}

static const ProtobufCFieldDescriptor *name_field(
    const ProtobufCFieldDescriptor *list)
{
    const ProtobufCFieldDescriptor *field = NULL;

    if (list->type == PROTOBUF_C_TYPE_MESSAGE) {
        field = protobuf_c_message_descriptor_get_field_by_name(
            list->descriptor, "name");
    }
    return field != NULL && field->type == PROTOBUF_C_TYPE_STRING ? field
                                                                  : NULL;
}

/* An item of a list, where the item begins is looked at. */
static int read_item(struct reader *reader,
                     const ProtobufCFieldDescriptor *field, void *item)
{
    yaml_mark_t begin = reader->event.start_mark;
    const ProtobufCFieldDescriptor *name;
    int result;

    if (reader_is_null(reader)) {
        return reader_fail(reader, HF_ERROR_INVALID,
                           "an empty item (write \"\" for an empty text)");
    }
    result = read_value(reader, field, item);
    if (result != 0 || reader->list != field) {
        return result;
    }
    name = name_field(field);
    if (name != NULL &&
        text_field_count(*(ProtobufCMessage **)item, name, false) == 0) {
        reader->event.start_mark = begin;
        return reader_fail(reader, HF_ERROR_INVALID, "it needs a `name`");
    }
    return 0;
}

static int read_list(struct reader *reader, ProtobufCMessage *message,
                     const ProtobufCFieldDescriptor *field)
{
    struct growing list;
    int result = reader_expect(reader, YAML_SEQUENCE_START_EVENT,
                               "a list (lines with `- `)");

    if (result != 0) {
        return result;
    }
    growing_resume(&list, message, field);
    while ((result = reader_next(reader)) == 0 &&
           reader->event.type != YAML_SEQUENCE_END_EVENT) {
        size_t before = reader_enter_index(reader, list.count);
        void *item = growing_add(&list, reader->arena);

        if (item == NULL) {
            return reader_fail_too_large(reader);
        }
        result = read_item(reader, field, item);
        if (result != 0) {
            return result;
        }
        reader_leave(reader, before);
    }
    growing_store(&list, message, field);
    return result;
}

static bool same_key(const ProtobufCMessage *a, const ProtobufCMessage *b,
                     const ProtobufCFieldDescriptor *key)
{
    const void *a_key = text_field_at(a, key, 0);
    const void *b_key = text_field_at(b, key, 0);

    if (key->type == PROTOBUF_C_TYPE_STRING) {
        return strcmp(*(char *const *)a_key, *(char *const *)b_key) == 0;
    }
    return memcmp(a_key, b_key, text_type_size(key->type)) == 0;
}

static int read_entry(struct reader *reader, const struct growing *list,
                      const ProtobufCFieldDescriptor *map,
                      ProtobufCMessage *entry)
{
    const ProtobufCFieldDescriptor *key = text_map_key(map);
    const ProtobufCFieldDescriptor *value = text_map_value(map);
    size_t before = reader->key_len;
    int result = read_value(reader, key, (uint8_t *)entry + key->offset);

    if (result != 0) {
        return result;
    }
    if (reader->event.data.scalar.length > TEXT_KEY_MAX) {
        return reader_fail(reader, HF_ERROR_TOO_LARGE,
                           "a key of more than %d bytes", TEXT_KEY_MAX);
    }
    (void)reader_enter_key(reader,
                           (const char *)reader->event.data.scalar.value);
    for (size_t i = 0; i + 1 < list->count; i++) {
        const ProtobufCMessage *other =
            ((ProtobufCMessage *const *)(const void *)list->items)[i];

        if (same_key(entry, other, key)) {
            return reader_fail(reader, HF_ERROR_INVALID,
                               "this key was given before");
        }
    }
    result = reader_next(reader);
    if (result == 0 && !reader_is_null(reader)) {
        result = read_value(reader, value, (uint8_t *)entry + value->offset);
    }
    if (result == 0) {
        reader_leave(reader, before);
    }
    return result;
}

static int read_map(struct reader *reader, ProtobufCMessage *message,
                    const ProtobufCFieldDescriptor *field)
{
    struct growing list;
    int result =
        reader_expect(reader, YAML_MAPPING_START_EVENT, "keys with values");

    if (result != 0) {
        return result;
    }
    growing_resume(&list, message, field);
    while ((result = reader_next(reader)) == 0 &&
           reader->event.type != YAML_MAPPING_END_EVENT) {
        ProtobufCMessage **entry;

        if (list.count == reader->limits->map_max) {
            return reader_fail(reader, HF_ERROR_TOO_LARGE, "more than %zu keys",
                               reader->limits->map_max);
        }
        entry = growing_add(&list, reader->arena);
        if (entry == NULL) {
            return reader_fail_too_large(reader);
        }
        *entry = value_new_message(reader->arena, field->descriptor);
        if (*entry == NULL) {
            return reader_fail_too_large(reader);
        }
        result = read_entry(reader, &list, field, *entry);
        if (result != 0) {
            return result;
        }
    }
    growing_store(&list, message, field);
    return result;
}

static int read_single(struct reader *reader, ProtobufCMessage *message,
                       const ProtobufCFieldDescriptor *field)
{
    void *value = (uint8_t *)message + field->offset;
    int result;

    if (text_field_is_oneof(field)) {
        unsigned *chosen = text_field_case(message, field);

        if (*chosen != 0) {
            const ProtobufCFieldDescriptor *other =
                protobuf_c_message_descriptor_get_field(message->descriptor,
                                                        *chosen);

            return reader_fail(
                reader, HF_ERROR_INVALID,
                "excludes `%s`, which was given before: keep one", other->name);
        }
        *chosen = field->id;
    } else if (field->label == PROTOBUF_C_LABEL_OPTIONAL &&
               field->type != PROTOBUF_C_TYPE_MESSAGE &&
               field->type != PROTOBUF_C_TYPE_STRING) {
        *(protobuf_c_boolean *)((uint8_t *)message + field->quantifier_offset) =
            1;
    }
    result = read_value(reader, field, value);
    if (result == 0 && reader->depth == 2 && reader->list != NULL &&
        field == name_field(reader->list)) {
        result = keep_name(reader, *(char **)value);
    }
    return result;
}

static int unknown_key(struct reader *reader,
                       const ProtobufCMessageDescriptor *descriptor,
                       const char *name)
{
    struct similar similar;
    char known[320] = "";
    size_t used = 0;

    similar_init(&similar, name);
    for (unsigned i = 0; i < descriptor->n_fields; i++) {
        similar_offer(&similar, descriptor->fields[i].name);
    }
    if (similar.best != NULL) {
        return reader_fail(reader, HF_ERROR_INVALID,
                           "unknown key (did you mean `%s`?)", similar.best);
    }
    for (unsigned i = 0; i < descriptor->n_fields && used < 250; i++) {
        used += (size_t)snprintf(known + used, sizeof(known) - used, "%s%s",
                                 i > 0 ? ", " : "", descriptor->fields[i].name);
    }
    return reader_fail(reader, HF_ERROR_INVALID, "unknown key; known here: %s",
                       known);
}

/* The field of the key that is looked at. */
static int find_field(struct reader *reader,
                      const ProtobufCMessageDescriptor *descriptor,
                      const ProtobufCFieldDescriptor **field)
{
    int result = reader_expect(reader, YAML_SCALAR_EVENT, "a key");
    const char *name;

    if (result != 0) {
        return result;
    }
    name = (const char *)reader->event.data.scalar.value;
    *field = protobuf_c_message_descriptor_get_field_by_name(descriptor, name);
    (void)reader_enter_key(reader, name);
    if (*field != NULL) {
        return 0;
    }
    return unknown_key(reader, descriptor, name);
}

static int read_field(struct reader *reader, ProtobufCMessage *message,
                      const ProtobufCFieldDescriptor *field)
{
    int result = reader_next(reader);

    if (result != 0 || reader_is_null(reader)) {
        return result;
    }
    if (text_field_is_map(message->descriptor, field)) {
        return read_map(reader, message, field);
    }
    if (field->label == PROTOBUF_C_LABEL_REPEATED) {
        bool outermost = reader->names != NULL && reader->depth == 1;

        if (outermost) {
            reader->list = field;
        }
        result = read_list(reader, message, field);
        if (outermost) {
            reader->list = NULL;
        }
        return result;
    }
    return read_single(reader, message, field);
}

int value_read_fields(struct reader *reader, ProtobufCMessage *message,
                      unsigned *lines)
{
    const ProtobufCMessageDescriptor *descriptor = message->descriptor;
    int result;

    while ((result = reader_next(reader)) == 0 &&
           reader->event.type != YAML_MAPPING_END_EVENT) {
        const ProtobufCFieldDescriptor *field;
        size_t before = reader->key_len;
        unsigned *line;

        result = find_field(reader, descriptor, &field);
        if (result != 0) {
            return result;
        }
        line = &lines[field - descriptor->fields];
        if (*line != 0) {
            return reader_fail(reader, HF_ERROR_INVALID,
                               "this key was given before, in line %u", *line);
        }
        *line = (unsigned)reader->event.start_mark.line + 1;
        result = read_field(reader, message, field);
        if (result != 0) {
            return result;
        }
        reader_leave(reader, before);
    }
    return result;
}
