/* SPDX-License-Identifier: Apache-2.0
 *
 * How operations stand; one function a kind. */
#include "node/operation_internal.h"

#include "base/check.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void operation_say(struct operation *operation, enum operation_state state,
                   const char *format, ...)
{
    va_list args;

    operation->state = state;
    if (operation->depth == OPERATION_ENDED) {
        return; /* Words are for people. */
    }
    va_start(args, format);
    vsnprintf(operation->message, sizeof(operation->message), format, args);
    va_end(args);
}

static bool is_about(const struct operation *operation, const char *name)
{
    return operation->ref.object[0] == '\0' ||
           strcmp(name, operation->ref.object) == 0;
}

/* What a VM waits for that is not where it shall be. */
static uint32_t reason_of(const struct vm *vm)
{
    switch (vm->state) {
    case VM_PENDING:
        return vm->pending_reason == PENDING_NONE ? PENDING_QUEUED
                                                  : vm->pending_reason;
    case VM_STOPPING:
        return vm->moving == MOVE_NONE ? OPERATION_WAITS_STOPPING
                                       : OPERATION_WAITS_MOVING;
    case VM_LOST:
        return PENDING_HELD_BY_POLICY; /* Not yet proved gone. */
    default:
        return vm->moving == MOVE_CLAIMED ? OPERATION_WAITS_BUDGET
                                          : OPERATION_WAITS_STARTING;
    }
}

/* --- Drains --------------------------------------------------------------- */

struct drain_facts {
    bool draining;
    uint32_t end;
    uint32_t number;
    uint32_t left;
    uint64_t revision;
};

static uint32_t drain_reason(const struct vm *vm, bool of_zone)
{
    if (vm->deleting || vm->state == VM_STOPPING || vm->state == VM_LOST ||
        vm->moving == MOVE_CLAIMED) {
        return reason_of(vm);
    }
    if (vm->local_disk) {
        return OPERATION_WAITS_LOCAL_DISK;
    }
    if (of_zone && vm->zone != SLOT_NONE) {
        return OPERATION_WAITS_ZONAL;
    }
    return SLOT_NONE;
}

/* Those that could leave and hold no place yet wait for their turn while moves
 * are as many as the budget allows; else nothing that may take them has room.
 */
static void count_waits(const struct state *state, const struct host *host,
                        bool of_zone, struct operation *operation)
{
    uint32_t moving = 0;
    uint32_t free = 0;

    for (uint32_t slot = host->vm_first; slot != SLOT_NONE;) {
        const struct vm *vm = state_vm_at(state, slot);
        uint32_t reason = drain_reason(vm, of_zone);

        moving += vm->state == VM_STOPPING && vm->moving == MOVE_UNDER_WAY;
        free += reason == SLOT_NONE;
        if (reason != SLOT_NONE) {
            operation->waits[reason]++;
        }
        slot = vm->host_next;
    }
    operation->waits[moving >= state_policy(state)->host_moves
                         ? OPERATION_WAITS_BUDGET
                         : (uint32_t)PENDING_NO_CAPACITY] += free;
}

static bool shows_waits(const struct operation *operation)
{
    return operation->state == OPERATION_RUNNING &&
           operation->depth == OPERATION_WHOLE;
}

static bool judge_drain(const struct drain_facts *facts,
                        struct operation *operation)
{
    if (facts->number != operation->ref.mark) {
        return false;
    }
    operation->revision = facts->revision;
    operation->left = facts->left;
    if (facts->draining && facts->left > 0) {
        operation_say(operation, OPERATION_RUNNING, "%u VM%s left", facts->left,
                      facts->left == 1 ? "" : "s");
        operation->cancellable = true;
    } else if (facts->draining) {
        operation_say(operation, OPERATION_DONE, "it is empty, and stays so");
    } else if (facts->end == DRAIN_END_EMPTY) {
        operation->left = 0;
        operation_say(operation, OPERATION_DONE,
                      "it was empty when the drain ended");
    } else if (facts->end == DRAIN_END_DEADLINE) {
        operation_say(operation, OPERATION_FAILED,
                      "its deadline passed before all VMs had left");
    } else {
        operation_say(operation, OPERATION_CANCELLED,
                      "somebody ended it before all VMs had left");
    }
    return true;
}

static bool judge_drain_host(const struct state *state,
                             struct operation *operation)
{
    const struct host *host =
        state_host(state, (struct host_id){operation->ref.uid});
    struct drain_facts facts;

    if (host == NULL || !is_about(operation, host->name)) {
        return false;
    }
    facts = (struct drain_facts){host->draining, host->drain_end,
                                 host->drain_number, host->vm_count,
                                 host->revision};
    if (!judge_drain(&facts, operation)) {
        return false;
    }
    if (shows_waits(operation)) {
        count_waits(state, host, false, operation);
    }
    return true;
}

static bool judge_drain_zone(const struct state *state,
                             struct operation *operation)
{
    const struct zone *zone =
        state_zone(state, (struct zone_id){operation->ref.uid});
    struct drain_facts facts;

    if (zone == NULL || !is_about(operation, zone->name)) {
        return false;
    }
    facts = (struct drain_facts){zone->draining, zone->drain_end,
                                 zone->drain_number, zone->vm_count,
                                 zone->revision};
    if (!judge_drain(&facts, operation)) {
        return false;
    }
    for (uint32_t slot = 0;
         shows_waits(operation) && slot < state_host_slots(state); slot++) {
        const struct host *host = state_host_at(state, slot);

        if (host != NULL && host->zone == uid_slot(zone->uid)) {
            count_waits(state, host, true, operation);
        }
    }
    return true;
}

/* --- Lost zones and hosts --------------------------------------------------
 */

struct loss {
    bool of_zone;
    uint32_t slot;
    bool lost;         /* It still is. */
    uint64_t since_ms; /* It is, or is back. */
    uint32_t held;     /* VMs that still belong there. */
    uint64_t revision;
};

/* VMs that were there and have no host. */
static void count_recovering(const struct state *state, const struct loss *loss,
                             struct operation *operation)
{
    for (uint32_t slot = state_pending_first(state);
         slot != SLOT_NONE &&
         (operation->depth != OPERATION_ENDED || operation->left == 0);) {
        const struct vm *vm = state_vm_at(state, slot);
        uint32_t last = vm->last_host;

        slot = vm->host_next;
        if (!vm->recovering || last == SLOT_NONE) {
            continue;
        }
        if (loss->of_zone ? state_host_at(state, last)->zone == loss->slot
                          : last == loss->slot) {
            operation->waits[reason_of(vm)]++;
            operation->left++;
        }
    }
}

static bool judge_loss(const struct state *state, const struct loss *loss,
                       struct operation *operation)
{
    if (loss->since_ms < operation->ref.mark ||
        (loss->lost && loss->since_ms != operation->ref.mark)) {
        return false;
    }
    operation->revision = loss->revision;
    operation->begin_ms = operation->ref.mark;
    if (!loss->lost) {
        operation_say(operation, OPERATION_DONE, "the %s is back",
                      loss->of_zone ? "zone" : "host");
        return true;
    }
    operation->waits[PENDING_HELD_BY_POLICY] = loss->held;
    operation->left = loss->held;
    count_recovering(state, loss, operation);
    if (operation->left == 0) {
        operation_say(operation, OPERATION_DONE,
                      "each of its VMs has another host");
    } else {
        operation_say(operation, OPERATION_RUNNING,
                      "%u VM%s without a host that is up", operation->left,
                      operation->left == 1 ? "" : "s");
    }
    return true;
}

static bool judge_recover_zone(const struct state *state,
                               struct operation *operation)
{
    const struct zone *zone =
        state_zone(state, (struct zone_id){operation->ref.uid});
    struct loss loss;

    if (zone == NULL || !is_about(operation, zone->name)) {
        return false;
    }
    loss = (struct loss){true,
                         uid_slot(zone->uid),
                         zone->state == ZONE_LOST,
                         zone->state_time_ms,
                         zone->vm_count,
                         zone->revision};
    return judge_loss(state, &loss, operation);
}

static bool judge_recover_host(const struct state *state,
                               struct operation *operation)
{
    const struct host *host =
        state_host(state, (struct host_id){operation->ref.uid});
    struct loss loss;

    if (host == NULL || !is_about(operation, host->name)) {
        return false;
    }
    loss = (struct loss){false,
                         uid_slot(host->uid),
                         host->state == HOST_LOST,
                         host->state_time_ms,
                         host->vm_count,
                         host->revision};
    return judge_loss(state, &loss, operation);
}

/* --- Groups --------------------------------------------------------------- */

void operation_count_members(const struct state *state,
                             const struct group *group,
                             struct operation_members *members)
{
    *members = (struct operation_members){0};
    for (uint32_t next = group->vm_first_plus1; next != 0;) {
        const struct vm *vm = state_vm_at(state, next - 1);

        next = vm->group_next_plus1;
        if (vm->template_generation == 0 && !group->deleting) {
            continue; /* Made by hand. */
        }
        if (vm->deleting) {
            members->leaving++;
            members->waits[OPERATION_WAITS_STOPPING]++;
            continue;
        }
        members->count++;
        members->outdated += vm->template_generation < group->generation;
        if (vm->state != VM_RUNNING && vm->epoch <= 1 &&
            vm->desired == DESIRED_RUNNING) {
            members->young++;
            members->waits[reason_of(vm)]++;
        }
    }
}

static void judge_members(const struct state *state, const struct group *group,
                          struct operation *operation)
{
    bool updates = operation->ref.kind == OPERATION_UPDATE_GROUP;
    struct operation_members members;
    uint32_t missing;

    operation_count_members(state, group, &members);
    missing = group->class_slot != SLOT_NONE && group->count > members.count
                  ? group->count - members.count
                  : 0;
    memcpy(operation->waits, members.waits, sizeof(operation->waits));
    operation->waits[OPERATION_WAITS_NOT_MADE] = missing;
    operation->total = group->count;
    operation->left = missing + members.young + members.leaving;
    if (group->class_slot != SLOT_NONE && members.count > group->count) {
        operation->left += members.count - group->count;
        operation->waits[OPERATION_WAITS_STOPPING] +=
            members.count - group->count;
    }
    if (updates && members.outdated > 0 && group->max_unavailable == 0) {
        operation_say(
            operation, OPERATION_CANCELLED,
            "%u member%s of an older template stay%s: max_unavailable is 0",
            members.outdated, members.outdated == 1 ? "" : "s",
            members.outdated == 1 ? "s" : "");
        return;
    }
    if (updates) {
        operation->waits[OPERATION_WAITS_OUTDATED] = members.outdated;
        operation->left += members.outdated;
    }
    operation->done =
        operation->left < group->count ? group->count - operation->left : 0;
    operation->cancellable =
        operation->left > 0 && (updates ? members.outdated > 0
                                        : group->class_slot != SLOT_NONE &&
                                              members.count != group->count);
    operation_say(
        operation, operation->left > 0 ? OPERATION_RUNNING : OPERATION_DONE,
        "%u of %u members are as they shall be", operation->done, group->count);
}

static bool judge_living_group(const struct state *state,
                               const struct group *group,
                               struct operation *operation)
{
    const struct operation_ref *ref = &operation->ref;

    operation->revision = group->revision;
    if (ref->kind == OPERATION_DELETE_GROUP) {
        operation->left = group->vm_count;
        operation_say(operation, OPERATION_RUNNING, "%u member%s left",
                      group->vm_count, group->vm_count == 1 ? "" : "s");
        operation->waits[OPERATION_WAITS_STOPPING] = group->vm_count;
        return group->deleting;
    }
    if (ref->kind == OPERATION_UPDATE_GROUP && ref->mark > group->generation) {
        return false;
    }
    if (group->deleting) {
        operation_say(operation, OPERATION_CANCELLED,
                      "the group is being deleted");
    } else if (ref->kind == OPERATION_UPDATE_GROUP &&
               ref->mark < group->generation) {
        operation_say(operation, OPERATION_CANCELLED,
                      "the group has a newer template, of generation %u",
                      group->generation);
    } else if (ref->kind == OPERATION_SCALE_GROUP &&
               ref->mark != group->count) {
        operation_say(operation, OPERATION_CANCELLED,
                      "the group shall have %u members by now", group->count);
    } else {
        judge_members(state, group, operation);
    }
    return true;
}

static bool judge_group(const struct state *state, struct operation *operation)
{
    const struct group *group =
        state_group(state, (struct group_id){operation->ref.uid});

    if (group != NULL) {
        return is_about(operation, group->name) &&
               judge_living_group(state, group, operation);
    }
    if (!state_was_group(state, (struct group_id){operation->ref.uid})) {
        return false;
    }
    operation_say(operation,
                  operation->ref.kind == OPERATION_DELETE_GROUP
                      ? OPERATION_DONE
                      : OPERATION_CANCELLED,
                  "the group is deleted");
    return true;
}

/* --- VMs ------------------------------------------------------------------ */

static void say_waiting(struct operation *operation, const struct vm *vm,
                        const char *goal)
{
    uint32_t reason = reason_of(vm);

    operation->left = 1;
    operation->waits[reason]++;
    operation_say(operation, OPERATION_RUNNING, "%s: %s", goal,
                  operation_reason_name(reason));
}

static void judge_start(const struct vm *vm, struct operation *operation)
{
    if (vm->desired == DESIRED_STOPPED) {
        operation_say(operation, OPERATION_CANCELLED,
                      "the VM shall be stopped by now");
    } else if (vm->state == VM_RUNNING && vm->epoch > operation->ref.mark) {
        operation_say(operation, OPERATION_DONE, "the VM runs");
    } else {
        say_waiting(operation, vm, "not running yet");
    }
}

static void judge_stop(const struct vm *vm, struct operation *operation)
{
    if (vm->desired == DESIRED_RUNNING) {
        operation_say(operation, OPERATION_CANCELLED,
                      "the VM shall run by now");
    } else if (vm->state == VM_STOPPED) {
        operation_say(operation, OPERATION_DONE, "the VM is stopped");
    } else {
        say_waiting(operation, vm, "not stopped yet");
    }
}

static void judge_move(const struct vm *vm, struct operation *operation)
{
    operation->cause = (enum move_cause)vm->move_cause;
    if (vm->desired == DESIRED_STOPPED) {
        operation_say(operation, OPERATION_CANCELLED,
                      "the VM shall be stopped by now");
    } else if (vm->epoch > operation->ref.mark && vm->state == VM_RUNNING) {
        operation_say(operation, OPERATION_DONE,
                      "the VM runs with a new assignment");
    } else if (vm->epoch > operation->ref.mark || vm->moving != MOVE_NONE ||
               vm->host == SLOT_NONE) {
        say_waiting(operation, vm,
                    vm->moving == MOVE_CLAIMED ? "holds room, not begun"
                                               : "under way");
        operation->cancellable =
            vm->moving == MOVE_CLAIMED && vm->host != SLOT_NONE;
    } else {
        operation_say(operation, OPERATION_CANCELLED,
                      "the VM stays on its host");
    }
}

static bool judge_living_vm(const struct vm *vm, struct operation *operation)
{
    operation->revision = vm->revision;
    operation->begin_ms = vm->state_time_ms;
    if (vm->epoch < operation->ref.mark) {
        return false;
    }
    if (operation->ref.kind == OPERATION_DELETE_VM) {
        say_waiting(operation, vm, "not gone yet");
        return vm->deleting;
    }
    if (vm->deleting && operation->ref.kind != OPERATION_STOP_VM) {
        operation_say(operation, OPERATION_CANCELLED,
                      "the VM is being deleted");
    } else if (operation->ref.kind == OPERATION_START_VM) {
        judge_start(vm, operation);
    } else if (operation->ref.kind == OPERATION_STOP_VM) {
        judge_stop(vm, operation);
    } else {
        judge_move(vm, operation);
    }
    return true;
}

static bool judge_vm(const struct state *state, struct operation *operation)
{
    const struct vm *vm = state_vm(state, (struct vm_id){operation->ref.uid});
    bool stops = operation->ref.kind == OPERATION_DELETE_VM ||
                 operation->ref.kind == OPERATION_STOP_VM;
    bool known;

    operation->total = 1;
    if (vm != NULL) {
        known = is_about(operation, vm->name) && judge_living_vm(vm, operation);
    } else {
        known = state_was_vm(state, (struct vm_id){operation->ref.uid});
        operation_say(operation, stops ? OPERATION_DONE : OPERATION_FAILED,
                      "the VM is deleted");
    }
    operation->done = operation->state == OPERATION_DONE;
    return known;
}

bool operation_judge(const struct state *state, const struct operation_ref *ref,
                     enum operation_depth depth, struct operation *operation)
{
    *operation = (struct operation){.ref = *ref, .depth = depth};
    switch (ref->kind) {
    case OPERATION_DRAIN_HOST:
        return judge_drain_host(state, operation);
    case OPERATION_DRAIN_ZONE:
        return judge_drain_zone(state, operation);
    case OPERATION_RECOVER_ZONE:
        return judge_recover_zone(state, operation);
    case OPERATION_RECOVER_HOST:
        return judge_recover_host(state, operation);
    case OPERATION_SCALE_GROUP:
    case OPERATION_UPDATE_GROUP:
    case OPERATION_DELETE_GROUP:
        return judge_group(state, operation);
    case OPERATION_APPLY_PLAN:
    case OPERATION_APPLY_MANIFEST:
        return operation_judge_apply(state, operation);
    default:
        CHECK(ref->kind < OPERATION_KIND_COUNT && ref->kind != OPERATION_NONE);
        return judge_vm(state, operation);
    }
}
