/* SPDX-License-Identifier: Apache-2.0
 *
 * Objects and lists in the form that --output asks for. */
#ifndef CTL_OUTPUT_H
#define CTL_OUTPUT_H

#include "ctl/grid.h"
#include "ctl/invocation.h"
#include "ctl/view.h"

#include <protobuf-c/protobuf-c.h>

/* One object in full. Several in a row are parted as each form wants it. */
void output_object(struct invocation *invocation,
                   const ProtobufCMessage *object);

/* Any message for json and yaml; false for the other forms. */
bool output_message(struct invocation *invocation,
                    const ProtobufCMessage *message);

/* One line of JSON. */
void output_json_line(struct invocation *invocation,
                      const ProtobufCMessage *message);

/* A sentence, for people only (table and wide). */
void output_line(struct invocation *invocation, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* What --output says about rows: ages and columns as of now. */
struct view_options output_view_options(const struct invocation *invocation);

void output_table(struct invocation *invocation, const struct grid *grid,
                  bool header);

/* Writes what was put out so far to stdout. A reader that has gone ends the
 * program quietly. */
void output_flush(struct invocation *invocation);

/* The form of that name, such as "json"; false: there is none. */
bool output_find(const char *name, enum output *output);

/* "; did you mean `json`?", or nothing. */
struct output_hint {
    char text[64];
};
struct output_hint output_hint(const char *name);

#endif
