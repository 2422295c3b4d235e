/* SPDX-License-Identifier: Apache-2.0
 *
 * A message as flat text for audit records: "labels.team" and "blue". Bounded,
 * without what changes at every change anyhow and without secrets. Pure. */
#ifndef NODE_AUDIT_FIELDS_H
#define NODE_AUDIT_FIELDS_H

#include "base/arena.h"

#include <protobuf-c/protobuf-c.h>
#include <stddef.h>
#include <stdint.h>

/* Fields of one message: more than any object has but for groups of many
 * zones. */
#define AUDIT_FIELDS_MAX 64

/* Both are cut here, values with "..." at their end. */
#define AUDIT_VALUE_BYTES_MAX 120
#define AUDIT_PATH_BYTES_MAX  120

struct audit_field {
    const char *path;
    const char *value;
};

struct audit_fields {
    struct arena *arena; /* Of the texts. */
    size_t count;
    uint32_t left_out;                     /* Found no room. */
    char place[AUDIT_PATH_BYTES_MAX + 16]; /* Where in the object it stands. */
    size_t place_len;
    struct audit_field of[AUDIT_FIELDS_MAX];
};

void audit_fields_init(struct audit_fields *fields, struct arena *arena);

/* Adds all that the object says; nothing for NULL. */
void audit_fields_of_object(struct audit_fields *fields,
                            const ProtobufCMessage *object);

/* Likewise, as what stands at a path: "grant/anna.role". */
void audit_fields_of_part(struct audit_fields *fields, const char *path,
                          const ProtobufCMessage *object);

/* Adds what the request says beside the object, its name and what all requests
 * have. */
void audit_fields_of_request(struct audit_fields *fields,
                             const ProtobufCMessage *request);

/* Adds one, cut if need be. */
void audit_fields_add(struct audit_fields *fields, const char *path,
                      const char *value, size_t len);

/* The value of a path, NULL when there is none. It is first looked for at that
 * place: objects of a kind have their fields in one order. */
const char *audit_fields_get(const struct audit_fields *fields,
                             const char *path, size_t place);

#endif
