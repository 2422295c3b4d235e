/* SPDX-License-Identifier: Apache-2.0 */
#include "node/planner_record.h"

#include "base/check.h"
#include "base/memory.h"
#include "node/drain_wait.h"
#include "node/limits.h"
#include "placement/rebalance.h"

#include <stdlib.h>
#include <string.h>

/* --- Steps --------------------------------------------------------------- */

static void keep_uid(uint64_t **uids, uint32_t *count, uint32_t *capacity,
                     uint64_t uid)
{
    if (*count == *capacity) {
        *capacity = 2 * *capacity + 256;
        *uids = memory_realloc_array(*uids, *capacity, sizeof(**uids));
    }
    (*uids)[(*count)++] = uid;
}

static struct plan_step *last_step(const struct planner *planner, uint64_t uid)
{
    uintptr_t number = (uintptr_t)map_get(&planner->steps, uid);

    return number == 0 ? NULL : &planner->result->steps[number - 1];
}

static struct plan_step *add_step(struct planner *planner, const struct vm *vm,
                                  enum plan_step_kind kind)
{
    struct plan *result = planner->result;
    const struct vm *before =
        state_vm(planner->before, (struct vm_id){vm->uid});
    struct plan_step *step;

    if (result->step_count >= PLAN_STEPS_MAX) {
        planner->truncated = true;
        return NULL;
    }
    step = plan_add_step(result);
    map_put(&planner->steps, vm->uid, (void *)(uintptr_t)result->step_count);
    step->kind = (uint8_t)kind;
    step->vm = before == NULL ? 0 : vm->uid;
    step->name = plan_keep_text(
        result, (struct text){vm->name, (uint32_t)strlen(vm->name)});
    step->class_name =
        plan_class_name(result, planner->plan.scratch, vm->class_slot);
    step->priority = vm->priority;
    step->cause = vm->move_cause;
    if (before != NULL && before->host != SLOT_NONE) {
        step->from_host = plan_host_name(result, planner->before, before->host);
        step->from_zone =
            plan_zone_name(result, planner->before,
                           state_host_at(planner->before, before->host)->zone);
    }
    return step;
}

static void set_target(struct planner *planner, struct plan_step *step,
                       uint32_t host_slot)
{
    const struct state *state = planner->plan.scratch;
    const struct host *host = state_host_at(state, host_slot);

    step->to_uid = host->uid;
    step->to_host = plan_host_name(planner->result, state, host_slot);
    step->to_zone = plan_zone_name(planner->result, state, host->zone);
}

/* VMs that start on the host before this one. */
static uint32_t position(struct planner *planner, uint32_t host_slot)
{
    uint64_t key = (uint64_t)host_slot + 1;
    uintptr_t starts = (uintptr_t)map_get(&planner->starts, key);

    map_put(&planner->starts, key, (void *)(starts + 1));
    return (uint32_t)starts;
}

static uint32_t restart_ms(struct planner *planner, uint32_t host_slot)
{
    const struct settings *settings = state_settings(planner->plan.scratch);
    uint64_t rounds =
        position(planner, host_slot) / settings->start_parallel + 1;
    uint64_t ms = settings->lease_wait_ms + rounds * planner->start_ms;

    return ms < UINT32_MAX ? (uint32_t)ms : UINT32_MAX;
}

static void record_arrival(struct planner *planner, const struct vm *vm)
{
    const struct vm *before =
        state_vm(planner->before, (struct vm_id){vm->uid});
    struct plan_step *step = last_step(planner, vm->uid);
    bool restart = before != NULL && before->host != SLOT_NONE;

    keep_uid(&planner->arrived, &planner->arrived_count,
             &planner->arrived_capacity, vm->uid);
    if (!planner->recording) {
        return;
    }
    if (step == NULL || step->kind == PLAN_PREEMPT) {
        enum plan_step_kind kind = before == NULL ? PLAN_CREATE
                                   : restart      ? PLAN_RESTART
                                                  : PLAN_START;

        step = add_step(planner, vm, kind);
    }
    if (step == NULL) {
        return;
    }
    set_target(planner, step, vm->host);
    if (step->kind == PLAN_RESTART) {
        step->downtime_ms = restart_ms(planner, vm->host);
    }
}

/* It makes room for another, or goes where it holds room; or it was told so
 * before this plan. */
static void record_leaving(struct planner *planner, const struct vm *vm)
{
    const struct vm *before =
        state_vm(planner->before, (struct vm_id){vm->uid});
    struct plan_step *step = last_step(planner, vm->uid);

    keep_uid(&planner->leaving, &planner->leaving_count,
             &planner->leaving_capacity, vm->uid);
    if (!planner->recording || step != NULL || vm->deleting ||
        (before != NULL && before->state == VM_STOPPING)) {
        return;
    }
    if (vm->move_host != SLOT_NONE) {
        step = add_step(planner, vm, PLAN_MOVE);
        if (step != NULL) {
            set_target(planner, step, vm->move_host);
            step->downtime_ms = PLAN_STOP_MS + planner->start_ms;
        }
    } else if (vm->moving == MOVE_UNDER_WAY &&
               vm->move_cause == MOVE_CAUSE_PREEMPTION) {
        add_step(planner, vm, PLAN_PREEMPT);
    }
}

static void record_deletion(struct planner *planner, const struct vm *vm)
{
    const struct plan_step *step = last_step(planner, vm->uid);
    const struct vm *before =
        state_vm(planner->before, (struct vm_id){vm->uid});

    if (planner->recording && before != NULL && !before->deleting &&
        (step == NULL || step->kind != PLAN_DELETE)) {
        add_step(planner, vm, PLAN_DELETE);
    }
}

static void record_claim(struct planner *planner, const struct vm *vm)
{
    struct plan_step *step;

    if (!planner->recording || last_step(planner, vm->uid) != NULL) {
        return;
    }
    step = add_step(planner, vm, PLAN_MOVE);
    if (step != NULL) {
        set_target(planner, step, vm->move_host);
        step->downtime_ms = PLAN_STOP_MS + planner->start_ms;
    }
}

void planner_record(struct planner *planner, const struct vm *vm, bool deleted)
{
    if (deleted || vm->deleting) {
        record_deletion(planner, vm);
    }
    if (deleted) {
        return;
    }
    if (vm->state == VM_STOPPING) {
        record_leaving(planner, vm);
    } else if (vm->state == VM_ASSIGNED) {
        record_arrival(planner, vm);
    } else if (vm->moving == MOVE_CLAIMED && vm->host != SLOT_NONE) {
        record_claim(planner, vm);
    } else if (planner->recording && vm->state == VM_PENDING &&
               vm->epoch == 0 && last_step(planner, vm->uid) == NULL &&
               state_vm(planner->before, (struct vm_id){vm->uid}) == NULL) {
        add_step(planner, vm, PLAN_CREATE);
    }
}

/* --- What has no place --------------------------------------------------- */

/* VMs that are alike are refused alike. */
struct planner_reason {
    uint64_t pool_mask;
    uint64_t disk_zone_mask;
    uint32_t class_slot;
    uint32_t zone;
    uint32_t from_host; /* Matters to rules about hosts alone. */
    uint32_t group_plus1;
    uint32_t home_host_plus1;
    uint32_t selector_blob;
    uint8_t driver;
    uint8_t pending_reason;
    bool preemptible;
    bool recovering;
    bool stays; /* Where it is to leave. */
    bool local_disk;
    bool at_risk;
    /* Found for it. */
    uint8_t reason;
    uint32_t message;
};

/* Kinds that a VM is compared with in the time of a look at a host. */
#define KINDS_A_LOOK 16

static struct planner_reason kind_of(const struct state *state,
                                     const struct vm *vm)
{
    bool stays = vm->host != SLOT_NONE;

    return (struct planner_reason){
        .pool_mask = vm->pool_mask,
        .disk_zone_mask = vm->disk_zone_mask,
        .class_slot = vm->class_slot,
        .zone = vm->zone,
        .from_host = stays && vm->group_plus1 != 0 ? vm->host : 0,
        .group_plus1 = vm->group_plus1,
        .home_host_plus1 = stays ? 0 : vm->home_host_plus1,
        .selector_blob = vm->selector_blob,
        .driver = vm->driver,
        .pending_reason = vm->pending_reason,
        .preemptible = vm->preemptible,
        .recovering = vm->recovering,
        .stays = stays,
        .local_disk = stays && vm->local_disk,
        .at_risk = stays && rebalance_drain_at_risk(
                                state, state_host_at(state, vm->host)),
        .reason = stays ? (uint8_t)PENDING_NO_CAPACITY : vm->pending_reason,
    };
}

static bool is_same_kind(const struct planner_reason *a,
                         const struct planner_reason *b)
{
    return a->pool_mask == b->pool_mask &&
           a->disk_zone_mask == b->disk_zone_mask &&
           a->class_slot == b->class_slot && a->zone == b->zone &&
           a->from_host == b->from_host && a->group_plus1 == b->group_plus1 &&
           a->home_host_plus1 == b->home_host_plus1 &&
           a->selector_blob == b->selector_blob && a->driver == b->driver &&
           a->pending_reason == b->pending_reason &&
           a->preemptible == b->preemptible && a->recovering == b->recovering &&
           a->stays == b->stays && a->local_disk == b->local_disk &&
           a->at_risk == b->at_risk;
}

static uint32_t explain(struct planner *planner, const struct vm *vm)
{
    struct placement_request request = {vm, SLOT_NONE};
    struct placement_choice choice;
    char words[512] = "";

    if (vm->pending_reason == PENDING_HELD_BY_POLICY) {
        return plan_keep_format(planner->result,
                                "it failed and waits out its restart delay");
    }
    placer_choose(planner->plan.placer, planner->plan.scratch, &request,
                  &choice);
    if (choice.host == SLOT_NONE) {
        if (!choice.retry) {
            placer_count_refused(planner->plan.placer, planner->plan.scratch,
                                 &request, &choice);
        }
        placement_explain(planner->plan.scratch, &choice, words, sizeof(words));
    }
    return plan_keep_format(planner->result, "%s", words);
}

/* As a pending VM's reasons. */
static void explain_staying(struct planner *planner, const struct vm *vm,
                            struct planner_reason *kind)
{
    char words[512];
    uint32_t reason = drain_wait_reason(
        planner->plan.placer, planner->plan.scratch, vm, words, sizeof(words));

    kind->message = plan_keep_format(planner->result, "%s", words);
    switch (reason) {
    case OPERATION_WAITS_LOCAL_DISK:
        kind->reason = PENDING_DISK_NOT_REACHABLE;
        break;
    case OPERATION_WAITS_ZONAL:
        kind->reason = PENDING_ZONE_UNAVAILABLE;
        break;
    case OPERATION_WAITS_BUDGET:
        kind->reason = PENDING_QUEUED;
        break;
    default:
        kind->reason = (uint8_t)reason;
        break;
    }
}

/* Each explanation looks at all hosts: so many in all; what is beyond has its
 * reason and no sentence. */
static struct planner_reason reason_of(struct planner *planner,
                                       const struct vm *vm)
{
    struct planner_reason kind = kind_of(planner->plan.scratch, vm);

    for (uint32_t i = 0; i < planner->reason_count; i++) {
        if (is_same_kind(&planner->reasons[i], &kind)) {
            return planner->reasons[i];
        }
    }
    if (planner->reason_count == PLAN_REASONS_MAX) {
        return kind;
    }
    if (planner->reasons == NULL) {
        planner->reasons =
            memory_alloc_array(PLAN_REASONS_MAX, sizeof(*planner->reasons));
    }
    if (kind.stays) {
        explain_staying(planner, vm, &kind);
    } else {
        kind.message = explain(planner, vm);
    }
    planner->reasons[planner->reason_count++] = kind;
    return kind;
}

static void add_unplaced(struct planner *planner, const struct vm *vm,
                         enum plan_lack lack,
                         const struct planner_reason *reason)
{
    struct plan *result = planner->result;
    struct plan_unplaced *unplaced;

    if (result->lacks[lack].count == PLAN_STEPS_MAX) {
        return;
    }
    unplaced = plan_add_unplaced(result, lack);
    unplaced->name = plan_keep_text(
        result, (struct text){vm->name, (uint32_t)strlen(vm->name)});
    unplaced->class_name =
        plan_class_name(result, planner->plan.scratch, vm->class_slot);
    unplaced->message = reason->message;
    unplaced->priority = vm->priority;
    unplaced->reason = reason->reason;
}

/* What had no place before the action, for whatever reason, does not lack it
 * because of the action. */
static enum plan_lack lack_of(const struct planner *planner,
                              const struct vm *vm)
{
    const struct vm *before =
        state_vm(planner->before, (struct vm_id){vm->uid});

    return before != NULL && before->state == vm->state ? PLAN_WAITING
                                                        : PLAN_UNPLACED;
}

/* A VM that outlives its lease is placed only when it is proved gone. */
static void explain_lost(struct planner *planner, const struct vm *vm)
{
    struct planner_reason reason = {.reason = PENDING_HELD_BY_POLICY};

    if (planner->lost_message == 0) {
        planner->lost_message = plan_keep_format(
            planner->result, "on_partition keep: it may run on while its host "
                             "is cut off, and is placed again when the host is "
                             "declared dead or boots anew");
    }
    reason.message = planner->lost_message;
    add_unplaced(planner, vm, lack_of(planner, vm), &reason);
}

/* Whether it has a place is no question: nobody is there to give it. */
static void explain_undecided(struct planner *planner, const struct vm *vm)
{
    struct planner_reason reason = {.reason = PENDING_ZONE_UNAVAILABLE};

    if (planner->undecided_message == 0) {
        planner->undecided_message = plan_keep_format(
            planner->result, "the nodes that are left are no majority: none of "
                             "them may decide where it goes, until others are "
                             "back");
    }
    reason.message = planner->undecided_message;
    add_unplaced(planner, vm, PLAN_UNPLACED, &reason);
}

/* It is to leave, by this action or by a drain that was under way. */
static void tell_staying(struct planner *planner, const struct vm *vm,
                         const struct planner_reason *reason)
{
    const struct state *state = planner->plan.scratch;

    if (!plan_action_drains(&planner->action, state,
                            state_host_at(state, vm->host))) {
        add_unplaced(planner, vm, PLAN_WAITING, reason);
        return;
    }
    planner->guarded += reason->reason == PENDING_HEADROOM;
    planner->stuck += reason->reason != PENDING_HEADROOM;
    add_unplaced(planner, vm, PLAN_UNPLACED, reason);
}

static bool has_any(const struct planner *planner)
{
    const struct state_counts *counts = state_counts(planner->plan.scratch);

    return planner->action.drains || counts->vms_by_state[VM_PENDING] > 0 ||
           counts->vms_by_state[VM_LOST] > 0;
}

bool planner_explain(struct planner *planner)
{
    const struct state *state = planner->plan.scratch;
    uint32_t end = planner->cursor + PLAN_SLICE_LOOKS;

    if (!has_any(planner)) {
        return true;
    }
    for (; planner->cursor < state_vm_slots(state); planner->cursor++) {
        const struct vm *vm = state_vm_at(state, planner->cursor);
        struct planner_reason reason;

        if (planner->cursor == end || turn_work_left(&planner->plan) == 0) {
            return false;
        }
        planner->plan.looks += 1 + planner->reason_count / KINDS_A_LOOK;
        if (vm != NULL && vm->state == VM_PENDING &&
            planner->action.undecided &&
            lack_of(planner, vm) == PLAN_UNPLACED) {
            explain_undecided(planner, vm);
        } else if (vm != NULL && vm->state == VM_PENDING) {
            reason = reason_of(planner, vm);
            add_unplaced(planner, vm, lack_of(planner, vm), &reason);
        } else if (vm != NULL && vm->state == VM_LOST) {
            explain_lost(planner, vm);
        } else if (vm != NULL && planner->action.drains &&
                   drain_wait_is(state, vm)) {
            reason = reason_of(planner, vm);
            tell_staying(planner, vm, &reason);
        }
    }
    return true;
}

void planner_forget_reasons(struct planner *planner)
{
    free(planner->reasons);
}
