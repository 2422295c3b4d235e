/* SPDX-License-Identifier: Apache-2.0 */
#include "node/audit_fields.h"

#include "base/bytes.h"
#include "base/container.h"
#include "node/view.h"
#include "proto/text_field.h"
#include "proto/text_json.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

void audit_fields_init(struct audit_fields *fields, struct arena *arena)
{
    fields->arena = arena;
    fields->count = 0;
    fields->left_out = 0;
    fields->place[0] = '\0';
    fields->place_len = 0;
}

static bool is_among(const char *name, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        /* Most differ in their first letter, and a call costs more. */
        if (name[0] == names[i][0] && strcmp(name, names[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* Length of the text when cut to `max` bytes, not within a character. */
static size_t cut(const char *text, size_t len, size_t max)
{
    if (len <= max) {
        return len;
    }
    while (max > 0 && ((unsigned char)text[max] & 0xc0) == 0x80) {
        max--;
    }
    return max;
}

static const char *keep(struct arena *arena, const char *text, size_t len,
                        const char *end)
{
    char *copy = view_alloc(arena, len + strlen(end) + 1);

    memcpy(copy, text, len);
    memcpy(copy + len, end, strlen(end) + 1);
    return copy;
}

void audit_fields_add(struct audit_fields *fields, const char *path,
                      const char *value, size_t len)
{
    bool whole = len <= AUDIT_VALUE_BYTES_MAX;
    struct audit_field *field;

    if (fields->count == AUDIT_FIELDS_MAX) {
        fields->left_out++;
        return;
    }
    field = &fields->of[fields->count++];
    field->path = keep(fields->arena, path,
                       cut(path, strlen(path), AUDIT_PATH_BYTES_MAX), "");
    len = whole ? len : cut(value, len, AUDIT_VALUE_BYTES_MAX - 3);
    field->value = keep(fields->arena, value, len, whole ? "" : "...");
}

const char *audit_fields_get(const struct audit_fields *fields,
                             const char *path, size_t place)
{
    if (place < fields->count && strcmp(fields->of[place].path, path) == 0) {
        return fields->of[place].value;
    }
    for (size_t i = 0; i < fields->count; i++) {
        if (strcmp(fields->of[i].path, path) == 0) {
            return fields->of[i].value;
        }
    }
    return NULL;
}

/* A value that is no message, as people write it. */
static void put_scalar(struct bytes *text,
                       const ProtobufCFieldDescriptor *field, const void *value)
{
    size_t start = text->len;
    const char *string;

    if (field->type == PROTOBUF_C_TYPE_STRING) {
        memcpy(&string, value, sizeof(string));
        bytes_append(text, string == NULL ? "" : string,
                     string == NULL ? 0 : strlen(string));
        return;
    }
    text_json_write_scalar(field, value, text);
    if (text->data[start] == '"') {
        memmove(text->data + start, text->data + start + 1,
                text->len - start - 2);
        text->len -= 2;
    }
}

/* A list's values with commas between, and what else takes more than a look. */
static void add_written(struct audit_fields *fields,
                        const ProtobufCMessage *message,
                        const ProtobufCFieldDescriptor *field, size_t count)
{
    struct bytes text;

    bytes_init(&text);
    for (size_t i = 0; i < count; i++) {
        if (i > 0) {
            bytes_append_u8(&text, ',');
        }
        put_scalar(&text, field, text_field_at(message, field, i));
    }
    audit_fields_add(fields, fields->place,
                     text.data == NULL ? "" : (const char *)text.data,
                     text.len);
    bytes_close(&text);
}

/* All values of a field, at the place. A map's value counts also when it is
 * empty. */
static void add_scalars(struct audit_fields *fields,
                        const ProtobufCMessage *message,
                        const ProtobufCFieldDescriptor *field, bool in_map)
{
    size_t count = text_field_count(message, field, in_map);
    char name[TEXT_NAME_MAX + 1];
    const char *string;

    if (count == 0) {
        return;
    }
    if (count == 1 && field->type == PROTOBUF_C_TYPE_STRING) {
        memcpy(&string, text_field_at(message, field, 0), sizeof(string));
        string = string == NULL ? "" : string;
        audit_fields_add(fields, fields->place, string, strlen(string));
    } else if (count == 1 && field->type == PROTOBUF_C_TYPE_ENUM) {
        text_enum_name(field->descriptor,
                       *(const int *)text_field_at(message, field, 0), name);
        audit_fields_add(fields, fields->place, name, strlen(name));
    } else {
        add_written(fields, message, field, count);
    }
}

/* Goes one step further into the object; the answer leads back. What finds no
 * room is cut: such a path is longer than is kept of it. */
static size_t enter(struct audit_fields *fields, const char *parting,
                    const char *name)
{
    size_t before = fields->place_len;
    size_t len = before;

    for (const char *at = before == 0 ? "" : parting; *at != '\0'; at++) {
        if (len < sizeof(fields->place) - 1) {
            fields->place[len++] = *at;
        }
    }
    for (const char *at = name; *at != '\0'; at++) {
        if (len < sizeof(fields->place) - 1) {
            fields->place[len++] = *at;
        }
    }
    fields->place[len] = '\0';
    fields->place_len = len;
    return before;
}

static void leave(struct audit_fields *fields, size_t before)
{
    fields->place[before] = '\0';
    fields->place_len = before;
}

static void add_object(struct audit_fields *fields,
                       const ProtobufCMessage *object);

/* An entry of a map whose keys are texts: others are none of ours. */
static void add_entry(struct audit_fields *fields,
                      const ProtobufCMessage *entry,
                      const ProtobufCFieldDescriptor *map)
{
    const char *key;
    size_t before;

    memcpy(&key, text_field_at(entry, text_map_key(map), 0), sizeof(key));
    before = enter(fields, ".", key);
    add_scalars(fields, entry, text_map_value(map), true);
    leave(fields, before);
}

static void add_item(struct audit_fields *fields, const ProtobufCMessage *item,
                     size_t index)
{
    char number[24];
    size_t before;

    (void)snprintf(number, sizeof(number), "[%zu]", index);
    before = enter(fields, "", number);
    add_object(fields, item);
    leave(fields, before);
}

static void add_message(struct audit_fields *fields,
                        const ProtobufCMessage *object,
                        const ProtobufCFieldDescriptor *field)
{
    size_t count = text_field_count(object, field, false);
    bool map = text_field_is_map(object->descriptor, field);

    for (size_t i = 0; i < count; i++) {
        const ProtobufCMessage *item;

        memcpy(&item, text_field_at(object, field, i), sizeof(item));
        if (map) {
            add_entry(fields, item, field);
        } else if (field->label == PROTOBUF_C_LABEL_REPEATED) {
            add_item(fields, item, i);
        } else {
            add_object(fields, item);
        }
    }
}

/* Messages of the API never nest within themselves, so this ends. */
static void add_object(struct audit_fields *fields,
                       const ProtobufCMessage *object)
{
    /* What says nothing about the change, what the leader alone knows at the
     * moment, and what may be somebody's secret. */
    static const char *const left_aside[] = {
        "uid",      "revision", "create_time_ms", "lease",
        "headroom", "message",  "environment",    "secret_sha256"};

    for (unsigned i = 0; i < object->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &object->descriptor->fields[i];
        size_t before;

        /* Most are empty. The settings' headroom is an enum, and a wish. */
        if (text_field_count(object, field, false) == 0 ||
            (field->type != PROTOBUF_C_TYPE_ENUM &&
             is_among(field->name, left_aside, ARRAY_LEN(left_aside)))) {
            continue;
        }
        before = enter(fields, ".", field->name);
        if (field->type == PROTOBUF_C_TYPE_MESSAGE) {
            add_message(fields, object, field);
        } else {
            add_scalars(fields, object, field, false);
        }
        leave(fields, before);
    }
}

void audit_fields_of_object(struct audit_fields *fields,
                            const ProtobufCMessage *object)
{
    if (object != NULL) {
        add_object(fields, object);
    }
}

void audit_fields_of_part(struct audit_fields *fields, const char *path,
                          const ProtobufCMessage *object)
{
    size_t before = enter(fields, "", path);

    add_object(fields, object);
    leave(fields, before);
}

void audit_fields_of_request(struct audit_fields *fields,
                             const ProtobufCMessage *request)
{
    static const char *const left_aside[] = {
        "name",       "id",      "confirm",         "reason",     "csr",
        "request_id", "dry_run", "expect_revision", "update_mask"};

    for (unsigned i = 0; i < request->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &request->descriptor->fields[i];

        if (field->type != PROTOBUF_C_TYPE_MESSAGE &&
            !is_among(field->name, left_aside, ARRAY_LEN(left_aside))) {
            size_t before = enter(fields, "", field->name);

            add_scalars(fields, request, field, false);
            leave(fields, before);
        }
    }
}
