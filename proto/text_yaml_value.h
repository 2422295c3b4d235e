/* SPDX-License-Identifier: Apache-2.0
 *
 * From events to the fields of a message: single values, lists, maps and
 * messages within messages. Inside of text_yaml.c. */
#ifndef PROTO_TEXT_YAML_VALUE_H
#define PROTO_TEXT_YAML_VALUE_H

#include "proto/text_yaml_event.h"

/* No message of the contract comes near. */
#define FIELDS_MAX 256

/* With every default; NULL: the arena is full. */
ProtobufCMessage *value_new_message(
    struct arena *arena, const ProtobufCMessageDescriptor *descriptor);

/* Reads keys with values, of which the beginning is looked at, to their end.
 * `lines`: one for each field, where it was given before; 0: not yet. */
int value_read_fields(struct reader *reader, ProtobufCMessage *message,
                      unsigned *lines);

#endif
