/* SPDX-License-Identifier: Apache-2.0
 *
 * Changes of zones. */
#include "base/check.h"
#include "state/internal.h"

static void zone_create(struct state *state, struct text name,
                        struct event_sink *sink)
{
    uint32_t slot = record_create(state, TABLE_ZONE, name);
    struct zone *zone = record_edit(state, TABLE_ZONE, slot);

    zone->state = ZONE_UP;
    zone->state_time_ms = state->head.time_ms;
    zone->revision = next_revision(state);
    record_edited(state, TABLE_ZONE, slot);
    state->counts.zones++;
    emit(state, sink, TABLE_ZONE, slot, false);
}

static void set_draining(struct state *state, struct zone *zone,
                         const struct change_zone_drain *change)
{
    state->counts.zones_draining -= zone->draining != DRAIN_NO;
    zone->draining = drain_mode_of(change->draining, change->at_risk);
    zone->drain_deadline_ms = change->draining ? change->deadline_ms : 0;
    if (change->number != 0) {
        zone->drain_number = change->number;
        zone->drain_end = change->draining ? 0 : (uint8_t)change->end;
    }
    state->counts.zones_draining += zone->draining != DRAIN_NO;
}

static uint32_t zone_of(const struct state *state, const struct change *change)
{
    switch (change->kind) {
    case CHANGE_ZONE_CORDON:
        return slot_of_zone(state, change->zone_cordon.zone);
    case CHANGE_ZONE_DRAIN:
        return slot_of_zone(state, change->zone_drain.zone);
    default:
        return slot_of_zone(state, change->zone_state.zone);
    }
}

void apply_zone(struct state *state, const struct change *change,
                struct event_sink *sink)
{
    struct zone *zone;
    uint32_t slot;

    if (change->kind == CHANGE_ZONE_CREATE) {
        zone_create(state, change->zone_create.name, sink);
        return;
    }
    slot = zone_of(state, change);
    zone = record_edit(state, TABLE_ZONE, slot);
    if (change->kind == CHANGE_ZONE_CORDON) {
        zone->cordoned = change->zone_cordon.cordoned;
    } else if (change->kind == CHANGE_ZONE_DRAIN) {
        set_draining(state, zone, &change->zone_drain);
    } else {
        CHECK(change->zone_state.state >= ZONE_UP &&
              change->zone_state.state <= ZONE_HELD);
        zone->state = (uint8_t)change->zone_state.state;
        zone->state_time_ms = state->head.time_ms;
    }
    zone->revision = next_revision(state);
    record_edited(state, TABLE_ZONE, slot);
    emit(state, sink, TABLE_ZONE, slot, false);
}
