/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/text_yaml.h"

#include "base/check.h"
#include "base/error.h"
#include "base/similar.h"
#include "proto/text_field.h"
#include "proto/text_scalar.h"
#include "proto/text_yaml_event.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* No message of the contract comes near; a bitmap of the keys seen. */
#define FIELDS_MAX 256

static ProtobufCMessage *new_message(
    struct arena *arena, const ProtobufCMessageDescriptor *descriptor)
{
    ProtobufCMessage *message = arena_alloc(arena, descriptor->sizeof_message);

    if (message != NULL) {
        descriptor->message_init(message);
    }
    return message;
}

static int read_fields(struct reader *reader, ProtobufCMessage *message);

static int read_message(struct reader *reader,
                        const ProtobufCMessageDescriptor *descriptor,
                        ProtobufCMessage **message)
{
    int result =
        reader_expect(reader, YAML_MAPPING_START_EVENT, "keys with values");

    if (result != 0) {
        return result;
    }
    if (++reader->depth > TEXT_DEPTH_MAX) {
        return reader_fail(reader, HF_ERROR_TOO_LARGE, "nested too deeply");
    }
    *message = new_message(reader->arena, descriptor);
    if (*message == NULL) {
        return reader_fail_too_large(reader);
    }
    result = read_fields(reader, *message);
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

/* A list that grows inside the arena by doubling; the outgrown copies cost at
 * most as much again. */
struct growing {
    uint8_t *items;
    size_t count;
    size_t capacity;
    size_t item_size;
};

static void *growing_add(struct growing *list, struct arena *arena)
{
    if (list->count == list->capacity) {
        size_t capacity = list->capacity == 0 ? 4 : list->capacity * 2;
        uint8_t *items = arena_alloc(arena, capacity * list->item_size);

        if (items == NULL) {
            return NULL;
        }
        if (list->count > 0) {
            memcpy(items, list->items, list->count * list->item_size);
        }
        list->items = items;
        list->capacity = capacity;
    }
    return list->items + list->count++ * list->item_size;
}

static void growing_store(const struct growing *list, ProtobufCMessage *message,
                          const ProtobufCFieldDescriptor *field)
{
    *text_field_list_count(message, field) = list->count;
    memcpy((uint8_t *)message + field->offset, &list->items,
           sizeof(list->items));
}

static int read_list(struct reader *reader, ProtobufCMessage *message,
                     const ProtobufCFieldDescriptor *field)
{
    struct growing list = {.item_size = text_type_size(field->type)};
    int result = reader_expect(reader, YAML_SEQUENCE_START_EVENT,
                               "a list (lines with `- `)");

    if (result != 0) {
        return result;
    }
    while ((result = reader_next(reader)) == 0 &&
           reader->event.type != YAML_SEQUENCE_END_EVENT) {
        size_t before = reader_enter_index(reader, list.count);
        void *item = growing_add(&list, reader->arena);

        if (item == NULL) {
            return reader_fail_too_large(reader);
        }
        if (reader_is_null(reader)) {
            return reader_fail(reader, HF_ERROR_INVALID,
                               "an empty item (write \"\" for an empty text)");
        }
        result = read_value(reader, field, item);
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
    struct growing list = {.item_size = sizeof(ProtobufCMessage *)};
    int result =
        reader_expect(reader, YAML_MAPPING_START_EVENT, "keys with values");

    if (result != 0) {
        return result;
    }
    while ((result = reader_next(reader)) == 0 &&
           reader->event.type != YAML_MAPPING_END_EVENT) {
        ProtobufCMessage **entry;

        if (list.count == TEXT_MAP_MAX) {
            return reader_fail(reader, HF_ERROR_TOO_LARGE, "more than %d keys",
                               TEXT_MAP_MAX);
        }
        entry = growing_add(&list, reader->arena);
        if (entry == NULL) {
            return reader_fail_too_large(reader);
        }
        *entry = new_message(reader->arena, field->descriptor);
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
    return read_value(reader, field, (uint8_t *)message + field->offset);
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
        return read_list(reader, message, field);
    }
    return read_single(reader, message, field);
}

static int read_fields(struct reader *reader, ProtobufCMessage *message)
{
    const ProtobufCMessageDescriptor *descriptor = message->descriptor;
    bool seen[FIELDS_MAX] = {false};
    int result;

    CHECK(descriptor->n_fields <= FIELDS_MAX);
    while ((result = reader_next(reader)) == 0 &&
           reader->event.type != YAML_MAPPING_END_EVENT) {
        const ProtobufCFieldDescriptor *field;
        size_t before = reader->key_len;

        result = find_field(reader, descriptor, &field);
        if (result != 0) {
            return result;
        }
        if (seen[field - descriptor->fields]) {
            return reader_fail(reader, HF_ERROR_INVALID,
                               "this key was given before");
        }
        seen[field - descriptor->fields] = true;
        result = read_field(reader, message, field);
        if (result != 0) {
            return result;
        }
        reader_leave(reader, before);
    }
    return result;
}

static int advance(struct reader *reader, int count)
{
    int result = 0;

    while (result == 0 && count-- > 0) {
        result = reader_next(reader);
    }
    return result;
}

/* stream start, [document start, value, document end], stream end */
static int read_document(struct reader *reader,
                         const ProtobufCMessageDescriptor *descriptor,
                         ProtobufCMessage **message)
{
    int result = advance(reader, 2);

    if (result != 0) {
        return result;
    }
    if (reader->event.type == YAML_STREAM_END_EVENT) {
        *message = new_message(reader->arena, descriptor);
        return *message == NULL ? reader_fail_too_large(reader) : 0;
    }
    result = advance(reader, 1);
    if (result != 0) {
        return result;
    }
    if (reader_is_null(reader)) {
        *message = new_message(reader->arena, descriptor);
        result = *message == NULL ? reader_fail_too_large(reader) : 0;
    } else {
        result = read_message(reader, descriptor, message);
    }
    if (result == 0) {
        result = advance(reader, 2);
    }
    if (result != 0) {
        return result;
    }
    if (reader->event.type != YAML_STREAM_END_EVENT) {
        return reader_fail(reader, HF_ERROR_INVALID,
                           "a second document begins here: one is allowed");
    }
    return 0;
}

int text_yaml_read(const ProtobufCMessageDescriptor *descriptor,
                   const struct text_source *source, struct arena *arena,
                   ProtobufCMessage **message, struct text_error *error)
{
    struct reader reader = {.source = source, .arena = arena, .error = error};
    int result;

    *message = NULL;
    memset(error, 0, sizeof(*error));
    if (source->len > TEXT_BYTES_MAX) {
        (void)snprintf(error->problem, sizeof(error->problem),
                       "larger than %d bytes", TEXT_BYTES_MAX);
        (void)snprintf(error->text, sizeof(error->text), "%s: %s", source->name,
                       error->problem);
        return HF_ERROR_TOO_LARGE;
    }
    CHECK(yaml_parser_initialize(&reader.parser));
    yaml_parser_set_encoding(&reader.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(
        &reader.parser, (const unsigned char *)source->text, source->len);
    result = read_document(&reader, descriptor, message);
    yaml_event_delete(&reader.event);
    yaml_parser_delete(&reader.parser);
    if (result != 0) {
        *message = NULL;
    } else {
        memset(error, 0, sizeof(*error));
    }
    return result;
}
