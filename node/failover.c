/* SPDX-License-Identifier: Apache-2.0 */
#include "node/failover.h"

#include "base/check.h"
#include "base/memory.h"
#include "base/planted.h"
#include "node/limits.h"

#include <stdlib.h>
#include <string.h>

/* A pending VM, as it is sorted: priority down, then oldest wait first. */
struct waiting {
    uint32_t slot;
    uint32_t order;
    uint16_t priority;
};

/* Equal requests that failed in this turn fail again: nothing that places VMs
 * ever frees room. */
struct refusal {
    uint64_t pool_mask;
    uint32_t class_slot;
    uint32_t zone;
    uint8_t driver;
    uint8_t reason;
};

#define REFUSALS_MAX 64

struct look {
    struct refusal refusals[REFUSALS_MAX];
    uint32_t refusal_count;
    uint32_t assigned;
    uint64_t next_time_ms; /* Earliest end of a restart delay, leader's time. */
};

static int compare_waiting(const void *a, const void *b)
{
    const struct waiting *left = a;
    const struct waiting *right = b;

    if (left->priority != right->priority) {
        return left->priority > right->priority ? -1 : 1;
    }
    return left->order < right->order ? -1 : left->order > right->order;
}

static void set_reason(struct turn_plan *plan, const struct vm *vm,
                       enum pending_reason reason)
{
    struct change change = {.kind = CHANGE_VM_PENDING};

    if (vm->pending_reason == reason) {
        return;
    }
    change.vm_pending = (struct change_vm_pending){{vm->uid}, reason};
    turn_change(plan, &change);
}

/* The zone where it was, if that is well: a lost host's VMs stay there. */
static uint32_t preferred_zone(const struct state *state, const struct vm *vm)
{
    const struct host *last =
        vm->last_host == SLOT_NONE ? NULL : state_host_at(state, vm->last_host);

    return last == NULL || vm->moving ? SLOT_NONE : last->zone;
}

/* The target could take the VM when the move was asked for, and cannot any
 * more. A VM that runs where it was not asked to is better than one that does
 * not run. */
static const struct vm *give_up_move(struct turn_plan *plan,
                                     const struct vm *vm)
{
    struct vm_id id = {vm->uid};
    struct change change = {.kind = CHANGE_VM_MOVE};

    change.vm_move = (struct change_vm_move){.vm = id, .cancel = true};
    turn_change(plan, &change);
    return state_vm(plan->scratch, id);
}

static void choose(struct turn_plan *plan, const struct vm *vm,
                   struct placement_choice *choice)
{
    struct placement_request request = {vm, preferred_zone(plan->scratch, vm)};

    placer_choose(plan->placer, plan->scratch, &request, choice);
}

static enum pending_reason place(struct turn_plan *plan, const struct vm *vm)
{
    struct placement_choice choice;
    struct change change = {.kind = CHANGE_VM_ASSIGN};

    choose(plan, vm, &choice);
    if (choice.host == SLOT_NONE && vm->moving) {
        vm = give_up_move(plan, vm);
        choose(plan, vm, &choice);
    }
    if (choice.host == SLOT_NONE) {
        set_reason(plan, vm, choice.reason);
        return choice.reason;
    }
    change.vm_assign = (struct change_vm_assign){
        {vm->uid},
        {state_host_at(plan->scratch, choice.host)->uid},
        vm->epoch + 1};
    turn_change(plan, &change);
    return PENDING_NONE;
}

void failover_place(struct turn_plan *plan, const struct vm *vm)
{
    CHECK(vm->state == VM_PENDING);
    place(plan, vm);
}

static const struct refusal *known_refusal(const struct look *look,
                                           const struct vm *vm)
{
    for (uint32_t i = 0; i < look->refusal_count; i++) {
        const struct refusal *refusal = &look->refusals[i];

        if (!vm->moving && refusal->class_slot == vm->class_slot &&
            refusal->zone == vm->zone && refusal->pool_mask == vm->pool_mask &&
            refusal->driver == vm->driver) {
            return refusal;
        }
    }
    return NULL;
}

static void note_refusal(struct look *look, const struct vm *vm,
                         enum pending_reason reason)
{
    if (vm->moving || look->refusal_count == REFUSALS_MAX) {
        return;
    }
    look->refusals[look->refusal_count++] = (struct refusal){
        .pool_mask = vm->pool_mask,
        .class_slot = vm->class_slot,
        .zone = vm->zone,
        .driver = vm->driver,
        .reason = (uint8_t)reason,
    };
}

static void place_or_explain(struct turn_plan *plan, struct look *look,
                             uint32_t slot)
{
    const struct vm *vm = state_vm_at(plan->scratch, slot);
    const struct refusal *refusal = known_refusal(look, vm);
    enum pending_reason reason;
    struct vm seen = *vm;

    if (vm->not_before_ms > plan->time_ms) {
        if (vm->not_before_ms < look->next_time_ms) {
            look->next_time_ms = vm->not_before_ms;
        }
        set_reason(plan, vm, PENDING_HELD_BY_POLICY);
        return;
    }
    if (refusal != NULL) {
        set_reason(plan, vm, (enum pending_reason)refusal->reason);
        return;
    }
    reason = place(plan, vm);
    if (reason == PENDING_NONE) {
        look->assigned++;
    } else {
        note_refusal(look, &seen, reason);
    }
}

/* The pending VMs in order; at most FAILOVER_SCAN_MAX of the oldest. */
static struct waiting *collect(const struct state *state, uint32_t *count,
                               bool *more)
{
    uint32_t wanted = state_counts(state)->vms_by_state[VM_PENDING];
    uint32_t slot = state_pending_first(state);
    struct waiting *waiting;

    *more = wanted > FAILOVER_SCAN_MAX;
    wanted = *more ? FAILOVER_SCAN_MAX : wanted;
    waiting = memory_alloc_array(wanted, sizeof(*waiting));
    for (*count = 0; *count < wanted && slot != SLOT_NONE; (*count)++) {
        const struct vm *vm = state_vm_at(state, slot);

        waiting[*count] = (struct waiting){slot, *count, vm->priority};
        slot = vm->host_next;
    }
    qsort(waiting, *count, sizeof(*waiting), compare_waiting);
    return waiting;
}

static bool is_settling(struct failover *failover, const struct turn_plan *plan)
{
    if (!failover->had_hosts && state_counts(plan->scratch)->hosts > 0) {
        failover->had_hosts = true;
        failover->settle_until_ms = plan->now_ms + SETTLE_MS;
    }
    if (plan->now_ms < failover->settle_until_ms) {
        failover->dirty = false;
        failover->next_look_ms = failover->settle_until_ms;
        return true;
    }
    return false;
}

static void plan_failover(struct turn_controller *controller,
                          struct turn_plan *plan)
{
    struct failover *failover =
        container_of(controller, struct failover, controller);
    struct look look = {.next_time_ms = UINT64_MAX};
    struct waiting *waiting;
    uint32_t count;
    bool more;

    if (is_settling(failover, plan) || PLANTED(NO_FAILOVER)) {
        return;
    }
    if (state_pending_first(plan->scratch) == SLOT_NONE ||
        failover->judge->storm) {
        failover->dirty = false;
        failover->more = false;
        return;
    }
    waiting = collect(plan->scratch, &count, &more);
    failover->dirty = false;
    failover->more = false;
    for (uint32_t i = 0; i < count; i++) {
        if (look.assigned == FAILOVER_ASSIGN_MAX ||
            plan->entry.len > TURN_BYTES_SOFT_MAX) {
            failover->more = true;
            break;
        }
        place_or_explain(plan, &look, waiting[i].slot);
    }
    /* Beyond the scan there may be some that fit, once these are placed. */
    failover->more |= more && look.assigned > 0;
    failover->next_look_ms =
        look.next_time_ms == UINT64_MAX
            ? UINT64_MAX
            : plan->now_ms + (look.next_time_ms - plan->time_ms);
    free(waiting);
}

void failover_init(struct failover *failover, const struct judge *judge,
                   const struct state *state)
{
    *failover = (struct failover){
        .controller = {plan_failover},
        .judge = judge,
        .dirty = true,
        .next_look_ms = UINT64_MAX,
        .had_hosts = state_counts(state)->hosts > 0,
    };
}

void failover_note(struct failover *failover, const struct event *event)
{
    bool placed = event->kind == EVENT_VM && !event->deleted &&
                  event->vm->host != SLOT_NONE;
    bool explained = event->kind == EVENT_VM && !event->deleted &&
                     event->vm->state == VM_PENDING &&
                     event->vm->pending_reason != PENDING_QUEUED;

    if (!placed && !explained) {
        failover->dirty = true;
    }
}

bool failover_is_due(const struct failover *failover, const struct state *state,
                     uint64_t now_ms)
{
    if (state_pending_first(state) == SLOT_NONE) {
        return false;
    }
    return failover->dirty || failover->more ||
           now_ms >= failover->next_look_ms;
}
