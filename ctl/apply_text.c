/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/apply_text.h"

#include "base/bytes.h"
#include "ctl/grid.h"
#include "proto/text_field.h"
#include "proto/text_json.h"
#include "proto/text_yaml.h"

#include <inttypes.h>
#include <string.h>

#define ACTION(NAME)  HOLDFAST__V1__MANIFEST_ACTION__MANIFEST_ACTION_##NAME
#define ACTION_COUNT  6
#define KIND_SETTINGS HOLDFAST__V1__MANIFEST_KIND__MANIFEST_KIND_SETTINGS
#define KIND_COUNT    8

/* By their numbers in manifest_service.proto. */
static const struct {
    const char *noun;
    const char *list;
} kinds[KIND_COUNT] = {
    {"object", NULL},     {"settings", NULL},  {"zone", "zones"},
    {"class", "classes"}, {"group", "groups"}, {"reservation", "reservations"},
    {"vm", "vms"},        {"grant", "grants"},
};
static const char *const actions[ACTION_COUNT] = {
    "?", "created", "updated", "unchanged", "deleted", "kept"};
static const char *const outlooks[ACTION_COUNT] = {
    "?", "would create", "would update", "unchanged", "would delete", "kept"};

/* What is done, or would be. */
static const char *word_of(const struct apply_text *text, unsigned action)
{
    return text->would ? outlooks[action] : actions[action];
}

static unsigned kind_of(const Holdfast__V1__ManifestObject *object)
{
    unsigned kind = (unsigned)object->kind;

    return kind < KIND_COUNT ? kind : 0;
}

static unsigned action_of(const Holdfast__V1__ManifestObject *object)
{
    unsigned action = (unsigned)object->action;

    return action < ACTION_COUNT ? action : 0;
}

static enum colour colour_of(unsigned action)
{
    switch (action) {
    case ACTION(CREATED):
        return COLOUR_GOOD;
    case ACTION(UPDATED):
        return COLOUR_WAIT;
    case ACTION(DELETED):
        return COLOUR_BAD;
    default:
        return COLOUR_DIM;
    }
}

static void put(struct bytes *out, const char *text)
{
    bytes_append(out, text, strlen(text));
}

static void colour(const struct apply_text *text, struct bytes *out,
                   enum colour colour)
{
    if (text->colours) {
        put(out, colour_escape(colour));
    }
}

/* --- Objects in the manifest and as they were ------------------------------
 */

/* A list's objects, in the order in which they are asked for. */
struct cursor {
    size_t at[KIND_COUNT];
};

/* The object of a manifest, from the cursor on; NULL: it has none. */
static const ProtobufCMessage *find(const Holdfast__V1__Manifest *manifest,
                                    struct cursor *cursor,
                                    const Holdfast__V1__ManifestObject *object)
{
    unsigned kind = kind_of(object);
    const ProtobufCFieldDescriptor *list;
    size_t count;

    if (manifest == NULL) {
        return NULL;
    }
    if (kind == KIND_SETTINGS) {
        return manifest->settings == NULL ? NULL : &manifest->settings->base;
    }
    if (kinds[kind].list == NULL) {
        return NULL;
    }
    list = protobuf_c_message_descriptor_get_field_by_name(
        manifest->base.descriptor, kinds[kind].list);
    count = text_field_count(&manifest->base, list, false);
    for (size_t i = cursor->at[kind]; i < count; i++) {
        const ProtobufCMessage *item =
            *(ProtobufCMessage *const *)text_field_at(&manifest->base, list, i);
        const ProtobufCFieldDescriptor *name =
            protobuf_c_message_descriptor_get_field_by_name(item->descriptor,
                                                            "name");

        if (strcmp(*(char *const *)text_field_at(item, name, 0),
                   object->name) == 0) {
            cursor->at[kind] = i + 1;
            return item;
        }
    }
    return NULL;
}

/* What a field holds that holds nothing. */
static const char *nothing(const ProtobufCFieldDescriptor *field)
{
    if (field->label == PROTOBUF_C_LABEL_REPEATED) {
        return "none";
    }
    switch (field->type) {
    case PROTOBUF_C_TYPE_BOOL:
        return "false";
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_MESSAGE:
        return "none";
    default:
        return "default";
    }
}

/* The field as JSON would have it; a plain text without its quotes. */
static void put_value(const ProtobufCMessage *message,
                      const ProtobufCFieldDescriptor *field, struct bytes *out)
{
    struct bytes json;
    size_t count = text_field_count(message, field, false);
    ProtobufCMessage *const *part;

    if (count == 0) {
        put(out, nothing(field));
        return;
    }
    bytes_init(&json);
    if (field->label == PROTOBUF_C_LABEL_REPEATED) {
        bool map = text_field_is_map(message->descriptor, field);

        for (size_t i = 0; i < count; i++) {
            bytes_append(&json, ", ", i > 0 ? 2 : 0);
            if (map) {
                part = text_field_at(message, field, i);
                text_json_write_scalar(
                    text_map_key(field),
                    text_field_at(*part, text_map_key(field), 0), &json);
                bytes_append(&json, ": ", 2);
                text_json_write_scalar(
                    text_map_value(field),
                    text_field_at(*part, text_map_value(field), 0), &json);
            } else if (field->type == PROTOBUF_C_TYPE_MESSAGE) {
                part = text_field_at(message, field, i);
                text_json_write(*part, 0, &json);
            } else {
                text_json_write_scalar(field, text_field_at(message, field, i),
                                       &json);
            }
        }
    } else if (field->type == PROTOBUF_C_TYPE_MESSAGE) {
        part = text_field_at(message, field, 0);
        text_json_write(*part, 0, &json);
    } else {
        text_json_write_scalar(field, text_field_at(message, field, 0), &json);
    }
    bytes_append(out, json.data, json.len);
    bytes_close(&json);
}

static void put_field(const ProtobufCMessage *before,
                      const ProtobufCMessage *wish, const char *name,
                      struct bytes *out)
{
    const ProtobufCFieldDescriptor *field =
        wish == NULL ? NULL
                     : protobuf_c_message_descriptor_get_field_by_name(
                           wish->descriptor, name);

    bytes_append_format(out, "    %s", name);
    if (field != NULL) {
        put(out, ": ");
        if (before != NULL) {
            put_value(before, field, out);
            put(out, " -> ");
        }
        put_value(wish, field, out);
    }
    bytes_append_u8(out, '\n');
}

/* As YAML, moved in below the object's line; the name stands there already. */
static void put_object(const ProtobufCMessage *wish, struct bytes *out)
{
    struct bytes yaml;
    const char *at;
    const char *end;

    bytes_init(&yaml);
    text_yaml_write(wish, 0, &yaml);
    at = (const char *)yaml.data;
    end = at + yaml.len;
    while (at < end) {
        const char *line = memchr(at, '\n', (size_t)(end - at));
        size_t len = (size_t)((line == NULL ? end : line + 1) - at);

        if (strncmp(at, "name:", 5) != 0) {
            put(out, "    ");
            bytes_append(out, at, len);
        }
        at += len;
    }
    bytes_close(&yaml);
}

/* --- Rows --------------------------------------------------------------------
 */

static void put_name(const Holdfast__V1__ManifestObject *object,
                     struct bytes *out)
{
    unsigned kind = kind_of(object);

    bytes_append_format(out, "%s%s%s", kinds[kind].noun,
                        kind == KIND_SETTINGS ? "" : " ",
                        kind == KIND_SETTINGS ? "" : object->name);
}

static void put_row(const struct apply_text *text,
                    const Holdfast__V1__ManifestObject *object,
                    struct bytes *out)
{
    unsigned action = action_of(object);

    colour(text, out, colour_of(action));
    put(out, word_of(text, action));
    colour(text, out, COLOUR_NONE);
    bytes_append_u8(out, ' ');
    put_name(object, out);
    for (size_t i = 0; i < object->n_fields; i++) {
        bytes_append_format(out, "%s%s", i == 0 ? ": " : ", ",
                            object->fields[i]);
    }
    if (object->message[0] != '\0') {
        bytes_append_format(out, ": %s", object->message);
    }
    bytes_append_u8(out, '\n');
}

static void put_rows(const struct apply_text *text, unsigned action,
                     struct bytes *out)
{
    const Holdfast__V1__ApplyManifestResponse *response = text->response;
    size_t count = 0;

    for (size_t i = 0; i < response->n_objects; i++) {
        if (action_of(response->objects[i]) != action) {
            continue;
        }
        if (count++ < text->row_max) {
            put_row(text, response->objects[i], out);
        }
    }
    if (count > text->row_max) {
        bytes_append_format(out, "%s %zu more (--all shows them)\n",
                            word_of(text, action), count - text->row_max);
    }
}

static void put_counts(const struct apply_text *text, struct bytes *out)
{
    const Holdfast__V1__ApplyManifestResponse *response = text->response;
    const struct {
        uint32_t count;
        const char *did;
        const char *would;
    } counts[] = {
        {response->created_count, "created", "to create"},
        {response->updated_count, "updated", "to update"},
        {response->deleted_count, "deleted", "to delete"},
        {response->unchanged_count, "unchanged", "unchanged"},
        {response->kept_count, "kept", "kept"},
    };
    bool first = true;

    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        if (counts[i].count > 0) {
            bytes_append_format(out, "%s%" PRIu32 " %s", first ? "" : ", ",
                                counts[i].count,
                                text->would ? counts[i].would : counts[i].did);
            first = false;
        }
    }
    bytes_append_format(out, "%s; revision %" PRIu64 "%s\n",
                        first ? "nothing" : "", response->revision,
                        text->would ? " (dry run: nothing was changed)" : "");
    for (size_t i = 0; i < response->n_notes; i++) {
        bytes_append_format(out, "note: %s\n", response->notes[i]);
    }
    if (response->brief) {
        put(out, "The answer names no objects: it is a repeated one, or too "
                 "large.\n");
    }
}

void apply_text_write(const struct apply_text *text, struct bytes *out)
{
    put_rows(text, ACTION(CREATED), out);
    put_rows(text, ACTION(UPDATED), out);
    put_rows(text, ACTION(DELETED), out);
    put_rows(text, ACTION(KEPT), out);
    put_counts(text, out);
}

void apply_text_deletes(const struct apply_text *text, struct bytes *out)
{
    const Holdfast__V1__ApplyManifestResponse *response = text->response;

    for (size_t i = 0; i < response->n_objects; i++) {
        if (response->objects[i]->action == ACTION(DELETED)) {
            put(out, "  ");
            put_name(response->objects[i], out);
            bytes_append_u8(out, '\n');
        }
    }
}

void apply_text_diff(const struct apply_text *text, struct bytes *out)
{
    static const char *const signs[ACTION_COUNT] = {" ",  "+", "~",
                                                    NULL, "-", "="};
    const Holdfast__V1__ApplyManifestResponse *response = text->response;
    struct cursor wishes = {{0}};
    struct cursor before = {{0}};

    for (size_t i = 0; i < response->n_objects; i++) {
        const Holdfast__V1__ManifestObject *object = response->objects[i];
        unsigned action = action_of(object);
        const ProtobufCMessage *wish;
        const ProtobufCMessage *was;

        if (signs[action] == NULL) {
            continue;
        }
        colour(text, out, colour_of(action));
        bytes_append_format(out, "%s ", signs[action]);
        put_name(object, out);
        colour(text, out, COLOUR_NONE);
        bytes_append_format(out, "%s%s\n",
                            object->message[0] == '\0' ? "" : ": ",
                            object->message);
        if (action == ACTION(CREATED)) {
            wish = find(text->manifest, &wishes, object);
            if (wish != NULL) {
                put_object(wish, out);
            }
        } else if (action == ACTION(UPDATED)) {
            wish = find(text->manifest, &wishes, object);
            was = find(response->before, &before, object);
            for (size_t j = 0; j < object->n_fields; j++) {
                put_field(was, wish, object->fields[j], out);
            }
        }
    }
    put_counts(text, out);
}

bool apply_text_changes(const Holdfast__V1__ApplyManifestResponse *response)
{
    return response->created_count > 0 || response->updated_count > 0 ||
           response->deleted_count > 0;
}
