/* SPDX-License-Identifier: Apache-2.0
 *
 * The objects of a manifest, kind by kind: made, changed by the single methods,
 * or left alone. */
#include "node/api_check.h"
#include "node/api_headroom.h"
#include "node/api_vm.h"
#include "node/manifest_edit.h"
#include "node/view.h"

#include <holdfast/v1/class_service.pb-c.h>
#include <holdfast/v1/cluster_service.pb-c.h>
#include <holdfast/v1/group_service.pb-c.h>
#include <holdfast/v1/reservation_service.pb-c.h>
#include <holdfast/v1/zone_service.pb-c.h>

#define KIND(NAME)   HOLDFAST__V1__MANIFEST_KIND__MANIFEST_KIND_##NAME
#define ACTION(NAME) HOLDFAST__V1__MANIFEST_ACTION__MANIFEST_ACTION_##NAME

bool manifest_edit_settings(struct manifest_edit *edit)
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
    if (!manifest_check_wishes(edit, spot,
                               &edit->request->manifest->settings->base)) {
        return false;
    }
    now = view_settings(&edit->scratch, state);
    request.settings =
        manifest_settings(edit->request->manifest->settings, &edit->scratch);
    if (!manifest_check_diff(edit, spot, &request.settings->base, &now->base,
                             revision, &diff)) {
        return false;
    }
    request.n_update_mask = manifest_mask(&diff, mask);
    request.update_mask = mask;
    if (diff.count > 0 &&
        !manifest_carry_out(edit, spot, api_update_settings, &request.base)) {
        return false;
    }
    manifest_add_edited(edit, spot.kind, "", view_settings_revision(state),
                        &now->base, &diff);
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
    return cordoned
               ? manifest_carry_out(edit, spot, api_cordon_zone, &on.base)
               : manifest_carry_out(edit, spot, api_uncordon_zone, &off.base);
}

bool manifest_edit_zone(struct manifest_edit *edit, size_t index)
{
    const Holdfast__V1__Zone *wish = edit->request->manifest->zones[index];
    const struct manifest_spot spot = {KIND(ZONE), index};
    const struct state *state = edit->plan->scratch;
    const struct zone *zone = state_zone_named(state, text_of(wish->name));
    Holdfast__V1__CreateZoneRequest request =
        HOLDFAST__V1__CREATE_ZONE_REQUEST__INIT;
    const ProtobufCMessage *now;
    struct manifest_diff diff;

    if (!manifest_check_wishes(edit, spot, &wish->base)) {
        return false;
    }
    if (zone == NULL) {
        request.name = wish->name;
        if (!manifest_carry_out(edit, spot, api_create_zone, &request.base) ||
            (wish->cordoned && !cordon(edit, spot, wish->name, true))) {
            return false;
        }
        zone = state_zone_named(state, text_of(wish->name));
        manifest_add(edit, spot.kind, wish->name, ACTION(CREATED),
                     zone->revision);
        return manifest_see(edit, spot, wish->name, zone->uid);
    }
    now = &view_zone(&edit->scratch, state, zone, NULL)->base;
    if (!manifest_see(edit, spot, wish->name, zone->uid) ||
        !manifest_check_diff(edit, spot, &wish->base, now, zone->revision,
                             &diff) ||
        (diff.count > 0 && !cordon(edit, spot, wish->name, wish->cordoned))) {
        return false;
    }
    manifest_add_edited(edit, spot.kind, wish->name,
                        state_zone_named(state, text_of(wish->name))->revision,
                        now, &diff);
    return true;
}

bool manifest_edit_class(struct manifest_edit *edit, size_t index)
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

    if (!manifest_check_wishes(edit, spot, &wish->base)) {
        return false;
    }
    if (class == NULL || class->custom) {
        create.vm_class = wish;
        if (!manifest_carry_out(edit, spot, api_create_class, &create.base)) {
            return false;
        }
        class = state_class_named(state, text_of(wish->name));
        manifest_add(edit, spot.kind, wish->name, ACTION(CREATED),
                     class->revision);
        return manifest_see(edit, spot, wish->name, class->uid);
    }
    now = &view_class(&edit->scratch, state, class)->base;
    update.vm_class = manifest_class(wish, &edit->scratch);
    if (!manifest_see(edit, spot, wish->name, class->uid) ||
        !manifest_check_diff(edit, spot, &update.vm_class->base, now,
                             class->revision, &diff)) {
        return false;
    }
    update.n_update_mask = manifest_mask(&diff, mask);
    update.update_mask = mask;
    if (diff.count > 0 &&
        !manifest_carry_out(edit, spot, api_update_class, &update.base)) {
        return false;
    }
    manifest_add_edited(edit, spot.kind, wish->name,
                        state_class_named(state, text_of(wish->name))->revision,
                        now, &diff);
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
    update.n_update_mask = manifest_mask(diff, mask);
    update.update_mask = mask;
    return update.n_update_mask == 0 ||
           manifest_carry_out(edit, spot, api_update_group, &update.base);
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
           manifest_carry_out(edit, spot, api_scale_group, &scale.base);
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

bool manifest_edit_group(struct manifest_edit *edit, size_t index)
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

    if (!manifest_check_wishes(edit, spot, &wish->base)) {
        return false;
    }
    if (group == NULL) {
        create.group = wish;
        if (!manifest_carry_out(edit, spot, api_create_group, &create.base)) {
            return false;
        }
        group = state_group_named(state, text_of(wish->name));
        manifest_add(edit, spot.kind, wish->name, ACTION(CREATED),
                     group->revision);
        return manifest_see(edit, spot, wish->name, group->uid);
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
    if (!manifest_see(edit, spot, wish->name, group->uid) ||
        !manifest_check_diff(edit, spot, &whole->base, now, group->revision,
                             &diff) ||
        !change_group(edit, spot, group, whole, &diff)) {
        return false;
    }
    manifest_add_edited(edit, spot.kind, wish->name,
                        state_group_named(state, text_of(wish->name))->revision,
                        now, &diff);
    return true;
}

bool manifest_edit_reservation(struct manifest_edit *edit, size_t index)
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

    if (!manifest_check_wishes(edit, spot, &wish->base)) {
        return false;
    }
    if (reservation == NULL) {
        create.reservation = wish;
        if (!manifest_carry_out(edit, spot, api_create_reservation,
                                &create.base)) {
            return false;
        }
        reservation = state_reservation_named(state, text_of(wish->name));
        manifest_add(edit, spot.kind, wish->name, ACTION(CREATED),
                     reservation->revision);
        return manifest_see(edit, spot, wish->name, reservation->uid);
    }
    now = &view_reservation(&edit->scratch, state, reservation, NULL)->base;
    update.name = wish->name;
    update.count = wish->count;
    if (!manifest_see(edit, spot, wish->name, reservation->uid) ||
        !manifest_check_diff(edit, spot, &wish->base, now,
                             reservation->revision, &diff) ||
        (diff.count > 0 &&
         !manifest_carry_out(edit, spot, api_update_reservation,
                             &update.base))) {
        return false;
    }
    manifest_add_edited(
        edit, spot.kind, wish->name,
        state_reservation_named(state, text_of(wish->name))->revision, now,
        &diff);
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
        manifest_fail(edit, spot, &step);
    }
    api_reply_close(&step);
    if (!good) {
        return false;
    }
    made = state_vm_named(edit->plan->scratch, text_of(wish->name));
    manifest_add(edit, spot.kind, wish->name, ACTION(CREATED), made->revision);
    return manifest_see(edit, spot, wish->name, made->uid);
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
    update.n_update_mask = manifest_mask(diff, mask);
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
        manifest_fail(edit, spot, &step);
    }
    api_reply_close(&step);
    return good;
}

bool manifest_edit_vm(struct manifest_edit *edit, size_t index)
{
    const Holdfast__V1__Vm *wish = edit->request->manifest->vms[index];
    const struct manifest_spot spot = {KIND(VM), index};
    const struct state *state = edit->plan->scratch;
    const struct vm *vm = state_vm_named(state, text_of(wish->name));
    const ProtobufCMessage *now;
    Holdfast__V1__Vm *whole;
    struct manifest_diff diff;

    if (!manifest_check_wishes(edit, spot, &wish->base)) {
        return false;
    }
    if (vm == NULL) {
        return make_vm(edit, spot, wish);
    }
    now = &view_vm(&edit->scratch, state, vm, false, NULL)->base;
    whole = manifest_vm(wish, &edit->scratch);
    if (!manifest_see(edit, spot, wish->name, vm->uid) ||
        !check_own(edit, spot, vm) ||
        !manifest_check_diff(edit, spot, &whole->base, now, vm->revision,
                             &diff) ||
        !change_vm(edit, spot, whole, &diff)) {
        return false;
    }
    manifest_add_edited(edit, spot.kind, wish->name,
                        state_vm_named(state, text_of(wish->name))->revision,
                        now, &diff);
    return true;
}
