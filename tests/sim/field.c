/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/field.h"

#include <stddef.h>

static const void *field_of(const ProtobufCMessage *message, const char *name,
                            ProtobufCType type)
{
    const ProtobufCFieldDescriptor *field =
        message == NULL ? NULL
                        : protobuf_c_message_descriptor_get_field_by_name(
                              message->descriptor, name);

    return field == NULL || field->type != type
               ? NULL
               : (const char *)message + field->offset;
}

uint64_t sim_field_number(const ProtobufCMessage *message, const char *name)
{
    const uint64_t *number = field_of(message, name, PROTOBUF_C_TYPE_UINT64);

    return number == NULL ? 0 : *number;
}

bool sim_field_flag(const ProtobufCMessage *message, const char *name)
{
    const protobuf_c_boolean *flag =
        field_of(message, name, PROTOBUF_C_TYPE_BOOL);

    return flag != NULL && *flag;
}

const ProtobufCMessage *sim_field_message(const ProtobufCMessage *message,
                                          const char *name)
{
    ProtobufCMessage *const *part =
        field_of(message, name, PROTOBUF_C_TYPE_MESSAGE);

    return part == NULL ? NULL : *part;
}
