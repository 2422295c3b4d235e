/* SPDX-License-Identifier: Apache-2.0
 *
 * Changes of zones and classes. */
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

void apply_zone(struct state *state, const struct change *change,
                struct event_sink *sink)
{
    struct zone *zone;
    uint32_t slot;

    if (change->kind == CHANGE_ZONE_CREATE) {
        zone_create(state, change->zone_create.name, sink);
        return;
    }
    slot = slot_of_zone(state, change->kind == CHANGE_ZONE_CORDON
                                   ? change->zone_cordon.zone
                                   : change->zone_state.zone);
    zone = record_edit(state, TABLE_ZONE, slot);
    if (change->kind == CHANGE_ZONE_CORDON) {
        zone->cordoned = change->zone_cordon.cordoned;
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

static void class_create(struct state *state,
                         const struct change_class_create *change,
                         struct event_sink *sink)
{
    uint32_t slot = record_create(state, TABLE_CLASS, change->name);
    struct class *class = record_edit(state, TABLE_CLASS, slot);

    class->resources = change->resources;
    class->zone_mask = change->zone_mask;
    class->revision = next_revision(state);
    record_edited(state, TABLE_CLASS, slot);
    state->counts.classes++;
    emit(state, sink, TABLE_CLASS, slot, false);
}

void apply_class(struct state *state, const struct change *change,
                 struct event_sink *sink)
{
    const struct class *class;
    uint32_t slot;

    if (change->kind == CHANGE_CLASS_CREATE) {
        class_create(state, &change->class_create, sink);
        return;
    }
    slot = slot_of_class(state, change->class_delete.class);
    class = table_get(&state->tables[TABLE_CLASS], slot);
    CHECK(class->vm_count == 0);
    next_revision(state);
    emit(state, sink, TABLE_CLASS, slot, true);
    record_delete(state, TABLE_CLASS, slot);
    state->counts.classes--;
}
