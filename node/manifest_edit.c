/* SPDX-License-Identifier: Apache-2.0 */
#include "node/manifest_edit.h"

#include "base/memory.h"
#include "node/api_check.h"
#include "node/api_headroom.h"
#include "node/api_whole.h"
#include "node/limits.h"
#include "node/view.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KIND(NAME)   HOLDFAST__V1__MANIFEST_KIND__MANIFEST_KIND_##NAME
#define ACTION(NAME) HOLDFAST__V1__MANIFEST_ACTION__MANIFEST_ACTION_##NAME

/* A group with 64 zones and a template of 16 KiB, compared field by field. */
#define SCRATCH_BYTES (8u << 20)

/* What the response says of how things were: the rest of its 4 MiB is for
 * names. */
#define BEFORE_BYTES_MAX (1u << 20)

void manifest_edit_init(struct manifest_edit *edit,
                        const Holdfast__V1__ApplyManifestRequest *request,
                        struct turn_plan *plan, struct api_reply *reply,
                        struct arena *arena)
{
    *edit = (struct manifest_edit){
        .request = request,
        .plan = plan,
        .reply = reply,
        .arena = arena,
        .response = HOLDFAST__V1__APPLY_MANIFEST_RESPONSE__INIT,
        .before = HOLDFAST__V1__MANIFEST__INIT,
        .entry_len = plan->entry.len,
    };
    edit->response.before = &edit->before;
    arena_init(&edit->scratch, SCRATCH_BYTES);
    for (int i = 0; i < MANIFEST_KINDS; i++) {
        map_init(&edit->seen[i]);
    }
}

void manifest_edit_close(struct manifest_edit *edit)
{
    arena_close(&edit->scratch);
    for (int i = 0; i < MANIFEST_KINDS; i++) {
        map_close(&edit->seen[i]);
    }
    free(edit->response.objects);
    free(edit->before.zones);
    free(edit->before.classes);
    free(edit->before.groups);
    free(edit->before.reservations);
    free(edit->before.vms);
    free(edit->before.grants);
}

/* --- What is said of an object -------------------------------------------- */

/* A refusal of a single method becomes one of the manifest. */
void manifest_fail(struct manifest_edit *edit, struct manifest_spot spot,
                   const struct api_reply *step)
{
    const struct manifest_kind *kind = manifest_kind(spot.kind);
    char place[64];

    snprintf(place, sizeof(place), "%s[%zu]", kind->list, spot.index);
    if (spot.kind == KIND(SETTINGS)) {
        snprintf(place, sizeof(place), "settings");
    }
    api_whole_fail(edit->reply, place, kind->part, step);
}

/* Carries out a single method in the trial. */
bool manifest_carry_out(struct manifest_edit *edit, struct manifest_spot spot,
                        void (*method)(const ProtobufCMessage *request,
                                       struct turn_plan *plan,
                                       struct api_reply *reply),
                        const ProtobufCMessage *request)
{
    struct api_reply step;
    bool good;

    api_reply_init(&step);
    step.caller = edit->reply->caller;
    method(request, edit->plan, &step);
    good = step.code == RPC_OK;
    if (!good) {
        manifest_fail(edit, spot, &step);
    }
    api_reply_close(&step);
    return good;
}

Holdfast__V1__ManifestObject *manifest_add(struct manifest_edit *edit,
                                           Holdfast__V1__ManifestKind kind,
                                           const char *name,
                                           Holdfast__V1__ManifestAction action,
                                           uint64_t revision)
{
    Holdfast__V1__ApplyManifestResponse *response = &edit->response;
    Holdfast__V1__ManifestObject *object =
        view_alloc(edit->arena, sizeof(*object));
    uint32_t *const counts[] = {
        NULL,
        &response->created_count,
        &response->updated_count,
        &response->unchanged_count,
        &response->deleted_count,
        &response->kept_count,
    };

    holdfast__v1__manifest_object__init(object);
    object->kind = kind;
    object->name = view_string(edit->arena, name);
    object->action = action;
    object->revision = revision;
    if (response->n_objects == edit->object_capacity) {
        edit->object_capacity = 2 * edit->object_capacity + 64;
        response->objects =
            memory_realloc_array(response->objects, edit->object_capacity,
                                 sizeof(*response->objects));
    }
    response->objects[response->n_objects++] = object;
    ++*counts[action];
    return object;
}

/* How it was, into the list of its kind. */
static void add_before(struct manifest_edit *edit,
                       Holdfast__V1__ManifestKind kind,
                       const ProtobufCMessage *now,
                       const struct manifest_diff *diff)
{
    Holdfast__V1__Manifest *before = &edit->before;
    ProtobufCMessage *picked = manifest_pick(now, diff, &edit->scratch);
    size_t len = protobuf_c_message_get_packed_size(picked);
    ProtobufCMessage *copy;
    uint8_t *packed;
    void **lists[MANIFEST_KINDS] = {
        [KIND(ZONE)] = (void **)(void *)&before->zones,
        [KIND(CLASS)] = (void **)(void *)&before->classes,
        [KIND(GROUP)] = (void **)(void *)&before->groups,
        [KIND(RESERVATION)] = (void **)(void *)&before->reservations,
        [KIND(VM)] = (void **)(void *)&before->vms,
        [KIND(GRANT)] = (void **)(void *)&before->grants,
    };
    size_t *counts[MANIFEST_KINDS] = {
        [KIND(ZONE)] = &before->n_zones,
        [KIND(CLASS)] = &before->n_classes,
        [KIND(GROUP)] = &before->n_groups,
        [KIND(RESERVATION)] = &before->n_reservations,
        [KIND(VM)] = &before->n_vms,
        [KIND(GRANT)] = &before->n_grants,
    };

    edit->before_bytes += len + 8;
    if (edit->before_bytes > BEFORE_BYTES_MAX) {
        return;
    }
    packed = view_alloc(&edit->scratch, len + 1);
    protobuf_c_message_pack(picked, packed);
    copy = api_unpack(now->descriptor, packed, len, edit->arena);
    if (kind == KIND(SETTINGS)) {
        before->settings = (Holdfast__V1__Settings *)copy;
        return;
    }
    if (*counts[kind] == edit->before_capacity[kind]) {
        edit->before_capacity[kind] = 2 * edit->before_capacity[kind] + 16;
        *lists[kind] = memory_realloc_array(
            *lists[kind], edit->before_capacity[kind], sizeof(void *));
    }
    ((ProtobufCMessage **)*lists[kind])[(*counts[kind])++] = copy;
}

bool manifest_check_revision(struct manifest_edit *edit,
                             Holdfast__V1__ManifestKind kind, const char *name,
                             uint64_t revision)
{
    bool grant = kind == KIND(GRANT);
    uint64_t expected = grant ? edit->request->expect_grant_revision
                              : edit->request->expect_revision;

    if (expected == 0 || revision <= expected) {
        return true;
    }
    api_fail(edit->reply, API_REVISION_CONFLICT,
             "%s: %s '%s' was changed at revision %" PRIu64
             ", after revision %" PRIu64,
             grant ? "expect_grant_revision" : "expect_revision",
             manifest_kind(kind)->noun, name, revision, expected);
    return false;
}

bool manifest_check_size(struct manifest_edit *edit)
{
    size_t len = edit->plan->entry.len - edit->entry_len;

    if (len <= MANIFEST_ENTRY_BYTES_MAX) {
        return true;
    }
    api_fail(edit->reply, API_MANIFEST_TOO_LARGE,
             "manifest: what it changes takes more than the %u bytes of one "
             "decision (after %zu objects); split the file and apply its parts "
             "one after the other",
             MANIFEST_ENTRY_BYTES_MAX, edit->response.n_objects);
    return false;
}

/* --- An object that is there ------------------------------------------------
 */

/* Marks what the manifest names; false: twice. */
bool manifest_see(struct manifest_edit *edit, struct manifest_spot spot,
                  const char *name, uint64_t uid)
{
    if (map_get(&edit->seen[spot.kind], uid) != NULL) {
        api_fail(edit->reply, API_INVALID_FIELD,
                 "%s[%zu].name: '%s' stands in the manifest twice",
                 manifest_kind(spot.kind)->list, spot.index, name);
        return false;
    }
    map_put(&edit->seen[spot.kind], uid, edit);
    return true;
}

/* Nothing but wishes. */
bool manifest_check_wishes(struct manifest_edit *edit,
                           struct manifest_spot spot,
                           const ProtobufCMessage *wish)
{
    const struct manifest_kind *kind = manifest_kind(spot.kind);
    const char *foreign = manifest_foreign_field(kind, wish, &edit->scratch);

    if (foreign != NULL && spot.kind == KIND(SETTINGS)) {
        api_fail(edit->reply, API_INVALID_FIELD,
                 "settings.%s: is given by Holdfast; leave it out", foreign);
    } else if (foreign != NULL) {
        api_fail(edit->reply, API_INVALID_FIELD,
                 "%s[%zu].%s: is given by Holdfast; leave it out", kind->list,
                 spot.index, foreign);
    }
    return foreign == NULL;
}

static void fail_fixed(struct manifest_edit *edit, struct manifest_spot spot,
                       const char *name, const ProtobufCMessage *now,
                       const struct manifest_field *field)
{
    const struct manifest_kind *kind = manifest_kind(spot.kind);
    const ProtobufCFieldDescriptor *found =
        protobuf_c_message_descriptor_get_field_by_name(kind->descriptor,
                                                        field->name);
    const char *value = NULL;
    char words[128] = "is another one";

    if (found->type == PROTOBUF_C_TYPE_STRING &&
        found->label != PROTOBUF_C_LABEL_REPEATED) {
        memcpy(&value, (const char *)now + found->offset, sizeof(value));
        snprintf(words, sizeof(words),
                 value[0] == '\0' ? "has none" : "is '%s'", value);
    }
    api_fail(edit->reply, API_FIELD_FIXED,
             "%s[%zu].%s: that of %s '%s' %s, and it cannot be changed; delete "
             "the %s and apply again, or give the new one another name",
             kind->list, spot.index, field->name, kind->noun, name, words,
             kind->noun);
}

static const char *name_of(const ProtobufCMessage *object)
{
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field_by_name(object->descriptor,
                                                        "name");
    const char *name = "settings";

    if (field != NULL) {
        memcpy(&name, (const char *)object + field->offset, sizeof(name));
    }
    return name;
}

/* What differs, if that can be changed and may be. */
bool manifest_check_diff(struct manifest_edit *edit, struct manifest_spot spot,
                         const ProtobufCMessage *wish,
                         const ProtobufCMessage *now, uint64_t revision,
                         struct manifest_diff *diff)
{
    const char *name = name_of(wish);

    manifest_compare(manifest_kind(spot.kind), wish, now, &edit->scratch, diff);
    for (size_t i = 0; i < diff->count; i++) {
        if (diff->fields[i]->how == MANIFEST_FIXED) {
            fail_fixed(edit, spot, name, now, diff->fields[i]);
            return false;
        }
    }
    if (diff->count > 0 &&
        !manifest_check_revision(edit, spot.kind, name, revision)) {
        return false;
    }
    return true;
}

/* The names of those that an update's mask can name. */
size_t manifest_mask(const struct manifest_diff *diff,
                     char *mask[MANIFEST_FIELDS_MAX])
{
    size_t count = 0;

    for (size_t i = 0; i < diff->count; i++) {
        if (diff->fields[i]->how == MANIFEST_BY_UPDATE) {
            /* The messages' strings are not const; nobody writes to them. */
            memcpy(&mask[count++], &diff->fields[i]->name, sizeof(char *));
        }
    }
    return count;
}

/* Tells of an object that was there. */
void manifest_add_edited(struct manifest_edit *edit,
                         Holdfast__V1__ManifestKind kind, const char *name,
                         uint64_t revision, const ProtobufCMessage *now,
                         const struct manifest_diff *diff)
{
    Holdfast__V1__ManifestObject *object = manifest_add(
        edit, kind, name, diff->count > 0 ? ACTION(UPDATED) : ACTION(UNCHANGED),
        revision);

    if (diff->count == 0) {
        return;
    }
    object->fields =
        view_alloc(edit->arena, diff->count * sizeof(*object->fields));
    for (size_t i = 0; i < diff->count; i++) {
        object->fields[object->n_fields++] =
            view_string(edit->arena, diff->fields[i]->name);
    }
    add_before(edit, kind, now, diff);
}

bool manifest_edit_objects(struct manifest_edit *edit)
{
    const Holdfast__V1__Manifest *manifest = edit->request->manifest;
    const struct {
        size_t count;
        bool (*edit)(struct manifest_edit *edit, size_t index);
    } lists[] = {
        {manifest->n_zones, manifest_edit_zone},
        {manifest->n_classes, manifest_edit_class},
        {manifest->n_groups, manifest_edit_group},
        {manifest->n_reservations, manifest_edit_reservation},
        {manifest->n_vms, manifest_edit_vm},
    };

    if (!manifest_edit_settings(edit)) {
        return false;
    }
    edit->place = api_headroom_is_enforced(edit->plan->scratch);
    for (size_t list = 0; list < sizeof(lists) / sizeof(lists[0]); list++) {
        for (size_t i = 0; i < lists[list].count; i++) {
            arena_clear(&edit->scratch);
            if (!lists[list].edit(edit, i) || !manifest_check_size(edit)) {
                return false;
            }
        }
    }
    return manifest_edit_grants(edit);
}
