/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/text_yaml.h"

#include "base/check.h"
#include "base/error.h"
#include "proto/text_field.h"
#include "proto/text_yaml_event.h"
#include "proto/text_yaml_names.h"
#include "proto/text_yaml_value.h"

#include <stdio.h>
#include <string.h>

static const struct text_limits one_message = {.bytes_max = TEXT_BYTES_MAX,
                                               .value_max = TEXT_VALUES_MAX,
                                               .map_max = TEXT_MAP_MAX};

/* The value of a document, which is looked at, into the message. */
static int read_document(struct reader *reader, ProtobufCMessage *message,
                         unsigned *lines)
{
    int result;

    if (reader_is_null(reader)) {
        return 0;
    }
    result =
        reader_expect(reader, YAML_MAPPING_START_EVENT, "keys with values");
    if (result != 0) {
        return result;
    }
    reader->depth = 1;
    return value_read_fields(reader, message, lines);
}

/* The next document may add to lists, and give what was not given. */
static void forget_lines(const ProtobufCMessage *message, unsigned *lines)
{
    const ProtobufCMessageDescriptor *descriptor = message->descriptor;

    for (unsigned i = 0; i < descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &descriptor->fields[i];

        if (field->label == PROTOBUF_C_LABEL_REPEATED ||
            text_field_count(message, field, false) == 0) {
            lines[i] = 0;
        }
    }
}

/* stream start, (document start, value, document end)..., stream end */
static int read_stream(struct reader *reader,
                       const ProtobufCMessageDescriptor *descriptor,
                       ProtobufCMessage **message)
{
    unsigned lines[FIELDS_MAX] = {0};
    size_t count = 0;
    int result = reader_next(reader);

    CHECK(descriptor->n_fields <= FIELDS_MAX);
    *message = value_new_message(reader->arena, descriptor);
    if (result == 0 && *message == NULL) {
        return reader_fail_too_large(reader);
    }
    while (result == 0 && (result = reader_next(reader)) == 0 &&
           reader->event.type != YAML_STREAM_END_EVENT) {
        if (count++ > 0 && reader->names == NULL) {
            return reader_fail(reader, HF_ERROR_INVALID,
                               "a second document begins here: one is allowed");
        }
        result = reader_next(reader);
        if (result == 0) {
            result = read_document(reader, *message, lines);
        }
        if (result == 0) {
            result = reader_next(reader);
            forget_lines(*message, lines);
        }
    }
    return result;
}

/* Length of the mark that some editors put before UTF-8. libyaml skips it only
 * when it finds the encoding by itself. */
static size_t byte_order_mark(const struct text_source *source)
{
    return source->len >= 3 && memcmp(source->text, "\xef\xbb\xbf", 3) == 0 ? 3
                                                                            : 0;
}

static int read_text(const ProtobufCMessageDescriptor *descriptor,
                     struct reader *reader, ProtobufCMessage **message)
{
    const struct text_source *source = reader->source;
    struct text_error *error = reader->error;
    size_t mark;
    int result;

    *message = NULL;
    memset(error, 0, sizeof(*error));
    if (source->len > reader->limits->bytes_max) {
        (void)snprintf(error->problem, sizeof(error->problem),
                       "larger than %zu bytes", reader->limits->bytes_max);
        (void)snprintf(error->text, sizeof(error->text), "%s: %s", source->name,
                       error->problem);
        return HF_ERROR_TOO_LARGE;
    }
    CHECK(yaml_parser_initialize(&reader->parser));
    yaml_parser_set_encoding(&reader->parser, YAML_UTF8_ENCODING);
    mark = byte_order_mark(source);
    yaml_parser_set_input_string(&reader->parser,
                                 (const unsigned char *)source->text + mark,
                                 source->len - mark);
    result = read_stream(reader, descriptor, message);
    yaml_event_delete(&reader->event);
    yaml_parser_delete(&reader->parser);
    if (result != 0) {
        *message = NULL;
    } else {
        memset(error, 0, sizeof(*error));
    }
    return result;
}

int text_yaml_read(const ProtobufCMessageDescriptor *descriptor,
                   const struct text_source *source, struct arena *arena,
                   ProtobufCMessage **message, struct text_error *error)
{
    struct reader reader = {.source = source,
                            .arena = arena,
                            .error = error,
                            .limits = &one_message};

    return read_text(descriptor, &reader, message);
}

int text_yaml_read_documents(const ProtobufCMessageDescriptor *descriptor,
                             const struct text_source *source,
                             const struct text_limits *limits,
                             struct arena *arena, ProtobufCMessage **message,
                             struct text_error *error)
{
    struct names names;
    struct reader reader = {.source = source,
                            .arena = arena,
                            .error = error,
                            .limits = limits,
                            .names = &names};
    int result;

    names_init(&names, arena);
    result = read_text(descriptor, &reader, message);
    names_close(&names);
    return result;
}
