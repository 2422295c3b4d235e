/* SPDX-License-Identifier: Apache-2.0
 *
 * How the text forms (JSON, YAML) see the fields of a protobuf-c message: one
 * way to walk proto2 and proto3 fields, oneofs and maps through descriptors.
 *
 * Text forms use the names of the .proto files as they are (snake_case), both
 * ways. Enum values go by their short name: VM_STATE_RUNNING of enum VmState
 * is `running`. */
#ifndef PROTO_TEXT_FIELD_H
#define PROTO_TEXT_FIELD_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>

/* Longest name of an enum value. */
#define TEXT_NAME_MAX 63

/* A map<> comes as a list of generated entry messages. */
bool text_field_is_map(const ProtobufCMessageDescriptor *parent,
                       const ProtobufCFieldDescriptor *field);

/* The two fields of a map's entry. */
const ProtobufCFieldDescriptor *text_map_key(
    const ProtobufCFieldDescriptor *map);
const ProtobufCFieldDescriptor *text_map_value(
    const ProtobufCFieldDescriptor *map);

/* Number of values to show: that of a list, or 0 or 1. A field without
 * presence (plain proto3) counts as 1 when it differs from its default, or
 * always if `defaults`. */
size_t text_field_count(const ProtobufCMessage *message,
                        const ProtobufCFieldDescriptor *field, bool defaults);

/* The value at `index`, below that count: a pointer to the C member. */
const void *text_field_at(const ProtobufCMessage *message,
                          const ProtobufCFieldDescriptor *field, size_t index);

/* Size of the C member that holds one value. */
size_t text_type_size(ProtobufCType type);

/* Number of the quantifier: a list's count or a oneof's case. */
size_t *text_field_list_count(ProtobufCMessage *message,
                              const ProtobufCFieldDescriptor *field);
unsigned *text_field_case(ProtobufCMessage *message,
                          const ProtobufCFieldDescriptor *field);

bool text_field_is_oneof(const ProtobufCFieldDescriptor *field);

/* The short name of an enum's value, or its number in digits when the
 * descriptor does not know it. */
void text_enum_name(const ProtobufCEnumDescriptor *descriptor, int value,
                    char name[TEXT_NAME_MAX + 1]);

/* Finds a value by its short or full name. */
bool text_enum_find(const ProtobufCEnumDescriptor *descriptor, const char *name,
                    int *value);

#endif
