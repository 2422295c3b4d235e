/* SPDX-License-Identifier: Apache-2.0
 *
 * Changes of reservations and of the policy. */
#include "base/check.h"
#include "state/internal.h"

static uint32_t reservation_create(struct state *state,
                                   const struct change_reservation_set *change,
                                   struct event_sink *sink)
{
    uint32_t slot = record_create(state, TABLE_RESERVATION, change->name);
    struct reservation *reservation =
        record_edit(state, TABLE_RESERVATION, slot);

    reservation->zone = slot_of_zone(state, change->zone);
    reservation->class_slot = slot_of_class(state, change->class);
    record_edited(state, TABLE_RESERVATION, slot);
    state->counts.reservations++;
    class_count_uses(state, reservation->class_slot, 1, sink);
    return slot;
}

static void reservation_set(struct state *state,
                            const struct change_reservation_set *change,
                            struct event_sink *sink)
{
    uint32_t slot = record_named(state, TABLE_RESERVATION, change->name);
    struct reservation *reservation;

    if (slot == SLOT_NONE) {
        slot = reservation_create(state, change, sink);
    }
    reservation = record_edit(state, TABLE_RESERVATION, slot);
    CHECK(reservation->zone == slot_of_zone(state, change->zone) &&
          reservation->class_slot == slot_of_class(state, change->class));
    CHECK(change->count >= 1 && change->count <= RESERVATION_COUNT_MAX);
    reservation->count = change->count;
    reservation->revision = next_revision(state);
    record_edited(state, TABLE_RESERVATION, slot);
    emit(state, sink, TABLE_RESERVATION, slot, false);
}

static void reservation_delete(struct state *state, struct text name,
                               struct event_sink *sink)
{
    uint32_t slot = record_named(state, TABLE_RESERVATION, name);
    struct reservation *reservation;
    uint32_t class_slot;

    CHECK(slot != SLOT_NONE);
    reservation = record_edit(state, TABLE_RESERVATION, slot);
    class_slot = reservation->class_slot;
    reservation->revision = next_revision(state);
    record_edited(state, TABLE_RESERVATION, slot);
    emit(state, sink, TABLE_RESERVATION, slot, true);
    record_delete(state, TABLE_RESERVATION, slot);
    state->counts.reservations--;
    class_count_uses(state, class_slot, -1, sink);
}

void apply_reservation(struct state *state, const struct change *change,
                       struct event_sink *sink)
{
    if (change->kind == CHANGE_RESERVATION_SET) {
        reservation_set(state, &change->reservation_set, sink);
    } else {
        reservation_delete(state, change->reservation_delete.name, sink);
    }
}

void apply_policy(struct state *state, const struct change_policy *change,
                  struct event_sink *sink)
{
    struct policy *policy;

    CHECK(policy_check(&change->policy) == NULL);
    if (!state_has_policy(state)) {
        claims_begin(state, sink);
        record_add(state, TABLE_POLICY);
    }
    policy = record_edit(state, TABLE_POLICY, 0);
    *policy = change->policy;
    policy->uid = 1;
    policy->revision = next_revision(state);
    record_edited(state, TABLE_POLICY, 0);
    emit_settings(state, sink);
}
