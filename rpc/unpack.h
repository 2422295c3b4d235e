/* SPDX-License-Identifier: Apache-2.0
 *
 * Bytes from outside to a message: bounded memory, strings that are UTF-8 and
 * hold no NUL (protobuf-c checks neither), and never more depth than the
 * message types have. */
#ifndef RPC_UNPACK_H
#define RPC_UNPACK_H

#include "base/arena.h"

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stdint.h>

struct unpack_error {
    char field[128]; /* "vm.labels"; empty when the whole is malformed. */
    char reason[160];
};

/* The message, allocated from the arena; NULL with `error` set. */
const ProtobufCMessage *message_unpack(
    const ProtobufCMessageDescriptor *descriptor, struct arena *arena,
    const uint8_t *data, size_t len, struct unpack_error *error);

/* Whether no message type contains itself: protobuf-c has no limit on
 * recursion, so a type that does would let 34 KB overflow the stack. */
bool message_descriptor_is_finite(const ProtobufCMessageDescriptor *descriptor);

#endif
