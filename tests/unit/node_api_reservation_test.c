/* SPDX-License-Identifier: Apache-2.0
 *
 * ReservationService. */
#include "base/container.h"
#include "node/api_check.h"
#include "support/desk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void a_reservation_is_made_changed_and_deleted(void **unused)
{
    struct desk *desk = desk_create();
    uint64_t revision;

    (void)unused;
    desk_ok(desk, "CreateReservation",
            "reservation: {name: spare, zone: z2, class_name: small, count: "
            "3}");
    desk_says(desk, "\"zone\":\"z2\"");
    desk_ok(desk, "ListReservations", "{}");
    desk_says(desk, "\"name\":\"spare\"");
    desk_says(desk, "\"count\":3");
    desk_ok(desk, "UpdateReservation",
            "{reservation: {name: spare, count: 4}, update_mask: [count]}");
    desk_says(desk, "\"count\":4");
    desk_ok(desk, "UpdateReservation", "{name: spare, count: 5}");
    desk_says(desk, "\"count\":5");
    revision = state_revision(desk->state);
    desk_ok(desk, "UpdateReservation", "{name: spare, count: 5}");
    assert_int_equal(state_revision(desk->state), revision);
    desk_refused(desk, "DeleteClass", "name: small", "CLASS_IN_USE", "small");
    desk_ok(desk, "DeleteReservation", "name: spare");
    desk_says(desk, "\"count\":5");
    desk_refused(desk, "DeleteReservation", "name: spare",
                 "RESERVATION_NOT_FOUND", "spare");
    desk_ok(desk, "DeleteClass", "name: small");
    desk_destroy(desk);
}

static void wrong_reservations_are_refused(void **unused)
{
    static const struct {
        const char *yaml;
        const char *reason;
        const char *words;
    } rows[] = {
        {"{}", "INVALID_FIELD", "reservation: "},
        {"reservation: {name: R, zone: z1, class_name: small, count: 1}",
         "INVALID_FIELD", "reservation.name"},
        {"reservation: {name: r, zone: z1, class_name: small}", "INVALID_FIELD",
         "reservation.count"},
        {"reservation: {name: r, zone: z1, class_name: small, count: 100001}",
         "INVALID_FIELD", "reservation.count"},
        {"reservation: {name: r, zone: z1, class_name: small, count: 1, "
         "free_count: 1}",
         "INVALID_FIELD", "free_count"},
        {"reservation: {name: r, zone: z9, class_name: small, count: 1}",
         "ZONE_NOT_FOUND", "reservation.zone"},
        {"reservation: {name: r, zone: z1, class_name: huge, count: 1}",
         "CLASS_NOT_FOUND", "reservation.class_name"},
        {"reservation: {name: r, zone: z1, class_name: east, count: 1}",
         "RULES_CONFLICT", "'east'"},
        {"reservation: {name: taken, zone: z1, class_name: small, count: 1}",
         "NAME_TAKEN", "'taken'"},
        {"{expect_revision: 9, reservation: {name: r, zone: z1, class_name: "
         "small, count: 1}}",
         "INVALID_FIELD", "expect_revision"},
    };
    struct desk *desk = desk_create();

    (void)unused;
    desk_ok(desk, "CreateClass",
            "vm_class: {name: east, zones: [z3], resources: {cpu_milli: 1, "
            "memory_mib: 1}}");
    desk_ok(desk, "CreateReservation",
            "reservation: {name: taken, zone: z1, class_name: small, count: "
            "1}");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        desk_refused(desk, "CreateReservation", rows[i].yaml, rows[i].reason,
                     rows[i].words);
    }
    desk_refused(desk, "UpdateReservation", "{name: taken}", "INVALID_FIELD",
                 "count");
    desk_refused(desk, "UpdateReservation", "update_mask: [count]",
                 "INVALID_FIELD", "reservation: ");
    desk_refused(desk, "UpdateReservation",
                 "{reservation: {name: taken, count: 3}}", "INVALID_FIELD",
                 "update_mask: ");
    desk_refused(desk, "UpdateReservation",
                 "{reservation: {name: taken}, update_mask: [zone]}",
                 "INVALID_FIELD", "update_mask: 'zone'");
    desk_refused(desk, "UpdateReservation",
                 "{reservation: {name: taken}, update_mask: [count]}",
                 "INVALID_FIELD", "reservation.count: ");
    desk_refused(desk, "UpdateReservation",
                 "{name: taken, reservation: {name: taken, count: 3}, "
                 "update_mask: [count]}",
                 "INVALID_FIELD", "name, count: ");
    desk_refused(desk, "UpdateReservation", "{name: none, count: 1}",
                 "RESERVATION_NOT_FOUND", "none");
    desk_destroy(desk);
}

static void a_class_stays_offered_where_it_is_reserved(void **unused)
{
    struct desk *desk = desk_create();

    (void)unused;
    desk_ok(desk, "CreateReservation",
            "reservation: {name: spare, zone: z1, class_name: small, count: "
            "1}");
    desk_refused(desk, "UpdateClass",
                 "{vm_class: {name: small, zones: [z2]}, update_mask: "
                 "[zones]}",
                 "RULES_CONFLICT", "reservation 'spare'");
    desk_ok(desk, "UpdateClass",
            "{vm_class: {name: small, zones: [z1, z2]}, update_mask: "
            "[zones]}");
    desk_says(desk, "\"zones\":[\"z1\",\"z2\"]");
    desk_destroy(desk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reservation_is_made_changed_and_deleted),
        cmocka_unit_test(wrong_reservations_are_refused),
        cmocka_unit_test(a_class_stays_offered_where_it_is_reserved),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
