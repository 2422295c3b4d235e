/* SPDX-License-Identifier: Apache-2.0
 *
 * ReservationService. */
#include "base/container.h"
#include "node/api_check.h"
#include "node/api_page.h"
#include "node/view.h"

#include <holdfast/v1/reservation_service.pb-c.h>

#define OBJECT_ARENA_BYTES (256u << 10)

static Holdfast__V1__Reservation *view_named(struct arena *arena,
                                             const struct turn_plan *plan,
                                             const char *name)
{
    return view_reservation(
        arena, plan->scratch,
        state_reservation_named(plan->scratch, text_of(name)), NULL);
}

static bool check_count(struct api_reply *reply, const char *field,
                        uint32_t count)
{
    return api_check_range(reply, field, count, 1, RESERVATION_COUNT_MAX);
}

static bool check_form(struct api_reply *reply,
                       const Holdfast__V1__Reservation *reservation)
{
    if (reservation == NULL) {
        api_fail(reply, API_INVALID_FIELD, "reservation: must be given");
        return false;
    }
    if (reservation->uid != 0 || reservation->revision != 0 ||
        reservation->create_time_ms != 0 || reservation->free_count != 0 ||
        reservation->used_count != 0 || reservation->missing_count != 0) {
        api_fail(reply, API_INVALID_FIELD,
                 "reservation: uid, revision, create_time_ms, free_count, "
                 "used_count and missing_count are given by Holdfast; leave "
                 "them out");
        return false;
    }
    return api_check_name(reply, "reservation.name", reservation->name) &&
           check_count(reply, "reservation.count", reservation->count);
}

static bool check_new(struct api_reply *reply, const struct state *state,
                      const Holdfast__V1__Reservation *reservation,
                      struct change_reservation_set *set)
{
    const struct zone *zone =
        api_find_zone(reply, state, "reservation.zone", reservation->zone);
    const struct class *class =
        zone == NULL ? NULL
                     : api_find_class(reply, state, "reservation.class_name",
                                      reservation->class_name);

    if (class == NULL) {
        return false;
    }
    if (class->zone_mask != 0 &&
        (class->zone_mask >> uid_slot(zone->uid) & 1) == 0) {
        api_fail(reply, API_RULES_CONFLICT,
                 "reservation.zone and the zones of reservation.class_name "
                 "cannot both be kept: class '%s' is not offered in zone '%s'",
                 class->name, zone->name);
        return false;
    }
    if (state_reservation_named(state, text_of(reservation->name)) != NULL) {
        api_fail(reply, API_NAME_TAKEN, "there is a reservation '%s' already",
                 reservation->name);
        return false;
    }
    if (state_counts(state)->reservations >= RESERVATIONS_MAX) {
        api_fail(reply, API_TABLE_FULL,
                 "the region holds %d reservations already", RESERVATIONS_MAX);
        return false;
    }
    *set = (struct change_reservation_set){text_of(reservation->name),
                                           {zone->uid},
                                           {class->uid},
                                           reservation->count};
    return true;
}

void api_create_reservation(const ProtobufCMessage *message,
                            struct turn_plan *plan, struct api_reply *reply)
{
    const Holdfast__V1__CreateReservationRequest *request =
        (const Holdfast__V1__CreateReservationRequest *)(const void *)message;
    Holdfast__V1__CreateReservationResponse response =
        HOLDFAST__V1__CREATE_RESERVATION_RESPONSE__INIT;
    struct change change = {.kind = CHANGE_RESERVATION_SET};
    struct arena arena;

    if (!check_form(reply, request->reservation) ||
        !api_check_range(reply, "expect_revision", request->expect_revision, 0,
                         0) ||
        !check_new(reply, plan->scratch, request->reservation,
                   &change.reservation_set)) {
        return;
    }
    turn_change(plan, &change);
    arena_init(&arena, OBJECT_ARENA_BYTES);
    response.reservation = view_named(&arena, plan, request->reservation->name);
    response.revision = state_revision(plan->scratch);
    api_respond(reply, &response.base);
    arena_close(&arena);
}

static ProtobufCMessage *list_item(struct api_lister *lister,
                                   const struct api_page *page, uint32_t slot)
{
    const struct api_view *view = &page->view;
    const struct reservation *reservation =
        state_reservation_at(view->state, slot);

    (void)lister;
    return reservation == NULL ? NULL
                               : &view_reservation(view->arena, view->state,
                                                   reservation, view->placer)
                                      ->base;
}

void api_list_reservations(const ProtobufCMessage *message,
                           const struct api_view *view, struct api_reply *reply)
{
    const Holdfast__V1__ListReservationsRequest *request =
        (const Holdfast__V1__ListReservationsRequest *)(const void *)message;
    Holdfast__V1__ListReservationsResponse response =
        HOLDFAST__V1__LIST_RESERVATIONS_RESPONSE__INIT;
    struct api_lister lister = {.item = list_item};
    struct api_page page;

    if (!api_page_begin(&page, reply, view, request->page_size,
                        request->page_token)) {
        return;
    }
    api_page_fill(&page, &lister, state_reservation_slots(page.view.state));
    response.reservations = (void *)page.items;
    response.n_reservations = page.item_count;
    api_page_respond(&page, reply, &response.base);
}

/* Which reservation and which count: by name and count, as it was first, or by
 * an object and a mask as in all other updates. */
struct reservation_wish {
    const char *name;
    const char *field; /* Where the count stands. */
    uint32_t count;
};

static bool read_wish(struct api_reply *reply,
                      const Holdfast__V1__UpdateReservationRequest *request,
                      struct reservation_wish *wish)
{
    static const struct api_mask_field fields[] = {{"count", 1}};
    uint32_t mask;

    *wish = (struct reservation_wish){request->name, "count", request->count};
    if (request->reservation == NULL && request->n_update_mask == 0) {
        return true;
    }
    if (request->reservation == NULL) {
        api_fail(reply, API_INVALID_FIELD, "reservation: must be given");
        return false;
    }
    if (request->name[0] != '\0' || request->count != 0) {
        api_fail(reply, API_INVALID_FIELD,
                 "name, count: give these, or reservation and update_mask, not "
                 "both");
        return false;
    }
    *wish = (struct reservation_wish){request->reservation->name,
                                      "reservation.count",
                                      request->reservation->count};
    return api_check_mask(reply, request->update_mask, request->n_update_mask,
                          fields, ARRAY_LEN(fields), &mask);
}

void api_update_reservation(const ProtobufCMessage *message,
                            struct turn_plan *plan, struct api_reply *reply)
{
    const Holdfast__V1__UpdateReservationRequest *request =
        (const Holdfast__V1__UpdateReservationRequest *)(const void *)message;
    Holdfast__V1__UpdateReservationResponse response =
        HOLDFAST__V1__UPDATE_RESERVATION_RESPONSE__INIT;
    struct change change = {.kind = CHANGE_RESERVATION_SET};
    const struct reservation *reservation;
    struct reservation_wish wish;
    struct arena arena;

    if (!read_wish(reply, request, &wish)) {
        return;
    }
    reservation = api_find_reservation(reply, plan->scratch, wish.name);
    if (reservation == NULL ||
        !api_check_revision(reply, request->expect_revision,
                            reservation->revision, wish.name) ||
        !check_count(reply, wish.field, wish.count)) {
        return;
    }
    change.reservation_set = (struct change_reservation_set){
        text_of(wish.name),
        {state_zone_at(plan->scratch, reservation->zone)->uid},
        {state_class_at(plan->scratch, reservation->class_slot)->uid},
        wish.count};
    if (wish.count != reservation->count) {
        turn_change(plan, &change);
    }
    arena_init(&arena, OBJECT_ARENA_BYTES);
    response.reservation = view_named(&arena, plan, wish.name);
    response.revision = state_revision(plan->scratch);
    api_respond(reply, &response.base);
    arena_close(&arena);
}

void api_delete_reservation(const ProtobufCMessage *message,
                            struct turn_plan *plan, struct api_reply *reply)
{
    const Holdfast__V1__DeleteReservationRequest *request =
        (const Holdfast__V1__DeleteReservationRequest *)(const void *)message;
    Holdfast__V1__DeleteReservationResponse response =
        HOLDFAST__V1__DELETE_RESERVATION_RESPONSE__INIT;
    const struct reservation *reservation =
        api_find_reservation(reply, plan->scratch, request->name);
    struct change change = {.kind = CHANGE_RESERVATION_DELETE};
    struct arena arena;

    if (reservation == NULL ||
        !api_check_revision(reply, request->expect_revision,
                            reservation->revision, request->name)) {
        return;
    }
    arena_init(&arena, OBJECT_ARENA_BYTES);
    response.reservation = view_named(&arena, plan, request->name);
    change.reservation_delete.name = text_of(request->name);
    turn_change(plan, &change);
    response.revision = state_revision(plan->scratch);
    api_respond(reply, &response.base);
    arena_close(&arena);
}
