/* SPDX-License-Identifier: Apache-2.0 */
#include "node/failover.h"

#include "base/check.h"
#include "base/planted.h"
#include "node/limits.h"

struct look {
    uint32_t assigned;
    uint32_t preemptions;
    uint64_t next_time_ms; /* Earliest end of a restart delay, leader's time. */
};

void failover_place(struct turn_plan *plan, const struct vm *vm)
{
    place_vm(plan, vm, NULL);
}

/* It failed and waits out its delay. */
static bool waits(struct turn_plan *plan, struct look *look,
                  const struct vm *vm)
{
    if (vm->not_before_ms <= plan->time_ms) {
        return false;
    }
    if (vm->not_before_ms < look->next_time_ms) {
        look->next_time_ms = vm->not_before_ms;
    }
    if (vm->moving != MOVE_CLAIMED) {
        place_reason(plan, vm, PENDING_HELD_BY_POLICY);
    }
    return true;
}

/* False: it takes more than is left of this turn. */
static bool place_or_explain(struct failover *failover, struct turn_plan *plan,
                             struct look *look, const struct vm *vm)
{
    enum pending_reason reason = refusals_find(&failover->refusals, vm);
    struct vm seen = *vm;

    if (waits(plan, look, vm)) {
        return true;
    }
    if (reason != PENDING_NONE) {
        place_reason(plan, vm, reason);
        return true;
    }
    reason = place_vm(plan, vm, &failover->search);
    if (failover->search.vm_uid == seen.uid) {
        return false;
    }
    if (reason == PENDING_NONE) {
        look->assigned++;
        failover->dirty |=
            refusals_forget_group(&failover->refusals, seen.group_plus1);
    } else {
        look->preemptions += reason == PENDING_PREEMPTING;
        refusals_note(&failover->refusals, &seen, reason);
    }
    return true;
}

static bool is_settling(struct failover *failover, const struct turn_plan *plan)
{
    if (!failover->had_hosts && state_counts(plan->scratch)->hosts > 0) {
        failover->had_hosts = true;
        failover->settle_until_ms = plan->now_ms + SETTLE_MS;
    }
    if (plan->now_ms < failover->settle_until_ms) {
        failover->next_look_ms = failover->settle_until_ms;
        return true;
    }
    return false;
}

/* Those that were tried are tried again, before the others: room may be there
 * now for one of higher priority than what the pass has come to. */
static void begin_pass(struct failover *failover, const struct turn_plan *plan)
{
    bool unfinished = failover->pending.todo_count > 0;
    bool again = failover->dirty || plan->now_ms >= failover->next_look_ms;

    if (again) {
        refusals_clear(&failover->refusals);
    }
    if (!again || (unfinished && failover->restarted)) {
        return;
    }
    failover->dirty = false;
    failover->restarted = unfinished;
    failover->next_look_ms = plan->now_ms + FAILOVER_RELOOK_MS;
    pending_again(&failover->pending);
}

static void run_pass(struct failover *failover, struct turn_plan *plan)
{
    struct look look = {.next_time_ms = UINT64_MAX};
    uint32_t slot;

    refusals_begin_turn(&failover->refusals);
    begin_pass(failover, plan);
    while ((slot = pending_first(&failover->pending)) != SLOT_NONE &&
           look.assigned < failover->assign_max &&
           look.preemptions < PREEMPTIONS_MAX && turn_work_left(plan) > 0 &&
           plan->entry.len < TURN_BYTES_SOFT_MAX) {
        const struct vm *vm = state_vm_at(plan->scratch, slot);

        /* What this turn decides shows in the lists when it is applied. */
        pending_tried(&failover->pending, slot);
        if (vm != NULL && vm->state == VM_PENDING &&
            !place_or_explain(failover, plan, &look, vm)) {
            pending_return(&failover->pending, slot);
            break;
        }
        plan->looks += PENDING_LOOKS;
    }
    if (slot == SLOT_NONE) {
        failover->restarted = false;
    }
    if (look.next_time_ms != UINT64_MAX) {
        uint64_t look_ms = plan->now_ms + (look.next_time_ms - plan->time_ms);

        failover->next_look_ms =
            look_ms < failover->next_look_ms ? look_ms : failover->next_look_ms;
    }
}

static void plan_failover(struct turn_controller *controller,
                          struct turn_plan *plan)
{
    struct failover *failover =
        container_of(controller, struct failover, controller);

    /* A loss is not complete while hosts are still being fenced for it; and
     * what is planned together keeps its order only if nothing else is placed
     * before. */
    if (is_settling(failover, plan) || PLANTED(NO_FAILOVER) ||
        failover->judge->storm || failover->judge->more || failover->lost ||
        evacuator_is_planning(&failover->evacuator)) {
        return;
    }
    /* Moves came before, and do not take all of the turn from those that wait
     * for a host. */
    if (turn_work_left(plan) < TURN_WORK_MAX / 2) {
        turn_work_begin(plan, TURN_WORK_MAX / 2);
    }
    if (!evacuator_is_deciding(&failover->evacuator)) {
        run_pass(failover, plan);
        return;
    }
    switch (
        evacuator_decide(&failover->evacuator, plan, failover->assign_max)) {
    case EVACUATOR_PROVED:
        failover->proved = true;
        failover->lost = true;
        failover->dirty = true;
        break;
    case EVACUATOR_DONE:
        failover->dirty = true;
        break;
    default:
        break;
    }
}

void failover_init(struct failover *failover, const struct judge *judge)
{
    *failover = (struct failover){
        .controller = {plan_failover},
        .judge = judge,
        .next_look_ms = UINT64_MAX,
        .assign_max = FAILOVER_ASSIGN_MAX,
    };
    pending_init(&failover->pending);
    refusals_init(&failover->refusals);
    evacuator_init(&failover->evacuator);
}

void failover_close(struct failover *failover)
{
    evacuator_abandon(&failover->evacuator);
    pending_close(&failover->pending);
    refusals_close(&failover->refusals);
}

void failover_lead(struct failover *failover, const struct state *state)
{
    evacuator_abandon(&failover->evacuator);
    pending_load(&failover->pending, state);
    refusals_clear(&failover->refusals);
    failover->search = (struct placement_search){0};
    failover->dirty = true;
    failover->restarted = false;
    failover->lost = true;
    failover->proved = false;
    failover->next_look_ms = UINT64_MAX;
    failover->settle_until_ms = 0;
    failover->had_hosts = state_counts(state)->hosts > 0;
}

void failover_drop(struct failover *failover)
{
    const struct judge *judge = failover->judge;

    failover_close(failover);
    failover_init(failover, judge);
}

/* Whether the event may have made room, or given a VM another wish. What was
 * placed or explained has not; nor has a VM that never had a host. */
static bool may_help(const struct event *event)
{
    const struct vm *vm = event->vm;

    if (event->kind != EVENT_VM) {
        return true;
    }
    if (event->deleted) {
        return vm->epoch > 0 || vm->move_host != SLOT_NONE;
    }
    if (vm->host != SLOT_NONE) {
        return false;
    }
    return vm->state != VM_PENDING ||
           (vm->pending_reason == PENDING_QUEUED && vm->epoch > 0);
}

void failover_note(struct failover *failover, const struct event *event)
{
    if (event->kind == EVENT_VM) {
        pending_note(&failover->pending, event->vm, event->deleted);
    }
    if ((event->kind == EVENT_HOST && event->host->state == HOST_LOST) ||
        (event->kind == EVENT_ZONE && event->zone->state == ZONE_LOST)) {
        evacuator_abandon(&failover->evacuator);
        failover->lost = true;
        failover->proved = false;
    }
    failover->dirty |= may_help(event);
}

void failover_turn_failed(struct failover *failover)
{
    failover->dirty = true;
    failover->lost = true;
    failover->proved = false;
    evacuator_abandon(&failover->evacuator);
}

bool failover_work(struct failover *failover, const struct state *state)
{
    if (failover->judge->storm || failover->judge->more) {
        return true; /* A later turn will tell. */
    }
    if (failover->lost) {
        failover->lost = false;
        if (failover->pending.recovering_count >= EVACUATION_VMS_MIN) {
            evacuator_begin(&failover->evacuator, state, failover->proved);
        }
    }
    return evacuator_work(&failover->evacuator);
}

bool failover_is_due(const struct failover *failover, const struct state *state,
                     uint64_t now_ms)
{
    if (state_pending_first(state) == SLOT_NONE || failover->judge->storm ||
        failover->judge->more || failover->lost ||
        evacuator_is_planning(&failover->evacuator)) {
        return false;
    }
    /* While a new region's hosts register, there is nothing to do. */
    if (now_ms < failover->settle_until_ms) {
        return false;
    }
    return failover->dirty || failover->pending.todo_count > 0 ||
           evacuator_is_deciding(&failover->evacuator) ||
           now_ms >= failover->next_look_ms;
}
