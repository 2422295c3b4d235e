/* SPDX-License-Identifier: Apache-2.0
 *
 * A manifest decided object by object on a trial: each is made, changed or left
 * as it is by the functions of the single methods, and told of in the response.
 * The first that is refused ends it. Pure. */
#ifndef NODE_MANIFEST_EDIT_H
#define NODE_MANIFEST_EDIT_H

#include "base/map.h"
#include "node/api.h"
#include "node/manifest_fields.h"

struct manifest_edit {
    const Holdfast__V1__ApplyManifestRequest *request;
    struct turn_plan *plan; /* Of a trial. */
    struct api_reply *reply;
    struct arena *arena;  /* Of the response. */
    struct arena scratch; /* Of one object. */
    Holdfast__V1__ApplyManifestResponse response;
    Holdfast__V1__Manifest before;
    size_t object_capacity;
    size_t before_capacity[MANIFEST_KINDS];
    size_t before_bytes;
    size_t entry_len;                /* Of the plan, before. */
    struct map seen[MANIFEST_KINDS]; /* By uid: what the manifest names. */
    bool place; /* New VMs get their hosts at once: headroom is enforced. */
    uint32_t placed;
};

/* Where in the manifest. */
struct manifest_spot {
    Holdfast__V1__ManifestKind kind;
    size_t index;
};

void manifest_edit_init(struct manifest_edit *edit,
                        const Holdfast__V1__ApplyManifestRequest *request,
                        struct turn_plan *plan, struct api_reply *reply,
                        struct arena *arena);
void manifest_edit_close(struct manifest_edit *edit);

/* Creates and updates; false: the reply has failed. */
bool manifest_edit_objects(struct manifest_edit *edit);

/* Deletes (manifest_prune.c), after the objects. */
bool manifest_edit_prune(struct manifest_edit *edit);

/* Of grants both (manifest_grants.c), after all else. */
bool manifest_edit_grants(struct manifest_edit *edit);
bool manifest_prune_grants(struct manifest_edit *edit);

/* How many tokens there are, of which a manifest says nothing. */
size_t manifest_tokens(const struct state *state);

/* One object each (manifest_kinds.c). */
bool manifest_edit_settings(struct manifest_edit *edit);
bool manifest_edit_zone(struct manifest_edit *edit, size_t index);
bool manifest_edit_class(struct manifest_edit *edit, size_t index);
bool manifest_edit_group(struct manifest_edit *edit, size_t index);
bool manifest_edit_reservation(struct manifest_edit *edit, size_t index);
bool manifest_edit_vm(struct manifest_edit *edit, size_t index);

/* --- For all parts ---------------------------------------------------------
 */

/* A refusal of a single method becomes one of the manifest: "vm.name: ..." is
 * "vms[17].name: ...". */
void manifest_fail(struct manifest_edit *edit, struct manifest_spot spot,
                   const struct api_reply *step);

/* Carries out a single method in the trial. */
bool manifest_carry_out(struct manifest_edit *edit, struct manifest_spot spot,
                        void (*method)(const ProtobufCMessage *request,
                                       struct turn_plan *plan,
                                       struct api_reply *reply),
                        const ProtobufCMessage *request);

/* Marks what the manifest names; false: it was marked before. */
bool manifest_see(struct manifest_edit *edit, struct manifest_spot spot,
                  const char *name, uint64_t uid);

/* Whether nothing but wishes is set. */
bool manifest_check_wishes(struct manifest_edit *edit,
                           struct manifest_spot spot,
                           const ProtobufCMessage *wish);

/* Deletes what the manifest does not name by the single method; a refusal names
 * the object. */
bool manifest_delete(struct manifest_edit *edit,
                     Holdfast__V1__ManifestKind kind, const char *name,
                     uint64_t revision,
                     void (*method)(const ProtobufCMessage *request,
                                    struct turn_plan *plan,
                                    struct api_reply *reply),
                     const ProtobufCMessage *request);

/* What differs, if that can be changed and may be. */
bool manifest_check_diff(struct manifest_edit *edit, struct manifest_spot spot,
                         const ProtobufCMessage *wish,
                         const ProtobufCMessage *now, uint64_t revision,
                         struct manifest_diff *diff);

/* The names of the fields that an update's mask can name. */
size_t manifest_mask(const struct manifest_diff *diff,
                     char *mask[MANIFEST_FIELDS_MAX]);

/* Tells of an object that was there, as it was and by its new revision. */
void manifest_add_edited(struct manifest_edit *edit,
                         Holdfast__V1__ManifestKind kind, const char *name,
                         uint64_t revision, const ProtobufCMessage *now,
                         const struct manifest_diff *diff);

/* One more in the response; fields of what differs are the caller's to add. */
Holdfast__V1__ManifestObject *manifest_add(struct manifest_edit *edit,
                                           Holdfast__V1__ManifestKind kind,
                                           const char *name,
                                           Holdfast__V1__ManifestAction action,
                                           uint64_t revision);

/* Fails the reply unless the object is as old as the request expects. */
bool manifest_check_revision(struct manifest_edit *edit,
                             Holdfast__V1__ManifestKind kind, const char *name,
                             uint64_t revision);

/* Fails the reply when what is decided is too large already. */
bool manifest_check_size(struct manifest_edit *edit);

#endif
