/* SPDX-License-Identifier: Apache-2.0
 *
 * The reader's view of libyaml: one event at a time, where in the message it
 * belongs, and errors with their place. Inside of text_yaml.c. */
#ifndef PROTO_TEXT_YAML_EVENT_H
#define PROTO_TEXT_YAML_EVENT_H

#include "proto/text_yaml.h"
#include "proto/text_yaml_names.h"

#include <stdbool.h>
#include <yaml.h>

struct reader {
    yaml_parser_t parser;
    yaml_event_t event; /* The one that is looked at. */
    const struct text_source *source;
    struct arena *arena;
    struct text_error *error;
    unsigned depth;
    const struct text_limits *limits;
    size_t value_count;
    size_t key_len; /* Of error->key: the keys to where the reader is. */
    /* Several documents only: the names of the items of the lists, and the
     * outermost list that is being read. */
    struct names *names;
    const ProtobufCFieldDescriptor *list;
};

/* Moves to the next event. Refuses what no value of ours needs: anchors,
 * aliases, tags, too many values. */
int reader_next(struct reader *reader);

/* Writes the problem of the current event and its place; returns `result`. */
int reader_fail(struct reader *reader, int result, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* As reader_fail(), for a problem that stands in the error already. */
int reader_fail_here(struct reader *reader, int result);

int reader_fail_too_large(struct reader *reader);

/* 0 when the current event is of this type, else an error that says what was
 * expected. */
int reader_expect(struct reader *reader, yaml_event_type_t type,
                  const char *expected);

/* Nothing, `~` or `null`, without quotes. */
bool reader_is_null(const struct reader *reader);

/* Go down to a key or an item; return what reader_leave() takes to go back. */
size_t reader_enter_key(struct reader *reader, const char *name);
size_t reader_enter_index(struct reader *reader, size_t index);
void reader_leave(struct reader *reader, size_t before);

#endif
