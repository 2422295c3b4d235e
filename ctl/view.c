/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/view.h"

#include "base/container.h"
#include "ctl/format.h"
#include "proto/text_field.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct view *view_find(const ProtobufCMessageDescriptor *descriptor)
{
    static const struct view *const views[] = {
        &view_vm,    &view_host,       &view_zone,        &view_class,
        &view_node,  &view_group,      &view_reservation, &view_grant,
        &view_audit, &view_join_token, &view_operation};

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
    view_map(message, "labels", text, size);
}

void view_map(const ProtobufCMessage *message, const char *name, char *text,
              size_t size)
{
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field_by_name(message->descriptor,
                                                        name);
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

const char *plural(uint64_t count)
{
    return count == 1 ? "" : "s";
}

static void __attribute__((format(printf, 3, 4)))
append(char *text, size_t size, const char *format, ...)
{
    size_t used = strlen(text);
    va_list arguments;

    if (used > 0 && used + 2 < size) {
        memcpy(text + used, ", ", 3);
        used += 2;
    }
    va_start(arguments, format);
    (void)vsnprintf(text + used, size - used, format, arguments);
    va_end(arguments);
}

static int compare_named(const void *a, const void *b)
{
    return strcmp((*(Holdfast__V1__Resources__NamedEntry *const *)a)->key,
                  (*(Holdfast__V1__Resources__NamedEntry *const *)b)->key);
}

void view_extras(const Holdfast__V1__Resources *size, char *text,
                 size_t text_size)
{
    const Holdfast__V1__Resources__NamedEntry *named[16];
    size_t count = 0;

    text[0] = '\0';
    if (size == NULL) {
        return;
    }
    if (size->gpu_count > 0) {
        append(text, text_size, "%" PRIu32 " GPU%s", size->gpu_count,
               plural(size->gpu_count));
    }
    for (size_t i = 0; i < size->n_named && count < ARRAY_LEN(named); i++) {
        named[count++] = size->named[i];
    }
    qsort(named, count, sizeof(named[0]), compare_named);
    for (size_t i = 0; i < count; i++) {
        append(text, text_size, "%" PRIu32 " %s", named[i]->value,
               named[i]->key);
    }
}

void view_size(const Holdfast__V1__Resources *size, char *text,
               size_t text_size)
{
    char extras[512];

    text[0] = '\0';
    if (size == NULL) {
        (void)snprintf(text, text_size, "-");
        return;
    }
    append(text, text_size, "%s CPU", format_cpu(size->cpu_milli).text);
    append(text, text_size, "%s memory", format_mib(size->memory_mib).text);
    if (size->disk_gib > 0) {
        append(text, text_size, "%s disk", format_gib(size->disk_gib).text);
    }
    view_extras(size, extras, sizeof(extras));
    if (extras[0] != '\0') {
        append(text, text_size, "%s", extras);
    }
}
