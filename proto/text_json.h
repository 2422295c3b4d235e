/* SPDX-License-Identifier: Apache-2.0
 *
 * Any protobuf-c message as JSON, through its descriptor. Follows the protobuf
 * JSON mapping (64-bit integers as strings, bytes as base64, maps as objects)
 * with two choices of ours: names stay as in the .proto files (snake_case),
 * and enum values are short and lower-case (text_field.h). */
#ifndef PROTO_TEXT_JSON_H
#define PROTO_TEXT_JSON_H

#include "base/bytes.h"

#include <protobuf-c/protobuf-c.h>
#include <stddef.h>

enum text_flags {
    /* One member a line, indented by two blanks; else one line for all. */
    TEXT_PRETTY = 1,
    /* Also fields that hold their default, so that a script finds every key.
     * Messages and oneof members that are not set stay out. */
    TEXT_DEFAULTS = 2
};

/* Appends the message, without a newline at the end. What is not UTF-8 in a
 * string becomes U+FFFD; control characters are escaped, so that the output
 * cannot steer a terminal. */
void text_json_write(const ProtobufCMessage *message, unsigned flags,
                     struct bytes *out);

/* Appends a string of `len` bytes with its quotes. */
void text_json_write_string(const char *string, size_t len, struct bytes *out);

/* Appends one value that is not a message, as it stands in JSON; `value` as
 * from text_field_at(). */
void text_json_write_scalar(const ProtobufCFieldDescriptor *field,
                            const void *value, struct bytes *out);

#endif
