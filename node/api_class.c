/* SPDX-License-Identifier: Apache-2.0
 *
 * ClassService. */
#include "base/container.h"
#include "node/api_check.h"
#include "node/api_headroom.h"
#include "node/api_page.h"
#include "node/api_rules.h"
#include "node/api_size.h"
#include "node/class_zones.h"
#include "node/group_fields.h"
#include "node/view.h"

#include <stdio.h>

#include <holdfast/v1/class_service.pb-c.h>

#define OBJECT_ARENA_BYTES (256u << 10)

static bool check_class(struct api_reply *reply, const struct state *state,
                        const Holdfast__V1__Class *class,
                        struct api_amounts *amounts, uint64_t *mask)
{
    if (class == NULL) {
        api_fail(reply, API_INVALID_FIELD, "vm_class: must be given");
        return false;
    }
    if (class->uid != 0 || class->vm_count != 0 || class->revision != 0 ||
        class->create_time_ms != 0) {
        api_fail(reply, API_INVALID_FIELD,
                 "vm_class: uid, vm_count, revision and create_time_ms are "
                 "given by Holdfast; leave them out");
        return false;
    }
    if (!api_check_name(reply, "vm_class.name", class->name) ||
        !api_read_resources(reply, state, "vm_class.resources",
                            class->resources, amounts) ||
        !api_check_zones(reply, state, "vm_class.zones", class->zones,
                         class->n_zones, mask)) {
        return false;
    }
    if (state_class_named(state, text_of(class->name)) != NULL) {
        api_fail(reply, API_NAME_TAKEN, "there is a class '%s' already",
                 class->name);
        return false;
    }
    if (state_counts(state)->classes >= CLASSES_MAX) {
        api_fail(reply, API_TABLE_FULL, "the region holds %d classes already",
                 CLASSES_MAX);
        return false;
    }
    return true;
}

void api_create_class(const ProtobufCMessage *message, struct turn_plan *plan,
                      struct api_reply *reply)
{
    const Holdfast__V1__CreateClassRequest *request =
        (const Holdfast__V1__CreateClassRequest *)(const void *)message;
    Holdfast__V1__CreateClassResponse response =
        HOLDFAST__V1__CREATE_CLASS_RESPONSE__INIT;
    const Holdfast__V1__Class *class = request->vm_class;
    struct change change = {.kind = CHANGE_CLASS_CREATE};
    struct api_amounts amounts;
    struct arena arena;
    uint64_t mask;

    if (!check_class(reply, plan->scratch, class, &amounts, &mask) ||
        !api_check_range(reply, "expect_revision", request->expect_revision, 0,
                         0)) {
        return;
    }
    change.class_create = (struct change_class_create){
        .name = text_of(class->name),
        .resources = amounts.resources,
        .zone_mask = mask,
        .named = amounts.named,
        .named_count = amounts.named_count,
    };
    turn_change(plan, &change);
    arena_init(&arena, OBJECT_ARENA_BYTES);
    response.vm_class =
        view_class(&arena, plan->scratch,
                   state_class_named(plan->scratch, text_of(class->name)));
    response.revision = state_revision(plan->scratch);
    api_respond(reply, &response.base);
    arena_close(&arena);
}

static ProtobufCMessage *list_item(struct api_lister *lister,
                                   const struct api_page *page, uint32_t slot)
{
    const struct api_view *view = &page->view;
    const struct class *class = state_class_at(view->state, slot);

    (void)lister;
    return class == NULL || class->custom
               ? NULL
               : &view_class(view->arena, view->state, class)->base;
}

void api_list_classes(const ProtobufCMessage *message,
                      const struct api_view *view, struct api_reply *reply)
{
    const Holdfast__V1__ListClassesRequest *request =
        (const Holdfast__V1__ListClassesRequest *)(const void *)message;
    Holdfast__V1__ListClassesResponse response =
        HOLDFAST__V1__LIST_CLASSES_RESPONSE__INIT;
    struct api_lister lister = {.item = list_item};
    struct api_page page;

    if (!api_page_begin(&page, reply, view, request->page_size,
                        request->page_token)) {
        return;
    }
    api_page_fill(&page, &lister, state_class_slots(page.view.state));
    response.classes = (void *)page.items;
    response.n_classes = page.item_count;
    api_page_respond(&page, reply, &response.base);
}

void api_delete_class(const ProtobufCMessage *message, struct turn_plan *plan,
                      struct api_reply *reply)
{
    const Holdfast__V1__DeleteClassRequest *request =
        (const Holdfast__V1__DeleteClassRequest *)(const void *)message;
    Holdfast__V1__DeleteClassResponse response =
        HOLDFAST__V1__DELETE_CLASS_RESPONSE__INIT;
    const struct class *class =
        api_find_class(reply, plan->scratch, "name", request->name);
    struct change change = {.kind = CHANGE_CLASS_DELETE};
    struct arena arena;

    if (class == NULL || !api_check_revision(reply, request->expect_revision,
                                             class->revision, request->name)) {
        return;
    }
    if (class->vm_count > 0) {
        api_fail(reply, API_CLASS_IN_USE,
                 "%u VM%s of class '%s'; delete them first", class->vm_count,
                 class->vm_count == 1 ? " is" : "s are", class->name);
        return;
    }
    if (class->use_count > 0) {
        api_fail(reply, API_CLASS_IN_USE,
                 "%u group%s or reservation%s of class '%s'; delete them first",
                 class->use_count, class->use_count == 1 ? "" : "s",
                 class->use_count == 1 ? " is" : "s are", class->name);
        return;
    }
    arena_init(&arena, OBJECT_ARENA_BYTES);
    response.vm_class = view_class(&arena, plan->scratch, class);
    change.class_delete.class.uid = class->uid;
    turn_change(plan, &change);
    response.revision = state_revision(plan->scratch);
    api_respond(reply, &response.base);
    arena_close(&arena);
}

/* --- Updates ------------------------------------------------------------- */

static bool is_placed(const struct vm *vm)
{
    return vm->host != SLOT_NONE || vm_holds_claim(vm);
}

/* A host's sums are of what its VMs had when they came. */
static bool check_unused(struct api_reply *reply, const struct state *state,
                         const struct class *class)
{
    uint32_t class_slot = uid_slot(class->uid);

    if (class->vm_count == 0) {
        return true;
    }
    for (uint32_t slot = 0; slot < state_vm_slots(state); slot++) {
        const struct vm *vm = state_vm_at(state, slot);

        if (vm != NULL && vm->class_slot == class_slot && is_placed(vm)) {
            api_fail(reply, API_CLASS_IN_USE,
                     "vm_class.resources: VM '%s' of class '%s' is on a host; "
                     "stop all of them first",
                     vm->name, class->name);
            return false;
        }
    }
    return true;
}

/* No group may be left without a zone, and reservations stay where they are. */
static bool check_groups(struct api_reply *reply, const struct state *state,
                         const struct class *class, uint64_t mask)
{
    for (uint32_t slot = 0; slot < state_group_slots(state); slot++) {
        const struct group *group = state_group_at(state, slot);
        struct text pools[CHANGE_POOLS_MAX];
        char subject[3 * NAME_BYTES];
        struct group_fields fields;
        struct api_rules before;
        struct api_rules after;

        if (group == NULL || group->class_slot != uid_slot(class->uid)) {
            continue;
        }
        group_fields_read(state, group, &fields, pools);
        api_rules_of_group(&before, state, &fields);
        after = before;
        before.class_zones = class->zone_mask;
        after.class_zones = mask;
        snprintf(subject, sizeof(subject), "vm_class.zones: group '%s'",
                 group->name);
        if (!api_check_rules(reply, subject, &after, &before)) {
            return false;
        }
    }
    return true;
}

static bool check_reservations(struct api_reply *reply,
                               const struct state *state,
                               const struct class *class, uint64_t mask)
{
    for (uint32_t slot = 0; slot < state_reservation_slots(state); slot++) {
        const struct reservation *reservation =
            state_reservation_at(state, slot);

        if (reservation == NULL ||
            reservation->class_slot != uid_slot(class->uid) ||
            (mask >> reservation->zone & 1) != 0) {
            continue;
        }
        api_fail(reply, API_RULES_CONFLICT,
                 "vm_class.zones and the zone of reservation '%s' cannot both "
                 "be kept: zone '%s' would not offer the class; delete the "
                 "reservation first",
                 reservation->name,
                 state_zone_at(state, reservation->zone)->name);
        return false;
    }
    return true;
}

static bool take_zones(struct api_reply *reply, const struct state *state,
                       const struct class *class,
                       const Holdfast__V1__Class *message,
                       struct change_class_update *update)
{
    update->mask |= CLASS_UPDATE_ZONES;
    return api_check_zones(reply, state, "vm_class.zones", message->zones,
                           message->n_zones, &update->zone_mask) &&
           (update->zone_mask == 0 ||
            (check_groups(reply, state, class, update->zone_mask) &&
             check_reservations(reply, state, class, update->zone_mask)));
}

static bool take_fields(struct api_reply *reply, const struct state *state,
                        const struct class *class,
                        const Holdfast__V1__UpdateClassRequest *request,
                        struct change_class_update *update,
                        struct api_amounts *amounts)
{
    static const struct api_mask_field fields[] = {
        {"zones", CLASS_UPDATE_ZONES}, {"resources", CLASS_UPDATE_RESOURCES}};
    uint32_t mask;

    if (!api_check_mask(reply, request->update_mask, request->n_update_mask,
                        fields, ARRAY_LEN(fields), &mask) ||
        ((mask & CLASS_UPDATE_ZONES) != 0 &&
         !take_zones(reply, state, class, request->vm_class, update))) {
        return false;
    }
    if ((mask & CLASS_UPDATE_RESOURCES) != 0) {
        if (!api_read_resources(reply, state, "vm_class.resources",
                                request->vm_class->resources, amounts) ||
            !check_unused(reply, state, class)) {
            return false;
        }
        update->mask |= CLASS_UPDATE_RESOURCES;
        update->resources = amounts->resources;
        update->named = amounts->named;
        update->named_count = amounts->named_count;
    }
    return true;
}

void api_update_class(const ProtobufCMessage *message, struct turn_plan *plan,
                      struct api_reply *reply)
{
    const Holdfast__V1__UpdateClassRequest *request =
        (const Holdfast__V1__UpdateClassRequest *)(const void *)message;
    Holdfast__V1__UpdateClassResponse response =
        HOLDFAST__V1__UPDATE_CLASS_RESPONSE__INIT;
    struct change change = {.kind = CHANGE_CLASS_UPDATE};
    struct change_class_update *update = &change.class_update;
    char warning[512];
    char *warnings[] = {warning};
    const struct class *class;
    struct api_amounts amounts;
    struct arena arena;

    if (request->vm_class == NULL) {
        api_fail(reply, API_INVALID_FIELD, "vm_class: must be given");
        return;
    }
    class = api_find_class(reply, plan->scratch, "vm_class.name",
                           request->vm_class->name);
    if (class == NULL ||
        !api_check_revision(reply, request->expect_revision, class->revision,
                            request->vm_class->name)) {
        return;
    }
    change.class_update = (struct change_class_update){.class = {class->uid}};
    if (!take_fields(reply, plan->scratch, class, request, update, &amounts) ||
        ((update->mask & CLASS_UPDATE_ZONES) != 0 &&
         !api_check_class_headroom(reply, plan, class, update->zone_mask))) {
        return;
    }
    turn_change(plan, &change);
    arena_init(&arena, OBJECT_ARENA_BYTES);
    response.vm_class =
        view_class(&arena, plan->scratch,
                   state_class(plan->scratch, change.class_update.class));
    if ((update->mask & CLASS_UPDATE_ZONES) != 0 &&
        class_zones_outside(plan->scratch,
                            state_class(plan->scratch, update->class), warning,
                            sizeof(warning)) > 0) {
        response.warnings = warnings;
        response.n_warnings = 1;
    }
    response.revision = state_revision(plan->scratch);
    api_respond(reply, &response.base);
    arena_close(&arena);
}
