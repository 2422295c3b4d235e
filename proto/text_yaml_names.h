/* SPDX-License-Identifier: Apache-2.0
 *
 * The names that the items of a text's lists have, each list for itself, and
 * the line where each stands: so that one given twice is told with both lines.
 * Inside of text_yaml.c. */
#ifndef PROTO_TEXT_YAML_NAMES_H
#define PROTO_TEXT_YAML_NAMES_H

#include "base/arena.h"
#include "base/map.h"

#include <protobuf-c/protobuf-c.h>

struct names {
    struct map map; /* By the name's hash; a chain of those that share one. */
    struct arena *arena;
};

void names_init(struct names *names, struct arena *arena);
void names_close(struct names *names);

/* Adds a name, *lent* for as long as the set lives. Returns 0; 1 when that list
 * has it already: `*before` is its line; HF_ERROR_TOO_LARGE: the arena is
 * full. */
int names_add(struct names *names, const ProtobufCFieldDescriptor *list,
              const char *name, unsigned line, unsigned *before);

#endif
