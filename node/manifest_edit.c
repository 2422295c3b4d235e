/* SPDX-License-Identifier: Apache-2.0 */
#include "node/manifest_edit.h"

#include "base/check.h"
#include "base/memory.h"
#include "node/api_check.h"
#include "node/api_headroom.h"
#include "node/api_vm.h"
#include "node/limits.h"
#include "node/view.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <holdfast/v1/class_service.pb-c.h>
#include <holdfast/v1/cluster_service.pb-c.h>
#include <holdfast/v1/group_service.pb-c.h>
#include <holdfast/v1/reservation_service.pb-c.h>
#include <holdfast/v1/zone_service.pb-c.h>

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
}

/* --- What is said of an object -------------------------------------------- */

/* A refusal of a single method becomes one of the manifest: "vm.name: ..." is
 * "vms[17].name: ...". */
static void fail_at(struct manifest_edit *edit, struct manifest_spot spot,
                    const struct api_reply *step)
{
    const struct manifest_kind *kind = manifest_kind(spot.kind);
    size_t len = strlen(kind->part);
    const char *words = step->message;
    char place[64];

    if (edit->reply->code != RPC_OK) {
        return;
    }
    edit->reply->code = step->code;
    edit->reply->reason = step->reason;
    snprintf(place, sizeof(place), "%s[%zu]", kind->list, spot.index);
    if (spot.kind == KIND(SETTINGS)) {
        snprintf(place, sizeof(place), "settings");
    }
    if (strncmp(words, kind->part, len) == 0 &&
        (words[len] == '.' || words[len] == ':')) {
        snprintf(edit->reply->message, sizeof(edit->reply->message), "%s%.440s",
                 place, words + len);
    } else if (strncmp(words, "name:", 5) == 0 ||
               strncmp(words, "count:", 6) == 0) {
        snprintf(edit->reply->message, sizeof(edit->reply->message),
                 "%s.%.440s", place, words);
    } else {
        snprintf(edit->reply->message, sizeof(edit->reply->message),
                 "%s: %.440s", place, words);
    }
}

/* Carries out a single method in the trial. */
static bool carry_out(struct manifest_edit *edit, struct manifest_spot spot,
                      void (*method)(const ProtobufCMessage *request,
                                     struct turn_plan *plan,
                                     struct api_reply *reply),
                      const ProtobufCMessage *request)
{
    struct api_reply step;
    bool good;

    api_reply_init(&step);
    method(request, edit->plan, &step);
    good = step.code == RPC_OK;
    if (!good) {
        fail_at(edit, spot, &step);
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
    };
    size_t *counts[MANIFEST_KINDS] = {
        [KIND(ZONE)] = &before->n_zones,
        [KIND(CLASS)] = &before->n_classes,
        [KIND(GROUP)] = &before->n_groups,
        [KIND(RESERVATION)] = &before->n_reservations,
        [KIND(VM)] = &before->n_vms,
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
    uint64_t expected = edit->request->expect_revision;

    if (expected == 0 || revision <= expected) {
        return true;
    }
    api_fail(edit->reply, API_REVISION_CONFLICT,
             "expect_revision: %s '%s' was changed at revision %" PRIu64
             ", after revision %" PRIu64,
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
static bool see(struct manifest_edit *edit, struct manifest_spot spot,
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
static bool check_wishes(struct manifest_edit *edit, struct manifest_spot spot,
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

/* What differs, if that can be changed and may be. */
static bool compare(struct manifest_edit *edit, struct manifest_spot spot,
                    const char *name, const ProtobufCMessage *wish,
                    const ProtobufCMessage *now, uint64_t revision,
                    struct manifest_diff *diff)
{
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
static size_t mask_of(const struct manifest_diff *diff,
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
static void add_edited(struct manifest_edit *edit,
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

/* --- Kinds -----------------------------------------------------------------
 */

static bool edit_settings(struct manifest_edit *edit)
{
    Holdfast__V1__UpdateSettingsRequest request =
        HOLDFAST__V1__UPDATE_SETTINGS_REQUEST__INIT;
    const struct manifest_spot spot = {KIND(SETTINGS), 0};
    const struct state *state = edit->plan->scratch;
    uint64_t revision = view_settings_revision(state);
    char *mask[MANIFEST_FIELDS_MAX];
    Holdfast__V1__Settings *now;
    struct manifest_diff diff;

    if (edit->request->manifest->settings == NULL) {
        return true;
    }
    if (!check_wishes(edit, spot, &edit->request->manifest->settings->base)) {
        return false;
    }
    now = view_settings(&edit->scratch, state);
    request.settings =
        manifest_settings(edit->request->manifest->settings, &edit->scratch);
    if (!compare(edit, spot, "settings", &request.settings->base, &now->base,
                 revision, &diff)) {
        return false;
    }
    request.n_update_mask = mask_of(&diff, mask);
    request.update_mask = mask;
    if (diff.count > 0 &&
        !carry_out(edit, spot, api_update_settings, &request.base)) {
        return false;
    }
    add_edited(edit, spot.kind, "", view_settings_revision(state), &now->base,
               &diff);
    return true;
}

static bool cordon(struct manifest_edit *edit, struct manifest_spot spot,
                   char *name, bool cordoned)
{
    Holdfast__V1__CordonZoneRequest on =
        HOLDFAST__V1__CORDON_ZONE_REQUEST__INIT;
    Holdfast__V1__UncordonZoneRequest off =
        HOLDFAST__V1__UNCORDON_ZONE_REQUEST__INIT;

    on.name = name;
    off.name = name;
    return cordoned ? carry_out(edit, spot, api_cordon_zone, &on.base)
                    : carry_out(edit, spot, api_uncordon_zone, &off.base);
}

static bool edit_zone(struct manifest_edit *edit, size_t index)
{
    const Holdfast__V1__Zone *wish = edit->request->manifest->zones[index];
    const struct manifest_spot spot = {KIND(ZONE), index};
    const struct state *state = edit->plan->scratch;
    const struct zone *zone = state_zone_named(state, text_of(wish->name));
    Holdfast__V1__CreateZoneRequest request =
        HOLDFAST__V1__CREATE_ZONE_REQUEST__INIT;
    const ProtobufCMessage *now;
    struct manifest_diff diff;

    if (!check_wishes(edit, spot, &wish->base)) {
        return false;
    }
    if (zone == NULL) {
        request.name = wish->name;
        if (!carry_out(edit, spot, api_create_zone, &request.base) ||
            (wish->cordoned && !cordon(edit, spot, wish->name, true))) {
            return false;
        }
        zone = state_zone_named(state, text_of(wish->name));
        manifest_add(edit, spot.kind, wish->name, ACTION(CREATED),
                     zone->revision);
        return see(edit, spot, wish->name, zone->uid);
    }
    now = &view_zone(&edit->scratch, state, zone, NULL)->base;
    if (!see(edit, spot, wish->name, zone->uid) ||
        !compare(edit, spot, wish->name, &wish->base, now, zone->revision,
                 &diff) ||
        (diff.count > 0 && !cordon(edit, spot, wish->name, wish->cordoned))) {
        return false;
    }
    add_edited(edit, spot.kind, wish->name,
               state_zone_named(state, text_of(wish->name))->revision, now,
               &diff);
    return true;
}

static bool edit_class(struct manifest_edit *edit, size_t index)
{
    Holdfast__V1__Class *wish = edit->request->manifest->classes[index];
    const struct manifest_spot spot = {KIND(CLASS), index};
    const struct state *state = edit->plan->scratch;
    const struct class *class = state_class_named(state, text_of(wish->name));
    Holdfast__V1__CreateClassRequest create =
        HOLDFAST__V1__CREATE_CLASS_REQUEST__INIT;
    Holdfast__V1__UpdateClassRequest update =
        HOLDFAST__V1__UPDATE_CLASS_REQUEST__INIT;
    char *mask[MANIFEST_FIELDS_MAX];
    const ProtobufCMessage *now;
    struct manifest_diff diff;

    if (!check_wishes(edit, spot, &wish->base)) {
        return false;
    }
    if (class == NULL || class->custom) {
        create.vm_class = wish;
        if (!carry_out(edit, spot, api_create_class, &create.base)) {
            return false;
        }
        class = state_class_named(state, text_of(wish->name));
        manifest_add(edit, spot.kind, wish->name, ACTION(CREATED),
                     class->revision);
        return see(edit, spot, wish->name, class->uid);
    }
    now = &view_class(&edit->scratch, state, class)->base;
    update.vm_class = manifest_class(wish, &edit->scratch);
    if (!see(edit, spot, wish->name, class->uid) ||
        !compare(edit, spot, wish->name, &update.vm_class->base, now,
                 class->revision, &diff)) {
        return false;
    }
    update.n_update_mask = mask_of(&diff, mask);
    update.update_mask = mask;
    if (diff.count > 0 &&
        !carry_out(edit, spot, api_update_class, &update.base)) {
        return false;
    }
    add_edited(edit, spot.kind, wish->name,
               state_class_named(state, text_of(wish->name))->revision, now,
               &diff);
    return true;
}

static bool update_group(struct manifest_edit *edit, struct manifest_spot spot,
                         Holdfast__V1__Group *wish,
                         const struct manifest_diff *diff)
{
    Holdfast__V1__UpdateGroupRequest update =
        HOLDFAST__V1__UPDATE_GROUP_REQUEST__INIT;
    char *mask[MANIFEST_FIELDS_MAX];

    update.group = wish;
    update.n_update_mask = mask_of(diff, mask);
    update.update_mask = mask;
    return update.n_update_mask == 0 ||
           carry_out(edit, spot, api_update_group, &update.base);
}

static bool scale_group(struct manifest_edit *edit, struct manifest_spot spot,
                        const Holdfast__V1__Group *wish,
                        const struct manifest_diff *diff)
{
    Holdfast__V1__ScaleGroupRequest scale =
        HOLDFAST__V1__SCALE_GROUP_REQUEST__INIT;

    scale.name = wish->name;
    scale.count = wish->count;
    return !manifest_differs_in(diff, "count") ||
           carry_out(edit, spot, api_scale_group, &scale.base);
}

/* Between the two the group must be one that could be: fewer members first,
 * more of them last. */
static bool change_group(struct manifest_edit *edit, struct manifest_spot spot,
                         const struct group *group, Holdfast__V1__Group *wish,
                         const struct manifest_diff *diff)
{
    if (wish->count < group->count) {
        return scale_group(edit, spot, wish, diff) &&
               update_group(edit, spot, wish, diff);
    }
    return update_group(edit, spot, wish, diff) &&
           scale_group(edit, spot, wish, diff);
}

static bool edit_group(struct manifest_edit *edit, size_t index)
{
    Holdfast__V1__Group *wish = edit->request->manifest->groups[index];
    const struct manifest_spot spot = {KIND(GROUP), index};
    const struct state *state = edit->plan->scratch;
    const struct group *group = state_group_named(state, text_of(wish->name));
    Holdfast__V1__CreateGroupRequest create =
        HOLDFAST__V1__CREATE_GROUP_REQUEST__INIT;
    const ProtobufCMessage *now;
    struct manifest_diff diff;
    Holdfast__V1__Group *whole;

    if (!check_wishes(edit, spot, &wish->base)) {
        return false;
    }
    if (group == NULL) {
        create.group = wish;
        if (!carry_out(edit, spot, api_create_group, &create.base)) {
            return false;
        }
        group = state_group_named(state, text_of(wish->name));
        manifest_add(edit, spot.kind, wish->name, ACTION(CREATED),
                     group->revision);
        return see(edit, spot, wish->name, group->uid);
    }
    if (group->deleting) {
        api_fail(edit->reply, API_GROUP_DELETING,
                 "groups[%zu].name: the delete of group '%s' was accepted and "
                 "is final; apply again when it is gone",
                 index, wish->name);
        return false;
    }
    now = &view_group(&edit->scratch, state, group, GROUP_ALL)->base;
    whole = manifest_group(wish, &edit->scratch);
    if (!see(edit, spot, wish->name, group->uid) ||
        !compare(edit, spot, wish->name, &whole->base, now, group->revision,
                 &diff) ||
        !change_group(edit, spot, group, whole, &diff)) {
        return false;
    }
    add_edited(edit, spot.kind, wish->name,
               state_group_named(state, text_of(wish->name))->revision, now,
               &diff);
    return true;
}

static bool edit_reservation(struct manifest_edit *edit, size_t index)
{
    Holdfast__V1__Reservation *wish =
        edit->request->manifest->reservations[index];
    const struct manifest_spot spot = {KIND(RESERVATION), index};
    const struct state *state = edit->plan->scratch;
    const struct reservation *reservation =
        state_reservation_named(state, text_of(wish->name));
    Holdfast__V1__CreateReservationRequest create =
        HOLDFAST__V1__CREATE_RESERVATION_REQUEST__INIT;
    Holdfast__V1__UpdateReservationRequest update =
        HOLDFAST__V1__UPDATE_RESERVATION_REQUEST__INIT;
    const ProtobufCMessage *now;
    struct manifest_diff diff;

    if (!check_wishes(edit, spot, &wish->base)) {
        return false;
    }
    if (reservation == NULL) {
        create.reservation = wish;
        if (!carry_out(edit, spot, api_create_reservation, &create.base)) {
            return false;
        }
        reservation = state_reservation_named(state, text_of(wish->name));
        manifest_add(edit, spot.kind, wish->name, ACTION(CREATED),
                     reservation->revision);
        return see(edit, spot, wish->name, reservation->uid);
    }
    now = &view_reservation(&edit->scratch, state, reservation, NULL)->base;
    update.name = wish->name;
    update.count = wish->count;
    if (!see(edit, spot, wish->name, reservation->uid) ||
        !compare(edit, spot, wish->name, &wish->base, now,
                 reservation->revision, &diff) ||
        (diff.count > 0 &&
         !carry_out(edit, spot, api_update_reservation, &update.base))) {
        return false;
    }
    add_edited(edit, spot.kind, wish->name,
               state_reservation_named(state, text_of(wish->name))->revision,
               now, &diff);
    return true;
}

/* --- VMs --------------------------------------------------------------------
 */

/* With headroom enforced, all that is to run is placed in the decision: else
 * each of it could be proved alone and not all of it together. */
static bool check_placed(struct manifest_edit *edit, struct manifest_spot spot,
                         const Holdfast__V1__Vm *wish)
{
    if (!edit->place ||
        wish->desired == HOLDFAST__V1__DESIRED_STATE__DESIRED_STATE_STOPPED) {
        return true;
    }
    if (++edit->placed <= API_TRIED_MEMBERS_MAX) {
        return true;
    }
    api_fail(edit->reply, API_MANIFEST_TOO_LARGE,
             "vms[%zu]: with `headroom: enforce` at most %d VMs are made or "
             "started at once; split the file and apply its parts one after "
             "the other",
             spot.index, API_TRIED_MEMBERS_MAX);
    return false;
}

static bool make_vm(struct manifest_edit *edit, struct manifest_spot spot,
                    const Holdfast__V1__Vm *wish)
{
    const struct vm *made;
    struct api_reply step;
    bool good;

    if (!check_placed(edit, spot, wish)) {
        return false;
    }
    api_reply_init(&step);
    good = api_vm_make(&step, edit->plan, wish, edit->place);
    if (!good) {
        fail_at(edit, spot, &step);
    }
    api_reply_close(&step);
    if (!good) {
        return false;
    }
    made = state_vm_named(edit->plan->scratch, text_of(wish->name));
    manifest_add(edit, spot.kind, wish->name, ACTION(CREATED), made->revision);
    return see(edit, spot, wish->name, made->uid);
}

static bool check_own(struct manifest_edit *edit, struct manifest_spot spot,
                      const struct vm *vm)
{
    if (vm->deleting) {
        api_fail(edit->reply, API_VM_DELETING,
                 "vms[%zu].name: the delete of VM '%s' was accepted and is "
                 "final; apply again when it is gone",
                 spot.index, vm->name);
        return false;
    }
    if (vm->template_generation != 0) {
        api_fail(edit->reply, API_NAME_TAKEN,
                 "vms[%zu].name: VM '%s' is made from its group's template; "
                 "leave it out, or give the new one another name",
                 spot.index, vm->name);
        return false;
    }
    return true;
}

static bool change_vm(struct manifest_edit *edit, struct manifest_spot spot,
                      Holdfast__V1__Vm *wish, const struct manifest_diff *diff)
{
    Holdfast__V1__UpdateVmRequest update =
        HOLDFAST__V1__UPDATE_VM_REQUEST__INIT;
    char *mask[MANIFEST_FIELDS_MAX];
    const struct vm *vm;
    struct api_reply step;
    bool good = true;

    update.vm = wish;
    update.n_update_mask = mask_of(diff, mask);
    update.update_mask = mask;
    api_reply_init(&step);
    if (update.n_update_mask > 0) {
        good = api_vm_change(&step, edit->plan, &update);
    }
    if (good && manifest_differs_in(diff, "desired")) {
        good = check_placed(edit, spot, wish);
        vm = state_vm_named(edit->plan->scratch, text_of(wish->name));
        good = good &&
               api_vm_desire(&step, edit->plan, vm,
                             (enum desired_state)wish->desired, edit->place);
    }
    if (!good) {
        fail_at(edit, spot, &step);
    }
    api_reply_close(&step);
    return good;
}

static bool edit_vm(struct manifest_edit *edit, size_t index)
{
    const Holdfast__V1__Vm *wish = edit->request->manifest->vms[index];
    const struct manifest_spot spot = {KIND(VM), index};
    const struct state *state = edit->plan->scratch;
    const struct vm *vm = state_vm_named(state, text_of(wish->name));
    const ProtobufCMessage *now;
    Holdfast__V1__Vm *whole;
    struct manifest_diff diff;

    if (!check_wishes(edit, spot, &wish->base)) {
        return false;
    }
    if (vm == NULL) {
        return make_vm(edit, spot, wish);
    }
    now = &view_vm(&edit->scratch, state, vm, false, NULL)->base;
    whole = manifest_vm(wish, &edit->scratch);
    if (!see(edit, spot, wish->name, vm->uid) || !check_own(edit, spot, vm) ||
        !compare(edit, spot, wish->name, &whole->base, now, vm->revision,
                 &diff) ||
        !change_vm(edit, spot, whole, &diff)) {
        return false;
    }
    add_edited(edit, spot.kind, wish->name,
               state_vm_named(state, text_of(wish->name))->revision, now,
               &diff);
    return true;
}

bool manifest_edit_objects(struct manifest_edit *edit)
{
    const Holdfast__V1__Manifest *manifest = edit->request->manifest;
    const struct {
        size_t count;
        bool (*edit)(struct manifest_edit *edit, size_t index);
    } lists[] = {
        {manifest->n_zones, edit_zone},
        {manifest->n_classes, edit_class},
        {manifest->n_groups, edit_group},
        {manifest->n_reservations, edit_reservation},
        {manifest->n_vms, edit_vm},
    };

    if (!edit_settings(edit)) {
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
    return true;
}
