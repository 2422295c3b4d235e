/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/view.h"

#include "base/container.h"
#include "proto/text_field.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct view *view_find(const ProtobufCMessageDescriptor *descriptor)
{
    static const struct view *const views[] = {&view_vm, &view_host, &view_zone,
                                               &view_class, &view_node};

    for (size_t i = 0; i < ARRAY_LEN(views); i++) {
        if (views[i]->descriptor == descriptor) {
            return views[i];
        }
    }
    return NULL;
}

void view_detail_columns(struct grid *grid)
{
    grid_column(grid, "");
    grid_column(grid, "");
}

void view_detail(struct grid *grid, const char *label, const char *format, ...)
{
    char text[1024];
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    grid_cell(grid, label);
    grid_cell(grid, text);
}

const char *view_string(const ProtobufCMessage *message, const char *name)
{
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field_by_name(message->descriptor,
                                                        name);
    const char *text;

    if (field == NULL || field->type != PROTOBUF_C_TYPE_STRING ||
        field->label == PROTOBUF_C_LABEL_REPEATED) {
        return "";
    }
    text = *(char *const *)text_field_at(message, field, 0);
    return text == NULL ? "" : text;
}

static int compare_labels(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

void view_labels(const ProtobufCMessage *message, char *text, size_t size)
{
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field_by_name(message->descriptor,
                                                        "labels");
    const char *pairs[64][2];
    size_t count;
    size_t used = 0;

    text[0] = '\0';
    if (field == NULL) {
        return;
    }
    count = text_field_count(message, field, true);
    count = count > ARRAY_LEN(pairs) ? ARRAY_LEN(pairs) : count;
    for (size_t i = 0; i < count; i++) {
        const ProtobufCMessage *entry =
            *(ProtobufCMessage *const *)text_field_at(message, field, i);

        pairs[i][0] = view_string(entry, "key");
        pairs[i][1] = view_string(entry, "value");
    }
    qsort(pairs, count, sizeof(pairs[0]), compare_labels);
    for (size_t i = 0; i < count && used < size; i++) {
        used += (size_t)snprintf(text + used, size - used, "%s%s=%s",
                                 i > 0 ? "," : "", pairs[i][0], pairs[i][1]);
    }
}
