/* SPDX-License-Identifier: Apache-2.0
 *
 * Changes of classes. */
#include "base/check.h"
#include "state/internal.h"

static void class_create(struct state *state,
                         const struct change_class_create *change,
                         struct event_sink *sink)
{
    uint32_t slot = record_create(state, TABLE_CLASS, change->name);
    struct class *class = record_edit(state, TABLE_CLASS, slot);

    class->resources = change->resources;
    class->zone_mask = change->zone_mask;
    amounts_of(state, change->named, change->named_count, &class->named);
    class->custom = change->custom;
    class->revision = next_revision(state);
    record_edited(state, TABLE_CLASS, slot);
    state->counts.classes++;
    emit(state, sink, TABLE_CLASS, slot, false);
}

/* Sums of what is used and claimed count the class as it is. */
static bool holds_room(const struct state *state, uint32_t class_slot,
                       uint32_t vm_count)
{
    for (uint32_t slot = 0; vm_count > 0 && slot < state_vm_slots(state);
         slot++) {
        const struct vm *vm = state_vm_at(state, slot);

        if (vm == NULL || vm->class_slot != class_slot) {
            continue;
        }
        if (vm->host != SLOT_NONE || vm_holds_claim(vm)) {
            return true;
        }
        vm_count--;
    }
    return false;
}

static void class_update(struct state *state,
                         const struct change_class_update *change,
                         struct event_sink *sink)
{
    uint32_t slot = slot_of_class(state, change->class);
    struct class *class = record_edit(state, TABLE_CLASS, slot);

    if (change->mask & CLASS_UPDATE_ZONES) {
        class->zone_mask = change->zone_mask;
    }
    if (change->mask & CLASS_UPDATE_RESOURCES) {
        CHECK(!holds_room(state, slot, class->vm_count));
        class->resources = change->resources;
        amounts_of(state, change->named, change->named_count, &class->named);
    }
    class->revision = next_revision(state);
    record_edited(state, TABLE_CLASS, slot);
    emit(state, sink, TABLE_CLASS, slot, false);
}

static void class_delete(struct state *state, uint32_t slot,
                         struct event_sink *sink)
{
    const struct class *class = table_get(&state->tables[TABLE_CLASS], slot);

    CHECK(class->vm_count == 0 && class->use_count == 0);
    next_revision(state);
    emit(state, sink, TABLE_CLASS, slot, true);
    record_delete(state, TABLE_CLASS, slot);
    state->counts.classes--;
}

static void delete_if_left(struct state *state, uint32_t slot,
                           struct event_sink *sink)
{
    const struct class *class = table_get(&state->tables[TABLE_CLASS], slot);
    struct telling telling = state->telling;

    if (class->custom && class->vm_count == 0 && class->use_count == 0) {
        telling_follow(state, CAUSE_UNUSED);
        class_delete(state, slot, sink);
        state->telling = telling; /* What else the change does is not for it. */
    }
}

void class_count_vms(struct state *state, uint32_t class_slot, int sign,
                     struct event_sink *sink)
{
    struct class *class = record_edit(state, TABLE_CLASS, class_slot);

    CHECK(sign > 0 || class->vm_count > 0);
    class->vm_count += (uint32_t)sign;
    record_edited(state, TABLE_CLASS, class_slot);
    delete_if_left(state, class_slot, sink);
}

void class_count_uses(struct state *state, uint32_t class_slot, int sign,
                      struct event_sink *sink)
{
    struct class *class = record_edit(state, TABLE_CLASS, class_slot);

    CHECK(sign > 0 || class->use_count > 0);
    class->use_count += (uint32_t)sign;
    record_edited(state, TABLE_CLASS, class_slot);
    delete_if_left(state, class_slot, sink);
}

void apply_class(struct state *state, const struct change *change,
                 struct event_sink *sink)
{
    if (change->kind == CHANGE_CLASS_CREATE) {
        class_create(state, &change->class_create, sink);
    } else if (change->kind == CHANGE_CLASS_UPDATE) {
        class_update(state, &change->class_update, sink);
    } else {
        class_delete(state, slot_of_class(state, change->class_delete.class),
                     sink);
    }
}
