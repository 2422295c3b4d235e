/* SPDX-License-Identifier: Apache-2.0
 *
 * Any protobuf-c message from and to YAML, through its descriptor. JSON is
 * YAML, so the reader takes both. What a text means is decided by the field's
 * type, never guessed: `zone: no` is the zone named "no".
 *
 * Refused, each with its place: unknown and repeated keys, two members of one
 * oneof, anchors and aliases (bombs), tags, a second document (unless several
 * are asked for), values of the wrong type. A key with nothing behind it, `~`
 * or `null` counts as not there.
 */
#ifndef PROTO_TEXT_YAML_H
#define PROTO_TEXT_YAML_H

#include "base/arena.h"
#include "base/bytes.h"
#include "proto/text_error.h"

#include <protobuf-c/protobuf-c.h>
#include <stddef.h>

/* Enough for every configuration file and every single object, small enough
 * that a wrong file costs nothing. */
#define TEXT_BYTES_MAX  (1024 * 1024)
#define TEXT_DEPTH_MAX  16
#define TEXT_VALUES_MAX 65536
#define TEXT_MAP_MAX    1024
/* Bytes of a map's key. Written, each may take six characters, and YAML takes
 * no key of more than 1024. */
#define TEXT_KEY_MAX 128

struct text_source {
    const char *name; /* For errors: the file's name or "standard input". */
    const char *text;
    size_t len;
};

/* Reads one message. All of it lies in the arena (do not free it by protobuf-c)
 * and lives as long; an empty text gives a message with every default.
 * HF_ERROR_INVALID: `error` says why. HF_ERROR_TOO_LARGE: one of the limits
 * above or the arena's; `error` says which. */
int text_yaml_read(const ProtobufCMessageDescriptor *descriptor,
                   const struct text_source *source, struct arena *arena,
                   ProtobufCMessage **message, struct text_error *error);

/* Reads the file first; "-" is standard input. HF_ERROR_IO: it cannot be read;
 * `error` says why. */
int text_yaml_read_file(const ProtobufCMessageDescriptor *descriptor,
                        const char *path, struct arena *arena,
                        ProtobufCMessage **message, struct text_error *error);

/* For texts that may be larger than the limits above. */
struct text_limits {
    size_t bytes_max; /* Of the whole text. */
    size_t value_max; /* Parts that YAML tells apart: about two a line. */
    size_t map_max;   /* Keys of one map<>. */
};

/* Reads a text of any number of documents, parted by `---`, into one message:
 * a repeated field takes up what each document adds, in order; all other
 * fields, and each field within one document, are given once. The items of the
 * message's lists that have a field `name` must have one, each its own within
 * its list. Takes time in proportion to the text. Else as text_yaml_read(). */
int text_yaml_read_documents(const ProtobufCMessageDescriptor *descriptor,
                             const struct text_source *source,
                             const struct text_limits *limits,
                             struct arena *arena, ProtobufCMessage **message,
                             struct text_error *error);
int text_yaml_read_documents_file(const ProtobufCMessageDescriptor *descriptor,
                                  const char *path,
                                  const struct text_limits *limits,
                                  struct arena *arena,
                                  ProtobufCMessage **message,
                                  struct text_error *error);

/* Appends the message as block YAML with a newline at the end; `flags` as for
 * text_json_write(), TEXT_PRETTY has no meaning. What it writes reads back as
 * the same message, with map keys of at most TEXT_KEY_MAX. */
void text_yaml_write(const ProtobufCMessage *message, unsigned flags,
                     struct bytes *out);

#endif
