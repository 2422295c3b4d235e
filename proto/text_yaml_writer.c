/* SPDX-License-Identifier: Apache-2.0 */
#include "base/check.h"
#include "proto/text_field.h"
#include "proto/text_json.h"
#include "proto/text_yaml.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

struct writer {
    struct bytes *out;
    unsigned flags;
    unsigned depth;
};

static void put(struct bytes *out, const char *text)
{
    bytes_append(out, text, strlen(text));
}

static void indent(struct writer *writer)
{
    for (unsigned i = 0; i < writer->depth; i++) {
        put(writer->out, "  ");
    }
}

/* Whether other YAML readers too take the text as a string without quotes:
 * begins with a letter or a slash, has no mark of syntax, and is no word that
 * YAML 1.1 gives a meaning. */
static bool is_plain(const char *text)
{
    static const char *const words[] = {"true", "false", "yes", "no", "on",
                                        "off",  "null",  "y",   "n"};
    size_t len = strlen(text);

    if (!isalpha((unsigned char)text[0]) && text[0] != '/') {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        bool last = i + 1 == len;

        if (isalnum((unsigned char)text[i]) ||
            strchr("_-./=+,()", text[i]) != NULL) {
            continue;
        }
        if (text[i] != ' ' && text[i] != ':') {
            return false;
        }
        if (last || text[i + 1] == ' ') {
            return false;
        }
    }
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcasecmp(text, words[i]) == 0) {
            return false;
        }
    }
    return true;
}

/* A double-quoted YAML string reads JSON's escapes; a 64-bit number needs no
 * quotes in YAML. */
static void write_scalar(struct writer *writer,
                         const ProtobufCFieldDescriptor *field,
                         const void *value)
{
    struct bytes text;
    const char *inner;

    bytes_init(&text);
    text_json_write_scalar(field, value, &text);
    bytes_append_u8(&text, '\0');
    inner = (const char *)text.data;
    if (text.data[0] == '"') {
        text.data[text.len - 2] = '\0';
        inner++;
        if (field->type == PROTOBUF_C_TYPE_BYTES ||
            (field->type == PROTOBUF_C_TYPE_STRING && !is_plain(inner))) {
            text.data[text.len - 2] = '"';
            inner--;
        }
    }
    put(writer->out, inner);
    bytes_close(&text);
}

static void write_message(struct writer *writer,
                          const ProtobufCMessage *message, bool dashed);

/* Behind "key:" or, `dashed`, behind "-". */
static void write_value(struct writer *writer,
                        const ProtobufCFieldDescriptor *field,
                        const void *value, bool dashed)
{
    if (field->type == PROTOBUF_C_TYPE_MESSAGE) {
        writer->depth++;
        write_message(writer, *(ProtobufCMessage *const *)value, dashed);
        writer->depth--;
    } else {
        put(writer->out, " ");
        write_scalar(writer, field, value);
        put(writer->out, "\n");
    }
}

static void write_map(struct writer *writer, const ProtobufCMessage *message,
                      const ProtobufCFieldDescriptor *field, size_t count)
{
    const ProtobufCFieldDescriptor *key = text_map_key(field);
    const ProtobufCFieldDescriptor *value = text_map_value(field);

    put(writer->out, "\n");
    writer->depth++;
    for (size_t i = 0; i < count; i++) {
        const ProtobufCMessage *entry =
            *(ProtobufCMessage *const *)text_field_at(message, field, i);

        indent(writer);
        write_scalar(writer, key, text_field_at(entry, key, 0));
        put(writer->out, ":");
        if (text_field_count(entry, value, true) == 0) {
            put(writer->out, " {}\n"); /* An entry message without a value. */
        } else {
            write_value(writer, value, text_field_at(entry, value, 0), false);
        }
    }
    writer->depth--;
}

static void write_list(struct writer *writer, const ProtobufCMessage *message,
                       const ProtobufCFieldDescriptor *field, size_t count)
{
    put(writer->out, "\n");
    writer->depth++;
    for (size_t i = 0; i < count; i++) {
        indent(writer);
        put(writer->out, "-");
        write_value(writer, field, text_field_at(message, field, i), true);
    }
    writer->depth--;
}

static void write_field(struct writer *writer, const ProtobufCMessage *message,
                        const ProtobufCFieldDescriptor *field, size_t count)
{
    bool list = field->label == PROTOBUF_C_LABEL_REPEATED;
    bool map = text_field_is_map(message->descriptor, field);

    put(writer->out, field->name);
    put(writer->out, ":");
    if (count == 0) {
        put(writer->out, map ? " {}\n" : " []\n");
    } else if (map) {
        write_map(writer, message, field, count);
    } else if (list) {
        write_list(writer, message, field, count);
    } else {
        write_value(writer, field, text_field_at(message, field, 0), false);
    }
}

static void write_message(struct writer *writer,
                          const ProtobufCMessage *message, bool dashed)
{
    const ProtobufCMessageDescriptor *descriptor = message->descriptor;
    bool defaults = (writer->flags & TEXT_DEFAULTS) != 0;
    bool first = true;

    for (unsigned i = 0; i < descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &descriptor->fields[i];
        bool list = field->label == PROTOBUF_C_LABEL_REPEATED;
        size_t count = text_field_count(message, field, defaults);

        if (count == 0 && !(list && defaults)) {
            continue;
        }
        if (first && dashed) {
            put(writer->out, " ");
        } else {
            if (first && writer->depth > 0) {
                put(writer->out, "\n");
            }
            indent(writer);
        }
        first = false;
        write_field(writer, message, field, count);
    }
    if (first) {
        put(writer->out, writer->depth > 0 ? " {}\n" : "{}\n");
    }
}

void text_yaml_write(const ProtobufCMessage *message, unsigned flags,
                     struct bytes *out)
{
    struct writer writer = {.out = out, .flags = flags};

    write_message(&writer, message, false);
    CHECK(writer.depth == 0);
}
