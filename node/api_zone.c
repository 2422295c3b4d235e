/* SPDX-License-Identifier: Apache-2.0
 *
 * ZoneService; drains are in api_drain.c. */
#include "base/check.h"
#include "node/api_check.h"
#include "node/api_page.h"
#include "node/view.h"

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
    response.zone = view_zone(
        &arena, plan->scratch,
        state_zone_named(plan->scratch, text_of(request->name)), NULL);
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
    response.zone = view_zone(view->arena, view->state, zone, view->placer);
    response.age_ms = view->age_ms;
    response.revision = state_revision(view->state);
    api_respond(reply, &response.base);
}

static ProtobufCMessage *list_item(struct api_lister *lister,
                                   const struct api_page *page, uint32_t slot)
{
    const struct api_view *view = &page->view;
    const struct zone *zone = state_zone_at(view->state, slot);

    (void)lister;
    return zone == NULL
               ? NULL
               : &view_zone(view->arena, view->state, zone, view->placer)->base;
}

void api_list_zones(const ProtobufCMessage *message,
                    const struct api_view *view, struct api_reply *reply)
{
    const Holdfast__V1__ListZonesRequest *request =
        (const Holdfast__V1__ListZonesRequest *)(const void *)message;
    Holdfast__V1__ListZonesResponse response =
        HOLDFAST__V1__LIST_ZONES_RESPONSE__INIT;
    struct api_lister lister = {.item = list_item};
    struct api_page page;

    if (!api_page_begin(&page, reply, view, request->page_size,
                        request->page_token)) {
        return;
    }
    api_page_fill(&page, &lister, state_zone_slots(page.view.state));
    response.zones = (void *)page.items;
    response.n_zones = page.item_count;
    api_page_respond(&page, reply, &response.base);
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
    response.zone = view_zone(&arena, plan->scratch, zone, NULL);
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
    response.zone = view_zone(&arena, plan->scratch, zone, NULL);
    response.revision = state_revision(plan->scratch);
    api_respond(reply, &response.base);
    arena_close(&arena);
}
