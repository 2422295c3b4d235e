/* SPDX-License-Identifier: Apache-2.0
 *
 * ZoneService and ClassService. */
#include "base/check.h"
#include "node/api_check.h"
#include "node/view.h"

#include <stdio.h>
#include <string.h>

#include <holdfast/v1/class_service.pb-c.h>
#include <holdfast/v1/zone_service.pb-c.h>

#define OBJECT_ARENA_BYTES (256u << 10)

void api_create_zone(const ProtobufCMessage *message, struct turn_plan *plan,
                     struct api_reply *reply)
{
    const Holdfast__V1__CreateZoneRequest *request =
        (const Holdfast__V1__CreateZoneRequest *)(const void *)message;
    Holdfast__V1__CreateZoneResponse response =
        HOLDFAST__V1__CREATE_ZONE_RESPONSE__INIT;
    struct change change = {.kind = CHANGE_ZONE_CREATE};
    struct arena arena;

    if (!api_check_name(reply, "name", request->name) ||
        !api_check_range(reply, "expect_revision", request->expect_revision, 0,
                         0)) {
        return;
    }
    if (state_zone_named(plan->scratch, text_of(request->name)) != NULL) {
        api_fail(reply, API_NAME_TAKEN, "there is a zone '%s' already",
                 request->name);
        return;
    }
    if (state_counts(plan->scratch)->zones >= ZONES_MAX) {
        api_fail(reply, API_TABLE_FULL, "the region holds %d zones already",
                 ZONES_MAX);
        return;
    }
    change.zone_create.name = text_of(request->name);
    turn_change(plan, &change);
    arena_init(&arena, OBJECT_ARENA_BYTES);
    response.zone =
        view_zone(&arena, plan->scratch,
                  state_zone_named(plan->scratch, text_of(request->name)));
    response.revision = state_revision(plan->scratch);
    api_respond(reply, &response.base);
    arena_close(&arena);
}

void api_get_zone(const ProtobufCMessage *message, const struct api_view *view,
                  struct api_reply *reply)
{
    const Holdfast__V1__GetZoneRequest *request =
        (const Holdfast__V1__GetZoneRequest *)(const void *)message;
    Holdfast__V1__GetZoneResponse response =
        HOLDFAST__V1__GET_ZONE_RESPONSE__INIT;
    const struct zone *zone =
        api_find_zone(reply, view->state, "name", request->name);

    if (zone == NULL) {
        return;
    }
    response.zone = view_zone(view->arena, view->state, zone);
    response.age_ms = view->age_ms;
    response.revision = state_revision(view->state);
    api_respond(reply, &response.base);
}

void api_list_zones(const ProtobufCMessage *message,
                    const struct api_view *view, struct api_reply *reply)
{
    const Holdfast__V1__ListZonesRequest *request =
        (const Holdfast__V1__ListZonesRequest *)(const void *)message;
    Holdfast__V1__ListZonesResponse response =
        HOLDFAST__V1__LIST_ZONES_RESPONSE__INIT;
    char token[16] = "";
    uint32_t slot;
    uint32_t count;

    if (!api_check_page(reply, request->page_size, request->page_token, &slot,
                        &count)) {
        return;
    }
    response.zones =
        view_alloc(view->arena, ZONES_MAX * sizeof(*response.zones));
    for (; slot < state_zone_slots(view->state); slot++) {
        const struct zone *zone = state_zone_at(view->state, slot);

        if (zone == NULL) {
            continue;
        }
        if (response.n_zones == count) {
            snprintf(token, sizeof(token), "%u", slot);
            break;
        }
        response.zones[response.n_zones++] =
            view_zone(view->arena, view->state, zone);
    }
    response.next_page_token = token;
    response.age_ms = view->age_ms;
    response.revision = state_revision(view->state);
    api_respond(reply, &response.base);
}

/* Sets the zone's cordon; the zone, or NULL when the reply has failed. */
static const struct zone *cordon_zone(struct api_reply *reply,
                                      struct turn_plan *plan, const char *name,
                                      uint64_t expect_revision, bool cordoned)
{
    struct change change = {.kind = CHANGE_ZONE_CORDON};
    const struct zone *zone = api_find_zone(reply, plan->scratch, "name", name);
    struct zone_id id;

    if (zone == NULL ||
        !api_check_revision(reply, expect_revision, zone->revision, name)) {
        return NULL;
    }
    id.uid = zone->uid;
    if (zone->cordoned != (cordoned ? 1 : 0)) {
        change.zone_cordon = (struct change_zone_cordon){id, cordoned};
        turn_change(plan, &change);
    }
    return state_zone(plan->scratch, id);
}

void api_cordon_zone(const ProtobufCMessage *message, struct turn_plan *plan,
                     struct api_reply *reply)
{
    const Holdfast__V1__CordonZoneRequest *request =
        (const Holdfast__V1__CordonZoneRequest *)(const void *)message;
    Holdfast__V1__CordonZoneResponse response =
        HOLDFAST__V1__CORDON_ZONE_RESPONSE__INIT;
    const struct zone *zone =
        cordon_zone(reply, plan, request->name, request->expect_revision, true);
    struct arena arena;

    if (zone == NULL) {
        return;
    }
    arena_init(&arena, OBJECT_ARENA_BYTES);
    response.zone = view_zone(&arena, plan->scratch, zone);
    response.revision = state_revision(plan->scratch);
    api_respond(reply, &response.base);
    arena_close(&arena);
}

void api_uncordon_zone(const ProtobufCMessage *message, struct turn_plan *plan,
                       struct api_reply *reply)
{
    const Holdfast__V1__UncordonZoneRequest *request =
        (const Holdfast__V1__UncordonZoneRequest *)(const void *)message;
    Holdfast__V1__UncordonZoneResponse response =
        HOLDFAST__V1__UNCORDON_ZONE_RESPONSE__INIT;
    const struct zone *zone = cordon_zone(reply, plan, request->name,
                                          request->expect_revision, false);
    struct arena arena;

    if (zone == NULL) {
        return;
    }
    arena_init(&arena, OBJECT_ARENA_BYTES);
    response.zone = view_zone(&arena, plan->scratch, zone);
    response.revision = state_revision(plan->scratch);
    api_respond(reply, &response.base);
    arena_close(&arena);
}

static bool zones_to_mask(struct api_reply *reply, const struct state *state,
                          const Holdfast__V1__Class *class, uint64_t *mask)
{
    *mask = 0;
    for (size_t i = 0; i < class->n_zones; i++) {
        const struct zone *zone =
            api_find_zone(reply, state, "vm_class.zones", class->zones[i]);

        if (zone == NULL) {
            return false;
        }
        *mask |= UINT64_C(1) << uid_slot(zone->uid);
    }
    return true;
}

static bool check_class(struct api_reply *reply, const struct state *state,
                        const Holdfast__V1__Class *class, uint64_t *mask)
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
        !api_check_resources(reply, "vm_class.resources", class->resources) ||
        !zones_to_mask(reply, state, class, mask)) {
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
    struct arena arena;
    uint64_t mask;

    if (!check_class(reply, plan->scratch, class, &mask) ||
        !api_check_range(reply, "expect_revision", request->expect_revision, 0,
                         0)) {
        return;
    }
    change.class_create = (struct change_class_create){
        .name = text_of(class->name),
        .resources = {class->resources->cpu_milli, class->resources->memory_mib,
                      class->resources->disk_gib, 0},
        .zone_mask = mask,
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

void api_list_classes(const ProtobufCMessage *message,
                      const struct api_view *view, struct api_reply *reply)
{
    const Holdfast__V1__ListClassesRequest *request =
        (const Holdfast__V1__ListClassesRequest *)(const void *)message;
    Holdfast__V1__ListClassesResponse response =
        HOLDFAST__V1__LIST_CLASSES_RESPONSE__INIT;
    char token[16] = "";
    uint32_t slot;
    uint32_t count;

    if (!api_check_page(reply, request->page_size, request->page_token, &slot,
                        &count)) {
        return;
    }
    response.classes =
        view_alloc(view->arena, CLASSES_MAX * sizeof(*response.classes));
    for (; slot < state_class_slots(view->state); slot++) {
        const struct class *class = state_class_at(view->state, slot);

        if (class == NULL) {
            continue;
        }
        if (response.n_classes == count) {
            snprintf(token, sizeof(token), "%u", slot);
            break;
        }
        response.classes[response.n_classes++] =
            view_class(view->arena, view->state, class);
    }
    response.next_page_token = token;
    response.age_ms = view->age_ms;
    response.revision = state_revision(view->state);
    api_respond(reply, &response.base);
}

void api_delete_class(const ProtobufCMessage *message, struct turn_plan *plan,
                      struct api_reply *reply)
{
    const Holdfast__V1__DeleteClassRequest *request =
        (const Holdfast__V1__DeleteClassRequest *)(const void *)message;
    Holdfast__V1__DeleteClassResponse response =
        HOLDFAST__V1__DELETE_CLASS_RESPONSE__INIT;
    const struct class *class =
        api_find_class(reply, plan->scratch, request->name);
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
    arena_init(&arena, OBJECT_ARENA_BYTES);
    response.vm_class = view_class(&arena, plan->scratch, class);
    change.class_delete.class.uid = class->uid;
    turn_change(plan, &change);
    response.revision = state_revision(plan->scratch);
    api_respond(reply, &response.base);
    arena_close(&arena);
}
