/* SPDX-License-Identifier: Apache-2.0
 *
 * What a manifest says of an object, field by field against what is in force:
 * one table of what a person writes and how each of it can be changed. Pure. */
#ifndef NODE_MANIFEST_FIELDS_H
#define NODE_MANIFEST_FIELDS_H

#include "base/arena.h"
#include "state/state.h"

#include <holdfast/v1/manifest_service.pb-c.h>
#include <stdbool.h>
#include <stddef.h>

enum manifest_how {
    MANIFEST_BY_UPDATE, /* Named in the update mask. */
    MANIFEST_BY_OWN,    /* By a method of its own: scale, cordon, start. */
    MANIFEST_FIXED      /* Not at all. */
};

struct manifest_field {
    const char *name; /* NULL ends the list. */
    enum manifest_how how;
};

struct manifest_kind {
    Holdfast__V1__ManifestKind kind;
    const char *list; /* Its field of Manifest: "vms". */
    const char *part; /* As the single methods call it: "vm". */
    const char *noun; /* "VM" */
    const ProtobufCMessageDescriptor *descriptor;
    const struct manifest_field *fields; /* Without the name. */
};

#define MANIFEST_KINDS 8

/* By their numbers in manifest_service.proto. */
const struct manifest_kind *manifest_kind(Holdfast__V1__ManifestKind kind);

/* The most that one kind has. */
#define MANIFEST_FIELDS_MAX 24

struct manifest_diff {
    const struct manifest_field *fields[MANIFEST_FIELDS_MAX];
    size_t count;
};

/* The fields in which they differ, in the order of the table. What has no order
 * (maps, names of zones) is compared without. Both have every default written
 * out. The arena is for the work. */
void manifest_compare(const struct manifest_kind *kind,
                      const ProtobufCMessage *wish, const ProtobufCMessage *now,
                      struct arena *arena, struct manifest_diff *diff);

bool manifest_differs_in(const struct manifest_diff *diff, const char *field);

/* The name of a field that is set and that no person may set; NULL: none. */
const char *manifest_foreign_field(const struct manifest_kind *kind,
                                   const ProtobufCMessage *message,
                                   struct arena *arena);

/* A message with the name and the fields that differ; lent from `from`. */
ProtobufCMessage *manifest_pick(const ProtobufCMessage *from,
                                const struct manifest_diff *diff,
                                struct arena *arena);

/* Objects of a manifest with every default written out, as the views show
 * what is in force; lent from the message. */
Holdfast__V1__Settings *manifest_settings(const Holdfast__V1__Settings *message,
                                          struct arena *arena);
Holdfast__V1__Class *manifest_class(const Holdfast__V1__Class *message,
                                    struct arena *arena);
Holdfast__V1__Group *manifest_group(const Holdfast__V1__Group *message,
                                    struct arena *arena);
Holdfast__V1__Vm *manifest_vm(const Holdfast__V1__Vm *message,
                              struct arena *arena);
/* Of one of a client, as all of a manifest are. */
Holdfast__V1__Grant *manifest_grant(const Holdfast__V1__Grant *message,
                                    struct arena *arena);

#endif
