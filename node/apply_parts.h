/* SPDX-License-Identifier: Apache-2.0
 *
 * The parts of an apply as bytes: operations without their objects' names, some
 * four bytes each. What stands in the state is for ever: kind, slot as the
 * difference to the part before (zigzag), the uid's high half, mark; each as
 * Protobuf writes a varint. Pure. */
#ifndef NODE_APPLY_PARTS_H
#define NODE_APPLY_PARTS_H

#include "base/bytes.h"
#include "node/apply_look.h"
#include "node/operation.h"

/* A part at its largest. */
#define APPLY_PART_BYTES_MAX 24

/* Appends one; its object's name is left out. */
void apply_parts_put(struct bytes *out, struct apply_cursor *cursor,
                     const struct operation_ref *part);

/* The next one, without a name; false at the end, or where the bytes are none
 * of put()'s. */
bool apply_parts_next(struct text parts, struct apply_cursor *cursor,
                      struct operation_ref *part);

#endif
