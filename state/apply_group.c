/* SPDX-License-Identifier: Apache-2.0
 *
 * Changes of groups, and the list of a group's members: through
 * vm.group_next_plus1, newest first. What changes with a member alone (list and
 * counts) raises no revision of the group: the member's own event tells it. */
#include "base/check.h"
#include "state/internal.h"

static void set_neighbours(struct state *state, uint32_t slot_plus1,
                           const uint32_t *next, const uint32_t *prev)
{
    struct vm *vm = record_edit(state, TABLE_VM, slot_plus1 - 1);

    if (next != NULL) {
        vm->group_next_plus1 = *next;
    }
    if (prev != NULL) {
        vm->group_prev_plus1 = *prev;
    }
    record_edited(state, TABLE_VM, slot_plus1 - 1);
}

void group_add(struct state *state, struct vm *vm, uint32_t slot,
               uint32_t group_slot)
{
    struct group *group = record_edit(state, TABLE_GROUP, group_slot);
    uint32_t plus1 = slot + 1;

    CHECK(!group->deleting && vm->group_plus1 == 0);
    vm->group_plus1 = group_slot + 1;
    vm->group_prev_plus1 = 0;
    vm->group_next_plus1 = group->vm_first_plus1;
    if (group->vm_first_plus1 != 0) {
        set_neighbours(state, group->vm_first_plus1, NULL, &plus1);
    }
    group->vm_first_plus1 = plus1;
    group->vm_count++;
    record_edited(state, TABLE_GROUP, group_slot);
}

void group_remove(struct state *state, struct vm *vm)
{
    uint32_t group_slot = vm->group_plus1 - 1;
    struct group *group;

    if (vm->group_plus1 == 0) {
        return;
    }
    group = record_edit(state, TABLE_GROUP, group_slot);
    if (vm->group_prev_plus1 == 0) {
        group->vm_first_plus1 = vm->group_next_plus1;
    } else {
        set_neighbours(state, vm->group_prev_plus1, &vm->group_next_plus1,
                       NULL);
    }
    if (vm->group_next_plus1 != 0) {
        set_neighbours(state, vm->group_next_plus1, NULL,
                       &vm->group_prev_plus1);
    }
    CHECK(group->vm_count > 0);
    group->vm_count--;
    record_edited(state, TABLE_GROUP, group_slot);
}

void group_count_zone(struct state *state, const struct vm *vm,
                      uint32_t zone_slot, int sign)
{
    struct group *group;

    if (vm->group_plus1 == 0) {
        return;
    }
    group = record_edit(state, TABLE_GROUP, vm->group_plus1 - 1);
    CHECK(sign > 0 || group->zone_counts[zone_slot] > 0);
    group->zone_counts[zone_slot] += (uint32_t)sign;
    record_edited(state, TABLE_GROUP, vm->group_plus1 - 1);
}

static void set_rules(struct group *group, const struct group_fields *fields)
{
    CHECK(fields->zone_rule >= ZONE_RULE_SPREAD &&
          fields->zone_rule <= ZONE_RULE_ANY);
    CHECK(fields->zone_mode >= RULE_MODE_BEST_EFFORT &&
          fields->zone_mode <= RULE_MODE_STRICT);
    CHECK(fields->domain_mode <= RULE_MODE_STRICT &&
          fields->host_mode <= RULE_MODE_STRICT);
    group->zone_rule = (uint8_t)fields->zone_rule;
    group->max_skew = fields->max_skew;
    group->zone_mode = (uint8_t)fields->zone_mode;
    group->zone_mask = fields->zone_mask;
    group->domain_mode = (uint8_t)fields->domain_mode;
    group->domain_max = fields->domain_max;
    group->host_mode = (uint8_t)fields->host_mode;
    group->host_max = fields->host_max;
    group->unprotected = fields->unprotected;
    group->max_unavailable = fields->max_unavailable;
}

static void set_template(struct state *state, struct group *group,
                         const struct group_fields *fields)
{
    blob_replace(state, &group->template_blob, fields->template);
    blob_replace(state, &group->labels_blob, fields->labels);
    blob_replace(state, &group->selector_blob, fields->selector);
    group->pool_mask = pool_bits(state, fields->pools, fields->pool_count);
    group->disk_zone_mask = fields->disk_zone_mask;
    group->local_disk = fields->local_disk;
    group->priority = (uint16_t)fields->priority;
    group->on_partition = (uint8_t)fields->on_partition;
    group->driver = (uint8_t)fields->driver;
    group->preemptible = fields->preemptible;
    group->generation = fields->generation;
    group->next_member = fields->next_member;
}

/* The open record gets all of the fields. `old_class` is given back only after
 * the new one was taken, so that a custom class that stays is not deleted. */
static void set_fields(struct state *state, struct group *group, uint32_t slot,
                       const struct group_fields *fields,
                       struct event_sink *sink)
{
    uint32_t old_class = group->class_slot;

    CHECK(fields->count <= GROUP_COUNT_MAX);
    group->count = fields->count;
    group->class_slot = fields->class.uid == 0
                            ? SLOT_NONE
                            : slot_of_class(state, fields->class);
    set_template(state, group, fields);
    set_rules(group, fields);
    if (group->class_slot != SLOT_NONE) {
        class_count_uses(state, group->class_slot, 1, sink);
    }
    group->revision = next_revision(state);
    record_edited(state, TABLE_GROUP, slot);
    emit(state, sink, TABLE_GROUP, slot, false);
    if (old_class != SLOT_NONE) {
        class_count_uses(state, old_class, -1, sink);
    }
}

static void group_create(struct state *state,
                         const struct change_group_create *change,
                         struct event_sink *sink)
{
    uint32_t slot = record_create(state, TABLE_GROUP, change->name);
    struct group *group = record_edit(state, TABLE_GROUP, slot);

    group->class_slot = SLOT_NONE;
    state->counts.groups++;
    set_fields(state, group, slot, &change->fields, sink);
}

static void group_update(struct state *state,
                         const struct change_group_update *change,
                         struct event_sink *sink)
{
    uint32_t slot = slot_of_group(state, change->group);
    struct group *group = record_edit(state, TABLE_GROUP, slot);

    CHECK(!group->deleting || change->deleting);
    group->deleting = change->deleting;
    set_fields(state, group, slot, &change->fields, sink);
}

static void group_delete(struct state *state, uint32_t slot,
                         struct event_sink *sink)
{
    struct group *group = record_edit(state, TABLE_GROUP, slot);
    uint32_t class_slot = group->class_slot;

    CHECK(group->vm_count == 0);
    group->revision = next_revision(state);
    record_edited(state, TABLE_GROUP, slot);
    emit(state, sink, TABLE_GROUP, slot, true);
    blobs_release(&state->blobs, group->template_blob);
    blobs_release(&state->blobs, group->labels_blob);
    blobs_release(&state->blobs, group->selector_blob);
    record_delete(state, TABLE_GROUP, slot);
    state->counts.groups--;
    if (class_slot != SLOT_NONE) {
        class_count_uses(state, class_slot, -1, sink);
    }
}

void apply_group(struct state *state, const struct change *change,
                 struct event_sink *sink)
{
    if (change->kind == CHANGE_GROUP_CREATE) {
        group_create(state, &change->group_create, sink);
    } else if (change->kind == CHANGE_GROUP_UPDATE) {
        group_update(state, &change->group_update, sink);
    } else {
        group_delete(state, slot_of_group(state, change->group_delete.group),
                     sink);
    }
}
