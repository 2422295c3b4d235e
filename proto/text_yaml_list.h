/* SPDX-License-Identifier: Apache-2.0
 *
 * A repeated field while it is read: grows inside the arena by doubling, so
 * the outgrown copies cost at most as much again. Inside of text_yaml.c. */
#ifndef PROTO_TEXT_YAML_LIST_H
#define PROTO_TEXT_YAML_LIST_H

#include "base/arena.h"

#include <protobuf-c/protobuf-c.h>
#include <stddef.h>
#include <stdint.h>

struct growing {
    uint8_t *items;
    size_t count;
    size_t capacity;
    size_t item_size;
};

/* Takes up what an earlier document put in the field; else it is empty. Only
 * for fields that were stored by growing_store(): what they can hold follows
 * from their count. */
void growing_resume(struct growing *list, ProtobufCMessage *message,
                    const ProtobufCFieldDescriptor *field);

/* One more item, not zeroed; NULL: the arena is full. */
void *growing_add(struct growing *list, struct arena *arena);

void growing_store(const struct growing *list, ProtobufCMessage *message,
                   const ProtobufCFieldDescriptor *field);

#endif
