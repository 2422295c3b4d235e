/* SPDX-License-Identifier: Apache-2.0 */
#include "node/planner_record.h"

#include "base/check.h"
#include "base/memory.h"
#include "node/limits.h"

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
    uint32_t rounds =
        position(planner, host_slot) / settings->start_parallel + 1;

    return settings->lease_wait_ms + rounds * planner->start_ms;
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
    uint32_t group_plus1;
    uint32_t home_host_plus1;
    uint32_t selector_blob;
    uint32_t message;
    uint8_t driver;
    uint8_t reason;
    bool preemptible;
    bool recovering;
};

/* Kinds that a VM is compared with in the time of a look at a host. */
#define KINDS_A_LOOK 16

static struct planner_reason kind_of(const struct vm *vm)
{
    return (struct planner_reason){
        .pool_mask = vm->pool_mask,
        .disk_zone_mask = vm->disk_zone_mask,
        .class_slot = vm->class_slot,
        .zone = vm->zone,
        .group_plus1 = vm->group_plus1,
        .home_host_plus1 = vm->home_host_plus1,
        .selector_blob = vm->selector_blob,
        .driver = vm->driver,
        .reason = vm->pending_reason,
        .preemptible = vm->preemptible,
        .recovering = vm->recovering,
    };
}

static bool is_same_kind(const struct planner_reason *a,
                         const struct planner_reason *b)
{
    return a->pool_mask == b->pool_mask &&
           a->disk_zone_mask == b->disk_zone_mask &&
           a->class_slot == b->class_slot && a->zone == b->zone &&
           a->group_plus1 == b->group_plus1 &&
           a->home_host_plus1 == b->home_host_plus1 &&
           a->selector_blob == b->selector_blob && a->driver == b->driver &&
           a->reason == b->reason && a->preemptible == b->preemptible &&
           a->recovering == b->recovering;
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

/* Each explanation looks at all hosts: so many in all; what is beyond has its
 * reason and no sentence. */
static uint32_t message_of(struct planner *planner, const struct vm *vm)
{
    struct planner_reason kind = kind_of(vm);

    for (uint32_t i = 0; i < planner->reason_count; i++) {
        if (is_same_kind(&planner->reasons[i], &kind)) {
            return planner->reasons[i].message;
        }
    }
    if (planner->reason_count == PLAN_REASONS_MAX) {
        return 0;
    }
    if (planner->reasons == NULL) {
        planner->reasons =
            memory_alloc_array(PLAN_REASONS_MAX, sizeof(*planner->reasons));
    }
    kind.message = explain(planner, vm);
    planner->reasons[planner->reason_count++] = kind;
    return kind.message;
}

static void add_unplaced(struct planner *planner, const struct vm *vm,
                         uint32_t message, enum pending_reason reason)
{
    struct plan *result = planner->result;
    struct plan_unplaced *unplaced = plan_add_unplaced(result);

    unplaced->name = plan_keep_text(
        result, (struct text){vm->name, (uint32_t)strlen(vm->name)});
    unplaced->class_name =
        plan_class_name(result, planner->plan.scratch, vm->class_slot);
    unplaced->message = message;
    unplaced->priority = vm->priority;
    unplaced->reason = (uint8_t)reason;
}

/* A VM that outlives its lease is placed only when it is proved gone. */
static void explain_lost(struct planner *planner, const struct vm *vm)
{
    if (planner->lost_message == 0) {
        planner->lost_message = plan_keep_format(
            planner->result, "on_partition keep: it may run on while its host "
                             "is cut off, and is placed again when the host is "
                             "declared dead or boots anew");
    }
    add_unplaced(planner, vm, planner->lost_message, PENDING_HELD_BY_POLICY);
}

bool planner_explain(struct planner *planner)
{
    const struct state *state = planner->plan.scratch;
    uint32_t end = planner->cursor + PLAN_SLICE_LOOKS;

    if (state_counts(state)->vms_by_state[VM_PENDING] +
            state_counts(state)->vms_by_state[VM_LOST] ==
        0) {
        return true;
    }
    for (; planner->cursor < state_vm_slots(state); planner->cursor++) {
        const struct vm *vm = state_vm_at(state, planner->cursor);

        if (planner->cursor == end || turn_work_left(&planner->plan) == 0 ||
            planner->result->unplaced_count == PLAN_STEPS_MAX) {
            return planner->result->unplaced_count == PLAN_STEPS_MAX;
        }
        planner->plan.looks += 1 + planner->reason_count / KINDS_A_LOOK;
        if (vm != NULL && vm->state == VM_PENDING) {
            uint32_t message = message_of(planner, vm);

            add_unplaced(planner, vm, message,
                         (enum pending_reason)vm->pending_reason);
        } else if (vm != NULL && vm->state == VM_LOST) {
            explain_lost(planner, vm);
        }
    }
    return true;
}

void planner_forget_reasons(struct planner *planner)
{
    free(planner->reasons);
}
