/* SPDX-License-Identifier: Apache-2.0 */
#include "node/group_control.h"

#include "base/check.h"
#include "base/memory.h"
#include "base/planted.h"
#include "node/group_fields.h"
#include "node/limits.h"
#include "node/place.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum mark { MARK_LOOK = 1, MARK_WAITS = 2 };

/* --- What a group has ---------------------------------------------------- */

/* A member that counts: it is not being deleted. */
struct member {
    uint32_t slot;
    uint32_t zone; /* Slot; ZONES_MAX: it has no host. */
    bool running;
    bool outdated;
};

struct census {
    struct member *members; /* The newest first. */
    uint32_t count;
    uint32_t running;
    uint32_t outdated;
    uint32_t in_zone[ZONES_MAX + 1];
};

/* Members made by hand follow the group's rules and live as long as somebody
 * wants them; only a group that is deleted takes them along. */
static bool counts(const struct group *group, const struct vm *vm)
{
    return !vm->deleting && (group->deleting || vm->template_generation != 0);
}

static void census_take(struct census *census, const struct state *state,
                        const struct group *group)
{
    *census = (struct census){.members = memory_alloc_array(
                                  group->vm_count, sizeof(*census->members))};
    for (uint32_t next = group->vm_first_plus1; next != 0;) {
        const struct vm *vm = state_vm_at(state, next - 1);
        struct member member = {
            .slot = next - 1,
            .zone = vm->host == SLOT_NONE
                        ? ZONES_MAX
                        : state_host_at(state, vm->host)->zone,
            .running = vm->state == VM_RUNNING,
            .outdated = vm->template_generation < group->generation,
        };

        next = vm->group_next_plus1;
        if (!counts(group, vm)) {
            continue;
        }
        CHECK(census->count < group->vm_count);
        census->members[census->count++] = member;
        census->running += member.running;
        census->outdated += member.outdated;
        census->in_zone[member.zone]++;
    }
}

/* --- Deleting ------------------------------------------------------------ */

void group_control_delete(struct turn_plan *plan, uint32_t vm_slot)
{
    const struct vm *vm = state_vm_at(plan->scratch, vm_slot);
    struct change change = {.kind = CHANGE_VM_DELETE};

    if (vm->host == SLOT_NONE) {
        change.vm_delete.vm.uid = vm->uid;
    } else {
        change.kind = CHANGE_VM_DESIRE;
        change.vm_desire =
            (struct change_vm_desire){{vm->uid}, DESIRED_STOPPED, true};
    }
    turn_change(plan, &change);
}

/* Which of the members are asked about. */
enum choice { CHOOSE_ALL, CHOOSE_OUTDATED, CHOOSE_OUTDATED_DOWN };

static bool is_choice(const struct member *member, enum choice choice)
{
    return member->slot != SLOT_NONE &&
           (choice == CHOOSE_ALL ||
            (member->outdated &&
             (choice == CHOOSE_OUTDATED || !member->running)));
}

static uint32_t choices_in(const struct census *census, uint32_t zone,
                           enum choice choice)
{
    uint32_t found = 0;

    for (uint32_t i = 0; i < census->count; i++) {
        found += census->members[i].zone == zone &&
                 is_choice(&census->members[i], choice);
    }
    return found;
}

/* The zone to take from: those without a host first, then the fullest one that
 * has any. */
static uint32_t zone_to_take(const struct census *census,
                             const uint32_t *available)
{
    uint32_t best = ZONES_MAX;

    if (available[ZONES_MAX] > 0) {
        return ZONES_MAX;
    }
    for (uint32_t zone = 0; zone < ZONES_MAX; zone++) {
        if (available[zone] > 0 &&
            (best == ZONES_MAX ||
             census->in_zone[zone] > census->in_zone[best])) {
            best = zone;
        }
    }
    return best;
}

/* Deletes `wanted` of the chosen members: pending ones first, then those of the
 * fullest zones, the newest first. The members stand in that order already, so
 * each zone is gone through once. */
static uint32_t delete_members(struct turn_plan *plan, struct census *census,
                               enum choice choice, uint32_t wanted)
{
    uint32_t available[ZONES_MAX + 1];
    uint32_t next[ZONES_MAX + 1] = {0};
    uint32_t deleted = 0;

    for (uint32_t zone = 0; zone <= ZONES_MAX; zone++) {
        available[zone] =
            census->in_zone[zone] == 0 ? 0 : choices_in(census, zone, choice);
    }
    while (deleted < wanted && plan->entry.len < TURN_BYTES_SOFT_MAX) {
        uint32_t zone = zone_to_take(census, available);
        struct member *member;

        if (available[zone] == 0) {
            break;
        }
        do {
            member = &census->members[next[zone]++];
        } while (member->zone != zone || !is_choice(member, choice));
        group_control_delete(plan, member->slot);
        member->slot = SLOT_NONE;
        census->running -= member->running;
        census->outdated -= member->outdated;
        census->in_zone[zone]--;
        available[zone]--;
        deleted++;
    }
    return deleted;
}

/* --- Making -------------------------------------------------------------- */

/* A member as it would be. */
static struct vm candidate_of(const struct group *group)
{
    return (struct vm){
        .pool_mask = group->pool_mask,
        .class_slot = group->class_slot,
        .zone = SLOT_NONE,
        .host = SLOT_NONE,
        .host_next = SLOT_NONE,
        .host_prev = SLOT_NONE,
        .last_host = SLOT_NONE,
        .move_zone = SLOT_NONE,
        .move_host = SLOT_NONE,
        .priority = group->priority,
        .state = VM_PENDING,
        .desired = DESIRED_RUNNING,
        .on_partition = group->on_partition,
        .driver = group->driver,
        .disk_zone_mask = group->disk_zone_mask,
        .group_plus1 = uid_slot(group->uid) + 1,
        .selector_blob = group->selector_blob,
        .template_generation = group->generation,
        .preemptible = group->preemptible,
        .local_disk = group->local_disk,
    };
}

/* Whether one more would leave some zone's loss without an answer. One that
 * finds no room for other reasons is made, and waits as any VM does. */
static bool breaks_headroom(struct turn_plan *plan, const struct group *group)
{
    struct vm candidate = candidate_of(group);
    struct placement_request request = {&candidate, SLOT_NONE};
    struct placement_choice choice;

    if (state_policy(plan->scratch)->headroom != HEADROOM_ENFORCE) {
        return false;
    }
    placer_choose(plan->placer, plan->scratch, &request, &choice);
    return choice.host == SLOT_NONE && choice.reason == PENDING_HEADROOM;
}

/* The next name that is free. False when none fits. */
static bool next_name(const struct state *state, const char *group,
                      uint32_t *number, char name[NAME_BYTES])
{
    for (;; (*number)++) {
        int len = snprintf(name, NAME_BYTES, "%s-%u", group, *number);
        struct text text = {name, (uint32_t)len};

        if (len >= NAME_BYTES || *number == UINT32_MAX) {
            return false;
        }
        if (state_vm_named(state, text) == NULL) {
            return true;
        }
    }
}

void group_control_make(struct turn_plan *plan, struct group_id id,
                        const char *name)
{
    struct text pools[CHANGE_POOLS_MAX];
    struct change change = group_fields_member(
        plan->scratch, state_group(plan->scratch, id), name, pools);

    turn_change(plan, &change);
}

void group_control_count(struct turn_plan *plan, struct group_id id,
                         uint32_t number)
{
    const struct group *group = state_group(plan->scratch, id);
    struct text pools[CHANGE_POOLS_MAX];
    struct change change = {.kind = CHANGE_GROUP_UPDATE};

    change.group_update.group = id;
    change.group_update.deleting = group->deleting;
    group_fields_read(plan->scratch, group, &change.group_update.fields, pools);
    change.group_update.fields.next_member = number;
    turn_change(plan, &change);
}

static uint32_t make_members(struct turn_plan *plan, struct group_id id,
                             uint32_t wanted, bool *wants_room)
{
    uint32_t number = state_group(plan->scratch, id)->next_member;
    char name[NAME_BYTES];
    uint32_t made = 0;

    while (made < wanted && plan->entry.len < TURN_BYTES_SOFT_MAX) {
        const struct group *group = state_group(plan->scratch, id);

        if (state_counts(plan->scratch)->vms >= VMS_MAX ||
            breaks_headroom(plan, group)) {
            *wants_room = true;
            break;
        }
        if (!next_name(plan->scratch, group->name, &number, name)) {
            break;
        }
        group_control_make(plan, id, name);
        place_vm(plan,
                 state_vm_named(plan->scratch,
                                (struct text){name, (uint32_t)strlen(name)}),
                 NULL);
        number++;
        made++;
    }
    if (made > 0) {
        group_control_count(plan, id, number);
    }
    return made;
}

/* --- One group ----------------------------------------------------------- */

/* Members of an older template go when enough others run; new ones are made in
 * their place as they are missing then. Those that do not run cost nothing. */
static uint32_t replace_members(struct turn_plan *plan,
                                const struct group *group,
                                struct census *census, uint32_t max)
{
    uint32_t unavailable =
        group->count > census->running ? group->count - census->running : 0;
    uint32_t allowed;
    uint32_t deleted;

    if (group->max_unavailable == 0 || census->outdated == 0) {
        return 0;
    }
    deleted = delete_members(plan, census, CHOOSE_OUTDATED_DOWN, max);
    allowed = group->max_unavailable > unavailable
                  ? group->max_unavailable - unavailable
                  : 0;
    allowed = allowed < max - deleted ? allowed : max - deleted;
    return deleted + delete_members(plan, census, CHOOSE_OUTDATED, allowed);
}

static uint32_t delete_group(struct turn_plan *plan, const struct group *group,
                             struct census *census, uint32_t max)
{
    struct change change = {.kind = CHANGE_GROUP_DELETE};
    struct group_id id = {group->uid};
    uint32_t deleted = delete_members(plan, census, CHOOSE_ALL, max);

    if (state_group(plan->scratch, id)->vm_count == 0) {
        change.group_delete.group = id;
        turn_change(plan, &change);
    }
    return deleted;
}

static uint32_t decide(struct turn_plan *plan, const struct group *group,
                       struct census *census, uint32_t max, bool *wants_room)
{
    uint32_t wanted = group->count;

    if (group->deleting) {
        return delete_group(plan, group, census, max);
    }
    if (census->count > wanted) {
        wanted = census->count - wanted;
        return delete_members(plan, census, CHOOSE_ALL,
                              wanted < max ? wanted : max);
    }
    if (census->count < wanted && group->class_slot != SLOT_NONE) {
        wanted -= census->count + (PLANTED(MEMBER_MISSING) ? 1 : 0);
        return make_members(plan, (struct group_id){group->uid},
                            wanted < max ? wanted : max, wants_room);
    }
    return replace_members(plan, group, census, max);
}

uint32_t group_control_decide(struct turn_plan *plan, struct group_id id,
                              uint32_t max, bool *wants_room)
{
    const struct group *group = state_group(plan->scratch, id);
    struct group seen;
    struct census census;
    uint32_t decided;

    CHECK(group != NULL);
    seen = *group; /* Decisions change the record. */
    census_take(&census, plan->scratch, &seen);
    decided = decide(plan, &seen, &census, max, wants_room);
    free(census.members);
    return decided;
}

/* --- The controller ------------------------------------------------------ */

static void set_mark(struct group_control *control, uint32_t slot, uint8_t mark)
{
    uint8_t former;

    if (slot >= control->capacity) {
        uint32_t capacity = 2 * slot + 64;

        control->marks = memory_realloc_array(control->marks, capacity, 1);
        memset(control->marks + control->capacity, 0,
               capacity - control->capacity);
        control->capacity = capacity;
    }
    former = control->marks[slot];
    control->marked -= (former & MARK_LOOK) != 0;
    control->marked += (mark & MARK_LOOK) != 0;
    control->waiting -= (former & MARK_WAITS) != 0;
    control->waiting += (mark & MARK_WAITS) != 0;
    control->marks[slot] = mark;
}

static void look_at_waiting(struct group_control *control,
                            const struct turn_plan *plan)
{
    if (control->waiting == 0 || !control->room ||
        plan->now_ms < control->next_retry_ms) {
        return;
    }
    control->room = false;
    control->next_retry_ms = plan->now_ms + GROUP_RETRY_MS;
    for (uint32_t slot = 0; slot < control->capacity; slot++) {
        if (control->marks[slot] & MARK_WAITS) {
            set_mark(control, slot, MARK_LOOK);
        }
    }
}

/* In turn, so that one that is large does not keep the others waiting. */
static void plan_groups(struct turn_controller *controller,
                        struct turn_plan *plan)
{
    struct group_control *control =
        container_of(controller, struct group_control, controller);
    uint32_t left = GROUP_MEMBERS_MAX;

    look_at_waiting(control, plan);
    for (uint32_t i = 0; i < control->capacity && control->marked > 0 &&
                         left > 0 && plan->entry.len < TURN_BYTES_SOFT_MAX;
         i++) {
        uint32_t slot = control->next++ % control->capacity;
        const struct group *group = state_group_at(plan->scratch, slot);
        bool wants_room = false;
        uint32_t decided;

        if ((control->marks[slot] & MARK_LOOK) == 0) {
            continue;
        }
        set_mark(control, slot, 0);
        if (group == NULL) {
            continue;
        }
        decided = group_control_decide(plan, (struct group_id){group->uid},
                                       left, &wants_room);
        left -= decided;
        if (wants_room) {
            set_mark(control, slot, MARK_WAITS);
        } else if (decided > 0) {
            set_mark(control, slot, MARK_LOOK);
        }
    }
}

void group_control_init(struct group_control *control)
{
    *control = (struct group_control){.controller = {plan_groups}};
}

void group_control_close(struct group_control *control)
{
    free(control->marks);
}

void group_control_lead(struct group_control *control,
                        const struct state *state)
{
    for (uint32_t slot = 0; slot < state_group_slots(state); slot++) {
        if (state_group_at(state, slot) != NULL) {
            set_mark(control, slot, MARK_LOOK);
        }
    }
}

/* One that waits for room looks again when there may be some, not whenever a
 * member reports. */
static void note_member(struct group_control *control, uint32_t slot)
{
    if (slot >= control->capacity || (control->marks[slot] & MARK_WAITS) == 0) {
        set_mark(control, slot, MARK_LOOK);
    }
}

void group_control_note(struct group_control *control,
                        const struct event *event)
{
    if (event->kind == EVENT_GROUP) {
        set_mark(control, uid_slot(event->group->uid),
                 event->deleted ? 0 : MARK_LOOK);
    } else if (event->kind == EVENT_VM && event->vm->group_plus1 != 0) {
        note_member(control, event->vm->group_plus1 - 1);
    }
    /* What leaves makes room, and so does nearly all that is not a VM. */
    control->room |= event->kind != EVENT_VM || event->deleted ||
                     (event->vm->host == SLOT_NONE && event->vm->epoch > 0);
}

bool group_control_is_due(const struct group_control *control, uint64_t now_ms)
{
    return control->marked > 0 || (control->waiting > 0 && control->room &&
                                   now_ms >= control->next_retry_ms);
}
