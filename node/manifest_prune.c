/* SPDX-License-Identifier: Apache-2.0
 *
 * What a manifest does not name goes: VMs first, then groups, reservations,
 * classes and grants. What cannot go yet, because hosts have to confirm a stop
 * first, stays and is told; the next apply finds it gone or takes it. */
#include "node/api_check.h"
#include "node/api_vm.h"
#include "node/manifest_edit.h"
#include "node/view.h"

#include <stdio.h>

#include <holdfast/v1/class_service.pb-c.h>
#include <holdfast/v1/group_service.pb-c.h>
#include <holdfast/v1/reservation_service.pb-c.h>

#define KIND(NAME)   HOLDFAST__V1__MANIFEST_KIND__MANIFEST_KIND_##NAME
#define ACTION(NAME) HOLDFAST__V1__MANIFEST_ACTION__MANIFEST_ACTION_##NAME

static bool is_named(const struct manifest_edit *edit,
                     Holdfast__V1__ManifestKind kind, uint64_t uid)
{
    return map_get(&edit->seen[kind], uid) != NULL;
}

static void keep(struct manifest_edit *edit, Holdfast__V1__ManifestKind kind,
                 const char *name, uint64_t revision, const char *why)
{
    manifest_add(edit, kind, name, ACTION(KEPT), revision)->message =
        view_string(edit->arena, why);
}

bool manifest_delete(struct manifest_edit *edit,
                     Holdfast__V1__ManifestKind kind, const char *name,
                     uint64_t revision,
                     void (*method)(const ProtobufCMessage *request,
                                    struct turn_plan *plan,
                                    struct api_reply *reply),
                     const ProtobufCMessage *request)
{
    const char *noun = manifest_kind(kind)->noun;
    struct api_reply step;

    if (!manifest_check_revision(edit, kind, name, revision)) {
        return false;
    }
    manifest_add(edit, kind, name, ACTION(DELETED), revision);
    api_reply_init(&step);
    method(request, edit->plan, &step);
    if (step.code != RPC_OK) {
        edit->reply->code = step.code;
        edit->reply->reason = step.reason;
        snprintf(edit->reply->message, sizeof(edit->reply->message),
                 "prune: %s '%s' is not in the manifest and cannot be deleted: "
                 "%.360s",
                 noun, name, step.message);
    }
    api_reply_close(&step);
    return edit->reply->code == RPC_OK && manifest_check_size(edit);
}

static bool prune_vms(struct manifest_edit *edit)
{
    const struct state *state = edit->plan->scratch;

    for (uint32_t slot = 0; slot < state_vm_slots(state); slot++) {
        const struct vm *vm = state_vm_at(state, slot);

        if (vm == NULL || vm->deleting || vm->template_generation != 0 ||
            is_named(edit, KIND(VM), vm->uid)) {
            continue;
        }
        if (!manifest_check_revision(edit, KIND(VM), vm->name, vm->revision)) {
            return false;
        }
        manifest_add(edit, KIND(VM), vm->name, ACTION(DELETED), vm->revision);
        api_vm_remove(edit->plan, vm);
        if (!manifest_check_size(edit)) {
            return false;
        }
    }
    return true;
}

static bool prune_groups(struct manifest_edit *edit)
{
    const struct state *state = edit->plan->scratch;

    for (uint32_t slot = 0; slot < state_group_slots(state); slot++) {
        const struct group *group = state_group_at(state, slot);
        Holdfast__V1__DeleteGroupRequest request =
            HOLDFAST__V1__DELETE_GROUP_REQUEST__INIT;
        char name[NAME_BYTES];

        if (group == NULL || group->deleting ||
            is_named(edit, KIND(GROUP), group->uid)) {
            continue;
        }
        snprintf(name, sizeof(name), "%s", group->name);
        request.name = name;
        if (!manifest_delete(edit, KIND(GROUP), name, group->revision,
                             api_delete_group, &request.base)) {
            return false;
        }
    }
    return true;
}

static bool prune_reservations(struct manifest_edit *edit)
{
    const struct state *state = edit->plan->scratch;

    for (uint32_t slot = 0; slot < state_reservation_slots(state); slot++) {
        const struct reservation *reservation =
            state_reservation_at(state, slot);
        Holdfast__V1__DeleteReservationRequest request =
            HOLDFAST__V1__DELETE_RESERVATION_REQUEST__INIT;
        char name[NAME_BYTES];

        if (reservation == NULL ||
            is_named(edit, KIND(RESERVATION), reservation->uid)) {
            continue;
        }
        snprintf(name, sizeof(name), "%s", reservation->name);
        request.name = name;
        if (!manifest_delete(edit, KIND(RESERVATION), name,
                             reservation->revision, api_delete_reservation,
                             &request.base)) {
            return false;
        }
    }
    return true;
}

/* Classes that only wait for what is being deleted, by slot. */
static void count_leaving(const struct state *state,
                          uint32_t leaving[CLASSES_MAX])
{
    for (uint32_t slot = 0; slot < state_vm_slots(state); slot++) {
        const struct vm *vm = state_vm_at(state, slot);

        if (vm != NULL &&
            (vm->deleting ||
             (vm->group_plus1 != 0 &&
              state_group_at(state, vm->group_plus1 - 1)->deleting))) {
            leaving[vm->class_slot]++;
        }
    }
    for (uint32_t slot = 0; slot < state_group_slots(state); slot++) {
        const struct group *group = state_group_at(state, slot);

        if (group != NULL && group->deleting &&
            group->class_slot != SLOT_NONE) {
            leaving[group->class_slot]++;
        }
    }
}

static bool prune_class(struct manifest_edit *edit, const struct class *class,
                        uint32_t leaving)
{
    Holdfast__V1__DeleteClassRequest request =
        HOLDFAST__V1__DELETE_CLASS_REQUEST__INIT;
    char name[NAME_BYTES];

    if (leaving > 0 && leaving == class->vm_count + class->use_count) {
        keep(edit, KIND(CLASS), class->name, class->revision,
             "what is of this class is still being deleted; apply again when "
             "it is gone");
        return true;
    }
    snprintf(name, sizeof(name), "%s", class->name);
    request.name = name;
    return manifest_delete(edit, KIND(CLASS), name, class->revision,
                           api_delete_class, &request.base);
}

static bool prune_classes(struct manifest_edit *edit)
{
    const struct state *state = edit->plan->scratch;
    uint32_t *leaving = view_alloc(edit->arena, CLASSES_MAX * sizeof(*leaving));

    for (size_t i = 0; i < CLASSES_MAX; i++) {
        leaving[i] = 0;
    }
    count_leaving(state, leaving);
    for (uint32_t slot = 0; slot < state_class_slots(state); slot++) {
        const struct class *class = state_class_at(state, slot);

        if (class != NULL && !class->custom &&
            !is_named(edit, KIND(CLASS), class->uid) &&
            !prune_class(edit, class, leaving[slot])) {
            return false;
        }
    }
    return true;
}

static void keep_zones(struct manifest_edit *edit)
{
    const struct state *state = edit->plan->scratch;

    for (uint32_t slot = 0; slot < state_zone_slots(state); slot++) {
        const struct zone *zone = state_zone_at(state, slot);

        if (zone != NULL && !is_named(edit, KIND(ZONE), zone->uid)) {
            keep(edit, KIND(ZONE), zone->name, zone->revision,
                 "zones are never deleted");
        }
    }
}

bool manifest_edit_prune(struct manifest_edit *edit)
{
    if (!prune_vms(edit) || !prune_groups(edit) || !prune_reservations(edit) ||
        !prune_classes(edit) || !manifest_prune_grants(edit)) {
        return false;
    }
    keep_zones(edit);
    return true;
}
