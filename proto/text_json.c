/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/text_json.h"

#include "base/check.h"
#include "proto/text_field.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

struct writer {
    struct bytes *out;
    unsigned flags;
    unsigned depth;
};

static void put(struct bytes *out, const char *text)
{
    bytes_append(out, text, strlen(text));
}

static void __attribute__((format(printf, 2, 3)))
put_format(struct bytes *out, const char *format, ...)
{
    char text[64];
    va_list arguments;
    int len;

    va_start(arguments, format);
    len = vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    CHECK(len >= 0 && (size_t)len < sizeof(text));
    bytes_append(out, text, (size_t)len);
}

/* The character at `p` and its length in bytes; length 0 for what is not
 * UTF-8 (RFC 3629: no overlong forms, no surrogates). */
static size_t decode_utf8(const uint8_t *p, size_t len, uint32_t *character)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t need = p[0] < 0x80   ? 1
                  : p[0] < 0xc0 ? 0
                  : p[0] < 0xe0 ? 2
                  : p[0] < 0xf0 ? 3
                  : p[0] < 0xf8 ? 4
                                : 0;
    uint32_t value;

    if (need <= 1) {
        *character = p[0];
        return need;
    }
    if (need > len) {
        return 0;
    }
    value = p[0] & (0x7fu >> need);
    for (size_t i = 1; i < need; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            return 0;
        }
        value = value << 6 | (p[i] & 0x3f);
    }
    if (value < least[need] || value > 0x10ffff ||
        (value >= 0xd800 && value < 0xe000)) {
        return 0;
    }
    *character = value;
    return need;
}

static void put_character(struct bytes *out, const uint8_t *p, size_t len,
                          uint32_t character)
{
    static const char named[] = "\"\\\b\f\n\r\t";
    static const char letters[] = "\"\\bfnrt";
    const char *found;

    if (character > 0x9f) {
        bytes_append(out, p, len);
        return;
    }
    found = character == 0 ? NULL : strchr(named, (int)character);
    if (found != NULL) {
        put_format(out, "\\%c", letters[found - named]);
    } else if (character < 0x20 || character >= 0x7f) {
        put_format(out, "\\u%04x", character);
    } else {
        bytes_append_u8(out, (uint8_t)character);
    }
}

#define EACH_BYTE UINT64_C(0x0101010101010101)

/* Not 0 when one of eight bytes is below `limit`, which is 128 at most; bytes
 * from 128 on are not (Bit Twiddling Hacks: haszero, hasless). */
static uint64_t has_less(uint64_t word, unsigned limit)
{
    return (word - EACH_BYTE * limit) & ~word & EACH_BYTE * 0x80;
}

static uint64_t has_byte(uint64_t word, unsigned byte)
{
    return has_less(word ^ EACH_BYTE * byte, 1);
}

static bool are_plain(const uint8_t *p)
{
    uint64_t word;

    memcpy(&word, p, sizeof(word));
    return ((word & EACH_BYTE * 0x80) | has_less(word, 0x20) |
            has_byte(word, '"') | has_byte(word, '\\') |
            has_byte(word, 0x7f)) == 0;
}

/* How many characters from here on stand for themselves: nearly all do. */
static size_t count_plain(const uint8_t *p, size_t len)
{
    size_t count = 0;

    while (count + 8 <= len && are_plain(p + count)) {
        count += 8;
    }
    while (count < len && p[count] >= 0x20 && p[count] < 0x7f &&
           p[count] != '"' && p[count] != '\\') {
        count++;
    }
    return count;
}

void text_json_write_string(const char *string, size_t len, struct bytes *out)
{
    const uint8_t *p = (const uint8_t *)string;

    bytes_append_u8(out, '"');
    while (len > 0) {
        size_t plain = count_plain(p, len);
        uint32_t character;
        size_t step = plain > 0 ? plain : decode_utf8(p, len, &character);

        if (plain > 0) {
            bytes_append(out, p, plain);
        } else if (step == 0) {
            put(out, "\xef\xbf\xbd");
            step = 1;
        } else {
            put_character(out, p, step, character);
        }
        p += step;
        len -= step;
    }
    bytes_append_u8(out, '"');
}

static void put_base64(struct bytes *out, const ProtobufCBinaryData *data)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                 "abcdefghijklmnopqrstuvwxyz0123456789+/";

    bytes_append_u8(out, '"');
    for (size_t i = 0; i < data->len; i += 3) {
        size_t left = data->len - i;
        uint32_t group = (uint32_t)data->data[i] << 16 |
                         (left > 1 ? (uint32_t)data->data[i + 1] << 8 : 0) |
                         (left > 2 ? (uint32_t)data->data[i + 2] : 0);
        char text[4] = {digits[group >> 18], digits[group >> 12 & 63],
                        left > 1 ? digits[group >> 6 & 63] : '=',
                        left > 2 ? digits[group & 63] : '='};

        bytes_append(out, text, 4);
    }
    bytes_append_u8(out, '"');
}

static void put_enum(struct bytes *out, const ProtobufCFieldDescriptor *field,
                     int value)
{
    const ProtobufCEnumDescriptor *descriptor = field->descriptor;
    char name[TEXT_NAME_MAX + 1];

    text_enum_name(descriptor, value, name);
    if (protobuf_c_enum_descriptor_get_value(descriptor, value) == NULL) {
        put(out, name);
        return;
    }
    text_json_write_string(name, strlen(name), out);
}

void text_json_write_scalar(const ProtobufCFieldDescriptor *field,
                            const void *value, struct bytes *out)
{
    const char *string;

    switch (field->type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
        put_format(out, "%" PRId32, *(const int32_t *)value);
        break;
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
        put_format(out, "%" PRIu32, *(const uint32_t *)value);
        break;
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
        put_format(out, "\"%" PRId64 "\"", *(const int64_t *)value);
        break;
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        put_format(out, "\"%" PRIu64 "\"", *(const uint64_t *)value);
        break;
    case PROTOBUF_C_TYPE_BOOL:
        put(out, *(const protobuf_c_boolean *)value ? "true" : "false");
        break;
    case PROTOBUF_C_TYPE_ENUM:
        put_enum(out, field, *(const int *)value);
        break;
    case PROTOBUF_C_TYPE_STRING:
        string = *(char *const *)value;
        string = string == NULL ? "" : string;
        text_json_write_string(string, strlen(string), out);
        break;
    case PROTOBUF_C_TYPE_BYTES:
        put_base64(out, value);
        break;
    default:
        CHECK(false); /* A message, or a float: the contract has none. */
    }
}

static void new_line(struct writer *writer)
{
    if ((writer->flags & TEXT_PRETTY) != 0) {
        bytes_append_u8(writer->out, '\n');
        for (unsigned i = 0; i < writer->depth; i++) {
            put(writer->out, "  ");
        }
    }
}

static void open_bracket(struct writer *writer, const char *bracket)
{
    put(writer->out, bracket);
    writer->depth++;
}

static void close_bracket(struct writer *writer, const char *bracket,
                          bool empty)
{
    writer->depth--;
    if (!empty) {
        new_line(writer);
    }
    put(writer->out, bracket);
}

static void next(struct writer *writer, bool first)
{
    if (!first) {
        bytes_append_u8(writer->out, ',');
    }
    new_line(writer);
}

static void put_colon(struct writer *writer)
{
    put(writer->out, (writer->flags & TEXT_PRETTY) != 0 ? ": " : ":");
}

/* Names of fields have no character that would have to be escaped. */
static void put_name(struct writer *writer, const char *name)
{
    bytes_append_u8(writer->out, '"');
    put(writer->out, name);
    bytes_append_u8(writer->out, '"');
    put_colon(writer);
}

static void write_message(struct writer *writer,
                          const ProtobufCMessage *message);

static void write_value(struct writer *writer,
                        const ProtobufCFieldDescriptor *field,
                        const void *value)
{
    if (field->type == PROTOBUF_C_TYPE_MESSAGE) {
        write_message(writer, *(ProtobufCMessage *const *)value);
    } else {
        text_json_write_scalar(field, value, writer->out);
    }
}

/* JSON's keys are strings, also where the map's are not. */
static void write_key(struct writer *writer,
                      const ProtobufCFieldDescriptor *field, const void *value)
{
    struct bytes text;

    bytes_init(&text);
    text_json_write_scalar(field, value, &text);
    if (text.data[0] == '"') {
        bytes_append(writer->out, text.data, text.len);
    } else {
        text_json_write_string((const char *)text.data, text.len, writer->out);
    }
    bytes_close(&text);
}

static void write_map(struct writer *writer, const ProtobufCMessage *message,
                      const ProtobufCFieldDescriptor *field, size_t count)
{
    const ProtobufCFieldDescriptor *key = text_map_key(field);
    const ProtobufCFieldDescriptor *value = text_map_value(field);

    open_bracket(writer, "{");
    for (size_t i = 0; i < count; i++) {
        const ProtobufCMessage *entry =
            *(ProtobufCMessage *const *)text_field_at(message, field, i);

        next(writer, i == 0);
        write_key(writer, key, text_field_at(entry, key, 0));
        put_colon(writer);
        if (text_field_count(entry, value, true) == 0) {
            put(writer->out, "{}"); /* An entry message without its value. */
        } else {
            write_value(writer, value, text_field_at(entry, value, 0));
        }
    }
    close_bracket(writer, "}", count == 0);
}

static void write_list(struct writer *writer, const ProtobufCMessage *message,
                       const ProtobufCFieldDescriptor *field, size_t count)
{
    open_bracket(writer, "[");
    for (size_t i = 0; i < count; i++) {
        next(writer, i == 0);
        write_value(writer, field, text_field_at(message, field, i));
    }
    close_bracket(writer, "]", count == 0);
}

static void write_message(struct writer *writer,
                          const ProtobufCMessage *message)
{
    const ProtobufCMessageDescriptor *descriptor = message->descriptor;
    bool defaults = (writer->flags & TEXT_DEFAULTS) != 0;
    bool first = true;

    open_bracket(writer, "{");
    for (unsigned i = 0; i < descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &descriptor->fields[i];
        bool list = field->label == PROTOBUF_C_LABEL_REPEATED;
        size_t count = text_field_count(message, field, defaults);

        if (count == 0 && !(list && defaults)) {
            continue;
        }
        next(writer, first);
        first = false;
        put_name(writer, field->name);
        if (text_field_is_map(descriptor, field)) {
            write_map(writer, message, field, count);
        } else if (list) {
            write_list(writer, message, field, count);
        } else {
            write_value(writer, field, text_field_at(message, field, 0));
        }
    }
    close_bracket(writer, "}", first);
}

void text_json_write(const ProtobufCMessage *message, unsigned flags,
                     struct bytes *out)
{
    struct writer writer = {.out = out, .flags = flags};

    write_message(&writer, message);
    CHECK(writer.depth == 0);
}
