/* SPDX-License-Identifier: Apache-2.0
 *
 * Fields of requests and responses of any kind, by name; of one that is not
 * there, or whose message is NULL, zero. */
#ifndef TESTS_SIM_FIELD_H
#define TESTS_SIM_FIELD_H

#include <stdbool.h>
#include <stdint.h>

#include <protobuf-c/protobuf-c.h>

uint64_t sim_field_number(const ProtobufCMessage *message, const char *name);
bool sim_field_flag(const ProtobufCMessage *message, const char *name);
const ProtobufCMessage *sim_field_message(const ProtobufCMessage *message,
                                          const char *name);

#endif
