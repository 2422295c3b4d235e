/* SPDX-License-Identifier: Apache-2.0 */
#include "node/turn.h"

#include "base/memory.h"
#include "node/limits.h"

#include <stdlib.h>

static void touch(struct turn_trial *trial, enum event_kind kind, uint32_t slot)
{
    uint64_t entry = (uint64_t)kind << 32 | slot;

    if (slot == SLOT_NONE ||
        (trial->touched_count > 0 &&
         trial->touched[trial->touched_count - 1] == entry)) {
        return;
    }
    if (trial->touched_count == trial->touched_capacity) {
        trial->touched_capacity = 2 * trial->touched_capacity + 64;
        trial->touched = memory_realloc_array(
            trial->touched, trial->touched_capacity, sizeof(*trial->touched));
    }
    trial->touched[trial->touched_count++] = entry;
}

/* Its hosts and its group count it without an event of their own. */
static void touch_vm(struct turn_trial *trial, const struct vm *vm)
{
    touch(trial, EVENT_VM, uid_slot(vm->uid));
    touch(trial, EVENT_HOST, vm->host);
    touch(trial, EVENT_HOST, vm->last_host);
    touch(trial, EVENT_HOST, vm->move_host);
    if (vm->group_plus1 != 0) {
        touch(trial, EVENT_GROUP, vm->group_plus1 - 1);
    }
}

static void touch_event(struct turn_trial *trial, const struct event *event)
{
    switch (event->kind) {
    case EVENT_HOST:
        touch(trial, EVENT_HOST, uid_slot(event->host->uid));
        break;
    case EVENT_VM:
        touch_vm(trial, event->vm);
        break;
    case EVENT_GROUP:
        touch(trial, EVENT_GROUP, uid_slot(event->group->uid));
        break;
    case EVENT_RESERVATION:
        touch(trial, EVENT_RESERVATION, uid_slot(event->reservation->uid));
        break;
    case EVENT_ZONE:
        touch(trial, EVENT_ZONE, uid_slot(event->zone->uid));
        break;
    case EVENT_CLASS:
        touch(trial, EVENT_CLASS, uid_slot(event->class->uid));
        break;
    default:
        touch(trial, EVENT_SETTINGS, 0);
    }
}

static void tell(struct placer *placer, const struct state *state,
                 enum event_kind kind, uint32_t slot)
{
    switch (kind) {
    case EVENT_HOST:
        placer_host_changed(placer, state, slot);
        break;
    case EVENT_VM:
        placer_vm_changed(placer, state, slot);
        break;
    case EVENT_GROUP:
        placer_group_changed(placer, state, slot);
        break;
    case EVENT_RESERVATION:
        placer_reservation_changed(placer, state, slot);
        break;
    case EVENT_ZONE:
        placer_zone_changed(placer, state, slot);
        break;
    case EVENT_CLASS:
        placer_class_changed(placer, state, slot);
        break;
    default:
        placer_settings_changed(placer, state);
    }
}

bool turn_needs_zones(const struct turn_voters *voters, uint64_t zones)
{
    uint32_t inside = 0;
    uint32_t left;

    if (voters == NULL) {
        return false;
    }
    left = voters->answering;
    for (uint32_t slot = 0; slot < ZONES_MAX; slot++) {
        if ((zones >> slot & 1) != 0) {
            inside += voters->in_zone[slot];
            left -= voters->answering_in[slot];
        }
    }
    return inside > 0 && left <= voters->count / 2;
}

bool turn_is_decision(const struct event *event)
{
    const struct vm *vm = event->vm;

    if (event->kind != EVENT_VM || event->deleted) {
        return true;
    }
    if (vm->state == VM_STARTING || vm->state == VM_RUNNING) {
        return vm->moving != MOVE_NONE; /* Else its host reported. */
    }
    return vm->state != VM_PENDING || vm->pending_reason == PENDING_QUEUED;
}

void turn_plan_event(struct event_sink *sink, const struct event *event)
{
    struct turn_plan *plan = container_of(sink, struct turn_plan, sink);
    uint32_t slot = SLOT_NONE;

    plan->decisions += turn_is_decision(event);
    if (plan->trial != NULL) {
        touch_event(plan->trial, event);
    }
    if (event->kind == EVENT_HOST) {
        slot = uid_slot(event->host->uid);
    } else if (event->kind == EVENT_VM) {
        slot = uid_slot(event->vm->uid);
    } else if (event->kind == EVENT_GROUP) {
        slot = uid_slot(event->group->uid);
    } else if (event->kind == EVENT_RESERVATION) {
        slot = uid_slot(event->reservation->uid);
    } else if (event->kind == EVENT_ZONE) {
        slot = uid_slot(event->zone->uid);
    } else if (event->kind == EVENT_CLASS) {
        slot = uid_slot(event->class->uid);
    } else if (event->kind == EVENT_SETTINGS) {
        /* What the next request of the same turn finds in force has been so for
         * no time: leases under what this one changes may run (rule 1). */
        plan->settings_since_ms = plan->now_ms;
    }
    tell(plan->placer, plan->scratch, event->kind, slot);
}

/* Where a VM was before: once it is gone from there nothing says so. */
static void touch_former(struct turn_plan *plan, const struct change *change)
{
    const struct vm *vm = NULL;

    switch (change->kind) {
    case CHANGE_VM_CLAIM:
        vm = state_vm(plan->scratch, change->vm_claim.vm);
        break;
    case CHANGE_VM_MOVE:
        vm = state_vm(plan->scratch, change->vm_move.vm);
        break;
    case CHANGE_VM_ASSIGN:
        vm = state_vm(plan->scratch, change->vm_assign.vm);
        break;
    case CHANGE_VM_DESIRE:
        vm = state_vm(plan->scratch, change->vm_desire.vm);
        break;
    default:
        break;
    }
    if (vm != NULL) {
        touch_vm(plan->trial, vm);
    }
}

static uint64_t work_done(const struct turn_plan *plan)
{
    return plan->looks + placer_looks(plan->placer) +
           plan->change_count * TURN_CHANGE_LOOKS;
}

void turn_work_begin(struct turn_plan *plan, uint64_t max)
{
    plan->work_end = work_done(plan) + max;
}

uint64_t turn_work_left(const struct turn_plan *plan)
{
    uint64_t done;

    if (plan->work_end == 0) {
        return UINT64_MAX;
    }
    done = work_done(plan);
    return plan->work_end > done ? plan->work_end - done : 0;
}

void turn_change(struct turn_plan *plan, const struct change *change)
{
    if (plan->trial != NULL) {
        touch_former(plan, change);
    }
    batch_add(&plan->entry, change);
    state_apply(plan->scratch, change, &plan->sink);
    plan->change_count++;
}

void turn_trial_begin(struct turn_trial *trial, const struct turn_plan *real)
{
    *trial = (struct turn_trial){.plan = *real, .real = real};
    trial->plan.dry_run = true;
    trial->plan.trial = trial;
    trial->plan.sink.event = turn_plan_event;
    trial->plan.scratch = state_clone(real->scratch);
    bytes_init(&trial->plan.entry);
}

/* A slot that the trial was the first to use is beyond the real table. For all
 * but hosts that means: it is gone. */
static bool must_rebuild(const struct turn_trial *trial)
{
    bool rebuild = false;

    for (size_t i = 0; i < trial->touched_count && !rebuild; i++) {
        rebuild = trial->touched[i] >> 32 == EVENT_HOST &&
                  uid_slot(trial->touched[i]) >=
                      state_host_slots(trial->real->scratch);
    }
    return rebuild;
}

void turn_trial_end(struct turn_trial *trial)
{
    const struct turn_plan *real = trial->real;

    if (must_rebuild(trial)) {
        placer_rebuild(real->placer, real->scratch);
    } else {
        for (size_t i = 0; i < trial->touched_count; i++) {
            tell(real->placer, real->scratch,
                 (enum event_kind)(trial->touched[i] >> 32),
                 uid_slot(trial->touched[i]));
        }
    }
    bytes_close(&trial->plan.entry);
    state_destroy(trial->plan.scratch);
    free(trial->touched);
}
