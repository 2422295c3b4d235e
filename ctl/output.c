/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/output.h"

#include "base/clock.h"
#include "base/container.h"
#include "base/similar.h"
#include "proto/text_json.h"
#include "proto/text_yaml.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct view_options output_view_options(const struct invocation *invocation)
{
    const struct arguments *arguments = invocation->arguments;

    return (struct view_options){
        .wide = invocation->output == OUTPUT_WIDE,
        .unprotected = arguments_has(arguments, OPTION_ONLY_UNPROTECTED),
        .stale = arguments_has(arguments, OPTION_STALE),
        .now_ms = clock_wall_ms()};
}

void output_table(struct invocation *invocation, const struct grid *grid,
                  bool header)
{
    grid_write(grid, header, invocation->colours, &invocation->out);
}

void output_json_line(struct invocation *invocation,
                      const ProtobufCMessage *message)
{
    text_json_write(message, TEXT_DEFAULTS, &invocation->out);
    bytes_append_u8(&invocation->out, '\n');
}

bool output_message(struct invocation *invocation,
                    const ProtobufCMessage *message)
{
    if (invocation->output == OUTPUT_JSON) {
        text_json_write(message, TEXT_PRETTY | TEXT_DEFAULTS, &invocation->out);
        bytes_append_u8(&invocation->out, '\n');
        return true;
    }
    if (invocation->output == OUTPUT_YAML) {
        if (invocation->printed++ > 0) {
            bytes_append(&invocation->out, "---\n", 4);
        }
        text_yaml_write(message, 0, &invocation->out);
        return true;
    }
    return false;
}

void output_object(struct invocation *invocation,
                   const ProtobufCMessage *object)
{
    const struct view *view = view_find(object->descriptor);
    struct view_options options = output_view_options(invocation);
    const char *name = view_string(object, "name");
    struct grid grid;

    if (output_message(invocation, object)) {
        return;
    }
    if (invocation->output == OUTPUT_NAME) {
        bytes_append(&invocation->out, name, strlen(name));
        bytes_append_u8(&invocation->out, '\n');
        return;
    }
    if (invocation->printed++ > 0) {
        bytes_append_u8(&invocation->out, '\n');
    }
    grid_init(&grid);
    view_detail_columns(&grid);
    view->details(&grid, object, &options);
    output_table(invocation, &grid, false);
    grid_close(&grid);
}

void output_line(struct invocation *invocation, const char *format, ...)
{
    char text[1024];
    va_list arguments;

    if (invocation->output != OUTPUT_TABLE &&
        invocation->output != OUTPUT_WIDE) {
        return;
    }
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    for (size_t i = 0; text[i] != '\0'; i++) {
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f) {
            text[i] = '?';
        }
    }
    bytes_append(&invocation->out, text, strlen(text));
    bytes_append_u8(&invocation->out, '\n');
}

void output_flush(struct invocation *invocation)
{
    struct bytes *out = &invocation->out;

    if (out->len > 0 && (fwrite(out->data, 1, out->len, stdout) != out->len ||
                         fflush(stdout) != 0)) {
        if (errno != EPIPE) {
            (void)fprintf(stderr, "holdfast: cannot write the output: %s\n",
                          strerror(errno));
        }
        exit(EXIT_FAILED);
    }
    bytes_clear(out);
}

static const char *const forms[] = {"table", "wide", "json", "yaml", "name"};

bool output_find(const char *name, enum output *output)
{
    for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
        if (strcmp(forms[i], name) == 0) {
            *output = (enum output)i;
            return true;
        }
    }
    return false;
}

struct output_hint output_hint(const char *name)
{
    struct output_hint hint = {.text = ""};
    struct similar similar;

    similar_init(&similar, name);
    for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
        similar_offer(&similar, forms[i]);
    }
    if (similar.best != NULL) {
        (void)snprintf(hint.text, sizeof(hint.text), "; did you mean `%s`?",
                       similar.best);
    }
    return hint;
}
