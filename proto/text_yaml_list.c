/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/text_yaml_list.h"

#include "proto/text_field.h"

#include <string.h>

#define CAPACITY_MIN 4

void growing_resume(struct growing *list, ProtobufCMessage *message,
                    const ProtobufCFieldDescriptor *field)
{
    *list = (struct growing){.count = *text_field_list_count(message, field),
                             .item_size = text_type_size(field->type)};
    if (list->count == 0) {
        return;
    }
    memcpy(&list->items, (uint8_t *)message + field->offset,
           sizeof(list->items));
    list->capacity = CAPACITY_MIN;
    while (list->capacity < list->count) {
        list->capacity *= 2;
    }
}

void *growing_add(struct growing *list, struct arena *arena)
{
    if (list->count == list->capacity) {
        size_t capacity =
            list->capacity == 0 ? CAPACITY_MIN : list->capacity * 2;
        uint8_t *items = arena_alloc(arena, capacity * list->item_size);

        if (items == NULL) {
            return NULL;
        }
        if (list->count > 0) {
            memcpy(items, list->items, list->count * list->item_size);
        }
        list->items = items;
        list->capacity = capacity;
    }
    return list->items + list->count++ * list->item_size;
}

void growing_store(const struct growing *list, ProtobufCMessage *message,
                   const ProtobufCFieldDescriptor *field)
{
    *text_field_list_count(message, field) = list->count;
    memcpy((uint8_t *)message + field->offset, &list->items,
           sizeof(list->items));
}
