/* SPDX-License-Identifier: Apache-2.0
 *
 * One value from text, by the type of its field: what the YAML reader and the
 * command line's key=value share. */
#ifndef PROTO_TEXT_SCALAR_H
#define PROTO_TEXT_SCALAR_H

#include "base/arena.h"
#include "proto/text_error.h"

#include <protobuf-c/protobuf-c.h>
#include <stddef.h>

/* Reads `text` into the C member at `value` (lists and messages have no form
 * as one value: CHECK). Strings and bytes are allocated from `arena`. Strict:
 * bools are `true` or `false`, integers decimal without leading zeros or
 * hexadecimal with 0x, enums their short or full name or their number.
 * HF_ERROR_INVALID: `problem` says what is expected. HF_ERROR_TOO_LARGE: the
 * arena is full. Only `problem` of the error is written. */
int text_scalar_read(const ProtobufCFieldDescriptor *field, const char *text,
                     size_t len, struct arena *arena, void *value,
                     struct text_error *error);

#endif
